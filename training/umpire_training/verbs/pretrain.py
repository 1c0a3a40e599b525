"""`umpire-train pretrain`: masked-token pre-training of a gene encoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from umpire_training.options import PretrainSettings

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Options", "run"]


@dataclass(kw_only=True)
class Options(PretrainSettings):
    """Masked-token pre-training of a gene encoder.

    Parameters
    ----------
    corpus
        Token corpus, made by `prepare`.
    output
        Run folder; the encoder goes to its subfolder "encoder".
    seed
        Seed of everything random.
    resume
        Continue the run in the output folder.
    """

    corpus: str
    output: str
    seed: int = 0
    resume: bool = False


def run(options: Options) -> None:
    """Pre-train in a run folder."""
    from umpire_training.corpus.tokens import TokenCorpus
    from umpire_training.engine.installed import need_lightning
    from umpire_training.run_folder import logger
    from umpire_training.stages.pretrain import pretrain_encoder
    from umpire_training.verbs.train_once import train_once

    need_lightning()
    corpus = TokenCorpus.open(options.corpus)

    def train(folder: Path, seed: int, resume: bool) -> Path:
        encoder = pretrain_encoder(corpus, options, folder=folder, seed=seed, resume=resume)
        logger.info("wrote the gene encoder %s", encoder)
        return encoder

    train_once(options, "pretrain", "encoder", train)
