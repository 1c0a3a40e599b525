"""`prepare` over many sources: the same output however it was made, and words for bad ones."""

from __future__ import annotations

import errno
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from napari_umpire.errors import InputError
from napari_umpire.progress import run
from umpire_training.cli import main
from umpire_training.corpus import preparing
from umpire_training.corpus.finding import find_sources
from umpire_training.corpus.pool import run_jobs
from umpire_training.corpus.tokens import TokenCorpus

from .. import layouts

EXE = Path(sys.executable).parent / "umpire-train"
N = 9
SMALL = ["--make", "tokens", "--qc.min_genes", "5", "--tokens.length", "16", "--shard_spots", "64"]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """h5ad files of different sizes and columns; the fifth is the second under another name."""
    folder = tmp_path_factory.mktemp("sources")
    rng = np.random.default_rng(8)
    paths = []
    for i in range(N):
        counts = layouts.counts_of(100 + i, 15 + 7 * i)
        order = rng.permutation(len(layouts.GENES))[: 30 + i]
        genes = [layouts.GENES[j] for j in order]
        paths.append(layouts.write_h5ad(folder / f"slide{i}.h5ad", counts[:, order], genes))
    Path(paths[4]).write_bytes(Path(paths[1]).read_bytes())
    return paths


def prepare(out, files, *more, small=SMALL):
    return main(["prepare", "--output", str(out), "--counts", *files, *small, *more])


@pytest.fixture(scope="module")
def unbroken(files, tmp_path_factory):
    out = tmp_path_factory.mktemp("unbroken") / "run"
    assert prepare(out, files) == 0
    return out


def sums(out):
    return (out / "corpus" / "SHA256SUMS").read_text()


