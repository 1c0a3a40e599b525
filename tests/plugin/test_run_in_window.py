"""Runs with the real model in the real window: cancelled, resumed, and disturbed in every way."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from napari.utils.notifications import notification_manager
from qtpy.QtCore import Qt

from napari_umpire.plugin.layers.make import KEY, slide_layer
from napari_umpire.plugin.session.session import session_of
from napari_umpire.plugin.widgets.parts.places import cache_folder
from napari_umpire.plugin.widgets.predict.predict import PredictWidget
from napari_umpire.slides.source_stamp import SourceStamp
from napari_umpire.slides.synthetic import make_slide

LEFT = Qt.MouseButton.LeftButton


class Gate:
    """Lets the image encoder through batch by batch, and counts what it was given."""

    def __init__(self):
        self.sizes, self.open = [], threading.Event()
        self.permits = threading.Semaphore(0)

    def __call__(self, encode):
        def slowly(batch):
            if not self.open.is_set():
                self.permits.acquire(timeout=20)
            self.sizes.append(len(batch))
            return encode(batch)

        return slowly


@pytest.fixture
def gate(monkeypatch):
    from napari_umpire.models import Umpire

    gate, real = Gate(), Umpire.encode_image
    monkeypatch.setattr(Umpire, "encode_image", lambda self, x: gate(lambda b: real(self, b))(x))
    yield gate
    gate.open.set()
    gate.permits.release()


@pytest.fixture
def dock(open_viewer, model_folder):
    """The widget docked in a window with slides, ready to run the tiny model in batches of 20."""

    def open_(*slides, show=False):
        viewer = open_viewer(*slides, show=show)
        _, widget = viewer.window.add_plugin_dock_widget("napari-umpire", "Predict")
        prepare(widget, model_folder)
        return viewer, widget

    return open_


def prepare(widget, model_folder):
    widget.model.set_value(model_folder)
    widget.device.setCurrentText("cpu")
    widget.batch.setValue(20)
    widget.k.setValue(20)


def start(qtbot, widget):
    qtbot.mouseClick(widget.run, LEFT)
    assert widget.work.running


def until(qtbot, widget, spots):
    qtbot.waitUntil(lambda: f"{spots} of" in widget.progress.text.text(), timeout=20_000)


def files(folder):
    return sorted(p.name for p in Path(folder).rglob("*") if p.is_file())


def test_a_cancelled_run_leaves_nothing_and_the_next_goes_on_where_it_stopped(
    dock, slide, prediction, gate, qtbot, tmp_path, model_folder
):
    viewer, widget = dock(slide)
    layers, model_files = list(viewer.layers), files(model_folder)
    start(qtbot, widget)
    gate.permits.release()
    gate.permits.release()
    until(qtbot, widget, 40)
    with qtbot.waitSignal(widget.work.cancelled, timeout=20_000):
        qtbot.mouseClick(widget.cancel, LEFT)
        gate.permits.release()  # the batch under way
    done = sum(gate.sizes)
    assert list(viewer.layers) == layers
    assert session_of(viewer).current.prediction is None
    assert files(model_folder) == model_files
    # What is kept is the cache alone, whole.
    assert files(cache_folder()) == ["entry.json", "features.npy", "rows.npy"]
    assert cache_folder().is_relative_to(tmp_path)
    assert "Run goes on where it stopped" in widget.progress.text.text()

    gate.sizes.clear()
    start(qtbot, widget)
    gate.permits.release()
    until(qtbot, widget, done + 20)
    assert f"went on at spot {done} of {slide.n_spots}" in widget.progress.text.text()
    with qtbot.waitSignal(widget.work.done, timeout=20_000):
        gate.open.set()
        gate.permits.release()
    assert sum(gate.sizes) == slide.n_spots - done
    assert f"went on at spot {done}" in widget.progress.text.text()
    found = session_of(viewer).current.prediction
    np.testing.assert_allclose(found.similarity, prediction.similarity, atol=1e-5)
    assert np.mean(found.indices == prediction.indices) > 0.99


def test_closing_the_window_in_a_real_run_ends_it_and_keeps_what_was_done(dock, slide, gate, qtbot):
    viewer, widget = dock(slide, show=True)
    start(qtbot, widget)
    gate.permits.release()
    until(qtbot, widget, 20)
    notification_manager.records.clear()
    threading.Timer(0.3, gate.permits.release).start()
    viewer.close()
    del widget
    qtbot.waitUntil(lambda: sum(gate.sizes) == 40, timeout=10_000)
    qtbot.wait(500)
    assert sum(gate.sizes) == 40  # the batch under way was the last
    assert not notification_manager.records
    assert files(cache_folder()) == ["entry.json", "features.npy", "rows.npy"]


def test_a_slide_removed_and_another_of_its_name_opened_gets_no_foreign_map(
    dock, slides, gate, qtbot
):
    viewer, widget = dock(slides[0])
    start(qtbot, widget)
    gate.permits.release()
    until(qtbot, widget, 20)
    viewer.layers.clear()
    data, attributes, _ = slide_layer(replace(slides[1], name=slides[0].name))
    viewer.add_image(data, **attributes)
    with qtbot.waitSignal(widget.work.ended, timeout=20_000):
        gate.permits.release()  # the batch under way is the last
    assert sum(gate.sizes) == 40
    assert f"Cancelled: {slides[0].name} was removed" in widget.progress.text.text()
    assert widget.run.isEnabled(), "the other slide can be run now"
    assert list(session_of(viewer).slides) == [slides[0].name]
    assert session_of(viewer).current.prediction is None


def test_two_runs_at_once_each_give_their_own_slide_its_map(dock, slide, gate, model_folder, qtbot):
    other = make_slide(9, rows=14, cols=10, mpp=2.0)
    viewer, first = dock(slide, other)
    session = session_of(viewer)
    session.set_current(slide.name)
    start(qtbot, first)
    gate.permits.release()
    until(qtbot, first, 20)
    # The first one runs on; another slide is looked at, and run from a second widget.
    session.set_current(other.name)
    assert not first.run.isEnabled()
    assert first.run.toolTip()
    second = PredictWidget(viewer)
    qtbot.addWidget(second)
    prepare(second, model_folder)
    start(qtbot, second)
    with (
        qtbot.waitSignal(first.work.done, timeout=30_000),
        qtbot.waitSignal(second.work.done, timeout=30_000),
    ):
        gate.open.set()
        gate.permits.release()
        gate.permits.release()
    for one in (slide, other):
        made = session.slides[one.name].prediction
        assert made.slide_name == one.name
        assert list(made.spots.index) == list(one.spots.index)


def test_slides_of_one_name_are_kept_apart(dock, slides, gate, qtbot):
    viewer, widget = dock(slides[0], replace(slides[1], name=slides[0].name))
    session = session_of(viewer)
    names = [slides[0].name, f"{slides[0].name} (2)"]
    assert list(session.slides) == names
    assert [widget.slides.itemText(i) for i in range(widget.slides.count())] == names
    gate.open.set()
    for name in names:
        session.set_current(name)
        with qtbot.waitSignal(widget.work.done, timeout=20_000):
            start(qtbot, widget)
    digests = {session.slides[name].prediction.record.provenance["slide_digest"] for name in names}
    assert digests == {slides[0].digest, slides[1].digest}


def test_a_model_chosen_elsewhere_during_a_run_stays_chosen(dock, slide, gate, qtbot, tmp_path):
    viewer, widget = dock(slide)
    session, before = session_of(viewer), session_of(viewer).model_path
    start(qtbot, widget)
    assert not widget.model.isEnabled()
    session.choose_model(str(tmp_path / "another"))  # as another widget does
    with qtbot.waitSignal(widget.work.done, timeout=20_000):
        gate.open.set()
        gate.permits.release()
    assert session.model_path == str(tmp_path / "another")
    assert widget.model.value == str(tmp_path / "another")
    # The result says by which model it was made.
    assert session.current.prediction.record.model == before
    assert not widget.run.isEnabled()
    assert "no such folder" in widget.card.text


def test_too_little_memory_halves_the_batch_and_the_result_is_the_same(
    dock, slide, prediction, qtbot, monkeypatch
):
    import torch

    from napari_umpire.models import Umpire

    sizes, real = [], Umpire.encode_image

    def small(self, batch):
        if len(batch) > 6:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        sizes.append(len(batch))
        return real(self, batch)

    monkeypatch.setattr(Umpire, "encode_image", small)
    viewer, widget = dock(slide)
    with qtbot.waitSignal(widget.work.done, timeout=30_000):
        start(qtbot, widget)
    assert max(sizes) == 5  # 20, 10, 5
    assert sum(sizes) == slide.n_spots
    made = session_of(viewer).current.prediction
    np.testing.assert_allclose(made.similarity, prediction.similarity, atol=1e-5)


def test_a_file_cut_short_during_a_run_is_a_sentence_that_names_the_spot(
    dock, slide, gate, qtbot, tmp_path
):
    from napari_umpire.slides.open import open_slide

    level = slide.pyramid.levels[0]
    pixels = level.read(0, 0, *level.shape)
    path = tmp_path / "he.tif"
    tifffile.imwrite(path, pixels, photometric="rgb", tile=(64, 64))
    grid = open_slide(path, mpp=2.0)
    viewer, widget = dock(grid)
    start(qtbot, widget)
    gate.permits.release()
    until(qtbot, widget, 20)
    os.truncate(path, path.stat().st_size // 3)
    notification_manager.records.clear()
    with qtbot.waitSignal(widget.work.failed, timeout=20_000):
        gate.open.set()
        gate.permits.release()
    said = widget.progress.text.text()
    assert said.startswith("The image under spot spot_00")
    assert "of he cannot be read. Got: he.tif is cut short" in said
    (note,) = notification_manager.records
    assert not hasattr(note, "exception")
    assert session_of(viewer).current.prediction is None
    assert widget.run.isEnabled()


def test_a_store_changed_during_a_run_gives_no_prediction(dock, slide, gate, qtbot, tmp_path):
    file = tmp_path / "chunk"
    file.write_bytes(b"pixels")
    viewer, widget = dock(replace(slide, stamp=SourceStamp.of(tmp_path / "chunk")))
    start(qtbot, widget)
    gate.permits.release()
    until(qtbot, widget, 20)
    file.unlink()
    with qtbot.waitSignal(widget.work.failed, timeout=20_000):
        gate.open.set()
        gate.permits.release()
    assert "changed by another program" in widget.progress.text.text()
    assert session_of(viewer).current.prediction is None
    # The next run refuses at once.
    with qtbot.waitSignal(widget.work.failed, timeout=20_000):
        start(qtbot, widget)


def test_no_layer_of_ours_mixes_units(dock, slide, gate, qtbot, recwarn):
    viewer, widget = dock(slide, show=True)
    gate.open.set()
    widget.card.outline.click()
    with qtbot.waitSignal(widget.surveyor.drawing.ended, timeout=20_000):
        widget.card.spots.click()
    with qtbot.waitSignal(widget.work.done, timeout=20_000):
        start(qtbot, widget)
    session_of(viewer).set_spot(3)
    qtbot.wait(100)
    roles = {layer.metadata[KEY]["role"] for layer in viewer.layers}
    assert {"image", "tissue", "spots", "predicted", "asked"} <= roles
    assert {tuple(map(str, layer.units)) for layer in viewer.layers} == {("micrometer",) * 2}
    assert viewer.canvas.overlays.scale_bar.visible
    assert not [w for w in recwarn if "nit" in str(w.message)]
