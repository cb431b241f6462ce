"""The weights that a run starts from, as they were: what WiSE-FT averages with and the retention guard measures by."""

from pathlib import Path

from iconoclip import models
from iconoclip.errors import ModelError
from iconoclip.models import Model

from . import stage, towers
from .config import TrainConfig


def keep_base(config: TrainConfig, model: Model, sha256: str) -> None:
    """Store the weights of a freshly loaded ``model`` in the run folder, once, if they come from a file or folder.

    Those can change while the run goes on (the `best` of another run moves); what comes from the Hub by name, and what
    is drawn from a seed, can be had again.
    """
    path = _path(config, sha256)
    name = config.model.name.removeprefix("local-dir:")
    weights = config.model.weights or ""
    is_local = weights.endswith(".safetensors") or (Path(name).exists() and not weights)
    if is_local and not path.is_file():
        models.save_state(model.module.state_dict(), path)


def load_base(config: TrainConfig, sha256: str) -> Model:
    """Load the weights that the run started from, with the bias that its loss wants, on the CPU.

    Raises:
        ModelError: they are no longer those.
    """
    kept = _path(config, sha256)
    model = stage.load_model(config, weights=str(kept) if kept.is_file() else None)
    if model.weights_sha256 != sha256:
        raise ModelError(
            f"{config.model.name}: its weights are no longer those that {config.out} started from; "
            f"put those back, or store them as {kept}"
        )
    towers.give_bias(model, uses_bias=config.loss.uses_bias)
    return model


def _path(config: TrainConfig, sha256: str) -> Path:
    return config.out / f"base-{sha256[:12]}.safetensors"
