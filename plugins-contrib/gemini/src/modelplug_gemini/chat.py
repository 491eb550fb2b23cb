"""generateContent and streamGenerateContent, for chat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import evolve

from modelplug.media import Remote
from modelplug.structure import parse_json
from modelplug.types import ChatCall, Completion, Event
from modelplug.wire import Decoder, EventDecoder, Flow, Request, Response
from modelplug_gemini.contents import conversation, url_of
from modelplug_gemini.turn import Turn
from modelplug_gemini.wire import GENERATION, GeminiCodec


class GeminiChat(GeminiCodec[ChatCall, Completion]):
    """Chat with a model of Google's."""

    options = GENERATION | {"response_format", "tool_choice"}

    def prepare(self, call: ChatCall) -> Flow[ChatCall]:
        """Fetch the images: the server fetches no URL."""
        messages = []
        for message in call.messages:
            content = message.get("content")
            if isinstance(content, list):
                parts = []
                for part in content:
                    parts.append((yield from self._inlined(part)))
                message = {**message, "content": parts}
            messages.append(message)
        return evolve(call, messages=messages)

    def _inlined(self, part: Mapping[str, Any]) -> Flow[Mapping[str, Any]]:
        name = part.get("type")
        if name not in ("image_url", "video_url") or url_of(part[name]).startswith("data:"):
            return part
        media = yield from self.local_copy(Remote(url_of(part[name])))
        return {**part, name: {"url": media.data_uri()}}

    def build_request(self, call: ChatCall) -> Request:
        """The request for *call*."""
        options = dict(call.options)
        system, contents = conversation(call.messages)
        config = _form(call.schema, options.pop("response_format", None))
        beside: dict[str, Any] = {}
        if system:
            beside["systemInstruction"] = {"parts": system}
        if call.tools:
            beside["tools"] = _tools(call.tools)
        if "tool_choice" in options:
            beside["toolConfig"] = {"functionCallingConfig": _choice(options.pop("tool_choice"))}
        return self.generate(contents, {**beside, **options}, config, stream=call.stream)

    def parse_response(self, call: ChatCall, response: Response) -> Completion:
        """The first candidate."""
        return Turn().whole(response.json())

    def decoder(self, call: ChatCall) -> Decoder:
        """A decoder of replies that each hold what is new."""
        return ContentDecoder(self)


class ContentDecoder(EventDecoder):
    """Pieces of a streamed turn to events. The end of the body is the end: no event says so."""

    def __init__(self, codec: GeminiCodec[Any, Any]) -> None:
        super().__init__(codec)
        self._turn = Turn()

    def event(self, data: bytes, name: str, events: list[Event]) -> None:
        """A reply with what is new."""
        if not data.strip():  # some gateways keep the connection alive so
            return
        raw = parse_json(data)
        if isinstance(raw, dict) and isinstance(raw.get("error"), dict):
            # The HTTP status was 200; the one that is meant is in `code`.
            code = raw["error"].get("code")
            status = code if type(code) is int and 400 <= code < 600 else 200
            raise self.codec.parse_error(Response(status, body=data))
        self._turn.add(raw, events)
        self.reason = self._turn.reason

    def end(self, events: list[Event]) -> None:
        """The tool calls, the usage and the finish."""
        self._turn.end(events)


def _form(schema: Mapping[str, Any] | None, given: Mapping[str, Any] | None) -> dict[str, Any]:
    """The form of the answer, by `schema=` or OpenAI's `response_format`."""
    if schema is None and given and given.get("type") == "json_schema":
        schema = given["json_schema"]["schema"]
    if schema is not None:
        return {"responseMimeType": "application/json", "responseJsonSchema": schema}
    asked = given is not None and given.get("type") == "json_object"
    return {"responseMimeType": "application/json"} if asked else {}


def _tools(given: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The functions under one head; the server's own tools, such as search, as they are."""
    functions = [_function(tool["function"]) for tool in given if "function" in tool]
    others = [tool for tool in given if "function" not in tool]
    return [{"functionDeclarations": functions}, *others] if functions else others


def _function(function: Mapping[str, Any]) -> Mapping[str, Any]:
    kept = {key: function[key] for key in ("name", "description") if key in function}
    schema = function.get("parameters")
    return {**kept, "parametersJsonSchema": schema} if schema else kept


def _choice(given: Any) -> Mapping[str, Any]:
    """OpenAI's `tool_choice`; one of this wire's form stays as it is."""
    if isinstance(given, str):
        return {"mode": "ANY" if given == "required" else given.upper()}
    if "function" in given:
        return {"mode": "ANY", "allowedFunctionNames": [given["function"]["name"]]}
    return dict(given)
