"""The front door: a dozen names, none of which costs anything before it is asked for."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import kd_lab

ROOT = Path(__file__).parents[1]


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_the_package_imports_nothing_heavy():
    heavy = "('torch', 'numpy', 'triton', 'openai', 'matplotlib', 'platformdirs')"
    assert run(f"import sys, kd_lab; print([name for name in {heavy} if name in sys.modules])") == "[]"


def test_the_library_imports_no_client_and_no_picture():
    later = "('openai', 'platformdirs', 'matplotlib', 'ipywidgets', 'IPython', 'transformers', 'jupytext')"
    code = f"import sys, kd_lab.methods, kd_lab.compress; print([name for name in {later} if name in sys.modules])"
    assert run(code) == "[]"


@pytest.mark.parametrize("name", kd_lab.__all__)
def test_every_name_is_the_one_of_its_package(name):
    (home,) = [home for home, names in kd_lab._HOMES.items() if name in names]
    assert getattr(kd_lab, name) is getattr(import_module(home), name)
    assert name in dir(kd_lab)


def test_type_checkers_see_the_same_names():
    tree = ast.parse(Path(kd_lab.__file__).read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {(node.module, name.name) for node in block.body for name in node.names}
    assert seen == {(home, name) for home, names in kd_lab._HOMES.items() for name in names}
    assert {name for _, name in seen} == set(kd_lab.__all__)


def test_an_unknown_name_is_refused():
    with pytest.raises(AttributeError, match="no attribute 'distil'"):
        _ = kd_lab.distil
