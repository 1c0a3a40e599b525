"""How far groups of spots lie apart in the space of embeddings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_umpire.progress import Progress, Steps

__all__ = ["GroupScores", "group_scores"]

_SILHOUETTE_SPOTS = 5_000


@dataclass(frozen=True)
class GroupScores:
    """Scores of one grouping, in all dimensions of the embeddings.

    Attributes
    ----------
    by
        What the groups are: the name of the labels, "slide".
    n, n_groups
        Spots that have a group, and groups.
    silhouette
        Mean silhouette, -1 to 1, higher is further apart; None where it is not defined.
    n_silhouette
        Spots that it was computed on.
    davies_bouldin
        Davies-Bouldin index, 0 and up, lower is further apart; None where it is not defined.
    """

    by: str
    n: int
    n_groups: int
    silhouette: float | None = None
    n_silhouette: int = 0
    davies_bouldin: float | None = None

    @property
    def words(self) -> str:
        """One line for the user."""
        if self.silhouette is None or self.davies_bouldin is None:
            why = "one group" if self.n_groups == 1 else f"{self.n_groups} groups of {self.n} spots"
            return f"By {self.by}: no score for {why}."
        drawn = f" (on {self.n_silhouette:,} drawn at random)" * (self.n_silhouette < self.n)
        return (
            f"By {self.by}: silhouette {self.silhouette:.2f}{drawn}, "
            f"Davies-Bouldin {self.davies_bouldin:.2f}; n = {self.n:,}, {self.n_groups} groups."
        )


def group_scores(
    embeddings: np.ndarray, groups: dict[str, np.ndarray], *, seed: int = 0
) -> Steps[list[GroupScores]]:
    """Silhouette and Davies-Bouldin index of each grouping, by Euclidean distance.

    Parameters
    ----------
    embeddings
        (n, dim) float, finite.
    groups
        What the groups are -> (n,) int, -1 for a spot without one.
    """
    from sklearn.metrics import davies_bouldin_score, silhouette_score

    scores = []
    for number, (by, codes) in enumerate(groups.items()):
        yield Progress(f"Scores by {by}", number, len(groups), "groupings")
        there = codes >= 0
        x, mine = embeddings[there].astype(np.float64), codes[there]
        k = len(np.unique(mine))
        if not 2 <= k < len(mine):
            scores.append(GroupScores(by, len(mine), k))
            continue
        some = _drawn(mine, seed)
        scores.append(
            GroupScores(
                by,
                len(mine),
                k,
                float(silhouette_score(x[some], mine[some])),
                len(some),
                float(davies_bouldin_score(x, mine)),
            )
        )
    return scores


def _drawn(codes: np.ndarray, seed: int) -> np.ndarray:
    """Rows to compute the silhouette on, which costs their square: all, or so many at random.

    One of each group is always among them, or a small group could vanish.
    """
    if len(codes) <= _SILHOUETTE_SPOTS:
        return np.arange(len(codes))
    first = np.unique(codes, return_index=True)[1]
    rest = np.setdiff1d(np.arange(len(codes)), first)
    drawn = np.random.default_rng(seed).choice(rest, _SILHOUETTE_SPOTS - len(first), replace=False)
    return np.sort(np.concatenate([first, drawn]))
