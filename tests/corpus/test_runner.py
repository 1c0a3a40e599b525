"""The runner of the corpus: what is wrong is seen, of whatever sort."""

from __future__ import annotations

import os
import pickle
import time
import warnings

import pytest

from napari_umpire.errors import InputError, UmpireWarning

from .case import Case
from .fuzz import damage
from .runner import run_cases

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="each case is a forked process")


def executes(place):
    code = place.code()
    return lambda: pickle.loads(code)


def says(text):
    def work():
        warnings.warn(text, UmpireWarning, stacklevel=1)

    return lambda place: work


def raises(error):
    def work():
        raise error

    return lambda place: work


def is_five(value):
    assert value == 5, f"{value}, right is 5"


def takes_memory(place):
    return lambda: len(b"x" * (2 << 30))


@pytest.mark.parametrize(
    ("make", "how", "verdict", "words"),
    [
        (lambda p: lambda: 5, {"silent": True, "right": is_five}, "opened", None),
        (lambda p: lambda: 6, {"silent": True, "right": is_five}, "anything else", "right is 5"),
        (lambda p: lambda: 5, {"refuses": "x"}, "anything else", "opened, which is not right"),
        (says("half are lost"), {"warns": "half"}, "repaired", None),
        (says("half are lost"), {"warns": "third"}, "anything else", "do not say 'third'"),
        (says("half are lost"), {"silent": True}, "anything else", "repaired, which is not right"),
        (raises(InputError("no image")), {"refuses": "image"}, "refused", None),
        (raises(InputError("no image")), {"silent": True}, "anything else", "refused, which"),
        (raises(OSError("gone")), {"refuses": "gone"}, "anything else", "OSError: gone"),
        (executes, {"silent": True}, "anything else", "code of the input was executed"),
        (lambda p: lambda: time.sleep(60), {"silent": True}, "anything else", "no end after"),
        (lambda p: lambda: os.abort(), {"silent": True}, "anything else", "signal 6"),
        (takes_memory, {"silent": True}, "anything else", "MB of memory"),
    ],
    ids=[
        "right", "wrong value", "should be refused", "word", "other word", "word not wanted",
        "refused", "refused for nothing", "bare error", "code", "hang", "death", "memory",
    ],
)  # fmt: skip
def test_what_is_wrong_is_seen(tmp_path, make, how, verdict, words):
    # Only the case that hangs may run into its time; the others must not, however busy it is.
    seconds = 5 if words == "no end after" else 120
    (end,) = run_cases([Case("one", "kind", make, **how)], tmp_path, seconds=seconds)
    assert end.verdict == verdict, end
    assert (end.fault is None) == (words is None)
    assert words is None or words in end.fault


def test_random_damage_is_the_same_for_the_same_seed():
    import random

    data = b"header 12, 3.5\n" * 50
    first = [damage(data, random.Random(f"1 tif {i}")) for i in range(40)]
    again = [damage(data, random.Random(f"1 tif {i}")) for i in range(40)]
    assert first == again
    assert len({how for _, how in first}) > 20
    assert sum(bytes_ != data for bytes_, _ in first) > 35
