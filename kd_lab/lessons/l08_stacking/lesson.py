# %% [markdown]
# # 08 · Stacking: quantization × pruning × distillation
#
# After this lesson you can take a model apart into three factors of cost, shrink each of them yourself, and say in advance how small a stack of all three will be.

# %% tags=["hide-input"]
from kd_lab.lessons.l08_stacking.experiment import stored_runs
from kd_lab.lessons.l08_stacking.figures import ladder
from kd_lab.viz import show

runs = stored_runs()
show(
    ladder(runs),
    "One model of surnames and four smaller ones. Each tool leaves a share of the bytes, and the shares multiply: the last bar is close to their product. "
    "Right, names written by the largest model and by the smallest.",
    alt="Bars of file sizes in thousands of bytes: the teacher about 1,590, half pruned 800, in four bits 450, distilled 200, and all three together 31. Right, names that the teacher and the smallest model write.",
)

# %% [markdown] tags=["card"]
# **You will be able to**
#
# - round weights to a few bits, in groups, and say where the cliff is;
# - train through a rounding that has no gradient;
# - remove heads so that a model really gets smaller, and tell zeros on paper from time on the clock;
# - predict the size of a stack from its parts, and choose by the bottleneck what to shrink first.
#
# **Before this:** [lesson 02](02_word_and_sequence.ipynb) (word-level distillation, which heals what is cut here).
#
# **Time:** 50 minutes to read and do. {{measured}}

# %%
import torch

from kd_lab.classroom import claim, exercise, predict, quiz, reveal, setup

seed = setup("08", threads=1)

# %% [markdown]
# ## 1 · Three factors
#
# A token costs about
#
# $$\text{cost}\;\approx\;\underbrace{\text{parameters}}_{\text{distil, prune}}\;\times\;\underbrace{\text{bits per parameter}}_{\text{quantize}}\;\times\;\underbrace{\text{work per parameter}}_{\text{kernels that skip zeros}}.$$
#
# The first two factors make the *bytes*: what lies on disk, and what crosses from memory to the processor for every token.
# The first and the third make the *multiplications*.
# A third limit appears in none of the factors: layers run one after another, and none takes less than the time it needs to start.
# Which of **memory**, **arithmetic** and **latency** you wait for depends on the machine.
#
# **By hand.** A language model of 70 billion parameters in 16 bits is 140 GB.
# Distil it to 7 billion, prune to 5, round to 4 bits: $\tfrac{7}{70}\cdot\tfrac57\cdot\tfrac{4}{16}=\tfrac1{56}$, so 2.5 GB.

# %%
predict("08.a")

# %% [markdown]
# **Explore.** One slider per factor.
# Left, its effect on the bytes and on the whole product.
# Right, the most tokens per second that five machines allow, from their makers' bandwidth and peak and a typical time to launch a kernel (4 µs on a large GPU).
# Watch the word at the end of each bar.

# %%
from kd_lab.compress import cost
from kd_lab.lessons.l08_stacking.explorers import LARGE, cost_calculator

calculator = cost_calculator()
calculator.show()
calculator.filmstrip([{}, "quantize", "zeros and a kernel for them", "a tenth, at 4 bits"])
device = cost.DEVICES["H100 SXM"]
costs = (cost.token_cost(LARGE, bits=bits) for bits in (16, 4))
before, after = (max(cost.roofline(one, device).values()) for one in costs)
ratio = before / after
reveal("08.a", before=ratio)

# %% [markdown]
# ## 2 · Fewer bits
#
# **Quantization** replaces a weight $w$ by a whole number of $b$ bits, its **code** $c$.
# A **group** of weights shares what turns codes back into weights: a **scale** $s$ and a **zero point** $z$.
#
# $$c=\mathrm{clip}\Big(\mathrm{round}\big(\tfrac ws\big)+z,\;0,\;2^b-1\Big),\qquad \hat w=s\,(c-z),\qquad s=\frac{\max-\min}{2^b-1},\qquad z=\mathrm{round}\Big(\frac{-\min}{s}\Big).$$
#
# Here max and min are those of the group, with zero counted in, so that zero lies on the grid.
# This is the **asymmetric** grid; the **symmetric** one takes $s=\max|w|\,/\,(2^{b-1}-1)$ and stores no $z$.
# A group is the whole **tensor**, a **channel** (one row: everything that makes one output), or a fixed number of neighbours in a row.
#
# **By hand,** $b=2$, weights $-2,\;1.4,\;4.7,\;7$: $s=\frac{7-(-2)}{3}=3$ and $z=\mathrm{round}(\tfrac23)=1$, so the four points are $-3,0,3,6$, and $1.4$ becomes $0$.
#
# A scale takes 16 bits: shared by 32 weights, that is half a bit for each.
#
# ### Exercise 08.1 · Round to nearest, in groups (●●○, 8 minutes)
#
# `weight` is `[O, I]`, one row per output.
# Each run of `group` neighbours in a row has its own asymmetric grid of $2^b$ points (`group` divides I).
# Return the weights $\hat w$ that the codes stand for.
# A group of zeros stays a group of zeros.


# %%
@exercise("08.1")
def round_in_groups(weight, bits, group):
    """Weights on a grid of 2^bits points per group: [O, I] -> [O, I].

    `group` neighbours of a row share a grid.
    """
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Give the groups an axis of their own first: then max and min are taken over that axis, and each group has one scale. How many steps lie between $2^b$ points?
#
# </details>
# <details><summary>Hint 2</summary>
#
# `weight.unflatten(1, (-1, group))` is `[O, I/group, group]`; `amax(-1, keepdim=True).clamp(min=0)` is a group's max with zero counted in; `flatten(1)` undoes the first step.
#
# </details>

# %% [markdown] tags=["solution:08.1"]
# solution

# %%
predict("08.b")

# %% [markdown]
# The library's `quantize.round_matrix` does the same, with the scale rounded to the 16 bits in which it is stored.
#
# The held-out names are sorted by frequency, and common names are easier, as the next cell prints.
# So every sample of them is drawn from a shuffled list.
#
# **Explore.** Left, the 32 weights of one group on their staircase: the closer to the diagonal, the smaller the change.
# Right, the loss in bits per character on unseen names, for all three kinds of group (symmetric grids).
# Watch the dots as more weights share a scale.

# %% tags=["hide-input"]
from kd_lab.compress import quantize
from kd_lab.lessons.l08_stacking.explorers import BITS, SHARED, rounding_explorer
from kd_lab.lessons.l08_stacking.trials import shuffled
from kd_lab.measure import bits_per_character
from kd_lab.models import load_teacher
from kd_lab.worlds import surnames

