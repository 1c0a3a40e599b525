"""Where the spots of a Space Ranger folder lie, and the scale of its images."""

from __future__ import annotations

import json
import math
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_umpire.bounded import check_file, read_json, unzipped
from napari_umpire.errors import InputError
from napari_umpire.faults import COPY_AGAIN, reading
from napari_umpire.slides.readers.columns import FARTHEST_PX, flags, whole_numbers

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["read_positions", "read_scalefactors"]

_COLUMNS = (
    "barcode",
    "in_tissue",
    "array_row",
    "array_col",
    "pxl_row_in_fullres",
    "pxl_col_in_fullres",
)
_FACTORS = (
    "tissue_hires_scalef",
    "tissue_lowres_scalef",
    "spot_diameter_fullres",
    "fiducial_diameter_fullres",
    "bin_size_um",
    "microns_per_pixel",
)
# The finest bins of Visium HD are 11 million.
_MOST_SPOTS = 20_000_000
_MOST_TEXT, _LONGEST_LINE = 1_000_000_000, 100_000


def read_positions(files: Sequence[Path], *, name: str) -> pd.DataFrame:
    """Return all spots of the array, indexed by barcode.

    The list of Space Ranger 1.x has no header, or sometimes one; later tables have one.

    Parameters
    ----------
    files
        The positions; where there are several they must say the same.
    name
        Of the slide, for messages.

    Returns
    -------
    pandas.DataFrame
        Columns ``in_tissue`` (bool), ``array_row``, ``array_col`` (int64), ``y``, ``x``
        (full-resolution px, float64).

    Raises
    ------
    InputError
        Where there is no file, it has other columns, or a value that cannot be; where several
        files contradict each other.
    """
    if not files:
        raise InputError(
            f"{name} holds no spot positions",
            expected="spatial/tissue_positions.csv or spatial/tissue_positions_list.csv",
            fix="Copy the whole spatial folder",
        )
    first, *others = (_read(path) for path in files)
    for path, other in zip(files[1:], others, strict=True):
        if not (len(other) == len(first) and first.equals(other.reindex(first.index))):
            raise InputError(
                f"{name} holds two tables of positions that differ",
                got=f"{files[0].name} and {path.name}",
                expected="one",
                fix="Move the one elsewhere that does not belong to this slide",
            )
    return first


def _read(path: Path) -> pd.DataFrame:
    what = f"The spot positions {path.name}"
    with reading(f"{what} cannot be read", expected=", ".join(_COLUMNS)):
        table = _parquet(path, what) if path.suffix == ".parquet" else _csv(path, what)
    barcodes = pd.Index(table["barcode"].astype(str).str.strip())
    if (table["barcode"].isna() | (barcodes == "")).any():
        row = int(np.flatnonzero(table["barcode"].isna() | (barcodes == ""))[0])
        raise InputError(
            f"{path.name} has a spot without a barcode",
            got=", ".join(str(v) for v in table.iloc[row]),
            expected="a barcode for each spot",
            fix=COPY_AGAIN,
        )
    if not barcodes.is_unique:
        raise InputError(
            f"{path.name} lists {barcodes[barcodes.duplicated()][0]} more than once",
            expected="each barcode once",
            fix=COPY_AGAIN,
        )
    array = pd.DataFrame(
        {
            "in_tissue": flags(table["in_tissue"], barcodes, where=path.name),
            "array_row": whole_numbers(table["array_row"], barcodes, where=path.name),
            "array_col": whole_numbers(table["array_col"], barcodes, where=path.name),
            "y": pd.to_numeric(table["pxl_row_in_fullres"], errors="coerce").to_numpy(np.float64),
            "x": pd.to_numeric(table["pxl_col_in_fullres"], errors="coerce").to_numpy(np.float64),
        },
        index=barcodes,
    )
    bad = ~(array[["y", "x"]].abs() <= FARTHEST_PX).all(axis=1).to_numpy()
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise InputError(
            f"{path.name} has a spot without a position",
            got=", ".join(str(v) for v in table.iloc[row]),
            expected=f"px of the full-resolution image, below {FARTHEST_PX:,.0f}",
            fix=COPY_AGAIN,
        )
    if len(array) > 1 and bool((array[["y", "x"]] == array[["y", "x"]].iloc[0]).all(axis=None)):
        raise InputError(
            f"{path.name} has all {len(array)} spots at one place",
            got=f"y {array['y'].iloc[0]:g}, x {array['x'].iloc[0]:g}",
            expected="a place of its own for each spot",
            fix="Copy the file again from its source",
        )
    return array


