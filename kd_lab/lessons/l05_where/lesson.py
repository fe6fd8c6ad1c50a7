# %% [markdown]
# # 05 · WHERE: exposure bias and on-policy distillation
#
# After this lesson you can measure what a student loses by never having practised on its own text, say when that is much and when it is nothing, and cure it with a teacher that corrects what the student writes.

# %%
import torch

from kd_lab.lessons.l05_where.explorers import draw_roads
from kd_lab.methods import distill, on_policy, word_level
from kd_lab.models import FiniteStateModel, generate
from kd_lab.models.finite_state import window_moves
from kd_lab.viz import course_style, new_figure, show
from kd_lab.where import rollout
from kd_lab.worlds import Batch, Vocabulary, World

torch.set_num_threads(1)  # the tensors here are tiny: a second thread would only wait for the first
NOTES = Vocabulary(".abc!")
V, L, LOST = len(NOTES), 24, 4


def tunes(typos=1e-4, forgiving=False):
    """The teacher, by states: 0 begins, 1 to 3 have just played a, b or c, and 4 is lost until somebody writes "!"."""
    says = torch.zeros(5, V, dtype=torch.float64)
    says[0, 1:4], says[LOST, 4] = 1 / 3, 1.0
    moves = torch.tensor([0, 1, 2, 3, 0]).repeat(5, 1)
    moves[LOST, 1:4] = LOST
    for note in (1, 2, 3):
        says[note, note % 3 + 1], says[note, (note + 1) % 3 + 1] = 0.7, 0.3
        if not forgiving:
            moves[note, note] = LOST  # the same note twice
    return FiniteStateModel(((1 - typos) * says + typos / V).log(), moves, context=L)


def world_of(writer):
    """A thousand texts of `writer` to train on, and as many held out."""
    generator = torch.Generator().manual_seed(0)
    tokens = generate(writer, torch.zeros(2000, 1, dtype=torch.long), L, generator=generator)
    return World("tunes", NOTES, *(Batch.from_tokens(half, end=NOTES.end) for half in tokens.split(1000)))


def new_student(number, slip=0.05):
    """It remembers two tokens, and its hand slips: 5 % of what it writes is any of the four signs at random."""
    table = torch.randn(V * V, V, generator=torch.Generator().manual_seed(number), dtype=torch.float64)
    return FiniteStateModel(table, window_moves(V, 2), context=L, slip=slip)


def train(student, recipe, number, steps=120, teacher=None, texts=None):
    """Distil in place: 32 texts a step, everything else alike for all."""
    options = {"steps": steps, "seed": number, "batch_size": 32, "learning_rate": 0.1, "progress": False}
    distill(student, teacher or tune, texts or world, recipe, **options)
    return student


tune = tunes()
world = world_of(tune)
RECIPES = {"off-policy": word_level(), "on-policy": on_policy("forward_kl")}
trained = {label: [train(new_student(0), recipe, 0)] for label, recipe in RECIPES.items()}
figure = new_figure(760, 300)
with course_style():
    for axes, (label, (student,)) in zip(figure.subplots(1, 2), trained.items(), strict=True):
        own = rollout(student, world, torch.zeros(40, 1, dtype=torch.long), torch.Generator().manual_seed(0))
        draw_roads(axes, (tune.states(own.inputs) == LOST).numpy(), f"trained {label}")
show(
    figure,
    "Forty texts a student, one a row, written from left to right. Orange is off the teacher's road. Both students slip equally often and were trained for equally "
    "many steps with the same loss; only one of them has ever been shown what to do after a slip.",
    alt="Two maps of 40 texts by 24 tokens. Left, many rows turn orange and stay so to the end; right, short orange dashes only.",
)

# %% [markdown] tags=["card"]
# **You will be able to**
#
# - let a student write, and count the right positions of what it wrote;
# - compute ExAccErr, and tell growth like $L$ from growth like $L^2$;
# - name the three things without which there is no exposure bias, and test for each;
# - write the on-policy loss and DAgger, and say what they cost.
#
# **Before this:** [lesson 02](02_word_and_sequence.ipynb) (word-level distillation); [lesson 03](03_which_kl.ipynb) for reverse KL, used at the end.
#
# **Time:** 45 minutes to read and do. {{measured}}

# %%
from IPython.display import Markdown, display

from kd_lab.classroom import Question, claim, exercise, predict, quiz, setup
from kd_lab.measure import mean_interval
from kd_lab.viz import BASELINE, DIVERGENCES, STUDENT, TEACHER

seed = setup("05", threads=1)

# %% [markdown]
# ## 1 · One slip, and then?
#
# The prefixes on which a student is trained are a choice: somebody's texts. At work it reads its own. If these look different, it is asked what it was never taught; that is **exposure bias**.
#
# **Our language.** Tunes of 24 notes a, b, c, in which no note comes twice in a row. Who plays one twice is *lost*, whatever he plays, until he writes **!**, and begins anew. The teacher knows all that; playing twice happens to it once in 50,000 notes, so that its texts hardly ever show a "!".
#
# **Our student** has two limits. It remembers two tokens. And its hand is unsteady: one token in twenty is random, however well it is trained, so that about one note in eighty is played twice.
#
# Let each step be a slip with probability $\varepsilon$, and let each step off the road cost $C$ nats.

# %%
twice = predict(
    "A student that never finds back writes texts twice as long. To first order in ε the error of a text becomes …",
    ["twice as large", "four times as large", "no larger: it is lost already"],
)

