# %% [markdown]
# # 02 · Word-level and sequence-level distillation
#
# After this lesson you can train a student on a teacher's probabilities, or on nothing but its text, and say what each costs in access, in signal and in bytes.

# %% tags=["hide-input"]
import torch

from kd_lab.lessons.l02_word_and_sequence.figures import draw_targets
from kd_lab.models import load_teacher
from kd_lab.viz import course_style, new_figure, show
from kd_lab.worlds import surnames

names, teacher = surnames(), load_teacher("surnames")
END = names.vocabulary.end  # begins, ends and pads a text, here and in the exact languages below
tokens = names.vocabulary.encode(["martinez"])
with torch.no_grad():
    dense = teacher(tokens[:, :-1])[0].softmax(-1)
sparse = torch.nn.functional.one_hot(tokens[0, 1:], len(names.vocabulary)).float()

figure = new_figure(760, 400)
with course_style():
    for axes, targets, title in zip(
        figure.subplots(1, 2), (dense, sparse), ("word level", "sequence level"), strict=True
    ):
        draw_targets(axes, targets.numpy(), [*"martinez", "■"], ["■", *names.vocabulary.symbols[1:]])
        axes.set_title(f"{title}: {int((targets > 0).sum())} numbers")
show(
    figure,
    "One text, two signals. Each column is a target for the student. Left, the teacher says at every letter of “martinez” what it would have "
    "written and with what probability; right, it has only written. ■ is the end of the text.",
    alt="Two maps of the 27 tokens against the nine positions of martinez. Left, every column holds a distribution; right, one dark cell per column.",
)

# %% [markdown] tags=["card"]
# **You will be able to**
#
# - write the word-level and the sequence-level loss, and tell which average each of them takes;
# - train a student through an endpoint that returns nothing but text;
# - search with a beam, and say why a student trained on what it finds no longer needs one;
# - choose what to keep of a teacher on disk, and repair what keeping less breaks.
#
# **Before this:** [lesson 00](00_the_map.ipynb), where a text is a path in a tree of distributions.
#
# **Time:** 45 minutes to read and do. {{measured}}

# %%
from IPython.display import Markdown, display

from kd_lab.classroom import claim, exercise, predict, quiz, reveal, setup
from kd_lab.viz import BASELINE, STUDENT, TEACHER, Choice, Explorer, Slider
from kd_lab.worlds import Batch, language

seed = setup("02")
echo = language("echo")

# %% [markdown]
# ## 1 · Word level: match the nodes
#
# A text $y = y_1 \dots y_T$ ends with the end mark $y_T = \texttt{END}$. A model reads the prefix $y_{<t}$ and gives each of the $V$ tokens of the
# vocabulary a probability: the teacher $p(v \mid y_{<t})$, the student $q_\theta(v \mid y_{<t})$, where $\theta$ are the student's weights. Every prefix is a
# node of the tree. Word-level distillation walks along given texts and matches the whole conditional at every node that it passes:
#
# $$L_\text{word}(\theta) = \frac{1}{n} \sum_{\text{positions } t} \; \sum_{v=1}^{V} p(v \mid y_{<t}) \, \log \frac{p(v \mid y_{<t})}{q_\theta(v \mid y_{<t})}$$
#
# with $n$ the number of positions that count: those of the text and its end mark, not the padding behind it. Natural logarithms make the unit
# **nats per position**.

# %%
predict("02.a")

# %% [markdown]
# **By hand.** $V = 3$, $p = (0.7, 0.2, 0.1)$, $q = (0.2, 0.2, 0.6)$. The sum over $v$ is
#
# $$0.7 \ln \tfrac{0.7}{0.2} + 0.2 \ln \tfrac{0.2}{0.2} + 0.1 \ln \tfrac{0.1}{0.6} \approx 0.877 + 0 - 0.179 = 0.698 \text{ nats.}$$
#
# With respect to the student's logits its gradient is $q - p = (-0.5, 0, 0.5)$: every token of the vocabulary hears how far off it is. Had the text merely gone on
# with the first token, the gradient would be $q - (1, 0, 0) = (-0.8, 0.2, 0.6)$, and with the third $(0.2, 0.2, -0.4)$. Weighed by $p$ these average to the same
# vector; one alone points elsewhere.
#
# ### Exercise 02.1 · The word-level loss of a batch (●○○, 6 minutes)
#
# Logits are `[B, T, V]`: $B$ texts, $T$ positions. `mask` is `[B, T]`, True where a position counts. Return one number, in nats per position.


# %%
@exercise("02.1")
def word_level_loss(student_logits, teacher_logits, mask):
    """Forward KL, averaged over the positions that count, in nats: [B, T, V], [B, T, V], [B, T] -> []."""
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
# The library's `softmax_kl` gives the same number, and it is what we use from here on. Beside it stand two reductions of a popular function,
# `torch.nn.functional.kl_div`, on the same tensors `[B, T, V]`. Its `"batchmean"` divides by $B$, as its documentation says, which is right for rows of `[N, V]`; on
# `[B, T, V]` it leaves a sum over positions, so that longer texts pull harder. `"mean"` divides by $B \cdot T \cdot V$. Public training code holds both.

# %%
from kd_lab.how import softmax_kl
from kd_lab.models import GPT, GPTConfig


def new_student(seed, context=names.context):
    return GPT(GPTConfig(len(names.vocabulary), context, layers=2, heads=2, width=32), seed=seed)


