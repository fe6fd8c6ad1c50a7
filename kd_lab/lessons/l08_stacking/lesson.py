# %% [markdown]
# # 08 · Stacking: quantization × pruning × distillation
#
# After this lesson you can take a model apart into three factors of cost, shrink each of them with your own hands, and say beforehand how small the stack of all three will be.

# %% tags=["hide-input"]
from kd_lab.lessons.l08_stacking.experiment import stored_runs
from kd_lab.lessons.l08_stacking.stack import FULL
from kd_lab.viz import BASELINE, DIVERGENCES, STUDENT, TEACHER, course_style, new_figure, show

runs = stored_runs()
LADDER = {
    "the teacher": ((False, 0, 16), TEACHER),
    "half pruned": ((False, 50, 16), BASELINE),
    "4 bits": ((False, 0, 4), BASELINE),
    "distilled": ((True, 0, 16), BASELINE),
    "all three": (FULL, STUDENT),
}
hook = new_figure(760, 270)
with course_style():
    bars, first, last = hook.subplots(1, 3, width_ratios=(10, 3, 2))
    for row, (stages, look) in enumerate(LADDER.values()):
        rung = runs.at(*stages)
        bars.barh(row, rung.bytes / 1e3, 0.62, **look.area)
        quality = sum(rung.bits_per_character) / len(rung.bits_per_character)
        bars.text(
            rung.bytes / 1e3 + 25, row, f"{rung.bytes / 1e3:,.0f} kB, {quality:.2f} bits per character", va="center"
        )
    bars.set_yticks(range(len(LADDER)), list(LADDER))
    bars.set(ylim=(4.6, -0.6), xlim=(0, 2600), xlabel="file, in 1,000 bytes")
    for axes, stages, title in ((first, (False, 0, 16), "teacher writes"), (last, FULL, "all three")):
        axes.set_axis_off()
        axes.set_title(title)
        axes.text(0, 0.97, "\n".join(runs.at(*stages).samples[:9]), va="top", linespacing=1.4, transform=axes.transAxes)
show(
    hook,
    "One model of surnames and four smaller ones. Each tool cuts another factor, so the last bar is their product; beside it, what the largest and the smallest write.",
    alt="Bars of file sizes: the teacher about 1,590 thousand bytes, half pruned and distilled less, four bits less, all three together a sliver. Right, names that the teacher and the smallest model write.",
)

# %% [markdown] tags=["card"]
# **You will be able to**
#
# - round weights to a few bits, in groups, and say where the cliff is;
# - train through a rounding that has no gradient;
# - remove heads so that a model really gets smaller, and tell zeros on paper from time on the clock;
# - predict the size of a stack from its parts, and pick what to shrink first by the bottleneck.
#
# **Before this:** [lesson 02](02_word_and_sequence.ipynb) (word-level distillation, which heals what is cut here).
#
# **Time:** 45 minutes to read and do. {{measured}}

# %%
import torch

from kd_lab.classroom import claim, exercise, predict, quiz, reveal, setup

seed = setup("08", threads=1)

# %% [markdown]
# ## 1 · Three factors
#
# What a token costs is about
#
# $$\text{cost}\;\approx\;\underbrace{\text{parameters}}_{\text{distil, prune}}\;\times\;\underbrace{\text{bits per parameter}}_{\text{quantize}}\;\times\;\underbrace{\text{work per parameter}}_{\text{kernels that skip zeros}}.$$
#
# The first two factors are *bytes*: what lies on disk, and what crosses from memory to the processor for every token. The first and the third are *multiplications*. A third limit stands in no factor: layers run one after another, and none takes less than the time to start it. Which of **memory**, **arithmetic** and **latency** you wait for depends on the machine.
#
# **By hand.** A large language model of 70 billion parameters in 16 bits is 140 GB. Distil it to 7 billion, prune to 5, round to 4 bits: $\tfrac{7}{70}\cdot\tfrac57\cdot\tfrac{4}{16}=\tfrac1{56}$, so 2.5 GB.

# %%
predict("08.a")

# %% [markdown]
# **Explore.** One slider per factor.
# Left, its effect on the bytes and on the whole product.
# Right, the most tokens per second that five machines allow, by their makers' bandwidth and peak, and by a usual figure for the launch of a kernel (4 µs on a large GPU).
# Watch the word behind the bar.

# %%
from kd_lab.compress import cost
from kd_lab.lessons.l08_stacking.explorers import LARGE, cost_calculator
from kd_lab.models import load_teacher
from kd_lab.worlds import surnames

world, teacher = surnames(), load_teacher("surnames")
calculator = cost_calculator()
calculator.show()
calculator.filmstrip([{}, "quantize", "zeros and a kernel for them", "the whole stack"])
before, after = (
    max(cost.roofline(cost.token_cost(LARGE, bits=bits), cost.DEVICES["H100 SXM"]).values()) for bits in (16, 4)
)
reveal("08.a", right=2 if before / after > 3 else 1 if before / after > 1.5 else 0, before=before / after)

# %% [markdown]
# ## 2 · Fewer bits
#
# **Quantization** replaces a weight $w$ by a whole number of $b$ bits, its **code** $c$, and lets a **group** of weights share what turns codes back: a **scale** $s$ and a **zero point** $z$.
#
# $$c=\mathrm{clip}\Big(\mathrm{round}\big(\tfrac ws\big)+z,\;0,\;2^b-1\Big),\qquad \hat w=s\,(c-z),\qquad s=\frac{\max-\min}{2^b-1},\qquad z=\mathrm{round}\Big(\frac{-\min}{s}\Big).$$
#
# max and min are those of the group, zero counted in, so that zero lies on the grid. This is the **asymmetric** grid; the **symmetric** one takes $s=\max|w|\,/\,(2^{b-1}-1)$ and stores no $z$. A group is the whole **tensor**, a **channel** (one row: everything that makes one output), or a fixed number of neighbours in a row.
#
# **By hand,** $b=2$, weights $-2,\;1.4,\;4.7,\;7$: $s=\frac{7-(-2)}{3}=3$, $z=\mathrm{round}(\tfrac23)=1$, so the four points are $-3,0,3,6$ and $1.4$ becomes $0$.
#
# A scale takes 16 bits: for 32 weights that is half a bit each.

# %%
predict("08.b")

# %% [markdown]
# ### Exercise 08.1 · Round to nearest, in groups (●●○, 8 minutes)
#
# `weight` is `[O, I]`, a row an output. Each run of `group` neighbours in a row has its own asymmetric grid of $2^b$ points (`group` divides I).
# Return the weights $\hat w$ that the codes stand for.
# A group of zeros stays a group of zeros.


# %%
@exercise("08.1")
def round_in_groups(weight, bits, group):
    """Weights on a grid of 2^bits points per group: [O, I] -> [O, I]; `group` neighbours of a row share a grid."""
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Give the groups an axis of their own first: then max and min are taken over that axis, and one scale spreads over it. How many steps lie between $2^b$ points?
#
# </details>
# <details><summary>Hint 2</summary>
#
# `weight.unflatten(1, (-1, group))` is `[O, I/group, group]`; `amax(-1, keepdim=True).clamp(min=0)` is a group's max with zero counted in; `flatten(1)` undoes the first step.
#
# </details>

