# %% [markdown]
# # 08 · Stacking: quantization × pruning × distillation
#
# After this lesson you can take a model apart into three factors of cost, shrink each of them with your own hands, and say beforehand how small the stack of all three will be.

# %%
from kd_lab.bench.stack import FULL, stored_runs
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
    bars, first, last = hook.subplots(1, 3, width_ratios=(6, 2, 2))
    for row, (stages, look) in enumerate(LADDER.values()):
        rung = runs.at(*stages)
        bars.barh(row, rung.bytes / 1e3, 0.62, **look.area)
        quality = sum(rung.bits_per_character) / len(rung.bits_per_character)
        bars.text(
            rung.bytes / 1e3 + 25, row, f"{rung.bytes / 1e3:,.0f} kB, {quality:.2f} bits a character", va="center"
        )
    bars.set_yticks(range(len(LADDER)), list(LADDER))
    bars.set(ylim=(4.6, -0.6), xlim=(0, 2600), xlabel="file, in 1,000 bytes")
    for axes, stages, title in ((first, (False, 0, 16), "the teacher writes"), (last, FULL, "all three")):
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

from kd_lab.classroom import Question, claim, exercise, predict, quiz, setup

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
bus = predict(
    "A model of 6.6 billion parameters writes one text on an H100. Its weights go from 16 to 4 bits. The most tokens a second …",
    ["stay: the arithmetic is the same", "double", "nearly quadruple"],
)

# %% [markdown]
# **Explore.** One slider a factor. Left, what it does to bytes and to the whole product; right, the most tokens a second that five machines allow (their makers' bandwidth and peak; for the start of an operation a usual figure, 4 µs on a large GPU). Watch the word behind the bar.

# %%
from kd_lab.compress import DEVICES, cost, factors, limits
from kd_lab.models import load_teacher
from kd_lab.viz.stack import LARGE, cost_calculator
from kd_lab.worlds import surnames

world, teacher = surnames(), load_teacher("surnames")
calculator = cost_calculator()
calculator.show()
calculator.filmstrip([{}, "quantize", "zeros and a kernel for them", "the whole stack"])
before, after = (max(limits(cost(LARGE, bits=bits), DEVICES["H100 SXM"]).values()) for bits in (16, 4))
bus.reveal(
    "nearly quadruple" if before / after > 3 else "double",
    f"{before / after:.1f} times. For one text, every weight crosses the bus for two operations: the machine waits for memory, and bits are bytes.",
)

# %% [markdown]
# ## 2 · Fewer bits
#
# QUANTIZATION half: rounding, exercise 08.1, C08a

# %%
# ROUNDING

# %% [markdown]
# ## 3 · One channel that spoils the scale
#
# QUANTIZATION half: C08b

# %%
# OUTLIERS

# %% [markdown]
# ## 4 · Training through the rounding
#
# QUANTIZATION half: exercise 08.2, C08c

# %%
# QAT

# %% [markdown]
# ## 5 · Fewer parameters
#
# **Unstructured pruning** puts zeros in the place of single weights. Which ones matter least? Three opinions:
#
# - **magnitude** $|w|$: no data needed;
# - **Wanda** $|w_{ij}|\cdot\lVert x_j\rVert_2$: a small weight on a loud input counts;
# - **Taylor** $(w\,\partial L/\partial w)^2$: to first order, the squared change of the loss without it.
#
# A zero costs as much to multiply as any number. Only a kernel that *skips* it saves work, and has to be told where the zeros are: a **sparse** format such as CSR stores each remaining weight with its column. **2:4** is the compromise of recent GPUs: two of every four neighbours, so that an index takes two bits.

# %%
zeros = predict(
    "Nine of ten weights of the teacher are set to zero. It reads names …",
    ["nearly ten times as fast", "twice as fast", "as fast as before"],
)

# %%
import numpy as np

from kd_lab.compress import keep_largest, keep_two_of_four, magnitude, taylor, wanda, zero
from kd_lab.measure import bits_per_character

