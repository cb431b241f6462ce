"""Say what is there and what is missing on this machine, and how to mend it: ``iconoclip doctor``.

Secrets are reported as set or not set, never by value. Only what nothing can work without makes the verdict bad.
"""

import importlib
import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

OUR_NAMES = ("data_prep", "train", "eval")

_MIN_FREE_GB = 5
_MIN_FREE_INODES = 10_000
_GB = 1e9


@dataclass(frozen=True)
class Finding:
    """One line of the verdict: ``bad`` is essential and missing, ``note`` can wait; ``mend`` says what to do."""

    name: str
    state: Literal["ok", "note", "bad"]
    text: str
    mend: str = ""


def examine() -> tuple[str, bool]:
    """Return the findings as text, and whether everything essential is there."""
    checks: tuple[Callable[[], Iterator[Finding]], ...] = (
        _python, _torch, _packages, _machine, _slurm, _tracking, _hub, _energy, _names,
    )  # fmt: skip
    findings = [finding for check in checks for finding in check()]
    width = max(len(finding.name) for finding in findings)
    marks = {"ok": "ok", "note": "--", "bad": "!!"}
    lines = []
    for finding in findings:
        lines.append(f"{marks[finding.state]}  {finding.name:<{width}}  {finding.text}")
        if finding.mend:
            lines.append(f"{'':<{width + 6}}-> {finding.mend}")
    num_bad = sum(finding.state == "bad" for finding in findings)
    verdict = "everything essential is there" if not num_bad else f"{num_bad} essential missing, marked !!"
    return "\n".join([*lines, verdict]), not num_bad


def foreign_names() -> dict[str, str]:
    """Our top-level packages that another file of the same name hides, with that file.

    ``train`` and ``eval`` are common names: a folder on ``PYTHONPATH`` or a ``train.py`` beside a script takes them.
    """
    home = Path(__file__).resolve().parents[1]
    found = {}
    for name in OUR_NAMES:
        spec = importlib.util.find_spec(name)
        if spec and spec.origin and home not in Path(spec.origin).resolve().parents:
            found[name] = spec.origin
    return found


def _python() -> Iterator[Finding]:
    text = f"{platform.python_version()} in {sys.prefix}, {platform.system()} {platform.machine()}"
    yield Finding("python", "ok", text)


def _torch() -> Iterator[Finding]:
    try:
        import torch
    except (ImportError, OSError) as error:
        yield Finding("torch", "bad", _first_line(error), "`make demo` installs it; TORCH=... takes another build")
        return
    build = "ROCm" if torch.version.hip else f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPU only"
    yield Finding("torch", "ok", f"{torch.__version__} ({build})")
    yield from _devices(torch)
    yield from _communication(torch)
    try:
        import torchvision  # noqa: F401 - a build that does not fit torch fails right here
    except (ImportError, OSError, RuntimeError) as error:
        mend = "install the torchvision that belongs to this torch, from the same index"
        yield Finding("torchvision", "bad", _first_line(error), mend)


def _devices(torch: Any) -> Iterator[Finding]:
    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            free, total = torch.cuda.mem_get_info(number)
            name = torch.cuda.get_device_name(number)
            yield Finding(f"device {number}", "ok", f"{name}, {free / _GB:.0f} of {total / _GB:.0f} GB free")
        bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
        text = "bf16 and fp32" if bf16 else "fp32; no bf16 on this device"
        yield Finding("precision", "ok" if bf16 else "note", text, "" if bf16 else "set precision=fp32")
        return
    accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    if accelerator is not None:
        yield Finding("device", "ok", f"{accelerator.type}, {torch.accelerator.device_count()} of them")
        yield Finding("precision", "ok", "fp32; bf16 as far as the device has it")
        return
    driver = shutil.which("nvidia-smi") or shutil.which("rocm-smi")
    mend = (
        "a GPU driver is there but this torch does not see it: install the build for it (TORCH=...)" if driver else ""
    )
    yield Finding("device", "note", "no accelerator: training runs on the CPU, for tiny models", mend)
    fast = any(flag in _read("/proc/cpuinfo") for flag in ("avx512_bf16", "amx_bf16", " bf16"))
    yield Finding("precision", "ok", "fp32; bf16 in hardware" if fast else "fp32 (bf16 works but is slower here)")


def _communication(torch: Any) -> Iterator[Finding]:
    if not torch.distributed.is_available():
        yield Finding("distributed", "note", "this torch has no torch.distributed", "one process only")
        return
    backends = [
        name for name in ("nccl", "gloo", "mpi", "xccl") if getattr(torch.distributed, f"is_{name}_available")()
    ]
    needs_nccl = torch.cuda.is_available() and "nccl" not in backends
    mend = "several GPUs need NCCL (RCCL on ROCm): install torch's build with it" if needs_nccl else ""
    yield Finding("distributed", "note" if needs_nccl else "ok", ", ".join(backends) or "no backend", mend)


