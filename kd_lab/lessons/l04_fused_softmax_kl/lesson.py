# %% [markdown]
# # 04 · HOW: a fused softmax-KL in Triton
#
# After this lesson you can write the loss of knowledge distillation as one GPU kernel, say how many bytes it moves and why no kernel can move fewer than so many, and tell a kernel that is right from one that only looks right.

# %% [markdown]
# *Triton has wheels for Linux only. On macOS and Windows this notebook runs all the same: your kernels then run in a small stand-in written in NumPy, the explorers work as they do elsewhere, and the three cells that need Triton itself say so.*

# %% tags=["hide-input"]
import os

os.environ["TRITON_INTERPRET"] = (
    "1"  # before anything imports Triton: kernels run on this CPU, interpreted, without a GPU
)

# %% tags=["hide-input"]
import numpy as np
import torch
import torch.nn.functional as F

from kd_lab.lessons.l04_fused_softmax_kl.ledger import Ledger
from kd_lab.viz import BASELINE, DIVERGENCES, course_style, new_figure, show


def eager_forward_kl(student_logits, teacher_logits, temperature):
    """The loss as it stands in most training code: τ²·KL(p‖q) at each position, one tensor operation after another."""
    student_logp = F.log_softmax(student_logits.float() / temperature, dim=-1)
    teacher_logp = F.log_softmax(teacher_logits.float() / temperature, dim=-1)
    return F.kl_div(student_logp, teacher_logp, log_target=True, reduction="none").sum(-1) * temperature**2


def eager_jsd(student_logits, teacher_logits, temperature, beta=0.5):
    """The same for JSD(β), in log space."""
    student_logp = F.log_softmax(student_logits.float() / temperature, dim=-1)
    teacher_logp = F.log_softmax(teacher_logits.float() / temperature, dim=-1)
    mixture_logp = torch.logaddexp(np.log(beta) + teacher_logp, np.log1p(-beta) + student_logp)
    teacher_part = (teacher_logp.exp() * (teacher_logp - mixture_logp)).sum(-1)
    student_part = (student_logp.exp() * (student_logp - mixture_logp)).sum(-1)
    return (beta * teacher_part + (1 - beta) * student_part) * temperature**2


def ledger_of(loss, dtype, rows=32, vocabulary=2048):
    """The bytes that one forward and backward pass reads, writes and holds."""
    generator = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(2, rows, vocabulary, generator=generator).to(dtype)
    student.requires_grad_()
    with Ledger() as ledger:
        loss(student, teacher, 2.0).mean().backward()
    return ledger


elements = 32 * 2048
ledgers = {"forward KL": ledger_of(eager_forward_kl, torch.bfloat16), "JSD": ledger_of(eager_jsd, torch.bfloat16)}
large = {
    name: [step for step in ledger.steps if step.read + step.written > elements] for name, ledger in ledgers.items()
}  # the others touch a number per row
steps = large["forward KL"]
moved = np.cumsum([0] + [step.read + step.written for step in steps]) / elements
hook = new_figure(760, 360)
with course_style():
    axes = hook.subplots()
    axes.stairs(moved[1:], range(len(moved)), fill=True, color=DIVERGENCES["forward_kl"].color, alpha=0.25)
    axes.stairs(moved[1:], range(len(moved)), baseline=None, color=DIVERGENCES["forward_kl"].color, linewidth=2)
    axes.axhline(6, **BASELINE.line)
    axes.text(len(steps) - 0.1, 9, "needed: 6", ha="right", color=BASELINE.color)
    axes.text(len(steps) - 0.1, moved[-1] + 3, f"{moved[-1]:.0f}", ha="right", weight="bold")
    names = [
        step.name.replace("_to_copy", "convert").strip("_").replace("_", " ").replace(" data", "") for step in steps
    ]
    axes.set_xticks(np.arange(len(steps)) + 0.5, names, rotation=40, ha="right", rotation_mode="anchor")
    axes.tick_params(axis="x", length=0)
    axes.set(ylabel="bytes moved for each logit, so far", xlim=(0, len(steps)), ylim=(0, 138))
show(
    hook,
    "Forward KL of 16-bit logits in plain PyTorch, forward and backward: each step is an operation, and it rises by what the operation "
    "reads and writes. All that the mathematics asks for is the dotted line: read two logits, write one gradient. (JSD takes "
    f"{len(large['JSD'])} such operations and {ledgers['JSD'].moved / elements:.0f} bytes.)",
    alt="A staircase of bytes moved over the names of fifteen operations, from 6 to 122; a dotted line at six bytes lies at its foot.",
)

# %% [markdown] tags=["card"]
# **You will be able to**
# - write a Triton kernel: programs, blocks, masks;
# - compute a softmax, and a KL of two softmaxes, in one pass over rows of any length;
# - count the bytes of a kernel, and read what the compiler made of it, without a GPU;
# - find out whether a loss that is almost zero has any correct digit.
#
# **Before this:** [lesson 03](03_which_kl.ipynb), for the divergences and their gradients. No GPU and no CUDA.
#
# **Time:** 75 minutes to read and do. {{measured}}

# %%
from kd_lab.classroom import claim, exercise, predict, quiz, reveal, setup
from kd_lab.how import softmax_kl
from kd_lab.lessons.l04_fused_softmax_kl.triton_or_numpy import HAS_TRITON, count_bytes, load_block, tl, triton

seed = setup("04")

# %% [markdown]
# ## 1 · A kernel
#
# A GPU computes far faster than it reads. So what a loss costs is decided by how often its logits travel between memory and chip. Student and teacher logits have shape $[N, V]$: $N$ positions, $V$ tokens in the vocabulary. With $N=8192$ and $V=128256$ one such tensor has a thousand million elements, and the staircase above climbs over each of them.
#
# A **kernel** is a function that runs on the chip. In Triton it is written for one **program**; a launch, `kernel[(N,)]` and then the arguments in parentheses, starts $N$ of them, and `tl.program_id(0)` tells each which one it is. We give each program one row. A program handles **blocks** of columns: `tl.arange(0, BLOCK)` is a block of numbers, and arithmetic acts on all its **lanes** at once. Tensors arrive as pointers to their first element; `tl.load(pointer + offsets)` fetches a block, `tl.store` puts one back.
#
# $V$ is seldom a multiple of `BLOCK`. The last block has lanes without a column, and a **mask** keeps them from touching memory. Here is all of it in one kernel.


