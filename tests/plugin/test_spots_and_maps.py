"""Asking about a spot, selecting spots, and maps that are no genes, in the real window."""

from __future__ import annotations

import numpy as np
import pytest

from napari_umpire.inference.classes.labels import SpotLabels
from napari_umpire.plugin.layers.make import KEY, palette_colormap
from napari_umpire.plugin.layers.spot_map import SpotMap
from napari_umpire.plugin.session.session import session_of


@pytest.fixture
def click(qtbot):
    """Press and release the left button over a world position (y, x) of the canvas."""
    from qtpy.QtCore import QPoint, Qt

    def click_(viewer, y, x, *, drag=0):
        native = viewer.window._qt_viewer.canvas.native
        qtbot.wait(100)  # until the layout has settled
        camera = viewer.scene.camera
        size = np.array([native.height(), native.width()])
        row, col = (np.array([y, x]) - camera.center[-2:]) * camera.zoom + size / 2
        at = QPoint(round(col), round(row))
        qtbot.mouseMove(native, at)
        qtbot.mousePress(native, Qt.MouseButton.LeftButton, pos=at)
        if drag:
            qtbot.mouseMove(native, at + QPoint(drag, 0))
        qtbot.mouseRelease(native, Qt.MouseButton.LeftButton, pos=at + QPoint(drag, 0))
        qtbot.wait(20)

    return click_


def test_a_click_asks_about_the_spot_under_it(open_viewer, slide, click, canvas):
    viewer = open_viewer(slide)
    session = session_of(viewer)
    y, x = slide.yx[17] * slide.mpp
    click(viewer, y, x)
    assert session.spot == (slide.name, 17)
    (ring,) = [v for v in viewer.layers if v.metadata.get(KEY, {}).get("role") == "asked"]
    np.testing.assert_allclose(ring.data, [[y, x]])
    click(viewer, *(slide.yx[18] * slide.mpp), drag=40)
    assert session.spot == (slide.name, 17), "a drag moves the view, it asks nothing"
    click(viewer, *(slide.yx.min(0) * slide.mpp - 80))
    assert session.spot == (slide.name, 17), "there is no spot there"
    click(viewer, *(slide.yx[20] * slide.mpp))
    assert session.spot == (slide.name, 20)
    viewer.layers.remove(ring)
    session.set_spot(3)
    assert any(v.metadata.get(KEY, {}).get("role") == "asked" for v in viewer.layers)


def test_a_click_that_draws_asks_nothing(open_viewer, slide, click):
    viewer = open_viewer(slide)
    session = session_of(viewer)
    shapes = viewer.add_shapes(ndim=2)
    shapes.mode = "add_polygon"
    click(viewer, *(slide.yx[17] * slide.mpp))
    assert session.spot is None


def test_selected_spots_have_rings_and_leave_with_their_slide(open_viewer, slides):
    viewer = open_viewer(*slides[:2])
    session = session_of(viewer)
    here, other = session.current.name, slides[0].name
    heard = []
    session.selection_changed.connect(lambda: heard.append(dict(session.selection)))
    session.select({here: np.array([5, 2, 5]), other: np.array([1])})
    np.testing.assert_array_equal(session.selection[here], [2, 5])
    (ring,) = [v for v in viewer.layers if v.metadata.get(KEY, {}).get("role") == "selected"]
    centres = session.current.slide.yx[[2, 5]] * session.current.slide.mpp
    np.testing.assert_allclose(ring.data, centres)
    session.select({here: np.array([2, 5]), other: np.array([1])})
    assert len(heard) == 1, "nothing changed"
    viewer.layers.remove(session.current.image)
    assert set(session.selection) == {other}
    session.select({})
    assert not session.selection


def test_a_map_takes_the_place_of_the_gene_until_a_gene_is_chosen(
    open_viewer, slide, prediction, canvas
):
    viewer = open_viewer(slide)
    session = session_of(viewer)
    session.set_prediction(slide.name, prediction)
    session.set_gene(session.current.genes.frame.index[0])
    values = np.linspace(0, 1, slide.n_spots, dtype=np.float32)
    values[5] = np.nan
    session.set_map(slide.name, SpotMap("s", "Similarity", values, palette="confidence"))
    shown = [v for v in viewer.layers if v.visible and v.metadata[KEY]["role"] != "image"]
    assert [v.name for v in shown] == [f"Similarity: {slide.name}"]
    seen = canvas(viewer)
    ramp = palette_colormap("confidence")
    for row in (20, slide.n_spots - 2):
        expected = ramp.map(np.array([values[row]]))[0, :3] * 255
        assert np.abs(seen.at(*(slide.yx[row] * slide.mpp)) - expected).max() <= 12
    session.set_gene(session.current.genes.frame.index[1])
    shown = [v for v in viewer.layers if v.visible and v.metadata[KEY]["role"] != "image"]
    assert [v.metadata[KEY]["role"] for v in shown] == ["predicted"]
    viewer.layers.remove(f"Similarity: {slide.name}")
    assert not session.current.maps


def test_classes_are_drawn_in_their_colours_and_probability_is_opacity(open_viewer, slide, canvas):
    viewer = open_viewer(slide)
    session = session_of(viewer)
    codes = np.arange(slide.n_spots) % 2
    codes[4] = -1
    labels = SpotLabels("tissue", codes, ("a", "b"), ("#ff0000", "#0000ff"))
    session.set_map(slide.name, SpotMap("tissue", "Tissue", labels=labels))
    seen = canvas(viewer)
    for row, colour in ((20, (255, 0, 0)), (21, (0, 0, 255))):
        assert np.abs(seen.at(*(slide.yx[row] * slide.mpp)) - colour).max() <= 12
    clear = np.zeros(slide.n_spots)
    session.set_map(slide.name, SpotMap("tissue", "Tissue", labels=labels, opacity=clear))
    assert np.abs(canvas(viewer).at(*(slide.yx[20] * slide.mpp)) - (255, 0, 0)).max() > 30
    np.testing.assert_array_equal(labels.counts, [np.sum(codes == 0), np.sum(codes == 1)])
    # Values now, under the same key: the layer changes its sort.
    session.set_map(slide.name, SpotMap("tissue", "Values", codes.astype(np.float32)))
    (layer,) = [v for v in viewer.layers if v.metadata[KEY]["role"] == "map"]
    assert layer.name == f"Values: {slide.name}"


def test_rings_that_are_hidden_follow_the_selection(open_viewer, slide):
    viewer = open_viewer(slide)
    session = session_of(viewer)
    session.select({slide.name: np.arange(40)})
    (ring,) = [v for v in viewer.layers if v.metadata.get(KEY, {}).get("role") == "selected"]
    ring.visible = False
    session.select({slide.name: np.arange(5)})
    ring.visible = True
    np.testing.assert_allclose(ring.data, slide.yx[:5] * slide.mpp)
    np.testing.assert_allclose(ring.border_color, ring.border_color[[0] * 5])
