"""`SpotMap`: something other than a gene that can be laid over the spots of a slide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from napari_umpire.inference.classes.labels import SpotLabels

__all__ = ["Palette", "SpotMap"]

Palette = Literal["expression", "difference", "confidence", "spread", "attention"]


@dataclass(frozen=True, eq=False)
class SpotMap:
    """Values, or classes, of the spots of one slide, with what a viewer must know to draw them.

    Attributes
    ----------
    key
        Which map this is, such as "similarity"; a later one of the same key takes its place.
    title
        What the layer is called, before the unit and the name of the slide.
    values
        (n_spots,) float, NaN where nothing is drawn; None for classes.
    limits
        Values of the ends of the colour bar; None: smallest and largest.
    unit
        Of the values, shown beside the colour bar.
    palette
        The colours of `values`.
    labels
        Classes, drawn in their own colours; None for values.
    opacity
        (n_spots,) float, 0 (clear) to 1, such as the probability of a class; None: all 1.
    """

    key: str
    title: str
    values: np.ndarray | None = None
    limits: tuple[float, float] | None = None
    unit: str = ""
    palette: Palette = "expression"
    labels: SpotLabels | None = None
    opacity: np.ndarray | None = None

    def __post_init__(self) -> None:
        if (self.values is None) == (self.labels is None):
            raise ValueError("a map has values or labels")

    @property
    def n_spots(self) -> int:
        """Number of spots."""
        shown = self.values if self.labels is None else self.labels.codes
        assert shown is not None
        return len(shown)

    @property
    def range(self) -> tuple[float, float]:
        """`limits`, or those of the values; lower < upper always."""
        if self.limits is not None:
            low, high = self.limits
        else:
            finite = np.asarray(self.values, np.float64)
            finite = finite[np.isfinite(finite)]
            low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
        return (low, high) if low < high else (low, low + 1.0)

    @property
    def is_coloured(self) -> bool:
        """Whether it needs a colour per spot, because napari has no scalar for it."""
        return self.labels is not None or self.opacity is not None
