"""The Classes widget in the real window: labels, a probe, its classes over the slide, its file."""

from __future__ import annotations

import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QColorDialog

from napari_umpire.inference.classes.probe_file import list_probes
from napari_umpire.plugin.layers.make import KEY
from napari_umpire.plugin.session.session import session_of
from napari_umpire.slides.synthetic import make_slide

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def own_slides():
    """Slides whose tables a test may write to, the classes following what the probe reads."""
    slides = [make_slide(seed, rows=14, cols=10, mpp=2.0) for seed in range(2)]
    for slide in slides:
        table = slide.sdata.tables[slide.table]
        names = np.where(_right(slide), "tumour", "stroma")
        table.obs["tissue"] = pd.Categorical(names, categories=["tumour", "stroma"])
        table.uns["tissue_colors"] = ["#d55e00", "#0072b2"]
        table.obs["nothing"] = np.nan
        table.obs["single"] = "same"
    return slides


def _right(slide):
    return slide.yx[:, 1] > np.median(slide.yx[:, 1])


@pytest.fixture
def folder(model_folder, tmp_path):
    return shutil.copytree(model_folder, tmp_path / "model")


@pytest.fixture
def dock(open_viewer, qtbot, folder):
    """A window with slides, embeddings of the model that tell the classes, and the widget."""
    from napari_umpire.models.folder import model_digest

    def open_(*slides, show=True, embed=True):
        viewer = open_viewer(*slides, show=show)
        session = session_of(viewer)
        session.choose_model(str(folder))
        _, widget = viewer.window.add_plugin_dock_widget("napari-umpire", "Classes")
        for seed, (name, state) in enumerate(session.slides.items()):
            rng = np.random.default_rng(seed)
            x = rng.normal(size=(state.slide.n_spots, 16))
            x[:, 0] += np.where(_right(state.slide), 4.0, -4.0)
            if embed:
                session.set_embeddings(name, "image", x.astype(np.float32), model_digest(folder))
        qtbot.wait(30)
        return viewer, widget, session

    return open_


@pytest.fixture
def click(qtbot):
    return lambda button: qtbot.mouseClick(button, LEFT)


@pytest.fixture
def train(qtbot, click):
    def run(widget):
        widget.tabs.setCurrentIndex(1)
        click(widget.train_tab.train)
        qtbot.waitUntil(lambda: not widget.train_tab.work.running, timeout=60_000)

    return run


def read(widget, click, title):
    widget.label_tab.choose(title)
    assert widget.label_tab.sources.currentText() == title
    click(widget.label_tab.take)


def test_it_opens_alone_with_nothing_loaded(open_viewer):
    viewer = open_viewer()
    _, widget = viewer.window.add_plugin_dock_widget("napari-umpire", "Classes")
    assert "Open a slide" in widget.words.text()
    assert not widget.train_tab.train.isEnabled()
    assert not widget.apply_tab.apply.isEnabled()
    assert not widget.label_tab.take.isEnabled()
    assert widget.legend.classes.rowCount() == 0


def test_a_column_is_read_on_every_slide_and_drawn_in_its_colours(dock, own_slides, click, canvas):
    viewer, widget, session = dock(*own_slides)
    read(widget, click, "Table column: tissue")
    for state in session.slides.values():
        expected = np.where(_right(state.slide), "tumour", "stroma").tolist()
        assert state.labels["tissue"].named().tolist() == expected
    seen, now = canvas(viewer), session.current
    for row in (10, now.slide.n_spots - 11):
        colour = (213, 94, 0) if _right(now.slide)[row] else (0, 114, 178)
        assert np.abs(seen.at(*(now.slide.yx[row] * now.slide.mpp)) - colour).max() <= 12
    legend = widget.legend.classes
    shown = [[legend.index(r, c).data() for c in (2, 3)] for r in range(2)]
    counts = now.labels["tissue"].counts
    assert shown == [["tumour", f"{counts[0]}"], ["stroma", f"{counts[1]}"]]


def test_an_eye_hides_a_class_and_a_colour_is_for_all_slides(
    dock, own_slides, click, canvas, qtbot, monkeypatch
):
    viewer, widget, session = dock(*own_slides)
    read(widget, click, "Table column: tissue")
    now = session.current
    right = int(np.flatnonzero(_right(now.slide))[10])
    place = now.slide.yx[right] * now.slide.mpp
    widget.legend.setFocus()
    widget.legend.setCurrentIndex(widget.legend.classes.index(0, 2))
    qtbot.keyClick(widget.legend, Qt.Key.Key_Space)
    assert np.abs(canvas(viewer).at(*place) - (213, 94, 0)).max() > 30
    qtbot.keyClick(widget.legend, Qt.Key.Key_Space)
    assert np.abs(canvas(viewer).at(*place) - (213, 94, 0)).max() <= 12
    from qtpy.QtGui import QColor

    monkeypatch.setattr(QColorDialog, "getColor", lambda *_: QColor("#00ff00"))
    qtbot.keyClick(widget.legend, Qt.Key.Key_Return)
    assert np.abs(canvas(viewer).at(*place) - (0, 255, 0)).max() <= 12
    for state in session.slides.values():
        assert state.labels["tissue"].colours == ("#00ff00", "#0072b2")


