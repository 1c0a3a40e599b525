"""Which elements of a SpatialData store belong together: the spots and their table."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_umpire.errors import InputError, UmpireWarning

if TYPE_CHECKING:
    from spatialdata import SpatialData

__all__ = ["choose_table", "circle_elements", "spot_regions", "store_name", "table_keys"]

_SAMPLE = 100_000


def circle_elements(sdata: SpatialData) -> list[str]:
    """Names of the shapes elements that are circles."""
    return [
        name
        for name, shapes in sdata.shapes.items()
        if "radius" in shapes and (shapes.geom_type == "Point").all()
    ]


def spot_regions(sdata: SpatialData, store: str) -> list[str]:
    """The elements of circles that a table annotates, else all elements of circles."""
    circles = circle_elements(sdata)
    if not circles:
        raise InputError(
            f"{store} holds no spots",
            got="shapes " + (", ".join(sdata.shapes) or "none") + " without circles",
            expected="a shapes element of circles, one per spot",
        )
    annotated = {r for table in sdata.tables for r in _regions_of(sdata, table)}
    return [c for c in circles if c in annotated] or circles


def choose_table(sdata: SpatialData, region: str, recorded: str | None) -> str | None:
    """The table with the raw counts of a region, None where nothing was measured.

    Tables that hold results (``uns["umpire"]``) or other numbers than counts are passed over. Where
    ``X`` was transformed but ``layers["counts"]`` is raw, that layer takes its place in memory. A
    table of counts that annotates nothing in the store is named in a warning.
    """
    if recorded is not None and recorded in sdata.tables:
        table = sdata.tables[recorded]
        if table.X is None:
            raise InputError(
                f"Table {recorded!r} of {store_name(sdata)} holds no counts",
                expected="the counts that the slide was stored with",
                fix="Convert the slide again",
            )
        if "counts" not in table.layers and region in _regions_of(sdata, recorded):
            return recorded
    mine = [
        name
        for name in sdata.tables
        if region in _regions_of(sdata, name) and "umpire" not in sdata.tables[name].uns
    ]
    raw = [name for name in mine if _is_raw(sdata.tables[name].X)]
    if not raw:
        raw = [name for name in mine if _is_raw(sdata.tables[name].layers.get("counts"))]
        for name in raw[:1]:
            sdata.tables[name].X = sdata.tables[name].layers["counts"].copy()
            warnings.warn(
                f"Table {name!r} is transformed; its layer 'counts' is used", UmpireWarning, 4
            )
    if mine and not raw:
        warnings.warn(
            f"No table of {region!r} holds raw counts ({', '.join(mine)}); "
            "the slide is opened as not measured",
            UmpireWarning,
            stacklevel=4,
        )
    if not mine:
        _warn_of_strays(sdata, region)
    if len(raw) > 1:
        first = next((n for n in (recorded, "table") if n in raw), raw[0])
        warnings.warn(
            f"Several tables hold counts of {region!r} ({', '.join(raw)}); {first!r} is used",
            UmpireWarning,
            stacklevel=4,
        )
        return first
    return raw[0] if raw else None


def table_keys(sdata: SpatialData, table: str) -> tuple[str, str]:
    """Columns of a table's obs that name the region and the instance.

    Raises
    ------
    InputError
        Where one of them is not there.
    """
    keys = _attrs_of(sdata, table)
    found = keys.get("region_key"), keys.get("instance_key")
    for key in found:
        if key not in sdata.tables[table].obs:
            raise InputError(
                f"Table {table!r} of {store_name(sdata)} has no column {key!r}",
                got=", ".join(map(str, sdata.tables[table].obs)) or "no columns",
                expected="the columns of region and instance that it names itself",
                fix="Annotate it again with spatialdata.models.TableModel.parse",
            )
    return str(found[0]), str(found[1])


def _warn_of_strays(sdata: SpatialData, region: str) -> None:
    """Name the tables of counts that annotate nothing: they might be about this region."""
    for name in sdata.tables:
        table = sdata.tables[name]
        about = _regions_of(sdata, name)
        if any(r in sdata for r in about) or "umpire" in table.uns:
            continue
        if not (_is_raw(table.X) or _is_raw(table.layers.get("counts"))):
            continue
        said = f"annotates {', '.join(about)}, which is not there" if about else "annotates nothing"
        warnings.warn(
            f"Table {name!r} of {store_name(sdata)} holds counts, but {said}; {region!r} is opened "
            "as not measured. To join them, give its obs a column of region names and one of spot "
            f"ids, and call TableModel.parse(table, region={region!r}, region_key=..., "
            "instance_key=...)",
            UmpireWarning,
            stacklevel=5,
        )


def _attrs_of(sdata: SpatialData, table: str) -> dict[str, Any]:
    found = sdata.tables[table].uns.get("spatialdata_attrs", {})
    return dict(found) if hasattr(found, "items") else {}


def _regions_of(sdata: SpatialData, table: str) -> list[str]:
    region = _attrs_of(sdata, table).get("region")
    if region is None:
        return []
    return [str(r) for r in np.atleast_1d(np.asarray(region, dtype=object)).ravel()]


def _is_raw(counts: object) -> bool:
    if counts is None:
        return False
    values = np.asarray(getattr(counts, "data", counts)).ravel()[:_SAMPLE]
    if values.size == 0 or values.dtype.kind not in "iuf":
        return False
    return bool((values >= 0).all() and (values == np.rint(values)).all())


def store_name(sdata: SpatialData) -> str:
    """What to call a store in a message."""
    return "The store" if sdata.path is None else sdata.path.name
