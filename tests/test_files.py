"""Whole or not at all, also when a process is killed or the disk refuses."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from napari_umpire.errors import InputError
from napari_umpire.files import (
    alone_in,
    belongs_to,
    hold,
    make_folder,
    remove_leftovers,
    replace_file,
    scratch_beside,
    shortened,
)

needs_locks = pytest.mark.skipif(sys.platform == "win32", reason="no locks by flock")

_STAY = """
import sys, time
from pathlib import Path
from napari_umpire.files import scratch_beside
with scratch_beside(Path(sys.argv[1])) as folder:
    (folder / "large").write_text("x")
    print(folder, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def other_process(tmp_path):
    """Another process in the middle of making ``a.zarr``, and its scratch folder."""
    command = [sys.executable, "-c", _STAY, str(tmp_path / "a.zarr")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        folder = tmp_path / os.path.basename(process.stdout.readline().strip())
        yield process, folder
        process.kill()


@needs_locks
def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path, other_process):
    process, left = other_process
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (left / "large").exists()
    with scratch_beside(tmp_path / "b.zarr"):
        assert left.exists(), "the next attempt at something else"
    with scratch_beside(tmp_path / "a.zarr"):
        assert not left.exists()
    assert not list(tmp_path.iterdir())


@needs_locks
def test_what_a_process_at_work_has_made_is_left_alone(tmp_path, other_process):
    _, busy = other_process
    with scratch_beside(tmp_path / "a.zarr") as mine:
        assert mine != busy
    assert (busy / "large").exists()


def test_the_user_s_own_hidden_folders_are_left_alone(tmp_path):
    (tmp_path / ".a.zarr.mine").mkdir()
    with scratch_beside(tmp_path / "a.zarr"):
        pass
    assert [p.name for p in tmp_path.iterdir()] == [".a.zarr.mine"]


@needs_locks
def test_a_file_is_held_by_one_at_a_time(tmp_path):
    with (tmp_path / "log").open("w") as one, (tmp_path / "log").open("a") as two:
        assert hold(one)
        assert not hold(two)
        one.close()
        assert hold(two)


@pytest.mark.parametrize("inside", ["", "a/b"])
def test_a_folder_in_the_place_of_a_file_is_refused(tmp_path, inside):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"file\S* cannot be made.*Choose another folder"):
        make_folder(tmp_path / "file" / inside)


def test_a_folder_is_made_with_those_above_it_once(tmp_path):
    for _ in range(2):
        make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()


