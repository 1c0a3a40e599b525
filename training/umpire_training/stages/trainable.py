"""Which part of an image encoder is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_umpire.errors import InputError

if TYPE_CHECKING:
    from torch import nn

__all__ = ["train_image_encoder"]

_BEFORE_BLOCKS = ("patch_embed", "cls_token", "reg_token", "pos_embed", "norm_pre")


def train_image_encoder(encoder: nn.Module, *, train: bool, last_blocks: int | None = None) -> None:
    """Set what of ``encoder`` has gradients.

    Parameters
    ----------
    train
        False: nothing.
    last_blocks
        Only so many of a ViT's last blocks, and what follows them; None: all.

    Raises
    ------
    InputError
        ``last_blocks`` of an encoder that has no row of blocks, or more than it has.
    """
    encoder.requires_grad_(train)
    if not train or last_blocks is None:
        return
    vit: Any = encoder if hasattr(encoder, "blocks") else getattr(encoder, "trunk", None)
    blocks = getattr(vit, "blocks", None)
    if blocks is None or not hasattr(vit, "patch_embed"):
        raise InputError(
            "vision.last_blocks is for a ViT, which is a row of equal blocks",
            got=type(encoder).__name__,
            fix="Set vision.last_blocks to null to train all of the encoder",
        )
    if not 1 <= last_blocks <= len(blocks):
        raise InputError(
            "vision.last_blocks does not fit the image encoder",
            got=last_blocks,
            expected=f"1 to {len(blocks)}; to train none, set vision.train to false",
        )
    for name, parameter in vit.named_parameters():
        head, _, rest = name.partition(".")
        early = head == "blocks" and int(rest.partition(".")[0]) < len(blocks) - last_blocks
        if early or head in _BEFORE_BLOCKS:
            parameter.requires_grad_(False)