# %% [markdown] tags=["solution:08.1"]
# solution

# %% [markdown]
# The library's `quantize.round_matrix` does the same, with the scale rounded to the 16 bits in which it is stored.
#
# The held-out names are sorted by frequency, and common names are easier: their first 120 cost the teacher 2.76 bits per character, all 1,988 cost 2.98.
# Every sample of them is therefore drawn from a shuffled list.
#
# **Explore.** Left, the 32 weights of one group on their staircase: the closer to the diagonal, the less was changed. Right, the loss in bits per character on unseen names, for all three kinds of group (symmetric grids).
# Watch the dots as the scale is shared more widely.

# %% tags=["hide-input"]
from kd_lab.compress import quantize
from kd_lab.measure import bits_per_character
from kd_lab.viz import Choice, Explorer, Slider

example = teacher.blocks[1].expand.weight.detach()
mine = round_in_groups(example, 4, 32)
theirs = quantize.round_matrix(example, quantize.Scheme(4, 32, symmetric=False)).dequantize()
torch.testing.assert_close((mine - example).norm(), (theirs - example).norm(), rtol=0.01, atol=0)

shuffled = world.held_out[torch.randperm(len(world.held_out), generator=torch.Generator().manual_seed(seed))]
few = shuffled[slice(0, 240)]
few_exact = bits_per_character(teacher, few)
SHARED = {
    "32 neighbours": (32, STUDENT),
    "channel": ("channel", DIVERGENCES["forward_kl"]),
    "tensor": ("tensor", DIVERGENCES["reverse_kl"]),
}
BITS = list(range(2, 9))
rounded_teacher = {
    (name, bits): quantize.round_to_nearest(teacher, bits, SHARED[name][0]) for name in SHARED for bits in BITS
}
rounding_loss = {
    key: round(bits_per_character(model.dequantize(), few) - few_exact, 3) + 0.0
    for key, model in rounded_teacher.items()
}
group_of_32 = example[0, :32]
ramp = torch.linspace(-0.42, 0.42, 841)


def stairs(name, bits):
    """The staircase that the group's weights stand on, as a function of any weight: [N] -> [N]."""
    matrix = rounded_teacher[name, bits].matrices["blocks.1.expand.weight"]
    scale, most = matrix.scale[0, 0].float(), 2 ** (bits - 1) - 1
    return lambda w: scale * (w / scale).round().clamp(-most, most)


def draw_rounding(figure):
    left, right = figure.subplots(1, 2)
    left.plot(ramp, ramp, color="black", linewidth=0.8, linestyle=":")
    (steps,) = left.plot(ramp, 0 * ramp, color=BASELINE.color, linewidth=1)
    (dots,) = left.plot(group_of_32, 0 * group_of_32, "o", color=STUDENT.color, markersize=4)
    left.set(xlim=(-0.42, 0.42), ylim=(-0.42, 0.42), xlabel="weight", ylabel="rounded weight", title="one group")
    for name, (_, look) in SHARED.items():
        right.plot(BITS, [rounding_loss[name, bits] for bits in BITS], **look.points, label=name)
    right.set(
        xlabel="bits of a code", ylabel="bits per character lost", ylim=(-0.01, 4), title="a scale is shared by …"
    )
    right.set_yscale("symlog", linthresh=0.01)
    right.set_yticks([0, 0.01, 0.1, 1], ["0", "0.01", "0.1", "1"])
    right.legend()
    (here,) = right.plot([2], [1], "o", markersize=15, markerfacecolor="none", markeredgecolor="black")
    return {"steps": steps, "dots": dots, "here": here}


def move_rounding(artists, bits, name):
    on = stairs(name, bits)
    artists["steps"].set_ydata(on(ramp))
    artists["dots"].set_ydata(on(group_of_32))
    artists["here"].set_data([bits], [rounding_loss[name, bits]])
    off = ((on(group_of_32) - group_of_32).norm() / group_of_32.norm()).item()
    return (
        f"{bits} bits, one scale for a {name.replace('32 neighbours', 'run of 32 neighbours')}: {rounded_teacher[name, bits].bits_per_weight:.2f} bits per weight with "
        f"its share of the scales, these 32 weights are {off:.0%} off, and the model loses {rounding_loss[name, bits]:.3f} bits per character."
    )


rounding_explorer = Explorer(
    name="rounding",
    controls=[Slider("bits", 2, 8, 1, start=4), Choice("scale shared by", list(SHARED), start="32 neighbours")],
    create=draw_rounding,
    update=move_rounding,
    presets={
        "3 bits": {"bits": 3},
        "3 bits, one scale": {"bits": 3, "scale shared by": "tensor"},
        "2 bits": {"bits": 2},
    },
    size=(760, 320),
)
rounding_explorer.show()
rounding_explorer.filmstrip([{}, "3 bits", "3 bits, one scale", "2 bits"])

# %% [markdown]
# **Experiment.** The teacher, and eight students of 26,000 parameters that learned from it: does a small model have less to spare?
# A step on the symmetric grid is $1/127$, $1/7$, $1/3$ and $1/1$ of the largest weight at 8, 4, 3 and 2 bits. The file is real: two codes of 4 bits share one byte, eight codes of 3 bits share three.
#
# The students learn from 1,500 names.
# The teacher's logits on these names are computed once and remembered.

# %% tags=["hide-input"]
import tempfile
from pathlib import Path

import numpy as np

from kd_lab.methods import distill, labels_only, word_level
from kd_lab.models import GPT, CachedTeacher, GPTConfig

lesson_names = world.subset(1500, seed=seed)
remembered = CachedTeacher(teacher)  # reads each name once, for all pupils
SMALL = GPTConfig(vocab_size=27, context=world.context, layers=2, heads=2, width=32)
pupils = [GPT(SMALL, seed=seed + number) for number in range(8)]
for number, pupil in enumerate(pupils):
    distill(pupil, remembered, lesson_names, word_level(), steps=200, batch_size=32, seed=seed + number, progress=False)

checked = shuffled[slice(0, 1000)]
whole_models = [teacher, *pupils]
exact_bits = [bits_per_character(model, checked) for model in whole_models]


def loss_of(models):
    """Bits per character that each of the four has lost to its rounded version."""
    return np.subtract([bits_per_character(model, checked) for model in models], exact_bits)


nearest = {bits: [quantize.round_to_nearest(model, bits) for model in whole_models] for bits in (8, 4, 3, 2)}
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
reveal("08.b", right=f"{breaks[0]} bits")
claim(
    "C08a",
    "Post-training rounding to 8 bits is free, in the teacher and in eight students.",
    cost_of[8][1:],
    unit="bits per character lost by the students",
    holds=np.abs(cost_of[8]).max() < 0.01,
)
claim(
    "C08a",
    "4 bits in groups of 32 cost less than 0.05 bits per character.",
    cost_of[4][1:],
    unit="bits per character lost by the students",
    holds=cost_of[4].max() < 0.05,
)
claim(
    "C08a",
    "2 bits are a cliff: without training, teacher and students each lose more than a quarter of a bit per character.",
    cost_of[2][1:],
    unit="bits per character lost by the students",
    holds=cost_of[2].min() > 0.25,
)

