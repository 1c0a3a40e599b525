"""Umpire: an image encoder and a gene encoder that meet in one space."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_umpire.bounded import parse_json
from napari_umpire.errors import InputError
from napari_umpire.models.adapter import Adapter
from napari_umpire.models.bounds import LENGTHS, WIDTHS, check_bounds
from napari_umpire.models.config_json import from_data, to_data
from napari_umpire.models.context import ContextConfig
from napari_umpire.models.decoder import DecoderConfig, ExpressionDecoder
from napari_umpire.models.gene_config import GeneConfig, create_gene_encoder, gene_data
from napari_umpire.models.projection import projection
from napari_umpire.models.standardise import standardise
from napari_umpire.models.vision import create_vision_encoder
from napari_umpire.models.vision_config import VisionConfig

__all__ = ["GeneConfig", "TokensConfig", "Umpire", "UmpireConfig", "check_scale"]

_SCALES = 1e-3, 1e5
"""Of the temperature factor: published pairs have 14 to 100. Below, all references weigh alike;
above, the nearest alone counts, by its rounding."""


@dataclass(frozen=True)
class TokensConfig:
    """How counts become tokens for a Visiumformer: see `napari_umpire.genes`."""

    rounding: Literal["none", "published"] = "none"
    length: int = 1500

    def __post_init__(self) -> None:
        check_bounds("The making of tokens", self, length=LENGTHS)


@dataclass(frozen=True)
class UmpireConfig:
    """Everything needed to build a model and to prepare its input.

    Parameters
    ----------
    dim
        Length of an embedding.
    adapter
        Whether adapters follow the projections.
    scale_limit
        Upper bound of the learned temperature factor exp(logit_scale); None, as published: none.
    decoder
        Predicts expression from the image features without a reference (UMPIRE-REC); None: none.
    """

    gene: GeneConfig = field(default_factory=GeneConfig)
    vision: VisionConfig = field(default_factory=VisionConfig)
    dim: int = 512
    adapter: bool = False
    context: ContextConfig = field(default_factory=ContextConfig)
    tokens: TokensConfig = field(default_factory=TokensConfig)
    scale_limit: float | None = None
    decoder: DecoderConfig | None = None

    def __post_init__(self) -> None:
        check_bounds("The model", self, dim=WIDTHS, scale_limit=_SCALES)
        former = self.gene.visiumformer
        if former is None:
            return
        if self.tokens.length > former.n_ranks:
            raise InputError(
                "The token sequences are longer than the gene encoder takes",
                got=f"tokens.length {self.tokens.length}",
                expected=f"at most {former.n_ranks}: gene.visiumformer.length without its "
                f"{former.n_context_tokens} context tokens",
            )
        if former.pooling == "published" and self.tokens.length != former.n_ranks:
            raise InputError(
                "The published pooling averages over padding too, so it needs rows of full length",
                got=f"tokens.length {self.tokens.length}",
                expected=former.n_ranks,
                fix='Prepare the tokens at this length, or use the pooling "masked_mean"',
            )

    @property
    def aligned(self) -> bool:
        """Whether there are embeddings: False for a model trained by reconstruction alone."""
        return self.decoder is None or not self.decoder.alone

    def to_json(self) -> str:
        """The configuration as indented JSON."""
        data = to_data(self) | {"gene": gene_data(self.gene)}
        if self.decoder is None:
            del data["decoder"]  # a model without one has the digest that it always had
        return json.dumps(data, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str, where: str = "The model configuration") -> UmpireConfig:
        """Read what `to_json` wrote; an unknown key or a wrong type is an InputError."""
        return from_data(cls, parse_json(text, where, expected="JSON"), where)

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> UmpireConfig:
        """Build from nested dicts, as a recipe holds them."""
        return from_data(cls, data, "The model configuration")


class Umpire(nn.Module):
    """Two encoders, two projections into one space, and a learned temperature.

    image: pixels -> vision encoder -> features (before the projection) -> linear -> [adapter] ->
    L2 norm. Genes: tokens or log expression -> gene encoder -> features -> [z-score] -> linear or
    one hidden layer -> [adapter] -> L2 norm. Similarity is exp(logit_scale) times the cosine;
    logit_scale starts at ln(1/0.07) and is not bounded unless ``scale_limit`` is set. Parameter
    names are the published ones. A ``decoder`` reads the same features as the image projection; a
    model with a decoder alone has an image encoder and the decoder, and nothing else.

    Parameters
    ----------
    config
        What to build.
    pretrained
        Load the weights that ``config.vision`` names. False when a whole model's weights are about
        to be loaded: then nothing is read or downloaded.
    """

    spot_mean: Tensor
    spot_std: Tensor

    def __init__(self, config: UmpireConfig, *, pretrained: bool = True) -> None:
        super().__init__()
        encoder = create_vision_encoder(config.vision, pretrained=pretrained)
        # The resolved vision settings: preprocessing constants and architecture spelled out.
        self.config = replace(config, vision=encoder.config)
        self.visual_backbone = encoder.trunk
        self.visual_preprocess = encoder.preprocess
        self.image_dim = encoder.dim
        width = self.image_dim * config.context.widening
        self.decoder: ExpressionDecoder | None = None
        if config.decoder is not None:
            self.decoder = ExpressionDecoder(config.decoder, width)
        if not config.aligned:
            return
        gene = config.gene
        self.spot_backbone = create_gene_encoder(gene)
        self.gene_dim = self.spot_backbone.dim
        self.spot_projection = projection(gene.projection, self.gene_dim, config.dim)
        if gene.standardise:
            self.register_buffer("spot_mean", torch.zeros(self.gene_dim))
            self.register_buffer("spot_std", torch.ones(self.gene_dim))
        self.visual_projection: nn.Module = nn.Linear(width, config.dim)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))
        if config.adapter:
            self.adapter_spot = Adapter(config.dim)
            self.adapter_visual = Adapter(config.dim)

    def encode_image(self, pixels: Tensor) -> Tensor:
        """Patches -> (B, image_dim) features.

        Parameters
        ----------
        pixels
            (B, 3, H, W) or (B, H, W, 3); uint8, or float in 0..1. H = W = ``vision.size_px``.
        """
        return self.visual_backbone(self.visual_preprocess(pixels))

    def project_image(self, features: Tensor) -> Tensor:
        """Image features, in context where the model has one -> (B, dim) embeddings of length 1.

        With ``context`` settings the input is what `context.slide_context` made of the features.
        """
        x = self.visual_projection(features)
        if self.config.adapter:
            x = self.adapter_visual(x)
        return F.normalize(x.float(), dim=-1)

    def decode(self, features: Tensor) -> Tensor:
        """Image features, as `project_image` takes them -> (B, g) log1p CP10k.

        Raises
        ------
        InputError
            Where the model has no decoder.
        """
        if self.decoder is None:
            raise InputError(
                "The model has no decoder", fix="Train one: set rec.weight above 0, or retrieve"
            )
        return self.decoder(features)

    def encode_gene(self, inputs: Tensor) -> Tensor:
        """Gene input -> (B, gene_dim) features, not yet standardised.

        Parameters
        ----------
        inputs
            For ``gene.kind`` "visiumformer": (B, L) integer tokens; for "mlp" and "trans":
            (B, n_genes) float, log1p CP10k of the panel.
        """
        return self.spot_backbone.encode(inputs)

    def set_gene_statistics(self, mean: Tensor, std: Tensor) -> None:
        """Store what ``gene.standardise`` divides by.

        Parameters
        ----------
        mean, std
            (gene_dim,), of `encode_gene`'s features over the training spots. Features that do not
            vary there become 0.

        Raises
        ------
        InputError
            Where the model does not standardise, or the lengths differ.
        """
        wanted = (self.gene_dim,)
        if not self.config.gene.standardise:
            raise InputError(
                "The model does not standardise its gene features", fix="Set gene.standardise"
            )
        if tuple(mean.shape) != wanted or tuple(std.shape) != wanted:
            raise InputError(
                "The statistics do not fit the gene features",
                got=f"{tuple(mean.shape)} and {tuple(std.shape)}",
                expected=wanted,
            )
        with torch.no_grad():
            self.spot_mean.copy_(mean)
            self.spot_std.copy_(std)

    def project_gene(self, features: Tensor) -> Tensor:
        """Gene features, as `encode_gene` gives them -> (B, dim) embeddings of length 1."""
        if self.config.gene.standardise:
            features = standardise(features, self.spot_mean, self.spot_std)
        x = self.spot_projection(features)
        if self.config.adapter:
            x = self.adapter_spot(x)
        return F.normalize(x.float(), dim=-1)

    @property
    def scale(self) -> Tensor:
        """The temperature factor exp(logit_scale), a scalar, within ``scale_limit``."""
        scale = self.logit_scale.exp()
        limit = self.config.scale_limit
        return scale if limit is None else scale.clamp(max=limit)

    def set_trainable(self, which: Literal["all", "heads"]) -> list[nn.Parameter]:
        """Choose what training changes, and return those parameters.

        "all": everything. "heads": projections and adapters; encoders and temperature are frozen
        (0.92 M parameters with Phikon, 1.05 M with UNI, as the paper's Table S5 counts them).
        """
        if which not in ("all", "heads"):
            raise InputError("Unknown trainable set", got=which, expected='"all" or "heads"')
        chosen = []
        for name, parameter in self.named_parameters():
            head = name.startswith(("spot_projection.", "visual_projection.", "adapter_"))
            parameter.requires_grad_(which == "all" or head)
            if parameter.requires_grad:
                chosen.append(parameter)
        return chosen


def check_scale(logit_scale: Tensor, where: object) -> None:
    """Refuse a temperature at which similarities would mean nothing.

    Raises
    ------
    InputError
        Where exp(logit_scale) is not finite, or beyond all sense.
    """
    scale = float(logit_scale.detach().double().exp())
    low, high = _SCALES
    if not low <= scale <= high:
        raise InputError(
            f"{where}: the temperature of the model is impossible",
            got=f"logit_scale {float(logit_scale):g}, a factor of {scale:g}",
            expected=f"a factor exp(logit_scale) from {low:g} to {high:g}",
            fix="Copy or download the model again; one that was trained to this has diverged",
        )
