import math

import numpy as np
import pytest

from kd_lab.how import forward_kl
from kd_lab.lessons.l00_the_map.explorers import (
    LANDMARKS,
    VOCABULARIES,
    duration,
    node_explorer,
    power_of_ten,
    real_node_explorer,
    sequence_counter,
    share,
    walk_explorer,
)
from kd_lab.models import TabularModel
from kd_lab.viz.real_tokens import PROMPTS, real_node, spelled
from kd_lab.viz.sweep import sweep
from kd_lab.worlds import language
from kd_lab.worlds.next_tokens import load_next_tokens


@pytest.fixture(scope="module")
def walk():
    echo = language("echo", smoothing=0)
    explorer = walk_explorer(TabularModel(echo.logp), echo.vocabulary, start="axya", name="walk-under-test")
    yield explorer
    explorer.close()


def test_the_sentence_multiplies_the_path(walk):
    sentence = walk.draw({"step": 2, "name": "cxc"}).sentence
    assert "“x” 100% (the likeliest)" in sentence
    assert "log p = −1.02 nats" in sentence  # ln 0.36
    assert "1 text in 3 begins with “cx”" in sentence


def test_the_last_step_is_the_end_mark_and_later_ones_stay_there(walk):
    last, beyond = (walk.draw({"step": step, "name": "cxc"}) for step in (4, 6))
    assert "gives the end mark 100%" in last.sentence
    assert "is “cxc”" in last.sentence
    assert beyond == last


def test_bars_hold_the_conditional_and_the_choice(walk):
    walk.draw({"step": 1, "name": "b"})
    heights = [bar.get_height() for bar in walk._artists["bars"]]
    chosen = [bar.get_height() for bar in walk._artists["chosen"]]
    assert heights == pytest.approx([0, 0.400, 0.235, 0.360, 0, 0, 0.005])
    assert chosen == pytest.approx([0, 0, 0.235, 0, 0, 0, 0])


def test_it_says_how_to_mend_a_name(walk):
    with pytest.raises(ValueError, match="outside this vocabulary"):
        walk.draw({"name": "q"})
    with pytest.raises(ValueError, match="at most 5"):
        walk.draw({"name": "axxxxxa"})


def test_probabilities_read_well():
    assert share(0.0) == "100%"
    assert share(math.log(0.02)) == "2%"
    assert share(math.log(1e-6)) == "1 in 1,000,000"


def test_the_counter_writes_every_digit():
    counter = sequence_counter("counter-under-test")
    sentence = counter.draw(counter.presets["a paragraph"]).sentence
    assert counter._artists["number"].get_text().replace("\n", "") == str(50_257**200)
    assert "9" in sentence
    counter.draw(counter.presets["exact language"])
    assert counter._artists["number"].get_text() == f"{7**6:,}"
    assert 10 ** counter._artists["place"].get_xdata()[0] == pytest.approx(7**6)
    counter.close()


@pytest.mark.parametrize("exponent", [-3, 0, 1.5, 4, 8, 12, 17.7, 20, 27, 1000])
def test_durations_are_finite_words(exponent):
    assert not any(word in duration(exponent) for word in ("inf", "nan", "e+"))


def test_powers_and_landmarks():
    assert power_of_ten(math.log10(123_456)) == "1.2 × 10^5"
    assert list(LANDMARKS.values()) == sorted(LANDMARKS.values())
    assert min(VOCABULARIES) == 2


def test_the_node_shows_both_students_beside_their_targets():
    moments = np.array([[[0.5, 0.5], [0.25, 0.75]], [[0.9, 0.1], [0.5, 0.5]]])
    told = {"teacher": np.array([[[0.8, 0.2], [0.5, 0.5]]]), "labels": np.array([[[1.0, 0.0], [0.0, 1.0]]])}
    node = node_explorer({"labels only": moments, "word-level KD": moments} | told, ["", "a"], ".a", every=20)
    node.set({"step": 20, "after": "a"})
    assert node.sentence == (
        "After 20 steps, at “a”: student with labels: 0.69 nats from the labels; student with a teacher: 0.00 nats "
        "from the teacher."
    )
    assert sweep(node) > 2
    node.close()


def test_a_node_where_no_label_stands_says_so_and_gives_no_number():
    moments = np.full((2, 1, 2), 0.5)
    told = {"teacher": np.array([[[0.8, 0.2]]]), "labels": np.zeros((1, 1, 2))}
    node = node_explorer(
        {"labels only": moments, "word-level KD": moments} | told, ["a"], ".a", every=20, name="silent"
    )
    assert "student with labels: no name that it reads goes through here; student with a teacher: 0.19" in node.sentence
    node.close()


def test_landmarks_do_not_overlap():
    counter = sequence_counter("landmarks-under-test")
    renderer = counter.figure.canvas.get_renderer()
    boxes = [text.get_window_extent(renderer) for text in counter.figure.axes[1].texts]
    assert len(boxes) == len(LANDMARKS)
    assert not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[:i])
    counter.close()


@pytest.fixture(scope="module")
def real():
    explorer = real_node_explorer("real-node-under-test")
    yield explorer
    explorer.close()


def test_a_real_nodes_bars_are_the_label_the_teacher_and_the_student(real):
    for prompt in PROMPTS:
        node = real_node(prompt)
        sentence = real.draw({"real prompt": prompt, "student": "before"}).sentence
        label, teacher, student = ([bar.get_height() for bar in bars] for bars in real._artists.bars)
        place = label.index(1)
        assert sum(label) == 1
        assert real._artists.names[place].get_text() == spelled(node.pieces[node.actual])
        assert teacher[place] == pytest.approx(node.p("teacher")[node.actual])
        assert student[place] == pytest.approx(node.p("pruned")[node.actual])
        assert sum(teacher) == pytest.approx(1)
        assert f"{-math.log(student[place]):.2f} nats from the label" in sentence


def test_a_real_nodes_gap_is_the_librarys_and_its_mean_is_over_all_prompts(real):
    stored = load_next_tokens()
    for student, model in (("before", "pruned"), ("after", "healed")):
        gaps = forward_kl(*(stored.events(name).double() for name in (model, "teacher")))
        for prompt in PROMPTS:
            sentence = real.draw({"real prompt": prompt, "student": student}).sentence
            assert f", {gaps[real_node(prompt).row]:.2f} from the teacher" in sentence
            assert sentence.endswith(f"The mean over 200 prompts is {gaps.mean():.2f}.")


def test_a_real_node_stands_at_all_its_extremes(real):
    assert sweep(real) > 6
