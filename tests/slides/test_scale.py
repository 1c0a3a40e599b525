"""Physical scale: sources, their order, and the pitch of arrays."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest

from napari_umpire.errors import InputError, UmpireWarning
from napari_umpire.slides.scale import (
    PhysicalScale,
    hex_pitch_px,
    is_hexagonal,
    nearest_pitch_px,
    resolve_scale,
    square_pitch_px,
)


@pytest.mark.parametrize(
    ("candidates", "user", "mpp", "source"),
    [
        pytest.param({}, None, None, None, id="nothing"),
        pytest.param({"metadata": 0.5}, None, 0.5, "metadata", id="metadata"),
        pytest.param({"spot diameter": 0.52}, None, 0.52, "spot diameter", id="diameter"),
        pytest.param(
            {"metadata": 0.5, "spot pitch": 0.51}, None, 0.51, "spot pitch", id="pitch-first"
        ),
        pytest.param({"metadata": 0.5, "spot pitch": 0.51}, 0.505, 0.505, "user", id="user-first"),
    ],
)
def test_one_source_is_used_and_named(candidates, user, mpp, source):
    scale = resolve_scale(candidates, user)
    assert (scale.mpp, scale.source) == (mpp, source)
    assert dict(scale.candidates) == candidates | ({} if user is None else {"user": user})


def test_sources_more_than_5_percent_apart_are_all_shown():
    with pytest.warns(
        UmpireWarning, match=r"the spot pitch 0\.5, the file's metadata 0\.53, .*diameter 0\.51"
    ):
        resolve_scale({"metadata": 0.53, "spot pitch": 0.5, "spot diameter": 0.51})


def test_sources_within_5_percent_are_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        resolve_scale({"metadata": 0.5, "spot pitch": 0.524})


@pytest.mark.parametrize("value", [0.0, -0.5, float("nan"), float("inf"), 352.8, 0.001])
def test_an_impossible_scale_is_refused(value):
    with pytest.raises(InputError, match="impossible physical scale"):
        resolve_scale({}, value, name="S")


def test_an_impossible_statement_of_a_file_is_left_aside():
    with pytest.warns(UmpireWarning, match="S: the file's metadata says 1000 um per px"):
        assert resolve_scale({"metadata": 1000.0}, name="S").mpp is None
    with pytest.warns(UmpireWarning, match="ignored"):
        assert resolve_scale({"metadata": 0.0}, 0.5).source == "user"


def test_a_slide_without_scale_says_what_to_do():
    with pytest.raises(InputError, match="scale of S1 is not known.*mpp=0.5"):
        PhysicalScale().require("S1")


def test_scale_survives_pickling_and_cannot_be_changed():
    scale = resolve_scale({"metadata": 0.5}, 0.51)
    assert pickle.loads(pickle.dumps(scale)) == scale
    with pytest.raises(TypeError):
        scale.candidates["metadata"] = 1.0


def _spots(rc: np.ndarray, yx: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(
        {"array_row": rc[:, 0], "array_col": rc[:, 1], "y": yx[:, 0], "x": yx[:, 1]}
    )


def test_hex_pitch_from_all_spots_and_from_far_apart_ones(hex_array):
    array = hex_array().rename(columns={"pxl_row_in_fullres": "y", "pxl_col_in_fullres": "x"})
    assert hex_pitch_px(array) == pytest.approx(120, rel=0.005)
    # No two of these are neighbours, so that only the lattice through all of them tells.
    sparse = array[(array["array_row"] % 4 == 0) & (array["array_col"] % 8 == 0)]
    assert nearest_pitch_px(sparse[["y", "x"]].to_numpy()) > 400
    assert hex_pitch_px(sparse) == pytest.approx(120, rel=0.005)


def test_pitch_of_a_shaken_square_array_is_not_the_nearest_distance():
    # Spots printed up to 10 % off their place: the nearest of four neighbours is always too near.
    rc = np.array([(r, c) for r in range(20) for c in range(30)])
    yx = rc * 290.0 + np.random.default_rng(0).normal(0, 20, rc.shape)
    assert square_pitch_px(_spots(rc, yx)) == pytest.approx(290, rel=0.01)
    assert nearest_pitch_px(yx) < 275


def test_too_few_or_collinear_spots_tell_no_pitch():
    rc = np.array([(0, c) for c in range(0, 80, 10)])
    assert hex_pitch_px(_spots(rc, rc * 60.0)) is None
    assert nearest_pitch_px(np.zeros((2, 2))) is None


def test_hexagonal_is_told_from_square(hex_array):
    array = hex_array()
    hexagonal = array[["pxl_row_in_fullres", "pxl_col_in_fullres"]].to_numpy(float)
    square = np.array([(r, c) for r in range(12) for c in range(17)], float) * 100
    assert is_hexagonal(hexagonal)
    assert not is_hexagonal(square)
