from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_umpire.errors import InputError
from napari_umpire.inference.cache import FeatureCache
from napari_umpire.inference.embed import compute_features
from napari_umpire.progress import run

N, DIM = 37, 5
INPUTS = np.random.default_rng(0).normal(size=(N, 4)).astype(np.float32)
WEIGHT = torch.from_numpy(np.random.default_rng(1).normal(size=(4, DIM)).astype(np.float32))
EXPECTED = INPUTS @ WEIGHT.numpy()


class Encoder:
    """Linear; counts the rows it saw and runs out of memory above `limit`."""

    def __init__(self, limit=10**9):
        self.limit, self.seen = limit, 0

    def __call__(self, x):
        if len(x) > self.limit:
            raise torch.OutOfMemoryError("out of memory")
        self.seen += len(x)
        return x @ WEIGHT


def steps(encoder, *, batch_size=8, entry=None, order=None, inputs=INPUTS):
    def batches(rows):
        rows = rows if order is None else rows[np.argsort(order[rows])]
        for a in range(0, len(rows), batch_size):
            yield rows[a : a + batch_size], inputs[rows[a : a + batch_size]]

    return compute_features(
        N, DIM, batches, encoder, device=torch.device("cpu"), batch_size=batch_size, entry=entry,
        name=lambda row: f"spot s{row}",
    )  # fmt: skip


@pytest.fixture
def new_entry(tmp_path):
    return lambda: FeatureCache(tmp_path).entry(n=N, dim=DIM, slide="s", encoder="e")


@pytest.mark.parametrize("batch_size", [1, 8, 64])
@pytest.mark.parametrize("limit", [1, 3, 10**9])
def test_the_result_does_not_depend_on_batches_or_memory(batch_size, limit):
    order = np.random.default_rng(2).permutation(N)
    found = run(steps(Encoder(limit), batch_size=batch_size, order=order))
    np.testing.assert_allclose(found, EXPECTED, rtol=1e-5, atol=1e-6)
    assert found.dtype == np.float32


def test_the_same_twice():
    np.testing.assert_array_equal(run(steps(Encoder())), run(steps(Encoder())))


def test_progress_begins_at_what_is_there_and_ends_at_all():
    reports = []
    run(steps(Encoder()), reports.append)
    assert [p.done for p in reports] == [0, 8, 16, 24, 32, 37]
    assert {p.total for p in reports} == {N}


def test_nothing_is_computed_twice(new_entry):
    run(steps(Encoder(), entry=new_entry()))
    encoder = Encoder()
    found = run(steps(encoder, entry=new_entry()))
    assert encoder.seen == 0
    np.testing.assert_allclose(found, EXPECTED, rtol=1e-5, atol=1e-6)


def test_cancel_leaves_what_was_done_and_the_next_run_goes_on(new_entry):
    first = steps(Encoder(), entry=new_entry())
    for _ in range(3):  # the start, and two batches
        next(first)
    first.close()
    assert new_entry().done.sum() == 16
    encoder, reports = Encoder(), []
    found = run(steps(encoder, entry=new_entry()), reports.append)
    assert reports[0].done == 16
    assert encoder.seen == N - 16
    np.testing.assert_allclose(found, EXPECTED, rtol=1e-5, atol=1e-6)


def test_an_error_leaves_what_was_done(new_entry):
    inputs = INPUTS.copy()
    inputs[20] = np.nan
    with pytest.raises(InputError, match="not finite at spot s20"):
        run(steps(Encoder(), entry=new_entry(), inputs=inputs))
    assert np.flatnonzero(new_entry().done).tolist() == list(range(16))


def test_spots_that_are_left_out_are_noticed():
    def batches(rows):
        yield rows[:5], INPUTS[rows[:5]]

    work = compute_features(N, DIM, batches, Encoder(), device=torch.device("cpu"))
    with pytest.raises(RuntimeError, match="32 spots were left out"):
        run(work)


def test_bfloat16_is_near(new_entry):
    def batches(rows):
        yield rows, INPUTS[rows]

    work = compute_features(N, DIM, batches, Encoder(), device=torch.device("cpu"), bf16=True)
    found = run(work)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, EXPECTED, rtol=0.05, atol=0.05)
