"""Figures of what a session shows: a grid of genes over the tissue."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from napari_umpire.errors import InputError
from napari_umpire.genes.normalise import UNIT
from napari_umpire.plugin.layers.colours import Look, gene_colormap
from napari_umpire.plugin.layers.ranges import RangeChoice, display_range
from napari_umpire.progress import Progress, Steps

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_umpire.inference.figures.gene_figure import FigureContent, GeneMaps
    from napari_umpire.inference.genes.measured import Measured
    from napari_umpire.inference.genes.table import GeneTable
    from napari_umpire.inference.predictions.prediction import GenePrediction
    from napari_umpire.plugin.session.slide_state import SlideState
    from napari_umpire.slides.slide import Slide

__all__ = ["MOST_GENES", "FigureOrder", "Row", "figure_steps", "order"]

Row = Literal["measured", "predicted"]
MOST_GENES = 60
"""A page with more has maps too small to read."""

_PICTURE_PX = 600
"""Longer side of the tissue in a map, px: its 2 inches at 300 dpi."""


@dataclass(frozen=True, eq=False)
class FigureOrder:
    """All that a figure of genes is drawn from; nothing of it is a layer or a widget."""

    slide: Slide
    diameter: float
    table: GeneTable
    prediction: GenePrediction | None
    measured: Measured | None
    genes: tuple[str, ...]
    rows: tuple[Row, ...]
    choice: RangeChoice
    one_range: bool
    colours: np.ndarray
    columns: int
    dpi: int


def order(
    state: SlideState,
    genes: Sequence[str],
    rows: Sequence[Row],
    *,
    choice: RangeChoice,
    look: Look,
    one_range: bool = False,
    columns: int = 4,
    dpi: int = 300,
) -> FigureOrder:
    """Order a figure of some genes of a slide.

    Parameters
    ----------
    genes
        Keys of `GeneTable`.
    rows
        From top to bottom; what the slide lacks is left out.
    one_range
        Whether all genes get one range, so that colours compare between them.

    Raises
    ------
    InputError
        Where nothing is left to draw, or the page would be full.
    """
    kept = tuple(row for row in rows if row in state.kinds)
    if not genes or not kept:
        raise InputError(
            f"There is nothing of {state.name} to draw",
            got="no gene" if not genes else "neither a measurement nor a prediction in these rows",
            fix="Name genes of this slide, and tick measured or predicted",
        )
    if len(genes) > MOST_GENES:
        raise InputError(
            "These are too many genes for one figure",
            got=f"{len(genes):,}",
            expected=f"at most {MOST_GENES}",
            fix="Make several figures",
        )
    colours = gene_colormap("predicted", Look(look.colormap)).map(np.linspace(0, 1, 256))
    return FigureOrder(
        slide=state.slide, diameter=state.raster.diameter, table=state.genes,
        prediction=state.prediction, measured=state.measured, genes=tuple(genes), rows=kept,
        choice=choice, one_range=one_range, colours=colours, columns=columns, dpi=dpi,
    )  # fmt: skip


def figure_steps(wanted: FigureOrder, paths: Sequence[Path]) -> Steps[list[Path]]:
    """Compute the maps, draw them, and write the figure to each path."""
    from napari_umpire.inference.figures.gene_figure import draw, write_figure

    content = yield from content_steps(wanted)
    yield Progress("Drawing", 0, 0, "")
    return write_figure(draw(content), paths, wanted.dpi)


def content_steps(wanted: FigureOrder) -> Steps[FigureContent]:
    """What the figure shows; values are those of the maps in the window."""
    from napari_umpire.inference.figures.gene_figure import FigureContent
    from napari_umpire.slides.overview_picture import overview_picture

    yield Progress("Reading the image", 0, 0, "")
    picture = overview_picture(wanted.slide, _PICTURE_PX)
    found = []
    for done, gene in enumerate(wanted.genes):
        yield Progress("Computing the maps", done, len(wanted.genes), "genes")
        found.append(tuple(_values(wanted, gene, row) for row in wanted.rows))
    limits = _limits(wanted, found)
    genes = tuple(
        _gene(wanted, gene, values, ends)
        for gene, values, ends in zip(wanted.genes, found, limits, strict=True)
    )
    return FigureContent(
        picture=picture, yx=wanted.slide.yx, diameter=wanted.diameter,
        mpp=wanted.slide.scale.mpp, rows=wanted.rows, genes=genes, colours=wanted.colours,
        caption=_caption(wanted), shared_range=wanted.one_range or wanted.choice.is_fixed,
        columns=wanted.columns,
    )  # fmt: skip


def _values(wanted: FigureOrder, gene: str, row: Row) -> np.ndarray | None:
    name = str(wanted.table.frame.at[gene, row])
    if not name:
        return None
    if row == "measured":
        return None if wanted.measured is None else wanted.measured.column(name)
    return None if wanted.prediction is None else wanted.prediction.gene_map(name)


def _limits(
    wanted: FigureOrder, found: Sequence[tuple[np.ndarray | None, ...]]
) -> list[tuple[float, float]]:
    """Ends of the colour bar of each gene; measured and predicted always share theirs."""
    pools = [[v for v in values if v is not None] for values in found]
    if wanted.one_range:
        pools = [[v for pool in pools for v in pool]] * len(pools)
    ends: Callable = partial(display_range, choice=wanted.choice)
    return [ends(pool or [np.zeros(1)]) for pool in pools]


def _gene(
    wanted: FigureOrder,
    gene: str,
    values: tuple[np.ndarray | None, ...],
    limits: tuple[float, float],
) -> GeneMaps:
    from napari_umpire.inference.figures.gene_figure import GeneMaps
    from napari_umpire.inference.scores.agreement import agreement

    note = ""
    if wanted.measured is not None and "predicted" in wanted.rows:
        at = wanted.rows.index("predicted")
        truth = _values(wanted, gene, "measured")
        predicted = values[at]
        if truth is not None and predicted is not None:
            found = agreement(predicted, truth, wanted.measured.detected)
            pcc = "none" if np.isnan(found.pcc) else f"{found.pcc:.2f}"
            note = f"PCC {pcc}, n = {found.n_spots:,}"
    return GeneMaps(wanted.table.label(gene), values, limits, note)


def _caption(wanted: FigureOrder) -> tuple[str, ...]:
    """The protocol of what is shown."""
    from napari_umpire.inference.scores.agreement import MIN_GENES

    slide, prediction = wanted.slide, wanted.prediction
    about = (
        f"Slide {slide.name}, {slide.n_spots:,} spots of {slide.spot_diameter_um:g} µm at "
        f"{slide.pitch_um:g} µm, drawn at their size; {slide.scale.describe()}. Values are {UNIT}."
    )
    lines = [about]
    if prediction is not None and "predicted" in wanted.rows:
        record, digests = prediction.record, prediction.record.provenance
        model = f"{Path(record.model).name} (model {digests.get('model_digest', 'unknown')[:12]}"
        if record.method == "decoder":
            lines.append(f"Predicted by {model}), from the image alone by its decoder.")
        else:
            lines.append(
                f"Predicted by {model}, reference "
                f"{digests.get('reference_digest', 'unknown')[:12]}), K = {record.k}, "
                f"weights by {record.weighting}."
            )
    if wanted.measured is not None and "predicted" in wanted.rows:
        lines.append(
            f"PCC: Pearson correlation of predicted with measured over the n spots of this slide "
            f"with ≥ {MIN_GENES} genes, per gene, on {UNIT}; neighbouring spots are not "
            "independent."
        )
    return (*lines, _range_caption(wanted))


def _range_caption(wanted: FigureOrder) -> str:
    choice = wanted.choice
    if choice.is_fixed:
        return f"All maps have the range {choice.absolute[0]:g} to {choice.absolute[1]:g}."
    low, high = (1, 99) if choice.mode == "auto" else choice.percentiles
    whose = "all genes together" if wanted.one_range else "each gene, its rows together"
    return f"Colours run from percentile {low:g} to {high:g} of {whose}."
