"""`umpire-train benchmark TABLE`: a table or figure of the paper on slides of your own."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

from umpire_training.options.evaluation import EvaluationSettings
from umpire_training.options.mil import MilSettings

__all__ = ["POSITIONAL", "Options", "run"]

POSITIONAL = "table"
"""The option that the first bare word gives."""


@dataclass(kw_only=True)
class Options(EvaluationSettings):
    """A table or figure of the paper: trained, evaluated and written as CSV, Markdown, figures.

    Parameters
    ----------
    table
        "table-1", "table-s1": expression, sets of 50 and of 100 genes. "table-2": linear probes
        of spot labels. "table-s5": parameters. "figure-5": slide status. "figure-s1": convergence
        with and without stage 1. "figure-s4": embeddings by label. "figure-s5": ablation of the
        objective.
    slides
        Slides with image and counts; each is held out once. table-s5 needs none.
    methods
        Table -> row -> where it differs from the options that all rows share, in dotted keys;
        "paper": the row of the paper that it stands for; "seeds": its own seeds. A text names
        another table with the same rows.
    only
        Names of the rows that are trained; empty: all. May differ when a run is continued.
    seeds
        Each row is trained once with each. Others may be added when a run is continued.
    paper_data
        Which of the paper's data sets stands beside the scores.
    overlays
        table-1, table-s1: genes that are drawn over the held-out slides, measured beside
        predicted; empty: none.
    labels
        table-2, figure-s4: folder of tables of spot labels, each named after its slide.
    label_column
        Which of their columns holds the classes.
    status_slides
        figure-5: slides, measured or plain images.
    status_labels
        figure-5: CSV with the columns slide, patient, label.
    status
        figure-5: tiles, head and validation, as of the verb mil.
    keep_models
        Keep the model of every row, fold and seed.
    """

    table: Literal[
        "table-1",
        "table-s1",
        "table-2",
        "table-s5",
        "figure-5",
        "figure-s1",
        "figure-s4",
        "figure-s5",
    ]
    slides: list[str] = field(default_factory=list)
    methods: dict[str, Any] = field(default_factory=dict)
    only: list[str] = field(default_factory=list)
    seeds: list[int] = field(default_factory=lambda: [0])
    paper_data: Literal["HLT", "HPC", "HER2+", "DLPFC", "10X Breast", "Average"] = "HER2+"
    overlays: list[str] = field(default_factory=list)
    labels: str | None = None
    label_column: str | None = None
    status_slides: list[str] = field(default_factory=list)
    status_labels: str | None = None
    status: MilSettings = field(default_factory=MilSettings)
    keep_models: bool = False


def run(options: Options) -> None:
    """Make one table in a run folder."""
    from umpire_training.benchmark.methods import read_methods, settings_of
    from umpire_training.benchmark.tables import check_overlays, open_table
    from umpire_training.engine.installed import need_lightning
    from umpire_training.run_folder import RunFolder, logger

    need_lightning()
    check_overlays(options.table, options.overlays)
    also = [gene for gene in options.overlays if gene not in options.show_genes]
    options = replace(options, show_genes=[*options.show_genes, *also])
    table = open_table(options.table)
    rows = options.methods.get(options.table, {})
    rows = options.methods.get(rows, {}) if isinstance(rows, str) else rows
    methods = []
    if rows or options.only:
        methods = read_methods(settings_of(options), rows, options.seeds, options.only)
    work = table.prepare(options, methods)
    folder = RunFolder(
        options.output,
        verb="benchmark",
        options=options,
        resume=options.resume,
        may_change=("only", "seeds", "device"),
    )
    with folder:
        text = work(folder.path, f"umpire-train benchmark --config {folder.path / 'config.yaml'}")
        logger.info("%s", text)
        folder.finish(table=options.table, rows=[method.name for method in methods])