# %% [markdown]
# At 3 bits the students pay more than the teacher: a smaller model has fewer weights to spare.
#
# **Without training, more than rounding can be done.**
# Each weight went to *its* nearest point.
# The output of the layer is what counts, and there the errors of many weights add up.
# **GPTQ** reads the inputs $X$ of a layer on some texts, rounds one column after the other, and moves the columns that are left so that they compensate for the error.
# With $H=X^\top X$, $U$ the upper Cholesky factor of $H^{-1}$, and $i$ the column that was just rounded:
#
# $$w_j\;\leftarrow\;w_j-\frac{w_i-\hat w_i}{U_{ii}}\,U_{ij}\qquad\text{for all }j>i.$$
#
# The grid and the file size are the same; 64 training names are read.

# %% tags=["hide-input"]
seen = world.train[torch.randperm(len(world.train), generator=torch.Generator().manual_seed(seed))[:64]]
layers = [f"blocks.{number}.expand" for number in range(4)]
known, new = (quantize.layer_inputs(teacher, names, layers) for names in (seen, checked))
off = {}
for layer in layers:
    exact_weight = teacher.get_submodule(layer).weight.detach()
    for bits in (4, 3, 2):
        scheme = quantize.Scheme(bits, 32)
        for method, matrix in (
            ("nearest", quantize.round_matrix(exact_weight, scheme)),
            ("GPTQ", quantize.gptq_matrix(exact_weight, known[layer], scheme)),
        ):
            error = (new[layer] @ (matrix.dequantize() - exact_weight).T).norm() / (new[layer] @ exact_weight.T).norm()
            off.setdefault((method, bits), []).append(error.item())
for bits in (4, 3, 2):
    print(
        f"{bits} bits: the output of the four layers on unseen names is off by "
        + ",  ".join(f"{method} {' '.join(f'{e:.1%}' for e in off[method, bits])}" for method in ("nearest", "GPTQ"))
    )
compensated = loss_of([quantize.gptq(model, seen, 2).dequantize() for model in whole_models])
print("teacher and students, bits per character lost at 2 bits:")
print("  nearest " + "  ".join(f"{v:.3f}" for v in cost_of[2]))
print("  GPTQ    " + "  ".join(f"{v:.3f}" for v in compensated))
claim(
    "C08a",
    "GPTQ brings the output of a layer closer than rounding to nearest does, at 3 bits and the same size.",
    np.divide(off["GPTQ", 3], off["nearest", 3]).max(),
    unit="of the nearest points' error on unseen names, in the worst of four layers",
    holds=np.divide(off["GPTQ", 3], off["nearest", 3]).max() < 0.8,
)

# %% [markdown]
# ## 3 · One channel that spoils the scale
#
# Small files are half of it. To *multiply* in 8 bits, the numbers that flow between layers, the **activations**, have to be rounded too. Their range is not known beforehand.
# It is **calibrated** on some texts: the largest $|x|$, or a percentile beyond which values are clipped.
#
# All channels of $x$ should share one scale. Of $y_i=\sum_j \hat x_j\hat w_{ij}$ with $\hat x_j=s\,c_j$ and $\hat w_{ij}=s_i\,c_{ij}$, what an integer unit adds up is $\sum_j c_j c_{ij}$; $s\,s_i$ is multiplied once, at the end. A scale $s_j$ for each input would stand inside the sum.
#
# Large language models grow a few **outlier channels**, far louder than all others.
# Ours has none, so we make one without changing the function of the model.
# Channel $j$ behind a norm is multiplied by 300, and column $j$ of the layer that reads it is divided by 300.

# %%
predict("08.c")

# %% [markdown]
# **Two remedies.** A scale for each channel: exact, and only simulated here, for the reason above. Or **SmoothQuant**: divide each channel by $f_j$ where it arises, in the norm's weight, and multiply column $j$ of the next layer by $f_j$:
#
# $$f_j=\frac{\max|X_j|^{\alpha}}{\max|W_{\cdot j}|^{1-\alpha}},\qquad \alpha=\tfrac12.$$
#
# The function stays; the difficulty moves into the weights, which have a scale per output and can bear it.

# %% tags=["hide-input"]
CHANNELS = torch.randperm(128, generator=torch.Generator().manual_seed(seed))[:6].tolist()
FACTORS = (30, 300)
quick = few[slice(0, 120)]
quick_exact = bits_per_character(teacher, quick)
CASES = {
    "30 ×, one scale": BASELINE,
    "300 ×, one scale": DIVERGENCES["reverse_kl"],
    "300 ×, clipped at 99 %": DIVERGENCES["jsd"],
    "300 ×, one scale per channel": DIVERGENCES["forward_kl"],
    "300 ×, SmoothQuant": STUDENT,
}


def in_eight_bits(model, ranges):
    """Weights per channel and activations in 8 bits: bits per character lost."""
    return (
        bits_per_character(
            quantize.quantize_activations(quantize.round_to_nearest(model, 8, "channel").dequantize(), ranges), quick
        )
        - quick_exact
    )


@torch.no_grad()
def drift(model):
    """The largest change of a logit, relative to the largest logit."""
    logits = teacher(quick.inputs)
    return ((model(quick.inputs) - logits).abs().max() / logits.abs().max()).item()


spoiled, found, drifts = {}, [], []
for channel in CHANNELS:
    for factor in FACTORS:
        loud = quantize.inject_outlier(teacher, channel, factor)
        spoiled.setdefault(f"{factor} ×, one scale", []).append(in_eight_bits(loud, quantize.calibrate(loud, seen)))
    by_channel = quantize.calibrate(loud, seen, per="channel")
    smoothed = quantize.smoothquant(loud, by_channel)
    for case, model, ranges in (
        ("300 ×, clipped at 99 %", loud, quantize.calibrate(loud, seen, percentile=99.0)),
        ("300 ×, one scale per channel", loud, by_channel),
        ("300 ×, SmoothQuant", smoothed, quantize.calibrate(smoothed, seen)),
    ):
        spoiled.setdefault(case, []).append(in_eight_bits(model, ranges))
    found.append(
        sorted({channel for channels in quantize.outlier_channels(by_channel).values() for channel in channels})
    )
    drifts += [drift(loud), drift(smoothed)]
after_smoothing = quantize.calibrate(smoothed, seen, per="channel")

figure = new_figure(760, 300)
with course_style():
    left, right = figure.subplots(1, 2)
    for ranges, look, label in ((by_channel, TEACHER, "as it came"), (after_smoothing, STUDENT, "smoothed")):
        reach = ranges["blocks.1.expand"]
        left.plot(range(128), reach, look.marker, color=look.color, markersize=3.5, label=label)
        left.axhline(reach.max() / 254, **look.line | {"linewidth": 1.2}, label="half of its step")
    left.set(yscale="log", ylim=(2e-3, 2e3), xlabel="channel", ylabel="largest |x|", title="what one layer reads")
    left.legend(loc="upper left", bbox_to_anchor=(0, 0.97))
    for row, (case, look) in enumerate(CASES.items()):
        right.barh(row, np.mean(spoiled[case]), 0.6, **look.area)
        right.plot(spoiled[case], [row] * len(CHANNELS), "o", color="black", markersize=4)
        right.text(np.max(spoiled[case]) + 0.1, row, f"{np.mean(spoiled[case]).round(3) + 0.0:.3f}", va="center")
    right.set_yticks(range(len(CASES)), list(CASES))
    right.set(ylim=(4.6, -0.6), xlim=(-0.1, 4), xlabel="bits per character lost", title="one loud channel")
