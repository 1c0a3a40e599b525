"""The bottleneck that adapts a frozen aligned pair to one tissue."""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["Adapter"]

_SHARE = 0.2


class Adapter(nn.Module):
    """0.8 x + 0.2 relu(W2 relu(W1 x)), with W1 (dim/4, dim) and W2 (dim, dim/4), no biases.

    Sits after the projection, one for each modality; ``dim`` 512 gives the published 512-128-512.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.fc = nn.Sequential(
            nn.Linear(dim, dim // 4, bias=False),
            nn.ReLU(),
            nn.Linear(dim // 4, dim, bias=False),
            nn.ReLU(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, dim) -> (B, dim)."""
        return (1 - _SHARE) * x + _SHARE * self.fc(x)
