"""Fail when the demo's trained model is under its bar: ``python .ci/check_demo.py runs/demo``.

The bar: among the held-out shields, the text->image hit rate@1 is at least 50 % over all languages and 35 % in each.
"""

import json
import sys
from pathlib import Path

BAR_ALL, BAR_LANGUAGE = 0.50, 0.35
METRIC = "text_to_image/hit_rate@1"


def check_demo(out: Path) -> tuple[str, bool]:
    """Return the figures of the trained model, one a line, and whether all are over their bar."""
    lines, ok, slices = [], True, []
    for text in (out / "eval" / "results.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(text)
        if row["metric"] != METRIC or row["subset"] != "all" or row["model"] != "trained":
            continue
        if row["slice"] != "all" and not row["slice"].startswith("language="):
            continue
        bar = BAR_ALL if row["slice"] == "all" else BAR_LANGUAGE
        reached = row["value"] is not None and row["value"] >= bar
        shown = (
            "no value" if row["value"] is None else f"{row['value']:.1%} [{row['ci_low']:.1%}, {row['ci_high']:.1%}]"
        )
        verdict = "" if reached else f"  UNDER the bar of {bar:.0%}"
        lines.append(f"{row['model']} {row['benchmark']} {row['slice']}: {shown} (n {row['n']}){verdict}")
        slices.append(row["slice"])
        ok &= reached
    if "all" not in slices or len(set(slices)) < 3:
        lines.append(
            f"expected {METRIC} over all and for two languages or more, got {sorted(set(slices)) or 'nothing'}"
        )
        ok = False
    return "\n".join(lines), ok


if __name__ == "__main__":
    figures, is_over_bar = check_demo(Path(sys.argv[1]))
    sys.stdout.write(f"{figures}\n")
    sys.exit(not is_over_bar)
