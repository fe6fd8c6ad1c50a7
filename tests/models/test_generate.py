"""Generation: with a cache the same tokens as without, ends that stay ended, draws from the distribution it names."""

import pytest
import torch
from torch import nn

from kd_lab.models import GPT, GPTConfig, TabularModel, evaluating, generate, sampling_logp
from kd_lab.worlds import language

ECHO = language("echo")
END = 0


def chance(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def model():
    return GPT(GPTConfig(vocab_size=11, context=24, layers=2, heads=2, width=16, dropout=0.5), seed=1).double()


@pytest.fixture
def prompts():
    return torch.randint(1, 11, (32, 4), generator=chance(7))


@pytest.mark.parametrize(
    "how", [{"greedy": True}, {}, {"temperature": 0.7}, {"top_p": 0.8}, {"temperature": 1.5, "top_p": 0.9}]
)
def test_the_cache_changes_no_token(model, prompts, how):
    cached = generate(model, prompts, 21, generator=chance(), **how)
    uncached = generate(model, prompts, 21, generator=chance(), cached=False, **how)
    assert torch.equal(cached, uncached)
    assert torch.equal(cached[:, :4], prompts)
    assert cached.shape == (32, 25)


def test_the_cache_changes_no_token_of_a_table():
    start = torch.zeros(64, 1, dtype=torch.long)
    table = TabularModel(ECHO.logp)
    cached = generate(table, start, 6, generator=chance())
    assert torch.equal(cached, generate(table, start, 6, generator=chance(), cached=False))


def test_after_its_end_a_row_holds_end_marks_and_the_others_go_on(model, prompts):
    written = generate(model, prompts, 20, generator=chance())[:, 4:]
    ended = (written == END).cumsum(1) > 0
    assert ended.any(1).any()  # some row ends,
    assert not ended.any(1).all()  # some row does not
    assert (written[ended] == END).all()


def test_an_end_mark_in_the_prompt_is_no_end(model):
    written = generate(model, torch.zeros(64, 3, dtype=torch.long), 8, generator=chance())
    assert (written[:, 3:] != END).any()


def test_it_stops_when_all_rows_have_ended():
    class Counting(TabularModel):
        calls = 0

        def forward(self, tokens, cache=None):
            self.calls += 1
            return super().forward(tokens, cache)

    ending = [torch.full((2**t, 2), -torch.inf) for t in range(5)]
    for table in ending:
        table[:, END] = 0
    model = Counting(ending)
    assert generate(model, torch.zeros(3, 1, dtype=torch.long), 5, greedy=True).tolist() == [[0] * 6] * 3
    assert model.calls == 1


def test_draws_follow_the_exact_joint():
    rows = 20_000
    written = generate(TabularModel(ECHO.logp), torch.zeros(rows, 1, dtype=torch.long), 6, generator=chance())
    texts = ECHO.vocabulary.decode(written)
    for text, probability in ECHO.most_likely(5):
        deviation = (probability * (1 - probability) / rows) ** 0.5
        assert texts.count(text) / rows == pytest.approx(probability, abs=4 * deviation)


def test_greedy_takes_the_likeliest_token_at_each_step(model, prompts):
    written = generate(model, prompts, 5, greedy=True)
    model.eval()
    first = model(prompts)[:, -1].argmax(-1)
    assert torch.equal(written[:, 4], first)


def test_the_student_is_in_eval_while_it_writes_and_back_after(model, prompts):
    model.blocks[1].eval()  # a part that somebody froze stays frozen
    before = [module.training for module in model.modules()]
    seen = []
    model.norm.register_forward_hook(lambda module, *_: seen.append(module.training))
    generate(model, prompts, 3, generator=chance())
    assert seen == [False] * 3
    assert [module.training for module in model.modules()] == before


def test_the_mode_comes_back_after_an_error():
    module = nn.Sequential(nn.Dropout(0.5))

    def fail():
        with evaluating(module):
            assert not module[0].training
            raise RuntimeError("halfway")

    with pytest.raises(RuntimeError, match="halfway"):
        fail()
    assert module.training
    assert module[0].training


def test_nothing_written_asks_for_a_gradient(model, prompts):
    records = []
    hook = model.norm.register_forward_hook(lambda *_: records.append(torch.is_grad_enabled()))
    generate(model, prompts, 3, generator=chance())
    hook.remove()
    assert records == [False] * 3
    model(prompts).sum().backward()  # and the model still trains afterwards


def test_the_same_generator_state_gives_the_same_text_and_the_global_one_is_not_touched(model, prompts):
    state = torch.get_rng_state()
    assert torch.equal(
        generate(model, prompts, 9, generator=chance(3)), generate(model, prompts, 9, generator=chance(3))
    )
    assert torch.equal(torch.get_rng_state(), state)


def test_temperature_divides_the_logits():
    logits = torch.tensor([2.0, 1.0, 0.0])
    torch.testing.assert_close(sampling_logp(logits, temperature=2.0), (logits / 2).log_softmax(-1))


@pytest.mark.parametrize(
    ("top_p", "expected"),
    [(0.3, [0, 1, 0, 0]), (0.39, [0, 1, 0, 0]), (0.41, [0, 4 / 7, 3 / 7, 0]), (0.95, [0.1, 0.4, 0.3, 0.2])],
)
def test_the_nucleus_is_the_smallest_set_that_reaches_top_p(top_p, expected):
    p = torch.tensor([0.1, 0.4, 0.3, 0.2], dtype=torch.float64)
    torch.testing.assert_close(sampling_logp(p.log(), top_p=top_p).exp(), torch.tensor(expected, dtype=torch.float64))


def test_of_equals_the_nucleus_keeps_the_first():
    assert sampling_logp(torch.zeros(4), top_p=0.5).exp().tolist() == pytest.approx([0.5, 0.5, 0, 0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_new_tokens": 22}, "need a context of 25, and the model reads 24; expected max_new_tokens of at most 21"),
        ({"max_new_tokens": 0}, "max_new_tokens is 0"),
        ({"generator": None}, "sampling needs chance"),
        ({"temperature": 0.0}, "temperature is 0.0; .* greedy=True"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"top_p": 0.0}, "top_p is 0.0"),
        ({"top_p": 1.1}, "top_p is 1.1"),
    ],
)
def test_what_cannot_be_written_is_refused(model, prompts, arguments, message):
    with pytest.raises(ValueError, match=message):
        generate(model, prompts, **{"max_new_tokens": 3, "generator": chance()} | arguments)


