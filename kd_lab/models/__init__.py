"""Models that assign probabilities to text, and what writes with them.

Any model here is a module from tokens [B, T] to logits [B, T, V] with `vocab_size` and `context`. Called with
`cache=model.new_cache(batch_size, length)` it reads on where the cache ends.
"""

from kd_lab.models.bigram import BigramModel
from kd_lab.models.finite_state import FiniteStateModel
from kd_lab.models.generate import evaluating, generate, sampling_logp
from kd_lab.models.gpt import GPT, GPTConfig
from kd_lab.models.hugging_face import HuggingFace, HuggingFaceTokenizer
from kd_lab.models.mixture import MixtureModel
from kd_lab.models.saved import load_model, load_teacher, save_model, trained
from kd_lab.models.serving import serve
from kd_lab.models.tabular import TabularModel

__all__ = [
    "GPT",
    "BigramModel",
    "FiniteStateModel",
    "GPTConfig",
    "HuggingFace",
    "HuggingFaceTokenizer",
    "MixtureModel",
    "TabularModel",
    "evaluating",
    "generate",
    "load_model",
    "load_teacher",
    "sampling_logp",
    "save_model",
    "serve",
    "trained",
]