world, teacher = surnames(), load_teacher("surnames")
example = teacher.blocks[1].expand.weight.detach()
mine = round_in_groups(example, 4, 32)
theirs = quantize.round_matrix(example, quantize.Scheme(4, 32, symmetric=False)).dequantize()
torch.testing.assert_close((mine - example).norm(), (theirs - example).norm(), rtol=0.01, atol=0)

for said, names in (("the 120 most frequent", world.held_out[slice(0, 120)]), ("all", world.held_out)):
    print(
        f"{said} of {len(world.held_out):,} held-out names: {bits_per_character(teacher, names):.2f} bits per character"
    )
held_out = shuffled(world.held_out, seed)
few = held_out[slice(0, 240)]
few_exact = bits_per_character(teacher, few)
rounded = {
    (name, bits): quantize.round_to_nearest(teacher, bits, group)
    for name, (group, _) in SHARED.items()
    for bits in BITS
}
rounding_loss = {
    key: round(bits_per_character(model.dequantize(), few) - few_exact, 3) + 0.0 for key, model in rounded.items()
}
rounding = rounding_explorer(rounded, rounding_loss, example[0, :32], "blocks.1.expand.weight")
rounding.show()
rounding.filmstrip([{}, "3 bits", "3 bits, one scale", "2 bits"])

# %% [markdown]
# **Experiment.** We round the teacher, and eight students of 26,000 parameters that learned from it: do they lose more? (They differ from it in their training as well as in size.)
# On the symmetric grid a step is $1/127$, $1/7$, $1/3$ and $1/1$ of the largest weight at 8, 4, 3 and 2 bits.
# The files are real: two codes of 4 bits share one byte, and eight codes of 3 bits share three.
#
# The students learn from 1,500 names.
# The teacher's logits on these names are computed once and remembered.

# %%
from kd_lab.classroom.students import taught
from kd_lab.methods import distill, labels_only, word_level
from kd_lab.models import GPT, CachedTeacher, GPTConfig

lesson_names = world.subset(1500, seed=seed)
remembered = CachedTeacher(teacher)  # reads each name once, for all students
SMALL = GPTConfig(vocab_size=27, context=world.context, layers=2, heads=2, width=32)
lesson = {"teacher": remembered, "world": lesson_names, "recipe": word_level()}
lesson |= {"steps": 200, "batch_size": 32}
pupils = taught("students", lambda number: GPT(SMALL, seed=number), range(seed, seed + 8), **lesson)
pupils = [one.student for one in pupils]

checked = held_out[slice(0, 1000)]
whole_models = [teacher, *pupils]
exact_bits = [bits_per_character(model, checked) for model in whole_models]
nearest = {}
for bits in (8, 4, 3, 2):
    nearest[bits] = [quantize.round_to_nearest(model, bits) for model in whole_models]

# %% tags=["hide-input"]
import tempfile
from pathlib import Path

import numpy as np


def loss_of(models):
    """Bits per character that the teacher and each student have lost to their rounded versions."""
    return np.subtract([bits_per_character(model, checked) for model in models], exact_bits)


cost_of = {bits: loss_of([model.dequantize() for model in models]) for bits, models in nearest.items()}
with tempfile.TemporaryDirectory() as folder:
    print(f"{'bits':>4} {'per weight':>10} {'teacher file':>13}    bits per character lost: teacher, eight students")
    for bits, models in nearest.items():
        path = Path(folder) / f"{bits}.safetensors"
        quantize.save_quantized(models[0], path)
        back, kept_bits = quantize.load_quantized(path).dequantize().state_dict(), models[0].dequantize().state_dict()
        assert all(torch.equal(back[name], kept_bits[name]) for name in kept_bits)
        size = f"{path.stat().st_size:,} B"
        row = " ".join(f"{value:6.3f}" for value in cost_of[bits].round(3) + 0.0)
        print(f"{bits:4} {models[0].bits_per_weight:10.2f} {size:>13}    {row}")
breaks = [bits for bits in (8, 4, 3, 2) if cost_of[bits][0] > 0.1]
reveal("08.b", first=breaks[0])
LOST = "bits per character lost by eight students"
claim(
    "C08a",
    "Rounding to 8 bits after training is free.",
    cost_of[8][1:],
    unit=LOST,
    above=-0.01,
    below=0.01,
)
claim(
    "C08a",
    "4 bits in groups of 32 cost the students less than 0.05 bits per character.",
    cost_of[4][1:],
    unit=LOST,
    below=0.05,
)
claim(
    "C08a",
    "2 bits are a cliff: without training, the students lose more than a quarter of a bit per character.",
    cost_of[2][1:],
    unit=LOST,
    above=0.25,
)
claim(
    "C08a",
    "At 3 bits the students lose more than the teacher.",
    cost_of[3][1:] - cost_of[3][0],
    unit="bits per character more than the teacher, eight students",
    above=0,
)

# %% [markdown]
# **Even without training, one can do better than to round each weight to its nearest point.**
# What counts is the output of the layer, and there the errors of many weights add up.
# **GPTQ** reads the inputs $X$ of a layer on some texts and rounds one column after another.
# After each column, it moves those still to come so that they compensate for the error.
# With $H=X^\top X$, $U$ the upper Cholesky factor of $H^{-1}$, and $i$ the column just rounded:
#
# $$w_j\;\leftarrow\;w_j-\frac{w_i-\hat w_i}{U_{ii}}\,U_{ij}\qquad\text{for all }j>i.$$
#
# The grid and the file size stay the same.
# Here GPTQ reads 64 training names; five such samples are drawn.

# %% tags=["hide-input"]
from kd_lab.lessons.l08_stacking.trials import output_errors

layers = [f"blocks.{number}.expand" for number in range(4)]
samples = [shuffled(world.train, seed + number)[slice(0, 64)] for number in range(5)]
seen = samples[0]
off = {bits: output_errors(teacher, seen, few, bits, layers) for bits in (4, 3, 2)}
for bits, errors in off.items():
    print(
        f"{bits} bits: the output of the four `expand` matrices on unseen names is off by "
        + ",  ".join(f"{method} {' '.join(f'{e:.1%}' for e in each)}" for method, each in errors.items())
    )
