"""Random damage to small files: a reader opens them or refuses them in words, nothing else.

Each trial has a seed of its own, made of the run's seed, the reader and the trial's number, so that
a finding is repeated by them alone. A forked process runs trials one after another; where it dies
or hangs, the trial is a finding and a new process goes on behind it.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
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
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["READERS", "Finding", "fuzz", "make_targets"]

_SECONDS = 30
_MOST_MB = 1_500
_ODD = (b"0", b"-1", b"1e999", b"NaN", b"99999999999999999999", b"null", b'"x"', b"1e-300", b"true")


@dataclass(frozen=True)
class Finding:
    """A trial that ended neither with a slide or model nor with an `InputError`."""

    reader: str
    trial: int
    how: str
    what: str


@dataclass(frozen=True)
class Reader:
    """A folder, the files in it that are damaged, and what reads it."""

    folder: str
    files: tuple[str, ...]
    read: Callable[[Path], object]


def damage(data: bytes, rng: random.Random) -> tuple[bytes, str]:
    """One random change, and what it is. Headers, which say the most, are hit more often."""
    out, size = bytearray(data), max(1, len(data))

    def place() -> int:
        return rng.randrange(min(size, 600) if rng.random() < 0.5 else size)

    kind = rng.choice(("bits", "bits", "bits", "cut", "zeros", "ones", "again", "lost", "number"))
    numbers = [found.span() for found in re.finditer(rb"\d+(\.\d+)?", data[:4000])]
    if kind == "number" and numbers:
        low, high = rng.choice(numbers)
        out[low:high] = new = rng.choice(_ODD)
        return bytes(out), f"{data[low:high].decode()} is {new.decode()}"
    if kind in ("bits", "number"):
        places = [place() for _ in range(rng.choice((1, 1, 2, 8, 40)))] if data else []
        for at in places:
            out[at] ^= 1 << rng.randrange(8)
        return bytes(out), f"{len(places)} bits turned"
    at = place()
    length = min(rng.choice((1, 4, 16, 200, 3000)), size - at)
    new = {
        "cut": b"",
        "zeros": bytes(length),
        "ones": b"\xff" * length,
        "again": data[at : at + length] * 2,
        "lost": b"",
    }[kind]
    end = size if kind == "cut" else at + length
    return data[:at] + new + data[end:], f"{kind} at {at}, {end - at} bytes"


def _slide(path: Path) -> None:
    from .look import look_at

    look_at(path)


def _model(path: Path) -> None:
    from napari_umpire.inference.model import load_model

    reference = load_model(path, device="cpu").reference
    if reference is not None:
        len(reference.spots)
        for key in reference.genes.index:
            reference.column(key)


POSITIONS, FACTORS = "spatial/tissue_positions.csv", "spatial/scalefactors_json.json"
READERS = {
    "tif": Reader("fuzz_tif", ("x.tif",), lambda p: _slide(p / "x.tif")),
    "svs": Reader("fuzz_svs", ("x.svs",), lambda p: _slide(p / "x.svs")),
    "png": Reader("fuzz_png", ("x.png",), lambda p: _slide(p / "x.png")),
    "h5": Reader("fuzz_outs", ("filtered_feature_bc_matrix.h5",), _slide),
    "positions": Reader("fuzz_outs", (POSITIONS,), _slide),
    "factors": Reader("fuzz_outs", (FACTORS,), _slide),
    "store": Reader("store.zarr", (), _slide),
    "safetensors": Reader("model", ("model.safetensors",), _model),
    "config": Reader("model", ("config.json",), _model),
    "genes": Reader("model", ("genes.csv",), _model),
    "reference": Reader(
        "model",
        tuple(f"reference/{name}" for name in (
            "reference.json", "embeddings.npy", "measured.npy", "expression_indptr.npy",
            "expression_data.npy", "genes.csv", "spots.csv",
        )),
        _model,
    ),
}  # fmt: skip


def make_targets(base: Path) -> None:
    """Add to what `make_base` made the small files that are damaged; call it in a forked process."""
    from .builders import halved, picture, save, tiff, visium
    from .slides.scale import aperio

    pixels = picture(300, 260, cross=False)
    for name in ("tif", "svs", "png"):
        (base / f"fuzz_{name}").mkdir()
    tiff(base / "fuzz_tif/x.tif", pixels, (halved(pixels),), tile=(64, 64))
    save(base / "fuzz_png/x.png", pixels)
    aperio(base / "fuzz_svs/x.svs", 2.0, pixels=pixels, tile=(64, 64), compression="jpeg")
    visium(base / "fuzz_outs")


def fuzz(reader: str, base: Path, *, seed: int, trials: int, first: int = 0) -> Iterator[Finding]:
    """Damage the files of a reader so many times; yield what is neither opened nor refused."""
    trial = first
    while trial < first + trials:
        with tempfile.TemporaryDirectory(prefix="fuzz_") as folder:
            log = Path(folder, "log")
            log.touch()
            sys.stdout.flush()
            pid = os.fork()
            if pid == 0:
                _work(reader, base, Path(folder), seed, range(trial, first + trials))
            end = _wait(pid, log)
            lines = log.read_text(errors="replace").splitlines()
            for line in lines:
                number, what, how = line.split("\t", 2)
                if what == "begun":
                    begun = int(number), how
                elif what != "well":
                    yield Finding(reader, int(number), begun[1], how)
            done = sum("\tbegun\t" not in line for line in lines)
            trial += done
            if end is not None:
                yield Finding(reader, trial, begun[1] if lines else "", end)
                trial += 1


def _wait(pid: int, log: Path) -> str | None:
    """Wait for a process as long as its log grows; how it ended, where that is no good end."""
    size, since = -1, time.monotonic()
    while True:
        done, status, _ = os.wait4(pid, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
            return None if code == 0 else f"the process ended with {code}"
        if (now := log.stat().st_size) != size:
            size, since = now, time.monotonic()
        elif time.monotonic() - since > _SECONDS:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return f"no end after {_SECONDS} s"
        time.sleep(0.02)


def _work(name: str, base: Path, folder: Path, seed: int, trials: range) -> None:
    """Run trials in this process, which ends with it; one line at the begin and the end of each."""
    code = 1
    try:
        warnings.simplefilter("ignore")
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + (5 << 30)
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with (folder / "log").open("a") as log, open(os.devnull, "w") as away:
            os.dup2(away.fileno(), 2)
            for trial in trials:
                _one(READERS[name], base, folder / "work", random.Random(f"{seed} {name} {trial}"),
                     lambda what, how, t=trial: print(t, what, how, sep="\t", file=log, flush=True))  # fmt: skip
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _one(
    reader: Reader, base: Path, work: Path, rng: random.Random, tell: Callable[[str, str], None]
) -> None:
    from napari_umpire.errors import InputError

    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(base / reader.folder, work, copy_function=os.link)
    names = reader.files or tuple(
        sorted(p.relative_to(work).as_posix() for p in work.rglob("*") if p.is_file())
    )
    file = rng.choice(names)
    data, how = damage((work / file).read_bytes(), rng)
    (work / file).unlink()  # the others share their bytes with the intact ones
    (work / file).write_bytes(data)
    tell("begun", f"{file}: {how}")
    began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    try:
        reader.read(work)
    except InputError:
        pass
    except BaseException as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        said = " ".join(str(error).split())[:200]
        tell(
            "found", f"{type(error).__name__}: {said} ({Path(place.filename).name}:{place.lineno})"
        )
        return
    grew = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024 - began
    with contextlib.suppress(OSError):
        shutil.rmtree(work)
    tell("found" if grew > _MOST_MB else "well", f"{grew} MB of memory")
