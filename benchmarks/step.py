"""A training step compared with open_clip's: same model, same batch, same precision, each in a process of its own.

    make peers
    PYTHONPATH=.peers python benchmarks/step.py [--model tiny] [--batch 64] [--micro-batch N] [--precision fp32|bf16]
                                                [--steps 20] [--rounds 3] [--device cpu|cuda] [--peak-tflops X]

Theirs is ``open_clip_train.train.train_one_epoch`` with the optimizer that their main() makes; ours is the loop's own
step. Both get their batches from memory, as their loaders would hand them over (float32 pictures there, bytes here),
so it is the step that is timed: transfer, forward, loss, backward, clipping, optimizer. The two take turns; the first
steps of a process are not counted. On a GPU both are run with and without torch.compile, and model FLOP utilisation
(MFU; HFU counts what is computed twice) is printed. Weights are random, so nothing is downloaded.
"""

import argparse
import itertools
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

WARM_UP = 5
GPU_MODEL = "ViT-B-16-SigLIP2-256"
SIDES = ("open_clip", "iconoclip")


def main() -> None:
    """Run both sides in turn and print a table, or one side as a child of that."""
    options = read_options()
    if options.child:
        print(json.dumps(run_child(options)))
        return
    rows: dict[tuple[str, bool], list[dict[str, Any]]] = {}
    for compiles in (False, True) if options.device == "cuda" else (False,):
        for _ in range(options.rounds):
            for side in SIDES:
                rows.setdefault((side, compiles), []).append(start_child(side, compiles=compiles))
    print(
        f"{options.model}, {options.batch} pairs"
        + (f" in micro-batches of {options.micro_batch}" if options.micro_batch else "")
        + f", {options.precision}, {options.device}; median of {options.rounds} processes of {options.steps} steps"
    )
    for (side, compiles), found in rows.items():
        print(describe(side, found, compiles=compiles))
    for compiles in {compiles for _, compiles in rows}:
        theirs, ours = (median(rows[side, compiles], "step_s") for side in SIDES)
        cpu_theirs, cpu_ours = (median(rows[side, compiles], "cpu_s") for side in SIDES)
        print(
            f"speed, ours / theirs{' (compiled)' if compiles else ''}: {theirs / ours:.2f} by the clock, "
            f"{cpu_theirs / cpu_ours:.2f} by CPU time"
        )


def read_options() -> argparse.Namespace:
    """Options of the command line; the defaults are small on a CPU and the published model on a GPU."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--model", help="one of open_clip's names, or `tiny`")
    parser.add_argument("--batch", type=int)
    parser.add_argument("--micro-batch", type=int)
    parser.add_argument("--precision", choices=("fp32", "bf16"))
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peak-tflops", type=float)
    parser.add_argument("--child", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--compile", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    on_gpu = options.device == "cuda"
    options.model = options.model or (GPU_MODEL if on_gpu else "tiny")
    options.batch = options.batch or (1024 if on_gpu else 64)
    options.precision = options.precision or ("bf16" if on_gpu else "fp32")
    return options


def start_child(side: str, *, compiles: bool) -> dict[str, Any]:
    """Measure one side in a fresh process."""
    command = [sys.executable, __file__, *sys.argv[1:], "--child", side, *(["--compile"] if compiles else [])]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "WANDB_MODE": "off"})
    if done.returncode:
        sys.exit(f"{side}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def run_child(options: argparse.Namespace) -> dict[str, Any]:
    """Time one side; figures for the table."""
    import torch

    if os.environ.get("OMP_NUM_THREADS"):
        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    torch.manual_seed(0)
    run = run_theirs if options.child == "open_clip" else run_ours
    watch, extra = run(options)
    seconds, cpu_seconds = watch.seconds, watch.cpu_seconds
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if options.device == "cuda":
        peak = torch.cuda.max_memory_allocated()
    return {
        "pairs_per_s": options.batch / statistics.median(seconds),
        "step_s": statistics.median(seconds),
        "cpu_s": statistics.median(cpu_seconds),
        "peak_bytes": peak,
        **extra,
    }


def run_theirs(options: argparse.Namespace) -> tuple["Watch", dict[str, Any]]:
    """open_clip's epoch over batches from memory."""
    import open_clip.loss
    import torch
    from open_clip_train.scheduler import const_lr
    from open_clip_train.train import train_one_epoch

    module, config = build(options.model)
    module.to(options.device)
    count = options.batch // (options.micro_batch or options.batch)
    batches = make_batches(module, config, options)
    watch = Watch(options)
    is_sigmoid = getattr(module, "logit_bias", None) is not None
    loss = open_clip.loss.SigLipLoss() if is_sigmoid else open_clip.loss.ClipLoss()

    class Loader:
        num_batches = watch.num_steps * count
        num_samples = watch.num_steps * options.batch

        def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
            for _ in range(watch.num_steps):
                watch.tick()
                yield from batches
            watch.tick()

    def decays(name: str, parameter: torch.Tensor) -> bool:
        skipped = parameter.ndim < 2 or any(part in name for part in ("bn", "ln", "bias", "logit_scale"))
        return not skipped

    named = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
    groups = [
        {"params": [p for name, p in named if not decays(name, p)], "weight_decay": 0.0},
        {"params": [p for name, p in named if decays(name, p)], "weight_decay": 0.1},
    ]
    optimizer = torch.optim.AdamW(groups, lr=1e-5, betas=(0.9, 0.98), eps=1e-6)
    args = SimpleNamespace(
        device=options.device,
        precision="amp_bf16" if options.precision == "bf16" else "fp32",
        distill=False,
        accum_freq=count,
        skip_scheduler=False,
        horovod=False,
        grad_clip_norm=1.0,
        rank=0,
        local_rank=0,
        world_size=1,
        batch_size=options.batch // count,
        log_every_n_steps=10**9,
        wandb=False,
        log_local=False,
        distributed=False,
    )
    data = SimpleNamespace(dataloader=Loader(), set_epoch=lambda epoch: None)
    model = torch.compile(module) if options.compile else module
    scheduler = const_lr(optimizer, 1e-5, 1, watch.num_steps)
    train_one_epoch(model, {"train": data}, loss, 0, optimizer, None, scheduler, None, args)
    return watch, {}


