"""A tiny teacher and tiny texts for the tests of lesson 13."""

import torch
from tiny_transformers import tiny_model, tiny_tokenizer

from kd_lab.lessons.l13_real_llm.study import Budget
from kd_lab.models import HuggingFace

BUDGET = Budget(
    tokens=160, rows=6, held_out=4, context=12, calibration=(4, 6), layers=(4, 3), batch_size=2, top_k=4, samples=5,
    new_tokens=5, spoken=2,
)  # fmt: skip


def teacher() -> HuggingFace:
    model = tiny_model(num_hidden_layers=6, vocab_size=15).requires_grad_(False)
    return HuggingFace(model, tiny_tokenizer()).eval()


def words(seed: int, count: int) -> list[str]:
    generator = torch.Generator().manual_seed(seed)
    return ["".join("abcdefgh "[i] for i in torch.randint(9, (14,), generator=generator)) for _ in range(count)]


def texts() -> dict:
    made = words(0, 20)
    return {
        "written": {"train": [[t[:3], t[3:]] for t in made[:6]], "held_out": [[t[:3], t[3:]] for t in made[6:10]]},
        "passages": {"train": made[10:16], "held_out": made[16:20]},
    }
