"""The physical scale: only what is said of the chosen image counts, and contradictions are said."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile

from ..builders import per_cm, picture, save, tiff
from ..case import of_kind
from ..look import slide_is

if TYPE_CHECKING:
    from pathlib import Path

    from ..place import Place

case = of_kind("scale")
UNKNOWN = r"scale|um per px"
"""A file that states nothing usable: the scale is asked for, never guessed."""


def ome(x: object = None, y: object = None, unit: str = "µm", **more: Any) -> dict[str, Any]:
    """The metadata of an OME image whose pixels are x by y."""
    said: dict[str, Any] = {"axes": "YXS", **more}
    for axis, value in (("X", x), ("Y", y)):
        if value is not None:
            said |= {f"PhysicalSize{axis}": value, f"PhysicalSize{axis}Unit": unit}
    return said


def of_ome(path: Path, said: dict[str, Any], **options: Any) -> Path:
    bare = {"resolution": (1, 1), "resolutionunit": "NONE"}
    return tiff(path / "x.ome.tif", picture(), metadata=said, **bare | options)


# ---- several images, each with a scale of its own ------------------------------------------------


def two_images(path: Path, *, he_first: bool, he_um: float | None, other_um: float | None) -> Path:
    """An H&E image of 600 x 500 px beside a larger fluorescence image."""
    dark = np.random.default_rng(1).integers(0, 60, (3, 1700, 1400), np.uint8)
    other = (dark, "minisblack", {**ome(other_um, other_um), "axes": "CYX", "Name": "IF"})
    slide = (picture(600, 500), "rgb", ome(he_um, he_um, Name="HE"))
    with tifffile.TiffWriter(path, ome=True) as file:
        for pixels, kind, said in (slide, other) if he_first else (other, slide):
            file.write(pixels, photometric=kind, tile=(256, 256), compression="zlib", metadata=said)
    return path


for first in (True, False):
    for he_um, other_um in ((4.0, 1.0), (4.0, None)):
        case(
            f"ome-{'he-first' if first else 'he-last'}-{'both' if other_um else 'own'}-scale",
            lambda p, f=first, h=he_um, o=other_um: two_images(
                p.folder / "x.ome.tif", he_first=f, he_um=h, other_um=o
            ),
            right=slide_is(mpp=4.0, size=(600, 500)), silent=True, warns=r"image",
        )  # fmt: skip
    case(
        f"ome-{'he-first' if first else 'he-last'}-only-the-other-has-a-scale",
        lambda p, f=first: two_images(
            p.folder / "x.ome.tif", he_first=f, he_um=None, other_um=1.0
        ),
        refuses=UNKNOWN,
    )  # fmt: skip

# ---- both axes ----------------------------------------------------------------------------------

BOTH = r"0\.5\b.*0\.25|0\.25.*0\.5\b"
case("ome-oblong", lambda p: of_ome(p.folder, ome(0.5, 0.25)), refuses=BOTH)
case("ome-oblong-tall", lambda p: of_ome(p.folder, ome(0.25, 0.5)), refuses=BOTH)
case(
    "ome-oblong-by-units",
    lambda p: of_ome(p.folder, ome(0.5, 0.5) | {"PhysicalSizeYUnit": "nm"}), refuses=r"0\.5",
)  # fmt: skip
case(
    "ome-nearly-square", lambda p: of_ome(p.folder, ome(2.0, 2.008)),
    right=slide_is(mpp=2.0), silent=True,
)  # fmt: skip
case(
    "ome-only-x", lambda p: of_ome(p.folder, ome(2.0)),
    right=slide_is(mpp=2.0), silent=True, warns="2", refuses=UNKNOWN,
)  # fmt: skip
case("tags-oblong", lambda p: tiff(p.folder / "x.tif", picture(), resolution=(5_000, 2_500)),
     refuses=r"\b2\b.*\b4\b|\b4\b.*\b2\b")  # fmt: skip
case(
    "png-oblong", lambda p: save(p.folder / "x.png", picture(), dpi=(12_700, 25_400)),
    refuses=r"\b1\b.*\b2\b|\b2\b.*\b1\b",
)  # fmt: skip


@case("imagej-oblong", refuses=r"0\.5.*0\.25|0\.25.*0\.5|scale|um per px")
def _(place: Place) -> Path:
    path = place.folder / "x.tif"
    tifffile.imwrite(path, picture(), imagej=True, resolution=(2, 4), metadata={"unit": "um"})
    return path


def philips(path: Path, across: float, down: float) -> Path:
    """A Philips export; DICOM states the distance of rows first, then that of columns, mm."""
    mm = f"&quot;{down / 1000:g}&quot; &quot;{across / 1000:g}&quot;"
    spacing = (
        '<Attribute Name="DICOM_PIXEL_SPACING" Group="0x0028" Element="0x0030" '
        f'PMSVR="IDoubleArray">{mm}</Attribute>'
    )
    array = '<Attribute Name="PIM_DP_SCANNED_IMAGES" Group="0x301D" Element="0x1003" '
    text = (
        '<?xml version="1.0" encoding="UTF-8" ?><DataObject ObjectType="DPUfsImport">'
        f'{array}PMSVR="IDataObjectArray"><Array><DataObject ObjectType="DPScannedImage">'
        '<Attribute Name="PIM_DP_IMAGE_TYPE" Group="0x301D" Element="0x1004" PMSVR="IString">WSI'
        f"</Attribute>{spacing}</DataObject></Array></Attribute></DataObject>"
    )
    with tifffile.TiffWriter(path) as file:
        file.write(
            picture(1536, 1024), photometric="rgb", tile=(512, 512), compression="jpeg",
            metadata=None, description=text, software="Philips DP v1.0",
        )  # fmt: skip
    return path


case("philips-square", lambda p: philips(p.folder / "x.tiff", 2, 2),
     right=slide_is(mpp=2), silent=True)  # fmt: skip
case("philips-oblong", lambda p: philips(p.folder / "x.tiff", 0.5, 0.25),
     refuses=rf"{BOTH}|0\.0005.*0\.00025")  # fmt: skip

# ---- units --------------------------------------------------------------------------------------

for unit, value in (("nm", 2000.0), ("mm", 0.002), ("µm", 2.0), ("cm", 0.0002), ("m", 2e-6)):
    case(
        f"ome-unit-{'um' if unit == 'µm' else unit}",
        lambda p, u=unit, v=value: of_ome(p.folder, ome(v, v, u)),
        right=slide_is(mpp=2.0), silent=True,
    )  # fmt: skip
for unit in ("pixel", "reference frame", "parsec-ish"):
    case(
        f"ome-unit-{unit.replace(' ', '-')}",
        lambda p, u=unit: of_ome(p.folder, ome(2.0, 2.0, u)), refuses=UNKNOWN,
    )  # fmt: skip

# ---- one file that contradicts itself ------------------------------------------------------------

APERIO = (
    "Aperio Image Library v12.0.15\r\n{w}x{h} [0,0 {ow}x{oh}] (240x240) JPEG/RGB Q=70"
    "|AppMag = 20|MPP = {mpp}|OriginalWidth = {w}|OriginalHeight = {h}"
)


def aperio(
    path: Path, mpp: object, grew: float = 1, pixels: np.ndarray | None = None, **options: Any
) -> Path:
    """A scan whose description tells of an image ``grew`` times as large as the page."""
    pixels = picture() if pixels is None else pixels
    high, wide = (round(n * grew) for n in pixels.shape[:2])
    text = APERIO.format(h=high, w=wide, oh=high, ow=wide, mpp=mpp)
    how = {"description": text, "software": False, "tile": (240, 240)} | options
    return tiff(path, pixels, **how)


BARE = {"resolution": (1, 1), "resolutionunit": "NONE"}
for ending in ("svs", "tif"):
    case(
        f"aperio-{ending}", lambda p, e=ending: aperio(p.folder / f"x.{e}", 2.0, **BARE),
        right=slide_is(mpp=2.0), silent=True,
    )  # fmt: skip
    for grew, stated in ((4, 0.5), (2, 1.0)):
        case(
            f"aperio-{ending}-shrunk-{grew}",
            lambda p, e=ending, g=grew, s=stated: aperio(p.folder / f"x.{e}", s, g),
            right=slide_is(mpp=2.0), silent=True, warns=f"{stated:g}\\b", refuses=f"{stated:g}\\b",
        )  # fmt: skip
        case(
            f"aperio-{ending}-shrunk-{grew}-without-tag",
            lambda p, e=ending, g=grew, s=stated: aperio(p.folder / f"x.{e}", s, g, **BARE),
            right=slide_is(mpp=2.0), silent=True, warns=f"{stated:g}\\b", refuses=f"{stated:g}\\b",
        )  # fmt: skip
case(
    "aperio-tag-says-other", lambda p: aperio(p.folder / "x.tif", 2.0, **per_cm(4.0)),
    warns=r"\b2\b.*\b4\b|\b4\b.*\b2\b", refuses=r"\b4\b",
)  # fmt: skip
case(
    "aperio-mpp-twice", lambda p: aperio(p.folder / "x.svs", "2.0|MPP = 8.0", **BARE),
    right=slide_is(mpp=2.0), silent=True, warns="8", refuses="8",
)  # fmt: skip
for text in ("0", "-0.5", "nan", "1e9", "half", "1e400"):
    case(
        f"aperio-mpp-{text}", lambda p, t=text: aperio(p.folder / "x.svs", t, **BARE),
        refuses=UNKNOWN,
    )  # fmt: skip
case(
    "ome-and-tag-disagree", lambda p: of_ome(p.folder, ome(2.0, 2.0), **per_cm(0.5)),
    warns=r"0\.5", refuses=r"0\.5",
)  # fmt: skip

# ---- tags that are no statement about a microscope ---------------------------------------------

for name, tag in {
    "72-dpi": {"resolution": (72, 72), "resolutionunit": "INCH"},
    "96-dpi": {"resolution": (96, 96), "resolutionunit": "INCH"},
    "1e9-um": {"resolution": ((1, 100_000), (1, 100_000))},
    "no-unit": BARE,
}.items():
    case(f"tags-{name}", lambda p, t=tag: tiff(p.folder / "x.tif", picture(), **t), refuses=UNKNOWN)
case("png-no-scale", lambda p: save(p.folder / "x.png", picture(), dpi=None), refuses=UNKNOWN)
case("jpg-72-dpi", lambda p: save(p.folder / "x.jpg", picture(), dpi=(72, 72)), refuses=UNKNOWN)

# ---- what the user says -------------------------------------------------------------------------

for text in ("0", "-1", "nan", "inf", "1e9"):
    case(
        f"user-mpp-{text}", lambda p: tiff(p.folder / "x.tif", picture()),
        refuses=r"um per|scale|mpp", options={"mpp": float(text)},
    )  # fmt: skip
case(
    "user-mpp-where-none-is-known", lambda p: tiff(p.folder / "x.tif", picture(), **BARE),
    right=slide_is(mpp=2.0), silent=True, options={"mpp": 2.0},
)  # fmt: skip
case(
    "user-mpp-contradicts", lambda p: tiff(p.folder / "x.tif", picture()),
    right=slide_is(mpp=3.0), warns=r"\b3\b.*\b2\b|\b2\b.*\b3\b", options={"mpp": 3.0},
)  # fmt: skip

# ---- Space Ranger -------------------------------------------------------------------------------

FACTORS = "spatial/scalefactors_json.json"


def factors(place: Place, **values: object) -> Path:
    outs = place.copy("outs")
    told = json.loads((outs / FACTORS).read_text()) | values
    (outs / FACTORS).write_text(json.dumps({k: v for k, v in told.items() if v != "gone"}))
    return outs


def with_factors(name: str, values: dict[str, object], **how: Any) -> None:
    case(f"factors-{name}", lambda p: factors(p, **values), **how)


KNOWN = slide_is(mpp=2.0)
with_factors("diameter-tenfold", {"spot_diameter_fullres": 325.0}, right=KNOWN,
             warns=r"diameter", refuses="diameter")  # fmt: skip
with_factors("diameter-words", {"spot_diameter_fullres": "big"}, right=KNOWN,
             warns=r"spot_diameter_fullres", refuses=r"spot_diameter_fullres")  # fmt: skip
with_factors("hires-words", {"tissue_hires_scalef": "0.5"}, right=KNOWN,
             silent=True, warns=r"tissue_hires_scalef", refuses="tissue_hires_scalef")  # fmt: skip
with_factors("diameter-null", {"spot_diameter_fullres": None}, right=KNOWN, silent=True,
             warns="spot_diameter", refuses="spot_diameter")  # fmt: skip
with_factors("diameter-gone", {"spot_diameter_fullres": "gone"}, right=KNOWN, silent=True,
             warns="spot_diameter", refuses="spot_diameter")  # fmt: skip
for name, value in {"0": 0, "negative": -0.5, "nan": float("nan"), "1e-300": 1e-300}.items():
    with_factors(f"hires-{name}", {"tissue_hires_scalef": value}, right=KNOWN,
                 warns="tissue_hires_scalef", refuses=r"scale ?factors|hires")  # fmt: skip
with_factors("diameter-1e9", {"spot_diameter_fullres": 1e9}, right=KNOWN, warns="diameter",
             refuses="diameter|um per px")  # fmt: skip
with_factors("um-per-px-contradicts-the-pitch", {"microns_per_pixel": 0.5}, right=KNOWN,
             warns=r"0\.5", refuses=r"0\.5")  # fmt: skip
