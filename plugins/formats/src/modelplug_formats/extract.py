"""
Finding data in a reply's text.

What is tried, in this order, and the first that gives something is the answer:

1. the whole text as JSON;
2. the fenced blocks that are labelled as JSON, or begin as JSON does;
3. every object and array amid the prose.

Within 2 and 3 each piece is read strictly; only a piece that begins as JSON does and cannot be
read so is mended (`modelplug_formats.mend`). Every step takes time in proportion to the text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from attrs import frozen

from modelplug.errors import FormatError
from modelplug_formats.mend import Mender

# A template may have opened the thought itself. Not just any tag: it may stand in a JSON string.
_THOUGHT = re.compile(
    r"\A\s*<think>.*?</think>|\A.*?(?:^[ \t]*</think>|</think>[ \t]*$)", re.DOTALL | re.MULTILINE
)
_FENCE = re.compile(r"^[ \t]*(?P<mark>`{3,}|~{3,})[ \t]*(?P<label>[\w.+-]*)[^\n]*$", re.MULTILINE)
_JSON_LABELS = frozenset({"json", "jsonc", "json5", "jsonl", "ndjson"})
_YAML_LABELS = frozenset({"yaml", "yml", "json"})
_OPENER = re.compile(r"[\[{]")
_OBJECT_BEGINS = re.compile(r"\{\s*(?:[\"'“}]|//|/\*|-?\d+\s*:|[^\W\d][\w$-]*\s*:)")
_ARRAY_BEGINS = re.compile(
    r"\[\s*(?:[\"'“{\[\]]|//|/\*|-?\.?\d|-?(?:true|false|null|None|True|False|NaN|Infinity)\b)"
)
# PyYAML 6.0.3 lets its constructors' own errors out: `2024-13-45` is a ValueError, `!!bool x` a
# KeyError, `!!timestamp x` an AttributeError, `!!int ''` an IndexError (2026-11).
_LET_OUT_BY_PYYAML = (ValueError, LookupError, AttributeError, TypeError, RecursionError)
# Each JSONDecodeError counts the lines of all the text before it: quadratic, if there are many.
# Mending reads sound JSON just as well, at a tenth of the speed.
_MOST_FAILURES = 100
_SHOWN = 80
_DECODER = json.JSONDecoder()


def find_json(text: str) -> list[Any]:
    """
    The JSON values in *text*, at least one; FormatError, with the text, where there is none.

    Of two equal keys the last counts, and NaN and Infinity inside a container are floats, as
    in Python's json. A thought that ends with `</think>` is no part of the answer. An empty
    container, or a whole number alone in brackets as citations are, is left out where there is
    anything else. A reply that was cut off gives what had arrived.
    """
    body = text.lstrip("\ufeff")
    whole = _whole(body)
    if whole is not _NOTHING:
        return [whole]
    body = _THOUGHT.sub("", body, count=1)
    blocks = [
        block.text
        for block in _fenced(body)
        if block.label in _JSON_LABELS or (not block.label and _begins(block.text))
    ]
    mender = Mender()
    values = [value for block in blocks for value in _amid(block, mender)]
    values = values or list(_amid(body, mender))
    if not values:
        msg = f"the reply holds no JSON: {_shown(text)}; ask the model for JSON alone"
        raise FormatError(msg, reply=text)
    return [value for value in values if not _is_filler(value)] or values[:1]


def find_yaml(text: str) -> list[Any]:
    """
    The YAML documents that *text* is, or that its fenced blocks are; at least one.

    A block counts if it is labelled as YAML or JSON, or has no label where none is so labelled.
    FormatError, with the text, where it is no YAML, or a scalar only.
    """
    # PyYAML costs 20 ms to import.
    import yaml

    body = _THOUGHT.sub("", text.lstrip("\ufeff"), count=1)
    blocks = list(_fenced(body))
    labelled = [block.text for block in blocks if block.label in _YAML_LABELS]
    sources = labelled or [block.text for block in blocks if not block.label] or [body]
    try:
        documents = [doc for source in sources for doc in yaml.safe_load_all(source)]
    except (yaml.YAMLError, *_LET_OUT_BY_PYYAML) as exc:
        why = "it is nested too deeply" if isinstance(exc, RecursionError) else _one_line(exc)
        msg = f"the reply is no YAML: {why}; ask the model for YAML alone"
        raise FormatError(msg, reply=text) from exc
    found = [document for document in documents if isinstance(document, dict | list)]
    if not found:
        msg = f"the reply holds no YAML mapping or list: {_shown(text)}"
        raise FormatError(msg, reply=text)
    return found


@frozen
class _Block:
    label: str
    text: str


def _fenced(text: str) -> Iterator[_Block]:
    """The fenced blocks of *text*; one that is not closed, as in a cut reply, ends with it."""
    opened: re.Match[str] | None = None
    for fence in _FENCE.finditer(text):
        if opened is None:
            opened = fence
        elif not fence["label"] and fence["mark"].startswith(opened["mark"]):
            yield _Block(opened["label"].lower(), text[opened.end() : fence.start()])
            opened = None
    if opened is not None:
        yield _Block(opened["label"].lower(), text[opened.end() :])


class _Nothing:
    """Stands for no value, where None is one."""


_NOTHING = _Nothing()


def _whole(text: str) -> Any:
    """All of *text* as JSON, or _NOTHING. NaN alone is a word."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        # ValueError and not only its child JSONDecodeError: an int of more than 4300 digits.
        return _NOTHING
    return _NOTHING if isinstance(value, float) and "n" in text.lower() else value


def _begins(text: str) -> bool:
    return text.lstrip()[:1] in ("{", "[")


def _amid(text: str, mender: Mender) -> Iterator[Any]:
    """Each object and array amid *text*. Never looks at a character in two pieces."""
    at = 0
    value_ended = 0
    failures = 0
    while opener := _OPENER.search(text, at):
        at = opener.start()
        if not _looks_like_json(text, at) or (at != value_ended and _is_index(text, at)):
            at += 1
            continue
        try:
            if failures == _MOST_FAILURES:
                value, at = mender.mend(text, at)
            else:
                value, at = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            failures += 1
            value, at = mender.mend(text, at)
        if value is None:
            continue
        value_ended = at
        yield value


def _looks_like_json(text: str, start: int) -> bool:
    begins = _OBJECT_BEGINS if text[start] == "{" else _ARRAY_BEGINS
    return begins.match(text, start) is not None


def _is_index(text: str, start: int) -> bool:
    """Whether the bracket is that of `items[0]`. Only ASCII: Chinese has no blank before one."""
    before = text[start - 1 : start]
    named = before.isascii() and (before.isalnum() or before in ("_", "]", ")"))
    return text[start] == "[" and before != "" and named


def _is_filler(value: Any) -> bool:
    citation = isinstance(value, list) and len(value) == 1 and type(value[0]) is int
    return citation or value in ({}, [])


def _shown(text: str) -> str:
    words = _one_line(text)
    return repr(words) if words else "it is empty"


def _one_line(text: object) -> str:
    line = " ".join(str(text)[: 4 * _SHOWN].split())
    return line if len(line) <= _SHOWN else line[:_SHOWN] + "..."
