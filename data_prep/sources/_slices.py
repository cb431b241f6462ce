"""Cut a query into several, for servers that list no more than so many records of one query.

``query: 'date = "{slice}"'`` with ``slices: ["1850..1899", undated]`` asks 51 times: for each year, then ``undated``.
"""

import re
from collections.abc import Iterable, Sequence

PLACE = "{slice}"
_RANGE = re.compile(r"(\d{1,6})\.\.(\d{1,6})")
_MAX_SLICES = 10_000


def expand_slices(slices: Sequence[str]) -> tuple[str, ...]:
    """Texts that take the place of ``{slice}``; ``("",)`` where nothing is cut.

    Raises:
        ValueError: a range runs backwards, or there are more than 10,000.
    """
    found: dict[str, None] = {}
    for text in slices:
        match = _RANGE.fullmatch(text.strip())
        if match and int(match[1]) > int(match[2]):
            raise ValueError(f"slices: {text} runs backwards")
        numbers = range(int(match[1]), int(match[2]) + 1) if match else ()
        if len(found) + len(numbers) > _MAX_SLICES:
            raise ValueError(f"slices: {text} makes more than {_MAX_SLICES:,} queries")
        found |= dict.fromkeys(map(str, numbers)) if match else {text: None}
    return tuple(found) or ("",)


def check_slices(slices: Sequence[str], texts: Iterable[str], *, where: str) -> None:
    """Check that ``{slice}`` stands in one of ``texts`` exactly where there are slices; ``where`` names the fields.

    Raises:
        ValueError: one is there without the other, or the slices are wrong.
    """
    has_place = any(PLACE in text for text in texts)
    if bool(slices) != has_place:
        want = f"put {PLACE} into {where}" if slices else f"{where} holds {PLACE}: give `slices`"
        raise ValueError(f"`slices` and {PLACE} go together: {want}")
    expand_slices(slices)
