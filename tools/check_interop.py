"""Whether a saved store opens in scanpy, squidpy, napari-spatialdata and LazySlide, in one run.

Needs an environment of its own, as these are no dependencies of this package:

    python -m venv interop
    interop/bin/pip install scanpy squidpy napari-spatialdata lazyslide PyQt6

then, with a store that was saved from Results or by ``umpire-train predict``:

    xvfb-run -a interop/bin/python tools/check_interop.py slide.zarr --table umpire

napari-spatialdata opens a window, so a display or ``xvfb-run`` is needed. Prints PASS or FAIL for
each program with what was seen; the exit code is the number of FAILs. Pictures go to ``--output``.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import traceback
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np


def main() -> int:
    """Try each program, and say how it went."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("store", type=Path)
    parser.add_argument("--table", default="umpire", help="name of the saved table")
    parser.add_argument("--classes", help="a column of classes to look at, where one was saved")
    parser.add_argument("--output", type=Path, help="folder for pictures; a temporary one if not")
    parser.add_argument("--only", choices=CHECKS, help="this program alone")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    import matplotlib as mpl

    mpl.use("Agg")
    output = options.output or Path(tempfile.mkdtemp(prefix="interop_"))
    output.mkdir(parents=True, exist_ok=True)
    failed = 0
    for package, check in CHECKS.items():
        if options.only not in (None, package):
            continue
        try:
            said, word = check(options.store, options.table, options.classes, output), "PASS"
        except Exception as error:  # noqa: BLE001 - each program may fail in its own way
            said, word = f"{type(error).__name__}: {error}", "FAIL"
            traceback.print_exc()
            failed += 1
        print(f"{word}  {package} {version(package)}: {said}", flush=True)
    print(f"Pictures are in {output}")
    return failed


def _table(store: Path, name: str):
    import spatialdata

    table = spatialdata.read_zarr(store).tables[name]
    spread = np.nanstd(np.asarray(table.X), axis=0)
    return table, str(table.var_names[int(spread.argmax())])


def scanpy(store: Path, name: str, classes: str | None, output: Path) -> str:
    """Plot the spots in the colours of a gene and of the classes; neighbours on the embedding."""
    import scanpy as sc

    table, gene = _table(store, name)
    colours = [gene, "mean_similarity"] + ([classes] if classes else [])
    figure = sc.pl.embedding(table, basis="spatial", color=colours, show=False, return_fig=True)
    figure.savefig(output / "scanpy.png", dpi=80)
    sc.pp.neighbors(table, use_rep="X_umpire", n_neighbors=8)
    if classes:
        saved = list(table.uns[f"{classes}_colors"])
        assert len(saved) == len(table.obs[classes].cat.categories), saved
    return f"{table.n_obs} spots in the colours of {', '.join(colours)}; neighbours by X_umpire"


def squidpy(store: Path, name: str, classes: str | None, output: Path) -> str:
    """Spatial neighbours, Moran's I of some genes, a scatter in space."""
    import squidpy as sq

    table, gene = _table(store, name)
    sq.gr.spatial_neighbors(table, coord_type="generic", n_neighs=6)
    genes = list(dict.fromkeys([gene, *table.var_names[:5]]))
    sq.gr.spatial_autocorr(table, mode="moran", genes=genes, n_perms=None, n_jobs=1)
    moran = float(table.uns["moranI"].loc[gene, "I"])
    assert np.isfinite(moran)
    sq.pl.spatial_scatter(
        table, color=[gene] + ([classes] if classes else []), shape=None,
        save=str(output / "squidpy.png"),
    )  # fmt: skip
    return f"Moran's I of {gene} is {moran:.2f} over {table.n_obs} spots"


