"""Two processes give what one gives for the same batch, the contrast across processes included."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

pytestmark = pytest.mark.skipif(not torch.distributed.is_available(), reason="torch without gloo")

COMMON = [
    "--dim", "16", "--vision.kwargs", "{widths: [8, 16], norm: group}", "--optim.lr", "1e-3",
    "--trainer.accelerator", "cpu", "--trainer.max_steps", "5", "--trainer.val_fraction", "0",
    "--trainer.progress_bar", "false", "--gene.train", "false",
]  # fmt: skip


def align(pairs, pretrained, out, *options):
    command = [sys.executable, "-m", "umpire_training.cli", "align", "--pairs", str(pairs)]
    command += ["--output", str(out), "--gene.pretrained", str(pretrained), *COMMON, *options]
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "COV"))}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    from safetensors.torch import load_file

    return load_file(out / "model" / "model.safetensors")


@pytest.mark.slow
@pytest.mark.parametrize("target", ["one-hot", "soft"])
def test_candidates_of_all_processes(prepared, pretrained, tmp_path, target):
    pairs, common = (
        prepared / "pairs",
        ["--contrast.across_ranks", "--target.kind", target, "--target.genes", "200"],
    )
    one = align(pairs, pretrained, tmp_path / "one", *common, "--trainer.batch_size", "16")
    two = align(
        pairs, pretrained, tmp_path / "two", *common, "--trainer.batch_size", "8",
        "--trainer.devices", "2", "--trainer.strategy", "ddp_find_unused_parameters_true",
    )  # fmt: skip
    for key in one:
        torch.testing.assert_close(two[key], one[key], atol=1e-5, rtol=1e-4, msg=key)
    if target == "one-hot":
        start = align(
            pairs, pretrained, tmp_path / "start", *common, "--trainer.batch_size", "16",
            "--optim.lr", "1e-12", "--optim.min_lr", "1e-12",
        )  # fmt: skip
        moved = max(float((one[k] - start[k]).abs().max()) for k in one)
        assert moved > 1e-3, "nothing was trained"
        local = align(
            pairs, pretrained, tmp_path / "local", "--trainer.batch_size", "8",
            "--trainer.devices", "2", "--trainer.strategy", "ddp_find_unused_parameters_true",
        )  # fmt: skip
        away = max(float((local[k] - one[k]).abs().max()) for k in one)
        assert away > 1e-4, "with local candidates the loss is another one"
