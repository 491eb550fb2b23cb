"""
A config file: its top-level names, the value under one of them, and the line of each field.

A big file is cut at its top-level names and only the part that is asked for is parsed: PyYAML
takes 60 ms for a thousand entries, cutting takes 3 (2026-11). A part that does not parse, and
a file that cannot be cut with certainty, are parsed whole.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from attrs import define, field, frozen

from modelplug.errors import BadConfig

CUT_FROM = 16_384
"""Characters from which a file is cut. A smaller one is parsed whole, and all its syntax seen."""

MOST_VALUES = 100_000
"""Values under one name. YAML's aliases make any number of them out of a few lines."""

Keys = tuple[str | int, ...]
"""The way to a value: names of tables and places in lists."""


@frozen
class Part:
    """The text of some names, and the number of lines before it."""

    text: str
    before: int


@define(eq=False)
class Document:
    """One file. `under` is where the names are: `("tool", "modelplug")` in a pyproject."""

    path: Path
    shown: str
    text: str = field(repr=False)
    under: tuple[str, ...] = ()
    cut_from: int = CUT_FROM
    _parts: dict[str, list[Part]] | None = field(init=False, default=None, repr=False)
    _parsed: dict[str | None, Tree] = field(init=False, factory=dict, repr=False)

    def __attrs_post_init__(self) -> None:
        if len(self.text) >= self.cut_from and not self.under:
            self._parts = self._cut()

    def names(self) -> list[str]:
        """The top-level names, in the file's order."""
        return list(self._whole().values) if self._parts is None else list(self._parts)

    def holding(self, word: str) -> list[str]:
        """The names that may hold *word* below them: all, where that is not known."""
        if self._parts is None:
            return self.names()
        return [
            name for name, parts in self._parts.items() if any(word in part.text for part in parts)
        ]

    def value(self, name: str) -> Any:
        """What is under *name*; None where there is none. BadConfig tells file and line."""
        return self._tree(name).values.get(name)

    def line(self, *keys: str | int) -> int:
        """The line of a value, from 1; of what holds it, where its own is not known."""
        return self._tree(str(keys[0])).line(keys)

    def check(self) -> None:
        """BadConfig if the file cannot be read as a whole."""
        self._whole()

    def _tree(self, name: str) -> Tree:
        if self._parts is None or None in self._parsed:
            return self._whole()
        if name not in self._parsed:
            try:
                self._parsed[name] = self._together(self._parts.get(name, []))
            except BadConfig:
                # The cut may be what is wrong: only the whole file can tell.
                return self._whole()
        return self._parsed[name]

    def _whole(self) -> Tree:
        if None not in self._parsed:
            tree = self._parse(Part(self.text, 0))
            self._parsed[None] = tree.below(self)
        return self._parsed[None]

    def _together(self, parts: list[Part]) -> Tree:
        if not parts:
            return Tree({})
        # Blank lines instead of a parser's offset: tables of one name may lie apart in TOML.
        before = parts[0].before
        text = ""
        for part in parts:
            text += "\n" * (part.before - before - text.count("\n")) + part.text
        return self._parse(Part(text, before)).below(self)

    @property
    def is_toml(self) -> bool:
        """Whether it is TOML; everything else is read as YAML, JSON too."""
        return self.path.suffix == ".toml"

    def _cut(self) -> dict[str, list[Part]] | None:
        return cut_toml(self.text) if self.is_toml else cut_yaml(self.text)

    def _parse(self, part: Part) -> Tree:
        if self.is_toml:
            return _parse_toml(self, part)
        from modelplug.config.yaml_tree import parse_yaml

        return parse_yaml(self, part)

    def fault(self, line: int, what: str, mend: str, at: str = "") -> BadConfig:
        """The error for a fault in *line*; *at* is the field."""
        place = f"{self.shown}, line {line}"
        told = f"{place}, {at}" if at else place
        return BadConfig(
            f"{told}: {what}; {mend}", path=str(self.path), line=line, field=at or "(the file)"
        )


class Tree:
    """Parsed values and their lines."""

    def __init__(self, values: Mapping[str, Any], first: int = 1) -> None:
        self.values = values
        self.first = first

    def line(self, keys: Keys) -> int:
        """The line of what *keys* lead to, or of what holds it."""
        return self.first

    def below(self, document: Document) -> Tree:
        """The tree under `document.under`."""
        return self


class _TomlTree(Tree):
    def __init__(self, document: Document, part: Part, values: Mapping[str, Any]) -> None:
        super().__init__(values, part.before + 1)
        self._part = part
        self._under = document.under
        self._lines: dict[Keys, int] | None = None

    def line(self, keys: Keys) -> int:
        if self._lines is None:  # only an error or an explanation asks for lines
            self._lines = dict(_toml_lines(self._part))
        full = (*self._under, *keys)
        for length in range(len(full), 0, -1):
            if full[:length] in self._lines:
                return self._lines[full[:length]]
        return self.first

    def below(self, document: Document) -> Tree:
        values: Any = self.values
        for name in document.under:
            values = values.get(name, {}) if isinstance(values, dict) else None
        if not isinstance(values, dict):
            where = ".".join(document.under)
            raise document.fault(self.line(()), f"[{where}] is no table", "write it as one", where)
        self.values = values
        return self


