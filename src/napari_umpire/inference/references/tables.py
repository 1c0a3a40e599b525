"""The tables of a reference folder: genes and spots."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_umpire.bounded import check_file
from napari_umpire.errors import InputError
from napari_umpire.faults import reading
from napari_umpire.inference.references.format import REBUILD

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["read_table"]

_EACH, _MORE = 1_000, 1_000_000  # bytes of a row and beside; names may be long


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
    types: dict[str, type] = dict.fromkeys(("key", "id", "symbol", "slide", "spot"), str)
    if text:
        types |= dict.fromkeys(columns, np.float64)
    wanted = ["slide", "spot", *columns] if text else ["key", *columns]
    size, most = check_file(path, str(path)), _MORE + _EACH * n
    if size > most:
        raise InputError(
            f"{path} is too large", got=f"{size:,} bytes", expected=f"{n:,} rows", fix=REBUILD
        )
    with reading(f"{path} cannot be read", fix=REBUILD):
        table = pd.read_csv(path, dtype=types, keep_default_na=False, float_precision="round_trip")
    if list(table.columns) != wanted or len(table) != n:
        raise InputError(
            f"{path} has the wrong size",
            got=f"{len(table)} rows of {list(table.columns)}",
            expected=f"{n} rows of {wanted}",
            fix=REBUILD,
        )
    if text and not np.isfinite(table[columns].to_numpy()).all():
        raise InputError(f"{path} holds places that are no numbers", fix=REBUILD)
    return table
