# %% [markdown]
# # 11b · Few steps: distilling a diffusion sampler
#
# After this lesson you can turn a sampler of 32 steps into one of a single step in three ways, say what each of them matches, and predict when the third one loses modes.

# %% tags=["hide-input"]
from kd_lab.lessons.l11b_few_steps.figures import hook_figure
from kd_lab.lessons.l11b_few_steps.results import load_results
from kd_lab.viz import show
from kd_lab.worlds.diffusion import ring

results, eight = load_results(), ring(8)
show(
    hook_figure(results, eight),
    "A diffusion model walks in 32 steps from noise (grey) to data, eight modes on a circle (shaded). "
    "Its student, a small network, takes a single step. Why does the teacher not do that?",
    alt="Two squares with trajectories. Left, curved paths end on eight modes; right, straight paths end on the eight modes, a few between them.",
)

# %% [markdown] tags=["card"]
# **You will be able to**
#
# - take a step of a diffusion sampler, and say why one step is not enough;
# - write the targets of progressive and of consistency distillation;
# - derive the gradient of distribution matching, and recognise reverse KL in it;
# - say when modes are lost, and what brings them back.
#
# **Before this:** [lesson 03](03_which_kl.ipynb), for forward and reverse KL. Gaussians; derivatives of a logarithm.
#
# **Time:** 45 minutes to read and do. {{measured}}

# %%
import torch
from IPython.display import Markdown, display

from kd_lab.classroom import claim, exercise, predict, quiz, reveal, setup

seed = setup("11b")

# %% [markdown]
# ## 1 · From noise to data
#
# [Lesson 11](11_speculative_decoding.ipynb) made a language model faster by guessing several tokens at once.
# A diffusion model is slow for another reason: it calls its network again and again for one sample.
# Time $t$ runs from 0, data, to 1, noise. A point in between is a mixture of data $x_0$ and noise $\varepsilon\sim\mathcal N(0,I)$:
#
# $$x_t=a\,x_0+s\,\varepsilon,\qquad a=\cos\tfrac{\pi t}2,\quad s=\sin\tfrac{\pi t}2$$
#
# $p_t$ is the density of $x_t$.
# The network is trained to predict the **velocity** $v(x,t)=\mathbb E[a\,\varepsilon-s\,x_0\mid x_t=x]$, the mean direction in which the mixture turns.
# Following $v$ backwards, from noise to data, is a differential equation without chance: each noise leads to one end.
#
# Our data are a mixture of Gaussians on the plane, so $p_t$, its **score** $\nabla\log p_t$ and $v$ are known exactly.
# The teacher makes no error, except for the length of its steps.

# %%
predict("11b.a")

# %% [markdown]
# **A step.** DDIM, the usual solver, asks $v$ for the data and the noise of which $x_t$ is made, and mixes these anew for an earlier time $u$.
# In our coordinates that is a turn by the angle $\delta=\tfrac\pi2(t-u)$:
#
# $$x_u=\cos\delta\;x_t-\sin\delta\;v(x_t,t)$$
#
# **By hand.** $x_1=(0,1)$, $v=(-2,0)$.
# Half the time, $\delta=45°$: $x_{1/2}=0.71\cdot(0,1)-0.71\cdot(-2,0)=(1.41,\,0.71)$.
# All the way, $\delta=90°$: $x_0=(2,0)$, which is $-v$.
#
# ### Exercise 11b.1 · A step of DDIM (●○○, 5 minutes)
#
# Every point has its own pair of times.

# %%
import math


@exercise("11b.1")
def ddim_step(x, velocity, time, next_time):
    """From x_t to x_u: points and velocities [N, 2], times t and u [N] -> [N, 2]."""
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# The angle is a number for each point; a point has two coordinates. Give the angle a second axis.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `angle = (math.pi / 2 * (time - next_time))[:, None]`
#
# </details>

# %% [markdown] tags=["solution:11b.1"]
# solution

