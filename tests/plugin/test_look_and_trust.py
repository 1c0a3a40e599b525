"""Lists, signatures, ranges, looks and trust in the real window, with mouse and keyboard."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_umpire.errors import UmpireWarning
from napari_umpire.inference.genes.fixed_range import fixed_range
from napari_umpire.inference.genes.signature import Signature
from napari_umpire.plugin.layers.colours import Look, gene_colormap
from napari_umpire.plugin.layers.make import KEY
from napari_umpire.plugin.layers.ranges import RangeChoice
from napari_umpire.plugin.layers.trust_maps import OUT, SIMILARITY
from napari_umpire.plugin.session.gene_shelf import GeneShelf, shelf_file
from napari_umpire.progress import run

LEFT = Qt.MouseButton.LeftButton


def key_of(session, symbol):
    frame = session.current.genes.frame
    return str(frame.index[frame["symbol"] == symbol][0])


def rows(widget):
    model = widget.search.hits
    return [model.index(i).data() for i in range(model.rowCount())]


def choose_list(widget, qtbot, name):
    """By keyboard: the first letters of the list's name."""
    box = widget.search.lists
    box.setFocus()
    row = box.findText(name)
    assert row >= 0, [box.itemText(i) for i in range(box.count())]
    while box.currentIndex() != row:
        down = row > box.currentIndex()
        qtbot.keyClick(box, Qt.Key.Key_Down if down else Qt.Key.Key_Up)


def shown_layer(viewer):
    (layer,) = [
        v for v in viewer.layers if v.visible and v.metadata[KEY]["role"] not in ("image", "faded")
    ]
    return layer


def values_of(layer):
    return layer.metadata[KEY]["map"].values


# -- favourites and lists -----------------------------------------------------------------


def test_a_star_by_key_and_by_button_survives_a_restart(maps_dock, slide, qtbot):
    _, widget, session = maps_dock(slide)
    session.set_gene(key_of(session, "ERBB2"))
    widget.search.line.setFocus()
    qtbot.keyClick(widget.search.line, Qt.Key.Key_B, Qt.KeyboardModifier.ControlModifier)
    session.set_gene(key_of(session, "EPCAM"))
    assert widget.search.star.text() == "☆"
    qtbot.mouseClick(widget.search.star, LEFT)
    assert widget.search.star.text() == "★"
    assert GeneShelf(shelf_file()).favourites.genes == ("ERBB2", "EPCAM")
    choose_list(widget, qtbot, "Favourites")
    assert rows(widget) == ["★ ERBB2", "★ EPCAM"]
    qtbot.keyClicks(widget.search.line, "e")
    assert rows(widget) == ["★ EPCAM", "★ ERBB2"]
    qtbot.mouseClick(widget.search.star, LEFT)
    assert GeneShelf(shelf_file()).favourites.genes == ("ERBB2",)
    choose_list(widget, qtbot, "all genes")
    widget.search.line.clear()
    assert len(rows(widget)) == len(session.current.genes)


def test_a_damaged_file_of_lists_does_no_harm_and_is_said(maps_dock, slide, qtbot):
    from napari.utils.notifications import notification_manager

    shelf_file().parent.mkdir(parents=True, exist_ok=True)
    shelf_file().write_text('{"half a')
    notification_manager.records.clear()
    _, widget, session = maps_dock(slide)
    assert any("cannot be read" in note.message for note in notification_manager.records)
    assert "cannot be read" in widget.lists.words.text()
    session.set_gene(key_of(session, "ERBB2"))
    qtbot.mouseClick(widget.search.star, LEFT)
    assert GeneShelf(shelf_file()).favourites.genes == ("ERBB2",)
    assert '{"half a' in {f.read_text() for f in shelf_file().parent.glob("*.json")}


