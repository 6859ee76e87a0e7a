"""Emoji: concepts from Unicode, drawings of six artists, texts of several groups of writers."""

from __future__ import annotations

import json
import re
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from . import splits
from .packages import PACKAGES, Archive
from .records import Drawing, Question, slug_of, word_set, words_of
from .wordnet import WordNet

HERE = Path(__file__).parent

# Style: key of its package, licence, credit.
STYLES = {
    "noto": ("Apache-2.0", "Google"),
    "twemoji": ("CC-BY-4.0", "Twitter, Inc and other contributors"),
    "fluent-3d": ("MIT", "Microsoft"),
    "noto-v1": ("Apache-2.0", "Google"),
    "emojitwo": ("CC-BY-4.0", "Emoji One and EmojiTwo contributors"),
    "fxemoji": ("Apache-2.0", "Mozilla"),
}

DOMAINS = {
    "smileys-emotion": "smileys", "people-body": "people", "animals-nature": "nature",
    "food-drink": "food", "travel-places": "places", "activities": "objects",
    "objects": "objects", "symbols": "symbols", "flags": "symbols",
}  # fmt: skip

# Sequences of people that start with one of these have the role in what follows.
_ADULTS = ("1F9D1", "1F468", "1F469")
_GENDER_SIGNS = ("2640", "2642")
# Families that no joining sequence shows: the same role under single code points.
_SAME_ROLE = {
    "1F9D1": "person", "1F468": "person", "1F469": "person",
    "1F9D2": "child", "1F466": "child", "1F467": "child",
    "1F9D3": "older person", "1F474": "older person", "1F475": "older person",
    "1F385": "1F384", "1F936": "1F384",
    "1FAC5": "royalty", "1F934": "royalty", "1F478": "royalty",
    "1FAC3": "pregnant", "1FAC4": "pregnant", "1F930": "pregnant",
    "1F483": "dancing", "1F57A": "dancing",
    "1F46B": "holding hands", "1F46C": "holding hands", "1F46D": "holding hands",
    "1F9D1-200D-1F91D-200D-1F9D1": "holding hands",
    "1F48F": "kiss", "1F468-200D-2764-200D-1F48B-200D-1F468": "kiss",
    "1F469-200D-2764-200D-1F48B-200D-1F468": "kiss",
    "1F469-200D-2764-200D-1F48B-200D-1F469": "kiss",
    "1F491": "couple", "1F468-200D-2764-200D-1F468": "couple",
    "1F469-200D-2764-200D-1F468": "couple", "1F469-200D-2764-200D-1F469": "couple",
}  # fmt: skip
_GENDER_WORDS = word_set(
    "man men woman women male female boy girl lady gentleman guy person people he she his "
    "her prince princess king queen mr mrs mx claus santa father mother merman mermaid "
    "merboy mergirl grandma grandmother grandpa grandfather"
)
_LITTLE_WORDS = word_set("with of not done showing tilted pointed place")
_GENDERED = re.compile(
    r"\b(wo)?m[ae]n\b|\bboys?\b|\bgirls?\b|prince|Santa|Mrs|mermaid|merman|\bmen\b"
)
_LEFT_OUT = re.compile(r"facing right|^family|skin tone")


@dataclass
class Emoji:
    """One emoji concept with everything that was written about it."""

    name: str
    hexcode: str
    group: str
    subgroup: str
    group_words: str
    subgroup_words: str
    keywords: list[str]
    emojilib: list[str]
    family: str | None = None
    family_text: str = ""
    family_source: str = ""
    neutral: bool = False
    cluster: str = ""
    synset: str | None = None

    @property
    def concept(self) -> str:
        """Return the id of the concept."""
        return slug_of(self.name)

    @property
    def domain(self) -> str:
        """Return the domain."""
        return DOMAINS[self.group]

    @property
    def weak_text(self) -> str:
        """Return the Unicode group and subgroup, which name only the kind of thing."""
        return f"{self.group_words}: {self.subgroup_words}"


def code_key(hexcode: str) -> str:
    """Return a code point sequence without variation selectors, which packages spell differently.

    >>> code_key("1F477-200D-2640-FE0F"), code_key("0023-fe0f-20e3")
    ('1F477-200D-2640', '23-20E3')
    """
    parts = [part.lstrip("0") for part in hexcode.upper().split("-")]
    return "-".join(part for part in parts if part != "FE0F")


