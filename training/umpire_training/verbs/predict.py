"""`umpire-train predict`: gene maps of slides, written into their stores."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from napari_umpire.inference.predictions.weights import Weighting  # noqa: TC001  (keys.py reads the options' types)

if TYPE_CHECKING:
    from pathlib import Path

    from napari_umpire.inference.cache import FeatureCache
    from napari_umpire.inference.model import Model
    from napari_umpire.inference.predictions.record import Method
    from napari_umpire.inference.references.database import ReferenceDatabase
    from napari_umpire.slides.slide import Slide

__all__ = ["Options", "run", "translate_config"]


@dataclass(kw_only=True)
class Options:
    """Predicted gene maps; a run record is a config file of this verb.

    Parameters
    ----------
    model
        Model folder, or "owner/name" on the hub.
    slides
        Slides to predict; one that fails is reported and the others go on.
    method
        "retrieval": from similar spots of a reference, with evidence; "decoder": from the image
        alone, the genes that the model's decoder knows; "auto": retrieval where there is a
        reference, else the decoder.
    reference
        Reference folder; null: the model's own.
    k
        References per spot, to retrieve.
    weighting
        "softmax" at the model's temperature, or "similarity" (eq. 9).
    genes
        Genes to write, by symbol or id; empty: all.
    std
        Also write the spread over the references.
    name
        Name of the new table; a number is added where it is taken.
    output
        Folder for the stores; null: into the slide's own store, or a store beside what was opened.
    image
        The full-resolution image to use, for a single slide.
    region
        Which section of a store that holds several; null: all.
    mpp
        um per full-resolution px of all slides, where the files do not say.
    cache
        Folder of image features, by which a stopped run goes on; null: none.
    device
        Where to compute.
    batch_size
        Patches per step.
    workers
        Slides at a time, each in a process of its own.
    scheduler
        Address or scheduler file of a running dask cluster that sees the same files; null: none.
    seed
        Kept in the record; nothing in a prediction is random.
    provenance
        Of a run record: the digests are compared with what is found now.
    """

    model: str
    slides: list[str]
    method: Literal["auto", "retrieval", "decoder"] = "auto"
    reference: str | None = None
    k: int = 50
    weighting: Weighting = "softmax"
    genes: list[str] = field(default_factory=list)
    std: bool = False
    name: str = "umpire"
    output: str | None = None
    image: str | None = None
    region: str | None = None
    mpp: float | None = None
    cache: str | None = None
    device: str = "auto"
    batch_size: int = 64
    workers: int = 1
    scheduler: str | None = None
    seed: int = 0
    provenance: dict[str, str] = field(default_factory=dict)


def translate_config(tree: dict[str, Any], path: Path) -> dict[str, Any]:
    """A run record as options; other config files as they are."""
    if "slide" not in tree or "slides" in tree:
        return tree
    from napari_umpire.inference.predictions.record import RunRecord

    values = RunRecord.from_dict(tree).to_dict()
    return {"slides": [values.pop("slide")], **values}


def run(options: Options) -> int:
    """Predict each slide; 0, or 2 where input was at fault, or 1 where a slide failed otherwise."""
    import traceback
    from functools import partial
    from pathlib import Path

    from napari_umpire.errors import InputError
    from napari_umpire.inference.run import check_options
    from umpire_training.cluster import for_each
    from umpire_training.console import say

    if not options.slides:
        raise InputError("No slides were given", fix="Name them after the verb")
    check_options(options.k, options.weighting, options.batch_size)
    if options.output is not None:
        _check_output(Path(options.output))
    if options.workers == 1 and options.scheduler is None:
        _load(options)  # a wrong path, or method, ends it at once
    failed, code = [], 0
    for path, outcome in for_each(
        partial(_predict_path, options),
        options.slides,
        workers=options.workers,
        scheduler=options.scheduler,
    ):
        if not isinstance(outcome, Exception):
            for line in outcome:
                say(line)
            continue
        if len(options.slides) == 1:
            raise outcome
        # A cluster job over many slides must not lose the rest to one of them.
        failed.append(path)
        if isinstance(outcome, InputError):
            say(f"{path}: {outcome}")
            code = code or 2
        else:
            say(f"{path}: failed\n{''.join(traceback.format_exception(outcome))}")
            code = 1
    if failed:
        say(f"{len(failed)} of {len(options.slides)} slides failed: {', '.join(failed)}")
    return code


def _predict_path(options: Options, path: str) -> list[str]:
    """Predict all sections of one path, in whatever process; a line for each."""
    from napari_umpire.inference.cache import FeatureCache
    from napari_umpire.slides.open import open_slides

    model, reference, method = _load(options)
    _check_provenance(
        options,
        model_digest=model.digest,
        reference_digest=None if reference is None else reference.digest,
    )
    cache = None if options.cache is None else FeatureCache(options.cache)
    return [
        _predict(slide, options, model, reference, method, cache)
        for slide in open_slides(path, mpp=options.mpp, image=options.image, region=options.region)
    ]


def _load(options: Options) -> tuple[Model, ReferenceDatabase | None, Method]:
    """Model, reference and method, read once in a process however many slides it predicts.

    The reference is None where the decoder predicts, and where there is none.
    """
    from pathlib import Path

    from napari_umpire.errors import InputError
    from napari_umpire.inference.run import choose_method

    folders = [Path(folder) for folder in (options.model, options.reference) if folder is not None]
    # A process of a cluster outlives the model that lay there before. Unpacked anew, a file has the
    # time of the one that it replaces.
    files = sorted(file for folder in folders for file in folder.rglob("*") if file.is_file())
    stats = [file.stat() for file in files]
    stamps = tuple(
        (str(file), stat.st_size, stat.st_mtime_ns, stat.st_ino)
        for file, stat in zip(files, stats, strict=True)
    )
    model, reference = _read(options.model, options.reference, options.device, stamps)
    method = choose_method(model, options.method, reference)
    if method == "retrieval":
        return model, model.reference if reference is None else reference, method
    if options.std:
        raise InputError(
            f"The decoder of {model.name} has no references whose spread could be written",
            fix="Leave out --std, or predict with --method retrieval",
        )
    return model, None, method


@lru_cache(maxsize=1)
def _read(
    model: str, reference: str | None, device: str, stamps: tuple[tuple[str, int, int, int], ...]
) -> tuple[Model, ReferenceDatabase | None]:
    from napari_umpire.inference.model import load_model
    from napari_umpire.inference.references.database import ReferenceDatabase

    loaded = load_model(model, device=device)
    return loaded, ReferenceDatabase.open(reference) if reference else None


def _check_output(path: Path) -> None:
    """Refuse, before the work, a place that is no folder for stores."""
    from napari_umpire.errors import InputError
    from napari_umpire.slides.open import sniff

    if path.is_file():
        raise InputError(f"{path} is a file", expected="a folder for the results")
    if path.suffix == ".zarr" or (path.is_dir() and sniff(path) == "spatialdata"):
        raise InputError(
            f"{path} is a store",
            expected="a folder, which gets one store per slide",
            fix="Leave out --output to write into the slide's own store, or name a folder",
        )


def _check_provenance(options: Options, **digests: str | None) -> None:
    """Refuse to repeat a run with another model, reference or slide than its record names."""
    from napari_umpire.inference.predictions.record import RunRecord

    if options.provenance:
        slide, model = options.slides[0], options.model
        record = RunRecord(slide=slide, model=model, provenance=options.provenance)
        record.check(strict=True, **digests)


def _predict(
    slide: Slide,
    options: Options,
    model: Model,
    reference: ReferenceDatabase | None,
    method: Method,
    cache: FeatureCache | None,
) -> str:
    """Predict one slide, write table and record, and say where they are."""
    from dataclasses import replace
    from pathlib import Path

    from napari_umpire.errors import UmpireWarning
    from napari_umpire.files import make_folder
    from napari_umpire.inference.predictions.saving import place_of, save_steps
    from napari_umpire.slides.elements import element_name
    from napari_umpire.slides.results import check_store
    from umpire_training.console import follow

    _check_provenance(options, slide_digest=slide.digest)
    store = None
    if options.output is not None:
        make_folder(Path(options.output))
        store = Path(options.output) / f"{element_name(slide.name)}.zarr"
    check_store(slide, place_of(slide, store))
    if reference is not None and options.k > reference.info.n:
        warnings.warn(
            f"k is {options.k:,}, and the reference has {reference.info.n:,} spots: each "
            "prediction is made of all of them.",
            UmpireWarning,
            stacklevel=2,
        )
    prediction = follow(
        model.predict(
            slide,
            method=method,
            reference=reference,
            k=options.k,
            weighting=options.weighting,
            batch_size=options.batch_size,
            cache=cache,
        )
    )
    record = replace(
        prediction.record,
        image=_image(options.image),
        region=options.region or prediction.record.region,
        seed=options.seed,
        genes=tuple(options.genes),
        std=options.std,
        name=options.name,
    )
    saved = follow(save_steps(slide, prediction, record, store=store))
    return f"{slide.name}: {saved.describe()}"


def _image(image: str | None) -> str | None:
    """A path from any folder, since a record is read from any; a name within a file as it is."""
    from pathlib import Path

    return str(Path(image).absolute()) if image is not None and Path(image).exists() else image