# %%
from kd_lab.lessons.l11b_few_steps.energy import energy_distance
from kd_lab.worlds.diffusion import NoisyMixture

teacher, generator = NoisyMixture(eight), torch.Generator().manual_seed(seed)
noise = torch.randn(4_000, 2, generator=generator)


def sample(velocity, steps):
    """Data from `noise`, by equal steps of a velocity (x, t) -> v."""
    x, times = noise, torch.linspace(1, 0, steps + 1)
    for k in range(steps):
        t, u = times[k].expand(len(x)), times[k + 1].expand(len(x))
        x = ddim_step(x, velocity(x, t), t, u)
    return x


# %% [markdown]
# **How good are the samples?**
# The **energy distance** $2\,\mathbb E|X-Y|-\mathbb E|X-X'|-\mathbb E|Y-Y'|$ compares samples $X$ with the density of the data, $Y$.
# It is 0 if and only if both have the same distribution; the terms with $Y$ are computed exactly here.
# From finitely many samples it is known up to some noise: samples of the data themselves, which may score a little below 0, set the **floor**.

# %% tags=["hide-input"]
import numpy as np

floor = np.array([energy_distance(teacher.sample(4_000, generator), eight) for _ in range(5)])
print("steps             " + "".join(f"{n:9d}" for n in (1, 2, 4, 8, 16, 32)) + "    exact samples")
plain = {n: energy_distance(sample(teacher.velocity, n), eight) for n in (1, 2, 4, 8, 16, 32)}
print(
    "energy distance   " + "".join(f"{d:9.4f}" for d in plain.values()) + f"    {floor.mean():.4f} ± {floor.std():.4f}"
)
reveal("11b.a", one=plain[1], many=plain[32])

# %% [markdown]
# **Explore.** Take fewer steps. A sample is *off the modes* if it lies farther than four widths from each of them.

# %% tags=["hide-input"]
from kd_lab.lessons.l11b_few_steps.explorers import steps_explorer

alone = steps_explorer(results, eight, samplers=("teacher",))
alone.show()

# %% tags=["hide-input"]
alone.filmstrip(["8 steps", "4 steps", "2 steps", "1 step"])

# %% [markdown]
# Every velocity is right, and one step is useless: $-v(x,1)$ is a conditional *mean*, and pure noise says nothing about the data.
# Only many short steps turn means into samples.
#
# ## 2 · Halve the steps
#
# **Progressive distillation** (Salimans & Ho) trains a student to do in one step what its sampler does in two.
# Each noise has exactly one end, so squared error has a single value to hit and no mean to fall back on.
# Then the student becomes the sampler, and so on: 32 → 16 → 8 → 4 → 2 → 1.
#
# ### Exercise 11b.2 · What one step has to say (●●○, 6 minutes)
#
# Two steps have led from `x` at `time` to `twice` at `next_time`.
# Which velocity leads there in one?


# %%
@exercise("11b.2")
def two_step_target(x, twice, time, next_time):
    """The velocity whose one step from x lands on `twice`: [N, 2], [N, 2], [N], [N] -> [N, 2]."""
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# It is your last function the other way round: there $v$ was given and $x_u$ was asked for.
#
# </details>
# <details><summary>Hint 2</summary>
#
# $x_u=\cos\delta\,x_t-\sin\delta\,v$, solved for $v$.
#
# </details>

# %% [markdown] tags=["solution:11b.2"]
# solution

# %% [markdown]
# **Your target at work**, in a few seconds: a denoiser is trained on data, as every diffusion model is.
# Then the exact teacher's 32 steps are halved five times, by students that begin as this denoiser, with 150 steps of Adam each.
# Beside it the same denoiser trains on for as long, without a sampler to imitate.

# %%
import copy

from kd_lab.lessons.l11b_few_steps import students

