# %% [markdown]
# # 12 · The whole field on three knobs
#
# After this lesson you can place any distillation method on three knobs, compare it with its neighbours at one budget under two judges, and say what many new methods change in place of a knob: the teacher.

# %% tags=["hide-input"]
from kd_lab.lessons.l12_the_whole_field.figures import hook_figure
from kd_lab.viz import show

show(
    hook_figure(),
    "Every dot is a way to distil one teacher of surnames: one choice of WHAT, HOW and WHERE, trained five times under one budget. P is the teacher, Q the student. "
    "The farther left a dot is, the less its student misses of what the teacher says; the lower it is, the less it says that the teacher would not say.",
    alt="Scatter of all stored students, KL(P‖Q) to the right and KL(Q‖P) upwards, both logarithmic; a colour says whose prefixes were read, and a cross marks the student before any method.",
)

# %% [markdown] tags=["card"]
# **You will be able to**
#
# - write any method of the field as WHAT × HOW × WHERE, and say why some combinations are no method;
# - read a table of methods with two judges, intervals and costs, and not take one column for the truth;
# - let a teacher read more than its student, and show with a control that what it reads is what helps;
# - merge two experts, and distil across tokenizers without losing the tokens on the way;
# - run a fair contest of recipes, with ties.
#
# **Before this:** [lesson 02](02_word_and_sequence.ipynb), [lesson 06](06_gkd.ipynb) and [lesson 07](07_minillm.ipynb) for the methods; [lesson 01](01_what.ipynb) for features and relations.
#
# **Time:** 45 minutes to read and do. {{measured}}

# %%
import numpy as np
import torch
from IPython.display import Markdown, display

from kd_lab.classroom import claim, exercise, predict, quiz, reveal, setup

seed = setup("12", threads=1)

# %% [markdown]
# ## 1 · One table
#
# The equation of this course has three free places:
#
# $$L=\mathbb E_{\text{prefixes by WHERE}}\sum_t\text{HOW}\big(\text{WHAT(student)},\ \text{WHAT(teacher)}\big)$$
#
# In code a method is three words. Two names for the same three words are one method.
# In the table a row that begins with + is a second term of the method above it:

# %%
from kd_lab.lessons.l12_the_whole_field.field import METHODS, compose
from kd_lab.methods import Recipe, word_level

mine = compose("logits", "forward KL", "fixed set, λ = 0")
assert mine.terms == word_level().terms
print(mine)
display(Markdown(Recipe.table(METHODS.values())))

# %% [markdown]
# **One world, one budget.** A prompt is the first two letters of a surname, and the student writes the rest.
# The teacher has read eighteen thousand names. A student has 26,000 weights and only two hundred names. It has read these for a while before any method begins, since on-policy methods need a student that can write.
# Five such students, one per seed, are the five *beginnings*. From each of them every method takes the same number of steps with the same number of texts per step; a recipe with two sources of text shares them.
#
# **Two judges**, on held-out prompts, in nats per name: $\mathrm{KL}(P\|Q)$ is large where the student *misses* something that the teacher $P$ says; $\mathrm{KL}(Q\|P)$ is large where the student $Q$ says something *wrong*.
# The first is measured along texts that the teacher draws, the second along texts that the student draws; at each prefix the KL is summed over all letters.

# %%
predict("12.a")

# %% tags=["hide-input"]
from kd_lab.lessons.l12_the_whole_field import findings, stored

display(Markdown(stored.field_table()))
misses, errs = findings.field("forward"), findings.field("reverse")  # method → marks per seed
first = [", ".join(findings.first_place(found)) for found in (misses, errs)]
budget = stored.about()["field"]
print(f"budget: {budget['steps']} steps of {budget['batch']} texts, Adam at {budget['learning_rate']}")
for judge, names in zip(("KL(P‖Q)", "KL(Q‖P)"), first):
    print(f"first under {judge}, compared in pairs over five beginnings: {names}")
reveal("12.a", forward=first[0], reverse=first[1])

# %% [markdown]
# The last columns are the bill: processor seconds, thousands of positions that the teacher read or wrote, and of positions that the student wrote, or read without a gradient, for its own training.
# Of the methods with this teacher, beam texts ask least of it; MiniLLM asks most: its teacher helps to write the texts, reads them for the importance weights, and then for the loss.
# The last five rows belong to another teacher, whose tokens are pairs of letters. Section 3 comes back to them.

