"""A picture of the plan as haematoxylin and eosin would show it, mixed in optical density.

Each pixel holds two concentrations, of haematoxylin and of eosin; light passes both
(Beer-Lambert: intensity = background * exp(-concentrations @ stain vectors)). Stain vectors are
the reference pair of Macenko et al. 2009, turned and scaled a little by slide, as real staining
differs between runs.
"""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy import ndimage
from scipy.spatial import cKDTree

from napari_umpire.slides.synthetic.layout import CELL_UM, REGIONS, Layout

__all__ = ["render"]

_HAEMATOXYLIN = np.array([0.5626, 0.7201, 0.4062])
_EOSIN = np.array([0.2159, 0.8012, 0.5581])

_TUMOUR, _IMMUNE, _STROMA, _FAT, _NECROSIS = range(len(REGIONS))

# Per region, in the order of REGIONS: background of both stains, then nuclei.
_H_BASE = np.array([0.26, 0.24, 0.05, 0.01, 0.07])
_E_BASE = np.array([0.40, 0.22, 0.52, 0.03, 0.62])
_PER_MM2 = np.array([6400.0, 10500.0, 1300.0, 250.0, 700.0])
_DIAMETER_UM = np.array([9.5, 6.2, 6.5, 6.0, 3.2])
_ELONGATION = np.array([1.3, 1.08, 2.9, 2.4, 1.2])
_H_NUCLEUS = np.array([0.85, 1.35, 1.0, 1.0, 1.2])
_VARIANTS = 48


def render(layout: Layout, height: int, width: int, mpp: float, seed: int) -> np.ndarray:
    """Return the section as RGB, (height, width, 3) uint8, at ``mpp`` um per px."""
    rng = np.random.default_rng([seed, 7])
    size = (height, width)
    weights = layout.weights
    tissue = _grow(layout.tissue, size, mpp)
    maturity = 0.16 * weights[..., _TUMOUR] * (layout.gradient - 0.5)
    haem = _grow(weights @ _H_BASE + maturity, size, mpp)
    eosin = _grow(weights @ _E_BASE, size, mpp)
    tumour, stroma, necrosis = (
        _grow(weights[..., r], size, mpp) for r in (_TUMOUR, _STROMA, _NECROSIS)
    )
    grain = _noise(rng, size, 2.0 / mpp)
    patches = _noise(rng, size, 22.0 / mpp)
    haem = haem * (1.0 + 0.12 * grain + 0.10 * patches)
    eosin = eosin * (1.0 + 0.10 * grain + 0.12 * patches)

    fibres, clefts = _fibres(rng, layout, size, mpp)
    eosin += stroma * (0.20 * fibres - 0.42 * clefts)
    haem -= stroma * 0.04 * clefts
    np.maximum(haem, 0.0, out=haem)
    np.maximum(eosin, 0.0, out=eosin)
    lumen = _step(_noise(rng, size, 30.0 / mpp) * np.sqrt(tumour) - 1.75, 0.08)
    crumble = _step(_noise(rng, size, 9.0 / mpp) - 1.1, 0.25) * necrosis
    empty = np.maximum(lumen, 0.7 * crumble)
    walls, vacuoles = _fat(rng, layout, size, mpp)
    eosin += 0.55 * walls
    empty = np.maximum(empty, vacuoles)
    haem *= 1.0 - empty
    eosin *= 1.0 - empty

    _stamp_nuclei(rng, layout, haem, eosin, 1.0 - empty, mpp)
    haem *= tissue
    eosin *= tissue
    return _develop(rng, haem, eosin, mpp)


def _grow(field: np.ndarray, size: tuple[int, int], mpp: float | None = None) -> np.ndarray:
    """Return a coarse field, bilinear, at ``size`` (height, width) float32.

    With ``mpp`` the field is one of the plan's, whose last cells may stick out of the image.
    """
    image = Image.fromarray(np.ascontiguousarray(field, np.float32))
    box = None if mpp is None else (0.0, 0.0, size[1] * mpp / CELL_UM, size[0] * mpp / CELL_UM)
    return np.asarray(image.resize(size[::-1], Image.Resampling.BILINEAR, box=box))


