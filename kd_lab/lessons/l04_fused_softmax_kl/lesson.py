# %% [markdown]
# # 04 · HOW: a fused softmax-KL in Triton
#
# After this lesson you can write the loss of knowledge distillation as a GPU kernel, check its value and gradient against fp64, and tell a kernel that is right from one that only looks right.

# %% tags=["hide-input"]
import os

os.environ["TRITON_INTERPRET"] = "1"  # before anything imports Triton: kernels run on this CPU, without a GPU

from kd_lab.lessons.l04_fused_softmax_kl.figures import hook_figure
from kd_lab.viz import show

show(
    hook_figure(),
    "A softmax of two rows of ten logits, as a GPU does it: one program per row, four lanes at a time. Time runs downwards, memory from left to right. Each row is read "
    "three times. The hollow lanes of row 0 lie over row 1: unmasked, they would read, and overwrite, another program's numbers.",
    alt="A map of memory accesses. In each of two rows, blocks of four squares step to the right three times; in the third sweep triangles, the stores, go along. "
    "The last block of each sweep ends in two hollow lanes.",
)

# %% [markdown] tags=["card"]
# **You will be able to**
# - write a Triton kernel: programs, blocks, lanes, masks;
# - compute a softmax, and a KL of two softmaxes, over rows of any length;
# - write its gradient by hand, and connect the two to PyTorch;
# - find out whether a loss that is almost zero has any correct digit.
#
# **Before this:** [lesson 01](01_what.ipynb) for the gradient of KL, [lesson 03](03_which_kl.ipynb) for its two directions. No GPU and no CUDA.
#
# **Time:** two sittings. 35 minutes for sections 1 and 2: a first kernel, and a softmax over long rows. 45 minutes for sections 3 to 5: KL, its gradient, and its last digits. Three quarters of it is writing kernels; lesson 05 needs none of it. {{measured}}
#
# **Triton** has wheels for Linux only.
# On macOS and Windows your kernels run in a small stand-in written in NumPy.

# %%
from kd_lab.classroom import claim, exercise, predict, quiz, reveal, setup
from kd_lab.how import softmax_kl
from kd_lab.lessons.l04_fused_softmax_kl.triton_or_numpy import count_bytes, load_block, tl, triton

seed = setup("04")

# %% [markdown]
# ## 1 · A kernel
#
# A GPU computes far faster than it reads, so the cost of a loss is set by how often its logits travel between memory and chip.
# Student and teacher logits have shape $[N, V]$, with $N$ positions and $V$ tokens in the vocabulary.
# At $N=8192$ and $V=128256$, as in Llama 3, each of the two holds a billion numbers.
#
# A **kernel** is a function that runs on the chip.
# In Triton you write it for one **program**; the launch `kernel[(N,)](…)` starts $N$ of them, and `tl.program_id(0)` tells each one its number.
# We give each program one row.
#
# A program handles one **block** of columns at a time.
# `tl.arange(0, BLOCK)` is a block of numbers, `BLOCK` a power of two, and arithmetic acts on all its **lanes** at once.
# Tensors arrive as pointers to their first element: `tl.load(pointer + offsets)` fetches a block, `tl.store` puts one back.
#
# $V$ is seldom a multiple of `BLOCK`.
# The last block then has lanes without a column, and a **mask** keeps these from touching memory.
# The next kernel uses all of this.

# %%
import torch


@triton.jit
def halve(source, out, vocabulary, BLOCK: tl.constexpr):
    row = tl.program_id(0) * vocabulary  # where this program's row begins
    for start in range(0, vocabulary, BLOCK):
        columns = start + tl.arange(0, BLOCK)
        # Lanes beyond the row are not read; they hold `other`.
        x = tl.load(source + row + columns, mask=columns < vocabulary, other=0.0)
        tl.store(out + row + columns, x / 2, mask=columns < vocabulary)


source = torch.arange(10.0).reshape(2, 5)
out = torch.zeros_like(source)
halve[(2,)](source, out, 5, BLOCK=4)  # two programs; a row of five takes two blocks of four
print(out)