# %% tags=["hide-input"]
claim(
    "C12a",
    "Under KL(P‖Q) word level, forward KL on fixed texts, is ahead of every other named method.",
    findings.ahead(misses, "word level"),
    unit="nats per name nearer than the next",
    above=0,
)
claim(
    "C12a",
    "Under KL(Q‖P) word level is far behind: on-policy, with reverse KL, says less that is wrong.",
    errs["word level"] - errs["on-policy"],
    unit="nats per name less with on-policy reverse KL",
    above=0.3,
)
claim(
    "C12a",
    "What wins under one judge pays under the other: on-policy misses more than word level.",
    misses["on-policy"] - misses["word level"],
    unit="nats per name more under KL(P‖Q)",
    above=0,
)
claim(
    "C12a",
    "Mode texts cost coverage: after the teacher's beam the student misses more than before any training.",
    misses["sequence level, beam"] - stored.marks(stored.BEGINNER, "forward"),
    unit="nats per name more under KL(P‖Q)",
    above=0,
)
claim(
    "C12a",
    "Logits say more than samples: word level misses less than sequence level with sampled texts.",
    misses["sequence level, sampled"] - misses["word level"],
    unit="nats per name nearer under KL(P‖Q)",
    above=0,
)
worst = {name: np.maximum(misses[name], errs[name]) for name in METHODS}
claim(
    "C12a",
    "In the worse of its two judgements Hinton KD, on fixed texts at τ = 2, is ahead of on-policy.",
    worst["on-policy"] - worst["Hinton KD"],
    unit="nats per name nearer in the worse judgement",
    above=0,
)
warm = stored.marks(compose("logits", "forward KL, τ = 2", "fixed set, λ = 0"), "reverse")
claim(
    "C12a",
    "Hinton's gain comes from the temperature: without labels, τ = 2 alone brings KL(Q‖P) down as far.",
    (errs["word level"] - warm) / (errs["word level"] - errs["Hinton KD"]),
    unit="of what Hinton KD gains on word level under KL(Q‖P)",
    above=0.7,
)

# %% [markdown]
# [Lesson 03b](03b_between_the_kls.ipynb) explains the temperature: both sides are softened in training and the student is used at τ = 1, which makes it narrower.
# On fixed texts its errors fall to nearly those of on-policy distillation, and it misses little. So try a temperature before you pay for the student's own texts.
# All of this holds for one number of steps of Adam and one learning rate. Adam divides out how long a loss's gradient is; even so, another learning rate may suit another loss better.

# %% tags=["hide-input"]
from kd_lab.lessons.l12_the_whole_field.figures import cost_figure

show(
    cost_figure(),
    "Processor seconds of a training, and the larger of its student's two KLs. Lower is better, and the cheapest of the lowest is Hinton KD. Colours as above: blue reads the data's texts, green the teacher's, orange the student's. Bars are 95 % intervals over five beginnings.",
    alt="Scatter of fourteen methods, seconds to the right, the larger KL upwards. Hinton KD, adaptive KL, GKD and DistiLLM lie low at 1.5 to 1.8 seconds; DistiLLM-2 and NeMo-RL are as low at 3.5 seconds; on-policy and word level stand at 3.9; MiniLLM takes 5 seconds and stands at 4.3; labels only, FitNets, RKD and beam texts lie above 5.",
)

# %% [markdown]
# **Explore.** Compose a method. The large mark is its student among all stored ones; at the right are names that it writes.
# Then find a choice that is refused, and read the reason before you go on.

# %% tags=["hide-input"]
from kd_lab.lessons.l12_the_whole_field.explorers import field_explorer

field = field_explorer()
field.show()

# %% tags=["hide-input"]
field.filmstrip(["on-policy", "no name", "refused: own tokens", "refused: two kinds"])

# %% [markdown]
# **Which knob matters?** Seven HOWs × four WHEREs make 28 choices with logits. Average them over one knob, and take the spread along the other, from the best to the worst.
# Seven means spread further than four by chance alone, so the claims ask for twice the spread.

