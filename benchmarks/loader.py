"""Loading compared with open_clip's trainer: the same shards, one process, one core, the same output size.

    python benchmarks/loader.py --pictures ../shared/data/images [--size 224] [--rounds 2] [--few]

Three sets are made of real pictures: (a) as they are, (b) with a short side of 512 px, (c) enlarged to 8 megapixels,
with added grain and smooth; JPEG quality 90. ``open_clip_train.data`` (with webdataset 0.2.86 from the peers overlay,
`make peers`) and ``train.data`` read each in turn, from tar files to float pixels [n, 3, S, S] and token ids, with
open_clip's augmentation (random resized crop of 90 to 100 % of the area) and CLIP's tokenizer. Time is that of the
process's own CPU, from the first to the last batch, best of the rounds. PSNR compares our crops with the same crops of
whole decoding.
"""

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from train.data import SampleReader

ROOT = Path(__file__).resolve().parents[1]
BATCH = 32


def main() -> None:
    """Make the sets and compare."""
    options = _read_options()
    if options.run:
        samples, seconds = (_read_theirs if options.run == "open_clip" else _read_ours)(
            Path(options.shards), options.size
        )
        print(json.dumps({"samples": samples, "seconds": seconds}))
        return
    paths = sorted(options.pictures.rglob("*.jpg"))
    if not paths:
        sys.exit(f"{options.pictures}: no .jpg there")
    numbers = (128, 96, 40) if options.few else (len(paths), 640, 96)
    print(
        f"{len(paths):,} pictures, output {options.size} px, best of {options.rounds} rounds, CPU time of one process"
    )
    with tempfile.TemporaryDirectory(prefix="loader-benchmark-") as folder:
        for name, number, how in (
            ("a: as they are", numbers[0], {}),
            ("b: short side 512 px", numbers[1], {"short_px": 512}),
            ("c: 8 megapixels with grain", numbers[2], {"megapixels": 8.0, "grain": 4.0}),
            ("c: 8 megapixels, smooth", numbers[2], {"megapixels": 8.0}),
        ):
            shards = Path(folder) / name[0] / str(len(how))
            chosen = paths[:: max(1, len(paths) // number)][:number]
            _write_shards(shards, [_make(path, number, **how) for number, path in enumerate(chosen)])
            _compare(name, shards, len(chosen), options)


def _read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=Path, default=ROOT.parent / "shared" / "data" / "images")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--few", action="store_true", help="a look: few pictures")
    parser.add_argument("--run", choices=("open_clip", "iconoclip"), help=argparse.SUPPRESS)
    parser.add_argument("--shards", help=argparse.SUPPRESS)
    return parser.parse_args()


def _make(path: Path, seed: int, *, short_px: int = 0, megapixels: float = 0.0, grain: float = 0.0) -> bytes:
    if not (short_px or megapixels):
        return path.read_bytes()
    image = Image.open(path).convert("RGB")
    scale = short_px / min(image.size) if short_px else (megapixels * 1e6 / (image.width * image.height)) ** 0.5
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BICUBIC)
    if grain:
        noise = np.random.default_rng(seed).normal(0, grain, (image.height, image.width, 1))
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


def _compare(name: str, shards: Path, number: int, options: argparse.Namespace) -> None:
    best: dict[str, float] = {}
    for _ in range(options.rounds):
        for program in ("open_clip", "iconoclip"):  # in turn
            found = _run(program, shards, options.size)
            best[program] = max(best.get(program, 0.0), found["samples"] / found["seconds"])
    median, low = _psnr(shards, options.size)
    print(
        f"{name:28} {number:5,} pictures  open_clip {best['open_clip']:7.1f}/s  iconoclip {best['iconoclip']:7.1f}/s  "
        f"{best['iconoclip'] / best['open_clip']:5.2f} times  PSNR median {median:.1f}, 5th percentile {low:.1f} dB",
        flush=True,
    )


def _run(program: str, shards: Path, size: int) -> dict:
    overlay = [str(ROOT / ".peers")] if program == "open_clip" else []
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([*overlay, str(ROOT)])}
    command = [sys.executable, __file__, "--run", program, "--shards", str(shards), "--size", str(size)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
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


def _read_theirs(shards: Path, size: int) -> tuple[int, float]:
    import open_clip
    from open_clip_train.data import get_wds_dataset

    total = sum(1 for _ in _names(shards))
    settings = argparse.Namespace(
        train_data=f"{shards}/train/set-{{00000..00001}}.tar", train_num_samples=total, dataset_resampled=False,
        train_data_upsampling_factors=None, seed=0, batch_size=BATCH, workers=0, world_size=1, val_num_samples=None,
    )  # fmt: skip
    transform = open_clip.image_transform(size, is_train=True, aug_cfg={"scale": (0.9, 1.0)})
    loader = get_wds_dataset(settings, transform, True, floor=True, tokenizer=open_clip.SimpleTokenizer()).dataloader
    return _count(len(images) for images, _ in loader)


def _read_ours(shards: Path, size: int) -> tuple[int, float]:
    import open_clip
    import torch

    from train.data import Chunks, read_batches

    reader = _reader(shards, size, open_clip.SimpleTokenizer())
    mean, std = (
        torch.tensor(each).view(3, 1, 1) for each in (open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD)
    )
    chunks = Chunks(0, reader.pool.num_samples // BATCH, batch_size=BATCH, rank=0, world=1)
    batches = read_batches(reader, chunks, workers=0, pin_memory=False)
    return _count(len((batch.images.float().div_(255) - mean) / std) for batch in batches)


def _reader(shards: Path, size: int, tokenizer: Any) -> "SampleReader":
    from train.config import TrainConfig
    from train.data import SampleReader
    from train.pictures import PictureReader
    from train.pool import open_pool

    values = {
        "verb": "train", "out": "unused", "model": "tiny:random", "data": f"{shards}/train/set-*.tar",
        "batch_size": BATCH, "epochs": 1, "loss": "softmax", "optim": {"lr": 1e-3},
    }  # fmt: skip
    config = TrainConfig.validate_data(values, where="benchmark")
    pictures = PictureReader(size, "bicubic", "shortest", 0, config.augment)
    return SampleReader(open_pool(config), pictures, tokenizer, config.captions, seed=0, cache_bytes=0)


def _psnr(shards: Path, size: int) -> tuple[float, float]:
    """Median and 5th percentile over all pictures, in dB."""
    reader = _reader(shards, size, None).pictures
    found = []
    for number, data in enumerate(_pictures(shards)):
        extent = reader.measure(data, name="picture")
        crop = reader.draw(extent, np.random.default_rng(number))
        ours, whole = (
            reader.crop(reader.decode(data, factor=factor, name="picture"), extent, crop).astype(float)
            for factor in (crop.factor, 1)
        )
        found.append(10 * np.log10(255**2 / max(np.mean((ours - whole) ** 2), 1e-6)))
    return float(np.median(found)), float(np.percentile(found, 5))


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
