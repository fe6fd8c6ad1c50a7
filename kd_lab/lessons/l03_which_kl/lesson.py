# %% [markdown]
# # 03 · HOW: which KL
#
# After this lesson you can look at a student that hedges, or at one that has dropped half of what its teacher knew, and say which divergence made it so.

# %% tags=["hide-input"]
import numpy as np

from kd_lab.lessons.l03_which_kl.figures import draw_fits, move_fits
from kd_lab.lessons.l03_which_kl.fits import integrand, nearest_gaussian
from kd_lab.viz import DIVERGENCES, course_style, new_figure, show
from kd_lab.worlds.densities import Mixture1D, line

FIRST = -2.0  # where the teacher's first mode stands, in every picture of this lesson
x, cell = line(-12, 15, 540)


def two_hills(second=3.0, weight=0.5, width=0.5):
    """A teacher with a mode at −2 and one at `second`, of this weight and width."""
    return Mixture1D(weights=(1 - weight, weight), means=(FIRST, second), widths=(0.5, width))


def fit(teacher, divergence, beta=0.5, view=lambda logp: logp):
    """The nearest Gaussian, its density on the grid, and its integrand. `view` is what it is shown of the teacher."""
    teacher_logp = view(teacher.logpdf(x))
    modes = list(zip(teacher.means, teacher.widths, strict=True))
    student = nearest_gaussian(x, cell, teacher_logp, divergence, beta, starts=modes)
    student_logp = student.logpdf(x)
    return student, np.exp(student_logp), integrand(student_logp, teacher_logp, divergence, beta)


LIMITS = {"xlim": (-7, 9), "density_top": 0.95, "integrand_limits": (-0.35, 1.1)}
FORMULAS = {"forward_kl": "p·log(p/q)", "reverse_kl": "q·log(q/p)"}
BOTH = {name: DIVERGENCES[name] for name in FORMULAS}

hook = new_figure(760, 440)
teacher = two_hills()
with course_style():
    artists = draw_fits(hook, BOTH, integrand_labels=FORMULAS, **LIMITS)
    hook.axes[0].annotate("the valley", (0.5, 0.17), (0.5, 0.42), ha="center", arrowprops={"arrowstyle": "->"})
move_fits(artists, x, np.exp(teacher.logpdf(x)), {name: fit(teacher, name)[1:] for name in BOTH})
show(
    hook,
    "One teacher, one family of students, two directions of the same divergence. One student is wide and sits where "
    "the teacher says almost nothing; the other copies one hill and ignores the other.",
    alt="Above: a teacher density with two hills; the forward-KL student is one broad bump across both, the reverse-KL "
    "student covers the left hill exactly. Below: the integrands of both divergences.",
)

# %% [markdown] tags=["card"]
# **You will be able to**
# - write forward KL, reverse KL and JSD(β) in NumPy, and tell them from their common counterfeits;
# - predict from the integrand which mistakes a divergence forgives;
# - say when the direction matters and when it does not;
# - compare divergences fairly, at equal gradient norm, and at any temperature.
#
# **Before this:** [lesson 02](02_word_and_sequence.ipynb), for what a target at every position is. Logarithms, expectations, a Gaussian.
#
# **Time:** 45 minutes to read and do. {{measured}}

# %%
from dataclasses import replace

from IPython.display import Markdown, display

from kd_lab.classroom import claim, exercise, predict, quiz, reveal, setup

seed = setup("03")

# %% [markdown]
# ## 1 · Two directions
#
# $p$ is the teacher's density, $q$ the student's. The same two letters give two divergences:
#
# $$\underbrace{\mathrm{KL}(p\|q)=\int p\,\log\frac pq}_{\text{forward: the teacher weighs}}\qquad
# \underbrace{\mathrm{KL}(q\|p)=\int q\,\log\frac qp}_{\text{reverse: the student weighs}}$$
#
# Both are zero exactly when $q=p$ and are never negative. A student that can equal its teacher does not care which one it is given. Ours cannot: it is a single Gaussian, and the teacher has two modes, hills that may be moved apart.

# %%
predict("03.a")
predict("03.b")

# %% [markdown]
# Two measures make "stretches" and "lets go" exact. The **valley** is the middle half of the gap between the modes. A mode is **kept** when the student gives its neighbourhood (two widths to each side) at least a tenth of what the teacher gives it.


# %%
def valley_mass(density, teacher):
    """The probability of the middle half of the gap between the two modes."""
    low, high = sorted(teacher.means)
    return density[np.abs(x - (low + high) / 2) < (high - low) / 4].sum() * cell


def modes_kept(density, teacher):
    """Which of the modes the student keeps: one boolean a mode."""
    near = np.abs(x - teacher.means[:, None]) < 2 * teacher.widths[:, None]
    return (near * density).sum(1) >= 0.1 * (near * np.exp(teacher.logpdf(x))).sum(1)


# %% [markdown]
# **Drag the second mode away.** The upper panel shows the teacher and the best student under each direction; the lower one what each student pays at each point, before the integral adds it up. The students are the best Gaussians there are, found anew for every setting, so that the picture depends on the sliders and not on the way you came. Of two equally good ones the left is shown.

# %% tags=["hide-input"]
from kd_lab.viz import Explorer, Slider


def follow(artists, second, weight, width):
    teacher = two_hills(second, weight, width)
    density = np.exp(teacher.logpdf(x))
    found = {name: fit(teacher, name) for name in BOTH}
    move_fits(artists, x, density, {name: parts[1:] for name, parts in found.items()})
    (wide, wide_q, _), (narrow, narrow_q, _) = found["forward_kl"], found["reverse_kl"]
    if second - FIRST < 2 * max(teacher.widths):
        return (
            f"The modes are {second - FIRST:.3g} apart and overlap: forward KL's student has width {wide.width:.2f}, "
            f"reverse KL's {narrow.width:.2f}; the direction matters little."
        )
    both = modes_kept(narrow_q, teacher).all()
    return (
        f"With the modes {second - FIRST:.3g} apart, forward KL's student has width {wide.width:.2f} and puts "
        f"{valley_mass(wide_q, teacher):.0%} of its mass in the valley (the teacher: {valley_mass(density, teacher):.1%}); "
        f"reverse KL's has width {narrow.width:.2f} and {'covers both modes' if both else 'keeps 1 of 2 modes'}."
    )


drag = Explorer(
    name="drag the second mode",
    controls=[
        Slider("second mode at", -2.0, 5.0, 0.05, start=0.0),
        Slider("its weight", 0.1, 0.9, 0.05, start=0.5),
        Slider("its width", 0.5, 1.2, 0.05, start=0.5),
    ],
    create=lambda figure: draw_fits(figure, BOTH, integrand_labels=FORMULAS, **LIMITS),
    update=follow,
    presets={
        "at the brink": {"second mode at": 0.75},
        "just let go": {"second mode at": 0.85},
        "far apart": {"second mode at": 5.0},
        "light and broad": {"second mode at": 2.5, "its weight": 0.2, "its width": 1.0},
    },
    size=(760, 440),
)
drag.show()

# %%
drag.filmstrip()

# %%
reveal("03.a")
reveal("03.b")

# %% [markdown]
# ### Read the integrands
#
# Press *far apart* and look at the lower panel.
#
# - **Forward**, $p\log(p/q)$: over the modes it is positive, since $q<p$ there. In the valley it is almost zero, although the student is wrong there: the weight is $p$, and $p\approx0$. *What the teacher never says is free.* So the student fills the valley.
# - **Reverse**, $q\log(q/p)$: over the lost mode it is zero, although the teacher is likely there: the weight is $q$, and $q\approx0$. *What the student never says is free.* So the mode can go.
#
# Each direction is dear at exactly one place: forward KL where $p>0$ and $q\to0$ (it is *zero-avoiding*: $q$ must not vanish there), reverse KL where $q>0$ and $p\to0$ (it is *zero-forcing*: $q$ has to vanish there). Two tokens are enough to see it.