compensated = loss_of([quantize.gptq(model, seen, 2).dequantize() for model in whole_models])
print("teacher and students, bits per character lost at 2 bits:")
print("  nearest " + "  ".join(f"{v:.3f}" for v in cost_of[2]))
print("  GPTQ    " + "  ".join(f"{v:.3f}" for v in compensated))
print(f"GPTQ loses less in {(compensated < cost_of[2]).sum()} of {len(compensated)} models")
three_bits = [output_errors(teacher, sample, few, 3, layers) for sample in samples]
claim(
    "C08a",
    "At 3 bits and the same size, GPTQ brings the output of each layer's first perceptron matrix closer than rounding to nearest does.",
    [(errors["GPTQ"] / errors["nearest"]).max() for errors in three_bits],
    unit="of the nearest points' error on unseen names, in the worst of four layers, one sample of names per seed",
    scale="log",
    below=0.8,
)
claim(
    "C08a",
    "GPTQ alone leaves a cliff: at 2 bits the students still lose more than a fifth of a bit per character.",
    compensated[1:],
    unit="bits per character lost by eight students",
    above=0.2,
)

# %% [markdown]
# ## 3 · One loud channel
#
# Small files are only half of the gain.
# To *multiply* in 8 bits, the numbers that flow between layers, the **activations**, have to be rounded too.
# Their range is not known in advance.
# It is **calibrated** on some texts: the largest $|x|$, or a percentile beyond which values are clipped.
#
# All channels of $x$ should share one scale.
# To see why, take $y_i=\sum_j \hat x_j\hat w_{ij}$ with $\hat x_j=s\,c_j$ and $\hat w_{ij}=s_i\,c_{ij}$.
# An integer unit adds up $\sum_j c_j c_{ij}$, and $s\,s_i$ is multiplied once, at the end.
# A scale $s_j$ for each input would stand inside the sum.
#
# Large language models grow a few **outlier channels**, far louder than all others.
# Ours has none, so we make one without changing the function of the model.
# Channel $j$ after a norm is multiplied by 300, and column $j$ of the layer that reads it is divided by 300.

# %%
predict("08.c")

# %% [markdown]
# **Two remedies.** The first is a scale for each channel: each gets the step that it needs. It is only simulated here, for the reason above.
# The second is **SmoothQuant**: divide each channel by $f_j$ where it arises, in the norm's weight, and multiply column $j$ of the next layer by $f_j$:
#
# $$f_j=\frac{\max|X_j|^{\alpha}}{\max|W_{\cdot j}|^{1-\alpha}},\qquad \alpha=\tfrac12.$$
#
# The function stays the same.
# The difficulty moves into the weights, which can bear it: they have one scale per output.

# %%
from kd_lab.lessons.l08_stacking.trials import one_loud_channel

quick = few[slice(0, 120)]
generator = torch.Generator().manual_seed(seed)
CHANNELS = torch.randperm(128, generator=generator)[:6].tolist()
loud = [one_loud_channel(teacher, channel, seen, quick, "blocks.1.expand") for channel in CHANNELS]
assert max(one.drift for one in loud) < 1e-5  # the function has not changed
assert all(one.found == [channel] for one, channel in zip(loud, CHANNELS))
spoiled = {case: [one.lost[case] for one in loud] for case in loud[0].lost}

# %% tags=["hide-input"]
from kd_lab.lessons.l08_stacking.figures import loud_channel

show(
    loud_channel(loud[-1].reaches, spoiled),
    "Left: the largest value of each channel. One channel sets the step for all, and values below half a step (line) become zero. "
    "That is nearly all of them, since the dots are the largest. Smoothed, all channels lie far above their line. "
    "Right: the loss, for six channels (dots). At 30 times as loud, 8 bits still suffice; at 300 times they do not.",
    alt="Left, a log plot of 128 channels: one dot far above the others, the half-step line above nearly all of them; after smoothing all dots lie above their line. Right, bars of loss: large for 300 times with one scale, near zero for 30 times and for the remedies.",
)
print(f"made loud, and found again by calibration: channels {CHANNELS}")
for case, lost in spoiled.items():
    print(f"{case:25}" + "  ".join(f"{value + 0.0:6.3f}" for value in lost))
worst = float(np.mean(spoiled["300 ×, one scale"]))
reveal("08.c", worst=worst)
LOST = "bits per character lost, one channel per seed"
claim(
    "C08b",
    "One channel 300 times as loud breaks activations that share a scale, in a function that has not changed.",
    spoiled["300 ×, one scale"],
    unit=LOST,
    above=1,
)
claim(
    "C08b",
    "The same channel 30 times as loud costs next to nothing: 8 bits leave that much room.",
    spoiled["30 ×, one scale"],
    unit=LOST,
    below=0.05,
)
claim(
    "C08b",
    "At 300 times, one scale per channel removes the loss.",
    spoiled["300 ×, scale per channel"],
    unit=LOST,
    below=0.02,
)
claim(
    "C08b",
    "At 300 times, SmoothQuant removes the loss as well, with one scale for all activations and the same function.",
    spoiled["300 ×, SmoothQuant"],
    unit=LOST,
    below=0.02,
)

# %% [markdown]
# Clipping helps here as well: the loud channel is one of 128, and carries no more information than before.
# In large language models the loud channels are the very ones that cannot be spared ([LLM.int8()](https://arxiv.org/abs/2208.07339)).
#
# ## 4 · Training through the rounding
#
# At 2 bits a model has to *learn* to live on the grid.
# **Quantization-aware training** (QAT) keeps the full weights, multiplies with their rounded version in every forward pass, and updates the full ones.
# But $\mathrm{round}$ is a staircase: its slope is zero wherever it has one.
# The **straight-through estimator** goes forward over the stairs and back over the ramp.
# With $m=2^{b-1}-1$, the largest code:
#
# $$\text{forward}\;\;\hat w=s\,\mathrm{clip}\big(\mathrm{round}(w/s),-m,m\big),\qquad\text{backward}\;\;\frac{\partial\hat w}{\partial w}:=\begin{cases}1&|w/s|\le m\\0&\text{beyond the grid.}\end{cases}$$
#
# **By hand,** $s=1$, $m=1$: of $w=(0.3,\,-0.8,\,1.7)$ the model sees $(0,-1,1)$, and a gradient $(g_1,g_2,g_3)$ reaches $w$ as $(g_1,g_2,0)$: at 1.7, a small move changes nothing.

# %%
predict("08.d")

# %% [markdown]
# ### Exercise 08.2 · A gradient for a staircase (●●○, 7 minutes)
#
# Return $\hat w$, so that autograd finds the gradient above.
# `scale` and `most` ($m$) are numbers.


