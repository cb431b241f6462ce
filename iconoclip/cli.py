"""The command line: every subcommand, with heavy imports inside the functions; nobody imports this file.

Exit codes: 0 done, 2 something the user can mend (one line on stderr), 1 a bug of ours (with its traceback).
"""

import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import __version__, log
from .errors import ConfigError, IconoclipError

if TYPE_CHECKING:
    from .config import Config

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Heritage collections to shards, shards to a CLIP model, a model to results one can trust.",
    epilog="Exit codes: 0 done, 2 something you can mend, 1 a bug of ours.",
)

_INTERRUPTED = 130

ConfigPath = Annotated[Path, typer.Argument(help="YAML file, or the run.json of a run to repeat.")]
Overrides = Annotated[list[str] | None, typer.Argument(metavar="[KEY.SUB=VALUE]...", show_default=False)]


def main() -> None:
    """Run the command line; errors of ours become one line on stderr and exit code 2."""
    try:
        _refuse_foreign_names()
        log.setup()
        app()
    except IconoclipError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except SystemExit as stop:
        if stop.code == _INTERRUPTED:  # typer turns Ctrl-C into this exit without a word
            print("stopped; run the same command again to go on", file=sys.stderr)
        raise


@app.callback(invoke_without_command=True)
def version(show: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """Heritage collections to shards, shards to a CLIP model, a model to results one can trust."""
    if show:
        print(f"iconoclip {__version__}")
        raise typer.Exit


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for everything the demo makes.")] = Path("runs/demo"),
    seed: Annotated[int, typer.Option(help="Seed of the weights and of the order of the data.")] = 0,
) -> None:
    """Run the whole road on a collection the project draws itself: prep, train, eval, report."""
    from data_prep.config import PrepConfig
    from data_prep.pipeline import run_prep
    from eval.config import EvalConfig
    from eval.run import run_evaluation
    from train.config import TrainConfig
    from train.loop import run_training

    here = Path(__file__).parent / "demo"
    shards, run, results = out / "shards", out / "train", out / "eval"
    print(f"1/3 prep: drawing a collection of shields into {shards}")
    print(run_prep(PrepConfig.load(here / "prep.yaml", [f"out={shards}"])).to_text())
    print(f"2/3 train: a small model from random weights into {run}")
    overrides = [f"out={run}", f"data={shards}", f"validation.path={shards}", f"seed={seed}"]
    run_training(TrainConfig.load(here / "train.yaml", overrides))
    if json.loads((run / "run.json").read_text(encoding="utf-8"))["status"] != "finished":
        raise typer.Exit(_INTERRUPTED)  # a signal ended the training with a checkpoint
    print("3/3 eval: untrained against trained on shields it has never seen")
    overrides = [f"out={results}", f"shards={shards}", f"models.1.name={run}"]
    print(run_evaluation(EvalConfig.load(here / "eval.yaml", overrides)))
    shutil.copyfile(results / "report.html", out / "report.html")
    print(f"shards   {shards}\nmodel    {run / 'latest'}\nresults  {results}\nreport   {out / 'report.html'}")


@app.command()
def prep(
    config: ConfigPath,
    overrides: Overrides = None,
    limit: Annotated[int | None, typer.Option(help="Look at the first N records of each collection only.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show counts, rights and captions; write nothing.")
    ] = False,
) -> None:
    """Turn collections into rights-clear, documented shards."""
    from data_prep.config import PrepConfig
    from data_prep.pipeline import run_prep

    summary = run_prep(PrepConfig.load(config, overrides or ()), limit=limit, dry_run=dry_run)
    print(summary.to_text())


@app.command()
def inspect(
    shards: Annotated[Path, typer.Argument(help="Folder of a shard set, a folder of tars, or one tar.")],
    html: Annotated[Path | None, typer.Option(help="Write a contact sheet to this file.")] = None,
) -> None:
    """Count what is in shards by institution, language, century, rights; draw a contact sheet."""
    from data_prep.inspect import inspect_shards

    print(inspect_shards(shards, html=html))


