"""Which folder a model's name means; the hub is asked only for what looks like a hub name."""

from __future__ import annotations

import re
from pathlib import Path

from napari_umpire.errors import InputError

__all__ = ["model_folder"]

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
    text = str(name)
    if not _HUB_NAME.fullmatch(text) or Path(text.partition("/")[0]).exists():
        raise InputError(
            f"There is no model folder {path}",
            expected="a folder with config.json, model.safetensors and genes.csv, or a name "
            "owner/name on the Hugging Face hub",
            fix="Check the path",
        )
    return _download(text)


def _download(name: str) -> Path:
    import huggingface_hub
    from huggingface_hub import errors

    local = "or download the model folder by hand and give its path"
    try:
        return Path(huggingface_hub.snapshot_download(name, allow_patterns=_FILES))
    except errors.GatedRepoError as error:
        raise InputError(
            f"The model {name} is gated",
            got="no access",
            fix=f"Ask for access at https://huggingface.co/{name}, then log in with "
            f"'hf auth login'; {local}",
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise InputError(
            f"There is neither a folder {name} nor a model {name} on the Hugging Face hub",
            fix=f"Check the name; log in with 'hf auth login' if the model is private; {local}",
        ) from error
    except (errors.HfHubHTTPError, errors.LocalEntryNotFoundError, OSError) as error:
        raise InputError(
            f"The model {name} is not a folder here, and the Hugging Face hub cannot be reached",
            got=error,
            fix=f"Check the network; {local}",
        ) from error