show(
    figure,
    "Left: the largest value of each channel. One channel sets the step for all, and values below half a step (line) become zero: nearly all, since these are the largest values. Smoothed, all channels lie far above their line. Right: the loss, for six channels (dots). At 30 times as loud 8 bits still suffice; at 300 times they do not.",
    alt="Left, a log plot of 128 channels: one dot far above the others, the half-step line above nearly all of them; after smoothing all dots lie above their line. Right, bars of loss: large for 300 times with one scale, near zero for 30 times and for the remedies.",
)
print(f"made loud: channels {CHANNELS}, found as outliers: {found}")
print(f"largest relative change of a logit in full precision, by making loud or by smoothing: {max(drifts):.0e}")
for case, lost in spoiled.items():
    print(f"{case:29}" + "  ".join(f"{value:6.3f}" for value in lost))
worst = float(np.mean(spoiled["300 ×, one scale"]))
reveal("08.c", right=2 if worst > 1 else 1 if worst > 0.05 else 0, worst=worst)
claim(
    "C08b",
    "One channel 300 times as loud breaks activations that share a scale, in a function that has not changed.",
    spoiled["300 ×, one scale"],
    unit="bits per character lost",
    holds=min(spoiled["300 ×, one scale"]) > 1 and max(drifts) < 1e-5,
)
claim(
    "C08b",
    "The same channel 30 times as loud costs next to nothing: 8 bits leave that much room.",
    spoiled["30 ×, one scale"],
    unit="bits per character lost",
    holds=max(spoiled["30 ×, one scale"]) < 0.05,
)
claim(
    "C08b",
    "At 300 times, one scale per channel removes the loss.",
    spoiled["300 ×, one scale per channel"],
    unit="bits per character lost",
    holds=max(spoiled["300 ×, one scale per channel"]) < 0.02,
)
claim(
    "C08b",
    "So does SmoothQuant, with one scale for all activations and the same function.",
    spoiled["300 ×, SmoothQuant"],
    unit="bits per character lost",
    holds=max(spoiled["300 ×, SmoothQuant"]) < 0.02 and max(drifts) < 1e-5,
)

# %% [markdown]
# Clipping helps here as well: the loud channel is one of 128, and carries no more than before.
# In large language models the loud channels are just those that cannot be spared ([LLM.int8()](https://arxiv.org/abs/2208.07339)).
#
# ## 4 · Training through the rounding
#
# At 2 bits a model has to *learn* to live on the grid. **Quantization-aware training** (QAT) keeps the full weights, multiplies with their rounded version in every forward pass, and updates the full ones.
# But $\mathrm{round}$ is a staircase: its slope is zero wherever it has one. The **straight-through estimator** goes forward over the stairs and back over the ramp:
#
# $$\text{forward}\;\;\hat w=s\,\mathrm{clip}\big(\mathrm{round}(w/s),-m,m\big),\qquad\text{backward}\;\;\frac{\partial\hat w}{\partial w}:=\begin{cases}1&|w/s|\le m\\0&\text{beyond the grid.}\end{cases}$$
#
# **By hand,** $s=1$, $m=1$: of $w=(0.3,\,-0.8,\,1.7)$ the model sees $(0,-1,1)$, and a gradient $(g_1,g_2,g_3)$ reaches $w$ as $(g_1,g_2,0)$: from 1.7, a small move changes nothing.

# %%
predict("08.d")

# %% [markdown]
# ### Exercise 08.2 · A gradient for a staircase (●●○, 7 minutes)
#
# Return $\hat w$, so that autograd finds the gradient above. `scale` and `most` ($m$) are numbers.


# %%
@exercise("08.2")
def rounded_weight(weight, scale, most):
    """s·clip(round(w/s), −most, most), with gradient 1 to the weight inside the grid and 0 outside: [...] -> [...]."""
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
# **Experiment.** The eight students, rounded to 2 bits, train for 100 steps on 16 names each: once on the labels, once with the large teacher.
# Such a training improves a student without any rounding as well.
# So every run has a **twin** in full precision: the same start, the same names in the same order, the same steps.
# The cost of 2 bits is the difference between a run and its twin.

# %% tags=["hide-input"]
from copy import deepcopy

from kd_lab.measure import mean_interval
from kd_lab.viz.seeds import draw_seeds

one_weight = pupils[0].blocks[0].expand.weight.detach()[:1, :32].clone().requires_grad_()
own_scale = quantize.round_matrix(one_weight, quantize.Scheme(2, 32)).scale[0, 0].float().item()
by_hand = rounded_weight(one_weight, own_scale, 1)
torch.testing.assert_close(by_hand.detach(), quantize.round_matrix(one_weight, quantize.Scheme(2, 32)).dequantize())

SIGNALS = {"labels": (labels_only(), None), "the large teacher": (word_level(), remembered)}
trained_bits = {(signal, precision): [] for signal in SIGNALS for precision in ("2 bits", "twin")}
for number, pupil in enumerate(pupils):
    for signal, precision in trained_bits:
        recipe, source = SIGNALS[signal]
        learner = quantize.prepare_qat(pupil, 2) if precision == "2 bits" else deepcopy(pupil)
        chance = {"steps": 100, "batch_size": 16, "seed": seed + number}
        distill(learner, source, lesson_names, recipe, progress=False, **chance)
        stored = quantize.convert_qat(learner).dequantize() if precision == "2 bits" else learner
        trained_bits[signal, precision].append(bits_per_character(stored, checked))
plain = cost_of[2][1:]
cost_of_two = {signal: np.subtract(trained_bits[signal, "2 bits"], trained_bits[signal, "twin"]) for signal in SIGNALS}
advantage = {
    precision: np.subtract(trained_bits["labels", precision], trained_bits["the large teacher", precision])
    for precision in ("2 bits", "twin")
}

figure = new_figure(760, 300)
with course_style():
    axes = figure.subplots()
    rows = {
        f"{signal}, {precision}": np.subtract(bits, exact_bits[1:])
        for (signal, precision), bits in trained_bits.items()
    }
    draw_seeds(axes, {"rounded only": plain, **rows}, [TEACHER, BASELINE, BASELINE, STUDENT, STUDENT])
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set(xlabel="bits per character above the same student before the training")
show(
    figure,
    "Eight students (one marker each) and the 95 % interval of their mean. Training through the rounding brings back most of what rounding alone loses. The teacher is ahead of the labels at 2 bits, and its full-precision twin is ahead as well.",
    alt="Five rows of eight markers: rounding alone loses most; 2 bits trained on labels or with the teacher lose little; their twins in full precision lie near zero, the teacher's below it.",
)
for signal, lost in cost_of_two.items():
    middle, half_width = mean_interval(lost)
    print(
        f"2 bits against the twin, {signal:17} {middle:.3f} ± {half_width:.3f}   " + " ".join(f"{v:.3f}" for v in lost)
    )
