"""Join a second table to a first on a key: ``join: {sru: {table: dump.xml, records: record, key: ..., equals: ...}}``.

The rows found become the column ``sru`` of the first table, so that ``{sru.dc:title}`` is a path into them.
"""

import json
import logging
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from pydantic import Field

from iconoclip.errors import SourceError

from .mapping import Cells, Text, TextRule, check_columns
from .tables import Row, Table, TableRules, open_table

log = logging.getLogger(__name__)

_NAME = re.compile(r"[a-z][a-z0-9_]*")


class JoinRules(TableRules):
    """Another table; its rows whose ``key`` equals ours are found.

    Either side may hold several keys: one that both have is enough. A row without a partner, or with several that
    differ, is rejected with its reason, unless ``missing: empty`` or ``several: all`` (``{sru[0].title}`` is then the
    first) says otherwise. Rows of the other table that say the same count once; those that nobody asks for are left.
    """

    table: str = Field(min_length=1)
    key: Text
    equals: Text
    missing: Literal["reject", "empty"] = "reject"
    several: Literal["reject", "all"] = "reject"


def join_tables(root: Path, table: Table, joins: Mapping[str, JoinRules], *, where: str) -> Table:
    """The table with a column per join, in their order: a later one may use the columns of an earlier one.

    Raises:
        SourceError: a path fits no row, a name is taken, or no key of one side is on the other.
    """
    for name, rules in joins.items():
        if not _NAME.fullmatch(name):
            raise SourceError(f"{where}: join {name!r}: a to z, 0 to 9 and _ only, a letter first")
        if name in (column.rsplit(":", 1)[-1] for column in table.columns):
            raise SourceError(f"{where}: join {name!r}: there is a column of this name; call the join otherwise")
        other = open_table(root, rules)
        check_columns({f"join.{name}.key": rules.key}, other.columns, where=other.name, rows=cells_of(other.rows))
        check_columns({f"join.{name}.equals": rules.equals}, table.columns, where=where, rows=cells_of(table.rows))
        table = Table(
            table.name,
            [*table.columns, name, *(f"{name}.{column}" for column in other.columns)],
            _join_rows(name, rules, table, other),
        )
    return table


def cells_of(rows: Sequence[Row]) -> list[Cells]:
    """Cells of the rows that can be read."""
    return [row.cells for row in rows if not row.problem]


def _join_rows(name: str, rules: JoinRules, table: Table, other: Table) -> list[Row]:
    index = _index(rules.key, other)
    joined, found_any = [], False
    for row in table.rows:
        keys = _keys(rules.equals, row.cells)
        partners = list({said: row for key in keys for said, row in index.get(key, {}).items()}.values())
        found_any |= bool(partners)
        problem = _problem(name, rules, keys, partners)
        cells = type(row.cells)({**row.cells, name: [partner.cells for partner in partners] if not problem else []})
        joined.append(replace(row, cells=cells, unjoined=row.unjoined or problem))
    unread = [row for row in other.rows if row.problem]
    if unread:
        log.warning("%s: %d rows cannot be read; %s: %s", other.name, len(unread), unread[0].place, unread[0].problem)
    if not found_any:
        ours = next((keys for row in table.rows if (keys := _keys(rules.equals, row.cells))), ["nothing"])
        raise SourceError(
            f"{table.name}: no row has a partner in {other.name}: `equals` gives {ours[0]!r}, `key` gives "
            f"{next(iter(index), 'nothing')!r}; cut both down to the same text with `find`, `cut` or `replace`"
        )
    return joined


def _keys(rule: TextRule, cells: Cells) -> list[str]:
    # file names and tables differ in how they write é: one sign, or a letter and an accent
    return [unicodedata.normalize("NFC", text) for text in rule.texts(cells)]


def _index(key: TextRule, table: Table) -> dict[str, dict[str, Row]]:
    """Rows of each key by what they say; an export repeats a document for each of its pages."""
    index: dict[str, dict[str, Row]] = {}
    for row in table.rows:
        said = json.dumps(row.cells, ensure_ascii=False, default=str) if not row.problem else ""
        for each in _keys(key, row.cells) if not row.problem else ():
            index.setdefault(each, {}).setdefault(said, row)
    return index


def _problem(name: str, rules: JoinRules, keys: list[str], partners: list[Row]) -> str:
    if not partners and rules.missing == "reject":
        return f"join {name}: no row has the key {keys[0]!r}" if keys else f"join {name}: this row has no key"
    if len(partners) > 1 and rules.several == "reject":
        places = ", ".join(partner.place for partner in partners[:5])
        return f"join {name}: {len(partners)} different rows have the key {keys[0]!r} ({places})"
    return ""