# %%
@exercise("08.2")
def rounded_weight(weight, scale, most):
    """s·clip(round(w/s), −most, most): [...] -> [...].

    Its gradient to the weight is 1 inside the grid and 0 outside.
    """
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# You need a sum of two parts: one whose value is that of the ramp, and one that autograd takes for a constant.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `x + (y - x).detach()` has the value of `y` and the gradient of `x`. Which `x` has no gradient beyond the grid?
#
# </details>

# %% [markdown] tags=["solution:08.2"]
# solution

# %% [markdown]
# The library's `quantize.prepare_qat(model, bits)` puts such a function between every weight and its use.
# The result is a model like any other, and `distill` trains it by any recipe.
# `quantize.convert_qat` gives the codes to store.
# Its grids cover the largest weight of their group, so that no weight lies beyond.
#
# **Experiment.** The eight students, rounded to 2 bits, train for 100 steps of 16 names each: once on the labels, once with the large teacher.
# Such training also changes a student that is not rounded at all.
# So every run has a **twin** in full precision: the same start, the same names in the same order, the same steps.
# The cost of 2 bits is the difference between a run and its twin.

# %%
from copy import deepcopy

SIGNALS = {"labels": (labels_only(), None), "the large teacher": (word_level(), remembered)}
runs_at = {(signal, precision): [] for signal in SIGNALS for precision in ("2 bits", "twin")}
starts = {"2 bits": lambda number: quantize.prepare_qat(pupils[number - seed], 2),
          "twin": lambda number: deepcopy(pupils[number - seed])}  # fmt: skip
for (signal, precision), measured in runs_at.items():
    recipe, source = SIGNALS[signal]
    again = {"teacher": source, "world": lesson_names, "recipe": recipe}
    again |= {"steps": 100, "batch_size": 16}
    name, seeds = f"{signal}, {precision}", range(seed, seed + 8)
    for learner, _ in taught(name, starts[precision], seeds, **again):
        if precision == "2 bits":
            learner = quantize.convert_qat(learner).dequantize()  # as it would be stored
        measured.append(bits_per_character(learner, checked))

# %% tags=["hide-input"]
from kd_lab.lessons.l08_stacking.figures import after_training
from kd_lab.measure import mean_interval

cost_of_two = {signal: np.subtract(runs_at[signal, "2 bits"], runs_at[signal, "twin"]) for signal in SIGNALS}
advantage = {
    precision: np.subtract(runs_at["labels", precision], runs_at["the large teacher", precision])
    for precision in ("2 bits", "twin")
}

one_weight = pupils[0].blocks[0].expand.weight.detach()[:1, :32].clone().requires_grad_()
two_bits = quantize.round_matrix(one_weight, quantize.Scheme(2, 32))
by_hand = rounded_weight(one_weight, two_bits.scale[0, 0].float().item(), 1)
torch.testing.assert_close(by_hand.detach(), two_bits.dequantize())

show(
    after_training(cost_of[2][1:], {key: np.subtract(bits, exact_bits[1:]) for key, bits in runs_at.items()}),
    "Eight students (one marker each) and the 95 % interval of their mean. Training through the rounding brings back most of what rounding alone loses. "
    "At 2 bits the teacher is ahead of the labels; without any rounding (twin) it is ahead by more.",
    alt="Five rows of eight markers: rounding alone loses most; 2 bits trained on labels or with the teacher lose little; their twins in full precision lie near zero, the teacher's below it.",
)
for signal, lost in cost_of_two.items():
    middle, half_width = mean_interval(lost)
    each = " ".join(f"{v:.3f}" for v in lost)
    print(f"2 bits against the twin, {signal:17} {middle:.3f} ± {half_width:.3f}   {each}")
middle, half_width = mean_interval(advantage["2 bits"])
reveal("08.d", middle=middle, half_width=half_width)
claim(
    "C08c",
    "Training through the rounding recovers most of what 2 bits cost, with nothing but labels.",
    cost_of_two["labels"] / cost_of[2][1:],
    unit="of the loss without training remains, eight students",
    scale="log",
    below=0.5,
)
claim(
    "C08c",
    "At 2 bits the large teacher makes a better student than the labels of the same names.",
    advantage["2 bits"],
    unit="bits per character fewer",
    above=0,
)
claim(
    "C08c",
    "Without any rounding the teacher is ahead as well: its advantage is no remedy for rounding.",
    advantage["twin"],
    unit="bits per character fewer",
    above=0,
)
claim(
    "C08c",
    "Against their twins, 2 bits cost more with the teacher than with labels in this training.",
    cost_of_two["the large teacher"] - cost_of_two["labels"],
    unit="bits per character more lost",
    above=0,
)

# %% [markdown]
# So the teacher does not help a student *to bear the rounding*.
# With the teacher the student is better at either precision.
# On the labels even the twins lost a little: these students had come from the teacher's distributions.
# The last claim is about this training alone: eight students, 100 steps, one learning rate.
# Its sign was the same with every set of seeds that was tried, but for one of them with less margin than a verdict needs here, so take it as open.
#
# ## 5 · Fewer parameters
#
# **Unstructured pruning** sets single weights to zero.
# Which ones matter least? Three criteria:
#
# - **magnitude** $|w|$: no data needed;
# - **Wanda** $|w_{ij}|\cdot\lVert x_j\rVert_2$: a small weight on a loud input counts;
# - **Taylor** $(w\,\partial L/\partial w)^2$: to first order, the squared change of the loss without it.
#
# A ranking also needs a **scope**: the weights that compete with one another.
# Wanda was proposed for the weights of one output, a row of the matrix; magnitude and Taylor are often ranked over the whole model.
# To compare criteria, all three are ranked at one scope, and then at the other.
#
# A **sparse** format such as CSR stores each remaining weight with its column, for kernels made for it.
# **2:4** is the compromise of recent GPUs: two of every four neighbours stay, so that an index takes two bits.

# %%
predict("08.e")

# %% tags=["hide-input"]
from kd_lab.compress import prune
from kd_lab.lessons.l08_stacking.figures import SPARSITIES
from kd_lab.lessons.l08_stacking.trials import SCORES, quality_of_zeros, spread_of_criteria

