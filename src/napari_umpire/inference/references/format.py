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

Two parts are there or not; predictions do not rest on them, so they do not count in the
reference's digest, and have digests of their own:

``image_embeddings.npy``
    (R, dim) float32: the embedding of each spot's own image, rows of length 1; NaN throughout the
    rows of a slide whose image is too coarse for the model.
``patches.bin``, ``patches.npy``
    a JPEG of each spot, one after the other, and (R, 2) int64 first byte and number of bytes of
    each. Tissue of the reference's patients: only where whoever built it asked for it.

Without either part the version is 1, with one it is 2.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from napari_umpire.bounded import check_file, load_npy, read_json
from napari_umpire.errors import InputError
from napari_umpire.faults import reading
from napari_umpire.models.config_json import from_data

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "ARRAYS",
    "BLOB",
    "IMAGE_EMBEDDINGS",
    "LARGE",
    "NORMALISATION",
    "PLACES",
    "REBUILD",
    "TABLES",
    "PatchesInfo",
    "ReferenceInfo",
    "SlideInfo",
    "file_digest",
    "load_array",
    "read_info",
]

FORMAT = "napari-umpire reference"
PLAIN, WITH_PARTS = 1, 2  # versions; a program that knows no parts must not think it has all
NORMALISATION = "log1p of counts scaled to 10,000 per spot over all genes of the slide"

ARRAYS = {
    "embeddings.npy": np.float32,
    "expression_data.npy": np.float32,
    "expression_indices.npy": np.int32,
    "expression_indptr.npy": np.int64,
    "measured.npy": np.bool_,
}
TABLES = ("genes.csv", "spots.csv")
IMAGE_EMBEDDINGS = "image_embeddings.npy"
BLOB, PLACES = "patches.bin", "patches.npy"
_PART_ARRAYS = {IMAGE_EMBEDDINGS: np.float32, PLACES: np.int64}
REBUILD = "Build the reference again"
"""What to do about a damaged reference."""

# Too large to digest each time a reference is opened; `ReferenceDatabase.verify` does it.
LARGE = (
    "embeddings.npy",
    "expression_data.npy",
    "expression_indices.npy",
    IMAGE_EMBEDDINGS,
    BLOB,
    PLACES,
)


@dataclass(frozen=True)
class SlideInfo:
    """One slide of a reference: its rows are ``first`` to ``first + n_spots``."""

    name: str
    digest: str
    first: int
    n_spots: int
    n_genes: int


@dataclass(frozen=True)
class PatchesInfo:
    """The pictures of a reference: edge of their field, um; their edge, px; bytes of them all."""

    field_um: float
    size_px: int
    n_bytes: int


@dataclass(frozen=True)
class ReferenceInfo:
    """What ``reference.json`` says; ``parts`` are the optional files and their digests."""

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
    parts: dict[str, str] = field(default_factory=dict)
    patches: PatchesInfo | None = None

    @property
    def digest(self) -> str:
        """Digest of what predictions rest on; neither when, by whom, nor the optional parts."""
        content = [self.normalisation, self.model_digest, *map(repr, self.slides)]
        return _digest([*content, *_listed(self.files)])

    @property
    def parts_digest(self) -> str:
        """Digest of the optional parts."""
        return _digest([repr(self.patches), *_listed(self.parts)])

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
        version = WITH_PARTS if self.parts else PLAIN
        text = {"format": FORMAT, "version": version, "digest": self.digest, **asdict(self)}
        if self.parts:
            text["parts_digest"] = self.parts_digest
        else:
            del text["parts"], text["patches"]
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
    said = read_json(path, what=str(path))
    try:
        if said.pop("format") != FORMAT:
            raise ValueError("another format")
        version = said.pop("version")
        if version not in (PLAIN, WITH_PARTS):
            raise InputError(
                f"{path} has another version of the format",
                got=version,
                expected=f"{PLAIN} or {WITH_PARTS}",
                fix="Update napari-umpire, or build the reference again",
            )
        digest = said.pop("digest")
        parts_digest = said.pop("parts_digest") if version == WITH_PARTS else None
        info = from_data(ReferenceInfo, said, str(path))
        intact = (
            info.digest == digest
            and set(info.files) == {*ARRAYS, *TABLES}
            and parts_digest == (info.parts_digest if version == WITH_PARTS else None)
            and _whole(info)
        )
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
    _check_slides(info, path)
    return info


def _check_slides(info: ReferenceInfo, path: Path) -> None:
    """The slides share out all rows among them, in order."""
    first = 0
    for slide in info.slides:
        if slide.first != first or slide.n_spots < 1 or not 1 <= slide.n_genes <= info.n_genes:
            raise InputError(
                f"{path} does not say which rows are of the slide {slide.name}",
                got=f"{slide.n_spots} rows from {slide.first}, {slide.n_genes} genes",
                expected=f"rows from {first} on, 1 to {info.n_genes} genes",
                fix=REBUILD,
            )
        first += slide.n_spots
    if first != info.n or not first:
        raise InputError(
            f"{path} does not say of which slide each row is",
            got=f"{len(info.slides)} slides of {first} rows",
            expected=f"{info.n} rows",
            fix=REBUILD,
        )


def _whole(info: ReferenceInfo) -> bool:
    """Whether the optional parts are known ones, each with all its files."""
    patches = {BLOB, PLACES} & set(info.parts)
    known = set(info.parts) <= {IMAGE_EMBEDDINGS, BLOB, PLACES}
    return known and patches == ({BLOB, PLACES} if info.patches is not None else set())


def _listed(files: dict[str, str]) -> list[str]:
    return [f"{name} {files[name]}" for name in sorted(files)]


def _digest(lines: list[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def load_array(folder: Path, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Memory-map one array, its type and shape checked; problems are an `InputError`."""
    dtype = np.dtype({**ARRAYS, **_PART_ARRAYS}[name])
    array = load_npy(folder / name, str(folder / name), mmap=True)
    if array.dtype != dtype or array.shape != shape:
        raise InputError(
            f"{folder / name} has the wrong type or shape",
            got=f"{array.dtype} {array.shape}",
            expected=f"{dtype} {shape}",
            fix=REBUILD,
        )
    return array


def file_digest(path: Path) -> str:
    """sha256 of a file, read in pieces; one that cannot be read is an `InputError`."""
    check_file(path, str(path))
    with reading(f"{path} cannot be read", fix=REBUILD), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
