"""Spots to features against the same model of torch's stock layers, in eval mode.

The peer takes all spots padded to 1,500 with a padding mask, on nn.TransformerEncoder's own fast
path in float32. Ours goes as a slide is embedded: spots of like length together, cut to the
longest. How much bf16 gains depends on the processor: without AMX torch's attention is no faster
in it than in float32, and it is most of the time.
"""

from __future__ import annotations

import numpy as np
import torch

from benchmarks._stock import SHAPE, StockModel, spots
from benchmarks.harness import assert_same, measure, print_table
from napari_umpire.genes.tokens import PAD_ID
from napari_umpire.models.lengths import buckets
from napari_umpire.models.visiumformer import Visiumformer

SPOTS, BATCH = 4, 2
GOALS = {"ours": 4.0, "ours, bf16": 8.0}


def run() -> None:
    torch.manual_seed(0)
    model = Visiumformer(SHAPE).eval()
    stock = StockModel(model).eval()
    # A mean padding of 6 %, as on Visium sections of usual depth.
    lengths = np.linspace(1320, 1500, SPOTS).astype(int)
    tokens = spots(np.random.default_rng(0).permutation(lengths).tolist())

    def peer() -> np.ndarray:
        with torch.inference_mode():
            return stock.pooled(tokens).numpy()

    def ours(bf16: bool) -> np.ndarray:
        out = torch.empty(SPOTS, SHAPE.dim)
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            for rows in buckets((tokens != PAD_ID).sum(dim=1), BATCH):
                out[rows] = model.encode(tokens[rows]).float()
        return out.numpy()

    timings = measure(
        {"stock layers": peer, "ours": lambda: ours(False), "ours, bf16": lambda: ours(True)},
        repeats=3,
    )
    title = f"gene encoding, {SHAPE.layers} layers of {SHAPE.dim}, {SPOTS} spots of 1,320 to 1,500"
    print_table(title, timings, peer="stock layers", items=SPOTS, unit="spots", goals=GOALS)
    expected, own, half = (np.asarray(timing.output) for timing in timings.values())
    assert_same("features", own, expected, atol=1e-4)
    cosine = (half * expected).sum(1) / np.linalg.norm(half, axis=1)
    cosine /= np.linalg.norm(expected, axis=1)
    print(f"  cosine of features in bf16 and in float32: at least {cosine.min():.5f}")
