"""`umpire-train mil`: a slide-status head (ABMIL) for a model, validated by patient."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from umpire_training.options.mil import MilSettings

if TYPE_CHECKING:
    import numpy as np

    from napari_umpire.inference.model import Model
    from napari_umpire.models.status_config import AbmilConfig, StatusConfig, StatusScores
    from napari_umpire.slides.slide import Slide
    from umpire_training.corpus.patients import Patients

__all__ = ["Options", "run"]


@dataclass(kw_only=True)
class Options(MilSettings):
    """A slide-status head: attention over the tiles of a patient, one answer.

    Parameters
    ----------
    model
        Model folder; the head goes to slide_status/<name> in it.
    slides
        Slides, measured or plain images.
    labels
        CSV with the columns slide, patient, label.
    output
        Run folder: tiles/, folds/, predictions.csv, status.md.
    name
        Name of the head; one that is there is never replaced.
    mpp
        um per full-resolution px of all slides, where the files do not say.
    cache
        Folder of image features that other runs share; null: one of its own, cleared in the end.
    device
        Where the image encoder computes; the head is trained where trainer.accelerator says.
    batch_size
        Patches per step of the image encoder.
    seed
        Seed of everything random.
    resume
        Continue the run in the output folder.
    """

    model: str
    slides: list[str]
    labels: str
    output: str
    name: str = "status"
    mpp: float | None = None
    cache: str | None = None
    device: str = "auto"
    batch_size: int = 64
    seed: int = 0
    resume: bool = False


def run(options: Options) -> None:
    """Validate and train in a run folder."""
    from napari_umpire.errors import InputError
    from napari_umpire.inference.cache import FeatureCache
    from napari_umpire.inference.model import load_model
    from napari_umpire.models.status_config import TileConfig
    from napari_umpire.models.status_head import head_folder
    from umpire_training.benchmark.status_table import write_status
    from umpire_training.console import follow
    from umpire_training.corpus.building import require_writable
    from umpire_training.corpus.patients import read_patients
    from umpire_training.corpus.whole_slides import slides_by_name
    from umpire_training.engine.installed import need_lightning
    from umpire_training.run_folder import RunFolder, logger
    from umpire_training.stages.mil import (
        abmil_config,
        check_settings,
        cross_validate,
        farthest,
        fit_head,
    )
    from umpire_training.stages.mil_bags import check_slides, make_bags
    from umpire_training.stages.mil_folds import check_folds
    from umpire_training.stages.mil_head import keep_head
    from umpire_training.stages.same_start import digest_parts, same_start

    need_lightning()
    check_settings(options)
    if not options.slides:
        raise InputError("No slides were given", fix="Name them after the verb")
    slides = slides_by_name(options.slides, options.mpp)
    patients = read_patients(options.labels, slides)
    folds = check_folds(patients.codes, patients.classes, options.validation.folds)
    model = load_model(options.model, device=options.device)
    target = head_folder(model.path, options.name)
    tiles = TileConfig(**asdict(options.tiles))
    check_slides(model, slides, tiles)
    folder = RunFolder(options.output, verb="mil", options=options, resume=options.resume)
    if target.exists() and not folder.resumed:
        raise InputError(f"{target} already exists", fix="Choose another --name")
    require_writable(target.parent, "The head")
    with folder:
        if folder.finished:
            logger.info("this run is finished already")
            return
        labels = digest_parts(patients.to_frame().to_csv(index=False))
        same_start(
            folder.path,
            "mil",
            {
                "labels": (labels, f"table of labels {options.labels}"),
                "model": (model.digest, f"model {model.path}"),
            }
            | {f"slide {name}": (slide.digest, f"slide {name}") for name, slide in slides.items()},
        )
        own = folder.path / "features"
        cache = FeatureCache(options.cache or own)
        bags = follow(
            make_bags(
                model, slides, patients, tiles, folder.path / "tiles",
                batch_size=options.batch_size, cache=cache,
            )
        )  # fmt: skip
        if options.cache is None and own.is_dir():
            cache.clear()
            own.rmdir()
        logger.info(
            "%d patients (%s), %d slides, %d tiles of %d numbers",
            len(patients.names),
            ", ".join(f"{n} {c}" for n, c in zip(patients.counts, patients.classes, strict=True)),
            len(slides),
            bags.n_tiles,
            bags.dim,
        )
        scores, probability, fold = cross_validate(
            bags, patients, folds, options,
            folder=folder.path, seed=options.seed, resume=folder.resumed,
        )  # fmt: skip
        head = fit_head(
            bags, patients.codes, _all(patients), abmil_config(bags, patients, options), options,
            folder=folder.path / "final", seed=options.seed, resume=folder.resumed,
        )  # fmt: skip
        config = replace(
            _config(options, model, slides, patients, scores, head.config),
            farthest=farthest(head, bags),
        )
        keep_head(model.path, head, config)
        command = f"umpire-train mil --config {folder.path / 'config.yaml'}"
        text = write_status(folder.path, config, patients, probability, fold, command=command)
        logger.info("%s", text)
        folder.finish(head=str(target))


def _all(patients: Patients) -> np.ndarray:
    import numpy as np

    return np.arange(len(patients.names))


def _config(
    options: Options,
    model: Model,
    slides: dict[str, Slide],
    patients: Patients,
    scores: StatusScores,
    shape: AbmilConfig,
) -> StatusConfig:
    from napari_umpire.inference.classes.labels import class_colours
    from napari_umpire.models.status_config import StatusConfig, TileConfig

    return StatusConfig(
        name=options.name,
        classes=patients.classes,
        colours=class_colours(len(patients.classes)),
        abmil=shape,
        tiles=TileConfig(**asdict(options.tiles)),
        model_digest=model.digest,
        scores=scores,
        training={
            "optim": {"name": "Adam", **asdict(options.optim)},
            "trainer": {
                k: getattr(options.trainer, k)
                for k in ("epochs", "max_steps", "batch_size", "val_fraction", "patience")
            },
            "seed": options.seed,
        },
        trained_on={name: slide.digest for name, slide in slides.items()},
    )
