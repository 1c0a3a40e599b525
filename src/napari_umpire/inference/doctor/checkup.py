"""Is this computer ready: checks with what was found and how to mend it. Never asks the network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from napari_umpire.progress import Progress, Steps

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

__all__ = ["Check", "Questions", "Status", "as_text", "check_steps", "worst"]

Status = Literal["PASS", "WARN", "FAIL"]
_ORDER: tuple[Status, ...] = ("PASS", "WARN", "FAIL")


@dataclass(frozen=True)
class Check:
    """One line of the doctor's table.

    Attributes
    ----------
    name
        What was looked at.
    status
        "PASS": fine; "WARN": works, with something to know; "FAIL": will not work.
    found
        What was found.
    mend
        What to do about it, "" where there is nothing to do.
    """

    name: str
    status: Status
    found: str
    mend: str = ""


@dataclass(frozen=True)
class Questions:
    """What the doctor is asked to look at, beside the computer itself.

    Attributes
    ----------
    model
        A model folder; a name on the hub is not looked up.
    slide
        Path of a slide.
    device
        Where a prediction would compute.
    folders
        Folders that will be written to, by what they are for.
    weights
        Folder with weights of image encoders; None: what the environment names.
    """

    model: str | None = None
    slide: str | None = None
    device: str = "auto"
    folders: tuple[tuple[str, Path], ...] = ()
    weights: Path | None = None


def check_steps(ask: Questions) -> Steps[list[Check]]:
    """Make all checks, one after the other; none of them raises for what it finds."""
    from napari_umpire.inference.doctor import computer, files

    wanted: list[tuple[str, Callable[[], Sequence[Check]]]] = [
        ("packages", computer.check_packages),
        ("torch", lambda: computer.check_torch(ask.device)),
        ("torchvision", computer.check_torchvision),
        ("OpenSlide", computer.check_openslide),
        ("disk", lambda: files.check_folders(ask.folders)),
        ("weights", lambda: files.check_weights(ask.weights)),
    ]
    if ask.model:
        wanted.append(("model", lambda: files.check_model(str(ask.model))))
    if ask.slide:
        wanted.append(("slide", lambda: files.check_slide_file(str(ask.slide))))
    checks: list[Check] = []
    for done, (name, check) in enumerate(wanted):
        yield Progress(f"Checking {name}", done, len(wanted), "checks")
        checks += check()
    return checks


def worst(checks: Sequence[Check]) -> Status:
    """The gravest status of all."""
    return max((check.status for check in checks), key=_ORDER.index, default="PASS")


def as_text(checks: Sequence[Check], width: int = 100) -> str:
    """The table as plain text, for a terminal or an e-mail."""
    import textwrap

    indent = " " * 6
    lines = []
    for check in checks:
        said = [f"{check.name}: {check.found}"] + [f"-> {check.mend}"] * bool(check.mend)
        for number, text in enumerate(said):
            first = f"{check.status}  " if number == 0 else indent
            for part in text.splitlines():
                lines += textwrap.wrap(
                    part, width, initial_indent=first, subsequent_indent=indent,
                    break_long_words=False, break_on_hyphens=False,
                )  # fmt: skip
                first = indent
    counted = ", ".join(f"{sum(c.status == s for c in checks)} {s}" for s in _ORDER)
    return "\n".join([*lines, "", counted])
