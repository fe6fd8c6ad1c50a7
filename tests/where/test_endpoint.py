"""A teacher behind HTTP: the client against the local server, against silence, and against servers that misbehave."""

import json
import socket
import threading
import time
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch

from kd_lab.methods import distill, sequence_level
from kd_lab.models import GPT, GPTConfig, generate, serve
from kd_lab.where import TeacherRollouts, TextTeacher, teacher_texts
from kd_lab.worlds import surnames

WORLD = surnames(top=500)
SHAPE = GPTConfig(vocab_size=len(WORLD.vocabulary), context=WORLD.context, layers=1, heads=2, width=16)


@pytest.fixture(scope="module")
def model() -> GPT:
    return GPT(SHAPE, seed=1)


@pytest.fixture(scope="module")
def url(model):
    with serve(model, WORLD.vocabulary, name="names") as base_url:
        yield base_url


@contextmanager
def impostor(answer):
    """A server that treats every POST as `answer(handler, count)` says; yields its base URL and the requests."""
    requests = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            requests.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            answer(self, len(requests))

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", requests
    finally:
        server.shutdown()
        server.server_close()


def reply(handler, status: int, content: dict):
    body = json.dumps(content).encode()
    handler.send_response(status)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def texts(count: int) -> dict:
    choices = [{"index": i, "text": "a", "finish_reason": "stop", "logprobs": None} for i in range(count)]
    return {"id": "x", "object": "text_completion", "created": 0, "model": "names", "choices": choices}


def test_greedy_text_over_http_is_the_models_greedy_text(url, model):
    prompts = ["sm", "joh", "b"]
    answers = TextTeacher(url, model="names").complete(prompts, max_tokens=6, temperature=0)
    for prompt, answer in zip(prompts, answers, strict=True):
        given = WORLD.vocabulary.encode([prompt])[:, : len(prompt) + 1]
        written = generate(model, given, 6, greedy=True)
        assert [prompt + answer] == WORLD.vocabulary.decode(written)


def test_the_answers_come_in_the_order_of_the_prompts_beyond_one_request(url):
    prompts = ["a" * (1 + i % 3) for i in range(150)]
    teacher = TextTeacher(url, model="names")
    together = teacher.complete(prompts, max_tokens=4, temperature=0)
    one_by_one = {prompt: teacher.complete([prompt], max_tokens=4, temperature=0)[0] for prompt in set(prompts)}
    assert together == [one_by_one[prompt] for prompt in prompts]


