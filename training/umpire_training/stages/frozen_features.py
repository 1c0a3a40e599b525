"""Features of a paired set by encoders that are not trained: computed once, kept where it says.

Importing this module imports torch.
"""

from __future__ import annotations

import hashlib
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from umpire_training.console import follow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_umpire.models.umpire import Umpire
    from umpire_training.corpus.paired import PairedSet
    from umpire_training.stages.align_data import PairRows

__all__ = ["gene_features", "image_features"]

_ENCODE_BATCH = 64


def image_features(model: Umpire, pairs: PairedSet, device: torch.device) -> np.ndarray:
    """Features of every patch in the context of its slide, (N, D or 2 D) float32."""
    from napari_umpire.inference.embed import compute_features
    from napari_umpire.models.context import slide_context

    model.eval().to(device)
    context = model.config.context
    parts = []
    for slide, facts in zip(pairs.slides, pairs.facts["slides"], strict=True):
        patches = slide.patches
        entry = None
        if pairs.cache is not None:
            entry = pairs.cache.entry(
                n=len(patches),
                dim=model.image_dim,
                slide=facts["digest"],
                encoder=_digest(model.visual_backbone, model.config.vision),
                patches=repr(sorted(pairs.facts["patches"].items())),
            )
        features = follow(
            compute_features(
                len(patches),
                model.image_dim,
                partial(_batches, patches.__getitem__),
                model.encode_image,
                device=device,
                entry=entry,
                stage=f"image features of {slide.name}",
            )
        )
        around = None
        if context.neighbours:
            around = torch.from_numpy(slide.neighbours(context.neighbours, context.reach))
        wide = slide_context(torch.from_numpy(features), around, context.standardise)
        parts.append(wide.numpy())
    return np.concatenate(parts)


def gene_features(model: Umpire, data: PairRows, device: torch.device) -> np.ndarray:
    """Features of every spot's genes, (N, D) float32."""
    from napari_umpire.inference.embed import compute_features

    model.eval().to(device)
    entry = None
    if data.pairs.cache is not None:
        tokens = hashlib.sha256(b"".join(slide.tokens.tobytes() for slide in data.pairs.slides))
        entry = data.pairs.cache.entry(
            n=len(data),
            dim=model.gene_dim,
            tokens=tokens.hexdigest(),
            encoder=_digest(model.spot_backbone, model.config.gene),
        )
    return follow(
        compute_features(
            len(data),
            model.gene_dim,
            partial(_batches, data.gene_inputs),
            model.encode_gene,
            device=device,
            entry=entry,
            stage="gene features",
        )
    )


def _digest(encoder: torch.nn.Module, config: object) -> str:
    """Of an encoder's weights and of what else its features depend on."""
    h = hashlib.sha256(repr(config).encode())
    for name, tensor in encoder.state_dict().items():
        h.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        h.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return h.hexdigest()


def _batches(
    inputs: Callable[[np.ndarray], np.ndarray], rows: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for start in range(0, len(rows), _ENCODE_BATCH):
        batch = rows[start : start + _ENCODE_BATCH]
        yield batch, inputs(batch)