# %% tags=["hide-input"]
for judge, label in (("forward", "KL(P‖Q)"), ("reverse", "KL(Q‖P)")):
    by_how, by_where = findings.spreads(findings.grid(judge))
    claim(
        "C12b",
        f"Over these 28 choices HOW matters more than WHERE under {label}.",
        by_how / by_where,
        unit="times the spread over WHERE is the spread over HOW",
        above=2,
        scale="log",
    )
on_fixed = stored.marks(compose("logits", "reverse KL", "fixed set, λ = 0"), "reverse")
claim(
    "C12b",
    "Most of on-policy's lead in errors is its HOW's: reverse KL on the fixed set has it, too.",
    (errs["word level"] - on_fixed) / (errs["word level"] - errs["on-policy"]),
    unit="of on-policy's lead on word level under KL(Q‖P)",
    above=0.5,
)
sampled = compose("logits", "forward KL", "teacher's samples")
claim(
    "C12b",
    "Forward KL read on the teacher's own samples misses less than on the fixed set.",
    misses["word level"] - stored.marks(sampled, "forward"),
    unit="nats per name nearer under KL(P‖Q)",
    above=0,
)

# %% [markdown]
# In this world of short answers *whose* texts are read decides little, as long as they are drawn, and how the gap is measured decides much. (Beam texts are none of the four: they cost more of KL(P‖Q) than any HOW.) In the first picture the colours, which show WHERE, are mixed within each group of dots.
# The teacher's samples differ from the fixed set in two ways: by their author, and because there are 2,048 of them instead of two hundred. They are ahead in the mean, and five beginnings do not decide it.
# Forward KL on these samples alone has no name in our table, though nothing is simpler. With τ = 2 it is the preset *no name*.
#
# **Why some choices are refused.** Three reasons stand behind all refusals.
# *Two kinds:* a divergence compares distributions, and a squared distance compares features.
# *No teacher:* on its own tokens, without logits, the student learns what it says already.
# *No expectation:* a policy gradient is an average over texts that the student draws; other texts give another gradient.
#
# ## 2 · A fourth choice: who is the teacher?
#
# Since 2025 many new methods leave the three knobs alone and change the teacher.
# The sums of [lesson 09](09_reasoning_traces.ipynb) show it: each has one right answer, so the judge is the share of problems solved.
# One base model has learned to read a problem in three forms. `47t90` is 4 + 7, times 3, + 9, + 0, and only last digits are kept:

# %%
from kd_lab.lessons.l12_the_whole_field.forms import FORMS, texts

for form in FORMS:
    (prompt,), (answer,) = texts(["47t90"], form)
    print(f"{form:8} the model reads {prompt:>12} and writes {answer}")

# %% [markdown]
# *n* is for *now*, *s* for *steps*. In the third form the solution stands before the problem, always the right one, so the base has learned to copy it.
# The base is stopped as soon as it solves 40 % in steps, so that there is something left to learn. Now the same weights can be both sides: a teacher that reads more, and a student that reads less.
#
# ### Exercise 12.1 · A teacher that reads more (●●○, 8 minutes)
#
# The student reads `tokens`. Its teacher reads a hint as well, directly behind the mark that begins every text.
# Return the teacher's logits *where it predicts what the student predicts*. `teacher` maps ids `[B, T]` to logits `[B, T, V]`. The result is a label: it must carry no gradient.


# %%
@exercise("12.1")
def privileged_logits(teacher, tokens, hint):
    """The teacher's logits at the student's positions.

    teacher, [B, T] ids, [B, k] ids of the hint -> [B, T, V]
    """
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Write down, for a text of three ids and a hint of two, what the teacher has read at each of its positions. At which of them has it read what the student has read at its first?
#
# </details>
# <details><summary>Hint 2</summary>
#
# `torch.cat([tokens[:, :1], hint, tokens[:, 1:]], 1)` is what the teacher reads. Its logits have k positions too many: which ones?
#
# </details>

# %% [markdown] tags=["solution:12.1"]
# solution

# %% [markdown]
# `InContext` is a WHAT that does the same, so the library trains with it as with any other. Below, HOW is reverse KL and WHERE is the student's own texts.
# Your function gives the same logits:

# %%
from kd_lab.lessons.l12_the_whole_field.contexts import InContext, solutions
from kd_lab.lessons.l12_the_whole_field.forms import HINTED, SYMBOLS, TOLD, width, world_of
from kd_lab.models import GPT, GPTConfig

