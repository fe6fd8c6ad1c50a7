"""Tokenizers of transformers under the contract of the library, and the worlds that they make."""

import pytest
import torch

from kd_lab.contracts import Tokenizer
from kd_lab.models.hugging_face_tokenizer import HuggingFaceTokenizer, continuation_text, prompt_ids, prompt_text
from kd_lab.worlds import Batch, Vocabulary

pytest.importorskip("transformers", reason="transformers is not installed: pip install -e '.[real]'")

from tiny_transformers import chat_tokenizer, tiny_tokenizer, word_tokenizer

PAD, BEGIN, END = 1, 2, 0
CHAT = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]
MARKS = [{}, {"pad_token": "<pad>"}, {"bos_token": "<begin>"}, {"pad_token": "<pad>", "bos_token": "<begin>"}]


@pytest.mark.parametrize("marks", MARKS)
def test_texts_come_back_between_their_marks(marks) -> None:
    tokenizer = HuggingFaceTokenizer(tiny_tokenizer(**marks))
    assert isinstance(tokenizer, Tokenizer)
    assert len(tokenizer) == 15
    assert tokenizer.end == END
    assert tokenizer.pad == (PAD if "pad_token" in marks else END)
    ids = tokenizer.encode(["ab c", "", "hh"])
    begin = BEGIN if "bos_token" in marks else END
    assert ids.tolist()[0] == [begin, 6, 7, 14, 8, END]
    assert ids.tolist()[2] == [begin, 13, 13, END, tokenizer.pad, tokenizer.pad]
    assert tokenizer.decode(ids) == ["ab c", "", "hh"]
    counted = Batch.from_tokens(ids, end=tokenizer.end, pad=tokenizer.pad).mask.sum(1)
    assert counted.tolist() == [5, 1, 3]  # the text and its end


def test_padding_on_either_side_of_a_text_is_no_text() -> None:
    tokenizer = HuggingFaceTokenizer(tiny_tokenizer())
    assert tokenizer.decode(torch.tensor([[END, END, END, 6, 7, END, END]])) == ["ab"]


def test_a_tokenizer_without_an_end_is_refused_and_may_be_given_one() -> None:
    backend = tiny_tokenizer()
    backend.eos_token = None
    with pytest.raises(ValueError, match=r"has no end-of-text id.*set tokenizer\.eos_token, or pass end="):
        HuggingFaceTokenizer(backend)
    assert HuggingFaceTokenizer(backend, end=3).end == 3


# ---- one mark at the beginning ---------------------------------------------------------------------------------------


ADDS = ["", "begin", "end", "begin end"]
USER, ASSISTANT = 4, 5
TURN = [USER, 6, END, ASSISTANT]


@pytest.mark.parametrize("adds", ADDS)
@pytest.mark.parametrize("writes", [True, False])
def test_a_prompt_has_the_marks_that_its_template_and_its_tokenizer_give_it_once(writes, adds) -> None:
    tokenizer = HuggingFaceTokenizer(chat_tokenizer(writes, adds))
    chat = tokenizer.backend.apply_chat_template(CHAT[:1], tokenize=False, add_generation_prompt=True)
    ids = [BEGIN, *TURN] if writes or "begin" in adds else TURN
    assert tokenizer.prompt(chat) == ids
    assert prompt_ids(tokenizer, chat).tolist() == ids
    assert tokenizer.prompt(tokenizer.prompt_text(ids)) == ids
    assert tokenizer.world([(chat, "b")], ["h"]).train.tokens.tolist() == [[*ids, 7, END]]
    assert tokenizer.encode([chat]).tolist() == [[BEGIN, *TURN, END]]
    assert tokenizer.prompt("") == [BEGIN]
    assert tokenizer.prompt_text([BEGIN]) == ""


@pytest.mark.parametrize("adds", ADDS)
@pytest.mark.parametrize("writes", [True, False])
def test_a_chat_reads_as_transformers_itself_reads_it(writes, adds) -> None:
    backend = chat_tokenizer(writes, adds)
    own = backend.apply_chat_template(CHAT[:1], tokenize=True, add_generation_prompt=True, return_dict=False)
    world = HuggingFaceTokenizer(backend).world([CHAT[:2]], ["h"])
    assert world.train.tokens.tolist() == [[*own, 7, END]]


@pytest.mark.parametrize("adds", ADDS)
def test_a_free_text_that_has_its_mark_gets_no_second_one(adds) -> None:
    tokenizer = HuggingFaceTokenizer(chat_tokenizer(False, adds))
    world = tokenizer.world(["<begin>ab"], ["ba"])
    assert world.train.tokens.tolist() == [[BEGIN, 6, 7, END]]
    assert world.held_out.tokens.tolist() == [[BEGIN, 7, 6, END]]


@pytest.mark.parametrize("adds", ADDS)
def test_a_turn_that_ends_a_prompt_keeps_its_end(adds) -> None:
    tokenizer = HuggingFaceTokenizer(chat_tokenizer(True, adds))
    assert tokenizer.prompt("<begin><user>a<end>") == [BEGIN, USER, 6, END]
    assert tokenizer.prompt_text([BEGIN, USER, 6, END]).endswith("<user>a<end>")


def test_a_tokenizer_without_a_beginning_puts_none_before_a_prompt() -> None:
    """Its end mark begins free texts alone, as with Qwen."""
    tokenizer = HuggingFaceTokenizer(tiny_tokenizer())
    assert prompt_ids(tokenizer, "<user>a").tolist() == [USER, 6]
    assert prompt_text(tokenizer, torch.tensor([USER, 6])) == "<user>a"
    assert prompt_ids(tokenizer, "").tolist() == [END]


