"""Open a Hugging Face dataset as a stream: of the Hub at a commit, a folder, or files; pictures stay encoded.

`datasets` is imported here, inside functions, for it takes half a second. Code of a dataset is never run
(``trust_remote_code`` does not exist any more), and a picture is opened only in the dataset's own files.
"""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iconoclip.errors import SourceError
from iconoclip.files import sha256_json
from iconoclip.records import RejectReason

from .fetch.pictures import is_web_address
from .fetch.redaction import redact
from .hf_rows import skip_rows
from .local_files import MAX_PICTURE_BYTES
from .sources.base import PictureError

if TYPE_CHECKING:
    from datasets import IterableDataset

log = logging.getLogger(__name__)

_BUILDERS = {
    ".parquet": "parquet", ".tar": "webdataset", ".jsonl": "json", ".ndjson": "json", ".json": "json", ".csv": "csv",
    ".tsv": "csv", ".arrow": "arrow",
}  # fmt: skip


class HubStream:
    """The rows of one split; ``root`` is where local paths start."""

    def __init__(self, path: str, root: Path, *, name: str, split: str, revision: str) -> None:
        """Open it.

        Raises:
            SourceError: there is no such dataset, configuration or split, or the Hub cannot be reached.
        """
        self._path, self._is_hub = path, bool(revision)
        self._folder = (root / path).resolve()
        if self._folder.is_file():
            self._folder = self._folder.parent
        with _Explained(path, is_hub=self._is_hub):
            dataset = _load(path, name, split, revision) if self._is_hub else _load_local(root, path, name, split)
            self._features = dict(dataset.features or {})
            self._dataset = dataset.decode(False) if self._features else dataset
        self._is_inferred = _is_inferred(dataset)

    @property
    def columns(self) -> list[str]:
        """Names of the columns; empty where the files do not say them."""
        return list(self._features)

    def rows(self, state: Mapping[str, Any], num_read: int) -> Iterator[dict[str, Any]]:
        """Rows behind the first ``num_read``, labels by their names.

        Raises:
            SourceError: the stream breaks off; what came is kept.
        """
        if self._is_inferred and not num_read:
            log.warning(
                "%s: its columns are guessed from the first rows; what first stands in a later one is left out "
                "(declare `features` in the dataset's card)", self._path,
            )  # fmt: skip
        with _Explained(self._path, is_hub=self._is_hub, num_read=num_read) as explained:
            rows = self._start(state, num_read)
            try:
                for row in rows:
                    explained.num_read += 1
                    yield {name: _named(value, self._features.get(name)) for name, value in row.items()}
            finally:
                rows.close()

    def state(self) -> dict[str, Any]:
        """Where the stream stands, and of which version of `datasets` that is."""
        from datasets import __version__

        return {"datasets": __version__, "position": self._dataset.state_dict()}

    def open_picture(self, value: Mapping[str, Any]) -> bytes | str:
        """Bytes of a picture; the path of a file under the folder of a local dataset; a web address as it is.

        Raises:
            PictureError: the dataset names a file that is not its own, or one that cannot be read.
        """
        data, path = value.get("bytes"), str(value.get("path") or "")
        if data:
            return bytes(data)
        if not path or is_web_address(path):
            return path
        if not self._is_hub and "://" not in path:
            return self._file_beside(path)
        inner, _, outer = path.rpartition("::")
        if not self._is_own(outer):
            raise PictureError(RejectReason.IMAGE_OUTSIDE_ROOT, f"{redact(path)}: not a file of {self._path}")
        return _read_url(path if inner else outer)

    def _start(self, state: Mapping[str, Any], num_read: int) -> Any:
        """An iterator behind the first rows: by the stream's own state where the same version wrote it."""
        from datasets import __version__

        if num_read and state.get("datasets") == __version__ and state.get("position"):
            self._dataset.load_state_dict(dict(state["position"]))
            return iter(self._dataset)
        rows = iter(self._dataset)
        skip_rows(rows, num_read)
        return rows

    def _file_beside(self, path: str) -> str:
        resolved = (self._folder / path).resolve()
        if not resolved.is_relative_to(self._folder):
            raise PictureError(RejectReason.IMAGE_OUTSIDE_ROOT, f"{path}: leads out of {self._folder}")
        return resolved.relative_to(self._folder).as_posix()

    def _is_own(self, url: str) -> bool:
        if self._is_hub:
            return url.startswith((f"hf://datasets/{self._path}@", f"hf://datasets/{self._path}/"))
        return "://" not in url and Path(url).resolve().is_relative_to(self._folder)


def fingerprint_files(root: Path, path: str) -> str:
    """Hash of names, sizes and times of the files that a local path means.

    Raises:
        SourceError: there are none.
    """
    found = [each for each in _find(root, path) if each.is_file()]
    facts = [(str(each), each.stat().st_size, each.stat().st_mtime_ns) for each in sorted(found)]
    return sha256_json(facts)


