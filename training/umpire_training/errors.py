"""Failures that are not the user's input."""

from __future__ import annotations

__all__ = ["Stopped", "TrainingStopped"]


class TrainingStopped(RuntimeError):
    """The training cannot go on; the message says why and what was kept. Exit code 1."""


class Stopped(KeyboardInterrupt):
    """SIGTERM came; whatever cleans up after Ctrl-C does so after this. Exit code 143."""
