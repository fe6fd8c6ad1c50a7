# %% [markdown]
# # 07 · MiniLLM: the honest reverse-KL policy gradient
#
# After this lesson you can say what on-policy distillation leaves out of the reverse KL, put it back with a gradient that is right on average, and tell which of the tricks that tame its noise also bend it.

# %%
from dataclasses import replace

import torch

from kd_lab.how import reverse_kl
from kd_lab.measure import conditionals, every_text, gap_by_position, sequence_kl
from kd_lab.models import FiniteStateModel, TabularModel
from kd_lab.models.finite_state import window_moves
from kd_lab.viz import BASELINE, DIVERGENCES, STUDENT, TEACHER, course_style, new_figure, show
from kd_lab.viz.plots import letter_bars, set_bars
from kd_lab.worlds.languages import from_rule

torch.set_num_threads(1)  # the tensors here are tiny: a second thread would only wait for the first
stop_or_x = {"x": 0.5, ".": 0.5}
a_road = {"a": {"x": 1.0}, "ax": stop_or_x, "axx": stop_or_x, "axxx": stop_or_x}
b_road = {"b": {"x": 1.0}, "bx": {"y": 1.0}, "bxy": stop_or_x, "bxyx": {"y": 1.0}}
roads = {"": {"a": 0.4, "b": 0.6}, **a_road, **b_road}
fork = from_rule("fork", ".abxy", 5, lambda prefix: roads.get(prefix, {}), smoothing=0.05)
V, L = len(fork.vocabulary), fork.length
TEXTS = every_text(V, L)
texts = fork.vocabulary.decode(TEXTS.tokens)
is_word = torch.tensor([text in ("ax", "axx", "axxx", "axxxx", "bxy", "bxyxy") for text in texts])


def new_student(number):
    """A bigram: it sees the last letter and nothing before it."""
    table = torch.randn(V, V, generator=torch.Generator().manual_seed(number), dtype=torch.float64)
    return FiniteStateModel(table, window_moves(V, 1), context=L)


def chosen(logp):
    """log-probability of every token of every text, 0 behind its end: [S, L, V] -> [S, L]."""
    return logp.gather(-1, TEXTS.targets[..., None])[..., 0].where(TEXTS.mask, 0.0)


@torch.no_grad()
def text_probability(model):
    return chosen(model(TEXTS.inputs).log_softmax(-1)).sum(1).exp()


def sequence_loss(student):
    """KL(Q‖P) over whole texts, all of them listed."""
    return sequence_kl(fork.logp, conditionals(student, L, differentiable=True))


def token_loss(student):
    """KL(q‖p) at every prefix, weighed by how often the student comes by; the weight is held fixed."""
    tables = conditionals(student, L, differentiable=True)
    return gap_by_position(tables, fork.logp, [table.detach() for table in tables], reverse_kl).sum()


def word_loss(student):
    """KL(P‖Q): what word-level distillation on the teacher's texts minimises."""
    return sequence_kl(conditionals(student, L, differentiable=True), fork.logp)


def descend(student, loss, steps, rate=0.1):
    """Adam on the exact gradient: no text is drawn. The KL(Q‖P) after each step."""
    optimizer, path = torch.optim.Adam(student.parameters(), lr=rate), []
    for _ in range(steps):
        value = loss(student)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        path.append(value.item())
    return path


teacher = TabularModel(fork.logp)
LOOKS = {
    "token-wise": replace(BASELINE, label="token-wise reverse KL"),
    "sequence": replace(STUDENT, label="sequence reverse KL"),
}
pair = {}
for name, loss in (("token-wise", token_loss), ("sequence", sequence_loss)):
    pair[name] = new_student(0)
    descend(pair[name], word_loss, steps=40)
    descend(pair[name], loss, steps=150)

hook = new_figure(760, 280)
with course_style():
    left, right = hook.subplots(1, 2, width_ratios=(3, 2))
    bars = letter_bars(left, "■abxy", (TEACHER, *LOOKS.values()))
    left.set(ylim=(0, 1.35), yticks=[0, 0.5, 1], title="how they open")
    left.legend(loc="upper left")
    models = {"teacher": teacher, **pair}
    for one, model in zip(bars, models.values(), strict=True):
        set_bars(one, model(torch.zeros(1, 1, dtype=torch.long))[0, 0].softmax(-1).tolist())
    shares = {name: text_probability(model)[is_word].sum().item() for name, model in models.items()}
    for row, (share, look) in enumerate(zip(shares.values(), (TEACHER, *LOOKS.values()), strict=True)):
        right.barh(row, share, **look.area)
        right.text(share + 0.02, row, f"{share:.0%}", va="center")
    right.set_yticks(range(3), shares)
    right.set(xlim=(0, 1.1), ylim=(2.6, -0.6), title="texts that are words")
    right.set_xticks([0, 0.5, 1], ["0", "50 %", "100 %"])
show(
    hook,
    "A teacher whose words go two ways, and two small students that cannot follow both. Both were trained with reverse KL on their own texts, with "
    "exact gradients. One opens as the teacher does and gets lost; the other has seen what comes of it, and takes the road that it can walk.",
    alt="Left, probabilities of the first letter for the teacher and two students: the token-wise student copies the teacher's 40 to 60, the sequence student "
    "takes b nearly always. Right, the share of texts that are words of the language.",
)

# %% [markdown] tags=["card"]
# **You will be able to**
#
# - show that on-policy token-wise reverse KL is not the gradient of the sequence's, and name what is missing;
# - write a loss whose gradient is the policy gradient, and test that it is right on average;
# - measure bias and variance of MiniLLM's three tamers, and say at which batch size each one pays;
# - tell what k1, k2 and k3 do when somebody minimises them.
#
# **Before this:** [lesson 00](00_the_map.ipynb) (the chain rule of KL), [lesson 03](03_which_kl.ipynb) (reverse KL); [lesson 06](06_gkd.ipynb), GKD, is the method that this one departs from.
#
# **Time:** 45 minutes to read and do. {{measured}}

# %%
from IPython.display import Markdown, display

from kd_lab.classroom import Question, claim, exercise, predict, quiz, setup
from kd_lab.measure import mean_interval

seed = setup("07", threads=1)

# %% [markdown]
# ## 1 · The future that is left out
#
# A text $y=y_1\dots y_T$ is drawn token by token. The teacher gives each next token $p(\cdot\mid y_{<t})$, the student $q_\theta(\cdot\mid y_{<t})$, where $y_{<t}$ is the prefix and $\theta$ the student's weights; write $p_t, q_t$ for short, and $P(y), Q(y)$ for the product over the text. By the chain rule,
#
# $$\mathrm{KL}(Q\|P)=\sum_t\;\mathbb E_{\,y_{<t}\sim Q}\big[\mathrm{KL}(q_t\|p_t)\big].$$
#
# $\theta$ stands here twice: in $q_t$, *what is said* at a prefix, and in $y_{<t}\sim Q$, *which prefixes come up*. On-policy distillation differentiates the first and holds the second fixed. Its authors say so openly (GKD does not backpropagate through sampling, for stability); what it costs is seldom shown.
#
# **Our language**, *fork*: words go *ax, axx, axxx, …* or *bxy, bxyxy*. The teacher knows on which road it is. The student is a bigram, so that after an *x* it cannot tell.

