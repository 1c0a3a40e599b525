"""`umpire-train evaluate`: leave one section, or one patient, out; score beside control rows."""

from __future__ import annotations

from dataclasses import dataclass

from umpire_training.options.evaluation import EvaluationSettings

__all__ = ["Options", "run"]

_ROW = "UMPIRE"


@dataclass(kw_only=True)
class Options(EvaluationSettings):
    """Leave-one-out evaluation of one model: folds/, scores.csv, evaluation.md.

    Parameters
    ----------
    model
        Train and score the model; false scores the control rows alone.
    """

    model: bool = True


def run(options: Options) -> None:
    """Evaluate in a run folder."""
    from umpire_training.benchmark.leave_out import check_numbers, plan_folds, run_folds
    from umpire_training.benchmark.methods import Method, settings_of
    from umpire_training.benchmark.row import check_method
    from umpire_training.benchmark.table import write_tables
    from umpire_training.engine import need_lightning
    from umpire_training.run_folder import RunFolder, logger

    check_numbers(options)
    methods = []
    if options.model:
        methods = [Method(_ROW, settings_of(options), (options.seed,))]
        need_lightning()
        check_method(methods[0].settings)
    plan = plan_folds(options)
    folder = RunFolder(options.output, verb="evaluate", options=options, resume=options.resume)
    with folder:
        results = run_folds(plan, options, methods, folder.path, alone=True)
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
