"""Lists of genes: read from pasted text or a table, matched to the genes of a slide."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_umpire.errors import InputError
from napari_umpire.genes.names import is_ensembl_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from napari_umpire.inference.genes.search import GeneIndex

__all__ = ["FAVOURITES", "GeneList", "Resolved", "parse_genes", "read_genes", "resolve"]

FAVOURITES = "Favourites"
"""Name of the list that the star fills."""

_NAME = re.compile(r'"([^"\n]*)"|\'([^\'\n]*)\'|([^,;\s"\']+)')
_IN_QUOTES = re.compile(r"[,;\t]")
_COLUMNS = (
    "gene", "genes", "symbol", "gene_symbol", "gene symbol", "hgnc_symbol", "hgnc symbol",
    "gene_name", "gene name", "name", "names", "feature_name",
    "ensembl", "ensembl_id", "ensembl id", "ensembl_gene_id", "gene_id", "gene_ids", "gene id",
    "id",
)  # fmt: skip
_LONGEST_NAME = 64
_SAID = 8


@dataclass(frozen=True)
class GeneList:
    """Some genes under a name.

    Attributes
    ----------
    genes
        Names as the user gave them, in order: symbols, Ensembl ids, aliases. A slide that lacks
        some of them today may be followed by one that has them, so none is dropped.
    """

    name: str
    genes: tuple[str, ...]

    def with_gene(self, gene: str) -> GeneList:
        """The list with one gene more, at its end."""
        return self if gene in self.genes else GeneList(self.name, (*self.genes, gene))

    def without(self, genes: Iterable[str]) -> GeneList:
        """The list without some names."""
        gone = set(genes)
        return GeneList(self.name, tuple(gene for gene in self.genes if gene not in gone))


@dataclass(frozen=True)
class Resolved:
    """The names of a list among the genes of one slide.

    Attributes
    ----------
    keys
        Of the genes found, each once, in the order of the list.
    missing
        Names that no gene of the slide bears.
    ambiguous
        Name -> keys of all genes that it may mean; none of them is taken.
    repeated
        Names whose gene an earlier name of the list had found already.
    renamed
        Name -> what the gene it found is called here.
    """

    keys: tuple[str, ...]
    missing: tuple[str, ...] = ()
    ambiguous: Mapping[str, tuple[str, ...]] | None = None
    repeated: tuple[str, ...] = ()
    renamed: Mapping[str, str] | None = None

    def describe(self) -> str:
        """What became of each name, in one sentence."""
        ambiguous, renamed = self.ambiguous or {}, self.renamed or {}
        n = len(self.keys) + len(self.missing) + len(ambiguous) + len(self.repeated)
        parts = [f"{len(self.keys):,} of {n:,} names found"]
        if self.missing:
            parts.append(f"{len(self.missing):,} not on this slide: {_some(self.missing)}")
        if ambiguous:
            words = [f"{name} ({', '.join(keys)})" for name, keys in ambiguous.items()]
            parts.append(f"{len(ambiguous):,} of several genes, not taken: {_some(words)}")
        if self.repeated:
            parts.append(f"{len(self.repeated):,} named again: {_some(self.repeated)}")
        if renamed:
            words = [f"{name} → {now}" for name, now in renamed.items()]
            parts.append(f"{len(renamed):,} by another name: {_some(words)}")
        return "; ".join(parts) + "."


def resolve(names: Iterable[str], index: GeneIndex) -> Resolved:
    """Find genes by symbol in any case, alias, or Ensembl id of any version.

    Parameters
    ----------
    index
        Of the genes of a slide (`GeneTable.index`).
    """
    keys: dict[str, None] = {}
    missing: dict[str, None] = {}
    repeated: list[str] = []
    ambiguous: dict[str, tuple[str, ...]] = {}
    renamed: dict[str, str] = {}
    for name in names:
        found = index.keys(name)
        if not found:
            if name in missing:
                repeated.append(name)
            missing[name] = None
        elif len(found) > 1:
            if name in ambiguous:
                repeated.append(name)
            ambiguous[name] = found
        elif found[0] in keys:
            repeated.append(name)
        else:
            keys[found[0]] = None
            here = index.name(found[0])
            if name.lower() != here.lower() and not is_ensembl_id(name) and name != found[0]:
                renamed[name] = here
    return Resolved(tuple(keys), tuple(missing), ambiguous, tuple(repeated), renamed)


def parse_genes(text: str) -> tuple[str, ...]:
    """The names in a pasted text: parted by commas, semicolons, blanks, tabs or line ends.

    Quotes hold a name with blanks together. Repetitions stay, for `resolve` to tell.

    Raises
    ------
    InputError
        For a text without names, or with what is too long to be one.
    """
    names = []
    for quoted, other, bare in _NAME.findall(text):
        names += [bare] if bare else _IN_QUOTES.split(quoted or other)
    names = [name.strip() for name in names if name.strip()]
    if not names:
        raise InputError(
            "There is no gene in this text", fix="Paste symbols or Ensembl ids, such as ERBB2, GRB7"
        )
    _check_names(names, "The text")
    return tuple(names)


def read_genes(path: str | Path) -> GeneList:
    """Read a list from a file, called as the file is.

    A ``.csv``, ``.tsv`` or ``.txt`` with a header takes the column called gene, symbol, ensembl or
    the like; without one, the first column of a table, or all names of a text.

    Raises
    ------
    InputError
        For a file that cannot be read or has no genes.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"The gene list {path} cannot be read",
            got=error,
            expected="a text file (.csv, .tsv or .txt)",
            fix="Save the list as CSV, or paste the genes",
        ) from error
    try:
        names = _column(text)
    except csv.Error as error:
        raise InputError(f"The gene list {path} is no table", got=error) from error
    if names is None:
        return GeneList(path.stem, parse_genes(text))
    if not names:
        raise InputError(f"The gene list {path} is empty", fix="Put one gene into each row")
    _check_names(names, str(path))
    return GeneList(path.stem, tuple(names))


def _column(text: str) -> list[str] | None:
    """Names of a table's column of genes; None for a text that is no table."""
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        return []
    counts = {mark: lines[0].count(mark) for mark in "\t;,"}
    mark = max(counts, key=lambda m: counts[m])
    rows = list(csv.reader(lines, delimiter=mark))
    header = [cell.strip().lower() for cell in rows[0]]
    place = next((header.index(name) for name in _COLUMNS if name in header), None)
    if place is not None and len(rows) > 1:
        cells = [row[place].strip() for row in rows[1:] if len(row) > place]
        return [cell for cell in cells if cell]
    # One row of many, or rows of different lengths, is a list and no table.
    if len(rows) < 2 or len({len(row) for row in rows}) > 1 or len(rows[0]) == 1:
        return None
    return [row[0].strip() for row in rows if row[0].strip()]


def _check_names(names: Iterable[str], what: str) -> None:
    long = next((name for name in names if len(name) > _LONGEST_NAME), None)
    if long is not None:
        raise InputError(
            f"{what} is no list of genes",
            got=f"a name of {len(long)} letters, {long[:24]}…",
            expected="symbols or Ensembl ids, parted by commas or line ends",
        )


def _some(words: Iterable[str]) -> str:
    listed = list(words)
    more = f" and {len(listed) - _SAID:,} more" if len(listed) > _SAID else ""
    return ", ".join(listed[:_SAID]) + more
