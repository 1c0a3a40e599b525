"""Parts of `umpire-train benchmark`: rows of a recipe, splits, the paper's numbers, refusals."""

from __future__ import annotations

import pandas as pd
import pytest

from napari_umpire.errors import InputError
from umpire_training.benchmark.methods import read_methods, slug
from umpire_training.benchmark.paper import is_paper_data, paper_cell, paper_table
from umpire_training.benchmark.splits import make_splits, split_words
from umpire_training.cli import main
from umpire_training.corpus.patients import read_patient_of
from umpire_training.options.evaluation import MethodSettings

NAMES = ["A1", "A2", "B1", "C1"]
PATIENT = {"A1": "A", "A2": "A", "B1": "B", "C1": "C"}


def test_rows_differ_from_the_shared_options_and_from_nothing_else():
    base = MethodSettings()
    base.align.dim = 24
    rows = {
        "a": {},
        "b": {
            "align.target.kind": "soft",
            "align": {"trainer": {"epochs": 3}},
            "align.vision.kwargs": {"widths": [4, 8]},
            "tokens.rounding": "published",
            "seeds": [4],
            "paper": "BLEEP",
        },
    }
    a, b = read_methods(base, rows, [0, 1])
    assert a.settings == base
    assert (a.seeds, b.seeds, b.paper) == ((0, 1), (4,), "BLEEP")
    assert b.settings.align.target.kind == "soft"
    assert b.settings.align.trainer.epochs == 3
    assert b.settings.align.vision.kwargs == {"widths": [4, 8]}
    assert b.settings.align.dim == 24
    assert base.align.target.kind == "one-hot"
    assert dict(b.changes)["align.trainer.epochs"] == 3
    assert [m.name for m in read_methods(base, rows, [0], ["b"])] == ["b"]


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ({"a": {"align.targt.kind": "soft"}}, "Did you mean 'align.target.kind'"),
        ({"a": {"align.target.kind": "hard"}}, "a value that its option cannot take"),
        ({"a": {"align.dim": "wide"}}, "Row 'a'"),
        ({"a": {}, "A!": {}}, "names that differ in signs alone"),
        ({"a": "soft"}, "is not a group of options"),
        ({"a": {"seeds": [1, 1]}}, "names a seed twice"),
        ({"a": {"seeds": "one"}}, "needs seeds"),
        ({"a": {"start": "b"}, "b": {}}, "nothing to start from"),
        ({"a": {"seeds": [0]}, "b": {"start": "a", "seeds": [0, 1]}}, "which has other seeds"),
        ({}, "no row to train"),
    ],
)
def test_a_row_that_cannot_be_is_a_sentence(rows, sentence):
    with pytest.raises(InputError, match=sentence):
        read_methods(MethodSettings(), rows, [0])


def test_folders_of_rows_are_letters_and_digits():
    assert slug("SCL, one-hot (α)") == "scl-one-hot"


def test_a_slide_or_a_patient_is_held_out():
    by_slide = make_splits(NAMES, "slide", None)
    assert [s.held for s in by_slide] == [(0,), (1,), (2,), (3,)]
    by_patient = make_splits(NAMES, "patient", PATIENT)
    assert [(s.name, s.held, s.train) for s in by_patient] == [
        ("A", (0, 1), (2, 3)), ("B", (2,), (0, 1, 3)), ("C", (3,), (0, 1, 2)),
    ]  # fmt: skip
    assert [s.name for s in make_splits(NAMES, "patient", PATIENT, ["B"])] == ["B"]
    said = split_words("slide", NAMES, PATIENT)
    assert "3 patients" in said
    assert "of 2 of 4 sections another one of the same patient is in training" in said
    assert "not known" in split_words("slide", NAMES, None)
    assert "All sections of one patient" in split_words("patient", NAMES, PATIENT)


def test_unknown_patients_are_refused(tmp_path):
    with pytest.raises(InputError, match="the patients must be known"):
        make_splits(NAMES, "patient", None)
    with pytest.raises(InputError, match="at least two patients"):
        make_splits(["A1", "A2"], "patient", PATIENT)
    with pytest.raises(InputError, match="No patient is called D"):
        make_splits(NAMES, "patient", PATIENT, ["D"])
    table = tmp_path / "patients.csv"
    table.write_text("slide,patient\nA1,A\nA2,A\nB1,\nC1,C\nC1,D\nZ9,Z\n")
    with pytest.raises(InputError, match=r"no patient of B1; two patients of C1"):
        read_patient_of(table, NAMES)
    table.write_text("Slide, Patient\nA1,A\nA2,A\nB1,B\nC1,C\nZ9,Z\n")
    assert read_patient_of(table, NAMES) == PATIENT
    table.write_text("slide,label\nA1,A\n")
    with pytest.raises(InputError, match="lacks the column patient"):
        read_patient_of(table, NAMES)


