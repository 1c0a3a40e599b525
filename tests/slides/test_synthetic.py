from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from napari_umpire.errors import InputError
from napari_umpire.slides.open import open_slide
from napari_umpire.slides.synthetic import (
    SyntheticTissue,
    make_slide,
    make_slides,
    make_tissue,
    write_spaceranger,
)
from napari_umpire.slides.synthetic.counts import draw_counts, gene_table

if TYPE_CHECKING:
    from pathlib import Path

ROWS, COLS = 24, 16


@cache
def tissue(seed: int = 0) -> SyntheticTissue:
    return make_tissue(seed, rows=ROWS, cols=COLS)


def log_expression(section: SyntheticTissue) -> np.ndarray:
    counts = section.counts.toarray().astype(float)
    return np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4)


def colour_features(section: SyntheticTissue, flip: bool = False) -> np.ndarray:
    """Optical density of the field around each spot: means, spreads, quantiles; z-scored."""
    pixels = section.pixels[::-1] if flip else section.pixels
    rows = []
    for y, x in section.spots[["y", "x"]].to_numpy().astype(int):
        field = pixels[max(y - 56, 0) : y + 56, max(x - 56, 0) : x + 56].reshape(-1, 3)
        od = -np.log((field + 1.0) / 244)
        quantiles = np.percentile(od, [5, 25, 75, 95], axis=0)
        rows.append(np.concatenate([od.mean(axis=0), od.std(axis=0), quantiles.ravel()]))
    features = np.array(rows)
    return (features - features.mean(axis=0)) / features.std(axis=0)


def pcc(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    return (a * b).sum(axis=0) / np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))


def test_a_seed_is_a_slide() -> None:
    again, other = make_tissue(0, rows=ROWS, cols=COLS), tissue(1)
    np.testing.assert_array_equal(again.pixels, tissue().pixels)
    assert (again.counts != tissue().counts).nnz == 0
    assert again.spots.equals(tissue().spots)
    assert not tissue().spots.index.equals(other.spots.index)
    stains = [np.median(t.pixels[t.pixels[..., 1] < 180], axis=0) for t in (again, other)]
    assert np.abs(stains[0] - stains[1]).max() > 3


def test_the_spots_are_a_visium_array_on_tissue() -> None:
    spots = tissue().spots
    assert not (spots["array_row"] + spots["array_col"]).mod(2).any()
    yx = spots[["y", "x"]].to_numpy()
    distance = np.linalg.norm(yx[:, None] - yx[None], axis=-1)
    np.fill_diagonal(distance, np.inf)
    assert np.median(distance.min(axis=1)) == pytest.approx(100, abs=1)
    # Rows go down and columns to the right, a row sqrt(3) half pitches apart, a column one half.
    steps = np.column_stack([spots["array_row"], spots["array_col"], np.ones(len(spots))])
    affine, *_ = np.linalg.lstsq(steps, yx, rcond=None)
    np.testing.assert_allclose(affine[:2], [[86.6, 0], [0, 50]], atol=1.2)
    height, width = tissue().pixels.shape[:2]
    assert height > 1.2 * width
    assert ((yx > 60) & (yx < np.array([height, width]) - 60)).all()


def test_no_symmetry_hides_a_flip() -> None:
    dark = tissue().pixels[..., 1] < 200
    for turned in (dark[::-1], dark[:, ::-1], dark[::-1, ::-1]):
        assert (dark & turned).sum() / (dark | turned).sum() < 0.75


def test_the_outline_has_a_hole() -> None:
    from napari_umpire.slides.pyramid import ArrayLevel, Pyramid
    from napari_umpire.slides.tissue import tissue_mask

    mask = tissue_mask(Pyramid((ArrayLevel(tissue().pixels, 1),)), 1.0)
    rings = sorted((np.ptp(ring, axis=0).min() for ring in mask.outlines()), reverse=True)
    assert rings[0] > 1000
    assert rings[1] > 200
    assert mask.contains(tissue().spots[["y", "x"]].to_numpy()).mean() > 0.97


