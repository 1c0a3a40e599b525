"""`Session`: what one viewer works on. Widgets read it, change it, and hear of changes by it."""

from __future__ import annotations

import weakref
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

from napari_umpire.plugin.layers.make import KEY
from napari_umpire.plugin.session.shown import Shown
from napari_umpire.plugin.session.slide_state import EmbeddingKind, SlideState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari import Viewer
    from napari.layers import Layer

    from napari_umpire.inference.classes.labels import SpotLabels
    from napari_umpire.inference.genes.measured import Measured
    from napari_umpire.inference.model import Model
    from napari_umpire.inference.predictions.prediction import GenePrediction
    from napari_umpire.inference.predictions.record import RunRecord
    from napari_umpire.plugin.session.gene_shelf import GeneShelf
    from napari_umpire.slides.slide import Slide

__all__ = ["Session", "session_of"]


class Session(Shown):
    """What one viewer works on; get it by `session_of`.

    Signals
    -------
    slides_changed
        A slide came, went or was replaced.
    current_changed
        Another slide is the one that the widgets speak of.
    values_changed(str)
        Prediction, measurement or embeddings of the slide of that name arrived.
    labels_changed(str)
        Classes of the slide of that name came, went or changed.
    maps_changed(str)
        What can be laid over the slide of that name, beside genes, came, went or changed.
    gene_changed, view_changed
        Which gene is shown; its kind, range, look or comparison, or whether another map is shown.
    model_changed
        Another model was chosen or loaded.
    spot_changed
        The spot that was asked about.
    selection_changed
        The spots that are selected, on any slide.
    layers_changed
        A layer came or went, be it ours or the user's.
    run_restored
        A run record was loaded: the form is to show `restored`.
    """

    slides_changed = Signal()
    current_changed = Signal()
    values_changed = Signal(str)
    labels_changed = Signal(str)
    model_changed = Signal()
    spot_changed = Signal()
    selection_changed = Signal()
    layers_changed = Signal()
    run_restored = Signal()

    def __init__(self, viewer: Viewer) -> None:
        super().__init__()
        self._viewer = weakref.ref(viewer)
        self.model: Model | None = None
        self._model_path = ""
        self.restored: RunRecord | None = None
        self._current: str | None = None
        self._spot: tuple[str, int] | None = None
        self._selection: dict[str, np.ndarray] = {}
        viewer.layers.events.inserted.connect(self._on_inserted)
        viewer.layers.events.removed.connect(self._on_removed)
        for layer in viewer.layers:
            self._take(layer)

    @property
    def viewer(self) -> Viewer | None:
        """The viewer, None once it is closed and gone."""
        return self._viewer()

    # -- slides ---------------------------------------------------------------------------

    @property
    def current(self) -> SlideState | None:
        """The slide that the widgets speak of."""
        return None if self._current is None else self.slides[self._current]

    def set_current(self, name: str) -> None:
        """Make another slide the one that the widgets speak of."""
        if name not in self.slides:
            raise KeyError(name)
        if name != self._current:
            self._current = name
            self.current_changed.emit()

    def replace_slide(self, name: str, slide: Slide) -> None:
        """Put ``slide``, such as one with its scale now known, in place of the one at ``name``.

        What was computed for the old one is dropped: it was made at another scale. What was
        measured, and classes, stay where the spots are the same.
        """
        state = self.slides[name]
        same_spots = state.slide.spots.equals(slide.spots)
        state.slide = slide
        state.forget_all(same_spots=same_spots)
        state.image.metadata[KEY]["slide"] = slide
        state.image.metadata["sdata"] = slide.sdata
        self._forget_spots(name)
        self.slides_changed.emit()

    def set_prediction(self, name: str, prediction: GenePrediction) -> None:
        """Keep what was predicted for a slide."""
        self.slides[name].prediction = prediction
        self.slides[name].forget_genes()
        self.values_changed.emit(name)

    def set_measured(self, name: str, measured: Measured) -> None:
        """Keep what was measured on a slide."""
        self.slides[name].measured = measured
        self.slides[name].forget_genes()
        self.values_changed.emit(name)

    def set_embeddings(
        self, name: str, kind: EmbeddingKind, embeddings: np.ndarray, model_digest: str
    ) -> None:
        """Keep embeddings of a slide, (n_spots, dim) float32, and which model made them."""
        self.slides[name].embeddings[kind] = (embeddings, model_digest)
        self.values_changed.emit(name)

    def set_labels(self, name: str, labels: SpotLabels) -> None:
        """Keep classes of a slide's spots; they replace those of the same name."""
        self.slides[name].labels[labels.name] = labels
        self.labels_changed.emit(name)

    def set_model(self, model: Model) -> None:
        """Keep a loaded model for the next run."""
        self.model = model
        self._model_path = model.source
        self.model_changed.emit()

    @property
    def model_path(self) -> str:
        """The folder or hub name of the model to use, "" while none was chosen."""
        return self._model_path

    def choose_model(self, path: str) -> None:
        """Name the model to use; it is loaded by the run that needs it first."""
        if path != self._model_path:
            self._model_path = path
            self.model_changed.emit()

    def restore_run(self, record: RunRecord) -> None:
        """Ask the form of the next run to show that of a record."""
        self.restored = record
        self.choose_model(record.model)
        self.run_restored.emit()

    # -- spots ----------------------------------------------------------------------------

    @property
    def spot(self) -> tuple[str, int] | None:
        """The spot that was asked about: name of the slide, row in its spots."""
        return self._spot

    def set_spot(self, row: int | None, name: str | None = None) -> None:
        """Ask about a spot, of the current slide unless named; None: about none."""
        name = name or self._current
        spot = None if row is None or name is None else (name, int(row))
        if spot is not None and not 0 <= spot[1] < self.slides[spot[0]].slide.n_spots:
            raise IndexError(row)
        if spot != self._spot:
            self._spot = spot
            self.spot_changed.emit()

    @property
    def selection(self) -> Mapping[str, np.ndarray]:
        """Rows of the selected spots by name of the slide, int64 ascending; none is left out."""
        return self._selection

    def select(self, selection: Mapping[str, np.ndarray]) -> None:
        """Select these spots, and no others."""
        new = {
            name: np.unique(np.asarray(rows, np.int64))
            for name, rows in selection.items()
            if name in self.slides and len(rows)
        }
        same = new.keys() == self._selection.keys() and all(
            np.array_equal(rows, self._selection[name]) for name, rows in new.items()
        )
        if not same:
            self._selection = new
            self.selection_changed.emit()

    def _forget_spots(self, name: str) -> None:
        if self._spot is not None and self._spot[0] == name:
            self._spot = None
            self.spot_changed.emit()
        self.select({k: v for k, v in self._selection.items() if k != name})

    # -- following the layer list ---------------------------------------------------------

    def _on_inserted(self, event: Any) -> None:
        before = self._current
        if self._take(event.value):
            self.slides_changed.emit()
            if self._current != before:
                self.current_changed.emit()
        self.layers_changed.emit()

    def _take(self, layer: Layer) -> bool:
        ours = layer.metadata.get(KEY)
        if not ours or ours.get("role") != "image":
            return False
        name, number = ours["slide"].name, 2
        while name in self.slides:
            name, number = f"{ours['slide'].name} ({number})", number + 1
        self.slides[name] = SlideState(name, ours["slide"], layer, signatures=self._signatures)
        # The slide that was opened last lies on top, and is the one that the user means; of a
        # store with several sections only the first is visible.
        if self._current is None or layer.visible:
            self._current = name
        return True

    def _on_removed(self, event: Any) -> None:
        gone = [n for n, state in self.slides.items() if state.image is event.value]
        for name in gone:
            self._forget_spots(name)
            del self.slides[name]
            if self._current == name:
                self._current = next(reversed(self.slides), None)
        if gone:
            self.slides_changed.emit()
        self.layers_changed.emit()

    @cached_property
    def shelf(self) -> GeneShelf:
        """Favourites and gene lists of the user."""
        from napari_umpire.plugin.session.gene_shelf import GeneShelf, shelf_file

        return GeneShelf(shelf_file())

    @cached_property
    def display(self) -> Any:
        """Keeps the map layers in step with this session."""
        from napari_umpire.plugin.layers.display import GeneDisplay

        return GeneDisplay(self)

    @cached_property
    def spot_display(self) -> Any:
        """Keeps the marks on the asked and the selected spots in step with this session."""
        from napari_umpire.plugin.layers.spot_marks import SpotMarks

        return SpotMarks(self)

    @cached_property
    def scoring(self) -> Any:
        """Scores large signatures in a thread."""
        from napari_umpire.plugin.session.scoring import SignatureScoring

        return SignatureScoring(self)

    @cached_property
    def tissue_layers(self) -> Any:
        """Outline of the tissue and preview of the spots, as far as they are drawn."""
        from napari_umpire.plugin.layers.tissue import TissueLayers

        return TissueLayers(self)


_sessions: weakref.WeakKeyDictionary[Viewer, Session] = weakref.WeakKeyDictionary()


def session_of(napari_viewer: Viewer) -> Session:
    """The one session of a viewer, made when first asked for.

    Parameters
    ----------
    napari_viewer
        The viewer, or the proxy of it that napari hands to a plugin's widget.
    """
    viewer = getattr(napari_viewer, "__wrapped__", napari_viewer)
    session = _sessions.get(viewer)
    if session is None:
        session = _sessions[viewer] = Session(viewer)
        session.display.refresh()
        session.spot_display.refresh()
        session.scoring.look()
    return session
