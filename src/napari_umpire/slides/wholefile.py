"""PNG and JPEG images, which can only be decoded whole: a level that decodes when first read.

Decoded images share one bounded store, so that opening fifty sections does not hold fifty images.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from contextlib import contextmanager
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

import numpy as np

from napari_umpire.bounded import check_file
from napari_umpire.errors import InputError
from napari_umpire.faults import reading, within_memory
from napari_umpire.slides.depth import check_shown
from napari_umpire.slides.pyramid import Level
from napari_umpire.slides.turned import is_on_its_side, upright
from napari_umpire.words import size_on_disk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from PIL import Image

__all__ = ["PictureLevel", "WholeLevel", "check_size", "opened_picture"]

_BUDGET_BYTES = 1_500_000_000
_LARGEST_BYTES = 2_000_000_000
_ORIENTATION = 0x0112
_STRIP_ROWS = 1024
_decoded: OrderedDict[object, np.ndarray] = OrderedDict()
# One thread decodes an image that others want too; nobody waits for another image.
_decoding: WeakValueDictionary[object, threading.Lock] = WeakValueDictionary()
_store_lock = threading.Lock()
_pillow_lock = threading.Lock()


class WholeLevel(Level):
    """A level decoded whole by a function, when first read and again after it was let go.

    Parameters
    ----------
    key
        Hashable identity of the pixels, equal for equal pixels.
    decode
        Returns the pixels, uint8 (height, width, 3).
    name
        Of the file, for messages.
    """

    def __init__(
        self,
        key: object,
        shape: tuple[int, int],
        decode: Callable[[], np.ndarray],
        downsample: float = 1.0,
        tile: int = 1024,
        name: str = "An image",
    ) -> None:
        self.key, self.decode, self.name = key, decode, name
        self.shape = shape
        self.tile = (tile, tile)
        self.downsample = float(downsample)

    @property
    def pixels(self) -> np.ndarray:
        """The whole level, uint8 (height, width, 3), read-only."""
        with _store_lock:
            own_lock = _decoding.setdefault(self.key, threading.Lock())
        with own_lock:
            with _store_lock:
                if self.key in _decoded:
                    _decoded.move_to_end(self.key)
                    return _decoded[self.key]
            with within_memory(f"{self.name} cannot be decoded"):
                pixels = self.decode()
            if pixels.shape != (*self.shape, 3):
                raise InputError(
                    f"{self.name} changed while it was open", got=pixels.shape, expected=self.shape
                )
            pixels.setflags(write=False)
            _keep(self.key, pixels)
            return pixels

    def _read_tile(self, row: int, col: int) -> np.ndarray:
        th, tw = self.tile
        return self.pixels[row * th : (row + 1) * th, col * tw : (col + 1) * tw]


def _keep(key: object, pixels: np.ndarray) -> None:
    """Put pixels into the store; those that were looked at longest ago go."""
    with _store_lock:
        _decoded[key] = pixels
        while len(_decoded) > 1 and sum(a.nbytes for a in _decoded.values()) > _BUDGET_BYTES:
            _decoded.popitem(last=False)


class PictureLevel(WholeLevel):
    """A PNG or JPEG file, upright as its EXIF says; transparency is laid over white.

    Parameters
    ----------
    grey
        Whether an image without colour is taken; an H&E slide has colour, but the small images of
        a Space Ranger folder may be grey.

    Attributes
    ----------
    dpi
        Pixels per inch along x and y as the file states them; None where it does not.

    Raises
    ------
    InputError
        Where the file is no readable image, is too large to be decoded whole, or has no colour and
        ``grey`` is false.
    """

    dpi: tuple[float, float] | None

    def __init__(self, path: Path, downsample: float = 1.0, *, grey: bool = False) -> None:
        self.path = path
        with opened_picture(path) as image:
            width, height = image.size
            check_size(path.name, (height, width), max(3, len(image.getbands())))
            if not grey and image.mode in {"1", "L", "LA", "I", "I;16", "I;16B", "F"}:
                raise InputError(
                    f"{path.name} is not a colour image",
                    got=f"a grey image (mode {image.mode})",
                    expected="an H&E image with red, green and blue",
                )
            with reading(f"{path.name} cannot be read as an image"):
                self._turn = _orientation(image, path)
            self.dpi = _dpi(image)
        if is_on_its_side(self._turn):
            height, width = width, height
            self.dpi = None if self.dpi is None else (self.dpi[1], self.dpi[0])
        stat = path.stat()
        key = (str(path.resolve()), stat.st_mtime_ns, stat.st_size)
        super().__init__(key, (height, width), self._decode_file, downsample, name=path.name)

    def _decode_file(self) -> np.ndarray:
        with opened_picture(self.path) as image:
            with reading(f"{self.path.name} cannot be read as an image"):
                image.load()
            return np.ascontiguousarray(upright(_rgb(image, self.path), self._turn))


def _rgb(image: Image.Image, path: Path) -> np.ndarray:
    """All pixels as they are stored, uint8 (height, width, 3)."""
    from PIL import Image

    if image.mode.startswith(("I", "F")):
        # 16 bits per pixel: the upper eight are what a screen shows.
        deep = np.asarray(image).astype(np.float64)
        top = 65535.0 if deep.max(initial=0) > 255 else 255.0
        grey = np.clip(deep / top * 255, 0, 255).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    # Pillow keeps the upper eight of sixteen bits.
    deep_colours = image.format == "PNG" and _png_bits(path) == 16
    transparent = "A" in image.mode or "transparency" in image.info
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    # In strips, so that a large picture is not in memory three times.
    for top in range(0, image.height, _STRIP_ROWS):
        with _without_limit():
            strip = image.crop((0, top, image.width, min(top + _STRIP_ROWS, image.height)))
        # An ending may hide a format whose colours Pillow cannot convert.
        with reading(f"{path.name} cannot be read as an image"):
            if transparent:
                strip = strip.convert("RGBA")
                white = Image.new("RGBA", strip.size, (255, 255, 255, 255))
                strip = Image.alpha_composite(white, strip)
            strip = strip.convert("RGB")
        pixels[top : top + strip.height] = np.asarray(strip)
    if deep_colours:
        check_shown(path.name, pixels, 16)
    return pixels


def check_size(name: str, size: Sequence[int], bytes_per_px: int) -> None:
    """Refuse an image that would take more than 2 GB once it is decoded, by its header.

    Parameters
    ----------
    size
        (height, width), px.
    """
    asked = math.prod(int(n) for n in size) * bytes_per_px
    if asked > _LARGEST_BYTES:
        raise InputError(
            f"{name} can only be decoded whole, and is too large for that",
            got=f"{size[0]:,} x {size[1]:,} px (height x width), which is {size_on_disk(asked)}",
            expected=f"at most {size_on_disk(_LARGEST_BYTES)}, or an image in tiles",
            fix="Make a pyramid of tiles of it and open that: "
            f'vips tiffsave "{name}" tiled.tif --tile --pyramid --compression jpeg --bigtiff',
        )


def _dpi(image: Image.Image) -> tuple[float, float] | None:
    dpi = image.info.get("dpi")
    try:
        return None if dpi is None else (float(dpi[0]), float(dpi[1]))
    except (TypeError, ValueError, ZeroDivisionError, IndexError):  # a damaged tag says nothing
        return None


def _orientation(image: Image.Image, path: Path) -> int:
    """The EXIF orientation, 1 to 8, without decoding the image."""
    from PIL import Image

    if image.format == "PNG" and "exif" not in image.info:
        # Pillow decodes the whole image to see whether EXIF follows the pixels.
        data = _png_chunk(path, b"eXIf")
        exif = Image.Exif()
        if data is not None:
            exif.load(data)
    else:
        exif = image.getexif()
    value = exif.get(_ORIENTATION, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _png_bits(path: Path) -> int:
    """Bits of a sample in a PNG file, from its header."""
    with path.open("rb") as file:
        return file.read(25)[24]


def _png_chunk(path: Path, wanted: bytes) -> bytes | None:
    """Content of the first chunk of that name, at most 1 MB, without reading the others."""
    with path.open("rb") as file:
        file.seek(8)
        while len(head := file.read(8)) == 8:
            size = int.from_bytes(head[:4], "big")
            if head[4:] == wanted:
                return file.read(min(size, 1_000_000))
            file.seek(size + 4, 1)
    return None


@contextmanager
def opened_picture(path: Path) -> Iterator[Image.Image]:
    """Open a picture of any size by its header.

    Raises
    ------
    InputError
        Where there is no file, or Pillow cannot open it.
    """
    from PIL import Image

    check_file(path)
    with _without_limit(), reading(f"{path.name} cannot be read as an image"):
        image = Image.open(path)
    with image:
        yield image


@contextmanager
def _without_limit() -> Iterator[None]:
    """Let Pillow take a picture of any size.

    Its limit guards web servers; a microscope image passes it by right, and `check_size` bounds it.
    The limit is global there, hence the lock, which is held for no longer than a header takes.
    """
    from PIL import Image

    with _pillow_lock:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit
