"""Labels of pages and manifests: what they say beside a folio, a file name or a call number.

``without_folio("f. 33v [The king is murdered]")`` is what the page shows; ``is_shelfmark`` tells a label that is only
the holder and the call number, as the BnF's, from a title.
"""

import re

_FOLIO = re.compile(
    r"^(?:(?:ff?|fols?|folio|pp?|page|s|seite|bl|blatt|vue)\.? ?\d{1,4} ?[rvab]?|\d{1,4} ?[rv])"
    r"(?: ?[-–] ?\d{1,4} ?[rvab]?)?(?:[:,.;]? ?(?P<bracket>[\[(])|:| [–—-]) ?(?P<rest>.+)$",
    re.I,
)


def without_folio(text: str) -> str:
    """What a page label says behind its number: ``f. 33v [The king is murdered]`` is ``The king is murdered``."""
    match = _FOLIO.match(text.strip())
    if not match:
        return text
    rest = match["rest"].strip()
    return rest.removesuffix({"[": "]", "(": ")"}.get(match["bracket"], "")).strip() or text


def without_file_name(text: str) -> str:
    """``File:A Burial at Ornans.jpg`` (Wikimedia) as a title: without the name space and the ending."""
    return re.sub(r"^File:(.+?)\.(?:jpe?g|tiff?|png)$", r"\1", text.strip(), flags=re.I)


def is_code(text: str) -> bool:
    """Say whether a text is a call number and no words: ``BU29``, ``C1685/98``, ``6b/2/2 OM E467.S53``."""
    runs = re.findall(r"[^\W\d_]+", text)
    longest = 2 if " " in text.strip() else 4
    return any(map(str.isdigit, text)) and all(run.isascii() and len(run) <= longest for run in runs)


_HOLDER = re.compile(
    r"\b(?:bnf|kbr|librar(?:y|ies)|biblioth\w+|bibliote\w+|\w*bibliothek|(?:stadt|staats|landes)?archiv\w*|mus[ée]+um?|"
    r"d[ée]parte?ment|college)\b",
    re.I,
)


def is_shelfmark(text: str) -> bool:
    """Say whether a title is the holder and the call number: ``BnF, département Cartes et plans, GE FF-18595 (79)``."""
    holder, comma, last = text.rpartition(",")
    if not comma:
        words = re.match(r"^((?:[\w'’.]+ ){1,3}(?:Library|Libraries|College))\b(.*)$", text)
        holder, last = (words[1], words[2]) if words else ("", "")
    is_year = re.fullmatch(r"\W*(?:ca?\.? ?)?1\d{3}\W*", last)
    is_number = any(map(str.isdigit, last)) and not is_year and ":" not in last and len(last.split()) <= 5
    return bool(is_number and _HOLDER.search(holder))