# %%
no_pull = predict(
    "The student opens with a or b in exactly the teacher's proportions, and goes wrong after b only. What does token-wise reverse KL do to its first letter?",
    ["nothing", "it makes a likelier", "it makes b likelier"],
)

# %% [markdown]
# **By hand, with three tokens.** Let $q_1=p_1=(\tfrac12,\tfrac12)$ over $a, b$; after *a* the student is right, after *b* the next step costs a KL of 1 nat. (The third token ends the text.) With $z_b$ the logit of *b*:
#
# | | value | $\partial/\partial z_b$ |
# |---|---|---|
# | $\mathrm{KL}(q_1\|p_1)$ | 0 | 0 |
# | $q(a)\cdot 0+q(b)\cdot 1$, prefixes held fixed | ½ | **0** |
# | the same, prefixes free | ½ | $q(b)\,(1-q(b))$ = **¼** |
#
# Both have the value ½ and only the last hears that *b* leads nowhere good.
#
# **Derive.** Call $r_t=\log p(y_t\mid y_{<t})-\log q(y_t\mid y_{<t})$ the **reward** of a token, so that $\mathrm{KL}(Q\|P)=-\mathbb E_{y\sim Q}\sum_t r_t$. Differentiating $\sum_y Q\log\frac QP$ leaves $\sum_y \nabla Q\,\log\frac QP$, since $\sum_y Q\,\nabla\log Q=\nabla\sum_y Q=0$; and $\nabla Q=Q\sum_t\nabla\log q_t(y_t)$. A token cannot change rewards before it. What remains is
#
# $$\nabla\mathrm{KL}(Q\|P)=\mathbb E_{y\sim Q}\sum_t\Big[\underbrace{\nabla\mathrm{KL}(q_t\|p_t)}_{\text{token-wise}}-\underbrace{\big(\textstyle\sum_{t'>t}r_{t'}\big)}_{\text{future return}}\nabla\log q_t(y_t)\Big].$$

# %%
no_pull.reveal(
    "nothing",
    "At the first position q = p already, and the prefixes are held fixed. The row that could mend it is never told.",
)

# %% [markdown]
# ### Exercise 07.1 · The future return (●○○, 6 minutes)
#
# `rewards` is `[B, T]`, one row a text; `mask` is True up to and including the end of each text. Return, for each position, the sum of the rewards *after* it.


# %%
@exercise("07.1")
def future_return(rewards, mask):
    """Σ of the rewards after each position, 0 at padding: [B, T], [B, T] -> [B, T]."""
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# What is the future return of the last token of a text? And what stands in the padding of a short text, and who should see it?
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
# **Experiment.** *fork* has so few texts that every expectation is a sum. To get the gradient that *each* text would give, we hand every text its own copy of the student: one backward pass then leaves one gradient a copy. Five students, once fresh and once after word-level training, are asked for both gradients, and for the term that your function feeds.

# %%
from kd_lab.how.policy_gradient import importance_weights, policy_surrogate
from kd_lab.measure import gradient_angle, gradient_of, mean_and_variance
from kd_lab.models import MixtureModel
from kd_lab.worlds import Batch

S = len(TEXTS)
with torch.no_grad():  # behind a text's end nothing counts; a uniform row there keeps every number finite
    teacher_logp = teacher(TEXTS.inputs).where(TEXTS.mask[..., None], -torch.tensor(float(V)).log())


def per_text(student, terms, writer=None):
    """The gradient that each text gives, [S, P], and how likely it is to be written, [S]. `terms(logp)` is [S, L]."""
    copies = student.table.detach().repeat(S, 1, 1).requires_grad_()
    student_logp = copies[torch.arange(S)[:, None], TEXTS.inputs].log_softmax(-1)
    gradients = torch.autograd.grad(terms(student_logp).sum(), copies)[0]
    return gradients.flatten(1), text_probability(writer or student)


def token_terms(student_logp):
    return reverse_kl(student_logp, teacher_logp).where(TEXTS.mask, 0.0)


def future_terms(student_logp):
    own = chosen(student_logp)
    return -future_return((chosen(teacher_logp) - own).detach(), TEXTS.mask) * own


STAGES = ("fresh", "word-level", "committed")


def student_at(stage, number):
    """A fresh student; one trained at word level; that one after its first steps on the sequence's reverse KL."""
    student = new_student(number)
    if stage != "fresh":
        descend(student, word_loss, steps=40)
    if stage == "committed":
        descend(student, sequence_loss, steps=20)
    return student


numbers = range(seed, seed + 5)
students = {stage: [student_at(stage, number) for number in numbers] for stage in STAGES}
exact = {stage: [gradient_of(sequence_loss(s), s) for s in group] for stage, group in students.items()}
token_wise = {stage: [gradient_of(token_loss(s), s) for s in group] for stage, group in students.items()}

cosines = {k: [gradient_angle(t, e) for t, e in zip(token_wise[k], exact[k], strict=True)] for k in STAGES}
lengths = {k: [(t.norm() / e.norm()).item() for t, e in zip(token_wise[k], exact[k], strict=True)] for k in STAGES}
left_over = []
for student, whole in zip(students["word-level"], exact["word-level"], strict=True):
    parts = [mean_and_variance(*per_text(student, terms))[0] for terms in (token_terms, future_terms)]
    left_over.append(((sum(parts) - whole).norm() / whole.norm()).item())

print(f"{S:,} texts, {V * V} weights.  Token-wise against exact gradient, five students:")
for k in STAGES[:2]:
    print(
        f"{k:12} cosine {'  '.join(f'{c:5.2f}' for c in cosines[k])}    length ratio {'  '.join(f'{r:4.2f}' for r in lengths[k])}"
    )
claim(
    "C07a",
    "On-policy token-wise reverse KL is not the gradient of the sequence's reverse KL: it points elsewhere.",
    cosines["word-level"],
    unit="cosine between the two, after word-level training",
    holds=max(cosines["word-level"]) < 0.9,
)
claim(
    "C07a",
    "The token-wise gradient is shorter than that of the sequence's reverse KL.",
    lengths["word-level"],
    unit="of the exact gradient's length",
    holds=max(lengths["word-level"]) < 0.7,
)
claim(
    "C07a",
    "The future-return term is the whole difference between the two gradients.",
    left_over,
    unit="of the exact gradient left over once it is added",
    holds=max(left_over) < 1e-10,
)
# %% [markdown]
# So the two are different compasses. Does it matter where they lead? Both are now followed exactly, without any sampling, by two kinds of student: the bigram, and a table with a row for every prefix, which *can* be its teacher.

