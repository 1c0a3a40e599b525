"""Classification of bags: the Lightning module and its data set.

Importing this module imports lightning: call `installed.ready_lightning` first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import Dataset

if TYPE_CHECKING:
    from napari_umpire.models.abmil import Abmil
    from umpire_training.options.mil import AdamOptions
    from umpire_training.stages.mil_bags import Bags

__all__ = ["BagClassifier", "BagRows"]


class BagRows(Dataset):
    """Rows of patients in; (B, n, dim) tiles, (B, n) mask, (B,) classes out, n the longest bag."""

    def __init__(self, bags: Bags, codes: np.ndarray) -> None:
        self.bags, self.codes = bags, codes

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, rows: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        bags = [self.bags.bag(int(row)) for row in rows]
        longest = max(len(bag) for bag in bags)
        tiles = np.zeros((len(bags), longest, self.bags.dim), np.float32)
        mask = np.zeros((len(bags), longest), np.bool_)
        for i, bag in enumerate(bags):
            tiles[i, : len(bag)], mask[i, : len(bag)] = bag, True
        return torch.from_numpy(tiles), torch.from_numpy(mask), torch.from_numpy(self.codes[rows])


class BagClassifier(LightningModule):
    """Cross entropy of the bag's class, Adam at a constant rate."""

    def __init__(self, head: Abmil, optim: AdamOptions) -> None:
        super().__init__()
        self.head, self.optim = head, optim

    def _loss(self, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        tiles, mask, codes = batch
        return F.cross_entropy(self.head(tiles, mask).logits, codes)

    def training_step(self, batch: tuple[Tensor, Tensor, Tensor], batch_idx: int) -> Tensor:
        """Loss of some bags."""
        loss = self._loss(batch)
        self.log("train_loss", loss, prog_bar=True, batch_size=len(batch[2]))
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor, Tensor], batch_idx: int) -> None:
        """Held-out loss."""
        self.log("val_loss", self._loss(batch), prog_bar=True, batch_size=len(batch[2]))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam on all parameters."""
        return torch.optim.Adam(
            self.parameters(), lr=self.optim.lr, weight_decay=self.optim.weight_decay
        )
