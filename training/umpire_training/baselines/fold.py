"""What a control row may look at: sections with expression of the chosen genes, and features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["ControlFold", "Section", "Skipped"]


class Skipped(Exception):
    """A control row cannot be had; the message is the reason that the table gives."""


@dataclass(frozen=True)
class Section:
    """One slide's good spots.

    Attributes
    ----------
    expression
        (n_spots, n_genes) float32, log1p CP10k of the genes that are scored.
    colour
        (n_spots, 62) float32, see `colour.colour_features`.
    position
        (n_spots, 2) float64 in a frame that all sections share; None where not registered. NaN
        where a spot has none.
    """

    name: str
    expression: np.ndarray
    colour: np.ndarray
    position: np.ndarray | None = None


@dataclass(frozen=True)
class ControlFold:
    """Sections to learn from and the one held out."""

    train: tuple[Section, ...]
    test: Section

    def train_colour(self) -> np.ndarray:
        """(n_train_spots, 62)."""
        return np.concatenate([s.colour for s in self.train])

    def train_expression(self) -> np.ndarray:
        """(n_train_spots, n_genes)."""
        return np.concatenate([s.expression for s in self.train])

    def train_slides(self) -> np.ndarray:
        """(n_train_spots,) name of each training spot's section."""
        return np.concatenate([[s.name] * len(s.expression) for s in self.train])
