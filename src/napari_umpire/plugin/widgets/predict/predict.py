"""The Predict widget: a slide, a model, Run."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from napari_umpire.errors import InputError
from napari_umpire.plugin.arrivals import arrivals_of
from napari_umpire.plugin.opening import is_record, slide_of
from napari_umpire.plugin.runs.predict import (
    Predicted,
    PredictOptions,
    predict_steps,
    rescale_steps,
)
from napari_umpire.plugin.runs.workers import Work
from napari_umpire.plugin.session.session import session_of
from napari_umpire.plugin.widgets.parts.listening import listen
from napari_umpire.plugin.widgets.parts.manners import Manners
from napari_umpire.plugin.widgets.parts.places import cache_folder
from napari_umpire.plugin.widgets.parts.progress_row import GOES_ON
from napari_umpire.plugin.widgets.parts.slide_gone import EndWithSlide
from napari_umpire.plugin.widgets.predict.opener import accept_paths, dropped_paths
from napari_umpire.plugin.widgets.predict.predict_form import PredictForm
from napari_umpire.plugin.words.method import result_words
from napari_umpire.plugin.words.model_peek import HubModel, ModelPeek
from napari_umpire.plugin.words.record import record_words
from napari_umpire.plugin.words.scale import dropped_words
from napari_umpire.plugin.words.slide import SlideCard, slide_card

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari import Viewer
    from qtpy.QtGui import QDragEnterEvent, QDropEvent

    from napari_umpire.inference.predictions.record import Method, RunRecord
    from napari_umpire.plugin.session.slide_state import SlideState
    from napari_umpire.progress import Progress
    from napari_umpire.slides.slide import Slide

__all__ = ["PredictWidget"]

_NO_SLIDE = (
    "Drop a slide here or into the window: a Space Ranger folder, a SpatialData store, a "
    "whole-slide file or a large picture. A run record dropped here fills this form."
)


class PredictWidget(PredictForm):
    """Predicts the genes of a slide with a model; the result is shown as a map.

    Parameters
    ----------
    napari_viewer
        The viewer that the widget is docked in.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        self._session = session_of(napari_viewer)
        self._viewer = napari_viewer
        # What the run under way is of: by object, since names may be given anew meanwhile.
        self._running: tuple[Slide, PredictOptions] | None = None
        self._rescaling: Slide | None = None
        self._changing: Slide | None = None
        self._reference: tuple[str, str] | None = None
        self._looked: ModelPeek | HubModel | str | None = None
        self._restored = ""
        self.work, self.scaling = Work(self), Work(self)
        self._arrivals = arrivals_of(napari_viewer)
        self.opening = self._arrivals.work
        self.setAcceptDrops(True)
        self._build(self._session, self.work)
        Manners(self, self.slides)
        self.work.done.connect(self._on_predicted)
        self.work.ended.connect(self._update)
        self.gone = EndWithSlide(self._session, self.work, self.progress.say, after=GOES_ON)
        self.scaling.done.connect(self._on_rescaled)
        self.scaling.failed.connect(self.progress.say)
        self.scaling.ended.connect(self._update)
        self.opening.progressed.connect(self._on_opening)
        self._arrivals.opened.connect(self._on_opened)
        self.opening.failed.connect(self.progress.say)
        self.opening.ended.connect(self._update)
        self._arrivals.idle.connect(self._update)
        self.opener.chosen.connect(self.open)
        self.scale.answered.connect(self._on_scale)
        self.scale.reverted.connect(partial(self._on_scale, None))
        self.scale.dismissed.connect(self._on_kept)
        self.card.change.clicked.connect(self._on_change)
        self.run.clicked.connect(self._on_run)
        self.cancel.clicked.connect(self._on_cancel)
        self.surveyor.changed.connect(self._update)
        self.method.currentIndexChanged.connect(self._update)
        listen(self, self._session.model_changed, self._update)
        listen(self, self._session.run_restored, self._on_restored)
        listen(self, self._session.slides_changed, self._update)
        listen(self, self._session.current_changed, self._update)
        self._update()
        self._on_restored()

    # -- what the form says ---------------------------------------------------------------

    def _update(self) -> None:
        state = self._session.current
        card = self._show_card(state)
        busy = self.work.running or self.scaling.running or self._arrivals.running
        asked = state
        if card is None or state is None or not (card.asks_scale or state.slide is self._changing):
            asked = None
        self.scale.ask(asked)
        self._form.setRowVisible(self.scale, asked is not None)
        methods = self._methods
        self._form.setRowVisible(self.method, len(methods) > 1)
        self._form.setRowVisible(self._references, "decoder" not in (self._method, *methods[:1]))
        obstacle = "Open a slide first." if card is None else card.obstacle
        self.run.setEnabled(not obstacle and not busy)
        self.run.setToolTip(obstacle or ("Wait for the work under way" if busy else ""))
        self.cancel.setEnabled(self.work.running)
        self.let_edit(not busy)

    @property
    def _methods(self) -> tuple[Method, ...]:
        """How the chosen model predicts; empty where that cannot be looked up."""
        model = self._looked
        if not isinstance(model, ModelPeek):
            return ()
        # A run that was restored may have had another reference than the model's own.
        if self._other_reference is not None and model.aligned and not model.has_reference:
            return ("retrieval", *model.methods)
        return model.methods

    @property
    def _other_reference(self) -> str | None:
        """The reference of a restored run, as long as its model is chosen."""
        same = self._reference is not None and self._reference[0] == self.model.value
        return self._reference[1] if same and self._reference is not None else None

    @property
    def _method(self) -> Method | Literal["auto"]:
        """The choice, where there is one."""
        return self.method.currentData() if len(self._methods) > 1 else "auto"

    def _show_card(self, state: SlideState | None) -> SlideCard | None:
        model = self._looked = self.model.look()
        folder = Path(self.model.value).expanduser() if isinstance(model, ModelPeek) else None
        survey = self.surveyor.ask(state, folder)
        if state is None:
            self.card.say(_NO_SLIDE)
            return None
        card = slide_card(state.slide, model, survey, self._method)
        self.card.show_card(card)
        return card

    # -- opening --------------------------------------------------------------------------

    def open(self, paths: Sequence[str | Path]) -> None:
        """Open slides with this plugin's reader; the first run record fills the form instead."""
        record = next((p for p in paths if is_record(p)), None)
        if record is not None:
            self._restore_file(record)
        elif paths:
            self._restored = ""
            self._arrivals.open(list(paths))
            self._update()

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:
        """Take slides and run records."""
        if event is not None:
            accept_paths(event)

    def dropEvent(self, event: QDropEvent | None) -> None:
        """Open what was dropped."""
        if event is not None:
            event.acceptProposedAction()
            self.open(dropped_paths(event))

    def _on_opening(self, step: Progress) -> None:
        # Where the work ended while another listener handled events, its end was said already.
        if self.opening.running:
            self.progress.say(f"{step.stage}…")

    def _on_opened(self, slides: list[Slide]) -> None:
        names = ", ".join(slide.name for slide in slides)
        self.progress.say(f"Opened {names}. {self._restored}".strip())

    # -- a run record ---------------------------------------------------------------------

    def restore(self, record: RunRecord) -> None:
        """Fill the form as it was for a run, and open its slide where that is not open."""
        self._session.restored, self._restored = None, ""
        self._reference = None if record.reference is None else (record.model, record.reference)
        self.show_record(record)
        said = f"The form is as it was for that run.\n{record_words(record)}"
        name = slide_of(self._session, record.slide, record.region)
        if name is not None:
            self._session.set_current(name)
            slide = self._session.slides[name].slide
            if record.mpp is not None and slide.scale.mpp != record.mpp:
                self._on_scale(record.mpp)
            self._restored = f"{name} is open already. {said}"
            self.progress.say(self._restored)
        elif not Path(record.slide).exists():
            self.progress.say(
                f"The slide {record.slide} is not there: open it from where it is now. {said}"
            )
        else:
            options: dict[str, Any] = {"region": record.region, "image": record.image}
            if record.provenance.get("mpp_source", "user") == "user":
                options["mpp"] = record.mpp  # the files would not say it
            self._restored = said
            self._arrivals.open([record.slide], **options)
            self._update()

    def _on_restored(self) -> None:
        """Another widget asked for the form of a run, maybe before this one was opened."""
        if self._session.restored is not None:
            self.restore(self._session.restored)

    def _restore_file(self, path: str | Path) -> None:
        from napari.utils.notifications import show_error

        from napari_umpire.inference.predictions.record import RunRecord

        try:
            self.restore(RunRecord.read(path))
        except InputError as error:
            show_error(str(error))
            self.progress.say(str(error))

    # -- scale ----------------------------------------------------------------------------

    def _on_change(self) -> None:
        """A scale that is known is to be overruled."""
        state = self._session.current
        if state is not None:
            self._changing = state.slide
            self._update()
            self.scale.mpp.setFocus()
            self.scale.mpp.selectAll()

    def _on_kept(self) -> None:
        self._changing = None
        self._update()
        self.card.change.setFocus()

    def _on_scale(self, mpp: float | None) -> None:
        """Give the current slide another scale, um per px; None: what its files state."""
        state = self._session.current
        if state is None or self.scaling.running:
            return
        self._rescaling = state.slide
        self.progress.say("Finding the tissue…")
        self.scaling.start(partial(rescale_steps, state.slide, mpp))
        self._update()

    def _on_rescaled(self, slide: Slide) -> None:
        state = self._state_of(self._rescaling)
        self._rescaling = self._changing = None
        said = self._restored
        if state is not None:
            said = " ".join(filter(None, (said, dropped_words(state))))
            self.scale.ask(None)
            self._session.replace_slide(state.name, slide)
        self.progress.say(said)

    # -- running --------------------------------------------------------------------------

    def options(self) -> PredictOptions:
        """What the form says."""
        return PredictOptions(
            self.model.value,
            method=self._method,
            device=self.device.currentText(),
            k=self.k.value(),
            weighting=self.weighting.currentData(),
            batch_size=self.batch.value(),
            reference=None if self._method == "decoder" else self._other_reference,
            cache=cache_folder(),
        )

    def _on_run(self) -> None:
        state = self._session.current
        if state is None or self.work.running:
            return
        options = self.options()
        self._running = (state.slide, options)
        self._restored = ""
        self.progress.begin("Starting")
        self.work.start(partial(predict_steps, state.slide, options, self._session.model))
        self.gone.watch([state.slide])
        self._update()

    def _on_cancel(self) -> None:
        self.work.cancel()
        self.cancel.setEnabled(False)
        self.progress.say("Cancelling after this batch…")

    def _on_predicted(self, done: Predicted) -> None:
        assert self._running is not None
        slide, options = self._running
        self.model.remember(options.model)
        # Another model may have been chosen in another widget meanwhile: that choice stands.
        if self._session.model_path in ("", options.model):
            self._session.set_model(done.model)
        state = self._state_of(slide)
        if state is None:
            self.progress.say("Done, but the slide was removed meanwhile.")
            return
        prediction = done.prediction
        resumed = f" ({self.progress.resumed})" if self.progress.resumed else ""
        self._session.set_prediction(state.name, prediction)
        self.progress.say(
            f"Done: {state.name}, {slide.n_spots:,} spots{resumed}, {result_words(state)}"
        )
        self._session.set_current(state.name)
        if self._session.gene is None or not state.knows(self._session.gene):
            self._session.set_gene(state.genes.key_of_predicted(done.opening_gene))
        self._session.set_view(kind="predicted")
        self._viewer.window.add_plugin_dock_widget("napari-umpire", "Gene maps", tabify=True)

    def _state_of(self, slide: Slide | None) -> SlideState | None:
        """Where a slide is now: None once it was removed, or replaced at another scale."""
        return next((s for s in self._session.slides.values() if s.slide is slide), None)
