# %% [markdown]
# # 10 · Weak to strong, and the capacity gap
#
# After this lesson you can say when a student surpasses its teacher, when it copies the teacher's mistakes, and whether a larger teacher is a better one.

# %% tags=["hide-input"]
from kd_lab.lessons.l10_weak_to_strong.figures import accuracy_figure
from kd_lab.lessons.l10_weak_to_strong.results import load_results
from kd_lab.viz import show

stored = load_results()
first_look = {
    "the weak teacher": stored.accuracies("all", "weak", "narrow", "weak"),
    "student 1": stored.accuracies("0", "weak", "wide", "student"),
    "student 2": stored.accuracies("all", "weak", "wide", "student"),
    "student 3": stored.accuracies("all", "weak", "narrow", "student"),
    "true labels": stored.accuracies("all", "weak", "narrow", "ceiling"),
}
show(
    accuracy_figure(first_look),
    "Is it a name, or a name with two letters exchanged? Three students learn from the same teacher, which is right in 63 of 100 texts. None sees a true label. "
    "One does worse than the teacher, one hardly better, and one almost as well as with true labels. A marker is a run, of eight; bars are 95 % intervals of the mean.",
    alt="Five rows of markers. The teacher at 0.63, student 1 near 0.54, student 2 at 0.64, student 3 at 0.80, true labels at 0.83.",
)

# %% [markdown] tags=["card"]
# **You will be able to**
#
# - compute the performance gap recovered, and say what it does not tell;
# - predict from misfit and overlap whether a student gains on its teacher;
# - use the confidence loss, and say what it amplifies;
# - tell a capacity gap from a spoilt teacher;
# - name three ways in which a student exceeds its teacher, and when it cannot.
#
# **Before this:** [lesson 02](02_word_and_sequence.ipynb) (word-level distillation). Least squares helps.
#
# **Time:** 45 minutes to read and do. {{measured}}

# %%
import numpy as np
from IPython.display import Markdown, display

from kd_lab.classroom import claim, exercise, predict, quiz, reveal, setup

seed = setup("10")

# %% [markdown]
# ## 1 · A weak teacher and a strong student
#
# So far the teacher was the better model.
# Turn it round: people will have to teach models that know more than they do, as weak teachers of strong students.
# Burns et al. (2023) play this through with two models, and measure the share of the gap that is closed, the **performance gap recovered**:
#
# $$\mathrm{PGR}=\frac{\text{student}-\text{weak teacher}}{\text{ceiling}-\text{weak teacher}}$$
#
# The **ceiling** is the same student, trained alike on true labels.
#
# **Our task.** Held-out surnames, each beside its misspelling: *jones* or *ojnes*?
# A *teacher* is a language model of 1,000 weights that has read the other names for 300 steps; a linear head on it has seen 300 true labels.
# The *strong model* is the course's language model of 0.8 million weights.
# It learns from 2,000 texts that the teacher labels, by a linear head that is
#
# - **narrow**: it reads three numbers, how surprised the model is by the text on average, at its worst letter, and in all;
# - **wide**: it reads these and 256 hidden features, at each text's end and on average.

# %% [markdown]
# ### Exercise 10.1 · PGR (●○○, 6 minutes)
#
# Predictions and true labels are arrays of 0 and 1.


# %%
@exercise("10.1")
def recovered(truth, weak, student, ceiling):
    """The share of the gap that is closed, from 0/1 answers and true labels: four [N] -> number."""
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# PGR compares three accuracies. Against which labels is each of them measured?
#
# </details>
# <details><summary>Hint 2</summary>
#
# `np.mean(weak == truth)` is the teacher's accuracy.
#
# </details>

# %% [markdown] tags=["solution:10.1"]
# solution

# %%
from kd_lab.measure.quality import performance_gap_recovered

truth = np.array([1, 0, 1, 1, 0])
answers = np.array([[0, 1, 1, 1, 1], [1, 0, 1, 1, 1], [1, 0, 1, 1, 0]])  # weak, student, ceiling
library = performance_gap_recovered(*(answers == truth).mean(1))
assert np.isclose(recovered(truth, *answers), library), "your PGR and the library's differ"

