"""Spots to features against the same model of torch's stock layers, in eval mode.

The peer takes all spots padded to 1,500 with a padding mask, on nn.TransformerEncoder's own fast
path in float32. Ours goes as a slide is embedded: spots of like length together, cut to the
longest. How much bf16 gains depends on the processor: without AMX torch's attention is no faster
in it than in float32, and it is most of the time. With one thread (OMP_NUM_THREADS=1) ours then
takes it head by head. In spots of mixed depth the peer also pays for the padding.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import torch

from benchmarks._stock import SHAPE, StockModel, spots
from benchmarks.harness import assert_same, measure, print_table
from napari_umpire.genes.tokens import PAD_ID
from napari_umpire.models.lengths import buckets
from napari_umpire.models.visiumformer import Visiumformer

SPOTS, MIXED_SPOTS, BATCH = 4, 10, 2
GOALS = {"ours": 4.0, "ours, bf16": 8.0}


def run() -> None:
    print(f"\ntorch computes with {torch.get_num_threads()} thread(s)")
    # A mean padding of 6 %, as on Visium sections of usual depth.
    _compare(np.linspace(1320, SHAPE.length, SPOTS).astype(int), "1,320 to 1,500")
    # Lognormal around 1,400 genes with a spread of 0.7, of which at most 1,500 are kept.
    middle, spread = np.log(1400), 0.7
    parts = (np.arange(MIXED_SPOTS) + 0.5) / MIXED_SPOTS
    genes = np.exp([middle + spread * NormalDist().inv_cdf(part) for part in parts])
    _compare(np.minimum(genes, SHAPE.length).astype(int), "lognormal depth, at most 1,500")


def _compare(lengths: np.ndarray, which: str) -> None:
    n = len(lengths)
    torch.manual_seed(0)
    model = Visiumformer(SHAPE).eval()
    stock = StockModel(model).eval()
    tokens = spots(np.random.default_rng(0).permutation(lengths).tolist())

    def peer() -> np.ndarray:
        with torch.inference_mode():
            return np.concatenate([stock.pooled(part).numpy() for part in tokens.split(4)])

    def ours(bf16: bool) -> np.ndarray:
        out = torch.empty(n, SHAPE.dim)
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            for rows in buckets((tokens != PAD_ID).sum(dim=1), BATCH):
                out[rows] = model.encode(tokens[rows]).float()
        return out.numpy()

    timings = measure(
        {"stock layers": peer, "ours": lambda: ours(False), "ours, bf16": lambda: ours(True)},
        repeats=3,
    )
    title = f"gene encoding, {SHAPE.layers} layers of {SHAPE.dim}, {n} spots of {which} tokens"
    print_table(title, timings, peer="stock layers", items=n, unit="spots", goals=GOALS)
    expected, own, half = (np.asarray(timing.output) for timing in timings.values())
    assert_same("features", own, expected, atol=1e-4)
    cosine = (half * expected).sum(1) / np.linalg.norm(half, axis=1)
    cosine /= np.linalg.norm(expected, axis=1)
    print(f"  cosine of features in bf16 and in float32: at least {cosine.min():.6f}")
