"""The reference of a model: arrays that lie, tables of contents that do, files that are none."""

from __future__ import annotations

import json
import os
import shutil
import struct
from typing import TYPE_CHECKING, Any

import numpy as np

from ..case import of_kind
from .trial import WEIGHTS, as_intact, npy, object_npy, predicting, redigest, torch_zip
from .weights import CODE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ..place import Place

case = of_kind("reference")
REFERENCE = r"reference|embedding|expression|npy|gene|slide|spot|row|picture|patches"
EITHER = {"silent": True, "warns": REFERENCE, "refuses": REFERENCE}


def spoiled(name: str, change: Callable[[Path, Place], object], **how: Any) -> None:
    def make(place: Place) -> Any:
        model = place.copy("model")
        change(model, place)
        return predicting(place, model)

    case(f"reference-{name}", make, **how or {"refuses": REFERENCE})


def array(name: str, file: str, change: Callable[[np.ndarray], Any], **how: Any) -> None:
    """A case that changes an array; the digests are made to fit."""

    def spoil(model: Path, place: Place) -> None:
        changed = change(np.load(model / "reference" / file))
        data = changed if isinstance(changed, bytes) else npy(np.ascontiguousarray(changed))
        redigest(model, {file: data})

    spoiled(name, spoil, **how)


def but(index: Any, value: float) -> Callable[[np.ndarray], np.ndarray]:
    def change(values: np.ndarray) -> np.ndarray:
        out = values.copy()
        out[index] = value
        return out

    return change


spoiled("intact", lambda m, p: redigest(m), right=as_intact, silent=True)
EMB, ROWS, DATA, ENDS = (
    "embeddings.npy", "expression_indices.npy", "expression_data.npy", "expression_indptr.npy",
)  # fmt: skip
SOME = slice(None, None, 7)
array("embeddings-nan", EMB, but((5, 5), np.nan))
array("embeddings-inf", EMB, but((5, 5), np.inf))
array("embeddings-long", EMB, lambda a: a * 1000)
array("embeddings-zero", EMB, lambda a: a * 0)
array("embeddings-row-short", EMB, lambda a: a[:-1])
array("embeddings-float64", EMB, lambda a: a.astype(np.float64))
array("embeddings-claim-more", EMB, lambda a: npy(a, shape=(10**12, a.shape[1])))
array("embeddings-cut", EMB, lambda a: npy(a)[:-400])
array("embeddings-negative-shape", EMB, lambda a: npy(a, shape=(-1, a.shape[1])))
array("embeddings-shape-overflows", EMB, lambda a: npy(a, shape=(2**62, 2**62)))
array("embeddings-of-three-axes", EMB, lambda a: npy(a, shape=(*a.shape, 1)))
array("embeddings-header-is-a-call", EMB, lambda a: b"\x93NUMPY\x01\x00" + struct.pack("<H", 118)
      + b"{'descr': __import__('os').system('touch x'), 'shape': (1,)}".ljust(117) + b"\n")  # fmt: skip
array("embeddings-header-of-4-gb", EMB,
      lambda a: b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**32 - 1) + b"{" * 999)  # fmt: skip
array("embeddings-structured", EMB, lambda a: npy(np.zeros(3, "f4"), descr="|V4"))
array("rows-beyond", ROWS, but(SOME, 10**9))
array("rows-negative", ROWS, but(SOME, -7))
array("rows-in-another-order", ROWS, lambda a: a[::-1])
array("rows-all-0", ROWS, lambda a: a * 0)
array("expression-nan", DATA, but(SOME, np.nan))
array("expression-inf", DATA, but(SOME, np.inf))
array("expression-negative", DATA, lambda a: -a)
array("expression-1e30", DATA, lambda a: a * 1e30)
array("expression-12", DATA, but(SOME, 12.0))
array("expression-cut", DATA, lambda a: npy(a)[:-400])
array("ends-fall", ENDS, lambda a: np.r_[a[:2], a[4], a[3], a[2], a[5:]])
array("ends-beyond", ENDS, but(-1, 10**12))
array("ends-negative", ENDS, but(0, -5))
array("measured-none", "measured.npy", lambda a: a & False, **EITHER)
array("measured-2", "measured.npy", lambda a: npy(np.full(a.shape, 2, np.uint8), descr="|b1"),
      **EITHER)  # fmt: skip
array("image-embeddings-nan", "image_embeddings.npy", lambda a: a * np.float32(np.nan), **EITHER)
array("patches-beyond", "patches.npy", lambda a: a + 10**9)
array("patches-negative", "patches.npy", lambda a: a - 10**9)
for name, code in CODE.items():
    for file in (EMB, DATA):
        spoiled(f"{file.split('.')[0]}-{name}",
                lambda m, p, c=code, f=file: redigest(m, {f: c(p)}))  # fmt: skip
spoiled("embeddings-npz", lambda m, p: redigest(m, {EMB: torch_zip(p)}))
spoiled("patches-of-code", lambda m, p: redigest(m, {"patches.npy": object_npy(p)}))
spoiled("patches-no-pictures", lambda m, p: redigest(m, {"patches.bin": bytes(10**5)}))


