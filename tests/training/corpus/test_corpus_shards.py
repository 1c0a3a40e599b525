"""Shards, read in any order, against one array in memory."""

from __future__ import annotations

import os
import pickle
import resource

import numpy as np
import pytest

from napari_umpire.errors import InputError
from umpire_training.corpus.shards import TokenShards

ROWS, LENGTH, SHARD = 53, 7, 20


@pytest.fixture
def whole():
    return np.random.default_rng(3).integers(0, 2**16, (ROWS, LENGTH)).astype(np.uint16)


@pytest.fixture
def paths(whole, tmp_path):
    files = []
    for i, start in enumerate(range(0, ROWS, SHARD)):
        files.append(tmp_path / f"shard-{i:05d}.npy")
        np.save(files[-1], whole[start : start + SHARD])
    return files


@pytest.fixture(params=[True, False], ids=["mapped", "read"])
def shards(request, paths):
    return TokenShards(paths, (ROWS, LENGTH), SHARD, mapped=request.param)


def test_rows_are_those_of_one_array(shards, whole):
    rng = np.random.default_rng(0)
    for _ in range(20):
        rows = rng.integers(-ROWS, ROWS, rng.integers(0, 40))
        np.testing.assert_array_equal(shards[rows], whole[rows])
    assert shards[5:5].shape == (0, LENGTH)
    for part in (slice(None), slice(-9, None), slice(18, 44, 5), slice(30, 2, -1)):
        np.testing.assert_array_equal(shards[part], whole[part])
    np.testing.assert_array_equal(shards[41], whole[41])
    mask = rng.random(ROWS) < 0.3
    np.testing.assert_array_equal(shards[mask], whole[mask])
    np.testing.assert_array_equal(np.asarray(shards), whole)
    wide = shards.gather(np.array([52, 0, 52]), np.int64)
    assert wide.dtype == np.int64
    np.testing.assert_array_equal(wide, whole[[52, 0, 52]])
    with pytest.raises(IndexError):
        shards[[ROWS]]
    with pytest.raises(IndexError):
        shards[[-ROWS - 1]]


def test_a_copy_sent_to_another_process_reads_too(shards, whole):
    first = shards[[1, 50]]
    other = pickle.loads(pickle.dumps(shards))
    np.testing.assert_array_equal(other[[1, 50]], first)
    del other
    np.testing.assert_array_equal(shards[[3]], whole[[3]])


def test_a_forked_process_reads_while_its_parent_does(paths, whole):
    shards = TokenShards(paths, (ROWS, LENGTH), SHARD, mapped=False)
    shards[[0]]
    child = os.fork()
    if not child:
        ok = all((shards[[i]] == whole[[i]]).all() for i in range(ROWS))
        os._exit(0 if ok else 1)
    for i in reversed(range(ROWS)):
        np.testing.assert_array_equal(shards[[i]], whole[[i]])
    assert os.waitpid(child, 0)[1] == 0


def test_files_are_closed(paths):
    before = len(os.listdir("/proc/self/fd"))
    shards = TokenShards(paths, (ROWS, LENGTH), SHARD, mapped=False)
    shards[[0, 52]]
    assert len(os.listdir("/proc/self/fd")) == before + 3
    del shards
    assert len(os.listdir("/proc/self/fd")) == before
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > before


def test_a_shard_cut_short_is_named(paths):
    paths[1].write_bytes(paths[1].read_bytes()[:-4])
    with pytest.raises(InputError, match=r"shard-00001\.npy is damaged\. Got: cut short.*SHA256"):
        TokenShards(paths, (ROWS, LENGTH), SHARD)
    paths[1].unlink()
    with pytest.raises(InputError, match=r"shard-00001\.npy is missing"):
        TokenShards(paths, (ROWS, LENGTH), SHARD)


def test_a_shard_of_another_corpus_is_refused(paths, whole):
    np.save(paths[2], whole[:13].astype(np.int32))
    with pytest.raises(InputError, match=r"shard-00002\.npy is damaged.*int32.*uint16"):
        TokenShards(paths, (ROWS, LENGTH), SHARD)
    np.save(paths[2], np.asfortranarray(whole[:13]))
    with pytest.raises(InputError, match="damaged"):
        TokenShards(paths, (ROWS, LENGTH), SHARD)