beginner = students.denoiser(teacher, seed, steps=500)
halved = students.progressive(teacher, beginner, seed, steps=150, target=two_step_target)
onward = students.fit(copy.deepcopy(beginner), students.denoising(teacher), 750, seed)
with torch.no_grad():
    for name, student in {"halved five times": halved[1], "denoiser, trained on": onward}.items():
        print(f"one step, {name}: energy distance {energy_distance(sample(student, 1), eight):.3f}")

# %%
predict("11b.b")

# %% [markdown]
# **Experiment.** Five seeds, 600 steps of Adam per halving, 3,000 in all.
# The student that goes *straight* takes as many to hit the ends of 100,000 paths of 32 steps.
# All students of a seed begin as the same denoiser and are measured on the same noise.
# (Stored; `python -m kd_lab.lessons.l11b_few_steps.experiment` trains them anew.)

# %% tags=["hide-input"]
exact, halved_energy = results.exact(), results.sampler("progressive", 1)
straight, trained_on = results.sampler("straight", 1), results.sampler("denoiser, trained on", 1)
print("one step                energy distance   off the modes   median miss of the teacher's end")
for name in ("progressive", "straight"):
    off, miss = results.sampler(name, 1, "stray").mean(), results.miss(name).mean()
    print(f"{name:<24}{results.sampler(name, 1).mean():15.4f}{off:16.1%}{miss:14.3f}")
print(f"{'exact samples':<24}{exact.mean():15.4f}{results.exact(0, 'stray').mean():16.2%}")
reveal(
    "11b.b",
    straight=straight.mean(),
    halved=halved_energy.mean(),
    noise=2 * np.concatenate([exact, results.exact(1)]).std(ddof=1),
)
claim(
    "C11d",
    "In one step, the exact teacher is far from the data.",
    results.sampler("teacher", 1) - exact,
    unit="energy distance above exact samples",
    above=1,
)
claim(
    "C11d",
    "More training of the denoiser does not help: in one step it is nearly as far from the data.",
    trained_on - exact,
    unit="energy distance above exact samples",
    above=1,
)
claim(
    "C11d",
    "Halved from 32 steps to one, the student comes within 0.01 of exact samples.",
    halved_energy - exact,
    unit="energy distance above exact samples",
    below=0.01,
)
claim(
    "C11d",
    "The student of halved steps is not exact: far more of its samples lie off the modes.",
    results.sampler("progressive", 1, "stray") - results.exact(0, "stray"),
    unit="of the samples more than of exact ones",
    above=0.01,
)
claim(
    "C11d",
    "Going straight to the end of 32 steps leaves fewer samples off the modes than halving does.",
    results.sampler("progressive", 1, "stray") - results.sampler("straight", 1, "stray"),
    unit="of the samples fewer than by halving, same updates",
    above=0,
)

# %% [markdown]
# Why off the modes? Where the basins of two modes meet, neighbouring noises have to part. The network is smooth and bridges the border: look for the seams in the first picture.
#
# ## 3 · Agree with yourself
#
# A **consistency model** (Song et al.) answers at every time with the end of the trajectory: $f(x_t,t)=$ the predicted data.
# Two neighbours on one trajectory have the same end, so their answers should agree.
# The teacher makes the neighbour by one short step; the student answers there; this answer is the label.
#
# What keeps it from answering with a constant? At $t=0$ the turn has angle 0, and $f(x,0)=x$ whatever the network says.
# From this end the truth is handed on, interval by interval.
#
# ### Exercise 11b.3 · The label (●●○, 7 minutes)
#
# `teacher(x, time)` and `student(x, time)` are velocities.
# Use your `ddim_step` twice: once to the neighbour, once to the data.


# %%
@exercise("11b.3")
def consistency_target(teacher, student, x, time, next_time):
    """The data that the answer at x should equal: [N, 2], [N], [N] -> [N, 2], no gradient."""
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Whose velocity leads to the neighbour, and whose is asked there? At which time?
#
# </details>
# <details><summary>Hint 2</summary>
#
# Under `torch.no_grad()`; the data are at time `torch.zeros_like(next_time)`.
#
# </details>