# %% tags=["hide-input"]
decades = np.logspace(-12, -0.301, 60)  # the probability that goes to zero, up to one half
small = np.log(np.stack([decades, 1 - decades], axis=1))
even = np.log(np.full_like(small, 0.5))
cliffs = new_figure(760, 320)
names = ["forward_kl", "reverse_kl", "jsd", "skew_kl"]
dear = {}
with course_style():
    panels = cliffs.subplots(1, 2, sharey=True)
    cases = {"forgets": (small, even, "q → 0, p = ½"), "invents": (even, small, "p → 0, q = ½")}
    for axes, (what, (student, other, limit)) in zip(panels, cases.items(), strict=True):
        for name in names:
            cost = integrand(student, other, name, 0.5 if name == "jsd" else 0.1).sum(-1)
            dear[what, name] = cost[0]
            label = {"jsd": "JSD(½)", "skew_kl": "skew KL(0.1)"}.get(name, DIVERGENCES[name].label)
            axes.plot(decades, cost, **DIVERGENCES[name].line, label=label)
        axes.set(xscale="log", title=f"the student {what} a token: {limit}", ylim=(0, 15))
        axes.set_xlabel("the probability that vanishes")
    panels[0].set_ylabel("divergence (nats)")
    panels[0].legend()
show(
    cliffs,
    "Left: only forward KL grows without end when a token of the teacher's is forgotten. Right: only reverse KL does "
    "when a token is invented. JSD(½) and skew KL(0.1) stay bounded on both sides.",
    alt="Two panels of divergence against a vanishing probability on a log scale: forward KL rises on the left panel, "
    "reverse KL on the right one, the others stay flat.",
)
forgotten, invented = dear["forgets", "forward_kl"], dear["invents", "reverse_kl"]
claim(
    "C03d",
    "Forward KL blows up where the teacher speaks and the student does not; reverse KL stays bounded there.",
    forgotten / dear["forgets", "reverse_kl"],
    unit="times reverse KL, at q = 1e-12",
    holds=forgotten > 10 and dear["forgets", "reverse_kl"] <= np.log(2),
)
claim(
    "C03d",
    "Reverse KL blows up where the student speaks and the teacher does not; forward KL stays bounded there.",
    invented / dear["invents", "forward_kl"],
    unit="times forward KL, at p = 1e-12",
    holds=invented > 10 and dear["invents", "forward_kl"] <= np.log(2),
)

# %% [markdown]
# ### By hand, with three tokens
#
# The teacher says *left* or *right*, hardly ever *middle*: $p=(0.49,\,0.02,\,0.49)$. Two students offer themselves: *cover* $=(\tfrac13,\tfrac13,\tfrac13)$ and *commit* $=(0.96,\,0.02,\,0.02)$.
#
# Forward: *cover* pays $2\cdot0.49\ln\frac{0.49}{1/3}+0.02\ln\frac{0.02}{1/3}$, *commit* pays $0.49\ln\frac{0.49}{0.96}+0+0.49\ln\frac{0.49}{0.02}$. Reverse: *cover* pays $2\cdot\frac13\ln\frac{1/3}{0.49}+\frac13\ln\frac{1/3}{0.02}$, *commit* $0.96\ln\frac{0.96}{0.49}+0+0.02\ln\frac{0.02}{0.49}$.
#
# Work out the four numbers, say which student each direction prefers, then write the function that checks you.
#
# ### Exercise 03.1 · Forward KL (●○○, 8 minutes)
#
# From log-probabilities `[..., V]` to one number per position, `[...]`, in nats. A log-probability may be `-inf`.


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
# `p = np.exp(teacher_logp)`; take the difference of the logs only `where=p > 0` (`np.subtract` has such an argument, and `out=` for what stands elsewhere).
#
# </details>

# %% [markdown] tags=["solution:03.1"]
# solution

# %% [markdown]
# Reverse KL needs no second function. And two counterfeits are worth knowing by sight.


# %%
def reverse_kl(student_logp, teacher_logp):
    """KL(q‖p): the same function with the two exchanged."""
    return forward_kl(teacher_logp, student_logp)


p = np.log([0.49, 0.02, 0.49])
students = {"cover": np.log([1 / 3, 1 / 3, 1 / 3]), "commit": np.log([0.96, 0.02, 0.02])}
costs = {name: (float(forward_kl(q, p)), float(reverse_kl(q, p))) for name, q in students.items()}
rows = "\n".join(f"| {name} | {forward:.3f} | {reverse:.3f} |" for name, (forward, reverse) in costs.items())
choice = [min(costs, key=lambda name: costs[name][i]) for i in (0, 1)]
display(
    Markdown(
        f"| student | KL(p‖q) | KL(q‖p) |\n|---|---|---|\n{rows}\n\nForward KL prefers **{choice[0]}**, reverse KL **{choice[1]}**."
    )
)

# %% [markdown]
# **Two traps in public code.** (1) `torch.nn.functional.kl_div(input, target)` is KL(target‖input): forward KL if `input` is the student's log-probability. Exchange the two and it runs without a murmur and trains the other student. (2) The loss called `forward_kl` in a public distillation code base ([DistiLLM, losses.py](https://github.com/jongwooko/distillm/blob/17c0f98bc263b1861a02d5df578c84aea652ee65/distillm/losses.py)) returns $-\sum p\log q$. That is the cross-entropy: the same gradient, another value, not zero at $q=p$. Nothing trains differently, until someone compares its value with another divergence's or mixes the two by their sizes.
#
# The next cell holds your numbers against the library's and against torch's, the only torch in this lesson.

# %%
import torch

from kd_lab import how

p3, q3 = np.log([0.7, 0.2, 0.1]), np.log([0.2, 0.3, 0.5])
p_torch, q_torch = torch.from_numpy(p3), torch.from_numpy(q3)
np.testing.assert_allclose(forward_kl(q3, p3), how.forward_kl(q_torch, p_torch).item(), rtol=1e-9)
np.testing.assert_allclose(reverse_kl(q3, p3), how.reverse_kl(q_torch, p_torch).item(), rtol=1e-9)
kl_div = torch.nn.functional.kl_div(input=q_torch, target=p_torch, log_target=True, reduction="sum").item()
np.testing.assert_allclose(kl_div, forward_kl(q3, p3), rtol=1e-9)
print(f"your forward KL {forward_kl(q3, p3):.6f}   kl_div(input=student, target=teacher) {kl_div:.6f}")
print(f"your reverse KL {reverse_kl(q3, p3):.6f}")
print(f"cross-entropy at q = p: {-(np.exp(p3) * p3).sum():.6f}, forward KL at q = p: {forward_kl(p3, p3):.6f}")

# %% [markdown]
# ## 2 · Fit them
#
# Over Gaussians $q=\mathcal N(\mu,\sigma^2)$ forward KL can be solved. Only $-\int p\log q=\int p\,\big(\tfrac{(x-\mu)^2}{2\sigma^2}+\log\sigma\big)+\text{const}$ depends on the student. Set both derivatives to zero: $\mu$ is the teacher's mean and $\sigma^2$ its variance. With two modes of weights $w_1, w_2$, a distance $d$ apart, that variance is $w_1\sigma_1^2+w_2\sigma_2^2+w_1w_2d^2$: the student's width grows in proportion to the distance.
#
# ### Exercise 03.2 · Forward KL's Gaussian (●○○, 5 minutes)
#
# `x` are the midpoints of the cells of a grid, `cell` is their width, `teacher_logp` is log p at `x`.


