"""Embeddings of spots in two dimensions, to be looked at; scores of groups in all dimensions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from napari_umpire.errors import InputError
from napari_umpire.inference.classes.layout import lay_out_steps
from napari_umpire.progress import Progress, Steps

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MAX_SPOTS", "METHODS", "Method", "Projection", "project"]

Method = Literal["PCA", "UMAP", "t-SNE"]
METHODS: tuple[Method, ...] = get_args(Method)

MAX_SPOTS: dict[Method, int] = {"PCA": 50_000, "UMAP": 20_000, "t-SNE": 20_000}
"""Of more spots, so many are drawn at random."""

_DIMS = 50


@dataclass(frozen=True, eq=False)
class Projection:
    """Where each spot lies in two dimensions.

    Attributes
    ----------
    xy
        (n, 2) float32; of no unit: distances in such a picture are not to be measured.
    slide
        (n,) int64, place in ``slide_names``.
    row
        (n,) int64, row of the spot on its slide.
    embeddings
        (n, dim) float32, what was projected.
    words
        How it was made, in sentences.
    """

    xy: np.ndarray
    slide: np.ndarray
    row: np.ndarray
    slide_names: tuple[str, ...]
    embeddings: np.ndarray
    words: str

    @property
    def n(self) -> int:
        """Number of spots."""
        return len(self.xy)

    def rows_by_slide(self, points: np.ndarray) -> dict[str, np.ndarray]:
        """Rows of the spots behind some points, (m,) int, by name of the slide."""
        points = np.asarray(points, np.int64)
        return {
            name: np.sort(self.row[points][self.slide[points] == number])
            for number, name in enumerate(self.slide_names)
            if (self.slide[points] == number).any()
        }

    def points_of(self, rows_by_slide: Mapping[str, np.ndarray]) -> np.ndarray:
        """The points of some spots, (m,) int64 ascending; spots that are not shown have none."""
        found = np.zeros(self.n, bool)
        for number, name in enumerate(self.slide_names):
            if name in rows_by_slide:
                found |= (self.slide == number) & np.isin(self.row, rows_by_slide[name])
        return np.flatnonzero(found)

    def gathered(self, values: Mapping[str, np.ndarray], missing: object = np.nan) -> np.ndarray:
        """A value per point from values per spot by slide; ``missing`` where a slide has none."""
        known = [v for v in values.values() if len(v)]
        dtype = np.result_type(*known, np.asarray(missing)) if known else np.asarray(missing).dtype
        every = np.full(self.n, missing, dtype)
        for number, name in enumerate(self.slide_names):
            if name in values:
                mine = self.slide == number
                every[mine] = values[name][self.row[mine]]
        return every


def project(
    embeddings: Mapping[str, np.ndarray],
    method: Method = "UMAP",
    *,
    what: str = "image",
    seed: int = 0,
    max_spots: int | None = None,
) -> Steps[Projection]:
    """Lay spots of one or more slides out in two dimensions.

    UMAP and t-SNE start from the first 50 principal components. The same seed gives the same
    picture on the same machine. It can be cancelled between its stages, and at any time while UMAP
    or t-SNE lay out more than 2,000 spots.

    Parameters
    ----------
    embeddings
        Name of the slide -> (n_spots, dim) float32; spots whose row is not finite are left out.
    what
        What was embedded, for the words.
    max_spots
        Of more spots, so many are drawn at random; None: `MAX_SPOTS`.

    Raises
    ------
    InputError
        For fewer than 5 spots, or embeddings of different lengths.
    """
    names = tuple(embeddings)
    if len({e.shape[1] for e in embeddings.values()}) > 1:
        said = ", ".join(f"{name}: {e.shape[1]}" for name, e in embeddings.items())
        raise InputError(
            "The slides' embeddings are of different models",
            got=f"numbers per spot: {said}",
            fix="Compute the embeddings of all slides with the same model",
        )
    finite = [np.flatnonzero(np.isfinite(e).all(axis=1)) for e in embeddings.values()]
    slide = np.repeat(np.arange(len(names)), [len(rows) for rows in finite])
    row = np.concatenate([*finite, np.zeros(0, np.int64)]).astype(np.int64)
    if len(row) < 5:
        raise InputError(
            "There are too few spots for a picture",
            got=f"{len(row)} spots on {len(names)} slides",
            expected="at least 5",
            fix="Tick a slide with spots",
        )
    most = MAX_SPOTS[method] if max_spots is None else max_spots
    total = len(row)
    if total > most:
        kept = np.sort(np.random.default_rng(seed).choice(total, most, replace=False))
        slide, row = slide[kept], row[kept]
    x = np.concatenate([e[row[slide == i]] for i, e in enumerate(embeddings.values())])
    yield Progress(f"Principal components of {len(x):,} spots", 0, 2, "stages")
    reduced, share = _components(x, 2 if method == "PCA" else _DIMS, seed)
    if method == "PCA":
        xy, how = reduced[:, :2], "First two principal components."
    else:
        xy, how = yield from lay_out_steps(reduced, method, seed)
    yield Progress(f"Laying out {len(x):,} spots", 2, 2, "stages")
    if method == "PCA":
        how += f" They hold {share[0]:.0%} and {share[1]:.0%} of the variance."
    drawn = f" of {total:,}, drawn at random" if total > len(x) else ""
    words = (
        f"{len(x):,} spots{drawn}; embeddings of {'the image' if what == 'image' else 'the genes'},"
        f" {x.shape[1]} numbers each. {how} Seed {seed}."
    )
    return Projection(xy.astype(np.float32), slide, row, names, x, words)


def _components(x: np.ndarray, dims: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The first principal components, (n, at most ``dims``), and each one's share of variance."""
    from sklearn.decomposition import PCA

    model = PCA(min(dims, *x.shape), svd_solver="auto", random_state=seed)
    reduced = model.fit_transform(x.astype(np.float64))
    share = np.nan_to_num(model.explained_variance_ratio_)
    if reduced.shape[1] < 2:
        reduced, share = np.c_[reduced, np.zeros(len(x))], np.append(share, 0.0)
    return reduced, share
