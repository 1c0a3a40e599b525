"""Paths: what is no file, what may not be read, what vanishes, and names that systems allow."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..builders import H5, HEIGHT, WIDTH, picture, save, tiff, visium
from ..case import of_kind
from ..look import slide_is

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..place import Place

case = of_kind("paths")
RIGHT = slide_is(mpp=2.0, size=(HEIGHT, WIDTH))
NO_FILE = r"pipe|device|socket|folder|link|not a file|exist|read|not a slide|loop"

# ---- what is no file -----------------------------------------------------------------------------

NOT_FILES: dict[str, Callable[[Path], object]] = {
    "pipe": os.mkfifo,
    "dev-zero": lambda p: p.symlink_to("/dev/zero"),
    "dev-null": lambda p: p.symlink_to("/dev/null"),
    "folder": lambda p: p.mkdir(),
    "link-to-itself": lambda p: p.symlink_to(p.name),
    "link-to-nothing": lambda p: p.symlink_to("gone"),
}
for what, make_it in NOT_FILES.items():
    for ending in ("tif", "svs", "png", "zarr"):

        @case(f"{ending}-is-a-{what}", refuses=f"{NO_FILE}|empty")
        def _(place: Place, make_it: Any = make_it, ending: str = ending) -> Path:
            make_it(place.folder / f"x.{ending}")
            return place.folder / f"x.{ending}"

    for part, optional in {
        "spatial/tissue_positions.csv": False,
        "spatial/scalefactors_json.json": False,
        "spatial/tissue_hires_image.png": True,
        "scan.tif": True,
        H5: True,
    }.items():

        @case(
            f"{Path(part).name}-is-a-{what}", right=slide_is(mpp=2.0),
            silent=optional and part != H5,
            warns=f"{Path(part).name}|{NO_FILE}" if optional else None,
            refuses=f"{Path(part).name}|{NO_FILE}|positions|factors|count",
        )  # fmt: skip
        def _(place: Place, make_it: Any = make_it, part: str = part) -> Path:
            outs = visium(place.folder / "outs")
            (outs / part).unlink(missing_ok=True)
            make_it(outs / part)
            return outs

    if what != "folder":

        @case(f"legacy-image-is-a-{what}", refuses=f"{NO_FILE}|a.jpg|image")
        def _(place: Place, make_it: Any = make_it) -> Path:
            root = place.copy("legacy")
            (root / "ST-imgs/A/A1/a.jpg").unlink()
            make_it(root / "ST-imgs/A/A1/a.jpg")
            return root

        @case(f"legacy-counts-is-a-{what}", refuses=f"{NO_FILE}|A1|count")
        def _(place: Place, make_it: Any = make_it) -> Path:
            root = place.copy("legacy")
            (root / "ST-cnts/A1.tsv.gz").unlink()
            make_it(root / "ST-cnts/A1.tsv.gz")
            return root


for device in ("/dev/null", "/dev/zero", "/proc/self/mem"):
    case(f"{device[1:].replace('/', '-')}-as-a-slide", lambda p, d=device: Path(d), refuses=".")


@case("socket-as-a-slide", refuses=NO_FILE)
def _(place: Place) -> Path:
    import socket

    here = os.getcwd()
    os.chdir(place.folder)  # the path of a socket is short
    socket.socket(socket.AF_UNIX).bind("x.tif")
    os.chdir(here)
    return place.folder / "x.tif"


case("path-that-is-not-there", lambda p: p.folder / "gone", refuses="exist")
case("path-below-a-file", lambda p: tiff(p.folder / "x.tif", picture()) / "y", refuses=".")
case("path-with-a-zero", lambda p: p.folder / "a\0b.tif", refuses=".")
case("path-too-long", lambda p: p.folder / ("x" * 5000), refuses=".")
for name, text in {"text": b"hello", "program": b"\x7fELF" + bytes(1000), "no-byte": b""}.items():
    for ending in ("tif", "svs", "png", "mrxs"):

        @case(f"{ending}-is-{name}", refuses=f"x.{ending}|image|slide|x ")
        def _(place: Place, text: bytes = text, ending: str = ending) -> Path:
            (place.folder / f"x.{ending}").write_bytes(text)
            return place.folder / f"x.{ending}"


@case("empty-folder", refuses="empty")
def _(place: Place) -> Path:
    (place.folder / "s").mkdir()
    return place.folder / "s"


@case("h5ad-as-a-slide", refuses="x.h5ad|slide")
def _(place: Place) -> Path:
    import anndata
    import numpy as np

    anndata.AnnData(np.ones((5, 4), np.float32)).write_h5ad(place.folder / "x.h5ad")
    return place.folder / "x.h5ad"


# ---- rights -------------------------------------------------------------------------------------


def locked(name: str, form: str, part: str, **how: Any) -> None:
    def make(place: Place) -> Path:
        path = place.folder / "x.tif"
        path = tiff(path, picture()) if form == "image" else place.copy(form)
        (path / part if part else path).chmod(0)
        return path

    case(f"{name}-without-rights", make, ordinary=True, **how)


RIGHTS = r"permission|right|read|denied|exist"
locked("image", "image", "", refuses=RIGHTS)
locked("folder", "outs", "", refuses=RIGHTS)
locked("spatial", "outs", "spatial", refuses=RIGHTS)
locked("counts", "outs", H5, refuses=RIGHTS)
locked("scan", "outs", "scan.tif", right=slide_is(mpp=2.0), warns=RIGHTS, refuses=RIGHTS)
locked("store", "store.zarr", "", refuses=RIGHTS)
locked("root-file", "store.zarr", "zarr.json", refuses=RIGHTS)

# ---- files that change while they are read ---------------------------------------------------------


def changing(name: str, ending: str, change: Callable[[Path], object], **how: Any) -> None:
    def make(place: Place) -> Callable[[], Any]:
        path = place.folder / f"x.{ending}"
        tiff(path, picture()) if ending == "tif" else save(path, picture())

        def work() -> Any:
            from napari_umpire.slides.open import open_slide

            slide = open_slide(path)
            change(path)
            for level in slide.pyramid.levels:
                level.read(0, 0, *level.shape)
            return [slide]

        return work

    case(
        f"{ending}-{name}",
        make,
        right=RIGHT,
        silent=True,
        refuses=f"x.{ending}|image|x|gone",
        **how,
    )


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 3)


for ending in ("tif", "png"):
    changing("vanishes", ending, Path.unlink)
    changing("is-cut-while-read", ending, truncate)
    changing("is-replaced-by-text", ending, lambda p: p.write_text("hello"))

# ---- names --------------------------------------------------------------------------------------

NAMES = {
    "spaces": "a slide with spaces",
    "umlauts": "Schnitt_\u00e4\u00f6\u00fc",
    "chinese": "\u5207\u7247",
    "beyond-the-bmp": "\U0001f9ec\U00020bb7",
    "right-to-left": "\u05e9\u05e7\u05d5\u05e4\u05d9\u05ea",
    "line-break": "two\nlines",
    "quotes": 'it\'s "quoted" $(touch CANARY) `x` ; rm',
    "percent": "100%s%n{0}{name}",
    "hash": "a#b?c=d&e",
    "dash": "--model",
    "dots": "..slide..",
    "brackets": "[1,2]",
    "equals": "slides=x",
    "backslash": "a\\b",
    "not-utf-8": os.fsdecode(b"caf\xe9"),
    "glob": "a*b?[c]",
    "tilde": "~root",
    "very-long": "n" * 251,
}
for key, name in NAMES.items():

    @case(f"name-{key}", right=RIGHT, silent=True)
    def _(place: Place, name: str = name) -> Path:
        return tiff(place.folder / f"{name}.tif", picture())

    if key in ("spaces", "beyond-the-bmp", "line-break", "not-utf-8", "glob", "brackets"):

        @case(f"folder-name-{key}", right=slide_is(mpp=2.0, counts=True), silent=True)
        def _(place: Place, name: str = name) -> Path:
            return visium(place.folder / name)


@case("name-deep", right=RIGHT, silent=True, refuses=".")
def _(place: Place) -> Path:
    deep = place.folder
    while len(str(deep)) < 3_000:
        deep = deep / ("d" * 200)
    deep.mkdir(parents=True)
    return tiff(deep / "x.tif", picture())
