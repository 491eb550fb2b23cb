"""The classic service in its own form: OpenAI's objects under `data`, messages as texts."""

from __future__ import annotations

from typing import Any

import orjson
from attrs import evolve

from modelplug.errors import BadReply, CallError, Unsupported
from modelplug.openai_wire import ChatDecoder, OpenAIEmbed
from modelplug.structure import parse_json
from modelplug.types import ChatCall, Completion, EmbedCall, Embeddings, Event
from modelplug.wire import Decoder, Response
from modelplug_sensenova.chat import ClassicChat
from modelplug_sensenova.codec import SenseNovaCodec


class NativeChat(ClassicChat):
    """POST /chat-completions."""

    path = "/chat-completions"
    options = frozenset(
        "know_ids max_new_tokens max_tokens n plugins repetition_penalty temperature top_p "
        "user".split()
    )

    def payload(self, call: ChatCall) -> dict[str, Any]:
        """The request body. There are no tools, and the usage of a stream comes unasked."""
        if call.tools:
            msg = f"{self.endpoint.provider} takes no tools at {self.endpoint.url}"
            raise Unsupported(msg)
        payload = super().payload(call)
        payload.pop("stream_options", None)
        if "max_tokens" in payload:
            payload["max_new_tokens"] = payload.pop("max_tokens")
        return payload

    def read(self, call: ChatCall, raw: Any) -> Completion:
        """The first choice."""
        return evolve(super().read(call, unwrapped(raw, "message")), raw=raw)

    def decoder(self, call: ChatCall) -> Decoder:
        """A decoder of chunks under `data`."""
        return NativeDecoder(self)


def unwrapped(raw: Any, name: str) -> Any:
    """*raw* in OpenAI's form; *name* is `message` or, in a stream, `delta`."""
    if not isinstance(raw, dict):
        return raw
    status = raw.get("status")
    if isinstance(status, dict) and status.get("code"):
        return {"error": status}
    data = raw.get("data")
    if not isinstance(data, dict):
        return raw
    choices = data.get("choices")
    if not isinstance(choices, list):
        return data
    return {**data, "choices": [_choice(choice, name) for choice in choices]}


def _choice(choice: Any, name: str) -> Any:
    if not isinstance(choice, dict) or not isinstance(choice.get(name), str):
        return choice
    return {**choice, name: {"role": "assistant", "content": choice[name]}}


class NativeDecoder(ChatDecoder):
    """Chunks of this wire as OpenAI's."""

    def chunk(self, chunk: dict[str, Any], data: bytes, events: list[Event]) -> None:
        """A chunk under `data`, or the error under `status`."""
        super().chunk(unwrapped(chunk, "delta"), data, events)

    def error(self, data: bytes) -> CallError:
        """The error that *data*, an event or a chunk, is."""
        return super().error(orjson.dumps(unwrapped(parse_json(data), "delta")))


class NativeEmbed(SenseNovaCodec[EmbedCall, Embeddings], OpenAIEmbed):
    """POST /embeddings, of a list of texts."""

    options = frozenset()

    def payload(self, call: EmbedCall) -> dict[str, Any]:
        """The request body."""
        return {"model": call.model, "input": list(call.inputs), **call.options}

    def read(self, call: EmbedCall, raw: Any) -> Embeddings:
        """The vectors; each has a status of its own, and the usage is an object or a list."""
        items = raw.get("embeddings") if isinstance(raw, dict) else None
        if not isinstance(items, list):
            msg = "the reply is no list of embeddings @ $.embeddings"
            raise BadReply(msg)
        for item in items:
            if isinstance(item, dict) and (code := item.get("status_code")):
                told = {"code": code, "message": f"text {item.get('index')} was not embedded"}
                raise self.parse_error(Response(200, body=orjson.dumps({"error": told})))
        usage = raw.get("usage")
        if isinstance(usage, list):
            usage = usage[0] if len(usage) == 1 else _sum(usage)
        return evolve(super().read(call, {"data": items, "usage": usage}), raw=raw)


def _sum(usages: list[Any]) -> dict[str, int]:
    parts = [usage for usage in usages if isinstance(usage, dict)]
    return {
        name: sum(part[name] for part in parts if type(part.get(name)) is int)
        for name in ("prompt_tokens", "total_tokens")
    }
