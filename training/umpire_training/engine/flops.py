"""What a step costs in floating-point operations, and how many a device does in a second."""

from __future__ import annotations

import time
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from napari_umpire.models.visiumformer import VisiumformerConfig

__all__ = ["measure_peak", "training_flops"]

_SECONDS = 0.2


def training_flops(config: VisiumformerConfig, lengths: Tensor, p: float = 0.15) -> Tensor:
    """Floating-point operations of a training step with the head on the masked positions.

    With width d, feed-forward width f, N blocks and V tokens, the forward pass of a spot of L
    tokens takes

        N (2 L (4 d^2 + 2 d f) + 4 L^2 d) + 2 p L d V

    (an addition and a multiplication count as two): the maps of attention and feed-forward, scores
    and their sums, and the head. A training step takes three times that: the gradients of inputs
    and of weights are as many again. Padding is not counted, nor are norms, softmax and the
    optimiser. At the size of Table S3 and 1,500 tokens: 406 GFLOP; 486 with p = 1.

    Parameters
    ----------
    lengths
        (B,) tokens of each spot.
    p
        Share of the positions that the head looks at.
    """
    d, f, n = config.dim, config.feedforward, lengths.double()
    blocks = config.layers * (2 * n * (4 * d * d + 2 * d * f) + 4 * n * n * d)
    return 3 * (blocks + 2 * p * n * d * config.n_tokens).sum()


@lru_cache
def measure_peak(device: torch.device, dtype: torch.dtype) -> float:
    """Floating-point operations per second of a large matrix product, measured for 0.2 s.

    What a device reaches with its present clock, neighbours and threads, where a table of
    products would know only what it was sold for.
    """
    import torch

    cuda = device.type == "cuda"
    n = 8192 if cuda else 1024
    a, b = (torch.randn(n, n, device=device).to(dtype) for _ in range(2))

    def products(times: int) -> float:
        start = time.perf_counter()
        for _ in range(times):
            c = a @ b
        float(c[0, 0])  # waits for a GPU
        return time.perf_counter() - start

    once = max(products(2) / 2, 1e-6)
    times = max(1, int(_SECONDS / 3 / once))
    return 2 * n**3 * times / min(products(times) for _ in range(3))
