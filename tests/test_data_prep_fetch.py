"""The fetcher against a local server: one answer a request, nothing asked twice, caps, rules, secrets, restarts."""

import asyncio
import gzip
import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from servers.clients import fast_policy, loopback_config
from servers.http import LocalServer, Request, Response
from servers.http2 import Http2Server, make_certificate
from servers.iiif import draw

from data_prep.fetch.answers import Answer, FailReason, Fetched, FetchFailed, FetchRequest
from data_prep.fetch.fetcher import Fetcher
from data_prep.fetch.policy import FetchConfig
from data_prep.fetch.report import write_letter
from iconoclip.errors import ConfigError, IconoclipError
from iconoclip.records import RejectReason

ROOT = Path(__file__).resolve().parents[1]
PICTURE = draw((40, 30))
JPEG = {"Content-Type": "image/jpeg"}


async def ask(config: FetchConfig, folder: Path, *requests: FetchRequest) -> list[Answer]:
    async with Fetcher(config, folder) as fetcher:
        return [await fetcher.fetch(request) for request in requests]


def fetched(answer: Answer) -> Fetched:
    assert isinstance(answer, Fetched), answer
    return answer


def failed(answer: Answer) -> FetchFailed:
    assert isinstance(answer, FetchFailed), answer
    return answer


def serve(pages: dict[str, Response], *requests: str, folder: Path, config: FetchConfig | None = None, **request):
    """Answers to the paths ``requests`` on a server that holds ``pages``, and the server."""

    async def work() -> tuple[list[Answer], LocalServer]:
        async with LocalServer(lambda asked: pages.get(asked.target, Response(404))) as server:
            wanted = [FetchRequest(server.url + path, **request) for path in requests]
            return await ask(config or loopback_config(), folder, *wanted), server

    return asyncio.run(work())


def test_a_picture_comes_with_everything_that_is_known_of_it(tmp_path: Path) -> None:
    headers = JPEG | {"ETag": '"a1"', "Last-Modified": "Wed, 21 Oct 2026 07:28:00 GMT", "tdm-reservation": "0"}
    (answer,), server = serve(
        {"/a.jpg": Response(body=PICTURE, headers=headers)}, "/a.jpg", folder=tmp_path, expect="picture", tag="nr 1"
    )
    answer = fetched(answer)
    assert answer.read() == PICTURE
    assert answer.sha256 == hashlib.sha256(PICTURE).hexdigest() == answer.path.name
    assert (answer.width, answer.height, answer.num_bytes) == (40, 30, len(PICTURE))
    assert (answer.etag, answer.content_type, answer.request.tag) == ('"a1"', "image/jpeg", "nr 1")
    assert answer.signals.to_text() == "robots=none; tdm-reservation=0 (header)"
    agents = {request.headers["user-agent"] for request in server.requests}
    assert agents == {"iconoclip/0.1.0 (+mailto:curator@library.example)"}
    assert [request.path for request in server.requests] == ["/robots.txt", "/.well-known/tdmrep.json", "/a.jpg"]


def test_nobody_is_asked_without_a_contact(tmp_path: Path) -> None:
    with pytest.raises(IconoclipError, match=r"fetch\.contact is missing"):
        asyncio.run(ask(FetchConfig(), tmp_path))
    with pytest.raises(ConfigError, match="reaches you"):
        FetchConfig.validate_data({"contact": "nobody"}, where="cfg.yaml")


def test_the_longest_pattern_of_a_host_counts() -> None:
    hosts = {
        name: {"max_concurrent": number} for number, name in enumerate(["*.bnf.fr", "*.api.bnf.fr", "oai.bnf.fr"], 3)
    }
    config = FetchConfig.model_validate({"hosts": hosts})
    names = ("gallica.bnf.fr", "x.api.bnf.fr", "oai.bnf.fr", "oai.bnf.fr:8080", "bnf.fr", "elsewhere.example")
    assert [config.policy_of(name).max_concurrent for name in names] == [3, 4, 5, 5, 2, 2]


