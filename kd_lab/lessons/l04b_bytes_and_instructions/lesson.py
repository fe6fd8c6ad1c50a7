# %% [markdown]
# # 04b · HOW: bytes, limits and instructions
#
# After this lesson you can count the bytes that a loss moves, say which limit of a GPU it meets first, and read from the compiler's output what became of your kernel, all without a GPU.

# %% tags=["hide-input"]
import os

os.environ["TRITON_INTERPRET"] = "1"  # before anything imports Triton: kernels run on this CPU, without a GPU

import torch

from kd_lab.lessons.l04b_bytes_and_instructions.figures import large_steps, staircase_figure
from kd_lab.lessons.l04b_bytes_and_instructions.plain import ELEMENTS, count, eager_forward_kl, eager_jsd
from kd_lab.viz import show

plain = {"forward_kl": count(eager_forward_kl, torch.bfloat16), "jsd": count(eager_jsd, torch.bfloat16)}
show(
    staircase_figure(plain["forward_kl"]),
    "Forward KL of 16-bit logits in plain PyTorch, forward and backward. Each step is an operation, and rises by what it reads and writes. "
    "All that the mathematics asks for is the dotted line: read two logits, write one gradient. "
    f"(JSD takes {len(large_steps(plain['jsd']))} such operations and {plain['jsd'].moved / ELEMENTS:.0f} bytes.)",
    alt="A staircase of bytes moved over the names of fifteen operations, from 6 to 122; a dotted line at six bytes lies at its foot.",
)

# %% [markdown] tags=["card"]
# **You will be able to**
# - count the bytes of a kernel, and of plain PyTorch, operation by operation;
# - tell what is *moved* from what is *held*, and what chunking saves;
# - place a kernel under the roof of a GPU;
# - read registers, spills and vector loads of your own kernel, and find a bug that no small test shows.
#
# **Optional:** lesson 05 does not need it.
#
# **Before this:** [lesson 04](04_fused_softmax_kl.ipynb), whose kernel of exercise 04.3 is compiled here.
#
# **Time:** 30 minutes to read and do. {{measured}}
#
# **Triton** has wheels for Linux only. On macOS and Windows the three cells that need it say so.

# %%
from kd_lab.classroom import claim, exercise, predict, quiz, reveal, setup
from kd_lab.how import softmax_kl
from kd_lab.lessons.l04b_bytes_and_instructions.triton_here import HAS_TRITON, tl, triton

seed = setup("04b")

# %% [markdown]
# ## 1 · Counting bytes
#
# A GPU computes far faster than it reads, so the cost of a loss over $N\times V$ logits is mostly that of the bytes it moves.
# The picture counts the bytes of this function, which is written as in most training code.

# %%
import inspect

print(inspect.getsource(eager_forward_kl))

# %% [markdown]
# **Eager** means one operation after another: each reads its inputs from memory and writes its result back.
# Below, `count` adds up these bytes as if no cache helped; for tensors larger than the cache, none does.
# *Per logit* means per row and column: a logit of the student's and one of the teacher's together.
# *Held* is what lies in memory at once beside the two tensors of logits.

# %%
predict("04b.a")

# %%
DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}
eager = {name: count(eager_forward_kl, dtype) for name, dtype in DTYPES.items()}
for dtype, ledger in eager.items():
    conversions = sum(step.name == "_to_copy" for step in ledger.steps)
    print(f"{dtype} logits: {ledger.moved / ELEMENTS:.0f} bytes per logit,", end=" ")
    print(f"{conversions} conversions, {ledger.peak / ELEMENTS:.0f} bytes held at the peak")
reveal("04b.a", fp32=eager["fp32"].moved / ELEMENTS)

# %% [markdown]
# **Derive.** How little would do?
# With 16-bit logits, 2 bytes for each of the two logits and 2 for the gradient, **6** in all, if the rows stay on the chip between the loss and its gradient.
# The registers of a multiprocessor, one of the hundred or so parts of a GPU that compute on their own, hold rows of some ten thousand columns; a kernel for such rows works on a **single tile**.
# Longer rows have to be read again from memory in each **sweep** over them; such a kernel **streams**.
# Forward KL needs two sweeps: one for both lse ($\log\sum e^x$, as in lesson 04) and the loss, one for the gradient.
# JSD, both skew KLs and total variation need one more between these two, because each of their terms needs both lse.
#
# ### Exercise 04b.1 · Bytes per logit (●○○, 5 minutes)
#
# A kernel sweeps over both rows `sweeps` times and writes the gradient in the last sweep.
# A number takes `size` bytes.
# From each sweep to the next a share `kept` of both rows stays on the chip.


