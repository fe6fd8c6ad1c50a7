"""The training loop: it learns, repeats, survives an interrupt and stops where numbers end."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from kd_lab.how import Divergence, NegativeLogLikelihood
from kd_lab.measure import conditionals, sequence_kl
from kd_lab.methods import (
    METHODS,
    NonFiniteLoss,
    Recipe,
    Term,
    distill,
    hinton,
    labels_only,
    minillm,
    on_policy,
    sequence_level,
    word_level,
)
from kd_lab.models import GPT, GPTConfig, TabularModel
from kd_lab.what import Logits, Sequences
from kd_lab.where import Corpus, Mixture, StudentRollouts
from kd_lab.worlds import language, surnames

SPOKEN = language("brackets")
WORLD = SPOKEN.world(rows=256, seed=0)


def teacher() -> TabularModel:
    return TabularModel(SPOKEN.logp)


def student(world=WORLD, seed: int = 0) -> GPT:
    config = GPTConfig(vocab_size=len(world.vocabulary), context=world.context, layers=1, heads=2, width=16)
    return GPT(config, seed=seed)


def run(recipe: Recipe, model=None, **options):
    return distill(model or student(), teacher(), WORLD, recipe, **{"steps": 5, "progress": False} | options)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.__name__)
@pytest.mark.parametrize("world", [WORLD, surnames(top=500)], ids=lambda world: world.name)
def test_every_method_trains_on_every_world(method, world):
    shows_hidden_states = method().what.needs == "hidden_states"
    judge = student(world, seed=9) if world is not WORLD or shows_hidden_states else teacher()
    model = student(world)
    before = [parameter.clone() for parameter in model.parameters()]
    result = distill(model, judge, world, method(), steps=3, batch_size=8, progress=False)
    assert all(len(column) == 3 for column in result.history.values())
    assert np.isfinite(result.history["loss"]).all()
    assert any((a != b).any() for a, b in zip(before, model.parameters(), strict=True))


def test_word_level_brings_the_sequence_kl_down():
    exact = conditionals(teacher(), len(SPOKEN.logp))
    model = student()
    before = sequence_kl(conditionals(model, len(SPOKEN.logp)), exact)
    run(word_level(), model, steps=200, learning_rate=1e-2)
    assert sequence_kl(conditionals(model, len(SPOKEN.logp)), exact) < 0.2 * before


def test_the_same_seed_gives_the_same_run_and_another_seed_another():
    first, again, other = (run(word_level(), seed=seed).history["loss"] for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def test_the_global_random_state_is_neither_read_nor_moved():
    torch.manual_seed(0)
    state = torch.get_rng_state()
    losses = run(Recipe("on-policy", Logits(), Divergence(), StudentRollouts())).history["loss"]
    assert torch.equal(state, torch.get_rng_state())
    torch.manual_seed(1)
    assert (losses == run(Recipe("on-policy", Logits(), Divergence(), StudentRollouts())).history["loss"]).all()


def test_a_mixture_with_fraction_zero_is_its_off_policy_part_step_for_step():
    mixed, pure = student(), student()
    with_coin = run(Recipe("λ = 0", Logits(), Divergence(), Mixture(0.0)), mixed, seed=3)
    without = run(word_level(), pure, seed=3)
    assert (with_coin.history["loss"] == without.history["loss"]).all()
    assert all(torch.equal(a, b) for a, b in zip(mixed.parameters(), pure.parameters(), strict=True))


def test_the_history_counts_positions_and_only_those():
    result = run(labels_only(), batch_size=4, steps=3)
    draw = Corpus().bind(WORLD, student(), teacher(), 0)
    assert result.history["tokens"].tolist() == np.cumsum([int(draw(4).mask.sum()) for _ in range(3)]).tolist()
    assert (np.diff(result.history["seconds"]) > 0).all()


def test_evaluations_stand_at_their_steps():
    result = run(word_level(), steps=5, evaluate=lambda model: float(not model.training), evaluate_every=2)
    assert np.isfinite(result.history["evaluation"]).tolist() == [False, True, False, True, True]
    assert np.nanmin(result.history["evaluation"]) == 1  # the student was in eval mode


def test_an_interrupt_leaves_student_and_history():
    calls = []

    def press_stop(model):
        calls.append(model)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return 0.0

    model = student()
    result = run(word_level(), model, steps=50, evaluate=press_stop, evaluate_every=1)
    assert result.interrupted
    assert len(result.history["step"]) == 3
    assert len(set(map(len, result.history.values()))) == 1
    assert model.training
    assert model(WORLD.held_out.inputs).isfinite().all()


def test_the_teacher_is_read_in_eval_mode_and_without_a_gradient_and_put_back():
    modes = []

    class Watched(TabularModel):
        def forward(self, tokens, cache=None):
            modes.append((self.training, torch.is_grad_enabled()))
            return super().forward(tokens, cache)

    judge = Watched(SPOKEN.logp).train()
    distill(student(), judge, WORLD, word_level(), steps=2, progress=False)
    assert set(modes) == {(False, False)}
    assert judge.training
    assert all(table.grad is None for table in judge.parameters())


def test_the_student_writes_in_eval_mode_and_trains_in_train_mode():
    modes = []

    class Watched(GPT):
        def forward(self, tokens, cache=None, return_hidden=False):
            modes.append((self.training, cache is not None))
            return super().forward(tokens, cache, return_hidden)

    model = Watched(student().config)
    run(Recipe("on-policy", Logits(), Divergence(), StudentRollouts()), model, steps=2)
    assert set(modes) == {(False, True), (True, False)}


def test_a_nan_in_the_student_stops_before_the_step_and_says_where():
    model = student()
    with torch.no_grad():
        model.norm.weight[0] = float("nan")
    before = [parameter.clone() for parameter in model.parameters()]
    with pytest.raises(NonFiniteLoss, match=r"step 1.*student's own output is NaN") as caught:
        run(word_level(), model)
    assert len(caught.value.result.history["loss"]) == 0
    for old, new in zip(before, model.parameters(), strict=True):
        assert torch.equal(old.nan_to_num(), new.nan_to_num())


@pytest.mark.parametrize("recipe", [on_policy(), minillm()], ids=lambda recipe: recipe.name)
def test_a_student_that_diverges_and_then_writes_keeps_its_history(recipe):
    """Its probabilities are NaN before any loss is: they are drawn from first."""
    model = student()

    def diverge(row):
        if row["step"] == 2:
            model.norm.weight.data[0] = float("nan")

    with pytest.raises(NonFiniteLoss, match=r"stopped at step 3: .*text is written.*lower learning_rate") as caught:
        run(recipe, model, on_step=diverge)
    assert caught.value.result.history["step"].tolist() == [1, 2]


def test_a_nan_in_the_teacher_is_told_apart():
    broken = teacher()
    with torch.no_grad():
        broken.tables[0][:] = float("nan")
    with pytest.raises(NonFiniteLoss, match="teacher's output is NaN"):
        distill(student(), broken, WORLD, word_level(), steps=2, progress=False)


def test_reverse_kl_to_a_teacher_with_zeros_is_infinite_and_says_so():
    never = teacher()
    with torch.no_grad():
        never.tables[0][0, -1] = -torch.inf
    with pytest.raises(NonFiniteLoss, match="probability zero where the other does not"):
        distill(student(), never, WORLD, word_level("reverse_kl"), steps=2, progress=False)


def test_what_does_not_fit_is_refused_before_anything_moves():
    with pytest.raises(ValueError, match="steps is 0"):
        run(word_level(), steps=0)
    with pytest.raises(ValueError, match=r"the student has a vocabulary of .*vocab_size=len"):
        run(word_level(), GPT(GPTConfig(vocab_size=27, context=16, layers=1, heads=1, width=8)))
    short = GPT(dataclasses.replace(student().config, context=2))
    with pytest.raises(ValueError, match="the student reads 2 tokens"):
        run(word_level(), short)
    other_end = GPT(dataclasses.replace(student().config, end=1))
    for pair in ((other_end, teacher()), (student(), other_end)):
        with pytest.raises(ValueError, match=r"ends a text with the id 1 and .* end with 0.*end=world.vocabulary.end"):
            distill(*pair, WORLD, word_level(), steps=1, progress=False)
    with pytest.raises(ValueError, match="no parameter of the student"):
        run(word_level(), student().requires_grad_(False))


def test_hinton_mixes_value_and_gradient_by_the_same_factors():
    """The loss is (1 − w)·τ²·KL(τ) + w·CE, so its gradient is the same mixture of the two gradients."""
    batch = WORLD.train[slice(0, 8)]
    judge = teacher().float()
    model = student()

    def value_and_gradient(recipe):
        model.zero_grad()
        loss = recipe.how(*recipe.what.bind(model, judge, 0).read(batch), batch)
        loss.backward()
        return loss.detach(), torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])

    soft, soft_gradient = value_and_gradient(hinton(temperature=3.0, label_weight=0.0))
    hard, hard_gradient = value_and_gradient(labels_only())
    mixed, mixed_gradient = value_and_gradient(hinton(temperature=3.0, label_weight=0.3))
    torch.testing.assert_close(mixed, 0.7 * soft + 0.3 * hard)
    torch.testing.assert_close(mixed_gradient, 0.7 * soft_gradient + 0.3 * hard_gradient, rtol=1e-4, atol=1e-6)


def test_the_beam_mode_is_one_text_a_prompt():
    world = WORLD.given(2)
    source = sequence_level("beam", size=32, beam_width=4).where.bind(world, student(), teacher(), seed=0)
    batch = source(64)
    by_prompt = {}
    for row in batch.tokens.tolist():
        by_prompt.setdefault(row[1], set()).add(tuple(row))
    assert all(len(texts) == 1 for texts in by_prompt.values())
    assert not batch.mask[:, 0].any()  # the given token is no target


# ---- parts, precision, chance and callbacks --------------------------------------------------------------------------


def gpt_teacher() -> GPT:
    return student(seed=9)


@pytest.mark.parametrize("method", [m for m in METHODS if m.__name__ != "rkd"], ids=lambda method: method.__name__)
def test_a_step_in_parts_is_one_large_batch(method):
    """Parts of unequal length: each divided by its own count, the gradients would be another loss's."""
    weights = {}
    for accumulate in (1, 3):
        model = student().double()
        result = distill(
            model, gpt_teacher().double(), WORLD, method(), steps=3, batch_size=10, accumulate=accumulate,
            progress=False,
        )  # fmt: skip
        weights[accumulate] = (torch.tensor(result.history["loss"]), *model.parameters())
    for whole, parts in zip(weights[1], weights[3], strict=True):
        torch.testing.assert_close(whole, parts, rtol=1e-6, atol=1e-8)


