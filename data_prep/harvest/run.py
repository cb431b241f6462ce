"""Walk all web collections of a configuration, several at once, and hand their documents to the planning."""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass, field

from iconoclip.errors import IconoclipError, SourceError
from iconoclip.provenance import utc_now

from ..config import PrepConfig
from ..fetch.fetcher import Fetcher
from ..fetch.report import HostReport
from ..opt_out import read_exclusions
from ..progress import Progress
from ..sources.web import WebSource
from .document import StoredDocument
from .journal import Journal, SweepRow
from .sweep import AskError, Sweep

log = logging.getLogger(__name__)


@dataclass
class Harvested:
    """Documents by collection, what each host was asked, and what is worth saying."""

    documents: dict[str, list[StoredDocument]] = field(default_factory=dict)
    hosts: list[HostReport] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def harvest_collections(config: PrepConfig, *, limit: int | None = None, update: bool = False) -> Harvested:
    """Go on with, or begin, the harvest of every web collection; nothing is asked where all is there.

    ``limit`` stops a walk once so many objects were seen; ``update`` asks for what has changed since the last harvest.

    Raises:
        SourceError: a walk cannot go on; what came so far is kept for the next run.
    """
    sources = {
        name: source.settled(config.root)
        for name, source in config.collections.items()
        if isinstance(source, WebSource) and not source.files
    }
    harvested = Harvested()
    if not sources:
        return harvested
    with Journal(config.store_folder) as journal:
        todo = {
            name: source
            for name, source in sources.items()
            if update or _is_open(journal, source) or journal.missing(source.harvest_id)
        }
        if todo:
            walks = _Walks(config, journal, limit=limit, update=update)
            harvested.hosts, harvested.notes = asyncio.run(walks.walk_all(todo))
        for name, source in sources.items():
            harvested.documents[name] = list(journal.documents(source.harvest_id))
    return harvested


def _is_open(journal: Journal, source: WebSource) -> bool:
    sweeps = journal.sweeps(source.harvest_id)
    return not sweeps or not sweeps[-1].finished_at


def _advise(problem: str) -> str:
    """What to do: run again where time may heal, else what to look at."""
    if "cannotDisseminateFormat" in problem:
        return "ask URL?verb=ListMetadataFormats which formats there are, and change `prefix`"
    for sign, advice in (
        ("protocol_error", "the server understood, and refused; change the configuration"),
        ("http_401", "is the key right, and named in fetch.hosts.HOST.headers_from_env or params_from_env?"),
        ("robots: ", "the host does not want it; ask the library"),
        ("unsafe_url", "look at the address"),
        ("unknown_format", "look at what stands at this address, and at `kind`"),
        ("opted_out", "the opt-out list names this host"),
    ):
        if sign in problem:
            return advice
    return "run the same command again to go on"


class _Walks:
    """The walks of one run; they share a fetcher."""

    def __init__(self, config: PrepConfig, journal: Journal, *, limit: int | None, update: bool) -> None:
        self._config, self._journal, self._limit, self._update = config, journal, limit, update
        self._notes: list[str] = []
        self._exclusions = read_exclusions(config, ())

    async def walk_all(self, sources: Mapping[str, WebSource]) -> tuple[list[HostReport], list[str]]:
        """Walk all, to the end of each whatever comes of the others."""
        async with Fetcher(self._config.fetch, self._config.store_folder) as fetcher:
            results = await asyncio.gather(
                *(self._walk(fetcher, name, source) for name, source in sources.items()), return_exceptions=True
            )
            reports = fetcher.report()
        errors = [each for each in results if isinstance(each, BaseException)]
        strange = [each for each in errors if not isinstance(each, IconoclipError)]
        if strange:
            raise strange[0]
        if errors:
            raise SourceError("\n  ".join(map(str, errors)))
        return reports, self._notes

    async def _walk(self, fetcher: Fetcher, name: str, source: WebSource) -> None:
        harvest = source.harvest_id
        sweep = self._open_sweep(fetcher, name, harvest)
        try:
            await self._repair(fetcher, name, harvest)
            if sweep is None:
                return
            row, sweep = sweep
            if await self._follow(name, source, sweep):
                self._journal.finish(harvest, row, now=utc_now())
        except AskError as error:
            raise SourceError(f"collection {name}: {error}; what came so far is kept: {_advise(str(error))}") from None

    def _open_sweep(self, fetcher: Fetcher, name: str, harvest: str) -> tuple[int, Sweep] | None:
        sweeps = self._journal.sweeps(harvest)
        row = sweeps[-1] if sweeps else self._journal.begin(harvest, since="", now=utc_now())
        if row.finished_at:
            if not self._update:
                return None
            row = self._journal.begin(harvest, since=row.started_at, now=utc_now())
            self._notes.append(f"{name}: asked for what has changed since {row.since}")
        return row.number, self._sweep(fetcher, harvest, row)

    def _sweep(self, fetcher: Fetcher, harvest: str, row: SweepRow) -> Sweep:
        return Sweep(fetcher, self._journal, harvest, row, self._refuse)

    def _refuse(self, url: str) -> str:
        line = self._exclusions.refuse_address(url)
        return line.to_drop("source").detail if line else ""

    async def _repair(self, fetcher: Fetcher, name: str, harvest: str) -> None:
        rows = {row.number: row for row in self._journal.sweeps(harvest)}
        missing = self._journal.missing(harvest)
        came = [await self._sweep(fetcher, harvest, rows[number]).repair(row) for number, row in missing]
        if came:
            self._notes.append(f"{name}: asked again for {len(came):,} documents, {sum(came):,} came")

    async def _follow(self, name: str, source: WebSource, sweep: Sweep) -> bool:
        """Walk to the end (True) or until the limit of objects is reached."""
        seen = 0
        log_path = self._config.out / "prep.jsonl" if self._config.out.is_dir() else None
        with Progress(f"{name}: documents", total=None, unit="documents", log_path=log_path) as progress:
            async with aclosing(source.walk(sweep)) as documents:
                async for document in documents:
                    progress.add(1)
                    if self._limit is not None:
                        seen += source.count(document)
                        if seen >= self._limit:
                            return False
        return True