def test_a_tokenizer_of_another_kind_is_asked_itself() -> None:
    letters = Vocabulary(".abc")
    assert prompt_ids(letters, "ab").tolist() == [0, 1, 2]
    assert prompt_text(letters, torch.tensor([0, 1, 2])) == "ab"


# ---- worlds ----------------------------------------------------------------------------------------------------------


EXAMPLES = ["ab", ("abc", "d"), [*CHAT, {"role": "assistant", "content": "de"}], ("", "a")]


@pytest.mark.parametrize("marks", MARKS)
def test_prompts_never_count_and_answers_count_with_their_end(marks) -> None:
    """Also where the end pads too: the two are told apart by place, not by id."""
    tokenizer = HuggingFaceTokenizer(tiny_tokenizer(**marks))
    world = tokenizer.world(EXAMPLES, ["h"])
    train, pad = world.train, tokenizer.pad
    begin = BEGIN if "bos_token" in marks else END
    assert world.vocabulary is tokenizer
    assert train.tokens[:, :5].tolist() == [
        [begin, 6, 7, END, pad],
        [6, 7, 8, 9, END],
        [4, 6, END, 5, 7],  # the rest of it below
        [begin, 6, END, pad, pad],
    ]
    counted = [row[mask].tolist() for row, mask in zip(train.targets, train.mask, strict=True)]
    assert counted == [[6, 7, END], [9, END], [9, 10, END], [6, END]]
    assert world.held_out.tokens.tolist() == [[begin, 13, END]]


def test_a_chat_is_read_through_the_template_up_to_the_answer() -> None:
    tokenizer = HuggingFaceTokenizer(tiny_tokenizer())
    world = tokenizer.world([EXAMPLES[2]], ["h"])
    user, assistant = 4, 5
    prompt = [user, 6, END, assistant, 7, END, user, 8, END, assistant]
    assert world.train.tokens.tolist() == [[*prompt, 9, 10, END]]
    assert tokenizer.decode(world.train.tokens) == ["<user>a<end><assistant>b<end><user>c<end><assistant>de"]


def test_an_answer_that_is_cut_has_no_end() -> None:
    world = HuggingFaceTokenizer(tiny_tokenizer()).world([("ab", "cdefgh"), ("a", "b")], ["h"], context=4)
    assert world.context == 4
    counted = [row[mask].tolist() for row, mask in zip(world.train.targets, world.train.mask, strict=True)]
    assert counted == [[8, 9, 10], [7, END]]


def test_a_world_refuses_what_it_cannot_read() -> None:
    tokenizer = HuggingFaceTokenizer(tiny_tokenizer())
    with pytest.raises(ValueError, match=r"a prompt has 5 tokens and context is 4.*begins 'abcde'"):
        tokenizer.world([("abcde", "f")], ["h"], context=4)
    with pytest.raises(ValueError, match=r"the last is the assistant's"):
        tokenizer.world([CHAT], ["h"])
    with pytest.raises(ValueError, match=r"an example is \[\]; expected a text, a pair"):
        tokenizer.world([[]], ["h"])
    with pytest.raises(ValueError, match=r"1 examples are in both sets"):
        tokenizer.world(["ab", "c"], ["ab"])
    with pytest.raises(ValueError, match="no texts came"):
        tokenizer.world([], ["ab"])


# ---- two tokenizers --------------------------------------------------------------------------------------------------


def test_two_tokenizers_are_the_same_or_differ_in_something_that_has_a_name() -> None:
    one, same = HuggingFaceTokenizer(tiny_tokenizer()), HuggingFaceTokenizer(tiny_tokenizer(pad_token="<pad>"))
    assert one.difference(one) is None
    assert one.difference(same) is None
    other = HuggingFaceTokenizer(tiny_tokenizer(letters="abxdefgh "))
    assert "differ at id 8, which is 'c' for the one and 'x' for the other" in one.difference(other)
    longer = HuggingFaceTokenizer(tiny_tokenizer(letters="abcdefgh i"))
    assert "differ at id 15, which is None for the one and 'i' for the other" in one.difference(longer)
    assert "end texts with the ids 0 and 5" in one.difference(HuggingFaceTokenizer(tiny_tokenizer(), end=5))
    assert "the other a Vocabulary" in one.difference(Vocabulary(".abcdefgh"))


# ---- the first space -------------------------------------------------------------------------------------------------

THE, CAPITAL, IS, PARIS, STOP = 6, 7, 8, 9, 10


@pytest.mark.parametrize("begins", [True, False])
@pytest.mark.parametrize("decoder", ["metaspace", "strip"])
@pytest.mark.parametrize(
    ("prompt", "ids", "text"),
    [
        ("The capital is", [PARIS, STOP, END, END], " Paris."),
        ("The capital is", [STOP], "."),
        ("The capital is", [END], ""),
        ("The capital is", [], ""),
        ("", [PARIS, THE, END, PAD], "Paris The"),
    ],
)
def test_a_continuation_keeps_the_space_that_parts_it_from_its_prompt(prompt, ids, text, decoder, begins) -> None:
    tokenizer = HuggingFaceTokenizer(word_tokenizer(decoder, begins))
    read = prompt_ids(tokenizer, prompt)
    assert continuation_text(tokenizer, read, torch.tensor(ids, dtype=torch.long)) == text
    written = [i for i in ids if i not in (END, PAD)]
    assert tokenizer.ids(prompt + text) == [*tokenizer.ids(prompt), *written]


@pytest.mark.parametrize("marks", MARKS)
def test_a_continuation_of_letters_is_what_it_is_alone(marks) -> None:
    tokenizer = HuggingFaceTokenizer(tiny_tokenizer(**marks))
    for prompt in ("ab", "", "a "):
        read = prompt_ids(tokenizer, prompt)
        assert continuation_text(tokenizer, read, torch.tensor([14, 8, END, END])) == " c"
