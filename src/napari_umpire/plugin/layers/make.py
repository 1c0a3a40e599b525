"""What napari is given: the slide as a lazy pyramid, a gene as a map over it.

World coordinates are um where the slide's scale is known, full-resolution px where it is not.
Full-resolution pixel i covers [i, i + 1), but napari puts the *centre* of an array's pixel 0 at
``translate``, so every layer is shifted by half of its own pixel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from napari_umpire.genes.normalise import UNIT
from napari_umpire.plugin.layers.colours import gene_colormap, palette_colormap
from napari_umpire.plugin.layers.overview import drawn_levels
from napari_umpire.plugin.layers.spot_picture import SpotPicture
from napari_umpire.plugin.layers.titles import KEY, MapTitle, set_title

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Image, Layer
    from napari.utils import Colormap

    from napari_umpire.plugin.layers.raster import SpotRaster
    from napari_umpire.slides.slide import Slide

__all__ = [
    "KEY",
    "KINDS",
    "Kind",
    "add_below_marks",
    "gene_colormap",
    "gene_layer",
    "palette_colormap",
    "placed_as",
    "placement",
    "show_values",
    "slide_layer",
    "spot_layer",
    "world",
]

Kind = Literal["predicted", "measured", "difference", "spread"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""Of maps of a gene; "spread": weighted standard deviation over the references of a spot."""


def world(slide: Slide) -> tuple[float, str]:
    """World units per full-resolution px, and their name."""
    return (1.0, "pixel") if slide.scale.mpp is None else (slide.scale.mpp, "um")


def placement(slide: Slide, step: float, origin: tuple[float, float] = (0.0, 0.0)) -> dict:
    """Scale, translate and units of an array whose pixel covers ``step`` full-resolution px.

    Parameters
    ----------
    origin
        (y, x) of the array's upper left corner, full-resolution px.
    """
    unit, name = world(slide)
    return {
        "scale": (step * unit, step * unit),
        "translate": tuple((o + step / 2) * unit for o in origin),
        "units": (name, name),
    }


def placed_as(layer: Layer, slide: Slide, step: float) -> bool:
    """Whether a layer lies as `placement` says; at 1 um per px the unit alone tells them apart."""
    unit, name = world(slide)
    in_px = str(layer.units[-1]) == "pixel"
    return tuple(layer.scale[-2:]) == (step * unit, step * unit) and in_px == (name == "pixel")


def slide_layer(slide: Slide) -> tuple[list[Any], dict[str, Any], str]:
    """The image of a slide as a napari LayerDataTuple: lazy, multiscale, RGB."""
    levels = drawn_levels(slide.pyramid)
    attributes = {
        "name": slide.name,
        "rgb": True,
        "multiscale": True,
        # Given, or napari would read the whole slide to find them.
        "contrast_limits": (0, 255),
        "metadata": {"sdata": slide.sdata, KEY: {"slide": slide, "role": "image"}},
        **placement(slide, slide.pyramid.levels[0].downsample),
    }
    return levels, attributes, "image"


def spot_layer(
    slide: Slide,
    raster: SpotRaster,
    picture: SpotPicture,
    *,
    role: str,
    colormap: Colormap | None,
) -> Image:
    """A layer over ``slide`` that shows a picture of its spots.

    Parameters
    ----------
    role
        What the layer is to us, kept in its metadata.
    colormap
        Of values; None for a picture of colours.
    """
    from napari.layers import Image

    how: dict[str, Any] = {"rgb": True}
    if colormap is not None:
        how = {"colormap": colormap, "contrast_limits": (0.0, 1.0)}
    layer = Image(
        picture.levels,
        multiscale=True,
        name=f"{slide.name} ({role})",
        interpolation2d="nearest",
        blending="translucent",
        metadata={"sdata": slide.sdata, KEY: {"slide": slide, "role": role, "map": picture}},
        **how,
        **placement(slide, raster.step, raster.origin),
    )
    if colormap is not None:
        layer.colorbar.visible = True
        layer.colorbar.position = "bottom_left"  # a narrow pane has its title above
    # In two panes, and in a picture, the map must say what it is.
    layer.name_overlay.visible = True
    layer.name_overlay.box = True
    layer.name_overlay.font_size = 12
    return layer


def add_below_marks(viewer: Viewer, layer: Image) -> None:
    """Add a map under what is drawn over the slide: outlines and rings must stay in sight.

    A layer that is being drawn on stays the active one.
    """
    from napari.layers import Points, Shapes

    active = viewer.layers.selection.active
    busy = active is not None and str(getattr(active, "mode", "pan_zoom")) != "pan_zoom"
    # Marks of another slide may lie lower than this one's image.
    slide = layer.metadata[KEY]["slide"]
    images = [
        i
        for i, v in enumerate(viewer.layers)
        if v.metadata.get(KEY, {}).get("role") == "image" and v.metadata[KEY]["slide"] is slide
    ]
    first = images[0] + 1 if images else 0
    marks = (i for i, v in enumerate(viewer.layers) if isinstance(v, Points | Shapes))
    place = next((i for i in marks if i >= first), None)
    viewer.add_layer(layer)
    if place is not None:
        viewer.layers.move(len(viewer.layers) - 1, place)
    if busy:
        viewer.layers.selection.active = active


def gene_layer(slide: Slide, raster: SpotRaster, kind: Kind) -> Image:
    """An empty map over ``slide``; `show_values` fills it."""
    return spot_layer(slide, raster, SpotPicture(raster), role=kind, colormap=gene_colormap(kind))


def show_values(
    layer: Image,
    values: np.ndarray,
    limits: tuple[float, float],
    *,
    slide: Slide,
    gene: str,
    label: str,
    run: str | None,
    unit: str = UNIT,
) -> None:
    """Put the values of a gene into a map of `gene_layer`, in place.

    Parameters
    ----------
    values
        (n_spots,) float, one value per spot.
    limits
        Contrast limits.
    gene, label
        The gene's key, and how it is called in the layer's name.
    run
        Digest or name of the prediction's run; None for what was measured.
    unit
        Of the values; napari's colour bar has no title, so it stands in the layer's.
    """
    ours = layer.metadata[KEY]
    kind = ours["role"]
    ours["map"].set(values)
    finite = values[np.isfinite(values)]
    low = min(limits[0], float(finite.min())) if len(finite) else limits[0]
    high = max(limits[1], float(finite.max())) if len(finite) else limits[1]
    layer.contrast_limits_range = (low, high)
    if tuple(layer.contrast_limits) != limits:
        layer.contrast_limits = limits
    layer.refresh(extent=False, highlight=False)
    set_title(layer, MapTitle(label, f" ({kind}), {unit}", slide.name))
    ours |= {"gene": gene, "unit": unit, "element": slide.region, "run": run}
