"""The Predict widget, with mouse and keyboard, in the real window."""

from __future__ import annotations

import shutil
import threading

import numpy as np
import pytest
from napari.utils.notifications import notification_manager
from qtpy.QtCore import Qt

from napari_umpire.plugin.layers.make import KEY
from napari_umpire.plugin.session.session import session_of
from napari_umpire.plugin.widgets.predict.predict import PredictWidget
from napari_umpire.progress import Progress
from napari_umpire.slides.scale import PhysicalScale

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def dock(open_viewer):
    """Open a viewer with slides and the widget, as the menu does."""

    def open_(*slides, show=False):
        viewer = open_viewer(*slides, show=show)
        _, widget = viewer.window.add_plugin_dock_widget("napari-umpire", "Predict")
        return viewer, widget

    return open_


def click(qtbot, button):
    qtbot.mouseClick(button, LEFT)


def type_model(qtbot, widget, path):
    widget.model.combo.setFocus()
    widget.model.combo.lineEdit().selectAll()
    qtbot.keyClicks(widget.model.combo, str(path))


def test_it_opens_alone_with_nothing_loaded_and_says_what_to_do(dock):
    _, widget = dock()
    assert "Drop a slide" in widget.card.text
    assert not widget.run.isEnabled()
    assert not widget.cancel.isEnabled()
    assert not widget.scale.isVisibleTo(widget)


def test_a_slide_dropped_later_appears_in_it(dock, slide, open_viewer):
    from napari_umpire.plugin.layers.make import slide_layer

    viewer, widget = dock()
    data, attributes, _ = slide_layer(slide)
    viewer.add_image(data, **attributes)
    assert widget.slides.currentText() == slide.name
    assert "µm per px" in widget.card.text
    assert f"Spots: {slide.n_spots} measured" in widget.card.text
    viewer.layers.clear()
    assert "Drop a slide" in widget.card.text


def test_run_shows_the_map_of_the_prediction(dock, slide, model_folder, prediction, qtbot):
    viewer, widget = dock(slide, show=True)
    type_model(qtbot, widget, model_folder)
    assert "112 µm" in widget.card.text
    widget.k.setValue(20)
    widget.device.setCurrentText("cpu")
    with qtbot.waitSignal(widget.work.done, timeout=60_000):
        click(qtbot, widget.run)
        assert widget.cancel.isEnabled()
        assert not widget.run.isEnabled()
    session = session_of(viewer)
    layer = session.display.layer("predicted")
    key = session.current.genes.frame.at[session.gene, "predicted"]
    np.testing.assert_allclose(
        layer.metadata[KEY]["map"].values, prediction.gene_map(key), rtol=1e-4, atol=1e-5
    )
    spread = {g: prediction.gene_map(g).std() for g in prediction.genes.index}
    assert spread[key] > np.quantile(list(spread.values()), 0.8)  # it shows something
    assert layer.metadata[KEY]["run"] == session.model.digest
    assert layer.visible
    assert widget.run.isEnabled()
    assert "Done" in widget.progress.text.text()
    assert "Gene maps" in "".join(viewer.window.dock_widgets)
    # The next run in this and in the next window knows the model already.
    assert PredictWidget(viewer).model.value == str(model_folder)
    with qtbot.waitSignal(widget.work.done, timeout=60_000):
        model = session.model
        click(qtbot, widget.run)
    assert session.model is model


def test_cancel_leaves_the_window_as_it_was(dock, slide, model_folder, qtbot, monkeypatch):
    release = threading.Event()

    def slow(*_):
        for i in range(1000):
            yield Progress("Embedding", i, 1000)
            release.wait(0.02)

    monkeypatch.setattr("napari_umpire.plugin.widgets.predict.predict.predict_steps", slow)
    viewer, widget = dock(slide)
    type_model(qtbot, widget, model_folder)
    before = list(viewer.layers)
    click(qtbot, widget.run)
    qtbot.waitUntil(lambda: "spots/s" in widget.progress.text.text(), timeout=5000)
    assert "left" in widget.progress.text.text()
    assert widget.progress.bar.isVisibleTo(widget)
    with qtbot.waitSignal(widget.work.cancelled, timeout=5000):
        click(qtbot, widget.cancel)
    assert list(viewer.layers) == before
    assert widget.run.isEnabled()
    assert not widget.cancel.isEnabled()
    assert not widget.progress.bar.isVisibleTo(widget)
    assert "Cancelled" in widget.progress.text.text()


