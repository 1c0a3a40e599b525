"""Small files that claim to be large, or unpack to it: looked at before they are believed."""

from __future__ import annotations

import gzip
import json
import struct
import zlib
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from ..builders import H5, picture, save, tiff, visium
from ..case import of_kind
from ..look import slide_is

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ..place import Place

case = of_kind("sizes")
LARGE = r"large|memory|MB|GB|px|size|cannot be read|fit|complete|shape|matrix"
GB = 2**30


def bomb(path: Path, head: bytes, unit: bytes, total: int = GB * 5 // 2) -> None:
    """A gzip file that unpacks to ``total`` bytes, a thousand times its size; made in members."""
    block = unit * (2**24 // len(unit))
    member = gzip.compress(block, 9)
    with path.open("wb") as file:
        file.write(gzip.compress(head))
        for _ in range(total // len(block)):
            file.write(member)


HEAD = b"%%MatrixMarket matrix coordinate integer general\n"
M = "filtered_feature_bc_matrix"
for name, part, head, unit in (
    ("mtx-comments", "matrix.mtx.gz", HEAD, b"%" + b" " * 62 + b"\n"),
    ("mtx-one-line", "matrix.mtx.gz", HEAD, b"%"),
    ("barcodes-one-line", "barcodes.tsv.gz", b"", b"A"),
    ("barcodes-many", "barcodes.tsv.gz", b"", b"A\n"),
    ("features-many", "features.tsv.gz", b"", b"A\tB\tC\n"),
    ("features-one-line", "features.tsv.gz", b"", b"A"),
):

    @case(f"gz-{name}", refuses=LARGE)
    def _(place: Place, part: str = part, head: bytes = head, unit: bytes = unit) -> Path:
        root = place.copy("mtx")
        bomb(root / M / part, head, unit)
        return root


for name, unit in {"zeros": b"0\t", "rows": b"1x1\t1\t2\t3\n", "one-line": b"A"}.items():

    @case(f"gz-legacy-counts-{name}", refuses=LARGE)
    def _(place: Place, unit: bytes = unit) -> Path:
        root = place.copy("legacy")
        bomb(root / "ST-cnts/A1.tsv.gz", b"\tACTB\tGAPDH\tKRT8\n", unit)
        return root


for rows, cols, entries in ((6, 94, 10**12), (4 * 10**9, 4 * 10**9, 1), (10**12, 94, 1)):

    @case(f"mtx-claims-{rows:.0e}-{entries:.0e}", refuses=LARGE)
    def _(place: Place, size: tuple[int, int, int] = (rows, cols, entries)) -> Path:
        root = place.copy("mtx")
        text = HEAD + " ".join(map(str, size)).encode() + b"\n1 1 1\n"
        (root / M / "matrix.mtx.gz").write_bytes(gzip.compress(text))
        return root


for key, dtype in (("data", np.int32), ("indices", np.int64), ("barcodes", "S20")):

    @case(f"h5-{key}-claims-1e12", refuses=LARGE)
    def _(place: Place, key: str = key, dtype: Any = dtype) -> Path:
        outs = visium(place.folder / "outs")
        with h5py.File(outs / H5, "r+") as file:
            del file["matrix"][key]
            file["matrix"].create_dataset(
                key, shape=(10**12,), maxshape=(None,), chunks=(10**6,), dtype=dtype
            )
        return outs


# ---- PNG ----------------------------------------------------------------------------------------


def chunk(name: bytes, data: bytes) -> bytes:
    body = name + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


def png(width: int, height: int, body: bytes, *more: bytes) -> bytes:
    """A PNG of 1 um per px whose header says what it is told to say."""
    parts = [
        chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        chunk(b"pHYs", struct.pack(">IIB", 1_000_000, 1_000_000, 1)),
        chunk(b"IDAT", body), *more, chunk(b"IEND", b""),
    ]  # fmt: skip
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def black(width: int, height: int) -> bytes:
    """All of the pixels, 1,000 times smaller than they are."""
    packer = zlib.compressobj(9)
    row = bytes(1 + 3 * width) * 100
    return b"".join(packer.compress(row) for _ in range(height // 100)) + packer.flush()


def bytes_of(name: str, data: Callable[[], bytes], file: str, **how: Any) -> None:
    def make(place: Place) -> Path:
        (place.folder / file).write_bytes(data())
        return place.folder / file

    case(name, make, **how or {"refuses": LARGE + "|image"})


SIDE = 2 * 10**5
bytes_of("png-claims-200k", lambda: png(SIDE, SIDE, zlib.compress(bytes(99))), "x.png")
bytes_of("png-claims-2e31", lambda: png(2**31 - 1, 2**31 - 1, b""), "x.png")
bytes_of("png-0x0", lambda: png(0, 0, zlib.compress(b"")), "x.png")
bytes_of("png-bomb-30k", lambda: png(30_000, 30_000, black(30_000, 30_000)), "x.png",
         refuses=LARGE, right=slide_is(mpp=1.0), warns="tissue|large")  # fmt: skip
bytes_of(
    "png-text-bomb",
    lambda: png(64, 64, zlib.compress(bytes(64 * 193)), chunk(
        b"zTXt", b"k\0\0" + zlib.compress(bytes(2**28), 9))),
    "x.png", refuses=LARGE + "|image|tissue", warns="tissue",
)  # fmt: skip
for copy in ("hires", "lowres"):

    @case(f"{copy}-claims-200k", refuses=LARGE + "|image", warns=LARGE + "|image")
    def _(place: Place, copy: str = copy) -> Path:
        outs = visium(place.folder / "outs")
        data = png(SIDE, SIDE, zlib.compress(b""))
        (outs / f"spatial/tissue_{copy}_image.png").write_bytes(data)
        return outs


# ---- TIFF ---------------------------------------------------------------------------------------


def directory(
    width: int, height: int, tail: bytes = b"", *, then: int = 0, **more: tuple[int, ...]
) -> bytes:
    """A classic TIFF of one directory; where a tag is "end", its value is where ``tail`` begins."""
    names = {
        "width": 256, "height": 257, "bits": 258, "packing": 259, "kind": 262, "strips": 273,
        "samples": 277, "rows": 278, "strip_bytes": 279, "across": 282, "down": 283, "unit": 296,
        "tile_width": 322, "tile_height": 323, "tiles": 324, "tile_bytes": 325,
    }  # fmt: skip
    values = {"width": (width,), "height": (height,), "bits": (8, 8, 8), "packing": (1,)}
    values |= {"kind": (2,), "samples": (3,), "unit": (3,), "across": (5_000, 1)}
    values |= {"down": (5_000, 1)} | more
    start = 8 + 2 + 12 * len(values) + 4
    size = start + sum(
        n for k, v in values.items() if (n := len(v) * (2 if k in ("bits",) else 4)) > 4
    )
    entries, extra = b"", b""
    for key, numbers in sorted(values.items(), key=lambda item: names[item[0]]):
        ratio, short = key in ("across", "down"), key in ("bits", "packing", "kind", "unit")
        numbers = tuple(size if n == -1 else n for n in numbers)
        raw = struct.pack(f"<{len(numbers)}{'H' if short else 'I'}", *numbers)
        if len(raw) > 4:
            raw, extra = struct.pack("<I", start + len(extra)), extra + raw
        count = len(numbers) // 2 if ratio else len(numbers)
        entries += struct.pack("<HHI", names[key], 5 if ratio else 3 if short else 4, count)
        entries += raw.ljust(4, b"\0")
    head = b"II*\0" + struct.pack("<IH", 8, len(values)) + entries + struct.pack("<I", then)
    return head + extra + tail


def tile_that_goes_on(total: int) -> bytes:
    """A tile of 256 px whose packed stream goes on to ``total`` bytes."""
    packer = zlib.compressobj(9)
    block = bytes(2**20)
    return b"".join(packer.compress(block) for _ in range(total // 2**20)) + packer.flush()


TILED = {"tile_width": (256,), "tile_height": (256,), "tiles": (-1,)}
for name, data in {
    "claims-200k-in-a-strip": lambda: directory(
        SIDE, SIDE, bytes(200), strips=(-1,), rows=(SIDE,), strip_bytes=(100,)
    ),
    "claims-200k-in-tiles": lambda: directory(SIDE, SIDE, bytes(99), **TILED, tile_bytes=(99,)),
    "tile-of-65k": lambda: directory(
        256, 256, zlib.compress(bytes(999)), packing=(8,), tile_width=(65_520,),
        tile_height=(65_520,), tiles=(-1,), tile_bytes=(50,),
    ),
    "tile-that-goes-on": lambda: directory(
        256, 256, tile_that_goes_on(GB), packing=(8,), **TILED, tile_bytes=(GB // 1030,)
    ),
    "tile-of-4-gb": lambda: directory(256, 256, bytes(99), **TILED, tile_bytes=(2**32 - 1,)),
    "samples-60000": lambda: directory(
        64, 64, bytes(500), strips=(-1,), rows=(64,), strip_bytes=(100,), samples=(60_000,)
    ),
    "0x0": lambda: directory(0, 0, b"", strips=(-1,), rows=(1,), strip_bytes=(0,)),
    "directory-loop": lambda: directory(
        64, 64, bytes(200), then=8, strips=(-1,), rows=(64,), strip_bytes=(100,)
    ),
    "directory-beyond": lambda: b"II*\0" + struct.pack("<I", 10**9) + bytes(50),
    "65535-tags": lambda: b"II*\0" + struct.pack("<IH", 8, 65_535) + bytes(50),
    "resolution-0-over-0": lambda: directory(
        64, 64, bytes(64 * 64 * 3), strips=(-1,), rows=(64,), strip_bytes=(64 * 64 * 3,),
        across=(0, 0), down=(0, 0),
    ),
}.items():  # fmt: skip
    bytes_of(
        f"tiff-{name}",
        data,
        "x.tif",
        refuses=LARGE + "|image|scale|tissue|TIFF|damaged|cut short|decoded",
    )


@case("tiff-wide", silent=True, warns="tissue", refuses=LARGE)
def _(place: Place) -> Path:
    return tiff(place.folder / "x.tif", np.tile(picture()[300:340], (1, 66, 1)))


for name, part in {"1-high": np.s_[:1], "1-wide": np.s_[:, :1], "1x1": np.s_[:1, :1]}.items():

    @case(f"image-{name}", warns="tissue", refuses="tissue|small|px|image")
    def _(place: Place, part: Any = part) -> Path:
        return tiff(place.folder / "x.tif", picture()[part].copy(), tile=None)


for name, text in {
    "laughs": '<!DOCTYPE l [<!ENTITY a "ha">'
    + "".join(
        f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefghi", "bcdefghij", strict=True)
    )
    + ']><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">&j;</OME>',
    "asks-for-a-file": '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>'
    '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">&e;</OME>',
    "cut": "<OME xmlns='http://www.openmicroscopy.org/Schemas/OME/2016-06'><Image",
    "deep": "<OME>" + "<a>" * 50_000 + "</a>" * 50_000 + "</OME>",
}.items():

    @case(f"ome-xml-{name}", right=slide_is(mpp=2.0), silent=True, warns="OME|metadata|XML",
          refuses="OME|metadata|XML|image")  # fmt: skip
    def _(place: Place, text: str = text) -> Path:
        text = f'<?xml version="1.0"?>{text}'
        return tiff(place.folder / "x.tif", picture(), description=text)


# ---- JSON ---------------------------------------------------------------------------------------

FACTORS = "spatial/scalefactors_json.json"
for name, text in {
    "deep": "[" * 100_000 + "]" * 100_000,
    "number-of-10000-digits": '{"tissue_hires_scalef": ' + "9" * 10_000 + "}",
    "number-of-400-digits": '{"tissue_hires_scalef": 0.5, "spot_diameter_fullres": '
    + "9" * 400
    + "}",
    "1e999": '{"tissue_hires_scalef": 1e999, "spot_diameter_fullres": 1e999}',
    "list": "[1, 2, 3]",
    "no-byte": "",
    "half": '{"tissue_hires_scalef": 0.',
    "latin-1": '{"tissue_hires_scalef": 0.5, "\xe9": 1}',
    "large": json.dumps({"tissue_hires_scalef": 0.5, "x": "y" * 10**8}),
}.items():

    @case(f"factors-{name}", refuses="scalefactors")
    def _(place: Place, text: str = text) -> Path:
        outs = visium(place.folder / "outs")
        (outs / FACTORS).write_bytes(text.encode("latin-1"))
        return outs


@case("positions-of-1-gb", refuses="positions")
def _(place: Place) -> Path:
    outs = visium(place.folder / "outs")
    with (outs / "spatial/tissue_positions.csv").open("wb") as file:
        file.seek(GB)
        file.write(b"x")
    return outs


@case("jpeg-header-alone", refuses="image|x.jpg")
def _(place: Place) -> Path:
    (place.folder / "x.jpg").write_bytes(b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01")
    return place.folder / "x.jpg"


@case("jpeg-claims-65k", refuses=LARGE + "|image", warns="tissue")
def _(place: Place) -> Path:
    """A JPEG whose header says 65,500 x 65,500 px over the data of a small one."""
    path = save(place.folder / "x.jpg", picture(), quality=90)
    data = path.read_bytes()
    at = data.index(b"\xff\xc0") + 5
    path.write_bytes(data[:at] + struct.pack(">HH", 65_500, 65_500) + data[at + 4 :])
    return path
