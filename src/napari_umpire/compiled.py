"""Loops that numba compiles, once for all processes where that can be kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numba

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["compiled"]


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function`` compiled, free of the interpreter lock; kept on disk where that is possible."""
    try:
        return numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:  # no writable place for the cache: a read-only install without a home
        return numba.njit(nogil=True)(function)
