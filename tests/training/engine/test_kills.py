"""SIGKILL and SIGTERM at random steps: a resumed training ends with an unbroken one's weights."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

KILLS = int(os.environ.get("UMPIRE_KILLS", "2"))
"""How often the training is killed; more for a long look."""
SEED = int(os.environ.get("UMPIRE_SEED", "20261201"))
ROUND, ROUNDS = 8, 3 + KILLS * 2

# The moment is a step, not a time, so that it is the same on any computer.
SCRIPT = """
import os, sys
import torch
from umpire_training import cli

torch.set_num_threads(1)
number, stop = int(sys.argv[1]), int(sys.argv[2])
zero_grad, steps = torch.optim.Optimizer.zero_grad, 0

def counted(self, *args, **kwargs):
    global steps
    steps += 1
    if steps == stop:
        os.kill(os.getpid(), number)
    return zero_grad(self, *args, **kwargs)

torch.optim.Optimizer.zero_grad = counted
sys.exit(cli.main(sys.argv[3:]))
"""


def words(prepared, out, *more):
    argv = ["pretrain", "--output", str(out), "--corpus", str(prepared / "corpus")]
    argv += ["--encoder.dim", "16", "--encoder.heads", "2", "--encoder.layers", "1"]
    argv += ["--encoder.feedforward", "32", "--encoder.dropout", "0.1", "--optim.lr", "5e-3"]
    argv += ["--trainer.accelerator", "cpu", "--trainer.batch_size", "16"]
    steps = ["--trainer.max_steps", str(ROUND * ROUNDS), "--trainer.round_steps", str(ROUND)]
    return [*argv, *steps, *more]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
def test_ended_at_random_moments(prepared, tmp_path, request):
    import torch
    from safetensors.torch import load_file

    from umpire_training.cli import main

    sys.stdout.write(f"UMPIRE_SEED={SEED} repeats this\n")
    rng = np.random.default_rng(SEED)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    # The order of a sum depends on the number of threads, which other tests set too.
    threads = torch.get_num_threads()
    request.addfinalizer(lambda: torch.set_num_threads(threads))
    torch.set_num_threads(1)
    assert main(words(prepared, whole)) == 0
    for i in range(KILLS):
        number = (signal.SIGKILL, signal.SIGTERM)[i % 2]
        # Each attempt gets through a round at least, and none to the end.
        stop = int(rng.integers(ROUND + 2, 2 * ROUND))
        resume = ["--resume"] if cut.exists() else []
        argv = [str(int(number)), str(stop), *words(prepared, cut, *resume)]
        ended = subprocess.run(
            [sys.executable, "-c", SCRIPT, *argv], capture_output=True, text=True, check=False
        )
        expected = -number if number == signal.SIGKILL else 143
        assert ended.returncode == expected, (stop, ended.stderr[-2000:])
        assert (cut / "checkpoints" / "last.ckpt").is_file()
        assert not (cut / "done.yaml").exists()
        if number == signal.SIGTERM:
            assert ended.stderr.splitlines()[-1].endswith("start again with --resume to go on.")
            assert not [p for p in Path(cut).rglob(".*") if p.is_file()]
    assert main(words(prepared, cut, "--resume")) == 0
    a, b = (load_file(run / "encoder" / "encoder.safetensors") for run in (whole, cut))
    assert a.keys() == b.keys()
    assert all(torch.equal(a[key], b[key]) for key in a)
