"""Classes under the spots' centres, from painted layers wherever they lie, and from regions."""

from __future__ import annotations

import numpy as np
import pytest

from napari_umpire.errors import InputError
from napari_umpire.inference.classes.labels import PALETTE
from napari_umpire.plugin.layers.drawing import region_layer
from napari_umpire.plugin.layers.labels import (
    LabelSource,
    label_sources,
    paint,
    painted_values,
    read_source,
)
from napari_umpire.plugin.session.session import session_of


@pytest.mark.parametrize("turn", [0.0, 30.0])
def test_the_value_under_a_centre_wherever_the_layer_lies(open_viewer, flat_slide, turn):
    """A layer of its own scale, place and angle, taller than wide; by hand against world px."""
    viewer = open_viewer(flat_slide, show=False)
    state = session_of(viewer).current
    data = np.zeros((90, 80), np.uint8)
    layer = viewer.add_labels(data, scale=(4.0, 3.0), translate=(-50.0, -130.0), rotate=turn)
    a = np.deg2rad(turn)
    matrix = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]) @ np.diag([4.0, 3.0])
    world = flat_slide.yx * flat_slide.mpp
    pixels = np.round(np.linalg.solve(matrix, (world - [-50.0, -130.0]).T).T).astype(int)
    expected = np.zeros(3, int)
    for number, (row, col) in enumerate(pixels):
        if 0 <= row < 90 and 0 <= col < 80:
            data[row, col] = expected[number] = number + 1
    assert (expected > 0).sum() == 2
    layer.data = data
    np.testing.assert_array_equal(painted_values(state, layer), expected)


def test_a_source_is_called_as_its_layer_is_and_nothing_twice(open_viewer, flat_slide):
    viewer = open_viewer(flat_slide, show=False)
    session = session_of(viewer)
    region_layer(session, ["A"])
    paint(session, "tumour")
    viewer.add_shapes(np.array([[0, 0], [0, 9], [9, 9]]), shape_type="polygon", name="by hand")
    titles = [source.title for source in label_sources(viewer, session.current)]
    assert titles == ["Regions: flat", "Regions: by hand", "Painted classes: flat"]


def test_paint_names_its_classes(open_viewer, flat_slide):
    viewer = open_viewer(flat_slide, show=False)
    session = session_of(viewer)
    layer = paint(session, "tumour")
    assert layer.mode == "paint"
    step = layer.scale[0] / flat_slide.mpp
    for spot, name in ((0, "tumour"), (2, "fat")):
        assert paint(session, name) is layer
        row, col = (flat_slide.yx[spot] / step).astype(int)
        layer.data[row, col] = layer.selected_label
    assert paint(session, "tumour").selected_label == 1
    source = LabelSource("painted", layer.name)
    assert source in label_sources(viewer, session.current)
    reading = read_source(viewer, session.current, source)
    assert reading.labels.named().tolist() == ["tumour", None, "fat"]
    assert reading.labels.colours == PALETTE[:2]
    assert reading.notes == ("1 of 3 spots have no class.",)


def test_a_painted_layer_of_the_user_has_its_own_colours(open_viewer, flat_slide):
    viewer = open_viewer(flat_slide, show=False)
    height, width = (round(v) for v in flat_slide.pyramid.extent)
    data = np.zeros((height, width), np.uint8)
    data[:, : width // 2] = 2
    data[:, width // 2 :] = 5
    layer = viewer.add_labels(data, scale=(flat_slide.mpp,) * 2)
    reading = read_source(viewer, session_of(viewer).current, LabelSource("painted", layer.name))
    assert reading.labels.named().tolist() == ["2", "5", "2"]
    wanted = "#" + "".join(f"{round(255 * float(c)):02x}" for c in layer.get_color(5)[:3])
    assert reading.labels.colours[1] == wanted


def test_regions_become_classes_and_an_empty_one_is_said(open_viewer, flat_slide):
    viewer = open_viewer(flat_slide, show=False)
    session = session_of(viewer)
    layer = region_layer(session, ["A", "B"])
    around = np.array([[-20, -20], [-20, 20], [20, 20], [20, -20]])
    layer.add_polygons([flat_slide.yx[1] + around, np.array([150.0, 300.0]) + around / 4])
    layer.features = {"region": ["A", "B"]}
    reading = read_source(viewer, session.current, LabelSource("regions", layer.name))
    assert reading.labels.named().tolist() == [None, "A", None]
    assert "'B' holds no spot" in " ".join(reading.notes)


def test_a_layer_that_is_gone_or_empty_is_said(open_viewer, flat_slide):
    viewer = open_viewer(flat_slide, show=False)
    session = session_of(viewer)
    layer = paint(session, "tumour")
    with pytest.raises(InputError, match="No spot's centre is painted"):
        read_source(viewer, session.current, LabelSource("painted", layer.name))
    viewer.layers.remove(layer)
    with pytest.raises(InputError, match="is gone"):
        read_source(viewer, session.current, LabelSource("painted", layer.name))
    assert label_sources(viewer, session.current) == []
    assert label_sources(viewer, None) == []
