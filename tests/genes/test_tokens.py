"""Rank tokens against a brute-force sort in exact fractions, and against scipy's lexsort."""

from __future__ import annotations

import builtins
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_umpire.errors import InputError, UmpireWarning
from napari_umpire.genes import rank_tokens, rank_tokens_reference
from napari_umpire.genes.tokens import FIRST_GENE_ID, MAX_GENES, PAD_ID, divisors

BOTH = pytest.mark.parametrize("rank", [rank_tokens, rank_tokens_reference], ids=["numba", "numpy"])


def brute_force(counts, divisor, length):
    """All genes of each spot by value descending, index ascending (lexsort: last key first)."""
    dense = np.asarray(counts.todense(), np.float64)
    out = np.full((dense.shape[0], length), PAD_ID)
    for row, count in enumerate(dense):
        order = np.lexsort((np.arange(count.size), -(count / divisor)))
        order = [g for g in order if count[g] > 0][:length]
        out[row, : len(order)] = np.array(order, int) + 30
    return out


@BOTH
def test_the_order_is_that_of_exact_fractions(rank):
    # Thirds and sevenths are no binary numbers; exact fractions are an oracle without rounding.
    counts = [5, 0, 2, 9, 1, 4, 3, 7]
    means = [3, 2, 1, 6, 7, 2, 1, 5]
    value = [Fraction(c, m) for c, m in zip(counts, means, strict=True)]
    expected = sorted((g for g in range(8) if counts[g]), key=lambda g: (-value[g], g))
    tokens = rank(sp.csr_matrix([counts]), np.array(means, float), length=10)
    assert tokens.tolist() == [[g + 30 for g in expected] + [1, 1, 1]]
    assert tokens.dtype == np.uint16


@BOTH
@settings(max_examples=150, deadline=None, database=None)
@given(
    counts=hnp.arrays(
        np.int64, st.tuples(st.integers(1, 4), st.integers(1, 60)), elements=st.integers(0, 5)
    ),
    data=st.data(),
)
def test_any_counts_and_means(rank, counts, data):
    n_genes = counts.shape[1]
    means = data.draw(
        hnp.arrays(
            np.float64,
            n_genes,
            elements=st.one_of(st.sampled_from([0.0, np.nan, 1.0, 1.5, 2.0]), st.floats(1e-6, 1e6)),
        )
    )
    length = data.draw(st.integers(1, 70))
    rounding = data.draw(st.sampled_from(["none", "published"]))
    tokens = rank(sp.csr_matrix(counts), means, length=length, rounding=rounding)
    with np.errstate(invalid="ignore"):
        mean = np.floor(means + 0.5) if rounding == "published" else means
    divisor = np.where((mean > 0), mean, 1.0)
    assert np.array_equal(tokens, brute_force(sp.csr_matrix(counts), divisor, length))


@BOTH
@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float32, np.float64])
@pytest.mark.parametrize("rounding", ["none", "published"])
def test_visium_like_counts(rank, dtype, rounding):
    rng = np.random.default_rng(1)
    counts = sp.csr_matrix(rng.poisson(rng.lognormal(-1.5, 1.5, (20, 5000))).clip(0, 255))
    means = 1 + rng.gamma(0.5, 2, 5000)
    tokens = rank(counts.astype(dtype), means, length=600, rounding=rounding)
    divisor = np.floor(means + 0.5) if rounding == "published" else means
    assert np.array_equal(tokens, brute_force(counts, divisor, 600))


def test_means_that_crowd_together_take_the_other_path_to_the_same_order():
    # All values of a spot in one bin of the kernel, each different, falling with the index so that
    # insertion would move every gene past every other.
    n = 4000
    means = 1.0 + np.arange(n, 0, -1) * 1e-9
    counts = sp.csr_matrix(np.ones((3, n)))
    from napari_umpire.genes._rank_kernel import rank_rows

    crowded = np.zeros(3, bool)
    out = np.ones((3, n), np.uint16)
    rank_rows(counts.data, counts.indices, counts.indptr, means, 30, out, crowded)
    assert crowded.all()
    assert np.array_equal(rank_tokens(counts, means, length=n), brute_force(counts, means, n))


@BOTH
def test_values_of_any_size_share_no_bin_by_mistake(rank):
    # From below to above the 32 octaves of the kernel's bins.
    means = np.array([1e-12, 1e9, 1e-3, 1.0, 1e12, 5e-324, 1e30])
    counts = sp.csr_matrix([[1, 3, 2, 9, 1, 0, 4], [0, 1, 0, 0, 2, 0, 1]])
    assert np.array_equal(rank(counts, means, length=7), brute_force(counts, means, 7))


