"""What a gene can be called: Ensembl ids with and without version, symbols, made-unique names,
and any of these behind the name of a genome.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = [
    "base_ensembl_id",
    "genome_species",
    "is_ensembl_id",
    "is_mouse_like",
    "split_genome",
    "without_suffix",
]

# ENSG (human), ENSMUSG (mouse), ENSDARG ...; GENCODE writes the Y copies of the pseudo-autosomal
# genes as ENSG00000182378.15_PAR_Y, older releases as ENSGR0000182378.
_ENSEMBL = re.compile(r"^(ENS[A-Z]{0,6}G\d{6,})(?:\.\d+)?(?:_PAR_Y)?$")
_OLD_PAR_Y = re.compile(r"^ENSGR(\d{10})(?:\.\d+)?$")
# anndata's var_names_make_unique adds "-1", R's make.unique ".1".
_MADE_UNIQUE = re.compile(r"^(.+?)[-.]\d+$")

_SPECIES = {
    "human": ("grch", "hg", "hs37", "human", "homo_sapiens"),
    "mouse": ("grcm", "mm", "mouse", "mus_musculus"),
    "rat": ("mratbn", "rnor", "rn", "rat"),
}
_GENOME = re.compile(
    r"(GRCh\d+|hg\d+|hs37d5|GRCm\d+|mm\d+|mRatBN\d+(?:[.-]\d+)?|Rnor(?:[_-]?\d+[.-]\d+)?|rn\d+"
    r"|Mmul[_-]\d+|GRCz\d+|Sscrofa\d+(?:\.\d+)?|CanFam\d+(?:\.\d+)?"
    r"|human|mouse|rat|homo_sapiens|mus_musculus)"
    r"(?:\.p\d+)?(?:-\d{4}-[A-Z])?[-_.:|]+(?=\w)",
    re.IGNORECASE,
)


def base_ensembl_id(text: str) -> str | None:
    """The Ensembl gene id in `text` without version and ``_PAR_Y``; None where it is none."""
    match = _ENSEMBL.match(text)
    if match:
        return match.group(1)
    match = _OLD_PAR_Y.match(text)
    return f"ENSG0{match.group(1)}" if match else None


def is_ensembl_id(text: str) -> bool:
    """Whether `text` is an Ensembl gene id, with or without version."""
    return base_ensembl_id(text) is not None


def is_mouse_like(names: Collection[str]) -> bool:
    """Whether most of ``names`` are mouse ids, or symbols written as Erbb2 is."""
    n = sum(t.startswith("ENSMUSG") or (t[:1].isupper() and t[1:].islower()) for t in names)
    return n > len(names) / 2


def without_suffix(text: str) -> str | None:
    """`text` without one trailing "-1" or ".1" (any number); None where it has none."""
    match = _MADE_UNIQUE.match(text)
    return match.group(1) if match else None


def split_genome(text: str) -> tuple[str, str]:
    """`text` as the genome that it begins with and the rest; "" where it begins with none.

    Space Ranger puts the genome before each name where a reference holds two, padded to one width:
    GRCh38_ERBB2, mm10___Erbb2. Seurat makes dashes of the underscores.
    """
    match = _GENOME.match(text)
    return (match.group(1), text[match.end() :]) if match else ("", text)


def genome_species(genome: str) -> str:
    """Whose genome it is: "human", "mouse", "rat", or "another species"."""
    lowered = genome.lower()
    for species, beginnings in _SPECIES.items():
        if lowered.startswith(beginnings):
            return species
    return "another species"
