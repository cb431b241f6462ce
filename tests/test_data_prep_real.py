"""The fifteen real collections, as COLLECTIONS.md treats them."""

from collections import Counter
from pathlib import Path

import pytest

from data_prep.config import PrepConfig
from data_prep.pipeline import run_prep
from data_prep.plan import plan_records

pytestmark = pytest.mark.real

CONFIG = Path(__file__).resolve().parents[1] / "configs/prep/local_collections.yaml"


def load(shared_data: Path, out: Path) -> PrepConfig:
    return PrepConfig.load(CONFIG, [f"root={shared_data}/images", f"out={out}", "workers=1"])


def test_the_sums_are_those_of_the_collections(shared_data, tmp_path):
    summary = run_prep(load(shared_data, tmp_path / "out"), dry_run=True)
    assert summary.harvested == 2111
    assert summary.kept_for_training == 1399
    assert summary.kept_for_evaluation == 656
    assert summary.rejected == {"caption_repeated": 27, "rights_unstated": 19, "not_selected": 10}


def test_each_collection_is_cut_as_it_should_be(shared_data, tmp_path):
    plan = plan_records(load(shared_data, tmp_path / "out"))
    kept = Counter(each.record.source for each in plan.planned)
    works = {name: len({p.record.work_group for p in plan.planned if p.record.source == name}) for name in kept}
    assert kept["kb_album"] == 48
    assert kept["kb_album_pages"] == 193
    assert (works["potter"], works["getty_vases"], works["bnf_photographies"]) == (20, 24, 14)
    assert "pamela" not in kept
    captions = {c.text for p in plan.planned if p.record.source == "kb_album" for c in p.record.captions}
    assert not [text for text in captions if "pagina" in text or " page " in text or text.endswith(".jpg")]
    drawings = {c.text for p in plan.planned if p.record.source == "bnf_dessins" for c in p.record.captions}
    assert not [text for text in drawings if "[dessin]" in text or "rotation" in text]
    assert {c.lang for p in plan.planned for c in p.record.captions} == {"en", "fr", "nl", "de", "it", "la"}
    notations = {p.record.iconclass for p in plan.planned if p.record.source == "saints"}
    assert ("11HH(MARY MAGDALENE)",) in notations


def test_near_duplicate_saints_become_one_work(shared_data, tmp_path):
    config = load(shared_data, tmp_path / "out")
    saints = config.model_copy(update={"collections": {"saints": config.collections["saints"]}})
    summary = run_prep(saints)
    # 25 groups, each looked at: the same painting from two sources (three twice)
    assert summary.near_duplicates["num_groups"] == 25
    assert summary.collections["saints"]["splits"]["eval/saints"]["works"] == 71