def napari_spatialdata(store: Path, name: str, classes: str | None, output: Path) -> str:
    """Open the store in its window, add image and spots, colour these by a gene of our table."""
    import napari
    import spatialdata
    from napari_spatialdata import Interactive
    from qtpy.QtCore import Qt

    sdata = spatialdata.read_zarr(store)
    table, gene = _table(store, name)
    region = str(table.obs[table.uns["spatialdata_attrs"]["region_key"]].iloc[0])
    viewer = napari.Viewer(show=True)
    window = Interactive(sdata, headless=True)
    system = sdata.coordinate_systems[0]
    for number, element in enumerate((next(iter(sdata.images)), region), start=1):
        window.add_element(element, element_coordinate_system=system)
        _wait(lambda n=number: len(viewer.layers) >= n, f"{element} to be shown")
    layer = next(layer for layer in viewer.layers if layer.name == region)
    assert len(layer.data) == table.n_obs
    viewer.layers.selection.active = layer
    view = viewer.window.dock_widgets["View (napari-spatialdata)"]
    tables = [view.table_name_widget.itemText(i) for i in range(view.table_name_widget.count())]
    view.table_name_widget.setCurrentText(name)
    _wait(lambda: bool(view.var_widget.findItems(gene, Qt.MatchFlag.MatchExactly)), f"{gene}")
    (item,) = view.var_widget.findItems(gene, Qt.MatchFlag.MatchExactly)
    before = np.array(layer.face_color)
    view.var_widget.itemDoubleClicked.emit(item)
    _wait(lambda: not np.array_equal(before, layer.face_color), "the colours of the gene")
    colours = len(np.unique(np.round(layer.face_color, 3), axis=0))
    viewer.screenshot(str(output / "napari_spatialdata.png"), canvas_only=False, flash=False)
    viewer.close()
    return (
        f"image and {len(layer.data)} spots of {region!r}, tables {', '.join(tables)}; spots in "
        f"{colours} colours of {gene} of {name!r}"
    )


def _wait(until, what: str, seconds: float = 30) -> None:
    import time

    from qtpy.QtWidgets import QApplication

    end = time.monotonic() + seconds
    while not until():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds:.0f} s for {what}")
        QApplication.processEvents()
        time.sleep(0.02)
    for _ in range(20):  # a thread that has delivered still has to end
        QApplication.processEvents()
        time.sleep(0.01)


def lazyslide(store: Path, name: str, classes: str | None, output: Path) -> str:
    """Open the store as a slide, fetch the table with its spots, and draw them as its tiles."""
    import lazyslide as zs
    import spatialdata
    from matplotlib import pyplot as plt
    from shapely import box
    from spatialdata.models import ShapesModel
    from wsidata import TileSpec, open_wsi

    sdata = spatialdata.read_zarr(store)
    table, gene = _table(store, name)
    region = str(table.obs[table.uns["spatialdata_attrs"]["region_key"]].iloc[0])
    image = next(iter(sdata.images))
    wsi = open_wsi(sdata, image_key=image)
    fetched = wsi.fetch.features_anndata(name, region)
    assert fetched.n_obs == table.n_obs
    np.testing.assert_array_equal(np.asarray(fetched.X), np.asarray(table.X))
    # Its own plots are of square tiles on the px of the image that it opened: made here from the
    # circles, in memory.
    spots = sdata.shapes[region]
    transform = spatialdata.transformations.get_transformation(sdata.images[image], "global")
    step = float(transform.to_affine_matrix(("x",), ("x",))[0, 0])
    side = max(2, round(2 * float(spots["radius"].iloc[0]) / step))
    corners = [(p.x / step - side / 2, p.y / step - side / 2) for p in spots.geometry]
    tiles = spots.drop(columns="radius").set_geometry(
        [box(x, y, x + side, y + side) for x, y in corners]
    )
    tiles["tile_id"], tiles["tissue_id"] = range(len(tiles)), 0
    wsi.shapes["tiles"] = ShapesModel.parse(tiles)
    wsi.attrs["tile_spec"] = {"tiles": vars(TileSpec(side, side, side, side))}
    figure, axes = plt.subplots()
    zs.pl.tiles(wsi, feature_key=name, color=gene, style="scatter", scalebar=False, ax=axes)
    figure.savefig(output / "lazyslide.png", dpi=80)
    return f"{fetched.n_obs} spots, {fetched.n_vars} genes, the values of the store; {gene} drawn"


CHECKS = {
    "scanpy": scanpy,
    "squidpy": squidpy,
    "napari-spatialdata": napari_spatialdata,
    "lazyslide": lazyslide,
}

if __name__ == "__main__":
    sys.exit(main())
