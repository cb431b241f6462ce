"""Prompts: templates in several languages, texts of notations as classes, and what a text tower makes of them.

A word that a model has never met in training is a random vector, not a concept; what is longer than its context is cut.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from iconoclip.iconclass import Notation, short_form, text_of
from iconoclip.near_duplicates import UnionFind

from .data import words_of

_SHOWN_WORDS = 24
_AT_ONCE = 1024
# A medium and a colon: Iconclass texts are no sentences, and this is grammatical before any of them in each language.
TEMPLATES: dict[str, tuple[str, ...]] = {
    "en": ("{}", "painting: {}", "engraving: {}", "woodcut: {}", "drawing: {}", "miniature in a manuscript: {}"),
    "de": (
        "{}",
        "Gemälde: {}",
        "Kupferstich: {}",
        "Holzschnitt: {}",
        "Zeichnung: {}",
        "Miniatur einer Handschrift: {}",
    ),
    "fr": (
        "{}",
        "peinture : {}",
        "gravure : {}",
        "gravure sur bois : {}",
        "dessin : {}",
        "miniature d'un manuscrit : {}",
    ),
    "it": ("{}", "dipinto: {}", "incisione: {}", "xilografia: {}", "disegno: {}", "miniatura di un manoscritto: {}"),
    "pt": ("{}", "pintura: {}", "gravura: {}", "xilogravura: {}", "desenho: {}", "iluminura de um manuscrito: {}"),
    "nl": ("{}", "schilderij: {}", "gravure: {}", "houtsnede: {}", "tekening: {}", "miniatuur in een handschrift: {}"),
    "ca": ("{}", "pintura: {}", "gravat: {}", "xilografia: {}", "dibuix: {}", "fotografia: {}"),
}


@dataclass(frozen=True, slots=True)
class Coverage:
    """Share of the distinct words of some prompts that occur in the training captions, and the ones that do not."""

    share: float
    missing: tuple[str, ...]

    def why_not(self, needed: float) -> str:
        """Why prompts like these get no score; ``""`` where at least a share ``needed`` of their words is known."""
        if self.share >= needed:
            return ""
        return (
            f"{self.share:.0%} of the prompts' words occur in the training captions, a score needs "
            f"{needed:.0%}; never seen: {shorten_list(self.missing)}"
        )


def shorten_list(words: Sequence[str]) -> str:
    """The first words of a list and how many more there are."""
    more = f" and {len(words) - _SHOWN_WORDS:,} more" if len(words) > _SHOWN_WORDS else ""
    return ", ".join(words[:_SHOWN_WORDS]) + more


def cover_prompts(prompts: Iterable[str], known_words: frozenset[str]) -> Coverage:
    """Coverage of the distinct words of ``prompts``; without words it is 0.

    Example: prompts "a lion", "a ship" with known words {a, lion} cover 2 of 3.
    """
    words = sorted({word for prompt in prompts for word in words_of(prompt)})
    missing = tuple(word for word in words if word not in known_words)
    return Coverage(1 - len(missing) / len(words) if words else 0.0, missing)


@dataclass(frozen=True, slots=True)
class PromptSpread:
    """How much a figure moves with the wording of the prompts, beside how much it moves with the pictures."""

    figures: tuple[float, ...]
    standard_deviation: float
    sampling_error: float

    @property
    def is_lottery(self) -> bool:
        """Whether the wording matters more than the choice of pictures."""
        return self.standard_deviation > self.sampling_error


def prompt_spread(figures_T: Sequence[float], sampling_error: float) -> PromptSpread | None:
    """Spread over template sets; None with fewer than two. The standard deviation divides by T - 1.

    Example: 0.60 and 0.64 with a sampling error of 0.02 have a standard deviation of 0.028: a lottery.
    """
    if len(figures_T) < 2:
        return None
    return PromptSpread(tuple(figures_T), float(np.std(figures_T, ddof=1)), sampling_error)


def fill_templates(names: Sequence[str], templates: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Prompts of each class: every template with its name. Only ``{}`` is a place; other braces stay as they are."""
    return tuple(tuple(template.replace("{}", name) for template in templates) for name in names)


