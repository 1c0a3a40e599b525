"""A run as the command that repeats it, to be pasted into a shell."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from napari_umpire.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_umpire.inference.predictions.record import RunRecord

__all__ = ["predict_command", "record_command"]


def predict_command(record: RunRecord, output: str | Path | None = None) -> str:
    """The ``umpire-train predict`` call that gives the same values, bit for bit.

    Parameters
    ----------
    output
        Folder for the store; None: the slide's own store, or one beside it.

    Raises
    ------
    InputError
        Where the slide is on no disk.
    """
    if not Path(record.slide).exists():
        raise InputError(
            f"The slide {record.slide} is on no disk, so that no command can open it",
            expected="a slide that was opened from a file or a folder",
        )
    words = ["umpire-train", "predict", record.slide, "--model", record.model]
    words += ["--method", record.method]
    if record.method == "retrieval":
        words += ["--k", str(record.k), "--weighting", record.weighting]
    words += ["--device", record.device, "--batch_size", str(record.batch_size)]
    for key in ("reference", "mpp", "image", "region"):
        value = getattr(record, key)
        if value is not None:
            words += [f"--{key}", repr(value) if isinstance(value, float) else str(value)]
    if record.seed:
        words += ["--seed", str(record.seed)]
    if record.std:
        words.append("--std")
    words += ["--name", record.name]
    if output is not None:
        words += ["--output", str(Path(output).absolute())]
    if record.genes:
        words += ["--genes", *record.genes]  # a list takes all words up to the next option
    return _quoted(words)


def record_command(path: str | Path, output: str | Path | None = None) -> str:
    """The call that repeats a run record, and refuses where slide or model have changed."""
    words = ["umpire-train", "predict", "--config", str(Path(path).absolute())]
    if output is not None:
        words += ["--output", str(Path(output).absolute())]
    return _quoted(words)


def _quoted(words: Sequence[str]) -> str:
    """The words as the shell of this computer reads them."""
    return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)
