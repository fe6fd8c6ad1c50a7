"""Exercises of lesson 13: reference solutions, and the mistakes that their checks name."""

import itertools

from kd_lab.classroom.diagnosis import Case, Exercise, Mistake

# ---- 13.1: which layers go -------------------------------------------------------------------------------------------


def layers_to_keep(cost, depth, keep):
    """The layers that stay, ascending: (cost: list of layers -> float, int, int) -> list of ints in 0 … depth − 1."""
    layers = list(range(depth))
    while len(layers) > keep:
        without = [layers[:i] + layers[i + 1 :] for i in range(len(layers))]
        layers = min(without, key=cost)
    return layers


def twins(own, pairs):
    """A model whose layer i is worth own[i], where layers i and j of `pairs` do some of the same work.

    The cost of a list of layers is what all absent ones are worth, and for each pair that is absent as a whole the
    work that nobody does any more.
    """

    def cost(layers):
        gone = set(range(len(own))) - set(layers)
        return sum(own[i] for i in gone) + sum(shared for (i, j), shared in pairs.items() if {i, j} <= gone)

    return cost


def once(cost, depth, keep):
    """The ranking of single absences, never measured again."""
    alone = [cost([j for j in range(depth) if j != i]) for i in range(depth)]
    ranked = sorted(range(depth), key=lambda i: -alone[i])
    return sorted(ranked[:keep])


def costliest_first(cost, depth, keep):
    layers = list(range(depth))
    while len(layers) > keep:
        layers = max(([j for j in layers if j != i] for i in layers), key=cost)
    return layers


def the_gone(cost, depth, keep):
    kept = layers_to_keep(cost, depth, keep)
    return [i for i in range(depth) if i not in kept]


def one_too_many(cost, depth, keep):
    return layers_to_keep(cost, depth, keep - 1) if keep > 1 else []


def keep_as_number_to_remove(cost, depth, keep):
    return layers_to_keep(cost, depth, depth - keep)


def alone(cost, depth, keep):
    """The cost of a model that has one layer only, instead of one that lacks it."""
    single = [cost([i]) for i in range(depth)]
    return sorted(sorted(range(depth), key=lambda i: single[i])[:keep])


def last_layers_off(cost, depth, keep):
    return list(range(keep))


def cheapest_of_all(cost, depth, keep):
    """Every choice tried: not what was asked, and 30 million choices for twenty layers of thirty."""
    return list(min(itertools.combinations(range(depth), keep), key=lambda some: cost(list(some))))


def added_one_by_one(cost, depth, keep):
    """From no layer upwards instead of from all of them downwards."""
    layers = []
    while len(layers) < keep:
        layers = min((sorted([*layers, i]) for i in range(depth) if i not in layers), key=cost)
    return layers


def by_names(cost, depth, keep):
    """Right: each round names the layer whose absence costs least, and takes it out of a set."""
    layers = set(range(depth))
    for _ in range(depth - keep):
        layers.discard(min(sorted(layers), key=lambda gone: cost(sorted(layers - {gone}))))
    return sorted(layers)


def by_recursion(cost, depth, keep, layers=None):
    """Right: one layer less, then the rest."""
    layers = list(range(depth)) if layers is None else layers
    if len(layers) == keep:
        return layers
    shorter = [list(some) for some in itertools.combinations(layers, len(layers) - 1)]
    return by_recursion(cost, depth, keep, min(shorter, key=cost))


# ---- 13.2: a row from a text teacher ---------------------------------------------------------------------------------


def text_row(prompt, answer, finished, end, context):
    """(ids, counts): ids of a row, at most context + 1 of them, and for each but the first whether it counts."""
    ids = prompt + answer + ([end] if finished else [])
    ids = ids[: context + 1]
    counts = [position >= len(prompt) for position in range(1, len(ids))]
    return ids, counts


def always_ended(prompt, answer, finished, end, context):
    return text_row(prompt, answer, True, end, context)


def never_ended(prompt, answer, finished, end, context):
    return text_row(prompt, answer, False, end, context)


def ends_when_cut(prompt, answer, finished, end, context):
    return text_row(prompt, answer, not finished, end, context)


def end_forced_in(prompt, answer, finished, end, context):
    """Cuts the text first, so that a long answer gets an end as well."""
    ids = (prompt + answer)[:context] + ([end] if finished else [])
    return ids, [position >= len(prompt) for position in range(1, len(ids))]


