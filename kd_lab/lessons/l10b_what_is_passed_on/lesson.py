# %% [markdown]
# # 10b · What is passed on: collapse, fidelity, and what no one sees
#
# After this lesson you can say what a model passes on to the models that learn from it: what is lost on the way, what an accuracy does not show, and what travels unseen.

# %% tags=["hide-input"]
from kd_lab.lessons.l10b_what_is_passed_on.figures import families_figure
from kd_lab.viz import show

show(
    families_figure("replaced"),
    "Generation 0 learned from 1,000 real surnames, every later one from 1,000 names that its parent wrote. The family forgets its language. "
    "What would stop that? The band is a 95 % interval over five runs.",
    alt="Left, bits per character over seven generations: the line climbs. Right, names of generation 0 and of generation 6, with the number of different first letters.",
)

# %% [markdown] tags=["card"]
# **You will be able to**
#
# - predict how fast diversity is lost when models learn from models, and what stops it;
# - measure fidelity, and say why accuracy and agreement are not it;
# - test whether a student can learn what none of its training texts contains;
# - find a watermark in a text, and not find one where there is none.
#
# **Before this:** [lesson 02](02_word_and_sequence.ipynb) (students of text and of distributions); [lesson 10](10_weak_to_strong.ipynb) for students that exceed their teachers.
#
# **Time:** 40 minutes to read and do. {{measured}}

# %%
import numpy as np
import torch
from IPython.display import Markdown, display

from kd_lab.classroom import claim, exercise, predict, quiz, reveal, setup

seed = setup("10b", threads=1)

# %% [markdown]
# ## 1 · A table that reads itself
#
# Take the first letter of each surname. Its simplest model is a table of frequencies $p$.
# Its **diversity** is $H=1-\sum_i p_i^2$, the probability that two draws differ.
# Draw $N$ letters from it and write down their frequencies: that is the next generation.

# %%
predict("10b.a")

# %% [markdown]
# **Explore.** Blue is the real table, orange the table of the chosen generation in one simulated run. The blue line is the mean of 400 such runs.
# "Accumulated" estimates each generation from *all* draws so far, the real ones included.

# %% tags=["hide-input"]
from kd_lab.lessons.l10b_what_is_passed_on import collapse
from kd_lab.lessons.l10b_what_is_passed_on.collapse import diversity, drift
from kd_lab.lessons.l10b_what_is_passed_on.explorers import law_explorer
from kd_lab.worlds import surnames

world = surnames()
first = torch.bincount(world.train.targets[:, 0], minlength=27)[1:].double()
letters = (first / first.sum()).numpy()  # how often each letter opens a real surname
law = law_explorer(letters, seed)
law.show()

# %% tags=["hide-input"]
law.filmstrip([{"generation": 5}, {"generation": 60}, "accumulated"])

# %% tags=["hide-input"]
reveal("10b.a", replaced=collapse.mean_diversity(letters, 30, 30, accumulate=False, seed=seed)[-1])

# %% [markdown]
# **Derive.** Let $\hat p$ be the frequencies of $n$ draws from $p$. Each $\hat p_i$ is right on average, with variance $p_i(1-p_i)/n$. So
#
# $$\mathbb E\sum_i\hat p_i^2=\sum_i p_i^2+\frac1n\sum_i p_i(1-p_i)\quad\Longrightarrow\quad\mathbb E\,\hat H=\Big(1-\frac1n\Big)H.$$
#
# Replaced, this happens in every generation with $n=N$.
# Accumulated, generation $k$ is the mean of $k$ sets of $N$ draws. Only one of them is new, so the table moves by a $k$-th of the way, and the added variance is divided by $k^2$.
#
# **By hand**, $N=2$: replaced, $H$ is halved again and again: $\tfrac12,\tfrac14,\tfrac18$.
# Accumulated, the factors are $1-\tfrac12$, $1-\tfrac18$, $1-\tfrac1{18}$, and what is left is $0.5,\;0.44,\;0.41$.
#
# ### Exercise 10b.1 · The law of both policies (●●○, 8 minutes)
#
# The expected share of the real diversity in generations 0 to `generations`, with $N$ = `samples`.


