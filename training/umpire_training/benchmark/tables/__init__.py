"""The tables and figures of the paper: one module each, with a function `prepare`."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from umpire_training.benchmark.methods import Method
    from umpire_training.verbs.benchmark import Options

__all__ = ["PaperTable", "open_table"]

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


class PaperTable(Protocol):
    """What a module of this package offers."""

    def prepare(self, options: Options, methods: list[Method]) -> Callable[[Path, str], str]:
        """Check everything before any work; what is returned takes the run folder and the command.

        That does the work, writes the files and returns the Markdown.
        """


def open_table(name: str) -> PaperTable:
    """The module that makes the table ``name``."""
    return importlib.import_module(f"{__name__}.{_MODULES[name]}")
