"""Can the encoders of a row be made, and trained here? Told by making them, before any work."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_umpire.errors import InputError
from umpire_training.benchmark.row import pretrains

if TYPE_CHECKING:
    from umpire_training.options import PatchOptions, VisionOptions
    from umpire_training.options.evaluation import MethodSettings

__all__ = ["check_encoders"]


def check_encoders(method: MethodSettings, patches: PatchOptions) -> None:
    """Refuse encoders that cannot be made as a row asks, or a computer that cannot train them.

    Raises
    ------
    InputError
        Naming the first thing that is wrong.
    """
    _check_trainers(method)
    if method.start:
        return
    _check_vision(method.align.vision, patches)
    if method.align.contrast.weight > 0:
        _check_gene(method)


def _check_trainers(method: MethodSettings) -> None:
    from umpire_training.engine.installed import ready_lightning
    from umpire_training.engine.trainer import check_trainer

    ready_lightning()
    if method.start:
        check_trainer(method.finetune.trainer)
        return
    check_trainer(method.align.trainer)
    if pretrains(method):
        check_trainer(method.pretrain.trainer)


def _folder(pretrained: str) -> Path:
    """Where the encoder of a run folder of `pretrain` lies, or of an encoder folder."""
    inside = Path(pretrained) / "encoder"
    return inside if inside.is_dir() else Path(pretrained)


def _check_vision(vision: VisionOptions, patches: PatchOptions) -> None:
    from napari_umpire.models.vision import create_vision_encoder
    from napari_umpire.models.vision_config import VisionConfig
    from umpire_training.stages.trainable import train_image_encoder

    config = VisionConfig(
        name=vision.name,
        size_px=patches.size_px,
        field_um=patches.field_um,
        weights=vision.weights,
        kwargs=vision.kwargs,
    )
    encoder = create_vision_encoder(config)
    train_image_encoder(encoder, train=vision.train, last_blocks=vision.last_blocks)


def _check_gene(method: MethodSettings) -> None:
    from napari_umpire.models.projection import ProjectionConfig
    from napari_umpire.models.visiumformer import VisiumformerConfig
    from umpire_training.corpus.vocabulary import read_vocabulary
    from umpire_training.stages.pretrain import GeneEncoder

    gene, length = method.align.gene, method.tokens.length
    ProjectionConfig(**asdict(gene.projection))
    if gene.kind == "mlp":
        return
    if gene.kind == "trans":
        VisiumformerConfig(**asdict(gene.shape))  # the same blocks
        return
    if gene.pretrained is None:
        shape = method.pretrain.encoder if method.first_stage else gene.shape
        VisiumformerConfig(**asdict(shape), length=length, levels=tuple(gene.levels))
        return
    encoder = GeneEncoder.open(gene.pretrained)
    replace(encoder.module.config, levels=tuple(gene.levels))
    if encoder.tokens != asdict(method.tokens):
        raise InputError(
            f"The gene encoder {gene.pretrained} reads other tokens",
            got=f"tokens {asdict(method.tokens)}",
            expected=encoder.tokens,
            fix="Set tokens.length and tokens.rounding to these",
        )
    path = method.vocabulary.path
    if path is not None and read_vocabulary(path).digest != encoder.vocabulary.digest:
        raise InputError(
            f"The gene encoder {gene.pretrained} has another vocabulary than {path}",
            fix=f"Set vocabulary.path to {_folder(gene.pretrained)}",
        )