def test_two_terms_add_up():
    both = Recipe(
        "both",
        terms=(
            Term(Logits(), Divergence("reverse_kl"), Corpus()),
            Term(Sequences(), NegativeLogLikelihood(), Corpus(), weight=0.25),
        ),
    )
    alone = [Recipe("one", term.what, term.how, term.where) for term in both.terms]
    loss = {recipe: run(recipe, steps=1).history["loss"][0] for recipe in (both, *alone)}
    assert loss[both] == pytest.approx(loss[alone[0]] + 0.25 * loss[alone[1]], rel=1e-6)
    # terms that name one WHERE read one batch
    assert run(both, steps=1).history["tokens"] == run(alone[0], steps=1).history["tokens"]


def test_terms_of_different_wheres_draw_from_their_own_streams():
    drawn = []

    @dataclasses.dataclass(frozen=True)
    class Noted(Corpus):
        name: str = ""

        def bind(self, world, student, teacher, seed):
            source = super().bind(world, student, teacher, seed)

            def draw(batch_size):
                drawn.append(source(batch_size).tokens)
                return source(batch_size)

            return dataclasses.replace(source, draw=draw)

    terms = [Term(Logits(), Divergence(), Noted(name)) for name in "ab"]
    run(Recipe("both", terms=terms), steps=1)
    assert not torch.equal(*drawn)