# %%
@exercise("03.2")
def fit_forward(x, cell, teacher_logp):
    """Mean and width (standard deviation) of the Gaussian with the least forward KL: [N], float, [N] -> two floats."""
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
teacher = two_hills(second=3.0)
mean, width = fit_forward(x, cell, teacher.logpdf(x))
found = nearest_gaussian(x, cell, teacher.logpdf(x), "forward_kl")
np.testing.assert_allclose([mean, width], [found.mean, found.width], rtol=1e-6)
q, p_density = np.exp(found.logpdf(x)), np.exp(teacher.logpdf(x))
times = valley_mass(q, teacher) / valley_mass(p_density, teacher)
claim(
    "C03a",
    "Forward KL's Gaussian keeps both modes and fills the valley between them.",
    times,
    unit="times the teacher's valley mass",
    holds=modes_kept(q, teacher).all() and times > 10,
)
distances = np.arange(2.0, 7.01, 1.0)
ratios = []
for distance in distances:
    hills = two_hills(second=FIRST + distance)
    wide = nearest_gaussian(x, cell, hills.logpdf(x), "forward_kl")
    ratios.append(valley_mass(np.exp(wide.logpdf(x)), hills) / valley_mass(np.exp(hills.logpdf(x)), hills))
print("distance of the modes          ", "  ".join(f"{d:6.0f}" for d in distances))
print("valley mass, student ÷ teacher ", "  ".join(f"{r:6.0f}" for r in ratios))

# %% [markdown]
# Reverse KL has no such formula, so the student walks downhill. The gradient in $\mu$ and $\log\sigma$ is the average, *under the student*, of $\log(q/p)$ times how the student's log-density changes. We start it at random, many times.

# %%
predict("03.c")

# %%
grid, step = line(-12, 12, 240)


def descend(teacher, means, widths, steps=1200, rate=0.05):
    """Gradient descent on KL(q‖p) from many starts at once: [S], [S] -> [S], [S]."""
    mean, log_width = means[:, None], np.log(widths)[:, None]
    teacher_logp = teacher.logpdf(grid)
    for _ in range(steps):
        z = (grid - mean) / np.exp(log_width)
        student_logp = -0.5 * z**2 - log_width - 0.5 * np.log(2 * np.pi)
        pull = np.exp(student_logp) * (student_logp - teacher_logp) * step
        slopes = [(pull * z / np.exp(log_width)).sum(1, keepdims=True), (pull * (z**2 - 1)).sum(1, keepdims=True)]
        mean = mean - rate * np.clip(slopes[0], -2, 2)  # a start far from both modes would leap otherwise
        log_width = log_width - rate * np.clip(slopes[1], -2, 2)
    return mean[:, 0], np.exp(log_width[:, 0])


teacher = Mixture1D(weights=(0.5, 0.5), means=(-2, 2), widths=(0.5, 0.5))
ends = []
for s in range(5):
    generator = np.random.default_rng([seed, s])
    ends.append(descend(teacher, generator.uniform(-5, 5, 24), generator.uniform(0.3, 2.0, 24)))
end_means, end_widths = np.array(ends).swapaxes(0, 1)  # [seed, start]

# %% [markdown]
# What counts as *outside the teacher's support*? A Gaussian is positive everywhere, so we take the smallest region that holds 99.9 % of the teacher: the points where its density is highest.


# %% tags=["hide-input"]
def outside(density, teacher_density, share=0.999):
    """The student's mass outside the smallest region that holds this share of the teacher's."""
    order = np.argsort(-teacher_density)
    inside = order[: np.searchsorted(np.cumsum(teacher_density[order]) / teacher_density.sum(), share) + 1]
    return 1 - density[..., inside].sum(-1) / density.sum(-1)


p_grid = np.exp(teacher.logpdf(grid))
z = (grid - end_means[..., None]) / end_widths[..., None]
q_grid = np.exp(-0.5 * z**2) / end_widths[..., None] / np.sqrt(2 * np.pi)
near = np.abs(grid - teacher.means[:, None]) < 2 * teacher.widths[:, None]
kept = (q_grid[..., None, :] * near).sum(-1) >= 0.1 * (near * p_grid).sum(-1)  # [seed, start, mode]
locked = kept.sum(-1) == 1
gaps = (q_grid * (np.log(np.maximum(q_grid, 1e-300)) - teacher.logpdf(grid))).sum(-1) * step
best = gaps.argmin(1)
rows = np.arange(len(best))
reveal(
    "03.c",
    right=3 if not locked.all() else 1,
    students=locked.size,
    on_left=int((locked & kept[..., 0]).sum()),
    on_right=int((locked & kept[..., 1]).sum()),
    over_both=int((~locked).sum()),
    wide_cost=gaps[~locked].mean() if (~locked).any() else 0,
    narrow_cost=gaps[locked].mean(),
)
claim(
    "C03b",
    "Reverse KL's best student of 24 random starts keeps one mode of two.",
    kept[rows, best].mean(-1),
    unit="of the modes kept",
    holds=(kept[rows, best].sum(-1) == 1).all(),
)
claim(
    "C03b",
    "A single random start ends on one mode most of the time; the rest end in a worse, wide optimum.",
    locked.mean(1),
    unit="of the starts end on one mode",
    holds=locked.mean() > 0.5 and gaps[locked].max() < gaps[~locked].min(initial=np.inf),
)
claim(
    "C03b",
    "On one mode, next to none of the student's mass lies outside the teacher's support.",
    [outside(q_grid[s][locked[s]], p_grid).mean() for s in range(5)],
    unit="of the student's mass",
    holds=outside(q_grid[locked], p_grid).max() < 0.005,
)
wide = nearest_gaussian(grid, step, teacher.logpdf(grid), "forward_kl")
print(
    f"outside the region with 99.9 % of the teacher: teacher 0.1 %, forward KL's student {outside(np.exp(wide.logpdf(grid)), p_grid):.0%}"
)

# %% [markdown]
# ## 3 · The same with tokens
#
# A language model's student is no Gaussian. It is a softmax over $V$ tokens whose logits, for all contexts together, form a matrix of low rank: hidden states times output embeddings, plus a bias. Three tokens are plausible after each of 24 contexts here; the other 17 share 4 %. A student of rank 2 cannot place three independent peaks in 24 rows. Which of its two evils will it choose?
#
# To train it we need the gradient of reverse KL in the logits $z$, with $q=\mathrm{softmax}(z)$. For forward KL it is $q-p$.
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
# Differentiate $\sum_i q_i\log(q_i/p_i)$ in $q_i$ first, then send it through the softmax. The entries of a gradient in logits sum to 0: check yours.
#
# </details>
# <details><summary>Hint 2</summary>
#
# It is $q$ times something less that something's average under $q$. Use `keepdims=True` for the average.
#
# </details>

# %% [markdown] tags=["solution:03.3"]
# solution

# %%
predict("03.d")


# %% tags=["hide-input"]
def log_softmax(logits):
    shifted = logits - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def forward_kl_gradient(student_logp, teacher_logp):
    return np.exp(student_logp) - np.exp(teacher_logp)


def peaked_teacher(generator, contexts=24, vocabulary=20, peaks=3):
    """Log-probabilities [C, V]: after each context `peaks` plausible tokens share 96 %."""
    p = np.full((contexts, vocabulary), 0.04 / (vocabulary - peaks))
    for row in p:
        row[generator.choice(vocabulary, peaks, replace=False)] = 0.96 * generator.dirichlet(np.full(peaks, 8.0))
    return np.log(p)


def train(teacher_logp, gradient, rank, steps=1000, rate=4.0):
    """Gradient descent on logits = states @ embeddings + bias, one student a teacher: [S, C, V] -> [S, C, V], [S].

    Returns the students' log-probabilities and the norm of each one's first gradient.
    """
    seeds, contexts, vocabulary = teacher_logp.shape
    generator = np.random.default_rng(seed)  # the same start for every divergence
    states = 0.3 * generator.standard_normal((seeds, contexts, rank))
    embeddings, bias = 0.3 * generator.standard_normal((seeds, rank, vocabulary)), np.zeros((seeds, 1, vocabulary))
    rate = np.broadcast_to(rate, seeds)[:, None, None]
    first = None
    for _ in range(steps):
        slope = gradient(log_softmax(states @ embeddings + bias), teacher_logp) / contexts
        slopes = slope @ embeddings.swapaxes(1, 2), states.swapaxes(1, 2) @ slope, slope.sum(1, keepdims=True)
        first = np.sqrt(sum((s**2).sum((1, 2)) for s in slopes)) if first is None else first
        states, embeddings, bias = (w - rate * s for w, s in zip((states, embeddings, bias), slopes, strict=True))
    return log_softmax(states @ embeddings + bias), first


