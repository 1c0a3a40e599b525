"""A large batch through an encoder in the memory of a small one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.utils.checkpoint import checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

__all__ = ["in_chunks"]


def in_chunks(encode: Callable[[Tensor], Tensor], inputs: Tensor, size: int | None) -> Tensor:
    """Features of ``inputs``, of which the backward pass holds one chunk at a time.

    Each chunk's activations are dropped after the forward pass and computed again when its
    gradient is asked for, as GradCache does (Gao et al. 2021): the loss sees the whole batch, the
    memory one chunk, for one forward pass more. Random numbers are drawn alike both times.

    Parameters
    ----------
    encode
        (n, ...) to (n, D); must treat each row on its own, which a batch norm does not.
    inputs
        (B, ...).
    size
        Rows of a chunk; None: all at once, nothing is computed twice.

    Returns
    -------
    (B, D).
    """
    if size is None or len(inputs) <= size or not torch.is_grad_enabled():
        return encode(inputs)
    parts = [checkpoint(encode, part, use_reentrant=False) for part in inputs.split(size)]
    return torch.cat(parts)
