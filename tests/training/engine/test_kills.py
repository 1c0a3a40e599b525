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
    steps = str(500 * KILLS)  # long enough that each kill meets a training under way
    return [*words, "--trainer.max_steps", steps, "--trainer.round_steps", "8", *more]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
def test_killed_at_random_moments(prepared, tmp_path):
    import torch
    from safetensors.torch import load_file

    whole, cut = tmp_path / "whole", tmp_path / "cut"
    subprocess.run(command(prepared, whole), check=True, capture_output=True)
    rng = np.random.default_rng()
    kills, at = 0, []
    done, last = cut / "done.yaml", cut / "checkpoints" / "last.ckpt"
    while kills < KILLS and not done.exists():
        resume = ["--resume"] if cut.exists() else []
        process = subprocess.Popen(
            command(prepared, cut, *resume), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        before = last.stat().st_mtime_ns if last.exists() else 0
        # Most kills wait for a new checkpoint and then a random moment; some come while it starts.
        deadline = time.monotonic() + (60 if rng.random() < 0.8 else rng.uniform(0, 3))
        while process.poll() is None and time.monotonic() < deadline:
            if last.exists() and last.stat().st_mtime_ns != before:
                break
            time.sleep(0.05)
        time.sleep(rng.uniform(0, 0.5))
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.wait()
        at.append(last.exists())
    assert kills == KILLS, "the training was faster than the kills"
    end = subprocess.run(command(prepared, cut, "--resume"), capture_output=True, text=True)
    assert done.exists(), end.stderr
    a, b = (load_file(run / "encoder" / "encoder.safetensors") for run in (whole, cut))
    assert a.keys() == b.keys()
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert any(at), "no kill came after a checkpoint"
