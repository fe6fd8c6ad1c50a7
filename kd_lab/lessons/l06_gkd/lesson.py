# %% [markdown]
# # 06 · GKD: two orthogonal knobs
#
# After this lesson you can set the two dials of generalised distillation on purpose, the divergence and the share of texts that the student writes itself, and say where another project's settings stand on them.

# %% tags=["hide-input"]
from kd_lab.lessons.l06_gkd.figures import two_judges
from kd_lab.lessons.l06_gkd.results import load_grid
from kd_lab.viz import DIVERGENCES, show

grid = load_grid()
show(
    two_judges(grid),
    f"Thirty ways to distil one teacher of surnames, each trained {len(grid.seeds)} times. A row is a divergence; a column is the share of "
    "texts that the student writes itself. Left and right are the same students under two judges; bright is near the best.",
    alt="Two heat maps of six divergences by five shares. Judged by KL(P‖Q) the top row, forward KL, is best; judged by KL(Q‖P) the row of reverse KL.",
)

# %% [markdown] tags=["card"]
# **You will be able to**
#
# - write the step of GKD, and name the methods that are special cases of it;
# - compute JSD(β) in log space, and say what happens to its gradient at both ends;
# - read a grid of divergence × share with its intervals, and say which of its findings carry over to another world or another judge;
# - translate the settings of TRL, DistiLLM, verl, tinker and others, and test a translation instead of trusting a name;
# - tell from its curves and its texts which fault a training loop has.
#
# **Before this:** [lesson 02](02_word_and_sequence.ipynb) (word-level distillation), [lessons 03](03_which_kl.ipynb) and [03b](03b_between_the_kls.ipynb) (the divergences), [lesson 05](05_where.ipynb) (on-policy distillation).
#
# **Time:** 50 minutes to read and do, and 5 minutes more for the riddle in section 5. {{measured}}

# %%
import numpy as np
import torch
from IPython.display import Markdown, display

from kd_lab.classroom import claim, exercise, predict, quiz, reveal, setup

seed = setup("06", threads=1)

# %% [markdown]
# ## 1 · Two dials
#
# A prefix $y_{<t}$ is the beginning of a text.
# Teacher and student each have a distribution over the next token there, $p_t$ and $q_t$.
# Generalised knowledge distillation (GKD) leaves two things open: the divergence $D$ between $p_t$ and $q_t$, and the share $\lambda$ of texts $y$ that the student writes itself. Its loss is
#
# $$L=(1-\lambda)\;\mathbb E_{y\sim\text{fixed texts}}\Big[\sum_t D(p_t,q_t)\Big]+\lambda\;\mathbb E_{y\sim\text{student}}\Big[\sum_t D(p_t,q_t)\Big].$$
#
# The paper divides each text's sum by its length; here a batch's sum is divided by its number of counted positions (section 4).
# The algorithm replaces the two expectations by the toss of a coin: at each step the student writes the batch with probability $\lambda$; otherwise the batch comes from the fixed texts.
# No gradient flows through the student's writing; lesson 07 is about what that leaves out.
#
# | $D$ | λ | is known as |
# |---|---|---|
# | forward KL, $\mathrm{KL}(p\|q)$ | 0 | word-level distillation |
# | reverse KL, $\mathrm{KL}(q\|p)$ | 1 | on-policy reverse KL, or MiniLLM without its term for the future |
# | JSD(½) | ½ | the default of TRL's `GKDConfig` |

# %%
predict("06.a")

# %% [markdown]
# ### Exercise 06.1 · The step of GKD (●○○, 8 minutes)
#
# `student` and `teacher` map tokens `[B, T]` to logits `[B, T, V]`.
# `read()` gives a batch of fixed texts, `write()` lets the student write one; a batch has `.inputs` `[B, T]` and `.mask` `[B, T]`.
# `share` is λ, and `coin` is a random number, 0 ≤ coin < 1.
# `divergence(student_logp, teacher_logp)` gives `[B, T]`.
# Return the mean over counted positions; `masked_mean(values, mask)` is at hand.

# %%
from kd_lab.how import masked_mean


