# %% [markdown]
# # 00 · The map: an LLM is a tree of distributions
#
# After this lesson you can read a language model as a tree and say how far apart two trees are, and you will have distilled a small model yourself.

# %% tags=["hide-input"]
from kd_lab.lessons.l00_the_map.figures import likely_paths, tree_figure
from kd_lab.models import load_teacher
from kd_lab.viz import show
from kd_lab.worlds import surnames

world, teacher = surnames(), load_teacher("surnames")
paths = likely_paths(teacher, world.vocabulary, start="mar", letters=4, width=7, least=0.008, include="martin.")
show(
    tree_figure(paths, world.vocabulary, highlight="martin."),
    "What our teacher, a small GPT trained on surnames, expects after “mar”. Each branch is one more letter. Its percentage is the probability of that letter after all that came before; it is the wider, the more of the whole flows through. Multiply along the dark path: "
    + f"{paths['martin.']:.1%} of the names that it writes with “mar” at the beginning are Martin. "
    + "Each grey fan stands for the letters that are not drawn: every node has 27 branches.",
    alt="A tree that grows from “mar” to the right, one letter per step, into names such as martin, with a percentage on each branch.",
)

# %% [markdown] tags=["card"]
# **You will be able to**
#
# - compute the probability of a text from a model's next-token distributions;
# - say why nobody lists all texts, and list them where it is possible;
# - split the gap between two models into the gaps at their nodes;
# - write the training loop of a distillation, and name the three choices that tell its methods apart.
#
# **Before this:** Python, a little PyTorch, and what a neural network's training loop looks like. No other lesson.
#
# **Time:** 50 minutes to read and do, and 4 minutes more for the optional look at a real LLM. {{measured}}

# %%
import math

import torch
from IPython.display import Markdown

from kd_lab.classroom import claim, exercise, predict, quiz, reveal, setup

seed = setup("00", threads=1)

# %% [markdown]
# ## 1 · One letter at a time
#
# A language model does one thing.
# It reads a **prefix** and gives every **token** of its **vocabulary** a probability of coming next.
# Here the tokens are the letters a to z and an end mark, which says that the name is over.
# Writing is walking: draw a token from the distribution, append it, read again.
#
# That is how the teacher writes names.
# It was trained on nine tenths of the 20,000 most frequent surnames in the 1990 US census.
# The other tenth, the **held-out** names, it has never seen.

# %%
from kd_lab.models import generate

generator = torch.Generator().manual_seed(seed)
start = torch.zeros(300, 1, dtype=torch.long)  # 300 times the mark at which a text begins
written = world.vocabulary.decode(generate(teacher, start, world.context, generator=generator))
real = world.vocabulary.decode(world.held_out.tokens)
on_the_list = {*real, *world.vocabulary.decode(world.train.tokens)}
invented = [name for name in written if name not in on_the_list and 5 <= len(name) <= 8]
rare = [name for name in real[-300::7] if 5 <= len(name) <= 8]

options = sorted([invented[0], *rare[:3]])
predict("00.a", options=options)

# %%
reveal("00.a", made_up=invented[0])
rows = "\n".join(f"| {r} | {w} |" for r, w in zip(rare, invented[:8]))
share = sum(name in on_the_list for name in written) / len(written)
head = "| on the list, never seen by the teacher | written by the teacher, not on the list |"
Markdown(
    f"{head}\n|---|---|\n{rows}\n\n{share:.0%} of its {len(written)} names stand on the list. "
    "The others are its own, though some may well be real names that are rarer."
)

# %% [markdown]
# **Explore.** Walk the tree yourself.
# Move *step* with the arrow keys, then type your own surname; accents and punctuation are dropped.
# Look for two things: where the model is nearly certain, and what it costs to stop too early.

# %%
from kd_lab.lessons.l00_the_map.explorers import walk_explorer

walk = walk_explorer(teacher, world.vocabulary, start="martin")
walk.show()

# %%
walk.filmstrip(["first letter", {"step": 3}, "to the end", "stop early"])

