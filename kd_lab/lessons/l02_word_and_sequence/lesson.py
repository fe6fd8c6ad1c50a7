# %% [markdown]
# # 02 · Word-level and sequence-level distillation
#
# After this lesson you can train a student on a teacher's probabilities, or on nothing but its text, and say what each costs in access, in signal and in bytes.

# %% tags=["hide-input"]
import torch

from kd_lab.lessons.l02_word_and_sequence.figures import targets_figure
from kd_lab.models import load_teacher
from kd_lab.viz import show
from kd_lab.worlds import surnames

names, teacher = surnames(), load_teacher("surnames")
show(
    targets_figure(teacher, names.vocabulary, "martinez"),
    "One text, two signals. Each column is what the student is told at one position. Left, the teacher says at every letter of “martinez” what it would have "
    "written, and with what probability; right, it has only written. ■ is the end of the text.",
    alt="Two maps of the 27 tokens against the nine positions of martinez. Left, every column holds a distribution; right, one dark cell per column.",
)

# %% [markdown] tags=["card"]
# **You will be able to**
#
# - write the word-level and the sequence-level loss, and tell which average each of them takes;
# - train a student through an endpoint that returns nothing but text;
# - search with a beam, and say what it still gains for a student trained on its finds;
# - choose what to keep of a teacher on disk, and repair what keeping less breaks.
#
# **Before this:** [lesson 00](00_the_map.ipynb), where a text is a path in a tree of distributions.
#
# **Time:** 35 minutes for sections 1 to 3, and 20 minutes more for section 4, on storage, and a look at a real LLM, which lesson 03 does not need. {{measured}}

# %%
from IPython.display import Markdown, display

from kd_lab.classroom import claim, exercise, predict, quiz, reveal, setup
from kd_lab.worlds import Batch, language

seed = setup("02", threads=1)
END = names.vocabulary.end  # begins, ends and pads a text, here and in the exact languages below

# %% [markdown]
# ## 1 · Word level: match the nodes
#
# A text $y = y_1 \dots y_T$ ends with the end mark, $y_T = \texttt{END}$.
# A model reads the prefix $y_{<t}$ and gives each of the $V$ tokens of the vocabulary a probability: the teacher $p(v \mid y_{<t})$, the student $q_\theta(v \mid y_{<t})$ with weights $\theta$.
# Every prefix is a node of the tree.
# **Word-level distillation** walks along given texts and matches the whole distribution at every node that it passes:
#
# $$L_\text{word}(\theta) = \frac{1}{n} \sum_{\text{positions } t} \; \sum_{v=1}^{V} p(v \mid y_{<t}) \, \log \frac{p(v \mid y_{<t})}{q_\theta(v \mid y_{<t})}$$
#
# Here $n$ is the number of positions that count: those of the text and its end mark, but not the padding after it.
# Natural logarithms make the unit **nats per position**.

# %%
predict("02.a")

# %% [markdown]
# **By hand.** $V = 3$, $p = (0.7, 0.2, 0.1)$, $q = (0.2, 0.2, 0.6)$.
# The sum over $v$ is
#
# $$0.7 \ln \tfrac{0.7}{0.2} + 0.2 \ln \tfrac{0.2}{0.2} + 0.1 \ln \tfrac{0.1}{0.6} \approx 0.877 + 0 - 0.179 = 0.698 \text{ nats.}$$
#
# Its gradient with respect to the student's logits is $q - p = (-0.5, 0, 0.5)$: every token hears how far off it is.
#
# Suppose instead that the student only sees which token the text went on with.
# If that is the first token, the gradient is $q - (1, 0, 0) = (-0.8, 0.2, 0.6)$; if it is the third, $(0.2, 0.2, -0.4)$.
# The gradients for the three tokens, weighted by $p$, average to $q - p$, but each one alone points elsewhere.
#
# ### Exercise 02.1 · The word-level loss of a batch (●○○, 6 minutes)
#
# Logits are `[B, T, V]`: $B$ texts, $T$ positions, $V$ tokens.
# `mask` is `[B, T]`, True where a position counts.
# Return one number, the mean over all positions that count in the whole batch, in nats per position.


# %%
@exercise("02.1")
def word_level_loss(student_logits, teacher_logits, mask):
    """Forward KL in nats, averaged over the positions that count.

    [B, T, V], [B, T, V], [B, T] -> [].
    """
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Two steps: one KL for every position, `[B, T]`; then their mean over the positions where the mask is True. Which of them divides by something?
#
# </details>
# <details><summary>Hint 2</summary>
#
# `log_softmax(-1)` turns logits into log-probabilities. `gap[mask]` is the vector of the positions that count.
#
# </details>

# %% [markdown] tags=["solution:02.1"]
# solution

# %% [markdown]
# The library's `softmax_kl` gives the same number, and we use it from here on.
# The table sets it beside two reductions of `torch.nn.functional.kl_div` on the same tensors `[B, T, V]`.
# `"batchmean"` divides by $B$, which is right for rows `[N, V]`; here it leaves a sum over positions, so that longer texts pull harder.
# `"mean"` divides by $B \cdot T \cdot V$.
# Public training code holds both.

# %%
from torch.nn.functional import kl_div

from kd_lab.how import softmax_kl
from kd_lab.models import GPT, GPTConfig


def new_student(seed, context=names.context):
    return GPT(GPTConfig(len(names.vocabulary), context, layers=2, heads=2, width=32), seed=seed)