def test_a_pasted_list_says_what_became_of_each_name(maps_dock, slide, qtbot):
    _, widget, session = maps_dock(slide)
    widget.lists.text.setPlainText("HER2, EPCAM\nNOPE; erbb2")
    qtbot.keyClicks(widget.lists.name, "mine")
    qtbot.mouseClick(widget.lists.keep, LEFT)
    assert widget.search.lists.currentText() == "mine"
    assert sorted(rows(widget)) == ["EPCAM", "ERBB2"]
    said = widget.lists.words.text()
    assert said.startswith("mine: 2 of 4 names found; 1 not on this slide: NOPE")
    assert "1 named again: erbb2" in said
    assert "HER2 → ERBB2" in said
    widget.lists.text.setPlainText("CD3D")
    qtbot.keyClicks(widget.lists.name, "mine")
    qtbot.mouseClick(widget.lists.keep, LEFT)
    assert {"mine", "mine (2)"} <= set(GeneShelf(shelf_file()).lists), "nothing is overwritten"
    qtbot.mouseClick(widget.lists.drop, LEFT)
    assert set(GeneShelf(shelf_file()).lists) == {"Favourites", "mine"}
    assert widget.search.lists.currentText() == "all genes"
    qtbot.mouseClick(widget.lists.keep, LEFT)
    assert "no gene in this text" in widget.lists.words.text()
    widget.lists.text.setPlainText("NOPE")
    qtbot.mouseClick(widget.lists.keep, LEFT)
    assert not widget.lists.show_score.isEnabled()
    assert "None of its genes" in widget.lists.show_score.toolTip()


def test_a_list_from_a_file(maps_dock, slide, tmp_path):
    _, widget, session = maps_dock(slide)
    (tmp_path / "panel.csv").write_text("n,gene\n1,ERBB2\n2,EPCAM\n")
    widget.lists.open_file(tmp_path / "panel.csv")
    assert widget.search.lists.currentText() == "panel"
    assert rows(widget) == ["ERBB2", "EPCAM"]
    widget.lists.open_file(tmp_path / "gone.csv")
    assert "gone.csv cannot be read" in widget.lists.words.text()


# -- signatures ---------------------------------------------------------------------------


def test_a_signature_is_shown_like_a_gene(maps_dock, slide, prediction, measured, qtbot):
    viewer, widget, session = maps_dock(slide, predictions=[prediction])
    widget.lists.text.setPlainText("ERBB2 EPCAM CD3D NOPE")
    qtbot.keyClicks(widget.lists.name, "tumour")
    qtbot.mouseClick(widget.lists.keep, LEFT)
    qtbot.mouseClick(widget.lists.show_score, LEFT)
    keys = [key_of(session, s) for s in ("ERBB2", "EPCAM", "CD3D")]
    expected = np.mean([prediction.gene_map(key) for key in keys], axis=0)
    layer = shown_layer(viewer)
    np.testing.assert_allclose(values_of(layer), expected, atol=1e-5)
    title = layer.metadata["napari_umpire"]["title"]  # shorter in a narrow window
    assert title.whole == f"tumour (predicted), mean log1p(CP10k): {slide.name}"
    assert session.gene not in session.current.genes, "it is no single gene"
    assert session.signature.name == "tumour"
    assert "3 of 4 genes (1 not there)" in widget.words.text()
    qtbot.mouseClick(widget.buttons["measured"], LEFT)
    real = np.mean([measured.column(key) for key in keys], axis=0)
    np.testing.assert_allclose(values_of(shown_layer(viewer)), real, atol=1e-5)
    qtbot.keyClick(widget.lists.score, Qt.Key.Key_Down)
    qtbot.mouseClick(widget.lists.show_score, LEFT)
    assert "mean z-score" in shown_layer(viewer).name
    # A fixed range of expression says nothing of z-scores.
    session.set_view(range=RangeChoice("absolute", absolute=(0, 5)))
    z = values_of(shown_layer(viewer))
    both = np.concatenate([z, session.current.gene_maps(session.gene)["predicted"]])
    assert shown_layer(viewer).contrast_limits == pytest.approx(np.percentile(both, (1, 99)), 1e-4)
    qtbot.mouseClick(widget.buttons["spread"], LEFT)
    assert "has no spread" in widget.words.text()
    session.set_gene(keys[0])
    assert session.signature is None
    assert shown_layer(viewer).metadata[KEY]["role"] == "spread"


