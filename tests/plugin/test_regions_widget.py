"""The Regions widget in the real window: draw with the mouse, compare, look at a gene."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from qtpy.QtCore import QPoint, Qt

from napari_umpire.inference.classes.labels import SpotLabels
from napari_umpire.plugin.layers.drawing import draw, region_layer
from napari_umpire.plugin.layers.make import KEY
from napari_umpire.plugin.session.session import session_of
from napari_umpire.slides.regions import spots_within

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def dock(open_viewer, qtbot):
    def open_(*slides, predictions=(), measured=None, show=False):
        viewer = open_viewer(*slides, show=show)
        session = session_of(viewer)
        for prediction in predictions:
            session.set_prediction(prediction.slide_name, prediction)
        if measured is not None:
            session.set_measured(slides[0].name, measured)
        _, widget = viewer.window.add_plugin_dock_widget("napari-umpire", "Regions")
        return viewer, widget, session

    return open_


@pytest.fixture
def settled(qtbot):
    """Wait until the widget has looked at what is drawn, and its work is done."""

    def wait(widget):
        qtbot.waitUntil(lambda: not widget._settle.isActive(), timeout=2000)
        qtbot.waitUntil(lambda: not widget.work.running, timeout=20_000)

    return wait


def corners(slide, y0, x0, y1, x1):
    """A rectangle over the shares y0 to y1 and x0 to x1 of the spots' extent, full-res px."""
    low, high = slide.yx.min(0) - 1, slide.yx.max(0) + 1
    return low + np.array([(y0, x0), (y0, x1), (y1, x1), (y1, x0)]) * (high - low)


def add(session, name, ring, kind="rectangle"):
    layer = region_layer(session, [name])
    draw(layer, name, "pan_zoom")
    layer.add(ring, shape_type=kind)
    return layer


def on_canvas(viewer, y, x):
    """Where the world position (y, x) lies on the canvas."""
    native = viewer.window._qt_viewer.canvas.native
    size = np.array([native.height(), native.width()])
    camera = viewer.scene.camera
    row, col = (np.array([y, x]) - camera.center[-2:]) * camera.zoom + size / 2
    return native, QPoint(round(col), round(row))


def shown_values(session):
    layers = [v for v in session.viewer.layers if v.visible and KEY in v.metadata]
    (layer,) = [v for v in layers if v.metadata[KEY]["role"] in ("predicted", "measured")]
    return layer.metadata[KEY]["role"], layer.metadata[KEY]["map"].values


def test_it_opens_alone_computes_nothing_and_says_what_it_needs(dock, qtbot):
    _, widget, _ = dock()
    assert not widget.work.running
    assert "Drop a slide" in widget.counts.text()
    assert not widget.run.isEnabled()
    assert not widget.save.isEnabled()


def test_a_slide_with_nothing_to_compare_says_so(dock, flat_slide):
    _, widget, _ = dock(flat_slide)
    assert "Nothing was measured on this slide" in widget.counts.text()
    assert not widget.run.isEnabled()


