# %% [markdown]
# # 01 · WHAT: logits, features, relations
#
# After this lesson you can copy a teacher in three places, at its outputs, inside it and between its texts, and say what each of them brings and what it does not.

# %%
import torch

from kd_lab.lessons.l01_what.explorers import draw_map
from kd_lab.models import load_teacher
from kd_lab.viz import TEACHER, course_style, new_figure, show
from kd_lab.viz.plots import letter_bars, set_bars
from kd_lab.what.relations import embed, relations
from kd_lab.worlds import surnames

torch.set_num_threads(1)  # the models are tiny: a second thread would only wait for the first
world, teacher = surnames(), load_teacher("surnames")
NAMES = ["smith", "schmitz", "schwartz", "martin", "martinez", "ramirez", "nguyen", "huang", "obrien", "oconnor"]
tokens = world.vocabulary.encode(NAMES)
with torch.no_grad():
    logits, hidden = teacher(tokens[:, :-1], return_hidden=True)
counts = torch.arange(logits.shape[1]) <= torch.tensor([[len(name)] for name in NAMES])

hook = new_figure(780, 290)
with course_style():
    logit, feature, relation = hook.subplots(1, 3, width_ratios=(5, 4, 4))
    (bars,) = letter_bars(logit, ["·", *world.vocabulary.symbols[1:]])
    logit.tick_params(axis="x", labelsize=7)
    set_bars(bars, logits[0, 2].softmax(-1).tolist())
    logit.set(ylim=(0, 0.4), title="logits: what follows “sm”")
    rows = hidden[-1][0, : len(NAMES[0])].clamp(-20, 20)
    feature.imshow(rows, aspect="auto", interpolation="nearest", cmap="cividis")
    feature.set_yticks(range(len(NAMES[0])), ["·" + NAMES[0][:t] for t in range(len(NAMES[0]))])
    feature.set(xlabel="feature", title="features: the last block")
    draw_map(relation, relations(embed(hidden[-1], counts))[0].numpy(), NAMES, "relations: near and far")
show(
    hook,
    "Three things that one teacher can show about the same names. Left, 27 numbers at each position, what comes next (the dot is the mark that begins and ends a name). Middle, the 128 numbers of its last block "
    "at each position (from −20 in blue to 20 in yellow, what lies beyond is cut). Right, one number for each pair of names: how far apart the teacher keeps them, dark is near.",
    alt="Left a bar chart of letters after sm, middle a heat map of features for each prefix of smith, right a matrix of distances among ten surnames.",
)

# %% [markdown] tags=["card"]
# **You will be able to**
#
# - write the loss of Hinton's distillation, with its temperature and its τ², and say what it turns into when τ is large;
# - tell how much of a distillation's gain is dark knowledge, by an experiment;
# - copy features through a projector, and relations without one;
# - measure on held-out texts whether a student has come closer to its teacher, inside and outside.
#
# **Before this:** [lesson 00](00_the_map.ipynb): a model is a tree of conditionals, and WHAT is the first of the three knobs.
#
# **Time:** 40 minutes to read and do. {{measured}}

# %%
from IPython.display import Markdown, display

from kd_lab.classroom import Question, claim, exercise, predict, quiz, setup

seed = setup("01", threads=1)

# %% [markdown]
# ## 1 · What the wrong letters know
#
# Take “sm” in Smith. The label says *i* and nothing else. The teacher finds *i* and *a* about equally likely, then *e* and *o*, and rules *x* out. Hinton called what lies below the top **dark knowledge**: how likely each wrong answer is, compared with the other wrong ones.
#
# That soft targets help was seen in lesson 00. *Why* they help is another matter, for two explanations compete:
#
# - The student is told which wrong letters are nearly right.
# - The student is merely kept from becoming too sure. **Label smoothing** does that without any teacher: it takes a share $\varepsilon$ of the label's mass and spreads it evenly.
#
# An experiment can part them: *keep* how sure the teacher is of its first choice, and *permute* the rest among the other 26 letters. All softness stays, the dark knowledge is gone. (Permuted anew at every position, it comes on average to spreading the rest evenly.) Furlanello and others (2018) did it with images.

# %%
whence = predict(
    "500 names, one small student. How many of the held-out bits that soft targets gain over labels will be left once the dark part is permuted?",
    ["nearly all: softness is what helps", "about half", "none"],
)

# %%
from torch.nn.functional import one_hot

few = world.subset(500, seed=seed)
with torch.no_grad():
    teacher_logits = teacher(few.train.inputs)
