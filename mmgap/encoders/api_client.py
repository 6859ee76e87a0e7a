"""Requests to somebody else's HTTP interface: patient, within limits, silent about keys."""

from __future__ import annotations

import json
import os
import random
import time
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mmgap.errors import EncoderError

if TYPE_CHECKING:
    import httpx2

_FIRST_WAIT, _LONGEST_WAIT = 1.0, 60.0
_MINUTE = 60.0
_LOCAL = {"localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True)
class Provider:
    """Who answers, where, and which environment variables hold the key and another address."""

    name: str
    base_url: str
    key_variable: str
    base_url_variable: str


JINA = Provider("Jina AI", "https://api.jina.ai/v1", "JINA_API_KEY", "JINA_BASE_URL")
OPENAI = Provider("OpenAI", "https://api.openai.com/v1", "OPENAI_API_KEY", "OPENAI_BASE_URL")


def provider_of(model: str) -> Provider:
    """Return who offers a model.

    Raises
    ------
    EncoderError
        If none of the known providers does.

    Examples
    --------
    >>> provider_of("jina-clip-v2").name, provider_of("text-embedding-3-small").name
    ('Jina AI', 'OpenAI')
    """
    for start, provider in (("jina-", JINA), ("text-embedding-", OPENAI)):
        if model.startswith(start):
            return provider
    msg = f"{model!r} is of no known provider; expected jina-... (Jina AI), text-embedding-... "
    msg += "(OpenAI)"
    raise EncoderError(msg)


@dataclass(frozen=True)
class ApiLimits:
    """What may be asked of an HTTP interface, and how patiently.

    Parameters
    ----------
    max_tokens, max_requests : int or None
        Budget of one loaded model. What would exceed it is not sent; an error says so. Before a
        request its tokens can only be estimated, from above; afterwards the provider's own count
        replaces the estimate.
    tokens_per_minute, requests_per_minute : float or None
        The next request waits until it fits. ``None`` leaves it to the provider, who then answers
        "too many requests" (429), and is asked again later.
    retries : int, default 5
        How often a request is sent again that met 429, a server error (5xx), a timeout or a cut
        connection. Each one counts as a request.
    timeout : float, default 60
        Seconds without an answer.
    longest_wait : float, default 300
        Seconds. If the provider asks to wait longer than that, an error says so instead.
    """

    max_tokens: int | None = None
    max_requests: int | None = None
    tokens_per_minute: float | None = None
    requests_per_minute: float | None = None
    retries: int = 5
    timeout: float = 60.0
    longest_wait: float = 300.0

    @classmethod
    def from_environment(cls) -> ApiLimits:
        """Return the limits that ``MMGAP_API_MAX_TOKENS`` and ``MMGAP_API_MAX_REQUESTS`` set.

        So the command line has a budget too.

        Raises
        ------
        EncoderError
            If one of them is no whole number.

        Examples
        --------
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
    """Sends JSON to one provider and returns JSON.

    The key is read from the environment for each request and is kept nowhere.

    Parameters
    ----------
    provider : Provider
    base_url : str or None
        Another address, such as a proxy or a server of one's own; also from the provider's
        environment variable. It must be https, or this machine.
    limits : ApiLimits or None
        ``None`` takes those of the environment.
    clock, sleep : callable
        Seconds that only grow, and a function that waits so many.
    jitter : callable
        Random numbers in [0, 1): clients that failed together do not come back together.

    Attributes
    ----------
    requests, tokens : int
        Sent, and used up, so far.

    Raises
    ------
    EncoderError
        If the key or the address is missing or unusable.

    Examples
    --------
    >>> client = ApiClient(JINA)  # doctest: +SKIP
    >>> client.post("embeddings", {"model": "jina-clip-v2", "input": [{"text": "a cat"}]}, tokens=7)
    ... # doctest: +SKIP
    """

    def __init__(
        self,
        provider: Provider,
        *,
        base_url: str | None = None,
        limits: ApiLimits | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        import httpx2

        self.provider = provider
        self.base_url = _checked_url(
            base_url or os.environ.get(provider.base_url_variable) or provider.base_url
        )
        self.limits = limits or ApiLimits.from_environment()
        self.requests = self.tokens = 0
        self._clock, self._sleep, self._jitter = clock, sleep, jitter
        self._recent: deque[tuple[float, int]] = deque()  # when, and how many tokens
        self._http = httpx2.Client(timeout=self.limits.timeout, follow_redirects=False)
        weakref.finalize(self, self._http.close)
        self._key()

    def __repr__(self) -> str:
        return f"ApiClient({self.base_url!r}, requests={self.requests}, tokens={self.tokens})"

    def post(self, path: str, payload: Mapping[str, Any], *, tokens: int) -> dict[str, Any]:
        """Send ``payload`` and return the answer.

        Parameters
        ----------
        path : str
            After the base address, such as ``"embeddings"``.
        payload : mapping
        tokens : int
            What the request costs at most, as far as can be known before.

        Raises
        ------
        EncoderError
            If it would exceed the budget (it is then not sent), the provider refuses it, it fails
            more often than the limits allow, or the answer is no JSON object.
        """
        import httpx2

        url = f"{self.base_url}/{path}"
        body = json.dumps(payload, allow_nan=False).encode()
        for attempt in range(self.limits.retries + 1):
            self.check_budget(tokens)
            self._wait_for_the_rate(tokens)
            headers = {
                "Authorization": f"Bearer {self._key()}",
                "Content-Type": "application/json",
                "Accept": "application/json",
            }
            asked = None
            try:
                response = self._http.post(url, content=body, headers=headers)
            except (httpx2.TransportError, httpx2.DecodingError) as error:
                # What was sent may have been worked on, and be billed.
                self._count(tokens)
                failure = self._clean(f"{type(error).__name__}: {error}")
            else:
                if response.is_success:
                    return self._read(response, tokens)
                self._count(0)
                failure = self._clean(f"status {response.status_code}: {response.text}")
                if response.status_code != 429 and response.status_code < 500:
                    raise EncoderError(self._refusal(response.status_code, failure))
                asked = _retry_after(response)
            if attempt < self.limits.retries:
                self._sleep(self._patience(attempt, asked, failure))
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

    def _clean(self, text: str) -> str:
        """Cut what somebody else wrote, and black out the key."""
        text = " ".join(text.replace(self._key(), "[key]").split())
        return text if len(text) <= 300 else f"{text[:300]}..."

    def _refusal(self, status: int, failure: str) -> str:
        remedy = {
            401: f"Check the key in {self.provider.key_variable}",
            402: "Check the account's balance",
            403: "Check the key's rights and the account's balance",
            404: "Check the address and the name of the model",
            413: "Send smaller inputs, or take a smaller batch_size",
        }.get(status, "Check the inputs and options against the provider's documentation")
        return f"{self.provider.name} ({self.base_url}) refused: {failure}. {remedy}"

    def _read(self, response: httpx2.Response, tokens: int) -> dict[str, Any]:
        try:
            answer = response.json()
        except ValueError:
            answer = None
        usage = answer.get("usage") if isinstance(answer, dict) else None
        counted = usage.get("total_tokens") if isinstance(usage, dict) else None
        self._count(counted if isinstance(counted, int) and counted >= 0 else tokens)
        if not isinstance(answer, dict):
            msg = (
                f"{self.provider.name} ({self.base_url}) gave no JSON object: "
                f"{self._clean(response.text)!r}. Is that address right?"
            )
            raise EncoderError(msg)
        return answer

    def _count(self, tokens: int) -> None:
        self.requests += 1
        self.tokens += tokens
        self._recent.append((self._clock(), tokens))

    def _wait_for_the_rate(self, tokens: int) -> None:
        """Sleep until the last minute has room for one more request of so many tokens."""
        limits = self.limits
        while self._recent:
            now = self._clock()
            while self._recent and self._recent[0][0] <= now - _MINUTE:
                self._recent.popleft()
            sent = sum(count for _, count in self._recent)
            fits = (
                limits.requests_per_minute is None
                or len(self._recent) + 1 <= limits.requests_per_minute
            ) and (limits.tokens_per_minute is None or sent + tokens <= limits.tokens_per_minute)
            if fits or not self._recent:  # alone in its minute, even a request too large goes
                return
            self._sleep(self._recent[0][0] + _MINUTE - now)

    def _patience(self, attempt: int, asked: float | None, failure: str) -> float:
        """Seconds to wait: what the provider asked for, else twice as long each time."""
        if asked is None:
            return min(_LONGEST_WAIT, _FIRST_WAIT * 2**attempt) * (0.5 + 0.5 * self._jitter())
        if asked > self.limits.longest_wait:
            msg = (
                f"{self.provider.name} asks to wait {asked:.0f} seconds, longer than "
                f"ApiLimits(longest_wait={self.limits.longest_wait:.0f}): {failure}. What was "
                "encoded before is in the cache; run again later"
            )
            raise EncoderError(msg)
        return asked


def in_order(items: object, field: str, n: int, model: str) -> list[Any]:
    """Return one ``field`` of each item, ordered by the items' ``index``.

    Providers may answer in another order than asked: rerankers do so always.

    Parameters
    ----------
    items : object
        What the answer holds; expected a list of objects.
    field : str
    n : int
        How many inputs were sent.
    model : str
        For the message.

    Raises
    ------
    EncoderError
        Unless there is exactly one item for each index from 0 to n - 1.

    Examples
    --------
    >>> in_order([{"index": 1, "score": 0.2}, {"index": 0, "score": 0.7}], "score", 2, "demo")
    [0.7, 0.2]
    """
    results = items if isinstance(items, list) else []
    indices = [item.get("index") if isinstance(item, dict) else None for item in results]
    places = {index: place for place, index in enumerate(indices) if isinstance(index, int)}
    if len(indices) != n or sorted(places) != list(range(n)):
        msg = (
            f"{model!r} answered {n} inputs with {len(indices)} results of indices {indices[:10]}; "
            f"expected one result for each index from 0 to {n - 1}"
        )
        raise EncoderError(msg)
    return [results[places[index]].get(field) for index in range(n)]


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


def _retry_after(response: httpx2.Response) -> float | None:
    """Seconds that the header Retry-After asks for: a number, or a date."""
    value = response.headers.get("Retry-After", "").strip()
    if not value:
        return None
    if value.replace(".", "", 1).isdecimal():
        return float(value)
    until, now = _date(value), _date(response.headers.get("Date", ""))
    if until is None:
        return None
    # By the provider's own clock, if it tells.
    return max(0.0, (until - (now or datetime.now(UTC))).total_seconds())


def _date(value: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)
