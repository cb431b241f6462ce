"""`iconoclip check`: all mistakes of all files, and nothing of torch on the way."""

import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest

from iconoclip.check import check_configs, find_configs
from iconoclip.config import Config
from iconoclip.errors import ConfigError, IconoclipError

ROOT = Path(__file__).resolve().parents[1]


class Toy(Config):
    verb: Literal["train"]
    out: Path
    steps: int = 1


def load(verb: str) -> type[Config]:
    if verb != "train":
        raise ConfigError(f"verb: {verb!r} is not read here")
    return Toy


def write(folder: Path, **texts: str) -> None:
    for name, text in texts.items():
        path = folder / f"{name.replace('__', '/')}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_mistakes_of_all_files_come_in_one_text(tmp_path: Path) -> None:
    write(
        tmp_path,
        good="verb: train\nout: x\n",
        a__bad="verb: train\nstesp: 3\nout: 5\n",
        b__broken="verb: [\n",
        c__none="out: x\n",
        d__prep="verb: prep\n",
    )
    text, ok = check_configs([tmp_path], load)
    assert not ok
    assert f"{tmp_path}/a/bad.yaml: 2 problems" in text
    assert "stesp: unknown key; did you mean 'steps'?" in text
    assert f"{tmp_path}/b/broken.yaml: " in text
    assert f"{tmp_path}/c/none.yaml: verb: got None" in text
    assert f"{tmp_path}/d/prep.yaml: verb: 'prep' is not read here" in text
    assert text.splitlines()[-1] == "1 configuration right, 4 with mistakes"


def test_abstract_files_are_checked_through_their_children_only(tmp_path: Path) -> None:
    write(tmp_path, base="abstract: true\nverb: train\nsteps: many\n", child="base: base.yaml\nout: x\n")
    text, ok = check_configs([tmp_path], load)
    assert not ok
    assert "child.yaml: 1 problem" in text
    assert text.endswith("0 configurations right, 1 with mistakes, 1 abstract (checked through those based on them)")
    write(tmp_path, child="base: base.yaml\nout: x\nsteps: 2\n")
    assert check_configs([tmp_path], load)[1]


def test_a_file_named_twice_is_checked_once(tmp_path: Path) -> None:
    write(tmp_path, a="verb: train\nout: x\n")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "b.yaml").write_text("nonsense")
    assert find_configs([tmp_path, tmp_path / "a.yaml"]) == [tmp_path / "a.yaml"]


def test_paths_that_are_none_are_named(tmp_path: Path) -> None:
    with pytest.raises(IconoclipError, match="nowhere: not there"):
        check_configs([tmp_path / "nowhere"], load)
    with pytest.raises(IconoclipError, match="no YAML file there"):
        check_configs([tmp_path], load)


def test_all_configurations_of_the_project_are_right_and_no_torch_is_loaded() -> None:
    code = (
        "import sys; sys.argv = ['iconoclip', 'check', 'configs', 'iconoclip/demo']\n"
        "from iconoclip.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: code = end.code\n"
        "heavy = {'torch', 'open_clip', 'datasets', 'transformers', 'pandas', 'sklearn'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 with mistakes" in done.stdout
