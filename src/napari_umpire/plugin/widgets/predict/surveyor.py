"""Finds tissue and shared genes of the current slide in a thread, and draws what is wanted."""

from __future__ import annotations

import weakref
from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, QSignalBlocker, Signal

from napari_umpire.inference.survey import Survey, survey_steps
from napari_umpire.plugin.runs.predict import raster_steps
from napari_umpire.plugin.runs.workers import Work

if TYPE_CHECKING:
    from pathlib import Path

    from napari_umpire.plugin.layers.tissue import Part
    from napari_umpire.plugin.session.session import Session
    from napari_umpire.plugin.session.slide_state import SlideState
    from napari_umpire.plugin.widgets.predict.slide_card import SlideCardView
    from napari_umpire.slides.slide import Slide

__all__ = ["Surveyor"]


class Surveyor(QObject):
    """Answers `ask`; ``changed`` tells that a better answer is there.

    Parameters
    ----------
    card
        Its switches say what is to be drawn.
    """

    changed = Signal()

    def __init__(self, session: Session, card: SlideCardView) -> None:
        super().__init__(card)
        self._session, self._card = session, card
        self._layers = session.tissue_layers
        self._known: weakref.WeakKeyDictionary[Slide, tuple[Path | None, Survey]] = (
            weakref.WeakKeyDictionary()
        )
        self._asked: tuple[Slide, Path | None] | None = None
        self.work, self.drawing = Work(self), Work(self)
        self.work.done.connect(self._on_surveyed)
        self.work.failed.connect(self._on_failed)
        self.work.ended.connect(self.changed)
        self.drawing.done.connect(self._on_raster)
        card.outline.clicked.connect(partial(self._on_switch, "tissue"))
        card.spots.clicked.connect(partial(self._on_switch, "spots"))

    def ask(self, state: SlideState | None, model: Path | None) -> Survey | None:
        """What is known of a slide and a model folder by now; starts to find out what is not."""
        if state is None or state.slide.scale.mpp is None:
            return None
        self._show_switches(state)
        known = self._known.get(state.slide)
        if known is not None and known[0] == model:
            self._draw(state, known[1])
            return known[1]
        if not self.work.running:
            self._asked = (state.slide, model)
            self.work.start(partial(survey_steps, state.slide, model))
        # Tissue does not depend on the model.
        return None if known is None else Survey(known[1].tissue, None)

    def _on_surveyed(self, survey: Survey) -> None:
        if self._asked is not None:
            self._known[self._asked[0]] = (self._asked[1], survey)
            self._asked = None

    def _on_failed(self, _sentence: str) -> None:
        self._on_surveyed(Survey(None, None))  # said by now; asking again would say it again

    def _show_switches(self, state: SlideState) -> None:
        for box, part in ((self._card.outline, "tissue"), (self._card.spots, "spots")):
            with QSignalBlocker(box):
                box.setChecked(self._layers.wanted(state, part))

    def _draw(self, state: SlideState, survey: Survey) -> None:
        if self._session.current is not state:
            return
        if self._layers.wanted(state, "tissue") and survey.tissue is not None:
            self._layers.show_tissue(state, survey.tissue)
        if self._layers.wanted(state, "spots"):
            self._prepare_spots(state)

    def _on_switch(self, part: Part, wanted: bool) -> None:
        state = self._session.current
        if state is not None:
            self._layers.want(state, part, wanted)
            known = self._known.get(state.slide)
            if known is not None:
                self._draw(state, known[1])

    def _prepare_spots(self, state: SlideState) -> None:
        if self._layers.layer(state, "spots") is None and not self.drawing.running:
            self.drawing.start(partial(raster_steps, state.slide))

    def _on_raster(self, slide: Slide) -> None:
        state = self._session.current
        if state is not None and state.slide is slide and self._layers.wanted(state, "spots"):
            self._layers.show_spots(state)
