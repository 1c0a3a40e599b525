"""The Compare widget in the real window: the table, the scatter, and ways to look."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from qtpy.QtCore import QPoint, QPointF, Qt
from scipy.stats import pearsonr

from napari_umpire.inference.genes.signature import Signature
from napari_umpire.plugin.layers.make import KEY
from napari_umpire.plugin.session.session import session_of

from ..steps import interpreted

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def dock(open_viewer, qtbot):
    """Open a viewer with slides and the widget; wait until the genes were scored."""

    def open_(*slides, predictions=(), show=False):
        viewer = open_viewer(*slides, show=show)
        session = session_of(viewer)
        for prediction in predictions:
            session.set_prediction(prediction.slide_name, prediction)
        _, widget = viewer.window.add_plugin_dock_widget("napari-umpire", "Compare")
        qtbot.waitUntil(lambda: not widget.work.running, timeout=20_000)
        return viewer, widget, session

    return open_


def column(widget, name):
    table = widget.table.table
    place = list(table.frame.columns).index(name)
    return [table.data(table.index(row, place)) for row in range(table.rowCount())]


def shown_values(session):
    layers = [v for v in session.viewer.layers if v.visible and KEY in v.metadata]
    (layer,) = [v for v in layers if v.metadata[KEY]["role"] in ("predicted", "measured")]
    return layer.metadata[KEY]["role"], layer.metadata[KEY]["map"].values


def test_it_opens_alone_computes_nothing_and_says_what_it_needs(dock, qtbot):
    _, widget, _ = dock()
    assert not widget.work.running
    assert "Drop a slide" in widget.words.text()
    assert widget.table.table.rowCount() == 0
    for button in (widget.run, widget.cancel, widget.save, widget.views.blink):
        assert not button.isEnabled()


def test_a_slide_without_counts_and_prediction_says_so(dock, flat_slide):
    _, widget, _ = dock(flat_slide)
    assert "Nothing was measured on this slide" in widget.words.text()
    assert not widget.run.isEnabled()


def test_a_scatter_without_counts_says_that_there_are_none(dock, flat_slide):
    _, widget, session = dock(flat_slide)
    session.show_signature(Signature("one", ("ERBB2",)))
    assert "nothing was measured on this slide" in widget.scatter.title.text()


def test_every_gene_with_its_pcc_and_the_protocol(dock, slide, prediction, measured):
    _, widget, session = dock(slide, predictions=[prediction])
    assert session.current.measured is not None, "it read the counts by itself"
    good = measured.detected >= 100
    pcc = dict(zip(column(widget, "symbol"), column(widget, "PCC"), strict=True))
    checked = 0
    for key in session.current.genes.frame.index[::17]:
        maps = session.current.gene_maps(key)
        with np.errstate(invalid="ignore"):
            t, p = maps["measured"][good], maps["predicted"][good]
        if np.ptp(t) > 0 and np.ptp(p) > 1e-4:
            assert pcc[session.current.label(key)] == f"{pearsonr(p, t)[0]:.3f}"
            checked += 1
    assert checked >= 5
    said = widget.words.text()
    assert f"{good.sum():,} spots of {slide.name} with ≥ 100 genes" in said
    for word in ("log1p(CP10k)", "permuted", "adjacent spots", "half of the counts"):
        assert word in said


def test_a_chosen_row_shows_the_gene_and_its_scatter(dock, slide, prediction, qtbot):
    _, widget, session = dock(slide, predictions=[prediction], show=True)
    table = widget.table
    cell = table.visualRect(table.model().index(3, 0)).center()
    qtbot.mouseClick(table.viewport(), LEFT, pos=cell)
    key = table.table.frame.index[3]
    assert session.gene == key
    kind, values = shown_values(session)
    np.testing.assert_array_equal(values, session.current.gene_maps(key)[kind])
    scored = table.table.frame.loc[key]
    assert f"PCC {scored['PCC']:.2f}, n {scored['n']:,} spots" in widget.scatter.title.text()
    assert session.current.label(key) in widget.scatter.title.text()
    assert widget.scatter.drawn == scored["n"]
    label = widget.scatter.plot.getPlotItem().getAxis("bottom").labelText
    assert label == "measured, log1p(CP10k)"
    qtbot.keyClick(table, Qt.Key.Key_Down)
    assert session.gene == table.table.frame.index[4]
    session.set_gene(table.table.frame.index[40])
    assert table.key == table.table.frame.index[40], "the table follows other widgets"


def place(scatter, x, y):
    """Where the point (x, y) of the plot lies in its widget."""
    scene = scatter.view.mapViewToScene(QPointF(x, y))
    return scatter.plot.mapFromScene(scene)


def drag(qtbot, scatter, corners, modifier=Qt.KeyboardModifier.NoModifier):
    port = scatter.plot.viewport()
    points = [place(scatter, *corner) for corner in corners]
    qtbot.mousePress(port, LEFT, modifier, pos=points[0])
    for a, b in zip(points, [*points[1:], points[-1]], strict=True):
        for step in (0.25, 0.5, 0.75, 1.0):
            qtbot.mouseMove(port, QPoint(*(
                round(u + (v - u) * step) for u, v in ((a.x(), b.x()), (a.y(), b.y()))
            )))  # fmt: skip
            qtbot.wait(2)
    qtbot.mouseRelease(port, LEFT, modifier, pos=points[-1])
    qtbot.wait(20)


def test_a_box_in_the_scatter_selects_the_spots_and_the_reverse(
    dock, slide, prediction, measured, qtbot
):
    _, widget, session = dock(slide, predictions=[prediction], show=True)
    session.set_gene(session.current.genes.key_of_measured(measured.most_variable()))
    scatter = widget.scatter
    maps = session.current.gene_maps(session.gene)
    good = measured.detected >= 100
    m, p = maps["measured"], maps["predicted"]
    middle, low = float(np.median(m[good])), scatter._limits[0][0]
    high = scatter._limits[0][1]
    qtbot.mouseClick(next(b for b in scatter.tools.buttons() if b.text() == "Box"), LEFT)
    qtbot.wait(200)  # until the layout has settled
    edge = 0.02 * (high - low)
    rings = []
    scatter.view.ringed.connect(lambda ring, _add: rings.append(ring))
    drag(qtbot, scatter, [(middle, low - edge), (high + edge, high + edge)])
    (ring,) = rings
    wanted = [(middle, low - edge), (high + edge, high + edge)]
    assert np.abs([ring.min(0), ring.max(0)] - np.array(wanted)).max() < 0.05 * (high - low)
    (x0, y0), (x1, y1) = ring.min(0), ring.max(0)
    expected = np.flatnonzero(good & (m > x0) & (m < x1) & (p > y0) & (p < y1))
    got = session.selection[slide.name]
    np.testing.assert_array_equal(got, expected)
    assert len(got) < good.sum()
    assert scatter.highlighted == len(got) > 0
    (ring,) = [v for v in session.viewer.layers if v.metadata[KEY].get("role") == "selected"]
    np.testing.assert_allclose(ring.data, slide.yx[got] * slide.mpp)
    session.select({slide.name: np.flatnonzero(good)[:4]})
    assert scatter.highlighted == 4
    qtbot.keyClick(scatter, Qt.Key.Key_Escape)
    assert slide.name not in session.selection
    assert scatter.highlighted == 0


def test_a_lasso_selects_what_it_goes_round(dock, slide, prediction, measured, qtbot):
    _, widget, session = dock(slide, predictions=[prediction], show=True)
    session.set_gene(session.current.genes.key_of_measured(measured.most_variable()))
    scatter, maps = widget.scatter, session.current.gene_maps(session.gene)
    good = np.flatnonzero(measured.detected >= 100)
    row = good[np.argmax(maps["measured"][good])]
    x, y = maps["measured"][row], maps["predicted"][row]
    size = 0.06 * (scatter._limits[0][1] - scatter._limits[0][0])
    qtbot.wait(50)
    ring = [(x - size, y - size), (x - size, y + size), (x + size, y + size), (x + size, y - size)]
    drag(qtbot, scatter, ring)
    got = session.selection[slide.name]
    assert row in got
    inside = (np.abs(maps["measured"] - x) < size) & (np.abs(maps["predicted"] - y) < size)
    assert set(got) <= set(np.flatnonzero(inside))
    other = good[np.argmin(maps["measured"][good])]
    session.select({slide.name: np.array([other])})
    drag(qtbot, scatter, ring, Qt.KeyboardModifier.ShiftModifier)
    assert set(session.selection[slide.name]) == {*got, other}


def test_views_blink_and_one_range(dock, slide, prediction, measured, qtbot):
    viewer, widget, session = dock(slide, predictions=[prediction], show=True)
    session.set_gene(session.current.genes.key_of_measured(measured.most_variable()))
    views = widget.views
    maps = session.current.gene_maps(session.gene)
    qtbot.mouseClick(views.buttons["Measured"], LEFT)
    assert shown_values(session)[0] == "measured"
    qtbot.mouseClick(views.blink, LEFT)
    kind, values = shown_values(session)
    assert kind == "predicted"
    np.testing.assert_array_equal(values, maps["predicted"])
    limits = {
        kind: tuple(session.display.layer(kind).contrast_limits)
        for kind in ("predicted", "measured")
    }
    assert limits["predicted"] == limits["measured"]
    native = viewer.window._qt_viewer.canvas.native
    native.setFocus()
    qtbot.keyClick(native, Qt.Key.Key_B)
    assert shown_values(session)[0] == "measured"
    widget.scatter.setFocus()
    qtbot.keyClick(widget.scatter, Qt.Key.Key_B)
    assert shown_values(session)[0] == "predicted"
    views.shared.setChecked(False)
    assert not session.range.shared
    assert not np.allclose(
        session.display.layer("predicted").contrast_limits,
        session.display.layer("measured").contrast_limits,
    )
    views.by_itself.setChecked(True)
    qtbot.waitUntil(lambda: session.kind == "measured", timeout=3000)
    qtbot.mouseClick(views.buttons["Side by side"], LEFT)
    assert not views.by_itself.isChecked()
    assert session.beside
    assert viewer.canvas.grid.enabled
    qtbot.mouseClick(views.buttons["Difference"], LEFT)
    assert not viewer.canvas.grid.enabled
    layer = session.display.layer("difference")
    assert layer.visible
    np.testing.assert_allclose(
        layer.metadata[KEY]["map"].values, maps["predicted"] - maps["measured"]
    )


def test_genes_of_one_side_only_are_listed_with_the_reason(
    dock, slide, prediction, measured, qtbot
):
    """The prediction lacks a gene that was measured, and the measurement one that was predicted."""
    from dataclasses import fields, replace

    from napari_umpire.inference.predictions.prediction import Prediction

    kept = measured.genes.index[3:]
    cut = replace(measured, expression=measured.expression[:, 3:].tocsc(), genes=measured.genes[3:])
    _, widget, session = dock(slide)
    session.set_measured(slide.name, cut)
    genes = prediction.genes.drop(index=list(kept[:2]))

    class Fewer(Prediction):
        @property
        def genes(self):
            return genes

    fewer = Fewer(**{field.name: getattr(prediction, field.name) for field in fields(prediction)})
    session.set_prediction(slide.name, fewer)
    qtbot.waitUntil(lambda: "Mean PCC" in widget.words.text(), timeout=20_000)
    why = widget.table.table.frame["why no PCC"]
    assert (why == "not in the reference").sum() == 2
    assert (why == "not measured").sum() == 3
    said = widget.words.text()
    assert "2 not in the reference" in said
    assert "3 not measured" in said
    session.set_gene(why.index[why == "not in the reference"][0])
    assert "not in the reference" in widget.scatter.title.text()
    assert widget.scatter.drawn == 0
    session.set_gene(why.index[why == "not measured"][0])
    assert "was not measured" in widget.scatter.title.text()


def test_measured_only_then_predicted_and_another_slide(dock, slides, prediction, qtbot):
    _, widget, session = dock(slides[0])
    assert "Not predicted yet" in widget.words.text()
    n = widget.table.table.rowCount()
    assert n > 100
    session.set_prediction(slides[0].name, prediction)
    qtbot.waitUntil(lambda: "Mean PCC" in widget.words.text(), timeout=20_000)
    session.viewer.layers.remove(session.current.image)
    assert "Drop a slide" in widget.words.text()
    assert widget.table.table.rowCount() == 0
    assert not widget.save.isEnabled()


def test_cancel_leaves_nothing_and_is_not_tried_again_by_itself(
    dock, slide, prediction, qtbot, monkeypatch
):
    _, widget, session = dock()
    from napari_umpire.plugin.layers.make import slide_layer

    begun, go = threading.Event(), threading.Event()

    def held(*_):
        begun.set()
        assert go.wait(20)
        return 1

    monkeypatch.setattr("napari_umpire.inference.scores.genes.block_size", held)

    data, attributes, _ = slide_layer(slide)
    session.viewer.add_image(data, **attributes)
    session.set_prediction(slide.name, prediction)
    qtbot.waitUntil(begun.is_set, timeout=20_000)
    widget.cancel.click()
    go.set()
    qtbot.waitUntil(lambda: not widget.work.running, timeout=20_000)
    assert "Cancelled" in widget.words.text()
    assert widget.table.table.rowCount() == 0
    assert widget.run.isEnabled()
    widget.run.click()
    qtbot.waitUntil(lambda: "Mean PCC" in widget.words.text(), timeout=30_000)


def test_the_table_is_saved_with_its_protocol(
    dock, slide, prediction, qtbot, tmp_path, monkeypatch
):
    _, widget, _ = dock(slide, predictions=[prediction])
    path = tmp_path / "genes.csv"
    monkeypatch.setattr(
        "napari_umpire.plugin.widgets.parts.save_table.QFileDialog",
        SimpleNamespace(getSaveFileName=lambda *_: (str(path), "")),
    )
    qtbot.mouseClick(widget.save, LEFT)
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# Mean PCC")
    assert "# Controls: measured spots permuted" in text
    table = pd.read_csv(path, comment="#")
    np.testing.assert_allclose(table["PCC"], widget.table.table.frame["PCC"])


def test_half_a_million_spots_are_drawn_as_a_sample_that_says_so(qtbot):
    from napari_umpire.inference.scores.pair_scatter import pair_scatter
    from napari_umpire.plugin.widgets.compare.spot_scatter import SpotScatter

    rng = np.random.default_rng(0)
    n = 500_000
    p, m = rng.random((2, n)).astype(np.float32)
    detected = np.full(n, 500)
    detected[:7] = 3
    pairs = pair_scatter(p, m, detected, "ERBB2")
    assert "20,000 of 499,993 spots drawn" in pairs.note
    assert "Left out: 7 with fewer than 100 genes" in pairs.note
    scatter = SpotScatter()
    qtbot.addWidget(scatter)
    scatter.show()
    qtbot.waitExposed(scatter)
    points = np.column_stack([m[7:], p[7:]])
    work = interpreted(scatter.set_points, points, pairs.rows, pairs.shown)
    work += interpreted(scatter.highlight, np.arange(7, 5007))
    assert work < 4 * n, "no loop over the spots"
    assert scatter.drawn == 20_000
    assert scatter.highlighted == 5000, "selected ones are drawn all"
    heard = []
    scatter.selected.connect(heard.append)
    scatter.view.ringed.emit(np.array([(0, 0), (0.5, 0), (0.5, 2), (0, 2)]), False)
    np.testing.assert_array_equal(heard[0], np.flatnonzero((m < 0.5) & (detected > 3)))
