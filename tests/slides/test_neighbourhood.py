from __future__ import annotations

import numpy as np
import pytest

from napari_umpire.slides.neighbourhood import neighbours, spot_beside


def hexagonal(rows: int, cols: int, pitch: float) -> np.ndarray:
    row, col = (g.ravel() for g in np.mgrid[:rows, :cols])
    return np.stack([row * np.sqrt(0.75), col + (row % 2) / 2], axis=1) * pitch


def brute_force(yx: np.ndarray, pitch: float, k: int, reach: float) -> np.ndarray:
    out = np.full((len(yx), k), -1)
    for i in range(len(yx)):
        distance = np.round(np.linalg.norm(yx - yx[i], axis=1) / pitch, 6)
        near = [j for j in range(len(yx)) if j != i and distance[j] <= reach]
        near = sorted(near, key=lambda j: (distance[j], j))[:k]
        out[i, : len(near)] = near
    return out


@pytest.mark.parametrize(
    ("k", "reach"), [(8, 1.6), (4, 1.6), (24, 3.1), (1, 1.1)], ids=["8", "4", "24", "1"]
)
@pytest.mark.parametrize("kind", ["hex", "square", "scattered"])
def test_as_by_brute_force(kind: str, k: int, reach: float) -> None:
    pitch = 137.3
    rng = np.random.default_rng(0)
    if kind == "hex":
        yx = hexagonal(9, 14, pitch)[rng.permutation(126)[:100]]
    elif kind == "square":
        yx = (np.argwhere(np.ones((9, 14))) * pitch)[rng.permutation(126)[:100]]
    else:
        yx = rng.uniform(0, 1200, (100, 2))
    got = neighbours(yx, pitch, k, reach)
    np.testing.assert_array_equal(got, brute_force(yx, pitch, k, reach))
    assert got.dtype == np.int64


def test_inner_spots_have_the_six_of_a_hexagon_and_the_eight_of_a_square() -> None:
    hex_ = neighbours(hexagonal(7, 9, 100), 100)
    assert (hex_[3 * 9 + 4] >= 0).sum() == 6
    assert (neighbours(np.argwhere(np.ones((7, 9))) * 200.0, 200)[3 * 9 + 4] >= 0).sum() == 8


def test_a_lone_spot_and_no_spots() -> None:
    np.testing.assert_array_equal(neighbours(np.array([[5.0, 5.0]]), 100, k=3), [[-1, -1, -1]])
    assert neighbours(np.empty((0, 2)), 100).shape == (0, 8)


def test_two_spots_in_one_place_are_each_others_neighbours() -> None:
    yx = np.array([[0.0, 0.0], [0.0, 0.0], [0.0, 90.0]])
    np.testing.assert_array_equal(neighbours(yx, 100, k=2), [[1, 2], [0, 2], [0, 1]])


def test_every_spot_of_a_hexagonal_grid_is_reached_by_steps_up_down_left_and_right() -> None:
    yx = hexagonal(7, 9, 55.0)
    inner = int(np.argmin(((yx - yx.mean(0)) ** 2).sum(1)))
    y, x = yx[inner]
    assert tuple(yx[spot_beside(yx, inner, (0, 1))]) == pytest.approx((y, x + 55))
    assert tuple(yx[spot_beside(yx, inner, (0, -1))]) == pytest.approx((y, x - 55))
    for way in (-1, 1):
        above = yx[spot_beside(yx, inner, (way, 0))]
        assert above[0] == pytest.approx(y + way * 55 * np.sqrt(0.75))
        assert abs(above[1] - x) == pytest.approx(27.5)
    seen, todo = {inner}, [inner]
    while todo:
        here = todo.pop()
        for way in ((-1, 0), (1, 0), (0, -1), (0, 1)):
            there = spot_beside(yx, here, way)
            if there is not None and there not in seen:
                seen.add(there)
                todo.append(there)
    assert seen == set(range(len(yx)))


def test_at_the_edge_there_is_no_spot_beside() -> None:
    yx = np.array([[0.0, 0.0], [0.0, 10.0], [3.0, 90.0]])
    assert spot_beside(yx, 0, (0, -1)) is None
    assert spot_beside(yx, 0, (1, 0)) is None
    assert spot_beside(yx, 1, (0, 1)) == 2
