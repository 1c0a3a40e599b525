"""Spots differ in how many genes they have; these two keep padding from costing time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from napari_umpire.genes.tokens import PAD_ID

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["buckets", "trim"]


def trim(tokens: Tensor) -> Tensor:
    """Cut off the trailing columns that are padding in every row; at least one column stays.

    Parameters
    ----------
    tokens
        (B, L) int64.
    """
    used = (tokens != PAD_ID).any(dim=0).nonzero()
    last = int(used[-1]) + 1 if used.numel() else 1
    return tokens[:, :last]


def buckets(
    lengths: Tensor, batch_size: int, generator: torch.Generator | None = None
) -> Iterator[Tensor]:
    """Batches of rows of like length, as (b,) int64 indices; each row appears once.

    Padding a mixed batch to its longest row costs about a third more than the rows need; batches
    in order of length cost almost nothing extra.

    Parameters
    ----------
    lengths
        (n,) number of tokens of each row.
    generator
        Given: rows of one length are shuffled and the batches come in random order, as training
        needs. None: shortest first, ties in row order.
    """
    lengths = torch.as_tensor(lengths)
    if generator is None:
        yield from torch.argsort(lengths, stable=True).split(batch_size)
        return
    shuffled = torch.randperm(len(lengths), generator=generator)
    order = shuffled[torch.argsort(lengths[shuffled], stable=True)]
    batches = order.split(batch_size)
    for i in torch.randperm(len(batches), generator=generator).tolist():
        yield batches[i]
