"""A small network that describes a patch by statistics of learned maps, and its union with texture.

Pooling means and spreads of every level, rather than the last alone, leaves little to learn, which
suits a few thousand spots (after the orderless texture descriptors of Cimpoi et al. 2015).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_umpire.errors import InputError
from napari_umpire.models.stain import UNMIXING, optical_density

__all__ = ["StatisticsEncoder"]

_COLOURS = 5
_LEAST_VARIANCE = 1e-5
# Bins lie at these z-scores; tissue reaches further above its mean density than below.
_FIRST_BIN, _LAST_BIN, _LOG_WIDTH = -1.5, 2.5, -0.3
_POOL_PX = 4


def _mean_sd(x: Tensor) -> list[Tensor]:
    """Mean and standard deviation over the pixels of (B, C, H, W), each (B, C)."""
    flat = x.flatten(2).float()
    # The constant keeps the gradient finite where a channel does not vary.
    return [flat.mean(dim=2), (flat.var(dim=2, correction=0) + _LEAST_VARIANCE).sqrt()]


class SoftHistogram(nn.Module):
    """(B, C, H, W) z-scores -> (B, C bins): mean of exp(-((z - centre) / width)^2 / 2).

    Centres and the width of each channel's bins are learned.
    """

    def __init__(self, channels: int, bins: int) -> None:
        super().__init__()
        self.centre = nn.Parameter(torch.linspace(_FIRST_BIN, _LAST_BIN, bins).repeat(channels, 1))
        self.log_width = nn.Parameter(torch.full((channels, 1), _LOG_WIDTH))

    def forward(self, z: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C bins)."""
        off = z.flatten(2)[:, :, None] - self.centre[None, :, :, None]
        off = off / self.log_width.exp()[None, :, :, None]
        return torch.exp(-(off**2) / 2).mean(dim=3).flatten(1)


class StatisticsEncoder(nn.Module):
    """Colour statistics and, of each convolution's map, means and standard deviations.

    Five colour channels: the optical densities and two learned mixtures of them, which begin as
    haematoxylin and eosin. Of each: mean, standard deviation, and a soft histogram of its z-scores
    averaged over 4 x 4 px. Then convolution, batch norm, ReLU for each width, halved between; of
    each map, mean and standard deviation. 242 numbers with the defaults, 19,000 parameters.

    It expects patches whose background is white (``VisionConfig.white_balance``).

    Parameters
    ----------
    widths
        Maps of each convolution; the first is of 5 x 5 px, the others of 3 x 3.
    bins
        Of each colour's histogram; 0: no histograms.
    downsample
        Each block of this many px squared is averaged first: 2 makes 224 px 112, at a quarter of
        the cost.
    crop_px
        Side of the middle of the patch that is looked at, px after ``downsample``; None: all.
    """

    def __init__(
        self,
        widths: tuple[int, ...] = (16, 32, 48),
        bins: int = 8,
        downsample: int = 2,
        crop_px: int | None = None,
    ) -> None:
        super().__init__()
        if not widths or min(widths) < 1 or bins < 0 or downsample < 1:
            raise InputError(
                "Impossible settings of the statistics encoder",
                got=f"widths {tuple(widths)}, bins {bins}, downsample {downsample}",
                expected="positive widths, at least 0 bins, a downsample of at least 1",
            )
        self.downsample, self.crop_px = downsample, crop_px
        self.mixing = nn.Parameter(torch.tensor(UNMIXING[:, :2].T, dtype=torch.float32))
        self.histogram: nn.Module | None = None
        if bins:
            # Its running statistics put a patch on the training slides' scale at evaluation.
            self.colour_norm = nn.BatchNorm2d(_COLOURS, affine=False)
            self.histogram = SoftHistogram(_COLOURS, bins)
        inputs = (3, *widths[:-1])
        self.levels = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(a, b, 3 if i else 5, padding="same", bias=False),
                nn.BatchNorm2d(b),
                nn.ReLU(),
            )
            for i, (a, b) in enumerate(zip(inputs, widths, strict=True))
        )
        self.num_features = (2 + bins) * _COLOURS + 2 * sum(widths)

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) in 0..1 -> (B, num_features)."""
        x = optical_density(self._field(pixels))
        colours = torch.cat([x, torch.einsum("bchw,sc->bshw", x, self.mixing)], dim=1)
        parts = _mean_sd(colours)
        if self.histogram is not None:
            parts.append(self.histogram(F.avg_pool2d(self.colour_norm(colours), _POOL_PX)))
        for i, level in enumerate(self.levels):
            x = level(F.avg_pool2d(x, 2) if i else x)
            parts += _mean_sd(x)
        return torch.cat(parts, dim=1)

    def _field(self, pixels: Tensor) -> Tensor:
        """The part of the patch that is looked at, at the size at which it is."""
        if self.downsample > 1:
            pixels = F.avg_pool2d(pixels, self.downsample)
        height, width = pixels.shape[-2:]
        edge = self.crop_px or min(height, width)
        least = max(_POOL_PX, 2 ** len(self.levels))
        if edge > min(height, width) or edge < least:
            raise InputError(
                "The patch and the settings of the statistics encoder do not fit",
                got=f"{height} x {width} px after downsampling by {self.downsample}, of which "
                f"{edge} px are to be used",
                expected=f"a patch at least as large as crop_px, and at least {least} px",
            )
        if self.crop_px is None:
            return pixels
        top, left = (height - edge) // 2, (width - edge) // 2
        return pixels[:, :, top : top + edge, left : left + edge]
