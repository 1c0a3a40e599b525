"""Masked-token pre-training of a Visiumformer, as a Lightning module and its data set.

Importing this module imports lightning: call `installed.ready_lightning` first.
"""

from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import Dataset

from napari_umpire.genes.tokens import PAD_ID
from umpire_training.corpus.read_ahead import ReadAhead
from umpire_training.engine.flops import training_flops
from umpire_training.engine.sharding import shard
from umpire_training.objectives.optimizer import make_optimizer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig

    from napari_umpire.models.visiumformer import Visiumformer
    from umpire_training.corpus.shards import TokenShards
    from umpire_training.options import MaskOptions, OptimOptions

__all__ = ["MaskedTokens", "TokenRows"]


class TokenRows(Dataset):
    """Batches of a token corpus: an array of rows in, (B, length) int64 out.

    Rows may also come as a batch that `ahead` has begun to read.

    Parameters
    ----------
    sources
        name and first_row of the slides in the corpus, in order.
    """

    def __init__(self, tokens: TokenShards, sources: Sequence[Mapping[str, Any]] = ()) -> None:
        self.tokens = tokens
        self._names = [source["name"] for source in sources]
        self._starts = np.array([source["first_row"] for source in sources], np.int64)

    def where(self, rows: np.ndarray) -> list[str]:
        """The slide of each row."""
        return [self._names[i] for i in np.searchsorted(self._starts, rows, side="right") - 1]

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, rows: np.ndarray | Future[np.ndarray]) -> Tensor:
        return torch.from_numpy(rows.result() if isinstance(rows, Future) else self._read(rows))

    def ahead(self, sampler: Any) -> ReadAhead:
        """The sampler, with the next batches read while the present one is trained on."""
        return ReadAhead(sampler, self._read)

    def _read(self, rows: np.ndarray) -> np.ndarray:
        return self.tokens.gather(rows, np.int64)


class MaskedTokens(LightningModule):
    """Cross entropy on the masked positions (`Visiumformer.masked_logits`), AdamW on everything.

    The loss of a step is the mean over all its masked positions, and the masks depend on seed and
    step alone. So neither depends on how many processes and batches the spots of the step are cut
    into; a mean of the batches' means would weight a position by the depth of its neighbours.
    """

    def __init__(
        self,
        encoder: Visiumformer,
        mask: MaskOptions,
        optim: OptimOptions,
        total_steps: int,
        *,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.encoder, self.mask, self.optim, self.total_steps = encoder, mask, optim, total_steps
        self.seed = seed
        # Of the batches of this step so far, in this process.
        self._sum, self._n = torch.zeros(()), 0

    def configure_model(self) -> None:
        """Cut the weights over the processes, under FSDP."""
        shard(self)

    def _masked(self, tokens: Tensor, number: int, part: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Logits (n, n_tokens) at the masked positions, and the tokens that were there, (n,)."""
        generator = torch.Generator(self.device)
        generator.manual_seed(self.seed * 1_000_003 + number)
        return self.encoder.masked_logits(
            tokens, generator, p=self.mask.probability, scheme=self.mask.scheme, part=part
        )

    @property
    def _scale(self) -> float:
        """Masked positions expected of a spot: it keeps what is added up near the true loss."""
        return max(1.0, self.mask.probability * self.encoder.config.length)

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        """The sum of one batch of tokens, which `on_before_optimizer_step` makes a mean."""
        accumulate, world = self.trainer.accumulate_grad_batches, self.trainer.world_size
        turn = batch_idx % accumulate
        if turn == 0:
            self._sum, self._n = torch.zeros((), device=self.device), 0
        part = (turn * world + self.trainer.global_rank, accumulate * world)
        logits, labels = self._masked(batch, self.trainer.global_step, part)
        total, n = F.cross_entropy(logits, labels, reduction="sum"), len(labels)
        if accumulate * world == 1:
            loss = total / max(n, 1)
            self.log("train_loss", loss, prog_bar=True, batch_size=len(batch))
            return loss
        self._sum, self._n = self._sum + total.detach(), self._n + n
        return total * accumulate / self._scale  # Lightning divides by accumulate

    def on_before_optimizer_step(self, optimizer: Any) -> None:
        """Divide the sum of all batches by the number of masked positions in them."""
        world = self.trainer.world_size
        if self.trainer.accumulate_grad_batches * world == 1:
            return
        terms = torch.stack([self._sum, self._sum.new_tensor(float(self._n))])
        terms = cast("Tensor", self.trainer.strategy.reduce(terms, reduce_op="sum"))
        n = max(float(terms[1]), 1.0)
        self.log("train_loss", terms[0] / n, prog_bar=True)
        # The processes' gradients were averaged.
        factor = world * self._scale / n
        for parameter in self.parameters():
            if parameter.grad is not None:
                parameter.grad.mul_(factor)

    def flops(self, batch: Tensor) -> Tensor:
        """Floating-point operations that a training step on ``batch`` needs."""
        lengths = (batch != PAD_ID).sum(dim=1)
        return training_flops(self.encoder.config, lengths, self.mask.probability)

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        """Held-out loss, and the share of masked tokens named right; masks alike in every round."""
        number = batch_idx * self.trainer.world_size + self.trainer.global_rank
        logits, labels = self._masked(batch, -1 - number, (0, 1))
        n = max(len(labels), 1)
        loss = F.cross_entropy(logits, labels, reduction="sum") / n
        right = (logits.argmax(dim=1) == labels).sum() / n
        self.log("val_loss", loss, prog_bar=True, batch_size=len(batch), sync_dist=True)
        # Each masked token counts the same, whichever batch it is in.
        self.log("val_accuracy", right, prog_bar=True, batch_size=n, sync_dist=True)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """AdamW with the schedule per step."""
        return make_optimizer(self.parameters(), self.total_steps, self.optim)
