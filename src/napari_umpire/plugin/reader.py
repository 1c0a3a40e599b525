"""Drag and drop: which paths are ours, and the layers they become."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_umpire.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_umpire.slides.slide import Slide

__all__ = ["get_reader", "read_slides"]

LayerData = tuple[Any, dict[str, Any], str]

MIN_SIDE_PX = 1500
"""A plain picture smaller than this shows no tissue section at a useful scale."""

# Formats that hold anything: a photograph, a mask, a microscope stack.
_PLAIN = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".btf"}
_COLOUR = (2, 6)  # RGB and YCbCr, by their numbers in the TIFF standard
_SLIDE_SIGNS = ("aperio", "hamamatsu", "mpp", "openslide", "qupath", "ventana")


def get_reader(path: str | Sequence[str]) -> Callable[..., list[LayerData]] | None:
    """Return the reading function where every path is a slide, else None. Reads headers only."""
    paths = [path] if isinstance(path, str) else list(path)
    if paths and all(_is_slide(Path(p)) for p in paths):
        return read_slides
    return None


def read_slides(path: str | Sequence[str]) -> list[Any]:
    """Open slides as layers; a problem becomes a notification instead of a traceback.

    Several sections in one store become several layers, of which the first is shown.
    """
    from napari.utils.notifications import show_error, show_warning

    from napari_umpire.plugin.layers.make import slide_layer
    from napari_umpire.slides.open import open_slides

    layers: list[LayerData] = []
    for one in [path] if isinstance(path, str) else path:
        try:
            slides: Sequence[Slide] = open_slides(one)
        except InputError as error:
            show_error(str(error))
            continue
        for slide in slides:
            data, attributes, kind = slide_layer(slide)
            layers.append((data, attributes | {"visible": not layers}, kind))
            if slide.scale.mpp is None:
                show_warning(
                    # Napari shows the first words and folds the rest.
                    "Enter the µm per pixel in Predict: the file of "
                    f"{slide.name} does not say it, so the slide is shown in pixels. "
                    "The widget is in Plugins > Umpire > Predict. Until then napari warns of "
                    "inconsistent units where slides in µm are open too."
                )
    # napari's word for "read, and there is nothing to add": without it, a second error follows.
    return layers or [(None,)]


def _is_slide(path: Path) -> bool:
    from napari_umpire.slides.open import sniff

    kind = sniff(path)
    if kind != "image" or path.suffix.lower() not in _PLAIN:
        return kind is not None
    return _looks_like_a_slide(path)


def _looks_like_a_slide(path: Path) -> bool:
    """Whether a plain picture is RGB and large, or says that it is a slide."""
    try:
        if path.suffix.lower() in {".png", ".jpg", ".jpeg"}:
            from PIL import Image

            with Image.open(path) as picture:
                return min(picture.size) >= MIN_SIDE_PX and picture.mode in {"RGB", "RGBA", "P"}
        import tifffile

        with tifffile.TiffFile(path) as tiff:
            page = tiff.pages.first
            planes = page.samplesperpixel > 3 and page.planarconfig != tifffile.PLANARCONFIG.CONTIG
            if page.photometric not in _COLOUR or page.samplesperpixel < 3 or planes:
                return False
            said = f"{page.description} {page.software}".lower()
            return (
                min(page.imagewidth, page.imagelength) >= MIN_SIDE_PX
                or any(sign in said for sign in _SLIDE_SIGNS)
                or "physicalsizex" in said
            )
    except (OSError, ValueError, SyntaxError):
        # Not readable as what its name says: whoever else claims it may tell more.
        return False
