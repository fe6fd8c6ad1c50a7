# %% [markdown]
# # 01 · WHAT: logits, features, relations
#
# After this lesson you can copy three things from a teacher, its outputs, its features and the relations between its texts, and say what each of them is good for.

# %% tags=["hide-input"]
from kd_lab.lessons.l01_what.figures import three_signals
from kd_lab.models import load_teacher
from kd_lab.viz import show
from kd_lab.worlds import surnames

world, teacher = surnames(), load_teacher("surnames")
show(
    three_signals(teacher, world.vocabulary),
    "Three things that one teacher can show about names. "
    "Left: at each position 27 probabilities, one for each thing that may come next. "
    "Middle: 128 numbers of its last block at each position, here in the plane in which they vary most, letter by letter through two names. "
    "Right: one number for each pair of names, how far apart the teacher keeps them; dark is near.",
    alt="Left a bar chart of letters after sm, middle two paths of letters through a plane of features, right a matrix of distances among ten surnames.",
)

# %% [markdown] tags=["card"]
# **You will be able to**
#
# - write the loss of Hinton's distillation, with its temperature and its τ², and say what it turns into when τ is large;
# - separate dark knowledge from mere softness, by controls of equal entropy;
# - copy features through a projector, and relations without one;
# - measure on held-out texts whether a student has come closer to its teacher, inside and outside.
#
# **Before this:** [lesson 00](00_the_map.ipynb): a model is a tree of conditionals, and WHAT is the first of the three knobs.
#
# **Time:** 50 minutes to read and do, and 4 minutes for the optional section. {{measured}}

# %%
import torch

from kd_lab.classroom import claim, exercise, predict, quiz, reveal, setup

seed = setup("01", threads=1)

# %% [markdown]
# ## 1 · What the wrong letters know
#
# Take “sm” in Smith. The label says *i* and nothing else. The teacher finds *i* and *a* about equally likely, then *e* and *o*, and rules *x* out. Hinton called what lies below the top **dark knowledge**: how likely each wrong answer is, compared with the other wrong ones.
#
# Lesson 00 showed *that* a better-read teacher's soft targets help. Two explanations compete:
#
# - The student is told which wrong letters are nearly right.
# - The student is merely kept from becoming too sure. **Label smoothing** does that without a teacher: it takes a share $\varepsilon$ of the label's mass and spreads it evenly; here ε = 0.1.
#
# Three targets separate them: they keep the softness and remove the knowledge of the other letters.
#
# - **permuted** keeps the top letter and its probability, and permutes the other 26 at random (Furlanello and others, 2018);
# - **top + even** keeps the top letter, spreads the rest evenly, and is then brought to the teacher's entropy by a temperature;
# - **top + usual** does the same, but spreads the rest as the letters are spread in the 500 names, which makes its tail plausible. A usual letter may then overtake the top one.

# %%
from torch.nn.functional import one_hot

from kd_lab.contracts import stream
from kd_lab.lessons.l01_what.targets import as_sure_as, entropy, top_and

few = world.subset(500, seed=seed)
with torch.no_grad():
    whole = teacher(few.train.inputs).softmax(-1)
label = one_hot(few.train.targets, 27).float()
usual = label[few.train.mask].mean(0)


def permuted(p, generator):
    """The top probability stays; the others change places at random, anew at every position."""
    values, ids = p.sort(-1, descending=True)
    keys = torch.rand(p.shape, generator=generator).scatter(-1, ids[..., :1], -1.0)
    return torch.zeros_like(p).scatter(-1, keys.argsort(-1), values)


# %% tags=["hide-input"]
from kd_lab.lessons.l01_what.figures import six_targets

TARGETS = {
    "label": label,
    "smoothed": 0.9 * label + 0.1 / 27,
    "permuted": permuted(whole, stream(seed, "permutation")),
    "top + even": as_sure_as(top_and(whole, torch.ones(27)), whole),
    "top + usual": as_sure_as(top_and(whole, usual), whole),
    "whole": whole,
}
for name in ("permuted", "top + even", "top + usual"):
    torch.testing.assert_close(entropy(TARGETS[name]), entropy(whole), rtol=1e-3, atol=1e-3)
first = [name[:2] for name in world.vocabulary.decode(few.train.tokens)].index("ma")
show(
    six_targets({name: target[first, 2] for name, target in TARGETS.items()}, world.vocabulary),
    f"Six teachers after “ma” in the name {world.vocabulary.decode(few.train.tokens[first : first + 1])[0]}. "
    "The last four have the same entropy; only the last one knows which other letters are likely here.",
    alt="Six bar charts over the letters: one bar; one bar, a little lower; a top bar with scattered others; a top bar with an even floor; a top bar with the usual letters; the teacher's distribution.",
)

