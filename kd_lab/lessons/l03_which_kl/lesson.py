# %% [markdown]
# # 03 · HOW: which KL
#
# After this lesson you can look at a student that hedges, or at one that has dropped half of what its teacher knew, and say which divergence made it that way.

# %% tags=["hide-input"]
from kd_lab.lessons.l03_which_kl.figures import hook_figure
from kd_lab.viz import show

show(
    hook_figure(),
    "One teacher, one family of students, two directions of the same divergence. One student is wide and sits where "
    "the teacher says almost nothing; the other copies one hill and ignores the other. Which divergence made which?",
    alt="A teacher density with two hills. One student is a single broad bump across both; another covers the left hill "
    "exactly.",
)

# %% [markdown] tags=["card"]
# **You will be able to**
#
# - write forward and reverse KL in NumPy, and tell them from their common counterfeits;
# - predict from the integrand which mistakes each direction forgives;
# - find the student that each direction leads to, on a line and with tokens;
# - say when the direction matters and when it does not.
#
# **Before this:** [lesson 02](02_word_and_sequence.ipynb), for what a target at every position is. Logarithms, expectations, a Gaussian.
#
# **Time:** 40 minutes to read and do. {{measured}}

# %%
import numpy as np
from IPython.display import Markdown, display

from kd_lab.classroom import claim, exercise, predict, quiz, reveal, setup

seed = setup("03")

# %% [markdown]
# ## 1 · Two directions
#
# $p$ is the teacher's density, $q$ the student's.
# The same two letters give two divergences:
#
# $$\underbrace{\mathrm{KL}(p\|q)=\int p\,\log\frac pq}_{\text{forward: the teacher weighs}}\qquad
# \underbrace{\mathrm{KL}(q\|p)=\int q\,\log\frac qp}_{\text{reverse: the student weighs}}$$
#
# Neither is ever negative, and each is zero exactly when $q=p$.
# A student that can equal its teacher ends up there in either direction.
# Ours cannot: it is a single Gaussian, and its teacher has two modes, hills that can be moved apart.
#
# Two words need an exact meaning.
# The **valley** is the middle half of the gap between the modes.
# A mode is **kept** if the student gives its neighbourhood, two of the mode's standard deviations to each side, at least a tenth of what the teacher gives it.

# %%
predict("03.a")
predict("03.b")

# %% [markdown]
# **Explore.** Drag the second mode away.
# The upper panel shows the teacher and the best student in each direction.
# The lower one shows what each student pays at each point, before the integral adds it up.
# The students are fitted afresh at every setting, so only the position of the sliders counts, not how they got there.
# If two students are equally good, the left one is shown.

# %% tags=["hide-input"]
from kd_lab.lessons.l03_which_kl.explorers import mode_explorer

drag = mode_explorer()
drag.show()

# %% tags=["hide-input"]
drag.filmstrip(["at the brink", "just let go", "far apart", "light and broad"])

# %% tags=["hide-input"]
reveal("03.a")
reveal("03.b")

# %% [markdown]
# ### Read the integrands
#
# Press *far apart* and look at the lower panel.
#
# - **Forward**, $p\log(p/q)$: over both modes it is positive, since $q<p$ there. In the valley it is almost zero, although the student is wrong there: the weight is $p$, and $p\approx0$. *Where the teacher is silent, the student may say what it likes.* So it fills the valley.
# - **Reverse**, $q\log(q/p)$: over the lost mode it is zero, although the teacher is likely there: the weight is $q$, and $q\approx0$. *Where the student is silent, it pays nothing.* So it can drop a mode.
#
# Each direction can cost without bound, but only in one kind of place.
# For forward KL it is where $p>0$ and $q\to0$: there $q$ must not vanish, and the direction is called **zero-avoiding**.
# For reverse KL it is where $q>0$ and $p\to0$: there $q$ has to vanish, and the direction is called **zero-forcing**.
# Two tokens are enough to see it: one of the two models gives each token probability ½, the other lets one of them vanish.

# %% tags=["hide-input"]
from kd_lab.lessons.l03_which_kl.figures import BOTH, cliffs_figure
from kd_lab.measure.gaussian_student import integrand

