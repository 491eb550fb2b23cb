"""Messages as OpenAI's, turned into the contents of generateContent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from modelplug.errors import ConfigError
from modelplug.media import Media, from_data_uri
from modelplug.openai_wire.message import text_of, tool_call
from modelplug_gemini.turn import WIRE

Part = Mapping[str, Any]

_UNSIGNED = "skip_thought_signature_validator"
# Models from 3 on answer 400 to a call without the signature that they gave with it; one that
# another model made has none, and this word is taken in its place (seen in clients, 2026-11).


def conversation(messages: Sequence[Mapping[str, Any]]) -> tuple[list[Part], list[dict[str, Any]]]:
    """(parts of the system instruction, contents); turns of one role in a row become one."""
    system: list[Part] = []
    turns: list[tuple[str, list[Part]]] = []
    calls: dict[str, Part] = {}
    for message in messages:
        role = message["role"]
        if role in ("system", "developer"):
            system += parts_of(message.get("content"))
            continue
        if role == "tool":
            parts = [_result(message, calls)]
        elif role == "assistant":
            parts = _said(message)
            made = [part["functionCall"] for part in parts if "functionCall" in part]
            ids = [call.get("id") for call in message.get("tool_calls") or ()]
            calls |= dict(zip(ids, made, strict=False))
        else:
            parts = parts_of(message.get("content"))
        ours = "model" if role == "assistant" else "user"
        if turns and turns[-1][0] == ours:
            turns[-1][1].extend(parts)
        elif parts:
            turns.append((ours, parts))
    return system, [{"role": role, "parts": parts} for role, parts in turns]


def _said(message: Mapping[str, Any]) -> list[Part]:
    native = message.get("native") or {}
    if WIRE in native:  # signatures go back in the parts that they came with
        return list(native[WIRE])
    parts = parts_of(message.get("content"))
    for at, call in enumerate(message.get("tool_calls") or ()):
        function = call["function"]
        read = tool_call("", function["name"], function["arguments"])
        part: Part = {"functionCall": {"name": read.name, "args": read.arguments}}
        # The first of the calls made at once carries the signature for all of them.
        parts.append(part if at else {**part, "thoughtSignature": _UNSIGNED})
    return parts


def _result(message: Mapping[str, Any], calls: Mapping[str, Part]) -> Part:
    id = str(message.get("tool_call_id"))
    if id not in calls:
        msg = f"the result of tool call {id!r} follows no turn of the assistant that made the call"
        raise ConfigError(msg)
    call = {key: calls[id][key] for key in ("id", "name") if key in calls[id]}
    return {"functionResponse": {**call, "response": _object(message.get("content"))}}


def _object(content: object) -> Mapping[str, Any]:
    """What a tool answered, as the object that the wire wants."""
    text = text_of(content)
    try:
        told = orjson.loads(text)
    except orjson.JSONDecodeError:
        told = text
    return told if isinstance(told, dict) else {"result": told}


def parts_of(content: object) -> list[Part]:
    """`content`, a text or a list of parts; empty texts are left out."""
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    if not isinstance(parts, list):
        return []
    return [part for part in map(_part, parts) if part.get("text") != ""]


def _part(part: Part) -> Part:
    """One part; what is of no form of OpenAI's is a part of this wire already."""
    match part.get("type"):
        case "text":
            return {"text": part["text"]}
        case "image_url" | "video_url" as name:
            return inline(from_data_uri(url_of(part[name])))
        case "input_audio":
            sound = part["input_audio"]
            data = {"mimeType": f"audio/{sound['format']}", "data": sound["data"]}
            return {"inlineData": data}
        case "file":
            return inline(from_data_uri(part["file"]["file_data"]))
    return part


def url_of(given: Any) -> str:
    """The URL of an image part, which is bare or in an object."""
    return str(given["url"] if isinstance(given, Mapping) else given)


def inline(media: Media) -> Part:
    """*media* in the request itself."""
    return {"inlineData": {"mimeType": media.mime, "data": media.base64()}}