# %%
@exercise("04b.1")
def bytes_per_logit(sweeps, size, kept):
    """Bytes moved per logit, forward and backward: numbers -> a number."""
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Count the first sweep, the later ones, and the gradient separately. What can be on the chip before the first sweep?
#
# </details>
# <details><summary>Hint 2</summary>
#
# Two sweeps over 16-bit rows of which nothing is kept: 4 + 4 + 2 = 10.
#
# </details>

# %% [markdown] tags=["solution:04b.1"]
# solution

# %%
DESIGNS = {  # divergence, V, gradient: sweeps, columns kept between them
    ("forward_kl", 16_384, "mean"): (2, 16_384),
    ("jsd", 8_192, "mean"): (3, 8_192),
    ("forward_kl", 128_256, "none"): (2, 0),
    ("jsd", 128_256, "none"): (3, 0),
}
designed = {}
for key, (sweeps, kept) in DESIGNS.items():
    designed[key] = bytes_per_logit(sweeps, 2, kept / key[1])
for (divergence, vocabulary, _), wanted in designed.items():
    print(f"{divergence:11s} V = {vocabulary:7,d}   by your formula {wanted:5.2f} bytes per logit")

# %% [markdown]
# Do the library's kernels keep to that? The interpreter counts what they load and store.
# `reduction="none"` returns one loss per row, so the gradient has to wait for the upstream gradient.
# With `"mean"` the upstream is known beforehand, up to one common factor, and the second sweep can follow at once.
# A sweep that follows at once runs backwards, beginning with the blocks that are still on the chip: three of 4,096 columns for forward and reverse KL, two for JSD, whose second sweep follows at once with either reduction.

# %%
if HAS_TRITON:
    from kd_lab.lessons.l04b_bytes_and_instructions.triton_here import count_bytes

    BUDGETS = {key: wanted + 0.1 for key, wanted in designed.items()}  # and a few numbers per row
    BUDGETS |= {("forward_kl", 128_256, "mean"): 9.7, ("reverse_kl", 128_256, "mean"): 9.7}
    counted = {}
    for divergence, vocabulary, reduction in BUDGETS:
        generator = torch.Generator().manual_seed(seed)
        student, teacher = torch.randn(2, 1, vocabulary, generator=generator).bfloat16()
        options = {"divergence": divergence, "reduction": reduction, "backend": "triton"}
        with count_bytes() as traffic:
            softmax_kl(student.requires_grad_(), teacher, **options).sum().backward()
        counted[divergence, vocabulary, reduction] = traffic.moved / vocabulary

# %% tags=["hide-input"]
if HAS_TRITON:
    for key, found in counted.items():
        print(
            f"{key[0]:11s} V = {key[1]:7,d}  {key[2]:4s}  {found:6.2f} of at most {BUDGETS[key]:5.2f} bytes per logit"
        )
    claim(
        "C04a",
        "The library's kernels, forward and backward, keep their budget of bytes.",
        min(BUDGETS[key] - counted[key] for key in BUDGETS),
        unit="bytes per logit below the budget, where it is tightest",
        holds=all(counted[key] <= BUDGETS[key] for key in BUDGETS),
    )
    times = eager["bf16"].moved / ELEMENTS / counted["forward_kl", 128_256, "none"]
    claim(
        "C04a",
        "Plain PyTorch moves more than ten times the bytes of the streaming kernel.",
        times,
        unit="times the bytes, 16-bit logits",
        holds=times > 10,
    )
else:
    print("This cell counts the library's kernels and needs Triton, which has no wheel for this system.")

