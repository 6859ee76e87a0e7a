"""The errors that mmgap raises about what it was given."""

from __future__ import annotations


class MmgapError(ValueError):
    """Base of mmgap's errors: says what was given, what was expected and the remedy."""


class CorpusError(MmgapError):
    """A document, query or judgment cannot be used; the message names it."""


class ImageError(CorpusError):
    """An image is missing, truncated, of a wrong type or too large; the message names it."""


class EncoderError(MmgapError):
    """A model is unknown, incomplete or was given input it cannot encode."""


class MissingExtraError(ImportError):
    """An optional library is needed; the message holds the install line."""

    def __init__(self, purpose: str, extra: str) -> None:
        super().__init__(f'{purpose} needs an optional part of mmgap: pip install "mmgap[{extra}]"')


class CacheDamageWarning(UserWarning):
    """A cached file failed its checksum and is being made again."""


class NonCommercialWarning(UserWarning):
    """The licence of a model does not allow commercial use; said once a process."""


class SkippedItemsWarning(UserWarning):
    """Unusable items were left out on request (``on_error="skip"``)."""


class MissingLegWarning(UserWarning):
    """Strategies were left out because the encoder or the corpus lacks a leg they need."""
