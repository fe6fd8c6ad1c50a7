"""The kernels as PyTorch operators: they compile, differentiate and check like built-in ones."""

import torch
import triton
from jaxtyping import Bool, Float, Int
from torch import Tensor

from kd_lab.how.divergences import DIVERGENCES
from kd_lab.how.early_gradient import EarlyGradient
from kd_lab.how.kernels.launch import is_resident, launch_backward, launch_forward, launch_multiply
from kd_lab.how.kernels.resident import resident


def triton_softmax_kl(
    student_logits: Float[Tensor, "... V"],
    teacher_logits: Float[Tensor, "... V"],
    *,
    divergence: str,
    beta: float = 0.5,
    temperature: float = 1.0,
    scale_by_t2: bool = True,
    mask: Bool[Tensor, "..."] | None = None,
    labels: Int[Tensor, "..."] | None = None,
    label_weight: float = 0.0,
    weight: Float[Tensor, "..."] | None = None,
) -> Float[Tensor, "..."]:
    """The loss at each position, fused: logits are read where they lie, and no probability is ever written.

    Without `weight` the gradient is made in the backward pass, from the logits and at most 16 bytes per row. With it,
    the gradient is made in the forward pass while the row is at hand, which moves 4 bytes per element less in a small
    vocabulary: give it where the losses will be summed, and put all the factors of the sum into it. Any other factor
    that backpropagation brings is multiplied in; only a factor of 1 is free. fp16 gradients always wait for the
    backward pass, because the loss scaling that lifts them out of underflow comes from there.

    Args:
        student_logits, teacher_logits: [..., V] in fp32, bf16 or fp16, not necessarily the same, with any strides in
            the leading axes. A last axis that is not contiguous is copied first. The teacher gets no gradient.
        divergence, beta, temperature, scale_by_t2: as in `softmax_kl`, and valid.
        mask: True where a position counts; the others cost no reads, are 0 and get a gradient of 0.
        labels, label_weight: mix in the cross-entropy with these tokens, at τ = 1, in the same sweeps, with the share
            0 ≤ w < 1. An extra exponential per element, and no further sweep.
        weight: a constant factor on each position's loss, of the mask's shape or a scalar.

    Returns:
        weight·[(1−w)·τ²·D(softmax(student/τ), softmax(teacher/τ)) + w·(−log softmax(student)[label])] at each
        position, fp32, in nats; w is 0 where there are no labels. NaN for a label outside the vocabulary.

    Raises:
        ValueError: a dtype that the kernels do not take, or tensors on the CPU outside Triton's interpreter; and in
            the backward pass, a gradient that should be differentiated again.
    """
    _check(student_logits, teacher_logits)
    training = student_logits.requires_grad and torch.is_grad_enabled()
    early = weight is not None and student_logits.dtype != torch.float16
    # As factors of a tensor and not as numbers, for which torch.compile would make a graph for each temperature.
    one = torch.ones((), dtype=torch.float64, device="cpu")
    loss, _, _ = softmax_kl_rows(
        _last_axis_contiguous(student_logits),
        _last_axis_contiguous(teacher_logits.detach()),
        None if labels is None else labels.long(),
        mask,
        None if weight is None else weight.detach().float().expand(student_logits.shape[:-1]),
        torch.stack([beta * one, temperature * one, (0.0 if labels is None else label_weight) * one]),
        divergence,
        scale_by_t2,
        "nothing" if not training else "gradient" if early else "statistics",
    )
    return loss


@torch.library.custom_op("kd_lab::softmax_kl_rows", mutates_args=())
def softmax_kl_rows(
    student: Tensor,
    teacher: Tensor,
    labels: Tensor | None,
    mask: Tensor | None,
    weight: Tensor | None,
    numbers: Tensor,
    divergence: str,
    scale_by_t2: bool,
    save: str,
) -> tuple[Tensor, Tensor, Tensor]:
    """Losses [...], statistics [..., 3 or 4] for the backward pass, and the gradient: empty unless `save` wants them.

    `numbers` are β, τ and the weight of the labels, on the CPU.
    """
    loss, statistics, gradient = _empty_outputs(student, teacher, labels, divergence, save)
    launch_forward(
        student,
        teacher,
        _packed(labels),
        _packed(mask),
        _packed(weight),
        loss,
        statistics if statistics.numel() else None,
        gradient if save == "gradient" else None,
        divergence,
        _kernel_numbers(numbers, divergence, scale_by_t2),
        save,
    )
    return loss, statistics, gradient


