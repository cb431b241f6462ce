"""Taking items down from a finished set: what changes, what does not, and what a kill at any moment leaves behind."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from data_prep.config import PrepConfig
from data_prep.ledger import read_withdrawn
from data_prep.pipeline import run_prep
from data_prep.withdraw import withdraw
from iconoclip import cli
from iconoclip.errors import IconoclipError, ShardError
from iconoclip.files import sha256_file
from iconoclip.shards import Manifest, open_shards, splits

NUM_PRINTS, NUM_EXAM = 40, 6
COPY, LARGER = "img/38.jpg", "img/39.jpg"  # the file of img/0.jpg, and a larger scan of img/2.jpg


def draw(seed: int, size=(64, 48)) -> Image.Image:
    """Random blocks: no two seeds are near-duplicates."""
    blocks = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(blocks).resize(size, Image.Resampling.BICUBIC)


def write_collection(folder: Path, count: int, *, seed: int) -> None:
    """Works of two pictures each, in rights that may be trained on but not all passed on; one row without rights."""
    (folder / "img").mkdir(parents=True)
    lines = ["file,title,work,licence"]
    for number in range(count):
        draw(seed + number).save(folder / f"img/{number}.jpg")
        lines.append(f"img/{number}.jpg,View number {number},W{number // 2},{'CC BY-ND 4.0' if number == 7 else 'CC0'}")
    draw(seed + 999).save(folder / "img/no.jpg")
    lines.append("img/no.jpg,View of nothing,W99,© Museum")
    (folder / "metadata.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def make_config(root: Path, out: Path, **options) -> PrepConfig:
    source = {
        "kind": "local", "institution": "Our Library", "language": "en", "captions": ["{title}"],
        "rights": {"all": {"value": "{licence}", "asserted_by": "Our Library", "source_url": "https://example.org"}},
    }  # fmt: skip
    collections = {
        "prints": {**source, "table": "a/metadata.csv", "work_from": "{work}"},
        "exam": {**source, "table": "b/metadata.csv", "id": "exam/{file}", "work_from": "exam {work}",
                 "use": "evaluate", "captions": ["a label"]},
    }  # fmt: skip
    data = {
        "verb": "prep", "name": "ours", "out": out, "root": root, "workers": 1, "image": {"max_px": 64},
        "collections": collections, "split": {"val": 0.1, "test": 0.3}, **options,
    }  # fmt: skip
    return PrepConfig.validate_data(data, where="test")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A finished set of several small shards, and its pictures: ``out`` and ``in``."""
    folder = tmp_path_factory.mktemp("made")
    write_collection(folder / "in/a", NUM_PRINTS, seed=0)
    write_collection(folder / "in/b", NUM_EXAM, seed=500)
    shutil.copyfile(folder / "in/a/img/0.jpg", folder / "in/a" / COPY)
    draw(2, (128, 96)).save(folder / "in/a" / LARGER)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("iconoclip.shards.MAX_SAMPLES", 5)
        run_prep(make_config(folder / "in", folder / "out"))
    assert len(list((folder / "out/train").glob("*.tar"))) > 2
    return folder


@pytest.fixture
def config(made, tmp_path, monkeypatch) -> PrepConfig:
    """A copy of the finished set."""
    monkeypatch.setattr("iconoclip.shards.MAX_SAMPLES", 5)
    shutil.copytree(made / "out", tmp_path / "out")
    return make_config(made / "in", tmp_path / "out")


def tars(out: Path) -> dict[str, str]:
    return {path.relative_to(out).as_posix(): sha256_file(path) for path in sorted(out.rglob("*.tar"))}


def tree(out: Path) -> dict[str, str]:
    return {path.relative_to(out).as_posix(): sha256_file(path) for path in sorted(out.rglob("*")) if path.is_file()}


def found(out: Path) -> dict[str, str]:
    """Shard of each record, by id; every tar and ledger is read."""
    there = {}
    for split in splits(out):
        shards = open_shards(out, split)
        for position, record in enumerate(shards.records()):
            assert len(shards.image_bytes(position)) > 100
            there[record.id] = shards.paths[shards.shard_of[position]].relative_to(out).as_posix()
    return there


def one_of(out: Path, split: str) -> str:
    return next(name for name, shard in found(out).items() if shard.startswith(split))


