"""SIGKILL at random moments: a resumed training ends with the weights of an unbroken one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

KILLS = int(os.environ.get("UMPIRE_KILLS", "2"))
"""How often the training is killed; more for a long look."""


def command(prepared, out, *more):
    words = [sys.executable, "-m", "umpire_training.cli", "pretrain", "--output", str(out)]
    words += ["--corpus", str(prepared / "corpus"), "--encoder.dim", "16", "--encoder.heads", "2"]
    words += ["--encoder.feedforward", "32", "--encoder.layers", "1", "--encoder.dropout", "0.1"]
    words += ["--trainer.accelerator", "cpu", "--trainer.batch_size", "16", "--optim.lr", "5e-3"]
    return [*words, "--trainer.max_steps", "240", "--trainer.round_steps", "8", *more]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
def test_killed_at_random_moments(prepared, tmp_path):
    import torch
    from safetensors.torch import load_file

    whole, cut = tmp_path / "whole", tmp_path / "cut"
    begun = time.perf_counter()
    subprocess.run(command(prepared, whole), check=True, capture_output=True)
    length = time.perf_counter() - begun
    rng = np.random.default_rng()
    kills = steps_seen = 0
    done = cut / "done.yaml"
    while kills < KILLS and not done.exists():
        resume = ["--resume"] if cut.exists() else []
        process = subprocess.Popen(
            command(prepared, cut, *resume), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        # From the first checkpoint on, or while it starts: any moment must do.
        wait = rng.uniform(0.5 * length, length)
        try:
            process.wait(wait)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
        steps_seen += (cut / "checkpoints" / "last.ckpt").is_file()
    assert kills, "the training was faster than the kills"
    last = subprocess.run(command(prepared, cut, "--resume"), capture_output=True, text=True)
    assert done.exists(), last.stderr
    a, b = (load_file(run / "encoder" / "encoder.safetensors") for run in (whole, cut))
    assert a.keys() == b.keys()
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert steps_seen, "no kill came after a checkpoint"
