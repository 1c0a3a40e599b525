"""patches/ID.h5 of HEST-1k as the image half of a paired set: img, coords and barcode."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from PIL import Image

from napari_umpire.errors import InputError
from napari_umpire.progress import Progress
from umpire_training.corpus.images import SpotImages

if TYPE_CHECKING:
    from pathlib import Path

    import h5py

    from napari_umpire.progress import Steps
    from umpire_training.options import PatchOptions

__all__ = ["PATCH_MPP", "HestPatches"]

PATCH_MPP = 0.5
"""um per px of every patch of the collection, whatever the scan's own scale."""

_BATCH = 256
# Patches are the windows around spots, so corner minus centre is one vector but for rounding.
_STRAY_SHARE, _STRAY_PITCH = 0.02, 0.5


class HestPatches(SpotImages):
    """Ready-made patches, joined with the spots by barcode.

    Parameters
    ----------
    name, path
        Of the sample, of its patches.
    spots
        Centres of the h5ad's spots, px, by spot id.

    Raises
    ------
    InputError
        Where the file cannot be read, its parts have different lengths, a barcode occurs twice or
        is not among the spots, or the patches do not lie where their spots are.
    """

    def __init__(
        self, name: str, path: Path, spots: pd.DataFrame, *, mpp: float, pitch_px: float
    ) -> None:
        self.name, self.path, self.mpp, self.pitch_px = name, path, mpp, pitch_px
        self.mpp_source = f"{mpp:.4g} um per px from the collection's table"
        with self._file() as file:
            shape = file["img"].shape
            if len(shape) != 4 or shape[1] != shape[2] or shape[3] != 3:
                raise self._wrong(f"img of shape {shape}", "n x px x px x 3")
            codes = [_text(b) for b in np.asarray(file["barcode"]).ravel()]
            corners = np.asarray(file["coords"], np.float64) if "coords" in file else None
        self.patch_px = shape[1]
        if len(codes) != shape[0] or (corners is not None and len(corners) != shape[0]):
            raise self._disagree(f"{shape[0]} images, {len(codes)} barcodes")
        names = pd.Index(codes)
        if not names.is_unique:
            raise self._disagree(f"the barcode {names[names.duplicated()][0]} more than once")
        strange = names[~names.isin(spots.index)]
        if len(strange):
            raise self._disagree(
                f"{len(strange):,} of {len(names):,} patches with a barcode that no spot has, "
                f"such as {strange[0]}"
            )
        self._at = pd.Series(np.arange(len(names)), index=names)
        self.spots = spots.loc[names]
        if corners is not None:
            self._check_places(corners)

    def _check_places(self, corners: np.ndarray) -> None:
        offset = self.spots[["x", "y"]].to_numpy() - corners[:, :2]
        away = np.linalg.norm(offset - np.median(offset, axis=0), axis=1)
        stray = away > _STRAY_PITCH * self.pitch_px
        if stray.mean() > _STRAY_SHARE:
            raise self._disagree(
                f"{int(stray.sum()):,} of {len(stray):,} patches more than half a pitch from their "
                f"spot, such as {self.spots.index[stray][0]}"
            )

    def digest(self, ids: np.ndarray) -> str:
        """Of the ids, places and every 64th patch."""
        h = hashlib.sha256("\n".join(ids).encode())
        h.update(self.spots.loc[ids, ["y", "x"]].to_numpy(np.float64).tobytes())
        with self._file() as file:
            h.update(file["img"][:: max(1, len(self.spots) // 64)].tobytes())
        return h.hexdigest()[:16]

    def write(self, ids: np.ndarray, path: Path, options: PatchOptions) -> Steps[None]:
        """Copy the patches, cropped and resampled where other ones are asked for."""
        from napari_umpire.inference.arrays import create_array, flush

        window = options.field_um / PATCH_MPP
        if window > self.patch_px * 1.002:
            raise InputError(
                f"The patches of sample {self.name} show too little",
                got=f"{self.patch_px * PATCH_MPP:g} um",
                expected=f"fields of {options.field_um:g} um",
                fix="Ask for a smaller patches.field_um, or use wsis/ in place of patches/",
            )
        if options.size_px / window > options.max_upsampling * 1.002:
            raise InputError(
                f"The patches of sample {self.name} are too coarse",
                got=f"{PATCH_MPP:g} um per px",
                expected=f"at most {options.max_upsampling:g} times "
                f"{options.field_um / options.size_px:.3g} um per px",
            )
        if options.white_balance:
            raise InputError(
                f"The ready-made patches of sample {self.name} cannot be white-balanced",
                got="no glass in sight",
                fix="Leave patches.white_balance off, or use wsis/ in place of patches/",
            )
        rows = self._at.loc[ids].to_numpy()
        order = np.argsort(rows, kind="stable")
        out = create_array(path, (len(ids), options.size_px, options.size_px, 3), np.uint8)
        with self._file() as file:
            for start in range(0, len(order), _BATCH):
                places = order[start : start + _BATCH]
                pixels = file["img"][rows[places]]
                out[places] = _resampled(pixels, window, options.size_px)
                yield Progress(f"patches of {self.name}", start + len(places), len(ids))
        flush(out)

    def _file(self) -> h5py.File:
        import h5py

        try:
            file = h5py.File(self.path, "r")
        except OSError as error:
            raise self._wrong(error, "an HDF5 file") from error
        missing = [k for k in ("img", "barcode") if k not in file]
        if missing:
            file.close()
            raise self._wrong(f"no {' and no '.join(missing)}", "img, coords and barcode")
        return file

    def _wrong(self, got: object, expected: str) -> InputError:
        return InputError(
            f"{self.path} is not a file of patches",
            got=got,
            expected=expected,
            fix="Download it again",
        )

    def _disagree(self, got: str) -> InputError:
        return InputError(
            f"The images and the spots of sample {self.name} disagree",
            got=f"in {self.path.name} {got}",
            expected="one patch per barcode, each at its spot of the h5ad file",
            fix="Download both files again; leave the sample out if they still disagree",
        )


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _resampled(pixels: np.ndarray, window: float, size: int) -> np.ndarray:
    """The middle ``window`` px of each patch at ``size`` px."""
    edge = pixels.shape[1]
    if abs(window - edge) <= 0.002 * edge:
        window = edge
    if window == edge == size:
        return pixels
    low = (edge - window) / 2
    box = (low, low, low + window, low + window)
    # As `slides.patches`: bicubic, antialiased.
    return np.stack(
        [
            np.asarray(Image.fromarray(p).resize((size, size), Image.Resampling.BICUBIC, box=box))
            for p in pixels
        ]
    )
