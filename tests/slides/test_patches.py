from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from napari_umpire.errors import InputError
from napari_umpire.slides.patches import PatchSpec, iter_patches, patch_digest, plan_patches
from napari_umpire.slides.pyramid import ArrayLevel, Level, Pyramid
from napari_umpire.slides.scale import PhysicalScale
from napari_umpire.slides.slide import Slide

HEIGHT, WIDTH = 700, 1100


def coded(height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """An image whose pixels tell where they are: shifts, flips and swaps of axes all show."""
    y, x = np.mgrid[:height, :width]
    return np.stack([y % 256, x % 256, (y // 256) * 16 + x // 256], axis=2).astype(np.uint8)


class CountingLevel(Level):
    """A level that counts how often each of its tiles is decoded."""

    def __init__(self, pixels: np.ndarray, downsample: float = 1.0, tile: int = 64) -> None:
        self.inner = ArrayLevel(pixels, downsample, tile)
        self.shape, self.tile = self.inner.shape, self.inner.tile
        self.downsample = downsample
        self.decoded: Counter[tuple[int, int]] = Counter()

    def _read_tile(self, row: int, col: int) -> np.ndarray:
        self.decoded[row, col] += 1
        return self.inner._read_tile(row, col).copy()


def slide_of(levels: list[Level], yx: np.ndarray, mpp: float | None = 0.5) -> Slide:
    spots = pd.DataFrame(
        {"y": yx[:, 0], "x": yx[:, 1], "instance_id": np.arange(len(yx))},
        index=[f"s{i}" for i in range(len(yx))],
    )
    scale = PhysicalScale() if mpp is None else PhysicalScale(mpp, "user", {"user": mpp})
    return Slide(
        name="coded",
        sdata=None,
        pyramid=Pyramid(tuple(levels)),
        spots=spots,
        scale=scale,
        pitch_um=100,
        spot_diameter_um=55,
        platform="image",
        region="coded",
    )


def scattered(n: int = 120, seed: int = 0, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.stack([rng.uniform(0, height, n), rng.uniform(0, width, n)], axis=1)


def collect(slide: Slide, spec: PatchSpec, **kwargs: object) -> np.ndarray:
    """Patches in the order of the spots."""
    out = np.zeros((slide.n_spots, spec.size_px, spec.size_px, 3), np.uint8)
    seen = []
    for batch in iter_patches(slide, spec, **kwargs):
        out[batch.rows] = batch.pixels
        seen.extend(batch.rows.tolist())
    assert len(seen) == len(set(seen))
    return out


def brute_force_crop(pixels: np.ndarray, centre: np.ndarray, size: int) -> np.ndarray:
    """Pixel by pixel: pixel (i, j) of the patch is image pixel (top + i, left + j), else white."""
    top, left = (int(np.floor(c - size / 2 + 0.5)) for c in centre)
    patch = np.full((size, size, 3), 255, np.uint8)
    for i in range(size):
        for j in range(size):
            y, x = top + i, left + j
            if 0 <= y < pixels.shape[0] and 0 <= x < pixels.shape[1]:
                patch[i, j] = pixels[y, x]
    return patch


@pytest.mark.parametrize("size", [24, 33], ids=["even", "odd"])
def test_a_patch_at_the_levels_own_resolution_is_an_exact_crop(size: int) -> None:
    pixels = coded()
    yx = np.concatenate([scattered(60), [[0, 0], [HEIGHT, WIDTH], [3, 1099], [350, 550]]])
    slide = slide_of([CountingLevel(pixels)], yx)
    got = collect(slide, PatchSpec(size * 0.5, size))
    for patch, centre in zip(got, yx, strict=True):
        np.testing.assert_array_equal(patch, brute_force_crop(pixels, centre, size))


def test_the_centre_pixel_of_an_odd_patch_is_the_spots() -> None:
    yx = np.array([[301.5, 777.5], [10.5, 20.5]])
    got = collect(slide_of([ArrayLevel(coded(), 1, 64)], yx), PatchSpec(4.5, 9))
    for patch, (y, x) in zip(got, yx.astype(int), strict=True):
        assert tuple(patch[4, 4]) == (y % 256, x % 256, (y // 256) * 16 + x // 256)


def smooth(height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Ramps: after resampling, a pixel still tells its place, and exactly so."""
    y, x = np.mgrid[:height, :width]
    return np.stack([40 + y * 0.25, 20 + x * 0.2, np.full_like(y, 90)], axis=2).round().astype("u1")


@pytest.mark.parametrize("field_px", [48.0, 60.7, 97.3], ids=["2x", "2.5x", "4x"])
def test_resampling_covers_the_exact_window(field_px: float) -> None:
    size = 24
    rng = np.random.default_rng(1)
    yx = np.stack([rng.uniform(150, 550, 500), rng.uniform(150, 900, 500)], axis=1)
    slide = slide_of([ArrayLevel(smooth(), 1, 64)], yx)
    got = collect(slide, PatchSpec(field_px * 0.5, size)).astype(float)
    # Centre of patch pixel i in the image; a pixel's value belongs to its own centre.
    at = (np.arange(size) + 0.5) * (field_px / size) - field_px / 2 - 0.5
    down = got[..., 0] - (40 + (yx[:, :1] + at) * 0.25)[:, :, None]
    right = got[..., 1] - (20 + (yx[:, 1:] + at) * 0.2)[:, None, :]
    # Values are rounded; over all patches a shift of a tenth of a pixel would show.
    assert np.abs(down).max() <= 1
    assert np.abs(right).max() <= 1
    assert abs(down.mean()) < 0.1 * 0.25
    assert abs(right.mean()) < 0.1 * 0.2


def test_resampling_agrees_with_pillow_on_the_whole_padded_image() -> None:
    rng = np.random.default_rng(2)
    pixels = rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    yx = np.concatenate([scattered(40, seed=3), [[2.3, 1098.2], [699.1, 0.4]]])
    size, field_px, pad = 32, 83.4, 200
    whole = Image.fromarray(np.pad(pixels, ((pad, pad), (pad, pad), (0, 0)), constant_values=255))
    got = collect(slide_of([ArrayLevel(pixels, 1, 50)], yx), PatchSpec(field_px / 2, size))
    for patch, (y, x) in zip(got, yx + pad, strict=True):
        half = field_px / 2
        box = (x - half, y - half, x + half, y + half)
        want = np.asarray(whole.resize((size, size), Image.Resampling.BICUBIC, box=box))
        # The same filter; positions are floats, so that a value may round the other way.
        np.testing.assert_allclose(patch.astype(int), want.astype(int), atol=1)


def test_the_field_in_um_does_not_depend_on_the_level_that_is_read() -> None:
    pixels = smooth(800, 1200)
    half = pixels.reshape(400, 2, 600, 2, 3).mean(axis=(1, 3)).round().astype(np.uint8)
    yx = np.array([[400.0, 500.0], [377.3, 618.9]])
    spec = PatchSpec(100.0, 40)  # 2.5 um per px from 0.5: 5 full-resolution px
    fine = slide_of([ArrayLevel(pixels, 1)], yx)
    both = slide_of([ArrayLevel(pixels, 1), ArrayLevel(half, 2)], yx)
    assert plan_patches(fine, spec).level == 0
    assert plan_patches(both, spec).level == 1
    np.testing.assert_allclose(
        collect(fine, spec).astype(int), collect(both, spec).astype(int), atol=1
    )


@pytest.mark.parametrize(
    ("field_um", "level"),
    [(20.0, 0), (24.0, 0), (39.0, 0), (40.0, 1), (70.0, 1), (81.0, 2)],
)
def test_the_coarsest_level_that_is_fine_enough_is_read(field_um: float, level: int) -> None:
    levels: list[Level] = [
        ArrayLevel(np.zeros((400 // d, 600 // d, 3), np.uint8), d) for d in (1, 2, 4)
    ]
    slide = slide_of(levels, np.array([[200.0, 300.0]]))
    assert plan_patches(slide, PatchSpec(field_um, 40)).level == level


def test_each_tile_is_decoded_once_and_little_is_held() -> None:
    level = CountingLevel(coded())
    yx = scattered(900, seed=4)
    slide = slide_of([level], yx)
    spec = PatchSpec(20.0, 40)
    rng = np.random.default_rng(5)
    rows = []
    for batch in iter_patches(slide, spec, spots=rng.permutation(900), batch_size=37):
        rows.extend(batch.rows.tolist())
    assert sorted(rows) == list(range(900))
    assert max(level.decoded.values()) == 1
    touched = {
        (r, c)
        for y, x in yx
        for r in range(max(0, round(y) - 20) // 64, min(HEIGHT - 1, round(y) + 19) // 64 + 1)
        for c in range(max(0, round(x) - 20) // 64, min(WIDTH - 1, round(x) + 19) // 64 + 1)
    }
    assert len(level.decoded) <= len(touched)


def test_memory_is_bounded_and_the_patches_do_not_change_with_the_bound() -> None:
    from napari_umpire.slides.tile_order import WindowReader, tile_order

    level = CountingLevel(coded())
    slide = slide_of([level], scattered(600, seed=6))
    spec = PatchSpec(20.0, 40)
    free = collect(slide, spec)
    level.decoded.clear()
    budget = 8 * 64 * 64 * 3
    np.testing.assert_array_equal(collect(slide, spec, cache_bytes=budget), free)
    # Stripes of a few columns: only tiles on the seams come twice.
    assert level.decoded.total() < 1.7 * len(level.decoded)

    first = np.floor(slide.yx - 20).astype(int)
    order = tile_order(level, first, first + 40, budget)
    reader = WindowReader(level, first[order], first[order] + 40, budget)
    for i in range(len(order)):
        reader.read(i)
    # A window of 40 px touches at most four tiles beyond what is kept.
    assert reader.peak_bytes <= budget + 4 * 64 * 64 * 3
    assert reader._held_bytes == 0


def test_a_subset_of_spots_gives_the_same_patches() -> None:
    slide = slide_of([ArrayLevel(coded(), 1, 64)], scattered(50, seed=7))
    spec = PatchSpec(33.3, 24)
    everything = collect(slide, spec)
    some = np.array([41, 3, 17])
    batches = list(iter_patches(slide, spec, spots=some, batch_size=2))
    assert [len(b.rows) for b in batches] == [2, 1]
    for batch in batches:
        assert set(batch.rows) <= set(some.tolist())
        np.testing.assert_array_equal(batch.pixels, everything[batch.rows])
    assert list(iter_patches(slide, spec, spots=np.array([], int))) == []


def test_a_spot_off_the_image_is_white() -> None:
    slide = slide_of([ArrayLevel(coded(), 1, 64)], np.array([[100.0, 100.0], [-500.0, 90.0]]))
    got = collect(slide, PatchSpec(20.0, 40))
    assert (got[1] == 255).all()
    assert not (got[0] == 255).all()


def test_too_coarse_an_image_is_refused_in_words() -> None:
    slide = slide_of([ArrayLevel(coded(), 1, 64)], scattered(5), mpp=2.7)
    with pytest.raises(InputError) as error:
        iter_patches(slide, PatchSpec(112.0, 224))
    for word in ("coded", "2.7 um per px", "112 um", "224 px", "0.5 um per px", "1 um per px"):
        assert word in str(error.value)


def test_up_to_the_stated_upsampling_is_allowed() -> None:
    slide = slide_of([ArrayLevel(smooth(), 1, 64)], np.array([[300.0, 500.0]]), mpp=1.0)
    patch = collect(slide, PatchSpec(112.0, 224, max_upsampling=2.0))[0]
    assert abs(patch[..., 0].mean() - (40 + 299.5 * 0.25)) < 0.1
    with pytest.raises(InputError, match="too coarse"):
        iter_patches(slide, PatchSpec(112.0, 224, max_upsampling=1.9))


def test_unknown_scale_is_refused() -> None:
    slide = slide_of([ArrayLevel(coded(), 1, 64)], scattered(5), mpp=None)
    with pytest.raises(InputError, match="physical scale of coded is not known"):
        iter_patches(slide, PatchSpec())


def test_spots_that_miss_the_image_are_refused() -> None:
    slide = slide_of([ArrayLevel(coded(), 1, 64)], scattered(5) + 5000)
    with pytest.raises(InputError, match="No spot of coded lies on its image"):
        iter_patches(slide, PatchSpec(20, 40))


def test_a_field_far_larger_than_the_slide_is_refused() -> None:
    slide = slide_of([ArrayLevel(coded(), 1, 64)], scattered(5))  # 550 um across
    assert plan_patches(slide, PatchSpec(1099, 40)).window_px == 2198
    with pytest.raises(InputError, match=r"far larger than the image.*Got: 100,000 um.*1,100 um"):
        iter_patches(slide, PatchSpec(1e5, 224))


def test_a_field_that_only_the_finest_level_has_is_bounded() -> None:
    """Of a large scan, without reading it: the level has a shape and no pixels."""
    pixels = np.broadcast_to(np.uint8(7), (20_000, 30_000, 3))
    slide = slide_of([ArrayLevel(pixels, 1, 64)], scattered(5))
    assert plan_patches(slide, PatchSpec(4096, 40)).window_px == 8192
    with pytest.raises(InputError, match=r"10,000 px of the level.*at most 4,096 um"):
        plan_patches(slide, PatchSpec(5000, 40))
    coarse = ArrayLevel(pixels[::16, ::16], 16, 64)
    slide = slide_of([ArrayLevel(pixels, 1, 64), coarse], scattered(5))
    assert plan_patches(slide, PatchSpec(5000, 40)).window_px == 625


def test_one_spot_twice_is_a_mistake() -> None:
    slide = slide_of([ArrayLevel(coded(), 1, 64)], scattered(5))
    with pytest.raises(ValueError, match="each once"):
        iter_patches(slide, PatchSpec(20, 40), spots=np.array([1, 1]))


def test_the_digest_tells_specs_apart() -> None:
    specs = [PatchSpec(), PatchSpec(112.5), PatchSpec(size_px=256), PatchSpec(max_upsampling=3)]
    assert len({patch_digest(s) for s in specs}) == 4
    assert patch_digest(PatchSpec()) == patch_digest(PatchSpec(112.0, 224, 2.0))
    with pytest.raises(InputError, match="positive field"):
        PatchSpec(field_um=0)
