"""Writing tensors to a file, and reading them from one that nobody vouches for."""

from __future__ import annotations

import pickle
import warnings
import zipfile
from collections.abc import Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import torch
from torch import Tensor

from napari_umpire.bounded import check_file, check_zip
from napari_umpire.errors import InputError
from napari_umpire.faults import reading

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "check_tensor",
    "kind_of",
    "load_checkpoint",
    "only_tensors",
    "quiet_about_protocols",
    "read_weights",
    "require_file",
    "write_tensors",
]

_LEGACY_TORCH = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"
_WRAPPERS = ("state_dict", "model", "model_state_dict", "teacher")


def require_file(path: str | Path, what: str) -> Path:
    """``path`` as a Path; InputError naming ``what`` where it is not a file that can be read."""
    path = Path(path)
    if not path.exists():
        raise InputError(f"{what} was not found", got=str(path), expected="a file")
    check_file(path, f"{what} {path}")
    return path


def kind_of(path: Path) -> str:
    """Kind of a weights file by its first bytes: "torch", "safetensors", "pickle" or "unknown"."""
    with path.open("rb") as file:
        head = file.read(64)
    if head[:4] == b"PK\x03\x04" or head[2:14] == _LEGACY_TORCH:
        return "torch"
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 100_000_000:
        return "safetensors"
    if head[:1] == b"\x80" and head[1:2] in b"\x02\x03\x04\x05":
        return "pickle"
    return "unknown"


@contextmanager
def quiet_about_protocols() -> Iterator[None]:
    """Keep back torch's notice of an unusual pickle protocol: reading it works or is refused."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Detected pickle protocol")
        yield


def _numbers() -> list[Any]:
    """Plain numbers of numpy, which a training checkpoint holds beside its tensors.

    Learning rates that a schedule computed with numpy are such, and every Lightning checkpoint
    keeps them. Old and new numpy have their maker under two names.
    """
    import numpy as np

    scalar = np.float64(0).__reduce__()[0]
    kinds = {type(np.dtype(name)) for name in ("f4", "f8", "i4", "i8", "?")}
    places = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")
    return [np.dtype, *kinds, *((scalar, place) for place in places)]


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """State dict of a safetensors file or of a torch checkpoint of plain tensors, on the CPU.

    A checkpoint that wraps its state dict (``state_dict``, ``model``, ...) is unwrapped. Nothing in
    the file is ever executed: torch checkpoints are read with ``weights_only``.

    Raises
    ------
    InputError
        Where the file is missing, damaged, a plain pickle, or holds more than tensors.
    """
    path = require_file(path, "The weights file")
    kind = kind_of(path)
    if kind == "safetensors":
        from safetensors.torch import load_file

        with reading(f"{path} is a damaged safetensors file"):
            return load_file(path)
    if kind == "pickle":
        raise InputError(
            f"{path} is a Python pickle, which could run anything when opened",
            expected="a safetensors file or a torch checkpoint of plain tensors",
            fix="If it is a published UMPIRE model, convert it with "
            "napari_umpire.models.published.import_published",
        )
    if kind == "unknown":
        raise InputError(f"{path} is not a weights file", expected="safetensors or torch")
    with path.open("rb") as file:
        return only_tensors(load_checkpoint(file, str(path)), path)


def load_checkpoint(file: IO[bytes], where: str) -> Any:
    """What is in a torch checkpoint of plain tensors, on the CPU; nothing in it is executed.

    Raises
    ------
    InputError
        Where it is damaged, unpacks to far more than it takes, or holds more than tensors.
    """
    problem = f"{where} is a damaged torch checkpoint"
    size = file.seek(0, 2)
    file.seek(0)
    packed = file.read(2) == b"PK"
    file.seek(0)
    with reading(problem, fix="Copy or download it again"):
        try:
            if packed:
                check_zip(file, where)
            with quiet_about_protocols(), torch.serialization.safe_globals(_numbers()):
                return torch.load(file, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            raise InputError(
                f"{where} holds Python objects besides tensors, which are not read",
                got=_reason(str(error)),
            ) from error
        except (OSError, EOFError, IndexError, zipfile.BadZipFile) as error:
            # torch seeks beyond the end, or takes a byte that is not there.
            raise _cut(problem, size) from error


def _cut(problem: str, size: int) -> InputError:
    return InputError(
        f"{problem}: it is cut short, or is none at all",
        got=f"a file of {size:,} bytes",
        fix="Copy or download it again",
    )


def _reason(said: str) -> str:
    """What torch refused, without its advice to load the file unguarded."""
    for line in said.splitlines():
        if "GLOBAL" in line:
            return line.strip()
    return said.rpartition("WeightsUnpickler error: ")[2].splitlines()[0][:200]


def only_tensors(data: Any, path: Path) -> dict[str, Tensor]:
    """The state dict in ``data``, unwrapped; InputError where it is none."""
    for key in _WRAPPERS:
        if isinstance(data, Mapping) and isinstance(data.get(key), Mapping):
            data = data[key]
            break
    if not isinstance(data, Mapping) or not data:
        raise InputError(f"{path} holds no weights", got=type(data).__name__)
    wrong = [k for k, v in data.items() if not (isinstance(k, str) and isinstance(v, Tensor))]
    if wrong:
        raise InputError(
            f"{path} does not hold a plain table of weights",
            got=f"{wrong[0]!r}: {type(data[wrong[0]]).__name__}",
            expected="names and tensors",
        )
    for name, tensor in data.items():
        dense = tensor.layout is torch.strided and not tensor.is_meta
        stored = tensor.untyped_storage().nbytes() if dense else 0
        if tensor.numel() * tensor.element_size() > stored:
            raise InputError(
                f"{path}: the tensor {name} is larger than what is stored of it",
                got=f"shape {tuple(tensor.shape)}, {stored:,} bytes",
                expected="dense tensors, each number stored",
                fix="Copy or download it again",
            )
    return {k: v.detach() for k, v in data.items()}


def check_tensor(name: str, tensor: Tensor, wanted: torch.dtype, where: object) -> Tensor:
    """``tensor`` in the type that a module wants, every number finite.

    Raises
    ------
    InputError
        Where the file has numbers of another kind (whole ones for weights are quantised, and mean
        something else), or a value that is not finite, or too large for the type.
    """
    kinds = (tensor.dtype.is_floating_point, tensor.dtype.is_complex)
    if kinds != (wanted.is_floating_point, wanted.is_complex):
        raise InputError(
            f"{where}: the tensor {name} holds numbers of another kind",
            got=str(tensor.dtype).removeprefix("torch."),
            expected=str(wanted).removeprefix("torch."),
            fix="Save the weights in that type, or a shorter one of its kind",
        )
    tensor = tensor.to(wanted)
    if wanted.is_floating_point and not bool(torch.isfinite(tensor).all()):
        raise InputError(f"{where}: the tensor {name} holds values that are not finite")
    return tensor


def write_tensors(path: Path, state: Mapping[str, Tensor]) -> None:
    """Write a state dict as safetensors.

    Raises
    ------
    OSError
        Where the disk refuses; safetensors has an error of its own for that.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    tensors = {k: v.detach().cpu().contiguous() for k, v in state.items()}
    try:
        save_file(tensors, path, metadata={"format": "pt"})
    except SafetensorError as error:
        raise OSError(f"{path} could not be written: {error}") from error
