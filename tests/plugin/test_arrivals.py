"""A window in use goes on living while slides are opened: nothing is read in its thread."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import tifffile
from napari.settings import get_settings
from napari.utils.notifications import notification_manager
from PIL import Image
from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QTimer, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QApplication

from napari_umpire.plugin.arrivals import arrivals_of
from napari_umpire.plugin.layers.make import KEY
from napari_umpire.plugin.session.session import session_of
from napari_umpire.slides import open as opening
from napari_umpire.slides.wholefile import WholeLevel

LEFT, NONE = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier


@pytest.fixture(autouse=True)
def ours_is_chosen(make_napari_viewer, monkeypatch):
    chosen = {f"*{ending}": "napari-umpire" for ending in (".svs", ".tif", ".jpg")}
    monkeypatch.setattr(get_settings().plugins, "extension2reader", chosen)


def drop(viewer, *paths):
    """Let go of files over the canvas from within the event loop, as a user's drop arrives."""
    target = viewer.window._qt_viewer
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    copy = Qt.DropAction.CopyAction

    def let_go():
        QApplication.sendEvent(target, QDragEnterEvent(QPoint(5, 5), copy, mime, LEFT, NONE))
        QApplication.sendEvent(target, QDropEvent(QPointF(5, 5), copy, mime, LEFT, NONE))

    QTimer.singleShot(0, let_go)


def scan(path, height=600, width=1700, mpp=1.0):
    """A tiled scan with tissue in its upper right."""
    pixels = np.full((height, width, 3), 245, np.uint8)
    pixels[100:400, 1100:1600] = (150, 60, 140)
    tifffile.imwrite(
        path, pixels, photometric="rgb", tile=(256, 256), metadata=None,
        description=f"Aperio synthetic|MPP = {mpp}",
    )  # fmt: skip
    return path


class Gate:
    """Stands before `open_slides`: lets nothing through until told, and keeps who came."""

    def __init__(self, monkeypatch):
        self.open, self.came = threading.Event(), []
        really = opening.open_slides

        def wait(path, **options):
            self.came.append((path, threading.current_thread()))
            assert self.open.wait(20)
            return really(path, **options)

        monkeypatch.setattr(opening, "open_slides", wait)


@pytest.fixture
def gate(monkeypatch):
    gate = Gate(monkeypatch)
    yield gate
    gate.open.set()


def images(viewer):
    return [v for v in viewer.layers if v.metadata.get(KEY, {}).get("role") == "image"]


def test_the_window_is_used_while_a_dropped_slide_is_read(open_viewer, gate, tmp_path, qtbot):
    viewer = open_viewer()
    drop(viewer, scan(tmp_path / "slow.svs"))
    qtbot.waitUntil(lambda: bool(gate.came), timeout=10_000)
    # The reader stands still: the user goes on.
    arrivals = arrivals_of(viewer)
    qtbot.waitUntil(lambda: arrivals.stage == "Opening slow.svs, 1,700 × 600 px", timeout=10_000)
    buttons = viewer.window._qt_viewer.layerButtons
    qtbot.mouseClick(buttons.newShapesButton, LEFT)
    assert [layer.name for layer in viewer.layers] == ["Shapes"]
    assert arrivals_of(viewer).running
    assert gate.came[0][1] is not threading.main_thread()
    with qtbot.waitSignal(arrivals_of(viewer).idle, timeout=20_000):
        gate.open.set()
    assert [layer.name for layer in images(viewer)] == ["slow"]
    assert session_of(viewer).current.slide.n_spots > 0


