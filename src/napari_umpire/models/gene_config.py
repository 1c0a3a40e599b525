"""Which gene encoder a model has, what it reads, and how to build it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from napari_umpire.errors import InputError
from napari_umpire.models.config_json import to_data
from napari_umpire.models.gene_mlp import GeneMLP, GeneMLPConfig
from napari_umpire.models.nicheformer import context_in_words
from napari_umpire.models.projection import ProjectionConfig
from napari_umpire.models.value_transformer import ValueTransformer, ValueTransformerConfig
from napari_umpire.models.visiumformer import Visiumformer, VisiumformerConfig

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["GeneConfig", "GeneEncoderModule", "create_gene_encoder", "gene_data"]

GeneEncoderModule = Visiumformer | GeneMLP | ValueTransformer


@dataclass(frozen=True)
class GeneConfig:
    """Which gene encoder, and what follows it.

    Parameters
    ----------
    kind, visiumformer, mlp, trans
        The encoder; the settings of the kinds that are not used stay None.
    standardise
        Z-score the features by the mean and standard deviation that they have over the training
        spots, which are stored with the weights; see `Umpire.set_gene_statistics`. For an encoder
        that stays frozen.
    projection
        From the features to the embedding.
    """

    kind: Literal["visiumformer", "mlp", "trans"] = "visiumformer"
    visiumformer: VisiumformerConfig | None = None
    mlp: GeneMLPConfig | None = None
    standardise: bool = False
    projection: ProjectionConfig = field(default_factory=ProjectionConfig)
    trans: ValueTransformerConfig | None = None

    def __post_init__(self) -> None:
        if self.kind == "visiumformer" and self.visiumformer is None:
            object.__setattr__(self, "visiumformer", VisiumformerConfig())
        if getattr(self, self.kind) is None:
            raise InputError(
                f'A gene encoder of kind "{self.kind}" needs its settings',
                fix=f"Give gene.{self.kind} with n_genes",
            )

    @property
    def of_panel(self) -> GeneMLPConfig | ValueTransformerConfig | None:
        """The encoder's settings where it reads the expression of a panel; None: rank tokens."""
        return {"visiumformer": None, "mlp": self.mlp, "trans": self.trans}[self.kind]

    def in_words(self, token_length: int) -> str:
        """One phrase on what the encoder is and reads, for cards and descriptions."""
        if self.kind == "mlp":
            assert self.mlp is not None
            return f"perceptron on the log expression of {self.mlp.n_genes:,} genes"
        if self.kind == "trans":
            trans = self.trans
            assert trans is not None
            return (
                f"transformer, {trans.layers} layers of width {trans.dim}, on the log expression "
                f"of {trans.n_genes:,} genes"
            )
        former = self.visiumformer
        assert former is not None
        name, context = "Visiumformer", ""
        if former.context_tokens:
            name = "Nicheformer"
            context = f", after the tokens {context_in_words(former.context_tokens)}"
        return (
            f"{name}, {former.layers} layers of width {former.dim}, up to {token_length:,} genes "
            f"a spot in rank order{context}"
        )


def create_gene_encoder(config: GeneConfig) -> GeneEncoderModule:
    """The encoder that ``config`` describes, with fresh weights."""
    if config.kind == "mlp":
        assert config.mlp is not None
        return GeneMLP(config.mlp)
    if config.kind == "trans":
        assert config.trans is not None
        return ValueTransformer(config.trans)
    assert config.visiumformer is not None
    return Visiumformer(config.visiumformer)


def gene_data(config: GeneConfig) -> Mapping[str, Any]:
    """``config`` as JSON data, without what was added later where it is not used.

    So a model has the digest that it always had.
    """
    data = to_data(config)
    if config.trans is None:
        del data["trans"]
    if config.visiumformer is not None and not config.visiumformer.context_tokens:
        del data["visiumformer"]["context_tokens"]
    return data
