"""Open a benchmark wherever it is: a YAML file, a folder in a layout that speaks for itself, or the Hub."""

import re
from pathlib import Path

from iconoclip.errors import EvaluationError

from .benchmark_files import FILE_NAME, BenchmarkFile, home_of
from .benchmark_wds import COUNT, describe_wds, is_wds

_HUB = re.compile(r"^https://huggingface\.co/datasets/([^/]+/[^/]+?)(?:/(?:tree|resolve)/([^/]+))?/?$")
_SHORT = re.compile(r"^hf-hub:([^/@]+/[^/@]+?)(?:@(.+))?$")


def open_benchmark(source: str | Path, *, root: Path | None = None) -> tuple[BenchmarkFile, Path]:
    """The benchmark and the folder of its data; ``root`` overrides the one in the file.

    Raises:
        EvaluationError: nothing is there that can be read as a benchmark.
        ConfigError: the YAML has mistakes.
    """
    address = _HUB.match(str(source)) or _SHORT.match(str(source))
    path = _fetch(address[1], address[2] or "main") if address else Path(source)
    if path.is_file():
        file = BenchmarkFile.load(path)
        return file, root or home_of(path, file)
    if not path.is_dir():
        raise EvaluationError(
            f"{source}: not there; give a YAML of `iconoclip benchmark new`, a folder, or a Hub address"
        )
    if (path / FILE_NAME).is_file():
        file = BenchmarkFile.load(path / FILE_NAME)
        return file, root or home_of(path / FILE_NAME, file)
    if is_wds(path):
        name = address[1].rpartition("/")[2] if address else path.resolve().name
        return describe_wds(path, re.sub(r"[^a-z0-9]+", "_", name.casefold()).strip("_") or "benchmark"), root or path
    raise EvaluationError(
        f"{source}: neither {FILE_NAME} nor test/{COUNT} in it; write one: iconoclip benchmark new {source}"
    )


def hub_name(source: str) -> str:
    """``ORG/NAME`` of a data set's address on the Hub; ``""`` for anything else."""
    address = _HUB.match(source) or _SHORT.match(source)
    return address[1] if address else ""


def _fetch(repository: str, revision: str) -> Path:
    """Folder with a snapshot of a data set of the Hub, in the user's cache."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repository, repo_type="dataset", revision=revision))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        first = (str(error).splitlines() or ["no answer"])[0]
        raise EvaluationError(
            f"hf-hub:{repository}@{revision}: {first}; is there a network, and is the name right?"
        ) from None
