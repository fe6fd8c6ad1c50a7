# %% [markdown]
# # 03b · HOW: between the KLs
#
# After this lesson you can choose a divergence between forward and reverse KL, soften it, and compare it fairly with others.

# %% tags=["hide-input"]
import torch

from kd_lab.lessons.l03b_between_the_kls import contest
from kd_lab.lessons.l03b_between_the_kls.figures import contest_figure
from kd_lab.viz import show

torch.set_num_threads(1)  # the tensors here are tiny: a second thread would only wait for the first
teachers = contest.teachers_of(seed=0)
losses = contest.contestants(contest.library_gradient)
first_look = contest.masses(teachers, losses, dict.fromkeys(losses, contest.RATE), seed=0)
show(
    contest_figure((first_look, "one learning rate, 1,000 steps")),
    "Seven losses, ordered from forward to reverse KL, train the same students. By its β each JSD stands between "
    "its neighbours, and yet the line zigzags. By the end of this lesson you can say why, and draw it straight.",
    alt="Mass on implausible tokens for forward KL, JSD of five β, and reverse KL: up, down, up and down again.",
)

# %% [markdown] tags=["card"]
# **You will be able to**
#
# - write JSD(β) and its gradient, and say what its β does and does not do;
# - tell bounded divergences from unbounded ones, and say what follows for a mode that is far away;
# - predict what temperature does to a student, in either direction;
# - compare losses at equal gradient norm.
#
# **Before this:** [lesson 03](03_which_kl.ipynb), for forward and reverse KL, their gradients, and the students of low rank that return here.
#
# **Time:** 40 minutes to read and do, and 4 minutes more for the optional look at a real LLM. {{measured}}

# %%
import numpy as np
from IPython.display import Markdown, display

from kd_lab.classroom import claim, exercise, predict, quiz, reveal, setup

seed = setup("03b")

# %% [markdown]
# ## 1 · In between: JSD
#
# $p$ is the teacher, $q$ the student, and $m=\beta p+(1-\beta)q$ their mixture, with $0<\beta<1$.
# The generalised **Jensen–Shannon divergence** compares both with $m$:
#
# $$\mathrm{JSD}_\beta=\beta\,\mathrm{KL}(p\|m)+(1-\beta)\,\mathrm{KL}(q\|m)$$
#
# Since $m\ge\beta p$, no ratio $p/m$ exceeds $1/\beta$; likewise, no $q/m$ exceeds $1/(1-\beta)$.
# So neither side has a cliff, a place where the divergence grows without bound: JSD is at most $-\beta\ln\beta-(1-\beta)\ln(1-\beta)$. At $\beta=\tfrac12$ this bound is $\ln2$, and JSD is symmetric.
#
# The two halves are used alone as well.
# **Skew KL**, $\mathrm{KL}(p\|m)$ with a small $\beta$, is forward KL with its cliff cut off.
# **Skew reverse KL**, $\mathrm{KL}(q\|m)$ with a large $\beta$, is likewise reverse KL without its cliff.
# A sixth divergence, the **total variation**, is $\tfrac12\sum|p-q|$ and at most 1.

# %% tags=["hide-input"]
from kd_lab.lessons.l03b_between_the_kls.figures import cliffs_figure

show(
    cliffs_figure(),
    "Two tokens: one model gives each probability ½, the other lets one of them vanish. The two KLs leave the picture, each on its own side; the other four stay bounded on both.",
    alt="Two panels of divergence against a vanishing probability: forward KL leaves the left panel at the top, reverse KL the right one; JSD, both skew KLs and the total variation stay below 1.",
)

# %%
predict("03b.a")

# %% [markdown]
# **Explore.** One divergence at a time.
# The teacher has a hill at −2 and another that you move; the student is the nearest Gaussian.
# The lower panel has its own scale for skew KL, and a finer one for JSD, whose integrand is about a fifth as tall as a KL's and never negative.
# Total variation is left out: $|p-q|$ has a kink wherever $q=p$, and the search for the nearest Gaussian, Newton's method, needs a smooth function.

# %% tags=["hide-input"]
from kd_lab.lessons.l03b_between_the_kls.explorers import family_explorer

family = family_explorer()
family.show()

# %% tags=["hide-input"]
family.filmstrip([{"second mode at": 1.0}, "JSD(½), farther", "skew KL(0.1)", "skew reverse KL(0.9)"])