# %% [markdown]
# **Derive.** Write a text as tokens $y = (y_1, \dots, y_T)$, where the last one, $y_T$, is the end mark.
# Its first $t-1$ tokens are the prefix $y_{<t}$.
# The model gives the **conditionals** $p(y_t \mid y_{<t})$, one distribution at each node.
# To write $y$ the model has to take every branch on the path of $y$, so
#
# $$p(y) = \prod_{t=1}^{T} p(y_t \mid y_{<t}), \qquad \log p(y) = \sum_{t=1}^{T} \log p(y_t \mid y_{<t}).$$
#
# $p(y)$ is the **joint** probability, that is, the probability of the whole text.
# With the natural logarithm, $\log p(y)$ is measured in **nats**; one bit is $\ln 2 \approx 0.69$ nats.
#
# **By hand, three tokens** (`.` is the end mark):
#
# | after | . | a | b |
# |---|---|---|---|
# | nothing | ¼ | ½ | ¼ |
# | a | ½ | ½ | 0 |
# | b | ½ | ¼ | ¼ |
#
# The text “b” is the path *b*, then *end*: $p = \frac14 \cdot \frac12 = \frac18$, and $\log p = -3 \ln 2 = -2.08$ nats. Without the last factor, the end mark's, we would have the probability that a text *begins* with b, which is ¼.

# %% [markdown]
# ### Exercise 00.1 · The log-probability of a text (●○○, 8 minutes)
#
# A batch holds `B` texts as ids.
# `tokens` is `[B, T + 1]`: each row begins with the mark at which a text starts, and short rows are padded.
# `logits[:, t]` holds the unnormalised log-probabilities that the model computed after reading `tokens[:, : t + 1]`.
# `mask` is `[B, T]`, true where the model's prediction counts: up to and including the end mark of each text.


# %%
@exercise("00.1")
def text_logp(logits, tokens, mask):
    """log p of each text, in nats: logits [B, T, V], tokens [B, T + 1], mask [B, T] -> [B]."""
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# A softmax over the last axis turns a row of logits into a distribution; `log_softmax(-1)` gives its logarithm. Which token does the row at position 0 predict?
#
# </details>
# <details><summary>Hint 2</summary>
#
# `logp.gather(-1, index)` picks one entry of each row if `index` has the shape `[B, T, 1]`. The index is `tokens` without its first column.
#
# </details>

# %% [markdown] tags=["solution:00.1"]
# solution

# %% [markdown]
# Sum −log p over all held-out names, divide by the number of letters, end marks included, and convert to bits: that is **bits per character**, the number by which such models are compared.
# The library's function must agree with yours.

# %%
from kd_lab.measure import bits_per_character

names = world.held_out
with torch.no_grad():
    logp = text_logp(teacher(names.inputs), names.tokens, names.mask)
bits = -logp.sum().item() / names.mask.sum().item() / math.log(2)
assert math.isclose(bits, bits_per_character(teacher, names), rel_tol=1e-4)

ranked = world.vocabulary.decode(names.tokens[logp.argsort(descending=True)])
Markdown(
    f"On held-out names the teacher needs **{bits:.2f} bits per character**; "
    f"guessing blindly among 27 symbols needs {math.log2(27):.2f}. "
    f"Of these names {', '.join(ranked[:3])} are the likeliest, up to {logp.max():.1f} nats, "
    f"and {', '.join(ranked[-3:])} the least likely, down to {logp.min():.1f}."
)

# %% [markdown]
# ## 2 · Why nobody lists all texts
#
# With $V$ symbols there are $V$ branches at each node, hence $V^L$ paths of length $L$.
# GPT-2 has $V \approx 50{,}000$, and an answer may have $L \approx 200$ tokens.

# %%
predict("00.b")

# %%
reveal("00.b", digits=len(str(50000**200)), logarithm=200 * math.log10(50000))

# %%
from kd_lab.lessons.l00_the_map.explorers import sequence_counter

counter = sequence_counter()
counter.show()