def test_regions_drawn_with_the_mouse_are_compared_and_a_row_shows_its_map(
    dock, slide, prediction, measured, qtbot, settled
):
    viewer, widget, session = dock(slide, predictions=[prediction], measured=measured, show=True)
    assert "Nothing is drawn as A and as B yet" in widget.counts.text()
    assert not widget.run.isEnabled()
    rings = {"A": corners(slide, 0, 0, 0.4, 1), "B": corners(slide, 0.55, 0.2, 1, 1)[:3]}
    qtbot.wait(150)
    for side, ring in rings.items():
        qtbot.mouseClick(widget.rows[side].button, LEFT)
        layer = viewer.layers.selection.active
        assert layer.name == f"Regions: {slide.name}"
        assert layer.mode == "add_polygon"
        qtbot.wait(50)
        places = [on_canvas(viewer, *(corner * slide.mpp)) for corner in ring]
        for native, at in places:
            # The canvas takes one move at a time, and a slow one would be taken for the next.
            qtbot.mouseMove(native, at)
            qtbot.wait(60)
            qtbot.mouseClick(native, LEFT, pos=at)
            qtbot.wait(60)
        qtbot.mouseDClick(native, LEFT, pos=at)
        qtbot.waitUntil(lambda layer=layer: layer.mode == "pan_zoom", timeout=2000)
        assert not widget.rows[side].button.isChecked()
        assert session.spot is None, "the clicks drew, they asked nothing"
    settled(widget)
    a, b = (layer.data[i] for i in (0, 1))
    pixel = 1.5 / viewer.scene.camera.zoom / slide.mpp
    # napari may keep the place of the last click twice.
    np.testing.assert_allclose(np.unique(np.round(a / 3), axis=0).shape, (4, 2))
    assert np.abs(a[:4] - rings["A"]).max() < pixel
    rows = {"A": np.flatnonzero(spots_within(slide.yx, [a]))}
    rows["B"] = np.flatnonzero(spots_within(slide.yx, [b]))
    assert min(len(r) for r in rows.values()) > 5
    for side in "AB":
        assert f"{side}: {len(rows[side])} spots" in widget.counts.text()

    qtbot.mouseClick(widget.run, LEFT)
    settled(widget)
    frame = widget.table.table.frame
    counted = {s: r[measured.detected[r] >= 100] for s, r in rows.items()}
    for key in frame.index[::29]:
        maps = session.current.gene_maps(key)
        for side, which in (("predicted", rows), ("measured", counted)):
            expected = maps[side][which["A"]].mean() - maps[side][which["B"]].mean()
            assert frame.loc[key, f"{side} difference"] == pytest.approx(expected, abs=1e-4)
    said = widget.words.text()
    assert "not independent" in said
    assert f"Predicted: {len(rows['A']):,} spots of A, {len(rows['B']):,} of B" in said
    first = widget.table.table
    assert first.data(first.index(0, 1)) == f"{frame['predicted difference'].iloc[0]:.2f}"

    cell = widget.table.visualRect(widget.table.model().index(2, 0)).center()
    qtbot.mouseClick(widget.table.viewport(), LEFT, pos=cell)
    assert session.gene == frame.index[2]
    kind, values = shown_values(session)
    np.testing.assert_array_equal(values, session.current.gene_maps(frame.index[2])[kind])

    # Moved afterwards: the table says that it is of before.
    layer.data = [layer.data[0], layer.data[1] + 40]
    settled(widget)
    assert widget.words.text().startswith("The groups have changed")


@pytest.mark.parametrize(("tool", "kind"), [("Box", "rectangle"), ("Ellipse", "ellipse")])
def test_other_tools_draw_other_shapes(dock, slide, measured, qtbot, settled, tool, kind):
    viewer, widget, session = dock(slide, measured=measured, show=True)
    qtbot.mouseClick(next(b for b in widget.pen.tools.buttons() if b.text() == tool), LEFT)
    qtbot.mouseClick(widget.rows["A"].button, LEFT)
    qtbot.wait(150)
    ring = corners(slide, 0.1, 0.1, 0.7, 0.8)
    native, start = on_canvas(viewer, *(ring[0] * slide.mpp))
    _, end = on_canvas(viewer, *(ring[2] * slide.mpp))
    qtbot.mouseMove(native, start)
    qtbot.mousePress(native, LEFT, pos=start)
    for share in (0.3, 0.6, 1.0):
        qtbot.mouseMove(native, start + (end - start) * share)
        qtbot.wait(20)
    qtbot.mouseRelease(native, LEFT, pos=end)
    settled(widget)
    layer = viewer.layers.selection.active
    assert list(layer.shape_type) == [kind]
    assert layer.features["region"].tolist() == ["A"]
    box = layer.data[0]
    middle, half = box.mean(0), np.ptp(box, axis=0) / 2
    away = np.abs((slide.yx - middle) / half)
    inside = (away < 1).all(1) if kind == "rectangle" else (away**2).sum(1) < 1
    assert widget.rows["A"].combo.currentText() == f"A, drawn ({inside.sum()} spots)"


