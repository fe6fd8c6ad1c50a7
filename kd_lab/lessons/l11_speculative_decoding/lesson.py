# %% [markdown]
# # 11 · Distillation and serving: speculative decoding
#
# After this lesson you can let a small model write ahead for a large one, say what that does to the text, distil the small model for that job, and say beforehand whether it will be faster.

# %% tags=["hide-input"]
from kd_lab.lessons.l11_speculative_decoding.figures import hook_figure
from kd_lab.lessons.l11_speculative_decoding.results import stored_draft
from kd_lab.lessons.l11_speculative_decoding.rounds import write
from kd_lab.models import load_teacher
from kd_lab.viz import show

target, draft = load_teacher("surnames"), stored_draft("forward KL")
NUMBER = 6
hook = {"one guess ahead": write(target, draft, 1, NUMBER), "four guesses ahead": write(target, draft, 4, NUMBER)}
show(
    hook_figure(hook),
    "Two surnames, each written by two models. A row is one call of the large one, the target. Orange letters were guessed by a draft of a twenty-seventh of its size "
    "and accepted; blue ones the target wrote itself. The dot is the end. Without a draft every letter would take a call of its own.",
    alt="Two grids of letters. With one guess ahead a name grows by one or two letters per row; with four guesses ahead by up to five.",
)

# %% [markdown] tags=["card"]
# **You will be able to**
#
# - write the test by which a guess stands or falls, and prove what it does to the text;
# - compute the acceptance of a draft at the settings at which it is deployed;
# - choose the signal, the loss and the texts for distilling a draft;
# - predict the speed-up from acceptance and cost, and say where the prediction fails.
#
# **Before this:** [lesson 02](02_word_and_sequence.ipynb) (word-level distillation) and [lesson 03](03_which_kl.ipynb) (the divergences).
#
# **Time:** 45 minutes to read and do. {{measured}}

# %%
import numpy as np
import torch
from IPython.display import Markdown, display

from kd_lab.classroom import claim, exercise, predict, quiz, reveal, setup

seed = setup("11", threads=1)

# %% [markdown]
# ## 1 · A guess and a check
#
# A model writes one token per call, and in a call of a large model most of the time goes into reading its weights.
# Reading five tokens in one call takes hardly longer than reading one.
# **Speculative decoding** lives on that.
#
# - A cheap **draft** $q$ writes $\gamma$ tokens ahead, one after the other.
# - The **target** $p$ reads all of them in one call, and so knows its own distribution at each place.
# - From the left, a guess $x$ **stands** with probability $\min(1,\,p(x)/q(x))$.
# - At the first that falls, the target writes a token from the **residual**, $r\propto\max(0,\,p-q)$. What the draft wrote after it is thrown away.
# - If all stand, the target adds one token after the last.
#
# So every call yields at least one token, and at most $\gamma+1$.

# %%
predict("11.a")

# %% [markdown]
# **Explore.** The grid is a text, call by call. Below it are the three distributions at the first guess that falls.

# %% tags=["hide-input"]
from kd_lab.lessons.l11_speculative_decoding.explorers import rounds_explorer

rounds = rounds_explorer(target)
rounds.show()

# %% tags=["hide-input"]
rounds.filmstrip(["one guess ahead", {"guesses ahead γ": 4}, "eight guesses ahead", "the poorer draft"])

# %% [markdown]
# **Experiment.** On *echo*, an exact language of seven tokens, every outcome of a round can be listed: each guess, each place of the first fall, each token from the residual.
# The drafts here are random tables.

# %%
from kd_lab.lessons.l11_speculative_decoding.law import (
    again,
    distance,
    law_of_round,
    random_tables,
    target_law,
)
from kd_lab.worlds import language

echo = language("echo")
exact, errors, redrawn = target_law(echo.logp, 4), [], []  # of all texts of four tokens
for number in range(5):
    random = random_tables(echo.logp, seed + number)
    law, _ = law_of_round(random, echo.logp, guesses=3)
    errors.append(distance(law, exact))
    law, _ = law_of_round(random, echo.logp, guesses=3, replace=again)  # from p itself
    redrawn.append(distance(law, exact))
