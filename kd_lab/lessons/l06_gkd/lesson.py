# %% [markdown]
# # 06 · GKD: two orthogonal knobs
#
# After this lesson you can turn the two dials of generalised distillation on purpose: which divergence, and how many of the texts the student writes itself; and you can tell what a paper's or a trainer's number would be on your dials.

# %% tags=["hide-input"]
import numpy as np

from kd_lab.lessons.l06_gkd.explorers import KINDS, heat_map, move_heat
from kd_lab.lessons.l06_gkd.results import load_grid
from kd_lab.viz import course_style, new_figure, show

grid = load_grid()
MEASURES = ("forward_kl", "reverse_kl")

hook = new_figure(780, 300)
with course_style():
    for axes, measure in zip(hook.subplots(1, 2, sharey=True), MEASURES, strict=True):
        move_heat(heat_map(axes, grid.divergences, grid.fractions), grid.final("surnames", measure).mean(-1))
        axes.set_title(f"judged by {KINDS[measure]}, nats per text")
show(
    hook,
    f"Twenty-five ways to distil one teacher of surnames, each trained {len(grid.seeds)} times; a column is a share of texts that the student writes itself, a "
    "row per divergence. Left and right are the same students before two judges. The bright corner, near the best, moves from the top row to the fourth.",
    alt="Two heat maps of five divergences by five shares. Judged by KL(P‖Q) forward KL is best, judged by KL(Q‖P) reverse KL.",
)

# %% [markdown] tags=["card"]
# **You will be able to**
#
# - write the step of GKD, and name the methods that are special cases of it;
# - compute JSD(β) in log space, and say what happens to its gradient at both ends;
# - read a grid of divergence × share with its intervals, and say which of its lessons carry over to another world or judge;
# - translate settings of TRL, DistiLLM and DistiLLM-2, and test a translation instead of trusting a name.
#
# **Before this:** [lesson 02](02_word_and_sequence.ipynb) (word-level distillation), [lesson 03](03_which_kl.ipynb) (the divergences); [lesson 05](05_where.ipynb) (on-policy distillation, where the second dial comes from).
#
# **Time:** 45 minutes to read and do. {{measured}}

# %%
import torch
from IPython.display import Markdown, display

from kd_lab.classroom import claim, exercise, predict, quiz, reveal, setup
from kd_lab.measure import mean_interval

seed = setup("06", threads=1)

# %% [markdown]
# ## 1 · Two dials
#
# A prefix $y_{<t}$ is the beginning of a text. Teacher and student both have a distribution over the next token there, $p_t$ and $q_t$. Generalised knowledge distillation (GKD) leaves two things open: the divergence $D$ between them, and whose prefixes are visited,
#
# $$L=(1-\lambda)\;\mathbb E_{y\sim\text{fixed texts}}\Big[\sum_t D(p_t,q_t)\Big]+\lambda\;\mathbb E_{y\sim\text{student}}\Big[\sum_t D(p_t,q_t)\Big].$$
#
# In the algorithm the sum of two expectations is a coin: at each step the batch comes from the student with probability $\lambda$, and from the fixed texts otherwise. No gradient flows through the student's writing (lesson 07 is about what that leaves out).
#
# | $D$ | λ | is known as |
# |---|---|---|
# | forward KL, $\mathrm{KL}(p\|q)$ | 0 | word-level distillation |
# | reverse KL, $\mathrm{KL}(q\|p)$ | 1 | on-policy reverse KL, the regime of MiniLLM |
# | JSD(½) | ½ | a default of libraries |

# %%
predict("06.a")

# %% [markdown]
# ### Exercise 06.1 · The step of GKD (●○○, 8 minutes)
#
# `student` and `teacher` map tokens `[B, T]` to logits `[B, T, V]`. `read()` gives a batch of fixed texts, `write()` lets the student write one; a batch has `.inputs` `[B, T]` and `.mask` `[B, T]`. `share` is λ, `coin` a random number, 0 ≤ coin < 1. `divergence(student_logp, teacher_logp)` gives `[B, T]`. Return the mean over counted positions; `masked_mean(values, mask)` is at hand.

# %%
from kd_lab.how import masked_mean


