"""A world: prompts that its masks tell, completion instead of free text, and weights that stay with their rows."""

import pytest
import torch

from kd_lab.worlds import Batch, Vocabulary, World, surnames

LETTERS = Vocabulary(".ab")


def world_of(texts, prompt_length=1, **options) -> World:
    batch = Batch.from_tokens(LETTERS.encode(texts), prompt_length, end=LETTERS.end)
    return World("letters", LETTERS, batch, batch, **options)


def chance() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_given_leaves_out_what_ends_inside_the_prompt():
    given = world_of(["ab", "b", "", "aab"]).given(2)
    assert LETTERS.decode(given.train.tokens) == ["ab", "b", "aab"]
    assert given.train.mask.sum(1).tolist() == [2, 1, 3]
    assert given.prompt_length == 2
    assert given.prompts(5, chance()).shape == (5, 2)


def test_given_keeps_the_weights_of_the_rows_that_stay():
    """They were lost, so that a weighted world drew uniformly once it was given a prompt."""
    weights = torch.tensor([1.0, 2.0, 3.0])
    assert world_of(["ab", "", "b"], weights=weights).given(2).weights.tolist() == [1.0, 3.0]


@pytest.mark.parametrize("prompt_length", [0, 4, 9])
def test_a_prompt_that_leaves_nothing_is_refused(prompt_length):
    with pytest.raises(ValueError, match=f"prompt_length is {prompt_length}"):
        world_of(["ab", "b"]).given(prompt_length)


def test_prompts_of_several_lengths_come_with_their_lengths():
    world = world_of(["ab", "ba"], torch.tensor([1, 2]))
    assert world.prompt_length == 2
    with pytest.raises(ValueError, match="prompts of 1 to 2 ids"):
        world.prompts(20, chance())
    prompts, lengths = world.sample(20, chance()).prompts(LETTERS.pad)
    pairs = zip(map(tuple, prompts.tolist()), lengths.tolist(), strict=True)
    assert set(pairs) == {((0, 0), 1), ((0, 2), 2)}


def test_a_weight_for_each_row_is_asked():
    with pytest.raises(ValueError, match="expected one for each row"):
        world_of(["ab", "b"], weights=torch.ones(3))


def test_a_free_text_has_its_mark_as_prompt():
    assert surnames(top=200).prompt_length == 1
