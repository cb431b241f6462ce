"""What is asked and what comes back: every request is answered once, with a body on disk or a typed reason."""

import json
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

from iconoclip.records import RejectReason

from .redaction import request_key

Expect = Literal["picture", "xml", "json", "any"]


class FailReason(StrEnum):
    """Why there is no answer; the ledger's detail starts with it."""

    UNSAFE_URL = "unsafe_url"
    DNS = "dns"
    CONNECT = "connect"
    TLS = "tls"
    TIMEOUT = "timeout"
    RESET = "reset"
    TRUNCATED = "truncated"
    PROTOCOL = "protocol"
    REDIRECT = "redirect"
    HTTP_401 = "http_401"
    HTTP_403 = "http_403"
    HTTP_404 = "http_404"
    HTTP_410 = "http_410"
    HTTP_429 = "http_429"
    HTTP_4XX = "http_4xx"
    HTTP_5XX = "http_5xx"
    CHALLENGE = "challenge"
    UNEXPECTED_CONTENT = "unexpected_content"
    EMPTY = "empty"
    TOO_LARGE = "too_large"
    BAD_ENCODING = "bad_encoding"
    ROBOTS = "robots"
    TDM = "tdm"
    X_ROBOTS = "x_robots"
    BUDGET = "budget"
    HOST_DOWN = "host_down"
    HOST_PAUSED = "host_paused"

    @property
    def is_final(self) -> bool:
        """True where asking again, with the same configuration, would give the same: such answers are remembered."""
        return self in _FINAL

    @property
    def is_opt_out(self) -> bool:
        """True where the host, by a machine-readable signal, does not want it."""
        return self in (FailReason.ROBOTS, FailReason.TDM, FailReason.X_ROBOTS)


# Not 401 (a key may be missing today) and no odd content (a maintenance page would shut out a whole collection).
_FINAL = frozenset(
    {FailReason.HTTP_403, FailReason.HTTP_404, FailReason.HTTP_410, FailReason.HTTP_4XX, FailReason.TOO_LARGE}
)


@dataclass(frozen=True, slots=True)
class Signals:
    """What the host says about robots and text-and-data mining for one URL, and what was made of it.

    ``robots``: allowed, disallowed, none (no file), unreachable or unread. ``tdm_reservation`` is 1, 0 or null
    (unstated). ``ai_disallowed`` names other people's AI crawlers that robots.txt shuts out of this URL.
    """

    robots: str = "unread"
    crawl_delay_s: float | None = None
    ai_disallowed: tuple[str, ...] = ()
    tdm_reservation: int | None = None
    tdm_policy: str = ""
    tdm_source: str = ""
    x_robots: tuple[str, ...] = ()
    overridden: tuple[str, ...] = ()

    def to_text(self) -> str:
        """One line for ``Record.tdm``: ``robots=allowed; tdm-reservation=0 (file)``; empty when nothing was read."""
        parts = [f"robots={self.robots}"] if self.robots != "unread" else []
        if self.ai_disallowed:
            parts.append(f"robots-ai-disallowed={','.join(self.ai_disallowed)}")
        if self.tdm_reservation is not None:
            parts.append(f"tdm-reservation={self.tdm_reservation} ({self.tdm_source})")
        if self.tdm_policy:
            parts.append(f"tdm-policy={self.tdm_policy}")
        if self.x_robots:
            parts.append(f"x-robots-tag={','.join(self.x_robots)}")
        if self.overridden:
            parts.append(f"overridden={','.join(self.overridden)}")
        return "; ".join(parts)

    def to_json(self) -> str:
        """What differs from the default, as one line of JSON."""
        plain = asdict(Signals())
        return json.dumps({name: value for name, value in asdict(self).items() if value != plain[name]})

    @classmethod
    def from_json(cls, text: str) -> "Signals":
        """Read what :meth:`to_json` gave."""
        data: dict[str, Any] = json.loads(text or "{}")
        for name in ("ai_disallowed", "x_robots", "overridden"):
            if name in data:
                data[name] = tuple(data[name])
        return cls(**data)


@dataclass(frozen=True, slots=True)
class FetchRequest:
    """One thing to ask for.

    ``roots`` are the names that the root element of an XML answer may have (``OAI-PMH``). ``revalidate`` asks the host
    whether a stored answer has changed instead of using it as it is. ``tag`` is the caller's own name for it. ``name``
    replaces the URL where the store must find the answer again (a picture at a size, whatever its final URL was).
    """

    url: str
    expect: Expect = "any"
    accept: str = ""
    roots: tuple[str, ...] = ()
    revalidate: bool = False
    tag: str = ""
    name: str = ""

    @property
    def key(self) -> str:
        """What the store calls the answer: the same in every run and for every holder of a key."""
        return request_key(self.name or self.url, self.expect, self.accept)


@dataclass(frozen=True, slots=True)
class Fetched:
    """An answer; its body lies at ``path``, named by its sha256. ``url`` is where it came from, without secrets.

    ``note`` says what is odd about a picture's size, ``from_store`` that nothing was transferred, ``not_modified`` that
    the host was asked and said so.
    """

    request: FetchRequest
    url: str
    status: int
    path: Path
    sha256: str
    num_bytes: int
    content_type: str = ""
    etag: str = ""
    last_modified: str = ""
    fetched_at: str = ""
    signals: Signals = field(default_factory=Signals)
    width: int | None = None
    height: int | None = None
    note: str = ""
    num_attempts: int = 1
    from_store: bool = False
    not_modified: bool = False

    def read(self) -> bytes:
        """The body, decoded from its content encoding."""
        return self.path.read_bytes()


@dataclass(frozen=True, slots=True)
class FetchFailed:
    """No answer, and why; ``detail`` holds no secret."""

    request: FetchRequest
    reason: FailReason
    detail: str = ""
    status: int | None = None
    signals: Signals = field(default_factory=Signals)
    num_attempts: int = 0
    from_store: bool = False

    @property
    def is_final(self) -> bool:
        """True where the same request would fail the same way."""
        return self.reason.is_final

    @property
    def reject_reason(self) -> RejectReason:
        """The ledger's reason."""
        if self.reason.is_opt_out:
            return RejectReason.OPTED_OUT
        if self.reason is FailReason.TOO_LARGE:
            return RejectReason.IMAGE_TOO_LARGE
        if self.reason in (FailReason.HTTP_404, FailReason.HTTP_410):
            return RejectReason.IMAGE_MISSING
        return RejectReason.FETCH_FAILED

    @property
    def text(self) -> str:
        """``http_404: HTTP 404 from https://...``: the ledger's detail."""
        return f"{self.reason.value}: {self.detail}" if self.detail else self.reason.value


Answer = Fetched | FetchFailed


class FetchError(Exception):
    """Raised inside the fetcher and turned into :class:`FetchFailed` at its border."""

    def __init__(self, reason: FailReason, detail: str, *, status: int | None = None, retry: bool = False) -> None:
        super().__init__(detail)
        self.reason, self.detail, self.status, self.retry = reason, detail, status, retry
        self.signals = Signals()
        self.num_attempts = 0
        self.num_wire_bytes = 0
        self.retry_after_s: float | None = None