@exercise("06.1")
def gkd_step(student, teacher, read, write, share, coin, divergence):
    """The loss of one step, in nats per counted position.

    `read()` and `write()` give a batch; λ is `share`.
    """
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Only one line depends on the coin. Which part of this function is the most expensive, and when can it be skipped?
#
# </details>
# <details><summary>Hint 2</summary>
#
# The teacher's logits belong under `torch.no_grad()`. `.log_softmax(-1)` turns logits into log-probabilities. With λ = 0, is there a coin for which the student should write?
#
# </details>

# %% [markdown] tags=["solution:06.1"]
# solution

# %% [markdown]
# **Experiment.** Two worlds.
# *surnames* is real: a teacher that has read eighteen thousand names, and a student of 28,000 weights that may read a hundred of them.
# *echo* is exact: a small language whose every text can be listed; its student has 3,300 weights and 300 texts.
# The first two rows of the table above are now trained twice: by GKD, and by the method that the row names.

# %%
from kd_lab.lessons.l06_gkd.corners import largest_difference
from kd_lab.methods import gkd, on_policy, word_level

word_corner = gkd(divergence="forward_kl", on_policy_fraction=0.0)
own_corner = gkd(divergence="reverse_kl", on_policy_fraction=1.0)
runs = [(world, start, seed + start) for world in grid.worlds for start in range(3)]
off_policy = max(largest_difference(w, word_level(), word_corner, *numbers) for w, *numbers in runs)
own_texts = max(largest_difference(w, on_policy(), own_corner, *numbers) for w, *numbers in runs)

# %% tags=["hide-input"]
SIX = "largest difference of a loss or a weight in two worlds, three seeds, 6 steps"
claim(
    "C06a",
    "λ = 0 with forward KL is word-level distillation: every loss and every weight is equal, step for step.",
    off_policy,
    unit=SIX,
    holds=off_policy == 0,
)
claim(
    "C06b",
    "λ = 1 with reverse KL is on-policy reverse KL: every loss and every weight is equal, step for step.",
    own_texts,
    unit=SIX,
    holds=own_texts == 0,
)
reveal("06.a")

# %% [markdown]
# That compared one recipe of the library with another. Do both have the gradient that the formula asks for?
# On *echo* the expectation over the student's texts can be written out: it is the reverse KL at every prefix, weighted by the probability that the student reaches it. These probabilities are held fixed when the gradient is taken.
# We compare its gradient with the one that the recipe computes from drawn texts.

# %%
from kd_lab.lessons.l06_gkd.corners import share_of_listed_gradient

along = [share_of_listed_gradient(own_corner, number) for number in range(seed, seed + 10)]
claim(
    "C06b",
    "Its gradient, averaged over drawn texts, is the one that is summed over every prefix.",
    along,
    unit="of the listed gradient along its direction, 2,048 texts per seed",
    above=0.95,
    below=1.05,
)

# %% [markdown]
# ## 2 · The first dial: a number with three readings
#
# Between the two KLs lies the generalised Jensen–Shannon divergence. With $m$ the mixture of both,
#
# $$\mathrm{JSD}(\beta)=\beta\,\mathrm{KL}(p\|m)+(1-\beta)\,\mathrm{KL}(q\|m),\qquad m=\beta p+(1-\beta)q .$$
#
# **By hand, three tokens.** Let $p=(\tfrac12,\tfrac12,0)$ and $q=(\tfrac12,0,\tfrac12)$. Both KLs between them are infinite.
# At $\beta=\tfrac12$ the mixture is $(\tfrac12,\tfrac14,\tfrac14)$.
# So $\mathrm{KL}(p\|m)=\tfrac12\ln\tfrac{1/2}{1/2}+\tfrac12\ln\tfrac{1/2}{1/4}=\tfrac12\ln2$; the other KL is the same, and JSD(½) = ½ ln 2 ≈ 0.35.
# At $\beta=0.1$ the mixture is $(0.5,\,0.05,\,0.45)$, and $0.1\cdot\tfrac12\ln10+0.9\cdot\tfrac12\ln\tfrac{0.5}{0.45}\approx0.115+0.047=0.16$.
#
# **Derive.** Let both KLs be finite. As $\beta\to0$ the mixture becomes $q$, and the second term vanishes faster than the first: $\mathrm{JSD}(\beta)\approx\beta\,\mathrm{KL}(p\|q)$.
# So the gradient keeps forward KL's *direction* while its length vanishes.
# As $\beta\to1$ the same happens with reverse KL.
# TRL treats `beta=0` and `beta=1` as special cases: there the loss is the KL itself, at full length.