lengths = names.held_out.mask.sum(1)
print("letters   word_level_loss   batchmean      mean")
with torch.no_grad():
    for letters in (4, 8):
        batch = names.held_out[lengths == letters + 1]
        student_logits, teacher_logits = new_student(seed)(batch.inputs), teacher(batch.inputs)
        ours = word_level_loss(student_logits, teacher_logits, batch.mask)
        torch.testing.assert_close(ours, softmax_kl(student_logits, teacher_logits, mask=batch.mask))
        # Every text of this group is T tokens long, so without padding the reductions differ in the divisor alone.
        T = letters + 1
        logs = student_logits[:, :T].log_softmax(-1), teacher_logits[:, :T].log_softmax(-1)
        batchmean = torch.nn.functional.kl_div(*logs, reduction="batchmean", log_target=True)
        terms = torch.nn.functional.kl_div(*logs, reduction="none", log_target=True)
        mean = terms.mean()  # what reduction="mean" returns
        print(f"{letters:7}   {ours:15.3f}   {batchmean:9.3f}   {mean:7.4f}")

# %%
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
print(
    f"5 steps, {len(passes)} passes of the teacher, each answering with {passes[0]} numbers: texts, positions, tokens.\n{refusal}"
)
reveal("02.a")
claim(
    "C02a",
    "Word-level KD takes one teacher pass a step and V numbers at every position, and needs the teacher's logits.",
    passes[0][-1],
    unit="numbers per position",
    holds=len(passes) == 5 and passes[0][-1] == len(names.vocabulary) and "white-box" in refusal,
)
# %% [markdown]
# ## 2 · Sequence level: match the paths
#
# A text is a path through the tree, with the probability $p(y) = \prod_t p(y_t \mid y_{<t})$. Sequence-level distillation matches these:
#
# $$L_\text{seq}(\theta) = -\sum_{y} p(y) \log q_\theta(y)$$
#
# It is $\mathrm{KL}(p \| q_\theta)$ over whole texts plus the teacher's entropy, which the student cannot change. The sum has up to $V^L$ terms for texts of at
# most $L$ tokens. So let the teacher write: with $N$ texts $y^{(1)}, \dots, y^{(N)}$ drawn from $p$,
#
# $$\hat L_\text{seq}(\theta) = -\frac{1}{N} \sum_{i=1}^{N} \log q_\theta\big(y^{(i)}\big).$$
#
# Each term has the expectation $L_\text{seq}$, and the gradient of each has the expectation of its gradient. Nothing in it asks for a logit of the teacher.

# %%
predict("02.b")

# %% [markdown]
# **By hand.** Three symbols, the text “a■” with $q(\text a) = \tfrac12$ and $q(■ \mid \text a) = \tfrac14$:
# $-\log q(\text{a■}) = \ln 2 + \ln 4 = 3 \ln 2 \approx 2.079$ nats. Without the end mark it would be $0.693$, and a student that never stops would lose
# nothing by it.
#
# ### Exercise 02.2 · The price of a text (●●○, 8 minutes)
#
# `tokens` is `[B, T + 1]` and begins with `END`, which also ends each text and fills the row behind it. `logits = model(tokens[:, :-1])`, so `logits[:, t]` has read
# `tokens[:, : t + 1]`. Return $-\log q$ of each text, `[B]`, in nats.


# %%
@exercise("02.2")
def sequence_nll(logits, tokens):
    """−log q(text) in nats, one number per text: [B, T, V], [B, T + 1] -> [B]."""
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# `END` has three jobs: it begins a text, ends it and pads it. Only the second belongs to the price. How do you know that an `END` is the first one after the
# beginning?
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
# **Experiment.** In the language “echo” the first letter comes back as the last: *axya*, *byb*, *cxc*. It has $7^6$ sequences, few enough to add them all up, so
# the exact loss is a number. We compare the estimate from $N$ texts with it, sixty times for each $N$.

# %%
from kd_lab.how import NegativeLogLikelihood
from kd_lab.measure import conditionals, joint

learner = GPT(GPTConfig(len(echo.vocabulary), echo.length, layers=1, heads=2, width=16), seed=seed)
log_p, log_q = echo.joint(), joint(conditionals(learner, echo.length))
exact = -(log_p.exp() * log_q)[log_p.isfinite()].sum()  # an impossible text weighs nothing

sizes, repeats = [4, 16, 64, 256, 1024], 60
errors = torch.zeros(repeats, len(sizes), dtype=torch.float64)
with torch.no_grad():
    for repeat in range(repeats):
        tokens = echo.sample(max(sizes), torch.Generator().manual_seed(seed + repeat))
        prices = sequence_nll(learner(tokens[:, :-1]), tokens).double()
        errors[repeat] = torch.stack([prices[:size].mean() for size in sizes]) - exact

    batch = Batch.from_tokens(tokens, end=END)  # the library's loss is the same sum, divided by the number of tokens
    torch.testing.assert_close(
        NegativeLogLikelihood()(learner(batch.inputs), batch.targets, batch) * batch.mask.sum(), prices.float().sum()
    )
print(
    f"{len(log_p):,} sequences, exact loss {exact:.4f} nats per text; from {sizes[-1]:,} sampled texts {exact + errors[0, -1]:.4f}"
)


# %% tags=["hide-input"]
def slope(group):
    """Of the logarithm of the typical error (root mean square) against the logarithm of N."""
    typical = group.square().mean(0).sqrt().log()
    n = torch.tensor(sizes, dtype=torch.float64).log()
    return ((n - n.mean()) * (typical - typical.mean())).sum() / (n - n.mean()).square().sum()


