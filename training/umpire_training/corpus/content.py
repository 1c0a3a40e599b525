"""What a section is by its counts alone, whatever it is called and in whatever file it lies.

Two measures, both blind to the names and order of genes and spots, to barcodes and formats:

*digest*: of the (total, detected genes) of every spot and of the total of every gene, each sorted.
Equal digests mean the same matrix. A copy from which spots or genes were dropped has another.

*keys*: a 64-bit number per spot, of its 32 largest counts in order. The share of one section's keys
that another has too finds copies from which spots, or genes of few counts, were left out, and parts
of a section. Spots with fewer than 20 detected genes have no key: small counts are alike by chance.
What neither finds: counts that were changed (scaled, corrected, sampled down, binned to other
spots), and copies without the genes of the largest counts (mitochondrial, ribosomal).
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import scipy.sparse as sp

__all__ = ["Content", "ContentCounter", "Overlap", "content_of", "overlaps", "share"]

KEY_COUNTS = 32
KEY_MIN_GENES = 20
KEY_MIN_SPOTS = 10
# A key that more sections than this have is no one's: a pattern of shallow spots.
_COMMON = 64


class Content(NamedTuple):
    """A section's content.

    Attributes
    ----------
    digest
        64 hex digits.
    keys
        (n,) uint64, ascending, each once.
    """

    digest: str
    keys: np.ndarray


class Overlap(NamedTuple):
    """Two sections that share spots: their places in a list, and the share of the smaller one."""

    first: int
    second: int
    share: float


class ContentCounter:
    """Gathers the content of one section, some spots at a time."""

    def __init__(self) -> None:
        self._spots: list[np.ndarray] = []
        self._keys: list[np.ndarray] = []
        self._genes: np.ndarray | None = None

    def add(self, counts: sp.csr_matrix) -> None:
        """Add spots, (n, n_columns) canonical CSR of raw counts; columns alike in every call."""
        from umpire_training.corpus._content_kernel import spot_keys

        detected = np.diff(counts.indptr).astype(np.int64)
        data = counts.data.astype(np.int64)
        ends = np.concatenate([[0], np.cumsum(data)])[counts.indptr]
        total = np.diff(ends)
        seen = detected > 0
        self._spots.append(np.stack([total[seen], detected[seen]], axis=1))
        genes = np.bincount(counts.indices, weights=data, minlength=counts.shape[1])
        self._genes = genes if self._genes is None else self._genes + genes
        keys = spot_keys(data, counts.indptr.astype(np.int64), KEY_COUNTS)
        self._keys.append(keys[detected >= KEY_MIN_GENES])

    def result(self) -> Content:
        """The content of all spots added."""
        h = hashlib.sha256()
        spots = np.concatenate(self._spots) if self._spots else np.empty((0, 2), np.int64)
        h.update(np.ascontiguousarray(spots[np.lexsort(spots.T)], "<i8").tobytes())
        genes = np.empty(0) if self._genes is None else self._genes
        h.update(np.sort(genes[genes > 0]).astype("<i8").tobytes())
        keys = np.concatenate(self._keys) if self._keys else np.empty(0, np.uint64)
        return Content(h.hexdigest(), np.unique(keys))


def content_of(parts: Iterable[sp.csr_matrix]) -> Content:
    """The content of a section whose counts come in ``parts``; see `ContentCounter.add`."""
    counter = ContentCounter()
    for counts in parts:
        counter.add(counts)
    return counter.result()


def share(a: Content, b: Content) -> float:
    """Share of the smaller section's keys that the other has too; 1 where the digests are equal.

    0 where a section has fewer than 10 keys, which tell nothing.
    """
    if a.digest == b.digest:
        return 1.0
    fewer = min(len(a.keys), len(b.keys))
    if fewer < KEY_MIN_SPOTS:
        return 0.0
    return len(np.intersect1d(a.keys, b.keys, assume_unique=True)) / fewer


def overlaps(contents: Sequence[Content], minimum: float) -> list[Overlap]:
    """Every pair that shares at least ``minimum``, in the order of the list.

    One sort over all keys: pairs that share nothing cost nothing.
    """
    pairs: dict[tuple[int, int], int] = {}
    sizes = [len(c.keys) for c in contents]
    keys = np.concatenate([c.keys for c in contents]) if contents else np.empty(0, np.uint64)
    owner = np.repeat(np.arange(len(contents)), sizes)
    order = np.lexsort((owner, keys))
    keys, owner = keys[order], owner[order]
    starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]])) if len(keys) else keys
    lengths = np.diff(np.concatenate([starts, [len(keys)]]).astype(np.int64))
    for start, length in zip(
        starts[(lengths > 1) & (lengths <= _COMMON)].tolist(),
        lengths[(lengths > 1) & (lengths <= _COMMON)].tolist(),
        strict=True,
    ):
        group = owner[start : start + length].tolist()
        for i, a in enumerate(group):
            for b in group[i + 1 :]:
                pairs[a, b] = pairs.get((a, b), 0) + 1
    found = {}
    for (a, b), n in pairs.items():
        fewer = min(sizes[a], sizes[b])
        if fewer >= KEY_MIN_SPOTS and n / fewer >= minimum:
            found[a, b] = n / fewer
    first: dict[str, list[int]] = {}
    for i, content in enumerate(contents):
        for earlier in first.setdefault(content.digest, []):
            found[earlier, i] = 1.0
        first[content.digest].append(i)
    return [Overlap(a, b, found[a, b]) for a, b in sorted(found)]
