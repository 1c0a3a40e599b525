"""Asking where a value comes from, in the real window."""

from __future__ import annotations

import dataclasses
import io
import shutil

import numpy as np
import pytest
from PIL import Image
from qtpy.QtCore import QPoint, Qt
from qtpy.QtGui import QImage

from napari_umpire.inference.references.database import ReferenceDatabase
from napari_umpire.plugin.layers.make import KEY
from napari_umpire.plugin.session.session import session_of
from napari_umpire.plugin.widgets.evidence.evidence import EvidenceWidget
from napari_umpire.slides.crops import crops

K = 20


@pytest.fixture
def window(open_viewer, qtbot, slides, pictured, measured):
    """The widget beside three slides; the first is current, predicted and measured."""

    def open_(prediction=pictured, opened=slides):
        viewer = open_viewer(*opened, size=(1366, 768))
        session = session_of(viewer)
        name = slides[0].name
        session.set_current(name)
        session.set_prediction(name, prediction)
        session.set_measured(name, measured)
        widget = EvidenceWidget(viewer)
        viewer.window.add_dock_widget(widget)
        qtbot.wait(50)
        return viewer, session, widget

    return open_


def click(viewer, qtbot, y, x, *, pane=None):
    """Press and release over a world position, of the left (0) or right (1) pane."""
    native = viewer.window._qt_viewer.canvas.native
    qtbot.wait(150)
    camera = viewer.scene.camera
    height, width = native.height(), native.width()
    middle = width / 2 if pane is None else (width - 4) / 4 + pane * (width + 4) / 2
    row, col = (np.array([y, x]) - camera.center[-2:]) * camera.zoom + (height / 2, middle)
    at = QPoint(round(col), round(row))
    qtbot.mouseMove(native, at)
    qtbot.mousePress(native, Qt.MouseButton.LeftButton, pos=at)
    qtbot.mouseRelease(native, Qt.MouseButton.LeftButton, pos=at)
    qtbot.wait(20)


def shared_gene(session):
    """A gene that was predicted and measured, and varies."""
    frame = session.current.genes.frame
    both = frame[(frame["predicted"] != "") & (frame["measured"] != "")]
    return str(both.index[0])


def shown_rows(widget):
    return widget.table.table.frame


def brute_force(prediction, row, gene):
    """Everything sorted: rows, similarity, softmax weight, value of the gene."""
    reference = prediction.reference
    similarity = np.asarray(reference.embeddings, float) @ prediction.embeddings[row].astype(float)
    order = np.argsort(-similarity, kind="stable")[:K]
    scale = float(prediction.record.provenance["softmax_scale"])
    weight = np.exp(scale * (similarity[order] - similarity[order[0]]))
    return order, similarity[order], weight / weight.sum(), reference.column(gene)[order]


def test_a_click_shows_the_references_of_that_spot(window, qtbot, slides, pictured):
    viewer, session, widget = window()
    gene = shared_gene(session)
    session.set_gene(gene)
    slide = slides[0]
    for row in (17, 40):
        click(viewer, qtbot, *(slide.yx[row] * slide.mpp))
        assert session.spot == (slide.name, row)
        qtbot.waitUntil(lambda: len(widget.gallery.items) == K, timeout=10_000)
        name = session.current.genes.frame.at[gene, "predicted"]
        order, similarity, weight, value = brute_force(pictured, row, name)
        frame = shown_rows(widget)
        spots = pictured.reference.spots.iloc[order]
        assert list(frame["slide"]) == list(spots["slide"])
        assert list(frame["spot"]) == list(spots["spot"])
        label = session.current.genes.label(gene)
        np.testing.assert_allclose(frame["similarity"], similarity, atol=1e-5)
        np.testing.assert_allclose(frame["weight"], weight, atol=1e-4)
        np.testing.assert_allclose(frame[label], value, atol=1e-6)
        assert f"predicted {weight @ value:.2f}" in widget.words.text()
        measured = session.current.gene_maps(gene)["measured"][row]
        assert f"measured here {measured:.2f}" in widget.words.text()


