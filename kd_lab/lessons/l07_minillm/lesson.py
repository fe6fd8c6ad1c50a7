# %% [markdown]
# # 07 · MiniLLM: the honest reverse-KL policy gradient
#
# After this lesson you can say what on-policy distillation leaves out of the gradient of reverse KL, put it back with an estimate that is right on average, and tell which ways of calming its noise are free and which bend it.

# %% tags=["hide-input"]
import torch

from kd_lab.lessons.l07_minillm.figures import hook_figure, hook_students
from kd_lab.viz import show

torch.set_num_threads(1)  # the tensors here are tiny: a second thread would only wait for the first
show(
    hook_figure(hook_students()),
    "A teacher whose words go two ways, and two small students that cannot follow both. Both were trained with reverse KL on their own texts, with "
    "exact gradients. One opens as the teacher does and gets lost; the other has seen where each opening leads, and takes the road that it can walk.",
    alt="Left, probabilities of the first letter for the teacher and two students: the token-wise student copies the teacher's 40 to 60, the sequence student "
    "takes b nearly always. Right, the share of texts that are words of the language.",
)

# %% [markdown] tags=["card"]
# **You will be able to**
#
# - show that the gradient of on-policy token-wise reverse KL is not that of the sequence's, and name what is missing;
# - write a loss whose gradient is the policy gradient, and test that it is right on average;
# - measure bias and variance of a baseline and of the three devices by which MiniLLM tames the noise, and say when each one pays;
# - tell what k1, k2 and k3 do when they are minimised.
#
# **Before this:** [lesson 00](00_the_map.ipynb) (the chain rule of KL), [lesson 03](03_which_kl.ipynb) (reverse KL); [lesson 06](06_gkd.ipynb), GKD, is the method that this one departs from.
#
# **Time:** 50 minutes to read and do. {{measured}}

# %%
import math

from IPython.display import Markdown, display

from kd_lab.classroom import claim, exercise, predict, quiz, reveal, setup

seed = setup("07", threads=1)

# %% [markdown]
# ## 1 · The future that is left out
#
# A text $y=y_1\dots y_T$ is drawn token by token.
# The teacher gives each next token $p(\cdot\mid y_{<t})$, the student $q_\theta(\cdot\mid y_{<t})$, where $y_{<t}$ is the prefix and $\theta$ the student's weights.
# Write $p_t, q_t$ for short, and $P(y), Q(y)$ for their products over the text.
# By the chain rule,
#
# $$\mathrm{KL}(Q\|P)=\sum_t\;\mathbb E_{\,y_{<t}\sim Q}\big[\mathrm{KL}(q_t\|p_t)\big].$$
#
# $\theta$ enters here twice: through $q_t$, *what is said* at a prefix, and through $y_{<t}\sim Q$, *which prefixes come up*.
# On-policy distillation differentiates the first and holds the second fixed.
# GKD says so openly: it does not backpropagate through sampling, for stability.
# We measure what that costs.
#
# **Our language**, *fork*: words go *ax, axx, axxx, …* or *bxy, bxyxy*.
# The teacher knows which of the two roads it is on.
# The student is a bigram, which sees only the last token: after an *x* it cannot tell.

# %%
predict("07.a")

# %% [markdown]
# **By hand, with three tokens.** Let $q_1=p_1=(\tfrac12,\tfrac12)$ over $a, b$; after *a* the student is right, after *b* the next step costs a KL of 1 nat.
# (The third token ends the text.)
# With $z_b$ the logit of *b*:
#
# | | value | $\partial/\partial z_b$ |
# |---|---|---|
# | $\mathrm{KL}(q_1\|p_1)$ | 0 | 0 |
# | $q(a)\cdot 0+q(b)\cdot 1$, prefixes held fixed | ½ | **0** |
# | the same, prefixes free | ½ | $q(b)\,(1-q(b))$ = **¼** |
#
# The last two rows have the same value, but only the last has a gradient that tells the student to avoid *b*.
#
# **Derive.** Call $r_t=\log p(y_t\mid y_{<t})-\log q(y_t\mid y_{<t})$ the **reward** of a token, so that $\mathrm{KL}(Q\|P)=-\mathbb E_{y\sim Q}\sum_t r_t$.
# Differentiating $\sum_y Q\log\frac QP$ leaves $\sum_y \nabla Q\,\log\frac QP$, since $\sum_y Q\,\nabla\log Q=\nabla\sum_y Q=0$.
# Now $\nabla Q=Q\sum_t\nabla\log q_t(y_t)$, and a token cannot change the rewards before it.
# What remains is
#
# $$\nabla\mathrm{KL}(Q\|P)=\mathbb E_{y\sim Q}\sum_t\Big[\underbrace{\nabla\mathrm{KL}(q_t\|p_t)}_{\text{token-wise}}-\underbrace{\big(\textstyle\sum_{t'>t}r_{t'}\big)}_{\text{future return}}\nabla\log q_t(y_t)\Big].$$

# %%
reveal("07.a")

# %% [markdown]
# ### Exercise 07.1 · The future return (●○○, 6 minutes)
#
# `rewards` is `[B, T]`, one row per text; `mask` is True up to and including the end of each text. Return, for each position, the sum of the rewards *after* it.


# %%
@exercise("07.1")
def future_return(rewards, mask):
    """Σ of the rewards after each position, 0 at padding: [B, T], [B, T] -> [B, T]."""
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# What is the future return of the last token of a text? And may the numbers in the padding of a short text count?
#
# </details>
# <details><summary>Hint 2</summary>
#
# `cumsum(1)` runs from left to right. `flip(1)` turns a row around. `rewards.where(mask, 0.0)` empties the padding.
#
# </details>

# %% [markdown] tags=["solution:07.1"]
# solution

# %% [markdown]
# **Experiment.** *fork* has so few texts that every expectation is a sum.
# The next cell writes down the two terms of the gradient, one number per position of every text.

# %%
from kd_lab.how import reverse_kl
from kd_lab.lessons.l07_minillm.fork import STAGES, TEACHER_LOGP, TEXTS, chosen


def token_terms(student_logp):
    return reverse_kl(student_logp, TEACHER_LOGP).where(TEXTS.mask, 0.0)


def rewards_of(student_logp):
    return (chosen(TEACHER_LOGP) - chosen(student_logp)).detach()


def after(rewards):
    return torch.as_tensor(future_return(rewards.detach().clone(), TEXTS.mask))


def future_terms(student_logp):
    return -after(rewards_of(student_logp)) * chosen(student_logp)


# %% [markdown]
# For ten students we compute the exact gradient, the token-wise one, and the term that your function supplies.
# Each is taken at three stages: *fresh*; *word-level*, after word-level training; and *committed*, after twenty more steps on the sequence's reverse KL.

