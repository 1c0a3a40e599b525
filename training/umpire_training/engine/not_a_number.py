"""A training that has broken down stops, names the batch, and keeps the last good checkpoint.

Importing this module imports lightning: call `installed.ready_lightning` first.
"""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch.callbacks import Callback

from umpire_training.errors import TrainingStopped
from umpire_training.run_folder import logger

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from lightning.pytorch import LightningModule, Trainer

    from umpire_training.engine.sampler import RoundSampler

__all__ = ["StopOnNan"]

_SHOWN = 5


class StopOnNan(Callback):
    """Ends the run at the first loss or weight that is not a number, before it is saved.

    Parameters
    ----------
    checkpoints
        Their folder.
    sampler
        The order of the spots in this process, from which the batch is known.
    data
        What batches come from. Where it has ``where`` (rows -> a name for each), slides are named.
    """

    def __init__(self, checkpoints: Path, sampler: RoundSampler, data: Any) -> None:
        self.checkpoints, self.sampler, self.data = checkpoints, sampler, data

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Look at the loss of a batch."""
        loss = outputs["loss"] if isinstance(outputs, dict) else outputs
        if torch.isfinite(loss).all():
            return
        self.sampler.set_epoch(trainer.current_epoch)
        rows = next(islice(self.sampler, batch_idx, None))
        logger.info("rows of the batch: %s", rows.tolist(), extra={"file_only": True})
        step = batch_idx // trainer.accumulate_grad_batches + 1
        self._stop(
            f"The loss became {float(loss)} at step {self._before(trainer) + step:,}, step {step} "
            f"of round {trainer.current_epoch + 1}, on {self._words(rows)}"
        )

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Look at the weights before a checkpoint is written."""
        self._look_at_weights(trainer, module)

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        """The same where there are no held-out spots."""
        self._look_at_weights(trainer, module)

    def _look_at_weights(self, trainer: Trainer, module: LightningModule) -> None:
        for name, weights in module.named_parameters():
            # Under FSDP each process has a part.
            own = weights.to_local() if hasattr(weights, "to_local") else weights
            if not torch.isfinite(own).all():
                self._stop(
                    f"The weights {name} are no longer numbers after step {trainer.global_step:,}, "
                    f"the end of round {trainer.current_epoch + 1}"
                )

    def _before(self, trainer: Trainer) -> int:
        return trainer.current_epoch * self.sampler.round_steps

    def _words(self, rows: np.ndarray) -> str:
        shown = ", ".join(map(str, rows[:_SHOWN].tolist()))
        said = f"a batch of {len(rows)} (rows {shown}{', ...' if len(rows) > _SHOWN else ''}"
        if hasattr(self.data, "where"):
            found = Counter(self.data.where(rows))
            names = [f"{n} of {name}" for name, n in found.most_common(_SHOWN)]
            left = len(found) - _SHOWN
            said += "; " + ", ".join(names) + (f" and {left} more" if left > 0 else "")
        return f"{said}; the log has them all)"

    def _stop(self, what: str) -> None:
        last = self.checkpoints / "last.ckpt"
        kept = f"The last good checkpoint is {last}" if last.is_file() else "No checkpoint yet"
        raise TrainingStopped(
            f"{what}. {kept}. Lower optim.lr or set optim.clip_norm, and start a new run."
        )
