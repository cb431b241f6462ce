"""What is wrong with a benchmark is said before anybody is judged by it; the commands do what they say."""

from pathlib import Path

import pytest
from PIL import Image, ImageOps
from typer.testing import CliRunner

from eval.benchmark_files import write_table
from eval.benchmark_validate import validate_benchmark
from eval.export import export_benchmark
from iconoclip.cli import app
from iconoclip.errors import EvaluationError

HEAD = """verb: benchmark
name: prints
title: Prints
description: Some prints
licence: CC0 1.0
citation: a museum
rights_class: open
table: items.csv
"""
CLASSES = """task: classification
columns: {label: label, work: work, split: split}
classes:
  ship: {en: a ship}
  lion: {en: a lion}
templates: {en: ["{}"]}
"""


@pytest.fixture
def write(tmp_path: Path, make_jpeg):
    """``write(rows, text)`` writes items.csv and benchmark.yaml beside 80 pictures; returns the YAML."""
    from test_data_prep_dedup import scene

    for number in range(80):
        scene(number).save(tmp_path / f"{number}.jpg", quality=90)

    def make(rows, text=CLASSES, columns=("image", "label", "work", "split")) -> Path:
        write_table(tmp_path / "items.csv", columns, rows)
        (tmp_path / "benchmark.yaml").write_text(HEAD + text, encoding="utf-8")
        return tmp_path / "benchmark.yaml"

    return make


def _rows(number: int = 60) -> list[tuple[str, str, str, str]]:
    return [(f"{i}.jpg", ("ship", "lion")[i % 2], f"w{i}", "test" if i < 50 else "train") for i in range(number)]


def _mistakes(path: Path) -> str:
    verdict = validate_benchmark(path)
    assert not verdict.is_right
    return "\n".join(finding.text for finding in verdict.findings if finding.kind == "mistake")


def test_a_good_benchmark_has_no_mistakes_and_says_what_it_can_show(write):
    verdict = validate_benchmark(write(_rows()))
    assert verdict.is_right, verdict.to_text()
    text = verdict.to_text()
    assert "prints: classification, 60 items, 50 tested, of 50 works" in text
    assert "2 classes, asked in en; chance 1 in 2" in text
    assert "told apart from 17.7 points on" in text  # 2.80 sqrt(0.2 / 50)
    assert "no mistakes, 0 warnings" in text


def test_classes_and_labels_that_do_not_fit_are_named(write):
    rows = [*_rows(), ("60.jpg", "unicorn", "w60", "test"), ("61.jpg", "", "w61", "test")]
    text = _mistakes(write(rows, CLASSES.replace("  lion", "  eagle: {en: an eagle}\n  lion")))
    assert "1 labels are no class: unicorn" in text
    assert "1 classes without a picture in test; remove them: eagle" in text
    assert "1 items without a label; label them or take them out: items.csv, row 63" in text
    twins = CLASSES.replace("a lion", "A  ship")
    assert "ship, lion have the same text 'a ship'; no model can tell them apart" in _mistakes(write(_rows(), twins))


def test_broken_and_missing_pictures_are_named(write, tmp_path: Path):
    path = write(_rows())
    (tmp_path / "7.jpg").write_bytes((tmp_path / "7.jpg").read_bytes()[:900])
    (tmp_path / "8.jpg").unlink()
    text = _mistakes(path)
    assert "2 pictures cannot be decoded: items.csv, row 9: image file is truncated" in text
    assert "row 10: not there" in text


def test_leaks_between_splits_are_found_by_content(write, tmp_path: Path):
    path = write(_rows())
    (tmp_path / "55.jpg").write_bytes((tmp_path / "3.jpg").read_bytes())
    ImageOps.expand(Image.open(tmp_path / "4.jpg"), border=8, fill=(250, 250, 250)).save(tmp_path / "56.jpg")
    Image.open(tmp_path / "5.jpg").resize((120, 90)).save(tmp_path / "6.jpg")
    verdict = validate_benchmark(path)
    text = verdict.to_text()
    assert "2 pictures are the same, or nearly, in the tested split and in another" in text
    assert "items.csv, row 5 = items.csv, row 57" in text
    assert "items.csv, row 6 = items.csv, row 58" in text
    assert "warning: 1 pairs of the same picture, or nearly, are no common work" in text
    rows = [(name, label, "w3" if name == "55.jpg" else work, split) for name, label, work, split in _rows()]
    assert "1 works have pictures in the tested split and in another: w3" in _mistakes(write(rows))


def test_what_weakens_a_benchmark_is_a_warning(write):
    text = CLASSES.replace("a ship", '"a ship {sic}"')
    path = write([(f"{i}.jpg", ("ship", "lion")[i == 0], f"w{i}", "test") for i in range(20)], text)
    path.write_text(path.read_text().replace("licence: CC0 1.0\n", "").replace("rights_class: open\n", ""))
    verdict = validate_benchmark(path)
    assert verdict.is_right, verdict.to_text()
    found = verdict.to_text()
    for expected in (
        "licence: empty", "rights_class: unknown", "20 pictures of 20 works; a score needs at least 30",
        "1 classes with fewer than 10 works", "braces in the text of ship",
    ):  # fmt: skip
        assert expected in found


def test_captions_are_looked_at(write):
    text = "task: retrieval\ncolumns: {captions: {caption: en}}\n"
    rows = [(f"{i}.jpg", "the same" if i < 20 else f"caption {i}" if i < 39 else "") for i in range(40)]
    verdict = validate_benchmark(write(rows, text, ("image", "caption")))
    assert verdict.is_right, verdict.to_text()
    assert "1 pictures without a caption stay as wrong answers" in verdict.to_text()
    assert "the caption 'the same' stands at 20 pictures" in verdict.to_text()
    assert "no item has a caption" in _mistakes(write([("0.jpg", "")], text, ("image", "caption")))
    told = "task: retrieval\ncolumns: {captions: {caption: ''}, language: lang}\n"
    odd = write([("0.jpg", "Een schip", "nl; Latin"), ("1.jpg", "Ships", "en-GB")], told, ("image", "caption", "lang"))
    assert "'nl; Latin' is no code of a language such as en or fr" in validate_benchmark(odd).to_text()


def test_the_commands_go_from_a_folder_to_other_programs(write, tmp_path: Path):
    run = CliRunner().invoke
    write(_rows()).unlink()
    made = run(app, ["benchmark", "new", str(tmp_path)])
    assert made.exit_code == 0, made.output
    path = tmp_path / "benchmark.yaml"
    checked = run(app, ["benchmark", "validate", str(path)])
    assert checked.exit_code == 0, checked.output
    assert "no mistakes" in checked.output
    assert run(app, ["check", str(path)]).exit_code == 0
    for to in ("clip_benchmark", "hf"):
        out = run(app, ["benchmark", "export", str(path), "--to", to, "--out", str(tmp_path / to)])
        assert out.exit_code == 0, out.output
        assert "test: 50" in out.output
        assert "rights_class unknown, licence not stated: may these pictures be passed on?" in out.output
    (tmp_path / "1.jpg").write_bytes(b"broken")
    assert run(app, ["benchmark", "validate", str(path)]).exit_code == 2
    with pytest.raises(EvaluationError, match="write one of clip_benchmark, hf"):
        export_benchmark(path, to="mteb", out=tmp_path / "x")
