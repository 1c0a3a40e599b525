"""The session of a viewer, and the map layers that follow it."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_umpire.plugin.layers.make import KEY, slide_layer
from napari_umpire.plugin.layers.ranges import RangeChoice
from napari_umpire.plugin.session.session import session_of
from napari_umpire.slides.scale import PhysicalScale


def drop(viewer, *slides):
    for slide in slides:
        data, attributes, _ = slide_layer(slide)
        viewer.add_image(data, **attributes)


def shown(viewer):
    return [layer.name for layer in viewer.layers if layer.visible]


def values_of(layer):
    """One value per spot, as the layer shows it."""
    return layer.metadata[KEY]["map"].values


@pytest.fixture
def viewer():
    """A viewer without a window: the layers are all that matters here."""
    return ViewerModel()


@pytest.fixture
def ready(viewer, slide, prediction, measured):
    """A viewer with a slide that was measured and predicted, and its session."""
    drop(viewer, slide)
    session = session_of(viewer)
    session.set_measured(slide.name, measured)
    session.set_prediction(slide.name, prediction)
    return viewer, session


def test_one_session_per_viewer_by_the_viewer_or_its_proxy(make_napari_viewer):
    from napari.utils._proxies import PublicOnlyProxy

    one, other = make_napari_viewer(), make_napari_viewer()
    assert session_of(one) is session_of(PublicOnlyProxy(one)) is session_of(one)
    assert session_of(one) is not session_of(other)


def test_a_session_does_not_keep_its_viewer_alive():
    viewer = ViewerModel()
    gone = weakref.ref(session_of(viewer))
    del viewer
    gc.collect()
    assert gone() is None


def test_slides_come_and_go_with_their_layers(viewer, slides):
    drop(viewer, slides[0])
    session = session_of(viewer)
    changes = []
    session.slides_changed.connect(lambda: changes.append(list(session.slides)))
    drop(viewer, slides[1], slides[0])
    assert list(session.slides) == ["synthetic_0", "synthetic_1", "synthetic_0 (2)"]
    assert session.current.name == "synthetic_0 (2)"
    viewer.add_image(np.zeros((4, 4)))
    viewer.layers.remove(session.slides["synthetic_0 (2)"].image)
    assert session.current.name == "synthetic_1"
    viewer.layers.clear()
    assert session.current is None
    assert len(changes) == 5


def test_one_slide_is_shown_at_a_time(viewer, slides):
    drop(viewer, *slides[:2])
    session = session_of(viewer)
    assert shown(viewer) == ["synthetic_1"]
    session.set_current("synthetic_0")
    assert shown(viewer) == ["synthetic_0"]


def test_a_slide_opened_later_takes_the_place_of_the_map_that_is_shown(ready, slides, measured):
    viewer, session = ready
    session.set_gene(measured.genes.index[0])
    assert len(shown(viewer)) == 2
    told = []
    session.current_changed.connect(lambda: told.append(session.current.name))
    drop(viewer, slides[1])
    assert shown(viewer) == told == ["synthetic_1"]
    data, attributes, _ = slide_layer(slides[2])
    viewer.add_image(data, **attributes, visible=False)  # the second section of a store
    assert session.current.name == "synthetic_1"


def test_the_view_fits_the_slide_that_it_turns_to(viewer, slides):
    drop(viewer, slides[0])
    session = session_of(viewer)
    near = viewer.scene.camera.zoom
    drop(viewer, slides[1].with_scale(PhysicalScale(20.0, "user", {"user": 20.0})))
    high, wide = (np.array(slides[1].pyramid.extent) * 20.0) / 2
    assert np.allclose(viewer.scene.camera.center[-2:], (high, wide), rtol=0.01)
    assert viewer.scene.camera.zoom < near / 5
    session.set_current("synthetic_0")
    assert viewer.scene.camera.zoom == pytest.approx(near, rel=0.1)


def test_the_map_shows_the_gene_and_the_kind_asked_for(ready, slide, measured, prediction):
    viewer, session = ready
    for key in measured.genes.index[[0, 11]]:
        session.set_gene(key)
        expected = {"predicted": prediction.gene_map(key), "measured": measured.column(key)}
        expected["difference"] = expected["predicted"] - expected["measured"]
        symbol = measured.genes.at[key, "symbol"] or key
        for kind, values in expected.items():
            session.set_view(kind=kind)
            layer = session.display.layer(kind)
            np.testing.assert_array_equal(values_of(layer), values)
            assert shown(viewer) == [slide.name, f"{symbol} ({kind}), log1p(CP10k): {slide.name}"]
            assert layer.colorbar.visible
    assert len(viewer.layers) == 4  # one map per kind, refilled
    low, high = session.display.layer("difference").contrast_limits
    assert low == -high


def test_a_hidden_map_follows_so_that_the_eye_blinks_between_maps_of_one_gene(ready, measured):
    _, session = ready
    session.set_gene(measured.genes.index[0])
    session.set_view(kind="measured")
    session.set_view(kind="predicted")
    session.set_gene(measured.genes.index[9])
    hidden = session.display.layer("measured")
    assert not hidden.visible
    np.testing.assert_array_equal(values_of(hidden), measured.column(measured.genes.index[9]))


def test_one_range_means_that_a_colour_is_the_same_value_in_both_maps(ready, measured):
    _, session = ready
    session.set_gene(measured.genes.index[0])
    limits = {}
    for shared in (True, False):
        session.set_view(range=RangeChoice(shared=shared))
        for kind in ("predicted", "measured"):
            session.set_view(kind=kind)
            limits[shared, kind] = tuple(session.display.layer(kind).contrast_limits)
    assert limits[True, "predicted"] == limits[True, "measured"]
    assert limits[False, "predicted"] != limits[False, "measured"]


def test_an_absolute_range_stays_from_gene_to_gene(ready, measured):
    _, session = ready
    session.set_view(range=RangeChoice("absolute", absolute=(0.5, 4.0)))
    for key in measured.genes.index[:3]:
        session.set_gene(key)
        assert session.display.layer("predicted").contrast_limits == [0.5, 4.0]


def test_a_removed_map_comes_back_with_the_next_gene(ready, measured):
    viewer, session = ready
    session.set_gene(measured.genes.index[0])
    viewer.layers.remove(session.display.layer("predicted"))
    assert session.display.layer("predicted") is None
    session.set_gene(measured.genes.index[1])
    assert session.display.layer("predicted") in viewer.layers


def test_a_removed_slide_leaves_the_maps_to_the_user(ready, measured):
    viewer, session = ready
    session.set_gene(measured.genes.index[0])
    layer = session.display.layer("predicted")
    viewer.layers.remove(session.current.image)
    assert session.current is None
    assert layer in viewer.layers


def test_side_by_side_shows_two_panes_and_gives_all_back(ready, measured, slide):
    viewer, session = ready
    notes = viewer.add_points([[100.0, 100.0]], name="notes")
    hidden = viewer.add_labels(np.zeros((9, 9), int), name="hidden", visible=False)
    session.set_gene(measured.genes.index[0])
    grid = viewer.canvas.grid
    grid.stride, grid.shape = 3, (2, -1)
    viewer.scene.camera.zoom = 0.321
    before = [layer.name for layer in viewer.layers], shown(viewer)

    session.set_view(beside=True)
    assert grid.enabled
    assert (grid.stride, grid.shape) == (2, (1, 2))
    left, right = viewer.layers[:2], viewer.layers[2:4]
    assert [layer.metadata[KEY]["role"] for layer in left] == ["image", "measured"]
    assert [layer.metadata[KEY]["role"] for layer in right] == ["beside", "predicted"]
    assert [grid.position(i, viewer.layers) for i in range(4)] == [(0, 0)] * 2 + [(0, 1)] * 2
    assert not notes.visible
    session.set_gene(measured.genes.index[4])
    assert left[1].contrast_limits == right[1].contrast_limits

    session.set_view(beside=False)
    assert not grid.enabled
    assert (grid.stride, grid.shape) == (3, (2, -1))
    assert viewer.scene.camera.zoom == pytest.approx(0.321)
    assert not hidden.visible
    names = [layer.name for layer in viewer.layers]
    label = measured.genes["symbol"].iloc[4] or measured.genes.index[4]
    assert [n for n in names if "(" not in n] == [n for n in before[0] if "(" not in n]
    assert shown(viewer) == [
        "synthetic_0",
        f"{label} (predicted), log1p(CP10k): {slide.name}",
        "notes",  # maps lie under marks
    ]


@pytest.mark.parametrize("pane", range(4))
def test_removing_a_pane_ends_the_comparison(ready, measured, pane):
    viewer, session = ready
    session.set_gene(measured.genes.index[0])
    session.set_view(beside=True)
    slide_went = pane == 0
    viewer.layers.remove(viewer.layers[pane])
    assert session.current is None if slide_went else not session.beside
    assert not viewer.canvas.grid.enabled
    roles = [layer.metadata[KEY]["role"] for layer in viewer.layers]
    assert "beside" not in roles


def test_another_slide_ends_the_comparison_where_it_has_no_prediction(ready, slides, measured):
    viewer, session = ready
    drop(viewer, slides[1])
    session.set_current("synthetic_0")
    session.set_gene(measured.genes.index[0])
    session.set_view(beside=True)
    session.set_current("synthetic_1")
    assert not viewer.canvas.grid.enabled
    assert shown(viewer) == ["synthetic_1"]
    session.set_current("synthetic_0")
    assert viewer.canvas.grid.enabled


def test_a_slide_whose_scale_becomes_known_is_placed_anew(viewer, flat_slide):
    drop(viewer, flat_slide.with_scale(PhysicalScale()))
    session = session_of(viewer)
    image = session.current.image
    assert tuple(image.scale) == (1.0, 1.0)
    assert not viewer.canvas.overlays.scale_bar.visible
    session.replace_slide("flat", flat_slide)
    assert tuple(image.scale) == (0.5, 0.5)
    assert tuple(image.translate) == (0.25, 0.25)
    assert [str(unit) for unit in image.units] == ["micrometer"] * 2
    assert viewer.canvas.overlays.scale_bar.visible
    assert image.metadata[KEY]["slide"] is flat_slide
