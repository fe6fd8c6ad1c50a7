"""Models of transformers as language models of the library."""

import pytest
import torch

from kd_lab.contracts import Cache, LanguageModel
from kd_lab.models import HuggingFace, generate, speculate
from kd_lab.models.watermark import Watermarked, green_lists
from kd_lab.where.beam import beam_search

transformers = pytest.importorskip("transformers", reason="transformers is not installed: pip install -e '.[real]'")

from tiny_transformers import BENT, FAMILIES, tiny_model, tiny_tokenizer  # noqa: E402  (it imports transformers)

MARKS = [{}, {"pad_token": "<pad>"}, {"bos_token": "<begin>"}, {"pad_token": "<pad>", "bos_token": "<begin>"}]


def wrapped(family: str = "llama", seed: int = 0, marks: dict | None = None, **options) -> HuggingFace:
    return HuggingFace(tiny_model(family, seed=seed, **options), tiny_tokenizer(**(marks or {}))).eval()


def chance(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def some_tokens(rows: int = 3, length: int = 6) -> torch.Tensor:
    return torch.randint(6, 15, (rows, length), generator=chance())


@pytest.mark.parametrize("family", FAMILIES)
def test_it_is_a_language_model_of_the_library(family: str) -> None:
    model = wrapped(family)
    assert isinstance(model, LanguageModel)
    assert (model.vocab_size, model.context, model.end) == (15, 32, 0)
    assert isinstance(model.new_cache(2, 8), Cache)
    tokens = some_tokens()
    torch.testing.assert_close(model(tokens), model.model(tokens).logits)


@pytest.mark.parametrize("family", FAMILIES)
def test_hidden_states_come_with_the_logits_that_the_head_makes_of_them(family: str) -> None:
    model = wrapped(family, vocab_size=20)
    logits, hidden = model(some_tokens(), return_hidden=True)
    assert len(hidden) == model.config.num_hidden_layers == 2
    assert hidden[0].shape == (3, 6, model.config.hidden_size)
    torch.testing.assert_close(hidden[-1] @ model.head.T, logits)


def test_logits_keep_fp64_and_are_widened_from_less() -> None:
    """As the factors do, so that both say the same of one model."""
    model, tokens = wrapped().double(), some_tokens()
    logits = model(tokens)
    assert logits.dtype == torch.float64
    torch.testing.assert_close(model.factors(tokens).logits(torch.float64), logits, rtol=0, atol=1e-12)
    assert model.bfloat16()(tokens).dtype == torch.float32


# ---- reading on, and writing -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_a_cache_reads_on_and_its_rows_can_be_picked_and_forgotten(family: str) -> None:
    model, tokens = wrapped(family), some_tokens()
    whole = model(tokens)
    cache = model.new_cache(3, 6)
    model(tokens[:, :3], cache)
    assert cache.length == 3
    picked = cache.select(torch.tensor([2, 0, 0, 1]))
    torch.testing.assert_close(model(tokens[:, 3:], cache), whole[:, 3:])
    torch.testing.assert_close(model(tokens[[2, 0, 0, 1], 3:], picked), whole[[2, 0, 0, 1], 3:])
    cache.length = cache.length  # forgets nothing
    cache.length = 4  # forgets the last two
    torch.testing.assert_close(model(tokens[:, 4:], cache), whole[:, 4:])


@pytest.mark.parametrize("family", FAMILIES)
def test_writing_with_a_cache_and_without_is_one_text(family: str) -> None:
    model = wrapped(family)
    prompts = some_tokens(rows=8, length=3)
    texts = [generate(model, prompts, 10, generator=chance(), cached=cached) for cached in (True, False)]
    assert torch.equal(*texts)
    assert len(texts[0].unique(dim=0)) > 1


@pytest.mark.parametrize("family", FAMILIES)
def test_a_draft_of_another_width_speeds_up_what_the_target_writes(family: str) -> None:
    target, draft, prompt = wrapped(family), wrapped("llama", width=8, seed=1), some_tokens(rows=1, length=3)[0]
    alone = generate(target, prompt[None], 10, greedy=True)[0]
    text = speculate(target, draft, prompt, 10, guesses=3, greedy=True)
    assert torch.equal(text.tokens, alone[: len(text.tokens)])
    assert speculate(target, target, prompt, 10, guesses=3, generator=chance()).calls <= 3


def test_a_beam_as_wide_as_the_vocabulary_finds_the_best_of_all_texts_of_two_tokens() -> None:
    model = wrapped()
    found = beam_search(model, torch.tensor([2, 6]), width=15, max_new_tokens=2)[0]
    first = model(torch.tensor([[2, 6]]))[0, -1].log_softmax(-1)
    pairs = torch.cartesian_prod(torch.tensor([2]), torch.tensor([6]), torch.arange(15))
    second = model(pairs)[:, -1].log_softmax(-1)
    joint = first[:, None] + second
    joint[0] = first[0]  # an end has nothing after it
    assert found.logp == pytest.approx(joint.max().item(), abs=1e-4)


# ---- padding on the left ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("marks", MARKS)
def test_a_row_padded_on_the_left_reads_as_it_would_alone(family: str, marks: dict) -> None:
    """Also where the padding is the mark that begins a text: then the last of it is that mark."""
    model = wrapped(family, marks=marks)
    pad, begin = model.tokenizer.pad, model.tokenizer.begin
    rows = torch.tensor([[pad, pad, pad, begin, 6, 7, 8], [begin, 9, 9, 9, 6, 7, 8], [pad, begin, 6, 6, 6, 6, 6]])
    alone = [model(rows[i : i + 1, start:]) for i, start in enumerate((3, 0, 1))]
    together = model(rows)
    for i, start in enumerate((3, 0, 1)):
        torch.testing.assert_close(together[i, start:], alone[i][0], rtol=1e-4, atol=1e-4)
    assert together.isfinite().all()
    texts = generate(model, rows, 8, greedy=True)
    assert torch.equal(texts[:1, 3:], generate(model, rows[:1, 3:], 8, greedy=True))
    assert torch.equal(texts, generate(model, rows, 8, greedy=True, cached=False))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_text_that_ends_at_once_reads_the_mark_alone(family: str) -> None:
    """Where one id begins, ends and pads, its row may be padded on the left or on the right, and nothing tells."""
    model, rows = wrapped(family), torch.tensor([[0, 0, 0], [0, 6, 0]])
    alone, other, cache = model(rows[:1, :1])[0], model(rows[1:])[0], model.new_cache(2, 4)
    for read in (model(rows), model(rows, cache)):
        torch.testing.assert_close(read[0], alone.expand(3, -1), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(read[1], other, rtol=1e-4, atol=1e-4)
    after = model(torch.tensor([[8], [8]]), cache)
    torch.testing.assert_close(after[0], model(torch.tensor([[0, 8]]))[0, 1:], rtol=1e-4, atol=1e-4)


def test_gradients_through_rows_padded_on_the_left_are_finite() -> None:
    model = wrapped(marks={"pad_token": "<pad>"}).train()
    logits = model(torch.tensor([[1, 1, 1, 6, 7], [6, 6, 6, 6, 7]]))
    logits[:, 3:].square().mean().backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


def test_padding_on_the_right_changes_nothing_before_it() -> None:
    model = wrapped()
    torch.testing.assert_close(model(torch.tensor([[6, 7, 8, 0, 0]]))[:, :3], model(torch.tensor([[6, 7, 8]])))


# ---- heads with more rows than tokens --------------------------------------------------------------------------------


def test_rows_of_the_head_beyond_the_tokens_get_no_mass() -> None:
    """A student of 20 rows and a teacher of 24 meet on the 15 tokens that both have."""
    student, teacher = wrapped(vocab_size=20), wrapped(vocab_size=24, seed=1)
    with torch.no_grad():
        teacher.model.get_output_embeddings().weight[15:] *= 100  # were they read, they would take nearly all of it
    tokens = some_tokens()
    assert student.vocab_size == teacher.vocab_size == student(tokens).shape[-1] == teacher(tokens).shape[-1] == 15
    cut = teacher.model(tokens).logits[..., :15].log_softmax(-1)
    torch.testing.assert_close(teacher(tokens).log_softmax(-1), cut)
    assert len(student.head) == 15


def test_a_head_with_too_few_rows_is_refused() -> None:
    with pytest.raises(ValueError, match=r"has 12 rows and .* 15 tokens.* more.*resize_token_embeddings"):
        wrapped(vocab_size=12)


def test_a_model_without_a_head_is_refused() -> None:
    body = tiny_model().model
    with pytest.raises(ValueError, match=r"LlamaModel has no head for next tokens"):
        HuggingFace(body, tiny_tokenizer())


def test_what_does_not_fit_is_refused_with_its_numbers() -> None:
    model = wrapped()
    with pytest.raises(ValueError, match=r"33 tokens came after 0; expected at most 32"):
        model(some_tokens(length=33))
    cache = model.new_cache(3, 5)
    model(some_tokens(length=4), cache)
    with pytest.raises(ValueError, match=r"2 tokens came after 4; expected at most 5"):
        model(some_tokens(length=2), cache)
    with pytest.raises(ValueError, match=r"token ids reach from 3 to 77; expected 0 … 14"):
        model(torch.tensor([[3, 77]]))


def test_half_precision_gives_logits_that_a_softmax_can_use() -> None:
    model = wrapped()
    model.model.to(torch.bfloat16)
    assert model(some_tokens()).dtype == torch.float32


def test_another_tokenizer_is_refused_by_name() -> None:
    model, other = wrapped(), HuggingFace(tiny_model(), tiny_tokenizer(letters="abxdefgh "))
    model.check_tokenizer(model.tokenizer)
    with pytest.raises(ValueError, match=r"the teacher does not share the tokenizer.*id 8.*'x'.*'c'"):
        other.check_tokenizer(model.tokenizer, "teacher")


def marked(model: HuggingFace) -> Watermarked:
    return Watermarked(model, green_lists(model.vocab_size, key=0))


@pytest.mark.parametrize("around", [lambda model: model, marked], ids=["itself", "inside another"])
def test_a_draft_of_another_tokenizer_is_refused_wherever_it_stands(around) -> None:
    target, prompt = wrapped(), some_tokens(rows=1, length=3)[0]
    draft = HuggingFace(tiny_model(), tiny_tokenizer(letters="abxdefgh "))
    with pytest.raises(ValueError, match=r"the draft does not share the tokenizer"):
        speculate(around(target), around(draft), prompt, 4, greedy=True)


# ---- logits that nobody needs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("cached", [True, False])
def test_writing_makes_the_logits_of_the_last_position_alone(family: str, cached: bool) -> None:
    """With 152 thousand tokens the logits of a prompt of 4,096 are 2.5 GB per row."""
    model, shapes = wrapped(family, vocab_size=20), set()
    model.model.get_output_embeddings().register_forward_hook(lambda *call: shapes.add(tuple(call[2].shape)))
    generate(model, some_tokens(rows=3, length=6), 4, greedy=True, cached=cached)
    assert shapes == {(3, 1, 20)}


@pytest.mark.parametrize("family", [*FAMILIES, *BENT])
def test_the_factors_of_the_logits_give_them_and_their_gradient(family: str) -> None:
    model, tokens = wrapped(family, vocab_size=20), some_tokens()
    logits = model(tokens)
    head = model.factors(tokens)
    torch.testing.assert_close(head.logits(), logits)
    assert (family in BENT) == (head[2:] != (None, 1.0, None))
    gradients = [torch.autograd.grad(made.square().sum(), model.model.parameters()) for made in (logits, head.logits())]
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-4)


def test_the_factors_of_half_precision_are_held_to_its_rounding() -> None:
    for family in BENT:
        model, tokens = wrapped(family), some_tokens()
        model.model.to(torch.bfloat16)
        torch.testing.assert_close(model.factors(tokens).logits(), model(tokens), rtol=0.02, atol=0.02)


def test_factors_refuse_what_the_logits_refuse() -> None:
    with pytest.raises(ValueError, match=r"33 tokens came after 0; expected at most 32"):
        wrapped().factors(some_tokens(length=33))
