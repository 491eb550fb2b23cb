"""What the methods have in common: addresses, the key's header, errors, generation options."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import quote

from modelplug.errors import (
    BadReply,
    CallError,
)
from modelplug.structure import json_body
from modelplug.types import Usage
from modelplug.wire import Codec, Request, Response

C = TypeVar("C")
R = TypeVar("R")

_VERSION = re.compile(r"/v\d\w*$")
_DAILY = re.compile(r"\w*PerDay[\w-]*")
"""The id of a quota that is used up until tomorrow, as the details of an error have it."""

_CONFIG = {
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "max_tokens": "maxOutputTokens",
    "seed": "seed",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
}
_THINKING = {
    "include_thoughts": "includeThoughts",
    "thinking_budget": "thinkingBudget",
    "thinking_level": "thinkingLevel",
    "reasoning_effort": "thinkingLevel",
}
_BESIDE = {"safety_settings": "safetySettings", "cached_content": "cachedContent"}

GENERATION = frozenset({*_CONFIG, *_THINKING, *_BESIDE, "stop"})
"""Call options of every model that generates."""


class GeminiCodec(Codec[C, R]):
    """A POST of JSON to a method of a model."""

    @property
    def resource(self) -> str:
        """The model as a path: `models/gemini-3.8-flash`."""
        model = self.endpoint.model
        return model if "/" in model else f"models/{model}"

    def post(self, method: str, payload: Mapping[str, Any]) -> Request:
        """POST *payload* to *method* of the model."""
        url = self.endpoint.url.rstrip("/")
        if not _VERSION.search(url):
            url += "/v1beta"
        key = self.endpoint.api_key
        return Request(
            "POST",
            f"{url}/{quote(self.resource)}:{method}",
            {"content-type": "application/json"},
            json_body(payload),
            secret_headers={} if key is None else {"x-goog-api-key": key},
            timeouts=self.endpoint.timeouts,
        )

    def generate(
        self,
        contents: object,
        options: Mapping[str, Any],
        config: Mapping[str, Any] | None = None,
        *,
        stream: bool = False,
    ) -> Request:
        """
        Ask for *contents* to be answered. What *options* hold beyond `GENERATION` goes into
        the body as it is.
        """
        rest = dict(options)
        told = _generation_config(rest)
        told |= {**(config or {}), **rest.pop("generationConfig", {})}
        beside = {_BESIDE.get(name, name): value for name, value in rest.items()}
        method = "streamGenerateContent?alt=sse" if stream else "generateContent"
        generation = {"generationConfig": told} if told else {}
        return self.post(method, {"contents": contents, **generation, **beside})

    def is_error(self, response: Response) -> bool:
        """An error with status 200 counts as well."""
        head = b"" if response.streaming else response.body.lstrip()[:64]
        return not response.ok or b"".join(head.split()).startswith((b'{"error":{', b'[{"error":{'))

    def error_details(self, response: Response) -> tuple[str, str | None, str | None]:
        """(message, what the status word leaves open, status word)."""
        error = _error_of(response)
        message = str(error.get("message") or "")
        details = _details(error)
        code = None
        if "API_KEY_INVALID" in [detail.get("reason") for detail in details] or (
            message.startswith("API key not valid")
        ):
            code = "API_KEY_INVALID"
        elif daily := _DAILY.search(str(details)):
            code = daily[0]
        status = error.get("status")
        return message, code, status if isinstance(status, str) else None

    def parse_error(self, response: Response) -> CallError:
        """The error that *response* is; how long to wait is told in its body."""
        error = super().parse_error(response)
        if error.retry_after is None:
            error.retry_after = _retry_delay(response)
        return error


def _error_of(response: Response) -> Mapping[str, Any]:
    data = response.json()
    if isinstance(data, list) and data:  # the form of a stream that is one JSON array
        data = data[0]
    error = data.get("error") if isinstance(data, dict) else None
    if not isinstance(error, dict):
        msg = "an error is no object @ $.error"
        raise BadReply(msg)
    return error


def _details(error: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    details = error.get("details")
    return [each for each in details if isinstance(each, dict)] if isinstance(details, list) else []


def _retry_delay(response: Response) -> float | None:
    """Seconds of a RetryInfo, as "7s" or "0.05s"."""
    try:
        told = [detail.get("retryDelay") for detail in _details(_error_of(response))]
        return next((float(each.removesuffix("s")) for each in told if isinstance(each, str)), None)
    except (BadReply, ValueError):
        return None


def _generation_config(options: dict[str, Any]) -> dict[str, Any]:
    """`generationConfig` of what *options* say about it, which are taken out of them."""
    config = {name: options.pop(ours) for ours, name in _CONFIG.items() if ours in options}
    if "stop" in options:
        stop = options.pop("stop")
        config["stopSequences"] = [stop] if isinstance(stop, str) else stop
    thinking = {name: options.pop(ours) for ours, name in _THINKING.items() if ours in options}
    if "thinkingLevel" in thinking:
        thinking["thinkingLevel"] = str(thinking["thinkingLevel"]).upper()
    return config | ({"thinkingConfig": thinking} if thinking else {})


def read_usage(usage: object) -> Usage:
    """`usageMetadata`; what was thought is part of the output."""
    if not isinstance(usage, Mapping):
        return Usage()
    asked, said, thought, total, cached = (
        value if type(value := usage.get(name)) is int else None
        for name in (
            "promptTokenCount",
            "candidatesTokenCount",
            "thoughtsTokenCount",
            "totalTokenCount",
            "cachedContentTokenCount",
        )
    )
    answered = None if said is None and thought is None else (said or 0) + (thought or 0)
    return Usage(asked, answered, total, thought, cached)
