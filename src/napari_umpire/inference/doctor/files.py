"""The doctor's look at files: folders and their disks, weights, a model, a slide."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from napari_umpire.errors import InputError
from napari_umpire.inference.doctor.checkup import Check
from napari_umpire.models.local_weights import (
    ENVIRONMENT,
    PUBLISHED,
    PublishedWeights,
    find_weights,
    weights_folder,
)
from napari_umpire.words import size_on_disk

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_umpire.slides.slide import Slide

__all__ = ["check_folders", "check_model", "check_slide", "check_slide_file", "check_weights"]

_SCANT = 5 * 10**9
_TOO_LITTLE = 200 * 10**6


def check_folders(folders: Sequence[tuple[str, Path]]) -> list[Check]:
    """Whether each folder can be written to, and how much room its disk has."""
    return [_folder(f"Disk for {purpose}", folder) for purpose, folder in folders]


def _folder(name: str, folder: Path) -> Check:
    around = folder.expanduser().absolute()
    while not around.exists() and around != around.parent:
        around = around.parent  # it is made when first needed
    try:
        with tempfile.TemporaryFile(dir=around):
            pass
        free = shutil.disk_usage(around).free
    except OSError as error:
        said = f"{folder} cannot be written to ({error.strerror or error})"
        return Check(name, "FAIL", said, "Choose another folder, in the preferences or by option")
    said = f"{size_on_disk(free)} free at {folder}"
    if free < _TOO_LITTLE:
        return Check(name, "FAIL", said, "Free space there, or choose another folder")
    if free < _SCANT:
        mend = "Enough for small slides. Free space there, or choose another folder"
        return Check(name, "WARN", said, mend)
    return Check(name, "PASS", said)


def check_weights(folder: Path | None = None) -> list[Check]:
    """Which weights of published image encoders are here, and how to get the others."""
    named = folder or weights_folder()
    checks = []
    if named is not None and not named.is_dir():
        mend = "Make it, or name another in the preferences or by " + ENVIRONMENT
        checks.append(Check("Folder of weights", "WARN", f"{named} does not exist", mend))
    lines, missing = [], []
    for one in PUBLISHED:
        path = find_weights(one.hub, named)
        if path is None:
            missing.append(one)
        else:
            lines.append(f"{one.title}: {path}, {_digest(path)}")
    said = "\n".join(lines) or "none on this computer"
    said += "\nNone is needed to predict: a model folder holds its own."
    return [*checks, Check("Image encoders", "PASS", said, _how_to_get(missing, named))]


def _how_to_get(missing: Sequence[PublishedWeights], named: Path | None) -> str:
    if not missing:
        return ""
    where = Path("FOLDER") if named is None else named
    intro = (
        "To train with one, download its pytorch_model.bin from its page (where gated, first ask "
        "there for access, logged in) and save it as:"
    )
    lines = [intro]
    for one in missing:
        gated = " (gated)" if one.gated else ""
        lines.append(f"{one.title}{gated}: huggingface.co/{one.hub}, as {one.place(where)}")
    if named is None:
        lines.append(f"FOLDER is the one that you name in the preferences, or by {ENVIRONMENT}.")
    return "\n".join(lines)


def _digest(path: Path) -> str:
    """The first digits of a file's sha256, by which a hub's page names it too, and its size."""
    import hashlib

    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return f"{size_on_disk(path.stat().st_size)}, sha256 {digest[:12]}"


def check_model(folder: str) -> list[Check]:
    """Whether a model folder loads, its digest, and whether its reference is its own."""
    from napari_umpire.inference.model import load_model
    from napari_umpire.inference.model_path import is_hub_name

    name = "Model"
    if is_hub_name(folder) and not Path(folder).expanduser().is_dir():
        said = f"{folder} is a name on the hub, which is asked only by a run"
        return [Check(name, "WARN", said, "Download the folder and name it, to have it checked")]
    try:
        model = load_model(folder, device="cpu")
        reference = model.reference
    except InputError as error:
        return [Check(name, "FAIL", _said(error), error.fix or "Choose the folder of a model")]
    spec = model.patch_spec
    checks = [
        Check(
            name,
            "PASS",
            f"{model.path}, digest {model.digest[:12]}; {model.config.vision.name}, "
            f"{spec.field_um:g} um fields as {spec.size_px} px; {model.vocabulary.n_genes:,} genes",
        )
    ]
    decoder = model.config.decoder
    if decoder is not None:
        said = f"{len(decoder.genes):,} genes from the image alone"
        checks.append(Check("Decoder", "PASS", said))
    build = "Build one from measured slides: umpire-train reference"
    if not model.config.aligned:
        said = "none, and none can be: trained by reconstruction alone, it predicts by its decoder"
        checks.append(Check("Reference", "PASS", said))
    elif reference is None and decoder is not None:
        said = "none, so the model cannot retrieve and predicts by its decoder, without evidence"
        checks.append(Check("Reference", "WARN", said, build))
    elif reference is None:
        checks.append(Check("Reference", "FAIL", "none, so the model cannot predict", build))
    elif reference.info.model_digest != model.digest:
        said = f"was made with another model ({reference.info.model_digest[:12]})"
        checks.append(Check("Reference", "FAIL", said, build.replace("one", "it again")))
    else:
        said = (
            f"{reference.n:,} spots of {len(reference.info.slides)} slides, "
            f"{len(reference.genes):,} genes, digest {reference.digest[:12]}"
        )
        checks.append(Check("Reference", "PASS", said))
    return checks


def check_slide_file(path: str) -> list[Check]:
    """Whether a slide opens, and how it stands with its scale."""
    from napari_umpire.slides.open import open_slides

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            slides = open_slides(path)
        except InputError as error:
            return [Check("Slide", "FAIL", _said(error), error.fix or "Open another slide")]
    checks = [check for slide in slides for check in check_slide(slide)]
    from napari_umpire.errors import UmpireWarning

    said = [str(w.message) for w in caught if issubclass(w.category, UmpireWarning)]
    return checks + [Check("Slide", "WARN", text, "See the slide card in Predict") for text in said]


def check_slide(slide: Slide) -> list[Check]:
    """How an open slide stands with its physical scale and its spots."""
    height, width = slide.pyramid.extent
    name = f"Slide {slide.name}"
    said = f"{width:,.0f} x {height:,.0f} px, {slide.n_spots:,} spots, {slide.scale.describe()}"
    if slide.scale.mpp is None:
        mend = "Enter the um per px in Predict, or give --mpp: 0.25 for a 40x scan, 0.5 for 20x"
        return [Check(name, "FAIL", said, mend)]
    if slide.n_spots == 0:
        return [Check(name, "FAIL", said, "Check its um per px: no spot fits on the tissue")]
    return [Check(name, "PASS", said)]


def _said(error: InputError) -> str:
    """What an error says, without what to do."""
    parts = [error.problem.rstrip(".")]
    if error.got is not None:
        parts.append(f"got {error.got}")
    return "; ".join(parts)
