"""How long a training is, and on which rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_umpire.errors import InputError
from umpire_training.engine.installed import ready_lightning
from umpire_training.engine.launch import find_launch
from umpire_training.engine.sampler import split_rows, steps_of
from umpire_training.engine.trainer import check_trainer
from umpire_training.options.ranges import check_ranges

if TYPE_CHECKING:
    import numpy as np

    from umpire_training.options import TrainerOptions

__all__ = ["TrainingPlan", "check_numbers", "make_plan"]


@dataclass(frozen=True)
class TrainingPlan:
    """How long a training is, in steps, and on which rows.

    Attributes
    ----------
    train, held
        Rows to learn from and rows to watch, (n,) int64.
    total_steps, round_steps
        Optimiser steps in all, and between two checkpoints.
    """

    train: np.ndarray
    held: np.ndarray
    total_steps: int
    round_steps: int

    @property
    def rounds(self) -> int:
        """Number of rounds; the last may be short."""
        return -(-self.total_steps // self.round_steps)


def check_numbers(options: TrainerOptions, group: str = "trainer") -> None:
    """Refuse numbers that no data could make right.

    Parameters
    ----------
    group
        Where the options are, as they are given on the command line.

    Raises
    ------
    InputError
        Unless exactly one of max_steps and epochs is given, or where a number is out of range.
    """
    check_ranges(options, group)
    if (options.max_steps is None) == (options.epochs is None):
        raise InputError(
            "How long to train is not clear",
            got=f"{group}.max_steps {options.max_steps}, {group}.epochs {options.epochs}",
            expected="exactly one of the two",
        )


def make_plan(
    n_rows: int, options: TrainerOptions, seed: int, group: str = "trainer"
) -> TrainingPlan:
    """Split the rows and count the steps.

    Parameters
    ----------
    group
        As in `check_numbers`.

    Raises
    ------
    InputError
        Unless exactly one of max_steps and epochs is given, where a number is out of range, or
        where this computer cannot train as the options ask.
    """
    check_numbers(options, group)
    if options.patience is not None and round(n_rows * options.val_fraction) < 1:
        raise InputError(
            "Early stopping needs held-out spots",
            got=f"{group}.val_fraction {options.val_fraction} of {n_rows} spots",
            fix=f"Raise {group}.val_fraction, or set {group}.patience to null",
        )
    train, held = split_rows(n_rows, options.val_fraction, seed)
    if len(train) < 2:
        raise InputError("Too few spots to train on", got=len(train), expected="at least 2")
    ready_lightning()
    check_trainer(options)
    pieces = options.accumulate * find_launch(options).world
    if len(train) < pieces:
        raise InputError(
            "A step has more batches than there are spots to train on",
            got=f"{pieces} batches of all processes, {len(train)} spots",
            fix=f"Lower {group}.accumulate",
        )
    per_pass = steps_of(len(train), options.batch_size, pieces)
    total = options.max_steps or (options.epochs or 0) * per_pass
    return TrainingPlan(train, held, total, min(options.round_steps or per_pass, total))
