"""The explorers of lesson 02 say in their sentence what was found, budgets and readings of names included."""

import pytest
import torch

from kd_lab.how import forward_kl, sparse_softmax_kl
from kd_lab.lessons.l02_word_and_sequence.explorers import (
    KEPT_COUNTS,
    LEAST_LIKELY,
    SAMPLED,
    TRUNCATED,
    Searched,
    beam_explorer,
    best_student,
    cache_explorer,
    kl_read,
    penalty_explorer,
    place_labels,
    real_cache_explorer,
)
from kd_lab.models import TabularModel, load_teacher
from kd_lab.viz import new_figure
from kd_lab.viz.real_tokens import PROMPTS, real_node
from kd_lab.viz.sweep import sweep
from kd_lab.worlds import language, surnames

NAMES = surnames().vocabulary
P = torch.tensor([0.5, 0.25, 0.125, 0.0625, 0.0625], dtype=torch.float64)
DRAWS = torch.multinomial(P, 200 * 4, True, generator=torch.Generator().manual_seed(0)).view(200, 4)


@pytest.fixture(scope="module")
def teacher():
    return load_teacher("surnames")


def swept(explorer):
    """Every preset and the end of every control: their sentences."""
    settings = [*explorer.presets.values()]
    settings += [{control.name: value} for control in explorer.controls for value in control.extremes]
    for setting in settings:
        explorer.set(explorer.start | setting)
        assert explorer.error is None, setting
        yield explorer.sentence


def test_the_beam_explorer_compares_with_greedy_decoding_and_not_with_a_beam_of_one(teacher):
    echo = language("echo")
    trees = {
        "echo": Searched(TabularModel(echo.logp), torch.tensor([0]), echo.vocabulary),
        "names": Searched(teacher, NAMES.encode(["mar"])[0, :4], NAMES),
    }
    explorer = beam_explorer(trees, name="beam under test")
    assert explorer.sentence.startswith("Greedy decoding ends with “axxa”")
    explorer.set({"tree": "names", "paths kept K": 4})
    assert "“mark”" in explorer.sentence
    assert "Greedy decoding writes “martin” with −5.26" in explorer.sentence
    assert all(swept(explorer))


def test_the_penalty_explorer_reads_a_name_as_people_write_it(teacher):
    explorer = penalty_explorer(teacher, NAMES, name="penalty under test")
    assert "“mark”, 2 tokens" in explorer.sentence
    explorer.set({"beginning": "Ó'Néi"})
    assert explorer.sentence.startswith("“Ó'Néi” is read as “onei”.")
    explorer.set({"length penalty α": 1.0, "beginning": "mar"})
    assert "“mark”" not in explorer.sentence.partition("Greedy")[0]
    assert all(swept(explorer))


def test_the_penalty_explorer_refuses_what_the_model_cannot_read(teacher):
    explorer = penalty_explorer(teacher, NAMES, name="penalty under test")
    explorer.set({"beginning": "Ωmega"})
    assert "Latin letters" in str(explorer.error)
    explorer.set({"beginning": "a" * 14})
    assert "expected at most 12" in str(explorer.error)


def test_four_ids_stored_once_are_not_two_hundred_visits():
    once, often = (best_student(P, DRAWS, SAMPLED, 4, visits) for visits in (1, 200))
    assert set((once * 4).tolist()) <= {0.0, 1.0, 2.0, 3.0, 4.0}
    assert (often - P).abs().sum() < 0.2 < (once - P).abs().sum()
    assert best_student(P, DRAWS, TRUNCATED, 2, 1).tolist() == pytest.approx([2 / 3, 1 / 3, 0, 0, 0])


def test_the_cache_explorer_states_its_budget():
    explorer = cache_explorer(P, DRAWS, list("■abcd"), after="x")
    explorer.set({"k": 3, "kept": SAMPLED, "visits": 50})
    assert explorer.sentence.startswith("3 × 50 visits = 150 draws from the teacher")
    assert all(swept(explorer))


def test_a_text_below_the_axis_has_no_label_outside_the_picture():
    texts = [new_figure().subplots().text(0, 0, "") for _ in range(3)]
    place_labels(texts, [(3, -5.0, "seen"), (9, LEAST_LIKELY - 1, "unseen"), (3, -5.1, "pushed down")])
    assert [text.get_text() for text in texts if text.get_visible()] == ["seen", "pushed down"]
    assert texts[1].get_position()[1] < -5.5


@pytest.fixture(scope="module")
def real():
    explorer = real_cache_explorer("real-cache-under-test")
    yield explorer
    explorer.close()


@pytest.mark.parametrize("k", [1, 4, 32])
def test_what_a_real_cache_reads_is_what_the_librarys_losses_read(real, k):
    for prompt in PROMPTS:
        node = real_node(prompt)
        p, q = (torch.from_numpy(node.p(model)) for model in ("teacher", "healed"))
        sentence = real.draw({"real prompt": prompt, "k": k}).sentence
        at = KEPT_COUNTS.index(k)
        bucket = sparse_softmax_kl(q.log()[None], torch.arange(k)[None], p[:k].log()[None])
        assert real._artists.bucket.get_ydata()[at] == pytest.approx(bucket.item(), abs=1e-4)
        truncated = (p[:k] * (p[:k] / q[:k]).log()).sum().item()
        assert real._artists.truncated.get_ydata()[at] == pytest.approx(truncated)
        whole = forward_kl(q.log(), p.log()).item()
        assert real._artists.whole.get_ydata()[0] == pytest.approx(whole)
        assert f"the truncated sum reads {truncated:.2f}".replace("-", "−") in sentence
        assert f"{whole:.2f} on average" in sentence


def test_a_bucket_reads_no_more_than_there_is():
    for prompt in PROMPTS:
        node = real_node(prompt)
        read = [kl_read(node.p("teacher"), node.p("healed"), k) for k in KEPT_COUNTS]
        buckets = [bucket for _, bucket, _, _ in read]
        assert buckets == sorted(buckets)
        assert buckets[-1] <= read[0][2]


def test_draws_read_the_kl_on_average_with_the_spread_that_is_said():
    p, q, k = torch.tensor([0.6, 0.3, 0.1]).double(), torch.tensor([0.2, 0.5, 0.3]).double(), 2
    draws = torch.multinomial(p, 20_000 * k, True, generator=torch.Generator().manual_seed(0)).view(-1, k)
    readings = (p / q).log()[draws].mean(1)
    _, _, whole, spread = kl_read(p.numpy(), q.numpy(), k)
    assert readings.mean().item() == pytest.approx(whole, abs=4 * spread / 20_000**0.5)
    assert readings.std().item() == pytest.approx(spread, rel=0.03)


def test_bars_that_a_real_cache_leaves_out_are_pale(real):
    real.draw({"k": 2})
    assert [bar.get_alpha() for bar in real._artists.bars[0]][:4] == [1.0, 1.0, 0.35, 0.35]
    real.draw({"k": 32})
    assert [bar.get_alpha() for bar in real._artists.bars[1]][-2:] == [1.0, 0.35]


def test_below_zero_is_below_zero(real):
    """And seen to be: the axis fits the prompt, so that the sum stands well below the line at zero."""
    assert "the truncated sum reads −0.0" in real.draw(real.presets["below zero"]).sentence
    low, high = real._artists.whole.axes.get_ylim()
    truncated = real._artists.truncated.get_ydata()[KEPT_COUNTS.index(2)]
    assert low < truncated < -0.03 * (high - low)


def test_a_real_cache_stands_at_all_its_extremes(real):
    assert sweep(real) > 6
