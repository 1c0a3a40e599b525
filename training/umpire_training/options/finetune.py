"""Fine-tuning of an aligned model on a paired set (the paper's appendix B.2)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from umpire_training.options.encoders import AugmentOptions
from umpire_training.options.objectives import ContrastOptions, RecOptions, TargetOptions
from umpire_training.options.training import OptimOptions, TrainerOptions

__all__ = ["FinetuneSettings"]


def _optim() -> OptimOptions:
    return OptimOptions(lr=1e-4, weight_decay=1e-3)


def _trainer() -> TrainerOptions:
    return TrainerOptions(epochs=50, patience=5, val_fraction=0.2, batch_size=128)


@dataclass(kw_only=True)
class FinetuneSettings:
    """Fine-tuning of an aligned model.

    Parameters
    ----------
    mode
        "full": both encoders, projections and temperature. "adapter": projections and residual
        adapters; encoders and temperature stay, and adapters are added where the model has none.
    train_gene
        full: train the gene encoder too; false keeps it as it is.
    input_noise
        adapter: sd of Gaussian noise on the cached image features while training; 0: none.
    contrast
        The contrastive loss.
    target
        Targets of the contrastive loss.
    augment
        full: changes of the patches.
    optim
        Optimiser; the paper's learning rate 1e-4, weight decay 1e-3, no warm-up.
    trainer
        Length and engine; the paper's 50 epochs, patience 5, 80/20 split.
    head_optim
        Optimiser of the second phase: see head_trainer.
    head_trainer
        full, of a model that sees a spot in the context of its slide: the encoders are trained on
        lone patches first, then kept, and the projections are trained on features in context.
    """

    mode: Literal["full", "adapter"] = "full"
    train_gene: bool = True
    input_noise: float = 0.0
    contrast: ContrastOptions = field(default_factory=ContrastOptions)
    target: TargetOptions = field(default_factory=TargetOptions)
    augment: AugmentOptions = field(default_factory=AugmentOptions)
    optim: OptimOptions = field(default_factory=_optim)
    trainer: TrainerOptions = field(default_factory=_trainer)
    head_optim: OptimOptions = field(default_factory=_optim)
    head_trainer: TrainerOptions = field(default_factory=_trainer)
    # No option: what the objective asks of an alignment, answered for a fine-tuning.
    rec: ClassVar[RecOptions] = RecOptions(weight=0.0)
