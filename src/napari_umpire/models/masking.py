"""Which tokens are hidden in masked-token training, and what stands in their place."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from napari_umpire.errors import InputError
from napari_umpire.genes.tokens import FIRST_GENE_ID, MASK_ID, PAD_ID

__all__ = ["Masked", "Scheme", "mask_tokens"]

_FIRST_RANDOM_ID_PUBLISHED = 10

Scheme = Literal["exact", "published"]


class Masked(NamedTuple):
    """A masked batch: what the encoder sees, and what it has to say."""

    tokens: Tensor
    """(B, L) int64, the input with the replacements made."""
    selected: Tensor
    """(B, L) bool, the positions whose original token is to be predicted."""
    labels: Tensor
    """(n_selected,) int64, the original tokens there, in row-major order."""


def mask_tokens(
    tokens: Tensor,
    n_tokens: int,
    p: float = 0.15,
    scheme: Scheme = "exact",
    generator: torch.Generator | None = None,
    part: tuple[int, int] = (0, 1),
) -> Masked:
    """Select tokens to be predicted and replace most of them.

    Every position that is not padding is selected with probability ``p``, independently. Of the
    selected, with ``scheme="exact"``: 80 % become the mask id, 10 % a random gene, 10 % stay. With
    ``scheme="published"``, as the authors' code does by drawing one after the other: 10 % a random
    id of 10..n_tokens-1 (reserved ids included), then 10 % of the rest stay (9 %), and 81 % become
    the mask id.

    Parameters
    ----------
    tokens
        (B, L) of any integer type; gene id = vocabulary index + 30, padding = 1.
    n_tokens
        Genes + 30; random ids are below it.
    generator
        Source of all randomness; None: torch's global one. It may live on another device.
    part
        (i, n): the rows are rows i, i + n, ... of a batch n times as long, and are masked as they
        would be in it.

    Raises
    ------
    InputError
        For a probability outside 0..1 or an unknown scheme.
    """
    if not 0 <= p <= 1:
        raise InputError("The masking probability is out of range", got=p, expected="0 to 1")
    if scheme not in ("exact", "published"):
        raise InputError("Unknown masking scheme", got=scheme, expected='"exact" or "published"')
    tokens = tokens.long()
    source = tokens.device if generator is None else generator.device

    piece, pieces = part
    whole = (len(tokens) * pieces, tokens.shape[1])

    def draw() -> Tensor:
        drawn = torch.rand(whole, generator=generator, device=source)
        return drawn[piece::pieces].to(tokens.device)

    selected = (draw() < p) & (tokens != PAD_ID)
    lowest = FIRST_GENE_ID if scheme == "exact" else _FIRST_RANDOM_ID_PUBLISHED
    random_ids = torch.randint(lowest, n_tokens, whole, generator=generator, device=source)
    random_ids = random_ids[piece::pieces].to(tokens.device)
    fate = draw()
    to_random = selected & (fate < 0.1)
    to_keep = fate >= (0.9 if scheme == "exact" else 0.91)
    masked = tokens.masked_fill(selected & ~to_random & ~to_keep, MASK_ID)
    masked = torch.where(to_random, random_ids, masked)
    return Masked(masked, selected, tokens[selected])
