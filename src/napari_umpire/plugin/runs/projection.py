"""Laying embeddings out, and scoring groups, as the Embedding widget runs them. No Qt here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_umpire.plugin.runs.embedding import Embedded, EmbedRequest, embed_steps

if TYPE_CHECKING:
    from napari_umpire.inference.classes.cluster_scores import GroupScores
    from napari_umpire.inference.classes.point_groups import PointGroups
    from napari_umpire.inference.classes.projection import Method, Projection
    from napari_umpire.plugin.session.session import Session
    from napari_umpire.progress import Steps

__all__ = ["GeneColours", "LaidOut", "gene_colours", "lay_out_steps", "score_steps"]

_LEVELS = 64


@dataclass(frozen=True)
class LaidOut:
    """A picture of embeddings, and the embeddings."""

    projection: Projection
    embedded: Embedded


def lay_out_steps(asked: EmbedRequest, method: Method) -> Steps[LaidOut]:
    """Embed slides where needed, and lay their spots out in two dimensions."""
    from napari_umpire.inference.classes.projection import project

    done = yield from embed_steps(asked)
    projection = yield from project(done.by_name, method, what=asked.kind)
    return LaidOut(projection, done)


def score_steps(projection: Projection, groups: PointGroups) -> Steps[GroupScores]:
    """Silhouette and Davies-Bouldin of one grouping, in all dimensions."""
    from napari_umpire.inference.classes.cluster_scores import group_scores

    scores = yield from group_scores(projection.embeddings, {groups.by: groups.codes})
    return scores[0]


@dataclass(frozen=True, eq=False)
class GeneColours:
    """The shown gene at each point.

    Attributes
    ----------
    codes
        (n,) int64, row of ``rgb``; -1 where a spot has no value.
    rgb
        (levels, 3) uint8, from the lowest to the highest.
    limits
        Values of the ends: 1st and 99th percentile of the points.
    words
        Which gene, which map of it, which range.
    """

    codes: np.ndarray
    rgb: np.ndarray
    limits: tuple[float, float]
    words: str


def gene_colours(session: Session, projection: Projection) -> GeneColours | None:
    """Colours by the gene that is shown; None where no slide has it."""
    from napari_umpire.genes.normalise import UNIT
    from napari_umpire.plugin.layers.make import palette_colormap

    gene = session.gene
    if gene is None:
        return None
    per_slide, kinds, title, unit = {}, set(), gene, UNIT
    for name in projection.slide_names:
        state = session.slides.get(name)
        if state is None:
            continue
        maps = state.gene_maps(gene)
        kind = session.kind if session.kind in maps else next(iter(maps), None)
        if kind is not None:
            per_slide[name] = np.asarray(maps[kind], np.float64)
            kinds.add(kind)
            title, unit = state.label(gene), state.unit(gene)
    values = projection.gathered(per_slide)
    there = np.isfinite(values)
    if not there.any():
        return None
    low, high = (float(v) for v in np.percentile(values[there], (1, 99)))
    if not low < high:
        low, high = low, low + 1.0
    scaled = np.clip((np.where(there, values, low) - low) / (high - low), 0, 1)
    codes = np.where(there, np.round(scaled * (_LEVELS - 1)), -1).astype(np.int64)
    # Of a difference 0 need not be the middle of these limits, so the plain palette serves all.
    colours = palette_colormap("expression").map(np.linspace(0, 1, _LEVELS))
    without = [name for name in projection.slide_names if name not in per_slide]
    grey = f" Grey, as it is not known there: {', '.join(without)}." if without else ""
    words = (
        f"{title} ({' and '.join(sorted(kinds))}): {low:.2f} to {high:.2f} {unit}, 1st to 99th "
        f"percentile of the points.{grey}"
    )
    return GeneColours(codes, np.round(colours[:, :3] * 255).astype(np.uint8), (low, high), words)
