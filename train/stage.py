"""Fetch on a machine with a network what a run on one without needs, and check that it is whole before a GPU is taken.

``iconoclip train CONFIG --stage DIR`` writes ``DIR/model``, a folder that `local-dir:` opens without asking anybody
(weights, configuration, tokenizer), and ``DIR/staged.json`` with the sha256 of every file and the Hub revisions it was
made from. A run with ``staged: DIR`` takes its model from there.
"""

import hashlib
import json
import logging
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from iconoclip import models, provenance
from iconoclip.errors import ConfigError, IconoclipError, ModelError
from iconoclip.files import make_folder, sha256_file, write_json
from iconoclip.models import Model

from .config import TrainConfig
from .launch import is_first_process
from .vocabulary import check_vocabulary

log = logging.getLogger(__name__)

MANIFEST_NAME, MODEL_NAME = "staged.json", "model"

_SHA256_CHARS = 64  # the Hub names large files by this hash, small ones by git's
_PROBES = ["a picture", "Straße, œuvre, живопись", ""]
_HUB_PREFIX = "hf-hub:"


def stage(config: TrainConfig, folder: Path) -> str:
    """Load the model of ``config``, from the Hub if it lies there, and write it into ``folder``; return what to print.

    Raises:
        IconoclipError: it cannot be fetched, is damaged, or does not open again as it was.
    """
    model = models.load(config.model.name, weights=config.model.weights, seed=config.seed)
    check_vocabulary(model)
    text_cfg = model.config["model_cfg"]["text_cfg"]
    sources = [_check_source(*source) for source in _repositories(config, text_cfg)]
    make_folder(folder)
    partial, target = folder / f".{MODEL_NAME}.tmp", folder / MODEL_NAME
    shutil.rmtree(partial, ignore_errors=True)
    try:
        models.save(model, partial)
        _check_equal(model, models.load(f"local-dir:{partial}"))
        (folder / MANIFEST_NAME).unlink(missing_ok=True)
        shutil.rmtree(target, ignore_errors=True)
        partial.rename(target)
    except OSError as error:
        raise IconoclipError(f"{folder}: cannot be written ({error.strerror}); choose another folder") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    files = [path for path in sorted(target.rglob("*")) if path.is_file()]
    manifest = {
        "model": _wanted(config),
        "weights_sha256": model.weights_sha256,
        "sources": sources,
        "files": [
            {"path": path.relative_to(folder).as_posix(), "bytes": path.stat().st_size, "sha256": sha256_file(path)}
            for path in files
        ],
        "software": provenance.software(),
        "created": provenance.utc_now(),
    }
    write_json(folder / MANIFEST_NAME, manifest)
    return _describe(folder, manifest)


def check_staged(config: TrainConfig) -> None:
    """Before anything is loaded: is all there that the run will need without a network, and is it what was staged?

    Rank 0 reads the files, the others look at their sizes.

    Raises:
        ModelError: a file is missing or another one; one line says which.
        ConfigError: the folder was staged for another model.
    """
    if config.staged is None:
        _check_offline(config)
        return
    again = f"stage it again where there is a network: iconoclip train CONFIG --stage {config.staged}"
    manifest = _read_manifest(config.staged, again)
    if manifest["model"] != _wanted(config):
        raise ConfigError(f"{config.staged}: holds {manifest['model']}, the run wants {_wanted(config)}; {again}")
    for entry in manifest["files"]:
        path = config.staged / entry["path"]
        if not path.is_file():
            raise ModelError(f"{path}: missing; {again}")
        if path.stat().st_size != entry["bytes"] or (is_first_process() and sha256_file(path) != entry["sha256"]):
            raise ModelError(f"{path}: is not the file that was staged (sha256 {entry['sha256'][:12]}…); {again}")


def load_model(config: TrainConfig, *, weights: str | None = None) -> Model:
    """Load the model that the run starts from: the staged one if there is one. ``weights`` takes their place."""
    weights = weights or config.model.weights
    if config.staged is None:
        return models.load(config.model.name, weights=weights, seed=config.seed)
    own = weights if weights != config.model.weights else None
    model = models.load(f"local-dir:{config.staged / MODEL_NAME}", weights=own, seed=config.seed)
    return replace(model, name=config.model.name)


def _wanted(config: TrainConfig) -> dict[str, Any]:
    """What tells one staged model from another; the seed only where weights are drawn."""
    is_random = config.model.name.endswith(":random") or config.model.weights == "random"
    return {**config.model.to_json(), "seed": config.seed if is_random else None}


def _read_manifest(folder: Path, again: str) -> dict[str, Any]:
    path = folder / MANIFEST_NAME
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        if {"model", "files"} <= manifest.keys():
            return manifest
    except FileNotFoundError:
        raise ModelError(f"{path}: missing; {again}") from None
    except (OSError, ValueError, AttributeError):
        pass
    raise ModelError(f"{path}: damaged; {again}")


