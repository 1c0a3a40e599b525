"""Docks leave the window to the slide: no form of ours asks for more than 340 px."""

from __future__ import annotations

import numpy as np
import pytest
from npe2 import PluginManifest

from napari_umpire.inference.classes.labels import SpotLabels
from napari_umpire.plugin.session.session import session_of
from napari_umpire.plugin.widgets.parts.dock_size import DOCK_PX

DOCKS = [
    widget.display_name
    for widget in PluginManifest.from_distribution("napari-umpire").contributions.widgets
]
LONG = "a class of spots with quite a long name"


def labels(slide, name="tissue"):
    codes = np.arange(slide.n_spots) % 3
    return SpotLabels(name, codes, (LONG, "tumour", "fat"), ("#0072b2", "#f0e442", "#d55e00"))


@pytest.fixture
def window(open_viewer, slides, prediction, measured, model_folder, qtbot):
    """A window of a laptop in which much is known, and all docks open in one place."""
    viewer = open_viewer(*slides[:2])
    session = session_of(viewer)
    session.choose_model(str(model_folder))
    docks = {}
    for name in DOCKS:
        dock, widget = viewer.window.add_plugin_dock_widget("napari-umpire", name, tabify=True)
        docks[name] = dock, widget
        qtbot.wait(20)
    session.set_prediction(slides[0].name, prediction)
    for one in slides[:2]:
        session.set_labels(one.name, labels(one))
    session.set_current(slides[0].name)
    return viewer, session, docks


def test_all_docks_together(window, qtbot):
    viewer, _, docks = window
    for dock, _ in docks.values():
        dock.raise_()
        qtbot.wait(30)
    asked = {name: widget.minimumSizeHint().width() for name, (_, widget) in docks.items()}
    assert {name: px for name, px in asked.items() if px > DOCK_PX} == {}
    assert {dock.width() for dock, _ in docks.values()} == {DOCK_PX}
    assert viewer.window._qt_window.width() == 1366


def test_classes_and_embedding_when_they_have_something_to_show(window, slides, qtbot):
    _, session, docks = window
    dock, classes = docks["Classes"]
    dock.raise_()
    with qtbot.waitSignal(classes.train_tab.trained, timeout=60_000):
        classes.train_tab.train.click()
    qtbot.waitUntil(lambda: not classes.train_tab.work.running)
    for page in range(classes.tabs.count()):
        classes.tabs.setCurrentIndex(page)
        qtbot.wait(40)
    dock, embedding = docks["Embedding"]
    dock.raise_()
    with qtbot.waitSignal(embedding.work.done, timeout=60_000):
        embedding.run.click()
    qtbot.waitUntil(lambda: not embedding.work.running and not embedding.scoring.running)
    session.set_gene(str(session.current.genes.frame.index[0]))
    for choice in range(embedding.by.count()):
        embedding.by.setCurrentIndex(choice)
        embedding.by.activated.emit(choice)
        qtbot.wait(30)
    qtbot.waitUntil(lambda: not embedding.scoring.running, timeout=20_000)
    assert classes.minimumSizeHint().width() <= DOCK_PX
    assert embedding.minimumSizeHint().width() <= DOCK_PX
    assert dock.width() == DOCK_PX
