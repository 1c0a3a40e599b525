"""Three small synthetic slides on disk, and what `prepare` makes of them, once per session."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from umpire_training.cli import main

if TYPE_CHECKING:
    from pathlib import Path

TINY_FORMER = [
    "--encoder.dim", "16", "--encoder.heads", "2", "--encoder.feedforward", "32",
    "--encoder.layers", "1",
]  # fmt: skip
QUICK = [
    "--trainer.accelerator", "cpu", "--trainer.batch_size", "32", "--trainer.progress_bar", "false",
]  # fmt: skip


@pytest.fixture(scope="session", autouse=True)
def _torchvision_that_lightning_can_import():
    """Tests import objectives at their own time, in any order; the program makes ready first."""
    from napari_umpire.models.torchvision_guard import heal

    heal()


@pytest.fixture(scope="session")
def slide_paths(tmp_path_factory) -> list[str]:
    from napari_umpire.slides.synthetic import make_slides

    folder = tmp_path_factory.mktemp("slides")
    return [str(path) for path in make_slides(folder, 3, seed=5, rows=11, cols=8)]


@pytest.fixture(scope="session")
def prepared(slide_paths, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("prepared") / "run"
    code = main(
        ["prepare", "--output", str(out), "--slides", *slide_paths[:2]]
        + ["--tokens.length", "48", "--patches.size_px", "24"]
    )
    assert code == 0
    return out


@pytest.fixture(scope="session")
def pretrained(prepared, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("pretrained") / "run"
    code = main(
        ["pretrain", "--corpus", str(prepared / "corpus"), "--output", str(out)]
        + [*TINY_FORMER, *QUICK, "--trainer.max_steps", "90", "--trainer.round_steps", "30"]
        + ["--optim.lr", "5e-3"]
    )
    assert code == 0
    return out


@pytest.fixture(scope="session")
def model_folder(prepared, pretrained, tmp_path_factory) -> Path:
    """A tiny aligned model with a reference of the two training slides."""
    out = tmp_path_factory.mktemp("aligned") / "run"
    code = main(
        ["align", "--pairs", str(prepared / "pairs"), "--output", str(out), *QUICK]
        + ["--gene.pretrained", str(pretrained), "--gene.train", "false", "--dim", "16"]
        + ["--vision.kwargs", "{widths: [4, 8]}", "--trainer.epochs", "2", "--optim.lr", "1e-3"]
    )
    assert code == 0
    return out / "model"
