"""Reading a published pickle of weights without running what is in it."""

from __future__ import annotations

import io
import pickle
import warnings
from collections import OrderedDict
from typing import IO, TYPE_CHECKING, Any

import torch

from napari_umpire.errors import InputError
from napari_umpire.faults import reading
from napari_umpire.models.weight_files import (
    kind_of,
    load_checkpoint,
    only_tensors,
    read_weights,
    require_file,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

__all__ = ["read_state_dict"]


class _RefusedError(pickle.UnpicklingError):
    """The pickle asks for a global that a table of tensors does not need."""


_ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): torch._utils._rebuild_tensor_v2,
    ("torch._utils", "_rebuild_parameter"): torch._utils._rebuild_parameter,
}


class _Unpickler(pickle.Unpickler):
    """Resolves the four globals a pickled state dict is made of, and nothing else."""

    def __init__(self, file: IO[bytes], path: Path) -> None:
        super().__init__(file)
        self._path = path

    def load_from_bytes(self, data: bytes) -> Any:
        """What stands for torch's function of this name, an unrestricted ``torch.load``."""
        return load_checkpoint(io.BytesIO(data), f"A tensor in {self._path}")

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("torch.storage", "_load_from_bytes"):
            return self.load_from_bytes
        found = _ALLOWED.get((module, name))
        if found is None:
            raise _RefusedError(f"{module}.{name}")
        return found


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """State dict in a published pickle, on the CPU; nothing in the file is executed.

    A file that is no plain pickle (safetensors, a torch or Lightning checkpoint) is read by
    `weight_files.read_weights`.

    Raises
    ------
    InputError
        Where the pickle asks for anything but tensors (the global is named), is damaged, or is
        not a table of tensors.
    """
    path = require_file(path, "The published model")
    if kind_of(path) != "pickle":
        return read_weights(path)
    # What a damaged pickle raises depends on where the damage lies.
    with reading(f"{path} is a damaged pickle"):
        try:
            with path.open("rb") as file, warnings.catch_warnings():
                # torch tells its own callers that the storage class in such pickles is old.
                warnings.filterwarnings("ignore", message="TypedStorage is deprecated")
                data = _Unpickler(file, path).load()
        except _RefusedError as error:
            raise InputError(
                f"{path} is refused: it wants to use something that weights do not need",
                got=error,
                expected="a pickle of tensors only",
                fix="Do not open this file by other means unless you trust who made it",
            ) from error
    return only_tensors(data, path)
