"""The pictures of a reference's spots: one file of JPEGs, one array of where each lies."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from napari_umpire.bounded import check_file
from napari_umpire.errors import InputError
from napari_umpire.faults import reading
from napari_umpire.inference.arrays import create_array, flush
from napari_umpire.inference.references.format import (
    BLOB,
    PLACES,
    REBUILD,
    PatchesInfo,
    file_digest,
    load_array,
)
from napari_umpire.models.bounds import check_bounds

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

__all__ = ["PatchWriter", "ReferencePatches"]

_QUALITY = 85


class ReferencePatches:
    """Crops of the spots of an opened reference.

    Attributes
    ----------
    field_um, size_px
        Edge of the square field in um, and of a crop in px.
    """

    def __init__(self, folder: Path, n: int, info: PatchesInfo) -> None:
        self.field_um, self.size_px = info.field_um, info.size_px
        self._path = folder / BLOB
        self._places = load_array(folder, PLACES, (n, 2))
        check_file(self._path, str(self._path))
        # An empty file cannot be mapped.
        with reading(f"{self._path} cannot be read", fix=REBUILD):
            self._blob = np.memmap(self._path, np.uint8, mode="r")
        if len(self._blob) != info.n_bytes:
            raise InputError(
                f"{self._path} has the wrong size",
                got=f"{len(self._blob):,} bytes",
                expected=f"{info.n_bytes:,} bytes",
                fix=REBUILD,
            )
        check_bounds("The pictures", info, field_um=(0.1, 1e5), size_px=(1, 4096))
        start, size = np.asarray(self._places).T
        if (start < 0).any() or (size <= 0).any() or (start > info.n_bytes - size).any():
            raise InputError(f"{folder / PLACES} is damaged", fix=REBUILD)

    def __len__(self) -> int:
        return len(self._places)

    def crop(self, row: int) -> np.ndarray:
        """The picture of one reference spot, (size_px, size_px, 3) uint8 RGB.

        Raises
        ------
        InputError
            Where it is damaged.
        """
        from PIL import Image

        start, size = (int(v) for v in self._places[row])
        data = self._blob[start : start + size].tobytes()
        with reading(f"The picture of reference {row} in {self._path} is damaged", fix=REBUILD):
            # Of one format and one size: nothing else is decoded, whatever the file holds.
            image = Image.open(io.BytesIO(data), formats=["JPEG"])
            if image.size != (self.size_px, self.size_px) or image.mode != "RGB":
                raise ValueError(f"a {image.mode} picture of {image.size} px")
            return np.asarray(image)


class PatchWriter:
    """Writes the pictures of a new reference as they come; a context manager.

    Only where each picture lies is held in memory: 16 bytes per spot.
    """

    def __init__(self, folder: Path, *, field_um: float, size_px: int) -> None:
        self._folder, self._field_um, self._size_px = folder, field_um, size_px
        self._file = (folder / BLOB).open("wb")
        self._slides: list[np.ndarray] = []

    def __enter__(self) -> PatchWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def begin_slide(self, n_spots: int) -> None:
        """The pictures that follow are of the next slide."""
        self._slides.append(np.zeros((n_spots, 2), np.int64))

    def add(self, rows: np.ndarray, pixels: np.ndarray) -> None:
        """Pictures of some spots of the slide begun last, in any order.

        Parameters
        ----------
        rows
            (b,) int among the slide's reference spots.
        pixels
            (b, size_px, size_px, 3) uint8 RGB.
        """
        from PIL import Image

        for row, crop in zip(rows, pixels, strict=True):
            start = self._file.tell()
            Image.fromarray(crop).save(self._file, format="JPEG", quality=_QUALITY)
            self._slides[-1][row] = start, self._file.tell() - start

    def finish(self) -> tuple[PatchesInfo, dict[str, str]]:
        """Close the file, write where each picture lies; what the json says, and the digests."""
        n_bytes = self._file.tell()
        self._file.close()
        places = np.concatenate(self._slides)
        if not (places[:, 1] > 0).all():
            raise ValueError(f"{int((places[:, 1] == 0).sum())} spots have no picture")
        out = create_array(self._folder / PLACES, places.shape, np.int64)
        out[:] = places
        flush(out)
        digests = {name: file_digest(self._folder / name) for name in (BLOB, PLACES)}
        return PatchesInfo(self._field_um, self._size_px, n_bytes), digests