@pytest.mark.parametrize("source", ["Table 1", "Table S1", "Table S2"])
def test_the_paper_s_averages_are_those_of_its_rows(source):
    table = paper_table(source)
    for row, mine in table.groupby("row"):
        single, average = mine[mine["data"] != "Average"], mine[mine["data"] == "Average"]
        assert len(single) == 6, row
        if (source, row) == ("Table 1", "UMPIRE-FINETUNE Niche. + Phikon"):
            # The one average of the paper that is not that of its six numbers, which give 0.2730.
            assert average["mean"].iloc[0] == 0.2753
            continue
        # Printed numbers have four digits, and so has their mean.
        assert average["mean"].iloc[0] == pytest.approx(single["mean"].mean(), abs=1.01e-4), row


def test_the_paper_s_numbers_are_as_it_prints_them():
    assert paper_cell("Table 1", "BLEEP", "HLT", "HVG50") == "0.1995 ± 0.0435"
    assert paper_cell("Table 2", "UMPIRE-Visium.", "DLPFC", "balanced accuracy") == "70.70 ± 3.21"
    assert paper_cell("Table 1", "", "HLT", "HVG50") == ""
    assert paper_cell("Table 1", "BLEEP", "HLT", "VAR50") == ""
    with pytest.raises(InputError, match="has no row 'Bleep'"):
        paper_cell("Table 1", "Bleep", "HLT", "HVG50")
    # Table S5 repeats the averages of Table S1 under the heading "Top 50".
    printed = paper_table("Table S5")
    printed = printed[printed["score"] == "PCC as printed"].set_index("row")["mean"]
    averages = paper_table("Table S1")
    averages = averages[averages["data"] == "Average"].set_index("row")["mean"]
    assert (printed == averages.reindex(printed.index)).all()
    assert is_paper_data("HLT", 4, 9254)
    assert not is_paper_data("HER2+", 5, 903)


def test_parameters_are_the_paper_s_to_the_printed_digit(tmp_path):
    out = tmp_path / "run"
    assert main(["benchmark", "table-s5", "--output", str(out)]) == 0
    frame = pd.read_csv(out / "table-s5.csv").set_index("row")
    printed = paper_table("Table S5")
    printed = printed[printed["score"] == "trainable parameters"].set_index("row")["mean"]
    for row, line in frame.iterrows():
        assert round(line["as_counted"] / 1e6, 2) == printed[row]
        assert line["built"] <= line["as_counted"]
    text = (out / "table-s5.md").read_text()
    assert "| UMPIRE-FINETUNE Visium. + UNI | 353.44 | 353.44 |" in text


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["table-9"], "--table cannot take this value"),
        ([], "needs --table"),
        (["table-1"], "no row of table-1 to train"),
        (["table-1", "--methods", '{"table-1": {"a": {"align.dimm": 3}}}'], "align.dim"),
        (["table-2", "--methods", '{"table-2": {"a": {}}}', "SLIDES"], "--labels"),
        (["figure-s5", "--methods", '{"figure-s5": {"a": {}}}', "SLIDES", "--overlays", "ERBB2"],
         "overlays for table-1 or table-s1 only"),
        (["figure-5", "--methods", '{"figure-5": {"a": {}}}', "SLIDES"], "--status_slides"),
        (["table-1", "--methods", '{"table-1": {"a": {}}}', "SLIDES", "--split", "patient"],
         "patients must be known"),
        (["table-1", "--methods", '{"table-1": {"a": {"prediction": "decoder"}}}', "SLIDES"],
         "no decoder to predict by"),
    ],
)  # fmt: skip
def test_what_cannot_be_run_is_a_sentence_and_leaves_nothing(
    argv, sentence, slide_paths, tmp_path, capsys
):
    out = tmp_path / "run"
    words = [w for a in argv for w in (["--slides", *slide_paths] if a == "SLIDES" else [a])]
    steps = ["--align.trainer.max_steps", "1", "--pretrain.trainer.max_steps", "1"]
    assert main(["benchmark", *words, *steps, "--output", str(out)]) == 2
    assert sentence in capsys.readouterr().err
    assert not out.exists()


def test_a_fine_tuned_row_is_not_predicted_by_a_decoder():
    from umpire_training.benchmark.row import check_method

    check_method(MethodSettings(start="model"))
    with pytest.raises(InputError, match="trains no decoder"):
        check_method(MethodSettings(start="model", prediction="decoder"))


@pytest.mark.parametrize("table", ["table-1", "figure-s1", "figure-s5", "table-2", "figure-5"])
def test_the_rows_of_the_recipe_can_be_trained_and_stand_for_rows_of_the_paper(table):
    from umpire_training.benchmark.methods import settings_of
    from umpire_training.benchmark.row import check_method
    from umpire_training.cli import parse

    options = parse("benchmark", [table, "--config", "benchmark-small", "--output", "run"])
    source = {"table-1": "Table 1", "figure-s5": "Figure S5"}.get(table, "Table 2")
    methods = read_methods(settings_of(options), options.methods[table], options.seeds)
    for method in methods:
        check_method(method.settings)
        paper_cell(source, method.paper, "HLT", "")
    assert len(methods) >= 2
    assert {"table-s1": "table-1", "figure-s4": "table-2"}.items() <= options.methods.items()
