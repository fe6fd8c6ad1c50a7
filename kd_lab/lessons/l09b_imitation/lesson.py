# %% [markdown]
# # 09b · Imitation, and where its data come from
#
# After this lesson you can tell a student that sounds like its teacher from one that can do what its teacher does, and choose a recipe for the examples that close the gap.

# %% tags=["hide-input"]
from kd_lab.lessons.l09b_imitation.figures import imitation_figure
from kd_lab.lessons.l09b_imitation.results import load_runs
from kd_lab.viz import show

runs = load_runs()
show(
    imitation_figure(runs, ["covered"], ["weak"]),
    "A student imitates answers of its teacher, and a judge looks at how its own are written. After a hundred examples nearly all of them pass. "
    "How many are right? The band is a 95 % interval over 5 seeds.",
    alt="Acceptance by a judge of style against the number of examples: a little over one half after 10, nearly all after 100 and 1,000.",
)

# %% [markdown] tags=["card"]
# **You will be able to**
#
# - measure style and capability apart, and say how often a judge is fooled;
# - test an imitator where its examples do not lead;
# - write the loops of Evol-Instruct and of verified sampling;
# - say what each of four recipes for data adds, and what it costs.
#
# **Before this:** [lesson 09](09_reasoning_traces.ipynb), for the world of moves and its verifier.
#
# **Time:** 35 minutes to read and do. {{measured}}

# %%
import numpy as np
import torch
from IPython.display import Markdown, display

from kd_lab.classroom import claim, exercise, predict, quiz, reveal, setup

seed = setup("09b")

# %% [markdown]
# ## 1 · Style and capability
#
# A problem is a digit and five moves, as in lesson 09; a trace writes the digit after every move.
# Our teacher is always right, and it has a **style**: every step, then a closing line that repeats the result.
#
# $$\texttt{47t9=132=2}$$
#
# Two **judges** look at an answer.
# The *weak judge* sees how it is written: as many steps as moves, and a closing line that agrees with the last step.
# It does not do the sum.
# The *strong judge* does the sum, and looks at nothing else.
# A person who compares two fluent answers on an unfamiliar subject is a weak judge; a test with known answers is a strong one.
#
# A judge is **fooled** by a wrong answer that it accepts. How often? We take the share of the wrong answers.
#
# ### Exercise 09b.1 · Fooled (●○○, 5 minutes)


# %%
@exercise("09b.1")
def fooled(accepted, right):
    """The share of the wrong answers that are accepted, or 0: two bool [N] -> float."""
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Which answers are in the denominator?
#
# </details>
# <details><summary>Hint 2</summary>
#
# `accepted[~right]` are the verdicts on the wrong ones; `.float().mean()` is their share. What is the mean of nothing?
#
# </details>

# %% [markdown] tags=["solution:09b.1"]
# solution

# %% [markdown]
# **The imitator** begins untrained and learns from $N$ answers of the teacher, always for the same number of steps.
# Its examples hold *additions alone*; we test it on additions and on problems that also multiply.

# %%
predict("09b.a")

# %%
predict("09b.b")

# %% [markdown]
# **Explore.** Answers of stored imitators, under both judges. Move the number of examples, then switch the problems.

# %% tags=["hide-input"]
from kd_lab.lessons.l09b_imitation.explorers import imitation_explorer

imitator = imitation_explorer(runs)
imitator.show()

# %% tags=["hide-input"]
few, many = 100, runs.sizes[-1]
found = {
    (size, judge, problems): runs.value("imitation", size, f"{judge} {problems}")
    for size in (0, *runs.sizes)
    for judge in ("weak", "strong")
    for problems in ("covered", "uncovered")
}
means = {key: values.mean() for key, values in found.items()}
style, sound = means[few, "weak", "covered"], means[few, "strong", "covered"]
reveal("09b.a", style=style, sound=sound)
style, sound = means[many, "weak", "uncovered"], means[many, "strong", "uncovered"]
reveal("09b.b", style=style, sound=sound, covered=means[many, "strong", "covered"])
show(
    imitation_figure(runs),
    "Style is there after a hundred examples, on both kinds of problem. The right answers come with a thousand, and only where the examples lead. Bands are 95 % intervals over 5 seeds.",
    alt="Acceptance against the number of examples. Left, covered problems: style is high from 100 examples on, right answers rise at 1,000. Right, uncovered problems: style is as high, right answers stay low.",
)

