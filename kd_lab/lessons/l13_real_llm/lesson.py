# %% [markdown]
# # 13 · Beyond the toy: a real LLM
#
# After this lesson you can shrink a language model that people really use, say from measurements what each choice cost, and plan the same run for a machine that is a thousand times larger.

# %% tags=["hide-input"]
from kd_lab.lessons.l13_real_llm.arms import DRAWN, EVEN, FULL, GKD, LABELS, MAIN, REVERSE, SMALL, TEXT, TOP
from kd_lab.lessons.l13_real_llm.figures import arms_figure
from kd_lab.lessons.l13_real_llm.results import load_results
from kd_lab.viz import show

results = load_results()
PRUNED = "pruned to 20"
order = [name for name in (LABELS, TEXT, FULL, REVERSE, GKD, MAIN) if name in results.arms]
show(
    arms_figure(results, order, PRUNED),
    "SmolLM2-135M without ten of its thirty layers, healed by training. Each row learned from another signal, for the same number of tokens: labels, that is, the tokens of the texts; the text that the teacher wrote; all its logits, under forward KL, reverse KL, and GKD, that is, JSD(½) with half of the texts written by the student. The last row learned from the 32 likeliest tokens and the rest, for four times as many tokens. The axis is KL(p‖q) from the whole model over its value before healing, a ratio for each text; bars are 95 % intervals over held-out texts.",
    alt="Healed students by the signal they learned from, on two kinds of held-out text. All logits lie near 0.75; labels only, reverse KL and GKD between 0.84 and 0.92; the student of the text alone at 0.88 on the teacher's texts and past the unhealed model, at 1.05, on documentation. The longest training heals most, to between 0.6 and 0.7.",
)

# %% [markdown] tags=["card"]
# **You will be able to**
#
# - choose the layers to remove by what their absence costs, and say when one ranking can mislead;
# - decide what to store of a teacher with 49,152 tokens, in bytes and in nats;
# - learn from a model that returns text only, without learning where its server cuts answers off;
# - tell whether a draft pays before it is built, and a stack of savings before it is stacked;
# - count the bytes of such a run on 64 GPUs.
#
# **Before this:** [lesson 01](01_what.ipynb) (what is copied), [lesson 05](05_where.ipynb) (whose prefixes), [lesson 08](08_stacking.ipynb) (pruning and fewer bits), [lesson 11](11_speculative_decoding.ipynb) (drafts).
#
# **Time:** 40 minutes to read and do. {{measured}}

# %%
import numpy as np
from IPython.display import Markdown, display

from kd_lab.classroom import claim, exercise, predict, quiz, reveal, setup
from kd_lab.worlds.next_tokens import load_next_tokens

seed = setup("13")

# %% [markdown]
# ## 1 · Ten layers of thirty
#
# The teacher is SmolLM2-135M-Instruct: 135 million weights, 30 layers, a vocabulary of 49,152 tokens. It comes inside a Python package, so that nothing has to be downloaded from a hub. The package holds the weights in little more than four bits; restored to 16, and not as released, they are the teacher here. Training on it takes too long for a lesson, so all of it was run once, by one command, and stored. The next cell prints the command and its budget; where the package is installed, it also takes one step live.

# %% tags=["hide-input"]
from kd_lab.lessons.l13_real_llm.live import live_step

stored = load_next_tokens()
budget = results.about["budget"]
seconds = sum(part["seconds"] for part in results.parts)
print(results.about["command"])
print(f"{results.about['date']} · " + " · ".join(f"{k} {v}" for k, v in results.about["versions"].items()))
print(
    f"one seed ({budget['seed']}), {results.about['threads']} thread, {seconds / 60:.0f} minutes on a shared machine; "
    f"texts to train on: {budget['rows']} of each kind, to measure on: {budget['held_out']} of each kind"
)
if results.about.get("missing"):
    print("not run with this budget:", ", ".join(results.about["missing"]))
print()
print(live_step(results, stored))