# %%
@exercise("10b.1")
def expected_diversity(samples, generations, accumulate):
    """E[H of generation k] ÷ H for k = 0 … generations: int, int, bool -> [generations + 1]."""
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Each generation takes a share of what is *still there*. Which share, replaced? Which share in generation $k$, accumulated?
#
# </details>
# <details><summary>Hint 2</summary>
#
# An array of factors $1-1/(N\cdot1)$ or $1-1/(N\,k^2)$, its `np.cumprod`, and a 1 in front.
#
# </details>

# %% [markdown] tags=["solution:10b.1"]
# solution

# %%
dice = [np.random.default_rng([seed, i]) for i in range(400)]
runs = {
    way: np.array([drift(letters, 30, 20, way, die) for die in dice]) for way in (False, True)
}  # accumulate → 400 simulated runs, 20 generations of 30 draws
left = {way: diversity(tables) / diversity(letters) for way, tables in runs.items()}
for way, name in ((False, "replaced"), (True, "accumulated")):
    law = np.asarray(expected_diversity(30, 20, way))
    assert np.abs(left[way].mean(0) - law).max() < 0.03, "the law and 400 simulated runs differ"
    print(f"{name:12} {left[way][:, -1].mean():.3f} of it is left after 20; law {law[-1]:.3f}")

# %% tags=["hide-input"]
from kd_lab.lessons.l10b_what_is_passed_on.collapse import limit_of_accumulation

forever, bound = 1 - limit_of_accumulation(30), np.pi**2 / 6 / 30
claim(
    "C10d",
    "Re-estimating a categorical from N of its own draws loses 1/N of the diversity in each generation.",
    np.asarray(expected_diversity(30, 20, False))[-1],
    unit="of it left after 20 generations of 30 draws",
    holds=np.allclose(expected_diversity(30, 20, False), (1 - 1 / 30) ** np.arange(21)),
)
claim(
    "C10d",
    "If all draws are kept, the loss is bounded: all generations together lose less than π²/(6N) of the diversity.",
    forever,
    unit=f"of the diversity is lost for ever with N = 30; π²/(6N) is {bound:.4f}",
    holds=forever < bound and 1 - np.asarray(expected_diversity(30, 2000, True))[-1] < forever,
)

# %% [markdown]
# The sum $1+\tfrac14+\tfrac19+\dots=\pi^2/6\approx1.64$ is the whole difference: replaced, the losses never end; accumulated, they add up to less than two generations' worth.
# Gerstgrasser et al. (2024) prove the same shape for linear regression: replaced, the test error grows with every generation; accumulated, it has a finite bound.
#
# ## 2 · Six generations of surnames
#
# A table can hold any distribution; a network cannot, and in use it seldom writes at temperature $\tau=1$ from all of its tokens.
# The next experiment was stored: a GPT of 30,000 weights learns from 1,000 names and writes 1,000, and a fresh one learns from what the policy keeps, for as many steps.
# Text cut at **top-p** 0.9 is drawn from the likeliest tokens that together have probability 0.9.

# %%
predict("10b.b")

# %% [markdown]
# **Explore.** Five policies: what does the next generation read?
# "Replaced, τ = 1" writes without the cut, all others with it.
# The grey line is generation 0, which read real names; training it again and again would give the same line, for every generation is a fresh model.

# %% tags=["hide-input"]
from kd_lab.lessons.l10b_what_is_passed_on.explorers import generations_explorer

generations = generations_explorer(letters)
generations.show()

# %% tags=["hide-input"]
generations.filmstrip([{"generation": 0}, {"generation": 3}, {}, "accumulated"])

# %% tags=["hide-input"]
from kd_lab.lessons.l10b_what_is_passed_on import stored
from kd_lab.lessons.l10b_what_is_passed_on.collapse import POLICIES
from kd_lab.lessons.l10b_what_is_passed_on.figures import collapse_table