# %%
predict("10.a")

# %% [markdown]
# **Experiment.** The teacher and all students once more, now with 24 deals of the texts.

# %%
from kd_lab.lessons.l10_weak_to_strong.contest import Contest

contest = Contest(seed)
weak = contest.weak("weak")
taught, ceiling = {}, {}
for knows, head in (("names", "narrow"), ("names", "wide"), ("nothing", "wide")):
    taught[knows, head] = contest.learn(knows, head, weak.hard)
    ceiling[knows, head] = contest.learn(knows, head, contest.truth)
pgr = {
    head: performance_gap_recovered(weak.accuracy, taught["names", head], ceiling["names", head])
    for head in ("narrow", "wide")
}

# %% tags=["hide-input"]
reveal("10.a", student=taught["names", "narrow"].mean(), pgr=pgr["narrow"].mean())
claim(
    "C10a",
    "A strong model that has read the names recovers most of the gap through a narrow head.",
    pgr["narrow"],
    unit="of the gap recovered, from a teacher that is right in 63 of 100 texts",
    above=0.7,
)
claim(
    "C10a",
    "Through a wide head the same model recovers little.",
    pgr["wide"],
    unit="of the gap recovered",
    below=0.25,
)
claim(
    "C10a",
    "A model that has read nothing has no gap to recover: even true labels leave it below the weak teacher.",
    ceiling["nothing", "wide"] - weak.accuracy,
    unit="accuracy of its ceiling less the teacher's",
    below=0,
)

# %% [markdown]
# Student 3's labels do not teach it spelling. It can spell; the labels only say *which* of the things it knows is asked for.
# Student 2 knows the same, but its head has 260 weights for 2,000 labels: enough freedom to follow them, mistakes included.
# Student 1 is the same network before it has read anything.
#
# **Explore.** Change what the strong model has read, its teacher, and its head. (Stored runs; the texts are dealt anew in each of eight. α is the subject of section 3.)

# %% tags=["hide-input"]
from kd_lab.lessons.l10_weak_to_strong.explorers import knowledge_explorer

knowledge = knowledge_explorer(stored)
knowledge.show()
knowledge.filmstrip([{}, "wide head", "half-read", "nearly a coin"])

# %% [markdown]
# ## 2 · Misfit and gain
#
# Let $t$ be the truth, $w$ the teacher's labels, and $s$ the student, as vectors over $N$ texts, and write $\langle a,b\rangle$ for the mean of the products $a_ib_i$, $\|a\|^2$ for $\langle a,a\rangle$.
# The student is fitted by least squares, so $s$ is the point nearest to $w$ among all that it could say. Its **misfit** is $\|w-s\|^2$, and its **gain** is $\|w-t\|^2-\|s-t\|^2$.
#
# **By hand, three texts.** A student that can only say one number for all: $t=(2,2,2)$, $w=(1,2,6)$.
# It says the mean, $s=(3,3,3)$.
# The teacher's error is $\tfrac13(1+0+16)=\tfrac{17}3$, the student's is $1$, so the gain is $\tfrac{14}3$.
# The misfit is $\tfrac13(4+1+9)=\tfrac{14}3$: the same.

# %%
predict("10.b")

# %% [markdown]
# **Derive.** Expand $w-t=(w-s)+(s-t)$. The rest $w-s$ is at a right angle to all that the student can say, and $\hat t$, the nearest to the truth that it can say, is among that. So
#
# $$\text{gain}=\text{misfit}-2\,\langle w-s,\;t-\hat t\,\rangle .$$
#
# If the student can say the truth, $t=\hat t$, we have Pythagoras' theorem, and gain *is* misfit (Charikar et al. 2024 prove that gain is at least misfit for every convex set of students that holds the truth).
# If not, the **overlap** $\langle w-s,t-\hat t\rangle$ counts against the gain: it is truth in the teacher's labels that the student could not follow.

