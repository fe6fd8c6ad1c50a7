"""A model as a server of texts: the requests that it understands, refuses, and survives."""

import http.client
import json
import socket
import urllib.error
import urllib.parse
import urllib.request

import openai
import pytest
import torch

from kd_lab.models import GPT, GPTConfig, HuggingFace, serve, serving
from kd_lab.models.hugging_face_tokenizer import prompt_ids
from kd_lab.where import TeacherRollouts, TextTeacher, teacher_texts
from kd_lab.worlds import surnames

WORLD = surnames(top=500)
SHAPE = GPTConfig(vocab_size=len(WORLD.vocabulary), context=WORLD.context, layers=1, heads=2, width=16)
PATIENCE = 60  # seconds: a busy machine answers late, a server that hangs never
REQUEST = {"model": "names", "prompt": "a", "max_tokens": 2, "temperature": 0}


@pytest.fixture(scope="module")
def url():
    with serve(GPT(SHAPE, seed=1), WORLD.vocabulary, name="names") as base_url:
        yield base_url


def post(address: str, body: bytes) -> dict:
    with urllib.request.urlopen(address, body, timeout=PATIENCE) as answer:
        return json.load(answer)


def test_the_openai_client_itself_is_understood(url):
    with openai.OpenAI(base_url=url, api_key="none", max_retries=0) as client:
        assert [served.id for served in client.models.list()] == ["names"]
        answer = client.completions.create(model="names", prompt=["a", "b"], max_tokens=3, n=2, seed=0)
        assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
        assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
        with pytest.raises(openai.BadRequestError, match="whole texts only"):
            client.completions.create(model="names", prompt="a", logprobs=5)


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"model": "gpt"}, "the model 'gpt' is not served here"),
        ({"prompt": [1, 2]}, "token ids are not taken"),
        ({"prompt": ["É"]}, "outside this vocabulary"),
        ({"max_tokens": 1000}, "max_tokens is 1000"),
        ({"max_tokens": "many"}, "expected an integer"),
        ({"temperature": -1}, "temperature is -1"),
        ({"top_p": 0}, "top_p 0"),
        ({"n": 1000}, "1000 texts each"),
        ({"stream": True}, "whole texts only"),
        ([], "no JSON object"),
    ],
)
def test_bad_requests_get_a_400_that_says_why(url, request_, message):
    body = REQUEST | request_ if isinstance(request_, dict) else request_
    with pytest.raises(urllib.error.HTTPError) as caught:
        post(f"{url}/completions", json.dumps(body).encode())
    assert caught.value.code == 400
    assert message in json.load(caught.value)["error"]["message"]


def test_the_server_survives_nonsense_and_unknown_paths(url):
    for path, body, code in (("/completions", b"{", 400), ("/chat/completions", b"{}", 404)):
        with pytest.raises(urllib.error.HTTPError) as caught:
            post(url + path, body)
        assert caught.value.code == code
    assert len(post(f"{url}/completions", json.dumps(REQUEST).encode())["choices"]) == 1


def test_a_model_that_fails_is_a_500_and_the_server_lives_on():
    class Moody(GPT):
        def forward(self, tokens, cache=None, return_hidden=False):
            raise RuntimeError("not today")

    with serve(Moody(SHAPE), WORLD.vocabulary, name="names") as base:
        for _ in range(2):
            with pytest.raises(urllib.error.HTTPError) as caught:
                post(f"{base}/completions", json.dumps(REQUEST).encode())
            assert caught.value.code == 500
            assert "RuntimeError: not today" in json.load(caught.value)["error"]["message"]


# ---- callers that lie -----------------------------------------------------------------------------------------------


def raw(url: str, *lines: str, body: bytes = b"") -> bytes:
    """All that the server sends back for these bytes before it closes the connection."""
    with socket.create_connection(("127.0.0.1", urllib.parse.urlsplit(url).port), timeout=PATIENCE) as connection:
        connection.sendall("\r\n".join([*lines, "Connection: close", "", ""]).encode() + body)
        received = b""
        while part := connection.recv(4096):
            received += part
        return received


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("Content-Length: -1", b"400"),
        ("Content-Length: many", b"400"),
        ("Content-Length: 1_0", b"400"),
        ("Content-Length: 99999999999", b"413"),
        ("Transfer-Encoding: chunked", b"411"),
    ],
)
def test_a_length_that_is_none_is_refused_without_reading(url, header, status):
    assert raw(url, "POST /v1/completions HTTP/1.1", "Host: x", header).split()[1] == status


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"[" * 100_000, "no JSON"),
        (b"\xff\xfe{}", "no JSON"),
        (b'{"model": "names", "prompt": "a", "temperature": Infinity}', "Infinity"),
        (b'{"model": "names", "prompt": "a", "temperature": NaN}', "NaN"),
        (b'{"model": "names", "prompt": "a", "max_tokens": 1e999}', "max_tokens is inf"),
        (
            b'{"model": "names", "prompt": "a", "max_tokens": 2, "temperature": 1' + b"0" * 400 + b"}",
            "temperature is 1",
        ),
        (b'{"model": "names", "prompt": "a", "max_tokens": 2, "seed": "one"}', "seed is 'one'"),
        (
            b'{"model": "names", "prompt": "a", "max_tokens": 2, "seed": 99999999999999999999}',
            "seed is 99999999999999999999",
        ),
        (b'{"model": "names", "prompt": "a", "max_tokens": 2, "stop": [""]}', "stop is"),
        (b'{"model": "names", "prompt": "a", "max_tokens": 2, "stop": 5}', "stop is 5"),
        (b'{"model": "names", "prompt": "a", "max_tokens": 2, "presence_penalty": 1.5}', "presence_penalty"),
        (b'{"model": "names", "prompt": "a", "max_new_tokens": 5}', "max_new_tokens"),
        (b'{"model": "names", "prompt": "\\ud800"}', "outside this vocabulary"),
    ],
)
def test_bodies_that_break_a_parser_get_a_400(url, body, message):
    request = urllib.request.Request(f"{url}/completions", body)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=PATIENCE)
    assert caught.value.code == 400
    assert message in json.load(caught.value)["error"]["message"]


