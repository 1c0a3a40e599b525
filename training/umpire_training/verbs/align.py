"""`umpire-train align`: align an image encoder and a gene encoder, write a model folder."""

from __future__ import annotations

from dataclasses import dataclass

from umpire_training.options import AlignSettings

__all__ = ["Options", "run"]


@dataclass(kw_only=True)
class Options(AlignSettings):
    """Alignment of an image encoder and a gene encoder.

    Parameters
    ----------
    pairs
        Paired set, made by `prepare`.
    output
        Run folder; the model goes to its subfolder "model".
    description
        A sentence for the model card.
    seed
        Seed of everything random.
    resume
        Continue the run in the output folder.
    """

    pairs: str
    output: str
    description: str = ""
    seed: int = 0
    resume: bool = False


def run(options: Options) -> None:
    """Align in a run folder."""
    from functools import partial
    from pathlib import Path

    from umpire_training.corpus.paired import PairedSet
    from umpire_training.engine.installed import need_lightning
    from umpire_training.stages.align import align_model, check_settings
    from umpire_training.verbs.train_once import train_once

    need_lightning()
    check_settings(options)
    train = partial(
        align_model,
        PairedSet.open(options.pairs),
        options,
        model_folder=Path(options.output) / "model",
        description=options.description,
    )
    train_once(options, "align", "model", train)