figure = new_figure(760, 300)
with course_style():
    axes = figure.subplots()
    jitter = torch.linspace(0.88, 1.14, repeats)
    for n, column in zip(sizes, errors.T, strict=True):
        axes.plot(
            n * jitter,
            exact + column,
            ".",
            color=STUDENT.color,
            markersize=4,
            label="one estimate from N texts" if n == 4 else None,
        )
    n = torch.logspace(0.5, 3.1, 50)
    spread = errors.square().mean(0).sqrt()[-1] * (sizes[-1] / n).sqrt()
    axes.fill_between(
        n,
        exact - 2 * spread,
        exact + 2 * spread,
        color=TEACHER.color,
        alpha=0.12,
        linewidth=0,
        label="± 2 typical errors, by 1/√N",
    )
    axes.axhline(exact, **TEACHER.line, label="exact, over all sequences")
    axes.set(xscale="log", xlabel="teacher texts N", ylabel="loss, nats per text", xlim=(3, 1300))
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes], minor=False)
    axes.minorticks_off()
    axes.legend(loc="upper right", markerscale=2)
show(
    figure,
    "The estimates scatter around the exact value on both sides, and twice as closely with four times as many texts. The band is drawn from the spread at the largest N alone.",
    alt="Estimates of the loss against the number of teacher texts, narrowing around a horizontal line at the exact value.",
)
reveal("02.b")

# %%
from kd_lab.measure.interval import mean_interval

bias, half_width = mean_interval(errors[:, -1])
claim(
    "C02b",
    "The sampled sequence-level loss estimates the exact one without bias.",
    errors[:, -1],
    unit="nats per text, estimate − exact at N = 1,024",
    holds=abs(bias) <= half_width and half_width < 0.01 * exact,
)
groups = torch.stack([slope(group) for group in errors.split(20)])
claim(
    "C02b",
    "Its error shrinks like 1/√N.",
    groups,
    unit="slope of log error against log N, over 20 repeats each",
    holds=bool((groups + 0.5).abs().max() < 0.1),
)
# %% [markdown]
# ### Through a keyhole: a teacher that returns text
#
# The loss needs texts and nothing else, so the teacher may sit behind an endpoint. Below, one runs on this machine and speaks the completions format
# of OpenAI over HTTP; `TextTeacher` would talk to any other in the same way. Three students learn from equal numbers of the teacher's texts:
#
# - from texts that the model wrote in this process;
# - from texts that came through HTTP;
# - from texts written in this process, with the teacher's probabilities at every position beside them (word level on the teacher's own texts).

# %%
from kd_lab.models import serve

with serve(teacher, names.vocabulary, name="surnames") as url:
    far = TextTeacher(url, model="surnames")
    for beginning, ending in zip(
        ["ma", "sch", "mc"], far.complete(["ma", "sch", "mc"], max_tokens=10, seed=seed), strict=True
    ):
        print(f"{beginning} → {beginning}{ending}")

# %%
from kd_lab.how import Divergence
from kd_lab.measure import bits_per_character
from kd_lab.methods import Recipe, sequence_level
from kd_lab.what import Logits
from kd_lab.where import TeacherRollouts

texts, steps, seeds = 768, 90, range(seed, seed + 6)
dense_recipe = Recipe("word level on teacher texts", Logits(), Divergence("forward_kl"), TeacherRollouts(texts))
bits = {"text, in process": [], "text, over HTTP": [], "probabilities": []}
trained = []
with serve(teacher, names.vocabulary, name="surnames") as url:
    far = TextTeacher(url, model="surnames")
    runs = (sequence_level(size=texts), teacher), (sequence_level(size=texts), far), (dense_recipe, teacher)
    for label, (recipe, source) in zip(bits, runs, strict=True):
        for s in seeds[:3] if recipe is dense_recipe else seeds:  # the teacher reads along at every step: dear
            student = distill(new_student(s), source, names, recipe, steps=steps, seed=s, progress=False).student
            bits[label].append(bits_per_character(student, names.held_out))
            trained.append(student)

# %% tags=["hide-input"]
from kd_lab.viz.seeds import draw_seeds

figure = new_figure(760, 220)
with course_style():
    axes = figure.subplots()
    draw_seeds(axes, bits, [STUDENT] * 3)
    floor = bits_per_character(teacher, names.held_out)
    axes.axvline(floor, color=TEACHER.color, linestyle=":", linewidth=1.5)
    axes.text(floor, -0.42, " teacher", color=TEACHER.color, va="top")
    axes.set_xlabel("bits per character on held-out names (lower is better)")
show(
    figure,
    "One marker per seed, and under them the 95 % interval of the mean. Text over HTTP teaches what text in process teaches; with probabilities beside the same kind of text the student gets further.",
    alt="Bits per character of three kinds of student, three or six seeds each, and the teacher's as a dotted line.",
)
difference = torch.tensor(bits["text, over HTTP"]) - torch.tensor(bits["text, in process"])
gain = torch.tensor(bits["text, in process"][:3]) - torch.tensor(bits["probabilities"])
mean, half_width = mean_interval(difference)
claim(
    "C02d",
    "A student trained through a text-only endpoint reaches what sampling in process reaches.",
    difference,
    unit="bits per character, HTTP − in process",
    holds=abs(mean) + half_width < gain.mean(),  # the whole interval lies within what probabilities would add
)

# %% [markdown]
# On average over the teacher's texts, both signals point the same way: the chain rule of lesson 00 makes word-level KL on texts *that the teacher wrote* equal to
# sequence-level KL. What differs is the noise. A sampled token is one throw of a coin whose odds the probabilities state outright. We let three trained students
# meet the same batches of 32 teacher texts, and measure how far a batch's gradient strays from the mean of them all.

# %%
from kd_lab.what import Sequences
from kd_lab.where import teacher_texts