def _parquet(path: Path, what: str) -> pd.DataFrame:
    import pyarrow.parquet as pq

    check_file(path, what)
    if (rows := pq.read_metadata(path).num_rows) > _MOST_SPOTS:
        raise InputError(
            f"{what} cannot be read",
            got=f"{rows:,} rows",
            expected=f"at most {_MOST_SPOTS:,} spots",
            fix=COPY_AGAIN,
        )
    table = pd.read_parquet(path)
    return _ordered(table if "barcode" in table else table.reset_index(names="barcode"))


def _csv(path: Path, what: str) -> pd.DataFrame:
    with unzipped(path, limit=_MOST_TEXT, longest_line=_LONGEST_LINE, what=what) as stream:
        table = _text(stream)
    header = [str(v).strip().lower() for v in table.iloc[0]]
    numbers = pd.to_numeric(table.iloc[0, 1:], errors="coerce")
    if numbers.isna().all():
        if "barcode" not in header:
            header[0] = "barcode"
        table = table.iloc[1:].set_axis(header, axis=1)
    elif table.shape[1] == len(_COLUMNS):
        table = table.set_axis(list(_COLUMNS), axis=1)
    return _ordered(table)


def _text(stream: IO[bytes]) -> pd.DataFrame:
    return pd.read_csv(
        stream,
        header=None,
        dtype=str,
        keep_default_na=False,
        encoding="utf-8-sig",
        nrows=_MOST_SPOTS,
    )


def _ordered(table: pd.DataFrame) -> pd.DataFrame:
    if missing := [c for c in _COLUMNS if c not in table.columns]:
        raise ValueError(f"no column {', '.join(missing)} among {list(table.columns)[:8]}")
    if table.columns.duplicated().any():
        raise ValueError(f"the column {table.columns[table.columns.duplicated()][0]} twice")
    return table[list(_COLUMNS)]


def read_scalefactors(path: Path | None, *, name: str) -> dict[str, float]:
    """Return the known numbers of ``scalefactors_json.json``, each positive and finite.

    Raises
    ------
    InputError
        Where the file is absent or broken, or a value is no such number.
    """
    if path is None:
        raise InputError(
            f"{name} holds no scale factors",
            expected="spatial/scalefactors_json.json",
            fix="Copy the whole spatial folder; without it image and spots cannot be joined",
        )
    expected = "a JSON table of numbers as Space Ranger writes it"
    what = f"The scale factors {path.name}"
    values = read_json(path, limit=1_000_000, what=what, expected=expected)
    if not isinstance(values, dict):
        raise InputError(f"{what} cannot be read", got=_short(values), expected=expected)
    return {
        key: _factor(values[key], key, path.name) for key in _FACTORS if values.get(key) is not None
    }


def _factor(value: Any, key: str, where: str) -> float:
    # R writes a number as a list of one; some programs write it as text.
    inner = value[0] if isinstance(value, list) and len(value) == 1 else value
    number = math.nan
    if isinstance(inner, int | float | str) and not isinstance(inner, bool):
        try:
            number = float(inner)
        except (ValueError, OverflowError):
            number = math.nan
    if not (math.isfinite(number) and number > 0):
        raise InputError(
            f"{where} has an impossible {key}",
            got=_short(value),
            expected="a number above 0",
            fix="Copy the file again from its source",
        )
    return number


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:60]} ..."
