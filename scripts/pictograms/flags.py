"""Country flags: four drawings of each, and the World Factbook's prose about the country."""

from __future__ import annotations

import html
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from . import splits
from .clipart import read_metadata
from .emoji import code_key, icon_svg, wrong_matches
from .packages import PACKAGES, Archive
from .records import Drawing, Question, slug_of, word_set

# Style: package, licence, credit. The order decides which text stands beside which drawing.
STYLES = {
    "twemoji-flags": ("twemoji", "CC-BY-4.0", "Twitter, Inc and other contributors"),
    "noto-flags": ("noto-flags", "Apache-2.0", "Google"),
    "iso-flags": ("iso-flags", "public domain", "Brett Roper"),
    "openclipart-flags": ("openclipart", "public domain", ""),
}

# Plain rectangles, often white at the edge.
_FLAT = frozenset({"iso-flags", "openclipart-flags"})

# They fly another country's flag, so their images would be two concepts at once.
_NO_FLAG_OF_THEIR_OWN = word_set("bv sj hm um mf cp ea ta dg ic ac")

# File names of Open Clip Art that are not the CLDR name.
_FILE_NAMES = {
    "capeverde": "cv", "congo-brazzaville": "cg", "congo-kinshasa": "cd", "cote-divoire": "ci",
    "libyan-arab-jamahiriya": "ly", "swaziland": "sz", "brunei-darussalam": "bn",
    "maledives": "mv", "myanmar": "mm", "palestine": "ps", "syrian-arab-republic": "sy",
    "turkey": "tr", "viet-nam": "vn", "czech-republic": "cz", "macedonia": "mk",
    "great-britain": "gb", "usa": "us", "united-states-of-america": "us", "newzealand": "nz",
    "cape-verde": "cv", "saint-helena": "sh", "st-lucia": "lc", "saint-lucia": "lc",
    "saint-kitts-and-nevis": "kn", "saint-vincent-and-the-grenadines": "vc", "vatican": "va",
    "russian-federation": "ru", "republic-of-moldova": "md", "guineabissau": "gw",
    "timor-leste": "tl", "east-timor": "tl", "holland": "nl", "south-korea": "kr",
    "bosnia-and-herzegovina": "ba", "sao-tome-and-principe": "st", "antigua-and-barbuda": "ag",
    "trinidad-and-tobago": "tt", "papua-new-guinea": "pg", "st-pierre-and-miquelon": "pm",
}  # fmt: skip
# Drawn as France's flag in iso-flags-svg.
_FRENCH_IN_ISO_FLAGS = word_set("bl nc pm tf wf")
# Flags that were replaced after the clip art was drawn (the description tells of the new one), and
# Armenia's, of which the file shows only a strip.
_OUTDATED = word_set("ly mm iq af mw sy ls mr am")


@dataclass
class Country:
    """One country and what the Factbook says about it."""

    code: str
    name: str
    hexcode: str
    region: str = ""
    description: str = ""
    background: str = ""
    background_rest: str = ""
    geography: str = ""

    @property
    def concept(self) -> str:
        """Return the concept, which is also the cluster."""
        return f"flag-{self.code}"


def read_countries(archives: dict[str, Archive]) -> list[Country]:
    """Return the countries that have both a flag emoji and a Factbook page."""
    pages = _factbook_pages(archives)
    countries = []
    for entry in json.loads(archives["emojibase"].files["en/data.json"]):
        if entry.get("group") != 9 or not entry["label"].startswith("flag: "):
            continue
        letters = [int(part, 16) - 0x1F1E6 for part in entry["hexcode"].split("-")]
        if len(letters) != 2:
            continue
        code = "".join(chr(ord("a") + letter) for letter in letters)
        if code in pages and code not in _NO_FLAG_OF_THEIR_OWN:
            name = entry["label"].removeprefix("flag: ")
            countries.append(_country(code, name, entry["hexcode"], pages[code]))
    return [c for c in countries if c.region]


