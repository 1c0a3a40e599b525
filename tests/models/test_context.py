from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_umpire.errors import InputError
from napari_umpire.models.context import ContextConfig, slide_context


@pytest.fixture
def features():
    return torch.randn(6, 4) * torch.tensor([1.0, 10, 0.1, 5]) + 3


def test_standardised_features_are_z_scores(features):
    x = features.numpy()
    expected = (x - x.mean(0)) / x.std(0)
    np.testing.assert_allclose(slide_context(features, standardise=True), expected, atol=1e-4)


def test_a_constant_feature_becomes_zero_and_an_outlier_is_cut(features):
    constant = features.clone()
    constant[:, 0] = 0.1 + 0.2
    assert not slide_context(constant, standardise=True)[:, 0].any()
    spike = torch.zeros(1000, 1)
    spike[0] = 1.0
    assert slide_context(spike, standardise=True).max() == 4


def test_neighbours_are_averaged_and_appended(features):
    neighbours = torch.tensor([[1, 2], [0, -1], [-1, -1], [3, 4], [5, 0], [4, 3]])
    wide = slide_context(features, neighbours)
    assert wide.shape == (6, 8)
    torch.testing.assert_close(wide[:, :4], features)
    torch.testing.assert_close(wide[0, 4:], (features[1] + features[2]) / 2)
    torch.testing.assert_close(wide[1, 4:], features[0])
    torch.testing.assert_close(wide[2, 4:], features[2])  # no neighbour: its own


def test_the_average_is_of_the_standardised_and_standardised_again(features):
    neighbours = torch.tensor([[1, 2], [0, -1], [-1, -1], [3, 4], [5, 0], [4, 3]])
    both = slide_context(features, neighbours, standardise=True)
    x = features.numpy()
    z = (x - x.mean(0)) / x.std(0)
    around = np.stack([(z[1] + z[2]) / 2, z[0], z[2], (z[3] + z[4]) / 2, (z[5] + z[0]) / 2,
                       (z[4] + z[3]) / 2])  # fmt: skip
    around = (around - around.mean(0)) / around.std(0)
    np.testing.assert_allclose(both, np.concatenate([z, around], axis=1), atol=1e-4)


def test_one_spot_has_no_slide_to_stand_out_from():
    assert not slide_context(torch.ones(1, 3), torch.tensor([[-1]]), standardise=True).any()


def test_gradients_reach_the_neighbours():
    features = torch.randn(3, 2, requires_grad=True)
    slide_context(features, torch.tensor([[1], [2], [-1]]))[0, 2:].sum().backward()
    assert features.grad.tolist() == [[0, 0], [1, 1], [0, 0]]


def test_wrong_sizes_are_refused(features):
    with pytest.raises(InputError, match="5 and 6"):
        slide_context(features, torch.zeros(5, 2, dtype=torch.long))
    with pytest.raises(InputError, match="neighbours -1"):
        ContextConfig(neighbours=-1)
    with pytest.raises(InputError, match="No spot has a neighbour"):
        ContextConfig(neighbours=8, reach=0.5)
    assert (ContextConfig().widening, ContextConfig(neighbours=8).widening) == (1, 2)


def test_a_card_says_which_spots_are_looked_at():
    assert ContextConfig().in_words() == "none: a spot's own patch"
    assert ContextConfig(48, True, 4.3).in_words() == (
        "up to 48 spots within 4.3 pitches, features standardised over the slide"
    )
