"""A run ends with its slide: nobody could look at what it gives."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest
from qtpy.QtCore import QObject

from napari_umpire.plugin.runs.workers import Work
from napari_umpire.plugin.session.session import session_of
from napari_umpire.plugin.widgets.parts.slide_gone import EndWithSlide
from napari_umpire.plugin.words.gone import gone_words
from napari_umpire.progress import Progress
from napari_umpire.slides.scale import PhysicalScale


class Run(QObject):
    """Endless work of some slides, and what is said of it."""

    def __init__(self, session):
        super().__init__()
        self.said, self.closed = [], threading.Event()
        self.work = Work(self)
        self.gone = EndWithSlide(session, self.work, self.said.append, after="Again.")

    def start(self, *slides):
        self.closed.clear()
        self.work.start(self.steps)
        self.gone.watch(slides)

    def steps(self):
        try:
            while not self.closed.wait(0.01):
                yield Progress("Working", 0, 0)
        finally:
            self.closed.set()


@pytest.fixture
def run(open_viewer, slides, qtbot):
    viewer = open_viewer(*slides[:2], show=False)
    made = Run(session_of(viewer))
    yield viewer, session_of(viewer), made
    made.work.cancel()
    qtbot.waitUntil(lambda: not made.work.running, timeout=10_000)


def test_it_ends_with_its_slide_and_says_whose(run, slides, qtbot):
    viewer, session, made = run
    made.start(slides[0])
    with qtbot.waitSignal(made.work.cancelled, timeout=10_000):
        viewer.layers.remove(session.slides[slides[0].name].image)
    assert made.closed.is_set()
    wanted = f"Cancelled: {slides[0].name} was removed from the layers, or changed. Again."
    assert set(made.said) == {wanted}
    assert made.gone.words == wanted


def test_it_ends_where_its_slide_was_replaced_by_one_of_another_scale(run, slides, qtbot):
    _, session, made = run
    made.start(*slides[:2])
    with qtbot.waitSignal(made.work.cancelled, timeout=10_000):
        other = slides[1].with_scale(PhysicalScale(1.9, "user", {"user": 1.9}))
        session.replace_slide(slides[1].name, other)
    assert slides[1].name in made.gone.words
    assert slides[0].name not in made.gone.words.replace(slides[1].name, "")


def test_another_slide_may_go_and_one_cancelled_by_hand_says_nothing(run, slides, qtbot):
    viewer, session, made = run
    made.start(slides[0])
    viewer.layers.remove(session.slides[slides[1].name].image)
    qtbot.wait(60)
    assert made.work.running
    with qtbot.waitSignal(made.work.cancelled, timeout=10_000):
        made.work.cancel()
    assert made.said == []
    made.start(slides[0])
    with qtbot.waitSignal(made.work.cancelled, timeout=10_000):
        viewer.layers.clear()
    assert made.said


def test_several():
    assert gone_words(["a", "b"]) == "Cancelled: a and b were removed from the layers, or changed."


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        ("Compare", "compare.compare.score_steps"),
        ("Classes", "classes.apply_tab.apply_steps"),
        ("Retrieve", "retrieve.retrieve.found_steps"),
    ],
)
def test_widgets_say_it_where_the_user_looks(
    open_viewer, slide, prediction, qtbot, monkeypatch, name, steps
):
    stop = threading.Event()

    def endless(*_, **__):
        while not stop.wait(0.01):
            yield Progress("Working", 0, 0)

    monkeypatch.setattr(f"napari_umpire.plugin.widgets.{steps}", endless)
    viewer = open_viewer(slide, show=False)
    session = session_of(viewer)
    session.set_prediction(slide.name, prediction)
    session.set_gene(session.current.genes.key_of_predicted(str(prediction.genes.index[0])))
    _, widget = viewer.window.add_plugin_dock_widget("napari-umpire", name)
    work = widget.apply_tab.work if name == "Classes" else widget.work
    if name == "Classes":
        with monkeypatch.context() as patch:
            probe = SimpleNamespace(kind="genes", name="p")
            patch.setattr(widget.apply_tab, "_chosen", lambda: probe)
            patch.setattr(widget.apply_tab, "_show", lambda: None)
            widget.apply_tab._on_apply()
    elif name == "Retrieve":
        widget.line.setText(session.current.label(session.gene))
        widget.run.click()
    elif not work.running:  # Compare begins by itself where that is quick
        widget.run.click()
    assert work.running
    viewer.layers.clear()
    qtbot.waitUntil(lambda: not work.running, timeout=10_000)
    stop.set()
    place = widget.progress.text if name == "Compare" else widget.words
    assert f"{slide.name} was removed from the layers" in place.text()
    if name == "Compare":
        assert widget.progress.isVisibleTo(widget)