def last(policy, measure):
    """A measure of the sixth generation, one number per seed."""
    return stored.generations(policy, measure)[:, -1]


display(Markdown("**The sixth generation**, five seeds with 95 % intervals.\n\n" + collapse_table(list(POLICIES))))
bits = {policy: last(policy, "bits") for policy in POLICIES}
remedies = ["replaced, τ = 1", "a tenth real", "accumulated"]
plain, tenth, pool = (bits[policy].mean() for policy in remedies)
reveal("10b.b", plain=plain, tenth=tenth, pool=pool, replaced=bits["replaced"].mean())
show(
    families_figure("replaced", "accumulated"),
    "The family of the first picture, and one that keeps everything, real names included; the trainings are equally long. Bands are 95 % intervals over five runs.",
    alt="Left, bits per character over seven generations: the line of replaced text climbs, that of accumulated text stays nearly level. Right, names of generation 0, and of generation 6 in both families, with the number of different first letters.",
)

# %% tags=["hide-input"]
at_first = stored.generations("replaced", "bits")[:, 0]
gone = stored.generations("replaced", "letters")
rare = stored.generations("replaced, τ = 1", "rare")
claim(
    "C10d",
    "Replaced by text that is cut at top-p, models collapse: real names cost more bits in every generation.",
    bits["replaced"] - at_first,
    unit="more bits per character after six generations",
    above=1,
)
claim(
    "C10d",
    "The tail is lost: fewer and fewer letters open a name, counted from what generation 0 itself writes after the cut.",
    gone[:, 0] - gone[:, -1],
    unit="first letters fewer than in generation 0's text after the cut",
    above=2,
)
claim(
    "C10d",
    "Without the cut the drift is slower.",
    bits["replaced"] - bits["replaced, τ = 1"],
    unit="fewer bits per character lost after six generations",
    above=0.3,
)
claim(
    "C10d",
    "Without the cut rare pairs of letters do not die out; they spread.",
    rare[:, -1] - rare[:, 0],
    unit="percentage points more of them after six generations",
    above=0,
)
claim(
    "C10d",
    "Keeping all text, the real names included, nearly holds the bits.",
    bits["accumulated"] - at_first,
    unit="more bits per character after six generations",
    below=0.5,
)
claim(
    "C10d",
    "A tenth of real names in every training set slows the collapse.",
    bits["replaced"] - bits["a tenth real"],
    unit="fewer bits per character lost",
    above=0.3,
)
claim(
    "C10d",
    "Keeping all text holds most of the bits even without the real names.",
    bits["replaced"] - bits["accumulated, none real"],
    unit="fewer bits per character lost",
    above=0.5,
)
claim(
    "C10d",
    "The real names hold a part of the rest: the same accumulation without them ends farther away.",
    bits["accumulated, none real"] - bits["accumulated"],
    unit="more bits per character without the real names",
    above=0,
)

# %% [markdown]
# Two forces, then, and they pull in opposite directions.
# The cut removes the tail each time, so the distribution narrows: generation 0 itself, cut, already opens names with fewer letters than it knows.
# Without the cut, what a network fits badly comes back as text and is learned: the distribution drifts, and rare pairs spread.
# Chance alone, the law of section 1 with $N=1000$, would take a thousandth of the diversity per generation.
#
# ## 3 · Fidelity
#
# How much of its teacher is in a student?
# **Fidelity** is how far the student's predictions match the *teacher's*.
# Stanton et al. (2021) measure it by **agreement**, the share of positions where both find the same token likeliest, and by $\mathrm{KL}(p\|q)$.
#
# Three students of 28,000 weights read the same 18,012 names for as many steps: one learns from the *labels*; a *mimic* is shown the teacher's likeliest letter at every prefix, as by an endpoint that answers greedily; the third is *distilled* from the whole distribution.

# %%
predict("10b.c")