def test_parameters_that_ask_for_nothing_are_taken(url):
    body = {"model": "names", "prompt": "a", "max_tokens": 2, "echo": False, "presence_penalty": 0, "user": "me"}
    assert urllib.request.urlopen(f"{url}/completions", json.dumps(body).encode(), timeout=PATIENCE).status == 200


def test_a_caller_who_leaves_is_not_heard_of(url, capfd):
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", urllib.parse.urlsplit(url).port), timeout=PATIENCE) as connection:
            body = json.dumps({"model": "names", "prompt": ["a"] * 64, "max_tokens": 9}).encode()
            connection.sendall(b"POST /v1/completions HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset, no farewell
    assert post(f"{url}/completions", json.dumps(REQUEST).encode())
    assert capfd.readouterr() == ("", "")


def test_a_silent_caller_is_hung_up_on(monkeypatch):
    monkeypatch.setattr("kd_lab.models.serving.IDLE_SECONDS", 0.2)
    with serve(GPT(SHAPE), WORLD.vocabulary) as base:
        assert raw(base, "POST /v1/completions HTTP/1.1", "Content-Length: 10") == b""


def test_nothing_is_served_after_the_block():
    with serve(GPT(SHAPE), WORLD.vocabulary) as base:
        kept = http.client.HTTPConnection("127.0.0.1", urllib.parse.urlsplit(base).port, timeout=PATIENCE)
        kept.request("GET", "/v1/models")
        assert kept.getresponse().read()
        open_socket = kept.sock
    assert not open_socket.recv(1)  # hung up on
    with pytest.raises(ConnectionError):
        http.client.HTTPConnection("127.0.0.1", urllib.parse.urlsplit(base).port, timeout=PATIENCE).connect()


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_that_is_none_is_refused(port):
    with pytest.raises(ValueError, match=f"port is {port}"), serve(GPT(SHAPE), WORLD.vocabulary, port=port):
        pass


def test_a_port_that_is_taken_is_said(url):
    port = urllib.parse.urlsplit(url).port
    with pytest.raises(ValueError, match=f"port {port} .*port=0"), serve(GPT(SHAPE), WORLD.vocabulary, port=port):
        pass


# ---- a model of transformers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("adds", ["", "begin", "end", "begin end"])
@pytest.mark.parametrize("writes", [True, False])
def test_a_chat_is_read_with_one_mark_at_its_beginning(writes, adds, monkeypatch):
    """The server reads the ids that a student reads who is trained on the same prompt."""
    pytest.importorskip("transformers", reason="transformers is not installed: pip install -e '.[real]'")
    from tiny_transformers import chat_tokenizer, tiny_model

    model = HuggingFace(tiny_model(), chat_tokenizer(writes, adds)).eval()
    tokenizer, read = model.tokenizer, []
    messages = [{"role": "user", "content": "a"}]
    chat = tokenizer.backend.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    whole = serving.generate
    monkeypatch.setattr(
        serving, "generate", lambda *given, **how: read.append(given[1].tolist()) or whole(*given, **how)
    )
    with serve(model, tokenizer) as url:
        TextTeacher(url, retries=0).complete([chat], max_tokens=2, seed=0)
    begins, user, a, end, assistant = 2, 4, 6, 0, 5
    prompt = [user, a, end, assistant]
    assert read == [[[begins, *prompt] if writes or "begin" in adds else prompt]]
    trained = tokenizer.world([(chat, "b")], ["c"]).train
    assert trained.tokens[0, : int(trained.prompt_lengths[0])].tolist() == read[0][0]


@pytest.mark.parametrize("decoder", ["metaspace", "strip"])
def test_a_word_crosses_the_wire_with_the_space_before_it(decoder, monkeypatch):
    """The student reads the tokens that the teacher wrote, and not "The capital isParis"."""
    pytest.importorskip("transformers", reason="transformers is not installed: pip install -e '.[real]'")
    from tiny_transformers import tiny_model, word_tokenizer

    model = HuggingFace(tiny_model(vocab_size=11), word_tokenizer(decoder)).eval()
    paris, end = model.tokenizer.ids("Paris")[0], model.end
    answer = torch.tensor([[paris, end]])
    monkeypatch.setattr(serving, "generate", lambda model, given, *_, **__: torch.cat([given, answer], 1))
    world = model.tokenizer.world([("The capital is", "The The")], ["Paris"])
    with serve(model, model.tokenizer) as url:
        teacher = TextTeacher(url, retries=0)
        assert teacher.complete(["The capital is"], max_tokens=2) == [" Paris"]
        texts = teacher_texts(teacher, world, TeacherRollouts(size=1), seed=0)
    prompt = prompt_ids(model.tokenizer, "The capital is").tolist()
    assert texts.tokens[0, : len(prompt) + 2].tolist() == [*prompt, paris, end]
