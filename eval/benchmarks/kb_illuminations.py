"""Illuminations of the KB in words: which notations does a curator's description call for? Texts alone, no pictures.

``{kind: kb_illuminations, root: FOLDER}`` reads every ``*_illum.json`` below the folder: lists of records with
``illuminationID``, ``description`` or ``descriptionEN`` (English) and ``iconClass`` (one or a list).
"""

import json
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from iconoclip.errors import EvaluationError

from .base import FilesBenchmark, Prepared

if TYPE_CHECKING:
    from iconoclip.records import Record

    from ..data import EvalData


class KbIlluminations(FilesBenchmark):
    """Rank the notations of these manuscripts for each English description, with Iconclass texts in each language.

    It asks the text tower alone, across languages: English against English, German, French and the others. Initials
    (``49L12``) and the kind of initial (``49L17``) describe the letter and not the scene, and are left out.
    """

    title = "KB illuminations, descriptions against Iconclass"
    description = (
        "Miniatures and historiated initials in manuscripts of the KB, described in English and in Iconclass by its "
        "curators; the right notations are ranked among all that occur."
    )
    licence = "CC0 1.0"
    citation = "KB, National Library of the Netherlands, descriptions of illuminated manuscripts (JSON export)"
    chance = "right notations over notations; printed beside each figure"
    free_baselines = ("most frequent labels",)
    run_on_real_data = True

    kind: Literal["kb_illuminations"]
    languages: list[str] = Field(default=["en", "de", "fr", "it", "pt"], min_length=1)
    left_out: list[str] = ["49L12", "49L17"]
    min_pictures: int = Field(default=1, ge=1)

    def prepare(self, data: "EvalData") -> Prepared:
        """Read descriptions and notations, and ask each language."""
        from iconoclip import iconclass
        from iconoclip.files import sha256_json

        from ..data import Pictures
        from ..prompts import parallel_classes
        from ..tasks.multilabel import MultiLabel, group_labels
        from ._files import NoPictures, check_revision, need_root

        root = need_root(self, "the KB, National Library of the Netherlands")
        records = self._read(root)
        sorted_out = [iconclass.sort_out(record.iconclass) for record in records]
        notations = [
            [n for n in found if not any(level in self.left_out for level in n.path)] for found, _ in sorted_out
        ]
        kept = [i for i, found in enumerate(notations) if found]
        counts = Counter(n.text for i in kept for n in notations[i])
        asked = [iconclass.parse(text) for text, count in sorted(counts.items()) if count >= self.min_pictures]
        classes = parallel_classes(asked, self.languages, is_short=False)
        if len(classes.members) < 2:
            raise EvaluationError(f"{root}: {len(classes.members)} notations to choose from; lower `min_pictures`")
        revision = sha256_json([[r.id, r.captions[0].text, r.iconclass] for r in records])[:12]
        check_revision(self, revision)
        chosen = tuple(records[i] for i in kept)
        pictures = Pictures(chosen, (None,) * len(chosen), revision, tuple((NoPictures(), i) for i in kept))
        labels, truths = group_labels(
            [[n.path for n in notations[i]] for i in kept],
            [[n.path for n in group] for group in classes.members],
        )
        tasks = tuple(
            MultiLabel(
                name=f"descriptions_{language}",
                pictures=pictures,
                positions=tuple(range(len(chosen))),
                labels=labels,
                classes=tuple(group[0].text for group in classes.members),
                class_prompts=classes.prompts(language),
                language=language,
                paths=tuple(group[0].path for group in classes.members),
                truths=truths,
                primary="r_precision",
                texts=tuple(record.captions[0].text for record in chosen),
                texts_language="en",
            )
            for language in self.languages
        )
        invalid = Counter(text for _, bad in sorted_out for text in bad)
        facts: dict[str, Any] = {
            "notations": len(classes.members),
            "notations_not_in_Iconclass": [f"{text} ({count})" for text, count in invalid.most_common()],
            "classes_without_text": {lang: len(found) for lang, found in classes.without_text.items() if found},
        }
        return Prepared(pictures, tasks, facts=facts)

    def _read(self, root: Path) -> list["Record"]:
        """Records with a description and notations, each illumination once."""
        paths = sorted(root.rglob("*_illum.json"))
        if not paths:
            raise EvaluationError(f"{root}: no *_illum.json below it; is it the folder of the KB's illuminations?")
        found: dict[str, Record] = {}
        for path in paths:
            try:
                rows = json.loads(path.read_text(encoding="utf-8"))["records"]["record"]
                for row in rows:
                    record = self._record(row)
                    if record.captions and record.iconclass:
                        found.setdefault(record.id, record)
            except (ValueError, KeyError, TypeError) as error:
                raise EvaluationError(f"{path}: not a list of illuminations ({error!r})") from None
        if self.limit is not None:
            return list(found.values())[: self.limit]
        return list(found.values())

    def _record(self, row: dict[str, Any]) -> "Record":
        from iconoclip.files import sha256_json
        from iconoclip.records import Caption, Record

        text = " ".join(str(row.get("description") or row.get("descriptionEN") or "").split())
        notations = row.get("iconClass") or []
        years = [int(year) for year in re.findall(r"\d{3,4}", str(row.get("dateRegisterIndex") or ""))]
        kinds = row.get("type") or []
        return Record(
            id=str(row["illuminationID"]),
            source=self.kind_name,
            institution="KB, National Library of the Netherlands",
            captions=(Caption(text, "en", "description", "page"),) if text else (),
            iconclass=tuple([notations] if isinstance(notations, str) else map(str, notations)),
            year_min=min(years, default=None),
            year_max=max(years, default=None),
            object_type="; ".join([kinds] if isinstance(kinds, str) else map(str, kinds)),
            # Equal descriptions have the same answer: they are no independent evidence.
            work_group=f"{self.kind_name}:{sha256_json(text)[:20]}",
        )
