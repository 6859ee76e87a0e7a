"""The network of the bundled reranker: a query's tokens attend to a document's words and patches.

Only :mod:`mmgap.rerankers.mini` and the training script import this module: it needs torch.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

SENTENCE_DIM = 384
"""Length of what comes in: token states, sentence vectors and patches in the sentences' space."""

N_PATCHES = 16
"""A picture of 128 pixels leaves the image tower as 4 x 4 patches."""

COLOURS = 48
"""Numbers of a patch's own colours: a grid of 4 x 4 mean colours."""


class Layer(nn.Module):
    """Query tokens look at the document's words and patches, then each thinks for itself."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(dim)
        self.query = nn.Linear(dim, dim)
        self.output = nn.Linear(dim, dim)
        self.evidence = nn.Linear(2 * heads, dim)
        self.log_scale = nn.Parameter(torch.full((heads, 1, 1), 2.0))
        self.sink = nn.Parameter(torch.zeros(heads, 1, 1))
        wide, narrow = nn.Linear(dim, 2 * dim), nn.Linear(2 * dim, dim)
        self.think = nn.Sequential(nn.LayerNorm(dim), wide, nn.GELU(), narrow)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(narrow.weight)

    def forward(
        self,
        x: torch.Tensor,
        keys: torch.Tensor,
        values: torch.Tensor,
        is_word: torch.Tensor,
        is_patch: torch.Tensor,
    ) -> torch.Tensor:
        """Take (b, m, dim) query tokens to (b, m, dim).

        ``keys`` and ``values`` are (b, l, dim), the keys of unit norm in each head; the masks are
        (b, l).
        """
        b, m, dim = x.shape
        asked = self.query(self.norm(x)).view(b, m, self.heads, -1)
        asked = functional.normalize(asked, dim=-1).transpose(1, 2)
        keys = keys.view(b, keys.shape[1], self.heads, -1).transpose(1, 2)
        values = values.view(b, values.shape[1], self.heads, -1).transpose(1, 2)
        cosine = asked @ keys.transpose(2, 3)  # (b, heads, m, l)
        words, patches = is_word[:, None, None], is_patch[:, None, None]
        # What a token finds at best, in each modality; absent = 0, as the mean of random cosines.
        best = [
            torch.where(
                there.any(-1, keepdim=True), cosine.masked_fill(~there, -1).amax(-1, True), 0.0
            )
            for there in (words, patches)
        ]
        evidence = torch.cat(best, dim=-1).permute(0, 2, 1, 3).reshape(b, m, -1)
        weight = (cosine * self.log_scale.exp()).masked_fill(~(words | patches), -torch.inf)
        sink = self.sink.expand(b, -1, m, 1)  # a token may find nothing
        weight = torch.cat([weight, sink], dim=-1).softmax(-1)[..., :-1]
        seen = (weight @ values).transpose(1, 2).reshape(b, m, dim)
        x = x + self.output(seen) + self.evidence(evidence)
        return x + self.think(x)


class CrossNetwork(nn.Module):
    """Scores pairs of a query and a document with a text, an image, or both."""

    def __init__(
        self,
        dim: int = 96,
        heads: int = 4,
        layers: int = 2,
        joint: int = 384,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.dim = dim
        self.word = nn.Linear(SENTENCE_DIM, dim)
        self.patch = nn.Linear(SENTENCE_DIM, dim)
        to_colour, from_colour = nn.Linear(COLOURS, 64), nn.Linear(64, dim)
        self.colour = nn.Sequential(to_colour, nn.GELU(), from_colour)
        self.place = nn.Parameter(torch.zeros(N_PATCHES, dim))
        keys = [nn.Linear(dim, dim) for _ in range(layers)]
        self.key = nn.ModuleList(keys)
        self.value = nn.ModuleList(nn.Linear(dim, dim) for _ in range(layers))
        stack = [Layer(dim, heads) for _ in range(layers)]
        self.layers = nn.ModuleList(stack)
        self.drop = nn.Dropout(dropout)
        wide, narrow = nn.Linear(SENTENCE_DIM, 384), nn.Linear(384, joint)
        self.text_head = nn.Sequential(wide, nn.GELU(), nn.Dropout(dropout), narrow)
        self.text_short = nn.Linear(SENTENCE_DIM, joint, bias=False)
        self.image_short = nn.Linear(SENTENCE_DIM, joint, bias=False)
        n_whole = 6  # four cosines, and whether there are words and patches
        self.whole = nn.Linear(n_whole, 1)
        first, last = nn.Linear(2 * dim + n_whole, dim), nn.Linear(dim, 1)
        self.score = nn.Sequential(
            nn.LayerNorm(2 * dim + n_whole), first, nn.GELU(), nn.Dropout(dropout), last
        )
        with torch.no_grad():
            # One random projection for both: angles survive it, so that a word is near its likes
            # and near their pictures from the first step.
            self.patch.weight.copy_(self.word.weight)
            for layer, key in zip(stack, keys, strict=True):
                nn.init.orthogonal_(key.weight)
                layer.query.weight.copy_(key.weight)
            # The joint space starts as the sentences' own, in which pictures lie already.
            nn.init.eye_(self.text_short.weight)
            nn.init.eye_(self.image_short.weight)
            # The first score is that of the cosines.
            self.whole.weight.copy_(torch.tensor([[5.0, 5.0, 5.0, 5.0, 0.0, 0.0]]))
            for linear in (narrow, from_colour, last):
                nn.init.zeros_(linear.weight)
            nn.init.zeros_(narrow.bias)

    def words(self, states: torch.Tensor) -> torch.Tensor:
        """Take token states (n, 384) to tokens (n, dim)."""
        return self.drop(self.word(states))

    def patches(self, patches: torch.Tensor, colours: torch.Tensor) -> torch.Tensor:
        """Take patches (n, 16, 384) and their colours (n, 16, 48) to tokens (n, 16, dim)."""
        return self.drop(self.patch(patches) + self.colour(colours) + self.place)

    def memory(self, tokens: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Keys and values, both (n, dim), of document tokens, for each layer."""
        found = []
        for layer, key, value in zip(self.layers, self.key, self.value, strict=True):
            keys = functional.normalize(key(tokens).view(len(tokens), layer.heads, -1), dim=-1)
            found.append((keys.reshape(len(tokens), -1), value(tokens)))
        return found

    def joint_text(self, sentence: torch.Tensor) -> torch.Tensor:
        """Unit-norm (n, joint) of sentence vectors (n, 384)."""
        return functional.normalize(self.text_short(sentence) + self.text_head(sentence), dim=-1)

    def joint_image(self, picture: torch.Tensor) -> torch.Tensor:
        """Unit-norm (n, joint) of image vectors (n, 384)."""
        return functional.normalize(self.image_short(picture), dim=-1)

    def forward(
        self,
        x: torch.Tensor,
        x_there: torch.Tensor,
        memory: list[tuple[torch.Tensor, torch.Tensor]],
        is_word: torch.Tensor,
        is_patch: torch.Tensor,
        cosines: torch.Tensor,
    ) -> torch.Tensor:
        """Return one logit for each pair, (b,).

        Parameters
        ----------
        x : Tensor of shape (b, m, dim)
            Query tokens; ``x_there`` (b, m) says which are real.
        memory : list of (keys, values), each (b, l, dim)
        is_word, is_patch : bool Tensor of shape (b, l)
        cosines : Tensor of shape (b, 4)
            Sentence-sentence and sentence-picture, as they come and in the joint space; 0 where
            there is no such side.
        """
        for layer, (keys, values) in zip(self.layers, memory, strict=True):
            x = layer(x, keys, values, is_word, is_patch)
        real = x_there.unsqueeze(-1)
        mean = (x * real).sum(1) / real.sum(1)
        most = x.masked_fill(~real, -torch.inf).amax(1)
        sides = torch.stack([is_word.any(1), is_patch.any(1)], 1).float()
        whole = torch.cat([cosines, sides], 1)
        return (self.whole(whole) + self.score(torch.cat([mean, most, whole], 1))).squeeze(1)