# %% [markdown]
# ### Exercise 06.2 · JSD(β) in log space (●●○, 10 minutes)
#
# Both arguments are log-probabilities `[..., V]`, the student's first.
# The third case of the check has a token to which both give $e^{-200}$, which fp32 rounds to 0.
# Mix without leaving the logarithms.

# %%
import math


@exercise("06.2")
def generalised_jsd(student_logp, teacher_logp, beta):
    """β·KL(p‖m) + (1−β)·KL(q‖m), m = βp + (1−β)q, in nats: [..., V], [..., V] -> [...]."""
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# β belongs to the teacher, twice: as its share of the mixture, and as the weight of one KL. Which KL is it, and which argument of it is the mixture?
#
# </details>
# <details><summary>Hint 2</summary>
#
# `torch.logaddexp(a, b)` is $\log(e^a+e^b)$, and multiplying a probability by a factor adds to its logarithm.
#
# </details>

# %% [markdown] tags=["solution:06.2"]
# solution

# %%
predict("06.b")

# %%
from kd_lab.how import jsd, reverse_kl
from kd_lab.lessons.l06_gkd.explorers import READINGS, beta_explorer, pull, read_as

teacher_logits = torch.tensor([0.55, 0.25, 0.10, 0.07, 0.03]).log()
student_logits = torch.tensor([0.03, 0.45, 0.30, 0.07, 0.15]).log()
for beta in (0.1, 0.5, 0.9):
    torch.testing.assert_close(
        generalised_jsd(student_logits, teacher_logits, beta),
        jsd(student_logits, teacher_logits, beta),
    )

explorer = beta_explorer(student_logits, teacher_logits, "abcde")
explorer.show()
same_number = [{"the number": 0.9, "read as": reading} for reading in READINGS]
explorer.filmstrip([*same_number, {"the number": 0.99}])

# %% [markdown]
# **A popular trap.** Three readings of one number are in circulation.
# In GKD, TRL and DistiLLM-2 it is the teacher's share; in DistiLLM's `jsd` it is the student's.
# Some expect a dial from forward to reverse KL and exchange the outer weights. That is a different divergence, with other gradients in between; it was [proposed to TRL](https://github.com/huggingface/trl/issues/6780) and [to ms-swift](https://github.com/modelscope/ms-swift/pull/10213) as a fix.
# TRL itself had its mixture the wrong way round [until March 2025](https://github.com/huggingface/trl/pull/3043).
# In one of verl's recipes `beta: 1.0` silently gives a loss of nearly zero, as [an issue reports](https://github.com/verl-project/verl-recipe/issues/151).
#
# The vanishing length hardly matters with Adam, which rescales a gradient that is always small.
# It matters with SGD, with clipping, and beside a second loss.
# So compare divergences at equal gradient norm, or with an optimiser that ignores the norm, as the grid below does.

# %%
pairs = []  # logits of student and teacher at one position, over eight tokens
for number in range(seed, seed + 10):
    generator = torch.Generator().manual_seed(number)
    pairs.append(2 * torch.randn(2, 8, generator=generator, dtype=torch.float64))


def force(reading, number, pair):
    """Where this reading of the number pushes the student's logits."""
    z, teacher_z = pair
    return pull(lambda q, p: read_as(reading, number, q, p), z, teacher_z.log_softmax(-1))


at_one = [pull(reverse_kl, z, teacher_z.log_softmax(-1)) for z, teacher_z in pairs]
near_one = [force(READINGS[0], 0.98, pair) for pair in pairs]
trl_09, distillm_09 = ([force(reading, 0.9, pair) for pair in pairs] for reading in READINGS[:2])

