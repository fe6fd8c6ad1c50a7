"""Text follows its table, and what is marked is what the teacher finds implausible."""

import numpy as np

from kd_lab.lessons.l03_which_kl.writing import marked, transitions, write, writing_table


def test_a_table_without_choice_writes_its_only_text():
    cycle = np.full((3, 3), -np.inf)
    cycle[[0, 1, 2], [1, 2, 0]] = 0.0
    assert write(cycle, 7, np.random.default_rng(0)).tolist() == [1, 2, 0, 1, 2, 0, 1]


def test_letters_come_as_often_as_the_table_says():
    logp = np.log([[0.9, 0.1], [0.5, 0.5]])
    before, after = transitions(write(logp, 20_000, np.random.default_rng(0)))
    assert abs(after[before == 0].mean() - 0.1) < 0.01
    assert abs(after[before == 1].mean() - 0.5) < 0.02


def test_the_table_counts_mistakes_and_repertoire():
    plausible = np.array([[True, False], [True, True]])
    assert marked(np.array([1, 1, 0]), plausible) == "**B** b a"
    always_a = np.log([[1.0, 1e-300], [1.0, 1e-300]])
    row = writing_table({"one": always_a}, plausible, 0).splitlines()[-1]
    assert row.endswith("| 0% | 1 |")
