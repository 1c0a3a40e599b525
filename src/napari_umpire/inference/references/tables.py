"""The tables of a reference folder: genes and spots."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from napari_umpire.errors import InputError
from napari_umpire.inference.references.format import REBUILD

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["read_table"]


def read_table(path: Path, n: int, columns: list[str], text: int = 0) -> pd.DataFrame:
    """A table of the folder, all text as it stands there.

    Parameters
    ----------
    n
        Rows that it must have.
    columns
        Those after ``key``; with ``text``, those after ``slide`` and ``spot``.

    Raises
    ------
    InputError
        Where it is missing, damaged or of another size.
    """
    types = {"key": str, "id": str, "symbol": str, "slide": str, "spot": str}
    wanted = ["slide", "spot", *columns] if text else ["key", *columns]
    try:
        table = pd.read_csv(path, dtype=types, keep_default_na=False, float_precision="round_trip")
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is missing or damaged", got=error, fix=REBUILD) from error
    if list(table.columns) != wanted or len(table) != n:
        raise InputError(
            f"{path} has the wrong size",
            got=f"{len(table)} rows of {list(table.columns)}",
            expected=f"{n} rows of {wanted}",
            fix=REBUILD,
        )
    return table