# %%
harm = predict(
    "A student with a row for every prefix, able to equal the teacher. Followed to the end, the token-wise gradient leaves it …",
    ["far from the teacher, like the bigram", "at the teacher, as the exact gradient does"],
)


# %%
def new_table(number):
    generator = torch.Generator().manual_seed(number)
    return TabularModel([torch.randn(V**t, V, generator=generator, dtype=torch.float64) for t in range(L)])


paths = {}
for kind, make in (("bigram", lambda number: student_at("word-level", number)), ("table", new_table)):
    for name, loss in (("token-wise", token_loss), ("sequence", sequence_loss)):
        paths[kind, name] = torch.tensor([descend(make(number), loss, steps=120) for number in numbers[:3]])

figure = new_figure(760, 290)
with course_style():
    panels = figure.subplots(1, 2)
    for axes, kind in zip(panels, ("bigram", "table"), strict=True):
        for name, look in LOOKS.items():
            for row, path in enumerate(paths[kind, name]):
                axes.plot(range(1, len(path) + 1), path, **look.line, alpha=0.7, label=look.label if row == 0 else None)
        axes.set(
            xlabel="step", xlim=(0, 121), title=f"{kind}: {'cannot' if kind == 'bigram' else 'can'} be its teacher"
        )
    panels[0].set(ylim=(0, 2.2), ylabel="KL(Q‖P), nats a text")
    panels[1].set(yscale="log", ylim=(2e-4, 10))
    panels[1].legend()
show(
    figure,
    "Three seeds each, exact gradients. Left, linear scale: the token-wise gradient stops where the exact one has hardly begun. Right, logarithmic scale: a student "
    "that can copy every conditional needs no foresight.",
    alt="KL against steps. Left panel: token-wise curves stay flat just under 2 nats, sequence curves fall below 1. Right panel: all curves fall together.",
)
harm.reveal(
    harm.options[1],
    "Where every conditional can be right, each being right is enough: the future return then averages to zero.",
)
stuck = paths["bigram", "token-wise"][:, -1] - paths["bigram", "sequence"][:, -1]
claim(
    "C07a",
    "A student that cannot be its teacher ends further from it by the token-wise gradient.",
    stuck,
    unit="nats of KL(Q‖P) more than by the exact gradient",
    holds=stuck.min() > 0.5,
)
claim(
    "C07a",
    "For a student that can, the missing term does no harm in the end.",
    paths["table", "token-wise"][:, -1],
    unit="nats of KL(Q‖P) left",
    holds=paths["table", "token-wise"][:, -1].max() < 0.01,
)
# %% [markdown]
# ## 2 · Put it back, and pay in noise
#
# With texts that cannot be listed, the expectation becomes an average over drawn ones. The plain **policy gradient** (REINFORCE) samples everything:
#
# $$\nabla\mathrm{KL}(Q\|P)=-\,\mathbb E_{y\sim Q}\sum_t R_t\,\nabla\log q_t(y_t),\qquad R_t=\sum_{t'\ge t}r_{t'}.$$
#
# $R_t$ is the **return** from position $t$ on, its own reward included. An autograd framework wants a loss, and the loss whose gradient this is, a **surrogate**, is easy to get wrong in ways that still train.

# %%
noisy = predict(
    "One text, one estimate. How far does it typically lie from the true gradient, in units of that gradient's own length?",
    ["a tenth", "about as far", "several times as far"],
)

# %% [markdown]
# ### Exercise 07.2 · A loss for the policy gradient (●●●, 12 minutes)
#
# The student wrote `tokens` `[B, T]`; both log-probabilities are `[B, T, V]`. Return one number, the mean over texts, whose *gradient* is the estimate above. Your check looks at the gradient and ignores the value. Your `future_return` may help.


# %%
@exercise("07.2")
def policy_loss(student_logp, teacher_logp, tokens, mask):
    """A number whose gradient estimates ∇KL(Q‖P): [B, T, V], [B, T, V], [B, T], [B, T] -> []."""
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Where does the formula have a ∇, and where not? `gather(-1, tokens[..., None]).squeeze(-1)` picks the drawn tokens.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `detach()` makes a number of a tensor. Rewards are numbers, $\log q_t(y_t)$ is not. Which sign makes the loss fall when a token with a large return becomes likelier?
#
# </details>

# %% [markdown] tags=["solution:07.2"]
# solution

# %% [markdown]
# The library's `policy_surrogate` gives the same gradient, term by term, and is what we use from here on. Two tests follow: by listing (the expectation over all texts must *equal* the exact gradient), and by sampling (texts that the student really writes; the average must cover it).

# %%
from kd_lab.where import rollout

world = fork.world(rows=2000, seed=seed)


def surrogate(single_step=False, length_norm=False):
    return lambda logp: policy_surrogate(logp, teacher_logp, TEXTS.targets, TEXTS.mask, single_step, length_norm)


student = students["word-level"][0]
some = torch.arange(0, S, 7)
logp = student(TEXTS.inputs).log_softmax(-1)
by_hand = policy_loss(logp[some], teacher_logp[some], TEXTS.targets[some], TEXTS.mask[some])
by_library = surrogate()(logp)[some].sum(1).mean()
torch.testing.assert_close(gradient_of(by_hand, student, retain_graph=True), gradient_of(by_library, student))

listed = [
    ((mean_and_variance(*per_text(s, surrogate()))[0] - e).norm() / e.norm()).item()
    for k in STAGES for s, e in zip(students[k], exact[k], strict=True)
]  # fmt: skip
direction = exact["word-level"][0]
along = []
for number in range(10):
    generator = torch.Generator().manual_seed(seed + number)
    batch = rollout(student, world, world.prompts(4096, generator), generator)
    p = teacher(batch.inputs).detach().where(batch.mask[..., None], 0.0)
    loss = policy_loss(student(batch.inputs).log_softmax(-1), p, batch.targets, batch.mask)
    along.append((gradient_of(loss, student) @ direction / direction.square().sum()).item())
mean, half_width = mean_interval(along)
claim(
    "C07b",
    "The policy gradient has no bias: over all texts its expectation is the exact gradient.",
    max(listed),
    unit="relative deviation, the largest of 15 students",
    holds=max(listed) < 1e-10,
)
claim(
    "C07b",
    "The average of the policy gradient over sampled texts covers the exact gradient.",
    along,
    unit="of the exact gradient, along its direction, 4,096 texts a seed",
    holds=abs(mean - 1) <= half_width and half_width < 0.1,
)
_, plain_variance = mean_and_variance(*per_text(student, surrogate()))
spread = plain_variance**0.5 / direction.norm().item()
noisy.reveal(
    "several times as far",
    f"{spread:.1f} times. With N texts it is {spread:.1f}/√N: {spread**2:.0f} texts for a noise as long as the gradient itself.",
)

