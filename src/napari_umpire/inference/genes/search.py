"""Type-ahead search over gene symbols, ids and aliases."""

from __future__ import annotations

import difflib
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING

from napari_umpire.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from napari_umpire.genes.aliases import GeneAliases

__all__ = ["GeneHit", "GeneIndex", "other_names"]


@dataclass(frozen=True)
class GeneHit:
    """One gene that fits what was typed.

    ``matched`` is the symbol, id or alias that fitted.
    """

    key: str
    symbol: str
    id: str
    matched: str

    @property
    def label(self) -> str:
        """What a list shows: the symbol, and what else is needed to know why it is there."""
        name = self.symbol or self.id or self.key
        if self.matched == name:
            return name
        if self.matched in (self.id, self.key):
            return f"{name} ({self.matched})"
        return f"{self.matched} → {name}"


class GeneIndex:
    """The names of some genes, searchable as one types.

    Parameters
    ----------
    genes
        Index = the key by which the gene is asked for; columns ``symbol`` and ``id``, "" where
        there is none; a missing column is taken as empty.
    aliases
        Other name (a retired symbol) -> key.
    """

    def __init__(self, genes: pd.DataFrame, aliases: Mapping[str, str] | None = None) -> None:
        self._genes: dict[str, tuple[str, str]] = {}
        # (lower-case name, order of kinds, name, key): sorted once, so hits come sorted.
        names: list[tuple[str, int, str, str]] = []
        blank = [""] * len(genes)
        symbols = genes["symbol"].astype(str) if "symbol" in genes else blank
        ids = genes["id"].astype(str) if "id" in genes else blank
        for key, symbol, gene_id in zip(genes.index.astype(str), symbols, ids, strict=True):
            self._genes[key] = (symbol, gene_id)
            kinds = dict.fromkeys(name for name in (symbol, gene_id, key) if name)
            names += [(name.lower(), order, name, key) for order, name in enumerate(kinds)]
        for alias, key in (aliases or {}).items():
            if key in self._genes:
                names.append((alias.lower(), 3, alias, key))
        self._names = sorted(names, key=lambda n: (len(n[0]), *n))
        # One text of a line per name, which C searches a hundred times faster than a loop does.
        self._text = "\n" + "".join(f"{low}\n" for low, *_ in self._names)
        self._starts = [1, *(1 + n for n in accumulate(len(low) + 1 for low, *_ in self._names))]

    @cached_property
    def _by_name(self) -> dict[str, list[str]]:
        """Every spelling that `keys` tries, each with the keys it may mean."""
        found: dict[str, list[str]] = {}
        for low, _, name, key in self._names:
            spellings = (name, low) if name != low else (name,)
            if low.startswith("ens"):
                spellings = (*spellings, _unversioned(name))
            for spelling in spellings:
                keys = found.setdefault(spelling, [])
                if key not in keys:
                    keys.append(key)
        return found

    def __len__(self) -> int:
        return len(self._genes)

    def search(self, text: str, limit: int = 50) -> list[GeneHit]:
        """Genes that fit ``text``, case ignored: equal names first, then beginnings, then parts.

        Within each, shorter names first, then alphabetical, so that the order never changes. An
        empty text fits nothing.
        """
        wanted = text.strip().lower()
        if not wanted or limit <= 0 or "\n" in wanted:
            return []
        hits: dict[str, GeneHit] = {}
        # Equal names, beginnings, any part; a name found again is a gene that is there already.
        for pattern in (f"\n{wanted}\n", f"\n{wanted}", wanted):
            at = self._text.find(pattern)
            while at >= 0 and len(hits) < limit:
                row = bisect_right(self._starts, at) - 1
                if pattern[0] == "\n":
                    row += 1  # the line end before a name belongs to the one before it
                _, _, name, key = self._names[row]
                if key not in hits:
                    hits[key] = GeneHit(key, *self._genes[key], name)
                at = self._text.find(pattern, self._starts[row] + len(self._names[row][0]))
        return list(hits.values())

    def keys(self, text: str) -> tuple[str, ...]:
        """Keys of all genes named ``text``, as `find` reads it; of the closest spelling only."""
        wanted = text.strip()
        if wanted in self._genes:
            return (wanted,)
        for spelling in (wanted, wanted.lower(), _unversioned(wanted)):
            if found := self._by_name.get(spelling):
                return tuple(found)
        return ()

    def name(self, key: str) -> str:
        """What the gene of ``key`` is called: its symbol, or its key where it has none."""
        return self._genes[key][0] or key

    def find(self, text: str) -> str:
        """The key of the one gene named ``text``: a key, id (any version), symbol or alias.

        Raises
        ------
        InputError
            Where no gene, or more than one, has that name; near names are given.
        """
        wanted = text.strip()
        keys = self.keys(wanted)
        if len(keys) == 1:
            return keys[0]
        if keys:
            raise InputError(
                f"More than one gene is called {wanted}",
                got=", ".join(keys),
                fix="Ask for one of them by its id",
            )
        near = [hit.symbol or hit.key for hit in self.search(wanted, 3)]
        if not near:
            names = {low: name for low, _, name, _ in self._names}
            near = [names[low] for low in difflib.get_close_matches(wanted.lower(), names, 3)]
        raise InputError(
            f"No gene is called {wanted}",
            expected=f"one of {len(self)} genes" + (f", such as {', '.join(near)}" if near else ""),
        )


def other_names(genes: pd.DataFrame, *sources: GeneAliases) -> dict[str, str]:
    """Retired, current and colloquial names of the genes of a table -> key.

    A name that a gene of the table bears stays that gene's; a name that means two, nobody's.

    Parameters
    ----------
    genes
        As for `GeneIndex`.
    sources
        Earlier ones go first.
    """
    keys, symbols = genes.index.astype(str).tolist(), genes["symbol"].astype(str).tolist()
    lists = (keys, symbols, genes["id"].astype(str).tolist())
    taken = {name.lower() for names in lists for name in names}
    found: dict[str, str] = {}
    for source in sources:
        known = {*source.targets, *source.targets.values()}
        means: dict[str, set[str]] = {}
        for key, symbol in zip(keys, symbols, strict=True):
            if symbol in known or key in known:
                # By either name: a table may bear the retired symbol, the user type the new one.
                for name in {key, symbol, source.canonical(symbol)} - {""}:
                    means.setdefault(name, set()).add(key)
        names = {**source.targets, **{name: name for name in means}}
        for name, target in names.items():
            owners = means.get(target, set())
            if name.lower() not in taken and len(owners) == 1:
                found.setdefault(name, next(iter(owners)))
    return found


def _unversioned(name: str) -> str:
    """An Ensembl id without its version; any other name with a mark that fits no gene."""
    low = name.lower()
    return low.partition(".")[0] + " id" if low.startswith("ens") and low[-1:].isdigit() else low
