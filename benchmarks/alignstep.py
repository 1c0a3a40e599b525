"""One alignment step of a large batch: encoders in chunks against the whole batch at once.

Each way runs in a process of its own, because memory is its high-water mark. The peer is the plain
step of torch: the same loss, the same gradient, all activations held.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ENCODER, BATCH, CHUNK, REPEATS = "vit_small_patch16_224", 64, 8, 3
GOAL_MEMORY, GOAL_TIME, GOAL_GRADIENT = 0.3, 1.35, 1e-4


def run() -> None:
    with tempfile.TemporaryDirectory() as folder:
        whole, chunked = (_measure(chunk, Path(folder)) for chunk in (0, CHUNK))
    difference = np.abs(whole["gradient"] - chunked["gradient"]).max()
    largest = np.abs(whole["gradient"]).max()
    memory, time = chunked["mib"] / whole["mib"], chunked["s"] / whole["s"]
    print(f"\nalignment step, {ENCODER}, batch {BATCH}, float32")
    print(f"  whole batch at once   {whole['mib']:8.0f} MiB of activations {whole['s']:7.2f} CPU s")
    print(f"  chunks of {CHUNK:<2}          {chunked['mib']:8.0f} MiB {chunked['s']:22.2f} s")
    for name, value, goal in (
        ("memory", memory, GOAL_MEMORY),
        ("time", time, GOAL_TIME),
        ("gradient, largest difference over largest entry", difference / largest, GOAL_GRADIENT),
    ):
        verdict = "met" if value <= goal else "MISSED"
        print(f"  {name}: {value:.3g}x, goal at most {goal:g}x: {verdict}")


def _measure(chunk: int, folder: Path) -> dict:
    gradient = folder / f"{chunk}.npy"
    words = [sys.executable, "-m", "benchmarks.alignstep", str(chunk), str(gradient)]
    out = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    return json.loads(out.splitlines()[-1]) | {"gradient": np.load(gradient)}


def _step(chunk: int, gradient: Path) -> None:
    import resource
    import time

    import torch
    from torch.nn import functional as F

    from napari_umpire.models.torchvision_guard import heal

    heal()
    import timm

    from umpire_training.objectives.chunks import in_chunks
    from umpire_training.objectives.contrastive import contrastive_loss

    torch.manual_seed(0)
    encoder = timm.create_model(ENCODER, num_classes=0)
    head = torch.nn.Linear(encoder.num_features, 512)
    pixels = torch.randn(BATCH, 3, 224, 224)
    gene = F.normalize(torch.randn(BATCH, 512), dim=1)

    def step(rows: int) -> None:
        features = in_chunks(encoder, pixels[:rows], chunk or None)
        image = F.normalize(head(features), dim=1)
        contrastive_loss(image, gene[:rows], torch.tensor(2.66)).backward()

    step(2)  # gradients, kernels and threads are there now
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = []
    for _ in range(REPEATS):
        encoder.zero_grad(set_to_none=False)
        head.zero_grad(set_to_none=False)
        begun = time.process_time()
        step(BATCH)
        seconds.append(time.process_time() - begun)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    np.save(gradient, torch.cat([p.grad.flatten() for p in encoder.parameters()]).numpy())
    print(json.dumps({"mib": (peak - before) / 1024, "s": float(np.median(seconds))}))


if __name__ == "__main__":
    _step(int(sys.argv[1]), Path(sys.argv[2]))
