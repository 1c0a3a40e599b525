"""Masked-token pre-training of a Visiumformer, as a Lightning module and its data set.

Importing this module imports lightning: call `engine.ready_lightning` first.
"""

from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.utils.data import Dataset

from umpire_training.corpus.read_ahead import ReadAhead
from umpire_training.objectives.schedule import make_optimizer

if TYPE_CHECKING:
    from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig

    from napari_umpire.models.visiumformer import Visiumformer
    from umpire_training.corpus.shards import TokenShards
    from umpire_training.options import MaskOptions, OptimOptions

__all__ = ["MaskedTokens", "TokenRows"]


class TokenRows(Dataset):
    """Batches of a token corpus: an array of rows in, (B, length) int64 out.

    Rows may also come as a batch that `ahead` has begun to read.
    """

    def __init__(self, tokens: TokenShards) -> None:
        self.tokens = tokens

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
    """Cross entropy on the masked positions (`Visiumformer.mlm_loss`), AdamW on all parameters."""

    def __init__(
        self, encoder: Visiumformer, mask: MaskOptions, optim: OptimOptions, total_steps: int
    ) -> None:
        super().__init__()
        self.encoder, self.mask, self.optim, self.total_steps = encoder, mask, optim, total_steps

    def _loss(self, tokens: Tensor) -> Tensor:
        return self.encoder.mlm_loss(tokens, p=self.mask.probability, scheme=self.mask.scheme)

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        """Loss of one batch of tokens."""
        loss = self._loss(batch)
        self.log("train_loss", loss, prog_bar=True, batch_size=len(batch))
        return loss

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        """Held-out loss, masks alike in every round."""
        self.log(
            "val_loss", self._loss(batch), prog_bar=True, batch_size=len(batch), sync_dist=True
        )

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """AdamW with the schedule per step."""
        return make_optimizer(self.parameters(), self.total_steps, self.optim)