def class_texts(task: Any) -> dict[str, str]:
    """Text of each class of a zero-shot task: its shortest prompt in the task's first language; ``{}`` without prompts.

    Example: ``["vase grec", "une image de vase grec"]`` give ``vase grec``.
    """
    found = {}
    for label, prompts in zip(getattr(task, "classes", ()), getattr(task, "class_prompts", ()), strict=False):
        languages = getattr(task, "prompt_languages", ()) or (task.language,) * len(prompts)
        mine = [prompt for prompt, language in zip(prompts, languages, strict=True) if language == languages[0]]
        found[label] = min(mine, key=len)
    return found


@dataclass(frozen=True, slots=True)
class ParallelClasses:
    """The same classes in several languages: ``names[language][c]`` are the texts of class c."""

    names: dict[str, tuple[str, ...]]
    members: tuple[tuple[Notation, ...], ...]
    without_text: dict[str, tuple[Notation, ...]]

    def prompts(self, language: str, templates: Sequence[str] | None = None) -> tuple[tuple[str, ...], ...]:
        """Prompts of each class in one language; the bare name without templates."""
        return fill_templates(self.names[language], templates or ("{}",))


def parallel_classes(
    notations: Sequence[Notation], languages: Sequence[str], *, is_short: bool = True
) -> ParallelClasses:
    """Classes that every language can be asked: notations with a text in all of them, those that read alike joined.

    Two notations are one class as soon as one language gives them the same text, so that no language is asked an easier
    question than another. A class is called by its first notation.
    """
    texts = {
        language: {n.text: short_form(t) if is_short else t for n in notations if (t := text_of(n, language))}
        for language in languages
    }
    without = {lang: tuple(n for n in notations if n.text not in found) for lang, found in texts.items()}
    asked = [notation for notation in notations if all(notation.text in found for found in texts.values())]
    alike: UnionFind[str] = UnionFind()
    for found in texts.values():
        seen: dict[str, str] = {}
        for notation in asked:
            alike.union(notation.text, seen.setdefault(found[notation.text], notation.text))
    groups: dict[str, list[Notation]] = {}
    for notation in asked:
        groups.setdefault(alike.find(notation.text), []).append(notation)
    members = tuple(tuple(group) for group in groups.values())
    names = {language: tuple(found[group[0].text] for group in members) for language, found in texts.items()}
    return ParallelClasses(names, members, without)


def count_tokens(tokenizer: Any, texts: Sequence[str]) -> list[int]:
    """Tokens of each text with its start and end marks, before anything is cut.

    ``tokenizer`` is ``Model.tokenizer``: open_clip's own for CLIP, or its wrapper of one from transformers.
    """
    if hasattr(tokenizer, "encode"):
        return [len(tokenizer.encode(text)) + 2 for text in texts]
    cleaned = [tokenizer.clean_fn(text) for text in texts]
    return [len(tokens) for tokens in tokenizer.tokenizer(cleaned, verbose=False)["input_ids"]]


@dataclass(frozen=True, slots=True)
class Truncation:
    """How many texts of a language are longer than a model's context, and how many of them read like another one.

    ``num_alike`` are the texts whose tokens, after cutting, are those of a different text: the model is asked about
    them as if they were one.
    """

    num_texts: int
    num_cut: int
    num_alike: int = 0

    @property
    def share(self) -> float:
        """Share that is cut, 0 without texts."""
        return self.num_cut / self.num_texts if self.num_texts else 0.0


def count_cut(
    texts_by_language: Mapping[str, Sequence[str]], tokenizer: Any, *, context_length: int
) -> dict[str, Truncation]:
    """Texts of each language that a tower with this context cuts; captions and prompts alike."""
    found = {}
    for language, texts in texts_by_language.items():
        lengths = count_tokens(tokenizer, list(texts)) if texts else []
        num_cut = sum(length > context_length for length in lengths)
        found[language] = Truncation(len(texts), num_cut, _count_alike(tokenizer, list(dict.fromkeys(texts))))
    return found


def _count_alike(tokenizer: Any, texts: list[str]) -> int:
    rows = [
        tuple(row)
        for start in range(0, len(texts), _AT_ONCE)
        for row in tokenizer(texts[start : start + _AT_ONCE]).tolist()
    ]
    times = Counter(rows)
    return sum(times[row] > 1 for row in rows)