def test_a_cancelled_run_goes_on_where_it_stopped(slide, model_folder, tmp_path):
    from napari_umpire.plugin.runs.predict import PredictOptions, predict_steps
    from napari_umpire.progress import run

    options = PredictOptions(str(model_folder), "cpu", 20, cache=tmp_path / "features")
    run(predict_steps(slide, options))
    reports = []
    run(predict_steps(slide, options), reports.append)
    embedding = [p for p in reports if p.total == slide.n_spots and "mbed" in p.stage]
    assert all(p.done == slide.n_spots for p in embedding)


def test_closing_the_window_during_a_run_is_safe(slide, qtbot, monkeypatch, tmp_path):
    import napari

    from napari_umpire.plugin.layers.make import slide_layer

    ended = threading.Event()

    def slow(*_):
        try:
            while True:
                yield Progress("Embedding", 1, 1000)
                threading.Event().wait(0.01)
        finally:
            ended.set()

    monkeypatch.setattr("napari_umpire.plugin.widgets.predict.predict.predict_steps", slow)
    viewer = napari.Viewer(show=True)
    data, attributes, _ = slide_layer(slide)
    viewer.add_image(data, **attributes)
    _, widget = viewer.window.add_plugin_dock_widget("napari-umpire", "Predict")
    widget.model.set_value("owner/name")
    widget._on_run()
    qtbot.waitUntil(lambda: widget.work.running, timeout=5000)
    qtbot.wait(100)
    viewer.close()
    qtbot.waitUntil(ended.is_set, timeout=10_000)
    qtbot.wait(100)


def test_closing_the_dock_during_a_run_ends_the_run(dock, slide, qtbot, monkeypatch):
    ended = threading.Event()

    def slow(*_):
        try:
            while True:
                yield Progress("Embedding", 1, 1000)
                threading.Event().wait(0.01)
        finally:
            ended.set()

    monkeypatch.setattr("napari_umpire.plugin.widgets.predict.predict.predict_steps", slow)
    viewer, widget = dock(slide)
    widget.model.set_value("owner/name")
    click(qtbot, widget.run)
    qtbot.wait(50)
    viewer.window.remove_dock_widget(widget)
    widget.deleteLater()
    del widget
    qtbot.waitUntil(ended.is_set, timeout=10_000)


def test_a_slide_removed_during_the_run_ends_it_with_a_sentence(dock, slide, model_folder, qtbot):
    notification_manager.records.clear()
    viewer, widget = dock(slide)
    type_model(qtbot, widget, model_folder)
    widget.device.setCurrentText("cpu")
    with qtbot.waitSignal(widget.work.cancelled, timeout=60_000):
        click(qtbot, widget.run)
        viewer.layers.clear()
    said = widget.progress.text.text()
    assert said.startswith(f"Cancelled: {slide.name} was removed from the layers")
    assert "Run goes on where it stopped" in said
    assert len(viewer.layers) == 0
    assert not notification_manager.records


def test_without_scale_it_asks_and_nothing_runs_before_an_answer(dock, flat_slide, qtbot):
    viewer, widget = dock(flat_slide.with_scale(PhysicalScale()))
    widget.model.set_value("owner/name")
    assert widget.scale.isVisibleTo(widget)
    assert "How many µm" in widget.card.text
    assert not widget.run.isEnabled()
    click(qtbot, widget.scale.set)  # nothing typed yet
    assert not widget.scaling.running
    widget.scale.mpp.lineEdit().selectAll()
    qtbot.keyClicks(widget.scale.mpp, "0.5")
    with qtbot.waitSignal(widget.scaling.ended, timeout=20_000):
        click(qtbot, widget.scale.set)
    assert not widget.scale.isVisibleTo(widget)
    assert "0.5 µm per px from you" in widget.card.text
    assert tuple(viewer.layers[0].scale) == (0.5, 0.5)
    assert widget.run.isEnabled()


