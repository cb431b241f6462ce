"""The order of samples: pure, complete, near the tars."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from train.data import Chunks
from train.order import MIXTURE_SLOTS, EpochOrder, Mixture, _schedule


def _order(shard_sizes: list[int], *, seed: int = 0, window_shards: int = 2, name: str = "a") -> EpochOrder:
    shard_of = np.repeat(np.arange(len(shard_sizes)), shard_sizes)
    return EpochOrder(shard_of, seed=seed, name=name, window_shards=window_shards)


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=7),
    seed=st.integers(0, 5),
    epoch=st.integers(0, 3),
    window=st.integers(1, 4),
)
def test_each_sample_comes_once_an_epoch(sizes: list[int], seed: int, epoch: int, window: int) -> None:
    order = _order(sizes, seed=seed, window_shards=window)
    drawn = [order.sample(epoch, index) for index in range(sum(sizes))]
    assert sorted(drawn) == list(range(sum(sizes)))


def test_a_position_is_the_same_however_one_comes_to_it() -> None:
    sizes = [5, 3, 8, 1, 4]
    forward = [_order(sizes).sample(epoch, index) for epoch in (0, 1) for index in range(21)]
    order = _order(sizes)
    backward = [order.sample(epoch, index) for epoch in (1, 0) for index in reversed(range(21))]
    assert forward == backward[::-1]
    copied = pickle.loads(pickle.dumps(order))
    assert [copied.sample(0, index) for index in range(21)] == forward[:21]


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    def drawn(seed: int, epoch: int) -> list[int]:
        return [_order([20, 20, 20], seed=seed).sample(epoch, index) for index in range(60)]

    assert drawn(0, 0) != drawn(0, 1)
    assert drawn(0, 0) != drawn(1, 0)


def test_reading_stays_within_a_window_of_shards() -> None:
    order = _order([10] * 6, window_shards=2)
    shards = [order.sample(0, index) // 10 for index in range(60)]
    assert [len(set(shards[start : start + 20])) for start in (0, 20, 40)] == [2, 2, 2]


def test_the_samples_of_a_shard_need_not_lie_together() -> None:
    order = EpochOrder(np.array([1, 0, 1, 0, 1]), seed=0, name="a", window_shards=1)
    drawn = [order.sample(0, index) for index in range(5)]
    assert sorted(drawn) == [0, 1, 2, 3, 4]
    assert {frozenset(drawn[:2]), frozenset(drawn[2:])} == {frozenset({1, 3}), frozenset({0, 2, 4})} or {
        frozenset(drawn[:3]),
        frozenset(drawn[3:]),
    } == {frozenset({0, 2, 4}), frozenset({1, 3})}


def test_positions_run_on_over_the_epoch_so_that_nothing_is_dropped() -> None:
    # 5 samples in batches of 3: positions 3, 4 | 5 make the second batch, 5 being the first of epoch 1.
    mixture = Mixture([_order([5])], [1.0])
    places = [mixture.place(position) for position in range(6)]
    assert sorted(place.sample for place in places[:5]) == [0, 1, 2, 3, 4]
    assert [place.epoch for place in places] == [0, 0, 0, 0, 0, 1]


def test_replacements_go_on_in_the_same_epoch() -> None:
    mixture = Mixture([_order([5])], [1.0])
    assert mixture.place(4, skip=1) == mixture.place(0)
    assert mixture.place(1, skip=2) == mixture.place(3)


def test_a_mixture_keeps_its_weights_all_the_way() -> None:
    # 3 : 1, so of any 4 draws about 3 are of the first source.
    mixture = Mixture([_order([50], name="a"), _order([7], name="b")], [3, 1])
    sources = np.array([mixture.place(position).source for position in range(2 * MIXTURE_SLOTS)])
    first = np.cumsum(sources == 0)
    assert np.abs(first - 0.75 * np.arange(1, len(first) + 1)).max() <= 1
    own = [mixture.place(position) for position in range(100) if sources[position] == 1]
    assert sorted(place.sample for place in own[:7]) == list(range(7))
    assert [place.epoch for place in own[:8]] == [0] * 7 + [1]


def test_the_schedule_is_as_worked_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    # Shares 2, 1, 1 of 4. Slot 0: all behind by their share, 2 is the most -> 0. Slot 1: 0 is even, 1 and 2 are behind
    # by half, the first of them -> 1. Slot 2: 0 behind by half, 2 by 3/4 -> 2. Slot 3: 0.
    monkeypatch.setattr("train.order.MIXTURE_SLOTS", 4)
    assert _schedule([2, 1, 1]).tolist() == [0, 1, 2, 0]


@pytest.mark.parametrize("world", [1, 2, 4])
def test_processes_share_out_the_same_positions(world: int) -> None:
    batch_size, first, last = 200, 3, 5
    read = {
        rank: [list(chunk) for chunk in Chunks(first, last, batch_size=batch_size, rank=rank, world=world)]
        for rank in range(world)
    }
    for number, step in enumerate(range(first, last)):
        positions = []
        for rank in range(world):
            per_step = len(read[rank]) // (last - first)
            chunks = read[rank][number * per_step : (number + 1) * per_step]
            positions += [position for chunk in chunks for position in chunk]
        assert positions == list(range(step * batch_size, (step + 1) * batch_size))


def test_ten_million_samples_are_entered_at_any_place_at_once() -> None:
    shard_of = np.repeat(np.arange(1000, dtype=np.int32), 10_000)
    order = EpochOrder(shard_of, seed=0, name="a", window_shards=8)
    mixture = Mixture([order], [1.0])
    place = mixture.place(37_654_321)
    assert place.epoch == 3
    assert len(order._kept) == 2  # the epoch's shards and one window: nothing before it was touched