def test_a_seed_repeats_the_samples(url):
    teacher = TextTeacher(url, model="names")
    first, again, other = (teacher.complete([""] * 80, 10, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert first[:8] != first[64:72]  # the second request does not repeat the first


def test_text_over_http_has_the_models_distribution(url, model):
    """First letters of 2,000 names against the model's own conditional: a χ² statistic with 26 degrees of freedom."""
    names = TextTeacher(url, model="names").complete([""] * 2000, max_tokens=1, seed=5)
    counts = torch.tensor([sum(name == letter for name in names) for letter in ["", *WORLD.vocabulary.symbols[1:]]])
    expected = 2000 * model(torch.zeros(1, 1, dtype=torch.long))[0, 0].softmax(-1)
    assert ((counts - expected) ** 2 / expected).sum() < 55  # P(χ²₂₆ > 55) < 0.001


def test_a_student_learns_through_text_alone(url, model):
    world = WORLD.given(3)
    student = GPT(SHAPE, seed=2)
    result = distill(
        student,
        TextTeacher(url, model="names"),
        world,
        sequence_level(size=64),
        steps=20,
        batch_size=16,
        progress=False,
    )
    assert result.history["loss"][-5:].mean() < result.history["loss"][:5].mean()


def test_a_text_that_was_cut_off_gets_no_end_mark(url, model):
    """Texts of the longest length end because the room ends, and must not teach the student to end there."""
    with impostor(lambda handler, count: reply(handler, 200, long_answer)) as (base, _):
        length = WORLD.context
        long_answer = texts(1)
        long_answer["choices"][0]["text"] = "a" * length
        batch = teacher_texts(TextTeacher(base), WORLD, TeacherRollouts(size=1), seed=0)
    assert (batch.targets[0] == 1).all()
    assert batch.mask.all()


def test_a_model_that_fails_is_said_with_its_words():
    class Moody(GPT):
        def forward(self, tokens, cache=None, return_hidden=False):
            raise RuntimeError("not today")

    with (
        serve(Moody(SHAPE), WORLD.vocabulary) as base,
        pytest.raises(ConnectionError, match=r"HTTP 500 1 times: .*not today"),
    ):
        TextTeacher(base, retries=0).complete(["a"], 2)


def test_a_refusal_is_a_value_error_with_the_servers_words(url):
    with pytest.raises(ValueError, match=r"HTTP 400.*is not served here"):
        TextTeacher(url, model="gpt").complete(["a"], 2)


def test_nobody_at_the_address_is_said_clearly():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound and not listening: every connection is refused
        with pytest.raises(ConnectionError, match=r"no server answers at .* after 1 tries"):
            TextTeacher(f"http://127.0.0.1:{held.getsockname()[1]}/v1", retries=0).complete(["a"], 2)


def test_a_server_that_hangs_is_given_up():
    with impostor(lambda handler, count: time.sleep(1)) as (base, requests):
        with pytest.raises(ConnectionError, match=r"no answer within 0.1 s, 1 times"):
            TextTeacher(base, timeout=0.1, retries=0).complete(["a"], 2)
        assert len(requests) == 1


def test_a_server_that_stumbles_is_asked_again():
    def stumble(handler, count):
        reply(handler, *((503, {"error": {"message": "busy"}}) if count == 1 else (200, texts(2))))

    with impostor(stumble) as (base, requests):
        assert TextTeacher(base, retries=1).complete(["a", "b"], 2) == ["a", "a"]
        assert len(requests) == 2


def test_a_server_that_keeps_failing_is_named():
    with (
        impostor(lambda handler, count: reply(handler, 500, {"error": {"message": "out of memory"}})) as (base, _),
        pytest.raises(ConnectionError, match=r"HTTP 500 1 times.*out of memory"),
    ):
        TextTeacher(base, retries=0).complete(["a"], 2)


def test_an_answer_with_the_wrong_number_of_texts_is_refused():
    with (
        impostor(lambda handler, count: reply(handler, 200, texts(1))) as (base, _),
        pytest.raises(ValueError, match="returned 1 texts for 2 prompts"),
    ):
        TextTeacher(base).complete(["a", "b"], 2)


def test_an_endpoint_cannot_search(url):
    with pytest.raises(ValueError, match='decode is "beam" and the teacher answers in text only'):
        teacher_texts(TextTeacher(url), WORLD, TeacherRollouts(size=4, decode="beam"), seed=0)


# ---- servers that lie ------------------------------------------------------------------------------------------------


def answering(content: dict | list | str | bytes, status: int = 200, kind: str = "application/json", **headers: str):
    """An answer for `impostor` that sends this body, whatever it is."""
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()

    def send(handler, count):
        handler.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(raw)), **headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(raw)

    return send


def with_choices(*choices) -> dict:
    return texts(0) | {"choices": list(choices)}


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (answering(b"<html>log in</html>", kind="text/html"), "no JSON but b'<html>log in"),
        (answering(b"[" * 100_000), "no JSON but"),
        (answering(None), "without a list of choices"),
        (answering([]), "without a list of choices"),
        (answering({"choices": {"0": "a"}}), "without a list of choices"),
        (answering(with_choices("a", "b")), "without a list of choices"),
        (answering(with_choices({"index": 0, "text": "a"}, {"index": 0, "text": "b"})), r"the indices \[0, 0\]"),
        (answering(with_choices({"index": 0, "text": "a"}, {"index": 2, "text": "b"})), r"the indices \[0, 2\]"),
        (answering(with_choices({"text": "a"}, {"text": "b"})), r"the indices \[None, None\]"),
        (answering(with_choices({"index": [0], "text": "a"}, {"index": 1, "text": "b"})), "the indices"),
        (answering(with_choices({"index": 0, "text": None}, {"index": 1, "text": "b"})), "None as a text"),
        (answering(with_choices({"index": 0, "text": 7}, {"index": 1, "text": "b"})), "7 as a text"),
        (answering(with_choices({"index": 0, "text": ["a"]}, {"index": 1, "text": "b"})), r"\['a'\] as a text"),
        (answering(b"", 307, Location="http://192.0.2.1/v1/completions"), r"sends its callers to http://192\.0\.2\.1"),
    ],
)
def test_what_is_no_answer_is_never_believed(answer, message):
    with impostor(answer) as (base, requests), pytest.raises(ValueError, match=message):
        TextTeacher(base, retries=0).complete(["a", "b"], 2)
    assert len(requests) == 1