some = world.train[torch.randperm(len(world.train), generator=torch.Generator().manual_seed(seed))[:512]]
unseen = world.held_out[slice(0, 600)]
OPINIONS = {
    "magnitude": (magnitude(teacher), "global", BASELINE),
    "Wanda": (wanda(teacher, some), "row", DIVERGENCES["forward_kl"]),
    "Taylor": (taylor(teacher, some), "global", DIVERGENCES["reverse_kl"]),
}
SPARSITIES = (0.5, 0.7, 0.8, 0.9)
quality = {
    name: [bits_per_character(zero(teacher, keep_largest(scores, share, scope)), unseen) for share in SPARSITIES]
    for name, (scores, scope, _) in OPINIONS.items()
}
pairs = {
    name: bits_per_character(zero(teacher, keep_two_of_four(scores)), unseen)
    for name, (scores, _, _) in OPINIONS.items()
}
whole = bits_per_character(teacher, unseen)
print(
    f"the teacher, 600 unseen names: {whole:.3f} bits a character.  2:4 by "
    + ", ".join(f"{name} {value:.3f}" for name, value in pairs.items())
)

# %% tags=["timing"]
from kd_lab.compress import as_sparse
from kd_lab.measure.clock import seconds_in_turns


@torch.no_grad()
def read(model, batch=world.held_out[slice(0, 128)]):
    return model(batch.inputs)


def faster(seconds, name, base="as it is", parts=5):
    """How many times as fast as the base: one ratio a stretch of the rounds, of the fastest of each."""
    best = {key: values.reshape(parts, -1).min(1) for key, values in seconds.items()}
    return best[base] / best[name]


emptied = zero(teacher, keep_largest(magnitude(teacher), 0.9))
model_seconds = seconds_in_turns({"as it is": lambda: read(teacher), "zeros": lambda: read(emptied)}, rounds=10)

generator = torch.Generator().manual_seed(seed)
matrix, column = torch.randn(1024, 1024, generator=generator), torch.randn(1024, 1, generator=generator)
order = torch.rand(1024, 1024, generator=generator)
SHARES = (0.5, 0.8, 0.9, 0.95)
products = {"as it is": lambda: matrix @ column}
for share in SHARES:
    kept = matrix * (order >= share)
    sparse = as_sparse(kept)
    products[f"dense {share}"] = lambda kept=kept: kept @ column
    products[f"sparse {share}"] = lambda sparse=sparse: sparse @ column
matrix_seconds = seconds_in_turns(products, rounds=30)
gain = {
    kind: np.array([faster(matrix_seconds, f"{kind} {share}").mean() for share in SHARES])
    for kind in ("dense", "sparse")
}

figure = new_figure(760, 290)
with course_style():
    left, right = figure.subplots(1, 2)
    for name, (_, _, look) in OPINIONS.items():
        left.plot(SPARSITIES, quality[name], **look.points, label=name)
    left.axhline(whole, color=TEACHER.color, linewidth=1)
    left.annotate("the teacher", (0.5, whole), (0, -12), textcoords="offset points")
    left.set(xlabel="share of zeros", ylabel="bits a character", ylim=(2.6, 5), xticks=SPARSITIES)
    left.legend(title="least important by")
    right.plot(SHARES, gain["dense"], **STUDENT.points, label="dense kernel")
    right.plot(SHARES, gain["sparse"], **DIVERGENCES["jsd"].points, label="sparse kernel (CSR)")
    right.axhline(1, color=TEACHER.color, linewidth=1)
    right.set(
        xlabel="share of zeros",
        ylabel="times as fast",
        yscale="log",
        ylim=(0.1, 10),
        xticks=SHARES,
        title="one matrix, 1024 × 1024",
    )
    right.set_yticks([0.1, 0.3, 1, 3, 10], ["0.1", "0.3", "1", "3", "10"])
    right.minorticks_off()
    right.legend(loc="upper left")
