"""Attention-based multiple-instance learning: many tiles of a patient, one answer.

Ilse, Tomczak and Welling, "Attention-based deep multiple instance learning", ICML 2018.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from napari_umpire.models.status_config import AbmilConfig

__all__ = ["Abmil", "BagOutput", "GatedAttention"]


class BagOutput(NamedTuple):
    """What `Abmil` says of a bag.

    ``logits`` are (C,), before the softmax over classes; ``attention`` is (n,), the share of each
    tile, which sums to 1. With a batch of bags both have B in front.
    """

    logits: Tensor
    attention: Tensor


class GatedAttention(nn.Module):
    """The score of each tile, eq. 9 before its softmax: s_k = w' (tanh(V h_k) * sigm(U h_k)).

    V, U are (attention, dim) with biases, w is (1, attention); * is element by element. A bias of
    w would shift all scores alike, which the softmax takes away; it is there to be counted as the
    usual implementations count.
    """

    def __init__(self, dim: int, attention: int) -> None:
        super().__init__()
        self.V = nn.Linear(dim, attention)
        self.U = nn.Linear(dim, attention)
        self.w = nn.Linear(attention, 1)

    def forward(self, h: Tensor) -> Tensor:
        """(..., n, dim) -> (..., n)."""
        return self.w(torch.tanh(self.V(h)) * torch.sigmoid(self.U(h))).squeeze(-1)


class Abmil(nn.Module):
    """Bag of tiles -> class.

    x_k -> z-score by stored statistics, within ``clip`` -> h_k (a ReLU layer where ``hidden`` is
    not 0) -> a = softmax over k of s_k (eq. 9) -> z = sum_k a_k h_k (eq. 7) -> logits = C z + c.
    The order of tiles does not matter. Before `set_statistics` the z-score changes nothing.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: AbmilConfig) -> None:
        super().__init__()
        self.config = config
        width = config.hidden or config.dim
        self.register_buffer("mean", torch.zeros(config.dim))
        self.register_buffer("std", torch.ones(config.dim))
        self.embed: nn.Module = nn.Identity()
        if config.hidden:
            self.embed = nn.Sequential(nn.Linear(config.dim, config.hidden), nn.ReLU())
        self.dropout = nn.Dropout(config.dropout)
        self.attention = GatedAttention(width, config.attention)
        self.classifier = nn.Linear(width, config.n_classes)

    def set_statistics(self, mean: Tensor, std: Tensor) -> None:
        """Store what the input is z-scored by, (dim,) each; what does not vary becomes 0."""
        with torch.no_grad():
            self.mean.copy_(mean)
            self.std.copy_(torch.where(std > 1e-6, std, torch.inf))

    def scaled(self, tiles: Tensor) -> Tensor:
        """The input as z-scores, within ``clip``; (..., dim) -> (..., dim)."""
        z = (tiles - self.mean) / self.std
        clip = self.config.clip
        return z if clip is None else z.clamp(-clip, clip)

    def distance(self, tiles: Tensor) -> float:
        """Mean of squared z-scores of the features that vary, over all tiles (n, dim)."""
        varies = torch.isfinite(self.std)
        return float(self.scaled(tiles)[..., varies].square().mean())

    def forward(self, tiles: Tensor, mask: Tensor | None = None) -> BagOutput:
        """Classify one bag, or a padded batch of bags.

        Parameters
        ----------
        tiles
            (n, dim) float, or (B, n, dim).
        mask
            (n,) or (B, n) bool, True at tiles, False at padding; None: all are tiles. Padding may
            hold anything. Each bag needs one tile at least.
        """
        if mask is not None:
            # 0 * NaN is NaN: what is not there must not come near the sum.
            tiles = tiles.masked_fill(~mask.unsqueeze(-1), 0.0)
        h = self.dropout(self.embed(self.scaled(tiles)))
        scores = self.attention(h)
        if mask is not None:
            scores = scores.masked_fill(~mask, -torch.inf)
        attention = torch.softmax(scores, dim=-1)
        pooled = torch.einsum("...n,...nd->...d", attention, h)
        return BagOutput(self.classifier(pooled), attention)
