"""Choose what the ends of the colour bar stand for."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args, get_type_hints

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)
from superqt import QLabeledDoubleRangeSlider

from napari_umpire.genes.normalise import UNIT
from napari_umpire.plugin.layers.ranges import RangeChoice

__all__ = ["RangeBox"]

_MODES = get_args(get_type_hints(RangeChoice)["mode"])
_TIPS = (
    "auto: 1st to 99th percentile of each gene\n"
    "percentile: the percentiles chosen here, of each gene\n"
    "absolute: the same values for every gene, so that genes can be compared\n"
    "locked: the range that is shown now, for every gene that follows\n"
    "Spread and z-scores are no expression: they keep a range of their own"
)


class RangeBox(QWidget):
    """How the range is chosen.

    Signals
    -------
    changed(RangeChoice)
        The choice, but for "locked".
    lock_wanted
        The range that is shown now is to be kept.
    fixed_wanted
        One range for all genes is to be found.
    """

    changed = Signal(object)
    lock_wanted = Signal()
    fixed_wanted = Signal()

    def __init__(self, choice: RangeChoice, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.mode = QComboBox()
        self.mode.addItems(_MODES)
        self.mode.setToolTip(_TIPS)
        self.percentiles = QLabeledDoubleRangeSlider(Qt.Orientation.Horizontal)
        self.percentiles.setRange(0, 100)
        self.percentiles.setDecimals(0)
        self.low, self.high = QDoubleSpinBox(), QDoubleSpinBox()
        for box in (self.low, self.high):
            box.setRange(-100.0, 100.0)
            box.setDecimals(2)
            box.setSingleStep(0.25)
            box.setToolTip(UNIT)
        self.variable, self.fixed = QPushButton("Variable scale"), QPushButton("Fixed scale")
        self.lock = QPushButton("Lock")
        self.variable.setToolTip("Each gene from its 1st to its 99th percentile: see its pattern")
        self.fixed.setToolTip(
            "One range for all genes, 0 to the 99th percentile of the list that is searched, or of "
            f"the genes that vary most: compare their levels ({UNIT})"
        )
        self.lock.setToolTip("Keep the range that is shown now for the genes that follow")
        self.words = QLabel()
        self.words.setWordWrap(True)
        self.shared = QCheckBox("one range for measured and predicted")
        self.shared.setToolTip("The same colour then means the same value in both maps")
        absolute = QWidget()
        line = QHBoxLayout(absolute)
        line.setContentsMargins(0, 0, 0, 0)
        line.addWidget(self.low)
        line.addWidget(self.high)
        self.held = QLabel()
        self.stack = QStackedWidget()
        self.stack.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        for page in (QWidget(), self.percentiles, absolute, self.held):
            self.stack.addWidget(page)
        top = QHBoxLayout()
        top.addWidget(self.mode)
        top.addWidget(self.stack, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 6, 4, 2)
        layout.setSpacing(4)
        buttons = QHBoxLayout()
        for button in (self.variable, self.fixed, self.lock):
            buttons.addWidget(button)
        layout.addLayout(buttons)
        layout.addLayout(top)
        layout.addWidget(self.shared)
        layout.addWidget(self.words)
        layout.addStretch()
        self._choice = choice
        self.set_choice(choice)
        self.variable.clicked.connect(lambda: self.mode.setCurrentText("auto"))
        self.fixed.clicked.connect(self.fixed_wanted)
        self.lock.clicked.connect(self.lock_wanted)
        self.mode.currentIndexChanged.connect(self._on_changed)
        self.percentiles.valueChanged.connect(self._on_changed)
        self.low.valueChanged.connect(self._on_changed)
        self.high.valueChanged.connect(self._on_changed)
        self.shared.toggled.connect(self._on_changed)

    @property
    def choice(self) -> RangeChoice:
        """What the controls say; bounds given the wrong way round are swapped."""
        low, high = sorted(float(v) for v in self.percentiles.value())
        bounds = sorted((self.low.value(), self.high.value()))
        if self.mode.currentText() == "locked":
            return replace(self._choice, shared=self.shared.isChecked())
        return RangeChoice(
            self.mode.currentText(),  # type: ignore[arg-type]
            (low, high),
            (bounds[0], bounds[1]),
            self.shared.isChecked(),
        )

    def set_choice(self, choice: RangeChoice) -> None:
        """Show a choice without announcing it."""
        if choice == self._choice == self.choice:
            return
        self._choice = choice
        parts = (self.mode, self.percentiles, self.low, self.high, self.shared)
        blockers = [QSignalBlocker(part) for part in parts]
        self.mode.setCurrentText(choice.mode)
        self.percentiles.setValue(choice.percentiles)
        self.low.setValue(choice.absolute[0])
        self.high.setValue(choice.absolute[1])
        self.shared.setChecked(choice.shared)
        self.stack.setCurrentIndex(_MODES.index(choice.mode))
        self.held.setText(f"{choice.absolute[0]:.2f} to {choice.absolute[1]:.2f}")
        del blockers

    def _on_changed(self, *_: object) -> None:
        if self.mode.currentText() == "locked" != self._choice.mode:
            self.lock_wanted.emit()
            return
        self.stack.setCurrentIndex(self.mode.currentIndex())
        self._choice = self.choice
        self.changed.emit(self._choice)