@exercise("06.1")
def gkd_step(student, teacher, read, write, share, coin, divergence):
    """The loss of one step, in nats a counted position. `read()` and `write()` give a batch; λ is `share`."""
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Only one line depends on the coin. What is the dearest thing that this function can do, and when does it not have to?
#
# </details>
# <details><summary>Hint 2</summary>
#
# The teacher's logits belong under `torch.no_grad()`. `.log_softmax(-1)` makes log-probabilities of logits. With λ = 0, is there a coin for which the student should write?
#
# </details>

# %% [markdown] tags=["solution:06.1"]
# solution

# %% [markdown]
# **Experiment.** Two worlds. *surnames* is real: a teacher that has read twenty thousand names, and a student of 28,000 weights that may read a hundred of them. *echo* is exact: a small language whose every text can be listed; the student has 3,300 weights and 300 texts. The corners of the table above are now trained by GKD and by the methods they are said to be.

# %% tags=["hide-input"]
from kd_lab.lessons.l06_gkd.experiment import arena, beginner, train_cell
from kd_lab.methods import distill, gkd, on_policy, word_level
from kd_lab.models import GPT


def trained(world, recipe, start, number, steps=6):
    """History and student after a few steps from a fresh student, with this seed for all that is drawn."""
    place = arena(world)
    student = GPT(place.shape, seed=start)
    return distill(student, place.teacher, place.world, recipe, steps=steps, seed=number, batch_size=8, progress=False)


def largest_difference(one, other):
    """Over all losses on the way and all weights at the end."""
    losses = np.abs(one.history["loss"] - other.history["loss"]).max()
    weights = [(a - b).abs().max().item() for a, b in zip(one.student.parameters(), other.student.parameters())]
    return max(losses, *weights)


corner = gkd(divergence="forward_kl", on_policy_fraction=0.0)
off_policy = [
    largest_difference(trained(world, word_level(), start, seed + start), trained(world, corner, start, seed + start))
    for world in grid.worlds
    for start in range(3)
]
# GKD draws the fixed texts, the student's writing and the coin from streams of their own names: the student's is the same
corner = gkd(divergence="reverse_kl", on_policy_fraction=1.0)
own_texts = [
    largest_difference(trained(world, on_policy(), start, seed + start), trained(world, corner, start, seed + start))
    for world in grid.worlds
    for start in range(3)
]
claim(
    "C06a",
    "λ = 0 with forward KL is word-level distillation: every loss and every weight is equal, step for step.",
    max(off_policy),
    unit="largest difference, two worlds, three seeds, 6 steps",
    holds=max(off_policy) == 0,
)
claim(
    "C06b",
    "λ = 1 with reverse KL is on-policy reverse KL: every loss and every weight is equal, step for step.",
    max(own_texts),
    unit="largest difference, two worlds, three seeds, 6 steps",
    holds=max(own_texts) == 0,
)
reveal("06.a")

# %% [markdown]
# That was one recipe against another of the same library. Is its gradient also the one that the formula asks for? On *echo* the expectation over the student's texts can be written out: every prefix, times how often the student comes by, times the reverse KL there, the first factor held fixed. Against it stands the average of what the recipe makes of texts that were really drawn.

# %% tags=["hide-input"]
from kd_lab.how import reverse_kl
from kd_lab.measure import conditionals, gap_by_position, gradient_of

echo, student = arena("echo"), beginner("echo", 0)
recipe = gkd(divergence="reverse_kl", on_policy_fraction=1.0)
teacher_tables = conditionals(echo.teacher, echo.world.context)
tables = conditionals(student, echo.world.context, differentiable=True)
held = [table.detach() for table in tables]
listed = gradient_of(gap_by_position(tables, teacher_tables, held, reverse_kl).sum(), student)

along = []
for number in range(seed, seed + 10):
    batch = recipe.where.bind(echo.world, student, echo.teacher, number)(2048)
    with torch.no_grad():
        teacher_logits = echo.teacher(batch.inputs)
    a_token = recipe.how(student(batch.inputs), teacher_logits, batch)
    drawn = gradient_of(a_token * batch.mask.sum() / len(batch), student)  # nats per text, as the listed one
    along.append((drawn @ listed / listed.square().sum()).item())
mean, half_width = mean_interval(along)
claim(
    "C06b",
    "Its gradient, averaged over drawn texts, covers the one that is added up over every prefix.",
    along,
    unit="of the listed gradient, along its direction, 2,048 texts per seed",
    holds=abs(mean - 1) <= half_width and half_width < 0.05,
)

