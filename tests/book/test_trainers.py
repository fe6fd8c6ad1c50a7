import ast
import re

from kd_lab.book.trainers import trainers_page
from kd_lab.methods.dialects import DIALECTS
from kd_lab.methods.served_dialects import SERVED


def test_the_adapters_are_whole_and_can_be_read_as_python():
    blocks = re.findall(r"^```python\n(.*?)^```$", trainers_page(), re.DOTALL | re.MULTILINE)
    defined = [{part.name for part in ast.parse(block).body} for block in blocks]
    assert defined == [{"DistillationTrainer"}, {"kd_lab_loss", "whole"}]


def test_every_dialect_has_its_row_those_of_served_teachers_too():
    page = trainers_page()
    assert all(f"| {one.project} | `{one.setting}` |" in page for one in (*DIALECTS, *SERVED))
