"""How the texts of a model are made ready: prompts, letter case, tokens, padding."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mmgap.encoders.base import Role
from mmgap.errors import EncoderError

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Transformer

    from mmgap.encoders.catalog import ModelFacts

QWEN_INSTRUCTION = "Represent the user's input."
"""What Qwen3-VL-Embedding was trained with where no task is named."""

QWEN_MAX_TOKENS = 8192
"""Default of Qwen3-VL-Embedding, whose context would take 32768."""

_NO_LIMIT = 1_000_000
"""Tokenizers without a limit say 1e30."""


@dataclass(frozen=True)
class TextRecipe:
    """What happens to a text before the model sees it, and to its vector after.

    Parameters
    ----------
    query_prompt, document_prompt : str
        Put before the text, or into the system message.
    system_prompt : bool
        The prompt is an instruction in the system message of a chat, and images get it too.
    lower_case : bool
        Lower-case every text (SigLIP 2, whose tokenizer may not do it).
    pad_to : int or None
        Pad every text to this many tokens and hide none from the model (SigLIP: its vector is
        read off the last place). ``None`` pads to the longest of the batch, behind a mask.
    max_tokens : int or None
        Longer texts are cut.
    layer_norm : bool
        Give the pooled vector a layer norm without weights (nomic).
    placeholders : tuple of str
        Words that stand for an image or sound; in a text they are broken up, or the processor would
        look for the image.
    """

    query_prompt: str = ""
    document_prompt: str = ""
    system_prompt: bool = False
    lower_case: bool = False
    pad_to: int | None = None
    max_tokens: int | None = None
    layer_norm: bool = False
    placeholders: tuple[str, ...] = ()

    def prompt(self, role: Role) -> str:
        """Return the prompt of a role.

        Examples
        --------
        >>> TextRecipe(query_prompt="query: ").prompt("query")
        'query: '
        """
        return self.query_prompt if role == "query" else self.document_prompt

    def prepare(self, text: str, role: Role) -> str:
        """Return what is cut into tokens.

        Examples
        --------
        >>> TextRecipe(query_prompt="query: ", lower_case=True).prepare("A Cat", "query")
        'query: a cat'
        >>> TextRecipe(placeholders=("<|image|>",)).prepare("the token <|image|>", "query")
        'the token < |image|>'
        """
        text = text.lower() if self.lower_case else text
        for word in self.placeholders:
            text = text.replace(word, f"{word[0]} {word[1:]}")
        return text if self.system_prompt else self.prompt(role) + text


def text_recipe(model: SentenceTransformer, name: str, facts: ModelFacts | None) -> TextRecipe:
    """Return how the texts of a model are made ready.

    The catalogue's prompts win over the checkpoint's own; never are both put before a text.

    Parameters
    ----------
    model : SentenceTransformer
    name : str
        Its id or folder.
    facts : ModelFacts or None
        The catalogue's row.
    """
    first = model[0]
    model_type = first.config.model_type
    query_prompt, document_prompt = _own_prompts(model)
    if facts is not None and (facts.query_prompt or facts.document_prompt):
        query_prompt, document_prompt = facts.query_prompt, facts.document_prompt
    if model_type == "qwen3_vl":
        query_prompt, document_prompt = _instruction(query_prompt), _instruction(document_prompt)
    siglip = model_type in {"siglip", "siglip2"}
    max_tokens = _max_tokens(first, facts)
    return TextRecipe(
        query_prompt=query_prompt,
        document_prompt=document_prompt,
        # EmbeddingGemma 2 has a chat template as well, but its prompts are the head of the text.
        system_prompt="message" in first.modalities and model_type != "embedding_gemma2",
        lower_case=siglip and _is_siglip2(model_type, name, first.tokenizer),
        pad_to=max_tokens if siglip else None,
        max_tokens=max_tokens,
        layer_norm=facts is not None and facts.layer_norm,
        placeholders=tuple(
            word
            for kind in ("image", "video", "audio")
            if (word := getattr(first.processor, f"{kind}_token", None))
        ),
    )


def check_texts(texts: Sequence[str]) -> list[str]:
    """Return the texts as a list.

    Raises
    ------
    EncoderError
        If it is one text, or holds something else; the message names the position.

    Examples
    --------
    >>> check_texts("a cat")
    Traceback (most recent call last):
    mmgap.errors.EncoderError: texts is the single text 'a cat'; expected a list ... ['a cat']
    """
    if isinstance(texts, str):
        msg = f"texts is the single text {texts!r}; expected a list of texts, e.g. [{texts!r}]"
        raise EncoderError(msg)
    for position, text in enumerate(texts):
        if not isinstance(text, str):
            msg = f"text {position} is of type {type(text).__name__}; expected str"
            raise EncoderError(msg)
        if (half := half_character(text)) is not None:
            msg = (
                f"text {position} holds {half!a}, half a character (a lone surrogate), which no "
                "tokenizer takes; expected Unicode text. Mend or drop it"
            )
            raise EncoderError(msg)
    return list(texts)


def half_character(text: str) -> str | None:
    r"""Return the first half of a character that stands alone in a text, if one does.

    Examples
    --------
    >>> half_character("a cat \ud83d"), half_character("a cat")
    ('\ud83d', None)
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return text[error.start]
    return None