# %% [markdown]
# **By hand, three tokens.** The first token has no slip before it, the second one chance, the third two. Lost for good: $0+\varepsilon C+2\varepsilon C=3\varepsilon C$. Found back after one step: $0+\varepsilon C+\varepsilon C=2\varepsilon C$.
#
# **Derive.** Over $L$ tokens, and as long as $\varepsilon L\ll1$,
#
# $$\text{lost for good: }\;\sum_{t=1}^{L}(t-1)\,\varepsilon C=\tfrac{L(L-1)}2\,\varepsilon C,\qquad\text{back after }u\text{ steps: }\;\approx u\,L\,\varepsilon C.$$
#
# These are the two bounds of imitation learning: $T^2\varepsilon$ where $\varepsilon$ was reached on the expert's states, $uT\varepsilon$ where it was reached on the learner's own and an error costs at most $u$ in all (Ross et al. 2011, theorems 2.1 and 2.2; $T$ is their length). They are *upper* bounds: whether a student comes near the first is a matter of measurement.
#
# ### Exercise 05.1 · Let the student write (●●○, 10 minutes)
#
# `prompts` is `[B, P]` and begins with `END`, which also ends and pads a text. `model(tokens)` gives logits `[B, T, V]`, and `pick(logits)` chooses from `[B, V]` the ids `[B]`. Write `new_tokens` more for every row, `END` behind an end. The mask is for the targets `tokens[:, 1:]`: True for what the student decided, its end mark included.


# %%
END = NOTES.end


@exercise("05.1")
def roll_out(model, prompts, new_tokens, pick):
    """What `model` writes after prompts [B, P]: tokens [B, P + N], and which targets count, mask [B, P + N − 1]."""
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Keep a vector `going`, `[B]`, of the rows that are still being written. When exactly does a row leave it, before or after its end mark is counted?
#
# </details>
# <details><summary>Hint 2</summary>
#
# A loop over `new_tokens`: `new = pick(model(tokens)[:, -1])`, replaced by `END` where a row is over; `torch.cat([tokens, new[:, None]], 1)`. The targets of the prompt, `P − 1` of them, are False.
#
# </details>

# %% [markdown] tags=["solution:05.1"]
# solution

# %% [markdown]
# Your function, with `pick` drawing from the softmax, writes what the library's `rollout` writes from the same seed. Below you can read such texts with the teacher looking on. They are real rollouts, chosen for one thing: that they leave the road, and soon.

# %%
generator = torch.Generator().manual_seed(seed)


def draw(logits):
    return torch.multinomial(logits.softmax(-1), 1, generator=generator)[:, 0]


start = torch.zeros(400, 1, dtype=torch.long)
mine, counted = roll_out(trained["off-policy"][0], start, L, draw)
library = rollout(trained["off-policy"][0], world, start, torch.Generator().manual_seed(seed))
assert mine.equal(library.tokens)
assert counted.equal(library.mask)


def lost_texts(student, most=12):
    """Of 400 texts the twelve of full length that leave the road first, and the share of those that leave it."""
    texts = rollout(student, world, start, torch.Generator().manual_seed(seed))
    lost = (tune.states(texts.inputs) == LOST) & texts.mask
    when = torch.where(lost.any(1) & texts.mask.all(1), lost.int().argmax(1), L)
    return texts[when.argsort(stable=True)[:most]], lost.any(1).float().mean().item()


from kd_lab.lessons.l05_where.explorers import rollout_explorer

pair = {label: students[0] for label, students in trained.items()}
strays = {label: lost_texts(student) for label, student in pair.items()}
print("Texts that leave the road:", ", ".join(f"{label} {share:.0%}" for label, (_, share) in strays.items()))
explorer = rollout_explorer(pair, tune, {label: texts for label, (texts, _) in strays.items()}, NOTES)
explorer.show()

# %%
explorer.filmstrip([{"step": L, "student": "off-policy"}, {"step": L, "student": "on-policy"}])
twice.reveal("four times as large", "L(L−1)/2: twice as many steps to slip at, and twice as long to suffer from it.")

# %% [markdown]
# ## 2 · Counting the excess
#
# Not every nat is due to exposure bias: the student errs on the teacher's prefixes too. Let $d_t=\mathrm{KL}(p_t\|q_t)$ at the prefix $y_{<t}$, with the teacher's next-token distribution $p_t$ and the student's $q_t$. Arora et al. (2022, equations 9 to 11) compare
#
# $$R(l)=\sum_{t\le l}\mathbb E_{y_{<t}\sim q}\,d_t,\qquad l\,\varepsilon(l)=\sum_{t\le l}\mathbb E_{y_{<t}\sim p}\,d_t,\qquad \mathrm{ExAccErr}(l)=\frac{R(l)-l\,\varepsilon(l)}{l\,\varepsilon(l)}$$
#
# Same divergence, same models; only the writer of the prefixes differs. Without exposure bias the measure is 0. (They give it in percent; $\varepsilon$ here is theirs, an error per step in nats.)
#
# ### Exercise 05.2 · ExAccErr (●○○, 5 minutes)
#
# From $\mathbb E\,d_t$ at each position, on either one's prefixes, to the excess at every length.


# %%
@exercise("05.2")
def excess(on_student, on_teacher):
    """ExAccErr at every length, from KL(p‖q) at each position on either one's prefixes: [L], [L] -> [L]."""
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Both $R(l)$ and $l\,\varepsilon(l)$ are sums up to $l$. What should the first entry be, where no prefix has been written yet?
#
# </details>
# <details><summary>Hint 2</summary>
#
# `cumsum(0)`, twice.
#
# </details>

