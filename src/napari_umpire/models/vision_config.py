"""What an image encoder is and which patches it wants."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003  (resolved at run time by config_json)
from dataclasses import dataclass, field
from typing import Any

from napari_umpire.models.bounds import check_bounds

__all__ = ["VisionConfig"]


@dataclass(frozen=True)
class VisionConfig:
    """An image encoder, its input and where its weights come from.

    Parameters
    ----------
    name
        Our own: ``"umpire-small"`` and ``"umpire-statistics"`` (trained from scratch),
        ``"umpire-texture"`` (fixed), ``"umpire-hybrid"`` (both: fixed filters, a small network).
        Others: ``"phikon"``, ``"uni"``, ``"uni2-h"``, ``"conch"``, ``"virchow2"``,
        ``"h-optimus-0"``, ``"h-optimus-1"``, any timm name, or ``"hf-hub:owner/name"``.
    size_px
        Side of the square patch it takes.
    field_um
        Side of the tissue that the patch shows, um.
    mean, std
        Of the three channels, for pixels of 0..1; None: those the encoder was trained with.
    weights
        A file (safetensors, or a torch checkpoint of plain tensors); ``"hub"``: download those
        of the name. None: of a published name, the file in the user's folder of weights or in the
        hub's cache; ``"hf-hub:"`` names are downloaded; ours and timm's are untrained. Only read
        when the encoder is made, not when a model folder is loaded.
    kwargs
        More arguments of the encoder's constructor.
    white_balance
        Whether it wants patches whose slide's background has been made white, as the three last
        of our own do.
    architecture
        Filled in when made: the architecture behind the name, so that a saved model needs no
        network.
    """

    name: str = "umpire-small"
    size_px: int = 224
    field_um: float = 112.0
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    weights: str | None = None
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    white_balance: bool = False
    architecture: str | None = None

    def __post_init__(self) -> None:
        check_bounds(
            "The image encoder", self, size_px=(1, 4096), field_um=(0.1, 1e5), mean=(-1e3, 1e3),
            std=(1e-6, 1e3),
        )  # fmt: skip
