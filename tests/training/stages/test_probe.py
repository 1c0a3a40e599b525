"""The probe verb: planted signal, scores against scikit-learn, refusals, resume."""

from __future__ import annotations

import gzip
import json
import shutil

import numpy as np
import pandas as pd
import pytest

from umpire_training.cli import main

GENES = [f"GENE{i}" for i in range(90)]
CLASSES = ["gland", "stroma", "tumour"]
TINY = [
    "--qc.min_genes", "10", "--tokens.length", "24", "--pretrain.encoder.dim", "32",
    "--pretrain.encoder.heads", "2", "--pretrain.encoder.feedforward", "16",
    "--pretrain.encoder.layers", "1", "--pretrain.trainer.max_steps", "2",
    "--pretrain.trainer.batch_size", "32", "--pretrain.trainer.accelerator", "cpu",
    "--pretrain.trainer.progress_bar", "false", "--levels", "[0, 1]",
    "--fit.kinds", "[adam, logistic]", "--fit.lr", "0.01", "--controls.expression_genes", "30",
    "--controls.mlp_genes", "30", "--controls.mlp_hidden", "[8]", "--controls.mlp_features", "8",
    "--controls.permutations", "2",
]  # fmt: skip


def section(folder, name, seed, n=72):
    """Counts of which a third of the genes speaks of each class; places say nothing of it."""
    rng = np.random.default_rng(seed)
    code = rng.permutation(np.arange(n) % 3)
    rate = rng.gamma(2.0, 1.0, len(GENES)) * np.exp(0.3 * rng.normal(size=(n, 1)))
    own = np.arange(len(GENES)) % 3 == code[:, None]
    counts = rng.poisson(rate * np.where(own, 3.0, 1.0))
    x, y = np.divmod(np.arange(n), 9)
    ids = [f"{a + 2}x{b + 3}" for a, b in zip(x, y, strict=True)]
    table = pd.DataFrame(counts, index=ids, columns=GENES)
    with gzip.open(folder / "ST-cnts" / f"{name}.tsv.gz", "wt") as file:
        table.to_csv(file, sep="\t")
    labels = pd.DataFrame({"spot": ids, "label": np.array(CLASSES)[code]})
    labels.to_csv(folder / "labels" / f"{name}_labels.csv", index=False)
    return table, labels.set_index("spot")["label"]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """Sections A1, A2 (not labelled), B1, C1 in the legacy layout, without images."""
    folder = tmp_path_factory.mktemp("cohort")
    (folder / "ST-cnts").mkdir()
    (folder / "labels").mkdir()
    made = {name: section(folder, name, i) for i, name in enumerate(["A1", "A2", "B1", "C1"])}
    (folder / "labels" / "A2_labels.csv").unlink()
    return folder, made


def paths(folder, *names):
    return [str(folder / "ST-cnts" / f"{name}.tsv.gz") for name in names]


def probe(cohort, out, *more, sections=("A1", "B1", "C1"), pretrain=None):
    folder = cohort[0]
    argv = ["probe", "--counts", *paths(folder, *sections), "--labels", str(folder / "labels")]
    argv += ["--pretrain_counts", *(pretrain or paths(folder, "A1", "A2", "B1", "C1"))]
    patients = ["--split.group", "patient", "--split.patient_pattern", "([A-Z])"]
    return main([*argv, "--output", str(out), *TINY, *patients, *more])


@pytest.fixture(scope="module")
def run(cohort, tmp_path_factory):
    out = tmp_path_factory.mktemp("probe") / "run"
    assert probe(cohort, out) == 0
    return out


def test_genes_tell_the_classes_and_places_do_not(run):
    frame = pd.read_csv(run / "folds.csv")
    mean = frame.groupby("row")["balanced_accuracy"].mean()
    assert mean["gene encoder, logistic"] > 0.75
    assert mean["gene encoder, Adam"] > 0.75
    assert mean["expression of 30 genes, logistic"] > 0.75
    assert mean["GeneMLP on expression of 30 genes"] > 0.75
    # Three classes, 72 spots a fold: chance has a standard error of .03 over three folds.
    for row in ("position only", "shuffled labels", "largest class"):
        assert abs(mean[row] - 1 / 3) < 0.12, row
    text = (run / "probe.md").read_text()
    assert "Leave one patient out: 3 folds" in text
    assert "| chance: 1 / classes held out | 0.333" in text
    assert "checked by content" in text


