"""Errors as SiliconFlow sends them: four shapes, and a status that often says the wrong thing."""

from __future__ import annotations

import re
from typing import TypeVar

from modelplug.errors import CallError
from modelplug.openai_wire import OpenAICodec
from modelplug.wire import Response

C = TypeVar("C")
R = TypeVar("R")

_LIMIT = re.compile(r"Details: ([A-Z]{3}) limit reached")
_TOO_LONG = re.compile(r"less than (max_seq_len|\d+ tokens)")
_BY_STATUS = {413: "context_length_exceeded", 451: "content_filter"}

_WRONG_SITE = (
    "; api.siliconflow.cn and api.siliconflow.com know only keys of their own: "
    "check the key, and region='cn' or 'intl'"
)
_WRONG_PATH = "; an unknown path, not an unknown model: check the base URL"
_TOO_SLOW = "; a streamed answer is not cut off so soon"
_MENDS = {401: _WRONG_SITE, 404: _WRONG_PATH, 504: _TOO_SLOW}


class SiliconFlowCodec(OpenAICodec[C, R]):
    """What the endpoints have in common: the errors, and the header with the request's id."""

    def error_details(self, response: Response) -> tuple[str, str | None, str | None]:
        """
        (message, code, type); the body is {"code", "message"}, a bare string, {"message"}
        without a code, or OpenAI's.
        """
        data = response.json()
        if isinstance(data, str):
            return data, None, _BY_STATUS.get(response.status)
        message, code, type_ = super().error_details(response)
        return message, code, type_ or _word(response.status, message)

    def parse_error(self, response: Response) -> CallError:
        """The error with the id from `x-siliconcloud-trace-id`, and a mend where one is known."""
        error = super().parse_error(response)
        error.request_id = response.headers.get("x-siliconcloud-trace-id") or error.request_id
        mend = _MENDS.get(response.status, "")
        if mend and (response.status != 404 or error.code is None):
            error.args = (f"{error}{mend}",)
        return error


def _word(status: int, message: str) -> str | None:
    """
    A type word where the server has no code of its own for what its text tells.

    A 429 has no code and names the limit in one fixed sentence; an input that is too long
    has the code of any wrong parameter, 20015, and one of two fixed phrases (2026-11).
    """
    if status == 429 and (limit := _LIMIT.search(message)):
        return limit[1]
    if status == 400 and _TOO_LONG.search(message):
        return "context_length_exceeded"
    return _BY_STATUS.get(status)
