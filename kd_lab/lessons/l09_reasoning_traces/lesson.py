# %% [markdown]
# # 09 · Reasoning traces and reinforcement
#
# After this lesson you can say when a student should copy a teacher's reasoning, when it should practise under a verifier, and what neither of the two can give it.

# %% tags=["hide-input"]
from kd_lab.lessons.l09_reasoning_traces.figures import ways_figure
from kd_lab.lessons.l09_reasoning_traces.results import load_runs
from kd_lab.viz import show

runs = load_runs()
show(
    ways_figure(runs, "warm"),
    "Four ways to teach the same student, with the same compute. It begins as a *warm* base, right nearly half of the time. From there practice under a verifier (GRPO) works, "
    "on-policy distillation works better. Copying a teacher's traces ends ahead in all five seeds, by margins too different for a verdict. What becomes of the four from a weaker base? Bands are 95 % intervals over 5 seeds.",
    alt="Right answers against compute, from a warm base: SFT on traces and distillation on the student's own texts end highest, GRPO rises more slowly, SFT on answers falls to the level of guessing.",
)

# %% [markdown] tags=["card"]
# **You will be able to**
#
# - tell the verdict on an answer from the verdict on a step;
# - compute the advantages of GRPO, and say which groups teach;
# - estimate pass@k without bias, and read it as reach against reliability;
# - predict what a student inherits from a teacher that is wrong, and what a verifier can repair.
#
# **Before this:** [lesson 05](05_where.ipynb) for on-policy distillation, [lesson 07](07_minillm.ipynb) for the policy gradient.
#
# **Time:** 40 minutes to read and do. {{measured}}

# %%
import torch
from IPython.display import Markdown, display

from kd_lab.classroom import claim, exercise, predict, quiz, reveal, setup
from kd_lab.worlds.moves import FACTS

seed = setup("09")

# %% [markdown]
# ## 1 · Traces, and a verifier
#
# A problem is a digit and five **moves**. A move adds a digit, or multiplies by 3 (t), 7 (s) or 9 (n); of each result the last digit is kept.
# The answer is the digit at the end.
# A **trace** writes the digit after every move; it is the chain of thought of this world:
#
# $$\texttt{47t9=132}\qquad 4+7\to1,\quad 1\cdot3\to3,\quad 3+9\to2$$
#
# (Three moves here, for brevity.) There are 3.7 million problems of five moves, built from 130 facts such as $4\cdot7\to8$.
# Our student is a transformer of one layer: it can learn each fact, and it can hardly do five moves in its head before it writes the first token.
#
# A **verifier** reads the last digit and says right or wrong.
# That is a verdict on the *outcome*.
# A verdict on the *process* would look at each step.
#
# ### Exercise 09.1 · A verdict for each step (●○○, 6 minutes)
#
# `start` is the problem's digit, `moves` a string of K moves, `trace` the K digits that were written; `after(digit, move)` is the digit after one move.
# Judge each step from where *this* trace stood: a slip is one wrong step, and what follows from it may be done right.


# %%
@exercise("09.1")
def judge_steps(start, moves, trace, after):
    """Whether each move was done right from the digit written before it: K verdicts."""
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Line up three rows: where each step started, its move, its result. Two of the rows are nearly the same digits.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `[start, *trace[:-1]]` is where each step started.
#
# </details>

# %% [markdown] tags=["solution:09.1"]
# solution

# %%
verdicts = judge_steps(4, "7t9", [2, 6, 5], lambda digit, move: FACTS[digit, move])
print(f"{int(sum(verdicts))} of {len(verdicts)} steps are right, and the last digit is not")

# %% [markdown]
# ### Four ways to teach
#
# - **SFT on traces**: the likelihood of the teacher's traces. In the library it is the recipe `labels_only()`, on a world whose texts are traces.
# - **SFT on answers alone**: the same, with the trace left out.
# - **GRPO with a verifier**: the student writes, the verifier rewards; no teacher.
# - **On-policy distillation**: the student writes, the teacher gives its whole distribution at every token; reverse KL, the recipe `on_policy()` of lesson 05.
#
# **Equal compute** is counted in *token passes*: a token read forward is one, and its backward pass two more.
# Writing costs one pass per token; the teacher of on-policy distillation reads along, which is another.
# What it cost to make the teacher is not counted, nor what it cost to write its traces.

# %% tags=["hide-input"]
from kd_lab.lessons.l09_reasoning_traces.figures import costs_table

display(
    Markdown(
        costs_table(runs) + f"\n\nThe budget is {runs.about['budget'] / 1e6:.2f} million token passes for each. "
        "The seconds are those of the machine on which the runs were made."
    )
)

