"""A fixed bank of colour and texture statistics, for data too small to train an encoder on."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_umpire.errors import InputError
from napari_umpire.models.stain import UNMIXING, optical_density

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["FIELD_STATISTICS", "FilterBank", "TextureEncoder"]

_SCALES_PX = (1.0, 2.0, 4.0)
_BINS = 10
# Densities that H&E takes: haematoxylin, eosin, mean of the three colours.
_RANGES = ((-0.1, 0.9), (-0.1, 0.7), (0.0, 0.8))
_PAIRS = ((0, 1), (0, 2), (1, 2))
_LEAST_SD = 1e-4
_LEAST_VARIANCE = 1e-5
_LEAST_SIDE_PX = 14
FIELD_STATISTICS = 6 + 3 * _BINS + len(_PAIRS) + 6 * 3 * len(_SCALES_PX)
"""Numbers that describe one field: 93."""


def _kernels(sigma: float) -> Tensor:
    """A Gaussian of ``sigma`` px and its first two derivatives, (3, 2 ceil(3 sigma) + 1).

    The derivatives are scaled by sigma and sigma^2, so that a blob answers alike at the scale that
    fits it (Lindeberg 1998).
    """
    radius = math.ceil(3 * sigma)
    x = torch.arange(-radius, radius + 1, dtype=torch.float64, device="cpu") / sigma
    gauss = torch.exp(-(x**2) / 2)
    gauss = gauss / gauss.sum()
    return torch.stack([gauss, x * gauss, (x**2 - 1) * gauss]).float()


def _matrices(kernels: Tensor, n: int) -> Tensor:
    """The filters as matrices, (3, n, n): row @ matrix is the row filtered, its ends mirrored.

    A dense product is faster than a convolution of single channels on a CPU, and on a GPU it stays
    float32, where a convolution is rounded to TF32.
    """
    radius = kernels.shape[1] // 2
    unit = F.pad(torch.eye(n, device=kernels.device)[:, None], (radius, radius), mode="reflect")
    return unit.unfold(2, 2 * radius + 1, 1).squeeze(1).matmul(kernels.T).permute(2, 0, 1)


def _mean_sd(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation over the pixels of (B, C, H, W), each (B, C)."""
    flat = x.flatten(2)
    return flat.mean(dim=2), flat.std(dim=2, correction=0)


class FilterBank(nn.Module):
    """(B, 3, n, n) optical density -> (B, 93) statistics, in this order.

    Means and standard deviations of the three densities (6). Soft histograms, 10 triangular bins
    each, of haematoxylin, eosin and mean density (30). Correlations of the densities, red-green,
    red-blue, green-blue (3). For each sigma of 1, 2, 4 px, each for haematoxylin, eosin, mean
    density: mean and standard deviation of the gradient's length; mean of the positive and of the
    negative part of the Laplacian of Gaussian, and its standard deviation; log of the variance of
    the smoothed field (54). Borders are mirrored. None changes when a patch is turned or flipped.
    """

    unmixing: Tensor

    def __init__(self) -> None:
        super().__init__()
        # Not in the state dict, so they need their values where a model is built without storage.
        unmixing = torch.tensor(UNMIXING[:, :2], dtype=torch.float32, device="cpu")
        self.register_buffer("unmixing", unmixing, persistent=False)
        for i, sigma in enumerate(_SCALES_PX):
            self.register_buffer(f"kernels{i}", _kernels(sigma), persistent=False)

    def forward(self, density: Tensor) -> Tensor:
        """(B, 3, n, n) -> (B, 93); n of at least 13."""
        mean, sd = _mean_sd(density)
        stains = torch.einsum("bchw,cs->bshw", density, self.unmixing)
        x = torch.cat([stains, density.mean(dim=1, keepdim=True)], dim=1)
        parts = [mean, sd, *_histograms(x), _correlations(density, mean, sd)]
        for i in range(len(_SCALES_PX)):
            parts += self._textures(x, getattr(self, f"kernels{i}"))
        return torch.cat(parts, dim=1)

    @staticmethod
    def _textures(x: Tensor, kernels: Tensor) -> Iterator[Tensor]:
        smooth, first, second = _matrices(kernels, x.shape[-1])
        across = x @ smooth
        down = smooth.T @ across
        length = torch.hypot(first.T @ across, smooth.T @ (x @ first))
        blobs = second.T @ across + smooth.T @ (x @ second)
        yield from _mean_sd(length)
        yield blobs.clamp(min=0).mean(dim=(2, 3))
        yield (-blobs).clamp(min=0).mean(dim=(2, 3))
        yield _mean_sd(blobs)[1]
        yield (down.flatten(2).var(dim=2, correction=0) + _LEAST_VARIANCE).log()


