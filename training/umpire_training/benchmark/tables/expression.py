"""Tables 1 and S1: expression of held-out sections, sets of 50 and of 100 genes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from umpire_training.benchmark.methods import Method
    from umpire_training.verbs.benchmark import Options

__all__ = ["prepare"]

_SOURCES = {"table-1": ("Table 1", 50), "table-s1": ("Table S1", 100)}


def prepare(options: Options, methods: list[Method]) -> Callable[[Path, str], str]:
    """See `PaperTable`."""
    from umpire_training.benchmark.paper import paper_cell
    from umpire_training.benchmark.tables.rows import prepare_rows

    source, size = _SOURCES[options.table]
    for method in methods:
        paper_cell(source, method.paper, "HLT", "")
    rows = prepare_rows(options, methods)

    def work(folder: Path, command: str) -> str:
        from umpire_training.benchmark.overlays import draw_overlays
        from umpire_training.benchmark.report import (
            changes_table,
            heading,
            main_table,
            paper_rows,
            seeds_table,
            times,
        )
        from umpire_training.benchmark.table import details, scores_of, write_scores
        from umpire_training.benchmark.writing import write_lines

        results = rows.train(folder)
        scores = scores_of(results, options.qc.min_genes, options.split)
        write_scores(scores, folder / f"{options.table}.csv")
        title = f"{source}: expression of held-out sections (the paper's sets have {size} genes)"
        parts = [
            *heading(title, command, results, options, rows.plan.words),
            *main_table(scores, methods, options, results, source),
            *seeds_table(results, methods),
            *changes_table(methods),
            *times(results, methods),
            *details(results, scores),
            "",
            *paper_rows(source),
        ]
        parts += draw_overlays(rows, results, folder)
        return write_lines(folder / f"{options.table}.md", parts)

    return work
