"""Outline of the tissue and preview of the spots, seen in the window and kept with their slide."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_umpire.inference.survey import tissue_facts
from napari_umpire.plugin.layers.make import KEY, slide_layer
from napari_umpire.plugin.session.session import session_of
from napari_umpire.slides.scale import PhysicalScale
from napari_umpire.slides.tissue import TissueMask

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def drawn(open_viewer, flat_slide):
    """A window with a slide, 300 x 520 px at 0.5 um, and the outline of a known rectangle."""
    viewer = open_viewer(flat_slide)
    session = session_of(viewer)
    mask = np.zeros((30, 52), bool)
    mask[16:26, 30:44] = True  # y 160 to 260, x 300 to 440 px
    facts = tissue_facts(flat_slide, TissueMask(mask, 10.0))
    session.tissue_layers.show_tissue(session.current, facts)
    return viewer, session, facts


def roles(viewer):
    return [layer.metadata.get(KEY, {}).get("role") for layer in viewer.layers]


def test_the_outline_lies_around_the_tissue(drawn, canvas):
    viewer, _, _ = drawn
    seen = canvas(viewer)
    span = np.arange(-3, 3.1, 0.25)  # the line is 0.7 um wide, and simplified by 2.5 um
    for y, x in ((80, 190), (130, 190), (105, 150), (105, 220)):  # um, on the four borders
        around = [seen.at(y + dy, x + dx) for dy in span for dx in span]
        assert max(int(c[2]) - int(c[0]) for c in around) > 100, (y, x)
    assert seen.at(105, 190).min() > 240  # glass in the middle: nothing is filled
    assert seen.at(30, 45).max() < 15  # the black square of a spot, elsewhere


def test_it_is_for_looking_at(drawn):
    viewer, _, _ = drawn
    assert roles(viewer) == ["image", "tissue"]
    layer = viewer.layers[1]
    assert layer.name == "Tissue: flat"
    assert not layer.editable
    assert viewer.layers.selection.active is viewer.layers[0]


def test_maps_that_come_later_lie_above_it(drawn, prediction):
    viewer, session, facts = drawn
    viewer.add_points([[1.0, 1.0]], name="notes")
    session.tissue_layers.want(session.current, "tissue", False)
    viewer.layers.remove("Tissue: flat")
    session.tissue_layers.show_tissue(session.current, facts)
    assert [layer.name for layer in viewer.layers] == ["flat", "Tissue: flat", "notes"]


def test_a_map_of_another_slide_lies_above_its_own_image(
    open_viewer, flat_slide, slide, prediction
):
    viewer = open_viewer(flat_slide)
    session = session_of(viewer)
    facts = tissue_facts(flat_slide, TissueMask(np.ones((3, 5), bool), 60.0))
    session.tissue_layers.show_tissue(session.current, facts)
    data, attributes, _ = slide_layer(slide)
    viewer.add_image(data, **attributes)
    session.set_prediction(slide.name, prediction)
    session.set_gene(prediction.genes.index[0])
    names = [layer.name for layer in viewer.layers]
    (shown,) = [n for n in names if "predicted" in n]
    assert names.index(shown) > names.index(slide.name) > names.index("Tissue: flat")


def test_it_is_seen_with_its_slide_alone_and_goes_with_it(drawn, flat_slide, qtbot):
    viewer, session, _ = drawn
    data, attributes, _ = slide_layer(replace(flat_slide, name="other"))
    viewer.add_image(data, **attributes)
    outline = viewer.layers["Tissue: flat"]
    assert session.current.name == "other"
    assert not outline.visible
    session.set_current("flat")
    assert outline.visible
    viewer.layers.remove("flat")
    qtbot.waitUntil(lambda: outline not in viewer.layers, timeout=2000)
    viewer.layers.clear()
    qtbot.wait(20)


def test_at_another_scale_it_is_drawn_anew(drawn, flat_slide, qtbot):
    viewer, session, _ = drawn
    old = viewer.layers["Tissue: flat"]
    slide = flat_slide.with_scale(PhysicalScale(1.0, "user"))
    session.replace_slide("flat", slide)
    qtbot.waitUntil(lambda: old not in viewer.layers, timeout=2000)
    assert roles(viewer) == ["image"]


def test_the_spots_that_would_be_predicted_are_drawn_where_they_are(drawn, canvas):
    viewer, session, _ = drawn
    state = session.current
    assert not session.tissue_layers.wanted(state, "spots")
    session.tissue_layers.want(state, "spots", True)
    session.tissue_layers.show_spots(state)
    seen = canvas(viewer)
    for y, x in state.slide.yx * 0.5:
        # Teal over black, within 10 um of the centre and no further.
        assert seen.at(y, x)[2] > seen.at(y, x)[0] + 30
        assert seen.at(y, x + 12).max() < 15
    session.tissue_layers.want(state, "spots", False)
    assert canvas(viewer).at(30, 45).max() < 15


def test_the_switches_of_the_card_draw_and_hide(open_viewer, slide, qtbot):
    viewer = open_viewer(slide)
    _, widget = viewer.window.add_plugin_dock_widget("napari-umpire", "Predict")
    with qtbot.waitSignal(widget.surveyor.work.done, timeout=20_000):
        pass
    # This slide has measured spots, which show where the tissue is.
    assert not widget.card.outline.isChecked()
    assert roles(viewer) == ["image"]
    widget.card.outline.setFocus()
    qtbot.keyClick(widget.card.outline, Qt.Key.Key_Space)
    assert roles(viewer) == ["image", "tissue"]
    with qtbot.waitSignal(widget.surveyor.drawing.done, timeout=20_000):
        qtbot.keyClick(widget.card.spots, Qt.Key.Key_Space)
    assert roles(viewer) == ["image", "spots", "tissue"]
    assert viewer.layers[1].metadata[KEY]["map"].values.any()
    qtbot.keyClick(widget.card.outline, Qt.Key.Key_Space)
    assert not viewer.layers[2].visible
    # Closed and opened again, the widget knows what is drawn.
    viewer.window.remove_dock_widget(widget)
    _, widget = viewer.window.add_plugin_dock_widget("napari-umpire", "Predict")
    assert widget.card.spots.isChecked()
    assert not widget.card.outline.isChecked()


def test_the_quick_choice_answers_the_question_of_the_scale(open_viewer, flat_slide, qtbot):
    viewer = open_viewer(replace(flat_slide, scale=PhysicalScale()))
    _, widget = viewer.window.add_plugin_dock_widget("napari-umpire", "Predict")
    assert widget.scale.isVisibleTo(widget)
    qtbot.mouseClick(widget.scale.quick["40x"], LEFT)
    assert not widget.scaling.running, "a magnification is a proposal"
    with qtbot.waitSignal(widget.scaling.done, timeout=20_000):
        qtbot.mouseClick(widget.scale.set, LEFT)
    scale = session_of(viewer).current.slide.scale
    assert (scale.mpp, scale.source) == (0.25, "user")
    assert not widget.scale.isVisibleTo(widget)


def test_a_slide_whose_scale_was_answered_is_looked_at_though_a_larger_one_is_hidden(
    open_viewer, flat_slide, slide, qtbot
):
    large = replace(slide, scale=PhysicalScale(8.0, "user"))
    viewer = open_viewer(large, replace(flat_slide, scale=PhysicalScale()))
    session = session_of(viewer)
    session.replace_slide("flat", flat_slide)
    # 150 x 260 um, in its middle; fitted with the large one it would fill a twentieth.
    np.testing.assert_allclose(viewer.scene.camera.center[-2:], (75, 130), atol=1)
    height, width = viewer.scene.camera.zoom * 150, viewer.scene.camera.zoom * 260
    seen = viewer.screenshot(canvas_only=True, flash=False).shape
    assert max(height / seen[0], width / seen[1]) > 0.5
