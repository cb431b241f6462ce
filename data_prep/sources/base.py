"""What every source is: a part of the configuration that yields records, each with a reference to its picture.

A source is one module in this package with one subclass of :class:`Source`; ``kind: local`` in a configuration picks
``local.py``. It yields :class:`Item`; nothing is fetched, decoded or drawn before a worker calls ``picture.read()``.
"""

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, Self

from pydantic import Field, model_validator

from iconoclip.config import Config
from iconoclip.records import Record, RejectReason

Use = Literal["train", "evaluate", "both"]
Holdout = Literal["work", "work_and_page", "folds", "folds_and_page", "none"]
# Left, top, width and height as shares (0 to 1) of the upright picture
Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Drop:
    """Why a record is not kept, and at which stage that was seen."""

    stage: str
    reason: RejectReason
    detail: str = ""


class PictureError(Exception):
    """A picture that cannot be used; becomes a row of ``ledger/rejected.parquet``."""

    def __init__(self, reason: RejectReason, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail

    def __reduce__(self) -> tuple[type["PictureError"], tuple[RejectReason, str]]:
        return type(self), (self.reason, self.detail)


class Picture(Protocol):
    """A reference to a picture, small enough to be sent to a worker process."""

    def fingerprint(self) -> str:
        """What decides the picture's bytes (path, size and time of a file; the seed of a drawing)."""
        ...

    def read(self) -> bytes:
        """The encoded picture.

        Raises:
            PictureError: it is missing, outside the root or too large.
        """
        ...

    @property
    def turn_deg(self) -> int:
        """Degrees by which the picture must be turned clockwise to stand upright."""
        ...

    @property
    def box(self) -> Box | None:
        """The part that is wanted of what :meth:`read` gives; None for all of it."""
        ...

    def file_sha256(self, data: bytes) -> str:
        """Sha256 of the source's file, of which :meth:`read` gave ``data``; empty where the bytes are made here."""
        ...


@dataclass(frozen=True, slots=True)
class Item:
    """What a source yields: a record, its picture, or why it is of no use; ``work`` is the key of the work."""

    record: Record
    picture: Picture | None
    work: str = ""
    drop: Drop | None = None


class Document(Protocol):
    """An answer of a server, or a file that stands for one, as a web source reads it again and again."""

    @property
    def url(self) -> str:
        """Where it came from, without secrets."""
        ...

    @property
    def kind(self) -> str:
        """What it was asked for (``page``, ``manifest``, ``collection``...); the source's own word."""
        ...

    @property
    def problem(self) -> str:
        """Why there is no body; empty where there is one."""
        ...

    @property
    def seen_on(self) -> str:
        """Day (``2026-11-20``) on which its harvest began."""
        ...

    def read(self) -> bytes:
        """The body."""
        ...


@dataclass(frozen=True)
class Surroundings:
    """What a source gets from the run: where relative paths start, the size of stored pictures, what was harvested.

    ``size_px`` is the longer side that pictures are asked for at. ``documents`` are a web source's answers, in order.
    ``store`` is the folder that is kept from run to run.
    """

    root: Path = Path()
    size_px: int = 512
    documents: Iterable[Document] = ()
    store: Path | None = None


@dataclass
class Harvest:
    """Items of a source; ``num_outside`` counts what ``where`` leaves to others and what ``pages`` leaves out."""

    items: Iterator[Item]
    num_outside: int = 0


class Assumption(Config):
    """A right that nobody stated and that the makers of the set assume; the card shows the reason."""

    part: Literal["image", "text", "work"]
    statement: str = Field(min_length=1)
    reason: str = Field(min_length=10)


class Terms(Config):
    """What a host says about passing its pictures on; ``rehost: no`` overrides the licence of every item.

    ``url`` is where the terms can be read, ``note`` their words.
    """

    rehost: Literal["yes", "no"]
    url: str = Field(pattern=r"^https?://")
    note: str = ""


class Source(Config):
    """A collection: where its records come from, what they may be used for, and how works are set apart.

    ``use: both`` trains and tests (``holdout`` says how: whole works or folds of works; either may be joined by single
    pages of known works), ``train`` is never tested on, ``evaluate`` never trained on. ``near_duplicates: false``
    compares files only: for pictures that differ in what a grey thumbnail does not show.
    """

    kind: str
    use: Use = "both"
    holdout: Holdout | None = None
    near_duplicates: bool = True
    terms: Terms | None = None

    @model_validator(mode="after")
    def _holdout_fits_use(self) -> Self:
        if self.use != "both" and self.holdout not in (None, "none"):
            raise ValueError(f"holdout: {self.holdout} needs use: both, got use: {self.use}")
        if self.use == "both" and self.holdout == "none":
            raise ValueError("holdout: none is for use: train; a collection of use: both is tested on")
        return self

    @property
    def resolved_holdout(self) -> Holdout:
        """``work`` unless the configuration says otherwise."""
        return "none" if self.use != "both" else (self.holdout or "work")

    @property
    def is_tested_by_folds(self) -> bool:
        """True where each run leaves out a fold of the collection's works instead of a part being set aside for all."""
        return self.resolved_holdout in ("folds", "folds_and_page")

    @property
    def assumptions(self) -> tuple[Assumption, ...]:
        """Rights that are assumed, for the card."""
        return ()

    @abstractmethod
    def harvest(self, name: str, around: Surroundings) -> Harvest:
        """Records of the collection ``name``, in a fixed order.

        Raises:
            SourceError: the collection cannot be read as its configuration says.
        """
