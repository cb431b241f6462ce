"""Fetching compared with img2dataset: the same 2,000 pictures on the loopback, clean and with faults.

    python benchmarks/fetch.py [--pictures 2000] [--rounds 2] [--concurrency 32] [--processes 2]
                               [--only clean|faulty] [--no-peer]

Both read 1,500 px JPEGs over HTTP and write WebDataset tars at 512 px, JPEG quality 90, unthrottled, with the same
concurrency and number of processes. Ours is `iconoclip prep` on a table of addresses, as a user runs it: it keeps the
fetched files, its state and the ledger, applies EXIF and colour profiles, looks for near-duplicates and placeholders,
splits, and writes card and manifest; img2dataset writes its tars, Parquet and statistics. Images/s are those of the
whole command, as `time` would give them, and, a second ratio, from the first request to the end, which leaves out the
start of either; the CPU time of all processes says the same on a busy machine; memory is the largest sum of
proportional set sizes (PSS) of all its processes. img2dataset comes from PyPI into its own environment in the user's
cache folder.
"""

import argparse
import asyncio
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import yaml
from memory import Peak
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

if TYPE_CHECKING:
    from servers.http import Response

PEER = "img2dataset==1.47.0"
TIMEOUT_S = 3  # for one answer; the faulty server hangs and drips longer than this
MAX_ATTEMPTS = 4
NUM_SOURCES = 40


@dataclass(frozen=True)
class Measured:
    """One run of one program."""

    name: str
    num_pictures: int
    seconds: float
    whole_seconds: float
    cpu_s: float
    peak_mb: float
    max_in_flight: int
    num_requests: int

    def to_text(self, wanted: int) -> str:
        """One line of the table."""
        rate = self.num_pictures / self.whole_seconds
        return (
            f"{self.name:12} {self.num_pictures:5,} of {wanted:,} ({100 * self.num_pictures / wanted:5.1f} %)  "
            f"{rate:6.1f} img/s  ({self.whole_seconds:5.1f} s; {self.seconds:5.1f} s from the first request)  "
            f"{1000 * self.cpu_s / self.num_pictures:5.1f} ms CPU each  "
            f"peak {self.peak_mb:6.0f} MB  {self.num_requests:,} requests, at most {self.max_in_flight} at once"
        )


def main() -> None:
    """Compare on a clean server, then on one with faults."""
    options = _read_options()
    if options.serve:
        asyncio.run(_serve(faulty=options.serve == "faulty"))
        return
    peer = None if options.no_peer else _install_peer()
    for kind in (options.only,) if options.only else ("clean", "faulty"):
        print(f"\n{kind} server, {options.pictures:,} pictures, {options.concurrency} connections:")
        rounds = options.rounds if kind == "clean" else 1
        best: dict[str, Measured] = {}
        for _ in range(rounds):
            for measured in _compare(kind, options, peer):  # in turn
                print("  " + measured.to_text(options.pictures), flush=True)
                best[measured.name] = min(
                    measured, best.get(measured.name, measured), key=lambda each: each.whole_seconds
                )
        if kind == "clean" and len(best) == 2:
            ours, theirs = best["iconoclip"], best["img2dataset"]
            print(
                f"  best of {rounds}: ours is {theirs.whole_seconds / ours.whole_seconds:.2f} times as fast, "
                f"{theirs.seconds / ours.seconds:.2f} times from the first request"
            )


def _read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--only", choices=("clean", "faulty"))
    parser.add_argument("--no-peer", action="store_true")
    parser.add_argument("--serve", choices=("clean", "faulty"), help=argparse.SUPPRESS)
    return parser.parse_args()


def _compare(kind: str, options: argparse.Namespace, peer: Path | None) -> Iterator[Measured]:
    for name in ("iconoclip", "img2dataset") if peer else ("iconoclip",):
        with tempfile.TemporaryDirectory(prefix="fetch-benchmark-") as folder:
            out = Path(folder) / "out"
            command = [sys.executable, __file__, "--serve", kind]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
                assert server.stdout is not None
                url = server.stdout.readline().strip()
                try:
                    command = _our_command(url, out, options) if name == "iconoclip" else _peer_command(
                        peer, url, out, options, kind
                    )  # fmt: skip
                    yield _measure(name, command, url, out)
                finally:
                    server.terminate()


def _our_command(url: str, out: Path, options: argparse.Namespace) -> list[str]:
    table, config = out.with_name("pictures.csv"), out.with_name("prep.yaml")
    rows = "".join(f"{number},{url}/picture/{number}.jpg,Picture {number}\n" for number in range(options.pictures))
    table.write_text(f"id,address,title\n{rows}")
    policy = {
        "max_concurrent": options.concurrency, "requests_per_s": None, "max_attempts": MAX_ATTEMPTS, "backoff_s": 0.25,
        "breaker_failures": 200, "read_timeout_s": TIMEOUT_S, "connect_timeout_s": TIMEOUT_S,
        "total_timeout_s": TIMEOUT_S,
    }  # fmt: skip
    statement = {"value": "CC0 1.0", "asserted_by": "benchmark", "source_url": url}
    collection = {
        "kind": "local", "table": table.name, "id": "{id}", "image": "{address}", "work_from": "{id}",
        "captions": ["{title}"], "institution": "Benchmark", "language": "en", "rights": {"all": statement},
        "near_duplicates": False,  # the server has forty pictures
    }  # fmt: skip
    fetch = {"contact": "benchmark@library.example", "allow_private": ["127.0.0.1"], "default": policy}
    config.write_text(
        yaml.safe_dump(
            {
                "verb": "prep", "name": "benchmark", "out": str(out), "root": str(out.parent), "max_failed_share": 1.0,
                "workers": options.processes, "image": {"max_px": 512, "quality": 90}, "fetch": fetch,
                "collections": {"pictures": collection},
            }
        )
    )  # fmt: skip
    return [sys.executable, "-m", "data_prep", str(config)]


