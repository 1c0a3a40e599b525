"""Using a model folder as a prediction does: its weights, its reference, all of its evidence."""

from __future__ import annotations

import hashlib
import io
import json
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ..place import Place

__all__ = ["WEIGHTS", "as_intact", "npy", "object_npy", "predicting", "redigest", "torch_zip"]

WEIGHTS = "model.safetensors"
LARGEST = float(np.log1p(1e4)) + 1e-3
"""No expression is higher: log1p of counts scaled to 10,000 per spot."""


def predict(model: Path, slide: Path) -> np.ndarray:
    """The table of a prediction, (n_spots, n_genes), after all that a window would show of it."""
    from napari_umpire.inference.model import load_model
    from napari_umpire.progress import run
    from napari_umpire.slides.open import open_slide

    loaded = load_model(model, device="cpu")
    loaded.describe()
    prediction = run(loaded.predict(open_slide(slide), k=8))
    if loaded.reference is not None:
        evidence = prediction.evidence(prediction.spots.index[0], prediction.genes.index[0])
        assert np.isfinite(evidence["weight"].to_numpy()).all(), "evidence that is not finite"
        if loaded.reference.patches is not None:
            loaded.reference.patches.crop(0)
    values = np.asarray(prediction.to_table().X)
    assert np.isfinite(values).all(), f"{(~np.isfinite(values)).mean():.0%} of it is not finite"
    low, high = values.min(initial=0), values.max(initial=0)
    assert low >= 0, f"a prediction of {low:g}"
    assert high <= LARGEST, f"a prediction of {high:g}, log1p CP10k ends at 9.21"
    return values


def predicting(place: Place, model: Path) -> Callable[[], Any]:
    """A trial that predicts; what comes out is its table and the intact model's."""
    return lambda: (predict(model, place.base / "outs"), np.load(place.base / "intact.npy"))


def as_intact(came: tuple[np.ndarray, np.ndarray]) -> None:
    """Assert that the prediction is what the intact model gives."""
    np.testing.assert_allclose(came[0], came[1], atol=1e-3)


def npy(values: np.ndarray, **header: object) -> bytes:
    """An npy file, with a header that lies where it is told to."""
    data = io.BytesIO()
    said = {"descr": values.dtype.str, "fortran_order": False, "shape": values.shape} | header
    np.lib.format.write_array_header_1_0(data, said)
    return data.getvalue() + values.tobytes()


def object_npy(place: Place) -> bytes:
    """An npy file of one object, whose pickle is code."""
    from ..place import Code

    data = io.BytesIO()
    values = np.empty(1, object)
    values[0] = Code(str(place.canary))
    np.save(data, values, allow_pickle=True)
    return data.getvalue()


def torch_zip(place: Place) -> bytes:
    """A checkpoint of torch whose pickle is code."""
    import zipfile

    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        file.writestr("archive/data.pkl", place.code())
        file.writestr("archive/version", "3\n")
    return data.getvalue()


def redigest(model: Path, files: dict[str, bytes] | None = None, **said: object) -> None:
    """Change files of the reference; digests and the model's own are made to fit, as an enemy can."""
    from napari_umpire.inference.references import format as form
    from napari_umpire.models.folder import model_digest

    folder = model / "reference"
    path = folder / "reference.json"
    told = json.loads(path.read_text())
    for name, data in (files or {}).items():
        (folder / name).unlink(missing_ok=True)
        (folder / name).write_bytes(data)
    for part in ("files", "parts"):
        told[part] = {
            name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
            if (folder / name).is_file()
            else digest
            for name, digest in told[part].items()
        }
    told |= {"model_digest": model_digest(model)} | said
    kept = {
        k: v for k, v in told.items() if k not in ("format", "version", "digest", "parts_digest")
    }
    try:
        slides = tuple(form.SlideInfo(**one) for one in kept["slides"])
        patches = form.PatchesInfo(**kept["patches"]) if kept.get("patches") else None
        info = form.ReferenceInfo(**kept | {"slides": slides, "patches": patches})
        told |= {"digest": info.digest, "parts_digest": info.parts_digest}
    except Exception:
        pass
    path.write_text(json.dumps(told))