# %% [markdown]
# **Experiment.** Eight students learn from labels, eight from the whole teacher, and five from each other target: 160 steps of 32 names, with the same starts and batches.
#
# On held-out names **bits per character** judge the whole distribution, **accuracy** the first choice alone.
#
# A doctored target denies part of the truth, and a student that believes it must lose bits.
# So two more groups of five learn from a mean of the label and *top + usual* or *whole*: there the truth is always in the mix.

# %%
predict("01.a")

# %%
from kd_lab.classroom.students import taught
from kd_lab.measure import bits_per_character
from kd_lab.methods import hinton, labels_only, word_level
from kd_lab.models import GPT, CachedTeacher, GPTConfig

SEEDS = range(seed, seed + 8)
some = torch.randperm(len(world.held_out), generator=stream(seed, "judged"))[:600]
held_out = world.held_out[some]  # drawn: the list is sorted by frequency
SHAPE = GPTConfig(vocab_size=27, context=world.context, layers=1, heads=2, width=48)


def teach(recipe, guide, seeds=SEEDS):
    """One student per seed."""
    options = {"steps": 160, "batch_size": 32, "learning_rate": 0.01}
    options |= {"teacher": guide, "world": few, "recipe": recipe}
    pupils = taught(recipe.name, lambda number: GPT(SHAPE, seed=number), seeds, **options)
    return [one.student for one in pupils]


def told(target):
    """A teacher that gives these answers in place of its own."""
    return CachedTeacher(teacher).tell(few.train.inputs, target.log())


# %% tags=["hide-input"]
from kd_lab.lessons.l01_what.figures import two_yardsticks

honest = CachedTeacher(teacher)
students = {"label": teach(labels_only(), None)}
for name in ("smoothed", "permuted", "top + even", "top + usual"):
    students[name] = teach(word_level(), told(TARGETS[name]), SEEDS[:5])
for name in ("top + usual", "whole"):
    students[f"½ label, ½ {name}"] = teach(word_level(), told((label + TARGETS[name]) / 2), SEEDS[:5])
students["whole"] = teach(word_level(), honest)


@torch.no_grad()
def accuracy(student):
    hits = student(held_out.inputs).argmax(-1) == held_out.targets
    return hits[held_out.mask].double().mean().item()


def bits_of(group):
    return torch.tensor([bits_per_character(student, held_out) for student in group])


bits = {name: bits_of(group) for name, group in students.items()}
first_choice = {name: torch.tensor([accuracy(s) for s in group]) for name, group in students.items()}
show(
    two_yardsticks(bits, first_choice),
    "Markers are seeds, bars the 95 % interval of their mean. In bits only targets that keep the dark part are clearly ahead of labels. "
    "In accuracy the teacher's first choice does much of the work.",
    alt="Rows of markers in two panels, one row per target. Bits: whole is lowest, then half whole; permuted and the two top targets alone are highest. Accuracy: whole and top + even are highest.",
)
gain = bits["label"] - bits["whole"]
left_over = bits["label"][:5] - bits["top + usual"]
reveal(
    "01.a",
    kept=left_over.mean(),
    gain=gain.mean(),
    left_over=abs(left_over.mean()),
    ahead="ahead" if left_over.mean() > 0 else "behind",
)

# %% tags=["hide-input"]
claim(
    "C01a",
    "On few names the whole teacher puts its student ahead of labels.",
    gain,
    unit="bits per character",
    above=0.1,
)
claim(
    "C01a",
    "Label smoothing, which needs no teacher, has less than half of that gain.",
    gain[:5] / 2 - (bits["label"][:5] - bits["smoothed"]),
    unit="bits per character short of half the gain",
    above=0,
)
for name, words in (
    ("permuted", "With its dark part permuted the same softness puts the student behind labels."),
    (
        "top + usual",
        "Even with a plausible tail, the usual letters, equal entropy alone leaves the student behind labels.",
    ),
):
    claim("C01a", words, bits[name] - bits["label"][:5], unit="bits per character behind labels", above=0)
