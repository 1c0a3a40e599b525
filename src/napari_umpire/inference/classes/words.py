"""What is said of classes and of a probe's scores: sentences and small tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from napari_umpire.inference.classes.labels import SpotLabels
    from napari_umpire.inference.classes.probe import LinearProbe
    from napari_umpire.inference.classes.scores import ProbeScores

__all__ = [
    "confusion_frame",
    "folds_frame",
    "labels_words",
    "probe_words",
    "score_frame",
    "scores_words",
]


def labels_words(labels: SpotLabels) -> str:
    """How many spots have a class, of how many."""
    n, none = len(labels.codes), labels.n_unlabelled
    said = f"{n - none:,} of {n:,} spots have one of {len(labels.categories)} classes."
    if labels.probability is not None and n > none:
        said += (
            f" Predicted; median probability {np.nanmedian(labels.probability):.2f} "
            "(not calibrated)."
        )
    return said


def scores_words(scores: ProbeScores) -> str:
    """The score with its number of spots, and what the controls make of it."""
    pooled = scores.pooled
    by_name = {control.name: control for control in scores.controls}
    said = (
        f"Balanced accuracy {pooled.balanced_accuracy:.2f}, weighted F1 "
        f"{pooled.weighted_f1:.2f} on {pooled.n:,} held-out spots."
    )
    chance = by_name.get("shuffled labels")
    if chance is not None and pooled.balanced_accuracy <= chance.balanced_accuracy + 2 * chance.sd:
        return said + " That is no better than shuffled labels: nothing was learned."
    position = by_name.get("position only")
    if position is not None and pooled.balanced_accuracy <= position.balanced_accuracy + 0.02:
        said += (
            f" Position alone reaches {position.balanced_accuracy:.2f}: this score does not show "
            "that anything but the place on the slide was learned."
        )
    return said


def score_frame(scores: ProbeScores) -> pd.DataFrame:
    """The probe and its controls: columns ``balanced accuracy``, ``weighted F1`` as text."""
    rows = {"probe": (f"{scores.pooled.balanced_accuracy:.3f}", f"{scores.pooled.weighted_f1:.3f}")}
    for control in scores.controls:
        sd = f" ± {control.sd:.3f}" if control.sd else ""
        rows[control.name] = (f"{control.balanced_accuracy:.3f}{sd}", f"{control.weighted_f1:.3f}")
    return pd.DataFrame.from_dict(
        rows, orient="index", columns=["balanced accuracy", "weighted F1"]
    )


def confusion_frame(scores: ProbeScores) -> tuple[pd.DataFrame, np.ndarray]:
    """Given classes in rows, predicted ones in columns, then recall and n.

    Returns
    -------
    The table, as text; and (k, k + 2) float, the share of its row that each count is, NaN beside
    the matrix.
    """
    pooled = scores.pooled
    given = pooled.confusion.sum(axis=1)
    table = pd.DataFrame(
        pooled.confusion.astype(str), index=list(scores.classes), columns=list(scores.classes)
    )
    recall = ["–" if np.isnan(r) else f"{r:.2f}" for r in pooled.recall]
    # By position: a class may be called "recall" or "n" too.
    table.insert(len(table.columns), "recall", recall, allow_duplicates=True)
    table.insert(len(table.columns), "n", [f"{n:,}" for n in given], allow_duplicates=True)
    share = np.full(table.shape, np.nan)
    share[:, : len(given)] = pooled.confusion / np.maximum(given, 1)[:, None]
    return table, share


def folds_frame(scores: ProbeScores) -> pd.DataFrame:
    """What each fold held out, from how many spots it learned, and its scores, as text."""
    rows = [
        (f"{f.n_train:,}", f"{f.n_test:,}", f"{f.balanced_accuracy:.3f}", f"{f.weighted_f1:.3f}")
        for f in scores.folds
    ]
    columns = ["learned from", "tested on", "balanced accuracy", "weighted F1"]
    return pd.DataFrame(rows, index=[f.name for f in scores.folds], columns=columns)


def probe_words(probe: LinearProbe) -> str:
    """What a probe is, in a few lines."""
    counts = dict.fromkeys(probe.classes, 0)
    for slide in probe.training:
        for name, n in slide.get("spots", {}).items():
            counts[name] = counts.get(name, 0) + n
    classes = ", ".join(f"{name} ({n:,})" for name, n in counts.items())
    slides = ", ".join(str(slide.get("slide", "?")) for slide in probe.training)
    sort = "the image" if probe.kind == "image" else "the measured genes"
    lines = [
        f"{probe.name}: {classes}; labelled spots on {slides}.",
        f"Reads embeddings of {sort}; C = {probe.c:g} (how closely it may fit).",
    ]
    if probe.scores:
        lines.append(
            f"Balanced accuracy {probe.scores['balanced_accuracy']:.2f} on "
            f"{probe.scores['n']:,} held-out spots."
        )
    lines.append(probe.protocol)
    return "\n".join(lines)