# %%
counter.filmstrip(["exact language", "surnames", "a sentence", "a paragraph"])

# %% [markdown]
# So the joint of a real model is never written down.
# It is **sampled** (walk and see), **searched** (look for likely paths), or **constrained node by node** (match the conditionals).
# Every method in this course that copies what a teacher *says* does one of the three.
#
# But a language can be small enough for all of its texts to be listed.
# Then every claim about a joint can be checked to the last digit.
# *echo* is such a language: seven symbols, at most six tokens per text, end mark included, and a rule that ties the last letter to the first.
# Shorter texts are padded, so that each of them is one of $7^6$ sequences.

# %%
from kd_lab.worlds import language

echo = language("echo")
V, L = len(echo.vocabulary), echo.length
everything = echo.joint()  # log p of each of the V^L sequences, in nats
best = "".join(f"| {text} | {p:.3f} |\n" for text, p in echo.most_likely(4))
total = everything.exp().sum().item()
claim(
    "C00a",
    f"All {V}^{L} = {V**L:,} sequences of a small language can be listed; they add up to 1.",
    abs(total - 1),
    unit="distance of the sum from 1",
    holds=len(everything) == V**L and abs(total - 1) < 1e-9,
)
listable = 1e9 * 13.8e9 * 3.156e7  # a billion per second, for 13.8 billion years
claim(
    "C00a",
    "The 50,000^200 sequences of a large model cannot be listed in the age of the universe.",
    math.log10(listable) - 200 * math.log10(50_000),
    unit="= log₁₀ of the share that would have been listed",
    holds=listable < 50_000**200,
)
Markdown(f"The likeliest texts of echo:\n\n| text | probability |\n|---|---|\n{best}")

# %% [markdown]
# ## 3 · How far apart are two trees?
#
# Distillation pulls a **student** $q$ toward a **teacher** $p$, so we need a measure of the gap between trees.
# At one node it is the **Kullback–Leibler divergence**. Call −log of a token's probability the *surprise* at it; the divergence is the student's mean surprise at the teacher's tokens, less the teacher's own:
#
# $$\mathrm{KL}(p \| q) = \sum_{v} p(v) \log \frac{p(v)}{q(v)} \ \ge\ 0,$$
#
# where $v$ runs over the vocabulary and a token with $p(v) = 0$ adds nothing.
# It is zero only if $p = q$.
# For whole texts the formula is the same, with the joints $P$ of the teacher and $Q$ of the student: $\mathrm{KL}(P \| Q) = \sum_y P(y) \log \frac{P(y)}{Q(y)}$, a sum over all $V^L$ sequences.
#
# Now take a student that equals the teacher *echo* at all nodes but one.
# After the letter z, with which one text in 200 begins, the student knows nothing and gives every symbol the same probability.

# %%
from kd_lab.how import forward_kl
from kd_lab.measure import sequence_kl

z = echo.vocabulary.symbols.index("z")
flawed = [table.clone() for table in echo.logp]
flawed[1][z] = -math.log(V)
at_the_node = forward_kl(flawed[1][z], echo.logp[1][z]).item()

options = [f"{at_the_node:.2f} nats", "about a 200th of that", "200 times that"]
predict("00.c", options=options, at_the_node=at_the_node)

# %%
by_listing = sequence_kl(flawed, echo.logp).item()
probability = echo.logp[0][0, z].exp().item()
reveal(
    "00.c",
    sequences=V**L,
    by_listing=by_listing,
    probability=probability,
    at_the_node=at_the_node,
    product=probability * at_the_node,
)

