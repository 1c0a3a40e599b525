"""Counts: raw integers of these spots, in the range that a spot can hold, or refused."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from ..builders import H5, LEGACY_SPOTS, array, legacy, visium
from ..case import of_kind
from ..look import slide_is

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ..place import Place

case = of_kind("counts")
N = int(array()["in_tissue"].sum())
RIGHT = {"right": slide_is(spots=N, mpp=2.0, counts=True, genes=6), "silent": True}
COUNTS = r"count|matrix|feature_bc|gene|barcode|h5"

# ---- HDF5 ---------------------------------------------------------------------------------------


def in_h5(name: str, change: Callable[[Any], object], **how: Any) -> None:
    def make(place: Place) -> Path:
        outs = visium(place.folder / "outs")
        with h5py.File(outs / H5, "r+") as file:
            change(file["matrix"])
        return outs

    case(f"h5-{name}", make, **how or {"refuses": COUNTS})


def put(key: str, value: Callable[[np.ndarray], Any]) -> Callable[[Any], None]:
    def change(group: Any) -> None:
        new = np.asarray(value(group[key][:]))
        del group[key]
        group[key] = new

    return change


def but(index: Any, value: object, dtype: Any = None) -> Callable[[np.ndarray], np.ndarray]:
    def change(values: np.ndarray) -> np.ndarray:
        out = values.astype(dtype or values.dtype)
        out[index] = value
        return out

    return change


EACH = slice(None, None, 5)
in_h5("intact", lambda m: None, **RIGHT)
for name, values in {
    "nan": but(EACH, np.nan, np.float32),
    "inf": but(3, np.inf, np.float32),
    "negative": but(EACH, -3),
    "halves": lambda v: v / 2 + 0.25,
    "2e9": lambda v: np.full(len(v), 2_000_000_000, np.int32),
    "2-to-62": lambda v: np.full(len(v), 2**62, np.int64),
    "minus-1-as-uint32": but(EACH, 2**32 - 1, np.uint32),
    "minus-1-as-uint64": but(EACH, 2**64 - 1, np.uint64),
    "text": lambda v: np.array([b"x"] * len(v)),
    "short": lambda v: v[:-5],
}.items():
    in_h5(f"data-{name}", put("data", values))
in_h5("data-float-but-whole", put("data", lambda v: v.astype(np.float32)), **RIGHT)
in_h5("indices-beyond", put("indices", but(10, 10**6)))
in_h5("indices-negative", put("indices", but(10, -5)))
in_h5("indptr-falls", put("indptr", lambda v: np.r_[v[:5], v[9], v[6:9], v[5], v[10:]]))
in_h5("indptr-short", put("indptr", lambda v: v[:-4]))
in_h5("indptr-beyond", put("indptr", but(-1, 10**9)))
in_h5("shape-2e9", put("shape", lambda v: np.array([2e9, 2e9], np.int64)))
in_h5("shape-negative", put("shape", lambda v: -v))
in_h5("shape-of-three", put("shape", lambda v: np.r_[v, 1]))
in_h5(
    "barcodes-of-another-array",
    put(
        "barcodes",
        lambda v: (
            [f"TT{i:014}-1" for i in range(len(v))]
            and np.array([f"TT{i:014}-1" for i in range(len(v))], "S")
        ),
    ),
)
in_h5("barcodes-without-suffix", put("barcodes", lambda v: np.char.replace(v, b"-1", b"")))
in_h5("barcodes-of-library-2", put("barcodes", lambda v: np.char.replace(v, b"-1", b"-2")))
in_h5("barcodes-one-twice", put("barcodes", lambda v: np.r_[v[1:2], v[1:]]))
in_h5("barcodes-half-unknown",
      put("barcodes", lambda v: np.array([b"X" + b if i % 2 else b for i, b in enumerate(v)])),
      warns=str(N // 2), refuses="barcode|spot")  # fmt: skip
in_h5("features-gone", lambda m: m.__delitem__("features"))
in_h5("features-short", put("features/name", lambda v: v[:-1]))
in_h5("barcodes-gone", lambda m: m.__delitem__("barcodes"))
in_h5("data-gone", lambda m: m.__delitem__("data"))
in_h5("matrix-of-proteins-alone", put("features/feature_type", lambda v: np.full(6, b"Antibody Capture")),
      warns="gene|feature", refuses="gene|feature")  # fmt: skip
in_h5("two-proteins", put("features/feature_type", lambda v: np.r_[v[:4], [b"Antibody Capture"] * 2]),
      right=slide_is(genes=4, counts=True), silent=True, warns="protein|feature|Antibody")  # fmt: skip


def no_genes(matrix: Any) -> None:
    for key in ("features/id", "features/name", "features/feature_type", "features/genome",
                "data", "indices"):  # fmt: skip
        put(key, lambda v: v[:0])(matrix)
    put("indptr", np.zeros_like)(matrix)
    put("shape", lambda v: np.array([0, v[1]], np.int32))(matrix)


in_h5("no-genes", no_genes)


def empty(matrix: Any) -> None:
    for key in ("data", "indices"):
        put(key, lambda v: v[:0])(matrix)
    put("indptr", np.zeros_like)(matrix)


in_h5("no-molecule", empty, **RIGHT | {"warns": "empty|count|molecule"})
NAMES = {"right": slide_is(spots=N, counts=True, genes=6), "silent": True, "warns": "gene|name",
         "refuses": "gene|name|feature_bc"}  # fmt: skip
in_h5("genes-one-name", put("features/name", lambda v: np.full(6, b"ACTB")), **NAMES)
in_h5("genes-no-name", put("features/name", lambda v: np.full(6, b"")), **NAMES)
in_h5("genes-latin-1", put("features/name", lambda v: np.r_[[b"\xff\xfe\xe9"], v[1:]]), **NAMES)
in_h5(
    "genes-formula",
    put("features/name", lambda v: np.r_[[b"=cmd|' /C calc'!A0"], v[1:]].astype("S30")),
    **NAMES,
)
in_h5("external-link", lambda m: (m.__delitem__("data"), m.__setitem__(
    "data", h5py.ExternalLink("/etc/passwd", "/x"))))  # fmt: skip
in_h5("external-link-to-a-matrix", lambda m: (m.__delitem__("data"), m.__setitem__(
    "data", h5py.ExternalLink("other.h5", "/matrix/data"))))  # fmt: skip
in_h5("link-to-itself", lambda m: (m.__delitem__("data"), m.__setitem__(
    "data", h5py.SoftLink("/matrix/data"))))  # fmt: skip
in_h5("group-for-data", lambda m: (m.__delitem__("data"), m.create_group("data")))
in_h5("dataset-for-features", lambda m: (m.__delitem__("features"), m.__setitem__("features", 5)))


def file(name: str, part: str, change: Callable[[bytes], bytes], form: str = "outs", **how: Any):
    """A case of the bytes of one file."""

    def make(place: Place) -> Path:
        root = place.copy(form)
        (root / part).write_bytes(change((root / part).read_bytes()))
        return root

    case(name, make, **how or {"refuses": COUNTS})


for name, change in {
    "half": lambda b: b[: len(b) // 2],
    "100-bytes": lambda b: b[:100],
    "empty": lambda b: b"",
    "web-page": lambda b: b"<html>404</html>" * 99,
    "after-a-picture": lambda b: b"\x89PNG\r\n\x1a\n" + b,
    "tail-zeroed": lambda b: b[: len(b) * 2 // 3] + bytes(len(b) // 3),
    "middle-zeroed": lambda b: b[: len(b) // 3] + bytes(len(b) // 3) + b[len(b) * 2 // 3 :],
}.items():
    file(f"h5-{name}", H5, change, **({"refuses": COUNTS, **RIGHT} if name == "after-a-picture"
                                      else {"refuses": COUNTS}))  # fmt: skip


@case("h5-is-a-folder", refuses=COUNTS, warns=COUNTS)
def _(place: Place) -> Path:
    outs = visium(place.folder / "outs")
    (outs / H5).unlink()
    (outs / H5).mkdir()
    return outs


# ---- Matrix Market ------------------------------------------------------------------------------

HEAD = b"%%MatrixMarket matrix coordinate integer general\n"
M = "filtered_feature_bc_matrix"


def packed(name: str, text: bytes, part: str = "matrix.mtx.gz", **how: Any) -> None:
    file(f"mtx-{name}", f"{M}/{part}", lambda b: gzip.compress(text), "mtx", **how)


case("mtx-intact", lambda p: p.copy("mtx"), **RIGHT)
packed("words", HEAD + f"6 {N} 1\na b c\n".encode())
packed("index-zero", HEAD + f"6 {N} 1\n0 0 5\n".encode())
packed("index-beyond", HEAD + f"6 {N} 1\n7 1 5\n".encode())
packed("negative", HEAD + f"6 {N} 1\n1 1 -5\n".encode())
packed("one-entry-short", HEAD + f"6 {N} 2\n1 1 5\n".encode())
packed("other-shape", HEAD + b"5 3 1\n1 1 5\n")
packed("shape-negative", HEAD + b"-6 -3 1\n1 1 5\n")
packed("complex", b"%%MatrixMarket matrix coordinate complex general\n"
       + f"6 {N} 1\n1 1 5 5\n".encode())  # fmt: skip
packed("halves", HEAD.replace(b"integer", b"real") + f"6 {N} 1\n1 1 0.5\n".encode())
packed("no-header", b"1 1 5\n")
packed("binary", bytes(range(256)) * 9)
packed("genes-none", b"", "features.tsv.gz")
packed("genes-ragged", b"a\tb\nc\td\te\tf\n" * 3, "features.tsv.gz")
packed("genes-too-many", b"ENSG1\tA\tGene Expression\n" * 9, "features.tsv.gz")
packed("barcodes-none", b"", "barcodes.tsv.gz")
packed("barcodes-too-few", b"AA0001-1\n", "barcodes.tsv.gz")
for part in ("matrix.mtx.gz", "features.tsv.gz", "barcodes.tsv.gz"):
    file(f"mtx-{part.split('.')[0]}-half", f"{M}/{part}", lambda b: b[: len(b) // 2], "mtx")
    file(f"mtx-{part.split('.')[0]}-no-byte", f"{M}/{part}", lambda b: b"", "mtx")
    file(f"mtx-{part.split('.')[0]}-not-packed", f"{M}/{part}", gzip.decompress, "mtx",
         refuses=COUNTS, **RIGHT)  # fmt: skip
for part in ("features.tsv.gz", "barcodes.tsv.gz"):

    @case(f"mtx-without-{part.split('.')[0]}", refuses=COUNTS)
    def _(place: Place, part: str = part) -> Path:
        root = place.copy("mtx")
        (root / M / part).unlink()
        return root


# ---- legacy sections ----------------------------------------------------------------------------

CNT, SPOT, IMG = "ST-cnts/A1.tsv.gz", "ST-spotfiles/A1_selection.tsv", "ST-imgs/A/A1/a.jpg"
LEGACY = r"A1|count|spot|image"
case("legacy-intact", lambda p: p.copy("legacy"), right=slide_is(spots=LEGACY_SPOTS, mpp=2.0, genes=3),
     silent=True)  # fmt: skip
for name, counts in {
    "nan": ("nan", 1, 2),
    "empty": ("", 1, 2),
    "negative": (-1, 1, 2),
    "words": ("x", 1, 2),
    "halves": (0.5, 1, 2),
    "1e30": ("1e30", 1, 2),
}.items():
    case(f"legacy-counts-{name}", lambda p, c=counts: legacy(p.folder / "st", counts=c),
         refuses=LEGACY)  # fmt: skip
case("legacy-genes-formula",
     lambda p: legacy(p.folder / "st", genes=("=cmd|' /C calc'!A0", "@SUM(1+1)", "+1+1")),
     right=slide_is(spots=LEGACY_SPOTS, genes=3), silent=True)  # fmt: skip
file("legacy-counts-half", CNT, lambda b: b[: len(b) // 2], "legacy", refuses=LEGACY)
file("legacy-counts-no-byte", CNT, lambda b: b"", "legacy", refuses=LEGACY)
file("legacy-image-half", IMG, lambda b: b[: len(b) // 2], "legacy", refuses="a.jpg")
file("legacy-image-no-byte", IMG, lambda b: b"", "legacy", refuses="a.jpg")
HEADER = b"x\ty\tpixel_x\tpixel_y\n"
for name, rows in {
    "nan": b"1\t1\tnan\tnan\n",
    "1e30": b"1e30\t1\t5\t5\n1\t1\t90\t90\n2\t1\t190\t90\n",
    "words": b"1\t1\tleft\tright\n",
    "half": b"1.5\t1.2\t5\t5\n1\t1\t90\t90\n",
}.items():
    file(f"legacy-spots-{name}", SPOT, lambda b, r=rows: HEADER + r, "legacy",
         refuses=LEGACY, warns=r"spot.*(array|place|whole|left out)|1e\+?30")  # fmt: skip
for part in (SPOT, IMG):

    @case(f"legacy-without-{part.split('/')[0]}", refuses=LEGACY)
    def _(place: Place, part: str = part) -> Path:
        root = place.copy("legacy")
        (root / part).unlink()
        return root
