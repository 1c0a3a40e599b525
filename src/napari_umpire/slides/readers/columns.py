"""Columns of foreign tables: checked value by value, never cast."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_umpire.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["FARTHEST_PX", "are_places", "flags", "truth", "whole_numbers"]

FARTHEST_PX = 1e7
"""No microscope image is larger."""

_FARTHEST = 1_000_000
"""Rows and columns of an array beyond this are mistakes; those of Visium HD end at 3,350."""


def flags(column: pd.Series, spots: Sequence[str] | pd.Index, *, where: str) -> np.ndarray:
    """Return (n,) bool of a column of 1 and 0 or the like, see `truth`.

    Raises
    ------
    InputError
        For any other value, with its spot.
    """
    told = truth(column)
    _refuse(np.isnan(told), column, spots, where, "1 or 0 for each spot")
    return told == 1


def truth(column: pd.Series) -> np.ndarray:
    """Return (n,) float64: 1 for 1, true or yes, 0 for 0, false or no, NaN for all else."""
    text = column.astype(object).map(lambda value: str(value).strip().lower())
    words = text.map({"true": 1.0, "yes": 1.0, "false": 0.0, "no": 0.0})
    numbers = words.fillna(pd.to_numeric(text, errors="coerce")).to_numpy(np.float64)
    return np.where(np.isin(numbers, (0.0, 1.0)), numbers, np.nan)


def are_places(numbers: np.ndarray) -> np.ndarray:
    """Which numbers, of any shape, can be rows or columns of an array: whole, up to a million."""
    with np.errstate(invalid="ignore"):
        good: np.ndarray = (np.abs(numbers) <= _FARTHEST) & (numbers == np.round(numbers))
    return good


def whole_numbers(column: pd.Series, spots: Sequence[str] | pd.Index, *, where: str) -> np.ndarray:
    """Return (n,) int64 of a column of rows or columns of an array.

    Raises
    ------
    InputError
        For a value that is no whole number, or beyond a million, with its spot.
    """
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(np.float64)
    _refuse(~are_places(numbers), column, spots, where, f"a whole number of at most {_FARTHEST:,}")
    return numbers.astype(np.int64)


def _refuse(
    bad: np.ndarray, column: pd.Series, spots: Sequence[str] | pd.Index, where: str, expected: str
) -> None:
    if not bad.any():
        return
    row = int(np.flatnonzero(bad)[0])
    more = f" (and {int(bad.sum()) - 1:,} more)" if bad.sum() > 1 else ""
    value = str(column.iloc[row])
    raise InputError(
        f"{where} has an impossible {column.name}",
        got=f"{value[:40] or 'nothing'} for spot {spots[row]}{more}",
        expected=expected,
        fix="Copy the file again from its source",
    )
