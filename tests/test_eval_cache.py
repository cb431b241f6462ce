"""The embedding cache: shared by processes, interrupted at any moment, published without the pictures."""

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ranks import Crew
from servers.slurm import Slurm

from eval import cache, kept
from eval.config import EvalConfig
from eval.run import run_evaluation
from eval.share import Share, read_share
from eval.tasks.classification import Classification
from iconoclip import embed
from iconoclip.errors import EvaluationError

SCRIPT = Path(__file__).resolve().parents[1] / "slurm" / "eval.sbatch"

Write = Callable[..., Path]


@pytest.fixture
def write_eval(tmp_path: Path, write_shards: Callable[..., Path], tiny_model_dir: Path, make_jpeg) -> Write:
    """``write_eval(out, **changes)`` -> an evaluation of two models by classification with probes and by retrieval."""
    write_shards(tmp_path / "shards", num_records=120)
    for number in range(40):
        path = tmp_path / "scans" / ("lion", "ship")[number % 2] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(make_jpeg(number))
    benchmark = {
        "verb": "benchmark", "name": "scans", "title": "Scans", "task": "classification", "layout": "folders",
        "root": str(tmp_path / "scans"), "classes": {"lion": {"en": "a lion"}, "ship": {"en": "a ship"}},
        "templates": {"en": ["{}", "my {}"]},
    }  # fmt: skip
    (tmp_path / "scans.yaml").write_text(json.dumps(benchmark))

    def write(out: str, **changes: Any) -> Path:
        values = {
            "verb": "eval",
            "out": str(tmp_path / out),
            "shards": str(tmp_path / "shards"),
            "models": [
                str(tiny_model_dir),
                {"name": str(tiny_model_dir), "weights": "random", "label": "untrained"},
            ],
            "benchmarks": [
                {"kind": "file", "path": str(tmp_path / "scans.yaml")},
                {"kind": "shard_retrieval", "novelty": True},
                {"kind": "same_object", "sources": ["prints"]},
            ],
            "seed": 3,
            "resamples": 200,
            "device": "cpu",
            "batch_size": 2,  # eight batches are a part
        }
        path = tmp_path / f"{out}.yaml"
        path.write_text(json.dumps(values | changes))
        return path

    return write


def evaluate(path: Path) -> tuple[str, int]:
    """Evaluate as the process that the environment names; say what it said and how many parts it encoded."""
    written = []

    def count(path: Path, *args: Any) -> None:
        if path.suffix == ".part":
            written.append(path)
        write(path, *args)

    write = cache._write
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cache, "_write", count)
        return run_evaluation(EvalConfig.load(path)), len(written)


def evaluate_until(path: Path, number: int) -> None:
    """Evaluate; rank 1 is killed when a batch of its part ``number`` has been encoded."""
    encode, batches = embed._check, []

    def die(*args: Any) -> None:
        batches.append(1)
        if os.environ["RANK"] == "1" and len(batches) == 8 * (number - 1) + 1:
            os.kill(os.getpid(), signal.SIGKILL)
        encode(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embed, "_check", die)
        run_evaluation(EvalConfig.load(path))


def read_rows(config: Path) -> list[dict[str, Any]]:
    """Results without the time at which they were made."""
    out = Path(json.loads(config.read_text())["out"])
    rows = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    return [{name: value for name, value in row.items() if name != "created"} for row in rows]


