"""What one pass over a section tells: its quality, content, species, and sums of its genes."""

from __future__ import annotations

import hashlib
import json
import zipfile
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_umpire.errors import InputError
from napari_umpire.files import replace_file
from umpire_training.corpus.content import Content, ContentCounter
from umpire_training.corpus.qc import passes
from umpire_training.corpus.sources import warn_of_names
from umpire_training.corpus.species import source_species

if TYPE_CHECKING:
    from pathlib import Path

    from umpire_training.corpus.sources import Source
    from umpire_training.options import QcOptions

__all__ = ["Survey", "source_key", "survey_source"]


@dataclass(frozen=True, eq=False)
class Survey:
    """One section, read through once. Light: what is known of its genes stays on disk.

    Attributes
    ----------
    name, path, layout, technology, species
        What it is; ``species`` "" where nothing tells it.
    n_spots
        Spots in tissue.
    n_outside
        Spots that the file says are beside the tissue.
    n_good
        Spots that pass quality control.
    n_counts
        Counts of the good spots.
    n_columns
        Columns of the table.
    content
        Of all spots in tissue, so that it does not depend on quality control.
    place
        The file it was kept in.
    """

    name: str
    path: str
    layout: str
    technology: str
    species: str
    n_spots: int
    n_outside: int
    n_good: int
    n_counts: int
    n_columns: int
    content: Content
    place: Path

    def facts(self) -> dict[str, Any]:
        """All but the arrays."""
        plain = {k: v for k, v in self.__dict__.items() if k not in ("content", "place")}
        return {**plain, "content": self.content.digest}

    def genes(self) -> pd.DataFrame:
        """The table's columns, as `Slide.genes`."""
        with np.load(self.place, allow_pickle=False) as file:
            name, gene, symbol = _columns(file["genes"])
        return pd.DataFrame({"id": gene, "symbol": symbol}, index=pd.Index(name))

    def sums(self) -> pd.DataFrame:
        """Per gene of the good spots, see `CountedGenes.sums`."""
        with np.load(self.place, allow_pickle=False) as file:
            gene, symbol = _columns(file["sum_names"])
            numbers = file["sum_numbers"]
        frame = pd.DataFrame({"gene": gene, "symbol": symbol})
        frame[["spots", "total"]] = numbers
        return frame

    @classmethod
    def load(cls, place: Path) -> Survey | None:
        """Read what `survey_source` kept; None where there is none, or none that is whole."""
        try:
            with np.load(place, allow_pickle=False) as file:
                facts, keys = json.loads(str(file["facts"])), file["keys"]
        except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
            return None
        return cls(**{**facts, "content": Content(facts["content"], keys)}, place=place)


def survey_source(source: Source, qc: QcOptions, place: Path) -> Survey:
    """Read a section through once, in parts, and keep what it tells in the file ``place``.

    Raises
    ------
    InputError
        Where it cannot be read, holds no spots, or is of two species.
    """
    from napari_umpire.genes.counting import CountedGenes

    counter, counted = ContentCounter(), CountedGenes()
    genes: pd.DataFrame | None = None
    species, n_spots, n_outside, n_good, n_counts = "", 0, 0, 0, 0
    for chunk in source.chunks():
        if genes is None:
            genes, species = chunk.genes, _species(source, chunk.genes)
            warn_of_names(genes, source.path)
        n_spots += chunk.counts.shape[0]
        n_outside += chunk.outside
        counter.add(chunk.counts)
        good = chunk.counts[np.flatnonzero(passes(chunk.counts, qc))]
        n_good += good.shape[0]
        n_counts += int(good.data.sum(dtype=np.int64))
        counted.add(good, genes, where=source.path)
    if genes is None or not n_spots:
        raise InputError(f"{source.path} holds no spots in tissue", fix="Leave it out")
    survey = Survey(
        name=source.name,
        path=source.path,
        layout=source.layout,
        technology=source.technology,
        species=species,
        n_spots=n_spots,
        n_outside=n_outside,
        n_good=n_good,
        n_counts=n_counts,
        n_columns=len(genes),
        content=counter.result(),
        place=place,
    )
    sums = counted.sums()
    with replace_file(place) as written, written.open("wb") as file:
        np.savez(
            file,
            facts=np.array(json.dumps(survey.facts())),
            keys=survey.content.keys,
            genes=_texts(genes.reset_index(names="name"), ("name", "id", "symbol")),
            sum_names=_texts(sums, ("gene", "symbol")),
            sum_numbers=sums[["spots", "total"]].to_numpy(np.int64),
        )
    return survey


def _species(source: Source, genes: pd.DataFrame) -> str:
    try:
        return source_species(source.species, genes)
    except InputError as error:
        # Said of "it" where only a table is known; here the file is.
        raise InputError(
            f"{source.path} cannot be taken: {error.problem}",
            got=error.got,
            expected=error.expected,
            fix=error.fix,
        ) from error


def source_key(source: Source, *more: object) -> str:
    """20 hex digits of a source, its files' sizes and times, and what else a result depends on."""
    stamps = []
    for path in source.files():
        if path.exists():
            stat = path.stat()
            stamps.append((str(path), stat.st_size, stat.st_mtime_ns))
    own = {k: v for k, v in source.__dict__.items() if k != "opened"}
    text = repr((source.layout, sorted(own.items()), stamps, [_plain(m) for m in more]))
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def _plain(value: Any) -> object:
    return asdict(value) if hasattr(value, "__dataclass_fields__") else value


def _texts(frame: pd.DataFrame, columns: tuple[str, ...]) -> np.ndarray:
    """Columns of texts as bytes: an array of texts would be as wide as its longest, times four."""
    lines = ["\n".join(str(v).replace("\n", " ") for v in frame[c]) for c in columns]
    return np.frombuffer("\0".join(lines).encode(), np.uint8)


def _columns(data: np.ndarray) -> list[np.ndarray]:
    return [np.array(t.split("\n"), object) for t in data.tobytes().decode().split("\0")]