# %% [markdown]
# **Derive.** Put the sum of section 1 into the KL of the joints.
# The logarithm of a product is a sum, so
#
# $$\mathrm{KL}(P \| Q) = \sum_{t=1}^{L} \; \mathbb{E}_{y_{<t} \sim P} \Big[ \mathrm{KL}\big(p(\cdot \mid y_{<t}) \,\|\, q(\cdot \mid y_{<t})\big) \Big].$$
#
# This is the **chain rule**: the gap between two trees is the sum of the gaps at their nodes, each weighted by the probability that *the teacher* reaches the node.
# $\mathbb{E}_{y_{<t} \sim P}$ is the mean over prefixes that the teacher writes.
#
# **By hand**, with the teacher of section 1 and texts of two tokens.
# The student gives (¼, ¼, ½) at the root, (½, ½, 0) after a like the teacher, and (¼, ½, ¼) after b:
#
# | node | teacher reaches it | KL at the node |
# |---|---|---|
# | root | 1 | ½ ln 2 + ¼ ln ½ = ¼ ln 2 |
# | after a | ½ | 0 |
# | after b | ¼ | ½ ln 2 + ¼ ln ½ = ¼ ln 2 |
#
# The sum is $\frac14 \ln 2 + \frac14 \cdot \frac14 \ln 2 = \frac{5}{16} \ln 2 \approx 0.217$ nats.
# The student itself would reach b half of the time. Whose prefixes we visit is therefore a choice, and section 5 comes back to it.

# %% [markdown]
# ### Exercise 00.2 · The KL of two trees (●●○, 10 minutes)
#
# A tree is a list of tables.
# Table `t` holds log-probabilities, with one row for each of the $V^t$ prefixes of `t` tokens and one column per next token.
# Rows are in counting order, so the children of row `i` are the rows `i·V … i·V + V − 1` of the next table.
# `forward_kl(student_table, teacher_table)` gives the KL of each row; where a text has ended, both trees agree and it is 0.


# %%
@exercise("00.2")
def tree_kl(student, teacher):
    """KL between two trees, in nats.

    student, teacher: lists of tables [V**t, V] of log-probabilities.
    """
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Carry along one number per row: the log-probability with which the teacher reaches that prefix. At the root it is 0. How does it continue to the next table?
#
# </details>
# <details><summary>Hint 2</summary>
#
# `(path_logp[:, None] + teacher_table).flatten()` has $V^{t+1}$ entries in counting order. Add the weighted gaps of a table before you move on.
#
# </details>

# %% [markdown] tags=["solution:00.2"]
# solution

# %% [markdown]
# **Experiment.** Three small GPTs are briefly trained on *echo*, each from a different seed.
# For each of them the KL is computed twice: by listing every sequence, and by the chain rule.

# %%
from kd_lab.measure import conditionals, gap_by_position, reach
from kd_lab.methods import distill, word_level
from kd_lab.models import GPT, GPTConfig, TabularModel

speaker, texts = TabularModel(echo.logp), echo.world(rows=2000, seed=seed)
listed, chained, by_position = [], [], []
for number in range(3):
    student = GPT(GPTConfig(vocab_size=V, context=L, layers=1, heads=2, width=32), seed=number)
    distill(student, speaker, texts, word_level(), steps=60, seed=number)  # section 4 looks inside
    tree = conditionals(student, L)
    listed.append(sequence_kl(tree, echo.logp).item())
    chained.append(tree_kl(tree, echo.logp).item())
    by_position.append(gap_by_position(tree, echo.logp, visited=echo.logp))

deviation = max(abs(a - b) for a, b in zip(listed, chained))
rows = "".join(f"| {i} | {listed[i]:.9f} nats | {chained[i]:.9f} nats |\n" for i in range(3))
Markdown(f"| student | by listing all texts | by the chain rule |\n|---|---|---|\n{rows}")

# %% tags=["hide-input"]
from kd_lab.lessons.l00_the_map.figures import along, gap_trees, node_gaps, position_figure

