"""Which values the ends of the colour bar stand for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["RangeChoice", "display_range", "range_words"]

_AUTO = (1.0, 99.0)


@dataclass(frozen=True)
class RangeChoice:
    """How the range of a map is chosen.

    Attributes
    ----------
    mode
        "auto": 1st to 99th percentile of the gene; "percentile": `percentiles` of the gene;
        "absolute": `absolute` for every gene, so that genes can be compared; "locked": the same,
        where the two values are those that some gene had when the user froze them.
    percentiles
        Lower and upper, 0 to 100.
    absolute
        Lower and upper, log1p(CP10k).
    shared
        Whether the measured and the predicted map of a gene get one range.
    """

    mode: Literal["auto", "percentile", "absolute", "locked"] = "auto"
    percentiles: tuple[float, float] = (5.0, 95.0)
    absolute: tuple[float, float] = (0.0, 5.0)
    shared: bool = True

    @property
    def is_fixed(self) -> bool:
        """Whether all genes have one range."""
        return self.mode in ("absolute", "locked")

    def own(self) -> RangeChoice:
        """For values that are no expression, such as z-scores: a fixed range says nothing there."""
        return replace(self, mode="auto") if self.is_fixed else self


def display_range(
    values: Sequence[np.ndarray], choice: RangeChoice, *, symmetric: bool = False
) -> tuple[float, float]:
    """Lower and upper end of the colour bar, lower < upper.

    Parameters
    ----------
    values
        Arrays of (n_spots,); pooled, NaN left out.
    symmetric
        For differences: the range is made symmetric about 0.
    """
    pooled = np.concatenate([np.asarray(v, np.float64).ravel() for v in values])
    pooled = pooled[np.isfinite(pooled)]
    if choice.is_fixed:
        low, high = choice.absolute
        if symmetric:
            low, high = -(high - low), high - low
    elif len(pooled) == 0:
        low = high = 0.0
    else:
        ends = _AUTO if choice.mode == "auto" else choice.percentiles
        low, high = (float(v) for v in np.percentile(pooled, ends))
        if low == high:
            # A gene seen in few spots: its percentiles are all 0, and would hide those few.
            low, high = float(pooled.min()), float(pooled.max())
        if symmetric:
            high = max(abs(low), abs(high))
            low = -high
    if not low < high:
        low, high = (low - 0.5, low + 0.5) if symmetric else (low, low + 1.0)
    return low, high


def range_words(values: np.ndarray, choice: RangeChoice) -> str:
    """What must be said of the range of these values, "" where it is what one expects."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return ""
    if choice.is_fixed:
        return _beyond(finite, *choice.absolute)
    ends = _AUTO if choice.mode == "auto" else choice.percentiles
    low, high = np.percentile(finite, ends)
    if low < high:
        return ""
    if finite.min() == finite.max():
        return f"The same value, {float(finite.min()):.2f}, in all spots."
    return (
        f"Seen in few spots: percentiles {ends[0]:g} and {ends[1]:g} are both {low:.2f}, so the "
        "range is smallest to largest."
    )


def _beyond(values: np.ndarray, low: float, high: float) -> str:
    """How many spots a fixed range shows alike, where these are many."""
    sides = {"above": np.mean(values > high), "below": np.mean(values < low)}
    many = [f"{share:.0%} of the spots lie {side}" for side, share in sides.items() if share > 0.1]
    return f"{' and '.join(many)} this range, and look alike." if many else ""