# %% tags=["hide-input"]
from kd_lab.lessons.l03b_between_the_kls.figures import distances_table
from kd_lab.lessons.l03b_between_the_kls.hills import letting_go_distance

shares = [0.1, 0.3, 0.5, 0.7, 0.9]
lets_go = {name: [letting_go_distance(name, beta) for beta in shares] for name in ("jsd", "skew_kl", "skew_reverse_kl")}
reverse_lets_go, forward_lets_go = letting_go_distance("reverse_kl"), letting_go_distance("forward_kl")
display(
    Markdown(
        "How far can the second mode move before the best student lets it go?\n\n" + distances_table(shares, lets_go)
    )
)
print(f"Reverse KL lets go at {reverse_lets_go:.2f}, forward KL beyond 8: its mean and width are always the teacher's.")
reveal("03b.a", jsd=lets_go["jsd"][2], reverse_kl=reverse_lets_go)
claim(
    "C03e",
    "JSD(½) lies between: it lets go later than reverse KL, and forward KL never lets go.",
    lets_go["jsd"][2] - reverse_lets_go,
    unit="farther than reverse KL",
    holds=reverse_lets_go < lets_go["jsd"][2] < np.inf and np.isinf(forward_lets_go),
)
claim(
    "C03e",
    "Skew KL, although derived from forward KL, lets go sooner than reverse KL if its β is large.",
    reverse_lets_go - lets_go["skew_kl"][-1],
    unit="nearer than reverse KL, at β = 0.9",
    holds=lets_go["skew_kl"][-1] < reverse_lets_go,
)

# %% [markdown]
# Every *bounded* divergence here lets go in the end, though some only beyond the distances of the table: JSD and skew reverse KL with a small β.
# Giving up a mode costs a fixed amount, which lies below the bound.
# Covering both costs ever more, up to the bound itself, because the student spreads ever thinner over the modes.
# Under forward KL neither price has a bound, but that of giving up a mode grows like the square of the distance, and that of covering only like its logarithm.
#
# ### Exercise 03b.1 · JSD(β) (●●○, 8 minutes)
#
# Stay in log space: `np.logaddexp(a, b)` is $\log(e^a+e^b)$.
# `kl` takes any two distributions as log-probabilities.


# %%
def kl(of, to):
    """KL(of‖to) in nats: [..., V], [..., V] -> [...]. Where `of` is 0 it adds nothing."""
    weight = np.exp(of)
    return (weight * np.subtract(of, to, out=np.zeros_like(weight), where=weight > 0)).sum(-1)


@exercise("03b.1")
def jsd(student_logp, teacher_logp, beta):
    """β·KL(p‖m) + (1−β)·KL(q‖m) in nats: [..., V], [..., V], float -> [...]."""
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# First the log of the mixture. It is the log of a sum of two probabilities, not a sum of two logs.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `np.log(beta) + teacher_logp` is the log of βp. Then `kl(teacher_logp, mixture_logp)` is KL(p‖m).
#
# </details>

# %% [markdown] tags=["solution:03b.1"]
# solution

# %% [markdown]
# **A popular library shipped this.**
# An early version of TRL's GKD trainer ([this file](https://github.com/huggingface/trl/blob/03a860c1da364ff11a6a2a5e3c3483221f181d33/trl/trainer/gkd_trainer.py)) took `beta * teacher_log_probs + (1 - beta) * student_log_probs`, a mixture of logs, for the log of the mixture.
# It also gave β to KL(q‖m) instead of KL(p‖m).
# The check of your exercise names both mistakes.
# With either mistake the loss is still zero at $q=p$, so no loss curve reveals it; both have long been corrected.
# So D(p, p) = 0 is not enough of a test for a divergence, and no other single test finds everything.
# At $\beta=\tfrac12$ the mixture of logs is symmetric as well, and only the bound gives it away, on pairs that lie far apart.
# A β on the wrong half changes nothing at ½; only the comparison with the library, at β = 0.3, shows it.

# %%
import torch

from kd_lab import how
from kd_lab.measure.low_rank_student import log_softmax