# %% [markdown]
# ### Single-step decomposition
#
# The first term of the return, $r_t$, need not be sampled: its expectation over $y_t$ is a sum over $V$ tokens, and both distributions are at hand. That is the decomposition of section 1: exact $\nabla\mathrm{KL}(q_t\|p_t)$ now, sampled rewards later. Nothing in it is approximate, so there is no bias. The expectation of a part should lower the variance; but parts of one sum can also cancel.
#
# **A trap.** If the exact KL is at hand, why not make it the reward, $-\mathrm{KL}(q_t\|p_t)$ in place of $r_t$, and hand it to a library for reinforcement learning as the advantage of token $y_t$? Because it does not depend on $y_t$. Whatever is the same for all tokens of a position drops out, $\mathbb E_{y_t}[c\,\nabla\log q_t(y_t)]=c\,\nabla\sum q_t=0$: the student learns nothing from it at its own position. As a reward *for earlier tokens*, though, it is sound, and less noisy than the sampled one. The table calls that *exact at every step*.

# %%
calmer = predict(
    "Single-step decomposition against the plain policy gradient. Its variance is …",
    ["lower for every student", "lower at first, higher near the end of training", "the same: only the bias changes"],
)


# %%
def every_step(student_logp):
    """KL(q‖p) now, and KL(q‖p) at the later prefixes of the text in place of the sampled rewards."""
    gaps = token_terms(student_logp)
    return gaps + future_return(gaps.detach(), TEXTS.mask) * chosen(student_logp)


def useless_advantage(student_logp):
    return token_terms(student_logp).detach() * chosen(student_logp)


def relative(terms, stage):
    """Bias and variance of an estimator for each student: in units of the exact gradient, and of the plain variance."""
    rows = []
    for s, e in zip(students[stage], exact[stage], strict=True):
        mean, variance = mean_and_variance(*per_text(s, terms))
        rows.append(((mean - e).norm() / e.norm(), variance / mean_and_variance(*per_text(s, surrogate()))[1]))
    return torch.tensor(rows, dtype=torch.float64).T


single = {k: relative(surrogate(single_step=True), k) for k in STAGES}
everywhere = {k: relative(every_step, k) for k in STAGES}
for k in STAGES:
    print(
        f"{k:11} variance, plain = 1:   single step {single[k][1].mean():.2f}   exact at every step {everywhere[k][1].mean():.2f}"
    )
pull = max(
    mean_and_variance(*per_text(s, useless_advantage))[0].norm() / e.norm()
    for k in STAGES
    for s, e in zip(students[k], exact[k], strict=True)
)
print(f"KL as the advantage of its own token: expected gradient {pull:.0e} of the exact one's length")
early = torch.cat([single["fresh"][1], single["word-level"][1]])
calmer.reveal(
    calmer.options[1] if single["committed"][1].mean() > 1 else calmer.options[0],
    "Near the optimum the return log P/Q is nearly the same for all texts that the student still writes. Whole, it multiplies a score whose mean is zero; taken apart, its parts no longer cancel.",
)
claim(
    "C07c",
    "Single-step decomposition has no bias.",
    max(single[k][0].max().item() for k in STAGES),
    unit="relative deviation, the largest of 15 students",
    holds=max(single[k][0].max() for k in STAGES) < 1e-10,
)
claim(
    "C07c",
    "Single-step decomposition lowers the variance for students far from their optimum.",
    early,
    unit="of the plain variance (fresh and word-level students)",
    holds=early.max() < 1,
)
claim(
    "C07c",
    "Single-step decomposition lowers the variance for a committed student as well.",
    single["committed"][1],
    unit="of the plain variance",
    holds=single["committed"][1].max() < 1,
)
claim(
    "C07c",
    "Made exact at every step, the decomposition has no bias either and lowers the variance further for students that are far away.",
    everywhere["word-level"][1] / single["word-level"][1],
    unit="of the single-step variance (word-level students)",
    holds=max(everywhere[k][0].max() for k in STAGES) < 1e-10
    and (everywhere["word-level"][1] < single["word-level"][1]).all(),
)
# %% [markdown]
# ## 3 · Two tamers that bend
#
# **Length normalisation.** Rewards are negative on average, so longer texts collect lower returns and short ones look good. MiniLLM divides the future return by the number of tokens that it sums over. That is another objective: no amount of sampling takes it back.
#
# **Teacher-mixed sampling.** A student that is lost writes texts from which little can be learned, or finds text that fools the teacher. MiniLLM lets the teacher have a hand in each token,
#
# $$\tilde p_t=\alpha\,p_t+(1-\alpha)\,q_t,$$
#
# with the share $\alpha=0.2$. To keep the expectation over the *student's* texts, each term is multiplied by an **importance weight**. The exact one is $Q(y)/\tilde P(y)$, a product over the whole text. MiniLLM takes only the token's own factor, $w_t=q_t(y_t)/\tilde p_t(y_t)$, which stays below $1/(1-\alpha)$, and forgets how the prefix came about.
#
# **By hand.** $q=\tfrac12$, $p=\tfrac14$, $\alpha=0.2$: $\tilde p=0.05+0.40=0.45$, so $w=0.5/0.45\approx1.11$.
#
# ### Exercise 07.3 · The weight of a token that two have drawn (●●○, 7 minutes)
#
# From $\log q$ and $\log p$ of drawn tokens. A log-probability may be `-inf`. The weight is a number: it carries no gradient.


# %%
import math


@exercise("07.3")
def token_weight(student_logp, teacher_logp, share):
    """q/p̃ of drawn tokens, p̃ = share·p + (1 − share)·q, a plain number without a gradient: [B, T], [B, T] -> [B, T]."""
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Of whom do you want the average, and who drew? The first is on top.
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
SHARE = 0.2


def mixed(terms, share=SHARE, importance="token"):
    """From a student to its weighted terms and its writer, where teacher and student draw every token together."""

    def for_student(student):
        writer = MixtureModel(teacher, student, share)
        with torch.no_grad():
            drawn = Batch(TEXTS.tokens, TEXTS.mask, chosen(writer(TEXTS.inputs)))
            weights = importance_weights(chosen(student(TEXTS.inputs).log_softmax(-1)), drawn, importance)
        return (lambda logp: weights * terms(logp)), writer

    return for_student


def alone(terms):
    return lambda student: (terms, None)


