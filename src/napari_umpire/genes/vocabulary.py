"""`GeneVocabulary`: which genes a model knows, in token order, and the mean of each."""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from io import StringIO
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_umpire.bounded import read_text
from napari_umpire.errors import InputError
from napari_umpire.faults import reading
from napari_umpire.genes.tokens import FIRST_GENE_ID, MAX_GENES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pandas as pd

    from napari_umpire.genes.aliases import GeneAliases
    from napari_umpire.genes.mapping import GeneMapping

__all__ = ["GeneVocabulary"]

_HEADER = ["id", "symbol", "mean"]
_LARGEST_FILE = 64_000_000  # bytes: about 1,000 for each gene that there can be


@dataclass(frozen=True, eq=False)
class GeneVocabulary:
    """The genes of a model, in token order: gene i has token ``i + FIRST_GENE_ID``.

    Attributes
    ----------
    ids
        (n_genes,) str, unique: Ensembl id where known, else the symbol.
    symbols
        (n_genes,) str, "" where unknown.
    means
        (n_genes,) float64, mean of the non-zero raw counts; NaN for a gene never seen.
    source
        Where it came from, for records.
    other_symbols
        Further symbol -> id entries of a published list. Ids outside the vocabulary stand here
        too: such a symbol is known and left out, rather than looked for among retired ones.

    Raises
    ------
    InputError
        On construction: no genes or more than 65,506, lengths that differ, blank or repeated ids,
        negative or infinite means.
    """

    ids: np.ndarray
    symbols: np.ndarray
    means: np.ndarray
    source: str
    other_symbols: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        ids = np.array([str(i) for i in self.ids], dtype=str)
        symbols = np.array([str(s) for s in self.symbols], dtype=str)
        means = np.array(self.means, dtype=np.float64)
        _check(ids, symbols, means, self.source)
        for name, array in (("ids", ids), ("symbols", symbols), ("means", means)):
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    def __repr__(self) -> str:
        return f"GeneVocabulary({self.n_genes:,} genes from {self.source}, digest {self.digest})"

    @property
    def n_genes(self) -> int:
        """Number of genes."""
        return len(self.ids)

    @property
    def n_tokens(self) -> int:
        """Number of token ids: the genes and the ids reserved before them."""
        return self.n_genes + FIRST_GENE_ID

    @cached_property
    def digest(self) -> str:
        """16 hex digits over ids, symbols and means: equal where tokens and names are equal."""
        h = hashlib.sha256()
        for names in (self.ids, self.symbols):
            h.update("\n".join(names).encode())
            h.update(b"\0")
        # NaN has many bit patterns; all mean "never seen".
        h.update(np.where(np.isnan(self.means), -1.0, self.means).astype("<f8").tobytes())
        return h.hexdigest()[:16]

    def map(
        self,
        genes: pd.DataFrame | Sequence[str],
        aliases: GeneAliases | Mapping[str, str] | None = None,
    ) -> GeneMapping:
        """Which gene each column of a count table is.

        Parameters
        ----------
        genes
            ``Slide.genes`` (index = name, columns ``id`` and ``symbol``, "" where unknown), or
            names that are ids or symbols in any mixture.
        aliases
            Further names of genes: `GeneAliases`, or name -> id or symbol.
        """
        from napari_umpire.genes.mapping import map_genes

        return map_genes(self, genes, aliases)

    @classmethod
    def from_published(cls, folder: str | Path) -> GeneVocabulary:
        """Read the authors' ``Visium_mean.npy``, ``model.h5ad`` and ``gene_name_id_dict.pkl``.

        Raises
        ------
        InputError
            Missing, damaged or mismatching files; a pickle that holds anything but text.
        """
        from napari_umpire.genes.published import read_published

        published = read_published(folder)
        vocabulary = set(published.ids)
        symbol_of: dict[str, str] = {}
        other = {}
        for symbol, gene in published.symbol_to_id.items():
            if gene in vocabulary and gene not in symbol_of:
                symbol_of[gene] = symbol
            else:
                other[symbol] = gene
        return cls(
            ids=np.array(published.ids),
            symbols=np.array([symbol_of.get(gene, "") for gene in published.ids]),
            means=published.means,
            source=f"the published files in {Path(folder).name}",
            other_symbols=other,
        )

    @classmethod
    def from_counts(
        cls,
        parts: Iterable[tuple[Any, pd.DataFrame]],
        min_spots: int = 10,
        source: str = "counts",
    ) -> GeneVocabulary:
        """Genes and non-zero means of raw counts, one table at a time.

        The mean of a gene is over the spots where its raw count is above 0, as the published
        means are by their values (a floor at 1.0), though the paper's appendix B.1 speaks of
        scaled counts. Raw means need no second pass and do not depend on which other genes a
        table holds. Genes are in the order of their ids, as published.

        Parameters
        ----------
        parts
            Pairs of raw counts (n_spots, n_columns) and its genes as ``Slide.genes``. A gene is
            its Ensembl id (without version) where a table gives one, else its symbol; a symbol
            that other tables give one id for is that id. Columns of one gene are summed.
        min_spots
            Genes seen in fewer spots of all parts together are left out.

        Raises
        ------
        InputError
            Counts that are not raw counts, no parts, or no gene in `min_spots` spots.
        """
        from napari_umpire.genes.counting import CountedGenes

        counted = CountedGenes()
        for number, (counts, genes) in enumerate(parts, start=1):
            counted.add(counts, genes, where=f"table {number}")
        ids, symbols, means = counted.result(min_spots)
        return cls(ids, symbols, means, source)

    @classmethod
    def read_csv(cls, path: str | Path) -> GeneVocabulary:
        """Read a ``genes.csv`` that `write_csv` wrote.

        Raises
        ------
        InputError
            A file that is missing, has another header, or a line that is not a gene.
        """
        path = Path(path)
        what = f"The genes in {path}"
        text = read_text(path, limit=_LARGEST_FILE, what=what)
        with reading(f"{what} cannot be read", expected="a genes.csv"):
            # One line more than can be is enough to see that there are too many.
            lines = list(islice(csv.reader(StringIO(text, newline="")), MAX_GENES + 2))
        if not lines or lines[0] != _HEADER:
            raise InputError(
                f"{path} is not a gene table",
                got=",".join(lines[0]) if lines else "an empty file",
                expected=f"the header {','.join(_HEADER)}",
            )
        rows = [_parse(path, n, line) for n, line in enumerate(lines[1:], start=2)]
        ids, symbols, means = zip(*rows, strict=True) if rows else ((), (), ())
        return cls(np.array(ids), np.array(symbols), np.array(means), source=str(path))

    def write_csv(self, path: str | Path) -> None:
        """Write id, symbol and mean, exactly: `read_csv` gives back the same bits."""
        with Path(path).open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(_HEADER)
            for gene, symbol, mean in zip(self.ids, self.symbols, self.means, strict=True):
                writer.writerow((gene, symbol, repr(float(mean))))