# %% [markdown] tags=["solution:11b.3"]
# solution

# %%
agreeing = students.consistency(teacher, beginner, seed, steps=750, target=consistency_target)
with torch.no_grad():
    print(f"one jump: energy distance {energy_distance(sample(agreeing, 1), eight):.3f}")

# %% [markdown]
# A consistency model may take more steps too, not by DDIM, though: it jumps to the data, adds *fresh noise* of a lower level, and jumps again.

# %%
predict("11b.c")

# %% tags=["hide-input"]
from kd_lab.lessons.l11b_few_steps.figures import quality_figure

show(
    quality_figure(results),
    "Left: the energy distance, with the band in which a single set of exact samples falls. Right, more sensitive: the "
    "share of samples off the modes. Five seeds with 95 % intervals; those of consistency are wide at 16 jumps and more.",
    alt="Two panels against 1 to 32 steps. The teacher falls from 1.5 to the floor; progressive and consistency models begin near the floor at one step; off the modes they have a few per cent.",
)
jumps = {n: results.sampler("consistency", n, "stray") for n in (1, 2, 4)}
reveal("11b.c", one=jumps[1].mean(), two=jumps[2].mean(), four=jumps[4].mean())
claim(
    "C11e",
    "Consistency distillation comes within 0.01 of exact samples in one step.",
    results.sampler("consistency", 1) - exact,
    unit="energy distance above exact samples",
    below=0.01,
)
claim(
    "C11e",
    "A second jump brings samples back to the modes.",
    jumps[1] - jumps[2],
    unit="of the samples fewer off the modes than after one jump",
    above=0,
)
claim(
    "C11e",
    "In one step a consistency model leaves about as many samples off the modes as progressive distillation.",
    jumps[1] - results.sampler("progressive", 1, "stray"),
    unit="of the samples more than by halving",
    above=-0.03,
    below=0.03,
)

# %% [markdown]
# **One idea behind both.** The *flow map* carries a point of a trajectory from any time $t$ to any $u$.
# Going from $t$ to $u$ and on to $w$ is the same as going from $t$ to $w$: that is progressive distillation's target.
# With a short first step and $w=0$ it is consistency distillation's.
# Flow map matching ([2406.07507](https://arxiv.org/abs/2406.07507)) trains the map for both times and contains the two as special cases.
# MeanFlow ([2505.13447](https://arxiv.org/abs/2505.13447)) describes the same map by the *average* velocity over the interval, and trains it from scratch by $\bar v=v-(t-u)\,\tfrac{d\bar v}{dt}$, with the derivative along the trajectory: no teacher, no halving.
#
# **Explore.** Compare three samplers. Look at the trajectories: a second jump may end on another mode than the first.

# %% tags=["hide-input"]
several = steps_explorer(results, eight)
several.show()

# %% tags=["hide-input"]
several.filmstrip(["teacher, 1 step", "progressive, 1 step", "consistency, 1 step", "consistency, 2 steps"])

# %% [markdown]
# ## 4 · Match the distribution
#
# All of these copy *which* noise goes *where*, which cannot be seen from the samples alone.
# **Distribution matching distillation** (DMD, Yin et al.) asks less of a one-step student $G(z)$ with weights $\theta$: that its samples be distributed as the teacher's.
# Let $q_t$ be the density of the student's samples after noise of time $t$. The loss is
#
# $$\mathrm{KL}(q_t\|p_t)=\mathbb E\big[\log q_t(x_t)-\log p_t(x_t)\big],\qquad x_t=a\,G(z)+s\,\varepsilon$$
#
# Differentiate: a sample that moves changes both logarithms by their scores, and $x_t$ moves $a$ times as far as the sample.
#
# $$\nabla_\theta\,\mathrm{KL}(q_t\|p_t)=\mathbb E\Big[a\,\big(\nabla\log q_t(x_t)-\nabla\log p_t(x_t)\big)\cdot\tfrac{\partial G}{\partial\theta}\Big]$$
#
# The real score comes from the teacher; the *fake* one from another denoiser, trained on the student's samples as these change.
# **It is lesson 03's reverse KL**: an average over the student's samples, blind where it has none. But it is taken between *blurred* densities.
#
# ### Exercise 11b.4 · The direction of distribution matching (●●○, 7 minutes)
#
# The loss is a mean over a batch of samples. Return its gradient with respect to each sample.

