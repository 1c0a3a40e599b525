"""Stores with pieces cut, missing or exchanged."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np

from ..builders import HEIGHT, WIDTH, sdata
from ..case import of_kind
from ..look import slide_is

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ..place import Place

case = of_kind("stores")
RIGHT = slide_is(mpp=2.0, size=(HEIGHT, WIDTH), counts=True)
STORE = r"store|image|spots|shapes|circles|table|transform|record|piece|zarr|element"


def store(name: str, change: Callable[[Path], object], **how: Any) -> None:
    """A case of a copy of the intact store that this package wrote."""

    def make(place: Place) -> Path:
        path = place.copy("store.zarr")
        change(path)
        return path

    case(f"store-{name}", make, **how or {"refuses": STORE})


def only(path: Path, pattern: str) -> Path:
    return sorted(path.glob(pattern))[0]


def pieces(path: Path, of: str = "images/*/*/c/**/*") -> list[Path]:
    return sorted(p for p in path.glob(of) if p.is_file())


def each(change: Callable[[Path], object], of: str = "images/*/*/c/**/*") -> Any:
    return lambda path: [change(p) for p in pieces(path, of)]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def loosen(path: Path) -> None:
    """Drop the consolidated copy of the metadata, so that the elements' own files count."""
    edit(path / "zarr.json", lambda d: d.pop("consolidated_metadata", None))


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


store("intact", lambda s: None, right=RIGHT, silent=True)
store("pieces-cut", each(cut))
store("pieces-without-a-byte", each(lambda p: p.write_bytes(b"")))
store("pieces-of-noise", each(lambda p: p.write_bytes(bytes(range(256)) * 2)))
store("pieces-missing", each(lambda p: p.unlink()))
store("one-piece-missing", lambda s: pieces(s)[0].unlink())
store("one-piece-cut", lambda s: cut(pieces(s)[0]))
store("pieces-are-folders", each(lambda p: (p.unlink(), p.mkdir())))
for what, change in {"cut": cut, "missing": lambda p: p.unlink()}.items():
    store(f"table-pieces-{what}", each(change, "tables/table/X/**/c/*"), refuses=STORE + "|count",
          warns="count|table")  # fmt: skip
for name, what in {
    "gone": lambda p: p.unlink(),
    "empty": lambda p: p.write_bytes(b""),
    "web-page": lambda p: p.write_text("<html>"),
    "bare": lambda p: p.write_text('{"zarr_format": 3, "node_type": "group"}'),
    "list": lambda p: p.write_text("[1, 2]"),
    "deep": lambda p: p.write_text("[" * 100_000 + "]" * 100_000),
}.items():
    store(f"root-{name}", lambda s, w=what: w(s / "zarr.json"))
for element in ("images/*", "images/*/s0", "shapes/*", "tables/table"):
    found = {"silent": True, "warns": STORE} if element.startswith("tables") else {}

    def without(path: Path, element: str = element) -> None:
        only(path, f"{element}/zarr.json").unlink()
        loosen(path)

    store(f"{element.replace('/*', '').replace('/', '-')}-without-metadata", without,
          refuses=STORE, **found)  # fmt: skip
store("parquet-cut", lambda s: cut(only(s, "shapes/*/shapes.parquet")))
store("parquet-gone", lambda s: only(s, "shapes/*/shapes.parquet").unlink())
store("without-images", lambda s: shutil.rmtree(s / "images"))
store("without-shapes", lambda s: shutil.rmtree(s / "shapes"))
store("without-its-table", lambda s: shutil.rmtree(s / "tables/table"), refuses=STORE,
      warns=STORE)  # fmt: skip
store("link-to-itself-inside", lambda s: (s / "labels").mkdir() or (s / "labels/x").symlink_to(s),
      right=RIGHT, silent=True, refuses=STORE)  # fmt: skip
store("both-roots", lambda s: (s / ".zgroup").write_text('{"zarr_format": 2}'), right=RIGHT,
      silent=True, warns=STORE, refuses=STORE)  # fmt: skip
store("partial-file-in-the-root", lambda s: (s / "zarr.abc.partial").write_text("{"), right=RIGHT,
      silent=True)  # fmt: skip

TRANSFORM = "coordinateTransformations"


def attributes(name: str, kind: str, change: Callable[[dict[str, Any]], object]) -> None:
    def spoil(path: Path) -> None:
        edit(only(path, f"{kind}/*/zarr.json"), lambda d: change(d["attributes"]))
        loosen(path)

    store(name, spoil)


attributes("shapes-without-transform", "shapes", lambda a: a.pop(TRANSFORM))
attributes("image-without-transform", "images", lambda a: a["ome"]["multiscales"][0].pop(TRANSFORM))
for name, scale in {
    "nan": [float("nan")] * 2,
    "0": [0.0, 0.0],
    "text": ["a", "b"],
    "1": [1.0],
}.items():
    attributes(f"shapes-scaled-by-{name}", "shapes",
               lambda a, v=scale: a[TRANSFORM][0].update(type="scale", scale=v))  # fmt: skip
attributes("image-scaled-by-0", "images", lambda a: a["ome"]["multiscales"][0][TRANSFORM][0].update(
    type="scale", scale=[1.0, 0.0, 0.0]))  # fmt: skip
