"""Read Turtle (Europeana's TTL dumps, the Dutch linked-data crawls) into the graph that the EDM reader walks.

Covers W3C Turtle as data files use it: prefixes, ``a``, lists of predicates and objects, strings short and long,
language tags, typed literals, numbers, blank nodes and collections.
"""

import re

from .parsed import ParseError, ParseReason
from .rdf import Graph, Node, Value, prefixed
from .xml import read_language

_TOKEN = re.compile(
    r"""\s+|\#[^\n]*
    |(?P<iri><[^<>"{}|^`\\\s]*>)
    |(?P<long>\"{3}(?:[^"\\]|\\.|"(?!""))*\"{3}|'{3}(?:[^'\\]|\\.|'(?!''))*'{3})
    |(?P<short>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
    |(?P<lang>@[a-zA-Z]+(?:-[a-zA-Z0-9]+)*)
    |(?P<type>\^\^)
    |(?P<number>[+-]?(?:\d+\.\d+|\.\d+|\d+)(?:[eE][+-]?\d+)?(?![\w:]))
    |(?P<name>(?:[\w][\w.-]*|_)?:(?:[\w:%-]|\\.|\.(?=[\w:%\\-]))*|[A-Za-z]\w*)
    |(?P<mark>[.;,\[\]()])""",
    re.X | re.S,
)
_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|.)", re.S)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_MAX_DEPTH = 60


def read_turtle(data: bytes) -> Graph:
    """Graph of a Turtle document.

    Raises:
        ParseError: it is not Turtle, with the line where that was seen.
    """
    return _Reader(data.decode("utf-8-sig", "replace")).read()


class _Reader:
    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0
        self.kind, self.token = "", ""
        self.prefixes: dict[str, str] = {}
        self.base = ""
        self.graph = Graph()

    def read(self) -> Graph:
        self._next()
        while self.kind:
            if self.token.lower() in ("@prefix", "@base", "prefix", "base"):
                self._directive()
            else:
                node = self._subject()
                if self.token != ".":
                    self._predicates(node, 0)
                self._expect(".")
        return self.graph

    def _fail(self, wanted: str) -> ParseError:
        line = self.text.count("\n", 0, self.at) + 1
        got = self.token[:40] or "the end"
        return ParseError(ParseReason.BROKEN_TURTLE, f"line {line}: wanted {wanted}, got {got!r}")

    def _next(self) -> None:
        while self.at < len(self.text):
            match = _TOKEN.match(self.text, self.at)
            if match is None:
                self.token = self.text[self.at : self.at + 20]
                raise self._fail("Turtle")
            self.at = match.end()
            if match.lastgroup:
                self.kind, self.token = match.lastgroup, match[0]
                return
        self.kind, self.token = "", ""

    def _expect(self, mark: str) -> None:
        if self.token != mark:
            raise self._fail(repr(mark))
        self._next()

    def _directive(self) -> None:
        word = self.token.lower()
        self._next()
        if word.endswith("prefix"):
            prefix = self.token.removesuffix(":")
            self._next()
            self.prefixes[prefix] = self._iri()
        else:
            self.base = self._iri()
        if word.startswith("@"):
            self._expect(".")

    def _iri(self) -> str:
        if self.kind == "iri":
            iri = _unescape(self.token[1:-1])
            iri = iri if re.match(r"[a-zA-Z][\w+.-]*:", iri) else self.base + iri
        elif self.kind == "name" and ":" in self.token:
            prefix, _, local = self.token.partition(":")
            local = re.sub(r"\\(.)", r"\1", local)
            iri = f"_:{local}" if prefix == "_" else self.prefixes.get(prefix, f"{prefix}:") + local
        else:
            raise self._fail("a name")
        self._next()
        return iri

    def _subject(self) -> Node:
        if self.token == "[":
            return self._blank(0)
        return self.graph.node(self._iri())

    def _predicates(self, node: Node, depth: int) -> None:
        while True:
            while self.token == ";":
                self._next()
            if self.token in (".", "]", ""):
                return
            if self.token == "a":
                self._next()
                name = "rdf:type"
            else:
                name = prefixed(self._iri())
            self._objects(node, name, depth)
            if self.token != ";":
                return

    def _objects(self, node: Node, name: str, depth: int) -> None:
        while True:
            for value in self._object(depth):
                if name == "rdf:type":
                    node.types.add(prefixed(value.uri))
                elif value.text or value.uri:
                    node.add(name, value)
            if self.token != ",":
                return
            self._next()

    def _object(self, depth: int) -> list[Value]:
        if depth > _MAX_DEPTH:
            raise self._fail("less nesting")
        if self.kind in ("short", "long"):
            return [self._literal()]
        if self.kind == "number" or self.token in ("true", "false"):
            value = Value(self.token)
            self._next()
            return [value]
        if self.token == "[":
            return [Value(uri=self._blank(depth + 1).name)]
        if self.token == "(":
            self._next()
            values: list[Value] = []
            while self.token != ")":
                values += self._object(depth + 1)
            self._next()
            return values
        return [Value(uri=self._iri())]

    def _literal(self) -> Value:
        quotes = 3 if self.kind == "long" else 1
        text, lang = " ".join(_unescape(self.token[quotes:-quotes]).split()), ""
        self._next()
        if self.kind == "lang":
            lang = read_language(self.token[1:])
            self._next()
        elif self.kind == "type":
            self._next()
            self._iri()
        return Value(text, lang)

    def _blank(self, depth: int) -> Node:
        self._next()
        node = self.graph.node()
        self._predicates(node, depth)
        self._expect("]")
        return node


def _unescape(text: str) -> str:
    def one(match: re.Match[str]) -> str:
        code = match[1]
        if code[0] in "uU" and len(code) > 1:
            number = int(code[1:], 16)
            return chr(number) if number < 0x110000 and not 0xD800 <= number < 0xE000 else "�"
        return _ESCAPES.get(code, code)

    return _ESCAPE.sub(one, text) if "\\" in text else text
