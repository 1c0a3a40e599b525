"""Patches of pixels as an image encoder wants them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from napari_umpire.errors import InputError

__all__ = ["Preprocess"]


class Preprocess(nn.Module):
    """Pixels -> (B, 3, size, size) float, (p - mean) / std with p in 0..1.

    Patches must have the encoder's size: resampling tissue is the business of the patch reader,
    which knows the physical scale.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, size_px: int, mean: tuple[float, float, float], std: tuple[float, float, float]
    ) -> None:
        super().__init__()
        self.size_px = size_px
        # These are not in the state dict, so they need their values even where the rest of a model
        # is built without storage.
        for name, values in (("mean", mean), ("std", std)):
            buffer = torch.tensor(values, dtype=torch.float32, device="cpu").view(1, 3, 1, 1)
            self.register_buffer(name, buffer, persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) or (B, H, W, 3), uint8 or float in 0..1."""
        if pixels.ndim == 4 and pixels.shape[1] != 3 and pixels.shape[3] == 3:
            pixels = pixels.permute(0, 3, 1, 2)
        wanted = (3, self.size_px, self.size_px)
        if pixels.ndim != 4 or tuple(pixels.shape[1:]) != wanted:
            raise InputError(
                "The patches do not fit the image encoder",
                got=f"an array of shape {tuple(pixels.shape)}",
                expected=f"(patches, 3, {self.size_px}, {self.size_px})",
            )
        if pixels.dtype == torch.uint8:
            pixels = pixels.to(self.mean.dtype) / 255
        elif not pixels.is_floating_point():
            raise InputError("Patches must be uint8 or float in 0..1", got=str(pixels.dtype))
        return (pixels.to(self.mean.dtype) - self.mean) / self.std