# %% [markdown]
# Which ten layers should go?
# Write $p$ for the whole model's next-token distribution and $q$ for that of a model without some layers.
# The **importance** of a layer is what its absence costs: $\mathrm{KL}(p\|q)$ in nats per token, on a little text.
#
# ### Exercise 13.1 · Which layers go (●●○, 8 minutes)
#
# `cost(layers)` is the distance from the whole model of one that has these layers only, given as an ascending list of numbers.
# Begin with all layers, 0 … `depth − 1`. Take out one after another, each time the one whose removal leaves the lowest cost *now*, until `keep` are left. Return these as an ascending list.


# %%
@exercise("13.1")
def layers_to_keep(cost, depth, keep):
    """The layers that stay, ascending.

    cost: list of layers -> float; `depth` layers at first, `keep` at last.
    """
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# A list of the layers that are still there, and a loop that makes it one shorter. In each turn, `cost` is asked once for every layer that could go.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `layers[:i] + layers[i + 1:]` is the list without its entry i; `min(candidates, key=cost)` is the cheapest of several lists.
#
# </details>

# %% [markdown] tags=["solution:13.1"]
# solution

# %% [markdown]
# Is it worth measuring all layers again after each removal?

# %%
predict("13.a")

# %% [markdown]
# **Explore.** These are the costs that the experiment measured on SmolLM2, round by round.
# A bar is what a layer costs *now*: the nats that its absence adds to what is lost already. Most bars stay where they are. Watch layer 8: once its neighbours 4 to 7 are gone, it is worth three times as much as at first.

# %% tags=["hide-input"]
from kd_lab.lessons.l13_real_llm.explorers import layers_explorer

layers = layers_explorer(results)
layers.show()
layers.filmstrip([{"layers gone": 0}, "five have gone", "20 are left"])

# %% [markdown]
# **Experiment.** Given the stored costs, your function chooses the layers that the experiment chose. Then five rules are compared on held-out texts, before any training.

# %%
importance = results.one("importance")
known = {}  # layers that are there -> what the model without each of them costs
there = list(range(len(importance["rounds"][0])))
for costs, gone in zip(importance["rounds"], importance["gone"]):
    for i, value in enumerate(costs):
        known[tuple(there[:i] + there[i + 1 :])] = value
    there.remove(gone)
kept = layers_to_keep(lambda some: known[tuple(some)], len(importance["rounds"][0]), 20)
assert kept == results.one("rule", rule="measured", layers=20)["kept"]
print("20 layers stay:", kept)
print("evenly spaced: ", results.one("rule", rule="evenly", layers=20)["kept"])

# %% tags=["hide-input"]
from kd_lab.lessons.l13_real_llm.figures import RULES, rule_kl, rules_figure

show(
    rules_figure(results),
    "The model without ten and without fifteen layers, not trained. Each rule chooses the layers in another way: *cosine of the stream* takes out those that turn the vectors between layers least. Thin bars are 95 % intervals over held-out texts of both kinds.",
    alt="Bars of the KL from the whole model for five rules of choosing layers, at 20 and at 15 layers. The three rules that measure lie together, at 1.5 to 1.7 and 2.5 to 3.0 nats; evenly spaced layers are at 7.5 and 9.5, and without the last layers it is 16 and 17.",
)
means = {rule: rule_kl(results, rule, 20).mean() for rule in RULES}
by_rule = {rule.replace(" ", "_"): mean for rule, mean in means.items()}
reveal("13.a", **by_rule)
for size in budget["layers"]:
    for rule in ("measured once", "influence", "evenly"):
        claim(
            "C13a",
            f"{size} layers, not trained: measuring again after each removal leaves the model nearer to the whole one than the rule “{RULES[rule]}”.",
            rule_kl(results, rule, size) / rule_kl(results, "measured", size),
            unit="times the KL",
            above=1,
            scale="log",
            over="texts",
        )

