"""A dataset of the Hugging Face Hub or of this machine, read through `datasets` as a stream.

``path: biglam/brill_iconclass`` is one of the Hub and needs a ``revision`` (a commit); ``path: ./folder`` (Parquet,
imagefolder, webdataset, ``save_to_disk``) or ``./export/*.parquet`` lies under ``root``. Columns become fields by the
rules of ``local``; ``{row}`` is the number of a row, from 0. Pictures are kept as the dataset has them, in the store.
``iconclass_captions: [en, de]`` puts the record's ``iconclass`` notations into words, a caption per language.
"""

import logging
import re
import weakref
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import Literal, Self

from pydantic import model_validator

from iconoclip import iconclass
from iconoclip.errors import SourceError
from iconoclip.records import Caption, RejectReason

from ..hf_rows import TOKEN, KeptPicture, KeptRows
from ..hf_stream import HubStream, fingerprint_files
from ..local_files import LocalPicture
from ..mapping import CaptionText, Text, TextRule, check_columns
from ..paths import parse_path
from ..progress import Progress
from ..tables import Row, Table
from ..tables_join import cells_of, join_tables
from .base import Drop, Harvest, Item, Surroundings
from .local import LocalSource

log = logging.getLogger(__name__)

_HUB_ID = re.compile(r"[\w.-]+(?:/[\w.-]+)?")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_LOOK = 20  # rows by which the rules are checked before the others are read


