"""`SpotLabels`: the class of each spot of a slide, drawn, read from a table, or predicted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

__all__ = ["PALETTE", "UNLABELLED", "SpotLabels", "class_colours", "to_obs"]

UNLABELLED = -1

PALETTE = (
    "#0072b2", "#f0e442", "#009e73", "#d55e00", "#56b4e9",
    "#1a1a1a", "#e69f00", "#7fd34e", "#003f7d", "#b8f2e6",
)  # fmt: skip
"""Colours of classes, told apart with any colour vision, and none of them pink or purple as
stained tissue is: Okabe and Ito's without their pink, filled up by lightness."""


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
    probability
        (n_spots,) float32 of the class that each spot has, where classes were predicted.
    """

    name: str
    codes: np.ndarray
    categories: tuple[str, ...]
    colours: tuple[str, ...]
    probability: np.ndarray | None = None

    def __post_init__(self) -> None:
        if len(self.colours) != len(self.categories):
            raise ValueError(f"{len(self.categories)} classes, {len(self.colours)} colours")
        if len(self.codes) and not (
            self.codes.min() >= UNLABELLED and self.codes.max() < len(self.categories)
        ):
            raise ValueError("a code has no class")
        if self.probability is not None and self.probability.shape != self.codes.shape:
            raise ValueError(f"{len(self.codes)} spots, {self.probability.shape} probabilities")

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

    def only(self, shown: Sequence[bool]) -> SpotLabels:
        """The same classes with the spots of those that are not ``shown`` left without one."""
        keep = np.append(np.asarray(shown, bool), False)[self.codes]
        return replace(self, codes=np.where(keep, self.codes, UNLABELLED))

    def with_colour(self, number: int, colour: str) -> SpotLabels:
        """The same classes, one of them in another colour, "#rrggbb"."""
        colours = list(self.colours)
        colours[number] = colour
        return replace(self, colours=tuple(colours))

    def named(self) -> np.ndarray:
        """Name of each spot's class, (n_spots,) object; None where it has none."""
        return np.array([*self.categories, None], object)[self.codes]


def class_colours(n: int, wanted: Sequence[Any] | None = None) -> tuple[str, ...]:
    """One "#rrggbb" per class: those ``wanted`` where they are colours, else of `PALETTE`.

    Parameters
    ----------
    wanted
        Colours as a table's ``uns["<column>_colors"]`` has them: hex codes or names.
    """
    if wanted is not None and len(wanted) >= n:
        from matplotlib.colors import is_color_like, to_hex

        if all(is_color_like(colour) for colour in wanted[:n]):
            return tuple(to_hex(colour) for colour in wanted[:n])
    return tuple(PALETTE[i % len(PALETTE)] for i in range(n))


def to_obs(labels: SpotLabels) -> pd.Categorical[str]:
    """The classes as a column of a table, (n_spots,), NaN where a spot has none."""
    import pandas as pd

    codes = labels.codes.astype(np.int64)
    return pd.Categorical.from_codes(codes, categories=pd.Index(labels.categories, dtype=str))
