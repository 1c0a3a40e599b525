from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import pearsonr

from napari_umpire.inference.scores.metrics import (
    Protocol,
    Score,
    markdown_table,
    pcc_per_gene,
    score_fold,
    squared_error,
)


@pytest.fixture
def pair():
    rng = np.random.default_rng(0)
    truth = rng.gamma(1.0, 1.0, (80, 12)).astype(np.float32)
    return (truth * 0.5 + rng.normal(size=truth.shape)).astype(np.float32), truth


def test_pcc_is_that_of_scipy(pair):
    expected = [pearsonr(p, t).statistic for p, t in zip(pair[0].T, pair[1].T, strict=True)]
    np.testing.assert_allclose(pcc_per_gene(*pair), expected, rtol=1e-5)


def test_constant_genes_are_nan_in_truth_and_in_prediction(pair):
    prediction, truth = (array.copy() for array in pair)
    truth[:, 3] = 0
    prediction[:, 5] = 2.5 + 2e-8 * np.arange(80)  # rounding of float32, not variation
    found = pcc_per_gene(prediction, truth)
    assert np.flatnonzero(np.isnan(found)).tolist() == [3, 5]


def test_unmeasured_genes_have_no_correlation(pair):
    prediction, truth = (array.copy() for array in pair)
    prediction[4, 2] = np.nan
    assert np.isnan(pcc_per_gene(prediction, truth)[2])


def test_a_single_spot_has_no_correlation():
    assert np.isnan(pcc_per_gene(np.ones((1, 3)), np.ones((1, 3)))).all()


def test_different_shapes_are_an_error(pair):
    with pytest.raises(ValueError, match="same matrix shape"):
        pcc_per_gene(pair[0][:, :3], pair[1])


def test_constant_genes_are_counted_and_left_out_of_the_mean(pair):
    prediction, truth = (array.copy() for array in pair)
    truth[:, 0] = 1
    fold = score_fold("C2", prediction, truth)
    assert (fold.n_genes, fold.n_constant) == (12, 1)
    assert fold.mean == pytest.approx(np.nanmean(pcc_per_gene(prediction, truth)))


def test_a_score_is_the_mean_and_std_over_folds_with_its_protocol(pair):
    folds = tuple(
        score_fold(f"C{i}", pair[0][i * 20 :][:20], pair[1][i * 20 :][:20]) for i in (0, 1, 2)
    )
    score = Score("ours", Protocol("HEG50", ("C2", "C3")), folds)
    means = [fold.mean for fold in folds]
    assert score.mean == pytest.approx(np.mean(means))
    assert score.std == pytest.approx(np.std(means, ddof=1))
    frame = score.to_frame()
    assert list(frame["slide"]) == ["C0", "C1", "C2"]
    assert frame["protocol"].str.contains("HEG50 genes chosen on C2, C3").all()


def test_the_markdown_table_states_every_protocol(pair):
    fold = score_fold("C2", *pair)
    a = Score("ours", Protocol("HEG50"), (fold, fold))
    b = Score("ridge", Protocol("VAR50"), (fold, fold))
    lines = markdown_table([a, b]).splitlines()
    assert lines[0] == "| method | HEG50 | VAR50 |"
    assert lines[2].startswith("| ours | ")
    assert lines[2].endswith("|  |")
    assert sum("genes chosen on each fold's training slides" in line for line in lines) == 2


def test_a_score_without_folds_cannot_be_made():
    with pytest.raises(ValueError, match="at least one fold"):
        Score("ours", Protocol("HEG50"), ())


def test_squared_error_beside_the_training_mean(pair):
    prediction, truth = pair
    mean = truth.mean(axis=0)
    error = squared_error(truth + 0.1, truth, mean)
    assert error.model == pytest.approx(0.01, rel=1e-4)
    assert error.training_mean == pytest.approx(truth.astype(float).var(axis=0).mean(), rel=1e-5)
    assert squared_error(truth + 5, truth, mean).model > error.training_mean
