"""`umpire-train evaluate`: leave one section, or one patient, out; score beside control rows."""

from __future__ import annotations

from dataclasses import dataclass, replace

from umpire_training.options.evaluation import EvaluationSettings

__all__ = ["Options", "run"]

_ROW, _DECODER_ROW = "UMPIRE", "UMPIRE-REC"


@dataclass(kw_only=True)
class Options(EvaluationSettings):
    """Leave-one-out evaluation of one model: folds/, scores.csv, evaluation.md.

    Parameters
    ----------
    model
        Train and score the model; false scores the control rows alone.
    decoder_row
        Score what the decoder of the same training predicts from the image alone as a row of its
        own, UMPIRE-REC. Needs align.rec.weight above 0.
    """

    model: bool = True
    decoder_row: bool = False


def run(options: Options) -> None:
    """Evaluate in a run folder."""
    from napari_umpire.inference.devices import pick_device
    from umpire_training.benchmark.encoder_checks import check_encoders
    from umpire_training.benchmark.leave_out import check_protocol, plan_folds, train_folds
    from umpire_training.benchmark.methods import Method, check_starts, settings_of
    from umpire_training.benchmark.row import check_method
    from umpire_training.benchmark.table import write_tables
    from umpire_training.engine.installed import need_lightning
    from umpire_training.run_folder import RunFolder, logger

    check_protocol(options)
    methods = []
    if options.model:
        decoder_row = _DECODER_ROW if options.decoder_row else ""
        settings = settings_of(options)
        methods = [Method(_ROW, settings, (options.seed,), decoder_row=decoder_row)]
        check_starts(methods)
        need_lightning()
        check_method(settings)
        if decoder_row:
            check_method(replace(settings, prediction="decoder"))
        pick_device(options.device)
        check_encoders(settings, options.patches)
    plan = plan_folds(options, methods)
    folder = RunFolder(
        options.output,
        verb="evaluate",
        options=options,
        resume=options.resume,
        may_change=("device",),
    )
    with folder:
        results = train_folds(plan, options, methods, folder.path, alone=True)
        text = write_tables(
            results,
            folder.path,
            command=f"umpire-train evaluate --config {folder.path / 'config.yaml'}",
            seed=options.seed,
            min_genes=options.qc.min_genes,
            split=options.split,
            split_words=plan.words,
        )
        logger.info("%s", text)
        folder.finish(folds=[r["slide"] for r in results])
