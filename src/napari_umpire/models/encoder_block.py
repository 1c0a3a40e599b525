"""The post-norm transformer block of Visiumformer, on fused attention, and the stack of them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_umpire.models.attention_by_head import attend_by_head, is_faster_by_head

__all__ = ["Encoder", "EncoderBlock", "SelfAttention", "start_as_published"]


class SelfAttention(nn.Module):
    """Multi-head self-attention with biases, heads of size ``dim / heads``.

    softmax(Q K^T / sqrt(dim / heads)) V, then a linear output map. The parameter names and the
    stacking of q, k, v in one matrix are those of `torch.nn.MultiheadAttention`, so that published
    weights load; the computation is `scaled_dot_product_attention`, which never holds the
    (L, L) matrix where a fused kernel exists, or `attend_by_head` where that is faster.
    """

    def __init__(self, dim: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.in_proj_weight = nn.Parameter(torch.empty(3 * dim, dim))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * dim))
        self.out_proj = nn.Linear(dim, dim)
        nn.init.xavier_uniform_(self.in_proj_weight)

    def forward(self, x: Tensor, attend: Tensor | None = None) -> Tensor:
        """Attend.

        Parameters
        ----------
        x
            (B, L, dim).
        attend
            (B, 1, 1, L) bool, True where a key may be looked at; None: everywhere. Every row
            needs at least one True, or its result is not defined.
        """
        batch, length, dim = x.shape
        qkv = F.linear(x, self.in_proj_weight, self.in_proj_bias)
        q, k, v = qkv.view(batch, length, 3, self.heads, dim // self.heads).permute(2, 0, 3, 1, 4)
        dropout = self.dropout if self.training else 0.0
        if not dropout and is_faster_by_head(q):
            out = attend_by_head(q, k, v, attend)
        else:
            out = F.scaled_dot_product_attention(q, k, v, attn_mask=attend, dropout_p=dropout)
        return self.out_proj(out.transpose(1, 2).reshape(batch, length, dim))


class EncoderBlock(nn.Module):
    """x <- norm1(x + attention(x)); x <- norm2(x + W2 relu(W1 x)).

    Same function and same parameter names as `torch.nn.TransformerEncoderLayer` with
    ``norm_first=False``, ReLU and ``layer_norm_eps=1e-12``.
    """

    def __init__(self, dim: int, heads: int, feedforward: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.self_attn = SelfAttention(dim, heads, dropout)
        self.linear1 = nn.Linear(dim, feedforward)
        self.linear2 = nn.Linear(feedforward, dim)
        self.norm1 = nn.LayerNorm(dim, eps=1e-12)
        self.norm2 = nn.LayerNorm(dim, eps=1e-12)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, attend: Tensor | None = None) -> Tensor:
        """(B, L, dim) -> (B, L, dim); ``attend`` as in `SelfAttention`."""
        x = self.norm1(x + self.dropout(self.self_attn(x, attend)))
        hidden = self.dropout(F.relu(self.linear1(x)))
        return self.norm2(x + self.dropout(self.linear2(hidden)))


class Encoder(nn.Module):
    """Holds blocks under their published name, ``layers``; who owns it calls it ``encoder``."""

    def __init__(
        self, layers: int, dim: int, heads: int, feedforward: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            EncoderBlock(dim, heads, feedforward, dropout) for _ in range(layers)
        )


def start_as_published(module: nn.Module) -> None:
    """Xavier-normal linear maps, zero biases, q/k/v maps equal in all blocks of ``module``."""
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.xavier_normal_(part.weight)
            nn.init.zeros_(part.bias)
    in_maps = [m.in_proj_weight for m in module.modules() if isinstance(m, SelfAttention)]
    with torch.no_grad():
        for weight in in_maps[1:]:
            weight.copy_(in_maps[0])