# %% [markdown]
# All four begin with the same base: a student that learned from traces for a short while, stopped when it first drew 15 % right answers at temperature 1 (*weak*) or 45 % (*warm*).

# %%
predict("09.a")

# %% [markdown]
# **Explore.** One held-out problem under every way of teaching, answered greedily, from stored runs.
# Blue is a step that was done right from the digit before it, orange is one that was not. Move the compute, then the problem.

# %% tags=["hide-input"]
from kd_lab.lessons.l09_reasoning_traces.explorers import trace_explorer

traces = trace_explorer(runs)
traces.show()

# %% tags=["hide-input"]
traces.filmstrip(["weak, half of it spent", "weak, all of it", "warm, the beginning", "warm, all of it"])

# %% tags=["hide-input"]
drawn = {
    (base, way): runs.value(base, way, "drawn")
    for base in ("weak", "warm")
    for way in ("base", "traces", "answers", "rl", "opd")
}
weak = {way: drawn["weak", way] for way in ("traces", "opd", "rl", "answers")}
reveal("09.a", **{way: values.mean() for way, values in weak.items()})
show(
    ways_figure(runs, "weak"),
    "The same four ways from the weak base. Practice under a verifier leads hardly anywhere; a teacher's traces lead to the top. Bands are 95 % intervals over 5 seeds.",
    alt="Right answers against compute, from a weak base: traces and on-policy distillation rise late and steeply, GRPO and answers alone stay low.",
)
claim(
    "C09a",
    "From the weak base, traces lead to the top.",
    weak["traces"],
    unit="right answers",
    above=0.9,
)
claim(
    "C09a",
    "The answers to the same problems, without their steps, teach next to nothing.",
    weak["answers"],
    unit="right answers; guessing has 0.1",
    below=0.15,
)
claim(
    "C09a",
    "On-policy distillation, without a text of the teacher, rises far above its base.",
    weak["opd"] - drawn["weak", "base"],
    unit="more right answers than its base",
    above=0.2,
)
claim(
    "C09a",
    "GRPO ends far below traces from the weak base.",
    weak["traces"] - weak["rl"],
    unit="fewer right answers, pairs of one base",
    above=0.5,
)

# %% [markdown]
# ## 2 · Practice under a verifier
#
# **GRPO** (DeepSeek) lets the student write a *group* of $G$ texts $o_1,\dots,o_G$ on each problem, with rewards $r_i$.
# Each text is compared with its group: this gives its **advantage** $A_i$, and the gradient of the objective $J$ that GRPO maximises,
#
# $$A_i=\frac{r_i-\mathrm{mean}(r)}{\mathrm{std}(r)},\qquad\nabla J=\mathbb E\,\frac1G\sum_i\frac{A_i}{|o_i|}\sum_t\nabla\log q(o_{i,t})$$
#
# where $|o_i|$ is the number of tokens of text $i$, and $q$ the student.
# It is lesson 07's policy gradient with four differences.
# The reward comes from the verifier, not a teacher; every token of a text shares one advantage; the baseline is the mean of the group; and the advantage is divided by the group's standard deviation, so that a rare success counts for more.
# We use each batch once, so that the published clipping never acts, and leave out its pull towards a reference model.
#
# **By hand, four texts**, one of them right: the mean is ¼ and the standard deviation $\sqrt{3}/4$.
# The right one gets $A=\sqrt3\approx1.73$, each wrong one $-1/\sqrt3\approx-0.58$.
#
# ### Exercise 09.2 · Advantages (●●○, 8 minutes)
#
# Rewards `[P, G]`: a row is one problem's group. The standard deviation is the group's own, with ÷ G.
# A group whose rewards all agree has advantage 0.


# %%
@exercise("09.2")
def advantages(rewards):
    """(r − mean) / std within each group; 0 where a group agrees: [P, G] -> [P, G]."""
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Which axis holds the texts of one problem? Keep it as an axis of length 1, so that the subtraction works row by row.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `rewards.std(1, keepdim=True, unbiased=False)` divides by G. Where it is 0, what would 0/0 be, and what should it be?
#
# </details>

# %% [markdown] tags=["solution:09.2"]
# solution

# %%
from kd_lab.methods import group_advantages

coin = torch.Generator().manual_seed(seed)
some = (torch.rand(64, 8, generator=coin) < 0.2).float()
assert torch.allclose(torch.as_tensor(advantages(some)).float(), group_advantages(some), atol=1e-4)
mixed = (some != some[:, :1]).any(1).float().mean()
print(f"right one time in five: {mixed:.0%} of 64 groups are mixed")
print(f"over many groups it is 1 − 0.2⁸ − 0.8⁸, or {1 - 0.2**8 - 0.8**8:.0%}")