teachers = np.stack([peaked_teacher(np.random.default_rng([seed, s])) for s in range(5)])
plausible = teachers > np.log(0.04)


def implausible_mass(student_logp):
    """The mass on tokens outside the teacher's three, [S]: the teacher's own is 0.04."""
    return np.where(plausible, 0, np.exp(student_logp)).sum(-1).mean(-1)


def peaks_kept(student_logp):
    """The share of plausible tokens that get a tenth of the teacher's probability or more, [S]."""
    return (plausible & (student_logp >= teachers + np.log(0.1))).sum((1, 2)) / plausible.sum((1, 2))


ranks = [1, 2, 3, 4, 8, 20]
trained = {
    name: {rank: train(teachers, gradient, rank)[0] for rank in ranks}
    for name, gradient in {"forward_kl": forward_kl_gradient, "reverse_kl": reverse_kl_gradient}.items()
}

# %% tags=["hide-input"]
from kd_lab.lessons.l03_which_kl.figures import draw_token_tables

tables = new_figure(760, 330)
with course_style():
    draw_token_tables(
        tables,
        {
            "teacher": np.exp(teachers[0]),
            "student, forward KL": np.exp(trained["forward_kl"][2][0]),
            "student, reverse KL": np.exp(trained["reverse_kl"][2][0]),
        },
        top=0.8,
    )
show(
    tables,
    "Rank 2. In the middle the rows are smeared over columns that are blank in the teacher's; on the right almost every dark cell is "
    "one of the teacher's, but many of the teacher's are missing.",
    alt="Three tables of probabilities, 24 contexts by 20 tokens: the teacher with three dark cells a row, the forward-KL "
    "student smeared, the reverse-KL student with fewer and darker cells.",
)
hedged, committed = trained["forward_kl"][2], trained["reverse_kl"][2]
reveal("03.d", right=int(implausible_mass(hedged).mean() < implausible_mass(committed).mean()))
claim(
    "C03c",
    "A softmax student of rank 2 puts more mass on implausible tokens under forward KL than under reverse KL.",
    implausible_mass(hedged) - implausible_mass(committed),
    unit="more mass",
    holds=(implausible_mass(hedged) > implausible_mass(committed)).all(),
)
claim(
    "C03c",
    "It keeps fewer of the teacher's plausible tokens under reverse KL.",
    peaks_kept(hedged) - peaks_kept(committed),
    unit="more of the plausible tokens kept by forward KL",
    holds=(peaks_kept(hedged) > peaks_kept(committed)).all(),
)

# %% [markdown]
# **When does it not matter?** Give the student more rank. At rank 20 its logits can be anything, so that $q=p$ is within reach, and both divergences have the same optimum there.

# %% tags=["hide-input"]
from kd_lab.measure.interval import mean_interval
from kd_lab.viz import BASELINE, STUDENT, TEACHER
from kd_lab.viz.plots import interval_curve


def with_intervals(axes, positions, values, look):
    """A curve of means with 95 % intervals over seeds: values are [seed, position]."""
    mean, half_width = np.array([mean_interval(column) for column in np.asarray(values).T]).T
    interval_curve(axes, np.asarray(positions, dtype=float), mean, half_width, look)


capacity = new_figure(760, 300)
with course_style():
    left, right = capacity.subplots(1, 2)
    for name, by_rank in trained.items():
        with_intervals(left, ranks, np.transpose([implausible_mass(q) for q in by_rank.values()]), DIVERGENCES[name])
        with_intervals(right, ranks, np.transpose([peaks_kept(q) for q in by_rank.values()]), DIVERGENCES[name])
    left.axhline(0.04, color=TEACHER.color, linewidth=1)
    left.text(20, 0.05, "teacher", color=TEACHER.color, ha="right")
    left.set(ylabel="mass on implausible tokens", ylim=(0, 0.75))
    right.set(ylabel="plausible tokens kept", ylim=(0.35, 1.03))
    for axes in (left, right):
        axes.set(xscale="log", xlabel="rank of the student's logits")
        axes.set_xticks(ranks, ranks)
        axes.minorticks_off()
    left.legend()
show(
    capacity,
    "The two directions differ by what the student cannot do. With rank enough for the teacher they meet. Bands are 95 % intervals over 5 teachers.",
    alt="Mass on implausible tokens and share of plausible tokens kept against the rank, for forward and reverse KL; the curves meet at rank 20.",
)
full = np.abs(implausible_mass(trained["forward_kl"][20]) - implausible_mass(trained["reverse_kl"][20]))
claim(
    "C03c",
    "At full rank the directions agree: what they differ in is how to fail.",
    full,
    unit="difference in implausible mass",
    holds=full.max() < 0.01,
)

# %% [markdown]
# That is worth remembering when someone reports that one direction "is better": it depends on how far the student is from being able to copy, and on how long it is trained ([Wu et al. 2024](https://arxiv.org/abs/2404.02657) make this point for language models). Last check: the plane. Three modes in a triangle, one round Gaussian, eight random starts in each of five seeds.

# %% tags=["hide-input"]
from kd_lab.lessons.l03_which_kl.figures import draw_plane
from kd_lab.worlds.densities import Mixture2D, plane

points, area = plane(-6.5, 6.5, 44)
triangle = Mixture2D(weights=(1, 1, 1), means=((-2.4, -1.5), (2.4, -1.5), (0, 2.7)), widths=(0.6, 0.6, 0.6))
triangle_logp = triangle.logpdf(points).ravel()
flat = points.reshape(-1, 2)
p_flat = np.exp(triangle_logp) * area
center = p_flat @ flat
spread = np.sqrt(p_flat @ ((flat - center) ** 2).sum(1) / 2)  # forward KL again: the teacher's own mean and spread


def descend_plane(means, widths, steps=200, rate=0.1):
    """Gradient descent on KL(q‖p) for round Gaussians on the plane: [S, 2], [S] -> [S, 2], [S], gap [S]."""
    log_width = np.log(widths)
    for _ in range(steps):
        offset = (flat - means[:, None]) / np.exp(log_width)[:, None, None]
        square = (offset**2).sum(-1)
        student_logp = -0.5 * square - 2 * log_width[:, None] - np.log(2 * np.pi)
        pull = np.exp(student_logp) * (student_logp - triangle_logp) * area
        slope = (pull[:, None] @ offset)[:, 0] / np.exp(log_width)[:, None]
        means = means - rate * np.clip(slope, -2, 2)
        log_width = log_width - rate * np.clip((pull * (square - 2)).sum(1), -2, 2)
    return means, np.exp(log_width), pull.sum(1)


landed, one_mode, best_keeps = [], [], []
for s in range(5):
    generator = np.random.default_rng([seed, s])
    centers, widths, gaps = descend_plane(generator.uniform(-4, 4, (8, 2)), generator.uniform(0.4, 1.5, 8))
    landed += [(*c, w) for c, w in zip(centers, widths, strict=True)]
    distance = np.sqrt(((centers[:, None] - triangle.means) ** 2).sum(-1))
    right_width = np.abs(widths / 0.6 - 1) < 0.1
    at_mode = (distance < 0.3) & right_width[:, None]  # [start, mode]: the student is this mode's copy
    one_mode.append(at_mode.any(1).mean())
    best_keeps.append(at_mode[gaps.argmin()].mean())
plane_figure = new_figure(760, 410)
p_image = np.exp(triangle.logpdf(plane(-5, 5, 120)[0]))
with course_style():
    for axes, circles, name in zip(plane_figure.subplots(1, 2), ([(*center, spread)], landed), BOTH, strict=True):
        draw_plane(axes, p_image, (-5, 5, -5, 5), circles, DIVERGENCES[name])
        axes.set_title(f"{DIVERGENCES[name].label}: {len(circles)} student{'s' * (len(circles) > 1)}")
