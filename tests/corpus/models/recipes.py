"""Recipes, run records, probes and checkpoints that an enemy or a slip of the hand wrote."""

from __future__ import annotations

import io
import json
import pickle
import struct
from typing import TYPE_CHECKING, Any

import numpy as np

from ..case import of_kind
from .weights import CODE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ..place import Place

case = of_kind("recipes")
TAGS = {
    "apply-system": "!!python/object/apply:os.system [\"touch '{}'\"]",
    "new-popen": "!!python/object/new:subprocess.Popen [[touch, '{}']]",
    "name": "!!python/name:os.system",
    "module": "!!python/module:os",
    "apply-exec": "!!python/object/apply:builtins.exec [\"open('{}','w')\"]",
    "tuple": "!!python/tuple [1, 2]",
}
"""Tags of YAML that make a careless reader run code."""


def predict(place: Place, *more: object) -> list[object]:
    out = place.folder / "predicted"
    return ["predict", place.base / "outs", "--model", place.base / "model", "--output", out, *more]


def of_text(place: Place, text: str, verb: str = "predict", *more: object) -> list[object]:
    path = place.folder / "recipe.yaml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    return [verb, *more, "--config", path]


for name, tag in TAGS.items():
    case(f"recipe-predict-{name}",
         lambda p, t=tag: of_text(p, f"model: {t.format(p.canary)}\n"), refuses=".")  # fmt: skip
    case(f"recipe-align-{name}", lambda p, t=tag: of_text(
        p, f"pairs: x\noutput: y\ndescription: {t.format(p.canary)}\n", "align"), refuses=".")  # fmt: skip
    case(f"record-{name}", lambda p, t=tag: of_text(
        p, f"slide: {p.base / 'outs'}\nmodel: {p.base / 'model'}\nname: {t.format(p.canary)}\n"),
        refuses=".")  # fmt: skip
    case(f"shell-{name}", lambda p, t=tag: predict(p, "--provenance", t.format(p.canary)),
         refuses=".")  # fmt: skip
    case(f"kwargs-{name}", lambda p, t=tag: [
        "align", "--pairs", "x", "--output", p.folder / "run", "--vision.kwargs",
        f"{{a: {t.format(p.canary)}}}"], refuses=".")  # fmt: skip


def yaml(name: str, text: Callable[[str], str], **how: Any) -> None:
    """A case of a recipe; ``text`` gets the lines that name slide, model and output."""

    def make(place: Place) -> list[object]:
        base = f"slides: [{place.base / 'outs'}]\nmodel: {place.base / 'model'}\n"
        return of_text(place, text(base + f"output: {place.folder / 'predicted'}\n"))

    case(f"recipe-{name}", make, **how or {"refuses": "."})


def laughs(lead: str, sep: str) -> str:
    """Nine lines that mean 10^9 words."""
    out = f"{lead}&a [x,x,x,x,x,x,x,x,x,x]\n"
    for this, before in zip("bcdefghi", "abcdefgh", strict=True):
        out += f"{sep.format(this)}&{this} [{','.join([f'*{before}'] * 10)}]\n"
    return out


