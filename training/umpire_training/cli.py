"""`umpire-train VERB --config recipe.yaml --group.option value`: the headless entry.

Exit codes: 0 done; 2 the input was at fault (one sentence on stderr, nothing half-written);
1 the run failed; 130 interrupted.
"""

from __future__ import annotations

import errno
import importlib
import json
import keyword
import re
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from napari_umpire.errors import InputError, UmpireWarning
from umpire_training.errors import TrainingStopped
from umpire_training.keys import dotted_keys, flatten, in_words, is_list, nearest
from umpire_training.options.ranges import check_ranges
from umpire_training.verbs import VERBS

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main", "parse"]

PROG = "umpire-train"
RECIPES = Path(__file__).parent / "recipes"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit code; what the user should know comes as one line."""
    argv = list(sys.argv[1:] if argv is None else argv)
    show = warnings.showwarning
    warnings.showwarning = _show_warning
    try:
        return _main(argv)
    except InputError as error:
        print(f"{PROG}: {error}", file=sys.stderr)
        return 2
    except TrainingStopped as error:
        print(f"{PROG}: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{PROG}: {_refused(error, _how_to_go_on(argv))}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{PROG}: interrupted; {_how_to_go_on(argv)}.", file=sys.stderr)
        return 130
    finally:
        warnings.showwarning = show


def _main(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help"):
        print(_overview())
        return 0 if argv else 2
    if argv[0] == "--version":
        from napari_umpire import __version__

        print(f"{PROG} {__version__}")
        return 0
    verb, *rest = argv
    if verb not in VERBS:
        raise InputError(f"Unknown verb {verb!r}", **_did_you_mean(verb, VERBS))
    return _module(verb).run(parse(verb, rest)) or 0


def _how_to_go_on(argv: Sequence[str]) -> str:
    """What a run that was cut short asks of the user: some go on, some begin anew."""
    if argv and argv[0] in VERBS and "resume" in dotted_keys(_module(argv[0]).Options):
        return "start again with --resume to go on"
    return "start again"


def _refused(error: OSError, then: str) -> InputError:
    """What a system's refusal that no step could explain means for the user."""
    name = error.filename2 or error.filename  # of a copy, where it goes to
    where = f" at {name}" if name else ""
    # numpy says of a full disk only how much of an array got there.
    full = error.errno in (errno.ENOSPC, errno.EDQUOT) or "written" in str(error)
    return InputError(
        f"Reading or writing{where} failed",
        got=f"{error} (no room on the disk)" if full and not error.errno else error,
        fix=f"{'Make room on the disk' if full else 'Check the folder'}, then {then}",
    )


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    # Other packages' warnings are for developers; the log of a run folder keeps them.
    if issubclass(category, UmpireWarning):
        print(f"{PROG}: warning: {message}", file=sys.stderr)


def parse(verb: str, argv: Sequence[str]) -> Any:
    """Return the typed options of ``verb``; files given by ``--config`` first, options after.

    Raises
    ------
    InputError
        For an unknown key (with the nearest known one), a value of the wrong type, a number out of
        its range, a missing required option, or a config file that cannot be read.
    """
    try:
        import jsonargparse
    except ModuleNotFoundError as error:
        raise InputError(
            f"{PROG} needs the optional packages for training ({error.name} is missing)",
            fix="Install them with: pip install 'napari-umpire[train]'",
        ) from error
    options = _module(verb).Options
    keys = dotted_keys(options)
    epilog = (
        "Slides may be named without --slides, before all other options."
        if ("slides" in keys)
        else None
    )
    parser = jsonargparse.ArgumentParser(
        prog=f"{PROG} {verb}", exit_on_error=False, description=VERBS[verb], epilog=epilog
    )
    parser.add_argument("--config", help="YAML file of options; may be given more than once")
    parser.add_class_arguments(options, nested_key=None)
    from_files, from_shell = _arguments(verb, argv, keys)
    try:
        namespace = parser.parse_args([*from_files, *from_shell])
    except (jsonargparse.ArgumentError, TypeError, ValueError) as error:
        raise _wrong_value(verb, " ".join(str(error).split()), keys) from error
    del namespace["config"]
    instantiate = getattr(parser, "instantiate", None) or parser.instantiate_classes
    parsed = options(**vars(instantiate(namespace)))
    check_ranges(parsed)
    return parsed


def _wrong_value(verb: str, text: str, keys: dict[str, Any]) -> InputError:
    """What jsonargparse says of an option, in our words where it is about one value."""
    missing = re.match(r"the following arguments are required: (.*)", text)
    if missing is not None:
        names = ", ".join(f"--{name}" for name in re.split(r",\s*", missing[1]))
        return InputError(f"{verb} needs {names}", fix=f"See: {PROG} {verb} --help")
    found = re.match(r'Parser key "([\w.]+)": .*(?:Got value|Given value): (.*)', text)
    if found is None or found[1] not in keys:
        return InputError(f"{verb}: {text}", fix=f"See: {PROG} {verb} --help")
    return InputError(
        f"{verb}: --{found[1]} cannot take this value",
        got=found[2],
        expected=in_words(keys[found[1]]),
        fix=f"See: {PROG} {verb} --help",
    )