# %%
from kd_lab.worlds.diffusion import signal_and_noise  # time -> a, s


@exercise("11b.4")
def matching_gradient(clean, noise, time, real_score, fake_score):
    """∂/∂(samples) of KL(q_t‖p_t), averaged over the batch: [N, 2], [N, 2], [N] -> [N, 2]."""
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Where are the scores asked: at `clean`, or at what the noise makes of it? By how much does $x_t$ move if `clean` moves by 1?
#
# </details>
# <details><summary>Hint 2</summary>
#
# Fake less real, times $a$, divided by the number of samples; both scores are called with $(x_t, t)$.
#
# </details>

# %% [markdown] tags=["solution:11b.4"]
# solution

# %% [markdown]
# **Is it that gradient?** Take a student whose $q_t$ is known: a Gaussian with mean $m$.
# Its KL is an integral over the plane, and its derivative by $m$ a difference of two such integrals.
# On the other side stands the sum of your function over very many samples.

# %%
from kd_lab.lessons.l11b_few_steps.identity import kl_slope, student_samples, student_score

at, gaps = torch.tensor([1.0, 0.5]), []  # the mean m; the student's width is 0.4
clean, eps = student_samples(at, 200_000, seed)
print("  t      slope of the KL            sum of your gradient")
for t in (0.2, 0.5, 0.8):
    time, slope = torch.full((len(clean),), t), kl_slope(teacher, at, t)
    yours = matching_gradient(clean, eps, time, teacher.score, student_score(at)).sum(0)
    print(f"{t:4.1f}   {slope[0]:8.4f} {slope[1]:8.4f}       {yours[0]:8.4f} {yours[1]:8.4f}")
    gaps.append(float((yours - slope).norm() / slope.norm()))

# %% tags=["hide-input"]
claim(
    "C11f",
    "The direction of distribution matching is the gradient of reverse KL between the noised densities.",
    max(gaps),
    unit="relative difference at most, from 200,000 samples",
    holds=max(gaps) < 0.03,
)

# %% [markdown]
# **A student without excuses.** To see what the objective does, and not the estimate of a score, our student is a cloud of **particles**: round Gaussians of a mode's width, whose places are the parameters.
# Its $q_t$ is a mixture again, so its fake score is exact; and there are particles enough to equal the teacher.
# A particle moves along $s^2(\nabla\log p_t-\nabla\log q_t)$. The factor $a$ of exercise 11b.4 is left out, so the KL of a level has the weight $s^2/a$.
# A mode is **kept** if particles within three widths of it hold at least a fifth of its weight.
#
# All particles begin on one of eight equal modes.

# %%
predict("11b.d")

# %% [markdown]
# **Experiment.** Five runs for each setting: eight equal modes, four equal modes farther apart, or four of which one is *heavy*, with weights 10 : 1 : 1 : 1.
# *Little noise* means $t\le0.3$, where the modes do not yet run together; *all noise* goes up to 0.98.
# The control is forward KL between the same noised densities, on the teacher's samples.

# %%
from kd_lab.lessons.l11b_few_steps.figures import modes_table
from kd_lab.lessons.l11b_few_steps.matching import match_all

runs = match_all(seed)  # (teacher, start, gradient) -> five runs
display(Markdown("Modes kept after 800 steps:\n\n" + modes_table(runs)))

