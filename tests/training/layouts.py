"""Small folders in the layouts of public collections, with known counts and images."""

from __future__ import annotations

import json
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp
from PIL import Image

GENES = [f"GENE{i:02d}" for i in range(40)]
PITCH_PX = 40
HEST_MPP = 2.5  # of the scan: 100 um are 40 px


def counts_of(seed: int, n: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.poisson(rng.lognormal(0.3, 1, len(GENES)) * rng.lognormal(0, 0.3, (n, 1)))


def write_h5ad(path, counts, genes=GENES, spots=None, **more) -> str:
    table = ad.AnnData(sp.csr_matrix(counts, dtype=np.float32), **more)
    table.var_names = list(genes)
    table.obs_names = spots or [f"s{i}" for i in range(len(counts))]
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    table.write_h5ad(path)
    return str(path)


def hexagonal(rows: int, cols: int) -> np.ndarray:
    """(n, 2) y, x of an array that is wider than high."""
    y, x = np.divmod(np.arange(rows * cols), cols)
    return np.stack([60 + y * PITCH_PX * 3**0.5 / 2, 60 + (x + y % 2 / 2) * PITCH_PX], axis=1)


def write_hest(root: Path, samples: dict[str, str], *, rows: int = 4, cols: int = 7) -> None:
    """One sample per id -> species; patch i is filled with the number i and its corners are 255."""
    n = rows * cols
    yx = hexagonal(rows, cols)
    (root / "metadata").mkdir(parents=True)
    (root / "patches").mkdir()
    for seed, (name, species) in enumerate(samples.items()):
        spots = [f"BC{i:03d}-1" for i in range(n)]
        genes = GENES if species == "Homo sapiens" else [g.capitalize() for g in GENES]
        write_h5ad(
            root / "st" / f"{name}.h5ad", counts_of(seed, n), genes, spots,
            obsm={"spatial": yx[:, ::-1]},
            obs=pd.DataFrame({"in_tissue": [0] + [1] * (n - 1)}, index=spots),
        )  # fmt: skip
        facts = {"pixel_size_um_estimated": HEST_MPP, "species": species}
        (root / "metadata" / f"{name}.json").write_text(json.dumps(facts))
        # The last spot has no patch, and patches come in an order of their own.
        order = np.random.default_rng(seed).permutation(n - 1)
        pixels = np.empty((n - 1, 224, 224, 3), np.uint8)
        pixels[:] = order[:, None, None, None]
        pixels[:, :24, :24] = 255
        with h5py.File(root / "patches" / f"{name}.h5", "w") as file:
            file["img"] = pixels
            file["coords"] = (yx[order][:, ::-1] - 22.4).round().astype(int)
            file["barcode"] = np.array([[spots[i].encode()] for i in order])
    rows_of = [(name, s, "Visium") for name, s in samples.items()]
    table = pd.DataFrame(rows_of, columns=["id", "species", "st_technology"])
    table.to_csv(root / "HEST_v1_1_0.csv", index=False, encoding="utf-8-sig")


def write_stimage(folder: Path, name: str, *, seed: int = 0, swap: bool = False) -> np.ndarray:
    """A slide whose image (240 high, 700 wide) is dark where spots are; the spots' y, x."""
    yx = hexagonal(4, 12)
    height, width = 240, 700
    for part in ("gene_exp", "coord", "image"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    spots = [f"{name}_BC{i}-1" for i in range(len(yx))]
    counts = counts_of(seed, len(yx))
    pd.DataFrame(counts, index=spots, columns=GENES).to_csv(
        folder / "gene_exp" / f"{name}_count.csv"
    )
    coords = pd.DataFrame({"yaxis": yx[:, 0], "xaxis": yx[:, 1], "r": 11.0}, index=spots)
    if swap:
        coords = coords.rename(columns={"yaxis": "xaxis", "xaxis": "yaxis"})
    coords.to_csv(folder / "coord" / f"{name}_coord.csv")
    picture = np.full((height, width, 3), 240, np.uint8)
    for i, (y, x) in enumerate(yx.astype(int)):
        picture[y - 12 : y + 12, x - 12 : x + 12] = (i, 80, 120)
    Image.fromarray(picture).save(folder / "image" / f"{name}.png")
    return yx
