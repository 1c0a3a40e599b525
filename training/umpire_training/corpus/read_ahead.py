"""The next batches read in other threads while the present one is worked on."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np

__all__ = ["ReadAhead"]


class ReadAhead:
    """A sampler around another: yields the batch itself, on its way, in place of its rows.

    Order and content are those of the sampler inside, whatever the threads do.

    Parameters
    ----------
    sampler
        Yields row numbers; has a length.
    read
        Rows -> batch; must let other threads run, as `TokenShards.gather` does.
    threads
        How many batches are read at once; twice as many are held ready.
    """

    def __init__(
        self, sampler: Any, read: Callable[[np.ndarray], np.ndarray], *, threads: int = 2
    ) -> None:
        self.sampler, self.read, self.threads = sampler, read, threads

    def __len__(self) -> int:
        return len(self.sampler)

    def set_epoch(self, epoch: int) -> None:
        """Tell the sampler inside, where it wants to know."""
        if hasattr(self.sampler, "set_epoch"):
            self.sampler.set_epoch(epoch)

    def __iter__(self) -> Iterator[Future[np.ndarray]]:
        ready: deque[Future[np.ndarray]] = deque()
        pool = ThreadPoolExecutor(self.threads, thread_name_prefix="read-ahead")
        try:
            for rows in self.sampler:
                ready.append(pool.submit(self.read, rows))
                if len(ready) > 2 * self.threads:
                    yield ready.popleft()
            while ready:
                yield ready.popleft()
        finally:
            # Those that were given out are somebody's.
            for future in ready:
                future.cancel()
            pool.shutdown(wait=False)