# %% tags=["hide-input"]
claim(
    "C06d",
    "TRL's loss jumps at its ends: at β = 0.98 the gradient is less than a twentieth as long as at β = 1.",
    [np.linalg.norm(a) / np.linalg.norm(b) for a, b in zip(near_one, at_one)],
    unit="of the gradient's length at β = 1, ten pairs of distributions",
    below=0.05,
    scale="log",
)
claim(
    "C06d",
    "The same number is another divergence in another dialect: 0.9 in TRL is not 0.9 in DistiLLM's jsd.",
    [np.linalg.norm(a - b) / np.linalg.norm(b) for a, b in zip(trl_09, distillm_09)],
    unit="length of the difference ÷ length of DistiLLM's gradient",
    above=0.1,
    scale="log",
)
reveal("06.b")

# %% [markdown]
# ## 3 · The grid
#
# Six divergences × five shares × eight seeds, in both worlds, with one budget for each world.
# All cells of a seed begin with the same student, which has learned from labels for a while: GKD's authors ask for a student that can already write.
# Training them all takes half an hour on one core, so the results are stored.
#
# Two judges. Let $P$ and $Q$ be the teacher's and the student's distributions over whole texts. $\mathrm{KL}(P\|Q)$ asks whether the student can say all that the teacher says; $\mathrm{KL}(Q\|P)$ asks whether the teacher could have said what the student says.
# Each is 0 only for a perfect student.
# On *echo* both are summed over all texts; on *surnames* they are averages over 512 drawn texts.

# %%
predict("06.c")

# %% tags=["hide-input"]
from kd_lab.lessons.l06_gkd.explorers import KINDS, configuration_explorer, fault_explorer, grid_explorer
from kd_lab.lessons.l06_gkd.figures import best_cells, budget_table, coverage, worst_cases

display(Markdown(budget_table(grid)))
walk = grid_explorer(grid)
walk.show()
walk.filmstrip(
    [
        {"λ": 0.5, "judged": f"surnames, {KINDS['forward_kl']}"},
        {"λ": 0.0, "divergence": "forward KL", "judged": f"echo, {KINDS['forward_kl']}"},
        {"λ": 0.5, "divergence": "reverse KL", "judged": f"surnames, {KINDS['reverse_kl']}"},
        {"λ": 1.0, "divergence": "reverse KL", "judged": f"echo, {KINDS['reverse_kl']}"},
    ]
)
reveal("06.c", best_cells=best_cells(grid))

# %% [markdown]
# **Can the file be trusted?** One of its rows, JSD on *echo*, is trained again now, with three of its seeds.
# On the machine that made the file every digit agrees.
# On another machine rounding differs and training amplifies the difference; there the means have to agree within their intervals.

# %%
from kd_lab.lessons.l06_gkd.experiment import train_cell
from kd_lab.measure import mean_interval

agreed = 0
print("JSD on echo, KL(P‖Q) in nats per text     stored                now")
for fraction in grid.fractions:
    runs = [train_cell("echo", "jsd", fraction, number, points=0) for number in (0, 1, 2)]
    now = mean_interval([run["curve"][-1][0] for run in runs])
    stored = mean_interval(grid.curves("echo", "jsd", fraction, "forward_kl")[:3, -1])
    agreed += abs(stored[0] - now[0]) <= stored[1] + now[1]
    then, again = (f"{mean:.3f} ± {half:.3f}" for mean, half in (stored, now))
    print(f"λ = {fraction:<5g}{'':25} {then}         {again}")
claim(
    "C06c",
    "Training again gives the stored grid.",
    agreed,
    unit="of 5 cells of one row, means within their intervals",
    holds=agreed == 5,
)

# %% [markdown]
# **What decides between divergences?** First at λ = ½.
# Runs with the same seed began with the same student, so they are compared in pairs.

# %% tags=["hide-input"]
MEASURES = tuple(KINDS)
row = {divergence: place for place, divergence in enumerate(grid.divergences)}
NONE, HALF, ALL = (grid.fractions.index(fraction) for fraction in (0.0, 0.5, 1.0))
final = {(world, measure): grid.final(world, measure) for world in grid.worlds for measure in MEASURES}