# %% [markdown]
# The last layers cannot go, and even spacing takes out layer 1, one of the highest bars above: measuring pays.
# But it hardly matters *what* is measured. Measuring again after each removal is clearly ahead of neither of the other two, and with fifteen layers the cosine is nearer in the mean.
# One reason may be that the greedy choice minimises its cost on 128 tokens of calibration text: the finer a search on a little text, the more closely it fits that text.
#
# ## 2 · What to keep of a teacher
#
# The pruned student now learns from the whole model: this is *healing*. The student's embedding, which is also its head, stays frozen.
# The texts are of two kinds: answers that the teacher wrote itself, and docstrings and licences that come with Python.
# The teacher reads each text once. What should be stored of its answer?

# %% tags=["hide-input"]
from kd_lab.lessons.l13_real_llm.figures import cache_table

display(Markdown(cache_table(results)))

# %% [markdown]
# *Top k and the rest*: the likeliest tokens, and the mass of all others as one event. Both sides remain complete distributions, only coarser ones.
# *Draws*: token ids sampled from the teacher, called *samples* in the pictures. The mean of $\log p-\log q$ over them is the full KL in expectation, with noise.
# The *last hidden state* is what the head multiplies: if you have the teacher's head, it gives all logits exactly.

# %%
predict("13.b")

# %% tags=["hide-input"]
base = results.measure(FULL)
times = {name: results.measure(name) / base for name in (TOP, DRAWN, LABELS)}
geometric = {name: np.exp(np.log(values).mean()) for name, values in times.items()}
reveal("13.b", times=geometric[TOP], drawn=geometric[DRAWN])
tokens = results.one("arm", name=FULL)["tokens"]
print(f"Each of these students read the same {tokens:,} tokens.")
if results.has("step"):
    taken = {name: np.mean(some) for name, some in results.one("step")["processor_seconds"].items()}
    print("Processor seconds of a step, as multiples of those of labels only:")
    print("   ".join(f"{name} {taken[name] / taken[LABELS]:.2f}" for name in (FULL, TOP, DRAWN, LABELS)))
claim(
    "C13b",
    "Labels alone leave the student farther from its teacher than the top 32 with the rest, after the same texts.",
    results.measure(LABELS) / results.measure(TOP),
    unit="times the KL",
    above=1,
    scale="log",
    over="texts",
)
for name, what in ((TOP, "the top 32 and the rest"), (DRAWN, "twelve draws")):
    claim(
        "C13b",
        f"The student of {what} ends within a tenth of the distance that the student of all logits reaches.",
        times[name],
        unit="times the KL",
        above=0.9,
        below=1.1,
        scale="log",
        over="texts",
    )

# %% [markdown]
# So few tokens heal only a part of the damage. At this budget it hardly matters whether the student sees all logits, 32 of them, or 12 draws, so bytes can be saved. More tokens heal more, as section 3 shows. Labels heal less: they say what was written, and not what else the teacher would have said.
#
# These intervals are over texts: they say what another choice of *texts to measure on* would change. Each student was trained once, with one seed, on the same batches in the same order. How much another seed would change was not measured, so small differences between two students remain unproven.
#
# **Logits that never exist.** A row of 49,152 logits in fp32 takes 192 KiB per position and side. `linear_softmax_kl` takes hidden states and heads instead, and makes the logits a few rows at a time. The table shows the peak memory that the forward and the backward pass of the loss alone add: with logits held, by the plain formula, whose intermediate results are as large as the logits.

# %% tags=["hide-input"]
from kd_lab.lessons.l13_real_llm.figures import memory_table

display(Markdown(memory_table(results)))
held, never = (results.one("memory", positions=1024, materialised=one) for one in (True, False))
if held["peak"]:
    claim(
        "C13c",
        "At 1,024 positions the loss without materialised logits peaks below the bytes of one side's logits; with them it takes more than both sides'.",
        never["peak"] / held["logits"],
        unit="of one side's logits",
        holds=never["peak"] < held["logits"] and held["peak"] > 2 * held["logits"],
    )

# %% [markdown]
# **Explore.** Two hundred real prompts, read by the teacher, the pruned student and the healed one. On the left each dot is a prompt: rightwards its divergence over all stored tokens, upwards what a loss sees of it that keeps only k tokens and the rest. On the line nothing is lost; a dot at the lower edge is hardly seen.
# On the right are the likeliest tokens at the prompt where healing left the largest divergence. For which prompts does one token suffice, and what does a high temperature change?

