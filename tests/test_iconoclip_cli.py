"""The command line: exit codes, one-line errors, and a `--help` that loads next to nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from iconoclip import __version__, cli
from iconoclip.errors import IconoclipError

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = (
    "demo",
    "prep",
    "inspect",
    "train",
    "verify-resume",
    "eval",
    "report",
    "apply",
    "publish",
    "check",
    "doctor",
)


def iconoclip(*arguments: object, cwd: Path = ROOT, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "iconoclip.cli", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, cwd=cwd, check=False, env={**os.environ, "COLUMNS": "200", **env}
    )


def test_help_names_every_command_and_loads_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['iconoclip', '--help']\n"
        "from iconoclip.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        "heavy = {'torch', 'open_clip', 'datasets', 'numpy', 'pyarrow', 'pydantic', 'yaml', 'PIL'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for command in COMMANDS:
        assert f" {command} " in done.stdout
    assert "Exit codes: 0 done, 2 something you can mend, 1 a bug of ours." in done.stdout


def test_version_is_printed() -> None:
    assert iconoclip("--version").stdout.strip() == f"iconoclip {__version__}"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("train", "nowhere.yaml"), "error: nowhere.yaml: No such file"),
        (("check", "nowhere"), "error: nowhere: not there"),
        (("publish", "nowhere", "--to", "x"), "error: nowhere: no finished checkpoint"),
        (("inspect", "nowhere"), "error: nowhere"),
    ],
)
def test_what_a_user_can_mend_is_one_line_and_exit_2(arguments: tuple[str, ...], said: str, tmp_path: Path) -> None:
    done = iconoclip(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert done.stderr.startswith(said)


@pytest.mark.parametrize("arguments", [("trian",), ("train",), ("publish", "x"), ("demo", "--sede", "1")])
def test_wrong_usage_is_exit_2(arguments: tuple[str, ...]) -> None:
    done = iconoclip(*arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_a_bug_of_ours_shows_its_traceback_and_exits_1(tmp_path: Path) -> None:
    code = (
        "from iconoclip import cli, doctor\n"
        "import sys; sys.argv = ['iconoclip', 'doctor']\n"
        "doctor.examine = lambda: 1 / 0\n"
        "cli.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 1
    assert done.stderr.rstrip().endswith("ZeroDivisionError: division by zero")


def test_a_failed_check_exits_2(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("verb: train\n")
    done = iconoclip("check", "a.yaml", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout.startswith("a.yaml: ")


def test_ctrl_c_is_one_line_and_exit_130(tmp_path: Path) -> None:
    code = (
        "from iconoclip import cli, doctor\n"
        "import os, signal, sys; sys.argv = ['iconoclip', 'doctor']\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's background job ignores it
        "doctor.examine = lambda: os.kill(os.getpid(), signal.SIGINT)\n"
        "cli.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 130
    assert done.stderr.strip() == "stopped; run the same command again to go on"


def test_a_foreign_train_py_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("raise SystemExit('the wrong train')")
    done = iconoclip("--version", cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert done.returncode == 2
    assert "the name 'train' is taken by" in done.stderr
    assert "run from another folder" in done.stderr


def test_a_train_py_in_the_working_folder_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("raise SystemExit('the wrong train')")
    script = Path(sys.executable).with_name("iconoclip")
    done = subprocess.run([script, "--version"], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.stdout.strip() == f"iconoclip {__version__}", done.stderr


def test_the_verbs_run_as_modules_too() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "train", "nowhere.yaml"], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert (done.returncode, done.stderr.splitlines()[:1]) == (
        2,
        ["error: nowhere.yaml: No such file or directory; is the path right?"],
    )


def test_no_command_has_more_than_four_flags() -> None:
    group = typer.main.get_command(cli.app)
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        flags = [parameter for parameter in command.params if parameter.param_type_name == "option"]
        assert len(flags) <= 4, name
        assert command.help, name


def test_errors_of_ours_are_one_family() -> None:
    from iconoclip import errors

    for value in vars(errors).values():
        if isinstance(value, type):
            assert issubclass(value, IconoclipError)
