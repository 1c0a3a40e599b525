"""The references that slides are compared with: embeddings and expression, on disk."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_umpire.errors import InputError
from napari_umpire.faults import within_memory
from napari_umpire.inference.genes.search import GeneIndex
from napari_umpire.inference.references.expression import ExpressionColumns
from napari_umpire.inference.references.format import (
    IMAGE_EMBEDDINGS,
    LARGE,
    REBUILD,
    ReferenceInfo,
    file_digest,
    load_array,
    read_info,
)
from napari_umpire.inference.references.nearest import top_k
from napari_umpire.inference.references.patches import ReferencePatches
from napari_umpire.inference.references.tables import read_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pandas as pd
    import torch

    from napari_umpire.inference.references.build import ReferencePart

__all__ = ["ReferenceDatabase"]

_ROWS = 65_536


class ReferenceDatabase:
    """An opened reference folder (layout in `references.format`); nothing in it is ever changed.

    Attributes
    ----------
    path
        The folder.
    info
        What ``reference.json`` says: sizes, slides, digests.
    embeddings
        (R, dim) float32, memory-mapped, rows of length 1.
    genes
        Index = gene key (Ensembl id where known, else symbol), columns ``id``, ``symbol``.
    measured
        (n_slides, n_genes) bool.
    slide_of
        (R,) int64, place of each reference's slide in ``info.slides``.
    image_embeddings
        (R, dim) float32, memory-mapped: embeddings of the references' own images, rows of length
        1, NaN on slides whose image is too coarse; None where the reference was built without.
    patches
        Pictures of the reference spots; None where the reference was built without.
    """

    def __init__(self, path: Path, info: ReferenceInfo) -> None:
        self.path, self.info = path, info
        arrays = {name: load_array(path, name, shape) for name, shape in info.shapes().items()}
        self.embeddings = arrays["embeddings.npy"]
        self.measured = np.asarray(arrays["measured.npy"]).view(np.uint8) == 1
        genes = read_table(path / "genes.csv", info.n_genes, ["id", "symbol"])
        self.genes = genes.set_index("key")
        self.image_embeddings: np.ndarray | None = None
        if IMAGE_EMBEDDINGS in info.parts:
            self.image_embeddings = load_array(path, IMAGE_EMBEDDINGS, (info.n, info.dim))
        self.patches: ReferencePatches | None = None
        if info.patches is not None:
            self.patches = ReferencePatches(path, info.n, info.patches)
        self._column = {key: i for i, key in enumerate(self.genes.index)}
        # Plain views: slicing a memmap costs more than looking a spot up.
        data, rows, ends = (
            np.asarray(arrays[f"expression_{name}.npy"]) for name in ("data", "indices", "indptr")
        )
        self._expression = ExpressionColumns(path, info.n, tuple(genes["key"]), data, rows, ends)
        self.slide_of = np.repeat(np.arange(len(info.slides)), [s.n_spots for s in info.slides])

    @classmethod
    def build(
        cls, folder: str | Path, parts: Iterable[ReferencePart], *, model_digest: str
    ) -> ReferenceDatabase:
        """Write a new reference, slide by slide, and open it; see `ReferenceWriter`."""
        from napari_umpire.inference.references.build import ReferenceWriter

        with ReferenceWriter(folder, model_digest=model_digest) as writer:
            for part in parts:
                writer.add(part)
            return writer.finish()

    @classmethod
    def open(cls, folder: str | Path) -> ReferenceDatabase:
        """Open a reference and check it: sizes, digests of the small files, embeddings.

        Raises
        ------
        InputError
            Naming the file and what is wrong with it.
        """
        path = Path(folder)
        reference = cls(path, read_info(path))
        reference._check_small()
        reference._check_embeddings()
        return reference

    @property
    def digest(self) -> str:
        """Digest of the content, the same wherever the folder lies."""
        return self.info.digest

    @property
    def n(self) -> int:
        """Number of references, R."""
        return self.info.n

    @property
    def dim(self) -> int:
        """Length of an embedding."""
        return self.info.dim

    @cached_property
    def spots(self) -> pd.DataFrame:
        """(R rows) columns slide, spot, y, x (full-resolution px of their slide), y_um, x_um."""
        spots = read_table(self.path / "spots.csv", self.n, ["y", "x", "y_um", "x_um"], text=2)
        return spots.astype({"slide": "category"})

    @property
    def has_read_spots(self) -> bool:
        """Whether `spots` is there at once; a million of them take seconds to read."""
        return "spots" in self.__dict__

    @cached_property
    def index(self) -> GeneIndex:
        """Search over the genes."""
        return GeneIndex(self.genes)

    def top_k(
        self, queries: np.ndarray, k: int, *, device: str | torch.device = "cpu"
    ) -> tuple[np.ndarray, np.ndarray]:
        """The ``k`` most similar references of each query, exact, ties by row.

        Parameters
        ----------
        queries
            (n, dim) float32, rows of length 1.

        Returns
        -------
        Rows (n, min(k, R)) int64 and similarities float32, most similar first.
        """
        if queries.ndim != 2 or queries.shape[1] != self.dim:
            raise InputError(
                f"The embeddings do not fit the reference {self.path}",
                got=f"shape {queries.shape}",
                expected=f"(n, {self.dim})",
                fix="Use the reference that was built with this model",
            )
        if k < 1:
            raise InputError("K must be at least 1", got=k)
        with within_memory(
            f"{len(queries):,} spots cannot be compared with {self.path}",
            fix="Choose a smaller K, or a computer with more memory",
        ):
            return top_k(self.embeddings, queries, k, device=device)

    def column(self, gene: str) -> np.ndarray:
        """One gene of all references, (R,) float32 log1p CP10k; 0 also where not measured.

        Raises
        ------
        KeyError
            For a name that is not a key of `genes`; `GeneIndex.find` makes keys of names.
        InputError
            Where the file is damaged.
        """
        return self._expression.column(self._column[gene])

    def columns(self, genes: Sequence[str], spots: np.ndarray) -> np.ndarray:
        """Some genes of some references, (n_genes, n_spots) float32; as `column` gives them.

        Parameters
        ----------
        spots
            Rows, (n_spots,) int64, ascending, each once.
        """
        return self._expression.of_spots([self._column[gene] for gene in genes], spots)

    def crop(self, row: int) -> np.ndarray | None:
        """Picture of a reference spot, (h, w, 3) uint8; None where it was built without."""
        return None if self.patches is None else self.patches.crop(row)

    def measured_by(self, gene: str) -> np.ndarray | None:
        """(R,) bool, whether each reference's slide measured the gene; None where all did."""
        slides = self.measured[:, self._column[gene]]
        return None if slides.all() else slides[self.slide_of]

    def verify(self) -> None:
        """Digest every file and check every value; reads the whole database."""
        self._check_small()
        for name in LARGE:
            if name in self._digests:
                self._check_digest(name)
        self._check_embeddings()
        self._check_image_embeddings()
        if self.patches is not None:
            for row in range(self.n):
                self.patches.crop(row)
        self._expression.check()

    @property
    def _digests(self) -> dict[str, str]:
        return {**self.info.files, **self.info.parts}

    def _check_digest(self, name: str) -> None:
        if file_digest(self.path / name) != self._digests[name]:
            raise InputError(f"{self.path / name} has changed since it was written", fix=REBUILD)

    def _check_small(self) -> None:
        for name in self.info.files:
            if name not in LARGE:
                self._check_digest(name)
        ends = self._expression.ends
        if ends[0] != 0 or ends[-1] != self.info.nnz or np.any(np.diff(ends) < 0):
            raise InputError(f"The gene columns of {self.path} are damaged", fix=REBUILD)
        if not self.genes.index.is_unique:
            raise InputError(f"{self.path} names a gene twice", fix=REBUILD)
        counted = self.measured.sum(axis=1).tolist()
        said = [slide.n_genes for slide in self.info.slides]
        if counted != said or not self.measured.any(axis=0).all():
            raise InputError(
                f"{self.path} does not say which slide measured which genes",
                got=f"{counted} genes by slide, {int(self.measured.any(axis=0).sum())} by any",
                expected=f"{said} genes by slide, each of {self.info.n_genes} by one at least",
                fix=REBUILD,
            )

    def _check_embeddings(self) -> None:
        self._check_lengths("embeddings.npy", self.embeddings, 0, self.n)

    def _check_image_embeddings(self) -> None:
        if self.image_embeddings is None:
            return
        for slide in self.info.slides:
            a, b = slide.first, slide.first + slide.n_spots
            if not np.isnan(self.image_embeddings[a:b]).all():
                self._check_lengths(IMAGE_EMBEDDINGS, self.image_embeddings, a, b)

    def _check_lengths(self, name: str, rows: np.ndarray, first: int, end: int) -> None:
        for a in range(first, end, _ROWS):
            block = rows[a : min(end, a + _ROWS)]
            length = np.sqrt(np.einsum("nd,nd->n", block, block))
            bad = np.flatnonzero(~(np.abs(length - 1.0) < 1e-3))
            if len(bad):
                raise InputError(
                    f"Row {a + bad[0]} of {self.path / name} is damaged",
                    got=f"length {length[bad[0]]:g}",
                    expected="finite, length 1",
                    fix=REBUILD,
                )
