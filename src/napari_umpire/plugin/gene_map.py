"""`GeneMap`: the values of one gene as a picture that exists only where it is looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from napari_umpire.plugin.raster import SpotRaster

__all__ = ["GeneMap"]


class GeneMap:
    """A float32 pyramid over a `SpotRaster`; NaN outside spots.

    napari asks each level for the part that its canvas shows, so the cost of a switch is that of
    the canvas, not of the slide: 500,000 spots cost what 5,000 do, and no map is held in memory.

    Attributes
    ----------
    levels
        Array-likes, finest first, as napari takes them for a multiscale image.
    """

    def __init__(self, raster: SpotRaster) -> None:
        self._n_spots = raster.n_spots
        # One entry more, the last: NO_SPOT is -1.
        self.table = np.full(raster.n_spots + 1, np.nan, np.float32)
        *fine, self._coarsest_index = raster.levels
        # napari keeps the coarsest level once it has asked for it, so that one is a real array
        # that is filled anew.
        self._coarsest = np.full(self._coarsest_index.shape, np.nan, np.float32)
        self.levels = [*(_Level(index, self.table) for index in fine), self._coarsest]

    @property
    def values(self) -> np.ndarray:
        """What is shown, (n_spots,) float32."""
        return self.table[:-1]

    def set(self, values: np.ndarray) -> None:
        """Show other values, (n_spots,), from the next time that napari asks."""
        if values.shape != (self._n_spots,):
            raise ValueError(f"expected {self._n_spots} values, got an array of {values.shape}")
        self.table[:-1] = values
        # "wrap" turns -1 into the last entry, and fills the array without a buffer.
        np.take(self.table, self._coarsest_index, out=self._coarsest, mode="wrap")


class _Level:
    """``table[index]``, computed for the part that is asked for."""

    dtype = np.dtype(np.float32)
    ndim = 2

    def __init__(self, index: np.ndarray, table: np.ndarray) -> None:
        self._index, self._table = index, table
        self.shape, self.size = index.shape, index.size

    def __getitem__(self, key: Any) -> np.ndarray:
        return np.take(self._table, self._index[key], mode="wrap")

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("a gene map has no array to share")
        return self[...] if dtype is None else self[...].astype(dtype, copy=False)
