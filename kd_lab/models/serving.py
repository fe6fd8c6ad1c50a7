"""Serve a model as text: an HTTP endpoint in the OpenAI completions format that never shows a logit."""

import json
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread

import torch
from jaxtyping import Int
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from kd_lab.arguments import checked
from kd_lab.contracts import LanguageModel, Tokenizer
from kd_lab.models.generate import generate
from kd_lab.models.hugging_face_tokenizer import continuation_text, prompt_ids
from kd_lab.models.reading import device_of

MOST_PROMPTS = 256
MOST_BYTES = 1 << 20
MOST_STOPS = 4
IDLE_SECONDS = 30.0  # a caller who sends nothing for so long is hung up on
READ = ("model", "prompt", "max_tokens", "temperature", "top_p", "n", "seed", "stop", "user")  # of a request


@checked
@contextmanager
def serve(model: LanguageModel, tokenizer: Tokenizer, name: str = "teacher", port: int = 0) -> Iterator[str]:
    """Answer `POST /v1/completions` and `GET /v1/models` on the loopback interface until the block ends.

    Args:
        model: any `LanguageModel`; it is only sampled from.
        tokenizer: between the texts of the requests and the ids of the model.
        name: the model's name in the requests of clients.
        port: 0 takes a free one.

    Yields:
        The base URL that a client needs, ending in `/v1`.

    Raises:
        ValueError: the port is none, or taken.
    """
    if not 0 <= port < 1 << 16:
        raise ValueError(f"port is {port}; expected 0 … {(1 << 16) - 1}, where 0 takes a free one")
    fields = {"model": model, "tokenizer": tokenizer, "name": name, "lock": Lock(), "timeout": IDLE_SECONDS}
    try:
        server = _Server(("127.0.0.1", port), type("Handler", (_Completions,), fields))
    except OSError as error:
        raise ValueError(
            f"port {port} cannot be had ({error.strerror}); take another, or port=0 for a free one"
        ) from error
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        server.hang_up()


class _Server(ThreadingHTTPServer):
    """Knows its open connections, so that none outlives it, and keeps quiet about callers who leave."""

    daemon_threads = True

    def __init__(self, *arguments):
        self.connections: set[socket.socket] = set()
        super().__init__(*arguments)

    def process_request(self, request, client_address):
        self.connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request):
        self.connections.discard(request)
        super().shutdown_request(request)

    def hang_up(self):
        for connection in list(self.connections):
            with suppress(OSError):  # it may just have gone
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Completions(BaseHTTPRequestHandler):
    """One request. The class attributes are filled in by `serve`."""

    model: LanguageModel
    tokenizer: Tokenizer
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
            request = _read_request(_parse(body), self.name, self.model, self.tokenizer)
        except ValueError as error:
            self._refuse(400, str(error))
            return
        try:
            with self.lock:  # one model, one caller at a time
                choices = _complete(self.model, self.tokenizer, **request)
        except Exception as error:  # of any kind: the caller hears of it, and the server lives on
            self._refuse(500, f"the model failed with {type(error).__name__}: {error}")
            return
        self._answer(
            200, {"id": "cmpl-kd-lab", "object": "text_completion", "created": 0, "model": self.name} | choices
        )

    def _body(self) -> bytes | None:
        given = self.headers.get("Content-Length", "0")
        length = int(given) if given.isascii() and given.isdigit() and len(given) < 20 else -1
        if 0 <= length <= MOST_BYTES and "Transfer-Encoding" not in self.headers:
            return self.rfile.read(length)
        self.close_connection = True  # whatever follows is no request
        if "Transfer-Encoding" in self.headers:
            self._refuse(411, "the request comes in chunks; this server needs a Content-Length")
        elif length < 0:
            self._refuse(400, f"Content-Length is {given[:40]!r}; expected a number of bytes")
        else:
            self._refuse(413, f"the request has {given} bytes; expected at most {MOST_BYTES}: send fewer prompts")
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


