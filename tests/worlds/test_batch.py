"""Vocabulary and batch: one end mark that begins, ends and pads, and a mask that tells the three apart."""

import pytest
import torch

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
