"""Pathology encoders whose features are not what timm's model of the trunk returns."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["SWIGLU_VIT", "WRAPPED", "ClassAndMean", "ConchVisual", "conch_image_size"]

SWIGLU_VIT = "vit_giant_patch14_reg4_dinov2"
"""timm's ViT with packed SwiGLU and registers, whose other sizes are arguments."""
_CONCH_CAPTIONS = ("attn_pool_caption.", "ln_caption.", "proj_contrast")


class ConchVisual(nn.Module):
    """CONCH's image tower up to the layer before its projection: ViT-B/16, one query, layer norm.

    The tokens of the trunk are read by one learned query in a multi-head attention; its answer,
    normalised, is the feature (512). Parameter names are the published ones.

    Parameters
    ----------
    img_size
        Side of the patches that the position embeddings are stored for; others are interpolated.
        The published file has 448.
    dim
        Length of a feature.
    pool_heads
        Heads of the query's attention.
    """

    def __init__(
        self, *, img_size: int = 448, dim: int = 512, pool_heads: int = 8, **vit: Any
    ) -> None:
        super().__init__()
        self.trunk = _timm(
            "vit_base_patch16_224", img_size=img_size, dynamic_img_size=True, global_pool="", **vit
        )
        self.attn_pool_contrast = _OneQuery(dim, self.trunk.num_features, pool_heads)
        self.ln_contrast = nn.LayerNorm(dim)
        self.num_features = dim

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W), normalised -> (B, dim)."""
        return self.ln_contrast(self.attn_pool_contrast(self.trunk.forward_features(pixels)))

    def from_published(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The image tower's tensors out of the whole of CONCH, which also reads and writes text."""
        if any(key.startswith("visual.") for key in state):
            state = {k.removeprefix("visual."): v for k, v in state.items() if k[:7] == "visual."}
        return {k: v for k, v in state.items() if not k.startswith(_CONCH_CAPTIONS)}


class _OneQuery(nn.Module):
    """Cross attention of one learned query to (B, n_tokens, width) tokens -> (B, dim)."""

    def __init__(self, dim: int, width: int, heads: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.randn(1, dim))
        self.attn = nn.MultiheadAttention(dim, heads, kdim=width, vdim=width, batch_first=True)
        self.ln_q = nn.LayerNorm(dim)
        self.ln_k = nn.LayerNorm(width)

    def forward(self, tokens: Tensor) -> Tensor:
        keys = self.ln_k(tokens)
        query = self.ln_q(self.query).expand(len(tokens), -1, -1)
        return self.attn(query, keys, keys, need_weights=False)[0][:, 0]


class ClassAndMean(nn.Module):
    """A ViT whose feature is its class token beside the mean of its patch tokens.

    So the authors of Virchow2 advise (2 x 1,280); register tokens do not count.

    Parameters
    ----------
    **vit
        Arguments of timm's ViT with packed SwiGLU.
    """

    def __init__(self, **vit: Any) -> None:
        super().__init__()
        self.trunk = _timm(SWIGLU_VIT, global_pool="", **vit)
        self.num_features = 2 * self.trunk.num_features

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W), normalised -> (B, 2 x width)."""
        tokens = self.trunk.forward_features(pixels)
        patches = tokens[:, self.trunk.num_prefix_tokens :]
        return torch.cat([tokens[:, 0], patches.mean(dim=1)], dim=-1)

    def from_published(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The published file holds the ViT alone."""
        return {f"trunk.{key.removeprefix('trunk.')}": value for key, value in state.items()}


WRAPPED: Mapping[str, Callable[..., nn.Module]] = {
    "conch-visual": ConchVisual,
    "vit-swiglu-class-and-mean": ClassAndMean,
}
"""Architecture -> what builds it from ``VisionConfig.kwargs``."""


def conch_image_size(state: Mapping[str, Tensor]) -> int:
    """Side of the patches that a tower's position embeddings are stored for, px."""
    n_tokens = state["trunk.pos_embed"].shape[1] - 1
    return 16 * math.isqrt(n_tokens)


def _timm(architecture: str, **kwargs: Any) -> Any:
    from napari_umpire.models.torchvision_guard import heal

    heal()
    import timm

    return timm.create_model(architecture, pretrained=False, num_classes=0, **kwargs)
