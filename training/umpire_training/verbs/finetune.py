"""`umpire-train finetune`: train an aligned model further on a paired set."""

from __future__ import annotations

from dataclasses import dataclass

from umpire_training.options import FinetuneSettings

__all__ = ["Options", "run"]


@dataclass(kw_only=True)
class Options(FinetuneSettings):
    """Fine-tuning of an aligned model.

    Parameters
    ----------
    model
        Model folder to start from; it is not changed.
    pairs
        Paired set, made by `prepare` with the vocabulary, tokens and patches of the model.
    output
        Run folder; the new model goes to its subfolder "model".
    description
        A sentence for the model card.
    seed
        Seed of everything random.
    resume
        Continue the run in the output folder.
    """

    model: str
    pairs: str
    output: str
    description: str = ""
    seed: int = 0
    resume: bool = False


def run(options: Options) -> None:
    """Fine-tune in a run folder."""
    from functools import partial
    from pathlib import Path

    from umpire_training.corpus.paired import PairedSet
    from umpire_training.engine.installed import need_lightning
    from umpire_training.stages.finetune import finetune_model
    from umpire_training.stages.finetune_checks import check_settings
    from umpire_training.verbs.train_once import train_once

    need_lightning()
    check_settings(options)
    train = partial(
        finetune_model,
        options.model,
        PairedSet.open(options.pairs),
        options,
        model_folder=Path(options.output) / "model",
        description=options.description,
    )
    train_once(options, "finetune", "model", train)
