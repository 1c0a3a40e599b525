"""A scale that a file states can be overruled, and given back, in the window."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from qtpy.QtCore import QPoint, Qt

from napari_umpire.inference.classes.labels import SpotLabels
from napari_umpire.plugin.layers.make import KEY
from napari_umpire.plugin.session.session import session_of
from napari_umpire.plugin.words.slide import slide_card
from napari_umpire.slides.open import open_slide
from napari_umpire.slides.scale import PhysicalScale

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def scan(tmp_path):
    """A scan of 1,200 x 1,700 px that states 0.5 um per px; its tissue is 600 x 500 px."""
    pixels = np.full((1200, 1700, 3), 245, np.uint8)
    pixels[200:800, 1100:1600] = (150, 60, 140)
    path = tmp_path / "wrong.svs"
    tifffile.imwrite(
        path, pixels, photometric="rgb", tile=(256, 256), metadata=None,
        description="Aperio synthetic|MPP = 0.5",
    )  # fmt: skip
    return open_slide(path)


@pytest.fixture
def dock(open_viewer, qtbot):
    def open_(slide):
        viewer = open_viewer(slide)
        _, widget = viewer.window.add_plugin_dock_widget("napari-umpire", "Predict")
        qtbot.waitUntil(lambda: not widget.surveyor.work.running, timeout=20_000)
        qtbot.wait(20)
        return viewer, widget

    return open_


def rescale(qtbot, widget, button):
    with qtbot.waitSignal(widget.scaling.done, timeout=20_000):
        qtbot.mouseClick(button, LEFT)
    qtbot.waitUntil(lambda: not widget.surveyor.work.running, timeout=20_000)


def test_a_stated_scale_is_overruled_and_given_back_by_the_keyboard(dock, scan, qtbot):
    viewer, widget = dock(scan)
    session = session_of(viewer)
    before = session.current.slide
    assert not widget.scale.isVisibleTo(widget)
    widget.card.change.setFocus()
    qtbot.keyClick(widget.card.change, Qt.Key.Key_Space)
    assert widget.scale.isVisibleTo(widget)
    assert not widget.scale.as_file.isVisibleTo(widget)  # it is what the file says
    qtbot.keyClicks(widget.scale.mpp, "2")
    assert "2 µm per px in place of 0.5" in widget.scale.words.text()
    assert "4 times as long" in widget.scale.words.text()
    assert session.current.slide is before  # nothing before OK
    with qtbot.waitSignal(widget.scaling.done, timeout=20_000):
        qtbot.keyClick(widget.scale.mpp, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: not widget.surveyor.work.running, timeout=20_000)
    after = session.current.slide
    assert (after.scale.mpp, after.scale.source) == (2.0, "user")
    assert not widget.scale.isVisibleTo(widget)
    # What lies over it is placed anew: 16 times the area holds some 16 times the spots.
    assert 12 < after.n_spots / before.n_spots < 21
    (image,) = [v for v in viewer.layers if v.metadata[KEY]["role"] == "image"]
    assert tuple(image.scale) == (2.0, 2.0)
    qtbot.waitUntil(lambda: any(v.metadata[KEY]["role"] == "tissue" for v in viewer.layers))
    (outline,) = [v for v in viewer.layers if v.metadata[KEY]["role"] == "tissue"]
    assert tuple(outline.scale) == (2.0, 2.0)
    text = widget.card.text
    assert "2 µm per px from you, which wins over every other" in text
    assert "0.5 µm per px" in text  # what the file says is still told
    # As the file says.
    qtbot.mouseClick(widget.card.change, LEFT)
    rescale(qtbot, widget, widget.scale.as_file)
    restored = session.current.slide
    assert (restored.scale.mpp, restored.scale.source) == (0.5, before.scale.source)
    assert restored.n_spots == before.n_spots


def test_escape_and_cancel_keep_the_scale(dock, scan, qtbot):
    viewer, widget = dock(scan)
    for leave in (
        lambda: qtbot.keyClick(widget.scale.set, Qt.Key.Key_Escape),
        lambda: qtbot.mouseClick(widget.scale.keep, LEFT),
    ):
        qtbot.mouseClick(widget.card.change, LEFT)
        qtbot.mouseClick(widget.scale.quick["40x"], LEFT)
        assert widget.scale.mpp.value() == 0.25
        qtbot.mouseClick(widget.scale.ruler_button, LEFT)
        leave()
        assert not widget.scale.isVisibleTo(widget)
        assert not [v for v in viewer.layers if v.metadata[KEY]["role"] == "ruler"]
    assert session_of(viewer).current.slide.mpp == 0.5


def drag(qtbot, viewer, start, end):
    """Drag on the canvas between world positions (y, x)."""
    native = viewer.window._qt_viewer.canvas.native
    camera = viewer.scene.camera
    centre, zoom = camera.center[-2:], camera.zoom

    def at(world):
        x = native.width() / 2 + (world[1] - centre[1]) * zoom
        y = native.height() / 2 + (world[0] - centre[0]) * zoom
        return QPoint(round(x), round(y))

    qtbot.mouseMove(native, at(start))
    qtbot.mousePress(native, LEFT, pos=at(start))
    for step in (0.3, 0.7, 1.0):
        between = [a + (b - a) * step for a, b in zip(start, end, strict=True)]
        qtbot.mouseMove(native, at(between))
        qtbot.wait(20)
    qtbot.mouseRelease(native, LEFT, pos=at(end))
    qtbot.wait(50)


def test_a_ruler_over_something_of_known_length_proposes_the_scale(dock, scan, qtbot):
    viewer, widget = dock(scan)
    active = viewer.layers.selection.active
    qtbot.mouseClick(widget.card.change, LEFT)
    assert not widget.scale.length.isVisibleTo(widget)
    qtbot.mouseClick(widget.scale.ruler_button, LEFT)
    assert "Drag a line" in widget.scale.words.text()
    # The upper border of the tissue, 500 px long, which the file's scale takes for 250 um.
    drag(qtbot, viewer, (100, 550), (100, 800))
    (ruler,) = [v for v in viewer.layers if v.metadata[KEY]["role"] == "ruler"]
    np.testing.assert_allclose(ruler.data[0], [(200, 1100), (200, 1600)], atol=6)
    assert "The line is" in widget.scale.words.text()
    # Slanted and longer: 600 down and 500 to the right; it takes the place of the first.
    drag(qtbot, viewer, (100, 550), (400, 800))
    assert ruler.nshapes == 1
    widget.scale.length.setFocus()
    widget.scale.length.selectAll()
    qtbot.keyClicks(widget.scale.length, "1562")
    assert widget.scale.mpp.value() == pytest.approx(2.0, rel=0.01)
    assert session_of(viewer).current.slide.mpp == 0.5
    rescale(qtbot, widget, widget.scale.set)
    assert session_of(viewer).current.slide.mpp == pytest.approx(2.0, rel=0.01)
    assert ruler not in viewer.layers
    assert viewer.layers.selection.active is active


def test_removing_the_ruler_by_hand_ends_it(dock, scan, qtbot):
    viewer, widget = dock(scan)
    qtbot.mouseClick(widget.card.change, LEFT)
    qtbot.mouseClick(widget.scale.ruler_button, LEFT)
    (ruler,) = [v for v in viewer.layers if v.metadata[KEY]["role"] == "ruler"]
    viewer.layers.remove(ruler)
    assert not widget.scale.ruler_button.isChecked()
    viewer.layers.clear()  # the slide goes, and with it the question
    assert not widget.scale.isVisibleTo(widget)


def test_what_was_made_at_the_old_scale_is_said_and_dropped_and_counts_and_classes_stay(
    dock, slide, prediction, measured, qtbot
):
    viewer, widget = dock(slide)
    session = session_of(viewer)
    session.set_prediction(slide.name, prediction)
    session.set_measured(slide.name, measured)
    labels = SpotLabels("side", np.arange(slide.n_spots) % 2, ("a", "b"), ("#d55e00", "#0072b2"))
    session.set_labels(slide.name, labels)
    qtbot.mouseClick(widget.card.change, LEFT)
    qtbot.mouseClick(widget.scale.quick["20x"], LEFT)
    assert "OK discards the prediction of this slide" in widget.scale.words.text()
    with qtbot.waitSignal(widget.scaling.done, timeout=20_000):
        qtbot.mouseClick(widget.scale.set, LEFT)
    state = session.current
    assert state.slide.mpp == 0.5
    assert state.prediction is None
    assert "The prediction was made at the old scale and discarded" in widget.progress.text.text()
    assert state.measured is measured  # counts have no scale
    assert state.labels == {"side": labels}


def test_the_card_shows_every_statement_and_why_one_was_taken(flat_slide):
    stated = {"description": 0.25, "resolution tag": 0.5}
    scale = PhysicalScale(0.25, "description", stated)
    (row,) = [r for r in slide_card(flat_slide.with_scale(scale)).rows if r.label == "Scale"]
    assert row.warn
    assert "which states it deliberately" in row.note
    assert "0.5 µm per px from the file's resolution tag" in row.note
    overruled = PhysicalScale(0.5, "user", stated | {"user": 0.5})
    (row,) = [r for r in slide_card(flat_slide.with_scale(overruled)).rows if r.label == "Scale"]
    assert "which wins over every other" in row.note
    assert "0.25 µm per px from the file's description" in row.note
    assert not row.warn
