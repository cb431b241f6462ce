"""Iconclass: a notation's place in the hierarchy, and its texts in the languages that really have them.

``parse("https://iconclass.org/11H%28PETER%2911")`` gives a :class:`Notation` with its path from the division down;
``text_of(notation, "de")`` its text, ``""`` where there is no translation. The vocabulary is the one in the wheel of
``iconclass`` (CC0, iconclass.org); its own ``txt`` is not used: it asks Wikidata over the network for some names and
fills a name into every bracket of a text.
"""

import re
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote

from .errors import IconoclipError

if TYPE_CHECKING:
    from iconclass import Iconclass

# Iconclass's own codes that are not BCP-47.
_CODES = {"jp": "ja", "cz": "cs"}
_URI = re.compile(r"^(?:https?://)?(?:www\.)?iconclass\.(?:org|nl)/(?:rkd/|notation/|_/)?", re.I)
_FILE_ENDING = re.compile(r"\.(?:json|jsonld|html|rdf|ttl)$|/$", re.I)
_NAME = re.compile(r"\((?!\+|\.\.\.)([^()]*)\)")
_KEY = re.compile(r"\(\+([^()]*)\)")
# What a text with a place for a name says there: (with NAME), (mit NAMEN), (avec LIVRE CHAPITRE:VERSET), (名前を伴う).
_PLACE_OF_NAME = re.compile(
    r"\s*[(\uff08](?:[^()\uff08\uff09]*\b[A-ZÀ-Ý]{3,}\b[^()\uff08\uff09]*"
    r"|(?:with|mit|avec|con|col|com)\b[^()\uff08\uff09]*"
    r"|[^()\uff08\uff09]*(?:伴う|付き?|つき|入り|とともに)|\.\.\.)(?:[)\uff09]|$)"
)
# English function words: a text that is the same as in English is a name ('Sordello') unless it has one of these.
_ENGLISH_WORDS = re.compile(r"\b(?:of|the|and|with|from|in|on|not|for|by|male|female)\b")
_ATTRIBUTES = re.compile(r"[;,.]?\s*[^;,.:]*(?:attribut|atribut|アトリビュート)[^;,:]*:\s*(?P<list>.*)$", re.I)
_SMALL_WORDS = {"and", "by", "da", "de", "del", "der", "di", "du", "in", "la", "of", "or", "the", "van", "von"}


class InvalidNotationError(IconoclipError):
    """A text that is no Iconclass notation; says which part is unknown."""


@dataclass(frozen=True, slots=True)
class Notation:
    """One valid notation.

    ``base`` is its entry in the vocabulary, with ``(...)`` where the name is not listed there; ``path`` goes from the
    division down to the notation itself, each digit, name and digit of the key being a level.
    """

    text: str
    base: str
    name: str
    key: str
    path: tuple[str, ...]

    @property
    def depth(self) -> int:
        """Number of levels; a division has 1."""
        return len(self.path)

    def __str__(self) -> str:
        return self.text


def parse(text: str) -> Notation:
    """Read a notation, spaced as in print or as a percent-encoded URI, and look it up.

    Raises:
        InvalidNotationError: it is not in the vocabulary; names the longest part that is.
    """
    return _parse(normalise(text))


def normalise(text: str) -> str:
    """Bring a notation into its canonical spelling, whether it exists or not.

    Example: ``25 F 23 (LION) (+ 12)`` and ``https://iconclass.org/25F23%28LION%29%28%2B12%29`` are both
    ``25F23(LION)(+12)``; a plus that a URI decoder made a space is mended.
    """
    text = text.strip()
    if _URI.match(text):
        text = _FILE_ENDING.sub("", _URI.sub("", text))
    while "%" in text and unquote(text) != text:
        text = unquote(text)
    text = re.sub(r"\(\s*(?:\+\s*|\s)(\d[\d\s]*)\)", lambda match: "(+" + "".join(match[1].split()) + ")", text)
    outside = re.split(r"(\([^()]*\))", text)
    parts = (re.sub(r"\s+", " ", part) if part.startswith("(") else re.sub(r"\s+", "", part) for part in outside)
    return "".join(part if part.startswith("(") else part.upper() for part in parts)


