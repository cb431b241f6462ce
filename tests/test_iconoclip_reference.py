"""docs/reference.md lists every key of every kind of configuration, as the classes have them."""

import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from iconoclip import plugins
from iconoclip.cli import _config_class
from iconoclip.config import Verb
from iconoclip.reference import describe_keys

DOCUMENT = Path(__file__).parent.parent / "docs" / "reference.md"


@pytest.mark.parametrize("verb", get_args(Verb))
def test_the_document_holds_what_the_classes_say(verb: str) -> None:
    text = describe_keys(_config_class(verb), f"`verb: {verb}`")
    command = f"iconoclip check --keys {verb}"
    assert text in DOCUMENT.read_text(encoding="utf-8"), f"renew its part: {command}"


def test_every_link_leads_to_one_heading() -> None:
    sections: dict[str, set[str]] = {}
    for section in re.split(r"^#+ ", DOCUMENT.read_text(encoding="utf-8"), flags=re.M):
        heading, _, text = section.partition("\n")
        sections.setdefault(re.sub(r"[^a-z0-9 _-]", "", heading.lower()).replace(" ", "-"), set()).add(text.strip())
    links = set(re.findall(r"\]\(#([^)]*)\)", DOCUMENT.read_text(encoding="utf-8")))
    assert links
    assert {link for link in links if len(sections.get(link, ())) != 1} == set()


@pytest.mark.parametrize("package", ["data_prep.sources", "data_prep.filters", "train.losses", "eval.benchmarks"])
def test_every_plugin_has_its_keys(package: str) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    kinds = [kind for kind in plugins.names(package) if f"`kind: {kind}`" not in text]
    assert kinds == [kind for kind in kinds if kind == "web"]  # what web sources have in common


def test_the_command_prints_the_keys_of_a_verb() -> None:
    command = [sys.executable, "-m", "iconoclip.cli", "check", "--keys", "train"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "| `micro_batch` |" in done.stdout
    wrong = subprocess.run([*command[:-1], "trian"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2
    assert "write one of prep, train, eval, benchmark" in wrong.stderr
