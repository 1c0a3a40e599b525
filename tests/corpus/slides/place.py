"""Where the spots lie: the picture is compared with them and with its own smaller copies."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from ..builders import (
    GLASS,
    HEIGHT,
    TISSUE,
    WIDTH,
    array,
    halved,
    picture,
    save,
    sdata,
    tiff,
    visium,
)  # fmt: skip
from ..case import of_kind
from ..look import slide_is

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ..place import Place

case = of_kind("place")
LIES = r"tissue|lies|turned|mirror|agree|fit|look|hires|lowres|size"
"""What a warning or a refusal about the place speaks of."""
TOP, OFF = (0.32 * HEIGHT, 0.62 * WIDTH), (0.8 * HEIGHT, 0.3 * WIDTH)
"""The middle of the tissue, and a place on the glass."""
UPRIGHT = slide_is(size=(HEIGHT, WIDTH), colours={TOP: TISSUE, OFF: GLASS}, mpp=2.0)
TURNS: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a, -1),
}
"""Tag of orientation -> how the upright image is stored under it."""

# ---- orientation --------------------------------------------------------------------------------


def stored_turned(path: Path, tag: int) -> Path:
    pixels = np.ascontiguousarray(TURNS[tag](picture()))
    if path.suffix == ".tif":
        return tiff(path, pixels, extratags=[(274, "H", 1, tag, True)])
    exif = Image.Exif()
    exif[0x0112] = tag
    return save(path, pixels, exif=exif, **({"quality": 92} if path.suffix == ".jpg" else {}))


for ending in ("tif", "jpg", "png"):
    for tag in TURNS:
        case(
            f"orientation-{ending}-{tag}",
            lambda p, e=ending, t=tag: stored_turned(p.folder / f"x.{e}", t),
            right=UPRIGHT, silent=True, refuses="orientation|turned",
        )  # fmt: skip

# ---- a full image that is not the one of the spots ------------------------------------------------


def with_scan(name: str, pixels: Callable[[], np.ndarray], **how: Any) -> None:
    """A run whose folder holds a full-resolution image of the right size that shows other places."""

    def make(place: Place) -> Path:
        outs = visium(place.folder / "outs")
        tiff(outs / "scan.tif", np.ascontiguousarray(pixels()))
        return outs

    case(f"scan-{name}", make, **how)


SEEN = {"right": slide_is(mpp=2.0), "warns": LIES, "refuses": LIES}
with_scan("of-the-run", picture, right=slide_is(mpp=2.0, size=(HEIGHT, WIDTH)), silent=True)
with_scan("of-the-neighbour", lambda: np.roll(picture(), (560, -300), (0, 1)), **SEEN)
with_scan("blank", lambda: np.full((HEIGHT, WIDTH, 3), 244, np.uint8), **SEEN)
with_scan("upside-down", lambda: picture()[::-1], **SEEN)
with_scan("mirrored", lambda: picture()[:, ::-1], **SEEN)
with_scan("half-turned", lambda: picture()[::-1, ::-1], **SEEN)


@case("scan-square-on-its-side", **SEEN)
def _(place: Place) -> Path:
    """Square, so that its size cannot tell that it is turned."""
    white = np.full((HEIGHT, HEIGHT - WIDTH, 3), 244, np.uint8)
    square = np.hstack([picture(), white])
    outs = visium(place.folder / "outs", pixels=square)
    tiff(outs / "scan.tif", np.ascontiguousarray(np.rot90(square)))
    return outs


@case("scan-square-with-exif", right=slide_is(mpp=2.0, colours={TOP: TISSUE, OFF: GLASS}),
      silent=True, warns=LIES, refuses=LIES)  # fmt: skip
def _(place: Place) -> Path:
    """Stored on its side, with a tag that says so: used upright, or left aside with a word."""
    white = np.full((HEIGHT, HEIGHT - WIDTH, 3), 244, np.uint8)
    square = np.hstack([picture(), white])
    outs = visium(place.folder / "outs", pixels=square)
    exif = Image.Exif()
    exif[0x0112] = 6
    save(outs / "scan.jpg", np.rot90(square), quality=92, exif=exif)
    return outs


# ---- reduced copies that do not belong to the factors ---------------------------------------------


def resized(place: Place, name: str, by: float) -> Path:
    outs = visium(place.folder / "outs")
    path = outs / f"spatial/tissue_{name}_image.png"
    image = Image.open(path)
    image.resize((round(image.width * by), round(image.height * by))).save(path)
    return outs


for name, by in (("hires", 2.0), ("hires", 0.5), ("lowres", 2.0), ("hires", 1.25)):
    case(
        f"{name}-of-{by:g}-times-the-size", lambda p, n=name, b=by: resized(p, n, b),
        right=slide_is(mpp=2.0), warns=LIES, refuses=LIES,
    )  # fmt: skip


@case("hires-of-another-section", right=slide_is(mpp=2.0), warns=LIES, refuses=LIES)
def _(place: Place) -> Path:
    outs = visium(place.folder / "outs")
    moved = np.roll(picture(), (560, -300), (0, 1))
    Image.fromarray(halved(moved)).save(outs / "spatial/tissue_hires_image.png")
    Image.fromarray(halved(moved, 8)).save(outs / "spatial/tissue_lowres_image.png")
    return outs


@case("factors-exchanged", right=slide_is(mpp=2.0), warns=LIES, refuses=LIES)
def _(place: Place) -> Path:
    outs = visium(place.folder / "outs")
    path = outs / "spatial/scalefactors_json.json"
    told = json.loads(path.read_text())
    told["tissue_hires_scalef"], told["tissue_lowres_scalef"] = 0.125, 0.5
    path.write_text(json.dumps(told))
    return outs


# ---- positions ----------------------------------------------------------------------------------

Y, X = "pxl_row_in_fullres", "pxl_col_in_fullres"


def moved(name: str, change: Callable[[Any], Any], *, full: bool = False, **how: Any) -> None:
    """A run whose table of positions was changed."""

    def make(place: Place) -> Path:
        outs = place.copy("outs") if full else visium(place.folder / "outs")
        table = array()
        changed = change(table)
        table = table if changed is None else changed
        table.to_csv(outs / "spatial/tissue_positions.csv", index=False)
        return outs

    case(f"positions-{name}{'-with-scan' if full else ''}", make, **how)


def exchange(table: Any) -> None:
    table[[Y, X]] = table[[X, Y]].to_numpy()


def to_other_end(table: Any, column: str, extent: int) -> None:
    table[column] = extent - table[column]


WRONG = {"warns": r"tissue|mirror|exchang|rows and columns|image", "refuses": r"tissue|image|spots"}
for scanned in (False, True):
    moved("rows-and-columns-exchanged", exchange, full=scanned, **WRONG)
    moved("x-mirrored", lambda t: to_other_end(t, X, WIDTH), full=scanned, **WRONG)
    moved("y-mirrored", lambda t: to_other_end(t, Y, HEIGHT), full=scanned, **WRONG)
moved("in-px-of-the-hires-copy", lambda t: t.assign(**{Y: t[Y] / 2, X: t[X] / 2}), **WRONG)
moved("off-the-image", lambda t: t.assign(**{X: t[X] + 100_000}), refuses="image|beyond|outside")
moved("at-1e300", lambda t: t.assign(**{Y: t[Y] + 1e300}), refuses="image|beyond|positions")


def some(table: Any, column: str, value: float) -> None:
    on = table.index[table["in_tissue"] == 1][:5]
    table[column] = table[column].astype(float)
    table.loc[on, column] = value


moved("some-off-the-image", lambda t: some(t, X, 100_000.0), warns=r"\b5\b", refuses=r"\b5\b")
moved("some-negative", lambda t: some(t, Y, -50.0), warns=r"\b5\b", refuses=r"\b5\b")
moved("all-at-one-place", lambda t: t.assign(**{Y: 400, X: 400}), refuses="place|spots|spot")
moved("on-a-line", lambda t: t.assign(**{X: 400}), refuses="place|spots|line|pitch",
      warns=r"pitch|place|line|um per px|array")  # fmt: skip

# ---- SpatialData --------------------------------------------------------------------------------


def written(place: Place, made: Any) -> Path:
    path = place.folder / "x.zarr"
    made.write(path)
    return path


def transformed(place: Place, image: Any = None, spots: Any = None) -> Path:
    """The systems that image and spots lie in, and how."""
    from spatialdata.transformations import set_transformation

    made = sdata()
    for element, systems in ((made.images["he"], image), (made.shapes["spots"], spots)):
        if systems is not None:
            set_transformation(element, systems, set_all=True)
    return written(place, made)


def moves() -> Any:
    from spatialdata.transformations import Identity, Translation

    return Identity(), Translation([150, 150], ("x", "y"))


DISAGREE = {"warns": r"coordinate system", "refuses": r"coordinate system"}


@case("two-systems-that-disagree", **DISAGREE)
def _(place: Place) -> Path:
    stays, goes = moves()
    both = {"global": stays, "registered": stays}
    return transformed(place, {"global": stays, "registered": goes}, both)


@case("three-systems-of-which-one-disagrees", **DISAGREE)
def _(place: Place) -> Path:
    stays, goes = moves()
    other = {"a": stays, "b": stays, "c": goes}
    return transformed(place, other, dict.fromkeys("abc", stays))


@case("two-systems-that-agree", right=slide_is(mpp=2.0), silent=True)
def _(place: Place) -> Path:
    stays, goes = moves()
    both = {"global": stays, "moved": goes}
    return transformed(place, both, both)


def linear(matrix: list[list[float]]) -> Any:
    from spatialdata.transformations import Affine

    full = [[*matrix[0], 0.0], [*matrix[1], 0.0], [0.0, 0.0, 1.0]]
    return {"global": Affine(full, ("x", "y"), ("x", "y"))}


NAN = float("nan")
for name, matrix in {
    "0": [[0.0, 0.0], [0.0, 0.0]],
    "0-in-x": [[0.0, 0.0], [0.0, 1.0]],
    "nan": [[NAN, 0.0], [0.0, 1.0]],
    "1e9": [[1e9, 0.0], [0.0, 1e9]],
    "1e-9": [[1e-9, 0.0], [0.0, 1e-9]],
    "minus-1": [[-1.0, 0.0], [0.0, -1.0]],
    "of-rank-1": [[1.0, 1.0], [1.0, 1.0]],
}.items():
    case(
        f"spots-transformed-by-{name}", lambda p, m=matrix: transformed(p, spots=linear(m)),
        refuses="transform|image|spots|scale",
    )  # fmt: skip
    if name not in ("1e9", "1e-9"):
        case(
            f"image-transformed-by-{name}", lambda p, m=matrix: transformed(p, linear(m)),
            refuses="transform|image|spots|scale",
        )  # fmt: skip
case(
    "spots-exchanged-by-their-transform",
    lambda p: transformed(p, spots=linear([[0.0, 1.0], [1.0, 0.0]])), **WRONG,
)  # fmt: skip
case(
    "image-stretched-by-its-transform",
    lambda p: transformed(p, linear([[1.0, 0.0], [0.0, 1.5]])), **WRONG,
)  # fmt: skip
