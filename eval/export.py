"""Pass a benchmark on: write it in the layout of another program."""

from collections.abc import Callable
from pathlib import Path

from iconoclip.errors import EvaluationError

from .benchmark_files import BenchmarkFile
from .benchmark_open import open_benchmark
from .benchmark_read import Items, read_items


def export_benchmark(source: str | Path, *, to: str, out: Path) -> str:
    """Write ``out`` as ``to`` (``clip_benchmark`` or ``hf``) reads it; return what was written.

    Raises:
        EvaluationError: an unknown layout, nothing to export, or a folder that is not empty.
    """
    if to not in _WRITERS:
        raise EvaluationError(f"--to {to}: write one of {', '.join(_WRITERS)}")
    file, home = open_benchmark(source)
    written = _WRITERS[to](file, read_items(file, home), out)
    if file.rights_class in ("restricted", "unknown") or not file.licence:
        licence = file.licence or "not stated"
        written += f"\nrights_class {file.rights_class}, licence {licence}: may these pictures be passed on?"
    return written


def _to_clip_benchmark(file: BenchmarkFile, items: Items, out: Path) -> str:
    from .export_clip_benchmark import export_clip_benchmark

    written = export_clip_benchmark(file, items, out)
    lines = [
        f"{split}: {count:,} pictures in {written.shards[split]} shards" for split, count in written.samples.items()
    ]
    lines += [f"left out, {why}: {count:,}" for why, count in written.left_out.items()]
    return "\n".join([*lines, f"wrote {out}; its README.md has the commands for clip_benchmark"])


def _to_hf(file: BenchmarkFile, items: Items, out: Path) -> str:
    from .export_hf import export_hf

    lines = [f"{split}: {count:,} rows" for split, count in export_hf(file, items, out).items()]
    return "\n".join([*lines, f"wrote {out}; read it with datasets.load_dataset({str(out)!r})"])


_WRITERS: dict[str, Callable[[BenchmarkFile, Items, Path], str]] = {"clip_benchmark": _to_clip_benchmark, "hf": _to_hf}
