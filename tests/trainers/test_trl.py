"""kd_lab losses at the seam of TRL's DistillationTrainer.

The trainer hands hidden states, heads, a mask and the token count of the step to one function of its module.
`kd_lab_loss` below has its signature and is all of the integration:

    trl.trainer.distillation_trainer._chunked_divergence_loss = kd_lab_loss

β ∈ {0, 1} are the KLs that JSD(β) tends to once it is divided by β or 1 − β, and TRL's loss carries no τ².

The function is private to TRL; these tests run against the version in constraints.txt and fail when it moves. For the
same reason `kd_lab_loss` takes no further keywords: a factor of the logits that it does not know must not get lost.
"""

import math

import pytest
import torch
import torch.distributed as dist

from kd_lab.how import linear_softmax_kl

pytest.importorskip("trl", reason="trl is not installed: make trainers")

import trl.trainer.distillation_trainer as seam  # a trl without it fails, as promised above
from tiny_transformers import BENT, tiny_model, tiny_tokenizer

QUIET = {  # a short run of a trainer in fp32 on the CPU
    "per_device_train_batch_size": 2,
    "use_cpu": True,
    "bf16": False,
    "report_to": "none",
    "save_strategy": "no",
    "disable_tqdm": True,
}


def kd_lab_loss(
    student_hidden,
    teacher_hidden,
    student_weight,
    teacher_weight,
    completion_mask,
    beta,
    num_items_in_batch=None,
    student_lm_head_bias=None,
    teacher_lm_head_bias=None,
    student_logit_scale=1.0,
    teacher_logit_scale=1.0,
    student_final_logit_softcapping=None,
    teacher_final_logit_softcapping=None,
    temperature=1.0,
):
    """In the signature of TRL's own loss, which also returns the student's entropy to log, and the number of tokens.

    A head that FSDP2 has sharded arrives as a DTensor and is gathered once.
    """
    student_weight, teacher_weight = whole(student_weight), whole(teacher_weight)
    student = {
        "student_bias": whole(student_lm_head_bias),
        "student_logit_scale": student_logit_scale,
        "student_softcap": student_final_logit_softcapping,
    }
    options = {"mask": completion_mask.bool(), "temperature": temperature, "scale_by_t2": False}
    loss = linear_softmax_kl(
        student_hidden,
        student_weight,
        teacher_hidden,
        teacher_weight,
        **student,
        teacher_bias=whole(teacher_lm_head_bias),
        teacher_logit_scale=teacher_logit_scale,
        teacher_softcap=teacher_final_logit_softcapping,
        divergence={0: "forward_kl", 1: "reverse_kl"}.get(beta, "jsd"),
        beta=beta,
        normalizer=num_items_in_batch,
        **options,
    )
    with torch.no_grad():  # a head of zeros is a uniform u, and the entropy is log V − KL(q‖u): the logits once more
        uniform = (
            student_hidden.new_zeros(*student_hidden.shape[:-1], 1),
            student_weight.new_zeros(len(student_weight), 1),
        )
        below = linear_softmax_kl(
            student_hidden, student_weight, *uniform, **student, divergence="reverse_kl", reduction="sum", **options
        )
        counted = completion_mask.bool().sum()
        entropy = counted * math.log(len(student_weight)) - below
    return loss, entropy, counted


def whole(tensor):
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def results_of(loss_of, shapes=(8, 12), vocabulary=31, count=None, biased=False, beta=0.5, shard=None, **options):
    """Loss, entropy, number of tokens, and the gradients of hidden states and head."""
    chance = torch.Generator().manual_seed(0)
    hidden = [torch.randn(2, 5, width, generator=chance) for width in shapes]
    weights = [torch.randn(vocabulary, width, generator=chance) for width in shapes]
    biases = [torch.randn(vocabulary, generator=chance) if biased else None for _ in shapes]
    mask = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]])
    leaves = [leaf.clone().requires_grad_() for leaf in (hidden[0], weights[0])]
    heads = (leaves[1], weights[1]) if shard is None else (shard(leaves[1]), shard(weights[1]))
    count = None if count is None else torch.tensor(count)
    loss, entropy, counted = loss_of(leaves[0], hidden[1], *heads, mask, beta, count, *biases, **options)
    loss.backward()
    return loss.detach(), entropy.detach(), counted, *(leaf.grad for leaf in leaves)


