"""Which spots look like nothing in the reference.

A query spot's similarity is the mean of its K nearest references': its image against genes. It is
low where the tissue is unlike all that the reference holds, but "low" needs a measure: how similar
are the reference's own spots to the rest of it? So each reference spot is asked the same question,
with what lies close by in the body left out, and a quantile of the answers is the bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from napari_umpire.errors import InputError
from napari_umpire.progress import Progress, Steps

if TYPE_CHECKING:
    from napari_umpire.inference.references.database import ReferenceDatabase

__all__ = ["Calibration", "OutOfReference", "calibrate", "out_of_reference"]

_MOST = 5_000
_QUERY_ROWS = 256
_REFERENCE_ROWS = 32_768
_PITCHES = 3.0


@dataclass(frozen=True, eq=False)
class Calibration:
    """How similar the reference's own spots are to the rest of it.

    Attributes
    ----------
    similarity
        (n_asked,) float32: mean similarity of the K nearest references that were not left out.
    k
        K.
    asked
        "image": a spot's own picture against genes, which is what a query is; "genes": its genes
        against genes, where the reference holds no embeddings of pictures.
    left_out
        "slide": all spots of the own slide; "neighbours": with a single slide, the spot itself
        and what lies within 3 pitches.
    n
        Spots of the reference; ``similarity`` is of all that could be asked, or a random part.
    """

    similarity: np.ndarray
    k: int
    asked: Literal["image", "genes"]
    left_out: Literal["slide", "neighbours"]
    n: int

    def bound(self, quantile: float) -> float:
        """The similarity below which a share ``quantile`` of the reference's own spots lies."""
        return float(np.quantile(self.similarity, quantile))

    def describe(self) -> str:
        """What was compared with what, and what follows from it."""
        n = len(self.similarity)
        which = f"{n:,} of its {self.n:,} spots" if n < self.n else f"its {n:,} spots"
        what = {"image": "image against genes", "genes": "genes against genes"}[self.asked]
        where = {
            "slide": "each without its own slide",
            "neighbours": f"each without what lies within {_PITCHES:g} pitches",
        }[self.left_out]
        how = f"{which}, {what}, {where}, mean of K = {self.k}"
        said = [f"The bound comes from the reference itself: {how}."]
        if self.asked == "genes":
            said.append(
                "It holds no embeddings of its images, so this is not the same question as a "
                "slide's, which compares images with genes: take the bound as a rough one. A "
                "reference that is built with images gives the right one."
            )
        if self.left_out == "neighbours":
            said.append(
                "One slide resembles itself more than another would: spots of a new slide fall "
                "below the bound more easily."
            )
        if self.left_out == "slide":
            said.append(
                "A new slide has one slide more to choose from, so the bound is a little low."
            )
        said.append(
            "If the model was trained on these slides they look closer than new ones: somewhat "
            "more spots than that share is no alarm."
        )
        return " ".join(said)


@dataclass(frozen=True, eq=False)
class OutOfReference:
    """Spots of a slide that look like nothing in the reference.

    Attributes
    ----------
    mask
        (n_spots,) bool.
    bound
        Similarity below which a spot is out.
    quantile
        Of the reference's own spots, that the bound stands for.
    """

    mask: np.ndarray
    bound: float
    quantile: float

    def describe(self) -> str:
        """How many, and below what."""
        verb = "looks" if self.mask.sum() == 1 else "look"
        return (
            f"{int(self.mask.sum()):,} of {len(self.mask):,} spots {verb} like nothing in the "
            f"reference: similarity below {self.bound:.3f}, which {100 * self.quantile:g} % of the "
            "reference's own spots do not reach."
        )


def out_of_reference(
    similarity: np.ndarray, calibration: Calibration, quantile: float = 0.05
) -> OutOfReference:
    """Spots whose similarity lies below a quantile of the reference's own.

    Parameters
    ----------
    similarity
        (n_spots,) mean similarity of the K nearest references, of the same K.
    quantile
        Between 0 and 1.

    Raises
    ------
    InputError
        For another quantile.
    """
    if not 0.0 < quantile < 1.0:
        raise InputError("The quantile must lie between 0 and 1", got=quantile)
    bound = calibration.bound(quantile)
    return OutOfReference(np.asarray(similarity) < bound, bound, quantile)