# %% [markdown]
# Here Triton's **interpreter** runs the kernel in NumPy, one program after another.
# It is slow, but it can say what went wrong; its *time* tells nothing about a GPU.
# `BLOCK` is a `constexpr`, known when the kernel is compiled: each value gets a compiled kernel of its own.
#
# ### Exercise 04.1 · Softmax in three passes (●○○, 12 minutes)
#
# $\mathrm{softmax}(x)_v=e^{x_v-m}/\sum_u e^{x_u-m}$ with $m=\max_u x_u$.
# The quotient does not depend on $m$, but a logit of 89 would overflow without it: $e^{89}$ is more than fp32 can hold.
# The first pass finds $m$, the second the sum, the third writes the quotients.
#
# You need `tl.max(x, 0)`, `tl.sum(x, 0)`, `tl.maximum(a, b)` and `tl.exp(x)`.
# `float("-inf")` may serve as an initial value and as `other`.


# %%
@exercise("04.1")
@triton.jit
def softmax(logits, probabilities, vocabulary, BLOCK: tl.constexpr):
    """softmax of logits [N, V] into probabilities [N, V]: program n reads row n three times."""
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Three loops like the one in `halve`. What must a lane beyond the row hold, so that it is never the maximum and adds nothing to the sum?
#
# </details>
# <details><summary>Hint 2</summary>
#
# Before the loops: `top, total = float("-inf"), 0.0`. In the first, `top = tl.maximum(top, tl.max(x, 0))`. In the second, `total += tl.sum(tl.exp(x - top), 0)`.
#
# </details>

# %% [markdown] tags=["solution:04.1"]
# solution

# %%
logits = 3 * torch.randn(3, 300, generator=torch.Generator().manual_seed(seed))
probabilities = torch.zeros_like(logits)
with count_bytes() as traffic:
    softmax[(3,)](logits, probabilities, 300, BLOCK=128)
torch.testing.assert_close(probabilities, logits.softmax(-1))
print(f"loaded {traffic.loaded / logits.nbytes:.0f} times the logits,", end=" ")
print(f"stored {traffic.stored / logits.nbytes:.0f} times")

# %% [markdown]
# The result equals PyTorch's softmax, and we know what it moved: `count_bytes` watches every load and store, and leaves masked lanes out.
#
# From here on one line loads a block.
# `load_block(row, start, vocabulary, BLOCK)` is the load that you just wrote, with $-\infty$ beyond the row.
# It also turns 16-bit logits into fp32 *before* any arithmetic: the rounding error of a 16-bit probability can exceed the whole gradient of a student that is nearly trained.
#
# ## 2 · How often must a row be read?
#
# Three passes read each logit three times.
# The sum seems to need the maximum first. Does it?

# %%
predict("04.a")

# %% [markdown]
# **Explore.** Read a row block by block.
# The left panel shows one row of the student's logits $x$ and the teacher's $y$; what has not been read yet is pale.
# A kernel remembers only a few numbers, among them *top*, the largest $y$ so far, the sum of $e^{y-\text{top}}$, and the *KL accumulator*, the sum of $e^{y-\text{top}}(y-x)$.
# Both sums are relative to the maximum, so they have to be rescaled whenever it moves.
# On the right, the upper panel shows the two sums; the lower one compares the KL that they give with the true KL of what was read.
#
# Then let the kernel *forget* to rescale one sum, or both.

# %% tags=["hide-input"]
from kd_lab.lessons.l04_fused_softmax_kl.explorers import online_explorer

online = online_explorer(seed)
online.show()

# %% tags=["hide-input"]
online.filmstrip(["all read", "accumulator forgotten"])

# %% tags=["hide-input"]
reveal("04.a")

# %% [markdown]
# Where the row *falls*, its maximum comes first and forgetting costs nothing: no test with such a row finds the bug.
# Where it *rises*, the terms of early blocks keep the weights that they had when their logits were the largest.
#
# **Derive.** The remedy is one multiplication.
# If the maximum moves from $m$ to $m'$, then $e^{y-m'}=e^{m-m'}e^{y-m}$ for every old term.
# So the old *sum*, restated for the new maximum, is $e^{m-m'}$ times what it was.
#
# By hand, blocks of two: $y=(0,1\,|\,3,2)$.
# After the first block $m=1$, and the sum is $e^{-1}+1=1.368$.
# The second block has its maximum at 3: $1.368\cdot e^{1-3}+(1+e^{-1})=0.185+1.368=1.553$.
# And $3+\ln1.553=3.440$ is $\ln(e^0+e^1+e^3+e^2)$.
#
# ### Exercise 04.2 · The online pass (●●○, 10 minutes)
#
# Store $\mathrm{lse}=\log\sum_v e^{x_v}$ of each row, and read each logit only once: the check counts.


