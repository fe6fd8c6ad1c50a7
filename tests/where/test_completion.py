"""One answer of a server of completions, read from its bytes and headers alone."""

import json
import time
from email.utils import formatdate

import pytest

from kd_lab.where.completion import Completion, completions_in, pause_wanted, within


def answer(count: int, **fields: object) -> bytes:
    return json.dumps({"choices": [{"index": i, "text": f"text {i}", **fields} for i in range(count)]}).encode()


@pytest.mark.parametrize(("prompts", "copies", "count"), [(2, 1, 2), (3, 4, 12), (3, 4, 3), (1, 64, 1), (2, 3, 4)])
def test_an_answer_holds_as_many_texts_for_each_prompt_as_were_asked_or_fewer(prompts, copies, count):
    assert completions_in(answer(count), prompts, copies) == [Completion(f"text {i}", True) for i in range(count)]


@pytest.mark.parametrize(
    ("prompts", "copies", "count", "message"),
    [
        (2, 1, 4, "4 texts for 2 prompts; expected one per prompt"),
        (2, 1, 0, "0 texts for 2 prompts; expected one per prompt"),
        (3, 4, 7, "7 texts for 3 prompts; expected 4, or one, per prompt"),
        (3, 4, 15, "15 texts for 3 prompts"),
    ],
)
def test_texts_that_belong_to_no_prompt_are_refused(prompts, copies, count, message):
    with pytest.raises(ValueError, match=message):
        completions_in(answer(count), prompts, copies)


def test_a_reason_that_is_unknown_ends_nothing():
    (cut,) = completions_in(answer(1, finish_reason="content_filter"), 1, 1)
    (whole,) = completions_in(answer(1, finish_reason="eos_token"), 1, 1)
    assert not cut.finished
    assert whole.finished


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("7", 7), ("0.25", 0.25), ("-3", 0), ("nan", 0), ("soon", 0), ("", 0), ("Sun, 06 Nov 1994 08:49:37 GMT", 0)],
)
def test_a_pause_is_a_number_of_seconds(value, seconds):
    assert pause_wanted({"retry-after": value}) == seconds
    assert pause_wanted({}) == 0


def test_a_pause_may_be_a_time():
    assert 15 < pause_wanted({"retry-after": formatdate(time.time() + 40, usegmt=True)}) <= 40


def test_work_that_takes_too_long_is_left():
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        within(0.05, lambda: time.sleep(20) or b"")
    assert time.monotonic() - began < 15
    with pytest.raises(KeyError, match="inside"):
        within(20.0, lambda: {}["inside"])