claim(
    "C00b",
    "The KL of the joints is the sum over positions of the mean KL at the teacher's prefixes.",
    deviation,
    unit="nats between the two computations, the largest of three students",
    holds=deviation < 1e-6,
)
gaps = node_gaps(tree, echo.logp, echo.vocabulary)
drawn = likely_paths(speaker, echo.vocabulary, letters=3, width=6)
shown = sum(gaps[text] for text in drawn if text in gaps)
show(
    gap_trees(drawn, along(drawn, tree, echo.vocabulary), gaps, echo.vocabulary),
    "The same texts in both trees; a branch is the wider, the more flows through it. Under each node stands its part of the last student's KL, in nats: "
    + "the probability that the teacher reaches the node, times the KL there. "
    + f"The nodes that are drawn add up to {shown:.3f} of {chained[-1]:.3f} nats; the other {len(gaps) - len(drawn.keys() & gaps.keys()):,} nodes hold the rest.",
    alt="Two trees of the same texts over seven symbols, the teacher's and the student's, each node coloured by its contribution to the KL; the start and the nodes after c are the reddest.",
)

# %% tags=["hide-input"]
going = reach(echo.logp)[-1].sum().item()
last, total = sum(gaps[-1] for gaps in by_position) / 3, sum(chained) / 3
show(
    position_figure(by_position),
    f"The bars of one student add up to its sequence-level KL. The last table has {V ** (L - 1):,} rows, more than all others together, and adds {last:.2f} of {total:.2f} nats: at position {L} the teacher is still writing in only {going:.0%} of its texts.",
    alt="Bars of the expected KL at each of the six positions for three students.",
)

# %% [markdown]
# ## 4 · A first distillation
#
# A language model usually learns from **labels**: at each position it is told the one token that came.
# A teacher can tell more.
# Where the name Martin continues after “mar”, the label is t and nothing else; the teacher gives the probabilities of all 27 symbols.
# Copying these probabilities at every position of a fixed set of texts is **word-level distillation**.
#
# Two copies of one small student compete: they start from the same weights, read the same names in the same order, and take the same number of steps.
# One is told the label, the other the teacher's distribution.
# Then both are tested on held-out names.

# %% [markdown]
# **Derive.** A label is a distribution too, with all its mass on the token $y_t$ that came.
# For it, $\mathrm{KL} = 1 \cdot \log \frac{1}{q(y_t)} = -\log q(y_t)$: the usual loss is a KL from a teacher that is always certain.
# By hand, with $q = (\frac12, \frac14, \frac14)$:
#
# - the label says *end*: $-\log \frac12 = 0.69$ nats, zero only if the student becomes certain as well;
# - the teacher says (¾, ⅛, ⅛): $\frac34 \log \frac32 + \frac14 \log \frac12 = 0.13$ nats, zero as soon as the student is exactly as undecided as the teacher.

# %% [markdown]
# ### Exercise 00.3 · The whole training loop (●●○, 10 minutes)
#
# `batch.inputs` are the tokens to read, `[B, T]`, and `batch.mask` says which positions count.
# A model turns inputs into logits `[B, T, V]`.
# From the library: `forward_kl(student_logp, teacher_logp)` gives nats at every position, `[B, T]`; `masked_mean(values, mask)` averages those that count.

# %%
from kd_lab.how import masked_mean


@exercise("00.3")
def distill_by_hand(student, teacher, batches, optimizer):
    """Train the student by word-level distillation, one step per batch.

    Returns the losses, in nats per position.
    """
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# For each batch: the teacher's log-probabilities, the student's, the loss, and then the three lines that end every training step. Which of the two models needs a gradient?
#
# </details>
# <details><summary>Hint 2</summary>
#
# Read the teacher inside `with torch.no_grad():`. The three lines are `optimizer.zero_grad()`, `loss.backward()`, `optimizer.step()`; keep `loss.item()`.
#
# </details>

# %% [markdown] tags=["solution:00.3"]
# solution

# %% [markdown]
# The library's `distill` is this loop with a progress bar, a history, a schedule for the learning rate and a limit on the gradient's norm. Before the first update the two must agree.

# %%
from torch.optim import AdamW

from kd_lab.lessons.l00_the_map.experiment import new_student

