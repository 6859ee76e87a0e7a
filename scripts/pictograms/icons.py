"""game-icons.net: black silhouettes whose names are WordNet nouns of one concrete sense."""

from __future__ import annotations

import json
import tomllib

from . import splits
from .emoji import HERE, gloss_use, icon_svg
from .packages import PACKAGES, Archive
from .records import Drawing, Question, slug_of
from .wordnet import CONCRETE, WordNet

STYLE = "game-icons"


def read_icons(
    archives: dict[str, Archive], wordnet: WordNet, clusters: dict[str, str]
) -> tuple[list[Drawing], list[Question]]:
    """Return drawings and questions of every icon whose name has one concrete sense.

    Parameters
    ----------
    archives : dict
        The opened packages.
    wordnet : WordNet
        Senses and glosses.
    clusters : dict
        Cluster of each emoji concept; an icon with the same name joins it.
    """
    collection = json.loads(archives[STYLE].files["icons.json"])
    path = HERE / "wordnet_senses.toml"
    rejected = tomllib.loads(path.read_text("utf-8")).get("game_icons_rejected", {})
    drawings, asked = [], []
    for name in sorted(collection["icons"]):
        words = name.replace("-", " ")
        senses = wordnet.senses(words)
        if len(senses) != 1 or name in rejected or words in rejected:
            continue
        synset = wordnet.synset(senses[0])
        if synset.file_number not in CONCRETE:
            continue
        concept = slug_of(words)
        cluster = clusters.get(concept, splits.head_noun(words))
        use = gloss_use(synset.offset)
        informative = use == "document"
        drawings.append(
            Drawing(
                STYLE, concept, concept, cluster, "silhouettes",
                icon_svg(collection, name) or "", PACKAGES[STYLE].label, "CC-BY-3.0",
                "Lorc, Delapouite and contributors",
                text=synset.gloss if informative else wordnet.hypernym_text(synset.offset),
                text_source="wordnet_gloss" if informative else "wordnet_hypernym",
                informative=informative,
            )
        )  # fmt: skip
        if concept not in clusters:
            asked.append(_question(concept, cluster, words, "icon_name", "name", "both"))
            if not informative:
                when = "train" if use == "train" else "evaluation"
                asked.append(
                    _question(concept, cluster, synset.gloss, "wordnet_gloss", "new", when)
                )
    return drawings, asked


def _question(concept: str, cluster: str, text: str, source: str, phrasing: str, use: str):
    """Return a query about a silhouette."""
    return Question(
        concept, cluster, "silhouettes", text, source, phrasing, use, frozenset({concept})
    )
