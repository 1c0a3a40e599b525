"""The package's own image encoders, by the name that a configuration gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from napari_umpire.models.hybrid import HybridEncoder
from napari_umpire.models.small_encoder import SmallEncoder
from napari_umpire.models.statistics_net import StatisticsEncoder
from napari_umpire.models.texture import TextureEncoder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor, nn

__all__ = ["SMALL_ENCODERS", "Trunk"]


class Trunk(Protocol):
    """What a registered encoder offers besides being a module.

    An encoder of which only a part is trained also names that part ``learned``; it has
    ``num_features`` too, takes the same pixels, and its features are the last of the encoder's. An
    encoder that looks at the middle of a patch only may offer ``middle(pixels)``, so that a
    training need not augment the rest.
    """

    num_features: int

    def __call__(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) in 0..1 -> (B, num_features)."""


SMALL_ENCODERS: Mapping[str, Callable[..., nn.Module]] = {
    "umpire-small": SmallEncoder,
    "umpire-texture": TextureEncoder,
    "umpire-statistics": StatisticsEncoder,
    "umpire-hybrid": HybridEncoder,
}
"""Name -> what builds it from ``VisionConfig.kwargs``; the module is a `Trunk`."""