show(
    figure,
    "Left: without any training, half of the weights can go for almost nothing. Right: the dense kernel does not notice; the sparse one loses while half is left, and wins only where nearly all is gone.",
    alt="Left, bits a character against the share of zeros for three kinds of importance, flat to 50 percent and steep at 90. Right, speed of a dense kernel is flat at 1, of a sparse one rises from below 1 to above it.",
)
in_model = faster(model_seconds, "zeros")
zeros.reveal("as fast as before", f"{in_model.mean():.2f} times as fast. The kernel multiplies by every zero.")
claim(
    "C08d",
    "Nine of ten weights zero: a dense kernel reads no faster.",
    in_model,
    unit="times as fast as before",
    holds=in_model.max() < 1.3,
)
dense, half_sparse = faster(matrix_seconds, "dense 0.8"), faster(matrix_seconds, "sparse 0.5")
claim(
    "C08d",
    "80 % zeros: the dense product of one matrix is no faster.",
    dense,
    unit="times as fast",
    holds=dense.max() < 1.3,
)
claim(
    "C08d",
    "A kernel for sparse matrices is slower than the dense one where half of the weights are left.",
    half_sparse,
    unit="times as fast as dense",
    holds=half_sparse.max() < 1,
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
# The library's `remove` does this for heads, channels and layers at once, and returns a plain `GPT`. It must say exactly what the big model says once the rest is silenced.

# %%
from kd_lab.compress import choose, layer_influence, remove, silence

loud, influence = wanda(teacher, some), layer_influence(teacher, some)
keep = choose(teacher, loud, heads=2, channels=256)
narrow = remove(teacher, keep)
attention, yours = teacher.blocks[0].attention, narrow.blocks[0].attention
with torch.no_grad():
    for mine, library in zip(
        keep_heads(attention.query_key_value.weight, attention.project.weight, 4, list(keep.heads[0])),
        (yours.query_key_value.weight, yours.project.weight),
    ):
        assert torch.equal(mine, library)
    apart = (read(narrow) - read(silence(teacher, keep))).abs().max() / read(narrow).abs().max()
shallow = remove(teacher, choose(teacher, loud, layers=2, layer_importance=influence))


def count(model):
    return sum(weight.numel() for weight in model.parameters())


print(
    f"half of every layer: {count(teacher):,} parameters become {count(narrow):,}; relative difference from the silenced twin {apart:.0e}"
)
print(
    f"half of the layers:  {count(teacher):,} parameters become {count(shallow):,}; influence of the layers "
    + " ".join(f"{i:.2f}" for i in influence)
)
for name, (scores, _, _) in OPINIONS.items():
    value = bits_per_character(remove(teacher, choose(teacher, scores, heads=2, channels=256)), unseen)
    print(f"half of every layer, the least important by {name}: {value:.2f} bits a character before any healing")
print(f"half of the layers, the least influential: {bits_per_character(shallow, unseen):.2f}")

# %%
where_to_cut = predict(
    "Both models have lost half of their blocks. One text is written, token by token. Which one is faster?",
    ["half of every layer", "half of the layers", "both alike"],
)

# %% tags=["timing"]
from kd_lab.bench.stack import ready
from kd_lab.compress import quantize


@torch.no_grad()
def write(model, tokens=world.held_out.inputs[:1, :10]):
    """Ten tokens of one text, one at a time, with a cache."""
    cache = model.new_cache(1, 10)
    for t in range(10):
        model(tokens[:, t : t + 1], cache=cache)


MOVES = {
    "as it is": teacher,
    "fewer layers": shallow,
    "narrower layers": narrow,
    "quantize": ready(quantize(teacher, 8, "channel")),
    "zeros": emptied,
}
reading = seconds_in_turns({name: (lambda model=model: read(model)) for name, model in MOVES.items()}, rounds=10)
writing = seconds_in_turns({name: (lambda model=model: write(model)) for name, model in MOVES.items()}, rounds=15)
for what, seconds in (("128 names read at once", reading), ("one name written", writing)):
    print(
        f"{what:24}"
        + "".join(f"{name}: {faster(seconds, name).mean():.2f} ×   " for name in MOVES if name != "as it is")
    )
narrow_reads, shallow_reads, shallow_writes = (
    faster(reading, "narrower layers"),
    faster(reading, "fewer layers"),
    faster(writing, "fewer layers"),
)
ahead = shallow_writes / faster(writing, "narrower layers")
where_to_cut.reveal(
    "half of the layers",
    "One token is so little work that a layer takes about as long to start as to compute. Half of it takes nearly as long; leaving it out takes nothing.",
)
claim(
    "C08e",
    "Half of all heads and channels removed: many texts are read faster on an ordinary kernel.",
    narrow_reads,
    unit="times as fast",
    holds=narrow_reads.min() > 1.3,
)
claim(
    "C08e",
    "Half of the layers removed: many texts are read faster.",
    shallow_reads,
    unit="times as fast",
    holds=shallow_reads.min() > 1.3,
)
claim(
    "C08e",
    "Half of the layers removed: one text is written faster.",
    shallow_writes,
    unit="times as fast",
    holds=shallow_writes.min() > 1.3,
)

# %% [markdown]
# ## 6 · Healing
#
# Pruning tears a hole that a short training closes. On what? The usual answer is to **fine-tune** on labels. But the model from before the cut is still there, and it is a teacher that knows everything its pruned copy has lost: **prune, then distil from the original**. We cut the teacher to a sixth (two of four layers, and half the heads and a quarter of the channels of those) and heal it both ways, on the same names in the same order, for 60 steps; once with all 18,000 names, once with 1,000, as when most of the original's data is out of reach.

# %%
healing = predict(
    "Which healing leaves fewer bits a character after 60 steps?",
    ["labels", "the original as a teacher", "both alike: the data are the same"],
)

# %%
from kd_lab.methods import distill, labels_only, word_level

HEALINGS = {"labels": (labels_only(), BASELINE), "the original": (word_level(), STUDENT)}
cut_keep = choose(teacher, loud, layers=2, heads=2, channels=128, layer_importance=influence)
wound = bits_per_character(remove(teacher, cut_keep), world.held_out)
after = {}
for data, texts in (("all names", world), ("1,000 names", world.subset(1000, seed=seed))):
    for name, (recipe, _) in HEALINGS.items():
        after[data, name] = []
        for number in range(seed, seed + 3):
            patient = remove(teacher, cut_keep, dropout=0.0)
            distill(patient, teacher, texts, recipe, steps=60, seed=number, progress=False)
            after[data, name].append(bits_per_character(patient, world.held_out))
intact = bits_per_character(teacher, world.held_out)
print(
    f"{count(teacher):,} → {count(patient):,} parameters. Bits a character: intact {intact:.3f}, cut {wound:.3f}, healed:"
)
for (data, name), values in after.items():
    print(f"  {data:12} {name:13} " + "  ".join(f"{value:.3f}" for value in values))
gains = {data: np.subtract(after[data, "labels"], after[data, "the original"]) for data in ("all names", "1,000 names")}
healing.reveal(
    "the original as a teacher" if gains["all names"].min() > 0 else "labels",
    "A label says which letter came. The original says how likely each of the 27 was, at the same price in texts.",
)
for data, gain_of in gains.items():
    claim(
        "C08f",
        f"Prune, then distil from the original: fewer bits a character than prune, then fine-tune ({data}, same texts).",
        gain_of,
        unit="bits a character fewer",
        holds=gain_of.min() > 0.02,
    )

# %%
figure = new_figure(760, 230)
with course_style():
    for axes, data in zip(figure.subplots(1, 2, sharey=True), gains):
        for row, (name, (_, look)) in enumerate(HEALINGS.items()):
            values = np.array(after[data, name])
            axes.barh(row, wound - values.mean(), 0.6, left=values.mean(), **look.area)
            axes.plot(values, [row] * 3, "o", color="black", markersize=4)
        axes.axvline(wound, color="black", linestyle=":", linewidth=1)
        axes.axvline(intact, color=TEACHER.color, linewidth=1.5)
        axes.text(intact + 0.01, 1.62, "intact", va="top", color=TEACHER.color)
        axes.text(wound - 0.01, 1.62, "cut", va="top", ha="right")
        axes.set(xlim=(2.9, 3.65), ylim=(-0.5, 1.65), xlabel="bits a character", title=f"healed on {data}")
        axes.set_yticks(range(2), list(HEALINGS))
show(
    figure,
    "How much of the wound each healing has closed after 60 steps; dots are seeds. The original closes more, and it matters less to it how few names there are.",
    alt="Two panels of horizontal bars that reach from the quality of the cut model down towards that of the intact one; the bar of the original as teacher reaches further in both.",
)

# %% [markdown]
# ## 7 · The stack
#
# Three tools, three factors. The original is the teacher in 16-bit numbers. Every rung makes three choices: start from the *teacher* or from a *distilled student* of half the layers and half the width; remove 0, 25, 50 or 75 % of all heads and channels and heal by distillation; keep 16, 8, 4, 3 or 2 bits a weight (2 bits are trained for, section 4). Forty rungs were built once, from three seeds each, by `python -m kd_lab.bench.stack --store`, written to disk, measured, and asked for names.
#
# **By hand,** the whole stack: the student holds 101,248 of the teacher's 792,832 parameters, pruning by half leaves 51,584 of those, and 4 bits in groups of 32 are 4.5 with the scale: $\tfrac{101}{793}\cdot\tfrac{51.6}{101}\cdot\tfrac{4.5}{16}\approx 0.018$.

# %%
multiply = predict(
    "Each stage was also measured alone, on the original. How far is the product of the three sizes from the size of the stack?",
    ["within 5 %", "5 to 20 % off", "a factor of two"],
)

# %% [markdown]
# One rung is made here and now: the teacher, three quarters of its heads and channels removed, healed, rounded to 4 bits, written, read back.

# %%
import tempfile
from pathlib import Path

from kd_lab.bench.stack import FULL, from_file, healed, stored_runs

runs = stored_runs()
with tempfile.TemporaryDirectory() as folder:
    file = Path(folder) / "rung.safetensors"
    live = from_file(healed(teacher, 75, seed, world, teacher), 4, file, seed, world, teacher)
    live_bytes = file.stat().st_size
kept = runs.at(distilled=False, pruned=75, bits=4)
live_quality = bits_per_character(live, world.held_out)
print(f"made now:  {live_bytes:,} bytes, {live_quality:.3f} bits a character")
print(
    f"on record: {kept.bytes:,} bytes, {kept.bits_per_character[0]:.3f} bits a character; predicted {kept.predicted_size * runs.at(False, 0, 16).bytes:,.0f} bytes"
)

# %% [markdown]
# **Explore.** Take away with the slider, then change where you start and how many bits you keep. The middle compares what the cost model predicted with what was measured: grey is the prediction. *Time* is that of reading many names at once, predicted from the multiplications alone. Right, what this rung writes.

# %%
from kd_lab.viz.stack import draw_front, stack_explorer

QUALITY = (2.9, 4.0)
explorer = stack_explorer(runs.rungs, QUALITY)
explorer.show()
explorer.filmstrip([{}, "4 bits alone", "half removed", "student alone", "the whole stack"])

# %%
figure = new_figure(760, 420)
with course_style():
    axes = figure.subplots()
    draw_front(axes, runs.rungs, QUALITY)
    axes.legend(loc="upper right", ncols=2)
show(
    figure,
    "Size against quality of every rung. Grey line: the front, below which nothing lies. Ticks: the size that the three factors predicted. The small end of the front belongs to stacks of all three.",
    alt="Scatter of forty rungs, file size on a logarithmic axis against bits a character, marked by bits and by start, with the predicted size of each as a tick on its marker and a stepped front line.",
)
full, original = runs.at(*FULL), runs.at(False, 0, 16)
alone = runs.at(True, 0, 16).measured_size * runs.at(False, 50, 16).measured_size * runs.at(False, 0, 4).measured_size
off_model = full.measured_size / full.predicted_size - 1
off_parts = alone / full.measured_size - 1
multiply.reveal(
    "within 5 %" if abs(off_parts) <= 0.05 else "5 to 20 % off" if abs(off_parts) <= 0.2 else "a factor of two",
    f"{off_parts:+.1%}. Pruning spares embeddings and norms, and these weigh more in a small model: the factors are only nearly independent.",
)
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
    f"The whole stack, {original.bytes / full.bytes:.0f} times smaller, stays within a quarter of a bit of the original.",
    lost,
    unit="bits a character lost",
    holds=lost.max() < 0.25,
)

