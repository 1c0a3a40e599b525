"""PNG and JPEG images, which can only be decoded whole: a level that decodes when first read.

Decoded images share one bounded store, so that opening fifty sections does not hold fifty images.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from napari_umpire.errors import InputError
from napari_umpire.slides.pyramid import Level

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["PictureLevel", "WholeLevel", "picture_dpi"]

_BUDGET_BYTES = 1_500_000_000
_decoded: OrderedDict[object, np.ndarray] = OrderedDict()
_lock = threading.RLock()


class WholeLevel(Level):
    """A level decoded whole by a function, when first read and again after it was let go.

    Parameters
    ----------
    key
        Hashable identity of the pixels, equal for equal pixels.
    decode
        Returns the pixels, uint8 (height, width, 3).
    """

    def __init__(
        self,
        key: object,
        shape: tuple[int, int],
        decode: Callable[[], np.ndarray],
        downsample: float = 1.0,
        tile: int = 1024,
    ) -> None:
        self.key, self.decode = key, decode
        self.shape = shape
        self.tile = (tile, tile)
        self.downsample = float(downsample)

    @property
    def pixels(self) -> np.ndarray:
        """The whole level, uint8 (height, width, 3), read-only."""
        with _lock:
            if self.key in _decoded:
                _decoded.move_to_end(self.key)
                return _decoded[self.key]
            pixels = self.decode()
            if pixels.shape != (*self.shape, 3):
                raise InputError(
                    f"{self.key} changed while it was open", got=pixels.shape, expected=self.shape
                )
            pixels.setflags(write=False)
            _decoded[self.key] = pixels
            while len(_decoded) > 1 and sum(a.nbytes for a in _decoded.values()) > _BUDGET_BYTES:
                _decoded.popitem(last=False)
            return pixels

    def _read_tile(self, row: int, col: int) -> np.ndarray:
        th, tw = self.tile
        return self.pixels[row * th : (row + 1) * th, col * tw : (col + 1) * tw]


class PictureLevel(WholeLevel):
    """A PNG or JPEG file; transparency is laid over white.

    Parameters
    ----------
    grey
        Whether an image without colour is taken; an H&E slide has colour, but the small images of
        a Space Ranger folder may be grey.

    Raises
    ------
    InputError
        Where the file is no readable image, or has no colour and ``grey`` is false.
    """

    def __init__(self, path: Path, downsample: float = 1.0, *, grey: bool = False) -> None:
        self.path = path
        with _opened(path) as image:
            width, height = image.size
            if not grey and image.mode in {"1", "L", "LA", "I", "I;16", "I;16B", "F"}:
                raise InputError(
                    f"{path.name} is not a colour image",
                    got=f"a grey image (mode {image.mode})",
                    expected="an H&E image with red, green and blue",
                )
        stat = path.stat()
        key = (str(path.resolve()), stat.st_mtime_ns, stat.st_size)
        super().__init__(key, (height, width), self._decode_file, downsample)

    def _decode_file(self) -> np.ndarray:
        from PIL import Image

        with _opened(self.path) as image:
            if image.mode.startswith(("I", "F")):
                # 16 bits per pixel: the upper eight are what a screen shows.
                deep = np.asarray(image).astype(np.float64)
                top = 65535.0 if deep.max(initial=0) > 255 else 255.0
                grey = np.clip(deep / top * 255, 0, 255).astype(np.uint8)
                return np.repeat(grey[:, :, None], 3, axis=2)
            if "A" in image.mode or "transparency" in image.info:
                image = image.convert("RGBA")
                white = Image.new("RGBA", image.size, (255, 255, 255, 255))
                image = Image.alpha_composite(white, image)
            return np.array(image.convert("RGB"))


def picture_dpi(path: Path) -> tuple[float, float] | None:
    """Pixels per inch along x and y as the file states them, None where it does not."""
    with _opened(path) as image:
        dpi = image.info.get("dpi")
    return None if dpi is None else (float(dpi[0]), float(dpi[1]))


@contextmanager
def _opened(path: Path) -> Iterator:
    """Open an image of any size; what Pillow says about a broken one becomes an `InputError`."""
    from PIL import Image, UnidentifiedImageError

    # Pillow's limit guards web servers; a microscope image passes it by right, and its size is
    # bounded by the decoded-image store. The limit is global there, hence the lock.
    with _lock:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            with Image.open(path) as image:
                yield image
        except InputError:
            raise
        except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
            raise InputError(
                f"{path.name} cannot be read as an image",
                got=error,
                fix="Copy the file again from its source",
            ) from error
        finally:
            Image.MAX_IMAGE_PIXELS = limit