assert max(errors) < 1e-9, "one round is lossless, whatever the draft"
reveal("11.a", error=max(errors))

# %% tags=["hide-input"]
claim(
    "C11a",
    "Speculative decoding is lossless: after one round every text of an exact language has the target's probability.",
    max(errors),
    unit="largest total variation from the target, five random drafts",
    holds=max(errors) < 1e-9,
)
claim(
    "C11a",
    "Replacing a fallen guess from p itself, and not from the residual, changes the text.",
    redrawn,
    unit="total variation from the target",
    above=0.01,
    scale="log",
)

# %% [markdown]
# **Derive.** Why so? A token $x$ gets into the text in two ways.
#
# As a guess: drawn with probability $q(x)$, kept with $\min(1,p(x)/q(x))$, together $\min(p(x),q(x))$.
# Summed over $x$, a guess stands with probability
#
# $$\alpha=\sum_x\min(p(x),q(x)).$$
#
# Or from the residual: with probability $1-\alpha$ a guess falls, and then $x$ is drawn with probability $r(x)=\max(0,p(x)-q(x))/(1-\alpha)$.
# Both together are
#
# $$\min(p,q)+\max(0,p-q)=p.$$
#
# **By hand, three tokens.** Let $p=(0.5,\,0.3,\,0.2)$ and $q=(0.2,\,0.7,\,0.1)$.
# The overlap is $(0.2,\,0.3,\,0.1)$, so $\alpha=0.6$.
# What is missing is $(0.3,\,0,\,0.1)$, so $r=(\tfrac34,\,0,\,\tfrac14)$: the second token, which the draft says too often, is never written in place of a fallen guess.
#
# ### Exercise 11.1 · Stand or fall (●●○, 9 minutes)
#
# All arrays hold probabilities, not logarithms.
# `chance` holds a random number $0\le u<1$ for each guess: the guess stands if $u<p(x)/q(x)$.
# Return how many guesses stand, and the distribution from which the target's token is then drawn.


# %%
@exercise("11.1")
def verify_guesses(guesses, draft_p, target_p, chance):
    """(guesses that stand, the target's distribution after them):

    [G], [G, V], [G + 1, V], [G] -> (int, [V])
    """
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Go through the guesses from the left and stop at the first that falls. Which row of `target_p` and `draft_p` belongs to it?
#
# </details>
# <details><summary>Hint 2</summary>
#
# `np.maximum(p - q, 0)`, divided by its sum. If none falls, the answer is the last row of `target_p`, which has one row more than there are guesses.
#
# </details>

# %% [markdown] tags=["solution:11.1"]
# solution

# %%
generator, p, q = np.random.default_rng(seed), np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.7, 0.1])
written = []
for _ in range(4000):
    x = generator.choice(3, p=q)
    stands, after = verify_guesses(np.array([x]), q[None], np.stack([p, p]), generator.random(1))
    written.append(x if int(stands) else generator.choice(3, p=np.asarray(after)))
print("first tokens of 4,000 rounds:", np.bincount(written, minlength=3) / 4000, "   p:", p)

# %% [markdown]
# **Check.** Real networks have caches that must be rolled back, and they round.
# So the pair of the first picture writes names, and each letter counts $f=(p-q)/(p+q)$: above 0 where the target likes it better than the draft does.
# Where letters are drawn from $p$, the mean and the variance of $f$ are known at each prefix.
# The sum of $f$ less its means, divided by its standard error, is then a score with mean 0 and standard deviation 1.
# Names of the draft would push it below 0; the control is the draft alone.

# %%
from tqdm.auto import tqdm

from kd_lab.lessons.l11_speculative_decoding.trial import alone, speculated

SETTINGS, seeds = {"τ = 1": {}, "top-p 0.9": {"top_p": 0.9}}, range(seed, seed + 24)
trials = {}
for name, settings in SETTINGS.items():
    bar = tqdm(seeds, desc=name, leave=False)
    trials[name] = [speculated(target, draft, names=15, seed=number, **settings) for number in bar]
drafts_own = [alone(target, draft, names=15, seed=number) for number in seeds]

