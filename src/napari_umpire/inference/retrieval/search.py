"""What lies close in the aligned space: to a gene, to a list of genes, to a spot.

A gene has no embedding of its own. Its query is the direction along which the reference spots'
gene embeddings e_i change with it: with z_i its expression, standardised over the references that
measured it (mean 0, standard deviation 1; 0 for the others),

    q = sum_i z_i e_i = sum_i z_i (e_i - mean e),    made length 1.

Of a list z_i is the mean of its genes' standardised expression. A spot's query is its own
embedding: of its measured genes, or of its image. Closeness is the cosine with the embeddings of
images. Images and genes do not fill the same part of the space, so the cosines of two kinds of
query cannot be compared; those of one query can, spot with spot.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_umpire.errors import InputError
from napari_umpire.progress import Progress
from napari_umpire.words import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_umpire.inference.model import Model
    from napari_umpire.inference.references.database import ReferenceDatabase
    from napari_umpire.progress import Steps
    from napari_umpire.slides.slide import Slide

__all__ = [
    "Query",
    "Retrieved",
    "gene_query_steps",
    "image_query",
    "measured_query_steps",
    "retrieve_steps",
]

_ROWS = 65_536
_SAID = 4
# Relative to float32, in which expression is kept.
_CONSTANT = 1e-6


@dataclass(frozen=True, eq=False)
class Query:
    """What is searched for.

    Attributes
    ----------
    title
        What it is called, such as "ERBB2".
    vector
        (dim,) float32, length 1.
    words
        How it was made, and what was left out.
    own_row
        The spot of this slide that it was made of, None for genes.
    genes
        Keys of the reference's genes that it was made of.
    of_image
        Whether it is the embedding of an image: then its own spot is trivially the closest.
    """

    title: str
    vector: np.ndarray
    words: str
    own_row: int | None = None
    genes: tuple[str, ...] = ()
    of_image: bool = False


@dataclass(frozen=True, eq=False)
class Retrieved:
    """What lies closest to a query.

    Attributes
    ----------
    similarity
        (n_spots,) float32, cosine of the query with each spot's image on this slide.
    rows
        The closest spots of this slide, closest first; without the query's own spot.
    reference_rows, reference_similarity
        The closest reference spots, and their cosines.
    by_images
        Whether those are of the reference spots' images; else of their genes.
    n_reference
        How many reference spots could be compared.
    """

    query: Query
    similarity: np.ndarray
    rows: np.ndarray
    reference_rows: np.ndarray
    reference_similarity: np.ndarray
    by_images: bool
    n_reference: int

    @property
    def own_rank(self) -> int | None:
        """How many spots lie at least as close to a spot's measured genes as its own image does.

        1: its own image is the closest; None where the question has no meaning.
        """
        if self.query.own_row is None or self.query.of_image:
            return None
        return int((self.similarity >= self.similarity[self.query.own_row]).sum())

    def describe(self) -> str:
        """The query, the range of closeness, what the reference was compared by."""
        lines = [self.query.words]
        low, high = float(self.similarity.min()), float(self.similarity.max())
        lines.append(
            f"Cosine with the images of {len(self.similarity):,} spots: {low:.2f} to {high:.2f}."
        )
        if self.own_rank is not None:
            lines.append(
                f"The spot's own image is number {self.own_rank:,} of {len(self.similarity):,} "
                "(half way, if it were by chance)."
            )
        by = "images" if self.by_images else "measured genes, because it has no image embeddings"
        lines.append(f"Reference: {self.n_reference:,} spots, compared by their {by}.")
        return "\n".join(lines)


def gene_query_steps(
    reference: ReferenceDatabase, genes: Sequence[str], *, title: str = ""
) -> Steps[Query]:
    """The direction of a gene, or of a list, as the module's docstring has it.

    Parameters
    ----------
    genes
        Keys of the reference's genes, each once.

    Raises
    ------
    InputError
        For no gene, and where none varies over the reference.
    """
    if not genes:
        raise InputError(
            "There is no gene to search for", expected="genes that the reference measured"
        )
    labels = _labels(reference, genes)
    z, used = np.zeros(reference.n), []
    for number, key in enumerate(genes):
        yield Progress("Reading the genes", number, len(genes), "genes")
        one = _standardised(reference, key)
        if one is not None:
            z += one
            used.append(key)
    constant = [labels[key] for key in genes if key not in set(used)]
    if not used:
        raise InputError(
            f"{_some(constant)} does not vary over the {reference.n:,} reference spots"
            if len(genes) == 1
            else f"None of {_some(constant)} varies over the {reference.n:,} reference spots",
            expected="a gene that some reference spots have more of than others",
            fix="Choose another gene",
        )
    z /= len(used)
    total = np.zeros(reference.dim)
    for a in range(0, reference.n, _ROWS):
        yield Progress("Finding the direction", a, reference.n)
        total += z[a : a + _ROWS] @ reference.embeddings[a : a + _ROWS].astype(np.float64)
    length = float(np.linalg.norm(total))
    if not length > 1e-9 * reference.n:
        which = _some([labels[key] for key in used])
        raise InputError(
            f"The embeddings of the reference do not change with {which}",
            fix="Choose another gene",
        )
    said = labels[used[0]] if len(used) == 1 else f"the mean of {len(used):,} genes"
    words = (
        f"Query: the direction along which the embeddings of {reference.n:,} reference spots "
        f"change with {said} (expression standardised over them)."
    )
    if constant:
        words += f" Left out, because they do not vary: {_some(constant)}."
    title = title or (labels[used[0]] if len(used) == 1 else counted(len(used), "gene"))
    return Query(title, (total / length).astype(np.float32), words, genes=tuple(used))


def measured_query_steps(model: Model, slide: Slide, row: int) -> Steps[Query]:
    """The embedding of what was measured in a spot.

    Raises
    ------
    InputError
        Where the slide has no counts of genes of the model, or nothing was detected there.
    """
    from napari_umpire.inference.embed_slide import gene_embeddings
    from napari_umpire.inference.genes.input import MeasuredGenes
    from napari_umpire.inference.scores.agreement import MIN_GENES

    spot = slide.spots.index[row]
    yield Progress("Reading the counts", 0, slide.n_spots)
    measured = MeasuredGenes.of(slide, model.vocabulary)
    detected = int(measured.n_detected[row])
    if detected == 0:
        raise InputError(f"Nothing was measured in spot {spot}", fix="Choose another spot")
    vector = (yield from gene_embeddings(model, slide, measured, 1, None, np.array([row])))[0]
    words = f"Query: the embedding of the {counted(detected, 'gene')} detected in spot {spot}."
    if detected < MIN_GENES:
        words += f" Fewer than {MIN_GENES}: it says little."
    return Query(f"genes of spot {spot}", _unit(vector), words, own_row=row)


def image_query(slide: Slide, row: int, images: np.ndarray) -> Query:
    """The embedding of a spot's own image; ``images`` are all of the slide, (n_spots, dim)."""
    spot = slide.spots.index[row]
    words = f"Query: the embedding of the image of spot {spot}."
    return Query(f"image of spot {spot}", _unit(images[row]), words, own_row=row, of_image=True)