some = shuffled(world.train, seed)[slice(0, 512)]
unseen = held_out[slice(0, 400)]
whole = bits_per_character(teacher, unseen)
scores = {name: score(teacher, some) for name, score in SCORES.items()}
SCOPES = {"row": "the weights of one output", "global": "all weights of the model"}
quality = {
    (name, scope): quality_of_zeros(teacher, scores[name], SPARSITIES, scope, unseen)
    for name in scores
    for scope in SCOPES
}
print(f"the teacher, 400 unseen names: {whole:.3f} bits per character")
for scope, among in SCOPES.items():
    row = "   ".join(f"{name} " + " ".join(f"{bits:.2f}" for bits in quality[name, scope]) for name in scores)
    print(f"50, 80, 90 % zeros, ranked among {among:25}: {row}")
pairs = {
    name: bits_per_character(prune.apply_masks(teacher, prune.semi_structured_masks(one)), unseen)
    for name, one in scores.items()
}
print("2:4 by " + ", ".join(f"{name} {value:.3f}" for name, value in pairs.items()))
spreads = [
    spread_of_criteria(
        teacher,
        shuffled(world.train, seed + number)[slice(0, 256)],
        shuffled(world.held_out, seed + number)[slice(0, 200)],
    )
    for number in range(5)
]
claim(
    "C08d",
    "Ranked among the weights of one output, the three criteria lie less than half as far apart at 80 % zeros as ranked over the whole model.",
    [spread["row"] / spread["global"] for spread in spreads],
    unit="of the distance between best and worst over the whole model, one sample of names per seed",
    scale="log",
    below=0.5,
)

# %% tags=["timing"]
from kd_lab.measure.clock import seconds_in_turns


@torch.no_grad()
def read(model, batch=held_out[slice(0, 100)]):
    return model(batch.inputs)


emptied = prune.apply_masks(teacher, prune.unstructured_masks(scores["magnitude"], 0.9))
both = {"as it is": lambda: read(teacher), "zeros": lambda: read(emptied)}
model_seconds = seconds_in_turns(both, rounds=10)

generator = torch.Generator().manual_seed(seed)
matrix = torch.randn(1024, 1024, generator=generator)
column = torch.randn(1024, 1, generator=generator)
order = torch.rand(1024, 1024, generator=generator)
SHARES = (0.5, 0.8, 0.9, 0.95)
products = {"as it is": lambda: matrix @ column}
for share in SHARES:
    kept = matrix * (order >= share)
    sparse = prune.to_csr(kept)
    products[f"dense {share}"] = lambda kept=kept: kept @ column
    products[f"sparse {share}"] = lambda sparse=sparse: sparse @ column
matrix_seconds = seconds_in_turns(products, rounds=30)

# %% tags=["hide-input", "timing"]
from kd_lab.lessons.l08_stacking.figures import zeros_and_speed
from kd_lab.lessons.l08_stacking.trials import faster

gain = {kind: [faster(matrix_seconds, f"{kind} {share}") for share in SHARES] for kind in ("dense", "sparse")}
show(
    zeros_and_speed(quality, whole, SHARES, gain),
    "Left: without any training, half of the weights can go for almost nothing, by any criterion. Beyond that every criterion does better "
    "ranked among the weights of one output (lines with markers) than over the whole model (thin dotted lines). "
    "Right: the dense kernel does not notice; the sparse one loses while half is left, and wins only where nearly all is gone.",
    alt="Left, bits per character against the share of zeros for three kinds of importance at two scopes, flat to 50 percent and steep at 90, steepest over the whole model. Right, speed of a dense kernel is flat at 1, of a sparse one rises from below 1 to above it.",
)
in_model = faster(model_seconds, "zeros")
reveal("08.e", in_model=in_model)
claim(
    "C08d",
    "With nine of ten weights zero, a dense kernel reads no faster.",
    in_model,
    unit="times as fast as before",
    holds=in_model < 1.3,
)
claim(
    "C08d",
    "With 80 % zeros, the dense product of one matrix is no faster.",
    gain["dense"][1],
    unit="times as fast",
    holds=gain["dense"][1] < 1.3,
)
claim(
    "C08d",
    "With half of the weights left, a kernel for sparse matrices is slower than the dense one.",
    gain["sparse"][0],
    unit="times as fast as dense",
    holds=gain["sparse"][0] < 1,
)

# %% [markdown]
# A zero costs as much to multiply as any number.
# Only a kernel that *skips* it saves work, and that kernel has to be told where the zeros are.
#
# **Structured pruning** takes out what a kernel sees as an axis: whole **heads**, whole **channels** of the perceptron, whole **layers**.
# The importance of a head is the sum over its weights.
# What is left is a smaller model, and every product in it is smaller.
#
# A head with $F$ features takes part in four places.
# Let $H$ be the number of heads and $W$ the width of the residual stream.
# The head has $F$ rows in each of $Q$, $K$, $V$, which are stacked in one matrix $[3HF, W]$ (all queries, then all keys, then all values).
# It also has $F$ columns in the output projection $[W, HF]$, which reads what the heads have gathered, side by side.
#
# ### Exercise 08.3 · A head leaves (●●○, 10 minutes)
#
# Return both matrices with only the heads in the list `keep`.


# %%
@exercise("08.3")
def keep_heads(query_key_value, project, heads, keep):
    """An attention layer with the heads `keep` alone.

    [3·H·F, W], [W, H·F] -> [3·K·F, W], [W, K·F], with K = len(keep).
    """
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# A linear layer computes $xA^\top$: its outputs are rows of $A$, its inputs columns. A head owns outputs of $Q$, $K$ and $V$, and inputs of the projection.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `matrix.unflatten(0, (3, heads, -1))` gives the heads an axis of their own; index it with the list, then `flatten` the axes together again.
#
# </details>

# %% [markdown] tags=["solution:08.3"]
# solution

# %% [markdown]
# The library's `prune.remove_structures` does this for heads, channels and layers at once, and returns a plain `GPT`.
# Its logits must be those of the large model with the rest masked.

# %%
influence = prune.block_influence(teacher, some)
keep = prune.select_structures(teacher, scores["Wanda"], heads=2, channels=256)
fewer = prune.select_structures(teacher, scores["Wanda"], layers=2, layer_importance=influence)
narrow, shallow = prune.remove_structures(teacher, keep), prune.remove_structures(teacher, fewer)

attention, left = teacher.blocks[0].attention, narrow.blocks[0].attention
qkv, project = attention.query_key_value.weight, attention.project.weight
yours = keep_heads(qkv, project, 4, list(keep.heads[0]))
assert torch.equal(yours[0], left.query_key_value.weight)
assert torch.equal(yours[1], left.project.weight)
masked = read(prune.mask_structures(teacher, keep))
torch.testing.assert_close(read(narrow), masked, rtol=0, atol=1e-5 * masked.abs().max().item())

