"""The non-zero numbers of one line of a count table."""

from __future__ import annotations

from typing import no_type_check

import numpy as np

from napari_umpire.compiled import compiled

__all__ = ["parse_counts"]


@no_type_check
def _scan(line, start, columns, values):
    """Fields from ``start`` on; return (fields, non-zero ones), or (-1, _) for what is no number.

    Whole numbers, also written 3.0; everything else is the caller's.
    """
    field, kept, i, n = 0, 0, start, len(line)
    while i <= n:
        value, digits, whole = 0.0, 0, True
        while i < n and line[i] != 44:  # comma
            c = line[i]
            if 48 <= c <= 57:
                if whole:
                    value = value * 10.0 + (c - 48)
                elif c != 48:
                    return -1, kept
                digits += 1
            elif c == 46 and whole:  # point
                whole = False
            else:
                return -1, kept
            i += 1
        if digits == 0 or field >= len(columns):
            return -1, kept
        if value != 0.0:
            columns[kept] = field
            values[kept] = value
            kept += 1
        field += 1
        i += 1
    return field, kept


_scan = compiled(_scan)


def parse_counts(
    line: bytes, start: int, columns: np.ndarray, values: np.ndarray
) -> tuple[int, int]:
    """Parse the comma-separated numbers of ``line`` from ``start`` on.

    Parameters
    ----------
    columns, values
        (n_columns,) int32 and float64, filled with the non-zero fields.

    Returns
    -------
    Fields in the line, and how many were not 0.

    Raises
    ------
    ValueError
        Where a field is not a number, or there are more than ``n_columns``.
    """
    fields, kept = _scan(np.frombuffer(line, np.uint8), start, columns, values)
    if fields >= 0:
        return fields, kept
    # Fractions, signs, exponents, quotes: slow, and rare enough.
    texts = line[start:].decode().replace('"', "").split(",")
    if len(texts) > len(columns):
        raise ValueError(f"{len(texts)} numbers under {len(columns)} columns")
    numbers = np.array([float(t) if t else np.nan for t in texts])
    nonzero = np.flatnonzero(numbers)
    columns[: len(nonzero)], values[: len(nonzero)] = nonzero, numbers[nonzero]
    return len(texts), len(nonzero)
