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
    from umpire_training.corpus.paired import PairedSet
    from umpire_training.engine.installed import need_lightning
    from umpire_training.run_folder import RunFolder, logger
    from umpire_training.stages.finetune import finetune_model
    from umpire_training.stages.finetune_checks import check_settings

    need_lightning()
    check_settings(options)
    pairs = PairedSet.open(options.pairs)
    folder = RunFolder(
        options.output, verb="finetune", options=options, resume=options.resume, makes=("model",)
    )
    with folder:
        if folder.finished:
            logger.info("this run is finished already")
            return
        model = finetune_model(
            options.model,
            pairs,
            options,
            folder=folder.path,
            model_folder=folder.path / "model",
            seed=options.seed,
            resume=folder.resumed,
            description=options.description,
        )
        folder.finish(model=str(model))
