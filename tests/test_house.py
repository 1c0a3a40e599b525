"""The house rules that a machine can hold: floors, light imports, a valid manifest."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
OURS = ("napari_umpire", "umpire_training")
# Each may import those below it, and none beside it.
ROOMS_OF_TRAINING = (
    {"cli"},
    {"verbs"},
    {"benchmark"},
    {"stages"},
    {"objectives"},
    {"baselines", "corpus", "engine"},
    {"options"},
    {"run_folder"},
    {"run_config", "stopping"},
    {"cluster", "console", "errors", "keys", "recipes"},
)


def _modules_after(statement: str) -> set[str]:
    out = subprocess.run(
        [sys.executable, "-c", f"import sys; {statement}; print('\\n'.join(sys.modules))"],
        capture_output=True,
        text=True,
        check=True,
    )
    return {name.split(".")[0] for name in out.stdout.split()}


def test_no_arrow_runs_up():
    found = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr


def _imported_at_run_time(node: ast.AST) -> Iterator[str]:
    """Names of the modules that code imports, also inside functions; not those of type hints."""
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        children: list[ast.AST] = [*node.orelse]
    else:
        children = [*ast.iter_child_nodes(node)]
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module is not None:
        yield from (f"{node.module}.{alias.name}" for alias in node.names)
    for child in children:
        yield from _imported_at_run_time(child)


def test_no_room_of_training_imports_a_higher_one():
    top = ROOT / "training" / "umpire_training"
    floor = {room: -i for i, rooms in enumerate(ROOMS_OF_TRAINING) for room in rooms}
    found = [p for p in top.iterdir() if not p.name.startswith("_")]
    rooms = {p.stem for p in found if p.is_dir() or p.suffix == ".py"}
    assert rooms == set(floor), "ROOMS_OF_TRAINING must name every room"
    wrong = []
    for path in top.rglob("*.py"):
        room = path.relative_to(top).parts[0].removesuffix(".py")
        for name in _imported_at_run_time(ast.parse(path.read_text(encoding="utf-8"))):
            package, _, rest = name.partition(".")
            other = rest.split(".")[0]
            higher = floor.get(other, -len(floor)) >= floor[room]
            if package == "umpire_training" and other != room and higher:
                wrong.append(f"{path.relative_to(top)}: {name}")
    assert not wrong


@pytest.mark.parametrize(
    "package", ["napari_umpire", "napari_umpire.plugin", "umpire_training.cli"]
)
def test_importing_a_package_is_light(package):
    heavy = {"torch", "timm", "lightning", "spatialdata", "scanpy", "sklearn", "anndata", "dask"}
    assert not heavy & _modules_after(f"import {package}")


def test_the_headless_half_works_without_qt():
    statement = (
        "import napari_umpire.inference.model, napari_umpire.slides.open, umpire_training.cli"
    )
    assert not {"qtpy", "PyQt6", "napari", "magicgui", "superqt"} & _modules_after(statement)


def test_the_manifest_at_the_top_is_the_one_in_the_package():
    assert (ROOT / "napari.yaml").resolve() == ROOT / "src" / "napari_umpire" / "napari.yaml"


def test_the_manifest_is_valid():
    from npe2 import PluginManifest

    manifest = PluginManifest.from_distribution("napari-umpire")
    manifest.validate_imports()


@pytest.mark.parametrize("room", ["genes", "slides", "models", "inference", "slides.synthetic"])
def test_the_public_names_of_a_room_are_where_it_says(room):
    package = importlib.import_module(f"napari_umpire.{room}")
    modules = {m.name for m in pkgutil.iter_modules(package.__path__)}
    # Once imported, a module would hide a name that is also its own.
    assert not modules & set(package.__all__)
    assert set(dir(package)) == set(package.__all__)
    for name in package.__all__:
        getattr(package, name)


def test_no_module_reaches_for_a_private_name_of_another():
    found = []
    for path in [p for top in ("src", "training") for p in (ROOT / top).rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(OURS):
                private = [a.name for a in node.names if a.name.startswith("_")]
                found += [f"{path.relative_to(ROOT)}: {n}" for n in private if n != "__version__"]
    assert not found


def test_no_python_module_is_longer_than_four_hundred_lines():
    files = [p for top in ("src", "training") for p in (ROOT / top).rglob("*.py")]
    long = {
        str(p.relative_to(ROOT)): n for p in files if (n := len(p.read_text().splitlines())) > 400
    }
    assert not long


def test_every_room_is_a_package():
    # A folder without __init__.py is overlooked by the import contracts and the linters.
    bare = {
        str(path.parent.relative_to(ROOT))
        for top in ("src/napari_umpire", "training/umpire_training")
        for path in (ROOT / top).rglob("*.py")
        if not (path.parent / "__init__.py").is_file()
    }
    assert not bare


def test_no_module_is_ignored_by_git():
    # The wheel leaves out what git ignores.
    paths = [str(p) for top in ("src", "training") for p in (ROOT / top).rglob("*.py")]
    found = subprocess.run(
        ["git", "check-ignore", "--no-index", "--stdin"],
        input="\n".join(paths),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if found.returncode == 128:
        pytest.skip("not a git checkout")
    assert not found.stdout
