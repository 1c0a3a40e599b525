"""Random batches of tokens from a corpus on disk, against the authors' loader in memory.

The peer does what the published data set does: all tokens of an h5 file as int32 in memory, a
torch DataLoader that takes them one by one and stacks 256 of them. It gets a corpus small enough
for memory, ours one of any size; both give int32 of one width.

    python -m benchmarks.loader --spots 4000000

makes a corpus of that size (12 GB; removed afterwards), and also prints the memory of the process
over a whole pass, what it would cost to bound that of a mapped corpus, and what is left of the
speed when nothing of the corpus is in memory.
"""

from __future__ import annotations

import argparse
import gc
import json
import mmap
import os
import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import h5py
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from benchmarks.harness import assert_same, machine, measure, print_table
from napari_umpire.genes import GeneVocabulary
from umpire_training.corpus._gather import copy_rows
from umpire_training.corpus.npy import NpyWriter
from umpire_training.corpus.read_ahead import ReadAhead
from umpire_training.corpus.shards import TokenShards
from umpire_training.corpus.tokens import SHARD_SPOTS, TokenCorpus
from umpire_training.engine.sampler import RoundSampler

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

N_GENES, LENGTH, BATCH = 20_310, 1_500, 256
SPOTS, IN_MEMORY = 400_000, 51_200
COLD_BATCHES, THREADS = 40, 3
GIVEN_BACK = (0, 1, 16, 256)


class AuthorsRows(Dataset):
    """Tokens in memory, one row at a time."""

    def __init__(self, path: Path) -> None:
        with h5py.File(path, "r") as file:
            self.columns = {"tokenized_gene": file["tokenized_gene"][:]}

    def __len__(self) -> int:
        return len(self.columns["tokenized_gene"])

    def __getitem__(self, row: int) -> dict[str, torch.Tensor]:
        return {name: torch.from_numpy(rows[row]).clone() for name, rows in self.columns.items()}


