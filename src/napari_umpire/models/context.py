"""What a spot's surroundings and its slide add to its image features."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from napari_umpire.errors import InputError

__all__ = ["ContextConfig", "slide_context"]

_LARGEST_Z = 10.0


@dataclass(frozen=True)
class ContextConfig:
    """How image features are put in context before the projection.

    Parameters
    ----------
    neighbours
        How many neighbouring spots' features are averaged and appended; 0: none.
    standardise
        Z-score the features over the slide, which takes out its stain and scanner.
    """

    neighbours: int = 0
    standardise: bool = False

    def __post_init__(self) -> None:
        if self.neighbours < 0:
            raise InputError("A negative number of neighbours", got=self.neighbours)

    @property
    def widening(self) -> int:
        """How many times as long the features become."""
        return 2 if self.neighbours else 1


def slide_context(
    features: Tensor, neighbours: Tensor | None = None, standardise: bool = False
) -> Tensor:
    """Features of all spots of one slide, in the context of that slide.

    With ``standardise``, z = (x - mean) / std over the slide's spots, cut at +-10; a feature that
    does not vary becomes 0. Then, with ``neighbours``, the mean of the neighbours' features is
    appended; a spot without neighbours gets its own.

    Parameters
    ----------
    features
        (n_spots, D), encoder output before the projection.
    neighbours
        (n_spots, k) int64 rows of the neighbouring spots, -1 where there is none; None: nothing
        is appended.

    Returns
    -------
    (n_spots, D), or (n_spots, 2 D) with ``neighbours``.
    """
    if standardise:
        mean = features.mean(dim=0, keepdim=True)
        std = features.std(dim=0, keepdim=True, correction=0)
        # A constant column has a std of rounding noise; dividing by it would make it look alive.
        varies = std > 1e-6 * (1 + mean.abs())
        z = (features - mean) / torch.where(varies, std, 1.0)
        features = torch.where(varies, z, 0.0).clamp(-_LARGEST_Z, _LARGEST_Z)
    if neighbours is None:
        return features
    if neighbours.shape[0] != features.shape[0]:
        raise InputError(
            "Neighbours and features are of different numbers of spots",
            got=f"{neighbours.shape[0]} and {features.shape[0]}",
        )
    neighbours = neighbours.to(features.device)
    present = neighbours >= 0
    count = present.sum(dim=1, keepdim=True)
    total = torch.zeros_like(features)
    for column, here in zip(neighbours.clamp(min=0).T, present.T, strict=True):
        total = total + features[column] * here[:, None]
    around = torch.where(count > 0, total / count.clamp(min=1), features)
    return torch.cat([features, around], dim=1)
