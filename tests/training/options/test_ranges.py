"""Numbers that no data could make right are one sentence, before anything is opened or made."""

from __future__ import annotations

import dataclasses
import math

import pytest

from napari_umpire.errors import InputError
from umpire_training import cli
from umpire_training.keys import dotted_keys
from umpire_training.options import AlignSettings, FinetuneSettings, OptimOptions, PretrainSettings
from umpire_training.options.mil import MilSettings
from umpire_training.options.probe import ProbeSettings
from umpire_training.options.ranges import check_ranges

REQUIRED = {
    "pretrain": ["--corpus", "c"],
    "align": ["--pairs", "p"],
    "finetune": ["--model", "m", "--pairs", "p"],
    "mil": ["--model", "m", "--labels", "l", "--slides", "s"],
    "evaluate": ["--slides", "s"],
    "prepare": [],
}


@pytest.mark.parametrize(
    ("verb", "option", "value", "said"),
    [
        ("pretrain", "seed", "-1", "at least 0 and at most 4294967295"),
        ("align", "seed", "99999999999999999999", "at least 0 and at most 4294967295"),
        ("pretrain", "optim.weight_decay", "-1", "at least 0"),
        ("pretrain", "optim.min_lr", "-1", "at least 0"),
        ("pretrain", "optim.warmup_steps", "-3", "at least 0"),
        ("align", "optim.clip_norm", "0", "above 0"),
        ("align", "head_optim.clip_norm", "-1", "above 0"),
        ("pretrain", "encoder.dropout", "1.5", "at least 0 and below 1"),
        ("pretrain", "encoder.dim", "-4", "at least 1"),
        ("pretrain", "mask.probability", "0", "above 0 and at most 1"),
        ("align", "dim", "-3", "at least 1"),
        ("evaluate", "align.dim", "-3", "at least 1"),
        ("align", "gene.hidden", "[4, 0]", "at least 1"),
        ("align", "trainer.workers", "-2", "at least 0"),
        ("pretrain", "trainer.log_every", "0", "at least 1"),
        ("align", "head_trainer.batch_size", "0", "at least 1"),
        ("align", "input_noise", "-1", "at least 0"),
        ("finetune", "input_noise", "-1", "at least 0"),
        ("align", "target.scale", "0", "above 0"),
        ("align", "augment.stain", "50", "at least 0 and at most 1"),
        ("mil", "optim.clip_norm", "-1", "above 0"),
        ("mil", "batch_size", "0", "at least 1"),
        ("prepare", "qc.min_genes", "-1", "at least 0"),
        ("prepare", "workers", "0", "at least 1"),
        ("prepare", "shard_spots", "0", "at least 1"),
        ("align", "trainer.devices", "0", "at least 1"),
        ("prepare", "patches.size_px", "1000000", "at least 1 and at most 4096"),
    ],
)  # fmt: skip
def test_a_number_out_of_range_is_one_sentence(verb, option, value, said, tmp_path, capsys):
    out = tmp_path / "run"
    argv = [verb, "--output", str(out), *REQUIRED[verb], f"--{option}", value]
    assert cli.main(argv) == 2
    err = capsys.readouterr().err
    assert err == f"umpire-train: {option} must be {said}. Got: {value}.\n"
    assert not out.exists()


def test_the_floor_of_the_learning_rate_is_not_above_it(capsys):
    argv = ["pretrain", "--corpus", "c", "--output", "o", "--optim.lr", "1e-6"]
    assert cli.main(argv) == 2
    err = capsys.readouterr().err
    assert "optim.min_lr must not be above optim.lr. Got: 1e-05. Expected: at most 1e-06." in err
    check_ranges(OptimOptions(lr=1e-6, min_lr=1e-6))


def test_an_accelerator_that_is_none_names_those_that_are(capsys):
    argv = ["pretrain", "--corpus", "c", "--output", "o", "--trainer.accelerator", "tpu"]
    assert cli.main(argv) == 2
    assert "Got: tpu. Expected: auto or cpu or gpu or cuda or mps." in capsys.readouterr().err


@pytest.mark.parametrize(
    "settings", [AlignSettings, FinetuneSettings, MilSettings, PretrainSettings, ProbeSettings]
)
def test_what_options_are_by_default_is_in_range_and_no_float_may_be_nan(settings):
    check_ranges(settings())
    for key, kind in dotted_keys(settings).items():
        if kind not in (float, float | None) or key.startswith("context."):
            continue
        given = settings()
        *groups, name = key.split(".")
        holder = given
        for group in groups:
            holder = getattr(holder, group)
        setattr(holder, name, math.nan)
        with pytest.raises(InputError, match=rf"{key} must be"):
            check_ranges(given)


def test_every_range_is_of_an_option_that_is_there():
    from umpire_training.options import ranges

    for group, names in ranges._OF_GROUP.items():
        assert set(names) <= {field.name for field in dataclasses.fields(group)}, group
