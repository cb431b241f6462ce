"""Write labels as W3C Web Annotations (JSON-LD), on IIIF canvases where a picture's canvas is known.

One AnnotationPage, as IIIF Presentation 3 has it: viewers load it beside a manifest, cataloguing systems import it.
Model: w3.org/TR/annotation-model; iiif.io/api/presentation/3.0, sections 3.3 and 5.5.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from iconoclip import iconclass
from iconoclip.records import Record

CONTEXTS = ("http://www.w3.org/ns/anno.jsonld", "http://iiif.io/api/presentation/3/context.json")
_NAMESPACE = uuid.UUID("b3f6a2c4-6d0e-5a55-9d2e-0b7b8a6f1c11")


@dataclass(frozen=True)
class Annotated:
    """One label of one picture; ``record`` None for a file of which nothing is known."""

    picture: str
    record: Record | None
    label: str
    probability: float


def annotation_page(
    labels: Sequence[Annotated], *, model: str, weights_sha256: str, created: str, promise: str
) -> dict[str, object]:
    """AnnotationPage of all labels; ids follow from picture, label and weights: the same call gives the same page."""
    generator = {
        "id": f"urn:sha256:{weights_sha256}",
        "type": "Software",
        "name": f"iconoclip with {model}, weights {weights_sha256[:12]}",
    }
    items = [
        {
            "id": _urn(weights_sha256, label.picture, label.label),
            "type": "Annotation",
            "motivation": "tagging",
            "created": created,
            "generator": generator,
            "body": _bodies(label, promise),
            "target": target_of(label.picture, label.record),
        }
        for label in labels
    ]
    page_id = _urn(weights_sha256, *(item["id"] for item in items))
    return {"@context": list(CONTEXTS), "id": page_id, "type": "AnnotationPage", "items": items}


def target_of(picture: str, record: Record | None) -> str:
    """What an annotation is about: the IIIF canvas, else the picture's address, else its page, else the file's name."""
    known = (record.canvas, record.image_url, record.page_url) if record else ()
    address = next((text for text in known if text.startswith(("http://", "https://"))), "")
    return address or quote(picture)


def _bodies(label: Annotated, promise: str) -> list[dict[str, object]]:
    """The label as text, a notation's address, and what is promised, which is a description and no tag."""
    found: list[dict[str, object]] = [
        {"type": "TextualBody", "purpose": "tagging", "value": label.label, "format": "text/plain"}
    ]
    try:
        notation = iconclass.parse(label.label)
    except iconclass.InvalidNotationError:
        pass
    else:
        source = f"https://iconclass.org/{quote(notation.text)}"
        found.append({"type": "SpecificResource", "purpose": "classifying", "source": source})
        found[0]["value"] = f"{notation.text} {iconclass.text_of(notation, 'en')}"
        found[0]["language"] = "en"
    remark = f"machine-made, probability {label.probability:.3f}; {promise}"
    found.append(
        {"type": "TextualBody", "purpose": "describing", "value": remark, "format": "text/plain", "language": "en"}
    )
    return found


def _urn(*parts: str) -> str:
    return f"urn:uuid:{uuid.uuid5(_NAMESPACE, chr(10).join(parts))}"
