"""Genes: vocabulary and name mapping, checked counts, expression, rank tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_umpire._lazy import attach

if TYPE_CHECKING:
    from napari_umpire.genes.aliases import GeneAliases as GeneAliases
    from napari_umpire.genes.checks import check_counts as check_counts
    from napari_umpire.genes.checks import check_sparse as check_sparse
    from napari_umpire.genes.mapping import GeneMapping as GeneMapping
    from napari_umpire.genes.mapping import require_mapped as require_mapped
    from napari_umpire.genes.normalise import expression as expression
    from napari_umpire.genes.tokens import CLS_ID as CLS_ID
    from napari_umpire.genes.tokens import FIRST_GENE_ID as FIRST_GENE_ID
    from napari_umpire.genes.tokens import MASK_ID as MASK_ID
    from napari_umpire.genes.tokens import PAD_ID as PAD_ID
    from napari_umpire.genes.tokens import rank_tokens as rank_tokens
    from napari_umpire.genes.tokens import rank_tokens_reference as rank_tokens_reference
    from napari_umpire.genes.vocabulary import GeneVocabulary as GeneVocabulary

_WHERE = {
    "GeneAliases": "aliases",
    "check_counts": "checks",
    "check_sparse": "checks",
    "GeneMapping": "mapping",
    "require_mapped": "mapping",
    "expression": "normalise",
    "CLS_ID": "tokens",
    "FIRST_GENE_ID": "tokens",
    "MASK_ID": "tokens",
    "PAD_ID": "tokens",
    "rank_tokens": "tokens",
    "rank_tokens_reference": "tokens",
    "GeneVocabulary": "vocabulary",
}

__all__ = [
    "CLS_ID",
    "FIRST_GENE_ID",
    "MASK_ID",
    "PAD_ID",
    "GeneAliases",
    "GeneMapping",
    "GeneVocabulary",
    "check_counts",
    "check_sparse",
    "expression",
    "rank_tokens",
    "rank_tokens_reference",
    "require_mapped",
]

__getattr__, __dir__ = attach(
    __name__, {name: f"{__name__}.{module}" for name, module in _WHERE.items()}
)
