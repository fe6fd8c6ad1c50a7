"""The page for those who keep their own trainer: adapters as the tests run them, and settings in our names."""

import ast

from kd_lab.classroom.lesson import ROOT
from kd_lab.methods import dialect_table
from kd_lab.methods.dialects import DIALECTS
from kd_lab.methods.served_dialects import SERVED

ADAPTERS = (
    ("The Trainer of transformers", "tests/trainers/test_transformers_trainer.py", ("DistillationTrainer",)),
    ("TRL's DistillationTrainer", "tests/trainers/test_trl.py", ("kd_lab_loss", "whole")),
)
"""A title, the file that runs the adapter, and the names that it is made of."""


def trainers_page() -> str:
    """Other people's trainers with the losses of this library."""
    lines = ["# Other trainers", "", "Their training loop stays, and the loss is one of this library.", ""]
    for title, file, names in ADAPTERS:
        text = (ROOT / file).read_text(encoding="utf-8")
        says = ast.get_docstring(ast.parse(text)).partition("\n\n")[2]
        parts = {part.name: part for part in ast.parse(text).body if isinstance(part, ast.FunctionDef | ast.ClassDef)}
        code = "\n\n\n".join(ast.get_source_segment(text, parts[name]) for name in names)
        lines += [f"## {title}", "", says, "", f"From `{file}`:", "", "```python", code, "```", ""]
    table = dialect_table((*DIALECTS, *SERVED))
    return "\n".join([*lines, "## Settings of other projects, in the names of this library", "", table, ""])
