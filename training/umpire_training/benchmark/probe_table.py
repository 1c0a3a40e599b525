"""What a probe's test comes to: scores per fold, confusion, and a table with its protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_umpire.inference.classes.scores import class_scores, confusion
from umpire_training.benchmark.writing import write_csv, write_lines
from umpire_training.stages.probe import SHUFFLED

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from umpire_training.stages.probe import FoldResult
    from umpire_training.stages.probe_data import ProbeData

__all__ = ["fold_frame", "probe_table", "write_probe"]


def fold_frame(data: ProbeData, results: Sequence[FoldResult]) -> pd.DataFrame:
    """A row per method and fold: row, fold, n_train, n_test, classes, balanced_accuracy, ..."""
    k, lines = len(data.classes), []
    for result in results:
        n_classes = len(np.unique(result.given))
        for name, said in result.said.items():
            drawn = said if said.ndim == 2 else said[None]
            scores = [class_scores(confusion(result.given, one, k)) for one in drawn]
            lines.append(
                {
                    "row": name,
                    "fold": result.name,
                    "n_train": result.n_train,
                    "n_test": len(result.given),
                    "n_classes": n_classes,
                    "balanced_accuracy": float(np.mean([s.balanced_accuracy for s in scores])),
                    "weighted_f1": float(np.mean([s.weighted_f1 for s in scores])),
                }
            )
    return pd.DataFrame(lines)


def probe_table(data: ProbeData, results: Sequence[FoldResult], protocol: Sequence[str]) -> str:
    """Markdown: mean ± standard deviation over folds, and over all held-out spots pooled."""
    frame = fold_frame(data, results)
    n = sum(len(result.given) for result in results)
    chance = 1 / frame.drop_duplicates("fold")["n_classes"]
    lines = [
        (
            f"{len(results)} folds, {n:,} spots held out once each, {len(data.classes)} classes: "
            f"{', '.join(data.classes)}."
        ),
        "",
        (
            "| features and fit | balanced accuracy | weighted F1 | balanced accuracy, pooled |"
            " weighted F1, pooled |"
        ),
        "|---|---|---|---|---|",
    ]
    for name, mine in frame.groupby("row", sort=False):
        pooled = _pooled(data, results, str(name))
        cells = [f"{mine[c].mean():.3f} ± {mine[c].std(ddof=0):.3f}" for c in _SCORES]
        lines.append(f"| {name} | {' | '.join(cells)} | {pooled[0]:.3f} | {pooled[1]:.3f} |")
    lines += [
        f"| chance: 1 / classes held out | {chance.mean():.3f} ± {chance.std(ddof=0):.3f} | | | |",
        "",
        *(f"- {line}" for line in protocol),
        "",
        "| balanced accuracy, held out: | " + " | ".join(r.name for r in results) + " |",
        "|---" * (len(results) + 1) + "|",
    ]
    for name, mine in frame.groupby("row", sort=False):
        by_fold = " | ".join(f"{v:.3f}" for v in mine["balanced_accuracy"])
        lines.append(f"| {name} | {by_fold} |")
    counts = " | ".join(f"{len(r.given)}, {len(np.unique(r.given))}" for r in results)
    lines.append(f"| spots, classes | {counts} |")
    return "\n".join(lines) + "\n"


def write_probe(
    folder: Path, data: ProbeData, results: Sequence[FoldResult], protocol: Sequence[str]
) -> str:
    """Write folds.csv, predictions.csv, confusion.csv and probe.md; the text of the last."""
    write_csv(folder / "folds.csv", fold_frame(data, results))
    write_csv(folder / "predictions.csv", _predictions(data, results))
    write_csv(folder / "confusion.csv", _confusions(data, results))
    return write_lines(folder / "probe.md", [probe_table(data, results, protocol)])


_SCORES = ("balanced_accuracy", "weighted_f1")


def _pooled(data: ProbeData, results: Sequence[FoldResult], name: str) -> tuple[float, float]:
    k = len(data.classes)
    drawn = [np.atleast_2d(result.said[name]) for result in results]
    scores = [
        class_scores(
            sum(
                (confusion(r.given, d[i], k) for r, d in zip(results, drawn, strict=True)),
                np.zeros((k, k), np.int64),
            )
        )
        for i in range(len(drawn[0]))
    ]
    return (
        float(np.mean([s.balanced_accuracy for s in scores])),
        float(np.mean([s.weighted_f1 for s in scores])),
    )


def _predictions(data: ProbeData, results: Sequence[FoldResult]) -> pd.DataFrame:
    """A row per held-out spot: fold, section, spot, its class, and what each row said."""
    classes = np.array(data.classes, object)
    spots = np.concatenate([s.spots for s in data.sections])
    names = np.array([s.name for s in data.sections], object)
    frames = []
    for result in results:
        frame = pd.DataFrame(
            {
                "fold": result.name,
                "section": names[data.section[result.test]],
                "spot": spots[result.test],
                "label": classes[result.given],
            }
        )
        for name, said in result.said.items():
            if name != SHUFFLED:
                frame[name] = classes[said]
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def _confusions(data: ProbeData, results: Sequence[FoldResult]) -> pd.DataFrame:
    """Rows: method and given class; columns: what was said; counts over all folds."""
    k, frames = len(data.classes), []
    for name in results[0].said:
        if name == SHUFFLED:
            continue
        table = sum(
            (confusion(r.given, r.said[name], k) for r in results), np.zeros((k, k), np.int64)
        )
        frame = pd.DataFrame(table, columns=list(data.classes))
        frame.insert(0, "label", list(data.classes))
        frame.insert(0, "row", name)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)
