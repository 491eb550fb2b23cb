"""Parts of an assistant message, as the many servers spell them; in one piece or streamed."""

from __future__ import annotations

import orjson

from modelplug.errors import BadReply
from modelplug.types import ToolCall

_FINISH = {
    "eos": "stop",
    "eos_token": "stop",
    "end_turn": "stop",
    "function_call": "tool_calls",
    "model_context_window_exceeded": "length",
    "sensitive": "content_filter",
}


def text_of(content: object) -> str:
    """`content` as text; some servers send null, and Mistral a list of parts."""
    if isinstance(content, str):
        return content
    if content is None:
        return ""
    if isinstance(content, list):
        return "".join(text_of(part.get("text")) for part in content if isinstance(part, dict))
    msg = f"content is neither text nor a list of parts but {type(content).__name__}"
    raise BadReply(msg)


def reasoning_of(content: object, other: object) -> str:
    # vLLM renamed reasoning_content to reasoning and gateways send both; once is enough.
    if isinstance(content, str) and content:
        return content
    return other if isinstance(other, str) else ""


def finish_reason(reason: object, calls: bool) -> str:
    # A forced function may end as "stop" (OpenAI), so the presence of calls decides.
    word = reason if isinstance(reason, str) and reason else "stop"
    word = _FINISH.get(word, word)
    return "tool_calls" if calls and word == "stop" else word


def tool_call(id: str, name: str, arguments: object) -> ToolCall:
    # `arguments` is JSON text that a model wrote, so it may be broken; Ollama sends the object.
    text = arguments if isinstance(arguments, str) else ""
    parsed: object = arguments
    if text:
        try:
            parsed = orjson.loads(text)
        except orjson.JSONDecodeError:
            parsed = {}
    elif isinstance(arguments, dict):
        text = orjson.dumps(arguments).decode()
    return ToolCall(id, name, parsed if isinstance(parsed, dict) else {}, text)
