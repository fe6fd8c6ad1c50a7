"""kd_lab: distilling generative language models, as one choice on each of three knobs.

The names most used are here; the packages what, how and where hold the knobs, methods the recipes, compress and measure
the rest. A name is imported when it is first asked for, so that `import kd_lab` costs next to nothing.

>>> import kd_lab
>>> kd_lab.gkd().name
'GKD'
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kd_lab.how import linear_softmax_kl, softmax_kl, sparse_softmax_kl
    from kd_lab.methods import Recipe, distill, gkd, hinton, minillm, on_policy
    from kd_lab.models import GPT, GPTConfig, generate, load_teacher
    from kd_lab.worlds import surnames

__version__ = "0.2.0"

__all__ = [
    "GPT",
    "GPTConfig",
    "Recipe",
    "distill",
    "generate",
    "gkd",
    "hinton",
    "linear_softmax_kl",
    "load_teacher",
    "minillm",
    "on_policy",
    "softmax_kl",
    "sparse_softmax_kl",
    "surnames",
]

_HOMES = {
    "kd_lab.how": ("linear_softmax_kl", "softmax_kl", "sparse_softmax_kl"),
    "kd_lab.methods": ("Recipe", "distill", "gkd", "hinton", "minillm", "on_policy"),
    "kd_lab.models": ("GPT", "GPTConfig", "generate", "load_teacher"),
    "kd_lab.worlds": ("surnames",),
}


def __getattr__(name: str) -> object:
    for home, names in _HOMES.items():
        if name in names:
            return globals().setdefault(name, getattr(import_module(home), name))
    raise AttributeError(f"module 'kd_lab' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