def _parse(body: bytes) -> object:
    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no number of JSON")

    try:
        return json.loads(body, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the body is no JSON: {error}") from error


def _read_request(request: object, name: str, model: LanguageModel, tokenizer: Tokenizer) -> dict:
    """The request's fields in the types that `_complete` needs, or a ValueError that the client can show."""
    if not isinstance(request, dict):
        raise ValueError("the body is no JSON object; expected the fields model, prompt and max_tokens")
    if request.get("model") != name:
        raise ValueError(f"the model {request.get('model')!r} is not served here; this server has {name!r}")
    if request.get("logprobs") is not None or request.get("stream"):
        raise ValueError("this endpoint returns whole texts only: leave out logprobs and stream")
    unknown = [field for field, value in request.items() if field not in READ and value not in (None, False, 0, "", {})]
    if unknown:
        raise ValueError(f"this server does not know {', '.join(sorted(unknown))}; it reads {', '.join(READ)}")
    prompts = request.get("prompt", "")
    prompts = [prompts] if isinstance(prompts, str) else prompts
    if not isinstance(prompts, list) or not all(isinstance(prompt, str) for prompt in prompts):
        raise ValueError("prompt is neither a string nor a list of strings; token ids are not taken here")
    copies, most_tokens = _number(request, "n", 1, int), _number(request, "max_tokens", 16, int)
    if not 1 <= len(prompts) * copies <= MOST_PROMPTS:
        raise ValueError(f"{len(prompts)} prompts, {copies} texts each; expected 1 to {MOST_PROMPTS} texts per request")
    longest = _encode(tokenizer, prompts)[0].shape[1]  # refuses characters that the tokenizer does not know
    if not 1 <= most_tokens <= model.context + 1 - longest:
        raise ValueError(
            f"max_tokens is {most_tokens} after a prompt of {longest}; expected 1 to {model.context + 1 - longest}, "
            f"since the model reads {model.context} tokens"
        )
    temperature, top_p = _number(request, "temperature", 1.0, float), _number(request, "top_p", 1.0, float)
    if temperature < 0 or not 0 < top_p <= 1:
        raise ValueError(f"temperature is {temperature} and top_p {top_p}; expected temperature ≥ 0 and 0 < top_p ≤ 1")
    prompts = [prompt for prompt in prompts for _ in range(copies)]
    return {
        "prompts": prompts,
        "max_tokens": most_tokens,
        "temperature": temperature,
        "top_p": top_p,
        "seed": None if request.get("seed") is None else _number(request, "seed", 0, int),
        "stop": _stops(request.get("stop")),
    }


def _number(request: dict, field: str, default: float, kind: type) -> float:
    value = request.get(field)
    value = default if value is None else value
    known = isinstance(value, int | float) and not isinstance(value, bool)
    if not known or not -(1 << 63) <= value < 1 << 63 or value != kind(value):  # NaN and infinities are in no range
        raise ValueError(f"{field} is {value!r:.80}; expected {'an integer' if kind is int else 'a number'} of 64 bits")
    return kind(value)


def _stops(given: object) -> tuple[str, ...]:
    stops = [given] if isinstance(given, str) else given or []
    if not isinstance(stops, list) or len(stops) > MOST_STOPS or not all(isinstance(s, str) and s for s in stops):
        raise ValueError(f"stop is {given!r:.80}; expected up to {MOST_STOPS} strings, none of them empty")
    return tuple(stops)


def _encode(tokenizer: Tokenizer, prompts: list[str]) -> tuple[Int[Tensor, "B P"], Int[Tensor, " B"]]:
    """The ids of the prompts without an end that encoding adds, and their number in each row.

    One at a time, since a prompt may hold ends, as between the turns of a chat, and ends may pad.
    """
    rows = [prompt_ids(tokenizer, prompt) for prompt in prompts]
    lengths = torch.tensor([len(row) for row in rows])
    return pad_sequence(rows, batch_first=True, padding_value=tokenizer.pad), lengths


def _complete(
    model: LanguageModel,
    tokenizer: Tokenizer,
    prompts: list[str],
    max_tokens: int,
    temperature: float,
    top_p: float,
    seed: int | None,
    stop: tuple[str, ...] = (),
) -> dict:
    """The `choices` and `usage` of a completions answer."""
    generator = torch.Generator(device_of(model))
    generator.manual_seed(seed) if seed is not None else generator.seed()
    decoding = {"greedy": True} if temperature == 0 else {"temperature": temperature, "top_p": top_p}
    given, lengths = _encode(tokenizer, prompts)
    written = generate(model, given, max_tokens, lengths=lengths, generator=generator, **decoding)
    choices, completion_tokens = [], 0
    for index, (row, start) in enumerate(zip(written.cpu(), lengths.tolist(), strict=True)):
        ids = row[start : start + max_tokens]
        ends = (ids == model.end).nonzero()
        completion_tokens += int(ends[0]) + 1 if len(ends) else len(ids)
        text = continuation_text(tokenizer, row[:start], ids)
        stopped = min((text.partition(mark)[0] for mark in stop), key=len, default=text)
        reason, text = "stop" if len(ends) or len(stopped) < len(text) else "length", stopped
        choices.append({"index": index, "text": text, "finish_reason": reason, "logprobs": None})
    usage = {"prompt_tokens": int(lengths.sum()), "completion_tokens": completion_tokens}
    return {"choices": choices, "usage": usage | {"total_tokens": sum(usage.values())}}
