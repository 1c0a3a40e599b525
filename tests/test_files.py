"""Whole or not at all, also when a process is killed or the disk refuses."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from napari_umpire.errors import InputError
from napari_umpire.files import hold, make_folder, replace_file, scratch_beside

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
