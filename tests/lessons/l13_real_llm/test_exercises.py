"""The checks of lesson 13 know a right answer from plausible wrong ones, and name what is wrong."""

import itertools

import pytest

from kd_lab.classroom.diagnosis import diagnose, find_exercise

# ---- 13.1 ------------------------------------------------------------------------------------------------------------


def test_layers_accepts_another_way():
    def with_del(cost, depth, keep):
        layers = list(range(depth))
        for _ in range(depth - keep):
            costs = []
            for i in range(len(layers)):
                shorter = layers.copy()
                del shorter[i]
                costs.append(cost(shorter))
            del layers[costs.index(min(costs))]
        return layers

    assert diagnose(find_exercise("13.1"), with_del) is None


def test_layers_names_the_ranking_that_is_measured_once(assert_rejects):
    def ranked(cost, depth, keep):
        everything = list(range(depth))
        scores = {i: cost(everything[:i] + everything[i + 1 :]) for i in everything}
        return sorted(sorted(everything, key=scores.get)[depth - keep :])

    assert_rejects("13.1", ranked, "measured again")


def test_layers_names_the_most_expensive_first(assert_rejects):
    def wrong_way(cost, depth, keep):
        layers = list(range(depth))
        while len(layers) > keep:
            gone = max(layers, key=lambda i: cost([j for j in layers if j != i]))
            layers.remove(gone)
        return layers

    assert_rejects("13.1", wrong_way, "costs *most*")


def test_layers_names_the_removed_ones(assert_rejects):
    def removed(cost, depth, keep):
        layers, gone = list(range(depth)), []
        while len(layers) > keep:
            gone.append(min(layers, key=lambda i: cost([j for j in layers if j != i])))
            layers.remove(gone[-1])
        return sorted(gone)

    assert_rejects("13.1", removed, "those that stay")


def test_layers_names_what_measures_nothing(assert_rejects):
    assert_rejects("13.1", lambda cost, depth, keep: list(range(keep)), "Nothing was measured")


def test_layers_names_the_search_through_all_choices(assert_rejects):
    def exhaustive(cost, depth, keep):
        return min(map(list, itertools.combinations(range(depth), keep)), key=cost)

    assert_rejects("13.1", exhaustive, "the cheapest of all choices")


def test_layers_names_the_search_from_below(assert_rejects):
    def upwards(cost, depth, keep):
        layers = []
        for _ in range(keep):
            layers.append(min(set(range(depth)) - set(layers), key=lambda i: cost(sorted([*layers, i]))))
        return sorted(layers)

    assert_rejects("13.1", upwards, "Layers are added here")


# ---- 13.2 ------------------------------------------------------------------------------------------------------------


def test_rows_name_an_end_that_the_teacher_did_not_write(assert_rejects):
    def with_end(prompt, answer, finished, end, context):
        ids = [*prompt, *answer, end][: context + 1]
        return ids, [i >= len(prompt) for i in range(1, len(ids))]

    assert_rejects("13.2", with_end, "mid-sentence")


def test_rows_name_an_end_that_masks_itself(assert_rejects):
    def by_id(prompt, answer, finished, end, context):
        ids = (prompt + answer + [end] * finished)[: context + 1]
        return ids, [i >= len(prompt) and ids[i] != end for i in range(1, len(ids))]

    assert_rejects("13.2", by_id, "pad is the end mark")


def test_rows_name_the_missing_shift(assert_rejects):
    def unshifted(prompt, answer, finished, end, context):
        ids = (prompt + answer + [end] * finished)[: context + 1]
        return ids, [i >= len(prompt) for i in range(len(ids) - 1)]

    assert_rejects("13.2", unshifted, "shifted by one")


def test_rows_name_the_counting_prompt(assert_rejects):
    def everything(prompt, answer, finished, end, context):
        ids = (prompt + answer + [end] * finished)[: context + 1]
        return ids, [True for _ in ids[1:]]

    assert_rejects("13.2", everything, "given")


def test_a_row_leaves_its_prompt_alone(assert_rejects):
    def in_place(prompt, answer, finished, end, context):
        given = len(prompt)
        prompt += answer + [end] * finished
        ids = prompt[: context + 1]
        return ids, [position >= given for position in range(1, len(ids))]

    assert_rejects("13.2", in_place, "the argument prompt is changed on the way")


# ---- 13.3 ------------------------------------------------------------------------------------------------------------


def test_bytes_of_a_seventy_billion_teacher():
    """By hand: 8e9·16/64 for a student that trains whole, 70e9·2/64 for the teacher, 8·(1e6/64)·152e3 for logits."""
    found = find_exercise("13.3").reference(8_000_000_000, 8_000_000_000, 70_000_000_000, 1 << 20, 151_936, 64, True)
    assert found == 2_000_000_000 + 2_187_500_000 + 8 * (2**20 // 64) * 151_936


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s, t, T, n, V, g, held: (2 * s + 14 * t) // g + held * 8 * (n // g) * V, "teacher's weights are"),
        (lambda s, t, T, n, V, g, held: (16 * s + 2 * T) // g + held * 8 * (n // g) * V, "Only `trained`"),
        (lambda s, t, T, n, V, g, held: (2 * (s + T) + 10 * t) // g + held * 8 * (n // g) * V, "master copy"),
    ],
)
def test_ledger_names_the_wrong_entry(assert_rejects, change, words):
    assert_rejects("13.3", change, words)


def test_ledger_wants_both_logits_and_shares(assert_rejects):
    def of_one_model(s, t, T, n, V, g, held):
        return (2 * (s + T) + 14 * t) // g + held * 4 * (n // g) * V

    def unshared(s, t, T, n, V, g, held):
        return (2 * (s + T) + 14 * t) + held * 8 * (n // g) * V

    assert_rejects("13.3", of_one_model, "of one model are missing")
    assert_rejects("13.3", unshared, "its share")