def test_a_signature_follows_to_a_slide_and_a_prediction_that_come_later(
    maps_dock, slide, slides, prediction
):
    viewer, _, session = maps_dock(slide)
    session.show_signature(Signature("two", ("ERBB2", "EPCAM")))
    before = session.current.gene_maps(session.gene)
    assert set(before) == {"measured"}
    session.set_prediction(slide.name, prediction)
    assert set(session.current.gene_maps(session.gene)) == {"predicted", "measured", "difference"}
    session.show_signature(Signature("two", ("ERBB2",)))
    np.testing.assert_allclose(
        session.current.gene_maps(session.gene)["predicted"],
        prediction.gene_map(key_of(session, "ERBB2")),
        atol=1e-5,
    )
    np.testing.assert_allclose(
        values_of(session.display.layer("predicted")),
        prediction.gene_map(key_of(session, "ERBB2")),
        atol=1e-5,
    )


# -- ranges -------------------------------------------------------------------------------


def test_fixed_and_variable_scale_are_one_click_each(maps_dock, slide, prediction, measured, qtbot):
    viewer, widget, session = maps_dock(slide, predictions=[prediction])
    session.set_gene(key_of(session, "ERBB2"))
    qtbot.mouseClick(widget.range.fixed, LEFT)
    qtbot.waitUntil(lambda: session.range.mode == "absolute", timeout=10_000)
    wanted = run(fixed_range(session.current.genes, prediction, measured))
    for symbol in ("ERBB2", "EPCAM"):
        session.set_gene(key_of(session, symbol))
        assert shown_layer(viewer).contrast_limits == pytest.approx([0, wanted.high])
    assert widget.range.words.text() == wanted.describe()
    assert widget.range.high.value() == pytest.approx(wanted.high)
    qtbot.mouseClick(widget.range.variable, LEFT)
    maps = session.current.gene_maps(session.gene)
    both = np.concatenate([maps["predicted"], maps["measured"]])
    assert shown_layer(viewer).contrast_limits == pytest.approx(np.percentile(both, (1, 99)))
    assert widget.range.words.text() == ""


@pytest.mark.parametrize("by", ["button", "keyboard"])
def test_a_locked_range_stays_for_the_genes_that_follow(maps_dock, slide, qtbot, by):
    viewer, widget, session = maps_dock(slide)
    session.set_gene(key_of(session, "ERBB2"))
    shown_layer(viewer).contrast_limits = (0.25, 3.5)  # dragged by the user
    if by == "button":
        qtbot.mouseClick(widget.range.lock, LEFT)
    else:
        widget.range.mode.setFocus()
        qtbot.keyClick(widget.range.mode, Qt.Key.Key_End)
    assert session.range.mode == "locked"
    session.set_gene(key_of(session, "EPCAM"))
    assert shown_layer(viewer).contrast_limits == pytest.approx([0.25, 3.5])
    assert widget.range.held.text() == "0.25 to 3.50"
    widget.range.mode.setCurrentText("auto")
    assert shown_layer(viewer).contrast_limits != pytest.approx([0.25, 3.5])


# -- looks --------------------------------------------------------------------------------


def test_a_colormap_by_keyboard_shows_in_pixels(maps_dock, slide, prediction, qtbot, canvas):
    viewer, widget, session = maps_dock(slide, predictions=[prediction], show=True)
    widget.look.colormap.setFocus()
    qtbot.keyClick(widget.look.colormap, Qt.Key.Key_V)
    assert session.look.colormap == "viridis"
    layer, seen = shown_layer(viewer), canvas(viewer)
    low, high = layer.contrast_limits
    for row in (20, 60):
        share = np.clip((values_of(layer)[row] - low) / (high - low), 0, 1)
        expected = gene_colormap("predicted", Look("viridis")).map([share])[0, :3] * 255
        assert np.abs(seen.at(*(slide.yx[row] * slide.mpp)) - expected).max() <= 12


