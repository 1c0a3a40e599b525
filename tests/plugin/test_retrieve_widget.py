"""Searching the aligned space, in the real window."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from qtpy.QtCore import Qt
from scipy.stats import spearmanr

from napari_umpire.errors import InputError
from napari_umpire.plugin.layers.make import KEY, palette_colormap
from napari_umpire.plugin.runs.retrieval import ask_of
from napari_umpire.plugin.session.session import session_of
from napari_umpire.plugin.widgets.retrieve.retrieve import RetrieveWidget
from napari_umpire.slides.crops import crops

N_TOP = 24


@pytest.fixture(scope="session")
def model(model_folder):
    from napari_umpire.inference.model import load_model

    return load_model(model_folder, "cpu")


@pytest.fixture
def window(open_viewer, qtbot, slides, model, pictured, measured):
    def open_(prediction=pictured, with_measured=True):
        viewer = open_viewer(*slides)
        session = session_of(viewer)
        session.set_model(model)
        session.set_current(slides[0].name)
        session.set_prediction(slides[0].name, prediction)
        if with_measured:
            session.set_measured(slides[0].name, measured)
        widget = RetrieveWidget(viewer)
        viewer.window.add_dock_widget(widget)
        qtbot.wait(50)
        return viewer, session, widget

    return open_


def choose(widget, kind):
    widget.kind.setCurrentIndex(widget.kind.findData(kind))


def finish(qtbot, work):
    qtbot.waitUntil(lambda: not work.running, timeout=20_000)


def a_gene(session):
    frame = session.current.genes.frame
    both = frame[(frame["predicted"] != "") & (frame["measured"] != "")]
    return str(both.index[3])


def direction(reference, key):
    x = reference.column(key).astype(float)
    z = (x - x.mean()) / x.std()
    v = z @ np.asarray(reference.embeddings, float)
    return v / np.linalg.norm(v)


def test_a_gene_gives_a_heat_map_and_its_closest_patches(window, qtbot, slides, measured, canvas):
    viewer, session, widget = window()
    key = a_gene(session)
    label, row = session.current.genes.label(key), session.current.genes.frame.loc[key]
    qtbot.keyClicks(widget.line, label[:3].lower())
    assert any(name.startswith(label) for name in widget.line.offered)
    widget.line.clear()
    qtbot.keyClicks(widget.line, label)
    qtbot.keyClick(widget.line, Qt.Key.Key_Return)
    finish(qtbot, widget.work)
    prediction = session.current.prediction
    heat = prediction.embeddings @ direction(prediction.reference, row["predicted"])
    shown = session.current.maps["retrieval"]
    np.testing.assert_allclose(shown.values, heat, atol=1e-5)
    assert session.shown_map == "retrieval"
    # The window shows it, in its colours.
    layer = next(v for v in viewer.layers if v.metadata[KEY].get("map_key") == "retrieval")
    np.testing.assert_allclose(layer.metadata[KEY]["map"].values, heat, atol=1e-5)
    best = int(heat.argmax())
    seen = canvas(viewer).at(*(slides[0].yx[best] * slides[0].mpp))
    bright = palette_colormap("attention").map(np.array([1.0]))[0, :3] * 255
    assert np.abs(seen - bright).max() < 12
    # The galleries.
    order = np.argsort(-heat)[:N_TOP]
    expected = crops(slides[0], order)
    assert len(widget.here.gallery.items) == N_TOP
    for item, crop in zip(widget.here.gallery.items, expected, strict=True):
        np.testing.assert_array_equal(item.image, crop)
    reference = prediction.reference
    theirs = np.asarray(reference.image_embeddings, float) @ direction(reference, row["predicted"])
    top = np.argsort(-theirs)[:N_TOP]
    for item, place in zip(widget.there.gallery.items, top, strict=True):
        np.testing.assert_array_equal(item.image, reference.crop(int(place)))
        assert item.caption == f"cosine {theirs[place]:.2f}"
    # The control.
    good = measured.detected >= 100
    rho = spearmanr(heat[good], measured.column(row["measured"])[good]).statistic
    assert f"Spearman {rho:.2f}" in widget.words.text()
    assert f"over {int(good.sum())} spots of this slide with ≥ 100 genes" in widget.words.text()


def test_pictures_lead_to_their_spots(window, qtbot, slides):
    viewer, session, widget = window()
    session.set_gene(a_gene(session))
    choose(widget, "shown")
    widget.run.click()
    finish(qtbot, widget.work)
    rows = widget._found.retrieved.rows
    widget.here.gallery.set_current(2)
    qtbot.keyClick(widget.here.gallery.view, Qt.Key.Key_Return)
    assert session.spot == (slides[0].name, rows[2])
    ring = next(v for v in viewer.layers if v.metadata.get(KEY, {}).get("role") == "asked")
    assert list(viewer.layers).index(ring) == len(viewer.layers) - 1, "above the heat map"
    line = session.current.prediction.reference.spots.iloc[
        int(widget._found.retrieved.reference_rows[1])
    ]
    widget.closest.setCurrentIndex(1)
    widget.there.gallery.set_current(1)
    qtbot.keyClick(widget.there.gallery.view, Qt.Key.Key_Return)
    assert session.current.slide.name == line["slide"]
    assert session.current.slide.spots.index[session.spot[1]] == line["spot"]
    viewer.layers.remove(session.current.image)
    session.set_current(slides[0].name)
    qtbot.keyClick(widget.there.gallery.view, Qt.Key.Key_Return)
    assert "is not open" in widget.there.words.text()


def test_a_measured_spot_and_a_spots_image(window, qtbot, slides, model, pictured):
    from napari_umpire.progress import run

    _, session, widget = window()
    choose(widget, "measured")
    widget.run.click()
    assert "Click a spot" in widget.words.text()
    session.set_spot(11)
    widget.run.click()
    finish(qtbot, widget.work)
    vector = run(model.embed_genes(slides[0]))[11]
    np.testing.assert_allclose(
        session.current.maps["retrieval"].values, pictured.embeddings @ vector, atol=1e-4
    )
    assert "The spot's own image is number" in widget.words.text()
    choose(widget, "image")
    widget.run.click()
    finish(qtbot, widget.work)
    heat = session.current.maps["retrieval"].values
    np.testing.assert_allclose(heat, pictured.embeddings @ pictured.embeddings[11], atol=1e-5)
    assert 11 not in widget._found.retrieved.rows


def test_a_list_reads_the_counts_for_its_control(window, qtbot):
    _, session, widget = window(with_measured=False)
    frame = session.current.genes.frame
    names = [session.current.genes.label(key) for key in frame.index[:3]]
    choose(widget, "list")
    qtbot.keyClicks(widget.list, ", ".join([*names, "NOSUCHGENE"]))
    widget.run.click()
    finish(qtbot, widget.work)
    assert "3 of 4 names found" in widget.words.text()
    assert "NOSUCHGENE" in widget.words.text()
    assert "Spearman" in widget.words.text()
    assert session.current.measured is not None


def test_a_reference_without_pictures_gives_a_table(window, qtbot, prediction):
    _, session, widget = window(prediction)
    qtbot.keyClicks(widget.line, session.current.genes.label(a_gene(session)))
    widget.run.click()
    finish(qtbot, widget.work)
    assert len(widget.there.table.table.frame) == N_TOP
    widget.closest.setCurrentIndex(1)
    assert widget.there.table.isVisible()
    assert "--patches" in widget.there.words.text()
    assert len(widget.here.gallery.items) == N_TOP


def test_a_patch_to_its_genes(window, qtbot, pictured):
    _, session, widget = window()
    prediction = pictured
    widget.tabs.setCurrentIndex(1)
    assert not widget.genes.ask.isEnabled()
    session.set_spot(21)
    widget.genes.ask.click()
    finish(qtbot, widget.genes.work)
    frame = widget.genes.table.table.frame
    for key in frame.index[[0, 5]]:
        values = prediction.gene_map(key)
        z = (values[21] - values.mean()) / values.std()
        assert frame.at[key, "z"] == pytest.approx(z, abs=1e-3)
    assert frame["z"].iloc[0] == frame["z"].max()
    widget.genes.table.setFocus()
    widget.genes.table.selectRow(0)
    qtbot.keyClick(widget.genes.table, Qt.Key.Key_Down)
    assert session.gene == session.current.genes.key_of_predicted(frame.index[1])
    widget.genes.against.setCurrentIndex(1)
    widget.genes.ask.click()
    finish(qtbot, widget.genes.work)
    key = frame.index[0]
    known = prediction.reference.column(key)
    z = (prediction.gene_map(key)[21] - known.mean()) / known.std()
    assert widget.genes.table.table.frame.at[key, "z"] == pytest.approx(z, abs=1e-3)


def test_genes_of_a_patch_leave_with_their_prediction(window, qtbot, pictured):
    viewer, session, widget = window()
    session.set_spot(7)
    widget.genes.ask.click()
    finish(qtbot, widget.genes.work)
    assert len(widget.genes.table.table.frame)
    session.set_prediction(session.current.name, dataclasses.replace(pictured))
    assert not len(widget.genes.table.table.frame)
    assert widget.genes.words.text() == ""
    widget.genes.ask.click()
    viewer.layers.remove(session.current.image)
    finish(qtbot, widget.genes.work)
    assert not len(widget.genes.table.table.frame)


def test_questions_that_have_no_answer(window, slides, open_viewer, qtbot, make_napari_viewer):
    assert "Drop a slide" in RetrieveWidget(make_napari_viewer()).words.text()
    _, session, widget = window()
    state = session.current
    for kind, text, message in (
        ("gene", "", "no gene to search for"),
        ("gene", "NOSUCHGENE", "No gene is called"),
        ("list", "  ", "no gene"),
        ("list", "NOSUCHGENE", "reference did not measure"),
        ("shown", "", "No gene of"),
        ("image", "", "No spot of"),
    ):
        with pytest.raises(InputError, match=message):
            ask_of(state, kind, text=text, gene=None, row=None)
    with pytest.raises(InputError, match="has no prediction"):
        ask_of(session.slides[slides[1].name], "image", gene=None, row=0)
    session.set_current(slides[1].name)
    assert not widget.run.isEnabled()
    assert "Predict the genes" in widget.words.text()


def test_the_answer_leaves_with_its_slide(window, qtbot, slides):
    viewer, session, widget = window()
    session.set_spot(4)
    choose(widget, "image")
    widget.run.click()
    finish(qtbot, widget.work)
    assert widget.here.gallery.items
    viewer.layers.remove(session.slides[slides[0].name].image)
    assert not widget.here.gallery.items


def test_a_signature_that_is_shown_is_searched_like_a_list(window, qtbot):
    from napari_umpire.inference.genes.signature import Signature

    _, session, widget = window()
    frame = session.current.genes.frame
    keys = tuple(frame.index[:3])
    session.show_signature(Signature("three", keys))
    choose(widget, "shown")
    assert widget.subject.text() == "Shown: three"
    widget.run.click()
    finish(qtbot, widget.work)
    found = widget._found.retrieved
    assert found.query.title == "three"
    reference = session.current.prediction.reference
    z = np.zeros(reference.n)
    for name in frame.loc[list(keys), "predicted"]:
        x = reference.column(name).astype(float)
        z += (x - x.mean()) / x.std()
    vector = z @ np.asarray(reference.embeddings, float)
    np.testing.assert_allclose(found.query.vector, vector / np.linalg.norm(vector), atol=1e-5)