def test_what_was_fetched_is_not_asked_for_again_and_failures_for_good_neither(tmp_path: Path) -> None:
    pages = {"/a.jpg": Response(body=PICTURE), "/no.jpg": Response(403), "/later.jpg": Response(401)}
    paths = ("/a.jpg", "/no.jpg", "/gone.jpg", "/later.jpg")

    async def work() -> tuple[list[list[Answer]], list[str]]:
        async with LocalServer(lambda asked: pages.get(asked.target, Response(410))) as server:
            requests = [FetchRequest(server.url + path, expect="picture") for path in paths]
            rounds = [await ask(loopback_config(), tmp_path, *requests) for _ in range(2)]
            rounds.append(await ask(loopback_config(retry_final=True), tmp_path, *requests))
            return rounds, server.paths()

    rounds, asked = asyncio.run(work())
    assert [type(answer) for answer in rounds[0]] == [Fetched, FetchFailed, FetchFailed, FetchFailed]
    assert [answer.from_store for answer in rounds[1]] == [True, True, True, False]
    assert [failed(answer).reason for answer in rounds[1][1:]] == ["http_403", "http_410", "http_401"]
    assert asked == [*paths, "/later.jpg", *paths[1:]]


def test_a_body_that_is_gone_or_cut_is_asked_for_again(tmp_path: Path) -> None:
    async def work() -> tuple[list[bool], int]:
        async with LocalServer(lambda _: Response(body=PICTURE)) as server:
            request = FetchRequest(f"{server.url}/a.jpg", expect="picture")
            states = []
            for damage in (lambda path: None, lambda path: path.unlink(), lambda path: path.write_bytes(b"x")):
                (answer,) = await ask(loopback_config(), tmp_path, request)
                states.append(answer.from_store)
                damage(fetched(answer).path)
            (answer,) = await ask(loopback_config(), tmp_path, request)
            return [*states, answer.from_store], server.paths().count("/a.jpg")

    assert asyncio.run(work()) == ([False, True, False, False], 3)


def test_an_old_picture_is_looked_at_again_and_taken_only_where_it_has_changed(tmp_path: Path) -> None:
    state = {"/a.jpg": Response(body=PICTURE, headers=JPEG | {"ETag": '"1"'})}

    def answer(asked: Request) -> Response:
        found = state.get(asked.target, Response(404))
        tag = found.headers.get("ETag")
        return Response(304) if tag and asked.headers.get("if-none-match") == tag else found

    async def work() -> list[Answer]:
        async with LocalServer(answer) as server:
            request = FetchRequest(f"{server.url}/a.jpg", expect="picture")
            often, rarely = (loopback_config(recheck_pictures_after_days=days) for days in (0, 30))
            answers = await ask(often, tmp_path, request)
            answers += await ask(rarely, tmp_path, request)  # young enough: nobody is asked
            assert server.paths() == ["/a.jpg"]
            answers += await ask(often, tmp_path, request)
            state["/a.jpg"] = Response(body=draw((70, 40)), headers=JPEG | {"ETag": '"2"'})
            answers += await ask(often, tmp_path, request)
            state["/a.jpg"] = Response(401)
            answers += await ask(often, tmp_path, request)
            state["/a.jpg"] = Response(410)
            return answers + await ask(often, tmp_path, request)

    first, young, same, new, hidden, gone = asyncio.run(work())
    assert (fetched(young).from_store, fetched(young).not_modified) == (True, False)
    assert (fetched(same).from_store, fetched(same).not_modified) == (True, True)
    assert fetched(same).sha256 == fetched(first).sha256 != fetched(new).sha256
    assert not fetched(new).from_store
    assert fetched(hidden).sha256 == fetched(new).sha256, "it could not be looked at: what is here still counts"
    assert failed(gone).reason is FailReason.HTTP_410