vanishing = np.logspace(-12, -0.301, 60)  # up to one half
small = np.log(np.stack([vanishing, 1 - vanishing], axis=1))
even = np.log(np.full_like(small, 0.5))
sides = {"forgets": (small, even), "invents": (even, small)}  # (student, teacher)
costs = {(what, name): integrand(*pair, name).sum(-1) for what, pair in sides.items() for name in BOTH}
show(
    cliffs_figure(vanishing, costs),
    "Left: only forward KL grows without end when the student forgets a token of the teacher's. Right: only reverse KL does when it invents one.",
    alt="Two panels of divergence against a vanishing probability on a log scale: forward KL rises on the left panel, reverse KL on the right one; the other stays below 0.7.",
)
for what, grows, stays, sentence in (
    (
        "forgets",
        "forward_kl",
        "reverse_kl",
        "Where the student forgets a token, forward KL grows without bound and reverse KL stays below ln 2.",
    ),
    (
        "invents",
        "reverse_kl",
        "forward_kl",
        "Where the student invents a token, reverse KL grows without bound and forward KL stays below ln 2.",
    ),
):
    high, low = costs[what, grows][0], costs[what, stays][0]
    claim(
        "C03d",
        sentence,
        high / low,
        unit="times the other at a probability of 1e-12",
        holds=high > 10 and low <= np.log(2),
    )

# %% [markdown]
# ### By hand, with three tokens
#
# The three tokens are *left*, *middle* and *right*, and the teacher hardly ever says *middle*: $p=(0.49,\,0.02,\,0.49)$.
# There are two students: *cover* $=(\tfrac13,\tfrac13,\tfrac13)$ and *commit* $=(0.96,\,0.02,\,0.02)$.
#
# | | *cover* pays | *commit* pays |
# |---|---|---|
# | forward | $2\cdot0.49\ln\frac{0.49}{1/3}+0.02\ln\frac{0.02}{1/3}$ | $0.49\ln\frac{0.49}{0.96}+0+0.49\ln\frac{0.49}{0.02}$ |
# | reverse | $2\cdot\frac13\ln\frac{1/3}{0.49}+\frac13\ln\frac{1/3}{0.02}$ | $0.96\ln\frac{0.96}{0.49}+0+0.02\ln\frac{0.02}{0.49}$ |
#
# Work out the four numbers and say which student each direction prefers.
# Then write the function that checks them.
#
# ### Exercise 03.1 · Forward KL (●○○, 8 minutes)
#
# Turn log-probabilities `[..., V]` into one number per position, `[...]`, in nats.
# A log-probability may be `-inf`.


# %%
@exercise("03.1")
def forward_kl(student_logp, teacher_logp):
    """KL(p‖q) in nats at each position: [..., V], [..., V] -> [...]. log 0 is -inf."""
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Which of the two distributions stands in front of the logarithm, and what is 0 · log 0?
#
# </details>
# <details><summary>Hint 2</summary>
#
# `p = np.exp(teacher_logp)`; take the difference of the logs only `where=p > 0` (`np.subtract` has this argument, and `out=` supplies the values elsewhere).
#
# </details>

# %% [markdown] tags=["solution:03.1"]
# solution

# %% [markdown]
# Reverse KL needs no second function: it is the same one with its arguments exchanged.


# %%
def reverse_kl(student_logp, teacher_logp):
    """KL(q‖p): [..., V], [..., V] -> [...]."""
    return forward_kl(teacher_logp, student_logp)


p = np.log([0.49, 0.02, 0.49])
cover, commit = np.log([1 / 3, 1 / 3, 1 / 3]), np.log([0.96, 0.02, 0.02])
print("          cover   commit")
print(f"forward   {forward_kl(cover, p):.3f}   {forward_kl(commit, p):.3f}")
print(f"reverse   {reverse_kl(cover, p):.3f}   {reverse_kl(commit, p):.3f}")

