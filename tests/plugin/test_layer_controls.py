"""napari's layer controls are of a map that is seen."""

from __future__ import annotations

import numpy as np
import pytest

from napari_umpire.plugin.layers.drawing import region_layer
from napari_umpire.plugin.layers.spot_map import SpotMap


@pytest.fixture
def window(maps_dock, slides, prediction, measured):
    viewer, widget, session = maps_dock(slides[1], slides[0], predictions=[prediction])
    if session.slides[slides[0].name].measured is None:
        session.set_measured(slides[0].name, measured)
    session.set_current(slides[0].name)
    session.set_gene(session.current.genes.key_of_predicted(str(prediction.genes.index[0])))
    return viewer, widget, session


def active(viewer):
    return viewer.layers.selection.active


def test_they_follow_the_map_that_a_button_shows(window):
    viewer, widget, session = window
    for kind in ("spread", "predicted", "difference", "measured", "predicted"):
        widget.buttons[kind].click()
        assert active(viewer) is session.display.layer(kind), kind
        assert active(viewer).visible


def test_they_follow_the_slide_and_the_panes(window, slides):
    viewer, widget, session = window
    widget.buttons["spread"].click()
    session.set_current(slides[1].name)
    assert active(viewer).visible
    session.set_current(slides[0].name)
    assert active(viewer) is session.display.layer("spread")
    widget.beside.click()
    assert active(viewer) is session.display.layer("predicted")
    widget.beside.click()
    assert active(viewer) is session.display.layer("spread")


def test_they_wait_for_a_map_that_is_not_there_for_a_moment(window, qtbot):
    viewer, widget, session = window
    from napari_umpire.inference.genes.signature import Signature

    mapped = session.display.layer("predicted")
    assert active(viewer) is mapped
    genes = tuple(str(key) for key in session.current.genes.frame.index)
    session.show_signature(Signature("large", genes))
    assert not mapped.visible
    qtbot.waitUntil(lambda: not session.scoring.running, timeout=20_000)
    assert mapped.visible
    assert active(viewer) is mapped


def test_they_follow_other_maps_and_back(window, slide):
    viewer, widget, session = window
    session.set_map(slide.name, SpotMap("near", "near", np.linspace(0, 1, slide.n_spots)))
    assert active(viewer).name.startswith("near")
    widget.buttons["predicted"].click()
    assert active(viewer) is session.display.layer("predicted")
    session.show_map("near")
    assert active(viewer).name.startswith("near")


def test_what_the_user_chose_and_sees_stays_and_so_does_what_is_not_ours(window):
    viewer, widget, session = window
    widget.buttons["measured"].click()
    for chosen in (session.current.image, region_layer(session, ["A"])):
        viewer.layers.selection.active = chosen
        widget.buttons["predicted"].click()
        assert active(viewer) is chosen
    mine = viewer.add_image(np.zeros((4, 4)), visible=False, units=("um", "um"))
    viewer.layers.selection.active = mine
    widget.buttons["measured"].click()
    assert active(viewer) is mine
