"""A teacher that returns text and nothing else, behind an endpoint that speaks the OpenAI completions format."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kd_lab.contracts import derive

if TYPE_CHECKING:
    import openai

PROMPTS_PER_REQUEST = 64


@dataclass(frozen=True)
class TextTeacher:
    """Any server with a `/completions` route of the OpenAI format is a teacher: a hosted model, vLLM, llama.cpp, or
    `kd_lab.models.serve`. What comes back is text; logits stay on the other side.

    Args of the constructor: `base_url` ends where `/completions` begins (usually in `/v1`).

    >>> TextTeacher("http://127.0.0.1:8000/v1", model="surnames").timeout
    20.0
    """

    base_url: str
    model: str = "teacher"  # the name under which the server knows the model
    api_key: str = "none"  # a local server asks for none, and the client insists on a string
    timeout: float = 20.0  # seconds for one request of up to 64 prompts
    retries: int = 2  # further tries after a time-out, a refused connection, a 429 or a 5xx, with growing pauses

    def complete(
        self, prompts: Sequence[str], max_tokens: int, temperature: float = 1.0, seed: int | None = None
    ) -> list[str]:
        """Continue each prompt.

        Args:
            prompts: texts, one per wanted continuation.
            max_tokens: the longest continuation, in the server's tokens.
            temperature: 0 is greedy.
            seed: makes sampling repeatable where the server supports it.

        Returns:
            The continuations in the order of the prompts, without the prompts.

        Raises:
            ConnectionError: no answer came after all tries.
            ValueError: the server refused the request, or answered with another number of texts than it was asked for.
        """
        import openai  # takes a second, and only a teacher of this kind needs it

        texts: list[str] = []
        with openai.OpenAI(
            base_url=self.base_url, api_key=self.api_key, timeout=self.timeout, max_retries=self.retries
        ) as client:
            for start in range(0, len(prompts), PROMPTS_PER_REQUEST):
                chunk = list(prompts[start : start + PROMPTS_PER_REQUEST])
                # a seed of its own for each request, in the 31 bits that every server takes
                own = None if seed is None else derive(seed, f"request {start}") % 2**31
                texts += self._request(client, chunk, max_tokens, temperature, own)
        return texts

    def _request(
        self, client: "openai.OpenAI", prompts: list[str], max_tokens: int, temperature: float, seed: int | None
    ) -> list[str]:
        import openai

        try:
            answer = client.completions.create(
                model=self.model, prompt=prompts, max_tokens=max_tokens, temperature=temperature, seed=seed
            )
        except openai.APITimeoutError as error:
            raise ConnectionError(
                f"{self.base_url} gave no answer within {self.timeout} s, {self.retries + 1} times; "
                "the server is overloaded or hangs: raise timeout, or ask for fewer or shorter texts"
            ) from error
        except openai.APIConnectionError as error:
            raise ConnectionError(
                f"no server answers at {self.base_url} after {self.retries + 1} tries; start it "
                "(kd_lab.models.serve for a kd_lab model) or correct base_url, which usually ends in /v1"
            ) from error
        except openai.InternalServerError as error:
            raise ConnectionError(
                f"{self.base_url} failed with HTTP {error.status_code} {self.retries + 1} times: {error.message}; "
                "look into the server's log"
            ) from error
        except openai.APIStatusError as error:
            raise ValueError(
                f"{self.base_url} refused the request with HTTP {error.status_code}: {error.message}; "
                f"it was asked for model {self.model!r}, {len(prompts)} prompts, max_tokens {max_tokens}"
            ) from error
        choices = sorted(answer.choices, key=lambda choice: choice.index)
        if len(choices) != len(prompts):
            raise ValueError(
                f"{self.base_url} returned {len(choices)} texts for {len(prompts)} prompts; "
                "expected one per prompt, as the completions format says: is this a /completions route?"
            )
        return [choice.text for choice in choices]