# %% tags=["hide-input"]
for name in SETTINGS:
    claim(
        "C11a",
        f"What two networks write together cannot be told from the target's own text, at {name}.",
        [trial.score for trial in trials[name]],
        unit="score, 15 names per seed; 0 is expected",
        above=-1.5,
        below=1.5,
    )
claim(
    "C11a",
    "The same test rejects the draft's own names.",
    drafts_own,
    unit="score at τ = 1",
    below=-1.5,
)
claim(
    "C11a",
    "Guesses stand as often as Σ min(p, q) says, to within 0.05.",
    [np.mean([one.counted - one.expected for one in pair]) for pair in zip(*trials.values(), strict=True)],
    unit="counted share less the mean of Σ min(p, q) at the same places, over both settings",
    above=-0.05,
    below=0.05,
)

# %% [markdown]
# This bounds what could have been missed, and no more: the mean score is known to about ± 0.4, and the draft alone has −8, so a twentieth of the draft's lean would not be seen.
#
# Count with care: a guess after the first that falls was never looked at.
# *Accepted ÷ guessed* is therefore not α but less, and the more so the larger γ.
#
# ## 2 · Acceptance, at the settings of deployment
#
# Since $\min(p,q)=\tfrac12(p+q-|p-q|)$,
#
# $$\alpha=\sum_x\min(p,q)=1-\tfrac12\sum_x|p-q|=1-\mathrm{TV}(p,q).$$
#
# Acceptance *is* 1 less the total variation of [lesson 03b](03b_between_the_kls.ipynb), with no bound in between.
#
# A server often draws at another temperature than τ = 1, or with top-p. Both are part of $p$: they shape the distribution that is drawn from.
# The draft is shaped likewise, and both the test and the residual use the shaped distributions.
# So α has to be measured with them too, on texts that the target writes with them.

# %%
predict("11.b")

# %% tags=["hide-input"]
from kd_lab.lessons.l11_speculative_decoding.figures import settings_table
from kd_lab.lessons.l11_speculative_decoding.results import load_results

results = load_results()
display(
    Markdown("Acceptance of three drafts:\n\n" + settings_table(results, ["text only", "forward KL", "reverse KL"]))
)
plain, cut = (results.values("cold", "forward KL", setting) for setting in ("τ = 1", "top-p 0.6"))
reveal("11.b", plain=plain.mean(), cut=cut.mean())
claim(
    "C11a",
    "Reverse KL's draft is accepted less often at τ = ½ than at τ = 1.",
    results.values("cold", "reverse KL", "τ = 1") - results.values("cold", "reverse KL", "τ = ½"),
    unit="loss of α",
    above=0.01,
)
claim(
    "C11a",
    "At τ = ½ forward KL's draft loses less than reverse KL's.",
    results.gain("cold", "forward KL", "reverse KL", "τ = ½") - results.gain("cold", "forward KL", "reverse KL"),
    unit="α by which forward KL's lead over reverse KL grows",
    above=0,
)

# %% [markdown]
# **A popular trap.** The draft draws at top-p 0.8, but the test divides by its probabilities before the cut.
# Nothing fails, and no log shows it. What becomes of the text?

# %%
from kd_lab.models import sampling_logp

mismatch = []
for number in range(5):
    random = random_tables(echo.logp, seed + number)
    drawn = [sampling_logp(table, top_p=0.8) for table in random]
    deployed = [sampling_logp(table, top_p=0.8) for table in echo.logp]
    exact = target_law(deployed, 4)
    law, _ = law_of_round(drawn, deployed, guesses=3)
    assert distance(law, exact) < 1e-9, "lossless with one distribution for both"
    law, _ = law_of_round(drawn, deployed, guesses=3, tested=random)
    mismatch.append(distance(law, exact))

# %% tags=["hide-input"]
claim(
    "C11a",
    "Drawing with top-p and testing without it changes the text.",
    mismatch,
    unit="total variation from the target's text at top-p 0.8",
    above=0.005,
    scale="log",
)