# %% tags=["hide-input"]
ALL, LITTLE, FORWARD = "reverse KL, all noise", "reverse KL, little noise", "forward KL, all noise"


def kept(teacher, gradient, where="on one mode"):
    """Modes kept at the end by each of five runs."""
    return runs[teacher, where, gradient].end


reveal("11b.d", kept=kept("eight equal", ALL).mean(), low=kept("eight equal", LITTLE).mean())
claim(
    "C11f",
    "With all noise levels, eight equal modes are all found from one of them.",
    kept("eight equal", ALL),
    unit="of 8 modes kept",
    above=7,
)
claim(
    "C11f",
    "With little noise the same gradient loses modes.",
    kept("eight equal", ALL) - kept("eight equal", LITTLE),
    unit="modes fewer than with all noise",
    above=1,
)
claim(
    "C11f",
    "With little noise and four equal modes farther apart, the student stays on the one where it began.",
    kept("four equal", LITTLE),
    unit="of 4 modes kept",
    below=1.5,
)
claim(
    "C11f",
    "Of four equal modes far apart, forward KL with little noise does not find all either.",
    kept("four equal", "forward KL, little noise"),
    unit="of 4 modes kept",
    below=3,
)
claim(
    "C11f",
    "Light modes are lost even with all noise, if the student begins on the heavy one.",
    4 - kept("one heavy", ALL),
    unit="of 4 modes lost after 800 steps",
    above=1,
)
claim(
    "C11f",
    "Forward KL, with the same noise, steps and start, finds the light modes.",
    kept("one heavy", FORWARD) - kept("one heavy", ALL),
    unit="modes more than reverse KL",
    above=1,
)
claim(
    "C11f",
    "Spread as noise at the start, reverse KL keeps the light modes as well.",
    kept("one heavy", ALL, "as noise") - kept("one heavy", ALL),
    unit="modes more than from the heavy mode",
    above=1,
)

# %% [markdown]
# **Explore.** Where do the particles go? The lines are their paths.

# %% tags=["hide-input"]
from kd_lab.lessons.l11b_few_steps.explorers import matching_explorer

clouds = matching_explorer(runs)
clouds.show()

# %% tags=["hide-input"]
clouds.filmstrip([{}, "little noise", "one heavy", "forward"])

# %% [markdown]
# So lesson 03's mode dropping returns where the student begins on one mode and densities are compared with little noise.
# More noise is a cure: blurred modes run together, and the student feels modes on which it has no sample, as it did with heat in lesson 03b.
# The cure is weak where light modes stand far from a heavy one. With little noise forward KL is not safe either: see *forward KL, little noise* at four equal modes, although it finds the light ones at the same distance.
#
# **Lost for good, or only late?** The stored runs give the particles on the heavy mode 5,000 steps.
# The learning rate falls linearly over the whole run. After 800 of 5,000 steps it is still high, so the first column is not the table above, whose runs end after 800.
# The last row weighs high noise more: the pull above is divided by $a$, so that the KL of a level has the weight $s^2/a^2$. Public code for DMD, which subtracts two predictions of the data in place of two scores, has this factor too, and a normaliser.

# %% tags=["hide-input"]
from kd_lab.lessons.l11b_few_steps.matching import GRADIENTS, HIGH

print("modes of 4 kept, from the heavy mode, after 800, 2,000 and 5,000 steps of 5,000")
for gradient in GRADIENTS | HIGH:
    print(f"  {gradient:<32}" + "".join(f"{m:7.1f}" for m in results.given_time(gradient)[1:].mean(1)))
late, never, sooner = (results.given_time(gradient)[-1] for gradient in (ALL, LITTLE, *HIGH))
claim(
    "C11f",
    "Given 5,000 steps, all noise finds some of the light modes.",
    late,
    unit="of 4 modes kept after 5,000 steps",
    above=1,
)
claim(
    "C11f",
    "With little noise, more time does not help.",
    never,
    unit="of 4 modes kept after 5,000 steps",
    below=1.5,
)
claim(
    "C11f",
    "With more weight on high noise, more of the light modes are found.",
    sooner - late,
    unit="modes more than without the extra weight",
    above=0,
)