for world in grid.worlds:
    for winner, loser in (MEASURES, MEASURES[::-1]):
        ends = final[world, winner][:, HALF]
        claim(
            "C06c",
            f"On {world}, {winner.replace('_kl', '')} KL ends nearer than {loser.replace('_kl', '')} KL when {KINDS[winner]} is the judge.",
            ends[row[loser]] / ends[row[winner]],
            unit=f"times as far: {KINDS[winner]} of {loser.replace('_kl', '')} KL ÷ {winner.replace('_kl', '')} KL, λ = ½",
            above=1,
            scale="log",
        )

# %% [markdown]
# On *surnames* each KL wins under its own judge, with every seed.
# On *echo* eight seeds do not decide: a verdict asks for a mean two half-widths of its interval away from the threshold.
# Reverse KL gives up a part of the language there, and how much, measured by KL(P‖Q), differs severalfold from seed to seed.
#
# A judge of quality alone favours reverse KL. The next cell prints the bits per character that the teacher needs for a student's names; they say nothing about what is missing.

# %% tags=["hide-input"]
needs = grid.final("surnames", "judgement")[:, HALF].mean(-1)
print("bits per character that the teacher needs for names written after training at λ = ½:")
print("   ".join(f"{DIVERGENCES[name].label} {bits:.2f}" for name, bits in zip(grid.divergences, needs)))
for world in grid.worlds:
    texts, different, held = coverage(world)
    print(f"{world:9} {texts} fixed texts, {different} different ones; they hold {held:.1%} of the teacher's writing")
ends = {world: final[world, "forward_kl"][row["forward_kl"]] for world in grid.worlds}
claim(
    "C06c",
    "On surnames forward KL ends nearer to the teacher if the student writes half of the texts.",
    ends["surnames"][HALF] / ends["surnames"][NONE],
    unit="of the distance KL(P‖Q) without own texts",
    below=1,
    scale="log",
)
claim(
    "C06c",
    "On echo forward KL ends farther from the teacher if the student writes half of the texts.",
    ends["echo"][HALF] / ends["echo"][NONE],
    unit="times the distance KL(P‖Q) without own texts",
    above=1,
    scale="log",
)

# %% [markdown]
# **The world decides about λ.**
# On *surnames* the fixed texts are a hundred names. The student's own texts are new at every step, and the teacher has something new to say about each.
# On *echo* the three hundred fixed texts were drawn from the teacher and cover nearly the whole language. There the student's own texts only replace better ones.
#
# The chain rule gives each judge its own corner of the grid.
# $\mathrm{KL}(P\|Q)$ *is* forward KL summed along the teacher's prefixes, and those are what λ = 0 visits on *echo*; $\mathrm{KL}(Q\|P)$ *is* reverse KL summed along the student's, at λ = 1.
# But the corner that trains on a judge's own sum (for KL(Q‖P) without the gradient through the prefixes) need not win after 150 steps.
# On *echo*, skew reverse KL at λ = 0 has the lowest mean under both judges, and under KL(Q‖P) forward KL at λ = 0 ends as near as reverse KL at λ = 1.
#
# **A robust default?** JSD with λ = ½ is often called one. In one world and under one judge, the *regret* of a run is its distance from the teacher, divided by that of the best cell's run with the same seed. The best cell has the lowest mean over seeds.
# The worst case of a cell is the largest regret of its runs within a seed; these are averaged over seeds. A default is good if its worst case is low.

# %% tags=["hide-input"]
from kd_lab.lessons.l06_gkd.results import regret

