"""Progress of long work on the terminal."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from napari_umpire.progress import run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_umpire.progress import Progress, Steps

__all__ = ["follow", "progress_bar", "say", "write_out"]

T = TypeVar("T")


def follow(steps: Steps[T]) -> T:
    """Run ``steps`` to the end with a bar on the terminal; silent where there is none."""
    with progress_bar() as report:
        return run(steps, report)


@contextmanager
def progress_bar() -> Iterator[Callable[[Progress], None]]:
    """Yield a function that shows a `Progress`; each stage gets a bar of its own."""
    from tqdm import tqdm

    bar: tqdm | None = None
    stage = None

    def report(progress: Progress) -> None:
        nonlocal bar, stage
        if bar is None or progress.stage != stage:
            if bar is not None:
                bar.close()
            stage = progress.stage
            bar = tqdm(
                total=progress.total,
                desc=stage,
                unit=f" {progress.unit}",
                file=sys.stderr,
                disable=None,  # shown on a terminal only
            )
        bar.update(progress.done - bar.n)

    try:
        yield report
    finally:
        if bar is not None:
            bar.close()


def say(text: str) -> None:
    """One line for the person at the terminal."""
    sys.stderr.write(f"{text}\n")


def write_out(text: str) -> None:
    """What a verb was asked for, to standard output, and a line end.

    Characters that the terminal's code page lacks, and bytes of a name that are not text, are
    escaped, as Python does for the error output only.
    """
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
