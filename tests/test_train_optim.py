"""Schedule values worked by hand, groups of parameters, and the bound of the temperature."""

import math

import pytest
import torch

from iconoclip import models
from train import optim, towers
from train.config import FreezeConfig, OptimConfig


@pytest.mark.parametrize(
    ("samples", "share"),
    [
        (5, 0.5),  # half of the warm-up of 10
        (10, 1.0),  # its end, where the cosine begins
        (40, 0.1 + 0.9 * 0.75),  # a third of the way down: (1 + cos(pi / 3)) / 2 = 3/4
        (55, 0.1 + 0.9 * 0.5),  # half of the way: cos(pi / 2) = 0
        (100, 0.1),  # the last step
        (120, 0.1),  # a longer run than said stays there
    ],
)
def test_learning_rate_by_hand(samples: int, share: float) -> None:
    assert optim.lr_share(samples, 100, warmup=0.1, min_share=0.1) == pytest.approx(share)


def test_without_warmup_the_first_step_is_near_the_peak() -> None:
    assert optim.lr_share(1, 1000, warmup=0, min_share=0) == pytest.approx(1, abs=1e-5)


def test_only_matrices_outside_the_tables_decay(tiny_model_dir) -> None:
    module = models.load(str(tiny_model_dir)).module
    optimizer = optim.make_optimizer(module, OptimConfig(lr=1e-3, weight_decay=0.2, temperature_lr=0.1))
    name_of = {id(parameter): name for name, parameter in module.named_parameters()}
    decay, no_decay, logits = ([name_of[id(p)] for p in group["params"]] for group in optimizer.param_groups)
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.2, 0.0, 0.0]
    assert "visual.transformer.resblocks.0.mlp.c_fc.weight" in decay
    assert {"token_embedding.weight", "positional_embedding", "ln_final.bias"} <= set(no_decay)
    assert logits == ["logit_scale"]
    assert len(decay) + len(no_decay) + 1 == len(list(module.parameters()))
    optim.set_lr(optimizer, 2e-3)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([2e-3, 2e-3, 2e-4])


def test_temperature_stays_below_100_or_the_bases_own(tiny_model_dir) -> None:
    model = models.load(str(tiny_model_dir))
    wrapped = towers.Towers(model, FreezeConfig())
    # CLIP starts at 1/0.07 and may rise to 100
    assert towers.largest_log_scale(model) == pytest.approx(math.log(100))
    with torch.no_grad():
        model.module.logit_scale.fill_(9.0)
    wrapped.clamp_temperature(math.log(100))
    assert model.module.logit_scale.item() == pytest.approx(math.log(100))
    # SigLIP's pretrained value lies above ln(100) = 4.605: it must not be cut at the first step
    with torch.no_grad():
        model.module.logit_scale.fill_(4.7215)
    largest = towers.largest_log_scale(model)
    wrapped.clamp_temperature(largest)
    assert model.module.logit_scale.item() == pytest.approx(4.7215)
    with torch.no_grad():
        model.module.logit_scale.fill_(-1.0)
    wrapped.clamp_temperature(largest)
    assert model.module.logit_scale.item() == 0.0
