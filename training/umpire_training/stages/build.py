"""The model of an alignment before it is trained, and the genes that its training looks at."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_umpire.errors import InputError
from umpire_training.stages.pretrain import GeneEncoder
from umpire_training.stages.trainable import train_image_encoder

if TYPE_CHECKING:
    from napari_umpire.inference.genes.choice import GeneChoice
    from napari_umpire.models.decoder import DecoderConfig
    from napari_umpire.models.umpire import Umpire
    from umpire_training.corpus.paired import PairedSet
    from umpire_training.engine.plan import TrainingPlan
    from umpire_training.options import AlignSettings, FinetuneSettings, TargetOptions
    from umpire_training.stages.align_data import Columns, PairRows

__all__ = ["build_model", "choose_panel", "choose_targets"]


def choose_panel(
    data: PairRows, expression: list[Any], plan: TrainingPlan, settings: AlignSettings
) -> None:
    """Choose the genes that a gene encoder of a panel reads on the training rows."""
    gene = settings.gene
    if gene.kind != "visiumformer" and settings.contrast.weight > 0:
        data.panel = _variable(
            data, expression, plan, gene.panel_genes, "gene.panel_genes", gene.panel_choice
        )


def choose_targets(
    data: PairRows,
    expression: list[Any],
    plan: TrainingPlan,
    settings: AlignSettings | FinetuneSettings,
) -> None:
    """Choose the genes of soft targets and reconstruction on the training rows."""
    target = settings.target
    soft = target.kind == "soft" and settings.contrast.weight > 0
    if soft and target.space == "expression":
        data.space = _variable(data, expression, plan, target.genes, "target.genes")
        if target.components is not None:
            data.components = _components(data, plan, target)
    if settings.rec.weight > 0:
        data.rec = _rec_genes(data, expression, plan, settings.rec.genes)


def _rec_genes(data: PairRows, expression: list[Any], plan: TrainingPlan, n: int | None) -> Columns:
    from umpire_training.stages.align_data import Columns

    if n is not None:
        return _variable(data, expression, plan, n, "rec.genes")
    genes = data.measured_everywhere
    return Columns.of(expression, genes, data.by_slide(plan.train), data.measured)


def _variable(
    data: PairRows,
    expression: list[Any],
    plan: TrainingPlan,
    n: int,
    option: str,
    choice: GeneChoice = "VAR",
) -> Columns:
    """The ``n`` most variable genes over the training rows, as many as ``option`` asks for.

    Of those that all slides measured: elsewhere a gene would vary by who looked for it.
    """
    from napari_umpire.inference.genes.choice import choose_genes
    from umpire_training.stages.align_data import Columns

    train = data.by_slide(plan.train)
    common = data.measured_everywhere
    parts = [part[rows][:, common] for part, rows in zip(expression, train, strict=True)]
    if n < 1:
        raise InputError(f"{option} must be at least 1", got=n)
    try:
        chosen = choose_genes((p for p in parts if p.shape[0]), choice, n)
    except InputError as error:
        raise InputError(
            error.problem,
            got=error.got,
            expected=error.expected,
            fix=f"Lower {option}, or add spots",
        ) from error
    return Columns.of(expression, common[np.sort(chosen)], train, data.measured)


def _components(data: PairRows, plan: TrainingPlan, target: TargetOptions) -> np.ndarray:
    """Principal axes of the z-scored target genes over (at most 20,000) training rows."""
    from sklearn.decomposition import PCA

    assert data.space is not None
    assert target.components is not None
    n = target.components
    rows = plan.train[:: max(1, len(plan.train) // 20_000)]
    z = data.space.standardised(*data.locate(rows))
    if n > min(z.shape):
        raise InputError(
            "More principal components than the training data has", got=n, expected=min(z.shape)
        )
    pca = PCA(n, svd_solver="full").fit(z)
    axes = pca.components_.T
    if target.whiten:
        axes = axes / np.sqrt(pca.explained_variance_)
    return axes.astype(np.float32)


def build_model(pairs: PairedSet, data: PairRows, settings: AlignSettings) -> Umpire:
    """The pair as ``settings`` describe it, encoders loaded and frozen where they say so.

    With a reconstruction it has a decoder; without a contrastive loss it has nothing else beside
    the image encoder.

    Parameters
    ----------
    data
        With the panel chosen, where the gene encoder reads one, and the genes to reconstruct.

    Raises
    ------
    InputError
        Where the pre-trained gene encoder does not belong to the paired set.
    """
    import torch

    from napari_umpire.models.context import ContextConfig
    from napari_umpire.models.projection import ProjectionConfig
    from napari_umpire.models.umpire import GeneConfig, TokensConfig, Umpire, UmpireConfig
    from napari_umpire.models.vision_config import VisionConfig
    from napari_umpire.models.visiumformer import Visiumformer

    vision = settings.vision
    patches, tokens = pairs.facts["patches"], pairs.facts["tokens"]
    decoder = _decoder_config(pairs, data, settings)
    alone = decoder is not None and decoder.alone
    gene, pretrained = ({}, None) if alone else _gene_config(pairs, data, settings)
    config = UmpireConfig(
        gene=GeneConfig()
        if alone
        else GeneConfig(
            kind=settings.gene.kind,
            standardise=settings.gene.standardise,
            projection=ProjectionConfig(**asdict(settings.gene.projection)),
            **gene,
        ),
        vision=VisionConfig(
            name=vision.name,
            size_px=patches["size_px"],
            field_um=patches["field_um"],
            weights=vision.weights,
            white_balance=patches["white_balance"],
            kwargs=vision.kwargs,
        ),
        dim=settings.dim,
        adapter=settings.adapter,
        context=ContextConfig(**asdict(settings.context)),
        tokens=TokensConfig()
        if alone
        else TokensConfig(rounding=tokens["rounding"], length=tokens["length"]),
        decoder=decoder,
    )
    model = Umpire(config)
    train_image_encoder(model.visual_backbone, train=vision.train, last_blocks=vision.last_blocks)
    if data.rec is not None and model.decoder is not None:
        mean, std = torch.from_numpy(data.rec.mean), torch.from_numpy(data.rec.std)
        model.decoder.set_statistics(mean, std)
    if alone:
        return model
    if pretrained is not None:
        model.spot_backbone.load_state_dict(pretrained.module.state_dict())
    if data.panel is not None and not isinstance(model.spot_backbone, Visiumformer):
        model.spot_backbone.set_statistics(
            torch.from_numpy(data.panel.mean), torch.from_numpy(data.panel.std)
        )
    model.spot_backbone.requires_grad_(settings.gene.train)
    return model


def _decoder_config(
    pairs: PairedSet, data: PairRows, settings: AlignSettings
) -> DecoderConfig | None:
    from napari_umpire.models.decoder import DecoderConfig

    if data.rec is None:
        return None
    genes = np.asarray(pairs.vocabulary.ids)[data.rec.genes].tolist()
    return DecoderConfig(tuple(genes), settings.rec.hidden, alone=settings.contrast.weight == 0)


def _gene_config(
    pairs: PairedSet, data: PairRows, settings: AlignSettings
) -> tuple[dict[str, Any], GeneEncoder | None]:
    from napari_umpire.models.gene_mlp import GeneMLPConfig
    from napari_umpire.models.value_transformer import ValueTransformerConfig
    from napari_umpire.models.visiumformer import VisiumformerConfig

    gene, tokens = settings.gene, pairs.facts["tokens"]
    if data.panel is not None:
        panel = tuple(np.asarray(pairs.vocabulary.ids)[data.panel.genes].tolist())
        if gene.kind == "trans":
            shape = {k: v for k, v in asdict(gene.shape).items() if k != "pooling"}
            trans = ValueTransformerConfig(n_genes=len(panel), panel=panel, **shape)
            return {"trans": trans}, None
        if gene.kind != "mlp":
            raise InputError(
                "Unknown kind of gene encoder",
                got=repr(gene.kind),
                expected="visiumformer, mlp or trans",
            )
        mlp = GeneMLPConfig(
            n_genes=len(panel),
            hidden=tuple(gene.hidden),
            dim=gene.features,
            dropout=gene.dropout,
            panel=panel,
        )
        return {"mlp": mlp}, None
    if gene.pretrained is None:
        former = VisiumformerConfig(
            **asdict(gene.shape),
            n_tokens=pairs.vocabulary.n_tokens,
            length=tokens["length"],
            levels=tuple(gene.levels),
        )
        return {"visiumformer": former}, None
    encoder = GeneEncoder.open(gene.pretrained)
    if encoder.vocabulary.digest != pairs.vocabulary.digest:
        raise InputError(
            f"The paired set {pairs.path} and the gene encoder {gene.pretrained} have different "
            "vocabularies",
            got=f"{pairs.vocabulary.n_genes} and {encoder.vocabulary.n_genes} genes",
            fix=f"Prepare the pairs with --vocabulary.path {gene.pretrained}/encoder",
        )
    if encoder.tokens != tokens:
        raise InputError(
            "The paired set and the gene encoder were tokenised differently",
            got=f"{tokens} and {encoder.tokens}",
            fix="Prepare the pairs with the tokens.* options of the corpus",
        )
    return {"visiumformer": replace(encoder.module.config, levels=tuple(gene.levels))}, encoder
