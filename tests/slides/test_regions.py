"""Which spots lie within what was drawn, against a pixel-by-pixel and a ray-casting oracle."""

from __future__ import annotations

import numpy as np
import pytest

from napari_umpire.slides.regions import spots_in_ellipse, spots_within

GRID = np.argwhere(np.ones((31, 53))) + (0.21, 0.37)  # wide, and off all edges


def odd_crossings(point, ring):
    """Even-odd rule by hand: how often a ray along +x crosses the ring's edges."""
    y, x = point
    inside = False
    for (y0, x0), (y1, x1) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
        if (y0 > y) != (y1 > y) and x < (x1 - x0) * (y - y0) / (y1 - y0) + x0:
            inside = not inside
    return inside


def oracle(rings):
    return np.array([sum(odd_crossings(p, np.array(r)) for r in rings) % 2 == 1 for p in GRID])


SQUARE = [(2, 3), (2, 40), (25, 40), (25, 3)]


@pytest.mark.parametrize(
    "rings",
    [
        pytest.param([SQUARE], id="rectangle"),
        pytest.param([[*SQUARE, SQUARE[0]]], id="closed ring"),
        pytest.param([[(1, 1), (29, 20), (4, 50), (12, 22)]], id="concave"),
        pytest.param([[(2, 3), (25, 40), (25, 3), (2, 40)]], id="crosses itself"),
        pytest.param(
            [[(15, 50), (2, 10), (28, 36), (28, 14), (2, 40)]], id="star: its middle is out"
        ),
        pytest.param([SQUARE, [(8, 10), (8, 30), (20, 30), (20, 10)]], id="hole"),
        pytest.param([SQUARE, [(27, 42), (27, 50), (30, 50), (30, 42)]], id="two parts"),
    ],
)
def test_spots_within_rings_follow_the_even_odd_rule(rings):
    expected = oracle(rings)
    assert 0 < expected.sum() < len(GRID)
    np.testing.assert_array_equal(spots_within(GRID, [np.array(r) for r in rings]), expected)


@pytest.mark.parametrize(
    "ring",
    [
        pytest.param(np.empty((0, 2)), id="nothing"),
        pytest.param([(1, 1), (20, 20)], id="line"),
        pytest.param([(1, 1), (20, 20), (1, 1)], id="line and back"),
        pytest.param([(1, 1), (np.nan, 20), (9, 1)], id="NaN"),
        pytest.param([(1, 1), (2, 2), (3, 3)], id="flat"),
    ],
)
def test_a_ring_without_an_area_bounds_nothing(ring):
    assert not spots_within(GRID, [ring]).any()


def test_no_rings_no_spots_and_spots_without_position():
    assert not spots_within(GRID, []).any()
    assert spots_within(np.empty((0, 2)), [np.array(SQUARE)]).shape == (0,)
    np.testing.assert_array_equal(
        spots_within([(np.nan, 5.0), (5.0, 5.0)], [SQUARE]), [False, True]
    )


def test_an_ellipse_is_an_ellipse_and_not_its_box():
    turn = np.deg2rad(30)
    spin = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    centre, half = np.array([14.0, 25.0]), np.array([5.0, 17.0])
    box = centre + (np.array([(-1, -1), (-1, 1), (1, 1), (1, -1)]) * half) @ spin.T
    back = (GRID - centre) @ spin
    expected = (back[:, 0] / 5) ** 2 + (back[:, 1] / 17) ** 2 < 1
    np.testing.assert_array_equal(spots_in_ellipse(GRID, box), expected)
    in_box = spots_within(GRID, [box]).sum()
    assert expected.sum() / in_box == pytest.approx(np.pi / 4, abs=0.03)


def test_a_flat_ellipse_holds_nothing():
    assert not spots_in_ellipse(GRID, [(3, 3), (3, 30), (3, 30), (3, 3)]).any()
