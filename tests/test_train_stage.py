"""Staging: what a run without a network needs is fetched, pinned, checked, and missed before anything is started."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from iconoclip import models
from iconoclip.errors import ConfigError, ModelError
from train import loop
from train.config import TrainConfig
from train.loop import run_training
from train.stage import check_staged, stage

CLI = [sys.executable, "-m", "iconoclip.cli"]


@pytest.fixture
def staged(write_config: Callable[..., Path], model_dirs: Callable[[str], Path], tmp_path: Path) -> TrainConfig:
    """Configuration of a short run whose model, with a tokenizer of its own, lies in a staged folder."""
    folder = tmp_path / "staged"
    path = write_config(model=f"local-dir:{model_dirs('siglip2')}", loss="sigmoid", samples=16, staged=str(folder))
    config = TrainConfig.load(path)
    stage(config, folder)
    return config


def test_a_staged_folder_is_whole_and_has_a_hash_for_every_file(staged: TrainConfig) -> None:
    assert staged.staged is not None
    manifest = json.loads((staged.staged / "staged.json").read_text())
    names = {entry["path"] for entry in manifest["files"]}
    assert {"model/open_clip_config.json", "model/open_clip_model.safetensors", "model/tokenizer.json"} <= names
    assert names == {str(p.relative_to(staged.staged)) for p in (staged.staged / "model").rglob("*") if p.is_file()}
    assert manifest["weights_sha256"] == models.load(staged.model.name).weights_sha256
    check_staged(staged)


def test_a_run_takes_its_model_from_the_staged_folder(
    staged: TrainConfig, write_config: Callable[..., Path], tmp_path: Path
) -> None:
    plain = run_training(TrainConfig.load(write_config("plain", model=staged.model.name, loss="sigmoid", samples=16)))
    moved = tmp_path / "gone"
    original = Path(staged.model.name.removeprefix("local-dir:"))
    shutil.copytree(original, moved)
    copy = staged.model_copy(update={"model": staged.model.model_copy(update={"name": f"local-dir:{moved}"})})
    assert staged.staged is not None
    stage(copy, staged.staged)
    shutil.rmtree(moved)  # what was staged is all there is
    run = run_training(copy)
    assert models.load(str(run)).weights_sha256 == models.load(str(plain)).weights_sha256
    assert json.loads((run / "run.json").read_text())["model"]["name"] == f"local-dir:{moved}"


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda model: (model / "tokenizer.json").unlink(), r"tokenizer\.json: missing; stage it again"),
        (lambda model: (model / "open_clip_model.safetensors").unlink(), r"model\.safetensors: missing"),
        (lambda model: _flip(model / "open_clip_model.safetensors"), r"is not the file that was staged \(sha256 \w+"),
        (lambda model: (model / "open_clip_config.json").write_text("{}"), "is not the file that was staged"),
        (lambda model: (model.parent / "staged.json").unlink(), r"staged\.json: missing; stage it again"),
        (lambda model: (model.parent / "staged.json").write_text("{"), r"staged\.json: damaged; stage it again"),
    ],
)
def test_a_run_stops_before_it_starts_a_process_group(
    spoil: Callable[[Path], object], words: str, staged: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert staged.staged is not None
    spoil(staged.staged / "model")
    monkeypatch.setattr(loop, "start", None)  # it is not come to
    with pytest.raises(ModelError, match=words):
        run_training(staged)
    assert not staged.out.exists()


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def test_a_folder_staged_for_another_model_is_refused(staged: TrainConfig, tiny_model_dir: Path) -> None:
    other = staged.model.model_copy(update={"name": f"local-dir:{tiny_model_dir}"})
    with pytest.raises(ConfigError, match="the run wants"):
        check_staged(staged.model_copy(update={"model": other}))


def test_a_random_model_is_staged_with_its_seed(write_config: Callable[..., Path], tmp_path: Path) -> None:
    config = TrainConfig.load(write_config(staged=str(tmp_path / "staged")))
    stage(config, tmp_path / "staged")
    check_staged(config)
    with pytest.raises(ConfigError, match="the run wants"):
        check_staged(config.model_copy(update={"seed": 1}))


@pytest.mark.parametrize("name", ["hf-hub:museum/toy", "ViT-B-16-SigLIP2-256:webli"])
def test_without_a_network_and_without_a_cache_the_run_says_what_to_do(
    name: str, write_config: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "start", None)
    with pytest.raises(ModelError, match=r"HF_HUB_OFFLINE is set .* --stage DIR"):
        run_training(TrainConfig.load(write_config(model=name)))


@pytest.fixture
def hub_server(shared_folder: Path, tmp_path: Path) -> Iterator[SimpleNamespace]:
    """A small Hub on this machine; ``env`` lets a process talk to it."""
    command = [sys.executable, str(shared_folder / "tools" / "mini_hub.py"), str(tmp_path / "hub"), "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            endpoint = server.stdout.readline().split()[2]
            env = {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"}
            env |= {"HF_ENDPOINT": endpoint, "HF_HUB_DISABLE_XET": "1", "HF_TOKEN": "hf_test"}
            yield SimpleNamespace(env=env | {"HF_HOME": str(tmp_path / "login")}, root=tmp_path / "hub")
        finally:
            server.terminate()


@pytest.mark.real
def test_a_model_from_the_hub_is_pinned_staged_and_trained_offline(
    hub_server: SimpleNamespace, model_dirs: Callable[[str], Path], write_config: Callable[..., Path], tmp_path: Path
) -> None:
    push = f"""
from huggingface_hub import HfApi
api = HfApi()
api.create_repo("museum/toy")
print(api.upload_folder(repo_id="museum/toy", folder_path={str(model_dirs("siglip2"))!r}).oid)
"""
    done = subprocess.run([sys.executable, "-c", push], capture_output=True, text=True, env=hub_server.env, check=True)
    commit, folder = done.stdout.split()[-1], tmp_path / "staged"
    path = write_config(model="hf-hub:museum/toy@main", loss="sigmoid", samples=16)
    command = [*CLI, "train", str(path), "--stage", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, env=hub_server.env, check=False)
    assert done.returncode == 0, done.stderr
    assert f"from museum/toy@{commit}" in done.stdout
    manifest = json.loads((folder / "staged.json").read_text())
    (source,) = (source for source in manifest["sources"] if source["revision"])
    assert source["revision"] == commit
    assert "open_clip_model.safetensors" in {entry["path"] for entry in source["files"]}

    # The node: no network, an empty cache of the Hub.
    offline = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "node")}
    command = [*CLI, "train", str(path), f"staged={folder}"]
    done = subprocess.run(command, capture_output=True, text=True, env=offline, check=False)
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["model"]["weights_sha256"] == manifest["weights_sha256"]

    # A file that was damaged on the way is noticed while staging.
    blob = next(path.resolve() for path in (tmp_path / "login").rglob("open_clip_model.safetensors"))
    data = bytearray(blob.read_bytes())
    data[-1] ^= 1
    blob.write_bytes(data)
    command = [*CLI, "train", str(path), "--stage", str(tmp_path / "again")]
    done = subprocess.run(command, capture_output=True, text=True, env=hub_server.env, check=False)
    assert done.returncode == 2
    assert "open_clip_model.safetensors is damaged" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "again").exists()
