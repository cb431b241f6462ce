"""Clean captions and choose the default one that goes into ``KEY.txt``."""

import html
import re
import unicodedata
from collections.abc import Sequence

from iconoclip.records import CAPTION_LEVELS, Caption

# What cataloguers write where there is no title; compared after `comparable`.
STOP_CAPTIONS = frozenset({
    "untitled", "no title", "sans titre", "ohne titel", "o t", "zonder titel", "sin título", "senza titolo",
    "sem título", "uten tittel", "utan titel", "uden titel", "illustration", "ill", "image", "picture", "photo",
    "photograph", "estampe", "dessin", "photographie", "abbildung", "bild", "afbeelding", "prent", "imagen",
    "immagine", "imagem", "s n", "s l", "n a", "unknown", "inconnu", "unbekannt", "onbekend",
})  # fmt: skip

_TAG = re.compile(r"<[a-zA-Z/!][^>]*>")
_PAGE_ONLY = re.compile(
    r"(?:page|p|pagina|seite|s|folio|fol|f|f°|blatt|bl|vue|plate|pl|fig|figure|nr|no|n°)? ?[\divxlc]+[rvab]?"
)


def clean_text(text: str) -> str:
    """Plain, single-spaced NFC text: tags and entities resolved (twice at most), broken UTF-8 mended."""
    if not text.isascii():
        from ftfy import fix_encoding

        text = fix_encoding(text)
    for _ in range(2):
        if "&" in text:
            text = html.unescape(text)
        text = _TAG.sub(" ", text)
    return " ".join(unicodedata.normalize("NFC", text).split())


def comparable(text: str) -> str:
    """The text as it is compared: lower case, without punctuation at its ends, ``[]`` or repeated spaces."""
    return " ".join(re.sub(r"[\[\]().,;:!?\"'“”‘’«»]+", " ", text).casefold().split())


def is_empty_of_meaning(text: str) -> bool:
    """Say whether a caption names nothing: a stop caption, a bare number or page, or no letters."""
    plain = comparable(text)
    return plain in STOP_CAPTIONS or not any(map(str.isalpha, plain)) or _PAGE_ONLY.fullmatch(plain) is not None


def default_caption(captions: Sequence[Caption], prefer: Sequence[str]) -> Caption:
    """The caption of the lowest level (page, object, series); then by ``prefer``; then the first.

    The sequence is not empty.
    """

    def rank(caption: Caption) -> tuple[int, int]:
        language = prefer.index(caption.lang) if caption.lang in prefer else len(prefer)
        return CAPTION_LEVELS.index(caption.level), language

    return min(captions, key=rank)
