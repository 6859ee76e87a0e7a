"""The hosted reranker, against a real server on this machine that misbehaves."""

from __future__ import annotations

import base64
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sys.path.append(str(Path(__file__).parents[1] / "encoders"))  # the server is shared

from misbehaving_server import Server, changed, cut_connection, score_of, serve, status

from mmgap.encoders.api import ApiLimits
from mmgap.errors import EncoderError
from mmgap.rerankers import Content, Pair, Reranker, load_reranker
from mmgap.rerankers.api import ApiReranker

NAME = "api:jina-reranker-m0"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("JINA_API_KEY", "jina-test-17c0")
    monkeypatch.setattr("mmgap.encoders.api._sleep", lambda _: None)
    with serve() as running:
        monkeypatch.setenv("JINA_BASE_URL", running.url)
        yield running


def texts(query: str, *documents: str) -> list[Pair]:
    return [Pair(Content(query), Content(document)) for document in documents]


def reranker(**limits) -> ApiReranker:
    return ApiReranker(NAME, limits=ApiLimits(**limits))


def test_scores_come_in_the_order_of_the_pairs(server) -> None:
    model = load_reranker(NAME)
    assert isinstance(model, Reranker)
    scores = model.score(texts("cat", "a", "b", "c", "d", "e"))
    expected = [score_of("cat", {"text": text}) for text in "abcde"]
    assert expected != sorted(expected, reverse=True)  # the server answers best first
    np.testing.assert_array_equal(scores, np.float32(expected))
    assert server.requests[0].path == "/v1/rerank"
    assert server.requests[0].payload == {
        "model": "jina-reranker-m0",
        "query": "cat",
        "documents": [{"text": text} for text in "abcde"],
        "return_documents": False,
    }
    assert model.client.tokens == 35


def test_neighbours_with_one_query_share_a_request(server) -> None:
    pairs = [*texts("cat", "a", "b", "c"), *texts("dog", "a"), *texts("cat", "d")]
    scores = reranker().score(pairs, batch_size=2)
    sent = [(r.payload["query"], len(r.payload["documents"])) for r in server.requests]
    assert sent == [("cat", 2), ("cat", 1), ("dog", 1), ("cat", 1)]
    expected = [score_of(pair.query.text, {"text": pair.document.text}) for pair in pairs]
    np.testing.assert_array_equal(scores, np.float32(expected))
    np.testing.assert_array_equal(reranker().score(pairs, batch_size=1), scores)


def test_images_go_out_without_loss(server) -> None:
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8))
    reranker().score([Pair(Content("cat"), Content(image=image))])
    (document,) = server.requests[0].payload["documents"]
    sent = Image.open(BytesIO(base64.b64decode(document["image"])))
    np.testing.assert_array_equal(np.asarray(sent), np.asarray(image))


@pytest.mark.parametrize("query", ["https://example.com/cat.png", "data:image/png;base64,AAAA"])
def test_a_query_that_looks_like_an_image_stays_a_text(server, query: str) -> None:
    reranker().score(texts(query, query))
    assert server.requests[0].payload["query"] == {"text": query}
    assert server.requests[0].payload["documents"] == [{"text": query}]


def test_pairs_it_does_not_take(server) -> None:
    image = Image.new("RGB", (4, 4))
    fused = Pair(Content("cat"), Content("a cat", image))
    with pytest.raises(EncoderError, match="pair 0 is text-fused"):
        reranker().score([fused])
    assert reranker().score([]).shape == (0,)
    assert server.requests == []


def test_trouble_that_passes(server) -> None:
    server.then(status(429, Retry_After="1"), status(502), cut_connection)
    assert reranker().score(texts("cat", "a")).shape == (1,)
    assert len(server.requests) == 4


def test_a_refusal_is_not_tried_again(server) -> None:
    server.then(status(422, "bad image"))
    with pytest.raises(EncoderError, match=r"status 422: .*bad image"):
        reranker().score(texts("cat", "a"))
    assert len(server.requests) == 1


def test_the_budget_stands_before_the_first_request(server) -> None:
    with pytest.raises(EncoderError, match="up to 2 more would exceed the budget of 1"):
        reranker(max_requests=1).score([*texts("cat", "a"), *texts("dog", "a")])
    image = Image.new("RGB", (4, 4))
    with pytest.raises(EncoderError, match=r"up to 1,019 more would exceed the budget of 1,000"):
        reranker(max_tokens=1000).score([Pair(Content("cat"), Content(image=image))])
    assert server.requests == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a["results"].__delitem__(0), "answered 2 inputs with 1 results"),
        (lambda a: a["results"].append(a["results"][0]), "with 3 results"),
        (lambda a: a["results"][0].update(index=7), "expected one result for each index"),
        (lambda a: a["results"][0].pop("relevance_score"), "with None"),
        (lambda a: a["results"][0].update(relevance_score="high"), "with 'high'"),
        (lambda a: a["results"][0].update(relevance_score=float("nan")), "with nan"),
        (lambda a: a.pop("results"), "with 0 results"),
    ],
)
def test_answers_that_do_not_fit_are_refused(server, change, message: str) -> None:
    def spoil(answer):
        change(answer)

    server.then(changed(spoil))
    with pytest.raises(EncoderError, match=message):
        reranker().score(texts("cat", "a", "b"))
    assert len(server.requests) == 1


def test_a_missing_key_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JINA_API_KEY", raising=False)
    with pytest.raises(EncoderError, match="set the environment variable JINA_API_KEY"):
        ApiReranker(NAME)


def test_repr_and_facts(server) -> None:
    model = reranker()
    assert repr(model) == "ApiReranker('api:jina-reranker-m0')"
    assert model.info.modalities == ("text-text", "text-image")
    assert model.info.score == "relevance, in [0, 1]"
    assert server.url not in model.info.fingerprint
