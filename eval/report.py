"""Make one report of one or several evaluations: an HTML page, Markdown, or LaTeX tables.

``write_report([Path("runs/eval")], Path("report.html"))``. The page is one file that fetches nothing, runs no
script and needs no pictures beside it; every figure in it is a row of ``results.jsonl`` or ``comparisons.jsonl``.
"""

from collections.abc import Sequence
from pathlib import Path

from iconoclip.errors import EvaluationError
from iconoclip.files import write_text

from .report_html import report_page
from .report_reading import read_results
from .report_text import report_latex, report_markdown

_WRITERS = {".html": report_page, ".htm": report_page, ".md": report_markdown, ".tex": report_latex}


def write_report(results: Sequence[Path], out: Path) -> Path:
    """Write ``out``, whose suffix says what it is, from folders that ``iconoclip eval`` wrote; return ``out``.

    The first model of the first folder is the reference. Parts that are missing (small pictures, per-sample rows,
    comparisons) are said to be missing in the report.

    Raises:
        EvaluationError: an unknown suffix, no results, damaged results, or two values for one figure.
    """
    writer = _WRITERS.get(out.suffix.lower())
    if writer is None:
        raise EvaluationError(f"{out}: got the suffix {out.suffix!r}; name a file that ends in .html, .md or .tex")
    write_text(out, writer(read_results(results)))
    return out
