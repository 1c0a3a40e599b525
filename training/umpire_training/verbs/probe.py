"""`umpire-train probe`: a linear probe of spot labels on frozen features, tested by folds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from umpire_training.options.probe import ProbeSettings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from umpire_training.corpus.labelled import LabelledSection
    from umpire_training.corpus.sources import Source
    from umpire_training.stages.probe_data import ProbeData
    from umpire_training.stages.probe_features import FixedFeatures, FoldEncoders

__all__ = ["Options", "run"]


@dataclass(kw_only=True)
class Options(ProbeSettings):
    """A linear probe of spot labels on frozen features, beside controls, tested by folds.

    Parameters
    ----------
    slides
        Labelled slides with image and counts.
    counts
        Labelled sections of which only the counts are read.
    labels
        A table of classes for one section, or a folder with a table for each, whose name begins
        with that of the section.
    column
        The column that holds the classes; without labels, of the slides' own tables.
    model
        Model folder whose encoders are probed.
    encoder
        Run folder of `pretrain` whose gene encoder is probed.
    pretrain_counts
        Counts to pre-train a gene encoder on, in each fold without the slide or patient that it
        holds out; they are kept in memory.
    output
        Run folder: folds/, folds.csv, predictions.csv, confusion.csv, probe.md.
    allow_seen
        Take an encoder that has seen counts of held-out sections, and say so in the table.
    save
        Train the probe of the Classes widget on all labelled spots too, and keep it in the model
        folder under this name.
    save_kind
        What that probe reads: embeddings of the spots' image or of their genes.
    mpp
        um per full-resolution px of all slides, where the files do not say.
    device
        Where a model's encoders compute.
    batch_size
        Patches per step of the image encoder.
    seed
        Seed of everything random.
    resume
        Continue the run in the output folder.
    """

    slides: list[str] = field(default_factory=list)
    counts: list[str] = field(default_factory=list)
    labels: str | None = None
    column: str | None = None
    model: str | None = None
    encoder: str | None = None
    pretrain_counts: list[str] = field(default_factory=list)
    output: str
    allow_seen: bool = False
    save: str | None = None
    save_kind: Literal["image", "genes"] = "image"
    mpp: float | None = None
    device: str = "auto"
    batch_size: int = 64
    seed: int = 0
    resume: bool = False


def run(options: Options) -> None:
    """Test a probe in a run folder."""
    from napari_umpire.inference.classes.probe_file import PROBES
    from umpire_training.benchmark.probe_table import write_probe
    from umpire_training.corpus.building import require_writable
    from umpire_training.corpus.finding import find_sources
    from umpire_training.corpus.labelled import read_labelled
    from umpire_training.run_folder import RunFolder, logger
    from umpire_training.stages.probe import probe_folds
    from umpire_training.stages.probe_checks import check_settings, same_data
    from umpire_training.stages.probe_data import gather_sections
    from umpire_training.stages.probe_words import known_sections, protocol

    check_settings(options)
    if options.save is not None and options.model is not None:
        require_writable(_path(options.model) / PROBES, "The probe")
    slides, single = find_sources(options.slides, options.counts, mpp=options.mpp)
    more = find_sources((), options.pretrain_counts)[1] if options.pretrain_counts else []
    group_of = _groups(options, [*slides, *single], more)
    folder = RunFolder(
        options.output,
        verb="probe",
        options=options,
        resume=options.resume,
        makes=("probe.md", "folds.csv", "predictions.csv"),
    )
    with folder:
        if folder.finished:
            logger.info("this run is finished already")
            return
        labels = None if options.labels is None else _path(options.labels)
        sections = [
            read_labelled(source, labels, options.column, options.qc)
            for source in [*slides, *single]
        ]
        data = gather_sections(sections, options.split, options.leave_out, group_of, options.seed)
        known = [] if options.model is None else known_sections(options.model, data)
        features = _features(options, data, more, group_of, folder.path)
        same_data(data, folder.path)
        results = probe_folds(
            data, features, options, folder=folder.path / "folds", seed=options.seed
        )
        text = write_probe(folder.path, data, results, protocol(data, options, len(more), known))
        logger.info("%s", text)
        saved = _save(options, sections) if options.save is not None else None
        folder.finish(table=str(folder.path / "probe.md"), probe=saved)


def _path(text: str) -> Path:
    from pathlib import Path

    return Path(text).expanduser()


def _groups(options: Options, labelled: Sequence[Source], more: Sequence[Source]) -> dict[str, str]:
    """Slide or patient of each section by name."""
    from umpire_training.corpus.patients import read_patient_of
    from umpire_training.stages.probe_checks import patients_by_name

    names = list(dict.fromkeys(source.name for source in [*labelled, *more]))
    if options.split.group == "slide":
        return {name: name for name in names}
    if options.split.patients is not None:
        return read_patient_of(options.split.patients, names)
    assert options.split.patient_pattern is not None  # check_settings
    return patients_by_name(options.split.patient_pattern, names)


def _features(
    options: Options,
    data: ProbeData,
    more: Sequence[Source],
    group_of: Mapping[str, str],
    folder: Path,
) -> FixedFeatures | FoldEncoders:
    from umpire_training.corpus.content import content_of
    from umpire_training.corpus.memory import keep
    from umpire_training.stages.probe_encoders import Encoder, not_seen
    from umpire_training.stages.probe_features import (
        FixedFeatures,
        FoldEncoders,
        model_features,
    )

    if options.model is not None:
        from napari_umpire.inference.model import load_model

        model = load_model(options.model, device=options.device)
        return model_features(
            model, data, options, folder / "features", options.batch_size, options.seed
        )
    if options.encoder is not None:
        if not options.allow_seen:
            not_seen(options.encoder, data.sections)
        encoder = Encoder.of_run(options.encoder, options.levels)
        return FixedFeatures(data, options, encoder, None, options.seed)
    kept = [keep(source) for source in more]
    contents = {s.name: content_of(chunk.counts for chunk in s.kept) for s in kept}
    found = FoldEncoders(data, options, kept, contents, group_of, folder / "encoders", options.seed)
    found.check()
    return found


def _save(options: Options, sections: Sequence[LabelledSection]) -> str:
    """Train and keep the probe that the Classes widget opens; its folder."""
    from napari_umpire.inference.model import load_model
    from umpire_training.stages.probe_save import save_for_widget

    assert options.model is not None  # check_settings
    assert options.save is not None
    model = load_model(options.model, device=options.device)
    place = save_for_widget(
        model,
        sections,
        options.save,
        options.save_kind,
        leave_out=options.leave_out,
        batch_size=options.batch_size,
        balanced=options.fit.balanced,
        c=options.fit.c,
        n_folds=options.split.folds,
        seed=options.seed,
    )
    return str(place)