# %%
@exercise("04.2")
@triton.jit
def logsumexp(logits, lse, vocabulary, BLOCK: tl.constexpr):
    """log Σ e^x of logits [N, V] into lse [N]: program n takes row n and reads it once."""
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# In the loop: load a block, find the new maximum, bring the old sum to it, add the block's own terms. Keep this order, and keep the old maximum until the sum is rescaled.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `x = load_block(logits + n * vocabulary, start, vocabulary, BLOCK)`; `new_top = tl.maximum(top, tl.max(x, 0))`; `total = total * tl.exp(top - new_top) + …`.
#
# </details>

# %% [markdown] tags=["solution:04.2"]
# solution

# %% [markdown]
# ## 3 · The accumulators of KL (second sitting)
#
# Softened logits are $x=s/\tau$ for the student and $y=t/\tau$ for the teacher, with $q=\mathrm{softmax}(x)$ and $p=\mathrm{softmax}(y)$.
# Then $\log p_v-\log q_v=(y_v-x_v)-(\mathrm{lse}_t-\mathrm{lse}_s)$, and the second bracket does not depend on $v$:
#
# $$\mathrm{KL}(p\|q)=\sum_v p_v(\log p_v-\log q_v)=\frac{\sum_v e^{y_v-m_t}(y_v-x_v)}{\sum_v e^{y_v-m_t}}-(\mathrm{lse}_t-\mathrm{lse}_s)$$
#
# Here $m_t=\max_v y_v$, and $\mathrm{lse}_t$ and $\mathrm{lse}_s$ are those of $y$ and $x$.
# Three sums and two maxima are enough, in one pass.
# Each sum is relative to one of the maxima, and is rescaled when that one moves.
#
# By hand, three tokens: $y=(2,1,0)$, $x=(1,1,1)$.
# $\mathrm{lse}_t=2.408$ and $\mathrm{lse}_s=1+\ln3=2.099$.
# The mean of $y-x=(1,0,-1)$ under $p=(0.665,0.245,0.090)$ is $0.575$, so KL is $0.575-(2.408-2.099)=0.266$ nats.
#
# ### Exercise 04.3 · Forward KL in one pass (●●●, 20 minutes)
#
# Divide by $\tau$ right after the load, so that everything after it is at $\tau=1$.
# Store three numbers per row: KL, without $\tau^2$, and both lse, which the backward pass will need.
# Mind the lanes beyond the row.


# %%
@exercise("04.3")
@triton.jit
def forward_kl(
    student, teacher, kl, student_lse, teacher_lse, vocabulary, temperature, BLOCK: tl.constexpr
):  # fmt: skip
    """KL(p‖q) of rows of logits [N, V] into kl [N], and both lse [N]; each row is read once."""
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Your kernel of 04.2 twice, once per side, in one loop; then a third sum beside the teacher's. Beyond the row $y-x$ is $-\infty-(-\infty)$, which is NaN, and $0\cdot\mathrm{NaN}$ is NaN too.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `weight, shrink = tl.exp(y - new_t), tl.exp(top_t - new_t)`, then `excess = excess * shrink + tl.sum(weight * tl.where(weight > 0, y - x, 0.0), 0)`.
#
# </details>

# %% [markdown] tags=["solution:04.3"]
# solution

