"""Checked counts and expression."""

from __future__ import annotations

import numpy as np
import pytest
import scanpy
import scipy.sparse as sp
from anndata import AnnData

from napari_umpire.errors import InputError
from napari_umpire.genes import check_counts, check_sparse
from napari_umpire.genes.normalise import expression

GENES, SPOTS = ["ERBB2", "PIBF1", "CD3E"], ["2x10", "3x11"]


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (-2.0, "is negative"),
        (np.nan, "is not a number"),
        (np.inf, "is infinite"),
        (-np.inf, "is infinite"),
        (0.5, "is not a whole number"),
    ],
)
@pytest.mark.parametrize("kind", [np.asarray, sp.csr_matrix, sp.csc_matrix, sp.csr_array])
def test_a_bad_count_is_refused_with_file_gene_and_spot(value, problem, kind):
    counts = np.array([[1.0, 0, 2], [0, value, 3]])
    with pytest.raises(InputError) as error:
        check_counts(kind(counts), genes=GENES, spots=SPOTS, where="C3.tsv.gz")
    text = str(error.value)
    assert f"A count in C3.tsv.gz {problem}: gene PIBF1 at spot 3x11" in text
    assert f"Got: {value}" in text


def test_several_bad_counts_are_counted_and_the_first_is_named():
    counts = np.array([[1.5, 0, 2.5], [0, 1, 3.25]])
    with pytest.raises(InputError, match=r"gene ERBB2 at spot 2x10 \(and 2 more\)"):
        check_counts(counts, genes=GENES, spots=SPOTS)


def test_without_names_the_numbers_are_named():
    with pytest.raises(InputError, match="gene column 2 at spot row 1"):
        check_counts(np.array([[0, 0, 0], [0, 0, -1]]))


def test_the_result_is_canonical_and_the_input_is_left_alone():
    counts = sp.csr_matrix(
        ([3.0, 0.0, 1.0, 2.0], np.array([2, 0, 1, 1]), np.array([0, 2, 4])), shape=(2, 3)
    )
    checked = check_counts(counts)
    assert checked.has_canonical_format
    assert checked.nnz == 2
    assert checked.toarray().tolist() == [[0, 0, 3], [0, 3, 0]]
    assert counts.nnz == 4


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float16, np.float32, np.float64])
def test_number_types(dtype):
    assert check_counts(np.eye(2, dtype=dtype)).toarray().tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize(
    ("counts", "names", "message"),
    [
        (np.array([["a", "b"]]), None, "are not numbers"),
        (np.ones(3), None, "are not a table"),
        (np.ones((2, 3)), ["A", "B"], "2 names.*Expected: 3"),
        (np.ones((2, 2)) * 1j, None, "are not numbers"),
    ],
    ids=["text", "one dimension", "fewer names", "complex"],
)
def test_what_is_no_count_table_is_refused(counts, names, message):
    with pytest.raises(InputError, match=message):
        check_counts(counts, genes=names, where="a.h5ad")


@pytest.mark.parametrize("kind", [sp.csr_matrix, sp.csc_array])
@pytest.mark.parametrize(
    ("part", "value"), [("indices", 10**6), ("indices", -1), ("indptr", 10**6), ("indptr", 0)]
)
def test_indices_that_point_outside_are_refused_before_they_are_followed(kind, part, value):
    counts = kind(np.arange(12.0).reshape(3, 4) + 1)
    getattr(counts, part)[2] = value
    for check in (check_counts, check_sparse):
        with pytest.raises(InputError, match=r"The counts in a\.h5 are damaged"):
            check(counts, where="a.h5")


def test_a_sound_matrix_of_any_kind_passes():
    for matrix in (None, np.ones((2, 2)), sp.coo_matrix(np.eye(2)), sp.csr_matrix((0, 5))):
        check_sparse(matrix, where="a.h5")


def test_expression_is_scanpys_log1p_of_cp10k():
    counts = np.random.default_rng(0).poisson(0.8, (30, 50)).astype(np.float32)
    peer = AnnData(counts.copy())
    scanpy.pp.normalize_total(peer, target_sum=1e4)
    scanpy.pp.log1p(peer)
    got = expression(sp.csr_matrix(counts))
    assert got.dtype == np.float32
    np.testing.assert_allclose(got.toarray(), peer.X, rtol=1e-5)


def test_an_empty_spot_has_no_expression():
    assert expression(np.array([[0, 0], [1, 0]])).toarray()[0].tolist() == [0, 0]


def test_expression_by_hand_sums_duplicates_and_leaves_the_counts():
    # 1 of 4 counts is 2,500 of 10,000, 3 of 4 is 7,500.
    counts = sp.csr_matrix((np.array([1, 2, 1]), np.array([0, 1, 1]), [0, 3]), shape=(1, 2))
    expected = [[np.float32(np.log1p(2500)), np.float32(np.log1p(7500))]]
    assert expression(counts).toarray().tolist() == expected
    assert counts.data.tolist() == [1, 2, 1]
