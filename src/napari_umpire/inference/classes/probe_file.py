"""A probe on disk: ``probes/<name>/`` in the folder of the model whose embeddings it reads.

``probe.json`` says what it is, ``probe.safetensors`` holds the numbers. Nothing in it can run code.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_umpire.bounded import check_file, read_json
from napari_umpire.errors import InputError
from napari_umpire.faults import reading
from napari_umpire.files import make_folder, scratch_beside
from napari_umpire.inference.classes.probe import LinearProbe, Regression

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["PROBES", "list_probes", "load_probe", "save_probe"]

PROBES = "probes"
FORMAT, VERSION = "napari-umpire probe", 1
_JSON, _NUMBERS = "probe.json", "probe.safetensors"
_PARTS = ("mean", "scale", "weight", "bias")


def list_probes(model_folder: str | Path) -> list[str]:
    """Names of the probes in a model folder, sorted."""
    return sorted(p.parent.name for p in Path(model_folder).glob(f"{PROBES}/*/{_JSON}"))


def save_probe(probe: LinearProbe, model_folder: str | Path, name: str | None = None) -> Path:
    """Write a probe into the folder of its model, whole or not at all.

    One of the same name is never replaced: the new one is called ``<name>_2``, and so on.

    Parameters
    ----------
    name
        Of its folder; the probe's own name where not given.

    Returns
    -------
    The folder that was made.

    Raises
    ------
    InputError
        Where the folder is of another model, or cannot be written to.
    """
    from safetensors.numpy import save_file

    from napari_umpire.models.folder import model_digest

    model_folder = Path(model_folder)
    _check_model(probe.name, probe.model_digest, model_digest(model_folder), model_folder)
    probes = model_folder / PROBES
    make_folder(probes)
    wanted = re.sub(r"[^A-Za-z0-9_.-]+", "_", name or probe.name).strip("._") or "probe"
    try:
        with scratch_beside(probes / wanted) as scratch:
            building = scratch / "new"
            building.mkdir()
            regression = probe.regression
            numbers = {part: np.ascontiguousarray(getattr(regression, part)) for part in _PARTS}
            save_file(numbers, building / _NUMBERS)
            text = json.dumps(_to_json(probe), indent=1, allow_nan=False)
            (building / _JSON).write_text(text, encoding="utf-8")
            # safetensors writes for the owner alone; a model folder is for a group to share.
            os.chmod(building / _NUMBERS, (building / _JSON).stat().st_mode)
            return _move_to_free_place(building, probes / wanted)
    except OSError as error:
        raise InputError(
            f"The probe cannot be written to {probes}",
            got=error,
            expected="a model folder that can be written to, and room on the disk",
            fix="Copy the model folder to a place of your own",
        ) from error


def load_probe(folder: str | Path, model_digest: str | None = None) -> LinearProbe:
    """Read a probe, every shape checked.

    Parameters
    ----------
    model_digest
        Of the model that it shall be used with; None: not checked here.

    Raises
    ------
    InputError
        For a folder that is no probe, damaged, of a newer version, or of another model.
    """
    folder = Path(folder)
    path = folder / _JSON
    if not path.is_file():
        raise InputError(
            f"{folder} is not a probe",
            got=f"no {_JSON}",
            expected=f"a folder in {PROBES}/ of a model, as the Classes widget saves it",
        )
    said = read_json(path, what=str(path))
    with reading(f"{path} is damaged", fix="Train the probe again"):
        if said["format"] != FORMAT:
            raise ValueError("another format")
        if said["version"] != VERSION:
            raise InputError(
                f"{path} has another version of the format",
                got=said["version"],
                expected=VERSION,
                fix="Update napari-umpire, or train the probe again",
            )
        if not isinstance(said["classes"], list):
            raise TypeError("classes is not a list")
        classes, dim = tuple(map(str, said["classes"])), int(said["dim"])
        probe = LinearProbe(
            name=str(said["name"]),
            kind=_kind(said["kind"]),
            model_digest=str(said["model_digest"]),
            regression=_regression(folder / _NUMBERS, len(classes), dim),
            classes=classes,
            colours=_colours(said["colours"], len(classes)),
            c=float(said["c"]),
            balanced=bool(said["balanced"]),
            training=tuple(_slide(slide) for slide in said["training"]),
            scores=_scores(said["scores"]),
            protocol=str(said["protocol"]),
        )
    if model_digest is not None:
        _check_model(probe.name, probe.model_digest, model_digest, folder)
    return probe


def _to_json(probe: LinearProbe) -> dict[str, Any]:
    from datetime import UTC, datetime

    from napari_umpire import __version__

    return {
        "format": FORMAT,
        "version": VERSION,
        "name": probe.name,
        "kind": probe.kind,
        "model_digest": probe.model_digest,
        "dim": len(probe.regression.mean),
        "classes": list(probe.classes),
        "colours": list(probe.colours),
        "c": probe.c,
        "balanced": probe.balanced,
        "training": list(probe.training),
        "protocol": probe.protocol,
        "scores": probe.scores,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "made_by": f"napari-umpire {__version__}",
    }


def _move_to_free_place(building: Path, wanted: Path) -> Path:
    for place in _places(wanted):
        if place.exists():
            continue
        try:
            os.rename(building, place)
        except OSError:
            if not place.exists():
                raise
            continue  # another process was faster
        return place
    raise AssertionError("names do not end")


def _places(wanted: Path) -> Iterable[Path]:
    yield wanted
    number = 2
    while True:
        yield wanted.with_name(f"{wanted.name}_{number}")
        number += 1


def _check_model(name: str, probe_digest: str, digest: str, where: Path) -> None:
    if probe_digest != digest:
        raise InputError(
            f"The probe {name!r} and the model do not belong together: {where}",
            got=f"a model of digest {digest[:16]}",
            expected=f"the model of digest {probe_digest[:16]}, which made its embeddings",
            fix="Choose that model, or train a new probe with this one",
        )


def _kind(said: str) -> Any:
    if said not in ("image", "genes"):
        raise ValueError(f"embeddings of {said!r}")
    return said


def _colours(said: list[str], n: int) -> tuple[str, ...]:
    if len(said) != n or not all(re.fullmatch("#[0-9a-f]{6}", c, re.IGNORECASE) for c in said):
        raise ValueError(f"{len(said)} colours for {n} classes, or none of them #rrggbb")
    return tuple(said)


def _slide(said: dict[str, Any]) -> dict[str, Any]:
    spots = {str(name): int(n) for name, n in said["spots"].items()}
    return {"slide": str(said["slide"]), "digest": str(said["digest"]), "spots": spots}


def _scores(said: dict[str, Any]) -> dict[str, Any]:
    """Scores that can be shown; none of a probe that could not be tested."""
    from napari_umpire.inference.classes.scores import ProbeScores

    return ProbeScores.from_json(said).to_json() if said else {}


def _regression(path: Path, k: int, dim: int) -> Regression:
    from safetensors.numpy import load_file

    if k < 2 or dim < 1:
        raise ValueError(f"{k} classes, {dim} numbers per spot")
    check_file(path, str(path))
    with reading(f"{path} is no safetensors file", fix="Train the probe again"):
        numbers = load_file(path)
    shapes = {"mean": (dim,), "scale": (dim,), "weight": (k, dim), "bias": (k,)}
    got = {name: (str(a.dtype), a.shape) for name, a in numbers.items()}
    wanted = {name: ("float64", shape) for name, shape in shapes.items()}
    if got != wanted:
        raise InputError(f"{path} holds the wrong numbers", got=got, expected=wanted)
    finite = all(bool(np.isfinite(numbers[name]).all()) for name in _PARTS)
    if not finite or not (numbers["scale"] > 0).all():
        raise InputError(
            f"{path} holds numbers that are not finite, or scales of 0 or less",
            fix="Train the probe again",
        )
    return Regression(numbers["mean"], numbers["scale"], numbers["weight"], numbers["bias"])
