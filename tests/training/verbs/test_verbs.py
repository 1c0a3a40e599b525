from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import spatialdata as sd
import yaml

from umpire_training.cli import main


@pytest.fixture(scope="module")
def with_reference(model_folder, slide_paths, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "tiny"
    shutil.copytree(model_folder, folder)
    assert main(["reference", "--model", str(folder), *slide_paths[:2]]) == 0
    return folder


def test_a_reference_is_never_replaced(with_reference, slide_paths, capsys):
    assert main(["reference", "--model", str(with_reference), slide_paths[0]]) == 2
    assert "already exists" in capsys.readouterr().err


def test_predict_writes_a_table_and_a_record_that_repeats_it(
    with_reference, slide_paths, tmp_path, capsys
):
    from napari_umpire.slides.open import open_slide

    argv = ["predict", "--model", str(with_reference), slide_paths[2], "--k", "7"]
    argv += ["--weighting", "similarity", "--device", "cpu"]
    assert main([*argv, "--output", str(tmp_path / "a")]) == 0
    (record,) = (tmp_path / "a").glob("*.yaml")
    said = yaml.safe_load(record.read_text())
    assert (said["k"], said["weighting"]) == (7, "similarity")
    assert main(["predict", "--config", str(record), "--output", str(tmp_path / "b")]) == 0
    tables = [
        sd.read_zarr(next((tmp_path / f).glob("*.zarr"))).tables["umpire"] for f in ("a", "b")
    ]
    np.testing.assert_array_equal(tables[0].X, tables[1].X)
    slide = open_slide(slide_paths[2])
    assert tables[0].shape == (slide.n_spots, 600)
    assert np.isfinite(np.asarray(tables[0].X)).all()
    # The same again goes beside the first, under a new name.
    assert main([*argv, "--output", str(tmp_path / "a"), "--genes", "ERBB2", "--std"]) == 0
    again = sd.read_zarr(next((tmp_path / "a").glob("*.zarr")))
    assert again.tables["umpire_2"].shape == (slide.n_spots, 1)
    assert len(list((tmp_path / "a").glob("*.yaml"))) == 2


def test_a_record_of_another_model_is_refused(with_reference, slide_paths, tmp_path, capsys):
    argv = ["predict", "--model", str(with_reference), slide_paths[2], "--device", "cpu"]
    assert main([*argv, "--output", str(tmp_path / "a"), "--genes", "ERBB2"]) == 0
    (record,) = (tmp_path / "a").glob("*.yaml")
    said = yaml.safe_load(record.read_text())
    said["provenance"]["model_digest"] = "0" * 64
    record.write_text(yaml.safe_dump(said))
    assert main(["predict", "--config", str(record), "--output", str(tmp_path / "b")]) == 2
    assert "model was 000" in capsys.readouterr().err
    assert not list((tmp_path / "b").glob("*")) if (tmp_path / "b").exists() else True


def test_a_record_of_a_slide_that_has_changed_is_refused(
    with_reference, slide_paths, tmp_path, capsys
):
    folder = tmp_path / "section"
    shutil.copytree(slide_paths[2], folder)
    argv = ["predict", "--model", str(with_reference), str(folder), "--device", "cpu"]
    assert main([*argv, "--output", str(tmp_path / "a"), "--genes", "ERBB2"]) == 0
    (record,) = (tmp_path / "a").glob("*.yaml")
    positions = folder / "spatial" / "tissue_positions.csv"
    table = pd.read_csv(positions)
    table["pxl_row_in_fullres"] += 3
    table.to_csv(positions, index=False)
    assert main(["predict", "--config", str(record), "--output", str(tmp_path / "b")]) == 2
    assert "slide was " in capsys.readouterr().err
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("name", ["a.zarr", "store", "file"])
def test_results_go_to_a_folder_and_nothing_else(
    with_reference, slide_paths, tmp_path, capsys, name
):
    output = tmp_path / name
    if name == "file":
        output.touch()
    if name == "store":
        (output / "shapes").mkdir(parents=True)
        (output / "zarr.json").write_text("{}")
    before = sorted(tmp_path.rglob("*"))
    argv = ["predict", slide_paths[2], "--model", str(with_reference)]
    assert main([*argv, "--output", str(output)]) == 2
    assert "Expected: a folder" in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before


def test_one_failing_slide_does_not_stop_the_others(with_reference, slide_paths, tmp_path, capsys):
    argv = ["predict", "nowhere", slide_paths[2], "--model", str(with_reference)]
    assert main([*argv, "--genes", "ERBB2", "--output", str(tmp_path), "--device", "cpu"]) == 2
    err = capsys.readouterr().err
    assert "1 of 2 slides failed: nowhere" in err
    assert len(list(tmp_path.glob("*.zarr"))) == 1


def test_a_second_slide_of_a_name_is_refused_before_it_is_predicted(
    with_reference, slide_paths, tmp_path, capsys, monkeypatch
):
    from napari_umpire.inference.model import Model

    again = tmp_path / "other" / Path(slide_paths[2]).name
    shutil.copytree(slide_paths[1], again)
    predict, asked = Model.predict, []

    def counted(self, slide, **options):
        asked.append(slide.path)
        return (yield from predict(self, slide, **options))

    monkeypatch.setattr(Model, "predict", counted)
    argv = ["predict", slide_paths[2], str(again), "--model", str(with_reference)]
    argv += ["--genes", "ERBB2", "--output", str(tmp_path / "out"), "--device", "cpu"]
    assert main(argv) == 2
    assert asked == [Path(slide_paths[2])]
    err = capsys.readouterr().err
    assert "two slides may have the same name" in err
    assert f"1 of 2 slides failed: {again}" in err
    (store,) = (tmp_path / "out").glob("*.zarr")
    assert sd.read_zarr(store).tables["umpire"].shape[1] == 1


@pytest.mark.parametrize("name", ["-slide", "\U0001f9ec", "- [a, {b", "a\udcff"])
def test_any_name_of_a_slide_is_predicted(with_reference, slide_paths, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(slide_paths[2], name)
    argv = ["predict", "--model", str(with_reference), "--genes", "ERBB2", "--device", "cpu"]
    assert main([*argv, "--output", "out", "--slides", name]) == 0
    (record,) = Path("out").glob("*.yaml")
    assert main(["predict", "--config", str(record), "--output", "again"]) == 0
    tables = [sd.read_zarr(next(Path(f).glob("*.zarr"))).tables["umpire"] for f in ("out", "again")]
    np.testing.assert_array_equal(tables[0].X, tables[1].X)


def test_a_place_whose_name_is_no_text_is_refused_before_the_work(
    with_reference, slide_paths, tmp_path, capsys, monkeypatch
):
    from napari_umpire.inference.model import Model

    monkeypatch.setattr(Model, "predict", None)  # not asked
    odd = tmp_path / "a\udcff"
    shutil.copytree(slide_paths[2], odd)
    before = sorted(p.name for p in tmp_path.iterdir())
    argv = ["predict", str(odd), "--model", str(with_reference), "--device", "cpu"]
    assert main(argv) == 2
    assert main(["convert", str(odd), "--output", f"{odd}.zarr"]) == 2
    err = capsys.readouterr().err
    assert err.count("bytes that are not UTF-8 text") == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_an_unexpected_failure_is_reported_and_gives_exit_code_1(
    with_reference, slide_paths, tmp_path, capsys, monkeypatch
):
    from napari_umpire.inference.model import Model

    predict = Model.predict

    def breaks(self, slide, **options):
        if slide.name == "synthetic_6":
            raise RuntimeError("cosmic ray")
        return (yield from predict(self, slide, **options))

    monkeypatch.setattr(Model, "predict", breaks)
    argv = ["predict", slide_paths[1], slide_paths[2], "--model", str(with_reference)]
    assert main([*argv, "--genes", "ERBB2", "--output", str(tmp_path), "--device", "cpu"]) == 1
    assert "cosmic ray" in capsys.readouterr().err
    assert len(list(tmp_path.glob("*.zarr"))) == 1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*is itself among the references")
def test_slides_in_processes_of_their_own_give_the_same(
    with_reference, slide_paths, tmp_path, capfd
):
    from napari_umpire.slides.elements import quiet_libraries

    argv = ["predict", slide_paths[1], slide_paths[2], "--model", str(with_reference)]
    argv += ["--genes", "ERBB2", "EPCAM", "--device", "cpu"]
    assert main([*argv, "--output", str(tmp_path / "one")]) == 0
    argv.insert(1, "nowhere")
    capfd.readouterr()
    assert main([*argv, "--output", str(tmp_path / "two"), "--workers", "2"]) == 2
    err = capfd.readouterr().err
    assert "1 of 3 slides failed: nowhere" in err
    assert "Traceback" not in err
    with quiet_libraries():
        import spatialdata

        for store in sorted((tmp_path / "one").glob("*.zarr")):
            tables = [
                spatialdata.read_zarr(folder / store.name).tables["umpire"]
                for folder in (tmp_path / "one", tmp_path / "two")
            ]
            np.testing.assert_array_equal(tables[0].X, tables[1].X)
    assert len(list((tmp_path / "two").glob("*.zarr"))) == 2


@pytest.fixture
def cluster():
    """A scheduler of one process and, in a process of its own, one worker."""
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=1,
        threads_per_worker=1,
        processes=True,
        dashboard_address=None,
        memory_limit=0,
        death_timeout=60,
    ) as cluster:
        yield cluster


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*is itself among the references")
def test_a_scheduler_that_answers_does_the_work_elsewhere(
    with_reference, slide_paths, tmp_path, cluster, capfd
):
    argv = ["predict", "nowhere", slide_paths[2], "--model", str(with_reference)]
    argv += ["--genes", "ERBB2", "--device", "cpu"]
    assert main([*argv[:1], *argv[2:], "--output", str(tmp_path / "here")]) == 0
    capfd.readouterr()
    there = [*argv, "--output", str(tmp_path / "there"), "--scheduler"]
    assert main([*there, cluster.scheduler_address]) == 2
    err = capfd.readouterr().err
    assert "1 of 2 slides failed: nowhere" in err
    assert "Traceback" not in err
    tables = [
        sd.read_zarr(next((tmp_path / place).glob("*.zarr"))).tables["umpire"]
        for place in ("here", "there")
    ]
    np.testing.assert_array_equal(tables[0].X, tables[1].X)
    # A scheduler file names the same scheduler, which still answers after the client has gone.
    file = tmp_path / "scheduler.json"
    file.write_text(json.dumps({"address": cluster.scheduler_address}))
    there[there.index(str(tmp_path / "there"))] = str(tmp_path / "file")
    assert main([*there, str(file)]) == 2
    assert len(list((tmp_path / "file").glob("*.zarr"))) == 1


def test_a_process_that_outlives_a_model_reads_the_new_one(with_reference, slide_paths, tmp_path):
    """The weights stay and the reference is another, with the times of the files that it replaces:
    as where a folder is unpacked again.
    """
    model = tmp_path / "model"
    shutil.copytree(with_reference, model)
    argv = ["predict", slide_paths[2], "--model", str(model), "--genes", "ERBB2", "--device", "cpu"]
    assert main([*argv, "--output", str(tmp_path / "old")]) == 0
    times = {p.name: p.stat().st_mtime_ns for p in (model / "reference").iterdir()}
    shutil.rmtree(model / "reference")
    assert main(["reference", slide_paths[0], "--model", str(model)]) == 0
    for path in (model / "reference").iterdir():
        os.utime(path, ns=(times[path.name], times[path.name]))
    assert main([*argv, "--output", str(tmp_path / "new")]) == 0
    fresh = tmp_path / "fresh"
    shutil.copytree(model, fresh)
    argv[argv.index(str(model))] = str(fresh)
    assert main([*argv, "--output", str(tmp_path / "right")]) == 0
    old, new, right = (
        np.asarray(sd.read_zarr(next((tmp_path / f).glob("*.zarr"))).tables["umpire"].X)
        for f in ("old", "new", "right")
    )
    np.testing.assert_array_equal(new, right)
    assert not np.array_equal(old, new)


def test_a_scheduler_that_does_not_answer_is_a_sentence(
    with_reference, slide_paths, capsys, monkeypatch
):
    from umpire_training import cluster

    monkeypatch.setattr(cluster, "_PATIENCE_S", 1)
    argv = ["predict", slide_paths[1], "--model", str(with_reference)]
    assert main([*argv, "--scheduler", "tcp://127.0.0.1:9"]) == 2
    assert "No dask scheduler answers at tcp://127.0.0.1:9" in capsys.readouterr().err
    assert main([*argv, "--workers", "0"]) == 2
    assert "at least 1" in capsys.readouterr().err


def test_convert_gives_the_same_slide(slide_paths, tmp_path):
    from napari_umpire.slides.open import open_slide

    assert main(["convert", *slide_paths[:2], "--output", str(tmp_path / "stores")]) == 0
    before = open_slide(slide_paths[0])
    after = open_slide(tmp_path / "stores" / f"{before.name}.zarr")
    np.testing.assert_allclose(after.yx, before.yx)
    assert after.mpp == before.mpp
    assert (after.counts() != before.counts()).nnz == 0
    assert main(["convert", slide_paths[0], "--output", str(tmp_path / "stores")]) == 2
    assert main(["convert", *slide_paths[:2], "--output", str(tmp_path / "one.zarr")]) == 2


RECIPE = """
tokens: {length: 32}
patches: {size_px: 16}
n_genes: [12, 20]
permutations: 3
show_genes: [ERBB2]
pretrain:
  encoder: {dim: 16, heads: 2, feedforward: 16, layers: 1}
  trainer: {max_steps: 4, batch_size: 32, accelerator: cpu, progress_bar: false}
align:
  dim: 8
  vision: {kwargs: {widths: [4, 8]}}
  gene: {train: false}
  trainer: {epochs: 1, batch_size: 32, accelerator: cpu, progress_bar: false, val_fraction: 0}
"""


@pytest.mark.slow
def test_evaluate_leaves_one_out_and_resumes_by_fold(slide_paths, tmp_path, monkeypatch):
    from umpire_training.benchmark import fold

    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE)
    out = tmp_path / "run"
    argv = ["evaluate", "--config", str(recipe), "--output", str(out), "--slides", *slide_paths]

    controls = fold.control_rows

    def cut(section, *args, **kwargs):
        if section.test.name == "synthetic_6":
            raise RuntimeError("power cut")
        return controls(section, *args, **kwargs)

    monkeypatch.setattr(fold, "control_rows", cut)
    with pytest.raises(RuntimeError, match="power cut"):
        main(argv)
    monkeypatch.undo()
    first = out / "folds" / "synthetic_5" / "scores.json"
    stamp = first.stat().st_mtime_ns
    assert main([*argv, "--resume"]) == 0
    assert first.stat().st_mtime_ns == stamp
    result = json.loads(first.read_text())
    assert sorted(result["train"]) == ["synthetic_6", "synthetic_7"]
    assert result["rows"]["position only, 8-NN"]["skipped"].startswith("no registered coordinates")
    assert len(result["rows"]["permuted training rows"]["HEG12"]["values"]) == 3
    # Nothing of the held-out slide is in what was trained or looked up.
    corpus = json.loads((out / "folds" / "synthetic_5" / "corpus" / "corpus.json").read_text())
    assert [s["name"] for s in corpus["sources"]] == ["synthetic_6", "synthetic_7"]
    reference = out / "folds" / "synthetic_5" / "model" / "reference" / "spots.csv"
    assert "synthetic_5" not in reference.read_text()
    table = (out / "evaluation.md").read_text()
    assert "| UMPIRE |" in table
    assert "leave one section out" in table
    assert "umpire-train evaluate --config" in table
    scores = (out / "scores.csv").read_text()
    assert scores.count("UMPIRE") == 3 * 3 * 2
    assert all(size in table for size in ("HVG12", "HVG20"))
    # The scores of one row again, from the files alone.
    from napari_umpire.inference.model import load_model
    from napari_umpire.inference.scores.metrics import pcc_per_gene
    from napari_umpire.progress import run
    from napari_umpire.slides.open import open_slide

    slide = open_slide(slide_paths[0])
    model = load_model(out / "folds" / "synthetic_5" / "model", device="cpu")
    prediction = run(model.predict(slide))
    genes = result["genes"]["VAR12"]
    counts = slide.counts().toarray()
    truth = np.log1p(counts / counts.sum(1, keepdims=True) * 1e4)
    names = slide.genes["symbol"].tolist()
    truth = truth[:, [names.index(g) for g in genes]]
    good = (counts > 0).sum(1) >= 100
    predicted = np.stack([prediction.gene_map(g) for g in genes], axis=1)
    again = np.nanmean(pcc_per_gene(predicted[good], truth[good]))
    assert result["rows"]["UMPIRE"]["VAR12"]["mean"] == pytest.approx(again, abs=1e-4)