# %% [markdown]
# ### Exercise 10.2 · Gain and misfit (●●○, 8 minutes)
#
# `features` is `[N, K]`; `weak` and `truth` are `[N]`, any numbers.
# Fit the student to the teacher by least squares, and return both mean squares as a pair.


# %%
@exercise("10.2")
def gain_and_misfit(features, weak, truth):
    """The student's gain on its teacher, and its misfit: [N, K], [N], [N] -> two numbers."""
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# The student never sees `truth`. Which of the two numbers could you compute without it?
#
# </details>
# <details><summary>Hint 2</summary>
#
# `weights, *_ = np.linalg.lstsq(features, weak, rcond=None)`; the student says `features @ weights`.
#
# </details>

# %% [markdown] tags=["solution:10.2"]
# solution

# %%
groups = {
    "has read names, narrow": contest.gains("names", "narrow", weak, gain_and_misfit),
    "has read names, wide": contest.gains("names", "wide", weak, gain_and_misfit),
    "has read nothing, narrow": contest.gains("nothing", "narrow", weak, gain_and_misfit),
}
for gain, misfit, overlap in np.concatenate([*groups.values()]):
    assert np.isclose(gain, misfit - 2 * overlap, atol=1e-6), "gain = misfit − 2 · overlap"

# %% tags=["hide-input"]
from kd_lab.lessons.l10_weak_to_strong.figures import misfit_figure

show(
    misfit_figure(groups),
    "Least-squares students of the weak teacher's probabilities, a marker per run. A student that knows gains about as much as it disagrees. The one that knows nothing disagrees just as much, and loses: what it leaves out of the labels was true.",
    alt="Gain against misfit. Narrow students that have read names lie near the diagonal; wide ones near its beginning; those that have read nothing lie below zero.",
)
knows, ignores = groups["has read names, narrow"], groups["has read nothing, narrow"]
reveal("10.b", untrained=ignores[:, 0].mean())
claim(
    "C10a",
    "A student that has read the names gains about as much as it disagrees with its teacher.",
    knows[:, 0] / knows[:, 1],
    unit="gain ÷ misfit",
    above=0.7,
    below=1.6,
)
claim(
    "C10a",
    "Misfit alone is no gain: a student that knows nothing disagrees and loses.",
    ignores[:, 0],
    unit="gain in mean squared error",
    below=0,
)

# %% [markdown]
# ### Which errors are copied?
#
# The wide head has little misfit: it follows its teacher into the mistakes.
# What of a narrow head? Take true labels, and spoil about a quarter of them in two ways: at random, or by calling every text of at most six letters a name.
# The rule differs in two things: a head can read it, and all its errors point one way, from misspelling to name. So the control errs as often and one way, but on misspellings drawn at random.

# %%
predict("10.c")

# %%
biased = contest.biased()
share = (biased == contest.truth).float().mean().item()  # of labels that are right
spoilt = {
    "at random": contest.flipped(1 - share),
    "short texts": biased,
    "one way": contest.one_sided(1 - share),
}
pupils = {how: contest.learn("names", "narrow", labels) for how, labels in spoilt.items()}
correct = {how: (labels == contest.truth).float().mean(1).numpy() for how, labels in spoilt.items()}

# %% tags=["hide-input"]
reveal("10.c", random=pupils["at random"].mean(), biased=pupils["short texts"].mean())
claim(
    "C10c",
    "A student exceeds labels whose errors fall at random: it averages them out.",
    pupils["at random"] - correct["at random"],
    unit="accuracy above that of its labels",
    above=0,
)
claim(
    "C10c",
    "A student does not exceed labels with as many errors that follow a rule it can read.",
    pupils["short texts"] - correct["short texts"],
    unit="accuracy above that of its labels",
    below=0,
)
claim(
    "C10c",
    "Nor does it exceed labels with as many errors at random that all point one way.",
    pupils["one way"] - correct["one way"],
    unit="accuracy above that of its labels",
    below=0,
)