# %% [markdown]
# **With networks,** as in practice, and with that weight: the generator begins as the denoiser, and a second network learns the fake score, four steps for each of the generator's.
# DMD adds a regression to pairs of noise and the teacher's end, as *straight* did above. Five seeds, 600 steps, the teacher with one heavy mode:

# %% tags=["hide-input"]
from kd_lab.lessons.l11b_few_steps.figures import networks_table

ARMS = ("all noise levels", "with regression")
display(Markdown(networks_table(results, "one heavy", ARMS)))
light = results.matched("one heavy", ARMS[0], "shares")[:, 1:].min(1) * 13  # each has a weight of 1/13
claim(
    "C11f",
    "Networks send samples towards every light mode, without regression as well.",
    light,
    unit="of its weight lies nearest to the light mode that got least",
    above=0.25,
)
claim(
    "C11f",
    "With regression all four modes are kept.",
    results.matched("one heavy", ARMS[1], "modes"),
    unit="of 4 modes kept",
    above=3.5,
)
alone, helped = (results.matched("one heavy", arm, "stray") for arm in ARMS)
claim(
    "C11f",
    "Without regression more samples lie off the modes.",
    alone - helped,
    unit="of the samples more than with regression",
    above=0,
)

# %% [markdown]
# ## The same three knobs
#
# | | WHAT is matched | HOW | WHERE |
# |---|---|---|---|
# | progressive | where two steps land | squared error | points of the teacher's trajectories |
# | consistency | the end, as the student sees it one step nearer | squared error | the same points |
# | straight | the end of 32 steps | squared error | noise |
# | DMD | the noised density, by its score | reverse KL | the student's own samples |
#
# The first three are off-policy, with the teacher's own points in place of prefixes; DMD is on-policy distillation, with all that lessons 03 and 05 say of it.
#
# **Text.** A diffusion language model begins with all tokens masked and fills in several per step, each drawn on its own.
# Let its data be two texts of two tokens, *New York* and *Los Angeles*, each with probability ½.

# %%
cities = {("New", "York"): 0.5, ("Los", "Angeles"): 0.5}
first = {a: sum(p for (x, _), p in cities.items() if x == a) for a in ("New", "Los")}
second = {b: sum(p for (_, y), p in cities.items() if y == b) for b in ("York", "Angeles")}
print("one step, both tokens at once:")
for a, b in [(a, b) for a in first for b in second]:
    print(f"  {a} {b:<8}{first[a] * second[b]:.2f}   (data {cities.get((a, b), 0):.2f})")
print("two steps, the second token after the first: exact")

# %% [markdown]
# No mean this time, but a product of marginals: half of the texts are wrong.
# And one masked text has many ends, so there is no endpoint to regress to. What carries over is matching a distribution.
#
# ## In the wild
#
# - Progressive distillation brought samplers of up to 8,192 steps down to 4, at an FID (image distance) of 3.0 on CIFAR-10 ([2202.00512](https://arxiv.org/abs/2202.00512)); consistency distillation reports 3.55 there in one step ([2303.01469](https://arxiv.org/abs/2303.01469)).
# - DMD2 drops the regression as costly; it blames the instability without it on a fake score that lags behind ([2405.14867](https://arxiv.org/abs/2405.14867)). A later paper says that DMD can reduce diversity ([2602.03139](https://arxiv.org/abs/2602.03139)); f-distill weighs the score difference by the density ratio and does better with forward KL or JSD ([2502.15681](https://arxiv.org/abs/2502.15681)).
# - SDTT distils a masked diffusion language model into one that writes at least 32 tokens at once ([2410.21035](https://arxiv.org/abs/2410.21035)). DiDi-Instruct minimises a KL integrated over the noise levels, DMD's idea ([2509.25035](https://arxiv.org/abs/2509.25035)).
#
# What does not carry over: a pair of noise and end is cheap on our plane; and images are no eight islands.
#
# ## Discuss
#
# *For two people, ten minutes.*
# A team distils an image model to one step by DMD without regression. Samples look fine, and rare subjects become rarer.
# Which causes do you suspect, and which two measurements tell them apart?
# Why would consistency distillation not show this?

