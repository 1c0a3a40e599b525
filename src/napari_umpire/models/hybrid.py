"""Fixed texture beside a learned network: what little data can teach, and what it cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_umpire.errors import InputError
from napari_umpire.models.small_encoder import SmallEncoder
from napari_umpire.models.texture import TextureEncoder

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["CentreEncoder", "HybridEncoder"]


class CentreEncoder(nn.Module):
    """A `SmallEncoder` of the middle of a patch, at a lower resolution.

    Parameters
    ----------
    crop_px, downsample
        The middle ``crop_px`` of the patch, None for all of it, are averaged over squares of
        ``downsample`` px.
    widths, norm, pool
        As in `SmallEncoder`.
    """

    def __init__(
        self,
        widths: tuple[int, ...],
        norm: Literal["batch", "group"],
        pool: Literal["mean", "mean+std"],
        crop_px: int | None,
        downsample: int,
    ) -> None:
        super().__init__()
        if downsample < 1 or (crop_px is not None and crop_px < 8 * downsample):
            raise InputError(
                "The learned part of a hybrid image encoder would see no tissue",
                got=f"crop_px {crop_px}, downsample {downsample}",
                expected="a crop of at least 8 px after downsampling",
            )
        self.crop_px, self.downsample = crop_px, downsample
        # The background is white already: see `HybridEncoder`.
        self.network = SmallEncoder(widths, norm, pool, balance=False)
        self.num_features = self.network.num_features

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) in 0..1 -> (B, num_features)."""
        return self.network(F.avg_pool2d(self.middle(pixels), self.downsample))

    def middle(self, pixels: Tensor) -> Tensor:
        """The part of (B, 3, H, W) pixels that is looked at; of that part, all of it."""
        if self.crop_px is None:
            return pixels
        top, left = ((n - self.crop_px) // 2 for n in pixels.shape[2:])
        if min(top, left) < 0:
            raise InputError(
                "The patch is smaller than the part that the image encoder looks at",
                got=f"{pixels.shape[2]} x {pixels.shape[3]} px",
                expected=f"at least {self.crop_px} px",
            )
        return pixels[:, :, top : top + self.crop_px, left : left + self.crop_px]


class HybridEncoder(nn.Module):
    """The fixed statistics of `TextureEncoder` beside the features of a learned `CentreEncoder`.

    (B, 186 + 512) with the defaults. It expects patches whose background is white
    (``VisionConfig.white_balance``). ``learned`` is the part that a training changes.

    Parameters
    ----------
    fields
        As in `TextureEncoder`.
    widths, norm, pool, crop_px, downsample
        As in `CentreEncoder`.
    """

    def __init__(
        self,
        widths: tuple[int, ...] = (32, 64, 128, 256),
        norm: Literal["batch", "group"] = "batch",
        pool: Literal["mean", "mean+std"] = "mean+std",
        crop_px: int | None = None,
        downsample: int = 2,
        fields: Sequence[tuple[int, int]] | None = None,
    ) -> None:
        super().__init__()
        self.texture = TextureEncoder(fields)
        self.learned = CentreEncoder(widths, norm, pool, crop_px, downsample)
        self.num_features = self.texture.num_features + self.learned.num_features

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, H) in 0..1 -> (B, num_features)."""
        return torch.cat([self.texture(pixels), self.learned(pixels)], dim=1)
