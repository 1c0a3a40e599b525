"""What happens beside the training step: seeds, a metrics file, checkpoints.

Importing this module imports lightning: call `installed.ready_lightning` first.
"""

from __future__ import annotations

import csv
import io
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from lightning.pytorch.plugins import TorchCheckpointIO

from napari_umpire.files import replace_file

if TYPE_CHECKING:
    from lightning.pytorch import LightningModule, Trainer

__all__ = [
    "MetricsFile",
    "SeedEachStep",
    "WholeCheckpoints",
    "make_checkpoint",
    "make_early_stopping",
]

_COLUMNS = (
    "step",
    "round",
    "train_loss",
    "val_loss",
    "val_accuracy",
    "lr",
    "scale",
    "spots_per_s",
    "mfu",
    "seconds",
)


class SeedEachStep(Callback):
    """torch's generators restart at every batch from (seed, number of the batch, rank):
    augmentation and dropout do not depend on whether the run was resumed.

    Parameters
    ----------
    round_batches
        Batches of a round in one process.
    """

    def __init__(self, seed: int, round_batches: int) -> None:
        self.seed, self.round_batches = seed, round_batches

    def on_train_batch_start(
        self, trainer: Trainer, module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Seed for this batch."""
        number = trainer.current_epoch * self.round_batches + batch_idx
        torch.manual_seed((self.seed * 1_000_003 + number) * 1_009 + trainer.global_rank)

    def on_validation_epoch_start(self, trainer: Trainer, module: LightningModule) -> None:
        """The same draws at every look at the held-out spots, so that losses compare."""
        torch.manual_seed(self.seed)


class MetricsFile(Callback):
    """metrics.csv: a line every few steps and one per round; a resumed run goes on in it."""

    def __init__(self, path: Path, every: int) -> None:
        self.path, self.every = path, every
        self.started = time.monotonic()

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Drop lines of steps that a resumed run will do again."""
        if not trainer.is_global_zero:
            return
        rows: list[dict[str, str]] = []
        if self.path.is_file() and trainer.global_step:
            with self.path.open(newline="", encoding="utf-8") as file:
                rows = [r for r in csv.DictReader(file) if int(r["step"]) <= trainer.global_step]
        with (
            replace_file(self.path) as written,
            written.open("w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, _COLUMNS)
            writer.writeheader()
            writer.writerows(rows)

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """A line every few steps."""
        stepped = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        if stepped and trainer.global_step % self.every == 0:
            self._write(trainer, train_loss=float(trainer.callback_metrics["train_loss"]))

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        """A line per round; only a pre-training has an accuracy."""
        found = trainer.callback_metrics
        names = [name for name in ("val_loss", "val_accuracy") if name in found]
        self._write(trainer, **{name: float(found[name]) for name in names})

    def _write(self, trainer: Trainer, **values: float) -> None:
        if not trainer.is_global_zero:
            return
        row = {
            "step": trainer.global_step,
            "round": trainer.current_epoch,
            "lr": trainer.optimizers[0].param_groups[0]["lr"],
            "seconds": round(time.monotonic() - self.started, 2),
            **values,
        }
        for name in ("scale", "spots_per_s", "mfu"):
            if name in trainer.callback_metrics:
                row[name] = float(trainer.callback_metrics[name])
        with self.path.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, _COLUMNS).writerow(row)


class WholeCheckpoints(TorchCheckpointIO):
    """Checkpoint files that are the old or the new one whole, whenever the process dies.

    Lightning's own way goes through the system's temporary folder, which is often on another disk,
    from where a file is copied, not moved.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Write beside the place, then rename."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        for left in path.parent.glob(f".*.{path.name}"):  # of a process that was killed
            left.unlink()
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        with replace_file(path) as written:
            written.write_bytes(buffer.getbuffer())


def make_checkpoint(folder: Path, *, watch: bool) -> ModelCheckpoint:
    """last.ckpt after every round and, where a held-out loss is watched, best.ckpt."""
    return ModelCheckpoint(
        dirpath=folder,
        filename="best" if watch else "round",
        monitor="val_loss" if watch else None,
        mode="min",
        save_top_k=1,
        save_last=True,
        enable_version_counter=False,
        save_on_train_epoch_end=not watch,
    )


def make_early_stopping(patience: int) -> EarlyStopping:
    """Stop after ``patience`` rounds without a better held-out loss.

    It looks where the checkpoint is written too: a resumed run begins after it, without a held-out
    loss to look at.
    """
    return EarlyStopping("val_loss", patience=patience, mode="min", check_on_train_epoch_end=False)
