"""From texts to token ids, by the tokenizers library alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmgap.encoders.loading import is_stop
from mmgap.errors import EncoderError

_NO_LIMIT = 10**6
"""Tokenizer files write a number far above this where there is no limit."""


class TextTokenizer:
    """A ``tokenizer.json``, with padding and truncation of our own.

    What the file itself says about padding and truncation is left out of account: many were saved
    with the lengths of some training run.

    Parameters
    ----------
    folder : Path
        Holds ``tokenizer.json``, and ``tokenizer_config.json`` or ``special_tokens_map.json``.
    max_tokens : int or None
        Longer texts are cut, the special tokens at their ends kept; ``None`` is what
        ``tokenizer_config.json`` says.
    full_length : bool
        Pad every text to ``max_tokens`` (SigLIP), not to the longest of its batch.
    lower_case : bool
        Lower-case first (SigLIP 2, whose tokenizer does not).

    Attributes
    ----------
    max_tokens : int or None
    pad_id : int
    files : list of Path
        What was read.

    Raises
    ------
    EncoderError
        If a file is missing or damaged, or there is no padding token.
    """

    def __init__(
        self,
        folder: Path,
        *,
        max_tokens: int | None = None,
        full_length: bool = False,
        lower_case: bool = False,
    ) -> None:
        from tokenizers import Tokenizer

        file = folder / "tokenizer.json"
        settings = folder / "tokenizer_config.json"
        if not file.is_file():
            msg = f"{folder} holds no tokenizer.json; download it as well"
            raise EncoderError(msg)
        try:
            self._tokenizer = Tokenizer.from_file(str(file))
            config = json.loads(settings.read_text("utf-8")) if settings.is_file() else {}
            limit = config.get("model_max_length", _NO_LIMIT)
            limit = int(limit) if limit < _NO_LIMIT else None
            self.pad_id = self._pad_id(folder, config)
        except EncoderError:
            raise
        except BaseException as error:
            if is_stop(error):  # tokenizers raises bare Exception, and Rust's panics are not even
                raise
            msg = f"the tokenizer in {folder} cannot be read: {error}; download it again"
            raise EncoderError(msg) from error
        self.files = [path for path in (file, settings) if path.is_file()]
        self.max_tokens = max_tokens or limit
        self._lower_case = lower_case
        self._full_length = self.max_tokens if full_length else None
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        if self.max_tokens is not None:
            self._tokenizer.enable_truncation(self.max_tokens)

    def cut(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text, special tokens included."""
        if self._lower_case:
            texts = [text.lower() for text in texts]
        return [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]

    def length(self, ids: Sequence[int]) -> int:
        """Return how many places a text takes in a batch of its own."""
        return self._full_length or max(1, len(ids))

    def pad(self, rows: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
        """Return ids and mask, int64 arrays of shape (n_text, n_token); 0 masks a padded place."""
        ids = np.full((len(rows), max(map(self.length, rows))), self.pad_id, dtype=np.int64)
        mask = np.zeros_like(ids)
        for number, row in enumerate(rows):
            ids[number, : len(row)] = row
            mask[number, : len(row)] = 1
        return ids, mask

    def _pad_id(self, folder: Path, config: dict[str, Any]) -> int:
        special = folder / "special_tokens_map.json"
        token = config.get("pad_token")
        if token is None and special.is_file():
            token = json.loads(special.read_text("utf-8")).get("pad_token")
        if isinstance(token, dict):  # an added token with its options
            token = token["content"]
        if token is None and self._tokenizer.padding is not None:
            token = self._tokenizer.padding["pad_token"]
        number = None if token is None else self._tokenizer.token_to_id(token)
        if number is None:
            msg = (
                f"{folder} names no padding token (found {token!r}); expected 'pad_token' in "
                "tokenizer_config.json. Download that file as well"
            )
            raise EncoderError(msg)
        return number
