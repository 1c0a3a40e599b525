"""`SpotPicture`: values or colours of spots as a picture that exists only where it is looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from napari_umpire.plugin.layers.raster import SpotRaster

__all__ = ["SpotPicture"]


class SpotPicture:
    """A pyramid over a `SpotRaster`: float32 values, NaN outside spots; or RGBA, clear outside.

    napari asks each level for the part that its canvas shows, so the cost of a switch is that of
    the canvas, not of the slide: 500,000 spots cost what 5,000 do, and no map is held in memory.

    Parameters
    ----------
    raster
        Which spot covers which pixel.
    colours
        Whether a spot has a colour (uint8 RGBA) rather than a value.

    Attributes
    ----------
    levels
        Array-likes, finest first, as napari takes them for a multiscale image.
    """

    def __init__(self, raster: SpotRaster, *, colours: bool = False) -> None:
        # One entry more, the last, for pixels outside spots: NO_SPOT is -1.
        self.table: np.ndarray
        if colours:
            self.table = np.zeros((raster.n_spots + 1, 4), np.uint8)
        else:
            self.table = np.full(raster.n_spots + 1, np.nan, np.float32)
        *fine, self._coarsest_index = raster.levels
        # napari keeps the coarsest level once it has asked for it, so that one is a real array
        # that is filled anew.
        self._coarsest = np.take(self.table, self._coarsest_index, axis=0, mode="wrap")
        self.levels = [*(_Level(index, self.table) for index in fine), self._coarsest]

    @property
    def values(self) -> np.ndarray:
        """What is shown: (n_spots,) float32, or (n_spots, 4) uint8 RGBA."""
        return self.table[:-1]

    def set(self, values: np.ndarray) -> None:
        """Show other values or colours, as `values`, from the next time that napari asks."""
        if values.shape != self.values.shape:
            raise ValueError(f"expected {self.values.shape}, got an array of {values.shape}")
        self.table[:-1] = values
        # "wrap" turns -1 into the last entry, and fills the array without a buffer.
        np.take(self.table, self._coarsest_index, axis=0, out=self._coarsest, mode="wrap")


class _Level:
    """``table[index]``, computed for the part that is asked for."""

    def __init__(self, index: np.ndarray, table: np.ndarray) -> None:
        self._index, self._table = index, table
        self.dtype = table.dtype
        self.shape = index.shape + table.shape[1:]
        self.ndim, self.size = len(self.shape), int(np.prod(self.shape))

    def __getitem__(self, key: Any) -> np.ndarray:
        if not isinstance(key, tuple):
            return np.take(self._table, self._index[key], axis=0, mode="wrap")
        part = np.take(self._table, self._index[key[:2]], axis=0, mode="wrap")
        return part[(..., *key[2:])] if len(key) > 2 else part

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("a picture of spots has no array to share")
        return self[...] if dtype is None else self[...].astype(dtype, copy=False)