print("letters   word_level_loss   batchmean      mean")
for letters in (4, 8):  # texts of one length, so that there is no padding
    batch = names.held_out[names.held_out.mask.sum(1) == letters + 1]
    with torch.no_grad():
        both = [model(batch.inputs)[:, : letters + 1] for model in (new_student(seed), teacher)]
    ours = float(word_level_loss(*both, batch.mask[:, : letters + 1]))
    assert abs(ours - float(softmax_kl(*both))) < 1e-4, "your loss and the library's differ"
    logp = [logits.log_softmax(-1) for logits in both]
    terms = kl_div(*logp, log_target=True, reduction="none")
    print(f"{letters:7}   {ours:15.3f}   {terms.sum() / len(batch):9.3f}   {terms.mean():7.4f}")

# %% tags=["hide-input"]
from kd_lab.methods import distill, word_level
from kd_lab.where import TextTeacher

passes = []  # the shape of everything that the teacher answers
hook = teacher.register_forward_hook(lambda module, inputs, logits: passes.append(tuple(logits.shape)))
distill(new_student(seed), teacher, names, word_level(), steps=5, seed=seed, progress=False)
hook.remove()
try:  # the same recipe with a teacher that returns text only; it is refused before any request is made
    distill(new_student(seed), TextTeacher("http://127.0.0.1:1/v1"), names, word_level(), steps=5, progress=False)
    refusal = "not refused"
except ValueError as error:
    refusal = str(error)
print(f"5 steps, {len(passes)} passes of the teacher, each of shape {passes[0]}: texts, positions, tokens.")
print(f"With a teacher that returns text only: {refusal}")
reveal("02.a")
claim(
    "C02a",
    "Word-level KD takes one teacher pass per step and V numbers at every position, and needs the teacher's logits.",
    passes[0][-1],
    unit="numbers per position",
    holds=len(passes) == 5 and passes[0][-1] == len(names.vocabulary) and "white-box" in refusal,
)

# %% [markdown]
# ## 2 · Sequence level: match the paths
#
# A text is a path through the tree, with the probability $p(y) = \prod_t p(y_t \mid y_{<t})$.
# **Sequence-level distillation** matches paths:
#
# $$L_\text{seq}(\theta) = -\sum_{y} p(y) \log q_\theta(y)$$
#
# It is $\mathrm{KL}(p \| q_\theta)$ over whole texts plus the teacher's entropy, which the student cannot change.
# The sum has up to $V^L$ terms for texts of at most $L$ tokens, too many to visit.
# So let the teacher write: with $N$ texts $y^{(1)}, \dots, y^{(N)}$ drawn from $p$,
#
# $$\hat L_\text{seq}(\theta) = -\frac{1}{N} \sum_{i=1}^{N} \log q_\theta\big(y^{(i)}\big).$$
#
# Each term has the expectation $L_\text{seq}$, and the gradient of a term has the expectation $\nabla L_\text{seq}$.
# Nothing in it asks for a logit of the teacher.

# %%
predict("02.b")

# %% [markdown]
# **By hand.** The text is “a■”, where ■ is the end mark, with $q(\text a) = \tfrac12$ and $q(■ \mid \text a) = \tfrac14$:
# $-\log q(\text{a■}) = \ln 2 + \ln 4 = 3 \ln 2 \approx 2.079$ nats.
# Without the end mark it would be $0.693$, and a student that never stops would lose nothing by it.
#
# ### Exercise 02.2 · The price of a text (●●○, 8 minutes)
#
# `tokens` is `[B, T + 1]` and begins with `END`, which also ends each text and fills the rest of the row.
# `logits = model(tokens[:, :-1])`, so `logits[:, t]` has read `tokens[:, : t + 1]`.
# Return $-\log q$ of each text, `[B]`, in nats.


# %%
@exercise("02.2")
def sequence_nll(logits, tokens):
    """−log q(text) in nats, one number per text: [B, T, V], [B, T + 1] -> [B]."""
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# `END` has three jobs: it begins a text, ends it and pads it. Only the second belongs to the price. How do you know that an `END` is the first one after the beginning?
#
# </details>
# <details><summary>Hint 2</summary>
#
# `(targets == END).cumsum(1)` counts the end marks up to and including each position. `gather(-1, ids.unsqueeze(-1))` picks one entry of the last axis.
#
# </details>

# %% [markdown] tags=["solution:02.2"]
# solution

# %% [markdown]
# **Experiment.** In the language “echo” the first letter comes back as the last: *axya*, *byb*, *cxc*.
# It has $7^6$ sequences, few enough to add them all up, so we know the exact loss.
# We hold the estimate from $N$ texts against it, 120 times for each $N$.

# %%
from kd_lab.measure import conditionals, joint

echo = language("echo")
learner = GPT(GPTConfig(len(echo.vocabulary), echo.length, layers=1, heads=2, width=16), seed=seed)
log_p, log_q = echo.joint(), joint(conditionals(learner, echo.length))
exact = -(log_p.exp() * log_q)[log_p.isfinite()].sum()  # an impossible text weighs nothing

sizes, repeats = [4, 16, 64, 256, 1024], 120
prices = torch.zeros(repeats, max(sizes), dtype=torch.float64)
with torch.no_grad():
    for repeat in range(repeats):
        tokens = echo.sample(max(sizes), torch.Generator().manual_seed(seed + repeat))
        prices[repeat] = torch.as_tensor(sequence_nll(learner(tokens[:, :-1]), tokens))
errors = torch.stack([prices[:, :size].mean(1) for size in sizes], 1) - exact
print(f"{len(log_p):,} sequences, exact loss {exact:.3f} nats per text")
print(f"from {sizes[-1]:,} sampled texts: {exact + errors[0, -1]:.3f}")