labels, whole = one_hot(few.train.targets, 27).float(), teacher_logits.softmax(-1)


def permuted(p, generator):
    """The top probability stays where it is; all others change places at random, anew at every position."""
    values, ids = p.sort(-1, descending=True)
    order = torch.rand(p.shape, generator=generator).scatter(-1, ids[..., :1], -1.0).argsort(-1)  # the top letter first
    return torch.zeros_like(p).scatter(-1, order, values)


smoothed = 0.9 * labels + 0.1 / 27
scrambled = permuted(whole, torch.Generator().manual_seed(seed))
assert torch.equal(scrambled.argmax(-1), whole.argmax(-1))
torch.testing.assert_close(scrambled.sort(-1).values, whole.sort(-1).values)
TARGETS = {"label": labels, "smoothed": smoothed, "permuted": scrambled, "whole": whole}

figure = new_figure(780, 230)
with course_style():
    first = [name[:2] for name in world.vocabulary.decode(few.train.tokens)].index("ma")
    for axes, (name, target) in zip(figure.subplots(1, 4, sharey=True), TARGETS.items(), strict=True):
        (bars,) = letter_bars(axes, ["·", *world.vocabulary.symbols[1:]])
        axes.tick_params(axis="x", labelsize=5.5)
        axes.set(title=name, ylabel="probability" if name == "label" else "")
        set_bars(bars, target[first, 2].tolist())
show(
    figure,
    f"What four teachers say after “ma” in the name {world.vocabulary.decode(few.train.tokens[first : first + 1])[0]}. The third is as soft as the fourth, bar for bar, and knows the first choice only.",
    alt="Four bar charts over the letters: one bar; one bar with a faint floor; a top bar with scattered others; the teacher's distribution.",
)

# %% [markdown]
# Three seeds each, with the same student, the same names in the same order, and 160 steps of 32 names. A `CachedTeacher` repeats the answers that it has given once, or doctored ones that it was told. Two yardsticks on held-out names: **bits a character**, which judge the whole distribution, and **accuracy**, how often the first choice is the letter that came.

# %%
from kd_lab.measure import bits_per_character, mean_interval
from kd_lab.methods import distill, hinton, labels_only, word_level
from kd_lab.models import GPT, CachedTeacher, GPTConfig

held_out = world.held_out[slice(0, 600)]


def new_student(number):
    return GPT(GPTConfig(vocab_size=27, context=world.context, layers=1, heads=2, width=48), seed=number)


def teach(recipe, guide):
    """Three students, one a seed."""
    students = [new_student(number) for number in range(3)]
    rest = {"steps": 160, "batch_size": 32, "learning_rate": 0.01, "progress": False}
    for number, student in enumerate(students):
        distill(student, guide, few, recipe, seed=number, **rest)
    return students


@torch.no_grad()
def accuracy(student):
    right = student(held_out.inputs).argmax(-1) == held_out.targets
    return right[held_out.mask].double().mean().item()


honest = CachedTeacher(teacher)
students = {"labels": teach(labels_only(), None), "whole": teach(word_level(), honest)}
for name, target in (("smoothed", smoothed), ("permuted", scrambled)):
    students[name] = teach(word_level(), CachedTeacher(teacher).tell(few.train.inputs, target.log()))
bits = {name: torch.tensor([bits_per_character(s, held_out) for s in group]) for name, group in students.items()}
first_choice = {name: torch.tensor([accuracy(s) for s in group]) for name, group in students.items()}

# %%
from kd_lab.viz import BASELINE, DIVERGENCES, STUDENT
from kd_lab.viz.seeds import draw_seeds

order = ("labels", "smoothed", "permuted", "whole")
looks = (BASELINE, DIVERGENCES["jsd"], DIVERGENCES["reverse_kl"], STUDENT)
figure = new_figure(780, 250)
with course_style():
    left, right = figure.subplots(1, 2, sharey=True)
    draw_seeds(left, {name: bits[name].tolist() for name in order}, looks)
    draw_seeds(right, {name: first_choice[name].tolist() for name in order}, looks)
    left.set(xlabel="held-out bits a character, left is better", xlim=(3.1, 4.1))
    right.set(xlabel="held-out accuracy, right is better", xlim=(0.22, 0.34))