def read_emoji(archives: dict[str, Archive], wordnet: WordNet) -> list[Emoji]:
    """Return the base emoji: no skin tones, no country flags, no family silhouettes."""
    files = archives["emojibase"].files
    groups = json.loads(files["meta/groups.json"])
    messages = json.loads(files["en/messages.json"])
    message = {m["key"]: m["message"] for m in messages["groups"] + messages["subgroups"]}
    emojilib = {
        code_key("-".join(f"{ord(c):X}" for c in char)): words
        for char, words in json.loads(archives["emojilib"].files["dist/emoji-en-US.json"]).items()
    }
    found = []
    for entry in json.loads(files["en/data.json"]):
        if "group" not in entry or entry["group"] == 2 or _LEFT_OUT.search(entry["label"]):
            continue
        group = groups["groups"][str(entry["group"])]
        subgroup = groups["subgroups"][str(entry["subgroup"])]
        if subgroup in ("country-flag", "subdivision-flag"):
            continue
        found.append(
            Emoji(
                entry["label"], entry["hexcode"], group, subgroup, message[group],
                message[subgroup], entry.get("tags", []),
                emojilib.get(code_key(entry["hexcode"]), []),
            )
        )  # fmt: skip
    _set_families(found)
    _set_people(found)
    _set_clusters(found)
    _set_glosses(found, wordnet)
    return found


def _set_families(found: list[Emoji]) -> None:
    """Give the members of families.toml their family, its cluster and its common text."""
    for family, rule in tomllib.loads((HERE / "families.toml").read_text("utf-8")).items():
        members = [e for e in found if _is_member(e, rule)]
        common = _common_words(members)
        for emoji in members:
            emoji.family, emoji.cluster = family, rule["cluster"]
            if rule["text"] == "subgroup" or not common:
                emoji.family_text, emoji.family_source = emoji.weak_text, "unicode_group"
            else:
                emoji.family_text = f"{emoji.subgroup_words}: {', '.join(common)}"
                emoji.family_source = "family_keywords"


def _is_member(emoji: Emoji, rule: dict) -> bool:
    """Return whether a rule of families.toml takes an emoji that no earlier rule has taken."""
    if emoji.family:
        return False
    return (
        emoji.name in rule.get("members", ())
        or emoji.subgroup == rule.get("subgroup")
        or bool(re.fullmatch(rule.get("pattern", "(?!)"), emoji.name))
    )


def _common_words(members: list[Emoji]) -> list[str]:
    """Return the words that name or keywords of every member contain, in the first one's order."""
    vocabularies = [[*words_of(e.name), *e.keywords] for e in members]
    shared = set.intersection(*map(set, vocabularies)) if vocabularies else set()
    return [w for w in dict.fromkeys(vocabularies[0]) if w in shared and w not in _LITTLE_WORDS]


def role_key(hexcode: str) -> str | None:
    """Return what person, man and woman of one role have in common, or None.

    >>> role_key("1F469-200D-1F680"), role_key("1F477-200D-2640-FE0F"), role_key("1F477")
    ('1F680', '1F477', '1F477')
    """
    key = code_key(hexcode)
    if key in _SAME_ROLE:
        return _SAME_ROLE[key]
    parts = key.split("-200D-")
    if parts[-1] in _GENDER_SIGNS and len(parts) == 2:
        return parts[0]
    if parts[0] in _ADULTS and len(parts) > 1:
        return "-".join(p for p in parts[1:] if p not in _ADULTS)
    return key


def _set_people(found: list[Emoji]) -> None:
    """Put person, man and woman of a role into one family with the role's neutral keywords."""
    roles: dict[str, list[Emoji]] = defaultdict(list)
    for emoji in found:
        if emoji.group == "people-body" and emoji.subgroup.startswith(("person", "family")):
            roles[role_key(emoji.hexcode) or ""].append(emoji)
    for members in roles.values():
        if len(members) < 2:
            continue
        neutral = [e for e in members if not _GENDERED.search(e.name)]
        lead = neutral[0] if neutral else members[0]
        shared = set.intersection(*(set(e.keywords) for e in members))
        for emoji in members:
            emoji.family = f"role-{slug_of(lead.name)}"
            emoji.neutral = emoji in neutral
            emoji.cluster = "person/" + _role_cluster(lead.name)
            words = [w for w in lead.keywords if w in shared and w not in _GENDER_WORDS]
            emoji.family_text, emoji.family_source = ", ".join(words), "role_keywords"
            if not words:
                emoji.family_text, emoji.family_source = emoji.weak_text, "unicode_group"


def _role_cluster(name: str) -> str:
    """Return the last word of a role ("health worker" -> "worker") or the activity."""
    return splits.head_noun(
        re.sub(r"^(person|man|woman|people|men|women):? (in |with )?", "", name)
    )


