from __future__ import annotations

import errno
import io
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from napari_umpire.errors import InputError
from umpire_training import cli, console, run_config
from umpire_training.errors import Stopped, TrainingStopped
from umpire_training.stopping import stop_as_interrupt
from umpire_training.verbs import VERBS, pretrain

EXE = Path(sys.executable).parent / "umpire-train"
REQUIRED = {
    "convert": ["a", "--output", "o"],
    "prepare": ["--output", "o"],
    "pretrain": ["--corpus", "c", "--output", "o"],
    "align": ["--pairs", "p", "--output", "o"],
    "reference": ["a", "--model", "m"],
    "predict": ["a", "--model", "m"],
    "evaluate": ["a", "b", "--output", "o"],
    "finetune": ["--model", "m", "--pairs", "p", "--output", "o"],
    "probe": ["--output", "o"],
    "mil": ["a", "--model", "m", "--labels", "l", "--output", "o", "--name", "n"],
    "benchmark": ["table-1", "--output", "o"],
}


# Of the recipes that are not divided into sections of verbs.
VERB_OF = {
    "align": "align",
    "benchmark-small": "benchmark",
    "finetune": "finetune",
    "her2st-probe-small": "probe",
    "her2st-small": "evaluate",
    "mil": "mil",
    "visiumformer": "pretrain",
}


def shell(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(EXE), *argv], capture_output=True, text=True, check=False)


def test_overview_names_every_verb(capsys):
    assert cli.main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(f"  {verb} " in out for verb in VERBS)


def test_no_verb_is_an_error():
    assert cli.main([]) == 2


@pytest.mark.parametrize("verb", list(VERBS))
def test_help_of_a_verb_needs_nothing_heavy(verb):
    code = (
        "import sys\nfrom umpire_training.cli import main\n"
        f"try: main(['{verb}', '--help'])\nexcept SystemExit as stop: assert stop.code == 0\n"
        "bad = {'torch', 'lightning', 'spatialdata', 'sklearn', 'PyQt6', 'qtpy', 'napari'}\n"
        "assert not bad & set(sys.modules), bad & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"usage: umpire-train {verb}" in done.stdout


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["pretrian"], "Did you mean 'pretrain'"),
        (["align", "--optim.lrr", "1"], "Did you mean 'optim.lr'"),
        (["align", "--optimm.lr", "1"], "Did you mean 'optim.lr'"),
        (["align", "--warmup_step", "1"], "Did you mean 'optim.warmup_steps'"),
        (["predict", "--models", "m"], "Did you mean 'model'"),
        (["pretrain", "--output", "o"], "corpus"),
        (["pretrain", "--corpus", "c", "--output", "o", "--optim.lr", "fast"], "optim.lr"),
        (["pretrain", "--corpus", "c", "--output", "o", "--mask.scheme", "odd"], "mask.scheme"),
        (
            ["predict", "a", "--model", "m", "--k", "many"],
            "--k cannot take this value. Got: many. Expected: a whole number.",
        ),
        (
            ["predict", "a", "--model", "m", "--mpp", "nan"],
            "--mpp cannot take this value. Got: nan. Expected: a number or null.",
        ),
        (
            ["predict", "a", "--model", "m", "--weighting", "odd"],
            "--weighting cannot take this value. Got: odd. Expected: softmax or similarity.",
        ),
        (["pretrain", "stray", "--corpus", "c"], "unexpected argument 'stray'"),
        (["pretrain", "--corpus"], "--corpus has no value"),
        (["pretrain", "--config", "nowhere.yaml"], "no config file 'nowhere.yaml'"),
    ],
)
def test_a_wrong_command_line_is_one_sentence(argv, said, capsys):
    assert cli.main(argv) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.startswith("umpire-train: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("optim: {lrr: 1}", "Did you mean 'optim.lr'"),
        ("optmi: {lr: 1}", "Did you mean 'optim'"),
        ("- a list", "no options"),
        ("a: [", "not a YAML file"),
        ("pretrain: {seed: 1}\noptim: {lr: 1}", "mixes sections"),
    ],
)
def test_a_wrong_config_file_is_one_sentence(text, said, tmp_path, capsys):
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    argv = ["pretrain", "--config", str(path), "--corpus", "c", "--output", "o"]
    assert cli.main(argv) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("genes: [2020-09-01]", "A spreadsheet may have made it of the name of a gene"),
        ("genes: [2020-09-01 12:00:00]", "has a date at genes"),
        ("genes: !!set {ERBB2, GRB7}", "has a set at genes"),
        ("genes: !!binary aGVsbG8=", "has binary data at genes"),
        ("genes: &a [ERBB2, *a]", "a list or group that holds itself"),
        (f"genes: {'[' * 1000}{']' * 1000}", "cannot be read|not a YAML file"),
        (f"genes: {'[' * 60}{']' * 60}", "more than 50 deep"),
        (f"k: {'9' * 400}", "--k is too large. Got: a number of 400 digits"),
        (f"k: {'9' * 5000}", "not a YAML file"),
        ("{1: 2}", "has an option without a name"),
    ],
)
def test_a_value_that_no_option_takes_is_one_sentence(text, said, tmp_path, capsys):
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    assert cli.main(["predict", "a", "--model", "m", "--config", str(path)]) == 2
    err = capsys.readouterr().err
    assert re.search(said, err)
    assert err.count("\n") == 1