middle, half_width = mean_interval(advantage["2 bits"])
reveal("08.d", right=2 if abs(middle) < half_width else 1 if middle > 0 else 0)
share = cost_of_two["labels"] / plain
claim(
    "C08c",
    "Training through the rounding recovers most of what 2 bits cost, with nothing but labels.",
    share,
    unit="of the loss without training remains",
    holds=share.max() < 0.6,
)
claim(
    "C08c",
    "At 2 bits the large teacher makes a better student than the labels of the same names.",
    advantage["2 bits"],
    unit="bits per character fewer",
    holds=middle > half_width,
)
middle, half_width = mean_interval(advantage["twin"])
claim(
    "C08c",
    "Without any rounding the teacher is ahead as well: its advantage is no remedy for rounding.",
    advantage["twin"],
    unit="bits per character fewer",
    holds=middle > half_width,
)
more = cost_of_two["the large teacher"] - cost_of_two["labels"]
middle, half_width = mean_interval(more)
claim(
    "C08c",
    "Against their twins, 2 bits cost no less with the teacher than with labels.",
    more,
    unit="bits per character more lost",
    holds=middle > -half_width,
)

# %% [markdown]
# So the teacher does not help a student *to bear the rounding*.
# It makes the better student at either precision.
# Whether 2 bits even cost more with the teacher depends on the training: twelve seeds gave 0.037 ± 0.014 more at this learning rate, and 0.000 ± 0.011 at a third of it.
#
# ## 5 · Fewer parameters
#
# **Unstructured pruning** puts zeros in the place of single weights. Which ones matter least? Three criteria:
#
# - **magnitude** $|w|$: no data needed;
# - **Wanda** $|w_{ij}|\cdot\lVert x_j\rVert_2$: a small weight on a loud input counts;
# - **Taylor** $(w\,\partial L/\partial w)^2$: to first order, the squared change of the loss without it.
#
# A ranking also needs a **scope**: the weights that compete with one another.
# Wanda was proposed for the weights of one output, a row of the matrix; magnitude and Taylor are often ranked over the whole model.
# To compare criteria, all three are ranked at one scope, and then at the other.
#
# A zero costs as much to multiply as any number. Only a kernel that *skips* it saves work, and that kernel has to be told where the zeros are.
# A **sparse** format such as CSR stores each remaining weight with its column.
# **2:4** is the compromise of recent GPUs: two of every four neighbours, so that an index takes two bits.

# %%
predict("08.e")

# %% tags=["hide-input"]
import numpy as np

from kd_lab.compress import prune
from kd_lab.measure import bits_per_character

some = world.train[torch.randperm(len(world.train), generator=torch.Generator().manual_seed(seed))[:512]]
unseen = shuffled[slice(0, 400)]
CRITERIA = {
    "magnitude": (prune.magnitude(teacher), BASELINE),
    "Wanda": (prune.wanda(teacher, some), DIVERGENCES["forward_kl"]),
    "Taylor": (prune.taylor(teacher, some), DIVERGENCES["reverse_kl"]),
}
SCOPES = {"row": "the weights of one output", "global": "all weights of the model"}
SPARSITIES = (0.5, 0.8, 0.9)
quality = {}
for name, (scores, _) in CRITERIA.items():
    for scope in SCOPES:
        masks = [prune.unstructured_masks(scores, share, scope) for share in SPARSITIES]
        quality[name, scope] = [bits_per_character(prune.apply_masks(teacher, mask), unseen) for mask in masks]
pairs = {
    name: bits_per_character(prune.apply_masks(teacher, prune.semi_structured_masks(scores)), unseen)
    for name, (scores, _) in CRITERIA.items()
}
whole = bits_per_character(teacher, unseen)
print(f"the teacher, 400 unseen names: {whole:.3f} bits per character")
for scope, among in SCOPES.items():
    row = "   ".join(f"{name} " + " ".join(f"{bits:.2f}" for bits in quality[name, scope]) for name in CRITERIA)
    print(f"50, 80, 90 % zeros, ranked among {among:25}: {row}")
print("2:4 by " + ", ".join(f"{name} {value:.3f}" for name, value in pairs.items()))
spread = {scope: np.ptp([quality[name, scope][1] for name in CRITERIA]) for scope in SCOPES}
claim(
    "C08d",
    "Ranked among the weights of one output, the three criteria lie close together at 80 % zeros; ranked over the whole model they do not.",
    spread["row"],
    unit=f"bits per character between best and worst (over the whole model {spread['global']:.2f})",
    holds=spread["row"] < spread["global"] / 2,
)

# %% tags=["hide-input", "timing"]
from kd_lab.measure.clock import seconds_in_turns


@torch.no_grad()
def read(model, batch=shuffled[slice(0, 100)]):
    return model(batch.inputs)


def faster(seconds, name, base="as it is", parts=5):
    """Speed relative to the base: the fastest of each in a stretch of the rounds, the median of five stretches."""
    best = {key: values.reshape(parts, -1).min(1) for key, values in seconds.items()}
    return float(np.median(best[base] / best[name]))


emptied = prune.apply_masks(teacher, prune.unstructured_masks(prune.magnitude(teacher), 0.9))
model_seconds = seconds_in_turns({"as it is": lambda: read(teacher), "zeros": lambda: read(emptied)}, rounds=10)

generator = torch.Generator().manual_seed(seed)
matrix, column = torch.randn(1024, 1024, generator=generator), torch.randn(1024, 1, generator=generator)
order = torch.rand(1024, 1024, generator=generator)
SHARES = (0.5, 0.8, 0.9, 0.95)
products = {"as it is": lambda: matrix @ column}
for share in SHARES:
    kept = matrix * (order >= share)
    sparse = prune.to_csr(kept)
    products[f"dense {share}"] = lambda kept=kept: kept @ column
    products[f"sparse {share}"] = lambda sparse=sparse: sparse @ column
matrix_seconds = seconds_in_turns(products, rounds=30)
gain = {kind: np.array([faster(matrix_seconds, f"{kind} {share}") for share in SHARES]) for kind in ("dense", "sparse")}

figure = new_figure(760, 290)
with course_style():
    left, right = figure.subplots(1, 2)
    for name, (_, look) in CRITERIA.items():
        left.plot(SPARSITIES, quality[name, "row"], **look.points, label=name)
        left.plot(SPARSITIES, quality[name, "global"], color=look.color, linewidth=1, linestyle=":")
    left.plot([], [], color="black", linewidth=1, linestyle=":", label="whole model")
    left.axhline(whole, color=TEACHER.color, linewidth=1)
    left.annotate("the teacher", (0.5, whole), (0, -12), textcoords="offset points")
    left.set(xlabel="zeros, %", ylabel="bits per character", ylim=(2.6, 5), title="the teacher, not trained further")
    left.legend(title="least important of an output by")
    right.plot(SHARES, gain["dense"], **STUDENT.points, label="dense kernel")
    right.plot(SHARES, gain["sparse"], **DIVERGENCES["jsd"].points, label="sparse kernel (CSR)")
    right.axhline(1, color=TEACHER.color, linewidth=1)
    right.set(
        xlabel="zeros, %",
        ylabel="times as fast",
        yscale="log",
        ylim=(0.1, 10),
        title="one matrix, 1024 × 1024",
    )
    right.set_xticks(SHARES, [f"{100 * share:.0f}" for share in SHARES])
    left.set_xticks(SPARSITIES, [f"{100 * share:.0f}" for share in SPARSITIES])
    right.set_yticks([0.1, 0.3, 1, 3, 10], ["0.1", "0.3", "1", "3", "10"])
    right.minorticks_off()
    right.legend(loc="upper left")