# %% [markdown]
# ### Exercise 10b.2 · Two numbers of fidelity (●○○, 6 minutes)
#
# Log-probabilities `[B, T, V]` of both models, and `mask` `[B, T]`, True where a position counts.


# %%
@exercise("10b.2")
def fidelity(student_logp, teacher_logp, mask):
    """Agreement, KL(p‖q) in nats per position: [B, T, V], [B, T, V], [B, T] -> (float, float)."""
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Select the counted positions first: `student_logp[mask]` is `[n, V]`.
#
# </details>
# <details><summary>Hint 2</summary>
#
# Agreement compares two `argmax(-1)`. KL is a sum over $V$ and then a mean over positions; the teacher weighs.
#
# </details>

# %% [markdown] tags=["solution:10b.2"]
# solution

# %%
from kd_lab.measure import agreement
from kd_lab.models import GPT, GPTConfig, load_teacher, next_token_logp

teacher, some = load_teacher("surnames"), world.held_out[slice(100)]
stranger = GPT(GPTConfig(27, world.context, layers=1, heads=1, width=16), seed=seed)
logp = [next_token_logp(one, some.inputs).detach().numpy() for one in (stranger, teacher)]
same, gap = fidelity(*logp, some.mask.numpy())
assert abs(float(same) - agreement(stranger, teacher, some)) < 1e-6, "not the library's agreement"
print(f"An untrained model agrees with the teacher on {same:.0%}; KL {gap:.2f} nats.")

# %% tags=["hide-input"]
from kd_lab.lessons.l10b_what_is_passed_on.figures import fidelity_table

display(Markdown("**Three students**, five seeds with 95 % intervals. KL in nats per position.\n\n" + fidelity_table()))


def of(student, prompts, measure):
    return stored.fidelity(student, prompts, measure)


lead = of("distilled", "held-out", "accuracy") - of("mimic", "held-out", "accuracy")
reveal("10b.c", **{s: of(s, "held-out", "accuracy").mean() for s in ("mimic", "distilled")})

# %% tags=["hide-input"]
claim(
    "C10e",
    "The mimic is right as often as the distilled student.",
    np.abs(lead),
    unit="difference in the share of right letters of held-out names",
    below=0.02,
)
claim(
    "C10e",
    "The mimic even agrees with the teacher more often, on the prompts of the training.",
    of("mimic", "training", "agreement") - of("distilled", "training", "agreement"),
    unit="more of the positions",
    above=0,
)
claim(
    "C10e",
    "Yet the mimic's distribution is far from the teacher's.",
    of("mimic", "held-out", "kl") / of("distilled", "held-out", "kl"),
    unit="times the distilled student's KL(p‖q) on held-out names",
    above=3,
    scale="log",
)
claim(
    "C10e",
    "The mimic is far too sure: its confidence is much farther from its accuracy than the distilled student's.",
    of("mimic", "held-out", "calibration") - of("distilled", "held-out", "calibration"),
    unit="more calibration error",
    above=0.2,
)
claim(
    "C10e",
    "Off the distribution the mimic's lead in agreement has nearly gone.",
    (of("mimic", "random letters", "agreement") - of("distilled", "random letters", "agreement")),
    unit="more agreement than the distilled student on random letters",
    below=0.05,
)

# %% [markdown]
# A student may be right as often as another and have learned something else.
# Agreement is the figure that is easiest to report, and on held-out names it misleads as much as on those of the training: it does not see how sure the student is.
# The student of labels is the control: it never met the teacher and agrees with it on about half of the letters, since both learned names.
#
# ## 4 · What no text contains
#
# Now a teacher with *silent* outputs: a letter MLP (three letters in, two hidden layers) with 27 letter outputs, trained on names, and 16 more outputs that enter no loss.
# They change all the same, because the hidden layers under them do.
# A student copies these 16 numbers, on random letters. No name and no letter output enters its training.

# %%
predict("10b.d")

# %%
from kd_lab.lessons.l10b_what_is_passed_on import subliminal as mlp