@pytest.mark.parametrize("merge", [False, True])
def test_aliases_are_counted_before_they_are_followed(tmp_path, capsys, merge):
    path = tmp_path / "recipe.yaml"
    lines = ["a0: &a0 {k0: 1, l0: 2}" if merge else "a0: &a0 [x, x]"]
    for i in range(1, 40):
        several = ", ".join([f"*a{i - 1}"] * 9)
        lines.append(f"a{i}: &a{i} " + (f"{{<<: [{several}]}}" if merge else f"[{several}]"))
    path.write_text("\n".join([*lines, "genes: *a39"]))
    assert cli.main(["predict", "a", "--model", "m", "--config", str(path)]) == 2
    assert "stands for too many values. Got: more than 10^12" in capsys.readouterr().err


def test_a_recipe_is_a_file_of_bounded_size(tmp_path, capsys):
    big, pipe = tmp_path / "big.yaml", tmp_path / "pipe.yaml"
    big.write_text("seed: 1\n" + "# \n" * 700_000)
    os.mkfifo(pipe)
    for path, said in ((big, "too large to be read"), (pipe, "a named pipe")):
        assert cli.main(["align", "--config", str(path), *REQUIRED["align"]]) == 2
        assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    "name", ["\U0001f9ec.tif", "\U00020bb7.tif", "a\udcff.tif", "- [x, {y", "1"]
)
def test_any_name_of_a_file_reaches_its_option(name, tmp_path):
    given = ["--model", name, "--genes", name, "B", "--output", name]
    assert cli.parse("predict", [name, *given]).slides == [name]
    options = cli.parse("predict", ["--slides", name, *given])
    assert (options.slides, options.model, options.output) == ([name], name, name)
    assert options.genes == [name, "B"]
    path = tmp_path / "recipe.yaml"
    run_config.write_yaml(path, {"slides": [name], "model": name})
    assert cli.parse("predict", ["--config", str(path)]).slides == [name]


def test_a_part_of_an_option_that_takes_any_keys(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text("vision: {kwargs: {widths: [4, 8], norm: group}}")
    argv = ["--config", str(path), *REQUIRED["align"]]
    more = ["--vision.kwargs.norm", "batch", "--vision.kwargs.deep.er", "1e-3"]
    assert cli.parse("align", [*argv, *more]).vision.kwargs == {
        "widths": [4, 8],
        "norm": "batch",
        "deep": {"er": 1e-3},
    }
    whole = ["--vision.kwargs", "{depth: 2}"]
    assert cli.parse("align", [*argv, *more, *whole]).vision.kwargs == {"depth": 2}


def test_output_in_a_narrow_code_page_is_escaped(monkeypatch):
    for encoding in ("cp1252", "utf-8"):
        raw = io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding, newline=""))
        console.write_out("\u8ba1\u00b5\udcff")
        sys.stdout.flush()
        shown = raw.getvalue().decode(encoding)
        assert shown == (
            "\\u8ba1\u00b5\\udcff\n" if encoding == "cp1252" else "\u8ba1\u00b5\\udcff\n"
        )


