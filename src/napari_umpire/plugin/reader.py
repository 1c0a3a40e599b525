"""Drag and drop: which paths are ours, and the layers they become."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_umpire.bounded import check_file
from napari_umpire.errors import InputError
from napari_umpire.faults import reading

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import tifffile
    from napari import Viewer

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

    In a window that is being used this returns at once, without layers: a thread opens the slides,
    and they are added when they are ready. A script that opens them before the event loop runs, or
    has no window, waits and gets the layers. Of several slides the first is shown.
    """
    paths = [path] if isinstance(path, str) else list(path)
    viewer = _living_window()
    if viewer is None:
        return _read_now(paths) or _NOTHING
    from napari_umpire.plugin.arrivals import arrivals_of

    arrivals_of(viewer).open(paths)
    return _NOTHING


# napari's word for "read, and there is nothing to add": without it, an error follows.
_NOTHING: list[Any] = [(None,)]


def _living_window() -> Viewer | None:
    """The window in use, where this is called from its event loop; else None."""
    from napari import current_viewer

    viewer = current_viewer()
    if viewer is None:
        return None
    from qtpy.QtCore import QThread
    from qtpy.QtWidgets import QApplication

    app, thread = QApplication.instance(), QThread.currentThread()
    if app is None or thread is None or thread is not app.thread():
        return None
    return viewer if thread.loopLevel() > 0 else None


def _read_now(paths: Sequence[str]) -> list[LayerData]:
    from napari.utils.notifications import show_error

    from napari_umpire.plugin.layers.make import slide_layer
    from napari_umpire.plugin.opening import ask_scale, open_steps
    from napari_umpire.progress import run

    layers: list[LayerData] = []
    for path in paths:
        try:
            slides = run(open_steps(path))
        except InputError as error:
            show_error(str(error))
            continue
        for slide in slides:
            data, attributes, kind = slide_layer(slide)
            layers.append((data, attributes | {"visible": not layers}, kind))
        ask_scale(slides)
    return layers


def _is_slide(path: Path) -> bool:
    from napari_umpire.slides.open import sniff

    kind = sniff(path)
    if kind != "image" or path.suffix.lower() not in _PLAIN:
        return kind is not None
    return _looks_like_a_slide(path)


def _looks_like_a_slide(path: Path) -> bool:
    """Whether a plain picture is RGB and large, or says that it is a slide."""
    try:
        check_file(path)
        if path.suffix.lower() in {".png", ".jpg", ".jpeg"}:
            from napari_umpire.slides.wholefile import opened_picture

            with opened_picture(path) as picture:
                return min(picture.size) >= MIN_SIDE_PX and picture.mode in {"RGB", "RGBA", "P"}
        import tifffile

        with reading(path.name), tifffile.TiffFile(path, _multifile=False) as tiff:
            # A slide may come after a fluorescence scan of the same section.
            return any(_shows_a_slide(one.keyframe) for one in tiff.series)
    except InputError:
        # Not readable as what its name says: whoever else claims it may tell more.
        return False


def _shows_a_slide(page: tifffile.TiffPage) -> bool:
    planes = page.samplesperpixel > 3 and page.planarconfig != 1
    if page.photometric not in _COLOUR or page.samplesperpixel < 3 or planes:
        return False
    said = f"{page.description} {page.software}".lower()
    return (
        min(page.imagewidth, page.imagelength) >= MIN_SIDE_PX
        or any(sign in said for sign in _SLIDE_SIGNS)
        or "physicalsizex" in said
    )