class BareRows(AuthorsRows):
    """The same without the dict and the copy: as fast as one row at a time gets."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.tokens = torch.from_numpy(self.columns["tokenized_gene"])

    def __getitem__(self, row: int) -> torch.Tensor:  # type: ignore[override]
        return self.tokens[row]


def run(spots: int = SPOTS, folder: str | None = None) -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        path = Path(scratch)
        started = time.perf_counter()
        _write_corpus(path / "corpus", spots)
        size = spots * LENGTH * 2
        print(
            f"\nloader: a corpus of {spots:,} spots, {size / 1e9:.2f} GB in "
            f"{-(-spots // SHARD_SPOTS)} shards, written in {time.perf_counter() - started:.0f} s"
        )
        # Opened by each: what is still mapped could not be taken out of memory.
        _speed(TokenCorpus.open(path / "corpus"), path)
        for mapped in (False, True):
            _memory(_opened(TokenCorpus.open(path / "corpus"), mapped=mapped))
        gc.collect()
        _give_back(TokenCorpus.open(path / "corpus"))
        _cold(TokenCorpus.open(path / "corpus"))


def _write_corpus(folder: Path, spots: int) -> None:
    """Random tokens; the first two of a row are its number, in a base of the number of genes."""
    rng = np.random.default_rng(0)
    block = rng.integers(30, N_GENES + 30, (8192, LENGTH)).astype(np.uint16)
    (folder / "tokens").mkdir(parents=True)
    shards = []
    for first in range(0, spots, SHARD_SPOTS):
        last = min(first + SHARD_SPOTS, spots)
        path = folder / "tokens" / f"shard-{len(shards):05d}.npy"
        with NpyWriter(path, (LENGTH,), np.uint16) as out:
            for start in range(first, last, len(block)):
                rows = np.arange(start, min(start + len(block), last))
                part = np.roll(block[: len(rows)], start % 997, axis=1)
                part[:, 0], part[:, 1] = 30 + np.array(np.divmod(rows, N_GENES))
                out.append(part)
        # On the disk, or it could not be dropped from memory.
        with path.open("rb") as file:
            os.fsync(file.fileno())
        shards.append({"file": path.name, "n_spots": last - first, "sha256": ""})
    genes = [f"G{i:05d}" for i in range(N_GENES)]
    vocabulary = GeneVocabulary(np.array(genes), np.array(genes), np.ones(N_GENES), "made up")
    vocabulary.write_csv(folder / "genes.csv")
    facts = {
        "kind": "token corpus", "n_spots": spots, "length": LENGTH, "shard_spots": SHARD_SPOTS,
        "shards": shards, "vocabulary": vocabulary.digest, "vocabulary_source": "made up",
        "rounding": "none", "sources": [],
    }  # fmt: skip
    (folder / "corpus.json").write_text(json.dumps(facts))


def _speed(corpus: TokenCorpus, path: Path) -> None:
    from umpire_training.engine.installed import ready_lightning

    ready_lightning()
    from umpire_training.objectives.mlm import TokenRows

    rng = np.random.default_rng(1)
    n = min(IN_MEMORY, len(corpus.tokens))
    rows = np.sort(rng.choice(len(corpus.tokens), n, replace=False))
    with h5py.File(path / "authors.h5", "w") as file:
        file["tokenized_gene"] = corpus.tokens.gather(rows, np.int32)
    order = rng.permutation(n)
    authors, bare = AuthorsRows(path / "authors.h5"), BareRows(path / "authors.h5")

    def theirs() -> torch.Tensor:
        batches = DataLoader(authors, BATCH, sampler=order.tolist())
        return _last(batch["tokenized_gene"] for batch in batches)

    def barely() -> torch.Tensor:
        return _last(iter(DataLoader(bare, BATCH, sampler=order.tolist())))

    def one_by_one(shards: TokenShards) -> torch.Tensor:
        batches = (shards.gather(batch, np.int32) for batch in pieces)
        return _last(torch.from_numpy(batch) for batch in batches)

    def ahead(shards: TokenShards) -> torch.Tensor:
        batches = ReadAhead(pieces, partial(shards.gather, dtype=np.int32), threads=THREADS)
        return _last(torch.from_numpy(batch.result()) for batch in batches)

    def in_training() -> torch.Tensor:
        sampler = RoundSampler(rows, BATCH, round_steps=steps, total_steps=steps, seed=0)
        data = TokenRows(corpus.tokens)
        return _last(iter(DataLoader(data, batch_size=None, sampler=data.ahead(sampler))))

    pieces, steps = np.split(rows[order], np.arange(BATCH, n, BATCH)), n // BATCH
    mapped, read = _opened(corpus, mapped=True), _opened(corpus, mapped=False)
    peer = "authors, in memory"
    timings = measure(
        {
            peer: theirs,
            "the same, rows bare": barely,
            "ours, mapped": partial(one_by_one, mapped),
            "ours, read": partial(one_by_one, read),
            f"ours, read by {THREADS} threads": partial(ahead, read),
            "ours, as trained on (int64)": in_training,
        },
        repeats=7,
    )
    for clock in ("cpu", "wall"):
        print_table(
            f"loader: {n:,} random spots of {len(corpus.tokens):,}, {LENGTH} wide, batches of "
            f"{BATCH}; by itself it is {'mapped' if corpus.tokens.mapped else 'read'} here",
            timings,
            peer=peer,
            items=n,
            unit="spots",
            clock=clock,
            goals={"ours, mapped": 4.0, f"ours, read by {THREADS} threads": 4.0},
        )
    for name in list(timings)[2:-1]:
        assert_same(f"last batch of {name}", timings[name].output, timings[peer].output)


def _opened(corpus: TokenCorpus, *, mapped: bool) -> TokenShards:
    shards = corpus.tokens
    return TokenShards(shards.paths, shards.shape, shards.shard_rows, mapped=mapped)


def _last(batches: Iterator[torch.Tensor]) -> torch.Tensor:
    batch = torch.empty(0)
    for batch in batches:  # noqa: B007
        pass
    return batch


def _memory(shards: TokenShards) -> None:
    """Resident memory over one pass in random order, and that every spot came once."""
    n = len(shards)
    order = np.random.default_rng(2).permutation(n)
    seen = np.zeros(n, bool)
    how = "mapped" if shards.mapped else "read"
    print(f"\nresident memory over a pass of {n:,} spots, {n * LENGTH * 2 / 1e6:,.0f} MB, {how}")
    print("  spots        anonymous MB   of files MB")
    tell, curve, started = 0, [], time.process_time()
    for start in range(0, n, BATCH):
        batch = shards.gather(order[start : start + BATCH], np.int32)
        seen[(batch[:, 0].astype(np.int64) - 30) * N_GENES + batch[:, 1] - 30] = True
        if start + BATCH >= tell:
            anonymous, of_files = _resident()
            curve.append(anonymous + of_files)
            print(f"  {min(start + BATCH, n):11,}  {anonymous:12,.0f}  {of_files:12,.0f}")
            tell += n // 10
    seconds = time.process_time() - started
    if not seen.all():
        raise AssertionError(f"{int((~seen).sum()):,} spots never came")
    print(
        f"  every spot came once, {n / seconds:,.0f} spots per CPU second; memory grew by "
        f"{max(curve) - curve[0]:,.0f} MB"
    )


def _resident() -> tuple[float, float]:
    sizes = {}
    for line in Path("/proc/self/status").read_text().splitlines():
        key, _, value = line.partition(":")
        if key in ("RssAnon", "RssFile"):
            sizes[key] = int(value.split()[0]) / 1024
    return sizes["RssAnon"], sizes["RssFile"]


def _give_back(corpus: TokenCorpus) -> None:
    """Speed of mapped rows whose pages are given back every so many batches.

    The data stay in the system's memory; what a row then costs is the fault that maps it again.
    """
    files, places = [], []
    for shard, path in zip(corpus.facts["shards"], corpus.tokens.paths, strict=True):
        with path.open("rb") as file:
            files.append(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        header = len(files[-1]) - shard["n_spots"] * LENGTH * 2
        places.append(np.frombuffer(files[-1], np.uint8).ctypes.data + header)
    addresses, out = np.array(places, np.uint64), np.empty((BATCH, LENGTH), np.int32)

    def forget() -> None:
        for file in files:
            file.madvise(mmap.MADV_DONTNEED)

    def pass_over(batches: np.ndarray, every: int) -> tuple[float, float]:
        """CPU seconds per row and the most memory of files, in MB."""
        most, seconds = 0.0, 0.0
        for some in np.array_split(batches, max(1, len(batches) // every) if every else 1):
            started = time.process_time()
            for batch in some:
                copy_rows(addresses, SHARD_SPOTS, batch, out)
            seconds += time.process_time() - started
            most = max(most, _resident()[1])
            if every:
                started = time.process_time()
                forget()
                seconds += time.process_time() - started
        return seconds / batches.size, most

    rng = np.random.default_rng(4)
    n = max(1, min(256, len(corpus.tokens) // BATCH))
    pass_over(np.arange(len(corpus.tokens) // BATCH * BATCH).reshape(-1, BATCH), 0)
    found: dict[int, list[tuple[float, float]]] = {every: [] for every in GIVEN_BACK}
    for _ in range(3):
        for every in GIVEN_BACK:
            rows = rng.choice(len(corpus.tokens), (n, BATCH), replace=False)
            forget()
            if not every:
                pass_over(rows, 0)
            found[every].append(pass_over(rows, every))
    print(f"\nmapped pages given back, {n} random batches of {BATCH}, all in memory, 3 repeats")
    for every, of_it in found.items():
        how = f"every {every:3} batches" if every else "never, touched before"
        seconds = median(seconds for seconds, _ in of_it)
        most = max(most for _, most in of_it)
        print(f"  {how:22} {1 / seconds:12,.0f} spots per CPU second, up to {most:8,.0f} MB")


def _cold(corpus: TokenCorpus) -> None:
    """Random batches when the system holds nothing of the corpus."""
    rng = np.random.default_rng(3)
    rows = rng.choice(len(corpus.tokens), (3, COLD_BATCHES, BATCH), replace=False)
    print(f"\ncold: {COLD_BATCHES} random batches of {BATCH}, nothing of the corpus in memory")
    rates = {}
    for some, mapped in zip(rows, (True, False), strict=False):
        _drop(corpus)
        shards = _opened(corpus, mapped=mapped)
        name = "ours, mapped" if mapped else "ours, read"
        rates[name] = _report(name, shards.gather, some)
        del shards
        gc.collect()
    _drop(corpus)
    files = [np.load(path, mmap_mode="r") for path in corpus.tokens.paths]

    def by_numpy(batch: np.ndarray) -> np.ndarray:
        shard, row = np.divmod(batch, SHARD_SPOTS)
        return np.stack([files[s][r] for s, r in zip(shard, row, strict=True)])

    peer = _report("numpy, mapped", by_numpy, rows[2])
    for name, rate in rates.items():
        print(f"  {name}, cold: {rate / peer:.1f}x numpy; {rate / 1e3:.1f}x a GPU's 1,000 spots/s")


def _report(name: str, read: Callable[[np.ndarray], object], batches: np.ndarray) -> float:
    cold, again = _rate(read, batches), _rate(read, batches)
    print(f"  {name:14} {cold:10,.0f} spots/s cold, {again:12,.0f} the same at once again")
    return cold


def _rate(read: Callable[[np.ndarray], object], batches: np.ndarray) -> float:
    started = time.perf_counter()
    for batch in batches:
        read(batch)
    return batches.size / (time.perf_counter() - started)


def _drop(corpus: TokenCorpus) -> None:
    """Take the corpus, and nothing else, out of the system's memory."""
    for path in corpus.tokens.paths:
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spots", type=int, default=SPOTS)
    parser.add_argument("--folder", help="where the corpus is made; it is removed afterwards")
    given = parser.parse_args()
    print(machine())
    run(given.spots, given.folder)


if __name__ == "__main__":
    main()