# %% [markdown]
# ## 2 · In gigabytes
#
# **Chunking**, the remedy of many training libraries, runs the plain operations on a few rows at a time.
# It *holds* less memory at once. It *moves* as much as before, unless a chunk fits into a cache.
# The picture below takes the chunk itself to be small, so that chunking holds the gradient alone.
#
# **Explore.** Set the size of a batch and watch the two costs separately.
# The axes are logarithmic: equal distances are equal factors.

# %% tags=["hide-input"]
from kd_lab.lessons.l04b_bytes_and_instructions.explorers import traffic_explorer

traffic = traffic_explorer(
    {dtype: ledger.moved / ELEMENTS for dtype, ledger in eager.items()},
    {dtype: ledger.peak / ELEMENTS for dtype, ledger in eager.items()},
)
traffic.show()

# %% tags=["hide-input"]
traffic.filmstrip([{}, "small vocabulary"])

# %% [markdown]
# ## 3 · In milliseconds
#
# A kernel can be no faster than its memory, and no faster than its arithmetic.
# The arithmetic that matters here is the **exponential**.
# Special units compute it: a multiprocessor has 16 of them, against 64 or 128 for multiplications.
#
# The kernels of lesson 04 compute four exponentials per column: one for each lse, then $q$ and $p$.
# So does eager, and so does the library's single tile, which keeps the raw logits of its rows.
# Four is not the minimum: a tile that kept $e^{x-m_s}$ and $e^{y-m_t}$ from its first visit, in fp32, would need two, and registers for twice as many bytes.
#
# ### Exercise 04b.2 · The roof (●○○, 5 minutes)
#
# How long does a computation take at least, if memory and the units for exponentials each have their own speed and work at the same time?


# %%
@exercise("04b.2")
def least_seconds(bytes_moved, exponentials, bandwidth, rate):
    """Seconds, at the least, with bandwidth and rate per second: numbers -> a number."""
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Compute both times. Does one of them have to wait until the other has finished?
#
# </details>
# <details><summary>Hint 2</summary>
#
# The work is done when the slower of the two is done.
#
# </details>

# %% [markdown] tags=["solution:04b.2"]
# solution

# %%
columns = 8192 * 128_256  # the batch of lesson 04
bandwidth, rate = 3.35e12, 4.19e12  # H100 SXM: bytes and exponentials per second
for design, moved in {"eager": eager["bf16"].moved / ELEMENTS, "streaming": 10.0}.items():
    milliseconds = 1e3 * least_seconds(moved * columns, 4 * columns, bandwidth, rate)
    print(f"{design:9s} at least {milliseconds:5.1f} ms on an H100")

# %% [markdown]
# **Explore.** The same as a picture, the **roofline**: its slope is the bandwidth, its ceiling the rate of exponentials.
# Bandwidths and fp32 rates are those that the manufacturers publish; the ceiling is derived from them.
# *Tile of weights* is the hypothetical single tile that keeps its exponentials.

# %% tags=["hide-input"]
from kd_lab.lessons.l04b_bytes_and_instructions.explorers import roof_explorer

roof = roof_explorer(eager["bf16"].moved / ELEMENTS)
roof.show()

# %% tags=["hide-input"]
roof.filmstrip([{}, "B200, small vocabulary"])

# %% [markdown]
# All these times are lower limits: no kernel quite reaches the published bandwidth.
# What matters is the *place* under the roof.
# Eager lies far down the slope, where faster arithmetic would not help at all.
# The kernels lie much nearer to the corner.
# On a B200, whose bandwidth grew more than its rate of exponentials, our single tile with its four exponentials is past the corner.
# To get faster there, it must save exponentials and not bytes; with two of them per column, memory would be the limit again.
#
# ## 4 · What the compiler made of it
#
# The interpreter checks values, not speed.
# But Triton can compile for a GPU that this machine does not have.
# Below is the kernel of exercise 04.3. **Put your own in its place** if you have it at hand.


# %%
from kd_lab.lessons.l04b_bytes_and_instructions.triton_here import load_block


