"""Results written back: a table of predictions becomes a new element of a SpatialData store.

Nothing that is there is changed. The table is written whole to a temporary folder beside the store,
read back and compared, and only then renamed into the store. At every instant a reader finds either
the store as it was or the store with the table: first the record of the run appears beside the
store, then the table in it, then its line in the store's listing. What a killed run leaves between
two of these is put right when the store is next opened or written to.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from napari_umpire.errors import InputError
from napari_umpire.files import alone_in, scratch_beside
from napari_umpire.slides.elements import (
    INSTANCE_KEY,
    REGION_KEY,
    element_name,
    quiet_libraries,
)
from napari_umpire.slides.record_file import record_beside
from napari_umpire.slides.result_place import (
    check_new_store,
    is_backing,
    is_store_of,
    store_beside,
)
from napari_umpire.slides.store_listing import mend_store, prepare_listing, publish_listing
from napari_umpire.slides.table_check import check_numbers, differences

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anndata import AnnData

    from napari_umpire.slides.slide import Slide

__all__ = ["WrittenResult", "check_store", "write_results"]

_KINDS = ("images", "labels", "points", "shapes", "tables")
_OVERVIEW_PX = 2000
_TAKEN = (errno.EEXIST, errno.ENOTEMPTY)


@dataclass(frozen=True)
class WrittenResult:
    """Where a result is: the store at ``path``, its table named ``element``, and its record."""

    path: Path
    element: str
    record: Path | None = None


def write_results(
    slide: Slide,
    table: AnnData,
    *,
    name: str,
    store: str | Path | None = None,
    record: str | None = None,
) -> WrittenResult:
    """Write a table about a slide's spots as a new element of a SpatialData store.

    A slide that came from a store gets it there. Any other gets a store of its own,
    ``<image or folder name>.zarr`` beside what was opened, with the spots, the counts where there
    are any, the physical scale and an overview image of at most 2000 px; a second result goes to
    the same store.

    Parameters
    ----------
    slide
        The slide that the table is about.
    table
        One row per spot or per some of the spots; ``obs_names`` are spot ids. Region and instance
        keys are set here; keys that SpatialData does not allow are made legal.
    name
        Of the new table. Where an element has it already, "_2", "_3" and so on is added.
    store
        The store to write to, or to make.
    record
        What repeats the run, as YAML: the text of a file beside the store, named like store and
        table. It appears before the table does, and goes where the table does not come.

    Returns
    -------
    WrittenResult
        The store, the name that the table got, and the record.

    Raises
    ------
    InputError
        Where rows are no spots of the slide, values are infinite or all NaN, there is no place for
        a store, the store is another slide's, or the disk refuses.
    """
    check_numbers(table, name=slide.name)
    final = _annotated(slide, table)
    if store is not None:
        path = Path(store).expanduser()
        check_store(slide, path)
    elif slide.sdata.path is not None:
        path = Path(slide.sdata.path)
        _check_unchanged(slide, path)
    else:
        path = store_beside(slide)
    if is_backing(slide, path):
        _check_same(slide)
    with _explained(path):
        path = path.resolve()
        made = None if path.exists() else _create(slide, path, final, name, record)
        if made is not None:
            return made
        mend_store(path)
        return _insert(path, final, name, record)


def check_store(slide: Slide, path: Path) -> None:
    """Refuse a store of another slide, or a place where none can be made.

    To be asked before a result is computed for it.
    """
    if not path.exists():
        check_new_store(path)
    if path.exists() and not (is_backing(slide, path) or is_store_of(slide, path)):
        raise InputError(
            f"{path} does not hold the spots of {slide.name}",
            expected="a store of this slide, or a path where nothing is yet",
            fix="Name another store or output folder: two slides may have the same name",
        )


def _check_unchanged(slide: Slide, path: Path) -> None:
    """Refuse a store from which another program has taken the spots since it was opened."""
    elsewhere = "Save elsewhere, or open the slide again"
    if not path.is_dir():
        raise InputError(
            f"The store {path} is gone since {slide.name} was opened from it", fix=elsewhere
        )
    if not (path / "shapes" / slide.region).is_dir():
        raise InputError(
            f"The store {path} has lost the spots of {slide.name} since it was opened",
            expected=f"the shapes {slide.region!r}",
            fix=elsewhere,
        )


def _check_same(slide: Slide) -> None:
    """Refuse a store that has changed: a table about other spots than its own is no result."""
    try:
        slide.check_source()
    except InputError as error:
        raise InputError(
            error.problem,
            got=error.got,
            expected=error.expected,
            fix="Save elsewhere, or open the slide again and predict anew",
        ) from error


def _annotated(slide: Slide, table: AnnData) -> AnnData:
    """Return a copy of ``table`` that annotates the slide's shapes, with legal keys."""
    from spatialdata import sanitize_table
    from spatialdata.models import TableModel

    ids = table.obs_names.astype(str)
    if len(ids) == 0 or not ids.is_unique:
        raise InputError(
            f"A result for {slide.name} needs each spot once",
            got="no rows" if len(ids) == 0 else f"{ids[ids.duplicated()][0]} twice",
        )
    unknown = ids[~ids.isin(slide.spots.index)]
    if len(unknown):
        raise InputError(
            f"The result has rows that are no spots of {slide.name}",
            got=f"{len(unknown)} of {len(ids)}, such as {unknown[0]!r}",
            expected=f"spot ids such as {slide.spots.index[0]!r}",
        )
    region_key, instance_key = REGION_KEY, INSTANCE_KEY
    if slide.table is not None:
        keys = slide.sdata.tables[slide.table].uns["spatialdata_attrs"]
        region_key, instance_key = keys["region_key"], keys["instance_key"]
    region = slide.region if slide.sdata.path is not None else element_name(slide.region)
    with quiet_libraries():
        final = table.copy()
        sanitize_table(final)
        final.uns.pop("spatialdata_attrs", None)
        final.obs[region_key] = pd.Categorical([region] * len(ids))
        final.obs[instance_key] = slide.spots.loc[ids, "instance_id"].to_numpy()
        # By this key readers tell results from counts.
        record = final.uns.setdefault("umpire", {"slide": slide.name})
        json.dumps(record)
        return TableModel.parse(
            final, region=region, region_key=region_key, instance_key=instance_key
        )


