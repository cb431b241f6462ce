"""Apply a model to pictures: label each one, or find those that fit a text.

``apply_model("runs/real", Path("scans"), labels=Path("labels.txt"), query="a ship", out=Path("out"), k=24)`` writes
``labels.csv`` and ``labels.html``, ``query.csv`` and ``query.html``, and ``broken.csv`` where pictures could not be
read. Every row says that a machine made it, which one, and when. With ``min_precision`` the labels are those of a
certificate in a results folder, and only sure ones are given (:mod:`eval.apply_certified`).
"""

import io
from collections import Counter
from pathlib import Path

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from iconoclip.contact_sheet import Card, Section, write_contact_sheet
from iconoclip.errors import EvaluationError
from iconoclip.pages import THIN_SPACE

from .apply_certified import apply_certified
from .apply_encoded import Encoded, embed_prompts, encode, nearest_pictures, softmax, write_csv
from .apply_labels import read_labels
from .apply_pictures import open_pictures

SHOWN_PER_LABEL = 6
LABEL_COLUMNS = (
    "id", "label", "score", "runner_up", "runner_up_score", "margin", "score_kind", "cosine", "runner_up_cosine",
    "model", "model_sha256", "date", "machine_made",
)  # fmt: skip
QUERY_COLUMNS = ("rank", "id", "query", "score", "score_kind", "model", "model_sha256", "date", "machine_made")


def apply_model(
    model: str,
    pictures: Path,
    *,
    labels: Path | None = None,
    query: str | None = None,
    out: Path = Path("runs/apply"),
    k: int = 24,
    min_precision: float | None = None,
) -> str:
    """Write CSV and contact sheets to ``out`` and return a summary for the terminal.

    A picture that cannot be read is listed in ``broken.csv`` and in the summary; the others go on. With
    ``min_precision`` (a share) ``labels`` is a results folder or a certificate.

    Raises:
        EvaluationError: neither labels nor a query, no pictures, no labels, ``k`` below 1, or no certificate.
        ModelError: there is no such model.
    """
    _check_precision(min_precision, labels)
    if labels is None and not (query or "").strip():
        raise EvaluationError("nothing to do: give --labels FILE, --query TEXT, or both")
    if k < 1:
        raise EvaluationError(f"k is {k}: show at least one picture")
    prompts = read_labels(labels) if labels is not None and min_precision is None else {}
    encoded, embed = encode(model, open_pictures(pictures))
    parts = [_headline(encoded)]
    (out / "broken.csv").unlink(missing_ok=True)  # of an earlier call
    if encoded.broken:
        write_csv(out / "broken.csv", ("id", "reason"), encoded.broken)
        parts.append(_broken_text(encoded, out))
    if prompts:
        parts.append(_label(encoded, prompts, embed_prompts(prompts, embed), out))
    if min_precision is not None and labels is not None:
        parts.append(apply_certified(encoded, embed, labels, precision=min_precision, out=out))
    if query and query.strip():
        parts.append(_search(encoded, query.strip(), embed([query.strip()])[0], out, k))
    return "\n\n".join(parts)


def _check_precision(min_precision: float | None, labels: Path | None) -> None:
    if labels is not None and not labels.exists():
        raise EvaluationError(f"--labels {labels}: not there")
    is_certificate = labels is not None and (labels.is_dir() or labels.suffix == ".json")
    if min_precision is None:
        if is_certificate:
            raise EvaluationError(f"--labels {labels}: a results folder or certificate; give --min-precision too")
    elif not 0 < min_precision < 1:
        raise EvaluationError(f"--min-precision {min_precision:g}: give a share between 0 and 1, such as 0.95")
    elif not is_certificate:
        raise EvaluationError(
            f"--min-precision needs --labels RESULTS, the `out` of an `iconoclip eval` or a certificate in it; "
            f"got {labels or 'none'}"
        )


def _headline(encoded: Encoded) -> str:
    return (
        f"{len(encoded.positions):,} pictures read"
        + (f", {len(encoded.broken):,} could not be" if encoded.broken else "")
        + f"; model {encoded.model}, weights {encoded.model_sha256[:12]}"
    )


def _broken_text(encoded: Encoded, out: Path) -> str:
    lines = [f"  {name}: {reason}" for name, reason in encoded.broken[:10]]
    if len(encoded.broken) > 10:
        lines.append(f"  and {len(encoded.broken) - 10:,} more")
    return "\n".join([f"not read ({out / 'broken.csv'}):", *lines])


