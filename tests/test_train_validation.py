"""Validation by all processes: the same figures for every number of them, broken off by a stop, caught up later."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ranks import Crew

from iconoclip import models
from iconoclip.errors import ShardError
from train import milestones, validation
from train.config import TrainConfig
from train.embedding import SharedEmbedder
from train.loop import run_training
from train.processes import Processes, start

BATCH = 3


def _small_batches(model: models.Model, processes: Processes) -> SharedEmbedder:
    return SharedEmbedder(model, processes, batch_size=BATCH)


def figures_of(path: Path) -> tuple[dict[str, float], bytes, int]:
    """In one of the processes: figures, embeddings of the pictures, number of meetings with the others."""
    config = TrainConfig.load(path)
    held_out = validation.open_held_out(config)
    assert held_out is not None
    model = models.load(config.model.name, seed=3)
    with pytest.MonkeyPatch.context() as patch, start(config) as processes:
        patch.setattr(validation, "SharedEmbedder", _small_batches)
        meetings: list[int] = []
        patch.setattr(processes, "meet", _counted(processes.meet, meetings))
        figures = validation.measure(model, held_out, processes)
        num_meetings = len(meetings)
        images = _small_batches(model, processes).images(held_out.shard_set.image_bytes, held_out.num_pictures)
    return figures, images.tobytes(), num_meetings


def _counted(function: Callable[..., Any], calls: list[int]) -> Callable[..., Any]:
    def count(*arguments: Any, **options: Any) -> Any:
        calls.append(1)
        return function(*arguments, **options)

    return count


def test_the_figures_do_not_depend_on_the_number_of_processes(
    write_config: Callable[..., Path], make_shards: Callable[..., Path], tmp_path: Path, crew: Crew
) -> None:
    make_shards(num_records=140)  # 28 held-out pictures: 10 batches of 3, the last one of 1
    path = write_config(validation={"path": str(tmp_path / "shards")})
    found = {world: crew.run(world, figures_of, path) for world in (1, 2, 4)}
    figures, images, num_alone = found[1][0]
    assert 0 < figures["score"] < 1
    assert {"text_to_image/hit_rate@5/nl", "image_to_text/hit_rate@1"} <= figures.keys()
    for world, per_rank in found.items():
        for their_figures, their_images, num_meetings in per_rank:
            assert their_figures == figures
            assert their_images == images
            # Two of them are after the last pictures and the last texts; the rest are batches.
            assert num_meetings - 2 == -(-10 // world) + -(-_num_text_batches(path) // world)
    assert num_alone == 2 + 10 + _num_text_batches(path)


def _num_text_batches(path: Path) -> int:
    held_out = validation.open_held_out(TrainConfig.load(path))
    assert held_out is not None
    return -(-sum(map(len, held_out.captions.values())) // BATCH)


def fails_in_one(path: Path, late: bool) -> None:
    """In one of the processes: the second one cannot read a picture, or makes rows that are no numbers."""
    config = TrainConfig.load(path)
    held_out = validation.open_held_out(config)
    assert held_out is not None
    model = models.load(config.model.name, seed=3)
    with start(config) as processes:

        def read(position: int) -> bytes:
            if not late and processes.rank == 1 and position >= BATCH * 2:
                raise ShardError(f"picture {position} is gone")
            return held_out.shard_set.image_bytes(position)

        if late and processes.rank == 1:
            next(model.module.visual.parameters()).data.fill_(float("nan"))
        _small_batches(model, processes).images(read, held_out.num_pictures)


@pytest.mark.parametrize("late", [False, True])
def test_what_one_process_cannot_embed_all_processes_report(
    late: bool, write_config: Callable[..., Path], tmp_path: Path, crew: Crew
) -> None:
    path = write_config(validation={"path": str(tmp_path / "shards")})
    first, second = crew.run(2, fails_in_one, path, late, fails=True, timeout_s=60)
    words = "embeddings are not numbers" if late else "is gone"
    assert words in second.text
    assert f"process 1: {second.text.splitlines()[0]}" in first.text


@pytest.mark.parametrize("last", [False, True])
def test_a_stop_during_a_validation_is_caught_up(
    last: bool, write_config: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The guard looks before the validation and is not broken off; what it saw is seen, and written down, once.
    options: dict[str, Any] = {"validation": {"path": str(tmp_path / "shards"), "every": 5}}
    options |= {"checkpoint": {"every": 100}, "retention": {"action": "warn"}}
    whole = run_training(TrainConfig.load(write_config("whole", **options)))
    config = TrainConfig.load(write_config("broken", **options))
    real, wanted = milestones._validate, 12 if last else 5

    def validate(run: Any, *arguments: Any, **options: Any) -> bool:
        if run.state.step == wanted:
            os.kill(os.getpid(), signal.SIGTERM)
        return real(run, *arguments, **options)

    monkeypatch.setattr(milestones, "_validate", validate)
    run = run_training(config)
    assert json.loads((run / "run.json").read_text())["status"] == "stopped"
    assert _state(run)["step"] == wanted
    assert _state(run)["unseen"]
    assert len(_validations(run)) == (5 if last else 1)
    monkeypatch.setattr(milestones, "_validate", real)
    assert run_training(config) == run
    assert _validations(run) == _validations(whole)
    assert not _state(run)["unseen"]
    assert (run / "best").readlink() == (whole / "best").readlink()
    assert models.load(str(run / "latest")).weights_sha256 == models.load(str(whole / "latest")).weights_sha256
    before = (run / "metrics.jsonl").read_bytes()
    run_training(config)  # nothing left to do
    assert (run / "metrics.jsonl").read_bytes() == before


def _validations(run: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [row for row in rows if "loss" not in row]


def _state(run: Path) -> dict[str, Any]:
    return json.loads((run / "latest/state/trainer.json").read_text())
