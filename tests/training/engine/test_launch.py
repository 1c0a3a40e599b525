from __future__ import annotations

import pytest

from napari_umpire.errors import InputError
from umpire_training.engine.launch import Launch, find_launch
from umpire_training.options import TrainerOptions
from umpire_training.run_folder import is_main_process

CLUSTER = (
    "TORCHELASTIC_RUN_ID", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "RANK", "LOCAL_RANK", "NODE_RANK",
    "SLURM_NTASKS", "SLURM_NTASKS_PER_NODE", "SLURM_NNODES", "SLURM_JOB_NAME", "SLURM_STEP_ID",
    "SLURM_PROCID",
)  # fmt: skip
TORCHRUN = {"TORCHELASTIC_RUN_ID": "1", "WORLD_SIZE": "6", "LOCAL_WORLD_SIZE": "3"}
SLURM = {
    "SLURM_NTASKS": "8", "SLURM_NTASKS_PER_NODE": "4", "SLURM_NNODES": "2", "SLURM_STEP_ID": "0",
    "SLURM_JOB_NAME": "train",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _no_cluster(monkeypatch):
    for name in CLUSTER:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def setenv(monkeypatch):
    def set_all(values):
        for name, value in values.items():
            monkeypatch.setenv(name, value)

    return set_all


@pytest.mark.parametrize(
    ("environment", "options", "expected"),
    [
        ({}, {}, Launch(1, 1, "options")),
        ({}, {"devices": 4, "num_nodes": 2}, Launch(4, 2, "options")),
        ({}, {"devices": "auto", "accelerator": "cpu"}, Launch(1, 1, "options")),
        (TORCHRUN, {}, Launch(3, 2, "torchrun")),
        (TORCHRUN | SLURM, {"devices": 3}, Launch(3, 2, "torchrun")),
        (SLURM, {}, Launch(4, 2, "slurm")),
        (SLURM | {"SLURM_JOB_NAME": "interactive"}, {"devices": 2}, Launch(2, 1, "options")),
        ({"SLURM_NTASKS": "1", "SLURM_JOB_NAME": "x"}, {"devices": 2}, Launch(2, 1, "options")),
        ({"SLURM_NTASKS": "1", "SLURM_STEP_ID": "0"}, {}, Launch(1, 1, "slurm")),
    ],
)
def test_who_trains_together(setenv, environment, options, expected):
    setenv(environment)
    found = find_launch(TrainerOptions(**options))
    assert found == expected
    assert found.world == expected.devices * expected.nodes


@pytest.mark.parametrize(
    ("environment", "options", "said"),
    [
        (TORCHRUN, {"devices": 2}, "not what torchrun has started"),
        (SLURM, {"devices": 8}, "not what slurm has started"),
        ({k: v for k, v in SLURM.items() if k != "SLURM_STEP_ID"}, {}, "Put srun before"),
        ({k: v for k, v in SLURM.items() if k != "SLURM_NTASKS_PER_NODE"}, {}, "--ntasks-per-node"),
        (SLURM | {"SLURM_NTASKS": "7"}, {}, "not spread evenly"),
        ({}, {"devices": 0}, "at least 1"),
        ({}, {"num_nodes": 0}, "at least 1"),
        ({}, {"devices": "0,1"}, "not a number of devices"),
    ],
)
def test_contradictions_are_said(setenv, environment, options, said):
    setenv(environment)
    with pytest.raises(InputError, match=said):
        find_launch(TrainerOptions(**options))


@pytest.mark.parametrize(
    ("environment", "main"),
    [
        ({}, True),
        ({"RANK": "2", "LOCAL_RANK": "0"}, False),
        ({"LOCAL_RANK": "0"}, True),
        ({"LOCAL_RANK": "0", "NODE_RANK": "1"}, False),
        ({"NODE_RANK": "1"}, False),
        ({"SLURM_PROCID": "3"}, False),
    ],
)
def test_one_process_of_all_writes(setenv, environment, main):
    setenv(environment)
    assert is_main_process() is main


@pytest.mark.parametrize(
    ("name", "precision", "launch", "said"),
    [
        ("fsdp", "32-true", Launch(1, 1, "options"), "there is one"),
        ("fsdp", "16-mixed", Launch(2, 1, "options"), "cannot compute in this"),
        ("fspd", "32-true", Launch(2, 1, "options"), "Unknown trainer.strategy"),
    ],
)
def test_strategies_that_cannot_run_are_refused(name, precision, launch, said):
    from umpire_training.engine.installed import ready_lightning

    ready_lightning()
    from umpire_training.engine.sharding import make_strategy

    with pytest.raises(InputError, match=said):
        make_strategy(name, precision, launch)
    assert make_strategy("ddp", precision, launch) == "ddp"