# %% [markdown] tags=["solution:05.2"]
# solution

# %% [markdown]
# **Exact, at any length.** $5^{24}$ prefixes cannot be listed. But our teacher has 5 states and our student $5^2$, and what either says next depends on its state alone: the expectation over all prefixes is a sum over 125 pairs. `pair_reach` follows their probabilities from token to token. For six tokens, the next cell also lists all prefixes, as in lesson 00, and finds the same numbers.

# %%
from kd_lab.measure import conditionals, exact_excess_error, gap_by_pair, pair_reach


def growth(student, teacher=None):
    """E d_t at each position, on the student's own prefixes and on the teacher's: two [L], exact."""
    teacher = teacher or tune
    gap = gap_by_pair(student, teacher)
    own = pair_reach(student, teacher, L) * gap
    theirs = pair_reach(teacher, student, L) * gap.T
    return own.sum((1, 2)), theirs.sum((1, 2))


one = trained["off-policy"][0]
listed = exact_excess_error(conditionals(one, 6), conditionals(tune, 6))
torch.testing.assert_close(excess(*growth(one))[:6], listed)
print(
    "ExAccErr of the off-policy student at lengths 1 to 6, by listing prefixes:",
    "  ".join(f"{x:.2f}" for x in listed.clamp_min(0)),
)

# %% [markdown]
# ## 3 · Ask the teacher about your own text
#
# **On-policy distillation** changes where the prefixes come from: in each step the student writes, the teacher says at *every* prefix of that text what it would have gone on with, and the student is trained to match:
#
# $$L(\theta)=\frac1n\sum_{t}\mathrm{KL}\big(p(\cdot\mid y_{<t})\,\big\|\,q_\theta(\cdot\mid y_{<t})\big),\qquad y\sim q_\theta,\ \text{held fixed}$$
#
# over the $n$ positions that count. To change WHERE and nothing else we keep forward KL; reverse KL is the usual choice, and comes at the end.
#
# ### Exercise 05.3 · The on-policy loss (●●○, 8 minutes)
#
# `tokens` `[B, T + 1]` and `mask` `[B, T]` are what your `roll_out` returned; `student` and `teacher` map tokens to logits.


# %%
@exercise("05.3")
def on_policy_loss(student, teacher, tokens, mask):
    """KL(p‖q) on texts that the student wrote, in nats per counted position: tokens [B, T + 1], mask [B, T] -> []."""
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Three roles: who wrote the prefix, who gives the label, who gets the gradient. What is the student's own next token good for?
#
# </details>
# <details><summary>Hint 2</summary>
#
# Both models read `tokens[:, :-1]`, the teacher under `torch.no_grad()`. Then it is the word-level loss of lesson 02.
#
# </details>

# %% [markdown] tags=["solution:05.3"]
# solution

# %%
slower = predict(
    "Off-policy, twice the length makes R more than three times as large. The same student, trained on-policy for as many steps:",
    ["also more than three times", "between 2 and 3 times", "less than twice"],
)

# %%
import numpy as np

recipe = on_policy("forward_kl")
texts = rollout(one, world, start[:8], torch.Generator().manual_seed(seed))
logits, labels = one(texts.inputs), tune(texts.inputs)
torch.testing.assert_close(on_policy_loss(one, tune, texts.tokens, texts.mask), recipe.how(logits, labels, texts))

numbers = range(seed, seed + 5)
for label, recipe in RECIPES.items():
    trained[label] = [train(new_student(number), recipe, number) for number in numbers]
curves = {label: [growth(student) for student in students] for label, students in trained.items()}
sums = {label: np.array([own.cumsum(0).numpy() for own, _ in rows]) for label, rows in curves.items()}
expected = {label: np.array([theirs.cumsum(0).numpy() for _, theirs in rows]) for label, rows in curves.items()}
excesses = {label: np.array([excess(*row).numpy() for row in rows]) for label, rows in curves.items()}

# %%
from kd_lab.viz.plots import interval_curve

WHO = {"off-policy": BASELINE, "on-policy": STUDENT}
lengths = np.arange(1, L + 1)


def band(axes, rows, look, label, every=1):
    mean, half = np.array([mean_interval(column) for column in np.transpose(rows)]).T
    interval_curve(axes, lengths[every - 1 :: every], mean[every - 1 :: every], half[every - 1 :: every], look, label)


figure = new_figure(760, 320)
with course_style():
    left, right = figure.subplots(1, 2)
    for label, look in WHO.items():
        band(left, sums[label], look, f"{label}, own prefixes", every=2)
        band(right, excesses[label], look, label, every=2)
    left.plot(lengths, expected["on-policy"].mean(0), **TEACHER.line, label="on-policy, teacher's prefixes")
    left.set(
        xlim=(0, L + 0.5), ylim=(0, 11.5), xlabel="length l, tokens", ylabel="R(l), nats", title="accumulated error"
    )
    right.set(
        xlim=(0, L + 0.5), ylim=(0, 12.5), xlabel="length l, tokens", ylabel="ExAccErr(l)", title="relative excess"
    )
    left.legend(loc="upper left")
    right.legend(loc="upper left")