def _factbook_pages(archives: dict[str, Archive]) -> dict[str, dict]:
    """Return Factbook pages by ISO code, which the Factbook gives as the Internet country code."""
    pages: dict[str, dict] = {}
    for path, blob in sorted(archives["factbook"].files.items()):
        if "/data/" not in path or not path.endswith(".json"):
            continue
        page = json.loads(blob)
        domain = _text(page, "Communications", "Internet country code")
        code = re.search(r"\.([a-z]{2})\b", domain)
        if code:
            pages.setdefault({"uk": "gb"}.get(code[1], code[1]), page)
    return pages


def _text(page: dict, *keys: str) -> str:
    """Return a field of a page as plain text, still with its markup, or an empty string."""
    value: object = page
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    value = value.get("text", "") if isinstance(value, dict) else ""
    return str(value)


def plain(markup: str) -> str:
    """Return text without tags and entities.

    >>> plain("a <em>fine</em>&nbsp;flag<br><br>of two")
    'a fine flag of two'
    """
    text = html.unescape(re.sub(r"<br\s*/?>", " ", markup))
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", text)).strip(" ;")


def cut(text: str, words: int) -> tuple[str, str]:
    """Return the first sentences, at most so many words where a sentence ends, and the rest."""
    sentences = re.split(r"(?<=[.!?])\s+(?=[A-Z\"'(])", text)
    kept: list[str] = []
    while sentences and (not kept or len(" ".join([*kept, sentences[0]]).split()) <= words):
        kept.append(sentences.pop(0))
    return " ".join(kept), " ".join(sentences)


def _country(code: str, name: str, hexcode: str, page: dict) -> Country:
    """Return a country with the texts of its page."""
    flag = _text(page, "Government", "Flag")
    described = re.search(r"description:\s*</strong>(.*?)(?:<strong>|$)", flag, re.S)
    background, rest = cut(plain(_text(page, "Introduction", "Background")), 60)
    place = plain(_text(page, "Geography", "Location"))
    terrain = plain(re.split(r"<strong>", _text(page, "Geography", "Terrain"))[0])
    region = _text(page, "Geography", "Map references")
    if "<strong>" in region:  # overseas parts are listed after the mother country
        region = re.sub(r"^<strong>.*?</strong>", "", region).split("<")[0]
    region = re.sub(r"(?<=[a-z])(?=[A-Z])", ", ", plain(region))
    description = plain(described[1]).replace(" ,", ",") if described else ""
    if re.search(r"flag of .* is used", description):
        description = ""
    return Country(
        code, name, hexcode, region, description, background, cut(rest, 60)[0],
        cut("; ".join(t for t in (place, terrain) if t), 60)[0],
    )  # fmt: skip