lift = first_choice["permuted"] - first_choice["labels"]
share = lift.mean() / (first_choice["whole"] - first_choice["labels"]).mean()
show(
    figure,
    "Markers are seeds, bars the 95 % interval of their mean. In bits everything hangs on the dark part: permuted, it is worse than labels. "
    + f"In accuracy {share:.0%} of the gain comes with the teacher's first choice alone.",
    alt="Four rows of markers in two panels. Bits: whole lowest, labels and smoothed together, permuted highest. Accuracy: whole highest, permuted next, labels and smoothed lowest.",
)
gain, smoothing = bits["labels"] - bits["whole"], bits["labels"] - bits["smoothed"]
left_over = bits["labels"] - bits["permuted"]
whence.reveal(
    "none" if left_over.mean() < 0.1 * gain.mean() else "about half",
    f"The whole teacher puts its student {gain.mean():.2f} bits ahead of labels, the permuted one {abs(left_over.mean()):.2f} {'ahead' if left_over.mean() > 0 else 'behind'}.",
)
claim(
    "C01a",
    "Soft targets carry more than labels: the student that sees them is ahead.",
    gain,
    unit="bits a character",
    holds=gain.min() > 0.1,
)
claim(
    "C01a",
    "Label smoothing, which needs no teacher, has the larger part of that gain.",
    smoothing / gain,
    unit="of the gain",
    holds=smoothing.mean() > gain.mean() / 2,
)
claim(
    "C01a",
    "The gain outlives a permuted dark part, so it is softness and not knowledge.",
    left_over,
    unit="bits a character ahead of labels",
    holds=left_over.mean() > gain.mean() / 2,
)
claim(
    "C01a",
    "The teacher's first choice and its confidence alone, with a permuted dark part, still choose better than labels do.",
    lift,
    unit="of accuracy",
    holds=lift.min() > 0,
)
# %% [markdown]
# **What this shows and what not.** In bits the gain is dark knowledge, all of it; neither kind of softness has a share. In accuracy the first choice alone already helps: a teacher who has read 18,000 names knows better than one name does what usually follows. Both are knowledge, and only the second fits into one letter.
#
# Two limits. A next-letter teacher is unsure: its first choice has little more than a third of the mass, so nearly two thirds are “dark”, and permuting them tells many lies. For an image classifier that is sure to 95 % the same test is far milder. And with so few steps the labels have not yet been learned by heart, which is when smoothing would help.
#
# ## 2 · Temperature
#
# A sure teacher hides what it knows: a letter at one in a thousand and one at one in a million both hardly move the loss. **Temperature** $\tau$ divides all logits before the softmax, on both sides. With $u$ and $z$ the logits of teacher and student:
#
# $$p_\tau=\mathrm{softmax}(u/\tau),\qquad q_\tau=\mathrm{softmax}(z/\tau),\qquad \mathcal L=\tau^2\,\mathrm{KL}(p_\tau\|q_\tau).$$
#
# **Explore.** Press the arrow keys on τ. Watch the bars on the left (the axis is a square root, so that small ones show) and the two dots on the right, then type a prefix of your own.

# %%
why_squared = predict(
    "Without the factor τ², going from τ = 1 to τ = 8 makes the gradient on the student's logits about …",
    ["8 times smaller", "64 times smaller", "as large as before"],
)

# %%
from kd_lab.lessons.l01_what.explorers import temperature_explorer

explorer = temperature_explorer(teacher, students["labels"][0], world.vocabulary, start="ma")
explorer.show()

# %%
explorer.filmstrip(["as it is", "softened", "a sure teacher", "the sure one, softened"])

# %% [markdown]
# **Derive.** The gradient of a softmax's cross-entropy is *q − p*, and the inner derivative of $z/\tau$ adds $1/\tau$:
#
# $$\frac{\partial}{\partial z_v}\,\tau^2\,\mathrm{KL}(p_\tau\|q_\tau)=\tau^2\cdot\frac1\tau\,\big(q_\tau(v)-p_\tau(v)\big)=\tau\,\big(q_\tau(v)-p_\tau(v)\big).$$
#
# One factor $1/\tau$ is lost in the chain rule. A second one goes because the two distributions approach each other, and both are what $\tau^2$ gives back.
#
# **By hand, with three tokens.** Let $u=(\ln 4,0,0)$, so $p=(\tfrac23,\tfrac16,\tfrac16)$, and $z=(0,0,0)$, so $q_\tau=(\tfrac13,\tfrac13,\tfrac13)$ at every τ. The first component of the gradient:
#
# | τ | $p_\tau$ | without τ² | with τ² |
# |---|---|---|---|
# | 1 | ⅔, ⅙, ⅙ | −⅓ | −⅓ |
# | 2 | ½, ¼, ¼ | −¹⁄₁₂ | −⅓ |
# | ∞ | ⅓, ⅓, ⅓ | 0 | −(2/9)·ln 4 = −0.31 |
#
# The last row is what you will work out in exercise 01.2.