regrets = {key: regret(values) for key, values in final.items()}
worst = {world: np.max([regrets[world, measure] for measure in MEASURES], axis=0) for world in grid.worlds}
worst["both"] = np.max(list(worst.values()), axis=0)
show(
    worst_cases(grid, worst),
    "The worst case over both judges, taken within each seed, as a multiple of the best cell; then means over seeds; bright is safe. On surnames JSD and skew KL are safe in every column. On echo the left column is safest. Over both worlds skew KL with λ = 0 has the lowest worst case in the mean, and word level a lower one than JSD with λ = ½; whether seeds decide it is said below.",
    alt="Three heat maps of worst-case regret, for surnames, echo and both. On surnames the rows of JSD and skew KL are bright in every column; on echo the left column, λ = 0, is brightest; over both worlds skew KL at λ = 0 is.",
)
corners = [("forward_kl", NONE), ("forward_kl", ALL), ("reverse_kl", NONE), ("reverse_kl", ALL)]
middle = {world: values[row["jsd"], HALF] for world, values in worst.items()}
nearest_corner = {world: np.min([values[row[d], f] for d, f in corners], axis=0) for world, values in worst.items()}
claim(
    "C06c",
    "On surnames JSD with λ = ½ has a lower worst case than each of the four corners.",
    nearest_corner["surnames"] / middle["surnames"],
    unit="times its worst case: the best of forward and reverse KL at λ = 0 and λ = 1",
    above=1,
    scale="log",
)
claim(
    "C06c",
    "Over both worlds JSD with λ = ½ has a lower worst case than each of the four corners.",
    nearest_corner["both"] / middle["both"],
    unit="times its worst case: the best of forward and reverse KL at λ = 0 and λ = 1",
    above=1,
    scale="log",
)
safest = np.unravel_index(worst["both"].mean(-1).argmin(), worst["both"].shape[:2])
claim(
    "C06c",
    "Over both worlds JSD with λ = ½ has a higher worst case than the safest cell of the grid.",
    middle["both"] / worst["both"][safest],
    unit=f"times the worst case of {DIVERGENCES[grid.divergences[safest[0]]].label} with λ = {grid.fractions[safest[1]]:g}",
    above=1,
    scale="log",
)

# %% [markdown]
# So the saying about JSD with λ = ½ is half true here.
# On *surnames* two *rows* are safe: under both judges JSD and skew KL stay near the best, where forward and reverse KL each do badly under one. Skew reverse KL lies between.
# The *column* is not safe: on *echo* the student's own texts cost nearly every divergence something under KL(P‖Q).
# Over both worlds the safest cell in the mean is skew KL at λ = 0. Whether it is safer than JSD with λ = ½ is still open after eight seeds, and it was picked after the fact, which flatters it.
#
# GKD's authors, too, find that the best divergence depends on the task.
# What carries over to other students is not the cell but the method: two judges and a worst case.
#
# ## 4 · Dialects
#
# The same losses go by other names in other projects.
# A table of translations, such as the one below, is only as good as its test.
# The test is the same for every project: *take generic logits, and compare gradients.*
#
# ### Exercise 06.3 · Recognise a loss by what it does (●●●, 10 minutes)
#
# `theirs` and every candidate are functions of (student logits, teacher logits), both `[B, V]`, and return one number.
# Name the candidate that trains as `theirs` does; `None` if there is none.
# A factor counts as a difference, although Adam would undo it; a constant does not.


# %%
@exercise("06.3")
def recognise(theirs, candidates, student_logits, teacher_logits):
    """The name of the candidate that trains as `theirs` does, or None.

    `theirs` and each candidate: (logits, logits) -> [].
    """
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# What does the optimiser see of a loss? A public "forward KL" may be larger than ours by the teacher's entropy and still train the same.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `logits = student_logits.clone().requires_grad_()`, then `torch.autograd.grad(loss(logits, teacher_logits), logits)[0]`; `torch.allclose` with a tolerance.
#
# </details>

# %% [markdown] tags=["solution:06.3"]
# solution

# %% [markdown]
# Ten losses of three projects are written out from their definitions in [`foreign_losses.py`](../kd_lab/lessons/l06_gkd/foreign_losses.py). Your function looks for each of them among ours.

# %%
from kd_lab.lessons.l06_gkd.foreign_losses import OURS, THEIRS
from kd_lab.methods import dialect_table

generator = torch.Generator().manual_seed(seed)
z, teacher_z = 2 * torch.randn(2, 64, 11, generator=generator, dtype=torch.float64)
as_told = 0
for name, (expected, loss) in THEIRS.items():
    found = recognise(loss, OURS, z, teacher_z)
    as_told += found == expected
    print(f"{name:42} trains as  {found or 'none of these'}")