@triton.jit
def forward_kl(
    student, teacher, kl, student_lse, teacher_lse, vocabulary, temperature, BLOCK: tl.constexpr
):  # fmt: skip
    n = tl.program_id(0)
    top_s, top_t, total_s, total_t, excess = float("-inf"), float("-inf"), 0.0, 0.0, 0.0
    for start in range(0, vocabulary, BLOCK):
        x = load_block(student + n * vocabulary, start, vocabulary, BLOCK) / temperature
        y = load_block(teacher + n * vocabulary, start, vocabulary, BLOCK) / temperature
        new_s, new_t = tl.maximum(top_s, tl.max(x, 0)), tl.maximum(top_t, tl.max(y, 0))
        total_s = total_s * tl.exp(top_s - new_s) + tl.sum(tl.exp(x - new_s), 0)
        weight, shrink = tl.exp(y - new_t), tl.exp(top_t - new_t)
        total_t = total_t * shrink + tl.sum(weight, 0)
        excess = excess * shrink + tl.sum(weight * tl.where(weight > 0, y - x, 0.0), 0)
        top_s, top_t = new_s, new_t
    tl.store(student_lse + n, top_s + tl.log(total_s))
    tl.store(teacher_lse + n, top_t + tl.log(total_t))
    tl.store(kl + n, excess / total_t - (top_t + tl.log(total_t) - top_s - tl.log(total_s)))


# %% [markdown]
# On a GPU a program is the work of some **threads**, each with its own share of the lanes; 32 threads are a **warp**.
# The next cell sends this kernel to a process without the interpreter, compiles it for an H100 (`sm_90`) and reads three things off the result.
# **Registers** hold the numbers that a thread keeps on the chip, 255 at most.
# **Spills** are the bytes per thread that did not fit into them and go to memory after all; what is written there and what is read back are added up.
# A **vector load** brings 16 bytes at once, a scalar load a single number.

# %%
predict("04b.b")

# %%
from kd_lab.classroom.diagnosis import find_exercise
from kd_lab.lessons.l04b_bytes_and_instructions.own_kernel import compile_or_fall_back

TYPES = {"student": "*bf16", "teacher": "*bf16", "vocabulary": "i32", "temperature": "fp32"}
TYPES |= dict.fromkeys(("kl", "student_lse", "teacher_lse"), "*fp32")
VARIANTS = [
    {"BLOCK": 4096, "num_warps": 8, "vocabulary": 128_256},
    {"BLOCK": 4096, "num_warps": 8, "vocabulary": 50_257},
    {"BLOCK": 16_384, "num_warps": 8, "vocabulary": 128_256},
    {"BLOCK": 32_768, "num_warps": 8, "vocabulary": 128_256},
]
if HAS_TRITON:
    compiled = compile_or_fall_back(forward_kl, find_exercise("04.3").reference, TYPES, VARIANTS)

# %% tags=["hide-input"]
if HAS_TRITON:
    print("      V   BLOCK   registers   spilled bytes   vector loads   scalar loads")
    for variant, made in zip(VARIANTS, compiled, strict=True):
        print(
            f"{variant['vocabulary']:7,d}  {variant['BLOCK']:6,d}   {made.registers:9d}   {made.spills:13d}   "
            f"{made.vector_loads:12d}   {made.scalar_loads:12d}"
        )
else:
    print("This cell compiles, and needs Triton, which has no wheel for this system.")
reveal("04b.b", vector_loads=compiled[1].vector_loads if HAS_TRITON else None)

# %% [markdown]
# A block of 32,768 columns is too large: what does not fit into registers is written to memory and read back.
# For an odd $V$ the library handles the partial block separately, so that all others need no mask, and pads the rows of its gradient to a multiple of 16 numbers. That makes its stores vectors; its loads are vectors only if the rows of the logits are padded as well.
#
# The compiled text is PTX, the assembly language of NVIDIA's virtual machine.
# Four kinds of line are worth looking for.

# %% tags=["hide-input"]
if HAS_TRITON:
    import re

    lines = [line.strip() for line in compiled[0].ptx.splitlines()]
    WANTED = {
        "a vector load, four registers of two bf16 each": r"ld\.global\.v4",
        "an exponential, which is 2 to the power of": r"ex2\.approx",
        "a step of tl.max or tl.sum across the threads": r"shfl\.sync\.bfly",
        "where the row begins, n·V": r"mul\.lo\.s32",
    }
    for what, pattern in WANTED.items():
        hits = [line for line in lines if re.search(pattern, line)]
        print(f"{what} ({len(hits)} such lines):\n    {hits[0] if hits else 'none'}")