# %%
@triton.jit
def halve(source, out, vocabulary, BLOCK: tl.constexpr):
    row = tl.program_id(0) * vocabulary  # where this program's row begins
    for start in range(0, vocabulary, BLOCK):
        columns = start + tl.arange(0, BLOCK)
        x = tl.load(source + row + columns, mask=columns < vocabulary, other=0.0)  # lanes beyond the row hold `other`
        tl.store(out + row + columns, x / 2, mask=columns < vocabulary)


source = torch.arange(10.0).reshape(2, 5)
out = torch.zeros_like(source)
halve[(2,)](source, out, 5, BLOCK=4)  # two programs; a row of five takes two blocks of four
print(out)

# %% [markdown]
# The **interpreter** that the first cell switched on runs this in NumPy, one program after another: slow, exact, and able to say what went wrong. (Its *time* says nothing about a GPU.) `BLOCK` is a `constexpr`: the compiler knows it, and makes another kernel for another value.
#
# ### Exercise 04.1 · Softmax in three passes (●○○, 12 minutes)
#
# $\mathrm{softmax}(x)_v=e^{x_v-m}/\sum_u e^{x_u-m}$ with $m=\max_u x_u$: the quotient does not depend on $m$, but without it $e^{89}$ overflows in fp32. First pass: $m$. Second: the sum. Third: the quotient. You need `tl.max(x, 0)`, `tl.sum(x, 0)`, `tl.maximum(a, b)`, `tl.exp(x)`; `float("-inf")` may be a value and an `other`.


# %%
@exercise("04.1")
@triton.jit
def softmax(logits, probabilities, vocabulary, BLOCK: tl.constexpr):
    """softmax of logits [N, V] into probabilities [N, V]: program n takes row n and reads it three times."""
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
print(
    f"loaded {traffic.loaded / logits.nbytes:.0f} times the logits, stored {traffic.stored / logits.nbytes:.0f} times"
)

# %% [markdown]
# Equal to PyTorch's softmax, and we know what it moved: `count_bytes` watches every load and store, masked lanes left out.
#
# From here on one line loads a block: `load_block(row, start, vocabulary, BLOCK)` is the load you just wrote, with $-\infty$ beyond the row, and with one addition: it turns whatever comes into fp32 *before* any arithmetic. (16-bit log-probabilities would be wrong by more than the gradient of a student that is nearly done.)
#
# ## 2 · One pass
#
# Three passes read each logit three times. The sum seems to need the maximum first. Does it?

# %%
predict("04.a")

# %% [markdown]
# **Read a row block by block.** The left panel holds a row of logits; what has not been read is pale. A kernel remembers only a few numbers: the largest $y$ so far, the sum of $e^{y-\text{top}}$, and the *KL accumulator*, the sum of $e^{y-\text{top}}(y-x)$. All are relative to the maximum, which moves. Beneath, what they give is compared with the KL of what was read. Then let the kernel *forget* to rescale one sum, or both.

# %% tags=["hide-input"]
from kd_lab.lessons.l04_fused_softmax_kl.explorers import draw_online, move_online
from kd_lab.viz import Choice, Explorer, Slider

COLUMNS, WIDTH = 32, 4
chance = np.random.default_rng(seed)
bumps = chance.normal(0, 0.7, COLUMNS)
ROWS = {
    "rises": np.linspace(-2.5, 2.5, COLUMNS) + bumps,
    "falls": np.linspace(2.5, -2.5, COLUMNS) + bumps,
    "late peak": np.where(np.arange(COLUMNS) == 21, 3.0, bumps - 1),
}
OTHERS = {name: 0.7 * row + chance.normal(0, 0.8, COLUMNS) for name, row in ROWS.items()}
SLIPS = ["nothing", "KL accumulator", "both sums"]


def accumulators(student, teacher, read, slip):
    """Sum, KL accumulator and value after `read` blocks, from their definitions; a slip keeps the weights of the time."""
    y, x = teacher[: read * WIDTH], student[: read * WIDTH]
    tops = np.maximum.accumulate(y.reshape(-1, WIDTH).max(1)).repeat(WIDTH)  # the maximum when each block was added
    now, then = np.exp(y - y.max()), np.exp(y - tops)
    total = (then if slip == SLIPS[2] else now).sum()
    excess = ((now if slip == SLIPS[0] else then) * (y - x)).sum()
    gap = y.max() + np.log(total) - np.log(np.exp(x).sum())
    return total, excess, excess / total - gap


def read_blocks(artists, read, row, slip):
    student, teacher = OTHERS[row], ROWS[row]
    total, excess, given = np.transpose([accumulators(student, teacher, k, slip) for k in range(1, read + 1)])
    true = np.array([accumulators(student, teacher, k, SLIPS[0])[2] for k in range(1, read + 1)])
    move_online(artists, student, teacher, {"total": total, "excess": excess, "true": true, "given": given})
    return (
        f"After {read} of {COLUMNS // WIDTH} blocks the maximum is {teacher[: read * WIDTH].max():.2f}, the sum {total[-1]:.2f} "
        f"and the KL accumulator {excess[-1]:.2f}; the KL of what was read is {true[-1]:.3f} nats, the kernel gives {given[-1]:.3f}."
    )


