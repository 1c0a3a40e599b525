"""Small slides of every form, none of them square or symmetric, whose places are known."""

from __future__ import annotations

import gzip
import json
from functools import cache
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp
import tifffile
from PIL import Image

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "CROSS",
    "GENES",
    "GLASS",
    "H5",
    "HEIGHT",
    "LEGACY_SPOTS",
    "TISSUE",
    "UM",
    "WIDTH",
    "array",
    "halved",
    "legacy",
    "on_tissue",
    "per_cm",
    "picture",
    "save",
    "sdata",
    "tiff",
    "visium",
    "write_h5",
    "write_mtx",
]

HEIGHT, WIDTH, UM = 1200, 1000, 2.0
"""Size of the section, px, and um per px."""
GLASS, TISSUE = (244.0, 244.0, 244.0), (205.0, 130.0, 175.0)
CROSS = (900.0, 250.0)
"""Where `picture` draws its cross, if it does: (y, x) px."""
H5 = "filtered_feature_bc_matrix.h5"
GENES = {
    "ERBB2": "ENSG00000141736",
    "EPCAM": "ENSG00000119888",
    "KRT7": "ENSG00000135480",
    "KRT8": "ENSG00000170421",
    "ACTB": "ENSG00000075624",
    "GAPDH": "ENSG00000111640",
}


def on_tissue(y: Any, x: Any, height: int = HEIGHT, width: int = WIDTH) -> Any:
    """Whether places lie on the tissue, an ellipse to the upper right."""
    return ((y / height - 0.32) / 0.22) ** 2 + ((x / width - 0.62) / 0.25) ** 2 < 1