@pytest.mark.parametrize("beta", [0, 0.5, 1])
@pytest.mark.parametrize("temperature", [1.0, 2.0])
@pytest.mark.parametrize("count", [None, 23])
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("bent", ["no factor", "a scale", "a softcap", "both, on one side"])
def test_the_loss_is_trls_own_in_value_gradient_and_entropy(beta, temperature, count, biased, bent) -> None:
    """Cohere scales its logits, Gemma caps them; TRL hands both on by keyword."""
    factors = {
        "no factor": {},
        "a scale": {"student_logit_scale": 0.25, "teacher_logit_scale": 0.5},
        "a softcap": {"student_final_logit_softcapping": 1.5, "teacher_final_logit_softcapping": 2.5},
        "both, on one side": {"teacher_logit_scale": 0.25, "teacher_final_logit_softcapping": 1.5},
    }[bent]
    options = {"beta": beta, "temperature": temperature, "count": count, "biased": biased} | factors
    own, ours = (results_of(loss_of, **options) for loss_of in (seam._chunked_divergence_loss, kd_lab_loss))
    torch.testing.assert_close(ours, own, rtol=1e-5, atol=1e-5)


def test_a_head_that_fsdp_has_sharded_is_gathered(tmp_path) -> None:
    """As `fully_shard` leaves the heads: DTensors, here over one process."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import DTensor, Shard

    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        mesh = init_device_mesh("cpu", (1,))
        sharded = results_of(kd_lab_loss, shard=lambda weight: DTensor.from_local(weight, mesh, [Shard(0)]))
    finally:
        dist.destroy_process_group()
    torch.testing.assert_close(sharded, results_of(kd_lab_loss))


def test_gkd_divides_a_sum_over_what_was_written_by_the_tokens_of_the_data(tmp_path, monkeypatch) -> None:
    """The dialect of `GKDConfig()` says so, and that dropout is off; once TRL counts what was written, it must not."""
    from datasets import Dataset
    from trl.experimental.gkd import GKDConfig, GKDTrainer

    counts, own = [], GKDTrainer.generalized_jsd_loss

    def counting(*args, labels, num_items_in_batch, **options):
        counts.append((int((labels != -100).sum()), int(num_items_in_batch)))
        losses = [own(*args, labels=labels, num_items_in_batch=n, **options) for n in (num_items_in_batch, 1)]
        torch.testing.assert_close(losses[0] * num_items_in_batch, losses[1])
        return losses[0]

    monkeypatch.setattr(GKDTrainer, "generalized_jsd_loss", staticmethod(counting))
    arguments = GKDConfig(
        str(tmp_path),
        lmbda=1.0,
        max_new_tokens=2,
        max_steps=1,
        **QUIET,
    )
    chat = [{"role": "user", "content": "ab"}, {"role": "assistant", "content": "cdefghab"}]
    GKDTrainer(
        tiny_model(seed=0),
        tiny_model(seed=1),
        arguments,
        train_dataset=Dataset.from_dict({"messages": [chat, chat]}),
        processing_class=tiny_tokenizer(pad_token="<pad>", padding_side="left"),
    ).train()
    ((written, divisor),) = counts
    assert 0 < written <= 2 * 2
    assert divisor >= 2 * len("cdefghab")
    assert arguments.disable_dropout


def train(folder, family: str) -> list[tuple[float, ...]]:
    """Loss, gradient norm and entropy of two steps on texts that the student writes."""
    from datasets import Dataset
    from trl import DistillationConfig, DistillationTrainer

    arguments = DistillationConfig(
        str(folder),
        beta=0.5,
        max_completion_length=6,
        gradient_accumulation_steps=2,
        max_steps=2,
        learning_rate=1e-2,
        logging_steps=1,
        **QUIET,
    )
    trainer = DistillationTrainer(
        tiny_model(family, seed=0),
        tiny_model(family, width=24, seed=1),
        arguments,
        train_dataset=Dataset.from_dict({"prompt": ["abc", "de", "fgha", "b"]}),
        processing_class=tiny_tokenizer(pad_token="<pad>", padding_side="left"),
    )
    trainer.train()
    steps = (entry for entry in trainer.state.log_history if "grad_norm" in entry)
    return [tuple(entry[name] for name in ("loss", "grad_norm", "entropy")) for entry in steps]


@pytest.mark.parametrize("family", ["llama", *sorted({"Cohere", "Gemma2"} & BENT.keys())])
def test_a_training_run_goes_the_same_way_with_either_loss(tmp_path, monkeypatch, family) -> None:
    """Student rollouts, left-padded prompts, gradient accumulation: two whole steps, token count and all."""
    own = train(tmp_path, family)
    monkeypatch.setattr(seam, "_chunked_divergence_loss", kd_lab_loss)
    ours = train(tmp_path, family)
    assert len(own) == 2
    assert all(norm > 0 for _, norm, _ in own)
    torch.testing.assert_close(torch.tensor(ours), torch.tensor(own), rtol=1e-4, atol=1e-5)
