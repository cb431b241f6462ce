"""Models: load, save, tokenise and preprocess, for the architectures that people fine-tune."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from iconoclip import models
from iconoclip.errors import ModelError

KINDS = ("clip", "siglip2", "xlm_roberta")
TEXTS = ["a lion", "une tour", "een schip, gezicht 3", ""]


def outputs(model: models.Model) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Token ids, text and image embeddings of fixed probes."""
    picture = Image.fromarray(np.arange(48 * 40 * 3, dtype=np.uint8).reshape(40, 48, 3))
    tokens = model.tokenizer(TEXTS)
    with torch.inference_mode():
        return tokens, model.module.encode_text(tokens), model.module.encode_image(model.preprocess(picture)[None])


@pytest.mark.parametrize("kind", KINDS)
def test_saved_model_equals_the_loaded_one(kind: str, model_dirs: Callable[[str], Path], tmp_path: Path) -> None:
    first = models.load(f"local-dir:{model_dirs(kind)}")
    models.save(first, tmp_path / "copy")
    second = models.load(str(tmp_path / "copy"))
    for one, other in zip(outputs(first), outputs(second), strict=True):
        assert torch.equal(one, other)
    assert first.weights_sha256 == second.weights_sha256
    assert first.preprocess_cfg == second.preprocess_cfg


@pytest.mark.parametrize("kind", KINDS)
def test_saving_twice_gives_the_same_files(kind: str, model_dirs: Callable[[str], Path], tmp_path: Path) -> None:
    def files(folder: Path) -> dict[str, bytes]:
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    models.save(models.load(str(model_dirs(kind))), tmp_path / "one")
    models.save(models.load(str(tmp_path / "one")), tmp_path / "two")
    assert files(tmp_path / "one") == files(tmp_path / "two")


@pytest.mark.parametrize("kind", KINDS)
def test_saved_files_name_no_folder_of_this_machine(
    kind: str, model_dirs: Callable[[str], Path], tmp_path: Path
) -> None:
    models.save(models.load(str(model_dirs(kind))), tmp_path / "copy")
    for path in (tmp_path / "copy").rglob("*.json"):
        assert str(tmp_path.parent.parent) not in path.read_text(), path.name


@pytest.mark.parametrize("kind", ["clip", "siglip2"])
def test_open_clip_opens_a_saved_folder_and_agrees(kind: str, model_dirs: Callable[[str], Path]) -> None:
    import open_clip

    folder = model_dirs(kind)
    module, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    theirs = models.Model("theirs", module.eval(), open_clip.get_tokenizer(f"local-dir:{folder}"), {})
    ours = models.load(str(folder))
    for one, other in zip(outputs(ours), outputs(theirs), strict=True):
        assert torch.equal(one, other)
    assert str(preprocess) == str(ours.preprocess)


def test_tokenizer_name_of_a_foreign_tokenizer_is_never_empty(
    model_dirs: Callable[[str], Path], tmp_path: Path
) -> None:
    # An empty name silently becomes CLIP's own tokenizer in open_clip.
    model = models.load(str(model_dirs("siglip2")))
    del model.config["model_cfg"]["text_cfg"]["hf_tokenizer_name"]
    models.save(model, tmp_path)
    text_cfg = json.loads((tmp_path / models.CONFIG_NAME).read_text())["model_cfg"]["text_cfg"]
    assert text_cfg["hf_tokenizer_name"]
    assert torch.equal(models.load(str(tmp_path)).tokenizer(TEXTS), model.tokenizer(TEXTS))


def test_random_weights_depend_on_the_seed_alone() -> None:
    torch.manual_seed(1)
    one = models.load("tiny:random", seed=3).weights_sha256
    torch.manual_seed(2)
    assert models.load("tiny:random", seed=3).weights_sha256 == one
    assert models.load("tiny:random", seed=4).weights_sha256 != one


def test_loading_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(5)
    want = torch.rand(3)
    torch.manual_seed(5)
    models.load("tiny:random", seed=0)
    assert torch.equal(torch.rand(3), want)


def test_weights_of_another_file_replace_the_folder_s(tiny_model_dir: Path, tmp_path: Path) -> None:
    other = models.load(f"{tiny_model_dir}:random", seed=9)
    models.save_state(other.module.state_dict(), tmp_path / "other.safetensors")
    loaded = models.load(str(tiny_model_dir), weights=str(tmp_path / "other.safetensors"))
    assert loaded.weights_sha256 == other.weights_sha256