def test_a_lasso_is_dragged_round_the_spots(dock, slide, measured, qtbot, settled):
    viewer, widget, session = dock(slide, measured=measured, show=True)
    qtbot.mouseClick(next(b for b in widget.pen.tools.buttons() if b.text() == "Lasso"), LEFT)
    qtbot.mouseClick(widget.rows["B"].button, LEFT)
    qtbot.wait(150)
    ring = corners(slide, 0.15, 0.1, 0.8, 0.7)
    path = [a + (b - a) * t for a, b in zip(ring, np.roll(ring, -1, 0), strict=True)
            for t in np.linspace(0, 1, 8)]  # fmt: skip
    places = [on_canvas(viewer, *(corner * slide.mpp)) for corner in path]
    native = places[0][0]
    qtbot.mouseMove(native, places[0][1])
    qtbot.mousePress(native, LEFT, pos=places[0][1])
    for _, at in places:
        qtbot.mouseMove(native, at)
        qtbot.wait(10)
    qtbot.mouseRelease(native, LEFT, pos=places[-1][1])
    settled(widget)
    layer = viewer.layers.selection.active
    assert list(layer.shape_type) == ["polygon"]
    got = spots_within(slide.yx, [layer.data[0]])
    wanted = spots_within(slide.yx, [ring])
    assert wanted.sum() > 10
    assert (got != wanted).sum() <= 0.1 * wanted.sum(), "but for spots on its line"
    assert widget.rows["B"].combo.currentText() == f"B, drawn ({got.sum()} spots)"


def test_a_against_the_rest(dock, slide, prediction, measured, qtbot, settled):
    _, widget, session = dock(slide, predictions=[prediction], measured=measured)
    ring = corners(slide, 0, 0, 0.5, 1)
    add(session, "A", ring)
    settled(widget)
    widget.rows["B"].choose(("rest",))
    inside = spots_within(slide.yx, [ring])
    assert f"B, the rest: {(~inside).sum()} spots" in widget.counts.text()
    qtbot.mouseClick(widget.run, LEFT)
    settled(widget)
    frame = widget.table.table.frame
    p = session.current.gene_maps(frame.index[0])["predicted"]
    expected = p[inside].mean() - p[~inside].mean()
    assert frame["predicted difference"].iloc[0] == pytest.approx(expected, abs=1e-4)
    assert "the rest" in widget.words.text()


def test_selection_and_classes_can_be_compared(dock, slide, measured, qtbot, settled):
    _, widget, session = dock(slide, measured=measured)
    session.select({slide.name: np.arange(8)})
    codes = np.full(slide.n_spots, -1)
    codes[20:40] = 1
    session.set_labels(slide.name, SpotLabels("tissue", codes, ("a", "tumour"), ("#111111",) * 2))
    settled(widget)
    widget.rows["A"].choose(("selection",))
    widget.rows["B"].choose(("class", "tissue", "tumour"))
    assert "A, selection: 8 spots. B, tumour: 20 spots." in widget.counts.text()
    assert widget.run.isEnabled()
    widget.rows["A"].choose(("class", "tissue", "a"))
    assert "a holds no spots" in widget.counts.text()
    assert not widget.run.isEnabled()
    session.select({})
    settled(widget)
    assert ("selection",) not in [
        widget.rows["A"].combo.itemData(i) for i in range(widget.rows["A"].combo.count())
    ]


