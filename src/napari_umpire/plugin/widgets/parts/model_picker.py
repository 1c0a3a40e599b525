"""Choose a model: a folder, a name on the hub, or one used before."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QPushButton,
    QSizePolicy,
    QWidget,
)

from napari_umpire.errors import InputError
from napari_umpire.inference.model_path import is_hub_name, models_in
from napari_umpire.plugin.preferences import preferences
from napari_umpire.plugin.widgets.parts.listening import listen
from napari_umpire.plugin.widgets.parts.places import settings
from napari_umpire.plugin.words.model_peek import HubModel, ModelPeek, peek

if TYPE_CHECKING:
    from napari_umpire.plugin.session.session import Session

__all__ = ["ModelPicker"]

_RECENT = 8


class ModelPicker(QWidget):
    """Shows and changes the model of a session, ``session.model_path``."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
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
        recent = self._recent()
        offered = (str(path) for path in models_in(preferences().weights))
        self.combo.addItems([*recent, *(path for path in offered if path not in recent)])
        if not session.model_path and recent:
            session.choose_model(recent[0])
        self._show()
        self.combo.currentTextChanged.connect(self._on_edited)
        self.browse.clicked.connect(self._on_browse)
        listen(self, session.model_changed, self._show)

    @property
    def value(self) -> str:
        """What was chosen or typed."""
        return self.combo.currentText().strip()

    def set_value(self, value: str | Path) -> None:
        """Choose a model."""
        self.combo.setEditText(str(value))

    def look(self) -> ModelPeek | HubModel | str | None:
        """What the chosen model says of itself; a sentence where there is a problem with it."""
        if not self.value:
            return None
        if is_hub_name(self.value):
            return HubModel(self.value)
        try:
            return peek(self.value)
        except InputError as error:
            return str(error)

    def remember(self, model: str) -> None:
        """Put a model first among those used before."""
        recent = [model, *(r for r in self._recent() if r != model)]
        settings().setValue("recent_models", recent[:_RECENT])

    def _recent(self) -> list[str]:
        kept = settings().value("recent_models", [])
        named = [str(v) for v in ([kept] if isinstance(kept, str) else kept or [])]
        # A folder that is gone is no offer; a hub name is no folder.
        return [name for name in named if is_hub_name(name) or Path(name).is_dir()]

    def _show(self) -> None:
        """Another widget may have chosen a model."""
        if self.value != self._session.model_path:
            with QSignalBlocker(self.combo):
                self.combo.setEditText(self._session.model_path)

    def _on_edited(self, _text: str) -> None:
        self._session.choose_model(self.value)

    def _on_browse(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Choose a model folder", self.value)
        if folder:
            self.set_value(folder)
