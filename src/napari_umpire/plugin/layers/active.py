"""The layer that napari's layer controls are of: one that is seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_umpire.plugin.layers.titles import KEY

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Layer

__all__ = ["leave_hidden"]


def leave_hidden(viewer: Viewer, shown: Layer | None) -> None:
    """Let the layer controls go from a layer of ours that is hidden to ``shown``.

    Whoever moves a slider there means the map that is seen. What the user chose, or is drawing on,
    stays as long as it can be seen; layers that are not ours stay in any case.
    """
    active = viewer.layers.selection.active
    hidden = active is not None and not active.visible and KEY in active.metadata
    if hidden and shown is not None and shown.visible and shown in viewer.layers:
        viewer.layers.selection.active = shown