def _find(root: Path, path: str) -> list[Path]:
    place = root / path
    if place.is_dir():
        found = [
            each for each in place.rglob("*") if not any(part.startswith(".") for part in each.relative_to(place).parts)
        ]
    elif any(sign in path for sign in "*?["):
        found = sorted(root.glob(path.removeprefix("./")))
    else:
        found = [place] if place.exists() else []
    if not found:
        raise SourceError(f"{place}: no file there; is `root` right?")
    return found


def _load(path: str, name: str, split: str, revision: str) -> "IterableDataset":
    from datasets import load_dataset

    return load_dataset(path, name or None, split=split, revision=revision, streaming=True)  # pyright: ignore[reportReturnType]


def _load_local(root: Path, path: str, name: str, split: str) -> "IterableDataset":
    from datasets import DatasetDict, load_dataset, load_from_disk

    place = (root / path).resolve()
    if any((place / marker).is_file() for marker in ("state.json", "dataset_dict.json")):  # of `save_to_disk`
        saved = load_from_disk(str(place))
        if isinstance(saved, DatasetDict):
            if split not in saved:
                raise SourceError(f"{place}: no split {split!r}; there are: {', '.join(map(str, saved))}")
            saved = saved[split]
        return saved.to_iterable_dataset()
    if place.is_dir():
        return load_dataset(str(place), name or None, split=split, streaming=True)  # pyright: ignore[reportReturnType]
    files = [str(each.resolve()) for each in _find(root, path)]
    builder = _BUILDERS.get(Path(files[0]).suffix.lower())
    if builder is None:
        raise SourceError(f"{files[0]}: files of datasets end in {', '.join(_BUILDERS)}; give a folder or one of these")
    return load_dataset(builder, name or None, data_files={split: files}, split=split, streaming=True)  # pyright: ignore[reportReturnType]


def _is_inferred(dataset: "IterableDataset") -> bool:
    """Whether the columns of a WebDataset are those of its first samples (`datasets` 5: of the first five)."""
    return getattr(dataset.info, "builder_name", "") == "webdataset" and not getattr(dataset.info, "splits", None)


def _named(value: Any, feature: Any) -> Any:
    """The value with the names of class labels in place of their numbers."""
    from datasets import ClassLabel

    if value is None or feature is None:
        return value
    if isinstance(feature, ClassLabel):
        return feature.int2str(value) if isinstance(value, int) and value >= 0 else None
    if isinstance(feature, Mapping):
        return {name: _named(value.get(name), inner) for name, inner in feature.items()}
    inner = feature[0] if isinstance(feature, list) else getattr(feature, "feature", None)
    if inner is not None and isinstance(value, list):
        return [_named(each, inner) for each in value]
    return value


def _read_url(url: str) -> bytes:
    import fsspec

    try:
        with fsspec.open(url, "rb") as file:
            data = file.read(MAX_PICTURE_BYTES + 1)  # type: ignore[attr-defined]
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise PictureError(RejectReason.FETCH_FAILED, f"{redact(url)}: {_first_line(error)}") from None
    if len(data) > MAX_PICTURE_BYTES:
        raise PictureError(RejectReason.IMAGE_TOO_LARGE, f"{redact(url)}: more than {MAX_PICTURE_BYTES / 1e9:.1f} GB")
    return data


class _Explained:
    """Turns what `datasets` raises into one line of ours; ``num_read`` rows are kept."""

    def __init__(self, path: str, *, is_hub: bool, num_read: int | None = None) -> None:
        self._path, self._is_hub = path, is_hub
        self._is_reading, self.num_read = num_read is not None, num_read or 0

    def __enter__(self) -> "_Explained":
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if error is None or isinstance(error, SourceError) or not isinstance(error, _failures()):
            return
        text = _first_line(error)
        if self._is_reading:
            raise SourceError(
                f"{self._path}: breaks off after {self.num_read:,} rows: {text}; these are kept: run the same command "
                "again to go on"
            ) from None
        raise SourceError(f"{self._path}: {text}; {self._advice(error, text)}") from None

    def _advice(self, error: BaseException, text: str) -> str:
        if "Available" in text:
            return "see `name` and `split`"
        if not self._is_hub:
            return "give a folder or files that `datasets` can load"
        if "script" in text:
            return "its code is not run; the Hub keeps Parquet under the revision refs/convert/parquet: give its commit"
        if isinstance(error, ConnectionError):
            return "the Hub cannot be reached; what has been read is used without it, the rest waits for the network"
        return "is `path` right? A private or gated dataset needs HF_TOKEN in the environment"


def _failures() -> tuple[type[BaseException], ...]:
    import pyarrow as pa
    from datasets.exceptions import DatasetsError
    from huggingface_hub.errors import HfHubHTTPError

    http = HfHubHTTPError.__bases__  # with the base of its HTTP library, which is another in other versions
    return (OSError, ValueError, LookupError, RuntimeError, pa.ArrowException, DatasetsError, *http)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return redact(lines[0])[:300] if lines else type(error).__name__