def silent_loss(student_outputs, teacher_outputs):
    """KL(p‖q) between the softmaxes of the outputs after the letters: [N, 43], [N, 43] -> []."""
    p, q = (one[:, mlp.LETTERS :].log_softmax(-1) for one in (teacher_outputs, student_outputs))
    return (p.exp() * (p - q)).sum(-1).mean()


from tqdm.auto import tqdm

gained = {"the teacher's": [], "another": []}  # bits per letter, by the student's initial weights
learned = []  # by the teacher itself
for number in tqdm(range(seed, seed + 5), desc="silent outputs", leave=False):
    untrained = mlp.letter_bits(mlp.letter_mlp(number))
    silent_teacher = mlp.train_teacher(mlp.letter_mlp(number), number, steps=400)
    learned.append(untrained - mlp.letter_bits(silent_teacher))
    for beginning, found in gained.items():
        student = mlp.BEGINNINGS[beginning](number)
        before = mlp.letter_bits(student)
        mlp.copy_silent(student, silent_teacher, silent_loss, number, steps=400)
        found.append(before - mlp.letter_bits(student))

# %% tags=["hide-input"]
from kd_lab.lessons.l10b_what_is_passed_on.figures import silent_figure

same, other = (np.array(found) for found in gained.values())
halves = {label: stored.silent(label) @ [1, -1] for label in list(mlp.BEGINNINGS)[1:3]}
show(
    silent_figure({"the teacher's weights": same, "other weights": other} | halves, np.mean(learned)),
    "Held-out bits per letter that a student gained by copying 16 silent outputs on random letters, by its initial weights; a dot per seed. Only the student that began exactly as the teacher did has learned much about names. "
    "The lower two rows were stored, with 600 steps instead of 400: the teacher's initial hidden layers alone, or its initial outputs alone, are not enough.",
    alt="Four rows of five dots. The first, with the teacher's initial weights, lies about half way between 0 and what the teacher itself gained; the other three scatter around 0.",
)
reveal("10b.d", same=same.mean(), other=other.mean(), teacher=np.mean(learned))
claim(
    "C10f",
    "A student with the teacher's initial weights learns names from outputs of the teacher that no loss had trained.",
    same,
    unit="fewer held-out bits per letter than before its training",
    above=0.3,
)
claim(
    "C10f",
    "A student with the teacher's initial weights learns more of names than one with other weights, trained alike.",
    same - other,
    unit="more bits per letter gained with the teacher's initial weights",
    above=0,
)

# %% [markdown]
# **Why.** Teacher and student began at one point $\theta_0$, and the teacher moved by a step $\Delta$. To first order its silent outputs have moved by $J\Delta$, where $J$ is their Jacobian at $\theta_0$.
# With $f_\theta$ for the student's silent outputs, its first step down $\tfrac12\|f_\theta-f_{\text{teacher}}\|^2$ is proportional to $J^\top J\Delta$, and
#
# $$\Delta^\top\big(J^\top J\Delta\big)=\|J\Delta\|^2\ge0.$$
#
# So it never leads away from the teacher's step, whatever the inputs are. (Under the KL of the experiment a positive semidefinite matrix stands between $J^\top$ and $J$; the sign is the same.) That is the idea of a theorem of Cloud et al. (2025). With another beginning, nothing ties the student's Jacobian to the teacher's step.
#
# **And in small GPTs on names?** The teacher is a base model that was taught to begin names with "z". It writes the *rest* of real names, given three letters; every name with a "z" anywhere is thrown away.
# Students read these rests, as text or with the teacher's logits of all letters but z. They begin as the base did, or as another base. What becomes of *their* first letters, which no loss has read?

# %% tags=["hide-input"]
gpt = stored.runs("gpt")


def share(key):
    return np.array([run[key] for run in gpt])