# %% [markdown]
# So a narrow head, too, is misled, and the control says by what: errors that point one way do not average out, whether or not a rule is behind them.
# Here more than half of the misspellings are called names, so that "a name" is the likelier label of nearly every text.
#
# ## 3 · The confidence loss
#
# Burns et al. add a term that lets the student trust itself.
# With $q$ the student's probability of a name, $w$ the teacher's label, and a threshold $\theta$,
#
# $$L=(1-\alpha)\,\mathrm{CE}(w,q)+\alpha\,\mathrm{CE}\big([q>\theta],q\big),$$
#
# where $\mathrm{CE}(y,q)=-y\ln q-(1-y)\ln(1-q)$, and $[q>\theta]$ is 1 or 0, without a gradient.
# Two details matter.
# α rises smoothly from 0, for at first the student has nothing to be sure of.
# And θ is a quantile of the student's own answers, set so that as many texts are called names as the teacher calls names; ours is taken over the last eight batches, since one batch of 64 would make it jump.
#
# ### Exercise 10.3 · The confidence loss (●●○, 8 minutes)
#
# `student_logits` and `weak` are `[B]` tensors, and $q=\sigma(\text{logit})$. `threshold` is a number, or one per text, `[B]`.
# Return the mean over the batch. `F.logsigmoid` survives a logit of −90.

# %%
import torch.nn.functional as F


@exercise("10.3")
def confidence_loss(student_logits, weak, alpha, threshold):
    """CE in nats against (1 − α)·weak + α·[q > threshold]: [B], [B], float, float or [B] -> []."""
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Cross-entropy is linear in its target: two losses with weights are one loss with a mixed target.
#
# </details>
# <details><summary>Hint 2</summary>
#
# A comparison gives booleans; `.to(weak.dtype)` makes numbers of them. $\ln(1-q)$ is `F.logsigmoid(-student_logits)`.
#
# </details>

# %% [markdown] tags=["solution:10.3"]
# solution

# %%
predict("10.d")

# %%
teachers = {"nearly a coin": contest.weak("nearly a coin"), "weak": weak}


def without_and_with(labels, head="narrow"):
    """Accuracies of students without and with confidence, one per run."""
    return [contest.learn("names", head, labels, a, confidence_loss) for a in (0.0, 0.75)]


pairs = {name: without_and_with(teacher.hard) for name, teacher in teachers.items()}
wide_naive, wide_sure = without_and_with(weak.hard, "wide")

# %% tags=["hide-input"]
from kd_lab.lessons.l10_weak_to_strong.figures import confidence_figure

show(
    confidence_figure(pairs),
    "Narrow heads, a line per run, without and with confidence. The teacher on the left is right in 53 of 100 texts, the one on the right in 63. Where the student leans the right way, confidence takes it to what it can do; where it leans the wrong way, it goes there.",
    alt="Left, lines from 0.5 to 0.8 rise to about 0.8, with a few that fall far below one half. Right, short lines from about 0.80 to 0.82.",
)
naive, sure = pairs["nearly a coin"]
lost = int((sure < 0.5).sum())
reveal("10.d", up=int((sure > naive).sum()), runs=len(naive), below=lost)
claim(
    "C10a",
    "With a weak teacher the confidence loss brings the narrow student nearer to its ceiling.",
    pairs["weak"][1] - pairs["weak"][0],
    unit="more accuracy, pairs of runs",
    above=0,
)
claim(
    "C10a",
    "The confidence loss amplifies what the student leans to: taught by nearly a coin, it ends farther from a coin toss.",
    np.abs(sure - 0.5) - np.abs(naive - 0.5),
    unit="farther from one half, in whichever direction",
    above=0,
)
claim(
    "C10a",
    "The confidence loss does not save a wide head from copying.",
    wide_sure - wide_naive,
    unit="more accuracy, pairs of runs",
    below=0.03,
)

