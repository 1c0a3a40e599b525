"""The Results widget: tables, commands, records and figures, with mouse and keyboard."""

from __future__ import annotations

import errno
import shlex
from dataclasses import replace

import numpy as np
import pytest
import spatialdata as sd
from napari.utils.notifications import notification_manager
from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
from qtpy.QtGui import QDropEvent
from qtpy.QtWidgets import QApplication, QFileDialog

from napari_umpire.inference.classes.labels import SpotLabels
from napari_umpire.inference.predictions import saving
from napari_umpire.inference.predictions.record import RunRecord
from napari_umpire.plugin.layers.spot_map import SpotMap
from napari_umpire.plugin.session.session import session_of
from napari_umpire.slides.convert import write_slide
from napari_umpire.slides.open import open_slide

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def stored(slide, tmp_path):
    (tmp_path / "slides").mkdir()
    return open_slide(write_slide(slide, tmp_path / "slides" / "slide.zarr"))


@pytest.fixture
def dock(open_viewer):
    def open_(*slides, show=False):
        viewer = open_viewer(*slides, show=show)
        _, widget = viewer.window.add_plugin_dock_widget("napari-umpire", "Results")
        return viewer, session_of(viewer), widget

    return open_


@pytest.fixture
def ready(dock, stored, prediction, measured):
    """A slide from a store with prediction, measurement, classes and a map."""
    viewer, session, widget = dock(stored)
    about = replace(prediction.record, slide=str(stored.path), region=stored.region)
    session.set_prediction(stored.name, replace(prediction, record=about))
    session.set_measured(stored.name, measured)
    codes = np.arange(stored.n_spots) % 2
    labels = SpotLabels("tissue", codes, ("tumour", "stroma"), ("#0072b2", "#f0e442"))
    session.set_labels(stored.name, labels)
    session.set_map(
        stored.name, SpotMap("sim", "similarity", np.linspace(0, 1, stored.n_spots)), show=False
    )
    return viewer, session, widget


def click(qtbot, button):
    assert button.isEnabled(), button.text()
    qtbot.mouseClick(button, LEFT)


def save(qtbot, form, signal="done"):
    with qtbot.waitSignal(getattr(form.work, signal), timeout=30_000) as caught:
        click(qtbot, form.save)
    qtbot.waitUntil(lambda: not form.work.running)
    return caught.args[0] if caught.args else None


def told(qtbot, place):
    """Path and what it is, as the form says them."""
    qtbot.waitUntil(lambda: not place.looking.running, timeout=20_000)
    said = place.words.text().replace("\u200b", "")
    path, what = said.split("; its run record")[0].split(": ", 1)
    assert path == place.words.toolTip()
    return path, what


def choose(form, key):
    form.choice.setCurrentIndex(form.choice.findData(key))


def answer(monkeypatch, which, path, kind=""):
    monkeypatch.setattr(QFileDialog, which, lambda *_, **__: (str(path), kind))


def test_it_opens_alone_and_says_what_it_needs(dock, slide, open_viewer):
    from napari_umpire.plugin.opening import add_slides

    viewer, session, widget = dock()
    assert "Open a slide" in widget.save.size_words.text()
    for button in (widget.save.save, widget.save.copy, widget.figures.draw):
        assert not button.isEnabled()
    add_slides(viewer, [slide])
    assert "Predict its genes first" in widget.save.size_words.text()
    viewer.layers.clear()
    assert "Open a slide" in widget.save.size_words.text()


def test_the_table_has_genes_spread_classes_and_maps(ready, stored, qtbot):
    _, session, widget = ready
    form = widget.save
    choose(form, "listed")
    qtbot.keyClicks(form.genes.text, "ERBB2, gnas NOPE")
    assert "2 of 3 names found" in form.size_words.text()
    assert "NOPE" in form.size_words.text()
    assert f"{stored.n_spots} spots x 2 genes" in form.size_words.text()
    form.std.setChecked(True)
    form.name.clear()
    qtbot.keyClicks(form.name, "mine")
    saved = save(qtbot, form)
    assert "Saved" in form.progress.text.text()
    table = sd.read_zarr(stored.path).tables["mine"]
    prediction = session.current.prediction
    assert table.var["symbol"].tolist() == ["ERBB2", "GNAS"]
    np.testing.assert_array_equal(table.X[:, 0], prediction.gene_map("ERBB2"))
    np.testing.assert_array_equal(table.layers["std"][:, 1], prediction.spread("GNAS"))
    assert list(table.uns["tissue_colors"]) == ["#0072b2", "#f0e442"]
    assert table.obs["tissue"].tolist()[:2] == ["tumour", "stroma"]
    np.testing.assert_allclose(table.obs["sim"], np.linspace(0, 1, stored.n_spots), atol=1e-6)
    assert RunRecord.read(saved.record).genes == tuple(table.var_names)


