"""Choose colours and opacity of the maps of genes."""

from __future__ import annotations

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QComboBox, QFormLayout, QLabel, QWidget

from napari_umpire.plugin.layers.colours import OPACITIES, Look
from napari_umpire.plugin.preferences import COLORMAPS

__all__ = ["LookBox"]

_SAID = {"even": "all spots alike", "value": "by value", "confidence": "by confidence"}


class LookBox(QWidget):
    """``changed(Look)`` gives the choice."""

    changed = Signal(object)

    def __init__(self, look: Look, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.colormap, self.opacity = QComboBox(), QComboBox()
        self.colormap.addItems(COLORMAPS)
        self.colormap.setToolTip(
            "Of predicted and measured maps; umpire keeps away from the pink and purple of H&E"
        )
        self.opacity.addItems([_SAID[opacity] for opacity in OPACITIES])
        self.opacity.setToolTip(
            "by value: low values are clear, and of a difference those near 0\n"
            "by confidence: a predicted spot is as opaque as it is similar to its references, from "
            "the 5th to the 95th percentile of the slide; not where two maps are side by side"
        )
        self.words = QLabel()
        self.words.setWordWrap(True)
        form = QFormLayout(self)
        form.setContentsMargins(4, 6, 4, 2)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Colormap", self.colormap)
        form.addRow("Opacity", self.opacity)
        form.addRow(self.words)
        self.set_look(look)
        self.colormap.currentIndexChanged.connect(self._on_changed)
        self.opacity.currentIndexChanged.connect(self._on_changed)

    @property
    def look(self) -> Look:
        """What the controls say."""
        return Look(self.colormap.currentText(), OPACITIES[self.opacity.currentIndex()])

    def set_look(self, look: Look) -> None:
        """Show a choice without announcing it."""
        with QSignalBlocker(self.colormap), QSignalBlocker(self.opacity):
            if self.colormap.findText(look.colormap) < 0:
                self.colormap.addItem(look.colormap)
            self.colormap.setCurrentText(look.colormap)
            self.opacity.setCurrentIndex(OPACITIES.index(look.opacity))

    def _on_changed(self, _: int) -> None:
        self.changed.emit(self.look)
