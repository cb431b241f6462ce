"""Averages, the Pareto front and the rule, by hand."""

from pathlib import Path

import pytest
import torch

from iconoclip import models
from iconoclip.errors import ConfigError, ModelError
from train import base_model, wise_ft
from train.config import TrainConfig, WiseFtConfig
from train.wise_ft import Point


def _config(model: str, out: Path, **changes: object) -> TrainConfig:
    data: dict[str, object] = {"verb": "train", "out": str(out), "model": model, "data": "d", "batch_size": 4}
    data |= {"epochs": 1, "loss": "softmax", "optim": {"lr": 1e-3}}
    return TrainConfig.validate_data(data | changes, where="test")


def test_an_average_lies_between_and_its_ends_are_exact() -> None:
    base = {"w": torch.tensor([1.0, 2.0]), "count": torch.tensor(1)}
    tuned = {"w": torch.tensor([3.0, 0.1]), "count": torch.tensor(5)}
    assert wise_ft.average(base, tuned, 0.25)["w"].tolist() == pytest.approx([1.5, 1.525])
    assert wise_ft.average(base, tuned, 0.25)["count"].item() == 5
    assert wise_ft.average(base, tuned, 0)["w"].equal(base["w"])
    assert wise_ft.average(base, tuned, 1)["w"].equal(tuned["w"])


def _points(*figures: tuple[float, float, float]) -> list[Point]:
    return [Point(alpha, heritage, general) for alpha, heritage, general in figures]


def test_the_rule_takes_the_best_heritage_within_the_loss() -> None:
    points = _points((0, 0.20, 0.50), (0.5, 0.35, 0.495), (0.7, 0.40, 0.49), (1, 0.42, 0.45))
    assert wise_ft.choose(points, 0.01).alpha == 0.7
    assert wise_ft.choose(points, 0.05).alpha == 1
    assert wise_ft.choose(points, 0.0).alpha == 0
    # On a tie the one nearer to the base.
    assert wise_ft.choose(_points((0, 0.2, 0.5), (0.4, 0.3, 0.5), (0.6, 0.3, 0.5)), 0.01).alpha == 0.4


def test_the_sweep_measures_each_average_and_marks_the_front(tiny_model_dir: Path) -> None:
    model = models.load(str(tiny_model_dir))
    base = {name: tensor.clone() for name, tensor in model.module.state_dict().items()}
    tuned = base | {"logit_scale": base["logit_scale"] + 1}
    # heritage rises with the temperature, general falls but is worse still at 0.5
    general = {0.0: 0.5, 0.5: 0.3, 1.0: 0.4}
    seen = []

    def look(other: models.Model) -> tuple[float, float]:
        alpha = round(float(other.module.logit_scale.detach() - base["logit_scale"]), 4)
        seen.append(alpha)
        return alpha, general[alpha]

    points = wise_ft.sweep(model, base, tuned, [0.5], look)
    assert points is not None
    assert seen == [0, 0.5, 1]
    assert [point.is_pareto for point in points] == [True, False, True]
    table = wise_ft.describe(points, wise_ft.choose(points, 0.1)).splitlines()
    assert table[3].split() == ["1.00", "100.0%", "+100.0%", "40.0%", "+10.0%", "chosen"]
    assert wise_ft.sweep(model, base, tuned, [0.5], lambda _: None) is None


def test_a_figure_that_nobody_measures_is_named_before_training() -> None:
    from train.validation import HeldOut

    held_out = HeldOut(None, 2, {"en": [], "fr": []})  # type: ignore[arg-type]
    wise_ft.check_figure(WiseFtConfig(heritage="text_to_image/hit_rate@1/fr"), held_out)
    with pytest.raises(
        ConfigError, match=r"no figure 'hit_rate@1'; the validation has score, text_to_image/hit_rate@1"
    ):
        wise_ft.check_figure(WiseFtConfig(heritage="hit_rate@1"), held_out)


def test_a_base_in_a_folder_is_stored_and_one_of_a_seed_is_drawn_again(tiny_model_dir: Path, tmp_path: Path) -> None:
    source = tmp_path / "other-run"
    models.save(models.load(str(tiny_model_dir)), source)
    config = _config(str(source), tmp_path / "run")
    first = models.load(str(source))
    base_model.keep_base(config, first, first.weights_sha256)
    # the other run's best moves on
    models.save(models.load(f"{tiny_model_dir}:random", seed=9), source)
    assert base_model.load_base(config, first.weights_sha256).weights_sha256 == first.weights_sha256
    assert [path.name for path in (tmp_path / "run").iterdir()] == [f"base-{first.weights_sha256[:12]}.safetensors"]

    seeded = _config(f"{tiny_model_dir}:random", tmp_path / "seeded", seed=4)
    drawn = models.load(f"{tiny_model_dir}:random", seed=4)
    base_model.keep_base(seeded, drawn, drawn.weights_sha256)
    assert not (tmp_path / "seeded").exists()
    assert base_model.load_base(seeded, drawn.weights_sha256).weights_sha256 == drawn.weights_sha256
    with pytest.raises(ModelError, match=r"no longer those that .*seeded started from"):
        base_model.load_base(seeded, "0" * 64)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"wise_ft": {"general": "g"}}, "needs a `validation`"),
        ({"wise_ft": {}, "validation": "v"}, "name the general set"),
        ({"wise_ft": {"general": "g", "alphas": [1.5]}, "validation": "v"}, "less than or equal to 1"),
        ({"retention": {}}, "give `every`, or a `validation`"),
    ],
)
def test_what_is_missing_is_said_by_check(changes: dict, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        _config("tiny:random", Path("out"), **changes)
