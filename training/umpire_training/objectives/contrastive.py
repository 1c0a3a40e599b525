"""The symmetric contrastive loss, against one-hot or soft targets."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["contrastive_loss", "soft_targets"]


def contrastive_loss(
    image: Tensor, gene: Tensor, logit_scale: Tensor, targets: Tensor | None = None
) -> Tensor:
    """Mean of the two cross entropies, image -> gene and gene -> image.

    logits = exp(logit_scale) * image @ gene.T; the candidates are the batch.

    Parameters
    ----------
    image, gene
        (B, dim), L2-normalised; row i of each belongs to the same spot.
    logit_scale
        Scalar, log of the factor of the cosine.
    targets
        (B, B), rows sum to 1, from `soft_targets`; None: each spot's own pair. The similarity
        between spots is symmetric, so the same rows serve both directions.
    """
    logits = logit_scale.exp() * image @ gene.T
    if targets is None:
        targets = torch.arange(len(logits), device=logits.device)
    return 0.5 * (F.cross_entropy(logits, targets) + F.cross_entropy(logits.T, targets))


def soft_targets(space: Tensor, scale: float) -> Tensor:
    """Softmax over the batch of ``scale`` * cosine between spots, detached.

    Spots that express alike are not each other's negatives.

    Parameters
    ----------
    space
        (B, D) where the cosine is taken.

    Returns
    -------
    (B, B), rows sum to 1.
    """
    unit = F.normalize(space.detach().float(), dim=1)
    return torch.softmax(scale * unit @ unit.T, dim=1)
