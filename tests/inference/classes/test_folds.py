"""Folds respect slides, or blocks within one slide."""

from __future__ import annotations

import numpy as np
import pytest

from napari_umpire.errors import InputError
from napari_umpire.inference.classes.folds import make_folds, spatial_blocks


def grid(rows=20, cols=14, pitch=100.0):
    """Positions taller than wide, um."""
    y, x = np.mgrid[:rows, :cols]
    return np.stack([y.ravel(), x.ravel()], axis=1) * pitch


def test_each_slide_is_held_out_once():
    codes = np.tile([0, 1], 15)
    slides = np.repeat([0, 2, 3], 10)
    folds = make_folds(codes, slides, np.zeros((30, 2)), ["a", "b", "c", "d"])
    assert [fold.name for fold in folds] == ["a", "c", "d"]
    for fold in folds:
        assert len(np.unique(slides[fold.test])) == 1
        assert not np.isin(slides[fold.train], slides[fold.test]).any()
        assert len(fold.train) + len(fold.test) == 30
    assert "Leave one slide out: 3 folds" in folds.words


def test_a_class_of_one_slide_alone_is_not_scored_there():
    codes = np.array([0, 1, 0, 1, 0, 1, 2, 2])
    slides = np.array([0, 0, 1, 1, 2, 2, 2, 2])
    folds = make_folds(codes, slides, np.zeros((8, 2)), ["a", "b", "c"])
    (last,) = [fold for fold in folds if fold.name == "c"]
    assert last.test.tolist() == [4, 5]
    assert "2 held-out spots are of a class that their fold could not learn" in folds.words


def test_a_fold_that_leaves_one_class_is_not_used():
    codes = np.array([0, 1, 0, 0, 0, 0])
    slides = np.array([0, 0, 1, 1, 2, 2])
    folds = make_folds(codes, slides, np.zeros((6, 2)), ["a", "b", "c"])
    assert [fold.name for fold in folds] == ["b", "c"]
    assert "Not held out: a" in folds.words


def test_class_and_slide_that_are_the_same_cannot_be_tested():
    with pytest.raises(InputError, match="every class is on a slide of its own"):
        make_folds(np.array([0, 0, 1, 1]), np.array([0, 0, 1, 1]), np.zeros((4, 2)), ["a", "b"])


def test_blocks_are_contiguous():
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    yx = grid()
    block = spatial_blocks(yx, 12, seed=3)
    near = cKDTree(yx).query_pairs(110.0, output_type="ndarray")
    for b in range(12):
        both = near[(block[near] == b).all(axis=1)]
        members = np.flatnonzero(block == b)
        joined = coo_matrix((np.ones(len(both)), both.T), shape=(len(yx),) * 2)
        assert connected_components(joined.tocsr()[members][:, members], directed=False)[0] == 1
    assert np.bincount(block).max() < 3 * np.bincount(block).min()


def test_blocks_are_whole_and_no_neighbour_of_a_held_out_spot_is_learned_from():
    from scipy.spatial.distance import cdist

    yx, codes = grid(), np.random.default_rng(0).integers(0, 3, 280)
    folds = make_folds(codes, np.zeros(280), yx, ["a"], buffer_um=150.0, seed=1)
    assert len(folds) == 5
    tested = np.concatenate([fold.test for fold in folds])
    assert sorted(tested) == list(range(280))
    for fold in folds:
        assert not np.isin(folds.group[fold.train], folds.group[fold.test]).any()
        assert cdist(yx[fold.train], yx[fold.test]).min() >= 150.0
        assert len(np.unique(codes[fold.train])) == 3
    assert "150 um" in folds.words
    assert "5 contiguous blocks" in folds.words


def test_a_rare_class_is_spread_over_folds():
    yx = grid()
    codes = np.zeros(280, int)
    # At both ends of one large block, so that only smaller ones divide it.
    ends = np.flatnonzero(spatial_blocks(yx, 5, seed=0) == 2)
    codes[np.r_[ends[:6], ends[-6:]]] = 1
    folds = make_folds(codes, np.zeros(280), yx, ["a"], seed=0)
    with_it = [fold for fold in folds if (codes[fold.test] == 1).any()]
    assert len(with_it) >= 2
    assert all((codes[fold.train] == 1).any() for fold in folds)


@pytest.mark.parametrize("seed", [0, 7])
def test_the_same_seed_gives_the_same_folds(seed):
    rng = np.random.default_rng(1)
    yx, codes = grid(), rng.integers(0, 3, 280)
    one, two = (make_folds(codes, np.zeros(280), yx, ["a"], seed=seed) for _ in range(2))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a.test, b.test)
        np.testing.assert_array_equal(a.train, b.train)


@pytest.mark.parametrize("n", [4, 10, 11, 25])
def test_few_spots_give_few_folds(n):
    codes = np.arange(n) % 2
    folds = make_folds(codes, np.zeros(n), grid()[:n], ["a"])
    assert 2 <= len(folds) <= 5
    for fold in folds:
        assert len(np.unique(codes[fold.train])) == 2
        assert len(fold.test)
