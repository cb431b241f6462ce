"""URLs from remote metadata: only the web, no private address, no secret in any text."""

import asyncio
import contextlib
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.fetch.answers import FailReason, FetchError
from data_prep.fetch.guard import check_url, host_of, is_private, join_redirect, refuse_local_name, resolve_public
from data_prep.fetch.redaction import redact, request_key, without_keys


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "pipe:cat /etc/passwd",
        "pipe:curl%20http://a.example",
        "ftp://library.example/a.jpg",
        "gopher://library.example",
        "data:image/png;base64,AAAA",
        "javascript:alert(1)",
        "//library.example/a.jpg",
        "library.example/a.jpg",
        "/local/path.jpg",
        "",
        "http://",
        "http:///a.jpg",
        "https://user:secret@library.example/a.jpg",
        "http://library.example:22/",
        "http://library.example:99999/",
        "http://[::1/",
        "http://library.example/a\r\nX-Injected: 1",
        "http://library.example/a b.jpg",
        "http://library.example\\@10.0.0.1/",
        "http://library.example/" + "a" * 9000,
    ],
)
def test_anything_but_a_plain_web_address_is_refused(url: str) -> None:
    with pytest.raises(FetchError) as caught:
        check_url(url)
    assert caught.value.reason is FailReason.UNSAFE_URL
    assert "secret" not in caught.value.detail


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://IIIF.Library.example/a.jpg", "iiif.library.example"),
        ("http://library.example:80/a", "library.example"),
        ("https://library.example:443/a", "library.example"),
        ("https://library.example:8443/a", "library.example:8443"),
        ("http://library.example./a", "library.example"),
        ("http://[2001:db8::1]:8080/a", "[2001:db8::1]:8080"),
        ("https://bücher.example/%C3%A9?x=1#f", "bücher.example"),
    ],
)
def test_http_and_https_of_a_name_are_one_host(url: str, host: str) -> None:
    assert host_of(check_url(url)) == host


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.9.9.9", "10.0.0.1", "172.16.5.4", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
        "224.0.0.1", "255.255.255.255", "192.0.2.1", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "ff02::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2002:a00:1::",
    ],
)  # fmt: skip
def test_private_addresses_are_known_in_all_their_forms(address: str) -> None:
    assert is_private(address)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "193.48.244.5", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_public_addresses_are_public(address: str) -> None:
    assert not is_private(address)


@pytest.mark.parametrize("host", ["localhost", "printer.local", "db.internal", "router.home.arpa", "10.1.2.3", "::1"])
def test_local_names_are_refused_without_being_looked_up(host: str) -> None:
    with pytest.raises(FetchError, match="allow_private"):
        refuse_local_name(host, ())
    refuse_local_name(host, (host,))


def test_a_name_that_resolves_to_a_private_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    public = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("193.48.244.5", 80))
    private = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.168.0.7", 80))

    async def resolve(addresses: list) -> list[str]:
        async def look_up(host: str, port: int, **_: object) -> list:
            return addresses

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", look_up)
        return await resolve_public("rebinding.example", 80, ())

    assert asyncio.run(resolve([public])) == ["193.48.244.5"]
    with pytest.raises(FetchError, match="resolves to a private address"):
        asyncio.run(resolve([public, private]))


@pytest.mark.parametrize(
    ("url", "location", "target"),
    [
        ("https://a.example/x/y", "z", "https://a.example/x/z"),
        ("https://a.example/x/y", "/z", "https://a.example/z"),
        ("https://a.example/x", "//b.example/z", "https://b.example/z"),
        ("https://a.example/x", " https://b.example/z w ", "https://b.example/z%20w"),
        ("https://a.example/x?q=1", "?q=2", "https://a.example/x?q=2"),
        ("https://a.example/x", "file:///etc/passwd", "file:///etc/passwd"),
    ],
)
def test_redirect_targets_are_made_absolute(url: str, location: str, target: str) -> None:
    assert join_redirect(url, location) == target


def test_keys_disappear_from_texts_and_page_tokens_do_not() -> None:
    text = (
        "GET https://api.europeana.eu/record/1.json?wskey=KEY1&x=2 guid=https://e.example/i?api_key=KEY2 "
        "https://me:KEY3@host.example/a?resumptionToken=abc&cursor=def&token=KEY4; Bearer KEY5678"
    )
    clean = redact(text, ["KEY5678"])
    assert "KEY" not in clean.replace("***", "")
    assert "resumptionToken=abc&cursor=def" in clean
    assert "x=2" in clean


def test_the_store_knows_an_answer_whoever_holds_the_key() -> None:
    one = "https://api.example/search?query=a%20b&wskey=ONE&start=1"
    two = "https://api.example/search?query=a%20b&wskey=TWO&start=1"
    assert without_keys(one) == "https://api.example/search?query=a%20b&start=1"
    assert request_key(one) == request_key(two)
    assert request_key(one) != request_key(one.replace("start=1", "start=2"))
    assert request_key("https://a.example/oai?token=1") != request_key("https://a.example/oai?token=2")
    assert request_key("https://a.example/x#one") == request_key("https://a.example/x#two")


@given(st.text(max_size=200))
def test_no_text_breaks_the_guard(text: str) -> None:
    for url in (text, f"http://{text}", f"https://a.example/{text}"):
        redact(url)
        request_key(url)
        with contextlib.suppress(FetchError):
            host_of(check_url(url))
