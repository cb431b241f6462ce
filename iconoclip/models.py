"""The only seam to open_clip: build, load, tokenise, preprocess and save contrastive text-image models.

A model is named by a string: ``hf-hub:org/name[@revision]``, ``local-dir:DIR``, ``NAME:PRETRAINED`` (any open_clip
name and tag), a run folder or checkpoint, or ``NAME:random`` for seeded random weights; ``NAME`` may also be one of our
small configurations (``tiny``) or a folder with an ``open_clip_config.json``. Pickled weights are never opened.
"""

import copy
import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from .errors import ModelError
from .files import atomic_path, write_json
from .process import import_libraries

CONFIG_NAME = "open_clip_config.json"
WEIGHTS_NAME = "open_clip_model.safetensors"
OUR_CONFIGS = Path(__file__).parent / "model_configs"

_REASON_CHARS = 300  # a list of the missing weights can be pages long
_HUB_FILES = ["*.json", "*.txt", "*.model", "*.safetensors", "text/*"]


@dataclass(frozen=True)
class Model:
    """A text-image model with all that belongs to it.

    ``module`` is open_clip's (``encode_image``, ``encode_text``, ``logit_scale``); ``tokenizer`` maps a list of texts
    to int64 [N, context_length]; ``config`` is the content of ``open_clip_config.json``.
    """

    name: str
    module: Any  # open_clip's CLIP or CustomTextCLIP: nn.Module hides their attributes from type checkers
    tokenizer: Callable[[list[str]], torch.Tensor]
    config: dict[str, Any]

    @property
    def image_size(self) -> int:
        """Side of the square input picture in pixels."""
        size = self.module.visual.image_size
        return int(size[0] if isinstance(size, tuple | list) else size)

    @property
    def context_length(self) -> int:
        """Tokens that the text tower sees."""
        return int(self.config["model_cfg"]["text_cfg"].get("context_length", 77))

    @property
    def preprocess_cfg(self) -> dict[str, Any]:
        """open_clip's preprocessing values: size, mode, mean, std, interpolation, resize_mode, fill_color."""
        return dict(self.module.visual.preprocess_cfg)

    @property
    def preprocess(self) -> Callable[[Any], torch.Tensor]:
        """Evaluation transform: PIL picture -> float32 [3, image_size, image_size]."""
        from open_clip.transform import PreprocessCfg, image_transform_v2

        transform: Any = image_transform_v2(PreprocessCfg(**self.preprocess_cfg), is_train=False)
        return transform

    @property
    def weights_sha256(self) -> str:
        """Hash of the weights' values: the same for the same weights in any file or precision of storage container."""
        return state_sha256(self.module.state_dict())


def load(name: str, *, weights: str | None = None, seed: int = 0) -> Model:
    """Build the model that ``name`` says, on the CPU in fp32, in evaluation mode.

    ``weights`` (a pretrained tag, a ``.safetensors`` file or ``random``) takes the place of what the name says.

    Raises:
        ModelError: there is no such model, its weights are missing, or they are a pickle.
    """
    import_libraries()
    scheme, _, rest = name.partition(":")
    if scheme == "hf-hub":
        return _load_folder(_download(rest), name=name, weights=weights, seed=seed)
    if scheme == "local-dir":
        return _load_folder(Path(rest), name=name, weights=weights, seed=seed)
    folder = _checkpoint_folder(Path(name))
    if folder is not None:
        return _load_folder(folder, name=name, weights=weights, seed=seed)
    architecture, _, tag = name.partition(":")
    tag = weights or tag
    if not tag:
        raise ModelError(
            f"model {name!r}: no run or model folder is there (has `iconoclip train` finished?), and it is not "
            "NAME:PRETRAINED such as ViT-B-32:laion2b_s34b_b79k, or NAME:random for untrained weights"
        )
    for known in (OUR_CONFIGS / architecture, Path(architecture)):
        if (known / CONFIG_NAME).is_file():
            return _load_folder(known, name=name, weights=tag, seed=seed)
    return _load_builtin(architecture, tag, name=name, seed=seed)


