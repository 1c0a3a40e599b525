"""Typing a gene's name among 20,000: our index against `str.contains` over the same names.

Each key asks for the 200 best hits of what is typed so far: equal names first, then beginnings,
then parts; by symbol, Ensembl id, retired symbol or name of a stain. The peer searches the same
names in a table of pandas, and ranks its hits by the same rule with pandas' own sort. A third row
is the whole way through the window's list: the search, and the first rows drawn by Qt's model.
"""

from __future__ import annotations

import os

import numpy as np
import pandas as pd

from benchmarks.harness import assert_same, measure, print_table
from napari_umpire.inference.genes.table import GeneTable

GENES, LIMIT = 20_000, 200
GOAL_MS = 50.0
TYPED = ("ERBB2", "her2", "ENSG00000012345", "krt1", "zzz")
PEER = "pandas str.contains"


def run() -> None:
    table = _table()
    names = _names(table)
    keys = [text[: i + 1] for text in TYPED for i in range(len(text))]
    table.index.search("x", LIMIT)  # the index is made when a slide is opened
    methods = {
        "index (ours)": lambda: [_ours(table, text) for text in keys],
        PEER: lambda: [_pandas(names, text) for text in keys],
    }
    if os.environ.get("DISPLAY") or os.environ.get("QT_QPA_PLATFORM") == "offscreen":
        methods["index and list (ours)"] = _through_the_list(table, keys)
    timings = measure(methods, repeats=5)
    title = f"type-ahead: {len(table):,} genes, {len(names):,} names, {len(keys)} keys"
    print_table(title, timings, peer=PEER, items=len(keys), unit="keys")
    for name, timing in timings.items():
        ms = timing.wall_s / len(keys) * 1e3
        verdict = "met" if ms <= GOAL_MS else "NOT MET"
        print(f"  {name}: {ms:.2f} ms per key, goal {GOAL_MS:.0f} ms: {verdict}")
    ours, theirs = timings["index (ours)"].output, timings[PEER].output
    assert isinstance(ours, list)
    assert isinstance(theirs, list)
    for text, mine, other in zip(keys, ours, theirs, strict=True):
        if mine != other:
            raise AssertionError(f"hits differ for {text!r}: {mine[:5]} and {other[:5]}")
    assert_same("hits per key", [len(h) for h in ours], [len(h) for h in theirs])
    print(f"  same hits in the same order for all {len(keys)} keys")


def _table() -> GeneTable:
    """Symbols in the shape of human ones, with the genes that are typed among them."""
    rng = np.random.default_rng(0)
    letters = np.array(list("ABCDEFGHIKLMNPRSTUVXZ"))
    symbols = {"ERBB2": None, "KRT18": None, "KRT8": None, "AARS1": None}
    while len(symbols) < GENES:
        stem = "".join(rng.choice(letters, rng.integers(2, 6)))
        symbols[f"{stem}{rng.integers(1, 40)}" if rng.random() < 0.8 else stem] = None
    ids = [f"ENSG{i:011d}" for i in range(GENES)]
    genes = pd.DataFrame({"id": ids, "symbol": list(symbols)}, index=ids)
    return GeneTable.build(genes, None)


def _names(table: GeneTable) -> pd.DataFrame:
    """Every name with its gene, as the peer searches them."""
    from napari_umpire.genes.aliases import GeneAliases
    from napari_umpire.inference.genes.search import other_names

    frame = table.frame
    others = other_names(frame, GeneAliases.builtin(), GeneAliases.stains())
    parts = [
        pd.DataFrame({"name": frame["symbol"].to_numpy(), "key": frame.index, "order": 0}),
        pd.DataFrame({"name": frame["id"].to_numpy(), "key": frame.index, "order": 1}),
        pd.DataFrame({"name": list(others), "key": list(others.values()), "order": 3}),
    ]
    names = pd.concat(parts, ignore_index=True)
    names["low"] = names["name"].str.lower()
    names["length"] = names["low"].str.len()
    return names


def _ours(table: GeneTable, text: str) -> list[str]:
    return [hit.key for hit in table.index.search(text, LIMIT)]


def _pandas(names: pd.DataFrame, text: str) -> list[str]:
    wanted = text.lower()
    hits = names[names["low"].str.contains(wanted, regex=False)]
    starts = hits["low"].str.startswith(wanted)
    rank = np.where(hits["low"] == wanted, 0, np.where(starts, 1, 2))
    hits = hits.assign(rank=rank).sort_values(["rank", "length", "low", "order", "name", "key"])
    return hits["key"].drop_duplicates().head(LIMIT).tolist()


def _through_the_list(table: GeneTable, keys: list[str]) -> object:
    """What the window does at a key: search, count, and the labels of a screen of rows."""
    from qtpy.QtWidgets import QApplication

    from napari_umpire.plugin.widgets.maps.gene_search import GeneSearch

    app = QApplication.instance() or QApplication([])
    search = GeneSearch()
    search.set_table(table)
    search.resize(380, 400)
    search.show()

    def type_all() -> int:
        for text in keys:
            search.line.setText(text)
            search.line.textEdited.emit(text)
            app.processEvents()
        return search.hits.rowCount()

    return type_all
