"""The lines that the package's docstring offers to a notebook, run as they stand."""

from __future__ import annotations

import doctest

import numpy as np
import pytest

import napari_umpire
from napari_umpire.inference.model import load_model
from napari_umpire.progress import run
from napari_umpire.slides.convert import write_slide

from .conftest import save_tiny_model


@pytest.fixture
def notebook(slides, tmp_path, monkeypatch):
    """A working folder with the slide and the model that the lines name."""
    write_slide(slides[0], tmp_path / "section.zarr")
    save_tiny_model(tmp_path / "my-model", slides)
    model = load_model(tmp_path / "my-model", device="cpu")
    run(model.build_reference(slides[1:], tmp_path / "my-model/reference"))
    monkeypatch.chdir(tmp_path)


def test_the_snippet_of_the_package_runs_as_it_stands(notebook):
    lines = doctest.DocTestParser().get_examples(napari_umpire.__doc__ or "")
    assert len(lines) >= 4
    names: dict[str, object] = {}
    for line in lines[:-1]:
        exec(line.source, names)
    gene_map = eval(lines[-1].source, names)
    slide = names["slide"]
    assert isinstance(slide, napari_umpire.Slide)
    assert gene_map.shape == (slide.n_spots,)
    assert np.isfinite(gene_map).all()
    assert gene_map.std() > 0