# %% [markdown]
# Forward KL prefers the student that covers, reverse KL the one that commits.
#
# **Two counterfeits.**
# (1) `torch.nn.functional.kl_div(input, target, log_target=True)` is KL(target‖input) of two log-probabilities: forward KL if `input` is the student's.
# Exchange the two and the code still runs, but trains the other student.
# Its default reduction also divides by the number of all entries, $V$ included; `reduction="sum"` does not.
# (2) The loss called `forward_kl` in a public code base for distillation ([DistiLLM, losses.py](https://github.com/jongwooko/distillm/blob/17c0f98bc263b1861a02d5df578c84aea652ee65/distillm/losses.py)) returns $-\sum p\log q$.
# That is the cross-entropy: it has the same gradient but a different value, which is not zero at $q=p$.
# Training by it alone is the same. Its value misleads, compared with that of another divergence, and so it does in a mixture of losses whose weights are set by their values.
#
# The next cell compares your numbers with the library's and torch's, where torch is installed; all else in this lesson is NumPy.

# %%
from importlib.util import find_spec

p3, q3 = np.log([0.7, 0.2, 0.1]), np.log([0.2, 0.3, 0.5])
if find_spec("torch"):
    import torch

    from kd_lab import how

    p_torch, q_torch = torch.from_numpy(p3), torch.from_numpy(q3)
    assert np.isclose(forward_kl(q3, p3), how.forward_kl(q_torch, p_torch), rtol=1e-5)
    assert np.isclose(reverse_kl(q3, p3), how.reverse_kl(q_torch, p_torch), rtol=1e-5)
    kl_div = torch.nn.functional.kl_div(q_torch, p_torch, log_target=True, reduction="sum")
    print(f"your forward KL {forward_kl(q3, p3):.6f}, kl_div(student, teacher) {kl_div:.6f}")
cross_entropy = -(np.exp(p3) * p3).sum()
print(f"at q = p: cross-entropy {cross_entropy:.6f}, forward KL {forward_kl(p3, p3):.6f}")

# %% [markdown]
# ## 2 · Fit them
#
# Which Gaussian $q=\mathcal N(\mu,\sigma^2)$ has the least forward KL?
# Of forward KL, only $-\int p\log q=\int p\,\big(\tfrac{(x-\mu)^2}{2\sigma^2}+\log\sigma\big)+\text{const}$ depends on the student.
# Set both derivatives to zero: $\mu$ is the teacher's mean and $\sigma^2$ its variance.
#
# For a teacher whose two modes have weights $w_1, w_2$ and widths $\sigma_1,\sigma_2$ and stand $d$ apart, this variance is $w_1\sigma_1^2+w_2\sigma_2^2+w_1w_2d^2$.
# For distant modes the student's width grows in proportion to the distance.
#
# ### Exercise 03.2 · Forward KL's Gaussian (●○○, 5 minutes)
#
# `x` holds the midpoints of a grid's cells, `cell` is the width of each cell, and `teacher_logp` is $\log p$ at `x`.
# Return the mean and the standard deviation, which we call the width.


# %%
@exercise("03.2")
def fit_forward(x, cell, teacher_logp):
    """Mean and width of the Gaussian with the least forward KL: [N], float, [N] -> two floats."""
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# A density times the width of a cell is the probability of that cell. An expectation is a sum of probability × value.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `mass = np.exp(teacher_logp) * cell`; the variance is the expectation of `(x - mean) ** 2`, and the width its root.
#
# </details>

# %% [markdown] tags=["solution:03.2"]
# solution

# %%
from kd_lab.lessons.l03_which_kl.explorers import valley
from kd_lab.lessons.l03_which_kl.figures import CELL, X
from kd_lab.measure.gaussian_student import Gaussian, modes_kept, nearest_gaussian
from kd_lab.worlds.densities import two_hills

distances, ratios, kept_both = np.arange(2.0, 7.01, 1.0), [], []
for distance in distances:
    teacher = two_hills(second=-2 + distance)
    student = Gaussian(*map(float, fit_forward(X, CELL, teacher.logpdf(X))))
    found = nearest_gaussian(X, CELL, teacher.logpdf(X), "forward_kl")
    assert abs(student.mean - found.mean) + abs(student.width - found.width) < 1e-4
    q, p_density = np.exp(student.logpdf(X)), np.exp(teacher.logpdf(X))
    ratios.append(valley(q, teacher) / valley(p_density, teacher))
    kept_both.append(modes_kept(X, q, teacher).all())

