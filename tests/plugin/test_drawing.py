"""Regions drawn on the slide: with the mouse, by hand, moved, renamed, at another scale."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from napari_umpire.plugin.layers.drawing import (
    draw,
    drawn_layers,
    region_colour,
    region_layer,
    region_names,
    region_rows,
)
from napari_umpire.plugin.session.session import session_of


def box(yx0, yx1):
    (y0, x0), (y1, x1) = yx0, yx1
    return np.array([(y0, x0), (y0, x1), (y1, x1), (y1, x0)], float)


def in_box(yx, corners):
    return np.flatnonzero(((yx > corners.min(0)) & (yx < corners.max(0))).all(axis=1))


@pytest.fixture
def drawn(open_viewer, slide):
    viewer = open_viewer(slide, show=False)
    session = session_of(viewer)
    return session, region_layer(session, ["A", "B"])


def test_a_layer_per_slide_with_a_colour_per_name(drawn):
    session, layer = drawn
    assert layer.name == f"Regions: {session.current.name}"
    assert region_layer(session, ["A", "C"]) is layer
    assert len({region_colour(layer, name) for name in "ABC"}) == 3
    assert session.viewer.layers.selection.active is session.current.image


def test_rows_of_every_kind_of_shape(drawn, slide):
    session, layer = drawn
    yx = slide.yx
    middle, low, high = yx.mean(0), yx.min(0), yx.max(0)
    quarter = box(low - 1, middle)
    draw(layer, "rectangle")
    layer.add(quarter, shape_type="rectangle")
    draw(layer, "polygon")
    layer.add(quarter[:3], shape_type="polygon")
    draw(layer, "path")
    layer.add(quarter[:3], shape_type="path")
    draw(layer, "ellipse")
    layer.add(box(low, high), shape_type="ellipse")
    draw(layer, "line")
    layer.add(quarter[:2], shape_type="line")
    draw(layer, "empty")
    layer.add(box(high + 10, high + 90), shape_type="rectangle")
    rows = region_rows(session.current, layer)
    assert list(rows) == ["rectangle", "polygon", "path", "ellipse", "line", "empty"]
    np.testing.assert_array_equal(rows["rectangle"], in_box(yx, quarter))
    np.testing.assert_array_equal(rows["path"], rows["polygon"])
    assert 0 < len(rows["polygon"]) < len(rows["rectangle"])
    half = (high - low) / 2
    ellipse = (((yx - low - half) / half) ** 2).sum(1) < 1
    np.testing.assert_array_equal(rows["ellipse"], np.flatnonzero(ellipse))
    assert len(rows["line"]) == len(rows["empty"]) == 0


def test_shapes_of_one_name_are_one_region_and_may_overlap(drawn, slide):
    session, layer = drawn
    yx = slide.yx
    low, high = yx.min(0) - 1, yx.max(0) + 1
    left, right = box(low, (high[0], low[1] + 500)), box((low[0], high[1] - 500), high)
    draw(layer, "A")
    layer.add([left, left + 40, right], shape_type="rectangle")
    rows = region_rows(session.current, layer)["A"]
    expected = set(in_box(yx, left)) | set(in_box(yx, left + 40)) | set(in_box(yx, right))
    assert set(rows) == expected
    assert (np.diff(rows) > 0).all()
    assert len(in_box(yx, left))
    assert set(in_box(yx, left)) & set(in_box(yx, left + 40))


def test_renaming_recolours_and_no_name_is_said(drawn, slide):
    session, layer = drawn
    low = slide.yx.min(0)
    for name in ("A", "B"):
        draw(layer, name)
        layer.add(box(low, low + 300), shape_type="rectangle")
    a, b = layer.edge_color.copy()
    assert not np.allclose(a, b)
    layer.features = pd.DataFrame({"region": ["B", None]})
    np.testing.assert_allclose(layer.edge_color[0], b)
    assert region_names(layer) == ["B", "unnamed"]
    assert set(region_rows(session.current, layer)) == {"B", "unnamed"}


def test_another_shapes_layer_is_read_where_it_lies(drawn, slide):
    session, layer = drawn
    mpp, origin = slide.mpp, np.array([100.0, 40.0])
    quarter = box(slide.yx.min(0) - 1, slide.yx.mean(0))
    # As drawn in a layer whose pixels are twice as wide as ours and that begins elsewhere.
    data = (quarter * mpp - origin) / (2 * mpp)
    other = session.viewer.add_shapes(
        [data], scale=(2 * mpp, 2 * mpp), translate=origin, units=("um", "um"), name="mine"
    )
    assert drawn_layers(session.viewer, session.current) == [layer, other]
    rows = region_rows(session.current, other)
    assert list(rows) == ["mine 1"]
    np.testing.assert_array_equal(rows["mine 1"], in_box(slide.yx, quarter))


@pytest.mark.parametrize("mpp", [2.0, 1.0])  # at 1.0 only the unit changes
def test_regions_stay_on_the_tissue_when_the_scale_becomes_known(open_viewer, slide, mpp):
    from napari_umpire.slides.scale import PhysicalScale

    viewer = open_viewer(slide.with_scale(PhysicalScale(None, None, {})), show=False)
    session = session_of(viewer)
    layer = region_layer(session, ["A"])
    quarter = box(slide.yx.min(0) - 1, slide.yx.mean(0))
    layer.add(quarter, shape_type="rectangle")
    before = region_rows(session.current, layer)["A"]
    session.replace_slide(slide.name, slide.with_scale(PhysicalScale(mpp, "user", {"user": mpp})))
    np.testing.assert_allclose(layer.data_to_world(quarter[0]), quarter[0] * mpp)
    np.testing.assert_array_equal(region_rows(session.current, layer)["A"], before)
    np.testing.assert_array_equal(before, in_box(slide.yx, quarter))
    for placed in (layer, session.current.image):
        assert {str(unit) for unit in placed.units} == {"micrometer"}
        assert placed.scale[-1] == mpp


def test_a_map_made_later_lies_under_what_was_drawn(open_viewer, slide, measured):
    viewer = open_viewer(slide, show=False)
    session = session_of(viewer)
    layer = region_layer(session, ["A"])
    viewer.layers.selection.active = layer
    draw(layer, "A")
    session.set_measured(slide.name, measured)
    session.set_gene(measured.genes.index[0])
    map_layer = session.display.layer("measured")
    order = list(viewer.layers)
    assert order.index(session.current.image) < order.index(map_layer) < order.index(layer)
    assert viewer.layers.selection.active is layer, "it is being drawn on"
