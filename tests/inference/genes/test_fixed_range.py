"""One range for several genes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from napari_umpire.errors import InputError
from napari_umpire.inference.genes.fixed_range import fixed_range
from napari_umpire.inference.genes.measured import Measured
from napari_umpire.inference.genes.table import GeneTable
from napari_umpire.progress import run


def measured_of(x):
    names = [f"G{i}" for i in range(x.shape[1])]
    genes = pd.DataFrame({"id": "", "symbol": names}, index=names)
    return Measured(sp.csc_matrix(x.astype(np.float32)), genes, np.full(len(x), 500))


def test_named_genes_are_pooled_over_both_sides(prediction):
    measured = measured_of(np.random.default_rng(0).gamma(2, 1, (25, 8)))
    table = GeneTable.build(prediction.genes, measured.genes)
    got = run(fixed_range(table, prediction, measured, ["G1", "G4", "nowhere"], "mine"))
    pool = np.concatenate(
        [f(g) for f in (prediction.gene_map, measured.column) for g in ("G1", "G4")]
    )
    assert got.high == pytest.approx(np.ceil(np.percentile(pool, 99) * 10) / 10)
    assert got.describe() == (
        f"Fixed scale, 0 to {got.high:.1f}: 99th percentile of predicted and measured values of "
        "the 2 genes of mine on this slide."
    )


def test_without_names_the_genes_that_vary_most_are_taken():
    x = np.random.default_rng(0).gamma(2, 1, (40, 90)) * np.r_[np.full(30, 0.1), np.ones(60)]
    measured = measured_of(x)
    table = GeneTable.build(None, measured.genes)
    got = run(fixed_range(table, None, measured))
    most = np.argsort(-x.std(0))[:50]
    assert set(got.genes) == {f"G{i}" for i in most}
    assert got.high == pytest.approx(np.ceil(np.percentile(x[:, most], 99) * 10) / 10)
    assert "50 genes that vary most, of 90 tried" in got.describe()


def test_rare_genes_get_their_largest_value_and_absent_ones_a_sentence():
    x = np.zeros((500, 3))
    x[7, 1] = 2.34
    measured = measured_of(x)
    table = GeneTable.build(None, measured.genes)
    assert run(fixed_range(table, None, measured)).high == pytest.approx(2.4)
    with pytest.raises(InputError, match="seen in no spot"):
        run(fixed_range(table, None, measured, ["G0"], "mine"))
    with pytest.raises(InputError, match="no gene"):
        run(fixed_range(table, None, None))
