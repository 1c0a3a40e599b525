from __future__ import annotations

import math

import pytest
import torch

from napari_umpire.errors import InputError
from napari_umpire.models.statistics_net import SoftHistogram, StatisticsEncoder
from napari_umpire.models.vision import create_vision_encoder
from napari_umpire.models.vision_config import VisionConfig


@pytest.fixture
def pixels():
    return torch.rand(4, 3, 64, 64) * 0.6 + 0.3


def test_the_defaults_are_242_numbers_and_few_parameters():
    encoder = StatisticsEncoder()
    assert encoder.num_features == 242
    assert encoder(torch.rand(2, 3, 224, 224)).shape == (2, 242)
    # convolutions, scale and shift of their norms, stain mixing, histogram
    expected = 3 * 16 * 25 + 16 * 32 * 9 + 32 * 48 * 9 + 2 * 96 + 6 + 45
    assert sum(p.numel() for p in encoder.parameters()) == expected


def test_features_are_means_and_spreads_of_colours_and_maps(pixels):
    encoder = StatisticsEncoder(widths=(6, 4), bins=3, downsample=2)
    encoder(pixels)  # running statistics move off their start
    encoder.eval()
    got = encoder(pixels)
    small = pixels.reshape(4, 3, 32, 2, 32, 2).mean(dim=(3, 5))
    od = -((small * 255 + 1) / 256).log10()
    mixed = torch.stack([(od * w.view(1, 3, 1, 1)).sum(dim=1) for w in encoder.mixing], dim=1)
    colours = torch.cat([od, mixed], dim=1)
    torch.testing.assert_close(got[:, :5], colours.mean(dim=(2, 3)))
    torch.testing.assert_close(got[:, 5:10], colours.std(dim=(2, 3)), atol=1e-3, rtol=0.02)
    first = encoder.levels[0](od)
    second = encoder.levels[1](torch.nn.functional.avg_pool2d(first, 2))
    torch.testing.assert_close(got[:, 25:31], first.mean(dim=(2, 3)))
    torch.testing.assert_close(got[:, 37:41], second.mean(dim=(2, 3)))
    spread = second.std(dim=(2, 3), correction=0)
    torch.testing.assert_close(got[:, 41:45], (spread**2 + 1e-5).sqrt())


def test_the_mixtures_begin_as_haematoxylin_and_eosin():
    encoder = StatisticsEncoder(downsample=1).eval()
    stains = torch.tensor([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11]])
    stains = stains / stains.norm(dim=1, keepdim=True)
    pure = (256 * 10 ** (-0.5 * stains) - 1) / 255
    got = encoder(pure[:, :, None, None].expand(2, 3, 64, 64))
    torch.testing.assert_close(got[:, 3:5], torch.eye(2) * 0.5, atol=1e-5, rtol=0)


def test_soft_histogram():
    histogram = SoftHistogram(2, 8)
    z = torch.tensor([-1.5, 2.5]).view(1, 2, 1, 1).expand(1, 2, 4, 4)
    got = histogram(z).view(2, 8)
    assert (got.argmax(dim=1).tolist(), got[0, 0].item(), got[1, 7].item()) == ([0, 7], 1, 1)
    step = (4 / 7) / math.exp(-0.3)
    assert got[0, 1].item() == pytest.approx(math.exp(-(step**2) / 2), rel=1e-5)


def test_evaluation_does_not_depend_on_the_batch(pixels):
    encoder = StatisticsEncoder()
    encoder(pixels)
    encoder.eval()
    together = encoder(pixels)
    alone = torch.cat([encoder(patch[None]) for patch in pixels])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


def test_the_middle_alone_is_looked_at(pixels):
    encoder = StatisticsEncoder(crop_px=16).eval()
    changed = pixels.clone()
    changed[:, :, :16] = 0.1
    assert torch.equal(encoder(pixels), encoder(changed))
    changed[:, :, 30] = 0.1
    assert not torch.allclose(encoder(pixels), encoder(changed))
    same = StatisticsEncoder().eval()
    same.load_state_dict(encoder.state_dict())
    torch.testing.assert_close(encoder(pixels), same(pixels[:, :, 16:48, 16:48]))


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_blank_patch_is_finite(value):
    encoder = StatisticsEncoder()
    features = encoder(torch.full((2, 3, 64, 64), value))
    features.sum().backward()
    assert torch.isfinite(features).all()
    assert all(torch.isfinite(p.grad).all() for p in encoder.parameters())


def test_they_are_registered_by_name():
    config = VisionConfig("umpire-statistics", 64, kwargs={"bins": 0, "crop_px": 24})
    encoder = create_vision_encoder(config).eval()
    pixels = torch.zeros(1, 64, 64, 3, dtype=torch.uint8)
    assert encoder(pixels).shape == (1, encoder.dim) == (1, 202)


@pytest.mark.parametrize(
    ("settings", "side", "words"),
    [
        ({"crop_px": 64}, 64, "32 x 32 px after downsampling by 2, of which 64"),
        ({}, 14, "at least 8 px"),
    ],
)
def test_patches_too_small_are_refused(settings, side, words):
    with pytest.raises(InputError, match=words):
        StatisticsEncoder(**settings)(torch.zeros(1, 3, side, side))


@pytest.mark.parametrize("settings", [{"widths": ()}, {"bins": -1}, {"downsample": 0}])
def test_impossible_settings_are_refused(settings):
    with pytest.raises(InputError, match="Impossible settings"):
        StatisticsEncoder(**settings)