# %% [markdown]
# ## 2 · The first dial: a number that is read in three ways
#
# Between the two KLs lies the generalised Jensen–Shannon divergence. With $m$ the mixture of both,
#
# $$\mathrm{JSD}(\beta)=\beta\,\mathrm{KL}(p\|m)+(1-\beta)\,\mathrm{KL}(q\|m),\qquad m=\beta p+(1-\beta)q .$$
#
# **By hand, with three tokens.** $p=(\tfrac12,\tfrac12,0)$, $q=(\tfrac12,0,\tfrac12)$: both KLs are infinite. At $\beta=\tfrac12$ the mixture is $(\tfrac12,\tfrac14,\tfrac14)$, so that $\mathrm{KL}(p\|m)=\tfrac12\ln\tfrac{1/2}{1/2}+\tfrac12\ln\tfrac{1/2}{1/4}=\tfrac12\ln2$, the other is the same, and JSD(½) = ½ ln 2 ≈ 0.35. At $\beta=0.1$ it is $m=(0.5,\,0.05,\,0.45)$, and $0.1\cdot\tfrac12\ln10+0.9\cdot\tfrac12\ln\tfrac{0.5}{0.45}\approx0.115+0.047=0.16$.
#
# At $\beta\to0$ the mixture is $q$ and the second term vanishes faster than the first: $\mathrm{JSD}(\beta)\approx\beta\,\mathrm{KL}(p\|q)$, the *direction* of forward KL at no length. At $\beta\to1$ it is the same with reverse KL. TRL's `beta=0` and `beta=1` are special cases in its code.

# %%
predict("06.b")

# %% [markdown]
# ### Exercise 06.2 · JSD(β) in log space (●●○, 10 minutes)
#
# Both arguments are log-probabilities `[..., V]`, the student's first. A third case of your check has a token to which both give $e^{-200}$: no number in fp32. Mix without leaving the logarithms.

# %%
import math


@exercise("06.2")
def generalised_jsd(student_logp, teacher_logp, beta):
    """β·KL(p‖m) + (1−β)·KL(q‖m), m = βp + (1−β)q, in nats: [..., V], [..., V] -> [...]."""
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# β goes with the teacher, twice. Which of the two KLs runs from which distribution *to* the mixture?
#
# </details>
# <details><summary>Hint 2</summary>
#
# `torch.logaddexp(a, b)` is $\log(e^a+e^b)$, and a factor in front of a probability is a summand of its logarithm.
#
# </details>

# %% [markdown] tags=["solution:06.2"]
# solution

# %%
from kd_lab.how import jsd
from kd_lab.lessons.l06_gkd.explorers import READINGS, beta_explorer, cosine, pull, read_as

teacher_logits = torch.tensor([0.55, 0.25, 0.10, 0.07, 0.03]).log()
student_logits = torch.tensor([0.03, 0.45, 0.30, 0.07, 0.15]).log()
for beta in (0.1, 0.5, 0.9):
    torch.testing.assert_close(
        generalised_jsd(student_logits, teacher_logits, beta), jsd(student_logits, teacher_logits, beta)
    )

explorer = beta_explorer(student_logits, teacher_logits, "abcde")
explorer.show()
explorer.filmstrip([{"the number": 0.9, "read as": reading} for reading in READINGS] + [{"the number": 0.98}])

# %% [markdown]
# **A trap, and a popular one.** Three readings of one number are in circulation. In GKD, TRL and DistiLLM-2 it is the teacher's share. In DistiLLM's `jsd` it is the student's. And who expects a dial from forward to reverse KL exchanges the outer weights, which is another divergence, with other gradients in between: it was [proposed to TRL](https://github.com/huggingface/trl/issues/6780) and [to ms-swift](https://github.com/modelscope/ms-swift/pull/10213) as a mend. TRL itself had its mixture the wrong way round [until March 2025](https://github.com/huggingface/trl/pull/3043), and in a recipe of verl `beta: 1.0` is, as [an issue reports](https://github.com/verl-project/verl-recipe/issues/151), a loss of nearly zero, without a word.
#
# The size matters less with Adam, which rescales what is always small, and more with clipping, with SGD and beside a second loss. So compare divergences at equal gradient norm, or with an optimiser that does not care, as the grid below.


# %% tags=["hide-input"]
def fresh_pair(number):
    """Logits of student and teacher at one position, over eight tokens."""
    generator = torch.Generator().manual_seed(number)
    return (2 * torch.randn(2, 8, generator=generator, dtype=torch.float64)).unbind()


