"""The retention guard: does the run still know what its base knew, and what to do when it does not.

With a general set the guard measures retrieval on it, as a validation does, against the base's own figure. Without one
it compares the similarity matrix of 256 fixed pairs with the base's: the weaker alarm, since it hears that something
changed and not whether anything was lost. ``drop`` is what is compared with ``max_drop`` in either case.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from safetensors.numpy import load_file, save_file

from iconoclip.errors import ConfigError
from iconoclip.files import atomic_path
from iconoclip.models import Model
from iconoclip.shards import ShardSet, open_shards

from . import checkpoint
from .base_model import load_base
from .captions import usable
from .checkpoint import TrainerState
from .config import CaptionConfig, PairsConfig, RetentionConfig, TrainConfig, ValidationConfig
from .embedding import SharedEmbedder
from .journal import Journal
from .order import generator
from .processes import Processes
from .validation import HeldOut, open_held_out

NUM_PAIRS = 256
# Of a general set one point of its hit rate; of the similarity matrix a tenth of its agreement.
_DEFAULT_DROP = {True: 0.01, False: 0.1}

_BASE_FILE = "retention-base.safetensors"

Verdict = Literal["good", "warn", "stop", "rollback"]
_DEEDS = {
    "warn": "going on all the same",
    "stop": "the run ends here",
    "rollback": "back to the last good checkpoint, with the learning rate halved",
}
# Retrieval of a model on held-out pairs, with all processes: figures by name, `score` among them.
Measure = Callable[[Model, HeldOut], dict[str, float]]


@dataclass(frozen=True)
class FixedPairs:
    """Pictures and a text for each, the same in every check."""

    shard_set: ShardSet
    positions: tuple[int, ...]
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Guard:
    """``look`` gives a model's figure, to be called by every process; ``base`` is that of the base."""

    config: RetentionConfig
    base: float
    look: Callable[[Model], float]

    @property
    def acts(self) -> bool:
        """Whether it does more than warn."""
        return self.config.action != "warn"

    def check(self, model: Model, state: TrainerState, journal: Journal) -> tuple[Verdict, float]:
        """Measure, tell, and say what to do and how large the drop is."""
        figure = self.look(model)
        drop = self.base - figure
        verdict = judge(self.config, state, drop)
        journal.write({"step": state.step, "retention/figure": figure, "retention/drop": drop})
        limit = largest_drop(self.config)
        words = "" if verdict == "good" else f", more than the {limit:g} allowed: {_DEEDS[verdict]}"
        journal.say(f"step {state.step:,}: retention {figure:.3f}, the base has {self.base:.3f}{words}")
        return verdict, drop


def open_guard(
    config: TrainConfig, state: TrainerState, *, live: Model, processes: Processes, measure: Measure
) -> tuple[Guard, TrainerState]:
    """Measure the base, or find what was measured when the run began; return the guard and a state that remembers it.

    ``live`` is the model in training, which is the base before the first step.

    Raises:
        ConfigError: there is nothing to measure on.
    """
    wanted = config.retention
    assert wanted is not None

    def base() -> Model:
        if state.step == 0:
            return live
        model = load_base(config, state.base_weights_sha256)
        model.module.to(processes.device)
        return model

    if (general_set := wanted.shards) is not None:
        general = processes.on_main(lambda: open_general(config, general_set))
        if state.retention_base is None:
            state = replace(state, retention_base=measure(base(), general)["score"])
        assert state.retention_base is not None
        return Guard(wanted, state.retention_base, lambda model: measure(model, general)["score"]), state
    pairs = processes.on_main(lambda: fixed_pairs(config))

    path = config.out / _BASE_FILE
    kept = processes.on_main(lambda: _read_matrix(path, len(pairs.texts)) if state.step else None)
    if kept is None:
        kept = similarity_matrix(base(), pairs, processes)
        processes.on_main(lambda: _write_matrix(path, kept))
    return Guard(wanted, 1.0, lambda model: agreement(similarity_matrix(model, pairs, processes), kept)), state


def open_general(config: TrainConfig, pairs: PairsConfig) -> HeldOut:
    """Open a general set as a validation split is opened, with all of its captions."""
    wanted = ValidationConfig.model_validate(pairs.model_dump())
    held_out = open_held_out(config.model_copy(update={"validation": wanted, "captions": CaptionConfig()}))
    assert held_out is not None
    return held_out


