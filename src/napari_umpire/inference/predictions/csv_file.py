"""Tables as CSV files that carry their protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_umpire.errors import InputError
from napari_umpire.files import replace_file

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

__all__ = ["write_csv"]


def write_csv(frame: pd.DataFrame, path: Path, notes: str = "") -> Path:
    """Write a table; it appears whole or not at all.

    Parameters
    ----------
    frame
        The index is written where it has a name.
    notes
        Written above the table, each line behind "# "; ``pandas.read_csv(comment="#")`` and R
        skip them.

    Raises
    ------
    InputError
        Where the file cannot be written, or ".csv" had to be added and that file is there.
    """
    if not path.suffix:
        path = path.with_suffix(".csv")
        if path.exists():  # nobody was asked whether to overwrite this one
            raise InputError(f"{path} is there already", fix="Choose another name")
    lines = [f"# {line}\n" for line in notes.splitlines()]
    text = "".join(lines) + frame.to_csv(index=frame.index.name is not None, lineterminator="\n")
    try:
        with replace_file(path) as part:
            part.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"{path} cannot be written",
            got=error,
            expected="a folder that can be written to, with space on its disk",
            fix="Choose another place",
        ) from error
    return path
