"""`umpire-train VERB --config recipe.yaml --group.option value`: the headless entry.

Exit codes: 0 done; 2 the input was at fault (one sentence on stderr, nothing half-written);
1 the run failed; 130 interrupted; 143 stopped by SIGTERM, as a cluster or a service does.
"""

from __future__ import annotations

import dataclasses
import errno
import importlib
import json
import keyword
import re
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from napari_umpire.bounded import parse_yaml, read_text
from napari_umpire.errors import InputError, UmpireWarning
from napari_umpire.faults import out_of_memory
from umpire_training.console import say, write_out
from umpire_training.errors import TrainingStopped
from umpire_training.keys import dotted_keys, flatten, in_words, is_list, nearest
from umpire_training.options.ranges import check_ranges
from umpire_training.run_config import RECIPE_BYTES
from umpire_training.stopping import STOPPED, Stopped, stop_as_interrupt
from umpire_training.verbs import VERBS

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main", "parse"]

PROG = "umpire-train"
RECIPES = Path(__file__).parent / "recipes"
_LARGEST = 2**63


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit code; what the user should know comes as one line."""
    argv = list(sys.argv[1:] if argv is None else argv)
    show = warnings.showwarning
    warnings.showwarning = _show_warning
    try:
        with stop_as_interrupt():
            return _main(argv)
    except InputError as error:
        say(f"{PROG}: {error}")
        return 2
    except TrainingStopped as error:
        say(f"{PROG}: {error}")
        return 1
    except MemoryError as error:
        fix = f"Give less at a time, or use a computer with more memory, then {_how_to_go_on(argv)}"
        say(f"{PROG}: {out_of_memory('There is not enough memory', error, fix)}")
        return 1
    except OSError as error:
        say(f"{PROG}: {_refused(error, _how_to_go_on(argv))}")
        return 1
    except Stopped:
        say(f"{PROG}: stopped from outside; {_how_to_go_on(argv)}.")
        return STOPPED
    except KeyboardInterrupt:
        say(f"{PROG}: interrupted; {_how_to_go_on(argv)}.")
        return 130
    finally:
        warnings.showwarning = show


def _main(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help"):
        write_out(_overview())
        return 0 if argv else 2
    if argv[0] == "--version":
        from napari_umpire import __version__

        write_out(f"{PROG} {__version__}")
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
        say(f"{PROG}: warning: {message}")


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
    if {"-h", "--help"} & set(argv):
        parser.parse_args(["--help"])
    given: dict[str, Any] = {}
    for name, value in _arguments(verb, argv, keys):
        _give(given, name, value, keys)
    try:
        # As values, not as text: no notation of a list holds every name that a file may have.
        namespace = parser.parse_object(given)
    except (jsonargparse.ArgumentError, TypeError, ValueError, RecursionError) as error:
        raise _wrong_value(verb, " ".join(str(error).split()), keys) from error
    namespace.pop("config", None)
    instantiate = getattr(parser, "instantiate", None) or parser.instantiate_classes
    parsed = options(**vars(instantiate(namespace)))
    check_ranges(parsed)
    _check_size(parsed)
    return parsed


def _check_size(options: Any, prefix: str = "") -> None:
    """Refuse whole numbers that no file can hold."""
    for name, value in vars(options).items():
        if dataclasses.is_dataclass(value):
            _check_size(value, f"{prefix}{name}.")
        elif isinstance(value, int) and abs(value) >= _LARGEST:
            raise InputError(
                f"--{prefix}{name} is too large", got=f"a number of {len(str(abs(value)))} digits"
            )


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


def _arguments(verb: str, argv: Sequence[str], keys: dict[str, Any]) -> list[tuple[str, Any]]:
    """Dotted keys and values: those of config files, which are opened, before those of the shell.

    An option of a list type takes all values up to the next option, a flag may stand alone, and
    bare values are slides where the verb has slides; the first may be another option's, where the
    verb says so by POSITIONAL.
    """
    from_files: list[tuple[str, Any]] = []
    shell: list[tuple[str, Any]] = []
    bare: list[str] = []
    queue = list(argv)
    while queue:
        word = queue.pop(0)
        if not word.startswith("--"):
            bare.append(word)
            continue
        key, equals, value = word[2:].partition("=")
        key = key.removesuffix("+")
        if key == "config":
            if not equals:
                value = queue.pop(0) if queue else ""
            from_files += _from_file(verb, value, keys).items()
            continue
        kind = _known(verb, key, keys, "on the command line")
        if equals:
            shell.append((key, value))
        elif is_list(kind):
            values = []
            while queue and not queue[0].startswith("--"):
                values.append(queue.pop(0))
            listed = len(values) == 1 and values[0].startswith("[")
            shell.append((key, values[0] if listed else values))
        elif kind is bool and not (queue and queue[0].lower() in ("true", "false")):
            shell.append((key, "true"))
        elif queue:
            shell.append((key, queue.pop(0)))
        else:
            raise InputError(f"{verb}: --{key} has no value", fix="Give its value after it")
    first = getattr(_module(verb), "POSITIONAL", None)
    if first is not None and bare and first not in dict([*from_files, *shell]):
        shell.append((first, bare.pop(0)))
    if bare:
        if "slides" not in keys:
            raise InputError(
                f"{verb}: unexpected argument {bare[0]!r}",
                expected="options of the form --name value",
            )
        shell.append(("slides", bare))
    return [*from_files, *shell]


def _give(options: dict[str, Any], key: str, value: Any, keys: dict[str, Any]) -> None:
    """Set an option, which takes the place of what was given of it before, in whole or in part.

    Below an option that takes any keys, text is read as YAML, as nothing else says its type.
    """
    head = next((k for k in _heads(key) if keys.get(k) is dict), None)
    if (head is not None or keys.get(key) is dict) and isinstance(value, str):
        value = _read(parse_yaml(value, f"The value of --{key}"))
    if head is None:
        for part in [k for k in options if k == key or k.startswith(f"{key}.")]:
            del options[part]
        options[key] = value
        return
    group = options.setdefault(head, {})
    *inner, last = key.removeprefix(f"{head}.").split(".")
    for name in inner:
        group = group.setdefault(name, {}) if isinstance(group, dict) else None
    if not isinstance(group, dict):
        raise InputError(f"--{key} belongs to an option that holds one value", got=options[head])
    group[last] = value


def _heads(key: str) -> list[str]:
    """The keys above ``key``, the nearest first."""
    parts = key.split(".")
    return [".".join(parts[:n]) for n in range(len(parts) - 1, 0, -1)]


def _read(value: Any) -> Any:
    """YAML takes 1e-3 for a text."""
    if not isinstance(value, str):
        return value
    try:
        return float(value)
    except ValueError:
        return value


def _from_file(verb: str, name: str, keys: dict[str, Any]) -> dict[str, Any]:
    path = Path(name)
    # A folder here may be called as a recipe is.
    if name and (not path.exists() or path.is_dir()):
        path = RECIPES / f"{name.removesuffix('.yaml')}.yaml"
    if not name or not path.exists():
        own = ", ".join(sorted(p.stem for p in RECIPES.glob("*.yaml")))
        raise InputError(
            f"There is no config file {name!r}", expected=f"a YAML file, or a recipe: {own}"
        )
    text = read_text(path, limit=RECIPE_BYTES, what=f"The config file {path}")
    tree = parse_yaml(text, str(path))
    if not isinstance(tree, dict):
        raise InputError(f"{path} holds no options", expected="a YAML mapping of option: value")
    other = [key for key in tree if not isinstance(key, str)]
    if other:
        raise InputError(
            f"{path} has an option without a name", got=other[0], expected="option: value"
        )
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
    # One value goes as text: its option's type decides, as on the command line.
    return {k: json.dumps(v) if _is_number(v) else v for k, v in flat.items()}


def _is_number(value: Any) -> bool:
    return value is None or isinstance(value, (bool, int, float))


def _known(verb: str, key: str, keys: dict[str, Any], where: str) -> Any:
    if key in keys:
        return keys[key]
    if any(keys.get(head) is dict for head in _heads(key)):
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
