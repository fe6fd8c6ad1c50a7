"""Reinforcement with a verifier: GRPO, in which the texts of one problem are compared with one another.

For each problem the student writes a group of G texts, and a verifier gives each a reward r_i. A text's advantage is
its reward relative to its group, and every token of the text shares it:

    A_i = (r_i − mean(r)) / std(r)
    J   = E (1/G) Σ_i (1/|o_i|) Σ_t A_i · log q(o_it | …)        to be maximised

There is no teacher and no value network. A group whose texts are all right, or all wrong, has no advantage: it teaches
nothing, and a student that is never right learns nothing.

Each batch is used once, so that the ratio q/q_old is 1 and its clipping never acts: the gradient above is that of the
source's objective with one update per batch. Its pull towards a reference model, β·KL, is left out (β = 0).

The student writes and is trained in eval mode, so that q is read as it was drawn: without dropout, and without the
activation checkpointing of transformers, which acts in train mode alone.
"""

import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from tqdm.auto import trange

from kd_lab.arguments import Count, Positive, checked
from kd_lab.contracts import stream
from kd_lab.methods.training import Clip, NonFiniteLoss, check_model, trainable, warm_up_cosine
from kd_lab.models import device_of, evaluating
from kd_lab.where import rollout
from kd_lab.worlds import Batch, World

Reward = Callable[[Sequence[str]], Float[Tensor, " B"]]
"""Texts to rewards, such as 1 where a verifier finds the answer right and 0 elsewhere."""

COLUMNS = ("step", "reward", "mixed", "tokens", "seconds", "evaluation")


@checked
def group_advantages(rewards: Float[Tensor, "*N G"]) -> Float[Tensor, "*N G"]:
    """(r − mean) / std within each group of G texts on one problem; 0 throughout where all rewards are equal.

    The std is that of the group itself (÷ G). An advantage is large where the reward is rare: the one right text among
    eight gets √7, and the seven wrong ones −1/√7 each.

    Raises:
        ValueError: a reward is NaN or infinite.

    >>> group_advantages(torch.tensor([[1.0, 0.0, 0.0, 1.0], [0.0, 0.0, 0.0, 0.0]]))
    tensor([[ 1., -1., -1.,  1.],
            [ 0.,  0.,  0.,  0.]])

    Source: DeepSeek-AI (2025), "DeepSeek-R1", arXiv:2501.12948v1, equation 3.
    """
    without = 0 if rewards.is_meta else int((~rewards.isfinite()).sum())
    if without:
        raise ValueError(
            f"rewards are NaN or infinite at {without} of {rewards.numel()} places; expected finite numbers, since an "
            "advantage is relative to the mean of its group: give a text without a verdict the reward of a wrong one"
        )
    centred = rewards - rewards.mean(-1, keepdim=True)
    deviation = centred.square().mean(-1, keepdim=True).sqrt()
    # the mean of equal rewards may be off by a rounding, which is no difference between them
    mixed = (rewards != rewards[..., :1]).any(-1, keepdim=True) & (deviation > 0)
    return torch.where(mixed, centred / deviation.where(mixed, 1.0), 0.0)


@checked
def grpo_loss(
    own_logp: Float[Tensor, "B T"], advantages: Float[Tensor, " B"], mask: Bool[Tensor, "B T"]
) -> Float[Tensor, ""]:
    """−(1/B) Σ_i (1/|o_i|) Σ_t A_i·log q(o_it): its gradient is −∇J; its value has no meaning.

    Args:
        own_logp: log q of the tokens that were drawn, nats; the gradient flows here.
        advantages: of each text, without a gradient.
        mask: True where the student wrote, its end included.

    >>> own_logp, mask = torch.tensor([[-1.0, -2.0], [-3.0, 0.0]]), torch.tensor([[True, True], [True, False]])
    >>> grpo_loss(own_logp, torch.tensor([1.0, -1.0]), mask)
    tensor(-0.7500)

    Source: DeepSeek-AI (2025), "DeepSeek-R1", arXiv:2501.12948v1, equation 1, with one update per batch and β = 0; the
    mean over a text's tokens is that of Shao et al. (2024), "DeepSeekMath", arXiv:2402.03300.
    """
    per_text = own_logp.where(mask, 0.0).sum(-1) / mask.sum(-1).clamp_min(1)
    return -(advantages.detach() * per_text).mean()


