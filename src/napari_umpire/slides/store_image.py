"""Images of a SpatialData store as levels that read zarr chunks, not dask graphs."""

from __future__ import annotations

import math
import os
import warnings
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from napari_umpire.errors import InputError, UmpireWarning
from napari_umpire.faults import reading
from napari_umpire.slides.channels import UNNAMED, Channels, colour_channels
from napari_umpire.slides.overviews import with_overviews
from napari_umpire.slides.pyramid import Level, Pyramid, over_white, usable_levels

if TYPE_CHECKING:
    from pathlib import Path

    import dask.array as da
    import zarr
    from spatialdata import SpatialData
    from xarray import DataArray, DataTree

__all__ = [
    "StoreLevel",
    "first_scale",
    "is_rgb",
    "mark_complete",
    "store_pyramid",
    "stored_levels",
]

_LARGE = 4096
_TILE = 1024


class StoreLevel(Level):
    """One scale of an image element, (c, y, x) uint8, as red, green, blue; alpha is over white.

    A tile is a chunk of the array, so that each chunk is decoded once. Chunks that cover more than
    4096 px each way are handed out in pieces, because a tile is held in memory by its readers.
    """

    def __init__(
        self, array: zarr.Array | da.Array, downsample: float, channels: Channels = UNNAMED
    ) -> None:
        self._array = array
        alpha = () if channels.alpha is None else (channels.alpha,)
        self._order = [*channels.rgb, *alpha]
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
        with reading(
            "An image of the store cannot be decoded",
            expected=f"pixels at y {y}, x {x} of its scale of {h} x {w} px",
            fix="Write or copy the store again",
        ):
            block: Any = self._array[:, y : min(y + th, h), x : min(x + tw, w)]
            if hasattr(block, "compute"):
                block = block.compute(scheduler="synchronous")
        block = np.asarray(block)
        if self._order != list(range(len(block))):
            block = block[self._order]
        pixels = np.moveaxis(block, 0, 2)
        if len(self._order) == 4:
            return over_white(pixels)
        return np.ascontiguousarray(pixels)


def is_rgb(element: DataArray | DataTree) -> bool:
    """Whether an image element is two-dimensional, red-green-blue by its names, and of 8 bits."""
    return colour_channels(first_scale(element)) is not None


def first_scale(element: DataArray | DataTree) -> DataArray:
    """The finest scale of an image element."""
    return _scales(element)[0]


def store_pyramid(sdata: SpatialData, name: str, downsample: float = 1.0) -> Pyramid:
    """Return the image element ``name`` as a pyramid.

    Parameters
    ----------
    downsample
        Full-resolution px per px of the element's finest scale.

    Raises
    ------
    InputError
        Where pieces are missing.
    """
    scales = _scales(sdata.images[name])
    channels = colour_channels(scales[0])
    if channels is None:
        raise ValueError(f"{name} is not a red-green-blue image")
    if channels.aside is not None:
        warnings.warn(
            f"Image {name!r}: channel {channels.aside} is neither red, green, blue nor alpha; "
            "it is ignored",
            UmpireWarning,
            stacklevel=2,
        )
    arrays: list[Any] = [scale.data for scale in scales]
    if sdata.path is not None:
        stored = _whole_arrays(sdata.path, name)
        if len(stored) == len(scales):
            arrays = stored
    levels: list[Level] = []
    usable = usable_levels([_size(scale) for scale in scales], name=f"Image {name!r}")
    # Transformations speak of the first scale, which need not be the finest.
    own = dict(usable).get(0, 1.0)
    for i, factor in usable:
        levels.append(StoreLevel(arrays[i], downsample * factor / own, channels))
    return with_overviews(levels)


def stored_levels(store: Path, name: str) -> list[StoreLevel]:
    """The scales of an image that we wrote, finest first, read from the disk.

    Raises
    ------
    InputError
        Where pieces are missing.
    """
    return [StoreLevel(array, 1.0) for array in _whole_arrays(store, name)]


def _whole_arrays(store: Path, name: str) -> list[zarr.Array]:
    """The arrays of an image element, none of which is known to have lost a piece."""
    _check_chunks(store / "images" / name)
    group, arrays = _zarr_arrays(store, name)
    _check_complete(store / "images" / name, group, arrays)
    return arrays


_DESCRIBED = {"zarr.json", ".zarray", ".zattrs", ".zgroup"}


_MARK = "napari_umpire"


def mark_complete(store: Path, name: str) -> None:
    """Note in an image's own attributes that every piece of it was written, black ones too.

    Other programs leave black pieces out by right. They write these attributes anew, and the note
    is gone then.
    """
    group, arrays = _zarr_arrays(store, name, mode="r+")
    group.attrs[_MARK] = {"complete": [_layout(array) for array in arrays]}


def _layout(array: zarr.Array) -> list[list[int]]:
    return [list(array.shape), list(array.shards or array.chunks)]


def _check_complete(image: Path, group: zarr.Group, arrays: list[zarr.Array]) -> None:
    """Refuse an image that was written whole and has lost pieces."""
    mark = group.attrs.asdict().get(_MARK)
    if not isinstance(mark, dict) or mark.get("complete") != [_layout(a) for a in arrays]:
        return
    for array in arrays:
        shape, pieces = _layout(array)
        wanted = math.prod(-(-n // c) for n, c in zip(shape, pieces, strict=True))
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


def _zarr_arrays(
    store: Path, name: str, *, mode: Literal["r", "r+"] = "r"
) -> tuple[zarr.Group, list[zarr.Array]]:
    """The zarr group of an image element, and its arrays, finest first as it names them."""
    import zarr

    with reading(
        f"The image {name!r} of the store {store.name} cannot be read",
        expected="a complete SpatialData store",
        fix="Write or copy the store again",
    ):
        group = zarr.open_group(store, path=f"images/{name}", mode=mode)
        attrs: dict[str, Any] = group.attrs.asdict()
        multiscales = attrs.get("ome", attrs).get("multiscales", [])
        paths = [d["path"] for d in multiscales[0]["datasets"]] if multiscales else []
        return group, cast("list[zarr.Array]", [group[p] for p in paths])
