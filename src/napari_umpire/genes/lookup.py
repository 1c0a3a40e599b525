"""Look a name up among the genes of a vocabulary, in the order that `mapping` describes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from napari_umpire.genes.aliases import GeneAliases
from napari_umpire.genes.names import base_ensembl_id, is_ensembl_id, without_suffix

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from napari_umpire.genes.vocabulary import GeneVocabulary

__all__ = ["ROUTES", "GeneLookup"]

ROUTES = (
    "id",
    "versioned id",
    "symbol",
    "capitals",
    "alias",
    "retired symbol",
    "repeated name",
)

# C1orf112, C1orf112-AS1: the only human symbols with small letters.
_CAPITAL_ORF = re.compile(r"^(C(?:\d+|X|Y))ORF(\d+.*)$")


class GeneLookup:
    """Names of a vocabulary's genes -> index; a name of two genes names neither."""

    def __init__(
        self,
        vocabulary: GeneVocabulary,
        aliases: GeneAliases | Mapping[str, str] | None,
        present: set[str],
    ) -> None:
        self._present = present
        self._ids = {gene: i for i, gene in enumerate(vocabulary.ids.tolist())}
        self._symbols = _unique((s, i) for i, s in enumerate(vocabulary.symbols.tolist()) if s)
        self._outside = set()
        for symbol, gene in vocabulary.other_symbols.items():
            if gene in self._ids:
                self._symbols.setdefault(symbol, self._ids[gene])
            elif symbol not in self._symbols:
                self._outside.add(symbol)
        self._aliases = []
        if aliases is not None:
            given = aliases if isinstance(aliases, GeneAliases) else GeneAliases(aliases)
            self._aliases.append(("alias", given, self._canonical(given)))
        builtin = GeneAliases.builtin()
        self._aliases.append(("retired symbol", builtin, self._canonical(builtin)))

    def by_id(self, texts: Iterable[str]) -> tuple[int, str]:
        """Index and route of the first of `texts` that is the Ensembl id of a gene, else -1."""
        for text in texts:
            base = base_ensembl_id(text)
            # Published ids include made-unique ones, such as ENSG00000072694-1.
            if text in self._ids and (base or is_ensembl_id(without_suffix(text) or "")):
                return self._ids[text], "id"
            if base in self._ids:
                return self._ids[base], "versioned id"
        return -1, "id"

    def by_symbol(self, texts: Sequence[str]) -> tuple[int, str]:
        """Index and route of the first of `texts` that names a gene.

        Where none does: -1 and "outside" (known, but not in the vocabulary) or "".
        """
        texts = [text for text in dict.fromkeys(texts) if text]
        for text in texts:
            found, route = self._exactly(text)
            if found >= 0 or route == "outside":
                return found, route
        for text in texts:
            stem = without_suffix(text)
            if stem is not None and stem in self._present:
                base = base_ensembl_id(stem)
                found = self._ids[base] if base in self._ids else self._exactly(stem)[0]
                if found >= 0:
                    return found, "repeated name"
        return -1, ""

    def _exactly(self, text: str) -> tuple[int, str]:
        found = self._known(text)
        if found >= 0:
            return found, "symbol"
        if text in self._outside:
            return -1, "outside"
        found = self._known(_CAPITAL_ORF.sub(r"\1orf\2", text))
        if found >= 0:
            return found, "capitals"
        for route, aliases, canonical in self._aliases:
            key = aliases.canonical(text)
            found = self._known(key) if key != text else -1
            if found < 0:
                found = canonical.get(key, -1)
            if found >= 0:
                return found, route
        return -1, ""

    def _known(self, text: str) -> int:
        return self._ids.get(text, self._symbols.get(text, -1))

    def _canonical(self, aliases: GeneAliases) -> dict[str, int]:
        return _unique((aliases.canonical(s), i) for s, i in self._symbols.items())


def _unique(pairs: Iterable[tuple[str, int]]) -> dict[str, int]:
    found: dict[str, int] = {}
    shared = set()
    for name, i in pairs:
        if found.setdefault(name, i) != i:
            shared.add(name)
    return {name: i for name, i in found.items() if name not in shared}
