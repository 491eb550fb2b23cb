"""
From the formats that training data comes in to the three that trainers are given.

openai messages, ShareGPT, alpaca, prompt and completion become `messages`; query, pos and neg
(also anchor, positive, negative) become `triples`; two texts and a score become `pairs`. See
`modelplug.types.FORMS`. What a trainer would take wrongly in silence is a fault here: an
unknown role, an answer that is empty, a score that is no number.
"""

# ruff: noqa: EM101, EM102 - a Fault is given a field and what is wrong with it

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from attrs import frozen

Value = Mapping[str, Any]

# ShareGPT's names of who speaks, with those that LLaMA-Factory and others add.
SPEAKERS = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "system": "system",
    "observation": "tool",
    "tool": "tool",
}
ROLES = ("system", "user", "assistant", "tool")
_PAIR_NAMES = (
    ("query", "document"),
    ("query", "passage"),
    ("sentence1", "sentence2"),
    ("text1", "text2"),
)
_SCORES = ("score", "label")


class Fault(Exception):
    """A field that cannot be used: `field`, such as `messages[1].role`, and why."""

    def __init__(self, field: str, why: str) -> None:
        super().__init__(f"{field}: {why}" if field else why)


@frozen
class Format:
    """A format of files: the keys that tell it, what it becomes, every key it may have."""

    name: str
    form: str
    tells: frozenset[str]
    keys: frozenset[str]
    convert: Callable[[Value], dict[str, Any]]


def format_of(value: Any) -> Format:
    """The format whose keys *value* has; Fault names those that there are."""
    if not isinstance(value, dict):
        raise Fault("", f"an object is needed, not {type(value).__name__}")
    for format_ in FORMATS:
        if format_.tells <= value.keys():
            return format_
    known = "; ".join(" + ".join(sorted(format_.tells)) for format_ in FORMATS)
    raise Fault("", f"no known format has the fields {', '.join(value) or 'none'} (known: {known})")


# Conversations.


def _openai(value: Value) -> dict[str, Any]:
    return _conversation(value, list(_messages("messages", value["messages"])))


def _messages(field: str, given: Any) -> Iterator[dict[str, Any]]:
    for place, message in _objects(field, given):
        role = message.get("role")
        if role not in ROLES:
            known = ", ".join(ROLES)
            raise Fault(f"{place}.role", f"{role!r} is none of {known}")
        kept = {k: message[k] for k in ("tool_calls", "tool_call_id", "name") if message.get(k)}
        if message.get("content") is None and kept.get("tool_calls"):
            yield {"role": role, "content": "", **kept}
        else:
            yield {"role": role, "content": _said(f"{place}.content", message), **kept}


def _said(field: str, message: Value) -> str:
    content = message.get("content")
    if isinstance(content, list):
        kinds = [part.get("type") if isinstance(part, dict) else None for part in content]
        if set(kinds) - {"text"}:
            raise Fault(field, "only text can be trained on")
        return "".join(_text(field, part, "text") for part in content)
    return _text(field, message, "content")


def _sharegpt(value: Value) -> dict[str, Any]:
    key = "conversations"
    turns = []
    for place, turn in _objects(key, value[key]):
        if "from" not in turn and "role" in turn:
            return _conversation(value, list(_messages(key, value[key])))
        speaker = turn.get("from")
        if speaker == "function_call":
            turns.append(_function_call(f"{place}.value", turn))
        elif speaker in SPEAKERS:
            said = _text(f"{place}.value", turn, "value")
            turns.append({"role": SPEAKERS[speaker], "content": said})
        else:
            known = ", ".join([*SPEAKERS, "function_call"])
            raise Fault(f"{place}.from", f"{speaker!r} is none of {known}")
    return _conversation(value, turns)


def _function_call(field: str, turn: Value) -> dict[str, Any]:
    try:
        call = json.loads(_text(field, turn, "value"))
        function = {"name": call["name"], "arguments": json.dumps(call["arguments"])}
    except (ValueError, KeyError, TypeError) as exc:
        raise Fault(field, 'a call is {"name": ..., "arguments": ...} as JSON') from exc
    calls = [{"type": "function", "function": function}]
    return {"role": "assistant", "content": "", "tool_calls": calls}


def _alpaca(value: Value) -> dict[str, Any]:
    turns = []
    for place, pair in enumerate(value.get("history") or []):
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise Fault(f"history[{place}]", "a question and its answer are needed")
        turns += _exchange(*(_is_text(f"history[{place}]", text) for text in pair))
    asked = _text("instruction", value, "instruction")
    if more := value.get("input"):
        asked += "\n" + _is_text("input", more)
    return _conversation(value, [*turns, *_exchange(asked, _text("output", value, "output"))])


def _prompt(answer: str) -> Callable[[Value], dict[str, Any]]:
    def convert(value: Value) -> dict[str, Any]:
        if isinstance(value["prompt"], list):
            turns = [*_messages("prompt", value["prompt"]), *_messages(answer, value[answer])]
            return _conversation(value, turns)
        turns = _exchange(_text("prompt", value, "prompt"), _text(answer, value, answer))
        return _conversation(value, turns)

    return convert


