"""Make one report of one or several evaluations: an HTML page, Markdown, LaTeX tables, or blocks for a model card.

``write_report([Path("runs/eval")], Path("report.html"), language="fr")``. The page is one file that fetches nothing and
needs no pictures beside it; every figure in it is a row of the results. Its one script sorts tables; without it the
page lacks nothing else.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from iconoclip.errors import EvaluationError
from iconoclip.files import write_text

from .report_card import report_blocks
from .report_data import Results
from .report_html import report_page
from .report_reading import read_results
from .report_text import report_latex, report_markdown
from .report_words import Words, open_words

_WRITERS: dict[str, Callable[[Words, Results], str]] = {
    ".html": report_page,
    ".htm": report_page,
    ".md": report_markdown,
    ".tex": report_latex,
    ".yaml": report_blocks,
    ".yml": report_blocks,
}


def write_report(results: Sequence[Path], out: Path, *, language: str = "en") -> Path:
    """Write ``out``, whose suffix says what it is, from folders that ``iconoclip eval`` wrote; return ``out``.

    The first model of the first folder is the reference. Parts that are missing (small pictures, per-sample rows,
    comparisons) are said to be missing in the report. ``.yaml`` has ``model-index`` and ``.eval_results`` per model.

    Raises:
        EvaluationError: an unknown suffix or language, no results, damaged results, or two values for one figure.
    """
    writer = _WRITERS.get(out.suffix.lower())
    if writer is None:
        raise EvaluationError(
            f"{out}: got the suffix {out.suffix!r}; name a file that ends in .html, .md, .tex or .yaml"
        )
    words = open_words(language)
    write_text(out, writer(words, read_results(results)))
    return out
