"""A pytest plugin beside nbval: writes what each cell put out to the file that NBVAL_OUTPUTS names."""

import json
import os
from pathlib import Path

OUTPUTS: dict[int, list] = {}


def pytest_runtest_teardown(item):
    OUTPUTS[item.cell_num] = item.test_outputs or []


def pytest_sessionfinish():
    Path(os.environ["NBVAL_OUTPUTS"]).write_text(json.dumps(OUTPUTS), encoding="utf-8")
