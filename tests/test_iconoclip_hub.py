"""Publishing: the folder opens in open_clip, says what it must, and nothing leaves without being told to."""

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml

from iconoclip import card, hub, load_back, models, run_facts
from iconoclip.attribution import read_attribution, read_trained
from iconoclip.errors import IconoclipError, ModelError, ShardError
from iconoclip.records import fold_of

CLI = [sys.executable, "-m", "iconoclip.cli"]


def result(**changes: object) -> dict[str, object]:
    row = {
        "model": "runs/train",
        "weights_sha256": "",
        "benchmark": "toy",
        "benchmark_revision": "r1",
        "task": "retrieval",
        "slice": "all",
        "metric": "text_to_image/hit_rate@1",
        "value": 0.5123,
        "ci_low": 0.4,
        "ci_high": 0.62,
        "n": 64,
        "chance": 0.0156,
        "subset": "all",
        "language": "",
    }
    return row | changes


@pytest.fixture
def run(make_shards: Callable[..., Path], model_dirs: Callable[[str], Path], tmp_path: Path) -> Callable[..., Path]:
    """``run(kind="clip", **config)``: run folder of a finished training on a small shard set, results beside it."""

    def make(kind: str = "clip", *, with_results: bool = True, **config: object) -> Path:
        shards = make_shards(tmp_path / "work" / "shards", num_records=40)
        out = tmp_path / "work" / "train"
        checkpoint = out / "checkpoints" / "step-10"
        shutil.copytree(model_dirs(kind), checkpoint)
        (checkpoint / "state").mkdir()
        (checkpoint / "state" / "optimizer.safetensors").write_bytes(b"not to be published")
        (out / "latest").symlink_to("checkpoints/step-10")
        resolved = {"verb": "train", "out": str(out), "model": {"name": "tiny:random"}} | config
        resolved.setdefault("data", [{"path": str(shards), "split": "train"}])
        facts = {
            "config": resolved,
            "command": f"iconoclip train {tmp_path}/cfg.yaml out={out}",
            "software": {"iconoclip": "0.1.0"},
            "samples_seen": 320,
            "kwh": 0.002,
            "energy_method": "estimated",
            "model": {"name": "tiny:random", "weights_sha256": "0" * 64},
            "status": "stopped",
            "step": 10,
            "total_steps": 20,
        }
        (out / "run.json").write_text(json.dumps(facts))
        if with_results:
            (tmp_path / "work" / "eval").mkdir()
            sha = models.load(str(checkpoint)).weights_sha256
            rows = [
                result(weights_sha256=sha),
                result(weights_sha256=sha, slice="language=fr", value=None, ci_low=None, ci_high=None, n=9),
                result(weights_sha256="0" * 64, model="untrained", value=0.01, ci_low=0.0, ci_high=0.04),
                result(weights_sha256="1" * 64, model="somebody else's", value=0.99),
            ]
            (tmp_path / "work" / "eval" / "results.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return out

    return make


def front_matter(folder: Path) -> dict[str, Any]:
    return yaml.safe_load((folder / "README.md").read_text().split("---\n")[1])


@pytest.mark.parametrize("kind", ["clip", "siglip2", "xlm_roberta"])
def test_published_folder_gives_the_checkpoint_s_embeddings(
    kind: str, run: Callable[..., Path], tmp_path: Path
) -> None:
    out, target = run(kind), tmp_path / "published" / "toy"
    said = hub.publish_run(out, to=str(target), results=[], yes=False)
    assert "token ids equal" in said
    ours, theirs = models.load(str(out)), models.load(f"local-dir:{target}")
    tokens = ours.tokenizer(["a lion", "une tour"])
    assert torch.equal(tokens, theirs.tokenizer(["a lion", "une tour"]))
    assert torch.equal(ours.module.encode_text(tokens), theirs.module.encode_text(tokens))
    names = {str(path.relative_to(target)) for path in target.rglob("*") if path.is_file()}
    assert {"README.md", "ATTRIBUTION.csv", "run.json", "results.jsonl", "open_clip_config.json"} <= names
    assert ("text/config.json" in names) == (kind == "xlm_roberta")
    assert ("tokenizer.json" in names) == (kind != "clip")
    assert not [name for name in names if "state" in name]
    assert [path.name for path in target.parent.iterdir()] == ["toy"]


def test_plain_open_clip_opens_it_as_the_card_says(run: Callable[..., Path], tmp_path: Path) -> None:
    target = tmp_path / "toy"
    hub.publish_run(run(), to=str(target), results=[], yes=False)
    snippet = (target / "README.md").read_text().partition("```python\n")[2].partition("```")[0]
    code = f"{snippet}\nprint(tuple(model.encode_text(tokenizer(['a lion'])).shape))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.stdout.strip() == "(1, 32)", done.stderr


def test_card_says_what_is_known(run: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ICONOCLIP_COUNTRY", "FRA")
    hub.publish_run(run(), to=str(tmp_path / "toy"), results=[], yes=False)
    head, text = front_matter(tmp_path / "toy"), (tmp_path / "toy" / "README.md").read_text()
    assert (head["license"], head["library_name"]) == ("apache-2.0", "open_clip")
    assert sorted(head["language"]) == ["en", "fr", "nl"]
    assert "base_model" not in head  # it began from random weights
    # 0.002 kWh at 56.039 g/kWh (France, codecarbon's table) is 0.112 g.
    assert head["co2_eq_emissions"]["emissions"] == pytest.approx(0.112, abs=1e-3)
    assert head["co2_eq_emissions"]["geographical_location"] == "France"
    assert "estimated" in head["co2_eq_emissions"]["source"]
    (index,) = head["model-index"]
    assert index["results"][0]["metrics"] == [
        {
            "type": "text_to_image/hit_rate@1",
            "value": 0.5123,
            "name": "text_to_image/hit_rate@1, 95 % interval 0.400 to 0.620, n 64",
        }
    ]
    assert "0.512 [0.400, 0.620] | 0.010 [0.000, 0.040] | 0.016 | 64" in text
    assert "language=fr | too few" in text
    assert "somebody else" not in text
    assert "| prints | Museum One | 12 | 6 | en, fr, nl | public_domain |" in text
    assert "24 pictures are few" in text
    assert "random weights" in text
    assert "The run was stopped at step 10 of 20." in text


def test_card_is_read_by_the_hub_s_own_parser(run: Callable[..., Path], tmp_path: Path) -> None:
    from huggingface_hub import ModelCard

    hub.publish_run(run(), to=str(tmp_path / "toy"), results=[], yes=False)
    data: Any = ModelCard((tmp_path / "toy" / "README.md").read_text()).data
    assert data.eval_results[0].metric_value == 0.5123
    assert data.model_name == "toy"


def test_pretrained_start_is_named_as_base_model(run: Callable[..., Path], tmp_path: Path) -> None:
    out = run(model={"name": "hf-hub:timm/ViT-B-16-SigLIP2-256@abc"})
    hub.publish_run(out, to=str(tmp_path / "toy"), results=[], yes=False)
    head = front_matter(tmp_path / "toy")
    assert (head["base_model"], head["base_model_relation"]) == ("timm/ViT-B-16-SigLIP2-256", "finetune")
    assert head["co2_eq_emissions"]["training_type"] == "fine-tuning"


@pytest.mark.parametrize(
    ("model", "want"),
    [
        ({"name": "tiny:random"}, ("tiny:random", "", False)),
        ({"name": "tiny", "weights": "random"}, ("tiny:random", "", False)),
        ({"name": "hf-hub:a/b"}, ("hf-hub:a/b", "a/b", True)),
        ({"name": "local-dir:models/b"}, ("local-dir:models/b", "", True)),
        ({"name": "ViT-B-32", "weights": "laion2b_s34b_b79k"}, None),
        ({"name": "xlm-roberta-base-ViT-B-32:laion5b_s13b_b90k"}, None),
    ],
)
def test_start_model_is_read_from_the_configuration(model: dict[str, str], want: tuple[str, str, bool] | None) -> None:
    got = run_facts.start_model({"config": {"model": model}})
    if want is None:
        assert got[1].startswith("laion/CLIP-ViT-B-32")
        assert got[2]
    else:
        assert got == want


def test_attribution_holds_just_the_records_trained_on(run: Callable[..., Path], tmp_path: Path) -> None:
    data = [{"path": str(tmp_path / "work" / "shards"), "split": "train", "collections": ["prints"]}]
    out = run(data=data, fold=1, captions={"languages": ["en", "fr"]})
    hub.publish_run(out, to=str(tmp_path / "toy"), results=[], yes=False)
    with (tmp_path / "toy" / "ATTRIBUTION.csv").open(newline="") as file:
        got = {row["id"] for row in csv.DictReader(file)}
    from iconoclip.shards import open_shards

    want = {
        record.id
        for record in open_shards(tmp_path / "work" / "shards", "train").records()
        if record.source == "prints"
        and record.captions[0].lang in ("en", "fr")
        and fold_of(record.work_group, folds=5, salt="test") != 1
    }
    assert got == want
    assert 0 < len(want) < 12


def test_without_attribution_nothing_is_published(run: Callable[..., Path], tmp_path: Path) -> None:
    out = run()
    path = tmp_path / "work" / "shards" / "ATTRIBUTION.csv"
    lines = path.read_text().splitlines(keepends=True)
    path.unlink()
    with pytest.raises(ShardError, match="not published without saying whose pictures"):
        hub.publish_run(out, to=str(tmp_path / "toy"), results=[], yes=False)
    path.write_text("".join(lines[:2]))
    with pytest.raises(ShardError, match=r"no line for 2\d of 24 records trained on"):
        hub.publish_run(out, to=str(tmp_path / "toy"), results=[], yes=False)
    path.write_text("id,title\n")
    with pytest.raises(ShardError, match="no column `key`"):
        hub.publish_run(out, to=str(tmp_path / "toy"), results=[], yes=False)
    assert not (tmp_path / "toy").exists()


def test_shards_that_changed_or_are_gone_are_refused(run: Callable[..., Path], tmp_path: Path) -> None:
    out = run()
    facts = run_facts.read_run(out)
    facts["data"] = [{"path": "x", "split": "train", "shards_sha256": "0" * 64}]
    with pytest.raises(ShardError, match="not those that run was trained on"):
        read_trained(facts, where="run")
    shutil.rmtree(tmp_path / "work" / "shards")
    with pytest.raises(ShardError, match="nobody can say whose pictures"):
        hub.publish_run(out, to=str(tmp_path / "toy"), results=[], yes=False)
    with pytest.raises(ShardError, match="names no `data`"):
        read_trained({"config": {}}, where="run")


def test_two_shard_sets_share_one_attribution(make_shards: Callable[..., Path], tmp_path: Path) -> None:
    roots = [make_shards(tmp_path / name, num_records=20) for name in ("one", "two")]
    config = {"data": [{"path": str(roots[0]), "split": "train"}, {"path": str(roots[1]), "split": "test"}]}
    lines = read_attribution(read_trained({"config": config}, where="run")).splitlines()
    assert len(lines) == 1 + 12 + 4


def test_no_folder_of_this_machine_is_published(run: Callable[..., Path], tmp_path: Path) -> None:
    hub.publish_run(run("xlm_roberta"), to=str(tmp_path / "toy"), results=[], yes=False)
    for path in (tmp_path / "toy").rglob("*"):
        if path.suffix in (".json", ".jsonl", ".csv", ".md"):
            assert str(tmp_path) not in path.read_text(), path.name
    assert json.loads((tmp_path / "toy" / "run.json").read_text())["command"] == "iconoclip train cfg.yaml out=train"


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("/home/me/a b/x.yaml", "a b/x.yaml"),
        ("out=/scratch/p/run", "out=run"),
        ("local-dir:/models/clip", "local-dir:clip"),
        ("~/runs/x", "x"),
        ("https://example.org/a/b", "https://example.org/a/b"),
        ("../shared/data", "../shared/data"),
        ("runs/demo", "runs/demo"),
        ("1/2 or 3 / 4", "1/2 or 3 / 4"),
    ],
)
def test_absolute_paths_lose_their_folders(text: str, want: str) -> None:
    assert run_facts.without_folders({"a": [text]}) == {"a": [want]}


