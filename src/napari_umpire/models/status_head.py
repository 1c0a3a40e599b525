"""A slide-status head on disk: ``slide_status/<name>/`` in a model folder, whole or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_umpire.errors import InputError
from napari_umpire.files import make_folder, scratch_beside
from napari_umpire.models.abmil import Abmil
from napari_umpire.models.status_config import (
    CONFIG,
    HEADS,
    StatusConfig,
    check_name,
    read_status,
)
from napari_umpire.models.weight_files import check_tensor, read_weights, write_tensors

if TYPE_CHECKING:
    import torch

__all__ = ["StatusHead", "head_folder", "load_head", "save_head"]

_WEIGHTS = "status.safetensors"


@dataclass(frozen=True, eq=False)
class StatusHead:
    """A head in memory, in evaluation mode.

    Attributes
    ----------
    module, config
        The network; what it is and wants.
    digest
        Of configuration and weights.
    path
        The folder.
    """

    module: Abmil
    config: StatusConfig
    digest: str
    path: Path


def head_folder(model_folder: str | Path, name: str) -> Path:
    """Where a model's head of that name lies."""
    return Path(model_folder) / HEADS / check_name(name)


def save_head(model_folder: str | Path, module: Abmil, config: StatusConfig) -> Path:
    """Write a head into the folder of its model, and return its own.

    Raises
    ------
    InputError
        Where there is one of that name: a head is never replaced. Where ``config`` is not of
        ``module``.
    """
    if module.config != config.abmil:
        raise InputError("The configuration of the head is not that of its network")
    folder = head_folder(model_folder, config.name)
    if folder.exists():
        raise InputError(f"{folder} already exists", fix="Choose another name for the head")
    make_folder(folder.parent)
    with scratch_beside(folder) as scratch:
        building = scratch / "new"
        building.mkdir()
        (building / CONFIG).write_text(config.to_json() + "\n", encoding="utf-8")
        write_tensors(building / _WEIGHTS, module.state_dict())
        shutil.copymode(building / CONFIG, building / _WEIGHTS)
        os.rename(building, folder)
    return folder


def load_head(
    folder: str | Path,
    *,
    model_digest: str | None = None,
    device: str | torch.device = "cpu",
) -> StatusHead:
    """Read a head, every tensor's name, shape and values checked.

    Parameters
    ----------
    model_digest
        Of the model that it is to be used with; None: not compared.

    Raises
    ------
    InputError
        Naming the file and, where it is about weights, the tensor and both shapes; for a head of
        another model, whose features mean something else.
    """
    folder = Path(folder)
    config = read_status(folder)
    if model_digest is not None:
        config.check_model(model_digest)
    module = Abmil(config.abmil)
    path = folder / _WEIGHTS
    state = read_weights(path)
    wanted = module.state_dict()
    for name, tensor in wanted.items():
        if name not in state:
            raise InputError(f"{path} lacks the tensor {name}")
        if state[name].shape != tensor.shape:
            raise InputError(
                f"{path}: the tensor {name} has a wrong shape",
                got=tuple(state[name].shape),
                expected=tuple(tensor.shape),
            )
        # A column that did not vary is stored as an infinite deviation: it then becomes 0.
        if name != "std":
            check_tensor(name, state[name], tensor.dtype, path)
        elif state[name].dtype != tensor.dtype or not bool((state[name] > 0).all()):
            raise InputError(f"{path}: the tensor {name} holds values that cannot be")
    extra = sorted(set(state) - set(wanted))
    if extra:
        raise InputError(f"{path} holds tensors that it has no place for", got=", ".join(extra[:3]))
    module.load_state_dict(state)
    digest = hashlib.sha256((folder / CONFIG).read_bytes() + path.read_bytes()).hexdigest()
    return StatusHead(module.eval().to(device), config, digest, folder)