# %% tags=["hide-input"]
from kd_lab.lessons.l13_real_llm.explorers import prompts_explorer

prompts = prompts_explorer()
prompts.show()
prompts.filmstrip(["one token", "reverse KL", "hot"])

# %% [markdown]
# ## 3 · A teacher that only talks
#
# Half of the texts were obtained as from a closed model: the teacher stood behind an HTTP endpoint that returns text and nothing else, and a client asked it questions. Four things can go wrong.
#
# - A **cut** answer is not a finished one. The server says which it is (`finish_reason`); only a finished text has an end.
# - A **refusal** teaches refusing. "I'm sorry, but …" to a harmless question is left out, and counted.
# - **Text is not ids.** The text is tokenised again, and the student's tokenizer may split it in other places.
# - The **mark** that begins a text may stand twice. A prompt can have one already; if the server adds its own, the teacher answers a prompt that the student does not read.

# %% tags=["hide-input"]
part = results.one("texts")
share = part["counted"][0] / (part["written"]["train"] + part["passages"]["train"])
print(
    f"{part['asked']} questions: {part['unfinished']} answers cut off and kept without an end, {part['refused']} refusals and {part['empty']} empty ones left out"
)
print(
    f"{part['written']['train']} answers and {part['passages']['train']} passages to train on, {share:.0f} counted tokens each"
)

# %% [markdown]
# ### Exercise 13.2 · A row from a text teacher (●●○, 8 minutes)
#
# `prompt` and `answer` are lists of ids; `finished` says whether the teacher stopped by itself; `end` is the mark that ends a text.
# A row is the prompt, the answer, and the end mark if the answer is finished. The model reads `context` tokens, so the row has at most `context + 1` ids and is cut on the right.
# Return the ids and, for each id but the first, whether it counts as a target: what the teacher said counts, and what it was asked does not.


# %%
@exercise("13.2")
def text_row(prompt, answer, finished, end, context):
    """(ids, counts): at most context + 1 ids, and len(ids) − 1 booleans.

    counts[t] belongs to the target ids[t + 1].
    """
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Build the whole row first, cut it last. When does the end mark belong in it?
#
# </details>
# <details><summary>Hint 2</summary>
#
# The target at place i of the row counts if i ≥ len(prompt); the list of counts begins at i = 1.
#
# </details>

# %% [markdown] tags=["solution:13.2"]
# solution

# %% [markdown]
# **Experiment.** What is lost with text alone? One student learns from the teacher's text, others from its logits, and *labels only* from the tokens, on texts of both kinds. All but *long* trained on about the same number of tokens. *15 layers* and *evenly spaced* are other prunings, healed like *top k and the rest*.
# *Perplexity* is that of the held-out texts; *same favourite* is how often both models find the same token likeliest; Σ min(p, q) is the overlap of the two distributions, which is also the probability that a guess of the student stands (lesson 11).

# %% tags=["hide-input"]
from kd_lab.lessons.l13_real_llm.figures import worth_table

names = [
    "teacher",
    PRUNED,
    *(name for name in (LABELS, TEXT, DRAWN, TOP, FULL, REVERSE, GKD, MAIN) if name in results.arms),
]
names += ["pruned to 15", *(name for name in (SMALL, EVEN) if name in results.arms)]
display(Markdown(worth_table(results, names)))
if EVEN in results.arms:
    claim(
        "C13a",
        "So short a healing does not make up for the choice: healed alike, 20 evenly spaced layers stay farther from the teacher than the measured 20.",
        results.measure(EVEN) / results.measure(TOP),
        unit="times the KL",
        above=1,
        scale="log",
        over="texts",
    )
own = results.own_texts
if TEXT in results.arms:
    claim(
        "C13d",
        "On the teacher's own kind of text, the student of its text alone stays farther from it than the student of its logits.",
        results.measure(TEXT)[:own] / results.measure(FULL)[:own],
        unit="times the KL",
        above=1,
        scale="log",
        over="texts",
    )