generator = np.random.default_rng(seed)
sharpness = generator.uniform(0.2, 12, (2, 2000, 1))  # from nearly even to nearly one-hot
q_pairs, p_pairs = log_softmax(sharpness * generator.standard_normal((2, 2000, 8)))
half = jsd(q_pairs, p_pairs, 0.5)
assert np.allclose(half, jsd(p_pairs, q_pairs, 0.5), atol=1e-5), "JSD(½) is symmetric"
assert half.max() <= np.log(2) + 1e-6, "JSD(½) never exceeds ln 2"
library = how.jsd(torch.from_numpy(q_pairs), torch.from_numpy(p_pairs), 0.3).numpy()
assert np.allclose(jsd(q_pairs, p_pairs, 0.3), library, atol=1e-5), "another than the library's"
print(f"2,000 pairs: symmetric, and JSD(½) is at most {half.max() / np.log(2):.3f} of ln 2.")

# %% [markdown]
# ### The ends
#
# At β = 0 the mixture is $q$: the first term has weight 0, and the second compares $q$ with itself.
# So JSD(0) is 0 for every student, and so is JSD(1).
# Only the *slopes* are the KLs: $\mathrm{JSD}_\beta/\beta\to\mathrm{KL}(p\|q)$ as $\beta\to0$, and $\mathrm{JSD}_\beta/(1-\beta)\to\mathrm{KL}(q\|p)$ as $\beta\to1$.
#
# Libraries often let β = 0 mean forward KL itself ([today's version of the same trainer](https://github.com/huggingface/trl/blob/f2cd57710ae345ea6428ae95363267fcf38a3dc8/trl/experimental/gkd/gkd_trainer.py) does).
# That is convenient, but the loss then jumps: from β = 0.01 to β = 0 it grows a hundredfold.
# `kd_lab` refuses both ends and names the KL to use.

# %% tags=["hide-input"]
from kd_lab.lessons.l03b_between_the_kls.figures import ends_figure

p3, q3 = np.log([0.7, 0.2, 0.1]), np.log([0.2, 0.3, 0.5])
forward, reverse = float(kl(p3, q3)), float(kl(q3, p3))
betas = np.linspace(0.001, 0.999, 200)
show(
    ends_figure(betas, np.array([jsd(q3, p3, beta) for beta in betas]), forward, reverse),
    "One pair of distributions. The straight lines are the tangents at the two ends. A loss with β = 0.01 is no forward KL: it is about a hundredth of one.",
    alt="Left: JSD(β) against β, an arch that is zero at both ends and touches two lines there. Right: JSD/β starts at forward KL, JSD/(1−β) ends at reverse KL.",
)
tiny = 1e-4
assert abs(jsd(q3, p3, tiny) / tiny / forward - 1) < 0.01, "JSD(β)/β tends to forward KL"
assert abs(jsd(q3, p3, 1 - tiny) / tiny / reverse - 1) < 0.01, "JSD(β)/(1−β) tends to reverse KL"
share = float(jsd(q3, p3, 0.01)) / forward
claim(
    "C03e",
    "Raw JSD(0.01) is about a hundredth of forward KL, and JSD(β) vanishes at both ends.",
    share,
    unit="of forward KL, at β = 0.01",
    holds=0.009 < share < 0.0101 and max(jsd(q3, p3, tiny), jsd(q3, p3, 1 - tiny)) < 1e-3,
)

# %% [markdown]
# ## 2 · Temperature and direction
#
# Softening at a **temperature** τ > 1 divides the log-probabilities by τ and normalises again: $p_\tau\propto p^{1/\tau}$.
# A plausible saying: softening makes a forward-KL student hedge twice over, and hands a reverse-KL student a cleaner peak.
# Is it so?
#
# There are two ways to do it.
#
# - Soften **the teacher only**: the student is trained towards $p_\tau$.
# - Soften **both**, as Hinton's loss does: train $q_\tau$ towards $p_\tau$, and use the student at τ = 1 afterwards.
#
# A Gaussian of variance $\sigma^2$ softens to one of variance $\tau\sigma^2$. So in the second way the student is narrower in use than it was in training, by a factor of √τ.

# %%
predict("03b.b")

# %% [markdown]
# **Explore.** Heat the teacher. The faint curve is the teacher at τ = 1.
# If both are softened, the upper panel shows the students as they are used, at τ = 1: compare them with the faint curve. The lower panel is what they were trained on.

# %% tags=["hide-input"]
from kd_lab.lessons.l03b_between_the_kls.explorers import heat_explorer

