"""The Iconclass AI test set: which notations describe this picture, asked in every language that Iconclass has.

``{kind: iconclass_ai}`` fetches the Hub's copy; ``root:`` names a folder with the unpacked zip (``data.json`` beside
the pictures) or with the Hub's Parquet files.
"""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from iconoclip.errors import EvaluationError

from .base import FilesBenchmark, Prepared

if TYPE_CHECKING:
    from iconoclip.iconclass import Notation
    from iconoclip.records import Record

    from ..data import EvalData, Store

_HUB = "biglam/brill_iconclass"
_SALT = "iconclass_ai"


class IconclassAi(FilesBenchmark):
    """Several notations a picture, ranked among all that at least ``min_pictures`` untested pictures have.

    There is no official split: a picture is tested when the hash of its content, with a published salt, lies below
    ``test_share``, so copies of one file fall together and folder and Hub agree. Keys are left off for the classes and
    count in the hierarchy. Notations that read alike in one of the ``languages`` are one class, and every language is
    asked the same classes: the figures are a parity table.
    """

    title = "Iconclass AI test set"
    description = (
        "Prints, emblems, drawings and manuscripts with Iconclass notations from the Arkyves database, 87,749 in all. "
        "Zero-shot ranking of notations by their Iconclass texts, flat and by levels of the hierarchy."
    )
    licence = "notations CC0 1.0; pictures of their institutions"
    citation = "Etienne Posthumus, Brill Iconclass AI Test Set, February 2020, labs.brill.com/ictestset"
    chance = "labels over classes: 1 in the number of classes; printed beside each figure"
    free_baselines = ("most frequent labels",)
    hub_dataset = _HUB
    pinned_revision = None
    revision_source = (
        "the zip is md5 779ba2ca9e977c58d818e3823a676973 at labs.brill.com/ictestset; the Hub's copy states none"
    )

    kind: Literal["iconclass_ai"]
    languages: list[str] = Field(default=["en", "de", "fr", "it", "pt"], min_length=1)
    test_share: float = Field(default=0.1, gt=0, le=1)
    min_pictures: int = Field(default=10, ge=1)
    text: Literal["short", "long"] = "short"

    def prepare(self, data: "EvalData") -> Prepared:
        """Split by content, choose classes by the untested pictures, and ask each language."""
        from iconoclip import iconclass

        from ..data import choose_pictures
        from ..prompts import TEMPLATES, parallel_classes
        from ..tasks.multilabel import MultiLabel, group_labels
        from ._files import gather

        records, store = self._read()
        pictures, facts = gather(self, records, store)
        sorted_out = [iconclass.sort_out(record.iconclass) for record in pictures.records]
        invalid = Counter(text for _, bad in sorted_out for text in bad)
        notations = [found for found, _ in sorted_out]
        tested = [i for i, record in enumerate(pictures.records) if _is_tested(record, self.test_share)]
        if not tested:
            raise EvaluationError(f"{self.shown_name}: no picture is tested; raise `limit` or `test_share`")
        classes = parallel_classes(self._choose(notations, tested), self.languages, is_short=self.text == "short")
        if len(classes.members) < 2:
            raise EvaluationError(
                f"{self.shown_name}: {len(classes.members)} classes have {self.min_pictures} untested pictures and "
                f"texts in {', '.join(self.languages)}; lower `min_pictures` or ask fewer languages"
            )
        chosen = choose_pictures(pictures, tested)
        labels, truths = group_labels(
            [[notation.path for notation in notations[i]] for i in tested],
            [[notation.path for notation in group] for group in classes.members],
        )
        tasks = tuple(
            MultiLabel(
                name=f"zero_shot_{language}",
                pictures=chosen,
                positions=tuple(range(len(tested))),
                labels=labels,
                classes=tuple(group[0].text for group in classes.members),
                class_prompts=classes.prompts(language, TEMPLATES.get(language)),
                language=language,
                paths=tuple(group[0].path for group in classes.members),
                truths=truths,
            )
            for language in self.languages
        )
        facts |= {
            "pictures_tested": len(tested),
            "classes": len(classes.members),
            "pictures_without_a_class": sum(not found for found in labels),
            "notations_not_in_Iconclass": [f"{text} ({count})" for text, count in invalid.most_common()],
            "classes_without_text": {lang: len(found) for lang, found in classes.without_text.items() if found},
        }
        return Prepared(chosen, tasks, facts=facts)

    def _read(self) -> tuple[list["Record"], "Store"]:
        """Records with their notations, from ``data.json`` and files, or from Parquet."""
        from iconoclip.records import Record

        from ._files import Folder, Rows, fetch, parquet_files

        folder = fetch(self, _HUB, ["data/*.parquet"])

        def record(name: str, labels: Sequence[str]) -> Record:
            return Record(id=name, source=self.kind_name, institution="Arkyves", iconclass=tuple(labels))

        if (folder / "data.json").is_file():
            labels = _read_json(folder / "data.json")
            return [record(name, found) for name, found in labels.items()], Folder([folder / name for name in labels])
        rows = Rows(parquet_files(folder, "train"))
        return [record(f"{i:06d}", found or ()) for i, found in enumerate(rows.column("label"))], rows

    def _choose(self, notations: Sequence[Sequence["Notation"]], tested: Sequence[int]) -> list["Notation"]:
        """Notations without keys that enough untested pictures have (of the tested ones where there are no others)."""
        from iconoclip.iconclass import parse

        untested = set(range(len(notations))) - set(tested)
        counts = Counter(
            body for i in (untested or tested) for body in {n.text.partition("(+")[0] for n in notations[i]}
        )
        return [parse(body) for body, count in sorted(counts.items()) if count >= self.min_pictures]


def _is_tested(record: "Record", share: float) -> bool:
    from iconoclip.records import unit_hash

    return unit_hash(record.sha256, _SALT) < share


def _read_json(path: Path) -> dict[str, list[str]]:
    try:
        found: Any = json.loads(path.read_text(encoding="utf-8"))
        return {str(name): [str(label) for label in labels] for name, labels in found.items()}
    except (ValueError, AttributeError, TypeError) as error:
        raise EvaluationError(f"{path}: not a map of file names to notations ({error})") from None
