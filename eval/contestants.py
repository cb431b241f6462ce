"""The models of an evaluation: a model, a run, or a cross-fitted folder of runs, and what their weights have seen."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from iconoclip.errors import EvaluationError
from iconoclip.files import sha256_json

from .config import ContestantConfig, slug
from .contestant_training import run_home, training_facts
from .data import EvalData

if TYPE_CHECKING:
    from iconoclip.models import Model

History = Literal["random", "trained_from_random", "pretrained"]


@dataclass
class Contestant:
    """One model of the evaluation; loads weights when they are needed and keeps the last ones.

    ``runs`` maps a fold to the model string of the run that left it out; None is the one asked where no fold matters.
    ``trained_on`` identifies the shard sets that its runs were trained on: configuration hashes and resolved paths.
    ``training`` says how its weights came about (:func:`eval.contestant_training.training_facts`), None for weights
    that none of our runs made.
    """

    config: ContestantConfig
    runs: dict[int | None, str]
    history: History
    trained_on: frozenset[str] = frozenset()
    seed: int = 0
    training: dict[str, Any] | None = None
    _loaded: dict[str, "Model"] = field(default_factory=dict, repr=False)
    _sha256: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def label(self) -> str:
        """What tables call it."""
        return self.config.shown

    @property
    def slug(self) -> str:
        """Its name in file names."""
        return slug(self.label)

    def why_not_fold(self, fold: int | None, data: EvalData) -> str:
        """Why it cannot be tested on pictures of a fold; ``""`` where it can."""
        names = {str(data.root.resolve()), data.manifest.config_sha256}
        if fold is None or fold in self.runs or not names & self.trained_on:
            return ""
        return f"trained on these pictures; train with `fold: all` and name the folder that holds fold-{fold}"

    def run_of(self, fold: int | None) -> str:
        """Model string that is asked about pictures held out in ``fold``."""
        return self.runs.get(fold, self.runs[None])

    def model(self, fold: int | None) -> "Model":
        """Weights of the run that left ``fold`` out."""
        from iconoclip import models

        name = self.run_of(fold)
        if name not in self._loaded:
            self._loaded.clear()
            self._loaded[name] = models.load(name, weights=self.config.weights, seed=self.seed)
            self._sha256[name] = self._loaded[name].weights_sha256
        return self._loaded[name]

    def weights_sha256(self, folds: list[int | None]) -> str:
        """Hash of the weights that were asked; over several runs the hash of their hashes."""
        names = list(dict.fromkeys(self.run_of(fold) for fold in folds))
        hashes = []
        for name, fold in ((name, next(f for f in folds if self.run_of(f) == name)) for name in names):
            if name not in self._sha256:
                self.model(fold)
            hashes.append(self._sha256[name])
        return hashes[0] if len(hashes) == 1 else sha256_json(hashes)

    def facts(self) -> dict[str, Any]:
        """For ``run.json``."""
        runs = {"any" if fold is None else f"fold-{fold}": name for fold, name in self.runs.items()}
        facts = {"label": self.label, "slug": self.slug, "history": self.history, "runs": runs}
        return facts | {"training": self.training}


def open_contestant(config: ContestantConfig, *, seed: int = 0) -> Contestant:
    """Look at what a model string names; loads no weights.

    Raises:
        EvaluationError: a cross-fitted folder lacks a finished run.
    """
    folder = Path(config.name)
    fold_folders = sorted(folder.glob("fold-*"), key=lambda path: int(path.name[5:]) if path.name[5:].isdigit() else -1)
    if fold_folders:
        runs: dict[int | None, str] = {int(path.name[5:]): str(path) for path in fold_folders}
        missing = [path.name for path in fold_folders if not (path / "latest").exists()]
        if missing or sorted(fold for fold in runs if fold is not None) != list(range(len(runs))):
            lacks = ", ".join(missing) or f"a fold between {fold_folders[0].name} and {fold_folders[-1].name}"
            raise EvaluationError(f"{folder}: {lacks} has no checkpoint; run the training command again to finish it")
        described = [_describe(path) for path in fold_folders]
        runs[None] = runs[0]
    else:
        if not config.weights and ":" not in config.name and not folder.exists():
            raise EvaluationError(f"{config.name}: not there; has `iconoclip train` finished, and is the path right?")
        fold_folders, described = [folder], [_describe(folder)]
        fold = (described[0] or {}).get("fold")
        runs = {None: config.name} | ({fold: config.name} if isinstance(fold, int) else {})
    known = [facts for facts in described if facts]
    return Contestant(
        config=config,
        runs=runs,
        history=_history(config, known[0] if known else None),
        trained_on=frozenset(name for facts in known for name in facts["shards"]),
        seed=seed,
        training=training_facts([home for path in fold_folders if (home := run_home(path)) is not None]),
    )


def _history(config: ContestantConfig, facts: dict[str, Any] | None) -> History:
    weights = config.weights or config.name.rpartition(":")[2]
    if weights == "random":
        return "random"
    if facts is None:
        return "pretrained"
    start = ContestantConfig(name=facts["model"]["name"], weights=facts["model"].get("weights"))
    return "pretrained" if _history(start, _describe(Path(start.name))) == "pretrained" else "trained_from_random"


def _describe(folder: Path) -> dict[str, Any] | None:
    """What the run that made this folder says of itself: start model, shards, fold; None for other models."""
    home = run_home(folder)
    if home is None:
        return None
    path = home / "run.json"
    try:
        run = json.loads(path.read_text(encoding="utf-8"))
        config = run["config"]
        if config.get("verb") != "train":
            return None
        model = config["model"] if isinstance(config["model"], dict) else {"name": config["model"]}
        shards = [str(Path(source["path"]).resolve()) for source in config["data"]]
        shards += [source["config_sha256"] for source in run.get("data") or () if source.get("config_sha256")]
        return {"model": model, "shards": shards, "fold": config.get("fold")}
    except (ValueError, KeyError, TypeError) as error:
        raise EvaluationError(f"{path}: not the run.json of a training run ({error!r})") from None
