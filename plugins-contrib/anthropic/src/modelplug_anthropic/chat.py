"""POST /v1/messages, in one piece or streamed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from attrs import frozen

from modelplug.errors import (
    BadReply,
    Unsupported,
)
from modelplug.openai_wire.message import tool_call
from modelplug.structure import json_body, structure
from modelplug.types import ChatCall, Completion
from modelplug.wire import Codec, Decoder, Request, Response
from modelplug_anthropic import messages
from modelplug_anthropic.reply import finish_reason, native, read_usage
from modelplug_anthropic.stream import MessagesDecoder

# With 2026-10-21, the newest, every model answers 400 to temperature, top_p and top_k; with
# this one the older models still take them (anthropic 2.12.0 and its docs, read 2026-11).
VERSION = "2023-06-01"
"""Of the wire; the server refuses a request that names none."""

MAX_TOKENS = 8192
"""Of the answer, where the caller says nothing: the wire has no default of its own."""


@frozen
class _Block:
    type: str
    text: str = ""
    thinking: str = ""
    id: str = ""
    name: str = ""
    input: Any = None


@frozen
class _Message:
    content: list[_Block]
    id: str = ""
    model: str = ""
    stop_reason: str | None = None
    usage: Any = None


class AnthropicChat(Codec[ChatCall, Completion]):
    """Chat with a model on the Messages wire."""

    options = frozenset(
        "betas cache_control max_tokens metadata output_config parallel_tool_calls "
        "reasoning_effort response_format service_tier stop temperature thinking tool_choice "
        "top_k top_p user".split()
    )

    def payload(self, call: ChatCall) -> dict[str, Any]:
        """The request body as a mapping."""
        options = {name: value for name, value in call.options.items() if name != "betas"}
        system, turns = messages.conversation(call.messages)
        thinking = options.get("thinking") or {}
        payload: dict[str, Any] = {
            "model": call.model,
            # A budget for thinking must be less than what it is taken from.
            "max_tokens": MAX_TOKENS + (thinking.get("budget_tokens") or 0),
            "messages": turns,
        }
        if system:
            payload["system"] = system
        if call.tools:
            payload["tools"] = messages.tools(call.tools)
        if call.stream:
            payload["stream"] = True
        output = self._output(call.schema, options)
        if "stop" in options:
            stop = options.pop("stop")
            payload["stop_sequences"] = [stop] if isinstance(stop, str) else stop
        if "user" in options:
            payload["metadata"] = {"user_id": options.pop("user")}
        if options.keys() & {"tool_choice", "parallel_tool_calls"}:
            given, parallel = (
                options.pop("tool_choice", None),
                options.pop("parallel_tool_calls", True),
            )
            payload["tool_choice"] = messages.tool_choice(given, parallel=bool(parallel))
        return {**payload, **options, **output}

    def _output(self, schema: Mapping[str, Any] | None, options: dict[str, Any]) -> dict[str, Any]:
        """`output_config` of what *options* say about it, which are taken out of them."""
        output = dict(options.pop("output_config", {}))
        if "reasoning_effort" in options:
            output["effort"] = options.pop("reasoning_effort")
        form = options.pop("response_format", None)
        if form is not None:
            if form.get("type") != "json_schema":
                msg = f"{self.endpoint.provider} has no response_format but json_schema"
                raise Unsupported(msg)
            schema = schema or form["json_schema"]["schema"]
        if schema is not None:
            output["format"] = {"type": "json_schema", "schema": schema}
        return {"output_config": output} if output else {}

    def build_request(self, call: ChatCall) -> Request:
        """The request for *call*."""
        headers = {"content-type": "application/json", "anthropic-version": VERSION}
        if betas := call.options.get("betas"):
            headers["anthropic-beta"] = betas if isinstance(betas, str) else ",".join(betas)
        key = self.endpoint.api_key
        url = self.endpoint.url.rstrip("/").removesuffix("/v1/messages").removesuffix("/v1")
        # Servers of others look for the key in either place (vLLM and gateways, 2026-11).
        elsewhere = urlsplit(url).hostname != "api.anthropic.com"
        return Request(
            "POST",
            f"{url}/v1/messages",
            headers,
            json_body(self.payload(call)),
            auth=key if elsewhere else None,
            secret_headers={} if key is None else {"x-api-key": key},
            timeouts=self.endpoint.timeouts,
        )

    def parse_response(self, call: ChatCall, response: Response) -> Completion:
        """The message; several texts in it are one."""
        raw = response.json()
        message = structure(raw, _Message)
        return Completion(
            text="".join(block.text for block in message.content if block.type == "text"),
            reasoning="".join(block.thinking for block in message.content),
            tool_calls=tuple(
                tool_call(block.id, block.name, block.input)
                for block in message.content
                if block.type == "tool_use"
            ),
            usage=read_usage(message.usage),
            finish_reason=finish_reason(message.stop_reason),
            model=message.model,
            id=message.id,
            raw=raw,
            native=native(raw["content"]),
        )

    def decoder(self, call: ChatCall) -> Decoder:
        """A decoder of `message_start` to `message_stop`."""
        return MessagesDecoder(self)

    def is_error(self, response: Response) -> bool:
        """An error that a gateway sends with status 200 counts as well."""
        head = b"" if response.streaming else response.body.lstrip()[:64].replace(b" ", b"")
        return not response.ok or head.startswith((b'{"type":"error"', b'{"error":{'))

    def error_details(self, response: Response) -> tuple[str, str | None, str | None]:
        """(message, no code, type)."""
        data = response.json()
        error = data.get("error") if isinstance(data, dict) else None
        if not isinstance(error, dict):
            msg = "an error is no object @ $.error"
            raise BadReply(msg)
        type_ = error.get("type")
        return str(error.get("message") or ""), None, type_ if isinstance(type_, str) else None