def test_a_plain_image_gets_its_spots_when_its_scale_is_known(dock, slide, qtbot, tmp_path):
    from PIL import Image

    from napari_umpire.slides.open import open_slide

    level = slide.pyramid.levels[0]
    path = tmp_path / "he.png"
    Image.fromarray(level.read(0, 0, *level.shape)).save(path)
    viewer, widget = dock(open_slide(path))
    assert session_of(viewer).current.slide.n_spots == 0
    widget.scale.mpp.setValue(2.0)
    with qtbot.waitSignal(widget.scaling.ended, timeout=30_000):
        click(qtbot, widget.scale.set)
    assert session_of(viewer).current.slide.n_spots > 50
    assert session_of(viewer).current.slide.mpp == 2.0


def test_a_picture_replaced_meanwhile_is_not_taken_for_the_one_that_is_shown(
    dock, slide, qtbot, tmp_path
):
    from PIL import Image

    from napari_umpire.slides.open import open_slide

    level = slide.pyramid.levels[0]
    path = tmp_path / "he.png"
    Image.fromarray(level.read(0, 0, *level.shape)).save(path)
    viewer, widget = dock(open_slide(path))
    Image.new("RGB", (700, 300), "purple").save(path)
    with qtbot.waitSignal(widget.scaling.failed, timeout=30_000):
        click(qtbot, widget.scale.quick["20x"])
        click(qtbot, widget.scale.set)
    assert "changed by another program" in widget.progress.text.text()
    assert session_of(viewer).current.slide.scale.mpp is None


def test_an_impossible_scale_is_refused_in_a_sentence(dock, flat_slide, qtbot):
    notification_manager.records.clear()
    _, widget = dock(flat_slide.with_scale(PhysicalScale()))
    widget.scale.mpp.setValue(0.001)
    with qtbot.waitSignal(widget.scaling.failed, timeout=20_000):
        click(qtbot, widget.scale.set)
    assert "impossible physical scale" in notification_manager.records[-1].message
    assert widget.scale.isVisibleTo(widget)


@pytest.mark.parametrize("what", ["no reference", "no folder", "not a model", "no tensor"])
def test_a_bad_model_is_a_sentence(dock, slide, model_folder, qtbot, tmp_path, what):
    _, widget = dock(slide)
    folder = tmp_path / "model"
    if what == "not a model":
        folder.mkdir()
    elif what != "no folder":
        shutil.copytree(model_folder, folder)
    if what == "no reference":
        shutil.rmtree(folder / "reference")
    widget.model.set_value(folder)
    if what != "no tensor":
        said = {"no reference": "no reference spots", "no folder": "no such folder"}
        assert said.get(what, "not a model") in widget.card.text
        assert not widget.run.isEnabled()
        return
    (folder / "model.safetensors").write_bytes(b"\x80\x04.")
    notification_manager.records.clear()
    widget.device.setCurrentText("cpu")
    with qtbot.waitSignal(widget.work.failed, timeout=30_000):
        click(qtbot, widget.run)
    (note,) = notification_manager.records
    assert not hasattr(note, "exception")
    assert note.message == widget.progress.text.text()
    assert widget.run.isEnabled()


def test_it_fits_a_small_laptop(dock, slide, flat_slide, qtbot):
    viewer, widget = dock(slide, flat_slide.with_scale(PhysicalScale()), show=True)
    session_of(viewer).set_current("flat")
    widget.model.set_value("/no/such/folder" * 8)
    qtbot.wait(50)
    assert widget.minimumSizeHint().width() <= 360
    assert widget.minimumSizeHint().height() <= 600
    assert widget.parentWidget().width() <= 400, "the dock took the room of an unstyled form"


def test_a_slide_that_is_too_coarse_cannot_be_run_and_the_card_says_why(dock, slide, model_folder):
    coarse = slide.with_scale(PhysicalScale(9.0, "user", {"user": 9.0}))
    _, widget = dock(coarse)
    widget.model.set_value(str(model_folder))
    assert "too coarse" in widget.card.text
    assert not widget.run.isEnabled()


def test_a_model_that_is_gone_is_not_offered(dock, model_folder, tmp_path):
    from napari_umpire.plugin.widgets.parts.places import settings

    settings().setValue("recent_models", [str(tmp_path / "gone"), str(model_folder), "a/b-model"])
    _, widget = dock()
    offered = [widget.model.combo.itemText(i) for i in range(widget.model.combo.count())]
    assert offered == [str(model_folder), "a/b-model"]