def test_regions_differ_as_their_pictures_do() -> None:
    section = tissue()
    red, green, blue = [], [], []
    for y, x in section.spots[["y", "x"]].to_numpy().astype(int):
        for channel, values in zip(
            (red, green, blue),
            section.pixels[y - 27 : y + 28, x - 27 : x + 28].reshape(-1, 3).T,
            strict=True,
        ):
            channel.append(values.mean())
    pure = section.composition.max(axis=1) > 0.8
    region, light = section.region[pure], np.array([red, green, blue]).T[pure.to_numpy()]
    mean = {r: light[(region == r).to_numpy()].mean(axis=0) for r in region.unique()}
    assert {"tumour", "stroma", "fat"} <= set(mean)
    assert mean["fat"][1] > mean["stroma"][1] + 30
    assert mean["tumour"][0] < mean["stroma"][0] - 15  # haematoxylin takes red, eosin does not
    assert all((m[1] < m[0]) and (m[1] < m[2]) for r, m in mean.items() if r != "fat")


def test_genes_are_named_honestly() -> None:
    genes = gene_table()
    assert len(genes) == 600
    assert genes.index.is_unique
    real = ~genes["symbol"].str.match(r"^SYN\d{4}$")
    assert genes.loc[real, "id"].str.match(r"^ENSG\d{11}$").all()
    assert genes.loc[real, "id"].is_unique
    assert (genes.loc[~real, "id"] == "").all()
    # Ensembl, release 110.
    known = {
        "ERBB2": "ENSG00000141736",
        "PIBF1": "ENSG00000083535",
        "EPCAM": "ENSG00000119888",
        "CD3D": "ENSG00000167286",
        "COL1A1": "ENSG00000108821",
        "MT-CO1": "ENSG00000198804",
    }
    assert {k: genes.loc[k, "id"] for k in known} == known


def test_counts_are_negative_binomial_around_the_truth() -> None:
    mean = np.full((4000, 3), [2.0, 20.0, 200.0])
    counts = draw_counts(mean, np.random.default_rng(0)).toarray()
    # Library size: log-normal of sd .35; dispersion .12; then Poisson.
    library = np.exp(0.35**2 / 2), np.exp(2 * 0.35**2)
    want_mean = mean[0] * library[0]
    want_var = want_mean + mean[0] ** 2 * (library[1] * 1.12 - library[0] ** 2)
    np.testing.assert_allclose(counts.mean(axis=0), want_mean, rtol=0.05)
    np.testing.assert_allclose(counts.var(axis=0), want_var, rtol=0.15)


def test_programmes_mark_their_regions() -> None:
    section = tissue()
    truth = section.truth()
    np.testing.assert_allclose(np.expm1(truth.to_numpy()).sum(axis=1), 1e4, rtol=1e-3)
    expression = log_expression(section)
    region = section.region.to_numpy()
    for gene, home, away in (
        ("ERBB2", "tumour", "stroma"),
        ("PIBF1", "tumour", "stroma"),
        ("COL1A1", "stroma", "tumour"),
        ("ADIPOQ", "fat", "tumour"),
    ):
        column = expression[:, truth.columns.get_loc(gene)]
        assert column[region == home].mean() > column[region == away].mean() + 1
        assert truth[gene][region == home].mean() > truth[gene][region == away].mean() + 1
    pibf1 = section.counts.toarray()[:, truth.columns.get_loc("PIBF1")]
    assert (pibf1 > 0).mean() > 0.9
    # Within the tumour the gradient moves it.
    tumour = (section.composition["tumour"] > 0.8).to_numpy()
    slope = np.corrcoef(section.gradient[tumour], truth["PIBF1"][tumour])[0, 1]
    assert slope > 0.6


def test_genes_of_an_unseen_slide_can_be_predicted_from_its_image() -> None:
    from sklearn.linear_model import Ridge

    train = [tissue(seed) for seed in (1, 2, 3)]
    features = np.concatenate([colour_features(t) for t in train])
    model = Ridge(3.0).fit(features, np.concatenate([log_expression(t) for t in train]))
    genes = [
        tissue().genes.index.get_loc(g) for g in ("PIBF1", "ERBB2", "COL1A1", "ADIPOQ", "CD3D")
    ]
    measured = log_expression(tissue())[:, genes]
    score = pcc(model.predict(colour_features(tissue()))[:, genes], measured)
    assert score.mean() > 0.5
    assert score[0] > 0.5
    flipped = pcc(model.predict(colour_features(tissue(), flip=True))[:, genes], measured)
    assert flipped.mean() < 0.3