# %% tags=["hide-input"]
print("distance of the modes                " + "".join(f"{d:9.0f}" for d in distances))
print("mass in the valley, student ÷ teacher" + "".join(f"{ratio:9,.1f}" for ratio in ratios))
claim(
    "C03a",
    "Forward KL's Gaussian keeps both modes, 5 apart, and fills the valley between them.",
    ratios[3],
    unit="times the teacher's mass in the valley",
    holds=kept_both[3] and ratios[3] > 10,
)

# %% [markdown]
# Reverse KL has no such formula, so its student has to walk downhill.
# At each point, the slope of either loss is a weight times the **score**, the derivative of $\log q$ with respect to a parameter $\theta$, here $\mu$ or $\sigma$:
#
# $$\frac{\partial}{\partial\theta}\mathrm{KL}(p\|q)=\int -p\;\frac{\partial\log q}{\partial\theta},\qquad
# \frac{\partial}{\partial\theta}\mathrm{KL}(q\|p)=\int q\log\frac qp\;\frac{\partial\log q}{\partial\theta}$$
#
# Forward KL averages over the teacher, reverse KL over the student, which therefore learns nothing about places where it has no mass.
# Our teacher here has two equal modes, 4 apart.
# We start 24 students at random, with means between −5 and 5 and widths between 0.3 and 2, and do so five times over.

# %%
predict("03.c")

# %%
from kd_lab.lessons.l03_which_kl.descent import GRID, STEP, descend, outside
from kd_lab.lessons.l03_which_kl.explorers import EQUAL
from kd_lab.measure.gaussian_student import gaussian_logpdf

starts = []
for s in range(5):
    generator = np.random.default_rng([seed, s])
    starts.append(np.column_stack([generator.uniform(-5, 5, 24), generator.uniform(0.3, 2.0, 24)]))
means, widths = np.concatenate(starts).T
ends = descend(EQUAL, "reverse_kl", means, widths)[-1]  # (mean, width) of each of 120 students

# %% tags=["hide-input"]
from kd_lab.lessons.l03_which_kl.figures import basins_figure

p_grid = np.exp(EQUAL.logpdf(GRID))
logq = gaussian_logpdf(GRID, *ends.T)
kept = modes_kept(GRID, np.exp(logq), EQUAL)
locked = kept.sum(1) == 1
gaps = integrand(logq, EQUAL.logpdf(GRID), "reverse_kl").sum(1) * STEP
show(
    basins_figure(EQUAL, np.column_stack([means, widths]), ends, kept),
    "Each mark is a start, stars are the ends. Where a student starts decides which mode it takes; a few, from near the middle, stop at a shallow third optimum, which is wide.",
    alt="A map of students by mean and width: two deep basins at means −2 and 2, joined by a shallow bridge. Starts on the left end left, on the right right, a few in the middle on the bridge.",
)
reveal(
    "03.c",
    students=locked.size,
    on_left=int((locked & kept[:, 0]).sum()),
    on_right=int((locked & kept[:, 1]).sum()),
    over_both=int((~locked).sum()),
    wide_cost=gaps[~locked].mean() if (~locked).any() else 0,
    narrow_cost=gaps[locked].mean(),
)

# %% tags=["hide-input"]
best = [kept[s * 24 + gaps[s * 24 : (s + 1) * 24].argmin()] for s in range(5)]
claim(
    "C03b",
    "Reverse KL's best student of 24 random starts keeps one mode of two.",
    (np.sum(best, axis=1) == 1).sum(),
    unit="of 5 draws",
    holds=(np.sum(best, axis=1) == 1).all(),
)
claim(
    "C03b",
    "A single random start ends on one mode most of the time.",
    locked.reshape(5, 24).mean(1),
    unit="of the starts",
    above=0.5,
)
away = outside(np.exp(logq), p_grid)
claim(
    "C03b",
    "On one mode, next to none of the student's mass lies outside the teacher's support, the smallest region with 99.9 % of the teacher.",
    [away[s * 24 : (s + 1) * 24][locked[s * 24 : (s + 1) * 24]].mean() for s in range(5)],
    unit="of the student's mass",
    below=0.005,
)
wide = nearest_gaussian(GRID, STEP, EQUAL.logpdf(GRID), "forward_kl")
print(f"Of forward KL's student {outside(np.exp(wide.logpdf(GRID)), p_grid):.0%} lies outside that region.")