# %% [markdown]
# ## 3 · Distil the draft
#
# The draft need not write well. It must say what *this* target says, so it is distilled from it. The three knobs again:
#
# - **WHAT**: the target's text alone, or its logits;
# - **HOW**: a divergence, or α itself. Total variation is $1-\alpha$. Others take $-\log\alpha$, or begin with forward KL and go over to total variation: $\lambda\,\mathrm{KL}(p\|q)+(1-\lambda)\,\mathrm{TV}$ with $\lambda=e^{-3\alpha}$ at each position, here called *hybrid*;
# - **WHERE**: the prefixes at which guesses are checked. They belong to the final text, and that is the target's.
#
# ### Exercise 11.2 · The gradient of −log α (●●○, 8 minutes)
#
# Return the gradient with respect to the student's logits, where $\alpha=\sum_x\min(p(x),q(x))$ and $q$ is the student.
# Assume that $p(x)\ne q(x)$ everywhere.


# %%
@exercise("11.2")
def acceptance_gradient(student_logp, teacher_logp):
    """∂(−log Σ min(p, q))/∂(student's logits): [..., V], [..., V] -> [..., V]."""
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# For which tokens does $\min(p(x),q(x))$ change with $q(x)$, and by how much?
#
# </details>
# <details><summary>Hint 2</summary>
#
# Let $g(x)$ be 1 where $q(x)<p(x)$, else 0. The softmax turns it into $q\,(g-\sum q\,g)$. The logarithm divides by α.
#
# </details>

# %% [markdown] tags=["solution:11.2"]
# solution

# %%
predict("11.c")

# %%
p = torch.tensor([0.90, 0.06, 0.03, 0.01], dtype=torch.float64)
print("   α    length of the gradient of   forward KL    total variation    −log α")
for sharpness in (0.0, 2.0, 4.0, 8.0):  # ever surer of the wrong token
    q = (sharpness * torch.tensor([0.0, 0.0, 0.0, 1.0], dtype=torch.float64)).softmax(-1)
    alpha = torch.minimum(p, q).sum().item()
    gradient = acceptance_gradient(q.log().numpy(), p.log().numpy())
    lengths = (q - p).norm(), alpha * np.linalg.norm(gradient), np.linalg.norm(gradient)
    print(f"{alpha:.3f}" + "{:38.3f}{:19.4f}{:10.3f}".format(*lengths))

# %% [markdown]
# The surer the draft is of something wrong, the less total variation helps: its gradient shrinks with α, and in the end much faster.
# −log α divides by α and holds it up for a while, but every token that should rise still has its own small $q$ in front.
# Forward KL pulls hardest just there.
#
# **Experiment.** Six drafts of 30,000 weights, with the same first weights and the same 3,000 texts of the target, are trained for 300 steps.
# Then forward KL's draft is trained for 150 more steps with each of the five losses, forward KL among them.

# %% tags=["hide-input"]
from kd_lab.lessons.l11_speculative_decoding.figures import drafts_figure

show(
    drafts_figure(results),
    "Left: acceptance after a cold start. Right: after a warm start with forward KL, each loss against forward KL itself, seed by seed. "
    f"Bars are 95 % intervals over {len(results.about['seeds'])} seeds, ticks the single seeds.",
    alt="Two panels of means with intervals: acceptance of six drafts from a cold start, and of four losses relative to forward KL after a warm start.",
)
cold = {loss: results.values("cold", loss).mean() for loss in results.losses("cold")}
order = sorted(cold, key=cold.get, reverse=True)
asked = [cold[loss] for loss in ("total variation", "forward KL", "reverse KL", "−log acceptance")]
reveal("11.c", asked=asked, order=", ".join(f"{loss} {cold[loss]:.3f}" for loss in order))
claim(
    "C11b",
    "A draft that learns from the target's logits is accepted more often than one that learns from its text.",
    results.gain("cold", "forward KL", "text only"),
    unit="gain in α, forward KL over text only",
    above=0.01,
)
for loss in ("hybrid", "total variation", "−log acceptance", "reverse KL"):
    claim(
        "C11b",
        f"From a cold start forward KL ends with more acceptance than {loss}.",
        results.gain("cold", "forward KL", loss),
        unit="gain in α",
        above=0,
    )

