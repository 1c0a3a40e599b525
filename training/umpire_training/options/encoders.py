"""What is trained: the encoders and what the image branch sees."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

__all__ = [
    "AugmentOptions",
    "ContextOptions",
    "GeneOptions",
    "MaskOptions",
    "ProjectionOptions",
    "VisionOptions",
    "VisiumformerOptions",
]


@dataclass(kw_only=True)
class VisiumformerOptions:
    """The shape of the rank transformer (Table S3).

    Parameters
    ----------
    dim
        Width of a token.
    heads
        Attention heads.
    feedforward
        Width of the feed-forward layer.
    layers
        Transformer blocks.
    dropout
        Dropout inside the blocks.
    pooling
        "masked_mean" over the spot's tokens, or "published" (positions 3.., padding included).
    """

    dim: int = 512
    heads: int = 16
    feedforward: int = 1024
    layers: int = 12
    dropout: float = 0.0
    pooling: Literal["masked_mean", "published"] = "masked_mean"


@dataclass(kw_only=True)
class MaskOptions:
    """Masked-token prediction.

    Parameters
    ----------
    probability
        Each token is selected with this probability.
    scheme
        "exact": 80 % masked, 10 % random gene, 10 % kept; "published": as the authors' code
        draws them (81/10/9, auxiliary ids among the random ones).
    """

    probability: float = 0.15
    scheme: Literal["exact", "published"] = "exact"


@dataclass(kw_only=True)
class ProjectionOptions:
    """From the features of the gene encoder to the shared space.

    Parameters
    ----------
    hidden
        Units of a hidden layer; 0, as published: none, the projection is linear.
    dropout
        Of the features and of the hidden layer.
    """

    hidden: int = 0
    dropout: float = 0.0


@dataclass(kw_only=True)
class GeneOptions:
    """The gene encoder of the aligned pair.

    Parameters
    ----------
    kind
        "visiumformer" reads rank tokens; "mlp" (GeneMLP) and "trans" (the paper's *Trans.*, with
        the blocks of a visiumformer) read the log expression of a panel of genes.
    pretrained
        Run folder of `pretrain` that the Visiumformer starts from; null: from scratch, with the
        shape given in `shape`.
    train
        Train the encoder, or keep it frozen.
    shape
        Shape of a Visiumformer from scratch, or of a trans; ignored where `pretrained` is given.
    levels
        visiumformer: what is pooled and concatenated; 0 is the embeddings, i the output of the
        i-th block, -1 that of the last.
    standardise
        Z-score the features of a frozen encoder by their statistics over the training spots.
    projection
        What follows the features.
    panel_genes
        mlp, trans: number of genes of the panel, chosen on the training spots; 1,500 in the paper.
    panel_choice
        mlp, trans: the genes of highest variance of log expression ("VAR"), or scanpy's highly
        variable genes ("HVG"), as in the paper.
    hidden
        mlp: widths of the hidden layers.
    features
        mlp: width of its output.
    dropout
        mlp: dropout.
    """

    kind: Literal["visiumformer", "mlp", "trans"] = "visiumformer"
    pretrained: str | None = None
    train: bool = True
    shape: VisiumformerOptions = field(default_factory=VisiumformerOptions)
    levels: list[int] = field(default_factory=lambda: [-1])
    standardise: bool = False
    projection: ProjectionOptions = field(default_factory=ProjectionOptions)
    panel_genes: int = 1500
    panel_choice: Literal["VAR", "HVG"] = "VAR"
    hidden: list[int] = field(default_factory=lambda: [512])
    features: int = 256
    dropout: float = 0.3


@dataclass(kw_only=True)
class VisionOptions:
    """The image encoder of the aligned pair.

    Parameters
    ----------
    name
        "phikon", "uni", "uni2-h", "conch", "virchow2", "h-optimus-0", "h-optimus-1", a timm
        name, "hf-hub:...", or one of this package's own encoders.
    weights
        A local weights file, or "hub" to download. Null: of a published name, the file in the
        folder UMPIRE_WEIGHTS or in the hub's cache; a "hf-hub:" name is downloaded; of a timm name
        or one of this package's, none: from scratch.
    train
        Train the encoder, or keep it frozen.
    last_blocks
        Train only so many of a ViT's last blocks and what follows them; null: all.
    kwargs
        More arguments of the encoder's constructor.
    """

    name: str = "umpire-small"
    weights: str | None = None
    train: bool = True
    last_blocks: int | None = None
    kwargs: dict = field(default_factory=dict)


@dataclass(kw_only=True)
class AugmentOptions:
    """Changes of the patches while training; none by default, as published.

    Parameters
    ----------
    dihedral
        Random flips and quarter turns.
    stain
        Strength of the random change of haematoxylin, eosin and residual (HED jitter); 0: none.
    """

    dihedral: bool = False
    stain: float = 0.0


@dataclass(kw_only=True)
class ContextOptions:
    """What a spot's image features learn from its slide.

    Parameters
    ----------
    neighbours
        Append the mean features of so many nearest spots, at most; 0: none.
    standardise
        z-score the features over the slide.
    reach
        How far away such a spot may be, in spot pitches: 1.6 holds the adjacent ones, the 6 of
        Visium or the 8 of a square grid; 4.3 the 48 nearest of a square grid.
    """

    neighbours: int = 0
    standardise: bool = False
    reach: float = 1.6
