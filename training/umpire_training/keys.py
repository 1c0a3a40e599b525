"""The dotted keys of option dataclasses, and the nearest known one to a key that was mistyped."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable, Mapping
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

__all__ = ["dotted_keys", "flatten", "in_words", "is_list", "nearest"]


def dotted_keys(options: type, prefix: str = "") -> dict[str, Any]:
    """Every dotted key of a nest of option dataclasses and its type, groups included."""
    keys: dict[str, Any] = {}
    for name, kind in get_type_hints(options).items():
        keys[prefix + name] = kind
        if isinstance(kind, type) and dataclasses.is_dataclass(kind):
            keys.update(dotted_keys(kind, f"{prefix}{name}."))
    return keys


def flatten(tree: Mapping[str, Any], groups: Iterable[str], prefix: str = "") -> dict[str, Any]:
    """A YAML mapping as dotted keys; only the keys in ``groups`` are opened."""
    groups = set(groups)
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        key = f"{prefix}{name}"
        if key in groups and isinstance(value, Mapping):
            flat.update(flatten(value, groups, f"{key}."))
        else:
            flat[key] = value
    return flat


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known key most like ``name``: by the whole dotted key, else by its last part."""
    known = list(known)
    whole = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    tail = difflib.get_close_matches(
        name.rsplit(".", 1)[-1], [key.rsplit(".", 1)[-1] for key in known], n=1, cutoff=0.7
    )
    if tail and (not whole or "." not in name):
        return next(key for key in known if key.rsplit(".", 1)[-1] == tail[0])
    return whole[0] if whole else None


def is_list(kind: Any) -> bool:
    """Whether an option's type is a list, with or without None beside it."""
    return any(getattr(k, "__origin__", k) is list for k in (kind, *get_args(kind)))


def in_words(kind: Any) -> str:
    """What values an option of this type takes, for a message."""
    plain = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
    if kind in plain:
        return plain[kind]
    if kind is type(None):
        return "null"
    if is_list(kind):
        return "a list"
    if get_origin(kind) is Literal:
        return " or ".join(map(str, get_args(kind)))
    if get_origin(kind) in (Union, UnionType):
        return " or ".join(map(in_words, get_args(kind)))
    return f"a group of options ({getattr(kind, '__name__', kind)})"