def test_only_the_tar_that_holds_the_item_changes_and_all_figures_follow(config):
    out, item = config.out, one_of(config.out, "train")
    before, where, readme = tars(out), found(out), (out / "README.md").read_text(encoding="utf-8")
    records_before = {split: open_shards(out, split).records() for split in splits(out)}
    done = withdraw(config, [item])
    assert done.rebuilt == (where[item],)
    after = tars(out)
    assert {name for name in before if after[name] != before[name]} == {where[item]}
    assert done.num_untouched == len(before) - 1
    assert found(out) == {name: shard for name, shard in where.items() if name != item}
    for split, records in records_before.items():
        assert open_shards(out, split).records() == [record for record in records if record.id != item]
    manifest = Manifest.read(out)
    assert {shard.path: shard.sha256 for shard in manifest.shards} == after
    with (out / "ATTRIBUTION.csv").open(encoding="utf-8") as file:
        assert {line["id"] for line in csv.DictReader(file)} == set(where) - {item}
    ledger = pq.read_table(out / "ledger/rejected.parquet").to_pylist()
    assert [(each["id"], each["source"], each["stage"]) for each in ledger if each["reason"] == "withdrawn"] == [
        (item, "prints", "withdrawal")
    ]
    assert "| withdrawn | 1 |" in (out / "README.md").read_text(encoding="utf-8")
    assert "| withdrawn |" not in readme
    # 40 + 6 pictures and a row without a licence in each table; the copy of a file and the larger scan are kept
    summary = done.summary
    assert (summary.harvested, summary.kept_for_evaluation, summary.rejected) == (48, 6, {"rights_not_understood": 2})
    assert (summary.kept_for_training, summary.withdrawn) == (39, 1)
    assert "39 + 6 + 2 + 1 = 48" in done.to_text()
    assert sum(summary.splits.values()) == summary.kept_for_training + summary.kept_for_evaluation
    assert summary.collections["prints"]["withdrawn"] == 1
    assert not (out / ".withdrawal").exists()


def test_prep_again_neither_brings_it_back_nor_makes_anything_anew(config):
    item = one_of(config.out, "train")
    withdraw(config, [item])
    before = tree(config.out)
    summary = run_prep(config)
    assert "nothing to do" in summary.to_text()
    assert "39 + 6 + 2 + 1 = 48" in summary.to_text()
    assert tree(config.out) == before


def test_a_later_set_with_another_configuration_leaves_it_out_too(made, config):
    item = one_of(config.out, "test")
    withdraw(config, [item])
    summary = run_prep(make_config(made / "in", config.out, seed=1))
    assert "nothing to do" not in summary.to_text()
    assert summary.withdrawn == 1
    assert item not in found(config.out)
    again = run_prep(make_config(made / "in", config.out, seed=1))
    assert "nothing to do" in again.to_text()
    shutil.rmtree(config.out / "ledger")  # a set that lost its ledger is made anew, without the item
    (config.out / "manifest.json").unlink()
    assert run_prep(make_config(made / "in", config.out, seed=1)).withdrawn == 1


def test_the_same_file_under_another_identifier_stays_out_too(made, config):
    item = "img/4.jpg"
    withdraw(config, [item])
    data = make_config(made / "in", config.out).to_json()
    data["collections"]["prints"]["id"] = "renamed/{file}"
    summary = run_prep(PrepConfig.validate_data(data, where="test"))
    assert summary.withdrawn == 1
    assert summary.harvested == summary.kept_for_training + summary.kept_for_evaluation + summary.num_rejected + 1
    assert f"renamed/{item}" not in found(config.out)
    assert "renamed/img/5.jpg" in found(config.out)


def test_an_item_for_evaluation_can_be_taken_down_and_the_last_one_takes_its_tar_along(config):
    exam = [name for name, shard in found(config.out).items() if shard.startswith("eval/exam")]
    withdraw(config, exam[:1])
    assert sum(name.startswith("exam/") for name in found(config.out)) == NUM_EXAM - 1
    assert withdraw(config, exam[1:]).removed == ("eval/exam/exam-00000.tar", "eval/exam/exam-00001.tar")
    out = config.out
    assert splits(out) == ["train", "val", "test"]
    assert not (out / "eval").exists()
    assert not list((out / "ledger").glob("eval-*"))
    front = yaml.safe_load((out / "README.md").read_text(encoding="utf-8").split("---\n")[1])
    assert [each["config_name"] for each in front["configs"]] == ["default"]
    assert "nothing to do" in run_prep(config).to_text()