def _check_equal(model: Model, again: Model) -> None:
    """The model that was written must be the one that was fetched: weights, token ids and embeddings, bit for bit."""
    if again.weights_sha256 != model.weights_sha256:
        raise ModelError(f"{model.name}: the staged weights are not the fetched ones; is the file system sound?")
    tokens = model.tokenizer(_PROBES)
    pixels = torch.linspace(-1, 1, 3 * model.image_size**2).reshape(1, 3, model.image_size, model.image_size)
    with torch.inference_mode():
        if not (
            torch.equal(tokens, again.tokenizer(_PROBES))
            and torch.equal(model.module.encode_text(tokens), again.module.encode_text(tokens))
            and torch.equal(model.module.encode_image(pixels), again.module.encode_image(pixels))
            and model.preprocess_cfg == again.preprocess_cfg
        ):
            raise ModelError(
                f"{model.name}: opened from a folder it does not give what it gives from its name; stage the "
                "model folder of its maker instead, as hf-hub:ORG/NAME"
            )


def _repositories(config: TrainConfig, text_cfg: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Repositories on the Hub that a model comes from, weights first, each with the revision that is asked for."""
    name, weights = config.model.name, config.model.weights or ""
    if name.startswith(_HUB_PREFIX):
        repository, _, revision = name.removeprefix(_HUB_PREFIX).partition("@")
        yield repository, revision or "main"
    elif _is_architecture(name):
        import open_clip

        architecture, _, tag = name.partition(":")
        pretrained: dict[str, Any] = open_clip.get_pretrained_cfg(architecture, weights or tag) or {}
        if pretrained.get("hf_hub"):
            yield "/".join(pretrained["hf_hub"].split("/")[:2]), "main"
    named = {text_cfg.get("hf_tokenizer_name"), text_cfg.get("hf_model_name")}
    for repository in sorted(name for name in named if name and not Path(name).exists()):
        yield repository, "main"


def _is_architecture(name: str) -> bool:
    """Whether a model is named by one of open_clip's architectures and not by a folder."""
    architecture, _, tag = name.partition(":")
    ours = (models.OUR_CONFIGS / architecture).is_dir()
    return bool(tag) and architecture != "local-dir" and not Path(architecture).exists() and not ours


def _check_source(repository: str, revision: str) -> dict[str, Any]:
    """Revision and files of a repository in the Hub's cache, each file held against the hash that the Hub gave it.

    Raises:
        ModelError: a file is not what the Hub holds.
    """
    snapshot = _snapshot(repository, revision)
    if snapshot is None:  # nothing was taken from it: a tokenizer that lies in the model's own folder
        return {"repository": repository, "revision": None, "files": []}
    files = []
    for path in sorted(path for path in snapshot.rglob("*") if path.is_file()):
        given = path.resolve().name
        if _hub_hash(path, given) != given:
            raise ModelError(
                f"{repository}@{snapshot.name}: {path.name} is damaged; remove {path.resolve()}, try again"
            )
        files.append({"path": path.relative_to(snapshot).as_posix(), "hash": given})
    return {"repository": repository, "revision": snapshot.name, "files": files}


def _snapshot(repository: str, revision: str) -> Path | None:
    """Folder of a revision in the Hub's cache; None if nothing of it is there."""
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    home = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=repository, repo_type="model")
    reference = home / "refs" / revision
    commit = reference.read_text(encoding="utf-8").strip() if reference.is_file() else revision
    folder = home / "snapshots" / commit
    return folder if folder.is_dir() else None


def _hub_hash(path: Path, given: str) -> str:
    """Hash of a file as the Hub names it: sha256 of a large one, git's of a small one."""
    if len(given) == _SHA256_CHARS:
        return sha256_file(path)
    data = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def _check_offline(config: TrainConfig) -> None:
    """Without a staged folder and without a network, what comes from the Hub must be in the Hub's cache."""
    from huggingface_hub import constants

    name = config.model.name
    is_hub = name.startswith(_HUB_PREFIX)
    if not constants.is_offline_mode() or not (is_hub or _is_architecture(name)):
        return
    import open_clip

    known: dict[str, Any] = {} if is_hub else open_clip.get_model_config(name.partition(":")[0]) or {}
    for repository, revision in _repositories(config, known.get("text_cfg", {})):
        if _snapshot(repository, revision) is None:
            raise ModelError(
                f"{name}: HF_HUB_OFFLINE is set and the Hub's cache has nothing of {repository}; where there is a "
                "network run `iconoclip train CONFIG --stage DIR`, then start the run with staged=DIR"
            )


def _describe(folder: Path, manifest: dict[str, Any]) -> str:
    total = sum(entry["bytes"] for entry in manifest["files"])
    lines = [f"staged {manifest['model']['name']} in {folder}: {len(manifest['files'])} files, {total / 1e6:,.1f} MB"]
    lines += [
        f"  from {source['repository']}@{source['revision']}" for source in manifest["sources"] if source["revision"]
    ]
    lines.append(f"run it without a network as: HF_HUB_OFFLINE=1 iconoclip train CONFIG staged={folder}")
    return "\n".join(lines)
