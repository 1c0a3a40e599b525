"""Long work as generators: the same code drives a terminal bar, a napari bar and Cancel."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TypeVar

__all__ = ["Progress", "Steps", "run"]

T = TypeVar("T")


@dataclass(frozen=True)
class Progress:
    """One report of a long piece of work.

    ``done`` of ``total`` ``unit`` of the stage named ``stage`` are finished.
    """

    stage: str
    done: int
    total: int
    unit: str = "spots"


Steps = Generator[Progress, None, T]
"""A long piece of work: yields `Progress`, returns its result. Closing it cancels the work."""


def run(steps: Steps[T], report: Callable[[Progress], object] | None = None) -> T:
    """Run ``steps`` to its end and return its result, passing each `Progress` to ``report``."""
    while True:
        try:
            progress = next(steps)
        except StopIteration as stop:
            return stop.value
        if report is not None:
            report(progress)