asked = world_of(TOLD, ["47t90", "12345"], ["9n9s1"]).train
model = GPT(GPTConfig(len(SYMBOLS), width(HINTED), layers=1, heads=2, width=16), seed=seed)
_, theirs = InContext("solution").bind(model, model, seed).read(asked)
hints = solutions(asked.inputs[:, 2:7])
torch.testing.assert_close(privileged_logits(model, asked.inputs, hints), theirs)
shown = torch.cat([InContext("solution").shown(asked.inputs), 0 * hints[:, :1]], 1)
print("the teacher reads", SYMBOLS.decode(shown))

# %% [markdown]
# **Context distillation.** The student is asked with `n`, its teacher with `s`. Afterwards the student should write steps without being told.
# *On-policy* the student writes and the teacher judges. *Off-policy* the teacher writes with `s`, and the student reads these texts behind `n`.
# *No instruction* is the control: the teacher reads `n` as well. The last row is the teacher itself, asked with `s`.

# %% tags=["hide-input"]
from kd_lab.lessons.l12_the_whole_field.figures import ways_table

display(Markdown(ways_table("instruction", [("solved, asked with n", 0, 3), ("digits per answer", 1, 2)])))
told = stored.ways("instruction")
claim(
    "C12c",
    "Context distillation works: asked for the answer at once, the student solves far more than before.",
    told["on-policy"] - told["base"],
    unit="of the problems more than the base",
    above=0.1,
)
claim(
    "C12c",
    "The gain comes from the instruction: with a teacher that reads the student's own prompt nothing is gained.",
    np.abs(told["no instruction"] - told["base"]),
    unit="of the problems, change",
    below=0.05,
)
claim(
    "C12c",
    "On-policy and off-policy context distillation end within ten percentage points of one another.",
    np.abs(told["on-policy"] - told["off-policy"]),
    unit="of the problems, difference",
    below=0.1,
)

# %% [markdown]
# The control is exact: the same weights that read the same text have a KL of 0, and its gradient is 0.
# The student reaches its teacher, and hardly passes it: it has learned to write steps unasked, and little about sums.
#
# **Self-distillation with a solution in view.** Now both are asked with `s`, and the teacher reads the solution first.
# There are two controls: a teacher that reads *another* problem's solution, and the same solutions read as texts, that is, labels.
# *Moved elsewhere* is the KL from base to student in the answers at once, which nobody trained. In the row *nothing* the teacher reads no hint; the last row is the teacher itself.

# %%
predict("12.c")

# %% tags=["hide-input"]
display(Markdown(ways_table("solution", [("solved without a hint", 0, 3), ("moved elsewhere, nats per answer", 2, 3)])))
solved, moved = stored.ways("solution"), stored.ways("solution", 2)
reveal(
    "12.c",
    other=solved["another's solution"].mean(),
    before=solved["base"].mean(),
    own=solved["own solution"].mean(),
)
claim(
    "C12d",
    "A model with the solution in view teaches its own weights: without any hint the student solves more than before.",
    solved["own solution"] - solved["base"],
    unit="of the problems more than the base",
    above=0.1,
)
claim(
    "C12d",
    "The gain comes from the problem's own solution: with another problem's, the student unlearns the sums.",
    solved["base"] - solved["another's solution"],
    unit="of the problems fewer than the base",
    above=0.1,
)
claim(
    "C12d",
    "Plain labels from the same solutions lead to more solved problems than self-distillation.",
    solved["solutions as labels"] - solved["own solution"],
    unit="of the problems more than self-distillation",
    above=0,
)
claim(
    "C12d",
    "In the answers at once, which nobody trained, self-distillation moves the model less than labels do.",
    moved["solutions as labels"] - moved["own solution"],
    unit="nats per answer less than labels",
    above=0,
)

# %% [markdown]
# Why bother, if labels do better? Both ways need the solution. But a label fixes its wording as well: if these are not the student's own words, the student changes its ways while it learns.
# A teacher with the solution in view judges the student's own texts, so it should disturb less; the last claim asks whether it does. Here label and student use the same words, and five seeds do not decide it.
# With another problem's solution the teacher writes the steps of that other problem, and the student follows it: hence fewer solved than before.
#
# ### Two experts, one student
#
# One base becomes two experts: one goes on with sums that only add, the other with sums that only multiply.
# To merge them, each prompt of the student is *routed*: the expert of its domain judges what the student writes.
# It has four rivals: *their texts* are routed as well, but the student reads the experts' own answers as labels; *mixed labels* are the right answers of both domains, once with the same steps and once with the experts' steps added; and *average of weights* is the mean of both models.