def test_the_command_line_overrides_the_file_and_later_files_earlier_ones(tmp_path):
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    first.write_text("optim: {lr: 1.0e-2, min_lr: 1.0e-7}\nseed: 3\ncorpus: '0012'\n")
    second.write_text("pretrain: {seed: 4}\nalign: {whatever: 1}\n")
    argv = ["--optim.lr=0.5", "--config", str(first), "--config", str(second), "--output", "o"]
    options = cli.parse("pretrain", argv)
    assert isinstance(options, pretrain.Options)
    assert (options.optim.lr, options.optim.min_lr, options.seed) == (0.5, 1e-7, 4)
    assert options.corpus == "0012"
    assert options.resume is False


def test_lists_flags_and_bare_slides():
    options = cli.parse(
        "evaluate", ["s1", "s 2", "--folds", "C2", "C3", "--resume", "--output", "o"]
    )
    assert options.slides == ["s1", "s 2"]
    assert options.folds == ["C2", "C3"]
    assert options.resume is True
    listed = cli.parse("evaluate", ["--slides", "[x, y]", "--output", "o", "--resume", "false"])
    assert (listed.slides, listed.resume) == (["x", "y"], False)


def test_free_arguments_of_an_encoder_stay_typed():
    given = ["--pairs", "p", "--output", "o", "--vision.kwargs", "{widths: [4, 8], norm: group}"]
    assert cli.parse("align", given).vision.kwargs == {"widths": [4, 8], "norm": "group"}


def recipes():
    """Every recipe with each verb that it has options for."""
    for path in sorted(cli.RECIPES.glob("*.yaml")):
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
        for verb in tree if set(tree) <= set(VERBS) else [VERB_OF[path.stem]]:
            yield pytest.param(path.stem, verb, id=f"{path.stem}-{verb}")


@pytest.mark.parametrize(("recipe", "verb"), list(recipes()))
def test_recipes_are_valid(recipe, verb):
    cli.parse(verb, ["--config", recipe, *REQUIRED[verb]])


def test_recipes_of_the_paper_hold_its_tables():
    s3 = cli.parse("pretrain", ["--config", "visiumformer", *REQUIRED["pretrain"]])
    encoder = (s3.encoder.dim, s3.encoder.heads, s3.encoder.feedforward, s3.encoder.layers)
    assert encoder == (512, 16, 1024, 12)
    assert (s3.optim.lr, s3.optim.min_lr, s3.optim.weight_decay) == (1e-4, 1e-5, 0.1)
    assert (s3.optim.warmup_steps, s3.trainer.max_steps) == (20_000, 1_000_000)
    assert s3.mask.probability == 0.15
    s4 = cli.parse("align", ["--config", "align", *REQUIRED["align"]])
    assert (s4.optim.lr, s4.optim.min_lr, s4.optim.weight_decay) == (1e-4, 1e-5, 1e-3)
    assert (s4.optim.warmup_steps, s4.trainer.epochs, s4.dim) == (5000, 10, 512)


def test_a_missing_extra_is_said(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "jsonargparse", None)
    assert cli.main(["pretrain", *REQUIRED["pretrain"]]) == 2
    assert "napari-umpire[train]" in capsys.readouterr().err


def test_a_missing_option_is_named_as_it_is_typed(capsys):
    assert cli.main(["convert", "section"]) == 2
    assert "convert needs --output" in capsys.readouterr().err


