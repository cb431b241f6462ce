"""Publish a trained model: a folder that open_clip opens, with card, results, run and attribution, checked by loading.

``publish_run(Path("runs/demo/train"), to="published/armorial", results=[], yes=False)``. ``to`` is a folder or
``hf-hub:ORG/NAME``; nothing is pushed without ``yes``. The folder appears only after it was loaded back with plain
open_clip and gave the same token ids and embeddings as the checkpoint.
"""

import json
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import yaml

from . import models
from .attribution import ATTRIBUTION_NAME, read_attribution, read_trained
from .card import merge_cards, write_card
from .card_results import EVAL_RESULTS_FOLDER, eval_results, main_rows
from .errors import IconoclipError, ModelError
from .files import sha256_file, write_json, write_text
from .load_back import check_published
from .run_facts import HUB_PREFIX, card_facts, read_evaluations, read_results, read_run, without_folders

log = logging.getLogger(__name__)

CARD_NAME = "README.md"

_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")


def publish_run(run: Path, *, to: str, results: Sequence[Path], yes: bool) -> str:
    """Write and check the folder of a run or checkpoint; push it to the Hub if ``to`` names a repository and ``yes``.

    Without ``results`` the folder ``eval`` beside the run is looked at. Returns what to print.

    Raises:
        IconoclipError: something is missing, the target is not ours to overwrite, or the check fails.
    """
    if to.startswith(HUB_PREFIX):
        return _publish_to_hub(run, to.removeprefix(HUB_PREFIX), results=results, yes=yes)
    target = Path(to.removeprefix("local-dir:"))
    _refuse_foreign(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    with _temporary_folder(target.parent, prefix=f".{target.name}.") as folder:
        name, old_card = target.resolve().name, _read_text(target / CARD_NAME)
        said = _build(run, folder, identifier=f"local-dir:{name}", title=name, results=results, old=old_card)
        _swap(folder, target)
    return f"{said}\nwrote {target}:\n{_list_files(target)}\nopen it with open_clip as local-dir:{target}"


def _publish_to_hub(run: Path, repository: str, *, results: Sequence[Path], yes: bool) -> str:
    from huggingface_hub import constants, get_token

    if not _REPOSITORY.fullmatch(repository):
        raise IconoclipError(f"hf-hub:{repository}: expected hf-hub:ORG/NAME")
    if yes and constants.is_offline_mode():
        raise IconoclipError("HF_HUB_OFFLINE is set, so nothing can be pushed; unset it, or publish to a folder")
    if yes and not get_token():
        raise IconoclipError("no Hub token; set HF_TOKEN to one that may write, or run `hf auth login`")
    with _temporary_folder(None, prefix="iconoclip-publish-") as folder:
        old_card = _hub_card(repository) if yes else ""
        title = repository.partition("/")[2]
        said = _build(run, folder, identifier=f"{HUB_PREFIX}{repository}", title=title, results=results, old=old_card)
        files = _list_files(folder)
        if not yes:
            return f"{said}\nwould push to {repository}:\n{files}\nnothing was pushed; add --yes to do it"
        revision = _push(folder, repository)
        return f"{said}\npushed to {repository}:\n{files}\nrevision {revision}, downloaded again and equal"


def _build(run: Path, folder: Path, *, identifier: str, title: str, results: Sequence[Path], old: str) -> str:
    """Write all files of a published model into ``folder`` and check them; returns a line to print."""
    run_folder, checkpoint = _locate(run)
    facts = read_run(run_folder)
    trained = read_trained(facts, where=str(run_folder / "run.json"))
    attribution = read_attribution(trained)
    model = models.load(str(checkpoint))
    rows = read_results(results, run_folder, weights_sha256=model.weights_sha256)
    _write_model(model, folder, identifier=identifier, title=title)
    difference = check_published(folder, model)
    card = card_facts(facts, model, identifier=identifier, title=title, trained=trained, rows=rows)
    own = [{**row, "model": title} for row in card.results]
    write_text(folder / ATTRIBUTION_NAME, attribution)
    write_text(folder / "results.jsonl", "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in own))
    for name, entries in eval_results(own, read_evaluations(results, run_folder)).items():
        write_text(folder / EVAL_RESULTS_FOLDER / name, yaml.safe_dump(entries, sort_keys=False, allow_unicode=True))
    write_json(folder / "run.json", without_folders(facts))
    write_text(folder / CARD_NAME, merge_cards(old, write_card(card)))
    quoted = f"{len(main_rows(own)):,} results quoted" if own else "no results quoted: give them with --results"
    return f"loaded back with open_clip: token ids equal, embeddings differ by at most {difference:.1e}; {quoted}"


def _locate(run: Path) -> tuple[Path, Path]:
    """Return the run folder and the checkpoint folder that ``run`` means."""
    if (run / "fold-0").is_dir():
        raise IconoclipError(f"{run}: holds one run per fold; publish one of them, such as {run / 'fold-0'}")
    for checkpoint in (run, run / "best", run / "latest"):
        if (checkpoint / models.CONFIG_NAME).is_file() and (checkpoint / models.WEIGHTS_NAME).is_file():
            break
    else:
        raise ModelError(
            f"{run}: no finished checkpoint there; give the `out` of a training, or one of its checkpoints"
        )
    checkpoint = checkpoint.resolve()
    for folder in (run, *checkpoint.parents[:2]):
        if (folder / "run.json").is_file():
            return folder, checkpoint
    raise IconoclipError(
        f"{run}: no run.json there or two folders above; only what `iconoclip train` made is published"
    )


def _write_model(model: models.Model, folder: Path, *, identifier: str, title: str) -> None:
    """Save the model; names of text tower and tokenizer must mean something on other machines."""
    models.save(model, folder)
    path = folder / models.CONFIG_NAME
    config = json.loads(path.read_text(encoding="utf-8"))
    text_cfg = config["model_cfg"]["text_cfg"]
    tower = text_cfg.get("hf_model_name")
    if tower and not _is_hub_name(tower):
        raise ModelError(
            f"{path.name}: hf_model_name is {tower!r}, a path of this machine; write the tower's Hub id there"
        )
    if text_cfg.get("hf_tokenizer_name"):
        # open_clip takes the tokenizer of a Hub model from the repository named here: it must be the model's own.
        if identifier.startswith(HUB_PREFIX):
            text_cfg["hf_tokenizer_name"] = identifier.removeprefix(HUB_PREFIX)
        elif not _is_hub_name(text_cfg["hf_tokenizer_name"]):
            text_cfg["hf_tokenizer_name"] = title
    write_json(path, config)


def _is_hub_name(name: str) -> bool:
    return bool(re.fullmatch(r"[\w-][\w.-]*(/[\w.-]+)?", name)) and not Path(name).exists()


def _refuse_foreign(target: Path) -> None:
    """Only a folder that a publish wrote may be replaced."""
    if target.is_dir() and any(target.iterdir()) and not (target / ATTRIBUTION_NAME).is_file():
        raise IconoclipError(f"{target}: holds other files; give a new folder, or one that `publish` wrote")
    if target.exists() and not target.is_dir():
        raise IconoclipError(f"{target}: is a file; give a folder")


@contextmanager
def _temporary_folder(parent: Path | None, *, prefix: str) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix=prefix, suffix=".tmp", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _swap(folder: Path, target: Path) -> None:
    """Put ``folder`` in the place of ``target``, which may exist."""
    folder.chmod(0o755)  # mkdtemp made it for its owner only
    old = target.with_name(f".{target.name}.{os.getpid()}.old")
    if target.exists():
        target.replace(old)
    folder.replace(target)
    shutil.rmtree(old, ignore_errors=True)


def _list_files(folder: Path) -> str:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return "\n".join(f"  {path.stat().st_size:>13,} B  {path.relative_to(folder)}" for path in files)


def _read_text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _hub_card(repository: str) -> str:
    """Card that is on the Hub now, so that what people added to it is kept; ``""`` if there is none."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError, RepositoryNotFoundError

    try:
        with _temporary_folder(None, prefix="iconoclip-card-") as folder:
            return _read_text(Path(hf_hub_download(repository, CARD_NAME, local_dir=folder)))
    except LocalEntryNotFoundError:  # a kind of EntryNotFoundError, but it means that the Hub did not answer
        raise IconoclipError(f"hf-hub:{repository}: the Hub does not answer; is there a network?") from None
    except (EntryNotFoundError, RepositoryNotFoundError):
        return ""
    except (_http_error(), OSError) as error:
        raise IconoclipError(f"hf-hub:{repository}: {_first_line(error)}; is there a network?") from None


def _push(folder: Path, repository: str) -> str:
    """Upload, download again and compare every file; returns the revision."""
    from huggingface_hub import HfApi, snapshot_download

    api = HfApi()
    try:
        api.create_repo(repository, exist_ok=True)
        log.info("pushing %s files to %s", sum(path.is_file() for path in folder.rglob("*")), repository)
        commit = api.upload_folder(repo_id=repository, folder_path=folder, commit_message="Publish with iconoclip")
        revision = str(commit.oid)
        with _temporary_folder(None, prefix="iconoclip-verify-") as again:
            snapshot_download(repository, revision=revision, local_dir=again)
            _compare_files(folder, again, repository)
    except (_http_error(), OSError, ValueError) as error:
        reason = _first_line(error)
        raise IconoclipError(f"hf-hub:{repository}: {reason}; is there a network, and may this token write?") from None
    return revision


def _compare_files(folder: Path, again: Path, repository: str) -> None:
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_file() and (not (again / name).is_file() or sha256_file(again / name) != sha256_file(path)):
            raise IconoclipError(
                f"hf-hub:{repository}: {name} came back missing or different; push again before you use it"
            )


def _http_error() -> type[Exception]:
    """Base of the Hub client's network errors: httpx in one version of it, httpx2 in the next."""
    from huggingface_hub import errors

    return errors.HfHubHTTPError.__bases__[0]


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
