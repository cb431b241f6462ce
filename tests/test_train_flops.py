"""FLOPs of a step against a count by hand, and the shares of a peak that follow from a speed."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from iconoclip import models
from train import flops, lora, speedups, towers
from train.config import TrainConfig


def _count(config: TrainConfig, micro_batches: int = 1, *, kind: str = "") -> flops.Work:
    model = models.load(kind or config.model.name)
    towers.freeze_parts(model, config.freeze)
    if config.lora is not None:
        lora.adapt(model, config.lora, seed=0)
    speedups.apply_speedups(model, config)
    return flops.count_work(model, towers.Towers(model, config.freeze), config, num_micro_batches=micro_batches)


def _block(tokens: int, width: int) -> int:
    # qkv and output projection 4 w², MLP 8 w², a multiply and an add each, and two products of tokens x tokens
    return tokens * 2 * 12 * width**2 + 2 * 2 * tokens**2 * width


@pytest.fixture
def load(write_config: Callable[..., Path]) -> Callable[..., TrainConfig]:
    return lambda **changes: TrainConfig.load(write_config(**changes))


def test_the_count_is_the_one_by_hand(load: Callable[..., TrainConfig]) -> None:
    # Picture: 16 patches of 8 x 8 x 3 and a class token through 2 blocks of width 32; text: 24 tokens through 2 blocks.
    patches = 16 * 2 * (8 * 8 * 3) * 32
    image, text = patches + 2 * _block(17, 32) + 2 * 32 * 32, 2 * _block(24, 32) + 2 * 32 * 32
    # A backward pass costs two of the forward: for the weights and for the input, which pixels do not want.
    expected = 3 * (image + text) - patches
    work = _count(load())
    assert work == flops.Work(expected, expected)
    # Cached accumulation adds a forward pass.
    assert _count(load(), 2) == flops.Work(expected, expected + image + text)


def test_what_is_computed_again_is_done_but_not_needed(load: Callable[..., TrainConfig]) -> None:
    plain, again = _count(load()), _count(load(gradient_checkpointing=True))
    assert again.model == plain.model
    # Each block's forward pass runs twice, but for its last product, 4 w² of the MLP, which no gradient needs.
    twice = sum(_block(tokens, 32) - tokens * 2 * 4 * 32**2 for tokens in (17, 24))
    assert again.done - plain.done == 2 * twice


@pytest.mark.parametrize("kind", ["siglip2", "xlm_roberta"])
def test_every_architecture_can_be_counted(
    kind: str, load: Callable[..., TrainConfig], model_dirs: Callable[[str], Path]
) -> None:
    plain = _count(load(), kind=str(model_dirs(kind)))
    again = _count(load(gradient_checkpointing=True), kind=str(model_dirs(kind)))
    assert again.model == plain.model < again.done


def test_frozen_towers_and_dropped_patches_are_less_work(load: Callable[..., TrainConfig]) -> None:
    whole = _count(load()).model
    assert _count(load(patch_dropout=0.5)).model < whole
    # A frozen tower goes forward only: of its three parts one is left.
    assert _count(load(freeze={"text": True})).model == whole - 2 * (2 * _block(24, 32) + 2 * 32 * 32)
    assert _count(load(lora={"rank": 4})).model < whole


def test_counting_changes_nothing(load: Callable[..., TrainConfig]) -> None:
    config = load()
    model = models.load(config.model.name)
    model.module.eval()
    pair = towers.Towers(model, config.freeze).eval()
    before, state = model.weights_sha256, torch.get_rng_state()
    flops.count_work(model, pair, config, num_micro_batches=2)
    assert model.weights_sha256 == before
    assert torch.equal(torch.get_rng_state(), state)
    assert not any(part.training for part in pair.modules())
    assert all(parameter.grad is None for parameter in pair.parameters())


@pytest.mark.parametrize(
    ("name", "half", "full"),
    [
        ("NVIDIA H200", 989.4, 66.9),
        ("NVIDIA H200 NVL", 835.5, 60.0),
        ("NVIDIA H100 80GB HBM3", 989.4, 66.9),
        ("NVIDIA H100 PCIe", 756, 51.2),
        ("NVIDIA GH200 480GB", 989.4, 66.9),
        ("NVIDIA A100-SXM4-80GB", 312, 19.5),
        ("NVIDIA A100-SXM-64GB", None, None),
        ("NVIDIA A40", 149.7, 37.4),
        ("NVIDIA L40S", 362, 91.6),
        ("NVIDIA L4", 121, 30.3),
        ("Tesla V100-SXM2-32GB", None, 15.7),
        ("AMD Instinct MI250X", 191.5, 47.9),
        ("Something of next year", None, None),
    ],
)
def test_devices_are_known_by_name(name: str, half: float | None, full: float | None) -> None:
    assert flops.peak_by_name(name, "bf16") == half
    assert flops.peak_by_name(name, "fp32") == full


def test_utilisation_is_null_without_a_peak(load: Callable[..., TrainConfig]) -> None:
    cpu = torch.device("cpu")
    assert flops.peak_tflops(load(), cpu) is None
    assert flops.peak_tflops(load(peak_tflops=0.5), cpu) == 0.5
    # 2,000 pairs/s x 3 GFLOPs are 6 TFLOPS; two devices of 10 have 20.
    work = flops.Work(model=3 * 10**9, done=4 * 10**9)
    assert flops.Utilisation(work, 10.0, 2).read(2000) == {"mfu": 0.3, "hfu": 0.4}
    assert flops.Utilisation(work, None, 2).read(2000) == {"mfu": None, "hfu": None}
