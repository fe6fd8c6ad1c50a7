"""The policy gradient against the gradient of the enumerated sequence-level reverse KL."""

import pytest
import torch

from kd_lab.how import Divergence, PolicyGradient
from kd_lab.how.policy_gradient import importance_weights, policy_surrogate
from kd_lab.models import MixtureModel, TabularModel
from kd_lab.worlds import Batch

V, L = 3, 3


def table_model(seed: int) -> TabularModel:
    generator = torch.Generator().manual_seed(seed)
    return TabularModel([torch.randn(V**t, V, generator=generator, dtype=torch.float64) for t in range(L)])


def every_text() -> Batch:
    """All texts of up to L tokens over V symbols, each once: [B, 1 + L], padded with end marks after the first."""
    texts = torch.cartesian_prod(*[torch.arange(V)] * L)
    after_end = (texts == 0).cumsum(1) - (texts == 0).long() > 0
    texts = texts[~((texts != 0) & after_end).any(1)]
    return Batch.from_tokens(torch.cat([torch.zeros(len(texts), 1, dtype=torch.long), texts], 1), end=0)


TEXTS = every_text()


def logp(model: TabularModel) -> torch.Tensor:
    return model(TEXTS.inputs).log_softmax(-1)


def text_logp(model: TabularModel) -> torch.Tensor:
    return logp(model).gather(-1, TEXTS.targets[..., None])[..., 0].where(TEXTS.mask, 0.0).sum(1)


def gradient(loss: torch.Tensor, model: TabularModel) -> torch.Tensor:
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.parameters()), retain_graph=True)])


STUDENT, TEACHER = table_model(0), table_model(1)


def exact() -> torch.Tensor:
    own, other = text_logp(STUDENT), text_logp(TEACHER)
    return gradient((own.exp() * (own - other)).sum(), STUDENT)


def expected(terms: torch.Tensor, drawn_by: torch.nn.Module = STUDENT) -> torch.Tensor:
    """The expectation of Σ_t ∇terms_t over texts that `drawn_by` writes, by enumeration."""
    return gradient((text_logp(drawn_by).exp().detach() * terms.sum(1)).sum(), STUDENT)


def test_the_enumeration_is_complete():
    assert text_logp(STUDENT).exp().sum().item() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("single_step", [True, False])
def test_the_policy_gradient_has_no_bias(single_step):
    terms = policy_surrogate(logp(STUDENT), logp(TEACHER).detach(), TEXTS.targets, TEXTS.mask, single_step=single_step)
    torch.testing.assert_close(expected(terms), exact(), rtol=0, atol=1e-12)


def test_single_step_decomposition_lowers_the_variance():
    spread = []
    for single_step in (True, False):
        terms = policy_surrogate(
            logp(STUDENT), logp(TEACHER).detach(), TEXTS.targets, TEXTS.mask, single_step=single_step
        ).sum(1)
        weights = text_logp(STUDENT).exp().detach()
        samples = torch.stack([gradient(term, STUDENT) for term in terms.unbind()])
        spread.append((weights[:, None] * (samples - exact()) ** 2).sum().item())
    assert spread[0] < 0.7 * spread[1]


def test_token_wise_reverse_kl_on_the_students_texts_is_another_gradient():
    """It drops the future that sequence-level reverse KL has."""
    terms = policy_surrogate(logp(STUDENT), logp(TEACHER).detach(), TEXTS.targets, TEXTS.mask)
    token_wise = expected((logp(STUDENT).exp() * (logp(STUDENT) - logp(TEACHER))).sum(-1).where(TEXTS.mask, 0.0))
    gap = token_wise - exact()
    assert gap.norm() > 0.05 * exact().norm()
    assert (expected(terms) - exact()).norm() < 1e-10


def test_a_kl_that_does_not_look_at_the_drawn_token_is_no_advantage():
    """Its expected policy gradient at its own position is zero, whatever it is."""
    distance = (logp(STUDENT).exp() * (logp(STUDENT) - logp(TEACHER))).sum(-1).detach()
    own = logp(STUDENT).gather(-1, TEXTS.targets[..., None])[..., 0]
    torch.testing.assert_close(
        expected((distance * own).where(TEXTS.mask, 0.0)), torch.zeros_like(exact()), rtol=0, atol=1e-12
    )


def test_length_normalisation_changes_the_objective():
    terms = policy_surrogate(logp(STUDENT), logp(TEACHER).detach(), TEXTS.targets, TEXTS.mask, length_norm=True)
    assert (expected(terms) - exact()).norm() > 1e-3 * exact().norm()


