"""`SpotMarks`: a click asks about a spot; rings mark the asked spot and the selected ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_umpire.plugin.layers import KEY, world
from napari_umpire.plugin.raster import NO_SPOT

if TYPE_CHECKING:
    from collections.abc import Generator

    from napari import Viewer
    from napari.layers import Points

    from napari_umpire.plugin.session import Session
    from napari_umpire.plugin.slide_state import SlideState

__all__ = ["SpotMarks"]

_CLICK_PX = 4.0
"""A press that moves further over the screen is a drag."""
_ROLES = {"asked": "#ff2fd0", "selected": "#ffe600"}


class SpotMarks:
    """Hears clicks on the canvas, and keeps rings around spots in step with the session."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._rings: dict[str, Points] = {}
        session.spot_changed.connect(self.refresh)
        session.selection_changed.connect(self.refresh)
        session.current_changed.connect(self.refresh)
        session.slides_changed.connect(self.refresh)
        if session.viewer is not None:
            session.viewer.mouse_drag_callbacks.append(self._on_press)
            session.viewer.layers.events.removed.connect(self._on_removed)

    def refresh(self) -> None:
        """Put the rings of the current slide where the session says."""
        viewer, state = self._session.viewer, self._session.current
        if viewer is None:
            return
        spot = self._session.spot
        rows: dict[str, np.ndarray] = {
            "asked": np.array([spot[1]] if state and spot and spot[0] == state.name else [], int),
            "selected": self._session.selection.get(state.name if state else "", np.array([], int)),
        }
        for role, which in rows.items():
            self._ring(viewer, state, role, which)

    def _ring(self, viewer: Viewer, state: SlideState | None, role: str, rows: np.ndarray) -> None:
        from napari.layers import Points

        layer = self._rings.get(role)
        if state is None or not len(rows):
            if layer is not None:
                layer.data = np.empty((0, 2))
            return
        unit, name = world(state.slide)
        centres = state.slide.yx[rows] * unit
        size = state.raster.diameter * unit * (1.15 if role == "asked" else 1.0)
        if layer is None:
            layer = Points(
                centres,
                size=size,
                face_color="transparent",
                border_color=_ROLES[role],
                border_width=0.14,
                name=f"{role} spot" + ("" if role == "asked" else "s"),
                units=(name, name),
                metadata={KEY: {"role": role}},
            )
            self._rings[role] = layer
            active = viewer.layers.selection.active
            viewer.add_layer(layer)
            # The user goes on with what was active: rings are for looking at.
            viewer.layers.selection.active = active
            return
        layer.units = (name, name)
        layer.data = centres
        layer.size = size
        layer.face_color, layer.border_color = "transparent", _ROLES[role]
        layer.selected_data = set()

    def _on_press(self, viewer: Viewer, event: Any) -> Generator[None, None, None]:
        start = np.asarray(event.pos, float)
        yield
        moved = 0.0
        while event.type == "mouse_move":
            moved = max(moved, float(np.abs(np.asarray(event.pos, float) - start).max()))
            yield
        if moved > _CLICK_PX or event.button != 1 or event.modifiers:
            return
        active = viewer.layers.selection.active
        if active is not None and str(getattr(active, "mode", "pan_zoom")) != "pan_zoom":
            return  # the click draws, paints or selects
        state = self._session.current
        if state is None:
            return
        unit, _ = world(state.slide)
        y, x = (float(v) / unit for v in event.position[-2:])
        row = state.raster.spot_at(y, x)
        if row != NO_SPOT:
            self._session.set_spot(row)

    def _on_removed(self, event: Any) -> None:
        for role, layer in list(self._rings.items()):
            if layer is event.value:
                del self._rings[role]