# %%
predict("12.b")

# %% tags=["hide-input"]
display(
    Markdown(
        ways_table(
            "merging",
            [
                ("additions", 0, 2),
                ("multiplications", 1, 2),
                ("both in one", 2, 2),
                ("seconds, after the experts", 3, 1),
            ],
        )
    )
)
both = stored.ways("merging", 2)
experts = np.maximum(both["expert in additions"], both["expert in multiplications"])
reveal(
    "12.b",
    expert=experts.mean(),
    average=both["average of weights"].mean(),
    routed=both["routed, on-policy"].mean(),
)
claim(
    "C12e",
    "One student of two routed experts solves far more of what neither has practised since the base than the better expert.",
    both["routed, on-policy"] - experts,
    unit="of the problems that add and multiply, more",
    above=0.1,
)
claim(
    "C12e",
    "Averaging the experts' weights is no substitute: the average solves far fewer sums of both kinds.",
    both["routed, on-policy"] - both["average of weights"],
    unit="of the problems that add and multiply, more than the average of weights",
    above=0.1,
)
claim(
    "C12e",
    "Here on-policy merging leads training on the experts' own texts by less than ten percentage points, if at all.",
    both["routed, on-policy"] - both["their texts"],
    unit="of the problems that add and multiply, more than their texts",
    below=0.1,
)
claim(
    "C12e",
    "Nor does on-policy merging lead training on the right answers of both domains by ten percentage points.",
    both["routed, on-policy"] - both["mixed labels"],
    unit="of the problems that add and multiply, more than mixed labels",
    below=0.1,
)

# %% [markdown]
# So one student has both skills, and can use them in one problem. Averaging the weights costs nothing and gets a part of the way.
# But where every problem has one short right answer, plain texts are as good, and mixed labels need no expert at all. The gains that are reported for on-policy merging are those of experts made by reinforcement, on a model of 30 billion parameters; *In the wild* below has the source.
#
# ## 3 · Other tokens
#
# What if the teacher's tokens are not the student's? Here the teacher's tokens are *pairs* of letters, 729 of them, and the student's are letters.
# The exact way is to add up the pairs.
#
# ### Exercise 12.2 · Letters from pairs (●●○, 7 minutes)
#
# `pair_logp[n, x, y]` is $\log p(xy)$ at position n. Return $\log p(x)$ of every letter, and $\log p(y\mid x)$ behind the letter x = `first[n]` that the text has.


# %%
@exercise("12.2")
def letter_logp(pair_logp, first):
    """Single letters from pairs: log p(x), and log p(y | x) after `first`.

    [N, V, V], [N] ids -> [N, V], [N, V]
    """
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Three pairs by hand: p(aa) = 0.1, p(ab) = 0.3, p(ba) = 0.6. What is p(a)? And what is p(b | a)? Which entries of the table do you read for each?
#
# </details>
# <details><summary>Hint 2</summary>
#
# Probabilities add up, and these are logs: `torch.logsumexp`. For the second part take row `first[n]` of table n, and make it sum to 1.
#
# </details>

# %% [markdown] tags=["solution:12.2"]
# solution

# %% [markdown]
# A check on a language whose probabilities are known: build the pairs from its first two conditionals, and take them apart again.

# %%
from kd_lab.worlds import language

echo = language("echo")
pair_logp = (echo.logp[0].T + echo.logp[1])[None]  # log p(xy) = log p(x) + log p(y | x)
for letter in range(len(echo.vocabulary)):
    before, after = letter_logp(pair_logp, torch.tensor([letter]))
    torch.testing.assert_close(before[0], echo.logp[0][0])
    torch.testing.assert_close(after[0], echo.logp[1][letter])
print("exact, for each of the", len(echo.vocabulary), "first letters")