claim(
    "C01a",
    "Half mixed into labels, the whole teacher is still ahead of *top + usual*, mixed in the same way.",
    bits["½ label, ½ top + usual"] - bits["½ label, ½ whole"],
    unit="bits per character ahead",
    above=0,
)
claim(
    "C01a",
    "In accuracy the teacher's first choice, with an even rest, already beats labels.",
    first_choice["top + even"] - first_choice["label"][:5],
    unit="of accuracy",
    above=0,
)
# %% [markdown]
# **What this shows.** In bits, softness by itself buys nothing measurable in the forms tried here.
# What pays is knowing which other letters are likely *at this place*: targets of equal entropy without it are worse than labels, even with a plausible tail.
# Half mixed into labels, *top + usual* is about level with them.
#
# In accuracy *top + even* (first choice raised) is level with the whole teacher, *top + usual* with labels; *permuted* lies between. The two mixtures are level, ahead of labels: there the dark part shows no advantage.
#
# **Others found otherwise**, with images. Furlanello and others (2018) saw a role for the predicted class and the rest. For Yuan and others (2020) regularisation is “equally or even more important” than similarities between classes: a poor teacher helped too. Tang and others (2020) find several effects at once.
#
# <details><summary>How both can be right</summary>
#
# An image has one true class, of which its classifier is nearly sure: softness mainly regularises. After “sm” several letters are *truly* possible, and the “dark” rest has most of the mass.
#
# </details>

# %% [markdown]
# ## 2 · Temperature
#
# A sure teacher hides what it knows: one in a thousand and one in a million both hardly move the loss. **Temperature** $\tau$ divides all logits before the softmax, on both sides. With $u$ and $z$ the logits of teacher and student:
#
# $$p_\tau=\mathrm{softmax}(u/\tau),\qquad q_\tau=\mathrm{softmax}(z/\tau),\qquad \mathcal L=\tau^2\,\mathrm{KL}(p_\tau\|q_\tau).$$
#
# **Explore.** Move τ with the arrow keys.
# Watch the bars and the two dots, which coincide at τ = 1; then type your own prefix.

# %%
predict("01.b")

# %%
from kd_lab.lessons.l01_what.explorers import temperature_explorer

explorer = temperature_explorer(teacher, students["label"][0], world.vocabulary, start="ma")
explorer.show()

# %% tags=["hide-input"]
explorer.filmstrip([{}, "softened", "a sure teacher", "the sure one, softened"])
with torch.no_grad():
    names = held_out[slice(0, 100)]
    u = teacher(names.inputs)[names.mask].double()
    seen = [student(names.inputs)[names.mask].double() for student in students["label"]]
    bare_norm = [
        (((z / t).softmax(-1) - (u / t).softmax(-1)) / t).norm(dim=-1).mean() for t in (1, 8) for z in seen[:1]
    ]
reveal("01.b", ratio=bare_norm[0] / bare_norm[1])

# %% [markdown]
# **Derive.** The gradient of KL, as of the cross-entropy, with respect to the logits of $q$ is *q − p*, and the inner derivative of $z/\tau$ brings in a factor $1/\tau$:
#
# $$\frac{\partial}{\partial z_v}\,\tau^2\,\mathrm{KL}(p_\tau\|q_\tau)=\tau^2\cdot\frac1\tau\,\big(q_\tau(v)-p_\tau(v)\big)=\tau\,\big(q_\tau(v)-p_\tau(v)\big).$$
#
# The chain rule shrinks the gradient by $1/\tau$, and the two distributions approach each other, which shrinks it by about $1/\tau$ once more.
# The factor $\tau^2$ makes up for both.
#
# **By hand, with three tokens.** Let $u=(\ln 4,0,0)$, so $p=(\tfrac23,\tfrac16,\tfrac16)$, and $z=(0,0,0)$, so $q_\tau=(\tfrac13,\tfrac13,\tfrac13)$ at every τ. The first component of the gradient:
#
# | τ | $p_\tau$ | without τ² | with τ² |
# |---|---|---|---|
# | 1 | ⅔, ⅙, ⅙ | −⅓ | −⅓ |
# | 2 | ½, ¼, ¼ | −¹⁄₁₂ | −⅓ |
# | ∞ | ⅓, ⅓, ⅓ | 0 | −(2/9)·ln 4 = −0.31 |

# %% [markdown]
# ### Exercise 01.1 · Soft targets (●○○, 6 minutes)
#
# Write the loss above for every position, in nats. Both logits are `[..., V]`.


# %%
@exercise("01.1")
def soft_loss(student_logits, teacher_logits, temperature):
    """τ²·KL(p‖q) with both sides softened by τ, in nats: [..., V], [..., V], a number -> [...]."""
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Which side is softened, and whose probabilities weigh the terms? What should the loss be where student and teacher agree?
#
# </details>
# <details><summary>Hint 2</summary>
#
# `(logits / temperature).log_softmax(-1)` on both sides; `KL = Σ p·(log p − log q)` over the last axis.
#
# </details>

# %% [markdown] tags=["solution:01.1"]
# solution