with torch.no_grad():  # your weights are the library's
    q = chosen(student(TEXTS.inputs).log_softmax(-1))
    drawn = Batch(TEXTS.tokens, TEXTS.mask, chosen(MixtureModel(teacher, student, SHARE)(TEXTS.inputs)))
    yours = token_weight(q, chosen(teacher_logp), SHARE).where(TEXTS.mask, 1.0)
    torch.testing.assert_close(yours, importance_weights(q, drawn, "token"))
    print(
        f"token weights lie between {yours.min():.3f} and {yours.max():.3f} = 1/(1 − α); text weights reach {importance_weights(q, drawn, 'sequence').max():.2f}"
    )

ESTIMATORS = {
    "plain": alone(surrogate()),
    "single step": alone(surrogate(single_step=True)),
    "length norm": alone(surrogate(length_norm=True)),
    "mix, token weights": mixed(surrogate()),
    "mix, text weights": mixed(surrogate(), importance="sequence"),
    "all three": mixed(surrogate(single_step=True, length_norm=True)),
    "exact at every step": alone(every_step),
    "token-wise": alone(token_terms),
}
measured = {}  # stage, estimator -> for each student: gradients, probabilities, mean, variance
for stage in STAGES:
    for name, build in ESTIMATORS.items():
        rows = []
        for s in students[stage]:
            gradients, probabilities = per_text(s, *build(s))
            rows.append((gradients, probabilities, *mean_and_variance(gradients, probabilities)))
        measured[stage, name] = rows


def biases(stage, name):
    return torch.tensor(
        [((row[2] - e).norm() / e.norm()).item() for row, e in zip(measured[stage, name], exact[stage], strict=True)]
    )


def variances(stage, name, against="plain"):
    return torch.tensor(
        [row[3] / base[3] for row, base in zip(measured[stage, name], measured[stage, against], strict=True)]
    )


# %% [markdown]
# **Explore.** Each dot is one estimate, the mean over $N$ texts. The star is the exact gradient, at a distance of 1 from the cross. Where the cloud *sits* shows the bias, how *wide* it is the variance; at small $N$ many dots lie outside the picture. Hold the arrow key on $N$, then change the estimator.

# %%
from kd_lab.viz import Choice, Explorer, Slider

POWERS, REPEATS = 12, 150
clouds, errors, ns = {}, {}, 2.0 ** torch.arange(POWERS)
for stage in STAGES:
    target = exact[stage][0]
    forward = target / target.norm()
    sideways = token_wise[stage][0] - (token_wise[stage][0] @ forward) * forward
    plane = torch.stack([forward, sideways / sideways.norm()], dim=1) / target.norm()
    for name in ESTIMATORS:
        gradients, probabilities, mean, variance = measured[stage, name][0]
        generator = torch.Generator().manual_seed(seed)
        places = torch.multinomial(probabilities, REPEATS * int(ns[-1]), replacement=True, generator=generator)
        sums = (gradients @ plane)[places].view(REPEATS, -1, 2).cumsum(1)
        clouds[stage, name] = [(sums[:, int(n) - 1] / n).numpy() for n in ns]
        bias = (mean - target).norm() / target.norm()
        errors[stage, name] = bias.item(), (bias**2 + variance / target.norm() ** 2 / ns).sqrt().numpy()


def create(figure):
    left, right = figure.subplots(1, 2)
    left.set(
        xlim=(-2, 4),
        ylim=(-3, 3),
        xlabel="along the exact gradient",
        ylabel="toward the token-wise one",
        title=f"{REPEATS} estimates",
    )
    left.axhline(0, color="#dddddd", zorder=0)
    left.axvline(0, color="#dddddd", zorder=0)
    left.plot(0, 0, "+", color="black", markersize=10)
    (dots,) = left.plot([], [], ".", color=STUDENT.color, markersize=4, alpha=0.6)
    (star,) = left.plot([1], [0], "*", color=TEACHER.color, markersize=15, markeredgecolor="white", zorder=5)
    right.set(
        xscale="log",
        yscale="log",
        xlim=(0.9, 2300),
        ylim=(0.05, 20),
        xlabel="texts N",
        title="typical distance from the exact gradient",
    )
    right.plot([], [], **BASELINE.line, label="plain")
    right.plot([], [], **STUDENT.line, label="chosen")
    right.plot([], [], color=STUDENT.color, linestyle=":", label="its bias")
    right.legend(loc="upper right")
    (plain,) = right.plot(ns, ns, **BASELINE.line)
    (line,) = right.plot(ns, ns, **STUDENT.line)
    (floor,) = right.plot([0.9, 2300], [1, 1], color=STUDENT.color, linestyle=":")
    (here,) = right.plot([1], [1], "o", color=STUDENT.color, markersize=9)
    return {"dots": dots, "star": star, "plain": plain, "line": line, "floor": floor, "here": here}


def update(artists, power, name, stage):
    bias, curve = errors[stage, name]
    plain = errors[stage, "plain"][1]
    artists["dots"].set_data(*clouds[stage, name][power].T)
    artists["plain"].set_ydata(plain)
    artists["line"].set_ydata(curve)
    artists["floor"].set_ydata([max(bias, 1e-6)] * 2)
    artists["here"].set_data([ns[power]], [curve[power]])
    said = f"bias {bias:.0%}" if bias > 1e-9 else "no bias"
    sentence = (
        f"{name}, {stage} student, N = {int(ns[power])}: {said}, typically {curve[power]:.2f} gradient lengths off"
    )
    if name == "plain":
        return sentence + "."
    return sentence + f"; the plain policy gradient: {plain[power]:.2f}."


cloud = Explorer(
    name="bias and variance",
    controls=[
        Slider("log₂ N", 0, POWERS - 1, 1, start=5),
        Choice("estimator", list(ESTIMATORS), start="plain"),
        Choice("student", list(STAGES), start="word-level"),
    ],
    create=create,
    update=update,
    presets={
        "single step, 32 texts": {"estimator": "single step"},
        "all three, 32 texts": {"estimator": "all three"},
        "all three, 2048 texts": {"estimator": "all three", "log₂ N": 11},
        "no future, 2048 texts": {"estimator": "token-wise", "log₂ N": 11},
    },
    size=(760, 360),
)
cloud.show()

# %%
cloud.filmstrip()

# %% [markdown]
# Unbiased clouds shrink onto the star; biased ones shrink beside it, and their curve turns flat at the dotted line. Where the curves cross, the tamed estimate stops being the better one. The table holds all of it, averaged over the five students of each stage; bias in units of the exact gradient, variance in units of the plain one's.

