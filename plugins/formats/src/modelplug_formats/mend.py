"""
Mending JSON that a model damaged.

First the usual damage is undone, in one pass over the text: comments, commas before a closing
bracket, single quotes, bare keys, Python's literals, line breaks inside strings, and an end
that never came. Anything else, such as a quote that was not escaped, goes to json_repair.
"""

from __future__ import annotations

import json
import re
from typing import Any

from attrs import define, field

MAX_DEPTH = 200
"""Brackets within brackets beyond which nothing is mended."""

MAX_EFFORT = 10_000_000
"""
Characters times structural characters, over one reply, beyond which json_repair is not asked.

Its time grows with the square of the text on some inputs: 16,000 characters of `["a ["a ["a`
took 5.7 s, and `a: b, a: b` without quotes 3.1 s (json_repair 0.64.5, 2026-11). At this limit
the worst input found takes about half a second; 20,000 characters of prose in one damaged
string are still mended.
"""

LEAST_EFFORT = 5_000
"""What even the smallest piece counts: about 0.15 ms, like a larger one of that effort."""

_TOKEN = re.compile(
    r"""
      "(?:[^"\\]|\\.)*+\\?(?:"|\Z)      # a string, or the beginning of one that was cut off
    | '(?:[^'\\]|\\.)*+\\?(?:'|\Z)
    | //[^\n]* | \#[^\n]* | /\*.*?(?:\*/|\Z)
    | [\[\]{},:]
    | [^\s"'\[\]{},:/\#]+ | [/\#]
    """,
    re.VERBOSE | re.DOTALL,
)
_STRUCTURE = "\"',:{}[]"
_CLOSES = {"{": "}", "[": "]"}
_OPENS = {"}": "{", "]": "["}
_LITERALS = {"True": "true", "False": "false", "None": "null", "undefined": "null"}
_SCALAR = re.compile(r"-?\d.*|true|false|null|-?Infinity|NaN", re.DOTALL)
_HALF_ESCAPE = re.compile(r"(?<!\\)((?:\\\\)*)\\(?:u[0-9a-fA-F]{0,3})?\Z")


@define
class Mender:
    """Mends the pieces of one reply; `effort` is what is left of MAX_EFFORT for all of them."""

    effort: int = MAX_EFFORT

    def mend(self, text: str, start: int) -> tuple[Any, int]:
        """
        The object or array that begins at *start*, and where it ends.

        None instead of the value where nothing can be made of it.
        """
        tidy = _Tidy(text)
        end = tidy.read(start)
        if len(tidy.stack) > MAX_DEPTH:
            return None, end
        try:
            return json.loads(tidy.result(), strict=False), end
        except (ValueError, RecursionError):
            return self._repair(text[start:end]), end

    def _repair(self, span: str) -> Any:
        structural = sum(span.count(char) for char in _STRUCTURE)
        effort = max(LEAST_EFFORT, len(span) * structural)
        if effort > self.effort:
            return None
        self.effort -= effort
        # Costs 15 ms to import, and few replies need it.
        import json_repair

        try:
            value = json_repair.loads(span, skip_json_loads=True)
        except (ValueError, RecursionError):
            return None
        return value if isinstance(value, dict | list) and value else None


@define
class _Tidy:
    """One pass over damaged JSON; `out` is the strict JSON that it makes of it."""

    text: str
    out: list[str] = field(factory=list)
    stack: list[str] = field(factory=list)

    def read(self, start: int) -> int:
        """
        Read until the bracket at *start* is closed, or the text ends; answers where.

        Beyond MAX_DEPTH the rest of the text is given up, for `_close` looks through the stack.
        """
        for token in _TOKEN.finditer(self.text, start):
            self._add(token[0])
            if not self.stack:
                return token.end()
            if len(self.stack) > MAX_DEPTH:
                break
        return len(self.text)

    def result(self) -> str:
        """Strict JSON, if the damage was of the usual kinds."""
        if self.stack:
            self._drop_what_is_half()
        while self.stack:
            self._close()
        return "".join(self.out)

    def _add(self, piece: str) -> None:
        first = piece[0]
        if first in "{[":
            self.stack.append(first)
            self.out.append(first)
        elif first in "}]":
            self._close_up_to(_OPENS[first])
        elif first == '"':
            self.out.append(_closed(piece))
        elif first == "'":
            self.out.append(_double_quoted(_closed(piece)))
        elif piece == ":" and self.out[-1][0] not in '"{[]},:':
            self.out[-1] = json.dumps(self.out[-1])
            self.out.append(piece)
        elif not piece.startswith(("//", "/*", "#")):
            self.out.append(_LITERALS.get(piece, piece))

    def _close_up_to(self, opener: str) -> None:
        # In {"a": [1, 2} a bracket is missing; in ["a"}] one is too many.
        if opener not in self.stack:
            return
        while self.stack[-1] != opener:
            self._close()
        self._close()

    def _close(self) -> None:
        if self.out[-1] == ",":
            self.out.pop()
        self.out.append(_CLOSES[self.stack.pop()])

    def _drop_what_is_half(self) -> None:
        out = self.out
        if out[-1][0] not in '{[]},:"' and not _SCALAR.fullmatch(out[-1]):
            out.pop()
        if out[-1] == ":":
            del out[-2:]
        elif self.stack[-1] == "{" and out[-1][0] == '"' and out[-2] in ("{", ","):
            out.pop()


def _closed(token: str) -> str:
    """A string token with its end, should the text have been cut off inside it."""
    quote = token[0]
    body = token[1:-1] if len(token) > 1 and token[-1] == quote else None
    if body is not None and not _HALF_ESCAPE.search(body):
        return token
    return quote + _HALF_ESCAPE.sub(r"\1", token[1:]) + quote


def _double_quoted(token: str) -> str:
    def escape(found: re.Match[str]) -> str:
        if found[0] == '"':
            return '\\"'
        return "'" if found[1] == "'" else found[0]

    return '"' + re.sub(r'\\(.)|"', escape, token[1:-1], flags=re.DOTALL) + '"'
