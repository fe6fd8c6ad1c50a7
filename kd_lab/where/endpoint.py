"""A teacher that returns text and nothing else, behind an endpoint that speaks the OpenAI completions format."""

import ipaddress
import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from kd_lab.arguments import checked
from kd_lab.contracts import derive
from kd_lab.where.completion import Completion, completions_in, pause_wanted, read_answer, within

if TYPE_CHECKING:
    import openai

TEXTS_PER_REQUEST = 64
TRY_AGAIN = {408, 409, 429}  # and all from 500 on: the server may answer later
LONGEST_PAUSE = 8.0  # seconds between two tries, where the server asks for none
LONGEST_WAIT = 60.0  # seconds that a server may ask for


@checked
@dataclass(frozen=True)
class TextTeacher:
    """Any server with a `/completions` route of the OpenAI format is a teacher: a hosted model, vLLM, llama.cpp, or
    `kd_lab.models.serve`. What comes back is text; logits stay on the other side.

    Args of the constructor: `base_url` ends where `/completions` begins (usually in `/v1`). A server on this machine is
    asked directly, past any proxy, and no redirect is followed.

    A call that fails or is interrupted loses no text: this object keeps those that came, and the same call goes on.

    >>> TextTeacher("http://127.0.0.1:8000/v1", model="surnames").timeout
    20.0
    """

    base_url: str
    model: str = "teacher"  # the name under which the server knows the model
    api_key: str = field(default="none", repr=False)  # a local server asks for none, and the client insists on a string
    timeout: float = 20.0  # seconds for one request of up to 64 texts, from its first byte to the answer's last
    retries: int = 2  # further tries after a time-out, a refused connection, a 429 or a 5xx, with growing pauses, or
    # those that the server asks for (Retry-After) if they take no more than a minute
    stop: tuple[str, ...] = ()  # up to four strings that end a text; the server leaves them out
    clean: Callable[[str], str] | None = None  # from what came to what the student learns, such as str.lower

    def __post_init__(self) -> None:
        object.__setattr__(self, "_kept", {})  # request → answers; no field, for it does not tell two teachers apart
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
        self,
        prompts: Sequence[str],
        max_tokens: int | Sequence[int],
        temperature: float = 1.0,
        seed: int | None = None,
    ) -> list[str]:
        """The texts of `completions`, which takes the same arguments."""
        return [written.text for written in self.completions(prompts, max_tokens, temperature, seed)]

    @checked
    def completions(
        self,
        prompts: Sequence[str],
        max_tokens: int | Sequence[int],
        temperature: float = 1.0,
        seed: int | None = None,
    ) -> list[Completion]:
        """Continue each prompt.

        Args:
            prompts: texts, one per wanted continuation.
            max_tokens: the longest continuation, in the server's tokens: one number for all, or one per prompt.
            temperature: 0 is greedy.
            seed: makes sampling repeatable where the server supports it. Many servers begin each prompt of a request
                with the request's seed, and would write equal texts behind equal prompts. These are therefore asked as
                `n` texts of one prompt, and one request after the other where the server knows no `n`. Different
                prompts of one request may still share their random numbers.

        Returns:
            The continuations in the order of the prompts, without the prompts.

        Raises:
            ConnectionError: no usable answer came after all tries, or the server asks for a long pause.
            ValueError: the server refused the request, or answered with something else than one text per prompt.
        """
        import openai  # takes a second, and only a teacher of this kind needs it

        if isinstance(prompts, str) or not all(isinstance(prompt, str) for prompt in prompts):
            raise ValueError(f"prompts is {prompts!r:.80}; expected a list of strings; write [prompt] for a single one")
        most = [max_tokens] * len(prompts) if isinstance(max_tokens, int) else list(max_tokens)
        if len(most) != len(prompts):
            raise ValueError(
                f"max_tokens has {len(most)} numbers for {len(prompts)} prompts; expected one number, or one per prompt"
            )
        # a proxy would look for this machine's servers on its own
        direct = _is_loopback(urlsplit(self.base_url).hostname or "")
        http_client = openai.DefaultHttpxClient(trust_env=not direct, follow_redirects=False, timeout=self.timeout)
        with openai.OpenAI(
            base_url=self.base_url, api_key=self.api_key, timeout=self.timeout, max_retries=0, http_client=http_client
        ) as client:
            came: list[tuple[str, list[Completion]]] = []
            try:
                written = self._written(client, prompts, most, temperature, seed, came)
            except BaseException as error:
                self._keep(came, error, len(prompts))
                raise
        return [written[row] for row in range(len(prompts))]

    def _written(
        self,
        client: "openai.OpenAI",
        prompts: Sequence[str],
        max_tokens: Sequence[int],
        temperature: float,
        seed: int | None,
        came: list[tuple[str, list[Completion]]],
    ) -> dict[int, Completion]:
        """Each row's text, request by request; `came` gets each request with its answer."""
        written: dict[int, Completion] = {}
        for rows in _requests(prompts, max_tokens, apart=seed is not None and temperature > 0):
            while rows[0]:  # as long as there are copies that have no text
                request = {
                    "model": self.model,
                    "prompt": [prompts[copies[0]] for copies in rows],
                    "max_tokens": max_tokens[rows[0][0]],
                    "temperature": temperature,
                    # a seed of its own for each request, in the 31 bits that every server takes
                    "seed": None if seed is None else derive(seed, f"request {len(written)}") % 2**31,
                }
                request |= {"n": len(rows[0])} if len(rows[0]) > 1 else {}
                request |= {"stop": list(self.stop)} if self.stop else {}
                key = json.dumps(request, sort_keys=True)
                texts, *others = self._kept.pop(key, ()) or [self._ask(client, request)]
                self._kept.update({key: others} if others else {})
                came.append((key, texts))
                each = len(texts) // len(rows)
                written |= zip((row for copies in rows for row in copies[:each]), texts, strict=True)
                rows = [copies[each:] for copies in rows]
        return written

    def _keep(self, came: list[tuple[str, list[Completion]]], error: BaseException, wanted: int) -> None:
        """Keep the answers of a call that ends in this error, and let the error say so."""
        for key, texts in came:
            self._kept.setdefault(key, []).append(texts)
        if came:
            number = sum(len(texts) for _, texts in came)
            error.add_note(f"{number} of {wanted} texts had come. This TextTeacher keeps them for the same call.")

    def _ask(self, client: "openai.OpenAI", request: dict[str, Any]) -> list[Completion]:
        """The answer to a request, after as many tries as it takes."""
        for attempt in range(self.retries + 1):
            answer = self._try(client, request, attempt + 1)
            if not isinstance(answer, _Failure):
                return answer
            if attempt == self.retries or answer.wait > LONGEST_WAIT:
                break
            time.sleep(max(answer.wait, min(0.5 * 2**attempt, LONGEST_PAUSE)))
        raise ConnectionError(answer.why)

    def _try(self, client: "openai.OpenAI", request: dict[str, Any], tries: int) -> "list[Completion] | _Failure":
        """Ask once."""
        import openai

        try:
            answer = within(self.timeout, lambda: read_answer(client, request))
        except (TimeoutError, openai.APITimeoutError):
            return _Failure(
                f"{self.base_url} gave no answer within {self.timeout} s, {tries} times; "
                "the server is overloaded or hangs: raise timeout, or ask for fewer or shorter texts"
            )
        except openai.APIStatusError as error:
            if error.status_code in TRY_AGAIN or error.status_code >= 500:
                wait = pause_wanted(error.response.headers)
                return _Failure(
                    f"{self.base_url} failed with HTTP {error.status_code} {tries} times: {error.message:.300}; "
                    + (f"it asks for a pause of {wait:.0f} s; " if wait else "")
                    + "wait and ask again if it is busy, else look into the server's log",
                    wait,
                )
            raise ValueError(self._refused(error, request)) from error
        except openai.OpenAIError as error:  # APIConnectionError, with the transport's own error as its cause
            return _Failure(
                f"no server answers at {self.base_url} after {tries} tries "
                f"({error.__cause__ or error}); start it (kd_lab.models.serve for a kd_lab model) or correct base_url, "
                "which usually ends in /v1"
            )
        except Exception as error:  # the answer broke off or cannot be unpacked: the transport's errors, and zlib's
            return _Failure(
                f"{self.base_url} answered with what cannot be read ({type(error).__name__}: {error}), {tries} times; "
                "look into the server's log"
            )
        try:
            return completions_in(answer, len(request["prompt"]), request.get("n", 1))
        except ValueError as error:
            raise ValueError(f"{self.base_url} returned {error}; is this a /completions route?") from error

    def _refused(self, error: "openai.APIStatusError", request: dict[str, Any]) -> str:
        if error.status_code < 400:
            return (
                f"{self.base_url} sends its callers to {error.response.headers.get('location', 'nowhere'):.200}; "
                "no redirect is followed: make that address the base_url if you trust it"
            )
        return (
            f"{self.base_url} refused the request with HTTP {error.status_code}: {error.message:.300}; it was asked "
            f"for model {self.model!r}, {len(request['prompt'])} prompts, max_tokens {request['max_tokens']}, "
            f"n {request.get('n', 1)}"
        )


class _Failure(NamedTuple):
    """The end of a try that another may get past."""

    why: str
    wait: float = 0.0  # seconds that the server asks for


def _requests(prompts: Sequence[str], max_tokens: Sequence[int], apart: bool) -> Iterator[list[list[int]]]:
    """The rows that are asked together: a list for each prompt of a request, all of one length.

    They share their `max_tokens`. With `apart`, the rows of equal prompts stand in one list, as copies.
    """
    for most in sorted(set(max_tokens)):
        rows = [row for row, own in enumerate(max_tokens) if own == most]
        for start in range(0, len(rows), TEXTS_PER_REQUEST):
            copies, by_number = defaultdict(list), defaultdict(list)
            for row in rows[start : start + TEXTS_PER_REQUEST]:
                copies[prompts[row] if apart else row].append(row)
            for same in copies.values():
                by_number[len(same)].append(same)
            yield from by_number.values()


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
