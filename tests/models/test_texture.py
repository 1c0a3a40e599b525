from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from napari_umpire.errors import InputError
from napari_umpire.models.stain import UNMIXING, optical_density
from napari_umpire.models.texture import FilterBank, TextureEncoder
from napari_umpire.models.vision import create_vision_encoder
from napari_umpire.models.vision_config import VisionConfig


def tissue(n: int, side: int, seed: int = 0) -> np.ndarray:
    """Smooth blobs of two stains on glass, (n, side, side, 3) uint8."""
    rng = np.random.default_rng(seed)
    stains = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11]])
    amount = ndimage.gaussian_filter(rng.random((n, side, side, 2)), (0, 2, 2, 0))
    amount = np.clip((amount - 0.45) * 6, 0, None)
    noisy = 255 * 10 ** -(amount @ stains) + rng.normal(0, 3, (n, side, side, 3))
    return np.clip(noisy.round(), 0, 255).astype(np.uint8)


def expected_statistics(rgb: np.ndarray) -> np.ndarray:
    """The 93 numbers of one field (n, n, 3) of 0..255, by scipy."""
    od = -np.log10(np.clip((rgb + 1) / 256, 1e-3, 1.2))
    stains = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
    stains /= np.linalg.norm(stains, axis=1, keepdims=True)
    unmixed = od @ np.linalg.inv(stains)
    channels = [unmixed[..., 0], unmixed[..., 1], od.mean(axis=-1)]
    out = [*od.mean(axis=(0, 1)), *od.std(axis=(0, 1))]
    for x, (low, high) in zip(channels, ((-0.1, 0.9), (-0.1, 0.7), (0, 0.8)), strict=True):
        width = (high - low) / 9
        for centre in np.linspace(low, high, 10):
            out.append(np.maximum(0, 1 - np.abs(x - centre) / width).mean())
    off, sd = od - od.mean(axis=(0, 1)), od.std(axis=(0, 1)) + 1e-4
    out += [(off[..., a] * off[..., b]).mean() / sd[a] / sd[b] for a, b in ((0, 1), (0, 2), (1, 2))]
    for sigma in (1, 2, 4):
        how = {"mode": "mirror", "truncate": 3.0}
        length = [ndimage.gaussian_gradient_magnitude(x, sigma, **how) * sigma for x in channels]
        blobs = [ndimage.gaussian_laplace(x, sigma, **how) * sigma**2 for x in channels]
        out += [v.mean() for v in length] + [v.std() for v in length]
        out += [np.maximum(v, 0).mean() for v in blobs] + [np.maximum(-v, 0).mean() for v in blobs]
        out += [v.std() for v in blobs]
        out += [np.log(ndimage.gaussian_filter(x, sigma, **how).var() + 1e-5) for x in channels]
    return np.array(out)


def encode(pixels: np.ndarray) -> torch.Tensor:
    return TextureEncoder()(torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255)


def test_the_statistics_are_those_that_scipy_computes():
    pixels = tissue(2, 96)
    got = encode(pixels)
    assert got.shape == (2, 186)
    for row, patch in zip(got, pixels.astype(np.float64), strict=True):
        fields = patch[24:72, 24:72], patch.reshape(48, 2, 48, 2, 3).mean(axis=(1, 3))
        expected = np.concatenate([expected_statistics(field) for field in fields])
        np.testing.assert_allclose(row, expected, atol=2e-5, rtol=2e-4)


def test_unmixing_tells_the_stains_apart():
    pure = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11]])
    pure /= np.linalg.norm(pure, axis=1, keepdims=True)
    np.testing.assert_allclose(pure @ UNMIXING, np.eye(3)[:2], atol=1e-12)


def test_density_is_zero_at_white_and_finite_at_black():
    density = optical_density(torch.tensor([1.0, 127 / 255, 0.0]))
    np.testing.assert_allclose(density, [0, np.log10(2), np.log10(256)], rtol=1e-6)


