"""Which gene of a vocabulary each column of a count table is, and what could not be mapped.

A column is looked up, in this order, by

1. ``id``: its Ensembl id as it stands, then ``versioned id``: without version and ``_PAR_Y``;
2. ``symbol``: as written (and by the further symbols of a published list);
3. ``capitals``: C1ORF112 is C1orf112. Nothing else is looked up regardless of case, because
   case tells species apart: Actb is a mouse's gene, and the published list has H3f3b beside ACTB;
4. ``alias``: the names that the caller gave; ``retired symbol``: well-known renamings;
5. ``repeated name``: "MATR3-1" or "MATR3.1" where the table also has MATR3 and the vocabulary has
   no gene called so: the same name again, numbered to be unique.

A column that has an id unknown to the vocabulary is looked up by symbol only where no other column
is that gene by its id. Columns of one gene are summed. The prefix of the table's own genome is no
part of a name, other genomes' columns are not looked up, and neither are dates that may be several
genes: see `clean`.
"""

from __future__ import annotations

import os.path
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from napari_umpire.errors import InputError
from napari_umpire.genes.columns import clean_columns, sum_columns
from napari_umpire.genes.lookup import ROUTES, GeneLookup
from napari_umpire.genes.names import genome_species, is_ensembl_id, is_mouse_like, split_genome

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pandas as pd

    from napari_umpire.genes.aliases import GeneAliases
    from napari_umpire.genes.vocabulary import GeneVocabulary

__all__ = ["GeneMapping", "Merged", "map_genes", "require_mapped"]


class Merged(NamedTuple):
    """Columns of a table that are one gene."""

    gene: str
    columns: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class GeneMapping:
    """The gene of each column of a table.

    Attributes
    ----------
    index
        (n_columns,) int64, index into the vocabulary, -1 where the column did not map.
    names
        Names of the columns.
    routes
        How many columns mapped by which kind of name (see the module).
    unmapped
        Names of the columns that did not map.
    outside
        Those of them that the published list knows but the vocabulary leaves out.
    merged
        Genes that several columns are.
    vocabulary
        What was mapped onto.
    remarks
        What the user should know of the names: other genomes, dates in place of genes.
    """

    index: np.ndarray
    names: tuple[str, ...]
    routes: Mapping[str, int]
    unmapped: tuple[str, ...]
    outside: tuple[str, ...]
    merged: tuple[Merged, ...]
    vocabulary: GeneVocabulary
    remarks: tuple[str, ...] = ()

    @property
    def n_mapped(self) -> int:
        """Number of columns that mapped."""
        return int(np.sum(self.index >= 0))

    @property
    def n_genes(self) -> int:
        """Number of genes of the vocabulary that have a column."""
        return int(np.unique(self.index[self.index >= 0]).size)

    @property
    def measured(self) -> np.ndarray:
        """(vocabulary.n_genes,) bool: which genes of the vocabulary have a column."""
        has = np.zeros(self.vocabulary.n_genes, bool)
        has[self.index[self.index >= 0]] = True
        return has

    def report(self, examples: int = 10) -> str:
        """What mapped and how, what was summed, what did not map; one sentence a line."""
        routes = ", ".join(f"{n:,} by {route}" for route, n in self.routes.items() if n)
        lines = [
            f"{self.n_mapped:,} of {len(self.names):,} columns are {self.n_genes:,} of "
            f"{self.vocabulary.n_genes:,} genes" + (f" ({routes})." if routes else ".")
        ]
        if self.merged:
            shown = (f"{m.gene} = {' + '.join(m.columns)}" for m in self.merged)
            lines.append(f"{len(self.merged):,} genes are sums: {_some(shown, examples)}.")
        if self.outside:
            lines.append(
                f"{len(self.outside):,} columns are known but not in the vocabulary: "
                f"{_some(self.outside, examples)}."
            )
        outside = set(self.outside)
        unknown = [name for name in self.unmapped if name not in outside]
        if unknown:
            lines.append(f"{len(unknown):,} columns are unknown: {_some(unknown, examples)}.")
        lines += [f"{remark}." for remark in self.remarks]
        return "\n".join(lines)

    def apply(self, counts: Any) -> sp.csr_matrix:
        """Counts by gene of the vocabulary, (n_spots, vocabulary.n_genes) CSR.

        Columns of one gene are summed, unmapped ones dropped, genes without column are 0.
        """
        matrix = sp.csr_matrix(counts)
        if matrix.shape[1] != len(self.names):
            raise InputError(
                "The counts are not those that the gene names belong to",
                got=f"{matrix.shape[1]:,} columns",
                expected=f"{len(self.names):,}",
            )
        return sum_columns(matrix, self.index, self.vocabulary.n_genes)


