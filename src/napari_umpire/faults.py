"""What libraries raise over a file that nobody vouches for, said as one `InputError`."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from napari_umpire.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["COPY_AGAIN", "is_out_of_memory", "out_of_memory", "reading", "within_memory"]

COPY_AGAIN = "Copy the file again from its source"
_INSTALL = "Install the package that is missing, or install napari-umpire again"


@contextmanager
def reading(
    problem: str, *, expected: object = None, fix: str | None = COPY_AGAIN
) -> Iterator[None]:
    """Turn whatever a library raises in this block into an `InputError`.

    Parsers trip over a damaged file wherever they stand: fuzzing found some twenty types, among
    them bare ``Exception``. So the block holds calls of a library that read a foreign file, and
    nothing of our own whose fault must stay visible. An `InputError` of ours passes unchanged.

    Parameters
    ----------
    problem, expected, fix
        As `InputError` takes them; what the library said becomes ``got``.

    Raises
    ------
    InputError
        For every `Exception`; one about memory says how much was asked for, one about a package
        what is missing.
    NameError
        As it is: a fault of the program, not of the file.
    """
    try:
        yield
    except InputError:
        raise
    except ImportError as error:  # some files need a codec that is packaged on its own
        raise InputError(problem, got=error, expected=expected, fix=_INSTALL) from error
    except MemoryError as error:
        raise out_of_memory(problem, error) from error
    except Exception as error:  # no narrower list stayed complete: see above
        # Parsers leave a variable unset where a damaged file skips a branch.
        if isinstance(error, NameError) and not isinstance(error, UnboundLocalError):
            raise
        raise InputError(problem, got=error, expected=expected, fix=fix) from error


@contextmanager
def within_memory(problem: str, fix: str | None = None) -> Iterator[None]:
    """Turn a want of memory in this block into an `InputError`; nothing else."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise out_of_memory(problem, error, fix) from error


def is_out_of_memory(error: BaseException) -> bool:
    """Whether there was no memory left; torch says so for a CPU and for MPS only in the text."""
    said = str(error)
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError)
        and ("out of memory" in said or "can't allocate memory" in said)
    )


def out_of_memory(problem: str, error: BaseException, fix: str | None = None) -> InputError:
    """The sentence for a `MemoryError`, with the size that was asked for where numpy tells it."""
    asked = " ".join(str(error).split())
    return InputError(
        problem,
        got=asked or "more memory is needed than is free",
        expected="data that fits into the memory of this computer",
        fix=fix
        or "Close other programs or use a computer with more memory; a small file that asks for "
        "this much is damaged",
    )