def _packages() -> Iterator[Finding]:
    for package, module in (
        ("open_clip_torch", "open_clip"),
        ("accelerate", "accelerate"),
        ("transformers", "transformers"),
        ("datasets", "datasets"),
        ("webdataset", "webdataset"),
        ("pyarrow", "pyarrow"),
    ):
        try:
            importlib.import_module(module)
            yield Finding(package, "ok", version(package))
        except (ImportError, OSError, RuntimeError) as error:
            yield Finding(package, "bad", _first_line(error), "pip install -c constraints.txt -e .")


def _machine() -> Iterator[Finding]:
    from .workers import num_cores

    cores = num_cores()
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GB
    limit = _read("/sys/fs/cgroup/memory.max").strip()
    if limit.isdigit():
        memory_gb = min(memory_gb, int(limit) / _GB)
    yield Finding("cpu", "ok", f"{cores} cores for this process, {memory_gb:.0f} GB of memory")
    free_gb = shutil.disk_usage(".").free / _GB
    few = free_gb < _MIN_FREE_GB
    mend = "set `out` to a larger disk" if few else ""
    yield Finding("disk", "note" if few else "ok", f"{free_gb:,.0f} GB free in {Path.cwd()}", mend)
    inodes = os.statvfs(".").f_favail
    if 0 < inodes < _MIN_FREE_INODES:  # 0: a file system without a count of its own
        yield Finding("files", "note", f"{inodes:,} more files fit here", "shards need few; caches need many")


def _slurm() -> Iterator[Finding]:
    job = os.environ.get("SLURM_JOB_ID")
    if job:
        nodes, tasks = os.environ.get("SLURM_JOB_NUM_NODES", "1"), os.environ.get("SLURM_NTASKS", "1")
        yield Finding("slurm", "ok", f"inside job {job}: nodes {nodes}, tasks {tasks}")
    elif shutil.which("sbatch") and shutil.which("srun"):
        yield Finding("slurm", "ok", "sbatch and srun are there; not inside a job")
    else:
        yield Finding("slurm", "note", "no sbatch or srun here", "only needed on a cluster; on its login node?")


def _tracking() -> Iterator[Finding]:
    found = _version("wandb")
    if not found:
        yield Finding("wandb", "note", "not installed", "only needed for `log.wandb`; pip install wandb")
        return
    has_key = bool(os.environ.get("WANDB_API_KEY")) or "api.wandb.ai" in _read(Path.home() / ".netrc")
    mode = os.environ.get("WANDB_MODE", "")
    text = f"{found}, key {'set' if has_key else 'not set'}{f', WANDB_MODE={mode}' if mode else ''}"
    offline = has_key or mode in ("offline", "disabled")
    mend = "" if offline else "WANDB_MODE=offline works without a key; metrics.jsonl is written always"
    yield Finding("wandb", "ok" if offline else "note", text, mend)


def _hub() -> Iterator[Finding]:
    from huggingface_hub import constants, get_token

    has_token = bool(get_token())
    mend = "" if has_token else "only needed to publish and for gated models: set HF_TOKEN, or run `hf auth login`"
    yield Finding("hub token", "ok" if has_token else "note", "set" if has_token else "not set", mend)
    cache = Path(constants.HF_HUB_CACHE)
    num_models = len(list(cache.glob("models--*")))
    offline = ", offline" if constants.is_offline_mode() else ""
    yield Finding("hub cache", "ok", f"{cache}: {num_models} models{offline}; HF_HOME moves it")


def _energy() -> Iterator[Finding]:
    found = _version("codecarbon")
    counters = sorted(Path("/sys/class/powercap").glob("intel-rapl:*/energy_uj"))
    readable = any(os.access(counter, os.R_OK) for counter in counters)
    how = "CPU energy is measured (RAPL)" if readable else "CPU energy is estimated (no readable RAPL counter)"
    if found:
        yield Finding("codecarbon", "ok", f"{found}; {how}")
    else:
        yield Finding("codecarbon", "note", "not installed", "energy is not recorded; pip install codecarbon")


def _names() -> Iterator[Finding]:
    taken = foreign_names()
    for name, origin in taken.items():
        yield Finding("names", "bad", f"{name!r} is taken by {origin}", "run from another folder, or rename that file")
    if not taken:
        yield Finding("names", "ok", f"{', '.join(OUR_NAMES)} are ours")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _read(path: str | Path) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