@pytest.mark.parametrize("mark", ["ETag", "Last-Modified"])
def test_a_delta_run_transfers_only_what_changed(tmp_path: Path, mark: str) -> None:
    condition = {"ETag": "if-none-match", "Last-Modified": "if-modified-since"}[mark]
    version = ["Wed, 21 Oct 2026 07:28:00 GMT"]

    def answer(request: Request) -> Response:
        if request.headers.get(condition) == version[0]:
            return Response(304)
        return Response(body=f"<a>{version[0]}</a>".encode(), headers={mark: version[0]})

    async def work() -> list[Fetched]:
        async with LocalServer(answer) as server:
            request = FetchRequest(f"{server.url}/a.xml", expect="xml", revalidate=True)
            answers = [fetched((await ask(loopback_config(), tmp_path, request))[0]) for _ in range(2)]
            version[0] = "Thu, 22 Oct 2026 07:28:00 GMT"
            return [*answers, fetched((await ask(loopback_config(), tmp_path, request))[0])]

    first, same, other = asyncio.run(work())
    assert [each.not_modified for each in (first, same, other)] == [False, True, False]
    assert first.read() == same.read() == b"<a>Wed, 21 Oct 2026 07:28:00 GMT</a>"
    assert other.read() == b"<a>Thu, 22 Oct 2026 07:28:00 GMT</a>"


def test_the_same_request_many_times_at_once_is_asked_once(tmp_path: Path) -> None:
    async def work() -> tuple[int, int]:
        async with (
            LocalServer(lambda _: Response(body=PICTURE, delay_s=0.02)) as server,
            Fetcher(loopback_config(), tmp_path) as fetcher,
        ):
            requests = [FetchRequest(f"{server.url}/{n % 3}.jpg", expect="picture") for n in range(60)]
            answers = [answer async for answer in fetcher.fetch_all(requests)]
            return len(answers), len(server.paths())

    assert asyncio.run(work()) == (60, 3)


def test_size_caps_hold_while_streaming_and_after_decompression(tmp_path: Path) -> None:
    bomb = gzip.compress(b"\0" * 30_000_000)
    packed = {"Content-Encoding": "gzip"}
    pages = {
        "/declared": Response(body=b"x" * 5001),
        "/undeclared": Response(body=b"x" * 500_000, delivery="until_close"),
        "/packed": Response(body=gzip.compress(b"x" * 500_000), headers=packed),
        "/fits": Response(body=gzip.compress(b"x" * 5000), headers=packed),
    }
    config = loopback_config(policy={"max_bytes": 5000})
    answers, _ = serve(pages, *pages, folder=tmp_path / "caps", config=config)
    assert [failed(answer).reason for answer in answers[:3]] == [FailReason.TOO_LARGE] * 3
    assert failed(answers[0]).reject_reason is RejectReason.IMAGE_TOO_LARGE
    assert fetched(answers[3]).read() == b"x" * 5000
    (answer,), _ = serve({"/bomb": Response(body=bomb, headers=packed)}, "/bomb", folder=tmp_path / "bomb")
    assert failed(answer).reason is FailReason.BAD_ENCODING
    assert sum(path.stat().st_size for path in tmp_path.rglob("partial/*")) == 0


def test_a_damaged_content_encoding_is_said(tmp_path: Path) -> None:
    pages = {"/a": Response(body=b"not gzip", headers={"Content-Encoding": "gzip"})}
    (answer,), server = serve(pages, "/a", folder=tmp_path)
    assert failed(answer).reason is FailReason.BAD_ENCODING
    assert len(server.paths()) == 3


def test_robots_txt_is_obeyed_before_anything_is_asked(tmp_path: Path) -> None:
    pages = {
        "/robots.txt": Response(body=b"User-agent: *\nDisallow: /private/\n"),
        "/private/a.jpg": Response(body=PICTURE),
        "/open/a.jpg": Response(302, headers={"Location": "/private/a.jpg"}),
        "/fine.jpg": Response(body=PICTURE),
    }
    answers, server = serve(pages, "/private/a.jpg", "/open/a.jpg", "/fine.jpg", folder=tmp_path, expect="picture")
    assert [failed(answer).reason for answer in answers[:2]] == [FailReason.ROBOTS] * 2
    assert failed(answers[0]).reject_reason is RejectReason.OPTED_OUT
    assert fetched(answers[2]).signals.robots == "allowed"
    assert server.paths() == ["/open/a.jpg", "/fine.jpg"]
    config = loopback_config(obedience={"robots": "log"})
    (answer,), _ = serve(pages, "/private/a.jpg", folder=tmp_path / "log", config=config, expect="picture")
    assert fetched(answer).signals.to_text() == "robots=disallowed; overridden=robots"