# %% tags=["hide-input"]
claim(
    "C06d",
    "Each foreign loss trains as the loss of ours that it is translated into, or as none of ours where it has no translation.",
    as_told,
    unit=f"of {len(THEIRS)} losses",
    holds=as_told == len(THEIRS),
)
display(Markdown(dialect_table()))

# %% [markdown]
# Four differences remain that no divergence shows.
# **Temperature:** TRL's 0.9 softens nothing in the loss; it is the temperature at which the student writes. At 0.9 it writes likelier texts than at 1, so λ = 1 is not quite on-policy. The same 0.9 in ms-swift softens the loss as well.
# **Reduction:** TRL's `DistillationTrainer`, DistiLLM and this library average over tokens. TRL's `GKDTrainer` divides a sum over what the student wrote by the tokens of the *data*, so longer texts make a larger step. DistiLLM-2 averages first over each text's tokens and then over texts, so a token of a short text weighs more.
# **The coin:** here and in TRL one toss per batch; DistiLLM keeps a buffer of old student texts, and DistiLLM-2 uses both halves at every step.
# **Flags:** MiniLLM's `--length-norm` changes what is logged; the loss is normalised either way.
#
# **Explore.** Paste the settings of a run, your own or a paper's. tinker and ms-swift, whose teacher is often a server, are on the list too; [lesson 12](12_the_whole_field.ipynb) has their table. Settings that have nothing to do with the two dials are listed and ignored.

# %%
theirs = configuration_explorer(grid)
theirs.show()

# %% tags=["hide-input"]
theirs.filmstrip(["TRL GKDConfig", "DistiLLM-2", "verl"])

# %% [markdown]
# ## In the wild
#
# The Qwen3 report (2025) distils in two phases: off-policy, on texts of larger models; then on-policy, where the student writes and a KL fits its logits to the teacher's.
# On our dials that is a walk from λ = 0 to λ = 1 in one training.
# TRL's defaults differ between its own two trainers: JSD(½) with λ = ½ in one, reverse KL with λ = 1 in the other.
# Our grid shares the dials with such runs. It lacks their scale, and a task by which to judge the student.
#
# ## 5 · Find the fault (optional)
#
# Nine students learn from the surname teacher at word level: same start, same batches, same steps.
# One loop is healthy; the others have one popular fault each.
#
# | fault | what the code does |
# |---|---|
# | direction swapped | teacher and student exchange places in the KL |
# | batchmean | sum over positions ÷ number of texts |
# | mask in the sum only | masked values, mean over all positions |
# | padding counted | no mask at all |
# | off by one | position t learns what the teacher says at t − 1 |
# | end dropped | mask made of `tokens != pad`, where pad is the end mark; the softmax drops that token too |
# | teacher softened alone | τ = 2 for the teacher, τ = 1 for the student |
# | teacher in train mode | its dropout is on |
#
# A training log shows only the first panel.
# Some faults cannot be seen there; others change the number, and their students are as good as the healthy one.

# %% tags=["hide-input"]
from kd_lab.lessons.l06_gkd.faults import LETTERS, lettered

clinic = fault_explorer(lettered())
clinic.show()
clinic.filmstrip([{"run": "run C"}, {"run": "run D"}, {"run": "run E"}])

# %%
predict("06.d")
predict("06.e")

# %% tags=["hide-input"]
reveal("06.d")
reveal("06.e")

# %% [markdown]
# <details><summary>All eight</summary>
#
# A mask in the sum only · B off by one · C batchmean · D end dropped · E direction swapped · F teacher in train mode · G padding counted · H teacher softened alone.
#
# A and C only rescale the loss, which Adam undoes; SGD, clipping and a second loss do not.
# B looks perfect in its own log: it learns the shifted task as well as the healthy run learns the right one.
# D learns every letter but never when to stop; look at the length.
# E pays under KL(P‖Q) and keeps up under KL(Q‖P), the judge that forgives what is missing.
# F is a healthy run with a noisier teacher, and a little worse under both judges.
# G spends some of its few weights on prefixes that no name has.
# H becomes as undecided as the softened teacher: its loss is the *lowest* of all.
#
# </details>
#
# ## Discuss
#
# *For two people, ten minutes.* You have the budget for three runs, a teacher of 70B, a student of 3B and ten thousand prompts with answers from elsewhere. Which three cells of the grid do you train, and which number decides between them? What would have to be true of your data for λ = 0 to win?

