"""config.json and genes.csv of a model folder: settings of no model, or of one without end."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ..case import of_kind
from .trial import as_intact, object_npy, predicting, redigest, torch_zip

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ..place import Place

case = of_kind("model config")
SETTINGS = r"config|model|setting|encoder|patch|token|gene|expected|memory|large"


def config(name: str, change: Callable[[dict[str, Any], Place], Any], **how: Any) -> None:
    """A case whose settings are changed, or replaced by the text that ``change`` returns."""

    def make(place: Place) -> Any:
        model = place.copy("model")
        path = model / "config.json"
        said = json.loads(path.read_text())
        text = change(said, place)
        path.write_text(text if isinstance(text, str) else json.dumps(said), "utf-8")
        redigest(model)
        return predicting(place, model)

    case(f"config-{name}", make, **how or {"refuses": SETTINGS})


def put(*keys: str, value: object) -> Callable[[dict[str, Any], Place], None]:
    def change(said: dict[str, Any], place: Place) -> None:
        for key in keys[:-1]:
            said = said[key]
        said[keys[-1]] = value

    return change


INTACT = {"right": as_intact, "silent": True}
EITHER = {"silent": True, "warns": SETTINGS, "refuses": SETTINGS}
config("intact", lambda s, p: None, **INTACT)
config("not-json", lambda s, p: "hello")
config("list", lambda s, p: "[1]")
config("deep", lambda s, p: '{"gene":' + "[" * 100_000 + "]" * 100_000 + "}")
config("deep-widths", lambda s, p: json.dumps(s).replace("[8, 16]", "[" * 990 + "]" * 990))
config("dim-twice", lambda s, p: json.dumps(s)[:-1] + ', "dim": 7}')
config("bom", lambda s, p: "\ufeff" + json.dumps(s), **INTACT, refuses=SETTINGS)
config("long-number", lambda s, p: '{"dim": ' + "9" * 10_000 + "}")
config("no-byte", lambda s, p: "")
for key, text in {
    "escapes": "../../../etc/passwd",
    "absolute": "/etc/passwd",
    "local-dir": "local-dir:/etc",
    "hub": "hf-hub:evil/model",
    "hub-of-timm": "hf_hub:timm/resnet10t.c3_in1k",
}.items():
    config(f"encoder-{key}", lambda s, p, t=text: s["vision"].update(name=t, architecture=t))
config("encoder-hub-alone",
       lambda s, p: s["vision"].update(name="hf-hub:evil/model", architecture=None))  # fmt: skip
config("weights-of-the-hub", lambda s, p: s["vision"].update(weights="hub"), **INTACT,
       refuses=SETTINGS)  # fmt: skip
config("weights-by-path", lambda s, p: s["vision"].update(weights="/etc/passwd"), **INTACT,
       refuses=SETTINGS)  # fmt: skip


def written(place: Place, data: bytes, name: str) -> str:
    (place.folder / name).write_bytes(data)
    return str(place.folder / name)


KWARGS: dict[str, Callable[[Place], dict[str, Any]]] = {
    "pretrained": lambda p: {"pretrained": True},
    "checkpoint-of-code": lambda p: {"checkpoint_path": written(p, torch_zip(p), "x.pth")},
    "checkpoint-pickle": lambda p: {"checkpoint_path": written(p, p.code(), "x.pth")},
    "checkpoint-npz": lambda p: {"checkpoint_path": written(p, object_npy(p), "x.npz")},
    "checkpoint-passwd": lambda p: {"checkpoint_path": "/etc/passwd"},
    "overlay-file": lambda p: {"pretrained_cfg_overlay": {"file": written(p, p.code(), "x.pt")}},
    "cfg-url": lambda p: {"pretrained_cfg": {"url": "http://127.0.0.1:9/x", "architecture": "x"}},
    "cache-dir": lambda p: {"cache_dir": str(p.folder / "cache")},
    "features-only": lambda p: {"features_only": True},
    "unknown": lambda p: {"evil": 1},
    "scriptable": lambda p: {"scriptable": True, "exportable": True},
    "classes": lambda p: {"num_classes": 10**9},
    "channels": lambda p: {"in_chans": 10**9},
    "norm-layer": lambda p: {"norm_layer": "os.system"},
    "act-layer": lambda p: {"act_layer": "__import__"},
}
for name, kwargs in KWARGS.items():

    def timm(said: dict[str, Any], place: Place, kwargs: Any = kwargs) -> None:
        said["vision"].update(
            name="resnet10t", architecture="resnet10t", size_px=48, mean=[0.5] * 3, std=[0.5] * 3,
            kwargs=kwargs(place),
        )  # fmt: skip

    config(f"timm-{name}", timm)
for name in ("checkpoint-of-code", "checkpoint-passwd", "unknown"):
    config(f"own-encoder-{name}", lambda s, p, k=KWARGS[name]: s["vision"]["kwargs"].update(k(p)))

for key, values in {
    "dim": (10**12, 0, -1, True, "x", None, 1.5),
    "scale_limit": (float("nan"), -1.0, float("inf")),
    "adapter": ("x", 5),
}.items():
    for value in values:
        how = EITHER if key != "dim" else {"refuses": SETTINGS}
        config(f"{key.replace('_', '-')}-{value}", put(key, value=value), **how)
for key, values in {
    "dim": (10**7, 0, -4),
    "layers": (10**7, 20_000, 0, -1),
    "heads": (0, 7, -4),
    "length": (10**12, 0, -5),
    "n_tokens": (10**12, 0, -5),
    "feedforward": (10**12, 0),
}.items():
    for value in values:
        config(f"former-{key}-{value}", put("gene", "visiumformer", key, value=value))
config("former-levels-99", put("gene", "visiumformer", "levels", value=[99]), **EITHER)
config("former-dropout-nan", put("gene", "visiumformer", "dropout", value=float("nan")), **EITHER)
config("former-pooling-unknown", put("gene", "visiumformer", "pooling", value="x"))
config("gene-kind-unknown", put("gene", "kind", value="x"))
config("gene-kind-without-settings", put("gene", "kind", value="mlp"))
for name, widths in {
    "1e9": [10**9] * 3,
    "100000-layers": [1] * 100_000,
    "text": "abc",
    "negative": [-16, 32],
    "none": [],
    "0": [0, 16],
    "floats": [8.5, 16],
}.items():
    config(f"widths-{name}", put("vision", "kwargs", value={"widths": widths}))
for key, values in {
    "size_px": (10**6, 20_000, 0, -5),
    "field_um": (float("nan"), float("inf"), 1e-9, 0.0, -112.0),
}.items():
    for value in values:
        config(f"{key.replace('_', '-')}-{value}", put("vision", key, value=value))
config("size-px-1", put("vision", "size_px", value=1), **EITHER)
config("field-um-1e9", put("vision", "field_um", value=1e9), **EITHER)
for key, values in {"std": (0.0, float("nan"), -1.0), "mean": (1e308, float("nan"))}.items():
    for value in values:
        config(f"{key}-{value}", put("vision", key, value=[value] * 3), **EITHER)
for key, values in {"neighbours": (10**9, -1, 10**18), "reach": (1e9, float("nan"), -1.0)}.items():
    for value in values:
        config(f"context-{key}-{value}", put("context", key, value=value), **EITHER)
for value in (0, -5, 10**12):
    config(f"tokens-length-{value}", put("tokens", "length", value=value), **EITHER)
config("decoder-of-a-million-genes",
       put("decoder", value={"genes": ["x"] * 10**6, "hidden": 0, "alone": False}))  # fmt: skip
config("an-unknown-setting", put("evil", value=1), **EITHER)

# ---- genes.csv ----------------------------------------------------------------------------------


def genes(name: str, change: Callable[[bytes], bytes], **how: Any) -> None:
    def make(place: Place) -> Any:
        model = place.copy("model")
        path: Path = model / "genes.csv"
        path.write_bytes(change(path.read_bytes()))
        redigest(model)
        return predicting(place, model)

    case(f"genes-{name}", make, **how or {"refuses": "gene"})


def mean(value: bytes) -> Callable[[bytes], bytes]:
    return lambda b: b.replace(b.splitlines()[1].split(b",")[2], value)


genes("no-byte", lambda b: b"")
genes("half", lambda b: b[: len(b) // 2])
genes("mean-negative", mean(b"-1"))
genes("mean-inf", mean(b"inf"))
genes("mean-nan", mean(b"nan"), silent=True, refuses="gene", warns="gene")
genes("mean-words", mean(b"x"))
genes("mean-1e300", mean(b"1e300"), silent=True, refuses="gene", warns="gene")
genes("one-twice", lambda b: b + b.splitlines()[1] + b"\n")
genes("nul", lambda b: b[:60] + bytes(50) + b[110:])
genes("open-quote", lambda b: b.replace(b"\n", b'\n"', 3))
genes("field-of-a-mb", lambda b: b.replace(b"ACTB", b"A" * 2**20), silent=True, refuses="gene")
genes("five-million", lambda b: b"id,symbol,mean\n" + b"".join(
    b"g%d,s,1\n" % i for i in range(5 * 10**6)))  # fmt: skip
genes("not-utf-8", lambda b: b.replace(b"ACTB", b"\xff\xfe"))
genes("formula", lambda b: b.replace(b"ACTB", b"=cmd|' /C calc'!A0"), silent=True, refuses="gene")