class TokenBatches:
    """The tokens of many texts, cut once, from which padded batches are taken.

    Parameters
    ----------
    tokenizer : PreTrainedTokenizerBase
    texts : list of str
        At least one.
    recipe : TextRecipe

    Examples
    --------
    >>> tokens = TokenBatches(tokenizer, ["a cat", "dog"], TextRecipe())  # doctest: +SKIP
    >>> tokens.features([1])["input_ids"].shape  # doctest: +SKIP
    torch.Size([1, 3])
    """

    def __init__(self, tokenizer: Any, texts: list[str], recipe: TextRecipe) -> None:
        self._recipe = recipe
        self._side = tokenizer.padding_side
        self._fill = {
            "input_ids": tokenizer.pad_token_id or 0,
            "attention_mask": 0,
            "token_type_ids": tokenizer.pad_token_type_id,
        }
        cut = recipe.max_tokens is not None
        tokens = tokenizer(
            texts, truncation=cut, max_length=recipe.max_tokens, return_attention_mask=False
        )
        self._rows: dict[str, list[list[int]]] = {
            name: tokens[name] for name in self._fill if name in tokens
        }

    def length(self, position: int) -> int:
        """Return how many tokens a text takes in a batch of its own."""
        return self._recipe.pad_to or max(1, len(self._rows["input_ids"][position]))

    def features(self, positions: Sequence[int]) -> dict[str, Any]:
        """Return some of the texts as the padded input of a model."""
        width = max(self.length(position) for position in positions)
        rows = {name: [of[position] for position in positions] for name, of in self._rows.items()}
        if self._recipe.pad_to is None:
            rows["attention_mask"] = [[1] * len(ids) for ids in rows["input_ids"]]
        features: dict[str, Any] = {
            name: _padded(values, width, self._fill[name], self._side)
            for name, values in rows.items()
        }
        return {**features, "modality": "text"}


def _padded(rows: list[list[int]], width: int, fill: int, side: str) -> torch.Tensor:
    import torch

    padded = np.full((len(rows), width), fill, dtype=np.int64)
    for line, row in zip(padded, rows, strict=True):
        if side == "left":
            line[width - len(row) :] = row
        else:
            line[: len(row)] = row
    return torch.from_numpy(padded)


def _own_prompts(model: SentenceTransformer) -> tuple[str, str]:
    """Return the checkpoint's prompts for queries and documents."""
    own = model.prompts
    # sentence-transformers adds an empty "document", which must not hide a "passage" that is there.
    document = next(filter(None, map(own.get, ("document", "passage", "corpus"))), "")
    return own.get("query") or "", document


def _instruction(prompt: str) -> str:
    """Return an instruction as Qwen's makers give it: never empty, with punctuation at its end."""
    prompt = prompt.strip() or QWEN_INSTRUCTION
    return prompt if unicodedata.category(prompt[-1]).startswith("P") else f"{prompt}."


def _is_siglip2(model_type: str, name: str, tokenizer: object) -> bool:
    """Tell SigLIP 2, whose fixed-size models say ``siglip``, by its name or Gemma tokenizer."""
    return (
        model_type == "siglip2"
        or "siglip2" in name.lower()
        or type(tokenizer).__name__.startswith(("Gemma", "Siglip2"))
    )


def _max_tokens(first: Transformer, facts: ModelFacts | None) -> int | None:
    """Return the least of what tokenizer, positions and catalogue allow, or ``None``."""
    text_config = first.config.get_text_config()
    limits = [
        first.max_seq_length,
        facts.max_text_tokens if facts is not None else None,
        QWEN_MAX_TOKENS if first.config.model_type == "qwen3_vl" else None,
    ]
    positions = getattr(text_config, "max_position_embeddings", None)
    if positions:
        limits.append(positions - _position_offset(first.model))
    known = [int(limit) for limit in limits if limit and 0 < limit < _NO_LIMIT]
    return min(known, default=None)


def _position_offset(model: torch.nn.Module) -> int:
    """Return how many positions the RoBERTa family leaves unused: it counts from the padding id."""
    import torch

    for module in model.modules():
        padding = getattr(module, "padding_idx", None)
        table = getattr(module, "position_embeddings", None)
        if isinstance(padding, int) and isinstance(table, torch.nn.Embedding):
            return padding + 1
    return 0