def _arguments(verb: str, argv: Sequence[str], keys: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Normal form of what was given: ``--key=value`` each, config files opened.

    An option of a list type takes all values up to the next option, a flag may stand alone, and
    bare values are slides where the verb has slides; the first may be another option's, where the
    verb says so by POSITIONAL.
    """
    from_files: list[str] = []
    shell: list[str] = []
    bare: list[str] = []
    queue = list(argv)
    while queue:
        word = queue.pop(0)
        if word in ("-h", "--help"):
            return [], ["--help"]
        if not word.startswith("--"):
            bare.append(word)
            continue
        key, equals, value = word[2:].partition("=")
        key = key.removesuffix("+")
        if key == "config":
            if not equals:
                value = queue.pop(0) if queue else ""
            from_files += _from_file(verb, value, keys)
            continue
        if key == "print_config":
            shell.append(word)
            continue
        kind = _known(verb, key, keys, "on the command line")
        if equals:
            shell.append(f"--{key}={value}")
        elif is_list(kind):
            values = []
            while queue and not queue[0].startswith("--"):
                values.append(queue.pop(0))
            listed = len(values) == 1 and values[0].startswith("[")
            shell.append(f"--{key}={values[0] if listed else json.dumps(values)}")
        elif kind is bool and not (queue and queue[0].lower() in ("true", "false")):
            shell.append(f"--{key}=true")
        elif queue:
            shell.append(f"--{key}={queue.pop(0)}")
        else:
            raise InputError(f"{verb}: --{key} has no value", fix="Give its value after it")
    first = getattr(_module(verb), "POSITIONAL", None)
    given = [word for word in (*from_files, *shell) if word.startswith(f"--{first}=")]
    if first is not None and bare and not given:
        shell.append(f"--{first}={bare.pop(0)}")
    if bare:
        if "slides" not in keys:
            raise InputError(
                f"{verb}: unexpected argument {bare[0]!r}",
                expected="options of the form --name value",
            )
        shell.append(f"--slides={json.dumps(bare)}")
    return from_files, shell


def _from_file(verb: str, name: str, keys: dict[str, Any]) -> list[str]:
    import yaml

    path = Path(name)
    if name and not path.is_file():
        path = RECIPES / f"{name.removesuffix('.yaml')}.yaml"
    if not name or not path.is_file():
        own = ", ".join(sorted(p.stem for p in RECIPES.glob("*.yaml")))
        raise InputError(
            f"There is no config file {name!r}", expected=f"a YAML file, or a recipe: {own}"
        )
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a YAML file", got=error, fix="Mend the file") from error
    if not isinstance(tree, dict):
        raise InputError(f"{path} holds no options", expected="a YAML mapping of option: value")
    if verb in tree and verb not in keys:
        foreign = [key for key in tree if key not in VERBS]
        if foreign or not isinstance(tree[verb], dict):
            raise InputError(
                f"{path} mixes sections of verbs with options", got=", ".join(map(str, foreign))
            )
        tree = tree[verb]
    translate = getattr(_module(verb), "translate_config", None)
    if translate is not None:
        tree = translate(tree, path)
    flat = flatten(tree, [k for k, kind in keys.items() if hasattr(kind, "__dataclass_fields__")])
    for key in flat:
        _known(verb, key, keys, f"in {path}")
    # A string goes as it is: its option's type decides, as on the command line.
    return [f"--{k}={v if isinstance(v, str) else json.dumps(v)}" for k, v in flat.items()]


def _known(verb: str, key: str, keys: dict[str, Any], where: str) -> Any:
    if key in keys:
        return keys[key]
    head = key
    while "." in head:
        head = head.rpartition(".")[0]
        if keys.get(head) is dict:
            return str
    raise InputError(f"{verb} has no option {key!r} ({where})", **_did_you_mean(key, keys))


def _did_you_mean(name: str, known: Any) -> dict[str, Any]:
    near = nearest(name, known)
    if near:
        return {"fix": f"Did you mean {near!r}?"}
    return {"fix": f"See: {PROG} --help"}


def _module(verb: str) -> Any:
    # Python's own words cannot name a module: import is in import_.py.
    name = f"{verb}_" if keyword.iskeyword(verb) else verb
    return importlib.import_module(f"umpire_training.verbs.{name}")


def _overview() -> str:
    width = max(map(len, VERBS))
    lines = [f"  {verb:<{width}}  {text}" for verb, text in VERBS.items()]
    return "\n".join(
        [
            f"usage: {PROG} VERB [--config RECIPE.yaml] [--group.option VALUE ...]",
            "",
            "Train UMPIRE models and predict with them, without a display.",
            "",
            *lines,
            "",
            f"Options of a verb: {PROG} VERB --help",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
