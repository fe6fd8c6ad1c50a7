"""Lesson 03b's explorer of a real pair charges each token what the divergence does."""

import numpy as np
import pytest
import torch

from kd_lab.how.divergences import DIVERGENCES as FORMULAS
from kd_lab.lessons.l03b_between_the_kls.explorers import CHARGES, MEMBERS, charged, real_pair_explorer
from kd_lab.viz.real_tokens import PROMPTS, real_node
from kd_lab.viz.style import DIVERGENCES
from kd_lab.viz.sweep import sweep


@pytest.fixture(scope="module")
def pair():
    explorer = real_pair_explorer()
    yield explorer
    explorer.close()


@pytest.mark.parametrize("label", MEMBERS)
def test_charges_add_up_to_the_librarys_divergence(label):
    name, beta, _ = MEMBERS[label]
    for prompt in PROMPTS:
        p, q = (real_node(prompt).p(model) for model in ("teacher", "healed"))
        wanted = FORMULAS[name](*(torch.from_numpy(np.log(one)) for one in (q, p)), beta)
        assert charged(label, p, q).sum() == pytest.approx(wanted.item(), abs=1e-9)


@pytest.mark.parametrize("label", MEMBERS)
def test_the_bars_are_the_charges_and_the_sentence_their_sum(pair, label):
    for prompt in PROMPTS:
        p, q = (real_node(prompt).p(model) for model in ("teacher", "healed"))
        paid = charged(label, p, q)
        sentence = pair.draw({"real prompt": prompt, "divergence": label}).sentence
        teacher, student, charges = ([bar.get_height() for bar in bars] for bars in pair._artists.bars)
        assert sum(teacher) == pytest.approx(1)
        assert sum(student) == pytest.approx(1)
        assert sum(charges) == pytest.approx(paid.sum())
        assert sentence.startswith(f"{label}: {paid.sum():.3f} nats")
        assert f"{max(charges[:-1]):+.3f}" in sentence
        low, high = CHARGES.get(MEMBERS[label][0], CHARGES[""])[0]
        assert low < min(charges) <= max(charges) < high
        assert pair._artists.bars[2][0].get_facecolor()[:3] == pytest.approx(
            [int(DIVERGENCES[MEMBERS[label][0]].color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        )


def test_jsd_charges_no_token_less_than_nothing():
    for prompt in PROMPTS:
        p, q = (real_node(prompt).p(model) for model in ("teacher", "healed"))
        assert min(charged(label, p, q).min() for label in MEMBERS if label.startswith("JSD")) > -1e-12
        assert min(charged("forward KL", p, q).min(), charged("reverse KL", p, q).min()) < 0


def test_a_real_pair_stands_at_all_its_extremes(pair):
    assert sweep(pair) > 6
