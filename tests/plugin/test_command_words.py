"""Copied commands, run by a shell."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import spatialdata as sd

from napari_umpire.errors import InputError
from napari_umpire.inference.predictions.record import RunRecord
from napari_umpire.inference.predictions.saving import save_steps
from napari_umpire.plugin.runs.predict import PredictOptions, predict_steps
from napari_umpire.plugin.words.command import predict_command, record_command
from napari_umpire.progress import run
from napari_umpire.slides.convert import write_slide
from napari_umpire.slides.open import open_slide

BIN = Path(sys.executable).parent


def shell(command, folder):
    """What a user does: paste it into a shell, in some folder."""
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        command, shell=True, cwd=folder, env=os.environ | {"PATH": path}, capture_output=True,
        text=True, check=False,
    )  # fmt: skip


@pytest.mark.slow
def test_the_copied_commands_repeat_a_run_of_the_desk_bit_for_bit(slide, model_folder, tmp_path):
    odd = tmp_path / "Anna's slides; $HOME"
    odd.mkdir()
    path = write_slide(slide, odd / "slide (1).zarr")
    model = odd / "model & co"
    shutil.copytree(model_folder, model)
    opened = open_slide(path, mpp=1.99)
    options = PredictOptions(str(model), "cpu", k=13, weighting="similarity", cache=tmp_path / "c")
    prediction = run(predict_steps(opened, options)).prediction
    record = replace(prediction.record, genes=("ERBB2", "GNAS", "FASN"), std=True)
    saved = run(save_steps(opened, prediction, record))

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    done = shell(predict_command(record), elsewhere)
    assert done.returncode == 0, done.stderr
    done = shell(record_command(saved.record, elsewhere / "out"), elsewhere)
    assert done.returncode == 0, done.stderr
    tables = sd.read_zarr(path).tables
    other = sd.read_zarr(next((elsewhere / "out").glob("*.zarr"))).tables["umpire"]
    for table in (tables["umpire_2"], other):
        assert table.var_names.tolist() == tables["umpire"].var_names.tolist()
        for part in ("X", "std"):
            a, b = (
                np.asarray(t.X if part == "X" else t.layers[part])
                for t in (tables["umpire"], table)
            )
            assert a.tobytes() == b.tobytes()
        assert table.obsm["X_umpire"].tobytes() == tables["umpire"].obsm["X_umpire"].tobytes()


def test_every_option_that_changes_a_value_is_in_the_command(tmp_path):
    slide = tmp_path / "a b.svs"
    slide.touch()
    record = RunRecord(
        str(slide), "owner/name", reference="/r", k=3, weighting="similarity", mpp=0.1 + 0.2,
        image="/i.tif", region="C 3", device="cuda", batch_size=7, seed=5, genes=("A", "B b"),
        std=True, name="mine",
    )  # fmt: skip
    words = shlex.split(predict_command(record, tmp_path / "out"))
    from umpire_training.cli import parse

    options = parse("predict", words[2:])
    assert options.slides == [str(slide)]
    assert options.output == str(tmp_path / "out")
    for key in (
        "model", "reference", "k", "weighting", "mpp", "image", "region", "device", "batch_size",
        "seed", "std", "name",
    ):  # fmt: skip
        assert getattr(options, key) == getattr(record, key), key
    assert tuple(options.genes) == record.genes


def test_a_slide_that_is_only_in_memory_has_no_command():
    with pytest.raises(InputError, match="on no disk"):
        predict_command(RunRecord("synthetic_0", "/m"))