def test_results_must_be_of_the_same_weights(run: Callable[..., Path], tmp_path: Path) -> None:
    out = run()
    other = tmp_path / "other.jsonl"
    other.write_text(json.dumps(result(weights_sha256="2" * 64, model="another")) + "\n")
    with pytest.raises(IconoclipError, match=r"no result of these weights .* they hold another"):
        hub.publish_run(out, to=str(tmp_path / "toy"), results=[other], yes=False)
    other.write_text("{}\n")
    with pytest.raises(IconoclipError, match="no result of `iconoclip eval`"):
        hub.publish_run(out, to=str(tmp_path / "toy"), results=[other], yes=False)
    with pytest.raises(IconoclipError, match="not there; give the `out` of an evaluation"):
        hub.publish_run(out, to=str(tmp_path / "toy"), results=[tmp_path / "nowhere"], yes=False)
    assert [path.name for path in tmp_path.iterdir() if "toy" in path.name] == []


def test_without_results_the_card_says_that_none_were_given(run: Callable[..., Path], tmp_path: Path) -> None:
    said = hub.publish_run(run(with_results=False), to=str(tmp_path / "toy"), results=[], yes=False)
    assert "no results quoted" in said
    assert "How good it is, is not known" in (tmp_path / "toy" / "README.md").read_text()
    assert "model-index" not in front_matter(tmp_path / "toy")