# %% [markdown]
# So with one right answer in five there is an advantage in four groups out of five; with the weak base's 15 %, still in nearly three of four. And yet it learns next to nothing.
# Is the signal missing, or is it wrong?
# Look at the *process* behind the weak base's right answers.

# %% tags=["hide-input"]
luck = {
    base: 1 - runs.passes(base, "base", "trace")[:, 0] / runs.passes(base, "base", "answer")[:, 0]
    for base in ("weak", "warm")
}
for base, share in luck.items():
    print(f"{base} base: of its right answers {share.mean():.0%} stand at the end of a trace with a wrong step")
claim(
    "C09a",
    "Nearly all right answers of the weak base stand behind a wrong step.",
    luck["weak"],
    unit="of its right answers have a wrong step",
    above=0.9,
)
claim(
    "C09a",
    "From the weak base, GRPO hardly moves.",
    drawn["weak", "rl"] - drawn["weak", "base"],
    unit="more right answers than its base",
    below=0.15,
)
claim(
    "C09a",
    "From the warm base GRPO works.",
    drawn["warm", "rl"] / drawn["warm", "base"],
    unit="times as many right answers as its base",
    above=1,
    scale="log",
)
claim(
    "C09a",
    "From the warm base too, on-policy distillation ends ahead of GRPO.",
    drawn["warm", "opd"] - drawn["warm", "rl"],
    unit="more right answers, pairs of one base",
    above=0,
)
claim(
    "C09a",
    "From the warm base too, traces end ahead of GRPO.",
    drawn["warm", "traces"] - drawn["warm", "rl"],
    unit="more right answers, pairs of one base",
    above=0,
)

# %% [markdown]
# A wrong step that happens to end on the right digit is praised like a right one, and a digit guessed at random is right one time in ten.
# (The weak base is right a little more often than that, with hardly a whole trace right.)
# The praise of lucky texts adds up to noise.
# In the warm base enough right answers come from right steps for their praise to add up to something.
# How fast depends on the seed: in every pair traces end ahead, by margins so different that the mean is not two half-widths from zero, which a verdict asks for.
# Traces and on-policy distillation need no luck: they say at *every* token what would have been right there.
#
# **Experiment.** Watch it happen: a warm base of your own seed, and its first 60 steps of practice.

# %%
from kd_lab.lessons.l09_reasoning_traces.arms import bases, cooled, world_of
from kd_lab.methods import grpo
from kd_lab.worlds.moves import rewards

student = bases(seed + 50, steps=450)[0]["warm"]
history = grpo(student, world_of(), rewards, steps=60, seed=seed, schedule=cooled, progress=False)
for name in ("reward", "mixed"):
    print(f"{name:7s}", "  ".join(f"{part.mean():.2f}" for part in history[name].reshape(6, 10)))

# %% [markdown]
# Each number is the mean of ten steps. The reward climbs slowly, though most groups teach: a group says which of eight texts were better, and never where a text went wrong.
#
# ## 3 · Reach and reliability
#
# If a student may write $k$ texts on a problem, how often is at least one of them right?
# That is **pass@k**. pass@1 says how reliable the student is; pass@k with a large $k$ says what is within its reach.
#
# Draw $n\ge k$ texts on each problem, of which $c$ are right, and count the choices of $k$ of them:
#
# $$\text{pass@}k=\mathbb E_{\text{problems}}\Big[1-\binom{n-c}{k}\Big/\binom nk\Big]$$
#
# **By hand.** $n=4$, $c=1$, $k=2$: of the six pairs three avoid the right text, so the estimate is ½.
# The obvious $1-(1-c/n)^k$ gives $1-(3/4)^2=0.44$.
#
# ### Exercise 09.3 · pass@k (●●○, 8 minutes)


# %%
from math import comb


@exercise("09.3")
def pass_at(hits, drawn, k):
    """The chance that k of the `drawn` texts hold one of the `hits`: three ints -> float."""
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# The opposite is simpler: in how many choices are all k wrong?
#
# </details>
# <details><summary>Hint 2</summary>
#
# `comb(a, k)` is 0 where k is larger than a.
#
# </details>

# %% [markdown] tags=["solution:09.3"]
# solution

# %%
from kd_lab.measure.pass_at_k import pass_at_k

counts = torch.arange(9)
library = pass_at_k(counts, drawn=8, k=3)
assert all(abs(pass_at(c, 8, 3) - library[c].item()) < 1e-6 for c in range(9))