@cache  # made once, before the cases fork
def picture(
    height: int = HEIGHT, width: int = WIDTH, *, seed: int = 0, cross: bool = False
) -> np.ndarray:
    """An H&E section, (height, width, 3) uint8: glass, and tissue with nuclei of 3 px."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    tissue = on_tissue(y, x, height, width)
    out = np.where(tissue[..., None], np.float32(TISSUE), np.float32(GLASS))
    grain = rng.normal(0, 1, (-(-height // 3), -(-width // 3)))
    nuclei = np.kron(grain, np.ones((3, 3)))[:height, :width, None]
    out += np.where(tissue[..., None], nuclei * np.float32((18, 24, 12)), nuclei * 1.5)
    if cross:
        top, left = (int(v) for v in CROSS)
        out[top - 24 : top + 24, left - 8 : left + 8] = 0
        out[top - 8 : top + 8, left - 24 : left + 24] = 0
    pixels = np.clip(out, 0, 255).astype(np.uint8)
    pixels.flags.writeable = False
    return pixels


def halved(pixels: np.ndarray, step: int = 2) -> np.ndarray:
    """The means of blocks of ``step`` px."""
    height, width = (n // step for n in pixels.shape[:2])
    blocks = pixels[: height * step, : width * step].reshape(height, step, width, step, -1)
    return blocks.mean(axis=(1, 3)).astype(pixels.dtype)


# ---- images -------------------------------------------------------------------------------------


def per_cm(um: float) -> dict[str, Any]:
    """The resolution tags of ``um`` per px."""
    return {"resolution": (10_000 / um,) * 2, "resolutionunit": "CENTIMETER"}


def tiff(
    path: Path, pixels: np.ndarray, levels: tuple[np.ndarray, ...] = (), **options: Any
) -> Path:
    """Write a tiled TIFF of 2 um per px, its reduced copies as SubIFDs; options of tifffile."""
    ome = path.name.endswith(".ome.tif")
    told = {"photometric": "rgb", "tile": (256, 256), "compression": "zlib", **per_cm(UM)}
    told |= {"metadata": None} | options
    with tifffile.TiffWriter(path, ome=ome, bigtiff=bool(told.pop("bigtiff", False))) as file:
        file.write(pixels, subifds=len(levels) or None, **told)
        for level in levels:
            file.write(level, subfiletype=1, **told | {"metadata": None})
    return path


def save(path: Path, pixels: np.ndarray, *, um: float = UM, mode: str = "RGB", **how: Any) -> Path:
    """Write a PNG or JPEG; how: options of Pillow."""
    how = {"dpi": (25_400 / um,) * 2} | how
    Image.fromarray(pixels).convert(mode).save(path, **how)
    return path


# ---- Space Ranger -------------------------------------------------------------------------------


def array(shift: float = 0) -> pd.DataFrame:
    """A Visium array at 2 um per px (pitch 50 px); its spots on the tissue are in tissue."""
    at = [
        (r, c, 100 + r * 25 * 3**0.5 + shift, 100 + c * 25.0)
        for r in range(23)
        for c in range(r % 2, 34, 2)
    ]
    table = pd.DataFrame(
        at, columns=["array_row", "array_col", "pxl_row_in_fullres", "pxl_col_in_fullres"]
    )
    y, x = table["pxl_row_in_fullres"], table["pxl_col_in_fullres"]
    table.insert(0, "in_tissue", on_tissue(y - shift, x).astype(int))
    names = [f"{'ACGT'[r % 4]}{'ACGT'[c % 4]}{r:02d}{c:02d}-1" for r, c, *_ in at]
    table.insert(0, "barcode", names)
    return table


def write_h5(path: Path, counts: np.ndarray, barcodes: Any, genes: dict[str, str] = GENES) -> None:
    """Write a count file of Space Ranger 3: counts (n_genes, n_spots)."""
    matrix = sp.csc_matrix(counts)
    with h5py.File(path, "w") as file:
        group = file.create_group("matrix")
        for key in ("data", "indices", "indptr", "shape"):
            group[key] = np.asarray(getattr(matrix, key))
        group["barcodes"] = np.array(barcodes, "S")
        group["features/id"] = np.array(list(genes.values()), "S")
        group["features/name"] = np.array(list(genes), "S")
        group["features/genome"] = np.array(["GRCh38"] * len(genes), "S")
        group["features/feature_type"] = np.array(["Gene Expression"] * len(genes), "S")


def write_mtx(folder: Path, counts: np.ndarray, barcodes: Any) -> None:
    """Write counts (n_genes, n_spots) as a Matrix Market folder, gzipped."""
    folder.mkdir()
    rows, cols = np.nonzero(counts)
    lines = [f"{len(counts)} {counts.shape[1]} {len(rows)}"]
    lines += [f"{r + 1} {c + 1} {counts[r, c]}" for r, c in zip(rows, cols, strict=True)]
    for name, text in (
        ("matrix.mtx", "\n".join(["%%MatrixMarket matrix coordinate integer general", *lines])),
        ("features.tsv", "\n".join(f"{v}\t{k}\tGene Expression" for k, v in GENES.items())),
        ("barcodes.tsv", "\n".join(barcodes)),
    ):
        (folder / f"{name}.gz").write_bytes(gzip.compress(text.encode() + b"\n"))


def visium(
    outs: Path, *, prefix: str = "", shift: float = 0, seed: int = 0, full: bool = False,
    h5: bool = True, pixels: np.ndarray | None = None,
) -> Path:  # fmt: skip
    """Write a Space Ranger folder of `picture`, moved down by ``shift`` px with its spots."""
    spatial = outs / "spatial"
    spatial.mkdir(parents=True, exist_ok=True)
    table = array(shift)
    table.to_csv(spatial / f"{prefix}tissue_positions.csv", index=False)
    if pixels is None:
        pixels = np.roll(picture(seed=seed), int(shift), axis=0)
    for name, step in (("hires", 2), ("lowres", 8)):
        Image.fromarray(halved(pixels, step)).save(spatial / f"{prefix}tissue_{name}_image.png")
    factors = {
        "spot_diameter_fullres": 65 / UM,
        "fiducial_diameter_fullres": 105 / UM,
        "tissue_hires_scalef": 0.5,
        "tissue_lowres_scalef": 0.125,
    }
    (spatial / f"{prefix}scalefactors_json.json").write_text(json.dumps(factors))
    if full:
        tiff(outs / f"{prefix}scan.tif", pixels)
    barcodes = table["barcode"][table["in_tissue"] == 1].tolist()
    counts = np.random.default_rng(seed).poisson(5, (len(GENES), len(barcodes)))
    if h5:
        write_h5(outs / f"{prefix}{H5}", counts, barcodes)
    else:
        write_mtx(outs / "filtered_feature_bc_matrix", counts, barcodes)
    return outs


# ---- SpatialData --------------------------------------------------------------------------------


def sdata(
    *, channels: Any = None, pixels: np.ndarray | None = None, obs: Any = None, index: Any = None,
    images: dict[str, Any] | None = None, table: bool | Any = True, key: str = "spot_id",
) -> Any:  # fmt: skip
    """An image "he", circles "spots" in tissue and a table of counts, not made by this package.

    Parameters
    ----------
    channels
        Names of the image's channels.
    obs
        Takes the table's obs and changes it.
    index
        Of the circles.
    images
        In place of "he".
    table
        Whether there is one, or what is to stand in its place.
    """
    import anndata as ad
    import spatialdata as sd
    from spatialdata.models import Image2DModel, ShapesModel, TableModel

    spots = array()
    spots = spots[spots["in_tissue"] == 1].reset_index(drop=True)
    n = len(spots)
    circles = ShapesModel.parse(
        spots[["pxl_col_in_fullres", "pxl_row_in_fullres"]].to_numpy(),
        geometry=0,
        radius=55 / 2 / UM,
        index=np.arange(n) if index is None else index(n),
    )
    if images is None:
        pixels = picture() if pixels is None else pixels
        images = {"he": Image2DModel.parse(np.moveaxis(pixels, 2, 0), c_coords=channels)}
    tables = {}
    if table is True:
        rows = spots[["in_tissue", "array_row", "array_col"]].assign(
            spot_id=np.arange(n), region=pd.Categorical(["spots"] * n)
        )
        rows.index = spots["barcode"].rename(None)
        rows = rows if obs is None else obs(rows)
        counts = np.random.default_rng(0).poisson(5, (len(rows), len(GENES))).astype(np.float32)
        made = ad.AnnData(sp.csr_matrix(counts), obs=rows, var=pd.DataFrame(index=list(GENES)))
        tables["table"] = TableModel.parse(
            made, region="spots", region_key="region", instance_key=key
        )
    elif table is not False:
        tables["table"] = table
    return sd.SpatialData(images=images, shapes={"spots": circles}, tables=tables)


# ---- legacy Spatial Transcriptomics -------------------------------------------------------------


_LEGACY = [(x, y) for x in range(1, 9) for y in range(1, 11) if on_tissue(y * 100, x * 100)]
LEGACY_SPOTS = len(_LEGACY)


def legacy(root: Path, *, counts: Any = (3, 4, 5), genes: Any = ("ACTB", "GAPDH", "KRT8")) -> Path:
    """Write a section of a legacy collection: spots of 200 um pitch, at 2 um per px."""
    for folder in ("ST-cnts", "ST-spotfiles", "ST-imgs/A/A1"):
        (root / folder).mkdir(parents=True)
    rows = ["\t".join(["", *genes])]
    rows += ["\t".join([f"{x}x{y}", *map(str, counts)]) for x, y in _LEGACY]
    (root / "ST-cnts/A1.tsv.gz").write_bytes(gzip.compress("\n".join(rows).encode()))
    spots = ["x\ty\tnew_x\tnew_y\tpixel_x\tpixel_y\tselected"]
    spots += [f"{x}\t{y}\t{x}\t{y}\t{x * 100}\t{y * 100}\t1" for x, y in _LEGACY]
    (root / "ST-spotfiles/A1_selection.tsv").write_text("\n".join(spots))
    save(root / "ST-imgs/A/A1/a.jpg", picture(), quality=92)
    return root
