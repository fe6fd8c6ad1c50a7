"""Vocabulary and batch: one end mark that begins, ends and pads, and a mask that tells the three apart."""

import pytest
import torch

from kd_lab.contracts import Tokenizer
from kd_lab.worlds import Batch, Vocabulary

LETTERS = Vocabulary(".ab")
END = LETTERS.end


def test_encoding_and_decoding_are_inverse():
    texts = ["ab", "b", "aabba"]
    assert LETTERS.decode(LETTERS.encode(texts)) == texts


@pytest.mark.parametrize("text", ["abc", "a.b"])
def test_a_character_outside_the_vocabulary_is_named(text):
    with pytest.raises(ValueError, match="outside this vocabulary"):
        LETTERS.encode([text])


def test_the_end_counts_and_the_padding_after_it_does_not():
    batch = Batch.from_tokens(LETTERS.encode(["ab", "b", ""]), end=END)
    assert batch.mask.tolist() == [[True, True, True], [True, True, False], [True, False, False]]
    assert batch.targets[batch.mask].tolist() == [1, 2, END, 2, END, END]


def test_targets_are_inputs_shifted_by_one():
    batch = Batch.from_tokens(LETTERS.encode(["ab", "bb"]), end=END)
    assert torch.equal(batch.inputs[:, 1:], batch.targets[:, :-1])


def test_a_text_cut_before_its_end_counts_to_its_last_token():
    assert Batch.from_tokens(torch.tensor([[0, 1, 2, 1]]), end=END).mask.all()


def test_a_prompt_never_counts_even_where_it_holds_an_end_mark():
    batch = Batch.from_tokens(torch.tensor([[0, 1, 0, 2, 0, 0]]), prompt_length=3, end=END)
    assert batch.mask.tolist() == [[False, False, True, True, False]]


@pytest.mark.parametrize("prompt_length", [0, 4])
def test_a_row_without_prompt_or_without_target_is_refused(prompt_length):
    with pytest.raises(ValueError, match="prompt_length"):
        Batch.from_tokens(torch.zeros(1, 4, dtype=torch.long), prompt_length, end=END)


def test_the_end_counts_also_where_it_is_the_padding_and_another_id():
    """GPT-2's way: 9 ends and pads. Llama's way: 9 ends and 3 pads, and a text that was cut off is padded too."""
    rows = torch.tensor([[7, 1, 9, 9, 9], [7, 1, 2, 1, 9]])
    assert Batch.from_tokens(rows, end=9, pad=9).mask.sum(1).tolist() == [2, 4]
    rows = torch.tensor([[7, 1, 9, 3, 3], [7, 1, 2, 3, 3]])
    assert Batch.from_tokens(rows, end=9, pad=3).mask.sum(1).tolist() == [2, 2]


def test_prompts_of_several_lengths_never_count_and_come_back_padded():
    rows = torch.tensor([[7, 1, 2, 9, 9], [7, 9, 1, 2, 9]])
    batch = Batch.from_tokens(rows, torch.tensor([1, 3]), end=9)
    assert batch.mask.tolist() == [[True, True, True, False], [False, False, True, True]]
    assert batch.prompt_lengths.tolist() == [1, 3]
    prompts, lengths = batch.prompts(pad=5)
    assert prompts.tolist() == [[7, 5, 5], [7, 9, 1]]
    assert lengths.tolist() == [1, 3]


def test_a_row_in_which_nothing_counts_has_no_prompt():
    batch = Batch(torch.tensor([[0, 1, 0], [0, 1, 0]]), torch.tensor([[True, True], [False, False]]))
    with pytest.raises(ValueError, match="no target of row 1 counts"):
        batch.prompt_lengths  # noqa: B018


def test_a_mask_belongs_to_the_targets_and_not_to_the_ids():
    tokens, of_targets = torch.tensor([[0, 1, 0]]), torch.ones(1, 2, dtype=torch.bool)
    for mask in (torch.ones(1, 3, dtype=torch.bool), torch.ones(2, 2, dtype=torch.bool)):
        with pytest.raises(ValueError, match=r"mask"):
            Batch(tokens, mask)
    with pytest.raises(ValueError, match=r"mask has shape \(1, 3\) for tokens of shape \(1, 3\); expected \(1, 2\)"):
        Batch(tokens, torch.ones(1, 3, dtype=torch.bool))
    with pytest.raises(ValueError, match="drawn_logp"):
        Batch(tokens, of_targets, torch.zeros(1, 3))
    assert len(Batch(tokens, of_targets, torch.zeros(1, 2))) == 1


def test_a_vocabulary_is_a_tokenizer():
    assert isinstance(LETTERS, Tokenizer)
    assert (LETTERS.end, LETTERS.pad, len(LETTERS)) == (0, 0, 3)
