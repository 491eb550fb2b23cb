"""Calls with OpenAI's SDK, which several vendors name as theirs, and what it reads."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import openai
from common import KEY, Case, ErrorSuite, Told
from usual import (
    ASKED,
    CITY,
    JSON_ASKED,
    KITE,
    SILENCE,
    TOOL_TURNS,
    TOOLS,
    Theirs,
    data_url,
    usual,
)

from modelplug.testing import FaultServer

NAMED: Any = {
    "type": "json_schema",
    "json_schema": {"name": "City", "schema": CITY, "strict": True},
}


class OpenAISuite(ErrorSuite):
    """A vendor whose documentation calls its API with OpenAI's SDK."""

    package = "openai"

    def sdk(self, server: FaultServer) -> openai.OpenAI:
        """OpenAI's client."""
        return openai.OpenAI(
            api_key=KEY, base_url=self.origin(server) + self.base_path, max_retries=0, timeout=10
        )

    def told(self, error: Exception) -> Told:
        """What OpenAI's SDK reads from an error."""
        return stainless_told(error, openai)


def stainless_told(
    error: Any, sdk: Any, prefix: str = "", more: Mapping[int, str] | None = None
) -> Told:
    """
    What *error* tells, of an SDK made by https://www.stainless.com or after its manner.

    *more* names, by status, the classes that not all of these have.
    """
    named = (more or {}) | {
        400: "BadRequestError",
        401: "AuthenticationError",
        403: "PermissionDeniedError",
        404: "NotFoundError",
        409: "ConflictError",
        422: "UnprocessableEntityError",
        429: "RateLimitError",
    }
    other = "InternalServerError" if error.status_code >= 500 else "APIStatusError"
    assert getattr(sdk, prefix + named.get(error.status_code, other)) is type(error)
    body = error.body if isinstance(error.body, dict) else {}
    return Told(
        status=error.status_code,
        code=body.get("code"),
        message=body.get("message"),
        request_id=getattr(error, "request_id", None),
    )


def ppio_told(told: Told, error: Any) -> Told:
    """The same for PPIO, where `code` repeats the status and the word is elsewhere."""
    return replace(told, code=error.body.get("reason")) if isinstance(error.body, dict) else told


def chat(sdk: Any, model: str, **options: Any) -> dict[str, Any]:
    """A chat in one piece."""
    return completion(sdk.chat.completions.create(model=model, **({"messages": ASKED} | options)))


def completion(reply: Any) -> dict[str, Any]:
    """What a chat completion holds."""
    (choice,) = reply.choices
    found = {"text": choice.message.content or "", "usage": _usage(reply.usage)}
    if thought := getattr(choice.message, "reasoning_content", None):
        found["reasoning"] = thought
    if calls := choice.message.tool_calls:
        found["tool_calls"] = [
            _call(call.id, call.function.name, call.function.arguments) for call in calls
        ]
    return found


def stream(sdk: openai.OpenAI, model: str, **options: Any) -> dict[str, Any]:
    """A chat streamed, with usage, as the SDK itself adds it up."""
    with sdk.chat.completions.stream(
        model=model,
        stream_options={"include_usage": True},
        **({"messages": ASKED} | options),
    ) as events:
        return completion(events.get_final_completion())


def chunks(sdk: Any, model: str, **options: Any) -> dict[str, Any]:
    """A chat streamed, its chunks added up here: for fields that the SDK does not know."""
    text, thought, usage = "", "", None
    given = {"messages": ASKED, "stream_options": {"include_usage": True}} | options
    for chunk in sdk.chat.completions.create(model=model, stream=True, **given):
        usage = chunk.usage or usage
        for choice in chunk.choices:
            text += choice.delta.content or ""
            thought += getattr(choice.delta, "reasoning_content", None) or ""
            # Kimi counts inside the last choice, where the SDK keeps what it does not know.
            usage = getattr(choice, "usage", None) or usage
    counted = _usage(openai.types.CompletionUsage.model_validate(usage, from_attributes=True))
    return {"text": text, "usage": counted} | ({"reasoning": thought} if thought else {})


def look(sdk: Any, model: str, **options: Any) -> dict[str, Any]:
    """A chat with an image."""
    image = {"type": "image_url", "image_url": {"url": data_url(KITE, "image/png")}}
    parts = [{"type": "text", "text": "2+2?"}, image]
    return chat(sdk, model, messages=[{"role": "user", "content": parts}], **options)


_USUAL: dict[str, Theirs] = {
    "chat": chat,
    "stream": chunks,
    "tools": partial(chat, tools=TOOLS),
    "tool-turns": partial(chat, messages=TOOL_TURNS, tools=TOOLS),
    "image-input": look,
    "schema": partial(chat, response_format=NAMED),
    "json-object": partial(chat, messages=JSON_ASKED, response_format={"type": "json_object"}),
}


def usual_chats(
    llm: str,
    vlm: str,
    *,
    replies: Mapping[str, str] | None = None,
    without: tuple[str, ...] = (),
    **options: Any,
) -> tuple[Case, ...]:
    """The usual cases, each made with *options* besides."""
    calls = {name: call for name, call in _USUAL.items() if name not in without}
    return usual(
        {name: partial(call, **options) for name, call in calls.items()}, llm, vlm, replies
    )


def vectors(reply: Any) -> dict[str, Any]:
    """What an embedding reply holds, in the order of the inputs; the SDK leaves it as it came."""
    items = sorted(reply.data, key=lambda item: item.index)
    return {"value": [[round(x, 6) for x in item.embedding] for item in items]}


def embed(sdk: Any, model: str, *, texts: Any = ("a", "b"), **options: Any) -> dict[str, Any]:
    """Embeddings of a list, or of one text."""
    given = texts if isinstance(texts, str) else list(texts)
    found = vectors(sdk.embeddings.create(model=model, input=given, **options))
    return {"value": found["value"][0]} if isinstance(texts, str) else found


def transcribe(sdk: openai.OpenAI, model: str, **options: Any) -> dict[str, Any]:
    """A transcription; left alone, the SDK calls a wav what Python does, audio/x-wav."""
    file = (SILENCE.name, SILENCE.read_bytes(), "audio/wav")
    return {"text": sdk.audio.transcriptions.create(model=model, file=file, **options).text}


def draw(sdk: Any, model: str, *, length: int = 73, **options: Any) -> dict[str, Any]:
    """Images, each of *length* bytes where the reply tells but their addresses."""
    return drawn(sdk.images.generate(model=model, **options), length)


def drawn(reply: Any, length: int = 0) -> dict[str, Any]:
    """What a reply with images holds."""
    made = [item for item in reply.data if item.url or item.b64_json]
    lengths = [len(base64.b64decode(item.b64_json)) if item.b64_json else length for item in made]
    return {"media": [{"mime": "image/png", "size": length} for length in lengths]}


def _usage(usage: Any) -> dict[str, int]:
    return {
        "input_tokens": usage.prompt_tokens,
        "output_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    }


def _call(id: str, name: str, arguments: str) -> dict[str, Any]:
    return {"id": id, "name": name, "arguments": json.loads(arguments)}
