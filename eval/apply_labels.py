"""Read a list of labels and the prompts that stand for each.

One label a line; ``label<TAB>prompt`` gives it a text of its own, and several such lines are averaged. ``#`` starts a
comment, empty lines are skipped.
"""

from pathlib import Path

from iconoclip.errors import EvaluationError


def read_labels(path: Path) -> dict[str, tuple[str, ...]]:
    """Return {label: prompts} in the order of the file; a label without a prompt is its own prompt.

    Raises:
        EvaluationError: no such file, not UTF-8, or fewer than two labels.
    """
    labels: dict[str, list[str]] = {}
    for number, line in enumerate(_read(path).splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        label, prompt = (part.strip() for part in (*line.split("\t", 1), "")[:2])
        if not label or ("\t" in line and not prompt):
            raise EvaluationError(f"{path}, line {number}: got {line!r}; write LABEL or LABEL<TAB>PROMPT")
        prompts = labels.setdefault(label, [])
        text = prompt or label
        if text not in prompts:
            prompts.append(text)
    if not labels:
        raise EvaluationError(f"{path}: no labels in it; write one a line, such as `portrait`")
    if len(labels) == 1:
        raise EvaluationError(
            f"{path}: only the label {next(iter(labels))!r}; a label is chosen among several, so add what the other "
            "pictures are, or look for one thing with --query"
        )
    return {label: tuple(prompts) for label, prompts in labels.items()}


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise EvaluationError(f"{path}: not UTF-8; save it as UTF-8 text, one label a line") from None
    except OSError as error:
        raise EvaluationError(f"{path}: {error.strerror}; give a text file with one label a line") from None