def test_the_seed_governs_dropout_and_the_global_stream_stays():
    def losses(seed, accumulate=1):
        model = GPT(dataclasses.replace(student().config, dropout=0.3))
        return run(word_level(), model, seed=seed, accumulate=accumulate, batch_size=8).history["loss"]

    torch.manual_seed(0)
    state = torch.get_rng_state()
    first = losses(1)
    assert torch.equal(state, torch.get_rng_state())
    torch.manual_seed(1)
    assert (losses(1) == first).all()
    assert (losses(2) != first).any()


def test_every_step_drops_other_units():
    model = GPT(dataclasses.replace(student().config, dropout=0.5))
    one_text = dataclasses.replace(WORLD, train=WORLD.train[slice(0, 1)])
    result = distill(model, teacher(), one_text, word_level(), steps=2, learning_rate=1e-12, progress=False)
    assert result.history["loss"][0] != result.history["loss"][1]


def test_every_row_of_the_history_is_shown_as_it_is_written():
    rows = []
    result = run(word_level(), evaluate=lambda model: 7.0, evaluate_every=2, on_step=rows.append)
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5]
    assert [row["loss"] for row in rows] == result.history["loss"].tolist()
    assert rows[1]["evaluation"] == 7.0


def test_the_schedule_is_the_callers():
    seen = []

    def constant(step, steps):
        seen.append((step, steps))
        return 0.0

    model = student()
    before = [parameter.clone() for parameter in model.parameters()]
    run(word_level(), model, schedule=constant)
    assert seen == [(step, 5) for step in range(1, 6)]
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_bf16_reads_in_bf16_and_keeps_weights_and_losses():
    seen = set()

    class Watched(GPT):
        def forward(self, tokens, cache=None, return_hidden=False):
            logits = super().forward(tokens, cache, return_hidden)
            seen.add((logits.dtype, cache is not None))
            return logits

    model = Watched(student().config)
    recipe = Recipe("on-policy", Logits(), Divergence(), StudentRollouts())
    result = distill(model, gpt_teacher(), WORLD, recipe, steps=3, autocast=torch.bfloat16, progress=False)
    assert seen == {(torch.bfloat16, False), (torch.float32, True)}
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    exact = distill(student(), gpt_teacher(), WORLD, recipe, steps=3, progress=False)
    assert result.history["loss"][0] == pytest.approx(exact.history["loss"][0], rel=0.05)


