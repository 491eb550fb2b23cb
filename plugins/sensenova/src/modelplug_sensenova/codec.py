"""What SenseNova's services have in common: which one it is, keys that sign, and the errors."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import time
from collections.abc import Callable
from enum import Enum
from typing import TypeVar
from urllib.parse import urlsplit

import orjson
from attrs import evolve

from modelplug.errors import AuthRefused, CallError
from modelplug.openai_wire import OpenAICodec
from modelplug.types import Endpoint, Secret
from modelplug.wire import Request, Response

C = TypeVar("C")
R = TypeVar("R")

_VALID = 1800
_SKEW = 5
_TOKEN = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]+")


class Service(Enum):
    """The wire that is spoken at an address."""

    PLAN = "the Token Plan"
    CLASSIC = "the classic models, in OpenAI's form"
    NATIVE = "the classic models, in their own form"


def service_of(endpoint: Endpoint) -> Service:
    """By the address, where that is one of SenseNova's; else by the model's name."""
    path, name = urlsplit(endpoint.url).path.rstrip("/"), endpoint.model.lower()
    if path.endswith("/llm"):
        return Service.NATIVE
    if "/compatible-mode" in path:
        return Service.CLASSIC
    if name.startswith("nova-"):
        return Service.NATIVE
    classic = name.startswith(("sensechat", "sensenova-v"))
    return Service.CLASSIC if classic else Service.PLAN


def web_token(id: str, secret: str, now: float) -> str:
    """The JWT that access key *id* signs with *secret* for half an hour from *now* (seconds)."""
    claims = {"iss": id, "exp": int(now) + _VALID, "nbf": int(now) - _SKEW}
    parts = [_url64(orjson.dumps(part)) for part in ({"alg": "HS256", "typ": "JWT"}, claims)]
    signature = hmac.digest(secret.encode(), ".".join(parts).encode(), hashlib.sha256)
    return ".".join([*parts, _url64(signature)])


def _url64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


class SenseNovaCodec(OpenAICodec[C, R]):
    """The keys and the errors. *now* is the clock that a token is signed by, in seconds."""

    def __init__(self, endpoint: Endpoint, now: Callable[[], float] = time.time) -> None:
        super().__init__(endpoint)
        self._now = now

    def sign(self, request: Request) -> Request:
        """A key of two parts, `id:secret`, is not sent but signs a token: anew for each try."""
        if request.auth is None:
            return request
        id, colon, secret = request.auth.reveal().partition(":")
        if not colon:
            return request
        return evolve(request, auth=Secret(web_token(id, secret, self._now())))

    def parse_error(self, response: Response) -> CallError:
        """The error, without the token that the secret signed."""
        error = super().parse_error(response)
        text = _TOKEN.sub("***", str(error))
        paired = any(":" in key.reveal() for key in self.endpoint.keys.items)
        if paired and type(error) is AuthRefused and service_of(self.endpoint) is Service.PLAN:
            text += "; this service takes keys that begin with sk-, not an access key of two parts"
        error.args = (text,)
        return error
