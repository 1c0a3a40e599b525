from __future__ import annotations

import numpy as np
import pytest

from napari_umpire.inference.references import nearest
from napari_umpire.inference.references.nearest import top_k


def unit(rng, n, dim):
    x = rng.normal(size=(n, dim))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def brute_force(references, queries, k):
    """All products in float64, rounded to float32, a stable sort: ties by index."""
    scores = queries.astype(np.float64) @ references.astype(np.float64).T
    scores = scores.astype(np.float32)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(scores, order, axis=1)


@pytest.fixture
def small_chunks(monkeypatch):
    """Several chunks in both directions from little data."""
    monkeypatch.setattr(nearest, "_QUERY_ROWS", 7)
    monkeypatch.setattr(nearest, "_REFERENCE_ROWS", 61)


@pytest.mark.parametrize("k", [1, 10, 50, 400])
def test_equals_brute_force_across_chunks(small_chunks, k):
    rng = np.random.default_rng(0)
    references, queries = unit(rng, 400, 24), unit(rng, 23, 24)
    indices, similarity = top_k(references, queries, k)
    expected, scores = brute_force(references, queries, k)
    np.testing.assert_array_equal(indices, expected)
    np.testing.assert_array_equal(similarity, scores)
    assert (indices.dtype, similarity.dtype) == (np.int64, np.float32)


def test_equal_references_come_by_index(small_chunks):
    rng = np.random.default_rng(1)
    references = np.tile(unit(rng, 5, 16), (60, 1))  # each 60 times, over several chunks
    queries = unit(rng, 9, 16)
    indices, similarity = top_k(references, queries, 100)
    expected, scores = brute_force(references, queries, 100)
    np.testing.assert_array_equal(indices, expected)
    np.testing.assert_array_equal(similarity, scores)


def test_differences_below_the_rounding_of_float32_are_seen(small_chunks):
    rng = np.random.default_rng(2)
    base = unit(rng, 1, 32)
    # 300 references that differ in the last bits: float32 products order them at random.
    references = (base + rng.normal(scale=3e-8, size=(300, 32))).astype(np.float32)
    indices, similarity = top_k(references, base, 20)
    expected, scores = brute_force(references, base, 20)
    np.testing.assert_array_equal(similarity, scores)
    np.testing.assert_array_equal(indices, expected)


def test_the_result_does_not_depend_on_how_the_work_is_cut(monkeypatch):
    rng = np.random.default_rng(3)
    references, queries = unit(rng, 3000, 64), unit(rng, 40, 64)
    whole = top_k(references, queries, 30)
    monkeypatch.setattr(nearest, "_QUERY_ROWS", 3)
    monkeypatch.setattr(nearest, "_REFERENCE_ROWS", 701)
    for a, b in zip(whole, top_k(references, queries, 30), strict=True):
        np.testing.assert_array_equal(a, b)


def test_exact_where_matrix_products_are_cut_to_bfloat16(monkeypatch):
    import torch

    rng = np.random.default_rng(4)
    references, queries = unit(rng, 900, 32), unit(rng, 12, 32)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        indices, _ = top_k(references, queries, 15)
    finally:
        torch.set_float32_matmul_precision(before)
    np.testing.assert_array_equal(indices, brute_force(references, queries, 15)[0])


def test_more_asked_for_than_there_are():
    rng = np.random.default_rng(5)
    references, queries = unit(rng, 8, 4), unit(rng, 3, 4)
    indices, _ = top_k(references, queries, 50)
    np.testing.assert_array_equal(indices, brute_force(references, queries, 8)[0])


@pytest.mark.parametrize("keep", [1, 5, 20])
def test_the_best_of_groups_are_the_best_of_all(keep):
    import torch

    product = torch.from_numpy(np.random.default_rng(6).normal(size=(9, 64 * 4 * keep)))
    score, column = nearest._best(product, keep)
    expected = product.topk(keep, dim=1)
    np.testing.assert_array_equal(np.sort(score, axis=1)[:, ::-1], expected.values)
    np.testing.assert_array_equal(np.sort(column, axis=1), np.sort(expected.indices, axis=1))


def test_no_queries():
    indices, similarity = top_k(np.ones((3, 1), np.float32), np.empty((0, 1), np.float32), 2)
    assert indices.shape == similarity.shape == (0, 2)
