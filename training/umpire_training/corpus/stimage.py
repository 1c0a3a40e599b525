"""The folder layout of STImage-1K4M: gene_exp/, coord/ and image/ under ST/, Visium/, VisiumHD/.

``gene_exp/SLIDE_count.csv`` has a row per spot and a column per gene symbol and may be gigabytes
long; it is read line by line. ``meta/meta_all_gene*.csv`` says species and technology.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from napari_umpire.errors import InputError
from napari_umpire.faults import reading
from napari_umpire.files import visible
from umpire_training.corpus.sources import Chunk, Source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_umpire.slides.slide import Slide

__all__ = ["STImageSource", "stimage_sources"]

TECHNOLOGIES = ("ST", "Visium", "VisiumHD")
_COUNTS, _COORDS = "_count.csv", "_coord.csv"
_ROWS = 2048
# A line of 30,000 genes is some 100 kB; one that never ends is not a table.
_LONGEST_LINE = 64 * 2**20


@dataclass(frozen=True)
class STImageSource(Source):
    """One slide of an STImage-1K4M folder."""

    layout: ClassVar[str] = "STImage-1K4M"

    @property
    def folder(self) -> Path:
        """The folder with gene_exp/, coord/ and image/."""
        return Path(self.path).parent.parent

    @property
    def sample(self) -> str:
        """The name by which the collection's files are called."""
        return Path(self.path).name.removesuffix(_COUNTS)

    def _raw(self) -> Iterator[Chunk]:
        import scipy.sparse as sp

        from napari_umpire.genes.columns import gene_table
        from umpire_training.corpus._count_line import parse_counts

        path = Path(self.path)
        try:
            with path.open("rb") as file:
                names = next(csv.reader([file.readline(_LONGEST_LINE).decode("utf-8-sig")]), [])
                symbols = pd.Index(names[1:]).astype(str)
                if symbols.empty:
                    raise ValueError("no column of a gene")
                genes = gene_table(pd.DataFrame({"symbol": symbols}, index=symbols))
                columns, values = np.empty(len(symbols), np.int32), np.empty(len(symbols))
                done = 0
                while True:
                    spots: list[str] = []
                    indices: list[np.ndarray] = []
                    data: list[np.ndarray] = []
                    ends = [0]
                    while len(spots) < _ROWS and (line := file.readline(_LONGEST_LINE).rstrip()):
                        at = line.find(b",")
                        fields, kept = parse_counts(line, at + 1, columns, values)
                        if at < 0 or fields != len(symbols):
                            raise ValueError(
                                f"{fields} numbers under {len(symbols)} genes in line "
                                f"{done + len(spots) + 2}; was the file cut short?"
                            )
                        spots.append(self._spot(line[:at].decode()))
                        indices.append(columns[:kept].copy())
                        data.append(values[:kept].copy())
                        ends.append(ends[-1] + kept)
                    if not spots:
                        break
                    counts = sp.csr_matrix(
                        (np.concatenate(data), np.concatenate(indices), ends),
                        shape=(len(spots), len(symbols)),
                    )
                    rows = np.arange(done, done + len(spots))
                    yield Chunk(counts, genes, np.array(spots), rows)
                    done += len(spots)
        except (OSError, ValueError, csv.Error) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(
                f"The counts {path} cannot be read",
                got=error,
                expected="a csv with a row per spot and a column of whole numbers per gene",
                fix="Download the file again",
            ) from error

    def _spot(self, text: str) -> str:
        return text.strip('"').removeprefix(f"{self.sample}_")

    def whole_image(self) -> Slide:
        """The slide's png, with axes that were checked against it."""
        from napari_umpire.slides.build import build_slide
        from napari_umpire.slides.images import load_image
        from umpire_training.corpus.stimage_axes import check_axes, scale_of

        image = next(iter(sorted((self.folder / "image").glob(f"{self.sample}.*"))), None)
        if image is None:
            raise InputError(
                f"Slide {self.name} of {self.folder} has no image",
                expected=f"image/{self.sample}.png",
                fix="Download it, or name the slide with --counts",
            )
        pyramid = load_image(image).pyramid
        coords = self._coords()
        yx = check_axes(pyramid, coords, name=self.name)
        spots = pd.DataFrame({"y": yx[:, 0], "x": yx[:, 1]}, index=coords.index)
        technology = self.technology or self.folder.name
        scale, pitch_um, spot_um = scale_of(yx, coords["r"].to_numpy(), technology, name=self.name)
        return build_slide(
            self.name,
            pyramid,
            spots.assign(instance_id=np.arange(len(spots))),
            scale,
            platform="st" if technology == "ST" else "visium",
            pitch_um=pitch_um,
            spot_diameter_um=spot_um,
            path=Path(self.path),
        )

    def _coords(self) -> pd.DataFrame:
        path = self.folder / "coord" / f"{self.sample}{_COORDS}"
        try:
            table = pd.read_csv(path, index_col=0, float_precision="round_trip")
            numbers = table[["yaxis", "xaxis", "r"]].astype(np.float64)
        except (OSError, ValueError, KeyError) as error:
            raise InputError(
                f"The coordinates {path} cannot be read",
                got=error,
                expected="a csv with the columns yaxis, xaxis and r",
                fix="Download the file again",
            ) from error
        numbers.index = pd.Index([self._spot(str(i)) for i in table.index])
        if not numbers.index.is_unique or not np.isfinite(numbers.to_numpy()).all():
            raise InputError(
                f"The coordinates {path} are damaged",
                got="a spot twice, or one without a place",
                fix="Download the file again",
            )
        return numbers

    def files(self) -> tuple[Path, ...]:
        """Counts and coordinates."""
        return (Path(self.path), self.folder / "coord" / f"{self.sample}{_COORDS}")


def stimage_sources(path: Path) -> list[Source] | None:
    """The slides of a collection, of one of its folders, or one count csv; None if it is none."""
    if path.name.endswith(_COUNTS) and path.parent.name == "gene_exp":
        files, folder = [path], path.parent.parent
    elif (path / "gene_exp").is_dir():
        files, folder = visible((path / "gene_exp").glob(f"*{_COUNTS}")), path
    else:
        folders = [path / t for t in TECHNOLOGIES if (path / t / "gene_exp").is_dir()]
        if not folders:
            return None
        return [s for f in folders for s in stimage_sources(f) or []]
    if not files:
        raise InputError(
            f"{path} has no slide", expected=f"gene_exp/SLIDE{_COUNTS}", fix="Download some slides"
        )
    table = _meta(folder)
    sources: list[Source] = []
    for file in files:
        name = file.name.removesuffix(_COUNTS)
        row = table.get(name, {})
        technology = folder.name if folder.name in TECHNOLOGIES else str(row.get("tech", ""))
        sources.append(
            STImageSource(
                name, str(file), species=str(row.get("species", "")), technology=technology
            )
        )
    return sources


def _meta(folder: Path) -> dict[str, dict[str, Any]]:
    places = (folder / "meta", folder.parent / "meta", folder, folder.parent)
    files = [p for place in places for p in visible(place.glob("*meta_all_gene*.csv"))]
    if not files:
        return {}
    with reading(f"{files[0]} is not a table"):
        table = pd.read_csv(files[0], dtype=str, keep_default_na=False)
    if not {"slide", "species"} <= set(table.columns):
        return {}
    return {str(r["slide"]): {str(k): v for k, v in r.items()} for r in table.to_dict("records")}
