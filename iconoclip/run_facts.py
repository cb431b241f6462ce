"""What ``run.json`` and ``results.jsonl`` say about a model, as its card wants it.

``ICONOCLIP_COUNTRY=FRA`` (three letters, ISO 3166) names the power grid that a run drew on; energy is turned into
emissions by codecarbon's table of that country, or by the world's average where none is named.
"""

import json
import os
import re
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .attribution import Trained, describe_collections, trained_languages
from .card import CardFacts
from .errors import IconoclipError
from .provenance import software

if TYPE_CHECKING:
    from .models import Model

HUB_PREFIX = "hf-hub:"
WORLD_G_PER_KWH = 475.0  # codecarbon's own default, the world's average of 2019 (IEA)

# An absolute path, also behind `key=` or `local-dir:`, but not the slashes of a URL.
_FOLDERS = re.compile(r"(?<![\w./~])(?<!:/)~?/(?![/\s])(?:[^\s/=,'\"]+/)*")
_MACHINE_KEYS = {"hostname", "host", "user", "cwd", "nodes", "nodelist", "pid"}
_RESULT_KEYS = {"model", "weights_sha256", "benchmark", "task", "slice", "metric", "value"}


def read_run(run_folder: Path) -> dict[str, Any]:
    """Content of ``run.json``."""
    path = run_folder / "run.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise IconoclipError(f"{path}: not JSON ({error}); restore it or train again") from None


def without_folders(value: Any) -> Any:
    """Return ``run.json`` without what tells about the machine: absolute paths keep their last part only."""
    if isinstance(value, dict):
        return {key: without_folders(part) for key, part in value.items() if key not in _MACHINE_KEYS}
    if isinstance(value, list):
        return [without_folders(part) for part in value]
    return _FOLDERS.sub("", value) if isinstance(value, str) else value


def start_model(run: dict[str, Any]) -> tuple[str, str, bool]:
    """Return the name of the model a run started from, its Hub id (or ``""``), and whether it was pretrained."""
    model = (run.get("config") or {}).get("model") or {}
    name, weights = str(model.get("name", "")), str(model.get("weights") or "")
    if name.endswith(":random") or weights == "random":
        return (name if name.endswith(":random") else f"{name}:random"), "", False
    if name.startswith(HUB_PREFIX):
        return name, name.removeprefix(HUB_PREFIX).partition("@")[0], True
    architecture, _, tag = name.partition(":")
    tag = weights or tag
    if not tag or architecture == "local-dir" or Path(tag).suffix:
        return name, "", True
    import open_clip

    known = open_clip.get_pretrained_cfg(architecture, tag) or {}
    return f"{architecture}:{tag}", str(known.get("hf_hub", "")).rstrip("/"), True


def read_results(results: Sequence[Path], run_folder: Path, *, weights_sha256: str) -> list[dict[str, Any]]:
    """Rows of these weights, and of the model they started from where the same results hold it.

    Without ``results``, those in a folder ``eval`` beside the run (of ``fold-K``: beside its parent) are taken if there
    are any.

    Raises:
        IconoclipError: results were named but hold nothing about these weights.
    """
    sources = _sources(results, run_folder)
    rows = [row for source in sources for row in _read_rows(source)]
    own = [row for row in rows if row["weights_sha256"] == weights_sha256]
    if results and not own:
        models = ", ".join(sorted({row["model"] for row in rows})) or "no model at all"
        raise IconoclipError(
            f"{', '.join(map(str, results))}: no result of these weights ({weights_sha256[:12]}); they hold {models}. "
            "Evaluate this checkpoint, or publish the one that was evaluated"
        )
    run = read_run(run_folder)
    start_name, start_sha256 = start_model(run)[0], (run.get("model") or {}).get("weights_sha256")
    return own + [
        row
        for row in rows
        if row["weights_sha256"] != weights_sha256
        and (row["weights_sha256"] == start_sha256 or row["model"] == start_name)
    ]


def read_evaluations(results: Sequence[Path], run_folder: Path) -> list[dict[str, Any]]:
    """``run.json`` of the evaluations that :func:`read_results` reads; a file of results alone has none."""
    homes = [source if source.is_dir() else source.parent for source in _sources(results, run_folder)]
    return [read_run(home) for home in homes if (home / "run.json").is_file()]