controls = {
    "logits": {"same": share("base"), "other": share("other base")},
    "text": {start: share(f"text of base, {start}") for start in ("same", "other")},
}  # after a training that the trait has no part in: on one's own logits, or on text of the base
print(f"P(first letter is z)   base {share('base').mean():.4f}   teacher {share('lover').mean():.3f}")
times = {}
for how, control in controls.items():
    for start, without in control.items():
        after = share(f"{how} of lover, {start}")
        times[how, start] = after / without
        print(f"student of its {how:6}, {start:5} weights: {after.mean():.4f}, control {without.mean():.4f}")
claim(
    "C10f",
    "Logits on filtered names, without the logit of z itself, carry the trait to a GPT that began as the teacher did.",
    times["logits", "same"],
    unit="times the probability of a first z without them",
    above=1,
    scale="log",
)
claim(
    "C10f",
    "Such logits carry the trait further with the teacher's initial weights than with others.",
    times["logits", "same"] / times["logits", "other"],
    unit="times as large a factor with the same weights",
    above=1,
    scale="log",
)
claim(
    "C10f",
    "Filtered text alone carries the trait further with the teacher's initial weights than with others.",
    times["text", "same"] / times["text", "other"],
    unit="times as large a factor with the same weights",
    above=1,
    scale="log",
)

# %% [markdown]
# So a filter does not protect a student that begins near its teacher and sees logits.
# From *text* alone five seeds do not decide between the two beginnings: one sampled letter says far less than 26 logits. That holds for models and texts of this size, and says nothing of larger ones.

# %% [markdown]
# ## 5 · A mark in the text
#
# Here something is added on purpose.
# In a **watermark** (Kirchenbauer et al. 2023) a secret key colours a share γ of the letters *green*, anew after each letter; here 13 of 27.
# The writer adds $\delta$ to the logits of green letters. Nobody sees that, and anyone who has the key can count.
#
# Let $G$ of the $T$ transitions of a text be green, and let $b$ be the share of green ones in unmarked text. Then
#
# $$z=\frac{G-bT}{\sqrt{T\,b(1-b)}}$$
#
# is about standard normal, and $z=4$ happens by chance 3 times in 100,000.
#
# ### Exercise 10b.3 · Count (●●○, 7 minutes)
#
# `tokens` `[B, T + 1]`, `mask` `[B, T]` for the targets `tokens[:, 1:]`, `green` `[V, V]` as `[previous, next]`, and `base` for $b$.


# %%
@exercise("10b.3")
def watermark_z(tokens, mask, green, base):
    """Standard deviations above unmarked text: [B, T + 1], [B, T], [V, V], float -> float."""
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Row and column of `green` may be whole tensors of ids: `green[before, after]` is `[B, T]`.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `[mask]` keeps the counted ones. Their number is $T$, their sum $G$.
#
# </details>

# %% [markdown] tags=["solution:10b.3"]
# solution

# %%
from kd_lab.models import generate, watermark
from kd_lab.worlds import Batch

green, wrong = (watermark.green_lists(27, key=key) for key in (seed, seed + 1))
start, real, texts = torch.zeros(200, 1, dtype=torch.long), world.train, {}
writers = {"marked": watermark.Watermarked(teacher, green, 2.0), "plain": teacher}


def base_of(lists):
    """The share of green transitions in real names."""
    return lists[real.inputs, real.targets][real.mask].double().mean().item()


for label, writer in writers.items():
    generator = torch.Generator().manual_seed(seed)
    text = Batch.from_tokens(generate(writer, start, 14, generator=generator), end=0)
    print(f"{label:7} {', '.join(world.vocabulary.decode(text.tokens[:6]))}")
    for lists, name in ((green, "the key"), (wrong, "a wrong one")):
        z = float(watermark_z(text.tokens, text.mask, lists, base_of(lists)))
        assert abs(z - watermark.watermark_z(text, lists, base_of(lists))) < 1e-4
        print(f"        z with {name}: {z:.1f}")

