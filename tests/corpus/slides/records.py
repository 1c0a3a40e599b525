"""What our own record in a store claims is one candidate, bound to the image and the circles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..builders import HEIGHT, WIDTH, picture, sdata
from ..case import of_kind
from ..look import slide_is

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ..place import Place

case = of_kind("records")


def ours(place: Place, made: Any = None) -> Any:
    """A store that this package wrote, as spatialdata reads it."""
    import spatialdata

    from napari_umpire.slides.convert import write_slide
    from napari_umpire.slides.open import open_slide

    if made is None:
        return spatialdata.read_zarr(place.base / "store.zarr")
    made.write(place.folder / "first.zarr")
    write_slide(open_slide(place.folder / "first.zarr"), place.folder / "ours.zarr")
    return spatialdata.read_zarr(place.folder / "ours.zarr")


def again(place: Place, whole: Any) -> Path:
    whole.write(place.folder / "again.zarr")
    return place.folder / "again.zarr"


case("saved-again", lambda p: again(p, ours(p)), right=slide_is(mpp=2.0, size=(HEIGHT, WIDTH)),
     silent=True)  # fmt: skip


def rescaled(place: Place, by: float) -> Path:
    from spatialdata.transformations import Scale, set_transformation

    whole = ours(place)
    for element in (*whole.images.values(), *whole.shapes.values()):
        set_transformation(element, Scale([by, by], ("x", "y")), "other")
    return again(place, whole.transform_to_coordinate_system("other"))


for by in (0.5, 2.0, 0.8):
    case(
        f"rescaled-by-{by:g}", lambda p, b=by: rescaled(p, b),
        right=slide_is(mpp=2.0 / by), silent=True, warns=r"record|pitch", refuses=r"record|pitch",
    )  # fmt: skip


@case("black-part-saved-again", right=slide_is(mpp=2.0, size=(HEIGHT, WIDTH)), silent=True)
def _(place: Place) -> Path:
    """Zarr leaves out the pieces that hold the fill value alone: nothing is lost."""
    pixels = picture().copy()
    pixels[512:, :512] = 0
    return again(place, ours(place, sdata(pixels=pixels)))


@case("image-replaced", right=slide_is(mpp=2.0), warns="record|image", refuses="record|image")
def _(place: Place) -> Path:
    """Another image of other size under the name that the record knows."""
    from spatialdata.models import Image2DModel

    whole = ours(place)
    (name,) = whole.images
    small = np.moveaxis(picture()[: HEIGHT - 100, : WIDTH - 100], 2, 0)
    whole.images[name] = Image2DModel.parse(small, c_coords=["r", "g", "b"])
    return again(place, whole)


@case(
    "circles-moved",
    right=slide_is(mpp=1.0),
    silent=True,
    warns="record|pitch",
    refuses="record|pitch",
)
def _(place: Place) -> Path:
    """Circles at twice the distance of those that were recorded: the pitch is now 1 um per px."""
    from spatialdata.models import ShapesModel

    whole = ours(place)
    (name,) = whole.shapes
    circles = whole.shapes[name]
    at = np.column_stack([circles.geometry.x, circles.geometry.y])
    middle = at.mean(axis=0)
    kept = (np.abs(at - middle) < 200).all(axis=1)
    moved = (at - middle) * 2 + (500, 600)
    made = ShapesModel.parse(moved[kept], geometry=0, radius=27.5, index=circles.index[kept])
    whole.shapes[name] = made
    for table in whole.tables.values():
        key = table.uns["spatialdata_attrs"]["instance_key"]
        whole.tables["table"] = table[table.obs[key].isin(made.index)].copy()
    return again(place, whole)


def record(name: str, change: Callable[[dict[str, Any]], Any], **how: Any) -> None:
    def make(place: Place) -> Path:
        whole = ours(place)
        for one in whole.attrs["napari_umpire"]["slides"].values():
            change(one)
        return again(place, whole)

    case(f"record-{name}", make, **how)


KNOWN = slide_is(mpp=2.0)
TOLD = {"right": KNOWN, "warns": "record|pitch|um per px", "refuses": "record|um per px"}
for value in (-1.0, 0.0, float("nan"), float("inf"), 1e9, 1e-9, "a", None, True, 4.0):
    record(f"mpp-{value}", lambda r, v=value: r.update(mpp=v), silent=value is None, **TOLD)
for value in (1e9, float("nan"), 0.0, -2.0, "a"):
    record(f"downsample-{value}", lambda r, v=value: r.update(downsample=v), **TOLD)
for key in ("pitch_um", "spot_diameter_um"):
    for value in ("a", float("nan"), -1.0):
        record(f"{key}-{value}", lambda r, k=key, v=value: r.update({k: v}), silent=True, **TOLD)
record("image-gone", lambda r: r.update(image="x"), right=KNOWN, silent=True,
       warns="record|image", refuses="record|image|x")  # fmt: skip
record("table-gone", lambda r: r.update(table="x"), right=KNOWN, silent=True,
       warns="record|table", refuses="record|table")  # fmt: skip
record("without-complete", lambda r: r.update(complete=False), right=KNOWN, silent=True)
record("empty", dict.clear, right=KNOWN, silent=True, warns="record", refuses="record")


def attrs(name: str, value: object) -> None:
    def make(place: Place) -> Path:
        whole = ours(place)
        whole.attrs["napari_umpire"] = value
        return again(place, whole)

    case(f"attrs-{name}", make, right=KNOWN, silent=True, warns="record", refuses="record|store")


attrs("list", [1, 2])
attrs("text", "hello")
attrs("slides-list", {"version": 1, "slides": [1]})
attrs("version-99", {"version": 99, "slides": {}})
