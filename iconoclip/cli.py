"""The command line: every subcommand, with heavy imports inside the functions; nobody imports this file.

Exit codes: 0 done, 2 something the user can mend (one line on stderr), 1 a bug of ours (with its traceback).
"""

import json
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import __version__, log
from .errors import ConfigError, IconoclipError
from .process import End, large_imports

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

benchmark_app = typer.Typer(no_args_is_help=True, help="Make, check and pass on a benchmark of your own pictures.")
app.add_typer(benchmark_app, name="benchmark")

ConfigPath = Annotated[Path, typer.Argument(help="YAML file, or the run.json of a run to repeat.")]
Overrides = Annotated[list[str] | None, typer.Argument(metavar="[KEY.SUB=VALUE]...", show_default=False)]


def main() -> None:
    """Run the command line; errors of ours become one line on stderr and exit code 2."""
    end = End()
    try:
        _refuse_foreign_names()
        log.setup()
        app()
    except IconoclipError as error:
        print(f"error: {error}", file=sys.stderr)
        end.with_code(2)
        sys.exit(2)
    except SystemExit as stop:
        if stop.code == _INTERRUPTED:  # typer turns Ctrl-C into this exit without a word
            print("stopped; run the same command again to go on", file=sys.stderr)
        if isinstance(stop.code, int | None):
            end.with_code(stop.code or 0)
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
    with large_imports():
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
    update: Annotated[bool, typer.Option("--update", help="Ask web collections for what has changed.")] = False,
    withdraw: Annotated[
        list[str] | None,
        typer.Option(
            "--withdraw", metavar="ID", help="Take a record (id or key) down from the finished set; repeatable."
        ),
    ] = None,
) -> None:
    """Turn collections into rights-clear, documented shards."""
    with large_imports():
        from data_prep.config import PrepConfig
        from data_prep.fetch.store import forget_bodies
        from data_prep.pipeline import run_prep
        from data_prep.withdraw import withdraw as take_down

    if withdraw:
        if limit is not None or dry_run or update:
            raise IconoclipError("--withdraw changes a finished set and nothing else; leave the other flags out")
        settings = PrepConfig.load(config, overrides or ())
        taken = take_down(settings, withdraw)
        num_forgotten = forget_bodies(settings.store_folder, taken.sha256s)
        print(taken.to_text())
        if num_forgotten:
            print(f"{num_forgotten} of its files are gone from {settings.store_folder} too")
        return
    summary = run_prep(PrepConfig.load(config, overrides or ()), limit=limit, dry_run=dry_run, update=update)
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
def train(
    config: ConfigPath,
    overrides: Overrides = None,
    stage: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Only fetch the model into DIR, for nodes without a network.")
    ] = None,
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Only time 20 steps: node-hours, kWh and bytes of the whole run.")
    ] = False,
) -> None:
    """Fine-tune a model on shards; the same command again goes on from the last checkpoint."""
    if stage is None:
        from train.stop import hold_signals

        hold_signals()  # a stop asked for during the seconds of importing waits for the first step
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # or a lost connection prints its C++ stack over our line
    from train.config import TrainConfig

    if stage is not None and estimate:
        raise IconoclipError("--stage and --estimate are two commands; give one of them")
    wanted = TrainConfig.load(config, overrides or ())
    if stage is not None:
        from train.stage import stage as fetch

        print(fetch(wanted, stage))
    elif estimate:
        from train.estimate import estimate_run

        print(estimate_run(wanted), end="")  # the same in every process, said by the first
    else:
        with large_imports():
            from train.loop import run_training

        run_training(wanted)


@app.command("verify-resume")
def verify(config: ConfigPath, overrides: Overrides = None) -> None:
    """Train a few steps twice, killed once in between, and say whether samples and weights agree to the last bit."""
    from train.config import TrainConfig
    from train.verify import verify_resume

    said, agree = verify_resume(TrainConfig.load(config, overrides or ()))
    print(said, end="")
    if not agree:
        raise typer.Exit(2)


@app.command("eval")
def evaluate(config: ConfigPath, overrides: Overrides = None) -> None:
    """Evaluate models on benchmarks: results.jsonl, per-sample scores and report.html."""
    with large_imports():
        from eval.config import EvalConfig
        from eval.run import run_evaluation

    print(run_evaluation(EvalConfig.load(config, overrides or ())))


@app.command()
def report(
    results: Annotated[list[Path], typer.Argument(help="Folders that `iconoclip eval` wrote.")],
    out: Annotated[Path, typer.Option(help="File to write: .html, .md, .tex, or .yaml for model cards.")] = Path(
        "report.html"
    ),
    language: Annotated[str, typer.Option(help="Language of the report: en or fr.")] = "en",
) -> None:
    """Make one report of one or several results."""
    from eval.report import write_report

    print(f"wrote {write_report(results, out, language=language)}")


