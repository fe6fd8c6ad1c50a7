"""tinker and ms-swift against ours: each project's loss is written out here from its own definition."""

import pytest
import torch

from kd_lab.methods import dialect_table
from kd_lab.methods.served_dialects import SERVED, ms_swift, ms_swift_advantage, tinker, tinker_off_policy
from kd_lab.where import Corpus, Mixture, StudentRollouts
from kd_lab.worlds import Batch

B, T, V = 3, 5, 7
MASK = torch.arange(T) < torch.tensor([5, 2, 3])[:, None]
BATCH = Batch(torch.randint(1, V, (B, T + 1), generator=torch.Generator().manual_seed(2)), MASK)


def logits(seed):
    return 2 * torch.randn(B, T, V, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


TEACHER, STUDENT = logits(0), logits(1).requires_grad_()


def gradient(loss):
    return torch.autograd.grad(loss, STUDENT, retain_graph=True)[0]


def over_tokens(values):
    return (values * MASK).sum() / MASK.sum()


def advantage_loss(coefficient):
    """−E over the drawn token of advantage · log q, the advantage being coefficient · (log p − log q), as a number."""
    log_p, log_q = TEACHER.log_softmax(-1), STUDENT.log_softmax(-1)
    advantage = coefficient * (log_p - log_q).detach()
    return over_tokens(-(log_q.exp().detach() * advantage * log_q).sum(-1))


@pytest.mark.parametrize("recipe", [tinker(kl_penalty_coef=0.7), ms_swift_advantage(teacher_kl_coef=0.7)], ids=str)
def test_the_log_ratio_as_an_advantage_has_the_gradient_of_reverse_kl(recipe):
    (term,) = recipe.terms
    ours = term.weight * term.how(STUDENT, TEACHER, BATCH)
    torch.testing.assert_close(gradient(ours), gradient(advantage_loss(0.7)))
    assert term.where == StudentRollouts()


def test_with_all_later_tokens_it_is_the_plain_policy_gradient():
    """γ = 1: the advantage of a token is the sum of the log-ratios from it on; 0 ends the sum behind the text."""
    (term,) = tinker(kl_discount_factor=1.0).terms
    log_p, log_q = (side.log_softmax(-1).gather(-1, BATCH.targets[..., None])[..., 0] for side in (TEACHER, STUDENT))
    ratio = ((log_p - log_q) * MASK).detach()
    running, later = torch.zeros(B, dtype=torch.float64), torch.zeros(B, T, dtype=torch.float64)
    for t in reversed(range(T)):
        running = ratio[:, t] + running
        later[:, t] = running
    torch.testing.assert_close(gradient(term.how(STUDENT, TEACHER, BATCH)), gradient(over_tokens(-later * log_q)))


@pytest.mark.parametrize("beta", [0, 0.3, 1])
def test_ms_swift_softens_the_loss_without_t2_and_writes_at_the_same_temperature(beta):
    recipe = ms_swift(beta=beta, lmbda=0.25, temperature=0.9)
    (term,) = recipe.terms
    p, q = (side.div(0.9).softmax(-1) for side in (TEACHER, STUDENT))

    def kl(a, b):
        return (a * (a.log() - b.log())).sum(-1)

    mixture = beta * p + (1 - beta) * q
    theirs = {0: kl(p, q), 1: kl(q, p)}.get(beta, beta * kl(p, mixture) + (1 - beta) * kl(q, mixture))
    ours = term.weight * term.how(STUDENT, TEACHER, BATCH)
    torch.testing.assert_close(ours, over_tokens(theirs))
    torch.testing.assert_close(gradient(ours), gradient(over_tokens(theirs)))
    assert term.where == Mixture(0.25, temperature=0.9)


def test_off_policy_is_forward_kl_on_fixed_texts():
    assert str(tinker_off_policy()) == "tinker, off-policy: logits × forward KL × fixed set"
    assert tinker_off_policy().where == Corpus()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kl_discount_factor": 0.5}, "gradient of no divergence"),
        ({"kl_penalty_coef": 0.0}, "expected a positive weight"),
    ],
)
def test_what_has_no_meaning_here_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        tinker(**settings)
    with pytest.raises(ValueError, match="beta is 2"):
        ms_swift(beta=2)


def test_the_table_lists_them():
    table = dialect_table(SERVED)
    assert len(table.splitlines()) == 2 + len(SERVED)
    assert all(f"`{one.setting}`" in table for one in SERVED)
