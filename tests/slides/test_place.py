"""Spots against the picture, on a section whose tissue has no symmetry."""

from __future__ import annotations

import functools
import warnings

import numpy as np
import pytest

from napari_umpire.errors import UmpireWarning
from napari_umpire.slides.place import check_on_tissue, turned
from napari_umpire.slides.pyramid import ArrayLevel, Pyramid
from napari_umpire.slides.turned import TURN_WORDS

MPP = 4.0
GLASS, TISSUE = (243, 240, 244), (205, 130, 175)
HEIGHT, WIDTH = 1400, 1000


def in_tissue(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """An L, px: an upright bar at the left, and a foot at the bottom."""
    return ((x > 150) & (x < 450) & (y > 100) & (y < 1250)) | (
        (x > 150) & (x < 800) & (y > 950) & (y < 1250)
    )


@functools.cache
def picture() -> Pyramid:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    image = np.where(in_tissue(y, x)[..., None], TISSUE, GLASS)
    noise = np.random.default_rng(0).normal(0, 2.5, image.shape)
    return Pyramid((ArrayLevel((image + noise).clip(0, 255).astype(np.uint8), 1.0, 256),))


def array() -> tuple[np.ndarray, np.ndarray]:
    """Spots 25 px apart: those in tissue, and those beside it."""
    y, x = (g.ravel() for g in np.mgrid[50:1350:25, 50:950:25] + 3.5)
    on = in_tissue(y, x)
    yx = np.stack([y, x], axis=1)
    return yx[on], yx[~on]


def said(yx: np.ndarray, *, mpp: float | None = MPP, beside: np.ndarray | None = None) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UmpireWarning)
        check_on_tissue(picture(), yx, mpp, name="slide", beside=beside)
    return [str(w.message) for w in caught]


@pytest.mark.parametrize("with_others", [False, True])
def test_spots_on_their_tissue_need_no_word(with_others):
    spots, beside = array()
    assert not said(spots, beside=beside if with_others else None)


@pytest.mark.parametrize(
    ("change", "undone_by"),
    [
        (lambda y, x: (x, y), "(rows and columns exchanged)"),
        (lambda y, x: (HEIGHT - y, x), "mirrored top to bottom"),
        (lambda y, x: (y, WIDTH - x), "mirrored left to right"),
        (lambda y, x: (HEIGHT - y, WIDTH - x), "turned by 180 degrees"),
        (lambda y, x: (WIDTH - x, y), "turned by 90 degrees clockwise"),
        (lambda y, x: (x, HEIGHT - y), "turned by 90 degrees anticlockwise"),
        (lambda y, x: (WIDTH - x, HEIGHT - y), "mirrored along the other diagonal"),
    ],
)
@pytest.mark.parametrize("with_others", [False, True])
def test_axes_in_another_order_are_named_with_both_shares(change, undone_by, with_others):
    spots, beside = array()
    wrong = np.stack(change(*spots.T), axis=1)
    others = np.stack(change(*beside.T), axis=1) if with_others else None
    (words,) = said(wrong, beside=others)
    assert undone_by in words
    share = in_tissue(*wrong.T).mean()
    told = int(words.split("slide: ")[1].split("%")[0]) / 100
    assert told == pytest.approx(share, abs=0.02)
    assert "100%" in words


def test_what_undoes_a_turn_is_its_inverse():
    """Each order of `turned`, done in the frame of the turned picture, moves its px alike."""
    small = np.arange(6 * 4).reshape(6, 4)
    y, x = (g.ravel() for g in np.mgrid[:4, :6])
    places = turned(np.stack([y, x], axis=1) + 0.5, small.shape)
    pixels = {
        TURN_WORDS[5]: small.T,
        "turned by 90 degrees clockwise": np.rot90(small),
        "turned by 90 degrees anticlockwise": np.rot90(small, -1),
        "mirrored along the other diagonal": np.rot90(small, 2).T,
    }
    for order, picture_of_spots in pixels.items():
        at = np.floor(places[order]).astype(int)
        np.testing.assert_array_equal(small[at[:, 0], at[:, 1]], picture_of_spots.ravel())


def test_spots_beside_the_tissue_are_counted():
    spots, _ = array()
    (words,) = said(spots * 0.5)
    share = in_tissue(*(spots * 0.5).T).mean()
    assert words.startswith(f"slide: only {share:.0%} of the spots lie on tissue. Check")


def test_the_spots_beside_tell_where_the_tissue_nearly_fills_the_array():
    """Three corners are tissue: of the spots in tissue few are lost by exchanging rows, columns."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    on = ~((y > 1100) & (x < 500))
    image = np.where(on[..., None], TISSUE, GLASS).astype(np.uint8)
    pyramid = Pyramid((ArrayLevel(image, 1.0, 256),))
    rows, cols = (g.ravel() for g in np.mgrid[200:1000:25, 150:950:25] + 3.5)
    rows, cols = rows + 300, cols
    inside = on[rows.astype(int), cols.astype(int)]
    yx = np.stack([rows, WIDTH - cols], axis=1)
    with pytest.warns(UmpireWarning, match=r"of those beside it .*mirrored left to right"):
        check_on_tissue(pyramid, yx[inside], MPP, name="s", beside=yx[~inside])


@pytest.mark.parametrize(
    ("yx", "mpp"),
    [
        pytest.param(array()[0][:, ::-1], None, id="scale unknown"),
        pytest.param(np.full((9, 2), 10.0), MPP, id="few spots"),
    ],
)
def test_nothing_is_said_without_scale_or_spots(yx, mpp):
    assert not said(yx, mpp=mpp)


def test_nothing_is_said_of_a_blank_picture():
    blank = Pyramid((ArrayLevel(np.full((HEIGHT, WIDTH, 3), 240, np.uint8), 1.0),))
    check_on_tissue(blank, array()[0], MPP, name="slide")