# %% [markdown]
# ### Exercise 01.2 · Where the gradient goes (●●○, 8 minutes)
#
# To what does $\tau\,(q_\tau-p_\tau)$ tend as $\tau\to\infty$? Use $e^{x}\approx 1+x$ for small $x$ in both softmaxes, and keep what is left of order $1/\tau$.


# %%
@exercise("01.2")
def limit_gradient(student_logits, teacher_logits):
    """The gradient of τ²·KL by the student's logits as τ → ∞: [..., V], [..., V] -> [..., V]."""
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# $q_\tau(v)\approx\frac{1+z_v/\tau}{V+\sum_w z_w/\tau}$. What does adding 5 to every $z_v$ change?
#
# </details>
# <details><summary>Hint 2</summary>
#
# Write $\bar z$ for the mean logit. Then $q_\tau(v)\approx\frac1V\big(1+\frac{z_v-\bar z}{\tau}\big)$. `mean(-1, keepdim=True)` keeps the axis.
#
# </details>

# %% [markdown] tags=["solution:01.2"]
# solution

# %% [markdown]
# **Experiment.** First, your loss must equal the library's.
# The library's `softmax_kl` contains the $\tau^2$ already (`scale_by_t2=True`); multiplying by it once more is a popular mistake.
# Then the gradient is measured at every prefix of 100 held-out names, for the eight students of labels: its mean norm, and the largest distance from the limit, in units of the limit.

# %%
from kd_lab.how import softmax_kl


def gradient_at(z, u, tau, scaled=True):
    """The gradient of the softened forward KL by the student's logits, one row per prefix."""
    z = z.clone().requires_grad_()
    loss = softmax_kl(z, u, temperature=tau, reduction="sum", scale_by_t2=scaled)
    return torch.autograd.grad(loss, z)[0]


TAUS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 1000.0)
size, bare, off = torch.zeros(3, len(seen), len(TAUS), dtype=torch.float64)
for row, z in enumerate(seen):
    mine = torch.as_tensor(soft_loss(z, u, 4.0))
    library = softmax_kl(z, u, temperature=4.0, reduction="none")
    torch.testing.assert_close(mine, library, check_dtype=False, rtol=1e-4, atol=1e-5)
    limit = torch.as_tensor(limit_gradient(z, u))
    for column, tau in enumerate(TAUS):
        gradient = gradient_at(z, u, tau)
        size[row, column] = gradient.norm(dim=-1).mean()
        bare[row, column] = gradient_at(z, u, tau, scaled=False).norm(dim=-1).mean()
        off[row, column] = ((gradient - limit).norm(dim=-1) / limit.norm(dim=-1)).max()

# %% tags=["hide-input"]
from IPython.display import Markdown, display

rows = "\n".join(f"| {tau:g} | {size[0, i]:.3f} | {bare[0, i]:.2g} | {off[0, i]:.1%} |" for i, tau in enumerate(TAUS))
display(
    Markdown(
        f"One student, {len(u)} prefixes:\n\n| τ | norm with τ² | norm without | farthest from the limit |\n|---|---|---|---|\n{rows}"
    )
)
claim(
    "C01b",
    "With τ² the gradient keeps its size: at τ = 32 it is between half and twice as long as at τ = 1.",
    size[:, 5] / size[:, 0],
    unit="of its length at τ = 1",
    above=0.5,
    below=2,
    scale="log",
)
claim(
    "C01b",
    "Without τ² it is lost: at τ = 32 less than a hundredth is left.",
    bare[:, 5] / bare[:, 0],
    unit="of its length at τ = 1",
    below=0.01,
    scale="log",
)
claim(
    "C01b",
    "It tends to the centred difference of the logits over V.",
    off[:, 6],
    unit="relative deviation at τ = 1000, the largest over the prefixes",
    below=0.02,
)
claim(
    "C01b",
    "The rest of the way shrinks as 1/τ: doubling τ halves it.",
    off[:, 5] / off[:, 4],
    unit="of the deviation at τ = 16 is left at τ = 32",
    above=0.4,
    below=0.6,
)
# %% [markdown]
# So a large τ asks for something else: no longer for the probabilities but for all logits alike, those of letters that never come as much as those of letters that do.
# Is that a better lesson? Hinton's teachers were sure of their digits, and softening uncovered what they knew.

# %%
predict("01.c")

