"""Serve a model as text: an HTTP endpoint in the OpenAI completions format that never shows a logit."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread

import torch
from torch import nn

from kd_lab.models.generate import generate
from kd_lab.worlds import END, Vocabulary

MOST_PROMPTS = 256
MOST_BYTES = 1 << 20


@contextmanager
def serve(model: nn.Module, vocabulary: Vocabulary, name: str = "teacher", port: int = 0) -> Iterator[str]:
    """Answer `POST /v1/completions` and `GET /v1/models` on the loopback interface until the block ends.

    Args:
        model: any model of kd_lab; it is only sampled from.
        vocabulary: between the texts of the requests and the ids of the model.
        name: under which clients ask for the model.
        port: 0 takes a free one.

    Yields:
        The base URL that a client needs, ending in `/v1`.
    """
    handler = type("Handler", (_Completions,), {"model": model, "vocabulary": vocabulary, "name": name, "lock": Lock()})
    server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Completions(BaseHTTPRequestHandler):
    """One request. The class attributes are filled in by `serve`."""

    model: nn.Module
    vocabulary: Vocabulary
    name: str
    lock: Lock
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/v1/models":
            self._answer(200, {"object": "list", "data": [{"id": self.name, "object": "model", "owned_by": "kd_lab"}]})
        else:
            self._refuse(404, f"there is no {self.path} here; this server has /v1/models and /v1/completions")

    def do_POST(self):
        body = self._body()
        if body is None:
            return
        if self.path != "/v1/completions":
            self._refuse(404, f"there is no {self.path} here; this server has /v1/models and /v1/completions")
            return
        try:
            request = _read_request(json.loads(body), self.name, self.model, self.vocabulary)
        except ValueError as error:  # json.JSONDecodeError is one
            self._refuse(400, str(error))
            return
        try:
            with self.lock:  # one model, one caller at a time
                choices = _complete(self.model, self.vocabulary, **request)
        except Exception as error:  # whatever the model raises: the caller hears of it, and the server lives on
            self._refuse(500, f"the model failed with {type(error).__name__}: {error}")
            return
        self._answer(
            200, {"id": "cmpl-kd-lab", "object": "text_completion", "created": 0, "model": self.name} | choices
        )

    def _body(self) -> bytes | None:
        length = int(self.headers.get("Content-Length") or 0)
        if length <= MOST_BYTES:
            return self.rfile.read(length)
        self.close_connection = True
        self._refuse(413, f"the request has {length} bytes; this server reads at most {MOST_BYTES}: send fewer prompts")
        return None

    def _refuse(self, status: int, message: str):
        self._answer(
            status,
            {
                "error": {
                    "message": message,
                    "type": "invalid_request_error" if status < 500 else "server_error",
                    "code": status,
                }
            },
        )

    def _answer(self, status: int, content: dict):
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        """Quiet: a lesson's output is no access log."""


def _read_request(request: object, name: str, model: nn.Module, vocabulary: Vocabulary) -> dict:
    """The request's fields in the types that `_complete` needs, or a ValueError that the client can show."""
    if not isinstance(request, dict):
        raise ValueError("the body is no JSON object; expected the fields model, prompt and max_tokens")
    if request.get("model") != name:
        raise ValueError(f"the model {request.get('model')!r} is not served here; this server has {name!r}")
    if request.get("logprobs") is not None or request.get("stream"):
        raise ValueError("this endpoint returns whole texts only: leave out logprobs and stream")
    prompts = request.get("prompt", "")
    prompts = [prompts] if isinstance(prompts, str) else prompts
    if not isinstance(prompts, list) or not all(isinstance(prompt, str) for prompt in prompts):
        raise ValueError("prompt is neither a string nor a list of strings; token ids are not taken here")
    copies, most_tokens = _number(request, "n", 1, int), _number(request, "max_tokens", 16, int)
    if not 1 <= len(prompts) * copies <= MOST_PROMPTS:
        raise ValueError(f"{len(prompts)} prompts, {copies} texts each; expected 1 to {MOST_PROMPTS} texts a request")
    longest = max(map(len, prompts))
    if not 1 <= most_tokens <= model.context - longest:
        raise ValueError(
            f"max_tokens is {most_tokens} after a prompt of {longest}; expected 1 to {model.context - longest}, "
            f"since the model reads {model.context} tokens"
        )
    temperature, top_p = _number(request, "temperature", 1.0, float), _number(request, "top_p", 1.0, float)
    if temperature < 0 or not 0 < top_p <= 1:
        raise ValueError(f"temperature is {temperature} and top_p {top_p}; expected temperature ≥ 0 and 0 < top_p ≤ 1")
    vocabulary.encode(prompts)  # refuses strange characters with their names
    prompts = [prompt for prompt in prompts for _ in range(copies)]
    seed = request.get("seed")
    return {"prompts": prompts, "max_tokens": most_tokens, "temperature": temperature, "top_p": top_p, "seed": seed}


def _number(request: dict, field: str, default: float, kind: type) -> float:
    value = request.get(field)
    value = default if value is None else value
    if isinstance(value, bool) or not isinstance(value, int | float) or value != kind(value):
        raise ValueError(f"{field} is {value!r}; expected {'an integer' if kind is int else 'a number'}")
    return kind(value)


def _complete(
    model: nn.Module,
    vocabulary: Vocabulary,
    prompts: list[str],
    max_tokens: int,
    temperature: float,
    top_p: float,
    seed: int | None,
) -> dict:
    """The `choices` and `usage` of a completions answer. Prompts of one length are one batch."""
    generator = torch.Generator()
    generator.manual_seed(seed) if seed is not None else generator.seed()
    choices: list[dict] = []
    for length in sorted({len(prompt) for prompt in prompts}):
        rows = [i for i, prompt in enumerate(prompts) if len(prompt) == length]
        given = vocabulary.encode([prompts[i] for i in rows])[:, : length + 1]
        decoding = {"greedy": True} if temperature == 0 else {"temperature": temperature, "top_p": top_p}
        written = generate(model, given, max_tokens, generator=generator, **decoding)[:, length + 1 :]
        for i, ids in zip(rows, written, strict=True):
            ended = bool((ids == END).any())
            text = "".join(vocabulary.symbols[token] for token in ids.tolist()).split(vocabulary.symbols[END])[0]
            choices.append({"index": i, "text": text, "finish_reason": "stop" if ended else "length", "logprobs": None})
    choices.sort(key=lambda choice: choice["index"])
    prompt_tokens = sum(map(len, prompts))
    completion_tokens = sum(len(choice["text"]) + (choice["finish_reason"] == "stop") for choice in choices)
    usage = {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens}
    return {"choices": choices, "usage": usage | {"total_tokens": prompt_tokens + completion_tokens}}
