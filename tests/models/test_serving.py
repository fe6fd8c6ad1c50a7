"""A model as a server of texts: the requests that it understands, refuses, and survives."""

import json
import urllib.error
import urllib.request

import openai
import pytest

from kd_lab.models import GPT, GPTConfig, serve
from kd_lab.worlds import surnames

WORLD = surnames(top=500)
SHAPE = GPTConfig(vocab_size=len(WORLD.vocabulary), context=WORLD.context, layers=1, heads=2, width=16)
REQUEST = {"model": "names", "prompt": "a", "max_tokens": 2, "temperature": 0}


@pytest.fixture(scope="module")
def url():
    with serve(GPT(SHAPE, seed=1), WORLD.vocabulary, name="names") as base_url:
        yield base_url


def post(address: str, body: bytes) -> dict:
    with urllib.request.urlopen(address, body, timeout=5) as answer:
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