# %% [markdown]
# Which texts count as right? With ten possible digits, 64 guesses nearly always hit the answer, so that pass@64 of *answers* is near 1 for a student that knows nothing.
# We therefore count **whole traces**: every step right.

# %%
predict("09.b")

# %% [markdown]
# **Explore.** pass@k of each way. Switch to answers to see why they are not counted.

# %% tags=["hide-input"]
from kd_lab.lessons.l09_reasoning_traces.explorers import pass_explorer

passes = pass_explorer(runs)
passes.show()

# %% tags=["hide-input"]
passes.filmstrip([{}, "k = 64", "weak base, k = 64", "answers"])

# %% tags=["hide-input"]
base_pass, rl_pass, weak_pass, taught = (
    runs.passes(base, way) for base, way in (("warm", "base"), ("warm", "rl"), ("weak", "rl"), ("weak", "traces"))
)
reveal(
    "09.b",
    base_one=base_pass[:, 0].mean(),
    rl_one=rl_pass[:, 0].mean(),
    base_all=base_pass[:, -1].mean(),
    rl_all=rl_pass[:, -1].mean(),
)
claim(
    "C09a",
    "GRPO makes the warm base more reliable.",
    rl_pass[:, 0] - base_pass[:, 0],
    unit="higher pass@1 of whole traces",
    above=0,
)
claim(
    "C09a",
    "GRPO adds little to what 64 texts of the warm base already reach.",
    rl_pass[:, -1] - base_pass[:, -1],
    unit="higher pass@64 of whole traces",
    below=0.1,
)
claim(
    "C09a",
    "Traces put within the weak base's reach what 64 texts under GRPO do not.",
    taught[:, -1] - weak_pass[:, -1],
    unit="higher pass@64 of whole traces",
    above=0.5,
)

# %% [markdown]
# GRPO makes frequent what the student could write already; a teacher's traces bring what it could not.
# At k = 64 the base is level with its own student under GRPO or ahead of it, as Yue et al. (2025) found in language models: what was not praised becomes rare.
# In this small world the right trace is unique. RL that runs for longer, and rewards that see more than the answer, can reach further.
#
# ## 4 · A teacher that is wrong
#
# Now the teacher is wrong about five facts: it multiplies 3, 4, 6, 8 and 9 by 7, and gets two too many.
# Its students learn from its traces in three ways: from **all** of them; from those alone whose answer the **verifier** accepts; or from all of them, but every **tenth** problem is solved by somebody who knows the facts.
# Then GRPO continues, with a verifier that knows the truth. All students are judged by their greedy answers.

# %%
predict("09.c")

# %% tags=["hide-input"]
from kd_lab.lessons.l09_reasoning_traces.figures import ceiling_figure, ceiling_table

show(
    ceiling_figure(runs),
    "Each marker is one of 5 seeds. After SFT alone these problems are hardly ever right. What GRPO can add depends on what the student still tries: nothing after copying, something after the filter, everything where one trace in ten was right.",
    alt="Three rows of markers, near 0 before GRPO. After GRPO: all traces still near 0, verified traces in between, one trace in ten right near 1.",
)
display(Markdown(ceiling_table(runs)))

# %% tags=["hide-input"]
filtered = runs.ceiling("filtered", "sft", "affected")
reveal("09.c", affected=filtered.mean())
after_rl = {lesson: runs.ceiling(lesson, "rl", "affected") for lesson in ("copied", "filtered")}
claim(
    "C09b",
    "The student copies its teacher, mistakes included.",
    runs.ceiling("copied", "sft", "agrees"),
    unit="of the problems answered as the teacher answers them",
    above=0.95,
)
claim(
    "C09b",
    "Keeping verified traces alone hardly teaches the missing facts.",
    filtered,
    unit="right, of the problems that the teacher gets wrong",
    below=0.4,
)
claim(
    "C09b",
    "GRPO on top of the copied traces does not find the missing facts.",
    after_rl["copied"],
    unit="right, of the problems that the teacher gets wrong",
    below=0.15,
)
claim(
    "C09b",
    "GRPO on top of verified traces finds some of the missing facts.",
    after_rl["filtered"],
    unit="right, of the problems that the teacher gets wrong",
    above=0,
)
claim(
    "C09b",
    "A student that has seen the right facts in one problem of ten still answers as its teacher does.",
    runs.ceiling("one in ten", "sft", "affected"),
    unit="right, of the problems that the teacher gets wrong",
    below=0.2,
)
claim(
    "C09b",
    "GRPO brings out the facts that stood in one problem of ten.",
    runs.ceiling("one in ten", "rl", "affected"),
    unit="right, of the problems that the teacher gets wrong",
    above=0.7,
)