_AT = re.compile(r"\(at line (\d+)")


def _parse_toml(document: Document, part: Part) -> Tree:
    try:
        return _TomlTree(document, part, tomllib.loads(part.text))
    except (ValueError, RecursionError) as exc:  # a TOMLDecodeError, or a number too long for int
        at = _AT.search(str(exc))
        line = part.before + (int(at[1]) if at else 1)
        what = str(exc).partition(" (at ")[0] or type(exc).__name__
        raise document.fault(line, f"this is not TOML: {what}", "mend that line") from exc


_KEY = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')"""
_HEADER = re.compile(rf"\[\[?\s*{_KEY}(?:\s*\.\s*{_KEY})*\s*\]\]?\s*(?:#.*)?$")
_BARE = re.compile(r"\[\[?([A-Za-z0-9_-]+)[\].]")
_PAIR = re.compile(rf"\s*({_KEY}(?:\s*\.\s*{_KEY})*)\s*=")


def _toml_lines(part: Part) -> Iterator[tuple[Keys, int]]:
    """Where each key is set. A line inside a long string may look like one; it only adds."""
    table: Keys = ()
    counts: dict[Keys, int] = {}
    for number, text in enumerate(part.text.split("\n"), part.before + 1):
        if _HEADER.match(text.strip()):
            table = _way(text.strip())
            if text.lstrip().startswith("[["):
                counts[table] = counts.get(table, -1) + 1
                table = (*table, counts[table])
            yield table, number
        elif pair := _PAIR.match(text):
            yield (*table, *_way(f"{pair[1]} = 0")), number


def _way(text: str) -> Keys:
    """The names in a header or a key, read by the parser itself."""
    keys: list[str] = []
    value: Any = tomllib.loads(text)
    while isinstance(value, dict | list) and value:
        if isinstance(value, list):
            value = value[0]
        else:
            keys.append(next(iter(value)))
            value = value[keys[-1]]
    return tuple(keys)


def cut_toml(text: str) -> dict[str, list[Part]] | None:
    """The tables of each top-level name; None if a long string may hold what looks like one."""
    if '"""' in text or "'''" in text:
        return None
    parts: dict[str, list[Part]] = {}
    begun = [match.start() for match in re.finditer(r"^\[", text, re.M)]
    if not begun or text[: begun[0]].strip():
        return None  # keys before the first table
    line = text.count("\n", 0, begun[0])
    for start, end in zip(begun, [*begun[1:], len(text)], strict=True):
        head = text[start : text.find("\n", start, end)]
        if not _HEADER.match(head):
            return None
        simple = _BARE.match(head)
        name = simple[1] if simple else str(_way(head)[0])
        parts.setdefault(name, []).append(Part(text[start:end], line))
        line += text.count("\n", start, end)
    return parts


# ASCII: YAML knows no other spaces.
_YAML_NAME = re.compile(
    r"""(?:([^\s\-?:,\[\]{}\#&*!|>'"%@`][^\n]*?)|"([^"\\\n]+)"|'([^'\n]+)')[ ]*:(?=\s|$)""",
    re.ASCII,
)
_ODD = re.compile("[\t\r\x85\u2028\u2029]")  # the last three end lines in YAML alone
_SHARED = re.compile(r"(?:^|\s)(?:[&*]\S|<<\s*:)", re.M | re.ASCII)


def cut_yaml(text: str) -> dict[str, list[Part]] | None:
    """The lines of each top-level name; None where that is not certain, as with anchors."""
    if _ODD.search(text) or _SHARED.search(text):
        return None
    starts: list[tuple[str, int]] = []
    for match in re.finditer(r"^[^\s#].*$", text, re.M | re.ASCII):
        top = match[0]
        if top == "---" and not starts:
            continue
        if top.startswith("- ") or top == "-":
            if not starts:
                return None
            continue
        name = _YAML_NAME.match(top)
        if name is None or " #" in name[0]:
            return None
        starts.append((name[1] or name[2] or name[3], match.start()))
    if not starts:
        return None
    parts: dict[str, list[Part]] = {}
    line = text.count("\n", 0, starts[0][1])
    ends = [start for _, start in starts[1:]] + [len(text)]
    for (name_, start), end in zip(starts, ends, strict=True):
        if name_ in parts:
            return None  # twice: the parser says where
        parts[name_] = [Part(text[start:end], line)]
        line += text.count("\n", start, end)
    return parts
