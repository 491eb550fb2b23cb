"""
Which provider claims a model, and which may have a key: asked of all, however many there are.

Parsing 500 manifests takes 200 ms and structuring them as much again; most are of providers
that have no key and do not claim the model, and the text of their manifest says so (2026-11).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from attrs import define, field

from modelplug.catalog import FILE_NAME, match_pattern
from modelplug.errors import ModelplugError
from modelplug.plugins import Plugins
from modelplug.settings import OURS, REFERENCE
from modelplug.types import ModelType

Claim = tuple[str, str, ModelType]
"""(provider, its pattern, the type)."""

_KEPT = 1024


@define(eq=False)
class Claims:
    """What the online providers of *plugins* say of models; read once."""

    plugins: Plugins
    _first: dict[str, Claim | None] = field(init=False, factory=dict, repr=False)
    _patterns: dict[str, Mapping[str, str]] = field(init=False, factory=dict, repr=False)
    _words: dict[str, frozenset[str] | None] = field(init=False, factory=dict, repr=False)
    _texts: dict[str, str] = field(init=False, factory=dict, repr=False)

    def first(self, model: str) -> Claim | None:
        """
        The first provider, by name, one of whose patterns tells what *model* does.

        A manifest that cannot be read is passed over: it is an error for its own name only.
        """
        if model not in self._first:
            if len(self._first) >= _KEPT:
                self._first.clear()
            self._first[model] = self._ask_all(model)
        return self._first[model]

    def _ask_all(self, model: str) -> Claim | None:
        for source in self.plugins.names("create_online"):
            try:
                found = match_pattern(self.patterns(source), model)
            except ModelplugError:
                continue
            if found is not None and found[1] is not None:
                return source, found[0], found[1]
        return None

    def patterns(self, source: str) -> Mapping[str, str]:
        """`[create_online.<source>.models]`; the rest is left unread where that can be."""
        if source not in self._patterns:
            found = patterns_in(self._text(source), source)
            if found is None:
                found = self.plugins.manifest("create_online", source).patterns(source)
            self._patterns[source] = found
        return self._patterns[source]

    def without_key(self, model: str, env: Mapping[str, str]) -> frozenset[str]:
        """
        Providers of which it is certain that no variable holds a key of theirs, and that no
        pattern of theirs is about *model*.
        """
        set_ones = {name for name, value in env.items() if value}
        ours = " ".join(name for name in set_ones if name.startswith((OURS, REFERENCE)))
        return frozenset(
            source
            for source in self.plugins.names("create_online")
            if (words := self._words_of(source)) is not None
            and words.isdisjoint(set_ones)
            and source.upper().replace("-", "_") not in ours
            and match_pattern(self.patterns(source), model) is None
        )

    def _words_of(self, source: str) -> frozenset[str] | None:
        """Every name in the manifest; None where only a parser can tell them."""
        if source not in self._words:
            text = self._text(source)
            certain = patterns_in(text, source) is not None
            self._words[source] = words_in(text) if certain else None
        return self._words[source]

    def _text(self, source: str) -> str:
        """The manifest's text; "" where it is not beside its distribution, or cannot be read."""
        if source not in self._texts:
            entry = self.plugins.find("create_online", source)
            # Not by find_spec, which takes as long as all the rest (2026-11). An editable
            # install has no such file, and is parsed.
            folder = entry.distribution.locate_file(entry.module.partition(".")[0])
            try:
                with open(f"{folder}/{FILE_NAME}", encoding="utf-8") as file:
                    text = file.read()
            except (OSError, UnicodeDecodeError):
                text = ""
            self._texts[source] = text
        return self._texts[source]


_WORD = re.compile(r"[\"']([A-Za-z_][A-Za-z0-9_]*)[\"']")
_LINE = re.compile(r"""(?:"([^"\\]*)"|'([^']*)')\s*=\s*["']([A-Za-z0-9_-]+)["']\s*(?:\#.*)?""")


def words_in(text: str) -> frozenset[str] | None:
    """Every quoted name, variables among them; None where one may be written another way."""
    return None if "\\" in text else frozenset(_WORD.findall(text))


def patterns_in(text: str, source: str) -> dict[str, str] | None:
    """
    Pattern to type of `[create_online.<source>.models]`; None where only a parser can tell.

    A long string could hold what looks like the table, so a text that has one is not read.
    """
    head = f"\n[create_online.{source}.models]\n"
    if text.count(head) != 1 or '"""' in text or "'''" in text:
        return None
    found = [_LINE.fullmatch(line) for line in _table(text.partition(head)[2])]
    pairs = [(match[1] or match[2] or "", match[3]) for match in found if match]
    return dict(pairs) if len(pairs) == len(found) else None


def _table(text: str) -> Iterator[str]:
    """The lines up to the next table, without those that say nothing."""
    for line in text.splitlines():
        bare = line.strip()
        if bare.startswith("["):
            return
        if bare and not bare.startswith("#"):
            yield bare
