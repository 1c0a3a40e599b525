from __future__ import annotations

import collections
import os
import pickle
import pickletools

import pytest
import torch

from napari_umpire.errors import InputError
from napari_umpire.models.pickles import read_state_dict
from napari_umpire.models.weight_files import kind_of, read_weights


@pytest.fixture
def state():
    return collections.OrderedDict(
        a=torch.arange(6.0).reshape(2, 3),
        b=torch.nn.Parameter(torch.ones(2, dtype=torch.float16)),
        c=torch.tensor(3),
        d=torch.arange(6.0).reshape(2, 3).T,
    )


def write(path, data):
    path.write_bytes(pickle.dumps(data))
    return path


def test_a_plain_pickle_of_weights_is_read(tmp_path, state):
    path = write(tmp_path / "with_uni.pkl", state)
    globals_used = {
        arg for op, arg, _ in pickletools.genops(path.read_bytes()) if op.name == "GLOBAL"
    }
    strings = {a for o, a, _ in pickletools.genops(path.read_bytes()) if isinstance(a, str)}
    assert "_load_from_bytes" in strings | globals_used  # the pickle is of the published kind
    read = read_state_dict(path)
    assert list(read) == list(state)
    for key, tensor in state.items():
        assert torch.equal(read[key], tensor)
        assert not read[key].requires_grad


class Evil:
    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    ("payload", "name"),
    [
        (lambda t: Evil(os.system, f"touch {t}"), "system"),
        (lambda t: Evil(eval, f"open({str(t)!r}, 'w')"), "eval"),
        (lambda t: Evil(getattr, "x", "upper"), "getattr"),
        (lambda t: Evil(torch.load, str(t)), "torch.serialization.load"),
    ],
)
def test_anything_else_is_refused_by_name_and_not_run(tmp_path, state, payload, name):
    trace = tmp_path / "trace"
    path = write(tmp_path / "evil.pkl", {**state, "x": payload(trace)})
    with pytest.raises(InputError, match=f"refused.*{name}"):
        read_state_dict(path)
    assert not trace.exists()


def test_a_pickle_inside_a_storage_is_not_run_either(tmp_path):
    trace = tmp_path / "trace"
    inner = pickle.dumps(Evil(os.system, f"touch {trace}"))
    path = write(tmp_path / "evil.pkl", {"x": Evil(torch.storage._load_from_bytes, inner)})
    with pytest.raises(InputError, match="A tensor in .*evil.pkl holds Python objects") as error:
        read_state_dict(path)
    assert "weights_only" not in str(error.value)  # torch's advice is to read it unguarded
    assert not trace.exists()


def test_a_torch_file_with_objects_is_refused(tmp_path):
    trace = tmp_path / "trace"
    torch.save({"x": Evil(os.system, f"touch {trace}")}, tmp_path / "evil.pt")
    with pytest.raises(InputError, match="objects besides tensors.*system"):
        read_weights(tmp_path / "evil.pt")
    assert not trace.exists()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"a": 1}, "plain table of weights.*'a': int"),
        ({1: torch.ones(1)}, "plain table"),
        ([torch.ones(1)], "holds no weights.*list"),
        ({}, "holds no weights"),
    ],
)
def test_what_is_no_state_dict(tmp_path, data, words):
    with pytest.raises(InputError, match=words):
        read_state_dict(write(tmp_path / "x.pkl", data))


def test_damage(tmp_path, state):
    whole = pickle.dumps(state)
    for n in (3, 50, 300, len(whole) - 5):
        (tmp_path / "cut.pkl").write_bytes(whole[:n])
        with pytest.raises(InputError, match="damaged pickle"):
            read_state_dict(tmp_path / "cut.pkl")
    torch.save(dict(state), tmp_path / "cut.pt")
    whole = (tmp_path / "cut.pt").read_bytes()
    (tmp_path / "cut.pt").write_bytes(whole[:500])
    with pytest.raises(InputError, match="damaged torch"):
        read_weights(tmp_path / "cut.pt")


@pytest.mark.parametrize(("zipped", "size"), [(True, 5000), (False, 16), (False, 200)])
def test_a_checkpoint_that_is_cut_short_is_said_to_be(tmp_path, zipped, size):
    """At these lengths torch has words of its own, such as "Invalid argument"."""
    path = tmp_path / "cut.pt"
    state = {"a": torch.zeros(300, 300), "b": torch.zeros(5)}
    torch.save(state, path, _use_new_zipfile_serialization=zipped)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(InputError, match=f"cut short, or is none.*{size:,} bytes"):
        read_weights(path)


@pytest.mark.parametrize("zipped", [True, False])
def test_other_kinds_of_checkpoint_are_read_too(tmp_path, state, zipped):
    path = tmp_path / "lightning.ckpt"
    data = {"state_dict": dict(state), "epoch": 3}
    torch.save(data, path, _use_new_zipfile_serialization=zipped)
    assert kind_of(path) == "torch"
    assert list(read_state_dict(path)) == list(state)


def test_kinds_of_file_and_missing_files(tmp_path, state):
    from safetensors.torch import save_file

    save_file({"a": state["a"].clone()}, tmp_path / "s")
    assert kind_of(tmp_path / "s") == "safetensors"
    assert kind_of(write(tmp_path / "p", state)) == "pickle"
    (tmp_path / "t").write_text("hello")
    assert kind_of(tmp_path / "t") == "unknown"
    (tmp_path / "e").write_bytes(b"")
    assert kind_of(tmp_path / "e") == "unknown"
    with pytest.raises(InputError, match="not a weights file"):
        read_weights(tmp_path / "t")
    with pytest.raises(InputError, match="import_published"):
        read_weights(tmp_path / "p")
    with pytest.raises(InputError, match="was not found"):
        read_state_dict(tmp_path / "nothing.pkl")
    truncated = (tmp_path / "s").read_bytes()[:-4]
    (tmp_path / "s").write_bytes(truncated)
    with pytest.raises(InputError, match="damaged safetensors"):
        read_weights(tmp_path / "s")
