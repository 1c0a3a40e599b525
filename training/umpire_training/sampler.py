"""The order of spots in training: a function of seed and step, so resumed runs go on alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["RoundSampler", "split_rows", "steps_of"]


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

    Parameters
    ----------
    rows
        (n,) rows to draw from.
    batch_size
        Rows of a batch.
    accumulate
        Batches per step in one process.
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
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.rows, self.batch_size, self.seed = rows, batch_size, seed
        self.round_steps, self.total_steps = round_steps, total_steps
        self.accumulate, self.rank, self.world = accumulate, rank, world
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
        current, order = -1, self.rows
        pieces = self.accumulate * self.world
        size = self.batch_size * pieces
        for step in self._steps():
            turn, place = divmod(step, self.per_pass)
            if turn != current:
                rng = np.random.default_rng([self.seed, turn])
                current, order = turn, self.rows[rng.permutation(len(self.rows))]
            wide = order[place * size :][:size]
            for piece in range(self.rank, pieces, self.world):
                yield wide[piece::pieces]