show(
    figure,
    "Five seeds with 95 % intervals, exact. Left, the error on the student's own prefixes: a parabola after training off-policy, nearly a line after training "
    "on-policy. Right, the same relative to the error on the teacher's prefixes.",
    alt="Two panels against length. Off-policy curves bend upwards to about 10 nats and an excess of 10; on-policy curves stay near 1.5 nats and an excess of 1.",
)
doubling = {label: rows[:, L - 1] / rows[:, L // 2 - 1] for label, rows in sums.items()}
slower.reveal(
    "between 2 and 3 times",
    f"It is {doubling['on-policy'].mean():.2f} here, against {doubling['off-policy'].mean():.2f}.",
)
claim(
    "C05a",
    "Off-policy, the accumulated error grows much faster than the length.",
    doubling["off-policy"],
    unit="times R as the length doubles from 12 to 24; 2 is linear",
    holds=doubling["off-policy"].min() > 2.7,
)
claim(
    "C05a",
    "On-policy it grows closer to linearly.",
    doubling["off-policy"] - doubling["on-policy"],
    unit="times less as the length doubles",
    holds=(doubling["off-policy"] - doubling["on-policy"]).min() > 0.2,
)
claim(
    "C05a",
    "At 24 tokens the excess error is several times smaller after on-policy training.",
    excesses["off-policy"][:, -1] / excesses["on-policy"][:, -1],
    unit="ExAccErr off-policy ÷ on-policy",
    holds=(excesses["off-policy"][:, -1] / excesses["on-policy"][:, -1]).min() > 3,
)
# %% [markdown]
# Nearly a line, and not a line: 2.5 is not 2. A student that remembers two tokens, and does not write its "!" at once, has forgotten by the next token that it is lost. Is that the reason? We give three students the teacher's memory, slipping hand and all.

# %%
remembering = []
for number in numbers[:3]:
    table = torch.randn(5, V, generator=torch.Generator().manual_seed(number), dtype=torch.float64)
    student = FiniteStateModel(table, tune.moves, context=L, slip=0.05)
    own = growth(train(student, RECIPES["on-policy"], number))[0].cumsum(0)
    remembering.append((own[L - 1] / own[L // 2 - 1]).item())
claim(
    "C05a",
    "On-policy, the error of a student with two tokens of memory grows linearly.",
    doubling["on-policy"],
    unit="times R as the length doubles",
    holds=abs(doubling["on-policy"].mean() - 2) < 0.25,
)
claim(
    "C05a",
    "On-policy, that of a student that knows when it is lost does.",
    remembering,
    unit="times R as the length doubles",
    holds=abs(np.mean(remembering) - 2) < 0.25,
)
# %% [markdown]
# ### How much of it?
#
# GKD throws a coin for every batch: with probability $\lambda$, the **on-policy share**, the student writes it. Three more values of $\lambda$, three seeds each; then move the slider over the stored runs.

# %%
from kd_lab.lessons.l05_where.explorers import growth_explorer
from kd_lab.methods import gkd

runs = {0.0: curves["off-policy"][:3], 1.0: curves["on-policy"][:3]}
for share in (0.25, 0.5, 0.75):
    recipe = gkd(divergence="forward_kl", on_policy_fraction=share)
    runs[share] = [growth(train(new_student(number), recipe, number)) for number in numbers[:3]]
own, theirs = (
    {share: np.array([row[side].numpy() for row in rows]) for share, rows in runs.items()} for side in (0, 1)
)
dial = growth_explorer(own, theirs)
dial.show()

# %%
dial.filmstrip([{"on-policy share": 0.25}, {"on-policy share": 1.0}])

# %% [markdown]
# ## 4 · When there is no exposure bias
#
# Three things have to come together: the student makes **mistakes**; a mistake has **consequences** that the text remembers; and the training texts do **not show** what to do then. Take one away, and train off-policy as before.

# %%
needed = predict(
    "Which off-policy student ends with the smallest excess, R − lε in nats at 24 tokens?",
    [
        "a steady hand: it can equal the teacher on its road",
        "a forgiving language: after a note played twice, all goes on as usual",
        "stumbling texts: one note in 20 of the training texts is random, with the teacher's labels beside it",
    ],
)

# %%
forgiving = tunes(forgiving=True)
easy, stumbling = world_of(forgiving), world_of(tunes(typos=0.05))
CONDITIONS = {
    "as before": {},
    "as before, three times the steps": {"steps": 360},
    "steady hand": {"slip": 0.0},
    "steady hand, three times the steps": {"slip": 0.0, "steps": 360},
    "forgiving language": {"teacher": forgiving, "texts": easy},
    "stumbling texts": {"texts": stumbling},
}
found = {}
for label, change in CONDITIONS.items():
    rows = []
    for number in numbers[:3]:
        options = {"slip": 0.05} | change
        student = new_student(number, options.pop("slip"))
        student = train(student, RECIPES["off-policy"], number, **options) if change else trained["off-policy"][number]
        own, theirs = (part.cumsum(0) for part in growth(student, options.get("teacher")))
        rows.append([(own - theirs)[-1], own[-1] / theirs[-1] - 1, own[-1] / own[L // 2 - 1]])
    found[label] = np.array(rows)
own_text = np.array([(own - theirs).sum().item() for own, theirs in curves["on-policy"]])
rows = "\n".join(
    f"| {label} | {table[:, 0].mean():.2f} | {table[:, 1].mean():.1f} | {table[:, 2].mean():.1f} |"
    for label, table in found.items()
)
display(
    Markdown(f"| off-policy, three seeds | R − lε, nats | ExAccErr(24) | R(24) ÷ R(12) |\n|---|---|---|---|\n{rows}")
)
print(f"For comparison, on-policy as in section 3: {own_text.mean():.2f} nats.")
needed.reveal(
    needed.options[2],
    "They show both the mistake and the way back. A steady hand helps in nats, the more the longer it practises; a language that forgives keeps growth linear.",
)
unsteady, steady = (
    found[f"{hand}, three times the steps"][:, 0] / found[hand][:, 0] for hand in ("as before", "steady hand")
)
claim(
    "C05a",
    "Control: a student that can equal its teacher on the road loses its excess as it practises, off-policy.",
    steady,
    unit="of its nats left after three times the steps",
    holds=steady.max() < 0.6,
)
claim(
    "C05a",
    "A student that cannot keeps its excess, however long it practises off-policy.",
    unsteady,
    unit="of its nats left after three times the steps",
    holds=unsteady.min() > 0.8,
)
claim(
    "C05a",
    "Where a mistake has no consequences the error grows linearly, off-policy too.",
    found["forgiving language"][:, 2],
    unit="times R as the length doubles",
    holds=abs(found["forgiving language"][:, 2].mean() - 2) < 0.25,
)
claim(
    "C05a",
    "Texts that show stumbles and repairs cure an off-policy student.",
    found["stumbling texts"][:, 0] / found["as before"][:, 0],
    unit="of the excess in nats on clean texts",
    holds=(found["stumbling texts"][:, 0] / found["as before"][:, 0]).max() < 0.2,
)
# %% [markdown]
# Two things to keep. **ExAccErr is a ratio**: three times the practice makes the steady hand much better in nats and leaves its ExAccErr where it was or raises it, because the denominator shrinks as well. Report both. And **on-policy is one cure among others**: what matters is that mistakes are *in the data with good labels*; disturbing the expert on purpose does that too (DART, Laskey et al. 2017), if you can guess what your student's mistakes will look like.
#
# ## 5 · At the forks
#
# The cure has an older name. **DAgger** (Ross et al. 2011, algorithm 3.1): let the learner act, let the expert label every state that it came to, *add* that to the data, train, repeat. On-policy distillation is its limit of tiny rounds whose data are used once.
#
# ### Exercise 05.4 · DAgger (●●○, 8 minutes)
#
# `texts` is a list. `write(student)` returns a list of new texts; `fit(student, texts)` returns a student trained on a list. Labels need no line of yours: `fit` asks the teacher.


# %%
@exercise("05.4")
def dagger(student, texts, rounds, write, fit):
    """Write, add, train, `rounds` times: a student and a list of texts -> the last student and all the texts."""
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Who writes in round 3: the first student, or the one that round 2 has trained?
#
# </details>
# <details><summary>Hint 2</summary>
#
# `texts + new` makes a new list; `texts += new` changes the list of whoever called you.
#
# </details>

# %% [markdown] tags=["solution:05.4"]
# solution

# %%
unseen = predict(
    "The off-policy student goes on for 60 more steps, on the teacher's texts again. At the prefixes just behind a note played twice its KL …",
    ["falls by half", "rises", "does not change at all"],
)

# %% [markdown]
# **Experiment.** Five off-policy students go on for 60 steps: off-policy, on-policy, or in five rounds of DAgger of 12 steps each. The yardstick is the mean KL at the **forks**, the prefixes that end in a note played twice, weighed as the student *before* came by: the same prefixes for all.

# %%
import copy

reading = torch.zeros(V * V, 5, dtype=torch.bool)
reading[[note * V + note for note in (1, 2, 3)], LOST] = True  # remembers the same note twice, and the teacher knows


def at_forks(student, weights):
    return ((weights * gap_by_pair(student, tune))[reading].sum() / weights[reading].sum()).item()


def by_dagger(student, number):
    generator = torch.Generator().manual_seed(number)

    def write(student):
        return [rollout(student, world, start[:96], generator).tokens]

    def fit(student, texts):
        batch = Batch.from_tokens(torch.cat(texts), end=NOTES.end)
        return train(student, word_level(), number, steps=12, texts=World("aggregated", NOTES, batch, batch))

    return dagger(student, [world.train.tokens[:480]], 5, write, fit)[0]


forks, after = {}, {}
for number, student in zip(numbers, trained["off-policy"], strict=True):
    weights = pair_reach(student, tune, L).sum(0)
    continued = {"before": student}
    for label, recipe in RECIPES.items():
        continued[f"60 steps {label}"] = train(copy.deepcopy(student), recipe, number + 100, steps=60)
    continued["5 rounds of DAgger"] = by_dagger(copy.deepcopy(student), number)
    for label, other in continued.items():
        forks.setdefault(label, []).append(at_forks(other, weights))
        after.setdefault(label, []).append(growth(other)[0].sum().item())
forks, after = ({label: np.array(values) for label, values in group.items()} for group in (forks, after))

# %%
from kd_lab.viz.seeds import draw_seeds

LOOKS = (TEACHER, BASELINE, STUDENT, DIVERGENCES["jsd"])
figure = new_figure(760, 250)
with course_style():
    left, right = figure.subplots(1, 2, sharey=True)
    draw_seeds(left, forks, LOOKS)
    draw_seeds(right, after, LOOKS)
    left.set(xlim=(0, 3.4), xlabel="nats per position", title="KL at the forks")
    right.set(xlim=(0, 12), xlabel="nats a text", title="R(24), all prefixes of its own")
show(
    figure,
    "Five seeds; the bars under them are 95 % intervals. More of the teacher's texts leave the forks untouched, to the last digit. A few dozen steps on the "
    "student's own texts mend them, and the error of the whole text with them.",
    alt="Two panels of four rows. Before, and after 60 more off-policy steps, the KL at the forks is between two and three nats; after on-policy steps and after DAgger it is near zero.",
)
unseen.reveal(
    "does not change at all",
    "The row of the table that it would take is never read in the teacher's texts, so no gradient ever comes by.",
)
claim(
    "C05b",
    "Labelling the student's own texts corrects it at the forks.",
    forks["60 steps on-policy"] / forks["before"],
    unit="of the KL before, 60 steps on-policy",
    holds=(forks["60 steps on-policy"] / forks["before"]).max() < 0.3,
)
claim(
    "C05b",
    "As many steps on the teacher's texts do not.",
    forks["60 steps off-policy"] / forks["before"],
    unit="of the KL before, 60 steps off-policy",
    holds=(forks["60 steps off-policy"] / forks["before"]).min() > 0.9,
)
claim(
    "C05b",
    "DAgger with an aggregated set does it too.",
    forks["5 rounds of DAgger"] / forks["before"],
    unit="of the KL before, 5 rounds of 12 steps",
    holds=(forks["5 rounds of DAgger"] / forks["before"]).max() < 0.3,
)
claim(
    "C05b",
    "The error of whole texts falls with it.",
    after["60 steps on-policy"] / after["60 steps off-policy"],
    unit="R(24) after on-policy steps ÷ after off-policy steps",
    holds=(after["60 steps on-policy"] / after["60 steps off-policy"]).max() < 0.4,
)
# %% [markdown]
# ## 6 · A network with no unsteady hand
#
# The slip was ours, to make the theory visible. A transformer brings mistakes of its own, from a short training. One layer, 16 wide, the same teacher; after 100 word-level steps two copies go on for 60 more, one off-policy and one on-policy. Expectations are estimates now, from 1,000 texts of either writer.

# %%
from kd_lab.measure import sampled_gap_by_position
from kd_lab.models import GPT, GPTConfig

soft_tune = tunes().float()
networks = {label: [] for label in RECIPES}
for number in numbers[:3]:
    generator = torch.Generator().manual_seed(number)
    begun = GPT(GPTConfig(V, L, layers=1, heads=1, width=16), seed=number)
    options = {"batch_size": 32, "progress": False}
    distill(begun, soft_tune, world, word_level(), steps=100, seed=number, learning_rate=1e-2, **options)
    read, stray = (
        rollout(model, world, torch.zeros(1000, 1, dtype=torch.long), generator) for model in (soft_tune, begun)
    )
    lost = (tune.states(stray.inputs) == LOST) & stray.mask
    for label, recipe in RECIPES.items():
        network = copy.deepcopy(begun)
        distill(network, soft_tune, world, recipe, steps=60, seed=number + 100, learning_rate=3e-3, **options)
        written = rollout(network, world, torch.zeros(1000, 1, dtype=torch.long), generator)
        own, theirs = (sampled_gap_by_position(network, soft_tune, texts) for texts in (written, read))
        off_road = (
            sampled_gap_by_position(network, soft_tune, Batch(stray.tokens, lost)).sum() / lost.float().mean(0).sum()
        )
        networks[label].append([own.sum().item(), theirs.sum().item(), excess(own, theirs)[-1].item(), off_road.item()])
networks = {label: np.array(rows) for label, rows in networks.items()}
rows = "\n".join(
    f"| {label} | {'   '.join(f'{value:.1f}' for value in table[:, 0])} | {table[:, 1].mean():.2f} | {table[:, 2].mean():.1f} | {table[:, 3].mean():.1f} |"
    for label, table in networks.items()
)
display(
    Markdown(
        "| 60 more steps | R(24) of three seeds, nats | mean 24·ε, nats | mean ExAccErr(24) | KL off the road, nats a position |\n"
        f"|---|---|---|---|---|\n{rows}"
    )
)
off, on = networks["off-policy"], networks["on-policy"]
claim(
    "C05a",
    "A transformer of 16 units has exposure bias too, and on-policy steps make its ExAccErr several times smaller.",
    off[:, 2] / on[:, 2],
    unit="ExAccErr(24) off-policy ÷ on-policy",
    holds=(off[:, 2] / on[:, 2]).min() > 3,
)
claim(
    "C05a",
    "It pays for them on the teacher's prefixes.",
    on[:, 1] / off[:, 1],
    unit="error on the teacher's prefixes, on-policy ÷ off-policy",
    holds=(on[:, 1] / off[:, 1]).min() > 1.5,
)
claim(
    "C05b",
    "It, too, is corrected off the road: its KL there is lower after on-policy steps than after as many off-policy ones.",
    on[:, 3] / off[:, 3],
    unit="KL at lost prefixes, on-policy ÷ off-policy",
    holds=(on[:, 3] / off[:, 3]).max() < 0.8,
)
# %% [markdown]
# The last column is measured at the same prefixes for all: where the texts of the common beginning were lost. The cure works. But a network shares its weights between all prefixes, and practising on its own text unteaches some of the rest: in nats, three seeds of so short a training do not decide between the two, while ExAccErr falls steeply, because its denominator rises. How much of its own text a student should read is a knob, and GKD makes it one.
#
# ## 7 · Real surnames, and the bill
#
# Names have 3 to 12 letters, a wrong letter is soon forgotten, and any letter may follow nearly any other. By section 4 there should be little to cure. We train three students of 28K parameters at word level, then let copies go on for as many steps again by three recipes.

# %%
worth = predict(
    "On surnames, on-policy forward KL beside as many more steps at word level. Held-out bits a character are …",
    ["clearly better", "no better"],
)

# %%
from kd_lab.measure import bits_per_character
from kd_lab.models import load_teacher, target_logp
from kd_lab.worlds import surnames

names, reader = surnames(), load_teacher("surnames")
WAYS = {
    "word level": word_level(),
    "on-policy, forward KL": on_policy("forward_kl"),
    "on-policy, reverse KL": on_policy(),
}
BUDGET = {"steps": 32, "batch_size": 24, "progress": False}
bits, judged, bias, tokens, seconds, last = ({label: [] for label in WAYS} for _ in range(6))
for number in numbers[:3]:
    first = GPT(GPTConfig(len(names.vocabulary), names.context, layers=2, heads=2, width=32), seed=number)
    distill(first, reader, names, word_level(), seed=number, **BUDGET)
    generator = torch.Generator().manual_seed(number)
    prompts = names.prompts(300, generator)
    theirs = rollout(reader, names, prompts, generator)
    for label, recipe in WAYS.items():
        pupil = copy.deepcopy(first)
        history = distill(pupil, reader, names, recipe, seed=number + 100, **BUDGET).history
        own = rollout(pupil, names, prompts, generator)
        bits[label].append(bits_per_character(pupil, names.held_out[:500]))
        judged[label].append(-target_logp(reader, own)[own.mask].mean().item())
        gaps = [sampled_gap_by_position(pupil, reader, texts) for texts in (own, theirs)]
        bias[label].append(excess(*gaps)[-1].item())
        tokens[label].append(history["tokens"][-1])
        seconds[label].append(np.median(np.diff(history["seconds"])))
        last[label] = pupil
rows = "\n".join(
    f"| {label} | {np.mean(bits[label]):.2f} | {np.mean(judged[label]):.2f} | {np.mean(bias[label]):+.2f} | {np.mean(tokens[label]):,.0f} |"
    for label in WAYS
)
display(
    Markdown(
        "| 32 more steps | held-out bits a character | −log p of its own names, nats a character | ExAccErr | tokens trained on |\n"
        f"|---|---|---|---|---|\n{rows}"
    )
)
against = {label: np.subtract(bits[label], bits["word level"]) for label in WAYS}
worth.reveal(
    "no better",
    "What it practises on are its own names, and held-out names are not like them: what helps the one is not quite what the other asks for.",
)

# %%
claim(
    "C05c",
    "On surnames, too, exposure bias adds at least half as much again to the error.",
    bias["word level"],
    unit="ExAccErr at the full length",
    holds=np.mean(bias["word level"]) > 0.5,
)
claim(
    "C05c",
    "On-policy forward KL gives better held-out bits than as many more steps at word level.",
    against["on-policy, forward KL"],
    unit="bits a character, on-policy − word level",
    holds=against["on-policy, forward KL"].max() < 0,
)
cleaner = np.subtract(judged["word level"], judged["on-policy, reverse KL"])
claim(
    "C05c",
    "On-policy reverse KL writes names that the teacher finds more likely.",
    cleaner,
    unit="nats a character more likely than after word level",
    holds=cleaner.min() > 0,
)
claim(
    "C05c",
    "It pays for that with held-out bits.",
    against["on-policy, reverse KL"],
    unit="bits a character, on-policy reverse KL − word level",
    holds=against["on-policy, reverse KL"].min() > 0,
)
# %% [markdown]
# **The bill.** An on-policy step lets the student write first, one token after another, which no parallelism shortens. The recipes took turns in one process, so that their seconds can be compared on this machine.

# %% tags=["timing"]
clock = {label: [] for label in RECIPES}
for _ in range(5):
    for label, recipe in RECIPES.items():
        history = distill(new_student(0), tune, world, recipe, steps=12, batch_size=32, progress=False).history
        clock[label].append(np.median(np.diff(history["seconds"])))
for text, times in (("tunes", clock), ("surnames", seconds)):
    print(
        f"{text:8}  " + ",  ".join(f"{label} {1000 * np.median(each):.0f} ms a step" for label, each in times.items())
    )
claim(
    "C05c",
    "At surname length an on-policy step costs at most three times the seconds of a word-level step.",
    np.divide(seconds["on-policy, forward KL"], seconds["word level"]),
    unit="times the median seconds of a word-level step",
    holds=np.median(seconds["on-policy, forward KL"]) < 3 * np.median(seconds["word level"]),
)

# %% [markdown]
# Who is large decides the price. A teacher of 0.8M parameters that reads each name once costs more than a student of 28K that writes it; with tables, as in sections 1 to 5, the writing is nearly everything. Whether it pays is another question. The tunes' on-policy student costs a few times the seconds, so give the off-policy one three times the steps: section 4 has done that.

# %%
long = found["as before, three times the steps"][:, 0] / own_text[:3]
claim(
    "C05c",
    "On the tunes on-policy training is worth it: off-policy, three times the steps leave a larger excess.",
    long,
    unit="times the excess, in nats, of an on-policy student with a third of the steps",
    holds=long.min() > 3,
)
# %% [markdown]
# Below, the first explorer again with a name-writing student: where does it leave the teacher's paths, and does the gap stay high from there on?

# %%
visits = {}
for label in ("word level", "on-policy, reverse KL"):
    generator = torch.Generator().manual_seed(seed)
    visits[label] = rollout(last[label], names, names.prompts(12, generator), generator)
real = rollout_explorer(
    {label: last[label] for label in visits}, reader, visits, names.vocabulary, name="names", start=3
)
real.show()

# %%
real.filmstrip([{"step": 12, "student": "word level", "text": 2}, {"step": 12, "student": "word level", "text": 5}])

# %% [markdown]
# ## Discuss
#
# *For two people, ten minutes.* Your student answers in 2,000 tokens and gets lost in long answers. Before you pay for on-policy training: which three measurements tell you whether exposure bias is what ails it? And for which task would you expect the textbook's $L^2$, for which none?

# %% [markdown] tags=["teacher"]
# **Expected answers.** Measure (1) the KL per position on the student's and on the teacher's prefixes, as two curves: do they part with length? (2) the KL right after tokens that the teacher finds improbable, and ten tokens later: does it come down again by itself? (3) whether more off-policy training or data lowers it: if yes, capacity is not the limit. Report nats besides ExAccErr. $L^2$ is expected where the text carries a state that one mistake spoils for good: chains of reasoning, code with a wrong variable, games, long arithmetic; little where mistakes are local or repaired by reading on: names, translation with the source at hand, summaries. **Misconceptions:** "the student's tokens are the labels" (that is self-imitation; the labels are the teacher's); "on-policy always helps" (surnames); "ExAccErr fell, so the model got better" (a ratio falls also when the denominator rises: see the transformer on the teacher's prefixes); "on-policy needs reinforcement learning" (no reward, no gradient through sampling). A large student that learns a realisable task with log loss needs no interaction to avoid the quadratic bound, in theory too (Foster et al. 2024). Scheduled sampling mixes own tokens into the input but keeps the data's next token as label, which is wrong after a slip; ask the class why a teacher that can be queried mends that. **Timing:** 45 minutes alone; 60 in a class.

# %% [markdown]
# ## Recap
#
# 1. Off-policy training never shows what comes after the student's own mistakes. If a mistake lasts, the error of a text grows like $L^2$.
# 2. ExAccErr compares the accumulated KL on the student's prefixes with that on the teacher's. It is a ratio: give the nats beside it.
# 3. Three ingredients: mistakes, consequences, and texts that show neither. Without any one of them there is no quadratic growth.
# 4. On-policy: the student writes, the teacher labels every prefix, the student is trained there. DAgger keeps the old texts as well.
# 5. It costs the seconds of writing, and some accuracy on the teacher's own prefixes. On surnames it buys no held-out bits.
#
# ## Quiz

# %%
quiz(
    Question(
        "In on-policy distillation the student's tokens serve as …",
        {
            "prefixes": "Yes: they decide where teacher and student are compared.",
            "labels": "Then it would be praised for whatever it wrote, mistakes included.",
            "rewards": "There is no reward here: the teacher gives whole distributions.",
        },
        right="prefixes",
    ),
    Question(
        "ExAccErr fell from 5 to 2 and R(L) rose. What happened?",
        {
            "the error on the teacher's prefixes rose even more": "Yes: the measure is a ratio.",
            "exposure bias was cured": "The text as a whole got worse. Look at the nats.",
            "this cannot happen": "R = lε·(1 + ExAccErr): it can, if ε rises.",
        },
        right="the error on the teacher's prefixes rose even more",
    ),
    Question(
        "Which student profits least from on-policy training?",
        {
            "one whose language forgives mistakes": "Yes: its own prefixes are as good as the teacher's.",
            "one with an unsteady hand": "It will go on slipping, and has to learn the way back.",
            "one that was trained on flawless texts": "Flawless texts show no repair: it has most to gain.",
        },
        right="one whose language forgives mistakes",
    ),
    Question(
        "Scheduled sampling feeds the student its own tokens and keeps the data's next token as the label. Behind a slip that label is …",
        {
            "what was right in another text": "Yes: it belongs to the prefix of the data, not to the student's.",
            "what the teacher would say": "Nobody asked a teacher; that is what on-policy distillation adds.",
        },
        right="what was right in another text",
    ),
)

# %% [markdown]
# ## Glossary
#
# **Exposure bias** the part of a model's error that comes from reading its own text while it was trained on another's. **Rollout** a text that a model writes by itself. **Off-policy** trained on prefixes that somebody else wrote; **on-policy** on the student's own. **Fork** the first token that the teacher would not have written; here also the prefix just behind it. **ExAccErr** accumulated error on own prefixes, relative to that on the teacher's, less 1. **DAgger** dataset aggregation: the learner acts, the expert labels, the data grow. **On-policy share** λ, the probability that the student writes a batch.
#
# ## Papers
#
# - Ross, Gordon & Bagnell, "A Reduction of Imitation Learning and Structured Prediction to No-Regret Online Learning", [1011.0686](https://arxiv.org/abs/1011.0686): theorems 2.1 ($T^2\varepsilon$) and 2.2 ($uT\varepsilon$), algorithm 3.1 (DAgger).
# - Arora et al., "Why Exposure Bias Matters", [2204.01171](https://arxiv.org/abs/2204.01171): equations 9 to 11, ExAccErr.
# - Agarwal et al., "On-Policy Distillation of Language Models", [2306.13649](https://arxiv.org/abs/2306.13649), section 3: the on-policy loss and algorithm 1.
# - Bengio et al., "Scheduled Sampling", [1506.03099](https://arxiv.org/abs/1506.03099), section 2.4.
# - Laskey et al., "DART: Noise Injection for Robust Imitation Learning", [1703.09327](https://arxiv.org/abs/1703.09327).
# - Foster, Block & Misra, "Is Behavior Cloning All You Need?", [2407.15007](https://arxiv.org/abs/2407.15007): with log loss and a student that can be the expert, no quadratic growth.
#
# ## Next
#
# [Lesson 06](06_gkd.ipynb) makes two dials of it: whose text, and which divergence. [Lesson 07](07_minillm.ipynb) asks what is left out: on-policy, the student's text is data, and no gradient flows through the choice of its tokens.
