"""The rows of a benchmark: a method is a name and what it does otherwise than the others."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_umpire.errors import InputError
from umpire_training.keys import dotted_keys, flatten, nearest
from umpire_training.options.evaluation import MethodSettings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Method", "check_starts", "digest_of", "read_methods", "settings_of", "slug"]

_OWN = ("paper", "seeds")


@dataclass(frozen=True)
class Method:
    """One row.

    Attributes
    ----------
    name
        As printed.
    settings
        What it does.
    seeds
        Each is a training of its own.
    paper
        The row of the paper's table that it stands for, "" for none.
    changes
        Dotted key -> value, where it differs from the settings that all rows share.
    decoder_row
        Name of a further row, for what the decoder of the same training predicts; "" for none.
    """

    name: str
    settings: MethodSettings
    seeds: tuple[int, ...]
    paper: str = ""
    changes: tuple[tuple[str, Any], ...] = ()
    decoder_row: str = ""


def settings_of(options: Any) -> MethodSettings:
    """The part of a verb's options that a method may change."""
    names = MethodSettings.__dataclass_fields__
    return MethodSettings(**{name: getattr(options, name) for name in names})


def read_methods(
    base: MethodSettings, said: Mapping[str, Any], seeds: Sequence[int], only: Sequence[str] = ()
) -> list[Method]:
    """The rows that a recipe describes, in its order.

    Parameters
    ----------
    base
        What all rows share.
    said
        Name -> options of `MethodSettings`, nested or with dots, and beside them ``paper`` (a row
        of the paper's table) and ``seeds``.
    only
        Names of the rows that are wanted; empty: all.

    Raises
    ------
    InputError
        For a row without a name of its own, an option that no method has or a value of the wrong
        type, naming the row.
    """
    keys = dotted_keys(MethodSettings)
    groups = [key for key, kind in keys.items() if is_dataclass(kind)]
    methods: list[Method] = []
    slugs: dict[str, str] = {}
    for name, tree in said.items():
        if not isinstance(tree, dict):
            raise InputError(
                f"Row {name!r} of the methods is not a group of options", got=repr(tree),
                expected="option: value, such as align.target.kind: soft; {} for no difference",
            )  # fmt: skip
        if slug(name) in slugs or not slug(name):
            raise InputError(
                "Two rows have names that differ in signs alone",
                got=f"{slugs.get(slug(name), '')!r} and {name!r}",
                fix="Give them names of different letters",
            )
        slugs[slug(name)] = name
        own = {key: tree[key] for key in _OWN if key in tree}
        flat = flatten({k: v for k, v in tree.items() if k not in _OWN}, groups)
        for key in flat:
            if not _known(key, keys):
                near = nearest(key, [*keys, *_OWN])
                raise InputError(
                    f"Row {name!r} has no option {key!r}",
                    fix=f"Did you mean {near!r}" if near else "See: umpire-train benchmark --help",
                )
            if key in groups:
                raise InputError(
                    f"Row {name!r}: {key} is a group of options, not one",
                    got=repr(flat[key]),
                    expected=f"such as {next(k for k in keys if k.startswith(f'{key}.'))}: value",
                )
        methods.append(
            Method(
                name=name,
                settings=_changed(base, flat, name),
                seeds=_seeds(own.get("seeds", seeds), name),
                paper=str(own.get("paper", "")),
                changes=tuple(flat.items()),
            )
        )
    names = [method.name for method in methods]
    unknown = sorted(set(only) - set(names))
    if unknown:
        raise InputError(
            f"No row is called {', '.join(unknown)}", got="--only", expected=", ".join(names)
        )
    kept = [m for m in methods if not only or m.name in only]
    if not kept:
        raise InputError("There is no row to train", fix="Describe rows under methods: in a recipe")
    check_starts(kept)
    return kept


def slug(name: str) -> str:
    """A folder's name for a row: its letters and digits."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def digest_of(*settings: Any) -> str:
    """Eight letters that differ where any of ``settings`` (dataclasses or values) does."""
    tree = [asdict(s) if is_dataclass(s) and not isinstance(s, type) else s for s in settings]
    return hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()[:8]


def check_starts(methods: Sequence[Method]) -> None:
    """Refuse a row that fine-tunes what is neither a model folder nor trained before it."""
    before: dict[str, Method] = {}
    for method in methods:
        start = method.settings.start
        if start in before:
            missing = sorted(set(method.seeds) - set(before[start].seeds))
            if missing:
                raise InputError(
                    f"Row {method.name!r} starts from {start!r}, which has other seeds",
                    got=f"seeds {', '.join(map(str, missing))} of the one alone",
                )
        elif start and not (Path(start) / "config.json").is_file():
            raise InputError(
                f"Row {method.name!r} has nothing to start from",
                got=f"start: {start}",
                expected="a model folder, or the name of an earlier row",
                fix=f"Earlier rows: {', '.join(before) or 'none'}",
            )
        before[method.name] = method


def _known(key: str, keys: Mapping[str, Any]) -> bool:
    if key in keys:
        return True
    while "." in key:
        key = key.rpartition(".")[0]
        if keys.get(key) is dict:
            return True
    return False


def _changed(base: MethodSettings, flat: Mapping[str, Any], name: str) -> MethodSettings:
    import jsonargparse

    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(MethodSettings, nested_key=None)
    tree = asdict(base)
    for key, value in flat.items():
        *above, last = key.split(".")
        place = tree
        for part in above:
            place = place[part]
        place[last] = value
    try:
        namespace = parser.parse_object(tree)
    except (jsonargparse.ArgumentError, TypeError, ValueError) as error:
        raise InputError(
            f"Row {name!r} has a value that its option cannot take",
            got=" ".join(str(error).split()),
        ) from error
    instantiate = getattr(parser, "instantiate", None) or parser.instantiate_classes
    return MethodSettings(**vars(instantiate(namespace)))


def _seeds(said: Any, name: str) -> tuple[int, ...]:
    values = tuple(said) if isinstance(said, (list, tuple)) else (said,)
    if not values or not all(isinstance(v, int) and v >= 0 for v in values):
        raise InputError(f"Row {name!r} needs seeds", got=repr(said), expected="such as [0, 1, 2]")
    if len(set(values)) < len(values):
        raise InputError(f"Row {name!r} names a seed twice", got=repr(said))
    return values
