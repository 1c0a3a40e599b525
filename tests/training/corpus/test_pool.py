"""Ctrl-C while other processes work: one of them all speaks, and none is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

# What a shell starts in the background begins with interrupts ignored.
SCRIPT = """
import signal
import sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from umpire_training.corpus.pool import run_jobs

work = "import time; open({place!r}, 'a').write('x'); time.sleep(90)"
jobs = {jobs}
try:
    for _ in run_jobs(exec, jobs, workers=2, stage="sleeping"):
        pass
except KeyboardInterrupt:
    sys.exit("interrupted")
"""


def session(leader: int) -> list[str]:
    """Command lines of the processes in the session, zombies left out."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = stat.read_text().rpartition(")")[2].split()
            if int(words[3]) == leader and words[0] != "Z":
                found.append((stat.parent / "cmdline").read_text())
        except OSError:
            continue
    return found


def wait_for(truth) -> None:
    end = time.monotonic() + 60
    while not truth():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
@pytest.mark.parametrize("moment", ["starting", "working", "idle"])
def test_an_interrupt_is_heard_once_and_ends_all(tmp_path, moment):
    place = tmp_path / "begun"
    busy = 1 if moment == "idle" else 2
    jobs = {1: "[('',), (work,)]", 2: "[(work,), (work,)]"}[busy]
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(place=str(place), jobs=jobs)],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    if moment == "starting":
        wait_for(lambda: sum("spawn_main" in line for line in session(process.pid)) == 2)
        assert not place.exists()
    else:
        wait_for(lambda: place.exists() and place.stat().st_size == busy)
        time.sleep(0.5 if moment == "idle" else 0)  # the other process has nothing left to do
    # As a terminal does, to all of them at once.
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (1, "interrupted\n")
    wait_for(lambda: not session(process.pid))
