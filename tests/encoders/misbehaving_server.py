"""A real HTTP server on this machine that plays a provider of models, well or badly.

It answers as Jina AI and OpenAI do. A test queues what is to go wrong; once the queue is empty,
all goes well.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np


@dataclass
class Request:
    path: str
    key: str | None
    payload: dict[str, Any]


Behaviour = Callable[["Handler", dict[str, Any]], None]


def vector_of(item: Any, dim: int) -> list[float]:
    """The vector that the server gives to an input: always the same, never of unit norm."""
    seed = int(hashlib.sha256(json.dumps(item).encode()).hexdigest()[:8], 16)
    return (3 * np.random.default_rng(seed).standard_normal(dim).astype(np.float32)).tolist()


def score_of(query: Any, document: Any) -> float:
    return abs(vector_of([query, document], 1)[0]) % 1


def status(code: int, message: str = "no", **headers: str) -> Behaviour:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda handler, _: handler.reply({"error": {"message": message}}, code, names)


def body(data: bytes) -> Behaviour:
    """Status 200 with these bytes."""
    return lambda handler, _: handler.send(data, 200, {})


def changed(change: Callable[[dict[str, Any]], Any]) -> Behaviour:
    """The right answer, after ``change`` has spoilt it."""

    def behave(handler: Handler, payload: dict[str, Any]) -> None:
        answer = handler.answer(payload)
        spoilt = change(answer)
        handler.reply(answer if spoilt is None else spoilt)

    return behave


def cut_connection(handler: Handler, payload: dict[str, Any]) -> None:
    """Promise the whole answer and send half of it."""
    data = json.dumps(handler.answer(payload)).encode()
    handler.send(data[: len(data) // 2], 200, {"Content-Length": str(len(data))})
    handler.close_connection = True


def no_answer(handler: Handler, _: dict[str, Any]) -> None:
    handler.close_connection = True


def slow(handler: Handler, payload: dict[str, Any]) -> None:
    """Answer when the test is over."""
    handler.server.over.wait(10)
    handler.reply(handler.answer(payload))


@dataclass
class Server:
    url: str
    dim: int = 1536
    requests: list[Request] = field(default_factory=list)
    queue: deque[Behaviour] = field(default_factory=deque)
    over: threading.Event = field(default_factory=threading.Event)

    def then(self, *behaviours: Behaviour) -> None:
        self.queue.extend(behaviours)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def state(self) -> Server:
        return self.server.state

    def do_POST(self) -> None:
        payload = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.state.requests.append(Request(self.path, self.headers["Authorization"], payload))
        behave = self.state.queue.popleft() if self.state.queue else changed(lambda _: None)
        behave(self, payload)

    def answer(self, payload: dict[str, Any]) -> dict[str, Any]:
        if self.path.endswith("/rerank"):
            scores = [score_of(payload["query"], document) for document in payload["documents"]]
            results = [
                {"index": index, "relevance_score": scores[index]}
                for index in sorted(range(len(scores)), key=lambda index: -scores[index])
            ]
            return {"results": results, "usage": {"total_tokens": 7 * len(scores)}}
        dim = payload.get("dimensions", self.state.dim)
        data = [
            {"object": "embedding", "index": index, "embedding": vector_of(item, dim)}
            for index, item in enumerate(payload["input"])
        ]
        return {"data": data, "usage": {"total_tokens": 5 * len(data)}}

    def reply(self, answer: Any, code: int = 200, headers: dict[str, str] | None = None) -> None:
        self.send(json.dumps(answer).encode(), code, headers or {})

    def send(self, data: bytes, code: int, headers: dict[str, str]) -> None:
        self.send_response_only(code)  # without a date of its own
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        pass


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True
    state: Server

    @property
    def over(self) -> threading.Event:
        return self.state.over

    def handle_error(self, *_: Any) -> None:
        pass  # a client that no longer waits is what these tests are about


@contextmanager
def serve() -> Iterator[Server]:
    with _Quiet(("127.0.0.1", 0), Handler) as running:
        running.state = Server(f"http://127.0.0.1:{running.server_address[1]}/v1")
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield running.state
        finally:
            running.state.over.set()
            running.shutdown()
            thread.join()