def _histograms(x: Tensor) -> Iterator[Tensor]:
    """Mean of max(0, 1 - |value - centre| / spacing), (B, 10) for each of the three channels."""
    for channel, (low, high) in enumerate(_RANGES):
        # In units of bins: bin k takes what lies within 1 of k.
        place = (x[:, channel].flatten(1) - low) * ((_BINS - 1) / (high - low))
        bins = [(1 - (place - k).abs()).clamp(min=0).mean(dim=1) for k in range(_BINS)]
        yield torch.stack(bins, dim=1)


def _correlations(density: Tensor, mean: Tensor, sd: Tensor) -> Tensor:
    """(B, 3); 0 where a channel is constant."""
    off = density - mean[:, :, None, None]
    sd = sd + _LEAST_SD
    return torch.stack(
        [(off[:, a] * off[:, b]).mean(dim=(1, 2)) / (sd[:, a] * sd[:, b]) for a, b in _PAIRS], dim=1
    )


class TextureEncoder(nn.Module):
    """Fields of one patch, each through the `FilterBank`: (B, 93 fields), with nothing to train.

    It expects patches whose background is white (``VisionConfig.white_balance``). Always in
    float32.

    Parameters
    ----------
    fields
        Of each field, the side of the middle of the patch that it shows, px, and by how many px
        squared that is averaged: ``((112, 1), (224, 2), (672, 6))`` looks at a patch of 672 px at
        three scales, each 112 px in the end. None: the middle half of the patch as it is, and the
        whole patch averaged over 2 x 2 px.
    """

    def __init__(self, fields: Sequence[tuple[int, int]] | None = None) -> None:
        super().__init__()
        self.bank = FilterBank()
        self.fields = None if fields is None else tuple((int(a), int(b)) for a, b in fields)
        for side, step in self.fields or ():
            if step < 1 or side % step or side // step < _LEAST_SIDE_PX:
                raise InputError(
                    "The texture statistics cannot be taken of this field",
                    got=f"{side} px, averaged over {step} px",
                    expected=f"a side that divides so, with {_LEAST_SIDE_PX} px left or more",
                    fix="Set vision.kwargs.fields to pairs such as [112, 1], [224, 2]",
                )
        self.num_features = FIELD_STATISTICS * (2 if self.fields is None else len(self.fields))

    @torch.no_grad()
    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, H) in 0..1 -> (B, 186), or 93 for each of ``fields``.

        Without ``fields``, H is a multiple of 4 and at least 28.
        """
        side = pixels.shape[-1]
        fields = self.fields or ((side // 2, 1), (side, 2))
        widest = max(field for field, _ in fields)
        odd = any((side - field) % 2 for field, _ in fields)
        small = self.fields is None and (side % 4 or side < 2 * _LEAST_SIDE_PX)
        if odd or small or widest > side or pixels.shape[-2] != side:
            least = f"{widest} px or more" if self.fields else "a multiple of 4 px, 28 or more"
            raise InputError(
                "The texture statistics cannot be taken of such patches",
                got=f"{pixels.shape[-2]} x {side} px",
                expected=f"square patches of {least}, the fields in their middle",
                fix=f"Set vision.size_px to {widest if self.fields else 224}",
            )
        with torch.autocast(pixels.device.type, enabled=False):
            pixels = pixels.float()
            found = []
            for field, step in fields:
                edge = (side - field) // 2
                part = pixels[:, :, edge : side - edge, edge : side - edge]
                if step > 1:
                    part = F.avg_pool2d(part, step)
                found.append(self.bank(optical_density(part)))
            return torch.cat(found, dim=1)
