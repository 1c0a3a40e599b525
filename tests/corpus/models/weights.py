"""Weights: code, lies of safetensors, and numbers that no network gives."""

from __future__ import annotations

import json
import pickle
import struct
from typing import TYPE_CHECKING, Any

from ..case import of_kind
from .trial import WEIGHTS, as_intact, object_npy, predicting, redigest, torch_zip

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ..place import Place

case = of_kind("model weights")
NO_WEIGHTS = r"safetensors|tensor|weight|finite|memory|predict|large|checkpoint|embedding"


def torch_legacy(place: Place) -> bytes:
    """A checkpoint of the time before zip; the last of its pickles is code."""
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}
    head = [0x1950A86A20F9469CFC6C, 1001, system]
    return b"".join(pickle.dumps(part, 2) for part in head) + place.code()


def torch_tar(place: Place) -> bytes:
    """A checkpoint of torch 0.1: a tar of pickles."""
    import io
    import tarfile

    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            info = tarfile.TarInfo(name)
            info.size = len(place.code())
            tar.addfile(info, io.BytesIO(place.code()))
    return data.getvalue()


CODE: dict[str, Callable[[Place], bytes]] = {
    "pickle-0": lambda p: p.code(0),
    "pickle-2": lambda p: p.code(2),
    "pickle-5": lambda p: p.code(5),
    "torch-zip": torch_zip,
    "torch-legacy": torch_legacy,
    "torch-tar": torch_tar,
    "npy-of-objects": object_npy,
}