def force(reading, number, pair):
    z, teacher_z = pair
    return pull(lambda q, p: read_as(reading, number, q, p), z, teacher_z.log_softmax(-1))


pairs = [fresh_pair(seed + number) for number in range(10)]
trl_one = [pull(reverse_kl, z, p.log_softmax(-1)) for z, p in pairs]
near_one = [force(READINGS[0], 0.98, pair) for pair in pairs]
relative = [np.linalg.norm(a) / np.linalg.norm(b) for a, b in zip(near_one, trl_one)]
claim(
    "C06d",
    "TRL's loss jumps at its ends: at β = 0.98 the gradient is a few hundredths as long as at β = 1.",
    relative,
    unit="of the gradient's length at β = 1, ten pairs of distributions",
    holds=max(relative) < 0.1,
)
trl_09, distillm_09 = ([force(reading, 0.9, pair) for pair in pairs] for reading in READINGS[:2])
same_number = [np.linalg.norm(a - b) / np.linalg.norm(b) for a, b in zip(trl_09, distillm_09)]
claim(
    "C06d",
    "The same number is another divergence in another dialect: 0.9 in TRL is not 0.9 in DistiLLM's jsd.",
    same_number,
    unit="length of the difference ÷ length of DistiLLM's gradient",
    holds=min(same_number) > 0.1,
)
reveal("06.b")

# %% [markdown]
# ## 3 · The grid
#
# Five divergences × five shares × four seeds, in both worlds, with one budget. All cells of a seed begin with the same student, which has learned from the labels for a while: GKD's authors ask for a student that can write at all. It takes some ten minutes on one core, so it is stored: `python -m kd_lab.lessons.l06_gkd.experiment` made the file and makes it again.
#
# Two judges. $\mathrm{KL}(P\|Q)$ over whole texts asks whether the student can say all that the teacher says; $\mathrm{KL}(Q\|P)$ whether the teacher could have said what the student says. Each is 0 for a perfect student only. On *echo* both are added up over all texts; on *surnames* they are averages over 512 drawn ones.

# %%
predict("06.c")

# %%
from kd_lab.lessons.l06_gkd.explorers import grid_explorer

about = grid.about
print(f"{about['command']}   {about['date']}   seeds {about['seeds']}   torch {about['torch']}")
for world in grid.worlds:
    print(f"{world:9} {about['worlds'][world]}")
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

# %% [markdown]
# **Is the file true?** One column of it, JSD on *echo*, is trained again now with three of its seeds. On the machine that made the file every digit agrees; on another one rounding differs, training amplifies it, and what has to agree are means within their intervals.

# %%
again = {
    fraction: [train_cell("echo", "jsd", fraction, number, points=0) for number in (0, 1, 2)]
    for fraction in grid.fractions
}
print("JSD on echo, KL(P‖Q) in nats per text     stored                now")
agreed = []
for fraction, runs in again.items():
    stored = mean_interval(grid.curves("echo", "jsd", fraction, "forward_kl")[:3, -1])
    now = mean_interval([run["curve"][-1][0] for run in runs])
    agreed.append(abs(stored[0] - now[0]) <= stored[1] + now[1])
    print(f"λ = {fraction:<5g}{'':25} {stored[0]:.3f} ± {stored[1]:.3f}         {now[0]:.3f} ± {now[1]:.3f}")
claim(
    "C06c",
    "What is trained now agrees with the stored grid.",
    sum(agreed) / len(agreed),
    unit="of the column's cells, means within their intervals",
    holds=all(agreed),
)

# %% tags=["hide-input"]
from kd_lab.models import target_logp
from kd_lab.worlds import Batch

row = {divergence: place for place, divergence in enumerate(grid.divergences)}
NONE, QUARTER, HALF, ALL = (grid.fractions.index(fraction) for fraction in (0.0, 0.25, 0.5, 1.0))
final = {(world, measure): grid.final(world, measure) for world in grid.worlds for measure in MEASURES}

for world in grid.worlds:
    for winner, loser in (MEASURES, MEASURES[::-1]):
        ends = final[world, winner][:, HALF]
        log_ratio = np.log(ends[row[loser]] / ends[row[winner]])
        mean, half_width = mean_interval(log_ratio)
        claim(
            "C06c",
            f"On {world}, at λ = ½, {winner.replace('_kl', '')} KL does better than {loser.replace('_kl', '')} KL before its own judge.",
            log_ratio,
            unit=f"ln of the ratio of their {KINDS[winner]}",
            holds=mean > half_width,
        )
