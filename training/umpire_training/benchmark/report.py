"""A table of several rows in Markdown: protocol first, scores with controls, spread over seeds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from umpire_training.benchmark.paper import is_paper_data, paper_cell, paper_table
from umpire_training.benchmark.table import notes

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from umpire_training.benchmark.methods import Method
    from umpire_training.verbs.benchmark import Options

__all__ = [
    "changes_table",
    "grid",
    "heading",
    "main_table",
    "mean_sd",
    "paper_rows",
    "seeds_table",
    "times",
]


def grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table."""
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


def mean_sd(values: pd.Series | np.ndarray, digits: int) -> str:
    """Mean and, of several, the standard deviation of a sample."""
    spread = f" ± {values.std(ddof=1):.{digits}f}" if len(values) > 1 else ""
    return f"{values.mean():.{digits}f}{spread}"


def heading(
    title: str, command: str, results: list[dict[str, Any]], options: Options, split_words: str
) -> list[str]:
    """Title, command and the protocol of a table of expression scores."""
    slides = ", ".join(r["slide"] for r in results)
    n = sum(r["n_spots"] for r in results)
    sizes = " and ".join(map(str, options.n_genes))
    return [
        f"# {title}",
        "",
        f"`{command}`",
        "",
        (
            f"{len(results)} held-out sections ({slides}), {n:,} spots with at least "
            f"{options.qc.min_genes} detected genes. {split_words} Everything is learned from the "
            "training sections of each fold: vocabulary, encoders, references, and which genes are "
            f"scored: the {sizes} of highest mean (HEG), variance (VAR) and dispersion (HVG). A "
            "score is the mean over these genes of the Pearson correlation over the spots of the "
            "held-out section, of log1p counts per 10,000; ± is the standard deviation over "
            "sections."
        ),
        "",
    ]


def main_table(
    scores: Sequence[Any],
    methods: Sequence[Method],
    options: Options,
    results: list[dict[str, Any]],
    source: str,
) -> list[str]:
    """Controls and rows, the paper's numbers of the same row beside ours."""
    sets = list(results[0]["genes"])
    cell = {(s.method, s.protocol.genes): s for s in scores}
    own = {method.name: method for method in methods}
    data = options.paper_data
    beside = [s for s in sets if _in_paper(source, data, s)]
    mark = "" if _same(data, results) else ", other data"
    head = ["row", "seeds", *sets, *(f"paper {s} ({data}{mark})" for s in beside)]
    lines = []
    for name in dict.fromkeys(s.method for s in scores):
        method = own.get(name)
        said = [_cell(cell.get((name, s))) for s in sets]
        paper = method.paper if method is not None else ""
        lines.append(
            [
                name,
                str(len(method.seeds)) if method is not None else "",
                *said,
                *(paper_cell(source, paper, data, s) for s in beside),
            ]
        )
    note = [""]
    if beside and mark:
        other = (
            f"- The paper's numbers ({source}) are of other sections or other data, with encoders "
            "pre-trained on millions of spots and images: not to be compared as a contest."
        )
        note.append(other)
    return [*grid(head, lines), *note, *notes(results), ""]


def seeds_table(results: list[dict[str, Any]], methods: Sequence[Method]) -> list[str]:
    """Mean over sections of each row with each seed, and the spread over seeds."""
    several = [method for method in methods if len(method.seeds) > 1]
    if not several:
        return []
    sets = list(results[0]["genes"])
    lines = []
    for method in several:
        values = {
            s: np.mean([r["rows"][method.name][s]["values"] for r in results], axis=0) for s in sets
        }
        for i, seed in enumerate(method.seeds):
            lines.append([method.name, str(seed), *(f"{values[s][i]:.3f}" for s in sets)])
        spread = [mean_sd(values[s], 3) for s in sets]
        lines.append([method.name, "mean ± sd over seeds", *spread])
    return ["## By seed", "", *grid(["row", "seed", *sets], lines), ""]


def changes_table(methods: Sequence[Method]) -> list[str]:
    """What each row does otherwise than the shared options."""
    lines = [
        [m.name, "; ".join(f"{k} {_short(v)}" for k, v in m.changes) or "the shared options"]
        for m in methods
    ]
    return ["## What the rows are", "", *grid(["row", "differs in"], lines), ""]


def times(results: list[dict[str, Any]], methods: Sequence[Method]) -> list[str]:
    """Seconds and parameters of a training, means over folds and seeds."""
    lines = []
    for method in methods:
        every = [one for r in results for one in r["trained"][method.name]]
        seconds = np.mean([one["seconds"] for one in every])
        lines.append([method.name, f"{seconds:.0f}", f"{every[0]['parameters'] / 1e6:.2f}"])
    head = ["row", "seconds a fold and seed, prediction included", "parameters, millions"]
    return ["## Cost", "", *grid(head, lines), ""]


def paper_rows(source: str) -> list[str]:
    """All of the paper's table, as it prints it."""
    table = paper_table(source)
    if table.empty:
        return []
    columns = list(dict.fromkeys(zip(table["data"], table["score"], strict=True)))
    lines = [
        [row, *(paper_cell(source, row, d, s) for d, s in columns)]
        for row in dict.fromkeys(table["row"])
    ]
    head = ["row", *(f"{d} {s}".strip() for d, s in columns)]
    unit = ", ".join(dict.fromkeys(table["unit"]))
    return [f"## {source} of the paper, its own data ({unit})", "", *grid(head, lines), ""]


def _in_paper(source: str, data: str, score: str) -> bool:
    table = paper_table(source)
    return bool(((table["data"] == data) & (table["score"] == score)).any())


def _same(data: str, results: list[dict[str, Any]]) -> bool:
    return is_paper_data(data, len(results), sum(r["n_spots"] for r in results))


def _cell(score: Any) -> str:
    if score is None:
        return ""
    text = f"{score.mean:.3f} ± {score.std:.3f}" if len(score.folds) > 1 else f"{score.mean:.3f}"
    return text + (f" ({score.n_constant} const.)" if score.n_constant else "")


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}: {_short(v)}" for k, v in value.items()) + "}"
    return str(value)
