"""Tell a picture, an XML or a JSON answer from the HTML that servers send in its place with 200 OK.

``inspect_answer`` looks at status, headers and the first kilobytes. A *challenge* is a page by which a bot defence
keeps programs out: asking again makes it worse, so the host rests and a person must write to the library.
"""

import re
from collections.abc import Mapping

from .answers import Expect, FailReason, FetchError

HEAD_BYTES = 8192

_MAGIC = (
    (b"\xff\xd8\xff", "jpeg"), (b"\x89PNG\r\n\x1a\n", "png"), (b"GIF87a", "gif"), (b"GIF89a", "gif"),
    (b"II*\x00", "tiff"), (b"MM\x00*", "tiff"), (b"II+\x00", "tiff"), (b"MM\x00+", "tiff"),
    (b"\x00\x00\x00\x0cjP  ", "jp2"), (b"\xff\x4f\xff\x51", "jp2"), (b"BM", "bmp"), (b"%PDF-", "pdf"),
    (b"PK\x03\x04", "zip"), (b"\x1f\x8b", "gzip"),
)  # fmt: skip
PICTURE_KINDS = frozenset({"jpeg", "png", "gif", "tiff", "jp2", "bmp", "webp", "avif"})

# What the defences of 2024 to 2026 put into their pages; each is specific enough never to stand in a catalogue record.
_CHALLENGE_TEXTS = re.compile(
    rb"<title>just a moment|_cf_chl_opt|/cdn-cgi/challenge-platform|attention required! \| cloudflare"
    rb"|captcha-delivery\.com|geo\.captcha|incapsula incident id|_incapsula_resource|pardon our interruption"
    rb"|awswafcookiedomainlist|token\.awswaf\.com|making sure you(?:'|&#39;|\xe2\x80\x99)re not a bot"
    rb"|within\.website/x/cmd/anubis|ddos-guard|px-captcha|sucuri_cloudproxy|<title>bot verification"
    rb"|verifying you are human|please enable js and disable any ad blocker",
    re.IGNORECASE,
)
_ROOT = re.compile(rb"<\s*([A-Za-z_][\w.\-]*:)?([A-Za-z_][\w.\-]*)")
_NOT_ROOT = re.compile(rb"<\?.*?\?>|<!--.*?-->|<!DOCTYPE[^>\[]*(?:\[.*?\])?\s*>", re.DOTALL | re.IGNORECASE)


def sniff(head: bytes) -> str:
    """Kind of content by its first bytes: a picture kind, html, xml, json, pdf, zip, gzip, empty or other."""
    if not head.strip(b"\x00\r\n\t "):
        return "empty"
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[4:12] in (b"ftypavif", b"ftypheic", b"ftypmif1"):
        return "avif"
    text = _plain(head).lstrip()
    if text[:1] in (b"{", b"["):
        return "json"
    if text[:1] != b"<":
        return "other"
    root = root_name(head).lower()
    return "html" if root in ("html", "head", "body", "script", "title", "meta", "center") else "xml"


def root_name(head: bytes) -> str:
    """Local name of the first element, behind prolog, comments and DOCTYPE; ``""`` where there is none."""
    text = _plain(head)
    if re.match(rb"\s*<!doctype\s+html", text, re.IGNORECASE):
        return "html"
    match = _ROOT.search(_NOT_ROOT.sub(b"", text))
    return match.group(2).decode("ascii", "replace") if match else ""


def is_challenge(status: int, headers: Mapping[str, str], head: bytes) -> bool:
    """Whether a bot defence answered in the library's place."""
    if headers.get("cf-mitigated", "").lower() == "challenge" or headers.get("x-datadome", "").lower() == "protected":
        return True
    if headers.get("x-amzn-waf-action", "").lower() in ("challenge", "captcha"):
        return True
    if sniff(head) not in ("html", "xml"):
        return status == 403 and b"captcha-delivery.com" in head  # DataDome's JSON form
    return _CHALLENGE_TEXTS.search(head) is not None


def inspect_answer(
    head: bytes, *, expect: Expect, roots: tuple[str, ...], headers: Mapping[str, str], status: int = 200
) -> None:
    """Refuse an answer that is not what was asked for; its content type alone proves nothing, its bytes do.

    Raises:
        FetchError: ``challenge``, ``empty`` or ``unexpected_content``.
    """
    if is_challenge(status, headers, head):
        raise FetchError(FailReason.CHALLENGE, advice(headers))
    kind = sniff(head)
    if expect != "any" and kind == "empty":
        raise FetchError(FailReason.EMPTY, "no bytes, or white space only", retry=True)
    said = headers.get("content-type", "").partition(";")[0].strip().lower() or "no content type"
    if expect == "picture" and kind not in PICTURE_KINDS:
        raise FetchError(FailReason.UNEXPECTED_CONTENT, f"a picture was asked for, {kind} came ({said})", retry=True)
    if expect == "json" and kind != "json":
        raise FetchError(FailReason.UNEXPECTED_CONTENT, f"JSON was asked for, {kind} came ({said})", retry=True)
    if expect == "xml" and (kind != "xml" or (roots and root_name(head) not in roots)):
        wanted = f"XML with the root {' or '.join(roots)}" if roots else "XML"
        got = f"<{root_name(head)}>" if kind in ("xml", "html") else kind
        raise FetchError(FailReason.UNEXPECTED_CONTENT, f"{wanted} was asked for, {got} came ({said})", retry=True)


def advice(headers: Mapping[str, str]) -> str:
    """What a person can do about a challenge."""
    who = headers.get("server", "").split("/")[0] or "a bot defence"
    return f"{who} keeps programs out; write to the library and ask for access or another address"


def is_cut_off(head: bytes, tail: bytes) -> bool:
    """Whether a JPEG or PNG lacks its end mark: for answers whose length nobody stated."""
    if head.startswith(b"\xff\xd8\xff"):
        return b"\xff\xd9" not in tail
    if head.startswith(b"\x89PNG"):
        return b"IEND" not in tail
    return False


def _plain(head: bytes) -> bytes:
    """First bytes as ASCII-compatible text: without byte order mark, UTF-16 brought down."""
    for mark, encoding in ((b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")):
        if head.startswith(mark):
            return head[2:].decode(encoding, "ignore").encode()
    return head.removeprefix(b"\xef\xbb\xbf")