show(
    plane_figure,
    "Shades are the teacher, rings the students at one and two standard deviations. Forward KL's only optimum is centred "
    "where the teacher says nothing. Reverse KL's students are copies of one mode each, but for the few that stopped in a worse, wide optimum.",
    alt="A plane with three blobs. Left: one large ring around the empty middle. Right: small rings that coincide with the "
    "three blobs, and one large ring in the middle.",
)
claim(
    "C03c",
    "In the plane, too, reverse KL's best student is a copy of one mode of three.",
    best_keeps,
    unit="of the modes kept",
    holds=np.allclose(best_keeps, 1 / 3),
)
claim(
    "C03c",
    "In the plane a single random start ends on one mode most of the time.",
    one_mode,
    unit="of the starts",
    holds=mean_interval(one_mode)[0] - mean_interval(one_mode)[1] > 0.5,
)

# %% [markdown]
# ## 4 · In between: JSD
#
# The generalised Jensen–Shannon divergence compares both with their mixture $m=\beta p+(1-\beta)q$, $0<\beta<1$:
#
# $$\mathrm{JSD}_\beta=\beta\,\mathrm{KL}(p\|m)+(1-\beta)\,\mathrm{KL}(q\|m)$$
#
# Since $m\ge\beta p$, no ratio $p/m$ exceeds $1/\beta$, and likewise for $q$: there is no cliff on either side. At $\beta=\tfrac12$ it is symmetric and at most $\ln2$. **Skew KL**, $\mathrm{KL}(p\|m)$ with a small $\beta$, is the first half alone: forward KL with its cliff cut off.

# %%
predict("03.e")

# %% tags=["hide-input"]
from kd_lab.viz import Choice

FAMILY = {DIVERGENCES[name].label: name for name in names}
PARTS = {"jsd": "β·p·log(p/m) + (1−β)·q·log(q/m)", "skew_kl": "p·log(p/m)", **FORMULAS}


def follow_family(artists, label, beta, second):
    name, teacher = FAMILY[label], two_hills(second)
    student, density, charge = fit(teacher, name, beta)
    move_fits(artists, x, np.exp(teacher.logpdf(x)), {name: (density, charge)})
    shown = label if name in BOTH else f"{label} with β = {beta:.2f}"
    verdict = "covers both modes" if modes_kept(density, teacher).all() else "has let the second mode go"
    unread = " (β is not read by this one)" if name in BOTH else ""
    return (
        f"Under {shown}{unread}, modes {second - FIRST:.3g} apart, the student has width {student.width:.2f} and {verdict}; "
        f"the divergence left is {max(student.gap, 0):.3f} nats."
    )


family = Explorer(
    name="one family of divergences",
    controls=[
        Choice("divergence", list(FAMILY), start="JSD"),
        Slider("β", 0.02, 0.98, 0.02, start=0.5),
        Slider("second mode at", -2.0, 5.0, 0.05, start=1.0),
    ],
    create=lambda figure: draw_fits(
        figure,
        {n: DIVERGENCES[n] for n in names},
        integrand_labels=PARTS,
        one_at_a_time=True,
        **LIMITS | {"integrand_limits": (-0.3, 1.0)},
    ),
    update=follow_family,
    presets={
        "JSD(½), nearer": {"second mode at": 1.0},
        "JSD(½), farther": {"second mode at": 2.5},
        "JSD(0.1), farther": {"β": 0.1, "second mode at": 2.5},
        "skew KL(0.1)": {"divergence": "skew KL", "β": 0.1, "second mode at": 4.0},
    },
    size=(760, 470),
)
family.show()

# %%
family.filmstrip(["JSD(½), nearer", "JSD(½), farther", "JSD(0.1), farther", "skew KL(0.1)"])

# %% [markdown]
# ### Exercise 03.4 · JSD(β) (●●○, 8 minutes)
#
# Stay in log space: `np.logaddexp(a, b)` is $\log(e^a+e^b)$. You have `forward_kl`, and it takes any two distributions.


# %%
@exercise("03.4")
def jsd(student_logp, teacher_logp, beta):
    """JSD(β) = β·KL(p‖m) + (1−β)·KL(q‖m), m = βp + (1−β)q, in nats: [..., V], [..., V], float -> [...]."""
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# First the log of the mixture. It is the log of a sum of two probabilities, not a sum of two logs.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `np.log(beta) + teacher_logp` is the log of βp. Then `forward_kl(mixture_logp, teacher_logp)` is KL(p‖m).
#
# </details>

# %% [markdown] tags=["solution:03.4"]
# solution

# %% [markdown]
# **A popular library shipped this.** An early version of TRL's GKD trainer ([this file](https://github.com/huggingface/trl/blob/03a860c1da364ff11a6a2a5e3c3483221f181d33/trl/trainer/gkd_trainer.py)) took `beta * teacher_log_probs + (1 - beta) * student_log_probs`, a mixture of logs, for the log of the mixture, and gave β to KL(q‖m) instead of KL(p‖m). Both are mistakes that the check of your exercise names, both are zero at $q=p$, and no loss curve shows them. They have long been mended. What stays is this: D(p, p) = 0 is no test of a divergence. Symmetry, a bound and two limits are.


# %% tags=["hide-input"]
def random_pairs(generator, count=2000, vocabulary=8):
    """Teachers and students from nearly even to nearly one-hot, [count, V] log-probabilities each."""
    sharpness = generator.uniform(0.2, 12, (2, count, 1))
    return log_softmax(sharpness * generator.standard_normal((2, count, vocabulary)))


asymmetry, largest = [], []
for s in range(5):
    q_pairs, p_pairs = random_pairs(np.random.default_rng([seed, s]))
    half = jsd(q_pairs, p_pairs, 0.5)
    asymmetry.append(np.abs(half - jsd(p_pairs, q_pairs, 0.5)).max())
    largest.append(half.max() / np.log(2))
claim(
    "C03e",
    "JSD(½) is symmetric.",
    asymmetry,
    unit="nats, largest difference of 2,000 pairs",
    holds=max(asymmetry) < 1e-12,
)
claim(
    "C03e",
    "JSD(½) never exceeds ln 2.",
    largest,
    unit="of ln 2, largest of 2,000 pairs",
    holds=max(largest) <= 1 + 1e-12,
)
torch_half = how.jsd(torch.from_numpy(q_pairs), torch.from_numpy(p_pairs), 0.3).numpy()
np.testing.assert_allclose(jsd(q_pairs, p_pairs, 0.3), torch_half, rtol=1e-7, atol=1e-12)

# %% [markdown]
# ### The ends
#
# β = 0 makes $m=q$: the first term has weight 0, the second compares $q$ with itself. So JSD(0) is 0 for every student, and so is JSD(1). Only the *slopes* are the KLs: $\mathrm{JSD}_\beta/\beta\to\mathrm{KL}(p\|q)$ as $\beta\to0$, and $\mathrm{JSD}_\beta/(1-\beta)\to\mathrm{KL}(q\|p)$ as $\beta\to1$.
#
# Libraries often let β = 0 mean forward KL itself ([today's version of the same trainer](https://github.com/huggingface/trl/blob/f2cd57710ae345ea6428ae95363267fcf38a3dc8/trl/experimental/gkd/gkd_trainer.py) does). That is kind, but the loss then jumps: from β = 0.01 to β = 0 it grows a hundredfold. `kd_lab` refuses both ends and names the KL to use.

