"""Principal components laid out in two dimensions, in a process of its own where that takes long.

Neither UMAP nor t-SNE can be told to stop. A process can: of many spots, the work is done by
``python -m`` of this module, which is ended when the steps are closed, or when its parent ends.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from napari_umpire.progress import Progress

if TYPE_CHECKING:
    from napari_umpire.progress import Steps

__all__ = ["Neighbourly", "lay_out", "lay_out_steps"]

Neighbourly = Literal["UMAP", "t-SNE"]

_ALONE = 2_000
"""Spots that are laid out in seconds, less than a process needs to begin."""
_POLL_S = 0.1
_NEIGHBOURS = 15
_PERPLEXITY = 30.0


def lay_out_steps(
    reduced: np.ndarray, method: Neighbourly, seed: int
) -> Steps[tuple[np.ndarray, str]]:
    """As `lay_out`; of more than 2,000 spots it ends at once when it is closed."""
    stage = f"{method} of {len(reduced):,} spots"
    if len(reduced) <= _ALONE:
        yield Progress(f"{stage} (some seconds)", 1, 2, "stages")
        return lay_out(reduced, method, seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.save(folder / "reduced.npy", reduced)
        command = [sys.executable, "-m", __name__, method, str(seed), name]
        with (folder / "said").open("wb") as said:
            # The pipe is never written to: it closes when this process ends, however it ends.
            child = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=said
            )
        try:
            while child.poll() is None:
                yield Progress(stage, 1, 2, "stages")
                time.sleep(_POLL_S)
        finally:
            child.kill()
            child.communicate()
        if child.returncode:
            text = (folder / "said").read_text(encoding="utf-8", errors="replace")
            raise RuntimeError(f"{method} ended with {child.returncode}:\n{text[-2000:]}")
        xy = np.load(folder / "xy.npy", allow_pickle=False)
    return xy, _how(method, *reduced.shape)


def lay_out(reduced: np.ndarray, method: Neighbourly, seed: int) -> tuple[np.ndarray, str]:
    """Where each spot lies, (n, 2) float32, and how it was found, in a sentence.

    Parameters
    ----------
    reduced
        (n, dims) float64 principal components; the first two are where each spot begins, so that
        the picture is reproducible and large distances mean a little.
    """
    n, dims = reduced.shape
    start = reduced[:, :2] / max(float(reduced[:, 0].std()), 1e-12)
    how = _how(method, n, dims)
    if method == "t-SNE":
        from sklearn.manifold import TSNE

        perplexity = _perplexity(n)
        model = TSNE(perplexity=perplexity, init=1e-4 * start, random_state=seed, n_jobs=1)
        return model.fit_transform(reduced), how
    from umap import UMAP

    model = UMAP(
        n_neighbors=_neighbours(n), min_dist=0.1, init=10 * start, random_state=seed, n_jobs=1
    )
    return model.fit_transform(reduced), how


def _perplexity(n: int) -> float:
    return min(_PERPLEXITY, (n - 1) / 3)


def _neighbours(n: int) -> int:
    return min(_NEIGHBOURS, n - 1)


def _how(method: Neighbourly, n: int, dims: int) -> str:
    by = f"perplexity {_perplexity(n):g}" if method == "t-SNE" else f"{_neighbours(n)} neighbours"
    return f"{method} of the first {dims} principal components, {by}."


def _end_with_parent() -> None:
    os.read(0, 1)  # not sys.stdin, whose lock Python wants at its own end
    os._exit(1)


def _main(method: str, seed: str, name: str) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    folder = Path(name)
    reduced = np.load(folder / "reduced.npy", allow_pickle=False)
    chosen: Neighbourly = "UMAP" if method == "UMAP" else "t-SNE"
    np.save(folder / "xy.npy", lay_out(reduced, chosen, int(seed))[0])


if __name__ == "__main__":
    _main(*sys.argv[1:])