# %% [markdown]
# ### Exercise 01.1 · Soft targets (●○○, 6 minutes)
#
# The loss above at every position, in nats. Both logits are `[..., V]`.


# %%
@exercise("01.1")
def soft_loss(student_logits, teacher_logits, temperature):
    """τ²·KL(p‖q) with both sides softened by τ, in nats: [..., V], [..., V], a number -> [...]."""
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Who is softened, and who weighs the terms? What should come out where student and teacher agree?
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
    """What the gradient of τ²·KL with respect to the student's logits tends to as τ → ∞: [..., V] -> [..., V]."""
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
# **Experiment.** Your loss must be the library's. In the library `softmax_kl` carries the $\tau^2$ already (`scale_by_t2=True`), so multiplying once more is a popular mistake. Then the gradient, over every prefix of 100 held-out names, by three students.

# %%
from kd_lab.how import softmax_kl

names = world.held_out[slice(0, 100)]


def gradient_at(z, u, tau, scaled=True):
    """The gradient of the softened forward KL with respect to the student's logits, one row a prefix."""
    z = z.clone().requires_grad_()
    loss = softmax_kl(z, u, temperature=tau, reduction="sum", scale_by_t2=scaled)
    return torch.autograd.grad(loss, z)[0]


TAUS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 1000.0)
size, bare, off = torch.zeros(3, 3, len(TAUS), dtype=torch.float64)
with torch.no_grad():
    u = teacher(names.inputs)[names.mask].double()
    seen = [student(names.inputs)[names.mask].double() for student in students["labels"]]
for row, z in enumerate(seen):
    torch.testing.assert_close(soft_loss(z, u, 4.0), softmax_kl(z, u, temperature=4.0, reduction="none"))
    limit = limit_gradient(z, u)
    for column, tau in enumerate(TAUS):
        gradient = gradient_at(z, u, tau)
        size[row, column] = gradient.norm(dim=-1).mean()
        bare[row, column] = gradient_at(z, u, tau, scaled=False).norm(dim=-1).mean()
        off[row, column] = ((gradient - limit).norm(dim=-1) / limit.norm(dim=-1)).max()
table = "\n".join(f"| {tau:g} | {size[0, i]:.3f} | {bare[0, i]:.2g} | {off[0, i]:.1%} |" for i, tau in enumerate(TAUS))
display(
    Markdown(
        f"One student, {len(u)} prefixes:\n\n| τ | norm with τ² | norm without | farthest from the limit |\n|---|---|---|---|\n{table}"
    )
)
why_squared.reveal("64 times smaller", f"Measured: {(bare[:, 0] / bare[:, 3]).mean():.0f} times on average.")
claim(
    "C01b",
    "With τ² the gradient keeps its size: at τ = 32 it is between half and twice as long as at τ = 1.",
    size[:, 5] / size[:, 0],
    unit="of its length at τ = 1",
    holds=((size[:, 5] / size[:, 0] > 0.5) & (size[:, 5] / size[:, 0] < 2)).all(),
)
claim(
    "C01b",
    "Without τ² it is lost: at τ = 32 less than a hundredth is left.",
    bare[:, 5] / bare[:, 0],
    unit="of its length at τ = 1",
    holds=(bare[:, 5] / bare[:, 0] < 0.01).all(),
)
claim(
    "C01b",
    "It tends to the centred difference of the logits over V.",
    off[:, 6],
    unit="relative deviation at τ = 1000, the largest over the prefixes",
    holds=(off[:, 6] < 0.02).all(),
)
claim(
    "C01b",
    "The rest of the way shrinks as 1/τ: doubling τ halves it.",
    off[:, 5] / off[:, 4],
    unit="of the deviation at τ = 16 is left at τ = 32",
    holds=((off[:, 5] / off[:, 4] > 0.4) & (off[:, 5] / off[:, 4] < 0.6)).all(),
)
# %% [markdown]
# So a large τ asks for something else: no longer the probabilities, but all logits alike, those of letters that never come as much as those that do. Is that a better lesson? Hinton's teachers were sure of their digits, and softening uncovered what they knew.

