"""Losses that hold image embeddings against gene embeddings."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["contrastive_loss", "margin_loss", "soft_targets"]


def contrastive_loss(
    image: Tensor,
    gene: Tensor,
    logit_scale: Tensor,
    targets: Tensor | None = None,
    *,
    symmetric: bool = True,
) -> Tensor:
    """Mean of the two cross entropies, image -> gene and gene -> image (eq. 6).

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
    symmetric
        False: image -> gene alone (InfoNCE).
    """
    logits = logit_scale.exp() * image @ gene.T
    if targets is None:
        targets = torch.arange(len(logits), device=logits.device)
    forth = F.cross_entropy(logits, targets)
    return 0.5 * (forth + F.cross_entropy(logits.T, targets)) if symmetric else forth


def margin_loss(image: Tensor, gene: Tensor, margin: float) -> Tensor:
    """Pull pairs together, push others to a distance (Hadsell et al. 2006, eq. 4).

    Mean of d^2 / 2 over pairs plus mean of max(0, margin - d)^2 / 2 over the others, d the
    Euclidean distance: with B - 1 others to a pair, one mean over all would forget the pairs.

    Parameters
    ----------
    image, gene
        (B, dim), L2-normalised; row i of each belongs to the same spot.
    """
    # Of unit vectors; the floor keeps the square root's slope finite where two are the same.
    distance = (2 - 2 * image @ gene.T).clamp_min(1e-8).sqrt()
    pairs = torch.eye(len(image), dtype=torch.bool, device=image.device)
    loss = 0.5 * distance[pairs].square().mean()
    if len(image) > 1:
        loss = loss + 0.5 * (margin - distance[~pairs]).clamp_min(0).square().mean()
    return loss


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
