"""A teacher behind HTTP: the client against the local server, against silence, and against servers that misbehave."""

import json
import random
import socket
import threading
import time
from contextlib import contextmanager, suppress
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch

from kd_lab.methods import distill, sequence_level
from kd_lab.models import GPT, GPTConfig, generate, serve
from kd_lab.models.fingerprint import fingerprint
from kd_lab.where import TeacherRollouts, TextTeacher, teacher_texts
from kd_lab.worlds import Batch, World, surnames

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
    with impostor(lambda handler, count: time.sleep(10)) as (base, requests):
        with pytest.raises(ConnectionError, match=r"no answer within 1\.0 s, 1 times"):
            TextTeacher(base, timeout=1.0, retries=0).complete(["a"], 2)
        patience = time.monotonic() + 30  # under load the server may read the request after it was given up
        while not requests and time.monotonic() < patience:
            time.sleep(0.01)
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


@contextmanager
def seeding_each_prompt(knows_n: bool = True):
    """A server that begins every prompt of a request with the request's seed, as vLLM does; copies have seeds of their
    own where it knows `n`."""

    def answer(handler, count):
        request, written = requests[-1], []
        for prompt in request["prompt"]:
            for copy in range(request.get("n", 1) if knows_n else 1):
                draws = random.Random(f"{prompt} {request['seed'] + copy}")
                written.append("".join(draws.choices("abcdefgh", k=request["max_tokens"])))
        reply(handler, 200, texts(0) | {"choices": [{"index": i, "text": text} for i, text in enumerate(written)]})

    with impostor(answer) as (base, requests):
        yield base, requests


@pytest.mark.parametrize("knows_n", [True, False])
@pytest.mark.parametrize(
    "prompts", [[""] * 150, ["a", "b", "a", "c", "b", "a"] * 25, [f"{i % 70}" for i in range(150)]]
)
def test_equal_prompts_get_texts_of_their_own_from_a_server_that_seeds_each_prompt(prompts, knows_n):
    with seeding_each_prompt(knows_n) as (base, requests):
        first, again, other = (TextTeacher(base).complete(prompts, 20, seed=seed) for seed in (1, 1, 2))
    assert len(set(first)) == len(prompts)
    assert first == again
    assert not set(first) & set(other)
    assert all(len(set(request["prompt"])) == len(request["prompt"]) for request in requests)


def test_a_set_of_free_texts_is_no_set_of_copies():
    with seeding_each_prompt() as (base, requests):
        batch = teacher_texts(TextTeacher(base), WORLD, TeacherRollouts(size=256), seed=0)
    assert len(batch.tokens.unique(dim=0)) == 256
    assert [(request["prompt"], request["n"]) for request in requests] == [([""], 64)] * 4


def test_copies_stand_behind_their_own_prompts():
    def answer(handler, count):
        asked = [prompt for prompt in requests[-1]["prompt"] for _ in range(requests[-1].get("n", 1))]
        reply(handler, 200, with_choices(*({"index": i, "text": prompt} for i, prompt in enumerate(asked))))

    prompts = [f"{i * i % 23}" for i in range(200)]
    with impostor(answer) as (base, requests):
        assert TextTeacher(base).complete(prompts, 4, seed=0) == prompts


def test_greedy_texts_are_asked_without_copies():
    """A server may refuse several greedy texts of one prompt, and they are equal whatever the seed."""
    with impostor(lambda handler, count: reply(handler, 200, texts(3))) as (base, requests):
        TextTeacher(base).complete(["a"] * 3, 4, temperature=0, seed=0)
    assert [request["prompt"] for request in requests] == [["a"] * 3]
    assert "n" not in requests[0]


def test_each_prompt_may_have_a_longest_text_of_its_own():
    with seeding_each_prompt() as (base, _):
        written = TextTeacher(base).complete(["a", "b", "a", "c"], [3, 5, 7, 3], seed=0)
        assert [len(text) for text in written] == [3, 5, 7, 3]
        with pytest.raises(ValueError, match="max_tokens has 1 numbers for 2 prompts"):
            TextTeacher(base).complete(["a", "b"], [3], seed=0)


# ---- texts that were paid for ----------------------------------------------------------------------------------------


@contextmanager
def failing_at(calls: set[int], fail):
    """A server that writes each text but once, and treats these of its requests as `fail(handler)` says."""
    written = iter(range(10**6))

    def answer(handler, count):
        if count in calls:
            fail(handler)
            return
        asked = requests[-1]
        number = len(asked["prompt"]) * asked.get("n", 1)
        reply(handler, 200, with_choices(*({"index": i, "text": f"text {next(written)}"} for i in range(number))))

    with impostor(answer) as (base, requests):
        yield base, requests


def busy(handler):
    reply(handler, 429, {"error": {"message": "too many requests"}})


