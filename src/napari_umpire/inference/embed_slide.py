"""Embeddings of a slide's spots by a model: from its image, or from its measured genes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_umpire.errors import InputError
from napari_umpire.inference.embed import compute_features
from napari_umpire.inference.finite import check_embeddings
from napari_umpire.inference.run import check_aligned, check_slide

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import torch

    from napari_umpire.inference.cache import FeatureCache
    from napari_umpire.inference.genes.input import MeasuredGenes
    from napari_umpire.inference.model import Model
    from napari_umpire.progress import Steps
    from napari_umpire.slides.patches import PatchSpec
    from napari_umpire.slides.slide import Slide

__all__ = [
    "gene_embeddings",
    "gene_features",
    "image_embeddings",
    "image_features",
    "in_context",
    "in_parts",
]

_PROJECT_ROWS = 65_536


def image_features(
    model: Model,
    slide: Slide,
    batch_size: int,
    cache: FeatureCache | None,
    spec: PatchSpec | None = None,
) -> Steps[np.ndarray]:
    """What the image encoder says of the patches, before context and projection.

    Parameters
    ----------
    spec
        The patches; None: those that the model was aligned on.

    Returns
    -------
    (n_spots, image_dim) float32, in the order of ``slide.spots``.
    """
    from napari_umpire.slides.patches import iter_patches, patch_digest

    spec = spec or model.patch_spec
    check_slide(slide)
    entry = None
    if cache is not None:
        entry = cache.entry(
            n=slide.n_spots,
            dim=model.module.image_dim,
            slide=slide.digest,
            encoder=model.image_digest,
            patches=patch_digest(spec),
        )

    def batches(rows: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for batch in iter_patches(slide, spec, spots=rows, batch_size=batch_size):
            yield batch.rows, batch.pixels

    features = yield from compute_features(
        slide.n_spots,
        model.module.image_dim,
        batches,
        model.module.encode_image,
        device=model.device,
        bf16=model.bf16,
        batch_size=batch_size,
        entry=entry,
        stage=f"Image of {slide.name}",
        name=lambda row: f"spot {slide.spots.index[row]} of {slide.name}",
    )
    try:
        slide.check_source()
    except InputError:
        if entry is not None:
            entry.forget()  # some were read before the change, some after
        raise
    return features


def in_context(model: Model, slide: Slide, features: np.ndarray) -> torch.Tensor:
    """What projection and decoder read: the features in the context that the model asks for.

    Parameters
    ----------
    features
        (n_spots, image_dim) float32, from `image_features`.

    Returns
    -------
    (n_spots, image_dim), or twice as wide with the means over the neighbours; on the CPU.
    """
    import torch

    from napari_umpire.models.context import slide_context
    from napari_umpire.slides.neighbourhood import neighbours

    context = model.config.context
    around = None
    if context.neighbours:
        pitch_px = slide.pitch_um / slide.mpp
        near = neighbours(slide.yx, pitch_px, k=context.neighbours, reach=context.reach)
        around = torch.from_numpy(near)
    with torch.inference_mode():
        return slide_context(torch.from_numpy(features), around, context.standardise)


def image_embeddings(
    model: Model,
    slide: Slide,
    batch_size: int,
    cache: FeatureCache | None,
    spec: PatchSpec | None = None,
) -> Steps[np.ndarray]:
    """See `Model.embed_images`. What is cached are the features before context and projection."""
    check_aligned(model)
    features = yield from image_features(model, slide, batch_size, cache, spec)
    wide = in_context(model, slide, features)
    found = in_parts(model, model.module.project_image, wide)
    return check_embeddings(found, slide.spots.index, slide.name)


def gene_features(
    model: Model,
    slide: Slide,
    measured: MeasuredGenes,
    batch_size: int,
    cache: FeatureCache | None,
    rows: np.ndarray | None = None,
) -> Steps[np.ndarray]:
    """What the gene encoder says of the measured genes, before the projection.

    Parameters
    ----------
    rows
        Only these spots, (m,) int64 ascending; None: all.

    Returns
    -------
    (m, gene_dim) float32, in the order of ``rows``.
    """
    check_aligned(model)
    rows = np.arange(slide.n_spots) if rows is None else rows
    panel_means = model.module.spot_backbone.state_dict().get("mean")  # a Visiumformer has none
    fill = None if panel_means is None else panel_means.float().cpu().numpy()
    inputs = measured.inputs(model.config, fill)
    entry = None
    if cache is not None:
        entry = cache.entry(
            n=len(rows),
            dim=model.module.gene_dim,
            slide=slide.digest,
            encoder=model.gene_digest,
            counts=measured.digest_of(rows),
        )

    def batches(wanted: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        # Spots of like length together, so that little is computed on padding; the longest first,
        # so that a batch too large for the device shows at once.
        order = wanted[np.argsort(-measured.n_detected[rows[wanted]], kind="stable")]
        for a in range(0, len(order), batch_size):
            part = order[a : a + batch_size]
            yield part, inputs.rows(rows[part])

    return (
        yield from compute_features(
            len(rows),
            model.module.gene_dim,
            batches,
            model.module.encode_gene,
            device=model.device,
            bf16=model.bf16,
            batch_size=batch_size,
            entry=entry,
            stage=f"Genes of {slide.name}",
            name=lambda row: f"spot {slide.spots.index[rows[row]]} of {slide.name}",
        )
    )


def gene_embeddings(
    model: Model,
    slide: Slide,
    measured: MeasuredGenes,
    batch_size: int,
    cache: FeatureCache | None,
    rows: np.ndarray | None = None,
) -> Steps[np.ndarray]:
    """See `Model.embed_genes`; ``rows`` as of `gene_features`."""
    import torch

    features = yield from gene_features(model, slide, measured, batch_size, cache, rows)
    found = in_parts(model, model.module.project_gene, torch.from_numpy(features))
    spots = slide.spots.index if rows is None else slide.spots.index[rows]
    return check_embeddings(found, spots, slide.name)


def in_parts(
    model: Model, head: Callable[[torch.Tensor], torch.Tensor], features: torch.Tensor
) -> np.ndarray:
    """What ``head`` makes of (n, D) features on the model's device, (n, ...) float32.

    In parts of a fixed size and always in float32, so that the same features give the same values.
    """
    import torch

    with torch.inference_mode():
        parts = [
            head(features[a : a + _PROJECT_ROWS].to(model.device)).cpu().numpy()
            for a in range(0, len(features), _PROJECT_ROWS)
        ]
    return np.concatenate(parts)
