"""Synthetic sections on disk, laid out as Space Ranger lays out a real one."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from PIL import Image

from napari_umpire.errors import InputError
from napari_umpire.slides.scale import VISIUM_NOMINAL_DIAMETER_UM

if TYPE_CHECKING:
    from collections.abc import Callable

    import scipy.sparse as sp

    from napari_umpire.slides.slide import Slide

__all__ = ["make_slides", "write_spaceranger"]

# Space Ranger's own sizes, px of the longer edge.
_HIRES, _LOWRES = 2000, 600
_FIDUCIAL_UM = 105.0


def make_slides(
    folder: str | Path,
    n: int,
    seed: int = 0,
    *,
    format: Literal["spaceranger", "store"] = "spaceranger",  # noqa: A002
    rows: int = 44,
    cols: int = 28,
    report: Callable[[int, int], object] | None = None,
) -> list[Path]:
    """Write ``n`` synthetic slides of different layout and stain, and return their paths.

    Parameters
    ----------
    folder
        Made where it is missing; slide i is ``<folder>/synthetic_<seed + i>``, with ".zarr" for
        stores.
    n, seed
        Slides are those of seeds ``seed`` to ``seed + n - 1``.
    format
        "spaceranger" for folders as Space Ranger writes them, "store" for SpatialData stores.
    rows, cols
        Size of the capture area, as in `make_slide`.
    report
        Called with (slides done, n) after each.

    Raises
    ------
    InputError
        Where one of the paths is there already.
    """
    from napari_umpire.slides.synthetic.section import make_slide

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    ending = ".zarr" if format == "store" else ""
    paths = [folder / f"synthetic_{seed + i}{ending}" for i in range(n)]
    for i, path in enumerate(paths):
        slide = make_slide(seed + i, rows=rows, cols=cols)
        if format == "store":
            from napari_umpire.slides.convert import write_slide

            write_slide(slide, path)
        else:
            write_spaceranger(slide, path)
        if report is not None:
            report(i + 1, n)
    return paths


def write_spaceranger(
    slide: Slide,
    folder: str | Path,
    *,
    version: Literal[1, 2] = 2,
    h5: bool = True,
    full_image: bool = True,
) -> Path:
    """Write a Visium slide in memory as a Space Ranger output folder, and return the folder.

    Parameters
    ----------
    slide
        A slide with counts and array coordinates.
    folder
        Must not exist yet, or be empty. Gets ``filtered_feature_bc_matrix.h5`` (or the folder
        of the same name with a Matrix Market file), ``spatial/`` with positions, scale factors
        and the two overview images, ``<slide name>.tif``, the full-resolution image, and, where
        the table has a column ``tissue``, ``tissue_annotation.csv``.
    version
        Of Space Ranger: 1 writes ``tissue_positions_list.csv`` without a header, 2
        ``tissue_positions.csv`` with one.
    h5
        Whether the counts are one HDF5 file or a Matrix Market folder.
    full_image
        Whether to write the full-resolution image; without it only the overview images are
        there, as in most public data.

    Raises
    ------
    InputError
        Where the folder holds something already, or the slide has no array coordinates.
    """
    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()):
        raise InputError(
            f"{folder} is not empty", fix="Choose a new folder: nothing is overwritten"
        )
    if not {"array_row", "array_col"} <= set(slide.spots.columns):
        raise InputError(
            f"Slide {slide.name} has no array coordinates",
            expected="columns array_row and array_col of the spots",
            fix="Use a Visium slide",
        )
    spatial = folder / "spatial"
    spatial.mkdir(parents=True)
    positions = _positions(slide.spots)
    if version == 1:
        positions.to_csv(spatial / "tissue_positions_list.csv", header=False)
    else:
        positions.to_csv(spatial / "tissue_positions.csv")
    pixels = slide.pyramid.levels[0].read(0, 0, *slide.pyramid.levels[0].shape)
    factors = {
        "spot_diameter_fullres": VISIUM_NOMINAL_DIAMETER_UM / slide.mpp,
        "fiducial_diameter_fullres": _FIDUCIAL_UM / slide.mpp,
    }
    for kind, size in (("hires", _HIRES), ("lowres", _LOWRES)):
        factor = min(1.0, size / max(pixels.shape[:2]))
        shape = (round(pixels.shape[1] * factor), round(pixels.shape[0] * factor))
        image = Image.fromarray(pixels).resize(shape, Image.Resampling.BOX, reducing_gap=2.0)
        image.save(spatial / f"tissue_{kind}_image.png", compress_level=1)
        factors[f"tissue_{kind}_scalef"] = factor
    (spatial / "scalefactors_json.json").write_text(json.dumps(factors))
    write_counts = _write_h5 if h5 else _write_mtx
    write_counts(slide.counts(), slide.spots.index, slide.genes, folder)
    if "tissue" in slide.adata.obs:
        annotation = slide.adata.obs["tissue"].rename_axis("barcode")
        annotation.to_csv(folder / "tissue_annotation.csv")
    if full_image:
        _write_tiff(pixels, slide.mpp, folder / f"{slide.name}.tif")
    return folder


def _positions(spots: pd.DataFrame) -> pd.DataFrame:
    """Return the positions of the whole array: spots off the tissue are filled in on the lattice
    that the others lie on, so that the file has them too, as Space Ranger's has.
    """
    rows, cols = spots["array_row"].to_numpy(), spots["array_col"].to_numpy()
    lattice = np.column_stack([rows, cols, np.ones(len(spots))])
    affine, *_ = np.linalg.lstsq(lattice, spots[["y", "x"]].to_numpy(), rcond=None)
    have = set(zip(rows.tolist(), cols.tolist(), strict=True))
    missing = [
        (r, c)
        for r in range(rows.min(), rows.max() + 1)
        for c in range(cols.min() + (r + cols.min()) % 2, cols.max() + 1, 2)
        if (r, c) not in have
    ]
    off = np.array(missing, np.int64).reshape(-1, 2)
    yx = np.column_stack([off, np.ones(len(off))]) @ affine
    names = [
        f"{''.join('ACGT'[int(d)] for d in np.base_repr(i, 4).zfill(12))}NNNN-1"
        for i in range(len(off))
    ]
    table = pd.DataFrame(
        {
            "in_tissue": np.repeat([1, 0], [len(spots), len(off)]),
            "array_row": np.concatenate([rows, off[:, 0]]),
            "array_col": np.concatenate([cols, off[:, 1]]),
            "pxl_row_in_fullres": np.round(np.concatenate([spots["y"], yx[:, 0]])).astype(int),
            "pxl_col_in_fullres": np.round(np.concatenate([spots["x"], yx[:, 1]])).astype(int),
        },
        index=pd.Index([*spots.index, *names], name="barcode"),
    )
    return table.sort_values(["array_row", "array_col"])


def _write_h5(counts: sp.csr_matrix, spots: pd.Index, genes: pd.DataFrame, folder: Path) -> None:
    import h5py

    with h5py.File(folder / "filtered_feature_bc_matrix.h5", "w") as file:
        matrix = file.create_group("matrix")
        # The file holds genes x spots by column, which is spots x genes by row.
        matrix["data"] = counts.data.astype(np.int32)
        matrix["indices"] = counts.indices.astype(np.int64)
        matrix["indptr"] = counts.indptr.astype(np.int64)
        matrix["shape"] = np.array(counts.shape[::-1], np.int32)
        matrix["barcodes"] = spots.to_numpy(dtype="S")
        features = matrix.create_group("features")
        features["id"] = genes["id"].to_numpy(dtype="S")
        features["name"] = genes.index.to_numpy(dtype="S")
        features["feature_type"] = np.full(len(genes), b"Gene Expression")
        features["genome"] = np.full(len(genes), b"synthetic")
        features["_all_tag_keys"] = np.array([b"genome"])


def _write_mtx(counts: sp.csr_matrix, spots: pd.Index, genes: pd.DataFrame, folder: Path) -> None:
    from scipy.io import mmwrite

    out = folder / "filtered_feature_bc_matrix"
    out.mkdir()
    with gzip.open(out / "matrix.mtx.gz", "wb", compresslevel=1) as file:
        mmwrite(file, counts.T.astype(np.int32), field="integer")
    with gzip.open(out / "barcodes.tsv.gz", "wt") as file:
        file.writelines(f"{spot}\n" for spot in spots)
    with gzip.open(out / "features.tsv.gz", "wt") as file:
        file.writelines(f"{row.id}\t{row.Index}\tGene Expression\n" for row in genes.itertuples())


def _write_tiff(pixels: np.ndarray, mpp: float, path: Path) -> None:
    """Write a tiled JPEG pyramid with its resolution, as slide scanners do."""
    import tifffile

    levels = [pixels]
    while max(levels[-1].shape[:2]) > 1024:
        image = Image.fromarray(levels[-1])
        levels.append(np.asarray(image.reduce(2)))
    options: dict[str, Any] = {
        "tile": (256, 256),
        "photometric": "rgb",
        "compression": "jpeg",
        "compressionargs": {"level": 92},
        "metadata": None,
    }
    with tifffile.TiffWriter(path) as file:
        for i, level in enumerate(levels):
            per_cm = 1e4 / (mpp * pixels.shape[0] / level.shape[0])
            file.write(
                level,
                resolution=(per_cm, per_cm),
                resolutionunit="CENTIMETER",
                subifds=len(levels) - 1 if i == 0 else None,
                subfiletype=1 if i else 0,
                **options,
            )
