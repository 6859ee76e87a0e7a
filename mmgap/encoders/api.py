"""Encoders behind an HTTP interface, and the client of hosted encoders and rerankers.

Takes the Jina embeddings API (texts and images) and OpenAI's embeddings (texts). What you encode is
sent to the provider, under their terms, and costs money. The key comes from the environment for
each request, is never stored, and is blacked out in every response.

Sources: https://docs.jina.ai (POST /v1/embeddings, /v1/rerank) and
https://platform.openai.com/docs/api-reference/embeddings/create
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import random
import re
import time
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np

from mmgap.encoders.base import BaseEncoder, EncoderInfo, Role, check_images, check_texts, rgb
from mmgap.encoders.catalog import find_model
from mmgap.encoders.vectors import check_dim
from mmgap.errors import EncoderError

if TYPE_CHECKING:
    from PIL import Image

_FIRST_WAIT, _LONGEST_WAIT = 1.0, 60.0
_MOST_BYTES = 2**27  # of an answer, unpacked: four times the largest that was asked for
_SLOWEST = 10  # times the timeout, for an answer as a whole
_clock, _sleep, _jitter = time.monotonic, time.sleep, random.random
_LOCAL = {"localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True)
class Provider:
    """Name and address of a provider, and the environment variables of key and address."""

    name: str
    base_url: str
    key_variable: str
    base_url_variable: str


JINA = Provider("Jina AI", "https://api.jina.ai/v1", "JINA_API_KEY", "JINA_BASE_URL")
OPENAI = Provider("OpenAI", "https://api.openai.com/v1", "OPENAI_API_KEY", "OPENAI_BASE_URL")


def provider_of(model: str) -> Provider:
    """Return who offers a model."""
    for start, provider in (("jina-", JINA), ("text-embedding-", OPENAI)):
        if model.startswith(start):
            return provider
    msg = f"{model!r} has no known provider; expected jina-... (Jina AI), text-embedding-... "
    msg += "(OpenAI)"
    raise EncoderError(msg)


@dataclass(frozen=True)
class ApiLimits:
    """What may be asked of an HTTP interface, and how patiently.

    ``max_tokens`` and ``max_requests`` are the budget of one loaded model, by default that of
    ``MMGAP_API_MAX_TOKENS`` and ``MMGAP_API_MAX_REQUESTS``. What would exceed it is not sent.
    Before a request its tokens are estimated from above; the provider's count then replaces the
    estimate. A request that met 429, a server error (5xx), a timeout or a cut connection is sent
    again up to ``retries`` times, each counted as a request. ``timeout`` is in seconds without an
    answer; if the provider asks to wait longer than ``longest_wait``, an error says so instead.
    """

    max_tokens: int | None = None
    max_requests: int | None = None
    retries: int = 5
    timeout: float = 60.0
    longest_wait: float = 300.0

    @classmethod
    def from_environment(cls) -> ApiLimits:
        """Return the limits that the environment sets, so that the command line has a budget too.

        >>> getfixture("monkeypatch").setenv("MMGAP_API_MAX_TOKENS", "1_000_000")
        >>> ApiLimits.from_environment().max_tokens
        1000000
        """
        limits = {}
        for limit in ("max_tokens", "max_requests"):
            variable = f"MMGAP_API_{limit.upper()}"
            if value := os.environ.get(variable):
                try:
                    limits[limit] = int(value)
                except ValueError as error:
                    msg = f"{variable} is {value!r}; expected a whole number"
                    raise EncoderError(msg) from error
        return cls(**limits)


class ApiClient:
    """Sends JSON to one provider and returns JSON; ``requests`` and ``tokens`` count what was sent.

    Another address, such as a server of one's own, comes from the provider's environment variable.
    It must be https, or this machine.
    """

    def __init__(self, provider: Provider, limits: ApiLimits | None = None) -> None:
        import httpx2

        self.provider = provider
        self.base_url = _checked_url(
            os.environ.get(provider.base_url_variable) or provider.base_url
        )
        self.limits = limits or ApiLimits.from_environment()
        self.requests = self.tokens = 0
        self._http = httpx2.Client(timeout=self.limits.timeout, follow_redirects=False)
        weakref.finalize(self, self._http.close)
        self._key()

    def __repr__(self) -> str:
        return f"ApiClient({self.base_url!r}, requests={self.requests}, tokens={self.tokens})"

    def post(self, path: str, payload: Mapping[str, Any], *, tokens: int) -> dict[str, Any]:
        """Send ``payload``, which costs ``tokens`` at most, and return the answer.

        An ``EncoderError`` says that it would exceed the budget (it is then not sent), the provider
        refuses it, it fails more often than the limits allow, or the response is not a JSON object.
        """
        import httpx2

        url = f"{self.base_url}/{path}"
        body = json.dumps(payload, allow_nan=False).encode()
        for attempt in range(self.limits.retries + 1):
            self.check_budget(tokens)
            asked = None
            try:
                status, headers, content = self._send(url, body)
            except (httpx2.TransportError, httpx2.DecodingError, TimeoutError) as error:
                # What was sent may have been worked on, and be billed.
                self._count(tokens)
                failure = self.clean(f"{type(error).__name__}: {error}")
            else:
                if 200 <= status < 300:
                    return self._read(content, tokens)
                self._count(0)
                failure = self.clean(f"status {status}: {content.decode(errors='replace')}")
                if status != 429 and status < 500:
                    raise EncoderError(self._refusal(status, failure))
                asked = _retry_after(headers)
            if attempt < self.limits.retries:
                _sleep(self._patience(attempt, asked, failure))
        msg = (
            f"{self.provider.name} ({url}) failed {self.limits.retries + 1} times, at last with "
            f"{failure}. What was encoded before is in the cache: check the network and run again"
        )
        raise EncoderError(msg)

    def check_budget(self, tokens: int, requests: int = 1) -> None:
        """Raise EncoderError if this much more would exceed the budget."""
        for what, used, more, most in (
            ("tokens", self.tokens, tokens, self.limits.max_tokens),
            ("requests", self.requests, requests, self.limits.max_requests),
        ):
            if most is not None and used + more > most:
                msg = (
                    f"{used:,} {what} were sent to {self.provider.name}, and up to {more:,} more "
                    f"would exceed the budget of {most:,}, so they were not sent. What was encoded "
                    f"before is in the cache; raise ApiLimits(max_{what}=...), or "
                    f"MMGAP_API_MAX_{what.upper()} on the command line, to go on"
                )
                raise EncoderError(msg)

    def clean(self, text: str) -> str:
        """Cut what somebody else wrote, and black out the key."""
        text = " ".join(text.replace(self._key(), "[key]").split())
        return text if len(text) <= 300 else f"{text[:300]}..."

    def in_order(self, items: object, field: str, n: int, model: str) -> list[Any]:
        """Return one ``field`` of each of an answer's items, ordered by their ``index``.

        Providers may answer in another order than asked: rerankers do so always.
        """
        results = items if isinstance(items, list) else []
        indices = [item.get("index") if isinstance(item, dict) else None for item in results]
        at = {index: number for number, index in enumerate(indices) if type(index) is int}
        if len(indices) != n or sorted(at) != list(range(n)):
            msg = (
                f"{model!r} answered {n} inputs with {len(indices)} results of indices "
                f"{self.clean(repr(indices[:10]))}; expected one result for each index from 0 to "
                f"{n - 1}"
            )
            raise EncoderError(msg)
        return [results[at[index]].get(field) for index in range(n)]

    def _send(self, url: str, body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        """Return status, headers and body; neither endless nor endlessly slow."""
        headers = {
            "Authorization": f"Bearer {self._key()}",
            "Content-Type": "application/json",
            "Accept": "application/json",
        }
        began, content = _clock(), bytearray()
        with self._http.stream("POST", url, content=body, headers=headers) as response:
            for chunk in response.iter_bytes():
                content += chunk
                if len(content) > _MOST_BYTES:
                    self._count(0)
                    msg = (
                        f"{self.provider.name} ({self.base_url}) answered with more than "
                        f"{_MOST_BYTES:,} bytes. Take a smaller batch_size; is that address right?"
                    )
                    raise EncoderError(msg)
                if _clock() - began > _SLOWEST * self.limits.timeout:
                    msg = f"the answer takes longer than {_SLOWEST} times the timeout"
                    raise TimeoutError(msg)
            return response.status_code, response.headers, bytes(content)

    def _key(self) -> str:
        variable = self.provider.key_variable
        key = os.environ.get(variable, "").strip()
        if not key:
            msg = (
                f"{self.provider.name} needs a key: set the environment variable {variable} "
                f"(export {variable}=...)"
            )
            raise EncoderError(msg)
        if not (key.isascii() and key.isprintable() and " " not in key):
            msg = (
                f"the key in {variable} holds a space, a line break or a letter beyond ASCII, "
                "which no key does; set it again"
            )
            raise EncoderError(msg)
        return key

    def _refusal(self, status: int, failure: str) -> str:
        remedy = {
            401: f"Check the key in {self.provider.key_variable}",
            402: "Check the account's balance",
            403: "Check the key's rights and the account's balance",
            404: "Check the address and the name of the model",
            413: "Send smaller inputs, or take a smaller batch_size",
        }.get(status, "Check the inputs and options against the provider's documentation")
        return f"{self.provider.name} ({self.base_url}) refused: {failure}. {remedy}"

    def _read(self, content: bytes, tokens: int) -> dict[str, Any]:
        try:
            answer = json.loads(content)
        except (ValueError, RecursionError):
            answer = None
        usage = answer.get("usage") if isinstance(answer, dict) else None
        counted = usage.get("total_tokens") if isinstance(usage, dict) else None
        self._count(counted if type(counted) is int and 0 <= counted < 10**12 else tokens)
        if not isinstance(answer, dict):
            text = self.clean(content[:10_000].decode(errors="replace"))
            msg = (
                f"{self.provider.name} ({self.base_url}) did not return a JSON object: {text!r}. "
                "Is that address right?"
            )
            raise EncoderError(msg)
        return answer

    def _count(self, tokens: int) -> None:
        self.requests += 1
        self.tokens += tokens

    def _patience(self, attempt: int, asked: float | None, failure: str) -> float:
        """Seconds to wait: what the provider asked for, else twice as long each time.

        At random up to half as long: clients that failed together do not come back together.
        """
        if asked is None:
            return min(_LONGEST_WAIT, _FIRST_WAIT * 2**attempt) * (0.5 + 0.5 * _jitter())
        if asked > self.limits.longest_wait:
            msg = (
                f"{self.provider.name} asks to wait {asked:.0f} seconds, longer than "
                f"ApiLimits(longest_wait={self.limits.longest_wait:.0f}): {failure}. What was "
                "encoded before is in the cache; run again later"
            )
            raise EncoderError(msg)
        return asked


def _checked_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.username or parts.password:
        msg = "the base address holds a user name or password; keys belong in the environment"
        raise EncoderError(msg)
    secure = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOCAL)
    if not (secure and parts.hostname):
        msg = (
            f"the base address is {url!r}; expected https://..., or http:// on this machine, since "
            "the key goes along"
        )
        raise EncoderError(msg)
    return url.rstrip("/")


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the header Retry-After asks for; dates, which no provider here sends, do not."""
    value = headers.get("Retry-After", "").strip()
    return float(value) if re.fullmatch(r"[0-9]+(\.[0-9]+)?", value) else None


