"""What MiniMax's endpoints have in common: `base_resp`, in which errors come with status 200."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from modelplug.errors import BadReply
from modelplug.openai_wire import OpenAICodec
from modelplug.sse import SSEDecoder
from modelplug.structure import parse_json
from modelplug.wire import Response

C = TypeVar("C")
R = TypeVar("R")

_CODE_AT_END = re.compile(r"\((\d{4,5})\)\s*$")


class MiniMaxCodec(OpenAICodec[C, R]):
    """A POST of JSON, and the errors in their two forms."""

    def is_error(self, response: Response) -> bool:
        """Most errors have status 200 and a `status_code` that is not 0."""
        return super().is_error(response) or (
            not response.streaming and refusal_in(response) is not None
        )

    def error_details(self, response: Response) -> tuple[str, str | None, str | None]:
        """
        (message, code, type) of `base_resp`; or of OpenAI's form, which has the same code in
        brackets at the end of its message.
        """
        if base := refusal_in(response):
            return str(base.get("status_msg") or ""), str(base["status_code"]), None
        message, code, type_ = super().error_details(response)
        told = _CODE_AT_END.search(message)
        return message, told[1] if told else code, type_


def refusal(raw: object) -> Mapping[str, Any] | None:
    """The `base_resp` of *raw* where it is an error."""
    base = raw.get("base_resp") if isinstance(raw, dict) else None
    failed = isinstance(base, dict) and base.get("status_code", 0) not in (0, "0")
    return base if failed else None


def refusal_in(response: Response) -> Mapping[str, Any] | None:
    """The first error in a body; one without `base_resp` in it is not parsed for it."""
    if b'"base_resp"' not in response.body:
        return None
    try:
        return next(filter(None, map(refusal, documents(response))), None)
    except BadReply:
        return None  # whoever reads the reply says so


def documents(response: Response) -> Iterator[Any]:
    """The JSON of a body, or of each event where it is the whole of a stream."""
    if not response.body.lstrip().startswith((b"data:", b"event:", b":")):
        yield response.json()
        return
    sse = SSEDecoder()
    for data, _ in [*sse.feed(response.body), *sse.finish()]:
        if data.strip() not in (b"", b"[DONE]"):
            yield parse_json(data)