# %% tags=["hide-input"]
from kd_lab.lessons.l07_minillm.fork import measure, sequence_loss, student_at, token_loss
from kd_lab.measure import gradient_angle, gradient_of

numbers = range(seed, seed + 10)
students = {stage: [student_at(stage, number) for number in numbers] for stage in STAGES}
exact = {stage: [gradient_of(sequence_loss(s), s) for s in group] for stage, group in students.items()}
token_wise = {stage: [gradient_of(token_loss(s), s) for s in group] for stage, group in students.items()}

cosines = {k: [gradient_angle(t, e) for t, e in zip(token_wise[k], exact[k], strict=True)] for k in STAGES}
lengths = {k: [(t.norm() / e.norm()).item() for t, e in zip(token_wise[k], exact[k], strict=True)] for k in STAGES}
for student, whole in zip(students["word-level"], exact["word-level"], strict=True):
    parts = [measure(lambda _, terms=terms: (terms, None), student).moments[0] for terms in (token_terms, future_terms)]
    assert (sum(parts) - whole).norm() < 1e-5 * whole.norm()  # nothing else is missing

display(Markdown(
    f"{len(TEXTS):,} texts. Token-wise against exact gradient, the first five students:\n\n| | cosine | length ratio |\n|---|---|---|\n"
    + "\n".join(
        f"| {k} | {', '.join(f'{c:.2f}' for c in cosines[k][:5])} | {', '.join(f'{r:.2f}' for r in lengths[k][:5])} |"
        for k in STAGES[:2]
    )
))  # fmt: skip
claim(
    "C07a",
    "The gradient of on-policy token-wise reverse KL is not that of the sequence's reverse KL: it points elsewhere.",
    cosines["word-level"],
    unit="cosine between the two, after word-level training",
    below=0.9,
)
claim(
    "C07a",
    "The token-wise gradient is shorter than that of the sequence's reverse KL.",
    lengths["word-level"],
    unit="of the exact gradient's length, after word-level training",
    below=0.7,
)
# %% [markdown]
# The future-return term is the whole difference: with it added, the sum equals the exact gradient, as the cell asserts.
#
# So the two gradients point different ways.
# After word-level training the token-wise one is also the shorter; for a fresh student it is the longer.
# Does it matter in the end?
# We now follow both exactly, without any sampling, with two kinds of student: the bigram, and a table with a row for every prefix, which *can* equal its teacher.

# %%
predict("07.b")

# %% tags=["hide-input"]
from tqdm.auto import tqdm

from kd_lab.lessons.l07_minillm.figures import paths_figure
from kd_lab.lessons.l07_minillm.fork import descend, new_table

paths = {}
for kind, make in (("bigram", lambda number: student_at("word-level", number)), ("table", new_table)):
    for name, loss in (("token-wise", token_loss), ("sequence", sequence_loss)):
        starts = tqdm(numbers[:3], desc=f"{kind}, {name}", leave=False)
        paths[kind, name] = torch.tensor([descend(make(number), loss, steps=120) for number in starts])
show(
    paths_figure(paths),
    "Three seeds each, exact gradients. Left, linear scale: the token-wise gradient stops where the exact one has hardly begun. Right, logarithmic scale: a student "
    "that can copy every conditional needs no foresight.",
    alt="KL against steps. Left panel: token-wise curves stay flat just under 2 nats, sequence curves fall below 1. Right panel: all curves fall together.",
)
reveal("07.b")
claim(
    "C07a",
    "A student that cannot be its teacher ends further from it by the token-wise gradient.",
    paths["bigram", "token-wise"][:, -1] - paths["bigram", "sequence"][:, -1],
    unit="nats of KL(Q‖P) more than by the exact gradient",
    above=0.5,
)
claim(
    "C07a",
    "For a student that can be its teacher, the missing term does no harm in the end.",
    paths["table", "token-wise"][:, -1],
    unit="nats of KL(Q‖P) left",
    below=0.01,
)
# %% [markdown]
# ## 2 · Put it back, and pay in noise
#
# When there are too many texts to list, the expectation becomes an average over texts that are drawn.
# The plain **policy gradient** (REINFORCE) samples all of it:
#
# $$\nabla\mathrm{KL}(Q\|P)=-\,\mathbb E_{y\sim Q}\sum_t R_t\,\nabla\log q_t(y_t),\qquad R_t=\sum_{t'\ge t}r_{t'}.$$
#
# $R_t$ is the **return** from position $t$ on, its own reward included.
# An autograd framework wants a loss.
# A loss with this gradient, a **surrogate**, is easy to get wrong in ways that still seem to train.

# %%
predict("07.c")

# %% [markdown]
# ### Exercise 07.2 · A loss for the policy gradient (●●●, 12 minutes)
#
# The student wrote `tokens` `[B, T]`; both log-probabilities are `[B, T, V]`. Return one number, the mean over texts, whose *gradient* estimates $\nabla\mathrm{KL}(Q\|P)$ as above. The check looks at the gradient and ignores the value. Your `future_return` may help.


# %%
@exercise("07.2")
def policy_loss(student_logp, teacher_logp, tokens, mask):
    """A number whose gradient estimates ∇KL(Q‖P): [B, T, V], [B, T, V], [B, T], [B, T] -> []."""
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# On which factor of the formula does the ∇ act, and on which not? `gather(-1, tokens[..., None]).squeeze(-1)` picks the drawn tokens.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `detach()` cuts a tensor off from the graph. Rewards are constants, $\log q_t(y_t)$ is not. Which sign makes the loss fall when a token with a large return becomes likelier?
#
# </details>

# %% [markdown] tags=["solution:07.2"]
# solution

# %% [markdown]
# The library's `policy_surrogate` gives the same gradient, term by term, and is what we use from here on.
# Two tests follow.
# Listing: the expectation over all texts must *equal* the exact gradient.
# Sampling: the average over texts that the student really writes must come close to it.

# %%
from kd_lab.how.policy_gradient import policy_surrogate


def surrogate(single_step=False, length_norm=False):
    texts = TEACHER_LOGP, TEXTS.targets, TEXTS.mask
    return lambda logp: policy_surrogate(logp, *texts, single_step, length_norm)


student = students["word-level"][0]
some = torch.arange(0, len(TEXTS), 7)
logp = student(TEXTS.inputs).log_softmax(-1)
by_hand = policy_loss(logp[some], TEACHER_LOGP[some], TEXTS.targets[some], TEXTS.mask[some])
by_library = surrogate()(logp)[some].sum(1).mean()
torch.testing.assert_close(
    gradient_of(by_hand, student, retain_graph=True),
    gradient_of(by_library, student), rtol=1e-4, atol=1e-6,
)  # fmt: skip

