"""The tables and figures of the paper: one module each, with a function `prepare`."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Protocol

from napari_umpire.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from umpire_training.benchmark.methods import Method
    from umpire_training.verbs.benchmark import Options

__all__ = ["PaperTable", "check_overlays", "open_table"]

_MODULES = {
    "table-1": "expression",
    "table-s1": "expression",
    "table-2": "probes",
    "table-s5": "parameters",
    "figure-5": "status",
    "figure-s1": "convergence",
    "figure-s4": "embeddings",
    "figure-s5": "ablation",
}


_WITH_OVERLAYS = tuple(name for name, module in _MODULES.items() if module == "expression")


class PaperTable(Protocol):
    """What a module of this package offers."""

    def prepare(self, options: Options, methods: list[Method]) -> Callable[[Path, str], str]:
        """Check everything before any work; what is returned takes the run folder and the command.

        That does the work, writes the files and returns the Markdown.
        """


def open_table(name: str) -> PaperTable:
    """The module that makes the table ``name``."""
    return importlib.import_module(f"{__name__}.{_MODULES[name]}")


def check_overlays(table: str, genes: Sequence[str]) -> None:
    """Refuse genes to be drawn by a table that draws none.

    Raises
    ------
    InputError
        Naming the tables that draw them.
    """
    if genes and table not in _WITH_OVERLAYS:
        raise InputError(
            f"{table} draws no genes over slides",
            got=f"overlays {', '.join(genes)}",
            expected=f"overlays for {' or '.join(_WITH_OVERLAYS)} only",
            fix="Leave out --overlays",
        )
