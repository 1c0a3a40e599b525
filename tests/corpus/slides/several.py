"""First of several: never without a word; and names that are no data are passed over."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile

from ..builders import GENES, H5, HEIGHT, WIDTH, legacy, picture, save, sdata, tiff, visium
from ..case import of_kind
from ..look import slide_is
from .scale import ome

if TYPE_CHECKING:
    from pathlib import Path

    from ..place import Place

case = of_kind("several")
WHOLE = slide_is(mpp=2.0, size=(HEIGHT, WIDTH))

# ---- scenes and pages ---------------------------------------------------------------------------


def scenes(path: Path, *sizes: tuple[int, int], names: tuple[str, ...] = ()) -> Path:
    with tifffile.TiffWriter(path, ome=path.name.endswith("ome.tif")) as file:
        for number, (height, width) in enumerate(sizes):
            said = ome(2.0, 2.0, Name=names[number] if names else f"Scene {number}")
            file.write(
                picture(height, width, seed=number), photometric="rgb", tile=(256, 256),
                compression="zlib", metadata=said, resolution=(5_000, 5_000),
                resolutionunit="CENTIMETER",
            )  # fmt: skip
    return path


def has_the_slide(slides: Any) -> None:
    """Pages without names: a small one may be a label or a small section."""
    assert (HEIGHT, WIDTH) in {tuple(map(round, s.pyramid.extent)) for s in slides}
    assert all(abs(s.mpp - 2.0) < 0.02 for s in slides)


BOTH = {"warns": "scene|image|page|2|two", "refuses": "scene|image|page"}
for name, sizes in {
    "two-of-one-size": [(900, 700)] * 2,
    "two-of-unlike-size": [(900, 700), (1000, 800)],
    "two-smaller-first": [(700, 600), (1000, 800)],
    "three": [(900, 700), (800, 700), (1000, 800)],
}.items():
    case(
        f"scenes-{name}", lambda p, s=sizes: scenes(p.folder / "x.ome.tif", *s),
        right=slide_is(mpp=2.0, number=len(sizes)), silent=True, **BOTH,
    )  # fmt: skip
case(
    "scenes-label-and-macro",
    lambda p: scenes(
        p.folder / "x.ome.tif", (1200, 1000), (300, 200), (260, 520),
        names=("slide", "label", "macro"),
    ),
    right=slide_is(mpp=2.0, size=(HEIGHT, WIDTH)), silent=True, warns="scene|image|label",
)  # fmt: skip


@case(
    "pages-of-one-size", right=slide_is(mpp=2.0, number=5), silent=True, warns="page|image|5|five",
    refuses="page|image",
)  # fmt: skip
def _(place: Place) -> Path:
    tifffile.imwrite(
        place.folder / "x.tif", np.stack([picture()] * 5), photometric="rgb", metadata=None,
        compression="zlib", resolution=(5_000, 5_000), resolutionunit="CENTIMETER",
    )  # fmt: skip
    return place.folder / "x.tif"


@case(
    "pages-label-slide-macro",
    right=has_the_slide,
    silent=True,
    warns="page|image",
    refuses="scale|um",
)
def _(place: Place) -> Path:
    with tifffile.TiffWriter(place.folder / "x.tif") as file:
        for part in ((200, 150), (HEIGHT, WIDTH), (100, 160)):
            file.write(
                picture(*part), photometric="rgb", metadata=None, compression="zlib",
                resolution=(5_000, 5_000), resolutionunit="CENTIMETER",
            )  # fmt: skip
    return place.folder / "x.tif"


# ---- companions that macOS and browsers leave ------------------------------------------------------

APPLE = b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        " + bytes(300)


def strew(root: Path, only: str = "*") -> Path:
    """Put an AppleDouble file beside each file, and a .DS_Store into each folder."""
    for path in list(root.rglob(only)):
        if path.is_file():
            path.with_name(f"._{path.name}").write_bytes(APPLE)
        elif path.is_dir() and path.suffix != ".zarr":
            (path / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    return root


for name in ("outs", "mtx", "legacy"):
    right = slide_is(counts=True, mpp=2.0)
    case(f"from-a-mac-{name}", lambda p, n=name: strew(p.copy(n)), right=right, silent=True)
case("from-a-mac-store", lambda p: strew(p.copy("store.zarr"), "*/*"), right=WHOLE, silent=True)


@case("from-a-mac-space-ranger-1", right=slide_is(mpp=2.0, counts=True), silent=True)
def _(place: Place) -> Path:
    outs = visium(place.folder / "outs")
    old = outs / "spatial/tissue_positions.csv"
    rows = old.read_text().splitlines()[1:]
    old.with_name("tissue_positions_list.csv").write_text("\n".join(rows) + "\n")
    old.unlink()
    return strew(outs)


# ---- samples in one folder -----------------------------------------------------------------------


def right_sample(slides: list[Any]) -> None:
    """Counts of GSM2 lie where GSM2 lies, 130 px lower than GSM1."""
    slide_is(mpp=2.0)(slides)
    top = slides[0].spots["y"].min()
    assert top > 250, f"spots of the other sample: they begin at {top:.0f}"


def two_samples(place: Place, drop: str) -> Path:
    folder = place.folder / "series"
    visium(folder, prefix="GSM1_", seed=1)
    visium(folder, prefix="GSM2_", seed=2, shift=130)
    for path in folder.rglob(drop):
        path.unlink()
    return folder


PREFIX = r"GSM1|GSM2|prefix|several|positions"
for name, drop in {
    "counts-of-the-second": f"GSM1_{H5}",
    "counts-and-positions-of-the-second": "GSM1_[ft][!i]*[5v]",
    "all-of-both": "nothing",
}.items():
    case(f"two-samples-{name}", lambda p, d=drop: two_samples(p, d), right=right_sample,
         silent=drop != "nothing", warns=PREFIX if drop != "nothing" else None, refuses=PREFIX)  # fmt: skip
case(
    "two-samples-positions-of-the-first-counts-of-the-second",
    lambda p: two_samples(p, "GSM2_t*"), refuses=PREFIX,
)  # fmt: skip
case("one-sample-with-a-prefix", lambda p: visium(p.folder / "outs", prefix="GSM1_"),
     right=slide_is(mpp=2.0, counts=True), silent=True)  # fmt: skip


def beside(place: Place, name: str, new: str) -> Path:
    outs = visium(place.folder / "outs")
    found = next(outs.rglob(name))
    shutil.copy(found, found.with_name(new))
    return outs


case("two-count-files", lambda p: beside(p, H5, f"old_{H5}"), refuses="old_|several|two|count")
case(
    "two-positions-files",
    lambda p: beside(p, "tissue_positions.csv", "old_tissue_positions.csv"),
    refuses="positions", warns="positions",
)  # fmt: skip
case(
    "two-factors-files",
    lambda p: beside(p, "scalefactors_json.json", "old_scalefactors_json.json"),
    refuses="scalefactors", warns="scalefactors",
)  # fmt: skip
case(
    "two-hires-images",
    lambda p: beside(p, "tissue_hires_image.png", "old_tissue_hires_image.png"),
    refuses="hires", warns="hires", right=slide_is(mpp=2.0),
)  # fmt: skip


@case("two-scans-that-fit", right=slide_is(mpp=2.0), warns="scan|image", refuses="scan|image")
def _(place: Place) -> Path:
    outs = visium(place.folder / "outs")
    for name in ("a_scan.tif", "b_scan.tif"):
        tiff(outs / name, picture(seed=int(name == "b_scan.tif")))
    return outs


@case("two-photographs-of-a-legacy-section", right=slide_is(counts=True), refuses="image|a.jpg|b.jpg",
      warns="image|a.jpg|b.jpg")  # fmt: skip
def _(place: Place) -> Path:
    root = legacy(place.folder / "legacy")
    save(root / "ST-imgs/A/A1/b.jpg", picture(seed=4), quality=92)
    return root


# ---- aggregated and segmented runs ---------------------------------------------------------------


@case("aggregated-run", refuses="aggr|librar|several|-2")
def _(place: Place) -> Path:
    outs = visium(place.folder / "aggr/outs")
    kept = outs / "spatial"
    kept.rename(outs / "library")
    for library in "AB":
        shutil.copytree(outs / "library", outs / "spatial" / library)
    shutil.rmtree(outs / "library")
    return outs


@case("aggregated-run-one-library", refuses="aggr|outs|run|spatial")
def _(place: Place) -> Path:
    outs = visium(place.folder / "aggr/outs")
    (outs / "spatial").rename(outs / "library")
    shutil.copytree(outs / "library", outs / "spatial/A")
    shutil.rmtree(outs / "library")
    return outs / "spatial/A"


@case("segmented-outputs", refuses="cell|segment|polygon")
def _(place: Place) -> Path:
    outs = visium(place.folder / "hd/outs/segmented_outputs")
    (outs / "spatial/tissue_positions.csv").unlink()
    (outs / H5).rename(outs / "filtered_feature_cell_matrix.h5")
    (outs / "cell_segmentations.geojson").write_text(
        '{"type": "FeatureCollection", "features": []}'
    )
    return outs


@case("segmented-outputs-from-above", refuses="cell|segment|polygon")
def _(place: Place) -> Path:
    outs = visium(place.folder / "hd/outs/segmented_outputs")
    (outs / "spatial/tissue_positions.csv").unlink()
    (outs / H5).rename(outs / "filtered_feature_cell_matrix.h5")
    (outs / "cell_segmentations.geojson").write_text(
        '{"type": "FeatureCollection", "features": []}'
    )
    return outs.parent


@case("visium-hd-bins", right=slide_is(mpp=0.5, spots=400, counts=True), silent=True)
def _(place: Place) -> Path:
    import json

    import pandas as pd

    from ..builders import write_h5

    outs = visium(place.folder / "hd/binned_outputs/square_008um")
    (outs / "spatial/tissue_positions.csv").unlink()
    rows = [
        (f"s_008um_{r:05d}_{c:05d}-1", 1, r, c, 230.0 + 16 * r, 480.0 + 16 * c)
        for r in range(20)
        for c in range(20)
    ]
    names = "barcode in_tissue array_row array_col pxl_row_in_fullres pxl_col_in_fullres"
    table = pd.DataFrame(rows, columns=names.split())
    table.to_parquet(outs / "spatial/tissue_positions.parquet")
    told = {"spot_diameter_fullres": 16.0, "bin_size_um": 8.0, "microns_per_pixel": 0.5}
    told |= {"tissue_hires_scalef": 0.5, "tissue_lowres_scalef": 0.125}
    (outs / "spatial/scalefactors_json.json").write_text(json.dumps(told))
    counts = np.random.default_rng(0).poisson(2, (len(GENES), 400))
    write_h5(outs / H5, counts, table["barcode"].tolist())
    return outs


# ---- tables and regions of a store ----------------------------------------------------------------


def written(place: Place, made: Any) -> Path:
    made.write(place.folder / "x.zarr")
    return place.folder / "x.zarr"


@case("table-without-region", right=slide_is(counts=False), warns="table", refuses="table")
def _(place: Place) -> Path:
    import anndata as ad
    from spatialdata.models import TableModel

    whole = sdata().tables["table"]
    return written(place, sdata(table=TableModel.parse(ad.AnnData(whole.X, var=whole.var))))


@case("two-tables-of-one-region", warns="table", refuses="table")
def _(place: Place) -> Path:
    made = sdata()
    made.tables["second"] = made.tables["table"].copy()
    return written(place, made)


@case("two-regions", right=lambda slides: slide_is(number=2)(slides), silent=True)
def _(place: Place) -> Path:
    made = sdata(table=False)
    made.shapes["again"] = made.shapes["spots"].copy()
    return written(place, made)


@case("two-images-of-h-and-e", right=slide_is(mpp=2.0), silent=True, warns="image", refuses="image")
def _(place: Place) -> Path:
    from spatialdata.models import Image2DModel

    one = Image2DModel.parse(np.moveaxis(picture(), 2, 0))
    return written(place, sdata(images={"b_he": one, "a_he": one.copy()}))