# %% tags=["hide-input"]
from kd_lab.how import NegativeLogLikelihood
from kd_lab.lessons.l02_word_and_sequence.experiment import slope
from kd_lab.lessons.l02_word_and_sequence.figures import estimates_figure

batch = Batch.from_tokens(tokens, end=END)  # the library's loss is the same sum, divided by the number of tokens
with torch.no_grad():
    total = NegativeLogLikelihood()(learner(batch.inputs), batch.targets, batch) * batch.mask.sum()
torch.testing.assert_close(total.double(), prices[-1].sum(), rtol=1e-4, atol=0.0)

show(
    estimates_figure(errors, sizes, float(exact)),
    "The estimates scatter around the exact value on both sides, and twice as closely with four times as many texts. The band is drawn from the spread at the "
    "largest N alone.",
    alt="Estimates of the loss against the number of teacher texts, narrowing around a horizontal line at the exact value.",
)
reveal("02.b")
claim(
    "C02b",
    "The sampled sequence-level loss estimates the exact one without bias: at N = 1,024 its mean is within 0.05 nats.",
    errors[:, -1],
    unit="nats per text, estimate − exact",
    above=-0.05,
    below=0.05,
)
claim(
    "C02b",
    "Its error shrinks like 1/√N.",
    [slope(group - exact, sizes) for group in prices.split(10)],
    unit="slope of log error against log N; from ten repeats each, −0.51 is expected where the law is −0.5",
    above=-0.6,
    below=-0.4,
)

# %% [markdown]
# ### Through a keyhole: a teacher that returns text
#
# The loss needs texts and nothing else, so the teacher may sit behind an endpoint.
# The one below runs on this machine and speaks OpenAI's completions format over HTTP; `TextTeacher` talks to any other in the same way.

# %%
from kd_lab.models import serve

with serve(teacher, names.vocabulary, name="surnames") as url:
    far = TextTeacher(url, model="surnames")
    begun = ["ma", "sch", "mc"]
    for beginning, ending in zip(begun, far.complete(begun, max_tokens=10, seed=seed)):
        print(f"{beginning} → {beginning}{ending}")

# %% [markdown]
# Three groups of students, of eight, eight and five seeds, learn from 512 teacher texts each:
#
# - from texts that the teacher wrote in this process;
# - from texts that came through HTTP;
# - from the texts of the first, with the teacher's probabilities at every position beside them: word level on the teacher's own texts.

# %%
from tqdm.auto import tqdm

from kd_lab.how import Divergence
from kd_lab.measure import bits_per_character
from kd_lab.methods import Recipe, sequence_level
from kd_lab.models import CachedTeacher
from kd_lab.what import Logits
from kd_lab.where import TeacherRollouts

texts, seeds = 512, range(seed, seed + 8)
text_only = sequence_level(size=texts)
dense = Recipe("with probabilities", Logits(), Divergence("forward_kl"), TeacherRollouts(texts))
bits = {"text, in process": [], "text, over HTTP": [], "probabilities": []}
trained, budget = [], {"steps": 90, "batch_size": 32, "learning_rate": 6e-3, "progress": False}
with serve(teacher, names.vocabulary, name="surnames") as url:
    far = TextTeacher(url, model="surnames")
    runs = (text_only, teacher), (text_only, far), (dense, CachedTeacher(teacher))
    for label, (recipe, source) in zip(bits, runs):
        for s in tqdm(seeds[:5] if recipe is dense else seeds, desc=label, leave=False):
            run = distill(new_student(s), source, names, recipe, seed=s, **budget)
            bits[label].append(bits_per_character(run.student, names.held_out))
            trained.append(run.student)

# %% tags=["hide-input"]
from kd_lab.lessons.l02_word_and_sequence.figures import bits_figure

show(
    bits_figure(bits, bits_per_character(teacher, names.held_out)),
    "One marker per seed, and under them the 95 % interval of the mean. Text over HTTP teaches what text in process teaches; with probabilities beside the "
    "same texts the student gets further.",
    alt="Bits per character of three kinds of student, eight or five seeds each, and the teacher's as a dotted line.",
)
in_process, over_http, told = (torch.tensor(values) for values in bits.values())
claim(
    "C02d",
    "A student trained through a text-only endpoint reaches what sampling in process reaches, within 0.1 bits.",
    over_http - in_process,
    unit="bits per character, HTTP − in process",
    above=-0.1,
    below=0.1,
)
claim(
    "C02d",
    "What the endpoint withholds is worth something: with probabilities beside the same texts the student does better.",
    in_process[: len(told)] - told,
    unit="bits per character, text alone − with probabilities",
    above=0,
)

# %% [markdown]
# On average over the teacher's texts both signals point the same way: by the chain rule of lesson 00, word-level KL on texts *that the teacher wrote*, added up along each text, has sequence-level KL as its expectation.
# They differ in noise.
# A sampled token is one throw of a die whose odds the probabilities state outright.
# We let the five students that learned from probabilities meet the same batches of 32 teacher texts, and measure how far a batch's gradient strays from the mean of them all.

# %%
from kd_lab.lessons.l02_word_and_sequence.experiment import stray
from kd_lab.what import Sequences
from kd_lab.where import teacher_texts

written = teacher_texts(teacher, names, TeacherRollouts(texts), seed)
noise = []
for student in trained[-5:]:  # those that learned from probabilities
    by_token = stray(student, teacher, written, Sequences(), NegativeLogLikelihood(), seed)
    by_distribution = stray(student, teacher, written, Logits(), Divergence("forward_kl"), seed)
    noise.append(by_token / by_distribution)