def test_scores_are_those_of_scikit_learn(run):
    from sklearn.metrics import balanced_accuracy_score, confusion_matrix, f1_score

    said = pd.read_csv(run / "predictions.csv")
    frame = pd.read_csv(run / "folds.csv").set_index(["row", "fold"])
    tables = pd.read_csv(run / "confusion.csv").set_index(["row", "label"])
    rows = [c for c in said if c not in ("fold", "section", "spot", "label")]
    assert len(rows) == 8
    for row in rows:
        for fold, mine in said.groupby("fold"):
            scores = frame.loc[(row, fold)]
            np.testing.assert_allclose(
                scores["balanced_accuracy"], balanced_accuracy_score(mine["label"], mine[row])
            )
            np.testing.assert_allclose(
                scores["weighted_f1"], f1_score(mine["label"], mine[row], average="weighted")
            )
        np.testing.assert_array_equal(
            tables.loc[row][CLASSES].to_numpy(),
            confusion_matrix(said["label"], said[row], labels=CLASSES),
        )


def test_the_expression_row_is_a_plain_logistic_regression(run, cohort):
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    made = cohort[1]
    x = {n: np.log1p(t.div(t.sum(axis=1), axis=0) * 1e4) for n, (t, _) in made.items()}
    train_x = pd.concat([x["A1"], x["B1"]])
    genes = train_x.var(ddof=0).sort_values(ascending=False).index[:30]
    scaler = StandardScaler().fit(train_x[genes])
    model = LogisticRegression(max_iter=1000)
    model.fit(scaler.transform(train_x[genes]), pd.concat([made["A1"][1], made["B1"][1]]))
    said = pd.read_csv(run / "predictions.csv")
    said = said[said["section"] == "C1"].set_index("spot")
    wanted = model.predict(scaler.transform(x["C1"].loc[said.index, genes]))
    assert (said["expression of 30 genes, logistic"].to_numpy() == wanted).mean() > 0.98


def test_an_encoder_has_not_seen_the_held_out_patient(run):
    from umpire_training.corpus.content import ContentCounter
    from umpire_training.corpus.finding import find_sources

    config = (run / "config.yaml").read_text()
    assert "patient" in config
    folds = sorted((run / "encoders").iterdir())
    names = [
        json.loads((f / "pretrain" / "encoder" / "encoder.json").read_text())["trained_on"]
        for f in folds
    ]
    assert names == [["B1", "C1"], ["A1", "A2", "C1"], ["A1", "A2", "B1"]]
    facts = json.loads((folds[0] / "pretrain" / "encoder" / "encoder.json").read_text())
    assert len(set(facts["trained_on_content"])) == 2
    assert all(len(digest) == 64 for digest in facts["trained_on_content"])
    corpus = json.loads((folds[0] / "corpus" / "corpus.json").read_text())
    (source,) = find_sources((), [corpus["sources"][0]["path"]])[1]
    counter = ContentCounter()
    for chunk in source.chunks():
        counter.add(chunk.counts)
    assert counter.result().digest == facts["trained_on_content"][0]


def test_a_copy_of_the_held_out_section_is_found_by_content(cohort, tmp_path, capsys):
    copy = tmp_path / "D9.tsv.gz"
    table = cohort[1]["B1"][0].iloc[::-1, ::-1]  # another name, other order
    with gzip.open(copy, "wt") as file:
        table.iloc[:60].to_csv(file, sep="\t")
    code = probe(cohort, tmp_path / "run", pretrain=[*paths(cohort[0], "A1"), str(copy)])
    assert code == 2
    err = capsys.readouterr().err
    assert "would be learned from where B1 is held out" in err
    assert "100% of the spots" in err
    assert not (tmp_path / "run").exists()


