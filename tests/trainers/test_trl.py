"""kd_lab losses at the seam of TRL's DistillationTrainer.

The trainer hands hidden states, heads, a mask and the token count of the step to one function of its module. The same
call in the names of kd_lab, where β ∈ {0, 1} are the KLs that JSD(β) tends to once it is divided by β or 1 − β:

    divergence = {0: "forward_kl", 1: "reverse_kl"}.get(beta, "jsd")
    loss = linear_softmax_kl(
        student_hidden, student_weight, teacher_hidden, teacher_weight,
        divergence=divergence, beta=beta, temperature=temperature, scale_by_t2=False,  # TRL carries no τ²
        mask=completion_mask.bool(), normalizer=num_items_in_batch,
    )

The function is private to TRL; these tests run against the version in constraints.txt and fail when it moves.
"""

import pytest
import torch

from kd_lab.how import linear_softmax_kl

pytest.importorskip("trl", reason="trl is not installed: pip install -e '.[real,trainers]'")
seam = pytest.importorskip("trl.trainer.distillation_trainer", reason="this trl has no DistillationTrainer")

from tiny_transformers import tiny_model, tiny_tokenizer  # noqa: E402  (it imports transformers)


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
    temperature=1.0,
    **of_other_families,
):
    """In the signature of TRL's own loss, which also returns an entropy to log and the number of tokens."""
    loss = linear_softmax_kl(
        student_hidden,
        student_weight,
        teacher_hidden,
        teacher_weight,
        student_bias=student_lm_head_bias,
        teacher_bias=teacher_lm_head_bias,
        divergence={0: "forward_kl", 1: "reverse_kl"}.get(beta, "jsd"),
        beta=beta,
        temperature=temperature,
        scale_by_t2=False,
        mask=completion_mask.bool(),
        normalizer=num_items_in_batch,
    )
    return loss, torch.zeros(()), completion_mask.sum()


@pytest.mark.parametrize("beta", [0, 0.5, 1])
@pytest.mark.parametrize("temperature", [1.0, 2.0])
@pytest.mark.parametrize("count", [None, 23])
@pytest.mark.parametrize("biased", [False, True])
def test_the_loss_is_trls_own_in_value_and_gradient(beta, temperature, count, biased) -> None:
    chance = torch.Generator().manual_seed(0)
    student_hidden, teacher_hidden = (torch.randn(2, 5, width, generator=chance) for width in (8, 12))
    student_weight, teacher_weight = (torch.randn(31, width, generator=chance) for width in (8, 12))
    biases = [torch.randn(31, generator=chance) if biased else None for _ in range(2)]
    mask = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]])
    results = []
    for loss_of in (seam._chunked_divergence_loss, kd_lab_loss):
        leaves = [leaf.clone().requires_grad_() for leaf in (student_hidden, student_weight)]
        loss, _, counted = loss_of(
            leaves[0],
            teacher_hidden,
            leaves[1],
            teacher_weight,
            mask,
            beta,
            None if count is None else torch.tensor(count),
            *biases,
            temperature=temperature,
        )
        loss.backward()
        results.append((loss.detach(), counted, *(leaf.grad for leaf in leaves)))
    torch.testing.assert_close(results[1], results[0], rtol=1e-5, atol=1e-6)


def train(folder) -> list[tuple[float, float]]:
    """Loss and gradient norm of two steps on texts that the student writes."""
    from datasets import Dataset
    from trl import DistillationConfig, DistillationTrainer

    arguments = DistillationConfig(
        str(folder),
        beta=0.5,
        max_completion_length=6,
        per_device_train_batch_size=2,
        gradient_accumulation_steps=2,
        max_steps=2,
        learning_rate=1e-2,
        use_cpu=True,
        bf16=False,
        report_to="none",
        logging_steps=1,
        save_strategy="no",
        disable_tqdm=True,
    )
    trainer = DistillationTrainer(
        tiny_model(seed=0),
        tiny_model(width=24, seed=1),
        arguments,
        train_dataset=Dataset.from_dict({"prompt": ["abc", "de", "fgha", "b"]}),
        processing_class=tiny_tokenizer(pad_token="<pad>", padding_side="left"),
    )
    trainer.train()
    return [(entry["loss"], entry["grad_norm"]) for entry in trainer.state.log_history if "grad_norm" in entry]


def test_a_training_run_goes_the_same_way_with_either_loss(tmp_path, monkeypatch) -> None:
    """Student rollouts, left-padded prompts, gradient accumulation: two whole steps, token count and all."""
    own = train(tmp_path)
    monkeypatch.setattr(seam, "_chunked_divergence_loss", kd_lab_loss)
    ours = train(tmp_path)
    assert len(own) == 2
    assert all(norm > 0 for _, norm in own)
    torch.testing.assert_close(torch.tensor(ours), torch.tensor(own), rtol=1e-4, atol=1e-5)