def test_a_host_whose_robots_txt_fails_is_not_asked(tmp_path: Path) -> None:
    pages = {"/robots.txt": Response(500), "/a.jpg": Response(body=PICTURE)}
    (answer,), server = serve(pages, "/a.jpg", folder=tmp_path)
    assert failed(answer).text.startswith("connect: robots.txt could not be read")
    assert server.paths() == []
    (answer,), _ = serve(pages | {"/robots.txt": Response(200)}, "/a.jpg", folder=tmp_path)
    assert isinstance(answer, Fetched)  # the next run looks again


def test_what_was_overridden_counts_no_more_once_the_configuration_obeys(tmp_path: Path) -> None:
    headers = {"tdm-reservation": "1"}

    async def work() -> list[Answer]:
        async with LocalServer(lambda _: Response(body=PICTURE, headers=headers)) as server:
            request = FetchRequest(f"{server.url}/a.jpg", expect="picture")
            configs = [loopback_config(obedience={"tdm": tdm}) for tdm in ("log", "obey", "log")]
            return [(await ask(config, tmp_path, request))[0] for config in configs]

    first, second, third = asyncio.run(work())
    assert fetched(first).signals.overridden == ("tdm",)
    assert (failed(second).reason, second.from_store) == (FailReason.TDM, True)
    assert fetched(third).from_store


def test_a_crawl_delay_beyond_patience_is_a_refusal(tmp_path: Path) -> None:
    robots = Response(body=b"User-agent: *\nCrawl-delay: 86400\n")
    (answer,), server = serve({"/robots.txt": robots}, "/a.jpg", folder=tmp_path)
    assert failed(answer).text.startswith("robots: robots.txt wants 86,400 s")
    assert server.paths() == []


def test_a_host_that_refuses_everything_is_left_alone(tmp_path: Path) -> None:
    pages = {f"/{n}.jpg": Response(403) for n in range(8)}
    answers, server = serve(pages, *pages, folder=tmp_path, config=loopback_config(policy={"max_refusals": 5}))
    assert [failed(answer).reason for answer in answers] == ["http_403"] * 5 + ["host_down"] * 3
    assert "retry_final" in failed(answers[-1]).detail
    assert len(server.paths()) == 5


def test_a_proxy_is_asked_in_the_place_of_the_host(tmp_path: Path) -> None:
    async def work() -> tuple[list[Answer], list[str]]:
        async with LocalServer(lambda asked: Response(200 if asked.path.endswith(".jpg") else 404, PICTURE)) as proxy:
            config = loopback_config(proxy=proxy.url, allow_private=())
            urls = ("http://library.example/a.jpg", "http://10.0.0.1/a.jpg", "http://intern.local/a.jpg")
            return await ask(config, tmp_path, *map(FetchRequest, urls)), [each.target for each in proxy.requests]

    answers, targets = asyncio.run(work())
    assert fetched(answers[0]).read() == PICTURE
    assert [failed(answer).reason for answer in answers[1:]] == [FailReason.UNSAFE_URL] * 2
    assert targets[-1] == "http://library.example/a.jpg"


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({"X-Robots-Tag": "noai"}, FailReason.X_ROBOTS),
        ({"X-Robots-Tag": "otherbot: noai"}, None),
        ({"tdm-reservation": "1", "tdm-policy": "https://l.example/p"}, FailReason.TDM),
    ],
)
def test_opt_outs_in_headers_are_obeyed_and_nothing_is_kept(tmp_path: Path, headers, reason) -> None:
    (answer,), _ = serve(
        {"/a.jpg": Response(body=PICTURE, headers=headers)}, "/a.jpg", folder=tmp_path, expect="picture"
    )
    bodies = [path for path in (tmp_path / "bodies").rglob("*") if path.is_file()]
    assert (answer.reason if isinstance(answer, FetchFailed) else None) == reason
    assert len(bodies) == (reason is None)
    assert answer.signals.x_robots or answer.signals.tdm_reservation == 1 or reason is None