claim(
    "C13d",
    "Four times the tokens bring the student nearer still.",
    results.measure(MAIN) / results.measure(TOP),
    unit="times the KL",
    below=1,
    scale="log",
    over="texts",
)

# %% [markdown]
# Half of what the others read is documentation; the student of the text alone read the teacher's own texts instead, twice as many of them. Even so it stays farther from the teacher on just this kind of text, and on both kinds together it is hardly nearer than before healing. A token says one thing where a distribution says all.
# Forward and reverse KL each do best in the mean under their own judge, as in lesson 06: after as many tokens the student of reverse KL has the lowest KL(q‖p) and falls behind under KL(p‖q). GKD, which differs in its divergence, JSD(½), and in half of its texts, leads under neither here.
#
# **Read the texts, too.** A number per token says little about a text. All models answer the same held-out question, at temperature 0.7 and with the same random numbers.

# %% tags=["hide-input"]
from kd_lab.lessons.l13_real_llm.figures import side_by_side

shown = [name for name in ("teacher", PRUNED, LABELS, TEXT, FULL, MAIN) if name in names]
display(Markdown(side_by_side(results, shown)))

# %% [markdown]
# ## 4 · What the student is for
#
# **Fewer bits on top.** Weights are rounded to 8 and 4 bits; each 32 of them share a scale of 16 bits. That costs the teacher some nats (its weights were rounded before, on another grid: for the released ones the costs may differ). For both savings together, a *stack*, the first guess is a sum: the student's KL plus what the bits cost the teacher.

# %% tags=["hide-input"]
from kd_lab.lessons.l13_real_llm.figures import stack_table

display(Markdown(stack_table(results, MAIN)))
healed, four = results.measure(MAIN), results.one("quantized", name=MAIN, bits=4)
alone = np.array(results.one("quantized", name="teacher", bits=4)["measures"]["forward_kl"])
whole = results.one("reference", name="teacher")["bytes"]
print(f"20 layers in 4 bits: {four['bytes'] / whole:.1%} of the teacher's 16-bit bytes")
claim(
    "C13e",
    "At 4 bits the measured stack is within a quarter of the sum of both costs.",
    np.array(four["measures"]["forward_kl"]) / (healed + alone),
    unit="times the prediction",
    above=0.75,
    below=1.25,
    scale="log",
    over="texts",
)

# %% [markdown]
# Compare the rows. All thirty layers in 8 bits take fewer bytes than twenty layers in 16 bits (99 million weights, 198 MB), and cost almost nothing; in 4 bits they are both smaller and nearer than the student in 8. After so short a healing, layers are the wrong thing to save first.
# The sum is too high here, that is, on the safe side. One reason may be that the student has already left the teacher: rounding moves it in other directions, and not all of them lead farther away.
#
# Fewer layers still promise speed. So let the healed student draft for its teacher.

# %%
predict("13.c")

# %% tags=["hide-input"]
from kd_lab.lessons.l13_real_llm.figures import speculation_rows

rows = speculation_rows(results, MAIN)
print("guesses   tokens per call: predicted  measured    speed against plain: predicted  measured")
for row in rows:
    ratio = np.exp(np.log(row["ratios"]).mean())
    print(
        f"{row['guesses']:7} {row['predicted_tokens']:27.2f} {row['tokens']:9.2f} {row['predicted']:31.2f} {ratio:9.2f}"
    )
one = rows[0]
print(
    f"one guess: α = {one['alpha']:.2f}, c = {one['cost']:.2f}, reading two tokens takes {one['verification']:.2f} times as long as one"
)
speed = np.exp(np.log(one["ratios"]).mean())
reveal("13.c", speed=speed, cost=one["cost"], alpha=one["alpha"])
claim(
    "C13f",
    "With one guess ahead, the healed student makes its teacher slower than plain decoding on this CPU.",
    one["ratios"],
    unit="times plain decoding's speed",
    below=1,
    scale="log",
    over="prompts",
)

