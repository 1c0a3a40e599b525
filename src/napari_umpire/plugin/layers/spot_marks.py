"""`SpotMarks`: a click asks about a spot; rings mark the asked spot and the selected ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_umpire.plugin.layers.colours import ASKED, SELECTED
from napari_umpire.plugin.layers.make import KEY, world
from napari_umpire.plugin.layers.raster import NO_SPOT

if TYPE_CHECKING:
    from collections.abc import Generator

    from napari import Viewer
    from napari.layers import Layer, Points

    from napari_umpire.plugin.session.session import Session
    from napari_umpire.plugin.session.slide_state import SlideState

__all__ = ["SpotMarks"]

_CLICK_PX = 4.0
"""A press that moves further over the screen is a drag."""
_ROLES = {"asked": ASKED, "selected": SELECTED}


class SpotMarks:
    """Hears clicks on the canvas, and keeps rings around spots in step with the session.

    Side by side each pane has rings of its own. napari deals layers out to the panes by their
    place in the list, so many to each in turn: the rings of two panes fill one whole turn, empty
    ones too, and every other layer stays in its pane.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._rings: dict[str, Points] = {}
        self._panes: tuple[Layer, ...] = ()
        self._pane_rings: list[tuple[str, Points]] = []
        self._busy = False
        for signal in (
            session.spot_changed,
            session.selection_changed,
            session.current_changed,
            session.slides_changed,
            session.values_changed,
            session.gene_changed,
            session.view_changed,
            session.maps_changed,
        ):
            signal.connect(self.refresh)
        if session.viewer is not None:
            session.viewer.mouse_drag_callbacks.append(self._on_press)
            session.viewer.layers.events.removed.connect(self._on_removed)

    def refresh(self) -> None:
        """Put the rings of the current slide where the session says."""
        viewer, state = self._session.viewer, self._session.current
        if viewer is None or self._busy:
            return
        spot = self._session.spot
        rows: dict[str, np.ndarray] = {
            "asked": np.array([spot[1]] if state and spot and spot[0] == state.name else [], int),
            "selected": self._session.selection.get(state.name if state else "", np.array([], int)),
        }
        self._busy = True
        try:
            self._follow_panes(viewer, state, any(len(which) for which in rows.values()))
            for role, layer in self._pane_rings:
                _place(layer, state, role, rows[role])
            for role, which in rows.items():
                self._ring(viewer, state, role, which)
        finally:
            self._busy = False

    # -- one pane -------------------------------------------------------------------------

    def _ring(self, viewer: Viewer, state: SlideState | None, role: str, rows: np.ndarray) -> None:
        layer = self._rings.get(role)
        if layer is not None and layer not in viewer.layers:
            # A layer that went before it may have been told of first.
            layer = None
            del self._rings[role]
        if layer is None and not self._pane_rings and state is not None and len(rows):
            layer = self._rings[role] = _new_ring(state, role)
            _place(layer, state, role, rows)
            _add(viewer, layer)
        elif layer is not None:
            _place(layer, state, role, rows)
            if len(rows) and not self._pane_rings:
                _raise(viewer, layer)

    # -- two panes ------------------------------------------------------------------------

    def _follow_panes(self, viewer: Viewer, state: SlideState | None, marked: bool) -> None:
        """Have rings in each pane where there are two panes, and something to mark."""
        panes = self._session.display.panes
        if self._pane_rings and (panes != self._panes or not marked):
            self._drop_pane_rings(viewer)
        # Two layers to a pane, as many as there are sorts of rings.
        fits = len(panes) == 2 * len(_ROLES)
        if fits and state is not None and marked and not self._pane_rings:
            self._panes = panes
            for number in (0, 1):
                for role in _ROLES:
                    layer = _new_ring(state, role)
                    layer.metadata[KEY]["pane"] = number
                    layer.name += (" (left)", " (right)")[number]
                    place = len(panes) + len(self._pane_rings)
                    self._pane_rings.append((role, layer))
                    _add(viewer, layer, place)

    def _drop_pane_rings(self, viewer: Viewer) -> None:
        rings, self._pane_rings, self._panes = self._pane_rings, [], ()
        for _, layer in rings:
            if layer in viewer.layers:
                viewer.layers.remove(layer)

    # -- the mouse ------------------------------------------------------------------------

    def _on_press(self, viewer: Viewer, event: Any) -> Generator[None, None, None]:
        start = np.asarray(event.pos, float)
        yield
        moved = 0.0
        while event.type == "mouse_move":
            moved = max(moved, _apart(event, start))
            yield
        moved = max(moved, _apart(event, start))  # a busy window drops moves, never the release
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
        viewer = self._session.viewer
        if viewer is not None and any(layer is event.value for _, layer in self._pane_rings):
            self._drop_pane_rings(viewer)  # the rest would no longer fill a whole turn


def _apart(event: Any, start: np.ndarray) -> float:
    """How far the mouse is from where it was pressed, screen px."""
    return float(np.abs(np.asarray(event.pos, float) - start).max())


def _new_ring(state: SlideState, role: str) -> Points:
    from napari.layers import Points

    _, unit = world(state.slide)
    units = (unit, unit)  # napari wants one unit of all layers
    return Points(
        np.empty((0, 2)),
        face_color="transparent",
        border_color=_ROLES[role],
        border_width=0.14,
        units=units,
        name=f"{role} spot" + ("" if role == "asked" else "s"),
        metadata={KEY: {"role": role}},
    )


def _add(viewer: Viewer, layer: Points, place: int | None = None) -> None:
    """Add a ring; the user goes on with what was active: rings are for looking at."""
    active = viewer.layers.selection.active
    viewer.add_layer(layer)
    if place is not None and viewer.layers.index(layer) != place:
        viewer.layers.move(viewer.layers.index(layer), place)
    viewer.layers.selection.active = active


def _raise(viewer: Viewer, layer: Points) -> None:
    """Put a ring above our pictures, such as a slide opened later; what is drawn may cover it."""
    from napari.layers import Image

    above = viewer.layers[viewer.layers.index(layer) + 1 :]
    if any(isinstance(other, Image) and KEY in other.metadata for other in above):
        active = viewer.layers.selection.active
        viewer.layers.move(viewer.layers.index(layer), len(viewer.layers))
        viewer.layers.selection.active = active


def _place(layer: Points, state: SlideState | None, role: str, rows: np.ndarray) -> None:
    """Put the rings of a layer around these spots."""
    if state is None or not len(rows):
        layer.data = np.empty((0, 2))
        return
    unit, name = world(state.slide)
    layer.units = (name, name)
    layer.data = state.slide.yx[rows] * unit
    if not layer.visible:
        layer.set_view_slice()  # napari would look at the new data by the view of the old
    layer.size = state.raster.diameter * unit * (1.15 if role == "asked" else 1.0)
    layer.face_color, layer.border_color = "transparent", _ROLES[role]
    layer.selected_data = set()
