"""Folds in which no held-out spot has a neighbour among those that were learned from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from napari_umpire.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Fold", "Folds", "make_folds", "random_folds", "spatial_blocks"]

_BLOCKS_PER_FOLD = (1, 2, 4)
"""The fewest that do: large blocks have little edge, across which neighbours tell."""
_MIN_BLOCK = 12


@dataclass(frozen=True, eq=False)
class Fold:
    """One division of the labelled spots.

    Attributes
    ----------
    name
        What is held out: a slide's name, "blocks 2".
    train, test
        Rows of the labelled spots, int64 ascending, without any in common. Spots of a class that
        ``train`` lacks are in neither: no probe could name them.
    """

    name: str
    train: np.ndarray
    test: np.ndarray


@dataclass(frozen=True, eq=False)
class Folds:
    """How labelled spots are divided to test what is learned from them.

    Attributes
    ----------
    group
        (n,) int64, what is never torn apart: the slide, or the block, of each spot.
    words
        How it was done, and what could not be, in sentences.
    """

    folds: tuple[Fold, ...]
    group: np.ndarray
    words: str

    def __iter__(self) -> Iterator[Fold]:
        return iter(self.folds)

    def __len__(self) -> int:
        return len(self.folds)


def make_folds(
    codes: np.ndarray,
    slides: np.ndarray,
    yx_um: np.ndarray,
    slide_names: list[str],
    *,
    n_folds: int = 5,
    buffer_um: float = 0.0,
    seed: int = 0,
    unit: Literal["slide", "patient"] = "slide",
) -> Folds:
    """Hold out one slide after another or, on a single slide, one set of blocks after another.

    Parameters
    ----------
    codes
        (n,) class of each labelled spot, from 0 and all present.
    slides
        (n,) place of each spot's slide in ``slide_names``.
    yx_um
        (n, 2) centres, um, on their own slide.
    n_folds
        Of one slide; fewer where the spots do not give so many blocks.
    buffer_um
        Within one slide: spots nearer than this to a held-out spot are not learned from.
    seed
        Of blocks and their order; the same gives the same folds.
    unit
        What ``slides`` and ``slide_names`` are; patients are held out with all their slides.

    Raises
    ------
    InputError
        Where no division leaves two classes to learn from, and one of them to be tested on.
    """
    codes, slides = np.asarray(codes, np.int64), np.asarray(slides, np.int64)
    present = np.unique(slides)
    if len(present) >= 2:
        parts = [(slide_names[s], np.flatnonzero(slides == s)) for s in present]
        folds, words = _usable(codes, parts)
        said = f"Leave one {unit} out: {len(folds)} folds, one for each labelled {unit}."
        if unit == "slide":
            said += " Slides of one patient are alike: a new patient is harder."
        group = slides
    else:
        group, parts = _blocks_for(codes, yx_um, n_folds, seed)
        folds, words = _usable(codes, parts, yx_um, buffer_um)
        n_blocks = len(np.unique(group))
        said = (
            f"One slide: its spots are divided into {n_blocks} contiguous blocks, and these into "
            f"{len(folds)} folds."
        )
        if buffer_um > 0:
            said += f" Spots within {buffer_um:.0f} um of a held-out spot are not learned from."
        said += (
            " Blocks of one slide are still alike, and what crosses an edge is on both sides: a "
            "new slide is harder."
        )
    if not folds:
        where = "slide" if len(present) >= 2 else "part of the slide"
        raise InputError(
            "These classes cannot be tested",
            got=f"every class is on a {where} of its own, so that class and {where} are the same",
            expected=f"each class on more than one {where}",
            fix="Label spots of two classes in more places, or on another slide",
        )
    return Folds(tuple(folds), group, " ".join((said, *words)))


def random_folds(codes: np.ndarray, n_folds: int = 5, *, seed: int = 0) -> Folds:
    """Deal the spots of each class out at random, as published for a single slide.

    A held-out spot then has its neighbours among those that are learned from, which are like it
    for reasons that no other slide shares: use it to compare with published numbers alone.
    """
    codes = np.asarray(codes, np.int64)
    rng = np.random.default_rng([seed, 0x5EED])
    fold = np.empty(len(codes), np.int64)
    dealt = np.concatenate([rng.permutation(np.flatnonzero(codes == c)) for c in np.unique(codes)])
    fold[dealt] = np.arange(len(codes)) % n_folds
    parts = [(f"part {f + 1}", np.flatnonzero(fold == f)) for f in range(n_folds)]
    folds, words = _usable(codes, parts)
    said = (
        f"{len(folds)} folds of spots at random. This leaks: a held-out spot has its neighbours "
        "among those that are learned from."
    )
    return Folds(tuple(folds), fold, " ".join((said, *words)))


def spatial_blocks(yx: np.ndarray, n_blocks: int, *, seed: int = 0) -> np.ndarray:
    """Divide spots into contiguous blocks of about the same area, by k-means on coordinates.

    Returns
    -------
    (n,) int64 block of each spot.
    """
    from sklearn.cluster import KMeans

    yx = np.asarray(yx, np.float64)
    n_blocks = min(n_blocks, len(np.unique(yx, axis=0)))
    if n_blocks < 2:
        return np.zeros(len(yx), np.int64)
    fitted = KMeans(n_blocks, n_init=3, random_state=seed).fit(yx - yx.mean(axis=0))
    return fitted.labels_.astype(np.int64)


def _blocks_for(
    codes: np.ndarray, yx_um: np.ndarray, n_folds: int, seed: int
) -> tuple[np.ndarray, list[tuple[str, np.ndarray]]]:
    """The largest blocks by which each class comes into two folds; the smallest where none do."""
    most = max(2, len(codes) // _MIN_BLOCK)
    n_folds = min(n_folds, most)
    for per_fold in _BLOCKS_PER_FOLD:
        group = spatial_blocks(yx_um, min(n_folds * per_fold, most), seed=seed)
        parts = _block_parts(codes, group, n_folds, seed)
        in_folds = np.zeros(codes.max() + 1, np.int64)
        for _, rows in parts:
            in_folds[np.unique(codes[rows])] += 1
        if in_folds.min() >= 2 or n_folds * per_fold >= most:
            break
    return group, parts


def _block_parts(
    codes: np.ndarray, block: np.ndarray, n_folds: int, seed: int
) -> list[tuple[str, np.ndarray]]:
    """Put whole blocks together to folds of like size and, as far as can be, like classes."""
    n_classes, n_blocks = int(codes.max()) + 1, int(block.max()) + 1
    n_folds = min(n_folds, n_blocks)
    held = np.zeros((n_blocks, n_classes))
    np.add.at(held, (block, codes), 1)
    share = held / held.sum(axis=0)
    # The blocks with most of a rare class first; each to the fold that lacks its classes most.
    rng = np.random.default_rng(seed)
    order = np.lexsort((rng.random(n_blocks), -share.max(axis=1)))
    filled = np.zeros((n_folds, n_classes))
    fold_of = np.zeros(n_blocks, np.int64)
    for b in order:
        # Least squares to an even division of each class over the folds.
        cost = ((filled + share[b] - 1 / n_folds) ** 2 - (filled - 1 / n_folds) ** 2).sum(axis=1)
        best = int(np.argmin(cost))
        fold_of[b] = best
        filled[best] += share[b]
    rows = fold_of[block]
    return [(f"blocks {f + 1}", np.flatnonzero(rows == f)) for f in range(n_folds)]


def _usable(
    codes: np.ndarray,
    parts: list[tuple[str, np.ndarray]],
    yx_um: np.ndarray | None = None,
    buffer_um: float = 0.0,
) -> tuple[list[Fold], list[str]]:
    """Folds that leave two classes to learn from, and sentences on the others and on spots."""
    folds: list[Fold] = []
    words: list[str] = []
    lost: dict[int, int] = {}
    for name, test in parts:
        if not len(test):
            continue
        train = np.setdiff1d(np.arange(len(codes)), test)
        if yx_um is not None and buffer_um > 0 and len(train):
            train = train[_distance(yx_um[train], yx_um[test]) >= buffer_um]
        learned = np.unique(codes[train])
        known = test[np.isin(codes[test], learned)]
        if len(learned) < 2 or not len(known):
            words.append(f"Not held out: {name}, as the rest cannot teach its classes.")
            continue
        for code in codes[np.setdiff1d(test, known)]:
            lost[int(code)] = lost.get(int(code), 0) + 1
        folds.append(Fold(name, train, known))
    if lost:
        n = sum(lost.values())
        words.append(
            f"{n:,} held-out spots are of a class that their fold could not learn, and are not "
            "scored."
        )
    return folds, words


def _distance(yx: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Distance of each of ``yx`` to the nearest of ``others``."""
    from scipy.spatial import cKDTree

    return cKDTree(others).query(yx)[0]