# %% [markdown]
# ## 4 · The backward pass (second sitting)
#
# The gradient of KL(p‖q) with respect to $x$ is $q-p$, as in [lesson 01](01_what.ipynb), and $x=s/\tau$ brings a factor $1/\tau$.
# What arrives from the layers above is called *upstream*: one number per row, $\partial(\text{final loss})/\partial\mathrm{KL}_n$.
# It carries the $1/N$ of a mean, a mask, a weight, and the $\tau^2$.
# If the final loss is a plain sum, PyTorch sends one number in memory for all rows, a tensor of **stride** 0; `own_loss`, which calls your kernels below, writes it out $N$ times first.
#
# With both lse at hand no maximum is needed: $q_v=e^{x_v-\mathrm{lse}_s}$ cannot overflow.
#
# ### Exercise 04.4 · The gradient (●●○, 10 minutes)
#
# Read both rows once more, and write upstream times the gradient with respect to the *logits* $s$.


# %%
@exercise("04.4")
@triton.jit
def forward_kl_backward(
    student, teacher, student_lse, teacher_lse, upstream, gradient,
    vocabulary, temperature, BLOCK: tl.constexpr,
):  # fmt: skip
    """upstream [N] times ∂KL(p‖q)/∂(student's logits) into gradient [N, V], from both lse [N]."""
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Three numbers of the row are loaded before the loop, with `tl.load(student_lse + n)` and so on. Then one loop that loads two blocks and stores one.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `factor = tl.load(upstream + n) / temperature`, and in the loop `factor * (tl.exp(x - lse_s) - tl.exp(y - lse_t))`. The store needs a mask.
#
# </details>

# %% [markdown] tags=["solution:04.4"]
# solution

# %% [markdown]
# **Explore.** Here is the map of the first picture again, now for *your* kernels.
# The interpreter sees every access.

# %% tags=["hide-input"]
from kd_lab.lessons.l04_fused_softmax_kl.explorers import lanes_explorer
from kd_lab.lessons.l04_fused_softmax_kl.figures import BLOCK, ROWS, VOCABULARY, watch

mine = {"04.1 softmax": softmax, "04.3 forward KL": forward_kl, "04.4 gradient": forward_kl_backward}
lanes = lanes_explorer(watch(mine), ROWS, VOCABULARY, BLOCK)
lanes.show()

# %% tags=["hide-input"]
lanes.filmstrip(["all of 04.3 forward KL", "all of 04.4 gradient"])

# %% [markdown]
# Two kernels make a loss that PyTorch can differentiate; `own_loss` connects them.
# First, how often does the loss touch memory?

# %%
from kd_lab.lessons.l04_fused_softmax_kl.judge import own_loss

V = 2000
student, teacher = torch.randn(2, 1, V, generator=torch.Generator().manual_seed(seed))
loss = own_loss(forward_kl, forward_kl_backward, temperature=1.0)
with count_bytes() as traffic:
    loss(student.requires_grad_(), teacher).sum().backward()
visits = traffic.moved / student.nbytes
claim(
    "C04a",
    "Your kernels visit memory five times per pair of logits: two reads, two reads, one write.",
    visits,
    unit="visits per pair of logits",
    holds=5 <= visits <= 5.02,  # and a few numbers per row
)

# %% [markdown]
# **Is it right?** Value and gradient are compared with fp64, double precision.
# Every row gets a weight of its own, so that a wrong upstream shows.
# The library's kernels for all six divergences are tested beside yours.

# %%
from functools import partial

from kd_lab.lessons.l04_fused_softmax_kl.judge import against_fp64
from kd_lab.lessons.l04_fused_softmax_kl.triton_or_numpy import HAS_TRITON
from kd_lab.viz import DIVERGENCES

fused = "triton" if HAS_TRITON else "chunked"  # which of the library's backends is judged here
at_two = partial(softmax_kl, temperature=2.0, reduction="none")
formulas = {name: partial(at_two, divergence=name) for name in DIVERGENCES}
own = own_loss(forward_kl, forward_kl_backward, temperature=2.0)
errors = {"yours": []} | {name: [] for name in formulas}
for s in range(5):
    generator = torch.Generator().manual_seed(100 * seed + s)
    student, teacher = 3 * torch.randn(2, 2, 1271, generator=generator)  # 1271 = 31 · 41
    weights = torch.rand(2, generator=generator) + 0.5
    errors["yours"].append(against_fp64(own, formulas["forward_kl"], student, teacher, weights))
    for name, formula in formulas.items():
        library = partial(formula, backend=fused)
        errors[name].append(against_fp64(library, formula, student, teacher, weights))