# %% tags=["hide-input"]
betas = np.linspace(0.001, 0.999, 200)
raw = np.array([jsd(q3, p3, beta) for beta in betas])
ends_figure = new_figure(760, 320)
with course_style():
    left, right = ends_figure.subplots(1, 2)
    left.plot(betas, raw, **DIVERGENCES["jsd"].line, label="JSD(β)")
    left.plot(betas, betas * forward_kl(q3, p3), **DIVERGENCES["forward_kl"].line, label="β · KL(p‖q)")
    left.plot(betas, (1 - betas) * reverse_kl(q3, p3), **DIVERGENCES["reverse_kl"].line, label="(1 − β) · KL(q‖p)")
    left.set(xlabel="β", ylabel="nats", ylim=(0, 0.3), title="raw: zero at both ends")
    right.plot(betas, raw / betas, **DIVERGENCES["jsd"].line, label="JSD(β)/β")
    right.plot(
        betas, raw / (1 - betas), color=DIVERGENCES["jsd"].color, linewidth=2, linestyle=":", label="JSD(β)/(1−β)"
    )
    right.axhline(forward_kl(q3, p3), **DIVERGENCES["forward_kl"].line, label="KL(p‖q)")
    right.axhline(reverse_kl(q3, p3), **DIVERGENCES["reverse_kl"].line, label="KL(q‖p)")
    right.set(xlabel="β", ylim=(0, 1.1), title="rescaled: a KL at either end")
    left.legend(loc="lower center")
    right.legend(loc="upper center", ncols=2)
show(
    ends_figure,
    "The straight lines are the tangents at the two ends. A loss with β = 0.01 is no forward KL: it is about a hundredth of one.",
    alt="Left: JSD(β) against β, an arch that is zero at both ends and touches two lines there. Right: JSD/β starts at forward KL, JSD/(1−β) ends at reverse KL.",
)
tiny = 1e-6
at_zero = abs(jsd(q3, p3, tiny) / tiny / forward_kl(q3, p3) - 1)
at_one = abs(jsd(q3, p3, 1 - tiny) / tiny / reverse_kl(q3, p3) - 1)
claim(
    "C03e",
    "JSD(β)/β tends to forward KL as β → 0.",
    at_zero,
    unit="relative difference at β = 1e-6",
    holds=at_zero < 1e-4,
)
claim(
    "C03e",
    "JSD(β)/(1−β) tends to reverse KL as β → 1.",
    at_one,
    unit="relative difference at β = 1 − 1e-6",
    holds=at_one < 1e-4,
)
largest_end = max(jsd(q3, p3, tiny), jsd(q3, p3, 1 - tiny))
claim(
    "C03e",
    "Raw JSD(β) vanishes at both ends.",
    largest_end,
    unit="nats at the nearer of 1e-6 and 1 − 1e-6",
    holds=largest_end < 1e-5,
)

# %% [markdown]
# ### Between the two, measured
#
# For each divergence: how far can the second mode move before the best student lets it go?


# %% tags=["hide-input"]
def letting_go_distance(divergence, beta=0.5, low=1.0, high=8.0, view=lambda logp: logp):
    """The distance of the modes from which on the best student keeps one only; inf if it still covers both at `high`.

    `view` is what the student is shown of the teacher's log-density.
    """

    def holds_both(distance):
        teacher = two_hills(FIRST + distance)
        return modes_kept(fit(teacher, divergence, beta, view)[1], teacher).all()

    if holds_both(high):
        return np.inf
    for _ in range(12):
        middle = (low + high) / 2
        low, high = (middle, high) if holds_both(middle) else (low, middle)
    return high


shares = [0.1, 0.3, 0.5, 0.7, 0.9]
lets_go = {"reverse_kl": letting_go_distance("reverse_kl"), "forward_kl": letting_go_distance("forward_kl")}
by_share = np.array([letting_go_distance("jsd", beta) for beta in shares])
by_skew = np.array([letting_go_distance("skew_kl", beta) for beta in shares])
print("β                      " + "".join(f"{beta:7.1f}" for beta in shares))
for label, found in (("JSD(β) lets go at      ", by_share), ("skew KL(β) lets go at  ", by_skew)):
    print(label + "".join(f"{d:7.2f}" if np.isfinite(d) else "    > 8" for d in found))
print(f"reverse KL lets go at  {lets_go['reverse_kl']:7.2f}")
print(
    "forward KL lets go at  "
    + (
        "    > 8, and so on: its mean and width are the teacher's"
        if np.isinf(lets_go["forward_kl"])
        else f"{lets_go['forward_kl']:7.2f}"
    )
)
reveal("03.e", jsd=by_share[2], reverse_kl=lets_go["reverse_kl"])
claim(
    "C03e",
    "JSD(½) lies between: it lets go later than reverse KL, and forward KL never lets go.",
    by_share[2] - lets_go["reverse_kl"],
    unit="farther than reverse KL",
    holds=lets_go["reverse_kl"] < by_share[2] < np.inf and np.isinf(lets_go["forward_kl"]),
)

# %% [markdown]
# Every *bounded* divergence lets go in the end. Giving up a mode costs a fixed amount that lies below the bound; covering both costs ever more, up to the bound itself, as the student grows thin over the modes. Skew KL is bounded by $-\ln\beta$, and so it too lets go, earlier the larger β is. For forward KL it is the other way round: giving up costs without bound.
#
# ## 5 · Two knobs that hide in the loss
#
# ### Temperature and direction
#
# Softening divides the logs by τ and normalises again: $p_\tau\propto p^{1/\tau}$. It is often said that softening makes a forward-KL student hedge twice, and hands a reverse-KL student a cleaner peak. Does it?
#
# There are two ways to do it. Soften **the teacher only**, and the student is to become $p_\tau$. Soften **both**, as Hinton's loss does, train $q_\tau$ towards $p_\tau$, and use the student at τ = 1 afterwards. A Gaussian of variance $\sigma^2$ softens to one of variance $\tau\sigma^2$, so that such a student is used √τ times narrower than it was trained.

# %%
predict("03.f")


# %% tags=["hide-input"]
def soften(logp, temperature):
    """log of p^(1/τ), normalised on the grid."""
    scaled = logp / temperature
    scaled = scaled - scaled.max()
    return scaled - np.log(np.exp(scaled).sum() * cell)


WAYS = ["the teacher only", "both, student used at τ = 1"]


def softened_fit(teacher, name, temperature, way=WAYS[0]):
    """The best student of a softened teacher, as it is used, and the integrand that it was trained on."""
    trained_as, _, charge = fit(teacher, name, view=lambda logp: soften(logp, temperature))
    shrink = np.sqrt(temperature) if way == WAYS[1] else 1.0
    return replace(trained_as, width=trained_as.width / shrink), charge


def follow_temperature(artists, temperature, second, way):
    teacher = two_hills(second)
    softened = np.exp(soften(teacher.logpdf(x), temperature))
    found = {name: softened_fit(teacher, name, temperature, way) for name in BOTH}
    students = {name: student for name, (student, _) in found.items()}
    drawn = {name: (np.exp(student.logpdf(x)), charge) for name, (student, charge) in found.items()}
    move_fits(artists, x, softened, drawn, before=np.exp(teacher.logpdf(x)))
    wide, narrow = students["forward_kl"], students["reverse_kl"]
    where = "between the modes" if abs(narrow.mean - (FIRST + second) / 2) < (second - FIRST) / 4 else "on one mode"
    return (
        f"At τ = {temperature:.2g}, softening {way}, modes {second - FIRST:.3g} apart: forward KL's student has width "
        f"{wide.width:.2f}; reverse KL's has width {narrow.width:.2f} and stands {where}."
    )


heat = Explorer(
    name="temperature and direction",
    controls=[
        Slider("temperature τ", 0.7, 8.0, 0.1, start=1.0),
        Slider("second mode at", 0.0, 5.0, 0.1, start=2.0),
        Choice("softened", WAYS, start=WAYS[0]),
    ],
    create=lambda figure: draw_fits(
        figure,
        BOTH,
        integrand_labels=FORMULAS,
        original=True,
        **LIMITS | {"density_top": 1.0},
    ),
    update=follow_temperature,
    presets={
        "τ = 2": {"temperature τ": 2.0},
        "τ = 4": {"temperature τ": 4.0},
        "τ = 4, both": {"temperature τ": 4.0, "softened": WAYS[1]},
    },
    size=(760, 440),
)
heat.show()

# %%
heat.filmstrip()

