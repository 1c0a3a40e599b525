"""Sections with counts and with classes of their spots, with or without an image."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_umpire.errors import InputError
from umpire_training.corpus.content import content_of
from umpire_training.corpus.qc import passes
from umpire_training.corpus.sources import SlideSource

if TYPE_CHECKING:
    from pathlib import Path

    import scipy.sparse as sp

    from umpire_training.corpus.content import Content
    from umpire_training.corpus.sources import Source
    from umpire_training.options import QcOptions

__all__ = ["LabelledSection", "label_place", "read_labelled"]

_LEGACY_PITCH_UM = 200.0


@dataclass(frozen=True, eq=False)
class LabelledSection:
    """One section's good spots that have a class.

    Attributes
    ----------
    name
        Unique among those read together.
    source
        Where it came from.
    counts
        (n, n_columns) CSR of raw counts.
    genes
        The columns, as `Slide.genes`.
    spots
        (n,) ids.
    rows
        (n,) int64 rows in the source.
    labels
        (n,) str, names of classes.
    yx_um
        (n, 2) centres, um; None where nothing tells them.
    content
        Of the whole section.
    notes
        What was read and what was left out, in sentences.
    """

    name: str
    source: Source
    counts: sp.csr_matrix
    genes: pd.DataFrame
    spots: np.ndarray
    rows: np.ndarray
    labels: np.ndarray
    yx_um: np.ndarray | None
    content: Content
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Spots:
    """What a table of labels is matched with."""

    name: str
    spots: pd.DataFrame

    @property
    def n_spots(self) -> int:
        return len(self.spots)


def label_place(labels: Path, name: str) -> Path:
    """The table with the classes of section ``name``: ``labels`` itself, or one in that folder.

    Raises
    ------
    InputError
        Where the folder holds no table whose name begins with that of the section, or several.
    """
    if labels.is_file():
        return labels
    if not labels.is_dir():
        raise InputError(f"There is nothing at {labels}", fix="Check --labels")
    own = re.compile(re.escape(name) + r"(?![A-Za-z0-9])")
    found = sorted(
        p
        for p in labels.iterdir()
        if own.match(p.name) and re.search(r"\.(tsv|csv|txt)(\.gz)?$", p.name)
    )
    if len(found) != 1:
        raise InputError(
            f"{labels} has {'more than one table' if found else 'no table'} for section {name}",
            got=", ".join(p.name for p in found[:3]) or None,
            expected=f"one table whose name begins with {name}, such as {name}_labels.tsv",
        )
    return found[0]


def read_labelled(
    source: Source, labels: Path | None, column: str | None, qc: QcOptions
) -> LabelledSection:
    """Read the counts and the classes of one section.

    Parameters
    ----------
    labels
        A table of classes, or a folder with one for each section (`label_place`); None: the
        classes are in the slide's own table.
    column
        Which column; None where the table has one only.

    Raises
    ------
    InputError
        Where counts or classes cannot be read, or no spot has both.
    """
    import scipy.sparse as sp

    chunks = list(source.chunks())
    if not chunks:
        raise InputError(f"{source.path} holds no spots", fix="Leave it out")
    counts = sp.vstack([chunk.counts for chunk in chunks], format="csr")
    spots = np.concatenate([chunk.spots for chunk in chunks]).astype(object)
    rows = np.concatenate([chunk.rows for chunk in chunks])
    names, notes = _labels(source, spots, labels, column)
    good = passes(counts, qc)
    labelled = np.array([isinstance(name, str) for name in names])
    keep = np.flatnonzero(good & labelled)
    if not len(keep):
        raise InputError(
            f"No spot of {source.name} has a class and passes quality control",
            got=f"{int(labelled.sum())} spots with a class",
            expected=f"spots with at least {qc.min_genes} detected genes",
        )
    poor = int((labelled & ~good).sum())
    if poor:
        notes += (f"{poor:,} labelled spots of {source.name} have too few genes.",)
    yx = _places(source, spots)
    return LabelledSection(
        name=source.name,
        source=source,
        counts=counts[keep],
        genes=chunks[0].genes,
        spots=spots[keep],
        rows=rows[keep],
        labels=names[keep],
        yx_um=None if yx is None else yx[keep],
        content=content_of(chunk.counts for chunk in chunks),
        notes=notes,
    )


def _labels(
    source: Source, spots: np.ndarray, labels: Path | None, column: str | None
) -> tuple[np.ndarray, tuple[str, ...]]:
    """(n,) name of each spot's class or None, and notes."""
    from napari_umpire.inference.classes.label_file import labels_of_file
    from napari_umpire.inference.classes.label_sources import labels_of_column

    if labels is not None:
        table = _Spots(source.name, pd.DataFrame(index=pd.Index(spots)))
        found = labels_of_file(table, label_place(labels, source.name), column)
        return found.labels.named(), tuple(f"{source.name}: {n}" for n in found.notes[1:])
    if not isinstance(source, SlideSource) or column is None:
        raise InputError(
            f"Nothing says of which class the spots of {source.name} are",
            expected="a table, or a folder with one for each section, or a column of the slides",
            fix="Give --labels, or --column for slides that hold their classes themselves",
        )
    slide = source.slide
    found = labels_of_column(slide, column)
    by_spot = pd.Series(found.labels.named(), index=slide.spots.index.astype(str))
    return by_spot.reindex(spots).to_numpy(object), ()


def _places(source: Source, spots: np.ndarray) -> np.ndarray | None:
    """(n, 2) centres in um, of the slide or by the ids of the legacy array; None: unknown."""
    if isinstance(source, SlideSource):
        slide = source.slide
        if slide.scale.mpp is None:
            return None
        frame = pd.DataFrame(slide.yx * slide.mpp, index=slide.spots.index.astype(str))
        return frame.reindex(spots).to_numpy(np.float64)
    found = [re.fullmatch(r"(\d+)x(\d+)", str(spot)) for spot in spots]
    if not all(found):
        return None
    xy = np.array([[int(m[1]), int(m[2])] for m in found if m is not None], np.float64)
    return xy[:, ::-1] * _LEGACY_PITCH_UM
