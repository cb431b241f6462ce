"""How many words of a prompt a model has met in training: a word never seen is a random vector, not a concept."""

from collections.abc import Iterable
from dataclasses import dataclass

from .data import words_of

MIN_COVERAGE = 0.80


@dataclass(frozen=True, slots=True)
class Coverage:
    """Share of the distinct words of some prompts that occur in the training captions, and the ones that do not."""

    share: float
    missing: tuple[str, ...]

    @property
    def why_not(self) -> str:
        """Why prompts like these get no score; ``""`` where enough words are known."""
        if self.share >= MIN_COVERAGE:
            return ""
        return (
            f"{self.share:.0%} of the prompts' words occur in the training captions, a score needs "
            f"{MIN_COVERAGE:.0%}; never seen: {', '.join(self.missing)}"
        )


def cover_prompts(prompts: Iterable[str], known_words: frozenset[str]) -> Coverage:
    """Coverage of the distinct words of ``prompts``; without words it is 0.

    Example: prompts "a lion", "a ship" with known words {a, lion} cover 2 of 3.
    """
    words = sorted({word for prompt in prompts for word in words_of(prompt)})
    missing = tuple(word for word in words if word not in known_words)
    return Coverage(1 - len(missing) / len(words) if words else 0.0, missing)
