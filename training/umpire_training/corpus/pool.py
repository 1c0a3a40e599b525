"""The same work on many sources, here or in other processes; one that fails does not stop the rest.

That holds too for one that takes its process with it, because memory ran out or a library crashed.
Every process computes with one thread. Results do not depend on how many processes there are.
"""

from __future__ import annotations

import errno
import os
import signal
import threading
import traceback
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_umpire.errors import InputError, UmpireWarning
from napari_umpire.faults import out_of_memory
from napari_umpire.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from multiprocessing.connection import Connection

    from napari_umpire.progress import Steps

__all__ = ["Outcome", "run_jobs"]

_THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "POLARS_MAX_THREADS",
)
_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Outcome:
    """What became of one job.

    Attributes
    ----------
    value
        What the function returned; None where it failed.
    problem
        A sentence on why it failed, "" where it did not.
    trace
        Where an unexpected failure arose; "" where the input was at fault.
    warned
        What the user should know.
    """

    value: Any = None
    problem: str = ""
    trace: str = ""
    warned: tuple[str, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether there is no value."""
        return bool(self.problem)


def run_jobs(
    function: Callable[..., Any],
    jobs: Sequence[tuple[Any, ...]],
    *,
    workers: int = 1,
    stage: str,
    unit: str = "sources",
) -> Steps[list[Outcome]]:
    """Call ``function(*job)`` for each job.

    Parameters
    ----------
    function
        At the top of a module, so that another process finds it.
    workers
        Processes; with one, or one job, the work is done in this process.

    Returns
    -------
    An outcome per job, in their order.

    Raises
    ------
    OSError
        No room on the disk: no other job would get on either.
    """
    outcomes: list[Outcome | None] = [None] * len(jobs)
    yield Progress(stage, 0, len(jobs), unit)
    if workers <= 1 or len(jobs) <= 1:
        for i, job in enumerate(jobs):
            outcomes[i] = _attempt(function, job)
            yield Progress(stage, i + 1, len(jobs), unit)
    else:
        for done, (i, outcome) in enumerate(_in_processes(function, jobs, workers), start=1):
            outcomes[i] = outcome
            yield Progress(stage, done, len(jobs), unit)
    return [outcome for outcome in outcomes if outcome is not None]


def _in_processes(
    function: Callable[..., Any], jobs: Sequence[tuple[Any, ...]], workers: int
) -> Iterator[tuple[int, Outcome]]:
    """As outcomes come; a process that dies costs the job that it was at, and no other."""
    left = dict(enumerate(jobs))
    while left:
        yield from _until_one_dies(function, left, min(workers, len(left)))
        # Nothing tells which job it was. Jobs are begun in their order, so it is among the first
        # that are left: one at each process, and one more that waits there. Each is tried alone.
        for i in list(left)[: 2 * workers + 1]:
            yield from _until_one_dies(function, alone := {i: left.pop(i)}, 1)
            if alone:
                yield i, Outcome(problem=_DIED, trace=_DIED)


_DIED = (
    "The process that read it was ended, by a crash or because memory ran out. Try it with fewer "
    "--workers, or leave it out"
)


def _until_one_dies(
    function: Callable[..., Any], left: dict[int, tuple[Any, ...]], workers: int
) -> Iterator[tuple[int, Outcome]]:
    """Outcomes of the jobs in ``left``, which are taken out of it, until a process dies."""
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor, as_completed
    from concurrent.futures.process import BrokenProcessPool

    # Spawned, not forked: libraries with threads of their own do not survive a fork.
    context = multiprocessing.get_context("spawn")
    heard, stop = context.Pipe(duplex=False)
    with _single_threaded(), heard, stop:
        pool = ProcessPoolExecutor(workers, context, _start_worker, (heard,))
        try:
            with _interrupts_later():
                futures = {pool.submit(_attempt, function, job): i for i, job in left.items()}
            for future in as_completed(futures):
                # What was yielded is not kept: results of a thousand jobs may be large.
                i, error = futures.pop(future), future.exception()
                if isinstance(error, BrokenProcessPool):
                    continue
                del left[i]
                if isinstance(error, OSError):
                    raise error  # no room on the disk: see `_attempt`
                said = f"{type(error).__name__}: {error}"  # of a job that cannot be sent there
                yield i, future.result() if error is None else Outcome(problem=said, trace=said)
        except BrokenProcessPool:
            return  # while jobs were still handed out
        except BaseException:
            # Workers do not hear Ctrl-C, and what they are at may take minutes more.
            stop.close()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _attempt(function: Callable[..., Any], job: tuple[Any, ...]) -> Outcome:
    warned: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("always", UmpireWarning)
        show = warnings.showwarning

        def keep(message: Any, category: Any, *rest: Any, **more: Any) -> None:
            if issubclass(category, UmpireWarning):
                warned.append(str(message))
            else:
                show(message, category, *rest, **more)

        warnings.showwarning = keep
        try:
            value = function(*job)
        except InputError as error:
            return Outcome(problem=str(error), warned=tuple(warned))
        except MemoryError as error:
            problem = str(out_of_memory("It does not fit into memory", error))
            return Outcome(problem=problem, trace=traceback.format_exc(), warned=tuple(warned))
        except Exception as error:
            # One source of a thousand must not lose the rest.
            if isinstance(error, OSError) and error.errno in _FULL:
                raise
            problem = f"{type(error).__name__}: {error}"
            return Outcome(problem=problem, trace=traceback.format_exc(), warned=tuple(warned))
    return Outcome(value, warned=tuple(warned))


@contextmanager
def _single_threaded() -> Iterator[None]:
    """Processes started in the block find one thread in their environment."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _interrupts_later() -> Iterator[None]:
    """Ctrl-C in the block counts after it; processes started in it never hear of it.

    A terminal sends it to all of them, and each would print where it was, even while it starts.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_worker(heard: Connection) -> None:
    """Leave Ctrl-C to the process that started this one, and end when it says so or is gone."""
    import multiprocessing
    from multiprocessing.connection import wait

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        wait([parent.sentinel, heard])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