# %% tags=["hide-input"]
for loss in ("total variation", "−log acceptance", "hybrid"):
    claim(
        "C11b",
        f"After a warm start with forward KL, {loss} wins over more forward KL.",
        results.gain("warm", loss, "forward KL"),
        unit="gain in α",
        above=0,
    )
claim(
    "C11b",
    "At τ = ½ the gain of total variation is larger than at τ = 1.",
    results.gain("warm", "total variation", "forward KL", "τ = ½")
    - results.gain("warm", "total variation", "forward KL"),
    unit="gain in α at τ = ½ less the gain at τ = 1",
    above=0,
)
claim(
    "C11b",
    "After a warm start reverse KL gains nothing over more forward KL.",
    results.gain("warm", "reverse KL", "forward KL"),
    unit="gain in α",
    below=0.003,
)
claim(
    "C11b",
    "Prefixes that the target wrote serve the draft better than prefixes that it wrote itself.",
    results.values("cold", "forward KL") - results.values("prefixes", "own texts"),
    unit="gain in α, forward KL on either",
    above=0,
)

# %% [markdown]
# So there is a time for each.
# Forward KL first: it pulls hardest where the overlap is small.
# Once the two overlap well, forward KL still pays for tails that decide about few guesses. There the losses made of α do better: by less than 0.01 at τ = 1, and by more where the deployment is sharper.
# From a cold start −log α did no better than total variation. One reason may be that Adam rescales a gradient that is short throughout, so a longer one alone is little help.
#
# Why do the draft's own texts not help? With plentiful fixed texts [lesson 05](05_where.ipynb) found the same. Besides, a draft never writes alone: every guess that is checked follows a prefix of the target's. And it began cold, its first texts were noise. These reasons were not separated.
#
# ## 4 · Tokens per call, and seconds
#
# Suppose that every guess stands with the same probability α, independent of the others.
# The $i$-th guess gets into the text if it and all before it stand: with probability $\alpha^i$. So a call yields
#
# $$1+\alpha+\alpha^2+\dots+\alpha^\gamma=\frac{1-\alpha^{\gamma+1}}{1-\alpha}$$
#
# tokens on average. Let a call of the draft take $c$ times as long as a call of the target. A round takes $1+\gamma c$ calls' worth of time.
#
# ### Exercise 11.3 · The best γ (●●○, 8 minutes)
#
# Return the γ in 0 … `most` with the largest speed-up, and that speed-up.
# γ = 0 is the target alone, whose speed-up is 1.


# %%
@exercise("11.3")
def best_gamma(acceptance, cost, most):
    """(γ, speed-up) of the fastest γ in 0 … most: α, c, int -> (int, float)."""
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Tokens per call, divided by calls' worth of time. The sum also works for α = 1, where the fraction is 0/0.
#
# </details>
# <details><summary>Hint 2</summary>
#
# Try every γ from 1 to `most`, and keep the best so far; begin with (0, 1.0).
#
# </details>

# %% [markdown] tags=["solution:11.3"]
# solution

# %%
from kd_lab.measure.acceptance import best_guesses, speedup

for alpha, cost in ((0.5, 0.02), (0.8, 0.02), (0.8, 0.25), (0.9, 0.25), (0.2, 0.25)):
    gamma, speed = best_gamma(alpha, cost, 32)
    assert int(gamma) == best_guesses(alpha, cost), "another than the library's"
    print(f"α = {alpha}, c = {cost}: best with γ = {int(gamma)}, {float(speed):.2f} times as fast")

# %% [markdown]
# **Explore.** The third slider lifts an assumption of the formula: that the target reads $\gamma+1$ tokens in the time of one.

# %% tags=["hide-input"]
from kd_lab.lessons.l11_speculative_decoding.explorers import speed_explorer

speeds = speed_explorer()
speeds.show()

# %% tags=["hide-input"]
speeds.filmstrip([{}, "the draft costs a quarter", "a poor draft for nothing", "checking is not free"])

# %%
predict("11.d")

