"""A vocabulary from a gene order file and a file of means, as gene encoders are published with."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from napari_umpire.errors import InputError
from napari_umpire.genes.published import read_means, read_order
from napari_umpire.genes.vocabulary import GeneVocabulary

__all__ = ["vocabulary_of", "with_means"]

_HEADERS = ("", "id", "gene", "gene_id", "ensembl_id")
_OURS = ["id", "symbol", "mean"]


def vocabulary_of(order: str | Path, means: str | Path | None = None) -> GeneVocabulary:
    """The genes in the order of a gene encoder's tokens.

    Parameters
    ----------
    order
        An h5ad file whose var names are the ids (Nicheformer's and UMPIRE's model.h5ad), or a text
        table with one gene a line: id and, after a comma or tab, its symbol; or a genes.csv.
    means
        An npy file with one mean per gene; None: those of a genes.csv.

    Raises
    ------
    InputError
        Where a file cannot be read, or the two do not have the same number of genes.
    """
    order = Path(order)
    if not order.is_file():
        raise InputError("The gene order file was not found", got=str(order))
    if order.suffix.lower() == ".h5ad":
        ids = read_order(order)
        symbols = [""] * len(ids)
    else:
        rows = _rows(order)
        if rows and rows[0] == _OURS:
            vocabulary = GeneVocabulary.read_csv(order)
            return vocabulary if means is None else with_means(vocabulary, means)
        if rows and rows[0][0].lower() in _HEADERS:
            rows = rows[1:]
        ids = [row[0] for row in rows]
        symbols = [row[1] if len(row) > 1 else "" for row in rows]
    if means is None:
        raise InputError(
            f"{order} does not tell the mean of each gene",
            fix="Give the file of means that belongs to the technology",
        )
    genes = GeneVocabulary(
        np.array(ids), np.array(symbols), np.full(len(ids), np.nan), f"the genes in {order.name}"
    )
    return with_means(genes, means)


def with_means(vocabulary: GeneVocabulary, means: str | Path) -> GeneVocabulary:
    """The same genes with the means of another technology, from an npy file.

    Raises
    ------
    InputError
        Where the file cannot be read, or has another number of genes.
    """
    path = Path(means)
    values = read_means(path)
    if len(values) != vocabulary.n_genes:
        raise InputError(
            f"The means in {path} are not those of {vocabulary.source}",
            got=f"{len(values):,} means",
            expected=f"{vocabulary.n_genes:,}, one per gene",
        )
    source = f"{vocabulary.source}, means of {path.name}"
    return GeneVocabulary(
        vocabulary.ids, vocabulary.symbols, values, source, vocabulary.other_symbols
    )


def _rows(path: Path) -> list[list[str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            text = file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"The gene order in {path} cannot be read",
            got=error,
            expected="an h5ad file, or a text table with one gene a line",
        ) from error
    delimiter = "\t" if "\t" in text else ","
    lines = csv.reader(text.splitlines(), delimiter=delimiter)
    return [[cell.strip() for cell in line] for line in lines if any(map(str.strip, line))]