def test_low_values_are_clear_where_opacity_follows_the_value(
    maps_dock, slide, prediction, qtbot, canvas
):
    viewer, widget, session = maps_dock(slide, predictions=[prediction], show=True)
    session.display.layer("predicted").visible = False
    bare = canvas(viewer)
    session.display.layer("predicted").visible = True
    session.set_view(look=Look("magma", "value"))
    layer, seen = shown_layer(viewer), canvas(viewer)
    order = [r for r in np.argsort(values_of(layer)) if 25 < r < slide.n_spots - 25]
    layer.contrast_limits = (float(values_of(layer)[order[1]]), float(values_of(layer)[order[-2]]))
    seen = canvas(viewer)
    low, high = order[0], order[-1]
    assert (
        np.abs(seen.at(*(slide.yx[low] * slide.mpp)) - bare.at(*(slide.yx[low] * slide.mpp))).max()
        <= 12
    )
    top = gene_colormap("predicted", Look("magma")).map([1.0])[0, :3] * 255
    assert np.abs(seen.at(*(slide.yx[high] * slide.mpp)) - top).max() <= 12
    assert "Low values are clear" in widget.look.words.text()


@pytest.mark.slow
def test_opacity_by_confidence_keeps_the_colour_bar_and_shows_in_pixels(
    maps_dock, slide, prediction, qtbot, canvas
):
    viewer, widget, session = maps_dock(slide, predictions=[prediction], show=True)
    session.display.layer("predicted").visible = False
    bare = canvas(viewer)
    session.display.layer("predicted").visible = True
    session.set_view(look=Look(opacity="confidence"))
    base = session.display.layer("predicted")
    assert base.colorbar.visible
    assert base.visible
    seen = canvas(viewer)
    # From 0.08 at the 5th percentile of the slide's similarities to 1 at the 95th.
    low, high = np.percentile(prediction.mean_similarity, (5, 95))
    alpha = 0.08 + 0.92 * np.clip((prediction.mean_similarity - low) / (high - low), 0, 1)
    assert f"{high:.2f}" in widget.look.words.text()
    assert f"{low:.2f}" in widget.look.words.text()
    lo, hi = base.contrast_limits
    inside = range(25, slide.n_spots - 25)
    for row in (min(inside, key=lambda r: alpha[r]), max(inside, key=lambda r: alpha[r])):
        where = slide.yx[row] * slide.mpp
        share = np.clip((values_of(base)[row] - lo) / (hi - lo), 0, 1)
        colour = gene_colormap("predicted").map([share])[0, :3] * 255
        expected = alpha[row] * colour + (1 - alpha[row]) * bare.at(*where)
        assert np.abs(seen.at(*where) - expected).max() <= 14
    (faded,) = [v for v in viewer.layers if v.metadata[KEY]["role"] == "faded"]
    before = values_of(faded).copy()
    base.contrast_limits = (lo, hi + 1)
    assert not np.array_equal(values_of(faded), before), "it follows the bar"
    session.set_gene(session.current.genes.frame.index[5])
    assert values_of(faded)[:, 3].max() > 0
    session.set_view(kind="measured")
    assert faded not in viewer.layers, "a measurement needs no model"
    assert base.opacity == 1
    session.set_view(kind="predicted")
    (faded,) = [v for v in viewer.layers if v.metadata[KEY]["role"] == "faded"]
    viewer.layers.remove(faded)
    assert session.look.opacity == "even"
    assert base.opacity == 1


# -- trust --------------------------------------------------------------------------------


def test_spread_follows_the_gene(maps_dock, slide, prediction, qtbot):
    viewer, widget, session = maps_dock(slide, predictions=[prediction])
    qtbot.mouseClick(widget.buttons["spread"], LEFT)
    for symbol in ("ERBB2", "EPCAM"):
        session.set_gene(key_of(session, symbol))
        layer = shown_layer(viewer)
        np.testing.assert_array_equal(values_of(layer), prediction.spread(key_of(session, symbol)))
        assert layer.name == f"{symbol} (spread), log1p(CP10k): {slide.name}"
    assert "Spread: weighted standard deviation" in widget.words.text()