mine, theirs = new_student(world, 0), new_student(world, 0)
draw = word_level().where.bind(world, mine, teacher, seed)  # WHERE: the names themselves
batches = [draw(64) for _ in range(20)]
losses = distill_by_hand(mine, teacher, batches, AdamW(mine.parameters(), lr=0.01))
result = distill(theirs, teacher, world, word_level(), steps=20, seed=seed)
assert math.isclose(losses[0], result.history["loss"][0], rel_tol=1e-4)
sizes = [sum(weight.numel() for weight in model.parameters()) for model in (teacher, mine)]
Markdown(
    f"The loss fell from {losses[0]:.2f} to {losses[-1]:.2f} nats per position "
    f"in {len(losses)} steps. The student has {sizes[1]:,} weights, the teacher {sizes[0]:,}: "
    f"{sizes[0] / sizes[1]:.0f} times as many."
)

# %% [markdown]
# **Explore.** Watch one node while two students learn from 250 names, 400 steps each.
# The upper panel shows the student with labels, beside the letters that really followed this prefix in its 250 names; the lower one shows the student with a teacher, beside the teacher's own distribution.

# %%
from kd_lab.lessons.l00_the_map.experiment import beliefs
from kd_lab.lessons.l00_the_map.explorers import node_explorer
from kd_lab.models import CachedTeacher

few = world.subset(250, seed=seed)
reader = CachedTeacher(teacher)  # reads each of the 250 names once and keeps its answers
NODES = ["ma", "s", "be", "schm"]
node = node_explorer(beliefs(few, reader, NODES, seed), NODES, world.vocabulary.symbols, every=20)
node.show()

# %% tags=["hide-input"]
node.filmstrip([{"step": 0}, {"step": 100}, {"step": 400}])

# %%
predict("00.d")

# %% [markdown]
# **Experiment.** Five seeds, two sets of names, with and without the teacher: each of these four settings gets 400 steps of 32 names.

# %%
from kd_lab.lessons.l00_the_map.experiment import contest, judged_names

judged, seeds = judged_names(world, seed), range(seed, seed + 5)
on_all = contest(world, teacher, seeds, judged)
on_few = contest(few, reader, seeds, judged)

# %% tags=["hide-input"]
from kd_lab.lessons.l00_the_map.figures import contest_figure

labels, distilled = "labels only", "word-level KD"
end = {name: [curves[name][:, -1].mean() for curves in (on_all, on_few)] for name in on_all}
show(
    contest_figure(
        {f"{len(world.train):,} names": on_all, f"{len(few.train)} names": on_few},
        every=40,
        teacher=bits_per_character(teacher, judged),
    ),
    f"Bits per character on {len(judged)} held-out names, lower is better; mean of five seeds with its 95% interval. "
    + f"With all names the student with a teacher ends at {end[distilled][0]:.2f} and the one with labels at {end[labels][0]:.2f}. "
    + f"With 250 names it is {end[distilled][1]:.2f} against {end[labels][1]:.2f}: the labels are learned by heart, while the teacher still has something to say about each position.",
    alt="Two panels of learning curves on the same axes; in both the distilled student ends below the one trained on labels, whose curve turns steeply upward with 250 names.",
)

# %% tags=["hide-input"]
gain_all = on_all[labels][:, -1] - on_all[distilled][:, -1]
gain_few = on_few[labels][:, -1] - on_few[distilled][:, -1]
lost = on_few[labels][:, -1] - on_few[labels].min(1) - (on_few[distilled][:, -1] - on_few[distilled].min(1))
reveal("00.d", gain=gain_few.mean(), least=gain_few.min())
claim(
    "C00c",
    "With all names, the student with a teacher ends ahead of the one with labels.",
    gain_all,
    unit="bits per character ahead",
    above=0,
)
claim(
    "C00c",
    "With 250 names the student with a teacher ends much farther ahead than with all names.",
    gain_few - gain_all,
    unit="bits per character more than with all names",
    above=0,
)
claim(
    "C00c",
    "After its best point the student with labels loses more than the one with a teacher, with 250 names.",
    lost,
    unit="bits per character lost since the best point, labels − teacher",
    above=0,
)
claim(
    "C00c",
    "With 250 names and each student taken at its best point, the one with a teacher is still ahead.",
    gain_few - lost,
    unit="bits per character ahead",
    above=0,
)