# %% tags=["hide-input"]
from kd_lab.lessons.l07_minillm.fork import fork, teacher
from kd_lab.where import rollout

world = fork.world(rows=2000, seed=seed)


def alone(terms):
    """An estimator whose texts the student writes alone."""
    return lambda student: (terms, None)


def measure_all(estimator):
    return {stage: [measure(estimator, one) for one in students[stage]] for stage in STAGES}


plain = measure_all(alone(surrogate()))
direction, along = exact["word-level"][0], []
for number in range(20):
    generator = torch.Generator().manual_seed(seed + number)
    batch = rollout(student, world, world.prompts(8192, generator), generator)
    p = teacher(batch.inputs).detach().where(batch.mask[..., None], 0.0)
    loss = policy_loss(student(batch.inputs).log_softmax(-1), p, batch.targets, batch.mask)
    along.append((gradient_of(loss, student) @ direction / direction.square().sum()).item())
claim(
    "C07b",
    "The policy gradient has no bias: over all texts its expectation is the exact gradient.",
    max(one.bias for group in plain.values() for one in group),
    unit="relative deviation, the largest of 30 students",
    holds=max(one.bias for group in plain.values() for one in group) < 1e-10,
)
claim(
    "C07b",
    "The average of the policy gradient over sampled texts comes close to the exact gradient.",
    along,
    unit="of the exact gradient, along its direction, 8,192 texts per seed",
    above=0.9,
    below=1.1,
)
spread = plain["word-level"][0].variance ** 0.5
reveal("07.c", spread=spread, texts=spread**2)

# %% [markdown]
# ### Single-step decomposition
#
# The first term of the return $R_t$, the reward $r_t$, need not be sampled: its expectation over $y_t$ is a sum over $V$ tokens, and both distributions are at hand.
# That is the decomposition of section 1: exact $\nabla\mathrm{KL}(q_t\|p_t)$ now, sampled rewards later.
# Nothing in it is approximate, so there is no bias.
# One sampled part has become its expectation. What does that do to the variance?
#
# **A trap.** If the exact KL is at hand, why not make it the reward, $-\mathrm{KL}(q_t\|p_t)$ in place of $r_t$, and hand it to a library for reinforcement learning as the advantage of token $y_t$?
# Because it does not depend on $y_t$.
# Any number $c$ that is the same for all tokens of a position drops out:
#
# $$\mathbb E_{y_t\sim q_t}[c\,\nabla\log q_t(y_t)]=c\,\nabla\textstyle\sum q_t=0.$$
#
# From such an advantage the student learns nothing at position $t$.
# As a reward *for earlier tokens*, though, $-\mathrm{KL}(q_t\|p_t)$ is sound.
# The table further down calls that *exact future*: no reward is sampled, only the texts are.

# %%
predict("07.d")


# %%
def exact_future(student_logp):
    """KL(q‖p) now, and KL(q‖p) at the later prefixes in place of the sampled rewards."""
    gaps = token_terms(student_logp)
    return gaps + after(gaps) * chosen(student_logp)


def useless_advantage(student_logp):
    return token_terms(student_logp).detach() * chosen(student_logp)


# %% tags=["hide-input"]
single = measure_all(alone(surrogate(single_step=True)))
everywhere = measure_all(alone(exact_future))
useless = measure_all(alone(useless_advantage))


def ratio(one, other, *stages):
    """Variance of one estimator in units of another's, for each student of these stages (all by default)."""
    pairs = ((a, b) for k in stages or STAGES for a, b in zip(one[k], other[k], strict=True))
    return [a.variance / b.variance for a, b in pairs]


def worst_ratio(one, other):
    """The largest of the three stages' ratios, for each number."""
    return [max(stages) for stages in zip(*(ratio(one, other, k) for k in STAGES), strict=True)]


def largest_bias(estimator):
    return max(one.bias for group in estimator.values() for one in group)


assert largest_bias(single) < 1e-10
assert largest_bias(everywhere) < 1e-5
assert all(one.moments[0].norm() < 1e-10 * one.truth.norm() for group in useless.values() for one in group)
fresh, word, late = (ratio(single, plain, stage) for stage in STAGES)
early = [max(pair) for pair in zip(fresh, word, strict=True)]
reveal("07.d", late=sum(late) / len(late))
claim(
    "C07c",
    "Single-step decomposition lowers the variance for students far from their optimum.",
    early,
    unit="of the plain variance, at the stage of the two where it gains least",
    below=1,
)
claim(
    "C07c",
    "Single-step decomposition raises the variance for a committed student.",
    late,
    unit="of the plain variance",
    above=1,
)
claim(
    "C07c",
    "The exact future lowers the variance further for students that are far away.",
    ratio(everywhere, single, "word-level"),
    unit="of the single-step variance (word-level students)",
    below=1,
)
# %% [markdown]
# Single step and exact future are both free of bias, as the cell asserts.
#
# ### A baseline: less noise for nothing
#
# The identity behind the trap is also a gift.
# If any number $c$ drops out, we may *subtract* any number from the return, as long as it does not depend on $y_t$:
#
# $$\mathbb E\,\big[(R_t-b_t)\,\nabla\log q_t(y_t)\big]=\mathbb E\,\big[R_t\,\nabla\log q_t(y_t)\big].$$
#
# Such a $b_t$ is called a **baseline**.
# The simplest is the mean return of all texts that reach position $t$: a token is then praised for doing *better than usual*, and not merely for a return above zero.


# %%
def mean_by_position(returns, student_logp):
    """E[return | the text gets to t] for each position t, under the student: [S, L] -> [L]."""
    weight = chosen(student_logp).detach().sum(1).exp()[:, None] * TEXTS.mask
    return (weight * returns).sum(0) / weight.sum(0)


def with_baseline(student_logp, returns, now=0.0):
    better = returns - mean_by_position(returns, student_logp)
    return (now - better * chosen(student_logp)).where(TEXTS.mask, 0.0)


def plain_baseline(logp):
    return with_baseline(logp, rewards_of(logp) + after(rewards_of(logp)))


def single_baseline(logp):
    return with_baseline(logp, after(rewards_of(logp)), now=token_terms(logp))


def exact_baseline(logp):
    return with_baseline(logp, -after(token_terms(logp)), now=token_terms(logp))


