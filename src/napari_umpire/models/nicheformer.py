"""What stands before the genes of a spot in a Nicheformer (Schaar et al. 2024): its context.

Nicheformer and Visiumformer have the same parts, names and shapes (`Visiumformer`). Nicheformer
puts three reserved tokens before the genes: species, assay, modality, in this order, within its
1,500 positions. The ids are those of its authors' tokenisation notebooks.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from napari_umpire.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "ASSAYS",
    "MODALITIES",
    "SPECIES",
    "VISIUM_ASSAY",
    "context_in_words",
    "context_tokens",
]

MODALITIES = {"dissociated": 3, "spatial": 4}
SPECIES = {"human": 5, "mouse": 6}
ASSAYS = {
    "MERFISH": 7,
    "CosMx": 8,
    "Xenium": 9,
    "10x 5' v2": 10,
    "10x 3' v3": 11,
    "10x 3' v2": 12,
    "10x 5' v1": 13,
    "10x 3' v1": 14,
    "10x 3'": 15,
    "10x 5'": 16,
    "CITE-seq": 17,
    "Smart-seq v4": 18,
}
VISIUM_ASSAY = "10x 3'"
"""What stands for Visium, which Nicheformer never saw and has no token for.

Visium captures the 3' ends of the whole transcriptome with 10x's chemistry; the spatial assays
that Nicheformer knows read panels of some hundred genes in single cells. Which token the UMPIRE
paper used for its *Niche.* rows it does not say.
"""


def context_tokens(species: str, assay: str, modality: str) -> tuple[int, int, int]:
    """Token ids of a context, in Nicheformer's order.

    Raises
    ------
    InputError
        For a name without a token, with the names that have one.
    """
    return (
        _id("species", species, SPECIES),
        _id("assay", assay, ASSAYS),
        _id("modality", modality, MODALITIES),
    )


def context_in_words(tokens: Sequence[int]) -> str:
    """The names behind the ids, and the ids; an id without a name stands alone."""
    names = {i: name for table in (MODALITIES, SPECIES, ASSAYS) for name, i in table.items()}
    return ", ".join(f"{names[i]} ({i})" if i in names else str(i) for i in tokens)


def _id(what: str, name: str, table: Mapping[str, int]) -> int:
    lower = {known.lower(): known for known in table}
    if name.lower() in lower:
        return table[lower[name.lower()]]
    near = difflib.get_close_matches(name.lower(), lower, n=1, cutoff=0.6)
    raise InputError(
        f"Nicheformer has no token for the {what} {name}",
        expected=", ".join(table),
        fix=f"Did you mean {lower[near[0]]}?" if near else None,
    )
