"""Hosted encoders, against a real server on this machine that misbehaves."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from misbehaving_server import (
    Server,
    body,
    changed,
    cut_connection,
    no_answer,
    serve,
    slow,
    status,
    vector_of,
)
from PIL import Image

import mmgap as mg
from mmgap.corpus import Corpus, Document, Judgment, Qrels, Query
from mmgap.encoders import Encoder, api, load_encoder
from mmgap.encoders.api import OPENAI, ApiClient, ApiEncoder, ApiLimits, as_base64
from mmgap.errors import EncoderError
from mmgap.rerankers.check import check_model

KEY = "sk-test-5f2a9c"
OPENAI_ID, JINA_ID = "api:text-embedding-3-small", "api:jina-clip-v2"


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now, self.slept = 0.0, []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for provider in ("JINA", "OPENAI"):
        monkeypatch.setenv(f"{provider}_API_KEY", KEY)
    with serve() as running:
        for provider in ("JINA", "OPENAI"):
            monkeypatch.setenv(f"{provider}_BASE_URL", running.url)
        yield running


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(api, "_clock", clock)
    monkeypatch.setattr(api, "_sleep", clock.sleep)
    return clock


def openai(server: Server, _: Clock, *, dim: int | None = None, **limits) -> ApiEncoder:
    server.dim = 1536
    return ApiEncoder(OPENAI_ID, dim=dim, limits=ApiLimits(**limits))


def jina(server: Server, _: Clock, **options) -> ApiEncoder:
    server.dim = 1024
    return ApiEncoder(JINA_ID, **options)


# What is sent, and what comes back


def test_openai_gets_plain_texts_and_the_vectors_come_back_in_order(server, clock) -> None:
    encoder = openai(server, clock)
    assert isinstance(encoder, Encoder)
    assert (encoder.info.dim, encoder.info.modalities) == (1536, ("text",))
    texts = ["a cat", "https://example.com/cat.png", "ein Hund"]
    raw = encoder.encode_text(texts, normalize=False)
    np.testing.assert_array_equal(raw, np.float32([vector_of(text, 1536) for text in texts]))
    unit = encoder.encode_text(texts)
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(unit, raw / np.linalg.norm(raw, axis=1, keepdims=True), rtol=1e-5)
    first = server.requests[0]
    assert first.path == "/v1/embeddings"
    assert first.key == f"Bearer {KEY}"
    assert first.payload == {
        "model": "text-embedding-3-small",
        "input": texts,
        "encoding_format": "float",
    }


def test_openai_is_asked_for_shorter_vectors(server, clock) -> None:
    encoder = openai(server, clock, dim=512)
    assert encoder.encode_text(["a cat"]).shape == (1, 512)
    assert server.requests[0].payload["dimensions"] == 512
    with pytest.raises(EncoderError, match="cannot be cut to 100 dimensions"):
        openai(server, clock, dim=100)


def test_jina_gets_objects_so_that_no_text_is_fetched(server, clock) -> None:
    encoder = jina(server, clock, dim=256)
    texts = ["a cat", "https://example.com/cat.png"]
    raw = encoder.encode_text(texts, role="query", normalize=False)
    np.testing.assert_array_equal(
        raw, np.float32([vector_of({"text": text}, 256) for text in texts])
    )
    assert server.requests[0].payload == {
        "model": "jina-clip-v2",
        "input": [{"text": text} for text in texts],
        "dimensions": 256,
        "embedding_type": "float",
        "truncate": True,
        "normalized": False,
    }


def test_jina_gets_images_without_loss_and_no_larger_than_it_sees_them(server, clock) -> None:
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8))
    large = Image.new("RGB", (2048, 1024), "red")
    vectors = jina(server, clock).encode_images([small, large])
    assert vectors.shape == (2, 1024)
    sent = [
        Image.open(BytesIO(base64.b64decode(item["image"])))
        for item in server.requests[0].payload["input"]
    ]
    np.testing.assert_array_equal(np.asarray(sent[0]), np.asarray(small))
    assert sent[1].size == (1024, 512)
    assert as_base64(small.convert("RGBA")) == as_base64(small)


def test_tasks_are_told_to_models_that_want_them(server) -> None:
    server.dim = 2048
    encoder = ApiEncoder("api:jina-embeddings-v4")
    encoder.encode_text(["a"], role="query")
    encoder.encode_text(["a"])
    encoder.encode_images([Image.new("RGB", (4, 4))])
    assert [request.payload["task"] for request in server.requests] == [
        "retrieval.query",
        "retrieval.passage",
        "retrieval.passage",
    ]


def test_many_inputs_go_out_in_batches(server, clock) -> None:
    encoder = openai(server, clock)
    texts = [f"text {number}" for number in range(7)]
    vectors = encoder.encode_text(texts, batch_size=3, normalize=False)
    assert [len(request.payload["input"]) for request in server.requests] == [3, 3, 1]
    np.testing.assert_array_equal(vectors, np.float32([vector_of(t, 1536) for t in texts]))
    encoder.encode_text(["x" * 60_000, "y" * 60_000])  # too much for one request
    assert len(server.requests) == 5
    jina(server, clock).encode_images([Image.new("RGB", (2, 2))] * 5, batch_size=2)
    assert [len(request.payload["input"]) for request in server.requests[5:]] == [2, 2, 1]


def test_nothing_in_nothing_out_and_nothing_sent(server, clock) -> None:
    assert openai(server, clock).encode_text([]).shape == (0, 1536)
    assert jina(server, clock).encode_images([]).shape == (0, 1024)
    assert server.requests == []


def test_what_it_cannot_read_is_refused(server, clock) -> None:
    with pytest.raises(EncoderError, match="reads text only, no images"):
        openai(server, clock).encode_images([Image.new("RGB", (2, 2))])
    with pytest.raises(EncoderError, match="is the single text 'cat'"):
        openai(server, clock).encode_text("cat")
    with pytest.raises(EncoderError, match="did you mean api:text-embedding-3-small"):
        ApiEncoder("api:text-embedding-3-smal")
    assert server.requests == []


def test_fingerprints_name_all_that_decides_the_vectors(server, clock, monkeypatch) -> None:
    encoders = [openai(server, clock), openai(server, clock, dim=512), jina(server, clock)]
    assert openai(server, clock).info.fingerprint == encoders[0].info.fingerprint
    monkeypatch.setenv("OPENAI_BASE_URL", "https://example.com/v1")
    encoders.append(ApiEncoder(OPENAI_ID))
    assert len({encoder.info.fingerprint for encoder in encoders}) == 4


# Trouble that passes


@pytest.mark.parametrize(
    "trouble",
    [status(429), status(500), status(503), cut_connection, no_answer],
    ids=["429", "500", "503", "cut connection", "no answer"],
)
def test_what_may_pass_is_tried_again(server, clock, trouble) -> None:
    server.then(trouble, trouble)
    vectors = openai(server, clock).encode_text(["a", "b"], normalize=False)
    np.testing.assert_array_equal(vectors, np.float32([vector_of(t, 1536) for t in "ab"]))
    assert len(server.requests) == 3
    first, second = clock.slept  # doubling, with up to one half taken off at random
    assert 0.5 <= first <= 1 <= second <= 2


def test_a_slow_answer_is_asked_for_again(server, clock) -> None:
    server.then(slow)
    openai(server, clock, timeout=0.3).encode_text(["a"])
    assert len(server.requests) == 2
    assert len(clock.slept) == 1


def test_the_provider_says_how_long_to_wait(server, clock) -> None:
    server.then(
        status(429, Retry_After="7"),
        status(503, Retry_After="1.5"),
        status(429, Retry_After="soon"),
    )
    openai(server, clock).encode_text(["a"])
    assert clock.slept[:2] == [7, 1.5]
    assert 2 <= clock.slept[2] <= 4  # the third wait of its own: 1, 2, 4
    assert len(server.requests) == 4


def test_a_wait_of_an_hour_is_not_waited_for(server, clock) -> None:
    server.then(status(429, Retry_After="3600"))
    with pytest.raises(EncoderError, match="asks to wait 3600 seconds"):
        openai(server, clock).encode_text(["a"])
    assert (len(server.requests), clock.slept) == (1, [])


@pytest.mark.parametrize(
    ("trouble", "shown"),
    [(status(500, "overloaded"), "overloaded"), (cut_connection, "RemoteProtocolError")],
)
def test_trouble_that_does_not_pass(server, clock, trouble, shown) -> None:
    server.then(*[trouble] * 10)
    with pytest.raises(EncoderError, match=rf"failed 4 times, at last with .*{shown}"):
        openai(server, clock, retries=3).encode_text(["a"])
    assert (len(server.requests), len(clock.slept)) == (4, 3)


def test_nobody_there(clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serve() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    with pytest.raises(EncoderError, match=r"ConnectError.*check the network"):
        openai(server, clock, retries=1).encode_text(["a"])


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        (400, "documentation"),
        (401, "OPENAI_API_KEY"),
        (404, "name of the model"),
        (302, "documentation"),
    ],
)
def test_a_refusal_is_not_tried_again(server, clock, code: int, remedy: str) -> None:
    server.then(status(code, "maximum context length is 8192 tokens", Location="/elsewhere"))
    with pytest.raises(EncoderError, match=rf"status {code}: .*maximum context.*{remedy}"):
        openai(server, clock).encode_text(["a"])
    assert (len(server.requests), clock.slept) == (1, [])


# Keys


@pytest.mark.parametrize("name", [OPENAI_ID, JINA_ID])
@pytest.mark.parametrize("value", [None, "", "  \n"])
def test_a_missing_key_is_named(name: str, value: str | None, monkeypatch) -> None:
    variable = "JINA_API_KEY" if "jina" in name else "OPENAI_API_KEY"
    if value is None:
        monkeypatch.delenv(variable, raising=False)
    else:
        monkeypatch.setenv(variable, value)
    with pytest.raises(EncoderError, match=f"set the environment variable {variable}"):
        ApiEncoder(name)


def test_the_key_is_shown_nowhere(server, clock, tmp_path: Path) -> None:
    encoder = openai(server, clock)
    server.then(status(401, f"Incorrect API key provided: {KEY}"))
    with pytest.raises(EncoderError, match="Incorrect API key") as caught:
        encoder.encode_text(["a"])
    shown = [str(caught.value), repr(caught.value.__cause__), repr(caught.value.__context__)]
    server.then(body(b"<html>" + KEY.encode()))
    with pytest.raises(EncoderError, match="did not return a JSON object: '<html>") as caught:
        encoder.encode_text(["a"])
    shown += [str(caught.value), repr(encoder), repr(encoder.client), repr(encoder.info)]
    shown += [repr(vars(encoder)), repr(vars(encoder.client))]
    mg.embed(corpus_of(3), encoder, cache=tmp_path)
    shown += [path.read_bytes().decode(errors="replace") for path in tmp_path.rglob("*.*")]
    assert len(shown) > 10
    assert not any(KEY in text for text in shown)
    assert all(request.key == f"Bearer {KEY}" for request in server.requests)


def test_a_key_that_would_break_the_header_is_refused_unseen(monkeypatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", f"{KEY}\nX-Evil: 1")
    with pytest.raises(EncoderError, match="key in OPENAI_API_KEY holds a space") as caught:
        ApiEncoder(OPENAI_ID)
    assert KEY not in str(caught.value)
    monkeypatch.setenv("OPENAI_API_KEY", f" {KEY}\n")  # as pasted
    ApiEncoder(OPENAI_ID)


@pytest.mark.parametrize(
    "url", ["http://example.com/v1", "ftp://127.0.0.1", "https://me:secret@example.com", "here"]
)
def test_addresses_that_would_give_the_key_away(url: str, monkeypatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", url)
    with pytest.raises(EncoderError, match="the base address") as caught:
        ApiEncoder(OPENAI_ID)
    assert "secret" not in str(caught.value)


def test_a_redirect_is_not_followed_with_the_key(server, clock) -> None:
    with serve() as other:
        server.then(status(307, Location=f"{other.url}/embeddings"))
        with pytest.raises(EncoderError, match="status 307"):
            openai(server, clock).encode_text(["a"])
        assert other.requests == []


# Rates and budgets


def test_a_budget_of_requests(server, clock) -> None:
    encoder = openai(server, clock, max_requests=3)
    encoder.encode_text(["a"])
    with pytest.raises(EncoderError, match="1 requests were sent to OpenAI, and up to 3 more"):
        encoder.encode_text(["a", "b", "c"], batch_size=1)
    assert len(server.requests) == 1  # all of a call or nothing
    encoder.encode_text(["a", "b"], batch_size=1)
    assert (len(server.requests), encoder.client.requests) == (3, 3)
    with pytest.raises(EncoderError, match=r"max_requests=\.\.\."):
        encoder.encode_text(["a"])


def test_a_budget_of_tokens(server, clock) -> None:
    encoder = openai(server, clock, max_tokens=30)
    encoder.encode_text(["a" * 20])  # 24 by the estimate, 5 in fact
    assert encoder.client.tokens == 5
    with pytest.raises(EncoderError, match=r"5 tokens were sent .* up to 26 more would exceed"):
        encoder.encode_text(["a" * 22])
    encoder.encode_text(["a" * 21])
    assert (len(server.requests), encoder.client.tokens) == (2, 10)


def test_retries_stop_at_the_budget(server, clock) -> None:
    server.then(*[status(500)] * 10)
    with pytest.raises(EncoderError, match="would exceed the budget of 2"):
        openai(server, clock, max_requests=2).encode_text(["a"])
    assert len(server.requests) == 2


def test_what_a_cut_connection_may_have_cost_counts(server, clock) -> None:
    server.then(cut_connection, status(500))
    encoder = openai(server, clock)
    encoder.encode_text(["abcdef"])
    assert encoder.client.tokens == 10 + 0 + 5  # by the estimate; refused; by the provider's count
    assert encoder.client.requests == 3


def test_the_environment_sets_a_budget(server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMGAP_API_MAX_REQUESTS", "1")
    server.dim = 1536
    encoder = load_encoder(OPENAI_ID)
    encoder.encode_text(["one"])
    with pytest.raises(EncoderError, match=r"budget of 1, .* MMGAP_API_MAX_REQUESTS"):
        encoder.encode_text(["two"])
    monkeypatch.setenv("MMGAP_API_MAX_TOKENS", "many")
    with pytest.raises(EncoderError, match="MMGAP_API_MAX_TOKENS is 'many'; expected a whole numb"):
        load_encoder(OPENAI_ID)


def test_without_a_count_the_estimate_counts(server, clock) -> None:
    server.then(changed(lambda answer: {"data": answer["data"]}))
    encoder = openai(server, clock)
    encoder.encode_text(["abcdef"])
    assert encoder.client.tokens == 10


def test_the_cost_of_images_is_learned(server, clock) -> None:
    encoder = jina(server, clock, limits=ApiLimits(max_tokens=8_010))
    images = [Image.new("RGB", (2, 2))] * 2
    encoder.encode_images(images)  # at most 2 x 4,000 by the guess, 2 x 5 in fact
    encoder.encode_images(images * 10)
    assert encoder.client.tokens == 110


def corpus_of(n: int) -> Corpus:
    documents = [Document(f"d{i}", f"text {i}") for i in range(n)]
    return Corpus("demo", documents, [Query("q", "text")], Qrels([Judgment("q", "d0", 1)]))


def test_what_the_budget_allowed_stays_in_the_cache(server, clock, tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="What was encoded before is in the cache"):
        mg.embed(corpus_of(6), openai(server, clock, max_requests=3), cache=tmp_path, batch_size=2)
    assert len(server.requests) == 3  # the query, and two of three batches
    vectors = mg.embed(corpus_of(6), openai(server, clock), cache=tmp_path, batch_size=2)
    assert [request.payload["input"] for request in server.requests[3:]] == [["text 4", "text 5"]]
    assert vectors.text.embeddings.shape == (6, 1536)


# Answers that do not fit


def test_answers_in_another_order_are_put_right(server, clock) -> None:
    server.then(changed(lambda answer: answer["data"].reverse()))
    vectors = openai(server, clock).encode_text(["a", "b", "c"], normalize=False)
    np.testing.assert_array_equal(vectors, np.float32([vector_of(t, 1536) for t in "abc"]))


def spoil(path: str, value):
    """Return a change of an answer: ``data.1.index`` becomes ``value``."""

    def change(answer):
        *way, last = [int(step) if step.isdigit() else step for step in path.split(".")]
        for step in way:
            answer = answer[step]
        answer[last] = value

    return changed(change)


@pytest.mark.parametrize(
    ("behaviour", "message"),
    [
        (changed(lambda answer: answer["data"].__delitem__(1)), "answered 2 inputs with 1 results"),
        (spoil("data", []), "with 0 results"),
        (spoil("data", None), "with 0 results"),
        (spoil("data.1", "b"), r"indices \[0, None\]"),
        (spoil("data.1.index", 0), r"indices \[0, 0\]"),
        (spoil("data.1.index", 2), r"indices \[0, 2\]"),
        (spoil("data.1.index", [1]), "expected one result for each index"),
        (spoil("data.1.embedding", [0.5] * 1535), "input 1 with 1535 numbers; .* list of 1536"),
        (spoil("data.1.embedding", "AAAA"), "input 1 with 'AAAA'"),
        (spoil("data.1.embedding", None), "input 1 with None"),
        (spoil("data.1.embedding.3", None), "not finite|did not answer with numbers"),
        (spoil("data.1.embedding.3", "x"), "did not answer with numbers"),
        (spoil("data.1.embedding.3", [1.0]), "did not answer with numbers"),
        (spoil("data.1.embedding.3", float("nan")), "input 1 with a number that is not finite"),
        (spoil("data.1.embedding.3", float("inf")), "input 1 with a number that is not finite"),
        (changed(lambda answer: answer["data"]), "did not return a JSON object"),
        (body(b"<html>hello</html>"), "did not return a JSON object: '<html>hello</html>'"),
        (body(b'{"data": ['), "did not return a JSON object"),
        (body(b""), "did not return a JSON object"),
    ],
)
def test_answers_that_do_not_fit_are_refused(server, clock, behaviour, message: str) -> None:
    server.then(behaviour)
    with pytest.raises(EncoderError, match=message):
        openai(server, clock).encode_text(["a", "b"])
    assert (len(server.requests), clock.slept) == (1, [])


def test_jitter_keeps_clients_apart(server, clock, monkeypatch) -> None:
    for jitter in (0.0, 0.999):
        monkeypatch.setattr(api, "_jitter", lambda jitter=jitter: jitter)
        server.then(*[status(500)] * 3)
        ApiClient(OPENAI).post("embeddings", {"input": ["a"]}, tokens=1)
    assert clock.slept == pytest.approx([0.5, 1, 2, 1, 2, 4], rel=1e-3)


# The way in


def test_loaded_by_name_with_the_address_from_the_environment(server) -> None:
    encoder = load_encoder(OPENAI_ID, dim=512)
    assert encoder.encode_text(["a"]).shape == (1, 512)
    assert json.dumps(server.requests[0].payload)


@pytest.mark.parametrize(
    ("id", "dim"), [(OPENAI_ID, 1536), (JINA_ID, 1024), ("api:jina-reranker-m0", None)]
)
def test_the_check_of_a_model_runs_over_http(
    id: str,  # noqa: A002
    dim: int | None,
    server,
) -> None:
    """The server's vectors mean nothing, so that one check fails; the others pass."""
    server.dim = dim or server.dim
    results = check_model(id)
    assert {result.name for result in results if result.passed is False} <= {"paired > unpaired"}
    assert sum(result.passed is True for result in results) >= 5
    assert server.requests
