"""Count records one at a time: what `iconoclip inspect` knows about shards, with no picture held in memory."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from iconoclip.dates import century, ordinal
from iconoclip.records import Record

NOT_STATED = "not stated"


@dataclass
class Part:
    """Counts of one group of records (a split, a collection, a collection within a split)."""

    num_pictures: int = 0
    works: Counter[str] = field(default_factory=Counter)
    num_captions: int = 0
    languages: Counter[str] = field(default_factory=Counter)
    institutions: Counter[str] = field(default_factory=Counter)

    def add(self, record: Record) -> None:
        """Count one record."""
        self.num_pictures += 1
        self.works[record.work_group or record.id] += 1
        self.num_captions += len(record.captions)
        self.languages.update({caption.lang or NOT_STATED for caption in record.captions})
        self.institutions[record.institution or NOT_STATED] += 1

    @property
    def largest_work(self) -> tuple[str, int]:
        """Name and number of pictures of the largest work; ties go to the name that sorts first."""
        if not self.works:
            return "", 0
        return min(self.works.items(), key=lambda item: (-item[1], item[0]))


@dataclass
class Language:
    """Captions in one language: how many, on how many pictures, how long in words, how many not by a person."""

    num_pictures: int = 0
    num_captions: int = 0
    num_machine: int = 0
    lengths: list[int] = field(default_factory=list)

    @property
    def median_words(self) -> float:
        """Median number of words, 0 without captions."""
        return median(self.lengths) if self.lengths else 0


@dataclass
class Tally:
    """All counts of some shards, filled by :meth:`add`."""

    splits: dict[str, Part] = field(default_factory=lambda: defaultdict(Part))
    collections: dict[str, Part] = field(default_factory=lambda: defaultdict(Part))
    cells: Counter[tuple[str, str]] = field(default_factory=Counter)
    institutions: Counter[str] = field(default_factory=Counter)
    languages: dict[str, Language] = field(default_factory=lambda: defaultdict(Language))
    caption_sources: Counter[tuple[str, str]] = field(default_factory=Counter)
    centuries: Counter[int | None] = field(default_factory=Counter)
    rights: Counter[str] = field(default_factory=Counter)
    sizes: dict[str, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))
    shards: dict[str, tuple[int, int]] = field(default_factory=dict)
    works_of_caption: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    splits_of_work: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    unreadable: Counter[str] = field(default_factory=Counter)
    num_without_caption: int = 0

    def add_shards(self, split: str, paths: Sequence[Path]) -> None:
        """Note the tars of a split: how many, and their bytes."""
        self.shards[split] = (len(paths), sum(path.stat().st_size for path in paths))

    def add_unreadable(self, split: str) -> None:
        """Count a sample whose record cannot be read."""
        self.unreadable[split] += 1

    def add(self, split: str, record: Record, *, size: tuple[int, int] | None) -> None:
        """Count one record; ``size`` is width and height in pixels, None if not known."""
        source = record.source or NOT_STATED
        self.splits[split].add(record)
        self.collections[source].add(record)
        self.cells[source, split] += 1
        self.institutions[record.institution or NOT_STATED] += 1
        self.centuries[century_of(record.year_min, record.year_max)] += 1
        self.rights[record.rights_class] += 1
        self.splits_of_work[record.work_group or record.id].add(split)
        if size is not None:
            self.sizes[split].append(size)
        if not record.captions:
            self.num_without_caption += 1
        self._add_captions(record)

    def _add_captions(self, record: Record) -> None:
        for lang in {caption.lang or NOT_STATED for caption in record.captions}:
            self.languages[lang].num_pictures += 1
        for caption in record.captions:
            language = self.languages[caption.lang or NOT_STATED]
            language.num_captions += 1
            language.num_machine += caption.machine
            language.lengths.append(len(caption.text.split()))
            self.caption_sources[caption.level, caption.source] += 1
            if caption.source != "label":  # a label is meant to stand on many works
                self.works_of_caption[caption.text].add(record.work_group or record.id)

    @property
    def num_pictures(self) -> int:
        """Records that could be read."""
        return sum(part.num_pictures for part in self.splits.values())

    @property
    def num_works(self) -> int:
        """Distinct works over all splits."""
        return len(self.splits_of_work)


def century_of(year_min: int | None, year_max: int | None) -> int | None:
    """Century of the middle of a span of years: 1801 and 1900 are in the 19th; -50 is in the -1st; None if undated."""
    years = [year for year in (year_min, year_max) if year is not None]
    if not years:
        return None
    return century(sum(years) // len(years))


def century_name(year_min: int | None, year_max: int | None) -> str:
    """``16th century``, ``5th century BC`` or ``undated``."""
    return name_century(century_of(year_min, year_max))


def name_century(number: int | None) -> str:
    """``16`` -> ``16th century``; None -> ``undated``."""
    if number is None:
        return "undated"
    return f"{ordinal(abs(number))} century{' BC' if number < 0 else ''}"
