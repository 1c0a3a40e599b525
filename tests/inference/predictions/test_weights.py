from __future__ import annotations

import numpy as np
import pytest

from napari_umpire.errors import InputError
from napari_umpire.inference.predictions.weights import weights


def test_similarity_weights_are_equation_9():
    sim = np.array([[0.6, 0.3, 0.1]], np.float32)
    np.testing.assert_allclose(weights(sim, "similarity"), [[0.6, 0.3, 0.1]], rtol=1e-6)


def test_negative_similarities_count_as_nothing():
    sim = np.array([[0.5, 0.5, -0.9]], np.float32)
    np.testing.assert_allclose(weights(sim, "similarity"), [[0.5, 0.5, 0.0]])


@pytest.mark.parametrize("row", [[-0.1, -0.2, -0.3], [0.0, 0.0, 0.0]], ids=["negative", "zero"])
def test_a_row_without_positive_similarity_is_uniform(row):
    np.testing.assert_allclose(weights(np.array([row]), "similarity"), [[1 / 3] * 3], rtol=1e-6)


def test_softmax_weights_against_scipy():
    from scipy.special import softmax

    sim = np.random.default_rng(0).uniform(-1, 1, (20, 7)).astype(np.float32)
    expected = softmax(14.29 * sim.astype(np.float64), axis=1)
    np.testing.assert_allclose(weights(sim, "softmax", 14.29), expected, rtol=1e-5)


def test_softmax_does_not_overflow_at_a_huge_scale():
    found = weights(np.array([[1.0, 0.5, -1.0]]), "softmax", 1e6)
    np.testing.assert_array_equal(found, [[1, 0, 0]])


@pytest.mark.parametrize("kind", ["softmax", "similarity"])
def test_rows_sum_to_one_in_float32(kind):
    sim = np.random.default_rng(1).uniform(-1, 1, (300, 50))
    found = weights(sim, kind, 10.0)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)


def test_the_input_is_not_changed():
    sim = np.array([[-0.5, 0.5]])
    weights(sim, "similarity")
    np.testing.assert_array_equal(sim, [[-0.5, 0.5]])


def test_another_weighting_is_refused():
    with pytest.raises(InputError, match="softmax or similarity"):
        weights(np.ones((1, 2)), "mean")
