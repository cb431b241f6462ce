"""What goes wrong in a run of two processes: one clear error in each of them, and the last checkpoint stays good."""

import errno
import io
import multiprocessing
import os
import resource
import shutil
import signal
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from ranks import Crew, Failed

from iconoclip import models
from train import checkpoint, loop
from train.config import TrainConfig
from train.loop import run_training

MEGABYTE = 1024 * 1024


def trains(path: Path, overrides: list[str]) -> None:
    """In one of the processes: a whole run."""
    run_training(TrainConfig.load(path, overrides))


def trains_until(path: Path, step: int, do: Callable[..., None], *arguments: Any) -> None:
    """In one of the processes: all do something before a step is computed."""
    real = loop._step

    def computed(run: Any, *others: Any) -> Any:
        if run.state.step == step - 1:
            do(run, *arguments)
        return real(run, *others)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "_step", computed)
        run_training(TrainConfig.load(path))


def _good_after(run: Path, step: int) -> None:
    """The last checkpoint is whole, of that step, and nothing half-written lies beside it."""
    folder = checkpoint.latest(run)
    assert folder is not None
    assert checkpoint.read_state(folder).step == step
    models.load(str(folder))
    assert not list((run / "checkpoints").glob(".*"))


def _same_errors(found: list[Failed], words: str, kind: str = "") -> None:
    for failed in found:
        assert words in failed.text.splitlines()[0], failed.text
        assert failed.kind.endswith("Error")
        if kind:
            assert failed.kind == kind
    assert len(found) == 2


