"""Chat completions: the request, and the reply in one piece."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from attrs import evolve, frozen

from modelplug.errors import BadReply
from modelplug.openai_wire.base import OpenAICodec, read_usage
from modelplug.openai_wire.chat_stream import ChatDecoder
from modelplug.openai_wire.message import finish_reason, reasoning_of, text_of, tool_call
from modelplug.openai_wire.quirks import (
    choose_tool,
    says_nothing,
    thinks,
    wants_json,
    with_reasoning,
)
from modelplug.openai_wire.thinking import split
from modelplug.structure import structure
from modelplug.types import ChatCall, Completion, Event
from modelplug.wire import Decoder, Flow, Request, Response


@frozen
class _Function:
    name: str
    arguments: Any = None


@frozen
class _Call:
    function: _Function
    id: str | None = None


@frozen
class _Message:
    content: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    refusal: str | None = None
    tool_calls: list[_Call] | None = None


@frozen
class _Choice:
    message: _Message
    finish_reason: str | None = None


@frozen
class _ChatReply:
    choices: list[_Choice]
    id: str | None = None
    model: str | None = None
    usage: Any = None


def _told_first(told: str, messages: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    # In the system message that is there: templates refuse two of one role in a row (2026-11).
    first = messages[0] if messages else {}
    if first.get("role") == "system" and isinstance(first.get("content"), str):
        joined = f"{first['content']}\n\n{told}"
        return [{**first, "content": joined}, *messages[1:]]
    return [{"role": "system", "content": told}, *messages]


class OpenAIChat(OpenAICodec[ChatCall, Completion]):
    """POST /chat/completions, in one piece or streamed."""

    path = "/chat/completions"
    options = frozenset(
        "audio frequency_penalty logit_bias logprobs max_tokens metadata modalities n "
        "parallel_tool_calls prediction presence_penalty prompt_cache_key reasoning_effort "
        "response_format safety_identifier seed service_tier stop store temperature "
        "tool_choice top_logprobs top_p user verbosity web_search_options".split()
    )

    def payload(self, call: ChatCall) -> dict[str, Any]:
        """The request body as a mapping; a subclass changes it for its vendor."""
        quirks = self.endpoint.quirks
        payload: dict[str, Any] = {
            "model": call.model,
            "messages": self._turns(call),
            **({} if call.stream else quirks.unless_streaming),
            **call.options,
        }
        if "max_tokens" in payload:
            payload[quirks.max_tokens_field] = payload.pop("max_tokens")
        if call.tools:
            payload["tools"] = call.tools
        choose_tool(self.endpoint, call.options, payload)
        if call.schema is not None:
            self._ask_for(call.schema, payload)
        if call.stream:
            payload["stream"] = True
            if quirks.stream_options:
                payload["stream_options"] = {"include_usage": True}
        return payload

    def _turns(self, call: ChatCall) -> list[Mapping[str, Any]]:
        quirks = self.endpoint.quirks
        told = [m for m in call.messages if quirks.empty_turns or not says_nothing(m)]
        turns = [self.turn(message) for message in told]
        if quirks.lost_reasoning and thinks(call.options):
            return [with_reasoning(turn, quirks.lost_reasoning) for turn in turns]
        return turns

    def turn(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """
        One message as the server takes it. Past reasoning goes back only to servers that
        want it, and only with the turns that called tools: others refuse the field. What
        another wire wants back (`native`) stays here.
        """
        if "native" in message:
            message = {key: value for key, value in message.items() if key != "native"}
        if "reasoning_content" not in message:
            return message
        if self.endpoint.quirks.echo_reasoning and message.get("tool_calls"):
            return message
        return {key: value for key, value in message.items() if key != "reasoning_content"}

    def prepare(self, call: ChatCall) -> Flow[ChatCall]:
        """Fetch the images that the server would not fetch itself."""
        if not self.endpoint.quirks.inline_files:
            return call
        messages = []
        for message in call.messages:
            messages.append((yield from self._inlined(message)))
        return evolve(call, messages=messages)

    def _inlined(self, message: Mapping[str, Any]) -> Flow[Mapping[str, Any]]:
        content = message.get("content")
        if not isinstance(content, list):
            return message
        parts = []
        for part in content:
            parts.append((yield from self._inlined_part(part)))
        return {**message, "content": parts}

    def _inlined_part(self, part: Mapping[str, Any]) -> Flow[Mapping[str, Any]]:
        if not isinstance(part, Mapping):  # the server says what it thinks of it
            return part
        # Servers take {"url": ...} and the bare URL, and some of them videos likewise.
        for name in ("image_url", "video_url"):
            given = part.get(name)
            fields = given if isinstance(given, Mapping) else {"url": given}
            url = fields.get("url")
            if isinstance(url, str) and url.startswith(("http://", "https://")):
                media = yield from self.download(url)
                return {**part, name: {**fields, "url": media.data_uri()}}
        return part

    def _ask_for(self, schema: Mapping[str, Any], payload: dict[str, Any]) -> None:
        # The best native mode first; where there is none the prompt alone must do, and the
        # reply is checked against the schema in any case.
        if "json-schema" in self.endpoint.does:
            named = {"name": str(schema.get("title", "answer")), "schema": schema, "strict": True}
            payload["response_format"] = {"type": "json_schema", "json_schema": named}
            return
        # OpenAI answers 400 to json_object unless a message has the word JSON in it (2026-11).
        told = f"Answer with JSON that fits this schema:\n{orjson.dumps(schema).decode()}"
        payload["messages"] = _told_first(told, payload["messages"])
        if "json-object" in self.endpoint.does:
            payload["response_format"] = {"type": "json_object"}

    def build_request(self, call: ChatCall) -> Request:
        """The request for *call*."""
        return self.post(self.payload(call))

    def parse_response(self, call: ChatCall, response: Response) -> Completion:
        """The first choice."""
        return self.read(call, response.json())

    def read(self, call: ChatCall, raw: Any) -> Completion:
        """The first choice that *raw*, a parsed reply, holds."""
        reply = structure(raw, _ChatReply)
        if not reply.choices:
            msg = "the reply has no choices @ $.choices"
            raise BadReply(msg)
        message = reply.choices[0].message
        calls = tuple(
            tool_call(call.id or "", call.function.name, call.function.arguments)
            for call in message.tool_calls or ()
        )
        text = text_of(message.content) or message.refusal or ""
        reasoning = reasoning_of(message.reasoning_content, message.reasoning)
        if self.endpoint.quirks.think_tags and not reasoning:
            reasoning, text = split(text)
        return Completion(
            text=text,
            reasoning=reasoning,
            tool_calls=calls,
            usage=read_usage(reply.usage),
            finish_reason=finish_reason(reply.choices[0].finish_reason, bool(calls)),
            model=reply.model or "",
            id=reply.id or "",
            raw=raw,
        )

    def must_stream(self, call: ChatCall) -> bool:
        """Whether the server would refuse *call* if it did not stream."""
        return self.endpoint.quirks.only_streams

    def flow(self, call: ChatCall) -> Flow[Completion]:
        """The whole call; once more where JSON was asked for and nothing was said."""
        said = yield from self._answer(call)
        nothing = said.finish_reason == "stop" and not said.text.strip()
        if nothing and self.endpoint.quirks.empty_json and wants_json(call):
            said = yield from self._answer(call)
        return said

    def _answer(self, call: ChatCall) -> Flow[Completion]:
        """The stream of a server that answers with nothing else is joined."""
        if not self.must_stream(call):
            whole = yield from super().flow(call)
            return whole
        call = yield from self.prepare(evolve(call, stream=True))
        response = yield from self.send(self.build_request(call))
        events: list[Event] = []
        with self.reading(response):
            decoder = self.decoder(call)
            decoder.feed(response.body, events)
            decoder.finish(events)
        return Completion.of(events)

    def decoder(self, call: ChatCall) -> Decoder:
        """A decoder of `chat.completion.chunk` events."""
        return ChatDecoder(self)