def _set_clusters(found: list[Emoji]) -> None:
    """Give every emoji without one its cluster: head noun, or subgroup for smileys and symbols."""
    for emoji in found:
        if emoji.cluster:
            continue
        if emoji.group == "symbols" or emoji.subgroup.startswith("face-"):
            emoji.cluster = f"subgroup/{emoji.subgroup}"
        elif emoji.subgroup in ("heart", "emotion"):
            emoji.cluster = "heart" if emoji.subgroup == "heart" else "subgroup/emotion"
        elif emoji.subgroup.startswith("hand"):
            emoji.cluster = "hand"
        elif emoji.subgroup.startswith("person") and emoji.group == "people-body":
            emoji.cluster = "person/" + _role_cluster(emoji.name)
        else:
            emoji.cluster = splits.head_noun(emoji.name)


def _set_glosses(found: list[Emoji], wordnet: WordNet) -> None:
    """Attach the hand-checked WordNet sense of each name, where there is one."""
    path = HERE / "wordnet_senses.toml"
    senses = tomllib.loads(path.read_text("utf-8"))["senses"]
    for emoji in found:
        emoji.synset = senses.get(emoji.name)
        if emoji.synset:
            wordnet.synset(emoji.synset)


def read_drawings(archives: dict[str, Archive], found: list[Emoji]) -> Iterator[Drawing]:
    """Yield every drawing of every emoji, with its text.

    Styles come in the order of `STYLES`, so that "alternating" means the same in every run.
    """
    artwork = {style: _artwork(style, archives, found) for style in STYLES}
    for emoji in found:
        styles = [style for style in STYLES if emoji.hexcode in artwork[style]]
        for rank, style in enumerate(styles):
            licence, creator = STYLES[style]
            text, source, informative = document_text(emoji, rank)
            yield Drawing(
                style, emoji.concept, emoji.concept, emoji.cluster, emoji.domain,
                artwork[style][emoji.hexcode], PACKAGES[style].label, licence, creator,
                text=text, text_source=source, informative=informative,
            )  # fmt: skip


def _artwork(
    style: str, archives: dict[str, Archive], found: list[Emoji]
) -> dict[str, str | bytes]:
    """Return the images of one style by hexcode."""
    files = archives[style].files
    wrong = wrong_matches(style)
    images: dict[str, str | bytes] = {}
    if style == "fluent-3d":
        wrong = {code_key(code): why for code, why in wrong.items()}
        by_code = {
            code_key(path[len("assets/") : -len(".webp")]): blob
            for path, blob in files.items()
            if path.startswith("assets/")
        }
        for emoji in found:
            key = code_key(emoji.hexcode)
            if key in by_code and key not in wrong:
                images[emoji.hexcode] = by_code[key]
        return images
    collection = json.loads(files["icons.json"])
    names = _icon_names(style, archives, found, set(wrong))
    for emoji in found:
        svg = icon_svg(collection, names.get(emoji.hexcode, ""))
        if svg is not None:
            images[emoji.hexcode] = svg
    return images


# Sections of wrong_matches.toml are named after the packages.
_WRONG_SECTIONS = {
    "emojitwo": "emojione", "fluent-3d": "fluent-emoji-3d", "iso-flags": "iso-flags-svg",
}  # fmt: skip


def wrong_matches(style: str) -> dict[str, str]:
    """Return the icons of a style whose name belongs to something else, with the reason."""
    table = tomllib.loads((HERE / "wrong_matches.toml").read_text("utf-8"))
    return table.get(_WRONG_SECTIONS.get(style, style), {})


def _icon_names(
    style: str, archives: dict[str, Archive], found: list[Emoji], wrong: set[str]
) -> dict[str, str]:
    """Return the icon of each emoji: by code point where the package lists them, else by name."""
    if style == "fxemoji":
        return _fxemoji_names(archives, found, wrong)
    codes = {
        code_key(code): name
        for code, name in json.loads(archives[style].files["chars.json"]).items()
    }
    names = {e.hexcode: codes.get(code_key(e.hexcode)) or e.concept for e in found}
    return {code: name for code, name in names.items() if name not in wrong}


def _fxemoji_names(
    archives: dict[str, Archive], found: list[Emoji], wrong: set[str]
) -> dict[str, str]:
    """Return the Firefox OS icon of each emoji: by hand, by CLDR name, or by Unicode name."""
    unicode_names = json.loads(archives["emojibase"].files["meta/unicode-names.json"])
    icons = set(json.loads(archives["fxemoji"].files["icons.json"])["icons"]) - wrong
    by_hand = tomllib.loads((HERE / "fxemoji_names.toml").read_text("utf-8"))
    code_of = {e.name: e.hexcode for e in found}
    names = {code_of[name]: icon for icon, name in by_hand.items()}
    for read_name in (lambda e: e.name, lambda e: unicode_names.get(e.hexcode, "")):
        for emoji in found:
            icon = re.sub(r"[^a-z0-9]", "", read_name(emoji).lower())
            if icon in icons and icon not in names.values():
                names.setdefault(emoji.hexcode, icon)
    return names


