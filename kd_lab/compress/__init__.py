"""A smaller model: fewer weights (`prune`), fewer bits per weight (`quantize`), and the cost of a token (`cost`).

>>> from kd_lab.compress import cost, prune, quantize
>>> from kd_lab.models import load_teacher
>>> teacher = load_teacher("surnames")
>>> keep = prune.select_structures(teacher, prune.magnitude(teacher), heads=2, channels=256)
>>> stack = quantize.round_to_nearest(prune.remove_structures(teacher, keep), bits=4)
>>> after = cost.token_cost(stack)
>>> round(cost.factors(after, cost.token_cost(teacher, bits=16)).size, 2)
0.14
"""

from kd_lab.compress import cost, prune, quantize

__all__ = ["cost", "prune", "quantize"]