def test_evaluate_refuses_a_single_slide_and_unknown_folds(slide_paths, tmp_path, capsys):
    argv = ["evaluate", "--model", "false", "--output", str(tmp_path / "run"), slide_paths[0]]
    assert main(argv) == 2
    assert "at least two" in capsys.readouterr().err
    assert main([*argv, slide_paths[1], "--folds", "C9"]) == 2
    assert "No slide is called C9" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.filterwarnings("always:k is 5,000")
def test_more_neighbours_than_references_are_said(with_reference, slide_paths, tmp_path, capsys):
    argv = ["predict", slide_paths[2], "--model", str(with_reference), "--device", "cpu"]
    argv += ["--genes", "ERBB2", "--output", str(tmp_path)]
    assert main([*argv, "--k", "5000"]) == 0
    assert "k is 5,000, and the reference has 119 spots" in capsys.readouterr().err


def test_evaluate_refuses_trainings_without_end_before_work(slide_paths, tmp_path, capsys):
    recipe, out = tmp_path / "recipe.yaml", tmp_path / "run"
    recipe.write_text(RECIPE.replace("max_steps: 4, ", ""))
    argv = ["evaluate", "--config", str(recipe), "--output", str(out), *slide_paths]
    assert main(argv) == 2
    assert "pretrain.trainer.max_steps None" in capsys.readouterr().err
    recipe.write_text(RECIPE.replace("epochs: 1", "epochs: 0"))
    assert main(argv) == 2
    assert "align.trainer.epochs must be at least 1" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["prepare", "--tokens.length", "0"], "tokens.length must be at least 1"),
        (["prepare", "--patches.size_px", "0"], "patches.size_px must be at least 1"),
        (["align", "--pairs", "none", "--temperature", "0"], "temperature must be above 0"),
    ],
)
def test_numbers_that_cannot_be_are_named(tmp_path, capsys, argv, said):
    assert main([*argv, "--output", str(tmp_path / "run")]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
