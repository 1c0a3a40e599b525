"""A gene's predicted against its measured values, ready to be drawn as a scatter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_umpire.inference.scores.agreement import MIN_GENES, agreement

__all__ = ["PairScatter", "pair_scatter", "sample_rows"]

MAX_SHOWN = 20_000


@dataclass(frozen=True, eq=False)
class PairScatter:
    """The spots that count, and which of them are drawn.

    Attributes
    ----------
    rows
        (n,) int64, rows of the slide's spots.
    measured, predicted
        (n,) float, values of those spots.
    shown
        (m,) int64, places in `rows` of those that are drawn.
    title
        Name, PCC, n.
    note
        What is left out or not drawn, "" where nothing is.
    limits
        Of both axes, so that the line of identity is the diagonal.
    """

    rows: np.ndarray
    measured: np.ndarray
    predicted: np.ndarray
    shown: np.ndarray
    title: str
    note: str
    limits: tuple[float, float]


def pair_scatter(
    predicted: np.ndarray,
    measured: np.ndarray,
    detected: np.ndarray,
    label: str,
    *,
    max_shown: int = MAX_SHOWN,
) -> PairScatter:
    """Pair the values of one gene, by the protocol of `agreement`.

    Parameters
    ----------
    predicted, measured
        (n_spots,) values in one unit.
    detected
        (n_spots,) number of genes seen in each spot.
    label
        The gene's name.
    """
    good = (detected >= MIN_GENES) & np.isfinite(predicted) & np.isfinite(measured)
    rows = np.flatnonzero(good)
    found = agreement(predicted, measured, detected)
    pcc = "no PCC, it does not vary" if np.isnan(found.pcc) else f"PCC {found.pcc:.2f}"
    shown = sample_rows(len(rows), max_shown)
    notes = []
    if found.n_left_out:
        notes.append(f"Left out: {found.n_left_out:,} with fewer than {MIN_GENES} genes.")
    if len(shown) < len(rows):
        notes.append(f"{len(shown):,} of {len(rows):,} spots drawn, at random.")
    m, p = measured[rows].astype(np.float64), predicted[rows].astype(np.float64)
    both = np.concatenate([m, p]) if len(rows) else np.array([0.0, 1.0])
    low, high = float(both.min()), float(both.max())
    return PairScatter(
        rows, m, p, shown, f"{label}: {pcc}, n {len(rows):,} spots", " ".join(notes),
        (low, high if high > low else low + 1.0),
    )  # fmt: skip


def sample_rows(n: int, most: int) -> np.ndarray:
    """At most ``most`` of ``range(n)``, ascending; always the same ones."""
    if n <= most:
        return np.arange(n)
    return np.sort(np.random.default_rng(0).choice(n, most, replace=False))
