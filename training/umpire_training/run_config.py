"""The options that a run was started with: kept as YAML, compared when it is continued."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_umpire.bounded import parse_yaml, read_text
from napari_umpire.errors import InputError
from napari_umpire.files import replace_file
from umpire_training.keys import flatten

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

__all__ = ["PATHS", "RECIPE_BYTES", "changed_options", "with_paths", "write_yaml"]

RECIPE_BYTES = 2_000_000
"""The largest recipe that is read: one that names 20,000 genes has a tenth of it."""

PATHS = frozenset({
    "cache", "corpus", "counts", "encoder", "exclude", "labels", "model", "pairs", "path",
    "patients", "pretrain_counts", "pretrained", "registration", "slides", "start",
    "status_labels", "status_slides", "weights",
})  # fmt: skip
"""Options, by the last part of their keys, that name files where there are such.

By name, as rows of a benchmark hold the same options in dotted keys of YAML.
"""


def with_paths(tree: Any, whole: Callable[[str], str], name: str = "") -> Any:
    """Options with the paths among them made ``whole``; what is no file stays as it is.

    Parameters
    ----------
    tree
        Options, nested or with dotted keys; or the value of the option ``name``.
    """
    if isinstance(tree, dict):
        return {key: with_paths(part, whole, key.rpartition(".")[2]) for key, part in tree.items()}
    if isinstance(tree, (list, tuple)):
        return [with_paths(part, whole, name) for part in tree]
    if not (isinstance(tree, str) and name in PATHS):
        return tree
    path = Path(tree).expanduser()
    # A row of a benchmark may be called as a folder that happens to be here.
    wanted = path / "config.json" if name == "start" else path
    return whole(str(path)) if tree and wanted.exists() else tree


def changed_options(path: Path, settings: dict[str, Any], may_change: Collection[str]) -> list[str]:
    """What of ``settings`` differs from the file ``path`` of `write_yaml`, in words.

    Paths are compared by what they lead to.

    Raises
    ------
    InputError
        Where the file is damaged.
    """
    try:
        saved = parse_yaml(read_text(path, limit=RECIPE_BYTES), str(path))
    except InputError:
        saved = None
    if not isinstance(saved, dict):
        raise InputError(
            f"{path} is damaged: nothing says which options the run began with",
            fix="Choose another --output",
        )
    before = _flat(with_paths(saved, os.path.realpath))
    now = _flat(with_paths(settings, os.path.realpath))
    absent = object()
    keys = sorted(k for k in before | now if before.get(k, absent) != now.get(k, absent))
    return [f"{k} was {before.get(k)!r}, is {now.get(k)!r}" for k in keys if k not in may_change]


def write_yaml(path: Path, tree: dict[str, Any], header: str = "") -> None:
    """Write ``header`` and ``tree``; whole or not at all."""
    import yaml

    text = header + yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)
    with replace_file(path) as written:
        written.write_text(text, encoding="utf-8")


def _flat(tree: dict[str, Any]) -> dict[str, Any]:
    groups: list[str] = []

    def visit(part: dict[str, Any], prefix: str) -> None:
        for key, value in part.items():
            if isinstance(value, dict):
                groups.append(prefix + key)
                visit(value, f"{prefix}{key}.")

    visit(tree, "")
    return flatten(tree, groups)
