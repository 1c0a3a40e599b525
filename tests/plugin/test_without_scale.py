"""A slide whose um per px nobody knows yet, in every dock: a sentence, and nothing runs."""

from __future__ import annotations

import numpy as np
import pytest

from napari_umpire.inference.classes.labels import SpotLabels
from napari_umpire.plugin.session.session import session_of
from napari_umpire.slides.scale import PhysicalScale


@pytest.fixture
def window(open_viewer, slides, model_folder):
    """A window with a slide in um and one without, the current one."""
    viewer = open_viewer(slides[0], slides[1].with_scale(PhysicalScale(None, None, {})), show=False)
    session = session_of(viewer)
    session.choose_model(str(model_folder))

    def open_(name):
        return viewer.window.add_plugin_dock_widget("napari-umpire", name)[1]

    return open_, session


def test_the_embedding_asks_and_lays_out_once_the_slide_is_left_out(window, slides):
    from qtpy.QtCore import Qt

    widget = window[0]("Embedding")
    assert not widget.run.isEnabled()
    asked = f"not known how many µm a pixel of {slides[1].name} covers: enter it in Predict"
    assert asked in widget.words.text()
    assert "Or untick it" in widget.words.text()
    item = widget.slides.findItems(slides[1].name, Qt.MatchFlag.MatchExactly)[0]
    item.setCheckState(Qt.CheckState.Unchecked)
    assert widget.run.isEnabled()
    assert asked not in widget.words.text()


def test_classes_are_not_learned_from_an_image_without_scale(window, slides):
    open_, session = window
    widget = open_("Classes")
    for name, state in session.slides.items():
        codes = np.arange(state.slide.n_spots) % 2
        colours = ("#d55e00", "#0072b2")
        session.set_labels(name, SpotLabels("side", codes, ("left", "right"), colours))
    train = widget.train_tab
    assert train.ticked == [s.name for s in slides[:2]]
    assert not train.train.isEnabled()
    assert "enter it in Predict" in train.train.toolTip()
    train.kind.setCurrentIndex(train.kind.findData("genes"))
    assert train.train.isEnabled(), "measured genes need no scale"


def test_the_question_can_be_read_in_a_dark_window(open_viewer, flat_slide, qtbot):
    import re

    from qtpy.QtGui import QColor

    viewer = open_viewer(flat_slide.with_scale(PhysicalScale()))
    widget = viewer.window.add_plugin_dock_widget("napari-umpire", "Predict")[1]
    qtbot.wait(100)
    ground = widget.grab().toImage().pixelColor(3, widget.height() - 3)
    colours = set(re.findall(r"color:(#[0-9a-f]{6})", widget.card.words.text()))
    assert len(colours) == 2, "of labels, and of a warning"
    assert all(abs(QColor(c).lightness() - ground.lightness()) > 90 for c in colours)


@pytest.mark.parametrize("name", ["Predict", "Retrieve", "Regions", "Compare"])
def test_a_run_waits_for_the_answer(window, name):
    widget = window[0](name)
    assert not widget.run.isEnabled()
    assert widget.run.toolTip()
