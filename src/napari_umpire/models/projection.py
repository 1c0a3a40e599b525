"""From an encoder's features to the shared space."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from napari_umpire.errors import InputError
from napari_umpire.models.bounds import MANY, check_bounds

__all__ = ["ProjectionConfig", "projection"]


@dataclass(frozen=True)
class ProjectionConfig:
    """Shape of a projection.

    Parameters
    ----------
    hidden
        Units of a hidden layer; 0, as published: none, the projection is linear.
    dropout
        Of the features and of the hidden layer, in training.
    """

    hidden: int = 0
    dropout: float = 0.0

    def __post_init__(self) -> None:
        check_bounds("A projection", self, hidden=MANY)
        if self.hidden < 0 or not 0 <= self.dropout < 1:
            raise InputError(
                "Impossible settings of a projection",
                got=f"hidden {self.hidden}, dropout {self.dropout}",
                expected="hidden of 0 or more, dropout from 0 to below 1",
            )
        if self.dropout and not self.hidden:
            raise InputError(
                "A linear projection has no dropout",
                got=f"dropout {self.dropout}, hidden 0",
                fix="Give the projection a hidden layer, or set its dropout to 0",
            )


def projection(config: ProjectionConfig, n_in: int, n_out: int) -> nn.Module:
    """Linear, by the published parameter names; or dropout, linear, GELU, dropout, linear."""
    if not config.hidden:
        return nn.Linear(n_in, n_out)
    return nn.Sequential(
        nn.Dropout(config.dropout),
        nn.Linear(n_in, config.hidden),
        nn.GELU(),
        nn.Dropout(config.dropout),
        nn.Linear(config.hidden, n_out),
    )
