"""Columns and keys of others are checked, not cast; what is left out is counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..builders import array, sdata, visium
from ..case import of_kind
from ..look import slide_is

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ..place import Place

case = of_kind("columns")
N = int(array()["in_tissue"].sum())
ALL = slide_is(mpp=2.0, spots=N, counts=True)

# ---- obs and keys of a store ----------------------------------------------------------------------


def in_obs(name: str, change: Callable[[pd.DataFrame], pd.DataFrame], **how: Any) -> None:
    def make(place: Place) -> Path:
        sdata(obs=change).write(place.folder / "x.zarr")
        return place.folder / "x.zarr"

    case(f"obs-{name}", make, **how)


def column(name: str, values: Callable[[pd.DataFrame], Any]) -> Callable[..., pd.DataFrame]:
    return lambda obs: obs.assign(**{name: values(obs)})


def first(value: object, name: str) -> Callable[[pd.DataFrame], Any]:
    return lambda obs: [value, *obs[name].tolist()[1:]]


in_obs("intact", lambda obs: obs, right=ALL, silent=True)
KEYS = "type|text|number|instance|key"
in_obs("keys-as-text", column("spot_id", lambda o: o["spot_id"].astype(str)), right=ALL,
       silent=True, refuses=KEYS, warns=KEYS)  # fmt: skip
in_obs("keys-as-int32", column("spot_id", lambda o: o["spot_id"].astype(np.int32)), right=ALL,
       silent=True)  # fmt: skip
in_obs("keys-of-others", column("spot_id", lambda o: o["spot_id"] + 10**6),
       refuses="in common|instance|spots")  # fmt: skip
in_obs("rows-in-another-order", lambda o: o.iloc[::-1], right=ALL, silent=True)
in_obs("half-of-the-rows", lambda o: o.iloc[: N // 2], right=slide_is(spots=N // 2, mpp=2.0),
       warns=rf"{N - N // 2}", refuses="rows|spots")  # fmt: skip
IN = "in_tissue"
ONE_OUT = "in_tissue|spot"
in_obs("in-tissue-nan", column(IN, first(np.nan, IN)), warns=ONE_OUT, refuses=ONE_OUT,
       right=slide_is(mpp=2.0))  # fmt: skip
in_obs("in-tissue-truth", column(IN, lambda o: o[IN] == 1), right=ALL, silent=True)
in_obs("in-tissue-float", column(IN, lambda o: o[IN].astype(float)), right=ALL, silent=True)
for text, yes in {"True": True, "true": True, "1": True, "yes": True, "x": False}.items():
    in_obs(
        f"in-tissue-text-{text}", column(IN, lambda o, t=text: np.array([t] * len(o), object)),
        right=ALL, silent=yes, warns=IN, refuses=IN,
    )  # fmt: skip
in_obs("in-tissue-category", column(IN, lambda o: pd.Categorical(["1"] * len(o))), right=ALL,
       silent=True, refuses=IN)  # fmt: skip
in_obs("in-tissue-2", column(IN, lambda o: np.full(len(o), 2)), warns=IN,
       right=ALL, refuses=f"{IN}|tissue")  # fmt: skip
in_obs("in-tissue-half", column(IN, first(0.5, IN)), right=slide_is(mpp=2.0), warns=IN, refuses=IN)
for axis in ("array_row", "array_col"):
    said = {"warns": axis, "refuses": axis, "right": slide_is(mpp=2.0)}
    in_obs(f"{axis}-nan", column(axis, first(np.nan, axis)), **said)
    in_obs(f"{axis}-1e30", column(axis, first(1e30, axis)), **said)
    in_obs(f"{axis}-negative-huge", column(axis, first(-(2**62), axis)), **said)
    in_obs(f"{axis}-half", column(axis, lambda o, a=axis: o[a] + 0.5), **said)
    in_obs(f"{axis}-words", column(axis, lambda o: ["left"] * len(o)), **said)
    in_obs(f"{axis}-text", column(axis, lambda o, a=axis: o[a].astype(str).astype(object)),
           silent=True, **said)  # fmt: skip
in_obs("same-place-of-the-array", lambda o: o.assign(
    array_row=[*o["array_row"].tolist()[:1] * 2, *o["array_row"].tolist()[2:]],
    array_col=[*o["array_col"].tolist()[:1] * 2, *o["array_col"].tolist()[2:]]),
    right=slide_is(mpp=2.0, spots=N), silent=True, warns="array", refuses="array")  # fmt: skip


def circles(name: str, index: Callable[[int], Any], **how: Any) -> None:
    def make(place: Place) -> Path:
        obs = (lambda o: o.iloc[:60]) if "repeat" in name else None
        sdata(index=index, obs=obs).write(place.folder / "x.zarr")
        return place.folder / "x.zarr"

    case(f"circles-{name}", make, **how)


TWICE = "twice|unique|more than once|duplicate|repeat"
circles("index-repeats", lambda n: np.r_[np.arange(60), np.arange(n - 60)], refuses=TWICE)
circles("index-of-text", lambda n: np.arange(n).astype(str), right=ALL, silent=True, refuses=KEYS,
        warns=KEYS)  # fmt: skip
circles("index-of-floats", lambda n: np.arange(n) + 0.0, right=ALL, silent=True, refuses=KEYS)


@case("circles-index-repeats-without-a-table", refuses=TWICE, warns=TWICE)
def _(place: Place) -> Path:
    sdata(index=lambda n: np.r_[np.arange(60), np.arange(n - 60)], table=False).write(
        place.folder / "x.zarr"
    )
    return place.folder / "x.zarr"


# ---- a table of positions --------------------------------------------------------------------------

POS = "spatial/tissue_positions.csv"
ROW, COL = "pxl_row_in_fullres", "pxl_col_in_fullres"


def positions(name: str, change: Callable[[pd.DataFrame], Any], **how: Any) -> None:
    def make(place: Place) -> Path:
        outs, table = visium(place.folder / "outs"), array()
        changed = change(table)
        (table if changed is None else changed).to_csv(outs / POS, index=False)
        return outs

    case(f"positions-{name}", make, **how)


def put(name: str, value: object, rows: slice = slice(3, 4)) -> Callable[[pd.DataFrame], Any]:
    def change(table: pd.DataFrame) -> None:
        on = table.index[table["in_tissue"] == 1][rows]
        table[name] = table[name].astype(object)
        table.loc[on, name] = value

    return change


for value in (np.nan, np.inf, "left", 1e300):
    positions(f"px-{value}", put(COL, value), refuses=f"{COL}|position|place|image|px",
              warns="spot|image", right=slide_is(mpp=2.0))  # fmt: skip
for value in (1e30, -1e30, 2**63, np.nan, "x", 2.5):
    positions(f"array-row-{value}", put("array_row", value), refuses="array_row|without a position",
              warns="array_row")  # fmt: skip
for value in ("yes", "True", 2, -1, np.nan, "x"):
    positions(f"one-in-tissue-{value}", put("in_tissue", value), refuses="in_tissue|without a position",
              warns="in_tissue|not under tissue", right=slide_is(mpp=2.0), silent=value in ("True", "yes"))  # fmt: skip
positions("all-in-tissue-yes", lambda t: t.assign(in_tissue=np.where(t[IN] == 1, "yes", "no")),
          right=slide_is(spots=N), silent=True, refuses="in_tissue")  # fmt: skip
positions("all-in-tissue-2", lambda t: t.assign(in_tissue=t[IN] * 2), refuses="in_tissue|tissue")
positions("none-in-tissue", lambda t: t.assign(in_tissue=0), refuses="tissue")
positions("barcode-twice", lambda t: t.assign(barcode=[t["barcode"][1], *t["barcode"][1:]]),
          refuses=f"{TWICE}|barcode")  # fmt: skip
positions("barcodes-nan", put("barcode", np.nan, slice(0, 3)), refuses="barcode|name|spot|lists")
positions("without-a-column", lambda t: t.drop(columns=ROW), refuses=f"{ROW}|column")
positions("one-column-more", lambda t: t.assign(note="x"), right=slide_is(spots=N, mpp=2.0),
          silent=True)  # fmt: skip
positions("columns-in-another-order", lambda t: t[t.columns[::-1]], right=slide_is(spots=N, mpp=2.0),
          silent=True, refuses="column")  # fmt: skip
positions("one-spot", lambda t: t[t[IN] == 1].head(1), refuses="scale|pitch|spot", warns="spot|um")


def text(name: str, change: Callable[[bytes], bytes], **how: Any) -> None:
    def make(place: Place) -> Path:
        outs = visium(place.folder / "outs")
        (outs / POS).write_bytes(change((outs / POS).read_bytes()))
        return outs

    case(f"positions-{name}", make, **how)


SAME = {"right": slide_is(spots=N, mpp=2.0), "silent": True}
UNREAD = "positions"
text("bom", lambda b: b"\xef\xbb\xbf" + b, **SAME)
text("crlf", lambda b: b.replace(b"\n", b"\r\n"), **SAME)
text("blank-lines", lambda b: b + b"\n\n\n", **SAME)
text("utf-16", lambda b: b.decode().encode("utf-16"), refuses=UNREAD)
text("semicolons", lambda b: b.replace(b",", b";"), refuses=UNREAD)
text("empty", lambda b: b"", refuses=UNREAD)
text("header-only", lambda b: b.split(b"\n")[0] + b"\n", refuses="positions|tissue")
text("nul", lambda b: b[:500] + bytes(500) + b[1000:], refuses=UNREAD)
text("binary", lambda b: bytes(range(256)) * 16, refuses=UNREAD)
text("open-quote", lambda b: b.replace(b"\n", b'\n"', 3), refuses=UNREAD)
text("half", lambda b: b[: len(b) // 2], warns="spot|barcode", refuses="position|barcode|spot")