# --- encoders -------------------------------------------------------------------------------------

_RECIPE = "1"
"""Raise it when this file changes what an encoder returns: cached vectors are then made again."""

_TEXTS, _TOKENS, _IMAGES = 512, 100_000, 32
"""Most that one request holds; both providers take more."""

_IMAGE_TOKENS = 4_000
"""Tokens of an image before the provider counted one (jina-clip-v2's tile; from memory)."""

_TASKS = {"jina-embeddings-v4": ("retrieval.query", "retrieval.passage")}
"""What chooses an adapter of Jina's newer models: for queries, and for documents."""


class ApiEncoder(BaseEncoder):
    """A hosted model: texts and images go out over the network, vectors come back.

    ``name`` is an id of the catalogue, such as ``"api:jina-clip-v2"`` or
    ``"api:text-embedding-3-small"``; the key is in ``JINA_API_KEY`` or ``OPENAI_API_KEY``. ``dim``
    is a Matryoshka length, cut by the provider. ``client`` says how many requests and tokens were
    used.

    The fingerprint holds the model's name and options and the address; a provider who changes the
    model behind the name cannot be noticed. One call asks in one request if it can. If it needs
    several and a later one fails, the answers to the earlier ones are lost; :func:`mmgap.embed`
    therefore calls for ``batch_size`` inputs at a time, and keeps each of these calls.
    """

    _instead = "use it for the text leg, or load 'api:jina-clip-v2'"

    def __init__(
        self,
        name: str,
        *,
        dim: int | None = None,
        limits: ApiLimits | None = None,
    ) -> None:
        facts = find_model(name)
        self._model = name.removeprefix("api:")
        provider = provider_of(self._model)
        tasks = _TASKS.get(self._model, (None, None))
        self._tasks = dict(zip(("query", "document"), tasks, strict=True))
        if facts.dim is None:
            msg = f"the catalogue does not say how long the vectors of {name!r} are"
            raise EncoderError(msg)
        length, _ = check_dim(dim, facts.dim, facts.matryoshka_dims, name)
        self._options: dict[str, Any] = {} if length == facts.dim else {"dimensions": length}
        if provider is JINA:  # cut what is too long, and leave the length of vectors as it is
            self._options |= {"embedding_type": "float", "truncate": True, "normalized": False}
        else:
            self._options |= {"encoding_format": "float"}
        self.client = ApiClient(provider, limits)
        self._image_tokens = _IMAGE_TOKENS
        recipe = [_RECIPE, self.client.base_url, self._model, self._options, self._tasks]
        self.info = EncoderInfo(
            id=name,
            fingerprint=hashlib.sha256(repr(recipe).encode()).hexdigest(),
            backend="api",
            dim=length,
            licence=facts.licence,
            max_text_tokens=facts.max_text_tokens,
            image_size=facts.image_size,
            modalities=facts.modalities,
            matryoshka_dims=facts.matryoshka_dims,
        )

    def encode_text(
        self,
        texts: Sequence[str],
        *,
        role: Role = "document",
        batch_size: int = 64,
        normalize: bool = True,
    ) -> np.ndarray:
        """Return the vectors of texts; all or, if the budget does not allow it, nothing is sent."""
        texts = check_texts(texts)
        objects = self.client.provider is JINA  # a bare string might be fetched as an address
        inputs = [{"text": text} if objects else text for text in texts]
        # No tokenizer makes more tokens than bytes, but for the few it puts around a text.
        costs = [len(text.encode()) + 4 for text in texts]
        rows = self._encode(inputs, costs, min(batch_size, _TEXTS), self._tasks[role])
        return self._finish(rows, normalize=normalize)

    def encode_images(
        self, images: Sequence[Image.Image], *, batch_size: int = 64, normalize: bool = True
    ) -> np.ndarray:
        """Return the vectors of images, sent as PNG, but first shrunk to what the model sees."""
        self._require("image", "no images", self._instead)
        check_images(images)
        inputs = [{"image": as_base64(image, self.info.image_size)} for image in images]
        costs = [self._image_tokens] * len(inputs)
        before = self.client.tokens
        rows = self._encode(inputs, costs, min(batch_size, _IMAGES), self._tasks["document"])
        if inputs:
            self._image_tokens = max(-(-(self.client.tokens - before) // len(inputs)), 1)
        return self._finish(rows, normalize=normalize)

    def _encode(
        self, inputs: Sequence[Any], costs: Sequence[int], batch_size: int, task: str | None
    ) -> np.ndarray:
        requests = _requests(costs, batch_size)
        self.client.check_budget(sum(costs), len(requests))  # all of it or nothing
        rows = [np.empty((0, self.info.dim), dtype=np.float32)]
        for part in requests:
            payload = {"model": self._model, "input": list(inputs[part]), **self._options}
            if task is not None:
                payload["task"] = task
            answer = self.client.post("embeddings", payload, tokens=sum(costs[part]))
            rows.append(self._vectors(answer, part.stop - part.start))
        return np.concatenate(rows)

    def _vectors(self, answer: dict[str, Any], n_input: int) -> np.ndarray:
        """Read one vector for each input out of an answer, by its index."""
        given = self.client.in_order(answer.get("data"), "embedding", n_input, self.info.id)
        for index, vector in enumerate(given):
            if not (isinstance(vector, list) and len(vector) == self.info.dim):
                what = f"{len(vector)} numbers" if isinstance(vector, list) else repr(vector)
                msg = (
                    f"{self.info.id!r} answered input {index} with {self.client.clean(what)[:40]}; "
                    f"expected a list of {self.info.dim} numbers"
                )
                raise EncoderError(msg)
        try:
            vectors = np.array(given, dtype=np.float32)
        except (OverflowError, TypeError, ValueError) as error:
            what = self.client.clean(str(error))
            msg = f"{self.info.id!r} did not answer with numbers: {what}"
            raise EncoderError(msg) from None
        if not np.isfinite(vectors).all():
            at = int((~np.isfinite(vectors).all(axis=1)).argmax())
            msg = f"{self.info.id!r} answered input {at} with a number that is not finite"
            raise EncoderError(msg)
        return vectors


def as_base64(image: Image.Image, shortest_edge: int | None = None) -> str:
    """Return an image as a base64 PNG, its shortest edge at most so many pixels (bicubic)."""
    from PIL import Image as Pillow

    image = rgb(image, "the image", shortest_edge)
    if shortest_edge is not None and min(image.size) > shortest_edge:
        scale = shortest_edge / min(image.size)
        size = (round(image.width * scale), round(image.height * scale))
        image = image.resize(size, Pillow.Resampling.BICUBIC)
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def _requests(costs: Sequence[int], batch_size: int) -> list[slice]:
    """Divide inputs into requests of at most ``batch_size`` inputs and about ``_TOKENS`` tokens."""
    parts, start, tokens = [], 0, 0
    for at, cost in enumerate(costs):
        if at > start and (at - start == batch_size or tokens + cost > _TOKENS):
            parts.append(slice(start, at))
            start, tokens = at, 0
        tokens += cost
    return [*parts, slice(start, len(costs))] if costs else []
