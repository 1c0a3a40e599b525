"""Changes of a batch of patches while training, on tensors where the model runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from napari_umpire.models.stain import STAINS

if TYPE_CHECKING:
    from umpire_training.options import AugmentOptions

__all__ = ["augment", "dihedral", "stain_jitter"]


def augment(pixels: Tensor, options: AugmentOptions) -> Tensor:
    """Apply what ``options`` asks for; (B, 3, H, W) uint8 in and out, H = W for `dihedral`."""
    if options.dihedral:
        pixels = dihedral(pixels)
    if options.stain > 0:
        pixels = stain_jitter(pixels, options.stain)
    return pixels


def dihedral(pixels: Tensor) -> Tensor:
    """Each patch flipped and turned into one of its eight symmetries at random."""
    which = torch.randint(0, 8, (len(pixels),), device=pixels.device)
    out = torch.empty_like(pixels)
    for symmetry in range(8):
        rows = which == symmetry
        part = torch.rot90(pixels[rows], symmetry % 4, dims=(2, 3))
        out[rows] = part.flip(3) if symmetry >= 4 else part
    return out


def stain_jitter(pixels: Tensor, strength: float) -> Tensor:
    """Each patch's stains made stronger or weaker at random (HED jitter).

    The optical density is split into haematoxylin, eosin and the rest; each is multiplied by a
    factor of 1 +- ``strength`` and shifted by +- ``strength`` / 10.
    """
    b = len(pixels)
    rgb_from_hed = torch.tensor(STAINS, dtype=torch.float32, device=pixels.device)
    density = -torch.log10((pixels.float() + 1.0) / 256.0)
    hed = _mix(density, torch.linalg.inv(rgb_from_hed))
    factor = 1.0 + strength * _uniform(b, pixels)
    hed = hed * factor + 0.1 * strength * _uniform(b, pixels)
    density = _mix(hed, rgb_from_hed)
    return (256.0 * 10.0 ** (-density) - 1.0).round().clamp(0, 255).to(torch.uint8)


def _mix(pixels: Tensor, matrix: Tensor) -> Tensor:
    """Each pixel's three numbers times ``matrix`` (3, 3), as rows."""
    return F.conv2d(pixels, matrix.T[:, :, None, None])


def _uniform(b: int, like: Tensor) -> Tensor:
    """Uniform in -1..1, one per patch and stain, (B, 3, 1, 1)."""
    return 2.0 * torch.rand((b, 3, 1, 1), device=like.device) - 1.0