def test_run_folder_opens_its_best_and_then_its_latest_checkpoint(tiny_model_dir: Path, tmp_path: Path) -> None:
    for number in (1, 2):
        models.save(models.load(f"{tiny_model_dir}:random", seed=number), tmp_path / f"checkpoints/step-{number}")
    (tmp_path / "latest").symlink_to("checkpoints/step-2")
    assert models.load(str(tmp_path)).weights_sha256 == models.load(f"{tiny_model_dir}:random", seed=2).weights_sha256
    (tmp_path / "best").symlink_to("checkpoints/step-1")
    assert models.load(str(tmp_path)).weights_sha256 == models.load(f"{tiny_model_dir}:random", seed=1).weights_sha256


def test_tied_weights_are_written_once_each(tmp_path: Path) -> None:
    tensor = torch.arange(4.0)
    models.save_state({"a": tensor, "b": tensor}, tmp_path / "tied.safetensors")
    from safetensors.torch import load_file

    assert torch.equal(load_file(tmp_path / "tied.safetensors")["b"], tensor)


def test_state_hash_sees_values_names_shapes_and_types() -> None:
    base = {"a": torch.zeros(2, 2)}
    others = ({"b": torch.zeros(2, 2)}, {"a": torch.zeros(4)}, {"a": torch.zeros(2, 2).half()}, {"a": torch.ones(2, 2)})
    assert len({models.state_sha256(state) for state in (base, *others)}) == 5
    assert models.state_sha256({"a": torch.zeros(()), "n": torch.zeros(2).bfloat16()})


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nowhere/at/all", "no run or model folder is there"),
        ("ViT-B-33:random", "no model 'ViT-B-33'"),
        ("ViT-B-32:nobody", "no weights 'nobody'"),
        ("local-dir:nowhere", "no open_clip_config.json"),
        ("hf-hub:nobody/nothing", "network or a filled cache"),
        ("", "no run or model folder is there"),
    ],
)
def test_models_that_do_not_exist_say_so(name: str, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        models.load(name)


def test_pickled_weights_are_not_opened(tiny_model_dir: Path, tmp_path: Path) -> None:
    (tmp_path / models.CONFIG_NAME).write_bytes((tiny_model_dir / models.CONFIG_NAME).read_bytes())
    (tmp_path / "open_clip_pytorch_model.bin").write_bytes(b"\x80\x04")
    with pytest.raises(ModelError, match="is a pickle and is not opened"):
        models.load(f"local-dir:{tmp_path}")
    with pytest.raises(ModelError, match="pickled weights are not opened"):
        models.load(f"local-dir:{tmp_path}", weights=str(tmp_path / "open_clip_pytorch_model.bin"))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "not an open_clip configuration"),
        ("[]", "not an open_clip"),
        ('{"model_cfg": {"text_cfg": {}}}', "vision"),
    ],
)
def test_broken_model_configuration_is_named(content: str, said: str, tmp_path: Path) -> None:
    (tmp_path / models.CONFIG_NAME).write_text(content)
    with pytest.raises(ModelError, match=said):
        models.load(f"local-dir:{tmp_path}")


def test_damaged_and_misfitting_weights_are_named(tiny_model_dir: Path, tmp_path: Path) -> None:
    config = (tiny_model_dir / models.CONFIG_NAME).read_bytes()
    (tmp_path / models.CONFIG_NAME).write_bytes(config)
    weights = (tiny_model_dir / models.WEIGHTS_NAME).read_bytes()
    (tmp_path / models.WEIGHTS_NAME).write_bytes(weights[: len(weights) // 2])
    with pytest.raises(ModelError, match="damaged"):
        models.load(str(tmp_path))
    models.save_state({"logit_scale": torch.zeros(())}, tmp_path / models.WEIGHTS_NAME)
    with pytest.raises(ModelError, match="does not fit"):
        models.load(str(tmp_path))


def test_device_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ICONOCLIP_DEVICE", "cpu")
    assert models.best_device() == torch.device("cpu")


def test_a_transformers_tower_opens_in_a_fresh_process_without_a_network(model_dirs: Callable[[str], Path]) -> None:
    code = "import sys; from iconoclip import models; print(models.load(sys.argv[1]).tokenizer(['a lion']).shape)"
    done = subprocess.run(
        [sys.executable, "-c", code, str(model_dirs("xlm_roberta"))],
        capture_output=True,
        text=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        check=False,
    )
    assert done.stdout.strip() == "torch.Size([1, 24])", done.stderr