# %% [markdown]
# With real tokenizers these sums are long, and a prefix can be cut in more than one way. A popular shortcut sorts instead.
# **Universal Logit Distillation** (ULD) compares the two lists of probabilities by rank: the largest with the largest, and so on.
# It needs to know nothing of the tokens. Answer first; then exchange neighbours in the student's list, and watch both losses.

# %%
predict("12.d")

# %% tags=["hide-input"]
from kd_lab.lessons.l12_the_whole_field.explorers import HALVES, gaps, order_explorer

order = order_explorer()
order.show()

# %% tags=["hide-input"]
order.filmstrip(["equal", {"exchanges": 4}, "reversed"])
reveal("12.d", kl=gaps(HALVES, HALVES[::-1])[1])

# %% tags=["hide-input"]
from kd_lab.lessons.l12_the_whole_field.figures import other_tokens_table

by_rank, kl = gaps(HALVES, HALVES[::-1])
claim(
    "C12f",
    "The loss of sorted probabilities is 0 for a student that has the teacher's probabilities in reverse order.",
    kl,
    unit="nats is KL(p‖q) of the reversed list, where the sorted loss is 0",
    holds=by_rank < 1e-12 and kl > 1,
)
display(Markdown(other_tokens_table()))
exact, labels = stored.marks("exact marginals", "forward"), stored.marks("labels only", "forward")
claim(
    "C12f",
    "Exact letter probabilities bring the student nearer than sorted ones, whichever way these are aligned.",
    np.minimum(stored.marks("ULD, by index", "forward"), stored.marks("ULD, by letter", "forward")) - exact,
    unit="nats per name nearer under KL(P‖Q)",
    above=0,
)
claim(
    "C12f",
    "2,048 plain texts of the teacher, too, bring the student nearer than sorted probabilities on two hundred names do.",
    np.minimum(stored.marks("ULD, by index", "forward"), stored.marks("ULD, by letter", "forward"))
    - stored.marks("its texts", "forward"),
    unit="nats per name nearer under KL(P‖Q)",
    above=0,
)
claim(
    "C12f",
    "Aligned by index, sorted probabilities beside the labels make the student miss more than labels alone.",
    stored.marks("ULD, by index", "forward") - labels,
    unit="nats per name more under KL(P‖Q)",
    above=0,
)
claim(
    "C12f",
    "Aligned by letter, sorted probabilities beside the labels make the student miss less than labels alone.",
    labels - stored.marks("ULD, by letter", "forward"),
    unit="nats per name nearer under KL(P‖Q)",
    above=0,
)

# %% [markdown]
# *By index*, as in the original loss, the student's t-th letter is compared with the teacher's t-th pair, which stands twice as far along in the text. *By letter* only those positions are compared at which both have read the same letters.
# The plain texts are ten times as many; how much of their lead that makes was not measured.
# Sorted probabilities tell the student how *undecided* to be, and the labels tell it about what. That makes sense only where both have read the same; whether it helps there is open.
# Ask the second judge, too: by index the student misses more, and yet its KL(Q‖P) is lower in the mean than with labels alone. It has become narrower.
# The judge's P is still the teacher of letters, so that the teacher of pairs itself is not at 0. Text crosses every tokenizer, and exact sums know which token is which.
#
# ## 4 · A contest
#
# Now let recipes compete. An entry is a file with a method and its settings, and no code. The budget limits the steps, the student's parameters, and the positions that the teacher reads or writes.
# The judge's prompts are in no lesson. A contest needs one order, so the score is the mean of both KLs; the board shows both.

# %%
from kd_lab.lessons.l12_the_whole_field.submission import Budget
from kd_lab.lessons.l12_the_whole_field.tournament import ENTRIES, entries_in

entries, refused = entries_in(ENTRIES, Budget())
print(Budget())
for entry in entries:
    print(f"{entry.name:20} {entry.recipe}")
print("refused:", *refused)

# %% [markdown]
# ### Exercise 12.3 · Who is tied with the best? (●●○, 7 minutes)
#
# Row e of `scores` is entry e, column s is beginning s; every entry began with the same students. Lower is better, and the entry with the lowest mean is the best.
# Which entries cannot be told apart from the best at the 95 % level? Return True or False for each; the best is tied with itself.
# `mean_interval(values)` gives a mean and the half width of its 95 % interval.

# %%
from kd_lab.measure import mean_interval


