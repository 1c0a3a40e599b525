"""The two stages of training, each a nest of groups."""

from __future__ import annotations

from dataclasses import dataclass, field

from umpire_training.options.encoders import (
    AugmentOptions,
    ContextOptions,
    GeneOptions,
    MaskOptions,
    VisionOptions,
    VisiumformerOptions,
)
from umpire_training.options.objectives import ContrastOptions, RecOptions, TargetOptions
from umpire_training.options.training import OptimOptions, TrainerOptions

__all__ = ["AlignSettings", "PretrainSettings"]


def _align_optim() -> OptimOptions:
    return OptimOptions(weight_decay=1e-3)


@dataclass(kw_only=True)
class PretrainSettings:
    """Masked-token pre-training of a gene encoder.

    Parameters
    ----------
    encoder
        Shape of the Visiumformer.
    mask
        Masking.
    optim
        Optimiser.
    trainer
        Length and engine.
    length_buckets
        Steps take spots with about equally many genes, so that hardly any padding is computed: up
        to a quarter of the time where depths differ much. A pass takes every spot once as before.
    """

    encoder: VisiumformerOptions = field(default_factory=VisiumformerOptions)
    mask: MaskOptions = field(default_factory=MaskOptions)
    optim: OptimOptions = field(default_factory=OptimOptions)
    trainer: TrainerOptions = field(default_factory=TrainerOptions)
    length_buckets: bool = False


@dataclass(kw_only=True)
class AlignSettings:
    """Alignment of an image encoder and a gene encoder.

    Parameters
    ----------
    gene
        Gene encoder.
    vision
        Image encoder.
    dim
        Width of the aligned space.
    adapter
        Add the residual adapters (UMPIRE-ADAPTER).
    temperature
        Factor of the cosine at the start; it is learned.
    input_noise
        Sd of Gaussian noise on the cached image features while training; 0: none.
    context
        Slide context of the image features.
    contrast
        The contrastive loss.
    target
        Targets of the contrastive loss.
    rec
        Reconstruction.
    augment
        Changes of the patches.
    optim
        Optimiser.
    trainer
        Length and engine.
    head_optim
        Optimiser of the second phase: see head_trainer.
    head_trainer
        A trained image encoder with slide context needs two phases: the encoder is trained
        without context, then frozen, and the projection is trained on its features in context.
    """

    gene: GeneOptions = field(default_factory=GeneOptions)
    vision: VisionOptions = field(default_factory=VisionOptions)
    dim: int = 512
    adapter: bool = False
    temperature: float = 1 / 0.07
    input_noise: float = 0.0
    context: ContextOptions = field(default_factory=ContextOptions)
    contrast: ContrastOptions = field(default_factory=ContrastOptions)
    target: TargetOptions = field(default_factory=TargetOptions)
    rec: RecOptions = field(default_factory=RecOptions)
    augment: AugmentOptions = field(default_factory=AugmentOptions)
    optim: OptimOptions = field(default_factory=_align_optim)
    trainer: TrainerOptions = field(default_factory=TrainerOptions)
    head_optim: OptimOptions = field(default_factory=_align_optim)
    head_trainer: TrainerOptions = field(default_factory=TrainerOptions)