def test_everything_can_be_taken_down_and_the_manifest_stays_valid(config):
    done = withdraw(config, list(found(config.out)))
    assert done.summary.withdrawn == 46
    assert Manifest.read(config.out).shards == ()
    assert tars(config.out) == {}
    assert "0 + 0 + 2 + 46 = 48" in done.to_text()


def test_what_shows_the_same_is_named_and_files_still_needed_are_not_to_be_forgotten(config):
    same_file = withdraw(config, ["img/0.jpg"])
    key = same_file.withdrawn[0].key
    assert [each.id for each in same_file.relatives[key].same_picture] == [COPY]
    assert "img/1.jpg" in [each.id for each in same_file.relatives[key].same_work]
    assert same_file.sha256s == ()  # the copy is the same file
    assert f"still in the set, beside img/0.jpg: the same picture, or nearly: {COPY} (prints)" in same_file.to_text()
    near = withdraw(config, ["img/2.jpg"])
    assert [each.id for each in near.relatives[near.withdrawn[0].key].same_picture] == [LARGER]
    assert near.sha256s == (near.withdrawn[0].sha256,)
    both = withdraw(config, [COPY])
    assert both.sha256s == (both.withdrawn[0].sha256,)


def test_what_is_withdrawn_already_stays_so_and_is_said(config):
    first = withdraw(config, ["img/4.jpg"])
    before = tree(config.out)
    again = withdraw(config, ["img/4.jpg", first.withdrawn[0].key])
    assert (again.withdrawn, again.before) == ((), first.withdrawn)
    assert again.sha256s == first.sha256s
    assert "already: img/4.jpg" in again.to_text()
    assert tree(config.out) == before
    assert set(read_withdrawn(config.out)) == {first.withdrawn[0].key}


def test_an_opt_out_of_what_is_withdrawn_makes_nothing_anew(made, config, tmp_path):
    withdraw(config, ["img/4.jpg"])
    path = tmp_path / "opt_out.csv"
    path.write_text("kind,value,who,why\nid,img/4.jpg,A. Heir,asked us\n")
    assert "nothing to do" in run_prep(make_config(made / "in", config.out, opt_out=path)).to_text()


@pytest.mark.parametrize(("item", "message"), [
    ("img/33.jpeg", "no record 'img/33.jpeg'; the nearest is 'img/33.jpg'"),
    ("img/no.jpg", r"'img/no.jpg' is not in the set \(rights_not_understood: image: © Museum"),
])  # fmt: skip
def test_an_unknown_item_is_an_error_that_helps_and_changes_nothing(config, item, message):
    before = tree(config.out)
    with pytest.raises(IconoclipError, match=message):
        withdraw(config, ["img/4.jpg", item])
    assert tree(config.out) == before


def test_an_id_of_two_records_wants_the_key(made, tmp_path):
    data = make_config(made / "in", tmp_path / "out").to_json()
    data["collections"]["exam"] |= {"id": "{file}", "institution": "Another Library"}
    config = PrepConfig.validate_data(data, where="test")
    run_prep(config)
    with pytest.raises(IconoclipError, match=r"'img/3\.jpg' is the id of 2 records; give the key: another-"):
        withdraw(config, ["img/3.jpg"])
    exam = open_shards(config.out, "eval/exam").records()
    key = next(record.key for record in exam if record.id == "img/3.jpg")
    assert [each.source for each in withdraw(config, [key]).withdrawn] == ["exam"]


def test_a_set_that_is_not_finished_or_damaged_is_refused(made, config, tmp_path):
    with pytest.raises(IconoclipError, match="no finished set is there"):
        withdraw(make_config(made / "in", tmp_path / "other"), ["img/4.jpg"])
    assert not (tmp_path / "other").exists()
    path = config.out / found(config.out)["img/4.jpg"]
    data = bytearray(path.read_bytes())
    data[600] ^= 1
    path.write_bytes(data)
    with pytest.raises(ShardError, match="not the tar that the manifest lists"):
        withdraw(config, ["img/4.jpg"])
    assert "img/4.jpg" in found(config.out)