def test_texts_are_sorted_by_their_index():
    answer = with_choices({"index": 1, "text": "b"}, {"index": 0, "text": "a", "finish_reason": "length"})
    with impostor(answering(answer)) as (base, _):
        assert TextTeacher(base).completions(["", ""], 2) == [("a", False), ("b", True)]


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_a_server_that_stays_busy_is_no_fault_of_the_request(status):
    with (
        impostor(answering({"error": {"message": "busy"}}, status)) as (base, _),
        pytest.raises(ConnectionError, match=f"HTTP {status} 1 times"),
    ):
        TextTeacher(base, retries=0).complete(["a"], 2)


def test_a_broken_compression_is_a_connection_error():
    broken = answering(b"no gzip at all", **{"Content-Encoding": "gzip"})
    with impostor(broken) as (base, _), pytest.raises(ConnectionError, match="cannot be read"):
        TextTeacher(base, retries=0).complete(["a"], 2)


def test_the_time_limit_is_one_of_the_request_and_not_of_each_read():
    def dribble(handler, count):
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        with suppress(OSError):  # hung up on
            for _ in range(600):
                handler.wfile.write(b" ")
                handler.wfile.flush()
                time.sleep(0.1)

    with impostor(dribble) as (base, _):
        began = time.monotonic()
        with pytest.raises(ConnectionError, match=r"no answer within 0.5 s"):
            TextTeacher(base, timeout=0.5, retries=0).complete(["a"], 2)
        assert time.monotonic() - began < 30  # a busy machine is late, and a limit per read would take a minute


def test_no_proxy_is_asked_for_this_machine(url, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert TextTeacher(url, model="names", retries=0).complete(["a"], 2, temperature=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"base_url": "127.0.0.1:8000/v1"}, "base_url is '127.0.0.1:8000/v1'"),
        ({"base_url": "http://host:port/v1"}, "base_url is"),
        ({"base_url": "file:///etc/passwd"}, "base_url is"),
        ({"api_key": "schlüssel\n"}, "api_key"),
        ({"timeout": 0.0}, "timeout is 0.0"),
        ({"timeout": float("nan")}, "timeout is nan"),
        ({"retries": -1}, "retries -1"),
        ({"stop": ("a", "")}, "stop is"),
    ],
)
def test_an_endpoint_that_cannot_be_is_refused_before_it_is_asked(arguments, message):
    with pytest.raises(ValueError, match=message):
        TextTeacher(**({"base_url": "http://127.0.0.1:1/v1"} | arguments))


def test_a_key_is_not_in_what_a_notebook_shows():
    teacher = TextTeacher("http://127.0.0.1:1/v1", api_key="sk-secret")
    assert teacher.api_key == "sk-secret"
    assert "secret" not in f"{teacher!r} {teacher}"


