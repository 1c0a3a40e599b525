"""The Help widget: is this computer ready, and how to go about it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QApplication,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QScrollArea,
    QTableWidget,
    QTableWidgetItem,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from napari_umpire.inference.doctor.checkup import Check, as_text, check_steps
from napari_umpire.plugin.runs.workers import Work
from napari_umpire.plugin.session.session import session_of
from napari_umpire.plugin.widgets.parts.dock_size import dock_size
from napari_umpire.plugin.widgets.parts.form_parts import wrapping_label
from napari_umpire.plugin.widgets.parts.long_words import LongWords
from napari_umpire.plugin.widgets.parts.manners import Manners
from napari_umpire.plugin.widgets.parts.progress_row import ProgressRow
from napari_umpire.plugin.window_checks import check_graphics, check_open_slides, questions
from napari_umpire.plugin.words.help import HOW_TO, all_mends

if TYPE_CHECKING:
    from napari import Viewer

__all__ = ["HelpWidget"]

_MEND_LINES = 6
# Told apart in grey too: the word stands beside the colour.
_COLOURS = {"PASS": "#1b7837", "WARN": "#b35806", "FAIL": "#b2182b"}


class HelpWidget(QWidget):
    """Shows what the doctor finds, and a short guide.

    Parameters
    ----------
    napari_viewer
        The viewer that the widget is docked in.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        self._session = session_of(napari_viewer)
        self.checks: list[Check] = []
        self.work = Work(self)
        self._build()
        Manners(self, self.tabs)
        self.look.clicked.connect(self.examine)
        self.copy.clicked.connect(self._on_copy)
        self.table.currentCellChanged.connect(self._on_row)
        self.all_mends.toggled.connect(self._show_mends)
        self.work.done.connect(self._on_checked)
        self.work.ended.connect(self._on_ended)

    def _build(self) -> None:
        self.look = QPushButton("Check this computer")
        self.look.setToolTip(
            "Packages, device, disk, weights, graphics, the model and the open slides; takes "
            "some seconds, and asks no network"
        )
        self.copy = QPushButton("Copy as text")
        self.copy.setToolTip("The whole table, for an e-mail")
        self.copy.setEnabled(False)
        self.table = QTableWidget(0, 3)
        self.table.setAccessibleName("What was checked")
        self.table.setHorizontalHeaderLabels(["", "What", "Found"])
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setWordWrap(True)
        self.table.setTabKeyNavigation(False)
        # A bar that comes and goes changes the width, and with it the lines.
        self.table.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)
        rows, columns = self.table.verticalHeader(), self.table.horizontalHeader()
        if rows is not None and columns is not None:
            rows.setVisible(False)
            columns.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
            columns.setSectionResizeMode(2, QHeaderView.ResizeMode.Stretch)
            rows.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self.mend = LongWords(_MEND_LINES)
        self.mend.setFixedHeight(self.mend.minimumHeight())
        self.all_mends = QPushButton()
        self.all_mends.setCheckable(True)
        self.all_mends.setToolTip("What to do about each, the gravest first; again: the chosen row")
        self.all_mends.setVisible(False)
        self.progress = ProgressRow(self.work)
        buttons = QHBoxLayout()
        buttons.addWidget(self.look, 1)
        buttons.addWidget(self.copy)
        doctor = QWidget()
        layout = QVBoxLayout(doctor)
        layout.addLayout(buttons)
        layout.addWidget(self.table, 1)
        layout.addWidget(self.all_mends)
        layout.addWidget(self.mend)
        layout.addWidget(self.progress)
        self.how_to = wrapping_label()
        self.how_to.setTextFormat(Qt.TextFormat.MarkdownText)
        self.how_to.setText(HOW_TO)
        self.how_to.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.how_to.setMargin(6)
        guide = QScrollArea()
        guide.setWidgetResizable(True)
        guide.setWidget(self.how_to)
        self.tabs = QTabWidget()
        self.tabs.addTab(guide, "&How to")
        self.tabs.addTab(doctor, "&Check")
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self.tabs)

    def sizeHint(self) -> QSize:
        """Of a dock beside the canvas; long words would ask for half of the window."""
        return dock_size(600)

    def examine(self) -> None:
        """Make all checks."""
        if self.work.running:
            return
        self.look.setEnabled(False)
        self.progress.begin("Checking")
        self.work.start(partial(check_steps, questions(self._session)))

    def _on_checked(self, checks: list[Check]) -> None:
        self.checks = [*checks, *check_graphics(), *check_open_slides(self._session)]
        self.table.setRowCount(len(self.checks))
        for row, check in enumerate(self.checks):
            for column, text in enumerate((check.status, check.name, check.found)):
                item = QTableWidgetItem(text)
                item.setToolTip(check.mend or "Nothing to do")
                self.table.setItem(row, column, item)
            # A widget, as the colour of a cell is lost where its row is chosen.
            badge = QLabel(check.status)
            badge.setAlignment(Qt.AlignmentFlag.AlignCenter)
            badge.setStyleSheet(f"background: {_COLOURS[check.status]}; color: white;")
            self.table.setCellWidget(row, 0, badge)
        order = [s for s in ("FAIL", "WARN", "PASS") if any(c.status == s for c in self.checks)]
        self.table.selectRow(next(i for i, c in enumerate(self.checks) if c.status == order[0]))
        self.copy.setEnabled(True)
        n = sum(bool(check.mend) for check in self.checks)
        self.all_mends.setText(f"All {n} mends")
        self.all_mends.setVisible(n > 1)
        self._show_mends()
        self.progress.say(as_text(self.checks).splitlines()[-1])

    def _on_row(self, *_: int) -> None:
        self.all_mends.setChecked(False)
        self._show_mends()

    def _show_mends(self) -> None:
        """Say what to do about the chosen row, or about all."""
        row = self.table.currentRow()
        if self.all_mends.isChecked():
            self.mend.say(all_mends(self.checks))
        elif 0 <= row < len(self.checks):
            check = self.checks[row]
            self.mend.say(f"{check.name}: {check.mend or 'nothing to do.'}")

    def _on_ended(self) -> None:
        self.look.setEnabled(True)

    def _on_copy(self) -> None:
        clipboard = QApplication.clipboard()
        if clipboard is not None:
            clipboard.setText(as_text(self.checks))
        self.progress.say("The table is on the clipboard.")