# %% tags=["hide-input"]
imitator.filmstrip([{}, "100 examples", "1,000 examples", "multiplications"])

# %% [markdown]
# **Experiment.** One imitator of your own seed, live: 100 examples, and both judges.

# %%
from kd_lab.lessons.l09b_imitation.experiment import problems_of
from kd_lab.lessons.l09b_imitation.judges import in_style, strong_judge, weak_judge
from kd_lab.lessons.l09b_imitation.pupils import train, write

examples = problems_of(seed + 50, 100, covered=True)
own = train(examples, [in_style(problem) for problem in examples], seed + 50)
texts = write(own, problems_of(seed + 60, 200, covered=True))
judges = (weak_judge, strong_judge)
accepted, right = (torch.tensor([judge(text) for text in texts]) for judge in judges)
print("such as", ", ".join(texts[:3]))
print(f"right: {right.float().mean():.0%}")
print(f"the weak judge is fooled by {fooled(accepted, right):.0%} of the wrong ones")

# %% tags=["hide-input"]
claim(
    "C09c",
    "A hundred examples are enough for the style.",
    found[few, "weak", "covered"],
    unit="of the answers accepted by the weak judge",
    above=0.8,
)
claim(
    "C09c",
    "A hundred examples are not enough for the answers, even on problems like them.",
    found[few, "strong", "covered"],
    unit="of the answers right; guessing has 0.1",
    below=0.3,
)
claim(
    "C09c",
    "With enough examples imitation does bring the capability, on problems that they cover.",
    found[many, "strong", "covered"],
    unit="of the answers right",
    above=0.4,
)
claim(
    "C09c",
    "Where the examples do not lead, style comes without capability.",
    found[many, "weak", "uncovered"] - found[many, "strong", "uncovered"],
    unit="more accepted by the weak judge than by the strong one",
    above=0.4,
)
claim(
    "C09c",
    "The weak judge refuses a student that is right and has no style.",
    found[0, "weak", "covered"],
    unit="of the plain student's answers accepted by the weak judge",
    below=0.05,
)
claim(
    "C09c",
    "A student without the style, taught 10,000 plain traces, is right most of the time.",
    found[0, "strong", "covered"],
    unit="of the plain student's answers right",
    above=0.5,
)

# %% [markdown]
# The last two claims are the control.
# A student with 10,000 plain traces of every kind of problem is mostly right, and the weak judge refuses all it writes: it judges style and nothing else.
#
# Why is style so quick? It is the same in every example: five digits, an equals sign, a copy of the last digit.
# What differs from one answer to the next is the digits. The capability is about these. A hundred examples show nearly every fact, each about five times, and that is not enough to learn it.
#
# ## 2 · Where examples come from
#
# The examples decide.
# Here a synthetic teacher can write problems and solve them, with a slip in 4 % of its moves.
# People have written 40 easy seed problems, of one or two moves. Four recipes make 4,000 examples of them:
#
# - **Self-Instruct** (Wang et al. 2022): the teacher writes more problems like the seeds, dropping those that are there already, and answers them.
# - **Evol-Instruct** (Xu et al. 2023): in rounds it rewrites each problem into a harder one, with a move more or a multiplication for an addition.
# - **Explanations** (Orca, Mukherjee et al. 2023): it answers with its steps and not with the result alone.
# - **Verified sampling**, today's habit: it answers up to six times, and a verifier keeps the first right answer.

# %% tags=["hide-input"]
from kd_lab.lessons.l09b_imitation.recipes import RECIPES
from kd_lab.lessons.l09b_imitation.recipes import examples as examples_of

