"""docs/harvesting.md says what the code does: its example loads, its defaults and reasons are the real ones."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from data_prep.config import PrepConfig
from data_prep.fetch.answers import FailReason, FetchFailed, FetchRequest
from data_prep.fetch.placeholders import MIN_TIMES
from data_prep.fetch.policy import Budget, FetchConfig, HostPolicy, Obedience
from data_prep.fetch.report import HostReport, write_letter
from iconoclip import __version__

TEXT = (Path(__file__).resolve().parents[1] / "docs" / "harvesting.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    match = re.search(rf"```{language}\n(.*?)```", TEXT, flags=re.S)
    assert match is not None
    return match[1]


def rows(first: str) -> list[list[str]]:
    """Cells of the table whose first heading is ``first``."""
    _, _, table = TEXT.partition(f"| {first} |")
    lines = table.partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def names(cell: str) -> list[str]:
    return re.findall(r"`(\w+)`", cell)


@pytest.fixture
def config(tmp_path: Path) -> PrepConfig:
    path = tmp_path / "our_partner.yaml"
    path.write_text(block("yaml"), encoding="utf-8")
    return PrepConfig.load(path)


def test_the_example_loads_and_treats_each_host_as_it_says(config: PrepConfig) -> None:
    fetch = config.fetch
    assert fetch.user_agent.endswith("(+mailto:digital@library.example)")
    assert fetch.policy_of("oai.partner.example").requests_per_s == 0.5
    assert fetch.policy_of("iiif.partner.example").budget == Budget(requests=60_000, gigabytes=20)
    assert fetch.policy_of("www.partner.example").requests_per_s == 0.2
    assert fetch.policy_of("elsewhere.example") == HostPolicy()


def test_the_table_names_every_field_of_a_policy_with_its_default() -> None:
    documented = {}
    for fields, defaults, _ in rows("field"):
        values = [yaml.safe_load(each) for each in defaults.split(",")]
        alone = len(values) == 1
        documented |= dict(zip(names(fields), values * len(names(fields)) if alone else values, strict=True))
    real = dict(HostPolicy())
    words = {"none": {}, "no limit": Budget()}
    assert {name: words.get(str(value), value) for name, value in documented.items()} == real


def test_the_other_figures_are_the_real_ones() -> None:
    config = FetchConfig()
    assert f"`fetch.max_in_flight` ({config.max_in_flight})" in TEXT
    assert f"(`fetch.obedience.max_age_h`: {config.obedience.max_age_h:g})" in TEXT
    assert ", ".join(f"`{each}`" for each in config.obedience.x_robots) in TEXT
    assert config.max_redirects == MIN_TIMES == 5  # "at most five", "at least five"
    assert (Obedience().robots, Obedience().tdm, Obedience().ai_tokens) == ("obey", "obey", "log")
    assert f"`max_failed_share` ({PrepConfig.model_fields['max_failed_share'].default})" in TEXT


def test_every_reason_is_explained_with_the_ledgers_reason() -> None:
    documented = {}
    for details, reason, _ in rows("detail"):
        documented |= dict.fromkeys(names(details), names(reason)[0])
    answers = {reason: FetchFailed(FetchRequest("https://l.example/"), reason) for reason in FailReason}
    assert documented == {reason.value: answer.reject_reason.value for reason, answer in answers.items()}


def test_the_letter_is_written_so() -> None:
    start = datetime(2026, 11, 2, 6, tzinfo=UTC).timestamp()
    report = HostReport(
        host="iiif.partner.example",
        requests=8412,
        num_bytes=3_100_000_000,
        active_s=5.8 * 3600,
        paused_s=360,
        outcomes={"200": 8397, "http_404": 12, "http_429": 3},
        longer_sides_px={1024: 7857, 1536: 243},
        first_at=start,
        last_at=start + 5.8 * 3600,
    )
    agent = FetchConfig(contact="digital@library.example").user_agent.replace(__version__, "0.1.0")
    assert write_letter(report, user_agent=agent) == block("text")