written = teacher_texts(teacher, names, TeacherRollouts(texts), seed)


def stray(student, what, how):
    """Mean squared distance of a batch's gradient from the mean gradient."""
    gradients, read = [], what.bind(student, teacher, seed).read
    for rows in torch.arange(texts).split(32):
        batch = written[rows]
        loss = how(*read(batch), batch)
        gradients.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(student.parameters()))]))
    gradients = torch.stack(gradients)
    return (gradients - gradients.mean(0)).square().sum(1).mean().item()


noise = [
    stray(s, Sequences(), NegativeLogLikelihood()) / stray(s, Logits(), Divergence("forward_kl")) for s in trained[-3:]
]
mean, half_width = mean_interval(noise)
print(
    f"A batch of tokens strays {mean:.1f} ± {half_width:.1f} times as far (squared) as the same batch with probabilities beside it."
)
print(f"After {steps} steps the probabilities are worth {gain.mean():.2f} bits per character on held-out names.")

# %% [markdown]
# ## 3 · The hard variant: match the mode
#
# Now let $x$ be a prompt and $p(y \mid x)$ the teacher's distribution over its continuations. Kim & Rush put all of it on one text, the mode
# $\hat y = \arg\max_y p(y \mid x)$. The sum over $y$ has one term left:
#
# $$L_\text{seq}(\theta) \approx -\log q_\theta(\hat y \mid x)$$
#
# That is supervised fine-tuning (SFT) on text that a teacher wrote. Finding $\hat y$ exactly means visiting the whole tree; **beam search** visits a strip
# of it. It keeps the $K$ likeliest prefixes, continues each by every token, and keeps the $K$ likeliest of these. $K$ is its width; width 1 is greedy decoding. With a
# length penalty $\alpha$ the finished texts are ranked by $\log p(y \mid x) / |y|^{\alpha}$, where $|y|$ counts tokens: 0 favours short texts, 1 compares nats per token.

# %%
predict("02.c")

# %% tags=["hide-input"]
from functools import cache

from kd_lab.lessons.l02_word_and_sequence.figures import beam_tree, create_beam_tree, update_beam_tree
from kd_lab.models import TabularModel
from kd_lab.where import beam_search

brackets = language("brackets")
TREES = {  # model, prompt, vocabulary, most tokens
    "echo": (TabularModel(echo.logp), torch.tensor([END]), echo.vocabulary, 6),
    "brackets": (TabularModel(brackets.logp), torch.tensor([END]), brackets.vocabulary, 6),
    "surnames with mar": (teacher, names.vocabulary.encode(["mar"])[0, :4], names.vocabulary, 8),
}


@cache
def search(tree, width, penalty):
    model, prompt, _, longest = TREES[tree]
    trace = []
    found = beam_search(model, prompt, width, longest, penalty, trace=trace)
    return found[0], beam_tree(prompt.tolist(), trace, found)


def create(figure):
    axes = figure.subplots()
    axes.set_title("what the beam kept and what it cut")
    return create_beam_tree(axes, depth=8)


def update(artists, width, penalty, tree):
    best, drawn = search(tree, width, penalty)
    greedy, _ = search(tree, 1, 0.0)
    update_beam_tree(artists, drawn, TREES[tree][2].symbols)
    text, plain = (TREES[tree][2].decode(torch.tensor([one.tokens]))[0] for one in (best, greedy))
    length = len(best.tokens) - len(TREES[tree][1])
    return (
        f"Width {width}, α = {penalty:g}: the best text is “{text}”, log p = {best.logp:.2f} nats in {length} tokens, {best.logp / length:.2f} a token. "
        f"Greedy decoding writes “{plain}” with {greedy.logp:.2f} nats."
    ).replace("-", "−")


explorer = Explorer(
    name="beam",
    controls=[
        Slider("beam width K", 1, 4, 1, start=1),
        Slider("length penalty α", 0.0, 2.0, 0.25, start=0.0),
        Choice("tree", list(TREES), start="echo"),
    ],
    create=create,
    update=update,
    presets={
        "two hypotheses": {"beam width K": 2},
        "a real tree": {"tree": "surnames with mar"},
        "wider": {"tree": "surnames with mar", "beam width K": 4},
        "per token": {"tree": "surnames with mar", "beam width K": 4, "length penalty α": 1.0},
    },
    size=(760, 420),
)
explorer.show()

# %% [markdown]
# Every step cuts; filled nodes were kept, hollow ones cut (of these the best two a step are drawn), ■ ends a text. In “echo” greedy decoding steps on *a*, the likeliest
# first letter, and never learns that *c* leads to the likeliest text. A second hypothesis is enough to find out.

# %%
explorer.filmstrip()

# %% [markdown]
# **By hand.** Two hypotheses, *a* with probability 0.5 and *c* with 0.4. After *a* the next token has (0.40, 0.32, 0.28), after *c* (0.02, 0.96, 0.02). The six
# children have 0.200, 0.160, 0.140 and 0.008, 0.384, 0.008. A beam of width 2 keeps 0.384, whose parent is *c*, and 0.200, whose parent is *a*. Greedy
# decoding had dropped *c* a step before.
#
# ### Exercise 02.3 · One step of a beam (●●○, 7 minutes)
#
# `scores` `[K]` are log-probabilities of the hypotheses so far, `logp` `[K, V]` those of the next token after each. Return the `width` best children, best
# first: their scores, the number of the parent of each, and its new token.