def _exchange(asked: str, answered: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": asked}, {"role": "assistant", "content": answered}]


def _conversation(value: Value, turns: list[dict[str, Any]]) -> dict[str, Any]:
    """The row of *turns*, with the system text and tools of *value*, checked as a whole."""
    if system := value.get("system"):
        turns = [{"role": "system", "content": _is_text("system", system)}, *turns]
    roles = [turn["role"] for turn in turns]
    if "system" in roles[1:]:
        raise Fault(f"turn {roles.index('system', 1) + 1}", "a system text stands only at first")
    if next((role for role in roles if role != "system"), None) != "user":
        raise Fault("turn 1", "the user does not begin")
    if roles[-1] != "assistant":
        raise Fault(f"turn {len(turns)}", f"the last is the {roles[-1]}'s, so there is no answer")
    for number, turn in enumerate(turns, 1):
        if turn["role"] == "assistant" and not (turn["content"].strip() or turn.get("tool_calls")):
            raise Fault(f"turn {number}", "the answer is empty")
        if turn["role"] == "user" and not turn["content"].strip():
            raise Fault(f"turn {number}", "the question is empty")
    row: dict[str, Any] = {"messages": turns}
    if tools := value.get("tools"):
        row["tools"] = _tools(tools)
    return row


def _tools(tools: Any) -> Any:
    try:
        tools = json.loads(tools) if isinstance(tools, str) else tools
    except ValueError as exc:
        raise Fault("tools", f"not JSON: {exc}") from exc
    if not isinstance(tools, list):
        raise Fault("tools", f"a list is needed, not {type(tools).__name__}")
    return tools


# Retrieval.


def _triples(query: str, positives: str, negatives: str) -> Callable[[Value], dict[str, Any]]:
    def convert(value: Value) -> dict[str, Any]:
        row: dict[str, Any] = {
            "query": _filled(query, value[query]),
            "pos": _texts(positives, value[positives]),
            "neg": _texts(negatives, value.get(negatives) or []),
        }
        if not row["pos"]:
            raise Fault(positives, "there is no positive")
        if both := set(row["pos"]) & set(row["neg"]):
            raise Fault(negatives, f"{min(both)!r} is positive and negative at once")
        for side in ("pos", "neg"):
            if (scores := value.get(f"{side}_scores")) is not None:
                row[f"{side}_scores"] = _scores(f"{side}_scores", scores, len(row[side]))
        return row

    return convert


def _pair(first: str, second: str, score: str) -> Callable[[Value], dict[str, Any]]:
    def convert(value: Value) -> dict[str, Any]:
        told = _is_number(score, value[score])
        if not 0 <= told <= 1:
            raise Fault(score, f"a score from 0 to 1 is needed, not {told:g}; divide by the best")
        query, document = _filled(first, value[first]), _filled(second, value[second])
        return {"query": query, "document": document, "score": told}

    return convert


def _texts(field: str, given: Any) -> list[str]:
    if isinstance(given, str):
        return [_filled(field, given)]
    if not isinstance(given, list):
        raise Fault(field, f"a text or a list of texts is needed, not {type(given).__name__}")
    return [_filled(f"{field}[{place}]", text) for place, text in enumerate(given)]


def _scores(field: str, given: Any, count: int) -> list[float]:
    if not isinstance(given, list) or len(given) != count:
        raise Fault(field, f"{count} scores are needed, one for each text")
    return [_is_number(f"{field}[{place}]", score) for place, score in enumerate(given)]


# Values.


def _objects(field: str, given: Any) -> Iterator[tuple[str, Value]]:
    if not isinstance(given, list) or not given:
        raise Fault(field, "a list of turns is needed" if given else "there is no turn")
    for place, each in enumerate(given):
        if not isinstance(each, dict):
            raise Fault(f"{field}[{place}]", f"an object is needed, not {type(each).__name__}")
        yield f"{field}[{place}]", each


def _text(field: str, value: Value, key: str) -> str:
    if key not in value:
        raise Fault(field, "it is missing")
    return _is_text(field, value[key])


def _is_text(field: str, given: Any) -> str:
    if not isinstance(given, str):
        raise Fault(field, f"text is needed, not {type(given).__name__}")
    return given


def _filled(field: str, given: Any) -> str:
    if not _is_text(field, given).strip():
        raise Fault(field, "it is empty")
    return str(given)


def _is_number(field: str, given: Any) -> float:
    try:
        number = float("nan") if isinstance(given, bool) else float(given)
    except (TypeError, ValueError):
        number = float("nan")
    if not abs(number) < float("inf"):
        raise Fault(field, f"a number is needed, not {given!r}")
    return number


def _format(
    name: str,
    form: str,
    tells: Sequence[str],
    convert: Callable[[Value], dict[str, Any]],
    more: Sequence[str] = (),
) -> Format:
    return Format(name, form, frozenset(tells), frozenset([*tells, *more]), convert)


_CHAT_KEYS = ("system", "tools")
_SCORED = ("pos_scores", "neg_scores")
FORMATS = (
    _format("openai messages", "messages", ["messages"], _openai, _CHAT_KEYS),
    _format("ShareGPT", "messages", ["conversations"], _sharegpt, _CHAT_KEYS),
    _format(
        "alpaca",
        "messages",
        ["instruction", "output"],
        _alpaca,
        ["input", "history", *_CHAT_KEYS],
    ),
    _format("prompts", "messages", ["prompt", "completion"], _prompt("completion"), _CHAT_KEYS),
    _format("prompts", "messages", ["prompt", "response"], _prompt("response"), _CHAT_KEYS),
    _format(
        "triples", "triples", ["query", "pos"], _triples("query", "pos", "neg"), ["neg", *_SCORED]
    ),
    _format(
        "triples",
        "triples",
        ["anchor", "positive"],
        _triples("anchor", "positive", "negative"),
        ["negative"],
    ),
    *(
        _format("scored pairs", "pairs", [first, second, score], _pair(first, second, score))
        for first, second in _PAIR_NAMES
        for score in _SCORES
    ),
)  # fmt: skip
"""Tried in this order."""