@BOTH
def test_stored_order_duplicates_and_explicit_zeros_do_not_matter(rank):
    rng = np.random.default_rng(2)
    plain = sp.csr_matrix(rng.poisson(1.0, (5, 40)).astype(np.float64))
    means = rng.uniform(1, 3, 40)
    shuffled = plain.copy()
    for row in range(5):
        part = slice(shuffled.indptr[row], shuffled.indptr[row + 1])
        order = rng.permutation(part.stop - part.start)
        shuffled.indices[part] = shuffled.indices[part][order]
        shuffled.data[part] = shuffled.data[part][order]
    shuffled.has_sorted_indices = shuffled.has_canonical_format = False
    coo = plain.tocoo()
    ones = np.repeat(np.arange(coo.nnz), coo.data.astype(int))
    zero = (np.array([0, 1]), np.array([3, 7]))
    parts = sp.csr_matrix(
        (
            np.concatenate([np.ones(ones.size), [0.0, 0.0]]),
            (np.concatenate([coo.row[ones], zero[0]]), np.concatenate([coo.col[ones], zero[1]])),
        ),
        shape=plain.shape,
    )
    zeros = plain.copy()
    zeros.data[::7] = 0.0
    without = zeros.copy()
    without.eliminate_zeros()
    before = shuffled.indices.copy()
    expected = brute_force(plain, means, 40)
    assert np.array_equal(rank(shuffled, means, length=40), expected)
    assert np.array_equal(shuffled.indices, before), "the caller's matrix was changed"
    assert np.array_equal(rank(parts, means, length=40), expected)
    assert np.array_equal(rank(zeros, means, length=40), rank(without, means, length=40))


@BOTH
@pytest.mark.parametrize("shape", [(0, 7), (3, 7)], ids=["no spots", "empty spots"])
def test_nothing_seen_is_all_padding(rank, shape):
    tokens = rank(sp.csr_matrix(shape), np.ones(7), length=4)
    assert tokens.shape == (shape[0], 4)
    assert np.all(tokens == PAD_ID)


@BOTH
def test_scaling_a_spot_keeps_its_tokens_and_a_gene_id_is_its_column_plus_30(rank):
    counts = sp.csr_matrix([[1, 2, 4], [3, 6, 12]])
    tokens = rank(counts, [1.0, 1.5, np.nan], length=3)
    assert tokens.tolist() == [[32, 31, 30], [32, 31, 30]]
    assert FIRST_GENE_ID == 30


def test_published_rounding_is_half_up_and_at_least_one():
    # By hand from the authors' rule: .5 goes up (numpy's round would give 2 for 2.5).
    means = [0.2, 0.5, 1.49, 1.5, 2.5, np.nan, 0.0]
    assert divisors(means, "published").tolist() == [1, 1, 1, 2, 3, 1, 1]
    assert divisors(means, "none").tolist() == [0.2, 0.5, 1.49, 1.5, 2.5, 1, 1]


@BOTH
@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf], ids=["negative", "nan", "infinite"])
def test_a_count_that_cannot_be_ranked_names_gene_and_spot(rank, value):
    counts = sp.csr_matrix(np.ones((4, 6)))
    counts[2, 5] = value
    with pytest.raises(InputError, match=r"gene 5 at spot 2 .*Got: (-1.0|nan|inf)"):
        rank(counts, np.ones(6))


@BOTH
@pytest.mark.parametrize(
    ("columns", "means", "options", "message"),
    [
        (6, np.ones(5), {}, "6 columns and 5 means"),
        (6, -np.ones(6), {}, "6 negative"),
        (6, np.full(6, np.inf), {}, "6 infinite"),
        (6, np.ones((2, 3)), {}, r"shape \(2, 3\)"),
        (6, np.ones(6), {"length": 0}, "at least 1"),
        (6, np.ones(6), {"rounding": "up"}, "Got: up"),
        (MAX_GENES + 1, np.ones(MAX_GENES + 1), {}, "65,507 genes.*at most 65,506"),
    ],
    ids=["fewer means", "negative mean", "infinite mean", "table", "length", "rounding", "large"],
)
def test_unusable_arguments_are_refused(rank, columns, means, options, message):
    with pytest.raises(InputError, match=message):
        rank(sp.csr_matrix((2, columns)), means, **options)


@BOTH
def test_the_largest_vocabulary_fits(rank):
    counts = sp.csr_matrix(([1.0], ([0], [MAX_GENES - 1])), shape=(1, MAX_GENES))
    assert rank(counts, np.ones(MAX_GENES), length=2).tolist() == [[65535, PAD_ID]]


def test_without_numba_tokens_are_the_same_and_it_is_said(monkeypatch):
    real = builtins.__import__

    def no_numba(name, *args, **kwargs):
        if name == "numba":
            raise ImportError("Numba needs an older numpy")
        return real(name, *args, **kwargs)

    for module in ("napari_umpire.genes._rank_kernel", "napari_umpire.compiled"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setattr(builtins, "__import__", no_numba)
    with pytest.warns(UmpireWarning, match="slower numpy path"):
        tokens = rank_tokens(sp.csr_matrix([[1, 2, 3]]), np.ones(3), length=3)
    assert tokens.tolist() == [[32, 31, 30]]


@pytest.mark.slow
def test_a_read_only_install_without_a_home_still_compiles(tmp_path):
    code = (
        "import sys, numba.core.caching as c\n"
        "for locator in c.CacheImpl._locator_classes: locator.from_function = lambda *a: None\n"
        "import numpy as np, scipy.sparse as sp\n"
        "from napari_umpire.genes import rank_tokens\n"
        "print(rank_tokens(sp.csr_matrix([[1, 2]]), np.ones(2), length=2).tolist())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[[31, 30]]"


def test_constants_need_no_numba():
    code = (
        "import sys; from napari_umpire.genes import PAD_ID, GeneVocabulary, check_counts\n"
        "print([m for m in ('numba', 'torch', 'anndata', 'h5py') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