# %%
warmer = predict(
    "Our teacher of letters is unsure by nature. Does τ = 4 teach better than τ = 1?",
    ["yes", "no clear difference", "no: worse"],
)

# %%
students["whole, τ = 4"] = teach(hinton(temperature=4.0, label_weight=0.0), honest)
bits["whole, τ = 4"] = torch.tensor([bits_per_character(s, held_out) for s in students["whole, τ = 4"]])
softer = bits["whole"] - bits["whole, τ = 4"]
warmer.reveal(
    "no: worse" if softer.max() < 0 else "no clear difference",
    "Nothing was hidden that softening could uncover, and effort goes into letters that never come.",
)
claim(
    "C01a",
    "A higher temperature teaches better: τ = 4 is ahead of τ = 1.",
    softer,
    unit="bits a character ahead",
    holds=softer.min() > 0,
)
# %% [markdown]
# ## 3 · Features: a hint through a projector
#
# On its way to 27 logits the teacher makes 128 numbers a position in each of its blocks, its **features**. FitNets (Romero and others, 2015) lets the student copy them: let $h_t$ be the student's features at position $t$, here 48 of them, and $g_t$ the teacher's 128. A **projector** $W$, a matrix of 128 rows and 48 columns, is learned beside the student and thrown away after training:
#
# $$\mathcal L_{\text{hint}}=\frac1n\sum_{t}\tfrac12\,\|W h_t-g_t\|^2,$$
#
# the mean taken over the $n$ positions that count. The likelihood of the text is added, or else the head would learn nothing.
#
# **By hand.** $h=(1,2)$, $W$ with the rows $(1,0),(0,1),(1,1)$, so $Wh=(1,2,3)$. With $g=(1,0,3)$ the hint costs $\tfrac12(0+4+0)=2$, and its gradient with respect to $Wh$ is $(0,2,0)$.
#
# What must be true of the student afterwards? Not that its features *equal* the teacher's: the widths differ. Only that the teacher's can be *read off* them by a linear map.

# %%
already = predict(
    "A student that never saw the teacher, only labels. What share of the variance of the teacher's features can the best linear map read off its own?",
    ["next to nothing", "about half", "more than three quarters"],
)

# %% [markdown]
# ### Exercise 01.3 · A hint (●●○, 8 minutes)
#
# `student_hidden` is `[B, T, 48]`, `projector` `[128, 48]`, `teacher_hidden` `[B, T, 128]`; `mask` `[B, T]` is true where a position counts. Return one number. The teacher must not be moved by it.


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
# **Experiment.** The recipe `fitnets` guides the last block by the teacher's last one. Its weight needs thought: features have a scale of their own. We take the weight at which the hint starts at about 20 nats beside the 3 of the likelihood.
#
# To judge by the trained loss would be circular. Instead, on held-out names: **unexplained**, the share of the teacher's variance that the best linear map (fitted on one half of the positions, tried on the other) cannot read off the student; and **CKA**, a similarity of two sets of features that knows no axes and no scale, 1 where they agree up to a rotation.

# %%
from kd_lab.how import SquaredError
from kd_lab.methods import fitnets


def cka(x, y):
    """Linear centred kernel alignment of features [N, W] and [N, W']."""
    x, y = x - x.mean(0), y - y.mean(0)
    return ((x.T @ y).square().sum() / ((x.T @ x).norm() * (y.T @ y).norm())).item()


def unexplained(x, y):
    """The share of the variance of y that no linear map of x finds, on rows that the map was not fitted to."""
    x, half = torch.cat([x, torch.ones(len(x), 1)], 1), len(x) // 2
    rest = y[half:] - x[half:] @ torch.linalg.lstsq(x[:half], y[:half]).solution
    return (rest.square().sum() / (y[half:] - y[half:].mean(0)).square().sum()).item()


@torch.no_grad()
def features(model):
    return model(held_out.inputs, return_hidden=True)[1][-1]


of_teacher = features(teacher)
weight = 0.001
with torch.no_grad():
    projector = torch.randn(128, 48, generator=torch.Generator().manual_seed(seed)) / 48**0.5
    guessed = features(new_student(0))
    by_hand = weight * hint_loss(guessed, projector, of_teacher, held_out.mask)
    flat = torch.zeros(*held_out.mask.shape, 27)
    by_library = SquaredError(weight)((guessed @ projector.T, flat), of_teacher, held_out)
torch.testing.assert_close(by_library - by_hand, torch.tensor(27.0).log(), rtol=1e-4, atol=1e-4)