# %% [markdown]
# The law of lesson 11 says why. A guess stands with probability α and then saves a call of the target; the draft's call costs $c$ of the target's. One guess can pay only if α > c; here $c$ is about two thirds, and α is smaller. On this CPU checking two tokens also takes far longer than reading one.
# Pruning makes a smaller *model*; a *draft* must be much cheaper, even if worse. Both ways took turns on a busy machine; only the ratio of times is read.
#
# ## 5 · On an engine that scales
#
# ```
# torchrun --nproc-per-node 2 -m kd_lab.lessons.l13_real_llm.at_scale
# ```
#
# The [script](../kd_lab/lessons/l13_real_llm/at_scale.py) prunes and heals on two processes. `distill` divides each batch between them and sums the gradients, so that two take the steps of one; a test compares their losses. It also splits the head: each process has half of the vocabulary, and three small all-reduces per batch make the loss (`vocab_parallel_softmax_kl`).
#
# A stored run on SmolLM2 itself, 20 of 30 layers, on random ids. Its last line holds the gradient of two processes against that of one. For the split head both are summed in float64: float32 rounds two half sums over 49,152 tokens in another way than one whole sum.

# %% tags=["hide-input"]
from kd_lab.lessons.l13_real_llm.at_scale import stored_summary

print(stored_summary())

# %% [markdown]
# | on a GPU node | what changes |
# |---|---|
# | `fully_shard(student)` before `distill` | weights, gradients and moments are split over ranks (FSDP2) |
# | `autocast=torch.bfloat16` | both models read in bf16; weights and losses stay in fp32 |
# | tensors on CUDA | `backend="auto"` takes the Triton kernels |
# | `checkpoint="folder"` | the same: killed at any step, it goes on bit for bit |
# | transformers' `Trainer`, TRL's `DistillationTrainer` | keep their loop; the loss is one call, of `softmax_kl` in the first and of `linear_softmax_kl` in the second: see [tests/trainers](../tests/trainers) |

# %%
predict("13.d")

# %% [markdown]
# ### Exercise 13.3 · Bytes on each GPU (●○○, 6 minutes)
#
# Weights and gradients are bf16, 2 bytes. AdamW keeps 12 bytes for each *trained* weight: a master copy and two moments, in fp32. The teacher is frozen. All of this is sharded over `gpus`.
# Each GPU reads `positions // gpus` tokens per step. If `logits_held`, it also holds the fp32 logits of both sides for these tokens, over the whole `vocabulary`; they are not sharded.
# Leave activations out.


# %%
@exercise("13.3")
def bytes_per_gpu(student, trained, teacher, positions, vocabulary, gpus, logits_held):
    """Bytes on each GPU, a whole number.

    student, trained, teacher: numbers of weights; positions: tokens per step.
    """
    ...


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Make a list of tensors: two models, gradients, three optimizer states, two sides of logits. Which are there for the teacher?
#
# </details>
# <details><summary>Hint 2</summary>
#
# Divide the sum of the sharded ones by `gpus` with `//`, then add 2 · 4 bytes for each logit of this GPU's own tokens.
#
# </details>

# %% [markdown] tags=["solution:13.3"]
# solution

# %%
eight, seventy, tokens, gpus = 8_000_000_000, 70_000_000_000, 1 << 20, 64
state = bytes_per_gpu(eight, eight, seventy, tokens, 151_936, gpus, False)
held = bytes_per_gpu(eight, eight, seventy, tokens, 151_936, gpus, True) - state
reveal("13.d", state=state / 1e9, logits=held / 1e9)
flops = tokens * (6 * eight + 2 * seventy)  # of a step: 6 per trained weight, 2 per frozen one
print(f"arithmetic per step and GPU: {flops / gpus / 1e15:.1f} PFLOP")
step = flops / gpus / 4e14
print(f"at 400 TFLOP/s {step:.1f} s per step, {1000 * step / 3600:.1f} h for a thousand steps")

