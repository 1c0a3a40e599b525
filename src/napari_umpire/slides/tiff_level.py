"""One page of a TIFF file as a level: bytes of a tile in, red-green-blue pixels out."""

from __future__ import annotations

import os
import threading
import weakref
from typing import TYPE_CHECKING

import numpy as np

from napari_umpire.errors import InputError
from napari_umpire.faults import COPY_AGAIN, reading
from napari_umpire.slides.depth import check_shown
from napari_umpire.slides.pyramid import Level, over_white

if TYPE_CHECKING:
    from pathlib import Path

    import tifffile

    from napari_umpire.slides.tiff_meta import Samples

__all__ = ["TiffLevel", "TiffSource", "segment_size"]

_STRIP_ROWS = 512
_APERIO_YCBCR = 33003
_JPEG_FAMILY = {6, 7, 34892, 33007}
_YCBCR = 6


def segment_size(page: tifffile.TiffPage) -> tuple[int, int]:
    """(height, width) of a page's tile or strip, px."""
    if page.is_tiled:
        return page.tilelength, page.tilewidth
    return min(page.rowsperstrip, page.imagelength), page.imagewidth


class TiffSource:
    """Bytes of a file by offset, from any thread and any forked process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        self._lock = threading.Lock()
        stat = os.fstat(self._fd)
        self.key = (str(path), stat.st_mtime_ns, stat.st_size)
        self._size = stat.st_size
        weakref.finalize(self, os.close, self._fd)

    def read(self, offset: int, count: int) -> bytes:
        """Return ``count`` bytes at ``offset``, or say that the file is cut short."""
        with reading(f"{self.path.name} cannot be read"):
            # A damaged table claims any number.
            there = min(count, max(0, self._size - offset))
            if there == 0:
                data = b""
            elif hasattr(os, "pread"):
                data = os.pread(self._fd, there, offset)
            else:
                with self._lock:
                    os.lseek(self._fd, offset, os.SEEK_SET)
                    data = os.read(self._fd, there)
        if len(data) < count:
            raise InputError(
                f"{self.path.name} is cut short",
                got=f"{len(data)} of {count} bytes at offset {offset}",
                expected="the whole file",
                fix="Copy the file again from its source",
            )
        return data


class TiffLevel(Level):
    """One page of a TIFF file.

    Strips are handed out in groups of about 512 rows; an uncompressed page without useful segments
    (``raw``) is cut into rows freely.
    """

    def __init__(
        self,
        source: TiffSource,
        page: tifffile.TiffPage,
        place: tuple[int, int],
        downsample: float,
        samples: Samples,
        *,
        raw: bool = False,
    ) -> None:
        self._source, self._page, self._raw = source, page, raw
        self._place, self._samples = place, samples
        self.shape = (page.imagelength, page.imagewidth)
        self.downsample = float(downsample)
        self._planes = page.samplesperpixel if page.planarconfig == 2 else 1
        if page.is_tiled:
            self._group = 1
            self.tile = segment_size(page)
        else:
            rows = 1 if raw else segment_size(page)[0]
            self._group = max(1, _STRIP_ROWS // rows)
            self.tile = (rows * self._group, page.imagewidth)
        self._rows = self.tile[0] // self._group
        self._per_plane = len(page.dataoffsets) // self._planes

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        from napari_umpire.slides.tiff import reopen

        return (reopen, (self._source.path, *self._place))

    def read_whole(self) -> np.ndarray:
        """All of it, (height, width, 3) uint8; refused where it would be shown nearly black."""
        pixels = self.read(0, 0, *self.shape)
        check_shown(self._source.path.name, pixels, self.bits)
        return pixels

    @property
    def bits(self) -> int:
        """Bits of a sample that are used."""
        return self._samples.bits

    def largest(self, row: int, col: int) -> int:
        """The largest value of a colour in tile (row, col), as it is stored."""
        tile = self._stored(row, col)
        return int(tile[:, :, list(self._samples.rgb)].max(initial=0))

    def _read_tile(self, row: int, col: int) -> np.ndarray:
        return self._rgb(self._stored(row, col))

    def _stored(self, row: int, col: int) -> np.ndarray:
        """Samples of tile (row, col) as they are stored, (h, w, samples per pixel)."""
        height = min(self.tile[0], self.shape[0] - row * self.tile[0])
        width = min(self.tile[1], self.shape[1] - col * self.tile[1])
        if self._raw:
            return self._read_rows(row * self.tile[0], height)
        if self._group == 1:
            segment = row * self.grid[1] + col
            return self._segment(segment, height, width)
        out = np.empty((height, width, self._page.samplesperpixel), self._page.dtype)
        for i, top in enumerate(range(0, height, self._rows)):
            rows = min(self._rows, height - top)
            out[top : top + rows] = self._segment(row * self._group + i, rows, width)
        return out

    def _read_rows(self, y0: int, height: int) -> np.ndarray:
        page = self._page
        dtype = np.dtype(page.dtype).newbyteorder(page.parent.byteorder)
        stride = self.shape[1] * page.samplesperpixel * dtype.itemsize
        data = self._source.read(page.dataoffsets[0] + y0 * stride, height * stride)
        return np.frombuffer(data, dtype).reshape(height, self.shape[1], page.samplesperpixel)

    def _segment(self, segment: int, height: int, width: int) -> np.ndarray:
        planes = []
        for plane in range(self._planes):
            decoded = self._decode(plane * self._per_plane + segment)
            if decoded is None:  # a scanner leaves tiles without tissue out
                return self._white(height, width)
            planes.append(decoded[:height, :width])
        return planes[0] if len(planes) == 1 else np.concatenate(planes, axis=2)

    def _white(self, height: int, width: int) -> np.ndarray:
        page = self._page
        white = np.full(
            (height, width, page.samplesperpixel), 2**self._samples.bits - 1, page.dtype
        )
        if self._is_ycbcr:
            white[:, :, 1:3] = 2 ** (self._samples.bits - 1)
        return white

    def _decode(self, segment: int) -> np.ndarray | None:
        page = self._page
        count = page.databytecounts[segment]
        if count == 0:
            return None
        data = self._source.read(page.dataoffsets[segment], count)
        kwargs = {"jpegtables": page.jpegtables, "jpegheader": page.jpegheader}
        if page.compression not in _JPEG_FAMILY:
            kwargs = {}
        with reading(
            f"{self._source.path.name} holds a tile that cannot be decoded "
            f"(tile {segment} of level {self._place[1]})"
        ):
            decoded = page.decode(data, segment, **kwargs)[0]
        if decoded is None:
            return None
        found, expected = decoded.shape[-1], page.samplesperpixel // self._planes
        if found != expected:
            raise InputError(
                f"{self._source.path.name} contradicts itself",
                got=f"{found} samples per pixel in tile {segment} of level {self._place[1]}",
                expected=f"{expected}, as the header says",
                fix=COPY_AGAIN,
            )
        return np.asarray(decoded[0])

    @property
    def _is_ycbcr(self) -> bool:
        page = self._page
        stored = page.photometric == _YCBCR and page.compression not in _JPEG_FAMILY
        return page.compression == _APERIO_YCBCR or stored

    def _rgb(self, samples: np.ndarray) -> np.ndarray:
        told = self._samples
        colours = samples[:, :, list(told.rgb)]
        alpha = None if told.alpha is None else samples[:, :, 3]
        if samples.dtype != np.uint8:
            colours = colours >> (told.bits - 8)
            if colours.max(initial=0) > 255:
                raise InputError(
                    f"{self._source.path.name} contradicts itself",
                    got=f"values above {2**told.bits - 1:,} where it says that {told.bits} bits "
                    "are used",
                    fix="Export the image again with 8 bits per colour",
                )
            colours = colours.astype(np.uint8)
            if alpha is not None:
                alpha = np.minimum(alpha >> (told.bits - 8), 255).astype(np.uint8)
        if self._is_ycbcr:
            colours = _from_ycbcr(colours)
        if alpha is not None:
            both = np.dstack([colours, alpha])
            colours = over_white(both, premultiplied=told.alpha == "premultiplied")
        return np.ascontiguousarray(colours)


def _from_ycbcr(samples: np.ndarray) -> np.ndarray:
    """ITU-R BT.601, full range, as JPEG 2000 and TIFF mean it where nothing else is said."""
    y, cb, cr = (samples[:, :, i].astype(np.float32) for i in range(3))
    cb, cr = cb - 128, cr - 128
    rgb = np.stack([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb], axis=2)
    return np.clip(np.rint(rgb), 0, 255).astype(np.uint8)