def test_turning_and_flipping_change_nothing():
    pixels = tissue(1, 64)
    turned = np.concatenate([pixels, np.rot90(pixels, axes=(1, 2)), pixels[:, :, ::-1]])
    got = encode(np.ascontiguousarray(turned))
    torch.testing.assert_close(got, got[:1].expand(3, -1), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("value", [0, 255])
def test_a_blank_patch_is_finite(value):
    got = encode(np.full((1, 64, 64, 3), value, np.uint8))
    assert torch.isfinite(got).all()
    assert not got[0, 36:39].any()  # constant colours are not correlated


def test_it_is_fixed_and_registered_by_name(tmp_path):
    encoder = create_vision_encoder(VisionConfig("umpire-texture"))
    assert (encoder.dim, list(encoder.trunk.parameters())) == (186, [])
    assert encoder.state_dict() == {}
    pixels = torch.from_numpy(tissue(2, 224))
    alone = encoder(pixels)
    assert torch.equal(encoder(pixels[:1]), encoder(pixels[:1]))
    torch.testing.assert_close(encoder(pixels[:1]), alone[:1])
    assert not encoder(pixels.float() / 255).requires_grad
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(encoder(pixels), alone)


def test_it_tells_fine_from_coarse_texture():
    """The gradient of the finest scale sees small blobs, that of the coarsest large ones."""
    rng = np.random.default_rng(0)
    bank = FilterBank()
    noise = rng.normal(size=(2, 128, 128))
    fields = np.stack([ndimage.gaussian_filter(noise[0], 1), ndimage.gaussian_filter(noise[1], 5)])
    fields = 0.4 + 0.1 * fields / fields.std(axis=(1, 2), keepdims=True)
    got = bank(torch.from_numpy(fields).float()[:, None].expand(-1, 3, -1, -1))
    first, last = got[:, 39 + 2], got[:, 39 + 36 + 2]  # gradient of the mean density
    assert first[0] / last[0] > 2 * first[1] / last[1]


@pytest.mark.parametrize("shape", [(1, 3, 222, 222), (1, 3, 24, 24), (1, 3, 64, 32)])
def test_sizes_it_cannot_halve_are_refused(shape):
    with pytest.raises(InputError, match="multiple of 4 px"):
        TextureEncoder()(torch.zeros(shape))


def test_each_field_is_the_middle_of_the_patch_averaged():
    pixels = torch.rand(2, 3, 96, 96)
    got = TextureEncoder([[32, 1], [64, 2], [96, 6]])(pixels)
    bank = FilterBank()
    pooled = pixels.unfold(2, 6, 6).unfold(3, 6, 6).mean(dim=(4, 5))
    middle = pixels[:, :, 16:80, 16:80].unfold(2, 2, 2).unfold(3, 2, 2).mean(dim=(4, 5))
    want = [bank(optical_density(x)) for x in (pixels[:, :, 32:64, 32:64], middle, pooled)]
    torch.testing.assert_close(got, torch.cat(want, dim=1), rtol=1e-4, atol=1e-5)
    assert TextureEncoder([[32, 1]]).num_features == 93
    # Without fields: the middle half, and all of it at half the resolution.
    torch.testing.assert_close(
        TextureEncoder()(pixels), TextureEncoder([[48, 1], [96, 2]])(pixels), rtol=0, atol=0
    )


@pytest.mark.parametrize("fields", [[[112, 0]], [[112, 3]], [[20, 2]]])
def test_impossible_fields_are_refused(fields):
    with pytest.raises(InputError, match="cannot be taken of this field"):
        TextureEncoder(fields)


def test_a_patch_that_does_not_hold_the_fields_is_refused():
    with pytest.raises(InputError, match="vision.size_px to 96"):
        TextureEncoder([[32, 1], [96, 6]])(torch.zeros(1, 3, 64, 64))
