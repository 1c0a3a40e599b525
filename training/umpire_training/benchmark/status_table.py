"""What a run of `mil` leaves to read: predictions of each patient, and the scores in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from umpire_training.benchmark.writing import write_csv, write_lines

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from napari_umpire.models.status_config import StatusConfig
    from umpire_training.corpus.patients import Patients

__all__ = ["write_status"]

_POOLED = (
    "Pooled scores rank patients that were scored by different folds. Where nothing can be learned "
    "from few patients the pooled AUC lies below 0.5: leaving a patient out makes its class rarer "
    "in training. So compare with the shuffled labels, which are scored alike."
)


def write_status(
    folder: Path,
    config: StatusConfig,
    patients: Patients,
    probability: np.ndarray,
    fold: np.ndarray,
    *,
    command: str,
) -> str:
    """Write predictions.csv (a row per patient) and status.md; return the latter."""
    from napari_umpire.inference.status.words import input_words, protocol_words

    frame = pd.DataFrame(
        {
            "patient": patients.names,
            "label": [patients.classes[c] for c in patients.codes],
            "fold": fold,
            "slides": [" ".join(slides) for slides in patients.slides],
        }
    )
    for c, name in enumerate(patients.classes):
        frame[f"probability_{name}"] = probability[:, c].round(6)
    frame["called"] = [patients.classes[c] for c in probability.argmax(axis=1)]
    write_csv(folder / "predictions.csv", frame)

    scores = config.scores
    assert scores is not None
    rows = [
        _row("ABMIL, left-out patients", scores.auc, scores.f1, scores.auc_folds, scores.f1_folds),
        *(
            _row(f"permuted labels {i + 1}", a, f)
            for i, (a, f) in enumerate(zip(scores.auc_permuted, scores.f1_permuted, strict=False))
        ),
        _row("always the most frequent class", 0.5, scores.f1_majority),
    ]
    return write_lines(
        folder / "status.md",
        [
            f"# Slide status: {config.name}",
            "",
            f"`{command}`",
            "",
            (
                f"Read: {input_words(config.tiles)}; {config.tiles.source} of the image encoder"
                f"{', z-scored by the training patients' if config.tiles.standardise else ''}."
            ),
            "",
            protocol_words(config),
            "",
            "| row | AUC | F1 | AUC by fold | F1 by fold |",
            "|---|---|---|---|---|",
            *rows,
            "",
            _POOLED,
            "",
        ],
    )


def _row(
    name: str,
    auc: float | None,
    f1: float | None,
    auc_folds: tuple[float | None, ...] = (),
    f1_folds: tuple[float, ...] = (),
) -> str:
    return (
        f"| {name} | {_cell(auc)} | {_cell(f1)} | {' '.join(map(_cell, auc_folds))} | "
        f"{' '.join(map(_cell, f1_folds))} |"
    )


def _cell(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"