def test_foreign_folder_is_refused_and_our_own_replaced(run: Callable[..., Path], tmp_path: Path) -> None:
    out, target = run(), tmp_path / "toy"
    target.mkdir()
    (target / "thesis.docx").write_text("years of work")
    with pytest.raises(IconoclipError, match="holds other files"):
        hub.publish_run(out, to=str(target), results=[], yes=False)
    assert (target / "thesis.docx").is_file()
    (target / "thesis.docx").unlink()
    hub.publish_run(out, to=str(target), results=[], yes=False)
    readme = target / "README.md"
    note = "## Note by the curator\n\nSee our catalogue.\n"
    readme.write_text(readme.read_text() + note)
    hub.publish_run(out, to=str(target), results=[], yes=False)
    assert readme.read_text().endswith(note)
    assert readme.read_text().count(card.START) == 1


def test_merging_keeps_text_above_and_below() -> None:
    def page(above: str, inside: str, below: str) -> str:
        return f"---\na: {inside}\n---\n\n{above}{card.START}\n{inside}\n{card.END}\n{below}"

    merged = card.merge_cards(page("mine\n\n", "old", "\nbelow\n"), page("", "new", ""))
    assert merged == page("mine\n\n", "new", "\nbelow\n")
    assert card.merge_cards("written by hand", page("", "new", "")) == page("", "new", "")
    assert card.merge_cards(merged, page("", "new", "")) == merged


