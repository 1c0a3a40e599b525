from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from napari_umpire.errors import InputError
from napari_umpire.models.gene_mlp import GeneMLP, GeneMLPConfig


@pytest.fixture
def model():
    model = GeneMLP(GeneMLPConfig(n_genes=5, hidden=(7,), dim=3))
    model.set_statistics(torch.tensor([1.0, 2, 3, 4, 5]), torch.tensor([1.0, 2, 0, 1, 1]))
    return model.eval()


def test_it_is_a_perceptron_on_z_scores(model):
    x = np.random.default_rng(0).normal(3, 2, (4, 5)).astype(np.float32)
    std = np.array([1, 2, 1, 1, 1])
    z = (x - [1, 2, 3, 4, 5]) / std * [1, 1, 0, 1, 1]  # a gene that never varied says nothing
    w = {k: v.numpy() for k, v in model.state_dict().items()}
    h = z @ w["layers.0.weight"].T + w["layers.0.bias"]
    h = h * 0.5 * (1 + np.vectorize(math.erf)(h / np.sqrt(2)))
    expected = h @ w["layers.3.weight"].T + w["layers.3.bias"]
    np.testing.assert_allclose(model.encode(torch.tensor(x)).detach(), expected, atol=1e-5)


def test_one_wild_gene_is_bounded(model):
    x = torch.full((2, 5), 3.0)
    x[0, 0], x[1, 0] = 11.0 + 1e6, 11.0
    torch.testing.assert_close(model.encode(x)[0], model.encode(x)[1])


def test_statistics_travel_with_the_weights(model):
    other = GeneMLP(model.config)
    other.load_state_dict(model.state_dict())
    assert other.mean.tolist() == [1, 2, 3, 4, 5]


def test_a_wrong_panel_is_refused(model):
    with pytest.raises(InputError, match=r"\(spots, 5\)"):
        model.encode(torch.zeros(2, 4))
    with pytest.raises(InputError, match="2 gene ids"):
        GeneMLPConfig(n_genes=3, panel=("A", "B"))


def test_without_hidden_layers_it_is_the_papers_linear_layer():
    model = GeneMLP(GeneMLPConfig(n_genes=1500, hidden=(), dim=20)).eval()
    assert sum(p.numel() for p in model.parameters()) == 1500 * 20 + 20
    x = torch.rand(3, 1500)
    w = model.state_dict()
    expected = x @ w["layers.0.weight"].T + w["layers.0.bias"]
    torch.testing.assert_close(model.encode(x), expected)  # the statistics start at 0 and 1
