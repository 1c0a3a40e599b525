"""What a user reads when the input is not what a step needs."""

from __future__ import annotations

__all__ = ["InputError", "UmpireWarning"]

_LONGEST = 300
_TELLING = (OSError, ValueError, ImportError, EOFError, SyntaxError)


class InputError(ValueError):
    """A problem with what the user gave, said in words a pathologist can act on.

    Parameters
    ----------
    problem
        What is wrong, naming the file, spot or gene.
    got
        What was found. Of an exception, what it says in one line.
    expected
        What was needed.
    fix
        What to do next, as an imperative.
    """

    def __init__(
        self,
        problem: str,
        *,
        got: object = None,
        expected: object = None,
        fix: str | None = None,
    ) -> None:
        if isinstance(got, BaseException):
            got = _said(got)
        self.problem, self.got, self.expected, self.fix = problem, got, expected, fix
        parts = [_ended(problem)]
        if got is not None:
            parts.append(_ended(f"Got: {got}"))
        if expected is not None:
            parts.append(_ended(f"Expected: {expected}"))
        if fix is not None:
            parts.append(_ended(fix))
        super().__init__(" ".join(parts))


def _ended(sentence: str) -> str:
    """With one mark at its end: a question keeps its own."""
    return sentence if sentence.endswith(("?", "!")) else sentence.rstrip(".") + "."


def _said(error: BaseException) -> str:
    """What an exception says, without line breaks, never empty, never a page long."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror  # without the path, which the problem names
    text = " ".join(str(error).split()).removeprefix("Got: ")
    kind = type(error)
    # What Python itself raises says little without its kind: 'NoneType' object has no ...
    telling = kind.__module__ != "builtins" or isinstance(error, _TELLING)
    if isinstance(error, KeyError) or not (telling and text):
        text = f"{kind.__name__}: {text}" if text else kind.__name__
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ..."


class UmpireWarning(UserWarning):
    """Something the user should know that does not stop the work."""