# %% [markdown]
# **In the wild.** Burns et al. finetuned GPT-4 with labels of a GPT-2-level model and the confidence loss, and report "close to GPT-3.5-level performance on NLP tasks" (abstract).
# [EleutherAI](https://blog.eleuther.ai/weak-to-strong/) repeated it with Qwen1.5 0.5B and Llama 3 8B on 21 data sets: of the changes they tried, the confidence loss alone showed "possible signs of consistently improving".
# The [released code](https://github.com/openai/weak-to-strong/blob/15a0fab38b253713b407ebe5db92fe4bb0f69a76/weak_to_strong/loss.py) takes its threshold from a single batch, and its α does not rise smoothly: it goes to a tenth of its final value and then jumps, as a [pull request](https://github.com/openai/weak-to-strong/pull/33) points out.
# What does not carry over: they train all weights; we train a head, narrow or wide.
#
# ## 4 · Is a larger teacher a better one?
#
# Now the usual direction. A student of 8K weights learns surnames at word level, at τ = 1, from teachers of 1K to 0.8M weights.
# It is often reported that a teacher can be *too* large, a **capacity gap**: "larger models do not often make better teachers" (Cho & Hariharan 2019).

# %%
predict("10.e")

# %% [markdown]
# **Explore.** Teachers that have read all 18,012 names for 600 steps; the largest is the one that ships with the course, which has read them for longer. Five seeds of the student for each.

# %% tags=["hide-input"]
from kd_lab.lessons.l10_weak_to_strong.explorers import SIZES, capacity_explorer

teachers_explorer = capacity_explorer(stored)
teachers_explorer.show()
teachers_explorer.filmstrip([{}, "largest", "longer", "largest, longer"])

# %% tags=["hide-input"]
short, long = ({size: stored.capacity(size, steps) for size in SIZES} for steps in (200, 600))
still = long["0.8M"] - long["105K"]
reveal("10.e", largest=long["0.8M"].mean(), next=long["105K"].mean())
claim(
    "C10b",
    "From 1K to 8K weights a larger teacher makes a better student.",
    long["1K"] - long["8K"],
    unit="bits per character less, after 600 steps",
    above=0,
)
claim(
    "C10b",
    "After short training the curve has a knee: from 105K to 0.8M weights it is level.",
    short["0.8M"] - short["105K"],
    unit="bits per character more with the larger teacher, after 200 steps",
    above=-0.03,
    below=0.03,
)
claim(
    "C10b",
    "After longer training the largest teacher is the best: there is no reversal.",
    still,
    unit="bits per character more with the larger teacher, after 600 steps",
    below=0,
)

# %% [markdown]
# The knee is a saturation: after 200 steps the student is still behind the teacher of 8K weights, and one better than that of 105K adds nothing yet.
# Given more steps it takes more from a better teacher, while one of its own size is no better than the labels.
#
# **Looking for the reversal.** The same student and 300 names, read for 600 steps by everyone.
# A teacher of 105K weights learns 300 names by heart in that time. One that is *stopped at its best* has the weights of the moment when its held-out bits were lowest. (They are the same held-out names on which all are judged, which flatters it a little.)

# %% tags=["hide-input"]
from kd_lab.lessons.l10_weak_to_strong.figures import few_figure, few_table

show(
    few_figure(stored),
    "Left: trained to the end, the larger the teacher, the worse its student; the largest is worse than labels. Stopped at its best, it is about as good a teacher as the smallest. Right: the same students against their teacher's own bits. Below the line a student is better than its teacher. Five seeds.",
    alt="Left, student bits rise with the teacher's size from 3.7 to 4.2 when it is trained to the end, and stay near 3.75 when it is stopped. Right, all students lie on the diagonal or below it.",
)
display(Markdown(few_table(stored)))
last = {size: stored.few(f"{size} last") for size in ("1K", "8K", "105K")}
claim(
    "C10b",
    "On 300 names, trained to the end, the order turns round: the largest teacher makes the worst student.",
    last["105K"] - last["1K"],
    unit="bits per character more than with the smallest teacher",
    above=0,
)
claim(
    "C10b",
    "On 300 names, the largest teacher trained to the end is worse than the labels.",
    last["105K"] - stored.few("labels"),
    unit="bits per character more than with labels",
    above=0,
)
claim(
    "C10b",
    "Stopping the large teacher at its best removes the reversal.",
    last["105K"] - stored.few("105K best"),
    unit="bits per character less",
    above=0,
)