@checked
def grpo(
    student: nn.Module,
    world: World,
    reward: Reward,
    *,
    steps: Count = 200,
    seed: int = 0,
    problems: Count = 16,
    group_size: Count = 8,
    learning_rate: Positive = 1e-3,
    schedule: Callable[[int, int], float] = warm_up_cosine,
    clip: Clip = 1.0,
    evaluate: Callable[[nn.Module], float] | None = None,
    evaluate_every: Count = 50,
    progress: bool = True,
) -> dict[str, np.ndarray]:
    """Train `student` in place on its own texts by GRPO, with AdamW, one update per batch.

    Args:
        student: a language model, its trainable weights in fp32 or fp64; it writes and trains in eval mode, at τ = 1.
        world: its training texts give the problems; nothing behind the prompts is read.
        reward: of whole texts, prompts included, as the world's tokenizer decodes them.
        steps, seed: updates of the weights; all chance comes from the seed.
        problems, group_size: of a step; the student writes problems × G texts.
        learning_rate, schedule, clip: as in `distill`.
        evaluate, evaluate_every: called with the student in eval mode after so many steps, and after the last.
        progress: show a bar.

    Returns:
        Arrays with an entry per step: `step` (from 1), `reward` (mean over the step's texts), `mixed` (the share of
        groups with different rewards, the only ones that teach), `tokens` (written so far), `seconds` and `evaluation`
        (NaN where it was not asked).

    Raises:
        ValueError: student and world do not fit together; a group of one, which has nothing to be compared with;
            rewards of another number than the texts, or not finite; or weights narrower than fp32.
        NonFiniteLoss: loss or gradient is NaN or infinite; the weights and the history are those before that step.
    """
    if group_size < 2:
        raise ValueError(f"group_size is {group_size}; expected at least 2: an advantage is relative to the group")
    check_model("student", student, world)
    device = device_of(student)
    drawing, writing = stream(seed, "problems"), stream(seed, "student writes", device)
    optimizer = torch.optim.AdamW(trainable(student), lr=learning_rate, weight_decay=0.0)
    history, tokens, start = {name: [] for name in COLUMNS}, 0, time.perf_counter()
    with evaluating(student):
        for step in trange(1, steps + 1, desc="GRPO", leave=False, disable=not progress):
            asked = world.sample(problems, drawing).prompts(world.vocabulary.pad)
            prompts, lengths = (part.repeat_interleave(group_size, 0) for part in asked)
            batch = rollout(student, world, prompts, writing, lengths=lengths)
            rewards = _rewards(reward, world, batch).view(problems, group_size)
            loss = grpo_loss(_own_logp(student, batch), group_advantages(rewards).flatten().to(device), batch.mask)
            _update(optimizer, loss, learning_rate * schedule(step, steps), clip, history)
            tokens += int(batch.mask.sum())
            mixed = (rewards != rewards[:, :1]).any(1).float().mean().item()
            due = evaluate is not None and (step % evaluate_every == 0 or step == steps)
            row = (step, rewards.mean().item(), mixed, tokens, time.perf_counter() - start)
            for name, value in zip(COLUMNS, (*row, evaluate(student) if due else float("nan")), strict=True):
                history[name].append(value)
    return _arrays(history)


def _rewards(reward: Reward, world: World, batch: Batch) -> Float[Tensor, " B"]:
    found = torch.as_tensor(reward(world.vocabulary.decode(batch.tokens)), dtype=torch.float32)
    if found.shape != (len(batch),):
        raise ValueError(f"reward gave shape {tuple(found.shape)} for {len(batch)} texts; expected one number for each")
    return found


def _own_logp(student: nn.Module, batch: Batch) -> Float[Tensor, "B T"]:
    logits = student(batch.inputs).where(batch.mask[..., None], 0.0)  # a masked NaN would spoil the gradient
    logp = logits.log_softmax(-1, dtype=torch.promote_types(logits.dtype, torch.float32))
    return logp.gather(-1, batch.targets[..., None])[..., 0]


def _update(
    optimizer: torch.optim.Optimizer, loss: Tensor, learning_rate: float, clip: float, history: dict[str, list]
) -> None:
    optimizer.zero_grad()
    loss.backward()
    (group,) = optimizer.param_groups
    norm = nn.utils.clip_grad_norm_(group["params"], clip)
    if not (loss.isfinite() and norm.isfinite()):
        raise NonFiniteLoss(
            f"GRPO stopped at step {len(history['step']) + 1}: loss {loss.item():g}, gradient norm {norm.item():g}. "
            "Lower learning_rate, or look at the weights that the student came with. The student keeps its weights "
            "from before this step.",
            _arrays(history),
        )
    group["lr"] = learning_rate
    optimizer.step()


def _arrays(history: dict[str, list]) -> dict[str, np.ndarray]:
    return {name: np.array(values) for name, values in history.items()}
