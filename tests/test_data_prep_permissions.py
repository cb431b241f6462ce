"""What may be done with records: the table, stricter configurations, hosts' terms, sets that may be passed on."""

from pathlib import Path

import pytest

from data_prep.config import PrepConfig
from data_prep.filters.rights import RightsFilter
from data_prep.permissions import POLICY, STRICTNESS, USES, count_permissions, permit, tightened, with_terms
from data_prep.rights import KINDS
from data_prep.sources.base import Drop, Terms
from iconoclip.errors import ConfigError
from iconoclip.records import Record, RejectReason, Rights

ROOT = Path(__file__).resolve().parents[1]
TERMS = Terms(rehost="no", url="https://digital.example.org/terms", note="copies may not be re-hosted")


def record(image: str, text: str = "CC0", *more: Rights) -> Record:
    return Record("a", "s", "i", rights=(Rights("image", raw=image), Rights("metadata", raw=text), *more))


def allowed(each: Record) -> tuple[str, str, str]:
    found = permit(each, POLICY)
    return found.train, found.redistribute, found.publish


def test_every_kind_of_statement_has_a_line_with_its_reason():
    assert set(POLICY) == {*KINDS, "no_rehost"}
    assert all(len(rule.reason) > 20 for rule in POLICY.values())


@pytest.mark.parametrize(("image", "want"), [
    ("CC0", ("yes", "yes", "yes")),
    ("CC BY 4.0", ("yes", "yes", "yes")),
    ("CC BY-SA 4.0", ("yes", "yes", "yes")),
    ("CC BY-NC 4.0", ("non_commercial", "non_commercial", "non_commercial")),
    ("http://rightsstatements.org/vocab/NoC-OKLR/1.0/", ("non_commercial", "non_commercial", "non_commercial")),
    ("CC BY-ND 4.0", ("yes", "no", "yes")),
    ("CC BY-NC-ND 4.0", ("non_commercial", "no", "non_commercial")),  # each of the two forbids something of its own
    ("http://rightsstatements.org/vocab/InC-EDU/1.0/", ("no", "no", "no")),
    ("All rights reserved", ("no", "no", "no")),
    ("http://rightsstatements.org/vocab/CNE/1.0/", ("no", "no", "no")),
    ("", ("no", "no", "no")),
    ("© Museum", ("no", "no", "no")),
])  # fmt: skip
def test_the_table_answers_for_each_use(image, want):
    assert allowed(record(image)) == want


def test_the_strictest_part_decides_and_is_named():
    found = permit(record("CC0", "CC BY-ND 4.0", Rights("work", raw="CC BY-NC 4.0")), POLICY)
    assert (found.train, found.redistribute, found.publish) == ("non_commercial", "no", "non_commercial")
    assert found.rules == {"train": ("nc",), "redistribute": ("nd",), "publish": ("nc",)}


def test_a_host_that_forbids_passing_on_overrides_the_licence_and_says_where():
    held = with_terms(record("CC0"), TERMS)
    assert allowed(held) == ("yes", "no", "yes")
    assert held.rights[-1] == Rights(
        "terms", raw="copies may not be re-hosted", asserted_by="digital.example.org",
        source_url="https://digital.example.org/terms",
    )  # fmt: skip
    assert not held.is_showable
    kept = RightsFilter().check(held)
    assert isinstance(kept, Record)
    assert kept.rights_class == "public_domain"  # the item is as free as before; only its host's copies are not


def test_a_host_that_allows_passing_on_changes_nothing():
    terms = Terms(rehost="yes", url="https://digital.example.org/terms")
    assert with_terms(record("CC0"), terms) == with_terms(record("CC0"), None) == record("CC0")


def test_a_set_that_may_be_passed_on_leaves_out_what_may_not_and_says_which_rule():
    passing = RightsFilter(purpose="redistribute")
    assert isinstance(passing.check(record("CC BY-NC 4.0")), Record)
    for each, rule in ((record("CC BY-ND 4.0"), "nd: only unchanged"), (with_terms(record("CC0"), TERMS), "no_rehost")):
        assert isinstance(RightsFilter().check(each), Record)
        drop = passing.check(each)
        assert isinstance(drop, Drop)
        assert drop.reason == RejectReason.RIGHTS_RESTRICTED
        assert drop.detail.startswith(f"not to be passed on ({rule}")


def test_a_configuration_makes_the_table_stricter():
    strict = RightsFilter.model_validate({"policy": {"nd": {"train": "no"}, "nc": {"redistribute": "no"}}})
    drop = strict.check(record("CC BY-ND 4.0"))
    assert isinstance(drop, Drop)
    assert drop.detail.startswith("no training (nd: only unchanged pictures")
    kept = strict.permissions(record("CC BY-NC 4.0"))
    assert (kept.train, kept.redistribute) == ("non_commercial", "no")
    commercial = RightsFilter.model_validate({"policy": {"nc": {"train": "no"}}})
    assert isinstance(commercial.check(record("CC BY-NC 4.0")), Drop)


def test_a_looser_value_is_an_error_that_says_so():
    for kind, rule in POLICY.items():
        for use in USES:
            for answer in STRICTNESS[: STRICTNESS.index(rule.allows(use))]:
                with pytest.raises(ValueError, match=rf"policy.{kind}.{use}: {answer} is looser than"):
                    RightsFilter.model_validate({"policy": {kind: {use: answer}}})
    assert tightened({}) == POLICY


def test_the_command_line_can_tighten_and_misspellings_are_found():
    path = ROOT / "configs/prep/own_collection.yaml"
    config = PrepConfig.load(path, ["rights.policy.nd.train=no", "rights.purpose=redistribute"])
    assert config.rights.table["nd"].train == "no"
    with pytest.raises(ConfigError, match=r"policy\.nd\.redistribute: yes is looser than no"):
        PrepConfig.load(path, ["rights.policy.nd.redistribute=yes"])
    with pytest.raises(ConfigError, match="nd_"):
        PrepConfig.load(path, ["rights.policy.nd_.train=no"])
    with pytest.raises(ConfigError, match="rehost"):
        PrepConfig.load(path, ["collections.prints.terms.rehost=maybe"])


def test_answers_are_counted_by_use():
    counted = count_permissions([permit(record(raw), POLICY) for raw in ("CC0", "CC BY-ND 4.0", "CC BY-NC 4.0")])
    assert counted == {
        "train": {"yes": 2, "non_commercial": 1},
        "redistribute": {"yes": 1, "non_commercial": 1, "no": 1},
        "publish": {"yes": 2, "non_commercial": 1},
    }


def test_the_page_about_rights_shows_the_table_as_it_is():
    lines = (ROOT / "docs/rights.md").read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| `")]
    shown = {row[0].strip("`"): tuple(row[2:]) for row in rows}
    assert shown == {kind: (rule.train, rule.redistribute, rule.publish, rule.reason) for kind, rule in POLICY.items()}
