"""Volcengine speech ("openspeech"): headers instead of a bearer key, and errors told by code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from uuid import uuid4

from attrs import evolve

from modelplug.openai_wire import OpenAICodec
from modelplug.types import Endpoint, Secret
from modelplug.wire import Request, Response

C = TypeVar("C")
R = TypeVar("R")

UID = "modelplug"
"""The user that a request must name; the service only counts by it."""

_DONE = ("0", "20000000", "20000001", "20000002", "20000003")


def _random_id() -> str:
    return str(uuid4())


class SpeechCodec(OpenAICodec[C, R]):
    """
    What the endpoints have in common. The model is the `X-Api-Resource-Id`.

    *new_id* names each try, since a name is refused the second time; a job's requests share
    the one by which the service knows it.
    """

    def __init__(self, endpoint: Endpoint, new_id: Callable[[], str] = _random_id) -> None:
        super().__init__(endpoint)
        self._new_id = new_id

    def ask(self, path: str, payload: Mapping[str, Any], id: str = "") -> Request:
        """POST *payload* to *path*, as the request named *id* if there is one."""
        request = self.post(payload)
        headers = {
            **request.headers,
            "x-api-resource-id": self.endpoint.model,
            "x-api-sequence": "-1",
        }
        if id:
            headers["x-api-request-id"] = id
        return evolve(request, url=self.endpoint.url.rstrip("/") + path, headers=headers)

    def sign(self, request: Request) -> Request:
        """A name, and the key: `appid:token` of the old console, or the one of the new."""
        headers = {"x-api-request-id": self._new_id(), **request.headers}
        request = evolve(request, headers=headers)
        if request.auth is None:
            return request
        app, colon, token = request.auth.reveal().partition(":")
        if not colon:
            secrets = {"x-api-key": request.auth}
        else:
            # Speaking is documented with X-Api-App-Id and with X-Api-App-Key (2026-11).
            secrets = {
                "x-api-app-key": Secret(app),
                "x-api-app-id": Secret(app),
                "x-api-access-key": Secret(token),
            }
        return evolve(request, auth=None, secret_headers=secrets)

    def is_error(self, response: Response) -> bool:
        """A failure has status 200 as well: the code in a header tells."""
        return super().is_error(response) or _code(response) not in _DONE

    def error_details(self, response: Response) -> tuple[str, str | None, str | None]:
        """(message, code, type) from the headers; the type is the first digits of the code."""
        if "x-api-status-code" not in response.headers:
            return super().error_details(response)
        code = response.headers["x-api-status-code"]
        return response.headers.get("x-api-message", ""), code, family(code, response)


def _code(response: Response) -> str:
    return response.headers.get("x-api-status-code", "0")


def family(code: str, response: Response) -> str | None:
    """The first digits of *code*, by which it is sorted unless the HTTP status tells more."""
    return code[:3] if response.ok else None