def _create(
    slide: Slide, path: Path, table: AnnData, name: str, record: str | None
) -> WrittenResult | None:
    """Make a store of the slide with an overview image and the table.

    None where another run has made a store of this slide there in the meantime.
    """
    from napari_umpire.slides.convert import write_slide
    from napari_umpire.slides.overviews import with_overviews
    from napari_umpire.slides.pyramid import Pyramid

    levels = list(with_overviews(list(slide.pyramid.levels), _OVERVIEW_PX).levels)
    small = tuple(v for v in levels if max(v.shape) <= _OVERVIEW_PX)
    with scratch_beside(path) as folder:
        made = write_slide(replace(slide, pyramid=Pyramid(small)), folder / path.name)
        element = _insert(made, table, name, None).element
        try:
            with record_beside(
                record, path, element, scratch=folder, of=path / "tables" / element
            ) as file:
                os.rename(made, path)
        except OSError as error:
            if error.errno in _TAKEN and is_store_of(slide, path):
                return None
            raise
    return WrittenResult(path, element, file)


def _insert(store: Path, table: AnnData, name: str, record: str | None) -> WrittenResult:
    """Put the table into a store under a free name."""
    from spatialdata import SpatialData

    with scratch_beside(store) as folder, quiet_libraries():
        part = folder / "part.zarr"
        SpatialData(tables={"result": table}).write(part, sdata_formats=_formats(store))
        written = part / "tables" / "result"
        _verify(table, written)
        with alone_in(store):
            return _place(written, store, element_name(name), record, folder)


def _formats(store: Path) -> list | None:
    """Return the SpatialData format to write a part of ``store`` in: that of the store itself."""
    from spatialdata._io.format import SpatialDataContainerFormatV01

    return None if (store / "zarr.json").is_file() else [SpatialDataContainerFormatV01()]


def _verify(table: AnnData, written: Path) -> None:
    import anndata

    found = differences(table, anndata.read_zarr(written))
    if found:
        raise InputError(
            "The written table differs from the result when read back",
            got=", ".join(found),
            fix="Check the disk, and write again",
        )


def _place(
    written: Path, store: Path, name: str, record: str | None, folder: Path
) -> WrittenResult:
    """Rename the written table into the store under the first free name, and list it."""
    for element in _free_names(store, name):
        listing = prepare_listing(store, folder / f"listing_{element}", (element, written))
        place = store / "tables" / element
        try:
            with record_beside(record, store, element, scratch=folder, of=place) as file:
                _move(written, place, folder)
                try:
                    if listing is not None:
                        publish_listing(listing, store)
                except BaseException:
                    os.rename(place, written)
                    raise
        except OSError as error:
            # Another program may have taken the name in between.
            if error.errno not in _TAKEN:
                raise
        else:
            return WrittenResult(store, element, file)
    raise AssertionError("names do not end")


def _free_names(store: Path, name: str) -> Iterator[str]:
    number = 1
    while True:
        element = name if number == 1 else f"{name}_{number}"
        # Names are unique over all kinds of elements, whatever their case.
        taken = {p.name.lower() for kind in _KINDS for p in (store / kind).glob("*")}
        if element.lower() not in taken:
            yield element
        number += 1


def _move(written: Path, place: Path, folder: Path) -> None:
    """Rename the table into the store; where this has no tables yet, together with their group."""
    if place.parent.is_dir():
        os.rename(written, place)
        return
    group = folder / f"listing_{place.name}" / "tables"
    tables = folder / "tables"
    tables.mkdir()
    for described in group.iterdir():
        if described.is_file():
            shutil.copyfile(described, tables / described.name)
    os.rename(written, tables / place.name)
    os.rename(tables, place.parent)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Say what the disk's refusal means."""
    try:
        yield
    except (OSError, InputError) as error:
        cause = error.__cause__ if isinstance(error, InputError) else error
        if not isinstance(cause, OSError):
            raise
        raise InputError(
            f"The result cannot be written to {path}",
            got=cause,
            expected=f"a folder that can be written to, with room, at {path.parent}",
            fix="Free space there, or save elsewhere",
        ) from cause