# %% [markdown]
# **What this shows, and what it does not.** The two runs differ in one thing, but it is a large one: the teacher has read all the training names.
# Through the teacher, a student with 250 names hears about the rest.
# That is no flaw of the contest; it is what distillation is for.
# The knowledge was paid for once, when the teacher was trained, and it reaches the student through 27 numbers per letter.
# Stopped at its best point, which takes a validation set, the student with labels is less far behind: the last two claims divide the gap.
# The contest does not show whether soft targets would help if the teacher had seen no more data than the student; lesson 01 asks why they help.
#
# Nor do the runs cost the same time: with all names, each step also runs the teacher.
# On 250 names the teacher was read once, at the price of storing 27 numbers per letter.

# %% tags=["timing"]
import numpy as np

from kd_lab.methods import labels_only

per_step = {}
for recipe, guide in ((labels_only(), None), (word_level(), teacher)):
    run = distill(new_student(world, 0), guide, world, recipe, steps=20, seed=seed, progress=False)
    per_step[recipe.name] = np.diff(run.history["seconds"]).min()  # the least disturbed of 20 steps
Markdown(" · ".join(f"{name}: {1000 * time:.0f} ms per step" for name, time in per_step.items()))

# %% [markdown]
# ## 5 · Three knobs
#
# The loop that you wrote in exercise 00.3 contains three choices.
# Every method of distillation makes one choice for each:
#
# - **WHAT** is copied: the teacher's distributions here; elsewhere its hidden features, or nothing but its text.
# - **HOW** the gap is measured: KL(p‖q) here; the other direction, KL(q‖p), and other divergences behave differently.
# - **WHERE** the prefixes come from: a fixed set of names here; elsewhere the teacher writes them, or the student itself.
#
# $$\mathcal{L}(\theta) = \mathbb{E}_{y \sim \text{WHERE}} \; \sum_t \; \text{HOW}\big(\text{WHAT}(\text{teacher}, y_{<t}),\ \text{WHAT}(\text{student}_\theta, y_{<t})\big)$$
#
# $\theta$ stands for the student's weights, $\mathcal{L}$ for the loss that they minimise.
# The table below is not typed by hand: the library prints it from its own recipes.

# %%
from kd_lab.methods import Recipe

Markdown(Recipe.table())

# %% [markdown]
# Which knobs did the contest of section 4 turn? Print its two recipes and compare.
# Then build one that cannot work, and read what the library says.

# %%
from kd_lab.how import NegativeLogLikelihood
from kd_lab.what import Logits
from kd_lab.where import Corpus

print(labels_only(), word_level(), sep="\n")
try:
    Recipe("a mix-up", Logits(), NegativeLogLikelihood(), Corpus())
except ValueError as refusal:
    print(refusal)

# %% [markdown]
# ## In the wild
#
# Nothing here is special to names.
# GPT-2 is the same tree with 50,257 branches per node and prefixes of up to 1,024 tokens; its joint is never written down either.
# Hinton, Vinyals and Dean coined the word distillation in 2015 for copying a large classifier, or an ensemble, into a small model through its soft outputs.
# Kim and Rush brought it to the generation of text in 2016, at each position and for whole sequences.
# What our toy shares with today's models is the tree, the three knobs and the arithmetic.
# What it lacks is scale: a full distribution over 27 symbols is cheap to store, one over 50,000 is not, and lesson 02 looks at what to keep of it.
#
# ## On a real LLM (optional)
#
# The teacher is now SmolLM2-135M, with 49,152 branches per node.
# The student is what remains of it without ten of its thirty layers, before and after a distillation ([lesson 13](13_real_llm.ipynb)).
# At each prompt the likeliest tokens of every model are stored one by one.
# All others count as one event, so each KL is at most that of the whole vocabulary.
#
# Two of the prompts are from Python's documentation; the texts of the other three are samples of the teacher.
# One node is not the mean: where did the distillation move the student away from its teacher?

