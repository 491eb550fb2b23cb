"""What the endpoints have in common: a POST of JSON with a bearer key, errors, usage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import orjson
from attrs import evolve

from modelplug.errors import (
    AuthRefused,
    BadReply,
    ContextTooLong,
    Filtered,
    NotFound,
    Overloaded,
    ProviderFailed,
    QuotaExhausted,
    RateLimited,
    Refused,
)
from modelplug.media import Media
from modelplug.structure import json_body
from modelplug.types import Usage
from modelplug.wire import Codec, Request, Response

C = TypeVar("C")
R = TypeVar("R")

CODES: Mapping[str, type[Refused]] = {
    "context_length_exceeded": ContextTooLong,
    "exceed_context_size_error": ContextTooLong,  # llama.cpp
    "input_tokens": ContextTooLong,  # vLLM, as is the next
    "input_text": ContextTooLong,
    "content_filter": Filtered,
    "content_policy_violation": Filtered,
    "moderation_blocked": Filtered,
    "invalid_prompt": Filtered,
    "invalid_api_key": AuthRefused,
    "authentication_error": AuthRefused,
    "model_not_found": NotFound,
    "not_found_error": NotFound,
    "rate_limit_exceeded": RateLimited,
    "insufficient_quota": QuotaExhausted,
    "credit_balance_exhausted": QuotaExhausted,
    "organization_spend_limit_exceeded": QuotaExhausted,
    "project_spend_limit_exceeded": QuotaExhausted,
    "organization_usage_limit_exceeded": QuotaExhausted,
    "slow_down": Overloaded,
    "server_is_overloaded": Overloaded,
    "service_unavailable_error": Overloaded,
    "unavailable_error": Overloaded,
    "server_error": ProviderFailed,
    "InternalServerError": ProviderFailed,  # vLLM
}
"""Error codes and type words of OpenAI and of servers that are compatible with it."""


class OpenAICodec(Codec[C, R]):
    """What the endpoints have in common: a POST of JSON with a bearer key, and the errors."""

    path = ""
    wire_codes = CODES

    def post(self, payload: Mapping[str, Any]) -> Request:
        """POST *payload* to this codec's path; a URL that already ends with it is kept."""
        url = self.endpoint.url.rstrip("/")
        return Request(
            "POST",
            url if url.endswith(self.path) else url + self.path,
            headers={"content-type": "application/json"},
            body=json_body(payload),
            auth=self.endpoint.api_key,
            timeouts=self.endpoint.timeouts,
        )

    def multipart(self, fields: Mapping[str, Any], files: Sequence[tuple[str, Media]]) -> Request:
        """POST *fields* and *files* as a form; a list becomes repeated `name[]` fields."""
        request = self.post({})
        form = {
            f"{name}[]" if isinstance(value, list) else name: _form_value(value)
            for name, value in fields.items()
        }
        return evolve(request, headers={}, body=b"", form=form, files=files)

    def is_error(self, response: Response) -> bool:
        """Gateways answer 200 with an error for a body, also when a stream was asked for."""
        if response.streaming or not response.ok:
            return not response.ok
        head = response.body.lstrip()[:64].translate(None, b" \t\r\n")
        return head.startswith(b'{"error":') and not head.startswith(b'{"error":null')

    def error_details(self, response: Response) -> tuple[str, str | None, str | None]:
        """
        (message, code, type) of the many forms: a bare text, an `error` object or a text,
        FastAPI's `detail`, or `message` at the top.
        """
        data = response.json()
        if isinstance(data, str):
            return data, None, None
        if not isinstance(data, dict):
            msg = "an error is not an object"
            raise BadReply(msg)
        error = data.get("error", data)
        if isinstance(error, str):
            return error, None, None
        if not isinstance(error, dict):
            error = data
        message = error.get("message") or error.get("detail") or ""
        if not isinstance(message, str):
            message = orjson.dumps(message).decode()
        code, type_ = error.get("code"), error.get("type")
        if code == response.status:
            # vLLM's code is the status again, and `param` tells more (0.32); PPIO's too, and
            # `reason` does (2026-11).
            param = error.get("param")
            code = error.get("reason") or (param if param in self.codes else code)
        return message, _word(code), _word(type_)


def _form_value(value: object) -> str | list[str]:
    if isinstance(value, list):
        return [str(_form_value(item)) for item in value]
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _word(value: object) -> str | None:
    return None if value is None or value == "" else str(value)


def read_usage(usage: object) -> Usage:
    """`usage` of a reply or a chunk; a figure that is absent or no number is None."""
    if not isinstance(usage, dict):
        return Usage()
    details = usage.get("completion_tokens_details")
    prompt = usage.get("prompt_tokens_details")
    if not isinstance(prompt, dict):
        prompt = usage  # some servers put cached_tokens beside the totals
    return Usage(
        # Images and transcriptions count input_tokens and output_tokens.
        _count(usage.get("prompt_tokens", usage.get("input_tokens"))),
        _count(usage.get("completion_tokens", usage.get("output_tokens"))),
        _count(usage.get("total_tokens")),
        _count(details.get("reasoning_tokens")) if isinstance(details, dict) else None,
        _count(prompt.get("cached_tokens")),
    )


def _count(value: object) -> int | None:
    return value if type(value) is int else None
