"""Asking for the status of a slide, in the real window."""

from __future__ import annotations

import shutil
import threading
from dataclasses import replace

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor

from napari_umpire.plugin.layers.make import KEY
from napari_umpire.plugin.runs.status import MAP_KEY
from napari_umpire.plugin.session.session import session_of
from napari_umpire.progress import Progress
from napari_umpire.slides.scale import PhysicalScale

LEFT = Qt.MouseButton.LeftButton
FIELD_UM = 150.0


@pytest.fixture(scope="session")
def with_heads(model_folder, tmp_path_factory):
    """A copy of the tiny model with a head of two classes, one of three, and a damaged one."""
    import torch

    from napari_umpire.inference.model import load_model
    from napari_umpire.models.abmil import Abmil
    from napari_umpire.models.status_config import (
        AbmilConfig,
        StatusConfig,
        StatusScores,
        TileConfig,
    )
    from napari_umpire.models.status_head import save_head

    folder = tmp_path_factory.mktemp("status") / "tiny"
    shutil.copytree(model_folder, folder)
    model = load_model(folder, "cpu")
    for name, classes, kind in (
        ("grade", ("low", "high"), "square"),
        ("subtype", ("A", "B", "C"), "spots"),
    ):
        torch.manual_seed(1)
        n = len(classes)
        module = Abmil(AbmilConfig(model.module.image_dim, n, attention=8)).eval()
        with torch.no_grad():
            module.attention.w.weight.mul_(30)
        colours = ("#0000ff", "#ff0000", "#00ff00")[:n]
        scores = StatusScores((5,) * n, 5 * n, 999, "5 folds by patient", 0.71, 0.6)
        config = StatusConfig(
            name, classes, colours, module.config,
            TileConfig(kind, FIELD_UM, FIELD_UM), model.digest, scores,
            farthest=1e9 if name == "grade" else 1e-9,
        )  # fmt: skip
        save_head(folder, module, config)
    (folder / "slide_status" / "broken").mkdir()
    return folder


@pytest.fixture
def dock(open_viewer):
    def open_(*slides, show=False):
        viewer = open_viewer(*slides, show=show)
        _, widget = viewer.window.add_plugin_dock_widget("napari-umpire", "Slide status")
        return viewer, widget

    return open_


@pytest.fixture
def asked(dock, slides, with_heads, qtbot):
    """A window in which the first slide was asked about with the mouse."""

    def ask(head="grade", show=True, opened=1):
        viewer, widget = dock(*slides[:opened], show=show)
        session_of(viewer).set_current(slides[0].name)
        widget.model.set_value(with_heads)
        widget.heads.setCurrentText(head)
        with qtbot.waitSignal(widget.work.ended, timeout=60_000):
            qtbot.mouseClick(widget.run, LEFT)
            assert widget.cancel.isEnabled()
        return viewer, widget, session_of(viewer)

    return ask


def by_hand(folder, head, slide):
    from napari_umpire.inference.model import load_model
    from napari_umpire.inference.status.slide_status import slide_status
    from napari_umpire.progress import run

    return run(slide_status(load_model(folder, "cpu"), folder / "slide_status" / head, slide))


def test_it_opens_alone_and_says_what_it_needs(dock, slide, with_heads, model_folder):
    viewer, widget = dock()
    assert "Choose the folder of a model" in widget.words.text()
    assert not widget.run.isEnabled()
    widget.model.set_value(model_folder)
    assert "umpire-train mil" in widget.words.text()
    widget.model.set_value(with_heads)
    assert [widget.heads.itemText(i) for i in range(widget.heads.count())] == ["grade", "subtype"]
    assert "Drop a slide" in widget.words.text()
    assert "5 folds by patient" in widget.protocol.text()
    assert not widget.results.isVisibleTo(widget)


def test_a_slide_without_scale_is_not_asked_about(dock, slide, with_heads):
    _, widget = dock(slide.with_scale(PhysicalScale(None, None, {})))
    widget.model.set_value(with_heads)
    assert "µm a pixel covers" in widget.words.text()
    assert not widget.run.isEnabled()