students["FitNets"] = teach(fitnets(weight=weight), honest)
inside = {}


def look_inside(name):
    """CKA and unexplained share of the three students, [2, 3]; and their bits, unless they are known."""
    pairs = [(features(s)[held_out.mask], of_teacher[held_out.mask]) for s in students[name]]
    if name not in bits:
        bits[name] = torch.tensor([bits_per_character(s, held_out) for s in students[name]])
    inside[name] = torch.tensor([[cka(*pair), unexplained(*pair)] for pair in pairs]).T


for name in ("labels", "whole", "FitNets"):
    look_inside(name)
print(
    f"A hint from an untrained student weighs {by_hand:.0f} nats beside {by_library - by_hand:.1f} of the likelihood."
)
read_off = 1 - inside["labels"][1].mean().item()
already.reveal(
    already.options[2] if read_off > 0.75 else already.options[1],
    f"{read_off:.0%}: whoever predicts letters has to know much the same things about a prefix.",
)
closer = inside["FitNets"][0] - inside["labels"][0]
claim(
    "C01c",
    "Hints move the features toward the teacher's: CKA rises, against a student trained without them.",
    closer,
    unit="of CKA",
    holds=closer.min() > 0.3,
)
misses = inside["FitNets"][1] / inside["labels"][1]
claim(
    "C01c",
    "What a linear map cannot read off the student is less than two thirds of what it was.",
    misses,
    unit="of the variance unexplained without hints",
    holds=misses.max() < 2 / 3,
)
helped = bits["labels"] - bits["FitNets"]
claim("C01c", "Hints help to predict.", helped, unit="bits a character ahead of labels", holds=helped.min() > 0.05)
beyond = bits["whole"] - bits["FitNets"]
claim("C01c", "They help more than logits do.", beyond, unit="bits a character ahead of logits", holds=beyond.min() > 0)
# %% [markdown]
# Which layer is copied matters: a last block stands one norm and one matrix away from the logits, so a hint there is nearly the logits in another dress. FitNets itself takes a layer in the middle, and trains hints first and the rest after.
#
# ## 4 · Relations: no projector at all
#
# Relational distillation (Park and others, 2019) asks for less. Never mind *where* the teacher puts a name: copy which names it puts *near one another*. Let $x_i$ be one vector for each name of a batch, the mean of its features over the positions that count. Then
#
# $$\psi_{ij}=\frac{\|x_i-x_j\|}{\mu},\qquad\mu=\frac{1}{B(B-1)}\sum_{i\ne j}\|x_i-x_j\|,$$
#
# and the student's $\psi$ is pulled toward the teacher's, pair by pair, by a Huber loss (squared for small differences, linear for large ones). A second term does the same for the cosine of the angle at $x_j$ in every triple. Both are numbers without a width: turn, shift or stretch all features, and nothing changes.
#
# **By hand.** Three names at the corners of a triangle with the sides 3, 4 and 5: μ = 4, so ψ = ¾, 1 and 1¼.

# %%
enough = predict(
    "Relations leave rotation, shift and scale free. Does a student trained on them end with a CKA as high as the one with hints?",
    ["yes, CKA ignores those too", "no, it stays far behind"],
)

# %% [markdown]
# ### Exercise 01.4 · How names stand to one another (●●○, 10 minutes)
#
# From `hidden` `[B, T, W]` and `mask` `[B, T]` to the matrix ψ `[B, B]`, the diagonal zero.


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
# **Experiment.** `rkd` with the weights of the paper (25 for distances, 50 for angles) and with a fifth of them. The yardstick: the correlation of distances between student and teacher over all pairs of 200 held-out names, none of which was in any batch.

# %%
import numpy as np

from kd_lab.methods import rkd

mine = distance_relation(of_teacher[:50], held_out.mask[:50])
torch.testing.assert_close(mine, relations(embed(of_teacher[:50], held_out.mask[:50]))[0], rtol=1e-4, atol=1e-4)

students["RKD"] = teach(rkd(), honest)
students["RKD ÷ 5"] = teach(rkd(distance_weight=5.0, angle_weight=10.0), honest)
for name in ("RKD", "RKD ÷ 5", "whole, τ = 4"):
    look_inside(name)
crowd = slice(0, 200)
pairs = torch.triu_indices(200, 200, 1).unbind()


def stand(hidden):
    return distance_relation(hidden[crowd], held_out.mask[crowd])


