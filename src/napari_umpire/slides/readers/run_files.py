"""The files of one sample in a Space Ranger folder, found by what their names end in.

Names may begin with a prefix, as on 10x's pages and in GEO. All Visium arrays share their barcodes,
so that files of two samples in one folder would join without a trace: only one prefix is taken.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_umpire.errors import InputError, UmpireWarning
from napari_umpire.files import listed
from napari_umpire.slides.elements import element_name

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["RunFiles", "find_files", "has_positions", "is_spatial"]

# What each file is, and the end of its name.
_IN_SPATIAL = {
    "positions": r"tissue_positions(_list)?\.csv|tissue_positions\.parquet",
    "scale factors": r"scalefactors_json\.json",
    "hires image": r"tissue_hires_image\.(?i:png|jpe?g)",
    "lowres image": r"tissue_lowres_image\.(?i:png|jpe?g)",
}
_IN_OUTS = {
    "filtered counts": r"filtered_feature_bc_matrix(\.h5)?",
    "raw counts": r"raw_feature_bc_matrix(\.h5)?",
    "counts": r"matrix\.mtx(\.gz)?",
}
_IMAGES = ("hires image", "lowres image")
_MATRIX = ("matrix.mtx", "matrix.mtx.gz")

# What a file is -> the prefix of its name -> the files.
_Parts = dict[str, dict[str, list["Path"]]]


@dataclass(frozen=True)
class RunFiles:
    """The files of a sample.

    Attributes
    ----------
    sample
        Which one they are of, where the folder holds several; else None.
    positions
        The positions, as often as the folder holds them.
    factors
        The scale factors; None where absent.
    images
        "hires" and "lowres", as far as they are there.
    counts
        The files and folders of counts: filtered before raw, HDF5 before MTX.
    """

    sample: str | None
    positions: tuple[Path, ...]
    factors: Path | None
    images: Mapping[str, Path]
    counts: tuple[Path, ...]


def is_spatial(folder: Path) -> bool:
    """Whether a folder holds what Space Ranger writes into ``spatial``.

    One that may not be looked into is taken by its name, so that opening it says why it fails.
    """
    try:
        return folder.is_dir() and any(_sorted_out(listed(folder), _IN_SPATIAL).values())
    except InputError:
        return folder.name == "spatial"


def has_positions(folder: Path) -> bool:
    """Whether a folder holds positions of spots."""
    return bool(_sorted_out(listed(folder), _IN_SPATIAL)["positions"])


def find_files(outs: Path, *, name: str, sample: str | None = None) -> RunFiles:
    """Find the files of a sample.

    Parameters
    ----------
    outs
        The folder that holds ``spatial``.
    name
        Of the slide, for messages; also the name of the sample without a prefix.
    sample
        Which sample, where the folder holds several.

    Raises
    ------
    InputError
        Where the files of several samples lie there and none was named, or it is not there; where
        the folder cannot be looked into.
    """
    parts = _sorted_out(listed(outs / "spatial"), _IN_SPATIAL)
    parts |= _sorted_out(listed(outs), _IN_OUTS)
    for kind in _IN_OUTS:
        parts[kind] = {p: good for p, files in parts[kind].items() if (good := _with_counts(files))}
    core = [found for part, found in parts.items() if part not in _IMAGES]
    named = sorted({prefix for found in core for prefix in found if prefix})
    several = len(named) > 1 or any("" in found and len(found) > 1 for found in core)
    if several:
        prefix = _choose(parts, outs, name, sample)
    else:
        prefix = named[0] if named else ""
        if sample not in (None, element_name(name), _label(prefix, name)):
            raise _no_region(name, sample, [element_name(name)])
    # A name without a prefix belongs to the only sample that there is.
    files = {
        part: found.get(prefix) or ([] if several else found.get("", []))
        for part, found in parts.items()
    }
    for kind in _IMAGES:
        if not several and parts[kind] and not files[kind]:
            if prefix or len(parts[kind]) > 1:
                raise _mixed(parts, outs)
            (files[kind],) = parts[kind].values()
    taken = {path for found in files.values() for path in found}
    rest = [
        path.name
        for kind, found in parts.items()
        for other, paths in found.items()
        for path in paths
        if path not in taken and (kind in _IMAGES if not several else not other and not files[kind])
    ]
    if rest:
        warnings.warn(
            f"{name}: {', '.join(rest)} may belong to another sample; ignored",
            UmpireWarning,
            stacklevel=3,
        )
    images = {kind.split()[0]: _image(files[kind], name) for kind in _IMAGES if files[kind]}
    return RunFiles(
        sample=_label(prefix, name) if several else None,
        positions=tuple(files["positions"]),
        factors=next(iter(files["scale factors"]), None),
        images=images,
        # The names of both forms differ in their end only: HDF5 first.
        counts=tuple(
            p for kind in _IN_OUTS for p in sorted(files[kind], key=lambda p: p.suffix != ".h5")
        ),
    )


def _sorted_out(paths: list[Path], ends: Mapping[str, str]) -> _Parts:
    parts: _Parts = {part: {} for part in ends}
    for path in paths:
        for part, end in ends.items():
            if found := re.fullmatch(f"(?s:(.*?))(?:{end})", path.name):
                parts[part].setdefault(found[1], []).append(path)
    return parts


def _with_counts(paths: list[Path]) -> list[Path]:
    """Those that are no folder, or are one that holds a matrix or is named like a file."""
    return [
        path
        for path in paths
        if not path.is_dir()
        or path.suffix == ".h5"
        or any(p.name.endswith(_MATRIX) for p in listed(path))
    ]


def _choose(parts: _Parts, outs: Path, name: str, sample: str | None) -> str:
    """The prefix of the sample that was named; refuses where none was."""
    complete = sorted(set(parts["positions"]) & set(parts["scale factors"]))
    if not complete or (len(complete) == 1 and sample is None):
        raise _mixed(parts, outs)
    for prefix in complete:
        label = _label(prefix, name)
        if sample in (prefix, label, element_name(label)):
            return prefix
    labels = [_label(prefix, name) for prefix in complete]
    if sample is not None:
        raise _no_region(name, sample, labels)
    example = element_name(labels[0])
    raise InputError(
        f"{outs.name} holds the files of {len(complete)} samples",
        got=", ".join(labels),
        expected="the files of one sample",
        fix=f"Name one, for example region={example!r} (--region {example} in a shell), or move "
        "the others elsewhere",
    )


def _no_region(name: str, sample: str | None, there: list[str]) -> InputError:
    return InputError(
        f"{name} has no region {sample!r}",
        got=", ".join(there),
        fix="Name one of these with region=, or leave it out where there is only one",
    )


def _mixed(parts: _Parts, outs: Path) -> InputError:
    several = [part for part, found in parts.items() if len(found) > 1]
    if len(several) == 1:
        what = "count" if several[0] in _IN_OUTS else several[0].removesuffix(" image")
        found = [p.name for files in parts[several[0]].values() for p in files]
        return InputError(
            f"{outs.name} holds several {what} files",
            got=", ".join(found),
            expected="one",
            fix="Move the others elsewhere",
        )
    told = [
        f"{part} {path.name}"
        for part, found in parts.items()
        for files in found.values()
        for path in files[:1]
    ]
    return InputError(
        f"The files of {outs.name} begin with different names",
        got=", ".join(told),
        expected="one and the same prefix: all Visium arrays share their barcodes, so that files "
        "of two samples would be mixed unnoticed",
        fix="Move the files of other samples elsewhere, or rename them if they belong together",
    )


def _image(files: list[Path], name: str) -> Path:
    if len(files) > 1:
        warnings.warn(
            f"{name}: of {' and '.join(p.name for p in files)} the first is used",
            UmpireWarning,
            stacklevel=4,
        )
    return files[0]


def _label(prefix: str, name: str) -> str:
    return prefix.rstrip("_-. ") or name