else:
    print("There is no PTX without Triton.")

# %% [markdown]
# Eight warps are 256 threads, so each thread holds 4,096 / 256 = 16 columns of a block.
# The kernel above has 34 exponentials: two per column, as section 3 counted for a forward pass, and two that rescale.
#
# The last line is a bug.
# `mul.lo.s32` keeps 32 bits of $n\cdot V$, one of them for the sign.
# From $2^{31}$ on the product overflows, and the kernel reads somewhere else: with luck it crashes, without luck nobody notices.
#
# ### Exercise 04b.3 · The first lost row (●○○, 4 minutes)
#
# From which row on are the results wrong?


# %%
@exercise("04b.3")
def first_lost_row(vocabulary):
    """The first row n whose beginning, element n·V, is above 2³¹ − 1: an integer -> an integer."""
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Try a $V$ that divides $2^{31}$, such as 65,536, and another that does not.
#
# </details>
# <details><summary>Hint 2</summary>
#
# The smallest $n$ with $nV\ge2^{31}$.
#
# </details>

# %% [markdown] tags=["solution:04b.3"]
# solution

# %%
row = first_lost_row(128_256)
print(f"V = 128,256: row {row:,}, in sequence {row // 8192 + 1} of a batch, at 8,192 tokens each")

# %% [markdown]
# A test with a hundred rows never meets it; a training step does.
# The remedy is to make $n$ a 64-bit number before the product: `n = tl.program_id(0).to(tl.int64)`.
# `make kernels` prints registers, spills and vector loads for every kernel of the library.
# These compute their rows in 64 bits, and none spills.
#
# ## 5 · On this CPU
#
# The idea works without a GPU too.
# The library's CPU path takes so few rows at a time that they stay in the cache, and computes the gradient while they are there.
# The comparison with eager has both at once, and does not say which of them helps more.

# %%
predict("04b.c")

# %%
from kd_lab.lessons.l04b_bytes_and_instructions.plain import held
from kd_lab.viz import DIVERGENCES

student, teacher = torch.randn(2, 256, 50_257, generator=torch.Generator().manual_seed(seed))
student.requires_grad_()
WAYS = {
    "forward_kl": (
        lambda q, p: eager_forward_kl(q, p, 2.0).mean(),
        lambda q, p: softmax_kl(q, p, divergence="forward_kl", temperature=2.0, backend="chunked"),
    ),
    "jsd": (
        lambda q, p: eager_jsd(q, p, 2.0).mean(),
        lambda q, p: softmax_kl(q, p, divergence="jsd", temperature=2.0, backend="chunked"),
    ),
}
peaks = {name: [held(loss, student, teacher) for loss in pair] for name, pair in WAYS.items()}

# %% tags=["hide-input"]
for name, (plainly, chunked) in peaks.items():
    print(f"{name:10s} holds {plainly:5.2f} tensors of the size of the logits at its peak, chunked {chunked:4.2f}")
    claim(
        "C04d",
        f"The chunked path's peak memory for {DIVERGENCES[name].label} is less than a third of eager's.",
        plainly / chunked,
        unit="times less",
        holds=plainly > 3 * chunked,
    )

# %% tags=["hide-input", "timing"]
import time

import numpy as np


def seconds(loss):
    student.grad = None
    start = time.perf_counter()
    loss(student, teacher).backward()
    return time.perf_counter() - start


ratios = {}
for name, pair in WAYS.items():
    rounds = [[seconds(loss) for loss in pair] for _ in range(8)]  # in turns, so that a busy moment meets both
    slow, fast = np.array(rounds[1:]).T  # the first one warms up
    ratios[name] = slow / fast
    print(f"{name:10s} eager {np.median(slow):.3f} s, chunked {np.median(fast):.3f} s")
reveal(
    "04b.c",
    forward_kl=np.median(ratios["forward_kl"]),
    jsd=np.median(ratios["jsd"]),
)
for name, values in ratios.items():
    claim(
        "C04d",
        f"On this CPU the chunked path is faster than eager for {DIVERGENCES[name].label}.",
        values,
        unit="times faster",
        over="rounds in turns",
        above=1,
        scale="log",
    )

