"""Folds by patient, each class dealt out evenly, and the inner split for early stopping."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_umpire.errors import InputError
from umpire_training.engine.plan import TrainingPlan
from umpire_training.engine.sampler import steps_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from umpire_training.options import TrainerOptions

__all__ = ["bag_plan", "check_folds", "deal_folds", "scheme_words"]

_LEAST_TO_STOP = 3
"""Training patients of a class below which none is spared to watch the loss."""


def check_folds(codes: np.ndarray, classes: Sequence[str], folds: int) -> int:
    """The number of folds that there can be: as asked, or one per patient where they are fewer.

    Raises
    ------
    InputError
        Where a class has one patient only: it could be learned from or scored, not both.
    """
    if folds < 2:
        raise InputError("Cross-validation needs at least two folds", got=folds)
    counts = np.bincount(codes, minlength=len(classes))
    few = [name for name, n in zip(classes, counts, strict=True) if n < 2]
    if few:
        raise InputError(
            f"The class {few[0]} has one patient only",
            got=", ".join(f"{n} {name}" for n, name in zip(counts, classes, strict=True)),
            expected="at least two patients of each class: one to learn from, one to score",
            fix="Add patients, or join classes",
        )
    return min(folds, len(codes))


def deal_folds(codes: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Fold of each patient, (n,) int64; each class goes round the folds, in random order.

    So fold sizes differ by one at most, and so do the numbers of a class in the folds.
    """
    rng = np.random.default_rng([seed, 0xF01D])
    fold = np.empty(len(codes), np.int64)
    order = np.concatenate([rng.permutation(np.flatnonzero(codes == c)) for c in np.unique(codes)])
    fold[order] = np.arange(len(codes)) % folds
    return fold


def scheme_words(codes: np.ndarray, folds: int, settings: TrainerOptions) -> str:
    """How the folds are made and trained, for the protocol."""
    n = len(codes)
    how = f"leaving one of {n} patients out" if folds == n else f"{folds} folds by patient"
    if folds < n:
        even = np.bincount(codes).min() >= folds
        how += ", stratified by class" if even else ", classes dealt out as evenly as they go"
    length = (
        f"{settings.epochs} epochs"
        if settings.epochs is not None
        else f"{settings.max_steps} steps"
    )
    if settings.patience is None:
        return f"{how}, {length}"
    return (
        f"{how}, up to {length}, stopped early by the loss of {settings.val_fraction:.0%} of the "
        f"training patients (patience {settings.patience}; not where a class has fewer than "
        f"{_LEAST_TO_STOP} training patients)"
    )


def bag_plan(
    rows: np.ndarray, codes: np.ndarray, options: TrainerOptions, seed: int
) -> tuple[TrainingPlan, TrainerOptions]:
    """Which patients to learn from and which to watch, and how long.

    Parameters
    ----------
    rows
        (m,) the patients of this training.
    codes
        (n,) class of every patient.

    Returns
    -------
    The plan, and the options with early stopping taken out where too few patients are there.
    """
    held = np.empty(0, np.int64)
    counts = np.bincount(codes[rows])
    counts = counts[counts > 0]
    spare = counts.min() >= _LEAST_TO_STOP
    if spare and options.patience is not None and options.val_fraction > 0:
        rng = np.random.default_rng([seed, 0x1E1D])
        parts = []
        for c in np.unique(codes[rows]):
            mine = rng.permutation(rows[codes[rows] == c])
            parts.append(mine[: max(1, round(len(mine) * options.val_fraction))])
        held = np.sort(np.concatenate(parts))
    if not len(held):
        options = replace(options, patience=None)
    train = np.setdiff1d(rows, held)
    per_pass = steps_of(len(train), options.batch_size)
    total = options.max_steps or (options.epochs or 0) * per_pass
    return TrainingPlan(train, held, total, min(options.round_steps or per_pass, total)), options