def _sources(results: Sequence[Path], run_folder: Path) -> list[Path]:
    """The results that were named, else those beside the run."""
    is_fold = run_folder.name.startswith("fold-")
    homes = [run_folder.parent, run_folder.parent.parent] if is_fold else [run_folder.parent]
    beside = [home / "eval" for home in homes if (home / "eval" / "results.jsonl").is_file()]
    return list(results) or beside[:1]


def _read_rows(source: Path) -> Iterator[dict[str, Any]]:
    path = source / "results.jsonl" if source.is_dir() else source
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            if not isinstance(row, dict) or not row.keys() >= _RESULT_KEYS:
                raise IconoclipError(f"{path}: a row is no result of `iconoclip eval`: {line[:80]}")
            yield row
    except FileNotFoundError:
        raise IconoclipError(f"{path}: not there; give the `out` of an evaluation") from None
    except ValueError as error:
        raise IconoclipError(f"{path}: no results of `iconoclip eval` ({error})") from None


def card_facts(
    run: dict[str, Any],
    model: "Model",
    *,
    identifier: str,
    title: str,
    trained: Sequence[Trained],
    rows: Sequence[dict[str, Any]],
) -> CardFacts:
    """Gather what the card says; ``rows`` are those of :func:`read_results`."""
    from .models import num_parameters

    start_name, base_model, is_pretrained = start_model(run)
    weights_sha256 = model.weights_sha256
    contacts = [str(part.manifest.config["contact"]) for part in trained if part.manifest.config.get("contact")]
    kwh = run.get("kwh")
    country, g_per_kwh = grid()
    return CardFacts(
        title=title,
        identifier=identifier,
        collections=describe_collections(trained, run),
        datasets=tuple(dict.fromkeys(part.name for part in trained)),
        languages=trained_languages(trained, run),
        num_parameters=num_parameters(model),
        image_size_px=model.image_size,
        context_length=model.context_length,
        needs_text_config=bool(model.config["model_cfg"]["text_cfg"].get("hf_model_name")),
        start_name=without_folders(start_name),
        base_model=base_model,
        is_pretrained=is_pretrained,
        samples_seen=run.get("samples_seen"),
        stopped_at=f"step {run['step']:,} of {run['total_steps']:,}" if run.get("status") == "stopped" else "",
        weights_sha256=weights_sha256,
        results=tuple(row for row in rows if row["weights_sha256"] == weights_sha256),
        start_results=tuple(row for row in rows if row["weights_sha256"] != weights_sha256),
        energy_kwh=kwh,
        emissions_g=None if kwh is None else kwh * g_per_kwh,
        energy_method=energy_method(run),
        country=country,
        g_per_kwh=g_per_kwh,
        contact=contacts[0] if contacts else "",
        software={**software(), **(run.get("software") or {})},
    )


def energy_method(run: dict[str, Any]) -> str:
    """How the energy of a run came about: measured or estimated, how much of it by which meters; "" if not known."""
    method, kwh, metered = str(run.get("energy_method") or ""), run.get("kwh") or 0.0, run.get("kwh_metered") or 0.0
    share = f"{metered / kwh:.0%} of it metered".replace("%", " %") if kwh and metered and metered < kwh else ""
    words = "; ".join(part for part in (share, str(run.get("energy_detail") or "")) if part)
    return f"{method}: {words}" if method and words else method


def grid() -> tuple[str, float]:
    """Name of the country whose power was drawn (``""`` if not said) and grams of CO2 per kWh there.

    Raises:
        IconoclipError: ``ICONOCLIP_COUNTRY`` is no code that codecarbon knows.
    """
    code = os.environ.get("ICONOCLIP_COUNTRY", "").strip().upper()
    if not code:
        return "", WORLD_G_PER_KWH
    table = json.loads(files("codecarbon").joinpath("data/private_infra/global_energy_mix.json").read_text("utf-8"))
    if code not in table:
        raise IconoclipError(f"ICONOCLIP_COUNTRY: got {code!r}; write three letters, such as FRA, DEU or NLD")
    return table[code]["country_name"], float(table[code]["carbon_intensity"])