show(
    figure,
    "Left: without any training, half of the weights can go for almost nothing, by any criterion. Beyond that the scope decides more than the criterion: lines with markers are ranked among the weights of one output, thin dotted lines over the whole model. Right: the dense kernel does not notice; the sparse one loses while half is left, and wins only where nearly all is gone.",
    alt="Left, bits per character against the share of zeros for three kinds of importance at two scopes, flat to 50 percent and steep at 90, steepest over the whole model. Right, speed of a dense kernel is flat at 1, of a sparse one rises from below 1 to above it.",
)
in_model = faster(model_seconds, "zeros")
reveal("08.e", right=2 if in_model < 1.3 else 1, in_model=in_model)
claim(
    "C08d",
    "Nine of ten weights zero: a dense kernel reads no faster.",
    in_model,
    unit="times as fast as before",
    holds=in_model < 1.3,
)
dense, half_sparse = faster(matrix_seconds, "dense 0.8"), faster(matrix_seconds, "sparse 0.5")
claim(
    "C08d",
    "80 % zeros: the dense product of one matrix is no faster.",
    dense,
    unit="times as fast",
    holds=dense < 1.3,
)
claim(
    "C08d",
    "A kernel for sparse matrices is slower than the dense one where half of the weights are left.",
    half_sparse,
    unit="times as fast as dense",
    holds=half_sparse < 1,
)

# %% [markdown]
# **Structured pruning** takes out what a kernel sees as an axis: whole **heads**, whole **channels** of the perceptron, whole **layers**. The importance of a head is the sum over its weights; what is left is a smaller model, whose every product is smaller.
#
# A head with $F$ features takes part in four places. For $H$ heads and a stream of width $W$: $F$ rows in each of $Q$, $K$, $V$, which stand one above the other in one matrix $[3HF, W]$ (all queries, then all keys, then all values); and the output projection $[W, HF]$, which reads what the heads have gathered, side by side.
#
# ### Exercise 08.3 · A head leaves (●●○, 10 minutes)
#
# Return both matrices with only the heads in the list `keep`.


# %%
@exercise("08.3")
def keep_heads(query_key_value, project, heads, keep):
    """An attention layer with the heads `keep` alone: [3·H·F, W], [W, H·F] -> [3·K·F, W], [W, K·F]."""
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# A linear layer computes $xA^\top$: its outputs are rows of $A$, its inputs columns. What comes out of $Q$, $K$ and $V$ is a head's; what goes into the projection is.
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

# %% tags=["hide-input"]
by_wanda, influence = prune.wanda(teacher, some), prune.block_influence(teacher, some)
keep = prune.select_structures(teacher, by_wanda, heads=2, channels=256)
narrow = prune.remove_structures(teacher, keep)
attention, yours = teacher.blocks[0].attention, narrow.blocks[0].attention
with torch.no_grad():
    for mine, library in zip(
        keep_heads(attention.query_key_value.weight, attention.project.weight, 4, list(keep.heads[0])),
        (yours.query_key_value.weight, yours.project.weight),
    ):
        assert torch.equal(mine, library)
    apart = (read(narrow) - read(prune.mask_structures(teacher, keep))).abs().max() / read(narrow).abs().max()
shallow = prune.remove_structures(
    teacher, prune.select_structures(teacher, by_wanda, layers=2, layer_importance=influence)
)


def count(model):
    return sum(weight.numel() for weight in model.parameters())


print(
    f"half of every layer: {count(teacher):,} parameters become {count(narrow):,}; relative difference from the masked model {apart:.0e}"
)
print(
    f"half of the layers:  {count(teacher):,} parameters become {count(shallow):,}; influence of the layers "
    + " ".join(f"{i:.2f}" for i in influence)
)
for name, (scores, _) in CRITERIA.items():
    value = bits_per_character(
        prune.remove_structures(teacher, prune.select_structures(teacher, scores, heads=2, channels=256)), unseen
    )
    print(f"half of every layer, the least important by {name}: {value:.2f} bits per character before any healing")
print(f"half of the layers, the least influential: {bits_per_character(shallow, unseen):.2f}")

# %%
predict("08.f")

# %% tags=["hide-input", "timing"]
from kd_lab.lessons.l08_stacking.stack import ready


@torch.no_grad()
def write(model, tokens=shuffled.inputs[:1, :10]):
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
writing = seconds_in_turns({name: (lambda model=model: write(model)) for name, model in MOVES.items()}, rounds=10)
for what, seconds in (("100 names read at once", reading), ("one name written", writing)):
    print(f"{what:24}" + "".join(f"{name}: {faster(seconds, name):.2f} ×   " for name in MOVES if name != "as it is"))
narrow_reads, shallow_reads, shallow_writes = (
    faster(reading, "narrower layers"),
    faster(reading, "fewer layers"),
    faster(writing, "fewer layers"),
)
ahead = shallow_writes / faster(writing, "narrower layers")
reveal("08.f", right=1 if ahead > 1.1 else 2)
claim(
    "C08e",
    "Half of all heads and channels removed: many texts are read faster on an ordinary kernel.",
    narrow_reads,
    unit="times as fast",
    holds=narrow_reads > 1.3,
)
claim(
    "C08e",
    "Half of the layers removed: many texts are read faster.",
    shallow_reads,
    unit="times as fast",
    holds=shallow_reads > 1.3,
)
claim(
    "C08e",
    "Half of the layers removed: one text is written faster.",
    shallow_writes,
    unit="times as fast",
    holds=shallow_writes > 1.3,
)

# %% [markdown]
# ## 6 · Healing
#
# Pruning costs quality, and a short training brings most of it back.
# The usual answer is to **fine-tune** on labels.
# But the model from before the cut is still there, and it is a teacher that knows everything its pruned copy has lost: **prune, then distil from the original**.
# We cut the teacher to a sixth (two of four layers, and half the heads and a quarter of the channels of those) and heal it both ways, on the same 1,500 names in the same order.

# %%
predict("08.g")

# %% tags=["hide-input"]
from kd_lab.viz.learning import draw_learning

HEALINGS = {"labels": (labels_only(), None, BASELINE), "the original": (word_level(), remembered, STUDENT)}
HEAL_STEPS, HEAL_EVERY = 40, 10
cut_keep = prune.select_structures(teacher, by_wanda, layers=2, heads=2, channels=128, layer_importance=influence)
after_cut = bits_per_character(prune.remove_structures(teacher, cut_keep), unseen)
recovery = {}
for name, (recipe, source, _) in HEALINGS.items():
    runs_of = []
    for number in range(seed, seed + 5):
        patient = prune.remove_structures(teacher, cut_keep, dropout=0.0)
        history = distill(
            patient,
            source,
            lesson_names,
            recipe,
            steps=HEAL_STEPS,
            seed=number,
            evaluate=lambda model: bits_per_character(model, unseen),
            evaluate_every=HEAL_EVERY,
            progress=False,
        ).history
        runs_of.append(history["evaluation"][HEAL_EVERY - 1 :: HEAL_EVERY])
    recovery[name] = np.array(runs_of)