def save(model: Model, folder: Path, *, state: dict[str, torch.Tensor] | None = None) -> None:
    """Write ``folder`` so that ``local-dir:folder`` opens it, here and in open_clip: weights last.

    ``state`` takes the place of the module's own weights (adapters merged, an average). A text tower from transformers
    gets its own ``text/config.json``, which :func:`load` uses without a network.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = copy.deepcopy(model.config)
    text_cfg = config["model_cfg"]["text_cfg"]
    inner = getattr(model.tokenizer, "tokenizer", None)
    if inner is not None and hasattr(inner, "save_pretrained"):
        inner.save_pretrained(folder)
        text_cfg.setdefault("hf_tokenizer_name", model.name)
    transformer = getattr(getattr(model.module, "text", None), "transformer", None)
    if text_cfg.get("hf_model_name") and transformer is not None:
        (folder / "text").mkdir(exist_ok=True)
        transformer.config.to_json_file(str(folder / "text" / "config.json"))
    keep = ("mean", "std", "interpolation", "resize_mode", "fill_color")
    config["preprocess_cfg"] = {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in model.preprocess_cfg.items()
        if key in keep
    }
    write_json(folder / CONFIG_NAME, config)
    save_state(model.module.state_dict() if state is None else state, folder / WEIGHTS_NAME)


def save_state(state: dict[str, torch.Tensor], path: Path) -> None:
    """Write tensors as safetensors, atomically; tensors that share memory are written out one by one."""
    own = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()}
    with atomic_path(path) as temporary:
        save_file(own, temporary, metadata={"format": "pt"})
        temporary.chmod(0o644)  # safetensors makes files that only their owner may read


def state_sha256(state: dict[str, torch.Tensor]) -> str:
    """Hash of names, types, shapes and values of a state dict, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def num_parameters(model: Model) -> int:
    """Number of trainable and frozen weights."""
    return sum(parameter.numel() for parameter in model.module.parameters())


def _checkpoint_folder(path: Path) -> Path | None:
    """Folder that holds the model of a run, a checkpoint or a published folder; None if there is none."""
    for candidate in (path, path / "best", path / "latest"):
        if (candidate / CONFIG_NAME).is_file() and (candidate / WEIGHTS_NAME).is_file():
            return candidate
    return None


def _download(identifier: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    repo, _, revision = identifier.partition("@")
    try:
        return Path(snapshot_download(repo, revision=revision or None, allow_patterns=_HUB_FILES))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        first = (str(error).splitlines() or ["no answer"])[0]
        raise ModelError(
            f"hf-hub:{identifier}: {first}; is the name right, and is there a network or a filled cache?{_offline()}"
        ) from None


def _load_folder(folder: Path, *, name: str, weights: str | None, seed: int) -> Model:
    config = _read_config(folder)
    if weights == "random":
        module = _create(f"local-dir:{folder}", config, folder, seed=seed)
        return Model(name, module.eval(), _tokenizer(folder, config), config)
    path = Path(weights) if weights else folder / WEIGHTS_NAME
    if not path.is_file():
        pickles = sorted(p.name for p in folder.glob("*.bin")) + sorted(p.name for p in folder.glob("*.pt"))
        hint = f"; {pickles[0]} is a pickle and is not opened, convert it to safetensors" if pickles else ""
        raise ModelError(f"{name}: no {path.name} in {folder}{hint}")
    module = _create(f"local-dir:{folder}", config, folder, seed=seed)
    _load_weights(module, path, name)
    return Model(name, module.eval(), _tokenizer(folder, config), config)


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG_NAME
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        missing = [part for part in ("text_cfg", "vision_cfg") if part not in config["model_cfg"]]
    except FileNotFoundError:
        raise ModelError(f"{folder}: no {CONFIG_NAME} there; is it a model folder?") from None
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path}: not an open_clip configuration ({error!r})") from None
    if missing:
        raise ModelError(f"{path}: not an open_clip configuration: model_cfg has no {missing[0]}")
    return config


def _create(identifier: str, config: dict[str, Any], folder: Path | None, *, seed: int) -> nn.Module:
    """Build the architecture with seeded random weights; nothing is downloaded."""
    import open_clip

    overrides = {}
    text_cfg = copy.deepcopy(config["model_cfg"]["text_cfg"])
    if text_cfg.get("hf_model_name"):
        text_cfg["hf_model_pretrained"] = False
        if folder is not None and (folder / "text" / "config.json").is_file():
            text_cfg["hf_model_name"] = str(folder / "text")
        overrides["text_cfg"] = text_cfg
    with torch.random.fork_rng(devices=[]), _quiet_open_clip():
        torch.manual_seed(seed)
        try:
            return open_clip.create_model(
                identifier,
                load_weights=False,
                pretrained_image=False,
                pretrained_text=False,
                **overrides,
            )
        except (RuntimeError, OSError, ValueError, TypeError, AssertionError) as error:
            raise ModelError(f"{identifier}: open_clip cannot build it: {error}") from None


