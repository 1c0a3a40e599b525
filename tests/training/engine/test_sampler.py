from __future__ import annotations

import numpy as np

from umpire_training.engine.sampler import RoundSampler, split_rows


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


class TestLikeLengths:
    lengths = np.minimum(1500, np.random.default_rng(0).lognormal(7.24, 0.7, 5003)).astype(int)

    def make(self, **changes):
        return make(
            rows=5003, batch_size=8, round_steps=100, total_steps=2000, lengths=self.lengths,
            **changes,
        )  # fmt: skip

    def test_a_pass_takes_each_row_once_and_leaves_out_any(self):
        sampler = self.make()
        assert sampler.per_pass == 625
        found = batches(sampler, 20)
        left = []
        for turn in range(3):
            taken = sum(found[625 * turn : 625 * (turn + 1)], [])
            assert len(set(taken)) == len(taken) == 5000
            left.append(set(range(100, 5103)) - set(taken))
        assert left[0] != left[1]

    def test_padding_costs_next_to_nothing(self):
        plain = batches(make(rows=5003, batch_size=8, round_steps=600, total_steps=600), 1)
        sorted_ = batches(self.make(), 6)[:600]

        def padded(found):
            lengths = [self.lengths[np.array(batch) - 100] for batch in found]
            return sum(n.max() * len(n) for n in lengths) / sum(n.sum() for n in lengths)

        assert padded(plain) > 1.25
        assert padded(sorted_) < 1.02

    def test_so_many_steps_together_are_a_random_sample(self):
        means = [self.lengths[np.concatenate(found) - 100].mean() for found in self.windows()]
        # The mean of 512 random rows strays by sd / sqrt(512); five of these at the most.
        assert np.abs(np.array(means) - self.lengths.mean()).max() < 5 * 450 / 512**0.5

    def windows(self):
        found = [np.array(batch) for batch in batches(self.make(), 7)][:576]
        return [found[i : i + 64] for i in range(0, 576, 64)]

    def test_long_and_short_steps_follow_at_random(self):
        steps = np.array([self.lengths[batch - 100].mean() for batch in self.windows()[0]])
        assert abs(np.corrcoef(steps[1:], steps[:-1])[0, 1]) < 0.5

    def test_rounds_and_processes_do_not_change_the_steps(self):
        whole = batches(self.make(), 20)
        other = RoundSampler(
            np.arange(100, 5103), 2, round_steps=2000, total_steps=2000, seed=1, accumulate=2,
            lengths=self.lengths, world=2, rank=1,
        )  # fmt: skip
        pieces = batches(other, 1)
        for step, rows in enumerate(whole):
            assert pieces[2 * step : 2 * step + 2] == [rows[1::4], rows[3::4]]
