"""All 473 real answers, whole, cut off and damaged: read, or refused with a reason, and never a crash."""

import contextlib
import json
import random
from collections import Counter
from dataclasses import replace

import pytest

from data_prep.parse.answer import Answer, parse_answer
from data_prep.parse.iiif_image import ImageInfo, requests_for
from data_prep.parse.parsed import ParseError
from data_prep.parse.to_records import to_records

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def answers(request):
    root = request.getfixturevalue("shared_data") / "responses"
    paths = sorted(path for path in root.rglob("*") if path.is_file() and path.suffix not in (".csv", ".md"))
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in paths}


@pytest.fixture(scope="module")
def parsed_answers(answers):
    found: dict[str, Answer | ParseError] = {}
    for name, data in answers.items():
        try:
            found[name] = parse_answer(data)
        except ParseError as error:
            found[name] = error
    return found


def read(data: bytes) -> Answer:
    """Read an answer as far as its records and requests for pictures; only ParseError may leave."""
    answer = parse_answer(data)
    for parsed in answer.records[:10]:
        some = replace(parsed, views=parsed.views[:5])
        for record in to_records(some, source="s", institution="i", previews=True):
            record.to_json()
    if isinstance(answer.value, ImageInfo):
        requests_for(answer.value)
    return answer


def read_or_refuse(data: bytes) -> None:
    """Anything but a ParseError fails the test."""
    with contextlib.suppress(ParseError):
        read(data)


def test_every_real_answer_is_read_or_refused_with_a_reason(parsed_answers):
    table: dict[str, Counter[str]] = {}
    for name, answer in parsed_answers.items():
        counts = table.setdefault(name.rsplit("/", 1)[0], Counter())
        counts["answers"] += 1
        if isinstance(answer, ParseError):
            counts[f"refused: {answer.reason}"] += 1
            continue
        counts["read"] += 1
        counts["objects"] += len(answer.records)
        counts["records"] += sum(len(to_records(each, source="s", institution="i")) for each in answer.records)
        counts["records refused"] += len(answer.refused)
    lines = [
        f"{folder}: " + ", ".join(f"{n:,} {what}" for what, n in counts.items() if n)
        for folder, counts in table.items()
    ]
    print("\n".join(lines))  # noqa: T201  # the table is the result: pytest -s shows it
    assert sum(counts["answers"] for counts in table.values()) == 473
    refused = {name: reason for name, counts in table.items() for reason in counts if reason.startswith("refused")}
    # Six OAI-PMH error messages, and a Gallica search inside the ALTO folder.
    assert refused == {
        "oai_pmh/other_verbs_and_errors": "refused: protocol_error",
        "alto": "refused: unsupported_format",
    }
    assert table["oai_pmh/other_verbs_and_errors"]["refused: protocol_error"] == 6
    assert table["sru"]["objects"] == 482  # 446 + 3 of KB, 15 of Gallica, 18 of the German National Library
    assert table["iiif/presentation2/manifests"]["objects"] == 75
    assert table["iiif/presentation3/manifests"]["objects"] == 99


def test_no_key_and_no_blocked_host_survives_in_a_record(parsed_answers):
    for name, answer in parsed_answers.items():
        for parsed in () if isinstance(answer, ParseError) else answer.records:
            for record in to_records(parsed, source="s", institution="i", previews=True):
                text = record.to_json()
                assert not any(key in text for key in ("wskey", "redactedkey", "api2demo", "utm_campaign")), name
                for url in (record.image_url, record.iiif_service, record.manifest):
                    assert "//gallica.bnf.fr/" not in url, name
                    assert not url or url.startswith(("http://", "https://")) or not any(c in url for c in ":|"), name


def test_languages_of_real_records_are_normalised(parsed_answers):
    for name, answer in parsed_answers.items():
        for parsed in () if isinstance(answer, ParseError) else answer.records:
            codes = {*parsed.languages, parsed.metadata_language, *(text.lang for text in parsed.titles)}
            assert not codes & {"fre", "fra", "ger", "deu", "dut", "nld", "eng", "spa", "def", "und"}, name


def test_cut_off_answers_are_read_in_part_or_refused(answers):
    for data in answers.values():
        for tenth in range(10):
            read_or_refuse(data[: len(data) * tenth // 10])


def test_truncated_xml_says_so(answers):
    """What was cut off must be asked again: an OAI-PMH page without its end is no small page."""
    name = next(name for name in answers if name.endswith("vufindharvest__tests__fixtures__marc.xml"))
    whole, half = parse_answer(answers[name]), parse_answer(answers[name][: len(answers[name]) // 2])
    assert (whole.truncated, half.truncated) == (False, True)
    assert 0 < len(half.records) < len(whole.records) == 100


def test_damaged_answers_are_read_in_part_or_refused(answers):
    generator = random.Random(20261120)
    for data in answers.values():
        if len(data) < 60_000:
            damaged = bytearray(data)
            for _ in range(generator.choice((1, 5, 40))):
                damaged[generator.randrange(len(damaged))] = generator.choice(
                    (generator.randrange(256), 60, 34, 123, 48)
                )
            read_or_refuse(bytes(damaged))


STRANGE = [None, True, 0, -1, 1.5, 10**30, "", "x", "http://[::1", "http://a:b/", [], {}, [[]], {"@value": None}]
STRANGE += [["a", 1, None, {}], {"id": {}}, {"en": [None, 1, {"a": "b"}]}, {"@id": ["x"]}, "{{ id }}", "\ud800"]


def test_json_with_fields_of_other_types_is_read_in_part_or_refused(answers):
    """Each JSON file with some of its values replaced by values of every other type."""
    generator = random.Random(20261120)

    def paths(value, path=()):
        yield path
        items = value.items() if isinstance(value, dict) else enumerate(value[:5]) if isinstance(value, list) else ()
        for key, inner in items:
            yield from paths(inner, (*path, key))

    for name, data in answers.items():
        if not name.endswith(".json") or len(data) > 60_000:
            continue
        places = [path for path in paths(json.loads(data)) if path]
        for _ in range(3):
            value = json.loads(data)
            for path in sorted(
                generator.sample(places, min(len(places), generator.choice((1, 4)))), key=len, reverse=True
            ):
                target = value
                for key in path[:-1]:
                    target = target[key]
                target[path[-1]] = generator.choice(STRANGE)
            read_or_refuse(json.dumps(value).encode())