needs = grid.final("surnames", "judgement")[:, HALF].mean(-1)
print("bits per character that the teacher needs for names written after training at λ = ½:")
print("   ".join(f"{divergence} {bits:.2f}" for divergence, bits in zip(grid.divergences, needs)))
print("share of the teacher's writing that the fixed texts hold:")
gain = {}
for world in grid.worlds:
    place = arena(world)
    different = Batch.from_tokens(place.world.train.tokens.unique(dim=0), end=place.world.vocabulary.end)
    covered = (target_logp(place.teacher, different) * different.mask).sum(1).exp().sum().item()
    print(f"   {world}: {len(place.world.train)} texts, {len(different)} different ones, {covered:.1%}")
    ends = final[world, "forward_kl"][row["forward_kl"]]
    gain[world] = ends[NONE] - ends[HALF]
    mean, half_width = mean_interval(gain[world])
    claim(
        "C06c",
        f"On {world} forward KL gets nearer to the teacher if half of the texts are the student's own.",
        gain[world],
        unit="nats of KL(P‖Q) a text, λ = 0 minus λ = ½",
        holds=mean > half_width,
    )

# %% [markdown]
# **The judge decides between divergences.** On *surnames* each KL wins before its own judge by far. On *echo* reverse KL forces zeros, and how much of the language it gives up differs from seed to seed: its four runs lie far apart and do not decide the second comparison. A judge that asks for quality alone, such as the bits that the teacher needs for the student's texts, always likes reverse KL: nobody asks it what is missing.
#
# **The world decides about λ.** *surnames*: a hundred names are soon read; what the student writes is new at every step, and the teacher has something new to say of it. *echo*: three hundred texts, drawn from the teacher itself, are nearly the whole language. There the chain rule shows through: $\mathrm{KL}(P\|Q)$ *is* forward KL over the teacher's prefixes, λ = 0, and $\mathrm{KL}(Q\|P)$ *is* reverse KL over the student's, λ = 1. Each judge has a corner that minimises it, and every other cell minimises something else.
#
# **The robust default?** *Regret* is how many times as far from the teacher a cell ends as the best cell does, in one world and before one judge. The worst case of a cell is its largest regret. A default is good if its worst case is low.

# %% tags=["hide-input"]
from kd_lab.lessons.l06_gkd.results import regret

regrets = {key: regret(values) for key, values in final.items()}
worst = {world: np.max([regrets[world, measure] for measure in MEASURES], axis=0) for world in grid.worlds}
worst["both"] = np.max(list(worst.values()), axis=0)

figure = new_figure(780, 270)
with course_style():
    for axes, (world, values) in zip(figure.subplots(1, 3, sharey=True), worst.items()):
        move_heat(heat_map(axes, grid.divergences, grid.fractions), values.mean(-1))
        axes.set(title=f"{world}: worst case", xlabel="λ")
show(
    figure,
    "The worst case over both judges, as a multiple of the best cell; means over seeds; bright is safest. On *surnames* alone the middle is a good default. On *echo* it is better "
    "to stay at the left. Over both the safest cells lie at λ = ¼, in the rows of skew KL and JSD, and word level is as safe as JSD with λ = ½.",
    alt="Three heat maps of worst-case regret, for surnames, echo and both.",
)

corners = [("forward_kl", NONE), ("forward_kl", ALL), ("reverse_kl", NONE), ("reverse_kl", ALL)]
middle = {world: values[row["jsd"], HALF] for world, values in worst.items()}
nearest_corner = {world: np.min([values[row[d], f] for d, f in corners], axis=0) for world, values in worst.items()}
for world in ("surnames", "both"):
    margin = nearest_corner[world] - middle[world]
    claim(
        "C06c",
        f"JSD with λ = ½ has a lower worst case than all four corners: forward and reverse KL, λ = 0 and λ = 1 ({world}).",
        margin,
        unit="of the best cell's distance, the best corner minus JSD with λ = ½",
        holds=mean_interval(margin)[0] > mean_interval(margin)[1],
    )