# %% [markdown] tags=["teacher"]
# **Expected answers.** Suspects: a range or weight of noise levels that leaves out the high end, rare subjects far from common ones and too little time, a fake score that lags behind. Measurements: shares per subject over training (late or never?); the same run with more weight on high noise, or more critic steps; forward KL, or a regression on pairs, as a control; the gap between the fake score and that of a freshly trained denoiser. Consistency distillation copies where each noise goes: a rare subject keeps its noises. Its faults are seams between modes, which a sharper look or a second jump reduces. **Misconceptions:** "one step fails because the network is weak" (the teacher is exact); "squared error always gives means" (noise and end are one to one); "reverse KL always drops modes" (with all noise levels eight equal modes are found from one, and our networks turn to all); "on-policy is better" (DMD sees only what it already writes). Timing: 45 minutes alone, 60 in a class; `match_all` takes ten seconds: let the class commit to 11b.d while it runs.

# %% [markdown]
# ## Recap
#
# 1. A diffusion model's answer is a conditional mean. Exact at every time, it still needs many steps.
# 2. Progressive distillation: one step lands where two did, again and again. Straight regression to the end does even better here, where pairs are cheap.
# 3. Consistency distillation: neighbours on a trajectory agree on its end, and time 0 fixes what they agree on.
# 4. DMD matches densities and no trajectories. Its gradient is reverse KL between noised densities, on the student's own samples.
# 5. Begun on one mode, reverse KL finds the others only by noise. With little noise it finds no distant one; with all of it light and distant ones late and in part, unless high noise weighs more. Forward KL finds light ones soon.
#
# ## Quiz

# %%
quiz("11b")

# %% [markdown]
# ## Glossary
#
# **Noise time** t from 0, data, to 1, noise. **Velocity** v, the mean of aε − s·x₀ given x_t; what the network predicts. **Score** the gradient of log p_t. **DDIM** a deterministic sampler; here a turn by π/2·(t − u). **Energy distance** 2E|X−Y| − E|X−X′| − E|Y−Y′|; 0 only if the distributions are equal. **Floor** that of exact samples. **Flow map** from a point of a trajectory at any time to its point at another. **Consistency model** predicts the end from every time. **Fake score** the score of the student's own noised samples. **Off the modes** farther than four widths from each.
#
# ## Papers
#
# - Salimans & Ho, "Progressive Distillation for Fast Sampling of Diffusion Models", [2202.00512](https://arxiv.org/abs/2202.00512): halving, and the velocity.
# - Song, Meng & Ermon, "Denoising Diffusion Implicit Models", [2010.02502](https://arxiv.org/abs/2010.02502): predicted data, mixed anew.
# - Song, Dhariwal, Chen & Sutskever, "Consistency Models", [2303.01469](https://arxiv.org/abs/2303.01469).
# - Yin et al., "One-step Diffusion with Distribution Matching Distillation", [2311.18828](https://arxiv.org/abs/2311.18828), equation 7: the gradient of section 4.
# - Boffi, Albergo & Vanden-Eijnden, "Flow map matching", [2406.07507](https://arxiv.org/abs/2406.07507); Geng et al., "Mean Flows for One-step Generative Modeling", [2505.13447](https://arxiv.org/abs/2505.13447).
#
# ## Next
#
# [Lesson 12](12_the_whole_field.ipynb) puts all methods of the course under one budget and two judges.