# %% [markdown]
# **Explore.** Choose a start and walk.
# Each point of the map on the left is a Gaussian; the sliders place the start, a white square.
# Change the direction, and both the map and the path change.

# %% tags=["hide-input"]
from kd_lab.lessons.l03_which_kl.explorers import descent_explorer

walk = descent_explorer()
walk.show()

# %% tags=["hide-input"]
walk.filmstrip([{"mean": -1.0}, "narrow, in the middle", "wide, in the middle", "the same, forward"])

# %% [markdown]
# ## 3 · The same with tokens
#
# A student that is a language model is no Gaussian.
# It is a softmax over $V$ tokens, and its logits, one row per context, form a matrix of low rank: hidden states times output embeddings, plus a bias.
#
# Our teacher has an alphabet of 20 letters.
# After each letter three letters are plausible and share 96 % of the probability; the other 17 share 4 %.
# A student of rank 2 cannot place three peaks freely in each of 20 rows.
# Will it hedge, or drop tokens?
#
# To train it we need the gradient with respect to the logits $z$, where $q=\mathrm{softmax}(z)$.
# For forward KL it is $q-p$.
#
# ### Exercise 03.3 · The gradient of reverse KL (●●○, 10 minutes)
#
# Start from $\partial q_i/\partial z_j=q_i(\delta_{ij}-q_j)$, where $\delta_{ij}$ is 1 for $i=j$ and 0 otherwise.


# %%
@exercise("03.3")
def reverse_kl_gradient(student_logp, teacher_logp):
    """Gradient of KL(q‖p) with respect to the student's logits: [..., V], [..., V] -> [..., V]."""
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Differentiate $\sum_i q_i\log(q_i/p_i)$ with respect to $q_i$ first, then apply the chain rule through the softmax. The entries of a gradient with respect to logits sum to 0: check yours.
#
# </details>
# <details><summary>Hint 2</summary>
#
# It is $q$ times the difference between something and its average under $q$. Use `keepdims=True` for the average.
#
# </details>

# %% [markdown] tags=["solution:03.3"]
# solution

# %%
predict("03.d")

# %%
from kd_lab.measure.low_rank_student import implausible_mass, peaked_teacher, train_low_rank

draws = [np.random.default_rng([seed, s]) for s in range(5)]
teachers = np.stack([peaked_teacher(draw) for draw in draws])  # log p, [5, 20, 20]
plausible = teachers > np.log(0.04)


def forward_kl_gradient(student_logp, teacher_logp):
    return np.exp(student_logp) - np.exp(teacher_logp)


def peaks_kept(student_logp):
    """The share of plausible tokens with a tenth of the teacher's probability or more: [5]."""
    kept = plausible & (student_logp >= teachers + np.log(0.1))
    return kept.sum((1, 2)) / plausible.sum((1, 2))


GRADIENTS = {"forward_kl": forward_kl_gradient, "reverse_kl": reverse_kl_gradient}
ranks = [1, 2, 3, 4, 8, 20]
students = {
    name: {rank: train_low_rank(teachers, gradient, rank, seed=seed)[0] for rank in ranks}
    for name, gradient in GRADIENTS.items()
}  # log q, as the teachers

# %% tags=["hide-input"]
from kd_lab.lessons.l03_which_kl.figures import tables_figure

hedged, committed = students["forward_kl"][2], students["reverse_kl"][2]
shown = {"teacher": teachers[0], "student, forward KL": hedged[0], "student, reverse KL": committed[0]}
show(
    tables_figure({title: np.exp(logp) for title, logp in shown.items()}),
    "Rank 2. In the middle the rows are smeared over columns that are blank in the teacher's. On the right almost every dark cell is "
    "one of the teacher's, but many of the teacher's are missing.",
    alt="Three tables of probabilities, 20 letters by 20 next letters: the teacher with three dark cells per row, the forward-KL "
    "student smeared, the reverse-KL student with fewer and darker cells.",
)
reveal("03.d", masses=[implausible_mass(one, teachers).mean() for one in (hedged, committed)])
claim(
    "C03c",
    "At rank 2 a softmax student puts more mass on implausible tokens under forward KL than under reverse KL.",
    implausible_mass(hedged, teachers) - implausible_mass(committed, teachers),
    unit="more mass, pairs with the same teacher and start",
    above=0.1,
)
claim(
    "C03c",
    "At rank 2 a softmax student keeps fewer of the teacher's plausible tokens under reverse KL.",
    peaks_kept(hedged) - peaks_kept(committed),
    unit="more of the plausible tokens kept by forward KL",
    above=0.1,
)

