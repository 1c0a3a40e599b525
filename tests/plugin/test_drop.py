"""Slides dropped on the real window, by Qt's own drop events."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import tifffile
from napari.settings import get_settings
from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QTimer, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QApplication, QDialog, QRadioButton

from napari_umpire.plugin.arrivals import arrivals_of
from napari_umpire.plugin.layers.make import KEY
from napari_umpire.plugin.session.session import session_of
from napari_umpire.slides.convert import write_slide
from napari_umpire.slides.synthetic import write_spaceranger

LEFT, NONE = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier


def drop(widget, *paths):
    """Drag files over the middle of a widget and let go; whether they were taken."""
    middle = widget.rect().center()
    target = widget.childAt(middle) or widget
    # Qt hands a drop to the innermost widget that takes drops.
    while not target.acceptDrops():
        target = target.parentWidget()
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    copy = Qt.DropAction.CopyAction
    enter = QDragEnterEvent(QPoint(5, 5), copy, mime, LEFT, NONE)
    QApplication.sendEvent(target, enter)
    if enter.isAccepted():
        QApplication.sendEvent(target, QDropEvent(QPointF(5, 5), copy, mime, LEFT, NONE))
    return enter.isAccepted()


def canvas_of(viewer):
    from qtpy.QtWidgets import QMainWindow

    windows = [w for w in QApplication.topLevelWidgets() if isinstance(w, QMainWindow)]
    (window,) = [w for w in windows if w.isVisible()]
    return window.centralWidget()


class Asked:
    """Answers napari's question which plugin may read a file, and keeps what it offered."""

    def __init__(self, answer):
        self.answer, self.offered = answer, None
        self._timer = QTimer()
        self._timer.timeout.connect(self._look)
        self._timer.start(20)

    def _look(self):
        for dialog in QApplication.topLevelWidgets():
            if isinstance(dialog, QDialog) and dialog.isVisible():
                buttons = dialog.findChildren(QRadioButton)
                self.offered = [button.text() for button in buttons]
                self._timer.stop()
                for button in buttons:
                    if button.text() == self.answer:
                        button.click()
                dialog.accept() if self.answer else dialog.reject()


@pytest.fixture
def sources(slide, tmp_path):
    """The same section as whole-slide TIFF, Space Ranger folder and SpatialData store."""
    level = slide.pyramid.levels[0]
    tiff = tmp_path / "scans" / "he.tif"
    tiff.parent.mkdir()
    tifffile.imwrite(
        tiff, level.read(0, 0, *level.shape), photometric="rgb", tile=(256, 256),
        description="Aperio synthetic|MPP = 2.0", metadata=None,
    )  # fmt: skip
    return {"tiff": tiff, "folder": write_spaceranger(slide, tmp_path / "brain")}


@pytest.mark.parametrize("kind", ["tiff", "folder", "store"])
@pytest.mark.filterwarnings("ignore:Call to deprecated class Scaler:DeprecationWarning")
def test_napari_asks_once_which_reader_and_ours_shows_the_slide(
    open_viewer, slide, sources, tmp_path, kind, qtbot
):
    path = sources.get(kind) or write_slide(slide, tmp_path / "section.zarr")
    viewer = open_viewer()
    before = dict(get_settings().plugins.extension2reader)
    asked = Asked("Umpire")
    assert drop(canvas_of(viewer), path)
    qtbot.waitUntil(lambda: len(viewer.layers) == 1, timeout=10_000)
    assert set(asked.offered) == {"Umpire", "napari builtins"}
    (layer,) = viewer.layers
    opened = layer.metadata[KEY]["slide"]
    assert opened.mpp == pytest.approx(2.0, rel=0.01)
    assert layer.rgb
    assert layer.multiscale
    assert layer.units == ("micrometer", "micrometer")
    assert session_of(viewer).current.slide is opened
    # What the user did not ask to be remembered is not.
    assert dict(get_settings().plugins.extension2reader) == before


def test_a_remembered_choice_is_not_asked_again(open_viewer, sources, qtbot, monkeypatch):
    monkeypatch.setattr(get_settings().plugins, "extension2reader", {"*.tif": "napari-umpire"})
    viewer, asked = open_viewer(), Asked("napari builtins")
    assert drop(canvas_of(viewer), sources["tiff"])
    assert asked.offered is None
    assert viewer.layers[0].metadata[KEY]["slide"].platform == "image"


def test_no_answer_opens_nothing(open_viewer, sources):
    viewer, asked = open_viewer(), Asked(None)
    assert drop(canvas_of(viewer), sources["tiff"])
    assert asked.offered
    assert len(viewer.layers) == 0


@pytest.fixture
def predict(open_viewer, qtbot):
    viewer = open_viewer()
    _, widget = viewer.window.add_plugin_dock_widget("napari-umpire", "Predict")
    qtbot.wait(50)
    return viewer, widget