# %% tags=["hide-input"]
based = {
    "plain": measure_all(alone(plain_baseline)),
    "single step": measure_all(alone(single_baseline)),
    "exact future": measure_all(alone(exact_baseline)),
}
assert max(largest_bias(estimator) for estimator in based.values()) < 1e-5
claim(
    "C07c",
    "A baseline, the mean return at each position, lowers the variance of the plain policy gradient at every stage.",
    worst_ratio(based["plain"], plain),
    unit="of the plain variance, at the stage where it gains least",
    below=1,
)
claim(
    "C07c",
    "A baseline lowers the variance of the single-step estimate at every stage too.",
    worst_ratio(based["single step"], single),
    unit="of the single-step variance, at the stage where it gains least",
    below=1,
)
claim(
    "C07c",
    "Exact future and baseline together leave a word-level student less than half of the plain variance, without bias.",
    ratio(based["exact future"], plain, "word-level"),
    unit="of the plain variance",
    below=0.5,
)
# %% [markdown]
# In training the mean is taken over the *other* texts of the batch, so that the baseline does not depend on the token that it judges.
#
# ## 3 · Two tamers that bend
#
# The equations of MiniLLM have no baseline but the 1 in $R_t-1$ of equation 2, which comes from the derivative and drops out on average.
# Beside single-step decomposition it calms the noise in two other ways; these are its three *tamers*.
#
# **Length normalisation.** Rewards are negative on average, so long texts collect low returns and short ones look good.
# MiniLLM (equation 6) divides the *future* return by the number of tokens that it sums over, and leaves the immediate term as it is.
# One can also divide the *whole* return $R_t$, own reward included, as our `policy_surrogate(single_step=False, length_norm=True)` does.
# Both change the objective: no amount of sampling undoes that.
# The table below shows both.


# %%
def future_normalised(logp):
    """Own reward + mean of the later ones: equation 6 with the immediate term sampled."""
    rewards, mask = rewards_of(logp), TEXTS.mask
    later = mask.flip(1).cumsum(1).flip(1) - 1  # tokens after each position
    return (-(rewards + after(rewards) / later.clamp_min(1)) * chosen(logp)).where(mask, 0.0)


whole_normalised = surrogate(single_step=False, length_norm=True)

# %% [markdown]
# **Teacher-mixed sampling.** A student that is lost writes texts from which little can be learned, or finds texts that fool the teacher.
# MiniLLM therefore draws each token from a mixture in which the teacher has a share $\alpha=0.2$:
#
# $$\tilde p_t=\alpha\,p_t+(1-\alpha)\,q_t.$$
#
# So that the expectation is still over the *student's* texts, each term is multiplied by an **importance weight**, a product of factors $w_t=q_t(y_t)/\tilde p_t(y_t)$.
# There are three choices:
#
# | weight of the term $r_{t'}\nabla\log q_t(y_t)$ | | |
# |---|---|---|
# | text | $\prod_{s\le T} w_s$ | exact |
# | per decision | $\prod_{s\le t'} w_s$ | exact too: what is drawn after $t'$ cannot have changed $r_{t'}$ |
# | token (MiniLLM's) | $w_t$, of the token being judged | below $1/(1-\alpha)$; ignores how the prefix and the rest came about |
#
# **By hand.** $q=\tfrac12$, $p=\tfrac14$, $\alpha=0.2$: $\tilde p=0.05+0.40=0.45$, so $w=0.5/0.45\approx1.11$.
#
# ### Exercise 07.3 · The weight of a token that two have drawn (●●○, 7 minutes)
#
# Compute $w_t$ from $\log q$ and $\log p$ of drawn tokens.
# A log-probability of the teacher may be `-inf`.
# The weight carries no gradient.


# %%
@exercise("07.3")
def token_weight(student_logp, teacher_logp, share):
    """q/p̃ of drawn tokens, where p̃ = share·p + (1 − share)·q: [B, T], [B, T] -> [B, T]."""
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Over whose tokens do you want the average, and who drew them? The first is the numerator.
#
# </details>
# <details><summary>Hint 2</summary>
#
# A mixture adds probabilities. `torch.logaddexp(a, b)` is $\log(e^a+e^b)$, and a factor in front of a probability is a summand of its logarithm.
#
# </details>

# %% [markdown] tags=["solution:07.3"]
# solution

# %%
from kd_lab.models import MixtureModel

SHARE = 0.2


def log_factors(student):
    """log w of every token of every text, and the writer that draws them."""
    writer = MixtureModel(teacher, student, SHARE)
    with torch.no_grad():
        own = chosen(student(TEXTS.inputs).log_softmax(-1))
        return own - chosen(writer(TEXTS.inputs)), writer


def mixed(terms, kind="token"):
    def for_student(student):
        factors, writer = log_factors(student)
        weights = (factors if kind == "token" else factors.sum(1, keepdim=True)).exp()
        return (lambda logp: weights * terms(logp)), writer

    return for_student


# %% [markdown]
# Per decision, each reward carries the factors up to its own token:


# %%
def per_decision(student):
    factors, writer = log_factors(student)
    weights = factors.cumsum(1).exp().where(TEXTS.mask, 0.0)

    def terms(logp):
        rewards = weights * rewards_of(logp)
        return -(rewards + after(rewards)) * chosen(logp)

    return terms, writer


# %% tags=["hide-input"]
from kd_lab.how.policy_gradient import importance_weights
from kd_lab.worlds import Batch

with torch.no_grad():  # your weights are the library's, and those of the cell above
    q = chosen(student(TEXTS.inputs).log_softmax(-1))
    drawn = Batch(TEXTS.tokens, TEXTS.mask, chosen(MixtureModel(teacher, student, SHARE)(TEXTS.inputs)))
    yours = torch.as_tensor(token_weight(q, chosen(TEACHER_LOGP), SHARE)).where(TEXTS.mask, 1.0)
    close = {"check_dtype": False, "rtol": 1e-5, "atol": 1e-6}
    torch.testing.assert_close(yours, importance_weights(q, drawn, "token"), **close)
    text_weights = importance_weights(q, drawn, "sequence")
print(f"Token weights lie between {yours.min():.3f} and {yours.max():.3f}, below 1/(1 − α) = 1.25.")
print(f"Text weights lie between {text_weights.min():.3f} and {text_weights.max():.3f}.")

minillm_terms = surrogate(single_step=True, length_norm=True)
measured = {
    "plain": plain,
    "plain, baseline": based["plain"],
    "single step": single,
    "single step, baseline": based["single step"],
    "exact future": everywhere,
    "exact future, baseline": based["exact future"],
    "whole return ÷ length": measure_all(alone(whole_normalised)),
    "future ÷ length": measure_all(alone(future_normalised)),
    "single step, future ÷ length": measure_all(alone(minillm_terms)),
    "mix, token weights": measure_all(mixed(surrogate())),
    "mix, text weights": measure_all(mixed(surrogate(), "text")),
    "mix, per decision": measure_all(per_decision),
    "MiniLLM": measure_all(mixed(minillm_terms)),
    "token-wise": measure_all(alone(token_terms)),
}

