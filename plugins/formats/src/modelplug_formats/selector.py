"""
Selectors: which part of a parsed reply to give.

A selector is a row of steps. Each step is applied to what the one before gave; after a step
that gives several values, the steps that follow are applied to each of them.

    step        on a list or tuple              on a mapping
    [k]         the item at index k             the value of key k
    [i,j]       the items at i and j            the values of keys i and j, as a list
    [i:j:s]     the slice                       only [:], the list of all values
    {i,j}       -                               the mapping of keys i and j alone
    {:}         -                               the whole mapping

`[:][title]` is the title of every item; `[:]{a,b}` keeps two keys of every item; `{:}[0]`
keeps all keys and takes the first item of each value. Lists stay lists and tuples tuples.
Indexes count from the end where negative; a bound may be empty or None. A name may stand in
quotes, and must where it holds one of `,:[]{}"'` or begins or ends with a blank. `[{a}]` is
`{a}`. A `*` before the whole selector, which must then begin with `[`, gives what `[i,j]`
picks as tuples, to be passed on as separate arguments.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NoReturn, cast

from attrs import field, frozen

from modelplug.errors import ConfigError, FormatError, did_you_mean

_PART = re.compile(r"""\s*("[^"]*"|'[^']*'|[^,:\[\]{}"'*]*)\s*""")
_NUMBER = re.compile(r"[+-]?[0-9]{1,18}")
_SHOWN_KEYS = 10


@frozen
class One:
    """`[k]`"""

    key: str


@frozen
class Several:
    """`[i,j]`"""

    keys: tuple[str, ...]


@frozen
class Slice:
    """`[i:j:s]`"""

    bounds: slice


@frozen
class Keep:
    """`{i,j}`; no keys means all of them."""

    keys: tuple[str, ...]


Step = One | Several | Slice | Keep


@frozen
class Selector:
    """A parsed selector; without steps it gives the whole."""

    text: str = ""
    steps: tuple[Step, ...] = ()
    tuples: bool = False

    @classmethod
    def parse(cls, text: str | None) -> Selector:
        """Read *text*; ConfigError shows where it cannot be read."""
        if text is None or not text.strip():
            return cls()
        return _Reader(text).selector()

    def pick(self, data: Any, *, reply: object = None) -> Any:
        """What the steps pick of *data*; FormatError tells the path and what is there instead."""
        return _Walk(self, data if reply is None else reply).walk(data, 0, "$")

    def __str__(self) -> str:
        return self.text


@frozen
class _Part:
    text: str
    quoted: bool
    at: int