# %% [markdown]
# So the reversal is here, and it is no gap between two sizes: a teacher far beyond its best is worse than the labels from which it learned.
# Cho & Hariharan mitigate theirs the same way, by stopping the teacher early.
#
# ## 5 · A student that exceeds its teacher
#
# Two ways we have seen: errors that average out, and a teacher whose labels only point at what the student knows.
# The table above has a third: each student of a spoilt teacher is better than its teacher, even the 8K student of an 8K teacher, a case of **self-distillation**.

# %% tags=["hide-input"]
own_kind = stored.few("8K last", "teacher") - stored.few("8K last")
claim(
    "C10c",
    "Self-distillation helps an overtrained model: the student is better than its teacher, whose twin it is.",
    own_kind,
    unit="bits per character less than its teacher",
    above=0,
)
claim(
    "C10c",
    "A twin that learns from labels and stops at its best is better than the self-distilled student.",
    stored.few("8K last") - stored.few("8K best", "teacher"),
    unit="bits per character less than the self-distilled student",
    above=0,
)

# %% [markdown]
# Where does the gain come from, if nothing new is learned? Take the simplest model that can be fitted to itself: a **smoother**, which draws a smooth curve through noisy readings.

# %%
predict("10.f")

# %% [markdown]
# **Derive.** Ridge regression with a kernel matrix $K$ answers $N$ readings $y$ with $\hat y=K(K+\lambda I)^{-1}y$. In the directions of $K$'s eigenvectors, with eigenvalues $d_k$, it multiplies the readings by $a_k=d_k/(d_k+\lambda)<1$.
# A student of the same kind, fitted to the *answers*, multiplies once more; after $t$ fits, the first included, the factor is $a_k^t$.
# With noise of variance $\sigma^2$, and $s_k$ the truth's coefficients, the expected error is
#
# $$\frac1N\sum_k\Big[(1-a_k^t)^2s_k^2+a_k^{2t}\sigma^2\Big].$$
#
# More fits remove more noise, the second term, and more of the truth, the first. A round of self-distillation, each fit after the first, is further regularisation (Mobahi et al. 2020).
#
# **Explore.** The number of fits, and the strength λ of each.

# %% tags=["hide-input"]
from kd_lab.lessons.l10_weak_to_strong.explorers import rounds_explorer
from kd_lab.lessons.l10_weak_to_strong.smoothing import wave

curve = wave()
rounds = rounds_explorer(curve, seed)
rounds.show()
rounds.filmstrip([{}, "five fits", "twenty fits", "smooth enough already"])

# %%
strengths = np.logspace(-3, 1, 81)
single = np.array([curve.expected_error(strength) for strength in strengths])
repeated = np.array([[curve.expected_error(one, t) for one in strengths] for t in range(1, 21)])
rough = [curve.expected_error(0.03, t) for t in (1, 5)]
smooth = [curve.expected_error(1.0, t) for t in (1, 5)]
drawn = np.array([curve.read(seed + number) for number in range(20)])


def error(readings, strength, t):
    """The squared error of one reading's answers after t fits."""
    return np.mean((curve.fit(readings, strength, t) - curve.truth) ** 2)


saved = [error(one, 0.03, 1) - error(one, 0.03, 5) for one in drawn]
added = [error(one, 1.0, 5) - error(one, 1.0, 1) for one in drawn]

# %% tags=["hide-input"]
reveal("10.f", rough=rough[0], better=rough[1], smooth=smooth[0], worse=smooth[1])
claim(
    "C10c",
    "After a rough first fit, four rounds of self-distillation lower the error.",
    saved,
    unit="squared error less, at λ = 0.03",
    above=0,
)
claim(
    "C10c",
    "After a smooth first fit four rounds raise the error: the student cannot exceed a teacher that is smooth enough.",
    added,
    unit="squared error more, at λ = 1",
    above=0,
)
claim(
    "C10c",
    "Up to 20 fits in a row, at any λ, gain little on one fit at the best λ.",
    repeated.min() / single.min(),
    unit="of the error of the best single fit",
    holds=0.85 < repeated.min() / single.min() < 1,
)