# %% tags=["hide-input"]


def count(model):
    return sum(weight.numel() for weight in model.parameters())


print(f"half of every layer: {count(teacher):,} parameters become {count(narrow):,}")
said = " ".join(f"{i:.2f}" for i in influence)
print(f"half of the layers:  {count(teacher):,} parameters become {count(shallow):,}; influence of the layers {said}")
for name, one in scores.items():
    halved = prune.remove_structures(teacher, prune.select_structures(teacher, one, heads=2, channels=256))
    value = bits_per_character(halved, unseen)
    print(f"half of every layer, the least important by {name}: {value:.2f} bits per character before any healing")
print(f"half of the layers, the least influential: {bits_per_character(shallow, unseen):.2f}")

# %%
predict("08.f")

# %% tags=["hide-input", "timing"]
from kd_lab.lessons.l08_stacking.stack import ready


@torch.no_grad()
def write(model, tokens=held_out.inputs[:1, :10]):
    """Ten tokens of one text, one at a time, with a cache."""
    cache = model.new_cache(1, 10)
    for t in range(10):
        model(tokens[:, t : t + 1], cache=cache)


MOVES = {
    "as it is": teacher,
    "fewer layers": shallow,
    "narrower layers": narrow,
    "quantize": ready(quantize.round_to_nearest(teacher, 8, "channel")),
    "zeros": emptied,
}
reading = seconds_in_turns({name: (lambda model=model: read(model)) for name, model in MOVES.items()}, rounds=10)
writing = seconds_in_turns({name: (lambda model=model: write(model)) for name, model in MOVES.items()}, rounds=40)
for what, seconds in (("100 names read at once", reading), ("one name written", writing)):
    print(f"{what:24}" + "".join(f"{name}: {faster(seconds, name):.2f} ×   " for name in MOVES if name != "as it is"))
narrow_reads, shallow_reads = faster(reading, "narrower layers"), faster(reading, "fewer layers")
shallow_writes = faster(writing, "fewer layers")
ahead = shallow_writes / faster(writing, "narrower layers")
reveal("08.f", ahead=ahead)
claim(
    "C08e",
    "With half of all heads and channels removed, many texts are read faster on an ordinary kernel.",
    narrow_reads,
    unit="times as fast",
    holds=narrow_reads > 1.3,
)
claim(
    "C08e",
    "With half of the layers removed, many texts are read faster.",
    shallow_reads,
    unit="times as fast",
    holds=shallow_reads > 1.3,
)
claim(
    "C08e",
    "With half of the layers removed, one text is written faster.",
    shallow_writes,
    unit="times as fast",
    holds=shallow_writes > 1.3,
)

# %% [markdown]
# ## 6 · Healing
#
# Pruning costs quality, and a short training brings most of it back.
# The usual answer is to **fine-tune** on labels.
# But the model from before the cut is still there.
# It can be the teacher instead: **prune, then distil from the original**.
#
# We cut the teacher to a sixth. Two of its four layers stay, and in those half of the heads and a quarter of the channels.
# Then it is healed in both ways, on the same 1,500 names in the same order.

# %%
predict("08.g")

# %%
HEALINGS = {"labels": (labels_only(), None), "the original": (word_level(), remembered)}
STEPS, EVERY = 40, 10
shape = {"layers": 2, "heads": 2, "channels": 128}
cut = prune.select_structures(teacher, scores["Wanda"], layer_importance=influence, **shape)
after_cut = bits_per_character(prune.remove_structures(teacher, cut), unseen)
recovery = {name: [] for name in HEALINGS}
for name, (recipe, source) in HEALINGS.items():
    patients = taught(
        f"healed by {name}", lambda number: prune.remove_structures(teacher, cut, dropout=0.0),
        range(seed, seed + 5), teacher=source, world=lesson_names, recipe=recipe, steps=STEPS,
        evaluate=lambda model: bits_per_character(model, unseen), evaluate_every=EVERY,
    )  # fmt: skip
    recovery[name] = [curve[EVERY - 1 :: EVERY] for _, curve in patients]
    patient = patients[0].student

# %% tags=["hide-input"]
from kd_lab.lessons.l08_stacking.figures import healing

curves = {name: np.array(values) for name, values in recovery.items()}
healed_gain = curves["labels"][:, -1] - curves["the original"][:, -1]
show(
    healing(curves, EVERY, after_cut, whole),
    f"{count(teacher):,} parameters cut to {count(patient):,}, then healed: means and 95 % intervals over five seeds. The level line is the model from before the cut.",
    alt="Bits per character against steps for two ways of healing a pruned model. Both fall from the star at step 0; the one taught by the original falls further.",
)
middle, half_width = mean_interval(healed_gain)
reveal("08.g", middle=middle, half_width=half_width)
claim(
    "C08f",
    "Pruned and distilled from the original, a model needs fewer bits per character than pruned and fine-tuned on the same texts.",
    healed_gain,
    unit="bits per character fewer",
    above=0,
)

# %% [markdown]
# How much of this gain belongs to the cut?
# In section 4 the teacher was also ahead of the labels in models that had lost nothing.
# So the experiment shows which signal to train on after a cut; it does not show that the original restores exactly what was cut.
#
# ## 7 · The stack
#
# Three tools, three shares: distilling and pruning each leave a share of the parameters, quantization a share of the bits.
# The original is the teacher in 16-bit numbers.
# Every model of the stack, a **rung**, makes three choices:
#
# - start from the *teacher*, or from a *distilled student* of half the layers and half the width;
# - remove 0, 25, 50 or 75 % of all heads and channels, and heal by distillation;
# - keep 16, 8, 4, 3 or 2 bits per weight (2 bits are trained for, as in section 4).
#
# Forty rungs were built once, from three seeds each, by `python -m kd_lab.lessons.l08_stacking.experiment --store`, written to disk, measured, and asked for names.
#
# **By hand,** *the whole stack*, the rung of the distilled student pruned by half in 4 bits: the student holds 101,248 of the teacher's 792,832 parameters, pruning by half leaves 52,096 of those, and 4 bits in groups of 32 are 4.5 with the scale: $\tfrac{101}{793}\cdot\tfrac{52}{101}\cdot\tfrac{4.5}{16}\approx 0.018$.

# %%
predict("08.h")

# %% [markdown]
# One rung is made here and now: the teacher, three quarters of its heads and channels removed, healed, rounded to 4 bits, written, read back.

