from __future__ import annotations

import pytest
import torch

from napari_umpire.errors import InputError
from napari_umpire.faults import is_out_of_memory
from napari_umpire.inference.devices import (
    HalvingBatches,
    autocast,
    pick_device,
    uses_bf16,
)


def device_that_holds(limit, error=None):
    """Adds 1 to a list; runs out of memory above `limit` items. Notes the sizes it was given."""
    sizes = []

    def function(batch):
        sizes.append(len(batch))
        if len(batch) > limit:
            raise error or torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")
        return [x + 1 for x in batch]

    return function, sizes


def flat(parts):
    return [x for part in parts for x in part]


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 7, 32, 100])
def test_every_item_is_computed_once_and_in_order(limit):
    function, _ = device_that_holds(limit)
    assert flat(HalvingBatches(function, 32)(list(range(50)))) == list(range(1, 51))


def test_the_batch_is_halved_and_stays_so():
    function, sizes = device_that_holds(10)
    batches = HalvingBatches(function, 32)
    batches(list(range(32)))
    assert sizes == [32, 16, 8, 8, 8, 8]
    sizes.clear()
    batches(list(range(32)))
    assert sizes == [8, 8, 8, 8]


def test_a_short_batch_that_does_not_fit_is_halved_from_its_own_size():
    function, sizes = device_that_holds(2)
    HalvingBatches(function, 64)(list(range(6)))
    assert sizes == [6, 3, 1, 1, 1, 1, 1, 1]


def test_a_device_too_small_for_one_item():
    function, _ = device_that_holds(0)
    with pytest.raises(InputError, match="single spot"):
        HalvingBatches(function, 8)(list(range(8)))


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"),
        MemoryError("Unable to allocate 3.64 TiB"),
    ],
    ids=["cpu", "mps", "the host"],
)
def test_other_devices_say_it_in_words(error):
    assert is_out_of_memory(error)
    function, _ = device_that_holds(4, error)
    assert flat(HalvingBatches(function, 16)(list(range(16)))) == list(range(1, 17))


def test_any_other_error_is_passed_on():
    function, _ = device_that_holds(4, RuntimeError("shapes do not match"))
    with pytest.raises(RuntimeError, match="shapes do not match"):
        HalvingBatches(function, 16)(list(range(16)))
    assert not is_out_of_memory(ValueError("out of memory"))


def test_a_batch_size_of_nothing_is_refused():
    with pytest.raises(InputError, match="at least 1"):
        HalvingBatches(len, 0)


def test_devices():
    assert pick_device("cpu") == torch.device("cpu")
    assert pick_device(torch.device("cpu")) == torch.device("cpu")
    assert pick_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu") or (
        torch.backends.mps.is_available()
    )
    with pytest.raises(InputError, match="no device 'warp'"):
        pick_device("warp")


def test_bf16_is_off_on_a_cpu_unless_asked_for():
    cpu = torch.device("cpu")
    assert not uses_bf16(cpu)
    assert uses_bf16(cpu, True)
    x = torch.ones(4, 4)
    with autocast(cpu, True):
        assert (x @ x).dtype == torch.bfloat16
    with autocast(cpu, False):
        assert (x @ x).dtype == torch.float32
