"""Which folder a model's name means; the hub is asked only for what looks like a hub name."""

from __future__ import annotations

import re
from pathlib import Path

from napari_umpire.errors import InputError

__all__ = ["is_hub_name", "model_folder", "models_in"]

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
# No code, no pickle: only what a model folder is made of.
_FILES = ["config.json", "model.safetensors", "genes.csv", "README.md", "reference/*", "probes/*"]


def model_folder(name: str | Path) -> Path:
    """The folder of a model that is given by path or as "owner/name" on the Hugging Face hub.

    A path that exists is never looked up. "runs/mine" is a mistyped path, not a hub name, where
    there is a folder "runs".

    Raises
    ------
    InputError
        Where there is no such folder, or the hub cannot give it; says what to do.
    """
    path = Path(name).expanduser()
    if path.exists():
        return path
    if not is_hub_name(name):
        raise InputError(
            f"There is no model folder {path}",
            expected="a folder with config.json, model.safetensors and genes.csv, or a name "
            "owner/name on the Hugging Face hub",
            fix="Check the path",
        )
    from napari_umpire.models.hub import download_folder

    try:
        return download_folder(str(name), _FILES)
    except InputError as error:
        raise InputError(
            f"There is no folder {path} here. {error.problem}",
            got=error.got,
            expected=error.expected,
            fix=error.fix,
        ) from error


def is_hub_name(name: str | Path) -> bool:
    """Whether the hub would be asked for a model of this name."""
    text = str(name)
    if not _HUB_NAME.fullmatch(text) or Path(text).exists():
        return False
    return not Path(text.partition("/")[0]).exists()


def models_in(folder: Path | None) -> list[Path]:
    """The model folders that lie in a folder of models, by name; none where there is none."""
    if folder is None or not folder.is_dir():
        return []
    try:
        inside = sorted(folder.iterdir())
    except OSError:  # a drive that has gone; whoever needs a model is told by its own path
        return []
    return [p for p in inside if all((p / file).is_file() for file in _FILES[:3])]
