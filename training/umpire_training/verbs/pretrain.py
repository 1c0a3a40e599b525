"""`umpire-train pretrain`: masked-token pre-training of a gene encoder."""

from __future__ import annotations

from dataclasses import dataclass

from umpire_training.options import PretrainSettings

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
    from pathlib import Path

    from umpire_training.corpus.tokens import TokenCorpus
    from umpire_training.engine.installed import need_lightning
    from umpire_training.run_folder import RunFolder, logger
    from umpire_training.stages.pretrain import pretrain_encoder

    need_lightning()
    corpus = TokenCorpus.open(options.corpus)
    folder = RunFolder(
        options.output,
        verb="pretrain",
        options=options,
        resume=options.resume,
        makes=("encoder",),
    )
    with folder:
        if folder.finished:
            logger.info("this run is finished already")
            return
        encoder = pretrain_encoder(
            corpus, options, folder=Path(options.output), seed=options.seed, resume=folder.resumed
        )
        folder.finish(encoder=str(encoder))
        logger.info("wrote the gene encoder %s", encoder)
