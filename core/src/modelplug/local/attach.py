"""
Attaching to a server that runs already, by the URL that its user knows.

A base URL such as `http://host:8000/v1` is taken as it is. An older one, `.../generate`, or an
origin alone, is asked first whether the OpenAI routes are beside it; if there is only the old
`/generate`, it is spoken to by its own codec.
"""

from __future__ import annotations

from typing import Protocol
from urllib.parse import urlsplit, urlunsplit

from attrs import evolve

from modelplug.errors import BadReply, ConfigError, TransportFailed, Unsupported, refused
from modelplug.local.generate_wire import GenerateChat
from modelplug.rotation import Rotation
from modelplug.tasks import AnyCodec
from modelplug.types import Endpoint, ModelType, Timeouts
from modelplug.wire import Flow, Request, Response

_BASE, _OLD = "/v1", "/generate"
# A server that is there answers at once; one that does not should not cost a call's time.
_PATIENCE = Timeouts(connect=10.0, first_byte=10.0, idle=10.0, total=20.0)


class Wire(Protocol):
    """What makes codecs for the OpenAI routes."""

    def create_online(self, endpoint: Endpoint, type: ModelType) -> AnyCodec | None:
        """The codec for *type*."""


def attached_codec(endpoint: Endpoint, type: ModelType, wire: Wire) -> Flow[AnyCodec]:
    """
    A codec for the server at *endpoint*, whose URL may be an older one and whose model "".

    Asks the server only for what the URL and the model's name leave open. TransportFailed
    where nothing answers, ConfigError where several models could be meant.
    """
    url = endpoint.url
    if urlsplit(url).scheme not in ("http", "https"):
        msg = f"url= is an address such as http://localhost:8000/v1, not {url!r}"
        raise ConfigError(msg)
    base, is_old = _base_of(url)
    if base == url and endpoint.model:
        return _codec(endpoint, type, wire)
    reply = yield from _models(endpoint, base)
    if reply.status >= 500:
        msg = f"{url} answered {reply.status} when it was asked for its models"
        raise refused(reply.status)(msg, status=reply.status, provider=endpoint.provider)
    if reply.ok or reply.status in (401, 403):
        named = evolve(_at(endpoint, base), model=_model(endpoint, reply))
        return _codec(named, type, wire)
    if not is_old:  # no list of models: servers exist that only have the route that is called
        return _codec(evolve(_at(endpoint, base), model=endpoint.model or "default"), type, wire)
    if not type.chats:
        msg = f"{url} knows the old route {_OLD} alone, which only completes text, not {type}"
        raise Unsupported(msg)
    return GenerateChat(evolve(endpoint, does=endpoint.does & {"stream"}))


def _base_of(url: str) -> tuple[str, bool]:
    """(where the OpenAI routes should be, whether *url* is that of the old route)."""
    parts = urlsplit(url)
    path = parts.path.rstrip("/")
    if path.endswith(_OLD):
        path = path.removesuffix(_OLD) + _BASE
        return urlunsplit((*parts[:2], path, "", "")), True
    return urlunsplit((*parts[:2], path or _BASE, "", "")), False


def _models(endpoint: Endpoint, base: str) -> Flow[Response]:
    request = Request("GET", f"{base}/models", auth=endpoint.api_key, timeouts=_PATIENCE)
    try:
        response: Response = yield request
    except TransportFailed as error:
        error.provider = endpoint.provider
        raise
    return response


def _model(endpoint: Endpoint, reply: Response) -> str:
    """The model to ask for: the one named, else the only one that is served."""
    served = _ids(reply)
    if endpoint.model in served or not served:
        return endpoint.model or "default"
    if len(served) == 1:
        return served[0]
    asked = repr(endpoint.model) if endpoint.model else "no model was named and"
    msg = f"{endpoint.url} serves {', '.join(served)}: {asked} is none of them; name one"
    if not endpoint.model:
        msg = f"{endpoint.url} serves {', '.join(served)}; name one: TrainableModule({served[0]!r})"
    raise ConfigError(msg)


def _ids(reply: Response) -> list[str]:
    if not reply.ok:
        return []
    try:
        data = reply.json()
    except BadReply:
        return []
    items = data.get("data") if isinstance(data, dict) else None
    found = [item.get("id") for item in items or () if isinstance(item, dict)]
    return [id for id in found if isinstance(id, str)]


def _at(endpoint: Endpoint, url: str) -> Endpoint:
    return evolve(endpoint, url=Rotation([url]))


def _codec(endpoint: Endpoint, type: ModelType, wire: Wire) -> AnyCodec:
    codec = wire.create_online(endpoint, type)
    if codec is None:
        msg = f"{endpoint.provider} serves no models of type {type}"
        raise Unsupported(msg)
    return codec
