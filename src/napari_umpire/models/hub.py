"""Downloads from the Hugging Face hub: only ever when the user asked for a hub name."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from napari_umpire.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["download_folder", "download_weights", "hub_settings", "timm_hub_id"]

T = TypeVar("T")
_LOCAL = "Or download the file yourself and give its path as vision.weights"
_LOCAL_FOLDER = "Or download the model folder yourself and give its path"
_FILES = ("model.safetensors", "pytorch_model.bin")


def _asking(hub_id: str, ask: Callable[[], T], instead: str = _LOCAL) -> T:
    """Run ``ask``, turning what a hub can answer into words; ``instead`` is the way without it."""
    from huggingface_hub import errors

    try:
        return ask()
    except errors.GatedRepoError as error:
        raise InputError(
            f"The weights of {hub_id} are gated, and this computer is not logged in or not "
            "admitted",
            fix=f"Ask for access at huggingface.co/{hub_id} and log in with `hf auth login`. "
            + instead,
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise InputError(
            f"The hub has no {hub_id}, or does not show it to you",
            fix=f"Check the name; if it is private, log in with `hf auth login`. {instead}",
        ) from error
    except errors.EntryNotFoundError as error:
        # The repository was reached and lacks the file, unless the error is the local cache's.
        if not isinstance(error, errors.LocalEntryNotFoundError):
            raise
        raise _unreached(hub_id, error, instead) from error
    except errors.HFValidationError as error:
        raise InputError(
            f"{hub_id} is no name of the hub", got=error, expected="owner/name"
        ) from error
    except OSError as error:
        raise _unreached(hub_id, error, instead) from error


def _unreached(hub_id: str, error: Exception, instead: str) -> InputError:
    return InputError(
        f"The hub could not be reached for {hub_id}",
        got=error,
        fix=f"Check the connection. {instead}",
    )


def download_weights(hub_id: str) -> Path:
    """The weights file of a hub repository, downloaded or from the local cache."""
    import huggingface_hub
    from huggingface_hub import errors

    for name in _FILES:
        try:
            found = _asking(hub_id, partial(huggingface_hub.hf_hub_download, hub_id, name))
        except errors.EntryNotFoundError:
            continue
        return Path(found)
    raise InputError(f"The hub's {hub_id} has no weights file", expected=" or ".join(_FILES))


def download_folder(hub_id: str, patterns: list[str]) -> Path:
    """The files of a hub repository that fit ``patterns``, downloaded or from the local cache."""
    import huggingface_hub

    ask = partial(huggingface_hub.snapshot_download, hub_id, allow_patterns=patterns)
    return Path(_asking(hub_id, ask, _LOCAL_FOLDER))


def hub_settings(hub_id: str) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Of a timm model on the hub: architecture, constructor arguments, preprocessing settings."""
    from napari_umpire.models.torchvision_guard import heal

    heal()
    from huggingface_hub import errors
    from timm.models import load_model_config_from_hf

    try:
        found = _asking(hub_id, partial(load_model_config_from_hf, hub_id))
    except (errors.EntryNotFoundError, KeyError) as error:
        raise InputError(
            f"The hub's {hub_id} is not a timm model",
            fix="Name its timm architecture, and give the downloaded file as vision.weights",
        ) from error
    cfg, architecture, arguments = found
    return architecture, dict(arguments or {}), dict(cfg)


def timm_hub_id(name: str) -> str:
    """The hub repository in which timm keeps the default weights of an architecture."""
    from napari_umpire.models.torchvision_guard import heal

    heal()
    import timm

    cfg = timm.get_pretrained_cfg(name) if timm.is_model(name) else None
    if cfg is None or not cfg.hf_hub_id:
        raise InputError(f"timm knows no weights on the hub for {name}")
    # timm writes "timm/" for a repository that has the name of the model.
    hub_id = str(cfg.hf_hub_id)
    return hub_id + f"{cfg.architecture}.{cfg.tag}" if hub_id.endswith("/") else hub_id
