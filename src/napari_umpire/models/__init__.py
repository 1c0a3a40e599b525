"""torch modules and model folders, one block per file. Importing this room imports no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_umpire._lazy import attach

if TYPE_CHECKING:
    from napari_umpire.models.context import ContextConfig as ContextConfig
    from napari_umpire.models.context import slide_context as slide_context
    from napari_umpire.models.decoder import DecoderConfig as DecoderConfig
    from napari_umpire.models.decoder import ExpressionDecoder as ExpressionDecoder
    from napari_umpire.models.folder import LoadedModel as LoadedModel
    from napari_umpire.models.folder import load_model_folder as load_model_folder
    from napari_umpire.models.folder import save_model as save_model
    from napari_umpire.models.gene_config import GeneConfig as GeneConfig
    from napari_umpire.models.gene_mlp import GeneMLP as GeneMLP
    from napari_umpire.models.gene_mlp import GeneMLPConfig as GeneMLPConfig
    from napari_umpire.models.masking import mask_tokens as mask_tokens
    from napari_umpire.models.projection import ProjectionConfig as ProjectionConfig
    from napari_umpire.models.published import import_published as import_published
    from napari_umpire.models.umpire import TokensConfig as TokensConfig
    from napari_umpire.models.umpire import Umpire as Umpire
    from napari_umpire.models.umpire import UmpireConfig as UmpireConfig
    from napari_umpire.models.value_transformer import ValueTransformer as ValueTransformer
    from napari_umpire.models.value_transformer import (
        ValueTransformerConfig as ValueTransformerConfig,
    )
    from napari_umpire.models.vision import VisionEncoder as VisionEncoder
    from napari_umpire.models.vision import create_vision_encoder as create_vision_encoder
    from napari_umpire.models.vision_config import VisionConfig as VisionConfig
    from napari_umpire.models.visiumformer import Visiumformer as Visiumformer
    from napari_umpire.models.visiumformer import VisiumformerConfig as VisiumformerConfig

_HOMES = {
    "context": ("ContextConfig", "slide_context"),
    "decoder": ("DecoderConfig", "ExpressionDecoder"),
    "folder": ("LoadedModel", "load_model_folder", "save_model"),
    "gene_config": ("GeneConfig",),
    "gene_mlp": ("GeneMLP", "GeneMLPConfig"),
    "masking": ("mask_tokens",),
    "projection": ("ProjectionConfig",),
    "published": ("import_published",),
    "umpire": ("TokensConfig", "Umpire", "UmpireConfig"),
    "value_transformer": ("ValueTransformer", "ValueTransformerConfig"),
    "vision": ("VisionEncoder", "create_vision_encoder"),
    "vision_config": ("VisionConfig",),
    "visiumformer": ("Visiumformer", "VisiumformerConfig"),
}

__all__ = [
    "ContextConfig", "DecoderConfig", "ExpressionDecoder", "GeneConfig", "GeneMLP",
    "GeneMLPConfig", "LoadedModel", "ProjectionConfig", "TokensConfig", "Umpire", "UmpireConfig",
    "ValueTransformer", "ValueTransformerConfig", "VisionConfig", "VisionEncoder", "Visiumformer",
    "VisiumformerConfig", "create_vision_encoder", "import_published", "load_model_folder",
    "mask_tokens", "save_model", "slide_context",
]  # fmt: skip

__getattr__, __dir__ = attach(
    __name__,
    {name: f"{__name__}.{home}" for home, names in _HOMES.items() for name in names},
)