def test_bad_regions_are_sentences(dock, slide, measured, settled):
    _, widget, session = dock(slide, measured=measured)
    away = slide.yx.max(0) + 200
    layer = add(session, "A", away + np.array([(0, 0), (0, 50), (50, 50), (50, 0)]))
    add(session, "B", corners(slide, 0, 0, 0.3, 1))
    settled(widget)
    assert "A holds no spots: no spot has its centre in it" in widget.counts.text()
    assert not widget.run.isEnabled()
    assert "holds no spots" in widget.run.toolTip()
    add(session, "A", corners(slide, 0.6, 0, 1, 1))
    settled(widget)
    assert "2 shapes are named A: they count as one region" in widget.counts.text()
    assert widget.run.isEnabled()
    add(session, "A", corners(slide, 0, 0, 0.3, 1))
    settled(widget)
    n = spots_within(slide.yx, [corners(slide, 0, 0, 0.3, 1)]).sum()
    assert f"{n} spots in both" in widget.counts.text()
    layer.features = pd.DataFrame({"region": ["gone", "gone", "gone", "A"]})
    settled(widget)
    assert "Nothing is drawn as B yet" in widget.counts.text()
    layer.features = pd.DataFrame({"region": ["gone", "B", "gone", "A"]})
    settled(widget)
    assert "they are the same" in widget.counts.text()


def test_a_layer_of_the_users_own_can_be_chosen(dock, slide, measured, settled):
    _, widget, session = dock(slide, measured=measured)
    ring = corners(slide, 0, 0, 0.3, 1)
    own = session.viewer.add_shapes([ring * slide.mpp], units=("um", "um"), name="notes")
    settled(widget)
    widget.rows["A"].choose(("drawn", "notes", "notes 1"))
    widget.rows["B"].choose(("rest",))
    inside = spots_within(slide.yx, [ring]).sum()
    assert f"A, notes 1: {inside} spots" in widget.counts.text()
    session.viewer.layers.remove(own)
    settled(widget)
    assert "Nothing is drawn as A yet" in widget.counts.text()


def test_saved_with_what_it_does_not_say(
    dock, slide, measured, qtbot, settled, tmp_path, monkeypatch
):
    _, widget, session = dock(slide, measured=measured)
    add(session, "A", corners(slide, 0, 0, 0.3, 1))
    settled(widget)
    widget.rows["B"].choose(("rest",))
    qtbot.mouseClick(widget.run, LEFT)
    settled(widget)
    path = tmp_path / "regions.csv"
    monkeypatch.setattr(
        "napari_umpire.plugin.widgets.parts.save_table.QFileDialog",
        SimpleNamespace(getSaveFileName=lambda *_: (str(path), "")),
    )
    qtbot.mouseClick(widget.save, LEFT)
    text = path.read_text(encoding="utf-8")
    assert text.startswith(f"# A against the rest on {slide.name}")
    assert "# n counts spots, not patients" in text
    table = pd.read_csv(path, comment="#")
    np.testing.assert_allclose(table["measured d"], widget.table.table.frame["measured d"])


def test_slides_come_and_go(dock, slides, measured, settled):
    viewer, widget, session = dock(slides[0], measured=measured)
    add(session, "A", corners(slides[0], 0, 0, 0.3, 1))
    settled(widget)
    assert widget.rows["A"].combo.currentText().startswith("A, drawn (")
    from napari_umpire.plugin.layers.make import slide_layer

    widget.rows["B"].button.click()
    layer = viewer.layers.selection.active
    assert layer.mode == "add_polygon"
    data, attributes, _ = slide_layer(slides[1])
    viewer.add_image(data, **attributes)
    settled(widget)
    assert session.current.name == slides[1].name
    assert layer.mode == "pan_zoom"
    assert not layer.visible, "it lies on the tissue of the other slide"
    # That was on the other slide.
    assert "Nothing is drawn as A and as B yet" in widget.counts.text()
    session.set_current(slides[0].name)
    assert layer.visible
    assert widget.rows["A"].combo.currentText().startswith("A, drawn (")
    for state in list(session.slides.values()):
        viewer.layers.remove(state.image)
    settled(widget)
    assert "Drop a slide" in widget.counts.text()