# %% tags=["hide-input"]
from kd_lab.lessons.l00_the_map.explorers import real_node_explorer

real_node = real_node_explorer()
real_node.show()

# %% tags=["hide-input"]
real_node.filmstrip(["before distillation", {}, "a sure teacher"])

# %% [markdown]
# ## Discuss
#
# *For two people, ten minutes.*
#
# 1. The chain rule weights nodes by the teacher's visits. A student writes its own prefixes once it is deployed. Where in the tree could it be bad without this KL noticing?
# 2. Word-level distillation visits the census names, which neither teacher nor student wrote. Is its loss the sequence-level KL? What would have to change?
# 3. You may store, for each of 250 names, either the teacher's 27 probabilities per letter or a hundred more names that the teacher wrote. Which would you take, and what does your answer depend on?

# %% [markdown] tags=["teacher"]
# **Expected answers.** (1) At nodes that the teacher rarely or never visits, such as “qx”. Their weight is the teacher's probability of reaching them, so errors there cost next to nothing; but a student that once takes a wrong branch lives there from then on. This is exposure bias, lesson 05. (2) Not quite. The prefixes come from the data distribution, and the chain rule asks for the teacher's. They agree as far as the teacher models the data well; with prefixes sampled from the teacher, the loss added up along each text (and not averaged over positions) is an unbiased estimate of the sequence-level KL, lesson 02. (3) Both are defensible. Distributions are dense and exact but only at the nodes of those 250 names; samples are sparse but reach new nodes. It depends on V (27 or 50,000), on storage, on whether logits can be read at all, and on how many prefixes the data already covers. Lesson 02 measures a part of it: what the probabilities are worth on the same texts.

# %% [markdown]
# ## Recap
#
# 1. A language model is a tree: a distribution at each node, a text for each path, and $\log p(y)$ the sum along it, the end mark included.
# 2. There are $V^L$ paths, so the joint of a real model is sampled, searched or constrained node by node, and never listed.
# 3. The KL between two trees is the sum of the KLs at their nodes, each weighted by the probability that the teacher reaches it.
# 4. A distilled student gets the teacher's whole distribution where an ordinary student gets one label. With few names the labels are soon learned by heart, and the distributions are not.
# 5. Every method is one choice of WHAT, HOW and WHERE.
#
# ## Quiz

# %%
quiz("00")

# %% [markdown]
# ## Glossary
#
# **Token, vocabulary** the units a model reads and writes, and the set of all $V$ of them. **Prefix** the tokens so far, a node of the tree. **Conditional** the distribution of the next token at a node. **Joint** the probability of whole texts. **End mark** the token that says that a text is over; its id also stands at the start and in the padding. **Nat, bit** units of −log p, with the natural logarithm and with log₂. **KL divergence** how much more surprised the student is by the teacher's tokens than the teacher. **Teacher, student** the model that is copied, and the one that copies. **Held-out** never seen in training. **Word-level distillation** matching the teacher's conditionals at the positions of a fixed set of texts. **WHAT, HOW, WHERE** the signal that is copied, the gap that is measured, the prefixes that are visited.
#
# ## Papers
#
# - Bengio, Ducharme, Vincent & Jauvin 2003, [A neural probabilistic language model](https://www.jmlr.org/papers/v3/bengio03a.html), section 1: the product of conditionals.
# - Cover & Thomas 2006, *Elements of Information Theory*, theorem 2.5.3, equation 2.67: the chain rule of the KL divergence.
# - Hinton, Vinyals & Dean 2015, [arXiv 1503.02531](https://arxiv.org/abs/1503.02531), section 2, equations 1 to 4: distillation.
# - Kim & Rush 2016, [arXiv 1606.07947](https://arxiv.org/abs/1606.07947), sections 3.1 and 3.2: word-level and sequence-level distillation.
#
# ## Next
#
# Next in the map: [lesson 01](01_what.ipynb), on the first knob, WHAT; from there [lesson 02](02_word_and_sequence.ipynb) takes the two ways to constrain the tree.