def test_what_was_said_of_a_slide_goes_with_it(ready, slides, qtbot):
    from napari_umpire.plugin.opening import add_slides

    viewer, session, widget = ready
    saved = save(qtbot, widget.save)
    widget.figures.progress.say("Saved: a.png")
    name = session.current.name
    add_slides(viewer, [slides[2]])
    session.set_current(name)
    save(qtbot, widget.save)
    viewer.layers.remove(session.slides[slides[2].name].image)
    assert "Saved" in widget.save.progress.text.text(), "the other one went"
    assert widget.save.copy_record.isEnabled()
    widget.figures.progress.say("Saved: a.png")
    viewer.layers.clear()
    for form in (widget.save, widget.figures):
        assert form.progress.text.text() == ""
    assert saved.record.exists()


def test_columns_are_left_out_by_a_click_and_the_shown_gene_is_one_gene(ready, stored, qtbot):
    _, session, widget = ready
    form = widget.save
    gene = session.current.genes.key_of_predicted(session.current.prediction.find("FASN"))
    session.set_gene(gene)
    choose(form, "shown")
    items = {form.extras.item(i).text(): form.extras.item(i) for i in range(form.extras.count())}
    assert set(items) == {"classes: tissue", "similarity"}
    items["classes: tissue"].setCheckState(Qt.CheckState.Unchecked)
    saved = save(qtbot, form)
    table = sd.read_zarr(saved.store).tables[saved.element]
    assert table.var["symbol"].tolist() == ["FASN"]
    assert "tissue" not in table.obs
    assert "sim" in table.obs


def test_a_read_only_store_is_a_sentence_and_elsewhere_keeps_it(
    ready, stored, qtbot, monkeypatch, tmp_path
):
    _, _, widget = ready
    form = widget.save
    real = saving.tempfile.TemporaryFile

    def refuse(*_, dir=None, **__):  # noqa: A002
        if str(stored.path.parent) in str(dir):
            raise OSError(errno.EROFS, "Read-only file system")
        return real(dir=dir)

    monkeypatch.setattr(saving.tempfile, "TemporaryFile", refuse)
    notification_manager.records.clear()
    save(qtbot, form, "failed")
    assert "read-only" in form.progress.text.text()
    assert "Save it elsewhere" in notification_manager.records[-1].message
    assert list(sd.read_zarr(stored.path).tables) == [stored.table]
    answer(monkeypatch, "getSaveFileName", tmp_path / "kept")
    click(qtbot, form.place.elsewhere)
    assert told(qtbot, form.place) == (str(tmp_path / "kept.zarr"), "a new store")
    choose(form, "listed")
    form.genes.set_names(["ERBB2"])
    assert save(qtbot, form).store == tmp_path / "kept.zarr"
    assert sd.read_zarr(tmp_path / "kept.zarr").tables["umpire"].n_vars == 1
    assert told(qtbot, form.place) == (str(tmp_path / "kept.zarr"), "a store that is there")
    click(qtbot, form.place.own)
    assert told(qtbot, form.place) == (str(stored.path), "the slide's store")
    assert not form.place.own.isEnabled()


def test_the_path_is_said_before_anything_is_written(dock, slide, stored, tmp_path, qtbot):
    from PIL import Image

    from napari_umpire.plugin.layers.make import slide_layer

    level = slide.pyramid.levels[0]
    Image.fromarray(level.read(0, 0, *level.shape)).save(tmp_path / "he.png")
    viewer, session, widget = dock(slide)
    form = widget.save
    qtbot.waitUntil(lambda: not form.place.looking.running, timeout=20_000)
    assert "only in memory" in form.place.words.text()
    for one, place in (
        (open_slide(tmp_path / "he.png", mpp=2.0), (str(tmp_path / "he.zarr"), "a new store")),
        (stored, (str(stored.path), "the slide's store")),
    ):
        data, attributes, _ = slide_layer(one)
        viewer.add_image(data, **attributes)
        assert told(qtbot, form.place) == place
    assert not (tmp_path / "he.zarr").exists()
    # The last asked wins, also where slides change faster than places are looked up.
    for name in list(session.slides) * 2:
        session.set_current(name)
    assert told(qtbot, form.place) == (str(stored.path), "the slide's store")
    viewer.layers.clear()
    assert not form.place.words.text()