# %% tags=["hide-input"]
import numpy as np

errors = {name: np.array(found) for name, found in errors.items()}
for name, found in errors.items():
    print(f"{name:16s} largest error of a value {found[:, 0].max():.1e}, of a gradient {found[:, 1].max():.1e}")
claim(
    "C04b",
    "Value and gradient of the kernels written here equal fp64 to the digits that fp32 has.",
    errors["yours"].max(1),
    unit="relative error, the larger of value and gradient",
    below=3e-6,
    scale="log",
)
claim(
    "C04b",
    "So do the library's, for six divergences.",
    np.max([errors[name].max(1) for name in DIVERGENCES], axis=0),
    unit="relative error, the largest of all",
    below=3e-6,
    scale="log",
)

# %% [markdown]
# ## 5 · Almost zero (second sitting)
#
# That student was far from its teacher. If training goes well, it ends near.

# %%
predict("04.b")

# %% [markdown]
# The formula subtracts $\mathrm{lse}_t-\mathrm{lse}_s$ from a mean difference of logits.
# The logits of the next picture stand around 20, as those of a language model may, so that each lse is near 31, where neighbouring fp32 numbers are $2\cdot10^{-6}$ apart.
# A difference of two such numbers cannot resolve $5\cdot10^{-7}$, however carefully each of them was summed.
#
# **Derive.** There is another formula. With $d=\log(p/q)$,
#
# $$\mathrm{KL}(p\|q)=\sum_v\,(p_v d_v-p_v+q_v),$$
#
# since $\sum p=\sum q=1$. It looks like the same sum with a zero added.
# But suppose that rounding made $\mathrm{lse}_t$ too large by $\varepsilon$.
# Then every $p_v$ is too small by the factor $e^{-\varepsilon}$, and every $d_v$ too small by $\varepsilon$.
# To first order $\sum p\,d$ loses $\varepsilon(1+\mathrm{KL})$, and $-\sum p$ gains $\varepsilon$.
# What is left is a loss of $\varepsilon\cdot\mathrm{KL}$, which vanishes with the KL, and a term of second order, $\varepsilon^2/2$, which does not: at $\varepsilon=10^{-6}$ it is $5\cdot10^{-13}$.
#
# Besides, each term is $p\,(e^{-d}-1+d)\ge0$: only the rounding of the terms themselves can still make the sum negative.
#
# ### Exercise 04.5 · A steady sum (●●○, 8 minutes)
#
# The backward pass has $p$, $q$ and $d$ in registers anyway.
# One case of the check gives you an lse that is off by a hundredth.


# %%
@exercise("04.5")
@triton.jit
def steady_kl(
    student, teacher, student_lse, teacher_lse, kl, vocabulary, temperature, BLOCK: tl.constexpr
):  # fmt: skip
    """Σ (p·d − p + q), d = log(p/q), of rows of logits [N, V] into kl [N], from both lse [N]."""
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Subtract each lse right after the load: then `x` is log q, `y` is log p and $d$ is their difference.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `tl.where(p > 0, p * (y - x), 0.0) - p + q`, summed.
#
# </details>

# %% [markdown] tags=["solution:04.5"]
# solution

# %%
from kd_lab.lessons.l04_fused_softmax_kl.judge import rows_at


def values(student, teacher):
    """KL of each row by 04.3, by 04.5, by the library's kernel, and in fp64: [4, N]."""
    kl, student_lse, teacher_lse, steady = torch.zeros(4, len(student))
    grid, V = (len(student),), student.shape[1]
    forward_kl[grid](student, teacher, kl, student_lse, teacher_lse, V, 1.0, BLOCK=4096)
    steady_kl[grid](student, teacher, student_lse, teacher_lse, steady, V, 1.0, BLOCK=4096)
    library = softmax_kl(student, teacher, reduction="none", backend=fused)
    exact = softmax_kl(student.double(), teacher.double(), reduction="none")
    return torch.stack([kl.double(), steady.double(), library.double(), exact]).numpy()


def measure(level, spread):
    """Values and fp64 for five seeds: [5, 4, N]."""
    generators = [torch.Generator().manual_seed(100 * seed + s) for s in range(5)]
    return np.array([values(*rows_at(level, generator, spread)) for generator in generators])