# %%
header = "| estimator |" + "".join(f" {k}: bias | variance |" for k in STAGES) + "\n|---" * 1 + "|---|---" * 3 + "|\n"
lines = []
for name in ESTIMATORS:
    cells = []
    for k in STAGES:
        bias, variance = biases(k, name), variances(k, name)
        width = mean_interval(variance.numpy())[1]
        cells.append(f"{'0' if bias.max() < 1e-9 else f'{bias.mean():.2f}'} | {variance.mean():.2f} ± {width:.2f}")
    lines.append(f"| {name} | " + " | ".join(cells) + " |")
display(Markdown(header + "\n".join(lines)))


# %%
def crossing(stage, name):
    """The number of texts up to which the estimate is nearer to the exact gradient than the plain one, a student each."""
    gain = torch.tensor(
        [base[3] - row[3] for row, base in zip(measured[stage, name], measured[stage, "plain"], strict=True)]
    )
    missed = torch.tensor(
        [(row[2] - e).square().sum() for row, e in zip(measured[stage, name], exact[stage], strict=True)]
    )
    return gain / missed


norm = {k: (biases(k, "length norm"), variances(k, "length norm")) for k in STAGES}
everyone = torch.cat([norm[k][1] for k in STAGES])
bent = torch.cat([norm[k][0] for k in STAGES])
claim(
    "C07d",
    "Length normalisation lowers the variance, at every stage.",
    everyone,
    unit="of the plain variance (15 students)",
    holds=everyone.max() < 1,
)
claim(
    "C07d",
    "Length normalisation changes the objective: its bias is no small part of the gradient.",
    bent,
    unit="of the exact gradient's length (15 students)",
    holds=bent.min() > 0.1,
)

token, text = ({k: variances(k, f"mix, {w} weights") for k in STAGES} for w in ("token", "text"))
token_bias = torch.cat([biases(k, "mix, token weights") for k in STAGES])
text_bias = max(biases(k, "mix, text weights").max().item() for k in STAGES)
claim(
    "C07e",
    "Teacher-mixed sampling with weights of whole texts has no bias.",
    text_bias,
    unit="relative deviation, the largest of 15 students",
    holds=text_bias < 1e-10,
)
claim(
    "C07e",
    "Teacher-mixed sampling with MiniLLM's token weights has a bias.",
    token_bias,
    unit="of the exact gradient's length (15 students)",
    holds=token_bias.min() > 0.05,
)
claim(
    "C07e",
    "Teacher-mixed sampling with token weights lowers the variance for a word-level student.",
    token["word-level"],
    unit="of the plain variance",
    holds=mean_interval(token["word-level"].numpy())[0] + mean_interval(token["word-level"].numpy())[1] < 1,
)
claim(
    "C07e",
    "Teacher-mixed sampling with token weights lowers the variance for a committed student.",
    token["committed"],
    unit="of the plain variance",
    holds=token["committed"].max() < 1,
)
claim(
    "C07e",
    "Teacher-mixed sampling with text weights lowers the variance for a word-level student.",
    text["word-level"],
    unit="of the plain variance",
    holds=text["word-level"].max() < 1,
)
claim(
    "C07e",
    "Teacher-mixed sampling with text weights lowers the variance for a committed student.",
    text["committed"],
    unit="of the plain variance",
    holds=text["committed"].max() < 1,
)
together = variances("word-level", "all three")
up_to = crossing("word-level", "all three")
claim(
    "C07e",
    "The three tamers together cut the variance to less than half.",
    together,
    unit="of the plain variance (word-level students)",
    holds=together.max() < 0.5,
)
claim(
    "C07e",
    "The three together are nearer to the exact gradient than the plain estimate as long as few texts are averaged.",
    up_to,
    unit="texts, beyond which the plain estimate is nearer",
    holds=up_to.min() > 1,
)
# %% [markdown]
# Read the last two columns again. A committed student rarely writes what it has given up, and those rare texts carry large returns; the teacher's hand brings them up more often and weighs them down. There text weights pay. Before that, they add the noise of a product of ratios.
#
# ## 4 · k1, k2, k3: readings that are taken for losses
#
# Three numbers estimate $\mathrm{KL}(q\|p)$ from one token $x\sim q$. With $r=\log p(x)-\log q(x)$:
#
# $$k_1=-r,\qquad k_2=\tfrac12r^2,\qquad k_3=e^r-1-r.$$
#
# $k_1$ is unbiased and negative half of the time, $k_3$ is unbiased and never negative, $k_2$ is a little biased and calm. They were proposed as *readings*. It is tempting to minimise them.

# %%
losses = predict(
    "k3 is an unbiased, non-negative estimate of the reverse KL. Minimised on the student's own samples, its expected gradient is that of …",
    ["reverse KL", "forward KL", "nothing: it is zero"],
)

# %% [markdown]
# ### Exercise 07.4 · Three estimators (●○○, 5 minutes)
#
# From the log-probabilities of drawn tokens under student and teacher, $x\sim q$.


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

# %% [markdown]
# **Derive.** The sample is fixed while a loss is differentiated, so $\nabla r=-\nabla\log q(x)$, and for any function $k(r)$ the expected gradient is $-\sum_x q(x)\,k'(r)\,\nabla\log q(x)$:
#
# | | $k'(r)$ | expected gradient |
# |---|---|---|
# | $k_1$ | $-1$ | $\sum q\,\nabla\log q=0$ |
# | $k_2$ | $r$ | $-\sum q\,r\,\nabla\log q=\nabla\mathrm{KL}(q\|p)$ |
# | $k_3$ | $e^r-1$ | $-\sum q\,\tfrac pq\nabla\log q=-\sum p\,\nabla\log q=\nabla\mathrm{KL}(p\|q)$ |
#
# The next cell adds these sums up for five random pairs of distributions, and compares with the library's estimators.

# %%
from kd_lab.how import forward_kl, k1, k2, k3

off = {"k1": [], "k2": [], "k3": []}
for number in range(5):
    generator = torch.Generator().manual_seed(seed + number)
    z = torch.randn(8, generator=generator, dtype=torch.float64).requires_grad_()
    p = torch.randn(8, generator=generator, dtype=torch.float64).log_softmax(-1)
    q = z.log_softmax(-1)
    for mine, library in zip(estimators(q, p), (k1, k2, k3), strict=True):
        torch.testing.assert_close(mine, library(q, p))
    (rkl,), (fkl,) = (
        torch.autograd.grad(divergence(q, p), z, retain_graph=True) for divergence in (reverse_kl, forward_kl)
    )
    for (name, values), wanted in zip(zip(off, estimators(q, p), strict=True), (0 * rkl, rkl, fkl), strict=True):
        (expected,) = torch.autograd.grad((q.exp().detach() * values).sum(), z, retain_graph=True)
        off[name].append(((expected - wanted).norm() / rkl.norm()).item())
for name, wanted in (("k1", "zero"), ("k2", "that of reverse KL"), ("k3", "that of forward KL")):
    claim(
        "C07f",
        f"{name} as a loss, x ~ q: the expected gradient is {wanted}.",
        off[name],
        unit="relative deviation",
        holds=max(off[name]) < 1e-12,
    )