def test_a_full_disk_and_an_empty_list_are_sentences(ready, qtbot, monkeypatch):
    from collections import namedtuple

    _, _, widget = ready
    form = widget.save
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(saving.shutil, "disk_usage", lambda _: usage(10**9, 10**9, 1000))
    save(qtbot, form, "failed")
    assert "too little room" in form.progress.text.text()
    assert form.save.isEnabled()
    choose(form, "listed")
    click(qtbot, form.save)
    assert "None of these genes" in form.progress.text.text()
    form.genes.set_names(["ERBB2"])
    form.name.clear()
    click(qtbot, form.save)
    assert "needs a name" in form.progress.text.text()


def test_cancel_writes_nothing(ready, stored, qtbot, monkeypatch):
    import threading

    from napari_umpire.progress import Progress

    def slow(_order):
        for i in range(1000):
            yield Progress("Computing the table", i, 1000, "genes")
            threading.Event().wait(0.01)

    monkeypatch.setattr("napari_umpire.plugin.widgets.results.save_form.save_steps", slow)
    _, _, widget = ready
    click(qtbot, widget.save.save)
    with qtbot.waitSignal(widget.save.work.cancelled, timeout=5000):
        click(qtbot, widget.save.cancel)
    assert "Nothing was written" in widget.save.progress.text.text()
    assert widget.save.save.isEnabled()


def test_the_command_on_the_clipboard_says_what_the_form_says(ready, stored, qtbot):
    from umpire_training.cli import parse

    _, session, widget = ready
    form = widget.save
    choose(form, "listed")
    form.genes.set_names(["ERBB2", "GNAS"])
    form.std.setChecked(True)
    click(qtbot, form.copy)
    words = shlex.split(QApplication.clipboard().text())
    assert words[:2] == ["umpire-train", "predict"]
    options = parse("predict", words[2:])
    record = session.current.prediction.record
    assert options.slides == [str(stored.path)]
    assert (options.model, options.k, options.mpp) == (record.model, record.k, record.mpp)
    assert (options.std, len(options.genes)) == (True, 2)
    assert not form.copy_record.isEnabled()
    saved = save(qtbot, form)
    click(qtbot, form.copy_record)
    assert shlex.split(QApplication.clipboard().text())[-2:] == ["--config", str(saved.record)]


def drop(widget, path):
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path))])
    event = QDropEvent(
        QPointF(5, 5), Qt.DropAction.CopyAction, mime, LEFT, Qt.KeyboardModifier.NoModifier
    )
    widget.dropEvent(event)
    return event


def test_a_record_dropped_restores_the_form(dock, stored, prediction, model_folder, tmp_path):
    viewer, session, widget = dock(stored)
    record = replace(
        prediction.record, slide=str(stored.path), region=None, model=str(model_folder), k=17,
        weighting="similarity", device="cpu", batch_size=9, genes=("ERBB2",), std=True,
        name="again", mpp=stored.mpp,
    )  # fmt: skip
    path = record.write(tmp_path / "run.yaml")
    assert drop(widget, path).isAccepted()
    predict = viewer.window.dock_widgets["Predict (napari-umpire)"]
    assert predict.model.value == str(model_folder)
    assert (predict.k.value(), predict.weighting.currentData()) == (17, "similarity")
    assert (predict.device.currentText(), predict.batch.value()) == ("cpu", 9)
    assert widget.save.genes.names == ("ERBB2",)
    assert widget.save.std.isChecked()
    assert widget.save.name.text() == "again"
    for said in (predict.progress.text.text(), widget.save.progress.text.text()):
        assert "as it was for that run" in said
        for words in (
            f"Slide: {stored.path.name}", f"{model_folder.parent.name}/{model_folder.name}, ",
            "K 17", "weights by similarity", "cpu, batch 9", "the model's own",
            "1 gene with their spread",
            f"{stored.mpp:g} µm per px",
        ):  # fmt: skip
            assert words in said, words
    assert "is open already" in predict.progress.text.text()
    assert "Made: 2" in said