def pixels(pixmap):
    image = pixmap.toImage().convertToFormat(QImage.Format.Format_RGB888)
    data = np.frombuffer(image.constBits().asstring(image.sizeInBytes()), np.uint8)
    lines = data.reshape(image.height(), image.bytesPerLine())
    return lines[:, : 3 * image.width()].reshape(image.height(), image.width(), 3)


def test_the_pictures_are_those_of_the_spots(window, qtbot, slides, pictured):
    _, session, widget = window()
    session.set_spot(30)
    qtbot.waitUntil(lambda: len(widget.gallery.items) == K, timeout=10_000)
    frame = shown_rows(widget)
    by_name = {slide.name: slide for slide in slides}
    for place in (0, 7, K - 1):
        slide = by_name[frame["slide"].iloc[place]]
        row = slide.spots.index.get_loc(frame["spot"].iloc[place])
        file = io.BytesIO()
        Image.fromarray(crops(slide, np.array([row]))[0]).save(file, format="JPEG", quality=85)
        np.testing.assert_array_equal(
            widget.gallery.items[place].image, np.asarray(Image.open(file))
        )
        assert widget.gallery.items[place].caption == f"{frame['weight'].iloc[place]:.1%}"
    own = crops(slides[0], np.array([30]), 112.0, 224)[0]
    shown = pixels(widget.pictures.own.pixmap())
    small = np.asarray(Image.fromarray(own).resize(shown.shape[1::-1]))
    assert np.abs(shown.astype(int) - small).mean() < 6


def test_another_gene_changes_values_not_references(window, qtbot):
    _, session, widget = window()
    genes = session.current.genes
    frame = genes.frame[genes.frame["predicted"] != ""]
    first, second = str(frame.index[0]), str(frame.index[5])
    session.set_gene(first)
    session.set_spot(9)
    qtbot.waitUntil(lambda: len(shown_rows(widget)) == K, timeout=10_000)
    before = shown_rows(widget)
    assert genes.label(first) in before.columns
    session.set_gene(second)
    after = shown_rows(widget)
    assert genes.label(second) in after.columns
    assert genes.label(first) not in after.columns
    assert list(before["spot"]) == list(after["spot"])


def test_table_gallery_and_keyboard_go_together(window, qtbot):
    _, session, widget = window()
    session.set_spot(12)
    qtbot.waitUntil(lambda: len(widget.gallery.items) == K, timeout=10_000)
    widget.table.setFocus()
    widget.table.selectRow(0)
    qtbot.keyClick(widget.table, Qt.Key.Key_Down)
    assert widget.table.key == 2
    assert widget.gallery.current == 1
    qtbot.keyClick(widget.gallery.view, Qt.Key.Key_Right)
    assert widget.table.key == 3


def test_going_to_a_reference_spot_and_back(window, qtbot, slides):
    viewer, session, widget = window()
    session.set_spot(12)
    qtbot.waitUntil(lambda: len(widget.gallery.items) == K, timeout=10_000)
    line = shown_rows(widget).iloc[4]
    widget.table.selectRow(4)
    qtbot.keyClick(widget.table, Qt.Key.Key_Return)
    there = next(slide for slide in slides if slide.name == line["slide"])
    row = there.spots.index.get_loc(line["spot"])
    assert session.spot == (there.name, row)
    assert session.current.slide is there
    np.testing.assert_allclose(viewer.scene.camera.center[-2:], there.yx[row] * there.mpp)
    (ring,) = [v for v in viewer.layers if v.metadata.get(KEY, {}).get("role") == "asked"]
    np.testing.assert_allclose(ring.data, there.yx[[row]] * there.mpp)
    assert shown_rows(widget).iloc[4]["spot"] == line["spot"], "the evidence stays"
    # A second one, from there.
    widget.table.selectRow(6)
    qtbot.mouseClick(widget.go, Qt.MouseButton.LeftButton)
    assert session.current.slide.spots.index[session.spot[1]] == shown_rows(widget)["spot"].iloc[6]
    assert widget.back.isVisible()
    qtbot.mouseClick(widget.back, Qt.MouseButton.LeftButton)
    assert session.spot == (slides[0].name, 12)
    assert session.current.name == slides[0].name
    assert not widget.back.isVisible()


