"""The stream of samples: the same whoever reads it, and from wherever a run goes on.

``log.keys`` writes down which samples each global batch had.
"""

import itertools
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ranks import Crew

from iconoclip import models
from train import data, loop
from train.config import AugmentConfig, CaptionConfig, TrainConfig
from train.loop import run_training
from train.pictures import PictureReader
from train.pool import Pool, open_pool

BATCH, STEPS = 12, 5


@pytest.fixture(scope="module", params=[1, 10], ids=["one shard", "ten shards"])
def pool(request: pytest.FixtureRequest, write_shards: Callable[..., Path], tmp_path_factory) -> Pool:
    """30 records, of which each is seen twice, in one shard or in ten."""
    root = tmp_path_factory.mktemp("stream") / "shards"
    write_shards(root, num_records=50, max_per_shard=1000 if request.param == 1 else 3)
    config = {
        "verb": "train",
        "out": "nowhere",
        "model": "tiny:random",
        "data": str(root),
        "batch_size": BATCH,
        "samples": BATCH * STEPS,
        "loss": "softmax",
        "optim": {"lr": 1e-3},
        "window_shards": 2,
    }
    opened = open_pool(TrainConfig.validate_data(config, where="test"))
    assert len(opened.sets[0].paths) == request.param
    return opened


def _read(pool: Pool, model: models.Model, *, world: int, workers: int, first_step: int = 0) -> list[tuple[Any, ...]]:
    """Keys, pixels and tokens of each global batch, read by every rank in turn and put together."""
    reader = data.SampleReader(
        pool=pool,
        pictures=PictureReader.for_model(model.image_size, model.preprocess_cfg, AugmentConfig()),
        tokenizer=model.tokenizer,
        captions=CaptionConfig(),
        seed=0,
        cache_bytes=2**20,
    )
    ranks: list[Iterator[data.Batch]] = []
    for rank in range(world):
        chunks = data.Chunks(first_step, STEPS, batch_size=BATCH, rank=rank, world=world)
        ranks.append(data.read_batches(reader, chunks, workers=workers, pin_memory=False))
    return [
        tuple(key for part in parts for key in part.keys)
        + tuple(bytes(image.numpy()) + bytes(tokens.numpy()) for part in parts for image, tokens in _rows(part))
        for parts in zip(*ranks, strict=True)
    ]


def _rows(batch: data.Batch) -> Iterator[tuple[Any, Any]]:
    yield from zip(batch.images, batch.tokens, strict=True)


@pytest.mark.filterwarnings("ignore:This DataLoader will create 3 worker processes")  # where there are two cores
def test_the_stream_does_not_depend_on_processes_and_workers(pool: Pool, tiny_model_dir: Path) -> None:
    model = models.load(str(tiny_model_dir))
    alone = _read(pool, model, world=1, workers=0)
    assert len(alone) == STEPS
    keys = [key for batch in alone for key in batch[:BATCH]]
    for epoch in (keys[:30], keys[30:]):  # the third batch has samples of both
        assert len(set(epoch)) == len(epoch) == 30
    for world, workers in itertools.product((1, 2, 4), (0, 1, 3)):
        assert _read(pool, model, world=world, workers=workers) == alone, (world, workers)


@pytest.mark.parametrize(("world", "first_step"), [(1, 1), (2, 3), (4, 4)])
def test_the_stream_goes_on_anywhere(pool: Pool, world: int, first_step: int, tiny_model_dir: Path) -> None:
    model = models.load(str(tiny_model_dir))
    alone = _read(pool, model, world=1, workers=0)
    assert _read(pool, model, world=world, workers=0, first_step=first_step) == alone[first_step:]


def trains_until_killed(path: Path, step: int) -> None:
    """In one of the processes: all are killed while they compute a step."""
    real = loop._step

    def computed(run: Any, *arguments: Any) -> Any:
        if run.state.step == step - 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(run, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "_step", computed)
        run_training(TrainConfig.load(path))


@pytest.mark.parametrize(("before", "step", "after", "workers"), [(2, 7, 4, 0), (4, 11, 1, 1), (1, 5, 2, 0)])
def test_a_killed_run_goes_on_with_other_processes(
    before: int, step: int, after: int, workers: int, write_config: Callable[..., Path], tmp_path: Path, crew: Crew
) -> None:
    options: dict[str, Any] = {"batch_size": 8, "checkpoint": {"every": 3}, "log": {"every": 1, "keys": True}}
    run_training(TrainConfig.load(write_config("whole", **options)))
    path = write_config("killed", **options)
    killed = crew.run(before, trains_until_killed, path, step, fails=True, timeout_s=60)
    assert {failed.kind for failed in killed} == {"died"}
    options["workers"] = workers
    crew.run(after, goes_on, write_config("killed", **options))
    assert (tmp_path / "killed/keys.jsonl").read_bytes() == (tmp_path / "whole/keys.jsonl").read_bytes()
    ours, theirs = _losses(tmp_path / "killed"), _losses(tmp_path / "whole")
    assert ours == pytest.approx(theirs, rel=1e-5)


def goes_on(path: Path) -> None:
    """In one of the processes: the rest of the run."""
    run_training(TrainConfig.load(path))


def _losses(run: Path) -> list[float]:
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [row["loss"] for row in rows if "loss" in row]