safest = np.unravel_index(worst["both"].mean(-1).argmin(), worst["both"].shape[:2])
behind = middle["both"] - worst["both"][safest]
claim(
    "C06c",
    "Over both worlds no cell has a lower worst case than JSD with λ = ½.",
    behind,
    unit=f"of the best cell's distance, behind {grid.divergences[safest[0]]} with λ = {grid.fractions[safest[1]]:g}",
    holds=mean_interval(behind)[0] <= mean_interval(behind)[1],
)
reveal(
    "06.c",
    best_cells="; ".join(
        (
            f"{world}, {KINDS[measure]}: {grid.divergences[place // len(grid.fractions)]}, λ = {grid.fractions[place % len(grid.fractions)]:g}"
            for (world, measure), place in ((key, values.mean(-1).argmin()) for key, values in final.items())
        )
    ),
)

# %% [markdown]
# So the sentence is half true here. On *surnames* the *row* is the safe one: JSD, and skew KL with it, does well before both judges, where forward and reverse KL each have one that dislikes them. The *column* is not safe: on *echo* own texts cost nearly everyone who is judged by KL(P‖Q), and a quarter of them is safer than a half. (The safest of 25 cells was picked after the fact, which flatters it a little.) GKD's authors, too, find that the best divergence depends on the task, and they had students, texts and judges of another kind; what carries over is the method, two judges and a worst case, and not the cell.
#
# ## 4 · Dialects
#
# The same losses go by other names in other projects. A table of translations, such as the one below, is only as good as its test; and the test is the same for every project: *take logits that are not special, and compare gradients.*
#
# ### Exercise 06.3 · Recognise a loss by what it does (●●●, 10 minutes)
#
# `theirs` and every candidate are functions of (student logits, teacher logits), both `[B, V]`, and return one number. Name the candidate that trains as `theirs` does; `None` if there is none.


# %%
@exercise("06.3")
def recognise(theirs, candidates, student_logits, teacher_logits):
    """The name of the candidate that trains as `theirs` does, or None: two functions of (logits, logits) -> []."""
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# What of a loss does the optimiser ever see? A public "forward KL" may be larger than ours by the teacher's entropy and be the same loss.
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
# Below, the losses of four projects are written out from their definitions, and your function looks for each among ours.

# %% tags=["hide-input"]
from kd_lab.how import forward_kl, skew_kl, skew_reverse_kl, total_variation
from kd_lab.methods import dialect_table


def ours(divergence, **options):
    return lambda z, teacher_z: divergence(z.log_softmax(-1), teacher_z.log_softmax(-1), **options).mean()


candidates = {
    "forward KL": ours(forward_kl),
    "reverse KL": ours(reverse_kl),
    "JSD(0.1)": ours(jsd, beta=0.1),
    "JSD(0.9)": ours(jsd, beta=0.9),
    "skew KL(0.1)": ours(skew_kl, beta=0.1),
    "skew reverse KL(0.9)": ours(skew_reverse_kl, beta=0.9),
    "total variation": ours(total_variation),
}


def from_probabilities(formula):
    """A loss that is a formula of the student's and the teacher's probabilities, averaged over positions."""
    return lambda z, teacher_z: formula(z.softmax(-1), teacher_z.softmax(-1)).sum(-1).mean()


THEIRS = {  # q is the student, p the teacher
    "TRL, beta = 0": ("forward KL", from_probabilities(lambda q, p: p * (p.log() - q.log()))),
    "TRL, beta = 1": ("reverse KL", from_probabilities(lambda q, p: q * (q.log() - p.log()))),
    "TRL, beta = 0.9": (
        "JSD(0.9)",
        from_probabilities(
            lambda q, p: 0.9 * p * (p / (0.9 * p + 0.1 * q)).log() + 0.1 * q * (q / (0.9 * p + 0.1 * q)).log()
        ),
    ),
    "DistiLLM, fkl": ("forward KL", from_probabilities(lambda q, p: -p * q.log())),
    "DistiLLM, sfkl": ("skew KL(0.1)", from_probabilities(lambda q, p: -p * (0.1 * p + 0.9 * q).log())),
    "DistiLLM, srkl": ("skew reverse KL(0.9)", from_probabilities(lambda q, p: q * (q / (0.9 * p + 0.1 * q)).log())),
    "DistiLLM, jsd with λ = 0.9": (
        "JSD(0.1)",
        from_probabilities(
            lambda q, p: 0.1 * p * (p / (0.1 * p + 0.9 * q)).log() + 0.9 * q * (q / (0.1 * p + 0.9 * q)).log()
        ),
    ),
    "DistiLLM, tvd": ("total variation", from_probabilities(lambda q, p: 0.5 * (p - q).abs())),
    "DistiLLM-2, skew reverse KL, mixture held": (
        None,
        from_probabilities(lambda q, p: q * (q / (0.9 * p + 0.1 * q.detach())).log()),
    ),
    "TRL, beta = 0.9, before March 2025": (
        None,
        from_probabilities(
            lambda q, p: 0.9 * p * (p / (0.1 * p + 0.9 * q)).log() + 0.1 * q * (q / (0.1 * p + 0.9 * q)).log()
        ),
    ),
}
generator = torch.Generator().manual_seed(seed)
z, teacher_z = 2 * torch.randn(2, 64, 11, generator=generator, dtype=torch.float64)
found = {name: recognise(loss, candidates, z, teacher_z) for name, (_, loss) in THEIRS.items()}
for name, ours_is in found.items():
    print(f"{name:42} trains as  {ours_is or 'none of these'}")