@pytest.mark.slow
def test_a_probe_is_trained_scored_drawn_saved_and_applied(
    dock, own_slides, click, train, canvas, qtbot, folder
):
    viewer, widget, session = dock(*own_slides)
    read(widget, click, "Table column: tissue")
    train(widget)
    assert "Balanced accuracy 1.00" in widget.score_tab.headline.text() or (
        "Balanced accuracy 0.9" in widget.score_tab.headline.text()
    )
    assert "Leave one slide out: 2 folds" in widget.score_tab.protocol.text()
    table = widget.score_tab.scores.text()
    for name in ("probe", "position only", "shuffled labels", "largest class"):
        assert name in table
    confusion = widget.score_tab.confusion
    assert confusion.item(0, 0).background().color().lightness() < 180
    assert confusion.item(0, 1).background().color().lightness() > 240
    # Predicted classes lie over the slide; by probability they are clearer where it is low.
    now = session.current
    labels = now.labels["predicted_tissue"]
    assert session.shown_map == "classes: predicted_tissue"
    assert (labels.codes == now.labels["tissue"].codes).mean() > 0.95
    assert "learned from this slide" in widget.words.text()
    click(widget.faint)
    (layer,) = [
        v for v in viewer.layers if v.metadata.get(KEY, {}).get("map_key") == session.shown_map
    ]
    np.testing.assert_allclose(
        layer.metadata[KEY]["map"].values[:, 3], np.round(255 * labels.probability), atol=1
    )
    # Saved, and never over another.
    for name in ("tissue", "tissue_2"):
        click(widget.apply_tab.save)
        qtbot.waitUntil(lambda: not widget.apply_tab.work.running, timeout=20_000)
        assert name in list_probes(folder)
    # Another session, another slide: the saved probe is found by the model, and applied.
    third = make_slide(7, rows=14, cols=10, mpp=2.0)
    viewer_2, widget_2, session_2 = dock(third)
    widget_2.apply_tab.probes.setCurrentText("tissue_2")
    assert "Balanced accuracy" in widget_2.apply_tab.words.text()
    click(widget_2.apply_tab.apply)
    qtbot.waitUntil(lambda: "predicted_tissue" in session_2.current.labels, timeout=20_000)
    said = session_2.current.labels["predicted_tissue"].named()
    assert (said == np.where(_right(third), "tumour", "stroma")).mean() > 0.95
    seen = canvas(viewer_2)
    row = int(np.flatnonzero(said == "tumour")[5])
    assert np.abs(seen.at(*(third.yx[row] * third.mpp)) - (213, 94, 0)).max() <= 12


def test_embeddings_are_computed_by_the_model_where_there_are_none(
    dock, own_slides, click, train, folder
):
    from napari_umpire.models.folder import model_digest

    _, widget, session = dock(*own_slides, show=False, embed=False)
    read(widget, click, "Table column: tissue")
    train(widget)
    for state in session.slides.values():
        embeddings, digest = state.embeddings["image"]
        assert embeddings.shape == (state.slide.n_spots, 16)
        assert digest == model_digest(folder)
    assert "predicted_tissue" in session.current.labels
    # The second slide is one of the model's own reference, and the score says so.
    assert "in its reference" in widget.score_tab.protocol.text()


def test_a_probe_of_another_model_is_refused(dock, own_slides, click, train, qtbot, folder):
    import json

    _, widget, session = dock(*own_slides, show=False)
    read(widget, click, "Table column: tissue")
    train(widget)
    click(widget.apply_tab.save)
    qtbot.waitUntil(lambda: not widget.apply_tab.work.running, timeout=20_000)
    path = folder / "probes" / "tissue" / "probe.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"model_digest": "another"}))
    before = dict(session.current.labels)
    session.choose_model("")
    session.choose_model(str(folder))
    widget.apply_tab.probes.setCurrentText("tissue")
    failed = []
    widget.apply_tab.work.failed.connect(failed.append)
    click(widget.apply_tab.apply)
    qtbot.waitUntil(lambda: bool(failed), timeout=20_000)
    assert "trained on embeddings of another model" in failed[0]
    assert session.current.labels == before