def test_it_goes_on_where_it_was_killed(cohort, run, tmp_path, monkeypatch, capsys):
    from umpire_training.stages import probe as stage

    out, fit = tmp_path / "run", stage.fit_mlp
    calls = []

    def killed(*args):
        calls.append(1)
        if len(calls) == 2:
            raise RuntimeError("power cut")
        return fit(*args)

    monkeypatch.setattr(stage, "fit_mlp", killed)
    with pytest.raises(RuntimeError, match="power cut"):
        probe(cohort, out)
    monkeypatch.undo()
    assert len(list((out / "folds").iterdir())) == 1
    # A table of other labels is another run.
    labels = tmp_path / "labels"
    shutil.copytree(cohort[0] / "labels", labels)
    first = labels / "A1_labels.csv"
    text = first.read_text()
    first.write_text(text.replace("gland", "?").replace("stroma", "gland").replace("?", "stroma"))
    folder = shutil.copytree(cohort[0], tmp_path / "cohort")
    shutil.rmtree(folder / "labels")
    shutil.copytree(labels, folder / "labels")
    (out / "config.yaml").write_text(
        (out / "config.yaml").read_text().replace(str(cohort[0]), str(folder))
    )
    capsys.readouterr()
    assert probe((folder, None), out, "--resume") == 2
    assert "The set of counts, labels and folds is not the one" in capsys.readouterr().err
    (out / "config.yaml").write_text(
        (out / "config.yaml").read_text().replace(str(folder), str(cohort[0]))
    )
    assert probe(cohort, out, "--resume") == 0
    for name in ("folds.csv", "predictions.csv", "confusion.csv", "probe.md"):
        assert (out / name).read_text() == (run / name).read_text(), name


@pytest.mark.parametrize(
    ("more", "said"),
    [(["--split.kind", "blocks"], "contiguous blocks"), (["--split.kind", "random"], "This leaks")],
)
def test_one_slide_is_divided_into_folds(cohort, tmp_path, more, said):
    out = tmp_path / "run"
    code = probe(
        cohort, out, "--split.group", "slide", "--split.patient_pattern", "null", *more,
        "--controls.mlp_genes", "0", "--controls.untrained", "false",
        sections=["A1"], pretrain=paths(cohort[0], "B1"),
    )  # fmt: skip
    assert code == 0
    frame = pd.read_csv(out / "folds.csv")
    assert frame["fold"].nunique() == 5
    assert frame[frame["row"] == "largest class"]["n_test"].sum() == 72
    assert said in (out / "probe.md").read_text()


@pytest.fixture(scope="module")
def own_encoder(cohort, tmp_path_factory):
    """Pre-trained on A1 and A2."""
    out = tmp_path_factory.mktemp("encoder")
    code = main(
        ["prepare", "--make", "tokens", "--output", str(out / "prepared"), "--counts"]
        + [*paths(cohort[0], "A1", "A2"), "--qc.min_genes", "10", "--tokens.length", "24"]
        + ["--species", "any"]
    )
    assert code == 0
    code = main(
        ["pretrain", "--corpus", str(out / "prepared" / "corpus"), "--output", str(out / "run")]
        + ["--encoder.dim", "8", "--encoder.heads", "2", "--encoder.feedforward", "16"]
        + ["--encoder.layers", "1", "--trainer.max_steps", "2", "--trainer.accelerator", "cpu"]
    )
    assert code == 0
    return out / "run"


