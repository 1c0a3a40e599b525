"""Lightning's Trainer on the devices that the options name, or a sentence why not."""

from __future__ import annotations

import logging
import warnings
from typing import TYPE_CHECKING, Any

from napari_umpire.errors import InputError
from umpire_training.engine.launch import find_launch

if TYPE_CHECKING:
    from umpire_training.options import TrainerOptions

__all__ = ["check_trainer", "ignore_chatter", "make_trainer"]


def make_trainer(options: TrainerOptions, *plugins: Any, **settings: Any) -> Any:
    """A ``lightning.pytorch.Trainer``.

    Parameters
    ----------
    settings
        Its arguments beyond those that say where and in which precision it computes.

    Raises
    ------
    InputError
        Where this computer cannot do what the options ask.
    """
    import lightning.pytorch as pl
    from lightning.fabric.utilities.exceptions import MisconfigurationException

    from umpire_training.engine.sharding import make_strategy

    launch = find_launch(options)
    strategy = make_strategy(options.strategy, options.precision, launch)
    # Lightning's own news (devices, advice) is not about this run.
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    try:
        return pl.Trainer(
            accelerator=options.accelerator,
            devices=launch.devices,
            num_nodes=launch.nodes,
            strategy=strategy,
            precision=options.precision,
            plugins=[*plugins, *launch.plugins()],
            **settings,
        )
    except (MisconfigurationException, ValueError) as error:
        raise InputError(
            "The training cannot be set up on this computer as the options ask",
            got=" ".join(str(error).split()),
            fix="Check trainer.accelerator, trainer.devices and trainer.strategy",
        ) from error


def check_trainer(options: TrainerOptions) -> None:
    """Raise what `make_trainer` would, before any work."""
    with warnings.catch_warnings():
        ignore_chatter()
        make_trainer(
            options, logger=False, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False,
        )  # fmt: skip


def ignore_chatter() -> None:
    """Advice of Lightning that does not apply: few workers, frozen parts, no validation."""
    from lightning.fabric.utilities.warnings import PossibleUserWarning

    warnings.filterwarnings("ignore", category=PossibleUserWarning)
    for text in (
        ".*Checkpoint directory.*exists and is not empty.*",
        ".*lr_scheduler.step.*",
        ".*isinstance.treespec, LeafSpec.*",
        ".*You're resuming from a checkpoint that ended before the epoch.*",
    ):
        warnings.filterwarnings("ignore", message=text)
