"""The listing of a store: what its root says of all elements, so that a reader opens one file.

zarr calls it consolidated metadata. A reader that finds one looks no further, so that an element
which is not listed is not there for it. A new listing is made beside the store, and takes the place
of the old one by one rename.
"""

from __future__ import annotations

import json
import os
import shutil
import warnings
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from napari_umpire.bounded import read_text
from napari_umpire.errors import InputError, UmpireWarning
from napari_umpire.faults import reading
from napari_umpire.files import alone_in, remove_leftovers, scratch_beside
from napari_umpire.slides.elements import quiet_libraries

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["consolidate", "mend_store", "prepare_listing", "publish_listing"]

_DESCRIBED = ("zarr.json", ".zgroup", ".zarray", ".zattrs", ".zmetadata")
_NODES = _DESCRIBED[:3]
_LIMIT = 256_000_000


def prepare_listing(store: Path, folder: Path, new: tuple[str, Path] | None = None) -> Path | None:
    """Make the listing of a store as it is, with a table that is still to come.

    Parameters
    ----------
    folder
        A folder to make, on the disk of the store. What describes the store is copied there, which
        is little: the data stay where they are.
    new
        Name and folder of the table.

    Returns
    -------
    Path | None
        The file to hand to `publish_listing`; None where the store has no listing.

    Raises
    ------
    InputError
        Where what describes the store is damaged.
    OSError
        Where the disk refuses.
    """
    import zarr

    damaged = partial(
        reading,
        f"The store {store.name} cannot be read",
        expected="a complete SpatialData store",
        fix="Write or copy it again",
    )
    _copy_described(store, folder)
    with damaged(), quiet_libraries():
        root = zarr.open_group(folder, mode="r+", use_consolidated=False)
        root.require_group("tables")
        listed = zarr.open_group(folder, mode="r").metadata.consolidated_metadata is not None
    if new is not None:
        _copy_described(new[1], folder / "tables" / new[0])
    if not listed:
        return None
    with damaged():
        consolidate(folder)
    made = folder / ("zarr.json" if (folder / "zarr.json").is_file() else ".zmetadata")
    with made.open("rb+") as file:
        os.fsync(file.fileno())
    return made


def publish_listing(made: Path, store: Path) -> None:
    """Let a listing take the place of the store's own, with the rights that this one has."""
    with suppress(OSError):
        shutil.copymode(store / made.name, made)
    os.replace(made, store / made.name)


def consolidate(store: Path) -> None:
    """Let zarr write the listing of a store that nobody else has seen yet."""
    import zarr

    with quiet_libraries(), warnings.catch_warnings():
        # Of parquet files, which are no zarr.
        warnings.filterwarnings("ignore", category=zarr.errors.ZarrUserWarning)
        zarr.consolidate_metadata(zarr.open_group(store, mode="r+", use_consolidated=False).store)


def mend_store(store: Path) -> None:
    """Finish what a killed run began: remove its leftovers, and list its table.

    What cannot be mended is left as it is, for the store is readable: with a warning where its
    description is damaged, without one on a disk that is read-only.
    """
    remove_leftovers(store)
    with suppress(OSError), _warned():
        if not _unlisted(store):
            return
        with scratch_beside(store) as folder, alone_in(store):
            made = prepare_listing(store, folder / "listing") if _unlisted(store) else None
            if made is not None:
                publish_listing(made, store)


@contextmanager
def _warned() -> Iterator[None]:
    try:
        yield
    except InputError as error:
        warnings.warn(f"A result stays unlisted: {error}", UmpireWarning, stacklevel=4)


def _unlisted(store: Path) -> list[str]:
    """Tables of results that lie in the store, but are not in its listing."""
    tables = store / "tables"
    ours = [p.name for p in tables.glob("*") if (p / "uns" / "umpire").is_dir()]
    if not ours:
        return []
    listed = _listed(store)
    if listed is None:
        return []
    return [n for n in ours if not {f"tables/{n}", f"tables/{n}/.zgroup"} & set(listed)]


def _listed(store: Path) -> dict[str, Any] | None:
    """What the root lists; None where it lists nothing, or cannot be read."""
    for name in ("zarr.json", ".zmetadata"):
        if not (store / name).is_file():
            continue
        try:
            about = json.loads(read_text(store / name, limit=_LIMIT))
            listing = about.get("consolidated_metadata", about)
            return dict(listing["metadata"])
        except (InputError, ValueError, RecursionError, AttributeError, KeyError, TypeError):
            return None
    return None


def _copy_described(source: Path, target: Path) -> None:
    """Copy what describes a group and the groups and arrays in it, without their data."""
    target.mkdir(parents=True, exist_ok=True)
    with os.scandir(source) as entries:
        for entry in entries:
            if entry.name in _DESCRIBED and entry.is_file():
                shutil.copyfile(entry.path, target / entry.name)
            elif entry.is_dir() and any(
                os.path.isfile(os.path.join(entry.path, name)) for name in _NODES
            ):
                _copy_described(source / entry.name, target / entry.name)
