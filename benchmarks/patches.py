"""Patches of a whole slide against OpenSlide, at equal pixels.

The slide is a pyramidal TIFF of 256 px JPEG tiles (YCbCr 4:2:0, quality 85, the usual of scanners),
with 224 px patches around a hexagonal grid at the finest level. OpenSlide reads them one by one, in
random order and in the order of the tiles; we read the same patches through `iter_patches`.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.harness import assert_same, measure, print_table
from napari_umpire.slides.open import open_slide
from napari_umpire.slides.patches import PatchSpec, iter_patches, plan_patches
from napari_umpire.slides.pyramid import Level
from napari_umpire.slides.synthetic import make_tissue
from napari_umpire.slides.tissue import TissueMask, grid_spots

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_umpire.slides.slide import Slide

SIDE, MPP, PITCH_PX, SIZE = 8_192, 0.5, 281, 224


def run() -> None:
    import openslide

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "slide.tiff"
        _write_slide(path)
        slide = _with_grid(open_slide(path))
        spec = PatchSpec(SIZE * MPP, SIZE)
        plan = plan_patches(slide, spec)
        if plan.level != 0 or not plan.is_copy:
            raise AssertionError(f"the benchmark reads level 0 without resampling, not {plan}")
        corners = np.floor(slide.yx - SIZE / 2 + 0.5).astype(int)
        random = np.random.default_rng(0).permutation(len(corners))
        ordered = np.lexsort((corners[:, 1], corners[:, 0] // 256))

        def theirs(order: np.ndarray) -> Callable[[], np.ndarray]:
            def read() -> np.ndarray:
                out = np.empty((len(corners), SIZE, SIZE, 3), np.uint8)
                with openslide.OpenSlide(path) as image:
                    for i in order:
                        y, x = corners[i].tolist()
                        region = image.read_region((x, y), 0, (SIZE, SIZE))
                        out[i] = np.asarray(region)[..., :3]
                return out

            return read

        def ours() -> np.ndarray:
            out = np.empty((len(corners), SIZE, SIZE, 3), np.uint8)
            for batch in iter_patches(slide, spec):
                out[batch.rows] = batch.pixels
            return out

        timings = measure(
            {
                "openslide, random order": theirs(random),
                "openslide, tile order": theirs(ordered),
                "ours": ours,
            },
            repeats=5,
        )
        tiles = slide.pyramid.levels[0].grid
        print_table(
            f"patches: {len(corners):,} of {SIZE} px from {SIDE} x {SIDE} px, "
            f"{path.stat().st_size / 2**20:.0f} MiB, {tiles[0] * tiles[1]:,} tiles",
            timings,
            peer="openslide, tile order",
            items=len(corners),
            unit="patches",
            goals={"ours": 3.0},
        )
        for name in ("openslide, random order", "openslide, tile order"):
            assert_same(f"patches of {name}", timings["ours"].output, timings[name].output)
        print(f"  tiles decoded by us: {_decoded(slide, spec):,} for {len(corners):,} patches")


def _write_slide(path: Path) -> None:
    """Write synthetic tissue, repeated to fill the slide, as a tiled pyramid."""
    import tifffile

    tissue = make_tissue(0, rows=20, cols=18, mpp=1.0).pixels
    repeats = [-(-SIDE // n) for n in tissue.shape[:2]]
    level = np.tile(tissue, (*repeats, 1))[:SIDE, :SIDE]
    with tifffile.TiffWriter(path, bigtiff=True) as file:
        down = 1
        while True:
            per_cm = 1e4 / (MPP * down)
            file.write(
                level,
                tile=(256, 256),
                photometric="rgb",
                compression="jpeg",
                compressionargs={"level": 85, "subsampling": "420"},
                resolution=(per_cm, per_cm),
                resolutionunit="CENTIMETER",
                subfiletype=0 if down == 1 else 1,
                metadata=None,
            )
            if max(level.shape) <= 1024:
                return
            level, down = level[::2, ::2], down * 2


def _with_grid(slide: Slide) -> Slide:
    from dataclasses import replace

    everywhere = TissueMask(np.ones((1, 1), bool), float(SIDE))
    spots = grid_spots(slide.pyramid, everywhere, MPP, pitch_um=PITCH_PX * MPP)
    inside = (spots[["y", "x"]] > SIZE / 2).all(axis=1)
    inside &= (spots[["y", "x"]] < SIDE - SIZE / 2).all(axis=1)
    return replace(slide, spots=spots[inside])


def _decoded(slide: Slide, spec: PatchSpec) -> int:
    """Return how many tiles one run over the slide decodes."""

    class Counting(Level):
        def __init__(self, inner: Level) -> None:
            self.inner, self.count = inner, 0
            self.shape, self.tile, self.downsample = inner.shape, inner.tile, inner.downsample

        def _read_tile(self, row: int, col: int) -> np.ndarray:
            self.count += 1
            return self.inner.read_tile(row, col)

    from dataclasses import replace

    counting = Counting(slide.pyramid.levels[0])
    watched = replace(slide, pyramid=type(slide.pyramid)((counting,)))
    for _ in iter_patches(watched, spec):
        pass
    return counting.count
