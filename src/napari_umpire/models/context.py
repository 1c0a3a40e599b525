"""What a spot's surroundings and its slide add to its image features."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from napari_umpire.errors import InputError
from napari_umpire.models.bounds import check_bounds
from napari_umpire.models.standardise import standardise as z_score

__all__ = ["ContextConfig", "slide_context"]


@dataclass(frozen=True)
class ContextConfig:
    """How image features are put in context before the projection.

    Parameters
    ----------
    neighbours
        How many neighbouring spots' features are averaged and appended, at most; 0: none.
    reach
        How far away a neighbour may be, in spot pitches. 1.6 holds the 6 of a hexagonal grid and
        the 8 of a square one; for more neighbours it must be larger (4.3 for 48 on a square grid).
    standardise
        Z-score the features over the slide, which takes out its stain and scanner, and their
        means over the neighbours likewise.
    """

    neighbours: int = 0
    standardise: bool = False
    reach: float = 1.6

    def __post_init__(self) -> None:
        check_bounds("The context of a spot", self, neighbours=(0, 1_000), reach=(0, 1_000))
        if self.reach < 1:
            raise InputError(
                "No spot has a neighbour within this reach",
                got=f"{self.reach:g} spot pitches",
                expected="at least 1; 1.6 for the adjacent spots",
            )

    def in_words(self) -> str:
        """One line, for a model card."""
        around = f"up to {self.neighbours} spots within {self.reach:g} pitches"
        standardised = "features standardised over the slide" if self.standardise else ""
        parts = [around if self.neighbours else "", standardised]
        return ", ".join(filter(None, parts)) or "none: a spot's own patch"

    @property
    def widening(self) -> int:
        """How many times as long the features become."""
        return 2 if self.neighbours else 1


def slide_context(
    features: Tensor, neighbours: Tensor | None = None, standardise: bool = False
) -> Tensor:
    """Features of all spots of one slide, in the context of that slide.

    With ``neighbours``, the mean of the neighbours' features is appended; a spot without
    neighbours gets its own. With ``standardise``, features are first z-scored over the slide's
    spots (`standardise.standardise`), and the means of the neighbours' z-scores again, because
    averaging shrinks them: else the projection would see them as small.

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
        features = _over_slide(features)
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
    if standardise:
        around = _over_slide(around)
    return torch.cat([features, around], dim=1)


def _over_slide(features: Tensor) -> Tensor:
    return z_score(features, features.mean(dim=0), features.std(dim=0, correction=0))
