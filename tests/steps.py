"""How much the interpreter works, whatever else the machine does: a guard against Python loops."""

from __future__ import annotations

import sys

__all__ = ["interpreted"]


def interpreted(function, *args):
    """Instructions that the interpreter runs in a call; work inside numpy or pandas counts once."""
    count = 0

    def trace(frame, event, _arg):
        nonlocal count
        frame.f_trace_opcodes = True
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        function(*args)
    finally:
        sys.settrace(before)
    return count