where_teacher = stand(of_teacher)
likeness = {
    name: [torch.corrcoef(torch.stack([stand(features(s))[pairs], where_teacher[pairs]]))[0, 1].item() for s in group]
    for name, group in students.items()
    if name in inside
}
METHODS = {
    "labels": "nothing",
    "whole": "27 numbers a position",
    "whole, τ = 4": "27 numbers a position",
    "FitNets": "128 numbers a position",
    "RKD": "128 numbers a name",
    "RKD ÷ 5": "128 numbers a name",
}


def cell(values):
    mean, half_width = mean_interval(np.asarray(values))
    return f"{mean:.2f} ± {half_width:.2f}"


rows = "\n".join(
    f"| {name.replace('whole', 'logits')} | {shown} | {cell(inside[name][0])} | {cell(inside[name][1])} | {cell(likeness[name])} | {cell(bits[name])} |"
    for name, shown in METHODS.items()
)
display(
    Markdown(
        "| student | what the teacher shows | CKA | unexplained | distances correlate | bits a character |\n|---|---|---|---|---|---|\n"
        + rows
        + f"\n\nHeld-out names, three seeds, 95 % intervals. The teacher itself: {bits_per_character(teacher, held_out):.2f} bits."
    )
)
alike = torch.tensor(likeness["RKD"]) - torch.tensor(likeness["labels"])
claim(
    "C01d",
    "Relations move the student's distances toward the teacher's, against a student trained without them.",
    alike,
    unit="of correlation, over pairs of held-out names",
    holds=alike.min() > 0.2,
)
as_hints = inside["RKD"][0] - inside["labels"][0]
claim(
    "C01d",
    "Relations move the features, position by position, as hints do: CKA rises by more than 0.3.",
    as_hints,
    unit="of CKA",
    holds=as_hints.min() > 0.3,
)
predicts = bits["labels"] - bits["RKD"]
claim(
    "C01d",
    "With the paper's weights relations help to predict.",
    predicts,
    unit="bits a character ahead of labels",
    holds=mean_interval(predicts.tolist())[0] - mean_interval(predicts.tolist())[1] > 0,
)
enough.reveal(
    enough.options[1] if as_hints.mean() < closer.mean() / 2 else enough.options[0],
    "RKD speaks of one mean vector a name. Of positions, over which CKA is taken, it says little, and seeds differ.",
)

# %% [markdown]
# **Explore** what was learned: the same twelve names in the teacher and in one of the students (the first seed).

# %%
from kd_lab.lessons.l01_what.explorers import relation_explorer

shown = [name for name in world.vocabulary.decode(held_out.tokens[crowd]) if 4 <= len(name) <= 8][:12]
everyone = world.vocabulary.decode(held_out.tokens[crowd])
front = [everyone.index(name) for name in shown]
crowd_order = torch.tensor([*front, *(i for i in range(200) if i not in front)])


def ordered(matrix):
    return matrix[crowd_order][:, crowd_order].numpy()


stored = {"untrained": ordered(stand(features(new_student(0))))}
for name in ("labels", "whole", "FitNets", "RKD"):
    stored[name.replace("whole", "logits")] = ordered(stand(features(students[name][0])))
relations_explorer = relation_explorer(ordered(where_teacher), stored, shown, start="labels")
relations_explorer.show()

# %%
relations_explorer.filmstrip(["untrained", "labels", "logits", "RKD"])

# %% [markdown]
# **What came out.** Each method moves what it copies. Relations arrive without hints, hints bring the relations along (whoever stands where the teacher stands also stands as far from the others), and logits bring the best predictions *without* making the student's inside look like the teacher's: CKA hardly differs from that of a student who never met it. Looking alike inside and speaking alike are two things.
#
# For predicting the next letter, the last column decides. Relations were made for retrieval, where distances between items *are* the output; here they tie the hands of a model of 30,000 weights. A fifth of the weight ties them less; whether it then helps is for three seeds hard to say, and the table says how hard.
#
# ## Discuss
#
# *For two people, ten minutes.* You distil a model whose vocabulary differs from the student's, so that logits cannot be compared. What would you copy: features, relations, text? What would you need to see of the teacher for each, and how would you find out whether it did any good? And why might a high CKA *not* be a success?