attributes(
    "image-without-levels", "images", lambda a: a["ome"]["multiscales"][0].update(datasets=[])
)
attributes("image-level-elsewhere", "images",
           lambda a: a["ome"]["multiscales"][0]["datasets"][0].update(path="../../../.."))  # fmt: skip


def array(name: str, **values: object) -> None:
    """The metadata of the finest level, with values that lie."""

    def spoil(path: Path) -> None:
        edit(only(path, "images/*/s0/zarr.json"), lambda d: d.update(values))
        loosen(path)

    store(f"level-{name}", spoil)


array("of-1e9-px", shape=[3, 10**9, 10**9])
array("of-negative-shape", shape=[3, -1, 5])
array("of-no-px", shape=[3, 0, 0])
array("of-unknown-type", data_type="quark")
array("of-unknown-codec", codecs=[{"name": "quark"}])


def other(name: str, change: Callable[[Any], Any], **how: Any) -> None:
    """A case that spatialdata writes, of changed elements."""

    def make(place: Place) -> Path:
        made = sdata()
        changed = change(made)
        (made if changed is None else changed).write(place.folder / "x.zarr")
        return place.folder / "x.zarr"

    case(f"store-{name}", make, **how or {"refuses": STORE})


def images_alone(made: Any) -> Any:
    import spatialdata as sd

    return sd.SpatialData(images=dict(made.images))


def squares(made: Any) -> None:
    from spatialdata.models import ShapesModel

    circles = made.shapes["spots"]
    boxes = circles.set_geometry(circles.buffer(25, cap_style="square")).drop(columns="radius")
    del made.tables["table"]
    made.shapes["spots"] = ShapesModel.parse(boxes)


def points(made: Any) -> Any:
    import spatialdata as sd
    from spatialdata.models import PointsModel

    circles = made.shapes["spots"]
    at = PointsModel.parse(np.column_stack([circles.geometry.x, circles.geometry.y]))
    return sd.SpatialData(images=dict(made.images), points={"spots": at})


def tiny(made: Any) -> None:
    circles = made.shapes["spots"].copy()
    circles["radius"] = 1e-9
    made.shapes["spots"] = circles


other("image-alone", images_alone)
other("squares-for-circles", squares)
other("points-for-circles", points)
other("circles-of-no-size", tiny, right=slide_is(mpp=2.0), silent=True, warns="diameter|radius",
      refuses="diameter|radius")  # fmt: skip


def old(place: Place) -> Path:
    import spatialdata
    from spatialdata._io.format import SpatialDataContainerFormatV01

    whole = spatialdata.read_zarr(place.base / "store.zarr")
    path = place.folder / "old.zarr"
    whole.write(path, sdata_formats=[SpatialDataContainerFormatV01()])
    return path


case("store-v2", old, right=RIGHT, silent=True)


@case("store-v2-image-without-attributes", refuses=STORE)
def _(place: Place) -> Path:
    path = old(place)
    only(path, "images/*/.zattrs").unlink()
    (path / ".zmetadata").unlink(missing_ok=True)
    return path


@case("store-v2-root-without-attributes", right=slide_is(mpp=2.0), silent=True, warns=STORE,
      refuses=STORE)  # fmt: skip
def _(place: Place) -> Path:
    path = old(place)
    for name in (".zattrs", ".zmetadata"):
        (path / name).unlink(missing_ok=True)
    return path


@case("store-v2-asks-for-pickles", right=RIGHT, silent=True, warns=STORE, refuses=STORE)
def _(place: Place) -> Path:
    path = old(place)
    evil = path / "tables/table/uns/evil"
    evil.mkdir(parents=True)
    head = {"zarr_format": 2, "shape": [1], "chunks": [1], "dtype": "|O", "fill_value": None}
    head |= {"order": "C", "filters": [{"id": "pickle", "protocol": 5}], "compressor": None}
    (evil / ".zarray").write_text(json.dumps(head))
    (evil / ".zattrs").write_text('{"encoding-type": "string-array", "encoding-version": "0.2.0"}')
    (evil / "0").write_bytes(place.code(0))
    (path / ".zmetadata").unlink(missing_ok=True)
    return path


def encoded(name: str, kind: str, version: str) -> None:
    def spoil(path: Path) -> None:
        edit(path / "tables/table/zarr.json", lambda d: d["attributes"].update(
            {"encoding-type": kind, "encoding-version": version}))  # fmt: skip
        loosen(path)

    store(f"table-encoded-{name}", spoil, refuses=STORE, warns=STORE)


encoded("in-no-version", "anndata", "NaN.0")
encoded("as-a-pickle", "pickle", "0.1.0")


@case("store-is-an-empty-folder", refuses=STORE + "|empty")
def _(place: Place) -> Path:
    (place.folder / "x.zarr").mkdir()
    return place.folder / "x.zarr"


@case("store-is-a-zip", refuses="x.zarr")
def _(place: Place) -> Path:
    import zipfile

    with zipfile.ZipFile(place.folder / "x.zarr", "w") as file:
        file.writestr("zarr.json", "{}")
    return place.folder / "x.zarr"