right = [found[name] == expected for name, (expected, _) in THEIRS.items()]
claim(
    "C06d",
    "The table of dialects is right: each foreign loss has the gradient of the setting that the table gives, or of none where it gives none.",
    sum(right) / len(right),
    unit="of ten losses",
    holds=all(right),
)
display(Markdown(dialect_table()))

# %% [markdown]
# Four differences remain that no divergence shows. **Temperature:** TRL's 0.9 softens nothing; it is how the student writes, and at 0.9 it writes texts that are likelier than its own, so that λ = 1 is not quite on-policy. **Reduction:** TRL, DistiLLM and this library average over tokens, DistiLLM-2 first over each text's tokens and then over texts, so that a token of a short text weighs more. **The coin:** one per batch here and in TRL, a buffer of old student texts in DistiLLM, both halves at every step in DistiLLM-2. **Flags:** MiniLLM's `--length-norm` changes what is logged; the loss is normalised either way.
#
# ## Discuss
#
# *For two people, ten minutes.* You have the budget for three runs, a teacher of 70B, a student of 3B and ten thousand prompts with answers from elsewhere. Which three cells of the grid do you train, and which number decides between them? What would have to be true of your data for λ = 0 to win?

# %% [markdown] tags=["teacher"]
# **Expected answers.** One good plan: forward KL at λ = 0 (cheap, the baseline that every claim needs), JSD(½) at λ = ½, and reverse KL or skew KL at λ = 1; the judge must be named *before*, and it should be the use: sampled answers that a person reads call for KL(Q‖P) or a task score at the deployed temperature, coverage (diversity, further training, speculative drafts) for KL(P‖Q). Both judges should be reported. λ = 0 wins where the fixed texts cover what the student will visit: many of them, from the teacher's own distribution, few forks (*echo*); or where the student cannot write yet. λ > 0 wins where fixed texts are few or from elsewhere (*surnames*): own texts are fresh at every step. A good answer asks for the cost too: a step with a rollout costs more, at LLM lengths several times as much. **Misconceptions:** "JSD(β) with β near 1 is reverse KL" (its direction, without its size); "on-policy is always better" (*echo*); "a loss of 0.02 is nearly solved" (compare gradients, not values); "λ is mixed within a batch" (one coin per batch, or a sample: say which). **Timing:** 45 minutes alone, 60 in a class; hook, section 2's explorer and the grid make a lecture of 20 minutes.

# %% [markdown]
# ## Recap
#
# 1. GKD has two dials: a divergence and the share λ of the student's own texts. Word-level distillation and on-policy reverse KL are two of its corners, bit for bit.
# 2. JSD(β) goes to 0 at both ends: near them it has a KL's direction and hardly any length. β is the teacher's share here, the student's in DistiLLM.
# 3. A divergence does best before its own judge. Name the judge first, and report two.
# 4. Which λ is best depends on how well the fixed texts cover what the student visits. JSD with λ = ½ is a robust choice in one world of this grid and not over both.
# 5. A name is no definition. Compare gradients on logits that are not special.
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
# - Lin, "Divergence measures based on the Shannon entropy", 1991, [doi](https://doi.org/10.1109/18.61115): the Jensen–Shannon divergence with weights.
#
# ## Next
#
# [Lesson 07](07_minillm.ipynb) puts back what on-policy distillation leaves out: the future.
