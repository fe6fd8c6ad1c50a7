"""Models that assign probabilities to text, and the ways to read and write with them.

Each model is a `kd_lab.contracts.LanguageModel`: a module from tokens [B, T] to logits [B, T, V] with `vocab_size`,
`context` and `end`. Called with `cache=model.new_cache(batch_size, length)` it reads on where the cache ends.
"""

from kd_lab.optional_torch import HAS_TORCH

if HAS_TORCH:
    from kd_lab.models.cached_teacher import CachedTeacher
    from kd_lab.models.exact_models import FiniteStateModel, TabularModel
    from kd_lab.models.generate import generate, sampling_logp
    from kd_lab.models.gpt import GPT, GPTConfig
    from kd_lab.models.hugging_face import HuggingFace
    from kd_lab.models.mixture import MixtureModel
    from kd_lab.models.reading import device_of, evaluating, next_token_logp, target_logp
    from kd_lab.models.saved import load_model, load_teacher, save_model, trained
    from kd_lab.models.serving import serve
    from kd_lab.models.speculative import speculate

__all__ = [
    "GPT",
    "CachedTeacher",
    "FiniteStateModel",
    "GPTConfig",
    "HuggingFace",
    "MixtureModel",
    "TabularModel",
    "device_of",
    "evaluating",
    "generate",
    "load_model",
    "load_teacher",
    "next_token_logp",
    "sampling_logp",
    "save_model",
    "serve",
    "speculate",
    "target_logp",
    "trained",
]
