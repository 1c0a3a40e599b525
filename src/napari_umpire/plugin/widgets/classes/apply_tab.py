"""Keeps probes in the model folder, and applies them to the slide that is shown."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_umpire.errors import InputError
from napari_umpire.inference.classes.probe_file import PROBES, list_probes, load_probe
from napari_umpire.inference.classes.words import probe_words
from napari_umpire.plugin.preferences import preferences
from napari_umpire.plugin.runs.classes import (
    Applied,
    Saved,
    apply_steps,
    local_folder,
    save_steps,
)
from napari_umpire.plugin.runs.embedding import keep, request
from napari_umpire.plugin.runs.workers import Work
from napari_umpire.plugin.widgets.parts.listening import listen
from napari_umpire.plugin.widgets.parts.places import cache_folder
from napari_umpire.plugin.widgets.parts.slide_gone import EndWithSlide
from napari_umpire.plugin.words.scale import scale_asked

if TYPE_CHECKING:
    from napari_umpire.inference.classes.probe import LinearProbe
    from napari_umpire.plugin.session.session import Session

__all__ = ["ApplyTab"]

_TRAINED = "just trained"


class ApplyTab(QWidget):
    """A list of probes, what the chosen one is, Apply and Save.

    Signals
    -------
    started()
        Work is under way.
    chosen(LinearProbe or None)
        Another probe is the chosen one.
    applied(Applied)
        Classes of the current slide by a probe.
    said(str)
        A sentence for the user.
    """

    started = Signal()
    chosen = Signal(object)
    applied = Signal(object)
    said = Signal(str)

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._trained: LinearProbe | None = None
        self._shown: LinearProbe | None = None
        self._read: dict[str, LinearProbe] = {}
        self.work = Work(self)
        self._build()
        self.probes.currentIndexChanged.connect(self._show)
        self.apply.clicked.connect(self._on_apply)
        self.save.clicked.connect(self._on_save)
        self.name.returnPressed.connect(self._on_save)
        self.gone = EndWithSlide(session, self.work, self.said.emit)
        self.work.done.connect(self._on_done)
        self.work.ended.connect(self._show)
        listen(self, session.model_changed, self._fill)
        listen(self, session.current_changed, self._show)
        listen(self, session.slides_changed, self._show)
        self._fill()

    def _build(self) -> None:
        self.probes = QComboBox()
        self.probes.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.probes.setToolTip(
            f"The probe trained last, and those in {PROBES}/ of the model folder"
        )
        self.apply = QPushButton("Apply to this slide")
        self.words = QLabel()
        self.words.setWordWrap(True)
        self.words.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.name = QLineEdit()
        self.name.setPlaceholderText("name of the probe")
        self.save = QPushButton("Save")
        self.keep_box = QGroupBox("Keep the probe trained last")
        self.keep_box.setToolTip("In the model folder")
        line = QHBoxLayout(self.keep_box)
        line.addWidget(self.name, 1)
        line.addWidget(self.save)
        layout = QVBoxLayout(self)
        layout.addWidget(self.probes)
        layout.addWidget(self.apply)
        layout.addWidget(self.keep_box)
        layout.addWidget(self.words)
        layout.addStretch(1)

    def set_trained(self, probe: LinearProbe) -> None:
        """Offer a probe that was just trained."""
        self._trained = probe
        self.name.setText(probe.name)
        self._fill()
        self.probes.setCurrentIndex(0)
        self._show()

    # -- which probes there are -----------------------------------------------------------

    def _fill(self) -> None:
        before = self.probes.currentText()
        folder = local_folder(self._session)
        self._read.clear()
        with QSignalBlocker(self.probes):
            self.probes.clear()
            if self._trained is not None:
                self.probes.addItem(f"{_TRAINED}: {self._trained.name}", None)
            for name in [] if folder is None else list_probes(folder):
                self.probes.addItem(name, str(Path(folder or "") / PROBES / name))
            self.probes.setCurrentText(before)
        self._show()

    def _chosen(self) -> LinearProbe | None:
        """The chosen probe, read in a millisecond; `InputError` for a damaged one."""
        if self.probes.currentIndex() < 0:
            return None
        path = self.probes.currentData()
        if path is None:
            return self._trained
        if path not in self._read:
            self._read[path] = load_probe(path)
        return self._read[path]

    def _show(self) -> None:
        try:
            probe = self._chosen()
            problem = ""
        except InputError as error:
            probe, problem = None, str(error)
        state = self._session.current
        if probe is None:
            self.words.setText(
                problem or "No probe yet: train one, or choose a model whose folder holds probes."
            )
        else:
            self.words.setText(probe_words(probe))
        if probe is not self._shown:
            self._shown = probe
            self.chosen.emit(probe)
        idle = not self.work.running
        asked = ""
        if state is not None and probe is not None and probe.kind == "image":
            asked = scale_asked([state])
        self.apply.setEnabled(probe is not None and state is not None and idle and not asked)
        if asked:
            self.words.setText(f"{asked}\n\n{self.words.text()}")
        self.apply.setToolTip(
            "Open a slide first"
            if state is None
            else asked
            or f"Give each spot of {state.name} its likeliest class, with the probability"
        )
        self.keep_box.setEnabled(self._trained is not None and idle)
        self.save.setToolTip("A probe of the same name is never replaced: the new one is called _2")

    # -- what the buttons do --------------------------------------------------------------

    def _on_apply(self) -> None:
        state = self._session.current
        try:
            probe = self._chosen()
        except InputError as error:
            self.said.emit(str(error))
            return
        if state is None or probe is None or self.work.running:
            return
        chosen = preferences()
        asked = request(
            self._session,
            [state.name],
            probe.kind,
            device=chosen.device,
            batch_size=chosen.batch_size,
            cache=cache_folder(),
        )
        self.work.start(partial(apply_steps, asked, probe))
        self.gone.watch([state.slide])
        self.started.emit()
        self._show()

    def _on_save(self) -> None:
        if self._trained is None or self.work.running:
            return
        folder = local_folder(self._session)
        name = self.name.text().strip() or self._trained.name
        self.work.start(partial(save_steps, self._trained, folder, name))
        self.started.emit()
        self._show()

    def _on_done(self, result: Applied | Saved) -> None:
        if isinstance(result, Saved):
            self._fill()
            self.said.emit(f"Saved as {result.folder}.")
            return
        keep(self._session, result.embedded)
        self.applied.emit(result)
