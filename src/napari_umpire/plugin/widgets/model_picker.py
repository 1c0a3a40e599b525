"""Choose a model: a folder, a name on the hub, or one used before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QPushButton,
    QSizePolicy,
    QWidget,
)

from napari_umpire.errors import InputError
from napari_umpire.inference.model_path import is_hub_name
from napari_umpire.plugin.model_peek import peek
from napari_umpire.plugin.widgets.places import settings

if TYPE_CHECKING:
    from pathlib import Path

    from napari_umpire.slides.slide import Slide

__all__ = ["ModelPicker"]

_RECENT = 8


class ModelPicker(QWidget):
    """``value`` is a path or a hub name; ``changed`` tells that it was edited."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.combo = QComboBox()
        self.combo.setEditable(True)
        self.combo.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.combo.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.combo.setToolTip("A model folder, or owner/name on the Hugging Face hub")
        line = self.combo.lineEdit()
        assert line is not None
        line.setPlaceholderText("folder, or owner/name on the hub")
        self.browse = QPushButton("…")
        self.browse.setFixedWidth(32)
        self.browse.setToolTip("Choose a model folder")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.combo, 1)
        layout.addWidget(self.browse)
        self.combo.addItems(self._recent())
        self.combo.setCurrentIndex(0 if self.combo.count() else -1)
        self.combo.currentTextChanged.connect(self._on_edited)
        self.browse.clicked.connect(self._on_browse)

    @property
    def value(self) -> str:
        """What was chosen or typed."""
        return self.combo.currentText().strip()

    @property
    def usable(self) -> bool:
        """Whether a run could start with it."""
        if self._is_hub_name:
            return True
        try:
            return bool(self.value) and peek(self.value).has_reference
        except InputError:
            return False

    def takes(self, slide: Slide) -> bool:
        """Whether the model, where it is at hand, can be run on ``slide``, whose scale is known."""
        return self._is_hub_name or peek(self.value).fits(slide)

    def set_value(self, value: str | Path) -> None:
        """Choose a model."""
        self.combo.setEditText(str(value))

    def describe(self, slide: Slide | None) -> str:
        """What the model wants of ``slide``, or what is wrong with it."""
        if not self.value:
            return "Choose the folder of a trained model."
        if self._is_hub_name:
            return "Will be downloaded from the Hugging Face hub when you press Run."
        try:
            return peek(self.value).describe(slide)
        except InputError as error:
            return str(error)

    def remember(self) -> None:
        """Put the model first among those used before."""
        recent = [self.value, *(r for r in self._recent() if r != self.value)]
        settings().setValue("recent_models", recent[:_RECENT])

    @property
    def _is_hub_name(self) -> bool:
        return is_hub_name(self.value)

    def _recent(self) -> list[str]:
        kept = settings().value("recent_models", [])
        return [str(v) for v in ([kept] if isinstance(kept, str) else kept or [])]

    def _on_edited(self, _text: str) -> None:
        self.changed.emit()

    def _on_browse(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Choose a model folder", self.value)
        if folder:
            self.set_value(folder)