# %% [markdown]
# **Explore.** Each dot is one estimate, the mean over $N$ texts.
# The cross is zero; the star is the exact gradient, at a distance of 1 from it.
# Where the cloud *sits* shows the bias, how *wide* it is shows the variance; at small $N$ many dots lie outside the picture.
# Hold the arrow key on $N$, then change the estimator.

# %% tags=["hide-input"]
from kd_lab.lessons.l07_minillm.explorers import cloud_explorer

firsts = {(stage, name): estimator[stage][0] for stage in STAGES for name, estimator in measured.items()}
cloud = cloud_explorer(firsts, {stage: token_wise[stage][0] for stage in STAGES}, seed)
cloud.show()

# %% tags=["hide-input"]
cloud.filmstrip([{}, "quiet without bias", "MiniLLM, 32 texts", "MiniLLM, 2048 texts"])

# %% [markdown]
# Unbiased clouds shrink onto the star.
# Biased ones shrink onto a point beside it, and their error curve flattens out at the dotted line.
# Where the curves cross, the biased estimate stops being the better one.
# The table averages over the ten students of each stage; bias is in units of the exact gradient, variance in units of the plain one's.

# %% tags=["hide-input"]
from kd_lab.measure import mean_interval

lines = []
for name, estimator in measured.items():
    cells = []
    for k in STAGES:
        bias = sum(one.bias for one in estimator[k]) / len(numbers)
        variance, half_width = mean_interval(ratio(estimator, plain, k))
        said = "1" if name == "plain" else f"{variance:.2f} ± {half_width:.2f}"
        cells.append(f"{'0' if bias < 1e-5 else f'{bias:.2f}'} | {said}")
    lines.append(f"| {name} | " + " | ".join(cells) + " |")
header = "| estimator |" + "".join(f" {k}: bias | variance |" for k in STAGES) + "\n|---|" + "---|---|" * 3 + "\n"
display(Markdown(header + "\n".join(lines)))


# %% tags=["hide-input"]
def biases(name):
    """The least of the three stages' biases, for each number."""
    return [min(one.bias for one in stages) for stages in zip(*measured[name].values(), strict=True)]


for name, what in (("future ÷ length", "future"), ("whole return ÷ length", "whole return")):
    claim(
        "C07d",
        f"Dividing the {what} by its length lowers the variance, at every stage.",
        worst_ratio(measured[name], plain),
        unit="of the plain variance, at the stage where it gains least",
        below=1,
    )
    claim(
        "C07d",
        f"Dividing the {what} by its length changes the objective: its bias is no small part of the gradient.",
        biases(name),
        unit="of the exact gradient's length, at the stage where it is least",
        above=0.1,
    )

# %% tags=["hide-input"]
token, text, decision = (measured[f"mix, {kind}"] for kind in ("token weights", "text weights", "per decision"))
assert largest_bias(text) < 1e-10
assert largest_bias(decision) < 1e-5
claim(
    "C07e",
    "Teacher-mixed sampling with MiniLLM's token weights has a bias.",
    biases("mix, token weights"),
    unit="of the exact gradient's length, at the stage where it is least",
    above=0.05,
)
claim(
    "C07e",
    "Token weights lower the variance a little for a word-level student.",
    ratio(token, plain, "word-level"),
    unit="of the plain variance",
    below=1,
)
claim(
    "C07e",
    "Token weights raise the variance for a committed student.",
    ratio(token, plain, "committed"),
    unit="of the plain variance",
    above=1,
)
claim(
    "C07e",
    "Text weights raise the variance for a word-level student.",
    ratio(text, plain, "word-level"),
    unit="of the plain variance",
    above=1,
)
claim(
    "C07e",
    "Text weights lower the variance for a committed student.",
    ratio(text, plain, "committed"),
    unit="of the plain variance",
    below=1,
)
claim(
    "C07e",
    "Weights per decision are exact as well, and their variance is lower than that of text weights.",
    worst_ratio(decision, text),
    unit="of the variance with text weights, at the stage where they gain least",
    below=1,
)

# %% [markdown]
# Text weights and weights per decision have no bias.
# A committed student rarely writes what it has given up, and those rare texts carry large returns.
# The mixture draws them more often, with a smaller weight: at this stage exact weights pay.
# At the earlier stages they add the noise of a product of ratios.

# %% tags=["hide-input"]
tamed, free = measured["MiniLLM"], measured["exact future, baseline"]
missed = [(one.bias**2, base.variance - one.variance) for one, base in zip(tamed["word-level"], plain["word-level"], strict=True)]  # fmt: skip
claim(
    "C07e",
    "MiniLLM's three tamers together cut the variance to less than half.",
    ratio(tamed, plain, "word-level"),
    unit="of the plain variance (word-level students)",
    below=0.5,
)
claim(
    "C07e",
    "With 32 texts MiniLLM's estimate is nearer to the exact gradient than the plain one; with 200 it no longer is.",
    [gain / bias for bias, gain in missed],
    unit="texts, beyond which the plain estimate is nearer (word-level students)",
    above=32,
    below=200,
)
claim(
    "C07e",
    "For a word-level student, exact future and baseline are quieter than MiniLLM, and have no bias.",
    ratio(free, tamed, "word-level"),
    unit="of MiniLLM's variance",
    below=1,
)
claim(
    "C07e",
    "For a committed student, MiniLLM is quieter than exact future and baseline.",
    ratio(free, tamed, "committed"),
    unit="of MiniLLM's variance",
    above=1,
)
# %% [markdown]
# So less noise need not be paid for with bias.
# Compared with the *plain* estimate, MiniLLM looks like a bargain for small batches.
# Compared with *exact future, baseline*, for a word-level student, it is no bargain at any batch size: noisier, and biased too.
# For a fresh student the two are level within their intervals; for a committed one MiniLLM is calmer than every unbiased estimate of this table.
#
# ## 4 · k1, k2, k3: readings that are taken for losses
#
# Three numbers estimate $\mathrm{KL}(q\|p)$ from one token $x\sim q$.
# With $r=\log p(x)-\log q(x)$:
#
# $$k_1=-r,\qquad k_2=\tfrac12r^2,\qquad k_3=e^r-1-r.$$
#
# $k_1$ and $k_3$ are unbiased, and $k_3$ is never negative.
# $k_2$ is the leading term of $k_3$ for small $r$.
# All three were proposed as *readings*, for logs; first, how well do they read?

