"""What an alignment is trained towards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["ContrastOptions", "RecOptions", "TargetOptions"]


@dataclass(kw_only=True)
class ContrastOptions:
    """How image and gene embeddings are held against each other.

    Parameters
    ----------
    kind
        "symmetric": both directions (eq. 6); "one-sided": image to gene alone (InfoNCE);
        "margin": distances of pairs, and of others below a margin (Hadsell et al. 2006). All but
        the first are the paper's ablation (appendix A.4).
    weight
        Weight of the loss; 0: none, the reconstruction trains alone (UMPIRE-REC). The model then
        has an image encoder and a decoder, no gene encoder, and nothing to retrieve with.
    margin
        margin: Euclidean distance, of embeddings of length 1, beyond which others do not count.
    across_ranks
        Candidates are the batches of all processes, and gradients flow to all; false, as
        published: each process has its own.
    chunk
        Compute trained encoders so many spots at a time, twice, so that memory holds one chunk
        while the loss sees the whole batch; null: all at once.
    """

    kind: Literal["symmetric", "one-sided", "margin"] = "symmetric"
    weight: float = 1.0
    margin: float = 1.0
    across_ranks: bool = False
    chunk: int | None = None


@dataclass(kw_only=True)
class TargetOptions:
    """What the contrastive loss pulls towards.

    Parameters
    ----------
    kind
        "one-hot": only a spot's own pair; "soft": softmax(scale * cosine) between spots.
    space
        Where the cosine of soft targets is taken: "expression" (z-scored log expression of the
        most variable genes) or "embedding" (the gene embeddings of the batch, detached). A gene
        encoder that is trained towards its own embeddings can make all of them alike, which
        lowers the loss and says nothing.
    scale
        The factor before the softmax.
    genes
        expression: number of most variable genes, chosen on the training spots.
    components
        expression: keep so many principal components; null: none are taken.
    whiten
        expression: divide each component by its standard deviation, so that all weigh alike.
    """

    kind: Literal["one-hot", "soft"] = "one-hot"
    space: Literal["embedding", "expression"] = "expression"
    scale: float = 5.0
    genes: int = 1000
    components: int | None = None
    whiten: bool = False


@dataclass(kw_only=True)
class RecOptions:
    """Reconstruction of expression from the image (UMPIRE-REC, eq. 7), z-scored per gene.

    The decoder stays in the model, which can then predict without a reference.

    Parameters
    ----------
    weight
        Weight of the error beside the contrastive loss; 0: no reconstruction.
    error
        "mse", or "l1" as in the paper's ablation (appendix A.4).
    genes
        Number of most variable genes, chosen on the training spots, that are reconstructed and
        later predicted; null: all genes of the vocabulary that every slide measured.
    hidden
        Width of the decoder's hidden layer; 0: none, the decoder is linear.
    """

    weight: float = 0.0
    error: Literal["mse", "l1"] = "mse"
    genes: int | None = 1500
    hidden: int = 512