def prompt_counts(prompt, answer, finished, end, context):
    ids, _ = text_row(prompt, answer, finished, end, context)
    return ids, [True] * (len(ids) - 1)


def not_shifted(prompt, answer, finished, end, context):
    ids, _ = text_row(prompt, answer, finished, end, context)
    return ids, [position >= len(prompt) for position in range(len(ids))][:-1]


def end_left_out(prompt, answer, finished, end, context):
    ids, counts = text_row(prompt, answer, finished, end, context)
    return ids, [one and token != end for one, token in zip(counts, ids[1:], strict=True)]


def one_short(prompt, answer, finished, end, context):
    ids, counts = text_row(prompt, answer, finished, end, context)
    return ids[:context], counts[: context - 1]


def not_cut(prompt, answer, finished, end, context):
    return text_row(prompt, answer, finished, end, len(prompt) + len(answer) + 1)


def row_by_flags(prompt, answer, finished, end, context):
    """Right: a flag beside each id, and the first flag dropped."""
    marked = [(token, False) for token in prompt] + [(token, True) for token in answer]
    if finished:
        marked.append((end, True))
    marked = marked[: context + 1]
    return [token for token, _ in marked], [flag for _, flag in marked][1:]


def row_by_lengths(prompt, answer, finished, end, context):
    """Right: as many False as prompt ids less one, then True."""
    ids = [*prompt, *answer, *([end] * finished)][: context + 1]
    given = min(len(prompt), len(ids)) - 1
    return ids, [False] * given + [True] * (len(ids) - 1 - given)


# ---- 13.3: what has to lie in memory ---------------------------------------------------------------------------------