def test_the_command_takes_down_and_refuses_other_flags(config, tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"config": config.to_json()}))
    result = CliRunner().invoke(cli.app, ["prep", str(path), "--withdraw", "img/4.jpg", "--withdraw", "img/9.jpg"])
    assert result.exit_code == 0, result.output
    assert "withdrawn  img/4.jpg (prints, " in result.output
    assert "38 + 6 + 2 + 2 = 48" in result.output
    result = CliRunner().invoke(cli.app, ["prep", str(path), "--withdraw", "img/5.jpg", "--dry-run"])
    assert isinstance(result.exception, IconoclipError)
    assert "img/5.jpg" in found(config.out)


KILLER = """
import itertools, json, os, shutil, signal, sys
from pathlib import Path
from data_prep.config import PrepConfig
from data_prep.withdraw import withdraw
from data_prep.withdraw_files import complete_withdrawal
from iconoclip import provenance
from iconoclip.files import sha256_file
from iconoclip.shards import Manifest

provenance.utc_now = lambda: "2026-11-20T12:00:00Z"
finished, work, items = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "shutil.rmtree"}

def config_of(out):
    return PrepConfig.load(finished / "run.json", [f"out={out}"])

def tree(out):
    return {str(p.relative_to(out)): sha256_file(p) for p in sorted(out.rglob("*")) if p.is_file()}

def run_and_die(out, moment):
    count = 0
    def hook(event, args):
        nonlocal count
        writes = event == "open" and isinstance(args[1], str) and args[1][:1] in ("w", "x", "a")
        if (event in CHANGES or writes) and str(args[0]).startswith(str(out)):
            count += 1
            if count == moment:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(hook)
    withdraw(config_of(out), items)
    os._exit(0)

reference = work / "reference"
shutil.copytree(finished, reference)
withdraw(config_of(reference), items)
old, new = tree(finished), tree(reference)
states = {"as it was": 0, "withdrawn": 0}
for moment in itertools.count(1):
    out = work / "killed"
    shutil.copytree(finished, out)
    child = os.fork()
    if child == 0:
        run_and_die(out, moment)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status):
        assert os.WEXITSTATUS(status) == 0 and tree(out) == new
        break
    if (out / "manifest.json").is_file():  # where it says that the set is complete, it is
        assert all(sha256_file(out / shard.path) == shard.sha256 for shard in Manifest.read(out).shards), moment
    looked = work / "looked"
    shutil.copytree(out, looked)
    complete_withdrawal(looked)  # what the next `prep` does first
    now = tree(looked)
    assert now in (old, new), moment
    states["as it was" if now == old else "withdrawn"] += 1
    withdraw(config_of(out), items)
    assert tree(out) == new, moment
    shutil.rmtree(out)
    shutil.rmtree(looked)
print(json.dumps({"moments": moment - 1, **states}))
"""


def test_a_withdrawal_killed_at_any_change_of_a_file_is_completed_or_has_not_happened(made, tmp_path):
    """SIGKILL before each rename, removal and opening for writing in the folder, one after the other."""
    items = ["img/4.jpg", "img/9.jpg", *[f"exam/img/{number}.jpg" for number in range(NUM_EXAM)]]
    command = [sys.executable, "-c", KILLER, str(made / "out"), str(tmp_path), *items]
    result = subprocess.run(command, env=os.environ, check=False, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    counted = json.loads(result.stdout)
    assert counted["as it was"] > 10
    assert counted["withdrawn"] > 10
    assert counted["moments"] == counted["as it was"] + counted["withdrawn"]


def test_withdrawn_items_are_read_back_as_they_were_written(tmp_path):
    from data_prep.ledger import Withdrawn, write_withdrawn

    odd = ("=1+1", "a,b", 'say "x"', "two\nlines", "'quoted", "@home", "ø")
    items = [Withdrawn(f"k{n}", name, "s", "i", "train", "", "", "w", "p", "2026") for n, name in enumerate(odd)]
    write_withdrawn(tmp_path, items)
    assert list(read_withdrawn(tmp_path).values()) == items
    assert "'=1+1" in (tmp_path / "withdrawn.csv").read_text()  # harmless in a spreadsheet
    (tmp_path / "withdrawn.csv").write_text("id\nx\n")
    with pytest.raises(IconoclipError, match="columns are key, id"):
        read_withdrawn(tmp_path)