def split_combined(text: str) -> list[str]:
    """Parts of a notation that joins several with a colon; a colon inside brackets (a Bible verse) joins nothing.

    Example: ``71H71:25F23(LION)`` gives two, ``7(GENESIS 1:1)`` one.
    """
    return [part.strip() for part in re.split(r":(?![^()]*\))(?!//)", text) if part.strip()]


def sort_out(texts: Iterable[str]) -> tuple[list[Notation], dict[str, str]]:
    """Valid notations of some texts in order, combined ones taken apart; and the others with the reason."""
    valid: dict[str, Notation] = {}
    invalid: dict[str, str] = {}
    for text in texts:
        for part in [text] if _URI.match(text.strip()) else split_combined(text):
            try:
                notation = parse(part)
            except InvalidNotationError as error:
                invalid[part] = str(error)
            else:
                valid.setdefault(notation.text, notation)
    return list(valid.values()), invalid


@lru_cache(maxsize=1)
def languages() -> tuple[str, ...]:
    """BCP-47 codes of the languages that the installed vocabulary has texts in, English first."""
    codes = {_CODES.get(code, code) for code in _codes_of_wheel()}
    return tuple(sorted(codes, key=lambda code: (code != "en", code)))


def text_of(notation: Notation, language: str) -> str:
    """Text of a notation, its name filled in and its key after a comma; ``""`` where a part is not translated.

    A name that the vocabulary does not list stays as the notation spells it, in title case, in every language.
    """
    texts = _texts(language)
    text = texts.get(notation.base, "")
    if text and notation.name and "(...)" in notation.base:
        text = _fill_name(text, notation.name)
    if not notation.key or not text:
        return text
    key = texts.get(_key_id(notation), "")
    return f"{text}, {key}" if key else ""


def short_form(text: str) -> str:
    """What a picture shows, without context after a tilde, attributes, bracketed asides and quoted Latin.

    Example: ``the apostle Paul of Tarsus; possible attributes: book, scroll, sword`` -> ``the apostle Paul of Tarsus``.
    """
    short = _ATTRIBUTES.sub("", text.partition(" ~ ")[0])
    short = re.sub(r"(?:(?<=\s)|^)'[^']+'(?=\s|$|[,;(])", "", re.sub(r"\([^()]*\)", "", short))
    short = re.sub(r"\([^(),;]*(?=$|[,;])", "", short)  # some entries never close what they open
    short = re.sub(r"\s+([,;:.])", r"\1", re.sub(r"\s{2,}", " ", short)).strip(" ,;-")
    return short or text.partition(" ~ ")[0].strip()


def attributes_of(notation: Notation, language: str) -> tuple[str, ...]:
    """Attributes that the text of a person lists (``book``, ``key``), without bracketed asides; empty for others."""
    match = _ATTRIBUTES.search(text_of(notation, language))
    if not match:
        return ()
    listed = re.sub(r"\([^()]*\)", "", match["list"].partition(" - ")[0].partition(" ~ ")[0])
    return tuple(" ".join(part.split()) for part in re.split(r"[,、]", listed) if part.strip())


@dataclass(frozen=True, slots=True)
class Parity:
    """How far a language covers some notations.

    ``num_same_as_english`` of its texts read as in English, being names; ``num_untranslated`` entries are English that
    is marked as such or gives itself away, and are no texts of this language.
    """

    language: str
    num_notations: int
    num_texts: int
    num_same_as_english: int
    num_untranslated: int

    @property
    def share(self) -> float:
        """Share of the notations with a text of their own."""
        return self.num_texts / self.num_notations if self.num_notations else 0.0


def parity(notations: Iterable[Notation] | None = None) -> list[Parity]:
    """Coverage of each language over some notations, or over the whole vocabulary without keys."""
    chosen = list(notations) if notations is not None else [_entry(base) for base in _bases()]
    english = [text_of(notation, "en") for notation in chosen]
    rows = []
    for language in languages():
        found = [text_of(notation, language) for notation in chosen]
        same = sum(bool(text) and text == other for text, other in zip(found, english, strict=True))
        untranslated = sum(notation.base in _untranslated(language) for notation in chosen)
        rows.append(Parity(language, len(chosen), sum(map(bool, found)), 0 if language == "en" else same, untranslated))
    return rows


