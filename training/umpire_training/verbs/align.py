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
    from umpire_training.corpus.paired import PairedSet
    from umpire_training.engine.installed import need_lightning
    from umpire_training.run_folder import RunFolder, logger
    from umpire_training.stages.align import align_model, check_settings

    need_lightning()
    check_settings(options)
    pairs = PairedSet.open(options.pairs)
    folder = RunFolder(
        options.output, verb="align", options=options, resume=options.resume, makes=("model",)
    )
    with folder:
        if folder.finished:
            logger.info("this run is finished already")
            return
        model = align_model(
            pairs,
            options,
            folder=folder.path,
            model_folder=folder.path / "model",
            seed=options.seed,
            resume=folder.resumed,
            description=options.description,
        )
        folder.finish(model=str(model))
