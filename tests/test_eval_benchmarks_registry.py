"""The tables of docs/benchmarks.md are those that the code makes, and every benchmark says what must be known of it."""

import re
from pathlib import Path

import pytest

from eval.benchmarks import _registry
from eval.benchmarks.base import FilesBenchmark
from eval.config import EvalConfig
from iconoclip.errors import EvaluationError

ROOT = Path(__file__).parent.parent
DOCUMENT = ROOT / "docs" / "benchmarks.md"
RENEW = "from eval.benchmarks._registry import renew; renew(Path('docs/benchmarks.md'))"


def test_the_document_holds_what_the_code_says():
    text = DOCUMENT.read_text(encoding="utf-8")
    assert RENEW in text
    assert _registry.filled(text) == text, f"renew it: {RENEW}"


def test_a_document_without_a_mark_is_an_error():
    with pytest.raises(EvaluationError, match="no mark <!-- table: benchmarks -->"):
        _registry.filled("# Benchmarks\n")


@pytest.mark.parametrize("kind", [kind for kind, _ in _registry.benchmarks()])
def test_a_pin_names_where_it_was_read_and_known_results_where_they_were(kind: str):
    benchmark = dict(_registry.benchmarks())[kind]
    assert benchmark.chance
    if benchmark.pinned_revision is not None:
        assert re.fullmatch(r"[0-9a-f]{40}", benchmark.pinned_revision)
        assert benchmark.revision_source
    for known in benchmark.known_results:
        assert known.source
        assert known.value >= 0
        # Shares are shares: a percentage would be read a hundred times too high.
        assert known.value <= 1 or known.metric.endswith("_rank"), known


def test_the_suite_of_heritage_asks_every_benchmark_that_brings_its_own_files():
    config = EvalConfig.load(ROOT / "configs" / "eval" / "heritage.yaml")
    asked = {benchmark.kind_name for benchmark in config.benchmarks}
    own = {kind for kind, benchmark in _registry.benchmarks() if issubclass(benchmark, FilesBenchmark)}
    assert asked == own - {"file"}  # a benchmark of one's own
    assert config.shards is None
    assert len(config.models) >= 2


def test_none_that_could_not_be_run_claims_to_have_been():
    run = {kind for kind, benchmark in _registry.benchmarks() if benchmark.run_on_real_data}
    assert not run & {"artdl", "eufcc", "iconclass_ai", "same_plate", "xm3600"}
    assert {"kb_illuminations", "richelieu", "saints"} <= run
