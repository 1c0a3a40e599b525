"""What a probe is made of: fits, the inputs of encoders, folds and panels of genes."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest


def test_adam_comes_to_the_logistic_regression_when_it_may():
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    from umpire_training.options.probe import FitOptions
    from umpire_training.stages.probe_fit import fit_linear

    rng = np.random.default_rng(0)
    codes = np.repeat([0, 1, 2], [150, 60, 90])
    x = rng.normal(size=(300, 5)) * [1, 5, 1, 0.1, 1] + np.eye(5)[codes] * 1.5
    for balanced in (False, True):
        options = FitOptions(lr=0.02, epochs=300, patience=None, batch_size=300, balanced=balanced)
        mine = fit_linear(x, codes, 4, "adam", options, 0)
        stock = LogisticRegression(
            C=1e6, class_weight="balanced" if balanced else None, max_iter=5000
        ).fit(StandardScaler().fit_transform(x), codes)
        wanted = stock.predict_proba(StandardScaler().fit_transform(x))
        np.testing.assert_allclose(mine.probability(x)[:, :3], wanted, atol=0.02)
        assert not mine.probability(x)[:, 3].any()  # a class that was not there


def test_patience_keeps_the_best_layer():
    from umpire_training.options.probe import FitOptions
    from umpire_training.stages.probe_fit import fit_linear

    rng = np.random.default_rng(1)
    x, codes = rng.normal(size=(120, 60)), rng.integers(0, 2, 120)  # nothing to learn
    patient = fit_linear(x, codes, 2, "adam", FitOptions(lr=0.05, epochs=200, patience=3), 0)
    greedy = fit_linear(x, codes, 2, "adam", FitOptions(lr=0.05, epochs=200, patience=None), 0)
    assert np.abs(patient.weight).sum() < 0.5 * np.abs(greedy.weight).sum()


@pytest.mark.parametrize("kind", ["mlp", "trans"])
def test_an_untrained_encoder_of_a_panel_keeps_its_statistics_alone(kind):
    import torch

    from napari_umpire.models.gene_mlp import GeneMLP, GeneMLPConfig
    from napari_umpire.models.value_transformer import ValueTransformer, ValueTransformerConfig
    from umpire_training.stages.probe_encoders import Encoder

    shape = {"n_genes": 5, "dim": 8, "panel": tuple("ABCDE")}
    module = (
        GeneMLP(GeneMLPConfig(hidden=(6,), **shape))
        if kind == "mlp"
        else ValueTransformer(ValueTransformerConfig(heads=2, feedforward=8, layers=1, **shape))
    )
    module.set_statistics(torch.arange(5.0), torch.arange(1.0, 6.0))
    fresh = Encoder(module, None, np.arange(5), 48, "none").untrained(seed=3).module
    for name, buffer in module.named_buffers():
        assert torch.equal(buffer, fresh.get_buffer(name)), name
    x = torch.rand(2, 5)
    assert not torch.allclose(module.eval().encode(x), fresh.encode(x))


def test_a_gene_that_a_section_did_not_measure_is_at_its_training_mean():
    import scipy.sparse as sp
    import torch

    from napari_umpire.genes import GeneVocabulary
    from napari_umpire.models.gene_mlp import GeneMLP, GeneMLPConfig
    from umpire_training.stages.probe_encoders import Encoder

    counts = sp.csr_matrix(np.array([[1, 2, 3, 4], [4, 0, 2, 2]], np.float32))
    genes = pd.DataFrame({"id": "", "symbol": list("WXYZ")}, index=list("WXYZ"))
    vocabulary = GeneVocabulary.from_counts([(counts, genes)], min_spots=1)
    module = GeneMLP(GeneMLPConfig(n_genes=3, hidden=(), dim=2))
    module.set_statistics(torch.tensor([7.0, 8.0, 9.0]), torch.ones(3))
    encoder = Encoder(module, vocabulary, vocabulary.map(genes).index[[3, 0, 1]], 48, "none")
    section = SimpleNamespace(name="S", counts=counts[:, :3], genes=genes.iloc[:3])
    seen = counts[:, :3].toarray()
    wanted = np.log1p(seen / seen.sum(axis=1, keepdims=True) * 1e4)
    np.testing.assert_allclose(
        encoder._inputs(section), np.column_stack([[7, 7], wanted[:, 0], wanted[:, 1]]), rtol=1e-5
    )


def test_random_folds_deal_each_class_out():
    from napari_umpire.inference.classes.folds import random_folds

    codes = np.repeat([0, 1], [50, 23])
    folds = random_folds(codes, 5, seed=3)
    held = np.concatenate([fold.test for fold in folds])
    assert sorted(held) == list(range(73))
    counts = np.array([np.bincount(codes[fold.test], minlength=2) for fold in folds])
    assert np.ptp(counts, axis=0).max() <= 1
    assert "This leaks" in folds.words


def test_a_panel_is_as_wide_in_each_fold_where_one_lacks_genes():
    import scipy.sparse as sp

    from napari_umpire.inference.classes.folds import random_folds
    from umpire_training.stages.probe_data import ProbeData

    codes = np.arange(20) % 2
    x = np.random.default_rng(0).random((20, 6)).astype(np.float32)
    folds = random_folds(codes, 2, seed=0)
    first = next(iter(folds))
    x[first.train, 4:] = 0  # two genes are found in the other fold's training spots only
    zeros = np.zeros(20, np.int64)
    data = ProbeData((), ("a", "b"), codes, zeros, zeros, ("s",), folds, ())
    data.__dict__["expression"] = sp.csr_matrix(x)
    for fold in folds:
        variance = x[fold.train].var(axis=0)
        expected = x[:, np.sort(np.argsort(-variance)[:4])]
        np.testing.assert_array_equal(data.panel(fold.train, 500), expected)


@pytest.mark.parametrize("c", [1.0, 0.003])
def test_the_row_of_positions_has_the_penalty_of_the_other_logistic_rows(c, tmp_path):
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import PolynomialFeatures, StandardScaler

    from napari_umpire.inference.classes.folds import random_folds
    from umpire_training.options.probe import FitOptions, ProbeControls, ProbeSettings
    from umpire_training.stages.probe import POSITION, probe_folds
    from umpire_training.stages.probe_data import ProbeData

    rng = np.random.default_rng(0)
    yx = rng.uniform(-1, 1, size=(200, 2))
    yx = (yx - yx.mean(axis=0)) / np.abs(yx - yx.mean(axis=0)).max()  # as wide as it is scaled to
    codes = (rng.random(200) < 1 / (1 + np.exp(-4 * yx[:, 0] * yx[:, 1] - 0.7))).astype(int)
    zeros = np.zeros(200, np.int64)
    folds = random_folds(codes, 2, seed=0)
    data = ProbeData(
        (SimpleNamespace(yx_um=yx),), ("a", "b"), codes, zeros, zeros, ("s",), folds, ()
    )
    settings = ProbeSettings(
        fit=FitOptions(kinds=["logistic"], c=c),
        controls=ProbeControls(expression_genes=0, mlp_genes=0, permutations=0),
    )
    found = probe_folds(data, lambda *_: {"genes": yx}, settings, folder=tmp_path, seed=0)
    x = PolynomialFeatures(3, include_bias=False).fit_transform(yx)
    for fold, result in zip(folds, found, strict=True):
        scale = StandardScaler().fit(x[fold.train])
        stock = LogisticRegression(C=c, max_iter=5000)
        stock.fit(scale.transform(x[fold.train]), codes[fold.train])
        expected = stock.predict(scale.transform(x[fold.test]))
        np.testing.assert_array_equal(result.said[POSITION], expected)
