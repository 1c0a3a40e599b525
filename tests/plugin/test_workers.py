"""Long work beside the window."""

from __future__ import annotations

import threading
import time
import warnings

import pytest
from napari.utils.notifications import notification_manager
from qtpy.QtCore import QObject

from napari_umpire.errors import InputError, UmpireWarning
from napari_umpire.plugin.runs.workers import Work
from napari_umpire.progress import Progress


@pytest.fixture
def work(qapp):
    parent = QObject()
    yield Work(parent)
    parent.deleteLater()


@pytest.fixture
def heard(work):
    events = []
    work.progressed.connect(lambda p: events.append(("progress", p.done)))
    work.done.connect(lambda r: events.append(("done", r)))
    work.failed.connect(lambda s: events.append(("failed", s)))
    work.cancelled.connect(lambda: events.append(("cancelled",)))
    work.ended.connect(lambda: events.append(("ended",)))
    return events


def steps(n=3, wait=0.0, end=None, closed=None):
    try:
        for i in range(n):
            time.sleep(wait)
            yield Progress("Counting", i + 1, n)
        if end is not None:
            raise end
        return threading.get_ident()
    finally:
        if closed is not None:
            closed.append(threading.get_ident())


def test_steps_run_in_another_thread_and_report_in_this_one(work, heard, qtbot):
    with qtbot.waitSignal(work.ended, timeout=5000):
        work.start(steps)
        assert work.running
    assert [e[0] for e in heard] == ["progress"] * 3 + ["done", "ended"]
    assert heard[3][1] != threading.get_ident()
    assert not work.running


def test_cancel_ends_the_work_in_its_own_thread(work, heard, qtbot):
    closed = []
    with qtbot.waitSignal(work.ended, timeout=5000):
        work.start(lambda: steps(1000, 0.01, closed=closed))
        qtbot.waitUntil(lambda: ("progress", 3) in heard, timeout=5000)
        work.cancel()
    assert heard[-2:] == [("cancelled",), ("ended",)]
    assert len(heard) < 100
    assert closed[0] != threading.get_ident()


def test_a_users_mistake_is_shown_as_its_sentence(work, heard, qtbot):
    notification_manager.records.clear()
    with qtbot.waitSignal(work.ended, timeout=5000):
        work.start(lambda: steps(end=InputError("This is no slide", fix="Choose another")))
    assert heard[-2] == ("failed", "This is no slide. Choose another.")
    (note,) = notification_manager.records
    assert (str(note.severity), note.message) == ("error", "This is no slide. Choose another.")
    assert not hasattr(note, "exception")  # napari offers a traceback for those that have one


def test_what_the_user_should_know_is_shown_and_what_libraries_grumble_is_not(work, qtbot):
    def warned():
        for _ in range(2):
            warnings.warn("Sources of the scale disagree", UmpireWarning, stacklevel=1)
        warnings.warn("a keyword is deprecated", DeprecationWarning, stacklevel=1)
        yield Progress("Opening", 1, 1)

    notification_manager.records.clear()
    with qtbot.waitSignal(work.done, timeout=5000):
        work.start(warned)
    (note,) = notification_manager.records
    assert (str(note.severity), note.message) == ("warning", "Sources of the scale disagree")


@pytest.mark.parametrize("error", [RuntimeError("CUDA error"), KeyError("x"), MemoryError()])
def test_our_own_mistake_ends_the_work_too_and_keeps_its_traceback(work, heard, qtbot, error):
    notification_manager.records.clear()
    with qtbot.waitSignal(work.ended, timeout=5000):
        work.start(lambda: steps(end=error))
    assert heard[-2][0] == "failed"
    assert type(error).__name__ in heard[-2][1]
    (note,) = notification_manager.records
    assert note.exception is error


def test_a_second_start_is_refused_until_the_first_has_ended(work, qtbot):
    with qtbot.waitSignal(work.ended, timeout=5000):
        work.start(lambda: steps(3, 0.02))
        with pytest.raises(RuntimeError, match="has not ended"):
            work.start(steps)
    with qtbot.waitSignal(work.done, timeout=5000):
        work.start(steps)


def test_work_whose_owner_is_gone_ends_and_speaks_to_nobody(qapp, qtbot):
    heard, closed, parent = [], [], QObject()
    work = Work(parent)
    work.done.connect(heard.append)
    work.cancelled.connect(lambda: heard.append("cancelled"))
    work.start(lambda: steps(10_000, 0.01, closed=closed))
    qtbot.wait(50)
    parent.deleteLater()
    del work, parent
    qtbot.waitUntil(lambda: bool(closed), timeout=5000)
    assert closed[0] != threading.get_ident()
    qtbot.wait(50)
    assert heard == []