heat = heat_explorer()
heat.show()

# %% tags=["hide-input"]
heat.filmstrip(["τ = 2", "τ = 4", "τ = 4, far apart", "τ = 4, both softened"])

# %% tags=["hide-input"]
from kd_lab.lessons.l03b_between_the_kls.figures import widths_table
from kd_lab.lessons.l03b_between_the_kls.hills import FIRST, WAYS, X, softened_fit
from kd_lab.measure.gaussian_student import modes_kept
from kd_lab.worlds.densities import two_hills

temperatures, gaps = [1, 2, 4, 8], [4.0, 5.0, 6.0]
widths, locked = {}, {}
for name in ("forward_kl", "reverse_kl"):
    for way in WAYS:
        students = [[softened_fit(two_hills(FIRST + gap), name, t, way)[0] for t in temperatures] for gap in gaps]
        widths[name, way] = np.array([[student.width for student in row] for row in students])
        kept = [
            [modes_kept(X, np.exp(student.logpdf(X)), two_hills(FIRST + gap)).sum() for student in row]
            for gap, row in zip(gaps, students)
        ]
        locked[name, way] = np.array(kept) == 1
display(Markdown("Width of the best student:\n\n" + widths_table(temperatures, gaps, widths, locked)))
reveal("03b.b", one_mode=locked["reverse_kl", WAYS[0]][0, 2])

# %% tags=["hide-input"]
teacher_only, read_at_one = widths["forward_kl", WAYS[0]], widths["forward_kl", WAYS[1]]
stays = locked["reverse_kl", WAYS[0]]
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
    "Softening does not keep a reverse-KL student on one mode: with enough heat it covers both.",
    (~stays).sum(),
    unit=f"of {stays.size} settings of the table cover both modes, none of them at τ = 1",
    holds=(~stays).any() and stays[:, 0].all(),
)

# %% [markdown]
# So the second half of the saying fails as it stands: heat *un*locks the student.
# If both are softened, narrower is not better either: a student that is not marked *one mode* stands in the valley between the two.
# With the modes 6 apart and τ = 8 it stands 3 away from each of them, 1.18 wide under forward KL and 1.08 under reverse KL, and keeps neither, in the sense of lesson 03.
#
# A softened mode is √τ times as wide, so the modes have to stand about √τ times as far apart before the student lets one go:

# %%
from kd_lab.lessons.l03b_between_the_kls.hills import soften

for t in (1, 2, 3, 4):
    distance = letting_go_distance("reverse_kl", view=lambda logp, t=t: soften(logp, t))
    print(f"τ = {t}: reverse KL lets go at {distance:.2f}, which is {distance / np.sqrt(t):.2f} √τ")

# %% [markdown]
# One line of algebra says why:
#
# $$\mathrm{KL}(q\|p_\tau)=\tfrac1\tau\big(\mathbb E_q[-\log p]-\tau\,H(q)\big)+\text{const},\qquad H(q)=-\textstyle\int q\log q$$
#
# Against a softened teacher, reverse KL has the form of a physicist's free energy, energy minus temperature times entropy: τ sets what the entropy $H$ is worth, and a wider student has more of it.
# What does become cleaner is the *landscape*.
# On a ragged peak, with several small summits, a student trained at τ = 1 can end on a wrong one.

# %%
predict("03b.c")

# %%
from kd_lab.lessons.l03b_between_the_kls.hills import count_optima, ragged_hill

counts = []
for s in range(32):
    generator = np.random.default_rng([seed, s])
    hill = ragged_hill(generator)
    means, log_widths = generator.uniform(-2.5, 2.5, 40), generator.uniform(np.log(0.1), 0, 40)
    starts = [*zip(means, np.exp(log_widths))]
    counts.append([count_optima(hill, t, starts) for t in temperatures])
counts = np.array(counts)  # [hill, τ]

# %% tags=["hide-input"]
print("τ                       " + "".join(f"{t:7d}" for t in temperatures))
print("different optima, mean  " + "".join(f"{c:7.2f}" for c in counts.mean(0)))
reveal("03b.c", cold=counts[:, 0].mean(), warm=counts[:, -1].mean())
claim(
    "C03f",
    "Softening leaves a reverse-KL student fewer wrong summits to lock onto on a ragged peak.",
    counts[:, 0] - counts[:, -1],
    unit="fewer optima at τ = 8 than at τ = 1",
    above=0,
)