def test_run_shows_probabilities_attention_and_tiles(asked, slide, with_heads, qtbot, canvas):
    viewer, widget, session = asked()
    status = by_hand(with_heads, "grade", slide)
    name = ("low", "high")[status.predicted]
    assert widget.answer.text().startswith(name)
    assert f"{status.probability.max():.2f}" in widget.answer.text()
    assert "AUC 0.71 on 10 left-out patients" in widget.trust.text()
    assert not widget.warning.isVisibleTo(widget)
    assert "no proof" in widget.protocol.text()
    # The bars, by their pixels: each filled to its probability in its class's colour.
    qtbot.wait(100)
    picture = widget.bars.grab().toImage()
    ratio = picture.devicePixelRatio()
    for line, colour in enumerate(("#0000ff", "#ff0000")):
        bar = widget.bars.bar(line)
        y = round(bar.center().y() * ratio)
        filled = sum(
            picture.pixelColor(round(x * ratio), y) == QColor(colour)
            for x in range(bar.left(), bar.right() + 1)
        )
        assert filled == pytest.approx(bar.width() * status.probability[line], abs=2)
    # The map: values of the tiles around the spots.
    (layer,) = (v for v in viewer.layers if v.metadata.get(KEY, {}).get("map_key") == MAP_KEY)
    values = layer.metadata[KEY]["map"].values
    np.testing.assert_allclose(values, status.at(slide.yx), rtol=1e-3)
    assert layer.visible
    assert layer.contrast_limits[0] == 0
    assert layer.metadata[KEY]["unit"] == "× mean of the tiles"
    there = np.flatnonzero(np.isfinite(values))
    low, high = there[np.argmin(values[there])], there[np.argmax(values[there])]
    shown = canvas(viewer)
    dark, bright = (shown.at(*(slide.yx[row] * slide.mpp)).sum() for row in (low, high))
    assert bright > dark + 150
    # The gallery: the field of the most attended tile, cut by brute force.
    assert len(widget.gallery.items) == 12
    top = int(np.argmax(status.attention))
    assert widget.gallery.items[0].caption == f"{status.relative[top]:.1f} × mean"
    level, edge = slide.pyramid.levels[0], int(FIELD_UM / slide.mpp)
    whole = np.block(
        [[[level.read_tile(r, c)] for c in range(level.grid[1])] for r in range(level.grid[0])]
    )
    padded = np.pad(whole, ((edge, edge), (edge, edge), (0, 0)), constant_values=255)
    y, x = np.round(status.tiles.yx[top] + edge / 2).astype(int)
    seen = padded[y : y + edge, x : x + edge]
    crop = widget.gallery.items[0].image
    np.testing.assert_allclose(crop.mean((0, 1)), seen.mean((0, 1)), atol=2)


def test_the_attention_button_and_a_gene_take_turns(asked, qtbot):
    viewer, widget, session = asked(show=False)
    assert widget.attention.isChecked()
    qtbot.mouseClick(widget.attention, LEFT)
    assert session.shown_map is None
    qtbot.mouseClick(widget.attention, LEFT)
    assert session.shown_map == MAP_KEY
    session.show_map(None)
    assert not widget.attention.isChecked()
    session.drop_map(session.current.name, MAP_KEY)
    assert not widget.attention.isEnabled()


def test_enter_on_a_tile_goes_there(asked, slide, qtbot):
    viewer, widget, session = asked()
    viewer.scene.camera.center = (0.0, 0.0, 0.0)
    widget.gallery.set_current(2)
    qtbot.keyClick(widget.gallery.view, Qt.Key.Key_Return)
    status = widget._shown.status
    tile = int(status.top(3)[2])
    at = np.array(viewer.scene.camera.center[-2:])
    np.testing.assert_allclose(at, status.tiles.yx[tile] * slide.mpp, atol=1)
    name, row = session.spot
    away = np.abs(slide.yx[row] - status.tiles.yx[tile]).max() * slide.mpp
    assert (name, away <= FIELD_UM / 2) == (slide.name, True)