def run_ours(options: argparse.Namespace) -> tuple["Watch", dict[str, Any]]:
    """The loop's own step on a batch from memory, and what the model's work is."""
    import torch
    from accelerate import Accelerator

    from iconoclip.models import Model
    from train import data, flops, loop, optim, sharding, speedups, towers
    from train.config import TrainConfig

    module, model_config = build(options.model)
    is_sigmoid = getattr(module, "logit_bias", None) is not None
    config = TrainConfig.model_validate(
        {
            "verb": "train",
            "out": "nowhere",
            "model": options.model,
            "data": "nowhere",
            "batch_size": options.batch,
            "micro_batch": options.micro_batch,
            "samples": options.batch * 10**6,
            "loss": "sigmoid" if is_sigmoid else "softmax",
            "optim": {"lr": 1e-5, "warmup": 0, "min_lr": 1},
            "precision": options.precision,
            "compile": options.compile,
            "peak_tflops": options.peak_tflops,
        }
    )
    images, tokens = make_bytes(module, model_config, options.batch)
    model = Model(options.model, module, lambda texts: tokens[: len(texts)], model_config)
    device = torch.device(options.device)
    accelerator = Accelerator(cpu=device.type == "cpu", mixed_precision="bf16" if options.precision == "bf16" else "no")
    module.to(accelerator.device)
    optimizer = optim.make_optimizer(module, config.optim)
    speedups.apply_speedups(model, config)
    pair = towers.Towers(model, config.freeze).to(accelerator.device)
    count = options.batch // (options.micro_batch or options.batch)
    work = flops.count_work(model, pair, config, num_micro_batches=count)
    processes: Any = SimpleNamespace(accelerator=accelerator, rank=0, world=1, device=accelerator.device)
    trained = sharding.distribute(pair, model, optimizer, processes, kind="ddp")
    run: Any = SimpleNamespace(
        config=config,
        processes=processes,
        model=model,
        trained=trained,
        wrapped=trained.wrapped,
        optimizer=trained.optimizer,
        towers=trained.towers,
        total_steps=10**6,
        state=SimpleNamespace(step=1, samples_seen=0, lr_factor=1.0, max_log_scale=towers.largest_log_scale(model)),
    )
    groups = torch.arange(options.batch * 11).reshape(options.batch, 11)
    batch = data.Batch(*(pinned(tensor, options) for tensor in (images, tokens, groups)), keys=[], problems=[])
    run.wrapped.train()
    watch = Watch(options)
    for _ in range(watch.num_steps):
        watch.tick()
        loop._step(run, batch)
    watch.tick()
    speed = options.batch / statistics.median(watch.seconds)
    share = flops.Utilisation(work, flops.peak_tflops(config, accelerator.device), 1).read(speed)
    return watch, {**share, "model_flops": work.model, "done_flops": work.done}