@pytest.mark.parametrize(
    ("version", "h5", "full"), [(2, True, True), (1, False, False)], ids=["2-h5", "1-mtx-hires"]
)
def test_a_written_folder_opens_as_the_same_slide(
    tmp_path: Path, version: int, h5: bool, full: bool
) -> None:
    slide = tissue().slide()
    folder = write_spaceranger(slide, tmp_path / "a", version=version, h5=h5, full_image=full)
    again = open_slide(folder)
    assert again.spots.index.sort_values().equals(slide.spots.index.sort_values())
    rows = slide.spots.index.get_indexer(again.spots.index)
    np.testing.assert_array_equal(again.yx, slide.yx[rows])
    assert (again.counts() != slide.counts()[rows]).nnz == 0
    assert again.genes.equals(slide.genes)
    assert again.mpp == pytest.approx(1.0, rel=0.005)
    assert again.platform == "visium"
    level = again.pyramid.levels[0]
    assert again.pyramid.extent == pytest.approx(tissue().pixels.shape[:2], abs=1.5)
    shape = level.shape[::-1]
    want = np.asarray(Image.fromarray(tissue().pixels).resize(shape, Image.Resampling.BOX))
    assert np.abs(level.read(0, 0, *level.shape).astype(int) - want).mean() < (4 if full else 1)
    assert (level.downsample == 1) == full
    # The whole array is written, as Space Ranger does, and only tissue is read.
    name = "tissue_positions.csv" if version == 2 else "tissue_positions_list.csv"
    lines = (folder / "spatial" / name).read_text().splitlines()
    assert len(lines) > slide.n_spots + 50


def test_the_scale_follows_mpp() -> None:
    fine = make_tissue(0, rows=6, cols=8, mpp=0.5)
    coarse = make_tissue(0, rows=6, cols=8, mpp=1.0)
    assert fine.pixels.shape[0] == pytest.approx(2 * coarse.pixels.shape[0], abs=2)
    assert fine.slide().mpp == 0.5
    shared = fine.spots.index.intersection(coarse.spots.index)
    assert len(shared) >= len(coarse.spots) - 2
    gap = fine.spots.loc[shared, ["y", "x"]] / 2 - coarse.spots.loc[shared, ["y", "x"]]
    assert gap.abs().max().max() <= 1.5


def test_sets_of_slides_and_nothing_overwritten(tmp_path: Path) -> None:
    seen = []
    kwargs = {"seed": 5, "rows": 8, "cols": 7}
    paths = make_slides(tmp_path / "set", 2, report=lambda *p: seen.append(p), **kwargs)
    assert [p.name for p in paths] == ["synthetic_5", "synthetic_6"]
    assert seen == [(1, 2), (2, 2)]
    stores = make_slides(tmp_path / "set", 1, format="store", **kwargs)
    one, two = open_slide(paths[0]), open_slide(stores[0])
    assert one.n_spots == two.n_spots
    assert (one.counts() != two.counts()[two.spots.index.get_indexer(one.spots.index)]).nnz == 0
    for kind in ("spaceranger", "store"):
        with pytest.raises(InputError, match="not empty|exists"):
            make_slides(tmp_path / "set", 1, format=kind, **kwargs)


def test_a_slide_in_memory_is_whole() -> None:
    slide = make_slide(2, rows=8, cols=7, name="My slide")
    assert slide.name == "My slide"
    assert slide.counts().shape == (slide.n_spots, 600)
    assert slide.genes.loc["PIBF1", "id"] == "ENSG00000083535"
    assert slide.region in slide.sdata.shapes
    assert len(slide.digest) == 16
    assert slide.pyramid.levels[0].downsample == 1


def test_more_of_a_region_is_more_of_it_and_nothing_else_moves():
    from napari_umpire.slides.synthetic import make_tissue

    usual, richer = (
        make_tissue(4, rows=14, cols=9, mpp=4.0, more=more) for more in (None, {"immune": 1.0})
    )
    share = [t.composition["immune"].mean() for t in (usual, richer)]
    assert share[1] > share[0] + 0.1
    assert usual.spots.equals(richer.spots)


def test_the_tissue_of_each_spot_is_annotated(tmp_path):
    tissue = make_tissue(3, rows=12, cols=9)
    folder = write_spaceranger(tissue.slide(), tmp_path / "s")
    table = pd.read_csv(folder / "tissue_annotation.csv", index_col="barcode")
    pd.testing.assert_series_equal(table["tissue"], tissue.region, check_names=False)
