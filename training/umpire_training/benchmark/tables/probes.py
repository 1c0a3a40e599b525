"""Table 2: linear probes of spot labels on what each row's encoders say."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pandas as pd

    from napari_umpire.inference.model import Model
    from umpire_training.benchmark.methods import Method
    from umpire_training.benchmark.shared import FoldWork
    from umpire_training.benchmark.tables.spaces import Labels
    from umpire_training.verbs.benchmark import Options

__all__ = ["PROTOCOL", "prepare", "probe_lines", "probe_spaces"]

_C = 0.01
"""Of the regression on expression, whose genes are many and go together: a strong penalty."""
_SCORES = ("balanced_accuracy", "weighted_f1")
PROTOCOL = (
    "Each row's encoders are trained on the training sections of a fold; then one linear layer is "
    "trained on what they say of the labelled training spots (Adam 1e-4, at most 50 epochs, "
    "patience 5 on 20 %), and asked about the held-out section. Features are taken before the "
    "projection, embeddings after it. Beside it: the most frequent training class, labels shuffled "
    f"within sections, and scikit-learn's logistic regression (C = {_C:g}) on the log expression "
    "of the 500 most variable genes. Labels that were made from expression (clusters) are circular "
    "for gene encoders and for that control."
)


def prepare(options: Options, methods: list[Method]) -> Callable[[Path, str], str]:
    """See `PaperTable`."""
    from umpire_training.benchmark.tables.rows import prepare_rows
    from umpire_training.benchmark.tables.spaces import Labels, by_space

    rows = prepare_rows(options, methods)
    labels = Labels.read(options, [source.slide for source in rows.plan.slides])
    rows = rows.beginning_with("labels", labels.digest, "table of labels")

    def work(folder: Path, command: str) -> str:
        from umpire_training.benchmark.leave_out import measured_slides
        from umpire_training.benchmark.report import changes_table, paper_rows, times
        from umpire_training.benchmark.writing import write_csv, write_lines

        mine = labels.of_spots(measured_slides(rows.plan, options, folder), rows.plan.slides)
        results = rows.train(folder, partial(probe_spaces, mine))
        frame = by_space(results, methods)
        write_csv(folder / f"{options.table}.csv", frame)
        protocol = f"{rows.plan.words} {PROTOCOL}"
        parts = [
            *mine.heading("Table 2: linear probes of spot labels", command, len(results), protocol),
            *probe_lines(frame, len(mine.classes)),
            *changes_table(methods),
            *times(results, methods),
            *paper_rows("Table 2"),
        ]
        return write_lines(folder / f"{options.table}.md", parts)

    return work


def probe_spaces(
    labels: Labels, model: Model, work: FoldWork, folder: Path, seed: int
) -> dict[str, Any]:
    """{held-out slide: {space: {score: value}}}, controls among the spaces."""
    from umpire_training.benchmark.tables.spaces import spaces_of

    spaces = {m.name: spaces_of(model, m.source.slide) for m in (*work.train, *work.test)}
    codes = {m.name: labels.codes[m.name] for m in (*work.train, *work.test)}
    names = [m.name for m in work.train]
    found: dict[str, Any] = {m.name: {} for m in work.test}
    for space in spaces[names[0]]:
        x = np.concatenate([spaces[n][space][codes[n] >= 0] for n in names])
        test = {m.name: spaces[m.name][space] for m in work.test}
        _score(found, space, x, test, codes, names, len(labels.classes), "adam", seed)
    panels = _panels(work)
    train = np.concatenate([panels[n][codes[n] >= 0] for n in names])
    held = {m.name: panels[m.name] for m in work.test}
    k = len(labels.classes)
    _score(found, "log expression", train, held, codes, names, k, "logistic", seed)
    return found


def _panels(work: FoldWork) -> dict[str, np.ndarray]:
    """Log expression of the 500 genes that vary most over the training slides, by slide.

    Of all that are found there, where those are fewer.
    """
    from napari_umpire.inference.genes.choice import choose_genes

    vocabulary = work.vocabulary(work.options.vocabulary)
    parts = {m.name: m.expression(vocabulary)[0] for m in (*work.train, *work.test)}
    train = [parts[m.name] for m in work.train]
    found = len(np.unique(np.concatenate([part.indices[part.data != 0] for part in train])))
    genes = choose_genes(train, "VAR", min(500, found), min_detected=0.0)
    return {name: part[:, genes].toarray() for name, part in parts.items()}


def _score(
    found: dict[str, Any],
    space: str,
    x: np.ndarray,
    test: dict[str, np.ndarray],
    codes: dict[str, np.ndarray],
    names: list[str],
    k: int,
    kind: str,
    seed: int,
) -> None:
    """Add the scores of one space, and of what says the same without looking."""
    from umpire_training.baselines.permuted import permuted_rows
    from umpire_training.options.probe import FitOptions
    from umpire_training.stages.probe_fit import fit_linear

    given = np.concatenate([codes[n][codes[n] >= 0] for n in names])
    section = np.repeat(np.arange(len(names)), [(codes[n] >= 0).sum() for n in names])
    mixed = given[next(permuted_rows(section, n=1, seed=seed))]
    options = FitOptions(c=_C) if kind == "logistic" else FitOptions()
    probe = fit_linear(x, given, k, kind, options, seed)
    shuffled = fit_linear(x, mixed, k, kind, options, seed) if kind == "adam" else None
    for slide, features in test.items():
        there = codes[slide] >= 0
        truth = codes[slide][there]
        if not len(truth):
            continue
        found[slide][space] = _scores(truth, probe.predict(features[there]), k)
        if shuffled is not None:
            name = f"{space}, shuffled labels"
            found[slide][name] = _scores(truth, shuffled.predict(features[there]), k)
        largest = np.full(len(truth), np.bincount(given).argmax())
        found[slide]["most frequent class"] = _scores(truth, largest, k)


def _scores(given: np.ndarray, said: np.ndarray, k: int) -> dict[str, float]:
    from napari_umpire.inference.classes.scores import class_scores, confusion

    scores = class_scores(confusion(given, said, k))
    return {"balanced_accuracy": scores.balanced_accuracy, "weighted_f1": scores.weighted_f1}


def probe_lines(frame: pd.DataFrame, n_classes: int) -> list[str]:
    """A Markdown table in per cent, mean ± standard deviation over sections, seeds averaged."""
    from umpire_training.benchmark.report import grid

    lines = []
    same = ("most frequent class", "log expression")
    for (row, space), mine in frame.groupby(["row", "space"], sort=False):
        if space in same:
            continue
        lines.append([str(row), str(space), *_cells(mine)])
    for space in same:
        lines.append(["", space, *_cells(frame[frame["space"] == space])])
    lines.append(["", "chance: 1 / classes", f"{100 / n_classes:.2f}", ""])
    head = ["row", "what the probe reads", "balanced accuracy, %", "weighted F1, %"]
    return [*grid(head, lines), ""]


def _cells(mine: pd.DataFrame) -> list[str]:
    from umpire_training.benchmark.report import mean_sd

    by_slide = 100 * mine.groupby("slide")[list(_SCORES)].mean()
    return [mean_sd(by_slide[s], 2) for s in _SCORES]