# %% [markdown]
# In short: softening *the teacher* widens both students.
# For forward KL that means more hedging, as the saying has it.
# For reverse KL the peak is cleaner in that it has fewer false summits, but it is also wider and flatter.
#
# ## 3 · Size
#
# Back to the zigzag.
# At one learning rate, losses of different size take steps of different length.
# For scale: a student that finds all letters equally likely, as ours nearly do at the start, has 17/20 of its mass on implausible tokens.
#
# ### Exercise 03b.2 · The gradient of JSD(β) (●●●, 10 minutes)
#
# With respect to the student's logits.
# In lesson 03 reverse KL's came out as $q\,\big(\log\frac qp-\mathrm{KL}(q\|p)\big)$.
# Here $m$ depends on $q$ too. Differentiate both halves with respect to $q$ first, add them up, and see what cancels.


# %%
@exercise("03b.2")
def jsd_gradient(student_logp, teacher_logp, beta):
    """∂JSD(β)/∂(student's logits): [..., V], [..., V], float -> [..., V]."""
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# $\partial m/\partial q=1-\beta$. The half $\beta\,p\log(p/m)$ gives $-\beta(1-\beta)\,p/m$. What does the other half give, and what is $\beta p/m+(1-\beta)\,q/m$?
#
# </details>
# <details><summary>Hint 2</summary>
#
# What remains is $(1-\beta)\log(q/m)$. The chain rule through the softmax turns it into $q$ times the difference between it and its average under $q$.
#
# </details>

# %% [markdown] tags=["solution:03b.2"]
# solution

# %%
predict("03b.d")

# %% [markdown]
# **The same contest twice**: first at the rate 4 for every loss, then at rates that make every loss's first step as long as forward KL's at the rate 4.

# %%
teachers = contest.teachers_of(seed)
losses = contest.contestants(jsd_gradient)
norms = contest.first_norms(teachers, losses, seed)  # of the first gradient, per teacher
one_rate = contest.masses(teachers, losses, dict.fromkeys(losses, 4.0), seed)
made_equal = {label: 4.0 * norms["forward KL"] / norm for label, norm in norms.items()}
equal_norm = contest.masses(teachers, losses, made_equal, seed)
ratio = {label: (norm / norms["forward KL"]).mean() for label, norm in norms.items()}
print("first gradient's norm, forward KL's being 1:")
print("   ".join(f"{label} {value:.3f}" for label, value in ratio.items()))

# %% tags=["hide-input"]
show(
    contest_figure((one_rate, "one learning rate"), (equal_norm, "equal gradient norm")),
    "At one learning rate JSD(0.02) and JSD(0.98), next to the two KLs, seem to hedge more than either: their "
    "training is not yet over. At equal gradient norm the means stand in the order of β, the last two nearly level. Bands are 95 % intervals over 8 teachers.",
    alt="Mass on implausible tokens for forward KL, JSD of five β and reverse KL: a zigzag at one learning rate, a falling line at equal gradient norm.",
)
reveal("03b.d", times=ratio["reverse KL"] / ratio["JSD(0.98)"])


def largest_rise(found):
    """By how much the mass rises, at most, from one loss to the next in the order of β: one number per teacher."""
    return np.diff(np.array([*found.values()]), axis=0).max(0)


claim(
    "C03g",
    "At one learning rate, raw JSD(0.98) ends far from reverse KL, the limit of JSD(β)/(1 − β).",
    one_rate["JSD(0.98)"] - one_rate["reverse KL"],
    unit="more mass on implausible tokens",
    above=0.1,
)
claim(
    "C03g",
    "At equal gradient norm it ends where reverse KL does.",
    np.abs(equal_norm["JSD(0.98)"] - equal_norm["reverse KL"]),
    unit="difference in mass on implausible tokens",
    below=0.03,
)
claim(
    "C03g",
    "At one learning rate the mass on implausible tokens does not follow β: it rises on the way to reverse KL.",
    largest_rise(one_rate),
    unit="largest rise from one loss to the next",
    above=0.1,
)
claim(
    "C03g",
    "At equal gradient norm it never rises clearly on the way from forward KL over JSD to reverse KL.",
    largest_rise(equal_norm),
    unit="largest rise from one loss to the next; below 0 there is none",
    below=0.03,
)