def info(name: str, change: Callable[[dict[str, Any]], Any], **how: Any) -> None:
    """A case of reference.json; its own digest is made to fit."""

    def spoil(model: Path, place: Place) -> None:
        path = model / "reference/reference.json"
        said = json.loads(path.read_text())
        text = change(said)
        path.write_text(text if isinstance(text, str) else json.dumps(said))
        if not isinstance(text, str):
            redigest(model)

    spoiled(f"info-{name}", spoil, **how)


for key, values in {
    "n": (-1, 10**15, 93.5, "94", None, True),
    "dim": (64, 0, -16),
    "nnz": (5, -1),
    "n_genes": (5, 10**9),
}.items():
    for value in values:
        info(f"{key}-{value}", lambda d, k=key, v=value: d.update({k: v}))
info("digest-of-another", lambda d: json.dumps(d | {"digest": "0" * 16}))
info("of-another-model", lambda d: json.dumps(d | {"model_digest": "0" * 64}))
info("slides-overlap", lambda d: d["slides"][1].update(first=0))
info("slides-with-a-gap", lambda d: d["slides"][1].update(first=d["slides"][1]["first"] + 3))
info("slides-exchanged", lambda d: d["slides"].reverse())
info("slides-none", lambda d: d.update(slides=[]))
for value in (10**9, -5, 0, 1.5, "x"):
    info(f"slide-of-{value}-spots", lambda d, v=value: d["slides"][0].update(n_spots=v))
info("slide-name-escapes", lambda d: d["slides"][0].update(name="../../x"), silent=True,
     right=as_intact, refuses=REFERENCE)  # fmt: skip
info("slide-name-5", lambda d: d["slides"][0].update(name=5), **EITHER)
for part in ("files", "parts"):
    info(f"{part}-escape", lambda d, k=part: d[k].update({"../../../etc/passwd": "0" * 64}))
    info(f"{part}-list", lambda d, k=part: json.dumps(d | {k: [1]}))
info("pictures-of-1e9-px", lambda d: d["patches"].update(size_px=10**9), **EITHER)
info("pictures-of-negative-size", lambda d: d["patches"].update(size_px=-1), **EITHER)
info("normalisation-of-another", lambda d: d.update(normalisation="raw counts"))
info("deep", lambda d: "[" * 100_000 + "]" * 100_000)
info("long-number", lambda d: json.dumps(d).replace('"dim": 16', '"dim": ' + "9" * 10_000))
info("zeros", lambda d: "\x00" * 50)
info("no-byte", lambda d: "")
info("list", lambda d: "[1]")
info("version-99", lambda d: json.dumps(d | {"version": 99}))


def lines(name: str, file: str, change: Callable[[list[bytes]], list[bytes]], **how: Any) -> None:
    def spoil(model: Path, place: Place) -> None:
        data = (model / "reference" / file).read_bytes().splitlines(keepends=True)
        redigest(model, {file: b"".join(change(data))})

    spoiled(name, spoil, **how)


lines("genes-one-twice", "genes.csv", lambda d: [d[0], d[1], d[1], *d[3:]])
lines("genes-one-short", "genes.csv", lambda d: d[:-1])
lines("genes-formula", "genes.csv", lambda d: [d[0], b"=cmd|' /C'!A0,ENSG1,=cmd|' /C'!A0\n", *d[2:]],
      **EITHER)  # fmt: skip
lines("spots-ten-short", "spots.csv", lambda d: d[:-10], **EITHER)
lines("spots-nan", "spots.csv", lambda d: [d[0], d[1].replace(b".", b"nan"), *d[2:]], **EITHER)

# ---- files that are none ------------------------------------------------------------------------

NONE: dict[str, Callable[[Path], object]] = {
    "passwd": lambda p: p.symlink_to("/etc/passwd"),
    "pipe": os.mkfifo,
    "dev-zero": lambda p: p.symlink_to("/dev/zero"),
    "link-to-itself": lambda p: p.symlink_to(p.name),
    "folder": lambda p: p.mkdir(),
}
for part in ("config.json", "genes.csv", WEIGHTS, "reference/reference.json", "reference/genes.csv",
             "reference/embeddings.npy", "reference/expression_data.npy", "reference/spots.csv",
             "reference/patches.bin"):  # fmt: skip
    for what, make_it in NONE.items():

        def replace(model: Path, place: Place, part: str = part, make_it: Any = make_it) -> None:
            (model / part).unlink()
            make_it(model / part)

        spoiled(f"{part.replace('/', '-')}-is-{what}", replace, refuses=".")
spoiled("is-the-model", lambda m, p: (shutil.rmtree(m / "reference"),
                                      (m / "reference").symlink_to(m)), refuses=".")  # fmt: skip
spoiled("is-a-file", lambda m, p: (shutil.rmtree(m / "reference"),
                                   (m / "reference").write_text("x")), refuses=".")  # fmt: skip