def test_a_record_opens_its_slide_where_that_is_not_open(
    dock, stored, prediction, model_folder, tmp_path, qtbot
):
    viewer, session, widget = dock()
    record = replace(
        prediction.record, slide=str(stored.path), model=str(model_folder), mpp=stored.mpp
    )
    widget.load_record(record.write(tmp_path / "run.yaml"))
    qtbot.waitUntil(lambda: session.current is not None, timeout=20_000)
    assert session.current.slide.path == stored.path
    predict = viewer.window.dock_widgets["Predict (napari-umpire)"]
    qtbot.waitUntil(lambda: not predict.opening.running)
    said = predict.progress.text.text()
    assert said.startswith(f"Opened {stored.name}. The form is as it was for that run.")
    assert f"/{model_folder.name}, {record.provenance['model_digest'][:8]}." in said
    predict.open([stored.path])  # a slide alone is no run
    qtbot.waitUntil(
        lambda: predict.progress.text.text() == f"Opened {stored.name}.", timeout=20_000
    )


@pytest.mark.parametrize("text", ["a: [", "name: napari\n", "slide: x\nmodel: y\nk: many\n"])
def test_what_is_no_record_is_a_sentence_and_changes_nothing(dock, stored, tmp_path, text):
    viewer, session, widget = dock(stored)
    (tmp_path / "other.yaml").write_text(text)
    notification_manager.records.clear()
    drop(widget, tmp_path / "other.yaml")
    assert "run record" in widget.save.progress.text.text()
    assert notification_manager.records[-1].message == widget.save.progress.text.text()
    assert session.model_path == ""
    assert not any("Predict" in name for name in viewer.window.dock_widgets)


def test_a_grid_of_genes_becomes_png_and_svg(ready, qtbot, monkeypatch, tmp_path):
    from PIL import Image

    _, _, widget = ready
    form = widget.figures
    widget.tabs.setCurrentIndex(1)
    form.genes.set_names(["ERBB2", "GNAS", "NOPE"])
    form.dpi.setValue(72)
    answer(monkeypatch, "getSaveFileName", tmp_path / "figure", "PNG and SVG (*)")
    with qtbot.waitSignal(form.work.done, timeout=30_000):
        click(qtbot, form.draw)
    assert "NOPE" in form.progress.text.text()
    with Image.open(tmp_path / "figure.png") as picture:
        assert picture.size[0] > 200
    svg = (tmp_path / "figure.svg").read_text()
    for word in ("ERBB2", "GNAS", "measured", "predicted", "PCC ", "µm", "log1p(CP10k)", "K = 20"):
        assert word in svg
    qtbot.waitUntil(lambda: not form.work.running)
    click(qtbot, form.draw)
    assert "is there already" in form.progress.text.text()
    form.genes.set_names([])
    answer(monkeypatch, "getSaveFileName", tmp_path / "none.svg")
    click(qtbot, form.draw)
    assert "nothing of" in form.progress.text.text()


def test_a_figure_of_counts_that_nobody_has_read_yet(dock, stored, qtbot, monkeypatch, tmp_path):
    _, session, widget = dock(stored)
    form = widget.figures
    form.genes.set_names(["ERBB2"])
    answer(monkeypatch, "getSaveFileName", tmp_path / "measured.svg")
    assert session.current.measured is None
    with qtbot.waitSignal(form.work.done, timeout=30_000):
        click(qtbot, form.draw)
    assert session.current.measured is not None
    svg = (tmp_path / "measured.svg").read_text()
    assert "not measured" not in svg
    assert "ERBB2" in svg
    assert "PCC " not in svg  # nothing was predicted


def test_the_view_is_saved_with_the_same_tissue_at_more_px(dock, flat_slide, qtbot, tmp_path):
    from PIL import Image

    from napari_umpire.plugin.layers.view_picture import save_view

    viewer, _, widget = dock(flat_slide, show=True)
    qtbot.wait(100)
    camera = viewer.scene.camera
    zoom, centre = camera.zoom, camera.center
    sizes = []
    for scale in (1.0, 2.0):
        path = save_view(viewer, tmp_path / f"{scale}.png", scale)
        with Image.open(path) as picture:
            pixels = np.asarray(picture.convert("RGB")).astype(int)
        sizes.append(pixels.shape[:2])
        for (y, x), black in (((30.0, 45.0), True), ((115.0, 85.0), True), ((115.0, 200.0), False)):
            row, col = (
                round((v - c) * zoom * scale + s / 2)
                for v, c, s in zip((y, x), centre[-2:], pixels.shape[:2], strict=True)
            )
            assert (pixels[row, col] < 60).all() == black
    assert sizes[1] == (2 * sizes[0][0], 2 * sizes[0][1])
    assert (camera.zoom, camera.center) == (zoom, centre)


def test_it_fits_a_small_laptop(ready):
    _, _, widget = ready
    assert widget.minimumSizeHint().width() <= 380
    assert widget.minimumSizeHint().height() <= 600
