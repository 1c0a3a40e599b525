"""The Embedding widget in the real window: laying out, a lasso by mouse, colours, selection."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from qtpy.QtCore import QPointF, Qt

from napari_umpire.inference.classes.labels import SpotLabels
from napari_umpire.plugin.layers.make import KEY
from napari_umpire.plugin.session.session import session_of
from napari_umpire.progress import Progress

COLOURS = {"left": (213, 94, 0), "right": (0, 114, 178)}


def far_groups(slide, seed):
    """Embeddings in two far groups: spots in the left half of the slide, and in the right half."""
    rng = np.random.default_rng(seed)
    right = slide.yx[:, 1] > np.median(slide.yx[:, 1])
    x = rng.normal(size=(slide.n_spots, 8))
    x[:, 0] += np.where(right, 15.0, -15.0)
    return x.astype(np.float32), right.astype(np.int64)


@pytest.fixture
def dock(open_viewer, qtbot):
    """Open a window with slides, embeddings of two groups, classes, and the widget."""

    def open_(*slides):
        viewer = open_viewer(*slides)
        session = session_of(viewer)
        for seed, (name, state) in enumerate(session.slides.items()):
            embeddings, right = far_groups(state.slide, seed)
            session.set_embeddings(name, "image", embeddings, "digest")
            colours = tuple("#{:02x}{:02x}{:02x}".format(*c) for c in COLOURS.values())
            session.set_labels(name, SpotLabels("side", right, ("left", "right"), colours))
        session.choose_model("")
        _, widget = viewer.window.add_plugin_dock_widget("napari-umpire", "Embedding")
        session.choose_model("")
        widget.method.setCurrentText("PCA")
        qtbot.wait(50)
        return viewer, widget, session

    return open_


@pytest.fixture
def lay_out(qtbot):
    def run(widget):
        qtbot.mouseClick(widget.run, Qt.MouseButton.LeftButton)
        qtbot.waitUntil(lambda: not widget.work.running, timeout=20_000)
        qtbot.waitUntil(lambda: not widget.scoring.running, timeout=20_000)
        qtbot.wait(50)

    return run


def at(plot, x, y):
    """Pixel of the plot where the point (x, y) is drawn."""
    view = plot.getViewBox().mapViewToDevice(QPointF(x, y))
    ratio = plot.devicePixelRatioF()
    return (QPointF(view.x() / ratio, view.y() / ratio)).toPoint()


def lasso(qtbot, plot, corners, modifier=Qt.KeyboardModifier.NoModifier):
    port = plot.viewport()
    places = [at(plot, *corner) for corner in corners]
    qtbot.mouseMove(port, places[0])
    qtbot.mousePress(port, Qt.MouseButton.LeftButton, modifier, places[0])
    for place in [*places[1:], places[0]]:
        qtbot.wait(20)  # the plot hears no more than so many moves a second
        _move(port, place, modifier)
    qtbot.mouseRelease(port, Qt.MouseButton.LeftButton, modifier, places[0])
    qtbot.wait(50)


def _move(port, place, modifier):
    """A move with the button held, which QTest does not make."""
    from qtpy.QtCore import QEvent
    from qtpy.QtGui import QMouseEvent
    from qtpy.QtWidgets import QApplication

    at_screen = QPointF(port.mapToGlobal(place))
    held = Qt.MouseButton.LeftButton
    event = QMouseEvent(
        QEvent.Type.MouseMove, QPointF(place), at_screen, Qt.MouseButton.NoButton, held, modifier
    )
    QApplication.sendEvent(port, event)


def box(xy, margin):
    (x0, y0), (x1, y1) = xy.min(0) - margin, xy.max(0) + margin
    return [(x0, y0), (x0, y1), (x1, y1), (x1, y0)]


def test_it_opens_alone_with_nothing_loaded(open_viewer):
    viewer = open_viewer()
    _, widget = viewer.window.add_plugin_dock_widget("napari-umpire", "Embedding")
    assert "Open one or more slides" in widget.words.text()
    assert not widget.run.isEnabled()
    assert not widget.cancel.isEnabled()


def test_a_slide_without_embeddings_or_model_says_what_it_needs(open_viewer, slide, qtbot):
    viewer = open_viewer(slide)
    _, widget = viewer.window.add_plugin_dock_widget("napari-umpire", "Embedding")
    session_of(viewer).choose_model("")
    qtbot.mouseClick(widget.run, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not widget.work.running)
    assert "Choose a model" in widget.progress.text.text()
    assert widget.run.isEnabled()


def test_a_lasso_around_points_selects_their_spots_on_both_slides(dock, slides, lay_out, qtbot):
    viewer, widget, session = dock(*slides[:2])
    lay_out(widget)
    projection = widget.projection
    assert projection.n == sum(s.n_spots for s in slides[:2])
    right = projection.gathered({n: s.labels["side"].codes for n, s in session.slides.items()})
    mine = widget.plot.xy[right == 1]
    lasso(qtbot, widget.plot, box(mine, 0.5))
    for name, state in session.slides.items():
        expected = np.flatnonzero(state.labels["side"].codes == 1)
        np.testing.assert_array_equal(session.selection[name], expected)
    assert "Selected" in widget.picked.text()
    # The rings over the slide that is shown.
    (ring,) = [v for v in viewer.layers if v.metadata.get(KEY, {}).get("role") == "selected"]
    now = session.current
    centres = now.slide.yx[session.selection[now.name]] * now.slide.mpp
    np.testing.assert_allclose(ring.data, centres)
    # With Shift the other group comes too.
    lasso(
        qtbot, widget.plot, box(widget.plot.xy[right == 0], 0.5), Qt.KeyboardModifier.ShiftModifier
    )
    assert sum(map(len, session.selection.values())) == projection.n
    qtbot.mouseClick(widget.clear, Qt.MouseButton.LeftButton)
    assert not session.selection


def test_spots_selected_over_the_slide_have_rings_in_the_plot(dock, slides, lay_out):
    _, widget, session = dock(*slides[:2])
    lay_out(widget)
    name = slides[1].name
    rows = np.array([3, 11, 20])
    session.select({name: rows})
    x, y = widget.plot.selected.getData()
    points = widget.projection.points_of({name: rows})
    np.testing.assert_allclose(np.c_[x, y], widget.plot.xy[points])
    session.set_spot(5, name)
    x, y = widget.plot.asked.getData()
    np.testing.assert_allclose(
        np.c_[x, y], widget.plot.xy[widget.projection.points_of({name: np.array([5])})]
    )


def test_points_have_the_colours_of_their_classes_and_the_scores_name_them(
    dock, slide, lay_out, qtbot
):
    _, widget, session = dock(slide)
    widget.by.setCurrentText("class: side")
    lay_out(widget)
    picture = widget.plot.grab().toImage()
    ratio = widget.plot.devicePixelRatioF()
    right = session.current.labels["side"].codes
    for code, colour in enumerate(COLOURS.values()):
        hits = 0
        for x, y in widget.plot.xy[right == code]:
            place = at(widget.plot, x, y) * ratio
            seen = picture.pixelColor(place)
            hits += (
                max(
                    abs(v - w)
                    for v, w in zip((seen.red(), seen.green(), seen.blue()), colour, strict=True)
                )
                < 40
            )
        assert hits > 0.8 * (right == code).sum()
    assert widget.scores.text().startswith("By side: silhouette 0.")
    assert f"n = {slide.n_spots}" in widget.scores.text()
    assert "not in the picture" in widget.scores.text()
    listed = [widget.legend.groups.item(i).text() for i in range(2)]
    counts = session.current.labels["side"].counts
    assert listed == [f"left ({counts[0]})", f"right ({counts[1]})"]
    # By keyboard: Enter on a group selects it.
    widget.legend.groups.setFocus()
    widget.legend.groups.setCurrentRow(1)
    qtbot.keyClick(widget.legend.groups, Qt.Key.Key_Return)
    np.testing.assert_array_equal(session.selection[slide.name], np.flatnonzero(right == 1))


def test_colours_changed_while_scoring_get_their_own_score(dock, slides, lay_out, qtbot):
    _, widget, _ = dock(*slides[:2])
    lay_out(widget)
    for by in ("slide", "class: side", "slide", "class: side"):
        widget.by.setCurrentText(by)
        widget.by.activated.emit(widget.by.currentIndex())
    qtbot.waitUntil(lambda: "By side: silhouette" in widget.scores.text(), timeout=20_000)
    qtbot.waitUntil(lambda: not widget.scoring.running, timeout=20_000)
    assert "By side: silhouette" in widget.scores.text()


def test_colours_follow_the_gene_that_is_shown(dock, slide, prediction, lay_out):
    _, widget, session = dock(slide)
    widget.by.setCurrentText("gene that is shown")
    lay_out(widget)
    assert "No gene is shown" in widget.legend.words.text()
    session.set_prediction(slide.name, prediction)
    brushes = []
    for gene in session.current.genes.frame.index[:2]:
        session.set_gene(gene)
        assert session.current.genes.label(gene) in widget.legend.words.text()
        brushes.append([b.color().name() for b in widget.plot.points.data["brush"]])
    assert "log1p(CP10k)" in widget.legend.words.text()
    assert brushes[0] != brushes[1]
    # The highest value has the palest colour.
    values = session.current.gene_maps(session.gene)["predicted"]
    lightness = [sum(b.color().getRgb()[:3]) for b in widget.plot.points.data["brush"]]
    assert np.corrcoef(values, lightness)[0, 1] > 0.9


def test_a_signature_is_called_by_its_name_and_its_unit(dock, slide, prediction, lay_out):
    from napari_umpire.inference.genes.signature import Signature

    _, widget, session = dock(slide)
    widget.by.setCurrentText("gene that is shown")
    lay_out(widget)
    session.set_prediction(slide.name, prediction)
    names = tuple(session.current.genes.frame["symbol"][:3])
    session.show_signature(Signature("my list", names, "z-score"))
    said = widget.legend.words.text()
    assert said.startswith("my list (predicted): ")
    assert "mean z-score, 1st to 99th" in said
    assert "log1p" not in said
    assert "signature:" not in said


def test_points_of_a_slide_that_is_gone_are_gone(dock, slides, lay_out):
    viewer, widget, session = dock(*slides[:2])
    lay_out(widget)
    viewer.layers.remove(session.slides[slides[0].name].image)
    assert widget.projection is None
    assert len(widget.plot.xy) == 0
    session.select({slides[1].name: np.array([1])})
    lay_out(widget)
    assert widget.projection.n == slides[1].n_spots


def test_a_slide_removed_while_it_is_laid_out_is_said(dock, slides, qtbot, monkeypatch):
    def endless(*_):
        while not ended.wait(0.01):
            yield Progress("Embedding", 0, 0)

    ended = threading.Event()
    monkeypatch.setattr("napari_umpire.plugin.widgets.embedding.embedding.lay_out_steps", endless)
    viewer, widget, session = dock(*slides[:2])
    widget.run.click()
    assert widget.work.running
    viewer.layers.remove(session.current.image)
    qtbot.waitUntil(lambda: not widget.work.running, timeout=20_000)
    assert widget.projection is None
    assert widget.progress.text.text().startswith("Cancelled: ")
    assert "removed from the layers" in widget.progress.text.text()
    assert widget.progress.isVisibleTo(widget)


def test_only_ticked_slides_are_laid_out(dock, slides, lay_out):
    _, widget, _ = dock(*slides[:2])
    widget.slides.item(0).setCheckState(Qt.CheckState.Unchecked)
    lay_out(widget)
    assert widget.projection.slide_names == (slides[1].name,)
    widget.slides.item(1).setCheckState(Qt.CheckState.Unchecked)
    assert not widget.run.isEnabled()


def test_a_run_can_be_cancelled(dock, slides, qtbot):
    _, widget, session = dock(*slides[:2])
    widget.method.setCurrentText("t-SNE")
    qtbot.mouseClick(widget.run, Qt.MouseButton.LeftButton)
    qtbot.mouseClick(widget.cancel, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not widget.work.running, timeout=30_000)
    assert widget.projection is None
    assert "Cancelled" in widget.progress.text.text()
    assert widget.run.isEnabled()


def test_a_click_on_a_point_asks_about_its_spot(dock, slides, lay_out, qtbot):
    _, widget, session = dock(*slides[:2])
    lay_out(widget)
    # The point furthest from the others: no neighbour takes the click.
    xy = widget.plot.xy
    away = np.linalg.norm(xy[:, None] - xy[None], axis=-1) + 1e9 * np.eye(len(xy))
    point = int(away.min(axis=1).argmax())
    qtbot.mouseClick(
        widget.plot.viewport(), Qt.MouseButton.LeftButton, pos=at(widget.plot, *xy[point])
    )
    projection = widget.projection
    expected = (projection.slide_names[projection.slide[point]], projection.row[point])
    assert session.spot == expected
    assert session.current.name == expected[0]
