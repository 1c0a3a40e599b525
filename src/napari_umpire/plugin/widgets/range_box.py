"""Choose what the ends of the colour bar stand for."""

from __future__ import annotations

from typing import get_args, get_type_hints

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QLabel,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)
from superqt import QLabeledDoubleRangeSlider

from napari_umpire.genes.normalise import UNIT
from napari_umpire.plugin.ranges import RangeChoice

__all__ = ["RangeBox"]

_MODES = get_args(get_type_hints(RangeChoice)["mode"])
_TIPS = (
    "auto: 1st to 99th percentile of each gene\n"
    "percentile: the percentiles chosen here, of each gene\n"
    "absolute: the same values for every gene, so that genes can be compared"
)


class RangeBox(QWidget):
    """``changed(RangeChoice)`` gives the choice."""

    changed = Signal(object)

    def __init__(self, choice: RangeChoice, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.mode = QComboBox()
        unit = QLabel(f"Range, {UNIT}")
        unit.setToolTip(_TIPS)
        self.mode.addItems(_MODES)
        self.mode.setToolTip(_TIPS)
        self.percentiles = QLabeledDoubleRangeSlider(Qt.Orientation.Horizontal)
        self.percentiles.setRange(0, 100)
        self.percentiles.setDecimals(0)
        self.low, self.high = QDoubleSpinBox(), QDoubleSpinBox()
        for box in (self.low, self.high):
            box.setRange(-10.0, 10.0)
            box.setDecimals(2)
            box.setSingleStep(0.25)
            box.setToolTip(UNIT)
        self.shared = QCheckBox("one range for measured and predicted")
        self.shared.setToolTip("The same colour then means the same value in both maps")
        absolute = QWidget()
        line = QHBoxLayout(absolute)
        line.setContentsMargins(0, 0, 0, 0)
        line.addWidget(self.low)
        line.addWidget(self.high)
        self.stack = QStackedWidget()
        for page in (QWidget(), self.percentiles, absolute):
            self.stack.addWidget(page)
        top = QHBoxLayout()
        top.addWidget(self.mode)
        top.addWidget(self.stack, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(unit)
        layout.addLayout(top)
        layout.addWidget(self.shared)
        self.set_choice(choice)
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
        return RangeChoice(
            self.mode.currentText(),  # type: ignore[arg-type]
            (low, high),
            (bounds[0], bounds[1]),
            self.shared.isChecked(),
        )

    def set_choice(self, choice: RangeChoice) -> None:
        """Show a choice without announcing it."""
        if choice == self.choice:
            return
        parts = (self.mode, self.percentiles, self.low, self.high, self.shared)
        blockers = [QSignalBlocker(part) for part in parts]
        self.mode.setCurrentText(choice.mode)
        self.percentiles.setValue(choice.percentiles)
        self.low.setValue(choice.absolute[0])
        self.high.setValue(choice.absolute[1])
        self.shared.setChecked(choice.shared)
        self.stack.setCurrentIndex(_MODES.index(choice.mode))
        del blockers

    def _on_changed(self, *_: object) -> None:
        self.stack.setCurrentIndex(self.mode.currentIndex())
        self.changed.emit(self.choice)
