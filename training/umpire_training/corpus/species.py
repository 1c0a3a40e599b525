"""Which species a section is of: what its collection says, and what its genes say."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from napari_umpire.errors import InputError
from napari_umpire.genes.columns import table_columns
from napari_umpire.genes.names import genome_species, split_genome
from napari_umpire.genes.spreadsheet import is_date

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["HUMAN", "genes_species", "source_species"]

HUMAN = "human"
OTHER = "mouse or rat"

_WORDS = {
    "homo sapiens": HUMAN,
    "human": HUMAN,
    "mus musculus": "mouse",
    "mouse": "mouse",
    "rattus norvegicus": "rat",
    "rat": "rat",
}
_ENSEMBL = re.compile(r"^ENS([A-Z]{3})?G\d{6,}")
# The other species' share of a table below which it is noise: the published vocabulary has 0.7 %.
_TRACE = 0.05
_MIN_GENES = 20


def genes_species(genes: pd.DataFrame) -> str:
    """Species of a table by its genes: "human", "mouse or rat", another, "" where unclear.

    Ensembl ids tell by their prefix, symbols by their case: ACTB and C1orf112 are human, Actb is a
    rodent's.

    Parameters
    ----------
    genes
        As `Slide.genes`.

    Raises
    ------
    InputError
        A table of two species.
    """
    names, ids, symbols = table_columns(genes)
    votes = [
        _by_genome(str(written)) or _vote(*texts)
        for written, *texts in zip(genes.index, ids, symbols, names, strict=True)
    ]
    told, times = np.unique([v for v in votes if v], return_counts=True)
    if not times.size or times.sum() < _MIN_GENES:
        return ""
    if len(told) > 1 and np.sort(times)[-2] > _TRACE * times.sum():
        order = np.argsort(-times)[:2]
        examples = [
            next(n for n, v in zip(genes.index, votes, strict=True) if v == told[i]) for i in order
        ]
        raise InputError(
            "It holds genes of two species",
            got=", ".join(
                f"{times[i]:,} {told[i]} (such as {e})"
                for i, e in zip(order, examples, strict=True)
            ),
            expected="one species to a section",
            fix="Keep the columns of one species, or leave the section out",
        )
    return str(told[np.argmax(times)])


def source_species(said: str, genes: pd.DataFrame) -> str:
    """Species of a section, of what its collection ``said`` and its genes.

    Raises
    ------
    InputError
        Two species in one table, or a collection that says human of rodent genes.
    """
    by_genes = genes_species(genes)
    stated = _WORDS.get(said.strip().lower(), said.strip().lower())
    if stated == HUMAN and by_genes not in ("", HUMAN):
        raise InputError(
            "Its collection says that it is human, and its genes do not",
            got=f"genes of {by_genes}, such as {', '.join(list(genes.index[:3]))}",
            fix="Check which file it is, or leave it out",
        )
    return stated or by_genes


def _by_genome(name: str) -> str:
    species = genome_species(genome) if (genome := split_genome(name.strip())[0]) else ""
    return OTHER if species in ("mouse", "rat") else species


def _vote(gene: str, symbol: str, name: str) -> str:
    for text in (gene, name):
        match = _ENSEMBL.match(text)
        if match:
            return {None: HUMAN, "MUS": OTHER, "RNO": OTHER}.get(match[1], f"ENS{match[1]}")
    text = symbol or name
    if is_date(text):
        return ""
    letters = [c for c in text if c.isalpha()]
    if len(letters) < 3:
        return ""
    if "orf" in text or all(c.isupper() for c in letters):
        return HUMAN
    rest = [c for c in letters[1:] if c.isupper()]
    return OTHER if letters[0].isupper() and not rest else ""