class Watch:
    """Seconds of each step after the first few, by the clock and of CPU: a busy machine spoils the first."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.num_steps = WARM_UP + options.steps
        self._wait = _waiter(options.device)
        self._times: list[float] = []
        self._cpu_times: list[float] = []

    def tick(self) -> None:
        """Before each step, and after the last."""
        self._wait()
        self._times.append(time.perf_counter())
        self._cpu_times.append(time.process_time())

    @property
    def seconds(self) -> list[float]:
        """Of the counted steps."""
        return [after - before for before, after in itertools.pairwise(self._times)][WARM_UP:]

    @property
    def cpu_seconds(self) -> list[float]:
        """Of the counted steps, all threads together."""
        return [after - before for before, after in itertools.pairwise(self._cpu_times)][WARM_UP:]


def _waiter(device: str) -> Callable[[], None]:
    import torch

    return torch.cuda.synchronize if device == "cuda" else lambda: None


def build(name: str) -> tuple[Any, dict[str, Any]]:
    """Architecture with random weights, and its configuration; nothing is downloaded."""
    import open_clip

    from iconoclip.models import OUR_CONFIGS

    folder = OUR_CONFIGS / name
    if folder.is_dir():
        config = json.loads((folder / "open_clip_config.json").read_text(encoding="utf-8"))
        identifier = f"local-dir:{folder}"
    else:
        config = {"model_cfg": open_clip.get_model_config(name), "preprocess_cfg": {}}
        identifier = name
    module = open_clip.create_model(identifier, load_weights=False, pretrained=None, output_dict=True)
    return module, config


def make_bytes(module: Any, config: dict[str, Any], count: int) -> tuple[Any, Any]:
    """Pictures as bytes and token ids, as our loader hands them over."""
    import torch

    size = module.visual.image_size
    side = size[0] if isinstance(size, tuple | list) else size
    text = config["model_cfg"]["text_cfg"]
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, 3, side, side), generator=generator, dtype=torch.uint8)
    rows = text.get("vocab_size", 49408)
    tokens = torch.randint(1, rows, (count, text.get("context_length", 77)), generator=generator)
    return images, tokens


def make_batches(module: Any, config: dict[str, Any], options: argparse.Namespace) -> list[tuple[Any, Any]]:
    """The same as normalised float32 pictures, as open_clip's loader hands them over, one for each micro-batch."""
    images, tokens = make_bytes(module, config, options.batch)
    pixels = (images.float() / 255 - 0.5) / 0.5
    size = options.micro_batch or options.batch
    return [
        (pinned(part, options), pinned(ids, options))
        for part, ids in zip(pixels.split(size), tokens.split(size), strict=True)
    ]


def pinned(tensor: Any, options: argparse.Namespace) -> Any:
    """In memory that a GPU can fetch from by itself."""
    return tensor.pin_memory() if options.device == "cuda" else tensor


def median(found: list[dict[str, Any]], name: str) -> float:
    """Of one figure over all processes."""
    return statistics.median(row[name] for row in found)


def describe(side: str, found: list[dict[str, Any]], *, compiles: bool) -> str:
    """One line of the table."""
    speeds = [row["pairs_per_s"] for row in found]
    name, peak = f"{side}{', compiled' if compiles else ''}", max(row["peak_bytes"] for row in found)
    line = (
        f"{name:<20} {statistics.median(speeds):10,.1f} pairs/s ({min(speeds):,.1f} to {max(speeds):,.1f}), "
        f"{median(found, 'step_s') * 1e3:8,.1f} ms a step ({median(found, 'cpu_s') * 1e3:,.1f} of CPU), "
        f"peak {peak / 1e6:,.0f} MB"
    )
    if found[0].get("model_flops"):
        line += f", {found[0]['model_flops'] / 1e9:.3g} GFLOPs a pair"
    if found[0].get("mfu") is not None:
        line += f", MFU {median(found, 'mfu'):.1%}, HFU {median(found, 'hfu'):.1%}"
    return line


if __name__ == "__main__":
    main()
