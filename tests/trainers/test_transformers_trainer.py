"""kd_lab losses inside the Trainer of transformers.

A Trainer accumulates gradients over micro-batches of unequal length. Each of them must divide its sum by the number of
positions that count in the whole step, which the Trainer counts and hands to `compute_loss` as `num_items_in_batch`;
`normalizer=` takes it. `DistillationTrainer` below is all of the integration.

The count is over all processes with `average_tokens_across_devices=True`, the default, and over this process alone
without. There is none where the rows have no labels, or where `model_accepts_loss_kwargs` is False. Several GPUs in one
process (`nn.DataParallel`) need the default: without it the Trainer hands over one GPU's share of the count, and this
loss, of the logits of all of them, would be as many times too large.
"""

from types import SimpleNamespace

import pytest
import torch

from kd_lab.how import linear_softmax_kl, softmax_kl

transformers = pytest.importorskip("transformers", reason="transformers is not installed: make trainers")
pytest.importorskip("accelerate", reason="the Trainer needs accelerate: make trainers")

from tiny_transformers import tiny_model  # noqa: E402  (it imports transformers)

ROWS = 8


class DistillationTrainer(transformers.Trainer):
    """A Trainer with a teacher."""

    def __init__(self, *args, teacher, **kwargs):
        super().__init__(*args, **kwargs)
        self.teacher = teacher.eval().to(self.args.device)
        self.model_accepts_loss_kwargs = True  # count num_items_in_batch
        self.loss_is_scaled_for_ga = True  # by the normalizer: do not divide by the number of parts once more

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        labels = inputs.pop("labels")
        outputs = model(**inputs)
        with torch.no_grad():
            teacher_logits = self.teacher(**inputs).logits
        if num_items_in_batch is not None:
            num_items_in_batch = torch.as_tensor(num_items_in_batch).flatten()[0]  # nn.DataParallel gets it repeated
            if self.args.average_tokens_across_devices:
                # it is that of all processes, whose gradients will be averaged; those that share a model count as one
                num_items_in_batch = num_items_in_batch / (self.accelerator.num_processes // self.get_tp_size())
        loss = softmax_kl(
            outputs.logits[:, :-1],
            teacher_logits[:, :-1],
            divergence="jsd",
            mask=labels[:, 1:] != -100,
            normalizer=num_items_in_batch,
        )
        return (loss, outputs) if return_outputs else loss


def rows() -> list[dict[str, torch.Tensor]]:
    """Rows of one width with prompts and texts of many lengths: a batch of the first is not like one of the last."""
    chance = torch.Generator().manual_seed(0)
    data = []
    for i in range(ROWS):
        ids = torch.randint(3, 15, (12,), generator=chance)
        labels = ids.clone()
        labels[: 1 + i] = -100
        labels[10:] = -100
        data.append({"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels})
    return data


def train(folder, batch_size: int, accumulate: int, bf16: bool = False) -> tuple[list[float], list[float]]:
    """Losses and gradient norms of three steps over the same rows."""
    arguments = transformers.TrainingArguments(
        str(folder),
        per_device_train_batch_size=batch_size,
        gradient_accumulation_steps=accumulate,
        max_steps=3,
        learning_rate=1e-2,
        bf16=bf16,
        use_cpu=True,
        report_to="none",
        logging_steps=1,
        save_strategy="no",
        disable_tqdm=True,
        train_sampling_strategy="sequential",
    )
    trainer = DistillationTrainer(
        tiny_model(seed=0), arguments, train_dataset=rows(), teacher=tiny_model(width=24, seed=1)
    )
    trainer.train()
    logs = [entry for entry in trainer.state.log_history if "grad_norm" in entry]
    return [entry["loss"] for entry in logs], [entry["grad_norm"] for entry in logs]


def test_four_accumulated_parts_are_one_whole_batch(tmp_path) -> None:
    """Dividing each part by its own count, as a mean would, weighs the rows of short texts too much."""
    losses, norms = train(tmp_path, batch_size=ROWS, accumulate=1)
    assert train(tmp_path, batch_size=2, accumulate=4) == (
        pytest.approx(losses, abs=1e-5),
        pytest.approx(norms, abs=1e-4),
    )
    assert losses[-1] < losses[0]


def gradient(trainer, batch, count) -> torch.Tensor:
    trainer.model.zero_grad()
    trainer.compute_loss(trainer.model, {name: value.clone() for name, value in batch.items()}, False, count).backward()
    return trainer.model.lm_head.weight.grad.clone()


@pytest.mark.parametrize("averaged", [True, False])
def test_the_averaged_gradient_of_two_processes_is_that_of_their_counts(tmp_path, averaged) -> None:
    """By the count of both it is the mean over all positions; by each one's own the mean of two means."""
    arguments = transformers.TrainingArguments(
        str(tmp_path), use_cpu=True, report_to="none", average_tokens_across_devices=averaged
    )
    trainer = DistillationTrainer(tiny_model(seed=0), arguments, teacher=tiny_model(width=24, seed=1))
    parts = [transformers.default_data_collator(part) for part in (rows()[:3], rows()[3:])]
    counts = [(part["labels"][:, 1:] != -100).sum() for part in parts]
    assert counts[0] != counts[1]
    alone = [gradient(trainer, part, count) for part, count in zip(parts, counts, strict=True)]  # one process: ÷ 1
    shares = torch.stack(counts) / sum(counts) if averaged else torch.tensor([0.5, 0.5])
    wanted = sum(share * part for share, part in zip(shares, alone, strict=True))
    trainer.accelerator = SimpleNamespace(num_processes=2)
    seen = [sum(counts)] * 2 if averaged else counts  # the Trainer's `num_items_in_batch` on each process
    sent = [gradient(trainer, part, count) for part, count in zip(parts, seen, strict=True)]
    torch.testing.assert_close(sum(sent) / 2, wanted, rtol=1e-5, atol=1e-7)


def trainer_and_batch(folder):
    arguments = transformers.TrainingArguments(str(folder), use_cpu=True, report_to="none")
    trainer = DistillationTrainer(tiny_model(seed=0), arguments, teacher=tiny_model(width=24, seed=1))
    batch = transformers.default_data_collator(rows())
    return trainer, batch, (batch["labels"][:, 1:] != -100).sum()


def test_a_count_that_is_repeated_for_several_gpus_is_one_count(tmp_path) -> None:
    """For `nn.DataParallel` the Trainer repeats it once per GPU; the logits of all come back together."""
    trainer, batch, count = trainer_and_batch(tmp_path)
    repeated = count.unsqueeze(0).expand(2, -1)
    torch.testing.assert_close(gradient(trainer, batch, repeated), gradient(trainer, batch, count))


def test_processes_that_share_a_model_count_as_one(tmp_path) -> None:
    """Four processes with tensor parallelism over two are two that average their gradients, as the Trainer has it."""
    trainer, batch, count = trainer_and_batch(tmp_path)
    alone = gradient(trainer, batch, count)
    trainer.accelerator, trainer.model._tp_size = SimpleNamespace(num_processes=4), 2
    torch.testing.assert_close(gradient(trainer, batch, count), 2 * alone)


def test_bf16_autocast_trains_on_the_same_loss(tmp_path) -> None:
    losses, _ = train(tmp_path, batch_size=4, accumulate=2)
    half, _ = train(tmp_path, batch_size=4, accumulate=2, bf16=True)
    assert half == pytest.approx(losses, rel=0.02)
    assert half[-1] < half[0]


def test_from_hidden_states_the_loss_is_the_same_and_the_tied_head_gets_both_gradients() -> None:
    """linear_softmax_kl on a tied model: the embedding learns as the head and as the embedding."""
    ids = torch.stack([row["input_ids"] for row in rows()])
    teacher_logits = tiny_model(seed=1)(ids).logits.detach()
    gradients = []
    for fused in (False, True):
        student = tiny_model("qwen2", seed=0)
        assert student.get_output_embeddings().weight is student.get_input_embeddings().weight
        if fused:
            identity = torch.eye(teacher_logits.shape[-1])  # as a head, it lets the teacher's logits through
            hidden = student.model(ids).last_hidden_state
            linear_softmax_kl(hidden, student.lm_head.weight, teacher_logits, identity).backward()
        else:
            softmax_kl(student(ids).logits, teacher_logits).backward()
        gradients.append(student.get_input_embeddings().weight.grad)
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-6)
