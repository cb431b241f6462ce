"""What a collection's object view is, from the source to the shard: one flat, typed record.

Sources emit :class:`Record`, shards store it as ``KEY.json``, training and evaluation read it back. Missing text is
``""``, a missing number is None, so that every record has the same keys (Hugging Face ``datasets`` needs that).
"""

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any, Literal, get_args

SCHEMA_VERSION = 1

CaptionLevel = Literal["page", "object", "series"]
RightsPart = Literal["work", "image", "metadata", "terms"]  # terms: the host forbids passing its pictures on
RightsClass = Literal["public_domain", "open", "open_conditions", "restricted", "unknown"]
CAPTION_LEVELS: tuple[str, ...] = get_args(CaptionLevel)

_KEY_SLUG_CHARS = 24
_SHOWABLE = ("public_domain", "open", "open_conditions")


class RejectReason(StrEnum):
    """Why a harvested record is not in the shards; the only reasons a ledger may hold."""

    RIGHTS_UNSTATED = "rights_unstated"
    RIGHTS_NOT_UNDERSTOOD = "rights_not_understood"
    RIGHTS_RESTRICTED = "rights_restricted"
    OPTED_OUT = "opted_out"
    NOT_SELECTED = "not_selected"
    OVERRIDE = "override"
    CAPTION_EMPTY = "caption_empty"
    CAPTION_REPEATED = "caption_repeated"
    ID_MISSING = "id_missing"
    ID_DUPLICATE = "id_duplicate"
    ROW_INVALID = "row_invalid"
    IMAGE_MISSING = "image_missing"
    IMAGE_OUTSIDE_ROOT = "image_outside_root"
    IMAGE_BROKEN = "image_broken"
    IMAGE_TOO_LARGE = "image_too_large"
    IMAGE_TOO_SMALL = "image_too_small"
    IMAGE_PLACEHOLDER = "image_placeholder"
    FETCH_FAILED = "fetch_failed"
    DUPLICATE_OF_EVALUATION = "duplicate_of_evaluation"
    DELETED = "deleted"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Caption:
    """One text about the picture: its language (BCP-47), the field it came from and what it describes."""

    text: str
    lang: str
    source: str
    level: CaptionLevel = "object"
    machine: bool = False