# %% [markdown]
# ### Exercise 07.4 · Three estimators (●○○, 5 minutes)
#
# Compute all three from the log-probabilities of drawn tokens, $x\sim q$, under student and teacher.


# %%
@exercise("07.4")
def estimators(student_logp, teacher_logp):
    """(k1, k2, k3) of tokens x ~ q, from log q(x) and log p(x): [N], [N] -> three [N], in nats."""
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Name the log-ratio once, $r=\log p-\log q$, and write all three with it.
#
# </details>
# <details><summary>Hint 2</summary>
#
# The mean of $p/q$ over the student's tokens is 1; that of $q/p$ is not. `torch.expm1(r)` is $e^r-1$ without loss of digits.
#
# </details>

# %% [markdown] tags=["solution:07.4"]
# solution


# %%
def readings(student):
    """For k1, k2, k3: how often negative; mean and spread in units of the true KL per token."""
    with torch.no_grad():
        logp = student(TEXTS.inputs).log_softmax(-1)
        weight = chosen(logp).sum(1).exp()[:, None] * TEXTS.mask
        weight = weight / weight.sum()  # over all tokens that the student writes
        both = chosen(logp), chosen(TEACHER_LOGP)
        rows = estimators(*(one.flatten() for one in both))
        rows = torch.stack([*map(torch.as_tensor, rows)]).reshape(3, *both[0].shape)
        true = (weight * token_terms(logp)).sum()
        mean = (weight * rows).sum((1, 2))
        spread = ((weight * rows.square()).sum((1, 2)) - mean.square()).sqrt()
        negative = (weight * (rows < -1e-12)).sum((1, 2))
    return torch.stack([negative, mean / true, spread / true])


# %% tags=["hide-input"]
read = {stage: torch.stack([readings(one) for one in students[stage]]).double() for stage in STAGES}
lines = []
for stage in STAGES:
    for place, name in enumerate(("k1", "k2", "k3")):
        negative, mean, spread = read[stage].mean(0)[:, place]
        lines.append(f"| {stage} | {name} | {negative:.0%} | {mean:.2f} | {spread:.1f} |")
header = "| student | | negative | mean ÷ KL | spread of one token ÷ KL |\n|---|---|---|---|---|\n"
display(Markdown(header + "\n".join(lines)))
claim(
    "C07f",
    "k2 reads far too much on a word-level student: its mean is nearly twice the KL.",
    read["word-level"][:, 1, 1],
    unit="of the KL per token",
    above=1.5,
)
claim(
    "C07f",
    "k2 is not the calm one: on a word-level student it is noisier than k1.",
    read["word-level"][:, 2, 1] / read["word-level"][:, 2, 0],
    unit="of k1's spread",
    above=1,
)
claim(
    "C07f",
    "k3 is calmer than k1 on a word-level student.",
    read["word-level"][:, 2, 2] / read["word-level"][:, 2, 0],
    unit="of k1's spread",
    below=1,
)
claim(
    "C07f",
    "k3 is noisier than k1 on a committed student.",
    read["committed"][:, 2, 2] / read["committed"][:, 2, 0],
    unit="of k1's spread",
    above=1,
)
# %% [markdown]
# How often $k_1$ is negative depends on the student, and so does which reading has the smallest spread.
# Only near $q=p$ is $k_2$ certain to read well.
# $k_3$ suffers from tokens with $p\gg q$: those that a committed student has given up and still draws now and then.
#
# It is tempting to *minimise* such readings.

# %%
predict("07.e")

# %% [markdown]
# **Derive.** In a loss the sample is held fixed while we differentiate, so $\nabla r=-\nabla\log q(x)$.
# For any function $k(r)$ the expected gradient is $-\sum_x q(x)\,k'(r)\,\nabla\log q(x)$:
#
# | | $k'(r)$ | expected gradient |
# |---|---|---|
# | $k_1$ | $-1$ | $\sum q\,\nabla\log q=0$ |
# | $k_2$ | $r$ | $-\sum q\,r\,\nabla\log q=\nabla\mathrm{KL}(q\|p)$ |
# | $k_3$ | $e^r-1$ | $-\sum q\,\tfrac pq\nabla\log q=-\sum p\,\nabla\log q=\nabla\mathrm{KL}(p\|q)$ |
#
# The next cell computes these sums for five random pairs of distributions, with the library's estimators, which yours must equal.

# %%
from kd_lab.how import forward_kl, k1, k2, k3

off = []
for number in range(5):
    generator = torch.Generator().manual_seed(seed + number)
    z = torch.randn(8, generator=generator, dtype=torch.float64).requires_grad_()
    p = torch.randn(8, generator=generator, dtype=torch.float64).log_softmax(-1)
    q = z.log_softmax(-1)
    for mine, library in zip(estimators(q.detach(), p), (k1, k2, k3), strict=True):
        torch.testing.assert_close(torch.as_tensor(mine), library(q.detach(), p), **close)

    def gradient(loss, of=z):
        return torch.autograd.grad(loss, of, retain_graph=True)[0]

    reverse, forward = gradient(reverse_kl(q, p)), gradient(forward_kl(q, p))
    for reading, wanted in ((k1, 0 * reverse), (k2, reverse), (k3, forward)):
        expected = gradient((q.exp().detach() * reading(q, p)).sum())
        off.append(((expected - wanted).norm() / reverse.norm()).item())

# %% tags=["hide-input"]
claim(
    "C07f",
    "As losses on the student's samples, k1 has an expected gradient of zero, k2 that of reverse KL, k3 that of forward KL.",
    max(off),
    unit="relative deviation, the largest of 15",
    holds=max(off) < 1e-12,
)
reveal("07.e")

# %% [markdown]
# **A popular trap.** The KL penalty of GRPO (Shao et al. 2024, equation 4) is $k_3$, put into the loss, and several libraries followed.
# It *reads* as reverse KL to the reference model and *pulls* as forward KL.
# That is a sensible penalty, but not the one that is logged.
# OpenRLHF offers a [correction](https://github.com/OpenRLHF/OpenRLHF/pull/1309); TRL [offered one](https://github.com/huggingface/trl/pull/4638) and then made it the [default](https://github.com/huggingface/trl/pull/6503).
#
# To see the difference, take a student with two weights, the mean and the log-width of a bell over 41 tokens.
# It learns from 256 of its own tokens per step.

# %%
from kd_lab.lessons.l07_minillm.figures import HILLS, bell, bells_figure