losses.reveal(
    "forward KL", "Its gradient is (1 − p/q)·∇log q: forward KL's, importance-weighted from the student's samples."
)

# %% [markdown]
# **A popular trap.** The KL penalty of GRPO (Shao et al. 2024, equation 4) is $k_3$, put into the loss; so it stood in the trainers of several libraries. It *reads* as reverse KL to the reference model and *pulls* as forward KL: a sensible penalty, but not the one that its name says. Some now offer a correction ([TRL](https://github.com/huggingface/trl/pull/4638), [OpenRLHF](https://github.com/OpenRLHF/OpenRLHF/pull/1309)). What the difference looks like: a student with two weights, the mean and the log-width of a bell over 41 tokens, learns from 256 of its own tokens a step.

# %%
grid = torch.linspace(-10, 10, 41, dtype=torch.float64)
hills = (torch.tensor([0.6, 0.4]) * (-0.5 * ((grid[:, None] - torch.tensor([-3.0, 3.0])) / 0.8) ** 2).exp()).sum(1)
hills = (hills / hills.sum() * 0.999 + 0.001 / len(grid)).log()


def bell(weights):
    """log q of the students, [seeds, 41], from (mean, log width), [seeds, 2]."""
    return (-0.5 * ((grid - weights[:, :1]) / weights[:, 1:].exp()) ** 2).log_softmax(-1)


learned = {}
for place, name in enumerate(("k1", "k2", "k3")):
    weights = torch.tensor(
        [[3.0 * (-1) ** i, math.log(2.0)] for i in range(4)], dtype=torch.float64, requires_grad=True
    )
    optimizer, generator = torch.optim.Adam([weights], lr=0.03), torch.Generator().manual_seed(seed)
    for _ in range(400):
        logq = bell(weights)
        x = torch.multinomial(logq.detach().exp(), 256, replacement=True, generator=generator)
        values = estimators(logq.gather(1, x), hills[x])[place]
        optimizer.zero_grad()
        values.mean(1).sum().backward()
        optimizer.step()
    learned[name] = bell(weights).detach().exp()

figure = new_figure(760, 260)
with course_style():
    for axes, (name, students_of), look in zip(
        figure.subplots(1, 3, sharey=True),
        learned.items(),
        (BASELINE, DIVERGENCES["reverse_kl"], DIVERGENCES["forward_kl"]),
        strict=True,
    ):
        axes.plot(grid, hills.exp(), **TEACHER.line, label="teacher")
        for row, density in enumerate(students_of):
            axes.plot(grid, density, **look.line, alpha=0.7, label="students" if row == 0 else None)
        axes.set(title=f"{name} as the loss", xlabel="token", ylim=(0, 0.32))
    axes.legend(loc="upper right")
show(
    figure,
    "Four students each, two of which begin over either hill. k1 drifts without aim. k2 settles on the hill where it began and leaves the other: reverse KL. k3 "
    "spreads over both: forward KL, whatever its reading says.",
    alt="Three panels with a two-hilled teacher. Students trained on k1 are scattered bells, on k2 narrow bells on one hill, on k3 wide bells over both.",
)

# %% [markdown]
# ## 5 · Does it pay?
#
# Back to *fork*, now without exact gradients: three bigrams, trained at word level first, go on for equal steps of 32 texts by four recipes. The yardstick is exact: KL(Q‖P) over all texts, what three of the four set out to minimise. From section 3: at 32 texts MiniLLM's estimate is the nearer one.

# %%
winner = predict(
    "Which recipe ends with the lowest KL(Q‖P)?",
    [
        "word level",
        "on-policy token-wise reverse KL",
        "MiniLLM with its three tamers",
        "the policy gradient with single-step decomposition only",
    ],
)

# %%
from kd_lab.methods import distill, minillm, on_policy, word_level

RECIPES = {
    "word level": (word_level(), DIVERGENCES["forward_kl"]),
    "on-policy token-wise": (on_policy(), BASELINE),
    "MiniLLM": (minillm(), DIVERGENCES["jsd"]),
    "single step only": (minillm(length_norm=False, teacher_mix=0.0), STUDENT),
}
STEPS, EVERY = 150, 15


def reverse_gap(model):
    return sequence_loss(model).item()


curves, forward_gaps, words = {}, {}, {}
for label, (recipe, _) in RECIPES.items():
    curves[label], forward_gaps[label], words[label] = [], [], []
    for number in numbers[:3]:
        pupil = student_at("word-level", number)
        result = distill(
            pupil,
            teacher,
            world,
            recipe,
            steps=STEPS,
            seed=number,
            batch_size=32,
            learning_rate=0.06,
            evaluate=reverse_gap,
            evaluate_every=EVERY,
            progress=False,
        )
        curves[label].append(result.history["evaluation"][EVERY - 1 :: EVERY])
        forward_gaps[label].append(word_loss(pupil).item())
        words[label].append(text_probability(pupil)[is_word].sum().item())

# %%
import numpy as np

from kd_lab.viz.plots import interval_curve

figure = new_figure(760, 320)
with course_style():
    axes = figure.subplots()
    steps_at = np.arange(EVERY, STEPS + 1, EVERY)
    for label, (_, look) in RECIPES.items():
        mean, half = np.array([mean_interval(column) for column in np.transpose(curves[label])]).T
        interval_curve(axes, steps_at, mean, half, look, label=label)
    axes.set(xlabel="step", ylabel="KL(Q‖P), nats a text", ylim=(0, 2.4), xlim=(0, STEPS + 5))
    axes.legend(loc="lower left")
