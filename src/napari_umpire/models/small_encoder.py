"""A small image encoder, trained from scratch on optical density."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_umpire.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["OpticalDensity", "SmallEncoder"]


class OpticalDensity(nn.Module):
    """Pixels of 0..1 -> optical density, -ln(I / I0), 0 at white and growing with stain.

    Parameters
    ----------
    balance
        True: I0 is the patch's own bright end, its 99th percentile in each channel, so that a tint
        or dimming of the light does not matter. False: I0 = 1, for slides already white-balanced.
    """

    def __init__(self, balance: bool = True) -> None:
        super().__init__()
        self.balance = balance

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, 3, H, W)."""
        density = -torch.log(pixels.clamp(1 / 255, 1))
        if not self.balance:
            return density
        flat = density.flatten(2)
        # The brightest hundredth is the least dense; its upper end, not its minimum, is I0.
        k = max(1, flat.shape[2] // 100)
        white = flat.kthvalue(k, dim=2).values[:, :, None, None]
        return (density - white).clamp(min=0)


class _Block(nn.Module):
    """relu(shortcut(x) + norm(conv(relu(norm(conv(x))))))."""

    def __init__(self, n_in: int, n_out: int, stride: int, norm: Callable[[int], nn.Module]):
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False)
        self.norm1 = norm(n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False)
        self.norm2 = norm(n_out)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or n_in != n_out:
            self.shortcut = nn.Sequential(
                nn.AvgPool2d(stride, ceil_mode=True) if stride > 1 else nn.Identity(),
                nn.Conv2d(n_in, n_out, 1, bias=False),
                norm(n_out),
            )

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.shortcut(x) + self.norm2(self.conv2(y)))


class SmallEncoder(nn.Module):
    """A small residual network: stem and one block for each width, each halving the size.

    Parameters
    ----------
    widths
        Channels of the stem and of each block; (32, 64, 128, 256) has 1.2 M parameters.
    norm
        "batch", or "group" (8 groups), which does not depend on the other patches of the batch.
    pool
        "mean", or "mean+std": the spread of each channel over the patch beside its mean, which
        tells a few strong cells from many weak ones.
    balance
        See `OpticalDensity`.
    dropout
        On the pooled features, in training.
    """

    def __init__(
        self,
        widths: tuple[int, ...] = (32, 64, 128, 256),
        norm: Literal["batch", "group"] = "batch",
        pool: Literal["mean", "mean+std"] = "mean+std",
        balance: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if norm not in ("batch", "group") or pool not in ("mean", "mean+std"):
            raise InputError(
                "Unknown setting of the small image encoder",
                got=f"norm {norm!r}, pool {pool!r}",
                expected='norm "batch" or "group", pool "mean" or "mean+std"',
            )

        if not widths or not all(isinstance(n, int) and n > 0 for n in widths):
            raise InputError(
                "Impossible widths of the small image encoder",
                got=widths,
                expected="a list of whole numbers above 0, such as [32, 64]",
            )

        def normalise(n: int) -> nn.Module:
            return nn.BatchNorm2d(n) if norm == "batch" else nn.GroupNorm(8, n)

        self.pool = pool
        self.density = OpticalDensity(balance)
        self.stem = nn.Sequential(
            nn.Conv2d(3, widths[0], 5, 2, 2, bias=False), normalise(widths[0]), nn.ReLU()
        )
        self.blocks = nn.Sequential(
            *(_Block(a, b, 2, normalise) for a, b in zip(widths[:-1], widths[1:], strict=True))
        )
        self.dropout = nn.Dropout(dropout)
        self.num_features = widths[-1] * (2 if pool == "mean+std" else 1)

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) in 0..1 -> (B, num_features)."""
        x = self.blocks(self.stem(self.density(pixels))).flatten(2)
        pooled = x.mean(dim=2)
        if self.pool == "mean+std":
            # The small constant keeps the gradient finite where a channel is constant.
            spread = (x.var(dim=2, correction=0) + 1e-5).sqrt()
            pooled = torch.cat([pooled, spread], dim=1)
        return self.dropout(pooled)