# %% [markdown]
# **Experiment.** Names at batch size 1 on this machine, γ = 3.
# To change the cost and nothing else, the target gets further blocks whose output is multiplied by zero: it says exactly the same and takes longer.
# So α and the texts stay as they are, and $c$ falls. What else may differ, the time $v$ that reading four tokens at once takes, is measured for each body.

# %% tags=["timing"]
from kd_lab.lessons.l11_speculative_decoding.bodies import time_target, with_idle_blocks

alpha = np.mean([trial.acceptance for trial in trials["τ = 1"]])
timings = {}
for idle in (0, 12, 44):
    body = with_idle_blocks(target, idle)
    timings[4 + idle] = time_target(body, draft, guesses=3, seed=seed, names=4, rounds=5)
tokens = torch.randint(1, 27, (2, 9), generator=torch.Generator().manual_seed(seed))
assert torch.equal(body(tokens), target(tokens)), "idle blocks change nothing"

# %% tags=["hide-input", "timing"]
from kd_lab.lessons.l11_speculative_decoding.figures import bodies_figure

show(
    bodies_figure(timings, alpha),
    f"One draft of one block, α = {alpha:.2f}, and the same target in three bodies. Grey: the formula. Blue: with the tokens per call that were counted, and "
    "the time v that reading four tokens takes. Orange: the clock.",
    alt="Speed-up of speculative decoding against the number of blocks of the target: the formula promises most, the counted prediction less, and the measured speed-up rises from about 1.",
)
small, large = timings[4], timings[48]
reveal("11.d", measured=small.measured, cost=small.cost, verification=small.verification)
print(f"tokens per call: {alpha:.2f} promises {speedup(alpha, 3, 0.0):.2f}; counted {large.tokens_per_call:.2f}")
claim(
    "C11c",
    "With a target of four blocks a draft of one block gains little or nothing.",
    small.measured,
    unit="times as fast as the target alone",
    holds=small.measured < 1.3,
)
claim(
    "C11c",
    "With the same target in a body of 48 blocks the same draft pays.",
    large.measured,
    unit="times as fast as the target alone",
    holds=large.measured > 1.3,
)
worst = max(t.measured / t.promised(alpha) for t in timings.values())
claim(
    "C11c",
    "The formula promises more than the clock shows, with each of the three bodies.",
    worst,
    unit="of the promised speed-up, at most",
    holds=worst < 1,
)


def error(predicted):
    """Mean error of the predicted log speed-up over the bodies."""
    return np.mean([abs(np.log(t.measured / predicted(t))) for t in timings.values()])


closer = error(lambda t: t.promised(alpha)) - error(lambda t: t.counted)
claim(
    "C11c",
    "With counted tokens and the price of reading them, the prediction comes closer.",
    closer,
    unit="less error in the logarithm of the speed-up",
    holds=closer > 0,
)

# %% [markdown]
# Four things part the formula from the clock.
#
# - Names are short: the last round is cut off by the end, so a call yields fewer tokens than in an endless text.
# - Reading four tokens is not as cheap as reading one.
# - Between the calls there is bookkeeping, which weighs where calls are cheap.
# - Guesses are not independent. Leviathan et al. name this as an approximation too.
#
# All of them can be measured before anything is deployed.
#
# ## In the wild
#
# The first paper, [2211.17192](https://arxiv.org/abs/2211.17192), let T5-small (77 million weights) and T5-large (800 million) guess for T5-XXL (11 billion), translating at batch size 1 on a TPU.
# Its table 4 puts the formula beside the clock; here are four of its rows, the formula computed anew from its rounded α and c.

# %% tags=["hide-input"]
print("draft       τ   γ     α      c    formula   clock (both times as fast)")
for name, heat, gamma, share, cost, clock in (
    ("T5-small", 1, 7, 0.62, 0.02, 2.6),
    ("T5-small", 0, 7, 0.75, 0.02, 3.4),
    ("T5-large", 1, 3, 0.71, 0.11, 1.4),
    ("T5-large", 0, 7, 0.82, 0.11, 1.7),
):
    print(f"{name:10} {heat:2} {gamma:3}   {share:.2f}   {cost:.2f}   {speedup(share, gamma, cost):7.1f} {clock:7.1f}")