def test_similarity_is_a_map_and_a_second_press_shows_the_gene_again(
    maps_dock, slide, prediction, qtbot
):
    viewer, widget, session = maps_dock(slide, predictions=[prediction])
    qtbot.mouseClick(widget.trust.similarity, LEFT)
    layer = shown_layer(viewer)
    np.testing.assert_array_equal(values_of(layer), prediction.mean_similarity)
    title = layer.metadata["napari_umpire"]["title"]
    assert title.whole == f"Similarity to the reference, cosine, mean of K = 20: {slide.name}"
    assert not any(button.isChecked() for button in widget.buttons.values())
    qtbot.mouseClick(widget.trust.similarity, LEFT)
    assert shown_layer(viewer).metadata[KEY]["role"] == "predicted"
    assert widget.buttons["predicted"].isChecked()
    assert SIMILARITY in session.current.maps


def test_spots_out_of_the_reference_are_veiled_and_counted(maps_dock, slide, prediction, qtbot):
    viewer, widget, session = maps_dock(slide, predictions=[prediction])
    qtbot.mouseClick(widget.trust.out, LEFT)
    qtbot.waitUntil(lambda: session.shown_map == OUT, timeout=20_000)
    (calibration,) = session.calibrations.values()
    low = prediction.mean_similarity < np.quantile(calibration.similarity, 0.05)
    np.testing.assert_array_equal(values_of(shown_layer(viewer))[:, 3] == 255, low)
    said = widget.trust.words.text()
    assert said.startswith(f"{low.sum():,} of {slide.n_spots:,} spots look")
    assert "image against genes, each without its own slide, mean of K = 20" in said
    widget.trust.quantile.setValue(40.0)
    more = prediction.mean_similarity < np.quantile(calibration.similarity, 0.4)
    assert 0 < more.sum() < slide.n_spots
    np.testing.assert_array_equal(values_of(shown_layer(viewer))[:, 3] == 255, more)
    assert f"{more.sum():,} of" in shown_layer(viewer).name
    session.set_prediction(slide.name, prediction)
    assert OUT in session.current.maps, "the same prediction"
    from dataclasses import replace

    session.set_prediction(slide.name, replace(prediction))
    assert OUT not in session.current.maps, "of another run it would be false"


def test_a_cancelled_calibration_leaves_nothing(maps_dock, slide, prediction, qtbot, monkeypatch):
    from napari_umpire.plugin.widgets.maps import trust_box

    begun, go, really = threading.Event(), threading.Event(), trust_box.calibrate

    def held(*args, **options):
        begun.set()
        assert go.wait(20)
        return really(*args, **options)

    monkeypatch.setattr(trust_box, "calibrate", held)
    _, widget, session = maps_dock(slide, predictions=[prediction])
    qtbot.mouseClick(widget.trust.out, LEFT)
    qtbot.waitUntil(begun.is_set, timeout=20_000)
    widget.trust.cancel.click()
    go.set()
    qtbot.waitUntil(lambda: not widget.trust.work.running, timeout=20_000)
    assert not session.calibrations
    assert widget.trust.progress.text.text() == "Cancelled. Nothing was changed."
    assert session.shown_map is None
    assert widget.trust.out.isEnabled()


def test_a_slide_of_the_reference_is_told_so(maps_dock, slides, model_folder, qtbot):
    from napari_umpire.inference.model import load_model

    with pytest.warns(UmpireWarning, match="itself among the references"):
        own = run(load_model(model_folder, "cpu").predict(slides[1], k=5))
    _, widget, _ = maps_dock(slides[1], predictions=[own])
    assert "itself in the reference" in widget.trust.words.text()


def test_without_a_prediction_trust_says_what_it_needs(maps_dock, slide):
    _, widget, _ = maps_dock(slide)
    assert not widget.trust.similarity.isEnabled()
    assert not widget.trust.out.isEnabled()
    assert "Predict the slide's genes first" in widget.trust.words.text()
    assert not widget.buttons["spread"].isEnabled()