@softmax_kl_rows.register_fake
def _(student, teacher, labels, mask, weight, numbers, divergence, scale_by_t2, save):
    return _empty_outputs(student, teacher, labels, divergence, save)


@torch.library.custom_op("kd_lab::softmax_kl_backward", mutates_args=())
def softmax_kl_backward(
    student: Tensor,
    teacher: Tensor,
    labels: Tensor | None,
    mask: Tensor | None,
    upstream: Tensor,
    statistics: Tensor,
    numbers: Tensor,
    divergence: str,
    scale_by_t2: bool,
) -> Tensor:
    """Upstream [...] times the gradient of the losses with respect to the student's logits."""
    gradient = _empty_gradient(student)
    launch_backward(
        student,
        teacher,
        _packed(labels),
        _packed(mask),
        _packed(upstream),
        statistics if statistics.numel() else None,
        gradient,
        divergence,
        _kernel_numbers(numbers, divergence, scale_by_t2),
    )
    return gradient


@softmax_kl_backward.register_fake
def _(student, teacher, labels, mask, upstream, statistics, numbers, divergence, scale_by_t2):
    return _empty_gradient(student)


@torch.library.custom_op("kd_lab::multiply_rows_", mutates_args=("gradient",))
def multiply_rows_(gradient: Tensor, mask: Tensor | None, upstream: Tensor) -> None:
    """Multiply rows in place by their upstream factors."""
    launch_multiply(gradient, _packed(mask), _packed(upstream))


def _early(inputs, others):
    return (others[1],) if inputs[-1] == "gradient" else None


def _meet(gradients, inputs, upstream):
    multiply_rows_(gradients[0], inputs[3], upstream)
    return gradients


def _anew(inputs, kept, upstream):
    student, teacher, labels, mask, weight, *options, _ = inputs
    factor = upstream if weight is None else upstream * weight
    return (softmax_kl_backward(student, teacher, labels, mask, factor, *kept, *options),)


_RULE = EarlyGradient("softmax_kl", early=_early, meet=_meet, anew=_anew, keep=lambda others: others[:1])
softmax_kl_rows.register_autograd(_RULE.backward, setup_context=_RULE.setup_context)


def _kernel_numbers(numbers: Tensor, divergence: str, scale_by_t2: bool) -> tuple[float, float, float, float]:
    """1/τ, β, and the factors of the divergence and of the labels."""
    beta, temperature, label_weight = numbers.tolist()
    scale = (1 - label_weight) * DIVERGENCES[divergence].scale(temperature, scale_by_t2)
    return 1 / temperature, beta, scale, label_weight


def _empty_outputs(
    student: Tensor, teacher: Tensor, labels: Tensor | None, divergence: str, save: str
) -> tuple[Tensor, Tensor, Tensor]:
    rows = student.shape[:-1]
    loss = student.new_empty(rows, dtype=torch.float32)
    recomputed = save == "nothing" or is_resident(divergence, student, teacher, labels)
    kept = 3 if labels is None else 4
    statistics = student.new_zeros(0 if recomputed else (*rows, kept), dtype=torch.float32)  # a masked row writes none
    gradient = _empty_gradient(student) if save == "gradient" else student.new_empty(0)
    return loss, statistics, gradient


def _empty_gradient(student: Tensor) -> Tensor:
    """Room for the gradient, with rows 16 elements apart at least, so that stores are vectors for any V."""
    *rows, vocabulary = student.shape
    return student.new_empty(*rows, (vocabulary + 15) // 16 * 16)[..., :vocabulary]


def _packed(rows: Tensor | None) -> Tensor | None:
    """One number per row, side by side: a sum's upstream gradient is one number with stride 0."""
    return None if rows is None else rows.contiguous()


def _last_axis_contiguous(logits: Tensor) -> Tensor:
    return logits if logits.stride(-1) == 1 else logits.contiguous()


def _check(student: Tensor, teacher: Tensor) -> None:
    for side, logits in (("student", student), ("teacher", teacher)):
        if logits.dtype not in (torch.float32, torch.bfloat16, torch.float16):
            raise ValueError(
                f"{side}_logits have dtype {logits.dtype}; expected float32, bfloat16 or float16; "
                'the reference takes float64: backend="reference"'
            )
    if student.device.type == "cpu" and isinstance(resident, triton.JITFunction):
        raise ValueError(
            "the logits are on the CPU and Triton was imported without its interpreter; expected a GPU; "
            "set TRITON_INTERPRET=1 in the environment before Python starts to run the kernels on the CPU"
        )