@exercise("12.3")
def tied_with_best(scores):
    """True for each entry that cannot be told apart from the best: [E, S] numbers -> [E]."""
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# A beginning that is hard for one entry is hard for all. How can two entries be compared so that this does not matter?
#
# </details>
# <details><summary>Hint 2</summary>
#
# Subtract the best row from each row, and take the interval of the differences. When does it hold 0?
#
# </details>

# %% [markdown] tags=["solution:12.3"]
# solution

# %% [markdown]
# These entries were played beforehand, from five beginnings. Your function and the board agree on who is in first place:

# %%
from kd_lab.lessons.l12_the_whole_field.board import Score, board, board_table

scores = [Score(**score) for run in stored.runs("tournament") for score in run["scores"]]
places, out = board(scores)
display(Markdown(board_table(places, out, {entry.name: entry.method for entry in entries})))
tied = tied_with_best(np.array([one.totals for one in places]))
assert [bool(tie) for tie in tied] == [one.place == 1 for one in places]

# %% tags=["hide-input"]
last, leader = places[-1].totals, places[0].totals
claim(
    "C12g",
    "Compared beginning by beginning, the first and the last entry are told apart.",
    last - leader,
    unit="nats per name between the last entry and the first",
    above=0,
)

# %% [markdown]
# The separate intervals of the first two entries overlap widely, and yet they do not share the first place. From each beginning the second was behind the first, and that is what a paired comparison sees.
# The board asks whether the 95 % interval holds 0. A claim of this course asks for twice that distance, so that other seeds give the same verdict; by that rule the first two places would be open.
#
# For a class: put one file per team into a folder, and
#
# `python -m kd_lab.lessons.l12_the_whole_field.tournament FOLDER`
#
# prints the board. Forty entries take minutes on two cores; `--generate 40` makes some to try it on. `--judge-seed` draws the judge's texts: choose a number, and keep it to yourself.
#
# ## Recipes of 2026
#
# [Lesson 06](06_gkd.ipynb) translates TRL, DistiLLM, MiniLLM, verl and NeMo-RL. Here are two more. Their teacher is often a server that returns one number per token:

# %% tags=["hide-input"]
from kd_lab.methods import dialect_table
from kd_lab.methods.served_dialects import SERVED

display(Markdown(dialect_table(SERVED)))

# %% [markdown]
# One drawn token is enough: with its log-ratio as the advantage, the policy gradient is in expectation that of reverse KL at this position. Lesson 07 calls it `k1` as a reward.
#
# - **Who teaches.** ms-swift routes each sample by a tag to one of several teacher servers, and tinker gives each data set a teacher of its own: our `Routed`.
# - **What the teacher reads.** TRL's experimental `SDFTConfig` has a `teacher_prompt_template` of prompt and privileged context; its teacher is the initial, the current or an averaged student. ms-swift has a column `teacher_prompt`. Both are `InContext`.
# - **Other tokens.** TRL's experimental `GOLDConfig` turns on sorted probabilities with `use_uld_loss`. Its extended alignment merges the probabilities of split tokens; without it, positions are compared one by one and the longer list is cut off, which we called *by index*.
#
# A setting between two methods has no place on our knobs:

# %%
from kd_lab.methods.served_dialects import tinker

for discount in (0.0, 1.0, 0.5):
    try:
        print(f"kl_discount_factor={discount}: {tinker(kl_discount_factor=discount)}")
    except ValueError as error:
        print(f"ValueError: {error}")

# %% [markdown]
# ## In the wild
#
# - MOPD makes an expert per domain by reinforcement and distils all of them into one student on its own texts; its authors report it ahead of mixed reinforcement, fine-tuning on the experts' texts, and merged parameters, on a model of 30 billion parameters, and that it was deployed in MiMo-V2-Flash ([2606.30406](https://arxiv.org/abs/2606.30406)).
# - On-Policy Self-Distillation lets one model teach itself with a verified solution in view, and reports a higher token efficiency than GRPO (8–12 times in its second version) ([2601.18734](https://arxiv.org/abs/2601.18734)); Self-Distillation Fine-Tuning does it with demonstrations, against forgetting ([2601.19897](https://arxiv.org/abs/2601.19897)). A later paper subtracts the effect of a *wrong* hint, since any hint makes a model terser ([2606.11709](https://arxiv.org/abs/2606.11709)): our control, as a method.
#
# What does not carry over: our answers have four digits, our hints are always right, and our experts know their sums. On long texts the order of methods may be another; the two judges and the controls stay.
#
# ## Discuss
#
# *For two people, ten minutes.* A colleague's table has twelve methods, one benchmark, one seed, and the newest method on top by 0.4 points. Its teacher reads reference solutions that the other methods have not seen. Which three rows and which two columns do you ask for before you believe it?

