"""Colours: names of channels are read, a fourth sample is asked what it is, depth is believed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile

from ..builders import GLASS, HEIGHT, TISSUE, WIDTH, halved, picture, save, sdata, tiff
from ..case import of_kind
from ..look import slide_is
from .scale import of_ome, ome

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ..place import Place

case = of_kind("colour")
TOP, OFF = (0.32 * HEIGHT, 0.62 * WIDTH), (0.8 * HEIGHT, 0.3 * WIDTH)
RIGHT = slide_is(mpp=2.0, size=(HEIGHT, WIDTH), colours={TOP: TISSUE, OFF: GLASS})
NO_HE = r"channel|colour|RGB|bit|sample|grey|H&E"


def image(name: str, write: Callable[[Path, np.ndarray], object], file: str = "x.tif", **how: Any):
    """A case of one image, written from the pixels."""

    def make(place: Place) -> Path:
        write(place.folder / file, picture())
        return place.folder / file

    case(name, make, **how)


def same(name: str, write: Callable[[Path, np.ndarray], object], file: str = "x.tif") -> None:
    """An image that has to open with the colours of the others, without a word."""
    image(f"stored-{name}", write, file, right=RIGHT, silent=True)


def planes(pixels: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.moveaxis(pixels, 2, 0))


def with_fourth(pixels: np.ndarray, value: int = 255) -> np.ndarray:
    return np.dstack([pixels, np.full(pixels.shape[:2], value, np.uint8)])


STRIPS = {"tile": None, "compression": None}
same("tiles", tiff)
same("strips", lambda p, a: tiff(p, a, **STRIPS, rowsperstrip=37))
same("one-strip", lambda p, a: tiff(p, a, **STRIPS, rowsperstrip=HEIGHT))
same("planes", lambda p, a: tiff(p, planes(a), planarconfig="SEPARATE"))
same("planes-in-strips", lambda p, a: tiff(p, planes(a), planarconfig="SEPARATE", **STRIPS))
same("lzw", lambda p, a: tiff(p, a, compression="lzw", predictor=True))
same("jpeg", lambda p, a: tiff(p, a, compression="jpeg", compressionargs={"level": 95}))
same("jpeg2000", lambda p, a: tiff(p, a, compression="jpeg2000"))
same("webp", lambda p, a: tiff(p, a, compression="webp"))
same("zstd", lambda p, a: tiff(p, a, compression="zstd"))
same("16-bits", lambda p, a: tiff(p, a.astype(np.uint16) * 257))
same("bigtiff", lambda p, a: tiff(p, a, bigtiff=True))
same("per-inch", lambda p, a: tiff(p, a, resolution=(12_700,) * 2, resolutionunit="INCH"))
same("opaque", lambda p, a: tiff(p, with_fourth(a), extrasamples=["UNASSALPHA"]))
same("opaque-premultiplied", lambda p, a: tiff(p, with_fourth(a), extrasamples=["ASSOCALPHA"]))
same("png", save, "x.png")
same("png-opaque", lambda p, a: save(p, a, mode="RGBA"), "x.png")
same("jpg", lambda p, a: save(p, a, quality=95), "x.jpg")


@case("stored-big-endian", right=RIGHT, silent=True)
def _(place: Place) -> Path:
    path = place.folder / "x.tif"
    tifffile.imwrite(
        path, picture().astype(np.uint16) * 257, byteorder=">", photometric="rgb", metadata=None,
        resolution=(5_000, 5_000), resolutionunit="CENTIMETER",
    )  # fmt: skip
    return path


# ---- 9 to 14 bits in 16 -------------------------------------------------------------------------

for bits in (9, 10, 12, 14):
    deep = {"right": RIGHT, "silent": True, "warns": rf"\b{bits}\b", "refuses": rf"\b{bits}\b"}

    def shifted(a: np.ndarray, bits: int = bits) -> np.ndarray:
        return (a.astype(np.uint16) << (bits - 8)) + 1

    case(
        f"{bits}-bits-by-ome",
        lambda p, b=bits, f=shifted: tiff(
            p.folder / "x.ome.tif", f(picture()), metadata=ome(2.0, 2.0, SignificantBits=b)
        ),
        **deep,
    )
    image(
        f"{bits}-bits-by-tag",
        lambda p, a, b=bits, f=shifted: tiff(
            p, f(a), extratags=[(t, "H", 3, (2**b - 1,) * 3, True) for t in (281, 341)]
        ),
        **deep
        | {"warns": rf"\b({bits}|{2**bits - 1})\b", "refuses": rf"\b({bits}|{2**bits - 1})\b"},
    )
    image(
        f"{bits}-bits-unsaid", lambda p, a, f=shifted: tiff(p, f(a)),
        right=RIGHT, silent=True, warns=r"bits?\b|dark", refuses=r"bits?\b|dark",
    )  # fmt: skip

# ---- a fourth sample that is no alpha ------------------------------------------------------------

for name, value in (("empty", 0), ("infrared", 90)):
    image(
        f"fourth-{name}",
        lambda p, a, v=value: tiff(p, with_fourth(a, v), extrasamples=["UNSPECIFIED"]),
        right=RIGHT, silent=True, warns="fourth|sample|channel", refuses="fourth|sample|channel",
    )  # fmt: skip
    image(
        f"fourth-{name}-planes",
        lambda p, a, v=value: tiff(
            p, planes(with_fourth(a, v)), extrasamples=["UNSPECIFIED"], planarconfig="SEPARATE"
        ),
        right=RIGHT, silent=True, warns="fourth|sample|channel", refuses="fourth|sample|channel",
    )  # fmt: skip
image("wholly-transparent", lambda p, a: tiff(p, with_fourth(a, 0), extrasamples=["UNASSALPHA"]),
      warns="tissue|transparent", refuses="tissue|transparent")  # fmt: skip

# ---- what is not H&E ----------------------------------------------------------------------------

image("grey", lambda p, a: save(p, a, mode="L"), refuses=NO_HE)
image("grey-png", lambda p, a: save(p, a, mode="L"), "x.png", refuses=NO_HE)
image("grey-with-alpha", lambda p, a: save(p, a, mode="LA"), "x.png", refuses=NO_HE)
image("black-and-white", lambda p, a: save(p, a, mode="1"), refuses=NO_HE)
image("printing-inks", lambda p, a: save(p, a, mode="CMYK"), refuses=NO_HE)
image("lab", lambda p, a: save(p, a, mode="LAB"), refuses=NO_HE)
image("floats", lambda p, a: tiff(p, a.astype(np.float32) / 255), refuses=NO_HE)
image("two-channels", lambda p, a: tiff(p, a[:, :, :2].copy(), photometric="minisblack",
      planarconfig="CONTIG"), refuses=NO_HE)  # fmt: skip
image("grey-in-three-channels", lambda p, a: tiff(p, np.repeat(a[:, :, 1:2], 3, axis=2)),
      warns=r"tissue|grey|colour", refuses=r"tissue|grey|colour")  # fmt: skip
image("signed-16-bits", lambda p, a: tiff(p, a.astype(np.int16) * 128 - 16_384),
      right=RIGHT, silent=True, refuses=NO_HE)  # fmt: skip
image("palette", lambda p, a: save(p, a, mode="P"), "x.png", right=RIGHT, silent=True,
      refuses=NO_HE)  # fmt: skip
image("all-white", lambda p, a: tiff(p, np.full_like(a, 255)), warns="tissue", refuses="tissue")
image("all-black", lambda p, a: tiff(p, np.zeros_like(a)), warns="tissue|black|dark",
      refuses="tissue|black|dark")  # fmt: skip

# ---- channels of a store -------------------------------------------------------------------------


def stored(place: Place, **how: Any) -> Path:
    path = place.folder / "x.zarr"
    sdata(**how).write(path)
    return path


for names in (["r", "g", "b"], ["R", "G", "B"], ["red", "green", "blue"], None):
    case(
        f"channels-{'-'.join(names or ['unnamed'])}",
        lambda p, n=names: stored(p, channels=n), right=RIGHT, silent=True,
    )  # fmt: skip
case(
    "channels-b-g-r",
    lambda p: stored(p, channels=["b", "g", "r"], pixels=picture()[:, :, ::-1]),
    right=RIGHT, silent=True, refuses=NO_HE,
)  # fmt: skip
case(
    "channels-g-r-b",
    lambda p: stored(p, channels=["g", "r", "b"], pixels=picture()[:, :, [1, 0, 2]]),
    right=RIGHT, silent=True, refuses=NO_HE,
)  # fmt: skip
case(
    "channels-r-g-b-a",
    lambda p: stored(p, channels=["r", "g", "b", "a"], pixels=with_fourth(picture())),
    right=RIGHT, silent=True,
)  # fmt: skip
DARK = 255 - picture()
for names in (["DAPI", "CD3", "PanCK"], ["AF555", "FITC", "DAPI"]):
    case(
        f"channels-{'-'.join(names)}", lambda p, n=names: stored(p, channels=n, pixels=DARK),
        warns=NO_HE, refuses=NO_HE,
    )  # fmt: skip
case(
    "channels-of-four-stains",
    lambda p: stored(p, channels=["DAPI", "CD3", "PanCK", "CD68"], pixels=with_fourth(DARK, 40)),
    warns=NO_HE, refuses=NO_HE,
)  # fmt: skip
case(
    "channels-r-g-b-and-a-stain",
    lambda p: stored(p, channels=["r", "g", "b", "DAPI"], pixels=with_fourth(picture(), 30)),
    right=RIGHT, silent=True, warns=NO_HE, refuses=NO_HE,
)  # fmt: skip


@case("channels-stains-beside-h-and-e", silent=True, warns=NO_HE,
      right=slide_is(colours={(192, 310): TISSUE, (480, 150): GLASS},
                     size=(HEIGHT // 2, WIDTH // 2)))  # fmt: skip
def _(place: Place) -> Path:
    """Fluorescence of full resolution beside the H&E image of half of it."""
    from spatialdata.models import Image2DModel
    from spatialdata.transformations import Scale

    small = np.moveaxis(halved(picture()), 2, 0)
    he = Image2DModel.parse(
        small, c_coords=["r", "g", "b"],
        transformations={"global": Scale([2.0, 2.0], ("x", "y"))},
    )  # fmt: skip
    names = ["DAPI", "CD3", "PanCK"]
    stains = Image2DModel.parse(np.moveaxis(DARK, 2, 0), c_coords=names)
    return stored(place, images={"if": stains, "he": he})


for name, change in {
    "of-16-bits": lambda a: a.astype(np.uint16) * 257,
    "of-floats": lambda a: (a / 255).astype(np.float32),
    "of-five-channels": lambda a: np.dstack([a, a[:, :, :2]]),
    "of-one-channel": lambda a: a[:, :, :1],
}.items():
    case(
        f"store-{name}", lambda p, c=change: stored(p, pixels=c(picture())),
        right=RIGHT, silent=name == "of-16-bits", refuses=NO_HE + "|uint",
    )  # fmt: skip

case(
    "ome-named-stains",
    lambda p: of_ome(p.folder, ome(2.0, 2.0, Channel={"Name": ["DAPI", "CD3", "PanCK"]})),
    silent=True, warns=NO_HE, refuses=NO_HE,
)  # fmt: skip