claim(
    "C02b",
    "On the same texts, tokens give a gradient more than twice as noisy as probabilities.",
    noise,
    unit="times the squared distance from the mean gradient",
    above=2,
    scale="log",
)

# %% [markdown]
# ## 3 · The hard variant: match the mode
#
# Now let $x$ be a prompt and $p(y \mid x)$ the teacher's distribution over its continuations.
# Kim & Rush put all of its mass on one text, the **mode** $\hat y = \arg\max_y p(y \mid x)$.
# The sum over $y$ has one term left:
#
# $$L_\text{seq}(\theta) \approx -\log q_\theta(\hat y \mid x)$$
#
# That is supervised fine-tuning (SFT) on text that a teacher wrote.
#
# Finding $\hat y$ exactly means visiting the whole tree.
# **Greedy decoding** takes the likeliest token at every step, until that token is the end mark.
# **Beam search** keeps the $K$ likeliest prefixes, continues each by every token, and keeps the $K$ likeliest of these; a text that has ended is set aside and competes at the end.
#
# Take one step at a time below; with one path kept you see greedy decoding.
# In “echo” it steps on *a*, the likeliest first letter. What does a second path find?

# %% tags=["hide-input"]
from kd_lab.lessons.l02_word_and_sequence.explorers import Searched, beam_explorer
from kd_lab.models import TabularModel

start, brackets = torch.tensor([END]), language("brackets")
mar = names.vocabulary.encode(["mar"])[0, :4]
explorer = beam_explorer(
    {
        "echo": Searched(TabularModel(echo.logp), start, echo.vocabulary),
        "brackets": Searched(TabularModel(brackets.logp), start, brackets.vocabulary),
        "surnames with mar": Searched(teacher, mar, names.vocabulary),
    }
)
explorer.show()

# %% [markdown]
# Filled nodes were kept and hollow ones cut; of these only the best one or two per step are drawn.
# ■ ends a text, and the likeliest branch of a node goes straight on.

# %% tags=["hide-input"]
from kd_lab.lessons.l02_word_and_sequence.figures import searches_figure
from kd_lab.lessons.l02_word_and_sequence.trees import search_tree

spoken = TabularModel(echo.logp)
searches = {"greedy decoding": search_tree(spoken, start, 1, 6), "a beam of 2": search_tree(spoken, start, 2, 6, 1)}
show(
    searches_figure(searches, echo.vocabulary.symbols, depth=6),
    "“echo”, searched twice. On each branch stands the token's probability, at each node log p so far, in nats. After *c* the rest is certain, so that *cxc* is "
    "seven times as likely as what greedy decoding writes; it was given up at the first step, by 36 % against 40 %.",
    alt="Two trees. Greedy decoding follows a, x, x, a to −2.99 nats; a beam of 2 also keeps c and ends with cxc at −1.02 nats.",
)

# %% [markdown]
# Every further token makes a path less likely, so log p favours short texts.
# A **length penalty** $\alpha$ ranks finished texts by $\log p(y \mid x) / |y|^{\alpha}$ instead, where $|y|$ counts tokens: 0 changes nothing, 1 compares nats per token.
#
# Type the beginning of your own surname.
# The model knows the letters a to z, so accents, apostrophes, hyphens and spaces are taken off first.

# %% tags=["hide-input"]
from kd_lab.lessons.l02_word_and_sequence.explorers import penalty_explorer

explorer = penalty_explorer(teacher, names.vocabulary)
explorer.show()

# %% tags=["hide-input"]
explorer.filmstrip([{}, "per token"])

# %% [markdown]
# **By hand.** Two hypotheses, *a* with probability 0.5 and *c* with 0.4.
# After *a* the next token has (0.40, 0.32, 0.28), after *c* (0.02, 0.96, 0.02).
# The six children have 0.200, 0.160, 0.140 and 0.008, 0.384, 0.008.
# A beam of width 2 keeps 0.384, whose parent is *c*, and 0.200, whose parent is *a*.
# Greedy decoding had dropped *c* one step before.
#
# ### Exercise 02.3 · One step of a beam (●●○, 7 minutes)
#
# `scores` `[K]` are log-probabilities of the hypotheses so far, `logp` `[K, V]` those of the next token after each.
# Return the `width` best children, best first: their scores, the number of the parent of each (counted from 0), and its new token.
# `width` may differ from $K$: a search begins with one hypothesis.


# %%
@exercise("02.3")
def extend(scores, logp, width):
    """One step of beam search.

    [K], [K, V] -> (scores, parents, tokens), each [width], best first.
    """
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# All $K \cdot V$ children stand in one competition. Which score does a child have, given its parent's?
#
# </details>
# <details><summary>Hint 2</summary>
#
# `flatten()` and `topk` give places in a list of $K \cdot V$. Places 0 to $V - 1$ belong to parent 0, the next $V$ to parent 1. `//` and `%` undo that.
#
# </details>

# %% [markdown] tags=["solution:02.3"]
# solution

# %% [markdown]
# With this step a whole search fits into a few lines.
# In an exact language only `END` follows `END`, with probability 1, so a finished text may simply stay in the beam.
# At width 1 that is greedy decoding, where the end mark competes like any other token.
# The library's `beam_search` sets finished texts aside; at widths 2 and 4 it finds the same texts here.


# %%
from kd_lab.models import generate
from kd_lab.where import beam_search


def small_beam(model, width, length):
    """The best text of a beam search, [1, 1 + length], and its log-probability."""
    scores, tokens = torch.zeros(1, dtype=torch.float64), torch.tensor([[END]])
    for _ in range(length):
        logp = model(tokens)[:, -1].log_softmax(-1)
        scores, parents, new = map(torch.as_tensor, extend(scores, logp, width))
        tokens = torch.cat([tokens[parents], new[:, None]], dim=1)
    return tokens[:1], float(scores[0])


