"""Other names of genes: retired and alternative symbols, from HGNC, the user or a small table."""

from __future__ import annotations

import csv
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from napari_umpire.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["GeneAliases"]

_HGNC_COLUMNS = ("symbol", "prev_symbol", "alias_symbol", "ensembl_gene_id")


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

    @classmethod
    def from_hgnc(cls, path: str | Path) -> GeneAliases:
        """Read the HGNC complete set, the tab-separated file of genenames.org.

        An approved symbol always names its own gene; then a previous symbol; then an alias. A
        previous symbol or alias that two genes share names neither.

        Raises
        ------
        InputError
            A file that is missing or has no columns symbol, prev_symbol, alias_symbol and
            ensembl_gene_id.
        """
        approved: dict[str, str] = {}
        previous: dict[str, set[str]] = defaultdict(set)
        other: dict[str, set[str]] = defaultdict(set)
        for row in _rows(Path(path)):
            if row.get("status", "Approved") not in ("Approved", ""):
                continue
            key = row["ensembl_gene_id"].strip() or row["symbol"].strip()
            approved[row["symbol"].strip()] = key
            for column, names in (("prev_symbol", previous), ("alias_symbol", other)):
                for name in row[column].strip('"').split("|"):
                    if name.strip():
                        names[name.strip()].add(key)
        targets = _unshared(other)
        for name in previous:
            targets.pop(name, None)
        targets |= _unshared(previous)
        return cls(targets | approved)


def _unshared(names: Mapping[str, set[str]]) -> dict[str, str]:
    return {name: next(iter(keys)) for name, keys in names.items() if len(keys) == 1}


def _rows(path: Path) -> Iterable[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            # The fields are not quoted by the rules of csv; a stray quote would swallow lines.
            reader = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE, restval="")
            missing = [c for c in _HGNC_COLUMNS if c not in (reader.fieldnames or ())]
            if missing:
                raise InputError(
                    f"{path} is not the HGNC complete set",
                    got=f"no column {', '.join(missing)}",
                    expected=f"tab-separated columns {', '.join(_HGNC_COLUMNS)}",
                    fix="Download hgnc_complete_set.txt from genenames.org and name that file",
                )
            yield from reader
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"The gene names in {path} cannot be read",
            got=error,
            expected="hgnc_complete_set.txt of genenames.org",
        ) from error


@cache
def _builtin() -> GeneAliases:
    return GeneAliases({row["retired"]: row["current"] for row in _table("retired_symbols.csv")})


@cache
def _stains() -> GeneAliases:
    return GeneAliases({row["name"]: row["symbol"] for row in _table("stain_names.csv")})


def _table(name: str) -> Iterable[dict[str, str]]:
    text = (files("napari_umpire.genes") / name).read_text("utf-8")
    return csv.DictReader(text.splitlines())