# %% [markdown]
# - A second team, independently: 2 to 2.5 times with Chinchilla, 70 billion weights ([2302.01318](https://arxiv.org/abs/2302.01318)).
# - DistillSpec distils the draft, and reports 10 to 45 % more speed over a draft that was not distilled. It stresses the draft's own texts and a divergence that fits task and decoding ([2310.08461](https://arxiv.org/abs/2310.08461)); on our names the draft's own texts did not help.
# - vLLM's [trainer of drafts](https://docs.vllm.ai/projects/speculators/en/latest/user_guide/loss_functions/) has forward KL as its default, and offers total variation ("gradients vanish when overlap is low"), −log α and the hybrid. Of −log α it says that it trains from a cold start. Ours did, and ended behind total variation.
# - What does not carry over: our vocabulary of 27, our batch of 1. With many texts in a batch the target's time goes into arithmetic, and checking guesses is no longer free.
#
# ## Discuss
#
# *For two people, ten minutes.*
# A team serves a model at top-p 0.9 and wants a draft. One proposes to take the smallest model of the same family off the shelf, another to distil one for a week.
# Which three numbers would you ask for first? At which traffic would you serve without a draft?

# %% [markdown] tags=["teacher"]
# **Expected answers.** α at top-p 0.9 on the team's own traffic, texts written by the target; c, the draft's time per token over the target's on the serving hardware; v, the time of reading γ + 1 tokens over that of one, at the batch sizes of the day. From these the speed-up of the draft off the shelf follows, and what a higher α would be worth. Without a draft: at full batches, where arithmetic is the bottleneck. **Misconceptions:** "a bad draft makes bad text" (only slow text); "accepted ÷ guessed is α" (guesses behind a fall are unchecked); "a larger draft is always better" (c rises with it); "total variation is the right loss because it is 1 − α" (from a cold start its gradient is small). Timing: 45 minutes alone, 60 in a class.

# %% [markdown]
# ## Recap
#
# 1. A guess stands with probability min(1, p/q), and a fallen one is replaced from the residual. The text is the target's, whatever the draft.
# 2. Acceptance is Σ min(p, q) = 1 − TV, with p and q as they are drawn from: temperature and top-p are part of them.
# 3. Distil the draft from the target's logits on the target's texts. Begin with forward KL; end with a loss made of α.
# 4. A call yields (1 − α^(γ+1))/(1 − α) tokens and takes 1 + γc calls' worth of time. One γ is best, and it may be 0.
# 5. The formula is an estimate. Here it promised more than the clock showed: short texts and the price of reading several tokens take their share.
#
# ## Quiz

# %%
quiz("11")

# %% [markdown]
# ## Glossary
#
# **Draft** the small model that guesses. **Target** the model whose text is wanted. **γ** guesses made ahead of each call of the target. **Acceptance** α, the probability that a checked guess stands, Σ min(p, q). **Residual** r ∝ max(0, p − q), from which a fallen guess is replaced. **Lossless** the text has the target's distribution. **Cost** c, the time of a draft's call over that of the target's. **Overlap** min(p, q). **Roll back** to make a cache forget tokens that were rejected.
#
# ## Papers
#
# - Leviathan, Kalman & Matias, "Fast Inference from Transformers via Speculative Decoding", [2211.17192](https://arxiv.org/abs/2211.17192), algorithm 1, equation 1, theorems 3.5 and 3.8, appendix A.1: the test, tokens per call, acceptance, speed-up and the proof.
# - Chen et al., "Accelerating Large Language Model Decoding with Speculative Sampling", [2302.01318](https://arxiv.org/abs/2302.01318): the same idea, found independently.
# - Zhou et al., "DistillSpec", [2310.08461](https://arxiv.org/abs/2310.08461): distilling the draft.
# - "LK Losses: Direct Acceptance Rate Optimization for Speculative Decoding", [2602.23881](https://arxiv.org/abs/2602.23881): losses made of α.
#
# ## Next
#
# [Lesson 11b](11b_few_steps.ipynb) takes another road to speed: models that generate in a few steps.