@pytest.mark.parametrize("seed", [0, None])
def test_a_call_that_fails_loses_no_text_and_goes_on(seed):
    with failing_at({3, 5}, busy) as (base, requests):
        teacher = TextTeacher(base, retries=0)
        for had in (128, 192):
            with pytest.raises(ConnectionError, match="HTTP 429") as caught:
                teacher.complete([""] * 300, 5, seed=seed)
            assert f"{had} of 300 texts had come" in caught.value.__notes__[0]
        written = teacher.complete([""] * 300, 5, seed=seed)
        assert sorted(written) == sorted(f"text {i}" for i in range(300))
        assert len(requests) == 5 + 2
        fresh = teacher.complete([""] * 300, 5, seed=seed)  # a call that has ended is no call that failed
        assert not set(fresh) & set(written)


def test_a_set_of_teacher_texts_goes_on_where_it_failed():
    """Prompts of several lengths are one call, so that those of the first lengths are not paid for twice."""
    tokens = WORLD.train.tokens[:30]
    begun = Batch.from_tokens(tokens, torch.arange(30) % 2 + 2, end=WORLD.vocabulary.end)
    world = World("begun", WORLD.vocabulary, begun, WORLD.held_out)
    with failing_at({2}, busy) as (base, requests):
        teacher = TextTeacher(base, retries=0, clean=lambda text: "a" * (1 + int(text.split()[1]) % 5))
        with pytest.raises(ConnectionError, match="HTTP 429"):
            teacher_texts(teacher, world, TeacherRollouts(size=40), seed=0)
        asked = len(requests)
        assert len(teacher_texts(teacher, world, TeacherRollouts(size=40), seed=0)) == 40
    first = [request for request in requests[:asked] if request is not requests[1]]
    assert all(request not in requests[asked:] for request in first)


def test_what_is_kept_tells_no_two_teachers_apart():
    with failing_at({2}, busy) as (base, _):
        teacher, other = TextTeacher(base, retries=0), TextTeacher(base, retries=0)
        before = fingerprint(teacher)
        with pytest.raises(ConnectionError):
            teacher.complete([""] * 100, 5, seed=0)
        assert teacher == other
        assert repr(teacher) == repr(other)
        assert fingerprint(teacher) == before  # else a training that failed would be kept under another name


def retry_after(value: str):
    def answer(handler, count):
        if count > 1:
            reply(handler, 200, texts(1))
            return
        handler.send_response(429)
        handler.send_header("Retry-After", value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


@pytest.mark.parametrize(
    ("value", "pause"),
    [("7", 7), ("0.25", 0.5), ("0", 0.5), ("-3", 0.5), ("soon", 0.5), ("nan", 0.5), ("", 0.5),
     ("Sun, 06 Nov 1994 08:49:37 GMT", 0.5)],
)  # fmt: skip
def test_the_pause_is_the_one_that_the_server_asks_for(value, pause, monkeypatch):
    slept = []
    monkeypatch.setattr("kd_lab.where.endpoint.time.sleep", slept.append)
    with impostor(retry_after(value)) as (base, _):
        assert TextTeacher(base, retries=1).complete(["a"], 2) == ["a"]
    assert slept == [pause]


def test_a_pause_may_be_a_time_of_day(monkeypatch):
    slept = []
    monkeypatch.setattr("kd_lab.where.endpoint.time.sleep", slept.append)
    with impostor(retry_after(formatdate(time.time() + 40, usegmt=True))) as (base, _):
        assert TextTeacher(base, retries=1).complete(["a"], 2) == ["a"]
    assert 20 < slept[0] <= 40


@pytest.mark.parametrize("value", ["3600", "inf"])
def test_nobody_waits_an_hour_in_silence(value):
    with (
        impostor(retry_after(value)) as (base, requests),
        pytest.raises(ConnectionError, match=rf"HTTP 429 1 times.* a pause of {value} s"),
    ):
        TextTeacher(base, retries=5).complete(["a"], 2)
    assert len(requests) == 1


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
    for name in ("no_proxy", "NO_PROXY"):  # either would spare this machine the proxy, whatever we do
        monkeypatch.delenv(name, raising=False)
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


@pytest.mark.parametrize(
    ("reason", "finished"),
    [
        *[
            (reason, False)
            for reason in ("length", "content_filter", "abort", "error", "tool_calls", "timeout", ["stop"])
        ],
        *[(reason, True) for reason in (None, "", "stop", "eos", "eos_token", "stop_sequence")],
    ],
)
def test_only_a_text_that_ended_teaches_its_end(reason, finished):
    with impostor(answers("ab", reason=reason)) as (base, _):
        batch = teacher_texts(TextTeacher(base), WORLD, TeacherRollouts(size=1), seed=0)
        assert TextTeacher(base).completions([""], 2) == [("ab", finished)]
    assert batch.mask.sum() == 2 + finished


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