def bytes_per_gpu(student, trained, teacher, positions, vocabulary, gpus, logits_held):
    """Bytes on each of `gpus`: six whole numbers and a bool -> int."""
    weights = 2 * (student + teacher)
    gradients = 2 * trained
    moments = (4 + 4 + 4) * trained
    logits = 2 * 4 * (positions // gpus) * vocabulary if logits_held else 0
    return (weights + gradients + moments) // gpus + logits


def _ledger(weights=2, gradients=2, moments=12, teacher_too=True, all_train=False, sides=2, shard=True):
    """The ledger with one wrong entry."""

    def ledger(student, trained, teacher, positions, vocabulary, gpus, logits_held):
        moved = student if all_train else trained
        state = weights * (student + (teacher if teacher_too else 0)) + (gradients + moments) * moved
        logits = 4 * sides * (positions // gpus) * vocabulary if logits_held else 0
        return (state // gpus if shard else state) + logits

    return ledger


def whole_batch_everywhere(student, trained, teacher, positions, vocabulary, gpus, logits_held):
    state = bytes_per_gpu(student, trained, teacher, positions, vocabulary, gpus, False)
    return state + (8 * positions * vocabulary if logits_held else 0)


def logits_always(student, trained, teacher, positions, vocabulary, gpus, logits_held):
    return bytes_per_gpu(student, trained, teacher, positions, vocabulary, gpus, True)


def teacher_trains(student, trained, teacher, positions, vocabulary, gpus, logits_held):
    extra = 14 * teacher // gpus
    return bytes_per_gpu(student, trained, teacher, positions, vocabulary, gpus, logits_held) + extra


def ledger_in_lines(student, trained, teacher, positions, vocabulary, gpus, logits_held):
    """Right: sixteen bytes for a trained weight, two for any other."""
    still = student - trained + teacher
    state = (16 * trained + 2 * still) // gpus
    return state + logits_held * 8 * vocabulary * (positions // gpus)


def ledger_by_table(student, trained, teacher, positions, vocabulary, gpus, logits_held):
    """Right: one line per tensor."""
    table = {"student": 2 * student, "teacher": 2 * teacher, "gradients": 2 * trained, "master": 4 * trained,
             "first moment": 4 * trained, "second moment": 4 * trained}  # fmt: skip
    total = sum(table.values()) // gpus
    for _ in range(2 if logits_held else 0):
        total += 4 * (positions // gpus) * vocabulary
    return total


# ---- cases -----------------------------------------------------------------------------------------------------------

FOUR = twins((0.5, 0.2, 0.3, 0.9), {(1, 2): 2.0})
SEVEN = twins((3.0, 0.5, 0.7, 0.6, 1.0, 0.4, 2.0), {(1, 3): 1.5, (3, 5): 1.1, (2, 4): 0.3})
FIVE_SHARING = twins((0.2, 1.0, 0.7, 0.6, 0.8), {(0, 1): 0.7, (0, 2): 1.5, (0, 4): 1.1, (2, 4): 1.5})
FIVE = twins((1.0, 0.1, 0.2, 0.3, 0.4), {})

EXERCISES = {
    "13.1": Exercise(
        reference=layers_to_keep,
        explanation=(
            "Each round measures every layer that is still there, and takes out the one whose absence costs least "
            "*now*. Two layers that do the same work are each cheap alone: once one of them is gone, the other is "
            "no longer cheap. From 30 to 15 layers that is 30 + 29 + … + 16 = 345 measurements instead of 30. The "
            "lesson's experiment shares the stream up to the missing layer, which halves them."
        ),
        cases=(
            Case(
                "four layers worth 0.5, 0.2, 0.3, 0.9; without both 1 and 2 another 2.0 is lost; keep 2",
                lambda: (FOUR, 4, 2),
            ),
            Case("five layers worth 1, 0.1, 0.2, 0.3, 0.4, no pairs; keep 3", lambda: (FIVE, 5, 3)),
            Case("seven layers, three pairs that share work; keep 3", lambda: (SEVEN, 7, 3)),
            Case("five layers, four pairs that share work; keep 2", lambda: (FIVE_SHARING, 5, 2)),
            Case("nothing to remove: keep 5 of 5", lambda: (FIVE, 5, 5)),
        ),
        unusual=(by_names, by_recursion),
        mistakes=(
            Mistake(
                "measured once",
                "These are the layers with the highest costs when each is absent alone. After the first has gone the "
                "model is another one: its layers have to be measured again before the next goes.",
                once,
            ),
            Mistake(
                "most expensive first",
                "The layer whose absence costs *most* goes first here. A high cost says that the layer is needed.",
                costliest_first,
            ),
            Mistake(
                "those that went",
                "These are the layers that were taken out. The function returns those that stay.",
                the_gone,
            ),
            Mistake(
                "one too many",
                "One layer too many was taken out: the loop should stop as soon as `keep` are left.",
                one_too_many,
            ),
            Mistake(
                "keep taken for remove",
                "`keep` was read as the number of layers to take out. It is the number that stays.",
                keep_as_number_to_remove,
            ),
            Mistake(
                "the layer alone",
                "`cost` was asked about models of a single layer. The importance of a layer is what its *absence* "
                "costs: ask about all layers but this one.",
                alone,
            ),
            Mistake(
                "the last ones off",
                "These are the first layers, whatever `cost` says. Nothing was measured.",
                last_layers_off,
            ),
            Mistake(
                "all choices tried",
                "This is the cheapest of all choices, which one step at a time need not find. Asked is the stepwise "
                "one: for twenty layers of thirty there are 30 million choices.",
                cheapest_of_all,
            ),
            Mistake(
                "added one by one",
                "Layers are added here, beginning with none. Begin with all of them, and ask each time which one the "
                "model misses least.",
                added_one_by_one,
            ),
        ),
    ),
    "13.2": Exercise(
        reference=text_row,
        explanation=(
            "The end mark is part of what the teacher said, if it finished: it counts, and a student learns from it "
            "when to stop. An answer that the server cut off has no end, and giving it one teaches the student to "
            "stop in mid-sentence. Counting is about targets: entry t of `counts` belongs to `ids[t + 1]`, so the "
            "first answer token, which the last prompt token predicts, counts. A row of context + 1 ids lets the model "
            "read `context` of them."
        ),
        cases=(
            Case(
                "prompt 7 8, answer 5 6, finished, end 0, context 9",
                lambda: ([7, 8], [5, 6], True, 0, 9),
            ),
            Case("the same answer, cut off by the server", lambda: ([7, 8], [5, 6], False, 0, 9)),
            Case(
                "prompt of 3, answer of 5, finished, end 2, context 5: too long for the row",
                lambda: ([9, 4, 7], [5, 6, 5, 8, 3], True, 2, 5),
            ),
            Case("an answer that fits with its end to the last place", lambda: ([9, 4], [5, 6], True, 2, 4)),
        ),
        entries=("ids", "counts"),
        unusual=(row_by_flags, row_by_lengths),
        mistakes=(
            Mistake(
                "always an end",
                "An answer that was cut off got an end mark. The teacher did not stop there, the server did: a student "
                "that learns this stops in mid-sentence.",
                always_ended,
            ),
            Mistake(
                "never an end",
                "The end mark of a finished answer is missing. A student that never sees one never stops.",
                never_ended,
            ),
            Mistake(
                "finished reversed",
                "Finished answers have no end here, and those that were cut off have one: `finished` was read the "
                "other way round.",
                ends_when_cut,
            ),
            Mistake(
                "end forced in",
                "The answer was cut to the row first and the end put behind it. Where the row is too short for the "
                "whole answer the end lies outside, too.",
                end_forced_in,
            ),
            Mistake(
                "the prompt counts",
                "The prompt's own tokens count here. They are given, not said by the teacher: the student would spend "
                "its weights on writing questions.",
                prompt_counts,
            ),
            Mistake(
                "counts of inputs",
                "`counts` is shifted by one: entry t says whether `ids[t + 1]`, the *target*, counts. As it is, the "
                "first token of the answer is not learned.",
                not_shifted,
            ),
            Mistake(
                "end does not count",
                "The end mark is there but does not count, as when counting is `ids != pad` and pad is the end mark. "
                "When to stop has to be learned as well.",
                end_left_out,
            ),
            Mistake(
                "one id short",
                "The row holds `context` ids. A model that reads `context` tokens has a target behind the last: the "
                "row has context + 1.",
                one_short,
            ),
            Mistake(
                "not cut",
                "The row is longer than context + 1: the model cannot read it.",
                not_cut,
            ),
        ),
    ),
    "13.3": Exercise(
        reference=bytes_per_gpu,
        explanation=(
            "A trained weight takes 16 bytes: 2 for itself, 2 for its gradient, 12 for the optimizer (a 4-byte master "
            "copy and two moments). A frozen weight takes 2, and the whole teacher is frozen. All of that is sharded. "
            "Logits are not weights: each rank holds those of its own share of the tokens, for the whole vocabulary, "
            "on both sides, in fp32. `linear_softmax_kl` never holds them."
        ),
        cases=(
            Case(
                "a student of 10 weights, 6 of them trained, a teacher of 15; 8 tokens, V = 5, 1 GPU, no logits held",
                lambda: (10, 6, 15, 8, 5, 1, False),
            ),
            Case("the same with logits held", lambda: (10, 6, 15, 8, 5, 1, True)),
            Case("a student of 700 (300 trained), a teacher of 900; 64 tokens, V = 11, 4 GPUs, logits held",
                 lambda: (700, 300, 900, 64, 11, 4, True)),
            Case("the same without logits", lambda: (700, 300, 900, 64, 11, 4, False)),
        ),
        unusual=(ledger_in_lines, ledger_by_table),
        mistakes=(
            Mistake(
                "no teacher",
                "The teacher's weights are missing. It is frozen, but it has to lie in memory to be read.",
                _ledger(teacher_too=False),
            ),
            Mistake(
                "the teacher trains",
                "The teacher has gradients and an optimizer's state here. It is only read: 2 bytes for each weight.",
                teacher_trains,
            ),
            Mistake(
                "all weights train",
                "Frozen weights of the student have gradients and moments here. Only `trained` weights do.",
                _ledger(all_train=True),
            ),
            Mistake(
                "no master copy",
                "The optimizer's state is 8 bytes for each trained weight here: the moments alone. A bf16 weight is "
                "too coarse to collect small steps, so AdamW keeps a master copy in fp32: 12 bytes.",
                _ledger(moments=8),
            ),
            Mistake(
                "fp32 weights",
                "Weights and gradients take 4 bytes here. In bf16 they take 2.",
                _ledger(weights=4, gradients=4),
            ),
            Mistake(
                "half of the logits",
                "The logits take half of their bytes: those of one model are missing, or a number takes 2 bytes. A "
                "divergence compares two models, and a softmax over so many tokens needs fp32, 4 bytes.",
                _ledger(sides=1),
            ),
            Mistake(
                "nothing sharded",
                "Every rank holds all weights and the whole optimizer here. FSDP2 gives each rank its share.",
                _ledger(shard=False),
            ),
            Mistake(
                "the whole batch everywhere",
                "Each rank holds the logits of all tokens here. It reads positions // gpus of them.",
                whole_batch_everywhere,
            ),
            Mistake(
                "logits always",
                "The logits are counted although they are not held: `linear_softmax_kl` makes them a few rows at a "
                "time.",
                logits_always,
            ),
        ),
    ),
}  # fmt: skip