LEVELS = [5e-1, 5e-3, 5e-5, 5e-7]
measured = np.array([measure(level, spread=2) for level in LEVELS])  # [level, seed, way, row]

# %% tags=["hide-input"]
from kd_lab.lessons.l04_fused_softmax_kl.figures import near_zero_figure

WAYS = ["one pass (04.3)", "Σ(p·d − p + q) (04.5)", "the library's"]
relative = np.abs(measured[:, :, :3] / measured[:, :, 3:] - 1).max(-1)  # [level, seed, way]
show(
    near_zero_figure(LEVELS, dict(zip(WAYS, relative.max(1).T))),
    "From left to right the student gets better. The one-pass value loses two digits for every factor of a hundred and ends above the thin "
    "line, at which the error is as large as the value. From 5·10⁻³ on the steady sum keeps about two digits more; the library's kernel loses none.",
    alt="Relative error against KL, both logarithmic, KL falling to the right: the one-pass curve climbs to 1, the steady sum and the "
    "library's kernel stay far below.",
)
negative = measured[-1, :, 0] < 0
reveal("04.b", share=negative.mean())
claim(
    "C04c",
    "At KL = 5e-7 some of the one-pass values are negative.",
    negative.sum(),
    unit=f"of {negative.size} rows",
    holds=negative.any(),
)
claim(
    "C04c",
    "Σ(p·d − p + q) is not negative for any row, at any KL of the grid.",
    (measured[:, :, 1] < 0).sum(),
    unit=f"of {measured[:, :, 1].size} rows",
    holds=(measured[:, :, 1] >= 0).all(),
)
claim(
    "C04c",
    "At KL = 5e-7 the largest relative error of Σ(p·d − p + q) is more than ten times smaller.",
    relative[-1, :, 0] / relative[-1, :, 1],
    unit="times smaller",
    above=10,
    scale="log",
)

# %% [markdown]
# Is that all? The steady sum cancels the error of the normalisers.
# But $p$ and $q$ are rounded too, independently of each other, and $q-p$ inherits both errors.
# A teacher that is sure of a few tokens is the harder test: their rounding errors do not average out.
# (With few tokens that count, the KL varies from row to row: $5\cdot10^{-7}$ is only what it is aimed at.)

# %%
peaked = measure(5e-7, spread=4)
off = np.abs(peaked[:, :3] / peaked[:, 3:] - 1).max(-1)  # [seed, way]

# %% tags=["hide-input"]
for way, column in zip(WAYS, range(3)):
    print(f"{way:24s} largest relative error {off[:, column].max():8.1e},", end=" ")
    print(f"lowest value {peaked[:, column].min():9.1e}")
claim(
    "C04c",
    "For a peaked teacher the library's value still has at least three digits.",
    off[:, 2],
    unit="largest relative error at KL = 5e-7",
    below=1e-3,
    scale="log",
)

# %% [markdown]
# The steady sum has no correct digit in its worst row either, and its lowest value is negative.
#
# The library's kernels never compute that $q-p$.
# They carry the mean of $y-x$ as a pivot. For a token's deviation $\delta$ from it they add $p\,\varphi(\delta)$, with $\varphi(\delta)=e^{-\delta}-1+\delta$ near 0 by its series; the KL is $\log(1+\sum p\,\varphi)$.
# Nothing cancels in one pass; `kd_lab/how/kernels/tile.py` derives it.
#
# A wrong *loss* can be forgiven: the gradient comes from $q-p$.
# A wrong *measurement* cannot.
# Early stopping, final KLs, the loss of a quantised model: all are read near zero.
#
# ## In the wild
#
# The rescaled sum is the online softmax of Milakov and Gimelshein (2018), up to 1.3 times faster than the usual one.
# FlashAttention (2022) carries a weighted sum along in the same way, with attention's values where we have $y-x$; its authors trained GPT-2, at 1,024 tokens, three times faster than with Hugging Face.
# As vocabularies grew, losses deserved the same care: GPT-2 has 50,257 tokens, Llama 3 128,256, Qwen3 151,936 with padding.
# Liger Kernel (2024), with losses, norms and activations fused in Triton, reports 20 % more throughput and 60 % less memory on average.
# Your kernels share the mathematics; of their speed the interpreter tells nothing.
#
# ## Discuss
#
# *For two people, ten minutes.* Your kernel passes its test: ten random rows, $V=1000$, tolerance $10^{-3}$. Which mistakes of this lesson can it still contain? Design five inputs that expose them.