# %% [markdown]
# ### What they write
#
# A table of next letters is a small language model: draw a letter, look up its row, draw the next.
# Bold capitals mark letters that the teacher finds implausible after the preceding one.

# %% tags=["hide-input"]
from kd_lab.lessons.l03_which_kl.writing import writing_table

display(Markdown(writing_table(shown, plausible[0], seed)))
display(Markdown("The last two columns are counted over 2,000 letters."))

# %% [markdown]
# Forward KL's student says nearly all that the teacher says, and much that the teacher hardly ever would.
# Reverse KL's makes few mistakes, but it repeats itself: it has only part of the teacher's repertoire.
# In a single text reverse KL's student looks better; only over many letters does it show what is missing.
#
# **When does it not matter?**
# Give the student a higher rank.
# At rank 20 its logits can be anything, so $q=p$ is within reach, and both directions have the same optimum.

# %% tags=["hide-input"]
from kd_lab.lessons.l03_which_kl.figures import capacity_figure

mass = {name: np.array([implausible_mass(q, teachers) for q in by.values()]) for name, by in students.items()}
recall = {name: np.array([peaks_kept(q) for q in by.values()]) for name, by in students.items()}
show(
    capacity_figure(ranks, mass, recall),
    "The two directions differ by what the student cannot do. With enough rank they meet at the teacher. Bands are 95 % intervals over 5 teachers.",
    alt="Mass on implausible tokens and share of plausible tokens kept against the rank, for forward and reverse KL; the curves meet at rank 20.",
)
claim(
    "C03c",
    "At full rank the directions agree: they differ in how a student fails.",
    np.abs(mass["forward_kl"][-1] - mass["reverse_kl"][-1]),
    unit="difference in mass on implausible tokens",
    below=0.01,
)

# %% [markdown]
# Remember this when someone reports that one direction "is better".
# That depends on how far the student is from being able to copy, and on how long it is trained: [Wu et al. 2024](https://arxiv.org/abs/2404.02657) make the second point for language models.
#
# **Last check: the plane.**
# Three modes in a triangle, one round Gaussian, 16 random starts in each of five draws.

# %%
from kd_lab.lessons.l03_which_kl.descent import copied_modes, descend_on_plane

landed, one_mode, best_copies = [], [], []
for s in range(5):
    generator = np.random.default_rng([seed, s])
    centers, widths = generator.uniform(-4, 4, (16, 2)), generator.uniform(0.4, 1.5, 16)
    students_2d, nats = descend_on_plane(centers, widths)
    copies = copied_modes(students_2d)  # [start, mode]
    landed.append(students_2d)
    one_mode.append(copies.any(1).mean())
    best_copies.append(copies[nats.argmin()].mean())

# %% tags=["hide-input"]
from kd_lab.lessons.l03_which_kl.figures import plane_figure

show(
    plane_figure(np.concatenate(landed)),
    "Shades are the teacher, rings the students at one and two standard deviations. Forward KL's only optimum is centred "
    "where the teacher says nothing. Reverse KL's students are copies of one mode each, except for the few in a worse, wide optimum.",
    alt="A plane with three blobs. Left: one large ring around the empty middle. Right: small rings that coincide with the "
    "three blobs, and one large ring in the middle.",
)
claim(
    "C03c",
    "In the plane, too, reverse KL's best student is a copy of one mode of three.",
    np.isclose(best_copies, 1 / 3).sum(),
    unit="of 5 draws",
    holds=np.allclose(best_copies, 1 / 3),
)
claim(
    "C03c",
    "In the plane a single random start ends on one mode most of the time.",
    one_mode,
    unit="of the starts",
    above=0.5,
)

