"""Groups of the points of a picture of embeddings: by slide, by class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_umpire.inference.classes.labels import PALETTE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_umpire.inference.classes.labels import SpotLabels
    from napari_umpire.inference.classes.projection import Projection

__all__ = ["PointGroups", "groups_by_class", "groups_by_slide"]


@dataclass(frozen=True, eq=False)
class PointGroups:
    """Which group each point is of.

    Attributes
    ----------
    by
        What the groups are: "slide", or the name of the classes.
    codes
        (n,) int64, place in ``names``, -1 for none.
    names, colours
        Of the groups; colours are "#rrggbb".
    """

    by: str
    codes: np.ndarray
    names: tuple[str, ...]
    colours: tuple[str, ...]

    @property
    def counts(self) -> np.ndarray:
        """Points of each group, (k,) int64."""
        return np.bincount(self.codes[self.codes >= 0], minlength=len(self.names))


def groups_by_slide(projection: Projection) -> PointGroups:
    """Each slide is a group."""
    names = projection.slide_names
    colours = tuple(PALETTE[i % len(PALETTE)] for i in range(len(names)))
    return PointGroups("slide", projection.slide, names, colours)


def groups_by_class(projection: Projection, labels: Mapping[str, SpotLabels]) -> PointGroups:
    """Each class is a group; classes of one name on several slides are one.

    Parameters
    ----------
    labels
        By name of the slide; a slide may have none.
    """
    colours: dict[str, str] = {}
    for one in labels.values():
        for name, colour in zip(one.categories, one.colours, strict=True):
            colours.setdefault(name, colour)
    place = {name: i for i, name in enumerate(colours)}
    codes = {
        slide: np.array([*(place[c] for c in one.categories), -1], np.int64)[one.codes]
        for slide, one in labels.items()
    }
    by = next(iter(labels.values())).name if labels else "class"
    return PointGroups(
        by,
        projection.gathered(codes, -1).astype(np.int64),
        tuple(colours),
        tuple(colours.values()),
    )