# %% [markdown] tags=["teacher"]
# **Expected answers.** Features need a white-box teacher and positions that match: with another tokenizer, positions of student and teacher stand for different pieces of text, and a hint compares apples with pears unless they are aligned at common boundaries. Relations between whole texts (or sentences) survive a change of tokenizer, since they need one vector a text; but they say little about the next token. Text survives everything and needs no access at all (lesson 02). Judge by held-out likelihood or by the task, not by the loss that was trained. A high CKA can come with worse predictions: it measures where the variance is, a few large features can carry it, and the student may spend its capacity on directions that the teacher's head never reads. **Misconceptions:** “temperature makes the student softer” (it is removed after training); “multiply by τ² to be safe” (the library already does); “soft labels are label smoothing” (the permuted teacher is as soft and worse than none); “the projector must be kept” (it is thrown away). **Timing:** 40 minutes alone, 60 in a class; section 1 makes a lecture of its own.

# %% [markdown]
# ## Recap
#
# 1. WHAT can be copied: the logits of each position, the features inside, the relations between texts.
# 2. Soft targets beat labels on few names, and in bits it is the dark part that does it: as soft without it, the student is worse off than with labels.
# 3. τ²·KL keeps its gradient's size; for large τ it becomes regression on centred logits, over V. With a teacher as unsure as ours, τ = 4 taught no better than τ = 1.
# 4. Hints through a projector bring features close and predictions some way; relations bring distances close, and with the paper's weights cost predictions.
# 5. Judge by something that was not trained, on texts that were not seen, beside a student without the method.
#
# ## Quiz

# %%
quiz(
    Question(
        "softmax_kl(z, u, temperature=4) already carries τ². Someone multiplies the result by 16 again. The gradient is …",
        {
            "16 times too large": "Yes: the factor is then there twice.",
            "right": "It was right before.",
            "unchanged, as Adam divides by its size": "Adam does hide it where this is the only term; beside labels the balance is off by 16.",
        },
        right="16 times too large",
    ),
    Question(
        "As τ → ∞ the student is asked to match …",
        {
            "the teacher's logits up to a constant": "Yes: the gradient is the centred difference over V.",
            "the uniform distribution": "Both softened sides go there, but τ² magnifies what is left of their difference.",
            "the teacher's first choice": "That is the other end, τ → 0.",
        },
        right="the teacher's logits up to a constant",
    ),
    Question(
        "A teacher's targets keep their top probability, and the rest is permuted. What has the student lost?",
        {
            "which wrong letters are nearly right": "Yes: the dark knowledge. The entropy is the same as before.",
            "how sure the teacher is": "That stays: the top probability and all others keep their values.",
            "the teacher's first choice": "It stays in its place.",
        },
        right="which wrong letters are nearly right",
    ),
    Question(
        "Why does RKD need no projector?",
        {
            "It compares numbers that have no width": "Yes: a distance is a number in a space of any dimension.",
            "Student and teacher have the same width": "They had 48 and 128 features here.",
            "The projector is folded into the head": "There is none.",
        },
        right="It compares numbers that have no width",
    ),
)

# %% [markdown]
# ## Glossary
#
# **Logits** the numbers before the softmax, one a token. **Soft target** a distribution to learn from in place of a label. **Dark knowledge** how a teacher ranks and weighs the answers below its first. **Label smoothing** a label with a share ε of its mass spread evenly. **Temperature** what all logits are divided by before the softmax. **Features** or **hidden states** the numbers of a layer inside a model. **Hint** a teacher's features that a student's layer is guided by. **Projector** a learned matrix between two widths, thrown away after training. **Relation** a number that says how two or three texts stand to one another. **CKA** a similarity of two sets of features that ignores rotation and scale.
#
# ## Papers
#
# - Hinton, Vinyals & Dean 2015, [1503.02531](https://arxiv.org/abs/1503.02531): section 2 and equation 1 the temperature; section 2.1, equations 2 to 4 the gradient and its limit.
# - Furlanello et al. 2018, “Born-Again Neural Networks”, [1805.04770](https://arxiv.org/abs/1805.04770): targets with a permuted dark part (DKPP).
# - Romero et al. 2015, “FitNets”, [1412.6550](https://arxiv.org/abs/1412.6550), equation 3: the hint loss.
# - Park et al. 2019, “Relational knowledge distillation”, [1904.05068](https://arxiv.org/abs/1904.05068), section 3: distances and angles.
# - Szegedy et al. 2016, [1512.00567](https://arxiv.org/abs/1512.00567), section 7: label smoothing.
# - Kornblith et al. 2019, [1905.00414](https://arxiv.org/abs/1905.00414): CKA.
#
# ## Next
#
# [Lesson 02](02_word_and_sequence.ipynb) stays with the outputs and asks how much of a teacher one has to see: every conditional, or only its text.
