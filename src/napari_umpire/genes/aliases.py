"""Other names of genes: retired and alternative symbols, from the user or a small table."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["GeneAliases"]


@dataclass(frozen=True, eq=False)
class GeneAliases:
    """Names -> the name that stands for the gene: its Ensembl id or its approved symbol.

    Attributes
    ----------
    targets
        Both directions of a renaming work, because the two sides of a comparison are looked up:
        a new symbol in the data finds an old one in the vocabulary too.
    """

    targets: Mapping[str, str]

    def canonical(self, name: str) -> str:
        """The name that stands for the gene called `name`; `name` itself where it is unknown."""
        return self.targets.get(name, name)

    @classmethod
    def builtin(cls) -> GeneAliases:
        """Well-known renamings (histones, septins, ATP synthase, tRNA synthetases and others).

        Each retired symbol is no symbol of another gene today; see ``retired_symbols.csv``.
        """
        return _builtin()

    @classmethod
    def stains(cls) -> GeneAliases:
        """What pathologists call proteins on a request form: HER2, Ki67, PD-L1, CK7.

        For looking genes up by hand, never for matching tables: CD3 and S100 are several genes,
        of which the one that is most often meant is given. See ``stain_names.csv``.
        """
        return _stains()


@cache
def _builtin() -> GeneAliases:
    return GeneAliases({row["retired"]: row["current"] for row in _table("retired_symbols.csv")})


@cache
def _stains() -> GeneAliases:
    return GeneAliases({row["name"]: row["symbol"] for row in _table("stain_names.csv")})


def _table(name: str) -> Iterable[dict[str, str]]:
    text = (files("napari_umpire.genes") / name).read_text("utf-8")
    return csv.DictReader(text.splitlines())