def test_wrong_weights_and_wrong_tokenizer_are_noticed(model_dirs: Callable[[str], Path], tmp_path: Path) -> None:
    model = models.load(str(model_dirs("siglip2")))
    models.save(model, tmp_path)
    assert load_back.check_published(tmp_path, model) == 0.0
    state = model.module.state_dict()
    changed = {name: tensor + (1e-3 if name == "text.text_projection.weight" else 0) for name, tensor in state.items()}
    changed = {name: tensor * 1.01 if "visual" in name else tensor for name, tensor in changed.items()}
    models.save_state(changed, tmp_path / models.WEIGHTS_NAME)
    with pytest.raises(ModelError, match="embeddings differ by"):
        load_back.check_published(tmp_path, model)
    models.save_state(state, tmp_path / models.WEIGHTS_NAME)
    config = json.loads((tmp_path / models.CONFIG_NAME).read_text())
    del config["model_cfg"]["text_cfg"]["hf_tokenizer_name"]  # open_clip then takes CLIP's, with no word
    (tmp_path / models.CONFIG_NAME).write_text(json.dumps(config))
    with pytest.raises(ModelError, match="tokenizer gives other ids"):
        load_back.check_published(tmp_path, model)
    (tmp_path / models.WEIGHTS_NAME).unlink()
    with pytest.raises(ModelError, match="open_clip cannot open"):
        load_back.check_published(tmp_path, model)