def _label(encoded: Encoded, prompts: dict[str, tuple[str, ...]], text_LD: np.ndarray, out: Path) -> str:
    names = list(prompts)
    cosine_NL = encoded.image_ND @ text_LD.T
    share_NL = softmax(encoded.scale * cosine_NL)
    order_NL = np.argsort(-share_NL, axis=1, kind="stable")  # ties go to the label that stands first in the file
    first_N, second_N = order_NL[:, 0], order_NL[:, 1]
    rows = []
    for row, position in enumerate(encoded.positions):
        best, next_best = first_N[row], second_N[row]
        score, next_score = share_NL[row, best], share_NL[row, next_best]
        rows.append(
            (encoded.pictures.ids[position], names[best], score, names[next_best], next_score, score - next_score,
             "softmax probability over the labels", cosine_NL[row, best], cosine_NL[row, next_best],
             encoded.model, encoded.model_sha256, encoded.date, "true")
        )  # fmt: skip
    write_csv(out / "labels.csv", LABEL_COLUMNS, rows)
    share_N = share_NL[np.arange(len(rows)), first_N]
    _write_label_sheet(encoded, names, first_N, share_N, out)
    return _label_text(names, first_N, share_N, out)


def _label_text(names: list[str], first_N: np.ndarray, share_N: np.ndarray, out: Path) -> str:
    table = _table("label", "pictures", "median probability", "below 50 %")
    counts = Counter(first_N.tolist())
    for label in sorted(range(len(names)), key=lambda label: (-counts[label], label)):
        shares = share_N[first_N == label]
        if len(shares):
            table.add_row(
                Text(names[label]), f"{len(shares):,}", f"{100 * np.median(shares):.1f} %", f"{(shares < 0.5).sum():,}"
            )
        else:
            table.add_row(Text(names[label]), "0", "–", "–")
    note = (
        "Probabilities are over these labels only and are not calibrated: a picture that is none of them gets one too."
    )
    return f"{_render(table)}\n{note}\nwrote {out / 'labels.csv'} and {out / 'labels.html'}"


def _write_label_sheet(encoded: Encoded, names: list[str], first_N: np.ndarray, share_N: np.ndarray, out: Path) -> None:
    """Pictures per label: the surest and the least sure, which is where a person should look first."""
    sections = []
    for label, name in enumerate(names):
        rows = np.flatnonzero(first_N == label)
        rows = rows[np.argsort(-share_N[rows], kind="stable")]
        top, rest = rows[:SHOWN_PER_LABEL], rows[SHOWN_PER_LABEL:]
        shown = [*top, *rest[-SHOWN_PER_LABEL:]]
        cards = tuple(_card(encoded, row, f"{100 * share_N[row]:.1f}{THIN_SPACE}%") for row in shown)
        aside = "" if len(shown) == len(rows) else f"; here the {len(top)} surest and the {len(shown) - len(top)} least"
        sections.append(Section(name, cards, f"{len(rows):,} pictures{aside}"))
    write_contact_sheet(
        out / "labels.html",
        sections,
        title="Labels made by a machine",
        subtitle=f"{len(encoded.positions):,} pictures, {len(names)} labels. Nobody has checked them yet.",
        facts=(_made_by(encoded), "The badge is the softmax probability over these labels; it is not calibrated."),
    )


def _search(encoded: Encoded, query: str, text_D: np.ndarray, out: Path, k: int) -> str:
    best = nearest_pictures(encoded, text_D, k)
    rows = [
        (rank, encoded.pictures.ids[encoded.positions[row]], query, cosine, "cosine similarity",
         encoded.model, encoded.model_sha256, encoded.date, "true")
        for rank, (row, cosine) in enumerate(best, start=1)
    ]  # fmt: skip
    write_csv(out / "query.csv", QUERY_COLUMNS, rows)
    cards = tuple(_card(encoded, row, f"{rank} · {cosine:.3f}") for rank, (row, cosine) in enumerate(best, start=1))
    write_contact_sheet(
        out / "query.html",
        [Section("", cards)],
        title=f"“{query}”",
        subtitle=f"The {len(best):,} nearest of {len(encoded.positions):,} pictures.",
        facts=(_made_by(encoded), "The badge is rank and cosine similarity; there is always a nearest picture."),
    )
    table = _table("rank", "cosine", "picture", left=(2,))
    for rank, identifier, _, cosine, *_ in rows:
        table.add_row(str(rank), f"{cosine:.3f}", Text(str(identifier)))
    title = f'nearest to "{query}" among {len(encoded.positions):,} pictures'
    return f"{title}\n{_render(table)}\nwrote {out / 'query.csv'} and {out / 'query.html'}"


def _card(encoded: Encoded, row: int, badge: str) -> Card:
    position = encoded.positions[row]
    caption = encoded.pictures.captions(position)
    name = encoded.pictures.ids[position]
    file = io.BytesIO()
    encoded.pictures.read(position).save(file, "JPEG", quality=90)
    return Card(file.getvalue(), (caption, name) if caption else (name,), badge)


def _made_by(encoded: Encoded) -> str:
    return f"Machine-made by {encoded.model}, weights {encoded.model_sha256[:12]}, {encoded.date}."


def _table(*heads: str, left: tuple[int, ...] = ()) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column, head in enumerate(heads):
        table.add_column(head, justify="left" if column in (0, *left) and head != "rank" else "right", overflow="fold")
    return table


def _render(table: Table) -> str:
    file = io.StringIO()
    Console(file=file, width=100, highlight=False).print(table)
    return "\n".join(line.rstrip() for line in file.getvalue().strip("\n").splitlines())