@pytest.mark.parametrize(
    ("column", "said"),
    [
        pytest.param("nothing", "No spot of .* has a class", id="all NaN"),
        pytest.param("single", "All labelled spots are of one class, 'same'", id="one class"),
    ],
)
def test_labels_that_teach_nothing_are_refused_in_words(
    dock, own_slides, click, qtbot, column, said
):
    import re

    _, widget, _ = dock(own_slides[0], show=False)
    read(widget, click, f"Table column: {column}")
    if column == "nothing":
        assert re.search(said, widget.words.text())
        assert not widget.train_tab.train.isEnabled()
        return
    failed = []
    widget.train_tab.work.failed.connect(failed.append)
    click(widget.train_tab.train)
    qtbot.waitUntil(lambda: bool(failed), timeout=20_000)
    assert re.search(said, failed[0])
    assert widget.train_tab.train.isEnabled()


def test_a_file_labels_the_slide(dock, own_slides, tmp_path):
    _, widget, session = dock(own_slides[0], show=False)
    spots = own_slides[0].spots.index
    path = tmp_path / "l.csv"
    path.write_text("spot,label\n" + "\n".join(f"{s},{'ab'[i % 2]}" for i, s in enumerate(spots)))
    widget.label_tab.read_file(str(path))
    assert session.current.labels["label"].named()[:3].tolist() == ["a", "b", "a"]
    path.write_text("spot,label\nnowhere,a\n")
    widget.label_tab.read_file(str(path))
    assert "names no spot of" in widget.words.text()


def test_regions_drawn_by_mouse_become_classes(dock, own_slides, click, qtbot):
    viewer, widget, session = dock(own_slides[0])
    tab = widget.label_tab
    qtbot.keyClicks(tab.name, "tumour")
    click(tab.draw)
    layer = viewer.layers.selection.active
    assert layer.mode == "add_polygon"
    native = viewer.window._qt_viewer.canvas.native
    qtbot.wait(100)
    camera, slide = viewer.scene.camera, own_slides[0]
    size = np.array([native.height(), native.width()])
    middle, reach = np.median(slide.yx, axis=0) * slide.mpp, 180.0
    for dy, dx in ((-1, -1), (-1, 1), (1, 1), (1, -1)):
        world = middle + reach * np.array([dy, dx])
        row, col = (world - camera.center[-2:]) * camera.zoom + size / 2
        at = QPoint(round(col), round(row))
        qtbot.mouseMove(native, at)
        qtbot.mouseClick(native, LEFT, pos=at)
        qtbot.wait(10)
    qtbot.keyClick(native, Qt.Key.Key_Escape)
    qtbot.wait(20)
    layer.mode = "pan_zoom"
    click(tab.take)
    inside = (np.abs(slide.yx * slide.mpp - middle) < reach).all(axis=1)
    named = session.current.labels["regions"].named()
    agree = (named == "tumour") == inside
    assert inside.sum() > 4
    assert agree.mean() > 0.97  # a click is on a whole screen pixel


def test_training_can_be_cancelled(dock, own_slides, click, qtbot):
    _, widget, session = dock(*own_slides, show=False)
    read(widget, click, "Table column: tissue")
    click(widget.train_tab.train)
    widget.cancel.click()
    qtbot.waitUntil(lambda: not widget.train_tab.work.running, timeout=20_000)
    assert "predicted_tissue" not in session.current.labels
    assert widget.train_tab.train.isEnabled()
    assert widget.score_tab.headline.text().startswith("No probe yet")


def test_classes_go_with_their_slide(dock, own_slides, click):
    viewer, widget, session = dock(*own_slides, show=False)
    read(widget, click, "Table column: tissue")
    viewer.layers.remove(session.current.image)
    assert widget.labels is not None
    assert len(widget.train_tab.ticked) == 1
    viewer.layers.remove(session.current.image)
    assert widget.labels is None
    assert not widget.train_tab.train.isEnabled()


def test_opening_the_widgets_imports_no_torch():
    code = """
import sys
from napari.components import ViewerModel
from qtpy.QtWidgets import QApplication
from napari_umpire.plugin.widgets.classes.classes import ClassesWidget
from napari_umpire.plugin.widgets.embedding.embedding import EmbeddingWidget
app = QApplication([])
viewer = ViewerModel()
widgets = ClassesWidget(viewer), EmbeddingWidget(viewer)
print(*{m.partition('.')[0] for m in sys.modules})
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"torch", "timm", "spatialdata", "scanpy", "sklearn", "umap", "matplotlib"}
    assert not heavy & set(out.stdout.split())
