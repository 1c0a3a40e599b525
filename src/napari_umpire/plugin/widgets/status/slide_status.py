"""The Slide status widget: one answer for the whole slide, and the tiles that it rests on."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from qtpy.QtCore import QSignalBlocker, QSize
from qtpy.QtWidgets import (
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_umpire.errors import InputError
from napari_umpire.inference.status.words import (
    best_words,
    input_words,
    protocol_words,
    reading_words,
    trust_words,
    warning_words,
)
from napari_umpire.models.status_config import StatusConfig, list_heads, read_status
from napari_umpire.plugin.layers.spot_view import centre_on
from napari_umpire.plugin.preferences import preferences
from napari_umpire.plugin.runs.status import MAP_KEY, Asked, StatusRequest, status_steps
from napari_umpire.plugin.runs.workers import Work
from napari_umpire.plugin.session.session import session_of
from napari_umpire.plugin.widgets.parts.dock_size import dock_size
from napari_umpire.plugin.widgets.parts.form_parts import wrapping_label
from napari_umpire.plugin.widgets.parts.gallery import Gallery, GalleryItem
from napari_umpire.plugin.widgets.parts.listening import listen
from napari_umpire.plugin.widgets.parts.long_words import LongWords
from napari_umpire.plugin.widgets.parts.manners import Manners
from napari_umpire.plugin.widgets.parts.model_picker import ModelPicker
from napari_umpire.plugin.widgets.parts.places import cache_folder
from napari_umpire.plugin.widgets.parts.progress_row import GOES_ON, RESUMABLE, ProgressRow
from napari_umpire.plugin.widgets.parts.slide_combo import SlideCombo
from napari_umpire.plugin.widgets.parts.slide_gone import EndWithSlide
from napari_umpire.plugin.widgets.status.probability_bars import ProbabilityBars

if TYPE_CHECKING:
    from napari import Viewer

    from napari_umpire.plugin.session.slide_state import SlideState

__all__ = ["SlideStatusWidget"]

_SHOWN_PX = 76


class SlideStatusWidget(QWidget):
    """Asks a slide-status head about the slide, and shows what its answer rests on.

    Parameters
    ----------
    napari_viewer
        The viewer that the widget is docked in.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        self._session = session_of(napari_viewer)
        self._answers: WeakKeyDictionary[SlideState, Asked] = WeakKeyDictionary()
        self._running: SlideState | None = None
        self._shown: Asked | None = None
        self.work = Work(self)
        self._build()
        Manners(self, self.slides)
        self.work.done.connect(self._on_asked)
        self.work.ended.connect(self._update)
        self.gone = EndWithSlide(self._session, self.work, self.progress.say, after=GOES_ON)
        self.run.clicked.connect(self._on_run)
        self.cancel.clicked.connect(self._on_cancel)
        self.heads.currentIndexChanged.connect(self._update)
        self.attention.clicked.connect(self._on_attention)
        self.gallery.activated.connect(self._on_tile)
        session = self._session
        listen(self, session.model_changed, self._fill_heads)
        for signal in (session.slides_changed, session.current_changed, session.view_changed):
            listen(self, signal, self._update)
        listen(self, session.maps_changed, self._update)
        self._fill_heads()

    def sizeHint(self) -> QSize:
        """Room for three tiles in a row."""
        return dock_size(660)

    def _build(self) -> None:
        self.slides = SlideCombo(self._session)
        self.model = ModelPicker(self._session)
        self.heads = QComboBox()
        self.heads.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.heads.setToolTip("What is asked: a head in the model folder, by umpire-train mil")
        self.words = wrapping_label()
        self.run = QPushButton("Run")
        self.cancel = QPushButton("Cancel")
        self.progress = ProgressRow(self.work, cancelled=RESUMABLE)
        self.answer = wrapping_label()
        bold = self.answer.font()
        bold.setBold(True)
        self.answer.setFont(bold)
        self.warning = wrapping_label()
        self.warning.setStyleSheet("color: #e69f00")
        self.trust = wrapping_label()
        self.bars = ProbabilityBars()
        self.attention = QPushButton("Show attention on the slide")
        self.attention.setCheckable(True)
        self.attention.setToolTip(
            "Attention of the tile that each spot lies in, as a multiple of what each tile had if "
            "all had the same; again: back to the gene"
        )
        self.gallery = Gallery(shown_px=_SHOWN_PX)
        self.gallery.setToolTip("Most attended tiles; double click or Enter goes there")
        self.protocol = LongWords(6)
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Slide", self.slides)
        form.addRow("Model", self.model)
        form.addRow("Head", self.heads)
        buttons = QHBoxLayout()
        buttons.addWidget(self.run, 1)
        buttons.addWidget(self.cancel)
        self.results = QWidget()
        inside = QVBoxLayout(self.results)
        inside.setContentsMargins(0, 0, 0, 0)
        inside.addWidget(self.answer)
        inside.addWidget(self.bars)
        inside.addWidget(self.warning)
        inside.addWidget(self.trust)
        inside.addWidget(self.attention)
        inside.addWidget(self.gallery, 1)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(self.words)
        layout.addLayout(buttons)
        layout.addWidget(self.progress)
        layout.addWidget(self.results, 3)
        layout.addWidget(self.protocol, 2)

    # -- what there is to ask -------------------------------------------------------------

    def _fill_heads(self) -> None:
        """List the heads of the chosen model; what is no head is left out, with its reason."""
        before, self._problems = self.heads.currentText(), []
        with QSignalBlocker(self.heads):
            self.heads.clear()
            for folder in self._folders():
                try:
                    config = read_status(folder)
                except InputError as error:
                    self._problems.append(str(error))
                    continue
                self.heads.addItem(config.name, (folder, config))
            self.heads.setCurrentIndex(max(0, self.heads.findText(before)))
        self._update()

    def _folders(self) -> list[Path]:
        model, path = self._session.model, self._session.model_path
        if model is not None and model.source == path:
            return list_heads(model.path)
        return list_heads(Path(path).expanduser()) if path else []

    @property
    def _head(self) -> tuple[Path, StatusConfig] | None:
        return self.heads.currentData()

    def _update(self) -> None:
        state, head, busy = self._session.current, self._head, self.work.running
        self.words.setText(self._advice(state, head))
        self.words.setVisible(bool(self.words.text()))
        ready = state is not None and head is not None and state.slide.scale.mpp is not None
        self.run.setEnabled(ready and not busy)
        self.cancel.setEnabled(busy)
        for part in (self.model, self.heads):
            part.setEnabled(not busy)
        answer = None if state is None else self._answers.get(state)
        if answer is not None and state is not None and answer.slide is not state.slide:
            del self._answers[state]  # the slide was replaced, such as by one of another scale
            answer = None
        self._show(answer, head)
        with QSignalBlocker(self.attention):
            self.attention.setChecked(self._session.shown_map == MAP_KEY)
        self.attention.setEnabled(state is not None and MAP_KEY in state.maps)

    def _advice(self, state: SlideState | None, head: tuple[Path, StatusConfig] | None) -> str:
        """What is missing; "" where nothing is, or where the head says what it reads."""
        if not self._session.model_path:
            return "Choose the folder of a model that has a slide-status head."
        if head is None:
            why = f" {self._problems[0]}" if self._problems else ""
            return (
                "This model has no slide-status head that is at hand. One is trained with "
                f"umpire-train mil.{why}"
            )
        if state is None:
            return "Drop a slide into the window to ask about it."
        if state.slide.scale.mpp is None:
            return "It is not known how many µm a pixel covers: enter it in Predict."
        config = head[1]
        return f"Tells {' from '.join(config.classes)}. Reads {input_words(config.tiles)}."

    def _show(self, answer: Asked | None, head: tuple[Path, StatusConfig] | None) -> None:
        self.results.setVisible(answer is not None)
        if answer is None:
            self.protocol.say("" if head is None else protocol_words(head[1]))
            self._shown = None
            return
        if answer is self._shown:
            return
        self._shown = answer
        status = answer.status
        config = status.config
        self.answer.setText(best_words(status))
        self.warning.setText(warning_words(status))
        self.warning.setVisible(bool(self.warning.text()))
        self.trust.setText(trust_words(config))
        self.trust.setToolTip(protocol_words(config))
        self.bars.show_values(config.classes, config.colours, status.probability.tolist())
        self.protocol.say(f"{reading_words(status)}\n\n{protocol_words(config)}")
        self.gallery.show_items(
            [
                GalleryItem(
                    image,
                    f"{status.relative[tile]:.1f} × mean",
                    f"{status.attention[tile]:.1%} of the attention, "
                    f"{status.relative[tile]:.1f} times the mean of the tiles\n"
                    f"{config.tiles.field_um:g} µm across",
                )
                for tile, image in zip(answer.top, answer.crops, strict=True)
            ]
        )

    # -- what the buttons do --------------------------------------------------------------

    def _on_run(self) -> None:
        state, head = self._session.current, self._head
        if state is None or head is None or self.work.running:
            return
        wanted = preferences()
        asked = StatusRequest(
            self._session.model_path, head[0], wanted.device, wanted.batch_size, cache_folder()
        )
        self._running = state
        self.progress.begin("Starting")
        self.work.start(partial(status_steps, state.slide, asked, self._session.model))
        self.gone.watch([state.slide])
        self._update()

    def _on_cancel(self) -> None:
        self.work.cancel()
        self.cancel.setEnabled(False)
        self.progress.say("Cancelling after this batch…")

    def _on_asked(self, answer: Asked) -> None:
        state, self._running = self._running, None
        self.model.remember(answer.model.source)
        self._session.set_model(answer.model)
        if state is None or self._session.slides.get(state.name) is not state:
            self.progress.say("Done, but the slide was removed meanwhile.")
            return
        if state.slide is not answer.slide:
            self.progress.say("Done, but the slide was changed meanwhile: run again.")
            return
        self._answers[state] = answer
        bare = int((answer.spots != answer.spots).sum())  # NaN is not itself
        self.progress.say(
            f"Done: {answer.status.n_tiles:,} tiles."
            + (f" {bare:,} spots lie in no tile and stay clear." if bare else "")
        )
        self._session.set_current(state.name)
        self._session.set_map(state.name, answer.spot_map())

    def _on_attention(self, on: bool) -> None:
        self._session.show_map(MAP_KEY if on else None)

    def _on_tile(self, place: int) -> None:
        state, answer = self._session.current, self._shown
        if state is None or answer is None or self._session.viewer is None:
            return
        tile = int(answer.top[place])
        spot = answer.status.nearest_spot(tile, state.slide.yx)
        if spot is not None:
            self._session.set_spot(spot, state.name)
        centre_on(self._session.viewer, state, answer.status.tiles.yx[tile])
