"""Each table of `umpire-train benchmark` on tiny synthetic slides, through the command line."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import yaml

from umpire_training.cli import main

TRAINER = {"batch_size": 32, "accelerator": "cpu", "progress_bar": False}
BASE = {
    "tokens": {"length": 32},
    "patches": {"size_px": 32},
    "n_genes": [12],
    "permutations": 2,
    "device": "cpu",
    "pretrain": {
        "encoder": {"dim": 16, "heads": 2, "feedforward": 16, "layers": 1},
        "trainer": {"max_steps": 3, **TRAINER},
    },
    "align": {
        "dim": 8,
        "gene": {"train": False},
        "vision": {"name": "umpire-statistics", "train": False},
        "trainer": {"epochs": 2, "val_fraction": 0.2, "log_every": 1, **TRAINER},
    },
    "finetune": {"trainer": {"epochs": 2, "patience": None, "val_fraction": 0, **TRAINER}},
}
REC = {"align.contrast.weight": 0, "align.rec": {"weight": 1, "genes": 200},
       "prediction": "decoder"}  # fmt: skip


@pytest.fixture
def recipe(tmp_path):
    def write(table, rows, **more):
        path = tmp_path / "recipe.yaml"
        tree = {**BASE, **more, "methods": {table: rows}}
        path.write_text(yaml.safe_dump(tree, sort_keys=False))
        return path

    return write


@pytest.fixture(scope="module")
def labels(slide_paths, tmp_path_factory):
    """Labels of the spots: left and right of the middle."""
    from napari_umpire.slides.open import open_slide

    folder = tmp_path_factory.mktemp("labels")
    for path in slide_paths:
        slide = open_slide(path)
        side = np.where(slide.yx[:, 1] > np.median(slide.yx[:, 1]), "right", "left")
        frame = pd.DataFrame({"spot": slide.spots.index, "label": side})
        frame.iloc[3:].to_csv(folder / f"{slide.name}_labels.csv", index=False)
    return folder


def call(table, recipe, out, slides, *more):
    argv = ["benchmark", table, "--config", str(recipe), "--output", str(out)]
    return main([*argv, *more, "--slides", *slides])


@pytest.mark.slow
def test_rows_share_a_fold_and_a_killed_run_goes_on_between_them(
    recipe, slide_paths, tmp_path, monkeypatch
):
    from umpire_training.benchmark import row

    path = recipe(
        "table-1",
        {
            "SCL": {"seeds": [0, 1]},
            "REC": REC,
            "adapter": {
                "start": "SCL",
                "finetune.mode": "adapter",
                "paper": "UMPIRE-ADAPTER Visium. + Phikon",
            },
        },
    )
    out = tmp_path / "run"
    more = ["--overlays", "ERBB2", "--folds", "synthetic_5"]
    train, calls = row.train_row, []

    def cut(*args, **kwargs):
        calls.append(args[3].name)
        if len(calls) == 4:
            raise RuntimeError("power cut")
        return train(*args, **kwargs)

    monkeypatch.setattr(row, "train_row", cut)
    assert call("table-1", path, out, slide_paths, *more, "--only", "SCL") == 0
    more.append("--resume")
    with pytest.raises(RuntimeError, match="power cut"):
        call("table-1", path, out, slide_paths, *more)
    assert call("table-1", path, out, slide_paths, *more) == 0
    # Models of a finished fold are removed: the one that the adapter starts from is made again.
    assert calls == ["scl-0", "scl-1", "scl-0", "rec-0", "rec-0", "adapter-0"]
    fold = out / "folds" / "synthetic_5"
    result = json.loads((fold / "scores.json").read_text())
    # One pairing and one pre-training for each seed serve all rows.
    assert {p.name.partition("-")[0] for p in fold.iterdir() if p.is_dir()} == {
        "corpus", "pairs", "pretrain", "rows"}  # fmt: skip
    assert len(list(fold.glob("pairs*"))) == 1
    assert len(list(fold.glob("pretrain*"))) == 2
    # Models are gone, what was predicted is kept.
    assert not list(fold.glob("rows/*/model"))
    values = result["rows"]["SCL"]["HEG12"]["values"]
    assert len(values) == 2
    assert result["rows"]["SCL"]["HEG12"]["mean"] == pytest.approx(np.mean(values))
    predicted = np.load(fold / "rows" / "scl-0" / "prediction-synthetic_5.npy")
    assert predicted.shape == (result["n_spots"], len(result["scored"]))
    # A score again, from the files alone.
    from napari_umpire.slides.open import open_slide

    slide = open_slide(slide_paths[0])
    counts = slide.counts().toarray()
    truth = np.log1p(counts / counts.sum(1, keepdims=True) * 1e4)[(counts > 0).sum(1) >= 100]
    names = slide.genes["symbol"].tolist()
    wanted = [names.index(g) for g in result["genes"]["VAR12"]]
    ids = slide.genes["id"].astype(str).tolist()
    place = [result["scored"].index(ids[i]) for i in wanted]
    again = [
        np.corrcoef(predicted[:, p], truth[:, i])[0, 1] for p, i in zip(place, wanted, strict=True)
    ]
    assert result["rows"]["SCL"]["VAR12"]["values"][0] == pytest.approx(np.mean(again), abs=1e-4)
    text = (out / "table-1.md").read_text()
    assert "| SCL | 2 |" in text
    assert "of other sections or other data" not in text  # the paper has no sets of 12 genes
    assert "finetune.mode adapter" in text
    assert "not known to the program" in text
    assert "permuted training rows" in text
    assert "UMPIRE-FINETUNE Visium. + UNI | 0.2364 ± 0.0439" in text
    drawn = sorted(p.name for p in (out / "overlays").iterdir())
    assert drawn == [f"ERBB2-synthetic_5-{kind}.png" for kind in ("fixed", "variable")]
    assert set(pd.read_csv(out / "table-1.csv")["method"]) >= {"SCL", "REC", "adapter"}


@pytest.mark.slow
def test_patients_are_left_out_whole(recipe, slide_paths, tmp_path):
    patients = tmp_path / "patients.csv"
    patients.write_text("slide,patient\nsynthetic_5,P\nsynthetic_6,Q\nsynthetic_7,P\n")
    path = recipe("table-s1", {"REC": REC})
    out = tmp_path / "run"
    more = ["--split", "patient", "--patients", str(patients)]
    assert call("table-s1", path, out, slide_paths, *more) == 0
    result = json.loads((out / "folds" / "P" / "synthetic_7" / "scores.json").read_text())
    assert list(result["train"]) == ["synthetic_6"]
    assert (out / "folds" / "Q" / "scores.json").is_file()
    frame = pd.read_csv(out / "table-s1.csv")
    assert sorted(frame[frame["method"] == "REC"]["slide"].unique()) == [
        "synthetic_5", "synthetic_6", "synthetic_7"]  # fmt: skip
    text = (out / "table-s1.md").read_text()
    assert "All sections of one patient are held out at a time (2 patients)." in text
    assert "leave one patient out" in frame["protocol"].iloc[0]


@pytest.mark.slow
def test_convergence_is_drawn_from_the_losses(recipe, slide_paths, tmp_path):
    rows = {"with": {"align.gene.train": True}}
    rows["without"] = {**rows["with"], "first_stage": False,
                       "align.gene.shape": BASE["pretrain"]["encoder"]}  # fmt: skip
    out = tmp_path / "run"
    path = recipe("figure-s1", rows)
    assert call("figure-s1", path, out, slide_paths, "--folds", "synthetic_5") == 0
    curves = pd.read_csv(out / "figure-s1.csv")
    metrics = pd.read_csv(out / "folds/synthetic_5/rows/without-0/align/metrics.csv")
    mine = curves[curves["row"] == "without"]
    np.testing.assert_allclose(mine["train_loss"], metrics["train_loss"])
    assert mine["val_loss"].notna().sum() == 2
    assert len(list((out / "folds" / "synthetic_5").glob("pretrain*"))) == 1
    text = (out / "figure-s1.md").read_text()
    assert "| with | training loss |" in text
    assert "| without | held-out loss |" in text
    assert (out / "figure-s1.png").stat().st_size > 5000


@pytest.mark.parametrize("seed", [0, 5])
def test_what_a_row_is_measured_by_has_its_seed(seed, monkeypatch, tmp_path):
    from types import SimpleNamespace

    from umpire_training.benchmark.tables import embeddings, probes, spaces
    from umpire_training.stages import probe_fit

    rng = np.random.default_rng(1)
    x = {name: rng.normal(size=(40, 3)) for name in ("A", "B")}
    codes = {name: rng.integers(0, 2, 40) for name in x}
    labels = SimpleNamespace(codes=codes, classes=("a", "b"))
    one = {n: SimpleNamespace(name=n, source=SimpleNamespace(slide=n)) for n in x}
    work = SimpleNamespace(train=[one["A"]], test=[one["B"]])
    monkeypatch.setattr(spaces, "spaces_of", lambda model, slide: {"genes": x[slide]})
    monkeypatch.setattr(probes, "_panels", lambda work: x)
    seeds, fit = [], probe_fit.fit_linear

    def counted(*args):
        seeds.append(args[-1])
        return fit(*args)

    monkeypatch.setattr(probe_fit, "fit_linear", counted)
    probes.probe_spaces(labels, None, work, tmp_path, seed)
    assert seeds == [seed] * 3  # of the space, of its shuffled labels, of the expression
    # Figure S4: scikit-learn on labels shuffled with the same seed.
    from sklearn.metrics import silhouette_score

    found = embeddings._separation(labels, None, work, tmp_path, seed)["B"]["genes"]
    mixed = np.random.default_rng(seed).permutation(codes["B"])
    assert found["silhouette_shuffled"] == pytest.approx(silhouette_score(x["B"], mixed), abs=1e-6)


@pytest.mark.slow
def test_labelled_tables(recipe, slide_paths, labels, tmp_path):
    rows = {"SCL": {}, "REC": REC}
    for table, found in (("table-2", "balanced_accuracy"), ("figure-s4", "silhouette")):
        out = tmp_path / table
        path = recipe(table, rows)
        more = ["--folds", "synthetic_5", "--labels", str(labels)]
        assert call(table, path, out, slide_paths, *more) == 0
        frame = pd.read_csv(out / f"{table}.csv")
        assert frame[found].notna().all()
        spaces = set(frame[frame["row"] == "SCL"]["space"])
        assert {"image features", "image embedding", "gene features", "gene embedding"} <= spaces
        assert "gene features" not in set(frame[frame["row"] == "REC"]["space"])
        text = (out / f"{table}.md").read_text()
        assert "2 classes: left, right" in text
        assert ("(C = 0.01)" in text) == (table == "table-2")
    assert (tmp_path / "figure-s4" / "tsne-synthetic_5.png").is_file()
    # The silhouette again, by scikit-learn on what was kept.
    from sklearn.metrics import silhouette_score

    from napari_umpire.slides.open import open_slide

    fold = tmp_path / "figure-s4" / "folds" / "synthetic_5"
    x = np.load(fold / "rows" / "scl-0" / "space-synthetic_5-image-embedding.npy")
    slide = open_slide(slide_paths[0])
    given = pd.read_csv(labels / "synthetic_5_labels.csv").set_index("spot")["label"]
    counts = slide.counts()
    good = slide.spots.index[np.asarray((counts > 0).sum(axis=1)).ravel() >= 100]
    said = given.reindex(good)
    again = silhouette_score(x[said.notna()], said.dropna())
    frame = pd.read_csv(tmp_path / "figure-s4" / "figure-s4.csv")
    mine = frame[(frame["row"] == "SCL") & (frame["space"] == "image embedding")]
    assert mine["silhouette"].iloc[0] == pytest.approx(again, abs=1e-4)


@pytest.mark.slow
def test_objectives_are_held_against_the_first(recipe, slide_paths, tmp_path):
    rows = {
        "SCL": {},
        "one-sided": {"align.contrast.kind": "one-sided", "paper": "InfoNCE, Phikon"},
        "margin": {"align.contrast.kind": "margin"},
        "REC (L1)": {**REC, "align.rec.error": "l1"},
    }
    out = tmp_path / "run"
    path = recipe("figure-s5", rows)
    assert call("figure-s5", path, out, slide_paths, "--folds", "synthetic_5") == 0
    text = (out / "figure-s5.md").read_text()
    assert "## Against SCL, per cent of its score" in text
    assert "-16.4" in text
    scores = pd.read_csv(out / "figure-s5.csv").set_index(["method", "genes"])["mean"]
    first, last = scores["SCL", "HEG12"], scores["margin", "HEG12"]
    said = f"{100 * (last / first - 1):+.1f}" if first > 0 else ""
    assert f"| margin | {said} |" in text


@pytest.mark.slow
def test_slide_status_beside_shuffled_labels(recipe, slide_paths, tmp_path):
    from napari_umpire.slides.convert import write_slide
    from napari_umpire.slides.synthetic import make_slide

    stores = []
    for i, name in enumerate(("A1", "B1", "C1", "D1")):
        slide = make_slide(60 + i, rows=8, cols=6, mpp=2.0, name=name)
        stores.append(str(write_slide(slide, tmp_path / f"{name}.zarr")))
    table = pd.DataFrame({"slide": ["A1", "B1", "C1", "D1"], "patient": list("ABCD")})
    table.assign(label=["hot", "cold", "hot", "cold"]).to_csv(tmp_path / "s.csv", index=False)
    status = {
        "trainer": {"epochs": 2, "accelerator": "cpu", "progress_bar": False},
        "tiles": {"source": "embedding"},
        "head": {"attention": 4},
        "validation": {"permutations": 1},
    }
    out = tmp_path / "run"
    path = recipe("figure-5", {"SCL": {}}, status=status)
    more = ["--status_labels", str(tmp_path / "s.csv"), "--status_slides", *stores]
    assert call("figure-5", path, out, slide_paths, *more) == 0
    frame = pd.read_csv(out / "figure-5.csv")
    assert frame["row"].tolist() == ["image encoder alone", "SCL"]
    text = (out / "figure-5.md").read_text()
    assert "4 patients (2 cold, 2 hot), 4 slides" in text
    assert "No slide with a status was seen by the alignment." in text
    assert "-4.30" in text
    assert (out / "figure-5.png").is_file()