def test_a_reference_slide_that_is_not_open_or_another_one(window, qtbot, slides):
    moved = dataclasses.replace(
        slides[1], spots=slides[1].spots.assign(y=slides[1].spots["y"] + 3.0)
    )
    _, session, widget = window(opened=[slides[0], moved])
    session.set_spot(12)
    qtbot.waitUntil(lambda: len(widget.gallery.items) == K, timeout=10_000)
    names = list(shown_rows(widget)["slide"])
    widget.table.selectRow(names.index(slides[2].name))
    widget.go.click()
    assert f"{slides[2].name} is not open" in widget.problem.text()
    widget.table.selectRow(names.index(slides[1].name))
    widget.go.click()
    assert "is not the one in the reference" in widget.problem.text()
    assert session.spot == (slides[0].name, 12)


def test_a_barcode_finds_its_spot(window, qtbot, slides):
    viewer, session, widget = window()
    barcode = slides[0].spots.index[23]
    qtbot.keyClicks(widget.search, barcode)
    qtbot.keyClick(widget.search, Qt.Key.Key_Return)
    assert session.spot == (slides[0].name, 23)
    expected = slides[0].yx[23] * slides[0].mpp
    np.testing.assert_allclose(viewer.scene.camera.center[-2:], expected)
    widget.search.clear()
    qtbot.keyClicks(widget.search, "nothing")
    qtbot.keyClick(widget.search, Qt.Key.Key_Return)
    assert "No spot of" in widget.problem.text()
    assert session.spot == (slides[0].name, 23)


def test_without_pictures_it_says_how_to_get_them(window, qtbot, prediction):
    _, session, widget = window(prediction)
    session.set_spot(4)
    qtbot.waitUntil(lambda: not widget.pictures.own.pixmap().isNull(), timeout=10_000)
    assert widget.pictures.missing.isVisible()
    assert "umpire-train reference --patches" in widget.pictures.missing.text()
    assert not widget.gallery.isVisible()
    assert len(shown_rows(widget)) == K


def test_it_says_what_is_missing(open_viewer, qtbot, slides, pictured, make_napari_viewer):
    empty = make_napari_viewer()
    assert "Drop a slide" in EvidenceWidget(empty).words.text()
    viewer = open_viewer(slides[0], slides[1], show=False)
    session = session_of(viewer)
    session.set_current(slides[0].name)
    widget = EvidenceWidget(viewer)
    qtbot.addWidget(widget)
    assert "Predict the genes" in widget.words.text()
    session.set_prediction(slides[0].name, pictured)
    assert "Click a spot" in widget.words.text()
    session.set_spot(3, slides[1].name)
    assert f"Nothing is predicted on {slides[1].name}" in widget.words.text()
    session.set_prediction(slides[1].name, dataclasses.replace(pictured, has_evidence=False))
    assert "there is no evidence" in widget.words.text()
    assert not widget.go.isEnabled()
    viewer.layers.remove(session.current.image)
    viewer.layers.remove(session.slides[slides[1].name].image)
    assert "Drop a slide" in widget.words.text()


def test_a_reference_that_is_gone_is_said_once_per_spot(window, qtbot, pictured, tmp_path):
    folder = tmp_path / "reference"
    shutil.copytree(pictured.reference.path, folder)
    reference = ReferenceDatabase.open(folder)
    (folder / "spots.csv").rename(tmp_path / "away.csv")
    _, session, widget = window(dataclasses.replace(pictured, reference=reference))
    failures = []
    widget.reading.failed.connect(failures.append)
    session.set_spot(3)
    qtbot.waitUntil(lambda: bool(failures), timeout=5000)
    qtbot.wait(300)
    assert len(failures) == 1
    assert widget.words.text() == failures[0]
    assert "spots.csv" in failures[0]
    assert widget.go.isEnabled() is False
    (tmp_path / "away.csv").rename(folder / "spots.csv")
    session.set_spot(4)
    qtbot.waitUntil(lambda: "reference spots, similarity" in widget.words.text(), timeout=5000)


