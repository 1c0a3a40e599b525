"""The same work for many slides: one after another, in local processes, or on a dask cluster."""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from napari_umpire.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from distributed import Client

__all__ = ["for_each"]

T = TypeVar("T")
_PATIENCE_S = 30


def for_each(
    function: Callable[[str], T],
    items: Sequence[str],
    *,
    workers: int = 1,
    scheduler: str | None = None,
) -> Iterator[tuple[str, T | Exception]]:
    """Yield each item with its result, or with the error that ended it, as they are done.

    Parameters
    ----------
    function
        Of one item; can be pickled. What it raises is yielded, and does not stop the others; a
        process that dies takes its item with it after three tries elsewhere.
    workers
        Processes of a local cluster; 1: none, the work is done here.
    scheduler
        Address ("tcp://host:8786") or scheduler file of a running cluster, which must see the same
        files; None: local.

    Raises
    ------
    InputError
        Where no cluster answers.
    """
    if workers < 1:
        raise InputError("The number of workers must be at least 1", got=workers)
    if scheduler is None and (workers == 1 or len(items) == 1):
        for item in items:
            try:
                result: T | Exception = function(item)
            except Exception as error:  # noqa: BLE001 - the caller says what it means
                result = error
            yield item, result
        return
    with _client(min(workers, len(items)), scheduler) as client:
        from distributed import as_completed

        # pure=False: the same slide asked for again is done again, not remembered.
        futures = {client.submit(_tried, function, item, pure=False): item for item in items}
        for future in as_completed(futures):
            failure = future.exception()
            yield futures[future], future.result() if failure is None else failure


def _tried(function: Callable[[str], T], item: str) -> T | InputError:
    """What the user can mend comes back as it is: raised, dask would print a traceback of it."""
    try:
        return function(item)
    except InputError as error:
        return error


@contextmanager
def _client(workers: int, scheduler: str | None) -> Iterator[Client]:
    try:
        from distributed import Client, LocalCluster
    except ModuleNotFoundError as error:
        raise InputError(
            f"Work on several slides at once needs {error.name}",
            fix="Install it with: pip install 'napari-umpire[train]'",
        ) from error
    if scheduler is not None:
        where: dict[str, Any] = {"address": scheduler}
        if Path(scheduler).is_file():
            where = {"scheduler_file": scheduler}
        try:
            client = Client(**where, timeout=_PATIENCE_S)
        except (OSError, ValueError) as error:
            raise InputError(
                f"No dask scheduler answers at {scheduler}",
                got=error,
                expected="an address such as tcp://host:8786, or a scheduler file",
                fix="Start one with: dask scheduler",
            ) from error
        with client:
            yield client
        return
    threads = max(1, (os.cpu_count() or 1) // workers)
    # Each process would else take every core for its own matrices, and they would all wait.
    env = {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    with (
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            dashboard_address=None,
            memory_limit=0,
            env=env,
            # What a slide failed of comes back with it; dask's own words are about its processes.
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client
