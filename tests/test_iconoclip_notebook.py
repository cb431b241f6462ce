"""Settings of notebooks, sheets of pictures, and plots."""

import importlib.util
import os
import sys
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from iconoclip import plots
from iconoclip.contact_sheet import Card
from iconoclip.errors import IconoclipError
from iconoclip.notebook import PictureSheet, enter_project, setting
from iconoclip.plots import Estimate, Plot, bars, histogram, intervals, matrix


def texts(plot: Figure) -> list[str]:
    """All texts of a plot as it is drawn."""
    plot.draw_without_rendering()
    return [text.get_text() for text in plot.findobj(lambda artist: hasattr(artist, "get_text"))]  # type: ignore[attr-defined]


def test_a_setting_is_the_environment_variable_or_what_the_demo_leaves(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NOTEBOOK_SHARDS", raising=False)
    with pytest.raises(IconoclipError) as error:
        setting("SHARDS", "runs/demo/shards")
    assert str(error.value) == (
        f"SHARDS: runs/demo/shards is not there (looked in {tmp_path}); run `iconoclip demo`, or write another path "
        "into this cell or into the environment variable NOTEBOOK_SHARDS"
    )
    (tmp_path / "runs/demo/shards").mkdir(parents=True)
    assert setting("SHARDS", "runs/demo/shards") == "runs/demo/shards"
    (tmp_path / "mine").mkdir()
    monkeypatch.setenv("NOTEBOOK_SHARDS", "mine")
    assert setting("SHARDS", "runs/demo/shards") == "mine"
    monkeypatch.setenv("NOTEBOOK_MODEL", "hf-hub:org/name")
    assert setting("MODEL", "runs/demo/train") == "hf-hub:org/name"
    monkeypatch.delenv("NOTEBOOK_SHARDS")
    assert setting("SHARDS", "runs/nowhere", is_needed=False) == ""
    monkeypatch.setenv("NOTEBOOK_SHARDS", "nowhere")
    with pytest.raises(IconoclipError, match="nowhere is not there"):
        setting("SHARDS", "runs/demo/shards", is_needed=False)


def test_a_notebook_works_from_the_folder_that_holds_runs(tmp_path, monkeypatch):
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    assert enter_project() == tmp_path / "notebooks"
    (tmp_path / "runs").mkdir()
    assert enter_project() == tmp_path
    assert Path(os.getcwd()) == tmp_path  # noqa: PTH109 (what the kernel itself would see)


def test_a_sheet_shows_pictures_with_their_texts_and_no_tags_of_others(make_jpeg):
    cards = (
        Card(make_jpeg(1), ("<b>Löwe</b>", "Museum"), badge="1 · 0.5", lang="de", url="https://example.org/1"),
        Card(b"", ("a ship",), badge="2"),
    )
    html = PictureSheet(cards, "a & b", frozenset({0}))._repr_html_()
    assert "&lt;b&gt;Löwe&lt;/b&gt;" in html
    assert 'lang="de"' in html
    assert "a &amp; b" in html
    assert html.count("<img ") == 1
    assert html.count("not shown") == 1
    assert html.count("#2a8f4d") == 1
    assert repr(PictureSheet(cards, "two")) == "two\n1 · 0.5 · <b>Löwe</b> · Museum\n2 · a ship"


def test_a_plot_shows_itself_and_can_be_kept(tmp_path):
    plot = bars({"German": 12, "a name that is longer than the room beside a plot allows, so its middle goes": 3})
    png, size = plot._repr_png_()
    assert png.startswith(b"\x89PNG")
    assert size == {"width": 504}  # 7 inches at 72 px each; the picture has twice as many, for sharp screens
    assert "12" in texts(plot)
    assert "a name that is longer…, so its middle goes" in texts(plot)
    plot.savefig(tmp_path / "languages.pdf")
    assert (tmp_path / "languages.pdf").stat().st_size > 0


def test_intervals_say_where_there_is_no_score():
    plot = intervals(
        [
            Estimate("Dutch", 0.4, 0.3, 0.5, "one"),
            Estimate("Dutch", 0.6, 0.5, 0.7, "other"),
            Estimate("Italian", None, None, None, "one"),
        ],
        title="$ is no formula",
        reference=0.1,
    )
    found = texts(plot)
    assert found.count("no score") == 1
    assert {"Dutch", "Italian", "one", "other", "chance"} <= set(found)
    spans = [line.get_xdata() for line in plot.axes[0].lines if len(line.get_xdata()) == 2]
    assert [0.3, 0.5] in [list(span) for span in spans]


@pytest.mark.parametrize(
    "plot",
    [intervals([]), bars({}), histogram([]), matrix([], [], []), matrix([[3, 1], [0, 2]], ["a", "b"], ["a", "b"])],
    ids=["no intervals", "no bars", "no values", "no classes", "two classes"],
)
def test_plots_of_little_or_nothing_are_drawn(plot: Plot):
    assert plot._repr_png_()[0].startswith(b"\x89PNG")


def test_a_matrix_counts_and_shades_by_row():
    plot = matrix([[3, 1], [0, 2]], ["lion", "ship"], ["lion", "ship"])
    assert [text.get_text() for text in plot.axes[0].texts] == ["3", "1", "0", "2"]
    assert plot.axes[0].images[0].get_array().tolist() == [[0.75, 0.25], [0.0, 1.0]]  # type: ignore[union-attr]


def test_plots_without_matplotlib_say_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.axes", None)
    spec = importlib.util.spec_from_file_location("iconoclip.plots_again", plots.__file__)
    assert spec is not None
    assert spec.loader is not None
    with pytest.raises(IconoclipError, match=r"matplotlib is not there; pip install 'iconoclip\[notebooks\]'"):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