def describe(config: RetentionConfig) -> str:
    """Say at the start what is watched."""
    limit = f"above a drop of {largest_drop(config):g}: {_DEEDS[config.action]}"
    if config.shards is not None:
        return f"retention: watching retrieval on {config.shards.path} ({config.shards.split}); {limit}"
    return (
        f"retention: watching the similarity matrix of up to {NUM_PAIRS} pairs; {limit}. This is the weaker alarm: "
        "name a general set in retention.shards for the stronger one"
    )


def largest_drop(config: RetentionConfig) -> float:
    """The drop that is still allowed."""
    return _DEFAULT_DROP[config.shards is not None] if config.max_drop is None else config.max_drop


def is_due(config: TrainConfig, step: int, *, validates: bool) -> bool:
    """Whether to look after ``step``: with every validation, and every ``retention.every`` steps."""
    if config.retention is None:
        return False
    every = config.retention.every
    return validates or (every is not None and step % every == 0)


def fixed_pairs(config: TrainConfig) -> FixedPairs:
    """256 pairs by the run's seed, of the validation split or, without one, of the first source; fewer if it has fewer.

    Raises:
        ConfigError: fewer than three of them have a caption.
    """
    source = config.validation or config.data[0]
    shard_set = open_shards(source.path, source.split)
    positions, texts = [], []
    for position in generator(config.seed, "retention").permutation(len(shard_set)):
        if config.captions.draw == "default":
            text = shard_set.text(int(position))
        else:
            text = next((c.text for c in usable(shard_set.record(int(position)).captions, config.captions)), "")
        if text.strip() and text not in texts:
            positions.append(int(position))
            texts.append(text)
        if len(texts) == NUM_PAIRS:
            break
    if len(texts) < 3:
        raise ConfigError(f"retention: {source.path} ({source.split}) has {len(texts)} pairs, too few to compare")
    return FixedPairs(shard_set, tuple(positions), tuple(texts))


def similarity_matrix(model: Model, pairs: FixedPairs, processes: Processes) -> np.ndarray:
    """float32 [P, P]: cosines of all texts with all pictures of the pairs; to be called by every process."""

    def read(number: int) -> bytes:
        return pairs.shard_set.image_bytes(pairs.positions[number])

    embedder = SharedEmbedder(model, processes)
    images_PD = embedder.images(read, len(pairs.positions))
    return embedder.texts(pairs.texts) @ images_PD.T


def agreement(now_PP: np.ndarray, base_PP: np.ndarray) -> float:
    """Correlation (Pearson) of two similarity matrices outside the diagonal; 1 where nothing changed.

    The diagonal is what training is to change: each text's own picture.
    """
    others = ~np.eye(len(base_PP), dtype=bool)
    if not (np.ptp(now_PP[others]) and np.ptp(base_PP[others])):
        return 0.0
    return float(np.corrcoef(now_PP[others], base_PP[others])[0, 1])


def judge(config: RetentionConfig, state: TrainerState, drop: float) -> Verdict:
    """What to do about a drop; one rollback too many is a stop."""
    if drop <= largest_drop(config):
        return "good"
    if config.action == "rollback" and len(state.rollbacks) >= config.max_rollbacks:
        return "stop"
    return config.action


def roll_back(out: Path, state: TrainerState, *, drop: float) -> TrainerState:
    """Make the last good checkpoint the one to go on from, with the learning rate halved; remove those after it.

    What is written depends on ``state`` and on that checkpoint's weights alone, and in such an order that a run killed
    in between comes to the same: either it meets the same drop again, or it goes on from here.
    """
    folder = checkpoint.pointed(out, "good")
    assert folder is not None, "a good checkpoint is written before the first step"
    back = checkpoint.read_state(folder)
    factor = state.lr_factor / 2
    event = {"from_step": state.step, "to_step": back.step, "drop": drop, "lr_factor": factor}
    state = replace(
        back,
        seconds=state.seconds,
        lr_factor=factor,
        rollbacks=[*state.rollbacks, event],
        retention_base=state.retention_base,
        num_processes=state.num_processes,
        config=state.config,
    )
    checkpoint.amend(folder, state)
    checkpoint.make_latest(out, folder)
    return state


def _read_matrix(path: Path, num_pairs: int) -> np.ndarray | None:
    if not path.is_file():
        return None
    found = load_file(path)["similarity"]
    return found if found.shape == (num_pairs, num_pairs) else None


def _write_matrix(path: Path, matrix_PP: np.ndarray) -> None:
    with atomic_path(path) as temporary:
        save_file({"similarity": np.ascontiguousarray(matrix_PP)}, temporary)
