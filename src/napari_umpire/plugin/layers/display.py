"""`GeneDisplay`: keeps the map layers of a viewer in step with its session."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from napari_umpire.plugin.layers.active import leave_hidden
from napari_umpire.plugin.layers.colours import Look, gene_colormap, opacity_of
from napari_umpire.plugin.layers.drawing import find_region_layer, place_regions, show_regions_of
from napari_umpire.plugin.layers.faded import FadedMap
from napari_umpire.plugin.layers.labels import place_painted
from napari_umpire.plugin.layers.make import (
    Kind,
    add_below_marks,
    gene_layer,
    placed_as,
    placement,
    show_values,
)
from napari_umpire.plugin.layers.map_display import MapDisplay, set_visible
from napari_umpire.plugin.layers.ranges import display_range
from napari_umpire.plugin.layers.side_by_side import SideBySide, look_at, second_image
from napari_umpire.plugin.layers.titles import fit_titles

if TYPE_CHECKING:
    import numpy as np
    from napari import Viewer
    from napari.layers import Image, Layer

    from napari_umpire.plugin.session.session import Session
    from napari_umpire.plugin.session.slide_state import SlideState

__all__ = ["GeneDisplay"]

_SHARED: tuple[Kind, ...] = ("predicted", "measured")
"""Kinds that get one range where that is wanted."""


class GeneDisplay:
    """One map layer per slide and kind; switching the gene refills it in place.

    A map that the user removes comes back with the next gene; a slide that the user removes takes
    nothing else with it.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._maps: dict[tuple[SlideState, Kind], Image] = {}
        self._looks: dict[Image, Look] = {}
        self._faded: FadedMap | None = None
        self._beside = SideBySide()
        self._other: Image | None = None
        self._busy = False
        self._shown: SlideState | None = None
        self._other_maps = MapDisplay(session)
        for signal in (session.gene_changed, session.view_changed, session.current_changed):
            signal.connect(self.refresh)
        session.maps_changed.connect(self.refresh)
        session.values_changed.connect(self._on_values)
        session.slides_changed.connect(self._on_slides)
        if session.viewer is not None:
            session.viewer.layers.events.removed.connect(self._on_removed)
            session.viewer.canvas.events.size.connect(self._on_size)

    def layer(self, kind: Kind) -> Image | None:
        """The map of ``kind`` on the current slide, None where there is none yet."""
        state = self._session.current
        return None if state is None else self._maps.get((state, kind))

    @property
    def panes(self) -> tuple[Layer, ...]:
        """The layers side by side, those of the left pane first; empty where there is one pane."""
        return self._beside.panes

    def refresh(self) -> None:
        """Make the layers show what the session says."""
        viewer, state = self._session.viewer, self._session.current
        if viewer is None or self._busy:
            return
        self._busy = True
        try:
            if state is None or not self._wants_beside(state):
                self._leave(viewer)
            if state is not self._shown:
                self._leave(viewer)
                self._show_slide(state)
            shown = self._fill(viewer, state) if state is not None else ()
            if state is not None and len(shown) == 2 and not self._beside.active:
                self._enter(viewer, state)
            other = self._other_maps.refresh(viewer, state)
            fit_titles(viewer, self.panes)
            if state is not None:
                seen = self._maps[state, shown[-1]] if other is None and shown else other
                leave_hidden(viewer, state, seen)
        finally:
            self._busy = False

    # -- what to show ---------------------------------------------------------------------

    def _shows_genes(self, state: SlideState) -> bool:
        return self._session.shown_map not in state.maps

    def _wants_beside(self, state: SlideState) -> bool:
        return (
            self._session.beside
            and self._shows_genes(state)
            and {"predicted", "measured"} <= set(state.kinds)
        )

    def _kinds(self, state: SlideState) -> tuple[Kind, ...]:
        if not self._shows_genes(state):
            return ()
        if self._wants_beside(state):
            return ("measured", "predicted")
        kind = self._session.kind
        return (kind,) if kind in state.kinds else state.kinds[:1]

    def _fill(self, viewer: Viewer, state: SlideState) -> tuple[Kind, ...]:
        """Fill the maps of a slide, show the wanted ones; return the kinds that are now shown.

        Hidden maps follow too, so that the eye in the layer list blinks between two maps of the
        same gene.
        """
        gene = self._session.gene
        have = {} if gene is None else dict(state.gene_maps(gene))
        if gene is not None and ("spread" in self._kinds(state) or (state, "spread") in self._maps):
            spread = state.spread(gene)
            have |= {} if spread is None else {"spread": spread}
        shown = tuple(kind for kind in self._kinds(state) if kind in have)
        for (owner, kind), layer in self._maps.items():
            if owner is not state or kind not in shown:
                set_visible(layer, False)
        for kind in have:
            if gene is not None and (kind in shown or (state, kind) in self._maps):
                self._show(viewer, state, kind, gene, have)
        for kind in shown:
            set_visible(self._maps[state, kind], True)
        self._fade(viewer, state, shown)
        return shown

    def _fade(self, viewer: Viewer, state: SlideState, shown: tuple[Kind, ...]) -> None:
        """Draw the shown map as opaque as its spots are sure, where that is wanted.

        Not what was measured, which needs no model; not two panes, which are to be compared.
        """
        similarity = None if state.retrieval is None else state.retrieval.mean_similarity
        wanted = (
            self._session.look.opacity == "confidence"
            and similarity is not None
            and len(shown) == 1
            and shown[0] != "measured"
        )
        base = self._maps[state, shown[0]] if wanted else None
        if self._faded is not None and self._faded.base is not base:
            faded, self._faded = self._faded, None
            faded.remove(viewer)
        if base is not None and similarity is not None:
            if self._faded is None:
                self._faded = FadedMap(viewer, state, base)
            self._faded.set(opacity_of(similarity)[0])

    def _show(
        self,
        viewer: Viewer,
        state: SlideState,
        kind: Kind,
        gene: str,
        have: dict[Kind, np.ndarray],
    ) -> None:
        signature = self._session.signature
        choice = self._session.range
        if kind == "spread" or (signature is not None and signature.kind == "z-score"):
            choice = choice.own()
        pool = [have[kind]]
        if choice.shared and kind in _SHARED:
            pool = [have[other] for other in _SHARED if other in have]
        prediction = None if kind == "measured" else state.prediction
        layer, look = self._map(viewer, state, kind), self._session.look
        if self._looks.get(layer) != look:  # colours that the user gave this layer stay till then
            self._looks[layer] = look
            layer.colormap = gene_colormap(kind, look)
        show_values(
            layer,
            have[kind],
            display_range(pool, choice, symmetric=kind == "difference"),
            slide=state.slide,
            gene=gene,
            label=state.label(gene),
            run=None if prediction is None else prediction.record.provenance.get("model_digest"),
            unit=state.unit(gene),
        )

    def _map(self, viewer: Viewer, state: SlideState, kind: Kind) -> Image:
        layer = self._maps.get((state, kind))
        if layer is None:
            layer = gene_layer(state.slide, state.raster, kind)
            layer.visible = False
            self._maps[state, kind] = layer
            add_below_marks(viewer, layer)
        return layer

    def _show_slide(self, state: SlideState | None) -> None:
        """Show one slide at a time: their pixel frames have nothing to do with each other."""
        before, self._shown = self._shown, state
        if state is None:
            return
        for other in self._session.slides.values():
            set_visible(other.image, other is state)
        viewer = self._session.viewer
        if viewer is None:
            return
        show_regions_of(viewer, state)
        if before is not None:
            look_at(viewer, state.image)  # another slide has another size
        if state.slide.scale.mpp is not None:
            viewer.canvas.overlays.scale_bar.visible = True

    # -- side by side ---------------------------------------------------------------------

    def _enter(self, viewer: Viewer, state: SlideState) -> None:
        self._other = second_image(state.image)
        viewer.add_layer(self._other)
        left = (state.image, self._maps[state, "measured"])
        right = (self._other, self._maps[state, "predicted"])
        self._beside.enter(viewer, left, right)

    def _leave(self, viewer: Viewer) -> None:
        if self._beside.active:
            self._beside.leave(viewer)
        if self._other is not None:
            other, self._other = self._other, None
            if other in viewer.layers:
                viewer.layers.remove(other)

    # -- following ------------------------------------------------------------------------

    def _on_values(self, name: str) -> None:
        if self._session.slides.get(name) is self._session.current:
            self.refresh()

    def _on_slides(self) -> None:
        """A slide may have been replaced by itself at another scale: place it anew."""
        viewer = self._session.viewer
        if viewer is None:
            return
        for state in self._session.slides.values():
            step = state.slide.pyramid.levels[0].downsample
            if placed_as(state.image, state.slide, step):
                continue
            where = placement(state.slide, step)
            self._leave(viewer)
            self._other_maps.forget(viewer, state)
            for key in [key for key in self._maps if key[0] is state]:
                viewer.layers.remove(self._maps[key])
            for name, value in where.items():
                setattr(state.image, name, value)
            regions = find_region_layer(viewer, state)
            if regions is not None:
                place_regions(regions, state)
            place_painted(viewer, state)
            self._shown = None
            look_at(viewer, state.image)  # hidden slides may be larger
        self.refresh()

    def _on_size(self) -> None:
        """A dock was opened or drawn wider: the titles have another room."""
        if self._session.viewer is not None:
            fit_titles(self._session.viewer, self.panes)

    def _on_removed(self, event: Any) -> None:
        layer = event.value
        for key in [key for key, value in self._maps.items() if value is layer]:
            del self._maps[key]
            self._looks.pop(layer, None)
        faded, viewer = self._faded, self._session.viewer
        if faded is not None and layer in (faded.base, faded.layer):
            self._faded = None
            if viewer is not None:
                faded.remove(viewer)
            if layer is faded.layer and not self._busy:
                self._session.set_view(look=replace(self._session.look, opacity="even"))
        if not self._busy and layer in self._beside.panes:
            if viewer is not None:
                self._leave(viewer)
            self._session.set_view(beside=False)
