"""A case of the corpus: something that a user or an enemy hands over, and what is right then."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .place import Place

__all__ = ["CASES", "Case", "of_kind"]

Check = Callable[[Any], None]
"""Asserts that what came out is right: of slides, a list of them; else what the case returned."""


@dataclass(frozen=True)
class Case:
    """One input and the outcomes that are right.

    Attributes
    ----------
    name, kind
        What the case is called, and the group that it is counted in.
    make
        Makes the input in a folder, and returns a path (a slide to open), a list of words (a call
        of ``umpire-train``), or a function to call, whose return value is what came out.
    right
        Asserts what is right whenever something comes out, with or without a word.
    silent
        Whether it is right that something comes out without a word.
    warns, refuses
        What an `UmpireWarning` or an `InputError` has to say (a regular expression) where a word
        or a refusal is right; None where it is not.
    options
        Of `open_slides`.
    ordinary
        Run without the rights of root, which passes over the modes of files.
    """

    name: str
    kind: str
    make: Callable[[Place], Any]
    right: Check | None = None
    silent: bool = False
    warns: str | None = None
    refuses: str | None = None
    options: tuple[tuple[str, object], ...] = ()
    ordinary: bool = False

    def fault(self, verdict: str, said: str) -> str | None:
        """Why this outcome is wrong, None where it is right; ``right`` has been asked already."""
        wanted = {"opened": "" if self.silent else None, "repaired": self.warns}
        words = (wanted | {"refused": self.refuses}).get(verdict)
        if words is None:
            return f"{verdict}, which is not right here"
        if not re.search(words, said, re.IGNORECASE | re.DOTALL):
            return f"{verdict} in words that do not say {words!r}"
        return None


CASES: dict[str, Case] = {}


def of_kind(kind: str) -> Callable[..., Any]:
    """A decorator for functions that make the cases of a kind; called with a function, it adds."""

    def case(name: str, make: Any = None, /, **how: Any) -> Any:
        def add(function: Callable[[Place], Any]) -> Callable[[Place], Any]:
            assert name not in CASES, f"two cases called {name}"
            assert how.get("silent") or how.get("warns") or how.get("refuses"), name
            options = tuple(how.pop("options", {}).items())
            CASES[name] = Case(name, kind, function, options=options, **how)
            return function

        return add if make is None else add(make)

    return case
