"""A small SRU server: pages by position, limits, gaps, diagnostics and the other manners of real ones.

Envelopes as KB.nl (1.2, no nextRecordPosition), DNB (1.1) and SRU 2.0 servers send them; the records are made up.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

from .http import Request, Response
from .oai import write_dc
from .replay import params

_NAMESPACES = {
    "1.1": "http://www.loc.gov/zing/srw/", "1.2": "http://www.loc.gov/zing/srw/",
    "2.0": "http://docs.oasis-open.org/ns/search-ws/sruResponse",
}  # fmt: skip
DIAGNOSTIC = (
    '<diagnostic xmlns="http://www.loc.gov/zing/srw/diagnostic/"><uri>info:srw/diagnostic/1/{code}</uri>'
    "<message>{message}</message></diagnostic>"
)


def write_record(number: int, **fields: str | list[str]) -> str:
    """A print of KB as Dublin Core, with its picture at the resolver."""
    return write_dc(
        **{
            "identifier": f"http://resolver.kb.nl/resolve?urn=prent:{number:03d}",
            "title": f"Gezicht op het slot, blad {number}", "date": "1680", "language": "dut",
            "source": f"http://resolver.kb.nl/resolve/prent-{number:03d}.jpg", "rights": "Publiek domein", **fields,
        }
    )  # fmt: skip


@dataclass
class SruServer:
    """Answers searchRetrieve over ``records`` (by query: ``{"": [...]}`` answers every query).

    ``limit`` is the last position that is listed; ``at_limit`` says how the server refuses more (``diagnostic``,
    ``empty``, ``again``, ``400``). ``hidden`` positions are counted and never given.
    """

    records: dict[str, list[str]]
    version: str = "1.2"
    most: int = 50
    says_next: bool = False
    says_total: bool = True
    says_positions: bool = True
    packing: str = "xml"
    limit: int = 10**6
    at_limit: str = "diagnostic"
    hidden: frozenset[int] = frozenset()
    answer: Callable[[int, dict[str, str]], Response | None] = lambda number, given: None
    asked: list[dict[str, str]] = field(default_factory=list)

    def __call__(self, request: Request) -> Response:
        given = params(request)
        self.asked.append(given)
        instead = self.answer(len(self.asked), given)
        if instead is not None:
            return instead
        records = self.records.get(given["query"], self.records.get("", []))
        start, size = int(given.get("startRecord", 1)), min(int(given.get("maximumRecords", 20)), self.most)
        if start > self.limit or start > len(records) > 0:
            if self.at_limit == "400":
                return Response(400)
            if self.at_limit == "diagnostic" or start > len(records):
                text = DIAGNOSTIC.format(code=61, message="First record position out of range")
                return self._page(len(records), f"<diagnostics>{text}</diagnostics>")
            if self.at_limit == "empty":
                return self._page(len(records), "")
            start = 1
        last = min(start + size - 1, len(records), self.limit)
        items = [self._item(n, records[n - 1]) for n in range(start, last + 1) if n not in self.hidden]
        more = f"<nextRecordPosition>{last + 1}</nextRecordPosition>" if self.says_next and last < len(records) else ""
        return self._page(len(records), f"<records>{''.join(items)}</records>{more}" if items else more)

    def _item(self, number: int, record: str) -> str:
        data = escape(record) if self.packing == "string" else record
        position = f"<recordPosition>{number}</recordPosition>" if self.says_positions else ""
        return (
            f"<record><recordSchema>dcx</recordSchema><recordPacking>{self.packing}</recordPacking>"
            f"<recordData>{data}</recordData>{position}</record>"
        )

    def _page(self, total: int, body: str) -> Response:
        count = f"<numberOfRecords>{total}</numberOfRecords>" if self.says_total else ""
        root = f'<searchRetrieveResponse xmlns="{_NAMESPACES[self.version]}">'
        text = f'<?xml version="1.0" encoding="UTF-8"?>{root}{count}{body}</searchRetrieveResponse>'
        return Response(body=text.encode(), headers={"Content-Type": "text/xml"})
