"""Failures that are not the user's input."""

from __future__ import annotations

__all__ = ["TrainingStopped"]


class TrainingStopped(RuntimeError):
    """The training cannot go on; the message says why and what was kept. Exit code 1."""
