"""HDF5 files that nobody vouches for: they name no other file, and hold what they claim."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_umpire.bounded import check_file
from napari_umpire.errors import InputError
from napari_umpire.faults import COPY_AGAIN, reading
from napari_umpire.words import size_on_disk

if TYPE_CHECKING:
    from pathlib import Path

    import h5py

__all__ = ["check_hdf5"]

# Deflate packs a thousand zeros into a byte; counts and names are packed to a twentieth.
_MOST_PACKED = 200
_SLACK = 64_000_000


def check_hdf5(path: Path) -> None:
    """Refuse a file whose links or datasets lie in other files, or that claims more than it holds.

    HDF5 follows such links without a word, so that a file from elsewhere could read any file of
    the computer; and a dataset may claim terabytes in a few bytes.

    Raises
    ------
    InputError
        Also where the file is damaged.
    """
    import h5py

    check_file(path)
    with reading(f"{path.name} cannot be read"), h5py.File(path, "r") as file:
        _check_group(file, path.name, set())


def _check_group(group: h5py.Group, where: str, seen: set[int]) -> None:
    import h5py

    # A group may hold itself.
    if (at := h5py.h5o.get_info(group.id).addr) in seen:
        return
    seen.add(at)
    for key in group:
        link = group.get(key, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            raise _elsewhere(where, f"a link to {link.filename}")
        if isinstance(link, h5py.SoftLink):
            continue  # what it leads to in this file is looked at where it lies
        item = group[key]
        if isinstance(item, h5py.Group):
            _check_group(item, where, seen)
        elif isinstance(item, h5py.Dataset):
            _check_dataset(item, where)


def _check_dataset(item: h5py.Dataset, where: str) -> None:
    if item.external or item.is_virtual:
        named = item.external[0][0] if item.external else item.virtual_sources()[0].file_name
        raise _elsewhere(where, f"{item.name} in {named}")
    claimed, held = item.size or 0, item.id.get_storage_size()
    claimed *= item.dtype.itemsize
    if claimed > _SLACK + _MOST_PACKED * held:
        raise InputError(
            f"{where} claims more than it holds",
            got=f"{size_on_disk(claimed)} by {item.name}, of which {size_on_disk(held)} are there",
            expected="a file that is whole",
            fix=COPY_AGAIN,
        )


def _elsewhere(where: str, got: str) -> InputError:
    return InputError(
        f"{where} refers to another file",
        got=got,
        expected="a file that holds its data itself",
        fix="Copy the data into one file, or ask its author for one",
    )
