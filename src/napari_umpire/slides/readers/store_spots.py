"""The spots of a SpatialData store, joined with their table.

Columns and keys were written by others: each value is looked at before it is used, and what cannot
be used is counted in a warning.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_umpire.errors import InputError, UmpireWarning
from napari_umpire.slides.elements import SPOT_COLUMN
from napari_umpire.slides.readers.columns import are_places, truth
from napari_umpire.slides.readers.store_parts import table_keys
from napari_umpire.words import counted

if TYPE_CHECKING:
    from spatialdata import SpatialData

__all__ = ["read_spots"]

_ARRAY = ("array_row", "array_col")
_NUMBER_ANEW = "Number them anew, in shapes and table alike, and write the store again"


def read_spots(
    sdata: SpatialData, region: str, table: str | None, name: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The spots under tissue in the element's own coordinates.

    Returns
    -------
    spots
        As `Slide.spots`, in the coordinates of the shapes.
    array
        The spots, rows as ``spots``, of which only those are kept whose place in the array is
        known: y, x, array_row, array_col; without the last two where there are none.

    Raises
    ------
    InputError
        Where ids repeat or cannot be joined, or no spot is left.
    """
    circles = sdata.shapes[region]
    if circles.empty:
        raise InputError(
            f"{region!r} holds no spots",
            expected="one circle per spot",
            fix="Write the store again with its spots",
        )
    _check_ids(circles.index, f"the spots {region!r} of {name}")
    xy = np.column_stack([circles.geometry.x, circles.geometry.y]).astype(np.float64)
    spots = pd.DataFrame(
        {"y": xy[:, 1], "x": xy[:, 0], "instance_id": circles.index.to_numpy()},
    )
    own = pd.Series(circles.get(SPOT_COLUMN, circles.index)).reset_index(drop=True)
    ids = own if own.notna().all() and own.astype(str).is_unique else spots["instance_id"]
    array: pd.DataFrame = circles.reset_index(drop=True)
    placed = np.isfinite(xy).all(axis=1)
    if not placed.all():
        _say(f"{name}: {_have(~placed)} no finite position and {_be(~placed)} left out")
        rows = np.flatnonzero(placed)
        spots, array = (part.iloc[rows].reset_index(drop=True) for part in (spots, array))
        ids = ids.iloc[rows].reset_index(drop=True)
    if table is not None:
        spots, array, ids = _joined(sdata, region, table, name, spots)
    spots.index = pd.Index(np.asarray(ids).astype(str))
    array.index = spots.index
    inside = _in_tissue(array, name)
    spots, array = spots[inside].copy(), array[inside]
    if spots.empty:
        raise InputError(
            f"{region!r} has no spot under tissue",
            got=f"{len(inside):,} spots, of which the column in_tissue says 0",
            expected="1 for each spot under tissue",
            fix="Correct the column in_tissue of the table, and write the store again",
        )
    return spots, _with_array(spots, array, name)


def _joined(
    sdata: SpatialData, region: str, table: str, name: str, spots: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame, pd.Series]:
    """The spots that have a row in the table, their columns there, and their names."""
    obs = _rows(sdata, region, table, name, pd.Index(spots["instance_id"]))
    here = np.flatnonzero(spots["instance_id"].isin(obs.index))
    if not len(here):
        raise InputError(
            f"Table {table!r} and spots {region!r} have no instance in common",
            got=f"{_id(obs.index[0])} in the table, {_id(spots['instance_id'].iloc[0])} in the "
            "shapes",
            expected="instance ids that are the index of the shapes",
            fix="Give the table's instance column the values of the shapes' index",
        )
    if len(here) < len(spots) or len(here) < len(obs):
        _say(
            f"{name}: {len(spots) - len(here)} spots have no row in the table and "
            f"{len(obs) - len(here)} rows no spot; {len(here)} are kept"
        )
    spots = spots.iloc[here].reset_index(drop=True)
    obs = obs.loc[spots["instance_id"]]
    named = pd.Series(obs["_name"].to_numpy())
    ids = named if named.is_unique else spots["instance_id"]
    return spots, obs.drop(columns="_name").reset_index(drop=True), ids


def _rows(sdata: SpatialData, region: str, table: str, name: str, index: pd.Index) -> pd.DataFrame:
    """Rows of the region, indexed by instance in the type of the shapes' index, with `_name`.

    Where the types differ the key is converted in the table too, which is in memory only.
    """
    adata = sdata.tables[table]
    region_key, instance_key = table_keys(sdata, table)
    regions = adata.obs[region_key]
    mine = np.flatnonzero((regions.astype(str) == region) & regions.notna())
    if not len(mine):
        raise InputError(
            f"Table {table!r} has no row for {region!r}",
            got="rows of " + (", ".join(sorted(set(regions.dropna().astype(str)))[:5]) or "none"),
            expected=f"{region} in the column {region_key!r}, a row for each spot",
            fix="Correct that column, and write the store again",
        )
    obs = adata.obs.iloc[mine]
    known = obs[instance_key].notna().to_numpy()
    if not known.all():
        _say(f"{name}: {_have(~known, 'row')} no id in {instance_key!r} and {_be(~known)} left out")
        obs, mine = obs[known], mine[known]
    if obs.empty:
        raise InputError(
            f"Table {table!r} has no row with an id in {instance_key!r}",
            expected="the index of the shapes in that column",
            fix="Fill the column, and write the store again",
        )
    raw = pd.Index(obs[instance_key].to_numpy())
    instances = _like(raw, index, f"Table {table!r} and the spots {region!r} of {name}")
    _check_ids(instances, f"the table {table!r} of {name}")
    if instances.dtype != raw.dtype or not instances.equals(raw):
        column = adata.obs[instance_key].astype(object)
        column.iloc[mine] = instances.to_numpy()
        adata.obs[instance_key] = column
    return obs.set_index(instances).assign(_name=obs.index.astype(str))


