"""What is NumPy alone runs where there is no torch, and asks for nothing that a browser's Python does not have."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from kd_lab import optional_torch

ROOT = Path(__file__).parents[1]
IN_A_BROWSER = {
    *("numpy", "matplotlib", "mpl_toolkits", "PIL", "kiwisolver", "fontTools", "cycler", "dateutil", "pyparsing"),
    *("packaging", "IPython", "pygments", "traitlets", "comm", "ipywidgets", "jaxtyping", "kd_lab"),
}
"""Top-level modules of Pyodide's distribution, of its kernel for Jupyter, or of wheels without compiled code."""


def without_torch(code: str) -> str:
    """What code prints in a process in which torch, Triton and safetensors cannot be imported."""
    block = "import sys\nfor name in ('torch', 'triton', 'safetensors'): sys.modules[name] = None\n"
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", block + code],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": paths},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_where_torch_is_installed_the_names_are_its_own():
    assert optional_torch.HAS_TORCH
    assert optional_torch.torch is torch
    assert (optional_torch.Tensor, optional_torch.nn) == (torch.Tensor, torch.nn)


def test_the_classroom_and_a_numpy_lesson_import_without_torch_and_need_only_what_a_browser_has():
    imported = json.loads(
        without_torch(
            "import json\nbefore = set(sys.modules)\n"
            "import kd_lab.classroom, kd_lab.viz, kd_lab.worlds.densities\n"
            "import kd_lab.lessons.l03_which_kl.exercises, kd_lab.lessons.l03_which_kl.explorers\n"
            "new = {name.partition('.')[0] for name in set(sys.modules) - before if not name.startswith('_')}\n"
            "print(json.dumps(sorted(new - set(sys.stdlib_module_names))))"
        )
    )
    assert set(imported) - IN_A_BROWSER <= {"cython_runtime"}  # a name that compiled modules leave behind
    assert "numpy" in imported


def test_arguments_are_checked_and_answers_compared_without_torch():
    said = without_torch(
        "import numpy as np\n"
        "from kd_lab.measure import mean_interval\n"
        "from kd_lab.classroom.answers import alike, brief, close, precision\n"
        "try: mean_interval([1.0, 2.0, 3.0], level='all')\n"
        "except ValueError as error: print(error)\n"
        "print(close(np.ones(2), [1, 1], 1e-5), alike([1, 2], np.zeros(2)), precision((1.0,)), brief(np.ones(2)))"
    )
    assert said.splitlines() == ["level is 'all'; expected a number", "True [1. 2.] None [1, 1]"]


def test_a_torch_that_lacks_a_part_of_its_own_is_no_missing_torch(tmp_path):
    (tmp_path / "torch.py").write_text("import a_part_of_torch\n", encoding="utf-8")
    code = f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\nimport kd_lab.optional_torch"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert "No module named 'a_part_of_torch'" in done.stderr


@pytest.mark.parametrize("package", ["worlds", "measure", "models", "how"])
def test_a_package_without_torch_offers_what_needs_none(package):
    torch_free = {"worlds": "Mixture1D", "measure": "mean_interval", "models": "files", "how": "traits"}[package]
    said = without_torch(f"import kd_lab.models.files, kd_lab.how.traits, kd_lab.{package} as p\nprint(vars(p).keys())")
    assert repr(torch_free) in said