@dataclass(frozen=True, slots=True)
class Rights:
    """One rights statement about one part of the object, as somebody stated it somewhere."""

    part: RightsPart
    uri: str = ""
    raw: str = ""
    asserted_by: str = ""
    source_url: str = ""
    territory: str = ""
    seen_at: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """One view of one heritage object: a picture and everything known about it (schema version 1)."""

    id: str
    source: str
    institution: str
    page_url: str = ""
    image_url: str = ""
    iiif_service: str = ""
    manifest: str = ""
    canvas: str = ""
    title: str = ""
    captions: tuple[Caption, ...] = ()
    creator: str = ""
    creator_role: str = ""
    date_text: str = ""
    year_min: int | None = None
    year_max: int | None = None
    place: str = ""
    subjects: tuple[str, ...] = ()
    iconclass: tuple[str, ...] = ()
    technique: str = ""
    object_type: str = ""
    rights: tuple[Rights, ...] = ()
    rights_class: RightsClass = "unknown"
    attribution: str = ""
    tdm: str = ""
    width: int | None = None
    height: int | None = None
    orig_width: int | None = None
    orig_height: int | None = None
    sha256: str = ""
    phash: str = ""
    dup_group: str = ""
    work_group: str = ""
    split: str = ""

    @property
    def key(self) -> str:
        """Name of the record's files in a shard: content-stable, ``[a-z0-9_-]`` only."""
        return record_key(self.institution, self.id)

    @property
    def is_showable(self) -> bool:
        """Whether a small picture of it may stand in a report: its rights allow it and its host does not forbid it."""
        return self.rights_class in _SHOWABLE and all(each.part != "terms" for each in self.rights)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, keys in the order of the schema."""
        return json.loads(self.to_json())

    def to_json(self) -> str:
        """Canonical JSON: one line, schema order, UTF-8 as it is."""
        plain = {name: getattr(self, name) for name in _FIELD_NAMES}  # `asdict` copies all, in ten times the time
        plain["captions"] = [{name: getattr(each, name) for name in _CAPTION_NAMES} for each in self.captions]
        plain["rights"] = [{name: getattr(each, name) for name in _RIGHTS_NAMES} for each in self.rights]
        return json.dumps(plain, ensure_ascii=False, separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Record":
        """Read what :meth:`to_dict` gave; keys that this version does not know are left out."""
        known = {name: data[name] for name in _FIELD_NAMES if name in data}
        known["captions"] = tuple(Caption(**caption) for caption in known.get("captions") or ())
        known["rights"] = tuple(Rights(**rights) for rights in known.get("rights") or ())
        for name in ("subjects", "iconclass"):
            known[name] = tuple(known.get(name) or ())
        return cls(**known)

    @classmethod
    def from_json(cls, text: str | bytes) -> "Record":
        """Read one record from the JSON of a shard."""
        return cls.from_dict(json.loads(text))


_FIELD_NAMES = tuple(item.name for item in fields(Record))
_CAPTION_NAMES = tuple(item.name for item in fields(Caption))
_RIGHTS_NAMES = tuple(item.name for item in fields(Rights))


@dataclass(frozen=True, slots=True)
class Rejection:
    """A harvested record that is not kept, with the reason; ``detail`` helps a person to mend it."""

    id: str
    source: str
    institution: str
    stage: str
    reason: RejectReason
    detail: str = ""
    first_seen: str = field(default="", compare=False)


def record_key(institution: str, record_id: str) -> str:
    """``slug(institution)[:24]-blake2b(id)``: the same record has the same key in every run."""
    ascii_name = unicodedata.normalize("NFKD", institution).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", ascii_name).strip("-")[:_KEY_SLUG_CHARS].strip("-")
    digest = hashlib.blake2b(record_id.encode(), digest_size=10).hexdigest()
    return f"{slug or 'record'}-{digest}"


def unit_hash(text: str, salt: str) -> float:
    """Uniform number in [0, 1) from a text and a published salt: the same on every machine.

    Splits and folds are thresholds on it, so partners who prepare apart agree on them.
    """
    digest = hashlib.blake2b(text.encode(), digest_size=8, key=salt.encode()[:64]).digest()
    return int.from_bytes(digest, "big") / 2**64


def fold_of(work_group: str, *, folds: int, salt: str) -> int:
    """Fold (0..folds-1) in which a work is held out; all views of a work fall into one fold."""
    return int(unit_hash(work_group, f"fold:{salt}") * folds)


def features_yaml() -> list[dict[str, Any]]:
    """Columns of a shard set as `datasets` writes them on a card, without importing it (which takes 0.3 s)."""
    number, texts = {"dtype": "int32"}, {"list": "string"}
    kinds: dict[str, dict[str, Any]] = {
        "captions": {"list": _columns(_CAPTION_NAMES, {"machine": {"dtype": "bool"}})},
        "rights": {"list": _columns(_RIGHTS_NAMES, {})},
        "subjects": texts, "iconclass": texts,
        "year_min": number, "year_max": number,
        "width": number, "height": number, "orig_width": number, "orig_height": number,
    }  # fmt: skip
    members = {"jpg": {"dtype": "image"}, "json": {"struct": _columns(_FIELD_NAMES, kinds)}}
    return _columns(("jpg", "txt", "json", "__key__", "__url__"), members)


def _columns(names: Iterable[str], kinds: Mapping[str, dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"name": name, **kinds.get(name, {"dtype": "string"})} for name in names]


def __getattr__(name: str) -> Any:
    """Make ``records.FEATURES`` (of `datasets`) on first use."""
    if name == "FEATURES":
        from datasets import Features

        return Features._from_yaml_list(features_yaml())
    raise AttributeError(name)