for spoken in (echo, brackets):
    model, say = TabularModel(spoken.logp), spoken.vocabulary.decode
    for width in (1, 2, 4):
        with torch.no_grad():
            tokens, logp = small_beam(model, width, spoken.length)
        found = generate(model, start[None], spoken.length, greedy=True)
        if width > 1:
            found = torch.tensor([beam_search(model, start, width, spoken.length)[0].tokens])
        assert say(tokens) == say(found), "your step and the library find different texts"
        print(f"{spoken.name:8}  width {width}: {say(tokens)[0]:6}  {logp:.3f} nats")

# %% [markdown]
# **Experiment.** From here on the first three letters of a name are the prompt, and the student writes the rest.
# The teacher's beam, five wide, gives one text per prompt. We call it the mode, though a beam may miss the likeliest text.
# First the claim that hard sequence-level KD *is* SFT: we train one student by `sequence_level("beam")`, its twin by `labels_only` on a file of the same modes, and compare the loss at every step and at every token.

# %% tags=["hide-input"]
from dataclasses import replace

from kd_lab.lessons.l02_word_and_sequence.experiment import split_prompts
from kd_lab.methods import labels_only

given = names.given(4)  # END and three letters
labelled, unseen = split_prompts(given, 4, asked=400, unseen=60, seed=seed)
few = sequence_level("beam", size=64)
sft = replace(labelled, train=teacher_texts(teacher, labelled, few.where, seed))
one = distill(new_student(seed, given.context), teacher, labelled, few, steps=5, seed=seed, progress=False)
two = distill(new_student(seed, given.context), None, sft, labels_only(), steps=5, seed=seed, progress=False)

batch = sft.train[:8]
logits, tokens = few.what.bind(one.student, teacher, seed).read(batch)
with torch.no_grad():
    by_token = -logits.log_softmax(-1).gather(-1, batch.targets.unsqueeze(-1)).squeeze(-1)[batch.mask]
    per_token = torch.nn.functional.cross_entropy(logits[batch.mask], tokens[batch.mask], reduction="none")
apart = max(float(abs(one.history["loss"] - two.history["loss"]).max()), float((by_token - per_token).abs().max()))
print(f"loss by step, KD:  {one.history['loss'].round(5)}\nloss by step, SFT: {two.history['loss'].round(5)}")
claim(
    "C02c",
    "Hard sequence-level KD is SFT on the beam's text: its loss is −log q(ŷ|x), token for token and step for step.",
    apart,
    unit="nats, largest difference",
    holds=apart < 1e-6,
)

# %% [markdown]
# Now its effect.
# Students of one size learn from real names, from the teacher's *samples* for the same prompts, or from its *modes*.
# The samples are the control: also text that a teacher wrote, as many of them, but not its likeliest.
# A prompt that comes up again gets a new sample, and the same mode.
# On 60 prompts that none of them has seen, each student writes greedily and with a beam of five.

# %%
predict("02.c")

# %%
from functools import partial

from kd_lab.classroom.students import taught
from kd_lab.lessons.l02_word_and_sequence.experiment import greedy_and_beam, log_probability

samples, modes = (
    replace(labelled, train=teacher_texts(teacher, labelled, TeacherRollouts(1024, decode), seed))
    for decode in ("sample", "beam")
)
worlds = {"names": labelled, "teacher's samples": samples, "teacher's modes": modes}
budget = {"teacher": None, "recipe": labels_only(), "steps": 110, "learning_rate": 5e-3}
gaps, agreement, judged, cost = ({label: [] for label in worlds} for _ in range(4))
for label, world in worlds.items():
    untaught = partial(new_student, context=given.context)
    pupils = taught(label, untaught, seeds, world=world, **budget)
    for student, _ in pupils:
        greedy, beam = greedy_and_beam(student, unseen, room=given.context - 3)
        found, plain = (log_probability(student, text, prompt_length=4) for text in (beam, greedy))
        gaps[label].append((found - plain).mean().item())
        agreement[label].append((greedy == beam).all(1).float().mean().item())
        judged[label].append(log_probability(teacher, greedy, prompt_length=4).mean().item())
        cost[label].append(bits_per_character(student, given.held_out))

# %% tags=["hide-input"]
from kd_lab.lessons.l02_word_and_sequence.figures import decoding_figure

show(
    decoding_figure(gaps, judged),
    "Rows are what a student was trained on; one marker per seed, with the 95 % interval of the mean. Left: what a beam still finds beyond greedy decoding. "
    "Right: what the teacher thinks of the greedy texts; there the intervals overlap, and eight seeds do not rank the three.",
    alt="Two panels of dots. Left, the gap between beam and greedy is large for names and samples and near zero for modes. Right, overlapping clouds.",
)
from_names, from_samples, from_modes = (torch.tensor(values) for values in gaps.values())
left = (from_modes / from_samples).mean()
reveal("02.c", left=left)
for label in gaps:
    same, price = 100 * torch.tensor(agreement[label]).mean(), torch.tensor(cost[label]).mean()
    print(
        f"trained on {label:18} greedy = beam for {same:3.0f} % of prompts, {price:.2f} bits per character on real names"
    )