@app.command()
def train(config: ConfigPath, overrides: Overrides = None) -> None:
    """Fine-tune a model on shards; the same command again goes on from the last checkpoint."""
    from train.config import TrainConfig
    from train.loop import run_training

    run_training(TrainConfig.load(config, overrides or ()))


@app.command("eval")
def evaluate(config: ConfigPath, overrides: Overrides = None) -> None:
    """Evaluate models on benchmarks: results.jsonl, per-sample scores and report.html."""
    from eval.config import EvalConfig
    from eval.run import run_evaluation

    print(run_evaluation(EvalConfig.load(config, overrides or ())))


@app.command()
def report(
    results: Annotated[list[Path], typer.Argument(help="Folders that `iconoclip eval` wrote.")],
    out: Annotated[Path, typer.Option(help="File to write: .html, .md or .tex.")] = Path("report.html"),
) -> None:
    """Make one report of one or several results."""
    from eval.report import write_report

    print(f"wrote {write_report(results, out)}")


@app.command()
def apply(
    model: Annotated[str, typer.Argument(help="Run folder, local-dir:DIR, hf-hub:ORG/NAME or NAME:PRETRAINED.")],
    pictures: Annotated[Path, typer.Argument(help="Folder of pictures (no metadata needed) or shards.")],
    labels: Annotated[Path | None, typer.Option(help="Text file, one label a line: label every picture.")] = None,
    query: Annotated[str | None, typer.Option(help="Find the pictures that fit this text best.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for the CSV and the contact sheet.")] = Path("runs/apply"),
    k: Annotated[int, typer.Option("-k", help="How many pictures a query shows.")] = 24,
) -> None:
    """Label pictures, or find the ones that fit a text."""
    from eval.apply import apply_model

    print(apply_model(model, pictures, labels=labels, query=query, out=out, k=k))


@app.command()
def publish(
    run: Annotated[Path, typer.Argument(help="Run folder or one of its checkpoints.")],
    to: Annotated[str, typer.Option(help="Folder, or hf-hub:ORG/NAME.")],
    results: Annotated[list[Path] | None, typer.Option(help="Results to quote in the card.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Really push to the Hub.")] = False,
) -> None:
    """Write a model folder that open_clip opens, with card, results and attribution."""
    from .hub import publish_run

    print(publish_run(run, to=to, results=results or [], yes=yes))


@app.command()
def check(paths: Annotated[list[Path], typer.Argument(help="YAML files, or folders of them.")]) -> None:
    """Validate configurations; needs no GPU and no data."""
    from .check import check_configs

    text, ok = check_configs(paths, _config_class)
    print(text)
    if not ok:
        raise typer.Exit(2)


@app.command()
def doctor() -> None:
    """Say what is there and what is missing on this machine, and how to mend it."""
    from .doctor import examine

    text, ok = examine()
    print(text)
    if not ok:
        raise typer.Exit(2)


def _config_class(verb: str) -> "type[Config]":
    """Class that a configuration of this verb must fit; importing it loads neither torch nor open_clip."""
    if verb == "prep":
        from data_prep.config import PrepConfig

        return PrepConfig
    if verb == "train":
        from train.config import TrainConfig

        return TrainConfig
    if verb == "eval":
        from eval.config import EvalConfig

        return EvalConfig
    raise ConfigError(f"verb: no command reads {verb!r} files yet; write one of prep, train, eval")


def _refuse_foreign_names() -> None:
    """`train` and `eval` are common names: stop when another file of that name would be imported."""
    from .doctor import foreign_names

    for name, origin in foreign_names().items():
        raise IconoclipError(f"the name {name!r} is taken by {origin}; run from another folder, or rename that file")


if __name__ == "__main__":
    main()