def _parse(path: Path, number: int, line: list[str]) -> tuple[str, str, float]:
    try:
        gene, symbol, mean = line
        return gene, symbol, float(mean)
    except ValueError as error:
        raise InputError(
            f"Line {number} of {path} is not a gene",
            got=" ".join(",".join(line).split()),
            expected="id,symbol,mean with a number or nan as the mean",
        ) from error


def _check(ids: np.ndarray, symbols: np.ndarray, means: np.ndarray, source: str) -> None:
    problems = []
    if not 1 <= len(ids) <= MAX_GENES:
        problems.append(f"{len(ids):,} genes (1 to {MAX_GENES:,} fit 16-bit tokens)")
    if not len(ids) == len(symbols) == len(means) or means.ndim != 1:
        problems.append(f"{len(ids):,} ids, {len(symbols):,} symbols, means of {means.shape}")
    blank = int(np.sum(np.char.strip(ids) == "")) if len(ids) else 0
    if blank:
        problems.append(f"{blank:,} blank ids")
    values, times = np.unique(ids, return_counts=True)
    if np.any(times > 1):
        problems.append(f"repeated ids such as {values[times > 1][0]}")
    if np.any(means < 0) or np.any(np.isinf(means)):
        problems.append("negative or infinite means")
    if problems:
        raise InputError(
            f"The gene vocabulary from {source} is not usable",
            got="; ".join(problems),
            expected="unique ids, one symbol and one mean (positive or NaN) each",
        )