def test_one_two_and_four_processes_give_the_same_figures_to_the_last_digit(write_eval: Write, crew: Crew):
    outcomes = {world: crew.run(world, evaluate, write_eval(f"by-{world}")) for world in (1, 2, 4)}
    rows = {world: read_rows(write_eval(f"by-{world}")) for world in outcomes}
    assert any(row["value"] is not None for row in rows[1])
    assert rows[1] == rows[2] == rows[4]
    # Nothing is encoded twice, and nobody does it all.
    total = outcomes[1][0][1]
    for found in outcomes.values():
        assert sum(calls for _, calls in found) == total
        assert max(calls for _, calls in found) <= -(-total // len(found))
        assert any("scans" in text for text, _ in found)


def test_a_process_that_is_killed_loses_the_part_in_its_hands_and_nothing_else(write_eval: Write, crew: Crew):
    whole = write_eval("whole")
    _, total = crew.run(1, evaluate, whole)[0]
    path = write_eval("killed")
    dead = crew.run(2, evaluate_until, path, 3, fails=True)[1]
    assert dead.kind == "died"
    out = Path(json.loads(path.read_text())["out"])
    assert not (out / "results.jsonl").exists()
    done = len(list(out.rglob("*.part")))
    found = crew.run(2, evaluate, path)
    assert sum(calls for _, calls in found) == total - done
    assert 0 < done < total
    assert read_rows(path) == read_rows(whole)
    assert not [file.name for file in out.rglob(".*") if file.is_file() and file.name != ".lock"]


def test_an_array_of_jobs_shares_the_work_and_the_last_makes_the_tables(write_eval: Write):
    path, alone = write_eval("array"), write_eval("alone")
    texts = [run_evaluation(EvalConfig.load(path), Share(index, 3)) for index in (2, 0, 1)]
    assert [text.startswith("process") for text in texts] == [True, True, False]
    assert "process 3 of 3 is done" in texts[0]
    run_evaluation(EvalConfig.load(alone))
    assert read_rows(path) == read_rows(alone)


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({}, Share(0, 1)),
        ({"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1"}, Share(3, 4, 1)),
        # A batch script itself, before srun: the variables of the job are no tasks of a step.
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "4"}, Share(0, 1)),
        ({"SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "2", "SLURM_LOCALID": "0"}, Share(2, 4)),
        # The third of four jobs in an array 1-4, each of two tasks: 2 * 2 + 1.
        (
            {
                "SLURM_ARRAY_TASK_ID": "3",
                "SLURM_ARRAY_TASK_MIN": "1",
                "SLURM_ARRAY_TASK_COUNT": "4",
                "SLURM_STEP_ID": "0",
                "SLURM_STEP_NUM_TASKS": "2",
                "SLURM_PROCID": "1",
                "SLURM_LOCALID": "1",
            },
            Share(5, 8, 1),
        ),
    ],
)
def test_a_process_reads_from_its_environment_which_share_is_its_own(env: dict[str, str], expected: Share):
    assert read_share(env) == expected


def test_an_array_with_gaps_is_an_error():
    env = {"SLURM_ARRAY_TASK_ID": "7", "SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_COUNT": "3"}
    with pytest.raises(EvaluationError, match="its numbers must be 0-2"):
        read_share(env)


def test_a_published_cache_gives_the_same_results_without_the_pictures(write_eval: Write, tmp_path: Path):
    first = write_eval("first")
    run_evaluation(EvalConfig.load(first))
    shutil.copytree(tmp_path / "first" / "cache", tmp_path / "published")
    shutil.rmtree(tmp_path / "scans")
    for tar in (tmp_path / "shards").rglob("*.tar"):
        tar.unlink()
    for file in (tmp_path / "published").rglob("*"):
        file.chmod(0o555 if file.is_dir() else 0o444)
    again = write_eval("again", cache=str(tmp_path / "published"), from_cache=True)
    run_evaluation(EvalConfig.load(again))
    assert read_rows(again) == read_rows(first)
    for name in ("comparisons.jsonl", "notes.jsonl", "overall.jsonl", "contamination.jsonl", "bias.jsonl"):
        assert (tmp_path / "again" / name).read_text() == (tmp_path / "first" / name).read_text(), name


