"""Each case in a process of its own, forked from one that has imported the heavy packages."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .builders import picture
from .fuzz import make_targets
from .place import Place

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .case import Case

__all__ = ["VERDICTS", "Outcome", "make_base", "run_cases", "warm"]

VERDICTS = ("opened", "repaired", "refused", "anything else")
MOST_MB = 1_500
"""A small input for which a process grows by more is one that takes the memory of a laptop."""
_ADDRESSES = 5 << 30
# What an outermost net says of a fault that no reader foresaw: not a sentence that helps.
_NET = ("unforeseen", "foresaw", "unexpected error", "internal error")


@dataclass(frozen=True)
class Outcome:
    """How a case ended: one of `VERDICTS`, what was said, and why it is "anything else"."""

    name: str
    kind: str
    verdict: str
    said: str
    fault: str | None
    seconds: float
    mb: int


def warm() -> None:
    """Import what the cases need, so that each fork has it; no thread may be left running."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ["HF_HUB_OFFLINE"] = "1"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from napari_umpire.models.torchvision_guard import heal

        heal()
        import anndata  # noqa: F401
        import scanpy  # noqa: F401
        import spatialdata  # noqa: F401
        import timm  # noqa: F401
        import torch

        import napari_umpire.inference.model
        import napari_umpire.inference.predict
        import napari_umpire.slides.open  # noqa: F401
        import umpire_training.cli  # noqa: F401
    torch.set_num_threads(1)
    picture()
    picture(cross=True)


def run_cases(
    cases: Iterable[Case], base: Path, *, jobs: int = 2, seconds: float = 60
) -> Iterator[Outcome]:
    """Run each case in a forked process with bounded time and memory; yield how each ended.

    Parameters
    ----------
    cases
        In any order; outcomes come as the cases end.
    base
        What `make_base` filled.
    jobs
        Processes at once.
    seconds
        A case that takes longer is one that hangs.
    """
    waiting = list(cases)[::-1]
    running: dict[int, tuple[Case, Path, float]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                case = waiting.pop()
                folder = Path(tempfile.mkdtemp(prefix="corpus_"))
                running[_fork(case, folder, base)] = case, folder, time.monotonic()
            for pid in list(running):
                case, folder, begun = running[pid]
                done, status, usage = os.wait4(pid, os.WNOHANG)
                spent = time.monotonic() - begun
                if done:
                    del running[pid]
                    mb = usage.ru_maxrss // 1024
                    yield _outcome(case, folder, status, spent, mb)
                    _remove(folder)
                elif spent > seconds:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)
    finally:
        for pid, (_, folder, _) in running.items():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            _remove(folder)


def make_base(base: Path) -> None:
    """Make the intact slides and the model that cases start from, in a process of its own."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                Place(base, base).prepare()
                make_targets(base)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    if os.waitpid(pid, 0)[1]:
        raise RuntimeError("the intact slides and the model could not be made")


def _fork(case: Case, folder: Path, base: Path) -> int:
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        _bound(folder)
        began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        told = _attempt(case, Place(folder / "case", base)) | {"began_mb": began}
        (folder / "told.json").write_text(json.dumps(told))
        code = 0
    except BaseException as error:  # what is not a refusal is a finding, whatever it is
        traceback.print_exc()
        with contextlib.suppress(Exception):
            said = "".join(traceback.format_exception_only(error))
            (folder / "failed").write_text(said, "utf-8", "backslashreplace")
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _bound(folder: Path) -> None:
    for name, number in (("out", 1), ("err", 2)):
        os.dup2(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    sys.stdout = os.fdopen(1, "w", buffering=1, errors="backslashreplace", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + _ADDRESSES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _attempt(case: Case, place: Place) -> dict[str, Any]:
    """Make the input, hand it to the program, and say what it did."""
    from napari_umpire.errors import InputError, UmpireWarning

    place.folder.mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = case.make(place)
    if case.ordinary and os.geteuid() == 0:
        _give_up_root()
    said: list[str] = []

    def show(message: Any, category: type[Warning], *_: object, **__: object) -> None:
        if issubclass(category, UmpireWarning):
            said.append(str(message))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", UmpireWarning)
        warnings.showwarning = show
        try:
            came = _use(made, dict(case.options), said)
        except InputError as error:
            said.append(str(error))
            verdict = "refused"
        else:
            verdict = "repaired" if said else "opened"
            if came is _REFUSED:
                verdict = "refused"
            elif case.right is not None:
                case.right(came)
    if place.canary.exists():
        raise AssertionError("code of the input was executed")
    return {"verdict": verdict, "said": "\n".join(said)}


_REFUSED = object()


def _use(made: Any, options: dict[str, Any], said: list[str]) -> Any:
    from .look import look_at

    if isinstance(made, Path):
        return look_at(made, **options)
    return _shell(made, said) if isinstance(made, list) else made()


def _shell(words: list[Any], said: list[str]) -> Any:
    """What ``umpire-train`` does: its exit code and its lines are as its users see them."""
    from umpire_training.cli import main

    kept = sys.stderr
    with tempfile.TemporaryFile("w+", errors="backslashreplace") as lines:
        sys.stderr = lines
        try:
            code = main([str(word) for word in words])
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1
        finally:
            sys.stderr = kept
            lines.seek(0)
            told = lines.read()
            kept.write(told)
    own = [line for line in told.splitlines() if line.startswith("umpire-train: ")]
    said += [line for line in own if line.startswith(("umpire-train: warning", "umpire-train: "))]
    if code == 2 and sum("warning:" not in line for line in own) == 1:
        return _REFUSED
    assert code == 0, f"exit code {code}"
    said[:] = [line for line in said if "warning:" in line]
    return code


def _give_up_root() -> None:
    """Give up the two capabilities by which root passes over the modes of files."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    sets = (ctypes.c_uint32 * 6)()
    assert libc.capget(header, sets) == 0, os.strerror(ctypes.get_errno())
    for i in range(3):
        sets[i] &= ~0b110
    assert libc.capset(header, sets) == 0, os.strerror(ctypes.get_errno())


def _outcome(case: Case, folder: Path, status: int, seconds: float, mb: int) -> Outcome:
    told = folder / "told.json"
    err = (folder / "err").read_text(errors="replace") if (folder / "err").exists() else ""
    verdict, said, fault = "anything else", "", None
    if os.WIFSIGNALED(status):
        sent = os.WTERMSIG(status)
        fault = f"no end after {seconds:.0f} s" if sent == signal.SIGKILL else f"signal {sent}"
    elif told.exists():
        data = json.loads(told.read_text())
        said, grew = data["said"], mb - data["began_mb"]
        fault = case.fault(data["verdict"], said)
        if grew > MOST_MB:
            fault = f"{grew:,} MB of memory"
        elif data["verdict"] == "refused" and any(net in said.lower() for net in _NET):
            fault = "refused by the outermost net, not in words of its own"
        elif "Traceback (most recent call last)" in err:
            fault = "a traceback was shown"
        verdict = data["verdict"] if fault is None else verdict
    else:
        failed = folder / "failed"
        fault = " ".join(failed.read_text().split()) if failed.exists() else "ended without a word"
        said = err[-3000:]
    return Outcome(case.name, case.kind, verdict, said, fault, round(seconds, 2), mb)


def _remove(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)