yaml("intact", lambda base: base, silent=True)
yaml("laughs-in-unknown-keys", lambda base: laughs("a: ", "{}: ") + base)
yaml("laughs-in-genes", lambda base: "genes:\n" + laughs(" - ", " - ") + base)
yaml("deep", lambda base: "genes: " + "[" * 100_000 + "]" * 100_000)
yaml("deep-1000", lambda base: "genes: " + "[" * 1000 + "]" * 1000 + "\n" + base)
yaml("holds-itself", lambda base: "genes: &a [*a]\n" + base)
yaml("list-for-a-key", lambda base: "? [1, 2]\n: 3\n" + base)
yaml("number-for-a-key", lambda base: "5: 3\n" + base)
yaml("zeros", lambda base: "\0\0\0")
yaml("not-utf-8", lambda base: "genes: [\udcff]\n" + base)
yaml("date-for-k", lambda base: "k: 2020-01-01\n" + base)
yaml("date-among-genes", lambda base: "genes: [ACTB, 2020-01-01]\n" + base)
yaml("set-for-genes", lambda base: "genes: !!set {a, b}\n" + base)
yaml("bytes-for-the-model", lambda base: "model: !!binary aGVsbG8=\n")
yaml("names-itself", lambda base: "config: recipe.yaml\n" + base)
yaml("k-of-400-digits", lambda base: f"k: {'9' * 400}\n" + base)
yaml("k-nan", lambda base: "k: .nan\n" + base)
yaml("k-true", lambda base: "k: true\n" + base)
yaml("k-negative", lambda base: "k: -5\n" + base)
yaml("unknown-option", lambda base: "evil: 1\n" + base)
yaml("model-on-a-hub", lambda base: "model: evil/model\n" + base.replace("model:", "#"))
yaml("list", lambda base: "- 1\n- 2\n")
yaml("number", lambda base: "5")
yaml("no-byte", lambda base: "")
yaml("cut", lambda base: base[: len(base) // 2] + "\n: [")


@case("recipe-is-a-pipe", refuses=".")
def _(place: Place) -> list[object]:
    import os

    os.mkfifo(place.folder / "recipe.yaml")
    return ["predict", "--config", place.folder / "recipe.yaml"]


def record(name: str, how: dict[str, Any], /, **values: object) -> None:
    def make(place: Place) -> list[object]:
        said = {"slide": str(place.base / "outs"), "model": str(place.base / "model")} | values
        return of_text(place, json.dumps(said), "predict", "--output", place.folder / "predicted")

    case(f"record-{name}", make, **how)


NO: dict[str, Any] = {"refuses": "."}
EITHER = {"refuses": ".", "silent": True, "warns": "."}
record("name-escapes", EITHER, name="../../../../x")
record("name-empty", EITHER, name="")
record("name-of-5000-letters", EITHER, name="x" * 5000)
record("name-with-a-zero", EITHER, name="a\0b")
record("slide-escapes", NO, slide="../../..")
record("slide-5", NO, slide=5)
record("k-negative", NO, k=-5)
record("unknown-key", NO, evil=1)
record("of-another-model", NO, provenance={"model_digest": "0" * 64})
record("provenance-list", NO, provenance=[1])
record("model-on-a-hub", NO, model="evil/model")

# ---- checkpoints to import ------------------------------------------------------------------------


def importing(name: str, data: Callable[[Place], bytes], kind: str = "") -> None:
    def make(place: Place) -> list[object]:
        path = place.folder / "x.bin"
        path.write_bytes(data(place))
        more = ["--kind", kind] if kind else []
        return ["import", "--weights", path, "--output", place.folder / "made", "--vocabulary",
                vocabulary(place), *more]  # fmt: skip

    case(f"import-{kind or 'umpire'}-{name}", make, refuses=".")


def vocabulary(place: Place) -> Path:
    """The files of genes as they are published."""
    import anndata
    import pandas as pd

    folder = place.folder / "vocabulary"
    folder.mkdir()
    genes = pd.read_csv(place.base / "model/genes.csv")
    np.save(folder / "Visium_mean.npy", genes["mean"].to_numpy())
    names = dict(zip(genes["symbol"], genes["id"], strict=True))
    (folder / "gene_name_id_dict.pkl").write_bytes(pickle.dumps(names, 2))
    var = pd.DataFrame(index=genes["id"].to_numpy())
    empty = anndata.AnnData(np.zeros((1, len(genes)), np.float32), var=var)
    empty.write_h5ad(folder / "model.h5ad")
    return folder


for name, code in CODE.items():
    importing(name, code)
    importing(name, code, "visiumformer")
importing("pickle-of-200-mb", lambda p: b"\x80\x02\x8b" + struct.pack("<i", 2 * 10**8)
          + b"\x7f" * 2 * 10**8 + b".")  # fmt: skip
importing("pickle-claims-2-gb", lambda p: b"\x80\x03B" + struct.pack("<I", 2**31 - 1) + b"x")
importing("pickle-memo-4e9", lambda p: b"\x80\x02]r" + struct.pack("<I", 2**32 - 2) + b".")
importing("pickle-deep", lambda p: b"\x80\x02" + b"]" * 10**6 + b"a" * (10**6 - 1) + b".")
importing("pickle-builds-on-a-function", lambda p: b"\x80\x02ccollections\nOrderedDict\nq\x00)R}"
          b"X\x0a\x00\x00\x00__reduce__X\x01\x00\x00\x00xsb.")  # fmt: skip


def zipped(place: Place, *, member: int = 0, numbers: int = 4) -> bytes:
    """A checkpoint of one tensor, whose storage is packed zeros or whose size is a lie."""
    import zipfile

    import torch

    data, out = io.BytesIO(), io.BytesIO()
    torch.save({"w": torch.zeros(4)}, data)
    source = zipfile.ZipFile(data)
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for item in source.namelist():
            body = source.read(item)
            if item.endswith("data.pkl") and numbers != 4:
                body = body.replace(b"K\x04", b"\x8a\x06" + numbers.to_bytes(6, "little"))
            if item.endswith("data/0") and member:
                with file.open(item, "w", force_zip64=True) as stream:
                    for _ in range(member // 2**24):
                        stream.write(bytes(2**24))
            else:
                file.writestr(item, body)
    return out.getvalue()


importing("zip-bomb", lambda p: zipped(p, member=2**31))
importing("zip-claims-4-tb", lambda p: zipped(p, numbers=10**12))


def hostile_vocabulary(name: str, change: Callable[[Place, Path], object]) -> None:
    def make(place: Place) -> list[object]:
        import torch

        folder = vocabulary(place)
        change(place, folder)
        torch.save({"a": torch.zeros(2)}, place.folder / "x.pt")
        return ["import", "--weights", place.folder / "x.pt", "--output", place.folder / "made",
                "--kind", "visiumformer", "--vocabulary", folder]  # fmt: skip

    case(f"vocabulary-{name}", make, refuses=".")


def pickled_column(place: Place, folder: Path) -> None:
    import h5py

    with h5py.File(folder / "model.h5ad", "r+") as file:
        item = file["var"].create_dataset("p", data=np.void(place.code()))
        item.attrs["encoding-type"], item.attrs["encoding-version"] = "pickle", "0.1.0"
        file["var"].attrs["column-order"] = ["p"]


hostile_vocabulary(
    "symbols-of-code", lambda p, f: (f / "gene_name_id_dict.pkl").write_bytes(p.code())
)
hostile_vocabulary(
    "means-of-code", lambda p, f: (f / "Visium_mean.npy").write_bytes(CODE["npy-of-objects"](p))
)
hostile_vocabulary(
    "means-zipped", lambda p, f: (f / "Visium_mean.npy").write_bytes(CODE["torch-zip"](p))
)
hostile_vocabulary("order-of-code", pickled_column)

# ---- probes -------------------------------------------------------------------------------------


def probe(name: str, change: Callable[[Place, Path, dict[str, Any]], Any], **how: Any) -> None:
    def make(place: Place) -> Callable[[], Any]:
        from safetensors.numpy import save_file

        from napari_umpire.models.folder import model_digest

        model = place.copy("model")
        folder = model / "probes/p"
        folder.mkdir(parents=True)
        said = {
            "format": "napari-umpire probe", "version": 1, "name": "p", "kind": "image",
            "model_digest": model_digest(model), "dim": 16, "classes": ["a", "b"],
            "colours": ["#000000", "#ffffff"], "c": 1.0, "balanced": True, "training": [],
            "protocol": "", "scores": {},
        }  # fmt: skip
        numbers = {"mean": np.zeros(16), "scale": np.ones(16), "weight": np.ones((2, 16))}
        save_file(numbers | {"bias": np.zeros(2)}, folder / "probe.safetensors")
        text = change(place, folder, said)
        (folder / "probe.json").write_text(text if isinstance(text, str) else json.dumps(said))

        def work() -> Any:
            from napari_umpire.inference.classes.probe_file import list_probes, load_probe

            assert list_probes(model) == ["p"]
            return load_probe(folder, model_digest(model))

        return work

    case(f"probe-{name}", make, **how or NO)


probe("intact", lambda p, f, d: None, silent=True)
for name, code in CODE.items():
    probe(name, lambda p, f, d, c=code: (f / "probe.safetensors").write_bytes(c(p)) and None)
for key, values in {
    "dim": (64, 10**12, -1),
    "classes": ([], ["x"] * 10**6, "ab", [1, 2]),
    "model_digest": ("0" * 64,),
}.items():
    for number, value in enumerate(values):
        probe(f"{key}-{number}", lambda p, f, d, k=key, v=value: d.update({k: v}),
              **EITHER if (key, number) == ("classes", 3) else NO)  # fmt: skip
probe("c-nan", lambda p, f, d: d.update(c=float("nan")), **EITHER)
probe("name-escapes", lambda p, f, d: d.update(name="../../../x"), **EITHER)
probe("deep", lambda p, f, d: "[" * 100_000 + "]" * 100_000)
probe("long-number", lambda p, f, d: '{"dim": ' + "9" * 10_000 + "}")


@case("probe-numbers-nan", refuses=".")
def _(place: Place) -> Callable[[], Any]:
    from safetensors.numpy import save_file

    from ..case import CASES

    work = CASES["probe-intact"].make(place)
    numbers = {"mean": np.full(16, np.nan), "scale": np.zeros(16), "weight": np.ones((2, 16))}
    folder = place.folder / "model/probes/p"
    save_file(numbers | {"bias": np.zeros(2)}, folder / "probe.safetensors")
    return work
