"""Z-scores that no single value can decide."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["standardise"]

_LARGEST_Z = 4.0
_LEAST_STD = 1e-6


def standardise(x: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Return z = (x - mean) / std, cut at +-4; 0 where a feature does not vary.

    Parameters
    ----------
    x
        (n, D).
    mean, std
        (D,). A ``std`` of at most 1e-6 (1 + abs(mean)) is rounding noise of a constant, which
        division would make look alive.
    """
    varies = std > _LEAST_STD * (1 + mean.abs())
    z = (x - mean) / torch.where(varies, std, 1.0)
    return torch.where(varies, z, 0.0).clamp(-_LARGEST_Z, _LARGEST_Z)
