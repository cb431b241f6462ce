"""Make rights statements of what a field holds: URI, HTML anchor or words, as they stood and as they are understood."""

import re
from functools import lru_cache

from iconoclip.records import RightsPart

from ..captions import clean_text
from ..rights import Statement as Meaning
from ..rights import read_statement
from .parsed import RightsPlace, Statement

MAX_STATEMENT_CHARS = 3_000


@lru_cache(maxsize=4096)
def meaning_of(raw: str) -> Meaning:
    """Normalised URI and class of a statement; the same few stand in all records of a collection."""
    return read_statement(raw[:MAX_STATEMENT_CHARS])


def statement(raw: str, part: RightsPart, place: RightsPlace, source: str) -> Statement:
    """The statement without its HTML, the first address of an anchor behind it: nothing that was said is lost."""
    raw = raw[:MAX_STATEMENT_CHARS]
    text = clean_text(raw)
    anchor = re.search(r"href\s*=\s*[\"']?(https?://[^\"'\s>]+)", raw, re.I)
    text = f"{text} <{anchor[1]}>" if anchor and anchor[1] not in text else text
    return Statement(text, meaning_of(raw).uri, part, place, source)


def says_something(raw: str) -> bool:
    """Say whether a sentence names a licence or says what is allowed; an attribution mostly only names an owner."""
    meaning = meaning_of(raw)
    return bool(meaning.uri) or meaning.rights_class != "unknown"