# %% [markdown]
# The 400 TFLOP/s are an assumption about a current accelerator in bf16, not a measurement of ours; put in your own. The bytes are arithmetic. The same sums say what a cache of the teacher saves: its share of the arithmetic, in every pass after the first.
#
# ## In the wild
#
# Pruning with healing by distillation is how NVIDIA made Minitron (2024): Mistral NeMo 12B became 8B by narrowing its layers; Llama 3.1 8B became 4B in two variants, one with fewer layers and one with narrower ones. Both took far fewer tokens than training from scratch.
# ShortGPT (2024) ranks layers by how similar their output is to their input, and removes the most similar without healing: our rule *cosine of the stream*.
# Sparse Logit Sampling (2025) caches draws from the teacher in place of its top k, for students of 300M to 3B.
# What carries over from this lesson are the questions and the controls. What does not carry over are the numbers: our students saw between four and sixteen thousand tokens and such runs see billions, and with enough data the differences between signals may shrink or reverse.
#
# ## Discuss
#
# *For two people, ten minutes.* You have a model of 8 billion weights, an evening on eight GPUs, and users who complain about latency. Which of these do you try first: fewer bits, fewer layers, a draft? Which two numbers would you measure before you train anything, and which control would convince you that healing was worth it?

# %% [markdown] tags=["teacher"]
# **Expected answers.** Fewer bits first: no training, half or a quarter of the bytes, and decoding is bound by bytes. Then a draft, but a small one: measure α on real prompts and c on the real engine before training it. Layers last, since healing needs data and a judge. Two numbers before any training: the KL per token of the pruned or rounded model on the users' own prompts (not on a benchmark), and seconds per call at the real batch size. Controls: the pruned model unhealed; a student healed on labels with the same tokens; a smaller model of the same family off the shelf. **Misconceptions:** "importance adds up" (exercise 13.1); "KLs add up" (the stack is predicted and then measured); "a student of two thirds is a draft" (section 4); "an interval over texts covers the seed" (it does not); "top-k must be renormalised" (lesson 01). **Timing:** 40 minutes alone, 60 in a class; section 2's explorer and section 4 fill a lecture of 25 minutes.

# %% [markdown]
# ## Recap
#
# 1. A layer's importance is what its absence costs; after a removal another may be worth more. Here three rules that measure beat even spacing by far, and none of them clearly beats the others.
# 2. At this budget 32 tokens with the mass of the rest, or 12 draws, healed as much as all 49,152 logits, for about a thousandth of the bytes. Hidden states with the head are exact.
# 3. A text teacher's answers need honest ends, no refusals, and a mask that leaves the prompt out.
# 4. Predict a stack by a sum and a draft by α and c; then measure. A student with two thirds of the layers is too slow for a draft.
# 5. On many GPUs weights, gradients and optimizer are sharded, and logits are not. So do not hold them.
#
# ## Quiz

# %%
quiz("13")

# %% [markdown]
# ## Glossary
#
# **Healing** training a pruned model until it resembles the whole one again. **Importance** here: KL(p‖q) in nats per token of the model without that layer. **Cache** what is stored of a teacher so that it need not read again. **The rest** all tokens that were not kept, as one event. **Black box** a teacher that returns text only. **Stack** several savings on one model. **α, c** the share of a draft's guesses that stand; the time of its call over the target's. **FSDP2** PyTorch's sharding of weights, gradients and optimizer over ranks.
#
# ## Papers
#
# - Sreenivas et al., "LLM Pruning and Distillation in Practice: The Minitron Approach", [2408.11796](https://arxiv.org/abs/2408.11796).
# - Men et al., "ShortGPT", [2403.03853](https://arxiv.org/abs/2403.03853): block influence, our rule *cosine of the stream*.
# - Anshumann et al., "Sparse Logit Sampling", [2503.16870](https://arxiv.org/abs/2503.16870), sections 2 and 3: draws in place of a top k.
# - Leviathan, Kalman and Matias, [2211.17192](https://arxiv.org/abs/2211.17192): equation 1 tokens per call, theorem 3.8 the speed.
# - Agarwal et al., "GKD", [2306.13649](https://arxiv.org/abs/2306.13649), algorithm 1: the arm in which the student writes half of the batches.
#
# ## Next
#
# The [table of lessons](../README.md#lessons) shows what you have not done yet. To go on with this model: `make real`, then `python -m kd_lab.lessons.l13_real_llm.experiment --tokens 500000`.
