"""The view as a picture: what the canvas shows, with more px."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from napari_umpire.errors import InputError
from napari_umpire.files import replace_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from napari import Viewer

__all__ = ["save_view"]

_SIZES = ("font_size", "size", "tick_length")
"""What an overlay measures in px of the screen."""


def save_view(viewer: Viewer, path: Path, scale: float = 1.0) -> Path:
    """Write what the canvas shows as PNG, ``scale`` times as many px each way as on the screen.

    The picture shows the same tissue; words and bars grow with it.

    Raises
    ------
    InputError
        For another ending, and where the disk refuses.
    """
    if path.suffix.lower() != ".png":
        raise InputError(f"A view cannot be written as {path.name}", expected="a name in .png")
    try:
        with replace_file(path) as part, _enlarged(viewer, scale):
            # The first draws at the new zoom, by which the image's level is chosen.
            viewer.screenshot(scale=scale, canvas_only=True, flash=False)
            viewer.screenshot(str(part), scale=scale, canvas_only=True, flash=False)
    except OSError as error:
        raise InputError(
            f"The view cannot be written to {path}",
            got=error,
            fix="Make room on the disk, or choose another folder",
        ) from error
    return path


@contextmanager
def _enlarged(viewer: Viewer, scale: float) -> Iterator[None]:
    """Zoom in by ``scale``, as a larger canvas would otherwise show more tissue; then back."""
    camera = viewer.scene.camera
    zoom, centre = camera.zoom, camera.center
    overlays: list[Any] = [viewer.canvas.overlays.scale_bar]
    for layer in viewer.layers:
        if layer.visible:
            overlays += [layer.name_overlay]
            overlays += [layer.colorbar] if hasattr(layer, "colorbar") else []
    before = [
        (overlay, name, getattr(overlay, name))
        for overlay in overlays
        if overlay.visible
        for name in _SIZES
        if hasattr(overlay, name)
    ]
    try:
        for overlay, name, size in before:
            setattr(overlay, name, _times(size, scale))
        camera.zoom = zoom * scale
        camera.center = centre
        yield
    finally:
        camera.zoom = zoom
        camera.center = centre
        for overlay, name, size in before:
            setattr(overlay, name, size)


def _times(size: Any, scale: float) -> Any:
    if isinstance(size, (tuple, list)):
        return tuple(type(v)(v * scale) for v in size)
    return type(size)(size * scale)