claim(
    "C02f",
    "After sequence-level KD on modes, greedy decoding comes close to beam search: under a third of the gap is left.",
    from_names / 3 - from_modes,
    unit="nats less than a third of the gap of a student of the names",
    above=0,
)
claim(
    "C02f",
    "It is the modes that do it, and not only that a teacher wrote the text: a student of as many samples keeps over three times the gap.",
    from_samples / 3 - from_modes,
    unit="nats less than a third of the gap of a student of teacher samples",
    above=0,
)
claim(
    "C02f",
    "The price: as a model of real names the student of modes is worse by more than half a bit per character.",
    torch.tensor(cost["teacher's modes"]) - torch.tensor(cost["teacher's samples"]),
    unit="bits per character, modes − samples",
    above=0.5,
)

# %% [markdown]
# The student of modes was shown one continuation where real names have many.
# It hardly needs a search to find its own favourite, and can hardly say any more what else there is.
# Part of the gap closes with the teacher's samples already: they leave less to search for than real names do.
# Whether its one answer is *better*, in the teacher's eyes, the right panel leaves open.
#
# ## 4 · What to keep of the teacher (optional)
#
# Running the teacher at every step is costly, so its answers are often stored.
# The word-level target of one token is $V$ numbers; with $V \approx 50{,}000$ that is more than everything else in the data set.
# Three ways to keep less:
#
# - **top k**: the $k$ likeliest tokens with their log-probabilities;
# - **$k$ sampled ids**: tokens drawn from $p$, each of weight $1/k$; our file holds $\log p$ beside each id, for the value of the loss: its gradient needs the ids alone, half the bytes;
# - **the token ids of the text** alone: sequence level.

# %% tags=["hide-input"]
from kd_lab.lessons.l02_word_and_sequence.experiment import bytes_per_token
from kd_lab.lessons.l02_word_and_sequence.figures import storage_table

V_real, k_real = 50_257, 12  # GPT-2's vocabulary; a file's size depends on its shape, so any logits will do
with torch.no_grad():
    answers = teacher(written.inputs)[written.mask]
chance = torch.Generator().manual_seed(seed)
own = bytes_per_token(answers, written.targets[written.mask], 4, chance)
real = bytes_per_token(torch.randn(256, V_real, generator=chance), torch.arange(256), k_real, chance)
display(Markdown(storage_table(own, real, ("V = 27, k = 4", f"V = {V_real:,}, k = {k_real}"))))

# %% tags=["hide-input"]
# two bytes per number, one number more for the rest of a top k,
# and a file header of some hundred bytes, shared by the 256 tokens
nominal = {"all logits": 2 * V_real, "top k": 4 * k_real + 2, "k sampled": 4 * k_real, "token ids": 2}
for name, size in real.items():
    scale, unit = (1000, "kB") if size > 1000 else (1, "bytes")
    claim(
        "C02e",
        f"What a token costs on disk at V = {V_real:,}, k = {k_real}, in fp16 and uint16: {name}.",
        size / scale,
        unit=f"{unit} per token",
        holds=0 <= size - nominal[name] < 2,
    )

# %% [markdown]
# ### What a truncated target teaches
#
# Keep the set $K$ of the $k$ likeliest tokens and sum over it alone: $\sum_{v \in K} p_v \log (p_v / q_v)$.
# Public training code has shipped this sum.
# It is no divergence.
# Its gradient with respect to the student's logits is
#
# $$\Big(\sum_{v \in K} p_v\Big)\, q - p_K, \qquad p_K = p \text{ on } K \text{ and } 0 \text{ elsewhere.}$$

# %%
predict("02.d")

# %% [markdown]
# **By hand.** $V = 3$, $p = (0.2, 0.5, 0.3)$, and $K$ holds the last two.
# The gradient vanishes where $0.8\, q = (0, 0.5, 0.3)$, at $q = (0, 0.625, 0.375)$: nothing is left for the first token.
# On the way there the sum falls below zero, to $0.8 \ln 0.8 \approx -0.179$.
# Clamping it at zero would hide that and stop the learning.
#
# One more number repairs it.
# All that was not kept goes into one **bucket**, of probability $1 - \sum_{v \in K} p_v$ for the teacher and $1 - \sum_{v \in K} q_v$ for the student.
# The $k + 1$ outcomes are a distribution again.
#
# ### Exercise 02.4 · A bucket for the tail (●●●, 10 minutes)
#
# `kept_ids` and `kept_logp` are `[N, K]`: which tokens were kept at each position, and the teacher's log-probabilities there.
# $K < V$, and the bucket is never empty.
# Return the forward KL over the kept tokens and the bucket, `[N]`, in nats.


# %%
@exercise("02.4")
def bucket_loss(student_logits, kept_ids, kept_logp):
    """KL in nats over the K kept tokens and one bucket for all the others.

    [N, V], [N, K], [N, K] -> [N].
    """
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# First the kept terms, then one term for the bucket, $r \log (r / s)$ with $r$ and $s$ the teacher's and the student's rest. The student is normalised over all $V$ tokens, not over the kept ones.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `gather(-1, kept_ids)` reads the student at the kept tokens; `scatter(-1, kept_ids, -torch.inf)` followed by `logsumexp(-1)` sums up all the others.
#
# </details>

# %% [markdown] tags=["solution:02.4"]
# solution

# %% [markdown]
# **Experiment.** One position of the real teacher, the letter after “ma”, and students that are nothing but free logits.
# Twenty of them start at random and follow each loss to its minimum.
# A top k says the same at every visit.
# Sampled ids may be drawn anew: we let a student meet $k = 4$ fresh ones at each of 200 visits, 800 draws in all, and one that meets the same 4, stored once.
#
# The library's `top_k` keeps the bucket's mass beside the $k$ tokens, as a logarithm, because $1 - \sum_K p_v$ has no digits left where the teacher is nearly sure.
# `sparse_teacher_kl` reads it from there.

