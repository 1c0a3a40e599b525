"""A process that forks for every line of its input, and whose fork is killed at a rename.

Run as a script: a test cannot fork itself, since libraries have started threads in it. Of each
line, JSON with ``do``, ``folder``, ``stop`` and ``behind``, the answer is the number of renames
that were done, and the signal that ended the fork.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.slides.written import prediction_of

from napari_umpire.slides.convert import write_slide
from napari_umpire.slides.open import open_slide
from napari_umpire.slides.results import write_results
from napari_umpire.slides.synthetic import make_slide

RECORD = "genes: [PIBF1]\n"


def table_into_store(folder: Path) -> None:
    slide = open_slide(folder / "s.zarr")
    write_results(slide, prediction_of(slide), name="umpire", record=RECORD)


def store_of_result(folder: Path) -> None:
    slide = small()
    write_results(
        slide, prediction_of(slide), name="umpire", store=folder / "s.zarr", record=RECORD
    )


def conversion(folder: Path) -> None:
    write_slide(small(), folder / "s.zarr")


def small():
    return make_slide(2, rows=6, cols=5)


def in_fork(do: Callable[[Path], None], folder: Path, stop: int | None, behind: bool) -> str:
    out, end = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            count_renames(stop, behind, end)
            do(folder)
            code = 0
        finally:
            os._exit(code)
    os.close(end)
    status = os.waitpid(pid, 0)[1]
    with os.fdopen(out) as told:
        renames = len(told.read())
    ended = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    assert ended or os.WEXITSTATUS(status) == 0, "the fork failed"
    return json.dumps({"renames": renames, "signal": ended})


def count_renames(stop: int | None, behind: bool, end: int) -> None:
    number = 0

    def counted(real: Callable[..., object]) -> Callable[..., object]:
        def rename(*args: object, **kwargs: object) -> object:
            nonlocal number
            number += 1
            mine = number == stop
            if mine and not behind:
                os.kill(os.getpid(), signal.SIGKILL)
            done = real(*args, **kwargs)
            os.write(end, b".")
            if mine:
                os.kill(os.getpid(), signal.SIGKILL)
            return done

        return rename

    os.rename, os.replace = counted(os.rename), counted(os.replace)


if __name__ == "__main__":
    for line in sys.stdin:
        wanted = json.loads(line)
        done = in_fork(
            globals()[wanted["do"]], Path(wanted["folder"]), wanted["stop"], wanted["behind"]
        )
        sys.stdout.write(done + "\n")
        sys.stdout.flush()