def test_exit_codes(monkeypatch, capsys):
    def ends_with(error):
        def run(options):
            raise error

        monkeypatch.setattr(pretrain, "run", run)
        return cli.main(["pretrain", *REQUIRED["pretrain"]])

    assert ends_with(InputError("The slide is upside down")) == 2
    assert ends_with(TrainingStopped("The loss became nan")) == 1
    assert ends_with(OSError(errno.ENOSPC, "No space left on device", "a.npy")) == 1
    assert "at a.npy failed. Got: No space left" in capsys.readouterr().err
    assert ends_with(OSError("59582 requested and 40928 written")) == 1
    assert "no room on the disk" in capsys.readouterr().err
    assert ends_with(KeyboardInterrupt()) == 130
    said = capsys.readouterr().err
    assert "interrupted; start again with --resume" in said
    assert "Traceback" not in said
    assert ends_with(MemoryError("Unable to allocate 3.64 TiB for an array")) == 1
    assert "Got: Unable to allocate 3.64 TiB" in capsys.readouterr().err
    assert ends_with(Stopped()) == 143
    assert "stopped from outside; start again with --resume" in capsys.readouterr().err


def test_sigterm_ends_a_verb_as_an_interrupt_does(monkeypatch, capsys, tmp_path):
    cleaned = tmp_path / "cleaned"

    def run(options):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)
        finally:
            # Sent twice at once, it does not break off the cleaning up.
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.01)
            cleaned.touch()

    monkeypatch.setattr(pretrain, "run", run)
    assert cli.main(["pretrain", *REQUIRED["pretrain"]]) == 143
    assert "stopped from outside" in capsys.readouterr().err
    assert cleaned.exists()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_that_python_drops_is_heard_all_the_same(monkeypatch, capsys, number):
    class Loud:
        def __del__(self):
            os.kill(os.getpid(), number)
            for _ in range(1000):
                time.sleep(0.001)

    def run(options):
        Loud()
        for _ in range(60_000):
            time.sleep(0.001)

    # What a shell starts in the background begins with interrupts ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    monkeypatch.setattr(pretrain, "run", run)
    try:
        assert cli.main(["pretrain", *REQUIRED["pretrain"]]) == 128 + number
    finally:
        signal.signal(signal.SIGINT, before)
    err = capsys.readouterr().err
    assert err.count("\n") == 1, err


def test_a_forked_process_dies_of_sigterm_without_a_word(capfd):
    # Python forgets a signal that comes while it is still forking: the child says that it lives.
    alive, living = os.pipe()
    with stop_as_interrupt():
        child = os.fork()
        if not child:
            os.write(living, b"!")
            while True:
                time.sleep(0.01)
        os.read(alive, 1)
        os.kill(child, signal.SIGTERM)
        _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGTERM
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "full", "a.npy")])
def test_only_a_verb_that_resumes_speaks_of_it(monkeypatch, capsys, error):
    from umpire_training.verbs import reference

    def run(options):
        raise error

    monkeypatch.setattr(reference, "run", run)
    cli.main(["reference", "--model", "m", "--slides", "s"])
    said = capsys.readouterr().err
    assert "start again." in said
    assert "resume" not in said


@pytest.mark.parametrize(
    "argv",
    [
        ["convert", "nowhere", "--output", "out"],
        ["prepare", "--slides", "empty", "--output", "out"],
        ["prepare", "--counts", "cut.h5ad", "--make", "tokens", "--output", "out"],
        ["pretrain", "--corpus", "empty", "--output", "out"],
        ["predict", "nowhere", "--model", "empty", "--output", "out"],
        ["evaluate", "nowhere", "nowhere2", "--output", "out"],
    ],
    ids=lambda argv: argv[0] + "-" + argv[1].strip("-"),
)
def test_bad_input_by_shell_leaves_nothing(argv, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "cut.h5ad").write_bytes(b"\x89HDF\r\n\x1a\n" + b"\0" * 40)
    done = subprocess.run(
        [str(EXE), *argv], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("umpire-train: ")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cut.h5ad", "empty"]


def test_version():
    done = shell("--version")
    assert (done.returncode, done.stdout.split()[0]) == (0, "umpire-train")
