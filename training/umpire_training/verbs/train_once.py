"""What `pretrain`, `align` and `finetune` share: a training that makes one folder, once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["train_once"]


class _Options(Protocol):
    output: str
    seed: int
    resume: bool


def train_once(options: _Options, verb: str, makes: str, train: Callable[..., Path]) -> None:
    """Train in the run folder that ``options`` name, unless what it makes is there already.

    Parameters
    ----------
    makes
        Name in the run folder of what the training is for.
    train
        Takes ``folder``, ``seed`` and ``resume``; returns where it wrote.
    """
    from umpire_training.run_folder import RunFolder, logger

    folder = RunFolder(
        options.output, verb=verb, options=options, resume=options.resume, makes=(makes,)
    )
    with folder:
        if folder.finished:
            logger.info("this run is finished already")
            return
        made = train(folder=folder.path, seed=options.seed, resume=folder.resumed)
        folder.finish(**{makes: str(made)})