@lru_cache(maxsize=200_000)
def _parse(text: str) -> Notation:
    keys = _KEY.findall(text)
    body = _KEY.sub("", text)
    # Whatever begins otherwise is none, and the vocabulary takes a second to load.
    if not text[:1].isdigit() or len(keys) > 1 or (keys and not text.endswith(")")):
        raise InvalidNotationError(f"{text!r} is no Iconclass notation; write one such as 25F23(LION)(+12)")
    entries = _entries()
    if body not in entries and body.upper() in entries:
        text, body = text.upper(), body.upper()
    found = _NAME.search(body)
    name = found[1].strip() if found else ""
    base = body if body in entries else _NAME.sub("(...)", body, count=1)
    if base not in entries or not base:
        raise InvalidNotationError(f"{text!r} is not in Iconclass; {_nearest(body)}")
    key = keys[0] if keys else ""
    suffixes = (entries[base].get("k") or {}).get("s", ())
    if key and key not in suffixes:
        known = ", ".join(f"(+{suffix})" for suffix in suffixes if len(suffix) == 1) or "none"
        raise InvalidNotationError(f"{text!r}: {base} has no key (+{key}); it has {known}")
    path = [*entries[base]["p"]]
    if base != body:
        start = next(i for i, level in enumerate(path) if "(...)" in level)
        path = [*path[: start + 1], *(level.replace("(...)", f"({name})", 1) for level in path[start:])]
    path += [f"{body}(+{key[:length]})" for length in range(1, len(key) + 1)]
    return Notation(text, base, name, key, tuple(path))


def _entry(base: str) -> Notation:
    return Notation(base, base, "", "", tuple(_entries()[base]["p"]))


def _bases() -> list[str]:
    return [base for base in _entries() if base]


def _nearest(body: str) -> str:
    for end in range(len(body) - 1, 0, -1):
        if body[:end] in _entries():
            return f"the part that is known is {body[:end]}"
    return "no part of it is known"


def _key_id(notation: Notation) -> str:
    return f"{_entries()[notation.base]['k']['k']}{notation.key}"


def _fill_name(text: str, name: str) -> str:
    """Put a name where the text has its first place for one, else behind it; other places are taken out."""
    words = name.lower().split()
    shown = " ".join(
        word if position and word in _SMALL_WORDS else word[:1].upper() + word[1:]
        for position, word in enumerate(words)
    )
    before, *after = _PLACE_OF_NAME.split(text)
    return f"{before}: {shown}{''.join(after)}"


@lru_cache(maxsize=1)
def _vocabulary() -> "Iconclass":
    from iconclass import Iconclass

    return Iconclass()


def _entries() -> dict[str, dict[str, Any]]:
    """Vocabulary entries by notation: ``p`` the path, ``k`` the keys; the package's public ``obj`` lets bad keys by."""
    return cast("dict[str, dict[str, Any]]", _vocabulary()._D)


@lru_cache(maxsize=1)
def _codes_of_wheel() -> tuple[str, ...]:
    """Iconclass's codes of the languages whose text files lie in the wheel."""
    import iconclass

    with zipfile.ZipFile(Path(iconclass.__file__).parent / "data.zip") as archive:
        names = archive.namelist()
    return tuple(sorted(match[1] for name in names if (match := re.fullmatch(r"txt_([a-z]{2})\.txt", name))))


@lru_cache(maxsize=16)
def _loaded(language: str) -> dict[str, str]:
    own = {_CODES.get(code, code): code for code in _codes_of_wheel()}
    if language not in own:
        raise IconoclipError(f"Iconclass has no texts in {language!r} here; it has {', '.join(languages())}")
    vocabulary = _vocabulary()
    vocabulary.load(own[language])
    return vocabulary.texts[own[language]]


@lru_cache(maxsize=16)
def _texts(language: str) -> dict[str, str]:
    """Texts by notation or key, without what nobody has translated."""
    return {n: t.strip() for n, t in _loaded(language).items() if t.strip() and not _is_untranslated(language, n, t)}


@lru_cache(maxsize=16)
def _untranslated(language: str) -> frozenset[str]:
    found = _loaded(language).items()
    return frozenset(notation.lstrip("# ") for notation, text in found if _is_untranslated(language, notation, text))


def _is_untranslated(language: str, notation: str, text: str) -> bool:
    """Lines that begin with # are English copies, and so are some that do not."""
    if notation.startswith("#") or text.lstrip().startswith("#"):
        return True
    return language != "en" and text == _loaded("en").get(notation) and bool(_ENGLISH_WORDS.search(text))
