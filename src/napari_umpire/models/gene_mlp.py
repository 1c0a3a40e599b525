"""GeneMLP, a gene encoder for small data: a perceptron on the log expression of a panel.

The paper's GeneMLP (section 4.4) is a control of the linear probe: one linear layer on the log
expression of the 1,500 most variable genes, without pre-training. That is this module with
``hidden=()``. The hidden layer, for alignment, and the z-scores are this program's own.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from napari_umpire.models.bounds import LENGTHS, WIDTHS, check_bounds
from napari_umpire.models.panel import check_panel, check_values

__all__ = ["GeneMLP", "GeneMLPConfig"]

_LARGEST_Z = 10.0


@dataclass(frozen=True)
class GeneMLPConfig:
    """Shape of a `GeneMLP`.

    Parameters
    ----------
    n_genes
        Genes of the panel.
    hidden
        Units of each hidden layer; none: one linear layer, as in the paper.
    dim
        Length of a feature vector.
    dropout
        After each hidden layer, in training.
    panel
        The gene ids of the panel, in the order of the input; a saved model must have it.
    """

    n_genes: int
    hidden: tuple[int, ...] = (512,)
    dim: int = 256
    dropout: float = 0.3
    panel: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_bounds(
            "The gene encoder", self, n_genes=LENGTHS, hidden=WIDTHS, dim=WIDTHS, dropout=(0, 1)
        )
        check_panel(self.panel, self.n_genes)


class GeneMLP(nn.Module):
    """(B, n_genes) log1p CP10k of the panel -> (B, dim) features.

    z = (x - mean) / std, cut at +-10 so that one gene unseen in training cannot decide, 0 where a
    gene never varied; then linear, GELU, dropout for each hidden layer, and a last linear layer.
    ``mean`` and ``std`` (n_genes,) come from the training spots, see `set_statistics`, and are
    stored with the weights.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: GeneMLPConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("mean", torch.zeros(config.n_genes))
        self.register_buffer("std", torch.ones(config.n_genes))
        widths = (config.n_genes, *config.hidden)
        layers: list[nn.Module] = []
        for a, b in zip(widths[:-1], widths[1:], strict=True):
            layers += [nn.Linear(a, b), nn.GELU(), nn.Dropout(config.dropout)]
        self.layers = nn.Sequential(*layers, nn.Linear(widths[-1], config.dim))

    @property
    def dim(self) -> int:
        """Length of a feature vector."""
        return self.config.dim

    def set_statistics(self, mean: Tensor, std: Tensor) -> None:
        """Store the panel's mean and standard deviation over the training spots, (n_genes,)."""
        with torch.no_grad():
            self.mean.copy_(mean)
            self.std.copy_(std)

    def encode(self, expression: Tensor) -> Tensor:
        """(B, n_genes) float, log1p CP10k -> (B, dim)."""
        check_values(expression, self.config.n_genes)
        varies = self.std > 0
        z = (expression.to(self.mean.dtype) - self.mean) / torch.where(varies, self.std, 1.0)
        z = torch.where(varies, z, 0.0).clamp(-_LARGEST_Z, _LARGEST_Z)
        return self.layers(z)

    forward = encode
