"""WiSE-FT (Wortsman et al. 2022): between the base's weights and the fine-tuned ones lies a better model than either.

After a run base + alpha * (fine-tuned - base) is measured for several alphas on the heritage validation and on a
general set. The rule: of the alphas whose general figure is at most ``max_loss`` below the base's, the one with the
best heritage figure, the smaller one on a tie. The chosen weights take the place of the exported ones of the best
checkpoint; its ``state/`` keeps the raw ones.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from iconoclip import models
from iconoclip.errors import ConfigError
from iconoclip.files import write_json
from iconoclip.models import Model

from . import checkpoint
from .base_model import load_base
from .checkpoint import TrainerState
from .config import PairsConfig, TrainConfig, WiseFtConfig
from .journal import Journal
from .processes import Processes
from .retention import Measure, open_general
from .validation import KS, HeldOut

NAME = "wise_ft.json"


@dataclass(frozen=True)
class Point:
    """One average: its figures, shares between 0 and 1, and whether no other is at least as good in both."""

    alpha: float
    heritage: float
    general: float
    is_pareto: bool = False


def average_with_base(
    config: TrainConfig,
    state: TrainerState,
    held_out: HeldOut,
    *,
    processes: Processes,
    journal: Journal,
    measure: Measure,
) -> dict[str, Any] | None:
    """Sweep, choose, export and write ``wise_ft.json``, with all processes; return its content.

    None if the run was asked to stop on the way: the next start begins the sweep again.
    """
    wanted = config.wise_ft
    assert wanted is not None
    folder = processes.on_main(lambda: checkpoint.pointed(config.out, "best") or checkpoint.latest(config.out))
    assert folder is not None
    general = processes.on_main(lambda: open_general(config, _general_set(config)))
    base = load_base(config, state.base_weights_sha256)
    before = {name: tensor.clone() for name, tensor in base.module.state_dict().items()}
    tuned = checkpoint.raw_weights(folder, before, config.lora)
    base.module.to(processes.device)

    def look(model: Model) -> tuple[float, float] | None:
        processes.meet()
        if processes.stopping:
            return None
        return measure(model, held_out)[wanted.heritage], measure(model, general)["score"]

    is_base = all(torch.equal(before[name], tensor) for name, tensor in tuned.items())
    alphas = [] if is_base else wanted.alphas
    if is_base:
        journal.say(f"WiSE-FT: {folder.name} is the base itself, nothing that was learnt is in it")
    else:
        journal.say(f"WiSE-FT: averaging {folder.name} with the base, {len(_with_ends(alphas))} alphas")
    points = sweep(base, before, tuned, alphas, look)
    if points is None:
        return None
    chosen = choose(points, wanted.max_loss)
    journal.say(describe(points, chosen))
    weights = average(before, tuned, chosen.alpha)
    facts = {"checkpoint": folder.name, "step": state.step, "weights_sha256": models.state_sha256(weights)}
    content = report(wanted, points, chosen, base_weights_sha256=state.base_weights_sha256, **facts)

    def write() -> None:
        checkpoint.export(folder, weights)
        write_json(config.out / NAME, content)  # last: it says that the sweep is done

    processes.on_main(write)
    return content


def is_due(config: TrainConfig, state: TrainerState) -> bool:
    """Whether a run that is over still wants its sweep."""
    if config.wise_ft is None:
        return False
    try:
        done = json.loads((config.out / NAME).read_text(encoding="utf-8"))
        return (done["step"], done["config"]) != (state.step, config.wise_ft.to_json())
    except (OSError, ValueError, KeyError):
        return True


def average(base: Mapping[str, Tensor], tuned: Mapping[str, Tensor], alpha: float) -> dict[str, Tensor]:
    """base + alpha * (tuned - base) for every weight; 0 and 1 give the one and the other to the last bit.

    What is no floating-point number (counters, positions) is the fine-tuned model's.
    """
    if alpha in (0, 1):
        return dict(tuned if alpha else base)
    return {
        name: base[name] + alpha * (tensor - base[name]) if tensor.is_floating_point() else tensor
        for name, tensor in tuned.items()
    }


def sweep(
    model: Model,
    base: Mapping[str, Tensor],
    tuned: Mapping[str, Tensor],
    alphas: Sequence[float],
    look: Callable[[Model], tuple[float, float] | None],
) -> list[Point] | None:
    """Measure (heritage, general) at each alpha, and at 0 and 1 in any case; None as soon as ``look`` gives that."""
    found: list[tuple[float, float, float]] = []
    for alpha in _with_ends(alphas):
        model.module.load_state_dict(average(base, tuned, alpha))
        figures = look(model)
        if figures is None:
            return None
        found.append((alpha, *figures))
    return [Point(*own, not any(_beats(other, own) for other in found)) for own in found]


def _with_ends(alphas: Sequence[float]) -> list[float]:
    return sorted({0.0, 1.0, *alphas})


def _beats(other: tuple[float, float, float], own: tuple[float, float, float]) -> bool:
    """At least as good in both figures, and better in one."""
    return other[1:] != own[1:] and other[1] >= own[1] and other[2] >= own[2]


def choose(points: Sequence[Point], max_loss: float) -> Point:
    """The rule of this module's first lines; alpha 0 loses nothing, so there is always one."""
    base = next(point for point in points if point.alpha == 0)
    allowed = [point for point in points if point.general >= base.general - max_loss]
    return max(allowed, key=lambda point: (point.heritage, -point.alpha))


def check_figure(config: WiseFtConfig, held_out: HeldOut) -> None:
    """Look before training whether the validation has the figure that the sweep will go by.

    Raises:
        ConfigError: it has not.
    """
    means = [f"{way}/hit_rate@{k}" for way in ("text_to_image", "image_to_text") for k in KS]
    known = ["score", *means, *(f"{name}/{language}" for name in means for language in held_out.captions)]
    if config.heritage not in known:
        raise ConfigError(f"wise_ft.heritage: no figure {config.heritage!r}; the validation has {', '.join(known)}")


def describe(points: Sequence[Point], chosen: Point) -> str:
    """Table of the sweep for the log, in per cent."""
    base = next(point for point in points if point.alpha == 0)
    lines = ["WiSE-FT  alpha  heritage    gain  general    loss"]
    for point in points:
        marks = "  chosen" if point == chosen else "  pareto" if point.is_pareto else ""
        lines.append(
            f"         {point.alpha:5.2f}  {point.heritage:8.1%}  {point.heritage - base.heritage:+6.1%}  "
            f"{point.general:7.1%}  {base.general - point.general:+6.1%}{marks}"
        )
    return "\n".join(lines)


def report(config: WiseFtConfig, points: Sequence[Point], chosen: Point, **facts: Any) -> dict[str, Any]:
    """Content of ``wise_ft.json``."""
    return {
        "chosen_alpha": chosen.alpha,
        "rule": f"best {config.heritage} with a general loss of at most {config.max_loss:g}",
        "config": config.to_json(),
        **facts,
        "points": [asdict(point) for point in points],
    }


def _general_set(config: TrainConfig) -> PairsConfig:
    own = config.wise_ft.general if config.wise_ft else None
    general = own or (config.retention.shards if config.retention else None)
    assert general is not None, "the configuration has seen to it"
    return general
