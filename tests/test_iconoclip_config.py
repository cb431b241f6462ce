"""Configuration: what YAML says is what is meant, and every mistake of a file comes in one message."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BeforeValidator, Field

from iconoclip import config as configuration
from iconoclip.config import Config, parse_value, read_data
from iconoclip.errors import ConfigError
from train.config import TrainConfig


class Optim(Config):
    lr: float = Field(gt=0)
    betas: tuple[float, float] = (0.9, 0.98)


class Model(Config):
    name: str
    weights: str | None = None


class Run(Config):
    verb: Literal["train"]
    out: Path
    optim: Optim
    model: Annotated[Model, BeforeValidator(lambda v: {"name": v} if isinstance(v, str) else v)] = Model(name="tiny")
    languages: list[str] = []
    epochs: int = 1


GOOD = "verb: train\nout: runs/x\noptim: {lr: 1e-4}\n"


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "text",
    ["71E11", "73D6", "no", "yes", "on", "off", "00123", "0x1F", "0o17", "012", "1:30", "1888-05-01", "1888-05",
     "True", "NULL", ".inf", ".nan", "1_000", "1e", "e5", "11H(JEROME)", "25F23(LION)", "= x", "<<", "12e", "+"],
)  # fmt: skip
def test_notations_dates_languages_and_identifiers_stay_strings(text: str) -> None:
    assert parse_value(text) == text
    assert type(parse_value(text)) is str


@pytest.mark.parametrize(
    ("text", "want"),
    [("1e-4", 1e-4), ("1e5", 1e5), ("1E-4", 1e-4), ("1E+4", 1e4), ("0.5", 0.5), (".5", 0.5), ("5.", 5.0), ("-0", 0),
     ("1.5E11", 1.5e11), ("-3", -3), ("+7", 7), ("0", 0), ("true", True), ("false", False), ("null", None), ("~", None),
     ("", None), ("[a, 1]", ["a", 1]), ("'5'", "5"), ("{a: 71E11}", {"a": "71E11"})],
)  # fmt: skip
def test_numbers_booleans_and_null_are_read_as_yaml_1_2_says(text: str, want: object) -> None:
    assert parse_value(text) == want
    assert type(parse_value(text)) is type(want)


@given(st.integers(), st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_as_python_writes_them_are_numbers(whole: int, real: float) -> None:
    assert parse_value(str(whole)) == whole
    assert parse_value(repr(real)) == real


def test_all_mistakes_of_a_file_come_in_one_message(tmp_path: Path) -> None:
    path = write(tmp_path / "bad.yaml", "verb: trian\noptim: {lr: -1, beta: [1]}\nepochs: many\nlanguages: [1888]\n")
    with pytest.raises(ConfigError) as caught:
        Run.load(path)
    text = str(caught.value)
    assert text.splitlines()[0] == f"{path}: 6 problems"
    for said in (
        "verb: Input should be 'train' (got 'trian')",
        "out: Field required",
        "optim.lr: Input should be greater than 0 (got -1)",
        "optim.beta: unknown key; did you mean 'betas'?",
        "epochs: Input should be a valid integer",
        "languages.0: Input should be a valid string; put it in quotes (got 1888)",
    ):
        assert f"\n  {said}" in text, said


def test_long_values_are_cut_in_messages(tmp_path: Path) -> None:
    path = write(tmp_path / "bad.yaml", f"{GOOD}epochs: {'x' * 5000}\n")
    with pytest.raises(ConfigError) as caught:
        Run.load(path)
    assert len(str(caught.value)) < 400


def test_base_is_merged_deeply_and_found_from_the_file_s_own_folder(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    write(tmp_path / "base.yaml", f"abstract: true\n{GOOD}languages: [en]\n")
    path = write(tmp_path / "sub" / "child.yaml", "base: ../base.yaml\noptim: {betas: [0.8, 0.9]}\nlanguages: [nl]\n")
    run = Run.load(path)
    assert run.optim == Optim(lr=1e-4, betas=(0.8, 0.9))
    assert run.languages == ["nl"]
    assert configuration.is_abstract(tmp_path / "base.yaml")
    assert not configuration.is_abstract(path)
    assert configuration.verb_of(path) == "train"


def test_base_in_a_circle_is_an_error(tmp_path: Path) -> None:
    write(tmp_path / "a.yaml", "base: b.yaml\n")
    write(tmp_path / "b.yaml", "base: a.yaml\n")
    with pytest.raises(ConfigError, match="circle"):
        read_data(tmp_path / "a.yaml")
    with pytest.raises(ConfigError, match="circle"):
        read_data(write(tmp_path / "c.yaml", "base: c.yaml\n"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\na: 2\n", "key given twice: a"),
        ("x: {b: 1, b: 2}\n", "key given twice: b"),
        ("- a\n", "expected keys and values, got list"),
        ("a: [1\n", "expected"),
        ("a: !!python/object:os.system {}\n", "could not determine a constructor"),
        ("base: 5\n", "base: expected a path"),
        ("base: nowhere.yaml\n", "is the path right"),
        ("a: b: c\n", "mapping values are not allowed"),
        ("? [a, b]\n: 1\n", "key"),
    ],
)
def test_broken_files_are_named(text: str, said: str, tmp_path: Path) -> None:
    path = write(tmp_path / "bad.yaml", text)
    with pytest.raises(ConfigError, match=said) as caught:
        Run.load(path)
    assert str(tmp_path) in str(caught.value)
    assert len(str(caught.value).splitlines()) <= 9


def test_files_that_are_none_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is the path right"):
        Run.load(tmp_path / "nowhere.yaml")
    with pytest.raises(ConfigError, match=str(tmp_path)):
        Run.load(tmp_path)
    (tmp_path / "picture.yaml").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(ConfigError, match="not UTF-8"):
        Run.load(tmp_path / "picture.yaml")
    with pytest.raises(ConfigError, match=r"not a run\.json"):
        Run.load(write(tmp_path / "run.json", '{"a": 1}'))
    with pytest.raises(ConfigError, match="3 problems"):
        Run.load(write(tmp_path / "empty.yaml", ""))


@pytest.mark.parametrize(
    ("override", "field", "want"),
    [
        ("epochs=3", "epochs", 3),
        ("optim.lr=5e-5", "optim", Optim(lr=5e-5)),
        ("languages.0=fr", "languages", ["fr", "nl"]),
        ("languages.2=no", "languages", ["en", "nl", "no"]),
        ("languages=[de]", "languages", ["de"]),
        ("out=runs/a=b", "out", Path("runs/a=b")),
        ("model=hf-hub:org/name", "model", Model(name="hf-hub:org/name")),
    ],
)
def test_overrides_reach_fields_sections_and_lists(override: str, field: str, want: object, tmp_path: Path) -> None:
    path = write(tmp_path / "good.yaml", f"{GOOD}languages: [en, nl]\n")
    assert getattr(Run.load(path, [override]), field) == want


def test_an_override_can_write_out_a_shorthand(tmp_path: Path) -> None:
    path = write(tmp_path / "good.yaml", f"{GOOD}model: tiny\n")
    assert Run.load(path, ["model.name=big", "model.weights=x"]).model == Model(name="big", weights="x")


def test_an_override_of_a_part_keeps_the_shorthand_s_meaning(tmp_path: Path) -> None:
    path = write(tmp_path / "good.yaml", f"{GOOD}model: tiny\n")
    with pytest.raises(ConfigError, match=r"model\.name: Field required"):
        Run.load(path, ["model.weights=random"])


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("epochs", "expected key.sub=value"),
        ("=3", "expected key.sub=value"),
        ("languages.5=fr", "'5' is not a position from 0 to 1"),
        ("languages.x=fr", "'x' is not a position"),
        ("epochs.deep=1", "epochs is 1, which has no 'deep'"),
        ("optim.lr=[", "value '\\['"),
        ("optm.lr=1", "optm: unknown key; did you mean 'optim'"),
        ("a..b=1", "expected key.sub=value"),
    ],
)
def test_wrong_overrides_are_named(override: str, said: str, tmp_path: Path) -> None:
    path = write(tmp_path / "good.yaml", f"{GOOD}languages: [en]\nepochs: 1\n")
    with pytest.raises(ConfigError, match=said):
        Run.load(path, [override])


def test_run_json_repeats_the_run(tmp_path: Path) -> None:
    run = Run.load(write(tmp_path / "good.yaml", GOOD), ["languages=[no, '1888-05-01']", "optim.lr=3e-07"])
    (tmp_path / "run.json").write_text(json.dumps({"config": run.to_json(), "started": "2026"}))
    assert Run.load(tmp_path / "run.json") == run


def test_configurations_are_frozen(tmp_path: Path) -> None:
    run = Run.load(write(tmp_path / "good.yaml", GOOD))
    with pytest.raises(ValueError, match="frozen"):
        run.epochs = 2  # type: ignore[misc]


def test_a_file_without_a_verb_is_told_what_to_write(tmp_path: Path) -> None:
    for text in ("out: x\n", "verb: trian\n", "verb: [train]\n"):
        with pytest.raises(ConfigError, match="write one of prep, train, eval, benchmark"):
            configuration.verb_of(write(tmp_path / "a.yaml", text))


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.text(st.characters(codec="utf-8", exclude_categories=("C", "Zl", "Zp"))),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1), inner, max_size=3),
    )
)
def test_json_values_survive_the_loader(value: Any) -> None:
    assert parse_value(json.dumps(value, ensure_ascii=False)) == value


def test_a_file_of_another_command_is_said_in_one_line(tmp_path: Path) -> None:
    class TrainFile(Config):
        verb: Literal["train"]
        data: str

    path = tmp_path / "a.yaml"
    path.write_text("verb: prep\nname: x\ncollections: {}\n")
    with pytest.raises(ConfigError, match=r"a file for `iconoclip prep`, not for `iconoclip train`") as caught:
        TrainFile.load(path)
    assert "\n" not in str(caught.value)


def test_a_base_that_is_started_itself_says_that_it_is_one(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("verb: train\nabstract: true\n")
    with pytest.raises(ConfigError, match=r"base\.yaml: a base for others \(`abstract: true`\), start one of those"):
        TrainConfig.load(tmp_path / "base.yaml")
