"""Large signatures are scored beside the window; the last one asked for is shown."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_umpire.inference.genes.lists import GeneList
from napari_umpire.inference.genes.signature import Signature, signature_steps
from napari_umpire.plugin.layers.make import KEY
from napari_umpire.plugin.runs.latest import Latest
from napari_umpire.progress import Progress

LEFT = Qt.MouseButton.LeftButton
STEPS = "napari_umpire.plugin.session.scoring.signature_steps"


@pytest.fixture
def window(maps_dock, slide, prediction, qtbot):
    viewer, widget, session = maps_dock(slide, predictions=[prediction])
    session.set_gene(session.current.genes.key_of_predicted(str(prediction.genes.index[0])))
    yield viewer, widget, session
    session.scoring.cancel()
    qtbot.waitUntil(lambda: not session.scoring.latest.work.running, timeout=10_000)


def large(session, name="large", first=0):
    keys = [str(key) for key in session.current.genes.frame.index]
    assert len(keys) > 210
    return Signature(name, tuple(keys[first:]))


def settled(qtbot, session):
    qtbot.waitUntil(lambda: not session.scoring.running, timeout=20_000)


def drawn(session, kind="predicted"):
    return session.display.layer(kind).metadata[KEY]["map"].values


def test_a_large_list_by_its_button_is_the_mean_of_its_genes(window, prediction, qtbot):
    _, widget, session = window
    genes = large(session).genes
    session.shelf.keep_new(GeneList("panel", genes))
    widget.search.list_chosen.emit("panel")
    qtbot.mouseClick(widget.lists.show_score, LEFT)
    assert session.current.pending(session.gene)
    assert f"Scoring its {len(genes):,} genes" in widget.words.text()
    assert session.current.gene_maps(session.gene) == {}, "the window does not compute it"
    assert widget.lists.cancel_score.isVisibleTo(widget.lists)
    settled(qtbot, session)
    frame = session.current.genes.frame
    names = [str(frame.at[key, "predicted"]) for key in genes if frame.at[key, "predicted"]]
    expected = np.mean([prediction.gene_map(name) for name in names], axis=0)
    np.testing.assert_allclose(drawn(session), expected, atol=1e-5)
    assert session.display.layer("predicted").visible
    assert "Scoring" not in widget.words.text()
    assert widget.lists.show_score.isVisibleTo(widget.lists)


def test_the_last_asked_wins(window, monkeypatch, qtbot):
    _, _, session = window
    begun, stopped = [], threading.Event()

    def slow(signature, *rest):
        begun.append(signature.name)
        while signature.name != "third" and not stopped.wait(0.01):
            yield Progress("Scoring", 0, 0)
        return (yield from signature_steps(signature, *rest))

    monkeypatch.setattr(STEPS, slow)
    for number, name in enumerate(("first", "second", "third")):
        session.show_signature(large(session, name, number))
        assert session.scoring.running
    settled(qtbot, session)
    assert begun[-1] == "third"
    assert "second" not in begun[:-1] or begun == ["first", "second", "third"]
    third = large(session, "third", 2)
    assert session.signature == third
    found = session.current.scores(third.key)["predicted"]
    assert found.n_genes + found.n_absent == len(third.genes)
    np.testing.assert_array_equal(drawn(session), found.values)


def test_cancelled_the_gene_from_before_is_shown_again(window, monkeypatch, qtbot):
    _, widget, session = window
    before, closed = session.gene, threading.Event()

    def endless(*_):
        try:
            while not closed.wait(0.01):
                yield Progress("Scoring", 0, 0)
        finally:
            closed.set()

    monkeypatch.setattr(STEPS, endless)
    session.show_signature(large(session))
    assert not session.display.layer("predicted").visible, "no map under a wrong title"
    widget.lists.cancel_score.click()
    assert session.gene == before
    assert session.display.layer("predicted").visible
    assert not session.scoring.running
    qtbot.waitUntil(closed.is_set, timeout=10_000)
    assert widget.lists.show_score.isVisibleTo(widget.lists)


def test_a_small_one_is_there_at_once(window):
    _, _, session = window
    keys = tuple(str(key) for key in session.current.genes.frame.index[:5])
    session.show_signature(Signature("small", keys))
    assert not session.scoring.running
    assert session.display.layer("predicted").visible


def test_new_values_are_scored_anew(maps_dock, slide, prediction, qtbot):
    _, _, session = maps_dock(slide)
    signature = large(session)
    session.show_signature(signature)
    settled(qtbot, session)
    assert set(session.current.gene_maps(signature.key)) == {"measured"}
    session.set_prediction(slide.name, prediction)
    assert session.scoring.running
    settled(qtbot, session)
    found = session.current.gene_maps(signature.key)
    assert set(found) == {"predicted", "measured", "difference"}


def test_a_slide_that_is_not_shown_is_scored_too(maps_dock, slides, prediction, measured, qtbot):
    _, _, session = maps_dock(slides[0], slides[1], predictions=[prediction])
    signature = large(session)
    session.show_signature(signature)
    settled(qtbot, session)
    assert session.current.name == slides[1].name
    assert not session.slides[slides[0].name].pending(signature.key)


def test_a_failure_is_said_once_and_not_tried_again(window, monkeypatch, qtbot):
    from napari.utils.notifications import notification_manager

    from napari_umpire.errors import InputError

    _, _, session = window
    asked = []

    def broken(*_):
        asked.append(1)
        yield Progress("Scoring", 0, 0)
        raise InputError("The reference is gone")

    monkeypatch.setattr(STEPS, broken)
    notification_manager.records.clear()
    session.show_signature(large(session))
    settled(qtbot, session)
    qtbot.wait(50)
    assert asked == [1]
    assert len(notification_manager.records) == 1


def test_latest_answers_only_the_last_question(qtbot, qapp):
    latest, answers = Latest(), []
    latest.done.connect(answers.append)
    never, now = threading.Event(), threading.Event()
    now.set()

    def steps(number, go):
        while not go.wait(0.01):
            yield Progress("", 0, 0)
        return number

    latest.ask(lambda: steps(1, never))
    latest.ask(lambda: steps(2, never))
    latest.ask(lambda: steps(3, now))
    qtbot.waitUntil(lambda: not latest.running, timeout=10_000)
    assert answers == [3]
    qtbot.waitUntil(lambda: not latest.work.running, timeout=10_000)
    latest.ask(lambda: steps(4, never))
    with qtbot.waitSignal(latest.cancelled):
        latest.cancel()
    assert not latest.running
    qtbot.waitUntil(lambda: not latest.work.running, timeout=10_000)
    assert answers == [3]
