"""What a configuration says about rights: which column or text states them, who says so, and where."""

from iconoclip.config import Config
from iconoclip.records import Rights, RightsPart

from .captions import clean_text
from .mapping import Cells, Text, TextRule
from .rights import read_statement
from .sources.base import Assumption


class RightsRule(Config):
    """One statement: what it says, who said it and where it can be read."""

    value: Text
    asserted_by: Text
    source_url: Text
    territory: str = ""
    seen_at: str = ""


class RightsRules(Config):
    """Rights of the work, its picture and the text about it; ``all`` states picture and text at once."""

    work: RightsRule | None = None
    image: RightsRule | None = None
    text: RightsRule | None = None
    all: RightsRule | None = None
    assume: tuple[Assumption, ...] = ()

    def rules(self) -> dict[str, TextRule]:
        """Every rule by its place in the configuration."""
        fields = ("value", "asserted_by", "source_url")
        return {f"rights.{part}.{field}": getattr(rule, field) for part, rule in self._parts() for field in fields}

    def state(self, cells: Cells, here: object = None) -> tuple[Rights, ...]:
        """Statements about one row; what is assumed stands in only where nothing is stated."""
        stated = []
        for part, rule in self._parts():
            value = rule.value.text(cells, here)
            if value:
                stated.append(
                    Rights(
                        part=part,
                        uri=read_statement(value).uri,
                        raw=clean_text(value) or value,
                        asserted_by=clean_text(rule.asserted_by.text(cells, here)),
                        source_url=rule.source_url.text(cells, here),
                        territory=rule.territory,
                        seen_at=rule.seen_at,
                    )
                )
        known = {rights.part for rights in stated}
        for each in self.assume:
            part: RightsPart = "metadata" if each.part == "text" else each.part
            if part not in known:
                uri = read_statement(each.statement).uri
                stated.append(Rights(part=part, uri=uri, raw=each.statement, asserted_by=f"assumed: {each.reason}"))
        return tuple(stated)

    def _parts(self) -> list[tuple[RightsPart, RightsRule]]:
        both: list[tuple[RightsPart, RightsRule | None]] = [
            ("work", self.work), ("image", self.image or self.all), ("metadata", self.text or self.all),
        ]  # fmt: skip
        return [(part, rule) for part, rule in both if rule is not None]