# %%
@exercise("02.3")
def extend(scores, logp, width):
    """One step of beam search: [K], [K, V] -> (scores, parents, tokens), each [width], best first."""
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# All $K \cdot V$ children stand in one competition. Which score does a child have, given its parent's?
#
# </details>
# <details><summary>Hint 2</summary>
#
# `flatten()` and `topk` give places in a list of $K \cdot V$. Place 0 to $V - 1$ belong to parent 0, the next $V$ to parent 1. `//` and `%` undo that.
#
# </details>

# %% [markdown] tags=["solution:02.3"]
# solution

# %% [markdown]
# With this step a whole search fits into six lines. In an exact language only `END` follows `END`, with probability 1, so finished texts may simply stay in the
# beam. The library's `beam_search` keeps them apart, reuses the cache of the model and knows the length penalty; it finds the same texts.


# %%
def small_beam(model, width, length):
    """The best of a beam search over texts of `length` tokens, and its log-probability."""
    scores, tokens = torch.zeros(1, dtype=torch.float64), torch.tensor([[END]])
    for _ in range(length):
        scores, parents, new = extend(scores, model(tokens)[:, -1].log_softmax(-1), width)
        tokens = torch.cat([tokens[parents], new[:, None]], dim=1)
    return tokens[:1], scores[0].item()


with torch.no_grad():
    for spoken in (echo, brackets):
        model = TabularModel(spoken.logp)
        for width in (1, 2, 4):
            tokens, logp = small_beam(model, width, spoken.length)
            best = beam_search(model, torch.tensor([END]), width, spoken.length)[0]
            assert spoken.vocabulary.decode(tokens) == spoken.vocabulary.decode(torch.tensor([best.tokens]))
            assert abs(logp - best.logp) < 1e-9
            print(f"{spoken.name:8}  width {width}: {spoken.vocabulary.decode(tokens)[0]:6}  {logp:.3f} nats")

# %% [markdown]
# **Experiment.** From here on the first three letters of a name are the prompt and the student writes the rest. The teacher's beam, five wide, gives one text a
# prompt. First the claim that hard sequence-level KD *is* SFT: the same student trained by `sequence_level("beam")` and by `labels_only` on a file
# of the same modes, and the loss of one batch token for token.

# %% tags=["hide-input"]
from dataclasses import replace

from kd_lab.methods import labels_only

given = names.given(4)  # END and three letters
place = torch.tensor([27**2, 27, 1])
number = (given.train.tokens[:, 1:4] * place).sum(1)  # each prompt as one number
prompts = number.unique()
prompts = prompts[torch.randperm(len(prompts), generator=torch.Generator().manual_seed(seed))]
asked, unseen = prompts[:400], prompts[400:460]  # 60 prompts are kept for the test
labelled = replace(given, train=given.train[torch.isin(number, asked)])
modes = teacher_texts(teacher, labelled, TeacherRollouts(1024, decode="beam"), seed)
taught = replace(labelled, train=modes)

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
# Now its effect. Two students of one size: one trained on the names themselves, one on the teacher's modes. On 60 prompts that neither has seen, each
# writes greedily and with a beam of five.

# %%
from kd_lab.models import generate