# %% [markdown] tags=["teacher"]
# **Expected answers.** Rows: labels only on the *same* solutions (the information-equal baseline), the same method with another problem's solutions, the untrained student; also the same method with the teacher's texts off-policy. Columns: a second judge (diversity or coverage beside accuracy, or a set that nothing was trained for) and intervals over seeds, paired; the cost in teacher tokens is a good third. **Misconceptions:** "the newest method is best" (here plain labels and plain texts keep up in section 2); "ULD distils logits" (it distils sharpness); "a hint helps because the teacher gets stronger" (another's hint harms); "on-policy wins" (under its own judge); "intervals that overlap are a tie" (not in pairs). **Timing:** 45 minutes alone, 60 in a class; the tournament fills a second hour: fifteen minutes to write entries, five to play, ten to discuss the board. Let teams submit twice, so that overfitting to the public judges becomes visible.

# %% [markdown]
# ## Recap
#
# 1. A method is one choice each of WHAT, HOW and WHERE; the library refuses choices in which nobody teaches or two kinds are compared.
# 2. At one budget each judge has its favourite: forward KL misses least, reverse KL errs least. A temperature of 2 on fixed texts comes near both at no cost. In this world of short texts HOW decides more than WHERE, as long as the texts are drawn and not searched for.
# 3. Many new methods change the teacher: it reads more than the student, or there are several, and each prompt is routed to one. The control for a hint is a hint of the same form from another problem; the rival is the same solution as a label, and here the label wins.
# 4. Across tokenizers exact sums and plain texts keep the tokens; sorted probabilities cannot see them.
# 5. A fair contest has one budget, a judge that nobody has seen, paired beginnings, and ties.
#
# ## Quiz

# %%
quiz("12")

# %% [markdown]
# ## Glossary
#
# **Cell** one choice on each knob. **Judge** a measure of finished students. **Beginning** the student from which a training starts, one per seed. **Positions** tokens that pass through a model. **Context distillation** the teacher reads an instruction that the student does not read. **Privileged** what the teacher reads and the student will never see, such as a solution. **Routing** each prompt asks the expert of its domain. **Average of weights** the model whose every weight is the mean of the experts'. **Exact marginals** probabilities of the student's tokens, summed from the teacher's. **ULD** Universal Logit Distillation: probabilities compared by rank. **Paired** compared seed by seed.
#
# ## Papers
#
# - Agarwal et al., "On-Policy Distillation of Language Models", [2306.13649](https://arxiv.org/abs/2306.13649), equation 1 and algorithm 1: divergence and λ.
# - Gu et al., "MiniLLM", [2306.08543](https://arxiv.org/abs/2306.08543), equations 2 to 7.
# - Ko et al., "DistiLLM-2", [2503.07067](https://arxiv.org/abs/2503.07067): one loss on the teacher's texts, another on the student's.
# - Wu et al., "Rethinking Kullback–Leibler Divergence in Knowledge Distillation for Large Language Models", [2404.02657](https://arxiv.org/abs/2404.02657): adaptive KL.
# - Boizard et al., "Towards Cross-Tokenizer Distillation: the Universal Logit Distillation Loss for LLMs", [2402.12030](https://arxiv.org/abs/2402.12030).
# - Zhao et al., "Self-Distilled Reasoner", [2601.18734](https://arxiv.org/abs/2601.18734); Shenfeld et al., "Self-Distillation Enables Continual Learning", [2601.19897](https://arxiv.org/abs/2601.19897).
# - Ma et al., "MOPD: Multi-Teacher On-Policy Distillation for Capability Integration in LLM Post-Training", [2606.30406](https://arxiv.org/abs/2606.30406).
#
# ## Next
#
# [Lesson 13](13_real_llm.ipynb) leaves the toy: a real language model, pruned, healed by distillation, and put to work.
