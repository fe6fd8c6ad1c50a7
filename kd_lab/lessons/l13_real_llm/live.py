"""One short step with the real model, where it is installed: read, prune, compare with what is stored, train once."""

import os
import time

import torch

from kd_lab.how import forward_kl, linear_softmax_kl
from kd_lab.lessons.l13_real_llm.pruning import shallower
from kd_lab.lessons.l13_real_llm.results import Results
from kd_lab.lessons.l13_real_llm.smollm import REMEDY, load_smollm, weights_file
from kd_lab.models import HuggingFace
from kd_lab.worlds.next_tokens import NextTokens

PROMPTS = (0, 50, 130, 190)
"""Stored prompts that are read again: two of the teacher's own texts and two from documentation."""


def stored_gaps(stored: NextTokens) -> list[float]:
    """KL(p‖q) of the pruned model at these prompts, from the stored distributions."""
    teacher, pruned = (stored.events(name)[list(PROMPTS)].double() for name in ("teacher", "pruned"))
    return forward_kl(pruned, teacher).tolist()


def live_step(results: Results, stored: NextTokens) -> str:
    """The step as text to print; says so where the model is not installed, and shows the stored numbers."""
    gaps = stored_gaps(stored)
    installed = weights_file() is not None
    if not installed or os.environ.get("KD_LAB_LIVE") == "0":  # the builder's and the tests' own setting
        remedy = "run this cell in a kernel of your own" if installed else REMEDY
        return (
            f"Stored numbers. To take this step live, {remedy}.\n"
            f"KL(p‖q) of the pruned model at {len(PROMPTS)} prompts: {_listed(gaps)} nats"
        )
    start = time.perf_counter()
    teacher = load_smollm()
    student = shallower(
        teacher, results.one("rule", rule="measured", layers=results.about["budget"]["layers"][0])["kept"]
    )
    now = read_again(teacher, student, stored)
    before, after = one_step(teacher, student, stored.prompts[PROMPTS[0]])
    return (
        f"Live on this machine, {time.perf_counter() - start:.0f} s with loading.\n"
        f"KL(p‖q) of the pruned model at {len(PROMPTS)} prompts: {_listed(now)} nats; stored: {_listed(gaps)}\n"
        f"one step of AdamW on one prompt: KL {before:.3f} → {after:.3f} nats per token of this prompt"
    )


@torch.no_grad()
def read_again(teacher: HuggingFace, student: HuggingFace, stored: NextTokens) -> list[float]:
    """KL(p‖q) in nats behind each prompt, over the same tokens and the rest as are stored."""
    found = []
    for i in PROMPTS:
        ids = torch.tensor([teacher.tokenizer.ids(stored.prompts[i])])
        kept = stored.ids[i][stored.ids[i] >= 0]
        events = []
        for model in (student, teacher):
            logp = model(ids, last_only=True)[0, -1].double().log_softmax(-1)
            rest = logp.index_fill(0, kept, -torch.inf).logsumexp(0, keepdim=True)
            events.append(torch.cat([logp[kept], rest]))
        found.append(forward_kl(*events).item())
    return found


def one_step(teacher: HuggingFace, student: HuggingFace, prompt: str, rate: float = 1e-4) -> tuple[float, float]:
    """KL(p‖q) per token of a prompt before and after one step of training on it."""
    ids = torch.tensor([teacher.tokenizer.ids(prompt)])
    weights = [weight for weight in student.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=rate, weight_decay=0.0)
    with torch.no_grad():
        target = teacher.factors(ids)

    def loss() -> torch.Tensor:
        own = student.factors(ids)
        return linear_softmax_kl(own.hidden, own.weight, target.hidden, target.weight)

    before = loss()
    before.backward()
    optimizer.step()
    with torch.no_grad():
        return before.item(), loss().item()


def _listed(values: list[float]) -> str:
    return ", ".join(f"{value:.3f}" for value in values)
