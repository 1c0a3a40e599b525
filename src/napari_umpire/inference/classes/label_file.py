"""Classes of spots from a CSV or TSV file: by spot id, or by array coordinates."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd

from napari_umpire.errors import InputError
from napari_umpire.inference.classes.label_sources import (
    MAX_CLASSES,
    LabelReading,
    labels_of_values,
)

__all__ = ["Spots", "class_column", "class_columns", "labels_of_file"]

_KEYS = ("spot", "spot_id", "barcode", "id", "cell", "cell_id", "instance_id")
_CLASS = ("label", "labels", "class", "annotation", "annot_type", "region")


class Spots(Protocol):
    """What a table of classes is matched with: a `Slide`, or the spots of counts alone."""

    @property
    def name(self) -> str:
        """What people call it."""

    @property
    def spots(self) -> pd.DataFrame:
        """Index = spot id."""

    @property
    def n_spots(self) -> int:
        """Number of spots."""


def class_columns(path: str | Path) -> list[str]:
    """Names of the file's columns that could hold classes, the likeliest first."""
    table = _read(Path(path))
    return _class_columns(table)


def class_column(path: str | Path) -> str | None:
    """The column that holds the classes, None where the user must say which."""
    columns = class_columns(path)
    obvious = [c for c in columns if c.lower() in _CLASS]
    if obvious:
        return obvious[0]
    return columns[0] if len(columns) == 1 else None


def labels_of_file(slide: Spots, path: str | Path, column: str | None = None) -> LabelReading:
    """Classes of the spots of ``slide`` from a table of spots with a header.

    A row belongs to the spot whose id its first column, or one called spot, barcode or id, holds;
    else, as in label files of legacy Spatial Transcriptomics, to the spot "XxY" of its rounded
    columns x and y. Spots that the file does not name have no class.

    Parameters
    ----------
    column
        Which column holds the classes; None: the only one that can, or one called label, class,
        annotation or region.

    Raises
    ------
    InputError
        For a file that is no table; without a row for any spot; with two classes for one spot;
        with no class at all.
    """
    path = Path(path)
    table = _read(path)
    column = column or class_column(path)
    if column is None or column not in table:
        raise InputError(
            f"{path.name} does not say which of its columns holds the classes"
            if column is None
            else f"{path.name} has no column {column!r}",
            got=", ".join(_class_columns(table)[:8]) or "no column with few different values",
            expected="a column called label",
            fix="Choose the column",
        )
    keys, unplaced = _spot_ids(table, slide, path)
    rows = pd.DataFrame({"spot": keys, "label": table[column].str.strip()})
    rows = rows[rows["spot"].isin(slide.spots.index)]
    rows = rows[rows["label"].notna() & (rows["label"] != "")].drop_duplicates()
    twice = rows["spot"][rows["spot"].duplicated()]
    if len(twice):
        said = rows["label"][rows["spot"] == twice.iloc[0]]
        raise InputError(
            f"{path.name} gives the spot {twice.iloc[0]} two classes",
            got=" and ".join(said[:2]),
            expected="one row per spot",
        )
    if rows.empty:
        raise InputError(
            f"{path.name} holds no class for any spot of {slide.name}",
            got=f"an empty column {column!r}",
            expected="a class in at least one row",
        )
    values = rows.set_index("spot")["label"].reindex(slide.spots.index)
    if values.nunique() > MAX_CLASSES:
        raise InputError(
            f"The column {column!r} of {path.name} holds no classes",
            got=f"{values.nunique():,} different values",
            expected=f"at most {MAX_CLASSES}",
        )
    labels = labels_of_values(column, values)
    notes = [f"{len(rows):,} of {slide.n_spots:,} spots have a class in {path.name}."]
    if unplaced:
        notes.append(f"{unplaced:,} of its rows have no coordinates.")
    extra = int((~pd.Series(keys).dropna().isin(slide.spots.index)).sum())
    if extra:
        notes.append(f"{extra:,} of its rows name no spot of this slide.")
    return LabelReading(labels, tuple(notes))


def _read(path: Path) -> pd.DataFrame:
    """All columns as text, missing values as NaN."""
    try:
        # The name of the first column tells the separator: a tab wins, as names hold no tabs.
        head = pd.read_csv(path, sep="\x1f", nrows=1, header=None, dtype=str, quoting=3).iloc[0, 0]
        sep = max(
            "\t;,",
            key=lambda mark: (str(head).count(mark) > 0, mark == "\t", str(head).count(mark)),
        )
        table = pd.read_csv(path, sep=sep, dtype=str)
    except (OSError, ValueError, EOFError, pd.errors.ParserError) as error:
        raise InputError(
            f"{path} is not a table of text",
            got=error,
            expected="a CSV or TSV file with a header",
        ) from error
    table.columns = [str(c).strip() for c in table.columns]
    if len(table.columns) < 2 or table.empty:
        raise InputError(
            f"{path.name} is not a table of spots",
            got=f"{len(table)} rows, columns {', '.join(table.columns)}",
            expected="a header, and a row per spot with its id and its class",
        )
    return table


def _class_columns(table: pd.DataFrame) -> list[str]:
    def possible(name: str) -> bool:
        values = table[name].dropna()
        n = values.nunique()
        # Coordinates and measurements: numbers with a fraction.
        return 1 <= n <= MAX_CLASSES and not values.str.fullmatch(r"[-+]?\d*\.\d+").any()

    names = [c for c in table.columns if c.lower() not in ("x", "y", *_KEYS) and possible(c)]
    return sorted(names, key=lambda c: c.lower() not in _CLASS)


def _spot_ids(table: pd.DataFrame, slide: Spots, path: Path) -> tuple[np.ndarray, int]:
    """The spot that each row speaks of, None where it cannot be told, and how many those are."""
    names = [table.columns[0], *(c for c in table.columns[1:] if c.lower() in _KEYS)]
    choices = [table[c].str.strip().to_numpy(object) for c in names]
    by_name = {c.lower(): c for c in table.columns}
    if {"x", "y"} <= by_name.keys():
        xy = table[[by_name["x"], by_name["y"]]].apply(pd.to_numeric, errors="coerce")
        known = np.isfinite(xy).all(axis=1).to_numpy()
        ids = np.full(len(table), None, object)
        rounded = xy[known].round().astype(np.int64)
        ids[known] = [f"{x}x{y}" for x, y in rounded.itertuples(index=False)]
        choices.append(ids)
    found = [int(pd.Series(ids).isin(slide.spots.index).sum()) for ids in choices]
    best = int(np.argmax(found))
    if found[best] == 0:
        raise InputError(
            f"{path.name} names no spot of {slide.name}",
            got=f"rows such as {choices[0][0]}",
            expected=f"spots such as {slide.spots.index[0]}" if slide.n_spots else "a spot",
            fix="Choose the file that belongs to this slide",
        )
    return choices[best], int(pd.isna(choices[best]).sum())
