"""*Trans.*, the paper's control: the blocks of Visiumformer on expression values, not on ranks."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from napari_umpire.errors import InputError
from napari_umpire.models.bounds import HEADS, LAYERS, LENGTHS, WIDTHS, check_bounds
from napari_umpire.models.encoder_block import Encoder, start_as_published
from napari_umpire.models.panel import check_panel, check_values

__all__ = ["ValueTransformer", "ValueTransformerConfig"]


@dataclass(frozen=True)
class ValueTransformerConfig:
    """Shape of a `ValueTransformer`; the defaults are those of the published Visiumformer.

    Parameters
    ----------
    n_genes
        Genes of the panel; 1,500 in the paper (appendix B.1).
    dim, heads, feedforward, layers, dropout
        As in ``VisiumformerConfig``.
    panel
        The gene ids of the panel, in the order of the input; a saved model must have it.
    """

    n_genes: int
    dim: int = 512
    heads: int = 16
    feedforward: int = 1024
    layers: int = 12
    dropout: float = 0.0
    panel: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_bounds(
            "The gene encoder", self, n_genes=LENGTHS, dim=WIDTHS, heads=HEADS, feedforward=WIDTHS,
            layers=LAYERS, dropout=(0, 1),
        )  # fmt: skip
        if self.dim % self.heads:
            raise InputError(
                "The width of a transformer must divide evenly among its heads",
                got=f"dim {self.dim}, heads {self.heads}",
            )
        check_panel(self.panel, self.n_genes)


class ValueTransformer(nn.Module):
    """(B, n_genes) log1p CP10k of the panel -> (B, dim) features.

    token_g = a_g + x_g b_g -> dropout -> post-norm blocks -> mean over the genes. a_g and b_g are
    learned vectors of gene g, so a_g also stands for the place in the sequence, which is always
    that of the panel. How a value becomes a token the paper does not say; this is the feature
    tokenizer of FT-Transformer (Gorishniy et al. 2021). One b for all genes would let the blocks
    alone tell which gene a value belongs to. All else is as in Visiumformer: blocks, and their
    start.

    ``mean`` (n_genes,) of the training spots stands for a gene that a slide did not measure. It is
    stored with the weights; see `set_statistics`.
    """

    mean: Tensor

    def __init__(self, config: ValueTransformerConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("mean", torch.zeros(config.n_genes))
        self.gene_embedding = nn.Parameter(torch.randn(config.n_genes, config.dim))
        self.value_embedding = nn.Parameter(torch.randn(config.n_genes, config.dim))
        self.dropout = nn.Dropout(config.dropout)
        self.encoder = Encoder(
            config.layers, config.dim, config.heads, config.feedforward, config.dropout
        )
        start_as_published(self)

    @property
    def dim(self) -> int:
        """Length of a feature vector."""
        return self.config.dim

    def set_statistics(self, mean: Tensor, std: Tensor) -> None:
        """Store the panel's mean over the training spots, (n_genes,); ``std`` is not used."""
        with torch.no_grad():
            self.mean.copy_(mean)

    def encode(self, expression: Tensor) -> Tensor:
        """(B, n_genes) float, log1p CP10k -> (B, dim)."""
        check_values(expression, self.config.n_genes)
        x = expression.to(self.gene_embedding.dtype)[:, :, None]
        x = self.dropout(self.gene_embedding + x * self.value_embedding)
        for block in self.encoder.layers:
            x = block(x)
        return x.mean(dim=1)

    forward = encode