# %% [markdown]
# Competence is copied, and mistakes with it: no text tells a wrong fact from a right one.
# GRPO can only praise what is written, and the student of all traces is nearly certain of wrong facts.
# The filter adds no fact, but hardly leaves a use of wrong ones: its student no longer always errs like its teacher, and practice finds some.
# Where the right fact is tried one time in ten, practice makes it the rule.
#
# ## In the wild
#
# DeepSeek-R1 (2025, table 6 of the first version) compares both roads on Qwen-32B-Base.
# Large-scale RL for over 10,000 steps gives 47.0 % on AIME 2024 (pass@1); fine-tuning on 800,000 samples curated with DeepSeek-R1 (section 2.4) gives 72.6 %.
# The far larger DeepSeek-R1-Zero rises from 15.6 % to 71.0 % by RL alone: there practice works.
# Yue et al. (2025) find the same pattern of pass@k: the base is behind its RL-trained self at k = 1, ahead at large k, while distillation extends the reach.
# What does not carry over: the size of the effects, the unique right trace, a verifier that is never wrong.
#
# ## Discuss
#
# *For two people, ten minutes.* You have a 7B student, a strong teacher behind an API, an exact verifier, and a budget for one of: 100,000 verified traces, or a week of GRPO.
# Which two measurements on the student decide? What would make you do both, and in which order?

# %% [markdown] tags=["teacher"]
# **Expected answers.** Measure pass@1 and pass@64 (whole solutions, checked by more than the final answer) on the student's own problems. If pass@64 is low, RL has nothing to praise: buy traces. If pass@64 is high and pass@1 low, the competence is there and practice makes it reliable. Both, traces first: they bring the student to where RL works (the warm base), and RL then repairs what traces left unreliable; on-policy distillation stands between, where the teacher's logits are open. Ask what the teacher is wrong about: neither the traces nor the verifier's filter can repair that, only data that hold the right facts. **Misconceptions:** "RL failed because no group was mixed" (most were; the praise went to luck); "filtering by a verifier makes a student better than its teacher" (only where the teacher is right now and then); "pass@64 of answers shows reach" (with ten answers it shows guessing); "GRPO needs a teacher" (it needs a verifier); "the advantage of an all-right group is positive" (it is 0). **Timing:** 45 minutes alone; 60 in a class. The trace explorer alone fills ten minutes if everybody looks for a lucky answer in the weak base's rows.

# %% [markdown]
# ## Recap
#
# 1. A trace turns one hard step into several easy ones; answers without the steps teach next to nothing here.
# 2. GRPO compares the texts of one problem with one another. A group whose rewards all agree teaches nothing.
# 3. From a weak base nearly all right answers come by luck, after a wrong step, and praise of luck is noise; from a warm base practice works.
# 4. RL makes frequent what is within reach; traces extend the reach. pass@k tells the two apart.
# 5. A student inherits its teacher's mistakes. Filters and RL repair them only where the right thing is written now and then.
#
# ## Quiz

# %%
quiz("09")

# %% [markdown]
# ## Glossary
#
# **Trace** the steps written before an answer. **Verifier** a program that says whether an answer is right. **Outcome and process** the last digit; every step. **SFT** supervised fine-tuning, the likelihood of given texts. **GRPO** a policy gradient whose baseline is the mean reward of a group. **Advantage** a text's reward relative to its group. **Mixed group** one with different rewards, the only kind that teaches. **Token pass** one token read forward; its way back counts two. **pass@k** the chance that one of k texts is right. **Weak, warm base** a student that draws 15 % or 45 % right answers.
#
# ## Papers
#
# - DeepSeek-AI, "DeepSeek-R1", [2501.12948](https://arxiv.org/abs/2501.12948v1), version 1, equations 1 and 3: GRPO and its advantage; table 6: distillation against RL.
# - Shao et al., "DeepSeekMath", [2402.03300](https://arxiv.org/abs/2402.03300): where GRPO comes from, with the mean over a text's tokens.
# - Chen et al., "Evaluating large language models trained on code", [2107.03374](https://arxiv.org/abs/2107.03374): pass@k.
# - Yue et al., "Does reinforcement learning really incentivize reasoning capacity in LLMs beyond the base model?", [2504.13837](https://arxiv.org/abs/2504.13837).
# - Agarwal et al., "On-policy distillation of language models", [2306.13649](https://arxiv.org/abs/2306.13649), equation 4: the on-policy loss.
#
# ## Next
#
# [Lesson 09b](09b_imitation.ipynb): a student that sounds like its teacher, and what its examples must hold before it is like it.