def document_text(country: Country, rank: int) -> tuple[str, str, bool]:
    """Return text, source and whether it is informative, for the rank-th drawing of a flag."""
    kind = splits.flag_class(country.code)
    start = int(splits.fraction("rank", country.concept) * 2)
    if kind == "B" or (kind == "M" and (rank + start) % 2) or not country.background:
        return country.region, "factbook_region", False
    if country.geography and (rank // (2 if kind == "M" else 1) + start) % 2:
        return country.geography, "factbook_geography", True
    return country.background, "factbook_background", True


def read_drawings(archives: dict[str, Archive], countries: list[Country]) -> Iterator[Drawing]:
    """Yield every drawing of every flag."""
    artwork = {
        "twemoji-flags": _twemoji(archives, countries),
        "noto-flags": _noto_font(archives, countries),
        "iso-flags": _iso(archives, countries),
    }
    clip_art, creators = _open_clip_art(archives, countries)
    artwork["openclipart-flags"] = clip_art
    for country in countries:
        for rank, (style, (package, licence, creator)) in enumerate(STYLES.items()):
            if country.code in artwork[style]:
                text, source, informative = document_text(country, rank)
                yield Drawing(
                    style, country.code, country.concept, country.concept, "flags",
                    artwork[style][country.code], PACKAGES[package].label, licence,
                    creator or creators[country.code], finish="frame" if style in _FLAT else "",
                    text=text, text_source=source, informative=informative,
                )  # fmt: skip


def _twemoji(archives: dict[str, Archive], countries: list[Country]) -> dict[str, str | bytes]:
    """Return Twemoji's flags."""
    files = archives["twemoji"].files
    collection = json.loads(files["icons.json"])
    names = {code_key(code): name for code, name in json.loads(files["chars.json"]).items()}
    found = {c.code: icon_svg(collection, names.get(code_key(c.hexcode), "")) for c in countries}
    return {code: svg for code, svg in found.items() if svg}


def _iso(archives: dict[str, Archive], countries: list[Country]) -> dict[str, str | bytes]:
    """Return the 4:3 flags of iso-flags-svg."""
    files = archives["iso-flags"].files
    folder = "usr/share/iso-flags-svg/country-4x3/"
    wrong = _FRENCH_IN_ISO_FLAGS | set(wrong_matches("iso-flags"))
    return {
        c.code: files[f"{folder}{c.code}.svg"]
        for c in countries
        if f"{folder}{c.code}.svg" in files and c.code not in wrong
    }


def _noto_font(archives: dict[str, Archive], countries: list[Country]) -> dict[str, str | bytes]:
    """Return the waved flags, PNG bitmaps inside the Noto Color Emoji font."""
    from fontTools.ttLib import TTFont

    path = "usr/share/fonts/truetype/noto/NotoColorEmoji.ttf"
    font = TTFont(io.BytesIO(archives["noto-flags"].files[path]))
    letters = font.getBestCmap()
    glyphs = {}
    for lookup in font["GSUB"].table.LookupList.Lookup:
        for table in lookup.SubTable:
            table = getattr(table, "ExtSubTable", table)
            for first, ligatures in getattr(table, "ligatures", {}).items():
                for ligature in ligatures:
                    glyphs[(first, *ligature.Component)] = ligature.LigGlyph
    bitmaps = font["CBDT"].strikeData[0]
    found = {}
    for country in countries:
        key = tuple(letters[int(part, 16)] for part in country.hexcode.split("-"))
        if glyphs.get(key) in bitmaps:
            found[country.code] = bitmaps[glyphs[key]].imageData
    return found


def _open_clip_art(
    archives: dict[str, Archive], countries: list[Country]
) -> tuple[dict[str, str | bytes], dict[str, str]]:
    """Return the country flags of Open Clip Art and who drew them."""
    codes = {slug_of(c.name.replace("&", "and")): c.code for c in countries}
    known = {c.code for c in countries}
    folder = "usr/share/openclipart/svg/signs_and_symbols/flags/"
    pattern = re.compile(
        folder + r"(?:africa|america|asia|europe|oceania)/"
        r"(?:australia/|new_zealand/|\w+nesia/)?([^/]+)\.svg"
    )
    found: dict[str, str | bytes] = {}
    creators: dict[str, str] = {}
    for path, blob in sorted(archives["openclipart"].files.items()):
        match = pattern.fullmatch(path)
        if not match:
            continue
        stem = slug_of(match[1])
        code = _FILE_NAMES.get(stem, codes.get(stem))
        metadata = read_metadata(blob)
        wanted = code in known and code not in found and code not in _OUTDATED
        if code and wanted and metadata.public_domain:
            found[code], creators[code] = blob, metadata.creator
    return found, creators


def questions(countries: list[Country]) -> Iterator[Question]:
    """Yield every query text about flags."""
    for c in countries:
        yield _question(c, c.name, "cldr_name", "name", "both")
        if c.description:
            look = splits.text_use("flag-description", c.description, (0.0, 0.35))
            use = "train" if look == "train" else "evaluation"
            yield _question(c, c.description, "flag_description", "new", use, "I")
            if splits.flag_class(c.code) == "B":
                text = f"{c.region}: {c.description}"
                yield _question(c, text, "region_and_flag_description", "new", use, "B")
        if len(c.background_rest.split()) >= 8:
            prose = splits.text_use("background-rest", c.code, (0.0, 0.35))
            use = "train" if prose == "train" else "evaluation"
            yield _question(c, c.background_rest, "factbook_background_rest", "new", use)


def _question(
    country: Country, text: str, source: str, phrasing: str, use: str, kind: str | None = None
) -> Question:
    """Return a query about a flag."""
    return Question(
        country.concept, country.concept, "flags", text, source, phrasing, use,
        frozenset({country.concept}), query_class=kind,
        weak_text_is_grade_1=source == "factbook_background_rest",
        hexcode=country.hexcode if source == "cldr_name" else "",
    )  # fmt: skip
