"""A slide status in words: what was read, how sure, and how the head was validated."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from napari_umpire.inference.status.slide_status import SlideStatus
    from napari_umpire.models.status_config import StatusConfig, StatusScores, TileConfig

__all__ = [
    "FEW_PATIENTS",
    "answer_words",
    "best_words",
    "describe",
    "input_words",
    "protocol_words",
    "reading_words",
    "trust_words",
    "warning_words",
]

FEW_PATIENTS = 30
"""With fewer patients in the smallest class a score says little about other patients."""

_CAUSE = (
    "Attention says which tiles the answer rests on. It is no proof that what they show is the "
    "cause, and it does not say for which class a tile speaks."
)
_SEEN = (
    "The head was trained on this very slide, so that it knows the answer: this is no test of it."
)


def describe(status: SlideStatus) -> str:
    """The answer, where it rests, and how far to trust it, in a few sentences."""
    parts = (
        answer_words(status),
        warning_words(status),
        reading_words(status),
        protocol_words(status.config),
    )
    return "\n".join(part for part in parts if part)


def answer_words(status: SlideStatus) -> str:
    """The probability of each class."""
    names = status.config.classes
    pairs = [f"{name} {p:.2f}" for name, p in zip(names, status.probability, strict=True)]
    return f"{status.slide_name}: {best_words(status)} ({', '.join(pairs)})."


def best_words(status: SlideStatus) -> str:
    """The most probable class; never with certainty, and never as if a useless head knew."""
    best = status.predicted
    p = float(status.probability[best])
    number = "above 0.99" if p > 0.99 else f"{p:.2f}"
    answer = f"{status.config.classes[best]}, probability {number}"
    scores = status.config.scores
    if scores is None or scores.auc is None or not scores.auc_permuted:
        return answer
    if scores.auc <= max(scores.auc_permuted):
        return f"Not to be relied on, no better than with shuffled labels: {answer}"
    return answer


def trust_words(config: StatusConfig) -> str:
    """The one line that must stand beside every answer."""
    scores = config.scores
    if scores is None:
        return "This head was never validated."
    words = (
        f"The head scored AUC {_number(scores.auc)} on {scores.n_patients} left-out patients; "
        f"with permuted labels {_control(scores.auc_permuted)}."
    )
    return words + (" Few patients." if min(scores.patients) < FEW_PATIENTS else "")


def reading_words(status: SlideStatus) -> str:
    """What was read, where the attention lies, and what that does not say."""
    share = float(status.attention[status.top(max(1, round(0.1 * status.n_tiles)))].sum())
    return (
        f"{status.n_tiles:,} tiles were read ({input_words(status.config.tiles)}). The tenth of "
        f"them with the most attention has {share:.0%} of it; in all it is spread "
        f"over about {status.effective_tiles:,.0f} of them. {_CAUSE}"
    )


def warning_words(status: SlideStatus) -> str:
    """Why this answer in particular may mean nothing; "" where nothing is known against it."""
    if status.seen:
        return _SEEN
    if status.is_foreign:
        return (
            "This slide looks unlike every patient that the head was trained on: its tiles lie "
            f"farther from the mean tile (mean squared z-score {status.distance:.1f}) than those "
            f"of any of them ({status.config.farthest:.1f} at most). The answer may mean nothing."
        )
    return ""


def input_words(tiles: TileConfig) -> str:
    """What a head reads of a slide."""
    grid = (
        "the slide's own spots"
        if tiles.kind == "spots"
        else f"a square grid of {tiles.pitch_um:g} µm over the tissue"
    )
    return f"{grid}, fields of {tiles.field_um:g} µm"


def protocol_words(config: StatusConfig) -> str:
    """How the head was validated; a warning where the patients are few."""
    scores = config.scores
    if scores is None:
        return f"The head {config.name} was never validated: its probabilities are not to be used."
    counts = ", ".join(
        f"{n} {name}" for n, name in zip(scores.patients, config.classes, strict=True)
    )
    many = len(config.classes) > 2
    kind = "AUC, one against the rest, macro mean" if many else f"AUC for {config.classes[1]}"
    parts = [
        (
            f"Validated on {scores.n_patients} patients ({counts}; {scores.n_slides} slides, "
            f"{scores.n_tiles:,} tiles), {scores.scheme}."
        ),
        (
            f"{kind}: {_number(scores.auc)}{_interval(scores)} over all left-out patients"
            f"{_spread(scores.auc_folds)}; permuted labels {_control(scores.auc_permuted)}."
        ),
        (
            f"Weighted F1: {scores.f1:.2f}{_spread(scores.f1_folds)}; permuted labels "
            f"{_control(scores.f1_permuted)}, always the most frequent class "
            f"{_number(scores.f1_majority)}."
        ),
    ]
    if scores.auc_permuted and scores.permuted_epochs is not None:
        parts.append(f"The permuted runs had {scores.permuted_epochs} epochs at most.")
    parts.append(
        "This head itself was then trained on all of these patients, so it has no score of its "
        "own. Its probabilities were not calibrated."
    )
    if min(scores.patients) < FEW_PATIENTS:
        parts.append(
            f"Few patients: with {min(scores.patients)} in the smallest class, other patients may "
            "give quite another score."
        )
    return " ".join(parts)


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.2f}"


def _interval(scores: StatusScores) -> str:
    if scores.auc_interval is None:
        return ""
    low, high = scores.auc_interval
    return f" (95 % interval {low:.2f} to {high:.2f}, patients resampled)"


def _spread(folds: tuple[float | None, ...]) -> str:
    """Mean and standard deviation over the folds that have a score."""
    there = [v for v in folds if v is not None]
    if len(there) < 2:
        return ""
    missing = len(folds) - len(there)
    text = f", by fold {np.mean(there):.2f} ± {np.std(there, ddof=1):.2f}"
    if missing:
        text += f" ({missing} of {len(folds)} folds hold one class only)"
    return text


def _control(values: tuple[float, ...]) -> str:
    if not values:
        return "not run"
    return f"{np.mean(values):.2f} (up to {max(values):.2f} in {len(values)} shuffles)"
