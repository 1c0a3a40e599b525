"""A published gene encoder on its own becomes an encoder folder, from which `align` starts."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from napari_umpire.errors import InputError
from napari_umpire.files import make_folder, scratch_beside
from napari_umpire.genes.tokens import FIRST_GENE_ID
from umpire_training.stages.pretrain import write_encoder

if TYPE_CHECKING:
    from napari_umpire.genes import GeneVocabulary

__all__ = ["ImportedEncoder", "import_encoder"]


@dataclass(frozen=True)
class ImportedEncoder:
    """What became of a published gene encoder; ``unused`` and ``left_out`` as in `RankEncoder`."""

    folder: Path
    context: tuple[int, ...]
    unused: tuple[str, ...]
    left_out: tuple[str, ...]

    def report(self) -> str:
        """One paragraph for the user."""
        from napari_umpire.models.nicheformer import context_in_words

        before = (
            f"before the genes of each spot stand {context_in_words(self.context)}"
            if self.context
            else "no context tokens stand before the genes"
        )
        return (
            f"The gene encoder is in {self.folder}; {before}. {len(self.unused)} tensors that the "
            f"published model never uses were dropped, {len(self.left_out)} had no place. "
            f"Prepare pairs with --vocabulary.path {self.folder}, then align with "
            f"--gene.pretrained {self.folder}."
        )


def import_encoder(
    weights: str | Path,
    vocabulary: GeneVocabulary,
    out: str | Path,
    *,
    context: tuple[int, ...] = (),
    pooling: Literal["masked_mean", "published"] = "published",
    overwrite: bool = False,
) -> ImportedEncoder:
    """Convert a checkpoint of Nicheformer, or of Visiumformer alone, to an encoder folder.

    Tokens are as long as its positions allow beside the context, and the means are rounded, as
    the authors of both models do.

    Parameters
    ----------
    vocabulary
        The genes in the order of the checkpoint's tokens.
    context
        From `nicheformer.context_tokens`; none for Visiumformer.

    Raises
    ------
    InputError
        Where the place is taken, the file holds no such encoder, or the vocabulary has another
        number of genes.
    """
    from napari_umpire.models.rank_checkpoint import read_rank_encoder

    out = Path(out)
    if out.exists() and not (overwrite and (out / "encoder.json").is_file()):
        raise InputError(
            f"{out} already exists" + (" and is not a gene encoder" if overwrite else ""),
            fix="Choose another name, or ask for it to be overwritten",
        )
    read = read_rank_encoder(weights, context_tokens=context, pooling=pooling)
    config = read.module.config
    if config.n_tokens != vocabulary.n_tokens:
        raise InputError(
            f"The gene order ({vocabulary.source}) is not that of {weights}",
            got=f"{vocabulary.n_genes:,} genes",
            expected=f"{config.n_tokens - FIRST_GENE_ID:,} genes",
            fix="Give the gene order file that was published with the weights",
        )
    facts = {
        "imported_from": Path(weights).name,
        "trained_on": [],
        "trained_on_content": [],
        "left_out": list(read.left_out),
    }
    tokens = {"length": config.n_ranks, "rounding": "published"}
    make_folder(out.parent)
    with scratch_beside(out) as scratch:
        new, old = scratch / "new", scratch / "old"
        write_encoder(new, read.module, vocabulary, tokens, facts)
        # The one that is there goes when the new one is whole.
        if out.exists():
            os.replace(out, old)
        try:
            os.replace(new, out)
        except OSError:
            if old.exists():
                os.replace(old, out)
            raise
    return ImportedEncoder(out, context, read.unused, read.left_out)