def _noise(rng: np.random.Generator, size: tuple[int, int], length_px: float) -> np.ndarray:
    """Return noise of sd ~1 that changes over ``length_px``, (height, width) float32."""
    step = max(length_px / 2.0, 1.0)
    coarse = rng.standard_normal((int(size[0] / step) + 3, int(size[1] / step) + 3), np.float32)
    coarse = ndimage.gaussian_filter(coarse, 0.8)
    return _grow(coarse / coarse.std(), size)


def _step(field: np.ndarray, width: float) -> np.ndarray:
    """Return 1 where the field is above 0, 0 below, soft over ``width``."""
    return (0.5 + field / width).clip(0.0, 1.0)


def _fibres(
    rng: np.random.Generator, layout: Layout, size: tuple[int, int], mpp: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the wavy collagen bundles (sd ~1) and the white clefts between them (0 to 1)."""
    across = _grow(layout.fibre, size, mpp)
    wave = 5.0 * _noise(rng, size, 60.0 / mpp)
    along = np.arange(size[1], dtype=np.float32)[None, :] * np.float32(mpp)
    coordinates = np.stack([(across + wave) / 3.0, np.broadcast_to(along / 45.0, size)])
    coordinates[0] -= coordinates[0].min()
    shape = tuple(int(c.max()) + 3 for c in coordinates)
    table = ndimage.gaussian_filter(rng.standard_normal(shape, np.float32), (0.9, 0.7))
    fibres = ndimage.map_coordinates(table / table.std(), coordinates, order=1, output=np.float32)
    return fibres, _step(-fibres - 1.5, 0.5)


def _fat(
    rng: np.random.Generator, layout: Layout, size: tuple[int, int], mpp: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the thin walls of fat cells and the empty vacuoles within (0 to 1)."""
    weight = layout.weights[..., _FAT]
    if weight.max() < 0.4:
        return np.zeros(size, np.float32), np.zeros(size, np.float32)
    spacing = 62.0 / mpp
    rows, cols = int(size[0] / spacing) + 2, int(size[1] / spacing) + 2
    centres = np.moveaxis(np.mgrid[:rows, :cols], 0, -1).reshape(-1, 2).astype(np.float64)
    centres[:, 1] += 0.5 * (centres[:, 0] % 2)
    centres = (centres + rng.uniform(-0.33, 0.33, centres.shape)) * spacing
    # At half the size: distances change slowly, and a tree query costs more than an upsampling.
    half = (size[0] // 2 + 1, size[1] // 2 + 1)
    yx = np.argwhere(_grow(weight, half) > 0.3)
    wave = [_noise(rng, half, 12.0 / mpp)[yx[:, 0], yx[:, 1]] for _ in range(2)]
    bend = 4.0 / mpp * np.stack(wave, axis=1)
    distance, _ = cKDTree(centres).query(2.0 * yx + bend, k=3)
    to_wall, to_other = ((distance[:, i] - distance[:, 0]) * mpp + 1e-6 for i in (1, 2))
    gap = np.zeros(half, np.float32)
    # The harmonic sum draws in the corners, where three cells meet: fat cells are round.
    gap[tuple(yx.T)] = 1.0 / (1.0 / to_wall + 1.0 / to_other)
    hollow = _step(_grow(gap, size) - 3.0, 2.0)
    fat = _step(_grow(weight, size, mpp) - 0.5, 0.12)
    return fat * (1.0 - hollow), fat * hollow


def _kernels(region: int, mpp: float, rng: np.random.Generator) -> list[np.ndarray]:
    """Return nuclei of one region, each a small float32 picture of density in [0, 1]; their
    orientation runs once through half a turn.
    """
    kernels = []
    for variant in range(_VARIANTS):
        long = _DIAMETER_UM[region] * rng.normal(1.0, 0.13) / mpp / 2.0
        ratio = np.sqrt(max(_ELONGATION[region] * rng.normal(1.0, 0.12), 1.0))
        a, b = max(long * ratio, 0.8), max(long / ratio, 0.6)
        turn = np.pi * variant / _VARIANTS
        half = int(np.ceil(a)) + 1
        y, x = np.mgrid[-half : half + 1, -half : half + 1].astype(np.float64)
        u, v = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
        radius = np.hypot(u / a, v / b)
        body = (0.5 + (1.0 - radius) * b / 1.1).clip(0, 1)
        chromatin = ndimage.gaussian_filter(rng.standard_normal(y.shape), 0.8 / mpp)
        chromatin /= chromatin.std() + 1e-9
        rim = np.exp(-(((radius - 0.85) / 0.22) ** 2))
        open_ = 0.30 if region == _TUMOUR else 0.08
        kernels.append((body * (1.0 - open_ + open_ * rim + 0.15 * chromatin)).clip(0).astype("f4"))
    return kernels


def _stamp_nuclei(
    rng: np.random.Generator,
    layout: Layout,
    haem: np.ndarray,
    eosin: np.ndarray,
    solid: np.ndarray,
    mpp: float,
) -> None:
    """Put nuclei into the two stain images, in place, as dense as each region has them."""
    change = 1.0 + (layout.gradient - 0.5) * 0.9
    density = layout.weights * _PER_MM2
    density[..., _TUMOUR] *= change
    per_cell = density * (CELL_UM / 1000.0) ** 2 * (layout.tissue > 0.5)[..., None]
    total = per_cell.sum(axis=-1)
    row, col = np.nonzero(rng.random(total.shape) < total)
    which = per_cell[row, col].cumsum(axis=-1)
    region = (rng.random(len(row))[:, None] * which[:, -1:] > which).sum(axis=-1)
    y = ((row + rng.random(len(row))) * CELL_UM / mpp).astype(int)
    x = ((col + rng.random(len(row))) * CELL_UM / mpp).astype(int)
    dy, dx = np.gradient(layout.fibre)
    turn = np.arctan2(-dx, dy)[row, col]
    variant = rng.integers(0, _VARIANTS, len(row))
    aligned = np.isin(region, (_STROMA, _FAT))
    along = np.round((turn / np.pi) % 1.0 * _VARIANTS + rng.normal(0, 2.5, len(row)))
    variant = np.where(aligned, along, variant).astype(int) % _VARIANTS
    strength = _H_NUCLEUS[region] * rng.normal(1.0, 0.13, len(row))
    strength *= np.where(region == _TUMOUR, 0.85 + 0.45 * layout.gradient[row, col], 1.0)
    library = [_kernels(r, mpp, rng) for r in range(len(REGIONS))]
    height, width = haem.shape
    for i in range(len(y)):
        kernel = library[region[i]][variant[i]]
        half = kernel.shape[0] // 2
        t, s = y[i] - half, x[i] - half
        if t < 0 or s < 0 or t + 2 * half >= height or s + 2 * half >= width:
            continue
        if solid[y[i], x[i]] < 0.5:
            continue
        at = (slice(t, t + 2 * half + 1), slice(s, s + 2 * half + 1))
        np.maximum(haem[at], kernel * np.float32(strength[i]), out=haem[at])
        eosin[at] *= 1.0 - 0.5 * kernel.clip(0, 1)


def _develop(
    rng: np.random.Generator, haem: np.ndarray, eosin: np.ndarray, mpp: float
) -> np.ndarray:
    """Turn stain concentrations into RGB uint8 with this slide's staining and scanner."""
    vectors = np.stack([_HAEMATOXYLIN, _EOSIN]) + rng.normal(0, 0.03, (2, 3))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors *= np.exp(rng.normal(0.0, 0.14, (2, 1)))
    glass = np.array([242.0, 240.0, 243.0]) + rng.normal(0, 2.0, 3)
    blur = 0.55 / mpp
    haem, eosin = ndimage.gaussian_filter(haem, blur), ndimage.gaussian_filter(eosin, blur)
    rgb = np.empty((*haem.shape, 3), np.uint8)
    for c in range(3):
        light = np.float32(-vectors[0, c]) * haem
        light -= np.float32(vectors[1, c]) * eosin
        np.exp(light, out=light)
        light *= np.float32(glass[c])
        light += rng.standard_normal(haem.shape, np.float32)
        np.clip(light, 0, 255, out=light)
        rgb[..., c] = light
    return rgb