def test_weights_of_whole_texts_are_exact_and_those_of_tokens_are_biased():
    writer = MixtureModel(TEACHER, STUDENT, 0.3)
    batch = Batch(TEXTS.tokens, TEXTS.mask, writer(TEXTS.inputs).gather(-1, TEXTS.targets[..., None])[..., 0].detach())
    own = logp(STUDENT).gather(-1, TEXTS.targets[..., None])[..., 0]
    terms = policy_surrogate(logp(STUDENT), logp(TEACHER).detach(), TEXTS.targets, TEXTS.mask)
    by_text = expected(importance_weights(own, batch, "sequence") * terms, drawn_by=writer)
    torch.testing.assert_close(by_text, exact(), rtol=0, atol=1e-12)
    token_weights = importance_weights(own, batch, "token")
    assert token_weights.max() < 1 / 0.7
    assert (expected(token_weights * terms, drawn_by=writer) - exact()).norm() > 1e-3 * exact().norm()


def test_the_value_is_an_estimate_of_the_kl_and_the_gradient_is_the_surrogates():
    how = PolicyGradient(length_norm=False)
    student_logits = STUDENT(TEXTS.inputs)
    value = how(student_logits, TEACHER(TEXTS.inputs).detach(), TEXTS)
    k1 = (text_logp(STUDENT) - text_logp(TEACHER)).sum() / TEXTS.mask.sum()
    torch.testing.assert_close(value, k1)
    terms = policy_surrogate(logp(STUDENT), logp(TEACHER).detach(), TEXTS.targets, TEXTS.mask)
    torch.testing.assert_close(
        gradient(value, STUDENT), gradient(terms.sum() / TEXTS.mask.sum(), STUDENT), rtol=0, atol=1e-12
    )


def test_on_policy_kl_does_not_differentiate_through_the_sampling():
    """The gradient of the token-wise loss is that of the divergences at fixed prefixes."""
    loss = Divergence("reverse_kl")(STUDENT(TEXTS.inputs), TEACHER(TEXTS.inputs), TEXTS)
    token_wise = (logp(STUDENT).exp() * (logp(STUDENT) - logp(TEACHER).detach())).sum(-1)
    by_hand = token_wise.where(TEXTS.mask, 0.0).sum() / TEXTS.mask.sum()
    torch.testing.assert_close(gradient(loss, STUDENT), gradient(by_hand, STUDENT), rtol=0, atol=1e-9)


def test_what_the_teacher_forbids_behind_the_mask_does_not_reach_the_gradient():
    forbidding = TEACHER(TEXTS.inputs).detach()
    forbidding[~TEXTS.mask] = torch.tensor([0.0, -torch.inf, -torch.inf], dtype=torch.float64)
    value = PolicyGradient()(STUDENT(TEXTS.inputs), forbidding, TEXTS)
    free = PolicyGradient()(STUDENT(TEXTS.inputs), TEACHER(TEXTS.inputs).detach(), TEXTS)
    torch.testing.assert_close(gradient(value, STUDENT), gradient(free, STUDENT))


def test_the_unknown_weight_is_refused():
    with pytest.raises(ValueError, match="importance is 'none'"):
        PolicyGradient(importance="none")


@pytest.mark.parametrize("single_step", [True, False])
def test_half_precision_gets_full_precision_arithmetic(single_step):
    """A log-softmax in bf16 is off by a hundredth, and the future adds such errors up."""
    generator = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(2, 6, 400, generator=generator).bfloat16() for _ in range(2))
    texts = Batch(torch.randint(400, (2, 7), generator=generator), torch.arange(6) < torch.tensor([[6], [4]]))
    how, found = PolicyGradient(single_step=single_step), []
    for dtype in (torch.bfloat16, torch.float64):
        logits = student.to(dtype).requires_grad_()
        value = how(logits, teacher.to(dtype), texts)
        found.append((value, torch.autograd.grad(value, logits)[0]))
    (value, slope), (exact, exact_slope) = found
    assert value.dtype == torch.float32
    torch.testing.assert_close(value.double(), exact, rtol=1e-4, atol=0)
    torch.testing.assert_close(slope, exact_slope.bfloat16(), rtol=2**-7, atol=1e-6)  # the gradient itself is in bf16


def test_the_surrogate_of_log_probabilities_reads_no_masked_position():
    counts = TEXTS.mask[..., None]
    slopes = []
    for own in (logp(STUDENT).detach(), logp(STUDENT).detach().masked_fill(~counts, torch.nan)):
        terms = policy_surrogate(own.requires_grad_(), logp(TEACHER).detach(), TEXTS.targets, TEXTS.mask)
        slopes += torch.autograd.grad(terms.sum(), own)
    torch.testing.assert_close(*slopes)
