"""POST /v1/messages, in one piece or streamed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from attrs import evolve

from modelplug.errors import Unsupported
from modelplug.openai_wire import OpenAICodec
from modelplug.structure import json_body
from modelplug.types import ChatCall, Completion, Event
from modelplug.wire import Decoder, Request, Response
from modelplug_anthropic import messages
from modelplug_anthropic.turn import Turn

# With 2026-10-21, the newest, every model answers 400 to temperature, top_p and top_k; with
# this one the older models still take them (anthropic 2.12.0 and its docs, read 2026-11).
VERSION = "2023-06-01"
"""Of the wire; the server refuses a request that names none."""

MAX_TOKENS = 8192
"""Of the answer, where the caller says nothing: the wire has no default of its own."""


class AnthropicChat(OpenAICodec[ChatCall, Completion]):
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
        raw, events = response.json(), list[Event]()
        Turn(self).whole(raw, events)
        return evolve(Completion.of(events), raw=raw)

    def decoder(self, call: ChatCall) -> Decoder:
        """A decoder of `message_start` to `message_stop`."""
        return Turn(self)

    def is_error(self, response: Response) -> bool:
        """An error that a gateway sends with status 200 counts as well, in either form."""
        head = response.body.lstrip()[:64].replace(b" ", b"")
        return super().is_error(response) or head.startswith(b'{"type":"error"')
