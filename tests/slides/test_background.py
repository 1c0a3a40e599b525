from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

from napari_umpire.errors import UmpireWarning
from napari_umpire.slides.background import background, balance_table, balanced
from napari_umpire.slides.patches import PatchSpec, iter_patches, patch_digest
from napari_umpire.slides.pyramid import ArrayLevel, Pyramid
from napari_umpire.slides.scale import PhysicalScale
from napari_umpire.slides.slide import Slide

SIDE = 640
BRIGHT, YELLOWISH = np.array([244.0, 243, 245]), np.array([226.0, 214, 190])


def lit(glass: np.ndarray, seed: int = 0) -> np.ndarray:
    """The same tissue on four fifths of the slide, under light that shows glass as ``glass``."""
    rng = np.random.default_rng(seed)
    amount = ndimage.gaussian_filter(rng.random((SIDE, SIDE)), 3)
    amount = np.clip((amount - 0.4) * 5, 0, None)
    amount[:, : SIDE // 5] = 0
    through = 10 ** -(amount[..., None] * np.array([0.6, 0.7, 0.3]))
    grain = rng.normal(0, 1, (SIDE, SIDE, 1))
    return np.clip((glass * through + grain).round(), 0, 255).astype(np.uint8)


def slide_of(pixels: np.ndarray, *, levels: int = 1) -> Slide:
    rng = np.random.default_rng(1)
    yx = rng.uniform([40, SIDE / 4], [SIDE - 40, SIDE - 40], (20, 2))
    spots = pd.DataFrame(
        {"y": yx[:, 0], "x": yx[:, 1], "instance_id": np.arange(20)},
        index=[f"s{i}" for i in range(20)],
    )
    made = [ArrayLevel(pixels[:: 2**i, :: 2**i], 2**i, 256) for i in range(levels)]
    return Slide(
        name="lit",
        sdata=None,
        pyramid=Pyramid(tuple(made)),
        spots=spots,
        scale=PhysicalScale(0.5, "user", {"user": 0.5}),
        pitch_um=100,
        spot_diameter_um=55,
        platform="image",
        region="lit",
    )


def patches(slide: Slide, *, white_balance: bool) -> np.ndarray:
    spec = PatchSpec(28.0, 28, white_balance=white_balance)
    out = np.zeros((slide.n_spots, 28, 28, 3), np.uint8)
    for batch in iter_patches(slide, spec, batch_size=7):
        out[batch.rows] = batch.pixels
    return out


@pytest.mark.parametrize("levels", [1, 3])
def test_the_background_is_the_colour_of_the_glass(levels: int) -> None:
    found = background(slide_of(lit(YELLOWISH), levels=levels).pyramid)
    np.testing.assert_allclose(found, YELLOWISH, atol=1.5)


def test_two_lights_give_nearly_equal_patches() -> None:
    one, other = slide_of(lit(BRIGHT)), slide_of(lit(YELLOWISH))
    plain = np.abs(
        patches(one, white_balance=False).astype(float) - patches(other, white_balance=False)
    )
    same = np.abs(
        patches(one, white_balance=True).astype(float) - patches(other, white_balance=True)
    )
    assert plain.mean() > 15
    assert same.mean() < 1
    assert same.max() <= 5


def test_values_are_balanced_one_by_one() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 4, 4, 3)).astype(np.uint8)
    table = balance_table(YELLOWISH, "lit")
    assert table is not None
    got = balanced(pixels, table)
    for value, out, channel in zip(pixels.ravel(), got.ravel(), [0, 1, 2] * 48, strict=True):
        exact = (int(value) + 1) / (YELLOWISH[channel] + 1) * 256 - 1
        assert abs(out - min(exact, 255)) <= 0.5
    assert balanced(YELLOWISH.astype(np.uint8), table).tolist() == [255, 255, 255]


def test_a_blank_white_slide_stays_white() -> None:
    slide = slide_of(np.full((SIDE, SIDE, 3), 255, np.uint8))
    assert background(slide.pyramid).tolist() == [255, 255, 255]
    assert (patches(slide, white_balance=True) == 255).all()


def test_a_slide_without_glass_is_left_as_it_is() -> None:
    dark = slide_of(lit(BRIGHT) // 4)
    with pytest.warns(UmpireWarning, match="lit shows no bare glass.*not white-balanced"):
        got = patches(dark, white_balance=True)
    np.testing.assert_array_equal(got, patches(dark, white_balance=False))


def test_an_image_smaller_than_a_thumbnail_pixel() -> None:
    pixels = np.full((5, 9, 3), 200, np.uint8)
    assert background(Pyramid((ArrayLevel(pixels, 1, 64),))).tolist() == [200, 200, 200]


def test_the_digest_tells_balanced_patches_apart() -> None:
    assert patch_digest(PatchSpec(white_balance=True)) != patch_digest(PatchSpec())
    assert patch_digest(PatchSpec(white_balance=False)) == patch_digest(PatchSpec())