def icon_svg(collection: dict, name: str) -> str | None:
    """Return an Iconify icon as a stand-alone SVG, or None if the collection lacks it."""
    icons, aliases = collection["icons"], collection.get("aliases", {})
    if name not in icons:
        alias = aliases.get(name, {})
        if set(alias) != {"parent"}:
            return None
        name = alias["parent"]
    icon = icons.get(name)
    if icon is None:
        return None
    left, top = icon.get("left", 0), icon.get("top", 0)
    width = icon.get("width", collection.get("width", 16))
    height = icon.get("height", collection.get("height", 16))
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{left} {top} {width} {height}" width="{width}" height="{height}" '
        f'color="#000">{icon["body"]}</svg>'
    )


def gloss_use(synset: str) -> str:
    """Return whether a gloss stands in documents, in training queries, or is reserved."""
    return splits.text_use("gloss", synset, (0.40, 0.20))


def document_text(emoji: Emoji, rank: int) -> tuple[str, str, bool]:
    """Return text, source and whether it is informative, for the rank-th drawing of an emoji."""
    if emoji.family:
        return emoji.family_text, emoji.family_source, emoji.family_source != "unicode_group"
    kind = splits.ordinary_class(emoji.concept)
    start = int(splits.fraction("rank", emoji.concept) * 2)
    has_gloss = emoji.synset is not None and gloss_use(emoji.synset) == "document"
    informative = kind == "T" or (kind == "M" and (rank + start) % 2 == 0)
    if not informative or not (emoji.keywords or has_gloss):
        return emoji.weak_text, "unicode_group", False
    if (has_gloss and (rank // 2 + start) % 2 == 0) or not emoji.keywords:
        return emoji.synset, "wordnet_gloss", True  # the caller puts the words in
    return ", ".join(emoji.keywords), "cldr_keywords", True


def questions(found: list[Emoji], wordnet: WordNet) -> Iterator[Question]:
    """Yield every query text about emoji."""
    families: dict[str, list[Emoji]] = defaultdict(list)
    for emoji in found:
        if emoji.family:
            families[emoji.family].append(emoji)
    for emoji in found:
        relatives = families.get(emoji.family or "", [])
        yield _question(emoji, relatives, emoji.name, "cldr_name", "name", "both")
        words = _without_name(emoji)
        if len(words) >= 2 and _tells_apart(emoji, relatives, words):
            yield _question(
                emoji, relatives, ", ".join(words), "emojilib_keywords", "new", "evaluation"
            )
        if emoji.keywords:
            text = ", ".join(emoji.keywords)
            if _tells_apart(emoji, relatives, emoji.keywords, cldr=True):
                yield _question(emoji, relatives, text, "cldr_keywords", "new", "train")
        if emoji.synset and not emoji.family:
            use = gloss_use(emoji.synset)
            if use != "document":
                text = wordnet.synset(emoji.synset).gloss
                use = "train" if use == "train" else "evaluation"
                yield _question(emoji, [], text, "wordnet_gloss", "new", use)


def _question(
    emoji: Emoji, relatives: list[Emoji], text: str, source: str, phrasing: str, use: str
) -> Question:
    """Return a query about an emoji; a neutral role asks for every variant of it."""
    concepts = frozenset(e.concept for e in relatives)
    neutral = emoji.neutral
    best = concepts if neutral else frozenset({emoji.concept})
    return Question(
        emoji.concept, emoji.cluster, emoji.domain, text, source, phrasing, use,
        best, concepts - best, "B" if emoji.family and not neutral else None,
        hexcode=emoji.hexcode,
    )  # fmt: skip


def _without_name(emoji: Emoji) -> list[str]:
    """Return emojilib's keywords without the name's own words and without emoticons."""
    name = {splits.singular(w) for w in words_of(emoji.name)}
    kept = []
    for keyword in emoji.emojilib:
        phrase = keyword.replace("_", " ")
        # "star2" and "clock11" are aliases of the library, no words; ":D" is none either.
        is_word = len(phrase) > 1 and re.fullmatch(r"[a-zA-Z][a-zA-Z' -]*", phrase)
        if is_word and not {splits.singular(w) for w in words_of(phrase)} <= name:
            kept.append(phrase)
    return list(dict.fromkeys(kept))


def _tells_apart(
    emoji: Emoji, relatives: list[Emoji], words: list[str], cldr: bool = False
) -> bool:
    """Return whether some word is this variant's own, so that the text asks for it alone."""
    others = [e for e in relatives if e is not emoji]
    if not others:
        return True
    if emoji.neutral:
        return False
    taken = {w for e in others for w in (e.keywords if cldr else _without_name(e))}
    return any(w not in taken for w in words)