# %% [markdown]
# ## In the wild
#
# MiniLLM (2023) distils language models with 120M to 13B parameters by reverse KL.
# Its abstract gives our reason: to keep the student from "overestimating the low-probability regions of the teacher distribution", the valley of this lesson.
# GKD's abstract (2023) gives our condition: alternative losses "can be useful when the student lacks the expressivity to mimic the teacher's distribution", the left side of the rank figure.
#
# What does not carry over from our toy is the size of the effect.
# A real student's hidden state has hundreds of entries or more, not two, and its vocabulary tens of thousands of tokens, not twenty. Both papers also change whose texts the student learns from, which is the subject of [lesson 05](05_where.ipynb).
#
# ## Discuss
#
# *For two people, ten minutes.*
# A company distils two students from one teacher.
# One drafts replies that a person edits; the other answers medical questions, and nobody checks its answers.
# Which direction would you choose for each, and what would make you change your mind?
# What would you measure to find out that you were wrong?

# %% [markdown] tags=["teacher"]
# **Expected answers.** The drafts want coverage: a missing phrasing is a loss, an odd one is edited away, so forward KL. The answers want precision: an invented token is costly, a missing variant is not, so reverse KL. Minds should change if the student has enough capacity (then the direction hardly matters, as the rank experiment shows), or if the answers must keep rare but vital cases (reverse KL forgets exactly those: mass on the rare modes is what to measure). Good measures: mass on implausible tokens (precision), share of plausible tokens kept (recall), both per position and on the students' own texts. A common misconception: "reverse KL is better because its samples look better". That same student has dropped part of the answers; look at recall. **Timing:** 40 minutes alone, 60 in a class; the two explorers alone fill a lecture of 20 minutes.

# %% [markdown]
# ## Recap
#
# 1. The distribution in front of the logarithm decides where an error is costly: the teacher's in forward KL, the student's in reverse KL.
# 2. Under forward KL a student must not miss what the teacher says: it covers, and fills valleys.
# 3. Under reverse KL it must not say what the teacher does not: it commits, and drops modes. Which one it keeps depends on the start.
# 4. With tokens it is the same: a student of low rank writes implausible letters under forward KL, and too few of the plausible ones under reverse KL.
# 5. How far the directions lie apart depends on how far the student is from being able to copy. With enough capacity both have the same optimum, and only the path to it differs.
#
# ## Quiz

# %%
quiz("03")

# %% [markdown]
# ## Glossary
#
# **Forward KL** KL(p‖q), the teacher weighs; zero-avoiding, mode-covering. **Reverse KL** KL(q‖p), the student weighs; zero-forcing, mode-seeking. **Mode** a local peak of a distribution. **Valley** here: the middle half of the gap between two modes. **Integrand** what is added up over x, or over tokens, to give the divergence. **Score** the derivative of log q with respect to a parameter. **Support** where a distribution is more than negligible; here the smallest region with 99.9 % of it. **Rank** here the width of the hidden states: without the bias, the matrix of all contexts' logits has no more independent directions than that. **Nat** the unit of a natural logarithm; 1 nat is 1.44 bits.
#
# ## Papers
#
# - Kullback & Leibler, "On information and sufficiency", 1951, equation 2.4: the divergence.
# - Bishop, *Pattern Recognition and Machine Learning*, 2006, section 10.1.2 and figure 10.3: both directions on two modes.
# - Minka, "Divergence measures and message passing", Microsoft Research TR-2005-173: zero-forcing and zero-avoiding.
# - Gu et al., "MiniLLM", [2306.08543](https://arxiv.org/abs/2306.08543), equation 1: reverse KL for language models.
# - Agarwal et al., "On-Policy Distillation of Language Models", [2306.13649](https://arxiv.org/abs/2306.13649): the choice of the divergence as a knob.
# - Wu et al., "Rethinking Kullback–Leibler Divergence in Knowledge Distillation for Large Language Models", [2404.02657](https://arxiv.org/abs/2404.02657).
# - Yang et al., "Breaking the Softmax Bottleneck", [1711.03953](https://arxiv.org/abs/1711.03953): why rank limits a softmax.
#
# ## Next
#
# [Lesson 03b](03b_between_the_kls.ipynb) is about what lies between the two: JSD, temperature, and how to compare losses of different size.
# [Lesson 04](04_fused_softmax_kl.ipynb) makes them fast; [lesson 05](05_where.ipynb) asks on whose text they should be measured.