def test_a_shard_cut_short_while_open_is_found(paths):
    shards = TokenShards(paths, (ROWS, LENGTH), SHARD, mapped=False)
    shards[[0]]
    os.truncate(paths[2], 140)
    with pytest.raises(InputError, match=r"shard-00002\.npy is damaged.*ends too early"):
        shards[[0, 52]]


def test_rows_that_are_not_in_memory_are_announced_and_the_same(paths, whole, monkeypatch):
    from umpire_training.corpus import shards as module

    monkeypatch.setattr(module, "_COLD_SECONDS", 0.0)  # every batch counts as slow
    for mapped in (True, False):
        shards = TokenShards(paths, (ROWS, LENGTH), SHARD, mapped=mapped)
        for _ in range(3):
            np.testing.assert_array_equal(shards[[50, 3, 21]], whole[[50, 3, 21]])


def test_rows_are_copied_from_the_mapping_until_one_had_to_be_fetched(paths, whole, monkeypatch):
    from umpire_training.corpus import _gather
    from umpire_training.corpus import shards as module

    fetched, missing, done = [0], [0], []
    copy, read = _gather.copy_rows, _gather.read_rows
    monkeypatch.setattr(module, "_fetched", lambda: fetched[0])
    monkeypatch.setattr(module, "_COLD_SECONDS", 1.0)  # as if nothing were slow
    monkeypatch.setattr(_gather, "read_rows", lambda *given: done.append("read") or read(*given))

    def copied(*given):
        done.append("copied")
        fetched[0] += missing[0]
        copy(*given)

    monkeypatch.setattr(_gather, "copy_rows", copied)
    shards = TokenShards(paths, (ROWS, LENGTH), SHARD, mapped=True)
    for missing[0] in (0, 0, 3, 0, 0):
        np.testing.assert_array_equal(shards[[50, 3, 21]], whole[[50, 3, 21]])
    assert done == ["read", "copied", "copied", "read", "copied"]
    # That copying took long is no sign: another program may have had the processor.
    monkeypatch.setattr(module, "_COLD_SECONDS", 0.0)
    shards[[1]], shards[[2]]
    assert done[5:] == ["copied", "copied"]


@pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="nothing can be taken out of memory")
def test_a_row_that_is_not_in_memory_counts_as_fetched(tmp_path):
    from umpire_training.corpus.shards import _fetched

    path = tmp_path / "large"
    path.write_bytes(bytes(2**22))
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        before = _fetched()
        file.read()
        if _fetched() == before:
            pytest.skip("this file system lies in memory, or counts nothing")
        before = _fetched()
        file.seek(0)
        file.read()
        assert _fetched() == before


def test_batches_come_in_order_while_threads_read_ahead(paths, whole):
    """From the first batch on: threads that open the files at the same time must not collide."""
    from umpire_training.corpus.read_ahead import ReadAhead

    rng = np.random.default_rng(1)
    for mapped in (True, False):
        for _ in range(20):
            batches = [rng.integers(0, ROWS, 11) for _ in range(30)]
            shards = TokenShards(paths, (ROWS, LENGTH), SHARD, mapped=mapped)
            ahead = ReadAhead(batches, shards.gather, threads=4)
            assert len(ahead) == 30
            for rows, batch in zip(batches, ahead, strict=True):
                np.testing.assert_array_equal(batch.result(), whole[rows])
    started = iter(ReadAhead(batches, shards.gather))
    next(started)
    started.close()


def test_a_failure_ahead_is_raised_at_its_batch(paths):
    from umpire_training.corpus.read_ahead import ReadAhead

    shards = TokenShards(paths, (ROWS, LENGTH), SHARD)
    futures = list(ReadAhead([np.array([0]), np.array([ROWS])], shards.gather))
    assert futures[0].result().shape == (1, LENGTH)
    with pytest.raises(IndexError):
        futures[1].result()