def test_a_head_of_three_classes_that_reads_spots(asked, slide, with_heads):
    _, widget, session = asked("subtype", show=False)
    status = by_hand(with_heads, "subtype", slide)
    spot_map = session.current.maps[MAP_KEY]
    assert np.isfinite(spot_map.values).all()
    np.testing.assert_allclose(spot_map.values, status.relative, rtol=1e-3)
    assert "A " in widget.bars.accessibleDescription()
    assert widget.bars.accessibleDescription().count(",") == 2
    assert "own spots" in widget.words.text()
    assert "unlike every patient" in widget.warning.text()
    assert widget.warning.isVisibleTo(widget)


def test_each_slide_has_its_own_answer(asked, slides, qtbot):
    viewer, widget, session = asked(show=False, opened=2)
    said = widget.answer.text()
    session.set_current(slides[1].name)
    assert not widget.results.isVisibleTo(widget)
    session.set_current(slides[0].name)
    assert widget.results.isVisibleTo(widget)
    assert widget.answer.text() == said
    # At another scale it is another slide.
    scale = PhysicalScale(1.0, "user", {"user": 1.0})
    session.replace_slide(slides[0].name, slides[0].with_scale(scale))
    assert not widget.results.isVisibleTo(widget)


def test_cancel_leaves_nothing_behind(dock, slide, with_heads, qtbot, monkeypatch):
    release = threading.Event()

    def slow(*_):
        for i in range(1000):
            yield Progress("Image", i, 1000)
            release.wait(0.02)

    monkeypatch.setattr("napari_umpire.plugin.widgets.status.slide_status.status_steps", slow)
    viewer, widget = dock(slide)
    widget.model.set_value(with_heads)
    before = list(viewer.layers)
    qtbot.mouseClick(widget.run, LEFT)
    qtbot.waitUntil(lambda: "spots/s" in widget.progress.text.text(), timeout=5000)
    with qtbot.waitSignal(widget.work.ended, timeout=5000):
        qtbot.mouseClick(widget.cancel, LEFT)
    assert "Cancelled" in widget.progress.text.text()
    assert list(viewer.layers) == before
    assert session_of(viewer).current.maps == {}
    assert widget.run.isEnabled()


def test_a_slide_removed_meanwhile_ends_the_run_with_a_sentence(dock, slide, with_heads, qtbot):
    viewer, widget = dock(slide)
    widget.model.set_value(with_heads)
    with qtbot.waitSignal(widget.work.ended, timeout=60_000):
        qtbot.mouseClick(widget.run, LEFT)
        viewer.layers.clear()
    assert f"Cancelled: {slide.name} was removed" in widget.progress.text.text()
    assert not widget.results.isVisibleTo(widget)


def test_a_head_of_another_model_says_so(dock, slide, with_heads, model_folder, tmp_path, qtbot):
    folder = tmp_path / "other"
    shutil.copytree(with_heads, folder)
    config = (folder / "config.json").read_text()
    (folder / "config.json").write_text(config + "\n")  # the same model, another digest
    _, widget = dock(slide)
    widget.model.set_value(folder)
    with qtbot.waitSignal(widget.work.failed, timeout=60_000):
        qtbot.mouseClick(widget.run, LEFT)
    assert "trained with another model" in widget.progress.text.text()
    assert not widget.results.isVisibleTo(widget)


def test_attention_that_is_all_alike_does_not_look_like_a_map(slide, with_heads):
    from napari_umpire.plugin.runs.status import Asked

    status = by_hand(with_heads, "subtype", slide)
    n = slide.n_spots
    even = replace(status, attention=np.full(n, 1 / n))
    answer = Asked(slide, even, None, even.at(slide.yx), even.top(1), np.empty((0, 1, 1, 3)))
    assert answer.spot_map().limits == (0.0, 2.0)
    nowhere = Asked(slide, even, None, np.full(n, np.nan), even.top(1), np.empty((0, 1, 1, 3)))
    assert nowhere.spot_map().limits == (0.0, 2.0)