def _peer_command(peer: Path | None, url: str, out: Path, options: argparse.Namespace, kind: str) -> list[str]:
    assert peer is not None
    urls = out.with_name("urls.txt")
    urls.write_text("".join(f"{url}/picture/{number}.jpg\n" for number in range(options.pictures)))
    return [
        str(peer / "bin" / "img2dataset"), f"--url_list={urls}", "--input_format=txt", "--output_format=webdataset",
        f"--output_folder={out}", f"--processes_count={options.processes}",
        f"--thread_count={options.concurrency // options.processes}", "--image_size=512",
        "--resize_mode=keep_ratio_largest", "--resize_only_if_bigger=True", "--encode_quality=90",
        f"--number_sample_per_shard={-(-options.pictures // (2 * options.processes))}", f"--timeout={TIMEOUT_S}",
        f"--retries={MAX_ATTEMPTS - 1 if kind == 'faulty' else 0}", "--enable_wandb=False", "--max_shard_retry=1",
    ]  # fmt: skip


def _measure(name: str, command: list[str], url: str, out: Path) -> Measured:
    """Run a program to its end; its time and memory, and what lies in its tars."""
    started = time.monotonic()
    log = out.with_name(f"{name}.log")
    environment = os.environ | {"NO_ALBUMENTATIONS_UPDATE": "1", "OMP_NUM_THREADS": "1", "WANDB_MODE": "disabled"}
    with log.open("w") as file:
        program = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=environment)
        peak = Peak(program.pid)
        _, status, used = os.wait4(program.pid, 0)
        ended = time.monotonic()
        code = program.returncode = os.waitstatus_to_exitcode(status)
    if code:
        sys.exit(f"{name} failed with {code}:\n{log.read_text()[-3000:]}")
    with urllib.request.urlopen(f"{url}/statistics") as answer:
        seen = json.load(answer)
    return Measured(
        name=name,
        num_pictures=_count_pictures(out),
        seconds=ended - seen["first_at_s"],
        whole_seconds=ended - started,
        cpu_s=used.ru_utime + used.ru_stime,
        peak_mb=peak.stop() / 1e6,
        max_in_flight=seen["max_in_flight"],
        num_requests=seen["num_requests"],
    )


def _count_pictures(out: Path) -> int:
    number = 0
    for path in out.rglob("*.tar"):
        with tarfile.open(path) as tar:
            number += sum(name.endswith(".jpg") for name in tar.getnames())
    return number


def _install_peer() -> Path:
    """Environment with img2dataset, made once."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "iconoclip" / "benchmarks"
    folder = cache / PEER.replace("==", "-")
    if not (folder / ".installed").is_file():
        print(f"installing {PEER} into {folder}", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([folder / "bin" / "pip", "install", "--quiet", "--no-warn-script-location", PEER], check=True)
        (folder / ".installed").touch()
    return folder


async def _serve(*, faulty: bool) -> None:
    from servers.faults import FaultyPictures
    from servers.http import LocalServer, Request, Response

    pictures = FaultyPictures(make_sources(), is_clean=not faulty)

    def answer(request: Request) -> Response:
        if request.path == "/statistics":
            asked = [each for each in server.requests if each.path != "/statistics"]
            seen = {
                "first_at_s": asked[0].at_s if asked else 0.0,
                "num_requests": len(asked),
                "max_in_flight": server.max_in_flight,
            }
            return Response(body=json.dumps(seen).encode())
        return _make_unique(pictures(request), request.path)

    async with LocalServer(answer) as server:
        print(server.url, flush=True)
        await asyncio.Event().wait()


def _make_unique(response: "Response", path: str) -> "Response":
    """A comment in the file: a host that serves the same bytes everywhere serves a placeholder."""
    if not response.body.startswith(b"\xff\xd8"):
        return response
    comment = path.encode()
    segment = b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment
    return replace(response, body=response.body[:2] + segment + response.body[2:])


def make_sources() -> list[bytes]:
    """JPEGs of 1,500 px, about as heavy as a scanned page; some turned by EXIF, some with a colour profile."""
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    generator = np.random.default_rng(0)
    sources = []
    for number in range(NUM_SOURCES):
        height = 900 + 15 * number
        rough = Image.fromarray(generator.integers(40, 255, (height // 12, 125, 3), dtype=np.uint8))
        image = np.asarray(rough.resize((1500, height), Image.Resampling.BICUBIC)).astype(np.int16)
        image = np.clip(image + generator.normal(0, 4, (height, 1500, 1)).astype(np.int16), 0, 255)
        buffer = io.BytesIO()
        exif = Image.Exif()
        exif[0x0112] = 6 if number % 10 == 0 else 1
        extra = {"icc_profile": profile} if number % 10 == 5 else {}
        Image.fromarray(image.astype(np.uint8)).save(buffer, "JPEG", quality=85, exif=exif, **extra)
        sources.append(buffer.getvalue())
    return sources


if __name__ == "__main__":
    main()