def test_a_file_is_replaced_whole_or_not(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail_halfway():
        with replace_file(path) as written:
            written.write_text("half")
            raise RuntimeError("the lights went out")

    with pytest.raises(RuntimeError, match="lights"):
        fail_halfway()
    assert path.read_text() == "old"
    with replace_file(path) as written:
        written.write_text("new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


_WRITE = """
import sys, time
from pathlib import Path
from napari_umpire.files import replace_file
with replace_file(Path(sys.argv[1])) as written:
    written.write_text("half")
    print(written.name, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def other_writer(tmp_path):
    """Another process in the middle of writing ``a[1].npy``, and its unfinished file."""
    command = [sys.executable, "-c", _WRITE, str(tmp_path / "a[1].npy")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        yield process, tmp_path / process.stdout.readline().strip()
        process.kill()


def _write(path):
    with replace_file(path) as written:
        written.write_text("whole")


@pytest.mark.skipif(sys.platform == "win32", reason="no way to ask whether a process lives")
def test_the_half_file_of_a_killed_process_goes_with_the_next_of_its_name(tmp_path, other_writer):
    process, left = other_writer
    _write(tmp_path / "a[1].npy")
    assert left.exists(), "a process at work"
    process.send_signal(signal.SIGKILL)
    process.wait()
    _write(tmp_path / "b.npy")
    assert left.exists(), "the next attempt at something else"
    _write(tmp_path / "a[1].npy")
    assert [p.name for p in sorted(tmp_path.iterdir())] == ["a[1].npy", "b.npy"]


def test_files_of_other_machines_and_of_the_user_are_left_alone(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    names = [f".{dead.pid}-0a1b2c3d.a.npy", f".{dead.pid}.a.npy", ".my.a.npy", ".a.npy"]
    for name in names:
        (tmp_path / name).touch()
    _write(tmp_path / "a.npy")
    assert {p.name for p in tmp_path.iterdir()} == {*names, "a.npy"}


@needs_locks
def test_the_scratch_of_another_machine_is_left_alone(tmp_path):
    folder = tmp_path / ".a.zarr.1-0a1b2c3d.xyz"
    folder.mkdir()
    (folder / ".held").touch()
    with scratch_beside(tmp_path / "a.zarr"):
        pass
    assert folder.exists()


@needs_locks
def test_without_locks_a_process_at_work_is_told_by_its_id(tmp_path, other_process, monkeypatch):
    from napari_umpire import files

    process, folder = other_process
    monkeypatch.setattr(files, "_lock", lambda file: None)
    with scratch_beside(tmp_path / "a.zarr"):
        assert (folder / "large").exists()
    process.send_signal(signal.SIGKILL)
    process.wait()
    with scratch_beside(tmp_path / "a.zarr"):
        assert not folder.exists()


@needs_locks
def test_the_scratch_of_a_process_killed_before_it_could_hold_it_is_removed(tmp_path):
    from napari_umpire import files

    # Its process id may live again by now: that of this very process does.
    left = tmp_path / f".a.zarr.{files._own_mark()}.abcdefgh"
    left.mkdir()
    remove_leftovers(tmp_path / "b.zarr")
    assert left.exists(), "the next attempt at something else"
    remove_leftovers(tmp_path / "a.zarr")
    assert not left.exists()


def test_scratch_goes_although_threads_still_write_into_it(tmp_path):
    def write(folder):
        for i in range(20):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / str(i)).touch()
            time.sleep(0.01)

    def fail():
        with scratch_beside(tmp_path / "a.zarr") as scratch:
            thread = threading.Thread(target=write, args=(scratch / "c" / "0",))
            thread.start()
            raise OSError("No space left on device")

    with pytest.raises(OSError, match="No space left"):
        fail()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("appeared", "content", "stays"),
    [(False, "mine", False), (True, "mine", True), (False, "the user's", True)],
    ids=["alone", "complete", "not ours"],
)
@needs_locks
def test_what_a_killed_process_announced_goes_unless_what_it_belongs_to_is_there(
    tmp_path, appeared, content, stays
):
    from napari_umpire import files

    left = tmp_path / f".a.zarr.{files._own_mark()}.abcdefgh"
    left.mkdir()
    (left / "a.yaml").write_text("mine")
    belongs_to(left, tmp_path / "a.yaml", tmp_path / "a.zarr" / "tables")
    (tmp_path / "a.yaml").write_text(content)
    if appeared:
        (tmp_path / "a.zarr" / "tables").mkdir(parents=True)
    remove_leftovers(tmp_path / "a.zarr")
    assert (tmp_path / "a.yaml").exists() is stays
    assert not left.exists()


@needs_locks
def test_a_folder_is_held_by_one_at_a_time(tmp_path):
    order = []

    def second():
        with alone_in(tmp_path) as held:
            order.append(("second", held))

    thread = threading.Thread(target=second)
    with alone_in(tmp_path) as held:
        thread.start()
        time.sleep(0.1)
        (tmp_path / "anybody").touch()
        order.append(("first", held))
    thread.join()
    assert order == [("first", True), ("second", True)]


@pytest.mark.parametrize(
    "letter", ["a", "\u00e9", "\U0001f9ec"], ids=["ascii", "two bytes", "four"]
)
def test_names_of_the_greatest_length_are_made_beside(tmp_path, letter):
    name = letter * (251 // len(letter.encode())) + ".npy"
    _write(tmp_path / name)
    with scratch_beside(tmp_path / name) as scratch:
        assert scratch.is_dir()
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_a_name_that_is_cut_stays_apart_from_its_like():
    a, b = (shortened("x" * 300 + end, 100) for end in "ab")
    assert len(a) == len(b) == 100
    assert a != b
    assert shortened("short", 100) == "short"
