"""Lightning's Trainer, set up for exact resumption: rounds of steps, a checkpoint after each."""

from __future__ import annotations

import copy
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile, ZipFile

from napari_umpire.errors import InputError
from umpire_training.engine.feeding import make_loader, make_samplers
from umpire_training.engine.installed import ready_lightning
from umpire_training.engine.trainer import ignore_chatter, make_trainer
from umpire_training.run_folder import logger

if TYPE_CHECKING:
    import numpy as np
    from lightning.pytorch import LightningModule
    from torch.utils.data import Dataset

    from umpire_training.engine.plan import TrainingPlan
    from umpire_training.options import TrainerOptions

__all__ = ["fit"]


def fit(
    module: LightningModule,
    data: Dataset,
    plan: TrainingPlan,
    *,
    folder: Path,
    options: TrainerOptions,
    clip_norm: float | None,
    seed: int,
    resume: bool,
    lengths: np.ndarray | None = None,
) -> None:
    """Train ``module`` on ``data`` and leave it with the weights to keep.

    The order of the data, the masks, the augmentation and dropout of step s depend on (seed, s)
    only, so a run that was killed goes on from its last checkpoint as if it had not been. Kept
    are the last weights, or with early stopping the best.

    Parameters
    ----------
    data
        Takes an array of row numbers, gives a batch of tensors on the CPU.
    folder
        Where checkpoints/, metrics.csv and the TensorBoard files go.
    clip_norm
        Bound of the gradient norm; None: none.
    lengths
        (n_rows,) length of every row of ``data``: steps take rows of like length. None: any rows.

    Raises
    ------
    TrainingStopped
        Where the loss is no longer a number.
    """
    ready_lightning()
    import lightning.pytorch as pl
    import torch

    from umpire_training.engine.callbacks import (
        MetricsFile,
        SeedEachStep,
        WholeCheckpoints,
        make_checkpoint,
        make_early_stopping,
    )
    from umpire_training.engine.not_a_number import StopOnNan
    from umpire_training.engine.sharding import load_whole, whole_state
    from umpire_training.engine.speed import RoundBar, RoundLines, Speed

    checkpoint = make_checkpoint(folder / "checkpoints", watch=len(plan.held) > 0)
    show_bar = options.progress_bar and os.isatty(2)
    speed = Speed(options.log_every)
    callbacks: list[Any] = [
        SeedEachStep(seed, plan.round_steps * options.accumulate),
        speed,
        MetricsFile(folder / "metrics.csv", options.log_every),
        RoundLines(speed, plan.rounds, plan.total_steps, console=not show_bar),
        checkpoint,
        *([RoundBar(speed, plan.rounds)] if show_bar else []),
    ]
    if options.patience is not None:
        callbacks.append(make_early_stopping(options.patience))
    last = folder / "checkpoints" / "last.ckpt"
    resume = resume and last.is_file()
    if resume:
        _require_whole(last)
        if options.patience is not None:
            _require_whole(last.with_name("best.ckpt"))
    # A module whose weights were cut over the processes does not become whole again.
    sharded = options.strategy == "fsdp"
    learner = copy.deepcopy(module) if sharded else module
    pl.seed_everything(seed, workers=True, verbose=False)
    with warnings.catch_warnings():
        ignore_chatter()
        trainer = make_trainer(
            options,
            WholeCheckpoints(),
            # The sampler ends with the last step. Without held-out rows a bound on steps would make
            # Lightning take one step too many of the round that a resumed run goes on from.
            max_steps=plan.total_steps if len(plan.held) else -1,
            max_epochs=plan.rounds,
            callbacks=callbacks,
            logger=pl.loggers.TensorBoardLogger(str(folder), name="", version="tensorboard"),
            log_every_n_steps=options.log_every,
            enable_progress_bar=show_bar,
            enable_model_summary=False,
            accumulate_grad_batches=options.accumulate,
            gradient_clip_val=clip_norm,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            default_root_dir=str(folder),
        )
        train, held = make_samplers(plan, options, seed, trainer, lengths)
        trainer.callbacks.insert(0, StopOnNan(folder / "checkpoints", train, data))
        loaders = [make_loader(data, sampler, options, trainer) for sampler in (train, held)]
        try:
            trainer.fit(learner, *loaders, ckpt_path=str(last) if resume else None)
        except InputError as error:
            said = _said_by_loader(error)
            if said:
                raise InputError(said) from error
            raise
        except SystemExit as stop:
            # Lightning turns Ctrl-C into exit code 1; a shell expects an interrupt.
            if trainer.interrupted:
                raise _interrupt(stop) from stop
            raise
    if sharded:
        load_whole(module, whole_state(learner))
    if options.patience is not None and checkpoint.best_model_path:
        state = torch.load(checkpoint.best_model_path, map_location="cpu", weights_only=True)
        load_whole(module, state["state_dict"])
        logger.info("kept the weights of %s", Path(checkpoint.best_model_path).name)
    module.cpu()


def _interrupt(stop: SystemExit) -> KeyboardInterrupt:
    """What Lightning had caught when it chose to exit: Ctrl-C, or SIGTERM."""
    caught = stop.__context__
    return caught if isinstance(caught, KeyboardInterrupt) else KeyboardInterrupt()


def _said_by_loader(error: InputError) -> str:
    """The sentence of a process that loads batches, out of torch's traceback; "" if it is none."""
    _, mark, said = str(error).rpartition(f"{InputError.__module__}.{InputError.__name__}: ")
    return said.strip() if mark else ""


def _require_whole(checkpoint: Path) -> None:
    """Refuse a checkpoint that is missing, cut short or changed: torch's words are no help.

    Raises
    ------
    InputError
        Saying which file.
    """
    fix = f"Remove {checkpoint.parent}, and --resume begins the training again"
    if not checkpoint.is_file():
        raise InputError(f"The checkpoint {checkpoint} is missing", fix=fix)
    try:
        with ZipFile(checkpoint) as file:
            damaged = file.testzip() is not None
    except (BadZipFile, NotImplementedError, EOFError):
        damaged = True
    if not damaged:
        import torch

        try:
            # Mapped, not read: only what is in it is asked.
            torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
        except Exception as error:
            # In our words: torch advises to read it in a way that runs what is in it.
            raise InputError(
                f"The checkpoint {checkpoint} cannot be read",
                got=f"{type(error).__name__} over what is in it",
                expected="the numbers that a training keeps, and nothing else",
                fix=fix,
            ) from error
    if damaged:
        size = checkpoint.stat().st_size
        raise InputError(
            f"The checkpoint {checkpoint} is damaged",
            got=f"a file of {size:,} bytes that is cut short or was changed",
            fix=fix,
        )