@app.command()
def apply(
    model: Annotated[str, typer.Argument(help="Run folder, local-dir:DIR, hf-hub:ORG/NAME or NAME:PRETRAINED.")],
    pictures: Annotated[Path, typer.Argument(help="Folder of pictures (no metadata needed) or shards.")],
    k: Annotated[int, typer.Argument(metavar="[K]", help="How many pictures a query shows.")] = 24,
    labels: Annotated[
        Path | None,
        typer.Option(help="Text file, one label a line: label every picture. With --min-precision: results."),
    ] = None,
    query: Annotated[str | None, typer.Option(help="Find the pictures that fit this text best.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for the CSV and the contact sheet.")] = Path("runs/apply"),
    min_precision: Annotated[
        float | None, typer.Option(help="Label only what is right in this share, as certified in --labels RESULTS.")
    ] = None,
) -> None:
    """Label pictures, or find the ones that fit a text."""
    with large_imports():
        from eval.apply import apply_model

    print(apply_model(model, pictures, labels=labels, query=query, out=out, k=k, min_precision=min_precision))


@app.command()
def judge(
    results: Annotated[Path, typer.Argument(help="Folder that `iconoclip eval` wrote.")],
    more_sheets: Annotated[list[Path] | None, typer.Argument(metavar="[SHEET]...", show_default=False)] = None,
    number: Annotated[int, typer.Option("--n", "-n", help="How many pairs to draw.")] = 200,
    seed: Annotated[int, typer.Option(help="Seed of the draw and of the order.")] = 0,
    sheets: Annotated[
        list[Path] | None, typer.Option("--sheets", metavar="SHEET", help="Filled sheets of one or two experts.")
    ] = None,
) -> None:
    """Write a blind sheet for experts, or take filled ones back: agreement, precision, a benchmark."""
    from eval.judge import make_sheet, take_back

    filled = [*(sheets or ()), *(more_sheets or ())]  # `--sheets a.xlsx b.xlsx`: an option takes one value each
    if more_sheets and not sheets:
        raise IconoclipError(f"{more_sheets[0]}: name filled sheets behind --sheets")
    print(take_back(results, filled) if filled else make_sheet(results, number=number, seed=seed))


@benchmark_app.command("new")
def benchmark_new(
    source: Annotated[
        Path, typer.Argument(help="Folder of pictures (one folder a class), or a table that names them.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="YAML to write; default: benchmark.yaml beside the pictures.")
    ] = None,
    task: Annotated[str | None, typer.Option(help="classification, multilabel or retrieval, if not as seen.")] = None,
    language: Annotated[str, typer.Option(help="Language of labels and captions where nothing says another.")] = "en",
) -> None:
    """Write the YAML of a benchmark from a folder with labels or captions."""
    from eval.benchmark_new import new_benchmark

    print(new_benchmark(source, out=out, task=task, language=language))


@benchmark_app.command("validate")
def benchmark_validate(
    source: Annotated[
        str, typer.Argument(help="YAML of `benchmark new`, a folder in CLIP_benchmark's layout, or a Hub URL.")
    ],
) -> None:
    """Say what is wrong with a benchmark: classes, pictures, prompts, leaks between splits."""
    from eval.benchmark_validate import validate_benchmark

    verdict = validate_benchmark(source)
    print(verdict.to_text())
    if not verdict.is_right:
        raise typer.Exit(2)


@benchmark_app.command("export")
def benchmark_export(
    source: Annotated[str, typer.Argument(help="YAML of `benchmark new`, or what `validate` takes.")],
    to: Annotated[str, typer.Option(help="clip_benchmark or hf.")],
    out: Annotated[Path, typer.Option(help="Folder to write; must not be there or be empty.")],
) -> None:
    """Write a benchmark so that clip_benchmark or `datasets` read it."""
    from eval.export import export_benchmark

    print(export_benchmark(source, to=to, out=out))


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
def check(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="YAML files, or folders of them.", show_default=False)
    ] = None,
    keys: Annotated[
        str | None,
        typer.Option(metavar="VERB", help="Instead, list every key of a prep, train, eval or benchmark file."),
    ] = None,
) -> None:
    """Validate configurations; needs no GPU and no data."""
    if keys is not None:
        from .reference import describe_keys

        print(describe_keys(_config_class(keys), f"`verb: {keys}`"), end="")
        return
    if not paths:
        raise IconoclipError("nothing to check: name YAML files or folders, or --keys prep")
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
    if verb == "benchmark":
        from eval.benchmark_files import BenchmarkFile

        return BenchmarkFile
    raise ConfigError(f"verb: no command reads {verb!r} files; write one of prep, train, eval, benchmark")


def _refuse_foreign_names() -> None:
    """`train` and `eval` are common names: stop when another file of that name would be imported."""
    from .doctor import foreign_names

    for name, origin in foreign_names().items():
        raise IconoclipError(f"the name {name!r} is taken by {origin}; run from another folder, or rename that file")


if __name__ == "__main__":
    main()