def answers(*written: str, reason: str = "stop"):
    """These texts, whatever the prompts were."""
    choices = [{"index": i, "text": text, "finish_reason": reason} for i, text in enumerate(written)]
    return answering(with_choices(*choices))


def test_one_strange_text_does_not_cost_the_others():
    with impostor(answers("anna", "Bert", "carl")) as (base, _):
        with pytest.warns(UserWarning, match=r"1 of 3 texts .* clean=.*'Bert' holds \['B'\]"):
            batch = teacher_texts(TextTeacher(base), WORLD, TeacherRollouts(size=3), seed=0)
        assert WORLD.vocabulary.decode(batch.tokens) == ["anna", "carl"]
        batch = teacher_texts(TextTeacher(base, clean=str.lower), WORLD, TeacherRollouts(size=3), seed=0)
        assert WORLD.vocabulary.decode(batch.tokens) == ["anna", "bert", "carl"]


def test_a_teacher_of_another_alphabet_is_refused_with_a_remedy():
    with impostor(answers("ÄÖ", "ÜÄ", "a")) as (base, _), pytest.raises(ValueError, match=r"2 of 3 texts .* clean="):
        teacher_texts(TextTeacher(base), WORLD, TeacherRollouts(size=3), seed=0)


def test_a_short_text_that_was_cut_off_teaches_no_end():
    """The server's tokens are not ours: what it cuts off may be shorter than the row, and pads with the end mark."""
    with impostor(answers("ab", reason="length")) as (base, _):
        cut = teacher_texts(TextTeacher(base), WORLD, TeacherRollouts(size=1), seed=0)
    with impostor(answers("ab")) as (base, _):
        whole = teacher_texts(TextTeacher(base), WORLD, TeacherRollouts(size=1), seed=0)
    assert cut.mask.sum() == 2
    assert whole.mask.sum() == 3


def test_stop_ends_a_text(url):
    plain, stopped = TextTeacher(url, model="names"), TextTeacher(url, model="names", stop=("e", "a"))
    for text, short in zip(*(t.complete(["b"] * 64, 11, seed=3) for t in (plain, stopped)), strict=True):
        assert short == min((text.partition(mark)[0] for mark in "ea"), key=len)


@pytest.mark.parametrize("adds", ["", "begin"])
@pytest.mark.parametrize("writes", [True, False])
def test_prompts_of_a_model_of_transformers_cross_the_wire_unchanged(writes, adds, monkeypatch):
    """The ids of the student's prompts reach the text teacher's model, with no mark lost and none twice."""
    pytest.importorskip("transformers", reason="transformers is not installed: pip install -e '.[real]'")
    from tiny_transformers import chat_tokenizer, tiny_model

    from kd_lab.models import HuggingFace, serving

    model, read = HuggingFace(tiny_model(), chat_tokenizer(writes, adds)).eval(), []
    chat = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    prompt = model.tokenizer.backend.apply_chat_template(chat[:1], tokenize=False, add_generation_prompt=True)
    world = model.tokenizer.world([(prompt, "b"), ("", "c")], ["h"])
    whole = serving.generate
    monkeypatch.setattr(
        serving, "generate", lambda *given, **how: read.append((given[1], how["lengths"])) or whole(*given, **how)
    )
    with serve(model, model.tokenizer) as base_url:
        texts = teacher_texts(TextTeacher(base_url, retries=0), world, TeacherRollouts(size=8), seed=0)
    sent = {tuple(row[:length].tolist()) for given, lengths in read for row, length in zip(given, lengths, strict=True)}
    lengths = world.train.prompt_lengths.tolist()
    assert sent == {tuple(row[:n].tolist()) for row, n in zip(world.train.tokens, lengths, strict=True)}
    begun = {tuple(row[:n].tolist()) for row, n in zip(texts.tokens, texts.prompt_lengths.tolist(), strict=True)}
    assert begun <= sent, "a learner would train on other prompts than the teacher answered"
