"""`SpotLabels`: the class of each spot of a slide, drawn, read from a table, or predicted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["UNLABELLED", "SpotLabels"]

UNLABELLED = -1


@dataclass(frozen=True, eq=False)
class SpotLabels:
    """Classes of the spots of one slide.

    Attributes
    ----------
    name
        What the classes are about: a column's name, "regions", "predicted tissue".
    codes
        (n_spots,) int64, place in `categories`, or `UNLABELLED`.
    categories
        Names of the classes.
    colours
        One "#rrggbb" per class; the same that are written to ``uns["<name>_colors"]``.
    """

    name: str
    codes: np.ndarray
    categories: tuple[str, ...]
    colours: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.colours) != len(self.categories):
            raise ValueError(f"{len(self.categories)} classes, {len(self.colours)} colours")
        if len(self.codes) and not (
            self.codes.min() >= UNLABELLED and self.codes.max() < len(self.categories)
        ):
            raise ValueError("a code has no class")

    @property
    def counts(self) -> np.ndarray:
        """Number of spots of each class, (n_classes,) int64."""
        return np.bincount(self.codes[self.codes >= 0], minlength=len(self.categories))

    @property
    def n_unlabelled(self) -> int:
        """Number of spots without a class."""
        return int((self.codes == UNLABELLED).sum())

    def rgba(self) -> np.ndarray:
        """Colour of each spot, (n_spots, 4) uint8; clear where there is no class."""
        palette = np.zeros((len(self.categories) + 1, 4), np.uint8)  # the last is UNLABELLED's
        for row, colour in zip(palette, self.colours, strict=False):
            row[:3] = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
            row[3] = 255
        return palette[self.codes]