healed_gain = recovery["labels"][:, -1] - recovery["the original"][:, -1]
healed_middle, healed_half_width = mean_interval(healed_gain)

figure = new_figure(760, 300)
with course_style():
    axes = figure.subplots()
    draw_learning(axes, recovery, HEAL_EVERY, [look for *_, look in HEALINGS.values()], teacher=whole)
    axes.plot([0], [after_cut], "k*", markersize=10, label="after the cut", clip_on=False)
    axes.set(
        ylabel="bits per character, unseen names",
        xlim=(-1, HEAL_STEPS + 2),
        xticks=range(0, HEAL_STEPS + 1, HEAL_EVERY),
    )
    axes.legend()
show(
    figure,
    f"{count(teacher):,} parameters cut to {count(patient):,}, then healed: means and 95 % intervals over five seeds. The level line is the model from before the cut.",
    alt="Bits per character against steps for two ways of healing a pruned model. Both fall from the star at step 0; the one taught by the original falls further.",
)
reveal("08.g", right=1 if healed_middle > healed_half_width else 2)
claim(
    "C08f",
    "Prune, then distil from the original: fewer bits per character than prune, then fine-tune on the same texts.",
    healed_gain,
    unit="bits per character fewer",
    holds=healed_middle > healed_half_width,
)

# %% [markdown]
# ## 7 · The stack
#
# Three tools, three factors. The original is the teacher in 16-bit numbers. Every rung makes three choices: start from the *teacher* or from a *distilled student* of half the layers and half the width; remove 0, 25, 50 or 75 % of all heads and channels and heal by distillation; keep 16, 8, 4, 3 or 2 bits per weight (2 bits are trained for, section 4). Forty rungs were built once, from three seeds each, by `python -m kd_lab.lessons.l08_stacking.experiment --store`, written to disk, measured, and asked for names.
#
# **By hand,** the whole stack: the student holds 101,248 of the teacher's 792,832 parameters, pruning by half leaves 52,096 of those, and 4 bits in groups of 32 are 4.5 with the scale: $\tfrac{101}{793}\cdot\tfrac{52}{101}\cdot\tfrac{4.5}{16}\approx 0.018$.

# %%
predict("08.h")

# %% [markdown]
# One rung is made here and now: the teacher, three quarters of its heads and channels removed, healed, rounded to 4 bits, written, read back.

# %%
import tempfile
from pathlib import Path

from kd_lab.lessons.l08_stacking.stack import from_file, healed

runs = stored_runs()
with tempfile.TemporaryDirectory() as folder:
    file = Path(folder) / "rung.safetensors"
    live = from_file(healed(teacher, 75, seed, world, teacher), 4, file, seed, world, teacher)
    live_bytes = file.stat().st_size
kept = runs.at(distilled=False, pruned=75, bits=4)
live_quality = bits_per_character(live, world.held_out)
print(f"made now:  {live_bytes:,} bytes, {live_quality:.3f} bits per character")
print(
    f"on record: {kept.bytes:,} bytes, {kept.bits_per_character[0]:.3f} bits per character; predicted {kept.predicted_size * runs.at(False, 0, 16).bytes:,.0f} bytes"
)

# %% [markdown]
# **Explore.** Take away with the slider, then change where you start and how many bits you keep. The middle compares what the cost model predicted with what was measured: grey is the prediction. *Time* is that of reading many names at once, predicted from the multiplications alone. Right, what this rung writes.

# %%
from kd_lab.lessons.l08_stacking.explorers import draw_front, pareto, stack_explorer

QUALITY = (2.9, 3.6)
explorer = stack_explorer(runs.rungs, QUALITY)
explorer.show()
explorer.filmstrip(["4 bits alone", "half removed", "student alone", "the whole stack"])

# %% tags=["hide-input"]
figure = new_figure(760, 420)
with course_style():
    axes = figure.subplots()
    draw_front(axes, runs.rungs, QUALITY)
    axes.legend(loc="upper right", ncols=2)
show(
    figure,
    "Size against quality of every rung. Grey line: the front, below which nothing lies. Ticks: the size that the three factors predicted. The small end of the front belongs to stacks of all three; there a narrower model in 4 bits is better than a wider one in 2 of the same size.",
    alt="Scatter of forty rungs, file size on a logarithmic axis against bits per character, marked by bits and by start, with the predicted size of each as a tick on its marker and a stepped front line.",
)
front = pareto(runs.rungs)
print(
    f"on the front: {len(front)} of {len(runs.rungs)} rungs; by bits "
    + ", ".join(f"{bits}: {sum(r.bits == bits for r in front)}" for bits in (16, 8, 4, 3, 2))
)
print(f"without a stage left out: {sum(r.distilled and r.pruned > 0 and r.bits < 16 for r in front)}")
full, original = runs.at(*FULL), runs.at(False, 0, 16)
alone = runs.at(True, 0, 16).measured_size * runs.at(False, 50, 16).measured_size * runs.at(False, 0, 4).measured_size
off_model = full.measured_size / full.predicted_size - 1
off_parts = alone / full.measured_size - 1
reveal("08.h", right=0 if abs(off_parts) <= 0.05 else 1 if abs(off_parts) <= 0.2 else 2, off_parts=off_parts)
claim(
    "C08g",
    "The cost model predicts the bytes of the whole stack from its shape alone.",
    off_model,
    unit="relative deviation of the file from the prediction",
    holds=abs(off_model) < 0.05,
)
claim(
    "C08g",
    "It predicts the rung that was made here and now.",
    live_bytes / original.bytes / kept.predicted_size - 1,
    unit="relative deviation",
    holds=abs(live_bytes / original.bytes / kept.predicted_size - 1) < 0.05,
)
claim(
    "C08g",
    "The three stages, each measured alone on the original, multiply to the size of their stack.",
    off_parts,
    unit="relative deviation of the product",
    holds=abs(off_parts) < 0.2,
)
lost = np.subtract(full.bits_per_character, original.bits_per_character)
claim(
    "C08g",
    f"The whole stack, {original.bytes / full.bytes:.0f} times smaller, stays within a third of a bit of the original.",
    lost,
    unit="bits per character lost",
    holds=lost.max() < 1 / 3,
)

# %% [markdown]
# **Pick by the bottleneck.** A rule of thumb: short of memory → quantize first; short of time for one text → fewer layers; nothing but the teacher's text → sequence-level distillation; as small as can be → the whole stack. `advise` holds each against a measurement.
# For the first we take a layer of 4096 × 4096 weights.
# The baseline of all these speeds is float32, in which this layer takes 64 MB; in INT8 it takes 16 MB.
# Bytes alone explain a factor of four at most, and only where the cache of the processor is smaller than the layer: the cell prints its size.
# Any more comes from multiplying integers.

# %% tags=["hide-input", "timing"]
from IPython.display import Markdown, display

from kd_lab.lessons.l08_stacking.advice import advise