# %%
from kd_lab.lessons.l08_stacking.stack import from_file, healed

rung = runs.at(distilled=False, pruned=75, bits=4)
predicted = rung.predicted_size * runs.at(False, 0, 16).bytes
with tempfile.TemporaryDirectory() as folder:
    file = Path(folder) / "rung.safetensors"
    live = from_file(healed(teacher, 75, seed, world, teacher), 4, file, seed, world, teacher)
    live_bytes = file.stat().st_size
live_quality = bits_per_character(live, world.held_out)
print(f"made now:  {live_bytes:,} bytes, {live_quality:.3f} bits per character")
print(f"on record: {rung.bytes:,} bytes, {rung.bits_per_character[0]:.3f} bits per character")
print(f"predicted: {predicted:,.0f} bytes")

# %% [markdown]
# **Explore.** Remove heads and channels with the slider, then change where you start and how many bits you keep.
# The middle compares the cost model's prediction (grey) with the measurement.
# *Time* is that of reading many names at once, predicted from the multiplications alone.
# Right, names that this rung writes.

# %%
from kd_lab.lessons.l08_stacking.explorers import pareto, stack_explorer

QUALITY = (2.9, 3.6)
explorer = stack_explorer(runs.rungs, QUALITY)
explorer.show()
explorer.filmstrip(["4 bits alone", "half removed", "student alone", "the whole stack"])

# %% tags=["hide-input"]
from kd_lab.lessons.l08_stacking.figures import FULL, front

show(
    front(runs, QUALITY),
    "Size against quality of every rung. Grey line: the front, below which nothing lies. Ticks: the size that the three factors predicted. "
    "The small end of the front belongs to stacks of all three; there a narrower model in 4 bits is better than a wider one in 2 of the same size.",
    alt="Scatter of forty rungs, file size on a logarithmic axis against bits per character, marked by bits and by start, with the predicted size of each as a tick on its marker and a stepped front line.",
)
best = pareto(runs.rungs)
by_bits = ", ".join(f"{bits}: {sum(r.bits == bits for r in best)}" for bits in (16, 8, 4, 3, 2))
print(f"on the front: {len(best)} of {len(runs.rungs)} rungs; by bits {by_bits}")
print(f"with all three stages: {sum(r.distilled and r.pruned > 0 and r.bits < 16 for r in best)}")
full, original = runs.at(*FULL), runs.at(False, 0, 16)
alone = runs.at(True, 0, 16).measured_size * runs.at(False, 50, 16).measured_size * runs.at(False, 0, 4).measured_size
off_model = full.measured_size / full.predicted_size - 1
off_live = live_bytes / predicted - 1
off_parts = alone / full.measured_size - 1
reveal("08.h", off_parts=off_parts)
claim(
    "C08g",
    "The cost model predicts the bytes of the whole stack within 5 %, from its shape alone.",
    off_model,
    unit="relative deviation of the file from the prediction",
    holds=abs(off_model) < 0.05,
)
claim(
    "C08g",
    "The cost model predicts the rung that was made here and now within 5 %.",
    off_live,
    unit="relative deviation",
    holds=abs(off_live) < 0.05,
)
claim(
    "C08g",
    "The three stages, each measured alone on the original, multiply to the size of their stack within 20 %.",
    off_parts,
    unit="relative deviation of the product",
    holds=abs(off_parts) < 0.2,
)
claim(
    "C08g",
    f"The whole stack, {original.bytes / full.bytes:.0f} times smaller, stays within a third of a bit of the original.",
    np.subtract(full.bits_per_character, original.bits_per_character),
    unit="bits per character lost",
    below=1 / 3,
)

# %% [markdown]
# **Choose by the bottleneck.** A rule of thumb:
#
# - short of memory, or waiting for weights to arrive from it → quantize first;
# - waiting for one operation after another to start: one text, small model → fewer layers;
# - nothing but the teacher's text → sequence-level distillation;
# - as small as possible → all three stages.
#
# `advise` checks each rule against a measurement.
# For the last rule it compares the smallest stored rungs within a quarter of a bit of the original: the smallest that uses all three stages and, for each single stage, the smallest that uses it alone. (By distillation alone only one size was built; a smaller student might come closer.) The first need not be *the whole stack* above; the cell names it.
# For the first we take a layer of 4096 × 4096 weights.
# The baseline of all these speeds is float32, in which this layer takes 64 MB; in INT8 it takes 16 MB.
# Bytes alone explain a factor of four at most, and only where the processor's cache is smaller than the layer: the cell prints its size.
# Anything beyond that comes from multiplying integers.

# %% tags=["hide-input", "timing"]
from IPython.display import Markdown, display

from kd_lab.lessons.l08_stacking.advice import advice_table, advise, smallest_files, smallest_rungs

weight, one = torch.randn(4096, 4096, generator=generator) / 64, torch.randn(1, 4096, generator=generator)
zeroed = weight * (torch.rand(4096, 4096, generator=generator) >= 0.5)
codes = quantize.Int8Linear(quantize.round_matrix(weight, quantize.Scheme(8, "channel")))
large = seconds_in_turns(
    {"as it is": lambda: one @ weight.T, "quantize": lambda: codes(one), "zeros": lambda: one @ zeroed.T}, rounds=15
)
in_memory = {name: faster(large, name) for name in ("quantize", "zeros")}
in_cache = {name: faster(writing, name) for name in ("quantize", "fewer layers", "narrower layers", "zeros")}
smallest = smallest_files(runs, within=0.25)
sizes = sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size"))
cache = sizes[-1].read_text().strip() if sizes else "unknown"
print(f"last cache of this processor: {cache}; the layer: 65536K in float32")
advice = {
    "memory": advise("memory", in_memory),
    "latency": advise("latency", in_cache),
    "text only": advise("text only"),
    "size": advise("size", smallest),
}
display(Markdown(advice_table(advice)))
print(f"smallest of all three stages within 0.25 bits: {smallest_rungs(runs, within=0.25)['all three stages'].name}")
text_only, labels = (np.mean(runs.others[name]) for name in ("text only", "labels only"))
print(
    f"the student from the teacher's text alone: {text_only:.2f} bits per character; from about as many real names: "
    f"{labels:.2f}; with the logits: {np.mean(runs.at(True, 0, 16).bits_per_character):.2f}"
)
claim(
    "C08h",
    "With many weights and one input, INT8 runs a layer of 64 MB (float32, the baseline) faster.",
    in_memory["quantize"],
    unit="times as fast",
    holds=in_memory["quantize"] > 1.2,
)
claim(
    "C08h",
    "For one text, the same INT8 does not speed up the small teacher, against float32.",
    in_cache["quantize"],
    unit="times as fast",
    holds=in_cache["quantize"] < 1.1,
)
claim(
    "C08h",
    "For one text, of two models of half the size, the one with fewer layers is faster.",
    ahead,
    unit="times as fast as the narrower one",
    holds=ahead > 1.1,
)
claim(
    "C08h",
    "Within a quarter of a bit of the original, the best rung of all three stages is smaller than the best of every single stage.",
    smallest["all three stages"] / max(v for k, v in smallest.items() if k != "all three stages"),
    unit="times smaller than the best single stage",
    holds=advice["size"].agrees,
)

