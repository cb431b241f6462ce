"""Schedule values worked by hand, groups of parameters, and the bound of the temperature."""

import math
from pathlib import Path

import pytest
import torch

from iconoclip import models
from train import optim, towers
from train.config import FreezeConfig, HeadOptim, LogitOptim, OptimConfig, TowerOptim


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


def test_only_matrices_outside_the_tables_decay(tiny_model_dir: Path) -> None:
    module = models.load(str(tiny_model_dir)).module
    config = OptimConfig(lr=1e-3, weight_decay=0.2, heads=HeadOptim(weight_decay=0.3), logits=LogitOptim(lr=1e-4))
    optimizer = optim.make_optimizer(module, config)
    name_of = {id(parameter): name for name, parameter in module.named_parameters()}
    groups = {
        (group["name"], group["weight_decay"]): {name_of[id(p)] for p in group["params"]}
        for group in optimizer.param_groups
    }
    assert groups.keys() == {
        ("image", 0.2), ("image", 0.0), ("text", 0.2), ("text", 0.0), ("heads", 0.3), ("temperature and bias", 0.0)
    }  # fmt: skip
    assert {"visual.transformer.resblocks.0.mlp.c_fc.weight", "visual.conv1.weight"} <= groups["image", 0.2]
    assert "transformer.resblocks.1.attn.in_proj_weight" in groups["text", 0.2]
    assert {"token_embedding.weight", "positional_embedding", "ln_final.bias"} <= groups["text", 0.0]
    assert {"visual.class_embedding", "visual.ln_pre.weight"} <= groups["image", 0.0]
    assert groups["heads", 0.3] == {"visual.proj", "text_projection"}
    assert groups["temperature and bias", 0.0] == {"logit_scale"}
    optim.set_lr(optimizer, 2e-3)
    lrs = {group["name"]: group["lr"] for group in optimizer.param_groups}
    assert lrs == pytest.approx({"image": 2e-3, "text": 2e-3, "heads": 2e-3, "temperature and bias": 2e-4})


def test_learning_rates_fall_from_layer_to_layer(tiny_model_dir: Path) -> None:
    # Two blocks, decay 0.5, peak 4e-3 of the text tower: after 4e-3, last block 2e-3, first 1e-3, below 5e-4.
    module = models.load(str(tiny_model_dir)).module
    config = OptimConfig(lr=1e-3, text=TowerOptim(lr=4e-3, layer_decay=0.5))
    optimizer = optim.make_optimizer(module, config)
    name_of = {id(parameter): name for name, parameter in module.named_parameters()}
    lr_of = {name_of[id(p)]: group["lr_share"] * 1e-3 for group in optimizer.param_groups for p in group["params"]}
    assert lr_of["ln_final.weight"] == pytest.approx(4e-3)
    assert lr_of["transformer.resblocks.1.ln_1.weight"] == pytest.approx(2e-3)
    assert lr_of["transformer.resblocks.0.mlp.c_fc.weight"] == pytest.approx(1e-3)
    assert lr_of["token_embedding.weight"] == pytest.approx(5e-4)
    assert lr_of["visual.conv1.weight"] == lr_of["text_projection"] == pytest.approx(1e-3)
    rows = optim.describe_groups(optimizer, module, config).splitlines()
    assert [row.split("  ")[0] for row in rows] == [
        "trained group", "image", "text, below the blocks", "text block 1/2", "text block 2/2",
        "text, after the blocks", "heads", "temperature and bias", "frozen",
    ]  # fmt: skip
    assert rows[2].split()[-4:] == ["5.00e-04", "0", "0", f"{32 * (49408 + 24):,}"]


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