def test_redirects_are_followed_by_hand_and_end(tmp_path: Path) -> None:
    pages = {f"/{n}": Response(301 + n % 2, headers={"Location": f"/{n + 1}"}) for n in range(9)}
    pages |= {
        "/9": Response(body=PICTURE),
        "/loop": Response(307, headers={"Location": "/back"}),
        "/back": Response(308, headers={"Location": "loop"}),
        "/self": Response(302, headers={"Location": "/self"}),
        "/file": Response(302, headers={"Location": "file:///etc/passwd"}),
        "/bare": Response(302),
    }
    paths = ("/4", "/0", "/loop", "/self", "/file", "/bare")
    answers, _ = serve(pages, *paths, folder=tmp_path, expect="picture")
    assert fetched(answers[0]).url.endswith("/9")
    assert [failed(answer).reason for answer in answers[1:]] == ["redirect"] * 3 + ["unsafe_url", "redirect"]


def test_a_redirect_to_a_private_address_is_refused(tmp_path: Path) -> None:
    async def work() -> tuple[list[Answer], int]:
        async with LocalServer(lambda _: Response(body=PICTURE)) as secret:
            targets = (
                f"http://localhost:{secret.port}/a",
                f"http://[::ffff:7f00:1]:{secret.port}/a",
                "http://2130706433/",
            )
            pages = {f"/{n}": Response(302, headers={"Location": target}) for n, target in enumerate(targets)}
            async with LocalServer(lambda asked: pages.get(asked.target, Response(404))) as server:
                requests = [FetchRequest(server.url + path) for path in pages]
                return await ask(loopback_config(), tmp_path, *requests), len(secret.requests)

    answers, num_secret = asyncio.run(work())
    assert [failed(answer).reason for answer in answers] == [FailReason.UNSAFE_URL] * 3
    assert num_secret == 0


def test_keys_come_from_the_environment_and_go_nowhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> tuple[list[Answer], list[Request], list[Request]]:
        async with LocalServer(lambda _: Response(500)) as other:
            pages = {
                "/ok": Response(body=b"{}"),
                "/moved": Response(302, headers={"Location": f"{other.url}/x"}),
                "/echo": Response(302, headers={"Location": "/gone?wskey=s3cret-key&who=s3cret-key"}),
            }
            async with LocalServer(lambda asked: pages.get(asked.path, Response(404))) as server:
                policy = fast_policy(
                    headers_from_env={"X-Api-Key": "LIBRARY_KEY"}, params_from_env={"wskey": "LIBRARY_KEY"}
                )
                config = loopback_config(hosts={server.host: policy})
                requests = [FetchRequest(f"{server.url}{path}", expect="any") for path in pages]
                return await ask(config, tmp_path, *requests), server.requests, other.requests

    with pytest.raises(IconoclipError, match="LIBRARY_KEY is not set"):
        asyncio.run(work())
    monkeypatch.setenv("LIBRARY_KEY", "s3cret-key")
    answers, asked, elsewhere = asyncio.run(work())
    assert all(request.headers["x-api-key"] == "s3cret-key" for request in asked)
    assert {request.target for request in asked if request.path == "/ok"} == {"/ok?wskey=s3cret-key"}
    assert elsewhere
    assert not any("s3cret" in f"{request.target}{request.headers}" for request in elsewhere)
    assert not any("s3cret" in repr(answer) for answer in answers)
    assert not any(b"s3cret" in path.read_bytes() for path in tmp_path.iterdir() if path.is_file())