def _spoil(_: Any, tar: Path, half: bool) -> None:
    """Cut a shard, or take it away."""
    if half:
        with tar.open("r+b") as file:
            file.truncate(tar.stat().st_size // 2)
    else:
        tar.unlink(missing_ok=True)


@pytest.mark.parametrize(("half", "words"), [(True, "ends before"), (False, "No such file or directory")])
def test_a_shard_that_breaks_while_it_is_read(
    half: bool, words: str, write_config: Callable[..., Path], tmp_path: Path, crew: Crew
) -> None:
    path = write_config(samples=800, cache_mb=0)
    tar = tmp_path / "shards/train/toy-00000.tar"
    found = crew.run(2, trains_until, path, 7, _spoil, tar, half, fails=True, timeout_s=60)
    # Half of the samples or all of them are gone: too many in a row, or too many in all.
    for failed in found:
        assert failed.kind in ("ShardError", "IconoclipError")
        assert "cannot be read" in failed.text or "could not be read" in failed.text
        assert words in failed.text.splitlines()[0]
    _good_after(tmp_path / "run", checkpoint.read_state(tmp_path / "run/latest").step)


@pytest.mark.parametrize("half", [True, False])
def test_a_shard_that_is_broken_from_the_start(
    half: bool, write_config: Callable[..., Path], tmp_path: Path, crew: Crew
) -> None:
    path = write_config()
    _spoil(None, tmp_path / "shards/train/toy-00000.tar", half)
    found = crew.run(2, trains, path, [], fails=True, timeout_s=60)
    _same_errors(found, "the manifest says", "ShardError")


def trains_where(paths: list[Path]) -> None:
    """In one of the processes: a run, from a configuration of its own."""
    run_training(TrainConfig.load(paths[int(os.environ["RANK"])]))


@pytest.mark.parametrize("half", [True, False])
def test_a_shard_that_one_machine_alone_is_missing(
    half: bool, write_config: Callable[..., Path], tmp_path: Path, crew: Crew
) -> None:
    # As where every node has a disk of its own: the first one reads on, and would wait for the second.
    shutil.copytree(tmp_path / "shards", tmp_path / "copy")
    _spoil(None, tmp_path / "copy/train/toy-00000.tar", half)
    second = shutil.copy(write_config(data=str(tmp_path / "copy")), tmp_path / "second.yaml")
    paths = [write_config(), second]
    first, second = crew.run(2, trains_where, paths, fails=True, timeout_s=60)
    assert (first.kind, second.kind) == ("IconoclipError", "ShardError")
    assert "copy/train/toy-00000.tar: the manifest says" in second.text.splitlines()[0]
    assert f": {second.text.splitlines()[0]}; the last good checkpoint is None" in first.text
    assert first.text.startswith("process 1 on ")


def test_an_index_of_as_many_samples_in_another_order(
    write_config: Callable[..., Path], tmp_path: Path, crew: Crew
) -> None:
    # Number of records and size of the tar are those of the manifest; only the tar itself can tell.
    path = write_config()
    tar = tmp_path / "shards/train/toy-00000.tar"
    size = tar.stat().st_size
    with tarfile.open(tar) as old:
        members = [(member, old.extractfile(member).read()) for member in old]  # type: ignore[union-attr]
    samples = [members[start : start + 3] for start in range(0, len(members), 3)]
    with tarfile.open(tar, "w", format=tarfile.USTAR_FORMAT) as new:
        for member, content in (each for sample in reversed(samples) for each in sample):
            new.addfile(member, io.BytesIO(content))
    assert tar.stat().st_size == size
    found = crew.run(2, trains, path, [], fails=True, timeout_s=60)
    _same_errors(found, "the shard does not; copy the shard set again or run prep again", "ShardError")


def test_an_index_of_another_number_of_samples(
    write_config: Callable[..., Path], make_shards: Callable[..., Path], tmp_path: Path, crew: Crew
) -> None:
    path = write_config()
    make_shards(tmp_path / "others", num_records=60)
    shutil.copy(tmp_path / "others/ledger/train-00000.parquet", tmp_path / "shards/ledger/train-00000.parquet")
    found = crew.run(2, trains, path, [], fails=True, timeout_s=60)
    _same_errors(found, "copy the shard set again or run prep again", "ShardError")


def test_a_checkpoint_of_another_model(
    write_config: Callable[..., Path], tmp_path: Path, model_dirs: Callable[[str], Path], crew: Crew
) -> None:
    path = write_config()
    crew.run(2, trains, path, ["stop_after=4"])
    weights = tmp_path / "run/latest/state/weights.safetensors"
    mine = weights.read_bytes()
    shutil.copy(model_dirs("siglip2") / models.WEIGHTS_NAME, weights)
    found = crew.run(2, trains, path, [], fails=True, timeout_s=60)
    _same_errors(found, "does not fit the model of this run", "ModelError")
    weights.write_bytes(mine[: len(mine) // 2])
    found = crew.run(2, trains, path, [], fails=True, timeout_s=60)
    _same_errors(found, "weights.safetensors: damaged", "ModelError")
    assert all("goes on from the checkpoint before it" in failed.text for failed in found)
    weights.write_bytes(mine)
    crew.run(2, trains, path, [])
    _good_after(tmp_path / "run", 12)


def _no_large_files(_: Any) -> None:
    """From here on this process can write no file above a megabyte: the weights have more, the journal less."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (MEGABYTE, resource.RLIM_INFINITY))


def _limited(path: Path) -> None:
    try:
        trains_until(path, 7, _no_large_files)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def test_a_checkpoint_that_cannot_be_written(write_config: Callable[..., Path], tmp_path: Path, crew: Crew) -> None:
    path = write_config()
    found = crew.run(2, _limited, path, fails=True, timeout_s=60)
    _same_errors(found, "step-00000008: the checkpoint could not be written (")
    assert all("the last good one is" in failed.text and "step-00000004" in failed.text for failed in found)
    _good_after(tmp_path / "run", 4)
    crew.run(2, trains, path, [])
    _good_after(tmp_path / "run", 12)


@pytest.fixture
def small_disk(tmp_path: Path, missing: Callable[[str, str], None]) -> Iterator[Path]:
    """A file system of 256 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256m", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        missing("services", f"cannot mount a tmpfs ({done.stderr.strip()}); it takes root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def _fill(run: Any, folder: Path) -> None:
    """Write until nothing more fits, not even a line of the journal."""
    if not run.processes.is_main:
        return
    file = os.open(folder / "other", os.O_WRONLY | os.O_CREAT)
    for size in (MEGABYTE, 1024, 1):
        with suppress(OSError):
            while True:
                os.write(file, b"0" * size)
    os.close(file)


@pytest.mark.services
def test_a_disk_that_is_full_to_the_last_byte(write_config: Callable[..., Path], small_disk: Path, crew: Crew) -> None:
    path = write_config(out=str(small_disk / "run"))
    found = crew.run(2, trains_until, path, 7, _fill, small_disk, fails=True, timeout_s=60)
    assert all(os.strerror(errno.ENOSPC) in failed.text.splitlines()[0] for failed in found), found
    assert [failed.kind for failed in found] == ["IconoclipError"] * 2, found
    (small_disk / "other").unlink()
    _good_after(small_disk / "run", 4)
    crew.run(2, trains, path, [])
    _good_after(small_disk / "run", 12)


def _kill_a_worker(run: Any) -> None:
    """As the kernel does when memory runs out."""
    if run.processes.rank == 1:
        workers = multiprocessing.active_children()
        assert len(workers) == 1
        workers[0].kill()


def test_a_loader_worker_that_is_killed(write_config: Callable[..., Path], tmp_path: Path, crew: Crew) -> None:
    path = write_config(samples=8000, workers=1)
    found = crew.run(2, trains_until, path, 7, _kill_a_worker, fails=True, timeout_s=60)
    _same_errors(found, "was it killed for want of memory? lower `workers`")
    assert found[0].text.startswith("process 1: a loader worker has died (")
    _good_after(tmp_path / "run", checkpoint.read_state(tmp_path / "run/latest").step)


def trains_until_a_save_is_killed(path: Path) -> None:
    """In one of the processes: the first one dies when the weights of its second checkpoint are written."""
    real = checkpoint._flush

    def flush(part: Path) -> None:
        if part.parents[1].name == ".step-00000008.tmp" or part.parent.name == ".step-00000008.tmp":
            os.kill(os.getpid(), signal.SIGKILL)
        real(part)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "_flush", flush)
        run_training(TrainConfig.load(path))


def test_a_process_that_dies_while_it_saves(write_config: Callable[..., Path], tmp_path: Path, crew: Crew) -> None:
    path = write_config(heartbeat_s=5)
    first, second = crew.run(2, trains_until_a_save_is_killed, path, fails=True, timeout_s=60)
    assert first.kind == "died"
    assert second.kind == "IconoclipError"
    assert "process 0" in second.text.splitlines()[0]
    assert "step-00000004, and the same command goes on from there" in second.text.splitlines()[0]
    assert checkpoint.read_state(tmp_path / "run/latest").step == 4
    assert list((tmp_path / "run/checkpoints").glob(".step-00000008.tmp"))
    crew.run(2, trains, path, [])
    _good_after(tmp_path / "run", 12)


def _poison(run: Any) -> None:
    if run.processes.rank == 1:
        next(run.model.module.visual.parameters()).data.fill_(float("nan"))


def test_a_loss_that_is_no_number(write_config: Callable[..., Path], tmp_path: Path, crew: Crew) -> None:
    found = crew.run(2, trains_until, write_config(), 7, _poison, fails=True, timeout_s=60)
    _same_errors(found, "step 7: the gradient is not finite (loss nan); the weights are untouched, the last good")
    _good_after(tmp_path / "run", 4)
