"""Adds to napari's own preferences what it lacks for folders: Browse, and a check.

napari builds its dialog from the manifest, which has no folders. So the dialog is met as it is
shown, and its two lines get a button and a judge. Where napari builds it otherwise, nothing is
added, and the lines work as lines.
"""

from __future__ import annotations

from typing import Any

from napari.utils.notifications import show_warning
from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import (
    QApplication,
    QDialog,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QSizePolicy,
    QWidget,
)

from napari_umpire.plugin.folders import FOLDERS, folder_problem
from napari_umpire.plugin.preferences import plugin_settings

__all__ = ["FolderLine", "PreferencesPage", "watch_preferences"]

_DIALOG = "PreferencesDialog"


def watch_preferences() -> PreferencesPage | None:
    """Meet every preferences dialog from now on; None without a window."""
    app = QApplication.instance()
    if not isinstance(app, QApplication):
        return None
    found = app.findChild(PreferencesPage)
    return PreferencesPage(app) if found is None else found


class PreferencesPage(QObject):
    """Waits for napari's preferences."""

    def __init__(self, app: QApplication) -> None:
        super().__init__(app)
        app.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Look at dialogs as they open."""
        if (
            event is not None
            and event.type() == QEvent.Type.Show
            and isinstance(watched, QDialog)
            and type(watched).__name__ == _DIALOG
        ):
            add_to(watched)
        return False


def add_to(dialog: QDialog) -> list[FolderLine]:
    """Give the lines of our folders their button; return those that were found."""
    lines = []
    for name, line in _folder_lines(dialog).items():
        if line.findChild(FolderLine) is None:
            lines.append(FolderLine(name, line, dialog))
    return lines


def _folder_lines(dialog: QDialog) -> dict[str, QLineEdit]:
    """The lines of our page, told from those of other plugins by what is said of them."""
    settings: Any = plugin_settings()
    if settings is None:
        return {}
    said = {
        field.description: name
        for name, field in type(settings.folders).model_fields.items()
        if name in FOLDERS and field.description
    }
    found = {}
    for line in dialog.findChildren(QLineEdit):
        name = said.get(getattr(line, "description", None))
        if name is not None:
            found[name] = line
    return found


class FolderLine(QObject):
    """A line of a dialog that takes folders only: what is no folder is said, and never kept.

    Parameters
    ----------
    name
        Key of the folder in the preferences.
    """

    def __init__(self, name: str, line: QLineEdit, dialog: QDialog) -> None:
        super().__init__(line)
        self._name, self._line = name, line
        self._first = line.text()  # may be on a disk that is not there just now: not ours to drop
        self._good = self._first if not folder_problem(self._first) else ""
        self.words = QLabel(line.parentWidget())
        self.words.setWordWrap(True)
        self.words.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.words.setStyleSheet("color: #e69f00")
        self.words.hide()
        self.browse = QPushButton("Browse…", line.parentWidget())
        self.browse.setToolTip(f"Choose the folder: {FOLDERS[name]}")
        self.browse.setAutoDefault(False)
        _put_beside(line, self.browse, self.words)
        self.browse.clicked.connect(self._on_browse)
        line.textChanged.connect(self._on_text)
        dialog.accepted.connect(self._on_accepted)
        self._on_text(line.text())

    def _on_browse(self) -> None:
        start = self._line.text() if not folder_problem(self._line.text()) else ""
        folder = QFileDialog.getExistingDirectory(self._line, FOLDERS[self._name], start)
        if folder:
            self._line.setText(folder)

    def _on_text(self, text: str) -> None:
        problem = folder_problem(text)
        self.words.setText(problem)
        self.words.setVisible(bool(problem))
        if not problem:
            self._good = text

    def _on_accepted(self) -> None:
        """What is no folder is not kept: the one from before is."""
        text = self._line.text()
        problem = folder_problem(text)
        if problem and text != self._first:
            before = self._first or self._good
            self._line.setText(before)  # which napari's settings follow
            kept = f"It stays {before}." if before else "It stays empty."
            show_warning(f"Preferences, {FOLDERS[self._name]}: {problem} {kept}")


def _put_beside(line: QLineEdit, button: QPushButton, words: QLabel) -> None:
    """Put the button beside a line of a form, and the words under both."""
    parent = line.parentWidget()
    form = None if parent is None else parent.layout()
    if not isinstance(form, QFormLayout):
        button.hide()  # a dialog that is laid out otherwise
        return
    row, _ = form.getWidgetPosition(line)
    form.removeWidget(line)
    both = QWidget(parent)
    beside = QHBoxLayout(both)
    beside.setContentsMargins(0, 0, 0, 0)
    beside.addWidget(line, 1)
    beside.addWidget(button)
    form.setWidget(row, QFormLayout.ItemRole.FieldRole, both)
    form.insertRow(row + 1, "", words)
