"""Who sees what: clusters, the two test conditions, and every choice that is made by hash.

Every choice is a hash of a name, so nobody can tune it and adding a document moves no other one.
"""

from __future__ import annotations

import hashlib
import re

SALT = "pictograms-1"

TEST_STYLES = frozenset({"emojitwo", "fxemoji", "iso-flags"})
CALIBRATION_STYLES = frozenset({"noto-v1", "openclipart-flags"})

KNOWN, CALIBRATION_CONCEPT, TEST_CONCEPT = "known", "concept-calibration", "concept-test"

Pool = tuple[str, str | None]
TRAIN: Pool = ("train", None)
CALIBRATION_STYLE: Pool = ("calibration", "style")
CALIBRATION_CONCEPTS: Pool = ("calibration", "concept")
TEST_STYLE: Pool = ("test", "style")
TEST_CONCEPTS: Pool = ("test", "concept")

_CUT = re.compile(r" (?:with|of|in|on|behind|without|at|for|under|by|to|from) |[:,(/]| - ")


def fraction(purpose: str, name: str) -> float:
    """Return a number in [0, 1) that depends on nothing but the purpose and the name."""
    digest = hashlib.sha256(f"{SALT}:{purpose}:{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def singular(word: str) -> str:
    """Return a crude singular, so that "dogs" and "dog" fall into one cluster."""
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if re.search(r"(ch|sh|x|ss)es$", word):
        return word[:-2]
    if word.endswith("s") and not word.endswith(("ss", "us", "is")) and len(word) > 3:
        return word[:-1]
    return word


def head_noun(name: str) -> str:
    """Return the word that says what kind of thing a name names.

    >>> head_noun("glass of milk"), head_noun("black cat"), head_noun("dog face")
    ('glass', 'cat', 'dog')
    """
    kept = _CUT.split(name.lower(), maxsplit=1)[0]
    words = re.findall(r"[^\W_]+", kept.replace("\u2019", "'").replace("'s", "")) or [name.lower()]
    if len(words) > 1 and words[-1] == "face":
        words.pop()
    return singular(words[-1])


def cluster_part(cluster: str) -> str:
    """Return whether a cluster's concepts are known, or held out for calibration or test."""
    value = fraction("cluster", cluster)
    if value < 0.74:
        return KNOWN
    return CALIBRATION_CONCEPT if value < 0.82 else TEST_CONCEPT


def document_pool(cluster: str, style: str) -> Pool | None:
    """Return the pool of a drawing, or None where it must be left out."""
    part = cluster_part(cluster)
    if part == KNOWN:
        if style in TEST_STYLES:
            return TEST_STYLE
        return CALIBRATION_STYLE if style in CALIBRATION_STYLES else TRAIN
    if part == CALIBRATION_CONCEPT:
        return None if style in TEST_STYLES else CALIBRATION_CONCEPTS
    return None if style in CALIBRATION_STYLES else TEST_CONCEPTS


def query_pools(cluster: str) -> tuple[Pool, ...]:
    """Return the pools in which a cluster's concepts are asked for.

    The queries of known clusters are split once more, so that no query is used both to calibrate
    and to test.
    """
    part = cluster_part(cluster)
    if part == CALIBRATION_CONCEPT:
        return (CALIBRATION_CONCEPTS,)
    if part == TEST_CONCEPT:
        return (TEST_CONCEPTS,)
    if fraction("query-half", cluster) < 0.25:
        return (TRAIN, CALIBRATION_STYLE)
    return (TRAIN, TEST_STYLE)


def is_known(cluster: str) -> bool:
    """Return whether drawings of this cluster are in the train split."""
    return cluster_part(cluster) == KNOWN


def ordinary_class(concept: str) -> str:
    """Return T, I or M: whether an ordinary concept's documents carry informative texts."""
    value = fraction("class", concept)
    if value < 0.35:
        return "T"
    return "I" if value < 0.70 else "M"


def flag_class(country: str) -> str:
    """Return B (region-only texts), T (informative texts) or M (both) for a country."""
    value = fraction("flag-class", country)
    if value < 0.40:
        return "B"
    return "T" if value < 0.70 else "M"


def text_use(source: str, key: str, shares: tuple[float, float]) -> str:
    """Return how a text is used: ``document``, ``train`` (query) or ``reserved`` for evaluation.

    Parameters
    ----------
    source : str
        Kind of text.
    key : str
        Identity of the text itself (a synset, a country), so that all who share it agree.
    shares : tuple of float
        Shares of ``document`` and ``train``; the rest is reserved.
    """
    value = fraction(f"use-{source}", key)
    if value < shares[0]:
        return "document"
    return "train" if value < sum(shares) else "reserved"