class TestSideBySide:
    """Two panes: clicks and rings."""

    @pytest.fixture
    def panes(self, window, qtbot):
        viewer, session, widget = window()
        session.set_gene(shared_gene(session))
        session.set_view(beside=True)
        qtbot.wait(200)
        assert viewer.canvas.grid.enabled
        return viewer, session, widget

    @pytest.mark.parametrize("pane", [0, 1], ids=["left", "right"])
    def test_a_click_finds_the_spot_under_it(self, panes, qtbot, slides, pane):
        viewer, session, widget = panes
        for row in (17, 60):
            click(viewer, qtbot, *(slides[0].yx[row] * slides[0].mpp), pane=pane)
            assert session.spot == (slides[0].name, row)
        qtbot.waitUntil(lambda: len(shown_rows(widget)) == K, timeout=10_000)

    def test_rings_are_in_both_panes_and_maps_stay_where_they_are(self, panes, qtbot, slides):
        viewer, session, _ = panes
        before = shot(viewer, qtbot)
        layers = list(viewer.layers)
        session.set_spot(17)
        session.select({slides[0].name: np.array([40, 41])})
        after = shot(viewer, qtbot)
        marked = [17, 40, 41]
        others = [row for row in range(slides[0].n_spots) if row not in marked]
        for pane in (0, 1):
            at = np.array([place(viewer, before, slides[0], row, pane) for row in others])
            np.testing.assert_array_equal(before[tuple(at.T)], after[tuple(at.T)])
            for row, colour in zip(marked, ["#ff2fd0", "#ffe600", "#ffe600"], strict=True):
                y, x = place(viewer, after, slides[0], row, pane)
                near = after[y - 25 : y + 26, x - 25 : x + 26].reshape(-1, 3).astype(int)
                rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
                assert np.abs(near - rgb).max(axis=1).min() < 40
        session.set_spot(None)
        session.select({})
        assert list(viewer.layers) == layers, "rings are gone, the order is what it was"
        np.testing.assert_array_equal(shot(viewer, qtbot), before)

    def test_leaving_leaves_one_ring(self, panes, qtbot):
        viewer, session, _ = panes
        session.set_spot(17)
        session.set_view(beside=False)
        roles = [v.metadata[KEY]["role"] for v in viewer.layers if KEY in v.metadata]
        assert roles.count("asked") == 1
        assert "beside" not in roles
        session.set_view(beside=True)
        roles = [v.metadata[KEY]["role"] for v in viewer.layers if KEY in v.metadata]
        assert roles[:4] == ["image", "measured", "beside", "predicted"]
        assert roles[4:8] == ["asked", "selected"] * 2

    def test_a_ring_that_the_user_deletes_comes_back_with_the_next_spot(self, panes, qtbot):
        viewer, session, _ = panes
        session.set_spot(17)
        viewer.layers.remove(viewer.layers[5])
        roles = [v.metadata[KEY]["role"] for v in viewer.layers if KEY in v.metadata]
        assert roles == ["image", "measured", "beside", "predicted", "image", "image"]
        session.set_spot(18)
        roles = [v.metadata[KEY]["role"] for v in viewer.layers if KEY in v.metadata]
        assert roles[4:8] == ["asked", "selected"] * 2


def shot(viewer, qtbot):
    qtbot.wait(150)
    viewer.screenshot(canvas_only=True, flash=False)
    return viewer.screenshot(canvas_only=True, flash=False)[..., :3]


def place(viewer, picture, slide, row, pane):
    height, width = picture.shape[:2]
    middle = (width - 4) / 4 + pane * (width + 4) / 2
    camera = viewer.scene.camera
    y, x = (slide.yx[row] * slide.mpp - camera.center[-2:]) * camera.zoom
    return round(y + height / 2), round(x + middle)


def test_a_signature_that_is_shown_leaves_the_references(window, qtbot):
    from napari_umpire.inference.genes.signature import Signature

    _, session, widget = window()
    session.show_signature(Signature("three", tuple(session.current.genes.frame.index[:3])))
    session.set_spot(5)
    qtbot.waitUntil(lambda: len(shown_rows(widget)) == K, timeout=10_000)
    assert list(shown_rows(widget).columns) == ["slide", "similarity", "weight", "spot"]
    assert "log1p" not in widget.words.text()