def retrieve_steps(
    query: Query, images: np.ndarray, reference: ReferenceDatabase, *, n_top: int = 24
) -> Steps[Retrieved]:
    """Compare a query with the images of a slide, and with the reference.

    Parameters
    ----------
    images
        (n_spots, dim) float32, embeddings of the slide's spots' images, rows of length 1.
    n_top
        How many of the closest to name on either side.
    """
    if images.shape[1:] != query.vector.shape or reference.dim != len(query.vector):
        raise InputError(
            "The embeddings do not fit the query",
            got=f"length {images.shape[1]} and {reference.dim}",
            expected=f"length {len(query.vector)}",
            fix="Predict the slide again with the model of the reference",
        )
    similarity = (images @ query.vector).astype(np.float32)
    order = np.argsort(-similarity, kind="stable")
    rows = order[order != query.own_row][:n_top] if query.own_row is not None else order[:n_top]
    by_images = reference.image_embeddings is not None
    against = (
        reference.embeddings if reference.image_embeddings is None else (reference.image_embeddings)
    )
    scores = np.empty(reference.n, np.float32)
    for a in range(0, reference.n, _ROWS):
        yield Progress("Searching the reference", a, reference.n)
        scores[a : a + _ROWS] = against[a : a + _ROWS] @ query.vector
    there = np.flatnonzero(np.isfinite(scores))
    best = there[np.argsort(-scores[there], kind="stable")[:n_top]]
    return Retrieved(query, similarity, rows, best, scores[best], by_images, len(there))


def _standardised(reference: ReferenceDatabase, key: str) -> np.ndarray | None:
    """(R,) float64 z-score over the references that measured the gene, 0 for the others."""
    x = reference.column(key).astype(np.float64)
    measured = reference.measured_by(key)
    known = x if measured is None else x[measured]
    if not len(known):
        return None
    mean, sd = known.mean(), known.std()
    if not sd > _CONSTANT * max(1.0, abs(mean)):
        return None
    z = (x - mean) / sd
    return z if measured is None else np.where(measured, z, 0.0)


def _unit(vector: np.ndarray) -> np.ndarray:
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def _labels(reference: ReferenceDatabase, genes: Sequence[str]) -> dict[str, str]:
    symbols = reference.genes["symbol"]
    return {key: str(symbols.at[key]) or key for key in genes}


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SAID:,} more" if len(names) > _SAID else ""
    return ", ".join(names[:_SAID]) + more
