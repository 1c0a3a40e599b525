from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform

from napari_umpire.errors import InputError
from napari_umpire.slides.overviews import with_overviews
from napari_umpire.slides.pyramid import ArrayLevel, Pyramid
from napari_umpire.slides.tissue import TissueMask, grid_spots, tissue_mask

if TYPE_CHECKING:
    from pathlib import Path

GLASS = (243, 240, 244)


def section(mpp: float = 4.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """An L of tissue with a hole on noisy glass, and where it is; 5.6 mm high, 4 mm wide."""
    height, width = round(5600 / mpp), round(4000 / mpp)
    y, x = np.mgrid[:height, :width] * mpp
    is_tissue = ((x > 600) & (x < 1800) & (y > 500) & (y < 5000)) | (
        (x > 600) & (x < 3200) & (y > 3800) & (y < 5000)
    )
    is_tissue &= np.hypot(y - 1500, x - 1200) > 300
    rng = np.random.default_rng(seed)
    image = np.where(is_tissue[..., None], (205, 130, 175), GLASS) + rng.normal(
        0, 2.5, (height, width, 3)
    )
    return image.clip(0, 255).astype(np.uint8), is_tissue


def overlap(mask: TissueMask, truth: np.ndarray) -> float:
    """Intersection over union, both on the grid of ``truth``."""
    y, x = np.mgrid[: truth.shape[0], : truth.shape[1]] + 0.5
    got = mask.contains(np.stack([y.ravel(), x.ravel()], axis=1)).reshape(truth.shape)
    return (got & truth).sum() / (got | truth).sum()


@pytest.mark.parametrize("mpp", [4.0, 8.0, 11.0, 2.0])
def test_the_mask_is_the_tissue(mpp: float) -> None:
    image, truth = section(mpp)
    mask = tissue_mask(Pyramid((ArrayLevel(image, 1, 256),)), mpp)
    assert 5 < mask.downsample * mpp < 12
    assert overlap(mask, truth) > 0.97


def test_a_level_near_8_um_is_read_and_the_frame_stays_full_resolution() -> None:
    image, truth = section(2.0)
    mask = tissue_mask(with_overviews([ArrayLevel(image, 1, 512)]), 2.0)
    assert mask.downsample == 4
    assert overlap(mask, truth) > 0.97


def test_fat_is_tissue_and_dust_is_not() -> None:
    image, truth = section(4.0)
    # Fat: empty cells of 60 um between thin walls, in the foot of the L.
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    fat = (x > 500) & (x < 780) & (y > 1000) & (y < 1230) & (y % 15 > 1) & (x % 15 > 1)
    image[fat] = GLASS
    image[100:110, 800:810] = (150, 60, 120)  # a stained speck of 40 um
    image[60:110, 500:900] = (150, 150, 150)  # a grey smear
    mask = tissue_mask(Pyramid((ArrayLevel(image, 1),)), 4.0)
    assert overlap(mask, truth) > 0.96
    assert not mask.mask[:48].any()


@pytest.mark.parametrize("value", [255, 243, 0], ids=["white", "glass", "black"])
def test_a_blank_slide_has_no_tissue(value: int) -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 2.5 if value == 243 else 0, (600, 400, 3))
    image = (np.full((600, 400, 3), value) + noise).clip(0, 255).astype(np.uint8)
    mask = tissue_mask(Pyramid((ArrayLevel(image, 1),)), 8.0)
    assert not mask.mask.any()
    assert mask.outlines() == []
    assert grid_spots(Pyramid((ArrayLevel(image, 1),)), mask, 8.0).empty


def test_unscanned_black_is_not_tissue() -> None:
    image, truth = section(8.0)
    image[:, :60] = 0
    assert overlap(tissue_mask(Pyramid((ArrayLevel(image, 1),)), 8.0), truth) > 0.97


def test_a_slide_full_of_tissue_is_not_split_in_two() -> None:
    rng = np.random.default_rng(0)
    image = np.full((500, 400, 3), (200, 110, 160)) + rng.normal(0, 3, (500, 400, 3))
    image[:, 200:] += (-60, -70, -30)
    mask = tissue_mask(Pyramid((ArrayLevel(image.clip(0, 255).astype(np.uint8), 1),)), 8.0)
    assert mask.mask.mean() > 0.99


