"""The order of spots in training: a function of seed and step, so resumed runs go on alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["BUCKET_STEPS", "RoundSampler", "split_rows", "steps_of"]

BUCKET_STEPS = 64
"""So many steps are sorted by length together: enough for 1 % of padding, see the benchmark."""


def split_rows(n: int, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows to train on and rows to watch the loss on, each (n_rows,) int64 in ascending order."""
    order = np.random.default_rng([seed, 0x5017]).permutation(n)
    held = int(round(n * fraction))
    return np.sort(order[held:]), np.sort(order[:held])


def steps_of(n_rows: int, batch_size: int, pieces: int = 1) -> int:
    """Optimiser steps of one pass over the rows; a short last step is dropped, a lone one kept.

    Parameters
    ----------
    pieces
        Batches per step, of all processes together.
    """
    return max(1, n_rows // (batch_size * pieces))


class RoundSampler:
    """Batches of row numbers for one round of ``round_steps`` steps at a time.

    The rows of pass p come in the order that (seed, p) gives; step s takes the rows number
    ``s % steps_per_pass`` of pass ``s // steps_per_pass``. Nothing has to be stored to go on from
    step s. Lightning calls `set_epoch` with the number of the round.

    The rows of a step do not depend on the number of processes and batches they are cut into:
    batch j of process r takes rows i, i + n, ... of them, with i = j * world + r and
    n = accumulate * world.

    With ``lengths`` the rows of a step are of like length, so that little of them is padding.
    The rows of `BUCKET_STEPS` steps are sorted, cut into steps, and the steps shuffled. A pass
    still takes each row once, which rows it leaves out at its end does not depend on their length,
    and the rows of every so many steps together are as random as without.

    Parameters
    ----------
    rows
        (n,) rows to draw from.
    batch_size
        Rows of a batch.
    accumulate
        Batches per step in one process.
    lengths
        (n,) length of each of ``rows``; None: the steps are not sorted.
    rank, world
        Which process of how many; the processes' batches of a step are disjoint.
    """

    def __init__(
        self,
        rows: np.ndarray,
        batch_size: int,
        *,
        round_steps: int,
        total_steps: int,
        seed: int,
        accumulate: int = 1,
        lengths: np.ndarray | None = None,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.rows, self.batch_size, self.seed = rows, batch_size, seed
        self.round_steps, self.total_steps = round_steps, total_steps
        self.accumulate, self.lengths = accumulate, lengths
        self.rank, self.world = rank, world
        self.per_pass = steps_of(len(rows), batch_size, accumulate * world)
        self.round = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the round that the next iteration goes through."""
        self.round = epoch

    def __len__(self) -> int:
        return self.accumulate * len(self._steps())

    def _steps(self) -> range:
        first = self.round * self.round_steps
        return range(first, min(first + self.round_steps, self.total_steps))

    def __iter__(self) -> Iterator[np.ndarray]:
        current, order = -1, np.empty(0, np.int64)
        bucket, ready = -1, np.empty(0, np.int64)
        pieces = self.accumulate * self.world
        size = self.batch_size * pieces
        for step in self._steps():
            turn, place = divmod(step, self.per_pass)
            if turn != current:
                rng = np.random.default_rng([self.seed, turn])
                current, order, bucket = turn, rng.permutation(len(self.rows)), -1
            if place // BUCKET_STEPS != bucket:
                bucket = place // BUCKET_STEPS
                ready = self._bucket(order[: self.per_pass * size], turn, bucket, size)
            wide = self.rows[ready[place % BUCKET_STEPS * size :][:size]]
            for piece in range(self.rank, pieces, self.world):
                yield wide[piece::pieces]

    def _bucket(self, order: np.ndarray, turn: int, bucket: int, size: int) -> np.ndarray:
        """The rows of the next `BUCKET_STEPS` steps of a pass, one step after the other."""
        width = BUCKET_STEPS * size
        found = order[bucket * width :][:width]
        if self.lengths is None or len(found) <= size:
            return found
        found = found[np.argsort(self.lengths[found], kind="stable")].reshape(-1, size)
        return np.random.default_rng([self.seed, turn, bucket]).permutation(found).ravel()