online = Explorer(
    name="block by block",
    controls=[
        Slider("blocks read", 1, COLUMNS // WIDTH, 1, start=3),
        Choice("row", list(ROWS), start="rises"),
        Choice("forgets", SLIPS, start=SLIPS[0]),
    ],
    create=lambda figure: draw_online(
        figure, COLUMNS, WIDTH, logit_limits=(-4.2, 3.8), accumulator_limits=(-10, 22), value_limits=(-2.3, 1)
    ),
    update=read_blocks,
    presets={
        "all read": {"blocks read": 8},
        "accumulator forgotten": {"blocks read": 8, "forgets": SLIPS[1]},
        "falling, forgotten": {
            "blocks read": 8,
            "row": "falls",
            "forgets": SLIPS[1],
        },
        "late, both forgotten": {"blocks read": 8, "row": "late peak", "forgets": SLIPS[2]},
    },
    size=(760, 430),
)
online.show()

# %%
online.filmstrip()

# %% [markdown]
# Where the row *falls* its maximum comes first and the slip costs nothing: no test with such a row finds it. Where it *rises*, the terms of early blocks keep weights from a time when their logits were the largest.
#
# The mending is one multiplication. If the maximum moves from $m$ to $m'$, then $e^{y-m'}=e^{m-m'}e^{y-m}$ for every old term, so the old *sum* times $e^{m-m'}\le1$ is the new one. By hand, blocks of two: $y=(0,1\,|\,3,2)$. After the first block $m=1$ and the sum is $e^{-1}+1=1.368$. The second has its maximum at 3: $1.368\cdot e^{1-3}+(1+e^{-1})=0.185+1.368=1.553$, and $3+\ln1.553=3.440$ is $\ln(e^0+e^1+e^3+e^2)$.
#
# ### Exercise 04.2 · The online pass (●●○, 10 minutes)
#
# $\mathrm{lse}=\log\sum_v e^{x_v}$ of each row, each logit read once. The check counts.


# %%
@exercise("04.2")
@triton.jit
def logsumexp(logits, lse, vocabulary, BLOCK: tl.constexpr):
    """log Σ e^x of logits [N, V] into lse [N]: program n takes row n and reads it once."""
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# In the loop: load a block, find the new maximum, bring the old sum to it, add the block's own terms. In this order, and with the old maximum still at hand.
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
# ## 3 · The accumulators of KL
#
# Softened logits are $x=s/\tau$ (student) and $y=t/\tau$ (teacher), $q=\mathrm{softmax}(x)$, $p=\mathrm{softmax}(y)$. Then $\log p_v-\log q_v=(y_v-x_v)-(\mathrm{lse}_t-\mathrm{lse}_s)$, and the bracket does not depend on $v$:
#
# $$\mathrm{KL}(p\|q)=\sum_v p_v(\log p_v-\log q_v)=\frac{\sum_v e^{y_v-m_t}(y_v-x_v)}{\sum_v e^{y_v-m_t}}-(\mathrm{lse}_t-\mathrm{lse}_s)$$
#
# Three sums, two maxima, one pass. Whatever hangs on a maximum is rescaled when it moves.
#
# By hand, three tokens: $y=(2,1,0)$, $x=(1,1,1)$. $\mathrm{lse}_t=2.408$, $\mathrm{lse}_s=1+\ln3=2.099$. The mean of $y-x=(1,0,-1)$ under $p=(0.665,0.245,0.090)$ is $0.575$, and $0.575-(2.408-2.099)=0.266$ nats.
#
# ### Exercise 04.3 · Forward KL in one pass (●●●, 20 minutes)
#
# Soften at the load, so that everything after it is at $\tau=1$. Store three numbers per row: KL (without $\tau^2$) and both lse, which the backward pass will want. Mind the lanes beyond the row.


# %%
@exercise("04.3")
@triton.jit
def forward_kl(student, teacher, kl, student_lse, teacher_lse, vocabulary, temperature, BLOCK: tl.constexpr):
    """KL(p‖q) of rows of logits [N, V] into kl [N], and both log Σ e^x; each row of each side is read once."""
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Your kernel of 04.2 twice, once a side, in one loop; then a third sum beside the teacher's. Beyond the row $y-x$ is $-\infty-(-\infty)$, which is NaN, and $0\cdot\mathrm{NaN}$ is NaN too.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `weight, shrink = tl.exp(y - new_t), tl.exp(top_t - new_t)`, then `excess = excess * shrink + tl.sum(weight * tl.where(weight > 0, y - x, 0.0), 0)`.
#
# </details>

# %% [markdown] tags=["solution:04.3"]
# solution

# %%
reveal("04.a")

# %% [markdown]
# ## 4 · The backward pass
#
# The gradient of KL(p‖q) in $x$ is $q-p$ ([lesson 01](01_what.ipynb)), and $x=s/\tau$ brings a factor $1/\tau$. Autograd calls what arrives from above *upstream*: one number per row, $\partial(\text{final loss})/\partial\mathrm{KL}_n$. It carries the mean's $1/N$, a mask, a weight, and the $\tau^2$.
#
# With both lse at hand no maximum is needed: $q_v=e^{x_v-\mathrm{lse}_s}$ cannot overflow.
#
# ### Exercise 04.4 · The gradient (●●○, 10 minutes)


# %%
@exercise("04.4")
@triton.jit
def forward_kl_backward(
    student, teacher, student_lse, teacher_lse, upstream, gradient, vocabulary, temperature, BLOCK: tl.constexpr
):
    """upstream [N] times ∂KL(p‖q)/∂(student's logits) into gradient [N, V], from both log Σ e^(logit/τ)."""
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
# Your two kernels make a loss that PyTorch can differentiate. The judge is fp64 (double precision), value and gradient, with a different weight on every row, so that a wrong upstream shows. The library's kernels stand beside yours, for all five divergences.


# %% tags=["hide-input"]
class FusedForwardKL(torch.autograd.Function):
    """τ²·KL(p‖q) of each row, by your kernels."""

    @staticmethod
    def forward(ctx, student, teacher, temperature):
        kl, student_lse, teacher_lse = torch.zeros(3, len(student))
        forward_kl[(len(student),)](
            student, teacher, kl, student_lse, teacher_lse, student.shape[1], temperature, BLOCK=512
        )
        ctx.save_for_backward(student, teacher, student_lse, teacher_lse)
        ctx.temperature = temperature
        return kl * temperature**2

    @staticmethod
    def backward(ctx, upstream):
        student, teacher, student_lse, teacher_lse = ctx.saved_tensors
        gradient = torch.zeros_like(student)
        upstream = (upstream * ctx.temperature**2).contiguous()
        forward_kl_backward[(len(student),)](
            student, teacher, student_lse, teacher_lse, upstream, gradient, student.shape[1], ctx.temperature, BLOCK=512
        )
        return gradient, None, None


def value_and_gradient(loss, student, teacher, weights):
    """Losses and gradient in fp64: [N], [N, V]."""
    student = student.clone().requires_grad_()
    losses = loss(student, teacher)
    (losses * weights.to(losses.dtype)).sum().backward()
    return losses.detach().double(), student.grad.double()


def worst(got, expected):
    """The largest error of a value, relative, and of a gradient, relative to the row's largest entry."""
    value, gradient = ((a - b).abs() for a, b in zip(got, expected, strict=True))
    return (value / expected[0]).max().item(), (gradient / expected[1].abs().amax(-1, keepdim=True)).max().item()


fused = "triton" if HAS_TRITON else "chunked"  # which of the library's backends is judged here
errors = {"yours": []} | {name: [] for name in DIVERGENCES}
for s in range(3):
    generator = torch.Generator().manual_seed(100 * seed + s)
    student, teacher = 3 * torch.randn(2, 2, 1271, generator=generator)  # 1271 = 31 · 41: a multiple of no block
    weights = torch.rand(2, generator=generator) + 0.5
    for name in DIVERGENCES:
        options = {"divergence": name, "temperature": 2.0, "reduction": "none"}
        exact = value_and_gradient(
            lambda q, p, o=options: softmax_kl(q, p, **o), student.double(), teacher.double(), weights
        )
        got = value_and_gradient(
            lambda q, p, o=options: softmax_kl(q, p, backend=fused, **o), student, teacher, weights
        )
        errors[name].append(worst(got, exact))
        if name == "forward_kl":
            mine = value_and_gradient(lambda q, p: FusedForwardKL.apply(q, p, 2.0), student, teacher, weights)
            errors["yours"].append(worst(mine, exact))
errors = {name: np.array(found) for name, found in errors.items()}
for name, found in errors.items():
    print(f"{name:16s} largest error of a value {found[:, 0].max():.1e}, of a gradient {found[:, 1].max():.1e}")
claim(
    "C04b",
    "Value and gradient of the kernels written here equal fp64 to the digits that fp32 has.",
    errors["yours"].max(1),
    unit="relative error, the larger of value and gradient",
    holds=errors["yours"].max() < 3e-6,
)
library = np.max([errors[name].max(1) for name in DIVERGENCES], axis=0)
claim(
    "C04b",
    "So do the library's, for five divergences.",
    library,
    unit="relative error, the largest of all",
    holds=library.max() < 3e-6,
)

# %% [markdown]
# ## 5 · Almost zero
#
# That was a student far from its teacher. Training ends, with luck, near it.

# %%
predict("04.b")

# %% [markdown]
# The formula subtracts $\mathrm{lse}_t-\mathrm{lse}_s$ from a mean difference of logits. Each lse is near 10, where neighbouring fp32 numbers are $10^{-6}$ apart. A difference of such numbers cannot know what $5\cdot10^{-7}$ is, however carefully it was summed.
#
# There is another formula. With $d=\log(p/q)$,
#
# $$\mathrm{KL}(p\|q)=\sum_v\,(p_v d_v-p_v+q_v),$$
#
# since $\sum p=\sum q=1$. It looks like the same with a zero added. But suppose that rounding made $\mathrm{lse}_t$ too large by $\varepsilon$. Then every $p_v$ is too small by the factor $e^{-\varepsilon}$ and every $d_v$ too small by $\varepsilon$. $\sum p\,d$ loses $\varepsilon$. $-\sum p$ gains $\varepsilon$. What is left is $\varepsilon\cdot\mathrm{KL}$, which vanishes with the KL. And each term is $p\,(e^{-d}-1+d)\ge0$: the sum of terms that are never negative does not need luck.
#
# In the backward pass $p$, $q$ and $d$ are in registers anyway.
#
# ### Exercise 04.5 · A steady sum (●●○, 8 minutes)
#
# The check hands you an lse that is off by a hundredth.


# %%
@exercise("04.5")
@triton.jit
def steady_kl(student, teacher, student_lse, teacher_lse, kl, vocabulary, temperature, BLOCK: tl.constexpr):
    """Σ (p·d − p + q), d = log(p/q), of rows of logits [N, V] into kl [N], from both log Σ e^(logit/τ)."""
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

# %% tags=["hide-input"]
LEVELS = [5e-1, 5e-3, 5e-5, 5e-7]


def rows_at(level, generator, spread, rows=5, vocabulary=8192):
    """Logits of a student and of a teacher at about this KL: half the variance of their difference.

    They stand around 20 and not around 0, as the logits of language models do; a softmax does not see it, fp32 does.
    """
    teacher = 20 + spread * torch.randn(rows, vocabulary, generator=generator)
    return teacher + np.sqrt(2 * level) * torch.randn(rows, vocabulary, generator=generator), teacher


def three_values(student, teacher):
    """KL of each row by 04.3, by 04.5, by the library's kernel, and in fp64: [4, N]."""
    kl, student_lse, teacher_lse, steady = torch.zeros(4, len(student))
    grid, vocabulary = (len(student),), student.shape[1]
    forward_kl[grid](student, teacher, kl, student_lse, teacher_lse, vocabulary, 1.0, BLOCK=4096)
    steady_kl[grid](student, teacher, student_lse, teacher_lse, steady, vocabulary, 1.0, BLOCK=4096)
    library = softmax_kl(student, teacher, reduction="none", backend=fused)
    exact = softmax_kl(student.double(), teacher.double(), reduction="none")
    return torch.stack([kl.double(), steady.double(), library.double(), exact]).numpy()


def generator_of(s):
    return torch.Generator().manual_seed(100 * seed + s)


measured = np.array([[three_values(*rows_at(level, generator_of(s), spread=2)) for level in LEVELS] for s in range(3)])
relative = np.abs(measured[:, :, :3] / measured[:, :, 3:] - 1).max(-1)  # [seed, level, way]
ways = ["one pass (04.3)", "Σ(p·d − p + q) (04.5)", "the library's"]
print("largest relative error at KL =  " + "".join(f"{level:10.0e}" for level in LEVELS) + "    lowest value")
for way, column in zip(ways, range(3), strict=True):
    errors_here = "".join(f"{e:10.1e}" for e in relative[:, :, column].max(0))
    print(f"{way:32s}{errors_here}    {measured[:, -1, column].min():9.1e}")
below = (measured[:, -1, 0] < 0).mean(-1)
reveal("04.b", share=below.mean())

# %% tags=["hide-input"]
near = new_figure(760, 320)
with course_style():
    axes = near.subplots()
    for way, column, look in zip(
        ways, range(3), (BASELINE, DIVERGENCES["forward_kl"], DIVERGENCES["jsd"]), strict=True
    ):
        axes.plot(LEVELS, relative[:, :, column].max(0), **look.points, label=way)
    axes.axhline(1, color="#222222", linewidth=0.8)
    axes.set(xscale="log", yscale="log", xlabel="KL (nats)", ylabel="largest relative error", ylim=(1e-8, 1e3))
    axes.invert_xaxis()
    axes.legend(loc="upper left", ncols=3)
show(
    near,
    "From left to right the student gets better. The one-pass value loses two digits for every factor of a hundred and ends at the thin "
    "line, where the error is as large as the value. The steady sum keeps about two digits more; the library's kernel loses none.",
    alt="Relative error against KL, both logarithmic, KL falling to the right: the one-pass curve climbs past 1, the steady sum and the "
    "library's kernel stay far below.",
)
claim(
    "C04c",
    "Near q = p the one-pass value goes below zero.",
    below,
    unit="of the rows at KL = 5e-7",
    holds=below.max() > 0,
)
claim(
    "C04c",
    "Σ(p·d − p + q) does not, at any KL of the grid.",
    measured[:, :, 1].min((1, 2)) / 5e-7,
    unit="times 5e-7, the lowest value",
    holds=measured[:, :, 1].min() > 0,
)
claim(
    "C04c",
    "At KL = 5e-7 its largest relative error is more than twenty times smaller.",
    relative[:, -1, 0] / relative[:, -1, 1],
    unit="times smaller",
    holds=(relative[:, -1, 0] / relative[:, -1, 1]).min() > 20,
)

# %% [markdown]
# Is that all? It took care of the normalisers. But $p$ and $q$ are rounded too, each for itself, and $q-p$ shows it. A teacher that is sure of a few tokens, so that no average over many smooths it, is the harder test.

# %%
peaked = np.array([three_values(*rows_at(5e-7, generator_of(s), spread=4)) for s in range(3)])
off = np.abs(peaked[:, :3] / peaked[:, 3:] - 1).max(-1)  # [seed, way]
for way, column in zip(ways, range(3), strict=True):
    print(f"{way:24s} largest relative error {off[:, column].max():8.1e}   lowest value {peaked[:, column].min():9.1e}")
claim(
    "C04c",
    "For a peaked teacher the library's value still has at least three digits, and is never negative.",
    off[:, 2],
    unit="largest relative error at KL = 5e-7",
    holds=off[:, 2].max() < 1e-3 and peaked[:, 2].min() > 0,
)

# %% [markdown]
# The library's kernels compute no $q-p$ there. They carry the mean of $y-x$ along as a pivot and add up $\varphi(\delta)=e^{-\delta}-1+\delta$, by its series, of what deviates from it: nothing cancels, in one pass (the derivation stands in `kd_lab/how/kernels/tile.py`, beside each accumulator).
#
# A *loss* that is wrong here can be forgiven: the gradient comes from $q-p$ and not from the value. A *measurement* cannot. Early stopping, a table of final KLs, the question how much a quantised model differs: all live at this end of the axis.
#
# ## 6 · Counting bytes
#
# How little can be moved? For 16-bit logits (bf16): 2 bytes for each of the two logits, 2 for the gradient, **6** in all, if the row stays on the chip between its two visits. Registers hold rows of some ten thousand columns: a **single tile**. A longer row **streams** past twice: $4+6=10$, a little less if its last block is kept for the way back. JSD, skew KL and total variation need both lse before their first term: one sweep more, 14.

# %% tags=["hide-input"]
if HAS_TRITON:
    BUDGETS = {  # divergence, V, which gradient: bytes per logit that it may move
        ("forward_kl", 16_384, "mean"): 6.1,
        ("jsd", 8_192, "mean"): 6.1,
        ("forward_kl", 128_256, "none"): 10.1,
        ("reverse_kl", 128_256, "none"): 10.1,
        ("jsd", 128_256, "none"): 14.1,
        ("forward_kl", 128_256, "mean"): 9.7,
        ("reverse_kl", 128_256, "mean"): 9.7,
    }
    counted = {}
    for (divergence, vocabulary, reduction), budget in BUDGETS.items():
        student, teacher = torch.randn(2, 1, vocabulary, generator=torch.Generator().manual_seed(seed)).bfloat16()
        student.requires_grad_()
        with count_bytes() as traffic:
            softmax_kl(
                student, teacher, divergence=divergence, temperature=2.0, reduction=reduction, backend="triton"
            ).sum().backward()
        counted[divergence, vocabulary, reduction] = traffic.moved / vocabulary
        print(
            f"{divergence:11s} V = {vocabulary:7,d}  {reduction:4s}  {traffic.moved / vocabulary:6.2f}  of at most {budget:4.1f}"
        )
    excess = np.array([counted[key] - BUDGETS[key] for key in BUDGETS])
    claim(
        "C04a",
        "Every kernel of the library keeps its budget of bytes, forward and backward.",
        excess.max(),
        unit="bytes per logit above the budget, the worst",
        holds=excess.max() <= 0,
    )
    eager = ledgers["forward KL"].moved / elements
    claim(
        "C04a",
        "Plain PyTorch moves more than ten times the bytes of the streaming kernel.",
        eager / counted["forward_kl", 128_256, "none"],
        unit="times the bytes",
        holds=eager > 10 * counted["forward_kl", 128_256, "none"],
    )
else:
    print(
        "This cell counts the library's kernels and needs Triton, which has no wheel for this system. Yours can be counted below."
    )

# %% [markdown]
# `"none"` returns a loss for each row, so that the gradient has to wait for what comes from upstream; with `"mean"` that is known beforehand, and the gradient is made while the last tiles are still on the chip. Now yours.

# %%
V = 2000
student, teacher = torch.randn(2, 1, V, generator=torch.Generator().manual_seed(seed))
with count_bytes() as traffic:
    FusedForwardKL.apply(student.requires_grad_(), teacher, 1.0).sum().backward()
visits_made = traffic.moved / student.nbytes
claim(
    "C04a",
    "The kernels written here touch memory five times for each logit: twice to read, twice more, and once to write.",
    visits_made,
    unit="visits per logit, 2 bytes each in bf16",
    holds=5 <= visits_made <= 5.02,
)

# %% [markdown]
# ### What does that mean in gigabytes?
#
# Chunking, the remedy of many training libraries, runs the plain operations on a few rows at a time. It holds less; it moves as much as before, unless a chunk fits into a cache. Set the size of a batch and see the two costs apart. The numbers for *eager* come from the ledger of the first figure.

# %% tags=["hide-input"]
from kd_lab.lessons.l04_fused_softmax_kl.explorers import cost_bars, draw_roof, move_cost_bars, move_roof

ITEMSIZE = {"bf16": 2, "fp32": 4}
WIDEST = {"bf16": 16_384, "fp32": 12_288}  # columns of a row of each model that the registers hold, for the KLs
VOCABULARIES = {"8,192": 8192, "50,257 (GPT-2)": 50_257, "128,256 (Llama 3)": 128_256, "262,144 (Gemma 3)": 262_144}
plain = {
    dtype: ledger_of(eager_forward_kl, getattr(torch, name))
    for dtype, name in (("bf16", "bfloat16"), ("fp32", "float32"))
}


def bytes_moved(vocabulary, dtype):
    """Bytes a logit of forward KL, forward and backward, by design; None where a row is too wide."""
    size, eager = ITEMSIZE[dtype], plain[dtype].moved / elements
    return {
        "eager": eager,
        "chunked": eager,
        "streaming": 5 * size,
        "single tile": 3 * size if vocabulary <= WIDEST[dtype] else None,
    }


def bytes_held(vocabulary, dtype):
    """Bytes a logit at the peak beside the logits themselves; what grows with the number of rows only."""
    gradient = ITEMSIZE[dtype]
    single = gradient if vocabulary <= WIDEST[dtype] else None
    return {"eager": plain[dtype].peak / elements, "chunked": gradient, "streaming": gradient, "single tile": single}


def create_traffic(figure):
    left, right = figure.subplots(1, 2)
    names = ["eager", "chunked", "streaming", "single tile"]
    moved, held = (
        cost_bars(left, names, (0.03, 1e5), "GB moved"),
        cost_bars(right, names, (0.003, 1e4), "GB held at the peak"),
    )
    right.set_yticklabels([])
    return {"moved": moved, "held": held}


def update_traffic(artists, thousands, name, dtype):
    vocabulary = VOCABULARIES[name]
    gigabytes = 1024 * thousands * vocabulary / 1e9
    moved, held = (
        {design: None if b is None else b * gigabytes for design, b in table(vocabulary, dtype).items()}
        for table in (bytes_moved, bytes_held)
    )
    move_cost_bars(artists["moved"], moved, "GB")
    move_cost_bars(artists["held"], held, "GB")
    best = "single tile" if moved["single tile"] else "streaming"
    return (
        f"{thousands * 1024:,} tokens, V = {vocabulary:,}, {dtype}: eager moves {moved['eager']:,.3g} GB and holds {held['eager']:,.3g} GB; "
        f"the {best} kernel moves {moved[best]:,.3g} GB and holds {held[best]:,.3g} GB, which is the gradient."
    )


traffic_explorer = Explorer(
    name="bytes of a batch",
    controls=[
        Slider("N / 1024", 1, 64, 1, start=8),
        Choice("V", list(VOCABULARIES), start="128,256 (Llama 3)"),
        Choice("logits in", list(ITEMSIZE), start="bf16"),
    ],
    create=create_traffic,
    update=update_traffic,
    presets={
        "small vocabulary": {"V": "8,192"},
        "long batch": {"N / 1024": 64, "V": "262,144 (Gemma 3)"},
        "fp32": {"logits in": "fp32"},
    },
    size=(760, 260),
)
traffic_explorer.show()

# %%
traffic_explorer.filmstrip()

# %% [markdown]
# ### And in milliseconds?
#
# A kernel can be no faster than its memory, and no faster than its arithmetic. Here the arithmetic that counts is the **exponential**: four for each column (two lse, $q$ and $p$), made by special units, of which a multiprocessor has 16 where it has 64 or 128 for a multiplication. The **roofline** shows both limits: the slope is bandwidth, the ceiling the rate of exponentials. Bandwidths and fp32 rates are the makers' published ones; the ceiling is derived from them.

# %% tags=["hide-input"]
MACHINES = {  # TB/s; fp32 TFLOP/s; fp32 lanes of a multiprocessor
    "T4": (0.32, 8.1, 64),
    "RTX 4090": (1.008, 82.6, 128),
    "A100 80 GB": (2.039, 19.5, 64),
    "H100 SXM": (3.35, 67.0, 128),
    "H200 SXM": (4.8, 67.0, 128),
    "B200": (7.7, 75.0, 128),
}
EXPONENTIALS = 4  # a column, in the kernels written here; eager makes as many


def update_roof(artists, machine, name, thousands):
    bandwidth, flops, lanes = MACHINES[machine]
    peak = flops / 2 * 16 / lanes  # a multiply-add is two; 16 exponentials a clock
    vocabulary = VOCABULARIES[name]
    columns = 1024 * thousands * vocabulary / 1e12
    designs = bytes_moved(vocabulary, "bf16")
    intensities = {d: None if b is None else EXPONENTIALS / b for d, b in designs.items() if d != "chunked"}
    by_memory = {d: None if b is None else 1e3 * b * columns / bandwidth for d, b in designs.items() if d != "chunked"}
    by_exponentials = 1e3 * EXPONENTIALS * columns / peak
    times = {d: None if t is None else max(t, by_exponentials) for d, t in by_memory.items()}
    move_roof(artists, bandwidth, peak, intensities, times)
    best = "single tile" if times["single tile"] else "streaming"
    limit = "its memory" if by_memory[best] >= by_exponentials else "its exponentials"
    return (
        f"On {machine}, {thousands * 1024:,} tokens, V = {vocabulary:,}: eager needs at least {times['eager']:,.3g} ms, the {best} kernel "
        f"{times[best]:,.3g} ms; what limits the kernel is {limit}."
    )


roof_explorer = Explorer(
    name="roofline",
    controls=[
        Choice("GPU", list(MACHINES), start="H100 SXM"),
        Choice("V", list(VOCABULARIES), start="128,256 (Llama 3)"),
        Slider("N / 1024", 1, 64, 1, start=8),
    ],
    create=lambda figure: draw_roof(
        figure,
        ["eager", "streaming", "single tile"],
        intensity_limits=(0.01, 10),
        rate_limits=(0.005, 20),
        time_limits=(0.003, 3e6),
    ),
    update=update_roof,
    presets={
        "A100": {"GPU": "A100 80 GB"},
        "B200, small vocabulary": {"GPU": "B200", "V": "8,192"},
        "T4": {"GPU": "T4"},
    },
    size=(760, 330),
)
roof_explorer.show()

# %%
roof_explorer.filmstrip()

# %% [markdown]
# All of these are lower limits: no kernel reaches the published bandwidth, good ones come within a tenth. What to take away is the *place* under the roof. Eager stands far down the slope: faster arithmetic would not help it at all. The kernels stand near the corner. On the newest machines, whose memory grew faster than their special units, a single tile is limited by its exponentials: the next saving there is not a byte.
#
# ## 7 · What the compiler made of it
#
# The interpreter proves values, not speed. But Triton can compile for a GPU that is not here. The next cell sends *your* kernel of 04.3 to a process without the interpreter, compiles it for an H100 (`sm_90`) and reads three things off the result. **Registers**: what a thread keeps on the chip; 255 is the most. **Spills**: bytes that did not fit and go to memory after all. **Vector loads**: 16 bytes at once, against one number at a time.

# %%
predict("04.c")

# %%
if HAS_TRITON:
    from kd_lab.lessons.l04_fused_softmax_kl.own_kernel import compile_own_kernel

    TYPES = {"student": "*bf16", "teacher": "*bf16", "kl": "*fp32", "student_lse": "*fp32", "teacher_lse": "*fp32"}
    TYPES |= {"vocabulary": "i32", "temperature": "fp32"}
    VARIANTS = [
        {"BLOCK": 4096, "num_warps": 8, "vocabulary": 128_256},
        {"BLOCK": 4096, "num_warps": 8, "vocabulary": 50_257},
        {"BLOCK": 16_384, "num_warps": 8, "vocabulary": 128_256},
        {"BLOCK": 32_768, "num_warps": 8, "vocabulary": 128_256},
    ]
    compiled = compile_own_kernel(forward_kl, TYPES, VARIANTS)
    print("      V   BLOCK   registers   spilled bytes   vector loads   scalar loads")
    for variant, made in zip(VARIANTS, compiled, strict=True):
        print(
            f"{variant['vocabulary']:7,d}  {variant['BLOCK']:6,d}   {made.registers:9d}   {made.spills:13d}   "
            f"{made.vector_loads:12d}   {made.scalar_loads:12d}"
        )
    found = "for the odd V, no load is a vector" if compiled[1].vector_loads == 0 else "nothing"
else:
    print("This cell compiles, and needs Triton, which has no wheel for this system.")
    found = "for the odd V, no load is a vector"
reveal("04.c", right=found)

# %% [markdown]
# The same text, compiled, is PTX, the assembly language of NVIDIA's virtual machine. Four kinds of line are worth finding.

# %%
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
# The last one is a defect. `mul.lo.s32` keeps 32 bits of $n\cdot V$, and $2^{31}$ is passed in row 16,744 of $V=128{,}256$, in the third sequence of 8,192 tokens. Beyond it the kernel reads somewhere else, without a word. (The remedy is to make $n$ a 64-bit number before the product: `.to(tl.int64)`.) `make kernels` prints this table for every kernel of the library, whose rows are in 64 bits, and which spill nothing.
#
# ## 8 · On this CPU
#
# No GPU is needed to use the idea. The library's CPU path takes a few rows at a time, so few that they stay in the cache, and makes the gradient in the same visit. (That is what "fused" means here: the interpreted kernel's seconds would measure NumPy.)

# %%
predict("04.d")

# %% tags=["hide-input"]
LOSSES = {"forward_kl": eager_forward_kl, "jsd": eager_jsd}
threads = torch.get_num_threads()
torch.set_num_threads(1)  # so that the ledger sees all the work
ONE = 256 * 50_257 * 4  # bytes of one tensor of logits
student, teacher = torch.randn(2, 256, 50_257, generator=torch.Generator().manual_seed(seed))
student.requires_grad_()
held = {}
for name, eager_loss in LOSSES.items():
    ways_here = {
        "eager": lambda q, p, loss=eager_loss: loss(q, p, 2.0).mean(),
        "chunked": lambda q, p, d=name: softmax_kl(q, p, divergence=d, temperature=2.0, backend="chunked"),
    }
    for way, loss in ways_here.items():
        student.grad = None
        with Ledger(given=[student, teacher]) as ledger:
            loss(student, teacher).backward()
        held[name, way] = ledger.peak / ONE
        print(
            f"{name:10s} {way:8s} holds {held[name, way]:5.2f} tensors of the size of the logits at its peak, the gradient among them"
        )
torch.set_num_threads(threads)
for name in LOSSES:
    claim(
        "C04d",
        f"The chunked path's peak memory for {DIVERGENCES[name].label} is a fraction of eager's.",
        held[name, "eager"] / held[name, "chunked"],
        unit="times less",
        holds=held[name, "eager"] > 3 * held[name, "chunked"],
    )

# %% tags=["hide-input", "timing"]
import time


def seconds(loss):
    student.grad = None
    start = time.perf_counter()
    loss(student, teacher).backward()
    return time.perf_counter() - start


ratios = {}
for name, eager_loss in LOSSES.items():
    rounds = [
        (
            seconds(lambda q, p, loss=eager_loss: loss(q, p, 2.0).mean()),
            seconds(lambda q, p, d=name: softmax_kl(q, p, divergence=d, temperature=2.0, backend="chunked")),
        )
        for _ in range(4)
    ]  # in turns, so that a busy moment meets both
    slow, fast = np.min(rounds, axis=0)
    ratios[name] = slow / fast
    print(f"{name:10s} eager {slow:.3f} s, chunked {fast:.3f} s: {ratios[name]:.1f} times faster")
claim(
    "C04d",
    "On this CPU the chunked path is faster than eager, for forward KL and for JSD.",
    min(ratios.values()),
    unit="times faster, the smaller of the two",
    holds=min(ratios.values()) > 1.3,
)
reveal(
    "04.d",
    right=0 if ratios["forward_kl"] < 1.5 else 1 if ratios["forward_kl"] < 3.5 else 2,
    forward_kl=ratios["forward_kl"],
    jsd=ratios["jsd"],
)

# %% [markdown]
# ## Discuss
#
# *For two people, ten minutes.* The logits themselves are a product: hidden states $[N, d]$ times a head $[V, d]$. A colleague proposes to fuse this product into the kernel as well, so that not even the logits are ever written. What would be saved, and what would have to be computed twice? For which sizes of $d$ and $V$ is that a good trade? And would you rather have it in one kernel, or a loop over chunks of rows around an ordinary matrix product?

# %% [markdown] tags=["teacher"]
# **Expected answers.** Saved: both logits tensors (2·N·V) and their gradient, in memory and in traffic. Paid: the product costs 2·d operations for each logit, and what is not kept has to be made again for the gradient: one more product for each side. With d of a few thousand the products dominate by far (4,096·2 operations against 10 bytes), so that recomputing them costs more than the traffic saved; with a small d (distilling into a small model) it can pay. The loop over chunks keeps the vendor's matrix product, which is hard to beat, and gets the memory down as well: this is what `linear_softmax_kl` does, and what most training libraries do. Misconceptions to listen for: "fusing is always faster" (memory and time are different savings: chunking saves the first and not the second); "the interpreter was slow, so the kernel is slow". Timing: 75 minutes alone; in a class leave 04.4 for homework and do 04.3 together at the board, with the first explorer on the screen.

# %% [markdown]
# ## Recap
#
# 1. A loss of two logits tensors is limited by memory: 6 bytes for each 16-bit logit are needed, plain PyTorch moves more than a hundred.
# 2. Sums relative to a maximum can be made in one pass: whatever hangs on a maximum is rescaled when that maximum moves, the KL accumulator too.
# 3. The gradient needs one more visit and two numbers per row; upstream, 1/τ and the mask of the store are where it goes wrong.
# 4. A difference of two lse has no digits below 10⁻⁶; Σ(p·d − p + q) cancels their error and its terms are never negative; computed from d alone they keep every digit.
# 5. Without a GPU one can still prove values, count bytes, and read registers, spills and vector loads; seconds are what one cannot.
#
# ## Quiz

# %%
quiz("04")

# %% [markdown]
# ## Glossary
#
# **Kernel** a function that runs on the GPU. **Program** one of its instances; here one per row. **Block** the columns that a program handles at once; its places are **lanes**. **Mask** which lanes touch memory. **lse** log Σ eˣ, the normaliser of a softmax. **Online** in one pass, with sums that are rescaled when the maximum moves. **Upstream** the gradient of the final loss with respect to what a function returned. **Tile** a block of a row that is kept on the chip. **Streaming** a row that is read block by block, once for each sweep. **Roofline** the two limits, memory and arithmetic, over what a computation does with each byte. **Spill** what does not fit into registers and is put into memory. **PTX** NVIDIA's portable assembly.
#
# ## Papers
#
# - Milakov & Gimelshein, "Online normalizer calculation for softmax", [1805.02867](https://arxiv.org/abs/1805.02867), algorithm 3: the online pass.
# - Dao et al., "FlashAttention", [2205.14135](https://arxiv.org/abs/2205.14135), section 3.1: the same rescaling under a weighted sum, which is what our KL accumulator is.
# - Tillet, Kung & Cox, "Triton: an intermediate language and compiler for tiled neural network computations", MAPL 2019.
# - Williams, Waterman & Patterson, "Roofline", Communications of the ACM 52(4), 2009.
# - Hsu et al., "Liger Kernel", [2410.10989](https://arxiv.org/abs/2410.10989): fused and chunked losses for training.
# - Hinton, Vinyals & Dean, [1503.02531](https://arxiv.org/abs/1503.02531), equations 2 to 4: the gradient (q − p)/τ and the factor τ².
# - Schulman, "Approximating KL divergence", 2020, [joschu.net](http://joschu.net/blog/kl-approx.html): the same zero, Σ(q − p), used against noise instead of rounding.
#
# ## Next
#
# [Lesson 05](05_where.ipynb) asks on whose text these losses should be measured.
