"""The calculator's numbers are the cost model's, and the explorer of rungs shows the rung that was chosen."""

from dataclasses import dataclass

import pytest
import torch

from kd_lab.compress.cost import DEVICES, bottleneck, token_cost
from kd_lab.compress.quantize import Scheme, round_matrix, round_to_nearest
from kd_lab.lessons.l08_stacking.explorers import (
    BITS,
    LARGE,
    SHARED,
    cost_calculator,
    draw_front,
    name_column,
    pareto,
    rounding_explorer,
    shrunk,
    stack_explorer,
    stairs,
)
from kd_lab.models import GPT, GPTConfig
from kd_lab.viz import new_figure


@dataclass(frozen=True)
class Fake:
    name: str
    distilled: bool
    pruned: int
    bits: int
    bytes: int
    bits_per_character: tuple[float, ...]
    writing: float = 100.0
    predicted_size: float = 0.5
    measured_size: float = 0.5
    predicted_time: float = 0.5
    measured_time: float = 0.6
    samples: tuple[str, ...] = ("smith", "jones")


def rungs():
    made = []
    for distilled in (False, True):
        for pruned in (0, 50):
            for bits in (16, 4):
                share = (0.3 if distilled else 1) * (1 - pruned / 200) * bits / 16
                made.append(
                    Fake(
                        f"{distilled} {pruned} {bits}",
                        distilled,
                        pruned,
                        bits,
                        round(1e6 * share),
                        (3 + 0.1 / share, 3.02 + 0.1 / share),
                        predicted_size=share,
                        measured_size=share,
                    )
                )
    return made


def test_the_calculator_multiplies_the_factors():
    explorer = cost_calculator()
    start, small = explorer.draw({}), explorer.draw({"parameters kept, %": 50, "bits per parameter": 4})
    assert "the whole cost is 1 times the original's" in start.sentence
    assert "the whole cost is 0.12 times the original's" in small.sentence
    assert "On an H100 the bottleneck is memory" in start.sentence
    explorer.close()


def test_shrinking_moves_a_large_gpu_from_memory_to_latency():
    whole = token_cost(LARGE, bits=16)
    assert bottleneck(whole, DEVICES["H100 SXM"]) == "memory"
    assert bottleneck(shrunk(whole, 0.05, 2, 1.0), DEVICES["H100 SXM"]) == "latency"


def test_stairs_are_where_the_library_rounds_to():
    weights = torch.linspace(-0.4, 0.4, 32)
    for bits in BITS:
        matrix = round_matrix(weights[None], Scheme(bits, 32))
        torch.testing.assert_close(stairs(matrix, weights), matrix.dequantize()[0])


def test_the_rounding_explorer_says_how_far_off_the_weights_are():
    model = GPT(GPTConfig(vocab_size=4, context=4, layers=1, heads=2, width=32))
    weight = model.blocks[0].expand.weight.detach()
    weight[0] = torch.tensor([-0.4, 0.0, 0.15, 0.4] * 8)
    rounded = {
        (name, bits): round_to_nearest(model, bits, group) for name, (group, _) in SHARED.items() for bits in BITS
    }
    explorer = rounding_explorer(rounded, dict.fromkeys(rounded, 0.25), weight[0], "blocks.0.expand.weight")
    frame = explorer.draw(explorer.presets["2 bits"])
    # the grid −0.4, 0, 0.4 misses 0.15 alone: √(0.15² / (0.4² + 0.15² + 0.4²)) = 0.256
    assert frame.sentence.startswith("2 bits, one scale for each run of 32 neighbours: 2.50 bits per weight")
    assert "These 32 weights are 26% off, and the model loses 0.250 bits" in frame.sentence
    explorer.close()


def test_names_stand_at_equal_distances_whatever_their_letters():
    heights = [line.get_position()[1] for line in name_column(new_figure().subplots(), 4)]
    assert heights == pytest.approx([0.875, 0.625, 0.375, 0.125])


def test_the_explorer_names_the_rung_that_was_chosen():
    explorer = stack_explorer(rungs(), (2.9, 4.0), name="rungs under test")
    assert explorer.sentence.startswith("False 0 16: 1,000,000 bytes, 1.0 times smaller")
    chosen = explorer.draw(explorer.presets["the whole stack"])
    assert chosen.sentence.startswith("True 50 4: 56,250 bytes, 17.8 times smaller")
    assert chosen.png != explorer.draw({}).png
    explorer.close()


def test_the_front_is_what_no_rung_beats():
    a, b, c = (Fake(n, False, 0, 16, size, (q, q)) for n, size, q in (("a", 10, 3.5), ("b", 20, 3.0), ("c", 15, 3.6)))
    assert pareto([c, b, a]) == [a, b]


def test_the_front_is_drawn_within_its_limits():
    axes = new_figure().subplots()
    draw_front(axes, rungs(), (2.9, 3.3))
    assert axes.get_ylim() == pytest.approx((2.9, 3.3))
    for line in axes.lines:
        if len(line.get_ydata()) and line.get_zorder() > 0:
            assert max(line.get_ydata()) < 3.3
