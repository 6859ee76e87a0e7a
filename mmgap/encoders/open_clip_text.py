"""The text tower of an open_clip model, without the padding that cannot matter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


class TextTower:
    """From ids to vectors.

    Where a tower is causal and reads the vector off the token that ends the text, what stands
    behind that token cannot reach it. Such ids may be left out; the forward pass is open_clip's
    own, with its tables of positions cut to the length. Towers that look both ways, read the vector
    off the last place (SigLIP) or add a token behind the padding (CoCa) need all ids.

    Parameters
    ----------
    model : open_clip model

    Attributes
    ----------
    skips_padding : bool
        Whether ids may be left out.
    """

    def __init__(self, model: Any) -> None:
        import torch

        class Encode(torch.nn.Module):
            """``encode_text`` as a module, so that its tables can be replaced for one call."""

            def __init__(self) -> None:
                super().__init__()
                self.model = model

            def forward(self, ids: torch.Tensor) -> torch.Tensor:
                return self.model.encode_text(ids, normalize=False)

        self._encode = Encode()
        has_tower = hasattr(model, "text")  # in CLIP itself its parts are the model's own
        self._tower = model.text if has_tower else model
        self._prefix = "model.text" if has_tower else "model"
        self._pooling = getattr(
            self._tower, "pool_type", getattr(self._tower, "text_pool_type", None)
        )
        self._end: Any = getattr(self._tower, "eos_id", getattr(self._tower, "text_eos_id", None))
        self.skips_padding = (
            getattr(self._tower, "attn_mask", None) is not None
            and getattr(self._tower, "cls_emb", None) is None
            and self._pooling in {"argmax", "eos"}
        )

    def lengths(self, ids: torch.Tensor) -> torch.Tensor:
        """Return how many ids of each text, from the left, its vector needs: shape (n_text,)."""
        if not self.skips_padding:
            return ids.new_full((len(ids),), ids.shape[1])
        marks = ids if self._pooling == "argmax" else ids.eq(self._end).int()
        return marks.argmax(dim=1) + 1

    def __call__(self, ids: torch.Tensor) -> torch.Tensor:
        """Return vectors of shape (n_text, dim).

        Parameters
        ----------
        ids : int tensor of shape (n_text, n_token)
            ``n_token`` is at least the greatest of :meth:`lengths`.
        """
        import torch

        if not self.skips_padding:
            return self._encode(ids)
        length = ids.shape[1]
        tables = {
            f"{self._prefix}.positional_embedding": self._tower.positional_embedding[:length],
            f"{self._prefix}.attn_mask": self._tower.attn_mask[:length, :length],
        }
        return torch.func.functional_call(self._encode, tables, (ids,), tie_weights=False)
