from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

from napari_umpire.errors import InputError, UmpireWarning
from napari_umpire.inference.cache import FeatureCache

KEY = {"slide": "s", "encoder": "e", "patches": "p"}


def features(n=20, dim=8):
    return np.random.default_rng(0).normal(size=(n, dim)).astype(np.float32)


@pytest.fixture
def cache(tmp_path):
    return FeatureCache(tmp_path / "cache")


def test_rows_are_there_after_a_commit(cache):
    entry = cache.entry(n=20, dim=8, **KEY)
    rows = np.array([3, 19, 7])
    entry.write(rows, features()[rows])
    entry.commit()
    again = cache.entry(n=20, dim=8, **KEY)
    assert np.flatnonzero(again.done).tolist() == [3, 7, 19]
    np.testing.assert_array_equal(again.read()[rows], features()[rows])


@pytest.mark.parametrize("changed", ["slide", "encoder", "patches"])
def test_another_digest_is_another_entry(cache, changed):
    entry = cache.entry(n=20, dim=8, **KEY)
    entry.write(np.arange(20), features())
    entry.commit()
    assert not cache.entry(n=20, dim=8, **{**KEY, changed: "other"}).done.any()
    assert cache.entry(n=20, dim=8, **KEY).done.all()


def test_what_was_not_committed_is_not_called_complete(cache):
    entry = cache.entry(n=20, dim=8, **KEY)
    entry.write(np.arange(5), features()[:5])
    assert not cache.entry(n=20, dim=8, **KEY).done.any()


def _entry_folder(cache):
    (about,) = cache.folder.glob("*/entry.json")
    return about.parent


def _truncate(path):
    path.write_bytes(path.read_bytes()[:-40])


CORRUPTIONS = {
    "truncated rows": lambda f: _truncate(f / "rows.npy"),
    "no rows": lambda f: (f / "rows.npy").unlink(),
    "no entry": lambda f: (f / "entry.json").unlink(),
    "broken entry": lambda f: (f / "entry.json").write_text("{"),
    "other shape": lambda f: np.save(f / "features.npy", np.zeros((20, 9), np.float32)),
    "other type": lambda f: np.save(f / "features.npy", np.zeros((20, 8), np.float64)),
}


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corrupted_entry_is_discarded_with_a_warning(cache, name):
    entry = cache.entry(n=20, dim=8, **KEY)
    entry.write(np.arange(20), features())
    entry.commit()
    CORRUPTIONS[name](_entry_folder(cache))
    with pytest.warns(UmpireWarning, match="computed again"):
        again = cache.entry(n=20, dim=8, **KEY)
    assert not again.done.any()
    again.write(np.arange(20), features())
    again.commit()
    assert cache.entry(n=20, dim=8, **KEY).done.all()


def test_a_damaged_row_alone_is_computed_again(cache):
    entry = cache.entry(n=20, dim=8, **KEY)
    entry.write(np.arange(20), features())
    entry.commit()
    stored = np.load(_entry_folder(cache) / "features.npy", mmap_mode="r+")
    stored[11, 3] += 1
    stored.flush()
    with pytest.warns(UmpireWarning, match="1 of the cached features"):
        again = cache.entry(n=20, dim=8, **KEY)
    assert np.flatnonzero(~again.done).tolist() == [11]


def test_rows_cut_off_the_file_are_computed_again(cache):
    entry = cache.entry(n=20, dim=8, **KEY)
    entry.write(np.arange(20), features())
    entry.commit()
    _truncate(_entry_folder(cache) / "features.npy")  # 40 bytes: one row and a quarter
    with pytest.warns(UmpireWarning, match="2 of the cached features"):
        again = cache.entry(n=20, dim=8, **KEY)
    assert np.flatnonzero(~again.done).tolist() == [18, 19]


def test_clear_leaves_what_is_not_ours(cache):
    cache.entry(n=1000, dim=16, **KEY)
    assert _entry_folder(cache).is_dir()
    (cache.folder / "mine.txt").write_text("mine")
    cache.clear()
    assert [p.name for p in cache.folder.iterdir()] == ["mine.txt"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        FeatureCache(tmp_path / "file").entry(n=2, dim=2, **KEY)


KILLED = """
import sys, time
import numpy as np
from napari_umpire.inference import cache as module
module._COMMIT_EVERY_S = 0.0
cache = module.FeatureCache(sys.argv[1])
entry = cache.entry(n=100_000, dim=8, slide="s", encoder="e", patches="p")
for start in range(0, 100_000, 10):
    rows = np.arange(start, start + 10)
    entry.write(rows, np.repeat(rows[:, None], 8, axis=1).astype(np.float32))
    print(start, flush=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_a_killed_run_leaves_only_whole_rows(tmp_path):
    command = [sys.executable, "-c", textwrap.dedent(KILLED), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        for _ in range(30):
            process.stdout.readline()
        time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    entry = FeatureCache(tmp_path).entry(n=100_000, dim=8, **KEY)
    done = np.flatnonzero(entry.done)
    assert len(done) >= 290
    assert len(done) < 100_000
    np.testing.assert_array_equal(entry.read()[done], np.repeat(done[:, None], 8, axis=1))