lines = ["| recipe | examples, among them |", "|---|---|"]
for name, data in RECIPES.items():
    pairs = list(zip(*examples_of(data, seed)))
    some = "  ".join(f"`{problem}={answer}`" for problem, answer in pairs[:: len(pairs) // 5][:6])
    lines.append(f"| {name} | {some} |")
display(Markdown("\n".join(lines)))

# %% [markdown]
# ### Exercise 09b.2 · Evolve (●●○, 8 minutes)
#
# `rewrite(problem, round)` makes a problem harder, or returns it as it was: then this rewrite has failed, is left out of the data, and the problem is tried again in the next round.
# Each round goes on from the problems as the last round left them. Rounds are counted from 1.


# %%
@exercise("09b.2")
def evolve(seeds, rewrite, rounds):
    """The seeds, then round by round every rewrite that changed something, in one list."""
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Keep two lists: everything so far, and the problems as they are now.
#
# </details>
# <details><summary>Hint 2</summary>
#
# A failed rewrite equals the old problem: it belongs in the second list and not into the first.
#
# </details>

# %% [markdown] tags=["solution:09b.2"]
# solution

# %%
from kd_lab.lessons.l09b_imitation.recipes import harder, seed_problems

chance = np.random.default_rng(seed)
grown = evolve(seed_problems(chance, 3), lambda problem, _: harder(problem, chance), 3)
print(len(grown), "problems:", "  ".join(grown))

# %% [markdown]
# **Explore.** 100 problems over six rounds: one descent, and how many moves all of them have by then.

# %% tags=["hide-input"]
from kd_lab.lessons.l09b_imitation.explorers import evolution_explorer

evolution = evolution_explorer(seed)
evolution.show()

# %% tags=["hide-input"]
evolution.filmstrip([{}, "round 1", "round 3", "round 6"])

# %% [markdown]
# ### Exercise 09b.3 · Verified sampling (●●○, 7 minutes)
#
# `ask(problem, attempt)` is the teacher's answer at attempt 0, 1, …; `right(problem, answer)` is the verifier.
# One answer for each problem; a problem without a right answer in `tries` attempts is left out.


# %%
@exercise("09b.3")
def verified(problems, ask, right, tries):
    """A list of (problem, answer): the first right one of each problem that gets one."""
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# A loop over problems, a loop over attempts. When does the inner one end early?
#
# </details>
# <details><summary>Hint 2</summary>
#
# `break` leaves the inner loop alone, and the next problem follows.
#
# </details>

# %% [markdown] tags=["solution:09b.3"]
# solution

# %%
from kd_lab.lessons.l09b_imitation.recipes import TRIES, teacher_solves
from kd_lab.worlds import verify

pairs = verified(
    grown,
    lambda problem, _: teacher_solves(problem, chance),
    lambda problem, trace: verify(f"{problem}={trace}"),
    TRIES,
)
print("  ".join(f"{problem}={trace}" for problem, trace in pairs))

# %%
predict("09b.c")

# %% [markdown]
# **Experiment.** A student per recipe and seed, all with about as many examples and with equally many steps. (Of one or two moves there are only 1,820 different problems, so the easy recipes repeat theirs; and the few rewrites that failed stay in these data.) Explanations of easy problems are the control: with it evolution and explanation can be told apart.

# %% tags=["hide-input"]
from kd_lab.lessons.l09b_imitation.figures import recipes_figure, recipes_table

show(
    recipes_figure(runs),
    "Problems of five moves; each marker is one of 5 seeds. Harder problems or explanations alone do little; together they do much.",
    alt="Five rows of markers. Self-Instruct, Evol-Instruct and explanations of easy problems lie near 0.1; evolved problems with explanations, verified or not, lie far to the right.",
)
display(Markdown(recipes_table(runs)))
hard = {name: runs.value("recipe", name, "hard greedy") for name in runs.recipes}
level = {name: values.mean() for name, values in hard.items()}
easy_explained = "explanations, easy problems"
reveal(
    "09b.c",
    harder=level["Evol-Instruct"],
    explained=level[easy_explained],
    both=level["explanations"],
)

# %% tags=["hide-input"]
gain = {
    name: runs.value("recipe", "explanations, verified", name) - runs.value("recipe", "explanations", name)
    for name in ("easy drawn", "hard drawn")
}
claim(
    "C09d",
    "Harder problems without explanations do not teach five moves.",
    hard["Evol-Instruct"],
    unit="right on five moves; guessing has 0.1",
    below=0.3,
)
claim(
    "C09d",
    "Explanations of easy problems do not carry over to five moves.",
    hard[easy_explained],
    unit="right on five moves",
    below=0.3,
)
claim(
    "C09d",
    "Harder problems with explanations do teach five moves.",
    hard["explanations"] - hard["Evol-Instruct"],
    unit="more right on five moves than without explanations",
    above=0.3,
)
claim(
    "C09d",
    "Verified answers make a student that draws its tokens more reliable, on two moves.",
    gain["easy drawn"],
    unit="more right on two moves, drawn at temperature 1",
    above=0,
)
claim(
    "C09d",
    "Verified answers make a student that draws its tokens more reliable on five moves.",
    gain["hard drawn"],
    unit="more right on five moves, drawn at temperature 1",
    above=0,
)

# %% [markdown]
# Evolution sets *which* problems are seen, explanation *what* of the teacher's work is seen, verification *how true* it is.
# None stands in for another. The verifier adds least here: the slips are random and rare, and average out; they show in drawn answers to problems that the student has mastered, and on five moves the seeds leave its help open.
# Where a teacher's mistakes are systematic, a verifier meets lesson 09's ceiling.
#
# ## In the wild
#
# Gudibande et al. (2023) trained models of 1.5B to 13B parameters on up to 150 million tokens of ChatGPT's answers.
# Crowd workers rated them competitive with ChatGPT; tests with known answers found that they close little to none of the gap on tasks that the examples do not cover.
# Self-Instruct begins with tasks written by hand, and drops a new instruction that is too similar to one in the pool.
# What does not carry over: our student starts from nothing, and a language model from a pretraining that a few examples can call up.
#
# ## Discuss
#
# *For two people, ten minutes.* A vendor shows that 70 % of raters find its 7B model as good as the large model whose answers it was trained on.
# Which three tests would you ask for? And which recipe would you pay for if your users multiply?

# %% [markdown] tags=["teacher"]
# **Expected answers.** Tests: problems with known answers, in particular of kinds that the training answers do not cover; the raters' verdict on answers that are wrong but well written (how often are they fooled?), and on plain right ones; the base model before imitation, as the control. Recipe: problems that hold multiplications, evolved to the difficulty of use, with explanations, verified where a verifier exists; count the calls that verification costs. **Misconceptions:** "imitation never works" (on covered problems with enough examples it does); "more examples of the same kind will close the gap" (not on uncovered kinds); "a judge that agrees with people is a strong judge" (people may be weak judges too); "a verifier replaces good problems" (it removes wrong answers and adds no problem); "slips of the teacher are copied" (random ones average out under greedy decoding; the student that draws copies their frequency). **Timing:** 35 minutes alone, 55 in a class.

# %% [markdown]
# ## Recap
#
# 1. Style is the same in every example and is learned from a hundred; capability differs from answer to answer and takes a thousand here.
# 2. A weak judge accepts style. How often it is fooled is measured on wrong answers alone.
# 3. Where the examples do not lead, style comes without capability: test there.
# 4. Evolution makes problems harder, explanations show the way; here only both together teach long problems.
# 5. Verified sampling buys truth with more calls; random slips matter most to a student that draws its tokens.
#
# ## Quiz

# %%
quiz("09b")

# %% [markdown]
# ## Glossary
#
# **Imitation** fine-tuning on a stronger model's answers. **Style** how an answer is written. **Capability** whether it is right. **Weak, strong judge** one who sees style; one who does the sum. **Fooled** accepts a wrong answer. **Covered** of a kind that the examples hold. **Self-Instruct** more problems like the seeds. **Evol-Instruct** problems rewritten into harder ones, in rounds. **Explanation** an answer with its steps. **Verified sampling** asking until a verifier accepts.
#
# ## Papers
#
# - Gudibande et al., "The false promise of imitating proprietary LLMs", [2305.15717](https://arxiv.org/abs/2305.15717).
# - Wang et al., "Self-Instruct", [2212.10560](https://arxiv.org/abs/2212.10560).
# - Xu et al., "WizardLM", [2304.12244](https://arxiv.org/abs/2304.12244): Evol-Instruct.
# - Mukherjee et al., "Orca", [2306.02707](https://arxiv.org/abs/2306.02707): explanation traces.
#
# None of these papers has numbered equations; for the likelihood of the teacher's text see Kim & Rush, [1606.07947](https://arxiv.org/abs/1606.07947), equation 3.
#
# ## Next
#
# [Lesson 10](10_weak_to_strong.ipynb) asks how far a student can go past its teacher.