def test_outlines_enclose_pieces_and_holes_in_full_resolution_px() -> None:
    from shapely.geometry import Polygon

    mask = np.zeros((40, 60), bool)
    mask[5:30, 10:50] = True
    mask[12:20, 20:26] = False
    rings = TissueMask(mask, 16.0).outlines()
    assert len(rings) == 2
    assert all((ring[0] == ring[-1]).all() for ring in rings)
    areas = sorted(Polygon(ring).area for ring in rings)
    # Contours cut the corners of cells.
    assert areas[1] == pytest.approx(25 * 40 * 256, rel=0.01)
    assert areas[0] == pytest.approx(8 * 6 * 256, rel=0.05)
    outer = max(rings, key=lambda r: np.ptp(r))
    np.testing.assert_allclose(outer.min(axis=0), (5 * 16, 10 * 16), atol=8)
    np.testing.assert_allclose(outer.max(axis=0), (30 * 16, 50 * 16), atol=8)


@pytest.mark.parametrize(("kind", "neighbours"), [("hex", 6), ("square", 4)])
def test_the_grid_has_the_pitch_and_the_neighbours_of_its_kind(kind: str, neighbours: int) -> None:
    mpp = 0.8
    pyramid = Pyramid((ArrayLevel(np.zeros((1500, 2500, 3), np.uint8), 1),))
    mask = TissueMask(np.ones((150, 250), bool), 10.0)
    spots = grid_spots(pyramid, mask, mpp, pitch_um=90.0, kind=kind)
    yx = spots[["y", "x"]].to_numpy() * mpp
    distance = squareform(pdist(yx))
    np.fill_diagonal(distance, np.inf)
    np.testing.assert_allclose(distance.min(axis=1), 90.0)
    centre = np.linalg.norm(yx - yx.mean(axis=0), axis=1).argmin()
    assert (distance[centre] < 95).sum() == neighbours
    area = {"hex": np.sqrt(0.75), "square": 1.0}[kind] * 90**2
    assert len(spots) == pytest.approx(1500 * 2500 * mpp**2 / area, rel=0.06)
    # Array coordinates name the same lattice, in Visium's way.
    step = {"hex": (np.sqrt(0.75), 0.5), "square": (1.0, 1.0)}[kind]
    lattice = spots[["array_row", "array_col"]].to_numpy() * np.array(step) * 90
    np.testing.assert_allclose(yx - lattice, np.tile(yx[0] - lattice[0], (len(yx), 1)))


def test_spots_lie_on_tissue_and_are_named_in_order() -> None:
    image, truth = section(4.0)
    pyramid = Pyramid((ArrayLevel(image, 1),))
    spots = grid_spots(pyramid, tissue_mask(pyramid, 4.0), 4.0)
    at = spots[["y", "x"]].to_numpy().astype(int)
    assert truth[at[:, 0], at[:, 1]].mean() > 0.95
    assert len(spots) == pytest.approx(truth.sum() * 16 / (np.sqrt(0.75) * 1e4), rel=0.05)
    assert spots.index[0] == "spot_00001"
    assert spots.index.is_unique
    assert list(spots["instance_id"]) == list(range(len(spots)))


def test_a_pitch_of_nothing_is_refused() -> None:
    pyramid = Pyramid((ArrayLevel(np.zeros((10, 10, 3), np.uint8), 1),))
    with pytest.raises(InputError, match="pitch must be positive"):
        grid_spots(pyramid, TissueMask(np.ones((1, 1), bool), 10), 1.0, pitch_um=0)


@pytest.mark.filterwarnings("ignore::napari_umpire.errors.UmpireWarning")
def test_tissue_of_a_real_section(her2st: Path) -> None:
    """The spots that the authors measured lie on what the mask calls tissue."""
    from napari_umpire import open_slide

    slide = open_slide(her2st / "ST-cnts" / "C3.tsv.gz")
    mask = tissue_mask(slide.pyramid, slide.mpp)
    assert mask.contains(slide.yx).mean() > 0.97
    assert mask.mask.mean() < 0.7
