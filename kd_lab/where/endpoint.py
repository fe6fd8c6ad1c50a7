"""A teacher that returns text and nothing else, behind an endpoint that speaks the OpenAI completions format."""

import ipaddress
import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from kd_lab.arguments import checked
from kd_lab.contracts import derive

if TYPE_CHECKING:
    import openai

PROMPTS_PER_REQUEST = 64
MOST_BYTES = 1 << 24  # of one answer
TRY_AGAIN = {408, 409, 429}  # and all from 500 on: the server may answer later
LONGEST_PAUSE = 8.0  # seconds between two tries


class Completion(NamedTuple):
    """The server's text behind a prompt."""

    text: str
    finished: bool  # False where the server cut it off at `max_tokens`


@checked
@dataclass(frozen=True)
class TextTeacher:
    """Any server with a `/completions` route of the OpenAI format is a teacher: a hosted model, vLLM, llama.cpp, or
    `kd_lab.models.serve`. What comes back is text; logits stay on the other side.

    Args of the constructor: `base_url` ends where `/completions` begins (usually in `/v1`). A server on this machine is
    asked directly, past any proxy, and no redirect is followed.

    >>> TextTeacher("http://127.0.0.1:8000/v1", model="surnames").timeout
    20.0
    """

    base_url: str
    model: str = "teacher"  # the name under which the server knows the model
    api_key: str = field(default="none", repr=False)  # a local server asks for none, and the client insists on a string
    timeout: float = 20.0  # seconds for one request of up to 64 prompts, from its first byte to the answer's last
    retries: int = 2  # further tries after a time-out, a refused connection, a 429 or a 5xx, with growing pauses
    stop: tuple[str, ...] = ()  # up to four strings that end a text; the server leaves them out
    clean: Callable[[str], str] | None = None  # from what came to what the student learns, such as str.lower

    def __post_init__(self) -> None:
        if not _is_address(self.base_url):
            raise ValueError(
                f"base_url is {self.base_url!r}; expected http:// or https://, a host and a path, such as "
                '"http://127.0.0.1:8000/v1"'
            )
        if not (self.api_key.isascii() and self.api_key.isprintable() and self.api_key.strip()):
            raise ValueError('api_key is empty, or holds what no header can carry; expected a key, or "none"')
        if not 0 < self.timeout <= threading.TIMEOUT_MAX or self.retries < 0:
            raise ValueError(
                f"timeout is {self.timeout} s and retries {self.retries}; expected a positive time and 0 or more tries"
            )
        if isinstance(self.stop, str) or len(self.stop) > 4 or not all(isinstance(s, str) and s for s in self.stop):
            raise ValueError(f'stop is {self.stop!r}; expected a tuple of up to four strings, such as ("\\n",)')

    def complete(
        self, prompts: Sequence[str], max_tokens: int, temperature: float = 1.0, seed: int | None = None
    ) -> list[str]:
        """The texts of `completions`, which takes the same arguments."""
        return [written.text for written in self.completions(prompts, max_tokens, temperature, seed)]

    @checked
    def completions(
        self, prompts: Sequence[str], max_tokens: int, temperature: float = 1.0, seed: int | None = None
    ) -> list[Completion]:
        """Continue each prompt.

        Args:
            prompts: texts, one per wanted continuation.
            max_tokens: the longest continuation, in the server's tokens.
            temperature: 0 is greedy.
            seed: makes sampling repeatable where the server supports it.

        Returns:
            The continuations in the order of the prompts, without the prompts.

        Raises:
            ConnectionError: no usable answer came after all tries.
            ValueError: the server refused the request, or answered with something else than one text per prompt.
        """
        import openai  # takes a second, and only a teacher of this kind needs it

        if isinstance(prompts, str) or not all(isinstance(prompt, str) for prompt in prompts):
            raise ValueError(f"prompts is {prompts!r:.80}; expected a list of strings; write [prompt] for a single one")
        # a proxy would look for this machine's servers on its own
        direct = _is_loopback(urlsplit(self.base_url).hostname or "")
        http_client = openai.DefaultHttpxClient(trust_env=not direct, follow_redirects=False, timeout=self.timeout)
        written: list[Completion] = []
        with openai.OpenAI(
            base_url=self.base_url, api_key=self.api_key, timeout=self.timeout, max_retries=0, http_client=http_client
        ) as client:
            for start in range(0, len(prompts), PROMPTS_PER_REQUEST):
                request = {
                    "model": self.model,
                    "prompt": list(prompts[start : start + PROMPTS_PER_REQUEST]),
                    "max_tokens": max_tokens,
                    "temperature": temperature,
                    # a seed of its own for each request, in the 31 bits that every server takes
                    "seed": None if seed is None else derive(seed, f"request {start}") % 2**31,
                }
                request |= {"stop": list(self.stop)} if self.stop else {}
                for attempt in range(self.retries + 1):
                    failure = self._try(client, request, written)
                    if failure is None:
                        break
                    if attempt < self.retries:
                        time.sleep(min(0.5 * 2**attempt, LONGEST_PAUSE))
                else:
                    raise failure
        return written

    def _try(self, client: "openai.OpenAI", request: dict[str, Any], written: list[Completion]) -> Exception | None:
        """Ask once and append what was written; return the error of a failure that another try may get past."""
        import openai

        tries = f"{self.retries + 1} times"
        try:
            answer = _within(self.timeout, lambda: _read(client, request))
        except (TimeoutError, openai.APITimeoutError):
            return ConnectionError(
                f"{self.base_url} gave no answer within {self.timeout} s, {tries}; "
                "the server is overloaded or hangs: raise timeout, or ask for fewer or shorter texts"
            )
        except openai.APIStatusError as error:
            if error.status_code in TRY_AGAIN or error.status_code >= 500:
                return ConnectionError(
                    f"{self.base_url} failed with HTTP {error.status_code} {tries}: {error.message:.300}; "
                    "wait and ask again if it is busy, else look into the server's log"
                )
            raise ValueError(self._refused(error, request)) from error
        except openai.OpenAIError as error:  # APIConnectionError, with the transport's own error as its cause
            return ConnectionError(
                f"no server answers at {self.base_url} after {self.retries + 1} tries ({error.__cause__ or error}); "
                "start it (kd_lab.models.serve for a kd_lab model) or correct base_url, which usually ends in /v1"
            )
        except Exception as error:  # the answer broke off or cannot be unpacked: the transport's errors, and zlib's
            return ConnectionError(
                f"{self.base_url} answered with what cannot be read ({type(error).__name__}: {error}), {tries}; "
                "look into the server's log"
            )
        try:
            written += _completions_in(answer, len(request["prompt"]))
        except ValueError as error:
            raise ValueError(f"{self.base_url} returned {error}; is this a /completions route?") from error
        return None

    def _refused(self, error: "openai.APIStatusError", request: dict[str, Any]) -> str:
        if error.status_code < 400:
            return (
                f"{self.base_url} sends its callers to {error.response.headers.get('location', 'nowhere'):.200}; "
                "no redirect is followed: make that address the base_url if you trust it"
            )
        return (
            f"{self.base_url} refused the request with HTTP {error.status_code}: {error.message:.300}; it was asked "
            f"for model {self.model!r}, {len(request['prompt'])} prompts, max_tokens {request['max_tokens']}"
        )


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and url.isprintable()
    except ValueError:  # a port that is no number, brackets that do not close
        return False


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name
        return host == "localhost" or host.endswith(".localhost")


