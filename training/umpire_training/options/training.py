"""How training runs: optimiser, schedule, length, engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["OptimOptions", "TrainerOptions"]

Precision = Literal["32-true", "bf16-mixed", "16-mixed", "bf16-true", "16-true", "64-true"]


@dataclass(kw_only=True)
class OptimOptions:
    """AdamW and its learning-rate schedule.

    Parameters
    ----------
    lr
        Peak learning rate.
    min_lr
        The learning rate never goes below this.
    weight_decay
        Decoupled weight decay, on all parameters.
    warmup_steps
        Steps of linear warm-up.
    schedule
        "published": cosine that starts at step 0 and is multiplied by the warm-up;
        "shifted": cosine that starts when the warm-up ends; "constant": warm-up, then flat.
    clip_norm
        Clip the gradient norm to this; null for no clipping.
    """

    lr: float = 1e-4
    min_lr: float = 1e-5
    weight_decay: float = 0.1
    warmup_steps: int = 0
    schedule: Literal["published", "shifted", "constant"] = "published"
    clip_norm: float | None = None


@dataclass(kw_only=True)
class TrainerOptions:
    """How long, on what, and how often to look up.

    Parameters
    ----------
    max_steps
        Optimiser steps. Give this or epochs.
    epochs
        Passes over the training spots. Give this or max_steps.
    batch_size
        Spots on one device at a time; for the contrastive loss also the number of candidates.
    accumulate
        Batches per optimiser step: their gradients add up to that of one large batch, in the
        memory of a small one. Not for the contrastive loss, whose candidates are the batch:
        see contrast.chunk.
    round_steps
        Steps of a round; after each the held-out loss is measured and a checkpoint written.
        Null: one pass over the training spots.
    val_fraction
        Fraction of spots held out for the loss that is watched.
    patience
        Stop after so many rounds without a better held-out loss; null: never.
    accelerator
        Where to compute; "auto" takes a GPU where there is one.
    devices
        Number of devices of one computer, or "auto" for all; left out under torchrun and SLURM,
        which say it themselves.
    num_nodes
        Number of computers; left out under torchrun and SLURM.
    strategy
        How devices work together: "ddp" (each has the whole model; "auto" with several devices),
        "ddp_find_unused_parameters_true", or "fsdp" (weights, gradients and optimiser state are
        cut over the devices).
    precision
        "bf16-mixed" computes in half precision where that is safe and keeps whole weights: the
        fastest on new GPUs and CPUs. "16-mixed" is for GPUs without bfloat16.
    workers
        Processes that load batches; 0 loads in the training process.
    log_every
        Steps between lines of the metrics file.
    progress_bar
        Show a progress bar on the terminal.
    """

    max_steps: int | None = None
    epochs: int | None = None
    batch_size: int = 64
    accumulate: int = 1
    round_steps: int | None = None
    val_fraction: float = 0.1
    patience: int | None = None
    accelerator: Literal["auto", "cpu", "gpu", "cuda", "mps"] = "auto"
    devices: int | str = 1
    num_nodes: int = 1
    strategy: str = "auto"
    precision: Precision = "32-true"
    workers: int = 0
    log_every: int = 10
    progress_bar: bool = True
