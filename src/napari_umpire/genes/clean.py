"""Names of a table's columns without what others put on them: genomes before them, dates for them.

The one place for both, so that mapping, vocabularies, species and what is shown agree.

- A table of one genome loses its prefix. Of several, the human genome is the table's own, else the
  columns without prefix, else the genome with most columns. The other genomes' columns keep a
  prefix on all their names, and so are nobody's gene: C3 of the mouse and C3 of the human would
  else be one.
- A date that can be a single gene is that gene, unless the table has that gene too.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from napari_umpire.genes.aliases import GeneAliases
from napari_umpire.genes.names import genome_species, is_mouse_like, split_genome
from napari_umpire.genes.spreadsheet import genes_of_date, is_date

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["CleanNames", "clean_names"]

# Whether a table needs a closer look at all: most have tens of thousands of plain names.
_GENOME_LIKE = re.compile(
    r"^(?:GRC|hg\d|hs37|mm\d|mRatBN|Rnor|rn\d|Mmul|Sscrofa|CanFam|human|mouse|rat|homo_|mus_)",
    re.IGNORECASE | re.MULTILINE,
)
_DATE_LIKE = re.compile(r"^(?:\d{1,4}[-/. ]|[A-Za-zä]{3,9}\.?[-/. ]+\d{1,2}(?!\d))", re.MULTILINE)
_EXAMPLES = 5
# Genes that were added to a reference, of a virus or a reporter, have no prefix either.
_ADDED = 0.1


@dataclass(frozen=True)
class CleanNames:
    """What the columns of a table are called.

    Attributes
    ----------
    names, ids, symbols
        One text per column; "" where unknown.
    genome
        The prefix that was taken away; "" where there was none.
    foreign
        Other genomes, and how many columns are theirs.
    dates
        Names that are dates, and the genes that each may have been.
    used
        Those of them that were taken for a gene.
    """

    names: list[str]
    ids: list[str]
    symbols: list[str]
    genome: str = ""
    foreign: dict[str, int] = field(default_factory=dict)
    dates: dict[str, tuple[str, ...]] = field(default_factory=dict)
    used: dict[str, str] = field(default_factory=dict)

    def remarks(self) -> list[str]:
        """What a user should know of the names, a sentence each."""
        said = []
        if self.foreign:
            n = sum(self.foreign.values())
            genomes = ", ".join(self.foreign)
            own = f"those of {self.genome}" if self.genome else "those without a prefix"
            said.append(
                f"{n:,} of {len(self.names):,} genes are of another genome ({genomes}) and are "
                f"left out; {own} are used"
            )
        if self.dates:
            shown = [
                f"{name} ({' or '.join(genes) or 'no known gene'})"
                for name, genes in list(self.dates.items())[:_EXAMPLES]
            ]
            if len(self.dates) > _EXAMPLES:
                shown.append(f"{len(self.dates) - _EXAMPLES:,} more")
            pairs = [f"{name} for {gene}" for name, gene in list(self.used.items())[:_EXAMPLES]]
            if len(self.used) > _EXAMPLES:
                pairs.append(f"{len(self.used) - _EXAMPLES:,} more")
            taken = f"taken: {', '.join(pairs) or 'none'}"
            n = len(self.dates)
            said.append(
                f"{n:,} {'genes have dates' if n > 1 else 'gene has a date'} for a name, which a "
                f"spreadsheet made of it: {', '.join(shown)}; {taken}. Correct the names where the "
                "table came from"
            )
        return said


def clean_names(
    names: Sequence[str], ids: Sequence[str], symbols: Sequence[str], genomes: Sequence[str] = ()
) -> CleanNames:
    """Take genomes and dates out of the names of columns.

    Parameters
    ----------
    names, ids, symbols
        As written; "" where unknown.
    genomes
        The genome of each column, where the table has a column for it.
    """
    clean = CleanNames(list(names), list(ids), list(symbols))
    text = "\n".join((*names, *ids, *symbols))
    if _GENOME_LIKE.search(text) or len(set(genomes)) > 1:
        clean = _without_genomes(clean, genomes)
    if _DATE_LIKE.search(text):
        clean = _without_dates(clean)
    return clean


def _without_genomes(clean: CleanNames, genomes: Sequence[str]) -> CleanNames:
    columns = (clean.names, clean.ids, clean.symbols)
    split = [[split_genome(text) for text in column] for column in columns]
    said = genomes or [""] * len(clean.names)
    of = [
        next((genome for genome, _ in texts if genome), stated)
        for *texts, stated in zip(*split, said, strict=True)
    ]
    # Case tells no genomes apart: GRCh38_ and grch38_ are one.
    first: dict[str, str] = {}
    for genome in of:
        first.setdefault(genome.lower(), genome)
    times = Counter(genome.lower() for genome in of if genome)
    if not times:
        return clean
    own = max(times, key=lambda g: (genome_species(g) == "human", times[g]))
    if genome_species(own) != "human" and of.count("") > _ADDED * len(of):
        own = ""
    foreign = {first[g]: n for g, n in times.items() if g != own}

    def plain(genome: str, prefix: str, text: str, rest: str) -> str:
        if not genome or genome.lower() == own:
            return rest
        return text if prefix or not text else f"{genome}_{text}"

    names, ids, symbols = (
        [
            plain(genome, prefix, text, rest)
            for genome, (prefix, rest), text in zip(of, parts, column, strict=True)
        ]
        for parts, column in zip(split, columns, strict=True)
    )
    return CleanNames(names, ids, symbols, genome=first.get(own, ""), foreign=foreign)


def _without_dates(clean: CleanNames) -> CleanNames:
    dates: dict[str, tuple[str, ...]] = {}
    for texts in zip(clean.ids, clean.symbols, clean.names, strict=True):
        for text in texts[1:]:
            # A column whose id is known is called by it, whatever became of its symbol.
            if text and text not in dates and is_date(text):
                dates[text] = genes_of_date(text)
    if not dates:
        return clean
    columns = zip(clean.names, clean.symbols, strict=True)
    here = {text for texts in columns if not dates.keys() & set(texts) for text in texts}
    small = is_mouse_like(here)
    retired = {now: old for old, now in GeneAliases.builtin().targets.items()}
    used: dict[str, str] = {}
    for text, genes in dates.items():
        if len(genes) == 1 and not {genes[0], retired.get(genes[0], "")} & here:
            used[text] = genes[0].capitalize() if small else genes[0]
    taken = Counter(used.values())
    used = {text: gene for text, gene in used.items() if taken[gene] == 1}
    return CleanNames(
        [used.get(text, text) for text in clean.names],
        clean.ids,
        [used.get(text, text) for text in clean.symbols],
        clean.genome,
        clean.foreign,
        dates,
        used,
    )