@contextmanager
def _quiet_open_clip() -> Iterator[None]:
    """open_clip warns on the root logger that weights are random, which is what was asked for."""
    level = logging.root.level
    logging.root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logging.root.setLevel(level)


def _load_weights(module: nn.Module, path: Path, name: str) -> None:
    if path.suffix != ".safetensors":
        raise ModelError(f"{path}: not a .safetensors file; pickled weights are not opened")
    try:
        module.load_state_dict(load_file(path), strict=True)
    except SafetensorError as error:
        raise ModelError(f"{path}: damaged ({error}); copy or download it again") from None
    except (RuntimeError, OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        shown = reason if len(reason) <= _REASON_CHARS else f"{reason[:_REASON_CHARS]}…"
        raise ModelError(f"{name}: {path.name} does not fit {CONFIG_NAME}: {shown}") from None


def _load_builtin(architecture: str, tag: str, *, name: str, seed: int) -> Model:
    import open_clip

    model_cfg = open_clip.get_model_config(architecture)
    if model_cfg is None:
        raise ModelError(f"{name}: open_clip has no model {architecture!r}; see open_clip.list_models()")
    config = {"model_cfg": model_cfg, "preprocess_cfg": {}}
    if tag == "random":
        module = _create(architecture, copy.deepcopy(config), None, seed=seed)
    elif tag.endswith(".safetensors"):
        module = _create(architecture, copy.deepcopy(config), None, seed=seed)
        _load_weights(module, Path(tag), name)
    else:
        module = _pretrained(architecture, tag, name)
    try:
        tokenizer = open_clip.get_tokenizer(architecture)
    except OSError as error:
        first = (str(error).splitlines() or [""])[0]
        raise ModelError(f"{name}: its tokenizer cannot be fetched ({first})") from None
    return Model(name, module.eval(), tokenizer, config)


def _pretrained(architecture: str, tag: str, name: str) -> nn.Module:
    import open_clip

    if tag not in open_clip.list_pretrained_tags_by_model(architecture):
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(architecture)) or "none"
        raise ModelError(f"{name}: open_clip has no weights {tag!r} for it; it has {tags}")
    try:
        return open_clip.create_model(architecture, pretrained=tag, weights_only=True)
    except (RuntimeError, OSError) as error:
        first = (str(error).splitlines() or [""])[0]
        hint = (
            f"is there a network?{_offline()} `iconoclip train CONFIG --stage DIR` fetches weights where there is one"
        )
        raise ModelError(f"{name}: {first}; {hint}") from None


def _offline() -> str:
    from huggingface_hub import constants

    return " HF_HUB_OFFLINE is set, so nothing is fetched." if constants.HF_HUB_OFFLINE else ""


def _tokenizer(folder: Path, config: dict[str, Any]) -> Callable[[list[str]], torch.Tensor]:
    import open_clip

    named = config["model_cfg"]["text_cfg"].get("hf_tokenizer_name")
    has_files = any((folder / file).is_file() for file in ("tokenizer.json", "tokenizer.model", "vocab.json"))
    try:
        if named and not has_files:
            text_cfg = config["model_cfg"]["text_cfg"]
            return open_clip.tokenizer.HFTokenizer(
                named,
                context_length=text_cfg.get("context_length", 77),
                tokenizer_mode=text_cfg.get("tokenizer_mode"),
                **text_cfg.get("tokenizer_kwargs", {}),
            )
        return open_clip.get_tokenizer(f"local-dir:{folder}")
    except (OSError, ValueError) as error:
        first = (str(error).splitlines() or [""])[0]
        raise ModelError(f"{folder}: its tokenizer cannot be loaded ({first})") from None


def best_device() -> torch.device:
    """The accelerator that is there (CUDA, MPS, XPU), else the CPU; ``ICONOCLIP_DEVICE`` overrides."""
    wanted = os.environ.get("ICONOCLIP_DEVICE")
    if wanted:
        return torch.device(wanted)
    accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return accelerator or torch.device("cpu")
