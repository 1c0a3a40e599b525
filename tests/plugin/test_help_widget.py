"""The Help widget: the doctor's table in words and colours."""

from __future__ import annotations

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication

from napari_umpire.plugin.session.session import session_of
from napari_umpire.slides.scale import PhysicalScale


@pytest.fixture
def checked(open_viewer, slide, flat_slide, model_folder, qtbot):
    viewer = open_viewer(slide, flat_slide.with_scale(PhysicalScale()))
    session_of(viewer).choose_model(str(model_folder))
    _, widget = viewer.window.add_plugin_dock_widget("napari-umpire", "Help")
    widget.tabs.setCurrentIndex(1)
    with qtbot.waitSignal(widget.work.done, timeout=60_000):
        qtbot.mouseClick(widget.look, Qt.MouseButton.LeftButton)
        assert not widget.look.isEnabled()
    qtbot.waitUntil(widget.look.isEnabled)
    return widget


def rows(widget):
    return {
        widget.table.item(r, 1).text(): (widget.table.item(r, 0).text(), r)
        for r in range(widget.table.rowCount())
    }


def test_the_table_says_what_is_wrong_and_how_to_mend_it(checked, slide, qtbot):
    found = rows(checked)
    assert found["Python"][0] == "PASS"
    assert found["Model"][0] == found["Reference"][0] == "PASS"
    assert found[f"Slide {slide.name}"][0] == "PASS"
    status, row = found["Slide flat"]
    assert status == "FAIL"
    # The gravest one is chosen, with its mend below.
    assert checked.table.currentRow() == row
    assert "Enter the um per px" in checked.mend.text()
    assert "FAIL" in checked.table.cellWidget(row, 0).text()
    assert "OpenGL" in checked.table.item(found["Graphics"][1], 2).text()
    assert "napari" in checked.table.item(found["Graphics"][1], 2).text()
    assert "Disk for the cache" in found
    # Its colours are told apart: the badge of a failure is red, that of a pass is not.
    image = checked.table.grab().toImage()
    at = checked.table.visualItemRect(checked.table.item(0, 0)).topLeft()
    top = checked.table.horizontalHeader().height()
    green = image.pixelColor(at.x() + 3, at.y() + top + 3)
    assert green.green() > 1.5 * green.red()


def test_arrow_keys_go_through_the_mends(checked, qtbot):
    checked.table.setCurrentCell(0, 1)
    assert checked.mend.text() == "Python: nothing to do."
    row = rows(checked)["Image encoders"][1]
    for _ in range(row):
        qtbot.keyClick(checked.table, Qt.Key.Key_Down)
    assert "huggingface.co/MahmoodLab/uni" in checked.mend.text()


def test_all_mends_at_once_the_gravest_first(checked, qtbot):
    n = sum(bool(check.mend) for check in checked.checks)
    assert n > 1
    assert checked.all_mends.text() == f"All {n} mends"
    one = checked.mend.text()
    qtbot.mouseClick(checked.all_mends, Qt.MouseButton.LeftButton)
    lines = checked.mend.text().splitlines()
    assert lines[0].startswith("1. Slide flat (FAIL): Enter the um per px")
    for check in checked.checks:
        if check.mend:
            assert f"{check.name} ({check.status}): {check.mend}" in checked.mend.text()
    # Again, or another row: that row's alone.
    qtbot.mouseClick(checked.all_mends, Qt.MouseButton.LeftButton)
    assert checked.mend.text() == one
    qtbot.mouseClick(checked.all_mends, Qt.MouseButton.LeftButton)
    checked.table.setCurrentCell(0, 1)
    assert checked.mend.text() == "Python: nothing to do."
    assert not checked.all_mends.isChecked()


def test_no_gap_under_the_table(checked, qtbot):
    qtbot.wait(100)
    between = checked.all_mends.geometry().top() - checked.table.geometry().bottom()
    assert 0 < between < 16
    label = checked.mend.label
    assert label.alignment() & Qt.AlignmentFlag.AlignTop
    assert label.mapTo(checked.mend, label.rect().topLeft()).y() < 8
    assert checked.table.height() > 3 * checked.mend.height()


def test_copied_as_text(checked, qtbot):
    qtbot.mouseClick(checked.copy, Qt.MouseButton.LeftButton)
    text = QApplication.clipboard().text()
    assert "PASS  Python" in text
    assert "FAIL  Slide flat" in text
    assert text.endswith("1 FAIL")


def test_it_opens_alone_checks_nothing_and_tells_how_to_begin(open_viewer):
    viewer = open_viewer(show=False)
    _, widget = viewer.window.add_plugin_dock_widget("napari-umpire", "Help")
    assert not widget.work.running, "the checks wait until they are asked for"
    assert widget.table.rowCount() == 0
    assert "Open a slide" in widget.how_to.text()
    assert not widget.copy.isEnabled()
    assert widget.minimumSizeHint().width() <= 380
    assert widget.minimumSizeHint().height() <= 600


def test_the_guide_names_files_that_are_there():
    import re
    from pathlib import Path

    from napari_umpire.plugin.words.help import HOW_TO

    root = Path(__file__).parents[2]
    named = re.findall(r"\b(?:docs/)?[\w-]+\.md\b", HOW_TO)
    assert len(named) == 4
    assert [n for n in named if not (root / n).is_file()] == []
    from npe2 import PluginManifest

    widgets = PluginManifest.from_distribution("napari-umpire").contributions.widgets
    shown = {w.display_name for w in widgets}
    for word in re.findall(r"\*\*([A-Z][\w ]+)\*\*", HOW_TO):
        if word not in ("Open a slide", "Choose a model", "Check"):
            assert word in shown, word