# %% [markdown]
# **Is that a fact about divergences, or about one step length?**
# All of this rests on one rate, 4.
# Repeat the second contest with three of the losses at 1, 2, 4, 8 and 16, at each rate with first steps of equal length.

# %%
rates, rivals = [1.0, 2.0, 4.0, 8.0, 16.0], ["forward KL", "JSD(0.98)", "reverse KL"]
by_rate = {label: [] for label in rivals}  # label → [rate][teacher]
for rate in rates:
    equal = {label: rate * norms["forward KL"] / norms[label] for label in rivals}
    found = contest.masses(teachers, {label: losses[label] for label in rivals}, equal, seed)
    for label in rivals:
        by_rate[label].append(found[label])

# %% tags=["hide-input"]
print("mass on implausible tokens at rate " + "".join(f"{rate:7.0f}" for rate in rates))
for label, rows in by_rate.items():
    print(f"{label:<35}" + "".join(f"{row.mean():7.3f}" for row in rows))
apart = np.abs(np.array(by_rate["JSD(0.98)"]) - np.array(by_rate["reverse KL"]))  # [rate, teacher]
claim(
    "C03g",
    "At equal gradient norm JSD(0.98) and reverse KL end together at the rates 1, 2 and 4.",
    apart[:3].max(0),
    unit="difference in mass, the largest of three rates",
    below=0.05,
)
claim(
    "C03g",
    "Equal norms do not help where steps are too long: at the rate 16 reverse KL's own student no longer settles.",
    by_rate["reverse KL"][-1] - by_rate["reverse KL"][2],
    unit="more mass on implausible tokens than at the rate 4",
    above=0.1,
)

# %% [markdown]
# So equal norms at the start make losses comparable only while the steps are short enough for both to settle.
# Beyond that, a ranking is one of step lengths again.
#
# ### Temperature changes the size too
#
# Hinton's loss softens both sides and carries a factor τ². What is it for?
#
# ### Exercise 03b.3 · The softened gradient (●●○, 7 minutes)
#
# The gradient of $\mathrm{KL}(p_\tau\|q_\tau)$, without the factor, with respect to the student's logits $z$, where $q_\tau=\mathrm{softmax}(z/\tau)$.
# Both arguments are logits this time.


# %%
@exercise("03b.3")
def softened_gradient(student_logits, teacher_logits, temperature):
    """∂KL(p_τ‖q_τ)/∂(student's logits): [..., V], [..., V], float -> [..., V]."""
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# With $u=z/\tau$ you know the gradient in $u$: forward KL's. What is $\partial u/\partial z$?
#
# </details>
# <details><summary>Hint 2</summary>
#
# It is a difference of two softmaxes, divided by τ. Subtract the largest logit first, and nothing overflows.
#
# </details>

# %% [markdown] tags=["solution:03b.3"]
# solution

# %%
logits = teachers[0]  # log p is as good as logits
student_logits = 0.3 * np.random.default_rng(seed).standard_normal(logits.shape)
print("   τ    norm of the gradient    times τ    times τ²")
for t in (1, 2, 4, 8, 16):
    norm = np.linalg.norm(softened_gradient(student_logits, logits, float(t)))
    print(f"{t:4d}    {norm:20.4f}    {t * norm:7.3f}    {t**2 * norm:8.2f}")

# %% [markdown]
# For large τ the gradient falls like 1/τ²: one τ from the chain rule, one because the softened distributions move closer together.
# With the factor τ² its size stays within a factor of 1.6 from τ = 1 to 16.
# Adam forgives a constant factor, because it divides by the size of the gradient; but in a mixture of losses, or where gradients are clipped, the factor matters.
# So: **before you compare divergences, compare gradient norms.**
#
# ## In the wild
#
# TRL's [`GKDConfig`](https://github.com/huggingface/trl/blob/07d63cd230288a26c51c53627c7cdf1318c5b43a/trl/experimental/gkd/gkd_config.py) has `beta=0.5` by default, and documents β = 0 as "the KL divergence" and β = 1 as "the Inverse KL Divergence": a jump at both ends.
# [DistiLLM](https://github.com/jongwooko/distillm/blob/17c0f98bc263b1861a02d5df578c84aea652ee65/arguments.py) has `skew-alpha` 0.1 for both skew KLs: our β = 0.1 and 0.9.
# It clips gradients at a norm of 1, which shortens long gradients only.
# What does not carry over is our plain gradient descent: DistiLLM uses AdamW.
#
# ## On a real LLM (optional)
#
# A teacher, SmolLM2-135M, and a student made from it take the place of the hills ([lesson 13](13_real_llm.ipynb)).
# The lower panel is what the divergence charges per token, for JSD on a scale ten times as fine.
# The bar of all others sums the charges of the stored tokens that are not drawn and of the rest of the vocabulary, which counts as one event.
#
# Which tokens do the two KLs charge most, and why are they not the same?
# Which charges are negative, and why are none of JSD's?

