"""Levels, their tiles, and overviews computed from them."""

from __future__ import annotations

import pickle
import threading

import numpy as np
import pytest

from napari_umpire.errors import UmpireWarning
from napari_umpire.slides import ArrayLevel, Pyramid
from napari_umpire.slides.overviews import ReducedLevel, with_overviews
from napari_umpire.slides.pyramid import usable_levels
from napari_umpire.slides.wholefile import PictureLevel, WholeLevel


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (143, 211, 3), np.uint8)


@pytest.mark.parametrize(
    "box", [(0, 0, 143, 211), (31, 32, 64, 65), (142, 0, 143, 211), (5, 7, 6, 8)]
)
def test_a_region_is_put_together_from_tiles(pixels, box):
    level = ArrayLevel(pixels, 1.0, tile=32)
    y0, x0, y1, x1 = box
    np.testing.assert_array_equal(level.read(*box), pixels[y0:y1, x0:x1])


@pytest.mark.parametrize("box", [(0, 0, 144, 2), (-1, 0, 2, 2), (3, 3, 3, 9)])
def test_a_region_outside_is_an_error(pixels, box):
    with pytest.raises(IndexError, match="outside a level"):
        ArrayLevel(pixels, 1.0, tile=32).read(*box)


@pytest.mark.parametrize("tile", [17, 64, 500])
def test_dask_shows_the_same_pixels_in_whole_tiles(pixels, tile):
    lazy = ArrayLevel(pixels, 1.0, tile=tile).as_dask(chunk=64)
    assert lazy.dtype == np.uint8
    np.testing.assert_array_equal(lazy.compute(scheduler="synchronous"), pixels)
    np.testing.assert_array_equal(
        lazy[3:100:2, 9:50, 1].compute(scheduler="synchronous"), pixels[3:100:2, 9:50, 1]
    )
    assert all(c % min(tile, 143) == 0 for c in lazy.chunks[0][:-1])


def _halve(pixels: np.ndarray) -> np.ndarray:
    """Mean of 2 x 2 by another road: repeat the odd edge, reshape, average in float."""
    h, w = -(-pixels.shape[0] // 2) * 2, -(-pixels.shape[1] // 2) * 2
    full = pixels[np.minimum(np.arange(h), pixels.shape[0] - 1)]
    full = full[:, np.minimum(np.arange(w), pixels.shape[1] - 1)].astype(float)
    mean = full.reshape(h // 2, 2, w // 2, 2, 3).mean(axis=(1, 3))
    return np.floor(mean + 0.5).astype(np.uint8)


def test_overviews_are_area_means_of_odd_sizes():
    pixels = np.random.default_rng(1).integers(0, 256, (1301, 2203, 3), np.uint8)
    pyramid = with_overviews([ArrayLevel(pixels, 1.0, tile=300)], smallest_px=600)
    assert [v.downsample for v in pyramid.levels] == [1, 2, 4]
    expected = pixels
    for level in pyramid.levels[1:]:
        expected = _halve(expected)
        assert level.shape == expected.shape[:2]
        np.testing.assert_array_equal(level.read(0, 0, *level.shape), expected)


def test_a_small_image_gets_no_overviews(pixels):
    assert len(with_overviews([ArrayLevel(pixels, 3.0)]).levels) == 1


def test_a_small_overview_is_computed_once():
    calls = []

    class Counting(ArrayLevel):
        def _read_tile(self, row, col):
            calls.append((row, col))
            return super()._read_tile(row, col)

    level = ReducedLevel(Counting(np.zeros((64, 96, 3), np.uint8), 1.0))
    first = level.read_tile(0, 0)
    assert level.read_tile(0, 0) is first
    assert calls == [(0, 0)]
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(level.shape)), level.shape)


def test_level_for_never_takes_a_coarser_one(pixels):
    levels = tuple(ArrayLevel(pixels, d) for d in (2.0, 4.0, 16.0))
    pyramid = Pyramid(levels)
    assert [pyramid.level_for(d) for d in (1, 2, 3.9, 4, 15, 16, 99)] == [0, 0, 0, 1, 1, 2, 2]
    assert pyramid.extent == (286, 422)
    with pytest.raises(ValueError, match="finest first"):
        Pyramid(levels[::-1])


