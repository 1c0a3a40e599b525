"""What a gene can be called: Ensembl ids with and without version, symbols, made-unique names."""

from __future__ import annotations

import re

__all__ = ["base_ensembl_id", "is_ensembl_id", "without_suffix"]

# ENSG (human), ENSMUSG (mouse), ENSDARG ...; GENCODE writes the Y copies of the pseudo-autosomal
# genes as ENSG00000182378.15_PAR_Y, older releases as ENSGR0000182378.
_ENSEMBL = re.compile(r"^(ENS[A-Z]{0,6}G\d{6,})(?:\.\d+)?(?:_PAR_Y)?$")
_OLD_PAR_Y = re.compile(r"^ENSGR(\d{10})(?:\.\d+)?$")
# anndata's var_names_make_unique adds "-1", R's make.unique ".1".
_MADE_UNIQUE = re.compile(r"^(.+?)[-.]\d+$")


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


def without_suffix(text: str) -> str | None:
    """`text` without one trailing "-1" or ".1" (any number); None where it has none."""
    match = _MADE_UNIQUE.match(text)
    return match.group(1) if match else None
