"""Results to write, and what must be true of a store that holds one."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import anndata as ad
import numpy as np
import pandas as pd
import spatialdata
from PIL import Image

from napari_umpire.slides.elements import quiet_libraries

if TYPE_CHECKING:
    from pathlib import Path

    from napari_umpire.slides.results import WrittenResult
    from napari_umpire.slides.slide import Slide


def prediction_of(slide: Slide, seed: int = 0) -> ad.AnnData:
    rng = np.random.default_rng(seed)
    n = slide.n_spots
    x = rng.random((n, 3)).astype(np.float32)
    x[0, 1] = np.nan
    table = ad.AnnData(
        x,
        obs=pd.DataFrame({"top_similarity": rng.random(n)}, index=slide.spots.index),
        var=pd.DataFrame({"gene_ids": ["ENSG1", "ENSG2", ""]}, index=["PIBF1", "HLA-A", "x/y"]),
    )
    table.obs["umpire_class"] = pd.Categorical(["a", "b"] * (n // 2) + ["b"] * (n % 2))
    table.obsm["X_umpire"] = rng.random((n, 8)).astype(np.float32)
    table.layers["std"] = x / 2
    table.uns["umpire"] = {
        "model": "her2st",
        "k": 50,
        "mpp": 0.5,
        "genes": ["PIBF1", "HLA-A"],
        "provenance": {"torch": "2", "slide_digest": "ab"},
    }
    return table


def read(path: Path) -> spatialdata.SpatialData:
    with quiet_libraries():
        return spatialdata.read_zarr(path)


def assert_holds(result: WrittenResult, slide: Slide, table: ad.AnnData) -> None:
    """What is on disk is ``table``, row by row by spot id, and annotates the slide's shapes."""
    sdata = read(result.path)
    got = sdata.tables[result.element]
    assert list(got.obs_names) == list(table.obs_names)
    assert list(got.var_names) == list(table.var_names)
    np.testing.assert_array_equal(got.X, table.X)
    np.testing.assert_array_equal(got.layers["std"], table.layers["std"])
    np.testing.assert_array_equal(got.obsm["X_umpire"], table.obsm["X_umpire"])
    np.testing.assert_array_equal(got.obs["top_similarity"], table.obs["top_similarity"])
    assert list(got.obs["umpire_class"]) == list(table.obs["umpire_class"])
    assert got.uns["umpire"]["provenance"] == {"torch": "2", "slide_digest": "ab"}
    assert got.uns["umpire"]["k"] == 50
    assert [str(g) for g in got.uns["umpire"]["genes"]] == ["PIBF1", "HLA-A"]
    keys = got.uns["spatialdata_attrs"]
    region = keys["region"] if isinstance(keys["region"], str) else keys["region"][0]
    assert set(got.obs[keys["region_key"]]) == {region}
    circles = sdata.shapes[region].loc[got.obs[keys["instance_key"]]]
    # The row's spot id and the place of the circle it points to belong together.
    spots = slide.spots.loc[got.obs_names]
    np.testing.assert_allclose(circles.geometry.x, spots["x"], atol=1e-6)
    np.testing.assert_allclose(circles.geometry.y, spots["y"], atol=1e-6)


def fingerprints(store: Path) -> dict[str, str]:
    return {
        str(p.relative_to(store)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(store.rglob("*"))
        if p.is_file()
    }


def picture(tmp_path: Path, synthetic: Slide) -> Path:
    level = synthetic.pyramid.levels[0]
    path = tmp_path / "section 7.png"
    Image.fromarray(level.read(0, 0, *level.shape)).save(path, compress_level=1)
    return path