# %% tags=["hide-input"]
temperatures, gaps_apart = [1, 2, 4, 8], [4.0, 5.0, 6.0]
grid_of_fits = {
    (name, way): np.array(
        [[softened_fit(two_hills(FIRST + d), name, t, way)[0] for t in temperatures] for d in gaps_apart]
    )
    for name in BOTH
    for way in WAYS
}
widths = {key: np.vectorize(lambda s: s.width)(students) for key, students in grid_of_fits.items()}
locked_on = {
    key: np.array(
        [
            [modes_kept(np.exp(s.logpdf(x)), two_hills(FIRST + d)).sum() == 1 for s in row]
            for d, row in zip(gaps_apart, students, strict=True)
        ]
    )
    for key, students in grid_of_fits.items()
}
lines = [
    "| softened | direction | modes apart | " + " | ".join(f"τ = {t}" for t in temperatures) + " |",
    "|---" * 7 + "|",
]
for way in WAYS:
    for name in BOTH:
        for i, distance in enumerate(gaps_apart):
            cells = [
                f"{w:.2f}{' (one mode)' if one else ''}"
                for w, one in zip(widths[name, way][i], locked_on[name, way][i], strict=True)
            ]
            lines.append(f"| {way} | {DIVERGENCES[name].label} | {distance:.0f} | " + " | ".join(cells) + " |")
display(Markdown("Width of the best student:\n\n" + "\n".join(lines)))
covers = not locked_on["reverse_kl", WAYS[0]][0, 2]
reveal("03.f", right=2 if covers else 1)

# %% tags=["hide-input"]
teacher_only = widths["forward_kl", WAYS[0]]
read_at_one = widths["forward_kl", WAYS[1]]
stays = locked_on["reverse_kl", WAYS[0]]
grow = widths["reverse_kl", WAYS[0]][:, 1] / widths["reverse_kl", WAYS[0]][:, 0]
claim(
    "C03f",
    "Softening the teacher alone widens the forward-KL student, at every distance and step of τ.",
    (teacher_only[:, -1] - teacher_only[:, 0]).min(),
    unit="wider at τ = 8 than at τ = 1, at least",
    holds=(np.diff(teacher_only, axis=1) > 0).all(),
)
claim(
    "C03f",
    "If both are softened and the student is used at τ = 1, the forward-KL student gets narrower instead.",
    (read_at_one[:, 0] - read_at_one[:, -1]).min(),
    unit="narrower at τ = 8 than at τ = 1, at least",
    holds=(np.diff(read_at_one, axis=1) < 0).all(),
)
claim(
    "C03f",
    "A reverse-KL student that stays on its mode does not get crisper: from τ = 1 to 2 it widens by about √2.",
    grow.min(),
    unit="times as wide, at least",
    holds=np.allclose(grow, np.sqrt(2), rtol=0.05) and stays[:, 1].all(),
)
claim(
    "C03f",
    "Softening keeps a reverse-KL student on one mode, at every τ of the grid.",
    stays.mean(),
    unit="of the grid on one mode",
    holds=stays.all(),
)
thresholds = np.array([letting_go_distance("reverse_kl", view=lambda logp, t=t: soften(logp, t)) for t in (1, 2, 3, 4)])
print("τ                                       1      2      3      4")
print("reverse KL lets go at a distance of " + "".join(f"{d:7.2f}" for d in thresholds))
print("the same, divided by √τ             " + "".join(f"{d:7.2f}" for d in thresholds / np.sqrt([1, 2, 3, 4])))

# %% [markdown]
# So the second half of the saying fails as it stands: heat *un*locks the student. A softened mode is √τ times as wide, and so the modes have to stand about √τ times as far apart before the student lets one go. Where they do, it stays locked, though on a wider hill. One line of algebra says why:
#
# $$\mathrm{KL}(q\|p_\tau)=\tfrac1\tau\big(\mathbb E_q[-\log p]-\tau\,H(q)\big)+\text{const},\qquad H(q)=-\textstyle\int q\log q$$
#
# Against a softened teacher reverse KL is a free energy: τ is the price of certainty, and the entropy $H$ buys width. What does become cleaner is the *landscape*. A peak that is ragged, with several small summits, offers a cold student a choice of wrong ones.

# %%
predict("03.g")

# %% tags=["hide-input"]
from kd_lab.lessons.l03_which_kl.fits import local_optima

counts = []
for s in range(8):
    generator = np.random.default_rng([seed, s])
    bumps = Mixture1D(generator.dirichlet(np.full(8, 3.0)), generator.normal(0, 0.8, 8), np.full(8, 0.12))
    beginnings = [*zip(generator.uniform(-2.5, 2.5, 40), np.exp(generator.uniform(np.log(0.1), 0, 40)), strict=True)]
    counts.append(
        [
            len(
                {
                    (round(end.mean, 1), round(end.width, 1))
                    for end in local_optima(x, cell, soften(bumps.logpdf(x), t), "reverse_kl", starts=beginnings)
                }
            )
            for t in temperatures
        ]
    )
counts = np.array(counts)
print("τ                        " + "".join(f"{t:7d}" for t in temperatures))
print("different optima, mean   " + "".join(f"{c:7.2f}" for c in counts.mean(0)))
fewer = counts[:, 0] - counts[:, -1]
reveal("03.g", cold=counts[:, 0].mean(), warm=counts[:, -1].mean())
claim(
    "C03f",
    "Softening leaves a reverse-KL student fewer wrong summits to lock onto on a ragged peak.",
    fewer,
    unit="fewer optima at τ = 8 than at τ = 1",
    holds=mean_interval(fewer)[0] - mean_interval(fewer)[1] > 0,
)

# %% [markdown]
# In short: softening *the teacher* widens both students. For forward KL that is more hedging, as the saying has it. For reverse KL the peak is cleaner in that it has fewer false summits, and less of a peak.
#
# ### Size
#
# Two losses with one learning rate are two step lengths. Take JSD(0.98) beside reverse KL, its limit.

# %%
predict("03.h")


# %% tags=["hide-input"]
def jsd_gradient(beta):
    """∂JSD(β)/∂logits = (1−β)·q·(log(q/m) − KL(q‖m))."""

    def gradient(student_logp, teacher_logp):
        q = np.exp(student_logp)
        log_ratio = student_logp - np.logaddexp(np.log(beta) + teacher_logp, np.log1p(-beta) + student_logp)
        return (1 - beta) * q * (log_ratio - (q * log_ratio).sum(-1, keepdims=True))

    return gradient


contest = {
    "forward KL": forward_kl_gradient,
    **{f"JSD({beta})": jsd_gradient(beta) for beta in (0.02, 0.1, 0.5, 0.9, 0.98)},
    "reverse KL": reverse_kl_gradient,
}
reference_norm = train(teachers, forward_kl_gradient, rank=2, steps=1)[1]
norms, at_one_rate, at_equal_norm = {}, {}, {}
for label, gradient in contest.items():
    student, norms[label] = train(teachers, gradient, rank=2)
    at_one_rate[label] = implausible_mass(student)
    student, _ = train(teachers, gradient, rank=2, rate=4.0 * reference_norm / norms[label])
    at_equal_norm[label] = implausible_mass(student)
ratio = {label: (norm / reference_norm).mean() for label, norm in norms.items()}
display(
    Markdown(
        "First gradient's norm, forward KL's being 1: "
        + ", ".join(f"{label} **{r:.3f}**" for label, r in ratio.items())
        + "."
    )
)

# %% tags=["hide-input"]
scale = new_figure(760, 330)
places = np.arange(len(contest))
with course_style():
    axes = scale.subplots()
    with_intervals(axes, places, np.transpose([*at_one_rate.values()]), replace(BASELINE, label="one learning rate"))
    with_intervals(axes, places, np.transpose([*at_equal_norm.values()]), replace(STUDENT, label="equal gradient norm"))
    axes.set_xticks(places, contest)
    axes.set(xlim=(-0.5, len(contest) - 0.5), ylim=(0, 0.75), ylabel="mass on implausible tokens")
    axes.legend(loc="upper center")