learned = {}
for reading in (k1, k2, k3):
    weights = torch.tensor([[3.0 * (-1) ** i, 0.7] for i in range(4)], dtype=torch.float64)
    optimizer = torch.optim.Adam([weights.requires_grad_()], lr=0.03)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(400):
        logq = bell(weights)
        x = torch.multinomial(logq.detach().exp(), 256, replacement=True, generator=generator)
        optimizer.zero_grad()
        reading(logq.gather(1, x), HILLS[x]).mean(1).sum().backward()
        optimizer.step()
    learned[reading.__name__] = bell(weights).detach().exp()

# %% tags=["hide-input"]
show(
    bells_figure(learned),
    "Four students each, two of which begin over each hill. k1 drifts without aim. k2 settles on the hill where it began and leaves the other: reverse KL. k3 "
    "spreads over both: forward KL, whatever its reading says.",
    alt="Three panels with a two-hilled teacher. Students trained on k1 are scattered bells, on k2 narrow bells on one hill, on k3 wide bells over both.",
)

# %% [markdown]
# ### In the wild
#
# Equation 6 divides the future return; the [authors' code](https://github.com/microsoft/LMOps/blob/main/minillm/minillm/losses.py) divides the whole one, then *whitens* it over the batch.
# Whitening subtracts a mean, one for all positions: a baseline of the batch that the equations do not mention.
# In [TRL's `MiniLLMConfig`](https://huggingface.co/docs/trl/main/en/minillm_trainer) the discount of future rewards, `gamma`, is **0 by default**: no future counts, and what remains is token-wise.
# [TorchRL's `DistillationLoss`](https://docs.pytorch.org/rl/main/reference/generated/torchrl.objectives.llm.DistillationLoss.html) goes in the direction "reverse" by default, as $k_3$ per token with no gradient through the sampling: by the table above it descends *forward* KL on the student's prefixes.
# What does not carry over from our toy: exact expectations, texts of five tokens, students of 25 weights; MiniLLM's models have 120M to 13B.

# %% [markdown]
# ## 5 · Does it pay?
#
# Back to *fork*, now without exact gradients.
# Five bigrams, trained at word level first, go on for 150 steps of 32 texts by eight recipes, each from the same start.
# The yardstick is exact: KL(Q‖P) over all texts, the objective of the three unbiased recipes, for which the length-normalised ones stand in.
# The trainer divides by the batch's number of tokens, not of texts as in exercise 07.2: a common factor, up to a bias of order $1/N$.
# The baseline is a HOW that the library does not have; `WithBaseline`, a short class in this lesson's folder, adds it.
# Recall section 3: at 32 texts MiniLLM's estimate is nearer to the exact gradient than the plain one.

# %%
predict("07.f")

# %%
from kd_lab.lessons.l07_minillm.baseline import WithBaseline
from kd_lab.methods import Recipe, minillm, on_policy, word_level
from kd_lab.what import Paths
from kd_lab.where import StudentRollouts

RECIPES = {
    "word level": word_level(),
    "on-policy token-wise": on_policy(),
    "MiniLLM": minillm(),
    "MiniLLM without teacher mix": minillm(teacher_mix=0.0),
    "plain, whole return ÷ length": minillm(single_step=False, teacher_mix=0.0),
    "single step only": minillm(length_norm=False, teacher_mix=0.0),
    "single step, baseline": Recipe("baseline", Paths(), WithBaseline(), StudentRollouts()),
    "exact future, baseline": Recipe("exact", Paths(), WithBaseline(exact=True), StudentRollouts()),
}

# %% tags=["hide-input"]
import numpy as np

from kd_lab.classroom.students import taught
from kd_lab.lessons.l07_minillm.fork import share_of_words, word_loss


def train(label, batch_size, numbers):
    """Word-level students after 150 steps, and their KL(Q‖P) every 15."""
    pupils = taught(
        label, lambda number: student_at("word-level", number), numbers,
        teacher=teacher, world=world, recipe=RECIPES[label], steps=150, batch_size=batch_size, learning_rate=0.06,
        evaluate=lambda model: sequence_loss(model).item(), evaluate_every=15,
    )  # fmt: skip
    return [pupil for pupil, _ in pupils], np.array([curve[14::15] for _, curve in pupils])


curves, forward_gaps, words = {}, {}, {}
for label in RECIPES:
    pupils, curves[label] = train(label, 32, numbers[:5])
    forward_gaps[label] = np.mean([word_loss(pupil).item() for pupil in pupils])
    words[label] = np.mean([share_of_words(pupil) for pupil in pupils])

# %% tags=["hide-input"]
from kd_lab.lessons.l07_minillm.figures import curves_figure
from kd_lab.viz import BASELINE, DIVERGENCES, STUDENT

drawn = {
    "word level": DIVERGENCES["forward_kl"],
    "on-policy token-wise": BASELINE,
    "MiniLLM": DIVERGENCES["jsd"],
    "single step only": DIVERGENCES["reverse_kl"],
    "exact future, baseline": STUDENT,
}
show(
    curves_figure(curves, drawn),
    "Means and 95 % intervals over five seeds. Word level and token-wise reverse KL stay where they are. MiniLLM's tamed gradient gets a little further. "
    "The unbiased ones get furthest, and the quieter of the two gets there first.",
    alt="KL(Q‖P) against steps for five recipes; the two unbiased policy gradients fall lowest.",
)
final = {label: rows[:, -1] for label, rows in curves.items()}
asked = ("word level", "on-policy token-wise", "MiniLLM", "single step only")
reveal("07.f", ends=[final[label].mean() for label in asked])
rows = "\n".join(
    f"| {label} | {final[label].mean():.2f} | {forward_gaps[label]:.2f} | {words[label]:.0%} |" for label in RECIPES
)
display(Markdown(f"| recipe | KL(Q‖P) | KL(P‖Q) | texts that are words |\n|---|---|---|---|\n{rows}"))

# %% tags=["hide-input"]
claim(
    "C07a",
    "Trained by sampling, the policy gradient ends nearer to the teacher in KL(Q‖P) than on-policy token-wise reverse KL.",
    final["on-policy token-wise"] - final["single step only"],
    unit="nats lower",
    above=0.3,
)
claim(
    "C07e",
    "MiniLLM with all three tamers ends nearer to the teacher than on-policy token-wise reverse KL.",
    final["on-policy token-wise"] - final["MiniLLM"],
    unit="nats lower",
    above=0,
)
claim(
    "C07e",
    "MiniLLM with all three tamers ends further from the teacher than single-step decomposition alone.",
    final["MiniLLM"] - final["single step only"],
    unit="nats higher",
    above=0.3,
)
claim(
    "C07e",
    "Length normalisation alone, added to single-step decomposition, leaves the student further from the teacher.",
    final["MiniLLM without teacher mix"] - final["single step only"],
    unit="nats higher",
    above=0.2,
)
claim(
    "C07e",
    "Dividing the future alone ends further from the teacher than dividing the whole return.",
    final["MiniLLM without teacher mix"] - final["plain, whole return ÷ length"],
    unit="nats higher",
    above=0.2,
)
claim(
    "C07e",
    "Without bias, less noise ends no worse: exact future and baseline against single step only, 32 texts per step.",
    final["single step only"] - final["exact future, baseline"],
    unit="nats lower",
    above=-0.05,
)

