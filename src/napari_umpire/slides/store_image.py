"""Images of a SpatialData store as levels that read zarr chunks, not dask graphs."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from napari_umpire.errors import InputError
from napari_umpire.slides.overviews import with_overviews
from napari_umpire.slides.pyramid import Level, Pyramid, over_white, usable_levels

if TYPE_CHECKING:
    from pathlib import Path

    import dask.array as da
    import zarr
    from spatialdata import SpatialData
    from xarray import DataArray, DataTree

__all__ = ["StoreLevel", "first_scale", "is_rgb", "store_pyramid"]

_LARGE = 4096
_TILE = 1024


class StoreLevel(Level):
    """One scale of an image element, (c, y, x) uint8 with 3 or 4 channels; alpha is over white.

    A tile is a chunk of the array, so that each chunk is decoded once. Chunks that cover more than
    4096 px each way are handed out in pieces, because a tile is held in memory by its readers.
    """

    def __init__(self, array: zarr.Array | da.Array, downsample: float) -> None:
        self._array = array
        self.shape = (int(array.shape[1]), int(array.shape[2]))
        chunk = tuple(c[0] if isinstance(c, tuple) else c for c in array.chunks)
        high, wide = (
            min(int(c), n) if c <= _LARGE else _TILE
            for c, n in zip(chunk[1:], self.shape, strict=True)
        )
        self.tile = (high, wide)
        self.downsample = float(downsample)

    def _read_tile(self, row: int, col: int) -> np.ndarray:
        (th, tw), (h, w) = self.tile, self.shape
        y, x = row * th, col * tw
        try:
            block: Any = self._array[:, y : min(y + th, h), x : min(x + tw, w)]
            if hasattr(block, "compute"):
                block = block.compute(scheduler="synchronous")
        except (OSError, RuntimeError, ValueError) as error:  # codecs raise what they like
            raise InputError(
                "An image of the store cannot be decoded",
                got=error,
                expected=f"pixels at y {y}, x {x} of its scale of {h} x {w} px",
                fix="Write or copy the store again",
            ) from error
        pixels = np.moveaxis(np.asarray(block), 0, 2)
        if pixels.shape[2] == 4:
            return over_white(pixels)
        return np.ascontiguousarray(pixels)


def is_rgb(element: DataArray | DataTree) -> bool:
    """Whether an image element is two-dimensional, of 3 or 4 channels and 8 bits."""
    first = first_scale(element)
    return first.dims == ("c", "y", "x") and first.sizes["c"] in (3, 4) and first.dtype == np.uint8


def first_scale(element: DataArray | DataTree) -> DataArray:
    """The finest scale of an image element."""
    return _scales(element)[0]


def store_pyramid(
    sdata: SpatialData, name: str, downsample: float = 1.0, *, complete: bool = False
) -> Pyramid:
    """Return the image element ``name`` as a pyramid.

    Parameters
    ----------
    downsample
        Full-resolution px per px of the element's finest scale.
    complete
        Whether every piece of the image was written, so that none may be missing.

    Raises
    ------
    InputError
        Where pieces are missing.
    """
    scales = _scales(sdata.images[name])
    if sdata.path is not None:
        _check_chunks(sdata.path / "images" / name)
    arrays = _zarr_arrays(sdata.path, name, len(scales)) if sdata.path is not None else None
    if complete and arrays is not None and sdata.path is not None:
        _check_complete(sdata.path / "images" / name, arrays)
    levels: list[Level] = []
    for i, factor in usable_levels([_size(scale) for scale in scales], name=f"Image {name!r}"):
        array = scales[i].data if arrays is None else arrays[i]
        levels.append(StoreLevel(array, downsample * factor))
    return with_overviews(levels)


_DESCRIBED = {"zarr.json", ".zarray", ".zattrs", ".zgroup"}


def _check_complete(image: Path, arrays: list[zarr.Array]) -> None:
    """Refuse an image that has lost pieces."""
    for array in arrays:
        pieces = array.shards or array.chunks
        wanted = math.prod(-(-n // c) for n, c in zip(array.shape, pieces, strict=True))
        folder = image / array.basename
        there = sum(len(set(files) - _DESCRIBED) for _, _, files in os.walk(folder))
        if there < wanted:
            raise InputError(
                f"The image {image.name!r} of the store {image.parents[1].name} is not whole",
                got=f"{there:,} of {wanted:,} pieces of its scale {folder.name}",
                expected="every piece, since a missing one would be read as black",
                fix="Copy the store again",
            )


def _check_chunks(image: Path) -> None:
    """Refuse an image of which only the description is there: zarr reads what is absent as 0."""
    for scale in image.iterdir() if image.is_dir() else ():
        if scale.is_dir() and not any(p.name not in _DESCRIBED for p in scale.iterdir()):
            raise InputError(
                f"Image {image.name!r} of the store {image.parents[1].name} holds no pixels",
                got=f"no chunk in {scale.name}",
                fix="Copy the store again",
            )


def _size(scale: DataArray) -> tuple[int, int]:
    return scale.sizes["y"], scale.sizes["x"]


def _scales(element: DataArray | DataTree) -> list[DataArray]:
    from xarray import DataArray

    if isinstance(element, DataArray):
        return [element]
    return [next(iter(element[key].data_vars.values())) for key in element]


def _zarr_arrays(store: Path, name: str, count: int) -> list[zarr.Array] | None:
    """The zarr arrays behind an element, None where the store has them otherwise (unsaved)."""
    import zarr

    try:
        group = zarr.open_group(store, path=f"images/{name}", mode="r")
    except FileNotFoundError:
        return None
    attrs: dict[str, Any] = group.attrs.asdict()
    multiscales = attrs.get("ome", attrs).get("multiscales", [])
    paths = [d["path"] for d in multiscales[0]["datasets"]] if multiscales else []
    arrays = [group[p] for p in paths]
    return cast("list[zarr.Array]", arrays) if len(arrays) == count else None
