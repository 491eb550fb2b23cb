"""Messages as OpenAI's, turned into the system blocks and turns of the Messages wire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from modelplug.media import from_data_uri
from modelplug.openai_wire.message import tool_call

WIRE = "anthropic"
"""Under this name a turn that must go back as it came is kept in `native`."""

Block = Mapping[str, Any]


def conversation(messages: Sequence[Mapping[str, Any]]) -> tuple[Any, list[dict[str, Any]]]:
    """
    (system, turns) of *messages*.

    System texts are hoisted out from everywhere: only the newest models take one between
    turns. Turns of one role in a row become one, results of tools first.
    """
    system: list[Block] = []
    turns: list[tuple[str, list[Block]]] = []
    for message in messages:
        role = message["role"]
        if role in ("system", "developer"):
            system += _blocks(message.get("content"))
            continue
        role, blocks = ("user", [_result(message)]) if role == "tool" else (role, _turn(message))
        if turns and turns[-1][0] == role:
            turns[-1][1].extend(blocks)
        elif blocks:
            turns.append((role, blocks))
    if turns and turns[-1][0] == "assistant":
        turns[-1][1][-1] = _without_end_space(turns[-1][1][-1])
    return _short(system, "\n\n"), [
        {"role": role, "content": _short(blocks)} for role, blocks in turns
    ]


def _turn(message: Mapping[str, Any]) -> list[Block]:
    native = message.get("native") or {}
    if WIRE in native:  # signed thoughts go back unmodified, and before the calls they led to
        return [block for block in native[WIRE] if not _is_blank(block)]
    calls = (
        tool_call(call.get("id") or "", call["function"]["name"], call["function"]["arguments"])
        for call in message.get("tool_calls") or ()
    )
    return _blocks(message.get("content")) + [
        {"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments}
        for call in calls
    ]


def _result(message: Mapping[str, Any]) -> Block:
    content = _short(_blocks(message.get("content")))
    return {"type": "tool_result", "tool_use_id": message.get("tool_call_id"), "content": content}


def _blocks(content: object) -> list[Block]:
    """`content`, a text or a list of parts; the server refuses blocks of blank text."""
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    if not isinstance(parts, list):
        return []
    return [block for block in map(_block, parts) if not _is_blank(block)]


def _block(part: Block) -> Block:
    """One part; what is no image of OpenAI's form is a block of this wire already."""
    if part.get("type") != "image_url":
        return part
    given = part["image_url"]
    url = given["url"] if isinstance(given, Mapping) else given
    if not url.startswith("data:"):
        return {"type": "image", "source": {"type": "url", "url": url}}
    media = from_data_uri(url)
    source = {"type": "base64", "media_type": media.mime, "data": media.base64()}
    return {"type": "image", "source": source}


def _is_blank(block: Block) -> bool:
    return block.get("type") == "text" and not block["text"].strip()


def _without_end_space(block: Block) -> Block:
    # An answer begun for the model must not end with white space (400 otherwise, 2026-11).
    return {**block, "text": block["text"].rstrip()} if block.get("type") == "text" else block


def _short(blocks: list[Block], joint: str | None = None) -> Any:
    """Plain texts as one text where that says the same; "" for no blocks."""
    plain = all(set(block) == {"type", "text"} for block in blocks)
    if plain and (joint is not None or len(blocks) <= 1):
        return (joint or "").join(block["text"] for block in blocks)
    return blocks


def tools(given: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Tools as this wire declares them; the server's own, such as web search, stay as they are."""
    return [_tool(tool["function"]) if "function" in tool else tool for tool in given]


def _tool(function: Mapping[str, Any]) -> Mapping[str, Any]:
    schema = function.get("parameters") or {"type": "object", "properties": {}}
    kept = {key: function[key] for key in ("name", "description", "strict") if key in function}
    return {**kept, "input_schema": schema}


def tool_choice(given: object, *, parallel: bool) -> dict[str, Any]:
    """OpenAI's `tool_choice` and `parallel_tool_calls`; a choice of this wire's form stays."""
    if isinstance(given, str):
        choice: dict[str, Any] = {"type": "any" if given == "required" else given}
    elif isinstance(given, Mapping) and isinstance(given.get("function"), Mapping):
        choice = {"type": "tool", "name": given["function"].get("name")}
    else:
        choice = dict(given) if isinstance(given, Mapping) else {"type": "auto"}
    return choice if parallel else {**choice, "disable_parallel_tool_use": True}