# %% [markdown]
# For one step MiniLLM's estimate is nearer than that of *single step only*, but training takes many.
# Noise averages out over the steps; bias points the same way at every one of them.
# The size of a bias at the start does not tell where training ends.
# Of the two length normalisations, dividing the whole return has the larger bias for a word-level student, yet it ends nearer.
# (The other run also takes its immediate term exactly. That changes the noise and not the bias.)
# At 32 texts the unbiased recipes differ by hundredths of a nat: noise is not what limits them here.
# With 8 texts per step it is.

# %% tags=["hide-input"]
few = {label: train(label, 8, numbers)[1] for label in (
    "MiniLLM", "single step only", "single step, baseline", "exact future, baseline"
)}  # fmt: skip
rows = "\n".join(f"| {label} | {few[label][:, 3].mean():.2f} | {few[label][:, -1].mean():.2f} |" for label in few)
display(Markdown(f"| 8 texts per step, ten seeds | KL(Q‖P) after 60 steps | after 150 |\n|---|---|---|\n{rows}"))
claim(
    "C07e",
    "With 8 texts per step, exact future and baseline bring the student nearer in 60 steps than single step only.",
    few["single step only"][:, 3] - few["exact future, baseline"][:, 3],
    unit="nats lower",
    above=0,
)
claim(
    "C07e",
    "With 8 texts per step, a baseline from the seven other texts alone brings the student nearer in 60 steps than none.",
    few["single step only"][:, 3] - few["single step, baseline"][:, 3],
    unit="nats lower than single step only",
    above=0,
)
# %% [markdown]
# Before you hold this against MiniLLM: its texts have hundreds of tokens, where the noise of the future is far larger than with five.
# Its updates are clipped, its loss is helped by plain language modelling, and its authors' ablation finds all three devices useful.
# Noise, bias and the number of steps decide, and you can measure all three.
#
# Nor is a low KL(Q‖P) all that one may want: look at KL(P‖Q) beside it.
# The student that looks ahead has given up a whole road.
#
# ## Discuss
#
# *For two people, ten minutes.* Your colleague distils a 70B model into a 1B one with on-policy token-wise reverse KL, and is content.
# Would you spend a week on the future return?
# What would you measure first?
# And if your student has to keep *both* roads, what would you do with this lesson?

# %% [markdown] tags=["teacher"]
# **Expected answers.** The missing term matters only where the student cannot follow: measure KL(q‖p) on the student's own prefixes as a function of the first tokens. If it is equally small after all of them, there is nothing to look ahead for. Cheap first measurements: the variance of the return across continuations of one prompt; whether errors cluster after certain openings; the gradient noise at the batch size at hand. A good answer mentions that a baseline and the exact KL at later positions (*exact future*) come at no extra forward pass, and that batches of thousands of texts make the unbiased estimate affordable. If both roads must stay: reverse KL over sequences is the wrong objective, since giving a road up is what it asks for; take forward KL, JSD, or a larger student. **Misconceptions:** "on-policy means policy gradient" (no gradient flows through the sampling in GKD); "unbiased is better" (at small N a biased estimate can be nearer for one step); "less variance is better" (an estimate that is always 0 has none); "less variance must cost bias" (a baseline costs none); "k3 is the low-variance reverse-KL loss". **Timing:** 50 minutes alone; 65 in a class. The hook, the hand example and the explorer make a lecture of 20 minutes.

# %% [markdown]
# ## Recap
#
# 1. Sequence reverse KL depends on θ twice: in what is said at a prefix, and in which prefixes come up. Token-wise on-policy KL differentiates the first only.
# 2. The missing term is the future return times the score. It matters to a student that cannot be its teacher.
# 3. The policy gradient puts it back without bias but with much noise. Single-step decomposition, the exact future and a baseline calm it without bias; the first two help while the student is far from its optimum, the baseline at every stage.
# 4. MiniLLM's length normalisation and token weights add bias. Together its devices come nearer than the plain estimate for one small batch; after a whole training they end further away than single-step decomposition alone.
# 5. As losses on the student's samples k1 does nothing, k2 is reverse KL, k3 is forward KL. An estimate of a value is no estimate of its gradient.
#
# ## Quiz

# %%
quiz("07")

# %% [markdown]
# ## Glossary
#
# **Reward** here: log p − log q of a drawn token.
# **Return** the sum of the rewards from a position on; **future return** of those after it.
# **Score** ∇log q of the drawn token; its mean is zero.
# **Policy gradient** the gradient of an expectation over a model's own texts, as a mean of return × score.
# **Baseline** a number subtracted from the return that does not depend on the token being judged.
# **Surrogate** a loss whose gradient is wanted and whose value means nothing.
# **Bias** how far the mean of an estimate lies from the truth.
# **Variance** here: the mean squared distance of an estimate from its own mean, over all weights.
# **Importance weight** wanted ÷ drawn probability, which turns an average over one writer's texts into one over another's.
# **Bigram** a model that sees the last token only.
#
# ## Papers
#
# - Gu et al., "MiniLLM", [2306.08543](https://arxiv.org/abs/2306.08543): equation 2 the policy gradient, 3 single-step decomposition, 4 and 5 teacher-mixed sampling and its weights, 6 length normalisation.
# - Agarwal et al., "On-Policy Distillation of Language Models", [2306.13649](https://arxiv.org/abs/2306.13649), section 3: no gradient through the sampling.
# - Williams, "Simple statistical gradient-following algorithms for connectionist reinforcement learning", 1992, [doi](https://doi.org/10.1007/BF00992696): REINFORCE and its baseline.
# - Schulman, "Approximating KL divergence", 2020, [joschu.net](http://joschu.net/blog/kl-approx.html): k1, k2, k3 as readings.
# - Shao et al., "DeepSeekMath", [2402.03300](https://arxiv.org/abs/2402.03300), equation 4: k3 as GRPO's penalty.
# - Tang & Munos, "On a few pitfalls in KL divergence gradient estimation for RL", [2506.09477](https://arxiv.org/abs/2506.09477).
#
# ## Next
#
# [Lesson 08](08_stacking.ipynb), *Stacking*, leaves the student's text and turns to its bytes: quantization, pruning and distillation together.