@pytest.mark.parametrize(
    ("sizes", "used"),
    [
        pytest.param([(800, 600), (400, 300)], [(0, 1), (1, 2)], id="halves"),
        pytest.param([(800, 600), (200, 150), (400, 300)], [(0, 1), (2, 2), (1, 4)], id="unsorted"),
        pytest.param(
            [(200, 150), (800, 600), (400, 300)], [(1, 1), (2, 2), (0, 4)], id="small-first"
        ),
        pytest.param([(1301, 2203), (651, 1102), (325, 550)], [(0, 1), (1, 2), (2, 4)], id="odd"),
        pytest.param([(900, 2100), (300, 700), (3, 7)], [(0, 1), (1, 3), (2, 300)], id="thirds"),
        pytest.param([(32914, 46000), (2057, 2875)], [(0, 1), (1, 16)], id="scanner"),
        pytest.param([(5000, 101), (2941, 59)], [(0, 1), (1, 5101 / 3000)], id="any-factor"),
    ],
)
def test_levels_are_sorted_and_whole_factors_are_meant(sizes, used):
    assert usable_levels(sizes, name="a") == [(i, pytest.approx(d)) for i, d in used]


@pytest.mark.parametrize(
    ("sizes", "used", "words"),
    [
        pytest.param(
            [(1700, 2000), (1024, 1024), (425, 500)], [0, 2], "1024 x 1024 px .sides", id="padded"
        ),
        pytest.param([(800, 600), (1200, 300)], [0], "1200 x 300 px .*do not fit", id="higher"),
        pytest.param([(800, 600), (400, 300), (400, 300)], [0, 1], "there twice", id="twice"),
        pytest.param([(800, 600), (1, 1000)], [0], "1 x 1000 px", id="line"),
    ],
)
def test_copies_that_do_not_fit_are_left_out_with_a_word(sizes, used, words):
    words = words.replace(".sides", r"\(its sides do not fit")
    with pytest.warns(UmpireWarning, match=rf"scan: of the reduced copies .*{words}"):
        assert [i for i, _ in usable_levels(sizes, name="scan")] == used


def test_decoded_pictures_are_let_go_when_they_pass_the_budget(monkeypatch):
    from napari_umpire.slides import wholefile

    monkeypatch.setattr(wholefile, "_BUDGET_BYTES", 25_000)
    wholefile._decoded.clear()
    decoded = []

    def level(i: int) -> WholeLevel:
        def decode() -> np.ndarray:
            decoded.append(i)
            return np.full((60, 60, 3), i, np.uint8)

        return WholeLevel(("test", i), (60, 60), decode)

    levels = [level(i) for i in range(3)]
    assert [int(v.read_tile(0, 0)[0, 0, 0]) for v in levels] == [0, 1, 2]
    assert len(wholefile._decoded) == 2
    assert int(levels[2].read_tile(0, 0)[0, 0, 0]) == 2  # still held
    assert int(levels[0].read_tile(0, 0)[0, 0, 0]) == 0  # decoded again
    assert decoded == [0, 1, 2, 0]
    wholefile._decoded.clear()


def _in_thread(do) -> threading.Thread:
    thread = threading.Thread(target=do, daemon=True)
    thread.start()
    return thread


def test_a_picture_is_decoded_once_and_nobody_waits_for_another(tmp_path, pixels):
    from PIL import Image

    path = tmp_path / "a.png"
    Image.fromarray(pixels).save(path)
    begun, go_on, decoded = threading.Event(), threading.Event(), []

    def decode() -> np.ndarray:
        decoded.append(threading.current_thread())
        begun.set()
        assert go_on.wait(20)
        return np.zeros((60, 70, 3), np.uint8)

    slow = [WholeLevel(("test", "slow"), (60, 70), decode) for _ in range(2)]
    shown = []
    try:
        waiting = [_in_thread(lambda level=level: level.read_tile(0, 0)) for level in slow]
        assert begun.wait(20)
        other = _in_thread(lambda: shown.append(PictureLevel(path).read(0, 0, 143, 211)))
        other.join(20)
        assert not other.is_alive()
    finally:
        go_on.set()
    for thread in waiting:
        thread.join(20)
    np.testing.assert_array_equal(shown[0], pixels)
    assert len(decoded) == 1


def test_a_picture_can_go_to_another_process(tmp_path, pixels):
    from PIL import Image

    path = tmp_path / "a.png"
    Image.fromarray(pixels).save(path)
    level = pickle.loads(pickle.dumps(PictureLevel(path)))
    np.testing.assert_array_equal(level.read(0, 0, 143, 211), pixels)