def test_slides_dropped_on_the_widget_open_without_a_question(predict, sources, qtbot):
    viewer, widget = predict
    asked = Asked("Umpire")
    with qtbot.waitSignal(arrivals_of(viewer).idle, timeout=20_000):
        assert drop(widget, sources["tiff"], sources["folder"])
    assert asked.offered is None
    assert [layer.name for layer in viewer.layers if layer.metadata[KEY]["role"] == "image"] == [
        "he",
        "brain",
    ]
    # The first is shown, the others wait in the list.
    assert session_of(viewer).current.name == "he"


def test_what_is_no_slide_is_left_to_napari(predict, tmp_path):
    _, widget = predict
    notes = tmp_path / "notes.txt"
    notes.write_text("")
    assert not drop(widget, notes)


def test_a_broken_slide_dropped_on_the_widget_is_a_sentence(predict, tmp_path, qtbot):
    viewer, widget = predict
    broken = tmp_path / "broken.svs"
    broken.write_bytes(b"not a tiff at all")
    with qtbot.waitSignal(widget.opening.failed, timeout=10_000):
        assert drop(widget, broken)
    assert "broken.svs cannot be read" in widget.progress.text.text()
    assert len(viewer.layers) == 0


def test_one_broken_slide_among_others_does_not_keep_them_away(predict, sources, tmp_path, qtbot):
    from napari.utils.notifications import notification_manager

    viewer, widget = predict
    broken = tmp_path / "broken.svs"
    broken.write_bytes(b"")
    notification_manager.records.clear()
    with qtbot.waitSignal(arrivals_of(viewer).idle, timeout=20_000):
        assert drop(widget, broken, sources["tiff"])
    assert list(session_of(viewer).slides) == ["he"]
    errors = [n for n in notification_manager.records if str(n.severity) == "error"]
    assert len(errors) == 1
    assert "broken.svs" in errors[0].message


def test_a_record_dropped_on_the_widget_fills_the_form_and_opens_its_slide(
    predict, sources, model_folder, tmp_path, qtbot
):
    from napari_umpire.inference.predictions.record import RunRecord

    viewer, widget = predict
    record = RunRecord(
        str(sources["tiff"]), str(model_folder), k=7, weighting="similarity", mpp=2.5,
        device="cpu", batch_size=16,
    )  # fmt: skip
    with qtbot.waitSignal(arrivals_of(viewer).idle, timeout=20_000):
        assert drop(widget, record.write(tmp_path / "run.yaml"))
    session = session_of(viewer)
    assert session.current.slide.mpp == 2.5  # what the user had said of it
    assert session.model_path == str(model_folder)
    options = widget.options()
    assert (options.model, options.k, options.weighting) == (str(model_folder), 7, "similarity")
    assert (options.device, options.batch_size) == ("cpu", 16)
    # Again, with the slide open: nothing is opened twice.
    assert drop(widget, record.write(tmp_path / "again.yml"))
    assert not widget.opening.running
    assert list(session.slides) == ["he"]
    # Its slide gone: the form is filled all the same, and says what is missing.
    viewer.layers.clear()
    shutil.move(sources["tiff"], tmp_path / "elsewhere.tif")
    assert drop(widget, record.write(tmp_path / "third.yaml"))
    assert "is not there" in widget.progress.text.text()


def test_a_spoilt_record_is_a_sentence(predict, tmp_path):
    _, widget = predict
    bad = tmp_path / "bad.yaml"
    bad.write_text("slide: a.svs\nmodell: b\n")
    assert drop(widget, bad)
    assert "not a run record" in widget.progress.text.text()


def test_the_pixels_lie_where_the_file_has_them(predict, tmp_path, qtbot, canvas):
    """An asymmetric picture: black in one corner, tissue-coloured in another."""
    pixels = np.full((600, 1700, 3), 245, np.uint8)
    pixels[100:300, 1200:1600] = (150, 60, 140)
    path = tmp_path / "corner.tif"
    tifffile.imwrite(path, pixels, photometric="rgb", description="Aperio |MPP = 1.0")
    viewer, widget = predict
    with qtbot.waitSignal(arrivals_of(viewer).idle, timeout=20_000):
        drop(widget, path)
    with qtbot.waitSignal(widget.surveyor.changed, timeout=20_000):
        pass
    seen = canvas(viewer)
    assert seen.at(200, 1400)[1] < 100  # um, at 1 um per px
    assert seen.at(500, 200).min() > 200
    (outline,) = [v for v in viewer.layers if v.metadata[KEY]["role"] == "tissue"]
    (ring,) = outline.data
    np.testing.assert_allclose(ring.min(0), (100, 1200), atol=9)  # a cell of the mask
    np.testing.assert_allclose(ring.max(0), (300, 1600), atol=9)
    # The line itself, over the left border of the tissue, and not beyond it.
    border = np.array([seen.at(200, 1200 + d) for d in range(-8, 9)])
    assert (border[:, 2] - border[:, 0]).max() > 100
    assert np.ptp(seen.at(200, 1100)) < 30
