"""A prediction in one file, by the way it was made.

Of a retrieval: indices, similarities and weights; the expression stays in the reference. Of a
decoder: its values and their genes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_umpire.bounded import check_file, check_zip, parse_json
from napari_umpire.errors import InputError
from napari_umpire.faults import reading
from napari_umpire.files import replace_file
from napari_umpire.inference.predictions.record import RunRecord
from napari_umpire.inference.references.database import ReferenceDatabase

if TYPE_CHECKING:
    from napari_umpire.inference.predictions.direct import DirectPrediction
    from napari_umpire.inference.predictions.prediction import Prediction

__all__ = ["load", "load_direct", "save"]

_FORMAT = "napari-umpire prediction 1"
_DIRECT = "napari-umpire direct prediction 1"
_LOADERS = {_FORMAT: "Prediction.load", _DIRECT: "DirectPrediction.load"}


def save(prediction: Prediction | DirectPrediction, path: Path) -> Path:
    """Write a new ``.npz`` (no pickle), whole or not at all.

    Raises
    ------
    InputError
        Where ``path`` exists.
    """
    from napari_umpire.inference.predictions.prediction import Prediction

    if path.exists():
        raise InputError(f"{path} already exists", fix="Choose another name")
    spots = prediction.spots
    about = {"slide": prediction.slide_name, "record": prediction.record.to_dict()}
    arrays = {
        "spot": np.array(spots.index.astype(str), dtype=np.str_),
        "yx": spots[["y", "x"]].to_numpy(np.float64),
    }
    if isinstance(prediction, Prediction):
        about |= {
            "format": _FORMAT,
            "reference": str(prediction.reference.path.resolve()),
            "reference_digest": prediction.reference.digest,
        }
        arrays |= {name: getattr(prediction, name) for name in ("indices", "similarity", "weight")}
    else:
        about["format"] = _DIRECT
        genes = prediction.genes
        arrays |= {"values": prediction.values, "gene": _texts(genes.index)}
        arrays |= {f"gene_{name}": _texts(genes[name]) for name in ("id", "symbol")}
    arrays["about"] = np.frombuffer(json.dumps(about).encode(), np.uint8)
    if "instance_id" in spots:
        arrays["instance_id"] = spots["instance_id"].to_numpy()
    if prediction.embeddings is not None:
        arrays["embeddings"] = prediction.embeddings
    with replace_file(path) as written, written.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
    return path


def load(path: Path, reference: ReferenceDatabase | None) -> Prediction:
    """Read what `save` wrote, with the reference that it was made with.

    Raises
    ------
    InputError
        Where the file is not one of ours or damaged, or the reference is another one.
    """
    from napari_umpire.inference.predictions.prediction import Prediction

    about, arrays, common = _read(path, _FORMAT)
    with reading(f"{path} is not a readable prediction"):
        place, digest = Path(about["reference"]), about["reference_digest"]
    if reference is None:
        reference = ReferenceDatabase.open(place)
    if reference.digest != digest:
        raise InputError(
            f"{path} was made with another reference",
            got=f"{reference.path} ({reference.digest})",
            expected=digest,
            fix="Give the reference of that run, or predict anew",
        )
    with reading(f"{path} is not a readable prediction"):
        return Prediction(
            **common,
            reference=reference,
            indices=arrays["indices"],
            similarity=arrays["similarity"],
            weight=arrays["weight"],
        )


def load_direct(path: Path) -> DirectPrediction:
    """Read what `save` wrote of a decoder's prediction; errors as of `load`."""
    from napari_umpire.inference.predictions.direct import DirectPrediction

    _, arrays, common = _read(path, _DIRECT)
    with reading(f"{path} is not a readable prediction"):
        names = {name: arrays[f"gene_{name}"].astype(object) for name in ("id", "symbol")}
        genes = pd.DataFrame(names, index=pd.Index(arrays["gene"].astype(object)))
        return DirectPrediction(**common, values=arrays["values"], panel=genes)


def _read(path: Path, wanted: str) -> tuple[dict[str, Any], dict[str, np.ndarray], dict[str, Any]]:
    """What the file says of itself, its arrays, and the fields that all predictions share."""
    check_file(path, str(path))
    with reading(f"{path} is not a readable prediction"):
        # Opened here: numpy leaves a broken archive open.
        with path.open("rb") as stream:
            check_zip(stream, str(path))
            with np.load(stream, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
        about = parse_json(arrays["about"].tobytes().decode(), str(path))
        if about["format"] not in _LOADERS:
            raise ValueError(about["format"])
        if about["format"] != wanted:
            raise InputError(
                f"{path} is a prediction of another kind",
                got=about["format"],
                expected=wanted,
                fix=f"Open it with {_LOADERS[about['format']]}",
            )
        record = RunRecord.from_dict(about["record"])
        spots = pd.DataFrame(
            arrays["yx"], columns=["y", "x"], index=pd.Index(arrays["spot"].astype(object))
        )
        if not np.isfinite(arrays["yx"]).all():
            raise ValueError("places that are no numbers")
    if "instance_id" in arrays:
        spots["instance_id"] = arrays["instance_id"]
    common = {"slide_name": about["slide"], "spots": spots, "record": record}
    return about, arrays, common | {"embeddings": arrays.get("embeddings")}


def _texts(values: pd.Index | pd.Series) -> np.ndarray:
    return np.array(values.astype(str), dtype=np.str_)