# %% tags=["hide-input"]
students["whole, τ = 4"] = teach(hinton(temperature=4.0, label_weight=0.0), honest)
bits["whole, τ = 4"] = bits_of(students["whole, τ = 4"])
colder = bits["whole, τ = 4"] - bits["whole"]
reveal("01.c", least=colder.min())
claim(
    "C01a",
    "With this unsure teacher τ = 4 teaches worse than τ = 1.",
    colder,
    unit="bits per character behind",
    above=0,
)
# %% [markdown]
# ## 3 · Features: a hint through a projector
#
# On its way to 27 logits the teacher makes 128 numbers per position in each of its blocks, its **features**. FitNets (Romero and others, 2015) lets the student copy them: let $h_t$ be the student's features at position $t$, here 48 of them, and $g_t$ the teacher's 128. A **projector** $W$, a matrix of 128 rows and 48 columns, is learned together with the student and thrown away after training:
#
# $$\mathcal L_{\text{hint}}=\frac1n\sum_{t}\tfrac12\,\|W h_t-g_t\|^2,$$
#
# averaged over the $n$ positions that count.
# The negative log-likelihood of the text is added, because the hint teaches the head nothing.
#
# The first position is left out.
# Its state has read only the start mark, yet in our teacher its norm is six times that of the others.
# It would dominate the loss and distort every measure below: merely knowing which position comes first would “explain” most of the variance.
#
# **By hand.** $h=(1,2)$, $W$ with the rows $(1,0),(0,1),(1,1)$, so $Wh=(1,2,3)$. With $g=(1,0,3)$ the hint costs $\tfrac12(0+4+0)=2$, and its gradient with respect to $Wh$ is $(0,2,0)$.
#
# The student's features cannot *equal* the teacher's, since the widths differ. It is enough that a linear map can *read off* the teacher's from them.

# %% [markdown]
# ### Exercise 01.3 · A hint (●●○, 8 minutes)
#
# `student_hidden` is `[B, T, 48]`, `projector` `[128, 48]`, `teacher_hidden` `[B, T, 128]`; `mask` `[B, T]` is true where a position counts. Return $\mathcal L_{\text{hint}}$, one number. No gradient may reach the teacher.


# %%
@exercise("01.3")
def hint_loss(student_hidden, projector, teacher_hidden, mask):
    """Mean over counted positions of ½‖W·h − g‖²: [B, T, S], [G, S], [B, T, G], [B, T] -> []."""
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Which axis is summed, and which ones are averaged? What does `projector.T` do to a row vector?
#
# </details>
# <details><summary>Hint 2</summary>
#
# `student_hidden @ projector.T` has the teacher's shape. `values[mask]` keeps the positions that count, and `detach()` makes a fixed target.
#
# </details>

# %% [markdown] tags=["solution:01.3"]
# solution

# %% [markdown]
# **Experiment.** The recipe `fitnets` guides the student's last block by the teacher's last one.
# Its weight is chosen so that the hint starts at about as many nats as the likelihood.
#
# The trained loss would be a circular judge. Two other measures, on held-out names:
#
# - **unexplained**: the share of the teacher's variance that the best linear map (fitted on one half of the positions, tried on the other) cannot read off the student;
# - **CKA**: a similarity of two sets of features, 1 where they agree up to rotation, shift and scale.
#
# Two rows show what comes for free: an **untrained** student, and **letter only**, the last letter read as a one-hot vector of 27.

# %%
from kd_lab.what.features import says_something


def cka(x, y):
    """Linear centred kernel alignment of features [N, W] and [N, W']."""
    x, y = x - x.mean(0), y - y.mean(0)
    return ((x.T @ y).square().sum() / ((x.T @ x).norm() * (y.T @ y).norm())).item()


def unexplained(x, y):
    """The share of y's variance that a linear map of x misses, on rows it was not fitted to."""
    x, half = torch.cat([x, torch.ones(len(x), 1)], 1), len(x) // 2
    rest = y[half:] - x[half:] @ torch.linalg.lstsq(x[:half], y[:half], driver="gelsd").solution
    return (rest.square().sum() / (y[half:] - y[half:].mean(0)).square().sum()).item()


@torch.no_grad()
def features(model):
    return model(held_out.inputs, return_hidden=True)[1][-1]


# %% tags=["hide-input"]
from kd_lab.how.feature_losses import SquaredError
from kd_lab.methods import fitnets
from kd_lab.worlds import Batch

counted = says_something(held_out.mask)  # all but the first position
of_teacher = features(teacher)
print(
    f"norms: first position {of_teacher[:, 0].norm(dim=-1).mean():.0f}, others {of_teacher[counted].norm(dim=-1).mean():.0f}"
)
weight = 0.001
with torch.no_grad():  # your loss is the library's
    projector = torch.randn(128, 48, generator=stream(seed, "projector")) / 48**0.5
    guessed = features(GPT(SHAPE, seed=seed))
    by_hand = weight * float(hint_loss(guessed, projector, of_teacher, counted))
    flat = torch.zeros(*counted.shape, 27)
    by_library = SquaredError(weight)((guessed @ projector.T, flat), of_teacher, Batch(held_out.tokens, counted))
