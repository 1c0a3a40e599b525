"""The optimiser, and its learning rate by step."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from napari_umpire.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
    from torch.nn import Parameter

    from umpire_training.options import OptimOptions

__all__ = ["learning_rate", "make_optimizer"]


def learning_rate(step: int, total: int, options: OptimOptions) -> float:
    """Learning rate of optimiser step ``step``, counted from 0.

    With T = ``total``, w = warm-up steps and warm(e) = min(1, e / w):

    - "published" (Tables S3, S4 as the authors' code runs them):
      max(min_lr, lr * 0.5 (1 + cos(pi e / T)) * warm(e)). The cosine starts at step 0, so the
      peak is below ``lr``, and the floor holds from step 0 on.
    - "shifted": max(min_lr, lr * warm(e)) while warming up, then the cosine from w to T.
    - "constant": max(min_lr, lr * warm(e)).

    Steps beyond T stay at the floor, where the published formula would rise again.

    Raises
    ------
    InputError
        For another schedule.
    """
    warm = min(1.0, step / options.warmup_steps) if options.warmup_steps > 0 else 1.0
    if options.schedule == "constant":
        factor = warm
    elif options.schedule == "published":
        factor = warm * _cosine(step, total)
    elif options.schedule == "shifted":
        after = step - options.warmup_steps
        factor = warm if after <= 0 else _cosine(after, total - options.warmup_steps)
    else:
        raise InputError(
            "Unknown schedule of the learning rate",
            got=repr(options.schedule),
            expected="published, shifted or constant",
        )
    return max(min(options.min_lr, options.lr), options.lr * factor)


def _cosine(step: int, total: int) -> float:
    return 0.5 * (1.0 + math.cos(math.pi * min(1.0, step / max(total, 1))))


def make_optimizer(
    parameters: Iterable[Parameter], total: int, options: OptimOptions
) -> OptimizerLRSchedulerConfig:
    """AdamW over ``parameters`` with `learning_rate` per step, as Lightning takes it.

    Weight decay is on all of them (as published, no exclusions).
    """
    import torch

    optimizer = torch.optim.AdamW(
        parameters, lr=options.lr, weight_decay=options.weight_decay, fused=True
    )
    scheduler = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: learning_rate(step, total, options) / options.lr
    )
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}
