from __future__ import annotations

import pytest
import torch

from napari_umpire.errors import InputError
from napari_umpire.models import VisionConfig, create_vision_encoder
from napari_umpire.models.hybrid import CentreEncoder, HybridEncoder
from napari_umpire.models.texture import TextureEncoder


@pytest.fixture
def pixels():
    return torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def test_a_hybrid_is_both_and_trains_the_learned_part(pixels):
    hybrid = HybridEncoder(widths=(8, 8)).eval()
    got = hybrid(pixels)
    assert got.shape == (4, hybrid.num_features) == (4, 186 + 16)
    torch.testing.assert_close(got[:, :186], TextureEncoder()(pixels))
    torch.testing.assert_close(got[:, 186:], hybrid.learned(pixels))
    hybrid.train()(pixels).square().sum().backward()
    assert all(name.startswith("learned.") for name, _ in hybrid.named_parameters())
    assert all(torch.isfinite(p.grad).all() and p.grad.any() for p in hybrid.parameters())


def test_features_do_not_depend_on_the_batch(pixels):
    hybrid = HybridEncoder(widths=(8, 8))
    hybrid(pixels)
    hybrid.eval()
    alone = torch.cat([hybrid(patch[None]) for patch in pixels])
    torch.testing.assert_close(hybrid(pixels), alone, atol=1e-5, rtol=1e-5)


def test_the_learned_part_sees_the_middle_alone(pixels):
    encoder = CentreEncoder((8, 8), "batch", "mean+std", crop_px=32, downsample=2).eval()
    changed = pixels.clone()
    changed[:, :, :16] = 0.1
    assert torch.equal(encoder(pixels), encoder(changed))
    changed[:, :, 30] = 0.1
    assert not torch.allclose(encoder(pixels), encoder(changed))
    assert torch.equal(encoder(encoder.middle(pixels)), encoder(pixels))
    assert torch.equal(encoder.middle(pixels), pixels[:, :, 16:48, 16:48])


@pytest.mark.parametrize("kwargs", [{"crop_px": 8}, {"downsample": 0}])
def test_a_learned_part_without_tissue_is_refused(kwargs):
    with pytest.raises(InputError, match="no tissue"):
        HybridEncoder(**kwargs)


def test_a_patch_smaller_than_the_crop_is_refused(pixels):
    with pytest.raises(InputError, match="64 x 64 px"):
        HybridEncoder(crop_px=128)(pixels)


def test_it_is_registered_by_name():
    config = VisionConfig("umpire-hybrid", 64, kwargs={"widths": (8, 16), "crop_px": 32})
    encoder = create_vision_encoder(config).eval()
    pixels = torch.zeros(1, 64, 64, 3, dtype=torch.uint8)
    assert encoder(pixels).shape == (1, encoder.dim) == (1, 186 + 32)