def test_failed_check_leaves_no_folder(
    run: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, before = run(), sorted(tmp_path.iterdir())
    monkeypatch.setattr(load_back, "MAX_DIFFERENCE", -1.0)
    with pytest.raises(ModelError, match="embeddings differ"):
        hub.publish_run(out, to=str(tmp_path / "toy"), results=[], yes=False)
    assert sorted(tmp_path.iterdir()) == before


def test_what_cannot_be_published_says_why(run: Callable[..., Path], tmp_path: Path, tiny_model_dir: Path) -> None:
    with pytest.raises(ModelError, match="no finished checkpoint"):
        hub.publish_run(tmp_path / "nothing", to=str(tmp_path / "toy"), results=[], yes=False)
    with pytest.raises(IconoclipError, match=r"no run\.json"):
        hub.publish_run(tiny_model_dir, to=str(tmp_path / "toy"), results=[], yes=False)
    out = run()
    with pytest.raises(IconoclipError, match="expected hf-hub:ORG/NAME"):
        hub.publish_run(out, to="hf-hub:name", results=[], yes=False)
    (out / "fold-0").mkdir()
    with pytest.raises(IconoclipError, match="one run per fold"):
        hub.publish_run(out, to=str(tmp_path / "toy"), results=[], yes=False)
    shutil.rmtree(out / "fold-0")
    (out / "run.json").write_text("{")
    with pytest.raises(IconoclipError, match="not JSON"):
        hub.publish_run(out, to=str(tmp_path / "toy"), results=[], yes=False)


def test_a_checkpoint_can_be_named(run: Callable[..., Path], tmp_path: Path) -> None:
    checkpoint = run() / "checkpoints" / "step-10"
    assert "wrote" in hub.publish_run(checkpoint, to=str(tmp_path / "toy"), results=[], yes=False)


def test_unknown_country_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ICONOCLIP_COUNTRY", "France")
    with pytest.raises(IconoclipError, match="three letters"):
        run_facts.grid()
    monkeypatch.delenv("ICONOCLIP_COUNTRY")
    assert run_facts.grid() == ("", 475.0)


def test_dry_push_lists_files_and_pushes_nothing(run: Callable[..., Path]) -> None:
    said = hub.publish_run(run(), to="hf-hub:museum/toy", results=[], yes=False)
    assert "nothing was pushed; add --yes" in said
    assert "open_clip_model.safetensors" in said


def test_push_without_network_or_token_stops_before_work(
    run: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(IconoclipError, match="HF_HUB_OFFLINE is set"):
        hub.publish_run(run(), to="hf-hub:museum/toy", results=[], yes=True)
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "is_offline_mode", lambda: False)
    with pytest.raises(IconoclipError, match="no Hub token"):
        hub.publish_run(Path("anywhere"), to="hf-hub:museum/toy", results=[], yes=True)


@pytest.fixture
def hub_server(shared_folder: Path, tmp_path: Path) -> Iterator[SimpleNamespace]:
    """A small Hub on this machine; ``env`` lets a process talk to it."""
    command = [sys.executable, str(shared_folder / "tools" / "mini_hub.py"), str(tmp_path / "hub"), "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            endpoint = server.stdout.readline().split()[2]
            env = {name: value for name, value in os.environ.items() if not name.startswith("HF_HUB_OFFLINE")}
            env |= {
                "HF_ENDPOINT": endpoint,
                "HF_HUB_DISABLE_XET": "1",
                "HF_TOKEN": "hf_test",
                "HF_HOME": str(tmp_path / "home"),
            }
            yield SimpleNamespace(env=env, root=tmp_path / "hub")
        finally:
            server.terminate()


@pytest.mark.real
def test_pushed_model_opens_from_the_hub(run: Callable[..., Path], hub_server: SimpleNamespace) -> None:
    out = run("siglip2")
    command = [*CLI, "publish", str(out), "--to", "hf-hub:museum/toy", "--yes"]
    done = subprocess.run(command, capture_output=True, text=True, env=hub_server.env, check=False)
    assert done.returncode == 0, done.stderr
    assert "downloaded again and equal" in done.stdout
    assert "hf_test" not in done.stdout + done.stderr
    code = """
import open_clip
model, _, _ = open_clip.create_model_and_transforms("hf-hub:museum/toy")
ids = open_clip.get_tokenizer("hf-hub:museum/toy")(["a lion"])
print(ids.tolist(), model.encode_text(ids)[0, :3].tolist())
"""
    seen = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=hub_server.env, check=False)
    model = models.load(str(out))
    ids = model.tokenizer(["a lion"])
    assert seen.stdout.strip() == f"{ids.tolist()} {model.module.encode_text(ids)[0, :3].tolist()}", seen.stderr


def test_a_hub_that_does_not_answer_is_said() -> None:
    env = {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"}
    env |= {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_TOKEN": "hf_test"}
    code = (
        "from iconoclip import hub\n"
        "from pathlib import Path\n"
        "try: hub._push(Path('.'), 'museum/toy')\n"
        "except hub.IconoclipError as error: print(error)"
    )
    seen = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=False)
    assert "is there a network" in seen.stdout, seen.stderr
    assert "hf_test" not in seen.stdout + seen.stderr
