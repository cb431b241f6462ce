"""Evaluation compared with clip_benchmark: the same WebDataset shards and models, in turn; and what a cache gives.

    python benchmarks/eval.py [--only base|tiny|cached|retrieval] [--pictures N] [--rounds 2] [--no-peer]
                              [--source ../shared/data/images]

(base) zero-shot classification with ViT-B-32 and random weights, and (tiny) with our `tiny`, two layers and 96 px,
where reading and decoding dominate. The pictures are those of ``--source`` (36 kB, 0.15 megapixels in the median),
repeated under other names until there are enough, with a comment in the file that makes each copy another one. Both
programs run as a user starts them, in fp32, from nothing, once for their memory and then in turn for their time:
`clip_benchmark eval --no_amp` (1.6.2, from the peers overlay, `make peers`) prints four figures; `iconoclip eval` looks
for broken files, keeps the embeddings, and writes intervals, free baselines, calibration, per-sample rows and the
report. Images/s are those of the whole command; beside them those without what the same command takes on 64 pictures,
and those that the programs give for reading, decoding and encoding alone. CPU time is that of all processes, memory the
largest sum of their proportional set sizes (PSS).

(cached) The table of ten benchmarks of 5,000 samples each, four classifications, two with several labels and four
retrievals, from a cache of embeddings of 512 dimensions, without the pictures. (retrieval) 100,000 captions of 100,000
pictures, some with none and some with several, 512 dimensions drawn at random: ranking both ways and all figures.
"""

import argparse
import json
import os
import re
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from memory import Used, measure

ROOT = Path(__file__).resolve().parents[1]
PICTURES = {"base": 640, "tiny": 5_120, "cached": 5_000, "retrieval": 100_000}
TABLE = ("classification",) * 4 + ("multilabel",) * 2 + ("retrieval",) * 4
FEW = BATCH = 64  # the batch is that of both programs
NUM_CLASSES = 8
NUM_DIMENSIONS = 512


@dataclass(frozen=True)
class Compared:
    """One program on one set; ``start`` is what it takes on few pictures.

    ``encoding_rate`` is what the program itself says, in pictures/s from the first batch to the last.
    """

    program: str
    num_pictures: int
    used: Used
    start: Used
    encoding_rate: float
    peak_mb: float

    @property
    def rate(self) -> float:
        """Images/s of the whole command."""
        return self.num_pictures / self.used.seconds

    @property
    def rate_without_start(self) -> float:
        """Images/s beyond the time that the command takes on few pictures."""
        return (self.num_pictures - FEW) / max(self.used.seconds - self.start.seconds, 1e-9)

    def to_text(self) -> str:
        """One line of the table."""
        cpu_ms = 1000 * (self.used.cpu_s - self.start.cpu_s) / (self.num_pictures - FEW)
        return (
            f"{self.program:14} {self.used.seconds:6.1f} s, {self.rate:7.1f} img/s; "
            f"without the start of {self.start.seconds:4.1f} s {self.rate_without_start:7.1f} img/s, "
            f"{cpu_ms:6.2f} ms CPU each; encoding {self.encoding_rate:7.1f} img/s; peak {self.peak_mb:6.0f} MB"
        )


def main() -> None:
    """Run the parts."""
    options = _read_options()
    sys.path.insert(0, str(ROOT))
    if options.run:
        _rank(options.pictures)
        return
    parts = {"base": _compare, "tiny": _compare, "cached": _time_table, "retrieval": _time_retrieval}
    for part in (options.only,) if options.only else parts:
        with tempfile.TemporaryDirectory(prefix="eval-benchmark-") as folder:
            parts[part](part, options.pictures or PICTURES[part], Path(folder), options)


