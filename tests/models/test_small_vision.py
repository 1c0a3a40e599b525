from __future__ import annotations

import pytest
import torch

from napari_umpire.errors import InputError
from napari_umpire.models.small_encoder import OpticalDensity, SmallEncoder
from napari_umpire.models.small_vision import SMALL_ENCODERS


@pytest.fixture
def tissue():
    """Patches with some white in them, as tissue has."""
    pixels = torch.rand(3, 3, 64, 64) * 0.5 + 0.3
    pixels[:, :, :10, :10] = 0.95
    return pixels


def test_density_is_minus_the_log_of_transmission():
    pixels = torch.full((1, 3, 4, 4), 0.5)
    pixels[0, 0] = 0.0
    density = OpticalDensity(balance=False)(pixels)
    torch.testing.assert_close(density[0, 1], torch.full((4, 4), 0.693147))
    torch.testing.assert_close(density[0, 0], torch.full((4, 4), 5.541264))  # ln 255


def test_a_tint_of_the_light_does_not_matter(tissue):
    tinted = tissue * torch.tensor([0.8, 0.95, 1.0]).view(1, 3, 1, 1)
    torch.testing.assert_close(OpticalDensity()(tinted), OpticalDensity()(tissue))
    encoder = SmallEncoder().eval()
    torch.testing.assert_close(encoder(tinted), encoder(tissue), atol=1e-4, rtol=1e-4)
    plain = SmallEncoder(balance=False).eval()
    assert not torch.allclose(plain(tinted), plain(tissue), atol=1e-3)


@pytest.mark.parametrize("size", [64, 75, 112])
@pytest.mark.parametrize("norm", ["batch", "group"])
@pytest.mark.parametrize(("pool", "dim"), [("mean", 256), ("mean+std", 512)])
def test_any_size_of_patch(size, norm, pool, dim):
    encoder = SmallEncoder(norm=norm, pool=pool)
    features = encoder(torch.rand(2, 3, size, size))
    assert features.shape == (2, dim)
    assert encoder.num_features == dim
    features.square().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in encoder.parameters())


def test_statistics_pooling(tissue):
    encoder = SmallEncoder(widths=(8, 16)).eval()
    inner = encoder.blocks(encoder.stem(encoder.density(tissue))).flatten(2)
    features = encoder(tissue)
    torch.testing.assert_close(features[:, :16], inner.mean(2))
    torch.testing.assert_close(features[:, 16:], inner.std(2, correction=0), atol=4e-3, rtol=0)


def test_a_blank_patch_is_finite():
    encoder = SmallEncoder(norm="group")
    features = encoder(torch.ones(2, 3, 64, 64))
    features.sum().backward()
    assert torch.isfinite(features).all()
    assert all(torch.isfinite(p.grad).all() for p in encoder.parameters())


def test_it_is_small():
    n = sum(p.numel() for p in SMALL_ENCODERS["umpire-small"]().parameters())
    assert 1_000_000 < n < 2_000_000


def test_it_tells_dense_from_sparse_tissue():
    torch.manual_seed(0)
    encoder = SmallEncoder(widths=(8, 16), norm="group")
    head = torch.nn.Linear(encoder.num_features, 1)
    optimiser = torch.optim.AdamW([*encoder.parameters(), *head.parameters()], lr=5e-3)

    def batch(seed):
        generator = torch.Generator().manual_seed(seed)
        dense = torch.arange(16) % 2
        share = torch.where(dense == 1, 0.2, 0.1).view(-1, 1, 1, 1)
        nuclei = torch.rand(16, 1, 32, 32, generator=generator) < share
        return torch.where(nuclei, torch.tensor([0.4, 0.3, 0.6]).view(1, 3, 1, 1), 0.9), dense

    for step in range(40):
        pixels, dense = batch(step)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(
            head(encoder(pixels))[:, 0], dense.float()
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    pixels, dense = batch(1000)
    assert ((head(encoder(pixels))[:, 0] > 0) == (dense == 1)).float().mean() > 0.9


def test_unknown_settings_are_refused():
    with pytest.raises(InputError, match="'layer'"):
        SmallEncoder(norm="layer")
