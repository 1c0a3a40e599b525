"""Figure S1: how fast the alignment learns, with and without what came before it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from umpire_training.benchmark.methods import Method
    from umpire_training.verbs.benchmark import Options

__all__ = ["convergence_lines", "prepare", "read_curves"]

_WORDS = {"train_loss": "training loss", "val_loss": "held-out loss"}
_LOSSES = tuple(_WORDS)
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#1a1a1a", "#56b4e9", "#e69f00")


def prepare(options: Options, methods: list[Method]) -> Callable[[Path, str], str]:
    """See `PaperTable`."""
    from umpire_training.benchmark.tables.rows import prepare_rows

    rows = prepare_rows(options, methods)

    def work(folder: Path, command: str) -> str:
        from umpire_training.benchmark.report import (
            changes_table,
            heading,
            main_table,
            seeds_table,
            times,
        )
        from umpire_training.benchmark.table import details, scores_of, write_scores
        from umpire_training.benchmark.writing import write_csv, write_lines

        results = rows.train(folder)
        curves = read_curves(folder, results, methods)
        write_csv(folder / f"{options.table}.csv", curves)
        _draw(curves, methods, folder / f"{options.table}.png")
        scores = scores_of(results, options.qc.min_genes, options.split)
        write_scores(scores, folder / "scores.csv")
        title = "Figure S1: convergence of the alignment, with and without stage 1"
        parts = [
            *heading(title, command, results, options, rows.plan.words),
            f"![loss by step]({options.table}.png)",
            "",
            (
                "Losses compare between rows of the same objective only. The paper shows curves "
                "and prints no numbers: with stage 1 its loss falls faster."
            ),
            "",
            *convergence_lines(curves, methods),
            *main_table(scores, methods, options, results, "Figure S1"),
            *seeds_table(results, methods),
            *changes_table(methods),
            *times(results, methods),
            *details(results, scores),
            "",
        ]
        return write_lines(folder / f"{options.table}.md", parts)

    return work


def read_curves(
    folder: Path, results: list[dict[str, Any]], methods: Sequence[Method]
) -> pd.DataFrame:
    """Losses of every training: columns row, fold, seed, step, train_loss, val_loss."""
    from umpire_training.benchmark.fold import row_folder
    from umpire_training.benchmark.places import place_name

    frames = []
    for name in dict.fromkeys(result["fold"] for result in results):
        for method in methods:
            for seed in method.seeds:
                place = row_folder(folder / "folds" / place_name(name), method.name, seed)
                frame = pd.read_csv(place / "align" / "metrics.csv")
                frame = frame[["step", *(c for c in _LOSSES if c in frame)]]
                frames.append(frame.assign(row=method.name, fold=name, seed=seed))
    return pd.concat(frames, ignore_index=True)


def convergence_lines(curves: pd.DataFrame, methods: Sequence[Method]) -> list[str]:
    """A Markdown table: mean loss at a tenth, half and the end; steps to the first row's end."""
    from umpire_training.benchmark.report import grid

    lines = []
    for loss in _LOSSES:
        if loss not in curves or curves[loss].isna().all():
            continue
        means = {m.name: _mean_curve(curves, m.name, loss) for m in methods}
        goal = means[methods[0].name].iloc[-1]
        for name, curve in means.items():
            last = curve.index[-1]
            at = [curve[curve.index >= share * last].iloc[0] for share in (0.1, 0.5, 1.0)]
            below = curve.index[curve <= goal + 1e-12]
            steps = str(below[0]) if len(below) else f"not in {last}"
            lines.append([name, _WORDS[loss], *(f"{v:.3f}" for v in at), steps])
    head = [
        "row",
        "loss",
        "at 10 %",
        "at 50 %",
        "at the end",
        f"steps to the end of {methods[0].name}",
    ]
    return [*grid(head, lines), ""]


def _mean_curve(curves: pd.DataFrame, row: str, loss: str) -> pd.Series:
    mine = curves[(curves["row"] == row) & curves[loss].notna()]
    return mine.groupby("step")[loss].mean()


def _draw(curves: pd.DataFrame, methods: Sequence[Method], path: Path) -> None:
    from matplotlib.figure import Figure

    from napari_umpire.inference.figures.gene_figure import write_figure

    shown = [loss for loss in _LOSSES if loss in curves and curves[loss].notna().any()]
    figure = Figure(figsize=(4.2 * len(shown), 3.2), facecolor="white")
    for axes, loss in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
        for number, method in enumerate(methods):
            mine = curves[(curves["row"] == method.name) & curves[loss].notna()]
            by_step = mine.groupby("step")[loss]
            mean, sd = by_step.mean(), by_step.std(ddof=1).fillna(0.0)
            colour = _COLOURS[number % len(_COLOURS)]
            axes.plot(mean.index, mean, color=colour, label=method.name, linewidth=1.2)
            axes.fill_between(
                np.asarray(mean.index), mean - sd, mean + sd, color=colour, alpha=0.15, linewidth=0
            )
        axes.set_xlabel("step")
        axes.set_ylabel(_WORDS[loss])
        axes.set_title("mean ± sd over folds and seeds", fontsize=7)
        axes.legend(fontsize=7, frameon=False)
    figure.tight_layout()
    write_figure(figure, [path], dpi=150)
