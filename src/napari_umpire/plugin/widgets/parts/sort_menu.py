"""Sorting a table without a mouse: the menu key lists its columns."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QMenu

if TYPE_CHECKING:
    from qtpy.QtWidgets import QTableView

__all__ = ["add_sort_menu"]


def add_sort_menu(view: QTableView) -> None:
    """Give a table a menu, by the menu key or the right button, that sorts by a column.

    A column that the table is sorted by already turns round, as by a click on its header.
    """
    view.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
    view.customContextMenuRequested.connect(partial(_show, view))


def _show(view: QTableView, where: QPoint) -> None:
    model, viewport = view.model(), view.viewport()
    if model is None or viewport is None or not model.columnCount():
        return
    menu = QMenu(view)
    menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    for column in range(model.columnCount()):
        # A header may be broken into lines, and & would become a mnemonic.
        title = str(model.headerData(column, Qt.Orientation.Horizontal)).replace("&", "&&")
        action = menu.addAction(f"Sort by {' '.join(title.split())}")
        assert action is not None
        action.triggered.connect(partial(_sort, view, column))
    menu.popup(viewport.mapToGlobal(where))


def _sort(view: QTableView, column: int, _checked: bool = False) -> None:
    header = view.horizontalHeader()
    assert header is not None
    falls = Qt.SortOrder.DescendingOrder
    same = header.sortIndicatorSection() == column and header.sortIndicatorOrder() == falls
    header.setSortIndicator(column, Qt.SortOrder.AscendingOrder if same else falls)
