"""Encoders behind an HTTP interface: Jina AI and OpenAI."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Callable, Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from mmgap.encoders.api_client import JINA, ApiClient, ApiLimits, in_order, provider_of
from mmgap.encoders.base import EncoderInfo, Role
from mmgap.encoders.catalog import ModelFacts, find_model
from mmgap.encoders.st_inputs import rgb
from mmgap.encoders.st_text import check_texts
from mmgap.encoders.truncation import check_dim, truncate
from mmgap.errors import EncoderError

if TYPE_CHECKING:
    from PIL import Image

_RECIPE = "1"
"""Raise it when this file changes what an encoder returns: cached vectors are then made again."""

_TEXTS, _TOKENS, _IMAGES = 512, 100_000, 32
"""Most that one request holds; both providers take more."""

_IMAGE_TOKENS = 4_000
"""Tokens of an image before the provider counted one (jina-clip-v2's tile; from memory)."""

_TASKS = {"jina-embeddings-v4": ("retrieval.query", "retrieval.passage")}
"""What Jina's newer models want to be told about queries and about documents."""


class ApiEncoder:
    """A hosted model: texts and images go out over the network, vectors come back.

    Takes the Jina embeddings API (texts and images) and OpenAI's embeddings (texts). What you
    encode is sent to the provider, under their terms, and costs money.

    Parameters
    ----------
    name : str
        Id in the catalogue, such as ``"api:jina-clip-v2"`` or ``"api:text-embedding-3-small"``.
        The key comes from the environment: ``JINA_API_KEY`` or ``OPENAI_API_KEY``.
    dim : int or None
        Matryoshka length, cut by the provider; ``None`` is the full one.
    facts : ModelFacts or None
        The catalogue's row, looked up if not given.
    base_url : str or None
        Another address than the provider's; also ``JINA_BASE_URL``, ``OPENAI_BASE_URL``.
    query_task, document_task : str or None
        Jina's ``task``, which chooses an adapter or instruction: ``"retrieval.query"`` ...
        ``None`` is what the model's makers advise for retrieval, if anything. Images count as
        documents.
    limits : ApiLimits or None
        Budget, rate and retries; ``None`` takes the budget of ``MMGAP_API_MAX_TOKENS`` and
        ``MMGAP_API_MAX_REQUESTS``, if they are set.
    clock, sleep : callable
        As in :class:`~mmgap.encoders.api_client.ApiClient`.

    Attributes
    ----------
    info : EncoderInfo
    client : ApiClient
        Says how many requests and tokens were used.

    Raises
    ------
    EncoderError
        If the model is unknown, its key is missing, or it cannot be cut to ``dim``.

    Notes
    -----
    The fingerprint, which names the cache, holds the model's name and options and the address; a
    provider who changes the model behind the name cannot be noticed.

    One call asks in one request if it can. If it needs several and a later one fails, the answers
    to the earlier ones are lost; :func:`mmgap.embed` therefore calls for ``batch_size`` inputs at a
    time, and keeps each of these calls.

    References
    ----------
    .. [1] https://docs.jina.ai (POST /v1/embeddings)
    .. [2] https://platform.openai.com/docs/api-reference/embeddings/create

    Examples
    --------
    >>> encoder = ApiEncoder("api:text-embedding-3-small", dim=512)  # doctest: +SKIP
    >>> encoder.encode_text(["a red cat"]).shape  # doctest: +SKIP
    (1, 512)
    """

    info: EncoderInfo

    def __init__(
        self,
        name: str,
        *,
        dim: int | None = None,
        facts: ModelFacts | None = None,
        base_url: str | None = None,
        query_task: str | None = None,
        document_task: str | None = None,
        limits: ApiLimits | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        facts = facts or find_model(name)
        self._model = name.removeprefix("api:")
        provider = provider_of(self._model)
        if provider is not JINA and (query_task or document_task):
            msg = f"{name!r} takes no query_task or document_task; only Jina's models do"
            raise EncoderError(msg)
        advised = _TASKS.get(self._model, (None, None))
        self._tasks = {
            "query": query_task or advised[0],
            "document": document_task or advised[1],
        }
        if facts.dim is None:
            msg = f"the catalogue does not say how long the vectors of {name!r} are"
            raise EncoderError(msg)
        length = check_dim(dim, facts.dim, facts.matryoshka_dims, name)
        self._options: dict[str, Any] = {} if length == facts.dim else {"dimensions": length}
        if provider is JINA:  # cut what is too long, and leave the length of vectors as it is
            self._options |= {"embedding_type": "float", "truncate": True, "normalized": False}
        else:
            self._options |= {"encoding_format": "float"}
        self.client = ApiClient(
            provider, base_url=base_url, limits=limits, clock=clock, sleep=sleep
        )
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

    def __repr__(self) -> str:
        return f"ApiEncoder({self.info.id!r}, dim={self.info.dim})"

    def encode_text(
        self,
        texts: Sequence[str],
        *,
        role: Role = "document",
        batch_size: int = 64,
        normalize: bool = True,
    ) -> np.ndarray:
        """Return float32 vectors of shape (n_text, dim), in the order given.

        Raises
        ------
        EncoderError
            If the budget does not allow it (nothing is sent then), the provider refuses or cannot
            be reached, or its answer does not fit the request.
        """
        texts = check_texts(texts)
        objects = self.client.provider is JINA  # a bare string might be fetched as an address
        inputs = [{"text": text} if objects else text for text in texts]
        # No tokenizer makes more tokens than bytes, but for the few it puts around a text.
        costs = [len(text.encode()) + 4 for text in texts]
        requests = _requests(costs, min(batch_size, _TEXTS))
        return self._encode(inputs, costs, requests, self._tasks[role], normalize=normalize)

    def encode_images(
        self,
        images: Sequence[Image.Image],
        *,
        batch_size: int = 64,
        normalize: bool = True,
    ) -> np.ndarray:
        """Return float32 vectors of shape (n_image, dim), in the order given.

        Images go out as PNG, without loss, but first shrunk to what the model sees.

        Raises
        ------
        EncoderError
            As :meth:`encode_text`, or if the model reads text only.
        """
        if "image" not in self.info.modalities:
            msg = (
                f"{self.info.id!r} reads text only, no images; use it for the text leg, or load "
                "'api:jina-clip-v2'"
            )
            raise EncoderError(msg)
        inputs = [{"image": as_base64(image, self.info.image_size)} for image in images]
        costs = [self._image_tokens] * len(inputs)
        step = min(batch_size, _IMAGES)
        requests = [
            slice(start, min(start + step, len(inputs))) for start in range(0, len(inputs), step)
        ]
        before = self.client.tokens
        task = self._tasks["document"]
        vectors = self._encode(inputs, costs, requests, task, normalize=normalize)
        if inputs:
            counted = -(-(self.client.tokens - before) // len(inputs))
            self._image_tokens = max(counted, 1)
        return vectors

    def _encode(
        self,
        inputs: Sequence[Any],
        costs: Sequence[int],
        requests: Sequence[slice],
        task: str | None,
        *,
        normalize: bool,
    ) -> np.ndarray:
        self.client.check_budget(sum(costs), len(requests))  # all of it or nothing
        rows = [np.empty((0, self.info.dim), dtype=np.float32)]
        for part in requests:
            payload = {"model": self._model, "input": list(inputs[part]), **self._options}
            if task is not None:
                payload["task"] = task
            answer = self.client.post("embeddings", payload, tokens=sum(costs[part]))
            rows.append(self._vectors(answer, part.stop - part.start))
        return truncate(np.concatenate(rows), None, normalize=normalize)

    def _vectors(self, answer: dict[str, Any], n_input: int) -> np.ndarray:
        """Read one vector for each input out of an answer, by its index."""
        given = in_order(answer.get("data"), "embedding", n_input, self.info.id)
        for index, vector in enumerate(given):
            if not (isinstance(vector, list) and len(vector) == self.info.dim):
                what = f"{len(vector)} numbers" if isinstance(vector, list) else repr(vector)[:40]
                msg = (
                    f"{self.info.id!r} answered input {index} with {what}; expected a list of "
                    f"{self.info.dim} numbers"
                )
                raise EncoderError(msg)
        try:
            vectors = np.array(given, dtype=np.float32)
        except (TypeError, ValueError) as error:
            msg = f"{self.info.id!r} answered with something else than numbers: {error}"
            raise EncoderError(msg) from error
        if not np.isfinite(vectors).all():
            at = int((~np.isfinite(vectors).all(axis=1)).argmax())
            msg = f"{self.info.id!r} answered input {at} with a number that is not finite"
            raise EncoderError(msg)
        return vectors


def as_base64(image: Image.Image, shortest_edge: int | None = None) -> str:
    """Return an image as a base64 PNG, its shortest edge at most so many pixels.

    Bicubic, as CLIP-like models resize it themselves.

    Examples
    --------
    >>> from PIL import Image
    >>> as_base64(Image.new("RGB", (1, 1)))[:8]
    'iVBORw0K'
    """
    from PIL import Image as Pillow

    image = rgb(image, "an image", shortest_edge)
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
