"""Writing a reference database slide by slide, in bounded memory, whole or not at all."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_umpire import __version__
from napari_umpire.errors import InputError
from napari_umpire.files import make_folder, remove_leftovers, scratch_beside
from napari_umpire.genes.normalise import LARGEST, is_expression
from napari_umpire.inference.arrays import create_array, flush
from napari_umpire.inference.references.format import (
    ARRAYS,
    IMAGE_EMBEDDINGS,
    TABLES,
    PatchesInfo,
    ReferenceInfo,
    SlideInfo,
    file_digest,
)
from napari_umpire.inference.references.patches import PatchWriter

if TYPE_CHECKING:
    from types import TracebackType

    import scipy.sparse as sp

    from napari_umpire.inference.references.database import ReferenceDatabase

__all__ = ["ReferencePart", "ReferenceWriter"]

_ENTRIES = 4_000_000  # expression entries moved at once: about 100 MB of working memory


@dataclass(frozen=True, eq=False)
class ReferencePart:
    """One slide of a reference.

    Attributes
    ----------
    slide, digest
        The slide's name and digest.
    embeddings
        (n, dim) float32, rows of length 1.
    expression
        (n, n_genes) CSR float32, log1p CP10k, no negative value.
    genes
        Index = unique gene key, columns ``id`` and ``symbol``; the columns of ``expression``.
    spots
        Index = spot id, columns y, x (full-resolution px), y_um, x_um.
    image_embeddings
        (n, dim) float32, rows of length 1, of the spots' own images; None where there are none.
    """

    slide: str
    digest: str
    embeddings: np.ndarray
    expression: sp.csr_matrix
    genes: pd.DataFrame
    spots: pd.DataFrame
    image_embeddings: np.ndarray | None = None


class ReferenceWriter:
    """Write a reference folder: `add` each slide, then `finish`; a context manager.

    With ``patches``, the pictures of a slide's spots follow it by `add_patches`.

    All is written to a hidden folder beside ``folder`` and renamed at the end, so that a killed or
    cancelled run leaves no half reference. The genes are the union over the slides.

    Parameters
    ----------
    folder
        Must not exist yet.
    model_digest
        Digest of the model whose gene encoder made the embeddings.
    patches
        Edge of the pictures' field, um, and of a picture, px; None: no pictures.

    Raises
    ------
    InputError
        For an existing folder, and for each problem of a part.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        model_digest: str,
        patches: tuple[float, int] | None = None,
    ) -> None:
        self.folder = Path(folder)
        self._model_digest = model_digest
        remove_leftovers(self.folder)
        if self.folder.exists():
            raise InputError(
                f"{self.folder} already exists", fix="Choose a new folder, or remove this one"
            )
        make_folder(self.folder.parent)
        self._scratch = ExitStack()
        try:
            scratch = self._scratch.enter_context(scratch_beside(self.folder))
        except OSError as error:
            raise InputError(f"{self.folder} cannot be written", got=error) from error
        self._tmp, self._parts = scratch / "new", scratch / "parts"
        self._tmp.mkdir()
        self._parts.mkdir()
        self._slides: list[SlideInfo] = []
        self._genes: dict[str, tuple[str, str]] = {}
        self._columns: list[np.ndarray] = []
        self._imaged: list[bool] = []
        self._dim: int | None = None
        self._patches: PatchWriter | None = None
        if patches is not None:
            field_um, size_px = patches
            writer = PatchWriter(self._tmp, field_um=field_um, size_px=size_px)
            self._patches = self._scratch.enter_context(writer)

    def __enter__(self) -> ReferenceWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._scratch.close()

    def add(self, part: ReferencePart) -> None:
        """Check one slide and write it down."""
        self._check(part)
        number = len(self._slides)
        for key, gene_id, symbol in zip(
            part.genes.index, part.genes["id"], part.genes["symbol"], strict=True
        ):
            known = self._genes.get(key, ("", ""))
            self._genes[key] = (known[0] or gene_id, known[1] or symbol)
        order = {key: i for i, key in enumerate(self._genes)}
        self._columns.append(np.array([order[key] for key in part.genes.index], np.int64))
        csc = part.expression.tocsc()
        csc.eliminate_zeros()
        csc.sort_indices()
        self._save(number, "embeddings", part.embeddings.astype(np.float32))
        self._save(number, "data", csc.data.astype(np.float32))
        self._save(number, "indices", csc.indices.astype(np.int32))
        self._save(number, "indptr", csc.indptr.astype(np.int64))
        table = part.spots[["y", "x", "y_um", "x_um"]].copy()
        table.insert(0, "slide", part.slide)
        table.insert(1, "spot", part.spots.index.astype(str))
        with (self._tmp / "spots.csv").open("a", encoding="utf-8", newline="") as file:
            table.to_csv(file, index=False, header=number == 0)
        if part.image_embeddings is not None:
            self._save(number, "image_embeddings", part.image_embeddings.astype(np.float32))
        self._imaged.append(part.image_embeddings is not None)
        first = sum(s.n_spots for s in self._slides)
        n, g = part.expression.shape
        self._slides.append(SlideInfo(part.slide, part.digest, first, n, g))
        if self._patches is not None:
            self._patches.begin_slide(n)

    def add_patches(self, rows: np.ndarray, pixels: np.ndarray) -> None:
        """Pictures of some spots of the slide added last: see `PatchWriter.add`."""
        if self._patches is None:
            raise ValueError("this reference is written without pictures")
        self._patches.add(rows, pixels)

    def finish(self) -> ReferenceDatabase:
        """Join the slides, move the folder to its name, open and check it."""
        from napari_umpire.inference.references.database import ReferenceDatabase

        if not self._slides or self._dim is None:
            raise InputError("A reference needs at least one slide", got="none")
        n, g = sum(s.n_spots for s in self._slides), len(self._genes)
        self._join_embeddings("embeddings", n)
        nnz = self._join_expression(g)
        measured = np.zeros((len(self._slides), g), np.bool_)
        for row, columns in zip(measured, self._columns, strict=True):
            row[columns] = True
        np.save(self._tmp / "measured.npy", measured, allow_pickle=False)
        frame = pd.DataFrame.from_dict(self._genes, orient="index", columns=["id", "symbol"])
        frame.to_csv(self._tmp / "genes.csv", index_label="key")
        parts, pictures = self._finish_parts(n)
        info = ReferenceInfo(
            n=n,
            dim=self._dim,
            n_genes=g,
            nnz=nnz,
            model_digest=self._model_digest,
            slides=tuple(self._slides),
            files={name: file_digest(self._tmp / name) for name in (*ARRAYS, *TABLES)},
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            made_by=f"napari-umpire {__version__}",
            parts=parts,
            patches=pictures,
        )
        info.write(self._tmp / "reference.json")
        try:
            os.rename(self._tmp, self.folder)
        except OSError as error:
            if self.folder.exists():
                raise InputError(
                    f"{self.folder} already exists: another run has made it in the meantime",
                    fix="Use that one, or choose a new folder",
                ) from error
            raise InputError(f"{self.folder} could not be written", got=error) from error
        return ReferenceDatabase.open(self.folder)

    def _finish_parts(self, n: int) -> tuple[dict[str, str], PatchesInfo | None]:
        """Write the optional parts; their digests, and what is to be known of the pictures."""
        parts: dict[str, str] = {}
        pictures = None
        if any(self._imaged):
            self._join_embeddings("image_embeddings", n)
            parts[IMAGE_EMBEDDINGS] = file_digest(self._tmp / IMAGE_EMBEDDINGS)
        if self._patches is not None:
            pictures, digests = self._patches.finish()
            parts |= digests
        return parts, pictures

    def _check(self, part: ReferencePart) -> None:
        n, g = part.expression.shape
        problems = []
        if any(s.name == part.slide for s in self._slides):
            problems.append("another reference slide has the same name")
        if part.embeddings.ndim != 2 or len(part.embeddings) != n or len(part.spots) != n:
            sizes = f"{len(part.embeddings)} embeddings, {n} rows of expression"
            problems.append(f"{sizes}, {len(part.spots)} spots")
        elif self._dim not in (None, part.embeddings.shape[1]):
            problems.append(f"embeddings of length {part.embeddings.shape[1]}, not {self._dim}")
        else:
            problems += _not_unit("embeddings", part.embeddings, part.spots)
            images = part.image_embeddings
            if images is not None and images.shape != part.embeddings.shape:
                problems.append(f"image embeddings of shape {images.shape}")
            elif images is not None:
                problems += _not_unit("image embeddings", images, part.spots)
        if n == 0:
            problems.append("no spots")
        if len(part.genes) != g:
            problems.append(f"{g} columns of expression, {len(part.genes)} genes")
        if not part.genes.index.is_unique:
            twice = part.genes.index[part.genes.index.duplicated()]
            problems.append(f"gene {twice[0]} is there more than once")
        data = part.expression.data
        if not is_expression(data):
            problems.append(f"expression is negative, not finite or above {LARGEST:.2f}")
        if problems:
            raise InputError(
                f"Slide {part.slide} cannot become a reference", got="; ".join(problems)
            )
        self._dim = part.embeddings.shape[1]

    def _save(self, number: int, name: str, array: np.ndarray) -> None:
        np.save(self._parts / f"{number}_{name}.npy", array, allow_pickle=False)

    def _load(self, number: int, name: str) -> np.ndarray:
        return np.load(self._parts / f"{number}_{name}.npy", mmap_mode="r", allow_pickle=False)

    def _create(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        return create_array(self._tmp / name, shape, ARRAYS.get(name, np.float32))

    def _join_embeddings(self, name: str, n: int) -> None:
        assert self._dim is not None  # set by the first part
        out = self._create(f"{name}.npy", (n, self._dim))
        for number, slide in enumerate(self._slides):
            there = (self._parts / f"{number}_{name}.npy").is_file()
            rows = self._load(number, name) if there else np.nan
            out[slide.first : slide.first + slide.n_spots] = rows
        flush(out)

    def _join_expression(self, n_genes: int) -> int:
        sizes = np.zeros(n_genes, np.int64)
        for number, columns in enumerate(self._columns):
            sizes[columns] += np.diff(self._load(number, "indptr"))
        indptr = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        np.save(self._tmp / "expression_indptr.npy", indptr, allow_pickle=False)
        nnz = int(indptr[-1])
        data = self._create("expression_data.npy", (nnz,))
        rows = self._create("expression_indices.npy", (nnz,))
        free = indptr[:-1].copy()  # where the next entry of each gene goes
        for number, columns in enumerate(self._columns):
            first = self._slides[number].first
            ends = np.asarray(self._load(number, "indptr"))
            values, spots = self._load(number, "data"), self._load(number, "indices")
            a = 0
            while a < len(columns):
                # As many genes as fit the working memory, one at least.
                b = max(a + 1, int(np.searchsorted(ends, ends[a] + _ENTRIES, side="right")) - 1)
                counts = np.diff(ends[a : b + 1])
                starts = np.repeat(free[columns[a:b]] - (ends[a:b] - ends[a]), counts)
                target = starts + np.arange(ends[b] - ends[a])
                data[target] = values[ends[a] : ends[b]]
                rows[target] = spots[ends[a] : ends[b]] + first
                free[columns[a:b]] += counts
                a = b
        flush(data)
        flush(rows)
        return nnz


def _not_unit(what: str, rows: np.ndarray, spots: pd.DataFrame) -> list[str]:
    bad = np.flatnonzero(~(np.abs(np.linalg.norm(rows, axis=1) - 1.0) < 1e-3))
    if not len(bad):
        return []
    return [f"{len(bad)} {what} are not of length 1, first spot {spots.index[bad[0]]}"]
