from __future__ import annotations

import csv
import logging
from types import SimpleNamespace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from napari_umpire.models.visiumformer import Visiumformer, VisiumformerConfig
from umpire_training.engine.flops import measure_peak, training_flops
from umpire_training.engine.installed import ready_lightning

TINY = VisiumformerConfig(dim=32, heads=4, feedforward=48, layers=2, n_tokens=130, length=64)


def test_operations_are_those_that_torch_counts():
    torch.manual_seed(0)
    model = Visiumformer(TINY)
    tokens = torch.randint(30, 130, (3, 64))
    with (
        FlopCounterMode(display=False) as counter,
        torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH),
    ):
        logits, labels = model.masked_logits(tokens)
        forward = counter.get_total_flops()
        torch.nn.functional.cross_entropy(logits, labels).backward()
    lengths = torch.full((3,), 64)
    ours = float(training_flops(TINY, lengths, labels.numel() / tokens.numel()))
    assert ours / 3 == pytest.approx(forward, rel=1e-6)
    # The first block's input needs a gradient too, since the embeddings are trained.
    assert ours == pytest.approx(counter.get_total_flops(), rel=1e-6)


def test_operations_at_the_size_of_the_paper():
    # 486 and 406 GFLOP: worked out by hand from the shapes of Table S3.
    length = torch.tensor([1500])
    config = VisiumformerConfig()
    assert float(training_flops(config, length, 1.0)) == pytest.approx(486e9, rel=2e-3)
    assert float(training_flops(config, length, 0.15)) == pytest.approx(406e9, rel=2e-3)
    short = training_flops(config, torch.tensor([750, 750]), 0.15)
    assert float(short) < float(training_flops(config, length, 0.15))


def test_the_peak_is_measured_once():
    cpu = torch.device("cpu")
    first = measure_peak(cpu, torch.float32)
    assert 1e8 < first < 1e14
    assert measure_peak(cpu, torch.float32) == first


def test_speed_stands_in_the_metrics_and_in_the_log(pretrained):
    with (pretrained / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert all(float(row["spots_per_s"]) > 0 for row in rows[1:])
    assert all(0 < float(row["mfu"]) < 2 for row in rows[1:])
    log = (pretrained / "run.log").read_text()
    assert "round 3 of 3, step 90, loss" in log
    assert "spots/s" in log
    assert "of the device's peak" in log


@pytest.fixture
def clock(monkeypatch):
    ready_lightning()
    from umpire_training.engine import speed

    now = SimpleNamespace(t=0.0)
    fake = SimpleNamespace(perf_counter=lambda: now.t, monotonic=lambda: now.t)
    monkeypatch.setattr(speed, "time", fake)
    monkeypatch.setattr(speed, "measure_peak", lambda device, dtype: 1000.0)
    return now


def test_rates_leave_out_the_first_step_and_pauses(clock):
    from umpire_training.engine.speed import Speed

    logged = {}
    module = SimpleNamespace(
        device="cpu",
        flops=lambda batch: torch.tensor(100.0) * len(batch),
        log=lambda name, value, batch_size: logged.update({name: value}),
    )
    trainer = SimpleNamespace(
        precision="32-true", world_size=2, accumulate_grad_batches=1, global_step=0
    )
    speed = Speed(every=2)
    speed.on_train_start(trainer, module)
    batch = torch.zeros(8, 3)
    assert speed.words() == ""
    for epoch in range(2):
        speed.on_train_epoch_start(trainer, module)
        for i in range(3):
            clock.t += 50.0 if epoch == i == 0 else 2.0
            trainer.global_step += 1
            speed.on_train_batch_end(trainer, module, None, batch, i)
        speed.on_train_epoch_end(trainer, module)
        clock.t += 1000.0  # held-out spots, a checkpoint
    # 8 spots in 2 s on each of two devices; 800 operations in 2 s of 1,000 a second.
    assert logged == {"spots_per_s": 8.0, "mfu": pytest.approx(0.4)}
    assert speed.words() == "8 spots/s, 40% of the device's peak"


def test_batches_of_bags_have_no_spots(clock):
    from umpire_training.engine.speed import Speed

    speed = Speed(every=1)
    speed.on_train_batch_end(None, None, None, (torch.zeros(2, 3), torch.zeros(2)), 0)
    assert speed.words() == ""


def test_short_rounds_share_a_line(clock, caplog):
    from umpire_training.engine.speed import RoundLines, Speed

    lines = RoundLines(Speed(1), 100, 100, console=True)
    trainer = SimpleNamespace(
        is_global_zero=True, global_step=0, current_epoch=0, callback_metrics={"train_loss": 2.0},
        enable_validation=False,
    )  # fmt: skip
    lines.on_train_start(trainer, None)
    with caplog.at_level(logging.INFO, "umpire_training"):
        for i in range(100):
            clock.t += 1.0
            trainer.global_step, trainer.current_epoch = i + 1, i
            lines.on_train_epoch_end(trainer, None)
    said = [record.message for record in caplog.records]
    assert len(said) == 10
    assert said[0] == "round 10 of 100, step 10, loss 2, 0:01:30 left"
    assert said[-1] == "round 100 of 100, step 100, loss 2"


def test_a_line_says_the_accuracy_of_held_out_spots(clock, caplog):
    from umpire_training.engine.speed import RoundLines, Speed

    lines = RoundLines(Speed(1), 1, 5, console=True)
    found = {"train_loss": 2.0, "val_loss": 2.5, "val_accuracy": 0.0416}
    trainer = SimpleNamespace(
        is_global_zero=True, global_step=0, current_epoch=0, callback_metrics=found
    )
    lines.on_train_start(trainer, None)
    trainer.global_step = 5
    with caplog.at_level(logging.INFO, "umpire_training"):
        lines.on_validation_end(trainer, None)
    (said,) = (record.message for record in caplog.records)
    assert said == "round 1 of 1, step 5, loss 2, held-out loss 2.5, held-out accuracy 4.16%"


def test_the_bar_names_rounds_and_speed(clock, monkeypatch):
    from lightning.pytorch.callbacks import TQDMProgressBar

    from umpire_training.engine.speed import RoundBar, Speed

    monkeypatch.setattr(TQDMProgressBar, "get_metrics", lambda *_: {"v_num": 0, "train_loss": 1.5})
    speed = Speed(1)
    bar = RoundBar(speed, 7)
    assert bar.get_metrics(None, None) == {"train_loss": 1.5}
    speed.spots_per_s, speed.mfu = 1234.5, 0.414
    assert bar.get_metrics(None, None) == {"train_loss": 1.5, "spots/s": "1,234", "MFU": "41%"}
