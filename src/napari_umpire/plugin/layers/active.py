"""The layer that napari's layer controls are of: one that is seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_umpire.plugin.layers.titles import KEY

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Layer

    from napari_umpire.plugin.session.slide_state import SlideState

__all__ = ["leave_hidden"]


def leave_hidden(viewer: Viewer, state: SlideState, shown: Layer | None) -> None:
    """Let the layer controls go from a layer of ours that is hidden to what is seen.

    Whoever moves a slider there means the map that is seen. What the user chose, or is drawing on,
    stays as long as it can be seen; layers that are not ours stay in any case.

    Parameters
    ----------
    shown
        The map that is seen; None where there is none, such as while a signature is scored: a map
        of this slide then keeps the controls, as it is about to come back.
    """
    active = viewer.layers.selection.active
    if active is None or active.visible or KEY not in active.metadata:
        return
    if shown is None and active.metadata[KEY].get("slide") is state.slide:
        return
    target = state.image if shown is None else shown
    if target.visible and target in viewer.layers:
        viewer.layers.selection.active = target