weight, one = torch.randn(4096, 4096, generator=generator) / 64, torch.randn(1, 4096, generator=generator)
zeroed = weight * (torch.rand(4096, 4096, generator=generator) >= 0.5)
codes = quantize.Int8Linear(quantize.round_matrix(weight, quantize.Scheme(8, "channel")))
large = seconds_in_turns(
    {"as it is": lambda: one @ weight.T, "quantize": lambda: codes(one), "zeros": lambda: one @ zeroed.T}, rounds=15
)
in_memory = {"quantize": faster(large, "quantize"), "zeros": faster(large, "zeros")}
in_cache = {name: faster(writing, name) for name in ("quantize", "fewer layers", "narrower layers", "zeros")}
others = {name: np.mean(values) for name, values in runs.others.items()}
small_enough = [r for r in runs.rungs if np.mean(r.bits_per_character) < np.mean(original.bits_per_character) + 0.25]
smallest = {
    stages: original.bytes / min([r.bytes for r in small_enough if want(r)], default=original.bytes)
    for stages, want in {
        "quantize": lambda r: not r.distilled and not r.pruned,
        "prune": lambda r: not r.distilled and r.bits == 16,
        "distil": lambda r: not r.pruned and r.bits == 16,
        "the whole stack": lambda r: r.distilled and r.pruned and r.bits < 16,
    }.items()
}
sizes = sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size"))
print(
    f"last cache of this processor: {sizes[-1].read_text().strip() if sizes else 'unknown'}; the layer: 65536K in float32"
)
advice = {
    "memory": advise("memory", in_memory),
    "latency": advise("latency", in_cache),
    "size": advise("size", smallest),
}
rows = [
    f"| {name} | {said.first} | {said.reason} | {'yes' if said.agrees else 'no'} |" for name, said in advice.items()
]
rows.append(
    f"| text only | {advise('text only').first} | {advise('text only').reason} (measured: the student from the teacher's text {others['text only']:.2f} bits per character, from about as many real names {others['labels only']:.2f}, "
    f"with the logits {np.mean(runs.at(True, 0, 16).bits_per_character):.2f}) | – |"
)
display(Markdown("| short of | first | because | measured so |\n|---|---|---|---|\n" + "\n".join(rows)))
claim(
    "C08h",
    "Many weights for one input: INT8 runs a layer of 64 MB (float32, the baseline) faster.",
    in_memory["quantize"],
    unit="times as fast",
    holds=in_memory["quantize"] > 1.2,
)
claim(
    "C08h",
    "Short of time for one text: the same INT8 does not speed up the small teacher, against float32.",
    in_cache["quantize"],
    unit="times as fast",
    holds=in_cache["quantize"] < 1.1,
)
claim(
    "C08h",
    "Short of time for one text: of two models with half of the blocks, the one with fewer layers is faster.",
    ahead,
    unit="times as fast as the narrower one",
    holds=ahead > 1.1,
)
claim(
    "C08h",
    "As small as can be, within a quarter of a bit: the whole stack beats the best of every single stage.",
    smallest["the whole stack"] / max(v for k, v in smallest.items() if k != "the whole stack"),
    unit="times smaller than the best single stage",
    holds=advice["size"].agrees,
)

# %% [markdown]
# ## Discuss
#
# *For two people, ten minutes.* A phone has to run a model of 3 billion parameters; you have its weights, its training data only in part, and one week on eight GPUs. The phone reads 50 GB from memory a second, and its owner wants 20 tokens per second. What do you cut first, what second, and what do you measure after each step? Where would you stop?

# %% [markdown] tags=["teacher"]
# **Expected answers.** At 16 bits 6 GB cross the bus for every token: 8 tokens per second at most, so memory is short and bits go first. 4 bits in groups, 1.7 GB, allow 29 without any training; measure quality on what the owner does, not only perplexity, and look for outlier channels first if activations are to be rounded as well. That already meets the demand: stopping there is a good answer. If quality falls too far, spend the week on training through the rounding with the original as teacher, which needs no labels and works on text that the model writes itself. Pruning heads and channels comes second (3 to 2 billion, healed from the original), depth only if a start costs more than the bytes. A new student by distillation is the most flexible way and costs most: a week on eight GPUs is little for pretraining, and enough for pruning plus healing. **Misconceptions:** "90 % zeros make it ten times faster" (only with a kernel that skips them, and the file needs indices); "INT4 is four times faster" (only where memory is what one waits for); "the product of the factors is exact" (embeddings, norms and scales do not shrink alike); "after pruning one fine-tunes" (the original is at hand as a teacher). **Timing:** 45 minutes alone; 70 in a class, of which the stack explorer takes 15.

# %% [markdown]
# ## Recap
#
# 1. Cost ≈ parameters × bits per parameter × work per parameter: quantization, pruning and distillation cut different factors, so they multiply, and a stack's size is known before it is built.
# 2. 8 bits are free, 4 bits in groups nearly; at 2 there is a cliff, which training through the rounding flattens. The original teaches better than labels there, as it does without any rounding.
# 3. A zero is no speed: dense kernels multiply by it, sparse ones pay only where nearly all is gone. Heads, channels and layers really leave.
# 4. What was cut is healed by distillation from the original, better than by labels on the same texts.
# 5. Pick by the bottleneck: memory → bits; one text's latency → layers; text only → sequence-level distillation; size → everything.
#
# ## Quiz

# %%
quiz("08")

# %% [markdown]
# ## Glossary
#
# **Post-training quantization** rounding weights without training. **Group** the weights that share a scale. **Straight-through estimator** the gradient of the identity in place of a staircase's. **Unstructured pruning** single weights become zero. **Sparsity** the share of zeros. **CSR** compressed sparse rows: the nonzeros and their columns. **2:4** two of every four neighbours stay. **Structured pruning** heads, channels or layers leave. **Importance** an estimate of the change of the loss without a weight. **Scope** the weights that are ranked together. **Healing** a short training after a cut. **Traffic** bytes that move between memory and processor. **Memory-bound, latency-bound** waiting for bytes, waiting for one operation to begin after the other. **Pareto front** the rungs that no other beats in both size and quality.
#
# ## Papers
#
# - Jacob et al., "Quantization and training of neural networks for efficient integer-arithmetic-only inference", [1712.05877](https://arxiv.org/abs/1712.05877), equation 1.
# - Bengio et al., "Estimating or propagating gradients through stochastic neurons", [1308.3432](https://arxiv.org/abs/1308.3432): the straight-through estimator.
# - Xiao et al., "SmoothQuant", [2211.10438](https://arxiv.org/abs/2211.10438), equation 4; Frantar et al., "GPTQ", [2210.17323](https://arxiv.org/abs/2210.17323).
# - Han et al., "Learning both weights and connections", [1506.02626](https://arxiv.org/abs/1506.02626); Sun et al., "Wanda", [2306.11695](https://arxiv.org/abs/2306.11695), section 3.
# - Molchanov et al., "Importance estimation for neural network pruning", [1906.10771](https://arxiv.org/abs/1906.10771); Men et al., "ShortGPT", [2403.03853](https://arxiv.org/abs/2403.03853): the influence of a layer.
# - Muralidharan et al., "Compact language models via pruning and knowledge distillation", [2407.14679](https://arxiv.org/abs/2407.14679): prune, then distil from the original, at scale.
#
# ## Next
#
# Back to [the map](00_the_map.ipynb): its table of methods now has an experiment behind every row. What lies beyond is how far copying carries: reasoning, style, and students that pass their teachers.
