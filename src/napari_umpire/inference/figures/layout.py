"""Where the parts of a figure of gene maps go, in inches, and how long its scale bar is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Box", "FigureLayout", "layout", "length_words", "scale_bar_um"]

_LEFT, _RIGHT, _TOP, _GAP = 0.32, 0.12, 0.08, 0.10
_TITLE, _BETWEEN, _NOTE, _BAR = 0.26, 0.06, 0.20, 0.42
_LINE = 0.125
_BAR_SHARE = 0.3
"""Longest part of a panel's width that the scale bar takes."""


@dataclass(frozen=True)
class Box:
    """A rectangle, inches from the figure's upper left corner."""

    left: float
    top: float
    width: float
    height: float

    def fraction(self, size: tuple[float, float]) -> tuple[float, float, float, float]:
        """The rectangle as matplotlib takes it: left, bottom, width, height in parts of ``size``.

        Parameters
        ----------
        size
            (width, height) of the figure, inches.
        """
        width, height = size
        bottom = height - self.top - self.height
        return self.left / width, bottom / height, self.width / width, self.height / height


@dataclass(frozen=True)
class FigureLayout:
    """Boxes of a figure.

    Attributes
    ----------
    size
        (width, height), inches.
    panels
        By gene, then by row: the maps.
    bars
        By gene: its colour bar; a single one for all genes where they share a range.
    caption
        The text below.
    """

    size: tuple[float, float]
    panels: list[list[Box]]
    bars: list[Box]
    caption: Box


def layout(
    n_genes: int,
    n_rows: int,
    aspect: float,
    *,
    columns: int = 4,
    panel_in: float = 2.0,
    shared_bar: bool = False,
    caption_lines: int = 3,
) -> FigureLayout:
    """Place ``n_genes`` maps of ``n_rows`` kinds.

    Genes run to the right, ``columns`` of them, then go on in a block below; the kinds of a gene
    stand under each other.

    Parameters
    ----------
    aspect
        Height of a panel over its width.
    panel_in
        Width of a panel, inches.
    """
    columns = max(1, min(columns, n_genes))
    high = panel_in * aspect
    rows = n_rows * (high + _BETWEEN) - _BETWEEN + _NOTE
    block = _TITLE + rows + (0.05 if shared_bar else _BAR)
    panels, bars = [], []
    for gene in range(n_genes):
        down, along = divmod(gene, columns)
        left = _LEFT + along * (panel_in + _GAP)
        top = _TOP + down * block + _TITLE
        panels.append(
            [Box(left, top + row * (high + _BETWEEN), panel_in, high) for row in range(n_rows)]
        )
        if not shared_bar:
            below = top + rows + 0.02
            bars.append(Box(left + 0.1 * panel_in, below, 0.8 * panel_in, 0.09))
    width = _LEFT + columns * (panel_in + _GAP) - _GAP + _RIGHT
    bottom = _TOP + -(-n_genes // columns) * block
    if shared_bar:
        long = min(3.0, width - _LEFT - _RIGHT)
        bars.append(Box(_LEFT, bottom + 0.02, long, 0.09))
        bottom += _BAR
    text = Box(_LEFT, bottom + 0.06, width - _LEFT - _RIGHT, caption_lines * _LINE + 0.05)
    return FigureLayout((width, text.top + text.height + 0.06), panels, bars, text)


def scale_bar_um(width_um: float) -> float:
    """A length of 1, 2 or 5 times a power of ten that takes at most 30 % of ``width_um``."""
    longest = width_um * _BAR_SHARE
    power = 10.0 ** np.floor(np.log10(longest))
    return float(next(m * power for m in (5, 2, 1) if m * power <= longest * (1 + 1e-9)))


def length_words(um: float) -> str:
    """A length with its unit, such as "500 µm" or "2 mm"."""
    return f"{um / 1000:g} mm" if um >= 1000 else f"{um:g} µm"
