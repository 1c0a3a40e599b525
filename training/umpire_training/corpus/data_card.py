"""README.md of a token corpus: what is in it, what is not and why, for people."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["write_card"]


def write_card(folder: Path, facts: dict[str, Any]) -> None:
    """Write README.md of ``facts`` (corpus.json), and SHA256SUMS of all files."""
    (folder / "README.md").write_text(card(facts), encoding="utf-8")
    lines = [f"{shard['sha256']}  tokens/{shard['file']}" for shard in facts["shards"]]
    for name in ("README.md", "corpus.json", "genes.csv", "spots.parquet"):
        digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        lines.append(f"{digest}  {name}")
    (folder / "SHA256SUMS").write_text("\n".join(lines) + "\n", encoding="utf-8")


def card(facts: dict[str, Any]) -> str:
    """The text of the card."""
    sources, left_out, qc = facts["sources"], facts["left_out"], facts["qc"]
    size = facts["n_spots"] * facts["length"] * 2
    summary = (
        f"{facts['n_spots']:,} spots of {len(sources):,} sections, {facts['length']:,} rank tokens "
        f"each (uint16, padded with 1), in {len(facts['shards']):,} shards of up to "
        f"{facts['shard_spots']:,} spots; {size / 1e9:.2f} GB. Made by napari-umpire "
        f"{facts['version']}. Check the files with `sha256sum -c SHA256SUMS`."
    )
    parts = [
        "# A token corpus",
        summary,
        "## How it was made",
        _list(
            f"Spots: in tissue, at least {qc['min_genes']:,} detected genes"
            + (f" and {qc['min_counts']:,} counts." if qc["min_counts"] else "."),
            f"Vocabulary: {facts['n_vocabulary']:,} genes, digest {facts['vocabulary']}, from "
            f"{facts['vocabulary_source']}.",
            "Order of tokens: raw count over the gene's mean over the spots where it was seen, "
            "largest first; equal values by place in the vocabulary.",
            "Means: "
            + (
                "rounded to whole numbers, as published."
                if facts["rounding"] == "published"
                else "not rounded."
            ),
        ),
        "## Sections",
        _table(
            ("section", "layout", "species", "spots", "dropped by QC", "beside tissue", "columns",
             "of them in the vocabulary", "content"),
            [_row(source) for source in sources],
        ),
        "## Left out",
    ]  # fmt: skip
    if left_out:
        counted = Counter(entry["why"] for entry in left_out)
        parts.append(_list(*(f"{why}: {n:,}" for why, n in sorted(counted.items()))))
        rows = [(e["name"], e["why"], e["reason"]) for e in left_out]
        parts.append(_table(("section", "why", "reason"), rows))
    else:
        parts.append("Nothing.")
    return "\n\n".join(parts) + "\n"


def _row(source: dict[str, Any]) -> tuple[str, ...]:
    share = source["n_mapped"] / max(source["n_columns"], 1)
    return (
        source["name"],
        source["layout"],
        source.get("species") or "not told",
        f"{source['n_spots']:,}",
        f"{source['n_seen'] - source['n_spots']:,}",
        f"{source['n_outside']:,}" if "n_outside" in source else "",
        f"{source['n_columns']:,}",
        f"{source['n_mapped']:,} ({share:.0%})",
        source.get("content", "")[:16],
    )


def _list(*lines: str) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(_cell(c) for c in line) + " |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