# %% [markdown] tags=["teacher"]
# **Expected answers.** One good plan: forward KL at λ = 0 (cheap, the baseline that every claim needs), JSD(½) at λ = ½, and reverse KL or skew KL at λ = 1. The judge must be named *beforehand*, and it should follow from the use: sampled answers that a person reads call for KL(Q‖P) or a task score at the deployed temperature; coverage (diversity, further training, speculative drafts) calls for KL(P‖Q). Report both. λ = 0 wins where the fixed texts cover what the student will visit: many of them, from the teacher's own distribution, few forks (*echo*); or where the student cannot write yet. λ > 0 wins where fixed texts are few or from elsewhere (*surnames*): own texts are fresh at every step. A good answer asks for the cost too: a step with a rollout costs more, and at the lengths of LLM answers several times as much. **Misconceptions:** "JSD(β) with β near 1 is reverse KL" (its direction, without its size); "on-policy is always better" (*echo*); "a loss of 0.02 is nearly solved" (compare gradients, not values); "λ is mixed within a batch" (one coin per batch, or one per sample: say which); "the run with the lowest loss is the best" (run H). **Timing:** 50 minutes alone, 65 in a class; the hook, section 2's explorer, the grid and the faults fill a lecture of 25 minutes.

# %% [markdown]
# ## Recap
#
# 1. GKD has two dials: a divergence and the share λ of the student's own texts. Word-level distillation and on-policy reverse KL are two of its corners, bit for bit.
# 2. JSD(β) goes to 0 at both ends: near them it has a KL's direction and hardly any length. β is the teacher's share here, the student's in DistiLLM.
# 3. A divergence may do best under its own judge and badly under another. So name the judge before the winner, and report two judges.
# 4. Which λ is best depends on the fixed texts: where they cover the language, the student's own texts did harm; where they are few, they helped. JSD with λ = ½ is a robust choice in one of these two worlds.
# 5. A name is no definition, and a loss curve is no diagnosis. Compare gradients on generic logits; read what the student writes.
#
# ## Quiz

# %%
quiz("06")

# %% [markdown]
# ## Glossary
#
# **GKD** generalised knowledge distillation: any divergence, and a share λ of the student's own texts. **λ** here: the probability that a batch is written by the student. **JSD(β)** β·KL(p‖m) + (1−β)·KL(q‖m) with m = βp + (1−β)q. **Skew KL** KL from p to a mixture of p and q; **skew reverse KL** from q to one. **Judge** the measure by which finished students are compared. **Regret** here: how many times as far from the teacher as the best cell. **Worst case** the largest regret over worlds and judges. **Dialect** a project's names and numbers for the same loss.
#
# ## Papers
#
# - Agarwal et al., "On-Policy Distillation of Language Models", [2306.13649](https://arxiv.org/abs/2306.13649): equation 1 JSD(β), section 3 and algorithm 1 the two dials.
# - Ko et al., "DistiLLM", [2402.03898](https://arxiv.org/abs/2402.03898), section 3.1: skew KL and skew reverse KL.
# - Ko et al., "DistiLLM-2", [2503.07067](https://arxiv.org/abs/2503.07067): skew KL on the teacher's texts, skew reverse KL on the student's.
# - Gu et al., "MiniLLM", [2306.08543](https://arxiv.org/abs/2306.08543), equation 1: reverse KL over whole texts.
# - Qwen team, "Qwen3 Technical Report", [2505.09388](https://arxiv.org/abs/2505.09388): strong-to-weak distillation, off-policy and then on-policy.
# - Lin, "Divergence measures based on the Shannon entropy", 1991, [doi](https://doi.org/10.1109/18.61115): the Jensen–Shannon divergence with weights.
#
# ## Next
#
# [Lesson 07](07_minillm.ipynb) puts back what on-policy distillation leaves out: the future.
