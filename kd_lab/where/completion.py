"""One answer of a server of completions: waited for so long and no longer, and believed in nothing."""

import json
import threading
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import openai

MOST_BYTES = 1 << 24  # of one answer
ENDS = (None, "", "stop", "eos", "eos_token", "stop_sequence", "end_turn")  # all other reasons cut a text off


class Completion(NamedTuple):
    """The server's text behind a prompt."""

    text: str
    finished: bool  # True where it ended by itself or at a stop, and where the server does not say


def within(seconds: float, work: Callable[[], bytes]) -> bytes:
    """The result of `work`; TimeoutError after `seconds`, however often it is fed a byte."""
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.extend((work(), None))
        except BaseException as error:  # raised again where the caller waits
            outcome.extend((b"", error))

    worker = threading.Thread(target=run, daemon=True)  # left behind where it hangs: closing the client ends it
    worker.start()
    worker.join(seconds)
    if not outcome:
        raise TimeoutError
    answer, error = outcome
    if error is not None:
        raise error
    return answer


def read_answer(client: "openai.OpenAI", request: dict[str, Any]) -> bytes:
    with client.completions.with_streaming_response.create(**request) as answer:
        content = bytearray()
        for part in answer.iter_bytes():
            content += part
            if len(content) > MOST_BYTES:
                break
    return bytes(content)


def pause_wanted(headers: Mapping[str, str]) -> float:
    """Seconds until a server wants to be asked again, by its Retry-After; 0 where it names no time to come."""
    given = headers.get("retry-after", "")
    try:
        seconds = float(given)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(given).timestamp() - time.time()
        except (ValueError, OverflowError):
            return 0.0
    return seconds if seconds > 0 else 0.0


def completions_in(answer: bytes, prompts: int, copies: int) -> list[Completion]:
    """The texts of an answer in the order of the prompts, the same number for each, 1 … `copies`.

    Raises:
        ValueError: the answer is not one text per prompt; the message continues "… returned".
    """
    if len(answer) > MOST_BYTES:
        raise ValueError(f"more than {MOST_BYTES} bytes for {prompts} prompts")
    try:
        content = json.loads(answer)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"no JSON but {answer[:40]!r}") from error
    choices = content.get("choices") if isinstance(content, dict) else None
    if not isinstance(choices, list) or not all(isinstance(choice, dict) for choice in choices):
        raise ValueError(f"JSON without a list of choices, {answer[:40]!r}")
    count = len(choices)
    if count % prompts or not 1 <= count // prompts <= copies:
        expected = "one" if copies == 1 else f"{copies}, or one,"
        raise ValueError(f"{count} texts for {prompts} prompts; expected {expected} per prompt")
    by_index = {index: choice for choice in choices if type(index := choice.get("index")) is int}
    if by_index.keys() != set(range(count)):
        indices = [choice.get("index") for choice in choices]
        raise ValueError(f"texts with the indices {indices!r:.80}; expected each of 0 to {count - 1} once")
    texts = [by_index[i].get("text") for i in range(count)]
    if strange := [text for text in texts if not isinstance(text, str)]:
        raise ValueError(f"{strange[0]!r:.80} as a text; expected a string")
    return [Completion(text, by_index[i].get("finish_reason") in ENDS) for i, text in enumerate(texts)]