unseen_prompts = torch.cat([torch.full((len(unseen), 1), END), unseen[:, None] // place % 27], dim=1)
room = given.context + 1 - 4


def log_probability(model, tokens):
    """log p of what follows the prompt, [B], in nats."""
    batch = Batch.from_tokens(tokens, prompt_length=4, end=END)
    with torch.no_grad():
        logp = model(batch.inputs).log_softmax(-1).gather(-1, batch.targets.unsqueeze(-1)).squeeze(-1)
    return logp.where(batch.mask, 0.0).sum(1)


def greedy_and_beam(model):
    greedy = generate(model, unseen_prompts, room, greedy=True)
    beam = torch.full_like(greedy, END)
    for row, prompt in enumerate(unseen_prompts):
        best = beam_search(model, prompt, width=5, max_new_tokens=room)[0].tokens
        beam[row, : len(best)] = torch.tensor(best)
    return greedy, beam


# %% tags=["hide-input"]
gaps, agreement, judged, cost = ({"names": [], "teacher's modes": []} for _ in range(4))
for s in seeds[:3]:
    for label, world in (("names", labelled), ("teacher's modes", taught)):
        student = distill(
            new_student(s, given.context), None, world, labels_only(), steps=140, seed=s, progress=False
        ).student
        greedy, beam = greedy_and_beam(student)
        gaps[label].append((log_probability(student, beam) - log_probability(student, greedy)).mean().item())
        agreement[label].append((greedy == beam).all(1).float().mean().item())
        judged[label].append(log_probability(teacher, greedy).mean().item())
        cost[label].append(bits_per_character(student, given.held_out))

figure = new_figure(760, 300)
with course_style():
    top, bottom = figure.subplots(2, 1)
    draw_seeds(top, gaps, [BASELINE, STUDENT])
    top.axvline(0, color="#222222", linewidth=0.8)
    top.set_xlabel("log q(beam) − log q(greedy), nats per text")
    draw_seeds(bottom, judged, [BASELINE, STUDENT])
    bottom.set_xlabel("log p of the student's greedy text, nats per text (higher is better)")
show(
    figure,
    "Rows are what a student was trained on; one marker per seed, with the 95 % interval of the mean. Above: what a beam still finds beyond greedy decoding. Below: what the teacher thinks of the greedy texts; where intervals overlap, three seeds do not tell the two apart.",
    alt="Two panels of dots. Above, the gap between beam and greedy is large for names and near zero for modes. Below, the teacher's log-probability of greedy texts.",
)

# %%
before, after = torch.tensor(gaps["names"]), torch.tensor(gaps["teacher's modes"])
reveal("02.c", right=1 if after.mean() < 0.25 * before.mean() else 2 if after.mean() > before.mean() else 0)
claim(
    "C02f",
    "After sequence-level KD on modes, greedy decoding comes close to beam search: the gap shrinks.",
    after / before,
    unit="of the gap that a student of the names has",
    holds=bool((after / before).max() < 0.25),
)
for label in gaps:
    same, price = 100 * torch.tensor(agreement[label]).mean(), torch.tensor(cost[label]).mean()
    print(
        f"trained on {label:16} greedy = beam for {same:3.0f} % of prompts · {price:.2f} bits per character on real names"
    )

# %% [markdown]
# The last column is the price. As a model of *names* the mode student is far worse: it was shown one continuation where real names have many. It is good at
# answering once, and no longer at saying what else there is.
#
# ## 4 · What to keep of the teacher
#
# Running the teacher at every step is dear, so its answers are often stored. The word-level target of one token is $V$ numbers; with $V \approx 50{,}000$ that is more
# than all else in the data set together. Three ways to keep less:
#
# - **top-k**: the $k$ likeliest tokens with their log-probabilities;
# - **$k$ sampled ids**: tokens drawn from $p$, each of weight $1/k$;
# - **the token ids of the text** alone: sequence level.

# %% tags=["hide-input"]
from pathlib import Path
from tempfile import TemporaryDirectory

from safetensors.torch import save_file

from kd_lab.how import sampled, top_k
from kd_lab.how.sparse_file import save_sparse_teacher


def bytes_per_token(logits, ids, k):
    """Write four caches of the same tokens to disk and weigh the files: [N, V], [N] -> bytes per token."""
    count, generator = len(ids), torch.Generator().manual_seed(seed)
    with TemporaryDirectory() as folder:
        full, text = Path(folder) / "logits.safetensors", Path(folder) / "text.safetensors"
        save_file({"logits": logits.half()}, full)
        save_file({"ids": ids.to(torch.uint16)}, text)  # two bytes name 65,536 tokens
        sizes = {
            "all logits": full.stat().st_size,
            "top k": save_sparse_teacher(top_k(logits, k), Path(folder) / "top"),
            "k sampled": save_sparse_teacher(sampled(logits, k, generator=generator), Path(folder) / "sampled"),
            "token ids": text.stat().st_size,
        }
    return {name: size / count for name, size in sizes.items()}


V_real, k_real = 50_257, 12  # GPT-2's vocabulary; a file's size depends on its shape, so any logits will do
with torch.no_grad():
    own = bytes_per_token(teacher(written.inputs)[written.mask], written.targets[written.mask], k=4)
real = bytes_per_token(
    torch.randn(256, V_real, generator=torch.Generator().manual_seed(seed)), torch.arange(256), k=k_real
)
print(f"bytes per token on disk    V = 27, k = 4   V = {V_real:,}, k = {k_real}")
for name in own:
    print(f"{name:20} {own[name]:18,.1f} {real[name]:22,.1f}")

# %%
# Two bytes per number, with one number more for the rest of a top k;
# and a file header of some hundred bytes, shared by the 256 tokens.
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
# Keep the set $K$ of the $k$ likeliest tokens and sum over it alone: $\sum_{v \in K} p_v \log (p_v / q_v)$. Public training code has shipped this sum. It is
# no divergence. Its gradient with respect to the student's logits is
#
# $$\Big(\sum_{v \in K} p_v\Big)\, q - p_K, \qquad p_K = p \text{ on } K \text{ and } 0 \text{ elsewhere.}$$

# %%
predict("02.d")

# %% [markdown]
# **By hand.** $V = 3$, $p = (0.2, 0.5, 0.3)$, $K$ = the last two. The gradient vanishes at $0.8\, q = (0, 0.5, 0.3)$, so at $q = (0, 0.625, 0.375)$: nothing is
# left for the first token. On the way there the sum falls below zero, to $0.8 \ln 0.8 \approx -0.179$. Clamping it at zero would hide that and stop the learning.
#
# The mend is one more number. All that was not kept goes into one **bucket**, of probability $1 - \sum_K p_v$ for the teacher and the same sum for the student. The $k + 1$ outcomes are
# a distribution again.
#
# ### Exercise 02.4 · A bucket for the tail (●●●, 10 minutes)
#
# `kept_ids` and `kept_logp` are `[N, K]`: which tokens were kept at each position, and the teacher's log-probabilities there. Return the forward KL over the kept
# tokens and the bucket, `[N]`, in nats.


# %%
@exercise("02.4")
def bucket_loss(student_logits, kept_ids, kept_logp):
    """KL over the K kept tokens and one bucket for all the others, in nats: [N, V], [N, K], [N, K] -> [N]."""
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# First the kept terms, then one term for the bucket, $r \log (r / s)$ with $r$ and $s$ the teacher's and the student's rest. The student is normalised over all $V$
# tokens, not over the kept ones.
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
# **Experiment.** One position of the real teacher, the letter after “ma”, and a student that is nothing but free logits. Ten of them start at random and follow each loss to
# its minimum. The sampled cache is met 200 times, with four fresh ids each time.

# %% tags=["hide-input"]
from kd_lab.how import sparse_softmax_kl

V, k, visits, starts = 27, 4, 200, 10
with torch.no_grad():
    p = teacher(names.vocabulary.encode(["ma"])[:, :3])[0, -1].double().softmax(-1)
kept = p.topk(k)
ids, logp = kept.indices.expand(starts, k), kept.values.log().expand(starts, k)
generator = torch.Generator().manual_seed(seed)
drawn = torch.multinomial(p.expand(starts, V), visits * k, replacement=True, generator=generator)


def truncated(logits):
    return (logp.exp() * (logp - logits.log_softmax(-1).gather(-1, ids))).sum(-1)


LOSSES = {
    "truncated": truncated,
    "bucket": lambda logits: sparse_softmax_kl(logits, ids, logp, tail="bucket", reduction="none"),
    "sampled": lambda logits: sparse_softmax_kl(logits, drawn, p.log()[drawn], tail="sampled", reduction="none"),
}


def minimise(loss):
    logits = torch.randn(starts, V, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).requires_grad_()
    optimizer = torch.optim.Adam([logits], lr=0.1)
    for _ in range(1000):
        optimizer.zero_grad()
        loss(logits).sum().backward()
        optimizer.step()
    return logits.detach().softmax(-1)


logits = torch.randn(starts, V, dtype=torch.float64, generator=torch.Generator().manual_seed(seed + 1)).requires_grad_()
torch.testing.assert_close(bucket_loss(logits, ids, logp), LOSSES["bucket"](logits))
(gradient,) = torch.autograd.grad(truncated(logits).sum(), logits)
p_kept = torch.zeros(V, dtype=torch.float64).scatter(0, kept.indices, kept.values)
torch.testing.assert_close(gradient, kept.values.sum() * logits.softmax(-1) - p_kept)  # the formula above

optima = {name: minimise(loss) for name, loss in LOSSES.items()}
outside = torch.ones(V, dtype=torch.bool).scatter(0, kept.indices, False)
tails = {name: q[:, outside].sum(1) for name, q in optima.items()}
tail = p[outside].sum().item()
print(f"The teacher leaves {tail:.3f} to the {V - k} tokens that were not kept. The students leave:")
for name, values in tails.items():
    print(
        f"  {name:10} {values.mean():.3f}   (total variation from the teacher {(optima[name] - p).abs().sum(1).mean() / 2:.3f})"
    )

# %%
reveal("02.d")
claim(
    "C02g",
    "The optimum of truncated top-k puts all of the student's mass on the kept tokens.",
    tails["truncated"],
    unit="probability outside K",
    holds=bool(tails["truncated"].max() < 0.01 * tail),
)
claim(
    "C02g",
    "With a tail bucket the kept tokens and the rest as a whole get the teacher's probabilities.",
    (optima["bucket"] - p)[:, kept.indices].abs().sum(1) + (tails["bucket"] - tail).abs(),
    unit="total deviation on k + 1 outcomes",
    holds=bool(
        (tails["bucket"] - tail).abs().max() < 1e-3 and (optima["bucket"] - p)[:, kept.indices].abs().max() < 1e-3
    ),
)
deviation, half_width = mean_interval(tails["sampled"] - tail)
claim(
    "C02g",
    "Sampled ids are unbiased: over their draws the student's tail is the teacher's.",
    tails["sampled"] - tail,
    unit="probability outside K, student − teacher",
    holds=abs(deviation) <= half_width,
)
# %% [markdown]
# A bucket mends the mass and not the shape: inside the tail the student keeps what it started with, which is the total variation that is left above. Sampled ids mend both,
# at the price of noise. Now for any position, any $k$. Bars are the teacher, squares the student at the optimum. Watch the short bars, which are the tail.

# %% tags=["hide-input"]
PREFIXES = ["ma", "sch", "mc", "joh"]
with torch.no_grad():
    after = {
        prefix: teacher(names.vocabulary.encode([prefix])[:, : len(prefix) + 1])[0, -1].double().softmax(-1)
        for prefix in PREFIXES
    }
METHODS = ["top-k, truncated", "top-k and a bucket", "k sampled ids"]
many = {
    prefix: torch.multinomial(q, 200 * 12, True, generator=torch.Generator().manual_seed(seed)).view(200, 12)
    for prefix, q in after.items()
}


def best_student(prefix, method, k):
    """The minimum of the loss in closed form. A bucket says nothing about its inside: there the student started out even."""
    p = after[prefix]
    if method == "k sampled ids":
        return many[prefix][:, :k].flatten().bincount(minlength=V) / (200 * k)
    kept = torch.zeros(V, dtype=torch.bool).scatter(0, p.topk(k).indices, True)
    rest = 0.0 if method == "top-k, truncated" else p[~kept].sum() / (V - k)
    q = torch.where(kept, p, rest)
    return q / q.sum()


def create(figure):
    axes = figure.subplots()
    axes.set_yscale("function", functions=(lambda y: abs(y) ** 0.5, lambda y: y**2))  # small probabilities stay visible
    axes.set(
        ylim=(0, 1),
        xlim=(-0.7, V - 0.3),
        yticks=[0, 0.01, 0.05, 0.1, 0.25, 0.5, 1],
        ylabel="probability, root scale",
        xlabel="next token",
    )
    axes.set_xticks(range(V), ["■", *names.vocabulary.symbols[1:]])
    bars = axes.bar(range(V), [0] * V, width=0.8, color=TEACHER.color, label="teacher")
    (dots,) = axes.plot(
        range(V),
        [0] * V,
        linestyle="",
        marker=STUDENT.marker,
        color=STUDENT.color,
        markersize=6,
        label="student at the optimum",
        clip_on=False,
    )
    axes.legend(loc="upper right")
    return {"bars": bars, "dots": dots}


def update(artists, k, method, prefix):
    p, q = after[prefix], best_student(prefix, method, k)
    for bar, height in zip(artists["bars"], p.tolist(), strict=True):
        bar.set_height(height)
    artists["dots"].set_ydata(q)
    outside = torch.ones(V, dtype=torch.bool).scatter(0, p.topk(k).indices, False)
    return (
        f"After “{prefix}”, {method}, k = {k}: outside the {k} likeliest tokens the teacher has {p[outside].sum():.1%} and the student {q[outside].sum():.1%}; "
        f"the total variation between them is {(p - q).abs().sum() / 2:.3f}."
    )


explorer = Explorer(
    name="cache",
    controls=[
        Slider("k", 1, 12, 1, start=4),
        Choice("kept", METHODS, start=METHODS[0]),
        Choice("prefix", PREFIXES, start="ma"),
    ],
    create=create,
    update=update,
    presets={"with a bucket": {"kept": METHODS[1]}, "sampled": {"kept": METHODS[2]}, "after sch": {"prefix": "sch"}},
    size=(760, 320),
)
explorer.show()

# %%
explorer.filmstrip()

# %% [markdown]
# ## The four rows
#
# Everything below was measured by the cells above.

# %%
visited = {
    tuple(row[: t + 1].tolist())
    for row, counts in zip(written.tokens, written.mask, strict=True)
    for t in range(int(counts.sum()))
}
positions = int(written.mask.sum())
factor, spread = mean_interval(noise)
display(
    Markdown(f"""
| | word-level KD | sequence-level KD |
|---|---|---|
| matches | {positions:,} local conditionals, at {len(visited):,} different nodes | {len(written):,} paths through the same nodes |
| teacher access | logits: {positions * V:,} numbers; a text-only teacher is refused | text: {positions - len(written):,} letters; HTTP and in process differ by {abs(difference.mean()):.3f} bits per character |
| signal density | {V} numbers per position | 1 number per position; the gradient of a batch strays {factor:.1f} ± {spread:.1f} times as far (squared) |
| storage, V = {V} | {own["all logits"]:.0f} bytes per token | {own["token ids"]:.0f} bytes per token |
| storage, V = {V_real:,} | {real["all logits"]:,.0f} bytes per token | {real["token ids"]:.0f} bytes per token |
""")
)

# %% [markdown]
# ## Discuss
#
# A company sells access to a large model through an endpoint that returns text. You want a small model that *ranks* candidate answers by probability, and you can afford 100,000
# requests. Your neighbour wants a small model that *answers* once per question. Which texts does each of you ask for: samples or greedy answers, many for a question or one? What can
# neither of you learn?

# %% [markdown] tags=["teacher"]
# **Expected answers.** Ranking needs the distribution: sampled texts at temperature 1, several for a question, since the loss over samples estimates the sequence-level KL (C02b). Greedy or
# beam-like texts would teach a ranking in which everything but one answer is hopeless; its price in bits stands under C02f. Answering once profits from the mode: one greedy answer for each of
# many questions, after which greedy decoding is about as good as a search (C02f). Neither learns what the teacher rates as almost as likely beyond what sampling happens to show: the density of the
# signal is one id per token. Neither can try another temperature afterwards, or correct the student on the student's own prefixes: that is [lesson 05](05_where.ipynb).
#
# **Misconceptions to listen for.** “Sequence-level KD means a loss over sequences, so it is no token loss”: by the chain rule it is the sum of token losses. “Beam search finds the mode”: it
# finds a good text; width 1 in “echo” shows a miss. “A larger k mends the truncated sum”: it shrinks the bias and does not remove it.

# %% [markdown]
# ## Recap
#
# 1. Word-level KD matches the teacher's conditional at every node that given texts pass: one teacher pass, $V$ numbers per position, logits needed.
# 2. Sequence-level KD matches paths. Sampled texts estimate its loss without bias, with an error like $1/\sqrt N$, and a text-only endpoint is enough.
# 3. On the teacher's own texts both have the same expectation; probabilities carry it with far less noise.
# 4. The hard variant is SFT on the beam's text. Its student answers greedily about as well as it searches, and forgets what else there was.
# 5. Storing less is fine if the rest is accounted for: a bucket or sampled ids, never a truncated sum.
#
# ## Quiz

# %%
quiz("02")

# %% [markdown]
# ## Glossary
#
# **Node, path** A prefix of the tree of texts; a whole text. **Word-level KD** Forward KL between conditionals at the nodes of given texts. **Sequence-level KD** −log q of texts that the teacher
# wrote. **Mode** The likeliest text. **Beam search** Keeps the $K$ likeliest prefixes at each step. **SFT** Supervised fine-tuning: maximum likelihood on given texts. **White-box, black-box** A teacher
# whose logits can be read; one that returns text. **Tail bucket** One outcome that stands for all tokens that a cache did not keep.
#
# ## Papers
#
# - Kim & Rush 2016, *Sequence-Level Knowledge Distillation*, [arXiv 1606.07947](https://arxiv.org/abs/1606.07947): section 3.1 for $\mathcal L_\text{WORD-KD}$, section 3.2 for $\mathcal L_\text{SEQ-KD}$ and its mode, table 1 for greedy against beam.
# - Hinton, Vinyals & Dean 2015, *Distilling the Knowledge in a Neural Network*, [arXiv 1503.02531](https://arxiv.org/abs/1503.02531): section 2, equations 1 and 2.
# - Wu et al. 2016, *Google's Neural Machine Translation System*, [arXiv 1609.08144](https://arxiv.org/abs/1609.08144): equation 14 for a length penalty in beam search.
# - Anshumann et al. 2025, *Sparse Logit Sampling*, [arXiv 2503.16870](https://arxiv.org/abs/2503.16870): top-k is biased, sampled ids are not.
#
# ## Next
#
# Both losses of this lesson look in one direction: the teacher weighs, the student answers. [Lesson 03](03_which_kl.ipynb) turns the KL around.