# %%
from kd_lab.how import sampled, sparse_softmax_kl, top_k
from kd_lab.how.sparse import sparse_teacher_kl

V, k, visits, starts = 27, 4, 200, 20
with torch.no_grad():
    after_ma = teacher(names.vocabulary.encode(["ma"])[:, :3])[0, -1].double()
p, rows = after_ma.softmax(-1), after_ma.expand(starts, V)
top = top_k(rows, k)
fresh = sampled(rows, visits * k, generator=torch.Generator().manual_seed(seed))
once = fresh.ids[:, :k]


def truncated(logits):
    return (top.logp.exp() * (top.logp - logits.log_softmax(-1).gather(-1, top.ids))).sum(-1)


LOSSES = {
    "top k, truncated": truncated,
    "top k, renormalised": lambda logits: sparse_softmax_kl(
        logits, top.ids, top.logp, tail="renormalize", reduction="none"
    ),
    "top k and a bucket": lambda logits: sparse_teacher_kl(logits, top, reduction="none"),
    f"k sampled, {visits} visits": lambda z: sparse_teacher_kl(z, fresh, reduction="none"),
}

# %% tags=["hide-input"]
from kd_lab.lessons.l02_word_and_sequence.experiment import minimise
from kd_lab.lessons.l02_word_and_sequence.figures import optima_table

logits = torch.randn(starts, V, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).requires_grad_()
yours = torch.as_tensor(bucket_loss(logits, top.ids, top.logp)).double()
assert torch.allclose(yours, LOSSES["top k and a bucket"](logits), atol=1e-4), "your loss and the library's differ"
(gradient,) = torch.autograd.grad(truncated(logits).sum(), logits)
p_kept = torch.zeros(V, dtype=torch.float64).scatter(0, top.ids[0], p[top.ids[0]])
torch.testing.assert_close(gradient, p_kept.sum() * logits.softmax(-1) - p_kept)  # the formula above

optima = {name: minimise(loss, starts, V, seed) for name, loss in LOSSES.items()}
optima["k sampled, stored once"] = torch.nn.functional.one_hot(once, V).double().mean(1)  # its minimum in closed form
outside = torch.ones(V, dtype=torch.bool).scatter(0, top.ids[0], False)
tails = {name: q[:, outside].sum(1) for name, q in optima.items()}
distance = {name: (q - p).abs().sum(1) / 2 for name, q in optima.items()}
tail = p[outside].sum().item()
display(Markdown(optima_table(tails, distance, tail)))
reveal("02.d")
claim(
    "C02g",
    "The optimum of truncated top k puts all of the student's mass on the kept tokens.",
    tails["top k, truncated"].max(),
    unit="probability outside K, the largest of 20 students",
    holds=tails["top k, truncated"].max() < 0.01 * tail,
)
deviation = (optima["top k and a bucket"] - p)[:, ~outside].abs().sum(1) + (tails["top k and a bucket"] - tail).abs()
claim(
    "C02g",
    "With a tail bucket the kept tokens and the rest as a whole get the teacher's probabilities.",
    deviation.max(),
    unit="total deviation on k + 1 outcomes, the largest of 20 students",
    holds=deviation.max() < 1e-3,
)
claim(
    "C02g",
    "Sampled ids are unbiased: over 800 draws the student's tail is the teacher's, within 0.03.",
    tails[f"k sampled, {visits} visits"] - tail,
    unit="probability outside K, student − teacher",
    above=-0.03,
    below=0.03,
)
claim(
    "C02g",
    "Unbiased is not close: stored once, four sampled ids leave the student farther from the teacher than truncation.",
    distance["k sampled, stored once"] - distance["top k, truncated"].mean(),
    unit="total variation, stored once − truncated",
    above=0,
)

# %% [markdown]
# Scaling the $k$ kept probabilities to sum to 1, as is common, has the same optimum as the truncated sum.
# A bucket repairs the mass and not the shape: of how the student shares its tail out the loss says nothing; that depends on where it started, and on the way.
# Sampled ids get both right on average, and pay in draws.
# A real student sees millions of positions, and what it learns at one it uses at others; a free logit has only its own visits.
#
# Bars are the teacher, squares the student at the optimum; with a bucket, one whose tail was even at the start. Watch the short bars, which are the tail, and what visits buy.

# %% tags=["hide-input"]
from kd_lab.lessons.l02_word_and_sequence.explorers import cache_explorer

draws = torch.multinomial(p, visits * 12, True, generator=torch.Generator().manual_seed(seed)).view(visits, 12)
explorer = cache_explorer(p, draws, ["■", *names.vocabulary.symbols[1:]], after="ma")
explorer.show()

# %% tags=["hide-input"]
explorer.filmstrip([{}, "with a bucket", "sampled, stored once", "sampled, 200 visits"])

# %% [markdown]
# ## The two rows
#
# Everything below was measured by the cells above.

# %% tags=["hide-input"]
from kd_lab.lessons.l02_word_and_sequence.figures import summary_table

display(Markdown(summary_table(written, len(names.vocabulary), own, (V_real, real), bits, noise)))