def test_an_encoder_that_has_seen_a_section_is_refused(cohort, own_encoder, tmp_path, capsys):
    folder = cohort[0]
    argv = ["probe", "--labels", str(folder / "labels"), "--encoder", str(own_encoder)]
    argv += ["--qc.min_genes", "10", "--controls.mlp_genes", "0", "--controls.permutations", "0"]
    argv += ["--controls.untrained", "false", "--fit.kinds", "[logistic]", "--levels", "[0]"]
    seen = [*argv, "--counts", *paths(folder, "A1", "B1", "C1")]
    assert main([*seen, "--output", str(tmp_path / "a")]) == 2
    err = capsys.readouterr().err
    assert "pre-trained on what is to be held out" in err
    assert "A1 (there called A1)" in err
    assert main([*seen, "--output", str(tmp_path / "a"), "--allow_seen"]) == 0
    assert "may have seen counts of held-out" in (tmp_path / "a" / "probe.md").read_text()
    fresh = [*argv, "--counts", *paths(folder, "B1", "C1"), "--output", str(tmp_path / "b")]
    assert main(fresh) == 0
    assert "none of the sections is among" in (tmp_path / "b" / "probe.md").read_text()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--model", "x"], "exactly one of"),
        (["--features", "[image]"], "no image features"),
        (["--split.patients", "x.csv"], "exactly one: a CSV"),
        (["--split.patient_pattern", "[A-Z]"], "has no group"),
        (["--split.patient_pattern", "([a-z])"], "finds no patient in the name A1"),
        (["--save", "mine"], "kept in a model folder"),
        (["--fit.lr", "0"], "fit.lr must be above 0"),
        (["--fit.val_fraction", "0"], "needs held-out spots"),
        (["--fit.kinds", "[]"], "No kind of fit"),
        (["--leave_out", "[gall]"], "No spot is of the class 'gall'"),
        (["--labels", "nowhere"], "There is nothing at"),
        (["--column", "spot_class"], "no column 'spot_class'"),
    ],
)
def test_what_cannot_be_is_refused_in_words(cohort, tmp_path, capsys, more, said):
    assert probe(cohort, tmp_path / "run", *more) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_model_that_takes_no_probe_is_refused_before_any_work(tmp_path, capsys):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "probes").write_text("in the way")
    argv = ["probe", "--slides", "s", "--output", str(tmp_path / "run"), "--save", "mine"]
    assert main([*argv, "--model", str(tmp_path / "model")]) == 2
    assert "The probe cannot be written to" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_section_without_its_table_of_labels_is_named(cohort, tmp_path, capsys):
    assert probe(cohort, tmp_path / "run", sections=["A1", "A2"]) == 2
    assert "no table for section A2" in capsys.readouterr().err


@pytest.mark.filterwarnings("always:The model's reference has slides")
def test_images_and_genes_of_a_model_and_the_probe_that_the_window_opens(
    model_folder, slide_paths, tmp_path, capsys
):
    from napari_umpire.inference.classes.probe_file import list_probes, load_probe
    from napari_umpire.inference.model import load_model
    from napari_umpire.progress import run as finish
    from napari_umpire.slides.open import open_slide

    model = tmp_path / "model"
    shutil.copytree(model_folder, model)
    labels = tmp_path / "labels"
    labels.mkdir()
    for path in slide_paths[:2]:
        slide = open_slide(path)
        left = slide.yx[:, 1] < np.median(slide.yx[:, 1])
        frame = pd.DataFrame({"spot": slide.spots.index, "label": np.where(left, "left", "right")})
        frame.to_csv(labels / f"{slide.name}.csv", index=False)
    out = tmp_path / "run"
    assert main(["reference", "--model", str(model), "--slides", str(slide_paths[1])]) == 0
    name = open_slide(slide_paths[1]).name
    code = main(
        ["probe", *slide_paths[:2], "--labels", str(labels), "--model", str(model)]
        + ["--output", str(out), "--device", "cpu", "--features", "[genes, image, both]"]
        + ["--controls.mlp_genes", "0", "--controls.permutations", "1", "--save", "sides"]
        + ["--fit.epochs", "2"]
    )
    assert code == 0
    assert f"reference has slides of these names: {name}." in capsys.readouterr().err
    said = (out / "probe.md").read_text()
    assert f"**The model's reference has slides of the names {name}:" in said
    frame = pd.read_csv(out / "folds.csv")
    assert set(frame["row"]) >= {
        "gene encoder, Adam", "image encoder, Adam", "gene and image encoder, Adam",
        "gene encoder, untrained, Adam", "position only",
    }  # fmt: skip
    position = frame[frame["row"] == "position only"]["balanced_accuracy"]
    assert position.min() > 0.8  # here the classes are places
    assert list_probes(model) == ["sides"]
    loaded = load_model(model, device="cpu")
    kept = load_probe(model / "probes" / "sides", loaded.digest)
    slide = open_slide(slide_paths[0])
    found = kept.apply(finish(loaded.embed_images(slide)), "image", loaded.digest)
    assert set(found.categories) == {"left", "right"}
