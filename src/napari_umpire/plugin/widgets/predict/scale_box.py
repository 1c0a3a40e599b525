"""The scale of a slide asked for, or overruled: a number, a magnification, or a ruler."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import QDoubleSpinBox, QPushButton, QVBoxLayout, QWidget

from napari_umpire.plugin.layers.ruler import Ruler
from napari_umpire.plugin.widgets.parts.form_parts import line_of, wrapping_label
from napari_umpire.plugin.words.scale import proposal_words, ruler_words

if TYPE_CHECKING:
    from qtpy.QtGui import QKeyEvent

    from napari_umpire.plugin.session.session import Session
    from napari_umpire.plugin.session.slide_state import SlideState

__all__ = ["ScaleBox"]

_MAGNIFICATIONS = {"20x": 0.5, "40x": 0.25}


class ScaleBox(QWidget):
    """Asks how many um a full-resolution pixel covers; nothing changes before OK.

    Signals
    -------
    answered(float)
        The user's um per px.
    reverted
        The slide is to have the scale that its files state.
    dismissed
        The slide is to keep the scale that it has.
    """

    answered = Signal(float)
    reverted = Signal()
    dismissed = Signal()

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state: SlideState | None = None
        self._px = 0.0
        self.mpp = QDoubleSpinBox()
        self.mpp.setRange(0.0, 50.0)
        self.mpp.setDecimals(4)
        self.mpp.setSingleStep(0.05)
        self.mpp.setSpecialValueText("?")
        self.mpp.setSuffix(" µm per px")
        self.mpp.setToolTip("As the scanner's software says")
        self.quick: dict[str, QPushButton] = {}
        for name, mpp in _MAGNIFICATIONS.items():
            button = self.quick[name] = QPushButton(name)
            button.setToolTip(f"Propose {mpp} µm per px, which most {name} scans have")
            button.clicked.connect(lambda _=False, value=mpp: self.propose(value))
        self.ruler_button = QPushButton("Ruler")
        self.ruler_button.setCheckable(True)
        self.ruler_button.setToolTip(
            "Draw a line over something of known length, such as the slide's scale bar"
        )
        self.length = QDoubleSpinBox()
        self.length.setRange(0.0, 1e6)
        self.length.setDecimals(1)
        self.length.setSpecialValueText("length?")
        self.length.setSuffix(" µm")
        self.length.setToolTip("Real length of the object under the line")
        self.words = wrapping_label()
        self.set = QPushButton("OK")
        self.set.setToolTip("Use this scale for the slide")
        self.as_file = QPushButton("As the file says")
        self.as_file.setToolTip("Forget the scale that you gave, and use the file's again")
        self.keep = QPushButton("Cancel")
        self.keep.setToolTip("Keep the scale as it is")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(line_of(self.mpp, *self.quick.values(), wide_first=True))
        layout.addWidget(line_of(self.ruler_button, self.length))
        layout.addWidget(self.words)
        layout.addWidget(line_of(self.set, self.as_file, self.keep, wide_first=True))
        self.ruler = Ruler(session, self)
        self.ruler.measured.connect(self._on_measured)
        self.ruler.ended.connect(self._on_ruler_ended)
        self.ruler_button.toggled.connect(self._on_ruler)
        self.length.valueChanged.connect(self._on_length)
        self.mpp.valueChanged.connect(self._say)
        self.set.clicked.connect(self._on_set)
        self.as_file.clicked.connect(self.reverted)
        self.keep.clicked.connect(self.dismissed)
        for spin in (self.mpp, self.length):
            line = spin.lineEdit()
            assert line is not None
            line.returnPressed.connect(self._on_set)

    def ask(self, state: SlideState | None) -> None:
        """Ask about a slide; None: put everything away."""
        if state is self._state and state is not None:
            return
        self._state = state
        self.ruler_button.setChecked(False)
        with QSignalBlocker(self.mpp), QSignalBlocker(self.length):
            self.mpp.setValue(0.0)
            self.length.setValue(0.0)
        self._px = 0.0
        if state is not None:
            scale = state.slide.scale
            self.keep.setVisible(scale.mpp is not None)
            self.as_file.setVisible(scale.source == "user" and len(scale.candidates) > 1)
        self._say()

    def propose(self, mpp: float) -> None:
        """Show a scale, um per px, which waits for OK."""
        self.mpp.setValue(mpp)
        self.set.setFocus()

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Escape is Cancel, where there is a scale to keep."""
        if event is not None and event.key() == Qt.Key.Key_Escape and not self.keep.isHidden():
            self.dismissed.emit()
            return
        super().keyPressEvent(event)

    def _on_ruler(self, wanted: bool) -> None:
        self._px = 0.0
        if wanted and self._state is not None:
            self.ruler.start(self._state)
        else:
            self.ruler.stop()
        self._say()

    def _on_ruler_ended(self) -> None:
        self.ruler_button.setChecked(False)

    def _on_measured(self, px: float) -> None:
        self._px = px
        if self.length.value() == 0:
            self.length.setFocus()
            self.length.selectAll()
        self._on_length()

    def _on_length(self) -> None:
        if self._px > 0 and self.length.value() > 0:
            self.mpp.setValue(self.length.value() / self._px)
        self._say()

    def _say(self) -> None:
        self.length.setVisible(self.ruler_button.isChecked())
        self.set.setEnabled(self.mpp.value() > 0)
        if self._state is None:
            return
        parts = [proposal_words(self._state, self.mpp.value())]
        if self.ruler_button.isChecked():
            parts.insert(0, ruler_words(self._px, self.length.value()))
        text = " ".join(filter(None, parts))
        self.words.setText(text)
        self.words.setVisible(bool(text))

    def _on_set(self) -> None:
        self.mpp.interpretText()
        if self.mpp.value() > 0:
            self.answered.emit(self.mpp.value())