class HfDatasetSource(LocalSource):
    """``{kind: hf_dataset, path: owner/name, revision: COMMIT, split: train, image: "{image}", ...}``.

    ``name`` is the configuration of a dataset that has several. Code of a dataset is never run.
    """

    kind: Literal["hf_dataset"] = "hf_dataset"  # type: ignore[assignment]  # frozen, so narrowing is safe
    path: str
    name: str = ""
    split: str = "train"
    revision: str = ""
    image: Text = TextRule(value="{image}")
    captions: tuple[CaptionText, ...] = ()
    iconclass_captions: tuple[str, ...] = ()
    table: Literal[""] = ""  # type: ignore[assignment]  # the dataset is the table
    folder: Literal["."] = "."  # type: ignore[assignment]

    @model_validator(mode="after")
    def _check_path(self) -> Self:
        if self.is_local:
            if self.revision:
                raise ValueError("`revision` names a commit of a dataset of the Hub; leave it out for local files")
        elif not _HUB_ID.fullmatch(self.path):
            raise ValueError(
                f"path {self.path!r} is no dataset of the Hub (owner/name); local paths begin with ./ or /"
            )
        elif not self.revision:
            raise ValueError(f"`revision` is missing: {_how_to_pin(self.path)}; local paths begin with ./ or /")
        return self

    @model_validator(mode="after")
    def _check_captions(self) -> Self:
        if not self.captions and not self.iconclass_captions:
            raise ValueError("give `captions`, `iconclass_captions` or both")
        if self.iconclass_captions and self.iconclass is None:
            raise ValueError("iconclass_captions needs `iconclass`: the column of the notations")
        return self

    @property
    def is_local(self) -> bool:
        """Whether ``path`` is one of this machine."""
        return self.path in (".", "..") or self.path.startswith(("./", "../", "/"))

    def harvest(self, name: str, around: Surroundings) -> Harvest:
        """Rows of the dataset in their order, each kept as it comes.

        Raises:
            SourceError: there is no such dataset, configuration or split, or the Hub cannot be reached.
        """
        if around.store is None:
            raise SourceError(f"collection {name}: a dataset needs a store to keep its pictures in")
        unknown = sorted(set(self.iconclass_captions) - set(iconclass.languages()) if self.iconclass_captions else ())
        if unknown:
            known = ", ".join(iconclass.languages())
            raise SourceError(f"collection {name}: Iconclass has no texts in {', '.join(unknown)}; it has {known}")
        harvest = Harvest(iter(()))
        # Without a circle, or rows that `limit` leaves unread would hold their lock until it is collected.
        harvest.items = self._walk(name, around, around.store, weakref.ref(harvest))
        return harvest

    def _walk(self, name: str, around: Surroundings, store: Path, harvest: weakref.ref[Harvest]) -> Iterator[Item]:
        folder = self._folder(around.root, store)
        kept = KeptRows(store, self._facts(around.root), self._image_columns())
        repeats = any(rule.repeated == "drop" for rule in self.captions)
        rows = self._mine(name, around, self._read(name, around.root, kept), kept, harvest)
        several = list(rows) if repeats else []
        repeated = self._repeated_captions(several)
        for row in several or rows:
            item = self._item(name, folder, folder.resolve(), row, repeated, around.size_px)
            yield self._with_kept(item, row, store)

    def _captions(self, row: Row, repeated: list[frozenset[str]]) -> tuple[tuple[Caption, ...], Drop | None]:
        """Captions by the rules, then the notations in words; what Iconclass does not know is left out of these."""
        captions, drop = super()._captions(row, repeated)
        if not self.iconclass_captions or self.iconclass is None:
            return captions, drop
        texts = self.iconclass.texts(row.cells, row.here)
        notations, unknown = iconclass.sort_out(texts)
        found = [(_in_words(notations, lang), lang) for lang in self.iconclass_captions]
        added = tuple(Caption(text, lang, "iconclass", "page") for text, lang in found if text)
        if not captions and not added and drop is None:
            detail = next(iter(unknown.values()), f"no text of {', '.join(texts)}" if texts else "no notation")
            drop = Drop("source", RejectReason.CAPTION_EMPTY, f"iconclass: {detail}")
        is_final = any(rule.required for rule in self.captions)
        return (*captions, *added), drop if is_final or not added else None

    def _with_kept(self, item: Item, row: Row, store: Path) -> Item:
        """The item with its picture from the store, and without what a dataset of the Hub says about this machine."""
        image = self.image.text(row.cells, row.here)
        sha256 = image.removeprefix(TOKEN) if image.startswith(TOKEN) else ""
        if self.id is None and (sha256 or not image):  # one picture may stand in several rows
            part = f"#{sha256[:12]}" if self.each else ""
            record = replace(item.record, id=f"{self.path}/{self.split}/{row.number - 1}{part}")
            item = replace(item, record=record, work=self._text(self.work_from, row) or record.id)
        if sha256:
            turn_deg = item.picture.turn_deg if item.picture else 0
            return replace(item, picture=KeptPicture(str(store), sha256, turn_deg))
        if not image and item.drop and item.drop.reason == RejectReason.ID_MISSING and self.id is None:
            return replace(item, drop=Drop("source", RejectReason.IMAGE_MISSING, f"{row.place} names no picture"))
        if isinstance(item.picture, LocalPicture) and not self.is_local:
            detail = f"{row.place}: {image!r} is the name of a file that the dataset does not hold"
            return replace(item, picture=None, drop=item.drop or Drop("source", RejectReason.IMAGE_MISSING, detail))
        return item

    def _facts(self, root: Path) -> dict[str, object]:
        """What decides the rows: a dataset at a commit, or files as they are now."""
        facts: dict[str, object] = {"path": self.path, "name": self.name, "split": self.split}
        if not self.is_local:
            if not _COMMIT.fullmatch(self.revision):
                raise SourceError(f"revision {self.revision!r} of {self.path} is no commit: {_how_to_pin(self.path)}")
            return facts | {"revision": self.revision}
        return facts | {"path": str((root / self.path).resolve()), "files": fingerprint_files(root, self.path)}

    def _folder(self, root: Path, store: Path) -> Path:
        """Where file names in rows are looked for; those of the Hub name nothing here."""
        path = root / self.path
        return store if not self.is_local else path if path.is_dir() else path.parent

    def _image_columns(self) -> list[str]:
        paths = [parse_path(column) for column in (*self.image.columns(), self.each) if column]
        return sorted({path.steps[0].name for path in paths if path.steps and not path.is_relative})

    def _read(self, name: str, root: Path, kept: KeptRows) -> Iterator[Row]:
        def open_stream() -> HubStream:
            return HubStream(self.path, root, name=self.name, split=self.split, revision=self.revision)

        with Progress(f"{name}: rows", total=None, unit="rows") as progress:
            for row in kept.read(open_stream):
                progress.add(1)
                yield row

    def _mine(
        self, name: str, around: Surroundings, rows: Iterator[Row], kept: KeptRows, harvest: weakref.ref[Harvest]
    ) -> Iterator[Row]:
        """Rows that ``where`` leaves to this collection, after a look at whether the rules fit."""
        where = f"{self.path} (collection {name})"
        first = list(rows if self.join else islice(rows, _LOOK))
        columns = list(dict.fromkeys(["row", *kept.columns, *(column for row in first for column in row.cells)]))
        table = join_tables(around.root, Table(where, columns, first), self.join, where=where)
        if not first:
            raise SourceError(f"{where}: holds no row")
        check_columns(self._rules(), table.columns, where=where, rows=cells_of(table.rows), each=self.each)
        for row in chain(table.rows, rows):
            for each in self._spread(Table(where, table.columns, [row])):
                if each.problem or all(rule.holds(each.cells, each.here) for rule in self.where):
                    yield each
                elif counted := harvest():
                    counted.num_outside += 1


def _in_words(notations: list[iconclass.Notation], lang: str) -> str:
    texts = (iconclass.short_form(iconclass.text_of(notation, lang)) for notation in notations)
    return "; ".join(dict.fromkeys(text for text in texts if text))


def _how_to_pin(path: str) -> str:
    url = f"https://huggingface.co/datasets/{path}"
    return (
        f"give the commit (40 hexadecimal digits) that you have looked at; {url}/commits/main lists them, and "
        f"`git ls-remote {url} refs/heads/main` prints the newest"
    )
