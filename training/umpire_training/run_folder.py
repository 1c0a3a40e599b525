"""The folder of one run: resolved config, log, checkpoints, metrics; one run each."""

from __future__ import annotations

import dataclasses
import logging
import os
import shutil
import sys
import time
import warnings
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_umpire.errors import InputError, UmpireWarning
from napari_umpire.files import hold, make_folder
from umpire_training.run_config import changed_options, with_paths, write_yaml

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["START", "RunFolder", "is_main_process", "logger"]

logger = logging.getLogger("umpire_training")

CONFIG, LOG, DONE, START = "config.yaml", "run.log", "done.yaml", "start.json"


def is_main_process() -> bool:
    """Whether this process writes: rank 0 under torchrun, SLURM or Lightning's launcher."""
    for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID"):
        if name in os.environ:
            first = int(os.environ[name]) == 0
            # Lightning's launcher counts the processes of each computer from 0.
            return first and (name != "LOCAL_RANK" or int(os.environ.get("NODE_RANK", "0")) == 0)
    return int(os.environ.get("NODE_RANK", "0")) == 0


class _LogFile(logging.FileHandler):
    """A log that a full disk cannot break: what cannot be written is left out of it."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Logging's own answer is a traceback per line."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)


class RunFolder:
    """A context in which one run writes.

    Parameters
    ----------
    path
        The folder. It may be absent or empty; with ``resume`` it may hold the same run.
    verb
        What runs.
    options
        Its dataclass of options, saved as ``config.yaml``, which `--config` accepts; files with
        their whole paths, so that it is accepted in any working directory.
    resume
        Continue the run that is there.
    may_change
        Options that the continued run may give anew.
    makes
        Names in the folder of what the run is for: without them it is not finished.

    Raises
    ------
    InputError
        Where the folder holds another run or other files, ``resume`` finds other options, or, on
        entering, where it cannot be written to or another process is at work in it.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        verb: str,
        options: Any,
        resume: bool = False,
        may_change: tuple[str, ...] = (),
        makes: tuple[str, ...] = (),
    ) -> None:
        self.path = Path(path)
        self.verb, self.makes = verb, makes
        settings = {k: v for k, v in dataclasses.asdict(options).items() if k != "resume"}
        self.settings = with_paths(settings, os.path.abspath)
        self.resumed = False
        self._existed = self.path.is_dir()
        self._handlers: list[logging.Handler] = []
        if not is_main_process():
            self.resumed = resume
            return
        if self.path.exists() and not self.path.is_dir():
            raise InputError(f"{self.path} is a file", expected="a folder for the run")
        if (self.path / CONFIG).is_file():
            self._compare(resume, {"output", "workers", *may_change})
            self.resumed = True
        elif self._made():
            raise InputError(
                f"{self.path} is not empty and holds no run",
                expected="a new or empty folder",
                fix="Choose another --output",
            )

    @property
    def finished(self) -> bool:
        """Whether the run in this folder came to its end, and what it made is there."""
        return (self.path / DONE).is_file() and not self._missing()

    def finish(self, **facts: Any) -> None:
        """Mark the run as done, with what is worth knowing at a glance."""
        if is_main_process():
            write_yaml(self.path / DONE, {"verb": self.verb, "finished": _now(), **facts})

    def __enter__(self) -> RunFolder:
        logger.setLevel(logging.INFO)
        console = logging.StreamHandler(sys.stderr)
        console.setFormatter(logging.Formatter("%(message)s"))
        console.addFilter(lambda record: not getattr(record, "file_only", False))
        self._handlers = [console]
        if is_main_process():
            self._handlers.append(self._open_log())
            if not self.resumed:
                self._save_config()
        else:
            console.setLevel(logging.ERROR)
        for handler in self._handlers:
            logger.addHandler(handler)
        self._show = warnings.showwarning
        warnings.showwarning = self._log_warning
        logger.info("%s in %s%s", self.verb, self.path, " (continued)" if self.resumed else "")
        if (self.path / DONE).is_file() and self._missing():
            logger.info("what it made is no longer there: %s; again", ", ".join(self._missing()))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, KeyboardInterrupt):
            logger.info("interrupted", extra={"file_only": True})
        elif error is not None:
            # The console gets the error from the caller; the log keeps where it arose.
            logger.error("failed", exc_info=error, extra={"file_only": True})
        warnings.showwarning = self._show
        for handler in self._handlers:
            logger.removeHandler(handler)
            # A full disk must not hide what ended the run.
            with suppress(OSError):
                handler.close()
        if error is not None and not self.resumed:
            self._remove_if_nothing_was_made(refused=isinstance(error, InputError))

    def _missing(self) -> list[str]:
        return [name for name in self.makes if not (self.path / name).exists()]

    def _open_log(self) -> logging.Handler:
        """The log file, in a folder that no other process works in."""
        make_folder(self.path)
        try:
            file = _LogFile(self.path / LOG, encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            raise InputError(
                f"{self.path} cannot be written to", got=error, fix="Choose another --output"
            ) from error
        file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        taken = file.stream is not None and not hold(file.stream)
        if taken or (not self.resumed and (self.path / CONFIG).is_file()):
            file.close()
            raise InputError(
                f"Another process is at work in {self.path}",
                fix="Wait until it has ended, or choose another --output",
            )
        return file

    def _log_warning(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: Any = None,
        line: str | None = None,
    ) -> None:
        ours = issubclass(category, UmpireWarning)
        text = f"{message}" if ours else f"{category.__name__}: {message} ({filename}:{lineno})"
        logger.warning("warning: %s", text, extra={"file_only": not ours})

    def _save_config(self) -> None:
        from napari_umpire import __version__

        header = f"# umpire-train {self.verb}, napari-umpire {__version__}, {_now()}\n"
        write_yaml(self.path / CONFIG, self.settings, header)

    def _compare(self, resume: bool, may_change: set[str]) -> None:
        if not resume:
            raise InputError(
                f"{self.path} already holds a run",
                fix="Continue it with --resume, or choose another --output",
            )
        said = changed_options(self.path / CONFIG, self.settings, may_change)
        if said:
            raise InputError(
                f"The run in {self.path} was started with other options",
                got="; ".join(said),
                fix=f"Give the same options ({self.path / CONFIG} holds them) or a new --output",
            )

    def _remove_if_nothing_was_made(self, *, refused: bool) -> None:
        """A run refused at its start leaves no folder: notes of a start are not a run.

        They were not there before: a folder with other files is refused.
        """
        if not is_main_process() or not self.path.is_dir():
            return
        made = self._made()
        if refused:
            made = [name for name in made if self._holds_work(name)]
        if made:
            return
        for path in self.path.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        if not self._existed:
            self.path.rmdir()

    def _holds_work(self, name: str) -> bool:
        """Whether there is more behind a name than the curves of a training that never began."""
        path = self.path / name
        return not path.is_dir() or (
            name != "tensorboard" and any(p.is_file() for p in path.rglob("*"))
        )

    def _made(self) -> list[str]:
        """What is in the folder beside the notes of its start, whole or cut short by a kill."""
        names = [p.name for p in self.path.iterdir()] if self.path.is_dir() else []
        cut = (f".{CONFIG}", f".{START}")
        return [n for n in names if n not in (LOG, CONFIG, START) and not n.endswith(cut)]


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")
