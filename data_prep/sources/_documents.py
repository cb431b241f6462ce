"""Collections that are a list of documents: their addresses, in the configuration or in a text file.

``documents: [https://...]``, or a file under ``root`` with one address per line (``#`` begins a remark). With
``template: https://host/{id}.mets.xml`` the entries are identifiers.
"""

import re
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import ClassVar, Self
from urllib.parse import quote, urlsplit

from pydantic import model_validator

from iconoclip.errors import SourceError

from ..harvest.sweep import Ask, Sweep
from .base import Document
from .web import WebSource

_ACCEPT = "application/xml, text/xml;q=0.9, */*;q=0.5"
_MAX_LIST_BYTES = 100_000_000


class DocumentsSource(WebSource):
    """``documents``, or ``files``: saved ones."""

    documents: str | tuple[str, ...] = ()
    template: str = ""

    _request_fields: ClassVar[tuple[str, ...]] = ("documents", "template")

    @model_validator(mode="after")
    def _has_documents(self) -> Self:
        if bool(self.documents) == bool(self.files):
            raise ValueError("give either `documents` (addresses, or a text file of them) or `files`, saved ones")
        if self.template and "{id}" not in self.template:
            raise ValueError("template has no {id}; write https://host/path/{id}.xml")
        if self.template and self.files:
            raise ValueError("template makes addresses of `documents`; with `files` leave it out")
        problem = "" if isinstance(self.documents, str) else _find_problem(self.documents, self.template)
        if problem:
            raise ValueError(f"documents: {problem}")
        return self

    def settled(self, root: Path) -> Self:
        """With the content of the text file in place of its name: a longer list is another harvest."""
        if not isinstance(self.documents, str) or not self.documents:
            return self
        path = root / self.documents
        lines = read_list(path, field="documents")
        if problem := _find_problem(lines, self.template):
            raise SourceError(f"{path}: {problem}")
        return self.model_copy(update={"documents": lines})

    def addresses(self) -> list[str]:
        """Addresses in their order, each once."""
        entries = () if isinstance(self.documents, str) else self.documents
        return list(dict.fromkeys(_address(each, self.template) for each in entries))

    async def walk(self, sweep: Sweep) -> AsyncGenerator[Document, None]:
        """Every document of the list; one that cannot be had is counted, and the walk goes on."""
        async for document in sweep.ask_all(map(_ask, self.addresses())):
            yield document


def _ask(url: str) -> Ask:
    is_zip = urlsplit(url).path.lower().endswith(".zip")
    return Ask(url, "document", "any" if is_zip else "xml", "" if is_zip else _ACCEPT)


def _address(entry: str, template: str) -> str:
    return template.replace("{id}", quote(entry, safe="")) if template else entry


def _find_problem(entries: tuple[str, ...], template: str) -> str:
    for number, entry in enumerate(entries, 1):
        address = _address(entry, template)
        if not re.match(r"https?://[^/\s]+\S*$", address):
            hint = "" if template else "; for identifiers add `template: https://host/{id}.xml`"
            return f"entry {number}, {entry[:80]!r}, is no http(s) address{hint}"
    return ""


def read_list(path: Path, *, field: str) -> tuple[str, ...]:
    """Entries of a text file, one per line; ``#`` begins a remark.

    Raises:
        SourceError: it cannot be read, or holds none.
    """
    try:
        if path.stat().st_size > _MAX_LIST_BYTES:
            raise SourceError(f"{path}: {path.stat().st_size:,} bytes are too many for a list of addresses")
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise SourceError(f"{path}: not a text file in UTF-8") from None
    except OSError as error:
        hint = f"`{field}` is a list of addresses, or a text file under `root`"
        raise SourceError(f"{path}: {error.strerror}; {hint}") from None
    entries = tuple(entry for line in lines if (entry := re.sub(r"(?:^|\s)#.*", "", line).strip()))
    if not entries:
        raise SourceError(f"{path}: holds no address; write one per line")
    return entries
