"""Loading compared with open_clip's trainer: the same shards, one process, one core, the same output size.

    python benchmarks/loader.py --pictures ../shared/data/images [--size 224] [--rounds 2] [--sets abc] [--few]

Sets are made of real pictures: (a) as they are, (b) with a short side of 512 px, (c) enlarged to 8 megapixels, with
added grain and smooth; JPEG quality 90. ``open_clip_train.data`` (with webdataset 0.2.86 from the peers overlay,
`make peers`) and ``train.data`` read each in turn, from tar files to float pixels [n, 3, S, S] and token ids, with
open_clip's augmentation (random resized crop of 90 to 100 % of the area) and CLIP's tokenizer. Time is that of the
process's own CPU, from the first to the last batch, best of the rounds. PSNR compares our crops with the same crops of
whole decoding; ``decoded at`` counts by how much they were shrunk in decoding. All sets take five minutes on two quiet
cores, most of it making (c).
"""

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from train.data import SampleReader

ROOT = Path(__file__).resolve().parents[1]
LARGEST_BATCH, NUM_BATCHES = 32, 6  # at least so many batches, of which the first is not counted
TIMEOUT_S = 300  # of one program on one set


@dataclass(frozen=True)
class Pictures:
    """One set: how many pictures, how they are made, and how many times as fast as open_clip's we want to be."""

    name: str
    number: int
    few: int
    goal: float
    short_px: int = 0
    megapixels: float = 0.0
    grain: float = 0.0


SETS = (
    Pictures("a: as they are", 2400, 192, 1.3),
    Pictures("b: short side 512 px", 640, 96, 2.0, short_px=512),
    Pictures("c: 8 megapixels with grain", 60, 24, 3.0, megapixels=8.0, grain=4.0),
    Pictures("c: 8 megapixels, smooth", 60, 24, 5.0, megapixels=8.0),
)


