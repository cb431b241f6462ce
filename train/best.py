"""Which checkpoint is the best: the rule of `validation.best`."""

from collections.abc import Mapping

from iconoclip.errors import ConfigError

from .config import TrainConfig


def score_of(figures: Mapping[str, float], config: TrainConfig) -> float:
    """Take the figure that the rule names.

    Raises:
        ConfigError: the validation gives no such figure; lists those that it gives.
    """
    assert config.validation is not None
    name = config.validation.best.metric
    if name not in figures:
        raise ConfigError(f"validation.best.metric: got {name!r}; the validation gives {', '.join(sorted(figures))}")
    return figures[name]


def is_better(score: float, before: float | None, config: TrainConfig) -> bool:
    """Whether ``score`` is at least as good as the best one before: on a tie the later checkpoint is kept."""
    assert config.validation is not None
    if before is None:
        return True
    return score >= before if config.validation.best.higher_is_better else score <= before
