"""Pyramids: levels are sorted, and one whose sides do not fit is left out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile

from ..builders import CROSS, HEIGHT, WIDTH, halved, picture, sdata, tiff
from ..case import of_kind
from ..look import slide_is
from .scale import ome

if TYPE_CHECKING:
    from pathlib import Path

    from ..place import Place

case = of_kind("pyramids")
RIGHT = slide_is(mpp=2.0, size=(HEIGHT, WIDTH), cross=CROSS)
LEVEL = "level|copy|copies|pyramid"


def level(step: int) -> np.ndarray:
    return halved(picture(cross=True), step)


def padded(pixels: np.ndarray, height: int, width: int, fill: int = 255) -> np.ndarray:
    out = np.full((height, width, 3), fill, np.uint8)
    out[: pixels.shape[0], : pixels.shape[1]] = pixels[:height, :width]
    return out


def to_tiles(step: int, edge: int = 256) -> np.ndarray:
    """A level that is filled up to whole tiles, as some scanners store it."""
    small = level(step)
    return padded(small, *(-(-n // edge) * edge for n in small.shape[:2]))


def stretched(step: int) -> np.ndarray:
    """A level whose width was scaled by another factor than its height."""
    small = level(step)
    return np.repeat(small, 2, axis=1)[:, : round(small.shape[1] * 1.3)]


def finer(slides: Any) -> None:
    """A larger copy is left out, or is the image itself with the scale that it has."""
    (slide,) = slides
    factor = 2.0 / slide.mpp
    assert round(factor, 2) in (1, 2)
    assert slide.pyramid.extent == (HEIGHT * round(factor), WIDTH * round(factor))


WAYS: dict[str, tuple[np.ndarray, ...]] = {
    "in-order": (level(2), level(4)),
    "out-of-order": (level(4), level(2)),
    "coarsest-first": (level(8), level(4), level(2)),
    "twice": (level(2), level(2), level(4)),
    "by-four": (level(4),),
    "rounded-up": (padded(level(2), HEIGHT // 2 + 1, WIDTH // 2 + 1), level(4)),
    "padded-to-tiles": (to_tiles(2), to_tiles(4)),
    "padded-and-out-of-order": (to_tiles(4), to_tiles(2)),
    "padded-to-large-tiles": (to_tiles(2, 512), to_tiles(4, 512)),
    "cut": (level(2)[: HEIGHT // 2 - 90], level(4)),
    "stretched": (stretched(2), level(4)),
    "one-of-another-shape": (level(2), np.full((100, 600, 3), 200, np.uint8)),
    "larger-than-the-image": (np.repeat(np.repeat(picture(cross=True), 2, 0), 2, 1), level(2)),
    "of-one-px": (level(2), np.full((1, 1, 3), 200, np.uint8)),
}
for name, levels in WAYS.items():
    for ending in ("tif", "ome.tif"):
        said = {"metadata": ome(2.0, 2.0)} if ending == "ome.tif" else {}
        case(
            f"{'ome-' if 'ome' in ending else ''}levels-{name}",
            lambda p, v=levels, e=ending, s=said: tiff(
                p.folder / f"x.{e}", picture(cross=True), v, **s
            ),
            right=finer if name == "larger-than-the-image" else RIGHT, silent=True,
            warns=LEVEL + "|um per px", refuses=LEVEL if name == "larger-than-the-image" else None,
        )  # fmt: skip


def pages(path: Path, *levels: np.ndarray) -> Path:
    """Levels as pages behind one another, as Aperio and Hamamatsu store them."""
    with tifffile.TiffWriter(path) as file:
        for number, pixels in enumerate(levels):
            um = 2.0 * HEIGHT / pixels.shape[0]
            file.write(
                pixels, photometric="rgb", tile=(256, 256), compression="zlib", metadata=None,
                subfiletype=int(number > 0), resolution=(10_000 / um,) * 2,
                resolutionunit="CENTIMETER",
            )  # fmt: skip
    return path


FULL = picture(cross=True)
for name, levels in {
    "in-order": (FULL, level(2), level(4)),
    "out-of-order": (FULL, level(4), level(2)),
    "coarsest-first": (level(4), level(2), FULL),
    "padded": (FULL, to_tiles(2), to_tiles(4)),
}.items():
    case(
        f"pages-{name}", lambda p, v=levels: pages(p.folder / "x.tif", *v),
        right=RIGHT, silent=True, warns=LEVEL, refuses="page|image" if name != "in-order" else None,
    )  # fmt: skip


def in_store(name: str, scales: list[tuple[np.ndarray, tuple[float, float]]], **how: Any) -> None:
    """A store whose levels are written as they are, with the scales (y, x) that they state."""

    def make(place: Place) -> Path:
        import xarray as xr
        from spatialdata.models import Image2DModel
        from spatialdata.transformations import Scale

        levels = []
        for pixels, (down_y, down_x) in scales:
            one = Image2DModel.parse(
                np.moveaxis(pixels, 2, 0),
                transformations={"global": Scale([down_x, down_y], ("x", "y"))},
            )
            levels.append(one)
        nodes = {f"scale{i}": xr.Dataset({"image": one}) for i, one in enumerate(levels)}
        made = sdata(images={"he": xr.DataTree.from_dict(nodes)})
        made.write(place.folder / "x.zarr")
        return place.folder / "x.zarr"

    case(f"store-levels-{name}", make, right=RIGHT, **how)


OWN = (FULL, (1.0, 1.0))
in_store("in-order", [OWN, (level(2), (2, 2)), (level(4), (4, 4))], silent=True)
in_store(
    "padded", [OWN, (to_tiles(2), (HEIGHT / 768, WIDTH / 512))],
    silent=True, warns=LEVEL, refuses=LEVEL,
)  # fmt: skip
in_store("stretched", [OWN, (stretched(2), (2, 2))], silent=True, warns=LEVEL, refuses=LEVEL)
