"""Shares worked by hand, the schedule that keeps them, and what the log says of them."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from iconoclip import shards
from iconoclip.errors import ConfigError
from iconoclip.records import Caption
from train import captions, mixture
from train.columns import Membership
from train.config import CaptionConfig, MixtureConfig, TrainConfig
from train.data import SampleReader
from train.order import EpochOrder, Mixture
from train.pictures import PictureReader
from train.pool import Pool, open_pool


def _config(*roots: Path, weights: list[float] | None = None, **changes: Any) -> TrainConfig:
    sources = [{"path": str(root)} | ({"weight": weights[n]} if weights else {}) for n, root in enumerate(roots)]
    base: dict[str, Any] = {"verb": "train", "out": "unused", "model": "tiny:random", "data": sources}
    base |= {"batch_size": 4, "epochs": 2, "loss": "softmax", "optim": {"lr": 1e-3}}
    return TrainConfig.validate_data(base | changes, where="test")


def _members(values: list[str]) -> Membership:
    return Membership.single(np.array(values))


def _draws(config: dict[str, Any], languages: list[str], sources: list[int] | None = None, **options: Any) -> list:
    source_of = np.array(sources or [0] * len(languages))
    memberships = {"language": _members(languages), "institution": _members(["one"] * len(languages))}
    config_ = MixtureConfig.model_validate(config)
    return mixture.expected_draws(config_, memberships, source_of, options.get("weights")).round(6).tolist()


def test_without_a_configuration_everything_comes_once() -> None:
    assert _draws({}, ["en", "en", "fr"], [0, 1, 1]) == [1, 1, 1]


def test_temperature_by_hand() -> None:
    # 4 en, 1 fr. At 0 both have half of the 5 draws: en 2.5 / 4 each, fr 2.5. At 0.5 the shares go as 2 : 1.
    languages = ["en"] * 4 + ["fr"]
    assert _draws({"language": {"temperature": 0}}, languages) == [0.625] * 4 + [2.5]
    assert _draws({"language": {"temperature": 0.5}}, languages) == pytest.approx([10 / 12] * 4 + [5 / 3], abs=1e-6)
    # A weight of 2 on fr alone: 4 : 2, so en 5 * 4/6 / 4 each and fr 5 * 2/6.
    weighted = _draws({"language": {"weights": {"fr": 2}}}, languages)
    assert weighted == pytest.approx([5 / 6] * 4 + [5 / 3], abs=1e-6)


def test_the_cap_hands_on_what_it_cuts_off() -> None:
    # Evened out, fr would come 2.5 times; capped at 2 the four en share the other 3.
    languages = ["en"] * 4 + ["fr"]
    assert _draws({"language": {"temperature": 0}, "max_repeats": 2}, languages) == [0.75] * 4 + [2]
    assert mixture.fill(np.array([8.0, 1, 1]), np.full(3, 2.0), 3).tolist() == [2, 0.5, 0.5]
    assert mixture.fill(np.array([1.0, 1]), np.array([1.0, 1]), 4).tolist() == [1, 1]


def test_sources_share_by_weight_up_to_the_cap() -> None:
    # 6 and 2 samples, weights 1 : 1: 4 draws each, so 4/6 and 2 a sample; capped at 1.5 the second has 3 of the 8.
    languages, sources = ["en"] * 8, [0] * 6 + [1] * 2
    even = _draws({}, languages, sources, weights=[1, 1])
    assert even == pytest.approx([4 / 6] * 6 + [2] * 2, abs=1e-6)
    capped = _draws({"max_repeats": 1.5}, languages, sources, weights=[1, 1])
    assert capped == pytest.approx([5 / 6] * 6 + [1.5] * 2, abs=1e-6)
    # By size to the power of 0.5: sqrt(6) : sqrt(2).
    tempered = _draws({"source": {"temperature": 0.5}}, languages, sources)
    assert tempered[0] * 6 / (tempered[6] * 2) == pytest.approx(3**0.5, abs=1e-4)


def test_the_factors_of_a_sample_multiply_and_languages_are_averaged() -> None:
    both = Membership(("en", "fr"), np.array([0, 1, 1]), np.array([0, 0, 1]), np.array([1, 0.25, 0.75]))
    memberships = {"language": both, "institution": _members(["a", "b"])}
    config = MixtureConfig.model_validate({"language": {"weights": {"fr": 3}}, "institution": {"weights": {"b": 2}}})
    # Sample 1: (0.25 * 1 + 0.75 * 3) * 2 = 5 against 1 of sample 0; both together make 2 draws.
    draws = mixture.expected_draws(config, memberships, np.zeros(2, dtype=int), None)
    assert draws == pytest.approx([2 / 6, 10 / 6])


def test_a_weight_for_what_is_not_there_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"mixture.language.weights: no sample has de, it; there are en, fr"):
        _draws({"language": {"weights": {"it": 2, "de": 1, "en": 1}}}, ["en", "fr"])


@pytest.mark.parametrize("draws", [[0.3, 1.7, 1.0, 1.0], [4.0, 0, 0, 0], [1.5, 0.5, 1.5, 0.5], [1 / 3, 5 / 3, 1, 1]])
def test_an_epoch_has_as_many_draws_as_samples_and_each_its_number(draws: list[float]) -> None:
    order = EpochOrder(np.array([0, 0, 1, 1]), seed=1, name="a", window_shards=1, draws=np.array(draws))
    total: Counter[int] = Counter()
    for epoch in range(60):
        drawn = [order.draw(epoch, index) for index in range(4)]
        times = Counter(sample for sample, _ in drawn)
        for sample, expected in enumerate(draws):
            assert np.floor(expected) <= times[sample] <= np.ceil(expected)
        total.update(times)
    for sample, expected in enumerate(draws):
        assert total[sample] / 60 == pytest.approx(expected, abs=0.05)
    numbers = [order.draw(epoch, index) for epoch in range(60) for index in range(4)]
    assert len(set(numbers)) == len(numbers)  # no two draws of a sample have the same number, so none looks the same


def test_a_weighted_order_is_the_same_however_one_comes_to_it() -> None:
    rng = np.random.default_rng(0)
    shard_of, draws = np.repeat(np.arange(5), 20), rng.uniform(0.1, 3, 100)

    def order() -> EpochOrder:
        return EpochOrder(shard_of, seed=3, name="a", window_shards=2, draws=draws)

    forward = [order().draw(epoch, index) for epoch in (0, 1, 2) for index in range(100)]
    one = order()
    assert [one.draw(epoch, index) for epoch in (2, 1, 0) for index in reversed(range(100))] == forward[::-1]
    shards_read = [forward[index][0] // 20 for index in range(100)]
    assert all(len(set(shards_read[start : start + 15])) <= 4 for start in range(0, 85, 15))  # still near a few tars


def test_a_rare_source_keeps_its_share() -> None:
    orders = [EpochOrder(np.zeros(n, dtype=int), seed=0, name=str(n), window_shards=1) for n in (900, 10)]
    places = [Mixture(orders, [0.9, 0.1]).place(position) for position in range(500)]
    rare = [number for number, place in enumerate(places) if place.source == 1]
    assert len(rare) == 50
    assert {b - a for a, b in pairwise(rare)} == {10}  # one in every ten, never two at once
    assert [place.epoch for place in places if place.source == 1] == [n // 10 for n in range(50)]


def _seen(pool: Pool, num_draws: int) -> list[tuple[int, int]]:
    places = [pool.mixture.place(position) for position in range(num_draws)]
    return [(int(pool.set_of[pool.sources[p.source][p.sample]]), int(pool.sources[p.source][p.sample])) for p in places]


def test_replay_is_one_more_source(make_shards: Callable[..., Path], tmp_path: Path) -> None:
    own = make_shards(tmp_path / "own", num_records=60, name="own")
    replay = make_shards(tmp_path / "replay", num_records=20, name="replay")
    pool = open_pool(_config(own, replay, weights=[0.9, 0.1]))
    drawn = Counter(source for source, _ in _seen(pool, 1000))
    assert drawn[1] == pytest.approx(100, abs=1)
    rows = {(row.attribute, row.name): row for row in pool.shares}
    row = rows["source", str(replay)]
    assert (row.num_samples, row.drawn) == (12, pytest.approx(0.1))
    assert row.repeats == pytest.approx(0.1 * 48 / 12)
    table = mixture.describe(pool.shares, num_epochs=10)
    line = next(line for line in table.splitlines() if line.startswith(f"source {replay} "))
    assert line.split()[2:] == ["12", "25.0%", "10.0%", "4.00", "4.00"]
    # Capped: nothing comes more than once an epoch, so replay has at most its part of the whole.
    capped = open_pool(_config(own, replay, weights=[0.1, 0.9], mixture={"max_repeats": 1}))
    assert Counter(source for source, _ in _seen(capped, 480))[1] == pytest.approx(120, abs=1)


def test_languages_are_evened_out_over_the_run(make_shards: Callable[..., Path]) -> None:
    config = _config(make_shards(num_records=60), mixture={"language": {"temperature": 0}, "max_repeats": 3})
    pool = open_pool(config)
    rows = {row.name: row for row in pool.shares if row.attribute == "language"}
    assert {name: round(row.drawn, 3) for name, row in rows.items()} == {"en": 0.333, "fr": 0.333, "nl": 0.333}
    records = pool.sets[0].records()
    num = 30 * pool.num_samples
    spoken = Counter(records[sample].captions[0].lang for _, sample in _seen(pool, num))
    assert all(count / num == pytest.approx(1 / 3, abs=0.01) for count in spoken.values())
    plain = open_pool(_config(Path(config.data[0].path)))
    assert sorted(sample for _, sample in _seen(plain, plain.num_samples)) == list(range(plain.num_samples))


def test_tars_from_elsewhere_are_read_only_where_it_matters(make_shards: Callable[..., Path]) -> None:
    root = make_shards(num_records=40)
    tars = root / "train" / "*.tar"
    assert {row.name for row in open_pool(_config(tars)).shares if row.attribute != "source"} == {"(not read)"}
    balance = {"language": {"temperature": 0.5}, "institution": {"weights": {"Museum One": 2}}}
    ours, theirs = open_pool(_config(root, mixture=balance)), open_pool(_config(tars, mixture=balance))
    assert [row for row in ours.shares if row.attribute != "source"] == [
        row for row in theirs.shares if row.attribute != "source"
    ]


def test_the_columns_choose_the_captions_that_the_reader_chooses(
    make_shards: Callable[..., Path], tmp_path: Path, make_record: Callable[..., Any], make_jpeg: Callable[..., bytes]
) -> None:
    texts = (
        Caption("one", "en", "t", "page"),
        Caption("un", "fr", "t", "series"),
        Caption("uno", "it", "t", "page", machine=True),
        Caption(" \u00a0", "de", "t", "page"),
    )
    make_shards(tmp_path / "s", num_records=4)
    numbers = range(len(texts))
    records = [replace(make_record(n), captions=texts[n:] + texts[:1]) for n in numbers]
    samples = [shards.Sample(make_jpeg(n), "text", record) for n, record in enumerate(records)]
    shards.write_shard(tmp_path, "tars/x.tar", samples)
    for options in ({}, {"languages": ["fr", "it"]}, {"levels": ["page"]}, {"machine": False}, {"weights": {"en": 3}}):
        config = _config(tmp_path / "tars/x.tar", captions=options, mixture={"language": {"temperature": 0.9}})
        pool = open_pool(config)
        kept = [n for n in numbers if captions.usable(records[n].captions, config.captions)]
        assert pool.position_of.tolist() == kept
        spoken = {row.name: row.num_samples for row in pool.shares if row.attribute == "language"}
        expected = Counter(
            lang for n in kept for lang in {c.lang for c in captions.usable(records[n].captions, config.captions)}
        )
        assert spoken == expected


def test_a_language_is_drawn_by_its_weight() -> None:
    texts = (Caption("a", "en", "t"), Caption("b", "fr", "t"), Caption("c", "fr", "t"))
    config = CaptionConfig(weights={"fr": 3})
    drawn = Counter(captions.draw(texts, config, seed=0, epoch=0, key=str(n)).text for n in range(2000))
    assert drawn["a"] == pytest.approx(500, abs=60)  # a quarter: 3 standard deviations are 58
    assert drawn["b"] == pytest.approx(750, abs=67)


def test_a_sample_that_comes_twice_in_an_epoch_looks_different(make_shards: Callable[..., Path]) -> None:
    config = _config(
        make_shards(num_records=40),
        mixture={"institution": {"weights": {"Museum One": 50}}},
        augment={"scale": [0.3, 1.0]},
    )
    pool = open_pool(config)
    reader = SampleReader(
        pool=pool,
        pictures=PictureReader(16, "bicubic", "shortest", 0, config.augment),
        tokenizer=lambda texts: texts,  # type: ignore[arg-type]
        captions=config.captions,
        seed=0,
        cache_bytes=0,
    )
    batch = reader[range(pool.num_samples)]
    key, times = Counter(batch.keys).most_common(1)[0]
    assert times >= 2
    crops = {batch.images[n].numpy().tobytes() for n, other in enumerate(batch.keys) if other == key}
    assert len(crops) == times


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mixture": {"source": {"temperature": 0.5}}}, "the sources have weights; drop those or this"),
        ({"mixture": {"language": {"temperature": 0.5}}, "captions": {"draw": "default"}}, "is not known"),
        ({"mixture": {"max_repeats": 0.5}}, "greater than or equal to 1"),
        ({"captions": {"draw": "rotate", "weights": {"en": 2}}}, "by weight only with draw: random"),
    ],
)
def test_what_has_no_effect_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        _config(Path("a"), weights=[1.0], **changes)