def _read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=tuple(PICTURES))
    numbers = ", ".join(f"{number:,} ({part})" for part, number in PICTURES.items())
    parser.add_argument("--pictures", type=int, help=f"instead of {numbers}")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--no-peer", action="store_true")
    parser.add_argument("--source", type=Path, default=ROOT.parent / "shared" / "data" / "images")
    parser.add_argument("--run", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def _compare(part: str, number: int, folder: Path, options: argparse.Namespace) -> None:
    """clip_benchmark and ours in turn."""
    name = "ViT-B-32" if part == "base" else "tiny"
    save_model(f"{name}:random", folder / "model")
    for size, count in (("few", FEW), ("all", number)):
        write_set(folder / size, "classification", read_pictures(options.source, count))
    print(f"\n{name}, {number:,} pictures, best of {options.rounds} rounds:", flush=True)
    best: dict[str, Compared] = {}
    programs = ("iconoclip",) if options.no_peer else ("clip_benchmark", "iconoclip")
    peaks = {program: _run(program, folder, "all", "memory", look_at_memory=True).peak_mb for program in programs}
    for turn in map(str, range(options.rounds)):
        for program in programs:
            start = _run(program, folder, "few", turn)
            used = _run(program, folder, "all", turn)
            rate = _encoding_rate((folder / f"{program}-all-{turn}.log").read_text())
            found = Compared(program, number, used, start, rate, peaks[program])
            print(f"  {found.to_text()}", flush=True)
            best[program] = min(found, best.get(program, found), key=lambda each: each.used.seconds)
    if len(best) == 2:
        ours, theirs = best["iconoclip"], best["clip_benchmark"]
        without = ours.rate_without_start / theirs.rate_without_start
        encoding = ours.encoding_rate / theirs.encoding_rate
        print(
            f"  ours is {ours.rate / theirs.rate:.2f} times as fast, {without:.2f} times without the start, "
            f"{encoding:.2f} times in reading, decoding and encoding alone"
        )


def _run(program: str, folder: Path, name: str, turn: str, *, look_at_memory: bool = False) -> Used:
    out = folder / f"{program}-{name}-{turn}"
    if program == "iconoclip":
        benchmark = {"kind": "file", "path": str(folder / name), "probes": False}
        return _evaluate(out, folder / "model", [benchmark], look_at_memory=look_at_memory)
    code = "import sys; sys.argv[0] = 'clip_benchmark'; from clip_benchmark.cli import main; main()"
    command = [
        sys.executable, "-c", code, "eval", "--dataset", f"wds/{name}", "--dataset_root", str(folder / name),
        "--task", "zeroshot_classification", "--model", f"local-dir:{folder / 'model'}", "--pretrained", "",
        "--no_amp", "--output", f"{out}.json",
    ]  # fmt: skip
    return _measure(program, command, Path(f"{out}.log"), ROOT / ".peers", look_at_memory=look_at_memory)


def _encoding_rate(log: str) -> float:
    """Pictures/s from our log, or from the last of clip_benchmark's progress bars, which counts batches."""
    ours = re.findall(r"([\d,]+) pictures embedded, ([\d,]+) a second", log)
    if ours:
        return float(ours[-1][1].replace(",", ""))
    rate, unit = re.findall(r", +([\d.]+)(it/s|s/it)\]", log)[-1]
    return BATCH * (float(rate) if unit == "it/s" else 1 / float(rate))


def _evaluate(out: Path, model: Path, benchmarks: list[dict], *, look_at_memory: bool = True, **more: object) -> Used:
    config = out.with_name(f"{out.name}.yaml")
    values = {"verb": "eval", "out": str(out), "models": [str(model)], "benchmarks": benchmarks, "device": "cpu"}
    config.write_text(json.dumps(values | more))
    command, log = [sys.executable, "-m", "eval", str(config)], out.with_name(f"{out.name}.log")
    return _measure("iconoclip", command, log, ROOT, look_at_memory=look_at_memory)


def _measure(program: str, command: list[str], log: Path, python_path: Path, *, look_at_memory: bool = True) -> Used:
    # What other runs keep of these tars is not there.
    places = {"PYTHONPATH": str(python_path), "XDG_CACHE_HOME": str(log.with_suffix(".cache"))}
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": ""} | places
    return measure(program, command, log, environment, look_at_memory=look_at_memory)


def _time_table(part: str, number: int, folder: Path, options: argparse.Namespace) -> None:
    """A table of ten benchmarks, when all embeddings are there and no picture is."""
    save_model("tiny:random", folder / "model", embed_dim=NUM_DIMENSIONS)
    benchmarks = []
    for place, task in enumerate(TABLE):
        write_set(folder / f"set{place}", task, read_pictures(options.source, number, side=96, first=place))
        benchmarks.append({"kind": "file", "path": str(folder / f"set{place}"), "probes": False})
    print(f"\n{len(TABLE)} benchmarks of {number:,} samples:", flush=True)
    first = _evaluate(folder / "first", folder / "model", benchmarks)
    print(f"  with pictures, from nothing {first.seconds:6.1f} s  peak {first.peak_mb:6.0f} MB", flush=True)
    for path in folder.glob("set*/test/*.tar"):
        path.unlink()
    cache = {"cache": str(folder / "first" / "cache"), "from_cache": True}
    used = _evaluate(folder / "again", folder / "model", benchmarks, **cache)
    print(f"  without, from the cache     {used.seconds:6.1f} s  peak {used.peak_mb:6.0f} MB")
    rows = [_rows_of(folder / name) for name in ("first", "again")]
    print(f"  {len(rows[1]):,} figures, {'the same' if rows[0] == rows[1] else 'NOT THE SAME'} both times")


def _rows_of(out: Path) -> list[dict]:
    rows = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    return [{name: value for name, value in row.items() if name != "created"} for row in rows]


def _time_retrieval(part: str, number: int, folder: Path, options: argparse.Namespace) -> None:
    """Ranking in a process of its own, for its memory."""
    command = [sys.executable, __file__, "--run", "--pictures", str(number)]
    log = folder / "retrieval.log"
    used = _measure("retrieval", command, log, ROOT)
    print(f"\nretrieval, {number:,} captions x {number:,} pictures, both ways:")
    print(
        f"  {used.seconds:6.1f} s, {used.cpu_s:.0f} s of CPU, peak {used.peak_mb:,.0f} MB\n  {log.read_text().strip()}"
    )


def _rank(number: int) -> None:
    """Retrieval with random unit vectors; a fifth of the captions are further ones of pictures at random."""
    from eval.data import Pictures
    from eval.tasks._gallery import Gallery
    from eval.tasks.retrieval import Retrieval
    from iconoclip.records import Record

    rng = np.random.default_rng(0)
    owners = np.concatenate([np.arange(number - number // 5), np.sort(rng.integers(0, number, number // 5))])
    images_ND = _unit(rng.standard_normal((number, NUM_DIMENSIONS), dtype=np.float32))
    noise_ND = _unit(rng.standard_normal((number, NUM_DIMENSIONS), dtype=np.float32))
    texts_ND = _unit(noise_ND + np.float32(0.15) * images_ND[owners])  # of a model that knows something
    del noise_ND
    records = tuple(Record(str(place), "random", "Random", work_group=str(place)) for place in range(number))
    pictures = Pictures(records, (None,) * number, "random", ())
    texts = tuple(f"caption {place}" for place in range(number))
    gallery = Gallery(tuple(range(number)), texts, ("en",) * number, tuple((int(owner),) for owner in owners))

    class Embedder:
        def images(self, fold: int | None, positions: object) -> np.ndarray:
            return images_ND

        def texts(self, fold: int | None, texts: object) -> np.ndarray:
            return texts_ND

    scores = Retrieval(pictures, (gallery,)).score(Embedder())
    figures = (f"{each.metric} {np.nanmean(each.values):.4f}" for each in scores.measures if "rate" in each.metric)
    print(", ".join(figures))


def _unit(rows_ND: np.ndarray) -> np.ndarray:
    return rows_ND / np.linalg.norm(rows_ND, axis=1, keepdims=True)


def save_model(name: str, folder: Path, *, embed_dim: int | None = None) -> None:
    """Write a model folder with random weights."""
    from iconoclip import models

    model = models.load(name, seed=1)
    models.save(model, folder)
    if embed_dim:
        path = folder / models.CONFIG_NAME
        config = json.loads(path.read_text())
        config["model_cfg"]["embed_dim"] = embed_dim
        path.write_text(json.dumps(config))
        models.save(models.load(str(folder), weights="random", seed=1), folder)


def read_pictures(source: Path, number: int, *, side: int = 0, first: int = 0) -> Iterator[bytes]:
    """Yield JPEGs, each another file, with ``side`` of at most so many pixels."""
    paths = sorted(source.rglob("*.jpg"))
    if not paths:
        sys.exit(f"{source}: no .jpg there")
    for place in range(number):
        path, comment = paths[(first + place) % len(paths)], f"copy {first} {place}".encode()
        data = _shrink(path, side) if side else path.read_bytes()
        yield data[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + data[2:]


def _shrink(path: Path, side: int) -> bytes:
    from PIL import Image

    buffer = BytesIO()
    with Image.open(path) as image:
        image.draft("RGB", (side, side))
        image.thumbnail((side, side))
        image.save(buffer, "JPEG")
    return buffer.getvalue()


def write_set(folder: Path, task: str, pictures: Iterator[bytes]) -> None:
    """Write pictures in CLIP_benchmark's layout, eight shards: dealt to eight classes, or each with a caption."""
    (folder / "test").mkdir(parents=True)
    (folder / "test" / "nshards.txt").write_text("8\n")
    if task != "classification":
        (folder / "dataset_type.txt").write_text(f"{task}\n")
    (folder / "classnames.txt").write_text("".join(f"class {each}\n" for each in range(NUM_CLASSES)))
    (folder / "zeroshot_classification_templates.txt").write_text("a picture of {c}.\na print of {c}.\n")
    with ExitStack() as stack:
        tars = [stack.enter_context(tarfile.open(folder / "test" / f"{number}.tar", "w")) for number in range(8)]
        for place, picture in enumerate(pictures):
            for name, data in (_label(task, place), ("jpg", picture)):
                member = tarfile.TarInfo(f"s{place:07d}.{name}")
                member.size = len(data)
                tars[place % 8].addfile(member, BytesIO(data))


def _label(task: str, place: int) -> tuple[str, bytes]:
    if task == "retrieval":
        return "txt", f"picture number {place}".encode()
    if task == "classification":
        return "cls", str(place * 7 // 3 % NUM_CLASSES).encode()
    buffer = BytesIO()
    np.save(
        buffer, np.isin(np.arange(NUM_CLASSES), [place % NUM_CLASSES, place * 7 // 3 % NUM_CLASSES]).astype(np.int64)
    )
    return "npy", buffer.getvalue()


if __name__ == "__main__":
    main()
