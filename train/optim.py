"""AdamW with the groups that contrastive models need, and a learning rate that depends on samples seen alone."""

import math

import torch
from torch import nn

from .config import OptimConfig

_LOGIT_NAMES = ("logit_scale", "logit_bias")
_TABLE_NAMES = ("token_embedding", "word_embeddings", "positional_embedding", "position_embeddings", "pos_embed")


def make_optimizer(module: nn.Module, config: OptimConfig) -> torch.optim.AdamW:
    """AdamW over what is trained; vectors, embeddings, temperature and bias have no weight decay.

    Each group has an ``lr_share``: its learning rate against the schedule's.
    """
    decay, no_decay, logits = [], [], []
    for name, parameter in module.named_parameters():
        if not parameter.requires_grad:
            continue
        leaf = name.rpartition(".")[2]
        if leaf in _LOGIT_NAMES:
            logits.append(parameter)
        elif parameter.ndim < 2 or any(part in _TABLE_NAMES for part in name.split(".")):
            no_decay.append(parameter)
        else:
            decay.append(parameter)
    groups = [
        {"params": decay, "weight_decay": config.weight_decay, "lr_share": 1.0},
        {"params": no_decay, "weight_decay": 0.0, "lr_share": 1.0},
        {"params": logits, "weight_decay": 0.0, "lr_share": config.temperature_lr},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=config.lr,
        betas=config.betas,
        eps=config.eps,
        fused=True,
    )


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