# %% tags=["hide-input"]
from kd_lab.lessons.l03b_between_the_kls.explorers import real_pair_explorer

real_pair = real_pair_explorer()
real_pair.show()

# %% tags=["hide-input"]
real_pair.filmstrip([{}, "reverse KL", "JSD(½)", "two digits", "two digits, reverse KL"])

# %% [markdown]
# ## Discuss
#
# *For two people, ten minutes.*
# A report compares forward KL, JSD(0.1), JSD(0.5), JSD(0.9) and reverse KL at one learning rate with AdamW and gradient clipping, and finds JSD(0.5) best.
# Which three further runs would you ask for before you believe it?
# When would you use JSD even if it came out second?

# %% [markdown] tags=["teacher"]
# **Expected answers.** Runs: the same at gradient norms made equal (or without clipping), a sweep of the learning rate for each loss, and each loss divided by β(1−β) or by its own first value; also a student large enough to copy, where all should agree. JSD is worth having where a cliff is dangerous: teachers with zeros (top-k caches, other vocabularies), noisy labels, half precision; it is bounded, and so are its gradients. The price is that it too lets modes go. **Misconceptions:** "JSD(0.5) is the safe middle" (it is bounded, which is why it drops distant modes); "β near 0 is forward KL" (its slope is); "Adam makes the size irrelevant" (not with a mixed loss, clipping, or weight decay); "softening sharpens the reverse-KL student" (it widens it). **Timing:** 40 minutes alone, 60 in a class; the family explorer alone fills ten minutes.

# %% [markdown]
# ## Recap
#
# 1. JSD(β) compares teacher and student with their mixture. It is bounded, and so it lets a distant mode go in the end.
# 2. At β = 0 and 1 JSD is 0 for every student. Only its slopes there are the KLs.
# 3. Softening the teacher alone widens both students. With enough heat a reverse-KL student covers modes that it would have dropped.
# 4. Softening both and using the student at τ = 1 makes the forward-KL student narrower.
# 5. β and τ change the size of a loss as well as its shape: compare at equal gradient norm, and at more than one rate.
#
# ## Quiz

# %%
quiz("03b")

# %% [markdown]
# ## Glossary
#
# **Mixture** m = βp + (1−β)q; β is the teacher's share. **JSD(β)** β·KL(p‖m) + (1−β)·KL(q‖m). **Skew KL** KL(p‖m). **Skew reverse KL** KL(q‖m). **Total variation** half the sum of |p − q|. **Bounded** never larger than some number, whatever p and q are. **Letting go** the best student keeps one mode of two. **Temperature** τ; p_τ is proportional to p^(1/τ). **Gradient norm** the length of the gradient over all parameters; times the learning rate it is the length of a step.
#
# ## Papers
#
# - Lin, "Divergence measures based on the Shannon entropy", 1991: the Jensen–Shannon divergence with weights, and its bounds.
# - Agarwal et al., "On-Policy Distillation of Language Models", [2306.13649](https://arxiv.org/abs/2306.13649), equation 1: JSD(β).
# - Ko et al., "DistiLLM", [2402.03898](https://arxiv.org/abs/2402.03898), section 3.1: skew KL and skew reverse KL.
# - Hinton, Vinyals & Dean, "Distilling the Knowledge in a Neural Network", [1503.02531](https://arxiv.org/abs/1503.02531), section 2 and equations 1 to 4: temperature, and the factor τ².
#
# ## Next
#
# [Lesson 04](04_fused_softmax_kl.ipynb) makes these losses fast; [lesson 06](06_gkd.ipynb) turns β and the on-policy share together.
