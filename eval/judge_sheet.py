"""Sheets for experts: XLSX with small pictures, blind; and what they filled in, checked row by row."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from zipfile import BadZipFile

from iconoclip.errors import EvaluationError
from iconoclip.files import atomic_path

from .judge_pool import Pair

JUDGEMENTS = ("yes", "partly", "no", "?")
COLUMNS = ("no.", "picture", "text", "language", "judgement", "remark", "id")
_TEXT, _JUDGEMENT, _REMARK, _ID = (COLUMNS.index(name) for name in ("text", "judgement", "remark", "id"))
_WIDTHS = (5, 34, 60, 10, 12, 30, 16)
_SIDE_PX = 230
_POINTS_PER_PX = 0.75
_SHOWN_PROBLEMS = 12
_HELP = (
    "Does the text fit the picture? Choose in the column “judgement”:",
    "yes: it does. – partly: some of it does. – no: it does not. – ?: it cannot be told from this picture.",
    "Fill every row, judge each by itself, and leave texts and ids as they are. You may sort and comment.",
    "Le texte convient-il à l’image ? yes : oui – partly : en partie – no : non – ? : on ne peut pas le dire.",
    "Remplissez toutes les lignes ; ne modifiez ni les textes ni les identifiants.",
)


def write_sheet(path: Path, pairs: Sequence[Pair], thumbs: Mapping[str, bytes]) -> None:
    """Write a sheet with a row per pair, in the order given; ``thumbs`` has a JPEG for each key."""
    from openpyxl import Workbook
    from openpyxl.drawing.image import Image
    from openpyxl.styles import Alignment, Font
    from openpyxl.worksheet.datavalidation import DataValidation

    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = "judge"
    sheet.append(list(COLUMNS))
    for place, (name, width) in enumerate(zip("ABCDEFG", _WIDTHS, strict=True), start=1):
        sheet.column_dimensions[name].width = width
        sheet.cell(1, place).font = Font(bold=True)
    sheet.freeze_panes = "A2"
    for number, pair in enumerate(pairs, start=1):
        row = number + 1
        for column, value in enumerate((number, "", _printable(pair.text), pair.language, "", "", pair.id), start=1):
            cell = sheet.cell(row, column, value)
            cell.alignment = Alignment(vertical="center", wrap_text=column == _TEXT + 1)
            if isinstance(value, str):
                cell.data_type = "s"  # a text that begins with = is no formula
        image = Image(io.BytesIO(thumbs[pair.key]))
        scale = min(1.0, _SIDE_PX / max(image.width, image.height))
        image.width, image.height = round(image.width * scale), round(image.height * scale)
        sheet.add_image(image, f"B{row}")
        sheet.row_dimensions[row].height = _POINTS_PER_PX * (image.height + 8)
    choice = DataValidation(type="list", formula1=f'"{",".join(JUDGEMENTS)}"', allow_blank=True, showErrorMessage=True)
    choice.add(f"E2:E{len(pairs) + 1}")
    sheet.add_data_validation(choice)
    explained = book.create_sheet("how to judge")
    explained.column_dimensions["A"].width = 110
    for line in _HELP:
        explained.append([line])
    with atomic_path(path) as temporary:
        book.save(temporary)


def read_sheet(path: Path, pairs: Mapping[str, Pair]) -> dict[str, tuple[str, str]]:
    """Judgement and remark of every pair, by id; ``pairs`` are those that were asked.

    Raises:
        EvaluationError: it is no such sheet, or rows are missing, doubled, empty or changed; each is named.
    """
    found: dict[str, tuple[str, str]] = {}
    problems = []
    for number, cells in _rows(path):
        identifier, judgement = cells[_ID], cells[_JUDGEMENT].casefold()
        pair = pairs.get(identifier)
        if pair is None:
            problems.append(f"row {number}: the id {identifier!r} is not one of this sheet's; copy it back")
        elif identifier in found:
            problems.append(f"row {number}: the id {identifier} stands in two rows; remove one")
        elif " ".join(cells[_TEXT].split()) != " ".join(_printable(pair.text).split()):
            problems.append(f"row {number}: the text was changed, from {_short(pair.text)} to {_short(cells[_TEXT])}")
        elif not judgement:
            problems.append(f"row {number}: no judgement; write {_listed()}")
        elif judgement not in JUDGEMENTS:
            problems.append(f"row {number}: the judgement is {cells[_JUDGEMENT]!r}; write {_listed()}")
        if pair is not None:
            known = judgement if judgement in JUDGEMENTS else "?"
            found.setdefault(identifier, (known, cells[_REMARK]))
    for identifier in [name for name in pairs if name not in found]:
        problems.append(f"no row with the id {identifier} ({_short(pairs[identifier].text)}); put it back")
    if problems:
        more = f"\n  and {len(problems) - _SHOWN_PROBLEMS} more" if len(problems) > _SHOWN_PROBLEMS else ""
        listed = "\n  ".join(problems[:_SHOWN_PROBLEMS])
        raise EvaluationError(f"{path}: {len(problems)} problems:\n  {listed}{more}")
    return found


def _rows(path: Path) -> list[tuple[int, tuple[str, ...]]]:
    """(row number, cells as text) of the rows that are not empty, in the order of :data:`COLUMNS`."""
    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        book = load_workbook(path, read_only=True, data_only=True)
    except (OSError, BadZipFile, InvalidFileException, KeyError, ValueError) as error:
        raise EvaluationError(f"{path}: not a spreadsheet that can be read ({error}); save it as .xlsx") from None
    if "judge" not in book.sheetnames:
        raise EvaluationError(
            f"{path}: no sheet `judge` in it, only {', '.join(book.sheetnames)}; is it the right file?"
        )
    rows = list(book["judge"].iter_rows(values_only=True))
    book.close()
    head = [str(cell or "").strip().casefold() for cell in (rows[0] if rows else ())]
    missing = [name for name in ("text", "judgement", "id") if name not in head]
    if missing:
        raise EvaluationError(f"{path}: no column {', '.join(missing)} in the first row; leave the head as it was")
    places = [head.index(name) if name in head else None for name in COLUMNS]
    found = []
    for number, row in enumerate(rows[1:], start=2):
        cells = tuple("" if p is None or row[p] is None else str(row[p]).strip() for p in places)
        if any(cells[place] for place in (_TEXT, _JUDGEMENT, _ID)):
            found.append((number, cells))
    return found


def _printable(text: str) -> str:
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

    return ILLEGAL_CHARACTERS_RE.sub("", text)


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:59]}…")


def _listed() -> str:
    return f"{', '.join(JUDGEMENTS[:-1])} or {JUDGEMENTS[-1]}"