# %% [markdown]
# ## In the wild
#
# Kim & Rush (2016) trained translators on what their teacher's beam found.
# Against a student without distillation the best one gained 4.2 BLEU in greedy decoding and 1.7 in beam search, so that a beam was hardly needed; it ran ten times as fast as its teacher.
# As here, distillation moved the search into the training.
# There one answer per sentence was all that was asked for, so what the student forgot did not count.
#
# Reasoning models are distilled from *samples*: the R1-Distill models (2025) are Qwen and Llama models fine-tuned on 800,000 texts curated with DeepSeek-R1.
#
# Anshumann et al. (2025) cached sampled ids for students of 300M to 3B parameters and came close to full distillation, at less than 10 % more than the cost of training on text.
#
# ## On a real LLM (optional)
#
# One position of SmolLM2-135M and of a student made from it ([lesson 13](13_real_llm.ipynb)).
# Left, pale bars are what a top k leaves out.
# Right, the forward KL that is read off what was kept, beside that of all stored tokens and one event for the others.
#
# The bucket never reads more than there is.
# In which direction does the truncated sum err, and at which prompt does it fall below zero?
# A draw reads log(p/q) at its token: how many draws, at the first prompt, bring the standard deviation of their mean down to a fifth of the KL?

# %% tags=["hide-input"]
from kd_lab.lessons.l02_word_and_sequence.explorers import real_cache_explorer

real_cache = real_cache_explorer()
real_cache.show()

# %% tags=["hide-input"]
real_cache.filmstrip([{}, "k = 32", "a sure teacher", "below zero"])

# %% [markdown]
# ## Discuss
#
# *For two people, ten minutes.*
# A company sells access to a large model through an endpoint that returns text.
# You want a small model that *ranks* candidate answers by probability, and you can afford 100,000 requests.
# Your neighbour wants a small model that *answers* once per question.
# Which texts does each of you ask for: samples or greedy answers, many per question or one?
# What can neither of you learn?

# %% [markdown] tags=["teacher"]
# **Expected answers.** Ranking needs the distribution: sampled texts at temperature 1, several per question, since the loss over samples estimates the sequence-level KL (C02b). Greedy or
# beam-like texts would teach a ranking in which everything but one answer is hopeless; its price in bits stands under C02f. Answering once profits from the mode: one greedy answer, the nearest to it that an endpoint gives, for each of
# many questions. After the texts of a beam greedy decoding was about as good as the student's own search (C02f). Neither learns what the teacher rates as almost as likely beyond what sampling happens to show: the density of the
# signal is one id per token. Neither can try another temperature afterwards, or correct the student on the student's own prefixes: that is [lesson 05](05_where.ipynb).
#
# **Misconceptions to listen for.** “Sequence-level KD means a loss over sequences, so it is no token loss”: by the chain rule it is the sum of token losses. “Any teacher text makes greedy decoding
# as good as a beam”: samples do not, modes do, by the student's own judgement (C02f). “Beam search finds the mode”: it finds a good text. “A beam of width 1 is greedy decoding”: only if the end mark competes like any
# other token; the library's beam sets each ending aside, so that after “mar” a width of 1 returns “mart” and greedy decoding writes “martin”. “A larger k repairs the truncated sum”: it shrinks the bias
# and does not remove it. “Unbiased ids are better than a bucket”: not with four draws and no further visit (C02g).

# %% [markdown]
# ## Recap
#
# 1. Word-level KD matches the teacher's distribution at every node that given texts pass: one teacher pass, $V$ numbers per position, logits needed.
# 2. Sequence-level KD matches paths. Sampled texts estimate its loss without bias, with an error like $1/\sqrt N$, and a text-only endpoint is enough.
# 3. On the teacher's own texts the gradients of both have the same expectation; probabilities carry it with less noise.
# 4. The hard variant is SFT on the beam's text. What its student writes greedily is nearly as likely, by its own judgement, as what its beam finds; for a student of samples it is not. In return it forgets what else there was.
# 5. Storing less is fine if the rest is accounted for, by a bucket or by sampled ids; a truncated sum teaches that there is no rest. Sampled ids cost draws: 200 visits of 4 came near the teacher, 4 stored once did not.
#
# ## Quiz

# %%
quiz("02")

# %% [markdown]
# ## Glossary
#
# **Node, path** A prefix of the tree of texts; a whole text. **Word-level KD** Forward KL between distributions at the nodes of given texts. **Sequence-level KD** −log q of texts that the teacher
# wrote. **Mode** The likeliest text. **Greedy decoding** Takes the likeliest token at each step. **Beam search** Keeps the $K$ likeliest prefixes at each step. **SFT** Supervised fine-tuning: maximum likelihood on given texts. **White-box, black-box** A teacher
# whose logits can be read; one that returns text. **Tail bucket** One outcome that stands for all tokens that a cache did not keep.
#
# ## Papers
#
# - Kim & Rush 2016, *Sequence-Level Knowledge Distillation*, [arXiv 1606.07947](https://arxiv.org/abs/1606.07947): section 3.1 for $\mathcal L_\text{WORD-KD}$, section 3.2 for $\mathcal L_\text{SEQ-KD}$ and its mode, table 1 for greedy against beam.
# - Hinton, Vinyals & Dean 2015, *Distilling the Knowledge in a Neural Network*, [arXiv 1503.02531](https://arxiv.org/abs/1503.02531): section 2, equations 1 and 2.
# - Wu et al. 2016, *Google's Neural Machine Translation System*, [arXiv 1609.08144](https://arxiv.org/abs/1609.08144): equation 14 for a length penalty in beam search.
# - Anshumann et al. 2025, *Sparse Logit Sampling*, [arXiv 2503.16870](https://arxiv.org/abs/2503.16870): top k is biased, sampled ids are not.
# - DeepSeek-AI 2025, *DeepSeek-R1*, [arXiv 2501.12948](https://arxiv.org/abs/2501.12948): smaller models fine-tuned on the samples of a larger one.
#
# ## Next
#
# Both losses of this lesson look in one direction: the teacher weighs, the student answers. [Lesson 03](03_which_kl.ipynb) turns the KL around.
