"""The folder of a reference database: its files, their shapes, and what is checked.

``reference.json``
    what the rest is, which model made it, and a digest of every file.
``embeddings.npy``
    (R, dim) float32, rows of length 1.
``expression_data.npy``, ``expression_indices.npy``, ``expression_indptr.npy``
    log1p CP10k by gene column (CSC): float32, int32 rows in rising order, int64. So one gene of
    all references is one contiguous read.
``measured.npy``
    (n_slides, n_genes) bool: a gene that a slide did not measure is not a zero.
``genes.csv``, ``spots.csv``
    key, id, symbol of each gene; slide, spot, y, x (full-resolution px), y_um, x_um of each row.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_umpire.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "ARRAYS",
    "LARGE",
    "NORMALISATION",
    "REBUILD",
    "TABLES",
    "ReferenceInfo",
    "SlideInfo",
    "file_digest",
    "load_array",
    "read_info",
]

FORMAT, VERSION = "napari-umpire reference", 1
NORMALISATION = "log1p of counts scaled to 10,000 per spot over all genes of the slide"

ARRAYS = {
    "embeddings.npy": np.float32,
    "expression_data.npy": np.float32,
    "expression_indices.npy": np.int32,
    "expression_indptr.npy": np.int64,
    "measured.npy": np.bool_,
}
TABLES = ("genes.csv", "spots.csv")
REBUILD = "Build the reference again"
"""What to do about a damaged reference."""

# Too large to digest each time a reference is opened; `ReferenceDatabase.verify` does it.
LARGE = ("embeddings.npy", "expression_data.npy", "expression_indices.npy")


@dataclass(frozen=True)
class SlideInfo:
    """One slide of a reference: its rows are ``first`` to ``first + n_spots``."""

    name: str
    digest: str
    first: int
    n_spots: int
    n_genes: int


@dataclass(frozen=True)
class ReferenceInfo:
    """What ``reference.json`` says."""

    n: int
    dim: int
    n_genes: int
    nnz: int
    model_digest: str
    slides: tuple[SlideInfo, ...]
    files: dict[str, str]
    normalisation: str = NORMALISATION
    created: str = ""
    made_by: str = ""

    @property
    def digest(self) -> str:
        """Digest of the content; when and by which version it was made do not count."""
        content = [self.normalisation, self.model_digest, *map(repr, self.slides)]
        content += [f"{name} {self.files[name]}" for name in sorted(self.files)]
        return hashlib.sha256("\n".join(content).encode()).hexdigest()[:16]

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape that each array file must have."""
        return {
            "embeddings.npy": (self.n, self.dim),
            "expression_data.npy": (self.nnz,),
            "expression_indices.npy": (self.nnz,),
            "expression_indptr.npy": (self.n_genes + 1,),
            "measured.npy": (len(self.slides), self.n_genes),
        }

    def write(self, path: Path) -> None:
        """Write ``reference.json``."""
        text = {"format": FORMAT, "version": VERSION, "digest": self.digest, **asdict(self)}
        path.write_text(json.dumps(text, indent=1), encoding="utf-8")


def read_info(folder: Path) -> ReferenceInfo:
    """Read ``reference.json``.

    Raises
    ------
    InputError
        Where it is absent, not ours, of a newer version, changed by hand, or of another
        normalisation: averaging values of another kind is the silent failure of such methods.
    """
    path = folder / "reference.json"
    if not path.is_file():
        raise InputError(
            f"{folder} is not a reference database",
            got="no reference.json" if folder.is_dir() else "no such folder",
            fix="Choose a folder that 'umpire-train reference' made",
        )
    try:
        said: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if said.pop("format") != FORMAT:
            raise ValueError("another format")
        version = said.pop("version")
        if version != VERSION:
            raise InputError(
                f"{path} has another version of the format",
                got=version,
                expected=VERSION,
                fix="Update napari-umpire, or build the reference again",
            )
        digest = said.pop("digest")
        said["slides"] = tuple(SlideInfo(**slide) for slide in said["slides"])
        info = ReferenceInfo(**said)
        intact = info.digest == digest and set(info.files) == {*ARRAYS, *TABLES}
    except InputError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is damaged", got=error, fix=REBUILD) from error
    if not intact:
        raise InputError(f"{path} does not fit its own digest", fix=REBUILD)
    if info.normalisation != NORMALISATION:
        raise InputError(
            f"The expression of {folder} is of another kind",
            got=info.normalisation,
            expected=NORMALISATION,
            fix=REBUILD,
        )
    return info


def load_array(folder: Path, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Memory-map one array, its type and shape checked; problems are an `InputError`."""
    try:
        array = np.load(folder / name, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(
            f"{folder / name} is missing or damaged", got=error, fix=REBUILD
        ) from error
    if array.dtype != ARRAYS[name] or array.shape != shape:
        raise InputError(
            f"{folder / name} has the wrong type or shape",
            got=f"{array.dtype} {array.shape}",
            expected=f"{np.dtype(ARRAYS[name])} {shape}",
            fix=REBUILD,
        )
    return array


def file_digest(path: Path) -> str:
    """sha256 of a file, read in pieces; one that cannot be read is an `InputError`."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path} is missing or damaged", got=error, fix=REBUILD) from error
