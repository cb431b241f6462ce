"""robots.txt, TDMRep and X-Robots-Tag: read, obeyed by default, kept for the record."""

import pytest

from data_prep.fetch.answers import FailReason, FetchError, Signals
from data_prep.fetch.policy import Obedience
from data_prep.fetch.robots import HostFile, obey, parse_x_robots, read_signals, with_headers

NONE = HostFile("none")
URL = "https://library.example/iiif/1/full/!1024,1024/0/default.jpg"


def robots(text: str) -> HostFile:
    return HostFile("found", text)


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("", "allowed"),
        ("User-agent: *\nDisallow: /admin\n", "allowed"),
        ("User-agent: *\nDisallow: /iiif/\n", "disallowed"),
        ("User-agent: *\nDisallow: /\nAllow: /iiif/\n", "allowed"),
        ("User-agent: *\nDisallow: /*/full/\n", "disallowed"),
        ("User-agent: iconoclip\nDisallow: /\n", "disallowed"),
        ("User-agent: *\nDisallow: /\n\nUser-agent: iconoclip\nDisallow: /admin\n", "allowed"),
        ("User-agent: Googlebot\nDisallow: /\n", "allowed"),
        ("<!DOCTYPE html><html><body>Not found</body></html>", "allowed"),
        ("\ufeffUser-agent: *\r\nDisallow: /iiif\r\n", "disallowed"),
    ],
)
def test_robots_txt_decides(text: str, verdict: str) -> None:
    assert read_signals(URL, robots(text), NONE).robots == verdict


def test_crawl_delay_and_request_rate_are_read_and_the_slower_counts() -> None:
    text = "User-agent: *\nCrawl-delay: 4\nRequest-rate: 1/10\n"
    assert read_signals(URL, robots(text), NONE).crawl_delay_s == 10.0
    assert read_signals(URL, robots("User-agent: *\nCrawl-delay: 2.5\n"), NONE).crawl_delay_s == 2.5
    assert read_signals(URL, NONE, NONE).crawl_delay_s is None


def test_lines_for_ai_crawlers_are_noted_and_obeyed_where_the_configuration_says_so() -> None:
    text = "User-agent: GPTBot\nUser-agent: CCBot\nDisallow: /\n\nUser-agent: *\nDisallow: /admin\n"
    signals = read_signals(URL, robots(text), NONE)
    assert (signals.robots, signals.ai_disallowed) == ("allowed", ("GPTBot", "CCBot"))
    assert (
        obey(signals, Obedience(), is_picture=True).to_text()
        == "robots=allowed; robots-ai-disallowed=GPTBot,CCBot; overridden=robots"
    )
    with pytest.raises(FetchError, match="shuts out GPTBot, CCBot"):
        obey(signals, Obedience(ai_tokens="obey"), is_picture=True)


@pytest.mark.parametrize(("state", "reason"), [("disallowed", FailReason.ROBOTS), ("unreachable", FailReason.CONNECT)])
def test_a_disallowed_or_unreadable_host_is_not_asked_unless_overridden(state: str, reason: FailReason) -> None:
    signals = Signals(robots=state)
    with pytest.raises(FetchError) as caught:
        obey(signals, Obedience(), is_picture=False)
    assert caught.value.reason is reason
    assert caught.value.signals == signals
    assert obey(signals, Obedience(robots="log"), is_picture=False).overridden == ("robots",)


@pytest.mark.parametrize(
    ("rules", "reservation", "policy"),
    [
        ('[{"location": "/", "tdm-reservation": 1, "tdm-policy": "https://l.example/p.json"}]', 1, "https://l.example/p.json"),
        ('[{"location": "/*", "tdm-reservation": 0}]', 0, ""),
        ('[{"location": "/iiif/*/full", "tdm-reservation": 1}]', 1, ""),
        ('[{"location": "/iiif/*.jpg$", "tdm-reservation": "1"}]', 1, ""),
        ('[{"location": "/iiif/*.png$", "tdm-reservation": 1}]', None, ""),
        ('[{"location": "/text/", "tdm-reservation": 1}, {"location": "/iiif/", "tdm-reservation": 0}]', 0, ""),
        ('[{"location": "/iiif", "tdm-reservation": 0}, {"location": "/", "tdm-reservation": 1}]', 0, ""),
        ('[{"location": "/", "tdm-reservation": 7}]', None, ""),
        ('[{"location": 5, "tdm-reservation": 1}, "x", null]', None, ""),
        ('{"location": "/", "tdm-reservation": 1}', None, ""),
        ("[" * 5000, None, ""),
        ("<html>", None, ""),
    ],
)  # fmt: skip
def test_the_first_rule_of_tdmrep_that_fits_counts(rules: str, reservation: int | None, policy: str) -> None:
    signals = read_signals(URL, NONE, HostFile("found", rules))
    assert (signals.tdm_reservation, signals.tdm_policy) == (reservation, policy)
    assert signals.tdm_source == ("" if reservation is None else "file")


def test_a_stated_header_overrides_the_file_and_a_missing_one_does_not() -> None:
    reserved = Signals(tdm_reservation=1, tdm_source="file")
    assert with_headers(reserved, {"tdm-reservation": "0"}).tdm_reservation == 0
    assert with_headers(reserved, {}) == reserved
    with pytest.raises(FetchError) as caught:
        obey(reserved, Obedience(), is_picture=True)
    assert caught.value.reason is FailReason.TDM
    assert obey(reserved, Obedience(), is_picture=False) == reserved  # a record is described, not mined
    assert obey(reserved, Obedience(tdm="log"), is_picture=True).to_text().endswith("overridden=tdm")


@pytest.mark.parametrize(
    ("value", "directives"),
    [
        ("", ()),
        ("noai, noimageai", ("noai", "noimageai")),
        ("NoIndex,nofollow", ("noindex", "nofollow")),
        ("googlebot: noindex, nofollow", ()),
        ("googlebot: noindex, iconoclip: noai", ("noai",)),
        ("*: noai", ("noai",)),
        ("unavailable_after: 25 Jun 2010 15:00:00 PST, noai", ("unavailable_after", "noai")),
        ("max-image-preview: large", ("max-image-preview",)),
        ("noindex, noindex", ("noindex",)),
    ],
)
def test_x_robots_tag_is_read_for_us_alone(value: str, directives: tuple[str, ...]) -> None:
    assert parse_x_robots(value) == directives


def test_noai_refuses_a_picture_and_is_noted_on_metadata() -> None:
    signals = Signals(x_robots=("noai", "nofollow"))
    with pytest.raises(FetchError) as caught:
        obey(signals, Obedience(), is_picture=True)
    assert caught.value.reason is FailReason.X_ROBOTS
    assert obey(signals, Obedience(), is_picture=False).to_text() == "x-robots-tag=noai,nofollow"
    assert obey(signals, Obedience(x_robots=()), is_picture=True) == signals


def test_signals_survive_the_store() -> None:
    signals = Signals("allowed", 2.0, ("GPTBot",), 0, "https://l.example", "header", ("noindex",), ("tdm",))
    assert Signals.from_json(signals.to_json()) == signals
    assert Signals().to_json() == "{}"
    assert Signals().to_text() == ""
