"""Other programs read a store that a prediction was saved to; each where it is installed."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from napari_umpire.inference.model import load_model
from napari_umpire.inference.predictions.saving import save_steps
from napari_umpire.progress import run

from .conftest import save_tiny_model

TOOL = Path(__file__).parents[2] / "tools" / "check_interop.py"
PROGRAMS = ("scanpy", "squidpy", "napari-spatialdata", "lazyslide")


@pytest.fixture(scope="module")
def saved(slides, tmp_path_factory):
    """A store with the table of a prediction."""
    folder = tmp_path_factory.mktemp("interop")
    save_tiny_model(folder / "model", slides)
    model = load_model(folder / "model", device="cpu")
    run(model.build_reference(slides[1:], folder / "model/reference"))
    prediction = run(model.predict(slides[0], k=12))
    return run(save_steps(slides[0], prediction, prediction.record, store=folder / "slide.zarr"))


def test_the_tool_checks_these_programs():
    spec = importlib.util.spec_from_file_location("check_interop", TOOL)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    assert tuple(tool.CHECKS) == PROGRAMS


@pytest.mark.slow
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_saved_store_opens_in(saved, tmp_path, program):
    if importlib.util.find_spec(program.replace("-", "_")) is None:
        pytest.skip(f"{program} is not installed")
    words = [str(saved.store), "--table", saved.element, "--only", program]
    ran = subprocess.run(
        [sys.executable, str(TOOL), *words, "--output", str(tmp_path)],
        env=os.environ | {"MPLBACKEND": "Agg"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"PASS  {program}" in ran.stdout
    if program != "napari-spatialdata":
        assert list(tmp_path.glob("*.png")), "no picture was drawn"