def _like(keys: pd.Index, index: pd.Index, what: str) -> pd.Index:
    """The table's keys in the type of the shapes' index: numbers as text, or text as numbers.

    Raises
    ------
    InputError
        Where a conversion would be a guess; names both types.
    """
    have, want = _kind(keys), _kind(index)
    if have == want:
        return keys.astype(index.dtype) if have == "numbers" and _all_whole(keys) else keys
    converted: pd.Index | None = None
    if want == "numbers":
        numbers = pd.to_numeric(pd.Series(keys.astype(str)), errors="coerce")
        if _all_whole(pd.Index(numbers)):
            converted = pd.Index(numbers.astype(np.int64)).astype(index.dtype)
    elif _all_whole(keys):
        converted = pd.Index(keys.to_numpy().astype(np.int64)).astype(str)
    if converted is not None and converted.isin(index).any():
        return converted
    raise InputError(
        f"{what} have ids of different types",
        got=f"{have} such as {_id(keys[0])} in the table, {want} such as {_id(index[0])} in the "
        "shapes",
        expected="the same ids in both",
        fix="Give the table's instance column the values of the shapes' index",
    )


def _kind(keys: pd.Index) -> str:
    inferred = pd.api.types.infer_dtype(keys, skipna=True)
    return "numbers" if inferred in ("integer", "floating", "mixed-integer-float") else "text"


def _all_whole(keys: pd.Index) -> bool:
    values = keys.to_numpy(np.float64)
    return bool(np.isfinite(values).all() and (values == np.rint(values)).all())


def _check_ids(ids: pd.Index, what: str) -> None:
    if ids.hasnans:
        raise InputError(
            f"Spots have no id in {what}",
            got=f"{_spots(ids.isna())} without one",
            expected="an id for each",
            fix=_NUMBER_ANEW,
        )
    if not ids.is_unique:
        twice = ids[ids.duplicated()]
        raise InputError(
            f"An id occurs twice in {what}",
            got=_id(twice[0]) + (f" and {len(twice) - 1} more" if len(twice) > 1 else ""),
            expected="an id of its own for each spot",
            fix=_NUMBER_ANEW,
        )


def _in_tissue(array: pd.DataFrame, name: str) -> np.ndarray:
    """(n,) bool; a spot of which the column says nothing is kept, and counted in a warning."""
    if "in_tissue" not in array:
        return np.ones(len(array), bool)
    told = truth(array["in_tissue"])
    unclear = np.isnan(told)
    if unclear.any():
        first = array["in_tissue"].astype(object).to_numpy()[unclear][0]
        _say(
            f"{name}: the column in_tissue is neither 1 nor 0 for {_spots(unclear)} (such as "
            f"{_id(first)}), which {_be(unclear)} kept"
        )
    return told != 0


def _with_array(spots: pd.DataFrame, array: pd.DataFrame, name: str) -> pd.DataFrame:
    """Add the array columns to the spots where each has them; return those spots that have them."""
    if not set(_ARRAY) <= set(array):
        return spots[["y", "x"]].copy()
    columns = {c: pd.to_numeric(array[c].astype(object), errors="coerce") for c in _ARRAY}
    values = np.column_stack([columns[c].to_numpy(np.float64) for c in _ARRAY])
    good = np.all(are_places(values), axis=1)
    if not good.all():
        _say(
            f"{name}: {_have(~good)} no sensible place in array_row and array_col; the slide is "
            "opened without these columns"
        )
    shared = pd.DataFrame(values[good]).duplicated(keep=False).to_numpy()
    if shared.any():
        _say(
            f"{name}: {_spots(shared)} share their place in array_row and array_col; the slide is "
            "opened without these columns"
        )
    if shared.any() or not good.any():
        return spots[["y", "x"]].copy()
    known = spots.loc[good, ["y", "x"]].copy()
    for i, column in enumerate(_ARRAY):
        known[column] = values[good, i].astype(np.int64)
        if good.all():
            spots[column] = known[column]
    return known


def _id(value: object) -> str:
    return repr(value.item() if isinstance(value, np.generic) else value)


def _spots(which: Any) -> str:
    return counted(int(np.sum(which)), "spot")


def _have(which: Any, noun: str = "spot") -> str:
    number = int(np.sum(which))
    return f"{counted(number, noun)} {'has' if number == 1 else 'have'}"


def _be(which: Any) -> str:
    return "is" if int(np.sum(which)) == 1 else "are"


def _say(words: str) -> None:
    warnings.warn(words, UmpireWarning, stacklevel=4)
