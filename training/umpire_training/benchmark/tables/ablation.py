"""Figure S5: what the objective does, by expression and, with labels, by linear probes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from umpire_training.benchmark.methods import Method
    from umpire_training.verbs.benchmark import Options

__all__ = ["prepare"]


def prepare(options: Options, methods: list[Method]) -> Callable[[Path, str], str]:
    """See `PaperTable`."""
    from umpire_training.benchmark.tables.rows import prepare_rows
    from umpire_training.benchmark.tables.spaces import Labels, by_space

    rows = prepare_rows(options, methods)
    labels = None
    if options.labels is not None:
        labels = Labels.read(options, [source.slide for source in rows.plan.slides])

    def work(folder: Path, command: str) -> str:
        from umpire_training.benchmark.leave_out import measured_slides
        from umpire_training.benchmark.report import (
            changes_table,
            heading,
            main_table,
            paper_rows,
            seeds_table,
            times,
        )
        from umpire_training.benchmark.table import details, scores_of, write_scores
        from umpire_training.benchmark.tables.probes import PROTOCOL, probe_lines, probe_spaces
        from umpire_training.benchmark.writing import write_csv, write_lines

        probes, measure = [], None
        if labels is not None:
            mine = labels.of_spots(measured_slides(rows.plan, options, folder), rows.plan.slides)
            measure = partial(probe_spaces, mine)
        results = rows.train(folder, measure)
        if labels is not None:
            frame = by_space(results, methods)
            write_csv(folder / f"{options.table}-probes.csv", frame)
            lines = probe_lines(frame, len(labels.classes))
            probes = ["## Linear probes", "", PROTOCOL, "", *lines]
        scores = scores_of(results, options.qc.min_genes, options.split)
        write_scores(scores, folder / f"{options.table}.csv")
        title = "Figure S5: ablation of the objective"
        parts = [
            *heading(title, command, results, options, rows.plan.words),
            *main_table(scores, methods, options, results, "Figure S5"),
            *_relative(scores, methods),
            *probes,
            *seeds_table(results, methods),
            *changes_table(methods),
            *times(results, methods),
            *details(results, scores),
            "",
            *paper_rows("Figure S5"),
        ]
        return write_lines(folder / f"{options.table}.md", parts)

    return work


def _relative(scores: Sequence[Any], methods: Sequence[Method]) -> list[str]:
    """Each row against the first one, in per cent of its score, as the paper says it.

    There is none of a score that is not above 0.
    """
    from umpire_training.benchmark.report import grid

    value = {(s.method, s.protocol.genes): s.mean for s in scores}
    sets = list(dict.fromkeys(s.protocol.genes for s in scores))
    first = methods[0].name

    def change(row: str, s: str) -> str:
        base, own = value[first, s], value[row, s]
        return f"{100 * (own / base - 1):+.1f}" if base > 0 and np.isfinite(own) else ""

    lines = [[m.name, *(change(m.name, s) for s in sets)] for m in methods[1:]]
    return [f"## Against {first}, per cent of its score", "", *grid(["row", *sets], lines), ""]