def map_genes(
    vocabulary: GeneVocabulary,
    genes: pd.DataFrame | Sequence[str],
    aliases: GeneAliases | Mapping[str, str] | None = None,
) -> GeneMapping:
    """See `GeneVocabulary.map`."""
    clean = clean_columns(genes)
    names, ids, symbols = clean.names, clean.ids, clean.symbols
    remarks = clean.remarks()
    stranger = _stranger(clean.genome, vocabulary)
    if stranger:
        remarks.append(stranger)
    lookup = GeneLookup(vocabulary, aliases, present={*names, *symbols})
    index = np.full(len(names), -1, np.int64)
    routes: Counter[str] = Counter()
    outside = []
    for column, texts in enumerate(zip(ids, names, strict=True)):
        index[column], route = lookup.by_id(texts)
        routes[route] += int(index[column] >= 0)
    claimed = set(index.tolist())
    for column, (gene, symbol, name) in enumerate(zip(ids, symbols, names, strict=True)):
        if index[column] >= 0 or stranger or (clean.foreign and split_genome(name)[0]):
            continue
        found, route = lookup.by_symbol((symbol, name, gene))
        if found >= 0 and not (found in claimed and (is_ensembl_id(gene) or is_ensembl_id(name))):
            index[column] = found
            routes[route] += 1
        elif route == "outside":
            outside.append(name)
    return GeneMapping(
        index=index,
        names=tuple(names),
        routes={route: routes[route] for route in ROUTES},
        unmapped=tuple(name for name, i in zip(names, index, strict=True) if i < 0),
        outside=tuple(outside),
        merged=_merged(index, names, vocabulary),
        vocabulary=vocabulary,
        remarks=tuple(remarks),
    )


def require_mapped(
    mapping: GeneMapping, minimum: int = 1, where: str = "the table", other: str = "the model"
) -> None:
    """Raise `InputError` with names of both sides unless `minimum` genes have a column.

    Parameters
    ----------
    where, other
        What has the columns, and whose vocabulary it is, for the message.
    """
    if mapping.n_genes >= minimum:
        return
    vocabulary = mapping.vocabulary
    known = [s or i for s, i in zip(vocabulary.symbols, vocabulary.ids, strict=True)]
    raise InputError(
        f"{where} and {other} share too few genes"
        if mapping.n_genes
        else f"{where} and {other} share no genes",
        got=f"{mapping.n_genes:,} common genes; {where} has {_some(mapping.names, 3)}",
        expected=f"at least {minimum:,} gene{'s' * (minimum > 1)} of {other}, such as "
        f"{_some((f'{s} ({i})' for s, i in zip(known, vocabulary.ids, strict=True)), 3)}",
        fix="; ".join(mapping.remarks) or _advice(mapping.names),
    )


def _stranger(genome: str, vocabulary: GeneVocabulary) -> str:
    """What is wrong where names say a genome that the vocabulary is not of; "" where nothing is.

    C3 is a gene of both the human and the mouse.
    """
    species = _species(vocabulary)
    if not genome or not species or genome_species(genome) == species:
        return ""
    return (
        f"The names say {genome}, and the genes of the vocabulary are {species}: symbols are not "
        "compared"
    )


def _species(vocabulary: GeneVocabulary) -> str:
    """Whose genes they are: "human", "mouse" or "rat"; "" where neither ids nor symbols tell."""
    ids, symbols = vocabulary.ids.tolist(), [s for s in vocabulary.symbols.tolist() if s]
    for beginning, species in (("ENSG", "human"), ("ENSMUSG", "mouse"), ("ENSRNOG", "rat")):
        if sum(gene.startswith(beginning) for gene in ids) > len(ids) / 2:
            return species
    if sum(is_ensembl_id(gene) for gene in ids) > len(ids) / 2:
        return ""  # a pig writes its genes as a human does
    if is_mouse_like(symbols):
        return "mouse"
    return "human" if sum(s.isupper() for s in symbols) > len(symbols) / 2 else ""


def _merged(
    index: np.ndarray, names: Sequence[str], vocabulary: GeneVocabulary
) -> tuple[Merged, ...]:
    columns: dict[int, list[str]] = {}
    for name, i in zip(names, index.tolist(), strict=True):
        if i >= 0:
            columns.setdefault(i, []).append(name)
    return tuple(
        Merged(str(vocabulary.ids[i]), tuple(several))
        for i, several in sorted(columns.items())
        if len(several) > 1
    )


def _some(texts: Iterable[str], n: int) -> str:
    texts = list(texts)
    return ", ".join(texts[:n]) + (f" and {len(texts) - n:,} more" if len(texts) > n else "")


def _advice(names: Sequence[str]) -> str:
    prefix = re.match(r".+[-_.:|]", os.path.commonprefix(names)) if len(names) > 1 else None
    if prefix is not None:
        return f"All names of genes begin with {prefix[0]!r}: take that away"
    if is_mouse_like(names):
        return "These look like mouse genes: use a model of that species"
    return "Give human gene symbols or Ensembl gene ids as the column names"
