"""Classes of a slide as a map over it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_umpire.plugin.layers.spot_map import SpotMap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_umpire.inference.classes.labels import SpotLabels

__all__ = ["class_map", "class_map_key"]


def class_map_key(name: str) -> str:
    """Key of the map that shows the labels called ``name``."""
    return f"classes: {name}"


def class_map(
    labels: SpotLabels,
    shown: Sequence[bool] | None = None,
    *,
    by_probability: bool = False,
) -> SpotMap:
    """The map of some classes of a slide.

    Parameters
    ----------
    shown
        Which classes; None: all.
    by_probability
        Whether the probability of the class is its opacity, where it was predicted.
    """
    faint = by_probability and labels.probability is not None
    what = "classes, by probability" if faint else "classes"
    return SpotMap(
        class_map_key(labels.name),
        f"{labels.name} ({what})",
        labels=labels if shown is None else labels.only(shown),
        opacity=labels.probability if faint else None,
    )
