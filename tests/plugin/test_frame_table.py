"""The table view: sorting against pandas, 20,000 rows, keyboard, copying."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from qtpy.QtCore import Qt

from napari_umpire.plugin.widgets.parts.frame_view import FrameView


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    n = 300
    return pd.DataFrame(
        {
            "symbol": [f"{'gG'[i % 2]}{rng.integers(1000)}" for i in range(n)],
            "pcc": np.where(rng.random(n) < 0.2, np.nan, rng.normal(size=n).round(1)),
            "n": rng.integers(0, 5000, n),
            "why": [None if i % 3 else "constant" for i in range(n)],
        },
        index=[f"ENSG{i:05d}" for i in range(n)],
    )


@pytest.fixture
def view(qtbot, frame):
    view = FrameView()
    qtbot.addWidget(view)
    view.resize(400, 300)
    view.set_frame(frame, {"pcc": "{:.2f}"}, {"pcc": "Pearson, no unit"})
    view.show()
    qtbot.waitExposed(view)
    return view


def click_header(qtbot, view, column):
    header = view.horizontalHeader()
    x = header.sectionViewportPosition(column) + header.sectionSize(column) // 2
    from qtpy.QtCore import QPoint

    qtbot.mouseClick(
        header.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(x, header.height() // 2)
    )


def shown(view, column):
    model = view.model()
    return [model.data(model.index(r, column)) for r in range(model.rowCount())]


@pytest.mark.parametrize("column", ["symbol", "pcc", "n", "why"])
def test_a_clicked_header_sorts_as_pandas_does_with_nothing_last(qtbot, view, frame, column):
    number = list(frame.columns).index(column)
    key = (lambda s: s.str.casefold()) if column in ("symbol", "why") else None
    seen = set()
    for _ in range(2):
        click_header(qtbot, view, number)
        rising = view.horizontalHeader().sortIndicatorOrder() == Qt.SortOrder.AscendingOrder
        seen.add(rising)
        order = frame.sort_values(
            column, ascending=rising, kind="stable", na_position="last", key=key
        ).index
        got = [view.table.row_key(r) for r in range(len(frame))]
        values = frame.loc[got, column]
        assert list(values.isna()) == sorted(values.isna()), "what is missing comes last"
        assert got == list(order)
        assert view.table.view_row(order[7]) == 7
    assert seen == {True, False}


def test_cells_read_as_asked(view, frame):
    row = int(np.flatnonzero(frame["pcc"].isna())[0])
    assert shown(view, 1)[row] == "–"
    other = int(np.flatnonzero(frame["pcc"].notna())[0])
    assert shown(view, 1)[other] == f"{frame['pcc'].iloc[other]:.2f}"
    model = view.model()
    header = [
        model.headerData(1, Qt.Orientation.Horizontal, role)
        for role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole)
    ]
    assert header == ["pcc", "Pearson, no unit"]


def test_going_to_a_row_chooses_it_and_sorting_keeps_it(qtbot, view, frame):
    heard = []
    view.chosen.connect(heard.append)
    cell = view.visualRect(view.model().index(2, 0)).center()
    qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=cell)
    assert heard == [frame.index[2]]
    qtbot.keyClick(view, Qt.Key.Key_Down)
    assert heard == [frame.index[2], frame.index[3]]
    qtbot.keyClick(view, Qt.Key.Key_Return)
    assert heard[2:] == [frame.index[3]]
    click_header(qtbot, view, 2)
    assert heard[3:] == []
    assert view.key == frame.index[3]
    rank = frame.sort_values("n", ascending=False, kind="stable").index.get_loc(frame.index[3])
    rising = view.horizontalHeader().sortIndicatorOrder() == Qt.SortOrder.AscendingOrder
    if rising:
        rank = frame.sort_values("n", kind="stable").index.get_loc(frame.index[3])
    assert view.currentIndex().row() == rank
    view.show_key(frame.index[50])
    assert view.key == frame.index[50]
    view.show_key("no such gene")
    assert view.key is None
    assert heard[3:] == [], "shown by the program, chosen by nobody"


def test_a_new_table_keeps_sorting_and_place(qtbot, view, frame):
    click_header(qtbot, view, 2)
    view.show_key(frame.index[9])
    view.set_frame(frame.iloc[:100].assign(n=lambda f: -f["n"]), {"pcc": "{:.2f}"})
    values = frame["n"].iloc[:100] * -1
    rising = view.horizontalHeader().sortIndicatorOrder() == Qt.SortOrder.AscendingOrder
    order = values.sort_values(ascending=rising, kind="stable").index
    assert [view.table.row_key(r) for r in range(100)] == list(order)
    assert view.key == frame.index[9]
    view.set_frame(pd.DataFrame({"other": [1.0, 2.0]}))
    assert view.key is None
    assert shown(view, 0) == ["1", "2"]


def test_letters_and_copy(qtbot, view, frame):
    heard = []
    view.chosen.connect(heard.append)
    wanted = frame["symbol"].iloc[40]
    qtbot.keyClicks(view, wanted.lower())
    first = next(k for k, s in frame["symbol"].items() if s.lower().startswith(wanted.lower()))
    assert heard[-1] == first
    qtbot.keyClick(view, Qt.Key.Key_Down, Qt.KeyboardModifier.ShiftModifier)
    qtbot.keyClick(view, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    from io import StringIO

    from qtpy.QtGui import QGuiApplication

    copied = pd.read_csv(StringIO(QGuiApplication.clipboard().text()), sep="\t")
    start = frame.index.get_loc(first)
    expected = frame.iloc[start : start + 2]
    assert list(copied["symbol"]) == list(expected["symbol"])
    np.testing.assert_array_equal(copied["pcc"], expected["pcc"])
    assert list(copied["n"]) == list(expected["n"])
    assert list(copied["why"].fillna("")) == [why or "" for why in expected["why"]]


def test_20000_rows_are_sorted_by_the_frame_and_only_what_is_seen_is_made(qtbot, monkeypatch):
    rng = np.random.default_rng(1)
    n = 20_000
    frame = pd.DataFrame(
        {
            "symbol": [f"GENE{i}" for i in rng.permutation(n)],
            **{f"c{i}": rng.normal(size=n) for i in range(7)},
        },
        index=[f"ENSG{i}" for i in range(n)],
    )
    view = FrameView()
    qtbot.addWidget(view)
    view.set_frame(frame)
    view.show()
    qtbot.waitExposed(view)
    asked = set()
    model = type(view.table)
    plain = model.data
    monkeypatch.setattr(
        model, "data", lambda self, i, role=0: (asked.add(i.row()), plain(self, i, role))[1]
    )
    for column in (0, 3):
        for order in (Qt.SortOrder.AscendingOrder, Qt.SortOrder.DescendingOrder):
            view.sortByColumn(column, order)
    assert len(asked) < 500, "sorting asks for no cell"
    values = [view.table.row_key(r) for r in range(n)]
    assert values == list(frame.sort_values("c2", ascending=False).index)
    view.scrollToBottom()
    qtbot.wait(50)
    assert len(asked) < 500


def test_the_menu_key_sorts_by_a_column_and_turns_the_order_round(view, frame, qtbot):
    from qtpy.QtCore import QPoint
    from qtpy.QtGui import QContextMenuEvent
    from qtpy.QtWidgets import QApplication

    def choose(text):
        reason, middle = QContextMenuEvent.Reason.Keyboard, view.rect().center()
        event = QContextMenuEvent(reason, middle, view.mapToGlobal(QPoint(9, 9)))
        QApplication.sendEvent(view.viewport(), event)
        menu = QApplication.activePopupWidget()
        texts = [action.text() for action in menu.actions()]
        assert texts == [f"Sort by {name}" for name in frame.columns]
        for _ in range(texts.index(text) + 1):
            qtbot.keyClick(menu, Qt.Key.Key_Down)
        qtbot.keyClick(menu, Qt.Key.Key_Return)

    choose("Sort by n")
    assert view.table.sorted_frame["n"].is_monotonic_decreasing
    choose("Sort by n")
    assert view.table.sorted_frame["n"].is_monotonic_increasing
    choose("Sort by pcc")
    assert view.table.sorted_frame["pcc"].dropna().is_monotonic_decreasing


def test_a_last_column_that_fills_has_the_rest_and_never_too_little(view, frame, qtbot):
    view.fill_width()
    for width in (700, 250, 500):
        view.resize(width, 300)
        qtbot.waitUntil(lambda w=width: abs(view.width() - w) < 2)
        others = sum(view.columnWidth(c) for c in range(3))
        rest = view.viewport().width() - others
        assert view.columnWidth(3) == max(rest, 90)
