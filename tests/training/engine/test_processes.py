"""Two processes on a CPU, started as users start them, against one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from umpire_training.cli import main

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not torch.distributed.is_available(), reason="torch without gloo"),
]

TORCHRUN = [str(Path(sys.executable).parent / "torchrun"), "--standalone", "--nproc_per_node", "2"]
TINY = [
    "--encoder.dim", "16", "--encoder.heads", "2", "--encoder.feedforward", "32",
    "--encoder.layers", "2", "--trainer.accelerator", "cpu", "--optim.clip_norm", "0.1",
    "--trainer.round_steps", "8", "--trainer.max_steps", "24", "--optim.lr", "1e-3",
]  # fmt: skip
WHOLE = ["--trainer.batch_size", "16"]
FSDP = [
    "--trainer.batch_size", "4", "--trainer.accumulate", "2", "--trainer.strategy", "fsdp",
    "--trainer.devices", "2",
]  # fmt: skip


def words(prepared, out, *more):
    return ["pretrain", "--corpus", str(prepared / "corpus"), "--output", str(out), *TINY, *more]


def start(launcher, argv):
    skipped = ("PYTEST", "COV", "RANK", "LOCAL_RANK", "WORLD_SIZE", "SLURM")
    env = {k: v for k, v in os.environ.items() if not k.startswith(skipped)}
    command = [*launcher, "-m", "umpire_training.cli", *argv]
    return subprocess.Popen(
        command, env=env, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def same_weights(one, other, file="encoder/encoder.safetensors"):
    from safetensors.torch import load_file

    a, b = (load_file(run / file) for run in (one, other))
    for key in a:
        left, right = a[key], b[key]
        if key.endswith("in_proj_bias"):
            # Nothing depends on the biases of the keys: AdamW moves them by rounding errors.
            left, right = (torch.cat([x.chunk(3)[0], x.chunk(3)[2]]) for x in (left, right))
        torch.testing.assert_close(right, left, atol=1e-5, rtol=1e-4, msg=key)


def test_fsdp_killed_and_resumed_gives_what_one_process_gives(prepared, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    assert main(words(prepared, one, *WHOLE)) == 0
    process = start([sys.executable], words(prepared, two, *FSDP))
    last = two / "checkpoints" / "last.ckpt"
    while process.poll() is None and not last.exists():
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert last.exists()
    assert not (two / "encoder").exists()
    state = torch.load(last, weights_only=True)
    assert state["state_dict"]["encoder.embeddings.weight"].shape[1] == 16
    process = start([sys.executable], words(prepared, two, *FSDP, "--resume"))
    _, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    assert "(continued)" in err
    same_weights(one, two)


def test_ddp_under_torchrun_gives_what_one_process_gives(prepared, tmp_path):
    few = ["--trainer.max_steps", "20", "--trainer.val_fraction", "0"]
    assert main(words(prepared, tmp_path / "one", *WHOLE, *few)) == 0
    halves = ["--trainer.batch_size", "8"]
    process = start(TORCHRUN, words(prepared, tmp_path / "two", *few, *halves))
    _, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    same_weights(tmp_path / "one", tmp_path / "two")


def test_fsdp_aligns_in_chunks_as_one_process_at_once(prepared, tmp_path):
    common = [
        "align", "--pairs", str(prepared / "pairs"), "--dim", "16", "--optim.lr", "1e-3",
        "--vision.kwargs", "{widths: [8, 16], norm: group}", "--trainer.accelerator", "cpu",
        "--trainer.max_steps", "6", "--trainer.val_fraction", "0", "--contrast.across_ranks",
        "--gene.kind", "visiumformer", "--gene.shape.dim", "16", "--gene.shape.heads", "2",
        "--gene.shape.feedforward", "32", "--gene.shape.layers", "2", "--optim.clip_norm", "0.5",
    ]  # fmt: skip
    one, two = tmp_path / "one", tmp_path / "two"
    assert main([*common, "--output", str(one), "--trainer.batch_size", "16"]) == 0
    cut = ["--trainer.batch_size", "8", "--trainer.strategy", "fsdp", "--contrast.chunk", "4"]
    process = start(TORCHRUN, [*common, "--output", str(two), *cut])
    _, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    same_weights(one, two, "model/model.safetensors")