torch.testing.assert_close(by_library.item() - by_hand, torch.tensor(27.0).log().item(), rtol=1e-4, atol=1e-4)
print(
    f"A hint from an untrained student weighs {by_hand:.1f} nats beside {by_library - by_hand:.1f} of the likelihood."
)

# %%
predict("01.d")

# %%
students["FitNets"] = teach(fitnets(weight=weight), honest)
students["untrained"] = [GPT(SHAPE, seed=number) for number in SEEDS]
letters = one_hot(held_out.inputs, 27).float()
inside = {}


def look_inside(name, states):
    """CKA and unexplained share, [2, seeds]."""
    pairs = [(each[counted], of_teacher[counted]) for each in states]
    inside[name] = torch.tensor([[cka(*pair), unexplained(*pair)] for pair in pairs]).T


look_inside("letter only", [letters])
for name in ("untrained", "label", "whole", "whole, τ = 4", "FitNets"):
    look_inside(name, map(features, students[name]))

# %% tags=["hide-input"]
bits["FitNets"], bits["untrained"] = bits_of(students["FitNets"]), bits_of(students["untrained"])
read_off = {name: 1 - values[1].mean().item() for name, values in inside.items()}
reveal(
    "01.d",
    read_off=read_off["label"],
    letter=read_off["letter only"],
    untrained=read_off["untrained"],
)
closer = inside["FitNets"][0] - inside["label"][0]
claim(
    "C01c",
    "Hints move the features toward the teacher's: CKA rises above that of a student of labels.",
    closer,
    unit="of CKA",
    above=0.2,
)
claim(
    "C01c",
    "Hints leave less than two thirds of what a linear map could not read off before.",
    inside["FitNets"][1] / inside["label"][1],
    unit="of the variance unexplained without hints",
    below=2 / 3,
    scale="log",
)
claim(
    "C01c",
    "Hints help to predict.",
    bits["label"] - bits["FitNets"],
    unit="bits per character ahead of labels",
    above=0,
)
claim(
    "C01c",
    "Logits help a little more than hints do.",
    bits["FitNets"] - bits["whole"],
    unit="bits per character ahead of hints",
    above=0,
)
# %% [markdown]
# Only the last block was copied here. It is one norm and one matrix away from the logits: its features hold all that the logits hold.
# FitNets itself takes a layer in the middle, and trains on the hint first, then on the outputs.
#
# ## 4 · Relations: no projector at all
#
# Relational distillation (Park and others, 2019) asks for less. Never mind *where* the teacher puts a name: copy which names it puts *near one another*. Let $x_i$ be one vector for each of the $B$ names of a batch, the mean of its features over the positions that count; the first is again none of them. Then
#
# $$\psi_{ij}=\frac{\|x_i-x_j\|}{\mu},\qquad\mu=\frac{1}{B(B-1)}\sum_{i\ne j}\|x_i-x_j\|,$$
#
# and the student's $\psi$ is pulled toward the teacher's, pair by pair, by a Huber loss (squared for small differences, linear for large ones). A second term does the same for the cosine of the angle at $x_j$ in every triple. Neither depends on the width of the features: rotate, shift or scale them all, and nothing changes.
#
# **By hand.** Three names at the corners of a triangle with the sides 3, 4 and 5: μ = 4, so ψ = ¾, 1 and 1¼.

# %% [markdown]
# ### Exercise 01.4 · How names stand to one another (●●○, 10 minutes)
#
# Compute the matrix ψ `[B, B]`, with a diagonal of zeros, from `hidden` `[B, T, W]` and `mask` `[B, T]`. The mask already leaves the first position out.


# %%
@exercise("01.4")
def distance_relation(hidden, mask):
    """Distances between texts in units of their mean: [B, T, W], [B, T] -> [B, B]."""
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# First one vector for each text, then the distances, then the unit. Which entries of the matrix are distances between two *different* texts?
#
# </details>
# <details><summary>Hint 2</summary>
#
# `texts[:, None] - texts[None]` is `[B, B, W]`. Summing over the whole matrix is fine, as the diagonal adds nothing; dividing by B² is not.
#
# </details>

# %% [markdown] tags=["solution:01.4"]
# solution

# %% [markdown]
# **Experiment.** `rkd` with the weights usual in image classification (25 for distances, 50 for angles) and with a fifth of them. The yardstick is the correlation between the student's and the teacher's distances, over all pairs of 200 held-out names. In the table, *logits* is the *whole* teacher of section 1.

# %%
predict("01.e")

# %%
from kd_lab.methods import rkd
from kd_lab.what.relations import embed, relations