def test_a_prompt_of_no_tokens_is_refused(model):
    with pytest.raises(ValueError, match="prompts have 0 tokens"):
        generate(model, torch.zeros(2, 0, dtype=torch.long), 3, greedy=True)


@pytest.mark.parametrize("how", [{"greedy": True}, {}])
def test_prompts_of_several_lengths_are_continued_each_as_alone(model, how):
    """A short prompt beside a long one: padding on the right is never read, and the longer prompt is kept."""
    prompts = torch.randint(1, 11, (40, 6), generator=chance(3))
    lengths = torch.arange(40) % 6 + 1
    written = generate(model, prompts, 8, lengths=lengths, generator=chance(), **how)
    assert torch.equal(written, generate(model, prompts, 8, lengths=lengths, generator=chance(), cached=False, **how))
    for row, length in enumerate(lengths.tolist()):
        assert torch.equal(written[row, :length], prompts[row, :length])
        if how:
            alone = generate(model, prompts[row : row + 1, :length], 14 - length, greedy=True)[0]
            assert torch.equal(written[row], alone)


def test_the_padding_of_a_short_prompt_has_no_say(model):
    prompts, lengths = torch.randint(1, 11, (20, 5), generator=chance(3)), torch.arange(20) % 5 + 1
    padded = prompts.where(torch.arange(5) < lengths[:, None], 0)
    one, other = (generate(model, ids, 8, lengths=lengths, generator=chance()) for ids in (prompts, padded))
    assert torch.equal(one, other)


def test_draws_after_prompts_of_several_lengths_follow_the_language():
    """Half of the rows are given "b" and half nothing: both are drawn from the exact conditionals."""
    rows = 20_000
    prompts = torch.zeros(rows, 2, dtype=torch.long)
    prompts[::2, 1] = ECHO.vocabulary.encode(["b"])[0, 1]
    lengths = torch.tensor([2, 1]).repeat(rows // 2)
    written = generate(TabularModel(ECHO.logp), prompts, 5, lengths=lengths, generator=chance())
    texts = ECHO.vocabulary.decode(written)
    exact = dict(ECHO.most_likely(10))
    begins_with_b = ECHO.logp[0][0, 2].exp().item()
    for text, expected in (("cxc", exact["cxc"]), ("byb", exact["byb"])):
        assert texts[1::2].count(text) / (rows / 2) == pytest.approx(expected, abs=0.015)
    assert texts[::2].count("byb") / (rows / 2) == pytest.approx(exact["byb"] / begins_with_b, abs=0.02)


def test_a_model_with_another_end_stops_there_and_fills_with_it():
    model = GPT(GPTConfig(vocab_size=5, context=24, layers=1, heads=1, width=8, end=3), seed=1)
    written = generate(model, torch.full((60, 1), 3), 20, generator=chance())[:, 1:]
    ended = (written == 3).cumsum(1) > 0
    assert ended[:, -1].any()
    assert (written[ended] == 3).all()
    assert (written[~ended] == 0).any()  # id 0 is a token like any other


@pytest.mark.parametrize("lengths", [[0, 2], [3, 5]])
def test_lengths_outside_of_the_prompts_are_refused(model, lengths):
    with pytest.raises(ValueError, match="lengths reach from"):
        generate(model, torch.ones(2, 4, dtype=torch.long), 3, lengths=torch.tensor(lengths), greedy=True)
