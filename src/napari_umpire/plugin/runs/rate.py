"""How fast a run goes, and how long it will still take."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_umpire.progress import Progress

__all__ = ["RateMeter", "duration"]


class RateMeter:
    """Turns the `Progress` reports of a run into words.

    Parameters
    ----------
    clock
        Returns seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._stage: str | None = None
        self._since = (0.0, 0)
        self.resumed = ""
        """What a run before this one had done already, in words."""

    def describe(self, progress: Progress) -> str:
        """One line: stage, count, rate and time left, as far as they are known by now."""
        now = self._clock()
        if progress.stage != self._stage:
            # A resumed stage starts above 0: what was done before tells nothing about speed.
            self._stage, self._since = progress.stage, (now, progress.done)
            if progress.done > 0 and progress.unit == "spots" and not self.resumed:
                self.resumed = _resumed(progress)
        start, before = self._since
        text = progress.stage
        if progress.total > 0 and progress.unit:
            text += f": {progress.done:,} of {progress.total:,} {progress.unit}"
        elapsed, done = now - start, progress.done - before
        if elapsed > 0 and done > 0:
            rate = done / elapsed
            digits = 1 if rate < 10 else 0
            text += f", {rate:,.{digits}f} {progress.unit}/s"
            if progress.done < progress.total:
                text += f", {duration((progress.total - progress.done) / rate)} left"
        if self.resumed and 0 < progress.done < progress.total:
            text += f"; {self.resumed}"
        return text


def _resumed(progress: Progress) -> str:
    if progress.done == progress.total:
        return f"all {progress.total:,} spots were known from a run before"
    return f"went on at spot {progress.done:,} of {progress.total:,}"


def duration(seconds: float) -> str:
    """Seconds in words: "8 s", "3 min 20 s", "2 h 05 min"."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
