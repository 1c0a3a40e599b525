"""A step of masked-token training against the same model of torch's stock layers.

The peer is what the published model is made of: nn.TransformerEncoder with a padding mask, the
head on every position, float32. Same weights, same masks; the loss and its gradient agree.
Then batches of like length against any batches, on spots of very different depth.
"""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

from benchmarks._stock import SHAPE, StockModel, spots
from benchmarks.harness import assert_same, measure, print_table
from napari_umpire.genes.tokens import PAD_ID
from napari_umpire.models.masking import mask_tokens
from napari_umpire.models.visiumformer import Visiumformer

BATCH, GOAL = 2, 2.5
MIXED, MIXED_BATCH = 24, 4


def run() -> None:
    torch.manual_seed(0)
    model = Visiumformer(SHAPE)
    stock = StockModel(model).train()
    tokens = spots([1500, 1420])

    def peer() -> tuple[float, np.ndarray]:
        masked = mask_tokens(tokens, SHAPE.n_tokens, generator=_generator())
        labels = torch.full(tokens.shape, -100)
        labels[masked.selected] = masked.labels
        stock.zero_grad()
        loss = F.cross_entropy(stock.logits(masked.tokens).flatten(0, 1), labels.flatten())
        loss.backward()
        return float(loss.detach()), stock.gradient()

    def ours(bf16: bool) -> tuple[float, np.ndarray]:
        model.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = model.mlm_loss(tokens, _generator())
        loss.backward()
        return float(loss.detach()), model.embeddings.weight.grad.numpy().copy()

    timings = measure(
        {"stock layers": peer, "ours": lambda: ours(False), "ours, bf16": lambda: ours(True)},
        repeats=3,
    )
    title = f"MLM training step, {SHAPE.layers} layers of {SHAPE.dim}, {BATCH} spots of 1,500"
    print_table(
        title, timings, peer="stock layers", items=BATCH, unit="spots", goals={"ours, bf16": GOAL}
    )
    (loss, gradient), (own, own_gradient) = (timings[n].output for n in ("stock layers", "ours"))
    assert_same("loss", own, loss, atol=1e-4)
    largest = np.abs(gradient).max()
    assert_same("gradient of the embeddings, of its largest entry", own_gradient / largest,
                gradient / largest, atol=1e-4)  # fmt: skip
    half, half_gradient = timings["ours, bf16"].output
    assert_same("loss in bf16", half, loss, atol=2e-2)
    cosine = float(
        (half_gradient * gradient).sum() / np.linalg.norm(half_gradient) / np.linalg.norm(gradient)
    )
    print(f"  cosine of the gradient in bf16 and in float32: {cosine:.4f}")
    _like_lengths(model)


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(1)


def _like_lengths(model: Visiumformer) -> None:
    """The sampler's batches with and without lengths, on depths of min(1500, lognormal)."""
    from umpire_training.engine.flops import training_flops
    from umpire_training.engine.sampler import RoundSampler

    rng = np.random.default_rng(0)
    lengths = np.minimum(1500, rng.lognormal(np.log(1400), 0.7, 100_000)).astype(np.int64)

    def batches(n: int, size: int, like: bool) -> list[np.ndarray]:
        steps = n // size
        sampler = RoundSampler(
            np.arange(n), size, round_steps=steps, total_steps=steps, seed=0,
            lengths=lengths[:n] if like else None,
        )  # fmt: skip
        return list(sampler)

    def cost(rows: list[np.ndarray]) -> float:
        padded = [np.full(len(r), lengths[r].max()) for r in rows]
        return float(training_flops(SHAPE, torch.from_numpy(np.concatenate(padded))))

    exact = float(training_flops(SHAPE, torch.from_numpy(lengths)))
    print("\nSpots of lognormal depth (100,000), computed in batches of 256 cut to their longest")
    for like, words in ((False, "any batches"), (True, "batches of like length")):
        print(
            f"  {words}: {cost(batches(100_000, 256, like)) / exact:.3f}x the exact lengths' cost"
        )

    tokens = spots(lengths[:MIXED].tolist())

    def steps(like: bool) -> int:
        for rows in batches(MIXED, MIXED_BATCH, like):
            model.zero_grad()
            with torch.autocast("cpu", torch.bfloat16):
                loss = model.mlm_loss(tokens[torch.from_numpy(rows)])
            loss.backward()
        return MIXED

    timings = measure(
        {"any batches": lambda: steps(False), "of like length": lambda: steps(True)}, repeats=2
    )
    title = f"{MIXED} spots of lognormal depth, batches of {MIXED_BATCH}, bf16"
    print_table(title, timings, peer="any batches", items=MIXED, unit="spots")
    print(f"  padding of these spots: {float((tokens == PAD_ID).float().mean()):.0%}")