# %% [markdown]
# ## In the wild
#
# [Minitron](https://github.com/NVlabs/Minitron) cuts Nemotron-4 15B to 8B and 4B (embedding, heads and channels) and heals them by distillation; each model takes up to 40 times fewer tokens than training it from scratch would.
# The [model card](https://github.com/meta-llama/llama-models/blob/main/models/llama3_2/MODEL_CARD.md) of Llama 3.2 says the same of its 1B and 3B: "knowledge distillation was used after pruning to recover performance".
# Gemma 3 trains through the rounding for typically 5,000 steps, with the probabilities of its own unrounded checkpoint as targets.
# In int4 with blocks of 32 the 27B model takes 15.3 GB instead of 54; our factor of 4.5/16 gives 15.2.
# Our toy shares the recipes and the arithmetic of bytes.
# It has no loud channels of its own, and none of the tasks by which such models are judged.
#
# ## Discuss
#
# *For two people, ten minutes.* A phone has to run a model of 3 billion parameters. You have its weights, part of its training data, and one week on eight GPUs. The phone reads 50 GB per second from memory, and its owner wants 20 tokens per second. What do you cut first, what second, and what do you measure after each step? Where would you stop?

# %% [markdown] tags=["teacher"]
# **Expected answers.** At 16 bits 6 GB cross the bus for every token: 8 tokens per second at most, so memory is short and bits go first. 4 bits in groups, 1.7 GB, allow 29 without any training; measure quality on what the owner does, not only perplexity, and look for outlier channels first if activations are to be rounded as well. That already meets the demand: stopping there is a good answer. If quality falls too far, spend the week on training through the rounding with the original as teacher, which needs no labels and works on text that the model writes itself. Pruning heads and channels comes second (3 to 2 billion, healed from the original), depth only if starting a layer costs more than its bytes. A new student by distillation is the most flexible way and costs most: a week on eight GPUs is little for pretraining, and enough for pruning plus healing. **Misconceptions:** "90 % zeros make it ten times faster" (only with a kernel that skips them, and the file needs indices); "INT4 is four times faster" (only where memory is what one waits for); "the product of the factors is exact" (embeddings, norms and scales do not shrink alike); "after pruning one fine-tunes" (the original is at hand as a teacher); "the teacher helps a model to bear the rounding" (its twin in full precision gains more). **Timing:** 50 minutes alone; 70 in a class, of which the stack explorer takes 15.

# %% [markdown]
# ## Recap
#
# 1. Cost ≈ parameters × bits per parameter × work per parameter: quantization, pruning and distillation each leave a share, and the shares multiply. So a stack's size can be predicted to within a few percent before it is built.
# 2. Here 8 bits cost nothing and 4 bits in groups almost nothing; at 2 bits there is a cliff, and training through the rounding wins most of it back. The large teacher makes a better student than labels, at 2 bits and without any rounding.
# 3. Zeros alone bring no speed: a dense kernel multiplies by them, and a sparse one pays only where nearly all weights are zero. Heads, channels and layers can really be removed.
# 4. After a cut, the original is a better signal than the labels of the same texts. It is so without a cut, too, so this does not show that it restores what was cut.
# 5. Choose by the bottleneck: memory → bits; latency of the operations → layers; text only → sequence-level distillation; size → everything.
#
# ## Quiz

# %%
quiz("08")

# %% [markdown]
# ## Glossary
#
# **Post-training quantization** rounding weights without training. **Group** the weights that share a scale. **Straight-through estimator** the gradient of the identity in place of a staircase's. **Twin** the same training without the rounding. **Unstructured pruning** single weights become zero. **Sparsity** the share of zeros. **CSR** compressed sparse rows: the nonzeros and their columns. **2:4** two of every four neighbours stay. **Structured pruning** heads, channels or layers leave. **Importance** an estimate of the change of the loss without a weight. **Scope** the weights that are ranked together. **Healing** a short training after a cut. **Traffic** bytes that move between memory and processor. **Memory-bound, latency-bound** waiting for bytes, waiting for one operation to begin after another. **Pareto front** the rungs that no other beats in both size and quality.
#
# ## Papers
#
# - Jacob et al., "Quantization and training of neural networks for efficient integer-arithmetic-only inference", [1712.05877](https://arxiv.org/abs/1712.05877), equation 1.
# - Bengio et al., "Estimating or propagating gradients through stochastic neurons", [1308.3432](https://arxiv.org/abs/1308.3432): the straight-through estimator.
# - Xiao et al., "SmoothQuant", [2211.10438](https://arxiv.org/abs/2211.10438), equation 4; Frantar et al., "GPTQ", [2210.17323](https://arxiv.org/abs/2210.17323).
# - Han et al., "Learning both weights and connections", [1506.02626](https://arxiv.org/abs/1506.02626); Sun et al., "Wanda", [2306.11695](https://arxiv.org/abs/2306.11695), section 3.
# - Molchanov et al., "Importance estimation for neural network pruning", [1906.10771](https://arxiv.org/abs/1906.10771); Men et al., "ShortGPT", [2403.03853](https://arxiv.org/abs/2403.03853): the influence of a layer.
# - Muralidharan et al., "Compact language models via pruning and knowledge distillation", [2407.14679](https://arxiv.org/abs/2407.14679): prune, then distil from the original, at scale.
# - Gemma Team, "Gemma 3 technical report", [2503.19786](https://arxiv.org/abs/2503.19786), section 2.3 and table 3: training through the rounding, and the sizes.
#
# ## Next
#
# [Lesson 09](09_reasoning_traces.ipynb) asks how far copying carries: first to reasoning, where a verifier can teach too. [The map](00_the_map.ipynb) now has an experiment behind every row of its table of methods.