# %% [markdown]
# ## In the wild
#
# At 32,768 tokens, a batch of 8 texts of 4,096, one tensor of 16-bit logits takes 8.4 GB for Llama 3 (128,256 tokens), 10 GB for Qwen3 (151,936) and 17 GB for Gemma 3 (262,144).
# Distillation has two of these, and a gradient.
# Liger Kernel (2024) never holds the whole: it loops over chunks of rows around the output layer's matrix product. For all its kernels together it reports 60 % less memory and 20 % more throughput on average.
# Our library's `linear_softmax_kl` does the same.
# What does not carry over from this page are the seconds: a CPU's caches are not a GPU's.
#
# ## Discuss
#
# *For two people, ten minutes.* The logits themselves are a product: hidden states $[N, d]$ times a head $[V, d]$. A colleague proposes to fuse this product into the kernel as well, so that not even the logits are ever written. What would be saved, and what would have to be computed twice? For which sizes of $d$ and $V$ is that a good trade? Would you rather have one kernel, or a loop over chunks of rows around an ordinary matrix product?

# %% [markdown] tags=["teacher"]
# **Expected answers.** Saved: both logits tensors (2·N·V) and their gradient, in memory and in traffic. Paid: the product costs 2·d operations per logit, and what is not kept has to be made again for the gradient: one more product for each side. If d is a few thousand the products dominate by far (2·4,096 operations against 10 bytes), so that recomputing them costs more than the traffic saved; with a small d (distilling into a small model) it can pay. The loop over chunks keeps the vendor's matrix product, which is hard to beat, and gets the memory down as well: this is what `linear_softmax_kl` does, and what most training libraries do. **Misconceptions:** "fusing is always faster" (memory and time are different savings: chunking saves the first and not the second); "fp32 logits must cost twice" (in eager they cost less: there is nothing to convert); "four exponentials are the minimum" (they are what these kernels make). **Timing:** 30 minutes alone; in a class sections 1 and 4 are enough.

# %% [markdown]
# ## Recap
#
# 1. In plain PyTorch a loss over two tensors of logits is limited by memory: 6 bytes per 16-bit logit would do, it moves 122, and 104 if the logits are in fp32.
# 2. Moved and held are two costs. Chunking lowers what is held; a kernel that visits each logit once or twice lowers both.
# 3. The slower of memory and arithmetic decides. Eager lies far down the slope, a kernel that moves 6 to 10 bytes per logit near the corner.
# 4. The compiler's output shows registers, spills and vector loads without a GPU. In our kernel an odd V costs every vector load, and a block that is too large spills.
# 5. n·V in 32 bits overflows beyond 2³¹ − 1, with Llama 3's vocabulary in the third sequence of 8,192 tokens; no small test shows it.
#
# ## Quiz

# %%
quiz("04b")

# %% [markdown]
# ## Glossary
#
# **Eager** one tensor operation after another, each through memory. **Tile** a block of a row that is kept on the chip. **Streaming** reading rows block by block, anew in each **sweep** over them. **Chunking** plain operations on a few rows at a time. **Roofline** the two limits, memory and arithmetic, against the work that a computation does per byte. **Register** a number that a thread keeps on the chip. **Spill** what does not fit into registers and is put into memory. **PTX** NVIDIA's portable assembly.
#
# ## Papers
#
# - Williams, Waterman & Patterson, "Roofline", Communications of the ACM 52(4), 2009.
# - Hsu et al., "Liger Kernel", [2410.10989](https://arxiv.org/abs/2410.10989): fused and chunked losses for training.
# - Milakov & Gimelshein, "Online normalizer calculation for softmax", [1805.02867](https://arxiv.org/abs/1805.02867): memory accesses counted for each variant of softmax.
# - Hinton, Vinyals & Dean, [1503.02531](https://arxiv.org/abs/1503.02531), equations 2 to 4: the gradient that is written once.
#
# ## Next
#
# [Lesson 05](05_where.ipynb) asks on whose text these losses should be measured.