def test_a_published_cache_serves_those_who_have_models_and_shards_elsewhere(
    write_eval: Write, tiny_model_dir: Path, tmp_path: Path
):
    models = [{"name": str(tiny_model_dir), "label": "a"},
              {"name": str(tiny_model_dir), "weights": "random", "label": "b"}]  # fmt: skip
    first = write_eval("first", models=models)
    run_evaluation(EvalConfig.load(first))
    (tmp_path / "shards").rename(tmp_path / "theirs")
    shutil.copytree(tiny_model_dir, tmp_path / "their model")
    moved = [model | {"name": str(tmp_path / "their model")} for model in models]
    cache = {"cache": str(tmp_path / "first" / "cache"), "from_cache": True}
    again = write_eval("again", models=moved, shards=str(tmp_path / "theirs"), **cache)
    run_evaluation(EvalConfig.load(again))
    assert read_rows(again) == read_rows(first)
    for name in ("comparisons.jsonl", "contamination.jsonl"):
        assert (tmp_path / "again" / name).read_text() == (tmp_path / "first" / name).read_text(), name


def test_what_a_published_cache_lacks_is_named(write_eval: Write, tmp_path: Path):
    first = write_eval("first")
    run_evaluation(EvalConfig.load(first))
    cache = {"cache": str(tmp_path / "first" / "cache"), "from_cache": True}
    other = [{"kind": "shard_retrieval", "ks": [2]}, {"kind": "file", "path": str(tmp_path / "scans.yaml")}]
    with pytest.raises(EvaluationError, match=r"shard_retrieval.*not there as it is asked here"):
        run_evaluation(EvalConfig.load(write_eval("options", benchmarks=other, **cache)))
    with pytest.raises(EvaluationError, match=r"scans, untrained.* parts are not there, or of other weights"):
        run_evaluation(EvalConfig.load(write_eval("weights", **cache, seed=4)))
    with pytest.raises(EvaluationError, match="training had seen was not looked for"):
        run_evaluation(EvalConfig.load(write_eval("models", **cache, contamination={"by": ["file"]})))
    with pytest.raises(EvaluationError, match="not there as it is asked here"):
        run_evaluation(EvalConfig.load(write_eval("empty", cache=str(tmp_path / "nothing"), from_cache=True)))


def test_a_benchmark_in_the_cache_names_only_classes_of_ours():
    task = Classification("t", None, (0, 1), (0, 0), ("a",), (("an a",),), "en")  # type: ignore[arg-type]
    values = {"facts": {"list": [1, 2.5, None], ("pair", 1): True}, "task": task, "set": frozenset({"b", "a"})}
    assert kept.decode(json.loads(json.dumps(kept.encode(values)))) == values
    with pytest.raises(TypeError, match=r"function cannot be written down"):
        kept.encode({"f": read_rows})
    for kind in ("subprocess:Popen", "eval.run:run_evaluation", "eval.none:Thing"):
        with pytest.raises(EvaluationError, match="make it again"):
            kept.decode({"=": kind})


@pytest.mark.services
def test_an_array_on_slurm_makes_the_table_when_its_last_job_has_run(write_eval: Write, slurm: Slurm, tmp_path: Path):
    (tmp_path / "slurm").mkdir()
    (tmp_path / "slurm" / "env.sh").write_text(f'export ICONOCLIP="{sys.executable} -m iconoclip.cli"\n')
    path, alone = write_eval("by-slurm"), write_eval("alone")
    options = ["--ntasks-per-node=2", "--gres=none", "--cpus-per-task=1"]

    def submit(numbers: str) -> str:
        return slurm.submit(SCRIPT, path.name, folder=tmp_path, options=[f"--array={numbers}", *options])

    def log(job: str, number: int) -> str:
        return (tmp_path / f"iconoclip-eval-{job}-{number}.out").read_text()

    job = submit("0-1%1")
    slurm.run("scancel", f"{job}_1")  # before its turn
    slurm.wait(f"{job}_0", "COMPLETED", "FAILED")
    assert "process 1 of 4 is done" in log(job, 0)
    assert not (tmp_path / "by-slurm" / "results.jsonl").exists()
    job = submit("0-1")
    for number in (0, 1):
        slurm.wait(f"{job}_{number}", "COMPLETED", "FAILED")
    run_evaluation(EvalConfig.load(alone))
    assert read_rows(path) == read_rows(alone), log(job, 0) + log(job, 1)