show(
    figure,
    "Means and 95 % intervals over three seeds. Word level and token-wise reverse KL stay where they are; MiniLLM's tamed gradient gets further; the one that is right on average gets furthest.",
    alt="KL(Q‖P) against steps for four recipes; the single-step policy gradient falls lowest.",
)
final = {label: np.array(rows)[:, -1] for label, rows in curves.items()}
best = min(final, key=lambda label: final[label].mean())
winner.reveal(
    winner.options[list(RECIPES).index(best)],
    "Noise averages out over the steps. Bias points the same way at every one of them.",
)
rows = "\n".join(
    f"| {label} | {final[label].mean():.2f} | {np.mean(forward_gaps[label]):.2f} | {np.mean(words[label]):.0%} |"
    for label in RECIPES
)
display(Markdown(f"| recipe | KL(Q‖P) | KL(P‖Q) | texts that are words |\n|---|---|---|---|\n{rows}"))
claim(
    "C07a",
    "Trained by sampling, the policy gradient ends nearer to the teacher in KL(Q‖P) than on-policy token-wise reverse KL.",
    final["on-policy token-wise"] - final["single step only"],
    unit="nats lower",
    holds=(final["on-policy token-wise"] - final["single step only"]).min() > 0.3,
)
claim(
    "C07e",
    "MiniLLM with all three tamers ends nearer to the teacher than on-policy token-wise reverse KL.",
    final["on-policy token-wise"] - final["MiniLLM"],
    unit="nats lower",
    holds=(final["on-policy token-wise"] - final["MiniLLM"]).min() > 0,
)
claim(
    "C07e",
    "MiniLLM with all three tamers ends nearer to the teacher than single-step decomposition alone.",
    final["single step only"] - final["MiniLLM"],
    unit="nats lower",
    holds=(final["single step only"] - final["MiniLLM"]).min() > 0,
)
# %% [markdown]
# The last claim fails here, and that is the lesson of the explorer: at 32 texts the tamed estimate is the nearer one *for one step*, and training takes many. Before this is held against MiniLLM: its texts have hundreds of tokens, where the noise of the future is far larger than in five; its updates are clipped and its loss is helped by plain language modelling; and its authors' ablation finds all three tamers of use. Noise, bias and the number of steps decide, and you can measure all three.
#
# Nor is a low KL(Q‖P) all that one may want: look at the column beside it. The student that looks ahead has given a whole road up.
#
# ## Discuss
#
# *For two people, ten minutes.* Your colleague distils a 70B model into a 1B one with on-policy token-wise reverse KL, and is content. Would you spend a week on the future return? What would you measure first? And if your student has to keep *both* roads, what would you do with this lesson?

# %% [markdown] tags=["teacher"]
# **Expected answers.** The missing term matters as far as the student cannot follow everywhere: measure KL(q‖p) on the student's own prefixes as a function of the first tokens; if it is equally small after all of them, there is nothing to look ahead for. Cheap first measurements: the variance of the return across continuations of one prompt; whether errors cluster after certain openings; the gradient noise at the batch size at hand. A good answer mentions that batches of thousands of texts make the unbiased estimate affordable, and that the exact KL at later positions is a free, less noisy return (*exact at every step*). If both roads must stay: reverse KL over sequences is the wrong objective, since giving a road up is what it asks for; take forward KL, JSD, or a larger student. **Misconceptions:** "on-policy means policy gradient" (no gradient flows through the sampling in GKD); "unbiased is better" (at small N the biased one is nearer for a step); "less variance is better" (an estimate that is always 0 has none); "k3 is the low-variance reverse-KL loss". **Timing:** 45 minutes alone; 60 in a class. The hook, the hand example and the explorer make a lecture of 20 minutes.

# %% [markdown]
# ## Recap
#
# 1. Sequence reverse KL depends on θ twice: in what is said at a prefix, and in which prefixes come up. Token-wise on-policy KL differentiates the first only.
# 2. The missing term is the future return times the score. It matters to a student that cannot be its teacher.
# 3. The policy gradient puts it back without bias, and is several times as noisy as it is long; single-step decomposition is free of bias and helps while the student is far from its optimum.
# 4. Length normalisation and token weights buy less variance with bias: nearer for one small batch, further over a whole training.
# 5. As losses on the student's samples k1 does nothing, k2 is reverse KL, k3 is forward KL. An estimate of a value is no estimate of its gradient.
#
# ## Quiz

# %%
quiz(
    Question(
        "On-policy distillation with reverse KL at every token. Through what does no gradient flow?",
        {
            "the choice of the tokens": "Yes: the prefixes are data to it, although the student made them.",
            "the teacher": "True of every method here, and not what sets this one apart.",
            "the student's conditionals": "These are exactly what it differentiates.",
        },
        right="the choice of the tokens",
    ),
    Question(
        "You pass −KL(q_t‖p_t), computed over the whole vocabulary, as the advantage of token y_t. In expectation the student …",
        {
            "learns nothing at that position": "Yes: it is the same for all tokens of the position, and ∇Σq = 0.",
            "minimises reverse KL": "Then the number would have to tell a good token from a bad one.",
            "minimises forward KL": "No divergence at all: the expected gradient is zero.",
        },
        right="learns nothing at that position",
    ),
    Question(
        "An estimator has half the variance and a bias of a tenth of the gradient. You average ever more texts. What wins in the end?",
        {
            "the unbiased one": "Yes: variance falls as 1/N, the bias stays.",
            "the one with less variance": "For small N. Beyond the crossing its error is all bias.",
            "neither: both are consistent": "A biased one converges, but to another gradient.",
        },
        right="the unbiased one",
    ),
    Question(
        "A training log shows k3 falling towards zero. Which claim is safe?",
        {
            "KL(q‖p) is falling, as measured on samples": "Yes. As a reading k3 is unbiased for reverse KL, whatever the loss was.",
            "reverse KL was minimised": "If k3 was the loss, forward KL was.",
        },
        right="KL(q‖p) is falling, as measured on samples",
    ),
)

# %% [markdown]
# ## Glossary
#
# **Reward** here: log p − log q of a drawn token. **Return** the sum of the rewards from a position on; **future return** of those after it. **Score** ∇log q of what was drawn; its mean is zero. **Policy gradient** the gradient of an expectation over what a model writes, as a mean of return × score. **Surrogate** a loss whose gradient is wanted and whose value means nothing. **Bias** how far the mean of an estimate lies from the truth. **Variance** here: the mean squared distance of an estimate from its own mean, over all weights. **Importance weight** wanted ÷ drawn probability, which turns an average over one writer's texts into one over another's. **Bigram** a model that sees the last token only.
#
# ## Papers
#
# - Gu et al., "MiniLLM", [2306.08543](https://arxiv.org/abs/2306.08543): equation 2 the policy gradient, 3 single-step decomposition, 4 and 5 teacher-mixed sampling and its weights, 6 length normalisation.
# - Agarwal et al., "On-Policy Distillation of Language Models", [2306.13649](https://arxiv.org/abs/2306.13649), section 3: no gradient through the sampling.
# - Williams, "Simple statistical gradient-following algorithms for connectionist reinforcement learning", 1992, [doi](https://doi.org/10.1007/BF00992696): REINFORCE.
# - Schulman, "Approximating KL divergence", 2020, [joschu.net](http://joschu.net/blog/kl-approx.html): k1, k2, k3 as readings.
# - Shao et al., "DeepSeekMath", [2402.03300](https://arxiv.org/abs/2402.03300), equation 4: k3 as GRPO's penalty.
# - Tang & Munos, "On a few pitfalls in KL divergence gradient estimation for RL", [2506.09477](https://arxiv.org/abs/2506.09477).
#
# ## Next
#
# [Lesson 08](08_stacking.ipynb), *Stacking*, leaves the student's text and turns to its bytes: quantization, pruning and distillation together.
