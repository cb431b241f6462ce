"""AdamW with a group for each layer of each tower, and a learning rate that depends on samples seen alone."""

import math
from collections.abc import Iterator

import torch
from torch import nn

from . import layers
from .config import OptimConfig, TowerOptim
from .layers import Place

# Matrices that are weights of a module itself instead of a linear layer below it.
_BARE_MATRICES = ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight", "proj", "text_projection")


def make_optimizer(module: nn.Module, config: OptimConfig) -> torch.optim.AdamW:
    """AdamW over what is trained; every trained weight is in exactly one group.

    A group has a ``name`` (its row in :func:`describe_groups`) and an ``lr_share``: its peak against ``config.lr``.
    """
    decaying = _decaying(module)
    groups: dict[tuple[str, bool], dict] = {}
    trained = {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}
    for name, place in _ordered(layers.places(module)):
        if name not in trained:
            continue
        row, decays = _row(place, config), name in decaying
        group = groups.setdefault(
            (row, decays),
            {
                "name": row,
                "params": [],
                "lr_share": _peak(place, config) / config.lr,
                "weight_decay": _weight_decay(place, config) if decays else 0.0,
            },
        )
        group["params"].append(trained[name])
    return torch.optim.AdamW(groups.values(), lr=config.lr, betas=config.betas, eps=config.eps, fused=True)


def describe_groups(optimizer: torch.optim.Optimizer, module: nn.Module, config: OptimConfig) -> str:
    """Table of the groups: peak learning rate, weight decay, and how many weights have it and have it not."""
    rows: dict[str, list[float]] = {}
    for group in optimizer.param_groups:
        row = rows.setdefault(group["name"], [config.lr * group["lr_share"], 0.0, 0, 0])
        count = sum(parameter.numel() for parameter in group["params"])
        row[1] = max(row[1], group["weight_decay"])
        row[2 if group["weight_decay"] else 3] += count
    frozen = sum(parameter.numel() for parameter in module.parameters() if not parameter.requires_grad)
    width = max(len(name) for name in (*rows, "trained group"))
    lines = [f"{'trained group':<{width}}  {'peak lr':>8}  {'decay':>6}  {'weights':>13}  {'without decay':>13}"]
    for name, (lr, decay, with_decay, without) in rows.items():
        lines.append(f"{name:<{width}}  {lr:8.2e}  {decay:6.3g}  {int(with_decay):13,}  {int(without):13,}")
    lines.append(f"{'frozen':<{width}}  {'':8}  {'':6}  {frozen:13,}")
    return "\n".join(lines)


def _ordered(places: dict[str, Place]) -> Iterator[tuple[str, Place]]:
    """From the pixels up, then from the tokens up, then what joins the two."""
    rank = {"image": 0, "text": 1, "heads": 2, "logits": 3}
    yield from sorted(places.items(), key=lambda item: (rank[item[1].part], item[1].layer))


def _row(place: Place, config: OptimConfig) -> str:
    if place.part == "heads":
        return "heads"
    if place.part == "logits":
        return "temperature and bias"
    if _tower(place, config).layer_decay == 1:
        return place.part
    if place.is_in_block:
        return f"{place.part} block {place.layer}/{place.depth}"
    return f"{place.part}, {'below' if place.layer == 0 else 'after'} the blocks"


def _peak(place: Place, config: OptimConfig) -> float:
    if place.part == "heads":
        return config.heads.lr or config.lr
    if place.part == "logits":
        return config.logits.lr or config.lr
    tower = _tower(place, config)
    return (tower.lr or config.lr) * tower.layer_decay ** (place.depth + 1 - place.layer)


def _weight_decay(place: Place, config: OptimConfig) -> float:
    if place.part == "logits":
        return 0.0
    own = config.heads.weight_decay if place.part == "heads" else _tower(place, config).weight_decay
    return config.weight_decay if own is None else own


def _tower(place: Place, config: OptimConfig) -> TowerOptim:
    return config.image if place.part == "image" else config.text


def _decaying(module: nn.Module) -> set[str]:
    """Names of the matrices of linear and convolution layers and projections; nothing else decays.

    Norms, biases, tables of tokens and positions, class tokens, layer scales, temperature and bias are left out.
    """
    found = set()
    for prefix, owner in module.named_modules():
        is_layer = isinstance(owner, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d)
        for leaf, parameter in owner.named_parameters(recurse=False):
            if parameter.ndim >= 2 and ((is_layer and leaf == "weight") or leaf in _BARE_MATRICES):
                found.add(f"{prefix}.{leaf}" if prefix else leaf)
    return found


def lr_share(samples: int, total: int, *, warmup: float, min_share: float) -> float:
    """Share of the peak learning rate for the step that brings the run to ``samples`` of ``total``.

    Linear from 0 over the first ``warmup`` (a share) of the samples, then a cosine that ends at ``min_share``.
    Example, warmup 0.1 and min_share 0: 5 of 100 -> 0.5; 10 -> 1; 55 -> 0.5; 100 -> 0.
    """
    rising = warmup * total
    if samples < rising:
        return samples / rising
    done = min(1.0, (samples - rising) / max(total - rising, 1))
    return min_share + (1 - min_share) * 0.5 * (1 + math.cos(math.pi * done))


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Give every group its share of ``lr``."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["lr_share"]