def calibrate(
    reference: ReferenceDatabase, k: int, *, most: int = _MOST, seed: int = 0
) -> Steps[Calibration]:
    """Ask the reference about its own spots.

    Parameters
    ----------
    k
        As many references as a spot of the slide has.
    most
        Ask about a random part of so many spots, drawn with ``seed``, where there are more.

    Raises
    ------
    InputError
        Where too few references remain once the own slide, or the neighbours, are left out.
    """
    import torch

    slides = np.asarray(reference.spots["slide"].cat.codes)
    single = len(np.unique(slides)) < 2
    image = reference.image_embeddings
    rows = np.arange(reference.n) if image is None else np.flatnonzero(_has_image(image))
    if not len(rows):
        image, rows = None, np.arange(reference.n)
    source = reference.embeddings if image is None else image
    if len(rows) > most:
        rows = np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))
    near = _neighbourhoods(reference, rows) if single else None
    if near is None:
        taken = np.bincount(slides)[slides[rows]]
    else:
        taken = np.array([len(one) for one in near])
    if reference.n - taken.max() < k:
        raise InputError(
            "The reference is too small to be asked about its own spots",
            got=f"{reference.n - taken.max()} references left for a spot",
            expected=f"at least K = {k}",
            fix="Predict with a smaller K, or build a reference of more slides",
        )
    with torch.inference_mode():
        query = torch.from_numpy(np.array(source[rows], np.float32))
        best = torch.full((len(rows), k), -torch.inf)
        for b in range(0, reference.n, _REFERENCE_ROWS):
            block = torch.from_numpy(np.array(reference.embeddings[b : b + _REFERENCE_ROWS]))
            for a in range(0, len(rows), _QUERY_ROWS):
                done = b / reference.n + a / len(rows) * len(block) / reference.n
                yield Progress(
                    "Asking the reference about itself", int(done * len(rows)), len(rows)
                )
                part = slice(a, a + _QUERY_ROWS)
                if near is None:
                    own = slides[rows[part], None] == slides[None, b : b + len(block)]
                else:
                    own = _dense(near[part], b, len(block))
                product = query[part] @ block.T
                product[torch.from_numpy(own)] = -torch.inf
                best[part] = torch.cat([best[part], product], 1).topk(k, dim=1, sorted=False).values
        means = best.mean(dim=1).numpy()
    yield Progress("Asking the reference about itself", len(rows), len(rows))
    return Calibration(
        means,
        k,
        "genes" if image is None else "image",
        "neighbours" if single else "slide",
        reference.n,
    )


def _has_image(embeddings: np.ndarray) -> np.ndarray:
    """(R,) bool; a slide whose image was too coarse has none."""
    return np.isfinite(np.asarray(embeddings[:, 0]))


def _neighbourhoods(reference: ReferenceDatabase, rows: np.ndarray) -> list[np.ndarray]:
    """Rows within 3 pitches of each of ``rows``, itself among them."""
    from scipy.spatial import cKDTree

    yx = reference.spots[["y_um", "x_um"]].to_numpy(np.float64)
    if len(yx) < 2:
        return [np.arange(len(yx)) for _ in rows]
    tree = cKDTree(yx)
    pitch = float(np.median(tree.query(yx, k=2)[0][:, 1]))
    found = tree.query_ball_point(yx[rows], _PITCHES * pitch * 1.001)
    return [np.asarray(one, np.int64) for one in found]


def _dense(near: list[np.ndarray], start: int, n: int) -> np.ndarray:
    """(len(near), n) bool: which of the rows from ``start`` are near."""
    out = np.zeros((len(near), n), bool)
    for line, rows in zip(out, near, strict=True):
        line[rows[(rows >= start) & (rows < start + n)] - start] = True
    return out
