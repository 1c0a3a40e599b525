"""Colours of maps over pink tissue, and how opaque a spot is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

if TYPE_CHECKING:
    from napari.utils import Colormap

    from napari_umpire.plugin.layers.make import Kind
    from napari_umpire.plugin.layers.spot_map import Palette

__all__ = [
    "ASKED",
    "OPACITIES",
    "SELECTED",
    "Look",
    "Opacity",
    "gene_colormap",
    "opacity_of",
    "palette_colormap",
]

ASKED, SELECTED = "#ff2fd0", "#ffe600"
"""Marks of the spot that is asked about, and of selected ones, on the slide and in scatters."""

Opacity = Literal["even", "value", "confidence"]
OPACITIES: tuple[Opacity, ...] = get_args(Opacity)
_OPAQUE_AT = 0.6
_FAINTEST = 0.08
_CONFIDENCE_ENDS = (5.0, 95.0)

# Eosin is pink, haematoxylin purple: a map must keep away from both hues, or its low end reads
# as tissue. Dark blue over teal and green to pale yellow, lightness rising evenly.
_EXPRESSION = np.array(
    [
        (0.050, 0.180, 0.520, 1.0),
        (0.060, 0.330, 0.590, 1.0),
        (0.075, 0.470, 0.580, 1.0),
        (0.125, 0.610, 0.540, 1.0),
        (0.370, 0.755, 0.470, 1.0),
        (0.690, 0.870, 0.390, 1.0),
        (0.992, 0.965, 0.600, 1.0),
    ]
)
# Blue (predicted too low) over near white to orange-brown (predicted too high).
_DIFFERENCE = np.array(
    [
        (0.020, 0.188, 0.480, 1.0),
        (0.200, 0.480, 0.740, 1.0),
        (0.620, 0.800, 0.900, 1.0),
        (0.970, 0.970, 0.970, 1.0),
        (0.990, 0.780, 0.440, 1.0),
        (0.870, 0.450, 0.080, 1.0),
        (0.480, 0.200, 0.010, 1.0),
    ]
)

# Dark grey for what nothing is known of, over cyan, the opposite of eosin, to white: confidence is
# no expression.
_CONFIDENCE = np.array(
    [
        (0.130, 0.130, 0.140, 1.0),
        (0.160, 0.270, 0.290, 1.0),
        (0.240, 0.460, 0.490, 1.0),
        (0.480, 0.710, 0.730, 1.0),
        (0.920, 1.000, 1.000, 1.0),
    ]
)
# Black body: what a model looked at glows.
_ATTENTION = np.array(
    [
        (0.050, 0.050, 0.080, 1.0),
        (0.450, 0.080, 0.050, 1.0),
        (0.860, 0.330, 0.040, 1.0),
        (0.990, 0.720, 0.220, 1.0),
        (1.000, 0.980, 0.800, 1.0),
    ]
)


@dataclass(frozen=True)
class Look:
    """How maps of genes are drawn.

    Attributes
    ----------
    colormap
        Of expression: "umpire" is ours, made for pink tissue; others are napari's. Differences
        and spread keep colours of their own.
    opacity
        "even": all spots alike; "value": low values are clear, so that the tissue shows; of a
        difference those near 0; "confidence": spots are as opaque as they are similar to their
        references.
    """

    colormap: str = "umpire"
    opacity: Opacity = "even"


def gene_colormap(kind: Kind, look: Look | None = None) -> Colormap:
    """The colormap of a gene's map, with its opacity where that follows the value."""
    from napari.utils import Colormap
    from napari.utils.colormaps import ensure_colormap

    look = look or Look()
    if kind == "difference":
        plain = palette_colormap("difference")
    elif kind == "spread":
        plain = palette_colormap("spread")
    elif look.colormap == "umpire":
        plain = palette_colormap("expression")
    else:
        plain = ensure_colormap(look.colormap)
    if look.opacity != "value":
        return plain
    at = np.linspace(0, 1, 65)
    colours = plain.map(at)
    height = np.abs(2 * at - 1) if kind == "difference" else at
    colours[:, 3] = np.clip(height / _OPAQUE_AT, 0, 1)
    return Colormap(colours, name=f"{plain.name}, clear where low", interpolation="linear")


def opacity_of(similarity: np.ndarray) -> tuple[np.ndarray, tuple[float, float]]:
    """Opacity of each spot by its similarity, 0.08 to 1, and the similarities at these ends.

    The ends are the 5th and 95th percentile of the slide, (n_spots,) float each.
    """
    finite = similarity[np.isfinite(similarity)]
    if not len(finite):
        return np.ones(len(similarity)), (np.nan, np.nan)
    low, high = (float(v) for v in np.percentile(finite, _CONFIDENCE_ENDS))
    if not low < high:
        return np.ones(len(similarity)), (low, high)
    share = np.clip((np.nan_to_num(similarity, nan=low) - low) / (high - low), 0, 1)
    return _FAINTEST + (1 - _FAINTEST) * share, (low, high)


def palette_colormap(palette: Palette) -> Colormap:
    """The colormap of a `SpotMap`."""
    from napari.utils import Colormap

    colours = {
        "expression": _EXPRESSION,
        "difference": _DIFFERENCE,
        "confidence": _CONFIDENCE,
        "spread": _CONFIDENCE[::-1],  # bright is sure in both
        "attention": _ATTENTION,
    }[palette]
    return Colormap(colours, name=f"umpire {palette}", interpolation="linear")
