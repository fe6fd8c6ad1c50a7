"""The forms of a session's values, not the values: what another answer to an exercise changes for the cells below.

It runs in the kernel of a lesson, where `print_forms(globals())` tells the test what it found.
"""

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from types import ModuleType
from typing import Any

import numpy as np
import torch


def form(value: Any, depth: int = 3) -> str:
    """Type, and for what holds numbers their dtype and shape, and for what holds parts theirs.

    >>> form((1, [np.zeros(2), "word"])), form(torch.ones(1, 2, requires_grad=True))
    ('tuple(int, list(ndarray float64 (2,), str))', 'Tensor torch.float32 (1, 2) gradient')
    """
    name = type(value).__name__
    if isinstance(value, torch.Tensor):
        return f"{name} {value.dtype} {tuple(value.shape)}" + " gradient" * value.requires_grad
    if isinstance(value, np.ndarray):
        return f"{name} {value.dtype} {value.shape}"
    if depth and isinstance(value, Mapping):
        parts = [f"{key}: {form(part, depth - 1)}" for key, part in value.items()]
    elif depth and isinstance(value, list | tuple):
        parts = [form(part, depth - 1) for part in value]
    elif depth and is_dataclass(value) and not isinstance(value, type):
        parts = [form(getattr(value, field.name, None), depth - 1) for field in fields(value)]
    else:
        return name
    return f"{name}({', '.join(parts)})"


def print_forms(names: dict[str, Any]) -> None:
    """The form of everything that a notebook has bound, as one line of JSON."""
    own = {name: value for name, value in names.items() if name[0] != "_" and not isinstance(value, ModuleType)}
    print(json.dumps({name: form(value) for name, value in own.items()}))