def _within(seconds: float, work: Callable[[], bytes]) -> bytes:
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


def _read(client: "openai.OpenAI", request: dict[str, Any]) -> bytes:
    with client.completions.with_streaming_response.create(**request) as answer:
        content = bytearray()
        for part in answer.iter_bytes():
            content += part
            if len(content) > MOST_BYTES:
                break
    return bytes(content)


def _completions_in(answer: bytes, count: int) -> list[Completion]:
    """The texts of an answer in the order of the prompts.

    Raises:
        ValueError: the answer is not one text per prompt; the message continues "… returned".
    """
    if len(answer) > MOST_BYTES:
        raise ValueError(f"more than {MOST_BYTES} bytes for {count} prompts")
    try:
        content = json.loads(answer)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"no JSON but {answer[:40]!r}") from error
    choices = content.get("choices") if isinstance(content, dict) else None
    if not isinstance(choices, list) or not all(isinstance(choice, dict) for choice in choices):
        raise ValueError(f"JSON without a list of choices, {answer[:40]!r}")
    if len(choices) != count:
        raise ValueError(f"{len(choices)} texts for {count} prompts; expected one per prompt")
    by_index = {index: choice for choice in choices if type(index := choice.get("index")) is int}
    if by_index.keys() != set(range(count)):
        indices = [choice.get("index") for choice in choices]
        raise ValueError(f"texts with the indices {indices!r:.80}; expected each of 0 to {count - 1} once")
    texts = [by_index[i].get("text") for i in range(count)]
    if strange := [text for text in texts if not isinstance(text, str)]:
        raise ValueError(f"{strange[0]!r:.80} as a text; expected a string")
    return [Completion(text, by_index[i].get("finish_reason") != "length") for i, text in enumerate(texts)]
