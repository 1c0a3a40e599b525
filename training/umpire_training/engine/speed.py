"""How fast a training goes: spots per second, the share of the device's peak, what is left.

Importing this module imports lightning: call `installed.ready_lightning` first.
"""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import torch
from lightning.fabric.utilities.throughput import Throughput
from lightning.pytorch.callbacks import Callback, TQDMProgressBar

from umpire_training.engine.flops import measure_peak
from umpire_training.run_folder import logger

if TYPE_CHECKING:
    from lightning.pytorch import LightningModule, Trainer

__all__ = ["RoundBar", "RoundLines", "Speed"]

_PAUSE = 10.0
"""Seconds from one line of the log to the next, at least."""


class Speed(Callback):
    """Logs ``spots_per_s``, of all devices together, and ``mfu``; for batches of spots only.

    mfu (model FLOPs utilisation) is what the model needed, without padding, as a share of what
    matrix products in the precision of the training reach on this device. It is there for modules
    that have ``flops``. The first step, and looks at the held-out spots, do not count.

    Parameters
    ----------
    every
        Steps between two readings.
    """

    def __init__(self, every: int) -> None:
        self.every = every
        self.spots_per_s: float | None = None
        self.mfu: float | None = None
        self._seconds, self._batches, self._spots = 0.0, 0, 0
        self._flops: Any = 0.0

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Find the peak of the device, then start the clock."""
        peak = None
        if hasattr(module, "flops"):
            half = {"b": torch.bfloat16, "1": torch.float16}
            dtype = half.get(str(trainer.precision)[0], torch.float32)
            peak = measure_peak(module.device, dtype)
        self._throughput = Throughput(peak, trainer.world_size, window_size=2)
        self._begun = time.perf_counter()

    def on_train_epoch_start(self, trainer: Trainer, module: LightningModule) -> None:
        """The clock goes on after a pause."""
        self._begun = time.perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count a batch; read off at every few steps."""
        spots, flops_of = _spots(batch), getattr(module, "flops", None)
        if not spots:
            return
        self._batches, self._spots = self._batches + 1, self._spots + spots
        if callable(flops_of):
            self._flops = self._flops + flops_of(batch)
        stepped = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        first = self._batches == trainer.accumulate_grad_batches
        if not first and not (stepped and trainer.global_step % self.every == 0):
            return
        flops, self._flops = float(self._flops), 0.0  # waits for a GPU
        now = time.perf_counter()
        self._seconds, self._begun = self._seconds + now - self._begun, now
        self._throughput.update(
            time=self._seconds, batches=self._batches, samples=self._spots, flops=int(flops)
        )
        if not first:
            self._read(trainer, module)

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Stop the clock."""
        self._seconds += time.perf_counter() - self._begun

    def _read(self, trainer: Trainer, module: LightningModule) -> None:
        found = self._throughput.compute()
        rate = found["device/samples_per_sec"] * trainer.world_size
        self.spots_per_s, self.mfu = rate, found.get("device/mfu")
        module.log("spots_per_s", rate, batch_size=1)
        if self.mfu is not None:
            module.log("mfu", self.mfu, batch_size=1)

    def words(self) -> str:
        """Such as "812 spots/s, 41 % of the device's peak"; empty before the first reading."""
        if self.spots_per_s is None:
            return ""
        said = f"{_rate(self.spots_per_s)} spots/s"
        return said if self.mfu is None else f"{said}, {self.mfu:.0%} of the device's peak"


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def _spots(batch: Any) -> int:
    """Rows of a batch of spots, which is a tensor or a dict of them; bags come in a tuple."""
    first = next(iter(batch.values())) if isinstance(batch, dict) else batch
    return len(first) if isinstance(first, torch.Tensor) else 0


class RoundBar(TQDMProgressBar):
    """Lightning's bar, one round at a time, with the speed."""

    def __init__(self, speed: Speed, rounds: int) -> None:
        super().__init__()
        self.speed, self.rounds = speed, rounds

    def on_train_epoch_start(self, trainer: Trainer, *args: Any) -> None:
        """Begin a round."""
        super().on_train_epoch_start(trainer, *args)
        self.train_progress_bar.set_description(f"round {trainer.current_epoch + 1}/{self.rounds}")

    def get_metrics(self, trainer: Trainer, module: LightningModule) -> dict[str, Any]:
        """Losses, and the speed in words."""
        shown: dict[str, Any] = super().get_metrics(trainer, module)
        shown.pop("v_num", None)
        if self.speed.spots_per_s is not None:
            shown["spots/s"] = _rate(self.speed.spots_per_s)
        if self.speed.mfu is not None:
            shown["MFU"] = f"{self.speed.mfu:.0%}"
        return shown


class RoundLines(Callback):
    """A line in the log after a round; on the console too where no bar is shown.

    Rounds that are over in a moment share a line.
    """

    def __init__(self, speed: Speed, rounds: int, total_steps: int, *, console: bool) -> None:
        self.speed, self.rounds, self.total_steps = speed, rounds, total_steps
        self.console = console

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        """The time that is left is reckoned from here."""
        self._begun, self._first = time.monotonic(), trainer.global_step
        self._said = self._begun

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        """After a round with held-out spots."""
        self._say(trainer)

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        """After a round without."""
        if not trainer.enable_validation:
            self._say(trainer)

    def _say(self, trainer: Trainer) -> None:
        step, metrics, now = trainer.global_step, trainer.callback_metrics, time.monotonic()
        soon = now - self._said < _PAUSE and step < self.total_steps
        if soon or not trainer.is_global_zero:
            return
        self._said = now
        parts = [f"round {trainer.current_epoch + 1} of {self.rounds}", f"step {step:,}"]
        for name, words in (("train_loss", "loss"), ("val_loss", "held-out loss")):
            if name in metrics:
                parts.append(f"{words} {float(metrics[name]):.4g}")
        if "val_accuracy" in metrics:
            parts.append(f"held-out accuracy {float(metrics['val_accuracy']):.2%}")
        parts += [words] if (words := self.speed.words()) else []
        left = (now - self._begun) / max(step - self._first, 1)
        left *= self.total_steps - step
        if left >= 1:
            parts.append(f"{timedelta(seconds=round(left))} left")
        logger.info(", ".join(parts), extra={"file_only": not self.console})