def main() -> None:
    """Make the sets and compare."""
    options = _read_options()
    if options.run:
        read = _read_theirs if options.run == "open_clip" else _read_ours
        samples, seconds = read(Path(options.shards), options.size, options.batch)
        print(json.dumps({"samples": samples, "seconds": seconds}))
        return
    paths = sorted(options.pictures.rglob("*.jpg"))
    least = max(each.few for each in SETS)
    if len(paths) < least:
        sys.exit(f"{options.pictures}: {len(paths)} .jpg there, {least} or more are needed")
    print(
        f"{len(paths):,} pictures, output {options.size} px, best of {options.rounds} rounds, CPU time of one process"
    )
    for wanted in SETS:
        if wanted.name[0] not in options.sets:
            continue
        number = min(wanted.few if options.few else wanted.number, len(paths))
        chosen = paths[:: len(paths) // number][:number]
        with tempfile.TemporaryDirectory(prefix="loader-benchmark-") as folder:
            _write_shards(Path(folder), [_make(path, seed, wanted) for seed, path in enumerate(chosen)])
            _compare(wanted, Path(folder), number, options)


def _read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=Path, default=ROOT.parent / "shared" / "data" / "images")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--sets", default="abc", help="letters of the sets")
    parser.add_argument("--few", action="store_true", help="a look: few pictures")
    parser.add_argument("--run", choices=("open_clip", "iconoclip"), help=argparse.SUPPRESS)
    parser.add_argument("--shards", help=argparse.SUPPRESS)
    parser.add_argument("--batch", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def _make(path: Path, seed: int, wanted: Pictures) -> bytes:
    if not (wanted.short_px or wanted.megapixels):
        return path.read_bytes()
    image = Image.open(path).convert("RGB")
    width, height = image.size
    scale = wanted.short_px / min(width, height) or (wanted.megapixels * 1e6 / (width * height)) ** 0.5
    image = image.resize((round(width * scale), round(height * scale)), Image.Resampling.BICUBIC)
    if wanted.grain:
        noise = np.random.default_rng(seed).normal(0, wanted.grain, (image.height, image.width, 1))
        image = Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def _write_shards(folder: Path, pictures: list[bytes]) -> None:
    sys.path.insert(0, str(ROOT))
    from iconoclip.records import Caption, Record
    from iconoclip.shards import Sample, write_shard

    samples = [
        Sample(jpg, text, Record(str(number), "benchmark", "Benchmark", captions=(Caption(text, "en", "title"),)))
        for number, jpg in enumerate(pictures)
        for text in [f"A drawing of a tower by the river with two boats, number {number}"]
    ]
    half = -(-len(samples) // 2)
    for number in range(2):
        write_shard(folder, f"train/set-{number:05d}.tar", samples[number * half : (number + 1) * half])


def _compare(wanted: Pictures, shards: Path, number: int, options: argparse.Namespace) -> None:
    # open_clip's loader never ends where there is no whole batch.
    batch = min(LARGEST_BATCH, number // NUM_BATCHES)
    best: dict[str, float] = {}
    for _ in range(options.rounds):
        for program in ("open_clip", "iconoclip"):  # in turn
            found = _run(program, shards, options.size, batch)
            best[program] = max(best.get(program, 0.0), found["samples"] / found["seconds"])
    ratio = best["iconoclip"] / best["open_clip"]
    median, low, factors = _psnr(shards, options.size)
    shrunk = ", ".join(f"1/{factor} {share:.0%}" for factor, share in factors.items())
    print(
        f"{wanted.name:27}{number:6,} pictures  open_clip {best['open_clip']:6.1f}/s  "
        f"iconoclip {best['iconoclip']:6.1f}/s  {ratio:5.2f} times, goal {wanted.goal:g}: "
        f"{'met' if ratio >= wanted.goal else 'MISSED'}  PSNR median {median:.1f}, 5th percentile {low:.1f} dB; "
        f"decoded at {shrunk}",
        flush=True,
    )


def _run(program: str, shards: Path, size: int, batch: int) -> dict:
    overlay = [str(ROOT / ".peers")] if program == "open_clip" else []
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([*overlay, str(ROOT)])}
    command = [sys.executable, __file__, "--run", program, "--shards", str(shards)]
    command += ["--size", str(size), "--batch", str(batch)]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        sys.exit(f"{program} did not end within {TIMEOUT_S} s")
    if done.returncode:
        sys.exit(f"{program} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def _count(batches: Iterator[int]) -> tuple[int, float]:
    """Samples after the first batch, and the CPU seconds they took."""
    os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[0]})
    next(batches)
    started = time.process_time()
    samples = sum(batches)
    return samples, time.process_time() - started


def _read_theirs(shards: Path, size: int, batch: int) -> tuple[int, float]:
    import open_clip
    from open_clip_train.data import get_wds_dataset

    total = sum(1 for _ in _names(shards))
    settings = argparse.Namespace(
        train_data=f"{shards}/train/set-{{00000..00001}}.tar", train_num_samples=total, dataset_resampled=False,
        train_data_upsampling_factors=None, seed=0, batch_size=batch, workers=0, world_size=1, val_num_samples=None,
    )  # fmt: skip
    transform = open_clip.image_transform(size, is_train=True, aug_cfg={"scale": (0.9, 1.0)})
    loader = get_wds_dataset(settings, transform, True, floor=True, tokenizer=open_clip.SimpleTokenizer()).dataloader
    return _count(len(images) for images, _ in loader)


def _read_ours(shards: Path, size: int, batch: int) -> tuple[int, float]:
    import open_clip
    import torch

    from train.data import Chunks, read_batches
    from train.towers import normalize

    reader = _reader(shards, size, open_clip.SimpleTokenizer(), batch=batch)
    mean, std = (
        torch.tensor(each).view(3, 1, 1) * 255 for each in (open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD)
    )
    chunks = Chunks(0, reader.pool.num_samples // batch, batch_size=batch, rank=0, world=1)
    batches = read_batches(reader, chunks, workers=0, pin_memory=False)
    return _count(len(normalize(part.images, mean, std)) for part in batches)


def _reader(shards: Path, size: int, tokenizer: Any, *, batch: int = 2) -> "SampleReader":
    from train.config import TrainConfig
    from train.data import SampleReader
    from train.pictures import PictureReader
    from train.pool import open_pool

    values = {
        "verb": "train", "out": "unused", "model": "tiny:random", "data": f"{shards}/train/set-*.tar",
        "batch_size": batch, "epochs": 1, "loss": "softmax", "optim": {"lr": 1e-3},
    }  # fmt: skip
    config = TrainConfig.validate_data(values, where="benchmark")
    pictures = PictureReader(size, "bicubic", "shortest", 0, config.augment)
    return SampleReader(open_pool(config), pictures, tokenizer, config.captions, seed=0, cache_bytes=0)


def _psnr(shards: Path, size: int) -> tuple[float, float, dict[int, float]]:
    """Median and 5th percentile over all pictures, in dB, and the share of them decoded at each fraction."""
    reader = _reader(shards, size, None).pictures
    found, factors = [], Counter[int]()
    for number, data in enumerate(_pictures(shards)):
        extent = reader.measure(data, name="picture")
        crop = reader.draw(extent, np.random.default_rng(number))
        ours, whole = (
            reader.crop(reader.decode(data, factor=factor, name="picture"), extent, crop).astype(float)
            for factor in (crop.factor, 1)
        )
        found.append(10 * np.log10(255**2 / max(np.mean((ours - whole) ** 2), 1e-6)))
        factors[crop.factor] += 1
    shares = {factor: count / len(found) for factor, count in sorted(factors.items())}
    return float(np.median(found)), float(np.percentile(found, 5)), shares


def _names(shards: Path) -> Iterator[str]:
    import tarfile

    for path in sorted(shards.rglob("*.tar")):
        with tarfile.open(path) as tar:
            yield from (name for name in tar.getnames() if name.endswith(".jpg"))


def _pictures(shards: Path) -> Iterator[bytes]:
    import tarfile

    for path in sorted(shards.rglob("*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                if member.name.endswith(".jpg"):
                    file = tar.extractfile(member)
                    assert file is not None
                    yield file.read()


if __name__ == "__main__":
    main()