class _Reader:
    """One pass over a selector's text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def selector(self) -> Selector:
        self._blanks()
        tuples = self._take("*")
        if tuples and not self._sees("["):
            self._refuse("'[' expected after '*'")
        steps = []
        while self.at < len(self.text):
            steps.append(self._step())
            self._blanks()
        return Selector(self.text.strip(), tuple(steps), tuples)

    def _step(self) -> Step:
        if self._take("{"):
            return self._keep("}")
        if not self._take("["):
            self._refuse("'[' or '{' expected")
        self._blanks()
        if self._take("{"):
            keep = self._keep("}")
            self._blanks()
            self._expect("]")
            return keep
        parts, separators = self._parts("]")
        if ":" in separators:
            return self._slice(parts, separators)
        return self._one_or_several(parts)

    def _keep(self, closer: str) -> Keep:
        parts, separators = self._parts(closer)
        if separators == [":"] and not any(part.text or part.quoted for part in parts):
            return Keep(())
        if ":" in separators:
            self._refuse("only {:} may hold a ':'", parts[1].at - 1)
        return Keep(self._names(parts))

    def _one_or_several(self, parts: list[_Part]) -> Step:
        names = self._names(parts)
        return One(names[0]) if len(parts) == 1 else Several(names)

    def _names(self, parts: list[_Part]) -> tuple[str, ...]:
        # A comma may end the row, as in a Python tuple: [a,] gives a list of one.
        named = parts[:-1] if len(parts) > 1 and not _is_given(parts[-1]) else parts
        for part in named:
            if not _is_given(part):
                self._refuse("a name or number expected", part.at)
        return tuple(part.text for part in named)

    def _slice(self, parts: list[_Part], separators: list[str]) -> Slice:
        if "," in separators:
            self._refuse("',' and ':' in one step", parts[separators.index(",") + 1].at - 1)
        if len(parts) > 3:
            self._refuse("a slice has at most three numbers", parts[3].at - 1)
        numbers = [self._bound(part) for part in parts]
        if len(numbers) == 3 and numbers[2] == 0:
            self._refuse("the step of a slice cannot be 0", parts[2].at)
        return Slice(slice(*numbers))

    def _bound(self, part: _Part) -> int | None:
        if not _is_given(part) or (part.text == "None" and not part.quoted):
            return None
        if part.quoted or not _NUMBER.fullmatch(part.text):
            self._refuse("a number expected", part.at)
        return int(part.text)

    def _parts(self, closer: str) -> tuple[list[_Part], list[str]]:
        parts, separators = [self._part()], []
        while not self._take(closer):
            separator = self.text[self.at : self.at + 1]
            if not separator or separator not in ",:":
                self._refuse(f"{closer!r} expected")
            self.at += 1
            separators.append(separator)
            parts.append(self._part())
        return parts, separators

    def _part(self) -> _Part:
        found = cast("re.Match[str]", _PART.match(self.text, self.at))  # it matches "" as well
        self.at = found.end()
        text = found[1]
        quoted = text[:1] in ("'", '"') and bool(text)
        return _Part(text[1:-1] if quoted else text.strip(), quoted, found.start(1))

    def _blanks(self) -> None:
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1

    def _sees(self, char: str) -> bool:
        return self.text.startswith(char, self.at)

    def _take(self, char: str) -> bool:
        seen = self._sees(char)
        self.at += seen
        return seen

    def _expect(self, char: str) -> None:
        if not self._take(char):
            self._refuse(f"{char!r} expected")

    def _refuse(self, what: str, at: int | None = None) -> NoReturn:
        at = self.at if at is None else at
        here = repr(self.text[at:]) if at < len(self.text) else "the end"
        msg = f"the selector {self.text!r} cannot be read: {what} at position {at}, before {here}"
        raise ConfigError(msg)


def _is_given(part: _Part) -> bool:
    return part.quoted or bool(part.text)


@frozen
class _Walk:
    """One selector on its way through one reply."""

    selector: Selector
    reply: object = field(repr=False)

    def walk(self, data: Any, index: int, path: str) -> Any:
        if index == len(self.selector.steps):
            return data
        step = self.selector.steps[index]
        following = index + 1
        if isinstance(step, One):
            return self.walk(*self._item(data, step.key, path, following))
        if isinstance(step, Several):
            picked = [self.walk(*self._item(data, key, path, following)) for key in step.keys]
            return tuple(picked) if self.selector.tuples else _like(data, picked)
        if isinstance(step, Keep):
            return self._keep(data, step, path, following)
        return self._slice(data, step, path, following)

    def _keep(self, data: Any, step: Keep, path: str, following: int) -> Any:
        if not isinstance(data, Mapping):
            self._refuse(path, f"is {_told(data)}, and {{...}} needs a mapping")
        if not step.keys:
            return {k: self.walk(v, following, _at(path, k)) for k, v in data.items()}
        found = (self._named(data, name, path) for name in step.keys)
        return {key: self.walk(data[key], following, _at(path, key)) for key in found}

    def _slice(self, data: Any, step: Slice, path: str, following: int) -> Any:
        if isinstance(data, Mapping):
            if step.bounds != slice(None):
                self._refuse(path, f"is {_told(data)}, of which only [:] can be had")
            return [self.walk(v, following, _at(path, k)) for k, v in data.items()]
        if not isinstance(data, list | tuple):
            self._refuse(path, f"is {_told(data)}, and a slice needs a list")
        places = range(len(data))[step.bounds]
        return _like(data, [self.walk(data[i], following, f"{path}[{i}]") for i in places])

    def _item(self, data: Any, key: str, path: str, following: int) -> tuple[Any, int, str]:
        if isinstance(data, Mapping):
            name = self._named(data, key, path)
            return data[name], following, _at(path, name)
        if not isinstance(data, list | tuple):
            self._refuse(path, f"is {_told(data)} and has no {key!r}")
        if not _NUMBER.fullmatch(key):
            self._refuse(path, f"is {_told(data)} and has no {key!r}; put [:] before it")
        if not -len(data) <= int(key) < len(data):
            self._refuse(path, f"is {_told(data)} and has no item {key}")
        return data[int(key)], following, f"{path}[{key}]"

    def _named(self, data: Mapping[Any, Any], name: str, path: str) -> Any:
        # YAML has keys that are numbers.
        number = int(name) if _NUMBER.fullmatch(name) else None
        if name not in data and (number is None or number not in data):
            self._refuse_key(data, name, path)
        return name if name in data else number

    def _refuse_key(self, data: Mapping[Any, Any], name: str, path: str) -> NoReturn:
        keys = [str(key) for key in data]
        more = ", ..." if len(keys) > _SHOWN_KEYS else ""
        shown = ", ".join(map(repr, keys[:_SHOWN_KEYS])) or "none"
        near = did_you_mean(name, keys[:1000])
        self._refuse(path, f"has no key {name!r} (keys: {shown}{more}){near}")

    def _refuse(self, path: str, what: str) -> NoReturn:
        msg = f"the selector {self.selector.text!r} does not fit the reply: {path} {what}"
        raise FormatError(msg, reply=self.reply)


def _like(data: Any, items: list[Any]) -> Any:
    return tuple(items) if isinstance(data, tuple) else items


def _at(path: str, key: object) -> str:
    text = str(key)
    return f"{path}.{text}" if text.isidentifier() else f"{path}[{text!r}]"


def _told(data: Any) -> str:
    if isinstance(data, Mapping):
        return "a mapping"
    if isinstance(data, list | tuple):
        return f"a {type(data).__name__} of {len(data)}"
    return f"{type(data).__name__} and no container" if data is not None else "null"