mine = torch.as_tensor(distance_relation(of_teacher[:50], counted[:50])).float()
library, _ = relations(embed(of_teacher[:50], counted[:50]))
torch.testing.assert_close(mine, library, rtol=1e-4, atol=1e-4)
students["RKD"] = teach(rkd(), honest)
students["RKD ÷ 5"] = teach(rkd(distance_weight=5.0, angle_weight=10.0), honest)
crowd, pairs = slice(0, 200), torch.triu_indices(200, 200, 1).unbind()


def stand(hidden):
    return torch.as_tensor(distance_relation(hidden[crowd], counted[crowd])).float()


where_teacher = stand(of_teacher)


def alike(hidden):
    """The correlation of the distances between names with the teacher's."""
    return torch.corrcoef(torch.stack([stand(hidden)[pairs], where_teacher[pairs]]))[0, 1].item()


# %% tags=["hide-input"]
from kd_lab.lessons.l01_what.figures import summary

for name in ("RKD", "RKD ÷ 5"):
    look_inside(name, map(features, students[name]))
    bits[name] = bits_of(students[name])
likeness = {name: torch.tensor([alike(features(s)) for s in students[name]]) for name in inside if name in students}
likeness["letter only"] = torch.tensor([alike(letters)])
display(Markdown(summary(inside, likeness, bits, bits_per_character(teacher, held_out))))
risen = inside["RKD ÷ 5"][0] - inside["label"][0]
behind_hints = inside["FitNets"][0] - inside["RKD ÷ 5"][0]
reveal("01.e", behind_hints=behind_hints.mean(), risen=risen.mean())
claim(
    "C01d",
    "Relations move the student's distances toward the teacher's.",
    likeness["RKD"] - likeness["label"],
    unit="of correlation above a student of labels",
    above=0.2,
)
claim(
    "C01d",
    "Relations at a fifth of the weight move the features too: CKA rises, without any hint.",
    risen,
    unit="of CKA above a student of labels",
    above=0,
)
claim("C01d", "Hints move the features further than relations do.", behind_hints, unit="of CKA", above=0)
claim(
    "C01d",
    "For predicting, relations are worth less than logits, also at a fifth of the weight.",
    bits["RKD ÷ 5"] - bits["whole"],
    unit="bits per character behind logits",
    above=0,
)
# %% [markdown]
# **Explore.** What was learned: the same twelve names in the teacher and in one of the students (the first seed); dark is near. Right: all pairs of 200 names.

# %% tags=["hide-input"]
from kd_lab.lessons.l01_what.explorers import relation_explorer

everyone = world.vocabulary.decode(held_out.tokens[crowd])
front = [i for i, name in enumerate(everyone) if 4 <= len(name) <= 8][:12]
order = torch.tensor([*front, *(i for i in range(200) if i not in front)])


def ordered(matrix):
    return matrix[order][:, order].numpy()


stored = {
    name.replace("whole", "logits"): ordered(stand(features(students[name][0])))
    for name in ("untrained", "label", "whole", "FitNets", "RKD")
}
relations_explorer = relation_explorer(ordered(where_teacher), stored, [everyone[i] for i in front], start="label")
relations_explorer.show()

# %% tags=["hide-input"]
relations_explorer.filmstrip([{"student": each} for each in ("untrained", "label", "logits", "RKD")])

# %% [markdown]
# **What came out.** Compare each row with *untrained* and *letter only*: the last letter alone correlates with the teacher's distances better than a student of labels does.
#
# - **Hints** transfer more than they copy: beside the highest CKA stands nearly the correlation that RKD is trained for.
# - **Relations** transfer the distances and, at a fifth of the weight, more than half of what hints gain in CKA.
# - **Logits** at τ = 1 give the best predictions and raise CKA least: to be alike inside and to speak alike are two things.
#
# In the paper relations shone in metric learning, where distances *are* the output. Here, at full weight, they predict no better than labels.
#
# ## On a real LLM (optional)
#
# Back to temperature, with 49,152 tokens in place of 27 symbols: the teacher is SmolLM2-135M ([lesson 13](13_real_llm.ipynb)).
# *Rivals* are the other tokens that are stored one by one; *rest* is all that remains, stored as one number.
# How the rest is spread is not known, so the entropy has two bounds.
# On the left, *others* are all tokens that have no bar of their own.
#
# How much of the mass is not the label's?
# Who gains when τ rises, the rivals or the rest?
# And what would a student learn from a cache of the likeliest hundred tokens at τ = 4?

# %% tags=["hide-input"]
from kd_lab.lessons.l01_what.explorers import real_temperature_explorer

real_temperature = real_temperature_explorer()
real_temperature.show()

