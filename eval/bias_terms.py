"""Find words in captions and prompts that collections discuss as harmful or contested; flag them, never change them.

The list (``contested_terms.csv``) holds terms of two glossaries, English and Dutch, of Words Matter (National Museum of
World Cultures 2018; as a graph: Nesterov and others 2023, doi 10.1007/978-3-031-33455-9_30, CC BY-SA 4.0), which says
why and what to write instead. A word is no verdict: many have another meaning (``ambiguous``), stand in a historical
title, or are what people call themselves.
"""

import csv
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from iconoclip.errors import EvaluationError

_COLUMNS = ("term", "language", "forms", "ambiguous", "source")
_EXAMPLES = 3
_AROUND = 60


@dataclass(frozen=True)
class Term:
    """One contested term with its other word forms; ``ambiguous`` ones mostly mean something else."""

    term: str
    language: str
    forms: tuple[str, ...]
    ambiguous: bool
    source: str


@dataclass
class Flag:
    """How often a term was found in some texts, and a few places with the words around it."""

    term: Term
    count: int = 0
    examples: list[tuple[str, str]] = field(default_factory=list)


def read_terms(paths: Sequence[Path] = ()) -> list[Term]:
    """Terms of the list that comes with iconoclip, and of further ones in the same columns.

    Raises:
        EvaluationError: a list lacks a column or a value.
    """
    return [term for path in (Path(__file__).with_name("contested_terms.csv"), *paths) for term in _read(path)]


def _read(path: Path) -> list[Term]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            missing = [name for name in _COLUMNS if name not in (rows.fieldnames or ())]
            if missing:
                raise EvaluationError(f"{path}: no column {', '.join(missing)}; it needs {', '.join(_COLUMNS)}")
            return [_term(row, f"{path}, row {number}") for number, row in enumerate(rows, start=2)]
    except OSError as error:
        raise EvaluationError(f"{path}: {error.strerror}; `contested_terms` names CSV files") from None
    except UnicodeDecodeError:
        raise EvaluationError(f"{path}: not UTF-8; save it as UTF-8") from None


def _term(row: dict[str, str | None], where: str) -> Term:
    values = {name: (row[name] or "").strip() for name in _COLUMNS}
    empty = [name for name in ("term", "language", "source") if not values[name]]
    if empty or values["ambiguous"] not in ("yes", "no"):
        what = f"no {', '.join(empty)}" if empty else f"ambiguous is {values['ambiguous']!r}; write yes or no"
        raise EvaluationError(f"{where}: {what}")
    forms = tuple(form.strip() for form in values["forms"].split(";") if form.strip())
    return Term(values["term"], values["language"], forms, values["ambiguous"] == "yes", values["source"])


def flag_terms(texts: Iterable[tuple[str, str, str]], terms: Sequence[Term]) -> list[Flag]:
    """Terms that occur in (where, text, language) of some texts, the most frequent first; each text counts once a term.

    Terms are looked for in texts of their own language; in texts of no stated one (``und``) all are.
    """
    patterns = {language: _pattern([t for t in terms if t.language == language]) for language in _languages(terms)}
    flags: dict[tuple[str, str], Flag] = {}
    for where, text, language in texts:
        plain = unicodedata.normalize("NFC", text)
        for own, (pattern, by_form) in patterns.items():
            if not _is_searched(language, own):
                continue
            found = {by_form[match[0].casefold()]: match for match in reversed(list(pattern.finditer(plain)))}
            for term, match in found.items():
                flag = flags.setdefault((term.language, term.term), Flag(term))
                flag.count += 1
                if len(flag.examples) < _EXAMPLES:
                    flag.examples.append((where, _around(plain, match)))
    return sorted(flags.values(), key=lambda flag: (-flag.count, flag.term.language, flag.term.term))


def num_searched(texts: Iterable[tuple[str, str, str]], term: Term) -> int:
    """In how many texts a term was looked for: those of its language and those of no stated one."""
    return sum(_is_searched(language, term.language) for _, _, language in texts)


def _is_searched(language: str, own: str) -> bool:
    return language.partition("-")[0] in (own, "und", "")


def _languages(terms: Sequence[Term]) -> list[str]:
    return list(dict.fromkeys(term.language for term in terms))


def _pattern(terms: Sequence[Term]) -> tuple[re.Pattern[str], dict[str, Term]]:
    """Whole words of any form, the longest first, so that `bush negro` is not `negro`; and the term of each form."""
    by_form = {form.casefold(): term for term in terms for form in (term.term, *term.forms)}
    longest = sorted(by_form, key=lambda form: (-len(form), form))
    inner = "|".join(re.escape(form) for form in longest)
    return re.compile(rf"(?<!\w)(?:{inner})(?!\w)", re.IGNORECASE), by_form


def _around(text: str, match: re.Match[str]) -> str:
    start, end = max(0, match.start() - _AROUND), min(len(text), match.end() + _AROUND)
    shown = " ".join(text[start:end].split())
    return f"{'…' if start else ''}{shown}{'…' if end < len(text) else ''}"
