"""From the image straight to expression: the decoder of a reconstruction (UMPIRE-REC)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from napari_umpire.errors import InputError
from napari_umpire.models.bounds import MANY, check_bounds

__all__ = ["DecoderConfig", "ExpressionDecoder"]


@dataclass(frozen=True)
class DecoderConfig:
    """Shape of an `ExpressionDecoder`.

    Parameters
    ----------
    genes
        Ids of the genes that it predicts, in the order of its output; each is one of the model's
        gene list.
    hidden
        Width of the hidden layer; 0: none, the decoder is linear.
    alone
        The model was trained by reconstruction alone (UMPIRE-REC): it has neither gene encoder nor
        projections, and so no embeddings to retrieve with.
    """

    genes: tuple[str, ...]
    hidden: int = 512
    alone: bool = False

    def __post_init__(self) -> None:
        if not self.genes:
            raise InputError("A decoder without genes", fix="Name the genes in decoder.genes")
        if len(set(self.genes)) < len(self.genes):
            twice = Counter(self.genes).most_common(1)[0][0]
            raise InputError("The decoder names a gene twice", got=twice)
        check_bounds("The decoder", self, hidden=MANY)


class ExpressionDecoder(nn.Module):
    """(B, D) image features, in context where the model has one -> (B, g) log1p CP10k.

    max(0, mean + std * (W2 gelu(W1 h + b1) + b2)), or mean + std * (W h + b) within the maximum
    without a hidden layer: the network speaks of z-scores, so that the loss weighs all genes
    alike, and ``mean`` and ``std`` (g,) of the training spots, stored with the weights, turn them
    into expression, which has no values below 0. The paper (eq. 7) says "MLP(h)" and no sizes.

    Parameters
    ----------
    dim
        D, length of the features.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: DecoderConfig, dim: int) -> None:
        super().__init__()
        self.config = config
        n = len(config.genes)
        self.register_buffer("mean", torch.zeros(n))
        self.register_buffer("std", torch.ones(n))
        self.layers = nn.Sequential(nn.Linear(dim, config.hidden or n))
        if config.hidden:
            self.layers.extend([nn.GELU(), nn.Linear(config.hidden, n)])

    def set_statistics(self, mean: Tensor, std: Tensor) -> None:
        """Store the genes' mean and standard deviation over the training spots, (g,)."""
        with torch.no_grad():
            self.mean.copy_(mean)
            self.std.copy_(std)

    def standardised(self, features: Tensor) -> Tensor:
        """(B, D) -> (B, g) z-scores of expression, which the training holds against the truth."""
        return self.layers(features)

    def forward(self, features: Tensor) -> Tensor:
        """(B, D) -> (B, g) float32 log1p CP10k, at least 0."""
        return (self.mean + self.std * self.standardised(features).float()).clamp_min(0)
