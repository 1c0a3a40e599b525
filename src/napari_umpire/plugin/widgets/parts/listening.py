"""Hearing a session from a Qt widget, for as long as the widget lives."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from qtpy.compat import isalive

if TYPE_CHECKING:
    from collections.abc import Callable

    from psygnal import SignalInstance
    from qtpy.QtCore import QObject

__all__ = ["listen"]


def listen(widget: QObject, signal: SignalInstance, slot: Callable[[], Any]) -> None:
    """Call ``slot``, a bound method of ``widget`` without arguments, on each emission.

    A closed dock leaves a Python object without its Qt half behind; calling that would crash, so
    the connection ends with either half.
    """
    method, here = weakref.WeakMethod(slot), weakref.ref(widget)

    def relay(*_: object) -> None:
        alive, owner = method(), here()
        if alive is None or owner is None or not isalive(owner):
            signal.disconnect(relay, missing_ok=True)
            return
        alive()

    signal.connect(relay)
