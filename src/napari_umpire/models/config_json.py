"""Nested frozen dataclasses to and from plain JSON data, with every wrong key named."""

from __future__ import annotations

import dataclasses
import difflib
import types
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from napari_umpire.errors import InputError

__all__ = ["from_data", "to_data"]

T = TypeVar("T")
_LARGEST = 2**53
"""Numbers up to it are exact in float64, and none of ours comes near."""
_SHOWN = 80


def to_data(value: Any) -> Any:
    """A dataclass (and what it holds) as dicts, lists and scalars that JSON can write."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_data(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): to_data(v) for k, v in value.items()}
    if isinstance(value, (tuple, list)):
        return [to_data(v) for v in value]
    return value


def from_data(cls: type[T], data: Any, where: str) -> T:
    """Rebuild the dataclass ``cls`` from what `to_data` gave.

    Keys that are absent take their default.

    Parameters
    ----------
    where
        Name of the place in the file, for the message.

    Raises
    ------
    InputError
        For an unknown key (with the nearest known one), a missing key, or a value of a wrong type.
    """
    if not isinstance(data, Mapping):
        raise InputError(f"{where} is not a table of settings", got=type(data).__name__)
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    hints = get_type_hints(cls)
    for key in data:
        if key not in fields:
            near = difflib.get_close_matches(str(key), fields, n=1, cutoff=0.4)
            raise InputError(
                f"{where} has an unknown setting",
                got=key,
                expected=", ".join(fields),
                fix=f"Did you mean {near[0]}?" if near else None,
            )
    for name, field in fields.items():
        required = (
            field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        )
        if required and name not in data:
            raise InputError(f"{where} lacks the setting {name}")
    values = {k: _value(hints[k], v, f"{where}.{k}") for k, v in data.items()}
    try:
        return cls(**values)
    except InputError as error:
        raise InputError(
            f"{where}: {error.problem}", got=error.got, expected=error.expected, fix=error.fix
        ) from error


def _value(hint: Any, value: Any, where: str) -> Any:
    """``value`` in the type that ``hint`` asks for."""
    origin, args = get_origin(hint), get_args(hint)
    if hint is Any:
        return value
    if origin in (Union, types.UnionType):
        if value is None and type(None) in args:
            return None
        (inner,) = (a for a in args if a is not type(None))
        return _value(inner, value, where)
    if origin is Literal:
        if value not in args:
            raise _wrong(where, value, " or ".join(repr(a) for a in args))
        return value
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise _wrong(where, value, "a list")
        if args[-1:] != (Ellipsis,) and len(value) != len(args):
            raise _wrong(where, value, f"a list of {len(args)}")
        return tuple(_value(args[0], v, f"{where}[{i}]") for i, v in enumerate(value))
    if dataclasses.is_dataclass(hint):
        return from_data(hint, value, where)  # type: ignore[arg-type]
    if origin is not None and isinstance(value, Mapping) and issubclass(origin, Mapping):
        return {str(k): _value(args[1], v, f"{where}.{k}") for k, v in value.items()}
    if hint in (int, float) and isinstance(value, (int, float)) and not isinstance(value, bool):
        if not -_LARGEST <= value <= _LARGEST:  # NaN neither
            raise _wrong(where, value, f"a number, at most {_LARGEST:g}")
        value = float(value) if hint is float else value
    if origin is None and isinstance(value, hint) and (hint is bool) == isinstance(value, bool):
        return value
    raise _wrong(where, value, getattr(hint, "__name__", str(hint)))


def _wrong(where: str, value: Any, expected: str) -> InputError:
    said = repr(value)
    said = said if len(said) <= _SHOWN else f"{said[:_SHOWN]} ..."
    return InputError(f"{where} has a wrong value", got=said, expected=expected)