def test_files_of_one_drop_come_one_after_the_other_and_the_first_is_shown(
    open_viewer, gate, tmp_path, qtbot
):
    viewer = open_viewer()
    broken = tmp_path / "broken.svs"
    broken.write_bytes(b"II*\0 not a tiff")
    notification_manager.records.clear()
    paths = [broken, scan(tmp_path / "one.svs"), scan(tmp_path / "two.svs", mpp=2.0)]
    drop(viewer, *paths)
    qtbot.waitUntil(lambda: bool(gate.came), timeout=10_000)
    assert len(gate.came) == 1  # one at a time
    # Dropped again by someone impatient, and another one while these are opened.
    qtbot.wait(300)
    drop(viewer, paths[1])
    qtbot.wait(300)
    drop(viewer, scan(tmp_path / "three.svs"))
    qtbot.wait(50)
    with qtbot.waitSignal(arrivals_of(viewer).idle, timeout=30_000):
        gate.open.set()
    assert [path.name for path, _ in gate.came] == [
        "broken.svs", "one.svs", "two.svs", "three.svs",
    ]  # fmt: skip
    assert [(v.name, v.visible) for v in images(viewer)] == [
        ("one", True), ("two", False), ("three", True),
    ]  # fmt: skip
    errors = [n.message for n in notification_manager.records if str(n.severity) == "error"]
    assert len(errors) == 1
    assert "broken.svs" in errors[0]


def test_a_window_closed_meanwhile_gets_no_layer(make_napari_viewer, gate, tmp_path, qtbot):
    viewer = make_napari_viewer(show=True)
    layers, arrivals = viewer.layers, arrivals_of(viewer)
    drop(viewer, scan(tmp_path / "slow.svs"), scan(tmp_path / "next.svs"))
    qtbot.waitUntil(lambda: bool(gate.came), timeout=10_000)
    with qtbot.waitSignal(arrivals.destroyed, timeout=10_000):
        viewer.close()
    gate.open.set()
    qtbot.wait(300)
    assert len(layers) == 0
    assert len(gate.came) == 1  # and what waited is not opened


def test_a_script_gets_its_layers_from_viewer_open(open_viewer, tmp_path):
    viewer = open_viewer()
    (layer,) = viewer.open(str(scan(tmp_path / "he.tif")), plugin="napari-umpire")
    assert layer in viewer.layers
    assert not arrivals_of(viewer).running


def test_a_picture_is_decoded_in_the_thread_and_once(open_viewer, tmp_path, qtbot, monkeypatch):
    pixels = np.full((2000, 2600, 3), 245, np.uint8)
    pixels[300:1200, 1400:2300] = (150, 60, 140)
    path = tmp_path / "he.jpg"
    Image.fromarray(pixels).save(path, dpi=(25_400, 25_400))
    threads = []
    property_of = WholeLevel.pixels.fget

    def watched(level):
        really = level.decode

        def decode():
            threads.append(threading.current_thread())
            return really()

        level.decode = decode
        try:
            return property_of(level)
        finally:
            level.decode = really

    monkeypatch.setattr(WholeLevel, "pixels", property(watched))
    viewer = open_viewer()
    drop(viewer, path)
    with qtbot.waitSignal(arrivals_of(viewer).idle, timeout=20_000):
        pass
    (layer,) = images(viewer)
    viewer.scene.camera.zoom *= 30
    viewer.screenshot(flash=False)
    assert layer.data_level == 0  # the finest was looked at
    assert threads
    assert threading.main_thread() not in threads


def test_the_first_look_reads_nothing_from_the_file(open_viewer, tmp_path, qtbot, monkeypatch):
    """The coarse levels are in memory before the layer is there."""
    from napari_umpire.slides.pyramid import Level

    path = scan(tmp_path / "large.svs", height=5000, width=7000)
    viewer = open_viewer()
    in_window = []
    really = Level.read_tile

    def read_tile(level, row, col):
        if threading.current_thread() is threading.main_thread():
            in_window.append((level, row, col))
        return really(level, row, col)

    monkeypatch.setattr(Level, "read_tile", read_tile)
    drop(viewer, path)
    with qtbot.waitSignal(arrivals_of(viewer).idle, timeout=30_000):
        pass
    viewer.screenshot(flash=False)
    assert images(viewer)[0].data_level > 0
    assert in_window == []