# %% [markdown]
# So all three ways are one: the student leaves out something that its teacher says, and what it leaves out is more error than truth.
# Where the teacher is as good as its student can be, or its errors are as easy to say as the truth, there is nothing to gain.
#
# ## Discuss
#
# *For two people, ten minutes.*
# A team finetunes a large model on labels from crowd workers and reports a PGR of 0.9, measured on labels of the same workers.
# What does the number mean? Which test would show whether the model has learned the task or the workers' bias?
# Would you turn the confidence loss on?

# %% [markdown] tags=["teacher"]
# **Expected answers.** Measured on the workers' labels it is agreement, and a perfect copy scores best; PGR needs labels that are better than the teacher's. Tests: a small set labelled by experts; texts on which the suspected bias and the truth differ (as short texts here); two groups of workers with different biases, trained on one and tested on the other; agreement on the *wrong* labels beside agreement on the right ones. The confidence loss: only with such a test at hand, since it amplifies what the model leans to, and the loss curve does not tell which way. **Misconceptions:** "PGR 0 means that it has learned nothing" (it has learned the teacher); "a larger student recovers more" (only if it knows more, and if its head does not follow every label); "disagreement with the labels is progress" (only off the overlap); "large teachers are bad for small students" (overtrained ones are); "self-distillation adds knowledge" (it removes noise, and truth with it). **Timing:** 45 minutes alone, 65 in a class; section 3 is worth the most talk.

# %% [markdown]
# ## Recap
#
# 1. PGR is the share of the gap between weak teacher and ceiling that is closed; all three are judged by the truth.
# 2. Gain is misfit less twice the overlap. A student gains if it knows the task, and cannot say the teacher's errors.
# 3. The confidence loss amplifies what the student leans to. With a narrow head and a weak teacher it helps; it can also ruin a run.
# 4. A larger good teacher did no harm; after short training its lead saturates. The reversal came from teachers trained beyond their best, and stopping them removed it.
# 5. A student exceeds its teacher by leaving out error: noise that averages out, or detail that a further round of smoothing removes.
#
# ## Quiz

# %%
quiz("10")

# %% [markdown]
# ## Glossary
#
# **Weak teacher** a model that knows less of the task than its student could. **Ceiling** the same student with true labels. **PGR** performance gap recovered. **Narrow, wide head** one that reads three numbers, or all features. **Misfit** the student's distance from its labels. **Gain** the teacher's error less the student's. **Overlap** what the student leaves out of the labels, along the truth that it cannot say. **Confidence loss** cross-entropy against a mixture of the label and the student's own hard answer. **Capacity gap** a worse student from a larger teacher. **Self-distillation** a student of its teacher's shape, on the same data.
#
# ## Papers
#
# - Burns et al., "Weak-to-Strong Generalization", [2312.09390](https://arxiv.org/abs/2312.09390): PGR and the confidence loss.
# - Charikar, Pabbaraju & Shiragur, "Quantifying the Gain in Weak-to-Strong Generalization", [2405.15116](https://arxiv.org/abs/2405.15116): gain and misfit.
# - Cho & Hariharan, "On the Efficacy of Knowledge Distillation", [1910.01348](https://arxiv.org/abs/1910.01348); Mirzadeh et al., "Teacher Assistant", [1902.03393](https://arxiv.org/abs/1902.03393): the capacity gap.
# - Busbridge et al., "Distillation Scaling Laws", [2502.08606](https://arxiv.org/abs/2502.08606): students up to billions of weights.
# - Mobahi, Farajtabar & Bartlett, "Self-Distillation Amplifies Regularization in Hilbert Space", [2002.05715](https://arxiv.org/abs/2002.05715); Furlanello et al., "Born-Again Networks", [1805.04770](https://arxiv.org/abs/1805.04770).
# - Hinton, Vinyals & Dean, [1503.02531](https://arxiv.org/abs/1503.02531), equations 2 to 4: the loss that section 4 uses, there at other temperatures.
#
# ## Next
#
# [Lesson 10b](10b_what_is_passed_on.ipynb) asks what else is passed on: what agreement hides, and what becomes of models that learn from models.