def test_a_challenge_page_rests_the_host_and_says_what_to_do(tmp_path: Path) -> None:
    page = b"<!DOCTYPE html><html><head><title>Just a moment...</title>"
    pages = {f"/{n}.jpg": Response(403, body=page, headers={"Server": "cloudflare"}) for n in range(5)}
    config = loopback_config(policy={"breaker_trips": 2})
    answers, server = serve(pages, *pages, folder=tmp_path, config=config, expect="picture")
    assert [failed(answer).reason for answer in answers] == ["challenge"] * 2 + ["host_down"] * 3
    assert "cloudflare keeps programs out; write to the library" in failed(answers[0]).detail
    assert len(server.paths()) == 2


def test_leaving_the_loop_cancels_what_is_under_way_and_loses_nothing(tmp_path: Path) -> None:
    async def work() -> tuple[int, int, int]:
        async with LocalServer(lambda _: Response(body=PICTURE, delay_s=0.01)) as server:
            requests = [FetchRequest(f"{server.url}/{n}.jpg", expect="picture") for n in range(100)]
            async with Fetcher(loopback_config(), tmp_path) as fetcher:
                stream = fetcher.fetch_all(requests)
                early = [await anext(stream) for _ in range(20)]
                await stream.aclose()
                others = {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}
                assert not [task for task in others if "_serve" not in repr(task)]
            asked = len(server.paths())
            async with Fetcher(loopback_config(), tmp_path) as fetcher:
                late = [answer async for answer in fetcher.fetch_all(requests)]
            assert all(isinstance(answer, Fetched) for answer in [*early, *late])
            assert len({answer.request.url for answer in late}) == len(late) == 100
            return sum(answer.from_store for answer in late), asked, len(server.paths())

    num_stored, num_first, num_all = asyncio.run(work())
    assert num_stored >= 20
    assert num_first <= num_stored + 8  # at most the requests in flight are repeated
    assert num_all - num_first == 100 - num_stored


def test_requests_are_taken_only_as_far_ahead_as_the_configuration_says(tmp_path: Path) -> None:
    async def work() -> int:
        taken = 0
        most_ahead = 0

        async with LocalServer(lambda _: Response(body=PICTURE)) as server:

            async def requests():
                nonlocal taken
                for number in range(60):
                    taken += 1
                    yield FetchRequest(f"{server.url}/{number}.jpg")

            async with Fetcher(loopback_config(lookahead=10), tmp_path) as fetcher:
                consumed = 0
                async for _ in fetcher.fetch_all(requests()):
                    consumed += 1
                    most_ahead = max(most_ahead, taken - consumed)
            assert (taken, consumed) == (60, 60)
        return most_ahead

    assert asyncio.run(work()) <= 10


def test_two_fetchers_do_not_share_a_folder(tmp_path: Path) -> None:
    async def work() -> None:
        async with Fetcher(loopback_config(), tmp_path):
            with pytest.raises(IconoclipError, match="another fetch running"):
                Fetcher(loopback_config(), tmp_path)

    asyncio.run(work())


def test_http2_is_spoken_where_it_is_offered(tmp_path: Path) -> None:
    contexts = make_certificate(tmp_path)
    if contexts is None:
        pytest.skip("no openssl program to make a certificate with")
    server_tls, client_tls = contexts

    async def work() -> tuple[list[Answer], int, FetchFailed]:
        async with Http2Server(PICTURE, server_tls) as server:
            requests = [FetchRequest(f"{server.url}/{number}.jpg", expect="picture") for number in range(40)]
            async with Fetcher(loopback_config(), tmp_path / "a", verify=client_tls) as fetcher:
                answers = [answer async for answer in fetcher.fetch_all(requests)]
                num_connections = server.num_connections
            (untrusted,) = await ask(loopback_config(obedience={"robots": "log"}), tmp_path / "b", requests[0])
            return answers, num_connections, failed(untrusted)

    answers, num_connections, untrusted = asyncio.run(work())
    assert all(fetched(answer).read() == PICTURE for answer in answers)
    assert num_connections == 1  # eight at a time, on one connection
    assert untrusted.reason is FailReason.TLS