# %% tags=["hide-input"]
real_temperature.filmstrip([{}, "τ = 2", "τ = 4", "a sure teacher", "the sure one, τ = 2"])

# %% [markdown]
# ## In the wild
#
# The loud first position is no quirk of our teacher: Sun and others (2024) found activations up to 100,000 times larger than others in LLMs, some of them at the starting token.
# DistilBERT, with soft targets and a cosine loss on hidden states, is 40 % smaller than BERT and keeps 97 % of its language understanding.
# MiniLM copies relations *between the positions of one text*, we between texts.
# Our scale does not carry over to theirs.
#
# ## Discuss
#
# *For two people, ten minutes.* Your student has another vocabulary than its teacher, so that logits cannot be compared. Would you copy features, relations or text? What must you see of the teacher for each, and how would you find out whether it helped? Why might a high CKA *not* be a success?

# %% [markdown] tags=["teacher"]
# **Expected answers.** Features need a white-box teacher and positions that match: with another tokenizer, positions of student and teacher stand for different pieces of text, and a hint compares apples with pears unless they are aligned at common boundaries. Relations between whole texts (or sentences) survive a change of tokenizer, since they need one vector per text; but they say little about the next token. Text survives everything and needs no access at all (lesson 02). Judge by held-out likelihood or by the task, not by the loss that was trained. A high CKA can come with worse predictions: it measures where the variance is, a few large features can carry it, and the student may spend its capacity on directions that the teacher's head never reads. **Misconceptions:** “temperature makes the student softer” (it is removed after training); “multiply by τ² to be safe” (the library already does); “soft labels are label smoothing” (in bits, at equal entropy and without knowledge of the place, the student is worse off than with labels); “the projector must be kept” (it is thrown away). **Timing:** 50 minutes alone, 70 in a class; section 1 makes a lecture of its own.

# %% [markdown]
# ## Recap
#
# 1. WHAT can be copied: the logits of each position, the features inside, the relations between texts.
# 2. Soft targets beat labels on few names. Here, in bits, softness alone did not: what paid was knowing which other letters are likely at this place.
# 3. The factor τ² keeps the gradient's size; for large τ the loss becomes regression on centred logits, divided by V. With a teacher as unsure as ours, τ = 4 taught worse than τ = 1.
# 4. Hints through a projector bring features close and help to predict; relations bring distances close and, at a fifth of the usual weight, features too. Leave the first position out of both.
# 5. Judge by a measure that was not trained on, with texts that were not seen, and beside an untrained student and one trained without the method.
#
# ## Quiz

# %%
quiz("01")

# %% [markdown]
# ## Glossary
#
# **Dark knowledge** how a teacher ranks and weighs the answers below its first. **Features** or **hidden states** the numbers of a layer inside a model. **Hint** a teacher's features that a student's layer is guided by. **Projector** a learned matrix between two widths. **Relation** a number that says how two or three texts stand to one another. **CKA** a similarity of two sets of features that ignores rotation and scale.
#
# ## Papers
#
# - Hinton, Vinyals & Dean 2015, [1503.02531](https://arxiv.org/abs/1503.02531): section 2 and equation 1 the temperature; section 2.1, equations 2 to 4 the gradient and its limit.
# - Furlanello et al. 2018, “Born-Again Neural Networks”, [1805.04770](https://arxiv.org/abs/1805.04770): targets with a permuted dark part (DKPP).
# - Romero et al. 2015, “FitNets”, [1412.6550](https://arxiv.org/abs/1412.6550), equation 3: the hint loss.
# - Park et al. 2019, “Relational knowledge distillation”, [1904.05068](https://arxiv.org/abs/1904.05068), section 3: distances and angles.
# - Yuan et al. 2020, [1909.11723](https://arxiv.org/abs/1909.11723), and Tang et al. 2020, [2002.03532](https://arxiv.org/abs/2002.03532): how much of distillation is softness.
# - Szegedy et al. 2016, [1512.00567](https://arxiv.org/abs/1512.00567), section 7: label smoothing.
# - Kornblith et al. 2019, [1905.00414](https://arxiv.org/abs/1905.00414): CKA.
# - Sun et al. 2024, [2402.17762](https://arxiv.org/abs/2402.17762): massive activations, some of them at the first position.
# - Sanh et al. 2019, [1910.01108](https://arxiv.org/abs/1910.01108): DistilBERT. Wang et al. 2020, [2002.10957](https://arxiv.org/abs/2002.10957): MiniLM.
#
# ## Next
#
# [Lesson 02](02_word_and_sequence.ipynb) stays with the outputs and asks how much of a teacher one has to see: every conditional, or only its text.
