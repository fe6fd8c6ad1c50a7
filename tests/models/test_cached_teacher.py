"""A teacher with a memory: the same answers, each text read once, and a limit that is kept and named."""

import copy
import warnings

import pytest
import torch

from kd_lab.contracts import LanguageModel
from kd_lab.models import GPT, CachedTeacher, GPTConfig, TabularModel, generate
from kd_lab.models.fingerprint import fingerprint
from kd_lab.what import Heads

SHAPE = GPTConfig(vocab_size=7, context=6, layers=2, heads=1, width=8, dropout=0.5, end=3)
TOKENS = torch.tensor([[0, 1, 2], [0, 2, 2], [0, 1, 2]])
ROW = 3 * 7 * 4  # bytes of the logits of one row in float32


@pytest.fixture
def model():
    return GPT(SHAPE, seed=1)


def test_it_answers_as_the_model_in_eval_mode_and_reads_each_row_once(model):
    teacher = CachedTeacher(model)
    expected = copy.deepcopy(model).eval()(TOKENS)
    for _ in range(2):
        torch.testing.assert_close(teacher(TOKENS), expected)
    torch.testing.assert_close(teacher(TOKENS[1:2]), expected[1:2])
    assert (teacher.rows_read, teacher.bytes_kept) == (2, 2 * ROW)
    assert model.training  # put back
    assert not teacher(TOKENS).requires_grad


def test_hidden_states_are_kept_once_they_are_asked(model):
    teacher = CachedTeacher(model)
    teacher(TOKENS)
    logits, hidden = teacher(TOKENS, return_hidden=True)
    assert teacher.rows_read == 4  # the second reading brought the hidden states of both rows
    again, hidden_again = teacher(TOKENS, return_hidden=True)
    assert teacher.rows_read == 4
    assert torch.equal(logits, again)
    assert [layer.shape for layer in hidden_again] == [(3, 3, 8), (3, 3, 8)]
    assert all(map(torch.equal, hidden, hidden_again))
    torch.testing.assert_close(model.norm(hidden[-1]) @ model.head.T, logits)
    assert teacher.bytes_kept == 2 * (ROW + 2 * 3 * 8 * 4)


def test_it_has_the_members_of_the_model(model):
    teacher = CachedTeacher(model)
    assert isinstance(teacher, LanguageModel)
    assert (teacher.vocab_size, teacher.context, teacher.end) == (7, 6, 3)
    assert teacher.config is SHAPE
    with pytest.raises(AttributeError, match="nothing_of_this_name"):
        teacher.nothing_of_this_name  # noqa: B018
    assert copy.deepcopy(teacher).end == 3


def test_it_writes_as_the_model_writes_and_keeps_none_of_it(model):
    teacher, start = CachedTeacher(model), torch.full((20, 1), 3)
    written = [generate(one, start, 6, generator=torch.Generator().manual_seed(0)) for one in (model, teacher)]
    assert torch.equal(*written)
    assert teacher.bytes_kept == 0


def test_a_full_memory_says_so_once_and_still_answers_rightly(model):
    teacher = CachedTeacher(model, most_bytes=ROW)
    expected = copy.deepcopy(model).eval()(TOKENS)
    with pytest.warns(UserWarning, match=rf"1 rows take {ROW} of {ROW} bytes"):
        torch.testing.assert_close(teacher(TOKENS), expected)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        torch.testing.assert_close(teacher(TOKENS), expected)
    assert (teacher.rows_read, teacher.bytes_kept) == (2 + 1, ROW)
    teacher.forget()
    assert teacher.bytes_kept == 0


def test_what_it_is_told_stands_above_the_model(model):
    told = torch.randn(3, 3, 7)
    teacher = CachedTeacher(model).tell(TOKENS[:2], told[:2])
    assert torch.equal(teacher(TOKENS[:2]), told[:2])
    assert teacher.rows_read == 0
    assert fingerprint(teacher) != fingerprint(CachedTeacher(model))
    with pytest.raises(ValueError, match="told without hidden states"):
        teacher(TOKENS, return_hidden=True)
    teacher.tell(TOKENS[:2], told[:2], [told[:2, :, :4]])
    assert torch.equal(teacher(TOKENS[:2], return_hidden=True)[1][0], told[:2, :, :4])


def test_its_factors_would_be_read_past_the_memory_and_are_refused(model):
    """What it was told would not be learned, and each text would be read anew."""
    told = torch.randn(3, 3, 7)
    teacher = CachedTeacher(model).tell(TOKENS, told)
    assert not hasattr(teacher, "factors")
    with pytest.raises(ValueError, match="the teacher is a CachedTeacher, which gives its logits as a whole"):
        Heads().bind(model, teacher, seed=0)


def test_its_fingerprint_does_not_depend_on_what_it_has_read_so_far():
    teacher = CachedTeacher(TabularModel.uniform(3, 2))
    before = fingerprint(teacher)
    teacher(torch.tensor([[0, 1]]))
    assert fingerprint(teacher) == before


def test_each_precision_is_remembered_for_itself(model):
    """A run in bfloat16 leaves nothing to the next one in float32, nor the other way round."""
    teacher, alone = CachedTeacher(model), copy.deepcopy(model).eval()
    for _ in range(2):
        with torch.autocast("cpu", torch.bfloat16):
            rounded = teacher(TOKENS)
            assert torch.equal(rounded, alone(TOKENS))
        exact = teacher(TOKENS)
        torch.testing.assert_close(exact, alone(TOKENS))
        assert not torch.equal(exact, rounded.float())
    assert teacher.rows_read == 2 * 2
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(teacher.tell(TOKENS, exact)(TOKENS), exact)  # what it was told needs no reading


def test_ids_of_another_width_are_other_bytes_and_the_same_row(model):
    teacher = CachedTeacher(model)
    short = teacher(torch.tensor([[1]]))
    assert teacher(torch.tensor([[1, 0]], dtype=torch.int32)).shape == (1, 2, 7)  # eight bytes, as the row before it
    assert torch.equal(teacher(torch.tensor([[1]], dtype=torch.int32)), short)
    assert teacher.rows_read == 2


def test_a_negative_memory_is_refused(model):
    with pytest.raises(ValueError, match="most_bytes is -1"):
        CachedTeacher(model, most_bytes=-1)
