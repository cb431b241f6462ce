"""What an answer really is: by its bytes, not by what its headers say."""

import gzip
from pathlib import Path

import pytest
from servers.iiif import draw

from data_prep.fetch.answers import FailReason, FetchError
from data_prep.fetch.challenge import inspect_answer, is_challenge, is_cut_off, root_name, sniff

CLOUDFLARE = b'<!DOCTYPE html><html lang="en-US"><head><title>Just a moment...</title></head><body></body></html>'
DATADOME = b'{"url":"https://geo.captcha-delivery.com/captcha/?initialCid=AHrlq"}'
ANUBIS = b"<!doctype html><html><head><title>Making sure you&#39;re not a bot!</title></head></html>"
OAI = b'<?xml version="1.0" encoding="UTF-8"?>\n<!-- a -->\n<OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/">'


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"", "empty"),
        (b" \r\n\x00", "empty"),
        (b"\xff\xd8\xff\xe0", "jpeg"),
        (b"\x89PNG\r\n\x1a\n....", "png"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "webp"),
        (b"II*\x00\x08", "tiff"),
        (b"\x00\x00\x00\x0cjP  \r\n", "jp2"),
        (b"\x00\x00\x00\x1cftypavif", "avif"),
        (b"%PDF-1.7", "pdf"),
        (gzip.compress(b"x", mtime=0), "gzip"),
        (b'  {"a": 1}', "json"),
        (b"\xef\xbb\xbf[1]", "json"),
        (b"<html>", "html"),
        (b"\n<!DOCTYPE HTML PUBLIC>", "html"),
        (b'<?xml version="1.0"?><!DOCTYPE html PUBLIC "-//W3C//DTD XHTML"><html>', "html"),
        (OAI, "xml"),
        ("\ufeff<a/>".encode("utf-16-le"), "xml"),
        (b"not found", "other"),
    ],
)  # fmt: skip
def test_kinds_are_told_by_their_bytes(head: bytes, kind: str) -> None:
    assert sniff(head) == kind


def test_the_root_element_is_found_behind_prolog_comment_and_doctype() -> None:
    assert root_name(OAI) == "OAI-PMH"
    assert root_name(b'<!DOCTYPE mets [<!ENTITY a "<b>">]><mets:mets xmlns:mets="m">') == "mets"
    assert root_name(b"plain") == ""


@pytest.mark.parametrize(
    ("status", "headers", "head"),
    [
        (200, {}, CLOUDFLARE),
        (503, {}, CLOUDFLARE),
        (403, {}, DATADOME),
        (200, {}, ANUBIS),
        (403, {"cf-mitigated": "challenge"}, b""),
        (405, {"x-amzn-waf-action": "captcha"}, b""),
        (403, {}, b"<html><head><script>var dd={'host':'geo.captcha-delivery.com'}</script></head></html>"),
        (200, {}, b"<html><head></head><body><iframe src='/_Incapsula_Resource?x'></body></html>"),
    ],
)
def test_challenge_pages_are_known(status: int, headers: dict[str, str], head: bytes) -> None:
    assert is_challenge(status, headers, head)


@pytest.mark.parametrize(
    "head",
    [
        b"<html><head><title>Maintenance</title></head></html>",
        b"<oai_dc:dc><dc:title>Just a moment, a painting by L. Alma-Tadema</dc:title></oai_dc:dc>",
        b'{"title": "Attention required: captcha-delivery.com"}',
        draw((20, 20)),
    ],
)
def test_what_only_looks_like_a_challenge_is_none(head: bytes) -> None:
    assert not is_challenge(200, {"server": "cloudflare"}, head)


@pytest.mark.parametrize(
    ("head", "expect", "roots", "reason"),
    [
        (b"<html>", "picture", (), FailReason.UNEXPECTED_CONTENT),
        (b"%PDF-1.4", "picture", (), FailReason.UNEXPECTED_CONTENT),
        (b"", "picture", (), FailReason.EMPTY),
        (b"<html>", "xml", (), FailReason.UNEXPECTED_CONTENT),
        (OAI, "xml", ("searchRetrieveResponse",), FailReason.UNEXPECTED_CONTENT),
        (b"<html>", "json", (), FailReason.UNEXPECTED_CONTENT),
        (CLOUDFLARE, "any", (), FailReason.CHALLENGE),
    ],
)
def test_what_was_not_asked_for_is_refused(head: bytes, expect, roots: tuple[str, ...], reason: FailReason) -> None:
    with pytest.raises(FetchError) as caught:
        inspect_answer(head, expect=expect, roots=roots, headers={"content-type": "image/jpeg"})
    assert caught.value.reason is reason
    assert caught.value.retry is (reason is not FailReason.CHALLENGE)


@pytest.mark.parametrize(
    ("head", "expect", "roots"),
    [
        (draw((9, 9)), "picture", ()),
        (OAI, "xml", ("OAI-PMH",)),
        (b"[]", "json", ()),
        (b"<html>", "any", ()),
        (b"", "any", ()),
    ],
)
def test_a_wrong_content_type_does_not_matter(head: bytes, expect, roots: tuple[str, ...]) -> None:
    inspect_answer(head, expect=expect, roots=roots, headers={"content-type": "text/plain"})


def test_a_picture_without_its_end_is_cut_off() -> None:
    picture = draw((64, 64))
    assert not is_cut_off(picture[:100], picture[-100:])
    assert not is_cut_off(picture, picture + b"\x00" * 500)  # some scanners pad
    assert is_cut_off(picture[:100], picture[50:-30])
    assert not is_cut_off(b"II*\x00", b"")


@pytest.mark.real
def test_no_real_answer_is_taken_for_a_challenge_or_for_html(shared_data: Path) -> None:
    files = [path for path in (shared_data / "responses").rglob("*") if path.suffix in (".xml", ".json", ".rdf")]
    assert len(files) > 300
    wrong = []
    for path in files:
        head = path.read_bytes()[:8192]
        if is_challenge(200, {}, head) or sniff(head) in ("html", "other", "empty"):
            wrong.append((path.name, sniff(head)))
    assert not wrong
