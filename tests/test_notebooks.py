"""Every notebook runs from its first cell to its last, on the results of a small evaluation, and says what it needs."""

import re
from pathlib import Path

import jupytext
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.py"))


@pytest.fixture
def run_notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """``run_notebook(path, SHARDS=folder)`` -> the notebook, executed in a kernel of this Python in an empty folder."""
    for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "jupyter"))

    def run(path: Path, **settings: object) -> NotebookNode:
        for name, value in settings.items():
            monkeypatch.setenv(f"NOTEBOOK_{name}", str(value))
        notebook = jupytext.read(path)
        where = {"metadata": {"path": str(tmp_path)}}
        NotebookClient(notebook, timeout=300, kernel_name="python3", resources=where).execute()
        return notebook

    return run


def shown(notebook: NotebookNode, kind: str) -> list[str]:
    """Outputs of one MIME type, or texts printed (``stdout``, ``stderr``)."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    if kind.startswith("std"):
        return [output.text for output in outputs if output.get("name") == kind]
    return [output.data[kind] for output in outputs if kind in output.get("data", {})]


def check_outputs(notebook: NotebookNode) -> None:
    """There is a plot, a table and a picture, and nothing went to stderr but the kernel's own words."""
    assert shown(notebook, "image/png"), "no plot"
    html = shown(notebook, "text/html")
    assert any("<table" in part for part in html), "no table"
    assert any("data:image/jpeg" in part for part in html), "no picture"
    assert [text for text in shown(notebook, "stderr") if "Warning" in text] == []


@pytest.mark.parametrize("name", ["look_at_shards", "search_in_languages", "error_analysis", "compare_models"])
def test_notebook_runs_and_shows_plots_tables_and_pictures(name, run_notebook, small_evaluation):
    check_outputs(
        run_notebook(
            ROOT / "notebooks" / f"{name}.py",
            SHARDS=small_evaluation / "shards",
            MODEL=small_evaluation / "other",
            RESULTS=small_evaluation / "eval",
        )
    )


def test_own_benchmark_runs_and_its_results_are_read_without_shards(
    run_notebook, small_evaluation, tmp_path, monkeypatch
):
    from eval.benchmark_validate import validate_benchmark
    from eval.report_reading import read_results
    from eval.report_verdict import losses

    path, out = ROOT / "notebooks" / "own_benchmark.py", tmp_path / "out"
    check_outputs(run_notebook(path, SHARDS=small_evaluation / "shards", MODEL=small_evaluation / "model", OUT=out))
    assert validate_benchmark(out / "benchmark.yaml").is_right
    results = read_results([out / "eval"])
    assert results.models == ("untrained", "yours")
    assert {q.task for q in results.questions} >= {f"zero_shot_{language}" for language in ("en", "fr", "de", "nl")}
    monkeypatch.delenv("NOTEBOOK_SHARDS")
    for name in ("error_analysis", "compare_models"):
        notebook = run_notebook(ROOT / "notebooks" / f"{name}.py", RESULTS=out / "eval")
        printed = "".join(shown(notebook, "stdout"))
        has_pictures = any("data:image/jpeg" in part for part in shown(notebook, "text/html"))
        assert has_pictures == (name == "error_analysis" or len(re.findall(r"\b0 answers were", printed)) < 2), name
    assert f"{len(losses(results, 'yours'))} figures got worse" in printed


def test_own_benchmark_of_captions_shows_no_empty_plots(run_notebook, small_evaluation, tmp_path, make_jpeg):
    from eval.benchmark_files import write_table

    folder = tmp_path / "prints"
    folder.mkdir()
    for number in range(32):
        (folder / f"{number}.jpg").write_bytes(make_jpeg(number))
    rows = [(f"{number}.jpg", f"a ship, sheet {number}", "") for number in range(32)]
    write_table(folder / "items.csv", ("file", "title", "label"), rows)
    notebook = run_notebook(
        ROOT / "notebooks" / "own_benchmark.py", PICTURES=folder, MODEL=small_evaluation / "model", OUT=tmp_path / "out"
    )
    assert shown(notebook, "text/plain").count("'no classes'") == 3
    assert len(shown(notebook, "image/png")) == 1  # by language


def test_notebook_without_its_data_says_what_to_do(run_notebook):
    with pytest.raises(CellExecutionError, match=r"SHARDS: .* is not there .*run `iconoclip demo`, or write"):
        run_notebook(ROOT / "notebooks" / "look_at_shards.py")


def test_every_notebook_is_described():
    text = (ROOT / "docs" / "notebooks.md").read_text(encoding="utf-8")
    named = re.findall(r"\(\.\./notebooks/(\w+)\.py\)", text)
    assert sorted(named) == [path.stem for path in NOTEBOOKS]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_opens_with_words_and_then_its_settings(path):
    notebook = jupytext.read(path)
    first, setup = notebook.cells[:2]
    assert first.cell_type == "markdown"
    assert first.source.startswith("# ")
    assert "setting(" in setup.source
    assert not any(cell.get("outputs") for cell in notebook.cells)
    words = " ".join("".join(cell.source for cell in notebook.cells[:4]).split())
    assert "`iconoclip demo`" in words.replace("# ", "")