def test_what_is_in_it(unbroken, files):
    """Means, tokens, spots, duplicates and digests, each against the files themselves."""
    import anndata as ad

    kept = [f for f in files if "slide4" not in f]
    tables = [ad.read_h5ad(f).to_df() for f in kept]
    tables = [t[(t > 0).sum(axis=1) >= 5] for t in tables]
    every = pd.concat(tables).reindex(columns=sorted(layouts.GENES)).fillna(0).to_numpy()
    corpus = TokenCorpus.open(unbroken / "corpus")
    assert corpus.vocabulary.ids.tolist() == sorted(layouts.GENES)
    np.testing.assert_array_equal(corpus.vocabulary.means, every.sum(0) / (every > 0).sum(0))
    by_hand = []
    for row in every:
        value = row / corpus.vocabulary.means
        ids = np.lexsort((np.arange(len(row)), -value))[: (row > 0).sum()][:16] + 30
        by_hand.append(np.pad(ids, (0, 16 - len(ids)), constant_values=1))
    np.testing.assert_array_equal(corpus.tokens, by_hand)
    spots = corpus.spots()
    names = [Path(f).stem for f in kept]
    assert spots["source"].tolist() == np.repeat(names, [len(t) for t in tables]).tolist()
    assert spots["spot"].tolist() == [s for t in tables for s in t.index]
    assert [f"s{r}" for r in spots["row"]] == spots["spot"].tolist()
    np.testing.assert_array_equal(spots["n_counts"], every.sum(axis=1))
    np.testing.assert_array_equal(spots["n_genes"], (every > 0).sum(axis=1))
    np.testing.assert_array_equal(corpus.n_tokens(), np.minimum((every > 0).sum(axis=1), 16))
    shards = sorted((unbroken / "corpus" / "tokens").iterdir())
    assert len(shards) == -(-len(every) // 64) > 4
    place = spots.iloc[100]
    there = np.load(shards[place["shard"]])[place["shard_row"]]
    np.testing.assert_array_equal(there, by_hand[100])
    assert [e["name"] for e in corpus.facts["left_out"]] == ["slide4"]
    done = subprocess.run(
        ["sha256sum", "-c", "SHA256SUMS"], cwd=unbroken / "corpus", capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert not (unbroken / "work").exists()


def test_the_card_tells_people(unbroken):
    text = (unbroken / "corpus" / "README.md").read_text()
    facts = json.loads((unbroken / "corpus" / "corpus.json").read_text())
    assert f"{facts['n_spots']:,} spots of 8 sections" in text
    assert "| slide4 | duplicate | It shares 100% of its spots with slide1. |" in text
    source = facts["sources"][2]
    row = next(line for line in text.splitlines() if line.startswith("| slide2 "))
    assert f"| {source['n_seen'] - source['n_spots']:,} |" in row
    assert "32 (100%)" in row


@pytest.mark.slow
def test_killed_in_the_middle_and_continued_by_other_workers(unbroken, files, tmp_path):
    """Kill -9 as soon as anything is finished, three times; the last run gets to the end."""
    out = tmp_path / "run"
    argv = [EXE, "prepare", "--output", out, "--counts", *files, *SMALL, "--workers", "2"]
    for attempt, wanted in enumerate(("surveys/*.npz", "pieces/*.json")):
        resume = ["--resume"] if attempt else []
        process = subprocess.Popen(
            [*map(str, argv), *resume], stderr=subprocess.PIPE, start_new_session=True
        )
        end = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < end:
            if any((out / "work").glob(wanted)):
                break
            time.sleep(0.002)
        assert process.poll() is None, process.stderr.read()
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stderr.close()
        _wait_until_alone(process.pid)
        assert not (out / "corpus").exists()
    assert prepare(out, files, "--resume") == 0, "one process is as good as two"
    assert sums(out) == sums(unbroken)


def _wait_until_alone(session: int) -> None:
    """Worker processes must not outlive the run that started them."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        left = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                words = stat.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(words[3]) == session and words[0] != "Z":
                left.append(stat.parent.name)
        if not left:
            return
        time.sleep(0.05)
    raise AssertionError(f"still running: {left}")


@pytest.mark.parametrize("place", ["survey", "tokens", "joining"])
def test_what_is_finished_is_not_done_again(unbroken, files, tmp_path, monkeypatch, place):
    from umpire_training.corpus import token_files

    module, name = {
        "survey": (preparing, "survey_source"),
        "tokens": (preparing, "write_piece"),
        "joining": (token_files, "_join"),
    }[place]
    work, calls = getattr(module, name), []

    def stopped(*args, **more):
        if len(calls) == 3:
            raise KeyboardInterrupt
        calls.append(args)
        return work(*args, **more)

    out = tmp_path / "run"
    monkeypatch.setattr(module, name, stopped)
    assert prepare(out, files) == 130
    assert not (out / "corpus").exists()
    again = []
    monkeypatch.setattr(module, name, lambda *a, **k: (again.append(a), work(*a, **k))[1])
    assert prepare(out, files, "--resume") == 0
    total = {"survey": N, "tokens": N - 1, "joining": len(list((out / "corpus/tokens").iterdir()))}
    assert len(again) == total[place] - 3
    assert sums(out) == sums(unbroken)


def test_a_source_that_changed_meanwhile_is_read_again(files, tmp_path, monkeypatch):
    mine = [str(tmp_path / Path(f).name) for f in files[:3]]
    for source, target in zip(files[:3], mine, strict=True):
        Path(target).write_bytes(Path(source).read_bytes())
    out = tmp_path / "run"
    work = preparing.fill_corpus

    def stopped(*args, **more):
        raise KeyboardInterrupt

    monkeypatch.setattr(preparing, "fill_corpus", stopped)
    assert prepare(out, mine) == 130
    monkeypatch.setattr(preparing, "fill_corpus", work)
    Path(mine[1]).write_bytes(Path(files[7]).read_bytes())
    os.utime(mine[1], ns=(1, 1))
    assert prepare(out, mine, "--resume") == 0
    fresh = tmp_path / "fresh"
    assert prepare(fresh, mine) == 0
    assert sums(out) == sums(fresh)


def test_failing_sources_do_not_stop_the_others(files, tmp_path, capsys):
    mixed = layouts.write_h5ad(
        tmp_path / "mixed.h5ad", layouts.counts_of(1, 9),
        [*layouts.GENES[:20], *(g.capitalize() for g in layouts.GENES[20:])],
    )  # fmt: skip
    cut = tmp_path / "cut.h5ad"
    cut.write_bytes(Path(files[0]).read_bytes()[:3000])
    out = tmp_path / "run"
    assert prepare(out, [files[0], str(cut), mixed, files[2]]) == 2
    err = capsys.readouterr().err
    assert "cut.h5ad is not a readable h5ad file" in err
    assert "mixed.h5ad cannot be taken: It holds genes of two species" in err
    assert "2 of 4 sources failed" in err
    corpus = TokenCorpus.open(out / "corpus")
    assert [s["name"] for s in corpus.facts["sources"]] == ["slide0", "slide2"]
    why = {e["name"]: e["why"] for e in corpus.facts["left_out"]}
    assert why == {"cut": "failed", "mixed": "failed"}


def crash(name, how):
    """A source of what a damaged file can do to the process that reads it."""
    if name == how:
        os.kill(os.getpid(), signal.SIGKILL if how == "killed" else signal.SIGSEGV)
    if name == "memory":
        raise MemoryError("Unable to allocate 3.64 TiB for an array")
    if name == "unsendable":
        raise Unsendable("x", 1)
    return name


class Unsendable(Exception):
    """An error whose pickle cannot be read again."""

    def __init__(self, one, two):
        super().__init__(one)


@pytest.mark.parametrize("how", ["killed", "segfault"])
def test_a_process_that_dies_costs_its_own_source_only(how):
    names = ["a", "b", how, "memory", "c", "d", "e"]
    outcomes = run(run_jobs(crash, [(name, how) for name in names], workers=2, stage="x"))
    assert [o.value for o in outcomes] == ["a", "b", None, None, "c", "d", "e"]
    assert "was ended, by a crash or because memory ran out" in outcomes[2].problem
    assert "Unable to allocate 3.64 TiB" in outcomes[3].problem


def test_an_error_that_cannot_be_sent_ends_its_own_source_only():
    names = ["a", "unsendable", "b", "c"]
    outcomes = run(run_jobs(crash, [(name, "") for name in names], workers=2, stage="x"))
    assert [o.failed for o in outcomes] == [False, True, False, False]


def test_what_cannot_be_opened_ends_itself_only(files, tmp_path, monkeypatch, capsys):
    """A store whose reader raises what no reader should."""
    opening = importlib.import_module("napari_umpire.slides.open")

    def fails(path, **more):
        raise ZeroDivisionError("float division by zero")

    monkeypatch.setattr(opening, "open_slides", fails)
    odd = tmp_path / "odd.zarr"
    odd.mkdir()
    out = tmp_path / "run"
    assert prepare(out, [files[0], str(odd), files[2]]) == 1
    assert f"{odd}: ZeroDivisionError: float division by zero" in capsys.readouterr().err
    sources = TokenCorpus.open(out / "corpus").facts["sources"]
    assert [s["name"] for s in sources] == ["slide0", "slide2"]


def test_companions_of_a_mac_are_no_data(files, tmp_path):
    folder = tmp_path / "counts"
    folder.mkdir()
    for path in files[:2]:
        shutil.copy(path, folder)
        (folder / f"._{Path(path).name}").write_bytes(b"\0\5\x16\7")
    assert prepare(tmp_path / "run", [str(folder)]) == 0
    root = tmp_path / "hest"
    layouts.write_hest(root, {"H1": "Homo sapiens"})
    (root / "st" / "._H1.h5ad").write_bytes(b"\0\5\x16\7")
    layouts.write_stimage(tmp_path / "st", "S1")
    (tmp_path / "st" / "gene_exp" / "._S1_count.csv").write_bytes(b"\0\5\x16\7")
    found = find_sources([str(root), str(tmp_path / "st")])[0]
    assert [s.name for s in found] == ["H1", "S1"]


def test_one_damaged_note_of_a_collection_costs_its_sample_only(tmp_path):
    root = tmp_path / "hest"
    layouts.write_hest(root, {"H1": "Homo sapiens", "H2": "Homo sapiens"})
    (root / "metadata" / "H1.json").write_text("[" * 100_000)
    one, two = find_sources([str(root)])[0]
    with pytest.raises(InputError, match=r"H1\.json cannot be read"):
        next(one.chunks())
    assert next(two.chunks()).counts.shape[0] == 27


def test_dry_run_and_the_run_agree_on_a_source_without_shared_genes(files, tmp_path, capsys):
    genes = tmp_path / "genes.csv"
    genes.write_text("id,symbol,mean\nENSG00000141736,ERBB2,1.0\n")
    small = ["--make", "tokens", "--qc.min_genes", "5", "--vocabulary.path", str(genes)]
    assert main(["prepare", "--counts", *files[:2], *small, "--dry_run"]) == 2
    out, err = capsys.readouterr()
    assert "no gene in common" in out.splitlines()[1].split("\t")
    assert "0 of 2 sections would be taken, with 0 spots; 0 left out, 2 failed" in err
    assert prepare(tmp_path / "run", files[:2], small=small) == 2
    said = capsys.readouterr().err
    for text in (err, said):
        assert f"{files[0]} and the vocabulary share no genes" in text
    assert "No source is left to prepare" in said.splitlines()[-1]
    assert "No spot of any source passed" not in said


def test_genomes_and_dates_are_said_once_a_source(tmp_path, capsys):
    counts = layouts.counts_of(1, 30)
    names = [f"GRCh38_{g}" for g in layouts.GENES]
    names[:2] = ["GRCh38_1-Mar", "mm10_Actb"]
    path = layouts.write_h5ad(tmp_path / "joint.h5ad", counts, names)
    plain = layouts.write_h5ad(tmp_path / "plain.h5ad", layouts.counts_of(2, 30))
    assert prepare(tmp_path / "run", [path, plain]) == 0
    said = capsys.readouterr().err
    assert said.count("1 of 40 genes are of another genome (mm10) and are left out") == 1
    assert said.count("1-Mar (MARCHF1 or MTARC1); taken: none") == 1
    ids = (tmp_path / "run" / "corpus" / "genes.csv").read_text().split()
    assert {line.split(",")[0] for line in ids[1:]} == set(layouts.GENES)


def test_a_source_that_fails_in_the_second_pass_is_left_out(files, tmp_path, monkeypatch):
    work = preparing.write_piece

    def fails(source, *rest):
        if source.name == "slide2":
            raise RuntimeError("a bug")
        return work(source, *rest)

    monkeypatch.setattr(preparing, "write_piece", fails)
    out = tmp_path / "run"
    assert prepare(out, files[:4]) == 1
    corpus = TokenCorpus.open(out / "corpus")
    assert [s["name"] for s in corpus.facts["sources"]] == ["slide0", "slide1", "slide3"]
    assert corpus.facts["left_out"][0]["reason"] == "RuntimeError: a bug"
    assert "Traceback" in (out / "run.log").read_text()


def test_excluded_slides_stay_out_by_content(files, tmp_path, capsys):
    out = tmp_path / "run"
    assert prepare(out, files[:5], "--exclude", files[1]) == 2
    assert "slide4 (" in capsys.readouterr().err
    assert not (out / "corpus").exists()
    more = ["--exclude", files[1], "--renamed", "leave_out", "--resume"]
    assert prepare(out, files[:5], *more) == 0, "what was read serves the other choice"
    facts = TokenCorpus.open(out / "corpus").facts
    assert [s["name"] for s in facts["sources"]] == ["slide0", "slide2", "slide3"]
    assert [e["why"] for e in facts["left_out"]] == ["excluded", "excluded"]


def test_a_full_disk_is_said_before_the_work(files, tmp_path, monkeypatch, capsys):
    import shutil

    real = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: real._replace(free=1000))
    assert prepare(tmp_path / "run", files[:3]) == 2
    assert "There is no room for the corpus on the disk" in capsys.readouterr().err


def test_a_disk_that_fills_up_loses_nothing(unbroken, files, tmp_path, monkeypatch, capsys):
    work, calls = preparing.write_piece, []

    def full(*args):
        calls.append(args)
        if len(calls) == 4:
            raise OSError(errno.ENOSPC, "No space left on device", "a.npy")
        return work(*args)

    monkeypatch.setattr(preparing, "write_piece", full)
    assert prepare(tmp_path / "run", files) == 1
    assert "Make room on the disk" in capsys.readouterr().err
    assert len(calls) == 4, "no other source is tried"
    monkeypatch.setattr(preparing, "write_piece", work)
    assert prepare(tmp_path / "run", files, "--resume") == 0
    assert sums(tmp_path / "run") == sums(unbroken)


def test_two_runs_in_one_folder(files, tmp_path, capsys, monkeypatch):
    out = tmp_path / "run"
    work = preparing.survey_source
    inner = []

    def meanwhile(*args):
        if not inner:
            inner.append(
                subprocess.run(
                    [EXE, "prepare", "--output", out, "--counts", *files[:2], *SMALL, "--resume"],
                    capture_output=True,
                    text=True,
                    check=False,
                )  # fmt: skip
            )
        return work(*args)

    monkeypatch.setattr(preparing, "survey_source", meanwhile)
    assert prepare(out, files[:2]) == 0
    assert inner[0].returncode == 2
    assert "Another process is at work in" in inner[0].stderr
    assert prepare(out, files[:2]) == 2
    assert "already holds a run" in capsys.readouterr().err


def test_dry_run_reports_and_writes_nothing(tmp_path, capsys):
    root = tmp_path / "hest"
    layouts.write_hest(root, {"H1": "Homo sapiens", "M1": "Mus musculus", "H2": "Homo sapiens"})
    (root / "patches" / "H2.h5").unlink()
    before = sorted(p for p in tmp_path.rglob("*"))
    code = main(["prepare", "--slides", str(root), "--qc.min_genes", "5", "--dry_run"])
    assert code == 2
    out, err = capsys.readouterr()
    lines = [line.split("\t") for line in out.splitlines()]
    table = pd.DataFrame(lines[1:], columns=lines[0]).set_index("section")
    assert table["taken"].to_dict() == {"H1": "yes", "H2": "yes", "M1": "other species"}
    good = int((( layouts.counts_of(0, 28)[1:] > 0).sum(1) >= 5).sum())  # fmt: skip
    assert table.loc["H1", ["spots", "good", "beside_tissue"]].tolist() == ["27", str(good), "1"]
    assert table.loc["H1", "image"].startswith("27 spots, 2.5 um per px")
    assert table.loc["H2", "image"] == "failed"
    assert "H2.h5ad: Sample H2 of" in err
    assert "Nothing was written" in err
    assert sorted(p for p in tmp_path.rglob("*")) == before


def test_the_digests_of_a_dry_run_exclude(files, tmp_path, capsys):
    assert main(["prepare", "--counts", files[1], "--qc.min_genes", "5", "--dry_run"]) == 0
    line = capsys.readouterr().out.splitlines()[1].split("\t")
    held = tmp_path / "held.txt"
    held.write_text(f"{line[11]}\n")
    assert prepare(tmp_path / "run", files[:3], "--exclude", str(held)) == 0
    sources = TokenCorpus.open(tmp_path / "run" / "corpus").facts["sources"]
    assert [s["name"] for s in sources] == ["slide0", "slide2"]


@pytest.mark.slow
def test_collections_together_by_two_processes(tmp_path):
    """HEST-1k and STImage-1K4M, tokens and pairs; one sample is in both."""
    root, other = tmp_path / "hest", tmp_path / "stimage" / "Visium"
    layouts.write_hest(root, {"H1": "Homo sapiens", "M1": "Mus musculus"})
    layouts.write_stimage(other, "S1", seed=9)
    layouts.write_stimage(other, "S2", seed=0)
    inside = pd.DataFrame(layouts.counts_of(0, 28), columns=layouts.GENES)
    spots = [f"S2_BC{i}-1" for i in range(28)]
    inside.set_axis(spots).iloc[1:].to_csv(other / "gene_exp" / "S2_count.csv")
    out = {}
    for workers in ("1", "2"):
        out[workers] = tmp_path / f"run{workers}"
        code = main(
            ["prepare", str(root), str(other.parent), "--output", str(out[workers])]
            + ["--qc.min_genes", "5", "--tokens.length", "16", "--workers", workers]
            + ["--patches.size_px", "16", "--patches.field_um", "40"]
            + ["--patches.max_upsampling", "9"]
        )
        assert code == 0
    assert sums(out["1"]) == sums(out["2"])
    facts = json.loads((out["2"] / "corpus" / "corpus.json").read_text())
    assert [s["name"] for s in facts["sources"]] == ["H1", "S1"]
    why = {e["name"]: e["why"] for e in facts["left_out"]}
    assert why == {"M1": "other species", "S2": "duplicate"}
    names = [p.relative_to(out["1"]) for p in (out["1"] / "pairs").rglob("*") if p.is_file()]
    assert len(names) == 2 + 2 * 8, names
    for name in names:
        assert (out["1"] / name).read_bytes() == (out["2"] / name).read_bytes(), name


def test_checkpoints_of_another_corpus_are_refused(unbroken, files, tmp_path):
    """A vocabulary that is not the checkpoint's, and other tokens of the same vocabulary."""
    from umpire_training.options import PretrainSettings, TrainerOptions, VisiumformerOptions
    from umpire_training.stages.pretrain import pretrain_encoder

    settings = PretrainSettings(
        encoder=VisiumformerOptions(dim=8, heads=1, feedforward=8, layers=1),
        trainer=TrainerOptions(max_steps=1, batch_size=4, progress_bar=False),
    )

    def pretrain(folder):
        corpus = TokenCorpus.open(folder / "corpus")
        return pretrain_encoder(corpus, settings, folder=tmp_path / "run", seed=0, resume=True)

    shutil.rmtree(pretrain(unbroken))
    pretrain(unbroken)
    vocabulary = ["--vocabulary.path", str(unbroken / "corpus")]
    assert prepare(tmp_path / "fewer", files[:3], *vocabulary) == 0
    assert prepare(tmp_path / "own", files[:3]) == 0
    shutil.rmtree(tmp_path / "run" / "encoder")
    for name, said in (("fewer", "The token corpus .* is not the one"), ("own", "The vocabulary")):
        with pytest.raises(InputError, match=said):
            pretrain(tmp_path / name)