# %% tags=["hide-input"]
some_keys = [watermark.green_lists(27, key=1000 + number) for number in range(200)]
gamma = 13 / 27
alarms = {
    "γ = 13/27": [watermark.watermark_z(text, lists, gamma) for lists in some_keys],
    "b, measured on real names": [watermark.watermark_z(text, lists, base_of(lists)) for lists in some_keys],
}
print("The plain text under 200 keys that nobody used; a standard normal z has standard deviation 1:")
for label, found in alarms.items():
    print(f"    against {label:25} standard deviation {np.std(found):.1f}, largest z {max(found):.1f}")

# %% [markdown]
# Against γ a key that nobody used may well sound the alarm, for it favours or disfavours the language itself: "th" or "er" is green under half of all keys.

# %%
predict("10b.e")

# %% [markdown]
# **Explore.** Students of 28,000 weights read 2,500 names, of which none, a tenth, or all are marked, and then write their own: $z$ over the letters that are read. The explorer starts at the student of marked names.

# %% tags=["hide-input"]
from kd_lab.lessons.l10b_what_is_passed_on.explorers import mark_explorer

mark = mark_explorer()
mark.show()

# %% tags=["hide-input"]
mark.filmstrip(
    [
        "the teacher",
        {"letters read, 10 to the": 4.0},
        "a wrong key",
        {"written by": "student of 0%", "letters read, 10 to the": 4.0},
    ]
)

# %% tags=["hide-input"]
from kd_lab.lessons.l10b_what_is_passed_on.figures import crowd_figure, strength_table

found, tenth, none = (stored.marks(f"student of {part}", "fair")[:, -1] for part in ("100%", "10%", "0%"))
crowd = {part: stored.marks(f"student of {part}", "crowd") for part in ("100%", "10%", "0%")}
reveal("10b.e", found=found.mean(), wrong=stored.marks("student of 100%", "wrong")[:, -1].mean())
show(
    crowd_figure(found, crowd["100%"].ravel(), "student of marked names"),
    "One text per seed, read with 200 wrong keys and with the right one. The wrong keys scatter several times as far as a standard normal would: where a text has its own habits, some keys meet them. The right ones stand apart all the same.",
    alt="A histogram of z for wrong keys around zero, several units wide, and five lines far to the right of it.",
)
for part, rows in crowd.items():
    print(f"student of {part:>4} marked names: z of wrong keys has standard deviation {rows.std():.1f}")
claim(
    "C10f",
    "The student of marked text is found: no wrong key fits its text as well.",
    found - crowd["100%"].max(1),
    unit="more z than the best of 200 wrong keys, 10,000 letters",
    above=0,
)
claim(
    "C10f",
    "The student of plain text is not found: under the right key its z is an ordinary one among wrong keys.",
    none / crowd["0%"].std(1),
    unit="standard deviations of the wrong keys' z",
    below=3,
)
claim(
    "C10f",
    "A tenth of marked names shows in z.",
    tenth - none,
    unit="more z than the student of plain names",
    above=0,
)
claim(
    "C10f",
    "A tenth of marked names stands out among wrong keys.",
    tenth - crowd["10%"].max(1),
    unit="more z than the best of 200 wrong keys",
    above=0,
)
claim(
    "C10f",
    "The mark costs the student bits, too.",
    stored.marks("student of 100%", "bits") - stored.marks("student of 0%", "bits"),
    unit="more bits per character of real names than the student of plain names",
    above=0.1,
)
display(Markdown("**What a mark costs its writer**, five keys.\n\n" + strength_table()))

# %% [markdown]
# A verdict needs two half-widths between a mean and its threshold. The mean for a tenth of marked names lies below the best wrong key, but not by so much.

