"""SIGTERM, which clusters and services send before they kill, ends a run as Ctrl-C does.

And either does end it: Python drops what is raised while it removes an object or a library calls
back, so a signal that comes at such a moment is sent again.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from umpire_training.errors import Stopped

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["STOPPED", "stop_as_interrupt"]

STOPPED = 128 + 15
"""The exit code by which a shell knows that SIGTERM ended a process."""

_AGAIN_S = 5.0
_SOON_S = 0.05


@contextmanager
def stop_as_interrupt() -> Iterator[None]:
    """Raise `Stopped` in the block when SIGTERM comes, so that everything cleans up after itself.

    It does nothing outside of the main thread, which alone hears signals, and where the program
    that called has a handler of its own.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    show = sys.unraisablehook
    owner, heard = os.getpid(), -_AGAIN_S

    def stop(number: int, frame: Any) -> None:
        nonlocal heard
        if os.getpid() != owner:
            # A forked process that loads batches is ended by SIGTERM, without a word.
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)
            return
        # Some send it twice at once; the second must not break off the cleaning up.
        again = time.monotonic() - heard < _AGAIN_S
        heard = time.monotonic()
        if not again:
            raise Stopped

    def dropped(what: Any) -> None:
        nonlocal heard
        if not isinstance(what.exc_value, KeyboardInterrupt) or os.getpid() != owner:
            show(what)
            return
        heard = -_AGAIN_S
        number = signal.SIGTERM if isinstance(what.exc_value, Stopped) else signal.SIGINT
        later = threading.Timer(_SOON_S, os.kill, (owner, number))
        later.daemon = True
        later.start()

    signal.signal(signal.SIGTERM, stop)
    sys.unraisablehook = dropped
    try:
        yield
    finally:
        sys.unraisablehook = show
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
