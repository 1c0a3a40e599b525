"""Small slides on disk, none of them square or symmetric, whose pixels tell where they lie."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

if TYPE_CHECKING:
    from pathlib import Path

HEIGHT, WIDTH = 1300, 1800
PITCH_PX = 120.0


def ramp(height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Red grows with y, green with x, blue is a fine pattern: (height, width, 3) uint8."""
    y, x = np.mgrid[:height, :width]
    return np.stack([y * 255 // height, x * 255 // width, (y + 2 * x) % 251], axis=2).astype(
        np.uint8
    )


def hex_array(rows: int = 10, cols: int = 24) -> pd.DataFrame:
    """A Visium array of 120 px pitch, turned by 2 degrees; about two thirds under tissue."""
    rc = np.array([(r, c) for r in range(rows) for c in range(cols) if (r + c) % 2 == 0])
    flat = np.column_stack([rc[:, 0] * PITCH_PX * np.sqrt(3) / 2, rc[:, 1] * PITCH_PX / 2])
    turn = np.deg2rad(2)
    spin = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    yx = flat @ spin.T + (160, 130)
    tissue = (rc[:, 1] < 17) & (rc[:, 0] > 0)
    return pd.DataFrame(
        {
            "barcode": [f"{'ACGT'[i % 4]}{i:05d}-1" for i in range(len(rc))],
            "in_tissue": tissue.astype(int),
            "array_row": rc[:, 0],
            "array_col": rc[:, 1],
            "pxl_row_in_fullres": np.rint(yx[:, 0]).astype(int),
            "pxl_col_in_fullres": np.rint(yx[:, 1]).astype(int),
        }
    )


GENES = pd.DataFrame(
    {
        "id": [f"ENSG{i:011d}" for i in range(12)],
        "symbol": ["ERBB2", "PIBF1", "TBCE", "TBCE", *(f"GENE{i}" for i in range(4, 12))],
    }
)


@dataclass
class VisiumParts:
    """What a Space Ranger folder was written from: the oracle of its tests."""

    folder: Path
    array: pd.DataFrame
    barcodes: list[str]
    counts: np.ndarray
    image: np.ndarray

    @property
    def tissue(self) -> pd.DataFrame:
        return self.array[self.array["in_tissue"] == 1]


def write_h5(path: Path, counts: np.ndarray, barcodes: list[str], layout: str) -> None:
    import h5py

    m = sp.csc_matrix(counts.T)
    with h5py.File(path, "w") as f:
        g = f.create_group("matrix" if layout == "v3" else "GRCh38")
        for name, values in (("data", m.data), ("indices", m.indices), ("indptr", m.indptr)):
            g[name] = values
        g["shape"] = np.array(m.shape, np.int32)
        g["barcodes"] = np.array(barcodes, "S")
        if layout == "v3":
            t = g.create_group("features")
            t["id"], t["name"] = (np.array(GENES[c], "S") for c in ("id", "symbol"))
            t["feature_type"] = np.array(["Gene Expression"] * len(GENES), "S")
            t["genome"] = np.array(["GRCh38"] * len(GENES), "S")
        else:
            g["genes"], g["gene_names"] = (np.array(GENES[c], "S") for c in ("id", "symbol"))


def write_mtx(
    folder: Path, counts: np.ndarray, barcodes: list[str], *, genes: str, gz: bool
) -> None:
    from scipy.io import mmwrite

    folder.mkdir(parents=True)
    mmwrite(folder / "matrix.mtx", sp.coo_matrix(counts.T))
    rows = GENES[["id", "symbol"]].copy()
    if genes == "features.tsv":
        rows["kind"] = "Gene Expression"
    rows.to_csv(folder / genes, sep="\t", header=False, index=False)
    (folder / "barcodes.tsv").write_text("\n".join(barcodes) + "\n")
    if gz:
        for path in list(folder.iterdir()):
            (folder / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
            path.unlink()


@pytest.fixture
def visium(tmp_path):
    """Write a Space Ranger folder; parts of it are chosen, or left out with None."""
    from PIL import Image

    def write(
        *,
        name: str = "sample",
        positions: str | None = "tissue_positions.csv",
        header: bool = True,
        counts: str | None = "h5",
        scalefactors: bool = True,
        images: tuple[str, ...] = ("hires", "lowres"),
        outs: bool = True,
    ) -> VisiumParts:
        folder = tmp_path / name
        home = folder / "outs" if outs else folder
        spatial = home / "spatial"
        spatial.mkdir(parents=True)
        array, image = hex_array(), ramp()
        if positions is not None and positions.endswith(".parquet"):
            array.to_parquet(spatial / positions)
        elif positions is not None:
            array.to_csv(spatial / positions, header=header, index=False)
        if scalefactors:
            told = {
                "tissue_hires_scalef": 0.5,
                "tissue_lowres_scalef": 0.1,
                "spot_diameter_fullres": PITCH_PX * 0.65,
                "fiducial_diameter_fullres": PITCH_PX,
            }
            (spatial / "scalefactors_json.json").write_text(json.dumps(told))
        for kind, step in (("hires", 2), ("lowres", 10)):
            if kind in images:
                Image.fromarray(image[::step, ::step]).save(spatial / f"tissue_{kind}_image.png")
        barcodes = list(array["barcode"][array["in_tissue"] == 1])[::-1]
        raw = np.random.default_rng(0).poisson(2.0, (len(barcodes), len(GENES)))
        if counts in ("h5", "h5-v2"):
            layout = "v3" if counts == "h5" else "v2"
            write_h5(home / "filtered_feature_bc_matrix.h5", raw, barcodes, layout)
        elif counts is not None:
            genes, gz = counts.split("+")[0], counts.endswith("+gz")
            write_mtx(home / "filtered_feature_bc_matrix", raw, barcodes, genes=genes, gz=gz)
        return VisiumParts(folder, array, barcodes, raw, image)

    return write


def assert_spots_are_where_the_pixels_say(slide, atol: int) -> None:
    """Red at each spot is y, green is x: swapped or flipped axes cannot pass."""
    down = slide.pyramid.levels[0].downsample
    level = slide.pyramid.levels[0]
    pixels = level.read(0, 0, *level.shape)
    yx = slide.yx
    at = pixels[(yx[:, 0] / down).astype(int), (yx[:, 1] / down).astype(int)].astype(int)
    np.testing.assert_allclose(at[:, 0], yx[:, 0] * 255 / HEIGHT, atol=atol)
    np.testing.assert_allclose(at[:, 1], yx[:, 1] * 255 / WIDTH, atol=atol)


@pytest.fixture(name="assert_spots_on_ramp")
def _assert_spots_on_ramp():
    return assert_spots_are_where_the_pixels_say


@pytest.fixture(name="ramp")
def _ramp():
    return ramp


@pytest.fixture(name="hex_array")
def _hex_array():
    return hex_array


@pytest.fixture(scope="session")
def synthetic():
    """A small measured slide in memory, not to be changed."""
    from napari_umpire.slides.synthetic import make_slide

    return make_slide(2, rows=8, cols=7)
