"""Write down what a run is before it starts: resolved configuration, versions, hashes, one owner per folder."""

import fcntl
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from . import __version__
from .config import Config
from .errors import IconoclipError, InUseError
from .files import make_folder, sha256_json, write_json

_PACKAGES = (
    "torch", "open_clip_torch", "accelerate", "transformers", "datasets", "webdataset", "numpy", "pillow",
)  # fmt: skip


def utc_now() -> str:
    """Time now, UTC, to the second, as ISO 8601."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def software() -> dict[str, str]:
    """Versions of what shapes results; a package that is not installed is left out."""
    found = {"iconoclip": __version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def git_revision() -> str:
    """Commit of this software with ``+dirty`` when changed; ``""`` outside a checkout."""
    try:
        here = Path(__file__).parent
        head = _git(here, "rev-parse", "HEAD")
        return head + ("+dirty" if _git(here, "status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.CalledProcessError):
        return ""


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def describe_run(config: Config, **facts: Any) -> dict[str, Any]:
    """Content of ``run.json``: ``config`` (load it again to repeat the run), its hash, versions and ``facts``."""
    resolved = config.to_json()
    return {
        "config": resolved,
        "config_sha256": sha256_json(resolved),
        "command": " ".join(Path(part).name if i == 0 else part for i, part in enumerate(sys.argv)),
        "software": software(),
        "git_revision": git_revision(),
        "platform": platform.platform(),
        "started": utc_now(),
        **facts,
    }


def write_run(out: Path, run: dict[str, Any]) -> None:
    """Write ``out/run.json`` atomically."""
    write_json(out / "run.json", run)


@contextmanager
def lock_folder(out: Path) -> Iterator[None]:
    """Hold ``out`` for this process; a second run in the same folder is an error, not a mixture.

    Raises:
        InUseError: another process is writing there.
        IconoclipError: the folder cannot be written.
    """
    make_folder(out)
    try:
        file = (out / ".lock").open("w")
    except OSError as error:
        raise IconoclipError(f"{out}: cannot be written ({error.strerror}); choose another folder") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InUseError(f"{out}: another run is writing there; wait for it or give another `out`") from None
        yield