def safe(header: object, body: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


ONE = b'"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'
BYTES: dict[str, Callable[[bytes], bytes]] = {
    "no-byte": lambda b: b"",
    "7-bytes": lambda b: bytes(7),
    "half": lambda b: b[: len(b) // 2],
    "a-byte-short": lambda b: b[:-1],
    "a-byte-more": lambda b: b + b"x",
    "header-claims-a-gb": lambda b: struct.pack("<Q", 2**30) + b[8:],
    "header-claims-2e63": lambda b: struct.pack("<Q", 2**63) + b[8:],
    "header-deep": lambda b: safe(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "header-list": lambda b: safe([1, 2]),
    "no-tensor": lambda b: safe({}),
    "offsets-beyond": lambda b: safe(ONE.join((b"{", b"}")).replace(b"[0,4]", b"[0,999999]")),
    "offsets-negative": lambda b: safe(ONE.join((b"{", b"}")).replace(b"[0,4]", b"[-16,0]")),
    "shape-overflows": lambda b: safe(
        ONE.join((b"{", b"}")).replace(b"[1]", b"[4611686018427387904,4]")
    ),
    "a-tensor-twice": lambda b: safe(b"{" + ONE + b"," + ONE + b"}", bytes(4)),
    "lfs-pointer": lambda b: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
    "200000-tensors": lambda b: safe(b"{" + b",".join(
        b'"t%d":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}' % i for i in range(200_000)
    ) + b"}"),
}  # fmt: skip


def weights(name: str, data: Callable[[Place, bytes], bytes]) -> None:
    def make(place: Place) -> Any:
        model = place.copy("model")
        path: Path = model / WEIGHTS
        path.write_bytes(data(place, path.read_bytes()))
        return predicting(place, model)

    case(f"weights-{name}", make, refuses=NO_WEIGHTS)


for name, code in CODE.items():
    weights(name, lambda p, b, c=code: c(p))
for name, change in BYTES.items():
    weights(name, lambda p, b, c=change: c(b))


def tensors(name: str, change: Callable[[dict[str, Any]], Any], **how: Any) -> None:
    """A case that changes tensors in an honest file."""

    def make(place: Place) -> Any:
        from safetensors.torch import load_file, save_file

        model = place.copy("model")
        state = {key: value.clone() for key, value in load_file(model / WEIGHTS).items()}
        changed = change(state)
        save_file(state if changed is None else changed, model / WEIGHTS)
        redigest(model)
        return predicting(place, model)

    case(f"tensors-{name}", make, **how or {"refuses": NO_WEIGHTS})


def one(state: dict[str, Any], value: float) -> None:
    next(v for v in state.values() if v.is_floating_point() and v.ndim > 1).view(-1)[0] = value


def each(state: dict[str, Any], value: float) -> None:
    for name, tensor in state.items():
        if tensor.is_floating_point() and "logit" not in name:
            tensor.fill_(value)


def floats(dtype: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    import torch

    kind = getattr(torch, dtype)
    return lambda s: {k: v.to(kind) if v.is_floating_point() else v for k, v in s.items()}


EITHER = {"silent": True, "warns": NO_WEIGHTS, "refuses": NO_WEIGHTS}
tensors("intact", lambda s: None, right=as_intact, silent=True)
tensors("one-nan", lambda s: one(s, float("nan")))
tensors("one-inf", lambda s: one(s, float("inf")))
tensors("all-0", lambda s: each(s, 0.0), **EITHER)
tensors("all-1e30", lambda s: each(s, 1e30), **EITHER)
tensors("one-1e38", lambda s: one(s, 3e38), **EITHER)
tensors("another-shape", lambda s: {k: v[:1].clone() if v.ndim > 1 else v for k, v in s.items()})
tensors("one-missing", lambda s: s.pop(next(iter(s))) is None or None)
tensors("one-more", lambda s: s.update(evil=next(iter(s.values())).clone()),
        refuses=r"evil.*|no place.*evil")  # fmt: skip
tensors("float64", lambda s: floats("float64")(s), right=as_intact, silent=True)
for dtype in ("int8", "complex64", "bool", "float16"):
    tensors(dtype, lambda s, d=dtype: floats(d)(s), **EITHER)
for value in (200.0, 1e30, -200.0, -1e30, float("nan")):
    tensors(f"logit-scale-{value:g}", lambda s, v=value: s["logit_scale"].fill_(v) is None or None,
            **EITHER if value == value else {"refuses": NO_WEIGHTS})  # fmt: skip

# ---- weights of others, for an image encoder -----------------------------------------------------


def vision(name: str, data: Callable[[Place, Path], object], **how: Any) -> None:
    """A case of a file that stands in ``vision.weights`` when a model is made."""

    def make(place: Place) -> Any:
        path = place.folder / "x.pth"
        data(place, path)

        def work() -> Any:
            from napari_umpire.models import VisionConfig
            from napari_umpire.models.vision import create_vision_encoder

            return create_vision_encoder(VisionConfig("resnet10t", size_px=64, weights=str(path)))

        return work

    case(f"vision-weights-{name}", make, **how or {"refuses": "x.pth|weights|tensor"})


for name, code in CODE.items():
    vision(name, lambda p, f, c=code: f.write_bytes(c(p)))


def saved(make_state: Callable[[], Any]) -> Callable[[Place, Path], None]:
    def data(place: Place, path: Path) -> None:
        import torch

        torch.save(make_state(), path)

    return data


def towers() -> dict[str, Any]:
    """A student and a teacher in one checkpoint, both Vision Transformers of transformers."""
    import torch

    key = "embeddings.patch_embeddings.projection.weight"
    return {f"{t}.vit.{key}": torch.zeros(192, 3, 16, 16) for t in ("student", "teacher")}


def strange() -> dict[str, Any]:
    import torch

    return {"a": torch.zeros(3), "b": {"c": torch.zeros(2)}, "d": [1, 2]}


vision("two-towers", saved(towers))
vision("no-tensor", saved(dict))
vision("a-list", saved(lambda: [1, 2]))
vision("nested", saved(strange))
vision("lfs-pointer", lambda p, f: f.write_text("version https://git-lfs.github.com/spec/v1\n"))
vision("folder", lambda p, f: f.mkdir())
vision("dev-zero", lambda p, f: f.symlink_to("/dev/zero"))
