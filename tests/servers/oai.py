"""A small OAI-PMH repository: pages, tokens that expire or come twice, deletions, selective harvesting by datestamp."""

from collections.abc import Callable
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

from .http import Request, Response
from .replay import params

_FRAME = (
    '<?xml version="1.0" encoding="UTF-8"?><OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/">'
    "<responseDate>2026-11-20T00:00:00Z</responseDate><request>{verb}</request>{body}</OAI-PMH>"
)


def write_dc(**fields: str | list[str]) -> str:
    """An ``oai_dc:dc`` element; ``rights="..."``, ``title=[...]``."""
    cells = [
        f"<dc:{name}>{escape(value)}</dc:{name}>"
        for name, values in fields.items()
        for value in ([values] if isinstance(values, str) else values)
    ]
    return (
        '<oai_dc:dc xmlns:oai_dc="http://www.openarchives.org/OAI/2.0/oai_dc/" '
        f'xmlns:dc="http://purl.org/dc/elements/1.1/">{"".join(cells)}</oai_dc:dc>'
    )


@dataclass
class OaiRecord:
    """A record; ``metadata`` empty means deleted."""

    identifier: str
    datestamp: str
    metadata: str


@dataclass
class OaiRepository:
    """Answers Identify and ListRecords; ``is_expired(token, number of requests)`` refuses a token."""

    records: list[OaiRecord]
    page_size: int = 3
    deleted: str = "persistent"
    granularity: str = "YYYY-MM-DDThh:mm:ssZ"
    is_expired: Callable[[str, int], bool] = lambda token, count: False
    next_token: Callable[[str], str] = lambda token: token
    fail_after: int | None = None
    asked: list[dict[str, str]] = field(default_factory=list)

    def __call__(self, request: Request) -> Response:
        given = params(request)
        if "verb" not in given:
            return Response(404)
        self.asked.append(given)
        if self.fail_after is not None and len(self.asked) > self.fail_after:
            return Response(404)
        body = self._identify() if given["verb"] == "Identify" else self._list(given)
        return Response(
            body=_FRAME.format(verb=given["verb"], body=body).encode(), headers={"Content-Type": "text/xml"}
        )

    def _identify(self) -> str:
        earliest = min(record.datestamp for record in self.records)
        return (
            f"<Identify><repositoryName>Test</repositoryName><protocolVersion>2.0</protocolVersion>"
            f"<earliestDatestamp>{earliest}</earliestDatestamp><deletedRecord>{self.deleted}</deletedRecord>"
            f"<granularity>{self.granularity}</granularity></Identify>"
        )

    def _list(self, given: dict[str, str]) -> str:
        token = given.get("resumptionToken", "")
        if token and (len(given) > 2 or self.is_expired(token, len(self.asked))):
            return '<error code="badResumptionToken">The token has expired</error>'
        begin, end, start = token.split("|") if token else (given.get("from", ""), given.get("until", ""), "0")
        found = [
            each
            for each in self.records
            if each.datestamp[: len(begin) or None] >= begin and (not end or each.datestamp[: len(end)] <= end)
        ]
        if not found:
            return '<error code="noRecordsMatch">Nothing</error>'
        position = int(start)
        following = position + self.page_size
        more = self.next_token(f"{begin}|{end}|{following}") if following < len(found) else ""
        items = "".join(map(_item, found[position:following]))
        token = f'<resumptionToken completeListSize="{len(found)}">{more}</resumptionToken>'
        return f"<ListRecords>{items}{token}</ListRecords>"


def _item(record: OaiRecord) -> str:
    head = f"<identifier>{record.identifier}</identifier><datestamp>{record.datestamp}</datestamp>"
    if not record.metadata:
        return f'<record><header status="deleted">{head}</header></record>'
    return f"<record><header>{head}</header><metadata>{record.metadata}</metadata></record>"