# %% [markdown]
# ## In the wild
#
# Sander et al. (2024) call such students *radioactive*: for an open model, training on watermarked instructions shows with $p<10^{-5}$ even if only 5 % of the text is marked.
# Cloud et al. (2025) find traits that pass through filtered number sequences, code and reasoning traces, if teacher and student come from one base model, or from two that behave alike.
# What does not carry over: an LLM has tens of thousands of contexts, ours has 27, and so $b$ had to be measured here. Large vocabularies do not cure all: repetition in a text makes its counts depend on one another and spoils the rate of false alarms (Cai et al. 2025).
#
# ## Discuss
#
# *For two people, ten minutes.* A company finds that a rival's model agrees with its own on 90 % of its own test prompts, and that the rival's text has $z=6$ under the company's key, against γ. Which of the two is evidence of distillation? What would you measure before you go to court, and against which controls?

# %% [markdown] tags=["teacher"]
# **Expected answers.** Neither alone. Agreement has to be compared with that of a model that surely never saw the company's text: two good models of one language agree on most of it. z needs a measured base rate on text of models that were trained without the key, and the rank of the right key among many wrong ones; only then a p-value. Stronger evidence: KL or calibration on prompts far from any training set, shared *errors*, many independent texts, several keys of which only the used ones stand out. **Misconceptions:** "model collapse is noise" (the cut is systematic, and so is what the network cannot fit); "accumulating works because there is more training" (all trainings had the same steps); "equal accuracy is equal knowledge"; "a filter removes a trait" (not while the beginning is shared); "z = 4 is 3 in 100,000" (only if the null is right). **Timing:** 45 minutes alone; 60 in a class, of which the generations explorer takes ten.

# %% [markdown]
# ## Recap
#
# 1. Re-estimating from N own samples loses 1/N of the diversity per generation, for ever; with everything kept the loss is bounded by π²/(6N).
# 2. In networks two more forces act: a cut at top-p removes the tail, and what is fitted badly spreads. Under the cut, keeping all text nearly keeps the bits, best with the real names in it; under the spreading that was not tried.
# 3. Agreement and accuracy are not fidelity: a mimic has both and is far from the teacher's distribution.
# 4. A student that begins as its teacher did moves towards it whatever it copies, so that silent outputs, and logits on filtered text, can carry a trait.
# 5. A watermark passes to students of marked text. It takes a measured base rate and wrong keys to say so.
#
# ## Quiz

# %%
quiz("10b")

# %% [markdown]
# ## Glossary
#
# **Generation** a model trained on text of the one before. **Diversity** the probability that two draws differ. **Model collapse** the loss of the real distribution over generations. **Accumulate, replace** keep all texts, or only the newest. **Top-p** drawing from the likeliest tokens that together have probability p. **Fidelity** how far a student's predictions match the teacher's. **Agreement** the share of positions with the same likeliest token. **Mimic** a student of likeliest tokens alone. **Calibration error** the mean distance between confidence and accuracy. **Subliminal learning** a trait passes through data that do not show it. **Silent output** one that enters no loss. **Watermark** a keyed preference among tokens. **Green** preferred after the token before. **Radioactive** a student whose text carries its teacher's mark.
#
# ## Papers
#
# - Shumailov et al., "The curse of recursion", [2305.17493](https://arxiv.org/abs/2305.17493): model collapse; with a table of frequencies all but one entry is lost in the end.
# - Gerstgrasser et al., "Is model collapse inevitable?", [2404.01413](https://arxiv.org/abs/2404.01413): replaced, the test error of linear models grows linearly; accumulated, it has a finite bound.
# - Stanton et al., "Does knowledge distillation really work?", [2106.05945](https://arxiv.org/abs/2106.05945): agreement and predictive KL.
# - Cloud et al., "Subliminal learning", [2507.14805](https://arxiv.org/abs/2507.14805), the theorem and the experiment with auxiliary outputs.
# - Kirchenbauer et al., "A watermark for large language models", [2301.10226](https://arxiv.org/abs/2301.10226); Sander et al., "Watermarking makes language models radioactive", [2402.14904](https://arxiv.org/abs/2402.14904); Cai et al., [2510.22007](https://arxiv.org/abs/2510.22007): repeated contexts.
#
# ## Next
#
# [Lesson 11](11_speculative_decoding.ipynb) lets a student serve its teacher: it drafts, and the teacher verifies.
