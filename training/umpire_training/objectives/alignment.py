"""Alignment of two encoders, as a Lightning module.

Importing this module imports lightning: call `installed.ready_lightning` first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.nn import functional as F

from napari_umpire.errors import InputError
from umpire_training.engine.sharding import shard
from umpire_training.objectives.augment import augment
from umpire_training.objectives.chunks import in_chunks
from umpire_training.objectives.contrastive import contrastive_loss, margin_loss, soft_targets
from umpire_training.objectives.optimizer import make_optimizer

if TYPE_CHECKING:
    from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig

    from napari_umpire.models.umpire import Umpire
    from umpire_training.options import AlignSettings, FinetuneSettings, OptimOptions

__all__ = ["Alignment", "encoders_of"]


def encoders_of(model: Umpire) -> list[nn.Module]:
    """The encoders that ``model`` has: of images and, unless it decodes alone, of genes."""
    return [model.visual_backbone, *([model.spot_backbone] if model.config.aligned else [])]


class Alignment(LightningModule):
    """Contrastive loss between image and gene embeddings, a reconstruction, or both.

    loss = contrast.weight * contrast(image, gene)
    + rec.weight * error(decoder(image features), expression), both sides of the error z-scored.
    A part of weight 0 is not computed.

    Parameters
    ----------
    model
        The pair; parts that are not to be trained have ``requires_grad`` False and stay in eval
        mode, so that batch norms and dropout in them are off. With a reconstruction it has a
        decoder.
    """

    def __init__(
        self,
        model: Umpire,
        settings: AlignSettings | FinetuneSettings,
        optim: OptimOptions,
        total_steps: int,
    ) -> None:
        super().__init__()
        self.model, self.settings, self.optim = model, settings, optim
        self.total_steps = total_steps

    def configure_model(self) -> None:
        """Cut the weights over the processes, under FSDP."""
        shard(self)

    def train(self, mode: bool = True) -> Alignment:
        """Training mode for the parts that are trained only."""
        super().train(mode)
        for part in encoders_of(self.model):
            if not any(p.requires_grad for p in part.parameters()):
                part.eval()
        return self

    def _loss(self, batch: dict[str, Tensor]) -> Tensor:
        image, settings = self._image_features(batch), self.settings
        parts = []
        if settings.contrast.weight > 0:
            parts.append(settings.contrast.weight * self._contrast(image, batch))
        if settings.rec.weight > 0:
            parts.append(settings.rec.weight * self._error(image, batch["rec"]))
        return torch.stack(parts).sum()

    def _error(self, image: Tensor, expression: Tensor) -> Tensor:
        assert self.model.decoder is not None
        found, kind = self.model.decoder.standardised(image), self.settings.rec.error
        if kind == "mse":
            return F.mse_loss(found, expression)
        if kind == "l1":
            return F.l1_loss(found, expression)
        raise InputError(
            "Unknown error of the reconstruction", got=repr(kind), expected="mse or l1"
        )

    def _image_features(self, batch: dict[str, Tensor]) -> Tensor:
        image = batch.get("image_features")
        if image is None:
            pixels = batch["pixels"].permute(0, 3, 1, 2)
            if self.training:
                pixels = self._augment(pixels)
            return in_chunks(self.model.encode_image, pixels, self.settings.contrast.chunk)
        if self.training and self.settings.input_noise > 0:
            image = image + self.settings.input_noise * torch.randn_like(image)
        return image

    def _contrast(self, image: Tensor, batch: dict[str, Tensor]) -> Tensor:
        settings = self.settings
        gene = batch.get("gene_features")
        if gene is None:
            gene = in_chunks(self.model.encode_gene, batch["genes"], settings.contrast.chunk)
        image_embedding = self._of_all(self.model.project_image(image))
        gene_embedding = self._of_all(self.model.project_gene(gene))
        kind = settings.contrast.kind
        if kind == "margin":
            return margin_loss(image_embedding, gene_embedding, settings.contrast.margin)
        if kind not in ("symmetric", "one-sided"):
            raise InputError(
                "Unknown contrastive loss",
                got=repr(kind),
                expected="symmetric, one-sided or margin",
            )
        target = None
        if settings.target.kind == "soft":
            space = self._of_all(batch["space"]) if "space" in batch else gene_embedding
            target = soft_targets(space, settings.target.scale)
        return contrastive_loss(
            image_embedding,
            gene_embedding,
            self.model.scale.log(),
            target,
            symmetric=kind == "symmetric",
        )

    def _of_all(self, rows: Tensor) -> Tensor:
        """The rows of all processes where they are candidates, else these.

        Each process then has the loss of the whole batch. The gradient that comes back through
        the gathering is summed over the processes, and what they average afterwards is the
        gradient of that loss.
        """
        if not self.settings.contrast.across_ranks or self.trainer.world_size == 1:
            return rows
        gathered = cast("Tensor", self.all_gather(rows, sync_grads=True))
        return gathered.flatten(0, 1)

    def _augment(self, pixels: Tensor) -> Tensor:
        middle = getattr(self.model.visual_backbone, "middle", None)
        if middle is None:
            return augment(pixels, self.settings.augment)
        out = pixels.clone()
        middle(out).copy_(augment(middle(pixels), self.settings.augment))
        return out

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """Loss of one batch; the other spots of the batch are the candidates."""
        loss = self._loss(batch)
        n = len(next(iter(batch.values())))
        self.log("train_loss", loss, prog_bar=True, batch_size=n)
        if self.settings.contrast.weight > 0:
            self.log("scale", self.model.scale, batch_size=n)
        return loss

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Held-out loss."""
        n = len(next(iter(batch.values())))
        self.log("val_loss", self._loss(batch), prog_bar=True, batch_size=n, sync_dist=True)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """AdamW over what is trained, with the schedule per step."""
        trained = [p for p in self.parameters() if p.requires_grad]
        return make_optimizer(trained, self.total_steps, self.optim)
