"""Slide status: what goes into a bag, the head, its optimiser, and how it is validated."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from umpire_training.options.training import TrainerOptions

__all__ = ["AdamOptions", "HeadOptions", "MilSettings", "TileOptions", "ValidationOptions"]


@dataclass(kw_only=True)
class TileOptions:
    """Which pieces of a slide go into a bag.

    Parameters
    ----------
    kind
        "square": a grid over the tissue of any slide; "spots": the slides' own spots.
    field_um
        Edge of the field around each, um (the paper's 256 px at 20x are 128 um).
    pitch_um
        Distance of the centres of the square grid, um.
    source
        "features": what the image encoder gives, before the projection; "embedding": after it.
    standardise
        Z-score the input by the tiles of the training patients; the paper says nothing of it.
    """

    kind: Literal["square", "spots"] = "square"
    field_um: float = 128.0
    pitch_um: float = 128.0
    source: Literal["features", "embedding"] = "features"
    standardise: bool = True


@dataclass(kw_only=True)
class HeadOptions:
    """Sizes of the ABMIL head.

    Parameters
    ----------
    hidden
        Units of a ReLU layer before the attention; 0: none.
    attention
        Units of the gated attention (Ilse et al.: 128).
    dropout
        Of what is pooled; 0: none.
    """

    hidden: int = 0
    attention: int = 128
    dropout: float = 0.0


@dataclass(kw_only=True)
class AdamOptions:
    """Adam at a constant learning rate.

    Parameters
    ----------
    lr
        Learning rate (the paper's 5e-4).
    weight_decay
        L2 penalty in the gradient (Ilse et al.: 1e-4; the paper gives none).
    clip_norm
        Clip the gradient norm to this; null for no clipping.
    """

    lr: float = 5e-4
    weight_decay: float = 1e-4
    clip_norm: float | None = None


@dataclass(kw_only=True)
class ValidationOptions:
    """Cross-validation by patient, and its control.

    Parameters
    ----------
    folds
        Folds; as many as there are patients where those are fewer.
    permutations
        Runs of the whole cross-validation with labels shuffled among the patients; 0: none.
    permuted_epochs
        Epochs of those runs at most; null: as the real one.
    """

    folds: int = 5
    permutations: int = 5
    permuted_epochs: int | None = None


def _mil_trainer() -> TrainerOptions:
    return TrainerOptions(epochs=50, patience=5, batch_size=1, val_fraction=0.2, log_every=50)


@dataclass(kw_only=True)
class MilSettings:
    """Training of a slide-status head.

    Parameters
    ----------
    tiles
        What goes in.
    head
        Sizes.
    optim
        Optimiser.
    validation
        Folds and control.
    trainer
        Length and engine; batch_size counts bags, val_fraction patients held out of the training
        ones for early stopping.
    """

    tiles: TileOptions = field(default_factory=TileOptions)
    head: HeadOptions = field(default_factory=HeadOptions)
    optim: AdamOptions = field(default_factory=AdamOptions)
    validation: ValidationOptions = field(default_factory=ValidationOptions)
    trainer: TrainerOptions = field(default_factory=_mil_trainer)