def test_the_report_is_a_sentence_for_the_library(tmp_path: Path) -> None:
    async def work() -> str:
        pages = {f"/{n}.jpg": Response(body=draw((1000 + 12 * n, 30))) for n in range(3)}
        async with LocalServer(lambda asked: pages.get(asked.target, Response(404))) as server:
            requests = [FetchRequest(server.url + path, expect="picture") for path in (*pages, "/gone.jpg")]
            async with Fetcher(loopback_config(), tmp_path) as fetcher:
                for request in requests:
                    await fetcher.fetch(request)
                (report,) = fetcher.report()
                assert report.host == server.host
                assert report.share_within(1024) == 1.0
                assert report.share_within(768) == 0.0
                letter = write_letter(report, user_agent=fetcher.user_agent)
                assert "Asked as iconoclip/0.1.0 (+mailto:curator@library.example) from 20" in letter
                return report.to_text()

    text = asyncio.run(work())
    assert ": 6 requests, " in text
    assert "100 % at 1,024 px or less of 3 pictures" in text
    assert "answers that failed: 1 × http_404" in text  # not those of robots.txt and tdmrep.json


_CHILD = """
import asyncio, sys
from pathlib import Path
from servers.clients import loopback_config
from data_prep.fetch.answers import FetchRequest
from data_prep.fetch.fetcher import Fetcher

async def work(url, folder):
    async with Fetcher(loopback_config(policy={"max_concurrent": 4}), Path(folder)) as fetcher:
        requests = (FetchRequest(f"{url}/{n}.jpg", expect="picture") for n in range(80))
        async for answer in fetcher.fetch_all(requests):
            pass

asyncio.run(work(*sys.argv[1:]))
"""


@pytest.mark.parametrize("kill_after", [5, 23, 61])
def test_sigkill_loses_nothing_and_repeats_only_what_was_in_flight(tmp_path: Path, kill_after: int) -> None:
    async def work() -> list[str]:
        seen = asyncio.Event()

        def answer(request: Request) -> Response:
            if len(server.paths()) >= kill_after:
                seen.set()
            return Response(body=PICTURE + request.target.encode(), delay_s=0.005)

        async with LocalServer(answer) as server:
            environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
            command = (sys.executable, "-c", _CHILD, server.url, str(tmp_path))
            child = await asyncio.create_subprocess_exec(*command, env=environment)
            await seen.wait()
            child.send_signal(signal.SIGKILL)
            assert await child.wait() == -signal.SIGKILL
            requests = [FetchRequest(f"{server.url}/{n}.jpg", expect="picture") for n in range(80)]
            async with Fetcher(loopback_config(), tmp_path) as fetcher:
                answers = [answer async for answer in fetcher.fetch_all(requests)]
            for each in answers:
                name = each.request.url.removeprefix(server.url)
                assert fetched(each).read() == PICTURE + name.encode()
            assert len({each.request.url for each in answers}) == len(answers) == 80
            return server.paths()

    asked = asyncio.run(work())
    repeated = len(asked) - len(set(asked))
    assert len(set(asked)) == 80
    assert (
        repeated <= 2 * 4
    )  # a request is in flight until its answer is stored: four at the host, four on their way in
    assert not list((tmp_path / "partial").iterdir())


def test_a_killed_run_does_not_forget_a_429(tmp_path: Path) -> None:
    async def work() -> tuple[FetchFailed, list[str]]:
        asked = asyncio.Event()

        def answer(request: Request) -> Response:
            if not request.path.endswith(".jpg"):
                return Response(404)
            asked.set()
            return Response(429, headers={"Retry-After": "7200"})

        async with LocalServer(answer) as server:
            environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
            child = subprocess.Popen((sys.executable, "-c", _CHILD, server.url, str(tmp_path)), env=environment)
            await asked.wait()
            await asyncio.to_thread(child.wait)  # every request is answered: the host wants no more
            num_asked = len(server.paths())
            (failure,) = await ask(loopback_config(), tmp_path, FetchRequest(f"{server.url}/1.jpg"))
            assert len(server.paths()) == num_asked <= 4
            return failed(failure), server.paths()

    failure, _ = asyncio.run(work())
    assert failure.reason is FailReason.HOST_PAUSED
    assert "run again then" in failure.detail
