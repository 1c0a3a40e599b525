"""The ``spatial`` folder of Space Ranger: where the spots lie, and the scale of its images."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_umpire.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["find_positions", "read_positions", "read_scalefactors"]

_COLUMNS = (
    "barcode",
    "in_tissue",
    "array_row",
    "array_col",
    "pxl_row_in_fullres",
    "pxl_col_in_fullres",
)
_NAMES = ("tissue_positions.csv", "tissue_positions_list.csv", "tissue_positions.parquet")


def find_positions(spatial: Path) -> Path | None:
    """The positions file of a ``spatial`` folder, with or without a prefix; None where absent."""
    for name in _NAMES:
        if found := sorted(spatial.glob(f"*{name}")):
            return found[0]
    return None


def read_positions(spatial: Path) -> pd.DataFrame:
    """Return all spots of the array, indexed by barcode.

    The list of Space Ranger 1.x has no header, or sometimes one; later tables have one.

    Returns
    -------
    pandas.DataFrame
        Columns ``in_tissue`` (bool), ``array_row``, ``array_col`` (int64), ``y``, ``x``
        (full-resolution px, float64).

    Raises
    ------
    InputError
        Where the file is absent, has other columns, or a value that is no number.
    """
    path = find_positions(spatial)
    if path is None:
        raise InputError(
            f"{spatial.parent.name} holds no spot positions",
            expected=f"spatial/{_NAMES[0]} or spatial/{_NAMES[1]}",
            fix="Copy the whole spatial folder",
        )
    try:
        table = _parse(path)
    except (OSError, ValueError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise InputError(
            f"The spot positions {path.name} cannot be read",
            got=error,
            expected=", ".join(_COLUMNS),
        ) from error
    numbers = table[list(_COLUMNS[1:])].apply(pd.to_numeric, errors="coerce")
    bad = ~np.isfinite(numbers.to_numpy(np.float64)).all(axis=1)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise InputError(
            f"{path.name} has a spot without a position",
            got=", ".join(str(v) for v in table.iloc[row]),
            expected="five numbers for each barcode",
        )
    barcodes = pd.Index(table["barcode"].astype(str))
    if not barcodes.is_unique:
        raise InputError(f"{path.name} lists {barcodes[barcodes.duplicated()][0]} more than once")
    return pd.DataFrame(
        {
            "in_tissue": numbers["in_tissue"].to_numpy() == 1,
            "array_row": numbers["array_row"].to_numpy(np.int64),
            "array_col": numbers["array_col"].to_numpy(np.int64),
            "y": numbers["pxl_row_in_fullres"].to_numpy(np.float64),
            "x": numbers["pxl_col_in_fullres"].to_numpy(np.float64),
        },
        index=barcodes,
    )


def _parse(path: Path) -> pd.DataFrame:
    if path.suffix == ".parquet":
        table = pd.read_parquet(path)
        table = table if "barcode" in table else table.reset_index(names="barcode")
    else:
        table = pd.read_csv(path, header=None, dtype=str, skip_blank_lines=True)
        if "in_tissue" in table.iloc[0].tolist():
            header = table.iloc[0].tolist()
            table = table.iloc[1:].set_axis(["barcode", *header[1:]], axis=1)
        elif table.shape[1] == len(_COLUMNS):
            table = table.set_axis(list(_COLUMNS), axis=1)
    if missing := [c for c in _COLUMNS if c not in table.columns]:
        raise ValueError(f"no column {', '.join(missing)} among {list(table.columns)[:8]}")
    return table[list(_COLUMNS)]


def read_scalefactors(spatial: Path) -> dict[str, float]:
    """Return the numbers of ``scalefactors_json.json``, each positive and finite.

    Raises
    ------
    InputError
        Where the file is absent or broken.
    """
    found = sorted(spatial.glob("*scalefactors_json.json"))
    if not found:
        raise InputError(
            f"{spatial.parent.name} holds no scale factors",
            expected="spatial/scalefactors_json.json",
            fix="Copy the whole spatial folder; without it image and spots cannot be joined",
        )
    path = found[0]
    try:
        values = json.loads(path.read_text())
        factors = {k: float(v) for k, v in values.items() if isinstance(v, int | float)}
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(
            f"The scale factors {path.name} cannot be read",
            got=error,
            expected="a JSON table of numbers as Space Ranger writes it",
        ) from error
    for key, value in factors.items():
        if not (math.isfinite(value) and value > 0):
            raise InputError(f"{path.name} has an impossible {key}", got=value, expected="above 0")
    return factors
