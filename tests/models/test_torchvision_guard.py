from __future__ import annotations

import subprocess
import sys

import pytest


def run(program: str) -> str:
    found = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr
    return found.stdout.strip()


# A torchvision of a wrong build, as far as the guard can tell: its import needs the operator.
BROKEN = """
import sys, types, importlib.abc, importlib.machinery, warnings
class Broken(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path=None, target=None):
        if name == "torchvision":
            return importlib.machinery.ModuleSpec(name, self)
    def create_module(self, spec):
        return None
    def exec_module(self, module):
        import torch
        torch._C._dispatch_has_kernel_for_dispatch_key("torchvision::nms", "Meta")
sys.meta_path.insert(0, Broken())
"""


def test_a_mismatched_torchvision_is_healed_once_and_said():
    out = run(
        BROKEN
        + """
from napari_umpire.errors import UmpireWarning
from napari_umpire.models.torchvision_guard import heal
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    print(heal(), heal())
    import torchvision
print([w.category is UmpireWarning for w in seen])
"""
    )
    assert out.splitlines() == ["True False", "[True]"]


def test_workers_do_not_repeat_the_warning():
    program = (
        BROKEN
        + """
from napari_umpire.models.torchvision_guard import heal
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    print(heal(), len(seen))
"""
    )
    assert run("import os; os.environ['RANK'] = '1'" + program) == "True 0"
    assert run("import os; os.environ['RANK'] = '0'" + program) == "True 1"


def test_the_fake_is_broken_without_the_guard():
    with pytest.raises(AssertionError, match="torchvision::nms does not exist"):
        run(BROKEN + "import torchvision")


def test_another_failure_is_not_hidden():
    program = BROKEN.replace('torchvision::nms", "Meta"', 'other::thing", "Meta"')
    with pytest.raises(AssertionError, match="other::thing"):
        run(program + "from napari_umpire.models.torchvision_guard import heal; heal()")


ABSENT = """
import sys, importlib.abc
class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "torchvision":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
"""


def test_an_absent_torchvision_is_fine():
    program = "from napari_umpire.models.torchvision_guard import heal; print(heal())"
    assert run(ABSENT + program) == "False"


@pytest.mark.slow
def test_timm_imports_here():
    out = run(
        "from napari_umpire.models.torchvision_guard import heal; heal(); import timm; "
        "print(timm.is_model('vit_base_patch16_224'))"
    )
    assert out == "True"
