"""torch where it is installed. Where it is not, as in a browser, stand-ins of which nothing is an instance.

What computes in NumPy alone, the densities, the Gaussian student, intervals and the classroom, takes torch's names from
here, so that a lesson in NumPy runs without torch. Everything else imports torch itself.
"""

from types import SimpleNamespace
from typing import TYPE_CHECKING

__all__ = ["HAS_TORCH", "Tensor", "nn", "torch"]

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    HAS_TORCH = True
else:
    try:
        import torch
        from torch import Tensor, nn

        HAS_TORCH = True
    except ModuleNotFoundError as missing:
        if missing.name != "torch":  # it is there, and lacks something that it needs
            raise
        HAS_TORCH = False

        class Tensor:
            """Stands for torch.Tensor."""

        nn = SimpleNamespace(Module=type("Module", (), {}), Parameter=type("Parameter", (Tensor,), {}))
        torch = SimpleNamespace(
            Tensor=Tensor, dtype=type("dtype", (), {}), compiler=SimpleNamespace(is_compiling=lambda: False)
        )
