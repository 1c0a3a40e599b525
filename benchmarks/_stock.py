"""Visiumformer of torch's own layers, as the published model is made, and spots to feed it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from napari_umpire.genes.tokens import FIRST_GENE_ID, PAD_ID
from napari_umpire.models.visiumformer import Visiumformer, VisiumformerConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

SHAPE = VisiumformerConfig(layers=2)
"""The published model with two of its twelve layers."""


class StockModel(nn.Module):
    """The same function as ``ours`` with the same weights."""

    def __init__(self, ours: Visiumformer) -> None:
        super().__init__()
        config = ours.config
        layer = nn.TransformerEncoderLayer(
            config.dim, config.heads, config.feedforward, dropout=0.0, batch_first=True,
            norm_first=False, layer_norm_eps=1e-12,
        )  # fmt: skip
        self.encoder = nn.TransformerEncoder(layer, config.layers, enable_nested_tensor=False)
        self.encoder.load_state_dict(ours.encoder.state_dict())
        self.embeddings = nn.Embedding(*ours.embeddings.weight.shape, padding_idx=PAD_ID)
        self.embeddings.load_state_dict(ours.embeddings.state_dict())
        self.positions = nn.Embedding(*ours.positional_embedding.weight.shape)
        self.positions.load_state_dict(ours.positional_embedding.state_dict())
        self.head = nn.Linear(config.dim, config.n_tokens)
        self.head.load_state_dict(ours.classifier_head.state_dict())

    def hidden(self, tokens: Tensor) -> Tensor:
        x = self.embeddings(tokens) + self.positions.weight[: tokens.shape[1]]
        return self.encoder(x, src_key_padding_mask=tokens == PAD_ID)

    def logits(self, tokens: Tensor) -> Tensor:
        return self.head(self.hidden(tokens))

    def pooled(self, tokens: Tensor) -> Tensor:
        is_token = (tokens != PAD_ID)[:, :, None]
        return (self.hidden(tokens) * is_token).sum(dim=1) / is_token.sum(dim=1)

    def gradient(self) -> np.ndarray:
        grad = self.embeddings.weight.grad
        assert grad is not None
        return grad.numpy().copy()


def spots(lengths: Sequence[int]) -> Tensor:
    """(n, 1500) int64 random genes, padded from each length on."""
    generator = torch.Generator().manual_seed(0)
    shape = (len(lengths), SHAPE.length)
    tokens = torch.randint(FIRST_GENE_ID, SHAPE.n_tokens, shape, generator=generator)
    for row, n in zip(tokens, lengths, strict=True):
        row[n:] = PAD_ID
    return tokens