# %% [markdown]
# **Pick by the bottleneck.** A rule of thumb: short of memory → quantize first; short of time for one text → fewer layers; nothing but the teacher's text → sequence-level distillation; as small as can be → the whole stack. `pick` holds each against a measurement. For the first we need a layer that does not fit into the processor's cache: 4096 × 4096, 64 MB.

# %% tags=["timing"]
from IPython.display import Markdown, display

from kd_lab.compress import pick
from kd_lab.compress.integer import IntegerLinear
from kd_lab.compress.rounding import Scheme, round_to_nearest

weight, one = torch.randn(4096, 4096, generator=generator) / 64, torch.randn(1, 4096, generator=generator)
zeroed = weight * (torch.rand(4096, 4096, generator=generator) >= 0.5)
codes = IntegerLinear(round_to_nearest(weight, Scheme(8, "channel")))
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
advice = {
    "memory": pick("memory", {name: ratio.mean() for name, ratio in in_memory.items()}),
    "latency": pick("latency", {name: ratio.mean() for name, ratio in in_cache.items()}),
    "size": pick("size", smallest),
}
rows = [
    f"| {name} | {said.first} | {said.reason} | {'yes' if said.agrees else 'no'} |" for name, said in advice.items()
]
rows.append(
    f"| text only | {pick('text only').first} | {pick('text only').reason} (measured: the student from text {others['text only']:.2f} bits a character, "
    f"with the logits {np.mean(runs.at(True, 0, 16).bits_per_character):.2f}) | – |"
)
display(Markdown("| short of | first | because | measured so |\n|---|---|---|---|\n" + "\n".join(rows)))
claim(
    "C08h",
    "Short of memory: INT8 speeds up a layer that does not fit the cache.",
    in_memory["quantize"],
    unit="times as fast",
    holds=in_memory["quantize"].min() > 1.2,
)
claim(
    "C08h",
    "Short of time for one text: the same INT8 does not speed up a small model that fits.",
    in_cache["quantize"],
    unit="times as fast",
    holds=in_cache["quantize"].max() < 1.1,
)
claim(
    "C08h",
    "Short of time for one text: of two models with half of the blocks, the one with fewer layers is faster.",
    ahead,
    unit="times as fast as the narrower one",
    holds=ahead.min() > 1.1,
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
# *For two people, ten minutes.* A phone has to run a model of 3 billion parameters; you have its weights, its training data only in part, and one week on eight GPUs. The phone reads 50 GB from memory a second, and its owner wants 20 tokens a second. What do you cut first, what second, and what do you measure after each step? Where would you stop?

# %% [markdown] tags=["teacher"]
# **Expected answers.** At 16 bits 6 GB cross the bus for every token: 8 tokens a second at most, so memory is short and bits go first. 4 bits in groups, 1.7 GB, allow 29 without any training; measure quality on what the owner does, not only perplexity, and look for outlier channels first if activations are to be rounded as well. That already meets the demand: stopping there is a good answer. If quality falls too far, spend the week on training through the rounding with the original as teacher, which needs no labels and works on text that the model writes itself. Pruning heads and channels comes second (3 to 2 billion, healed from the original), depth only if a start costs more than the bytes. A new student by distillation is the most flexible and dearest: a week on eight GPUs is little for pretraining, and enough for pruning plus healing. **Misconceptions:** "90 % zeros make it ten times faster" (only with a kernel that skips them, and the file needs indices); "INT4 is four times faster" (only where memory is what one waits for); "the product of the factors is exact" (embeddings, norms and scales do not shrink alike); "after pruning one fine-tunes" (the original is at hand as a teacher). **Timing:** 45 minutes alone; 70 in a class, of which the stack explorer takes 15.

# %% [markdown]
# ## Recap
#
# 1. Cost ≈ parameters × bits per parameter × work per parameter: quantization, pruning and distillation cut different factors, so they multiply, and a stack's size is known before it is built.
# 2. 8 bits are free, 4 bits in groups nearly; below 3 there is a cliff, which training through the rounding flattens, best with the original as teacher.
# 3. A zero is no speed: dense kernels multiply by it, sparse ones pay only where nearly all is gone. Heads, channels and layers really leave.
# 4. What was cut is healed by distillation from the original, better than by labels on the same texts.
# 5. Pick by the bottleneck: memory → bits; one text's latency → layers; text only → sequence-level distillation; size → everything.
#
# ## Quiz

# %%
quiz(
    Question(
        "A model of 80 % zeros runs on an ordinary GPU kernel. What has become smaller?",
        {
            "neither its file nor its time, unless something is told where the zeros are": "Yes: a zero is stored and multiplied like any number.",
            "its time, by five": "Only a kernel that skips zeros does less, and at 80 % even that may not pay.",
            "its file, by five": "As dense numbers a zero takes as many bytes as any other.",
        },
        right="neither its file nor its time, unless something is told where the zeros are",
    ),
    Question(
        "A chatbot serves one user at a time from a large model. First step?",
        {
            "fewer bits a weight": "Yes: for one text the weights cross the bus at every token, and bits are bytes.",
            "unstructured pruning": "The zeros cross the bus as well.",
            "a larger batch": "It shares the weights among texts, and there is only one.",
        },
        right="fewer bits a weight",
    ),
    Question(
        "You remove a head from Q, K and V and leave the output projection as it is. What happens?",
        {
            "the shapes no longer fit": "Yes: the projection has a column for every feature that a head has gathered.",
            "nothing: a missing head contributes zero": "That would be silencing it. Removed, its columns have nothing to multiply.",
            "the model is a little slower": "It does not run at all.",
        },
        right="the shapes no longer fit",
    ),
    Question(
        "A student of a tenth of the parameters, pruned by half, 4 bits instead of 16. How large is it?",
        {
            "1/80 of the original": "Yes: 1/10 · 1/2 · 1/4.",
            "1/16": "The factors multiply; they do not add.",
            "that depends on the order of the three": "The quality does. The product does not.",
        },
        right="1/80 of the original",
    ),
)

# %% [markdown]
# ## Glossary
#
# **Post-training quantization** rounding weights without training. **Group** the weights that share a scale. **Straight-through estimator** the gradient of the identity in place of a staircase's. **Unstructured pruning** single weights become zero. **Sparsity** the share of zeros. **CSR** compressed sparse rows: the nonzeros and their columns. **2:4** two of every four neighbours stay. **Structured pruning** heads, channels or layers leave. **Importance** what is guessed that the loss would change by. **Healing** a short training after a cut. **Traffic** bytes that move between memory and processor. **Memory-bound, latency-bound** waiting for bytes, waiting for one operation to begin after the other. **Pareto front** the rungs that no other beats in both size and quality.
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
# Lesson 09 leaves size behind and asks what else can be copied: reasoning, and style.
