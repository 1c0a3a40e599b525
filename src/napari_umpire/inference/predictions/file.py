"""A prediction in one file: indices, similarities and weights; the expression stays where it is."""

from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_umpire.errors import InputError
from napari_umpire.files import replace_file
from napari_umpire.inference.predictions.record import RunRecord
from napari_umpire.inference.references.database import ReferenceDatabase

if TYPE_CHECKING:
    from pathlib import Path

    from napari_umpire.inference.predictions.prediction import Prediction

__all__ = ["load", "save"]

_FORMAT = "napari-umpire prediction 1"


def save(prediction: Prediction, path: Path) -> Path:
    """Write a new ``.npz`` (no pickle), whole or not at all.

    Raises
    ------
    InputError
        Where ``path`` exists.
    """
    if path.exists():
        raise InputError(f"{path} already exists", fix="Choose another name")
    about = {
        "format": _FORMAT,
        "slide": prediction.slide_name,
        "reference": str(prediction.reference.path.resolve()),
        "reference_digest": prediction.reference.digest,
        "record": prediction.record.to_dict(),
    }
    spots = prediction.spots
    arrays = {
        "about": np.frombuffer(json.dumps(about).encode(), np.uint8),
        "spot": np.array(spots.index.astype(str), dtype=np.str_),
        "yx": spots[["y", "x"]].to_numpy(np.float64),
        "indices": prediction.indices,
        "similarity": prediction.similarity,
        "weight": prediction.weight,
    }
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

    try:
        # Opened here: numpy leaves a broken archive open.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        about = json.loads(arrays["about"].tobytes().decode())
        if about["format"] != _FORMAT:
            raise ValueError(about["format"])
        record = RunRecord.from_dict(about["record"])
        spots = pd.DataFrame(
            arrays["yx"], columns=["y", "x"], index=pd.Index(arrays["spot"].astype(object))
        )
    except InputError:
        raise
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is not a readable prediction", got=error) from error
    if reference is None:
        reference = ReferenceDatabase.open(about["reference"])
    if reference.digest != about["reference_digest"]:
        raise InputError(
            f"{path} was made with another reference",
            got=f"{reference.path} ({reference.digest})",
            expected=about["reference_digest"],
            fix="Give the reference of that run, or predict anew",
        )
    if "instance_id" in arrays:
        spots["instance_id"] = arrays["instance_id"]
    return Prediction(
        slide_name=about["slide"],
        spots=spots,
        reference=reference,
        indices=arrays["indices"],
        similarity=arrays["similarity"],
        weight=arrays["weight"],
        record=record,
        embeddings=arrays.get("embeddings"),
    )
