from __future__ import annotations

import numpy as np

from umpire_training.sampler import RoundSampler, split_rows


def batches(sampler: RoundSampler, rounds: int) -> list[list[int]]:
    found = []
    for number in range(rounds):
        sampler.set_epoch(number)
        assert len(list(sampler)) == len(sampler)
        found += [batch.tolist() for batch in sampler]
    return found


def make(rows=23, **changes) -> RoundSampler:
    given = {"batch_size": 5, "round_steps": 3, "total_steps": 10, "seed": 1, **changes}
    return RoundSampler(np.arange(100, 100 + rows), **given)


def test_a_pass_takes_each_row_once_and_passes_differ():
    found = batches(make(rows=20), rounds=4)
    assert len(found) == 10
    for first in (0, 4):
        assert sorted(sum(found[first : first + 4], [])) == list(range(100, 120))
    assert found[:4] != found[4:8]


def test_rounds_do_not_change_the_order():
    assert batches(make(round_steps=3), 4) == batches(make(round_steps=10), 1)
    assert batches(make(seed=2), 4) != batches(make(seed=1), 4)


def test_processes_share_a_batch():
    single = batches(make(batch_size=10), 4)
    halves = [batches(make(world=2, rank=rank), 4) for rank in (0, 1)]
    for whole, left, right in zip(single, *halves, strict=True):
        assert sorted(left + right) == sorted(whole)
        assert not set(left) & set(right)


def test_fewer_rows_than_a_batch():
    found = batches(make(rows=3, total_steps=2), 1)
    assert [sorted(batch) for batch in found] == [[100, 101, 102]] * 2


def test_split_is_whole_and_fixed():
    train, held = split_rows(50, 0.2, seed=4)
    assert len(held) == 10
    assert sorted([*train, *held]) == list(range(50))
    np.testing.assert_array_equal(held, split_rows(50, 0.2, seed=4)[1])
    assert len(split_rows(50, 0.0, seed=4)[1]) == 0


def test_batches_of_a_step_share_its_rows():
    single = batches(make(rows=50, batch_size=12), 4)
    for rank in (0, 1):
        sampler = make(rows=50, batch_size=3, accumulate=2, world=2, rank=rank)
        pieces = batches(sampler, 4)
        assert len(pieces) == 2 * len(single)
        for step, whole in enumerate(single):
            for turn in (0, 1):
                assert pieces[2 * step + turn] == whole[turn * 2 + rank :: 4]
