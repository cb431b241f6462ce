"""Make records of a parsed object: one per picture, with captions, the rights that hold, and everything else once.

``to_records(parsed, source="estampes", institution="BnF")``. An object without a picture gives one record with an empty
``image_url``, so that its source can reject it with a reason; a deleted one gives none.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from iconoclip.dates import read_years
from iconoclip.records import Caption, Record, Rights

from ..captions import comparable, is_empty_of_meaning
from ..rights import merge_classes
from .labels import is_code, is_shelfmark, without_file_name, without_folio
from .parsed import RIGHTS_PLACES, Parsed, RightsPart, Statement, Text, View, unique
from .text import is_page_label, proper_title, split_title

CAPTION_FIELDS = ("page", "title", "description")
_MAX_DESCRIPTION_CHARS = 2000
_MAX_DATE_CHARS = 200


def to_records(
    parsed: Parsed,
    *,
    source: str,
    institution: str = "",
    language: str = "",
    captions: Sequence[str] = CAPTION_FIELDS,
    dataset_rights: Sequence[Rights] = (),
    document_url: str = "",
    seen_at: str = "",
    previews: bool = False,
) -> list[Record]:
    """Records of one object, in the order of its views.

    ``institution`` stands in where the object names none. ``language`` is that of texts which state none, after the
    cataloguer's. ``captions`` chooses among ``page``, ``title``, ``description``, ``series`` and ``subjects``.
    ``dataset_rights`` fill the parts (work, image, metadata) about which the object says nothing. ``document_url`` is
    where the rights were read. ``previews`` lets thumbnails stand in for missing pictures. The first view has the
    object's own identifier, the others ``id#number``, parts of pages ``id#number-part``: more views later do not change
    it.
    """
    if parsed.deleted:
        return []
    views = [view for view in parsed.views if previews or not view.preview] or [View()]
    return [
        _record(
            parsed,
            view,
            source,
            parsed.institution or institution,
            parsed.metadata_language or language or "und",
            captions,
            dataset_rights,
            document_url,
            seen_at,
        )
        for view in views
    ]


def _record(
    parsed: Parsed,
    view: View,
    source: str,
    institution: str,
    language: str,
    fields: Sequence[str],
    dataset_rights: Sequence[Rights],
    document_url: str,
    seen_at: str,
) -> Record:
    date_text = next((date for date in parsed.dates if any(map(str.isdigit, date))), next(iter(parsed.dates), ""))
    first_year, last_year = _years(parsed)
    rights = _rights(
        parsed, view, institution, dataset_rights, document_url or parsed.manifest or parsed.landing_page, seen_at
    )
    material = next((title.material for text in parsed.titles if (title := split_title(text.text)).material), "")
    return Record(
        id=_identifier(parsed, view),
        source=source,
        institution=institution,
        page_url=parsed.landing_page,
        image_url=view.url or view.path,
        iiif_service=view.iiif_service,
        manifest=parsed.manifest,
        canvas=view.canvas,
        title=proper_title(parsed.titles[0].text) if parsed.titles else "",
        captions=_captions(parsed, view, language, fields),
        creator="; ".join(unique([creator.name for creator in parsed.creators])),
        creator_role="; ".join(unique([creator.role for creator in parsed.creators])),
        date_text=date_text,
        year_min=first_year,
        year_max=last_year,
        place=next(iter(parsed.places), ""),
        subjects=parsed.subjects,
        iconclass=parsed.iconclass,
        technique=next(iter(parsed.techniques), "") or material,
        object_type=next(iter(parsed.types), ""),
        rights=rights,
        rights_class=merge_classes(rights),
        attribution=view.credit or parsed.attribution,
        orig_width=view.width,
        orig_height=view.height,
    )


def _identifier(parsed: Parsed, view: View) -> str:
    if view.part:
        return f"{parsed.id}#{view.number}-{view.part}"
    return parsed.id if view.number == 1 else f"{parsed.id}#{view.number}"


def _years(parsed: Parsed) -> tuple[int | None, int | None]:
    if parsed.year_min is not None:
        return parsed.year_min, parsed.year_max
    return next(
        (years for date in parsed.dates if (years := read_years(date[:_MAX_DATE_CHARS]))[0] is not None), (None, None)
    )


def _captions(parsed: Parsed, view: View, language: str, fields: Sequence[str]) -> tuple[Caption, ...]:
    """Texts that name something, each once; a title is stripped of its material designation and its makers.

    A page's label that repeats a title says nothing about the page.
    """
    page_texts = _page_texts(view)
    titles = {comparable(proper_title(text.text)) for text in parsed.titles} if "title" in fields else set()
    texts: dict[str, Iterable[Text]] = {
        "page": [text for text in page_texts if text.level == "page" and comparable(text.text) not in titles],
        "title": [replace(text, text=proper_title(text.text)) for text in parsed.titles],
        "description": [
            *(text for text in parsed.descriptions if len(text.text) <= _MAX_DESCRIPTION_CHARS),
            *(text for text in page_texts if text.level != "page"),
        ],
        "series": parsed.series,
        "subjects": [Text("; ".join(parsed.subjects), "", "subjects")] if parsed.subjects else [],
    }
    found: dict[str, Caption] = {}
    for field in fields:
        for text in texts[field]:
            if not (is_empty_of_meaning(text.text) or is_code(text.text) or _is_holder(text)):
                caption = Caption(text.text, text.lang or language, text.source, text.level, text.machine)
                found.setdefault(comparable(proper_title(text.text)), caption)
    return tuple(found.values())


def _page_texts(view: View) -> list[Text]:
    """What is said of a page: its label without folio and makers, unless it only counts; other texts as they are."""
    labels = view.texts or (Text(view.label, "", "label", "page"),)
    bare = [
        replace(text, text=proper_title(without_folio(without_file_name(text.text))))
        if text.source.endswith("label")
        else text
        for text in labels
    ]
    return [text for text in bare if not is_page_label(text.text)]


def _is_holder(text: Text) -> bool:
    return text.source.endswith("label") and is_shelfmark(text.text)


def _rights(
    parsed: Parsed, view: View, institution: str, dataset_rights: Sequence[Rights], document_url: str, seen_at: str
) -> tuple[Rights, ...]:
    """Per part the statements at the nearest place; those of the data set where the object says nothing."""
    found: list[Rights] = []
    statements = [*view.rights, *parsed.rights]
    parts: tuple[RightsPart, ...] = ("work", "image", "metadata")
    for part in parts:
        about = [each for each in statements if each.part == part]
        nearest = next((place for place in RIGHTS_PLACES if any(each.place == place for each in about)), None)
        held = [each for each in about if each.place == nearest]
        found += [_right(each, institution, document_url, seen_at) for each in dict.fromkeys(held)]
        if not held:
            found += [each for each in dataset_rights if each.part == part]
    return tuple(found)


def _right(statement: Statement, institution: str, document_url: str, seen_at: str) -> Rights:
    stated = f"{statement.source} of the {statement.place.replace('_', ' ')}"
    return Rights(
        part=statement.part,
        uri=statement.uri,
        raw=statement.raw,
        asserted_by=f"{institution}, {stated}" if institution else stated,
        source_url=document_url,
        seen_at=seen_at,
    )
