"""Scores of gene lists, against loops over genes and spots."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy import stats

from napari_umpire.inference.genes.measured import Measured
from napari_umpire.inference.genes.signature import (
    Signature,
    score,
    signature_scores,
    values_of_genes,
)
from napari_umpire.inference.genes.table import GeneTable


def slow_score(values, kind):
    """Gene by gene, spot by spot."""
    columns, constant = [], 0
    for column in values.T.astype(float):
        there = np.isfinite(column)
        if kind == "z-score":
            if not there.any() or np.ptp(column[there]) == 0:
                constant += 1
                continue
            column = np.where(there, np.nan, column)
            column[there] = stats.zscore(values[:, len(columns) + constant][there].astype(float))
        columns.append(column)
    out = []
    for row in np.array(columns).T:
        seen = row[np.isfinite(row)]
        out.append(seen.mean() if len(seen) else np.nan)
    return np.array(out), len(columns), constant


@pytest.mark.parametrize("kind", ["mean", "z-score"])
@pytest.mark.parametrize("holes", [False, True])
def test_a_score_is_that_of_a_loop(kind, holes):
    rng = np.random.default_rng(2)
    values = rng.gamma(1, 2, (30, 7)).astype(np.float32)
    values[:, 3] = 1.7  # does not vary
    if holes:
        values[rng.random(values.shape) < 0.3] = np.nan
        values[4] = np.nan
    expected, n, constant = slow_score(values, kind)
    got = score(values, kind)
    np.testing.assert_allclose(got.values, expected, atol=2e-6)
    assert (got.n_genes, got.n_constant) == (n, constant)


def test_genes_that_do_not_vary_are_counted_and_left_out():
    values = np.column_stack([np.full(5, 2.0), np.arange(5.0), np.zeros(5)]).astype(np.float32)
    got = score(values, "z-score")
    np.testing.assert_allclose(got.values, stats.zscore(np.arange(5.0)), atol=1e-6)
    assert got.describe() == "1 of 3 genes (2 do not vary)"
    none = score(values[:, :1], "z-score")
    assert np.isnan(none.values).all()
    assert none.n_genes == 0


def test_many_maps_at_once_are_those_one_by_one(prediction):
    keys = [*prediction.genes.index[[0, 5, 31, 38, 45, 60]], "G0"]
    got = values_of_genes(prediction, keys)
    expected = np.stack([prediction.gene_map(key) for key in keys], axis=1)
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_a_gene_that_no_neighbour_measured_has_no_value(prediction, reference):
    from dataclasses import replace

    only_a = replace(prediction, indices=prediction.indices % 120)
    got = values_of_genes(only_a, ["G50", "G5"])
    assert np.isnan(got[:, 0]).all()
    np.testing.assert_allclose(got[:, 1], only_a.gene_map("G5"), atol=1e-5)


@pytest.fixture
def measured():
    rng = np.random.default_rng(9)
    x = rng.gamma(1, 1, (25, 6)) * (rng.random((25, 6)) < 0.6)
    names = ["G1", "G2", "G35", "M1", "M2", "G50"]
    genes = pd.DataFrame({"id": "", "symbol": names}, index=names)
    return Measured(sp.csc_matrix(x.astype(np.float32)), genes, np.full(25, 500))


@pytest.mark.parametrize("kind", ["mean", "z-score"])
def test_both_sides_and_the_difference_over_what_both_have(prediction, measured, kind):
    table = GeneTable.build(prediction.genes, measured.genes)
    signature = Signature("mine", ("G1", "G2", "G7", "M1"), kind)
    got = signature_scores(signature, table, prediction, measured)
    predicted = np.stack([prediction.gene_map(g) for g in ("G1", "G2", "G7")], axis=1)
    real = np.stack([measured.column(g) for g in ("G1", "G2", "M1")], axis=1)
    np.testing.assert_allclose(got["predicted"].values, slow_score(predicted, kind)[0], atol=1e-5)
    np.testing.assert_allclose(got["measured"].values, slow_score(real, kind)[0], atol=1e-5)
    both = slow_score(predicted[:, :2], kind)[0] - slow_score(real[:, :2], kind)[0]
    np.testing.assert_allclose(got["difference"].values, both, atol=1e-5)
    assert [got[k].n_genes for k in ("predicted", "measured", "difference")] == [3, 3, 2]
    assert got["predicted"].n_absent == 1
    assert got["difference"].n_absent == 2


def test_a_slide_with_one_side_has_one_score(prediction, measured):
    signature = Signature("mine", ("G1", "M1"))
    alone = signature_scores(signature, GeneTable.build(None, measured.genes), None, measured)
    assert set(alone) == {"measured"}
    elsewhere = Signature("mine", ("ZZZ",))
    assert (
        signature_scores(elsewhere, GeneTable.build(prediction.genes, None), prediction, None) == {}
    )


def test_names_and_units_say_what_it_is():
    assert Signature("her2", ("G1",)).unit == "mean log1p(CP10k)"
    z = Signature("her2", ("G1",), "z-score")
    assert z.unit == "mean z-score"
    assert z.key != Signature("her2", ("G1",)).key