show(
    scale,
    "At one learning rate the line zigzags: JSD(0.02) and JSD(0.98), next to the two KLs, seem to hedge more than either. They "
    "have hardly trained. At equal gradient norm the divergences stand in the order of their β. Bands are 95 % intervals over 5 teachers.",
    alt="Mass on implausible tokens for forward KL, JSD of five β and reverse KL: a zigzag at one learning rate, a falling line at equal gradient norm.",
)
misread = at_one_rate["JSD(0.98)"] - at_one_rate["reverse KL"]
mended = np.abs(at_equal_norm["JSD(0.98)"] - at_equal_norm["reverse KL"])
ordered = [
    (np.diff([values[label][s] for label in contest]) < 0.01).all()
    for values in (at_one_rate, at_equal_norm)
    for s in range(5)
]
reveal("03.h", right=1 if misread.mean() > 0.1 else 0, times=ratio["reverse KL"] / ratio["JSD(0.98)"])
claim(
    "C03g",
    "At one learning rate, raw JSD(0.98) looks nothing like reverse KL, its limit.",
    misread,
    unit="more implausible mass than reverse KL",
    holds=misread.min() > 0.1,
)
claim(
    "C03g",
    "At equal gradient norm it behaves as its limit does.",
    mended,
    unit="difference in implausible mass",
    holds=mended.max() < 0.03,
)
claim(
    "C03g",
    "At equal gradient norm the mass on implausible tokens falls from forward KL over JSD to reverse KL; at one learning rate it does not.",
    np.mean(ordered[5:]),
    unit="of the seeds in order (to 0.01) at equal norm",
    holds=all(ordered[5:]) and not any(ordered[:5]),
)

# %% [markdown]
# **Is that a fact about divergences, or about one step length?** All of this was trained at the rate 4. Take it again at 1, 2 and 8, the gradients' first norms made equal at each.

# %% tags=["hide-input"]
rates = [1.0, 2.0, 4.0, 8.0]
rivals = ["forward KL", "JSD(0.98)", "reverse KL"]
by_rate = {
    label: np.array(
        [implausible_mass(train(teachers, contest[label], 2, rate=r * reference_norm / norms[label])[0]) for r in rates]
    )
    for label in rivals
}  # [rate, seed]
rank_one = [implausible_mass(train(teachers, reverse_kl_gradient, 1, rate=r)[0]).mean() for r in rates]
print("mass on implausible tokens at rate      " + "".join(f"{r:7.0f}" for r in rates))
for label, masses in by_rate.items():
    print(f"{label:<11} at equal norm, rank 2       " + "".join(f"{m:7.3f}" for m in masses.mean(1)))
print("reverse KL, rank 1                      " + "".join(f"{m:7.3f}" for m in rank_one))
apart = np.abs(by_rate["JSD(0.98)"] - by_rate["reverse KL"]).max(1)
within = [r for r, gap in zip(rates, apart, strict=True) if gap < 0.03]
claim(
    "C03g",
    "At equal gradient norm JSD(0.98) behaves as its limit at every rate from 1 to 8.",
    len(within) / len(rates),
    unit="of the rates, in all five seeds",
    holds=len(within) == len(rates),
)
display(Markdown(f"Within 0.03 of each other in all seeds at the rates {', '.join(f'{r:g}' for r in within)}."))

# %% [markdown]
# It has a limit, then. Equal norms at the start make steps comparable as long as they are short enough for both to settle. At the largest rate reverse KL's own student no longer does, and a ranking made there would be one of step lengths again. Reverse KL at rank 1 moves with the rate too: read the leftmost point of the rank figure as a direction, not as a number.
#
# Temperature does the same: softening both sides divides the gradient by about τ², which is why Hinton's loss carries the factor τ². Adam forgives a constant factor, because it divides by the size of the gradient. It stops forgiving as soon as the loss is mixed with another one, or its gradient clipped. So: **before you compare divergences, compare gradient norms.**
#
# ## Discuss
#
# *For two people, ten minutes.* A company distils two students from one teacher: one drafts replies that a person edits, the other answers medical questions without anyone reading along. Which divergence would each of you choose for which, and what would make you change your mind? What would you measure to find out that you were wrong?

# %% [markdown] tags=["teacher"]
# **Expected answers.** The drafts want coverage: a missing phrasing is a loss, an odd one is edited away, so forward KL or JSD with small β. The answers want precision: an invented token is dear, a missing variant is not, so reverse KL or JSD with large β. Minds should change if the student has capacity enough (then the direction hardly matters, as the rank experiment shows), if the answers must keep rare but vital cases (reverse KL forgets exactly those: mass on the rare modes is what to measure), or if the comparison was made at different gradient norms. Good measures: mass on implausible tokens (precision), share of plausible tokens kept (recall), both per position and on the students' own texts. A common misconception: "reverse KL is better because its samples look better". It is the same student that has dropped half of the answers; look at recall. Another: "JSD is the safe middle". It is bounded, so it too lets modes go. Timing: 45 minutes alone, 60 in a class; the explorers of parts 1 and 4 carry a lecture of 20 minutes by themselves.

# %% [markdown]
# ## Recap
#
# 1. The distribution in front of the logarithm decides what is dear: the teacher's in forward KL, the student's in reverse KL.
# 2. Forward KL must not miss what the teacher says: it covers, and fills valleys. Reverse KL must not say what the teacher does not: it commits, and drops modes.
# 3. JSD(β) stands between, bounded, and so lets go in the end; it is 0 at both ends, and only its slopes there are the KLs.
# 4. The direction matters as far as the student cannot copy; with capacity enough all of them have one optimum.
# 5. β and τ change the size of a loss as well as its shape: compare at equal gradient norm, and at more than one rate.
#
# ## Quiz

# %%
quiz("03")

# %% [markdown]
# ## Glossary
#
# **Forward KL** KL(p‖q), the teacher weighs; zero-avoiding, mode-covering. **Reverse KL** KL(q‖p), the student weighs; zero-forcing, mode-seeking. **Mode** a local peak of a distribution. **Valley** here: the middle half of the gap between two modes. **JSD(β)** β·KL(p‖m) + (1−β)·KL(q‖m) with m = βp + (1−β)q. **Skew KL** KL(p‖m). **Integrand** what is added up over x, or over tokens, to give the divergence. **Support** where a distribution is more than negligible; here the smallest region with 99.9 % of it. **Rank** of the logits: how many independent directions the matrix of all contexts' logits has. **Nat** the unit of a natural logarithm; 1 nat is 1.44 bits.
#
# ## Papers
#
# - Kullback & Leibler, "On information and sufficiency", 1951, equation 2.4: the divergence.
# - Lin, "Divergence measures based on the Shannon entropy", 1991: the Jensen–Shannon divergence with weights, and its bounds.
# - Bishop, *Pattern Recognition and Machine Learning*, 2006, section 10.1.2 and figure 10.3: both directions on two modes.
# - Minka, "Divergence measures and message passing", Microsoft Research TR-2005-173: zero-forcing and zero-avoiding.
# - Agarwal et al., "On-Policy Distillation of Language Models", [2306.13649](https://arxiv.org/abs/2306.13649), equation 1: JSD(β).
# - Gu et al., "MiniLLM", [2306.08543](https://arxiv.org/abs/2306.08543), equation 1: reverse KL for language models.
# - Ko et al., "DistiLLM", [2402.03898](https://arxiv.org/abs/2402.03898), section 3.1: skew KL.
# - Wu et al., "Rethinking Kullback–Leibler Divergence in Knowledge Distillation for Large Language Models", [2404.02657](https://arxiv.org/abs/2404.02657).
# - Yang et al., "Breaking the Softmax Bottleneck", [1711.03953](https://arxiv.org/abs/1711.03953): why rank limits a softmax.
#
# ## Next
#
# [Lesson 04](04_fused_softmax_kl.ipynb) makes these losses fast; [lesson 05](05_where.ipynb) asks on whose text they should be measured.