# %% [markdown] tags=["teacher"]
# **Expected answers.** Still possible: an accumulator that is not rescaled, if the rows are short or one block holds them; a missing mask, if BLOCK divides V or what lies behind the row is harmless; a wrong upstream, if all weights are 1; τ on the value and not in the gradient, if τ = 1; overflow, if logits are small; a wrong row offset, if N = 1; no correct digit near zero, as the tolerance is absolute. Inputs: a row that rises by 100 over several blocks and one that falls; V prime, with NaN in the memory behind each row; weights that differ by row, and τ = 2; `loss.sum()`, whose upstream has stride 0; student = teacher plus noise of 10⁻³, held against fp64 *relatively*. Good further answers: −inf logits, 16-bit logits, N·V > 2³¹, logits that are a slice with another stride. **Misconceptions:** "the interpreter was slow, so the kernel is slow"; "a KL that is slightly negative is a bug in the mathematics" (it is rounding); "clamping repairs it". **Timing:** 35 and 45 minutes alone; in a class leave 04.4 and 04.5 for homework and do 04.3 together at the board, with the first explorer on the screen.

# %% [markdown]
# ## Recap
#
# 1. A kernel is written for one program. It loads blocks, and a mask keeps the lanes beyond the row from reading, from counting, and from writing.
# 2. Sums relative to a maximum can be computed in one pass: when the maximum moves, everything relative to it is rescaled, the KL accumulator too.
# 3. The gradient needs one more visit and two numbers per row. Upstream, 1/τ and the mask of the store are where it goes wrong.
# 4. Near 31, a difference of two lse has no digits below 10⁻⁶. Σ(p·d − p + q) cancels their error to first order, and gains about two digits; for a peaked teacher it can lose them all, and φ, computed from its series, keeps them.
# 5. Test with rows that rise, a V that no block divides, a weight per row, a τ that is not 1, and a student that is nearly its teacher.
#
# ## Quiz

# %%
quiz("04")

# %% [markdown]
# ## Glossary
#
# **Kernel** a function that runs on the GPU. **Program** one of its instances; here one per row. **Block** the columns that a program handles at once; its places are **lanes**. **Mask** which lanes touch memory. **lse** log Σ eˣ, the normaliser of a softmax. **Online** in one pass, with sums that are rescaled when the maximum moves. **Accumulator** a number that a program carries from block to block. **Upstream** the gradient of the final loss with respect to what a function returned. **Fused** many operations in one kernel, so that what lies between them is never written to memory.
#
# ## Papers
#
# - Milakov & Gimelshein, "Online normalizer calculation for softmax", [1805.02867](https://arxiv.org/abs/1805.02867), algorithm 3: the online pass.
# - Dao et al., "FlashAttention", [2205.14135](https://arxiv.org/abs/2205.14135), section 3.1: the same rescaling under a weighted sum.
# - Tillet, Kung & Cox, "Triton: an intermediate language and compiler for tiled neural network computations", MAPL 2019.
# - Hsu et al., "Liger Kernel", [2410.10989](https://arxiv.org/abs/2410.10989): fused and chunked losses for training.
# - Hinton, Vinyals & Dean, [1503.02531](https://arxiv.org/abs/1503.02531), equations 2 to 4: the gradient (q − p)/τ and the factor τ².
# - Schulman, "Approximating KL divergence", 2020, [joschu.net](http://joschu.net/blog/kl-approx.html): the same zero, Σ(q − p), used against sampling noise instead of rounding.
#
# ## Next
#
# [Lesson 05](05_where.ipynb) asks on whose text these losses should be measured. [Lesson 04b](04b_bytes_and_instructions.ipynb) is optional, and lesson 05 does not need it: how many bytes your kernel moves, how few would do, and what the compiler made of it.
