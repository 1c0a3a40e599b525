"""A figure of gene maps over the H&E image, for print: drawn without a window, as PNG and SVG."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from napari_umpire.errors import InputError
from napari_umpire.files import replace_file
from napari_umpire.genes.normalise import UNIT
from napari_umpire.inference.figures.layout import (
    Box,
    FigureLayout,
    layout,
    length_words,
    scale_bar_um,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.ticker import Locator

    from napari_umpire.slides.overview_picture import OverviewPicture

__all__ = ["FigureContent", "GeneMaps", "draw", "write_figure"]

FORMATS = (".png", ".svg")
_MOST_VECTOR_SPOTS = 20_000
_SMALL, _NORMAL = 6.5, 8.0
_LETTERS_PER_INCH = 21.0
_INK = "#222222"


@dataclass(frozen=True, eq=False)
class GeneMaps:
    """The maps of one gene, one per row of the figure.

    Attributes
    ----------
    name
        As printed above them.
    values
        By row, (n_spots,) float; NaN is not drawn; None: there is no such map.
    limits
        Ends of the colour bar.
    note
        Printed below the maps, such as a correlation with its n.
    """

    name: str
    values: tuple[np.ndarray | None, ...]
    limits: tuple[float, float]
    note: str = ""


@dataclass(frozen=True, eq=False)
class FigureContent:
    """What a figure shows.

    Attributes
    ----------
    picture
        The tissue under the spots.
    yx
        (n_spots, 2) spot centres, full-resolution px.
    diameter
        Of a spot, full-resolution px.
    mpp
        um per full-resolution px; None: unknown, and then there is no scale bar.
    rows
        What each row shows, such as "measured", "predicted".
    genes
        The maps.
    colours
        (n, 4) RGBA 0..1, from low to high.
    caption
        The protocol: one paragraph per entry.
    shared_range
        Whether all genes have one range, and one colour bar.
    """

    picture: OverviewPicture
    yx: np.ndarray
    diameter: float
    mpp: float | None
    rows: tuple[str, ...]
    genes: tuple[GeneMaps, ...]
    colours: np.ndarray
    caption: tuple[str, ...] = ()
    shared_range: bool = False
    unit: str = UNIT
    columns: int = field(default=4)


def draw(content: FigureContent) -> Figure:
    """Draw the figure.

    Axes of the maps are in um (full-resolution px where the scale is unknown), y down, and have
    the label "gene, row"; the scale bar is the only line in them.

    Raises
    ------
    InputError
        Where there is no gene or no row to show.
    """
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure

    if not content.genes or not content.rows:
        raise InputError(
            "There is nothing to draw", fix="Name a gene that was measured or predicted"
        )
    y0, x0, y1, x1 = content.picture.box
    place, caption = _place(content, (y1 - y0) / (x1 - x0))
    figure = Figure(figsize=place.size, facecolor="white")
    cmap = LinearSegmentedColormap.from_list("genes", content.colours, N=256)
    for number, (gene, boxes) in enumerate(zip(content.genes, place.panels, strict=True)):
        for row, box in enumerate(boxes):
            axes = figure.add_axes(box.fraction(place.size), label=f"{gene.name}, {row}")
            _map(axes, content, gene, row, cmap)
            if row == 0:
                axes.set_title(gene.name, fontsize=_NORMAL + 1, fontstyle="italic", pad=3)
            if number % content.columns == 0:
                axes.set_ylabel(content.rows[row], fontsize=_NORMAL, labelpad=3)
            if number == 0 and row == 0 and content.mpp is not None:
                _scale_bar(axes, (x1 - x0) * content.mpp)
    for gene, box in zip(content.genes, place.bars, strict=False):
        _colour_bar(figure, box, place.size, gene.limits, cmap, content.unit)
    left, bottom, _, height = place.caption.fraction(place.size)
    figure.text(
        left, bottom + height, "\n".join(caption), fontsize=_SMALL, color=_INK,
        va="top", linespacing=1.25,
    )  # fmt: skip
    return figure


def _place(content: FigureContent, aspect: float) -> tuple[FigureLayout, list[str]]:
    """The layout, and the caption wrapped to its width."""

    def place(lines: int) -> FigureLayout:
        return layout(
            len(content.genes), len(content.rows), aspect, columns=content.columns,
            shared_bar=content.shared_range, caption_lines=lines,
        )  # fmt: skip

    letters = max(30, int(place(0).caption.width * _LETTERS_PER_INCH))
    caption = [line for part in content.caption for line in textwrap.wrap(part, letters)]
    return place(len(caption)), caption


def _map(axes: Axes, content: FigureContent, gene: GeneMaps, row: int, cmap: object) -> None:
    from matplotlib.collections import EllipseCollection

    unit = content.mpp or 1.0
    y0, x0, y1, x1 = (v * unit for v in content.picture.box)
    axes.imshow(content.picture.pixels, extent=(x0, x1, y1, y0), interpolation="antialiased")
    values = gene.values[row]
    if values is None:
        axes.text(
            0.5, 0.5, f"not {content.rows[row]}", transform=axes.transAxes, ha="center",
            fontsize=_NORMAL, color=_INK, bbox={"facecolor": "white", "edgecolor": "none"},
        )  # fmt: skip
    else:
        there = np.isfinite(values)
        across = np.full(int(there.sum()), content.diameter * unit)
        spots = EllipseCollection(
            across, across, np.zeros(len(across)), units="xy",
            offsets=content.yx[there][:, ::-1] * unit, offset_transform=axes.transData,
            cmap=cmap, linewidths=0, array=values[there],
        )  # fmt: skip
        spots.set_clim(*gene.limits)
        # Over so many spots an SVG opens in no editor.
        spots.set_rasterized(
            len(values) * len(content.genes) * len(content.rows) > _MOST_VECTOR_SPOTS
        )
        axes.add_collection(spots)
    axes.set_xlim(x0, x1)
    axes.set_ylim(y1, y0)
    axes.set_aspect("equal")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_linewidth(0.4)
    if gene.note and row == len(content.rows) - 1:
        axes.set_xlabel(gene.note, fontsize=_SMALL, labelpad=2)


def _scale_bar(axes: Axes, width_um: float) -> None:
    """A bar of a round length in the lower left corner, on white."""
    from matplotlib.patches import Rectangle

    length = scale_bar_um(width_um)
    (left, _), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    em = abs(bottom - top) * 0.02
    box = Rectangle(
        (left + em, bottom - 5.6 * em), length + 2 * em, 4.6 * em, facecolor="white", alpha=0.85,
        linewidth=0, zorder=5,
    )  # fmt: skip
    axes.add_patch(box)
    start = left + 2 * em
    axes.plot(
        [start, start + length], [bottom - 1.9 * em] * 2, color="black", linewidth=1.6,
        solid_capstyle="butt", zorder=6, gid="scale-bar",
    )  # fmt: skip
    axes.text(
        start + length / 2, bottom - 2.5 * em, length_words(length), ha="center", va="bottom",
        fontsize=_SMALL, color="black", zorder=6,
    )  # fmt: skip


def _colour_bar(
    figure: Figure,
    box: Box,
    size: tuple[float, float],
    limits: tuple[float, float],
    cmap: object,
    unit: str,
) -> None:
    axes = figure.add_axes(box.fraction(size), label="colour bar")
    shades = np.linspace(*limits, 256)[None]
    axes.imshow(shades, aspect="auto", cmap=cmap, extent=(*limits, 0, 1), clim=limits)  # type: ignore[arg-type]
    axes.set_yticks([])
    axes.tick_params(labelsize=_SMALL, length=2, pad=1.5, width=0.4)
    axes.xaxis.set_major_locator(_ticks())
    axes.set_xlabel(unit, fontsize=_SMALL, labelpad=1)
    for spine in axes.spines.values():
        spine.set_linewidth(0.4)


def _ticks() -> Locator:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(4)


def write_figure(figure: Figure, paths: Sequence[Path], dpi: int = 300) -> list[Path]:
    """Write the figure to each path, as its ending says; a file appears whole or not at all.

    In an SVG text is text, to be edited and searched.

    Parameters
    ----------
    dpi
        Of a PNG, and of the pictures in an SVG.

    Raises
    ------
    InputError
        For another ending, and where the disk refuses.
    """
    import matplotlib as mpl

    for path in paths:
        if path.suffix.lower() not in FORMATS:
            raise InputError(
                f"A figure cannot be written as {path.name}",
                expected=" or ".join(FORMATS),
                fix="Give the file one of these endings",
            )
    for path in paths:
        svg = path.suffix.lower() == ".svg"
        try:
            with (
                replace_file(path) as part,
                mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "napari-umpire"}),
            ):
                figure.savefig(part, dpi=dpi, metadata={"Date": None} if svg else None)
        except OSError as error:
            raise InputError(
                f"The figure cannot be written to {path}",
                got=error,
                fix="Make room on the disk, or choose another folder",
            ) from error
    return list(paths)