def test_an_interrupt_while_the_teacher_writes_keeps_the_student():
    class Slow(TabularModel):
        def forward(self, tokens, cache=None):
            raise KeyboardInterrupt

    model, judge = student().eval(), Slow(SPOKEN.logp).train()
    result = distill(model, judge, WORLD, sequence_level(), steps=2, progress=False)
    assert result.interrupted
    assert result.student is model
    assert [len(column) for column in result.history.values()] == [0] * 6
    assert not model.training
    assert judge.training


def test_a_model_that_is_not_of_the_library_is_refused_by_name():
    with pytest.raises(ValueError, match=r"the student is a Linear without vocab_size.*kd_lab\.models\.HuggingFace"):
        run(word_level(), torch.nn.Linear(2, 2))
    with pytest.raises(ValueError, match="the teacher is a Linear"):
        distill(student(), torch.nn.Linear(2, 2), WORLD, word_level(), progress=False)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"batch_size": 4, "accumulate": 8}, r"batch_size is 4 .*accumulate=8"),
        ({"accumulate": 0}, "accumulate is 0"),
        ({"autocast": torch.float16}, "gradients in float16 vanish"),
        ({"checkpoint_every": 0}, "checkpoint_every is 0"),
        ({"clip": 0.0}, "clip is 0.0; expected a number above 0, or math.inf for no clipping"),
        ({"clip": -1.0}, "clip is -1.0"),
        ({"clip": float("nan")}, "clip is nan"),
    ],
)
def test_options_out_of_range_are_refused(options, reason):
    with pytest.raises(ValueError, match=reason):
        run(word_level(), **options)


# ---- the precision of the weights ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_weights_too_narrow_for_small_steps_are_refused(dtype):
    """At a rate of 1e-5 a step is below half a unit in the last place of most weights in bf16: nothing would move."""
    with pytest.raises(ValueError, match=rf"trainable parameters are narrower than fp32.*{dtype}.*student\.float\(\)"):
        run(word_level(), student().to(dtype))
    assert np.isfinite(run(word_level(), student().double()).history["loss"]).all()


class Shifted(torch.nn.Module):
    """A frozen model in bf16, under an adapter in fp32 that shifts its logits."""

    def __init__(self):
        super().__init__()
        self.base = student().bfloat16().requires_grad_(False)
        self.shift = torch.nn.Parameter(torch.zeros(self.base.vocab_size))
        self.vocab_size, self.context, self.end = self.base.vocab_size, self.base.context, self.base.end
        self.new_cache = self.base.new_cache

    def forward(self, tokens, cache=None):
        return self.base(tokens, cache).float() + self.shift


def test_a_frozen_base_in_bf16_is_trained_by_its_adapters_in_fp32():
    model = Shifted()
    run(word_level(), model)
    assert model.shift.abs().min() > 0
    assert {parameter.dtype for parameter in model.base.parameters()} == {torch.bfloat16}


def test_an_infinite_clip_lets_every_gradient_through():
    whole, large = (run(word_level(), clip=clip).history for clip in (math.inf, 1e9))
    assert whole["loss"].tolist() == large["loss"].tolist()
    assert whole["gradient_norm"].min() > 0
