"""Two maps side by side on the same tissue, by napari's own grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_umpire.plugin.layers.make import KEY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari import Viewer
    from napari.layers import Image, Layer

__all__ = ["SideBySide", "look_at", "second_image"]


def second_image(image: Image) -> Image:
    """Another layer of the same slide image, for the other pane; it shares the pixels."""
    from napari.layers import Image

    return Image(
        list(image.data),
        name=f"{image.name} (beside)",
        rgb=True,
        multiscale=True,
        contrast_limits=(0, 255),
        scale=image.scale,
        translate=image.translate,
        units=image.units,
        metadata={
            "sdata": image.metadata["sdata"],
            KEY: {**image.metadata[KEY], "role": "beside"},
        },
    )


@dataclass
class _Before:
    """What the user had, to be given back."""

    grid: dict[str, Any]
    camera: tuple[tuple[float, ...], float]
    order: list[Layer]
    visible: dict[Layer, bool]


class SideBySide:
    """Shows two stacks of two layers in two panes, pan and zoom linked, until left."""

    def __init__(self) -> None:
        self._before: _Before | None = None
        self.panes: tuple[Layer, ...] = ()

    @property
    def active(self) -> bool:
        """Whether the panes are shown."""
        return self._before is not None

    def enter(self, viewer: Viewer, left: Sequence[Layer], right: Sequence[Layer]) -> None:
        """Show ``left`` (bottom layer first) beside ``right``; all must be in the viewer."""
        if len(left) != len(right):
            raise ValueError("both panes need the same number of layers")
        grid, camera = viewer.canvas.grid, viewer.scene.camera
        self._before = _Before(
            {name: getattr(grid, name) for name in ("enabled", "stride", "shape", "spacing")},
            (camera.center, camera.zoom),
            list(viewer.layers),
            {layer: layer.visible for layer in viewer.layers},
        )
        self.panes = (*left, *right)
        # The grid counts layers from the bottom, hidden ones too, so the panes go lowest.
        _reorder(viewer, [*self.panes, *(v for v in viewer.layers if v not in self.panes)])
        for layer in viewer.layers:
            layer.visible = layer in self.panes
        grid.stride, grid.shape, grid.spacing = len(left), (1, 2), 4
        grid.enabled = True
        look_at(viewer, left[-1])  # the map: a slide may be mostly glass
        viewer.layers.selection.active = right[-1]

    def leave(self, viewer: Viewer) -> None:
        """Give back grid, camera, order and visibility as they were."""
        before, self._before, self.panes = self._before, None, ()
        if before is None:
            return
        grid, camera = viewer.canvas.grid, viewer.scene.camera
        grid.enabled = before.grid["enabled"]
        for name in ("stride", "shape", "spacing"):
            setattr(grid, name, before.grid[name])
        new = [v for v in viewer.layers if v not in before.order]
        _reorder(viewer, [v for v in before.order if v in viewer.layers] + new)
        for layer, visible in before.visible.items():
            if layer in viewer.layers:
                layer.visible = visible
        camera.center, camera.zoom = before.camera


def look_at(viewer: Viewer, layer: Layer) -> None:
    """Fit ``layer`` into the pane, whatever the size of the hidden ones."""
    viewer.reset_view()
    low, high = layer.extent.world[:, -2:]
    all_low, all_high = viewer.layers.extent.world[:, -2:]
    larger = float(np.min((all_high - all_low) / np.maximum(high - low, 1e-9)))
    viewer.scene.camera.center = (0.0, *((low + high) / 2))
    viewer.scene.camera.zoom *= max(1.0, 0.95 * larger)


def _reorder(viewer: Viewer, order: Sequence[Layer]) -> None:
    for place, layer in enumerate(order):
        here = viewer.layers.index(layer)
        if here != place:
            viewer.layers.move(here, place)
